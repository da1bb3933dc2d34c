"""Trains or evaluates: `python -m anime_pt.main --config=configs/psgan.py --workdir=runs/psgan`."""

import json
import os
import pathlib
from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from anime_pt import command

_CONFIG = config_flags.DEFINE_config_file("config", None, "Experiment, e.g. configs/psgan.py:demo.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run: checkpoints, metrics, samples.")
_MODE = flags.DEFINE_enum(
    "mode",
    "train",
    ["train", "eval", "watch"],
    "train: train, or continue what the workdir holds. eval: metrics and a sheet of one checkpoint. "
    "watch: the same for every new checkpoint, until training is done.",
)
_STEP = flags.DEFINE_integer("step", None, "Checkpoint to evaluate (default: the best one, or the latest).")
flags.mark_flags_as_required(["config", "workdir"])


def main(_: Sequence[str]) -> None:
    # After the flags are parsed, so that --help and a mistyped flag answer at once.
    import jax

    from anime_pt import evaluate, metric_writer, recipe, sharding, train
    from anime_pt.checkpoint import Checkpoints
    from anime_pt.data import sources

    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "anime_pt" / "xla"
    if not jax.config.jax_compilation_cache_dir:
        jax.config.update("jax_compilation_cache_dir", str(cache))

    config, workdir = _CONFIG.value, pathlib.Path(_WORKDIR.value)
    if _MODE.value != "train" and not (workdir / train.CONFIG_FILE).exists():
        raise FileNotFoundError(f"{workdir} holds no run; train first")
    try:
        sources.builder(config.data.name, config.data.data_dir)
    except sources.DatasetNotBuiltError:
        if not config.data.prepare:
            raise
        from tfds_builders import build

        build.prepare(config.data.name, config.data.data_dir)

    if _MODE.value == "train":
        train.train(config, workdir)
        print(f"done: see {workdir / 'samples'} and {workdir / 'curves.png'}")
        return

    algorithm = recipe.make(config)
    mesh = sharding.make_mesh(config.mesh.data, config.mesh.spatial)

    def open_checkpoints() -> Checkpoints:
        return Checkpoints(
            workdir,
            best_metric=config.checkpoint.best_metric,
            best_mode=config.checkpoint.best_mode,
            read_only=True,
        )

    def evaluate_step(checkpoints: Checkpoints, step: int) -> None:
        metrics, sheet = evaluate.evaluate_checkpoint(algorithm, config, mesh, checkpoints, step)
        result = json.dumps({"step": step} | metrics, indent=2)
        metric_writer.write_atomically(workdir / "eval" / f"{step:08d}.json", (result + "\n").encode())
        metric_writer.save_image(workdir / "eval" / f"{step:08d}.png", sheet)
        print(result, flush=True)

    if _MODE.value == "watch":
        evaluate.watch(open_checkpoints, evaluate_step, algorithm.stages[-1].stop)
        return
    with open_checkpoints() as checkpoints:
        step = checkpoints.best_step if _STEP.value is None else _STEP.value
        if step is None:
            raise FileNotFoundError(f"{workdir} holds no checkpoint; train first")
        evaluate_step(checkpoints, step)


if __name__ == "__main__":
    command.run(main)
