"""PG2: a coarse picture of a figure in another pose, then a difference map that refines it.

Ma, Jia, Sun, Schiele, Tuytelaars, Van Gool: "Pose guided person image generation" (NIPS 2017), whose
TensorFlow code (charliememory/Pose-Guided-Person-Image-Generation) fixes every layer. The coarse generator
(G1) sees the source and the target's pose, the refiner (G2) the coarse picture and the source; both are
U-nets without normalisation, with ReLUs throughout and a linear last layer, so values may leave [-1, 1]. The
discriminator is DCGAN's and judges pictures alone, without pose or source.

The code has two forms, which differ in the refiner's skip connection at full size (`full_skip`: off at
128 x 64, on at 256 x 256) and in the discriminator's depth; the losses' forms are the recipe's. Convolutions
pad like TensorFlow's "SAME", which for a stride of 2 adds more behind than before; the paper's `N` is
`levels`, so that the innermost features are eight rows high.

Differences: any width, where the code has half of the height, or all of it; several sources, beside each
other as channels; 1 x 1 convolutions come before the enlargement that they follow in the code, where they
cost a quarter: both together are the same function.
"""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from anime_pt.models import conv, layers

_INNERMOST = 8  # Rows of the smallest features.


def levels_of(height: int) -> int:
    """The paper's N, of a picture's height: log2 of it, less 2.

    Raises:
      ValueError: the height is no power of two from 32 on.
    """
    if height < 4 * _INNERMOST or height & (height - 1):
        raise ValueError(f"PG2: pictures {height} high; use a power of two from {4 * _INNERMOST} on")
    return height.bit_length() - 3


def check_size(size: tuple[int, int]) -> None:
    """Raises ValueError if a picture's sides cannot be halved as often as PG2 does."""
    height, width = size
    step = 2 ** (levels_of(height) - 1)
    if width % step or width < step:
        raise ValueError(
            f"PG2: pictures {height} high must have a width that is a multiple of {step}, not {width}"
        )


def _spread(inputs: int, outputs: int, size: int = 1) -> float:
    """Half the width of Xavier's uniform distribution (TF-Slim's default)."""
    return math.sqrt(6 / (size * size * (inputs + outputs)))


class _Conv(nnx.Module):
    """A convolution padded as TensorFlow's "SAME"; the bias starts at zero.

    Args:
      bound: the kernel starts uniform in +- this.
    """

    def __init__(self, inputs, outputs, size=3, *, stride=1, bound=None, rngs):
        bound = _spread(inputs, outputs, size) if bound is None else bound
        self.kernel = nnx.Param(layers.uniform(rngs, (size, size, inputs, outputs), bound))
        self.bias = nnx.Param(jnp.zeros(outputs))
        self.stride = stride

    def __call__(self, x):
        kernel = self.kernel[...]
        if self.stride == 1:
            return conv.convolve(x, kernel) + self.bias[...]
        pads = jax.lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], (self.stride,) * 2, "SAME")
        x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
        return conv.convolve(x, kernel, stride=self.stride, padded=True) + self.bias[...]


class _Dense(nnx.Module):
    def __init__(self, inputs, outputs, *, bound=None, rngs):
        bound = _spread(inputs, outputs) if bound is None else bound
        self.kernel = nnx.Param(layers.uniform(rngs, (inputs, outputs), bound))
        self.bias = nnx.Param(jnp.zeros(outputs))

    def __call__(self, x):
        return x @ self.kernel[...] + self.bias[...]


class _Pair(nnx.Module):
    """Two convolutions with ReLUs; `residual` adds what went in."""

    def __init__(self, inputs, outputs, *, residual, rngs):
        self.conv0 = _Conv(inputs, outputs, rngs=rngs)
        self.conv1 = _Conv(outputs, outputs, rngs=rngs)
        self.residual = residual

    def __call__(self, x):
        out = jax.nn.relu(self.conv1(jax.nn.relu(self.conv0(x))))
        return x + out if self.residual else out


