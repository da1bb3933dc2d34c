"""Datasets that are rendered while they are read, instead of built: nothing is on disk, nothing runs out.

Example i of a split equals example i of the built split, bit for bit: it is a function of the builder's
config and of i. So the rest of a pipeline (shuffling, positions of iterators) stays what it is.
"""

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow_datasets as tfds

from tfds_builders import sharded


class Dataset:
    """A builder that has not built anything, seen as one that has.

    Attributes:
      info: TFDS's description, with the splits that a build would have.
      data_dir: of the files that the user provides, "" if there are none.
    """

    def __init__(self, builder: sharded.ShardedBuilder):
        """Finds out what there is; renders nothing.

        Files of the user's, such as models, are looked for where TFDS does: in `downloads/manual` below the
        data directory.

        Raises:
          ValueError: the dataset is not computed, or has not enough characters.
          FileNotFoundError: it needs files, and there are none.
        """
        manual_dir = None
        if builder.needs_manual_dir:
            manual_dir = pathlib.Path(builder.data_dir_root) / "downloads" / "manual"
            if not manual_dir.is_dir():
                raise FileNotFoundError(
                    f"{builder.info.full_name} needs your files: put them (or a link to them) in {manual_dir}"
                )
        self.info = builder.info
        self.data_dir = str(manual_dir or "")
        self._examples = builder.examples(manual_dir)
        self.info.set_splits(
            tfds.core.splits.SplitDict(
                tfds.core.SplitInfo(name=name, shard_lengths=[len(examples)], num_bytes=0)
                for name, examples in self._examples.items()
            )
        )

    def as_data_source(self, split: str) -> Sequence[dict[str, Any]]:
        """Random access to a split or, by TFDS's syntax ("train[:10%]"), a part of it.

        Raises:
          ValueError: there is no such split.
        """
        parts = tfds.core.ReadInstruction.from_spec(split).to_absolute(self.info.splits)
        runs = []
        for part in parts:
            examples = self._examples[part.splitname]
            runs.append((examples, *slice(part.from_, part.to).indices(len(examples))[:2]))
        return _Parts(self.info.full_name, split, tuple(runs))


@dataclasses.dataclass(frozen=True, repr=False)
class _Parts(Sequence):
    """Runs of examples, one after another. Pickles, so that worker processes can read."""

    name: str
    split: str
    runs: tuple[tuple[Sequence[dict[str, Any]], int, int], ...]

    def __len__(self) -> int:
        return sum(stop - start for _, start, stop in self.runs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        left = index
        for examples, start, stop in self.runs:
            if left < stop - start:
                return examples[start + left]
            left -= stop - start
        raise IndexError(f"example {index} of {len(self)}")

    def who(self) -> Iterator[tuple[str, str, int]]:
        """Who is shown, in order, without drawing anything: character, costume, how many in a row."""
        for examples, start, stop in self.runs:
            begin = 0
            for character, costume, count in examples.who():
                inside = min(begin + count, stop) - max(begin, start)
                if inside > 0:
                    yield character, costume, inside
                begin += count

    def poses(self) -> Iterator[int | None]:
        """The number of the pose on each example, in order; None where figures take poses of their own."""
        for examples, start, stop in self.runs:
            yield from map(examples.pose, range(start, stop))

    def __repr__(self) -> str:
        # Grain compares it when an iterator continues.
        return f"rendered(name={self.name!r}, split={self.split!r})"
