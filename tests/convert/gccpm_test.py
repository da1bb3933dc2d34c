"""Names and shapes of GCCPM's and MobileNet's public files, made up in their layouts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anime_pt.convert import gccpm as convert
from anime_pt.convert import tables
from anime_pt.models import gccpm
from anime_pt.state import Net

CHANNELS = 4


def create(maps: int, stages: int, channels: int = CHANNELS) -> Net:
    sizes = dict(maps=maps, num_channels=channels, refinement_stages=stages, cpm_channels=channels)
    build = lambda: Net.create(lambda rngs: gccpm.GCCPM(**sizes, rngs=rngs), jax.random.key(0))
    # Values that no file has.
    return jax.tree.map(lambda x: jnp.full(x.shape, -1.0, x.dtype), jax.eval_shape(build))


class Names:
    """Collects torch's names and shapes."""

    def __init__(self):
        self.shapes = {}

    def conv(self, name, inputs, outputs, size=3, bias=True):
        self.shapes[f"{name}.weight"] = (outputs, inputs, size, size)
        if bias:
            self.shapes[f"{name}.bias"] = (outputs,)

    def norm(self, name, features):
        for part in ("weight", "bias", "running_mean", "running_var"):
            self.shapes[f"{name}.{part}"] = (features,)
        self.shapes[f"{name}.num_batches_tracked"] = ()

    def block(self, name, inputs, outputs, bias=True):
        self.conv(f"{name}.0", inputs, outputs, bias=bias)
        self.norm(f"{name}.1", outputs)

    def backbone(self, name, blocks):
        widths = [32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
        self.block(f"{name}.0", 3, 32, bias=False)
        for i in range(1, blocks):
            inputs, outputs = widths[i - 1 : i + 1]
            self.conv(f"{name}.{i}.0", 1, inputs, bias=False)
            self.norm(f"{name}.{i}.1", inputs)
            self.conv(f"{name}.{i}.3", inputs, outputs, 1, bias=False)
            self.norm(f"{name}.{i}.4", outputs)

    def values(self, prefix=""):
        """Every array its own number, every element its own fraction."""
        return {
            prefix + name: np.float32(i) + np.arange(np.prod(shape), dtype=np.float32).reshape(shape) * 1e-6
            for i, (name, shape) in enumerate(self.shapes.items())
        }


def public(maps: int, stages: int, c: int = CHANNELS) -> dict[str, np.ndarray]:
    names = Names()
    names.backbone("model", 12)
    names.block("cpm.0", 512, c)
    names.block("cpm.1", c, c)
    for i in range(3):
        names.block(f"initial_stage.trunk.{i}", c, c)
    names.conv("initial_stage.heatmaps.0.0", c, 512, 1)
    names.conv("initial_stage.heatmaps.1.0", 512, maps, 1)
    for r in range(stages):
        stage, n = f"refinement_stages.{r}", c + maps
        for part, inputs in (("encoder1", n), ("encoder2", 2 * n), ("decoder2", 4 * n), ("decoder1", 3 * n)):
            names.block(f"{stage}.trunk.0.{part}.0", inputs, 2 * n)
            names.block(f"{stage}.trunk.0.{part}.1", 2 * n, n if part == "decoder1" else 2 * n)
        for i, inputs in ((1, n), (2, c), (3, c)):
            names.conv(f"{stage}.trunk.{i}.initial.0", inputs, c, 1)
            for j in range(2):
                names.block(f"{stage}.trunk.{i}.trunk.{j}", c, c)
        names.conv(f"{stage}.heatmaps.0.0", c, c, 1)
        names.conv(f"{stage}.heatmaps.1.0", c, maps, 1)
    return names.values()


def mobilenet() -> dict[str, np.ndarray]:
    names = Names()
    names.backbone("model", 14)
    names.shapes |= {"fc.weight": (1000, 1024), "fc.bias": (1000,)}
    return names.values("module.")


def flat(*trees) -> dict[str, np.ndarray]:
    return {tables.path_name(p): x for tree in trees for p, x in jax.tree_util.tree_leaves_with_path(tree)}


def test_a_whole_file():
    weights = public(maps=3, stages=2)
    assert convert.sizes(weights) == {
        "maps": 3,
        "num_channels": CHANNELS,
        "refinement_stages": 2,
        "cpm_channels": CHANNELS,
    }
    params, stats = convert.load(weights)
    net = create(3, 2)
    shapes = lambda tree: jax.tree.map(np.shape, tree)
    assert shapes(params) == shapes(net.params) and shapes(stats) == shapes(net.stats)
    ours = flat(params, stats)
    theirs = weights["model.7.0.weight"]  # Depthwise: (c, 1, 3, 3).
    assert ours["backbone/block7/depthwise/kernel"][2, 1, 0, 5] == theirs[5, 0, 2, 1]
    theirs = weights["refinement_stages.1.trunk.0.decoder2.0.0.weight"]
    assert ours["refinement/stage1/context/decoder2/block0/conv/kernel"][0, 2, 9, 3] == theirs[3, 9, 0, 2]
    for name, path in {
        "model.0.1.running_var": "backbone/block0/norm/var",
        "model.3.4.weight": "backbone/block3/pointwise_norm/scale",
        "cpm.1.1.bias": "cpm/block1/norm/bias",
        "initial_stage.heatmaps.0.0.bias": "initial_head/hidden/bias",
        "refinement_stages.0.trunk.3.trunk.1.1.bias": "refinement/stage0/residual3/trunk/block1/norm/bias",
        "refinement_stages.1.heatmaps.1.0.bias": "refinement/stage1/head/maps/bias",
    }.items():
        np.testing.assert_array_equal(ours[path], weights[name], err_msg=name)


def test_the_prefix_of_data_parallel_is_taken_off():
    plain = convert.load(public(3, 1))
    parallel = convert.load({f"module.{name}": value for name, value in public(3, 1).items()})
    jax.tree.map(np.testing.assert_array_equal, parallel, plain)


def test_other_files_are_refused():
    with pytest.raises(
        ValueError, match=r"not the weights of GCCPM: there is no 'cpm\.1\.0\.weight'; there are fc"
    ):
        convert.sizes({name.removeprefix("module."): x for name, x in mobilenet().items()})
    weights = public(3, 1)
    del weights["refinement_stages.0.trunk.1.initial.0.bias"]
    with pytest.raises(
        ValueError, match=r"1 problems.*nothing fills refinement/stage0/residual1/initial/conv"
    ):
        convert.load(weights)


def test_the_backbone_from_mobilenet():
    before = create(3, 1)
    weights = mobilenet()
    net = convert.load_backbone(before, weights)
    for path, value in flat(net.params, net.stats).items():
        assert (np.min(value) >= 0) == path.startswith("backbone/"), path
    stem = net.params["backbone"]["block0"]["conv"]["kernel"]
    np.testing.assert_array_equal(stem, weights["module.model.0.0.weight"].transpose(2, 3, 1, 0))
    # A file saved on one device, and one of another network.
    bare = {name.removeprefix("module."): x for name, x in weights.items()}
    again = convert.load_backbone(before, bare)
    jax.tree.map(np.testing.assert_array_equal, again.params, net.params)
    with pytest.raises(ValueError, match=r"unknown name layer1\.0\.weight"):
        convert.load_backbone(before, {"layer1.0.weight": np.ones(1)})


def test_a_file_for_other_keypoints_keeps_what_depends_on_them():
    before = create(maps=5, stages=1)
    net, kept = convert.load_pretrained(before, public(maps=3, stages=1))
    assert "initial_head/maps/kernel" in kept and "refinement/stage0/head/maps/bias" in kept
    assert "refinement/stage0/context/encoder2/block0/norm/var" in kept
    assert "refinement/stage0/residual1/initial/conv/kernel" in kept
    assert "refinement/stage0/residual1/trunk/block0/conv/kernel" not in kept
    for path, value in flat(net.params, net.stats).items():
        assert (np.max(value) < 0) == (path in kept), path


def test_a_file_with_the_same_keypoints_fills_everything():
    net, kept = convert.load_pretrained(create(3, 2), public(3, 2))
    assert not kept
    params, stats = convert.load(public(3, 2))
    jax.tree.map(np.testing.assert_array_equal, (net.params, net.stats), (params, stats))


def test_files_with_more_or_fewer_stages():
    net, kept = convert.load_pretrained(create(3, 1), public(3, 2))
    assert not kept
    np.testing.assert_array_equal(
        net.params["refinement"]["stage0"]["head"]["maps"]["bias"],
        public(3, 2)["refinement_stages.0.heatmaps.1.0.bias"],
    )
    _, kept = convert.load_pretrained(create(3, 2), public(3, 1))
    assert {path.split("/")[1] for path in kept} == {"stage1"}


def test_a_file_of_other_widths_is_refused():
    with pytest.raises(ValueError, match=r"cpm/block0/conv/kernel has shape \(3, 3, 512, 6\)"):
        convert.load_pretrained(create(3, 1, channels=6), public(3, 1))
