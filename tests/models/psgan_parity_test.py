"""Equality with the official ProGAN code, and with the written-out reference of PSGAN.

Every `progan_tf_*.npz` and `psgan_ref_*.npz` in the folder `ANIME_PT_GOLDENS` is tested; all sizes come from
the file.
"""

import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from anime_pt import losses
from anime_pt.convert import npz, tables
from anime_pt.convert import psgan as convert
from anime_pt.models import psgan
from anime_pt.pose import maps

FOLDER = pathlib.Path(
    os.environ.get("ANIME_PT_GOLDENS", pathlib.Path(__file__).parents[2] / ".." / "shared" / "goldens")
)
FILES = [p for pattern in ("progan_tf_*.npz", "psgan_ref_*.npz") for p in sorted(FOLDER.glob(pattern))]
if not FILES:
    FILES = [pytest.param(None, marks=pytest.mark.skip(f"no progan_tf_* or psgan_ref_* in {FOLDER}"))]


def structure(build) -> nnx.GraphDef:
    """The module's structure, without computing initial values."""
    return nnx.split(nnx.eval_shape(lambda: build(nnx.Rngs(0))))[0]


class Golden:
    """A file with both networks rebuilt from it; arrays in `dtype`, channels last."""

    def __init__(self, path: pathlib.Path, dtype):
        self.meta = npz.read_meta(path)
        self.arrays = npz.read(path)
        self.dtype = dtype
        self.resolution = self.meta["res"]
        sizes = {k: self.meta[k] for k in ("fmap_base", "fmap_max")} | {
            "pose_channels": self.meta.get("M", 0)
        }
        self.generator_params = convert.load_generator(
            npz.read(path, "var/G/"),
            resolution=self.resolution,
            latent_size=self.arrays["input/z"].shape[1],
            **sizes,
        )
        self.discriminator_params = convert.load_discriminator(
            npz.read(path, "var/D/"), resolution=self.resolution, **sizes
        )
        group = self.meta.get("mbstd_group_size")
        self._generator = structure(
            lambda rngs: psgan.Generator(
                self.resolution, latent_size=self.arrays["input/z"].shape[1], **sizes, rngs=rngs
            )
        )
        self._discriminator = structure(
            lambda rngs: psgan.Discriminator(self.resolution, stddev_group_size=group, **sizes, rngs=rngs)
        )

    def __getitem__(self, name: str):
        x = self.arrays[name].astype(self.dtype)
        return jnp.asarray(x.transpose(0, 2, 3, 1) if x.ndim == 4 else x)

    def params(self, which: str):
        tree = self.generator_params if which == "G" else self.discriminator_params
        return jax.tree.map(lambda x: jnp.asarray(x, self.dtype), tree)

    def pose(self) -> psgan.PosePyramid:
        return maps.pose_pyramid(self["input/pose"]) if "input/pose" in self.arrays else {}

    def level(self, lod: float) -> tuple[int, float]:
        """The resolution and alpha of an official level of detail, at which 0 is the last resolution."""
        whole = int(np.floor(lod))
        return self.resolution >> whole, 1 - (lod - whole)

    def generate(self, params, latents, lod: float):
        """Like the official generator, enlarged to the last resolution."""
        resolution, alpha = self.level(lod)
        pose = {r: p for r, p in self.pose().items() if r <= resolution}
        image = nnx.merge(self._generator, params)(latents, pose, resolution, alpha)
        return psgan.layers.upsample(image, self.resolution // resolution)

    def discriminate(self, params, image, lod: float):
        """Like the official discriminator, which takes images at the last resolution."""
        resolution, alpha = self.level(lod)
        pose = {r: p for r, p in self.pose().items() if r <= resolution}
        image = psgan.layers.mean_pool(image, self.resolution // resolution)
        return nnx.merge(self._discriminator, params)(image, pose, resolution, alpha)


def forward_cases(golden: Golden) -> list[tuple[str, float]]:
    """Prefixes of forward results and their level of detail."""
    if "lods" in golden.meta:
        return [(f"fwd/lod{lod:.2f}", lod) for lod in golden.meta["lods"]]
    return [("fwd", golden.meta["lod"])]


def assert_close(actual, expected, tolerance: float):
    """Largest difference, relative to the largest value."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_forward_passes(path):
    golden = Golden(path, np.float32)
    for prefix, lod in forward_cases(golden):
        generate = jax.jit(lambda params, z, lod=lod: golden.generate(params, z, lod))
        discriminate = jax.jit(lambda params, image, lod=lod: golden.discriminate(params, image, lod))
        assert_close(generate(golden.params("G"), golden["input/z"]), golden[f"{prefix}/G"], 1e-4)
        logits = discriminate(golden.params("D"), golden["input/real"])
        assert_close(logits, golden[f"{prefix}/D_real"][:, 0], 1e-4)
        if f"{prefix}/D_fake" in golden.arrays:
            logits = discriminate(golden.params("D"), golden[f"{prefix}/G"])
            assert_close(logits, golden[f"{prefix}/D_fake"][:, 0], 1e-4)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_losses_and_gradients(path):
    with jax.enable_x64(True):
        golden = Golden(path, np.float64)
        lod = golden.meta.get("train_lod", golden.meta.get("lod"))
        # Files without float64 results hold float32 ones, whose own error is that of the gradient penalty
        # (up to 4e-3 in a gradient norm between the public codes' float32 and float64).
        double = "train64/lossD" in golden.arrays
        prefix, loss_tolerance, norm_tolerance = ("train64", 1e-6, 1e-6) if double else ("train", 1e-5, 5e-3)
        real, mix = golden["input/real"], golden["input/eps"].reshape(-1)
        fake = jax.jit(lambda params, z: golden.generate(params, z, lod))(
            golden.params("G"), golden["input/z"]
        )

        def discriminator_loss(params):
            critic = lambda image: golden.discriminate(params, image, lod)
            penalty = losses.gradient_penalty(critic, real, fake, mix)
            return losses.wasserstein_discriminator(critic(real), critic(fake)) + 10 * penalty

        def generator_loss(params):
            image = golden.generate(params, golden["input/zG"], lod)
            return losses.wasserstein_generator(golden.discriminate(golden.params("D"), image, lod))

        between = real + golden["input/eps"] * (fake - real)
        norms = jax.jit(
            lambda x: losses.gradient_norms(lambda x: golden.discriminate(golden.params("D"), x, lod), x)
        )(between)
        recorded = golden["train/gp_norms" if "train/gp_norms" in golden.arrays else "fwd/gp_norms"]
        assert_close(norms, recorded, 1e-4)  # Recorded in float32.

        for which, loss_fn in (("D", discriminator_loss), ("G", generator_loss)):
            loss, grads = jax.jit(jax.value_and_grad(loss_fn))(golden.params(which))
            assert loss.dtype == jnp.float64
            np.testing.assert_allclose(loss, golden.arrays[f"{prefix}/loss{which}"], rtol=loss_tolerance)
            ours = {
                tables.path_name(path): float(jnp.linalg.norm(leaf))
                for path, leaf in jax.tree_util.tree_leaves_with_path(grads)
            }
            names = golden.arrays[f"{prefix}/{which}/grad_names"]
            expected = golden.arrays[f"{prefix}/{which}/grad_norms"]
            assert len(names) == len(ours)
            rules = convert.rules(golden.resolution)[which]
            for name, value in zip(names, expected, strict=True):
                norm = ours[tables.target_name(rules, name.removeprefix(f"{which}/"))]
                # NaN: a parameter that the recorded step did not use.
                np.testing.assert_allclose(norm, np.nan_to_num(value), rtol=norm_tolerance, err_msg=name)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_pose_maps(path):
    golden = Golden(path, np.float32)
    if "input/keypoints_yx" not in golden.arrays:
        pytest.skip("ProGAN has no pose")
    cells = golden.arrays["input/keypoints_yx"]
    keypoints = jnp.asarray(np.stack([cells[..., 1], cells[..., 0], np.ones(cells.shape[:2])], -1))
    pyramid = maps.pose_pyramid(maps.pose_map(keypoints, golden.resolution))
    assert len(pyramid) == golden.resolution.bit_length() - 2
    for resolution, level in pyramid.items():
        np.testing.assert_array_equal(level, golden[f"fwd/pose_{resolution}"])
