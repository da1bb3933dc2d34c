"""Equality with GCCPM's public PyTorch code: every `gccpm_*.npz` in the folder `ANIME_PT_GOLDENS`.

Files with a network (`sd/...`) and files with what stands beside it (`infer/...`, `heatmap/...`) are told
apart by what they hold; all sizes come from the file. PCKh is tested in `tests/metrics`.
"""

import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from anime_pt import losses
from anime_pt.convert import gccpm as convert
from anime_pt.convert import npz, tables
from anime_pt.models import conv, gccpm
from anime_pt.pose import decoding, heatmaps, multiscale
from anime_pt.recipes import gccpm as recipe
from anime_pt.state import Net, Player

FOLDER = pathlib.Path(
    os.environ.get("ANIME_PT_GOLDENS", pathlib.Path(__file__).parents[2] / ".." / "shared" / "goldens")
)


def names(path: pathlib.Path) -> list[str]:
    with np.load(path) as file:
        return file.files


def having(prefix: str) -> list:
    """Files with arrays under a prefix."""
    found = [p for p in sorted(FOLDER.glob("gccpm_*.npz")) if any(n.startswith(prefix) for n in names(p))]
    return found or [pytest.param(None, marks=pytest.mark.skip(f"no gccpm_* with {prefix} in {FOLDER}"))]


pytestmark = pytest.mark.usefixtures("plain_convolutions")
each_network = pytest.mark.parametrize("path", having("sd/"), ids=lambda p: p.stem)


class Golden:
    """A file with its network rebuilt; arrays in `dtype`, maps and images channels last."""

    def __init__(self, path: pathlib.Path, dtype):
        self.meta = npz.read_meta(path)
        self.arrays = npz.read(path)
        self.dtype = dtype
        weights = npz.read(path, "sd/")
        self.sizes = convert.sizes(weights)
        cast = lambda tree: jax.tree.map(lambda x: jnp.asarray(x, dtype), tree)
        params, stats = map(cast, convert.load(weights))
        build = lambda: Net.create(lambda rngs: gccpm.GCCPM(**self.sizes, rngs=rngs), jax.random.key(0))
        self.net = Net(params, stats, jax.eval_shape(build).structure)

    def __getitem__(self, name: str):
        x = self.arrays[name].astype(self.dtype)
        axes = {4: (0, 2, 3, 1), 3: (1, 2, 0)}
        return jnp.asarray(x.transpose(axes[x.ndim]) if x.ndim in axes else x)

    def stages(self, prefix: str) -> list:
        return [self[f"{prefix}/stage{i}"] for i in range(self.sizes["refinement_stages"] + 1)]

    def loss(self, params):
        """The code's loss of the recorded batch: total, then per stage and the network after it."""
        maps, net = self.net.with_params(params)(self["input"], train=True)
        stages = [losses.heatmap_sum_of_squares(m, self["train/target"]) for m in maps]
        return sum(stages), (jnp.stack(stages), maps, net)


def assert_close(actual, expected, tolerance: float, name: str = ""):
    """Largest difference, relative to the largest value."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, name
    assert np.abs(actual - expected).max() <= tolerance * np.abs(expected).max(), name


def keypoints_of(triplets: np.ndarray) -> np.ndarray:
    """The code's x, y, occluded with -1 for missing, pixels from their corners -> ours."""
    x, y, _ = np.moveaxis(triplets.reshape(*triplets.shape[:-1], -1, 3), -1, 0)
    missing = x == -1
    position = np.where(missing[..., None], np.nan, np.stack([x, y], -1) + 0.5)
    return np.concatenate([position, np.where(missing, 0, 1)[..., None]], -1).astype(triplets.dtype)


@each_network
def test_sizes(path):
    golden = Golden(path, np.float32)
    meta = golden.meta
    assert golden.sizes["maps"] == meta["num_heatmaps"]
    assert golden.sizes["refinement_stages"] == meta["num_refinement_stages"]
    assert golden.sizes["num_channels"] == meta["num_channels"]
    assert sum(x.size for x in jax.tree.leaves(golden.net.params)) == meta["params"]


