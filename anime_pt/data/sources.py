"""Built TFDS datasets as random-access sources, without TensorFlow."""

import pathlib
from typing import Any

import tensorflow_datasets as tfds


class DatasetNotBuiltError(FileNotFoundError):
    """The dataset is not on disk; the message says how to build it."""


def data_dir(path: str = "") -> pathlib.Path:
    """`path`, or TFDS's own default (`TFDS_DATA_DIR`, else `~/tensorflow_datasets`)."""
    return pathlib.Path(path or tfds.core.constants.DATA_DIR).expanduser()


def builder(name: str, directory: str = "") -> tfds.core.DatasetBuilder:
    """The read-only builder of a dataset that is on disk.

    Args:
      name: "dataset/config" or "dataset/config:version".
      directory: TFDS data directory; "" is TFDS's default.

    Raises:
      DatasetNotBuiltError: it is not there.
    """
    root = data_dir(directory)
    base, _, version = name.partition(":")
    folder = root / base
    versions = sorted(p for p in folder.glob(version or "*") if (p / "dataset_info.json").exists())
    if not versions:
        where = f" --data_dir={directory}" if directory else ""
        raise DatasetNotBuiltError(
            f"dataset {name} is not built in {root}; build it with: "
            f"python -m tfds_builders.build {base}{where}"
        )
    latest = max(versions, key=lambda p: tuple(int(n) if n.isdigit() else -1 for n in p.name.split(".")))
    return tfds.builder_from_directory(latest)


def source(dataset: tfds.core.DatasetBuilder, split: str) -> Any:
    """Random access to the decoded examples of a split.

    Raises:
      ValueError: there is no such split, or the dataset was written as tfrecord, which needs TensorFlow.
    """
    base = split.partition("[")[0]
    if base not in dataset.info.splits:
        known = ", ".join(dataset.info.splits)
        raise ValueError(f"dataset {dataset.info.full_name} has no split {base!r}; it has {known}")
    try:
        return dataset.as_data_source(split)
    except NotImplementedError as error:
        raise ValueError(
            f"dataset {dataset.info.full_name} was written as {dataset.info.file_format}, which has no "
            "random access; build it again with --file_format=array_record"
        ) from error
