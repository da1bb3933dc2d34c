"""FID, IS and SWD against pytorch-fid's and ProGAN's numbers (`fid_*`, `metrics_aux*`), and by hand."""

import os
import pathlib

import numpy as np
import pytest

from anime_pt.convert import npz
from anime_pt.metrics import distributions as metrics

FOLDER = pathlib.Path(
    os.environ.get("ANIME_PT_GOLDENS", pathlib.Path(__file__).parents[2] / ".." / "shared" / "goldens")
)


def each(pattern: str):
    found = sorted(FOLDER.glob(pattern))
    skip = [pytest.param(None, marks=pytest.mark.skip(f"no {pattern} in {FOLDER}"))]
    return pytest.mark.parametrize("path", found or skip, ids=lambda p: getattr(p, "stem", "none"))


@each("fid_*.npz")
def test_fid_and_is_of_pytorch_fid(path):
    arrays = npz.read(path)
    a, b = arrays["featsA"], arrays["featsB"]
    np.testing.assert_allclose(metrics.frechet_distance(a, b), arrays["fid_AB"], rtol=1e-9)
    # Fewer rows than features, where the root of a product turns complex.
    np.testing.assert_allclose(metrics.frechet_distance(a[:20], b), arrays["fid_CB"], rtol=1e-8)
    found = metrics.inception_score(arrays["is_logits"])
    np.testing.assert_allclose(found, arrays["is_mean_std"], rtol=1e-6)


@each("metrics_aux*.npz")
def test_frechet_distance_and_is_of_the_other_file(path):
    x, y = npz.read(path, "fid/x")[""], npz.read(path, "fid/y")[""]
    np.testing.assert_allclose(metrics.frechet_distance(x, y), npz.read(path, "fid/value")[""], rtol=1e-9)
    arrays = npz.read(path, "is/")
    np.testing.assert_allclose(metrics.split_scores(arrays["probs_f16"]), arrays["mean_std"], rtol=1e-6)


@each("metrics_aux*.npz")
def test_swd_of_progan(path):
    arrays = npz.read(path, "swd/")
    real, fake = (arrays[k].transpose(0, 2, 3, 1) for k in ("real", "fake"))
    expected = arrays["pyramid_real0_lod1"].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(metrics.laplacian_pyramid(real[:1])[1], expected, atol=1e-3)
    # The public code's order of draws: patches of the real set, its distance from itself, then the fakes.
    rng = np.random.RandomState(123)

    def features(images):
        levels = [metrics.patches_of(batch, rng) for batch in np.split(images, 3)]
        return [metrics.normalised(np.concatenate(parts)) for parts in zip(*levels, strict=True)]

    of_real = features(real)
    own = [metrics.sliced_wasserstein(a, a, rng) for a in of_real]
    np.testing.assert_array_equal(own, arrays["reals_vs_self"][:-1])
    found = [
        1e3 * metrics.sliced_wasserstein(a, b, rng) for a, b in zip(of_real, features(fake), strict=True)
    ]
    np.testing.assert_allclose([*found, np.mean(found)], arrays["fakes"], rtol=1e-4)


def test_swd_by_the_side_of_levels():
    rng = np.random.default_rng(0)
    real = rng.integers(0, 256, (12, 32, 32, 3), np.uint8)
    smooth = real.reshape(12, 16, 2, 16, 2, 3).mean((2, 4)).repeat(2, 1).repeat(2, 2).astype(np.uint8)
    same, other = metrics.swd([real], [real[::-1]]), metrics.swd([real], [smooth[:6], smooth[6:]])
    assert list(same) == list(other) == [32, 16]
    assert other[32] > 1.2 * same[32]
    assert metrics.swd([real], [real[::-1]]) == same != metrics.swd([real], [real[::-1]], seed=1)
    with pytest.raises(ValueError, match="as many pictures"):
        metrics.swd([real], [real[:6]])
    wide = [np.concatenate([x, x], 2)[:, :, :48] for x in (real, smooth)]
    assert list(metrics.swd(wide[:1], wide[1:])) == [32, 16], "down to 16 x 24"
    odd = [x[:, :, :31] for x in wide]
    assert list(metrics.swd(odd[:1], odd[1:])) == [32], "31 columns have no half"
    with pytest.raises(ValueError, match=r"SWD takes pictures of 16 x 16 and more, not \(15, 48\)"):
        metrics.swd([np.zeros((1, 15, 48, 3), np.uint8)], [])