def _level(i: int) -> str:
    return f"level{i}"


class Coarse(nnx.Module):
    """G1: source and target pose to a coarse picture.

    Args:
      size: height and width of pictures; see `check_size`.
      pose_channels: keypoints in a pose map.
      image_channels: of a picture: 3, or 4 with a mask.
      sources: pictures of the figure.
      features: n, channels at full size; each level has n more.
      latent: length of the code between the dense layers.
      rngs: for the initial values, Xavier's uniform ones; not kept.

    Raises:
      ValueError: the size does not fit.
    """

    def __init__(
        self,
        size: tuple[int, int],
        pose_channels: int,
        *,
        image_channels: int = 3,
        sources: int = 1,
        features: int = 128,
        latent: int = 64,
        rngs: nnx.Rngs,
    ):
        check_size(size)
        n, self.levels = features, levels_of(size[0])
        last = self.levels - 1
        rows, columns = (side >> last for side in size)
        self.stem = _Conv(sources * image_channels + pose_channels, n, rngs=rngs)
        encoder, down, decoder, up = {}, {}, {}, {}
        for i in range(self.levels):
            encoder[_level(i)] = _Pair(n * (i + 1), n * (i + 1), residual=True, rngs=rngs)
            if i < last:
                down[_level(i)] = _Conv(n * (i + 1), n * (i + 2), stride=2, rngs=rngs)
        self.encode = _Dense(rows * columns * n * self.levels, latent, rngs=rngs)
        self.decode = _Dense(latent, rows * columns * n, rngs=rngs)
        inputs = n
        for i in reversed(range(self.levels)):
            width = inputs + n * (i + 1)
            decoder[_level(i)] = _Pair(width, width, residual=True, rngs=rngs)
            if i:
                up[_level(i)] = _Conv(width, n * i, 1, rngs=rngs)
                inputs = n * i
        self.encoder, self.down = nnx.Dict(encoder), nnx.Dict(down)
        self.decoder, self.up = nnx.Dict(decoder), nnx.Dict(up)
        self.image = _Conv(2 * n, image_channels, rngs=rngs)

    def __call__(
        self, source: Float[Array, "b *n h w c"], target_pose: Float[Array, "b h w k"]
    ) -> Float[Array, "b h w c"]:
        """Pictures around [-1, 1].

        Args:
          source: pictures in [-1, 1]: one of each example, or as many as the network was built for.
          target_pose: maps of +-1.
        """
        x = jnp.concatenate([_beside(source), target_pose], axis=-1)
        x = jax.nn.relu(self.stem(x))
        skips = []
        for i in range(self.levels):
            x = self.encoder[_level(i)](x)
            skips.append(x)
            if i < self.levels - 1:
                x = jax.nn.relu(self.down[_level(i)](x))
        b, rows, columns, _ = x.shape
        x = self.decode(self.encode(x.reshape(b, -1))).reshape(b, rows, columns, -1)
        for i in reversed(range(self.levels)):
            x = self.decoder[_level(i)](jnp.concatenate([x, skips[i]], axis=-1))
            if i:
                x = layers.upsample(jax.nn.relu(self.up[_level(i)](x)))
        return self.image(x)


