"""Equality with PATN's public PyTorch code: every `patn_*.npz` in the folder `ANIME_PT_GOLDENS`.

All sizes, and the form (normalisation, loss, weights of the losses), come from the file.
"""

import dataclasses
import functools
import os
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from anime_pt import losses
from anime_pt.convert import npz, tables
from anime_pt.convert import patn as convert
from anime_pt.models import conv, patn
from anime_pt.state import Net

FOLDER = pathlib.Path(
    os.environ.get("ANIME_PT_GOLDENS", pathlib.Path(__file__).parents[2] / ".." / "shared" / "goldens")
)
FILES = sorted(FOLDER.glob("patn_*.npz")) or [
    pytest.param(None, marks=pytest.mark.skip(f"no patn_*.npz in {FOLDER}"))
]
DISCRIMINATORS = {"netD_PB": "BP2", "netD_PP": "P1"}


@pytest.fixture(scope="module", params=FILES, ids=lambda p: p.stem)
def path(request) -> pathlib.Path:
    return request.param


class Golden:
    """A file with networks rebuilt, without dropout; arrays in `dtype`, maps and images channels last."""

    def __init__(self, path: pathlib.Path, dtype, names=("netG", *DISCRIMINATORS)):
        self.meta = npz.read_meta(path)
        self.arrays = npz.read(path)
        self.dtype = dtype
        flags = self.meta["flags"]
        number = lambda name: float(re.search(rf"--{name} (\S+)", flags)[1])
        self.weight = {name: number(f"lambda_{name}") for name in ("GAN", "A", "B")}
        is_cross_entropy = "--no_lsgan" in flags
        self.adversarial = losses.binary_cross_entropy if is_cross_entropy else losses.least_squares
        self.as_recorded = jax.nn.sigmoid if is_cross_entropy else lambda x: x
        self.generator = self._net(patn.Generator, convert.load_generator, convert.generator_sizes, "netG")
        self.discriminators = {
            name: self._net(patn.Discriminator, convert.load_discriminator, convert.discriminator_sizes, name)
            for name in DISCRIMINATORS
        }
        self.rules = {"netG": convert.generator_rules()} | dict.fromkeys(
            DISCRIMINATORS, convert.discriminator_rules()
        )

    @property
    def room(self) -> int:
        """For what was recorded in float32: batch normalisation may divide by small deviations."""
        return 10 if jax.tree.leaves(self.generator.stats) else 1

    def _net(self, module, load, sizes, name) -> Net:
        weights = {
            n.removeprefix(f"sd/{name}/"): x for n, x in self.arrays.items() if n.startswith(f"sd/{name}/")
        }
        params, stats = jax.tree.map(lambda x: jnp.asarray(x, self.dtype), load(weights))
        build = lambda: Net.create(
            lambda rngs: module(**sizes(weights), dropout=0.0, rngs=rngs), jax.random.key(0)
        )
        return Net(params, stats, jax.eval_shape(build).structure)

    def __getitem__(self, name: str):
        x = self.arrays[name].astype(self.dtype)
        return jnp.asarray(x.transpose(0, 2, 3, 1) if x.ndim == 4 else x)

    @property
    def inputs(self) -> tuple:
        return self["input/P1"], self["input/BP1"], self["input/BP2"]

    @property
    def data(self) -> dict[str, jax.Array]:
        """What losses take. (An argument: XLA spends minutes on folding what follows from constants.)"""
        data = {name: self[f"input/{name}"] for name in ("P1", "P2", "BP1", "BP2")}
        for layer in ("0", "2"):
            data[f"kernel{layer}"] = jnp.asarray(
                self.arrays[f"sd/vgg/{layer}.weight"].transpose(2, 3, 1, 0), self.dtype
            )
            data[f"bias{layer}"] = self[f"sd/vgg/{layer}.bias"]
        return data

    def generator_loss(self, params, nets, data):
        """Total, and what the code calls its parts; then the networks after it."""
        fake, net = nets["netG"].with_params(params)(data["P1"], data["BP1"], data["BP2"], train=True)
        terms, after = {}, {"netG": net}
        for name, condition in DISCRIMINATORS.items():
            logits, after[name] = nets[name](fake, data[condition], train=True)
            terms[f"loss_G_GAN_{name[-2:]}"] = self.adversarial(logits, True)
        terms["pair_GANloss"] = self.weight["GAN"] * sum(terms.values()) / 2
        terms["loss_originL1"] = self.weight["A"] * losses.l1(fake, data["P2"])
        perceptual = losses.perceptual(functools.partial(features, data), fake, data["P2"])
        terms["loss_perceptual"] = self.weight["B"] * perceptual
        terms["pair_L1loss"] = terms["loss_originL1"] + terms["loss_perceptual"]
        return terms["pair_GANloss"] + terms["pair_L1loss"], (terms, fake, after)

    def discriminator_loss(self, params, name, net, fake, data):
        condition = data[DISCRIMINATORS[name]]
        real, net = net.with_params(params)(data["P2"], condition, train=True)
        fake, net = net(fake, condition, train=True)
        total = self.adversarial(real, True) + self.adversarial(fake, False)
        return self.weight["GAN"] * 0.5 * total, net


