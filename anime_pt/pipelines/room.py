"""Clips that outgrow the disk: ended while there is still room to end them, so that what there is plays."""

import errno
import os
import pathlib
import shutil
from collections.abc import Iterable, Iterator

import numpy as np

# Bytes that are left free, and how many frames encoders hold back at most, of which they make a tenth.
_LEFT, _HELD = 16 << 20, 80


class Room:
    """Watches the disk that a clip is written to.

    Attributes:
      count: frames that were let through.
      full: whether the disk was nearly full behind these.
    """

    def __init__(self, path: str | pathlib.Path):
        """Takes the file or folder that will be written."""
        self._path = pathlib.Path(path)
        self.count, self.full = 0, False

    def frames(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The frames, as many as there is room for; raises OSError (ENOSPC) without any for the first."""
        for frame in frames:
            if self._free() < _LEFT + _HELD * frame.nbytes // 10:
                self.full = True
                if not self.count:
                    raise _full("nothing was written")
                return
            self.count += 1
            yield frame

    def check(self, total: int) -> None:
        """Raises OSError (ENOSPC) if not all frames were written; the message says what is there."""
        if self.full:
            raise _full(f"{self._path} has the first {self.count} of {total} frames")

    def _free(self) -> int:
        folder = self._path.absolute()
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free


def _full(what: str) -> OSError:
    return OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {what}")
