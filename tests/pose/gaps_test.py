import dataclasses

import numpy as np
import pytest

from anime_pt.pose import gaps
from anime_pt.pose.sequences import PoseSequence
from anime_pt.pose.skeletons import COCO_17

WRIST, ELBOW, NOSE = (COCO_17.index(n) for n in ("left_wrist", "left_elbow", "nose"))


@pytest.fixture
def clip():
    """Joints on parabolas; their depth on others."""
    t = np.arange(30.0)[:, None]
    k = np.arange(17.0)
    points = np.stack([5 * t + k, 0.1 * t**2 + 2 * k, np.full((30, 17), 0.75)], -1).astype(np.float32)
    world = np.stack([t / 10 + 0 * k, 0 * t + k, 0.01 * t**2 + 0 * k], -1).astype(np.float32)
    return PoseSequence(points, COCO_17, (200, 300), 30.0, world)


def without(clip, joints, *frames):
    points = clip.keypoints.copy()
    for i in frames:
        points[i, joints] = (np.nan, np.nan, 0)
    return dataclasses.replace(clip, keypoints=points)


def test_lines_and_curves(clip):
    holes = without(clip, WRIST, 10, 11, 12)
    line, report = gaps.fill(holes, 3, "linear")
    x, y = clip.keypoints[[9, 13], WRIST, :2].T
    np.testing.assert_allclose(line.keypoints[10:13, WRIST, 0], np.linspace(*x, 5)[1:-1], rtol=1e-6)
    np.testing.assert_allclose(line.keypoints[10:13, WRIST, 1], np.linspace(*y, 5)[1:-1], rtol=1e-6)
    # A parabola is a cubic curve.
    curve, _ = gaps.fill(holes, 3, "spline")
    np.testing.assert_allclose(curve.keypoints, clip.keypoints, atol=1e-3)
    assert np.abs(line.keypoints - clip.keypoints).max() > 0.1
    assert report.gaps == (gaps.Gap("left_wrist", 10, 13, "filled"),) == report.filled
    assert report.missing == report.empty == ()
    assert report.lines() == ["frames 10 to 12: left_wrist: filled in"]
    # What was known is as it was.
    known = np.ones((30, 17), bool)
    known[10:13, WRIST] = False
    np.testing.assert_array_equal(curve.keypoints[known], clip.keypoints[known])


def test_visibility_is_the_lesser_ends(clip):
    clip.keypoints[13, WRIST, 2] = 0.25
    filled, _ = gaps.fill(without(clip, WRIST, 11, 12), 2)
    assert (filled.keypoints[11:13, WRIST, 2] == 0.25).all()


def test_nothing_is_held_and_everything_is_said(clip):
    holes = without(clip, WRIST, 0, 1, *range(10, 20), 28, 29)
    holes = without(holes, NOSE, *range(30))
    holes = without(holes, slice(None), 5, 6)
    filled, report = gaps.fill(holes, 8)
    for frames in ([0, 1], range(10, 20), [28, 29]):
        assert np.isnan(filled.keypoints[frames, WRIST, :2]).all()
        assert (filled.keypoints[frames, WRIST, 2] == 0).all()
    assert np.isnan(filled.keypoints[:, NOSE, :2]).all()
    assert np.isfinite(filled.keypoints[5:7, 1:]).all()
    assert report.empty == (5, 6) and (report.frames, report.joints) == (30, 17)
    kinds = [(g.start, g.stop, g.kind) for g in report.gaps if g.joint == "left_wrist"]
    assert kinds == [(0, 2, "start"), (5, 7, "filled"), (10, 20, "long"), (28, 30, "end")]
    assert [g.kind for g in report.gaps if g.joint == "nose"] == ["never"]
    assert len(report.filled) == 16 and len(report.missing) == 4
    lines = report.lines()
    assert lines[0] == "frames 0 to 1: left_wrist: unknown: not found before"
    assert lines[1] == "frames 0 to 29: nose: never found"
    assert lines[2].startswith("frames 5 to 6: left_eye, right_eye, ")
    assert lines[3] == "frames 10 to 19: left_wrist: unknown: the gap is too long to be filled"
    assert lines[4] == "frames 28 to 29: left_wrist: unknown: not found any more"
    _, all_gone = gaps.fill(without(clip, slice(None), 7), 0)
    assert all_gone.lines() == ["frame 7: all joints: unknown: the gap is too long to be filled"]
    # The input is not changed.
    assert np.isnan(holes.keypoints[5, 1, 0])


@pytest.mark.parametrize("method", gaps.METHODS)
def test_gaps_near_the_ends_and_beside_each_other(clip, method):
    # One known frame before the first gap, one between the gaps.
    filled, report = gaps.fill(without(clip, ELBOW, 1, 2, 4, 5), 2, method)
    assert len(report.filled) == 2
    np.testing.assert_allclose(filled.keypoints[:, ELBOW, 0], clip.keypoints[:, ELBOW, 0], rtol=1e-5)
    short = dataclasses.replace(clip, keypoints=without(clip, ELBOW, 1).keypoints[:3], world=None)
    np.testing.assert_allclose(
        gaps.fill(short, 1, method)[0].keypoints[1, ELBOW, 0], clip.keypoints[1, ELBOW, 0], rtol=1e-6
    )


def test_depth_is_filled_too(clip):
    clip.world[10:12, WRIST] = np.nan
    clip.world[28:, WRIST] = np.nan
    filled, _ = gaps.fill(clip, 2, "spline")
    np.testing.assert_allclose(filled.world[10:12, WRIST, 2], 0.01 * np.arange(10, 12) ** 2, atol=1e-4)
    assert np.isnan(filled.world[28:, WRIST]).all()


def test_unsure_joints_become_unknown(clip):
    clip.keypoints[3, WRIST, 2] = 0.2
    sure = gaps.without_unsure(clip, 0.3)
    np.testing.assert_array_equal(sure.keypoints[3, WRIST], (np.nan, np.nan, 0))
    assert np.isnan(sure.world[3, WRIST]).all()
    assert np.isnan(sure.keypoints).sum() == 2 and clip.keypoints[3, WRIST, 0] == 15 + WRIST


def test_what_is_refused(clip):
    with pytest.raises(ValueError, match="by linear or spline, not 'hold'"):
        gaps.fill(clip, 3, "hold")
    with pytest.raises(ValueError, match="0 or more frames, got -1"):
        gaps.fill(clip, -1)


def test_runs():
    assert gaps.runs(np.array([1, 1, 0, 1, 0, 0, 1], bool)) == [(0, 2), (3, 4), (6, 7)]
    assert gaps.runs(np.zeros(3, bool)) == gaps.runs(np.zeros(0, bool)) == []