@each_network
def test_forward_pass(path):
    golden = Golden(path, np.float32)
    maps, after = jax.jit(lambda net, x: net(x, train=False))(golden.net, golden["input"])
    for i, (ours, theirs) in enumerate(zip(maps, golden.stages("eval"), strict=True)):
        assert_close(ours, theirs, 1e-4, f"stage {i}")
    jax.tree.map(np.testing.assert_array_equal, after.stats, golden.net.stats)


@each_network
def test_inside_the_network(path):
    golden = Golden(path, np.float32)

    @jax.jit
    def inside(net, image, first_maps):
        module = nnx.merge(net.structure.graphdef, net.params, net.stats)
        seen = {"cpm": module.features(image), "backbone_b0_first8ch": module.backbone(image, False)[0]}
        if golden.sizes["refinement_stages"]:
            context = module.refinement["stage0"].context
            x = jnp.concatenate([seen["cpm"], first_maps], -1)
            half = seen["ref0_ctx_e1_ch0_8"] = context.encoder1(x, False)
            seen["ref0_ctx_e2_ch0_8"] = context.encoder2(half, False)
            seen["ref0_ctx_out_ch0_16"] = context(x, False)
        return seen

    seen = inside(golden.net, golden["input"], golden["eval/stage0"])
    assert len(seen) == (5 if golden.sizes["refinement_stages"] else 2)
    for name, ours in seen.items():
        theirs = golden[f"eval/{name}"]
        assert_close(ours[..., : theirs.shape[-1]], theirs, 1e-4, name)


@each_network
def test_targets(path):
    golden = Golden(path, np.float32)
    keypoints = keypoints_of(golden.arrays["train/keypoints"])
    maps = heatmaps.gaussian(jnp.asarray(keypoints), golden["input"].shape[1:3])
    np.testing.assert_allclose(heatmaps.with_background(maps), golden["train/target"], atol=1e-5)


@each_network
def test_losses_gradients_and_statistics(path, monkeypatch):
    monkeypatch.setenv(conv.SWITCH, "rewritten")  # Runs in a third of the time.
    with jax.enable_x64(True):
        golden = Golden(path, np.float64)
        (total, (stages, maps, after)), gradients = jax.jit(jax.value_and_grad(golden.loss, has_aux=True))(
            golden.net.params
        )
        assert total.dtype == jnp.float64
        for ours, theirs in zip(maps, golden.stages("train"), strict=True):
            # Recorded in float32, whose error grows from stage to stage when batches normalise.
            assert_close(ours, theirs, 1e-3)
        np.testing.assert_allclose(stages, golden.arrays["train64/losses"], rtol=1e-6)
        np.testing.assert_allclose(total, golden.arrays["train64/losses"].sum(), rtol=1e-6)

        ours = flat(gradients)
        null = golden.arrays["train64/null_grad"]
        names, norms = golden.arrays["train/grad_names"], golden.arrays["train64/grad_norms"]
        assert len(ours) == len(names)
        for name, norm, is_null in zip(names, norms, null, strict=True):
            actual = np.linalg.norm(ours[tables.target_name(convert.RULES, name)])
            if is_null:  # A bias before a normalisation: zero but for rounding.
                assert actual < 1e-9 * golden.arrays["train64/grad_total_norm"], name
            else:
                np.testing.assert_allclose(actual, norm, rtol=1e-6, err_msg=name)

        for name, theirs in npz.read(path, "train/after_step/").items():
            if "running" in name:
                statistic = flat(after.stats)[tables.target_name(convert.RULES, name)]
                assert_close(statistic, theirs, 1e-5, name)


