"""Exports of built datasets for programs that do not read TFDS.

`coco`: COCO keypoints.

    images/SPLIT/*.png
    annotations/person_keypoints_SPLIT.json   seventeen joints, as `anime_pt.pose.coco` writes them

`imagefolder`: Hugging Face's imagefolder, `datasets.load_dataset("imagefolder", data_dir=...)`.

    SPLIT/*.png
    SPLIT/metadata.jsonl                      a line for each example: file_name (of pairs
                                              anime_image_file_name and human_image_file_name),
                                              keypoints [[x, y, visibility], ...] with null where unknown, and
                                              everything else that is small

`patn`: what PATN, pose-gan and their successors read.

    SPLIT/*.png
    annotation-SPLIT.csv                      name:keypoints_y:keypoints_x, 18 joints in OpenPose's order,
                                              whole pixels, -1 and -1 if a joint is unknown or outside
    pairs-SPLIT.csv                           from,to: frames of one character in one costume
    SPLIT.lst                                 the names

Pictures are the stored files, byte for byte: .png, or .jpg where a dataset keeps JPEG. The data card, which
has the licences, goes along. The folder appears when it is complete.
"""

import json
import math
import pathlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import tensorflow_datasets as tfds
from tqdm import tqdm

from anime_pt.data import sources
from anime_pt.pose import coco
from anime_pt.pose.sequences import PoseSequence
from anime_pt.pose.skeletons import AVATAR_20, OPENPOSE_18, Skeleton
from tfds_builders.mmd_pairs import pairs

FORMATS = ("coco", "imagefolder", "patn")
# PATN's pairs need a whole trunk.
_TRUNK = ("left_hip", "right_hip", "left_shoulder", "right_shoulder")


class Split:
    """A split of a built dataset, with pictures as PNG bytes.

    Attributes:
      name: of the split.
      views: names of the features that are pictures with keypoints beside them.
    """

    def __init__(self, builder: tfds.core.DatasetBuilder, name: str):
        features = builder.info.features
        pictures = [n for n, f in features.items() if isinstance(f, tfds.features.Image)]
        keypoints = lambda image: image.removesuffix("image") + "keypoints"
        self.name = name
        self.views = sorted(n for n in pictures if n.endswith("image") and keypoints(n) in features)
        if not self.views:
            raise ValueError(f"{builder.info.full_name} has no pictures with keypoints")
        self.skeletons = {v: _skeleton(features[keypoints(v)].shape[0]) for v in self.views}
        self.sizes = {v: features[v].shape[:2] for v in self.views}
        self._texts = [n for n, f in features.items() if isinstance(f, tfds.features.Text)]
        self._pictures = pictures
        if "[" in name:
            raise ValueError(f"--split={name}: name whole splits: {', '.join(builder.info.splits)}")
        sources.source(builder, name)  # Says what is wrong with a split.
        decoders = dict.fromkeys(pictures, tfds.decode.SkipDecoding())
        self._source = builder.as_data_source(name, decoders=decoders)
        self._title = f"{builder.info.full_name} {name}"

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """File name without suffix, and features; texts as str."""
        for i in tqdm(range(len(self._source)), unit="example", desc=self._title):
            example = self._source[i]
            yield f"{self.name}_{i:06d}", example | {n: example[n].decode() for n in self._texts}

    def view(self, name: str) -> str:
        """The feature of that name, or the first one for ""; ValueError with those there are."""
        if name and name not in self.views:
            raise ValueError(f"--image={name}: there are {', '.join(self.views)}")
        return name or self.views[0]

    def small(self, example: Mapping[str, Any]) -> dict[str, Any]:
        """Everything but the pictures, as JSON."""
        return {name: _plain(value) for name, value in example.items() if name not in self._pictures}


def _skeleton(count: int) -> Skeleton:
    for skeleton in (AVATAR_20, OPENPOSE_18):
        if len(skeleton) == count:
            return skeleton
    raise ValueError(f"keypoints of {count} joints are of no known skeleton")


def _suffix(picture: bytes) -> str:
    return ".jpg" if picture.startswith(b"\xff\xd8") else ".png"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(v) for name, v in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list):
        return [_plain(v) for v in value]
    # JSON has no NaN.
    return None if isinstance(value, float) and not math.isfinite(value) else value


