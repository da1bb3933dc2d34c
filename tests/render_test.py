"""The render command, from the command line, in a folder with a space and Japanese letters."""

import json
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from PIL import Image

from anime_pt.avatars.formats import vmd
from anime_pt.pipelines import stills, video_reader
from anime_pt.pose import formats
from anime_pt.pose.skeletons import AVATAR_20, COCO_17
from tests.conftest import CACHE, ROOT, command

CLIP = ("--character=procedural:7", "--motion=procedural:3", "--size=64", "--fps=12", "--frames=6")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "踊り clips"
    folder.mkdir()
    return folder


def render(*arguments, code=0):
    result = command("anime_pt.render", *arguments)
    assert result.returncode == code, (result.stdout, result.stderr)
    return result


def test_mp4_and_coco(folder):
    result = render(*CLIP, f"--out={folder}/歩く 1.mp4", f"--keypoints={folder}/歩く 1.json")
    assert result.stdout.splitlines() == [f"{folder}/歩く 1.mp4", f"{folder}/歩く 1.json"]
    assert "rendering: 100%" in result.stderr and "fitting the camera: 100%" in result.stderr
    assert "frame/s" in result.stderr
    frames = list(video_reader.read(folder / "歩く 1.mp4"))
    assert [f.seconds for f in frames] == pytest.approx([i / 12 for i in range(6)])
    poses = formats.read(folder / "歩く 1.json")
    assert poses.skeleton is COCO_17 and poses.size == (64, 64) and poses.fps == 12
    document = json.loads((folder / "歩く 1.json").read_text())
    for frame, annotation in zip(frames, document["annotations"], strict=True):
        rows, columns = np.nonzero((frame.image < 200).any(-1))  # White behind.
        x, y, w, h = annotation["bbox"]
        assert abs(rows.min() - y) <= 2 and abs(rows.max() + 1 - y - h) <= 2
        assert abs(columns.min() - x) <= 2 and abs(columns.max() + 1 - x - w) <= 2
    assert sorted(p.name for p in folder.iterdir()) == ["歩く 1.json", "歩く 1.mp4"]


def test_transparent_formats_agree(folder):
    """One clip as every format that keeps alpha; the PNG files say what the others must hold."""
    kinds = {"frames": None, "a.apng": "a.json", "a.gif": "poses", "a.sheet.png": "all.json"}
    for out, points in kinds.items():
        extra = [f"--keypoints={folder}/{points}"] if points else []
        if out == "a.sheet.png":
            extra.append("--keypoints_format=openpose")
        if out == "a.apng":
            extra.append("--keypoints_format=anime_pt")
        render(*CLIP, f"--out={folder}/{out}", "--yaw=40", "--fov=30", *extra)
    frames = [np.array(Image.open(folder / "frames" / stills.name(i))) for i in range(6)]
    assert all(f.shape == (64, 64, 4) and 300 < (f[..., 3] == 255).sum() < 3000 for f in frames)
    assert len({f.tobytes() for f in frames}) > 3  # It moves.
    with Image.open(folder / "a.apng") as apng, Image.open(folder / "a.gif") as gif:
        assert apng.n_frames == gif.n_frames == 6
        for i, wanted in enumerate(frames):
            apng.seek(i)
            shown = np.array(apng.convert("RGBA"))
            np.testing.assert_array_equal(shown[..., 3], wanted[..., 3])
            seen = wanted[..., 3] > 0
            np.testing.assert_array_equal(shown[seen], wanted[seen])
            gif.seek(i)
            shown = np.array(gif.convert("RGBA"))
            np.testing.assert_array_equal(shown[..., 3] == 255, wanted[..., 3] >= 128)
            solid = wanted[..., 3] == 255
            assert np.abs(shown[solid].astype(int) - wanted[solid]).mean() < 4
    about = json.loads((folder / "a.sheet.json").read_text())
    sheet = np.array(Image.open(folder / "a.sheet.png"))
    for i, wanted in enumerate(frames):
        y, x = i // about["columns"] * 64, i % about["columns"] * 64
        np.testing.assert_array_equal(sheet[y : y + 64, x : x + 64], wanted)
    # The same joints, in three formats.
    exact, folded, listed = (formats.read(folder / n, fps=12) for n in ("a.json", "poses", "all.json"))
    assert exact.skeleton is AVATAR_20 and len(list((folder / "poses").iterdir())) == 6
    for other in (folded, listed):
        there = np.isfinite(other.as_skeleton(AVATAR_20).keypoints[..., :2])
        np.testing.assert_allclose(
            other.as_skeleton(AVATAR_20).keypoints[..., :2][there], exact.keypoints[..., :2][there], atol=0.01
        )
        assert there.mean() > 0.9


