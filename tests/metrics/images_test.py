"""SSIM and its kin against the public protocols' numbers (`metrics_aux*`, `ssim_*`), and by hand."""

import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anime_pt.convert import npz
from anime_pt.metrics import images
from anime_pt.pose.skeletons import AVATAR_20, OPENPOSE_18

FOLDER = pathlib.Path(
    os.environ.get("ANIME_PT_GOLDENS", pathlib.Path(__file__).parents[2] / ".." / "shared" / "goldens")
)


def files(pattern: str) -> list:
    found = sorted(FOLDER.glob(pattern))
    return found or [pytest.param(None, marks=pytest.mark.skip(f"no {pattern} in {FOLDER}"))]


def each(pattern: str):
    return pytest.mark.parametrize("path", files(pattern), ids=lambda p: getattr(p, "stem", "none"))


TWO = (images.l1, images.l1_patn, images.psnr, images.ssim, images.ssim_patn, images.ssim_pg2)
scores = jax.jit(lambda generated, target: {f.__name__: f(generated, target) for f in TWO})
ssim_patn, mask_ssim, ms_ssim = map(jax.jit, (images.ssim_patn, images.mask_ssim, images.ms_ssim))
limb_mask = jax.jit(images.limb_mask, static_argnames=("size", "skeleton"))


def unit(pictures) -> jax.Array:
    return jnp.asarray(pictures, jnp.float32) / 255


def keypoints_of(yx: np.ndarray) -> np.ndarray:
    """PATN's rows and columns of pixels, -1 for missing."""
    missing = (yx == -1).any(-1, keepdims=True)
    return np.concatenate([np.where(missing, np.nan, yx[..., ::-1] + 0.5), ~missing], -1).astype(np.float32)


@each("metrics_aux*.npz")
@pytest.mark.parametrize("size", ["market", "fashion"])
def test_ssim_of_three_protocols(path, size):
    arrays = npz.read(path, f"{size}/")
    found = scores(unit(arrays["gen"]), unit(arrays["ref"]))
    for ours, theirs in (
        ("ssim_patn", "ssim_patn"),
        ("ssim", "ssim_patn_std_range255"),
        ("ssim_pg2", "ssim_pg2"),
        ("l1_patn", "l1_patn"),
    ):
        np.testing.assert_allclose(found[ours], arrays[theirs], atol=1e-6, err_msg=theirs)
    # What tells them apart is not noise.
    assert np.ptp(arrays["ssim_patn"] - arrays["ssim_patn_std_range255"]) > 0.01
    padded = [unit(images.white_border(arrays[k])) for k in ("gen", "ref")]
    np.testing.assert_allclose(ssim_patn(*padded), arrays["ssim_patn_white_padded40"], atol=1e-6)
    rows = [
        images.patn_protocol(target, target, target, target, generated)
        for target, generated in zip(arrays["ref"], arrays["gen"], strict=True)
    ]
    target, generated = (unit(np.stack(x)) for x in zip(*rows, strict=True))
    # Decoders smooth colours across the borders of the five pictures: the other three show a little.
    expected = arrays["ssim_patn_after_jpeg75_strip"]
    np.testing.assert_allclose(scores(generated, target)["ssim_patn"], expected, atol=1e-4)
    assert np.abs(expected - arrays["ssim_patn"]).min() > 0.1


@each("metrics_aux*.npz")
def test_limb_masks_of_patn(path):
    arrays = npz.read(path, "pose/")
    for name, expected in arrays.items():
        if name.startswith("ma_mask_"):
            size = tuple(map(int, name.removeprefix("ma_mask_").split("x")))
            points = keypoints_of(arrays["kp_yx"])
            mask = limb_mask(points, size=size)
            np.testing.assert_array_equal(mask[..., 0], expected)
            order = [OPENPOSE_18.index(k) if k in OPENPOSE_18.keypoints else 0 for k in AVATAR_20.keypoints]
            np.testing.assert_array_equal(limb_mask(points[:, order], size=size, skeleton=AVATAR_20), mask)


@each("metrics_aux*.npz")
def test_ms_ssim_of_progan(path):
    arrays = npz.read(path, "msssim/")
    found = ms_ssim(unit(arrays["a"]), unit(arrays["b"]))
    np.testing.assert_allclose(found, arrays["per_pair"], atol=1e-6)
    np.testing.assert_allclose(found.mean(), arrays["value"], atol=1e-6)


@each("ssim_*.npz")
def test_ssim_psnr_and_masks(path):
    arrays = npz.read(path)
    generated, target = unit(arrays["gen"]), unit(arrays["ref"])
    found = scores(generated, target)
    for ours, theirs in (
        ("ssim_patn", "ssim_patn"),
        ("ssim", "ssim_255"),
        ("ssim_pg2", "ssim_default_uniform7"),
        ("psnr", "psnr"),
        ("l1_patn", "l1_patn"),
    ):
        np.testing.assert_allclose(found[ours], arrays[theirs], atol=1e-5, err_msg=theirs)
    mask = jnp.asarray(arrays["mask"], jnp.float32)[None]
    np.testing.assert_allclose(mask_ssim(generated, target, mask), arrays["ssim_patn_masked"], atol=1e-6)


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    smooth = rng.random((3, 16, 11, 3)).repeat(4, 1).repeat(4, 2)
    return jnp.float32(smooth), jnp.float32(rng.normal(0, 0.1, smooth.shape))


