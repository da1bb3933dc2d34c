"""The evaluator: means of what counts, metrics of a whole set, their notes."""

import dataclasses
import json
import types

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from anime_pt import evaluate, sharding
from anime_pt.checkpoint import Checkpoints
from anime_pt.data import pipeline

NAN = float("nan")
# Two batches of four; the last two examples are padding.
NUMBERS = np.float32([[1, 2, 3, 4], [5, 6, 6, 6]])
WEIGHTS = np.float32([[1, 1, 1, 1], [1, 1, 0, 0]])


@dataclasses.dataclass(frozen=True)
class Stage:
    name: str = "only"
    start: int = 0
    stop: int = 5
    resolution: tuple[int, int] = (4, 4)
    batch_size: int = 4


class Counting:
    """A recipe whose state is a number to multiply with."""

    stages = (Stage(),)
    notes = {"eval/odd": "of odd numbers", "eval/total": "of all"}

    def init(self, key):
        return jnp.float32(2)

    def eval_step(self, state, batch, key, stage):
        x = batch["x"]
        odd = x % 2 == 1
        nothing = jnp.zeros_like(x)
        return {
            "eval/plain": state * x,
            # Where nothing counts, values are NaN, as in a mean over no joints.
            "eval/odd": (jnp.where(odd, x, NAN), odd.astype(x.dtype)),
            "eval/heavy": (x, x),
            "eval/never": (jnp.full_like(x, NAN), nothing),
            "eval/odd/three": (jnp.where(x == 3, x, NAN), (x == 3).astype(x.dtype)),
            "eval/plain/three": jnp.where(x == 3, 1.0, 0.0),
            "eval/plain/last": nothing,
            "set/x": jnp.stack([x, -x], -1),
            "set/name": x.astype(jnp.int32),
        }

    def summarise(self, arrays):
        self.seen = arrays
        return {"eval/total": float(arrays["set/x"][:, 0].sum())}

    def sample(self, state, batch, key, stage):
        return {"x": jnp.zeros((len(batch["x"]), 4, 4, 3))}


@pytest.fixture
def config(monkeypatch):
    batches = [{"x": x, "weight": w} for x, w in zip(NUMBERS, WEIGHTS, strict=True)]
    monkeypatch.setattr(pipeline, "eval_batches", lambda *_: iter(batches))
    return ml_collections.ConfigDict(
        {
            "seed": 0,
            "data": {"view": "whole"},
            "eval": {"batch_size": 4, "examples": 0, "samples": 4},
            "mesh": {"data": 1, "spatial": 1, "fsdp_min_size": 0},
            "checkpoint": {"best_metric": "", "best_mode": "max"},
        }
    )


def evaluator(config, recipe):
    return evaluate.Evaluator(recipe, config, sharding.make_mesh(1, 1), recipe.stages[0])


def test_means_are_of_what_counts(config):
    measured = evaluator(config, Counting())(jnp.float32(2))
    expected = {
        "eval/plain": 2 * 21 / 6,
        "eval/odd": 3.0,  # 1, 3, 5.
        "eval/heavy": (1 + 4 + 9 + 16 + 25 + 36) / 21,
        "eval/odd/three": 3.0,
        "eval/plain/three": 1 / 6,
        "eval/plain/last": 0.0,
        "eval/total": 21.0,
    }
    assert measured.keys() == expected.keys(), "what counts nowhere is left out"
    assert measured == pytest.approx(expected)


class Shown(Counting):
    def judged(self, state, batch, key, stage):
        return {"twice": 2 * batch["x"]}


class Judge:
    notes = types.MappingProxyType({"eval/verdict": "a note"})

    def __call__(self, arrays):
        self.seen = arrays
        return {"eval/verdict": float(arrays["twice"].sum())}


