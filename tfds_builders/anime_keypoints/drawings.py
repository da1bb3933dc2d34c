"""The files of AnimeDrawingsDataset (Khungurn & Chou 2016), and of its extension by eyes and ears.

Files: github.com/dragonmeteor/AnimeDrawingsDataset, data/{train,val,test}.json, or data.json, which has them
all. Each is a list of

    {"file_name": "data/images/POST.jpg", "width": W, "height": H, "points": {"nose_tip": [x, y], ...}}

where POST is the id of a Danbooru post, and W x H the size of its picture after `convert -resize 800x600>`,
to which the points refer. Points are the pixels that were clicked on (halves come from pictures of odd width
in the middle of a page), so half a pixel is added for the centre. In one entry (1863413) W and H are 0;
eleven points lie outside their pictures.

The extension (Chen & Zwicker, WACV 2022) is a COCO-like annotations.json; its boxes are corners.
"""

import dataclasses
import math
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from anime_pt.pose import files
from anime_pt.pose.sequences import unknown
from anime_pt.pose.skeletons import ANIME_DRAWINGS_25, Skeleton
from tfds_builders.anime_keypoints import figures, labels, pictures

BOUND = (800, 600)
_SPLITS = {"train.json": "train", "val.json": "validation", "test.json": "test"}
_SIDES = ("left", "right")
# Its names of joints -> ours.
NAMES = {
    "body_upper": "body_upper",
    "neck": "neck",
    "head": "head",
    "nose_tip": "nose",
    "nose_root": "nose_root",
    **{
        f"{theirs}_{side}": f"{side}_{ours}"
        for side in _SIDES
        for theirs, ours in (("arm", "shoulder"), ("elbow", "elbow"), ("wrist", "wrist"), ("thumb", "thumb"))
    },
    **{
        f"{theirs}_{side}": f"{side}_{ours}"
        for side in _SIDES
        for theirs, ours in (("leg", "hip"), ("knee", "knee"), ("ankle", "ankle"), ("tiptoe", "tiptoe"))
    },
}
_ADDED = ("left_eye", "right_eye", "left_ear", "right_ear")


@dataclasses.dataclass(frozen=True)
class Drawing:
    """An entry.

    Attributes:
      post: id of the Danbooru post.
      name: of its file.
      size: width and height to which the points refer, or None.
      points: (25, 3) in `ANIME_DRAWINGS_25`, pixels of a picture of that size.
    """

    post: int
    name: str
    size: tuple[int, int] | None
    points: np.ndarray


@dataclasses.dataclass(frozen=True)
class Added:
    """What the extension says of a drawing.

    Attributes:
      size: width and height to which it refers.
      points: (25, 3) in `ANIME_DRAWINGS_25`: eyes and ears.
      box: x, y, width, height, or None.
    """

    size: tuple[float, float]
    points: np.ndarray
    box: tuple[float, float, float, float] | None


def read(folder: pathlib.Path) -> tuple[dict[str, list[Drawing]], list[pathlib.Path]]:
    """The entries of every split, and the files that they are from, anywhere below a folder.

    Without lists of the splits, everything in data.json is in train.

    Raises:
      FileNotFoundError: there are no such files.
      ValueError: an entry is none, or a drawing is there twice.
    """
    found: dict[str, dict[str, list[Any]]] = {}
    for path in pictures.walk(folder, (".json",)):
        place, name = os.path.split(path)
        if name in (*_SPLITS, "data.json"):
            document = files.load_json(pathlib.Path(path))
            if isinstance(document, list) and document and _is_entry(document[0]):
                found.setdefault(place, {})[name] = document
        if set(_SPLITS) <= found.get(place, {}).keys():
            break  # Not the whole of a large folder.
    if not found:
        raise FileNotFoundError(
            f"the annotations are not below {folder}: put train.json, val.json and test.json of "
            "github.com/dragonmeteor/AnimeDrawingsDataset (its folder data) there"
        )
    place = max(sorted(found), key=lambda p: (len(_SPLITS.keys() & found[p].keys()), -p.count(os.sep)))
    lists = {name: found[place][name] for name in _SPLITS if name in found[place]} or found[place]
    out, posts = {}, set()
    for name, entries in lists.items():
        path = pathlib.Path(place) / name
        drawings = [_drawing(entry, f"{path}: entry {i}") for i, entry in enumerate(entries)]
        for drawing in drawings:
            if drawing.post in posts:
                raise ValueError(
                    f"{path}: {drawing.name} is there twice; take the lists as they were published"
                )
            posts.add(drawing.post)
        out[_SPLITS.get(name, "train")] = drawings
    return out, [pathlib.Path(place) / name for name in lists]


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, Mapping) and {"file_name", "points"} <= entry.keys()


