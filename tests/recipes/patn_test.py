"""PATN's training: who moves when, on which pictures, by which losses; continued runs; several devices."""

import dataclasses
import functools
import json
import os
import signal
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from anime_pt import perceptual, recipe, schedules, sharding, train
from anime_pt.convert import torch_files
from anime_pt.models import conv
from anime_pt.recipes.patn import APPEARANCE, SHAPE
from anime_pt.state import Net, Player, TrainState
from configs import patn as config_file
from tests.conftest import CACHE, QUICKLY, ROOT, TINY

SIZE = (16, 12)


pytestmark = pytest.mark.usefixtures("plain_convolutions")


def tiny_config(arg="demo", **changes):
    """Two batches of four make an epoch, of which there are two."""
    config = config_file.get_config(arg)
    config.model.update(
        {"ngf": 2, "ndf": 2, "blocks": 1, "discriminator_blocks": 1, "levels": 2, "dropout": 0.0}
    )
    config.schedule.update({"resolution": SIZE, "batch_size": 4, "pairs_per_epoch": 8})
    config.schedule.update({"keep_epochs": 2, "decay_epochs": 0})
    config.loss.lambda_B = 0.0
    config.ema_decay = 0.75
    config.update_from_flattened_dict(changes)
    return config


def make_batch(seed=0, sources=1, count=4, joints=20, size=SIZE):
    rng = np.random.default_rng(seed)
    image = lambda *shape: rng.integers(0, 256, (*shape, *size, 3), dtype=np.uint8)

    def points(*shape):
        places = rng.uniform(0, size[::-1], (*shape, joints, 2))
        return np.concatenate([places, np.ones((*shape, joints, 1))], -1).astype(np.float32)

    return {
        "source_image": image(count, sources),
        "source_mask": image(count, sources)[..., :1],
        "source_keypoints": points(count, sources),
        "target_image": image(count),
        "target_mask": image(count)[..., :1],
        "target_keypoints": points(count),
        "character": np.arange(count, dtype=np.int32),
        "weight": np.ones(count, np.float32),
    }


def fresh(r):
    """A state of random parameters, without the minutes that drawing them compiles."""
    rng = np.random.default_rng(0)
    state = jax.eval_shape(r.init, jax.random.key(0))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), state)

    def filled(name, player):
        spread = 0.1 if name == "generator" else 0.3
        draw = lambda path, x: jnp.asarray(
            rng.normal(float("scale" in str(path)), spread if x.ndim > 1 else 0.02, x.shape), x.dtype
        )
        params = jax.tree_util.tree_map_with_path(draw, player.net.params)
        stats = jax.tree.map(lambda x: x + 1, player.net.stats)
        net = dataclasses.replace(player.net, params=params, stats=stats)
        ema = None if player.ema is None else jax.tree.map(lambda x: x + 0.01, params)
        return dataclasses.replace(player, net=net, ema=ema)

    return zeros.replace(players={n: filled(n, player) for n, player in zeros.players.items()})


class Run:
    """Some steps, with the state before and after each."""

    def __init__(self, config, steps=2):
        self.recipe = recipe.make(config)
        (self.stage,) = self.recipe.stages
        self.step = jax.jit(lambda state, batch, key: self.recipe.train_step(state, batch, key, self.stage))
        self.batches = [make_batch(i) for i in range(steps)]
        self.states, self.metrics = [fresh(self.recipe)], []
        for i, batch in enumerate(self.batches):
            state, metrics = self.step(self.states[-1], batch, jax.random.key(i))
            self.states.append(state)
            self.metrics.append({k: float(v) for k, v in metrics.items()})


@pytest.fixture(scope="module")
def run():
    """As on DeepFashion: instance normalisation, least squares, the newest pictures."""
    return Run(tiny_config())


@pytest.fixture(scope="module")
def market():
    """With sigmoids, as on Market-1501, and with two discriminator steps to a generator step."""
    return Run(tiny_config(**{"loss.adversarial": "cross_entropy", "discriminator_steps": 2}))


