import jax.numpy as jnp
import numpy as np
import optax

from anime_pt import losses, schedules


def test_wasserstein_losses():
    real, fake = jnp.array([1.0, 3.0]), jnp.array([-1.0, 2.0])
    expected = ((-1 - 1 + 0.001 * 1) + (2 - 3 + 0.001 * 9)) / 2
    np.testing.assert_allclose(losses.wasserstein_discriminator(real, fake), expected, rtol=1e-6)
    np.testing.assert_allclose(losses.wasserstein_generator(fake), -0.5)


def test_gradient_penalty_of_known_critics():
    rng = np.random.default_rng(0)
    real, fake = (jnp.asarray(rng.normal(size=(3, 4, 4, 2)), jnp.float32) for _ in range(2))
    slope = jnp.asarray(rng.normal(size=(4, 4, 2)), jnp.float32)
    mix = jnp.array([0.0, 0.5, 1.0])
    linear = lambda x: (x * slope).sum((1, 2, 3))
    norm = np.linalg.norm(slope)
    np.testing.assert_allclose(losses.gradient_norms(linear, real), [norm] * 3, rtol=1e-5)
    np.testing.assert_allclose(losses.gradient_penalty(linear, real, fake, mix), (norm - 1) ** 2, rtol=1e-5)
    # The gradient of |x|^2 / 2 is x: the penalty sees where the mix puts x.
    square = lambda x: 0.5 * (x * x).sum((1, 2, 3))
    between = [real[0], 0.5 * (real[1] + fake[1]), fake[2]]
    expected = np.mean([(np.linalg.norm(x) - 2) ** 2 for x in between])
    np.testing.assert_allclose(
        losses.gradient_penalty(square, real, fake, mix, target=2.0), expected, rtol=1e-5
    )


def test_ramp():
    assert [float(schedules.ramp(step, 10, 4)) for step in (8, 10, 11, 14, 20)] == [0, 0, 0.25, 1, 1]
    assert schedules.ramp(3, 10, 0) == 1


def test_heatmap_losses():
    maps = jnp.zeros((2, 1, 2, 3)).at[0, 0, 1, 2].set(3.0)
    target = jnp.zeros((2, 1, 2, 3)).at[1, 0, 0, 0].set(1.0)
    np.testing.assert_allclose(losses.heatmap_sum_of_squares(maps, target), (9 + 1) / 2 / 2)
    np.testing.assert_allclose(losses.heatmap_squares_per_map(maps, target), (9 + 1) / 3 / 2)


def test_plateau():
    """The learning rates are torch 2.13's, of ReduceLROnPlateau(factor=0.1, patience=2, threshold=1e-2)."""
    tx = optax.chain(optax.scale(2.0), schedules.scale_by_plateau())
    params = {"a": jnp.ones(2)}
    opt = tx.init(params)
    measured = [10, 9.95, 9.91, 9.9, 9.89, 9.7, 9.65, float("nan"), 9.61, 9.605, 9.7, 9.8, 9.5]
    scales = []
    for value in measured:
        opt = schedules.observe_plateau(opt, value, patience=2, threshold=1e-2)
        updates, opt = tx.update(params, opt)
        scales.append(float(updates["a"][0]) / 2)
    np.testing.assert_allclose(scales, [1] * 3 + [0.1] * 5 + [0.01] * 3 + [0.001] * 2, rtol=1e-6)
    assert opt[1].waited.dtype == jnp.int32 and opt[1].scale.dtype == opt[1].best.dtype == jnp.float32