def test_sizes_backgrounds_and_drawn_keypoints(folder):
    cv2.imwrite(str(folder / "blue.png"), np.full((30, 40, 3), (220, 60, 30), np.uint8))
    for out, background, color in (
        ("picture", f"{folder}/blue.png", (30, 60, 220)),
        ("color", "#40a060", (64, 160, 96)),
    ):
        render(
            *(*CLIP, "--size=48x80", "--frames=1", "--camera=still", "--yaw=20", "--light=0,1,0"),
            *(f"--background={background}", "--outline=0", "--draw_keypoints", f"--out={folder}/{out}/"),
        )
        image = np.array(Image.open(folder / out / stills.name(0)))
        assert image.shape == (48, 80, 3)
        np.testing.assert_array_equal(image[0, 0], color)
        assert ((image[..., 0] > 200) & (image[..., 1] < 90) & (image[..., 2] < 90)).sum() > 10  # Joints.


def test_camera_file(folder):
    """Two keys of a camera that goes from the front to the side in a second."""
    keys = vmd.CameraKeys(
        frames=np.array([0, 30], np.int32),
        distances=np.array([-40, -40], np.float32),
        positions=np.array([[0, 10, 0], [0, 10, 0]], np.float32),
        rotations=np.array([[0, 0, 0], [0, np.pi / 2, 0]], np.float32),
        curves=np.tile(np.array([20, 20, 107, 107], np.uint8), (2, 6, 1)),
        fovs=np.array([30, 30], np.float32),
        perspective=np.array([True, True]),
    )
    vmd.write(folder / "カメラ.vmd", vmd.VmdFile("カメラ・照明", camera=keys))
    render(*CLIP, f"--camera={folder}/カメラ.vmd", f"--out={folder}/a.apng", f"--keypoints={folder}/a.json")
    poses = formats.read(folder / "a.json")
    assert np.isfinite(poses.keypoints[..., :2]).all(-1).mean() > 0.9
    hips = [COCO_17.index(f"{side}_hip") for side in ("left", "right")]
    apart = np.ptp(poses.keypoints[:, hips, 0], axis=1)
    assert apart[0] > apart[-1]  # It turns.


