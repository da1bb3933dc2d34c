"""LPIPS, FID and IS through the judges: the goldens' numbers from files as users have them; wrong files."""

import json
import os
import pathlib
import struct

import numpy as np
import pytest

from anime_pt import judges
from anime_pt.convert import npz
from anime_pt.judges import files
from anime_pt.models import alexnet, vgg
from tests.models.recipe_weights import fill

FOLDER = pathlib.Path(
    os.environ.get("ANIME_PT_GOLDENS", pathlib.Path(__file__).parents[2] / ".." / "shared" / "goldens")
)
SHAPES = FOLDER / "inception_fid_shapes.json"


pytestmark = pytest.mark.usefixtures("plain_convolutions")


def each(pattern: str, *needed: pathlib.Path):
    found = sorted(FOLDER.glob(pattern)) if all(path.exists() for path in needed) else []
    skip = [pytest.param(None, marks=pytest.mark.skip(f"no {pattern} in {FOLDER}"))]
    return pytest.mark.parametrize("path", found or skip, ids=lambda p: getattr(p, "stem", "none"))


def write(path: pathlib.Path, arrays: dict[str, np.ndarray]) -> str:
    """A file of safetensors."""
    header, place = {}, 0
    for name, x in arrays.items():
        end = place + 4 * x.size
        header[name] = {"dtype": "F32", "shape": list(x.shape), "data_offsets": [place, end]}
        place = end
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for x in arrays.values():
            file.write(x.astype("<f4").tobytes())
    return str(path)


def convolutions(prefix: str, shapes: dict[int, tuple[int, ...]]) -> dict[str, np.ndarray]:
    return {
        f"features.{place}.{kind}": fill(f"{prefix}.features.{place}.{kind}", s)
        for place, shape in shapes.items()
        for kind, s in (("weight", shape), ("bias", shape[:1]))
    }


def alex() -> dict[str, np.ndarray]:
    sizes = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
    return convolutions("lpips_alex", {k: (o, i, s, s) for k, (o, i, s) in sizes.items()})


def vgg_of(depths: tuple[int, ...], widths=vgg.WIDTHS) -> dict[str, np.ndarray]:
    shapes, channels, place = {}, 3, 0
    for depth, width in zip(depths, widths, strict=True):
        for _ in range(depth):
            shapes[place] = (width, channels, 3, 3)
            channels, place = width, place + 2
        place += 1
    return convolutions("lpips_vgg", shapes)


