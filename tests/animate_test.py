"""The command, in a folder with Japanese letters and spaces. Its network draws sticks."""

import json

import numpy as np
import pytest
from PIL import Image

from anime_pt.pipelines import video_reader
from anime_pt.pose import formats
from anime_pt.pose.sequences import PoseSequence
from anime_pt.pose.skeletons import COCO_17
from tests.conftest import command
from tests.pipelines import stand_in


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("踊り clips")
    image, points = stand_in.figure()
    Image.fromarray(image).save(folder / "少女 1.png")
    motion = np.repeat(points[None].astype(np.float32), 12, 0)
    motion[4:6, 9] = np.nan, np.nan, 0
    motion[..., 0] += np.arange(12)[:, None] * 2
    formats.write(folder / "walk.json", PoseSequence(motion, COCO_17, (300.0, 400.0), 12.0))
    return folder


def animate(folder, *arguments, code=0):
    done = command(
        "tests.pipelines.puppet", f"--character={folder / '少女 1.png'}", "--workdir=runs", *arguments
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    return done


def test_a_motion_becomes_an_animation_and_a_page(folder):
    out, page = folder / "a 1.mp4", folder / "a.html"
    done = animate(folder, f"--motion={folder / 'walk.json'}", f"--out={out}", f"--html={page}", "--size=200")
    lines = done.stdout.splitlines()
    assert lines[:2] == [str(out), str(page)] and lines[2].startswith("flicker ")
    assert "animating: 100%" in done.stderr and "frame/s" in done.stderr
    warnings = [line for line in done.stderr.replace("\r", "\n").splitlines() if line.startswith("warning: ")]
    assert "warning: walk.json: frames 4 to 5: left_wrist: filled in" in warnings
    assert "warning: walk.json: MP4 has no transparency: the background is white" in warnings
    frames = list(video_reader.read(out))
    assert len(frames) == 12 and frames[0].image.shape == (150, 200, 3)
    assert frames[1].seconds == pytest.approx(1 / 12, abs=1e-3)
    names = {p.name for p in folder.iterdir()}
    assert {"a 1.mp4", "a.html", "a.html.mp4"} <= names and not any(n.startswith(".") for n in names)


def test_joints_are_shown_corrected_and_used(folder):
    done = animate(folder, f"--preview={folder / 'look.png'}")
    assert done.stdout.splitlines() == [str(folder / "look.png"), str(folder / "look.json")]
    assert Image.open(folder / "look.png").size == (400, 300)
    found = formats.read(folder / "look.json")
    _, points = stand_in.figure()
    np.testing.assert_allclose(found.as_skeleton(COCO_17).keypoints[0, :, :2], points[:, :2], atol=1)
    # Without legs the figure is another one.
    document = json.loads((folder / "look.json").read_text())
    for name in ("left_knee", "right_knee", "left_ankle", "right_ankle"):
        document["frames"][0][document["names"].index(name)] = None
    (folder / "half.json").write_text(json.dumps(document))
    done = animate(
        folder,
        *(
            f"--motion={folder / 'walk.json'}",
            f"--out={folder / 'b.apng'}",
            f"--joints={folder / 'half.json'}",
        ),
    )
    assert "not among the joints given for it: right_knee, right_ankle, left_knee, left_ankle" in done.stderr
    assert "thigh: not measured on both figures" in done.stderr


def test_nothing_is_written_over(folder):
    character = folder / "少女 1.png"
    (folder / "again.json").write_text("corrected")
    done = command("anime_pt.animate", f"--character={character}", f"--preview={folder / 'again.png'}")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {folder / 'again.json'} exists") and "use it with --joints=" in line
    assert (folder / "again.json").read_text() == "corrected" and not (folder / "again.png").exists()
    motion = f"--motion={folder / 'walk.json'}"
    film = folder / "b.html.mp4"
    film.write_bytes(b"")
    for arguments, says in (
        ([motion, f"--out={character}"], "--out would replace an input, "),
        (
            [motion, f"--out={folder / 'walk.sheet.png'}", f"--joints={folder / 'walk.sheet.json'}"],
            "an input",
        ),
        ([f"--motion={film}", f"--out={folder / 'c.mp4'}", f"--html={folder / 'b.html'}"], "--html would"),
        (
            [motion, f"--out={film}", f"--html={folder / 'b.html'}"],
            "--html would replace what --out writes, ",
        ),
    ):
        (folder / "walk.sheet.json").write_text("{}")
        done = command("anime_pt.animate", f"--character={character}", *arguments)
        (line,) = done.stderr.splitlines()
        assert done.returncode == 1 and line.startswith("error: ") and says in line


def test_errors_are_one_line(folder):
    done = animate(
        folder,
        *(f"--motion={folder / 'walk.json'}", f"--out={folder / 'x.mp4'}", "--reference=99"),
        code=1,
    )
    error = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
    assert len(error) == 1 and error[0].startswith("error: there is no reference frame 99"), done.stderr
    assert not (folder / "x.mp4").exists()
