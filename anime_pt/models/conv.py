"""Convolutions, in the form that is fast on the platform at hand. Channels last; kernels are (h, w, in, out).

The one place that knows what XLA:CPU is slow at, and what beats its convolutions there:

- depthwise ones (`feature_group_count` = channels), which take about a hundred times as long as their
  arithmetic: a sum of shifted products;
- 3 x 3 ones of stride 1: Winograd's F(2 x 2, 3 x 3) (Lavin and Gray, "Fast algorithms for convolutional
  neural networks", CVPR 2016): 16 products for 36, as matrix products, about half the time, the same error;
- 1 x 1 ones: a matrix product;
- the kernel's gradient of large ones (PATN's 7 x 7), for which XLA copies every pixel k^2 times: a matrix
  product between k copies of the input and k of the gradient, three to nine times as fast;
- any without padding, ten times as slow as with some: a row more, which is cut off again;
- the gradients of all others, first of all of transposed ones: XLA derives convolutions from them whose
  axes lie as its fast code does not take them, up to 50 times slower. Here a convolution and its two
  gradients are each other's gradients, each as a convolution whose axes lie as they should.

All forms are exact but for rounding and public, and tests hold them equal in value and gradients. Which one
runs is decided when a function is traced: these on CPU, XLA's own elsewhere. The environment variable
ANIME_PT_CONVOLUTIONS, `xla` or `rewritten`, decides otherwise. Where a CPU stands for several devices,
Winograd's form is left out. Forward-mode differentiation through `winograd`, `depthwise_shifted` and
`closed` is not defined; reverse mode is, to any order.
"""

import functools
import math
import os

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

SWITCH = "ANIME_PT_CONVOLUTIONS"
_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
_LEAST_CHANNELS = 32  # With fewer, a transform costs more than it saves.
# `_by_lines` is the faster one from this many taps, with few or many outputs: measured on PATN's first and
# last layers, at full and at small widths.
_LARGE, _FEW, _MANY = 5, 4, 17
_CACHE_BYTES = 12 << 20
# Lavin and Gray's matrices A and G for rows and columns at once.
_OUTPUT = np.kron(*[np.array([[1.0, 1, 1, 0], [0, 1, -1, -1]])] * 2)
_KERNEL = np.kron(*[np.array([[1.0, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])] * 2)


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
    x: Float[Array, "b h w i"],
    kernel: Float[Array, "k k i o"],
    *,
    stride: int = 1,
    dilation: int = 1,
    padded: bool = False,
) -> Float[Array, "b h2 w2 o"]:
    """A convolution with zeros around: `ceil(h / stride)` rows come out of `h`.

    The padding is `dilation * (k - 1) / 2` on every side, for odd k, as in torch; with stride 2 and an even
    side that differs from "SAME", which pads after the last row only. With `padded` the input has as much
    around it already, of whatever kind.
    """
    if rewritten() and stride == 1:
        if kernel.shape[:2] == (1, 1):
            return jnp.einsum("bhwi,io->bhwo", x, kernel[0, 0])
        if _alone() and kernel.shape[:2] == (3, 3) and min(kernel.shape[2:]) >= _LEAST_CHANNELS:
            if dilation == 1:
                return winograd(x, kernel, 0 if padded else 1)
            if not padded:
                return _dilated(x, kernel, dilation)
    if rewritten() and dilation == 1:
        return closed(x, kernel, stride, ((0, 0), (0, 0)) if padded else _padding(kernel, 1))
    return convolve_directly(x, kernel, stride=stride, dilation=dilation, padded=padded)


def _alone() -> bool:
    """Whether pictures are whole; split over devices, XLA exchanges borders for its own convolutions only."""
    return jax.device_count() == 1 or os.environ.get(SWITCH) == "rewritten"


