"""Annotation files in COCO's format, of Human-Art or of one's own, with joints of any names.

`anime_pt.pose.coco` reads a clip's annotations in one of the project's skeletons. Here joints are called in
the ways in which tools call them.
"""

import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from anime_pt.pose import files
from anime_pt.pose.sequences import PoseFileError
from anime_pt.pose.skeletons import HUMAN_ART_21, SKELETONS, Skeleton
from tfds_builders.anime_keypoints import figures

# Other words for joints, after `canonical`.
_ALIASES = {
    "nose_tip": "nose",
    "pelvis": "mid_hip",
    "hip_center": "mid_hip",
    "middle_hip": "mid_hip",
    "top_of_head": "head_top",
    "top_head": "head_top",
    "headtop": "head_top",
}
# What serves where a skeleton has the second joint and a file the first.
_ALSO = {f"{side}_toe": f"{side}_tiptoe" for side in ("left", "right")}
_ALSO |= {f"{side}_big_toe": f"{side}_tiptoe" for side in ("left", "right")}
_SIDES = {"l": "left", "left": "left", "r": "right", "right": "right"}


@dataclasses.dataclass(frozen=True)
class Labelled:
    """An annotation.

    Attributes:
      name: of the picture, as the file has it.
      size: width and height of the picture, or None where the file does not say it.
      figure: image and annotation id.
      points: (k, 3) x, y, visibility (0 hidden, 1 visible), pixel centres at .5; NaN, NaN, 0 without a label.
      box: four numbers as the file has them, or None.
      alone: whether it is the only one of its picture.
    """

    name: str
    size: tuple[float, float] | None
    figure: str
    points: np.ndarray
    box: tuple[float, float, float, float] | None
    alone: bool


@dataclasses.dataclass(frozen=True)
class Document:
    """A file: names of its joints (`canonical`) and its annotations that have any."""

    names: tuple[str, ...]
    figures: list[Labelled]


def canonical(name: str) -> str:
    """A joint's name in the project's words: "LShoulder", "shoulder.L", "l_shoulder" -> "left_shoulder"."""
    words = [w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]
    sides = [_SIDES[w] for w in words if w in _SIDES]
    rest = "_".join(w for w in words if w not in _SIDES)
    rest = _ALIASES.get(rest, rest)
    return f"{sides[0]}_{rest}" if len(sides) == 1 and rest else "_".join(words) if sides else rest


def load(path: pathlib.Path) -> Document | None:
    """What a file holds; None if it is JSON of another kind.

    Raises:
      PoseFileError: it is no JSON, or COCO's keypoints with something amiss.
    """
    document = files.load_json(path)
    if not isinstance(document, Mapping) or not {"images", "annotations", "categories"} <= document.keys():
        return None
    try:
        return _document(document)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise PoseFileError(f"{path} is not a COCO keypoints file: {error!r}") from error
    except ValueError as error:
        raise PoseFileError(f"{path}: {error}") from error


def _document(document: Mapping[str, Any]) -> Document | None:
    categories = {c["id"]: c["keypoints"] for c in document["categories"] if c.get("keypoints")}
    if not categories:
        return None  # COCO's boxes and masks, beside its keypoints.
    if len({tuple(names) for names in categories.values()}) > 1:
        raise ValueError("its categories have different joints; leave one of them")
    names = tuple(next(iter(categories.values())))
    annotations = [
        a for a in document["annotations"] if a.get("category_id", next(iter(categories))) in categories
    ]
    field = "keypoints"
    if len(names) == 17 and annotations and all("keypoints_21" in a for a in annotations):
        # Human-Art, whose category names COCO's seventeen alone.
        field, names = "keypoints_21", HUMAN_ART_21.keypoints
    known = tuple(canonical(str(n)) for n in names)
    twice = sorted({n for n in known if known.count(n) > 1})
    if twice:
        raise ValueError(f"two joints are called {', '.join(twice)}; rename one of them")
    images = {image["id"]: image for image in document["images"]}
    if len(images) != len(document["images"]):
        raise ValueError("an image id appears twice")
    people: dict[Any, int] = {}
    for annotation in annotations:
        people[annotation["image_id"]] = people.get(annotation["image_id"], 0) + 1
    out = []
    for i, annotation in enumerate(annotations):
        image = annotation["image_id"]
        if image not in images:
            raise ValueError(f"an annotation is of image {image!r}, which is not listed")
        if annotation.get("iscrowd") or field not in annotation:
            continue
        points = np.array(annotation[field], float)
        if points.shape != (3 * len(known),):
            raise ValueError(f"an annotation has {points.size} numbers in {field}, not {3 * len(known)}")
        label = f"{image}_{annotation.get('id', i)}"
        box = annotation.get("bbox")
        if box is not None and (len(box) != 4 or not np.isfinite(np.array(box, float)).all()):
            raise ValueError(f"annotation {label}: bbox must be four numbers, not {box!r}")
        of_image = images[image]
        size = (float(of_image.get("width") or 0), float(of_image.get("height") or 0))
        out.append(
            Labelled(
                str(of_image["file_name"]),
                size if min(size) > 0 else None,
                label,
                _points(points.reshape(-1, 3)),
                tuple(map(float, box)) if box is not None else None,
                people[image] == 1,
            )
        )
    return Document(known, out)


def _points(points: np.ndarray) -> np.ndarray:
    """COCO's (k, 3) -> ours: see `anime_pt.pose.coco`."""
    out = np.column_stack([points[:, :2] + 0.5, points[:, 2] > 1])
    out[(points[:, 2] <= 0) | ~np.isfinite(points).all(1)] = (np.nan, np.nan, 0)
    return out


def matched(names: Sequence[str], skeleton: Skeleton) -> tuple[str, ...]:
    """The same names, but with those of the skeleton's joints that they can stand for."""
    out = list(names)
    for i, name in enumerate(names):
        other = _ALSO.get(name)
        if other in skeleton.keypoints and other not in out and name not in skeleton.keypoints:
            out[i] = other
    return tuple(out)


def compared(names: Sequence[str], skeleton: Skeleton, path: pathlib.Path) -> str:
    """A line that says which of a skeleton's joints a file lacks, or "".

    Raises:
      ValueError: it has none of them.
    """
    if not set(names) & set(skeleton.keypoints):
        fitting = [s.name for s in SKELETONS.values() if set(names) & set(s.keypoints)]
        hint = f"; --set=skeleton= one of {', '.join(fitting)}" if fitting else ""
        raise ValueError(f"{path}: none of its joints ({', '.join(names)}) is one of {skeleton.name}{hint}")
    lacking = sorted(set(skeleton.keypoints) - set(_given(names, skeleton)))
    return f"{path} has no {', '.join(lacking)} among {', '.join(names)}" if lacking else ""


def _given(names: Sequence[str], skeleton: Skeleton) -> list[str]:
    """The skeleton's joints that follow from these."""
    full = np.ones((len(names), 3))
    found = np.isfinite(figures.converted(full, names, skeleton, (1, 1))[:, 0])
    return [name for name, known in zip(skeleton.keypoints, found, strict=True) if known]


def count(labelled: Labelled, names: Sequence[str], skeleton: Skeleton) -> int:
    """How many of the skeleton's joints are labelled."""
    return int(np.isfinite(figures.converted(labelled.points, names, skeleton, (1, 1))[:, 0]).sum())
