"""The forms of a convolution are equal, in value and in gradients, and pad as torch does."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anime_pt.models import conv

CASES = [
    # stride, dilation, height, width
    (1, 1, 6, 5),
    (2, 1, 8, 8),
    (2, 1, 7, 5),
    (1, 2, 6, 7),
    (1, 2, 2, 3),
    (1, 1, 1, 1),
    (2, 1, 1, 2),
]


def arrays(height: int, width: int, channels: int, outputs: int | None = None):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, height, width, channels))
    return x, rng.normal(size=(3, 3, channels if outputs else 1, outputs or channels))


def written_out(x, kernel, stride: int, dilation: int) -> np.ndarray:
    """The definition: a window of the zero-padded input per output pixel; depthwise if kernel[2] is 1."""
    x = np.pad(x, ((0, 0), (dilation, dilation), (dilation, dilation), (0, 0)))
    rows = range(0, x.shape[1] - 2 * dilation, stride)
    columns = range(0, x.shape[2] - 2 * dilation, stride)
    out = np.zeros((x.shape[0], len(rows), len(columns), kernel.shape[-1]))
    for r, i in enumerate(rows):
        for c, j in enumerate(columns):
            window = x[:, i : i + 2 * dilation + 1 : dilation, j : j + 2 * dilation + 1 : dilation]
            if kernel.shape[2] == 1:
                out[:, r, c] = np.einsum("bhwc,hwc->bc", window, kernel[:, :, 0])
            else:
                out[:, r, c] = np.einsum("bhwi,hwio->bo", window, kernel)
    return out


def value_and_gradients(form, weight, x, kernel) -> tuple:
    """What comes out, and the gradients of a weighted sum of its squares; compiled."""

    def loss(x, kernel):
        out = form(x, kernel)
        return (weight * out**2).sum(), out

    (_, out), gradients = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(x, kernel)
    return out, *gradients


@pytest.mark.parametrize(("stride", "dilation", "height", "width"), CASES)
def test_depthwise_forms_are_equal(stride, dilation, height, width):
    with jax.enable_x64(True):
        x, kernel = map(jnp.asarray, arrays(height, width, 4))
        expected = written_out(x, kernel, stride, dilation)
        weight = jnp.asarray(np.random.default_rng(1).normal(size=expected.shape))

        gradients = []
        for form in (conv.depthwise_shifted, conv.depthwise_grouped):
            call = lambda x, kernel, form=form: form(x, kernel, stride, dilation)
            actual, *found = value_and_gradients(call, weight, x, kernel)
            np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-13)
            gradients.append(found)
        for shifted, grouped in zip(*gradients, strict=True):
            np.testing.assert_allclose(shifted, grouped, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("stride", "dilation", "height", "width"), CASES)
def test_convolutions_are_equal_in_all_forms(monkeypatch, stride, dilation, height, width):
    monkeypatch.setattr(conv, "_LEAST_CHANNELS", 1)
    with jax.enable_x64(True):
        x, kernel = map(jnp.asarray, arrays(height, width, 3, 4))
        expected = written_out(x, kernel, stride, dilation)
        weight = jnp.asarray(np.random.default_rng(1).normal(size=expected.shape))
        gradients = []
        for form in ("xla", "rewritten"):
            monkeypatch.setenv(conv.SWITCH, form)
            call = lambda x, kernel: conv.convolve(x, kernel, stride=stride, dilation=dilation)
            actual, *found = value_and_gradients(call, weight, x, kernel)
            np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)
            gradients.append(found)
        for ours, theirs in zip(*gradients, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-11)


def gradients_of(form, *arguments):
    """Gradients of a loss whose weights are one's own at every place; compiled."""

    def loss(*arguments):
        out = form(*arguments)
        return (jnp.sin(jnp.arange(out.size)).reshape(out.shape) * out**2).sum()

    return jax.jit(jax.grad(loss, tuple(range(len(arguments)))))(*arguments)


