import dataclasses
import errno
import json
import os
import pathlib

import numpy as np
import pytest

from anime_pt.pose import coco, files, formats, sequences
from anime_pt.pose.skeletons import AVATAR_20, COCO_17, OPENPOSE_18


@pytest.fixture
def motion():
    points = np.random.default_rng(0).uniform(0, 100, (3, 20, 3)).astype(np.float32).round(2)
    points[..., 2] = 1
    points[1, 4] = (np.nan, np.nan, 0)
    return formats.PoseSequence(points, AVATAR_20, (120.0, 80.0), 24.0)


def test_round_trip(motion, tmp_path):
    path = tmp_path / "踊り.json"
    formats.write(path, motion)
    read = formats.read(path)
    np.testing.assert_allclose(read.keypoints, motion.keypoints, atol=1e-3)
    assert (read.skeleton, read.size, read.fps) == (AVATAR_20, (120.0, 80.0), 24.0)
    assert json.loads(path.read_text())["frames"][1][4] is None


def test_depth_is_kept(motion, tmp_path):
    world = np.random.default_rng(1).uniform(-1, 1, (3, 20, 3)).astype(np.float32)
    world[1, 4] = np.nan
    motion = dataclasses.replace(motion, world=world)
    formats.write(tmp_path / "a.json", motion)
    np.testing.assert_allclose(formats.read(tmp_path / "a.json").world, world, atol=1e-4)
    motion.keypoints[2] = (np.nan, np.nan, 0)
    formats.write(tmp_path / "a.json", motion.as_people(["x", "y", "z"]))
    people = formats.read_people(tmp_path / "a.json")
    assert [len(f) for f in people.frames] == [len(w) for w in people.worlds] == [1, 1, 0]
    np.testing.assert_allclose(people.worlds[0][0], world[0], atol=1e-4)
    document = json.loads((tmp_path / "a.json").read_bytes())
    document["world"].pop()
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(formats.PoseFileError, match="20 joints of 3 numbers"):
        formats.read(tmp_path / "a.json")


def test_conversion_goes_by_name(motion):
    body = motion.as_skeleton(OPENPOSE_18)
    np.testing.assert_array_equal(body.keypoints, motion.keypoints[:, :18])
    back = body.as_skeleton(AVATAR_20)
    top, middle = AVATAR_20.index("head_top"), AVATAR_20.index("mid_hip")
    assert np.isnan(back.keypoints[:, top, :2]).all() and (back.keypoints[:, top, 2] == 0).all()
    hips = [AVATAR_20.index(f"{side}_hip") for side in ("left", "right")]
    np.testing.assert_allclose(back.keypoints[:, middle], motion.keypoints[:, hips].mean(1), rtol=1e-6)
    swapped = formats.PoseSequence(motion.keypoints[:, AVATAR_20.flip], AVATAR_20, motion.size)
    left = AVATAR_20.index("left_wrist")
    assert not np.array_equal(swapped.keypoints[0, left], motion.keypoints[0, left])


def test_resizing_keeps_the_shape(motion):
    small = motion.resized(60, 60)
    # The height decides: half the size, centred with 10 pixels to either side.
    np.testing.assert_allclose(small.keypoints[0, :, 0], motion.keypoints[0, :, 0] / 2 + 10, rtol=1e-5)
    np.testing.assert_allclose(small.keypoints[0, :, 1], motion.keypoints[0, :, 1] / 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: "{", "is not JSON"),
        (lambda d: [1, 2], "is not a keypoints file"),
        (lambda d: d | {"format": "other"}, "is not a keypoints file"),
        (lambda d: {k: v for k, v in d.items() if k != "width"}, "lacks width"),
        (lambda d: d | {"skeleton": "horse"}, "unknown skeleton 'horse'; known: openpose_18, avatar_20"),
        (lambda d: d | {"names": d["names"][::-1]}, "joint names are not those of avatar_20"),
        (lambda d: d | {"frames": [[[1, 2]]]}, "20 joints of 3 numbers"),
        (lambda d: d | {"frames": []}, "has no frames"),
        (lambda d: d | {"fps": 0}, "must be positive"),
    ],
)
def test_bad_files_are_named(motion, tmp_path, change, says):
    path = tmp_path / "poses.json"
    formats.write(path, motion)
    changed = change(json.loads(path.read_text()))
    path.write_text(changed if isinstance(changed, str) else json.dumps(changed))
    with pytest.raises(formats.PoseFileError, match=says) as error:
        formats.read(path)
    assert str(path) in str(error.value)