def test_a_judge_sees_what_the_recipe_shows_and_no_padding(config):
    judge, shown = Judge(), Shown()
    mesh = sharding.make_mesh(1, 1)
    measured = evaluate.Evaluator(shown, config, mesh, shown.stages[0], judge)(jnp.float32(1))
    assert measured["eval/verdict"] == 2 * 21 and measured["eval/total"] == 21
    assert judge.seen.keys() == {"twice"} and len(judge.seen["twice"]) == 6
    assert shown.seen.keys() == {"set/x", "set/name"}


def test_what_counts_and_is_nan_is_not_hidden(config):
    class Diverged(Counting):
        def eval_step(self, state, batch, key, stage):
            return {"eval/x": jnp.where(batch["x"] == 2, NAN, 1.0)}

        def summarise(self, arrays):
            raise AssertionError("there is no set")

    measured = evaluator(config, Diverged())(jnp.float32(2))
    assert measured.keys() == {"eval/x"} and np.isnan(measured["eval/x"])


def test_a_set_is_all_rows_without_padding(config):
    recipe = Counting()
    evaluator(config, recipe)(jnp.float32(2))
    assert recipe.seen.keys() == {"set/x", "set/name"}
    x = np.arange(1.0, 7.0)
    np.testing.assert_array_equal(recipe.seen["set/x"], np.stack([x, -x], -1))
    np.testing.assert_array_equal(recipe.seen["set/name"], x)
    assert recipe.seen["set/name"].dtype == np.int32


def test_run_writes_and_prints_the_notes(config, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(evaluate.recipe, "make", lambda _: Counting())
    monkeypatch.setattr(Checkpoints, "of_run", lambda *_: Stored())
    evaluate.run(config, tmp_path)
    text = (tmp_path / "eval" / "00000005.json").read_text()
    written = json.loads(text, parse_constant=pytest.fail)
    assert written["step"] == 5 and written["eval/odd"] == 3.0 and "eval/never" not in written
    assert written["notes"] == Counting.notes
    out = capsys.readouterr().out
    assert out.startswith(text)
    lines = out.removeprefix(text).strip("\n").splitlines()
    # jit returns names sorted.
    assert lines == [
        "heavy    4.3333",
        "odd      3.0000  of odd numbers",
        "plain    7.0000",
        "total   21.0000  of all",
        "",
        "            odd     plain",
        "three    3.0000    0.1667",
        "last          -    0.0000",
    ]
    assert (tmp_path / "eval" / "00000005.png").exists()


def test_run_without_notes_prints_json_alone(config, tmp_path, monkeypatch, capsys):
    class Diverged(Counting):
        notes = {}

        def summarise(self, arrays):
            return {"eval/total": NAN}

    monkeypatch.setattr(evaluate.recipe, "make", lambda _: Diverged())
    monkeypatch.setattr(Checkpoints, "of_run", lambda *_: Stored())
    evaluate.run(config, tmp_path)
    printed = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert printed["eval/total"] == "nan" and "notes" not in printed


def test_a_judge_is_made_for_recipes_that_show_something(config, tmp_path, monkeypatch):
    monkeypatch.setattr(Checkpoints, "of_run", lambda *_: Stored())
    written = lambda: json.loads((tmp_path / "eval" / "00000005.json").read_text())

    def never(config):
        raise AssertionError("nobody can judge this recipe")

    monkeypatch.setattr(evaluate.recipe, "make", lambda _: Counting())
    evaluate.run(config, tmp_path, judging=never)
    assert "eval/verdict" not in written()
    monkeypatch.setattr(evaluate.recipe, "make", lambda _: Shown())
    evaluate.run(config, tmp_path, judging=lambda _: Judge())
    assert written()["eval/verdict"] == 2 * 21 and written()["notes"]["eval/verdict"] == "a note"


class Stored:
    """Stands in for a run's checkpoints: one, of step 5."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    latest_step = 5

    def find(self, step):
        return 5

    def restore(self, abstract, shardings, step):
        assert step == 5
        return jax.device_put(jnp.float32(2), shardings)
