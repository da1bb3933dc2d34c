"""CIEDE2000 against the pairs that Sharma et al. 2005 publish (table 1), and what is made of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anime_pt.metrics import colour

# L, a, b of two colours, and their difference.
PAIRS = np.array(
    [
        (50.0000, 2.6772, -79.7751, 50.0000, 0.0000, -82.7485, 2.0425),
        (50.0000, 3.1571, -77.2803, 50.0000, 0.0000, -82.7485, 2.8615),
        (50.0000, 2.8361, -74.0200, 50.0000, 0.0000, -82.7485, 3.4412),
        (50.0000, -1.3802, -84.2814, 50.0000, 0.0000, -82.7485, 1.0000),
        (50.0000, -1.1848, -84.8006, 50.0000, 0.0000, -82.7485, 1.0000),
        (50.0000, -0.9009, -85.5211, 50.0000, 0.0000, -82.7485, 1.0000),
        (50.0000, 0.0000, 0.0000, 50.0000, -1.0000, 2.0000, 2.3669),
        (50.0000, -1.0000, 2.0000, 50.0000, 0.0000, 0.0000, 2.3669),
        (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0009, 7.1792),
        (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0010, 7.1792),
        (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0011, 7.2195),
        (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0012, 7.2195),
        (50.0000, -0.0010, 2.4900, 50.0000, 0.0009, -2.4900, 4.8045),
        (50.0000, -0.0010, 2.4900, 50.0000, 0.0010, -2.4900, 4.8045),
        (50.0000, -0.0010, 2.4900, 50.0000, 0.0011, -2.4900, 4.7461),
        (50.0000, 2.5000, 0.0000, 50.0000, 0.0000, -2.5000, 4.3065),
        (50.0000, 2.5000, 0.0000, 73.0000, 25.0000, -18.0000, 27.1492),
        (50.0000, 2.5000, 0.0000, 61.0000, -5.0000, 29.0000, 22.8977),
        (50.0000, 2.5000, 0.0000, 56.0000, -27.0000, -3.0000, 31.9030),
        (50.0000, 2.5000, 0.0000, 58.0000, 24.0000, 15.0000, 19.4535),
        (50.0000, 2.5000, 0.0000, 50.0000, 3.1736, 0.5854, 1.0000),
        (50.0000, 2.5000, 0.0000, 50.0000, 3.2972, 0.0000, 1.0000),
        (50.0000, 2.5000, 0.0000, 50.0000, 1.8634, 0.5757, 1.0000),
        (50.0000, 2.5000, 0.0000, 50.0000, 3.2592, 0.3350, 1.0000),
        (60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644),
        (63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630),
        (61.2901, 3.7196, -5.3901, 61.4292, 2.2480, -4.9620, 1.8731),
        (35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645),
        (22.7233, 20.0904, -46.6940, 23.0331, 14.9730, -42.5619, 2.0373),
        (36.4612, 47.8580, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146),
        (90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441),
        (90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381),
        (6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377),
        (2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082),
    ]
)
# sRGB bytes, and L, a, b under D65.
COLOURS = {
    (255, 255, 255): (100.00, 0.00, 0.00),
    (0, 0, 0): (0.00, 0.00, 0.00),
    (255, 0, 0): (53.24, 80.09, 67.20),
    (0, 255, 0): (87.73, -86.18, 83.18),
    (0, 0, 255): (32.30, 79.19, -107.86),
    (128, 128, 128): (53.59, 0.00, 0.00),
}


def test_published_pairs():
    with jax.enable_x64(True):
        a, b = jnp.asarray(PAIRS[:, :3]), jnp.asarray(PAIRS[:, 3:6])
        for one, two in ((a, b), (b, a)):
            np.testing.assert_allclose(jax.jit(colour.ciede2000)(one, two), PAIRS[:, 6], atol=5.1e-5)
    # Pairs with opposite hues decide at the last digits of single precision.
    plain = np.r_[:8, 15:34]
    single = jax.jit(colour.ciede2000)(jnp.float32(PAIRS[plain, :3]), jnp.float32(PAIRS[plain, 3:6]))
    np.testing.assert_allclose(single, PAIRS[plain, 6], atol=1e-3)


def test_known_colours():
    found = jax.jit(colour.lab)(jnp.array(list(COLOURS), jnp.float32) / 255)
    np.testing.assert_allclose(found, list(COLOURS.values()), atol=0.03)


colour_drift, colour_difference = jax.jit(colour.colour_drift), jax.jit(colour.colour_difference)


@pytest.fixture(scope="module")
def figure():
    """Two stripes, red over blue, on white; and the masks of both."""
    picture = np.ones((1, 16, 16, 3), np.float32)
    picture[:, 2:8, 4:12], picture[:, 8:14, 4:12] = (0.8, 0.1, 0.1), (0.1, 0.1, 0.8)
    parts = np.zeros((1, 16, 16, 3), bool)
    parts[:, 2:8, 4:12, 0] = parts[:, 8:14, 4:12, 1] = True
    return picture, parts


def test_drift_is_the_mean_over_parts(figure):
    picture, parts = figure
    np.testing.assert_allclose(colour_drift(picture, picture, parts), [0], atol=1e-4)
    other = picture.copy()
    other[:, 8:14, 4:12] = (0.1, 0.6, 0.1)
    blue, green = jnp.array([0.1, 0.1, 0.8]), jnp.array([0.1, 0.6, 0.1])
    change = float(jax.jit(lambda a, b: colour.ciede2000(colour.lab(a), colour.lab(b)))(blue, green))
    assert change > 40
    # The third part is not in the picture and does not count.
    np.testing.assert_allclose(colour_drift(other, picture, parts), [change / 2], rtol=1e-4)
    whole = parts.any(-1, keepdims=True).astype(np.float32)
    np.testing.assert_allclose(colour_difference(other, picture, whole), [change / 2], rtol=1e-4)
    assert np.isnan(colour_drift(other, picture, parts[..., 2:])).all()
    assert np.isnan(colour_difference(other, picture, 0 * whole)).all()


def test_what_lies_elsewhere_or_is_blurred_does_not_drift(figure):
    picture, parts = figure
    rng = np.random.default_rng(0)
    noisy = picture + rng.choice([-0.05, 0.05], (1, 16, 16, 1)).astype(np.float32)
    outside = np.where(parts.any(-1, keepdims=True), picture, 0).astype(np.float32)
    whole = parts.any(-1, keepdims=True).astype(np.float32)
    np.testing.assert_allclose(colour_drift(outside, picture, parts), [0], atol=1e-4)
    drift = float(colour_drift(noisy, picture, parts)[0])
    assert drift < 0.5 * float(colour_difference(noisy, picture, whole)[0])
