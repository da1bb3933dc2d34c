import functools
import itertools
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from anime_pt import losses, recipe, sharding
from anime_pt.models import layers
from anime_pt.recipes import psgan
from configs import psgan as config_file

ROOT = pathlib.Path(__file__).parents[2]


def tiny_config(arg: str = "demo"):
    """Resolutions 4 and 8 of a network built up to 16; steps 0-1, then 2-6 with a fade over 2-4."""
    config = config_file.get_config(arg)
    config.model.update({"resolution": 16, "latent_size": 4, "fmap_base": 64, "fmap_max": 8})
    config.schedule.resolutions = (4, 8)
    config.schedule.batch_sizes = (4, 4)
    config.schedule.learning_rates = (1e-2, 1e-2)
    config.schedule.fade_images = (0, 12)
    config.schedule.stable_images = (8, 8)
    config.sample_latents = 2
    config.schedule.mismatch_weights = (0.0, 0.0)
    config.ema_decay = 0.75
    return config


def make_batch(resolution: int, batch_size: int = 4, seed: int = 0):
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, resolution, (batch_size, 20, 2))
    shape = (batch_size, resolution, resolution)
    return {
        "image": rng.integers(0, 256, (*shape, 3), dtype=np.uint8),
        "mask": rng.integers(0, 2, (*shape, 1), dtype=np.uint8) * 255,
        "keypoints": np.concatenate([points, np.ones((batch_size, 20, 1))], -1).astype(np.float32),
        "weight": np.ones(batch_size, np.float32),
    }


class Run:
    """A whole tiny training run, with the state before and after every step."""

    def __init__(self, config):
        self.recipe = recipe.make(config)
        self.step = jax.jit(self.recipe.train_step, static_argnames="stage")
        state = jax.jit(self.recipe.init)(jax.random.key(0))
        self.states, self.metrics = [state], []
        for stage in self.recipe.stages:
            batch = make_batch(stage.resolution[0])
            for i in range(stage.start, stage.stop):
                state, metrics = self.step(state, batch, jax.random.key(i), stage=stage)
                self.states.append(state)
                self.metrics.append(jax.device_get(metrics))


@pytest.fixture(scope="module")
def run():
    return Run(tiny_config())


def changed(before, after) -> set[str]:
    """Second-level names ("blocks/8x8") of parameters that are not bit-equal."""
    flat = jax.tree_util.tree_leaves_with_path(
        jax.tree.map(lambda a, b: not np.array_equal(a, b), before, after)
    )
    return {"/".join(k.key for k in path[:2]) for path, differs in flat if differs}


def test_stage_table_adds_up():
    stages = recipe.make(config_file.get_config()).stages
    assert [s.resolution[0] for s in stages] == [4, 8, 16, 32, 64, 128, 256, 512, 1024]
    assert [s.batch_size for s in stages] == [16] * 6 + [12, 5, 2]
    assert [s.learning_rate for s in stages] == [1e-3] * 5 + [8e-4, 6e-4, 2e-4, 1e-4]
    assert stages[0].start == 0 and all(a.stop == b.start for a, b in itertools.pairwise(stages))
    images = [(s.stop - s.start) * s.batch_size for s in stages]
    assert images == [600_000] + [1_200_000] * 8
    assert [s.fade_steps * s.batch_size for s in stages] == [0] + [600_000] * 8
    assert len({hash(s) for s in stages}) == 9


def test_images_round_up_to_steps():
    config = tiny_config()
    config.schedule.fade_images = (0, 9)
    stages = recipe.make(config).stages
    assert [(s.start, s.stop, s.fade_steps) for s in stages] == [(0, 2, 0), (2, 7, 3)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schedule.batch_sizes": (4,)}, r"schedule.batch_sizes has 1 entries for 2 resolutions \(4, 8\)"),
        ({"schedule.resolutions": (4, 16)}, "must double from one to the next"),
        ({"schedule.fade_images": (4, 4)}, "must start with 0"),
        ({"model.resolution": 4}, "the schedule reaches 8x8, the model only 4"),
        ({"model.pose_channels": 18}, "use 20, the keypoints of avatar_20, or 0"),
        ({"pose_map.kind": "disc"}, "use 'pixel' or 'gaussian'"),
    ],
)
def test_bad_configs_are_named(change, message):
    config = tiny_config()
    config.update_from_flattened_dict(change)
    with pytest.raises(ValueError, match=message):
        recipe.make(config)


def test_who_moves_in_a_step(run):
    for i, active in ((0, {"4x4"}), (3, {"4x4", "8x8"}), (5, {"4x4", "8x8"}), (6, {"4x4", "8x8"})):
        before, after = run.states[i].players, run.states[i + 1].players
        # After the fade the old image layers retire.
        colours = {"8x8"} if i >= 5 else active
        for name, image_layer in (("generator", "to_rgb"), ("discriminator", "from_rgb")):
            moved = changed(before[name].net.params, after[name].net.params)
            expected = {f"blocks/{r}" for r in active} | {f"{image_layer}/{r}" for r in colours}
            assert moved == expected, f"{name} in step {i}"