def test_a_folder_continues_and_a_finished_one_is_left_alone(folder):
    out = folder / "frames"
    program = [sys.executable, "-m", "anime_pt.render", *CLIP, "--size=256", "--frames=150", f"--out={out}"]
    started = subprocess.Popen(program, cwd=ROOT, env=os.environ | CACHE, stderr=subprocess.PIPE, text=True)
    while not (out / stills.name(3)).exists():
        assert started.poll() is None, started.stderr.read()
        time.sleep(0.02)
    started.send_signal(signal.SIGINT)
    error = started.communicate()[1]
    assert started.returncode == 130
    last = error.replace("\r", "\n").strip().splitlines()[-1]
    assert last == f"interrupted; {out}: its frames are kept, and the same command continues"
    kept = {p.name: p.stat().st_mtime_ns for p in out.glob("*.png")}
    assert 4 <= len(kept) < 150 and not list(out.glob(".writing*"))
    result = subprocess.run(
        [*program, f"--keypoints={folder}/k.json"], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    finished = {p.name: p.stat().st_mtime_ns for p in out.glob("*.png")}
    assert len(finished) == 150
    whole = [name for name in kept if finished[name] == kept[name]]
    assert len(whole) >= len(kept) - 1  # The last one may not have had its row.
    assert len(formats.read(folder / "k.json").keypoints) == 150
    again = subprocess.run(program, cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 0 and "rendering" not in again.stderr
    assert {p.name: p.stat().st_mtime_ns for p in out.glob("*.png")} == finished
    other = render(*CLIP, "--yaw=3", f"--out={out}", code=1)
    assert "has frames of another clip (it differs in size, yaw, frames)" in other.stderr


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_video_leaves_nothing(folder, stop):
    program = [sys.executable, "-m", "anime_pt.render", *CLIP, "--frames=5000", f"--out={folder}/a.mp4"]
    started = subprocess.Popen(program, cwd=ROOT, env=os.environ | CACHE, stderr=subprocess.PIPE, text=True)
    while not list(folder.iterdir()):
        assert started.poll() is None, started.stderr.read()
        time.sleep(0.02)
    time.sleep(0.3)
    started.send_signal(stop)
    error = started.communicate()[1]
    assert started.returncode == 130
    last = error.replace("\r", "\n").strip().splitlines()[-1]
    assert last == f"interrupted; {folder}/a.mp4: nothing was written"
    assert not list(folder.iterdir())


BAD = [
    (["--size=0"], "--size must be a side or HEIGHTxWIDTH from 1 to 8192 pixels, got '0'"),
    (["--size=12x13x14"], "--size must be"),
    (["--size=1e3"], "--size must be"),
    (["--fps=0"], "fps must be a number from 0.01 to 1000"),
    (["--fps=fast"], "fps must be a number"),
    (["--out=a.avi"], "moving pictures are written as .mp4"),
    (["--out=a.gif", "--fps=60"], "at most 50 frames per second, not 60"),
    (["--out=a.sheet.png", "--size=4000", "--frames=90"], "a sprite sheet of 90 frames of 4000x4000"),
    (["--keypoints=k.txt"], "--keypoints must be a .json file, or a folder"),
    (["--keypoints=k", "--keypoints_format=coco"], "end its name in .json"),
    (["--keypoints=a.mp4/"], "--keypoints and --out are both"),
    (["--out=a.sheet.png", "--keypoints=a.sheet.json"], "is where the sheet is described"),
    (["--keypoints_format=bvh"], "bvh"),
    (["--motion="], "--motion is empty"),
    (["--character=nobody.pmx"], "nobody.pmx"),
    (["--character=procedural:x"], "procedural:SEED"),
    (["--motion=nothing.vmd"], "nothing.vmd"),
    (["--camera=nothing.vmd"], "nothing.vmd"),
    (["--camera=still", "--fov=30"], "--fov is for --camera=fit"),
    (["--background=#12"], "background '#12' is neither"),
    (["--light=0,0,0"], "--light must be a direction such as"),
    (["--light=1,2"], "--light must be a direction such as"),
    (["--margin=0.7"], "margin must be in [0, 0.5)"),
    (["--yaw=nan"], "--yaw must be a number, got nan"),
    (["--fov=200"], "fov must be between 0 and 180 degrees"),
    (["--start=1000"], "seconds; it has no moment 1000"),
    (["--frames=3", "--seconds=1"], "give one"),
    (["--frames=0"], "frames"),
    (["--seconds=0"], "from 1 to 1,000,000 frames, not 0"),
    (["--supersample=9"], "supersample"),
    (["clip.mp4"], "unexpected argument 'clip.mp4'"),
]


@pytest.mark.parametrize(("flags", "says"), BAD, ids=[" ".join(f) for f, _ in BAD])
def test_bad_input_ends_in_one_line(flags, says, folder):
    base = ["--character=procedural:7", "--motion=procedural:3", "--size=32", f"--out={folder}/a.mp4"]
    flags = [
        f.replace("--out=", f"--out={folder}/").replace("--keypoints=", f"--keypoints={folder}/")
        for f in flags
    ]
    result = command("anime_pt.render", *base, *flags)
    assert result.returncode in (1, 2), (result.stdout, result.stderr)
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: ") and says in line
    assert not list(folder.iterdir())


def test_a_folder_with_other_things_is_refused_before_rendering(folder):
    (folder / "poses").mkdir()
    (folder / "poses" / "notes.txt").write_text("mine")
    result = render(*CLIP, f"--out={folder}/a.mp4", f"--keypoints={folder}/poses", code=1)
    assert "holds other things than OpenPose files" in result.stderr and len(result.stderr.splitlines()) == 1
    assert not (folder / "a.mp4").exists() and (folder / "poses" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "places",
    [("a/b.mp4", "k.json"), ("a.mp4", "a/k.json"), ("a.mp4", "a/poses"), ("a", ""), ("b.mp4", "f.json")],
)
def test_a_place_that_cannot_be_written_is_refused_before_rendering(places, folder):
    (folder / "a").write_text("mine")
    (folder / "f.json").mkdir()
    out, points = (f"--{n}={folder}/{p}" for n, p in zip(("out", "keypoints"), places, strict=True))
    result = render(*CLIP, out, *([points] if places[1] else []), code=1)
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith(f"error: {folder}/") and "cannot be written: " in line
    assert sorted(p.name for p in folder.iterdir()) == ["a", "f.json"]


def test_what_is_required_is_said():
    result = command("anime_pt.render")
    assert result.returncode == 2 and "--character" in result.stderr and len(result.stderr.splitlines()) == 1


def test_a_transparent_mp4_is_white_and_says_so(folder):
    result = render(*CLIP, "--frames=1", "--background=transparent", f"--out={folder}/a.mp4")
    assert result.stderr.startswith("MP4 has no transparency: the background is white\n")
    (frame,) = video_reader.read(folder / "a.mp4")
    assert frame.image[0, 0].min() >= 253


def test_hair_and_cloth_can_be_stiff(folder):
    pictures = []
    for flag in ("--drape", "--nodrape"):
        render(*CLIP, f"--out={folder}/{flag}", flag)
        pictures.append([np.array(Image.open(p)) for p in sorted((folder / flag).glob("*.png"))])
    assert len(pictures[0]) == len(pictures[1]) == 6
    assert all((a != b).any() for a, b in zip(*pictures, strict=True))
