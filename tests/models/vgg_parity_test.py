"""VGG's features against torchvision's (`nst_*`, `vgg19_full_recipe*`), from every kind of file."""

import os
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anime_pt.convert import npz, safetensors, torch_files
from anime_pt.convert import vgg as convert
from anime_pt.models import vgg
from tests.models.recipe_weights import fill

FOLDER = pathlib.Path(
    os.environ.get("ANIME_PT_GOLDENS", pathlib.Path(__file__).parents[2] / ".." / "shared" / "goldens")
)
ENDINGS = {".pth": "torchvision", ".safetensors": "torchvision", "_keras_notop.h5": "keras"} | {
    "_matconvnet.mat": "matconvnet"
}


def files(pattern: str) -> list:
    found = sorted(FOLDER.glob(pattern))
    return found or [pytest.param(None, marks=pytest.mark.skip(f"no {pattern} in {FOLDER}"))]


def each(pattern: str):
    return pytest.mark.parametrize("path", files(pattern), ids=lambda p: getattr(p, "stem", "none"))


slim = each("vgg*slim*.pth")


def unit(pictures) -> jax.Array:
    return jnp.asarray(pictures, jnp.float32) / 127.5 - 1


def assert_close(actual, expected, tolerance=1e-4):
    expected = np.asarray(expected)
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= tolerance * np.abs(expected).max()


@each("nst_*.npz")
@pytest.mark.parametrize("pool", vgg.POOLINGS)
def test_features_of_slim_networks(path, pool):
    arrays = npz.read(path, f"{pool}:feat_")
    found = {}
    for picture in ("style", "content"):
        names = tuple(n.partition(":")[2] for n in arrays if n.startswith(picture))
        (weights,) = FOLDER.glob("vgg*slim*.pth")
        net = convert.load(weights, last=max(names).replace("conv", "relu"), pool=pool)
        layers = tuple(n.replace("conv", "relu") for n in names)
        pictures = npz.read(path, f"{picture}_u8")[""]
        features = jax.jit(lambda net, x, layers=layers: net(x, layers)[0])(net, unit(pictures))
        found |= {f"{picture}:{n}": features[layer] for n, layer in zip(names, layers, strict=True)}
    assert len(found) == len(arrays) >= 3
    for name, expected in arrays.items():
        assert_close(found[name], expected.transpose(0, 2, 3, 1))


@each("vgg19_full_recipe*.npz")
def test_features_at_full_width(path):
    arrays = npz.read(path)
    weights, channels, place = {}, 3, 0
    for depth, width in zip(vgg.DEPTHS[19], vgg.WIDTHS, strict=True):
        for _ in range(depth):
            name = f"features.{place}"
            weights[f"{name}.weight"] = fill(f"vgg19.{name}.weight", (width, channels, 3, 3))
            weights[f"{name}.bias"] = fill(f"vgg19.{name}.bias", (width,))
            channels, place = width, place + 2
        place += 1
    net = convert.build(convert.of_torchvision(weights))
    names = vgg.layer_names(vgg.DEPTHS[19])
    assert sum(x.size for x in jax.tree.leaves(net.params)) == 20_024_384
    found = jax.jit(lambda net, x: net(x, names)[0])(net, unit(arrays["x_u8"]))
    for name, expected in arrays.items():
        if name.startswith("conv"):
            features = found[name.replace("conv", "relu")]
            assert_close(features[..., : expected.shape[1]], expected.transpose(0, 2, 3, 1))
    np.testing.assert_allclose([found[n].sum() for n in names], arrays["sums"], rtol=1e-4)


@each("patn_*.npz")
def test_the_first_block_alone(path):
    """PATN's perceptual loss: `features` cut off after relu1_2."""
    weights = {k: v for k, v in npz.read(path, "sd/vgg/").items()}
    net = convert.build(convert.of_torchvision(weights))
    target = npz.read(path, "input/P2")[""].transpose(0, 2, 3, 1)
    found, _ = net(jnp.asarray(target), ("relu1_2",))
    assert_close(found["relu1_2"], npz.read(path, "eval/vgg_P2")[""].transpose(0, 2, 3, 1))


