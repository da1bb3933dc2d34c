"""The copy path: joints of maps, sampling, and pixels that follow their joints."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from anime_pt import losses
from anime_pt.models import copying, layers, patn
from anime_pt.pose import maps
from anime_pt.state import Net, Player

SIZE = (40, 32)


def keypoints(*joints) -> jnp.ndarray:
    """Of x, y, or None for a joint that is missing."""
    return jnp.array([[*joint, 1.0] if joint else [jnp.nan, jnp.nan, 0.0] for joint in joints])


def test_joints_of_maps():
    found = keypoints((10.3, 20.7), (0.5, 0.5), (31.5, 39.5), None, (16.0, 30.2))
    for sigma in (6.0, 2.5):
        places, known = copying.joints(maps.gaussians(found, SIZE, sigma))
        np.testing.assert_array_equal(known, found[:, 2] > 0)
        # Borders cut Gaussians off.
        np.testing.assert_allclose(places[known], found[np.asarray(known), :2], atol=1.3)
        np.testing.assert_allclose(places[jnp.array([0, 4])], found[jnp.array([0, 4]), :2], atol=0.02)
    places, known = copying.joints(maps.impulses(found, SIZE))
    np.testing.assert_array_equal(known, found[:, 2] > 0)
    np.testing.assert_array_equal(places[0], [10.5, 20.5])
    np.testing.assert_array_equal(places[2], [31.5, 39.5])


def test_sampling():
    image = jnp.arange(24.0).reshape(1, 4, 3, 2)
    centres = jnp.stack(jnp.meshgrid(jnp.arange(3) + 0.5, jnp.arange(4) + 0.5), -1)[None]
    np.testing.assert_array_equal(layers.sample(image, centres), image)
    np.testing.assert_allclose(layers.sample(image, centres + jnp.array([0.25, 0.0]))[0, 1, 0], [6.5, 7.5])
    np.testing.assert_allclose(layers.sample(image, centres + jnp.array([0.0, 0.5]))[0, 1, 0], [9, 10])
    outside = jnp.array([[[[-7.0, 1.5], [2.5, 90.0]]]])
    np.testing.assert_allclose(layers.sample(image, outside)[0, 0], [image[0, 1, 0], image[0, 3, 2]])
    # A ramp of 2 to the right and 6 down.
    slope = jax.grad(lambda places: layers.sample(image, places).sum())(centres + 0.1)
    np.testing.assert_allclose(slope[0, :3, :2], np.broadcast_to([4.0, 12.0], (3, 2, 2)), rtol=1e-5)
    one = jnp.ones((1, 1, 1, 3))
    np.testing.assert_array_equal(layers.sample(one, jnp.zeros((1, 2, 2, 2))), jnp.ones((1, 2, 2, 3)))


def moved(image: jax.Array, dx: int, dy: int) -> jax.Array:
    return jnp.roll(image, (dy, dx), (0, 1))


def test_untaught_it_carries_pixels_with_their_joints():
    """What is near a joint follows it; far from all of them, and around a lost one, everything stays."""
    rng = np.random.default_rng(0)
    image = jnp.asarray(rng.uniform(-1, 1, (64, 64, 3)), jnp.float32)
    source = maps.gaussians(keypoints((16, 16), (48, 16), (48, 48)), (64, 64), 3.0)
    target = maps.gaussians(keypoints((19, 20), (44, 14), None), (64, 64), 3.0)
    limbs = [(0, 0), (1, 1), (2, 2)]
    build = lambda: Net.create(lambda rngs: copying.CopyPath(4, 2, limbs, 3, rngs=rngs), jax.random.key(0))
    net = jax.jit(build)()
    call = jax.jit(lambda net, *x: net(*x)[0])
    code, features = jnp.ones((1, 1, 16, 16, 4)), jnp.ones((1, 64, 64, 2))
    painted = jnp.zeros((1, 64, 64, 3))
    out = call(net, code, features, painted, image[None, None], source[None, None], target[None])
    warped = out.warped[0, 0]
    near = lambda x, y: (slice(y - 3, y + 3), slice(x - 3, x + 3))
    for place, (dx, dy) in (((19, 20), (3, 4)), ((44, 14), (-4, -2)), ((48, 48), (0, 0)), ((8, 56), (0, 0))):
        error = {
            (i, j): float(np.abs(warped - moved(image, dx + i, dy + j))[near(*place)].mean())
            for i in (-1, 0, 1)
            for j in (-1, 0, 1)
        }
        assert min(error, key=error.get) == (0, 0) and error[0, 0] < 0.25, (place, error)
    np.testing.assert_allclose(out.image[0], out.share[0, 0, ..., None] * warped, atol=1e-6)
    assert out.share.min() > 0 and out.share.max() < 1


def test_limbs_turn_and_stretch_what_is_beside_them():
    """A limb turned by a quarter and half as long again: its pixels are found along it and beside it."""
    source = maps.gaussians(keypoints((20, 10), (20, 34), (50, 50)), (64, 64), 3.0)
    target = maps.gaussians(keypoints((20, 40), (56, 40), None), (64, 64), 3.0)
    motion = jnp.zeros((1, 1, 64, 64, 2 + 3))
    limbs = ((0, 1), (1, 2))
    flow = jax.jit(copying._flow, static_argnums=3)(motion, source[None, None], target[None], limbs)[0, 0]
    found = {
        (x, y): (flow[y, x] + jnp.array([x + 0.5, y + 0.5])).tolist()
        for x, y in ((38, 40), (38, 44), (59, 40))
    }
    # Half way along; below it, where the limb's left was; beyond its end.
    np.testing.assert_allclose(found[38, 40], [19.5, 22.3], atol=0.4)
    np.testing.assert_allclose(found[38, 44], [15.5, 22.3], atol=0.4)
    np.testing.assert_allclose(found[59, 40], [19.5, 37.5], atol=0.4)
    np.testing.assert_allclose(flow[2, 2], 0, atol=1e-3)


def test_enlarged_pictures_have_the_detail_of_their_sources():
    """A flow of whole pixels moves a picture three times as fine by three times as much."""
    rng = np.random.default_rng(3)
    fine = jnp.asarray(rng.uniform(-1, 1, (1, 2, 24, 18, 4)), jnp.float32)
    flow = jnp.broadcast_to(jnp.array([[2.0, -1.0], [0.0, 1.0]])[None, :, None, None], (1, 2, 8, 6, 2))
    share = jnp.broadcast_to(jnp.array([0.75, 0.25])[None, :, None, None], (1, 2, 8, 6))
    copied = copying.Copied(jnp.zeros((1, 8, 6, 4)), jnp.zeros((1, 2, 8, 6, 4)), share, flow)
    out = copied.enlarged(jnp.ones((1, 8, 6, 4)), fine)
    expected = 0.75 * moved(fine[0, 0], -6, 3) + 0.25 * moved(fine[0, 1], 0, -3)
    np.testing.assert_allclose(out[0, 3:-3, :-6], expected[3:-3, :-6], atol=1e-5)
    halved = copied._replace(share=share / 2).enlarged(jnp.ones((1, 8, 6, 4)), fine)
    np.testing.assert_allclose(halved, (out + 1) / 2, atol=1e-5)


def pairs(key: jax.Array, batch: int) -> tuple:
    """Figures of fresh noise on white, with two joints, in two places."""
    size, body = 32, 12
    keys = jax.random.split(key, 3)
    pattern = jax.random.uniform(keys[0], (batch, body, body, 3), minval=-1.0)
    corners = jax.random.randint(keys[1], (2, batch, 2), 0, size - body)

    def one(pattern, corner):
        picture = jnp.ones((size, size, 3))
        picture = jax.lax.dynamic_update_slice(picture, pattern, (corner[1], corner[0], 0))
        joints = corner + jnp.array([[3.0, 6.0], [9.0, 6.0]])
        return picture, maps.gaussians(
            jnp.pad(joints, ((0, 0), (0, 1)), constant_values=1.0), (size, size), 2.5
        )

    (source, source_pose), (target, target_pose) = (jax.vmap(one)(pattern, c) for c in corners)
    return source, source_pose, target_pose, target


@pytest.mark.slow
def test_a_texture_that_was_never_seen_is_carried():
    """Trained on figures of noise, each seen once; tested on others. Painting alone cannot do that."""
    errors = {}
    for limbs in ((), ((0, 1),)):
        build = lambda limbs=limbs: Net.create(
            lambda rngs: patn.Generator(2, 8, blocks=2, dropout=0.0, copy=limbs, rngs=rngs), jax.random.key(0)
        )
        tx = optax.adam(2e-3, 0.5)

        @jax.jit
        def step(player, key, tx=tx):
            *inputs, target = pairs(key, 8)

            def loss(params):
                out, net = player.net.with_params(params)(*inputs, train=True)
                return losses.l1(out, target), net

            gradients, net = jax.grad(loss, has_aux=True)(player.net.params)
            return player.update(gradients, tx, net)

        player = jax.jit(lambda build=build, tx=tx: Player.create(build(), tx))()
        for i in range(300):
            player = step(player, jax.random.key(i))
        *inputs, target = pairs(jax.random.key(10_000), 32)
        out, _ = jax.jit(lambda net, *x: net(*x, train=False))(player.net, *inputs)
        inside = jnp.any(target < 1, axis=-1, keepdims=True)
        errors[bool(limbs)] = float(jnp.sum(jnp.abs(out - target) * inside) / inside.sum() / 3)
    assert errors[True] < 0.12 and errors[False] > 0.35, errors