def test_what_a_stage_does_not_reach_stays_bit_equal(run):
    first, last = run.states[0].players, run.states[-1].players
    for name in ("generator", "discriminator"):
        assert not {n for n in changed(first[name].net.params, last[name].net.params) if "16x16" in n}
    assert not {n for n in changed(first["generator"].ema, last["generator"].ema) if "16x16" in n}


def test_ema_follows_with_the_discriminator_step(run):
    # It averages the generator as it was before this iteration's update.
    for before, after in itertools.pairwise(run.states):
        old = before.players["generator"]
        expected = jax.tree.map(lambda e, p: 0.75 * e + 0.25 * p, old.ema, old.net.params)
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7),
            after.players["generator"].ema,
            expected,
        )
    last = run.states[-1].players["generator"]
    assert "blocks/8x8" in changed(last.ema, last.net.params)


def test_moments_are_cleared_at_both_ends_of_a_fade(run):
    for name in ("generator", "discriminator"):
        counts = [int(optax.tree.get(s.players[name].opt, "count")) for s in run.states]
        assert counts == [0, 1, 2, 1, 2, 3, 1, 2]
    # Just after a reset, the second moment is that of one gradient.
    opt = run.states[3].players["generator"].opt
    mu, nu = optax.tree.get(opt, "mu"), optax.tree.get(opt, "nu")
    jax.tree.map(lambda m, n: np.testing.assert_allclose(n, 0.01 * m * m, rtol=1e-4, atol=1e-12), mu, nu)


def test_alpha_and_images_follow_the_step(run):
    np.testing.assert_allclose(
        [m["train/alpha"] for m in run.metrics], [1, 1, 0, 1 / 3, 2 / 3, 1, 1], rtol=1e-6
    )
    assert [m["train/images_seen"] for m in run.metrics] == [4, 8, 12, 16, 20, 24, 28]
    assert int(run.states[-1].step) == 7


def test_one_compilation_per_stage(run):
    assert run.step._cache_size() == len(run.recipe.stages) == 2


def test_losses_are_those_of_the_paper(run):
    for metrics in run.metrics:
        m = {k.removeprefix("train/"): float(v) for k, v in metrics.items()}
        assert all(np.isfinite(list(m.values())))
        # All but the drift, which is mean(real^2) / 1000.
        rest = m["fake_logits"] - m["real_logits"] + 10 * m["gradient_penalty"]
        assert 0 <= m["discriminator_loss"] - rest < 0.1
        assert m["discriminator_loss"] - rest >= 0.001 * m["real_logits"] ** 2 - 1e-5


@pytest.mark.parametrize("kind", ["pixel", "gaussian"])
def test_fading_in_changes_nothing_at_first(run, kind):
    """The sheet at the last step of a stage, enlarged, is the sheet at the first step of the next."""
    config = tiny_config()
    config.pose_map.kind = kind
    r, (first, second) = recipe.make(config), run.recipe.stages
    state, batch = run.states[first.stop], make_batch(8)
    small = batch | {
        "image": batch["image"][:, ::2, ::2],
        "keypoints": batch["keypoints"] * np.float32([0.5, 0.5, 1]),
    }
    sample = jax.jit(r.sample, static_argnames="stage")
    before = sample(state, small, jax.random.key(0), stage=first)
    after = sample(state, batch, jax.random.key(0), stage=second)
    for column in ("sample_0", "sample_1"):
        np.testing.assert_allclose(after[column], layers.upsample(before[column]), atol=1e-5)


def test_sheet_has_poses_in_rows_and_latents_in_columns(run):
    stage, batch = run.recipe.stages[1], make_batch(8)
    batch["keypoints"][2] = batch["keypoints"][0]
    sheet = jax.jit(run.recipe.sample, static_argnames="stage")(
        run.states[-1], batch, jax.random.key(0), stage=stage
    )
    assert list(sheet) == ["pose", "real", "sample_0", "sample_1"]
    assert all(x.shape == (4, 8, 8, 3) and np.abs(x).max() <= 1 + 1e-6 for x in sheet.values())
    np.testing.assert_allclose(sheet["real"], batch["image"] / 127.5 - 1, atol=1e-6)
    # One latent, one pose: one image.
    np.testing.assert_allclose(sheet["sample_0"][0], sheet["sample_0"][2], atol=1e-5)
    assert np.abs(sheet["sample_0"][0] - sheet["sample_0"][1]).max() > 1e-3
    assert np.abs(sheet["sample_0"][0] - sheet["sample_1"][0]).max() > 1e-3


def test_intersection_over_union():
    a = jnp.array([[[1, 1], [0, 0]], [[1, 0], [0, 0]], [[0, 0], [0, 0]]], bool)
    b = jnp.array([[[1, 0], [1, 0]], [[1, 0], [0, 0]], [[0, 0], [0, 0]]], bool)
    np.testing.assert_allclose(psgan.intersection_over_union(a, b), [1 / 3, 1, 1])


