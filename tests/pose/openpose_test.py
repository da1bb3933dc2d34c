import json
import pathlib

import numpy as np
import pytest

from anime_pt.pose import formats, openpose
from anime_pt.pose.skeletons import AVATAR_20, BODY_25, OPENPOSE_18
from tests.avatars import asset_files

FOLDERS = sorted({p.parent for p in asset_files.find(".json") if p.name.endswith("_keypoints.json")})


def document(*people, **more):
    return {"version": 1.3, "people": [{"pose_keypoints_2d": list(map(float, p))} for p in people]} | more


def put(path, *documents, start=0, step=1, name="walk"):
    path.mkdir(exist_ok=True)
    for i, d in enumerate(documents):
        (path / f"{name}_{start + i * step:012d}_keypoints.json").write_text(json.dumps(d))


def person(skeleton, x=10.0, y=20.0):
    """Joint i at (x + i, y + 2 i)."""
    i = np.arange(len(skeleton))
    return np.stack([x + i, y + 2 * i, np.full(len(i), 0.8)], 1).ravel()


def sequence(skeleton=AVATAR_20, frames=3):
    points = np.random.default_rng(0).uniform(1, 60, (frames, len(skeleton), 3)).astype(np.float32).round(2)
    points[..., 2] = 1
    return formats.PoseSequence(points, skeleton, (64, 96), 24.0)


@pytest.mark.parametrize("skeleton", [OPENPOSE_18, BODY_25], ids=lambda s: s.name)
def test_models_are_told_apart_by_length(skeleton, tmp_path):
    values = person(skeleton)
    values[9:12] = 0
    put(tmp_path / "a", document(values, canvas_width=200, canvas_height=100))
    read = formats.read(tmp_path / "a")
    assert read.skeleton is skeleton and read.size == (100, 200)
    assert np.isnan(read.keypoints[0, 3, :2]).all() and read.keypoints[0, 3, 2] == 0
    np.testing.assert_allclose(read.keypoints[0, 5], (15, 30, 0.8), rtol=1e-6)


def test_body_25_order_is_that_of_its_documentation():
    # doc/02_output.md of OpenPose, "Pose Output Format (BODY_25)".
    documented = {1: "neck", 4: "right_wrist", 8: "mid_hip", 9: "right_hip", 14: "left_ankle"}
    documented |= {15: "right_eye", 18: "left_ear", 19: "left_big_toe", 21: "left_heel", 24: "right_heel"}
    for index, name in documented.items():
        assert BODY_25.keypoints[index] == name
    assert len(BODY_25) == 25


def test_numbers_order_the_frames_and_gaps_are_frames_with_nobody(tmp_path):
    documents = [document(person(OPENPOSE_18, x=x)) for x in (0, 1, 2)]
    put(tmp_path / "a", *documents[:2], start=8)
    put(tmp_path / "a", documents[2], start=11)
    read = formats.read(tmp_path / "a")
    np.testing.assert_array_equal(read.keypoints[:, 1, 0], [1, 2, np.nan, 3])
    put(tmp_path / "b", *documents, start=10, step=5)
    np.testing.assert_array_equal(formats.read(tmp_path / "b").keypoints[:, 1, 0], [1, 2, 3])


def test_the_largest_figure_is_followed(tmp_path):
    small = person(OPENPOSE_18, x=50)
    small[0::3] = 50 + (small[0::3] - 50) / 4
    frames = [
        document(small, person(OPENPOSE_18, x=100)),
        document(person(OPENPOSE_18, x=98), small),
        document(),
        document(person(OPENPOSE_18, x=300), small, person(OPENPOSE_18, x=95)),
    ]
    put(tmp_path / "a", *frames)
    read = formats.read(tmp_path / "a")
    np.testing.assert_array_equal(read.keypoints[:, 0, 0], [100, 98, np.nan, 95])
    assert [len(f) for f in formats.read_people(tmp_path / "a").frames] == [2, 2, 0, 3]


@pytest.mark.parametrize("size", [None, (50, 80)])
def test_fractions_of_a_canvas_become_pixels(size, tmp_path):
    """As ControlNet's tools wrote them for a time."""
    values = person(OPENPOSE_18) / np.tile([200, 100, 1], 18)
    put(tmp_path / "a", document(values, canvas_width=200, canvas_height=100))
    read = formats.read(tmp_path / "a", size=size)
    height, width = size or (100, 200)
    assert read.size == (height, width)
    np.testing.assert_allclose(read.keypoints[0, 5], (15 * width / 200, 30 * height / 100, 0.8), rtol=1e-5)
    put(tmp_path / "b", document(values))
    with pytest.raises(formats.PoseFileError, match=r"fractions of the picture.*give its width and height"):
        formats.read(tmp_path / "b")
    assert formats.read(tmp_path / "b", size=(100, 200)).keypoints[0, 5, 0] == pytest.approx(15)


def test_size_is_asked_for_or_reaches_past_every_joint(tmp_path):
    put(tmp_path / "a", document(person(OPENPOSE_18, x=10.5, y=20)))
    assert formats.read(tmp_path / "a", size=(480, 640)).size == (480, 640)
    assert formats.read(tmp_path / "a").size == (54, 28)


