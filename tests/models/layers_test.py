import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from anime_pt.models import layers
from anime_pt.state import Net


def batch_norm_net() -> Net:
    net = Net.create(lambda rngs: layers.BatchNorm(3), jax.random.key(0))
    params = {"scale": jnp.array([1.0, 2.0, -0.5]), "bias": jnp.array([0.0, 1.0, 3.0])}
    stats = {"mean": jnp.array([0.5, 0.0, -1.0]), "var": jnp.array([4.0, 1.0, 0.25])}
    return Net(params, stats, net.structure)


def test_batch_norm_in_training():
    x = np.random.default_rng(0).normal(2.0, 3.0, (2, 3, 2, 3))
    with jax.enable_x64(True):
        net = jax.tree.map(lambda v: jnp.asarray(v, jnp.float64), batch_norm_net())
        out, after = jax.jit(lambda net, x: net(x, train=True))(net, x)
        flat = x.reshape(-1, 3)
        expected = (flat - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5) * [1, 2, -0.5] + [0, 1, 3]
        assert out.dtype == jnp.float64
        np.testing.assert_allclose(out, expected.reshape(x.shape), rtol=1e-12)
        # torch: a tenth of the batch's mean and of its unbiased variance.
        np.testing.assert_allclose(after.stats["mean"], 0.9 * np.array([0.5, 0, -1]) + 0.1 * flat.mean(0))
        np.testing.assert_allclose(
            after.stats["var"], 0.9 * np.array([4, 1, 0.25]) + 0.1 * flat.var(0, ddof=1)
        )


def test_gradients_of_batch_norm():
    """Written out, they are those of the definition; the statistics have none."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(1)
        x, weight = (jnp.asarray(rng.normal(2.0, 3.0, (2, 3, 2, 3))) for _ in range(2))
        net = jax.tree.map(lambda v: jnp.asarray(v, jnp.float64), batch_norm_net())

        def ours(x, params):
            out, after = net.with_params(params)(x, train=True)
            return (weight * out**2).sum() + after.stats["var"].sum() + after.stats["mean"].sum()

        def definition(x, params):
            mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
            out = (x - mean) / jnp.sqrt(var + 1e-5) * params["scale"] + params["bias"]
            return (weight * out**2).sum()

        expected = jax.grad(definition, (0, 1))(x, net.params)
        actual = jax.grad(ours, (0, 1))(x, net.params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), actual, expected)


def test_batch_norm_outside_training():
    x = jnp.array([[[[2.5, 0.0, -1.0]]]])
    net = batch_norm_net()
    out, after = net(x, train=False)
    np.testing.assert_allclose(out, [[[[1.0, 1.0, 3.0]]]], rtol=1e-5)
    for name, value in net.stats.items():
        np.testing.assert_array_equal(after.stats[name], value)


def test_batch_norm_keeps_digits_that_a_difference_of_squares_loses():
    x = jnp.array([1000.0, 1000.01, 1000.02, 1000.03])[:, None] + jnp.zeros((4, 3))
    out, _ = batch_norm_net()(x, train=True)
    exact = np.asarray(x, np.float64)
    expected = (exact - exact.mean(0)) / np.sqrt(exact.var(0) + 1e-5) * [1, 2, -0.5] + [0, 1, 3]
    np.testing.assert_allclose(out, expected, atol=2e-2)
    assert np.ptp(out[:, 0]) > 2


@pytest.mark.parametrize(
    ("build", "fan_in"),
    [
        (lambda rngs: layers.Conv(32, 64, rngs=rngs), 9 * 32),
        (lambda rngs: layers.Conv(64, 512, 1, rngs=rngs), 64),
        (lambda rngs: layers.DepthwiseConv(512, rngs=rngs), 9),
    ],
)
def test_initial_values_are_torchs(build, fan_in):
    bound = fan_in**-0.5
    for value in jax.tree.leaves(nnx.to_pure_dict(nnx.split(build(nnx.Rngs(0)))[1])):
        assert np.abs(value).max() <= bound
        # Uniform: the standard deviation is bound / sqrt(3).
        np.testing.assert_allclose(np.std(value), bound / 3**0.5, rtol=0.2)


def test_conv_without_bias_has_none():
    conv = layers.Conv(2, 3, bias=False, stride=2, rngs=nnx.Rngs(0))
    assert list(nnx.to_pure_dict(nnx.split(conv)[1])) == ["kernel"]
    assert conv(jnp.zeros((1, 5, 4, 2))).shape == (1, 3, 2, 3)
    with_bias = layers.Conv(2, 3, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(with_bias(jnp.zeros((1, 2, 2, 2)))[0, 1, 1], with_bias.bias[...])
