"""A plain U-Net for pose transfer: the baseline without attention, warping or two streams.

Isola, Zhu, Zhou, Efros: "Image-to-image translation with conditional adversarial networks" (CVPR 2017),
section 6.1: the source, its pose and the target's pose, side by side, are halved level by level; on the way
back every level sees the features that the same level had on the way in. As there, no normalisation in the
first and in the innermost layer of the way in, leaky ReLUs there and ReLUs on the way back, dropout of 0.5 in
the innermost three levels of it, tanh, and kernels drawn from N(0, 0.02).

What differs: kernels of 3 x 3, not 4 x 4, and nearest-neighbour enlargement before a convolution instead of
transposed ones, which leave a pattern of tiles; one more convolution at full size, before the image; a number
of levels to choose; odd sides are rounded up when halved, and what they gained is cut off on the way back.

With several sources, each goes in with its own pose, by the same weights, and the features are averaged at
every level: any number of sources will do, also another one than in training, and their order does not count.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from anime_pt.models import layers

_DROPOUT_LEVELS = 3
_INITIAL = 0.02


class _Conv(nnx.Module):
    """A convolution with the initial values above, and what follows it, except for the activation.

    Args:
      norm: "batch", "instance", or None for none; a bias would be idle before one.
    """

    def __init__(self, inputs, outputs, *, stride=1, norm=None, rngs):
        self.conv = layers.Conv(inputs, outputs, stride=stride, bias=norm is None, rngs=rngs)
        shape = self.conv.kernel.shape
        self.conv.kernel = nnx.Param(_INITIAL * layers.normal(rngs, shape))
        if norm is None:
            self.conv.bias = nnx.Param(jnp.zeros(outputs))
        self.norm = _make_norm(norm, outputs, rngs)

    def __call__(self, x, train):
        x = self.conv(x)
        return x if self.norm is None else self.norm(x, train)


def _make_norm(norm: str | None, features: int, rngs: nnx.Rngs) -> nnx.Module | None:
    if norm is None:
        return None
    if norm == "instance":
        return layers.InstanceNorm()
    module = layers.BatchNorm(features)
    module.scale = nnx.Param(1 + _INITIAL * layers.normal(rngs, (features,)))
    return module


class Generator(nnx.Module):
    """Source, its pose and the target's pose to the target.

    Args:
      pose_channels: keypoints in a pose map.
      channels: of an image: 3, or 4 with alpha.
      features: after the first level; twice as many after each further one, up to eight times.
      levels: halvings; pictures need sides of `2**levels` and more.
      norm: "batch" or "instance".
      dropout: rate in the innermost levels of the way back.
      rngs: for the initial values; not kept.

    Raises:
      ValueError: there is no such normalisation, or no level.
    """

    def __init__(
        self,
        pose_channels: int,
        *,
        channels: int = 3,
        features: int = 64,
        levels: int = 5,
        norm: str = "instance",
        dropout: float = 0.5,
        rngs: nnx.Rngs,
    ):
        if norm not in ("batch", "instance"):
            raise ValueError(f"U-Net: norm = {norm!r}; use 'batch' or 'instance'")
        if levels < 1:
            raise ValueError(f"U-Net: levels = {levels}; use at least 1")
        widths = [features * min(2**i, 8) for i in range(levels)]
        self.levels = levels
        self.dropout = dropout
        down, up = {}, {}
        inputs = channels + 2 * pose_channels
        for i, width in enumerate(widths):
            plain = i in (0, levels - 1)
            down[f"level{i}"] = _Conv(inputs, width, stride=2, norm=None if plain else norm, rngs=rngs)
            inputs = width
        for i in reversed(range(levels)):
            # What comes from below, and beside it the same size's features; the innermost has these only.
            inputs = widths[i] * (1 if i == levels - 1 else 2)
            up[f"level{i}"] = _Conv(inputs, widths[i - 1] if i else features, norm=norm, rngs=rngs)
        self.down, self.up = nnx.Dict(down), nnx.Dict(up)
        self.image = _Conv(features, channels, rngs=rngs)

    def __call__(
        self,
        source: Float[Array, "b *n h w c"],
        source_pose: Float[Array, "b *n h w k"],
        target_pose: Float[Array, "b h w k"],
        *,
        train: bool,
        key: jax.Array | None = None,
    ) -> Float[Array, "b h w c"]:
        """Images in [-1, 1].

        Args:
          source: images in [-1, 1]; one of each example, or n of them.
          source_pose, target_pose: maps in [0, 1].
          train: whether batch normalisation uses the batch, and moves its statistics.
          key: of the dropout; None for none.

        Raises:
          ValueError: the picture is too small for the levels.
        """
        if source.ndim == 4:
            source, source_pose = source[:, None], source_pose[:, None]
        b, n, h, w, _ = source.shape
        if min(h, w) < 2**self.levels:
            raise ValueError(
                f"U-Net: {self.levels} levels need sides of {2**self.levels} and more, not {h} x {w}; "
                "use fewer levels"
            )
        target = jnp.broadcast_to(target_pose[:, None], (b, n, *target_pose.shape[1:]))
        x = jnp.concatenate([source, source_pose, target], axis=-1)
        x = x.reshape(b * n, *x.shape[2:])
        sizes, skips = [], []
        for i in range(self.levels):
            sizes.append(x.shape[1:3])
            x = self.down[f"level{i}"](x if i == 0 else layers.leaky_relu(x), train)
            skips.append(x.reshape(b, n, *x.shape[1:]).mean(1))
        x = skips[-1]
        for i in reversed(range(self.levels)):
            if i < self.levels - 1:
                x = jnp.concatenate([x, skips[i]], axis=-1)
            rows, columns = sizes[i]
            x = layers.upsample(jax.nn.relu(x))[:, :rows, :columns]
            x = self.up[f"level{i}"](x, train)
            if key is not None and i >= max(1, self.levels - _DROPOUT_LEVELS):
                x = layers.dropout(x, self.dropout, jax.random.fold_in(key, i))
        return jnp.tanh(self.image(jax.nn.relu(x), train))
