"""Evaluation of a state over the evaluation split: weighted means of per-example values, metrics of the set.

Used by the training loop, by `--mode=eval` (one checkpoint) and by `--mode=watch` (the newest
checkpoint of a run that trains elsewhere). Knows no concrete recipe.
"""

import json
import math
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import clu.metrics
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from anime_pt import metric_writer, recipe, sharding
from anime_pt.checkpoint import Checkpoints
from anime_pt.data import pipeline
from anime_pt.state import TrainState

_POLL_SECONDS = 10.0
_JUDGED = "judged/"


class Judge(Protocol):
    """Networks that judge a set; such as `judges.Judge`.

    Attributes:
      notes: what the numbers are, by name.
    """

    notes: Mapping[str, str]

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Metrics `eval/...` of all rows that `Recipe.judged` gave."""


class Evaluator:
    """Evaluates and samples states of one stage; compiles once."""

    def __init__(
        self,
        algorithm: recipe.Recipe,
        config: ml_collections.ConfigDict,
        mesh: jax.sharding.Mesh,
        stage: recipe.Stage,
        judge: Judge | None = None,
    ):
        self._config = config
        self._mesh = mesh
        self._stage = stage
        self._summarise = algorithm.summarise
        self._judge = judge
        key = jax.random.key(config.seed)
        everywhere = sharding.replicated(mesh)

        def evaluate(
            state: TrainState, batch: recipe.Batch
        ) -> tuple[dict[str, clu.metrics.Average], dict[str, jax.Array], jax.Array]:
            values = algorithm.eval_step(state, batch, key, stage)
            rows = {k: v for k, v in values.items() if k.startswith(recipe.SET)}
            means = {k: _mean(v, batch["weight"]) for k, v in values.items() if k not in rows}
            if judge:
                rows |= {_JUDGED + k: v for k, v in algorithm.judged(state, batch, key, stage).items()}
            return means, rows, batch["weight"]

        def sample(state: TrainState, batch: recipe.Batch) -> list[jax.Array]:
            # A list, since jit sorts the keys of a dict and a sheet has an order.
            return list(algorithm.sample(state, batch, key, stage).values())

        self._evaluate = jax.jit(evaluate, out_shardings=everywhere)
        self._sample = jax.jit(sample, out_shardings=everywhere)

    def __call__(self, state: TrainState) -> dict[str, float]:
        """Metrics over the evaluation split (or `config.eval.examples` of it), by name.

        Those for which no example counts are left out.
        """
        total: dict[str, clu.metrics.Average] = {}
        rows: dict[str, list[np.ndarray]] = {}
        batches = pipeline.eval_batches(
            self._config,
            self._stage.resolution,
            self._config.eval.batch_size,
            self._config.eval.examples,
        )
        for batch in batches:
            means, arrays, weight = self._evaluate(state, sharding.put_batch(self._mesh, batch))
            total = {k: total[k].merge(v) if k in total else v for k, v in means.items()}
            if arrays:
                arrays, weight = jax.device_get((arrays, weight))
                for name, array in arrays.items():
                    rows.setdefault(name, []).append(array[weight > 0])
        measured = {k: float(v.compute()) for k, v in jax.device_get(total).items() if v.count > 0}
        whole = {name: np.concatenate(parts) for name, parts in rows.items()}
        if judged := {k.removeprefix(_JUDGED): v for k, v in whole.items() if k.startswith(_JUDGED)}:
            measured |= self._judge(judged)
        if rest := {k: v for k, v in whole.items() if not k.startswith(_JUDGED)}:
            measured |= self._summarise(rest)
        return measured

    def sheet(self, state: TrainState) -> np.ndarray:
        """The recipe's columns for `config.eval.samples` examples, as one (h, w, 3) uint8 picture."""
        rows = self._config.eval.samples
        rows += -rows % self._mesh.shape[sharding.DATA]
        batch = next(pipeline.eval_batches(self._config, self._stage.resolution, rows, rows))
        columns = jax.device_get(self._sample(state, sharding.put_batch(self._mesh, batch)))
        return metric_writer.image_grid(columns)


def _mean(value: recipe.Measured, weight: jax.Array) -> clu.metrics.Average:
    if isinstance(value, tuple):
        value, own = value
        weight = weight * own
    # What does not count may be NaN.
    return clu.metrics.Average(total=jnp.where(weight > 0, value * weight, 0).sum(), count=weight.sum())


