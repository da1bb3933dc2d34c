"""Annotations of pose transfer as PATN, pose-gan and their successors keep them.

Joints, a line for each picture:

    name:keypoints_y:keypoints_x
    0224_c6s1_055726_02.jpg: [8, 23, ...]: [39, 37, ...]

Columns are parted by colons, and y comes before x: eighteen whole numbers each, the pixels that joints were
found in (half a pixel is added here, for their centres), -1 where one was not found. The order is OpenPose's:
what the public code calls left eye, right eye, left ear, right ear (14 to 17) are in its files right eye,
left eye, right ear, left ear.

Pairs, and names of the pictures of a split:

    from,to                                            fashionWOMENSkirtsid0000062904_3back.jpg
    0228_c6s3_006817_02.jpg,0228_c6s1_052601_01.jpg    fashionMENPantsid0000161101_1front.jpg
"""

import collections
import dataclasses
import json
import pathlib
import re
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int

from anime_pt.pose.sequences import People, PoseFileError
from anime_pt.pose.skeletons import OPENPOSE_18

_JOINTS = ("name", "keypoints_y", "keypoints_x")
_PAIR = ("from", "to")
# If x is taken for y, people lie with their heads to the left: torsos are at least so many times as wide as
# high. None of 38,275 in the published files is, nearly all are with x for y.
_LYING = 2


@dataclasses.dataclass(frozen=True)
class Annotations:
    """A file of joints.

    Attributes:
      names: of the pictures, each once.
      keypoints: in the order of `OPENPOSE_18`: x, y, visibility; NaN, NaN, 0 where unknown, else 1.
    """

    names: list[str]
    keypoints: Float[np.ndarray, "n 18 3"]


def kind(path: pathlib.Path) -> str | None:
    """ "joints" or "pairs", by the columns that a CSV file names, else by its name; None: another file."""
    try:
        head = next(_lines(path), (1, ""))[1]
    except PoseFileError:
        head = ""
    words = set(re.split(r"[\s:,;|]+", head.lower()))
    for found, columns, hint in (("joints", _JOINTS, "annotation"), ("pairs", _PAIR, "pairs")):
        if set(columns) <= words or hint in path.stem.lower():
            return found
    return None


def first_name(path: pathlib.Path) -> str:
    """The first picture that a file of any of the three kinds names, or ""."""
    for _, line in _lines(path):
        name = re.split(r"[\s:,;|]", line, maxsplit=1)[0]
        if name.lower() not in (_JOINTS[0], _PAIR[0]):
            return name
    return ""


def read(path: pathlib.Path, size: tuple[int, int] | None = None, left: int = 0) -> Annotations:
    """Reads a file of joints.

    Args:
      path: of the file.
      size: (height, width) of the pictures in pixels, in which joints must lie, where it is known.
      left: first column of what was cut out of pictures of that size, which the file counts from; x of the
        result is that of the whole picture.

    Raises:
      FileNotFoundError: no such file.
      PoseFileError: not such a file, or x and y are exchanged; the message says where.
    """
    rows, numbers = [], []
    for number, line in _table(path, _JOINTS, ":"):
        cells = line.split(":")
        if len(cells) != 3:
            raise PoseFileError(f"{path}, line {number} has {len(cells)} columns parted by ':', not 3")
        rows.append(cells)
        numbers.append(number)
    if not rows:
        raise PoseFileError(f"{path} names no picture")
    names = [row[0].strip() for row in rows]
    _check_once(names, path)
    y, x = (
        _numbers([row[i] for row in rows], [f"{path}, line {n}: {_JOINTS[i]}" for n in numbers])
        for i in (1, 2)
    )
    _check_places(y, x + left, y >= 0, size, numbers, path)
    known = (y >= 0) & (x + left >= 0)
    out = np.stack([x + left + 0.5, y + 0.5, np.ones(x.shape)], -1)
    out[~known] = (np.nan, np.nan, 0)
    return Annotations(names, out.astype(np.float32))


def read_pairs(path: pathlib.Path) -> list[tuple[str, str]]:
    """Names of source and target of every pair.

    Raises:
      FileNotFoundError: no such file.
      PoseFileError: not such a file.
    """
    out = []
    for number, line in _table(path, _PAIR, ","):
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != 2 or not all(cells):
            raise PoseFileError(f"{path}, line {number} must be two names parted by ','")
        out.append((cells[0], cells[1]))
    if not out:
        raise PoseFileError(f"{path} has no pairs")
    return out


def read_names(path: pathlib.Path) -> list[str]:
    """Names of the pictures of a split, each once.

    Raises:
      FileNotFoundError: no such file.
      PoseFileError: it is empty, or has other things than names.
    """
    names = []
    for number, line in _lines(path):
        if re.search(r"[\s:,;]", line):
            raise PoseFileError(f"{path}, line {number} must be the name of a picture, not {line[:60]!r}")
        names.append(line)
    if not names:
        raise PoseFileError(f"{path} names no picture")
    _check_once(names, path)
    return names


