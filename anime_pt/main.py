"""Trains or evaluates: `python -m anime_pt.main --config=configs/psgan.py --workdir=runs/psgan`."""

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
    "watch: the same for the newest checkpoint, again and again, until training is done.",
)
_STEP = flags.DEFINE_integer("step", None, "Checkpoint to evaluate (default: the best one, or the latest).")
flags.mark_flags_as_required(["config", "workdir"])


def main(_: Sequence[str]) -> None:
    # After the flags are parsed, so that --help and a mistyped flag answer at once.
    from anime_pt import evaluate, train
    from anime_pt.data import pipeline, sources

    command.keep_compiled()
    command.keep_memory()
    config, workdir = _CONFIG.value, pathlib.Path(_WORKDIR.value)
    if _MODE.value != "train":
        # A run may be evaluated on other data than its own.
        train.compare_configs(config, workdir, free=(*train.FREE_FIELDS, "data"))
    try:
        if not pipeline.is_computed(config):
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

    if _MODE.value == "watch":
        evaluate.run(config, workdir, watching=True)
        return
    # They compile for a while: once, not for every checkpoint.
    from anime_pt import judges

    evaluate.run(config, workdir, _STEP.value, judging=judges.Judge)


if __name__ == "__main__":
    command.run(main)
