"""AlexNet in torchvision's form (Krizhevsky 2014, "One weird trick") as an extractor of features."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from anime_pt.models import layers, vgg

WIDTHS = (64, 192, 384, 256, 256)
LAYERS = ("relu1", "relu2", "relu3", "relu4", "relu5")
_SIZES = (11, 5, 3, 3, 3)


class AlexNet(nnx.Module):
    """The five convolutions; pictures RGB in [-1, 1], scaled as torchvision's networks want them.

    Args:
      widths: channels of each.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS, *, rngs: nnx.Rngs):
        self.convs = nnx.Dict()
        channels = 3
        for i, (width, size) in enumerate(zip(widths, _SIZES, strict=True), 1):
            self.convs[f"conv{i}"] = layers.Conv(channels, width, size, rngs=rngs)
            channels = width

    def __call__(self, images: Float[Array, "b h w 3"]) -> dict[str, Float[Array, "b _ _ _"]]:
        """Features by name, see `LAYERS`; sides of 35 pixels and more."""
        mean, spread, _ = vgg.INPUTS["torchvision"]
        x = ((images + 1) * 127.5 - jnp.asarray(mean, images.dtype)) / jnp.asarray(spread, images.dtype)
        found = {}
        for i, name in enumerate(LAYERS, 1):
            conv = self.convs[f"conv{i}"]
            if i == 1:
                # Two pixels around, not the five that keep a window of eleven in the middle.
                x = jax.lax.conv_general_dilated(
                    x, conv.kernel[...], (4, 4), ((2, 2), (2, 2)), dimension_numbers=("NHWC", "HWIO", "NHWC")
                )
                x = x + conv.bias[...]
            else:
                if i < 4:
                    x = _pooled(x)
                x = conv(x)
            x = found[name] = jax.nn.relu(x)
        return found


def _pooled(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """The largest of every 3 x 3 pixels, two apart."""
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "VALID")