@pytest.mark.parametrize(("size", "stride", "height", "width"), [(3, 1, 4, 7), (7, 1, 8, 7), (5, 2, 8, 7)])
def test_convolutions_of_what_is_padded_already(monkeypatch, size, stride, height, width):
    monkeypatch.setattr(conv, "_LEAST_CHANNELS", 1)
    with jax.enable_x64(True):
        rng = np.random.default_rng(5)
        x, kernel = jnp.asarray(rng.normal(size=(2, height, width, 3))), rng.normal(size=(size, size, 3, 4))
        kernel, forms = jnp.asarray(kernel), []
        for form in ("xla", "rewritten"):
            monkeypatch.setenv(conv.SWITCH, form)
            call = lambda x, kernel: conv.convolve(x, kernel, stride=stride, padded=True)
            around = conv.convolve(x, kernel, stride=stride)
            forms.append((call(x, kernel), around, *gradients_of(call, x, kernel)))
        out = forms[0][0]
        assert out.shape[1:3] == tuple((side - size) // stride + 1 for side in (height, width))
        window = x[1, stride : stride + size, :size]
        np.testing.assert_allclose(out[1, 1, 0], jnp.einsum("hwi,hwio->o", window, kernel))
        for ours, theirs in zip(*forms, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("height", "width"), [(3, 4), (1, 2)])
def test_transposed_convolutions_are_equal_in_all_forms(monkeypatch, height, width):
    with jax.enable_x64(True):
        x, kernel = map(jnp.asarray, arrays(height, width, 3, 4))
        # The definition: every pixel puts a kernel, mirrored, around the even places of the output.
        expected = np.zeros((2, 2 * height + 2, 2 * width + 2, 4))
        for i in range(height):
            for j in range(width):
                put = np.einsum("bi,hwio->bhwo", x[:, i, j], kernel[::-1, ::-1])
                expected[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += put
        gradients = []
        for form in ("xla", "rewritten"):
            monkeypatch.setenv(conv.SWITCH, form)
            np.testing.assert_allclose(conv.transposed(x, kernel), expected[:, 1:-1, 1:-1], rtol=1e-12)
            gradients.append(gradients_of(conv.transposed, x, kernel))
        for ours, theirs in zip(*gradients, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("batch", [1, 6])
def test_winograd_in_groups(monkeypatch, batch):
    """What does not fit into the cache at once goes group by group, forwards and backwards."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(2)
        x, kernel = jnp.asarray(rng.normal(size=(batch, 5, 4, 3))), jnp.asarray(rng.normal(size=(3, 3, 3, 2)))
        out, *expected = value_and_gradients(conv.convolve_directly, 0.5, x, kernel)
        for examples in (100, 3) if batch > 1 else (100, 0):
            monkeypatch.setattr(conv, "_CACHE_BYTES", examples * 16 * 3 * 2 * (3 + 2) * 8)
            actual, *gradients = value_and_gradients(conv.winograd, 0.5, x, kernel)
            np.testing.assert_allclose(actual, out, rtol=1e-12, atol=1e-12)
            for ours, theirs in zip(gradients, expected, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-11)


def strided(stride, pad, x, kernel):
    pads = ((pad, pad), (pad, pad))
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def test_second_derivatives(monkeypatch):
    """A gradient penalty goes through a convolution's gradient."""
    monkeypatch.setenv(conv.SWITCH, "rewritten")
    with jax.enable_x64(True):
        rng = np.random.default_rng(3)
        x, kernel = jnp.asarray(rng.normal(size=(2, 5, 4, 3))), jnp.asarray(rng.normal(size=(3, 3, 3, 2)))
        depth = jnp.asarray(rng.normal(size=(3, 3, 1, 3)))

        def penalty(form, x, kernel):
            gradient = jax.grad(lambda x: jnp.sin(form(x, kernel)).sum())(x)
            return jnp.square(gradient).sum()

        for fast, plain, weights in (
            (conv.winograd, functools.partial(strided, 1, 1), kernel),
            (lambda x, w: conv.winograd(x, w, 0), functools.partial(strided, 1, 0), kernel),
            (conv.depthwise_shifted, conv.depthwise_grouped, depth),
            (lambda x, w: conv.closed(x, w, 2, ((1, 1), (1, 1))), functools.partial(strided, 2, 1), kernel),
            (conv.transposed, conv.transposed_directly, kernel),
        ):
            ours = jax.jit(jax.grad(lambda x, w, form=fast: penalty(form, x, w), (0, 1)))(x, weights)
            theirs = jax.jit(jax.grad(lambda x, w, form=plain: penalty(form, x, w), (0, 1)))(x, weights)
            for a, b in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


def test_winograd_is_as_exact_as_a_plain_convolution():
    rng = np.random.default_rng(4)
    x, kernel = rng.normal(size=(1, 16, 16, 128)), rng.normal(size=(3, 3, 128, 64))
    exact = written_out(x, kernel, 1, 1)
    for form in (conv.winograd, conv.convolve_directly):
        actual = form(jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32))
        assert np.abs(actual - exact).max() < 2e-6 * np.abs(exact).max()


def test_large_kernels_gradients_are_matrix_products(monkeypatch):
    monkeypatch.setenv(conv.SWITCH, "rewritten")

    def convolutions(outputs):
        x, kernel = jnp.zeros((1, 8, 8, 3)), jnp.zeros((7, 7, 3, outputs))
        loss = lambda kernel: (conv.convolve(x, kernel) ** 2).sum()
        return str(jax.make_jaxpr(jax.grad(loss))(kernel)).count("conv_general_dilated[")

    # Forwards; of the kernel; of the input, which nobody asks for.
    assert convolutions(8) - convolutions(3) == 1
    assert convolutions(3) == convolutions(32)


def test_what_does_not_pay_is_left_to_xla(monkeypatch):
    monkeypatch.setenv(conv.SWITCH, "rewritten")

    def uses_xla(channels, size=3, stride=1):
        x, kernel = jnp.zeros((1, 8, 8, channels)), jnp.zeros((size, size, channels, 64))
        program = jax.make_jaxpr(lambda x, kernel: conv.convolve(x, kernel, stride=stride))(x, kernel)
        return "conv_general_dilated" in str(program)

    assert not uses_xla(32) and not uses_xla(3, size=1)
    assert uses_xla(3) and uses_xla(32, stride=2) and uses_xla(3, size=7)
    monkeypatch.delenv(conv.SWITCH)
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    for devices in (1, 8):
        monkeypatch.setattr(jax, "device_count", lambda devices=devices: devices)
        assert uses_xla(32) == (devices > 1)


def test_the_form_is_chosen_by_platform_or_by_the_switch(monkeypatch):
    x, kernel = map(jnp.asarray, arrays(4, 4, 3))
    grouped = lambda: "feature_group_count=3" in str(jax.make_jaxpr(lambda *a: conv.depthwise(*a))(x, kernel))
    monkeypatch.delenv(conv.SWITCH, raising=False)
    for platform, expected in (("cpu", False), ("gpu", True)):
        monkeypatch.setattr(jax, "default_backend", lambda platform=platform: platform)
        assert grouped() == expected
    for choice, expected in (("rewritten", False), ("xla", True)):
        monkeypatch.setenv(conv.SWITCH, choice)
        assert grouped() == expected
    monkeypatch.setenv(conv.SWITCH, "fast")
    with pytest.raises(ValueError, match="ANIME_PT_CONVOLUTIONS=fast: use xla or rewritten"):
        conv.depthwise(x, kernel)
