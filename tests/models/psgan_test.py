import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from anime_pt.models import layers, psgan
from anime_pt.pose import maps

TINY = {"fmap_base": 64, "fmap_max": 8}


def count(build) -> int:
    params = jax.eval_shape(lambda: nnx.split(build(rngs=nnx.Rngs(0)))[1])
    return sum(x.size for x in jax.tree.leaves(params))


def apply(build):
    """A tiny network with random biases, jitted over everything but the resolution."""
    graphdef, params = nnx.split(nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0))))
    rng = np.random.default_rng(1)
    draw = lambda x: jnp.asarray(rng.normal(0, 1 if x.ndim > 1 else 0.3, x.shape), x.dtype)
    params = jax.tree.map(draw, nnx.to_pure_dict(params))

    @functools.partial(jax.jit, static_argnums=2)
    def call(x, pose, resolution, alpha=1.0):
        return nnx.merge(graphdef, params)(x, pose, resolution, alpha)

    return call


def random_pose(resolution: int, batch: int = 2, k: int = 3):
    points = jax.random.uniform(jax.random.key(2), (batch, k, 2), maxval=resolution)
    return maps.pose_pyramid(
        maps.pose_map(jnp.concatenate([points, jnp.ones((batch, k, 1))], -1), resolution)
    )


@pytest.mark.parametrize(
    ("resolution", "generator", "discriminator"),
    [
        (64, 22_490_383, 22_498_049),
        (128, 22_933_394, 22_941_313),
        (256, 23_044_309, 23_052_353),
        (1024, 23_079_115, 23_087_249),
    ],
)
def test_progan_has_the_official_numbers_of_parameters(resolution, generator, discriminator):
    assert count(functools.partial(psgan.Generator, resolution)) == generator
    assert count(functools.partial(psgan.Discriminator, resolution)) == discriminator


@pytest.mark.parametrize(("k", "more"), [(18, 393_984), (20, 437_760)])
def test_pose_adds_only_input_channels_of_first_convolutions(k, more):
    for network in (psgan.Generator, psgan.Discriminator):
        with_pose = count(functools.partial(network, 128, pose_channels=k))
        assert with_pose - count(functools.partial(network, 128)) == more


def test_channels_halve_from_64_pixels_on():
    widths = [psgan.channels(r, 8192, 512) for r in psgan.resolutions(1024)]
    assert widths == [512, 512, 512, 512, 256, 128, 64, 32, 16]


def test_alpha_0_is_the_previous_resolution():
    pose, latents = random_pose(16), jax.random.normal(jax.random.key(3), (2, 5))
    generator = apply(functools.partial(psgan.Generator, 16, latent_size=5, pose_channels=3, **TINY))
    new, old = generator(latents, pose, 16, 0.0), generator(latents, pose, 8)
    assert new.shape == (2, 16, 16, 3)
    np.testing.assert_allclose(new, layers.upsample(old), atol=1e-6)
    half = generator(latents, pose, 16, 0.5)
    np.testing.assert_allclose(half, 0.5 * (new + generator(latents, pose, 16)), atol=1e-5)

    discriminator = apply(functools.partial(psgan.Discriminator, 16, pose_channels=3, **TINY))
    images = jax.random.normal(jax.random.key(4), (2, 16, 16, 3))
    logits = discriminator(images, pose, 16, 0.0)
    assert logits.shape == (2,)
    np.testing.assert_allclose(logits, discriminator(layers.mean_pool(images), pose, 8), rtol=1e-5)
    assert np.abs(logits - discriminator(images, pose, 16)).min() > 1e-4


def test_reals_fade_like_fakes():
    images = jax.random.normal(jax.random.key(0), (2, 8, 8, 3))
    blurred = psgan.fade_reals(images, 0.0)
    np.testing.assert_allclose(blurred[:, ::2, ::2], layers.mean_pool(images), atol=1e-6)
    np.testing.assert_array_equal(blurred[:, ::2], blurred[:, 1::2])
    np.testing.assert_allclose(psgan.fade_reals(images, 1.0), images, atol=1e-6)
    np.testing.assert_array_equal(psgan.fade_reals(images[:, :4, :4], 0.0), images[:, :4, :4])


