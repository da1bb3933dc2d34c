"""Layers that two or more networks share. Channels last; kernels are (h, w, in, out)."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from anime_pt.models import conv


def leaky_relu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """`max(x, 0.2 x)`, the slope of ProGAN, PATN and PG2."""
    return jax.nn.leaky_relu(x, 0.2)


def pixel_norm(x: Float[Array, "... c"]) -> Float[Array, "... c"]:
    """Scales each feature vector to unit mean square (ProGAN, section 4.2; epsilon 1e-8)."""
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-8)


def upsample(x: Float[Array, "b h w c"], factor: int = 2) -> Float[Array, "b h2 w2 c"]:
    """Nearest neighbour: every pixel becomes a block of `factor` x `factor`."""
    b, h, w, c = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None, :], (b, h, factor, w, factor, c))
    return x.reshape(b, h * factor, w * factor, c)


def mean_pool(x: Float[Array, "b h w c"], factor: int = 2) -> Float[Array, "b h2 w2 c"]:
    """Mean of blocks of `factor` x `factor`.

    Raises:
      ValueError: `factor` does not divide a side.
    """
    b, h, w, c = x.shape
    if h % factor or w % factor:
        raise ValueError(f"cannot pool {h} x {w} by {factor}: the sides must be multiples of it")
    return x.reshape(b, h // factor, factor, w // factor, factor, c).mean((2, 4))


def minibatch_stddev(x: Float[Array, "b h w c"], group_size: int | None = None) -> Float[Array, "b h w c+1"]:
    """Appends a channel with the mean standard deviation over a group of examples (ProGAN, section 3).

    The variance is biased and example n belongs to group n mod (b / group_size), as in the official code
    (tkarras/progressive_growing_of_gans, `minibatch_stddev_layer`). The batch is the global one, also
    when it is sharded over devices.

    Args:
      x: features.
      group_size: examples per group; None takes the whole minibatch.

    Raises:
      ValueError: `group_size` does not divide the batch.
    """
    b, h, w, c = x.shape
    group_size = group_size or b
    if b % group_size:
        raise ValueError(
            f"minibatch stddev: groups of {group_size} do not divide a batch of {b}; "
            f"choose a divisor of {b}, or None for the whole minibatch"
        )
    groups = x.reshape(group_size, b // group_size, h, w, c)
    stddev = jnp.sqrt(jnp.mean(jnp.square(groups - groups.mean(0)), axis=0) + 1e-8).mean((1, 2, 3))
    stddev = jnp.tile(stddev, group_size)[:, None, None, None]
    return jnp.concatenate([x, jnp.broadcast_to(stddev, (b, h, w, 1))], axis=-1)


class BatchNorm(nnx.Module):
    """Batch normalisation over all axes but the last, with torch's conventions.

    In training, the biased variance normalises and the unbiased one moves the running statistics, which take
    a tenth of the batch's (torch's momentum 0.1). The variance is computed from deviations, not as a
    difference of squares, which would lose the digits that small maps need. Under `jax.jit` the batch is the
    global one, also when it is sharded over devices: torch's `SyncBatchNorm`.

    Args:
      features: channels.
    """

    def __init__(self, features: int, *, epsilon: float = 1e-5, momentum: float = 0.1):
        self.scale = nnx.Param(jnp.ones(features))
        self.bias = nnx.Param(jnp.zeros(features))
        self.mean = nnx.BatchStat(jnp.zeros(features))
        self.var = nnx.BatchStat(jnp.ones(features))
        self.epsilon = epsilon
        self.momentum = momentum

    def __call__(self, x: Float[Array, "... c"], train: bool) -> Float[Array, "... c"]:
        """Normalises by the batch and moves the running statistics if `train`, else by these."""
        mean, var = self.mean[...], self.var[...]
        if not train:
            scale = self.scale[...] * jax.lax.rsqrt(var + self.epsilon)
            return (x - mean) * scale + self.bias[...]
        out, batch_mean, batch_var = _normalised(x, self.scale[...], self.bias[...], self.epsilon)
        count = x.size // x.shape[-1]
        unbiased = batch_var * (count / max(count - 1, 1))
        self.mean[...] = mean + self.momentum * (batch_mean - mean)
        self.var[...] = var + self.momentum * (unbiased - var)
        return out


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _normalised(
    x: Float[Array, "... c"], scale: Float[Array, " c"], bias: Float[Array, " c"], epsilon: float
) -> tuple[Float[Array, "... c"], Float[Array, " c"], Float[Array, " c"]]:
    """The batch normalised by its own statistics, and these, which have no gradient.

    Its gradient is written out: in the one that JAX derives, XLA:CPU reads the batch several times more.
    """
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axes)
    var = jnp.square(x - mean).mean(axes)
    return (x - mean) * (scale * jax.lax.rsqrt(var + epsilon)) + bias, mean, var


def _normalised_forward(x, scale, bias, epsilon):
    out, mean, var = _normalised(x, scale, bias, epsilon)
    return (out, mean, var), (x, scale, mean, jax.lax.rsqrt(var + epsilon))


def _normalised_backward(epsilon, saved, gradients):
    x, scale, mean, inverse = saved
    gradient, *_ = gradients
    axes, count = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    unit = (x - mean) * inverse
    of_bias = gradient.sum(axes)
    of_scale = (gradient * unit).sum(axes)
    of_x = (gradient - of_bias / count - unit * (of_scale / count)) * (scale * inverse)
    return of_x, of_scale, of_bias


_normalised.defvjp(_normalised_forward, _normalised_backward)


class InstanceNorm(nnx.Module):
    """Normalises every channel of every example over its pixels: torch's `InstanceNorm2d` as it comes.

    That is without parameters and without running statistics; called like `BatchNorm`.
    """

    def __init__(self, *, epsilon: float = 1e-5):
        self.epsilon = epsilon

    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b h w c"]:
        del train
        one, zero = (make(x.shape[-1:], x.dtype) for make in (jnp.ones, jnp.zeros))
        return jax.vmap(lambda x: _normalised(x, one, zero, self.epsilon)[0])(x)


def reflect_pad(x: Float[Array, "b h w c"], size: int) -> Float[Array, "b h2 w2 c"]:
    """`size` more pixels on every side, mirrored at the outermost pixels' centres.

    Raises:
      ValueError: a side has no more than `size` pixels.
    """
    if size >= min(x.shape[1:3]):
        raise ValueError(f"cannot mirror {size} pixels of {x.shape[1]} x {x.shape[2]}: use larger images")
    return jnp.pad(x, ((0, 0), (size, size), (size, size), (0, 0)), mode="reflect")


def sample(images: Float[Array, "b h w c"], places: Float[Array, "b h2 w2 2"]) -> Float[Array, "b h2 w2 c"]:
    """Values between pixels, linearly; beyond the outermost pixels' centres, theirs.

    Args:
      images: what is looked at.
      places: x, y in its pixels, whose centres are at .5.
    """
    b, h, w, c = images.shape
    ends = jnp.array([w - 1, h - 1], places.dtype)
    places = jnp.clip(places - 0.5, 0, ends)
    first = jnp.minimum(jnp.floor(places), jnp.maximum(ends - 1, 0))
    right, down = jnp.split(places - first, 2, axis=-1)
    column, row = jnp.moveaxis(first.astype(jnp.int32), -1, 0)
    flat = images.reshape(b, h * w, c)

    def at(row, column):
        place = (row * w + column).reshape(b, -1, 1)
        return jnp.take_along_axis(flat, place, axis=1).reshape(*row.shape, c)

    below, beside = jnp.minimum(row + 1, h - 1), jnp.minimum(column + 1, w - 1)
    upper = at(row, column) + right * (at(row, beside) - at(row, column))
    lower = at(below, column) + right * (at(below, beside) - at(below, column))
    return upper + down * (lower - upper)


def dropout(x: Float[Array, "..."], rate: float, key: jax.Array | None) -> Float[Array, "..."]:
    """Sets a share of `rate` of the elements to zero and scales the others up; without a key, none."""
    if key is None or not rate:
        return x
    kept = _coins(key, x.shape) if rate == 0.5 else jax.random.bernoulli(key, 1 - rate, x.shape)
    return jnp.where(kept, x / (1 - rate), 0)


def _coins(key: jax.Array, shape: tuple[int, ...]) -> Bool[Array, "..."]:
    """Fair ones, from a bit each: on CPU, random bits cost more than what is done with them."""
    *shape, last = shape
    words = jax.random.bits(key, (*shape, -(-last // 32)), jnp.uint32)
    bits = (words[..., None] >> jnp.arange(32, dtype=jnp.uint32)) & 1
    return bits.reshape(*shape, -1)[..., :last] == 1


class Conv(nnx.Module):
    """A convolution of odd size with zeros around, or the mirrored picture; see `conv.convolve`.

    Initial values are torch's defaults, kernel and bias both U(-1, 1) / sqrt(fan_in): for the kernel He's
    uniform one with a = sqrt(5). With a `deviation`, the kernel's are N(0, deviation).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int = 3,
        *,
        stride: int = 1,
        dilation: int = 1,
        bias: bool = True,
        reflect: bool = False,
        deviation: float | None = None,
        rngs: nnx.Rngs,
    ):
        bound = 1 / math.sqrt(size * size * inputs)
        self.kernel = nnx.Param(_kernel(rngs, (size, size, inputs, outputs), bound, deviation))
        self.bias = nnx.Param(uniform(rngs, (outputs,), bound)) if bias else None
        self.stride = stride
        self.dilation = dilation
        self.reflect = reflect

    def __call__(self, *inputs: Float[Array, "b h w _"]) -> Float[Array, "b h2 w2 o"]:
        """Convolves the concatenation of `inputs`, as a sum of convolutions; see `EqualizedConv`."""
        out = 0 if self.bias is None else self.bias[...]
        for x, kernel in zip(inputs, _parts(self.kernel[...], inputs), strict=True):
            if self.reflect:
                x = reflect_pad(x, self.dilation * (kernel.shape[0] // 2))
            form = dict(stride=self.stride, dilation=self.dilation, padded=self.reflect)
            out = conv.convolve(x, kernel, **form) + out
        return out


class ConvTranspose(nnx.Module):
    """A 3 x 3 convolution that doubles the size; see `conv.transposed`.

    Initial values are torch's defaults, for which the fan-in of a transposed convolution counts outputs; see
    `Conv`.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        bias: bool = True,
        deviation: float | None = None,
        rngs: nnx.Rngs,
    ):
        bound = 1 / math.sqrt(9 * outputs)
        self.kernel = nnx.Param(_kernel(rngs, (3, 3, inputs, outputs), bound, deviation))
        self.bias = nnx.Param(uniform(rngs, (outputs,), bound)) if bias else None

    def __call__(self, x: Float[Array, "b h w i"]) -> Float[Array, "b h2 w2 o"]:
        x = conv.transposed(x, self.kernel[...])
        return x if self.bias is None else x + self.bias[...]


class DepthwiseConv(nnx.Module):
    """One kernel per channel, without bias; see `conv.depthwise` and `Conv`."""

    def __init__(self, features: int, size: int = 3, *, stride: int = 1, dilation: int = 1, rngs: nnx.Rngs):
        self.kernel = nnx.Param(uniform(rngs, (size, size, 1, features), 1 / size))
        self.stride = stride
        self.dilation = dilation

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
        return conv.depthwise(x, self.kernel[...], stride=self.stride, dilation=self.dilation)


def uniform(rngs: nnx.Rngs, shape: tuple[int, ...], bound: float) -> jax.Array:
    """Initial values, uniform in +-`bound`; see `normal`."""
    return jax.random.uniform(rngs.params(), (math.prod(shape),), minval=-bound, maxval=bound).reshape(shape)


def _kernel(rngs: nnx.Rngs, shape: tuple[int, ...], bound: float, deviation: float | None) -> jax.Array:
    return uniform(rngs, shape, bound) if deviation is None else deviation * normal(rngs, shape)


def normal(rngs: nnx.Rngs, shape: tuple[int, ...]) -> jax.Array:
    """Initial values of N(0, 1).

    Drawn in a row: the numbers are those of `jax.random.normal(key, shape)`, but XLA:CPU takes ten times as
    long to compile a draw of four axes.
    """
    return jax.random.normal(rngs.params(), (math.prod(shape),)).reshape(shape)


class EqualizedDense(nnx.Module):
    """A dense layer with equalised learning rate (ProGAN, section 4.1).

    The kernel is stored as N(0, 1) and used times `gain / sqrt(fan_in)`; the bias is not scaled.

    Args:
      inputs, outputs: numbers of features.
      gain: sqrt(2) before a leaky ReLU, 1 before nothing.
    """

    def __init__(self, inputs: int, outputs: int, *, gain: float = math.sqrt(2), rngs: nnx.Rngs):
        self.kernel = nnx.Param(normal(rngs, (inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))
        self.gain = gain

    def __call__(self, x: Float[Array, "b i"]) -> Float[Array, "b o"]:
        return x @ (self.kernel[...] * (self.gain / math.sqrt(x.shape[-1]))) + self.bias[...]


class EqualizedConv(nnx.Module):
    """A stride-1 convolution of unchanged size with equalised learning rate; see `EqualizedDense`.

    The fan-in counts all inputs: features, and what is put beside them (pose maps, minibatch stddev).
    """

    def __init__(
        self, inputs: int, outputs: int, size: int = 3, *, gain: float = math.sqrt(2), rngs: nnx.Rngs
    ):
        self.kernel = nnx.Param(normal(rngs, (size, size, inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros(outputs))
        self.gain = gain

    def __call__(self, *inputs: Float[Array, "b h w _"]) -> Float[Array, "b h w o"]:
        """Convolves the concatenation of `inputs`, as a sum of convolutions.

        Not concatenating is 1.1 to 1.2 times faster on CPU in narrow networks: what belongs to pose maps is
        computed once for all calls with the same maps, and gradients with respect to them not at all.
        """
        size, _, features, _ = self.kernel.shape
        kernel = self.kernel[...] * (self.gain / math.sqrt(size * size * features))
        return sum(map(_convolve, inputs, _parts(kernel, inputs))) + self.bias[...]


def _parts(kernel: Float[Array, "k k i o"], inputs: tuple[jax.Array, ...]) -> list[jax.Array]:
    """What of a kernel belongs to each of the inputs that make up its channels."""
    ends = list(itertools.accumulate(x.shape[-1] for x in inputs))
    if ends[-1] != kernel.shape[2]:
        raise ValueError(f"expected {kernel.shape[2]} channels, got {[x.shape[-1] for x in inputs]}")
    return jnp.split(kernel, ends[:-1], axis=2)


def _convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
