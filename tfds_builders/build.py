"""Builds a dataset without TensorFlow: `python -m tfds_builders.build unity_avatars/procedural_64`.

`tfds build` itself imports TensorFlow and Apache Beam; it works on these builders where both are installed.
With `--beam_runner` shards are written by an Apache Beam pipeline; see README.md beside this file.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import tensorflow_datasets as tfds
from absl import flags

from anime_pt import command
from tfds_builders import registry

_DATA_DIR = flags.DEFINE_string("data_dir", "", "Where datasets live (default: TFDS's own folder).")
_MANUAL_DIR = flags.DEFINE_string("manual_dir", "", "Folder of the files that you provide, such as models.")
_PROCESSES = flags.DEFINE_integer(
    "processes", 0, "How many processes write (default: one for each core).", lower_bound=0
)
_FILE_FORMAT = flags.DEFINE_enum(
    "file_format", "array_record", ["array_record", "tfrecord"], "tfrecord needs TensorFlow."
)
_BEAM_RUNNER = flags.DEFINE_string("beam_runner", "", "Writes on Apache Beam, e.g. DirectRunner.")
_BEAM_OPTIONS = flags.DEFINE_list(
    "beam_options",
    [],
    "Options of the Beam pipeline, e.g. direct_running_mode=multi_processing,direct_num_workers=4.",
)
_SET = flags.DEFINE_multi_string(
    "set",
    [],
    "Changes a field of the builder config, e.g. --set=characters=20; builds under a name of its own.",
)


def prepare(
    name: str,
    data_dir: str = "",
    manual_dir: str = "",
    processes: int = 0,
    file_format: str = "array_record",
    changes: Sequence[str] = (),
    beam_runner: str = "",
    beam_options: Sequence[str] = (),
) -> tfds.core.DatasetBuilder:
    """Builds a dataset unless it is already there; returns its builder.

    Args:
      name, data_dir, changes: see `registry.make`.
      manual_dir: the folder of files that the user provides; "" is TFDS's own, `DATA_DIR/downloads/manual`.
      processes: how many write; 0 takes one for each core.
      file_format: "array_record" or "tfrecord".
      beam_runner: name of an Apache Beam runner, which then takes the place of the processes.
      beam_options: of its pipeline, as "option=value".

    Raises:
      ValueError: it is there in another format, or there are options for Beam without a runner.
      OSError: the disk is full, Beam is not installed, or its pipeline failed.
    """
    if beam_options and not beam_runner:
        raise ValueError("--beam_options needs --beam_runner, e.g. --beam_runner=DirectRunner")
    builder = registry.make(name, data_dir, changes)
    there = builder.info.file_format
    if (pathlib.Path(builder.data_dir) / "dataset_info.json").exists() and there.value != file_format:
        raise ValueError(
            f"{builder.info.full_name} is built already, as {there.value}; delete {builder.data_dir} to "
            f"build it as {file_format}"
        )
    builder.processes = processes
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(
            manual_dir=manual_dir or None,
            compute_stats=tfds.download.ComputeStatsMode.SKIP,
            beam_runner=beam_runner or None,
            beam_options=_pipeline_options(beam_options) if beam_runner else None,
        ),
        file_format=file_format,
    )
    return builder


def _pipeline_options(options: Sequence[str]) -> Any:
    try:
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise OSError("Apache Beam is not installed: pip install 'anime_pt[beam]'") from error
    return PipelineOptions([f"--{option}" for option in options])


def _main(argv: Sequence[str]) -> None:
    if len(argv) < 2:
        raise ValueError(
            f"name a dataset, e.g. unity_avatars/procedural_64; known: {', '.join(registry.names())}"
        )
    for name in argv[1:]:
        builder = prepare(
            name,
            _DATA_DIR.value,
            _MANUAL_DIR.value,
            _PROCESSES.value,
            _FILE_FORMAT.value,
            _SET.value,
            _BEAM_RUNNER.value,
            _BEAM_OPTIONS.value,
        )
        counts = ", ".join(f"{split}: {info.num_examples}" for split, info in builder.info.splits.items())
        print(f"{builder.info.full_name} is in {builder.data_dir} ({counts})")


if __name__ == "__main__":
    command.run(_main, arguments=True)