def test_equal_pictures_are_equal_and_noise_is_not(pictures):
    picture, noise = pictures
    same, near, far = (scores(picture + share * noise, picture) for share in (0, 0.5, 1))
    for name in ("ssim", "ssim_patn", "ssim_pg2"):
        np.testing.assert_allclose(same[name], 1, atol=1e-6)
        assert (far[name] < near[name]).all() and (near[name] < 0.98).all(), name
    assert np.isinf(same["psnr"]).all()
    moved = scores(picture + 0.1, picture)
    for name, value in (("psnr", 20), ("l1", 0.1), ("l1_patn", 0.2)):
        np.testing.assert_allclose(moved[name], value, rtol=1e-4)


def test_only_patns_ssim_depends_on_the_range_of_the_generated(pictures):
    picture, _ = pictures
    dull = 0.4 + 0.1 * picture
    found, turned, dark = scores(dull, picture), scores(picture, dull), scores(0.1 * dull, 0.1 * picture)
    for name in ("ssim", "ssim_pg2"):
        np.testing.assert_allclose(found[name], turned[name], atol=1e-6)
        assert (jnp.abs(found[name] - dark[name]) > 0.01).all(), name
    assert (found["ssim_patn"] < turned["ssim_patn"] - 0.01).all()
    np.testing.assert_allclose(found["ssim_patn"], dark["ssim_patn"], atol=1e-4)
    flat = scores(jnp.full_like(picture, 0.5), picture)["ssim_patn"]
    assert np.isfinite(flat).all() and (flat < 0.3).all()


def test_ssim_has_gradients_and_double_precision(pictures):
    picture, noise = pictures
    noisy = picture + noise
    gradient = jax.jit(jax.grad(lambda x: images.ssim_patn(x, picture).sum()))(noisy)
    uphill = scores(noisy + 0.01 * gradient / jnp.abs(gradient).max(), picture)["ssim_patn"]
    single = scores(noisy, picture)
    assert (uphill > single["ssim_patn"]).all()
    with jax.enable_x64(True):
        double = scores(np.float64(noisy), np.float64(picture))
    for name, value in double.items():
        assert value.dtype == np.float64
        np.testing.assert_allclose(single[name], value, rtol=1e-5, err_msg=name)


def test_ms_ssim_of_equal_and_of_opposite_pictures():
    rng = np.random.default_rng(0)
    picture = jnp.float32(rng.random((1, 8, 6, 3)).repeat(8, 1).repeat(8, 2))
    found = ms_ssim(jnp.concatenate([picture, 1 - picture]), jnp.concatenate([picture, picture]))
    # What is negative counts as zero.
    np.testing.assert_allclose(found, [1, 0], atol=1e-6)


def test_sizes_that_do_not_fit():
    with pytest.raises(ValueError, match="11 x 11 pixels or more"):
        jax.eval_shape(images.ssim, *[jnp.ones((1, 10, 40, 3))] * 2)
    with pytest.raises(ValueError, match=r"multiples of 16, \(31, 32\) are odd"):
        jax.eval_shape(images.ms_ssim, *[jnp.ones((1, 62, 64, 3))] * 2)


def test_limb_parts_are_bars_between_visible_joints():
    points = np.full((1, len(OPENPOSE_18), 3), np.nan, np.float32)
    points[..., 2] = 0
    for name, place in {"neck": (20, 4, 1), "left_shoulder": (8, 4, 1), "left_elbow": (8, 16, 0)}.items():
        points[0, OPENPOSE_18.index(name)] = place
    parts = np.asarray(
        jax.jit(images.limb_parts, static_argnums=(1, 2))(points, (24, 32), OPENPOSE_18, radius=2.0)
    )
    assert parts.shape == (1, 24, 32, len(OPENPOSE_18.limbs))
    (limb,) = np.flatnonzero(parts.any((0, 1, 2)))
    assert OPENPOSE_18.limbs[limb] == ("neck", "left_shoulder"), "the elbow is hidden"
    bar = np.zeros((24, 32), bool)
    bar[2:6, 8:20] = True
    np.testing.assert_array_equal(parts[0, ..., limb], bar)


def test_bytes_are_rounded_down_and_borders_are_white():
    values = np.array([-1.2, -1, -0.001, 0, 0.999, 1, 3]).reshape(1, 7, 1)
    np.testing.assert_array_equal(images.truncated(values).ravel(), [0, 0, 127, 127, 254, 255, 255])
    bordered = images.white_border(np.zeros((2, 4, 6, 3), np.uint8), 5)
    assert bordered.shape == (2, 4, 16, 3)
    assert bordered[:, :, :5].min() == bordered[:, :, -5:].min() == 255 and not bordered[:, :, 5:-5].any()
    panel = np.zeros((32, 16, 3), np.uint8)
    target, generated = images.patn_protocol(panel, panel, panel + 200, panel, panel + 90, border=3)
    assert target.shape == generated.shape == (32, 22, 3)
    assert abs(int(target[16, 11, 0]) - 200) < 3 and abs(int(generated[16, 11, 0]) - 90) < 3