def test_eval_compares_right_and_wrong_poses(run, monkeypatch):
    """With images that are the silhouettes themselves: 1 for the right pose, less for a wrong one."""
    batch = make_batch(8)
    silhouettes = batch["mask"] > 127
    # White with a grey foreground; what is nearer to white than the threshold is background.
    images = np.where(silhouettes, 0.5, 0.95) * np.ones(3)
    state = run.states[-1]

    class Perfect:
        ema_net = staticmethod(lambda *_: (jnp.asarray(images), None))

    state = state.replace(players={"generator": Perfect})
    evaluate = jax.jit(lambda b: run.recipe.eval_step(state, b, jax.random.key(0), run.recipe.stages[1]))
    out = evaluate(batch)
    np.testing.assert_array_equal(out["eval/iou"], np.ones(4))
    masks = silhouettes[..., 0]
    wrong = lambda order: (masks & masks[order]).sum((1, 2)) / (masks | masks[order]).sum((1, 2))
    np.testing.assert_allclose(out["eval/iou_wrong_pose"], wrong([2, 3, 0, 1]), rtol=1e-6)
    np.testing.assert_allclose(out["eval/iou_margin"], 1 - wrong([2, 3, 0, 1]), rtol=1e-6)
    # With two examples of padding, the wrong poses come from the other two.
    batch["weight"] = np.float32([1, 1, 0, 0])
    out = evaluate(batch)
    np.testing.assert_allclose(out["eval/iou_wrong_pose"][:2], wrong([1, 0, 3, 2])[:2], rtol=1e-6)


def test_unconditional_is_progan():
    r = recipe.make(tiny_config("demo,unconditional"))
    state = jax.eval_shape(r.init, jax.random.key(0))
    kernel = state.players["generator"].net.params["blocks"]["8x8"]["conv0"]["kernel"]
    assert kernel.shape == (3, 3, 8, 8)
    sheet = jax.eval_shape(lambda s, b: r.sample(s, b, None, r.stages[1]), state, make_batch(8))
    assert set(sheet) == {"real", "sample_0", "sample_1"}


def test_mismatch_weight_shares_the_fakes():
    config = tiny_config()
    config.schedule.mismatch_weights = (0.25, 0.0)
    r = recipe.make(config)
    net = jax.jit(r.init)(jax.random.key(0)).players["discriminator"].net
    batch = make_batch(4)
    real, pose = sharding.float_images(jnp.asarray(batch["image"])), r.pose(batch["keypoints"], r.stages[0])
    loss_fn = jax.jit(lambda *args: r._discriminator_loss(*args, r.stages[0]))
    loss, metrics = loss_fn(net.params, net, real, -real, pose, jnp.ones(4), 1.0)
    m = {k.removeprefix("train/"): float(v) for k, v in metrics.items()}
    fakes = 0.75 * m["fake_logits"] + 0.25 * m["mismatch_logits"]
    critic = jax.jit(lambda images: net(images, pose, 4)[0])
    drift = 0.001 * jnp.square(critic(real)).mean()
    expected = fakes - m["real_logits"] + 10 * m["gradient_penalty"] + drift
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    # A pose with its neighbour's image. The penalty is taken at these too.
    other = jnp.roll(real, 1, axis=0)
    np.testing.assert_allclose(m["mismatch_logits"], critic(other).mean(), rtol=1e-5)
    ends = jnp.stack([other[0], -real[1], other[2], -real[3]])
    norms = jax.jit(lambda x: losses.gradient_norms(critic, x))(ends)
    np.testing.assert_allclose(m["gradient_penalty"], jnp.square(norms - 1).mean(), rtol=1e-4)


_ONE_AND_MANY = """
import jax, numpy as np
from anime_pt import recipe, sharding
from tests.recipes.psgan_test import make_batch, tiny_config
r = recipe.make(tiny_config())
stage, batch = r.stages[1], make_batch(8)
results = []
for mesh in (sharding.make_mesh(1, 1, jax.devices()[:1]), sharding.make_mesh(4, 2)):
    with jax.set_mesh(mesh):
        shardings = sharding.state_shardings(mesh, jax.eval_shape(r.init, jax.random.key(0)))
        state = jax.jit(r.init, out_shardings=shardings)(jax.random.key(0))
        state = state.replace(step=state.step + stage.start + 1)
        step = jax.jit(
            lambda s, b: r.train_step(s, b, jax.random.key(5), stage),
            out_shardings=(shardings, sharding.replicated(mesh)),
        )
        results.append(jax.device_get(step(state, sharding.put_batch(mesh, batch))))
        print(len(jax.tree.leaves(state)[1].devices()), "devices")
(one, m1), (many, m8) = results
for k in m1:
    np.testing.assert_allclose(m8[k], m1[k], rtol=1e-4, atol=1e-5, err_msg=k)
for name in one.players:
    nu = lambda s: s.players[name].opt[0].nu
    jax.tree.map(lambda a, b: np.testing.assert_allclose(b, a, rtol=2e-3, atol=1e-7), nu(one), nu(many))
"""


def test_one_device_equals_eight():
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
    env = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", _ONE_AND_MANY], env=env, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split("\n")[:2] == ["1 devices", "8 devices"]
