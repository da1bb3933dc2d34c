import dataclasses

import numpy as np
import pytest

from anime_pt.pose import formats, smoothing
from anime_pt.pose.sequences import PoseSequence
from anime_pt.pose.skeletons import COCO_17
from tests.avatars import asset_files

FPS = 30.0


def motion(count=90):
    """(t, 17, 3) joints that swing, each at its own pace, over some 400 pixels."""
    t, k = np.arange(count)[:, None] / FPS, np.arange(17.0)
    x = 200 + 60 * np.sin(2 * np.pi * 0.6 * t + k)
    y = 60 + 24 * k + 15 * np.cos(2 * np.pi * (0.4 + 0.03 * k) * t)
    return np.stack([x, y, np.broadcast_to(0.5 + k / 40, x.shape)], -1)


@pytest.fixture(scope="module")
def noisy():
    out = motion()
    out[..., :2] += np.random.default_rng(0).normal(0, 2, out[..., :2].shape)
    return out


def error(points):
    return np.linalg.norm((points - motion())[..., :2], axis=-1).mean()


def acceleration(points):
    return np.linalg.norm(np.diff(points[..., :2], 2, axis=0), axis=-1).mean()


FILTERS = {
    "savgol": lambda p: smoothing.savgol(p),
    "median": lambda p: smoothing.median(p),
    "median_savgol": lambda p: smoothing.median_savgol(p),
    "one_euro": lambda p: smoothing.one_euro(p, FPS),
}
# Of the jitter's error and acceleration, what each leaves at most; from the values of this clip.
LEFT = {"savgol": (0.6, 0.2), "median": (0.85, 0.65), "median_savgol": (0.6, 0.17), "one_euro": (1.15, 0.65)}


@pytest.mark.parametrize("name", FILTERS)
def test_jitter_is_taken_out(name, noisy):
    out = FILTERS[name](noisy)
    of_error, of_acceleration = LEFT[name]
    assert error(out) < of_error * error(noisy)
    assert acceleration(out) < of_acceleration * acceleration(noisy)
    np.testing.assert_array_equal(out[..., 2], noisy[..., 2])


@pytest.mark.parametrize("name", FILTERS)
def test_what_is_unknown_stays_so_and_disturbs_nothing(name, noisy):
    holes = noisy.copy()
    holes[30:34, 5] = (np.nan, np.nan, 0)
    holes[:, 8] = (np.nan, np.nan, 0)
    holes[0, 2] = holes[-1, 3] = (np.nan, np.nan, 0)
    out = FILTERS[name](holes)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(holes))
    others = [j for j in range(17) if j not in (2, 3, 5, 8)]
    np.testing.assert_allclose(out[:, others], FILTERS[name](noisy)[:, others], rtol=1e-12)
    # On both sides of the gap it goes on, near the true place.
    near = np.abs(out - motion())[[28, 29, 34, 35], 5, :2]
    assert near.max() < 8


@pytest.mark.parametrize("name", FILTERS)
def test_lag(name):
    clean = motion()
    out = FILTERS[name](clean)
    late = [np.square(out[10:-10, :, :2] - clean[10 - s : 80 - s, :, :2]).mean() for s in range(-3, 4)]
    assert np.argmin(late) - 3 in ((0, 1) if name == "one_euro" else (0,))


def test_savgol_keeps_polynomials_of_its_order():
    t = np.arange(40.0)[:, None]
    points = np.stack([t**2 - 3 * t + np.arange(17), 0.5 * t**2 + 0 * np.arange(17), np.ones((40, 17))], -1)
    np.testing.assert_allclose(smoothing.savgol(points, 11, 2), points, atol=1e-8)
    assert np.abs(smoothing.savgol(points, 11, 1) - points).max() > 1
    # Against the definition: the least-squares parabola of a window, at its middle.
    noise = np.random.default_rng(0).normal(0, 3, points.shape)
    noise[..., 2] = 0
    values = (points + noise)[7:16, 4, 0]
    fitted = np.polyval(np.polyfit(np.arange(-4, 5), values, 2), 0)
    np.testing.assert_allclose(smoothing.savgol(points + noise, 9, 2)[11, 4, 0], fitted)


def test_short_stretches(noisy):
    for count in range(1, 4):
        np.testing.assert_array_equal(smoothing.savgol(noisy[:count], 9, 2), noisy[:count])
    np.testing.assert_allclose(smoothing.savgol(noisy[:6], 9, 2), smoothing.savgol(noisy[:6], 5, 2))
    np.testing.assert_array_equal(smoothing.median(noisy[:2], 7), noisy[:2])


def test_the_median_takes_out_outliers_whole(noisy):
    thrown = noisy.copy()
    thrown[[40, 41], 7, :2] += 500
    thrown[60, 7, :2] -= 500
    out = smoothing.median(thrown, 5)
    assert np.abs(out - motion())[:, 7, :2].max() < 15
    both = smoothing.median_savgol(thrown)
    assert np.abs(both - motion())[56:65, 7, :2].max() < 8
    assert np.abs(smoothing.savgol(thrown) - motion())[60, 7, :2].max() > 80
    np.testing.assert_array_equal(out[40, 3, 0], np.median(noisy[38:43, 3, 0]))
    # At the ends the window shrinks: no lag.
    np.testing.assert_array_equal(out[0], noisy[0])
    np.testing.assert_array_equal(out[1, 3, 0], np.median(noisy[:3, 3, 0]))


