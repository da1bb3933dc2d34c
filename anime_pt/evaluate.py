"""Evaluation of a state over the evaluation split: weighted means of per-example values.

Used by the training loop, by `--mode=eval` (one checkpoint) and by `--mode=watch` (every new checkpoint of a
run that trains elsewhere). Knows no concrete recipe.
"""

import time
from collections.abc import Callable
from typing import Any

import clu.metrics
import jax
import ml_collections
import numpy as np

from anime_pt import metric_writer, recipe, sharding
from anime_pt.checkpoint import Checkpoints
from anime_pt.data import pipeline
from anime_pt.state import TrainState


class Evaluator:
    """Evaluates and samples states of one stage; compiles once."""

    def __init__(
        self,
        algorithm: recipe.Recipe,
        config: ml_collections.ConfigDict,
        mesh: jax.sharding.Mesh,
        stage: recipe.Stage,
    ):
        self._config = config
        self._mesh = mesh
        self._stage = stage
        key = jax.random.key(config.seed)
        everywhere = sharding.replicated(mesh)

        def evaluate(state: TrainState, batch: recipe.Batch) -> dict[str, clu.metrics.Average]:
            values = algorithm.eval_step(state, batch, key, stage)
            weight = batch["weight"]
            return {
                k: clu.metrics.Average(total=(v * weight).sum(), count=weight.sum())
                for k, v in values.items()
            }

        def sample(state: TrainState, batch: recipe.Batch) -> list[jax.Array]:
            # A list, since jit sorts the keys of a dict and a sheet has an order.
            return list(algorithm.sample(state, batch, key, stage).values())

        self._evaluate = jax.jit(evaluate, out_shardings=everywhere)
        self._sample = jax.jit(sample, out_shardings=everywhere)

    def __call__(self, state: TrainState) -> dict[str, float]:
        """Means over the evaluation split (or `config.eval.examples` of it), by metric name."""
        total: dict[str, clu.metrics.Average] = {}
        batches = pipeline.eval_batches(
            self._config,
            self._stage.resolution,
            self._config.eval.batch_size,
            self._config.eval.examples,
        )
        for batch in batches:
            means = self._evaluate(state, sharding.put_batch(self._mesh, batch))
            total = {k: total[k].merge(v) if k in total else v for k, v in means.items()}
        return {k: float(v.compute()) for k, v in jax.device_get(total).items()}

    def sheet(self, state: TrainState) -> np.ndarray:
        """The recipe's columns for `config.eval.samples` examples, as one (h, w, 3) uint8 picture."""
        rows = self._config.eval.samples
        rows += -rows % self._mesh.shape[sharding.DATA]
        batch = next(pipeline.eval_batches(self._config, self._stage.resolution, rows, rows))
        columns = jax.device_get(self._sample(state, sharding.put_batch(self._mesh, batch)))
        return metric_writer.image_grid(columns)


def evaluate_checkpoint(
    algorithm: recipe.Recipe,
    config: ml_collections.ConfigDict,
    mesh: jax.sharding.Mesh,
    checkpoints: Checkpoints,
    step: int,
) -> tuple[dict[str, float], np.ndarray]:
    """Metrics and sample sheet of one checkpoint."""
    abstract = jax.eval_shape(algorithm.init, jax.random.key(config.seed))
    shardings = sharding.state_shardings(mesh, abstract, config.mesh.fsdp_min_size)
    with jax.set_mesh(mesh):
        state = checkpoints.restore(abstract, shardings, step)
        evaluator = Evaluator(algorithm, config, mesh, stage_of(algorithm.stages, step))
        return evaluator(state), evaluator.sheet(state)


def stage_of(stages: tuple[recipe.Stage, ...], step: int) -> recipe.Stage:
    """The stage that trained the state at `step` updates; at a boundary, the one that ends there."""
    return next((s for s in stages if step <= s.stop), stages[-1])


def watch(
    open_checkpoints: Callable[[], Checkpoints],
    evaluate: Callable[[Checkpoints, int], Any],
    final_step: int,
    poll_seconds: float = 10.0,
) -> None:
    """Calls `evaluate` for each new checkpoint until that of `final_step` is done."""
    done = -1
    while done < final_step:
        with open_checkpoints() as checkpoints:
            step = checkpoints.latest_step
            if step is not None and step > done:
                evaluate(checkpoints, step)
                done = step
                continue
        time.sleep(poll_seconds)
