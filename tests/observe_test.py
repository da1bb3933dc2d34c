"""A schedule that waits for a plateau: the state follows the evaluations, and resuming stays exact."""

import dataclasses
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anime_pt import checkpoint, metric_writer, recipe, train
from anime_pt.state import Net, Player, TrainState, _Structure


@dataclasses.dataclass(frozen=True)
class Stage:
    name: str
    start: int
    stop: int
    resolution: tuple[int, int] = (4, 4)
    batch_size: int = 4


class Plateau:
    """A number that walks at random; its rate halves whenever an evaluation is no better than the best."""

    stages = (Stage("first", 0, 5), Stage("second", 5, 12))

    def __init__(self):
        self.observed = []

    def init(self, key):
        net = Net({"x": jnp.float32(0)}, {}, _Structure(None))
        opt = {"rate": jnp.float32(1), "best": jnp.float32(jnp.inf), "seen": jnp.int32(0)}
        return TrainState(jnp.int32(0), {"walker": Player(net, opt)})

    def train_step(self, state, batch, key, stage):
        walker = state.players["walker"]
        step = jax.random.normal(key) + batch["keypoints"][..., 0].mean() / 4
        x = walker.net.params["x"] + walker.opt["rate"] * step
        walker = dataclasses.replace(walker, net=walker.net.with_params({"x": x}))
        return state.replace(step=state.step + 1, players={"walker": walker}), {"train/loss": x}

    def eval_step(self, state, batch, key, stage):
        x = jnp.broadcast_to(state.players["walker"].net.params["x"], batch["weight"].shape)
        return {"eval/loss": x, "eval/loss/nose": x, "eval/pair": (x, jnp.arange(x.size) < 2)}

    def summarise(self, arrays):
        raise AssertionError("there is no set")

    def pretrained(self, state):
        return state

    def observe(self, state, measured):
        self.observed.append((int(state.step), measured["eval/loss"]))
        walker = state.players["walker"]
        best, loss = float(walker.opt["best"]), measured["eval/loss"]
        # Python numbers on purpose: the loop gives them the state's types and its place.
        rate = float(walker.opt["rate"]) * (1.0 if loss < best else 0.5)
        opt = {"rate": rate, "best": min(best, loss), "seen": walker.opt["seen"] + 1}
        return state.replace(players={"walker": dataclasses.replace(walker, opt=opt)})

    def sample(self, state, batch, key, stage):
        return {"image": batch["image"] / 127.5 - 1}


@pytest.fixture
def run(config, monkeypatch):
    """Trains in a workdir; returns the recipe as the run left it, and the final state."""
    config.eval.every = 2
    config.checkpoint.update({"every": 3, "best_metric": "eval/loss", "best_mode": "min", "keep": 20})

    def run(workdir):
        algorithm = Plateau()
        monkeypatch.setattr(recipe, "make", lambda _: algorithm)
        return algorithm, train.train(config, workdir)

    return run


def leaves(state):
    return [np.asarray(x) for x in jax.tree.leaves(state)]


def test_every_evaluation_is_observed_in_every_stage(run, tmp_path, capsys):
    algorithm, state = run(tmp_path)
    rows = {r["step"]: r["eval/loss"] for r in metric_writer.read_metrics(tmp_path) if "eval/loss" in r}
    assert list(rows) == [2, 4, 5, 6, 8, 10, 12]
    assert [s for s, _ in algorithm.observed] == list(rows)
    np.testing.assert_allclose([v for _, v in algorithm.observed], list(rows.values()), rtol=1e-6)
    opt = state.players["walker"].opt
    rate, best = 1.0, np.inf
    for loss in rows.values():
        rate, best = rate * (1.0 if loss < best else 0.5), min(best, loss)
    assert (float(opt["rate"]), int(opt["seen"])) == (rate, 7) and rate < 1
    np.testing.assert_allclose(opt["best"], best, rtol=1e-6)
    assert (opt["rate"].dtype, opt["rate"].weak_type) == (jnp.float32, False)
    printed = capsys.readouterr().out
    assert "eval/loss " in printed and "eval/loss/nose" not in printed


def test_what_is_saved_has_seen_the_evaluation_of_its_step(run, tmp_path):
    algorithm, _ = run(tmp_path)
    abstract = jax.eval_shape(algorithm.init, jax.random.key(0))
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    with checkpoint.Checkpoints(tmp_path, read_only=True) as checkpoints:
        # Saved every three steps, at the ends of stages, and in the last one when evaluated.
        for step, seen in ((3, 1), (5, 3), (6, 4), (9, 5), (12, 7)):
            state = checkpoints.restore(abstract, jax.tree.map(lambda _: device, abstract), step)
            assert int(state.players["walker"].opt["seen"]) == seen, step


@pytest.mark.parametrize("stop_at", [2, 3, 5, 8])
def test_stopped_and_continued_equals_unbroken(run, tmp_path, monkeypatch, stop_at):
    # 2 and 8: with an evaluation; 3: between two; 5: at the end of a stage.
    _, unbroken = run(tmp_path / "unbroken")
    fetch = train._Run._fetch

    def interrupt(self, step, metrics):
        if step == stop_at - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return fetch(self, step, metrics)

    with monkeypatch.context() as patch:
        patch.setattr(train._Run, "_fetch", interrupt)
        with pytest.raises(train.command.Interrupted, match=f"stopped at step {stop_at};"):
            run(tmp_path / "stopped")
    algorithm, continued = run(tmp_path / "stopped")
    assert min(s for s, _ in algorithm.observed) > stop_at, "an evaluation is not observed twice"
    for a, b in zip(leaves(continued), leaves(unbroken), strict=True):
        np.testing.assert_array_equal(a, b)
