"""The Inception v3 of FID and IS: TensorFlow's graph of 2015-12-05, as mseitzer/pytorch-fid rebuilds it.

It is not torchvision's Inception v3: there are 1008 classes, average pooling does not count the padding, and
the last block pools by the maximum. Parts have the names of pytorch-fid's file.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from anime_pt.models import conv, layers

SIZE = 299
FEATURES = 2048
CLASSES = 1008

# One convolution: name, channels, size (one number, or rows and columns), stride.
_Line = tuple[str, int, int | tuple[int, int], int]
_STEM: tuple[_Line, ...] = (
    ("Conv2d_1a_3x3", 32, 3, 2),
    ("Conv2d_2a_3x3", 32, 3, 1),
    ("Conv2d_2b_3x3", 64, 3, 1),
    ("Conv2d_3b_1x1", 80, 1, 1),
    ("Conv2d_4a_3x3", 192, 3, 1),
)
# Those without zeros around.
_BARE = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_4a_3x3")


def _a(pool: int) -> dict[str, list[_Line]]:
    return {
        "1x1": [("branch1x1", 64, 1, 1)],
        "5x5": [("branch5x5_1", 48, 1, 1), ("branch5x5_2", 64, 5, 1)],
        "3x3": [("branch3x3dbl_1", 64, 1, 1), ("branch3x3dbl_2", 96, 3, 1), ("branch3x3dbl_3", 96, 3, 1)],
        "avg": [("branch_pool", pool, 1, 1)],
    }


def _b() -> dict[str, list[_Line]]:
    return {
        "3x3": [("branch3x3", 384, 3, 2)],
        "dbl": [("branch3x3dbl_1", 64, 1, 1), ("branch3x3dbl_2", 96, 3, 1), ("branch3x3dbl_3", 96, 3, 2)],
        "down": [],
    }


def _c(width: int) -> dict[str, list[_Line]]:
    wide, tall = (1, 7), (7, 1)
    return {
        "1x1": [("branch1x1", 192, 1, 1)],
        "7x7": [
            ("branch7x7_1", width, 1, 1),
            ("branch7x7_2", width, wide, 1),
            ("branch7x7_3", 192, tall, 1),
        ],
        "dbl": [
            ("branch7x7dbl_1", width, 1, 1),
            ("branch7x7dbl_2", width, tall, 1),
            ("branch7x7dbl_3", width, wide, 1),
            ("branch7x7dbl_4", width, tall, 1),
            ("branch7x7dbl_5", 192, wide, 1),
        ],
        "avg": [("branch_pool", 192, 1, 1)],
    }


def _d() -> dict[str, list[_Line]]:
    return {
        "3x3": [("branch3x3_1", 192, 1, 1), ("branch3x3_2", 320, 3, 2)],
        "7x7": [
            ("branch7x7x3_1", 192, 1, 1),
            ("branch7x7x3_2", 192, (1, 7), 1),
            ("branch7x7x3_3", 192, (7, 1), 1),
            ("branch7x7x3_4", 192, 3, 2),
        ],
        "down": [],
    }


def _e(pool: str) -> dict[str, list[_Line]]:
    # A fork: the last two convolutions both take what comes before them.
    return {
        "1x1": [("branch1x1", 320, 1, 1)],
        "fork": [
            ("branch3x3_1", 384, 1, 1),
            ("branch3x3_2a", 384, (1, 3), 1),
            ("branch3x3_2b", 384, (3, 1), 1),
        ],
        "fork_dbl": [
            ("branch3x3dbl_1", 448, 1, 1),
            ("branch3x3dbl_2", 384, 3, 1),
            ("branch3x3dbl_3a", 384, (1, 3), 1),
            ("branch3x3dbl_3b", 384, (3, 1), 1),
        ],
        pool: [("branch_pool", 192, 1, 1)],
    }


_MIXED = {
    **{"Mixed_5b": _a(32), "Mixed_5c": _a(64), "Mixed_5d": _a(64)},
    **{"Mixed_6a": _b(), "Mixed_6b": _c(128), "Mixed_6c": _c(160), "Mixed_6d": _c(160), "Mixed_6e": _c(192)},
    **{"Mixed_7a": _d(), "Mixed_7b": _e("avg"), "Mixed_7c": _e("max")},
}


class _Unit(nnx.Module):
    """Convolution without bias, batch normalisation by the running statistics, rectification."""

    def __init__(self, inputs: int, line: _Line, *, rngs: nnx.Rngs):
        name, outputs, size, self.stride = line
        size = (size, size) if isinstance(size, int) else size
        self.kernel = nnx.Param(jax.random.normal(rngs.params(), (*size, inputs, outputs)) * 0.1)
        self.norm = layers.BatchNorm(outputs, epsilon=1e-3)
        self.padded = self.stride == 1 and name not in _BARE

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b h2 w2 o"]:
        kernel = self.kernel[...]
        if self.padded:
            x = conv.convolve(x, kernel)
        else:
            step = (self.stride, self.stride)
            x = jax.lax.conv_general_dilated(
                x, kernel, step, "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
        return jax.nn.relu(self.norm(x, train=False))


class _Mixed(nnx.Module):
    """Branches beside each other."""

    def __init__(self, inputs: int, branches: dict[str, list[_Line]], *, rngs: nnx.Rngs):
        self.units = nnx.Dict()
        self.branches = tuple((kind, tuple(line[0] for line in lines)) for kind, lines in branches.items())
        self.features = 0
        for kind, lines in branches.items():
            channels = inputs
            for i, line in enumerate(lines):
                self.units[line[0]] = _Unit(channels, line, rngs=rngs)
                in_fork = kind.startswith("fork") and i == len(lines) - 2
                channels = channels if in_fork else line[1]
            self.features += 2 * channels if kind.startswith("fork") else channels

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b h2 w2 o"]:
        out = []
        for kind, names in self.branches:
            y = _POOLS[kind](x) if kind in _POOLS else x
            fork = names[-2:] if kind.startswith("fork") else ()
            for name in names[: len(names) - len(fork)]:
                y = self.units[name](y)
            out += [self.units[name](y) for name in fork] or [y]
        return jnp.concatenate(out, -1)


class Inception(nnx.Module):
    """See the module's docstring."""

    def __init__(self, *, rngs: nnx.Rngs):
        self.stem, self.mixed = nnx.Dict(), nnx.Dict()
        channels = 3
        for line in _STEM:
            self.stem[line[0]] = _Unit(channels, line, rngs=rngs)
            channels = line[1]
        for name, branches in _MIXED.items():
            self.mixed[name] = _Mixed(channels, branches, rngs=rngs)
            channels = self.mixed[name].features
        self.classes = nnx.Param(jax.random.normal(rngs.params(), (FEATURES, CLASSES)) * 0.02)
        self.classes_bias = nnx.Param(jnp.zeros(CLASSES))

    def __call__(
        self, images: Float[Array, "b 299 299 3"]
    ) -> tuple[Float[Array, "b 2048"], Float[Array, "b 1008"]]:
        """The features that FID compares, and the logits without bias that IS takes.

        Args:
          images: RGB in [-1, 1], see `metrics.distributions` for how they are resized.
        """
        x = self.blocks(images)["block3"].mean((1, 2))
        return x, jnp.matmul(x, self.classes[...], precision="highest")

    def blocks(self, images: Float[Array, "b 299 299 3"]) -> dict[str, Float[Array, "b _ _ _"]]:
        """pytorch-fid's four blocks: 64, 192, 768 and 2048 channels, the last before the mean over places."""
        x, found = images, {}
        for line in _STEM[:3]:
            x = self.stem[line[0]](x)
        x = found["block0"] = _down(x)
        for line in _STEM[3:]:
            x = self.stem[line[0]](x)
        x = found["block1"] = _down(x)
        for name in _MIXED:
            x = self.mixed[name](x)
            if name == "Mixed_6e":
                found["block2"] = x
        return found | {"block3": x}


def _window(x: jax.Array, start: float, combine, stride: int, padding: Sequence) -> jax.Array:
    return jax.lax.reduce_window(x, start, combine, (1, 3, 3, 1), (1, stride, stride, 1), padding)


def _down(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    return _window(x, -jnp.inf, jax.lax.max, 2, "VALID")


def _largest(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    return _window(x, -jnp.inf, jax.lax.max, 1, "SAME")


def _mean(x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    """Over 3 x 3 pixels, of those that lie within the picture."""
    # Made by NumPy: XLA would fold the same sum of ones for seconds.
    rows, columns = (np.convolve(np.ones(n), np.ones(3), "same") for n in x.shape[1:3])
    count = (rows[:, None] * columns)[..., None]
    return _window(x, 0.0, jax.lax.add, 1, "SAME") / jnp.asarray(count, x.dtype)


_POOLS = {"avg": _mean, "max": _largest, "down": _down}