@pytest.fixture(scope="module")
def product():
    """Scores multiplied; batch normalisation."""
    return Run(tiny_config("demo,adversarial=product", **{"model.norm": "batch"}), steps=1)


def differs(a, b):
    return [not np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)]


def close(a, b, rtol=1e-4, atol=1e-6):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=rtol, atol=atol), a, b)


def test_everyone_moves_and_the_average_follows(run):
    for before, after in zip(run.states[:-1], run.states[1:], strict=True):
        assert before.players.keys() == {"generator", APPEARANCE, SHAPE}
        for name, player in before.players.items():
            moved = after.players[name]
            changed = differs(player.net.params, moved.net.params)
            # A bias before a normalisation has no gradient but noise.
            assert np.mean(changed) > 0.6, name
            assert int(optax.tree.get(moved.opt, "count")) == int(after.step)
        old, new = before.players["generator"], after.players["generator"]
        close(new.ema, jax.tree.map(lambda e, p: 0.75 * e + 0.25 * p, old.ema, new.net.params))
        assert after.players[SHAPE].ema is None
    assert int(run.states[-1].step) == 2 and run.step._cache_size() == 1


def test_the_generators_step(run):
    """L1 and both discriminators as they were, by value and by gradient."""
    state, batch, r = run.states[0], run.batches[0], run.recipe
    x = r.inputs(batch, SIZE)
    player = state.players["generator"]
    c = r.config.loss

    def loss_fn(params):
        fake, _ = player.net.with_params(params)(x.source, x.source_pose, x.target_pose, train=True)
        appearance, _ = state.players[APPEARANCE].net(fake, x.source[:, 0], train=True)
        shape, _ = state.players[SHAPE].net(fake, x.target_pose, train=True)
        adversarial = (jnp.square(appearance - 1).mean() + jnp.square(shape - 1).mean()) / 2
        l1 = jnp.abs(fake - x.target).mean()
        return c.lambda_A * l1 + c.lambda_GAN * adversarial, (l1, adversarial)

    (loss, (l1, adversarial)), gradient = jax.jit(jax.value_and_grad(loss_fn, has_aux=True))(
        player.net.params
    )
    found = run.metrics[0]
    np.testing.assert_allclose(found["train/generator_loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(found["train/l1"], l1, rtol=1e-5)
    np.testing.assert_allclose(found["train/adversarial_loss"], adversarial, rtol=1e-5)
    moved = run.states[1].players["generator"]
    largest = max(np.abs(g).max() for g in jax.tree.leaves(gradient))
    close(optax.tree.get(moved.opt, "mu"), jax.tree.map(lambda g: g / 2, gradient), atol=1e-5 * largest)


@pytest.mark.parametrize("name", [APPEARANCE, SHAPE])
def test_discriminators_see_what_the_generator_made_before_it_moved(run, name):
    state, batch, r = run.states[0], run.batches[0], run.recipe
    x, net = r.inputs(batch, SIZE), state.players[name].net

    @jax.jit
    def loss(generator: Net):
        fake, _ = generator(x.source, x.source_pose, x.target_pose, train=True)
        real_features, _ = net(x.target, x.condition(name), train=True)
        fake_features, _ = net(fake, x.condition(name), train=True)
        return (
            0.5
            * r.config.loss.lambda_GAN
            * (jnp.square(real_features - 1) + jnp.square(fake_features)).mean()
        )

    before, after = (float(loss(s.players["generator"].net)) for s in run.states[:2])
    np.testing.assert_allclose(run.metrics[0][f"train/{name}_loss"], before, rtol=1e-5)
    assert abs(before - after) > 1e-4 * before


@pytest.mark.slow
def test_batch_normalisation_sees_three_batches(product):
    """The generator's pictures, real ones and made ones, in this order, before the discriminator moves."""
    state, batch, r = product.states[0], product.batches[0], product.recipe
    x, after = r.inputs(batch, SIZE), product.states[1].players

    @jax.jit
    def passed(players):
        fake, generator = players["generator"].net(x.source, x.source_pose, x.target_pose, train=True)
        out = {"generator": generator.stats}
        for name in (APPEARANCE, SHAPE):
            net = players[name].net
            for image in (fake, x.target, fake):
                _, net = net(image, x.condition(name), train=True)
            out[name] = net.stats
        return out

    for name, stats in passed(state.players).items():
        assert jax.tree.leaves(stats), name
        close(after[name].net.stats, stats, atol=1e-5)


@pytest.mark.slow
def test_discriminators_may_take_more_steps(market):
    for number, state in enumerate(market.states):
        counts = {n: int(optax.tree.get(p.opt, "count")) for n, p in state.players.items()}
        assert counts == {"generator": number, APPEARANCE: 2 * number, SHAPE: 2 * number}


@pytest.mark.slow
def test_cross_entropy_is_of_the_features_sigmoids(market):
    state, batch, r = market.states[0], market.batches[0], market.recipe
    x = r.inputs(batch, SIZE)
    fake, _ = state.players["generator"].net(x.source, x.source_pose, x.target_pose, train=True)
    features = [state.players[n].net(fake, x.condition(n), train=True)[0] for n in (APPEARANCE, SHAPE)]
    expected = np.mean([-np.log(jax.nn.sigmoid(f)).mean() for f in features])
    np.testing.assert_allclose(market.metrics[0]["train/adversarial_loss"], expected, rtol=1e-4)


def test_the_rate_falls_by_epochs():
    config = config_file.get_config("market")
    r = recipe.make(config)
    assert (
        r.stages[0].stop == 700 * 125
        and recipe.make(config_file.get_config("deepfashion")).stages[0].stop == 400_400
    )
    rate = lambda epoch, batch: float(r.rate(jnp.int32((epoch - 1) * 125 + batch))) / 2e-4
    for batch in (0, 124):
        np.testing.assert_allclose([rate(k, batch) for k in (1, 499)], 1, rtol=1e-6)
        np.testing.assert_allclose(
            [rate(k, batch) for k in (500, 501, 699)], [200 / 201, 199 / 201, 1 / 201], rtol=1e-5
        )
        assert rate(700, batch) == 0
    assert float(schedules.linear_decline(10**6, 125, 500, 0)) == 1


def test_pose_maps():
    config = tiny_config()
    batch = make_batch()
    points = batch["source_keypoints"]
    points[0, 0, 0, :2] = np.nan
    points[1, 0, 3, :2] = (-0.5, 4)
    points[2, 0, 4, :2] = (3.5, 7.5)
    out = recipe.make(config).pose(jnp.asarray(points), SIZE)
    assert out.shape == (4, 1, *SIZE, 20) and not out[0, 0, ..., 0].any() and not out[1, 0, ..., 3].any()
    np.testing.assert_allclose(out[2, 0, 7, 3, 4], 1)
    sigma = config.pose_map.sigma
    np.testing.assert_allclose(out[2, 0, 15, 9, 4], np.exp(-(64 + 36) / (2 * sigma**2)), rtol=1e-4)
    config.pose_map.kind = "impulse"
    single = recipe.make(config).pose(jnp.asarray(points), SIZE)
    assert single[2, 0, 7, 3, 4] == 1 and set(np.unique(single)) == {0, 1}
    counts = single.sum((2, 3))[:, 0]
    assert counts[0, 0] == counts[1, 3] == 0 and counts.sum() == 78


def test_transfer_is_what_the_sheet_shows(run):
    state, batch, r = run.states[-1], run.batches[0], run.recipe
    sheet = jax.jit(lambda s, b: r.sample(s, b, jax.random.key(0), run.stage))(state, batch)
    assert set(sheet) == {"source", "source_pose", "target_pose", "target", "output"}
    assert all(x.shape == (4, *SIZE, 3) and np.abs(x).max() <= 1 + 1e-6 for x in sheet.values())
    float_ = lambda x: x.astype(np.float32) / 127.5 - 1
    np.testing.assert_allclose(sheet["target"], float_(batch["target_image"]), atol=1e-6)
    # By the average; of a state, nothing else is needed.
    transfer, player = jax.jit(r.transfer), state.players["generator"]
    for params, same in ((player.net.params, False), (player.ema, True)):
        bare = TrainState(state.step, {"generator": Player(player.net.with_params(params))})
        points = batch["source_keypoints"], batch["target_keypoints"]
        found = transfer(bare, float_(batch["source_image"]), *points)
        assert np.allclose(found, sheet["output"], atol=1e-5) == same
    assert r.transfer_players == ("generator",)


def test_what_is_measured(run):
    """Of the target itself everything is best, and the source is measured beside it."""
    state, r = run.states[0], run.recipe
    batch = make_batch()
    batch["target_image"] = np.where(batch["target_mask"] > 127, batch["target_image"] // 2, np.uint8(255))
    batch["source_image"][0, 0] = batch["target_image"][0]

    class Perfect:
        ema_net = staticmethod(lambda *_, **__: (jnp.asarray(batch["target_image"] / 127.5 - 1), None))

    state = state.replace(players={"generator": Perfect})
    found = jax.jit(lambda b: r.eval_step(state, b, jax.random.key(0), run.stage))(batch)
    for name, best in (
        ("l1", 0),
        ("ssim", 1),
        ("ssim_patn", 1),
        ("mask_ssim", 1),
        ("figure_l1", 0),
        ("iou", 1),
    ):
        np.testing.assert_allclose(found[f"eval/{name}"], np.full(4, best), atol=1e-4, err_msg=name)
        of_source = np.asarray(found[f"eval/{name}/source"])
        np.testing.assert_allclose(of_source[0], best, atol=1e-4)
        assert np.abs(of_source[1:] - best).min() > 0.02, name
    assert (found["eval/psnr"] == 60).all()
    # Pictures this small have no five scales.
    assert {n for n in found if n.count("/") == 1} == set(r.notes) - {"eval/ms_ssim"}


def test_masks_sources_and_the_unet():
    """A batch of two sources with masks through a U-Net, by shapes; and by values through `inputs`."""
    config = tiny_config("demo,rgba,generator=unet,sources=2")
    r, batch = recipe.make(config), make_batch(sources=2)
    state = jax.eval_shape(r.init, jax.random.key(0))
    assert state.players[APPEARANCE].net.params["encoder"]["unit0"]["conv"]["kernel"].shape[2] == 8
    after, _ = jax.eval_shape(lambda s, b: r.train_step(s, b, jax.random.key(0), r.stages[0]), state, batch)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    sheet = jax.eval_shape(lambda s, b: r.sample(s, b, None, r.stages[0]), state, batch)
    assert sheet["output_mask"].shape == (4, *SIZE, 3)
    assert "eval/mask_iou" in jax.eval_shape(lambda s, b: r.eval_step(s, b, None, r.stages[0]), state, batch)
    x = r.inputs(batch, SIZE)
    assert x.source.shape == (4, 2, *SIZE, 4) and x.source_pose.shape == (4, 2, *SIZE, 20)
    np.testing.assert_allclose(x.source[..., 3:], batch["source_mask"] / 127.5 - 1, atol=1e-6)
    del batch["source_mask"]
    with pytest.raises(ValueError, match=r"model\.rgba: the dataset has no masks"):
        r.inputs(batch, SIZE)


@pytest.mark.slow
def test_the_product_of_both_scores(product):
    state, batch, r = product.states[0], product.batches[0], product.recipe
    x = r.inputs(batch, SIZE)

    @jax.jit
    def scores(players):
        fake, _ = players["generator"].net(x.source, x.source_pose, x.target_pose, train=True)
        score = lambda image, name: jax.nn.sigmoid(players[name].net(image, x.condition(name), train=True)[0])
        return [score(image, APPEARANCE) * score(image, SHAPE) for image in (x.target, fake)]

    real, made = scores(state.players)
    found, weight = product.metrics[0], r.config.loss.lambda_GAN
    expected = -np.log(real).mean() - np.log(1 - made).mean()
    np.testing.assert_allclose(found["train/discriminator_loss"], weight * expected, rtol=1e-4)
    np.testing.assert_allclose(found["train/adversarial_loss"], -np.log(made).mean(), rtol=1e-4)
    moved = [
        differs(state.players[n].net.params, product.states[1].players[n].net.params) for n in state.players
    ]
    assert all(np.mean(m) > 0.6 for m in moved)


def perceptual_config(**changes):
    """The package's own network halves pictures four times."""
    return tiny_config(**{"loss.lambda_B": 2.0, "schedule.resolution": (16, 16)} | changes)


@pytest.mark.slow
@pytest.mark.parametrize("file", ["", "vgg.mat"])
def test_the_perceptual_loss(file, monkeypatch):
    """Of VGG-19's features, or of the package's own network, which stays as it is."""
    r = recipe.make(perceptual_config(**{"loss.vgg": file}))
    state = fresh(r)
    # Pictures as MatConvNet's networks want them: weights of pixels in 0..255.
    weights = jax.tree.map(lambda x: x / (128 if file else 1) + 0.01, state.players["features"].net)
    monkeypatch.setattr(perceptual.convert_vgg, "load", lambda path, last: weights)
    monkeypatch.setattr(perceptual.convert_features, "load", lambda: weights)
    state = r.pretrained(state)
    close(state.players["features"].net.params, weights.params)
    assert state.players["features"].opt is None
    batch = make_batch(size=(16, 16))
    after, metrics = jax.jit(lambda s, b: r.train_step(s, b, jax.random.key(0), r.stages[0]))(state, batch)
    assert not any(differs(after.players["features"], state.players["features"]))
    x = r.inputs(batch, (16, 16))
    fake, _ = state.players["generator"].net(x.source, x.source_pose, x.target_pose, train=True)

    def of(images):
        found, _ = weights(images, ("relu1_2",)) if file else weights(images)
        return [found["relu1_2"]] if file else [found[0][f"level{i}"] for i in (1, 2, 3)]

    expected = np.mean([np.abs(a - b).mean() for a, b in zip(of(fake), of(x.target), strict=True)])
    np.testing.assert_allclose(metrics["train/perceptual_loss"], expected, rtol=1e-3)
    total = 10 * metrics["train/l1"] + 2 * expected + 0.5 * metrics["train/adversarial_loss"]
    np.testing.assert_allclose(metrics["train/generator_loss"], total, rtol=1e-3)


def test_weights_of_other_networks_are_named(monkeypatch):
    r = recipe.make(tiny_config(**{"init.weights": "other.pth"}))
    state = jax.eval_shape(r.init, jax.random.key(0))
    monkeypatch.setattr(torch_files, "read_state_dict", lambda path: {"fc.weight": np.zeros((2, 2))})
    with pytest.raises(
        ValueError, match=r"^other\.pth: not the weights .* take a file of PATN's public code"
    ):
        r.pretrained(state)


def test_the_perceptual_loss_refuses_other_networks(monkeypatch, tmp_path):
    r = recipe.make(perceptual_config(**{"loss.vgg": "vgg.mat"}))
    state = jax.eval_shape(r.init, jax.random.key(0))
    narrow = jax.tree.map(lambda x: np.zeros((*x.shape[:-1], 8)), state.players["features"].net)
    monkeypatch.setattr(perceptual.convert_vgg, "load", lambda path, last: narrow)
    with pytest.raises(ValueError, match=r"vgg\.mat: its layers have other widths"):
        r.pretrained(state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"loss.adversarial": "hinge"},
            r"loss\.adversarial = 'hinge': use cross_entropy, least_squares, product",
        ),
        ({"model.generator": "pix2pix"}, r"model\.generator = 'pix2pix': use patn, unet"),
        ({"pose_map.kind": "disc"}, r"pose_map\.kind = 'disc': use gaussian, impulse"),
        ({"loss.adversarial": "product", "loss.pool_size": 3}, "both discriminators judge the same picture"),
    ],
)
def test_bad_configs_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        recipe.make(tiny_config(**change))


