"""Pairs of pictures of one person, source and target, beside a built dataset.

`pairs.json` in the dataset's folder has, for each split, the indices of sources and targets among the split's
examples, and the file that they are from ("" where they follow from the rule):

    {"version": 1,
     "splits": {"test": {"source": [0, ...], "target": [1, ...], "file": "market-pairs-test.csv"}, ...}}

The rule is that of the public code: ordered pairs of two pictures of one person, both with shoulders and
hips; of a test split at most 12,000, drawn as pandas draws them with `random_state=0`, so the same ones.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from anime_pt.pose import files
from anime_pt.pose.skeletons import OPENPOSE_18
from tfds_builders.mmd_pairs.pairs import choose

NAME = "pairs.json"
SAMPLED = 12_000
_TRUNK = [OPENPOSE_18.index(f"{side}_{joint}") for joint in ("shoulder", "hip") for side in ("left", "right")]


def pairs(builder_dir: str | pathlib.Path, split: str) -> list[tuple[int, int]]:
    """Source and target of every pair of a split, as indices of its examples (`source[i]`).

    Args:
      builder_dir: folder of the built dataset, `builder.data_dir`.
      split: a whole one, "train" or "test".

    Raises:
      FileNotFoundError: no pairs stand there.
      ValueError: there is no such split.
    """
    path = pathlib.Path(builder_dir) / NAME
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is not there; deepfashion and market1501 have pairs: build one of them"
        )
    splits = files.load_json(path)["splits"]
    if split not in splits:
        raise ValueError(f"{path} has no pairs of split {split!r}; it has {', '.join(splits)}")
    return list(zip(splits[split]["source"], splits[split]["target"], strict=True))


def save(builder_dir: str | pathlib.Path, found: Mapping[str, tuple[Int[np.ndarray, "n 2"], str]]) -> None:
    """Writes the pairs of all splits, and the names of the files that they are from."""
    splits: dict[str, Any] = {}
    for split, (of_split, file) in found.items():
        source, target = np.reshape(of_split, (-1, 2)).T.tolist()
        splits[split] = {"source": source, "target": target, "file": file}
    files.save_json(pathlib.Path(builder_dir) / NAME, {"version": 1, "splits": splits})


def whole(keypoints: Float[np.ndarray, "n 18 3"]) -> Bool[np.ndarray, " n"]:
    """Whether both shoulders and both hips are known, joints in the order of `OPENPOSE_18`."""
    return np.isfinite(keypoints[:, _TRUNK, 0]).all(1)


def by_rule(persons: Sequence[str], complete: Bool[np.ndarray, " n"], split: str) -> Int[np.ndarray, "m 2"]:
    """The pairs of a split of which no file says them, by the rule above.

    Args:
      persons: of each picture.
      complete: of each picture, see `whole`.
      split: "test" is sampled.
    """
    which = np.flatnonzero(complete)
    found = which[choose([persons[i] for i in which])]
    if split == "test":
        # What `DataFrame.sample(n, replace=False, random_state=0)` takes, in its order.
        found = found[np.random.RandomState(0).permutation(len(found))[:SAMPLED]]
    return found


def by_name(
    named: Sequence[tuple[str, str]], indices: Mapping[str, int]
) -> tuple[Int[np.ndarray, "m 2"], list[str]]:
    """Named pairs as indices, and the names that have none; pairs with one of these are left out."""
    absent = sorted({name for pair in named for name in pair if name not in indices})
    found = [(indices[a], indices[b]) for a, b in named if a in indices and b in indices]
    return np.array(found, np.int64).reshape(-1, 2), absent