class Refiner(nnx.Module):
    """G2: coarse picture and source to a difference map, to be added to the coarse picture.

    Args:
      height: of pictures; see `levels_of`: the refiner has two levels less than the coarse generator.
      image_channels, sources, features: see `Coarse`.
      full_skip: whether the last features see the first level's.
      rngs: see `Coarse`.
    """

    def __init__(
        self,
        height: int,
        *,
        image_channels: int = 3,
        sources: int = 1,
        features: int = 128,
        full_skip: bool,
        rngs: nnx.Rngs,
    ):
        n, self.levels, self.full_skip = features, levels_of(height) - 2, full_skip
        self.stem = _Conv((1 + sources) * image_channels, n, rngs=rngs)
        encoder, down, decoder = {}, {}, {}
        inputs = n
        for i in range(self.levels):
            width = n * (i + 1)
            encoder[_level(i)] = _Pair(inputs, width, residual=False, rngs=rngs)
            if i < self.levels - 1:
                down[_level(i)] = _Conv(width, width, stride=2, rngs=rngs)
            inputs = width
        for i in reversed(range(self.levels)):
            width = inputs + (n * (i + 1) if i or full_skip else 0)
            decoder[_level(i)] = _Pair(width, n, residual=False, rngs=rngs)
            inputs = n
        self.encoder, self.down, self.decoder = nnx.Dict(encoder), nnx.Dict(down), nnx.Dict(decoder)
        self.difference = _Conv(n, image_channels, rngs=rngs)

    def __call__(
        self, coarse: Float[Array, "b h w c"], source: Float[Array, "b *n h w c"]
    ) -> Float[Array, "b h w c"]:
        """The difference map; pictures as of `Coarse`."""
        x = jax.nn.relu(self.stem(jnp.concatenate([coarse, _beside(source)], axis=-1)))
        skips = []
        for i in range(self.levels):
            x = self.encoder[_level(i)](x)
            skips.append(x)
            if i < self.levels - 1:
                x = jax.nn.relu(self.down[_level(i)](x))
        for i in reversed(range(self.levels)):
            if i or self.full_skip:
                x = jnp.concatenate([x, skips[i]], axis=-1)
            x = self.decoder[_level(i)](x)
            if i:
                x = layers.upsample(x)
        return self.difference(x)


class _BatchNorm(nnx.Module):
    """Batch normalisation by the batch's statistics always; none are kept."""

    def __init__(self, features):
        self.scale = nnx.Param(jnp.ones(features))
        self.bias = nnx.Param(jnp.zeros(features))

    def __call__(self, x):
        mean = x.mean((0, 1, 2))
        var = jnp.square(x - mean).mean((0, 1, 2))
        return (x - mean) * (self.scale[...] * jax.lax.rsqrt(var + 1e-5)) + self.bias[...]


class Discriminator(nnx.Module):
    """Pictures to logits, of whole batches: which others are beside a picture changes its logit.

    Args:
      size: height and width of pictures.
      image_channels: see `Coarse`.
      features: of the first layer; twice as many in each further one, up to eight times.
      rngs: for the initial values, uniform with a deviation of 0.02; not kept.

    Raises:
      ValueError: the size does not fit.
    """

    def __init__(self, size: tuple[int, int], *, image_channels: int = 3, features: int = 64, rngs: nnx.Rngs):
        check_size(size)
        bound = 0.02 * math.sqrt(3)
        self.depth = levels_of(size[0]) - 1
        convs, norms, inputs = {}, {}, image_channels
        for i in range(self.depth):
            width = features * min(2**i, 8)
            convs[_level(i)] = _Conv(inputs, width, 5, stride=2, bound=bound, rngs=rngs)
            if i:
                norms[_level(i)] = _BatchNorm(width)
            inputs = width
        cells = math.prod(side >> self.depth for side in size)
        self.convs, self.norms = nnx.Dict(convs), nnx.Dict(norms)
        self.logit = _Dense(cells * inputs, 1, bound=bound, rngs=rngs)

    def __call__(self, images: Float[Array, "b h w c"]) -> Float[Array, " b"]:
        """Logits, higher for real."""
        x = layers.leaky_relu(self.convs[_level(0)](images))
        for i in range(1, self.depth):
            x = layers.leaky_relu(self.norms[_level(i)](self.convs[_level(i)](x)))
        return self.logit(x.reshape(x.shape[0], -1))[:, 0]


def _beside(source: Float[Array, "b *n h w c"]) -> Float[Array, "b h w nc"]:
    """Several pictures as channels of one."""
    if source.ndim == 4:
        return source
    b, n, h, w, c = source.shape
    return jnp.moveaxis(source, 1, 3).reshape(b, h, w, n * c)
