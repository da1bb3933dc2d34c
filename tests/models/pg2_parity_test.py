"""Equality with the official TensorFlow code of PG2.

Every `pg2_tf_*.npz` in the folder `ANIME_PT_GOLDENS` is tested; all sizes come from the file.
"""

import functools
import os
import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from anime_pt.convert import npz, tables
from anime_pt.convert import pg2 as convert
from anime_pt.models import conv, pg2
from anime_pt.recipes import pg2 as recipe

FOLDER = pathlib.Path(
    os.environ.get("ANIME_PT_GOLDENS", pathlib.Path(__file__).parents[2] / ".." / "shared" / "goldens")
)
FILES = sorted(FOLDER.glob("pg2_tf_*.npz"))
if not FILES:
    FILES = [pytest.param(None, marks=pytest.mark.skip(f"no pg2_tf_* in {FOLDER}"))]
# The paper's letters, and how the files shorten them.
NETWORKS = {"G1": "coarse", "G2": "refiner", "D": "discriminator"}
# Of gradient norms: the files' own error in float32, which batch normalisation makes larger.
NORM_TOLERANCE = {"G1": 1e-4, "G2": 1e-3, "D": 1e-3}


class Golden:
    """A file with the three networks rebuilt from it; arrays in `dtype`."""

    def __init__(self, path: pathlib.Path, dtype=np.float32):
        self.meta, self.dtype = npz.read_meta(path), dtype
        self.arrays = npz.read(path)
        self.size = tuple(self.meta["hw"])
        market = self.meta["variant"] != "256"
        self.form = "triplet" if market else "pooled"
        k = self.arrays["input/pose_target"].shape[-1]
        hidden, latent = self.meta["hidden"], self.meta["z"]
        self.builders = {
            "coarse": lambda rngs: pg2.Coarse(self.size, k, features=hidden, latent=latent, rngs=rngs),
            "refiner": lambda rngs: pg2.Refiner(
                self.size[0], features=hidden, full_skip=not market, rngs=rngs
            ),
            "discriminator": lambda rngs: pg2.Discriminator(
                self.size, features=self.meta["d_dim"], rngs=rngs
            ),
        }
        params = convert.load(npz.read(path, "var/"), self.size, **self.builders)
        self.params = jax.tree.map(lambda x: jnp.asarray(x, dtype), params)
        self._structures = {
            name: nnx.split(nnx.eval_shape(lambda build=build: build(nnx.Rngs(0))))[0]
            for name, build in self.builders.items()
        }

    def __getitem__(self, name: str):
        return jnp.asarray(self.arrays[name].astype(self.dtype))

    def call(self, network: str, params, *args):
        return nnx.merge(self._structures[network], params)(*args)

    def judge(self, params, coarse, refined):
        critic = functools.partial(self.call, "discriminator", params)
        return recipe.judge(critic, self.form, self["input/x_target"], self["input/x"], coarse, refined)


def assert_close(actual, expected, tolerance: float):
    """Largest difference, relative to the largest value."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= tolerance * np.abs(expected).max()


class Results(NamedTuple):
    """What the networks of a file give for its inputs, and one step of training."""

    forward: dict
    terms: dict
    norms: dict


@pytest.fixture(scope="module", params=FILES, ids=lambda p: p.stem)
def case(request) -> tuple[Golden, Results]:
    file = Golden(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(conv.SWITCH, "xla")  # Quicker to compile.
        forward, terms, norms = jax.device_get(jax.jit(functools.partial(generators, file))(file.params))
        with jax.enable_x64(True):
            # In float32 its gradients are as far from themselves as from the file's.
            double = Golden(request.param, np.float64)
            loss, norms["D"] = jax.device_get(
                jax.jit(functools.partial(discriminator, double))(double.params["discriminator"])
            )
    return file, Results(forward, terms | {"d_loss": loss}, norms)


def generators(file: Golden, params) -> tuple[dict, dict, dict]:
    """Forward results, terms of the losses, and norms of the gradients of both generators."""
    target, mask = file["input/x_target"], file["input/mask_target"]
    weight = {"triplet": 10.0, "pooled": 50.0}[file.form]

    def coarse_loss(params):
        coarse = file.call("coarse", params, file["input/x"], file["input/pose_target"])
        plain, masked = recipe.masked_l1(coarse, target, mask)
        return plain + masked, (coarse, {"l1": plain, "mask1": masked, "g_loss1": plain + masked})

    def refiner_loss(params, coarse, of_discriminator):
        difference = file.call("refiner", params, coarse, file["input/x"])
        plain, masked = recipe.masked_l1(coarse + difference, target, mask)
        logits = file.judge(of_discriminator, coarse, coarse + difference)
        adversarial = recipe.generator_loss(file.form, logits)
        loss = adversarial + weight * (plain + masked)
        terms = {"l2": plain, "mask2": masked, "gan_g": adversarial, "g_loss2": loss}
        return loss, ({"diff": difference, "Dz": logits}, terms)

    of = functools.partial(jax.value_and_grad, has_aux=True)
    (_, (coarse, terms)), coarse_gradients = of(coarse_loss)(params["coarse"])
    (_, (forward, more)), gradients = of(refiner_loss)(params["refiner"], coarse, params["discriminator"])
    norms = jax.tree.map(jnp.linalg.norm, {"G1": coarse_gradients, "G2": gradients})
    return forward | {"G1": coarse}, terms | more, norms


def discriminator(file: Golden, params) -> tuple[jax.Array, dict]:
    """The discriminator's loss, of the file's pictures, and norms of its gradients."""
    refined = file["fwd/G1"] + file["fwd/diff"]
    loss = lambda params: recipe.discriminator_loss(file.judge(params, file["fwd/G1"], refined))
    value, gradients = jax.value_and_grad(loss)(params)
    return value, jax.tree.map(jnp.linalg.norm, gradients)


def test_forward_passes(case):
    file, results = case
    assert_close(results.forward["G1"], file["fwd/G1"], 1e-5)
    assert_close(results.forward["diff"], file["fwd/diff"], 1e-5)
    # In the order of the file's batch.
    last = ("source", "coarse", "refined") if file.form == "triplet" else ("refined", "source")
    logits = [results.forward["Dz"][name] for name in ("target", *last)]
    assert_close(np.concatenate(logits), file["fwd/Dz"], 1e-5)


def test_losses(case):
    file, results = case
    assert len(results.terms) == 8
    for name, value in results.terms.items():
        np.testing.assert_allclose(value, file.arrays[f"train/{name}"], rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("letter", NETWORKS)
def test_gradients(case, letter):
    file, results = case
    network, norms = NETWORKS[letter], jax.tree_util.tree_leaves_with_path(results.norms[letter])
    ours = {tables.path_name(path): float(norm) for path, norm in norms}
    names = file.arrays[f"train/{letter}/grad_names"].tolist()
    assert len(names) == len(ours)
    rules = convert.tables(file.size)[network]
    for name, value in zip(names, file.arrays[f"train/{letter}/grad_norms"], strict=True):
        target = tables.target_name(rules, name.removeprefix(convert.PREFIXES[network]))
        # A bias before batch normalisation has no gradient but noise.
        noise = 1e-6 * max(ours.values())
        tolerance = NORM_TOLERANCE[letter]
        np.testing.assert_allclose(ours[target], value, rtol=tolerance, atol=noise, err_msg=name)
