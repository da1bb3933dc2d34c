"""Distances between features of pictures.

`lpips` is Zhang et al. 2018 (richzhang/PerceptualSimilarity, version 0.1) where the features are those of
its networks, `models.alexnet` or VGG-16's `LPIPS_VGG`, with its weights of channels (`convert.alexnet`).
Distances in other features do not compare with it and have other names: that in the package's own network
is `feature_distance_small`.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

Features = Sequence[Float[Array, "b _ _ _"]]

LPIPS_VGG = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
NOTES = {
    "lpips_alex": "LPIPS v0.1, AlexNet: lower is more alike",
    "lpips_vgg": "LPIPS v0.1, VGG-16: lower is more alike",
    "feature_distance_small": "distance of unit features of the package's own network: not LPIPS",
}


def lpips_layers(a: Features, b: Features, weights: Sequence[Float[Array, " _"]]) -> list[Float[Array, " b"]]:
    """What each layer adds to `lpips`."""
    return [
        jnp.einsum("bhwc,c->b", jnp.square(_unit(x) - _unit(y)), jnp.asarray(w, x.dtype), precision="highest")
        / (x.shape[1] * x.shape[2])
        for x, y, w in zip(a, b, weights, strict=True)
    ]


def lpips(a: Features, b: Features, weights: Sequence[Float[Array, " _"]]) -> Float[Array, " b"]:
    """Weighted squared distance of unit feature vectors, averaged over places, summed over layers.

    Args:
      a, b: features of both pictures, layer by layer.
      weights: of the channels, (c,) for each layer; not negative.
    """
    return sum(lpips_layers(a, b, weights))


def feature_distance(a: Features, b: Features) -> Float[Array, " b"]:
    """`lpips` with a weight of 1 / layers for all channels: 0 to 2 where features are rectified.

    Args:
      a, b: features of both pictures, layer by layer, of any network.
    """
    return lpips(a, b, [jnp.full(x.shape[-1], 1 / len(a)) for x in a])


def _unit(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    # A root has no slope at zero, where dead features are.
    squares = jnp.maximum(jnp.square(x).sum(-1, keepdims=True), 1e-24)
    return x / (jnp.sqrt(squares) + 1e-10)
