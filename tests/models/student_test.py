import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anime_pt.models import student
from anime_pt.state import Net


def create(*widths) -> Net:
    return Net.create(lambda rngs: student.Student(20, *widths, rngs=rngs), jax.random.key(0))


@pytest.fixture(scope="module")
def net():
    """A narrow one."""
    return jax.jit(lambda: create((8, 16, 16)))()


@pytest.fixture(scope="module")
def run():
    return jax.jit(lambda net, x, train: net(x, train=train), static_argnums=2)


def test_size():
    net = jax.eval_shape(create)
    count = sum(x.size for x in jax.tree.leaves(net.params))
    assert count == 1_764_776 and count <= 2_000_000


def test_shapes_and_refused_sizes(net):
    run = lambda h, w: jax.eval_shape(lambda n, x: n(x)[0], net, jnp.zeros((2, h, w, 3)))
    places, nowhere = run(256, 192)
    assert places.shape == (2, 32, 24, 20) and nowhere.shape == (2, 20)
    assert run(64, 96)[0].shape == (2, 8, 12, 20)
    with pytest.raises(ValueError, match="multiples of 32, not 250 x 192"):
        run(250, 192)


def test_distributions_sum_to_one(net, run):
    x = jax.random.uniform(jax.random.key(1), (2, 64, 64, 3), minval=-1)
    (places, nowhere), _ = run(net, x, False)
    cells, away = student.probabilities(places, nowhere)
    np.testing.assert_allclose(cells.sum((1, 2)) + away, 1, rtol=1e-5)


def test_patches_hold_every_pixel_and_shifts_shift(net, run):
    """Interior features move with the picture by whole strides of all levels: cells are not mixed up."""
    x = jax.random.uniform(jax.random.key(1), (1, 512, 512, 3), minval=-1)
    (a, _), _ = run(net, x, False)
    (b, _), _ = run(net, jnp.roll(x, (32, 64), (1, 2)), False)
    # 32 and 64 pixels are 4 and 8 cells; the border's influence stays away from the middle.
    np.testing.assert_allclose(jnp.roll(a, (4, 8), (1, 2))[:, 28:36, 28:36], b[:, 28:36, 28:36], atol=1e-3)


def test_only_training_moves_statistics(net, run):
    x = jax.random.uniform(jax.random.key(1), (2, 64, 64, 3), minval=-1)
    _, same = run(net, x, False)
    _, moved = run(net, x, True)
    equal = lambda a, b: all(jax.tree.leaves(jax.tree.map(lambda p, q: np.array_equal(p, q), a, b)))
    assert equal(same.stats, net.stats) and not equal(moved.stats, net.stats)