def features(data, images):
    """The recorded stand-in for VGG-19, up to relu1_2."""
    mean, deviation = (
        np.array(v).astype(images.dtype) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    x = ((images + 1) / 2 - mean) / deviation
    for layer in ("0", "2"):
        x = jax.nn.relu(conv.convolve(x, data[f"kernel{layer}"]) + data[f"bias{layer}"])
    return x


def assert_close(actual, expected, tolerance: float, name: str = ""):
    """Largest difference, relative to the largest value."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, name
    assert np.abs(actual - expected).max() <= tolerance * np.abs(expected).max(), name


def flat(tree) -> dict[str, np.ndarray]:
    return {tables.path_name(p): np.asarray(x) for p, x in jax.tree_util.tree_leaves_with_path(tree)}


@pytest.fixture(scope="module")
def golden(path) -> Golden:
    return Golden(path, np.float32)


def test_sizes(golden):
    nets = {"netG": golden.generator} | golden.discriminators
    for name, count in golden.meta["params"].items():
        assert sum(x.size for x in jax.tree.leaves(nets[name].params)) == count
    assert len(golden.generator.params["blocks"]) == golden.meta["n_blocks"]


def test_the_generator_and_what_is_in_it(golden):
    @jax.jit
    def inside(net, image, source_pose, target_pose):
        module = nnx.merge(net.structure.graphdef, net.params, net.stats)
        image = module.image_encoder(image, train=False)
        pose = module.pose_encoder(jnp.concatenate([source_pose, target_pose], -1), train=False)
        seen = {"stream1_down": image, "stream2_down": pose}
        for i in range(len(module.blocks)):
            block, name = module.blocks[f"block{i}"], f"block{i}/"
            seen[name + "stream1_conv"] = block.image(image, False, None)
            seen[name + "stream2_presigmoid"] = block.pose(pose, False, None)
            before = image
            image, pose = block(image, pose, False, (None, None))
            seen[name + "attended"] = image - before
            seen[name + "x1_out"] = image
            mask = jax.nn.sigmoid(seen[name + "stream2_presigmoid"])
            seen[name + "mask_mean"] = mask.mean((1, 2, 3))
        seen["out"] = module.decoder.paint(module.decoder.features(image, False))
        return seen, nnx.to_pure_dict(nnx.split(module, nnx.Param, ...)[2])

    seen, stats = inside(golden.generator, *golden.inputs)
    recorded = [n.removeprefix("eval/") for n in golden.arrays if n.startswith("eval/")]
    recorded = [n for n in recorded if not re.match("D_|vgg", n)]
    assert {"out", "stream1_down", "block0/stream1_conv"} <= set(recorded) <= set(seen)
    for name in recorded:
        expected = golden[f"eval/{name}"]
        if name.endswith("mask_mean") and expected.ndim == 0:
            seen[name] = seen[name].mean()
        assert_close(seen[name], expected, 1e-4 * golden.room, name)
    jax.tree.map(np.testing.assert_array_equal, stats, golden.generator.stats)


def test_discriminators_and_features(golden):
    for name, condition in DISCRIMINATORS.items():
        call = jax.jit(lambda net, *x: net(*x, train=False))
        logits, _ = call(golden.discriminators[name], golden["input/P2"], golden[f"input/{condition}"])
        assert_close(golden.as_recorded(logits), golden[f"eval/{name[3:]}_real"], 1e-4, name)
    assert_close(features(golden.data, golden["input/P2"]), golden["eval/vgg_P2"], 1e-4)


def check_gradients(golden: Golden, name: str, gradients, tolerance: float = 1e-6) -> None:
    ours = flat(gradients)
    names = golden.arrays[f"train64/{name}/grad_names"]
    norms = golden.arrays[f"train64/{name}/grad_norms"]
    null = golden.arrays.get(f"train64/{name}/null_grad", np.zeros(len(names), bool))
    assert len(ours) == len(names)
    total = np.sqrt(np.nansum(norms**2))
    for torch_name, norm, is_null in zip(names, norms, null, strict=True):
        actual = np.linalg.norm(ours[tables.target_name(golden.rules[name], torch_name)])
        if is_null or norm < 1e-9 * total:  # A bias before a normalisation: zero but for rounding.
            assert actual < 1e-9 * total, torch_name
        elif np.isnan(norm):  # Not used by the loss.
            assert actual == 0, torch_name
        else:
            np.testing.assert_allclose(actual, norm, rtol=tolerance, err_msg=torch_name)
    for torch_name, theirs in golden.arrays.items():
        if torch_name.startswith(f"train/{name}/grad/"):
            torch_name = torch_name.removeprefix(f"train/{name}/grad/")
            rule = tables.find(golden.rules[name], torch_name)
            ours_here = ours[tables.target_name(golden.rules[name], torch_name)]
            # Recorded in float32.
            assert_close(ours_here, rule.transform(theirs), 1e-3 * golden.room, torch_name)


def test_a_discriminator_in_training(path):
    """From the recorded picture, which is rounded to float32."""
    name = "netD_PP"
    with jax.enable_x64(True):
        golden = Golden(path, np.float64, [name])
        step = jax.jit(jax.value_and_grad(golden.discriminator_loss, has_aux=True), static_argnums=1)
        net = golden.discriminators[name]
        (loss, _), gradients = step(net.params, name, net, golden["train/fake"], golden.data)
        np.testing.assert_allclose(loss, golden.arrays[f"train64/loss_{name}"], rtol=1e-5)
        check_gradients(golden, name, gradients, 1e-4 * golden.room)


@pytest.mark.slow
def test_a_step(path):
    """Losses, gradients and running statistics of all three players."""
    with jax.enable_x64(True):
        golden = Golden(path, np.float64)
        nets, data = {"netG": golden.generator} | golden.discriminators, golden.data
        step = jax.jit(jax.value_and_grad(golden.generator_loss, has_aux=True))
        (_, (terms, fake, after)), gradients = step(golden.generator.params, nets, data)
        assert fake.dtype == jnp.float64
        assert_close(fake, golden["train/fake"], 1e-4)
        check_gradients(golden, "netG", gradients)
        for name in DISCRIMINATORS:
            net = dataclasses.replace(nets[name], stats=after[name].stats)
            step = jax.jit(jax.value_and_grad(golden.discriminator_loss, has_aux=True), static_argnums=1)
            (terms[f"loss_{name}"], after[name]), gradients = step(net.params, name, net, fake, data)
            check_gradients(golden, name, gradients)
        for name, value in terms.items():
            np.testing.assert_allclose(value, golden.arrays[f"train64/{name}"], rtol=1e-6, err_msg=name)

        compared = 0
        for name, theirs in golden.arrays.items():
            found = re.fullmatch(r"train/(?:.*/)?(netG|netD_PB|netD_PP)/(?:.*/)?(model\..*running_.*)", name)
            if found:
                statistic = tables.target_name(golden.rules[found[1]], found[2])
                assert_close(flat(after[found[1]].stats)[statistic], theirs, 1e-5 * golden.room, name)
                compared += 1
        moving = any(jax.tree.leaves(net.stats) for net in after.values())
        assert bool(compared) == moving
