"""Recipes of pose transfer and the judges: who asks for pictures, and whole evaluations of small runs."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from anime_pt import evaluate, judges, recipe, train
from tests.configs_test import batch_shapes, load
from tests.conftest import TINY


@pytest.mark.parametrize("name", ["patn", "pg2"])
def test_what_judges_see(name):
    config = load(f"{name}:demo")
    r = recipe.make(config)
    state, stage = jax.eval_shape(r.init, jax.random.key(0)), r.stages[-1]
    batch = batch_shapes(config, stage)
    rows = jax.eval_shape(lambda s, b: r.judged(s, b, jax.random.key(0), stage), state, batch)
    assert {k for k, v in rows.items() if v.dtype == jnp.uint8} == {"generated", "target", "source"}
    assert len(rows) == 5 and {v.shape[0] for v in rows.values()} == {len(batch["character"])}


@pytest.mark.slow
def test_evaluation_of_a_run_asks_all_judges(data_dir, tmp_path):
    """In training they are not asked. Pictures are so small that hardly a joint is found in them."""
    config = load("patn:demo")
    config.model.update({"ngf": 2, "ndf": 2, "blocks": 1, "discriminator_blocks": 1})
    config.schedule.update({"resolution": (16, 12), "batch_size": 4, "pairs_per_epoch": 8})
    config.schedule.update({"keep_epochs": 1, "decay_epochs": 0})
    config.data.update({"name": f"unity_avatars/{TINY}", "data_dir": str(data_dir), "prepare": False})
    config.data.update({"zoom": 1.0, "eval_split": "validation+test"})
    config.eval.update({"every": 2, "batch_size": 4, "examples": 10, "samples": 2})
    config.checkpoint.every, config.log.every, config.mesh.data = 2, 1, 1
    train.train(config, tmp_path)
    logged = (tmp_path / "metrics.jsonl").read_text()
    assert "eval/ssim" in logged and "eval/pdj" not in logged
    evaluate.run(config, tmp_path, judging=judges.Judge)
    written = json.loads((tmp_path / "eval" / "00000002.json").read_text())
    assert 0 <= written["eval/pdj"] < 0.2 and 0 <= written["eval/pdj/target"] < 0.2
    for name in ("ssim", "feature_distance_small", "frechet_small", "identity_top1_colours"):
        assert np.isfinite(written[f"eval/{name}"]) and f"eval/{name}" in written["notes"], name
    assert written["eval/identity_top1_small/source"] == 1
    assert np.asarray(Image.open(tmp_path / "eval" / "00000002.png")).shape == (34, 5 * 14 - 2, 3)
