"""Which poses training does not see, so that what is made of them can be measured.

In datasets whose figures all take the same poses, a pose has a number, `pose.index`. Every fifth pose, 4, 9,
14 and so on, is unseen, whoever is in it, in every dataset, whatever its number of poses. So the unseen
poses of procedural characters are those of MMD models, too, where both were made with the same seed. Poses
that were cut from motions have numbers, too, but one that is unseen has neighbours that are seen.

`data.poses` chooses: "all"; "seen", without any picture in an unseen pose; "unseen", for evaluation: pairs
lead from a seen pose into an unseen one, single pictures are in unseen ones.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from tfds_builders import live

ALL, SEEN, UNSEEN = POSES = ("all", "seen", "unseen")
_EVERY = 5


def unseen(pose: int) -> bool:
    """Whether a pose is held out, by its number."""
    return pose % _EVERY == _EVERY - 1


def check(poses: str, training: bool = False) -> None:
    """Raises ValueError unless `poses` is one of `POSES`, and fit for training if this is for training."""
    if poses not in POSES:
        raise ValueError(f"data.poses = {poses!r}: use {', '.join(POSES)}")
    if training and poses == UNSEEN:
        raise ValueError("data.poses = 'unseen' is for evaluation; train with 'seen'")


def poses(dataset: tfds.core.DatasetBuilder | live.Dataset, examples: Sequence[Any], split: str) -> list[int]:
    """The number of the pose on each picture of a split, in order. Read once in a process, then remembered.

    Args:
      dataset, examples: of `sources.builder` and `sources.source`.
      split: name, or a part by TFDS's syntax.

    Raises:
      ValueError: the dataset does not say, or a number does not stand for one pose.
    """
    key = (str(dataset.data_dir), dataset.info.full_name, split, len(examples))
    if key not in _known:
        name = dataset.info.full_name
        lines = _live(examples) if isinstance(dataset, live.Dataset) else _built(dataset, split)
        found: dict[int, bytes] = {}
        out = []
        for number, what in lines:
            if number is None or found.setdefault(number, what) != what:
                raise ValueError(
                    f"{name}: its characters do not take the same poses, so none can be held out; take "
                    "data.poses = 'all', or a dataset with shared_poses, such as unity_avatars/benchmark_128"
                )
            out.append(number)
        _known[key] = out
    return _known[key]


_known: dict[tuple[str, str, str, int], list[int]] = {}


def _live(examples: Any) -> Iterable[tuple[int | None, bytes]]:
    return ((number, b"") for number in examples.poses())


def _built(dataset: tfds.core.DatasetBuilder, split: str) -> Iterable[tuple[int | None, bytes]]:
    """Numbers of poses, and what must be equal where these are."""
    features = dataset.info.features
    if "pose" not in features or "index" not in features["pose"]:
        yield None, b""
        return
    pictures = [name for name, feature in features.items() if isinstance(feature, tfds.features.Image)]
    skip = dict.fromkeys(pictures, tfds.decode.SkipDecoding())
    for example in dataset.as_data_source(split, decoders=skip):
        pose = example["pose"]
        what = example["motion"] + np.float32(pose["seconds"]).tobytes() + pose["parameters"].tobytes()
        yield int(pose["index"]), what


class Part(Sequence):
    """The examples of a split in seen, or in unseen, poses. Pickles."""

    def __init__(self, examples: Sequence[Any], numbers: Sequence[int], poses: str, name: str):
        """Of the pose on each example, by number; `name` is of the split."""
        wanted = {SEEN: False, UNSEEN: True}[poses]
        self._examples, self._name = examples, f"{name}, {poses} poses"
        self._places = [place for place, number in enumerate(numbers) if unseen(number) is wanted]
        if not self._places:
            raise ValueError(f"{name} has no picture in {poses} poses")

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Any:
        return self._examples[self._places[index]]

    def __repr__(self) -> str:
        # Grain compares it when an iterator continues.
        return f"part(of={self._name!r})"
