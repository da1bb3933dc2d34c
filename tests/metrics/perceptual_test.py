"""LPIPS against the public code's numbers, with AlexNet and VGG-16 of described weights (`lpips_*`)."""

import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anime_pt.convert import alexnet as convert
from anime_pt.convert import npz
from anime_pt.convert import vgg as convert_vgg
from anime_pt.metrics import perceptual
from anime_pt.models import alexnet, vgg
from tests.models.recipe_weights import fill

FOLDER = pathlib.Path(
    os.environ.get("ANIME_PT_GOLDENS", pathlib.Path(__file__).parents[2] / ".." / "shared" / "goldens")
)
FILES = sorted(FOLDER.glob("lpips_*.npz")) or [
    pytest.param(None, marks=pytest.mark.skip(f"no lpips_*.npz in {FOLDER}"))
]


def described(prefix: str, shapes: dict[int, tuple[int, ...]]) -> dict[str, np.ndarray]:
    return {
        f"features.{place}.{kind}": fill(f"{prefix}.features.{place}.{kind}", s)
        for place, shape in shapes.items()
        for kind, s in (("weight", shape), ("bias", shape[:1]))
    }


def alex():
    sizes = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
    net = convert.build(described("lpips_alex", {k: (o, i, s, s) for k, (o, i, s) in sizes.items()}))
    return net, lambda net, x: list(net(x)[0].values()), alexnet.WIDTHS


def vgg16():
    shapes, channels, place = {}, 3, 0
    for depth, width in zip(vgg.DEPTHS[16], vgg.WIDTHS, strict=True):
        for _ in range(depth):
            shapes[place] = (width, channels, 3, 3)
            channels, place = width, place + 2
        place += 1
    net = convert_vgg.build(convert_vgg.of_torchvision(described("lpips_vgg", shapes)))
    names = perceptual.LPIPS_VGG
    return net, lambda net, x: [net(x, names)[0][n] for n in names], vgg.WIDTHS


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
@pytest.mark.parametrize(("name", "network"), [("alex", alex), ("vgg", vgg16)])
def test_lpips(path, name, network):
    arrays = npz.read(path)
    net, features, widths = network()
    linear = convert.linear(
        {
            f"lin{i}.model.1.weight": np.abs(fill(f"lpips_{name}.lin{i}", (1, width, 1, 1)))
            for i, width in enumerate(widths)
        }
    )
    assert [w.shape for w in linear] == [(width,) for width in widths]
    a, b = (jnp.asarray(arrays[k], jnp.float32) / 127.5 - 1 for k in ("p0", "p1"))

    @jax.jit
    def both(net, a, b):
        a, b = features(net, a), features(net, b)
        return perceptual.lpips(a, b, linear), perceptual.lpips_layers(a, b, linear)

    total, layers = both(net, a, b)
    np.testing.assert_allclose(total, arrays[f"{name}:lpips"], rtol=1e-4)
    for i, layer in enumerate(layers):
        np.testing.assert_allclose(layer, arrays[f"{name}:layer{i}"], rtol=2e-4, err_msg=f"layer {i}")


def test_files_of_lpips(tmp_path):
    with pytest.raises(ValueError, match=r"lin\.safetensors: not a file of safetensors"):
        (tmp_path / "lin.safetensors").write_bytes(b"")
        convert.load_linear(tmp_path / "lin.safetensors")
    with pytest.raises(ValueError, match=r"not LPIPS's weights of channels, .*: there are a, \.\.\."):
        convert.linear({"a": np.zeros(3)})
    with pytest.raises(ValueError, match="not LPIPS's weights of channels"):
        convert.linear({"lin1.model.1.weight": np.zeros((1, 3, 1, 1))})
    with pytest.raises(ValueError, match=r"problems in converting weights: .*unknown name conv1"):
        convert.build({"conv1": np.zeros(3)})


def test_feature_distance_by_hand():
    a = [jnp.array([[[[1.0, 0.0]]]]), jnp.array([[[[3.0, 4.0]], [[0.0, 0.0]]]])]
    b = [jnp.array([[[[0.0, 2.0]]]]), jnp.array([[[[6.0, 8.0]], [[0.0, 0.0]]]])]
    np.testing.assert_allclose(perceptual.feature_distance(a, b), [1.0], rtol=1e-6)
    np.testing.assert_allclose(perceptual.feature_distance(a, a), [0.0])
    weights = [jnp.array([1.0, 3.0]), jnp.array([1.0, 1.0])]
    np.testing.assert_allclose(perceptual.lpips(a, b, weights), [4.0], rtol=1e-6)
    slope = jax.grad(lambda x: perceptual.feature_distance([x], [b[1]]).sum())(a[1])
    assert np.isfinite(slope).all(), "also where all features are zero"
