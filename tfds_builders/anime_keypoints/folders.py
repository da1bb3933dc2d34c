"""Folders of COCO keypoints files and pictures: which picture is whose, in which split, and who is in it."""

import hashlib
import itertools
import pathlib
import re
from collections.abc import Mapping, Sequence

import numpy as np

from anime_pt.pose.skeletons import Skeleton
from tfds_builders.anime_keypoints import figures, pictures
from tfds_builders.anime_keypoints.labels import Document, Labelled, load

SPLITS = ("train", "validation", "test")
# Of `train2017`, `training_humanart`, `val`, `my-test`; not of `latest` or `constrained`.
_SPLIT = re.compile(r"(?<![a-z])(train|val|valid|test)(?:ing|idation|ation)?(?![a-z])")


def read(folder: pathlib.Path) -> dict[pathlib.Path, Document]:
    """All files of COCO's keypoints below a folder.

    Raises:
      FileNotFoundError: there is none.
      PoseFileError: one is damaged.
    """
    out = {}
    for path in sorted(pictures.walk(folder, (".json",))):
        document = load(pathlib.Path(path))
        if document:
            out[pathlib.Path(path)] = document
    if not out:
        raise FileNotFoundError(
            f"there is no COCO keypoints file below {folder}: put a .json with images, annotations and "
            "categories that name their keypoints there, and its pictures anywhere beside or below it"
        )
    return out


def find(
    folder: pathlib.Path, documents: Mapping[pathlib.Path, Document]
) -> dict[tuple[pathlib.Path, str], str]:
    """The pictures below a folder: path by annotation file and name of the picture in it.

    Of files that are called the same the one counts that has the most folders in common with the name; then
    one in a folder that is named after the file's split; then the nearest to the file.
    """
    names = [(file, f.name) for file, document in documents.items() for f in document.figures]
    there = pictures.by_base(folder, {_parts(name)[-1] for _, name in names})
    out = {}
    for file, name in dict.fromkeys(names):
        parts, beside, split = _parts(name), _parts(str(file)), _said(file, folder)

        def rank(path: str, parts=parts, beside=beside, split=split):
            own = _parts(path)
            same_split = bool(split) and any(_split(part) == split for part in own[len(folder.parts) : -1])
            return -_common(own[::-1], parts[::-1]), not same_split, -_common(own, beside), len(own), path

        if parts[-1] in there:
            out[file, name] = min(there[parts[-1]], key=rank)
    return out


def _parts(name: str) -> list[str]:
    return name.replace("\\", "/").split("/")


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """How many items at the beginning are the same."""
    return sum(
        1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
    )


def splits(
    folder: pathlib.Path,
    documents: Mapping[pathlib.Path, Document],
    paths: Mapping[tuple[pathlib.Path, str], str],
) -> dict[str, list[tuple[pathlib.Path, Labelled]]]:
    """The annotations of train, validation and test; no picture is in two of them.

    Several files are what their names, or their folders', say (train*, val*, test*; others train), and a
    picture that is in two of them is held out. The pictures of one file, or of several that say nothing, are
    dealt out by their names' hashes: 80, 10 and 10 percent; fewer than three all train.

    Args:
      folder: below which they lie.
      documents: by file.
      paths: of the pictures, see `find`; one that is not there goes by its name.
    """
    picture = lambda file, figure: paths.get((file, figure.name), figure.name)
    every = [(file, figure) for file, document in documents.items() for figure in document.figures]
    said = {file: _said(file, folder) for file in documents} if len(documents) > 1 else {}
    of_picture: dict[str, str] = {}
    if any(said.values()):
        for file, figure in every:
            earlier = of_picture.get(picture(file, figure), "train")
            of_picture[picture(file, figure)] = max(earlier, said[file] or "train", key=SPLITS.index)
    else:
        # By the annotations' names, so that it does not matter where the folder lies.
        named = {picture(file, figure): figure.name for file, figure in every}
        digest = lambda p: (hashlib.sha256(named[p].encode()).digest(), p)
        ordered = sorted(named, key=digest)
        held_out = max(1, round(0.1 * len(ordered))) if len(ordered) > 2 else 0
        of_picture = dict.fromkeys(ordered, "train")
        of_picture |= dict.fromkeys(ordered[:held_out], "validation")
        of_picture |= dict.fromkeys(ordered[held_out : 2 * held_out], "test")
    out: dict[str, list[tuple[pathlib.Path, Labelled]]] = {split: [] for split in SPLITS}
    seen = set()
    for file, figure in every:
        # Human-Art repeats its annotations in files of their own for each kind of picture.
        same = (picture(file, figure), figure.points.tobytes(), figure.box)
        if same not in seen:
            seen.add(same)
            out[of_picture[picture(file, figure)]].append((file, figure))
    return {split: of_split for split, of_split in out.items() if of_split}


def _said(file: pathlib.Path, folder: pathlib.Path) -> str:
    """The split that a file's name says, else that of the nearest folder that says one, or ""."""
    words = [file.stem, *reversed(file.relative_to(folder).parts[:-1])]
    return next(filter(None, map(_split, words)), "")


def _split(name: str) -> str:
    """The split that a file or folder is called after, or ""."""
    found = _SPLIT.search(name.lower())
    return {"train": "train", "test": "test"}.get(found[1], "validation") if found else ""


def placed(
    labelled: Labelled,
    names: Sequence[str],
    path: str | None,
    measured: Mapping[str, pictures.Measured],
    skeleton: Skeleton,
    margin: float,
    longest_side: int,
) -> figures.Figure | figures.Missing:
    """Finds an annotated figure in its picture.

    Args:
      labelled: the annotation.
      names: of its joints, see `matched`.
      path: of the picture, or None.
      measured: what is known of it.
      skeleton: of the result's joints.
      margin: around the box of one of several figures, as a share of its longer side.
      longest_side: of the result in pixels; 0 for any.
    """
    if path is None:
        return figures.Missing("absent", "no such picture")
    known = measured[path]
    if known.reason:
        return figures.Missing("unreadable", f"{path} is no readable picture ({known.reason})")
    width, height = size = known.size
    said = labelled.size or size
    if not pictures.same_shape(size, said):
        return figures.Missing(
            "replaced", f"{path} is {width}x{height}, annotated was one of {said[0]:g}x{said[1]:g}"
        )
    scale = np.divide(size, said)
    points = labelled.points.copy()
    points[:, :2] *= scale
    box = None
    if labelled.box and min(labelled.box[2:]) > 0:
        box = tuple((np.array(labelled.box) * (*scale, *scale)).tolist())
        box = box if min(figures.clipped(box, size)[2:]) > 0 else None
    joints = figures.converted(points, names, skeleton, size)
    crop = (0, 0, width, height) if labelled.alone else _crop(joints, box, size, margin)
    taken = (crop[2] - crop[0], crop[3] - crop[1])
    stored = pictures.fit(taken, (longest_side, longest_side)) if longest_side else taken
    return figures.Figure(path, labelled.name, labelled.figure, figures.frozen(joints), box, crop, stored)


def _crop(points: np.ndarray, box, size: tuple[int, int], margin: float) -> tuple[int, int, int, int]:
    """Whole pixels around a figure's box, or joints, and a margin."""
    x, y, width, height = figures.around(points, size) if box is None else box
    corners = np.array([[x, y], [x + width, y + height]])
    corners += margin * max(width, height) * np.array([[-1], [1]])
    corners[0] = np.floor(corners[0].clip(0, np.array(size) - 1))
    corners[1] = np.ceil(corners[1].clip(corners[0] + 1, size))
    return tuple(corners.astype(int).ravel().tolist())
