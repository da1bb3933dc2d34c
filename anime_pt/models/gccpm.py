"""GCCPM: global context for convolutional pose machines, a figure's joints as maps at an eighth of its size.

Osokin: "Global context for convolutional pose machines" (arXiv 1906.04104), whose PyTorch code
(Daniil-Osokin/gccpm-look-into-person-cvpr19.pytorch, `models/single_person_pose_with_mobilenet.py`) fixes
every layer. A MobileNet v1 whose sixth block keeps its stride and whose seventh is dilated instead; a block
that narrows its features ("cpm"); an initial stage; refinement stages, each of which sees the features and
the maps of the stage before, first through a U-shaped context block of two halvings, then through three
residual blocks of dilated convolutions. Every stage's maps are supervised; the last ones are the prediction.

As in the code: convolutions have a bias also where a batch normalisation follows and makes it idle, and
residual blocks end with the sum, not with a ReLU. The one difference is the argument `cpm_channels`, a
number in the code.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from anime_pt.models import layers

STRIDE = 8  # Pixels of the image per cell of a map.
# Outputs, stride and dilation of MobileNet's blocks 1 to 11.
_BACKBONE = (
    (64, 1, 1),
    (128, 2, 1),
    (128, 1, 1),
    (256, 2, 1),
    (256, 1, 1),
    (512, 1, 1),
    (512, 1, 2),
    *((512, 1, 1),) * 4,
)


def normalise(images: Float[Array, "... c"]) -> Float[Array, "... c"]:
    """Pixel values of 0 to 255, blue first, as the network takes them: `(x - 128) / 256`."""
    return (images - 128.0) / 256.0


class _ConvBlock(nnx.Module):
    """Convolution, batch normalisation if `norm`, ReLU."""

    def __init__(self, inputs, outputs, size=3, *, stride=1, dilation=1, bias=True, norm=True, rngs):
        self.conv = layers.Conv(inputs, outputs, size, stride=stride, dilation=dilation, bias=bias, rngs=rngs)
        self.norm = layers.BatchNorm(outputs) if norm else None

    def __call__(self, x, train):
        x = self.conv(x)
        return jax.nn.relu(x if self.norm is None else self.norm(x, train))


class _SeparableBlock(nnx.Module):
    """MobileNet's block: a depthwise and a pointwise convolution, each normalised, each with a ReLU."""

    def __init__(self, inputs, outputs, *, stride, dilation, rngs):
        self.depthwise = layers.DepthwiseConv(inputs, stride=stride, dilation=dilation, rngs=rngs)
        self.depthwise_norm = layers.BatchNorm(inputs)
        self.pointwise = layers.Conv(inputs, outputs, 1, bias=False, rngs=rngs)
        self.pointwise_norm = layers.BatchNorm(outputs)

    def __call__(self, x, train):
        x = jax.nn.relu(self.depthwise_norm(self.depthwise(x), train))
        return jax.nn.relu(self.pointwise_norm(self.pointwise(x), train))


class _Chain(nnx.Module):
    """Blocks one after the other, named `block0`, `block1`, ..."""

    def __init__(self, *blocks: nnx.Module):
        self.length = len(blocks)
        for i, block in enumerate(blocks):
            setattr(self, f"block{i}", block)

    def __call__(self, x, train):
        for i in range(self.length):
            x = getattr(self, f"block{i}")(x, train)
        return x


class _Head(nnx.Module):
    """Features to maps, cell by cell; the maps are linear."""

    def __init__(self, inputs, hidden, maps, *, rngs):
        self.hidden = layers.Conv(inputs, hidden, 1, rngs=rngs)
        self.maps = layers.Conv(hidden, maps, 1, rngs=rngs)

    def __call__(self, x):
        return self.maps(jax.nn.relu(self.hidden(x)))


class _Context(nnx.Module):
    """The U-shaped context block: down to a quarter of the size and back; as many channels out as in."""

    def __init__(self, channels, *, rngs):
        wide = 2 * channels

        def pair(inputs, outputs, stride):
            first = _ConvBlock(inputs, wide, stride=stride, rngs=rngs)
            return _Chain(first, _ConvBlock(wide, outputs, rngs=rngs))

        self.encoder1 = pair(channels, wide, 2)
        self.encoder2 = pair(wide, wide, 2)
        self.decoder2 = pair(wide + wide, wide, 1)
        self.decoder1 = pair(channels + wide, channels, 1)

    def __call__(self, x, train):
        half = self.encoder1(x, train)
        quarter = self.encoder2(half, train)
        half = self.decoder2(_beside(half, quarter), train)
        return self.decoder1(_beside(x, half), train)