def test_absent_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no pose file"):
        formats.read(tmp_path / "nothing.json")


def test_a_derived_joint_is_as_visible_as_the_worse_of_its_ends(motion):
    points = np.ones((1, 17, 3), np.float32)
    points[0, COCO_17.index("left_hip")] = (10, 20, 1)
    points[0, COCO_17.index("right_hip")] = (20, 40, 0)
    points[0, COCO_17.index("left_shoulder")] = (np.nan, np.nan, 0)
    converted = formats.PoseSequence(points, COCO_17, (64, 64)).as_skeleton(OPENPOSE_18)
    assert np.isnan(converted.keypoints[0, OPENPOSE_18.index("neck"), :2]).all()
    converted = formats.PoseSequence(points, COCO_17, (64, 64)).as_skeleton(AVATAR_20)
    np.testing.assert_array_equal(converted.keypoints[0, AVATAR_20.index("mid_hip")], (15, 30, 0))


@pytest.mark.parametrize("kind", formats.KINDS)
def test_what_is_written_is_recognised(motion, tmp_path, kind):
    path = tmp_path / "踊り 1.json"
    formats.write(path, motion, kind)
    read = formats.read(path, fps=12)
    assert len(read.keypoints) == 3 and tuple(read.size) == (120, 80)
    wrist = read.keypoints[:, read.skeleton.index("left_wrist"), :2]
    # OpenPose keeps what is inside the picture only, and this format alone says no rate.
    wanted = motion.keypoints[:, AVATAR_20.index("left_wrist"), :2]
    kept = np.isfinite(wrist).all(1)
    np.testing.assert_allclose(wrist[kept], wanted[kept], atol=1e-3)
    assert read.fps == (12 if kind == "openpose" else 24)
    (everybody,) = {len(frame) for frame in formats.read_people(path).frames}
    assert everybody == 1


def test_unknown_kind(motion, tmp_path):
    with pytest.raises(ValueError, match="written as anime_pt, openpose, coco, not 'bvh'"):
        formats.write(tmp_path / "a.bvh", motion, "bvh")


@pytest.mark.parametrize("kind", formats.KINDS)
def test_a_failing_write_leaves_the_old_file(motion, tmp_path, kind, monkeypatch):
    path = tmp_path / "poses.json"
    formats.write(path, motion, kind)
    before = path.read_bytes()

    def full(self, *_, **__):
        self.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pathlib.Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        formats.write(path, motion, kind)
    assert [p.name for p in tmp_path.iterdir()] == ["poses.json"] and path.read_bytes() == before


@pytest.fixture
def pictures():
    """A figure in each of three pictures of several sizes; nobody in the second one."""
    points = np.random.default_rng(0).uniform(1, 60, (3, 1, 18, 3)).astype(np.float32).round(2)
    points[..., 2] = np.linspace(0.1, 0.95, 18).round(2)
    points[0, 0, 4] = (np.nan, np.nan, 0)
    frames = [points[0], points[1][:0], points[2]]
    sizes = [(64.0, 96.0), (80.0, 64.0), (64.0, 96.0)]
    return formats.People(frames, OPENPOSE_18, sizes, 30.0, ["絵 1.png", "b.png", "c.jpg"])


@pytest.mark.parametrize("kind", formats.KINDS)
def test_pictures_of_several_sizes(kind, pictures, tmp_path):
    path = tmp_path / ("out" if kind == "openpose" else "out.json")
    if kind == "coco":
        coco.write(path, pictures, skeleton=OPENPOSE_18, scored=True)
    else:
        formats.write(path, pictures, kind)
    read = formats.read_people(path)
    order = [read.names.index(n if kind != "openpose" else n.split(".")[0]) for n in pictures.names]
    assert [read.sizes[i] for i in order] == pictures.sizes and read.skeleton == OPENPOSE_18
    for i, wanted in zip(order, pictures.frames, strict=True):
        np.testing.assert_allclose(read.frames[i], wanted, atol=1e-3)
    with pytest.raises(formats.PoseFileError, match=r"several (clips|sizes)"):
        formats.read(path)


