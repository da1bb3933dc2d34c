"""Convolutions, in the form that is fast on the platform at hand. Channels last; kernels are (h, w, in, out).

The one place that knows which convolutions XLA:CPU is slow at. There a depthwise convolution
(`feature_group_count` = channels) takes about a hundred times as long as its arithmetic; written as a sum of
shifted products it takes as long as it should. Both forms are exact and public, and tests hold them equal in
value and gradients.

Which one runs is decided when a function is traced: the second on CPU, XLA's own elsewhere. The environment
variable ANIME_PT_CONVOLUTIONS, `xla` or `rewritten`, decides otherwise.
"""

import os

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

SWITCH = "ANIME_PT_CONVOLUTIONS"
_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def rewritten() -> bool:
    """Whether convolutions take the forms made for XLA:CPU.

    Raises:
      ValueError: the environment variable has a value that it must not have.
    """
    choice = os.environ.get(SWITCH, "")
    if choice not in ("", "xla", "rewritten"):
        raise ValueError(f"{SWITCH}={choice}: use xla or rewritten, or unset it to choose by platform")
    return choice == "rewritten" or (not choice and jax.default_backend() == "cpu")


def convolve(
    x: Float[Array, "b h w i"], kernel: Float[Array, "k k i o"], *, stride: int = 1, dilation: int = 1
) -> Float[Array, "b h2 w2 o"]:
    """A convolution with zeros around: `ceil(h / stride)` rows come out of `h`.

    The padding is `dilation * (k - 1) / 2` on every side, for odd k, as in torch; with stride 2 and an even
    side that differs from "SAME", which pads after the last row only.
    """
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        _padding(kernel, dilation),
        rhs_dilation=(dilation, dilation),
        dimension_numbers=_DIMENSIONS,
    )


def depthwise(
    x: Float[Array, "b h w c"], kernel: Float[Array, "k k 1 c"], *, stride: int = 1, dilation: int = 1
) -> Float[Array, "b h2 w2 c"]:
    """Convolves every channel with its own kernel; sizes as in `convolve`."""
    form = depthwise_shifted if rewritten() else depthwise_grouped
    return form(x, kernel, stride=stride, dilation=dilation)


def depthwise_grouped(
    x: Float[Array, "b h w c"], kernel: Float[Array, "k k 1 c"], *, stride: int = 1, dilation: int = 1
) -> Float[Array, "b h2 w2 c"]:
    """`depthwise` as XLA's convolution in as many groups as channels."""
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        _padding(kernel, dilation),
        rhs_dilation=(dilation, dilation),
        dimension_numbers=_DIMENSIONS,
        feature_group_count=x.shape[-1],
    )


def depthwise_shifted(
    x: Float[Array, "b h w c"], kernel: Float[Array, "k k 1 c"], *, stride: int = 1, dilation: int = 1
) -> Float[Array, "b h2 w2 c"]:
    """`depthwise` as a sum over the kernel's taps of the shifted input times one number per channel."""
    b, h, w, c = x.shape
    padded = jnp.pad(x, ((0, 0), *_padding(kernel, dilation), (0, 0)))
    rows, columns = ((side - 1) // stride * stride + 1 for side in (h, w))
    out = None
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            top, left = i * dilation, j * dilation
            tap = jax.lax.slice(
                padded, (0, top, left, 0), (b, top + rows, left + columns, c), (1, stride, stride, 1)
            )
            out = tap * kernel[i, j, 0] if out is None else out + tap * kernel[i, j, 0]
    return out


def _padding(kernel: jax.Array, dilation: int) -> tuple[tuple[int, int], tuple[int, int]]:
    rows, columns = (dilation * (size - 1) // 2 for size in kernel.shape[:2])
    return (rows, rows), (columns, columns)
