"""Keypoints in files: the project's own, OpenPose's and COCO's.

The project's own JSON names its skeleton and its joints, so a reader never guesses an order:

    {"format": "anime_pt/keypoints", "version": 1, "skeleton": "avatar_20", "names": ["nose", ...],
     "width": 512, "height": 512, "fps": 30.0, "frames": [[[x, y, visibility], ...], ...]}

Coordinates are pixels of a width x height frame, origin top left, pixel centres at .5. A joint that is not
known is null. The other formats are described in `openpose` and `coco`.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from anime_pt.pose import coco, files, openpose
from anime_pt.pose.sequences import People, PoseFileError, PoseSequence
from anime_pt.pose.skeletons import SKELETONS

KINDS = ("anime_pt", "openpose", "coco")
_FORMAT = "anime_pt/keypoints"


def write(path: str | pathlib.Path, poses: PoseSequence, kind: str = "anime_pt") -> None:
    """Writes a file of one of `KINDS` ("openpose" writes a folder where `path` does not end in .json).

    The file appears when it is complete.

    Raises:
      ValueError: another kind.
    """
    writers = {"anime_pt": _write, "openpose": openpose.write, "coco": coco.write}
    if kind not in writers:
        raise ValueError(f"keypoints are written as {', '.join(KINDS)}, not {kind!r}")
    writers[kind](pathlib.Path(path), poses)


def read(
    path: str | pathlib.Path, size: tuple[float, float] | None = None, fps: float | None = None
) -> PoseSequence:
    """Reads one figure from a file or folder of any of `KINDS`; which it is shows in what it holds.

    Where there are several people, `People.main` says who is followed; `read_people` gives all.

    Args:
      path: file, or folder of OpenPose files.
      size: (height, width) of the pictures, for OpenPose files that do not say it; see `openpose.read`.
      fps: frames per second, for formats that do not say it; 30 if None.

    Raises:
      FileNotFoundError: no such file.
      PoseFileError: not such a file, or a torn one; the message says where.
    """
    path = pathlib.Path(path)
    found = _read(path, size, fps)
    if isinstance(found, PoseSequence):
        return found
    try:
        return found.main()
    except ValueError as error:
        raise PoseFileError(f"{path}: {error}") from error


def read_people(
    path: str | pathlib.Path, size: tuple[float, float] | None = None, fps: float | None = None
) -> People:
    """Everybody in a file; arguments and errors as `read`."""
    found = _read(pathlib.Path(path), size, fps)
    if isinstance(found, People):
        return found
    count = len(found.keypoints)
    return People(
        list(found.keypoints[:, None]), found.skeleton, [found.size] * count, found.fps, [""] * count
    )


def _read(path: pathlib.Path, size, fps) -> PoseSequence | People:
    rate = 30.0 if fps is None else fps
    if path.is_dir():
        return openpose.read(path, size, rate)
    document = files.load_json(path)
    first = document[0] if isinstance(document, list) and document else document
    if isinstance(first, Mapping):
        if "people" in first:
            return openpose.parse(document, path, size, rate)
        if "annotations" in first and "images" in first:
            return coco.parse(document, path, rate)
    return _parse(document, path)


def _write(path: pathlib.Path, poses: PoseSequence) -> None:
    frames = [
        [None if not np.isfinite(p[:2]).all() else [round(float(v), 3) for v in p] for p in frame]
        for frame in poses.keypoints
    ]
    document = {
        "format": _FORMAT,
        "version": 1,
        "skeleton": poses.skeleton.name,
        "names": poses.skeleton.keypoints,
        "width": poses.size[1],
        "height": poses.size[0],
        "fps": poses.fps,
        "frames": frames,
    }
    files.save_json(path, document)


def _parse(document: Any, path: pathlib.Path) -> PoseSequence:
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise PoseFileError(
            f'{path} is not a keypoints file: it must say "format": "{_FORMAT}", or be OpenPose\'s or COCO\'s'
        )
    missing = {"skeleton", "names", "width", "height", "frames"} - document.keys()
    if missing:
        raise PoseFileError(f"{path} lacks {', '.join(sorted(missing))}")
    if document.get("version") != 1:
        raise PoseFileError(f"{path} is of version {document.get('version')}; this program reads version 1")
    skeleton = SKELETONS.get(str(document["skeleton"]))
    if skeleton is None:
        raise PoseFileError(
            f"{path}: unknown skeleton {document['skeleton']!r}; known: {', '.join(SKELETONS)}"
        )
    if document["names"] != list(skeleton.keypoints):
        raise PoseFileError(f"{path}: the joint names are not those of {skeleton.name}, in its order")
    unknown = [np.nan, np.nan, 0.0]
    try:
        frames = [[unknown if p is None else p for p in frame] for frame in document["frames"]]
        keypoints = np.array(frames, np.float32)
        if frames and keypoints.shape[1:] != (len(skeleton), 3):
            raise ValueError(f"frames of shape {keypoints.shape[1:]}")
        size = (float(document["height"]), float(document["width"]))
        fps = float(document.get("fps", 30))
    except (TypeError, ValueError) as error:
        raise PoseFileError(f"{path}: every frame must have {len(skeleton)} joints of 3 numbers") from error
    if not len(keypoints):
        raise PoseFileError(f"{path} has no frames")
    if not (min(size) > 0 and fps > 0):
        raise PoseFileError(f"{path}: width, height and fps must be positive")
    return PoseSequence(keypoints, skeleton, size, fps)