def test_versions(pictures, motion, tmp_path):
    def document(poses):
        formats.write(tmp_path / "a.json", poses)
        return json.loads((tmp_path / "a.json").read_bytes())

    several = document(pictures)
    assert several["version"] == 2 and "width" not in several
    assert several["pictures"][1] == {"name": "b.png", "width": 64, "height": 80}
    assert several["frames"][1] == [None] * 18
    named = document(motion.as_people(["x", "y", "z"]))
    assert (named["version"], named["width"], named["pictures"][2]["name"]) == (1, 80, "z")
    plain = document(motion)
    assert plain["version"] == 1 and "pictures" not in plain
    assert named["frames"] == plain["frames"]
    # Those of one size can be read as a clip.
    formats.write(tmp_path / "a.json", motion.as_people(["x", "y", "z"]))
    np.testing.assert_allclose(formats.read(tmp_path / "a.json").keypoints, motion.keypoints, atol=1e-3)


@pytest.mark.parametrize("change", [lambda p: p[:2], lambda p: [{"name": "a"}] * 3, lambda p: 7])
def test_pictures_that_do_not_fit_the_frames(change, pictures, tmp_path):
    formats.write(tmp_path / "a.json", pictures)
    document = json.loads((tmp_path / "a.json").read_bytes())
    document["pictures"] = change(document["pictures"])
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(formats.PoseFileError, match="a name, a width and a height for each of 3 frames"):
        formats.read_people(tmp_path / "a.json")


def test_one_figure_in_each_picture(pictures, tmp_path):
    pictures.frames[2] = pictures.frames[2].repeat(2, 0)
    with pytest.raises(ValueError, match="holds one figure in each picture"):
        formats.write(tmp_path / "a.json", pictures)
    formats.write(tmp_path / "b.json", pictures, "coco")
    assert [len(f) for f in formats.read_people(tmp_path / "b.json").frames] == [1, 0, 2]


def test_coco_scores(pictures, tmp_path):
    coco.write(tmp_path / "a.json", pictures, scored=True)
    document = json.loads((tmp_path / "a.json").read_bytes())
    first = document["annotations"][0]
    wanted = sequences.convert(pictures.frames[0], OPENPOSE_18, COCO_17)[0, :, 2]
    np.testing.assert_allclose(first["keypoint_scores"], wanted, atol=1e-4)
    assert first["score"] == pytest.approx(wanted[wanted > 0].mean(), abs=1e-4)
    assert document["images"][1]["file_name"] == "b.png" and document["annotations"][1]["image_id"] == 3


def test_names_that_only_differ_in_their_suffix():
    assert files.stems(["a.png", "A.jpg", "b.png"]) == ["a.png", "A.jpg", "b"]


def _documents(x: float):
    """A figure in each format, whose nose is at x."""
    points = [[x, 8.0], *([8.0 + i, 9.0 + i] for i in range(17))]
    scored = [[*p, 1.0] for p in points]
    yield {"people": [{"pose_keypoints_2d": np.ravel(scored).tolist()}]}
    yield [{"image_id": 0, "category_id": 1, "keypoints": np.ravel(scored[:17]).tolist(), "score": 1.0}]
    yield {
        "images": [{"id": 0, "width": 64, "height": 64}],
        "categories": [{"id": 1, "keypoints": COCO_17.keypoints}],
        "annotations": [{"image_id": 0, "category_id": 1, "keypoints": np.ravel(scored[:17]).tolist()}],
    }
    yield [{"keypoints": [points[:17]], "scores": [[1.0] * 17]}]
    yield [[{"x": p[0], "y": p[1], "z": 0.0} for p in (points * 2)[:33]]]
    own = {"format": "anime_pt/keypoints", "version": 1, "skeleton": "coco_17", "names": COCO_17.keypoints}
    yield own | {"width": 64, "height": 64, "frames": [scored[:17]]}


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("x", [1e300, -1e300, np.inf])
def test_numbers_that_are_no_places_are_unknown(number, x, tmp_path, recwarn):
    documents = zip(_documents(x), _documents(7.0), strict=True)
    large, right = (read_as_text(d, tmp_path) for d in list(documents)[number])
    np.testing.assert_array_equal(large[0], (np.nan, np.nan, 0))
    assert np.isfinite(right[0]).all()
    np.testing.assert_array_equal(large[1:17], right[1:17])
    assert not recwarn.list, "they would be printed before the command's own line"


def read_as_text(document, folder: pathlib.Path) -> np.ndarray:
    (folder / "a.json").write_text(json.dumps(document))
    return formats.read(folder / "a.json").keypoints[0]
