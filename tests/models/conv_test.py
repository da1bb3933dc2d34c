"""The forms of a convolution are equal, in value and in gradients, and pad as torch does."""

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


@pytest.mark.parametrize(("stride", "dilation", "height", "width"), CASES)
def test_depthwise_forms_are_equal(stride, dilation, height, width):
    with jax.enable_x64(True):
        x, kernel = map(jnp.asarray, arrays(height, width, 4))
        expected = written_out(x, kernel, stride, dilation)
        weight = jnp.asarray(np.random.default_rng(1).normal(size=expected.shape))

        def gradients(form):
            def loss(x, kernel):
                return (weight * form(x, kernel, stride=stride, dilation=dilation) ** 2).sum()

            return jax.grad(loss, (0, 1))(x, kernel)

        for form in (conv.depthwise_shifted, conv.depthwise_grouped):
            np.testing.assert_allclose(form(x, kernel, stride=stride, dilation=dilation), expected, 1e-12)
        pairs = zip(gradients(conv.depthwise_shifted), gradients(conv.depthwise_grouped), strict=True)
        for shifted, grouped in pairs:
            np.testing.assert_allclose(shifted, grouped, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("stride", "dilation", "height", "width"), CASES)
def test_convolve_pads_evenly(stride, dilation, height, width):
    with jax.enable_x64(True):
        x, kernel = arrays(height, width, 3, 4)
        actual = conv.convolve(jnp.asarray(x), jnp.asarray(kernel), stride=stride, dilation=dilation)
        np.testing.assert_allclose(actual, written_out(x, kernel, stride, dilation), rtol=1e-12, atol=1e-12)


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
