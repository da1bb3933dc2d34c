"""FID's Inception against pytorch-fid's (`fid_*`), with weights that are described, not stored."""

import json
import os
import pathlib

import jax
import numpy as np
import pytest
from flax import nnx

from anime_pt.convert import inception as convert
from anime_pt.convert import npz
from anime_pt.metrics import distributions
from anime_pt.models import inception
from anime_pt.state import Net
from tests.models.recipe_weights import fill

FOLDER = pathlib.Path(
    os.environ.get("ANIME_PT_GOLDENS", pathlib.Path(__file__).parents[2] / ".." / "shared" / "goldens")
)
SHAPES = FOLDER / "inception_fid_shapes.json"
FILES = sorted(FOLDER.glob("fid_*.npz")) if SHAPES.exists() else []
each = pytest.mark.parametrize(
    "path",
    FILES or [pytest.param(None, marks=pytest.mark.skip(f"no fid_*.npz with its shapes in {FOLDER}"))],
    ids=lambda p: p.stem,
)


def described_net() -> Net:
    shapes = json.loads(SHAPES.read_text())
    return convert.build({name: fill(f"inception.{name}", tuple(shape)) for name, shape in shapes.items()})


def means_of_blocks(net: Net, images: jax.Array, names: tuple[str, ...]) -> dict[str, jax.Array]:
    blocks = nnx.merge(net.structure.graphdef, net.params, net.stats).blocks(images)
    return {name: blocks[name].mean((1, 2)) for name in names}


def assert_close(actual, expected, name):
    assert np.abs(actual - expected).max() <= 1e-4 * np.abs(expected).max(), name


@pytest.mark.slow
@each
def test_features_and_logits(path):
    """Also `resized_legacy`. Most of the time is compilation."""
    arrays, net = npz.read(path), described_net()
    images = distributions.resized_legacy(arrays["images_u8"])
    names = ("block1", "block2")
    (features, logits), means = jax.jit(lambda net, x: (net(x)[0], means_of_blocks(net, x, names)))(
        net, images
    )
    assert_close(features, arrays["pool3"], "features")
    assert_close(logits, arrays["logits_unbiased"], "logits without bias")
    assert_close(logits + net.params["classes_bias"], arrays["logits"], "logits")
    for name in names:
        assert_close(means[name], arrays[f"{name}_mean"], name)


@each
def test_the_first_block(path):
    arrays, net = npz.read(path), described_net()
    images = distributions.resized_legacy(arrays["images_u8"][:2])
    found = jax.jit(lambda net, x: means_of_blocks(net, x, ("block0",)))(net, images)["block0"]
    assert_close(found, arrays["block0_mean"][:2], "block0")


def test_sizes_of_the_network():
    net = jax.eval_shape(lambda: Net.create(lambda rngs: inception.Inception(rngs=rngs), jax.random.key(0)))
    # torchvision's Inception v3 without the auxiliary classifier, and eight more classes.
    assert sum(x.size for x in jax.tree.leaves(net.params)) == 23_834_568 + 8 * 2049
    out, _ = jax.eval_shape(lambda net, x: net(x), net, jax.ShapeDtypeStruct((2, 299, 299, 3), np.float32))
    assert [x.shape for x in out] == [(2, inception.FEATURES), (2, inception.CLASSES)]


def test_other_networks_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(convert.torch_files, "read_state_dict", lambda p: {"fc.bias": np.zeros(1000)})
    with pytest.raises(
        ValueError, match=r"tv\.pth: FID's Inception has 1008 classes, this file 1000: take pt_"
    ):
        convert.load(tmp_path / "tv.pth")