def convolve_directly(
    x: Float[Array, "b h w i"],
    kernel: Float[Array, "k k i o"],
    *,
    stride: int = 1,
    dilation: int = 1,
    padded: bool = False,
) -> Float[Array, "b h2 w2 o"]:
    """`convolve` as XLA's convolution."""
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        "VALID" if padded else _padding(kernel, dilation),
        rhs_dilation=(dilation, dilation),
        dimension_numbers=_DIMENSIONS,
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def winograd(
    x: Float[Array, "b h w i"], kernel: Float[Array, "3 3 i o"], border: int = 1
) -> Float[Array, "b h2 w2 o"]:
    """`convolve` by F(2 x 2, 3 x 3): every 2 x 2 outputs from 16 products per pair of channels.

    Its gradients keep the input only, not the four times larger transformed one, and are of the same form.

    Args:
      x, kernel: see `convolve`.
      border: zeros around the input, 0 to 2.
    """
    b, h, w, _ = x.shape
    height, width = h + 2 * border - 2, w + 2 * border - 2
    tall, wide = -(-height // 2), -(-width // 2)
    # Cells of 2 x 2: tile t is made of cells t and t + 1.
    ends = (2 * (cells + 1) - side - border for cells, side in ((tall, h), (wide, w)))
    padded = jnp.pad(x, ((0, 0), *((border, end) for end in ends), (0, 0)))
    cells = padded.reshape(b, tall + 1, 2, wide + 1, 2, x.shape[-1])
    weights = _product(_KERNEL, _not_before(x, kernel).reshape(9, *kernel.shape[2:]))
    size = 16 * tall * wide * sum(kernel.shape[2:]) * x.dtype.itemsize
    group = math.gcd(b, max(1, _CACHE_BYTES // size))
    if group == b:
        out = _tiles(cells, weights)
    else:
        # What is in flight for the whole batch would not stay in the cache.
        groups = cells.reshape(b // group, group, *cells.shape[1:])
        out = jax.lax.map(lambda cells: _tiles(cells, weights), groups)
    return out.reshape(b, 2 * tall, 2 * wide, kernel.shape[-1])[:, :height, :width]


def _winograd_forward(x: jax.Array, kernel: jax.Array, border: int) -> tuple[jax.Array, tuple]:
    return winograd(x, kernel, border), (x, kernel)


def _winograd_backward(border: int, saved: tuple, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    of_kernel = jax.linear_transpose(lambda kernel: winograd.fun(x, kernel, border), kernel)
    return winograd(gradient, kernel[::-1, ::-1].swapaxes(2, 3), 2 - border), *of_kernel(gradient)


winograd.defvjp(_winograd_forward, _winograd_backward)


def _tiles(
    cells: Float[Array, "b t2 2 u2 2 i"], weights: Float[Array, "16 i o"]
) -> Float[Array, "b t 2 u 2 o"]:
    """The inner part of Winograd's algorithm, for an input in cells.

    Written for XLA: sums of shifted cells where the input is gathered, a product with a small matrix where
    nothing is; the other ways round compile three times longer, and run no faster.
    """
    b, tall, _, wide, _, inputs = cells.shape
    left, right = cells[:, :, :, :-1], cells[:, :, :, 1:]
    x = _combined(left[..., 0, :], left[..., 1, :], right[..., 0, :], right[..., 1, :])
    top, bottom = x[:, :, :-1], x[:, :, 1:]
    x = _combined(top[:, :, :, 0], top[:, :, :, 1], bottom[:, :, :, 0], bottom[:, :, :, 1])
    x = jax.lax.dot_general(x.reshape(16, -1, inputs), weights, (((2,), (1,)), ((0,), (0,))))
    x = _product(_OUTPUT, x).reshape(2, 2, b, tall - 1, wide - 1, weights.shape[-1])
    return x.transpose(2, 3, 0, 4, 1, 5)


def _combined(*lines: jax.Array) -> jax.Array:
    """Lavin and Gray's matrix B, of four lines of pixels."""
    a, b, c, d = lines
    return jnp.stack([a - c, b + c, c - b, b - d])


def _product(matrix: np.ndarray, x: jax.Array) -> jax.Array:
    """Along the first axis, for a matrix of a few ones and halves."""
    product = jnp.matmul(matrix.astype(x.dtype), x.reshape(x.shape[0], -1), precision="highest")
    return product.reshape(-1, *x.shape[1:])


def _not_before(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The kernel, times a one that depends on `x`.

    Else XLA transforms all kernels of a network before its first layer, and holds them: for GCCPM 80 MB in
    flight where 20 do, and fetching fresh pages for them from the system took a fifth of the time.
    """
    return kernel * jnp.where(x[0, 0, 0, 0] > jnp.inf, 0, 1).astype(kernel.dtype)


def _dilated(
    x: Float[Array, "b h w i"], kernel: Float[Array, "3 3 i o"], dilation: int
) -> Float[Array, "b h w o"]:
    """`winograd` of each of the pictures that every `dilation`-th row and column make."""
    b, h, w, inputs = x.shape
    tall, wide = (-(-side // dilation) for side in (h, w))
    x = jnp.pad(x, ((0, 0), (0, tall * dilation - h), (0, wide * dilation - w), (0, 0)))
    x = x.reshape(b, tall, dilation, wide, dilation, inputs).transpose(0, 2, 4, 1, 3, 5)
    x = winograd(x.reshape(-1, tall, wide, inputs), kernel)
    x = x.reshape(b, dilation, dilation, tall, wide, -1).transpose(0, 3, 1, 4, 2, 5)
    return x.reshape(b, tall * dilation, wide * dilation, -1)[:, :h, :w]


Pads = tuple[tuple[int, int], tuple[int, int]]


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def closed(
    x: Float[Array, "b h w i"], kernel: Float[Array, "k l i o"], stride: int, pads: Pads
) -> Float[Array, "b h2 w2 o"]:
    """A convolution whose gradients are `_of_input` and `_of_kernel`.

    Args:
      x, kernel: see `convolve`.
      stride: of both directions.
      pads: zeros above and below, left and right.
    """
    return _lax(x, kernel, pads, strides=stride)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _of_input(gradient: jax.Array, kernel: jax.Array, stride: int, pads: Pads, size: tuple) -> jax.Array:
    """The gradient of `closed` with respect to an input of `size`: rows, columns."""
    around = []
    for side, taps, out, (pad, _) in zip(size, kernel.shape[:2], gradient.shape[1:3], pads, strict=True):
        before = taps - 1 - pad
        around.append((before, side + taps - 1 - before - ((out - 1) * stride + 1)))
    return _lax(gradient, kernel[::-1, ::-1].swapaxes(2, 3), around, spread=stride)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _of_kernel(x: jax.Array, gradient: jax.Array, stride: int, pads: Pads, size: tuple) -> jax.Array:
    """The gradient of `closed` with respect to a kernel of `size`: the input convolved with `gradient`."""
    around = [
        (pad, (out - 1) * stride + taps - side - pad)
        for side, taps, out, (pad, _) in zip(x.shape[1:3], size, gradient.shape[1:3], pads, strict=True)
    ]
    if stride == 1 and min(size) >= _LARGE and not _FEW < gradient.shape[3] < _MANY and _alone():
        return _by_lines(jnp.pad(x, ((0, 0), *around, (0, 0))), gradient, size)
    turned = _lax(x.transpose(3, 1, 2, 0), gradient.transpose(1, 2, 0, 3), around, dilation=stride)
    return turned.transpose(1, 2, 0, 3)


def _by_lines(x: jax.Array, gradient: jax.Array, size: tuple[int, int]) -> jax.Array:
    """`_of_kernel` of a padded input: its shifted columns times shifted rows of the gradient, as channels."""
    (rows, columns), width, inputs, outputs = size, gradient.shape[2], x.shape[3], gradient.shape[3]
    x = jnp.concatenate([x[:, :, j : j + width] for j in range(columns)], axis=-1)
    gradient = jnp.concatenate(
        [jnp.pad(gradient, ((0, 0), (i, rows - 1 - i), (0, 0), (0, 0))) for i in range(rows)], axis=-1
    )
    x, gradient = x.reshape(-1, columns * inputs), gradient.reshape(-1, rows * outputs)
    return (x.T @ gradient).reshape(columns, inputs, rows, outputs).transpose(2, 0, 1, 3)


def _lax(x, kernel, pads, *, strides: int = 1, spread: int = 1, dilation: int = 1) -> jax.Array:
    if not any(sum(pads, ())):
        # One row of outputs more, and away again: without any padding XLA takes ten times as long.
        return _lax(x, kernel, ((0, strides), (0, 0)), strides=strides, spread=spread, dilation=dilation)[
            :, :-1
        ]
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (strides, strides),
        pads,
        lhs_dilation=(spread, spread),
        rhs_dilation=(dilation, dilation),
        dimension_numbers=_DIMENSIONS,
    )


def _closed_forward(x, kernel, stride, pads):
    return closed(x, kernel, stride, pads), (x, kernel)


def _closed_backward(stride, pads, saved, gradient):
    x, kernel = saved
    of_input = _of_input(gradient, kernel, stride, pads, x.shape[1:3])
    return of_input, _of_kernel(x, gradient, stride, pads, kernel.shape[:2])


def _of_input_forward(gradient, kernel, stride, pads, size):
    return _of_input(gradient, kernel, stride, pads, size), (gradient, kernel)


def _of_input_backward(stride, pads, size, saved, x):
    gradient, kernel = saved
    return closed(x, kernel, stride, pads), _of_kernel(x, gradient, stride, pads, kernel.shape[:2])


def _of_kernel_forward(x, gradient, stride, pads, size):
    return _of_kernel(x, gradient, stride, pads, size), (x, gradient)


def _of_kernel_backward(stride, pads, size, saved, kernel):
    x, gradient = saved
    return _of_input(gradient, kernel, stride, pads, x.shape[1:3]), closed(x, kernel, stride, pads)


closed.defvjp(_closed_forward, _closed_backward)
_of_input.defvjp(_of_input_forward, _of_input_backward)
_of_kernel.defvjp(_of_kernel_forward, _of_kernel_backward)


def transposed(x: Float[Array, "b h w i"], kernel: Float[Array, "3 3 i o"]) -> Float[Array, "b h2 w2 o"]:
    """A transposed convolution of stride 2 to twice the size: torch's with padding 1 and output padding 1.

    It convolves the input with a zero after every row and column, one more before the first, and one after
    the last. (torch's kernel is this one mirrored in both directions.)
    """
    if not rewritten():
        return transposed_directly(x, kernel)
    size = (2 * x.shape[1], 2 * x.shape[2])
    return _of_input(x, kernel[::-1, ::-1].swapaxes(2, 3), 2, ((1, 1), (1, 1)), size)


def transposed_directly(
    x: Float[Array, "b h w i"], kernel: Float[Array, "3 3 i o"]
) -> Float[Array, "b h2 w2 o"]:
    """`transposed` as XLA's convolution."""
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), ((1, 2), (1, 2)), lhs_dilation=(2, 2), dimension_numbers=_DIMENSIONS
    )


def depthwise(
    x: Float[Array, "b h w c"], kernel: Float[Array, "k k 1 c"], *, stride: int = 1, dilation: int = 1
) -> Float[Array, "b h2 w2 c"]:
    """Convolves every channel with its own kernel; sizes as in `convolve`."""
    form = depthwise_shifted if rewritten() else depthwise_grouped
    return form(x, kernel, stride, dilation)


def depthwise_grouped(
    x: Float[Array, "b h w c"], kernel: Float[Array, "k k 1 c"], stride: int = 1, dilation: int = 1
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


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def depthwise_shifted(
    x: Float[Array, "b h w c"], kernel: Float[Array, "k k 1 c"], stride: int = 1, dilation: int = 1
) -> Float[Array, "b h2 w2 c"]:
    """`depthwise` as a sum over the kernel's taps of the shifted input times one number per channel.

    Its gradients are of the same form; the kernel's goes row by row, so that a row serves all taps while it
    is in the cache.
    """
    return _shifted(jnp.pad(x, ((0, 0), *_padding(kernel, dilation), (0, 0))), kernel, stride, dilation)


def _shifted(padded: jax.Array, kernel: jax.Array, stride: int, dilation: int) -> jax.Array:
    _, h, w, _ = padded.shape
    reach_down, reach_right = (dilation * (size - 1) for size in kernel.shape[:2])
    rows, columns = (h - reach_down - 1) // stride + 1, (w - reach_right - 1) // stride + 1
    out = None
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            tap = _tap(padded, i * dilation, j * dilation, rows, columns, stride) * kernel[i, j, 0]
            out = tap if out is None else out + tap
    return out


def _tap(x: jax.Array, top: int, left: int, rows: int, columns: int, stride: int) -> jax.Array:
    """Every `stride`-th pixel from a corner on."""
    end = (x.shape[0], top + (rows - 1) * stride + 1, left + (columns - 1) * stride + 1, x.shape[3])
    return jax.lax.slice(x, (0, top, left, 0), end, (1, stride, stride, 1))


def _depthwise_forward(x: jax.Array, kernel: jax.Array, stride: int, dilation: int) -> tuple:
    return depthwise_shifted(x, kernel, stride, dilation), (x, kernel)


def _depthwise_backward(stride: int, dilation: int, saved: tuple, gradient: jax.Array) -> tuple:
    x, kernel = saved
    pads = _padding(kernel, dilation)
    # With respect to x: the mirrored kernel over the gradient, spread by the stride.
    spread = [(0, 0, 0)]
    for side, out, size, (pad, _) in zip(
        x.shape[1:3], gradient.shape[1:3], kernel.shape[:2], pads, strict=True
    ):
        reach = dilation * (size - 1)
        before = reach - pad
        spread.append((before, side + reach - before - ((out - 1) * stride + 1), stride - 1))
    spread = jax.lax.pad(gradient, jnp.zeros((), gradient.dtype), [*spread, (0, 0, 0)])
    of_x = _shifted(spread, kernel[::-1, ::-1], 1, dilation)
    return of_x, _of_depthwise_kernel(jnp.pad(x, ((0, 0), *pads, (0, 0))), gradient, kernel, stride, dilation)


def _of_depthwise_kernel(padded, gradient, kernel, stride: int, dilation: int) -> jax.Array:
    (down, across), (b, rows, columns, c) = kernel.shape[:2], gradient.shape

    def add_row(total: jax.Array, row: jax.Array) -> tuple[jax.Array, None]:
        of_row = jax.lax.dynamic_slice(gradient, (0, row, 0, 0), (b, 1, columns, c))
        size = (b, dilation * (down - 1) + 1, padded.shape[2], c)
        below = jax.lax.dynamic_slice(padded, (0, row * stride, 0, 0), size)
        taps = [
            (_tap(below, i * dilation, j * dilation, 1, columns, stride) * of_row).sum((0, 1, 2))
            for i in range(down)
            for j in range(across)
        ]
        return total + jnp.stack(taps), None

    total = jnp.zeros((down * across, c), gradient.dtype)
    total, _ = jax.lax.scan(add_row, total, jnp.arange(rows))
    return total.reshape(kernel.shape)


depthwise_shifted.defvjp(_depthwise_forward, _depthwise_backward)


def _padding(kernel: jax.Array, dilation: int) -> tuple[tuple[int, int], tuple[int, int]]:
    rows, columns = (dilation * (size - 1) // 2 for size in kernel.shape[:2])
    return (rows, rows), (columns, columns)