def stage_of(stages: tuple[recipe.Stage, ...], step: int) -> recipe.Stage:
    """The stage that trained the state at `step` updates; at a boundary, the one that ends there."""
    return next((s for s in stages if step <= s.stop), stages[-1])


def table(metrics: Mapping[str, float], notes: Mapping[str, str]) -> str:
    """Metrics as lines of text: one for each, with its note; then those of parts, a row for each part.

    `eval/pdj/nose` is the part `nose` of `eval/pdj`, and stands in the row of that part and the column `pdj`.
    """
    short = {name: name.removeprefix("eval/") for name in metrics}
    width = max((len(n.partition("/")[0]) for n in short.values()), default=0)
    lines, parts = [], {}
    for name, value in metrics.items():
        column, _, part = short[name].partition("/")
        if part:
            parts.setdefault(part, {})[column] = value
        else:
            lines.append(f"{column:{width}}  {value:8.4f}  {notes.get(name, '')}".rstrip())
    columns = list(dict.fromkeys(c for row in parts.values() for c in row))
    if parts:
        width = max(map(len, parts))
        widths = {c: max(len(c), 8) for c in columns}
        lines += ["", " " * width + "".join(f"  {c:>{widths[c]}}" for c in columns)]
        for part, row in parts.items():
            cells = (f"{row[c]:.4f}" if c in row else "-" for c in columns)
            lines.append(
                f"{part:{width}}"
                + "".join(f"  {v:>{widths[c]}}" for c, v in zip(columns, cells, strict=True))
            )
    return "\n".join(lines)


def run(
    config: ml_collections.ConfigDict,
    workdir: pathlib.Path,
    step: int | None = None,
    watching: bool = False,
    judging: Callable[[ml_collections.ConfigDict], Judge] | None = None,
) -> None:
    """Evaluates a checkpoint of a run: writes `eval/<step>.json` and `.png`, prints the metrics.

    Args:
      config: the run's.
      workdir: the run's.
      step: which checkpoint; the best one if None, or the latest where none was measured.
      watching: evaluate the newest one instead, again and again, until the last step's is done.
      judging: makes the judge of recipes that can be judged.

    Raises:
      FileNotFoundError: there is no such checkpoint.
    """
    algorithm = recipe.make(config)
    mesh = sharding.make_mesh(config.mesh.data, config.mesh.spatial)
    abstract = jax.eval_shape(algorithm.init, jax.random.key(config.seed))
    shardings = sharding.state_shardings(mesh, abstract, config.mesh.fsdp_min_size)
    judge = judging(config) if judging and hasattr(algorithm, "judged") else None
    notes = dict(getattr(algorithm, "notes", {})) | dict(judge.notes if judge else {})
    evaluators: dict[recipe.Stage, Evaluator] = {}

    def one(checkpoints: Checkpoints, step: int) -> None:
        stage = stage_of(algorithm.stages, step)
        if stage not in evaluators:
            evaluators[stage] = Evaluator(algorithm, config, mesh, stage, judge)
        with jax.set_mesh(mesh):
            state = checkpoints.restore(abstract, shardings, step)
            metrics, sheet = evaluators[stage](state), evaluators[stage].sheet(state)
        # JSON has no words for them, so they become strings, as in metrics.jsonl.
        result = {"step": step} | {k: v if math.isfinite(v) else str(v) for k, v in metrics.items()}
        result |= pipeline.described(config, stage.resolution)
        text = json.dumps(result | ({"notes": notes} if notes else {}), indent=2)
        metric_writer.write_atomically(workdir / "eval" / f"{step:08d}.json", (text + "\n").encode())
        metric_writer.save_image(workdir / "eval" / f"{step:08d}.png", sheet)
        print(text, flush=True)
        if notes:
            print("\n" + table(metrics, notes), flush=True)

    if not watching:
        with Checkpoints.of_run(config, workdir) as checkpoints:
            one(checkpoints, checkpoints.find(step))
        return
    done = -1
    while done < algorithm.stages[-1].stop:
        with Checkpoints.of_run(config, workdir) as checkpoints:
            newest = checkpoints.latest_step
            if newest is not None and newest > done:
                one(checkpoints, newest)
                done = newest
                continue
        time.sleep(_POLL_SECONDS)