@slim
@pytest.mark.parametrize("ending", ENDINGS)
def test_kinds_of_files(path, ending):
    """All of them hold the same kernels; each knows how its network wants pictures."""
    other = path.with_name(path.stem + ending)
    if not other.exists():
        pytest.skip(f"no {other}")
    if other.suffix == ".h5":
        pytest.importorskip("h5py", reason="pip install 'anime_pt[readers]'")
    expected = convert.of_torchvision(torch_files.read_state_dict(path))
    net = convert.load(other)
    leaves = {f"{name}/{kind}": x for name, conv in net.params["blocks"].items() for kind, x in conv.items()}
    assert leaves.keys() == expected.keys()
    for name, x in leaves.items():
        np.testing.assert_array_equal(x, expected[name], err_msg=name)
    picture = jnp.array([[[[-1.0, 0.0, 1.0]]]])
    mean, spread, order = vgg.INPUTS[ENDINGS[ending]]
    scaled = (np.array([0, 127.5, 255]) - mean) / spread
    first = expected["conv1_1/kernel"][1, 1]
    by_hand = (scaled[::-1] if order == "bgr" else scaled) @ first + expected["conv1_1/bias"]
    found = convert.features(other, ("relu1_1",))(picture)["relu1_1"]
    np.testing.assert_allclose(found[0, 0, 0], np.maximum(by_hand, 0), rtol=1e-5, atol=1e-4)


@slim
def test_what_is_needed_alone_is_kept(path):
    net = convert.load(path, last="relu2_1")
    assert sorted(net.params["blocks"]) == ["conv1_1", "conv1_2", "conv2_1"]
    with pytest.raises(ValueError, match=r"slim.*: VGG has no relu9_9; it has relu1_1, "):
        convert.load(path, last="relu9_9")
    with pytest.raises(ValueError, match="VGG has no relu3_1; it has relu1_1, relu1_2, relu2_1"):
        net(jnp.zeros((1, 8, 8, 3)), ("relu3_1",))
    with pytest.raises(ValueError, match="pool='median'; use one of max, avg"):
        convert.load(path, pool="median")


@slim
def test_damaged_and_other_files(path, tmp_path):
    for ending, message in {
        ".pth": "not a file of torch.save, or damaged",
        ".safetensors": "not a file of safetensors, or damaged",
        ".mat": "not a file of MatConvNet, or damaged",
        ".onnx": r"cannot read '.onnx' files; use one of .pth, ",
    }.items():
        torn = tmp_path / f"torn{ending}"
        torn.write_bytes(path.read_bytes()[:1000])
        with pytest.raises(ValueError, match=rf"torn\{ending}: {message}") as error:
            convert.load(torn)
        assert "\n" not in str(error.value)
    with pytest.raises(FileNotFoundError):
        convert.load(tmp_path / "none.mat")
    if (keras := path.with_name(path.stem + "_keras_notop.h5")).exists():
        pytest.importorskip("h5py", reason="pip install 'anime_pt[readers]'")
        shutil.copy(keras, tmp_path / "torn.h5")
        (tmp_path / "torn.h5").write_bytes(keras.read_bytes()[:5000])
        with pytest.raises(ValueError, match=r"torn\.h5: not an HDF5 file, or damaged"):
            convert.load(tmp_path / "torn.h5")
        with pytest.raises(FileNotFoundError):
            convert.load(tmp_path / "none.h5")


def test_networks_that_are_not_vgg():
    with pytest.raises(ValueError, match="it has batch normalisation; take the VGG without"):
        convert.of_torchvision(
            {"features.0.weight": np.zeros((8, 3, 3, 3)), "features.1.running_mean": np.zeros(8)}
        )
    with pytest.raises(ValueError, match="not the weights of torchvision's VGG: there are a, b"):
        convert.of_torchvision({"a": np.zeros(1), "b": np.zeros(1)})
    with pytest.raises(ValueError, match=r"not the weights of VGG: there are conv2_1/kernel, \.\.\."):
        convert.sizes({"conv2_1/kernel": np.zeros((3, 3, 3, 4))})


@slim
def test_h5_without_its_library(path, monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    (tmp_path / "a.h5").write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"a\.h5: reading \.h5 files needs h5py: pip install 'anime_pt\[readers\]'"
    ):
        convert.load(tmp_path / "a.h5")


@each("*.safetensors")
def test_safetensors_cut_anywhere(path, tmp_path):
    whole = path.read_bytes()
    expected = safetensors.read(path)
    assert all(x.flags.writeable for x in expected.values())
    for length in (0, 7, 8, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.safetensors").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut\.safetensors: not a file of safetensors, or damaged"):
            safetensors.read(tmp_path / "cut.safetensors")