@each_network
def test_groups_and_a_step(path):
    golden = Golden(path, np.float32)
    names = list(golden.arrays["train/grad_names"])
    paths = [tables.target_name(convert.RULES, name) for name in names]
    groups = {
        tables.path_name(p): g
        for p, g in jax.tree_util.tree_leaves_with_path(
            recipe.groups(golden.net.params), is_leaf=lambda g: isinstance(g, recipe.Group)
        )
    }
    frozen = {name for name, path in zip(names, paths, strict=True) if groups[path].rate == 0}
    assert frozen == set(golden.meta["frozen"])
    np.testing.assert_array_equal([groups[p].rate > 0 for p in paths], golden.arrays["train/in_optimizer"])
    np.testing.assert_allclose([4e-5 * groups[p].rate for p in paths], golden.arrays["train/lr_per_param"])
    np.testing.assert_array_equal(
        [5e-4 * groups[p].decays for p in paths], golden.arrays["train/wd_per_param"]
    )

    # One step from the gradients that the file holds; all others are not looked at.
    recorded = {
        tables.target_name(convert.RULES, name): value
        for name, value in npz.read(path, "train/grad/").items()
    }
    rules = {tables.target_name(convert.RULES, name): name for name in names}

    def gradient(path, value):
        name = tables.path_name(path)
        if name not in recorded:
            return jnp.ones_like(value)
        return jnp.asarray(tables.find(convert.RULES, rules[name]).transform(recorded[name]))

    gradients = jax.tree_util.tree_map_with_path(gradient, golden.net.params)
    tx = recipe.optimizer(4e-5, 5e-4)
    after = flat(Player.create(golden.net, tx).update(gradients, tx).net.params)
    before = flat(golden.net.params)
    moved = dict(zip(paths, golden.arrays["train/param_delta_norm_after_step"], strict=True))
    for name, theirs in npz.read(path, "train/after_step/").items():
        if "running" in name:
            continue
        target = tables.target_name(convert.RULES, name)
        expected = tables.find(convert.RULES, name).transform(theirs)
        np.testing.assert_allclose(after[target], expected, rtol=2e-7, atol=1e-9, err_msg=name)
        step = np.linalg.norm(after[target] - before[target])
        np.testing.assert_allclose(step, moved[target], rtol=1e-4, atol=1e-12, err_msg=name)


def flat(tree) -> dict[str, np.ndarray]:
    return {tables.path_name(p): np.asarray(x) for p, x in jax.tree_util.tree_leaves_with_path(tree)}


@pytest.mark.parametrize("path", having("heatmap/"), ids=lambda p: p.stem)
def test_heatmaps_of_edge_cases(path):
    file = npz.read(path, "heatmap/")
    keypoints = jnp.asarray(keypoints_of(file["keypoints"]))
    expected = file["maps_256"].transpose(1, 2, 0)
    maps = heatmaps.with_background(heatmaps.gaussian(keypoints, (256, 256)))
    np.testing.assert_allclose(maps, expected, atol=1e-6)
    expected = file["maps_sigma3_stride4_128x96"].transpose(1, 2, 0)
    maps = heatmaps.with_background(heatmaps.gaussian(keypoints, (128, 96), stride=4, sigma=3.0))
    np.testing.assert_allclose(maps, expected, atol=1e-6)


@pytest.mark.parametrize("path", having("infer/"), ids=lambda p: p.stem)
@pytest.mark.parametrize(("kind", "scales"), [("single", (1.0,)), ("multi", (0.75, 1.0, 1.25))])
def test_inference(path, kind, scales):
    file = npz.read(path, "infer/")
    weights = np.linspace(-1, 1, 51).reshape(17, 3).astype(np.float32)  # The stand-in of the file's meta.

    def network(square):
        x = np.asarray(gccpm.normalise(square.astype(np.float32)))
        _, height, width, _ = x.shape
        return x.reshape(1, height // 8, 8, width // 8, 8, 3).mean((2, 4)) @ weights.T

    pictures = sorted({name.split("/")[0] for name in file})
    assert pictures
    for picture in pictures:
        maps = multiscale.predict(network, file[f"{picture}/img"], scales=scales)
        expected = file[f"{picture}/{kind}/heatmaps_ch0_4_12"]
        assert_close(maps[..., [0, 4, 12]], expected, 1e-4, picture)
        peaks = (
            maps[..., :-1] - maps.min() + 1
        )  # The stand-in's maps may be negative; peaks stay where they are.
        keypoints = np.asarray(decoding.decode(jnp.asarray(peaks), subpixel=False))
        np.testing.assert_array_equal(
            keypoints[:, :2] - 0.5, file[f"{picture}/{kind}/keypoints_xy"], err_msg=picture
        )
