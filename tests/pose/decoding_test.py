"""Peaks between cells, up to the borders."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anime_pt.pose import decoding, skeletons

HEIGHT, WIDTH = 24, 17


def bumps(points, sigma, height=HEIGHT, width=WIDTH):
    """Gaussians (n, h, w, 1) around points (n, 2), x and y in cells from the top left edge."""
    rows = np.exp(-((np.arange(height) + 0.5 - points[:, 1:]) ** 2) / (2 * sigma**2))
    columns = np.exp(-((np.arange(width) + 0.5 - points[:, :1]) ** 2) / (2 * sigma**2))
    return (rows[:, :, None] * columns[:, None, :])[..., None].astype(np.float32)


def places():
    """Random ones all over the map, and on its edges, in its corners, on borders between cells."""
    rng = np.random.default_rng(0)
    size = np.array([WIDTH, HEIGHT])
    inside = rng.uniform(0, size, (300, 2))
    edges = rng.uniform(0, size, (100, 2))
    edges[np.arange(100), np.arange(100) % 2] = np.where(
        np.arange(100) % 4 < 2, 0, size[np.arange(100) % 2]
    ) + np.where(np.arange(100) % 4 < 2, 1, -1) * rng.uniform(0, 0.6, 100)
    return np.concatenate([inside, edges, [[0, 0], [WIDTH, HEIGHT], [3, 5], [0, 2.5], [WIDTH, 0.5]]])


@pytest.mark.parametrize("sigma", [0.875, 1.0, 1.5, 2.0, 3.0])
def test_gaussians_are_found_exactly_everywhere(sigma):
    points = places()
    found = np.asarray(jax.jit(decoding.decode)(bumps(points, sigma)))[:, 0]
    assert np.abs(found[:, :2] - points).max() < 1e-3  # Cells; a tenth is asked for.
    peaks = bumps(points, sigma).max((1, 2, 3))
    np.testing.assert_array_equal(found[:, 2], peaks)


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0])
def test_noise_of_a_network_costs_little(sigma):
    points = places()
    noise = np.random.default_rng(1).normal(0, 0.01, (len(points), HEIGHT, WIDTH, 1)).astype(np.float32)
    noisy = jnp.asarray(bumps(points, sigma) + noise)
    exact, coarse = (np.asarray(decoding.decode(noisy, 1.0, s))[:, 0, :2] - points for s in (True, False))
    rms = lambda e: np.sqrt((e**2).sum(-1).mean())
    assert rms(exact) < 0.15 * sigma and rms(exact) < 0.9 * rms(coarse)


def test_a_bump_that_ends_is_no_problem():
    """As the targets of GCCPM: zero where d^2 / (2 sigma^2) > 4.6052, sigma 7 pixels at stride 8."""
    points = places()
    maps = bumps(points, 7 / 8)
    maps[maps < np.exp(-4.6052)] = 0
    found = np.asarray(decoding.decode(jnp.asarray(maps), 8.0))[:, 0]
    assert np.abs(found[:, :2] - 8 * points).max() < 0.8


def test_argmax_gives_centres_of_cells_in_pixels():
    points = np.array([[0.1, 0.2], [3.4, 7.9], [16.99, 23.5]])
    found = np.asarray(decoding.decode(jnp.asarray(bumps(points, 1.0)), 4.0, subpixel=False))[:, 0]
    np.testing.assert_array_equal(found[:, :2], [[2, 2], [14, 30], [66, 94]])


def test_channels_and_leading_axes_are_independent():
    points = places()[:12]
    maps = jnp.asarray(bumps(points, 1.5)).reshape(2, 2, 3, HEIGHT, WIDTH).transpose(0, 1, 3, 4, 2)
    found = decoding.decode(maps, 2.0)
    assert found.shape == (2, 2, 3, 3)
    np.testing.assert_allclose(found[..., :2].reshape(-1, 2), 2 * points, atol=1e-3)


def test_without_a_peak_the_joint_is_missing():
    maps = np.zeros((1, 6, 6, 4), np.float32)
    maps[..., 1] = -0.2
    maps[0, 2, 3, 2] = 0.25
    maps[..., 3] = 7.0
    for subpixel in (True, False):
        found = np.asarray(decoding.decode(jnp.asarray(maps), 1.0, subpixel))[0]
        np.testing.assert_array_equal(found[:2], [[np.nan, np.nan, 0]] * 2)
        np.testing.assert_array_equal(found[2], [3.5, 2.5, 0.25])
        np.testing.assert_array_equal(found[3], [0.5, 0.5, 1])


def test_a_peak_outside_stays_in_the_frame():
    maps = bumps(np.array([[-2.0, 5.5], [WIDTH + 2.0, 5.5]]), 2.0)
    found = np.asarray(decoding.decode(jnp.asarray(maps)))[:, 0, :2]
    np.testing.assert_allclose(found, [[0, 5.5], [WIDTH, 5.5]], atol=1e-5)


def test_small_maps():
    maps = np.zeros((1, 1, 2, 1), np.float32)
    maps[0, 0, 1, 0] = 0.5
    np.testing.assert_array_equal(decoding.decode(jnp.asarray(maps), 8.0)[0, 0], [12, 4, 0.5])


def test_flipped_maps_are_brought_back():
    skeleton = skeletons.AVATAR_20
    rng = np.random.default_rng(3)
    maps = rng.uniform(size=(2, 5, 7, len(skeleton) + 1)).astype(np.float32)
    partners = [*skeleton.flip, len(skeleton)]
    merged = decoding.merge_flipped(maps, maps[:, :, ::-1, partners], skeleton.flip)
    np.testing.assert_allclose(merged, maps, rtol=1e-6)
    left, right = (skeleton.index(f"{side}_wrist") for side in ("left", "right"))
    mirrored = np.zeros_like(maps)
    mirrored[0, 1, 2, left] = 1.0
    mirrored[0, 1, 0, len(skeleton)] = 1.0
    merged = np.asarray(decoding.merge_flipped(np.zeros_like(maps), mirrored, skeleton.flip))
    assert np.argwhere(merged > 0).tolist() == [[0, 1, 4, right], [0, 1, 6, len(skeleton)]]
    assert merged.max() == 0.5
