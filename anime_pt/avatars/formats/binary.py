"""Reading of little-endian binary files that may be cut short or damaged."""

import os
import pathlib
import struct
from collections.abc import Mapping
from typing import TypeVar

import numpy as np


class FormatError(ValueError):
    """A file is not what its name says, or is damaged; the message has the path and what was being read."""


_T = TypeVar("_T")


def chosen(path: pathlib.Path, magics: Mapping[bytes, _T], suffixes: Mapping[str, _T], what: str) -> _T:
    """What `magics` has for the first bytes of a file, whatever its name says, else what its suffix says.

    Args:
      magics: first bytes, whose case does not count -> what to return. Text may have a mark and space before.
      suffixes: the same for suffixes, in lower case and with their dot.
      what: the files there are, in the plural, for the message.

    Raises:
      FileNotFoundError: if there is no such file.
      FormatError: if it is none of these, or a folder.
    """
    if not path.exists():
        raise FileNotFoundError(f"no such file: {path}")
    if not path.is_file():
        raise FormatError(f"{path}: not a regular file")
    with path.open("rb") as file:
        head = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().upper()
    for magic, found in magics.items():
        if head.startswith(magic.upper()):
            return found
    if path.suffix.lower() not in suffixes:
        raise FormatError(f"{path}: {what} are files of {', '.join(suffixes)}")
    return suffixes[path.suffix.lower()]


# The largest real models have a third of this.
_MAX_FILE = 1 << 30


class Reader:
    """A cursor over the bytes of a file. Every read checks what is left before anything is allocated."""

    def __init__(self, data: bytes, path: str | os.PathLike = "<memory>"):
        self.data, self.path, self.offset = data, str(path), 0

    @classmethod
    def open(cls, path: str | os.PathLike) -> "Reader":
        """Reads a file; FileNotFoundError for a missing one, FormatError for a folder or a huge one."""
        path = pathlib.Path(path)
        if not path.exists():
            raise FileNotFoundError(f"no such file: {path}")
        if not path.is_file():
            raise FormatError(f"{path}: not a regular file")
        if path.stat().st_size > _MAX_FILE:
            raise FormatError(f"{path}: is larger than {_MAX_FILE >> 20} MiB")
        return cls(path.read_bytes(), path)

    @property
    def remaining(self) -> int:
        """Bytes after the cursor."""
        return len(self.data) - self.offset

    def error(self, what: str) -> FormatError:
        """The exception to raise about the current place."""
        return FormatError(f"{self.path}: {what} (at byte {self.offset} of {len(self.data)})")

    def take(self, size: int, what: str) -> bytes:
        """The next `size` bytes."""
        if size < 0 or size > self.remaining:
            raise self.error(f"{what} needs {size} bytes, {self.remaining} are left")
        self.offset += size
        return self.data[self.offset - size : self.offset]

    def scalar(self, code: str, what: str):
        """One number by its `struct` code."""
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code), what))[0]

    def floats(self, count: int, what: str) -> tuple[float, ...]:
        """`count` float32 numbers."""
        return struct.unpack(f"<{count}f", self.take(4 * count, what))

    def count(self, code: str, item_size: int, what: str) -> int:
        """A number of items of at least `item_size` bytes each; there must be room for all."""
        count = self.scalar(code, f"number of {what}")
        if count < 0 or count * item_size > self.remaining:
            raise self.error(f"{count} {what} do not fit into the {self.remaining} bytes left")
        return count

    def array(self, dtype: np.dtype, count: int, what: str) -> np.ndarray:
        """`count` items of a (structured) dtype; a read-only view of the file."""
        dtype = np.dtype(dtype)
        return np.frombuffer(self.take(dtype.itemsize * count, what), dtype, count)
