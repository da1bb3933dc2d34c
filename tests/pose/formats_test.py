import json

import numpy as np
import pytest

from anime_pt.pose import formats
from anime_pt.pose.skeletons import AVATAR_20, OPENPOSE_18


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


def test_conversion_goes_by_name(motion):
    body = motion.as_skeleton(OPENPOSE_18)
    np.testing.assert_array_equal(body.keypoints, motion.keypoints[:, :18])
    back = body.as_skeleton(AVATAR_20)
    assert np.isnan(back.keypoints[:, 18:, :2]).all() and (back.keypoints[:, 18:, 2] == 0).all()
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