@pytest.mark.parametrize("moved", [4, 8])
def test_pose_matters_at_every_scale(moved):
    pose, latents = random_pose(8), jnp.ones((2, 5))
    generator = apply(functools.partial(psgan.Generator, 8, latent_size=5, pose_channels=3, **TINY))
    discriminator = apply(functools.partial(psgan.Discriminator, 8, pose_channels=3, **TINY))
    other = pose | {moved: -pose[moved]}
    images = generator(latents, pose, 8)
    assert np.abs(images - generator(latents, other, 8)).max() > 1e-3
    assert np.abs(discriminator(images, pose, 8) - discriminator(images, other, 8)).max() > 1e-4


def test_latents_are_normalised():
    generator = apply(functools.partial(psgan.Generator, 4, latent_size=5, **TINY))
    latents = jax.random.normal(jax.random.key(0), (2, 5))
    np.testing.assert_allclose(generator(latents, {}, 4), generator(3 * latents, {}, 4), atol=1e-5)


def test_errors_name_the_problem():
    generator = psgan.Generator(8, latent_size=5, pose_channels=3, **TINY, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"need a pose map \(2, 4, 4, 3\) at 4; have \{\}"):
        generator(jnp.ones((2, 5)), {}, 8)
    with pytest.raises(ValueError, match="resolution 16 was not built; there are 4x4, 8x8"):
        generator(jnp.ones((2, 5)), random_pose(16), 16)
    with pytest.raises(ValueError, match="resolution 24: use a power of two"):
        psgan.Generator(24, rngs=nnx.Rngs(0))
    discriminator = psgan.Discriminator(8, **TINY, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="expected images of 8 x 8 x 3, got"):
        discriminator(jnp.ones((2, 4, 4, 3)), {}, 8)


def test_minibatch_stddev_has_strided_groups():
    # Examples 0 and 2 form a group, 1 and 3 the other: values 0, 4 and 1, 3.
    x = jnp.array([0.0, 1.0, 4.0, 3.0])[:, None, None, None] * jnp.ones((4, 2, 2, 3))
    y = layers.minibatch_stddev(x, 2)
    assert y.shape == (4, 2, 2, 4)
    np.testing.assert_array_equal(y[..., :3], x)
    np.testing.assert_allclose(y[:, 0, 0, 3], [2, 1, 2, 1], rtol=1e-6)
    np.testing.assert_allclose(layers.minibatch_stddev(x)[:, 1, 1, 3], [np.std([0, 1, 4, 3])] * 4, rtol=1e-6)
    with pytest.raises(ValueError, match="groups of 3 do not divide a batch of 4"):
        layers.minibatch_stddev(x, 3)


def test_layers_are_equalised():
    rngs = nnx.Rngs(0)
    conv = layers.EqualizedConv(100, 50, rngs=rngs)
    np.testing.assert_allclose(conv.kernel[...].std(), 1, atol=0.02)
    y = conv(jax.random.normal(rngs.params(), (2, 8, 8, 100)))[:, 1:-1, 1:-1]
    np.testing.assert_allclose(y.std(), np.sqrt(2), rtol=0.05)
    dense = layers.EqualizedDense(100, 50, gain=1.0, rngs=rngs)
    np.testing.assert_allclose(dense(jax.random.normal(rngs.params(), (64, 100))).std(), 1, rtol=0.1)
    # The bias is not scaled.
    dense.bias[...] = jnp.full(50, 7.0)
    np.testing.assert_array_equal(dense(jnp.zeros((1, 100))), jnp.full((1, 50), 7.0))


def test_pixel_norm_and_resizing():
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 6)) * 5
    np.testing.assert_allclose(jnp.square(layers.pixel_norm(x)).mean(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(layers.mean_pool(layers.upsample(x, 4), 4), x, rtol=1e-5)
    np.testing.assert_array_equal(layers.upsample(x)[0, :, 3], jnp.repeat(x[0, :, 1], 2, axis=0))
    with pytest.raises(ValueError, match="cannot pool 3 x 4 by 2"):
        layers.mean_pool(x[:, :3])
