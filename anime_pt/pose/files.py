"""Files that are whole or not there, and JSON of limited size."""

import collections
import contextlib
import json
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

from anime_pt.pose.sequences import PoseFileError

# COCO's largest keypoint file has 0.24 GB.
_LARGEST = 1 << 30


def check(path: pathlib.Path, folder: bool = False) -> None:
    """Raises OSError, naming what is in the way, if a file (or a folder of files) cannot be written.

    To be asked before work that takes long.
    """
    path = path.absolute()
    if not folder and path.is_dir():
        raise IsADirectoryError(f"{path} cannot be written: it is a folder")
    place = path if folder else path.parent
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        tempfile.TemporaryFile(dir=place).close()
    except OSError as error:
        raise type(error)(f"{path} cannot be written: {place}: {error.strerror}") from error


@contextlib.contextmanager
def whole(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A path beside `path` to write to; it takes the name once the block ends without an exception.

    Folders above are made. Whatever goes wrong, a file that had the name stays, and nothing else is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".writing-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def stems(names: list[str]) -> list[str]:
    """Names without suffixes, whole where two would be the same (also for systems that know no capitals)."""
    short = [pathlib.Path(name).stem for name in names]
    counts = collections.Counter(stem.casefold() for stem in short)
    return [n if counts[s.casefold()] > 1 else s for n, s in zip(names, short, strict=True)]


def load_json(path: pathlib.Path) -> Any:
    """What a JSON file holds.

    Raises:
      FileNotFoundError: no such file.
      PoseFileError: not JSON, or larger than a pose file can be.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no pose file {path}")
    if path.stat().st_size > _LARGEST:
        raise PoseFileError(f"{path} is too large for a pose file: over 1 GiB")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise PoseFileError(f"{path} is not JSON: {error}") from error


def save_json(path: pathlib.Path, document: Any) -> None:
    """Writes a JSON file, see `whole`."""
    with whole(path) as temporary:
        temporary.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
