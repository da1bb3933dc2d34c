"""Recipes of pose transfer and the judges: who asks for pictures, and whole evaluations of small runs."""

import jax
import jax.numpy as jnp
import pytest

from anime_pt import recipe
from tests.configs_test import batch_shapes, load


@pytest.mark.parametrize("name", ["patn", "pg2"])
def test_what_judges_see_is_asked_for_by_judged_evaluations_alone(name, monkeypatch):
    class Judges:
        notes = {"eval/verdict": "a note"}

        def __init__(self, options):
            assert options.inception == options.lpips == options.lpips_linear == ""

    monkeypatch.setattr("anime_pt.judges.Judges", Judges)
    config = load(f"{name}:demo")
    for judged in (False, True):
        config.eval.judged = judged
        r = recipe.make(config)
        assert ("eval/verdict" in r.notes) == judged
        state, stage = jax.eval_shape(r.init, jax.random.key(0)), r.stages[-1]
        batch = batch_shapes(config, stage)
        values = jax.eval_shape(
            lambda s, b, r=r, stage=stage: r.eval_step(s, b, jax.random.key(0), stage), state, batch
        )
        rows = {k: v.dtype for k, v in values.items() if k.startswith(recipe.SET)}
        pictures = {k for k, dtype in rows.items() if dtype == jnp.uint8}
        assert pictures == ({"set/generated", "set/target", "set/source"} if judged else set())
        assert len(rows) == 5 * judged
