"""PATN: progressive pose attention, a figure's picture carried from one pose to another.

Zhu et al.: "Progressive pose attention transfer for person image generation" (CVPR 2019), whose PyTorch code
(tengteng95/Pose-Transfer, branch pytorch_v1.0, `models/model_variants.py` and `models/networks.py`) fixes
every layer. Two encoders, one for the picture, one for both poses' maps; blocks in which the pose code says,
element by element, where the image code is to change; a decoder. Two discriminators of one form, which see
the picture beside the source (appearance) or beside the target pose (shape); each answers with its last
features, not with one number per place.

As in the code: ReLU where the paper speaks of leaky ones; convolutions have a bias only where instance
normalisation follows, which makes it idle; the last block's pose code is not used. Optional here, and without
parameters where they are off:

- Several sources at once. Each goes through encoders and blocks with its own pose, to arrive in the target's;
  there they are averaged (`fusion="mean"`), or weighted pixel by pixel (`"attention"`) as in Lathuilière
  et al., "Attention-based fusion for multi-source human image generation" (WACV 2020). Their order does not
  matter; one source gives the plain network.
- A copy path (`copy`): pixels of the sources, brought to the target's pose, beside painted ones; see
  `models/copying.py`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from anime_pt.models import copying, layers

STRIDE = 4  # Pixels of the image per cell of the codes; its sides must be multiples of it.
FUSIONS = ("mean", "attention")
NORMS = ("batch", "instance")


class _Make(NamedTuple):
    """How a network makes its layers."""

    norm: str
    deviation: float | None  # Of initial values: of kernels from 0, of scales from 1; None for torch's.
    rngs: nnx.Rngs

    def conv(self, inputs: int, outputs: int, size: int = 3, **options) -> layers.Conv:
        options = {"bias": self.norm == "instance"} | options
        return layers.Conv(inputs, outputs, size, deviation=self.deviation, rngs=self.rngs, **options)

    def up(self, inputs: int, outputs: int) -> layers.ConvTranspose:
        bias = self.norm == "instance"
        return layers.ConvTranspose(inputs, outputs, bias=bias, deviation=self.deviation, rngs=self.rngs)

    def normalisation(self, features: int) -> nnx.Module:
        if self.norm == "instance":
            return layers.InstanceNorm()
        module = layers.BatchNorm(features)
        if self.deviation is not None:
            module.scale = nnx.Param(1 + self.deviation * layers.normal(self.rngs, (features,)))
        return module


class _Unit(nnx.Module):
    """Convolution, normalisation, ReLU."""

    def __init__(self, make, conv, features):
        self.conv = conv
        self.norm = make.normalisation(features)

    def __call__(self, *inputs, train):
        return jax.nn.relu(self.norm(self.conv(*inputs), train))


class _Encoder(nnx.Module):
    """To a quarter of the size and four times `width` channels."""

    def __init__(self, make, inputs, width):
        self.unit0 = _Unit(make, make.conv(inputs, width, 7, reflect=True), width)
        self.unit1 = _Unit(make, make.conv(width, 2 * width, stride=2), 2 * width)
        self.unit2 = _Unit(make, make.conv(2 * width, 4 * width, stride=2), 4 * width)

    def __call__(self, *inputs, train):
        x = self.unit0(*inputs, train=train)
        return self.unit2(self.unit1(x, train=train), train=train)


class _Pair(nnx.Module):
    """A unit, dropout, and a convolution, normalised unless `last_norm` is off."""

    def __init__(self, make, inputs, outputs, dropout, *, last_norm=True):
        self.unit = _Unit(make, make.conv(inputs, inputs, reflect=True), inputs)
        self.conv = make.conv(inputs, outputs, reflect=True)
        self.norm = make.normalisation(outputs) if last_norm else None
        self.dropout = dropout

    def __call__(self, x, train, key):
        x = self.conv(layers.dropout(self.unit(x, train=train), self.dropout, key))
        return x if self.norm is None else self.norm(x, train)


class _Block(nnx.Module):
    """A pose-attentional transfer block: both codes to the next ones."""

    def __init__(self, make, features, pose_features, dropout):
        self.image = _Pair(make, features, features, dropout)
        self.pose = _Pair(make, pose_features, features, dropout, last_norm=False)

    def __call__(self, image, pose, train, keys):
        pose = self.pose(pose, train, keys[1])
        image = image + self.image(image, train, keys[0]) * jax.nn.sigmoid(pose)
        return image, jnp.concatenate([pose, image], axis=-1)


class _Decoder(nnx.Module):
    """Back to the size of the picture."""

    def __init__(self, make, width, outputs):
        self.unit0 = _Unit(make, make.up(4 * width, 2 * width), 2 * width)
        self.unit1 = _Unit(make, make.up(2 * width, width), width)
        self.conv = make.conv(width, outputs, 7, reflect=True, bias=True)

    def features(self, x, train):
        """What the last convolution paints from."""
        return self.unit1(self.unit0(x, train=train), train=train)

    def paint(self, features):
        return jnp.tanh(self.conv(features))


class Generator(nnx.Module):
    """See the module's docstring.

    Args:
      keypoints: channels of a pose map.
      ngf: channels of the first layer; the codes have four times as many.
      blocks: pose-attentional transfer blocks; the paper also tries 5 and 13.
      norm: "instance" (the public code on DeepFashion) or "batch" (on Market-1501).
      image_channels: 3, or 4 with a mask.
      dropout: share of features left out within blocks in training.
      fusion: how several sources become one: "mean" or "attention".
      copy: limbs, as pairs of a pose map's channels, for a copy path; without any there is none.
      rngs: for the initial values, the code's: kernels N(0, 0.02), scales N(1, 0.02); not kept.

    Raises:
      ValueError: there is no such normalisation or fusion.
    """

    def __init__(
        self,
        keypoints: int,
        ngf: int = 64,
        *,
        blocks: int = 9,
        norm: str = "instance",
        image_channels: int = 3,
        dropout: float = 0.5,
        fusion: str = "mean",
        copy: Sequence[tuple[int, int]] = (),
        rngs: nnx.Rngs,
    ):
        _check("norm", norm, NORMS)
        _check("fusion", fusion, FUSIONS)
        make = _Make(norm, 0.02, rngs)
        features = 4 * ngf
        self.image_encoder = _Encoder(make, image_channels, ngf)
        self.pose_encoder = _Encoder(make, 2 * keypoints, ngf)
        self.blocks = nnx.Dict(
            {
                f"block{i}": _Block(make, features, 2 * features if i else features, dropout)
                for i in range(blocks)
            }
        )
        self.decoder = _Decoder(make, ngf, image_channels)
        self.dropout = dropout
        # Options come last, so that they leave the initial values of the rest alone.
        self.score = layers.Conv(features, 1, rngs=rngs) if fusion == "attention" else None
        self.copy = copying.CopyPath(features, ngf, copy, image_channels, rngs=rngs) if len(copy) else None

    def __call__(
        self,
        source: Float[Array, "b *n h w c"],
        source_pose: Float[Array, "b *n h w k"],
        target_pose: Float[Array, "b h w k"],
        fine: Float[Array, "b n h2 w2 c"] | None = None,
        *,
        train: bool,
        key: jax.Array | None = None,
    ) -> Float[Array, "b h w c"]:
        """The sources' figure in the target's pose.

        Args:
          source: images in [-1, 1], one or n per example.
          source_pose: their maps in [0, 1].
          target_pose: maps of the pose wanted.
          fine: the sources at a multiple of their size, if the result is to have that size; see
            `copying.Copied.enlarged`.
          train: whether batch normalisation uses the batch, and moves its statistics, and dropout is on.
          key: for dropout.

        Raises:
          ValueError: sides that are no multiples of 4; dropout without a key; `fine` without a copy path.
        """
        painted, copied = self.parts(source, source_pose, target_pose, train=train, key=key)
        if fine is not None:
            if copied is None:
                raise ValueError("only a network with a copy path takes detail from larger sources")
            return copied.enlarged(painted, fine)
        return painted if copied is None else copied.image

    def parts(
        self,
        source: Float[Array, "b *n h w c"],
        source_pose: Float[Array, "b *n h w k"],
        target_pose: Float[Array, "b h w k"],
        *,
        train: bool,
        key: jax.Array | None = None,
    ) -> tuple[Float[Array, "b h w c"], copying.Copied | None]:
        """The painted picture, and what the copy path makes of it if there is one; see `__call__`."""
        if source.ndim == 4:
            source, source_pose = source[:, None], source_pose[:, None]
        b, n, h, w, _ = source.shape
        if h % STRIDE or w % STRIDE:
            raise ValueError(f"images of {h} x {w}: PATN takes sides that are multiples of {STRIDE}")
        pose = jnp.broadcast_to(target_pose[:, None], source_pose.shape)
        pose = jnp.concatenate([source_pose, pose], axis=-1)
        code = self.transfer(_flat(source), _flat(pose), train, _key(self.dropout, train, key))
        code = code.reshape(b, n, *code.shape[1:])
        features = self.decoder.features(self._fused(code), train)
        painted = self.decoder.paint(features)
        if self.copy is None:
            return painted, None
        return painted, self.copy(code, features, painted, source, source_pose, target_pose)

    def transfer(
        self,
        image: Float[Array, "b h w c"],
        poses: Float[Array, "b h w k2"],
        train: bool,
        key: jax.Array | None = None,
    ) -> Float[Array, "b h4 w4 f"]:
        """The image code behind the last block.

        Args:
          image, poses: a source each, and the maps of its pose and of the target's.
          train: see `__call__`.
          key: for dropout; None for none.
        """
        image, pose = self.image_encoder(image, train=train), self.pose_encoder(poses, train=train)
        for i, keys in enumerate(_split(key, len(self.blocks))):
            image, pose = self.blocks[f"block{i}"](image, pose, train, keys)
        return image

    def _fused(self, code: Float[Array, "b n h w f"]) -> Float[Array, "b h w f"]:
        if self.score is None or code.shape[1] == 1:
            return code.mean(1)
        weights = self.score(_flat(code)).reshape(*code.shape[:-1], 1)
        return (code * jax.nn.softmax(weights, axis=1)).sum(1)


class _ResidualBlock(nnx.Module):
    def __init__(self, make, features, dropout):
        self.pair = _Pair(make, features, features, dropout)

    def __call__(self, x, train, key):
        return x + self.pair(x, train, key)


class Discriminator(nnx.Module):
    """Appearance or shape discriminator: a picture beside what it must agree with, to features.

    Args:
      channels: of both together.
      ndf: channels of the first layer; four times as many come out.
      blocks: residual blocks.
      norm, dropout: see `Generator`.
      rngs: for the initial values, torch's defaults; not kept.

    Raises:
      ValueError: there is no such normalisation.
    """

    def __init__(
        self,
        channels: int,
        ndf: int = 64,
        *,
        blocks: int = 3,
        norm: str = "instance",
        dropout: float = 0.5,
        rngs: nnx.Rngs,
    ):
        _check("norm", norm, NORMS)
        make = _Make(norm, None, rngs)
        self.encoder = _Encoder(make, channels, ndf)
        self.blocks = nnx.Dict({f"block{i}": _ResidualBlock(make, 4 * ndf, dropout) for i in range(blocks)})
        self.dropout = dropout

    def __call__(
        self,
        image: Float[Array, "b h w c"],
        condition: Float[Array, "b h w k"],
        *,
        train: bool,
        key: jax.Array | None = None,
    ) -> Float[Array, "b h4 w4 f"]:
        """Features, all of which are judged: high where the pair looks real. Sigmoids belong to the losses.

        Args:
          image: in [-1, 1].
          condition: the source image, or maps of the pose.
          train, key: see `Generator.__call__`.

        Raises:
          ValueError: dropout has no key.
        """
        x = self.encoder(image, condition, train=train)
        for i, keys in enumerate(_split(_key(self.dropout, train, key), len(self.blocks))):
            x = self.blocks[f"block{i}"](x, train, keys[0])
        return x


def _check(name: str, value: str, known) -> None:
    if value not in known:
        raise ValueError(f"{name} = {value!r}: use {' or '.join(known)}")


def _flat(x: jax.Array) -> jax.Array:
    """Examples and their sources in one axis."""
    return x.reshape(-1, *x.shape[2:])


def _key(dropout: float, train: bool, key: jax.Array | None) -> jax.Array | None:
    if not (train and dropout):
        return None
    if key is None:
        raise ValueError("dropout in training needs a key; dropout=0 turns it off")
    return key


def _split(key: jax.Array | None, blocks: int) -> list[tuple]:
    """Two keys for every block."""
    if key is None:
        return [(None, None)] * blocks
    return [tuple(pair) for pair in jax.random.split(key, (blocks, 2))]
