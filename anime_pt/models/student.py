"""A small pose network of plain convolutions: fast on processors, trained on rendered characters.

It is an hourglass (Newell et al. 2016) of residual blocks (He et al. 2016): the picture is cut into patches
of 4 x 4 pixels, a convolution takes these to an eighth of its size, features are halved twice more, and come
back by nearest-neighbour enlargement and addition. Nothing of it is slow anywhere: 3 x 3 and 1 x 1
convolutions, batch normalisation, ReLU.

Every joint has one logit per cell of a map at an eighth of the picture's size, and one more for "nowhere in
this picture": a distribution over places, from which the joint's place is read between cells.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from anime_pt.models import layers

STRIDE = 8
# Side of the squares that become channels.
PATCH = 4
# The sides of a picture must be multiples of it: patches, and three halvings.
MULTIPLE = 32


class _Unit(nnx.Module):
    """Convolution without bias and batch normalisation."""

    def __init__(self, inputs: int, outputs: int, size: int = 3, stride: int = 1, *, rngs: nnx.Rngs):
        self.conv = layers.Conv(inputs, outputs, size, stride=stride, bias=False, rngs=rngs)
        self.norm = layers.BatchNorm(outputs)

    def __call__(self, x: Float[Array, "b h w i"], train: bool) -> Float[Array, "b h2 w2 o"]:
        return self.norm(self.conv(x), train)


class _Block(nnx.Module):
    """Two convolutions around which the input is carried."""

    def __init__(self, features: int, *, rngs: nnx.Rngs):
        self.first = _Unit(features, features, rngs=rngs)
        self.second = _Unit(features, features, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w c"], train: bool) -> Float[Array, "b h w c"]:
        return jax.nn.relu(x + self.second(jax.nn.relu(self.first(x, train)), train))


class _Level(nnx.Module):
    """One size of features, and all the smaller ones within it."""

    def __init__(self, widths: tuple[int, ...], *, rngs: nnx.Rngs):
        width, *smaller = widths
        self.before = _Block(width, rngs=rngs)
        self.inner = _Level(tuple(smaller), rngs=rngs) if smaller else None
        if smaller:
            self.down = _Unit(width, smaller[0], stride=2, rngs=rngs)
            self.up = _Unit(smaller[0], width, size=1, rngs=rngs)
            self.after = _Block(width, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b h w c"], train: bool
    ) -> tuple[Float[Array, "b h w c"], Float[Array, "b h2 w2 c2"]]:
        """The features, and those of the smallest size."""
        x = self.before(x, train)
        if self.inner is None:
            return x, x
        inner, smallest = self.inner(jax.nn.relu(self.down(x, train)), train)
        # The 1 x 1 convolution runs before the enlargement, where it costs a quarter.
        x = jax.nn.relu(x + layers.upsample(self.up(inner, train)))
        return self.after(x, train), smallest


class Student(nnx.Module):
    """See the module's docstring.

    Args:
      joints: number of keypoints.
      widths: channels at 1/8, 1/16 and 1/32 of the picture's size.
    """

    def __init__(self, joints: int, widths: tuple[int, int, int] = (64, 128, 192), *, rngs: nnx.Rngs):
        self.stem = _Unit(3 * PATCH**2, widths[0], stride=2, rngs=rngs)
        self.level = _Level(widths, rngs=rngs)
        self.places = layers.Conv(widths[0], joints, size=1, rngs=rngs)
        self.nowhere = layers.Conv(widths[-1], joints, size=1, rngs=rngs)

    def __call__(
        self, images: Float[Array, "b h w 3"], train: bool = False
    ) -> tuple[Float[Array, "b h8 w8 k"], Float[Array, "b k"]]:
        """Logits of the joints' places, and of their being in no place of the picture.

        Args:
          images: RGB in [-1, 1].
          train: normalise by the batch, and move the running statistics.

        Raises:
          ValueError: a side is no multiple of 32.
        """
        b, h, w, c = images.shape
        if h % MULTIPLE or w % MULTIPLE:
            raise ValueError(f"the student takes sides that are multiples of {MULTIPLE}, not {h} x {w}")
        rows, columns = h // PATCH, w // PATCH
        patches = images.reshape(b, rows, PATCH, columns, PATCH, c).transpose(0, 1, 3, 2, 4, 5)
        x = jax.nn.relu(self.stem(patches.reshape(b, rows, columns, PATCH**2 * c), train))
        x, smallest = self.level(x, train)
        return self.places(x), self.nowhere(smallest.mean((1, 2), keepdims=True))[:, 0, 0]


def probabilities(
    places: Float[Array, "b h w k"], nowhere: Float[Array, "b k"]
) -> tuple[Float[Array, "b h w k"], Float[Array, "b k"]]:
    """The distribution of every joint over cells and "nowhere": what `Student` returns, normalised."""
    b, h, w, k = places.shape
    logits = jnp.concatenate([places.reshape(b, h * w, k), nowhere[:, None]], 1)
    found = jax.nn.softmax(logits, axis=1)
    return found[:, :-1].reshape(b, h, w, k), found[:, -1]
