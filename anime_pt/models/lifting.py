"""From joints in a picture to joints in space: the baseline of Martinez et al.

Martinez, Hossain, Romero & Little, "A simple yet effective baseline for 3d human pose estimation" (ICCV
2017), section 3 and the code una-dinosauria/3d-pose-baseline: linear layers with batch normalisation, ReLU
and dropout, the inner ones in pairs around which the input is carried. "Max-norm" is what that code does: a
weight matrix whose Frobenius norm is above 1 is used scaled to 1.

It differs in what goes in, since joints may be missing and pictures are of any size: places about the mean of
the known joints, in their root mean square distance from it, with a mark for each joint that is known; there,
pixels are standardised by the statistics of one dataset.
"""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from anime_pt.models import layers

# Metres of an output of 1, so that outputs are of the order of 1.
UNIT = 0.25


def normalised(keypoints: Float[Array, "b k 3"]) -> Float[Array, "b 3*k"]:
    """What the network sees of joints: where they are, 0 if unknown, and which are known.

    Args:
      keypoints: x, y, visibility in pixels; NaN where unknown. Visibility is not looked at: hidden joints are
        where somebody thinks they are.
    """
    known = jnp.isfinite(keypoints[..., :2]).all(-1, keepdims=True)
    places = jnp.where(known, keypoints[..., :2], 0)
    count = jnp.maximum(known.sum(1, keepdims=True), 1)
    places = jnp.where(known, places - places.sum(1, keepdims=True) / count, 0)
    spread = jnp.sqrt((places**2).sum((1, 2), keepdims=True) / count)
    places = places / jnp.maximum(spread, 1e-6)
    flat = lambda x: x.reshape(len(x), -1).astype(jnp.float32)
    return jnp.concatenate([flat(places), flat(known)], 1)


class _Linear(nnx.Module):
    """A linear layer, He et al.'s initial values cut off at two deviations."""

    def __init__(self, inputs: int, outputs: int, max_norm: bool, *, rngs: nnx.Rngs):
        values = jax.random.truncated_normal(rngs.params(), -2.0, 2.0, (inputs, outputs))
        self.kernel = nnx.Param(values * math.sqrt(2 / inputs))
        self.bias = nnx.Param(jnp.zeros(outputs))
        self.max_norm = max_norm

    def __call__(self, x: Float[Array, "b i"]) -> Float[Array, "b o"]:
        kernel = self.kernel[...]
        if self.max_norm:
            kernel = kernel * jnp.minimum(1.0, jax.lax.rsqrt(jnp.sum(kernel**2) + 1e-12))
        return x @ kernel + self.bias[...]


class _Unit(nnx.Module):
    """Linear layer, batch normalisation, ReLU and dropout."""

    def __init__(self, inputs: int, outputs: int, dropout: float, max_norm: bool, *, rngs: nnx.Rngs):
        self.linear = _Linear(inputs, outputs, max_norm, rngs=rngs)
        # TensorFlow's defaults, as there.
        self.norm = layers.BatchNorm(outputs, epsilon=1e-3, momentum=0.01)
        self.dropout = dropout

    def __call__(self, x: Float[Array, "b i"], train: bool, key: jax.Array | None) -> Float[Array, "b o"]:
        return layers.dropout(jax.nn.relu(self.norm(self.linear(x), train)), self.dropout, key)


class Lifter(nnx.Module):
    """Joints in space, in the camera's directions, about the middle of the hips.

    Args:
      joints: k.
      width: features of the inner layers; 1,024 in the paper.
      blocks: pairs of inner layers; 2 in the paper.
      dropout: share of features that training leaves out; 0.5 in the paper.
      max_norm: see the module's docstring.
    """

    def __init__(
        self,
        joints: int,
        width: int = 1024,
        blocks: int = 2,
        dropout: float = 0.5,
        max_norm: bool = True,
        *,
        rngs: nnx.Rngs,
    ):
        self.first = _Unit(3 * joints, width, dropout, max_norm, rngs=rngs)
        units = [_Unit(width, width, dropout, max_norm, rngs=rngs) for _ in range(2 * blocks)]
        self.units = nnx.List(units)
        self.last = _Linear(width, 3 * joints, max_norm, rngs=rngs)

    def __call__(
        self, keypoints: Float[Array, "b k 3"], train: bool, key: jax.Array | None = None
    ) -> Float[Array, "b k 3"]:
        """Metres: x to the right of the picture, y down, z away; of a figure as large as those trained on.

        The middle of the hips is not taken out of what comes: `recipes.lifting` does.

        Args:
          keypoints: see `normalised`.
          train: whether statistics are the batch's.
          key: of dropout; None: nothing is left out.
        """
        count = len(self.units) + 1
        keys = [None] * count if key is None else list(jax.random.split(key, count))
        x = self.first(normalised(keypoints), train, keys[0])
        for i in range(0, len(self.units), 2):
            y = self.units[i](x, train, keys[i + 1])
            x = x + self.units[i + 1](y, train, keys[i + 2])
        return UNIT * self.last(x).reshape(keypoints.shape)
