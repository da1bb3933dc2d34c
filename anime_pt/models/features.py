"""A small network whose features tell characters apart: for perceptual losses and for looking characters up.

Five levels of two 3 x 3 convolutions with batch normalisation and ReLU, halved in between by averaging, in
the manner of VGG (Simonyan and Zisserman 2015) at a twentieth of its size. The levels' outputs are features
of places; their means over the picture, which tell colours, textures and shapes but not where, are mapped to
one vector of unit length: pictures of one character in any pose lie close together.

Distances in these features are the package's own and have names of their own (`metrics.perceptual`).
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from anime_pt.models import layers

WIDTHS = (16, 32, 64, 128, 192)
EMBEDDING = 128


class _Unit(nnx.Module):
    """Convolution without bias, batch normalisation, rectification."""

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        self.conv = layers.Conv(inputs, outputs, bias=False, rngs=rngs)
        self.norm = layers.BatchNorm(outputs)

    def __call__(self, x: Float[Array, "b h w i"], train: bool) -> Float[Array, "b h w o"]:
        return jax.nn.relu(self.norm(self.conv(x), train))


class Features(nnx.Module):
    """See the module's docstring.

    Args:
      widths: channels of each level; the first is at the picture's own size.
      embedding: length of the vector.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS, embedding: int = EMBEDDING, *, rngs: nnx.Rngs):
        self.levels = nnx.Dict()
        for i, (inputs, width) in enumerate(zip((3, *widths), widths, strict=False), 1):
            self.levels[f"level{i}"] = nnx.Dict(
                first=_Unit(inputs, width, rngs=rngs), second=_Unit(width, width, rngs=rngs)
            )
        self.embedding = layers.Conv(sum(widths), embedding, size=1, rngs=rngs)

    @property
    def multiple(self) -> int:
        """What the sides of pictures must be multiples of."""
        return 2 ** (len(self.levels) - 1)

    def __call__(
        self, images: Float[Array, "b h w 3"], train: bool = False
    ) -> tuple[dict[str, Float[Array, "b _ _ _"]], Float[Array, "b d"]]:
        """Features of places by level ("level1", ...), and one vector for each picture.

        Args:
          images: RGB in [-1, 1].
          train: normalise by the batch, and move the running statistics.

        Raises:
          ValueError: a side is no multiple of 16 (for five levels).
        """
        if any(side % self.multiple for side in images.shape[1:3]):
            h, w = images.shape[1:3]
            raise ValueError(
                f"features are of pictures with sides that {self.multiple} divides, not {h} x {w}"
            )
        x, found = images, {}
        for i, (name, level) in enumerate(self.levels.items()):
            x = layers.mean_pool(x) if i else x
            x = level["first"](x, train)
            x = found[name] = level["second"](x, train)
        means = jnp.concatenate([y.mean((1, 2), keepdims=True) for y in found.values()], -1)
        vector = self.embedding(means)[:, 0, 0]
        length = jnp.sqrt(jnp.maximum(jnp.square(vector).sum(-1, keepdims=True), 1e-12))
        return found, vector / length
