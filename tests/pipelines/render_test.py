"""Clips of a built-in character: what is in the pictures, and where."""

import threading
from fractions import Fraction

import numpy as np
import pytest

from anime_pt.avatars import keypoints, motions, procedural
from anime_pt.avatars.camera import Camera, Perspective
from anime_pt.pipelines import overlay, render
from anime_pt.pose.skeletons import AVATAR_20


@pytest.fixture(scope="module")
def character():
    return procedural.build(7)


@pytest.fixture(scope="module")
def motion():
    return motions.load("procedural:3")


@pytest.fixture(scope="module")
def clip(character, motion):
    return render.Clip.of(character, motion, (72, 96), Fraction(24), start=0.25, count=8)


@pytest.fixture(scope="module")
def shots(clip):
    return list(render.shots(clip, render.fitted(clip)))


def test_length_is_the_motions(character, motion):
    seconds = motion.frames / motion.fps
    clip = render.Clip.of(character, motion, (8, 8), 12)
    assert clip.count == round(seconds * 12)
    np.testing.assert_allclose(clip.times(), np.arange(clip.count) / 12)
    late = render.Clip.of(character, motion, (8, 8), Fraction(24000, 1001), start=seconds - 0.5)
    assert late.count == round(0.5 * 24000 / 1001) and late.times()[0] == seconds - 0.5
    assert render.Clip.of(character, motion, (8, 8), 24, count=5000).count == 5000


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"start": 1e5}, r"lasts .* seconds; it has no moment 100000"),
        ({"start": -1.0}, "it has no moment -1"),
        ({"count": 0}, "from 1 to 1,000,000 frames, not 0"),
        ({"count": 2_000_000}, "not 2,000,000"),
    ],
)
def test_clips_that_there_are_not(character, motion, asked, says):
    with pytest.raises(ValueError, match=says):
        render.Clip.of(character, motion, (8, 8), 24, **asked)


def test_keypoints_are_the_joints_through_the_camera(clip, shots):
    view = render.fitted(clip)
    moving = []
    for shot, seconds in zip(shots, clip.times(), strict=True):
        globals_, _ = clip.moment(seconds)
        wanted = view(seconds).project(keypoints.positions(clip.character, globals_))[:, :2]
        np.testing.assert_allclose(shot.keypoints[:, :2], wanted, atol=1e-4)
        assert set(np.unique(shot.keypoints[:, 2])) <= {0, 1}
        moving.append(wanted)
    assert np.ptp(moving, axis=0).max() > 1


@pytest.mark.parametrize("angles", [{}, {"yaw": 50, "pitch": 20, "roll": 10}, {"fov": 40, "yaw": -120}])
def test_the_fitted_camera_shows_all_of_the_figure_all_the_time(clip, angles):
    looked_at = []
    watch = lambda times: (looked_at.append(t) or t for t in times)
    view = render.fitted(clip, margin=0.1, progress=watch, **angles)
    assert looked_at == clip.times()
    assert isinstance(view(0.0), Perspective if "fov" in angles else Camera)
    boxes = np.array([render.box(s.frame) for s in render.shots(clip, view)])
    low, high = boxes[:, :2].min(0), (boxes[:, :2] + boxes[:, 2:]).max(0)
    free = np.array([*low, 96 - high[0], 72 - high[1]])
    # A tenth of 72 pixels, less an outline, on the sides that decide the scale.
    assert free.min() >= 5.5 and np.sort(free)[1] <= 9


def test_a_still_camera_does_not_know_the_motion(clip):
    view = render.still(clip, yaw=30)
    assert view(0.0) == view(9.0) and (view(0.0).height, view(0.0).width) == clip.size
    shot = next(render.shots(clip, view))
    x, y, w, h = render.box(shot.frame)
    assert x > 0 and x + w < 96 and y >= 0 and y + h <= 72 and h > 36
    assert abs(x + w / 2 - 48) < 12


def test_threads_and_where_it_begins_change_nothing(clip, shots):
    view = render.fitted(clip)
    for threads, first in ((1, 0), (3, 0), (2, 5)):
        again = list(render.shots(clip, view, first, threads))
        assert len(again) == clip.count - first
        for a, b in zip(again, shots[first:], strict=True):
            np.testing.assert_array_equal(a.frame.image, b.frame.image)
            np.testing.assert_array_equal(a.keypoints, b.keypoints)


def test_stopping_early_ends_the_threads(clip):
    before = threading.active_count()
    pictures = render.shots(clip, render.fitted(clip))
    next(pictures)
    next(pictures)
    assert threading.active_count() > before
    pictures.close()
    assert threading.active_count() == before


def test_looks_are_passed_on(character, motion, shots):
    bare = render.Clip.of(character, motion, (72, 96), 24, 0.25, 1, outline=0.0, light=(0, 0, -1))
    view = render.fitted(bare)
    plain = next(render.shots(bare, view)).frame.image
    lined = next(render.shots(render.Clip.of(character, motion, (72, 96), 24, 0.25, 1), view)).frame.image
    assert (plain[..., 3] > 0).sum() < (lined[..., 3] > 0).sum()
    inside = (plain[..., 3] == 255) & (lined[..., 3] == 255)
    assert plain[inside].mean() < lined[inside].mean()  # Lit from behind.


def test_box_is_what_is_drawn(shots):
    for shot in shots:
        x, y, w, h = render.box(shot.frame)
        alpha = shot.frame.image[..., 3]
        assert alpha[y : y + h, x : x + w].sum() == alpha.sum()
        assert alpha[y].any() and alpha[y + h - 1].any() and alpha[:, x].any() and alpha[:, x + w - 1].any()
    empty = shots[0].frame.image.copy()
    empty[..., 3] = 0
    assert render.box(type(shots[0].frame)(empty, *[None] * 3)) == (0, 0, 0, 0)


@pytest.mark.parametrize("channels", [3, 4])
def test_overlay_draws_joints_where_they_are(channels):
    image = np.zeros((64, 64, channels), np.uint8)
    points = np.full((20, 3), np.nan, np.float32)
    points[:, 2] = 0
    points[AVATAR_20.index("left_hip")] = (20.5, 30.5, 1)
    points[AVATAR_20.index("left_knee")] = (20.5, 50.5, 0)
    drawn = overlay.keypoints(image, points, AVATAR_20)
    assert not image.any()
    red, white, line = drawn[30, 20], drawn[50, 20], drawn[40, 20]
    assert red[0] == 255 and red[1] < 60 and (white[:3] == 255).all() and line[:3].max() > 100
    rows, columns = np.nonzero(drawn.any(-1))
    assert rows.min() >= 26 and rows.max() <= 54 and np.abs(columns - 20).max() <= 4
    if channels == 4:
        assert drawn[30, 20, 3] == 255 and drawn[40, 20, 3] > 200 and drawn[5, 5, 3] == 0