def test_one_euro_looks_at_the_past_alone(noisy):
    changed = noisy.copy()
    changed[50:] += 100
    ours, others = smoothing.one_euro(noisy, FPS), smoothing.one_euro(changed, FPS)
    np.testing.assert_array_equal(ours[:50], others[:50])
    assert (ours[50:, :, :2] != others[50:, :, :2]).all()
    step = smoothing.OneEuro(FPS)
    np.testing.assert_array_equal(np.stack([step(frame) for frame in noisy]), ours)


def test_one_euro_by_its_definition():
    # Casiez et al., algorithm 1, for one coordinate of one joint; speeds are divided by the scale.
    values = np.cumsum(np.random.default_rng(0).normal(0, 3, 50))
    settings = {"min_cutoff": 0.8, "beta": 9.0, "derivative_cutoff": 1.5, "scale": 80.0}
    share = lambda cutoff: 1 / (1 + FPS / (2 * np.pi * cutoff))
    smooth, speed, expected = values[0], 0.0, [values[0]]
    for value in values[1:]:
        a = share(1.5)
        speed = a * (value - smooth) * FPS + (1 - a) * speed
        a = share(0.8 + 9.0 * abs(speed) / 80)
        smooth = a * value + (1 - a) * smooth
        expected.append(smooth)
    points = np.stack([values, 0 * values, 0 * values + 1], -1)[:, None]
    np.testing.assert_allclose(smoothing.one_euro(points, FPS, **settings)[:, 0, 0], expected, rtol=1e-12)


def test_one_euro_does_not_depend_on_size_or_rate(noisy):
    large = noisy * (7, 7, 1)
    np.testing.assert_allclose(
        smoothing.one_euro(large, FPS)[..., :2], 7 * smoothing.one_euro(noisy, FPS)[..., :2]
    )
    # A joint that comes back after a gap of a second is believed.
    holes = noisy.copy()
    holes[30:60, 5] = (np.nan, np.nan, 0)
    holes[60:, 5, 0] += 300
    back = smoothing.one_euro(holes, FPS)
    assert abs(back[60, 5, 0] - holes[60, 5, 0]) < 60


def test_clips_are_smoothed_with_their_depth(noisy):
    world = np.concatenate([noisy[..., :2], noisy[..., :1]], -1) / 100
    clip = PoseSequence(noisy.astype(np.float32), COCO_17, (480, 640), FPS, world)
    for name in smoothing.FILTERS:
        out = smoothing.smooth(clip, name)
        np.testing.assert_allclose(out.keypoints, FILTERS[name](clip.keypoints), rtol=1e-6)
        assert acceleration(out.world[..., [2, 2]]) < 0.8 * acceleration(world[..., [2, 2]])
        np.testing.assert_allclose(out.world[..., 2], out.world[..., 0], atol=1e-6)
        assert out.keypoints.dtype == np.float32
    slow = dataclasses.replace(clip, fps=10.0)
    assert (smoothing.smooth(slow, "one_euro").keypoints != out.keypoints).any()
    for fps, window in ((5.0, 3), (24.0, 7), (60.0, 17)):
        other = dataclasses.replace(clip, fps=fps)
        np.testing.assert_array_equal(
            smoothing.smooth(other, "savgol").keypoints, smoothing.savgol(clip.keypoints, window)
        )
    np.testing.assert_array_equal(
        smoothing.smooth(clip, "savgol", window=15).keypoints, smoothing.savgol(clip.keypoints, 15)
    )


def test_what_is_refused(noisy):
    for function in (smoothing.savgol, smoothing.median):
        with pytest.raises(ValueError, match="an odd number of frames, got 4"):
            function(noisy, 4)
    with pytest.raises(ValueError, match="from 0 to below the window 5, got 5"):
        smoothing.savgol(noisy, 5, 5)
    with pytest.raises(ValueError, match="must be positive"):
        smoothing.OneEuro(0)
    with pytest.raises(ValueError, match="by savgol, median, median_savgol, one_euro, not 'kalman'"):
        smoothing.smooth(PoseSequence(noisy, COCO_17, (9, 9)), "kalman")


CHAINS = [p.parents[1] for p in asset_files.find(".txt") if p.name == "smoothed.txt"]


@pytest.mark.parametrize(
    "folder",
    CHAINS or [pytest.param(None, marks=pytest.mark.skip(reason=f"no OpenMMD below {asset_files.ROOT}"))],
    ids=lambda p: getattr(p, "name", "none"),
)
def test_the_median_is_openmmds(folder):
    """On the clip that OpenMMD comes with, whose joints are all found."""
    (source,) = {p.parent for p in folder.rglob("*_keypoints.json")}
    read = formats.read(source)
    assert np.isfinite(read.keypoints).all()
    theirs = np.loadtxt(folder / "out" / "smoothed.txt").reshape(len(read.keypoints), 18, 2)
    ours = smoothing.median(read.keypoints, **smoothing.OPENMMD)
    np.testing.assert_allclose(ours[..., :2], theirs, atol=1e-3)
    assert np.abs(smoothing.median(read.keypoints, 7)[..., :2] - theirs)[:4].max() > 0.01
