"""VGG-16 and VGG-19 (Simonyan and Zisserman 2015) as extractors of features: the convolutions alone.

`relu3_2` is the rectified output of the second convolution of the third block. Perceptual losses, style
transfer and LPIPS read such features. Pictures come as everywhere here, RGB in [-1, 1]; how they are scaled
for a network depends on who trained it, see `INPUTS`.
"""

import re
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from anime_pt.models import layers

# Convolutions of the five blocks.
DEPTHS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)
POOLINGS = ("max", "avg")
# What is subtracted from pixels in 0..255 and what they are divided by, red first; and the order of channels.
INPUTS = {
    "torchvision": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), "rgb"),
    "keras": ((123.68, 116.779, 103.939), (1.0, 1.0, 1.0), "bgr"),
    "matconvnet": ((123.68, 116.779, 103.939), (1.0, 1.0, 1.0), "rgb"),
}


class VGG(nnx.Module):
    """See the module's docstring.

    Args:
      depths: convolutions of each block, see `DEPTHS`; fewer for the first layers alone.
      widths: channels of each block.
      pool: "max", as trained, or "avg" (Gatys et al. 2015: smoother gradients in style transfer).
      inputs: one of `INPUTS`.

    Raises:
      ValueError: an argument that there is not.
    """

    def __init__(
        self,
        depths: Sequence[int] = DEPTHS[19],
        widths: Sequence[int] = WIDTHS,
        *,
        pool: str = "max",
        inputs: str = "torchvision",
        rngs: nnx.Rngs,
    ):
        for name, value, known in (("pool", pool, POOLINGS), ("inputs", inputs, INPUTS)):
            if value not in known:
                raise ValueError(f"VGG: {name}={value!r}; use one of {', '.join(known)}")
        self.blocks = nnx.Dict()
        channels = 3
        for block, (depth, width) in enumerate(zip(depths, widths, strict=True), 1):
            for i in range(1, depth + 1):
                self.blocks[f"conv{block}_{i}"] = layers.Conv(channels, width, rngs=rngs)
                channels = width
        self.depths = tuple(depths)
        self.pool = pool
        self.inputs = inputs

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the features that there are, in their order."""
        return layer_names(self.depths)

    def __call__(
        self, images: Float[Array, "b h w 3"], names: Sequence[str]
    ) -> dict[str, Float[Array, "b _ _ _"]]:
        """Features by name; what lies behind the last one is not computed.

        Args:
          images: RGB in [-1, 1]; each side at least 16 for all five blocks.
          names: such as ("relu1_2", "relu4_2").

        Raises:
          ValueError: there is no such layer.
        """
        if unknown := set(names) - set(self.layers):
            raise ValueError(f"VGG has no {', '.join(sorted(unknown))}; it has {', '.join(self.layers)}")
        x, found = self.scaled(images), {}
        for block, depth in enumerate(self.depths, 1):
            if block > 1:
                x = pooled(x, self.pool)
            for i in range(1, depth + 1):
                if len(found) == len(set(names)):
                    break
                x = jax.nn.relu(self.blocks[f"conv{block}_{i}"](x))
                if f"relu{block}_{i}" in names:
                    found[f"relu{block}_{i}"] = x
        return {name: found[name] for name in names}

    def scaled(self, images: Float[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
        """Pictures in [-1, 1] as the first convolution takes them."""
        mean, spread, order = INPUTS[self.inputs]
        mean, spread = (jnp.asarray(v, images.dtype) for v in (mean, spread))
        x = ((images + 1) * 127.5 - mean) / spread
        return x[..., ::-1] if order == "bgr" else x


def layer_names(depths: Sequence[int]) -> tuple[str, ...]:
    """ "relu1_1", "relu1_2", ..."""
    return tuple(f"relu{block}_{i}" for block, depth in enumerate(depths, 1) for i in range(1, depth + 1))


def up_to(depths: Sequence[int], layer: str) -> tuple[int, ...]:
    """The depths of the network that ends with a layer.

    Raises:
      ValueError: there is no such layer.
    """
    if layer not in layer_names(depths):
        raise ValueError(f"VGG has no {layer}; it has {', '.join(layer_names(depths))}")
    block, i = map(int, re.findall(r"\d+", layer))
    return (*depths[: block - 1], i)


def pooled(x: Float[Array, "b h w c"], kind: str) -> Float[Array, "b h2 w2 c"]:
    """Largest or mean value of 2 x 2 pixels; a last odd row or column is left out."""
    b, h, w, c = x.shape
    x = x[:, : h // 2 * 2, : w // 2 * 2].reshape(b, h // 2, 2, w // 2, 2, c)
    return x.max((2, 4)) if kind == "max" else x.mean((2, 4))
