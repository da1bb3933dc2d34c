import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anime_pt.models import unet
from anime_pt.state import Net

KEYPOINTS = 5


def create(keypoints=KEYPOINTS, **sizes):
    sizes = {"features": 4, "levels": 3} | sizes
    return Net.create(lambda rngs: unet.Generator(keypoints, **sizes, rngs=rngs), jax.random.key(0))


def abstract(**sizes):
    """Shapes only: nothing is compiled."""
    return jax.eval_shape(lambda: create(**sizes))


def inputs(size=(24, 16), channels=3, batch=2, sources=None):
    """By NumPy: draws of several axes take JAX seconds to compile."""
    rng = np.random.default_rng(1)
    many = () if sources is None else (sources,)
    source = rng.uniform(-1, 1, (batch, *many, *size, channels))
    poses = rng.random((batch, *many, *size, KEYPOINTS)), rng.random((batch, *size, KEYPOINTS))
    return tuple(jnp.asarray(x, jnp.float32) for x in (source, *poses))


@pytest.fixture(scope="module")
def net():
    return jax.jit(create)()


@pytest.fixture(scope="module")
def run():
    return jax.jit(
        lambda net, *x, key=None, train=False: net(*x, train=train, key=key), static_argnames="train"
    )


def test_size_is_that_of_the_layers():
    net = abstract(keypoints=20, features=64, levels=5)
    kernels = 9 * (
        43 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512 * 512
        + 512 * 512 + 1024 * 256 + 512 * 128 + 256 * 64 + 128 * 64
        + 64 * 3
    )  # fmt: skip
    # Biases where nothing normalises: the first, the innermost and the last layer.
    assert sum(x.size for x in jax.tree.leaves(net.params)) == kernels + 64 + 512 + 3
    assert not jax.tree.leaves(net.stats)


def test_odd_sizes_and_alpha_come_back(net, run):
    x = inputs((21, 13))
    image, _ = run(net, *x)
    assert image.shape == (2, 21, 13, 3)
    assert (jnp.abs(image) <= 1).all() and image.std() > 1e-3
    shape = jax.eval_shape(
        lambda net, x: net(*x, train=True)[0], abstract(channels=4), inputs(channels=4)
    ).shape
    assert shape == (2, 24, 16, 4)


def test_every_input_reaches_the_image(net, run):
    """Far away, too: what is at one end of a picture shows at the other, by the innermost level."""
    x = inputs()
    image, _ = run(net, *x)
    for i in range(3):
        changed = list(x)
        changed[i] = x[i].at[:, :4, :4].add(1.0)
        other, _ = run(net, *changed)
        assert jnp.abs(other - image)[:, -1, -1].max() > 1e-7, i


def test_sources_are_averaged(net, run):
    source, source_pose, target_pose = inputs(sources=3)
    together, _ = run(net, source, source_pose, target_pose)
    order = jnp.array([2, 0, 1])
    shuffled, _ = run(net, source[:, order], source_pose[:, order], target_pose)
    np.testing.assert_allclose(shuffled, together, atol=1e-5)
    # The same one three times is that one, and one of three differs from all.
    alone, _ = run(net, source[:, 0], source_pose[:, 0], target_pose)
    same = jnp.zeros(3, int)
    thrice, _ = run(net, source[:, same], source_pose[:, same], target_pose)
    np.testing.assert_allclose(thrice, alone, atol=1e-5)
    assert jnp.abs(together - alone).max() > 1e-3


def test_dropout_comes_from_the_key_alone(net, run):
    x = inputs()
    plain, _ = run(net, *x, train=True)
    one, _ = run(net, *x, key=jax.random.key(1), train=True)
    again, _ = run(net, *x, key=jax.random.key(1), train=True)
    other, _ = run(net, *x, key=jax.random.key(2), train=True)
    np.testing.assert_array_equal(one, again)
    assert jnp.abs(one - other).max() > 1e-4 and jnp.abs(one - plain).max() > 1e-4
    without = dataclasses.replace(abstract(dropout=0.0), params=net.params, stats=net.stats)
    none, _ = run(without, *x, key=jax.random.key(1), train=True)
    np.testing.assert_array_equal(none, plain)


def test_batch_norm_moves_statistics_in_training_only(run):
    rng, x = np.random.default_rng(0), inputs()
    fill = lambda shape: jnp.asarray(rng.uniform(0.1, 0.3, shape.shape), shape.dtype)
    net = jax.tree.map(fill, abstract(norm="batch"))
    _, same = run(net, *x)
    _, moved = run(net, *x, train=True)
    leaves = lambda net: jax.tree.leaves(net.stats)
    # Mean and variance of one level on the way in and three on the way back.
    assert len(leaves(net)) == 8
    assert all(np.array_equal(a, b) for a, b in zip(leaves(net), leaves(same), strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(leaves(net), leaves(moved), strict=True))


def test_initial_values(net):
    kernel = np.asarray(net.params["up"]["level1"]["conv"]["kernel"])
    assert abs(kernel.std() - 0.02) < 0.002 and abs(kernel.mean()) < 0.002
    for layer in (net.params["down"]["level0"], net.params["down"]["level2"], net.params["image"]):
        assert (layer["conv"]["bias"] == 0).all()
    assert "bias" not in net.params["down"]["level1"]["conv"]


def test_what_does_not_fit_is_refused(net):
    with pytest.raises(ValueError, match="3 levels need sides of 8 and more, not 24 x 6; use fewer levels"):
        net(*inputs((24, 6)), train=False)
    with pytest.raises(ValueError, match="norm = 'group'; use 'batch' or 'instance'"):
        create(norm="group")
    with pytest.raises(ValueError, match="levels = 0; use at least 1"):
        create(levels=0)
