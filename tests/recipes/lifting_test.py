import jax
import numpy as np
import pytest

from anime_pt import recipe
from anime_pt.data import pipeline
from configs import lifting as config_file


def tiny_config():
    config = config_file.get_config("demo")
    config.model.width = 48
    config.data.update({"seeded": 60, "noise": 0.0, "missing": 0.0})
    config.schedule.update({"steps": 60, "batch_size": 64})
    config.optimizer.update({"learning_rate": 5e-3, "warmup_steps": 5})
    config.ema_decay = 0.9
    return config


@pytest.fixture(scope="module")
def trained():
    config = tiny_config()
    r = recipe.make(config)
    (stage,) = r.stages
    step = jax.jit(r.train_step, static_argnames="stage")
    state, history = jax.jit(r.init)(jax.random.key(0)), []
    batches = pipeline.train_iterator(config, stage.resolution, stage.batch_size, 0)
    for i in range(stage.stop):
        state, metrics = step(state, next(batches), jax.random.key(i), stage=stage)
        history.append(jax.device_get(metrics))
    return config, r, state, history


def test_it_learns(trained):
    _, _, state, history = trained
    losses = [float(h["train/loss"]) for h in history]
    assert np.mean(losses[-5:]) < 0.4 * np.mean(losses[:3])
    assert set(history[0]) == {"train/loss", "train/mpjpe", "train/gradient_norm"}
    assert int(state.step) == 60 and list(state.players) == ["lifter"]
    assert float(history[-1]["train/mpjpe"]) < 0.6 * float(history[0]["train/mpjpe"])


def test_what_is_measured(trained):
    config, r, state, _ = trained
    (batch,) = pipeline.eval_batches(config, (128, 128), 32, 32)
    evaluate = jax.jit(lambda s, b: r.eval_step(s, b, jax.random.key(0), r.stages[0]))
    values = jax.device_get(evaluate(state, batch))
    assert set(values) == {"eval/mpjpe", "eval/pa_mpjpe", "eval/limbs"} <= set(r.notes)
    found = np.asarray(r.lift(state.players["lifter"].ema_net, batch["keypoints"]))
    hips = r.skeleton.index("mid_hip")
    assert np.abs(found[:, hips]).max() == 0
    far = np.linalg.norm(found - batch["world"], axis=-1)
    # The root does not count.
    np.testing.assert_allclose(values["eval/mpjpe"], 1000 * far.sum(1) / 19, rtol=1e-4)
    assert (values["eval/pa_mpjpe"] < values["eval/mpjpe"]).mean() > 0.9
    # The average network that is measured is not the last one.
    last, _ = state.players["lifter"].net(batch["keypoints"], train=False)
    assert np.abs(np.asarray(last - last[:, hips, None]) - found).max() > 1e-4


@pytest.mark.slow
def test_sheets_show_truth_and_estimate_from_the_side(trained):
    config, r, state, _ = trained
    (batch,) = pipeline.eval_batches(config, (128, 128), 4, 4)
    batch["keypoints"][0, 3] = np.nan
    sheet = jax.jit(lambda s, b: r.sample(s, b, jax.random.key(0), r.stages[0]))(state, batch)
    for image in sheet.values():
        assert image.shape == (4, 128, 128, 3) and np.isfinite(np.asarray(image)).all()
        drawn = (np.asarray(image) < 0.9).any(-1).mean((1, 2))
        assert (drawn > 0.02).all() and (drawn < 0.4).all()
    assert np.abs(np.asarray(sheet["truth from the side"]) - sheet["found from the side"]).max() > 0.1


def test_the_published_form():
    config = config_file.get_config("published")
    assert config.model.to_dict() == {"width": 1024, "blocks": 2, "dropout": 0.5, "max_norm": True}
    assert (config.schedule.batch_size, config.optimizer.learning_rate) == (64, 1e-3)
    r = recipe.make(config)
    state = jax.eval_shape(r.init, jax.random.key(0))
    sizes = [x.size for x in jax.tree.leaves(state.players["lifter"].net.params)]
    # Of the published 4.3 million parameters, in and out are of 20 joints here, of 16 there.
    inner = 4 * (1024 * 1024 + 1024) + 5 * 2 * 1024
    assert sum(sizes) == inner + 61 * 1024 + 60 * 1025 - 1024 + 1024
    assert state.players["lifter"].ema is None
    with pytest.raises(ValueError, match="arguments demo and published: use one of them"):
        config_file.get_config("demo,published")