def test_swd_of_pictures_of_one_colour():
    real = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)
    white = metrics.swd([real], [np.full_like(real, 255)])
    assert all(300 < value < 2000 for value in white.values())


def test_sliced_wasserstein_distance_of_a_shift():
    rng = np.random.default_rng(0)
    points, shift = rng.normal(size=(50, 6)).astype(np.float32), np.arange(6, dtype=np.float32)
    found = metrics.sliced_wasserstein(points, points + shift, np.random.RandomState(3))
    axes = np.random.RandomState(3).randn(4, 6, 128)
    by_hand = np.abs(np.einsum("rda,d->ra", axes / np.linalg.norm(axes, axis=1, keepdims=True), shift)).mean()
    np.testing.assert_allclose(found, by_hand, rtol=1e-4)


def test_frechet_distance_of_known_distributions():
    rng = np.random.default_rng(0)
    # Exactly mean 0 and covariance 1.
    x = rng.normal(size=(400, 3))
    x = (x - x.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T
    scale, shift = np.array([1.0, 2.0, 0.5]), np.array([3.0, 0.0, 0.0])
    # For commuting covariances: the squared distance of means and of deviations.
    expected = 9 + np.square(scale - 1).sum()
    np.testing.assert_allclose(metrics.frechet_distance(x, x * scale + shift), expected, rtol=1e-9)
    np.testing.assert_allclose(metrics.frechet_distance(x, x), 0, atol=1e-9)
    # Fewer rows than features: three points, moved.
    few = rng.normal(size=(3, 50))
    np.testing.assert_allclose(metrics.frechet_distance(few, few + 1), 50, rtol=1e-6)
    np.testing.assert_allclose(metrics.frechet_distance(x[:, :1], x[:, :1] + 2), 4, rtol=1e-9)
    with pytest.raises(ValueError, match="needs two pictures and more, not 1"):
        metrics.frechet_distance(few, few[:1])


def test_inception_scores_of_sure_and_of_unsure_networks():
    sure = np.where(np.eye(5, dtype=bool)[np.arange(50) % 5], 60.0, -1000.0)
    np.testing.assert_allclose(metrics.inception_score(sure), (5, 0), atol=1e-9)
    np.testing.assert_allclose(metrics.inception_score(np.zeros((50, 5))), (1, 0), atol=1e-12)
    # Splits are contiguous: of one class each, they tell nothing.
    np.testing.assert_allclose(
        metrics.inception_score(sure[np.argsort(np.arange(50) % 5)], 5), (1, 0), atol=1e-9
    )
    with pytest.raises(ValueError, match="10 splits need as many pictures, not 9"):
        metrics.inception_score(sure[:9])


def test_two_ways_to_resize():
    stripes = np.zeros((1, 598, 598, 3), np.uint8)
    stripes[:, :, 1::2] = 255
    # Every second column is 0: bilinear lands between two of them, bicubic averages over more.
    np.testing.assert_allclose(metrics.resized_legacy(stripes), 0, atol=1e-6)
    np.testing.assert_allclose(metrics.resized_clean(stripes)[:, 5:-5, 5:-5], -0.5 / 128, atol=0.01)
    coarse = np.zeros((1, 8, 8, 3), np.uint8)
    coarse[:, :, 4:] = (255, 128, 0)
    for resized, (low, high) in ((metrics.resized_legacy, (-1, 1)), (metrics.resized_clean, (-1, 127 / 128))):
        out = np.asarray(resized(coarse))
        assert out.shape == (1, 299, 299, 3)
        np.testing.assert_allclose([out.min(), out.max()], [low, high], atol=1e-5)
    # Bicubic overshoots before it is cut off, so it rises faster.
    middle = slice(140, 160)
    steep = [np.ptp(np.diff(np.asarray(f(coarse))[0, 9, middle, 1])) for f in (metrics.resized_legacy,)]
    assert steep[0] < 1e-4, "a straight line"
    assert np.ptp(np.diff(metrics.resized_clean(coarse)[0, 9, middle, 1])) > 1e-3, "a curve"
    aliased = np.zeros((1, 897, 897, 3), np.uint8)
    aliased[:, :, 1::3] = 255
    assert np.asarray(metrics.resized_legacy(aliased)).max() > 0.99, "sampled at the stripes"
    assert metrics.resized_clean(aliased)[:, 5:-5, 5:-5].max() < -0.1, "averaged"