def loop_config(data_dir, **changes):
    """Four steps on the small dataset, with a pool that is full after two."""
    config = tiny_config(
        **{"schedule.keep_epochs": 1, "schedule.decay_epochs": 1, "loss.pool_size": 6} | changes
    )
    config.data.update({"name": f"unity_avatars/{TINY}", "data_dir": str(data_dir), "prepare": False})
    config.data.zoom = 1.0
    config.eval.update({"every": 3, "batch_size": 4, "examples": 6, "samples": 2})
    config.checkpoint.every = 2
    config.log.every = 1
    config.mesh.data = 1
    return config


@pytest.mark.slow
def test_a_continued_run_equals_an_unbroken_one(data_dir, tmp_path, monkeypatch):
    config, workdir = loop_config(data_dir), tmp_path / "走 run"
    state = train.train(config, workdir)
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    measured = {k: row[k] for row in rows for k in row if k.startswith("eval/")}
    assert {"eval/ssim", "eval/ssim/source", "eval/iou", "eval/figure_l1"} <= measured.keys()
    assert 0 < measured["eval/ssim/source"] < 1 and 0 < measured["eval/l1"] < 1
    assert len(list((workdir / "samples").glob("*.png"))) == 2

    fetch = train._Run._fetch

    def interrupt(self, step, metrics):
        if step == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return fetch(self, step, metrics)

    with monkeypatch.context() as patch:
        patch.setattr(train._Run, "_fetch", interrupt)
        with pytest.raises(train.command.Interrupted, match="stopped at step 2;"):
            train.train(config, tmp_path / "stopped")
    continued = train.train(config, tmp_path / "stopped")
    assert not any(differs(state, continued))
    assert len(jax.tree.leaves(state.memory)) >= 2