class _Residual(nnx.Module):
    """A narrowing convolution plus what two wide ones, the second dilated, make of it."""

    def __init__(self, inputs, outputs, *, rngs):
        self.initial = _ConvBlock(inputs, outputs, 1, norm=False, rngs=rngs)
        self.trunk = _Chain(
            _ConvBlock(outputs, outputs, rngs=rngs), _ConvBlock(outputs, outputs, dilation=2, rngs=rngs)
        )

    def __call__(self, x, train):
        x = self.initial(x, train)
        return x + self.trunk(x, train)


class _Refinement(nnx.Module):
    """A refinement stage: features and maps to better maps."""

    def __init__(self, channels, maps, *, rngs):
        self.context = _Context(channels + maps, rngs=rngs)
        self.residual1 = _Residual(channels + maps, channels, rngs=rngs)
        self.residual2 = _Residual(channels, channels, rngs=rngs)
        self.residual3 = _Residual(channels, channels, rngs=rngs)
        self.head = _Head(channels, channels, maps, rngs=rngs)

    def __call__(self, features, maps, train):
        x = jnp.concatenate([features, maps], axis=-1)
        x = self.residual1(self.context(x, train), train)
        return self.head(self.residual3(self.residual2(x, train), train))


class GCCPM(nnx.Module):
    """Image to the maps of every stage.

    Args:
      maps: maps per stage: the joints, then the background where it is trained.
      num_channels: features that the stages see.
      refinement_stages: after the initial one; the public model has 5, the paper's fast one 1.
      cpm_channels: features between the backbone and those.
      rngs: for the initial values, torch's defaults; not kept.
    """

    def __init__(
        self,
        maps: int,
        *,
        num_channels: int = 128,
        refinement_stages: int = 5,
        cpm_channels: int = 256,
        rngs: nnx.Rngs,
    ):
        blocks, inputs = [_ConvBlock(3, 32, stride=2, bias=False, rngs=rngs)], 32
        for outputs, stride, dilation in _BACKBONE:
            blocks.append(_SeparableBlock(inputs, outputs, stride=stride, dilation=dilation, rngs=rngs))
            inputs = outputs
        self.backbone = _Chain(*blocks)
        self.cpm = _Chain(
            _ConvBlock(inputs, cpm_channels, rngs=rngs), _ConvBlock(cpm_channels, num_channels, rngs=rngs)
        )
        self.initial_trunk = _Chain(*(_ConvBlock(num_channels, num_channels, rngs=rngs) for _ in range(3)))
        self.initial_head = _Head(num_channels, 512, maps, rngs=rngs)
        self.refinement = nnx.Dict(
            {f"stage{r}": _Refinement(num_channels, maps, rngs=rngs) for r in range(refinement_stages)}
        )

    def features(self, images: Float[Array, "b h w 3"], train: bool = False) -> Float[Array, "b h8 w8 c"]:
        """What all stages see."""
        return self.cpm(self.backbone(images, train), train)

    def __call__(self, images: Float[Array, "b h w 3"], train: bool) -> list[Float[Array, "b h8 w8 k"]]:
        """Maps of the initial and of every refinement stage, of `ceil(h / 8)` rows each.

        Args:
          images: channels blue, green, red in about +-0.5; see `normalise`. Any size.
          train: whether batch normalisation uses the batch, and moves its statistics.
        """
        features = self.features(images, train)
        maps = [self.initial_head(self.initial_trunk(features, train))]
        for r in range(len(self.refinement)):
            maps.append(self.refinement[f"stage{r}"](features, maps[-1], train))
        return maps


def _beside(skip: jax.Array, x: jax.Array) -> jax.Array:
    """`x`, enlarged linearly (between pixel centres) to the size of `skip`, behind it."""
    b, h, w, _ = skip.shape
    return jnp.concatenate([skip, jax.image.resize(x, (b, h, w, x.shape[-1]), "linear")], axis=-1)