def export(
    name: str,
    to: str,
    out: str | pathlib.Path,
    splits: Sequence[str] = (),
    data_dir: str = "",
    image: str = "",
    count: int = 0,
    seed: int = 0,
) -> None:
    """Writes a built dataset into a new folder.

    Args:
      name: "dataset/config".
      to: "coco", "imagefolder" or "patn".
      out: the folder.
      splits: none: all.
      data_dir: of TFDS; "" is its default.
      image: which pictures coco and patn take; "": the only ones, or anime_image.
      count: pairs of each split for patn; 0 takes all.
      seed: of the choice of pairs.

    Raises:
      FileExistsError: the folder exists.
      FileNotFoundError: the dataset is not built.
      ValueError: no such split or pictures, or pairs are asked of a dataset without characters.
    """
    if name.startswith(sources.RENDER):
        raise ValueError(f"{name} is rendered when it is read; build it to export it")
    builder = sources.builder(name, data_dir)
    out = pathlib.Path(out)
    if out.exists():
        raise FileExistsError(f"{out} exists; name another folder, or delete it")
    found = [Split(builder, split) for split in splits or builder.info.splits]
    writers: dict[str, Callable[[Split, pathlib.Path], None]] = {
        "coco": lambda split, folder: _coco(split, folder, image),
        "imagefolder": _imagefolder,
        "patn": lambda split, folder: _patn(split, folder, image, count, seed),
    }
    temporary = out.with_name(f".writing-{out.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        for split in found:
            writers[to](split, temporary)
        for card in ("DATA_CARD.md", "data_card.json"):
            if (pathlib.Path(builder.data_dir) / card).exists():
                shutil.copy(pathlib.Path(builder.data_dir) / card, temporary / card)
        temporary.replace(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _coco(split: Split, folder: pathlib.Path, image: str) -> None:
    view = split.view(image)
    images, annotations = folder / "images" / split.name, folder / "annotations"
    images.mkdir(parents=True)
    annotations.mkdir(exist_ok=True)
    names, points, boxes = [], [], []
    for name, example in split:
        names.append(name + _suffix(example[view]))
        (images / names[-1]).write_bytes(example[view])
        points.append(example[view.removesuffix("image") + "keypoints"])
        mask = example.get(view.removesuffix("image") + "mask")
        boxes += [] if mask is None else [_box(mask)]
    height, width = split.sizes[view]
    poses = PoseSequence(np.stack(points), split.skeletons[view], (height, width))
    path = annotations / f"person_keypoints_{split.name}.json"
    coco.write(path, poses, names, np.stack(boxes) if boxes else None)


def _box(mask: bytes) -> np.ndarray:
    """x, y, width, height of what a PNG of coverage shows."""
    coverage = cv2.imdecode(np.frombuffer(mask, np.uint8), cv2.IMREAD_GRAYSCALE)
    return np.array(cv2.boundingRect((coverage > 127).astype(np.uint8)), float)


def _imagefolder(split: Split, folder: pathlib.Path) -> None:
    images = folder / split.name
    images.mkdir(parents=True)
    with open(images / "metadata.jsonl", "w", encoding="utf-8") as metadata:
        for name, example in split:
            row = {}
            for view in split.views:
                stem, key = (
                    (name, "file_name") if len(split.views) == 1 else (f"{name}_{view}", f"{view}_file_name")
                )
                file = stem + _suffix(example[view])
                (images / file).write_bytes(example[view])
                row[key] = file
            row |= split.small(example)
            metadata.write(json.dumps(row, ensure_ascii=False) + "\n")


def _patn(split: Split, folder: pathlib.Path, image: str, count: int, seed: int) -> None:
    view = split.view(image)
    skeleton, (height, width) = split.skeletons[view], split.sizes[view]
    order = [skeleton.index(joint) for joint in OPENPOSE_18.keypoints]
    trunk = [OPENPOSE_18.index(joint) for joint in _TRUNK]
    images = folder / split.name
    images.mkdir(parents=True)
    names, rows, whole, groups = [], ["name:keypoints_y:keypoints_x"], [], []
    for name, example in split:
        if "character" not in example:
            raise ValueError(
                "patn needs pairs, and this dataset does not say which character a picture shows"
            )
        names.append(name + _suffix(example[view]))
        (images / names[-1]).write_bytes(example[view])
        points = example[view.removesuffix("image") + "keypoints"][order, :2]
        # Comparisons with NaN are false.
        inside = ((points >= 0) & (points < (width, height))).all(1)
        x, y = np.where(inside[:, None], np.floor(points), -1).astype(int).T.tolist()
        rows.append(f"{names[-1]}: {y}: {x}")
        if inside[trunk].all():
            whole.append(len(names) - 1)
            # The human of a pair is one person through a motion.
            who = ("motion",) if view == "human_image" else ("character", "costume")
            groups.append(tuple(example.get(key) for key in who))
    chosen = pairs.choose(groups, count, seed)
    lines = ["from,to", *(f"{names[whole[a]]},{names[whole[b]]}" for a, b in chosen)]
    for path, content in (
        (f"annotation-{split.name}.csv", rows),
        (f"pairs-{split.name}.csv", lines),
        (f"{split.name}.lst", names),
    ):
        (folder / path).write_text("\n".join(content) + "\n")