@pytest.mark.slow
def test_eight_devices_find_what_one_does():
    """Rows of pictures split, too."""
    environment = os.environ | CACHE | {"JAX_PLATFORMS": "cpu", conv.SWITCH: "xla"}
    environment["XLA_FLAGS"] = f"{QUICKLY} --xla_force_host_platform_device_count=8"
    command = [sys.executable, "-m", "tests.recipes.patn_test"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found.pop("devices") == 8
    assert max(found["metrics"].values()) < 1e-4, found
    assert found["moments"] < 1e-3, found


def _differences():
    """Largest relative differences after one step on one device and on eight, four by two."""
    r = recipe.make(tiny_config(**{"model.norm": "batch", "loss.pool_size": 6}))
    out = []
    for data, spatial in ((1, 1), (4, 2)):
        mesh = sharding.make_mesh(data, spatial)
        with jax.set_mesh(mesh):
            everywhere = sharding.replicated(mesh)
            state = jax.jit(r.init, out_shardings=everywhere)(jax.random.key(0))
            step = jax.jit(lambda s, b: r.train_step(s, b, jax.random.key(0), r.stages[0]))
            after, metrics = step(state, sharding.put_batch(mesh, make_batch(sources=1)))
            # Gradients, in Adam's memory.
            moments = {n: optax.tree.get(p.opt, "mu") for n, p in after.players.items()}
            out.append(jax.device_get((metrics, moments, after.memory)))
    (one, gradients, memory), (many, of_many, memory_of_many) = out
    norm = np.linalg.norm
    apart = lambda a, b: max(
        float(norm(x - y) / max(norm(y), 1e-6))
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )
    return {
        "devices": jax.device_count(),
        "metrics": {k: abs(float(many[k]) / float(one[k]) - 1) for k in one},
        "moments": apart(of_many, gradients),
        "memory": apart(memory_of_many, memory),
    }


if __name__ == "__main__":
    print(json.dumps(_differences()))
