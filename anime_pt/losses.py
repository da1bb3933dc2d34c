"""Losses: functions of arrays, averaged over the batch unless they say otherwise."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


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


def least_squares(features: Float[Array, "..."], real: bool) -> Float[Array, ""]:
    """LSGAN (Mao et al. 2017): the mean squared distance from 1 (real) or 0."""
    return jnp.mean(jnp.square(features - real))


def binary_cross_entropy(logits: Float[Array, "..."], real: bool) -> Float[Array, ""]:
    """The mean of `-log(p)` (real) or `-log(1 - p)`, p the sigmoid of each logit."""
    return jnp.mean(jax.nn.softplus(-logits if real else logits))


def product_cross_entropy(
    appearance_logits: Float[Array, "*any"], shape_logits: Float[Array, "*any"], real: bool
) -> Float[Array, ""]:
    """`binary_cross_entropy` of the product of two discriminators' probabilities.

    PATN's papers score a picture by that product; their code adds two losses, which is the same for `real`.
    A fake is told as soon as one of the two tells it.
    """
    log_p = jax.nn.log_sigmoid(appearance_logits) + jax.nn.log_sigmoid(shape_logits)
    if real:
        return -jnp.mean(log_p)
    # log(1 - p), from the odds of 1 - p: (1 + e^-a) (1 + e^-b) - 1.
    log_odds = jnp.logaddexp(
        jnp.logaddexp(-appearance_logits, -shape_logits), -appearance_logits - shape_logits
    )
    return jnp.mean(jax.nn.softplus(-log_odds))


def l1(x: Float[Array, "*any"], target: Float[Array, "*any"]) -> Float[Array, ""]:
    """The mean absolute difference."""
    return jnp.mean(jnp.abs(x - target))


def perceptual(
    features: Callable[[Float[Array, "b h w c"]], Float[Array, "b h2 w2 f"]],
    images: Float[Array, "b h w c"],
    target: Float[Array, "b h w c"],
) -> Float[Array, ""]:
    """`l1` of two pictures' features (Johnson et al. 2016; PATN takes VGG-19's relu1_2).

    Args:
      features: of a network that is not trained.
      images, target: what it takes; the target gets no gradient.
    """
    return l1(features(images), jax.lax.stop_gradient(features(target)))


def place_cross_entropy(
    places: Float[Array, "b h w k"],
    absent: Float[Array, "b k"],
    target: Float[Array, "b h w k"],
    nowhere: Bool[Array, "b k"],
    known: Bool[Array, "b k"],
) -> Float[Array, ""]:
    """Cross-entropy between distributions of joints over cells and "nowhere", averaged over known joints.

    Args:
      places, absent: logits of the cells and of "nowhere", which share one softmax for each joint.
      target: the true distribution over cells, for joints that are somewhere.
      nowhere: joints that are in no cell.
      known: joints that count.
    """
    b, h, w, k = places.shape
    logits = jnp.concatenate([places.reshape(b, h * w, k), absent[:, None]], 1)
    log_p = jax.nn.log_softmax(logits, axis=1)
    placed = -jnp.sum(target.reshape(b, h * w, k) * log_p[:, :-1], axis=1)
    each = jnp.where(nowhere, -log_p[:, -1], placed)
    return jnp.sum(jnp.where(known, each, 0.0)) / jnp.maximum(known.sum(), 1)


def heatmap_sum_of_squares(
    maps: Float[Array, "b h w k"], target: Float[Array, "b h w k"]
) -> Float[Array, ""]:
    """`sum((maps - target)^2) / 2` per example, over cells and maps: one stage of GCCPM's code."""
    return jnp.sum(jnp.square(maps - target)) / (2 * maps.shape[0])


def heatmap_squares_per_map(
    maps: Float[Array, "b h w k"], target: Float[Array, "b h w k"]
) -> Float[Array, ""]:
    """The mean over maps of `sum((maps - target)^2)` per example: equation 12 of Osokin's GCCPM paper as Tan
    et al. print it. It is `2 / k` times `heatmap_sum_of_squares`, which matters beside a weight decay only.
    """
    return jnp.sum(jnp.square(maps - target)) / (maps.shape[0] * maps.shape[-1])


def supervised_contrastive(
    vectors: Float[Array, "b d"], labels: Int[Array, " b"], temperature: float
) -> Float[Array, " b"]:
    """How far each example is from the others of its label, among all (Khosla et al. 2020, equation 2).

    The mean over others of the same label of their negative log share in the softmax over all others.

    Args:
      vectors: of unit length.
      labels: an example without another of its label has loss 0.
      temperature: what similarities are divided by.
    """
    others = ~jnp.eye(len(labels), dtype=bool)
    logits = jnp.where(others, jnp.matmul(vectors, vectors.T, precision="highest") / temperature, -jnp.inf)
    alike = others & (labels[:, None] == labels)
    log_p = jnp.where(alike, jax.nn.log_softmax(logits, axis=1), 0.0)
    return -log_p.sum(1) / jnp.maximum(alike.sum(1), 1)
