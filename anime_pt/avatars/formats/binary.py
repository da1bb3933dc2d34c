"""Reading of little-endian binary files that may be cut short or damaged."""

import os
import pathlib
import struct

import numpy as np


class FormatError(ValueError):
    """A file is not what its name says, or is damaged; the message has the path and what was being read."""


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