def linear(name: str, widths: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {
        f"lin{i}.model.1.weight": np.abs(fill(f"lpips_{name}.lin{i}", (1, width, 1, 1)))
        for i, width in enumerate(widths)
    }


@each("lpips_*.npz")
def test_lpips_of_alexnet(path, tmp_path):
    network = write(tmp_path / "alexnet.safetensors", alex())
    weights = write(tmp_path / "alex.safetensors", linear("alex", alexnet.WIDTHS))
    judge, arrays = files.Lpips(network, weights), npz.read(path)
    assert judge.name == "lpips_alex"
    np.testing.assert_allclose(judge(arrays["p0"], arrays["p1"]), arrays["alex:lpips"], rtol=1e-4)
    with pytest.raises(
        ValueError, match=r"eval\.lpips: the network takes pictures of 35 pixels and more, not 34 x 64"
    ):
        judge(arrays["p0"][:, :34], arrays["p1"][:, :34])


@pytest.mark.slow
@each("lpips_*.npz")
def test_lpips_of_vgg(path, tmp_path):
    network = write(tmp_path / "vgg16.safetensors", vgg_of(vgg.DEPTHS[16]))
    weights = write(tmp_path / "vgg.safetensors", linear("vgg", vgg.WIDTHS))
    judge, arrays = files.Lpips(network, weights), npz.read(path)
    assert judge.name == "lpips_vgg"
    np.testing.assert_allclose(judge(arrays["p0"], arrays["p1"]), arrays["vgg:lpips"], rtol=1e-4)


@pytest.mark.slow
@each("fid_*.npz", SHAPES)
def test_features_of_inception(path, tmp_path):
    shapes = json.loads(SHAPES.read_text())
    named = {name: fill(f"inception.{name}", tuple(shape)) for name, shape in shapes.items()}
    judge, arrays = files.Inception(write(tmp_path / "inception.safetensors", named)), npz.read(path)
    features, logits = judge("golden", arrays["images_u8"])["legacy"]
    for found, name in ((features, "pool3"), (logits, "logits_unbiased")):
        assert np.abs(found - arrays[name]).max() <= 1e-4 * np.abs(arrays[name]).max()


@each("fid_*.npz")
def test_fid_and_is_of_sets(path):
    arrays = npz.read(path)
    made, true, logits = arrays["featsB"], arrays["featsA"], arrays["is_logits"]
    seen = {
        "": {"legacy": (made, logits), "clean": (made, logits)},
        "/target": {"legacy": (true, logits[::-1]), "clean": (true[:20], logits[:9])},
        "/source": {"legacy": (made[:1], logits), "clean": (true[:20], logits)},
    }
    found = files.scores(seen)
    assert found["fid_legacy"] == pytest.approx(float(arrays["fid_AB"]), rel=1e-6)
    assert found["fid_clean"] == pytest.approx(float(arrays["fid_CB"]), rel=1e-6)
    assert found["fid_clean/source"] == pytest.approx(0, abs=1e-3)
    np.testing.assert_allclose([found["is_legacy"], found["is_legacy_std"]], arrays["is_mean_std"], rtol=1e-6)
    # Too few pictures, or the truth against itself.
    assert not found.keys() & {"fid_legacy/source", "fid_legacy/target", "is_clean/target"}
    assert {name.partition("/")[0] for name in found} == files.NOTES.keys()


def test_both_ways_to_resize_reach_the_network(monkeypatch):
    """A network in Inception's place that sees the mean colour."""

    def net(images):
        assert images.shape[1:] == (299, 299, 3)
        return (images.mean((1, 2)), images.mean((1, 2, 3))[:, None]), None

    monkeypatch.setattr(files.inception, "load", lambda path: net)
    monkeypatch.setattr(files.jax, "jit", lambda function: function)
    grey = np.broadcast_to(np.arange(0, 200, 10, dtype=np.uint8)[:, None, None, None], (20, 8, 8, 3))
    found = files.Inception("some.pth")("grey", grey)
    for kind, scaled in (("legacy", grey / 127.5 - 1), ("clean", (grey - 128.0) / 128)):
        features, logits = found[kind]
        np.testing.assert_allclose(features, scaled[:, 0, 0], atol=1e-4)
        assert logits.shape == (20, 1)


def test_numbers_have_their_names_where_files_are_given(monkeypatch):
    monkeypatch.setattr(files.Lpips, "__init__", lambda self, *_: setattr(self, "name", "lpips_alex"))
    monkeypatch.setattr(files.Inception, "__init__", lambda self, _: None)
    for module, name in ((judges.poses, "Finder"), (judges.small, "Features")):
        monkeypatch.setattr(module, name, object)
    every = judges.Judges({"inception": "a.pth", "lpips": "b.pth", "lpips_linear": "c.pth"}).notes
    assert {"eval/lpips_alex", "eval/fid_legacy", "eval/fid_clean", "eval/is_legacy"} <= every.keys()
    assert "pytorch-fid" in every["eval/fid_legacy"] and "clean-fid" in every["eval/fid_clean"]
    none = judges.Judges({"inception": ""}).notes
    assert not none.keys() & {"eval/lpips_alex", *(f"eval/{name}" for name in files.NOTES)}


def test_wrong_files_end_with_one_line(tmp_path):
    some = write(tmp_path / "some.safetensors", {f"a{i}.weight": np.zeros((2, 2)) for i in range(400)})
    torn = tmp_path / "torn.pth"
    torn.write_bytes(b"PK\x03\x04 and no more")
    nineteen = write(tmp_path / "vgg19.safetensors", vgg_of(vgg.DEPTHS[19], (2, 2, 2, 2, 2)))
    network = write(tmp_path / "alexnet.safetensors", alex())
    weights = write(tmp_path / "vgg.safetensors", linear("vgg", (64, 128, 256, 512, 512)))
    take = r"take torchvision's alexnet-owt-7be5be79\.pth or vgg16-397923af\.pth; this is something else"
    for options, message in (
        ({"inception": some}, r"eval\.inception = .*some\.safetensors: take pt_inception-2015-12-05-"),
        ({"inception": str(torn)}, r"eval\.inception = .*torn\.pth: take .*\(not a file of torch\.save"),
        ({"inception": "none.pth"}, r"eval\.inception = none\.pth: there is no such file"),
        ({"lpips": some}, r"LPIPS needs two files: eval\.lpips, .*, and eval\.lpips_linear"),
        ({"lpips_linear": some}, "LPIPS needs two files"),
        ({"lpips": some, "lpips_linear": some}, rf"eval\.lpips = .*{take} \(not the weights of torchvision"),
        ({"lpips": nineteen, "lpips_linear": some}, rf"{take} \(a network of 16 convolutions"),
        ({"lpips": network, "lpips_linear": some}, r"eval\.lpips_linear = .*: take alex\.pth or vgg\.pth"),
        ({"lpips": network, "lpips_linear": weights}, r"linear = .*vgg\.safetensors: .*; take alex\.pth of"),
        ({"lpips": network, "lpips_linear": "none.pth"}, r"eval\.lpips_linear = none\.pth: there is no"),
    ):
        with pytest.raises((ValueError, OSError), match=message) as error:
            judges.Judges(options)
        assert "\n" not in str(error.value) and len(str(error.value)) < 500, options
