"""TFDS datasets as random-access sources, without TensorFlow: built ones, and ones rendered when read.

The name of a built dataset is "dataset/config" or "dataset/config:version", where the config's name may carry
changes, as `tfds_builders.build --set` makes them: "unity_avatars/procedural_64-characters20-poses600".
`RENDER` before such a name takes the dataset's builder in place of its files.
"""

import pathlib
import re
import shlex
from typing import Any

import tensorflow_datasets as tfds

from tfds_builders import live, registry

RENDER = "render:"


class DatasetNotBuiltError(FileNotFoundError):
    """The dataset is not on disk; the message says how to build it."""


def data_dir(path: str = "") -> pathlib.Path:
    """`path`, or TFDS's own default (`TFDS_DATA_DIR`, else `~/tensorflow_datasets`)."""
    return pathlib.Path(path or tfds.core.constants.DATA_DIR).expanduser()


def _changes(name: str) -> tuple[str, list[str]]:
    """ "dataset/config-fieldvalue-..." -> "dataset/config" and ["field=value", ...].

    Raises:
      ValueError: a part is no field with a value.
    """
    # Numbers may have a minus of their own.
    base, *parts = re.split(r"-(?=[a-z])", name)
    known = sorted(registry.fields(base), key=len) if parts else []
    out = []
    for part in parts:
        field = next((f for f in reversed(known) if part.startswith(f) and part != f), None)
        if field is None:
            raise ValueError(f"data.name = {name!r}: {part!r} is no field with its value, such as poses600")
        out.append(f"{field}={part.removeprefix(field)}")
    return base, out


def build_command(name: str, directory: str = "") -> str:
    """The command that builds "dataset/config", also where the config is a changed one."""
    base, changes = _changes(name)
    words = ["python -m tfds_builders.build", base, *(f"--set={change}" for change in changes)]
    computed = base.partition("/")[2].startswith(("procedural", "benchmark"))
    words += [] if computed else ["--manual_dir=FOLDER_OF_YOUR_FILES"]
    words += [f"--data_dir={shlex.quote(directory)}"] if directory else []
    return " ".join(words)


def builder(name: str, directory: str = "") -> tfds.core.DatasetBuilder | live.Dataset:
    """The read-only builder of a dataset that is on disk, or of one that is rendered when it is read.

    Args:
      name: see the module's docstring.
      directory: TFDS data directory; "" is TFDS's default.

    Raises:
      ValueError: `name` has no config, or names none that can be rendered.
      DatasetNotBuiltError: it is not there.
    """
    root = data_dir(directory)
    if name.startswith(RENDER):
        base, changes = _changes(name.removeprefix(RENDER))
        return live.Dataset(registry.make(base, str(root), changes))
    base, _, version = name.partition(":")
    if base.count("/") != 1:
        raise ValueError(
            f"data.name = {name!r}: name a dataset and its config, e.g. unity_avatars/procedural_64"
        )
    folder = root / base
    versions = sorted(p for p in folder.glob(version or "*") if (p / "dataset_info.json").exists())
    if not versions:
        raise DatasetNotBuiltError(
            f"dataset {name} is not built in {root}; build it with: {build_command(base, directory)}"
        )
    latest = max(versions, key=lambda p: tuple(int(n) if n.isdigit() else -1 for n in p.name.split(".")))
    return tfds.builder_from_directory(latest)


def source(dataset: tfds.core.DatasetBuilder | live.Dataset, split: str) -> Any:
    """Random access to the decoded examples of a split.

    Raises:
      ValueError: there is no such split, it is empty or damaged, or it is in a format without random access.
    """
    for part in split.split("+"):
        base = part.partition("[")[0].strip()
        if base not in dataset.info.splits:
            known = ", ".join(dataset.info.splits)
            raise ValueError(f"dataset {dataset.info.full_name} has no split {base!r}; it has {known}")
    again = f"delete {dataset.data_dir} and build it again"
    try:
        examples = dataset.as_data_source(split)
        count = len(examples)
        if count:
            examples[0], examples[count - 1]
    except NotImplementedError as error:
        raise ValueError(
            f"dataset {dataset.info.full_name} was written as {dataset.info.file_format}, which has no "
            f"random access; {again}, as array_record"
        ) from error
    except (AssertionError, RuntimeError, ValueError, IndexError) as error:
        if "of 0 length" in str(error):
            raise ValueError(f"split {split!r} of {dataset.info.full_name} is empty") from error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"split {split!r} of {dataset.info.full_name} cannot be read ({reason[:200]}); is it a split? "
            f"if so, {again}"
        ) from error
    if not count:
        raise ValueError(f"split {split!r} of {dataset.info.full_name} is empty")
    return examples