def _drawing(entry: Any, owner: str) -> Drawing:
    if not _is_entry(entry) or not isinstance(entry["points"], Mapping):
        raise ValueError(f"{owner} lacks file_name or points")
    name = pathlib.PurePosixPath(str(entry["file_name"])).name
    post = re.match(r"\d+", name)
    if not post:
        raise ValueError(f"{owner}: file_name {name!r} does not start with the id of a post")
    strange = entry["points"].keys() - NAMES.keys()
    if strange:
        raise ValueError(f"{owner}: unknown points {', '.join(sorted(strange))}")
    if not entry["points"]:
        raise ValueError(f"{owner} has no points")
    points = unknown(1, ANIME_DRAWINGS_25)[0].astype(float)
    for theirs, place in entry["points"].items():
        if not _numbers(place, 2):
            raise ValueError(f"{owner}: {theirs} must be two numbers, not {place!r}")
        points[ANIME_DRAWINGS_25.index(NAMES[theirs])] = (place[0] + 0.5, place[1] + 0.5, 1)
    size = (entry.get("width", 0), entry.get("height", 0))
    if not _numbers(size, 2):
        raise ValueError(f"{owner}: width and height must be numbers, not {size!r}")
    return Drawing(int(post[0]), name, (int(size[0]), int(size[1])) if min(size) > 0 else None, points)


def _numbers(values: Any, count: int) -> bool:
    return (
        isinstance(values, Sequence)
        and len(values) == count
        and all(isinstance(v, int | float) and math.isfinite(v) for v in values)
    )


def extension(folder: pathlib.Path) -> tuple[dict[int, Added], pathlib.Path]:
    """What the extension's annotations.json, anywhere below a folder, says of each post.

    Raises:
      FileNotFoundError: there is none.
      ValueError: it lacks eyes and ears.
    """
    for path in pictures.walk(folder, (".json",)):
        if os.path.basename(path) == "annotations.json":
            document = labels.load(pathlib.Path(path))
            if document:
                break
    else:
        raise FileNotFoundError(
            f"annotations.json, the extension by eyes and ears, is not below {folder}: put it there (it is "
            "in raw/ of bizarre_pose_dataset.zip, see github.com/ShuhongChen/bizarre-pose-estimator), or "
            "build anime_keypoints/drawings"
        )
    out = {}
    for figure in document.figures:
        post = re.match(r"\d+", os.path.basename(figure.name))
        if not post or not figure.size:
            continue
        points = unknown(1, ANIME_DRAWINGS_25)[0].astype(float)
        for name in set(_ADDED) & set(document.names):
            points[ANIME_DRAWINGS_25.index(name)] = figure.points[document.names.index(name)]
        box = None
        if figure.box and figure.box[2] > figure.box[0] and figure.box[3] > figure.box[1]:
            x, y, right, bottom = figure.box
            box = (x, y, right - x, bottom - y)
        out[int(post[0])] = Added(figure.size, points, box)
    if not set(_ADDED) <= set(document.names):
        raise ValueError(f"{path} has no eyes and ears; its joints are {', '.join(document.names)}")
    return out, pathlib.Path(path)


def placed(
    drawing: Drawing,
    candidates: Sequence[str],
    measured: Mapping[str, pictures.Measured],
    added: Added | None,
    skeleton: Skeleton,
) -> figures.Figure | figures.Missing:
    """Finds a drawing in its picture, and scales its points as the original build scaled pictures.

    Args:
      drawing: of the annotations.
      candidates: paths of its post's files; the largest of those that have its shape counts.
      measured: what is known of them.
      added: eyes and ears, or None.
      skeleton: of the result's joints.
    """
    path = _chosen(drawing, candidates, measured)
    if isinstance(path, figures.Missing):
        return path
    size = measured[path].size
    stored = pictures.fit(size, BOUND)
    if (
        drawing.size
        and min(np.subtract(size, drawing.size)) >= 0
        and np.abs(np.subtract(stored, drawing.size)).max() <= 1
    ):
        stored = drawing.size  # ImageMagick rounds in ways of its own.
    points = drawing.points.copy()
    points[:, :2] *= np.divide(size, drawing.size or stored)
    box = None
    if added and pictures.same_shape(size, added.size):
        scale = np.divide(size, added.size)
        here = np.isfinite(added.points[:, 0])
        points[here] = added.points[here] * (*scale, 1)
        if added.box:
            box = tuple((np.array(added.box) * (*scale, *scale)).tolist())
    joints = figures.converted(points, ANIME_DRAWINGS_25.keypoints, skeleton, size)
    whole = (0, 0, *size)
    return figures.Figure(path, drawing.name, str(drawing.post), figures.frozen(joints), box, whole, stored)


def _chosen(
    drawing: Drawing, candidates: Sequence[str], measured: Mapping[str, pictures.Measured]
) -> str | figures.Missing:
    """The path of the file that has a drawing."""
    if not candidates:
        return figures.Missing("absent", "no picture of this post")
    sizes = {path: measured[path].size for path in candidates if not measured[path].reason}
    if not sizes:
        reason = measured[candidates[0]].reason
        return figures.Missing("unreadable", f"{candidates[0]} is no readable picture ({reason})")
    if drawing.size:
        fits = lambda size: pictures.same_shape(size, drawing.size)
    else:  # There are the points: a picture that is smaller is not the one that they are in.
        farthest = np.nanmax(drawing.points[:, :2], axis=0)
        fits = lambda size: bool((1.1 * np.array(pictures.fit(size, BOUND)) >= farthest).all())
    fitting = [path for path, size in sizes.items() if fits(size)]
    if not fitting:
        path, (width, height) = next(iter(sizes.items()))
        wanted = "{}x{}".format(*drawing.size) if drawing.size else "larger"
        return figures.Missing(
            "replaced", f"{path} is {width}x{height}, the drawing was {wanted}: another picture"
        )
    return max(fitting, key=lambda path: sizes[path][0] * sizes[path][1])
