"""What every kind of `unity_avatars` is made of: examples by index, and the shards that they are cut into."""

import abc
import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np

from anime_pt.avatars.character import Terms
from tfds_builders import sharded
from tfds_builders.unity_avatars import pictures


class Examples(Sequence):
    """A split: random access to its examples as TFDS reads them back. Pickles.

    Subclasses define `__len__`, `make`, `cut`, `files` and `who`.
    """

    @abc.abstractmethod
    def make(self, index: int) -> tuple[str, dict[str, Any]]:
        """Key and features of an example; image and mask as (h, w, c) uint8 arrays."""

    @abc.abstractmethod
    def cut(self, start: int, stop: int) -> tuple[Self, int]:
        """Examples that hold those from start to stop and little more, and the place of the first in them."""

    @abc.abstractmethod
    def files(self) -> tuple[tuple[str, Terms], ...]:
        """Paths and terms of what the examples are made from, for the card."""

    @abc.abstractmethod
    def who(self) -> Iterator[tuple[str, str, int]]:
        """Who is shown, in order: character, costume ("" where there is none), how many examples in a row."""

    def pose(self, index: int) -> int | None:
        """The number of an example's pose, if all figures take the same poses."""
        return None

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(f"example {index} of {len(self)}")
        return _as_read(self.make(index)[1])

    def shards(self, size: int) -> list[sharded.Shard]:
        """Cuts the split into runs of about `size` examples, equal but for one."""
        bounds = np.linspace(0, len(self), max(1, round(len(self) / size)) + 1).round().astype(int).tolist()
        out = []
        for start, stop in itertools.pairwise(bounds):
            part, first = self.cut(start, stop)
            out.append(sharded.Shard(_Run(part, first, stop - start), stop - start, part.files()))
        return out


@dataclasses.dataclass(frozen=True)
class _Run:
    examples: Examples
    start: int
    count: int

    def __call__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for index in range(self.start, self.start + self.count):
            key, example = self.examples.make(index)
            yield key, example | {name: pictures.png(example[name]) for name in ("image", "mask")}


def _as_read(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_read(v) for name, v in value.items()}
    if isinstance(value, str):
        return value.encode()
    return value.item() if isinstance(value, np.generic) else value
