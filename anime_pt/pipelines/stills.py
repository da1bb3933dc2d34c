"""Folders of numbered PNG files, which continue where they stopped."""

import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import cv2
import numpy as np

from anime_pt.pose import files

JOURNAL = "clip.jsonl"
# Level 3 of 9: a quarter of the time of the usual 6 for a tenth more bytes.
_OPTIONS = (cv2.IMWRITE_PNG_COMPRESSION, 3)


def name(index: int) -> str:
    """File name of a frame."""
    return f"frame_{index:05d}.png"


def save(path: pathlib.Path, image: np.ndarray) -> None:
    """Writes (h, w, 3 or 4) uint8 as a PNG file, which appears when it is complete."""
    swapped = cv2.cvtColor(image, cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    done, data = cv2.imencode(".png", swapped, _OPTIONS)
    if not done:
        raise ValueError(f"{path}: a picture of shape {image.shape} cannot be written as PNG")
    with files.whole(path) as temporary:
        temporary.write_bytes(data)


def write(folder: pathlib.Path, frames: Iterable[np.ndarray]) -> None:
    """Writes frames as frame_00000.png and so on.

    Raises:
      FileExistsError: the folder has frames already.
    """
    if any(folder.glob("frame_*.png")):
        raise FileExistsError(f"{folder} has frames already: delete them, or name another folder")
    for i, frame in enumerate(frames):
        save(folder / name(i), frame)


class Sequence:
    """A folder of frames that remembers what it is of, and what was found out about each frame.

    `clip.jsonl` holds the settings in its first line and a row for each finished frame.

    Attributes:
      folder: where.
      rows: of the finished frames.
    """

    def __init__(self, folder: pathlib.Path, settings: Mapping[str, Any]):
        """Opens a folder, or begins a new one.

        Args:
          folder: may be there, with the beginning of the same clip.
          settings: of the clip, as JSON; the frames of other settings are not continued.

        Raises:
          FileExistsError: the folder has frames of another clip, or frames that nothing is known of.
        """
        self.folder = folder
        self._journal = folder / JOURNAL
        settings = json.loads(json.dumps(settings))
        lines = _complete_lines(self._journal)
        if lines:
            before = json.loads(lines[0])
            changed = [k for k in {**before, **settings} if before.get(k) != settings.get(k)]
            if changed:
                raise FileExistsError(
                    f"{folder} has frames of another clip (it differs in {', '.join(changed)}): delete it, "
                    "or name another folder"
                )
        elif any(folder.glob("frame_*.png")):
            raise FileExistsError(f"{folder} has other frames: delete them, or name another folder")
        self._settings = settings
        rows = [json.loads(line) for line in lines[1:]]
        lost = (i for i in range(len(rows)) if not (folder / name(i)).exists())
        self.rows = rows[: next(lost, len(rows))]
        self._begun = False

    def add(self, image: np.ndarray, row: Mapping[str, Any]) -> None:
        """Writes the next frame, then what is known of it."""
        if not self._begun:
            # Anew, because the last line may be torn.
            with files.whole(self._journal) as temporary:
                lines = [json.dumps(line, ensure_ascii=False) + "\n" for line in (self._settings, *self.rows)]
                temporary.write_text("".join(lines), encoding="utf-8")
            self._begun = True
        save(self.folder / name(len(self.rows)), image)
        with self._journal.open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(row) + "\n")
        self.rows.append(dict(row))


def _complete_lines(path: pathlib.Path) -> list[str]:
    if not path.exists():
        return []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        for line in lines:
            json.loads(line)
        return lines
    except ValueError as error:
        raise FileExistsError(f"{path} is damaged: delete the folder, or name another one") from error
