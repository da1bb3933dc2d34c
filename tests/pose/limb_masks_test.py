import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anime_pt.pose import limb_masks
from anime_pt.pose.skeletons import ANIME_DRAWINGS_21, AVATAR_20, OPENPOSE_18

SIZE = (40, 28)


def joints(seed=0, count=4, k=18):
    """Whole pixels, some of them missing: NaN, or outside."""
    rng = np.random.default_rng(seed)
    out = np.ones((count, k, 3), np.float32)
    out[..., 0], out[..., 1] = rng.integers(0, SIZE[1], (count, k)), rng.integers(0, SIZE[0], (count, k))
    out[..., :2] += 0.5
    missing = rng.random((count, k)) < 0.2
    out[missing, :2] = np.where(rng.random((missing.sum(), 1)) < 0.5, np.nan, -3.0)
    return out


def stamp(canvas, row, column, radius):
    """A disc as the public code draws it: coordinates are numbers of pixels, cut to whole ones."""
    for i in range(-int(radius), int(radius) + 1):
        for j in range(-int(radius), int(radius) + 1):
            r, c = int(row) + i, int(column) + j
            if 0 <= r < canvas.shape[0] and 0 <= c < canvas.shape[1] and i * i + j * j <= radius**2:
                canvas[r, c] = True


def square(mask, grow):
    """Dilation or erosion by 5 x 5 where there is a picture."""
    out = np.zeros_like(mask)
    for r, c in np.ndindex(*mask.shape):
        part = mask[max(r - 2, 0) : r + 3, max(c - 2, 0) : c + 3]
        out[r, c] = part.any() if grow else part.all()
    return out


def there(joint):
    return np.isfinite(joint[:2]).all() and (joint[:2] >= 0).all()


@pytest.mark.parametrize("radius", [4.0, 2.0, 2.5])
def test_discs_are_those_of_the_code(radius):
    keypoints = joints()
    maps = np.asarray(jax.jit(lambda k: limb_masks.disc_map(k, SIZE, radius=radius))(keypoints))
    assert maps.shape == (4, *SIZE, 18)
    for b, k in np.ndindex(4, 18):
        expected = np.zeros(SIZE, bool)
        if there(keypoints[b, k]):
            x, y = keypoints[b, k, :2] - 0.5
            stamp(expected, y, x, radius)
        np.testing.assert_array_equal(maps[b, ..., k], np.where(expected, 1, -1))


@pytest.mark.parametrize("radius", [4.0, 2.0])
def test_masks_are_those_of_the_code(radius):
    keypoints = joints(1)
    draw = jax.jit(lambda k: limb_masks.disc_mask(k, SIZE, OPENPOSE_18, radius=radius))
    masks = np.asarray(draw(keypoints))
    assert masks.shape == (4, *SIZE, 1) and masks.dtype == bool
    for b in range(4):
        expected = np.zeros(SIZE, bool)
        for first, second in limb_masks.limbs_of(OPENPOSE_18):
            ends = keypoints[b, [first, second]].astype(float)
            if not (there(ends[0]) and there(ends[1])):
                continue
            (c0, r0), (c1, r1) = ends[:, :2] - 0.5
            stamp(expected, r0, c0, radius)
            stamp(expected, r1, c1, radius)
            samples = int(np.hypot(r0 - r1, c0 - c1) / radius)
            for i in range(1, samples):
                stamp(expected, r0 + (r1 - r0) * i / samples, c0 + (c1 - c0) * i / samples, radius)
        expected = square(square(expected, True), False)
        assert 0.2 < expected.mean() < 1
        np.testing.assert_array_equal(masks[b, ..., 0], expected)


def test_limbs_go_by_name():
    assert len(limb_masks.LIMBS) == len(set(limb_masks.LIMBS)) == len(limb_masks.limbs_of(OPENPOSE_18)) == 23
    np.testing.assert_array_equal(limb_masks.limbs_of(AVATAR_20), limb_masks.limbs_of(OPENPOSE_18))
    names = [
        tuple(ANIME_DRAWINGS_21.keypoints[i] for i in limb) for limb in limb_masks.limbs_of(ANIME_DRAWINGS_21)
    ]
    # It has no eyes and ears.
    assert ("left_hip", "left_knee") in names and not any("ear" in a + b for a, b in names)


def test_who_is_missing_does_not_show():
    keypoints = np.full((3, 18, 3), np.nan, np.float32)
    keypoints[:, 0] = 10.5, 12.5, 0
    keypoints[1:, 1] = 10.5, 20.5, 0
    keypoints[2, :2, 2] = 1
    for visible_only, shown in ((False, [False, True, True]), (True, [False, False, True])):
        masks = jax.jit(lambda k, v=visible_only: limb_masks.disc_mask(k, SIZE, OPENPOSE_18, visible_only=v))(
            keypoints
        )
        # A joint alone is on no limb.
        assert masks.any((1, 2, 3)).tolist() == shown
        maps = jax.jit(lambda k, v=visible_only: limb_masks.disc_map(k, SIZE, visible_only=v))(keypoints)
        discs = np.asarray(maps[..., 0] == 1).sum((1, 2)).tolist()
        assert discs == ([0, 0, 49] if visible_only else [49] * 3) and (maps[..., 2:] == -1).all()


def test_closing_fills_gaps_and_nothing_else():
    mask = jnp.zeros((1, 20, 12), bool).at[:, 5:14, 0:5].set(True).at[:, 5:14, 8:12].set(True)
    closed = limb_masks.closed(mask)
    assert (closed >= mask).all() and closed[0, 5:14].all() and closed.sum() == 9 * 12