def people(path: pathlib.Path, size: tuple[float, float] | None, fps: float) -> People:
    """The figures of a file of joints, one in each picture.

    Args:
      path: of the file.
      size: (height, width) of the pictures; None: the smallest that reaches from the origin past all joints,
        as the format does not say it.
      fps: frames per second, which it does not say either.

    Raises:
      FileNotFoundError, PoseFileError: see `read`.
    """
    found = read(path, size)
    known = np.isfinite(found.keypoints[..., 0])
    if size is None:
        x, y = np.ceil(found.keypoints[known][:, :2].max(0, initial=1))
        size = (float(y), float(x))
    nobody = found.keypoints[:0]
    frames = [
        points[None] if some.any() else nobody for points, some in zip(found.keypoints, known, strict=True)
    ]
    return People(frames, OPENPOSE_18, [size] * len(frames), fps, found.names)


def _lines(path: pathlib.Path) -> Iterator[tuple[int, str]]:
    """Number and text of the lines that are not blank."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with open(path, encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line.strip()
    except UnicodeDecodeError as error:
        raise PoseFileError(f"{path} is no text file") from error


def _table(path: pathlib.Path, columns: Sequence[str], separator: str) -> Iterator[tuple[int, str]]:
    """The lines below the one that names the columns."""
    lines = _lines(path)
    head = next(lines, (1, ""))[1]
    wanted = separator.join(columns)
    found = [cell.strip().strip('"') for cell in head.split(separator)]
    if found == list(columns):
        return lines
    if sorted(found) == sorted(columns):
        raise PoseFileError(f"{path}: its columns are {head}, but the format's are {wanted}: exchange them")
    others = [
        s for s in ":,;|\t" if s != separator and sorted(map(str.strip, head.split(s))) == sorted(columns)
    ]
    if others:
        raise PoseFileError(f"{path}: columns are parted by {others[0]!r}; they must be by {separator!r}")
    raise PoseFileError(f"{path} must start with the line {wanted}, not {head[:60]!r}")


def _numbers(cells: Sequence[str], owners: Sequence[str]) -> Int[np.ndarray, "n 18"]:
    """The lists in a column; `owners` say where they are."""
    try:  # All at once, as there are many.
        values = np.array(json.loads(f"[{','.join(cells)}]"))
        if values.dtype == np.int64 and values.shape == (len(cells), len(OPENPOSE_18)):
            return values
    except (ValueError, RecursionError):
        pass
    return np.array([_row(cell, owner) for cell, owner in zip(cells, owners, strict=True)], np.int64)


def _row(cell: str, owner: str) -> list[int]:
    try:
        values = json.loads(cell)
    except (ValueError, RecursionError) as error:
        raise PoseFileError(f"{owner} must be a list in brackets, not {cell.strip()[:40]!r}") from error
    if not isinstance(values, list) or len(values) != len(OPENPOSE_18):
        count = len(values) if isinstance(values, list) else "no list of"
        raise PoseFileError(f"{owner} has {count} numbers, not {len(OPENPOSE_18)} (OpenPose's COCO joints)")
    if not all(type(v) is int or (type(v) is float and v.is_integer()) for v in values):
        raise PoseFileError(f"{owner} must be whole numbers, pixels or -1")
    return [int(v) for v in values]


def _check_once(names: Sequence[str], path: pathlib.Path) -> None:
    name, count = collections.Counter(names).most_common(1)[0]
    if count > 1:
        raise PoseFileError(f"{path} has {name} {count} times; take the file as it was published")


def _check_places(
    y: np.ndarray,
    x: np.ndarray,
    known: np.ndarray,
    size: tuple[int, int] | None,
    numbers: Sequence[int],
    path: pathlib.Path,
) -> None:
    """Raises PoseFileError where joints are outside the pictures, or people lie on their sides."""
    swapped = "x seems to stand before y: exchange the columns keypoints_y and keypoints_x"
    if size is not None and np.any(outside := (y >= size[0]) | (x >= size[1])):
        if not np.any((x >= size[0]) | (y >= size[1])):
            raise PoseFileError(f"{path}: {swapped}")
        row, joint = np.argwhere(outside)[0]
        raise PoseFileError(
            f"{path}, line {numbers[row]}: {OPENPOSE_18.keypoints[joint]} is at {x[row, joint]}, "
            f"{y[row, joint]}, outside of a picture of {size[1]:g}x{size[0]:g}: is it of others?"
        )
    neck, hips = OPENPOSE_18.index("neck"), [OPENPOSE_18.index(f"{s}_hip") for s in ("left", "right")]
    whole = known[:, neck] & known[:, hips].all(1)
    down, across = (v[whole][:, hips].mean(1) - v[whole, neck] for v in (y, x))
    lying = across > _LYING * np.abs(down)
    if 2 * lying.sum() > len(lying):
        raise PoseFileError(
            f"{path}: {lying.sum()} of {len(lying)} people lie with their heads to the left; {swapped}"
        )
