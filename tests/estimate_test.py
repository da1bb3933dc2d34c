"""The estimate command, from the command line, in a folder with a space and Japanese letters.

Most tests run it with an estimator that finds joints by their colours (`tests/pipelines/stand_in.py`).
"""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from anime_pt.pipelines import video, video_reader
from anime_pt.pose import formats
from anime_pt.pose.skeletons import BODY_25, COCO_17, OPENPOSE_18
from tests.conftest import CACHE, ROOT, command
from tests.pipelines import stand_in


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "絵 pictures"
    folder.mkdir()
    return folder


def save(folder, image, name, **options):
    Image.fromarray(image).save(folder / name, **options)


def estimate(images, out, *flags, code=0, by="tests.pipelines.stand_in"):
    """Runs the command; returns the lines of stderr that are no progress bar."""
    result = command(by, f"--images={images}", f"--out={out}", *flags)
    assert result.returncode == code, (result.returncode, result.stdout, result.stderr)
    lines = [line for line in result.stderr.splitlines() if line.strip() and "estimating:" not in line]
    return lines


def close(points, truth, atol=0.7):
    np.testing.assert_allclose(points[:, :2], truth[:, :2], atol=atol)
    assert points[:, 2].min() > 0.5


def test_a_folder_with_good_and_bad_pictures(folder, tmp_path):
    image, truth = stand_in.figure()
    two = np.concatenate([image, stand_in.figure(scale=0.9)[0]], 1)
    save(folder, image, "立つ 10.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    save(folder, np.rot90(image), "立つ 9.png", exif=exif)
    save(folder, two, "two.png")
    save(folder, np.zeros((5, 5, 3), np.uint8), "small.png")
    Image.new("1", (20_000, 20_000)).save(folder / "huge.png")
    save(folder, np.full((64, 64, 3), 255, np.uint8), "blank.png")
    (folder / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    (folder / "notes.txt").write_text("no picture")
    out = tmp_path / "out 出"
    lines = estimate(folder, out / "poses.json", f"--draw={out / 'drawn'}", "--format=anime_pt", code=1)
    assert len(lines) == 5
    for line, start in zip(
        lines,
        (
            "error: blank.png: no figure was found: nothing stands out from the background",
            "error: huge.png: too large: 20000x20000 pixels",
            "error: small.png: too small: 5x5 pixels; each side must have at least 16 pixels",
            "error: torn.jpg: no picture that can be read",
            "warning: two.png: 2 figures of similar size were found; the largest is taken",
        ),
        strict=True,
    ):
        assert line.startswith(start)
    people = formats.read_people(out / "poses.json")
    assert people.names == ["blank.png", "two.png", "立つ 9.png", "立つ 10.png"]
    assert people.sizes == [(64, 64), (300, 800), (300, 400), (300, 400)] and people.skeleton == COCO_17
    assert len(people.frames[0]) == 0
    for (points,) in people.frames[1:]:
        close(points, truth)
    drawn = sorted(p.name for p in (out / "drawn").iterdir())
    assert drawn == ["two.png", "立つ 10.png", "立つ 9.png"]
    nose = np.array(Image.open(out / "drawn" / "立つ 9.png"))[int(truth[0, 1]), int(truth[0, 0])]
    np.testing.assert_allclose(nose, (255, 40, 40), atol=60)


def test_formats_and_options(folder, tmp_path):
    image, truth = stand_in.figure()
    save(folder, image, "a.png")
    assert not estimate(folder, tmp_path / "coco.json", "--flip", "--scales=0.9,1.1")
    document = json.loads((tmp_path / "coco.json").read_bytes())
    assert document["images"] == [{"id": 1, "file_name": "a.png", "width": 400, "height": 300}]
    assert document["info"] == {"description": "keypoints of pictures"}
    (annotation,) = document["annotations"]
    assert 0.8 < annotation["score"] <= 1 and len(annotation["keypoint_scores"]) == 17
    np.testing.assert_allclose(annotation["bbox"], (63, 40, 99, 203), atol=4)
    read = formats.read_people(tmp_path / "coco.json")
    close(read.frames[0][0], truth)
    assert not estimate(folder / "a.png", tmp_path / "openpose")
    assert [p.name for p in (tmp_path / "openpose").iterdir()] == ["a_keypoints.json"]
    body = formats.read(tmp_path / "openpose")
    assert body.skeleton == BODY_25 and body.size == (300, 400)
    wrist = truth[COCO_17.index("left_wrist"), :2]
    np.testing.assert_allclose(body.keypoints[0, BODY_25.index("left_wrist"), :2], wrist, atol=0.7)
    flags = ("--format=anime_pt", "--skeleton=openpose_18", "--nosubpixel", "--threshold=0.95")
    assert not estimate(folder, tmp_path / "own.json", *flags)
    own = formats.read_people(tmp_path / "own.json")
    assert own.skeleton == OPENPOSE_18
    shoulders = truth[[COCO_17.index(f"{side}_shoulder") for side in ("left", "right")], :2]
    np.testing.assert_allclose(own.frames[0][0, 1, :2], shoulders.mean(0), atol=3)


def test_video(folder, tmp_path):
    figures = [stand_in.figure(left=40 + 8 * i) for i in range(6)]
    frames = [f[..., :3] | (255 - f[..., 3:]) for f, _ in figures]
    frames[2] = np.full_like(frames[2], 255)
    video.write(folder / "踊り.gif", frames, 10)
    out = tmp_path / "poses.json"
    lines = estimate(folder / "踊り.gif", out, f"--draw={tmp_path / 'drawn.mp4'}", code=1)
    assert lines == [
        "warning: 踊り.gif: no figure was found: nothing stands out from the background "
        "(in 1 of 6 frames, first in number 2)"
    ]
    poses = formats.read(out)
    assert poses.keypoints.shape == (6, 17, 3) and poses.fps == pytest.approx(10)
    assert np.isnan(poses.keypoints[2, :, :2]).all()
    for i in (0, 1, 3, 4, 5):
        close(poses.keypoints[i], figures[i][1], atol=1.5)
    assert sum(1 for _ in video_reader.read(tmp_path / "drawn.mp4")) == 6


def test_nothing_is_written_where_nothing_was_found(folder, tmp_path):
    save(folder, np.full((64, 64, 3), 255, np.uint8), "blank.png")
    out = tmp_path / "out.json"
    assert estimate(folder / "blank.png", out, f"--draw={tmp_path / 'drawn'}", code=1) == [
        "error: blank.png: no figure was found: nothing stands out from the background"
    ]
    save(folder, np.zeros((5, 5, 3), np.uint8), "small.png")
    lines = estimate(folder, out, code=1)
    assert len(lines) == 3 and lines[2].startswith("error: none of the 2 pictures in ")
    assert [p.name for p in tmp_path.iterdir()] == [folder.name]


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_nothing_half_written(by, folder, tmp_path):
    for i in range(40):
        save(folder, stand_in.figure(seed=i)[0], f"{i}.png")
    out, drawn = tmp_path / "poses", tmp_path / "drawn"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.pipelines.stand_in"),
            *(f"--images={folder}", f"--out={out}", f"--draw={drawn}", "--batch=1"),
        ],
        cwd=ROOT,
        env=os.environ | CACHE | {"JAX_PLATFORMS": "cpu"},
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 200
    while not (drawn / "0.png").exists():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(by)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == f"interrupted; {out}: nothing was written"
    assert not out.exists() and not list(tmp_path.rglob(".writing*"))
    assert all(Image.open(p).size == (400, 300) for p in drawn.iterdir())


BAD = {
    "absent": (["--images={f}/none"], "there is no picture, video or folder"),
    "empty folder": (["--images={f}/empty"], "holds no pictures (.png, "),
    "no picture": (["--images={f}/notes.txt"], "notes.txt: no picture that can be read"),
    "WebP": (["--images={f}/moving.webp"], "moving.webp: moving pictures of this kind are not read"),
    "skeleton": (["--skeleton=horse"], "unknown skeleton 'horse'; known: openpose_18"),
    "openpose": (["--out={f}/o", "--skeleton=lip_16"], "holds openpose_18 or body_25"),
    "suffix": (["--out={f}/o.txt"], "--out must be a .json file, or a folder"),
    "file": (["--out={f}/o", "--format=coco"], "end its name in .json"),
    "scales": (["--scales=1,big"], "--scales must be numbers from 0.25 to 4"),
    "threshold": (["--threshold=2"], "--threshold must be from 0 to 1"),
    "step": (["--step=3"], "--step is a checkpoint of --workdir"),
    "draw": (["--draw={f}"], "is where the pictures are"),
    "draw file": (["--draw={f}/d.png"], "--draw must be a folder"),
    "out is a folder": (["--out={f}/empty.json"], "it is a folder"),
    "other things": (["--out={f}"], "holds other things than OpenPose files"),
    "no run": (["--workdir={f}"], "holds no run"),
    "stray": (["stray"], "stray"),
}


@pytest.mark.parametrize(("flags", "says"), BAD.values(), ids=BAD)
def test_bad_input(flags, says, folder):
    (folder / "empty").mkdir()
    (folder / "empty.json").mkdir()
    (folder / "notes.txt").write_text("no picture")
    save(folder, stand_in.figure()[0], "a.png")
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    frames[0].save(folder / "moving.webp", save_all=True, append_images=frames[1:])
    before = sorted(folder.iterdir())
    flags = [flag.format(f=folder) for flag in flags]
    result = command("anime_pt.estimate", f"--images={folder}", f"--out={folder}/out.json", *flags)
    assert result.returncode in (1, 2)
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: ") and says in line
    assert sorted(folder.iterdir()) == before


def test_a_run_of_another_recipe(unbroken, folder):
    save(folder, stand_in.figure()[0], "a.png")
    lines = estimate(folder, folder / "o.json", f"--workdir={unbroken[1]}", code=1, by="anime_pt.estimate")
    assert len(lines) == 1 and "a run of the recipe 'psgan', which does not estimate poses" in lines[0]
