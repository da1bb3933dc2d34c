import functools

import jax
import jax.numpy as jnp
import numpy as np

from anime_pt.models import lifting
from anime_pt.state import Net


def poses(count=6, joints=5):
    points = np.random.default_rng(0).uniform(0, 100, (count, joints, 3)).astype(np.float32)
    points[..., 2] = 1
    return points


normalised = jax.jit(lifting.normalised)


@functools.partial(jax.jit, static_argnames="train")
def run(net, points, train=False, key=None):
    return net(points, train=train, key=key)


def test_what_it_sees_does_not_depend_on_place_and_size():
    points = poses()
    seen = np.asarray(normalised(points))
    moved = points * [3.0, 3.0, 1.0] + [50.0, -7.0, 0.0]
    np.testing.assert_allclose(normalised(moved), seen, atol=1e-5)
    places, known = seen[:, :10].reshape(6, 5, 2), seen[:, 10:]
    np.testing.assert_allclose(places.mean(1), 0, atol=1e-6)
    np.testing.assert_allclose((places**2).sum((1, 2)) / 5, 1, rtol=1e-5)
    assert (known == 1).all()
    # A joint that is missing moves nothing but itself.
    less = points.copy()
    less[:, 2] = np.nan
    others = [0, 1, 3, 4]
    alone = np.asarray(normalised(points[:, others]))
    part = np.asarray(normalised(less))
    np.testing.assert_allclose(
        part[:, :10].reshape(6, 5, 2)[:, others].reshape(6, -1), alone[:, :8], atol=1e-6
    )
    assert (part[:, 4:6] == 0).all() and (part[:, 10:] == [1, 1, 0, 1, 1]).all()
    assert np.isfinite(normalised(np.full((1, 5, 3), np.nan))).all()


def test_layers_are_those_of_the_paper():
    create = lambda **options: Net.create(
        lambda rngs: lifting.Lifter(5, 32, **options, rngs=rngs), jax.random.key(0)
    )
    net = create(dropout=0.5, max_norm=True)
    shapes = jax.tree.map(lambda x: x.shape, net.params)
    assert shapes["first"]["linear"]["kernel"] == (15, 32) and shapes["last"]["kernel"] == (32, 15)
    assert [shapes["units"][i]["linear"]["kernel"] for i in sorted(shapes["units"])] == [(32, 32)] * 4
    points = poses()
    out, after = run(net, points, True, jax.random.key(1))
    assert out.shape == (6, 5, 3)
    # Statistics move by a hundredth, as TensorFlow's do.
    mean = after.stats["first"]["norm"]["mean"]
    assert 0 < float(jnp.abs(mean).max()) < 0.02
    # Dropout is drawn from the key; without one there is none.
    other, _ = run(net, points, True, jax.random.key(2))
    assert float(jnp.abs(out - other).max()) > 1e-4
    still, _ = run(net, points, True)
    assert float(jnp.abs(out - still).max()) > 1e-4
    # A matrix of a norm above 1 is used as if it had 1: making it larger changes nothing.
    large = jax.tree.map(lambda x: x, net.params)
    kernel = large["last"]["kernel"]
    large["last"]["kernel"] = 3 * kernel / jnp.linalg.norm(kernel)
    ones, _ = run(net.with_params(large), points)
    large["last"]["kernel"] = 5 * large["last"]["kernel"]
    np.testing.assert_allclose(run(net.with_params(large), points)[0], ones, rtol=1e-5, atol=1e-7)
    free = create(dropout=0.0, max_norm=False).with_params(large)
    assert float(jnp.abs(run(free, points)[0] - ones).max()) > 1e-3


def test_the_input_is_carried_around_each_pair():
    net = Net.create(lambda rngs: lifting.Lifter(5, 32, 1, 0.0, False, rngs=rngs), jax.random.key(0))
    points = poses()
    before, _ = run(net, points)
    silent = jax.tree.map(lambda x: x, net.params)
    # Of a pair whose last layer says nothing, only what goes around it is left.
    last = max(silent["units"])
    silent["units"][last]["norm"] = jax.tree.map(jnp.zeros_like, silent["units"][last]["norm"])
    around, _ = run(net.with_params(silent), points)
    first = silent["first"]
    x = normalised(points) @ first["linear"]["kernel"] / np.sqrt(1 + 1e-3)
    x = jax.nn.relu(x)
    wanted = lifting.UNIT * (x @ silent["last"]["kernel"])
    np.testing.assert_allclose(around.reshape(6, -1), wanted, rtol=1e-4, atol=1e-5)
    assert float(jnp.abs(before - around).max()) > 1e-3
