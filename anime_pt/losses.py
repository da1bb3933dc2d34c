"""Losses: functions of arrays, averaged over the batch unless they say otherwise."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def wasserstein_discriminator(
    real_logits: Float[Array, " b"], fake_logits: Float[Array, " b"], drift: float = 0.001
) -> Float[Array, ""]:
    """`mean(fake - real + drift * real^2)`: ProGAN, appendix A.1."""
    return jnp.mean(fake_logits - real_logits + drift * jnp.square(real_logits))


def wasserstein_generator(fake_logits: Float[Array, " b"]) -> Float[Array, ""]:
    """`mean(-fake)`."""
    return -jnp.mean(fake_logits)


def gradient_norms(
    critic: Callable[[Float[Array, "b *rest"]], Float[Array, " b"]], x: Float[Array, "b *rest"]
) -> Float[Array, " b"]:
    """Euclidean norm, per example, of the gradient of `sum(critic(x))`; no epsilon under the root."""
    gradient = jax.grad(lambda x: critic(x).sum())(x)
    return jnp.sqrt(jnp.sum(jnp.square(gradient), axis=tuple(range(1, x.ndim))))


def gradient_penalty(
    critic: Callable[[Float[Array, "b *rest"]], Float[Array, " b"]],
    real: Float[Array, "b *rest"],
    fake: Float[Array, "b *rest"],
    mix: Float[Array, " b"],
    target: float = 1.0,
) -> Float[Array, ""]:
    """`mean((|gradient| - target)^2)` at `real + mix * (fake - real)` (WGAN-GP, Gulrajani et al. 2017).

    Args:
      critic: images to logits; may couple the examples of a batch.
      real, fake: the two ends.
      mix: per example, uniform in [0, 1].
      target: the gradient norm asked for.
    """
    mix = mix.reshape(-1, *(1,) * (real.ndim - 1))
    norms = gradient_norms(critic, real + mix * (fake - real))
    return jnp.mean(jnp.square(norms - target))
