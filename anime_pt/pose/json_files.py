"""JSON in and out: size-limited reading, writing that leaves the old file until the new one is complete."""

import json
import pathlib
from typing import Any

from anime_pt.pose.sequences import PoseFileError

# COCO's largest keypoint file has 0.24 GB.
_LARGEST = 1 << 30


def load(path: pathlib.Path) -> Any:
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


def save(path: pathlib.Path, document: Any) -> None:
    """Writes a JSON file; its folder is made, and the file appears when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".writing-{path.name}")
    try:
        temporary.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
