"""The one training loop: restore, step, log, evaluate, sample, save, change stage. Knows no concrete recipe.

A run is a function of its config: data order, randomness and schedules depend on the seed and the step alone,
so a run that was killed and started again equals an unbroken one, bit for bit.
"""

import json
import math
import pathlib
import signal
from collections.abc import Mapping
from typing import Any

import clu.parameter_overview
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from anime_pt import command, evaluate, metric_writer, progress, recipe, sharding
from anime_pt.checkpoint import Checkpoints
from anime_pt.data import pipeline
from anime_pt.state import TrainState

CONFIG_FILE = "config.json"
# Fields that a continued run may change: they do not enter the numbers (`eval` does by `Recipe.observe`).
FREE_FIELDS = (
    "mesh",
    "log",
    "checkpoint",
    "eval",
    "data.data_dir",
    "data.threads",
    "data.prefetch",
    "data.prepare",
)


class NonFiniteError(ArithmeticError):
    """A loss or a parameter became NaN or infinite."""


class WorkdirError(ValueError):
    """The workdir holds another config's run."""


def recorded_config(workdir: pathlib.Path) -> ml_collections.ConfigDict:
    """The config of the run in a workdir.

    Raises:
      FileNotFoundError: the folder holds no run.
      WorkdirError: its record is damaged.
    """
    path = workdir / CONFIG_FILE
    if not path.exists():
        raise FileNotFoundError(f"{workdir} holds no run ({CONFIG_FILE} is not there); train first")
    try:
        return ml_collections.ConfigDict(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise WorkdirError(f"{path} is damaged: {error}") from error


def compare_configs(
    config: ml_collections.ConfigDict, workdir: pathlib.Path, free: tuple[str, ...] = FREE_FIELDS
) -> None:
    """Raises WorkdirError, naming the first fields, if the run in `workdir` has another config.

    `free` names fields and groups that may differ.
    """
    ours = _flat(json.loads(config.to_json()))
    theirs = _flat(json.loads(recorded_config(workdir).to_json()))
    differing = [
        f"{k}: {theirs.get(k, 'absent')} there, {ours.get(k, 'absent')} here"
        for k in sorted(theirs.keys() | ours.keys())
        if theirs.get(k) != ours.get(k) and not any(k == f or k.startswith(f + ".") for f in free)
    ]
    if differing:
        more = f" (and {len(differing) - 3} more)" if len(differing) > 3 else ""
        raise WorkdirError(
            f"{workdir} holds another config's run ({'; '.join(differing[:3])}{more}); "
            "choose another --workdir, or delete it"
        )


def claim_workdir(
    config: ml_collections.ConfigDict, workdir: pathlib.Path, files: tuple[str, ...] = ()
) -> None:
    """Records the config in a workdir that has no checkpoint yet, or checks it against the one recorded.

    `files` are fields that name what a fresh run starts from; it is read late, but looked for here.

    Raises:
      ValueError: such a file is not there.
      WorkdirError: a field that enters the numbers differs, or the folder holds something else.
    """
    recorded = (workdir / CONFIG_FILE).exists()
    if recorded and any(p.name.isdigit() for p in (workdir / "checkpoints").glob("*")):
        compare_configs(config, workdir)
    elif not recorded and workdir.exists() and any(workdir.iterdir()):
        raise WorkdirError(f"{workdir} is not empty and holds no run; choose another --workdir")
    else:
        fields = _flat(config.to_dict())
        for name in files:
            if fields[name] and not pathlib.Path(fields[name]).is_file():
                raise ValueError(f"{name} = {fields[name]!r}: there is no such file; name one that is there")
    metric_writer.write_atomically(workdir / CONFIG_FILE, (config.to_json(indent=2) + "\n").encode())


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    out = {}
    for k, v in tree.items():
        out |= _flat(v, f"{prefix}{k}.") if isinstance(v, Mapping) else {prefix + k: v}
    return out


def check(config: ml_collections.ConfigDict, algorithm: recipe.Recipe, mesh: jax.sharding.Mesh) -> None:
    """Raises ValueError for what would otherwise fail late, or in a library's words."""
    if jax.process_count() > 1:
        raise ValueError("training runs in one process; this one is part of a group of several")
    for name in ("log.every", "eval.every", "eval.batch_size", "eval.samples", "checkpoint.every"):
        group, field = name.split(".")
        if config[group][field] < 1:
            raise ValueError(f"{name} must be at least 1, got {config[group][field]}")
    if config.checkpoint.best_mode not in ("max", "min"):
        raise ValueError(f"checkpoint.best_mode must be max or min, got {config.checkpoint.best_mode!r}")
    for stage in algorithm.stages:
        sharding.check_batch(mesh, stage.batch_size, f"stage {stage.name}")
    sharding.check_batch(mesh, config.eval.batch_size, "config.eval")
    pipeline.check(config, algorithm.stages[-1].resolution)


def train(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> TrainState:
    """Trains `config.recipe` to its last stage's end, continuing what `workdir` holds.

    Raises:
      NonFiniteError: with the step, the metrics and the last good checkpoint.
      command.Interrupted: on SIGINT or SIGTERM, after saving.
    """
    algorithm = recipe.make(config)
    mesh = sharding.make_mesh(config.mesh.data, config.mesh.spatial)
    check(config, algorithm, mesh)
    claim_workdir(config, workdir, getattr(algorithm, "start_files", ()))
    checkpoints = Checkpoints(
        workdir, config.checkpoint.keep, config.checkpoint.best_metric, config.checkpoint.best_mode
    )
    with checkpoints, jax.set_mesh(mesh), _Stop() as stop:
        return _Run(algorithm, config, workdir, mesh, checkpoints, stop).train()


class _Stop:
    """Turns SIGINT and SIGTERM into a flag that the loop reads between steps."""

    def __enter__(self) -> "_Stop":
        self.asked = False
        self._old = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _ask(self, number: int, _frame: Any) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True
        print("stopping after this step; once more to stop without saving", flush=True)

    def __exit__(self, *_):
        for number, handler in self._old.items():
            signal.signal(number, handler)


class _Run:
    """The loop's parts; `train` reads as the loop."""

    def __init__(
        self,
        algorithm: recipe.Recipe,
        config: ml_collections.ConfigDict,
        workdir: pathlib.Path,
        mesh: jax.sharding.Mesh,
        checkpoints: Checkpoints,
        stop: _Stop,
    ):
        self._algorithm = algorithm
        self._config = config
        self._workdir = workdir
        self._mesh = mesh
        self._checkpoints = checkpoints
        self._stop = stop
        self._key = jax.random.key(config.seed)
        self._abstract = jax.eval_shape(algorithm.init, self._key)
        self._shardings = sharding.state_shardings(mesh, self._abstract, config.mesh.fsdp_min_size)
        self._restored = checkpoints.latest_step
        self._all_finite = jax.jit(
            lambda s: jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(s.players)]).all()
        )

    def train(self) -> TrainState:
        stages = self._algorithm.stages
        if self._restored is None:
            # Under jit, so that no two leaves share a buffer: donation would delete both.
            state = jax.jit(self._algorithm.init, out_shardings=self._shardings)(self._key)
            state = jax.device_put(self._algorithm.pretrained(state), self._shardings)
        else:
            state = self._checkpoints.restore(self._abstract, self._shardings, self._restored)
            print(f"continuing from step {self._restored} of {stages[-1].stop}", flush=True)
        self._writer = metric_writer.MetricWriter(self._workdir, int(state.step))
        try:
            if self._restored is None:
                for name, player in state.players.items():
                    overview = clu.parameter_overview.get_parameter_overview(player.net.params)
                    self._writer.write_text(0, f"parameters/{name}", f"<pre>{overview}</pre>")
            self._progress = progress.Progress(stages)
            for index, stage in enumerate(stages):
                if int(state.step) < stage.stop:
                    state = self._train_stage(state, index, stage)
            return state
        finally:
            self._writer.close()

    def _train_stage(self, state: TrainState, index: int, stage: recipe.Stage) -> TrainState:
        config = self._config
        first = int(state.step)
        data = pipeline.train_iterator(config, stage.resolution, stage.batch_size, config.seed + index)
        if first > stage.start:
            self._checkpoints.restore_data(data, first)
        step_fn = self._compile(stage)
        evaluator = evaluate.Evaluator(self._algorithm, config, self._mesh, stage)
        window: list[dict[str, float]] = []
        pending: tuple[int, dict[str, jax.Array]] | None = None
        final = index == len(self._algorithm.stages) - 1
        for step in range(first + 1, stage.stop + 1):
            state, metrics = step_fn(state, sharding.put_batch(self._mesh, next(data)))
            if step == first + 1:
                self._progress.start(stage, step)
            if pending is not None:
                # One step late: waiting for the step just dispatched would leave the device idle.
                window.append(self._fetch(*pending))
            pending = (step, metrics)
            last = step == stage.stop
            evaluating = last or step % config.eval.every == 0
            stopping = self._stop.asked  # Read once: a signal may come at any moment.
            # In the last stage whatever was measured is saved, so that the best stays.
            save = last or stopping or step % config.checkpoint.every == 0 or (evaluating and final)
            if save or evaluating or step % config.log.every == 0:
                window.append(self._fetch(*pending))
                pending = None
            if save or step % config.log.every == 0:
                # Also at saves: a continued run starts an empty window.
                self._log(step, window)
                window = []
            measured = self._evaluate(state, step, evaluator) if evaluating else {}
            if evaluating:
                # Before it is saved: a run continued from here has seen this evaluation.
                state = self._observe(state, measured)
            if save:
                # Checkpoints are ranked within the last stage only: an earlier one solves an easier task.
                self._save(state, data, step, measured if final else {})
            if stopping:
                raise command.Interrupted(f"stopped at step {step}; the same command continues from there")
        return state

    def _compile(self, stage: recipe.Stage) -> Any:
        def step_fn(state: TrainState, batch: recipe.Batch) -> tuple[TrainState, dict[str, jax.Array]]:
            key = jax.random.fold_in(self._key, state.step)
            return self._algorithm.train_step(state, batch, key, stage)

        return jax.jit(
            step_fn,
            donate_argnums=0,
            out_shardings=(self._shardings, sharding.replicated(self._mesh)),
        )

    def _fetch(self, step: int, metrics: dict[str, jax.Array]) -> dict[str, float]:
        values = {k: float(v) for k, v in jax.device_get(metrics).items()}
        if not all(map(math.isfinite, values.values())):
            raise self._non_finite(step, values)
        return values

    def _non_finite(self, step: int, values: Mapping[str, float]) -> NonFiniteError:
        good = self._checkpoints.latest_step
        where = "none was saved" if good is None else str(self._checkpoints.directory(good))
        listed = ", ".join(f"{k.removeprefix('train/')}={v:.6g}" for k, v in values.items())
        return NonFiniteError(f"non-finite value at step {step}: {listed}; last good checkpoint: {where}")

    def _log(self, step: int, window: list[dict[str, float]]) -> None:
        means = {k: float(np.mean([m[k] for m in window])) for k in window[0]}
        rate = self._progress.update(step, means)
        self._writer.write_scalars(step, means | {"train/images_per_second": rate})

    def _evaluate(self, state: TrainState, step: int, evaluator: evaluate.Evaluator) -> dict[str, float]:
        with self._progress.pause():
            measured = evaluator(state)
            ranked_by = self._config.checkpoint.best_metric
            if ranked_by and ranked_by not in measured:
                raise ValueError(
                    f"checkpoint.best_metric = {ranked_by!r} is not measured; there are {', '.join(measured)}"
                )
            self._writer.write_scalars(step, measured)
            self._writer.write_image(step, "samples", evaluator.sheet(state))
            self._writer.write_curves()
            # Of the joints' own figures the file has all.
            print("  ".join(f"{k} {v:.4f}" for k, v in measured.items() if k.count("/") < 2), flush=True)
        return measured

    def _observe(self, state: TrainState, measured: Mapping[str, float]) -> TrainState:
        """What the recipe makes of an evaluation, laid out and typed as the compiled step takes it."""

        def place(old: jax.Array, new: jax.typing.ArrayLike, where: jax.sharding.Sharding) -> jax.Array:
            # A copy, since donated buffers must not be shared.
            return old if new is old else jax.device_put(jnp.array(new, old.dtype), where)

        return jax.tree.map(place, state, self._algorithm.observe(state, measured), self._shardings)

    def _save(self, state: TrainState, data: Any, step: int, measured: Mapping[str, float]) -> None:
        with self._progress.pause():
            if not self._all_finite(state):
                raise self._non_finite(step, {"parameters": math.nan})
            self._writer.flush()
            self._checkpoints.save(state, data, self._config.to_dict(), measured)
