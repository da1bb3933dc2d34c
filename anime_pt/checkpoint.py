"""Checkpoints of a run: {state, data iterator, config}, written asynchronously by Orbax.

The last n and the best one (by the evaluation metric that the config names) are kept. A checkpoint is a
directory that appears under its final name only when it is complete, so a killed or failed save leaves the
older ones whole. Uses Orbax's stable (V0) API, here alone, so that a later move is one file.
"""

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import grain
import grain.checkpoint
import jax
import ml_collections
import orbax.checkpoint as ocp

from anime_pt.state import Net, TrainState

_FOLDER = "checkpoints"


class Checkpoints:
    """The checkpoints of one workdir; a context manager that waits for pending saves."""

    def __init__(
        self,
        workdir: str | pathlib.Path,
        keep: int = 3,
        best_metric: str = "",
        best_mode: str = "max",
        read_only: bool = False,
    ):
        """Opens `workdir/checkpoints`.

        Args:
          workdir: the run's folder.
          keep: how many of the newest checkpoints stay.
          best_metric: name of the evaluation metric whose best checkpoint stays as well; "" for none.
          best_mode: "max" or "min".
          read_only: for sampling and evaluation beside a running training.
        """
        self._sign = {"max": 1.0, "min": -1.0}[best_mode]
        self._best_metric = best_metric
        policies = [ocp.checkpoint_managers.LatestN(n=keep)]
        if best_metric:
            policies.append(
                ocp.checkpoint_managers.BestN(
                    get_metric_fn=self._score, n=1, keep_checkpoints_without_metrics=False
                )
            )
        self._manager = ocp.CheckpointManager(
            pathlib.Path(workdir).resolve() / _FOLDER,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=ocp.checkpoint_managers.AnyPreservationPolicy(policies),
                cleanup_tmp_directories=not read_only,
                create=not read_only,
                read_only=read_only,
                best_fn=self._score if best_metric else None,
                best_mode="max",
            ),
            item_handlers={
                "state": ocp.StandardCheckpointHandler(),
                "data": grain.checkpoint.CheckpointHandler(),
                "config": ocp.JsonCheckpointHandler(),
            },
        )

    @classmethod
    def of_run(cls, config: ml_collections.ConfigDict, workdir: str | pathlib.Path) -> "Checkpoints":
        """The checkpoints of a run, to read from beside a training that may still write."""
        c = config.checkpoint
        return cls(workdir, best_metric=c.best_metric, best_mode=c.best_mode, read_only=True)

    def _score(self, metrics: Mapping[str, float]) -> float:
        value = self._sign * metrics.get(self._best_metric, -self._sign * math.inf)
        return value if math.isfinite(value) else -math.inf

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Waits for pending saves; raises what they raised."""
        try:
            self._manager.wait_until_finished()
            self._manager.check_for_errors()
        finally:
            self._manager.close()

    @property
    def latest_step(self) -> int | None:
        return self._manager.latest_step()

    @property
    def best_step(self) -> int | None:
        """The step with the best metric among those kept; the latest where none was measured."""
        return self._manager.best_step()

    def directory(self, step: int) -> pathlib.Path:
        return pathlib.Path(self._manager.directory) / str(step)

    def save(
        self,
        state: TrainState,
        data: grain.DatasetIterator,
        config: Mapping[str, Any],
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """Starts saving under the state's step; returns once the arrays are copied off the device."""
        self._manager.check_for_errors()
        self._manager.save(
            int(state.step),
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state),
                data=grain.checkpoint.CheckpointSave(data),
                config=ocp.args.JsonSave(json.loads(json.dumps(config))),
            ),
            metrics=dict(metrics or {}),
        )

    def restore(self, abstract_state: TrainState, shardings: Any, step: int | None = None) -> TrainState:
        """The state of `step` (default: the latest), laid out by `shardings`, on any mesh.

        Raises:
          FileNotFoundError: there is no checkpoint.
          ValueError: the checkpoint is of another model.
        """
        step = self._require(step)
        self._check_shapes(abstract_state, step)
        template = jax.tree.map(
            lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), abstract_state, shardings
        )
        args = ocp.args.Composite(state=ocp.args.StandardRestore(template))
        return self._manager.restore(step, args=args)["state"]

    def restore_data(self, data: grain.DatasetIterator, step: int | None = None) -> None:
        """Sets the iterator to where it was at the checkpoint."""
        args = ocp.args.Composite(data=grain.checkpoint.CheckpointRestore(data))
        self._manager.restore(self._require(step), args=args)

    def restore_player(self, abstract_state: TrainState, player: str, step: int | None = None) -> Net:
        """One player's averaged network, for inference; nothing else of the checkpoint is read."""
        step = self._require(step)
        if player not in abstract_state.players:
            raise ValueError(f"the run has no player {player!r}; it has {', '.join(abstract_state.players)}")
        wanted = abstract_state.players[player]
        params, kind = (wanted.net.params, "net") if wanted.ema is None else (wanted.ema, "ema")
        tree = {"net": {"params": params}} if kind == "net" else {"ema": params}
        if wanted.net.stats:
            tree.setdefault("net", {})["stats"] = wanted.net.stats
        device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        item = {"players": {player: tree}}
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
            read = reader.restore(
                self.directory(step) / "state",
                args=ocp.args.PyTreeRestore(
                    item=item,
                    restore_args=jax.tree.map(lambda _: ocp.ArrayRestoreArgs(sharding=device), item),
                    partial_restore=True,
                ),
            )["players"][player]
        params = read["ema"] if kind == "ema" else read["net"]["params"]
        stats = read["net"]["stats"] if wanted.net.stats else wanted.net.stats
        return Net(params, stats, wanted.net.structure)

    def _check_shapes(self, abstract_state: TrainState, step: int) -> None:
        # Orbax finds a mismatch only while it reads, and then leaves threads that complain at exit.
        def shapes(tree):
            leaves = jax.tree_util.tree_leaves_with_path(tree)
            name = lambda path: jax.tree_util.keystr(path, simple=True, separator=".")
            return {name(path): tuple(leaf.shape) for path, leaf in leaves}

        ours, theirs = shapes(abstract_state), shapes(self._manager.item_metadata(step)["state"])
        differing = sorted(k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k))
        if differing:
            first = differing[0]
            raise ValueError(
                f"checkpoint {self.directory(step)} is of another model: {len(differing)} arrays differ, "
                f"first {first}: {theirs.get(first, 'absent')} there, {ours.get(first, 'absent')} here"
            )

    def find(self, step: int | None = None) -> int:
        """`step` if there is such a checkpoint; the best one if None.

        Raises:
          FileNotFoundError: there is none; the message names those there are.
        """
        return self._require(self.best_step if step is None else step)

    def _require(self, step: int | None) -> int:
        steps = sorted(self._manager.all_steps())
        if not steps:
            raise FileNotFoundError(f"{self._manager.directory} holds no complete checkpoint; train first")
        step = steps[-1] if step is None else step
        if step not in steps:
            raise FileNotFoundError(
                f"{self._manager.directory} has no checkpoint of step {step}; there are "
                f"{', '.join(map(str, steps))}"
            )
        return step
