"""Names and shapes of PATN's public files, made up in their layouts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anime_pt.convert import patn as convert
from anime_pt.convert import tables
from anime_pt.models import patn
from anime_pt.state import Net

KEYPOINTS, WIDTH = 3, 2


class Names:
    """Collects torch's names and shapes.

    Args:
      norm: "batch", "instance", or "old": instance normalisation as PyTorch 0.3 saved it.
      dropout: whether there is one, which shifts numbers.
    """

    def __init__(self, norm: str = "batch", dropout: bool = True):
        self.norm_kind = norm
        self.second = 6 if dropout else 5
        self.shapes = {}

    def conv(self, name, inputs, outputs, size=3, bias=False, transposed=False):
        first = (inputs, outputs) if transposed else (outputs, inputs)
        self.shapes[f"{name}.weight"] = (*first, size, size)
        if bias or self.norm_kind != "batch":
            self.shapes[f"{name}.bias"] = (outputs,)

    def norm(self, name, features):
        parts = {"batch": ("weight", "bias", "running_mean", "running_var"), "instance": ()}
        for part in parts.get(self.norm_kind, ("running_mean", "running_var")):
            self.shapes[f"{name}.{part}"] = (features,)
        if self.norm_kind == "batch":
            self.shapes[f"{name}.num_batches_tracked"] = ()

    def encoder(self, name, inputs):
        for i, (before, after, size) in enumerate(
            ((inputs, WIDTH, 7), (WIDTH, 2 * WIDTH, 3), (2 * WIDTH, 4 * WIDTH, 3))
        ):
            self.conv(f"{name}.{3 * i + 1}", before, after, size)
            self.norm(f"{name}.{3 * i + 2}", after)

    def pair(self, name, inputs, outputs, last_norm=True):
        self.conv(f"{name}.1", inputs, inputs)
        self.norm(f"{name}.2", inputs)
        self.conv(f"{name}.{self.second}", inputs, outputs)
        if last_norm:
            self.norm(f"{name}.{self.second + 1}", outputs)

    def values(self, prefix=""):
        """Every array its own number, every element its own fraction."""
        return {
            prefix + name: np.float32(i) + np.arange(np.prod(shape), dtype=np.float32).reshape(shape) * 1e-6
            for i, (name, shape) in enumerate(self.shapes.items())
        }


def generator_file(norm="batch", dropout=True, blocks=2, prefix="") -> dict[str, np.ndarray]:
    names, code = Names(norm, dropout), 4 * WIDTH
    names.encoder("model.stream1_down", 3)
    names.encoder("model.stream2_down", 2 * KEYPOINTS)
    for i in range(blocks):
        names.pair(f"model.att.{i}.conv_block_stream1", code, code)
        names.pair(f"model.att.{i}.conv_block_stream2", 2 * code if i else code, code, last_norm=False)
    names.conv("model.stream1_up.0", code, 2 * WIDTH, transposed=True)
    names.norm("model.stream1_up.1", 2 * WIDTH)
    names.conv("model.stream1_up.3", 2 * WIDTH, WIDTH, transposed=True)
    names.norm("model.stream1_up.4", WIDTH)
    names.conv("model.stream1_up.7", WIDTH, 3, 7, bias=True)
    return names.values(prefix)


def discriminator_file(norm="batch", dropout=True, blocks=3) -> dict[str, np.ndarray]:
    names = Names(norm, dropout)
    names.encoder("model", 3 + KEYPOINTS)
    for i in range(blocks):
        names.pair(f"model.{10 + i}.conv_block", 4 * WIDTH, 4 * WIDTH)
    return names.values()


def flat(*trees) -> dict[str, np.ndarray]:
    return {tables.path_name(p): x for tree in trees for p, x in jax.tree_util.tree_leaves_with_path(tree)}


def create(**options) -> Net:
    """With a value that no file has."""
    sizes = dict(keypoints=KEYPOINTS, ngf=WIDTH, blocks=2, norm="batch") | options
    build = lambda: Net.create(lambda rngs: patn.Generator(**sizes, rngs=rngs), jax.random.key(0))
    return jax.tree.map(lambda x: jnp.full(x.shape, -1.0, x.dtype), jax.eval_shape(build))


def test_a_generator():
    weights = generator_file()
    sizes = {"keypoints": KEYPOINTS, "ngf": WIDTH, "blocks": 2, "norm": "batch", "image_channels": 3}
    assert convert.generator_sizes(weights) == sizes
    params, stats = convert.load_generator(weights)
    net = create()
    shapes = lambda tree: jax.tree.map(np.shape, tree)
    assert shapes(params) == shapes(net.params) and shapes(stats) == shapes(net.stats)
    ours = flat(params, stats)
    theirs = weights["model.att.1.conv_block_stream2.6.weight"]
    assert ours["blocks/block1/pose/conv/kernel"][0, 2, 9, 3] == theirs[3, 9, 0, 2]
    theirs = weights["model.stream1_up.3.weight"]  # Mirrored.
    assert ours["decoder/unit1/conv/kernel"][0, 2, 3, 1] == theirs[3, 1, 2, 0]
    for name, path in {
        "model.stream1_down.5.running_var": "image_encoder/unit1/norm/var",
        "model.stream2_down.8.bias": "pose_encoder/unit2/norm/bias",
        "model.att.0.conv_block_stream1.2.running_mean": "blocks/block0/image/unit/norm/mean",
        "model.att.1.conv_block_stream1.7.weight": "blocks/block1/image/norm/scale",
        "model.att.0.conv_block_stream2.2.weight": "blocks/block0/pose/unit/norm/scale",
        "model.stream1_up.1.bias": "decoder/unit0/norm/bias",
        "model.stream1_up.7.bias": "decoder/conv/bias",
    }.items():
        np.testing.assert_array_equal(ours[path], weights[name], err_msg=name)


@pytest.mark.parametrize("norm", ["batch", "instance", "old"])
def test_without_dropout_and_from_several_devices(norm):
    """The same arrays under other names; of old files, statistics that were never used are left out."""
    plain = convert.load_generator(generator_file(norm if norm == "batch" else "instance"))
    file = generator_file(norm, dropout=False, prefix="module.")
    assert convert.generator_sizes(file)["norm"] == ("batch" if norm == "batch" else "instance")
    ours, expected = flat(*convert.load_generator(file)), flat(*plain)
    assert ours.keys() == expected.keys()
    fraction = lambda x: x - x.reshape(-1)[0]  # The first digits count the names, of which there are more.
    for path in expected:
        np.testing.assert_allclose(fraction(ours[path]), fraction(expected[path]), atol=1e-5, err_msg=path)
    if norm != "old":
        jax.tree.map(np.testing.assert_array_equal, ours, expected)


@pytest.mark.parametrize("dropout", [True, False])
def test_a_discriminator(dropout):
    weights = discriminator_file(dropout=dropout)
    assert convert.discriminator_sizes(weights) == {
        "channels": 3 + KEYPOINTS,
        "ndf": WIDTH,
        "blocks": 3,
        "norm": "batch",
    }
    ours = flat(*convert.load_discriminator(weights))
    second = 6 if dropout else 5
    for name, path in {
        "model.2.weight": "encoder/unit0/norm/scale",
        "model.12.conv_block.2.running_mean": "blocks/block2/pair/unit/norm/mean",
        f"model.11.conv_block.{second + 1}.bias": "blocks/block1/pair/norm/bias",
    }.items():
        np.testing.assert_array_equal(ours[path], weights[name], err_msg=name)
    theirs = weights[f"model.10.conv_block.{second}.weight"]
    np.testing.assert_array_equal(ours["blocks/block0/pair/conv/kernel"], theirs.transpose(2, 3, 1, 0))


def test_other_files_are_refused():
    with pytest.raises(ValueError, match=r"no kernel model\.stream1_down\.1\.weight; there are model\.1\."):
        convert.load_generator(discriminator_file())
    with pytest.raises(ValueError, match=r"not the weights .* there is no kernel model\.1\.weight"):
        convert.load_discriminator(generator_file())
    weights = generator_file()
    del weights["model.att.0.conv_block_stream1.2.bias"]
    with pytest.raises(ValueError, match=r"1 problems.*nothing fills blocks/block0/image/unit/norm/bias"):
        convert.load_generator(weights)
    with pytest.raises(ValueError, match=r"unknown name model\.10\.weight"):
        convert.load_discriminator(discriminator_file() | {"model.10.weight": np.ones((2, 2, 3, 3))})


def test_starting_from_a_file_of_other_keypoints_and_channels():
    net, kept = convert.start_generator(create(), generator_file())
    assert not kept
    jax.tree.map(
        np.testing.assert_array_equal, (net.params, net.stats), convert.load_generator(generator_file())
    )
    options = dict(keypoints=5, image_channels=4, fusion="attention", copy=((0, 1), (1, 2)), blocks=3)
    net, kept = convert.start_generator(create(**options), generator_file())
    for path, value in (*flat({"params": net.params}).items(), *flat({"stats": net.stats}).items()):
        assert (np.max(value) < 0) == (path in kept), path
    layers = {"params/" + "/".join(path.split("/")[1:-1]) for path in kept if path.startswith("params")}
    assert {path for path in layers if "block2" not in path and "copy" not in path} == {
        "params/image_encoder/unit0/conv",
        "params/pose_encoder/unit0/conv",
        "params/decoder/conv",
        "params/score",
    }
    with pytest.raises(ValueError, match=r"of ngf = 2 and norm = 'batch': set the model to these"):
        convert.start_generator(create(ngf=4), generator_file())
    with pytest.raises(ValueError, match=r"of ngf = 2 and norm = 'batch'"):
        convert.start_generator(create(norm="instance"), generator_file())
