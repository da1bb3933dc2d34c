"""Tests of OpenMMD's text files: written ones, torn ones, and every real one that is found."""

import pathlib

import numpy as np
import pytest

from anime_pt.avatars import rotations
from anime_pt.avatars.formats.binary import FormatError
from anime_pt.avatars.poses import LIMBS
from tests.avatars import asset_files
from tfds_builders.mmd_pairs import openmmd

_DUMMY = pathlib.Path(__file__).parent / "dummy_data" / "clips" / "bow"


def upright(turn: float = 0.0, lean: float = 0.0) -> np.ndarray:
    """(17, 3) joints of a standing figure with hanging arms, turned about Y and its trunk leaning forward."""
    points = {
        "hips": (0, 1, 0), "spine": (0, 1.25, 0), "thorax": (0, 1.5, 0), "nose": (0, 1.6, 0.1),
        "head": (0, 1.7, 0),
        "left_shoulder": (0.2, 1.5, 0), "left_elbow": (0.2, 1.2, 0), "left_wrist": (0.2, 0.9, 0),
        "left_hip": (0.1, 1, 0), "left_knee": (0.1, 0.5, 0), "left_ankle": (0.1, 0, 0),
    }  # fmt: skip
    points |= {
        n.replace("left", "right"): (-x, y, z) for n, (x, y, z) in points.items() if n.startswith("left")
    }
    rows = np.array([points[name] for name in openmmd.JOINTS.values()], float)
    about = rotations.about(np.array([0.0, 1.0, 0.0]), turn)
    forward = rotations.about(np.array([1.0, 0.0, 0.0]), lean)
    above = rows[:, 1] > 1.01
    rows[above] = (rows[above] - (0, 1, 0)) @ forward.T + (0, 1, 0)
    return rows @ about.T


def test_positions_are_turned_to_our_space(tmp_path):
    rows = [f"{i} {10 * k} {20 * k} {30 * k}" for k, i in enumerate(openmmd.JOINTS)]
    path = tmp_path / "pos.txt"
    path.write_text(", ".join(rows) + "\n" + ", ".join(rows) + "\n\n")
    found = openmmd.read_positions(path)
    assert found.shape == (2, 17, 3)
    np.testing.assert_allclose(found[1, 3], [0.03, 0.09, -0.06])


def test_smoothed_joints_at_the_origin_are_missing(tmp_path):
    values = np.arange(1, 37.0)
    values[4:6] = 0
    path = tmp_path / "smoothed.txt"
    path.write_text(" ".join(map(str, values)) + "\n")
    (points,) = openmmd.read_smoothed(path)
    assert np.isnan(points[2, :2]).all()
    assert points[2, 2] == 0
    np.testing.assert_array_equal(points[3], [7, 8, 1])


def test_poses_take_the_directions_of_the_limbs():
    raised = upright()
    raised[list(openmmd.JOINTS.values()).index("left_wrist")] = (0.5, 1.2, 0)
    pose = openmmd.poses(raised[None])[0]
    np.testing.assert_allclose(pose.limbs[LIMBS.index("leftLowerArm")], [1, 0, 0], atol=1e-9)
    np.testing.assert_allclose(pose.limbs[LIMBS.index("rightLowerArm")], [0, -1, 0], atol=1e-9)
    np.testing.assert_allclose(pose.spine, 0, atol=1e-9)
    np.testing.assert_allclose(pose.root, 0, atol=1e-9)


@pytest.mark.parametrize("turn", [-1.2, 0.4, 2.5])
def test_the_trunk_turns_with_the_hips(turn):
    (pose,) = openmmd.poses(upright(turn)[None])
    np.testing.assert_allclose(pose.spine[0], [0, turn, 0], atol=1e-9)
    np.testing.assert_allclose(pose.spine[1:], 0, atol=1e-9)


def test_a_lean_of_the_whole_clip_is_the_liftings():
    poses = openmmd.poses(np.stack([upright(lean=0.5), upright(lean=0.5), upright(lean=0.8)]))
    np.testing.assert_allclose(poses[0].spine[1:3], 0, atol=1e-6)
    # What differs from the clip's median stays, shared by two joints.
    np.testing.assert_allclose(poses[2].spine[1:3].sum(0), [0.3, 0, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("smoothed.txt", "1 2 3\n", "line 1 must hold 36 numbers"),
        ("smoothed.txt", "1 " * 35 + "nan\n", "line 1 must hold 36 numbers"),
        ("smoothed.txt", "1 " * 36 + "\nx\n", "line 2 must hold 36 numbers"),
        ("smoothed.txt", "\n\n", "has 0 lines"),
        ("smoothed.txt", "é", "not a text file"),
        ("pos.txt", ", ".join(f"{i} 0 0 0" for i in range(17)), "line 1 must name the joints 0, 1, 2, 3, 6"),
        ("pos.txt", ", ".join(f"{i} 0 0 1e300" for i in openmmd.JOINTS), "line 1 must hold 68 numbers"),
        ("depth.txt", "0, 2.5\n0, 2.5\n", "frames do not rise"),
        ("depth.txt", "0; 2.5\n", "line 1 must hold 2 numbers"),
    ],
)
def test_torn_files(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    read = {
        "smoothed.txt": openmmd.read_smoothed,
        "pos.txt": openmmd.read_positions,
        "depth.txt": openmmd.read_depths,
    }[name]
    with pytest.raises(FormatError, match=message):
        read(path)


def test_truncated_anywhere_is_an_error_or_shorter(tmp_path):
    text = (_DUMMY / "pos.txt").read_text()
    whole = openmmd.read_positions(_DUMMY / "pos.txt")
    path = tmp_path / "pos.txt"
    for end in range(0, len(text), 97):
        path.write_text(text[:end])
        try:
            found = openmmd.read_positions(path)
        except FormatError as error:
            assert str(path) in str(error)
        else:
            # A number that lost digits is still a number.
            np.testing.assert_array_equal(found[:-1], whole[: len(found) - 1])


_READERS = {"pos.txt": openmmd.read_positions, "smoothed.txt": openmmd.read_smoothed}
_REAL = [p for p in asset_files.find(".txt") if p.name in _READERS]


@pytest.mark.skipif(not _REAL, reason=f"no OpenMMD output below {asset_files.ROOT} (set ANIME_PT_ASSETS)")
@pytest.mark.parametrize("path", _REAL, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_real_files(path):
    found = _READERS[path.name](path)
    lines = [line for line in path.read_text().splitlines() if line.strip()]
    assert len(found) == len(lines)
    if path.name == "pos.txt":
        # People: legs and arms of plausible length, heads above hips on the whole.
        names = list(openmmd.JOINTS.values())
        length = lambda a, b: np.linalg.norm(found[:, names.index(a)] - found[:, names.index(b)], axis=-1)
        for a, b in (
            ("left_hip", "left_knee"),
            ("right_knee", "right_ankle"),
            ("left_shoulder", "left_elbow"),
        ):
            assert 0.1 < np.median(length(a, b)) < 1.0
        assert np.median(found[:, names.index("head"), 1] - found[:, names.index("hips"), 1]) > 0
        for pose in openmmd.poses(found):
            np.testing.assert_allclose(np.linalg.norm(pose.limbs, axis=1), 1, atol=1e-6)