@pytest.mark.parametrize("skeleton", [OPENPOSE_18, BODY_25], ids=lambda s: s.name)
@pytest.mark.parametrize("name", ["踊り 1", "踊り 1.json"])
def test_round_trip(skeleton, name, tmp_path):
    poses = sequence(skeleton)
    poses.keypoints[0, 2, 2] = 0  # Hidden.
    poses.keypoints[1, 3] = (np.nan, np.nan, 0)
    poses.keypoints[2, 4] = (-3, 5, 0)  # Outside.
    formats.write(tmp_path / name, poses, "openpose")
    read = formats.read(tmp_path / name, fps=24)
    wanted = poses.keypoints.copy()
    wanted[0, 2, 2] = openpose.HIDDEN
    wanted[1, 3] = wanted[2, 4] = (np.nan, np.nan, 0)
    np.testing.assert_allclose(read.keypoints, wanted, atol=1e-3)
    assert (read.skeleton, read.size, read.fps) == (skeleton, poses.size, 24)


def test_files_look_like_openposes(tmp_path):
    poses = sequence()
    formats.write(tmp_path / "踊り", poses, "openpose")
    assert [p.name for p in sorted((tmp_path / "踊り").iterdir())] == [
        f"踊り_{i:012d}_keypoints.json" for i in range(3)
    ]
    frame = json.loads((tmp_path / "踊り" / "踊り_000000000001_keypoints.json").read_bytes())
    (figure,) = frame["people"]
    assert frame["version"] == 1.3 and len(figure["pose_keypoints_2d"]) == 75
    assert figure["face_keypoints_2d"] == figure["hand_left_keypoints_2d"] == []
    wrist = AVATAR_20.index("right_wrist")
    np.testing.assert_allclose(figure["pose_keypoints_2d"][12:15], poses.keypoints[1, wrist], atol=1e-3)
    # A shorter clip leaves none of the old frames behind.
    formats.write(tmp_path / "踊り", sequence(frames=2), "openpose")
    assert len(list((tmp_path / "踊り").iterdir())) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["踊り"]


def test_a_folder_with_other_things_is_not_touched(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "thesis.txt").write_text("all of it")
    with pytest.raises(FileExistsError, match="name another folder"):
        formats.write(tmp_path / "a", sequence(), "openpose")
    assert (tmp_path / "a" / "thesis.txt").read_text() == "all of it"


BAD = {
    "no list": ([{"version": 1.3}], 'no list "people"'),
    "length": ([document(range(45))], r"has 15 joints; this program reads 18 \(openpose_18\) or 25"),
    "text": ([{"people": [{"pose_keypoints_2d": ["x"] * 54}]}], "not made of numbers"),
    "no keypoints": ([{"people": [{}]}], 'no "pose_keypoints_2d"'),
    "person": ([{"people": [7]}], 'no "pose_keypoints_2d"'),
    "mixed": ([document(person(OPENPOSE_18)), document(person(BODY_25))], "mixes body_25 and openpose_18"),
    "canvas": ([document(canvas_width=-1, canvas_height=5)], "must be positive"),
    "canvases": (
        [document(canvas_width=4, canvas_height=w) for w in (5, 6)],
        "differ in canvas_width or canvas_height",
    ),
}


@pytest.mark.parametrize(("documents", "says"), BAD.values(), ids=BAD.keys())
def test_bad_files_are_named(documents, says, tmp_path):
    put(tmp_path / "a", *documents)
    with pytest.raises(formats.PoseFileError, match=says) as error:
        formats.read(tmp_path / "a")
    assert str(tmp_path / "a") in str(error.value) and "\n" not in str(error.value)


def test_bad_folders_are_named(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(formats.PoseFileError, match="has no OpenPose files"):
        formats.read(tmp_path / "empty")
    put(tmp_path / "two", document())
    put(tmp_path / "two", document(), name="run")
    with pytest.raises(formats.PoseFileError, match=r"several clips \(run, walk\)"):
        formats.read(tmp_path / "two")
    put(tmp_path / "far", document(), document(), document(), step=2)
    put(tmp_path / "far", document(), start=999_999_999_999)
    with pytest.raises(formats.PoseFileError, match="nearly all frames"):
        formats.read(tmp_path / "far")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "a_000000000000_keypoints.json").write_text('{"people": [{"pose_')
    with pytest.raises(formats.PoseFileError, match="is not JSON"):
        formats.read(tmp_path / "torn")


@pytest.mark.parametrize(
    "folder",
    FOLDERS or [pytest.param(None, marks=pytest.mark.skip(reason=f"no OpenPose below {asset_files.ROOT}"))],
    ids=lambda p: getattr(p, "name", "none"),
)
def test_real_folders(folder: pathlib.Path, tmp_path):
    read = formats.read(folder)
    assert len(read.keypoints) >= len(list(folder.glob("*_keypoints.json")))
    assert np.isfinite(read.keypoints[..., :2]).all(-1).mean() > 0.3
    known = np.isfinite(read.keypoints[..., 0])
    assert ((read.keypoints[..., 2] > 0) == known).all() and read.keypoints[..., 2].max() <= 1.1
    assert np.nanmax(read.keypoints[..., 0]) <= read.size[1]
    assert np.nanmax(read.keypoints[..., 1]) <= read.size[0]
    # Confidences and places survive being written again.
    formats.write(tmp_path / "again", read, "openpose")
    np.testing.assert_allclose(formats.read(tmp_path / "again").keypoints, read.keypoints, atol=1e-3)
