"""Keypoints in files: the project's own, OpenPose's and COCO's; MediaPipe's, MMPose's and PATN's are read.

The project's own JSON names its skeleton and its joints, so a reader never guesses an order:

    {"format": "anime_pt/keypoints", "version": 1, "skeleton": "avatar_20", "names": ["nose", ...],
     "width": 512, "height": 512, "fps": 30.0, "frames": [[[x, y, visibility], ...], ...]}

Coordinates are pixels of a width x height frame, origin top left, pixel centres at .5. A joint that is not
known is null. Frames that are pictures with names have a list of them, and if their sizes differ, "version"
is 2 and there is no size but theirs:

    "pictures": [{"name": "a.png", "width": 512, "height": 512}, ...]

Where depth is known (`PoseSequence.world`), "world" has the same joints as [x, y, z] in metres, or null.

The other formats are described in `openpose`, `coco`, `mediapipe`, `mmpose` (RTMPose, DWPose) and `patn`.
"""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from anime_pt.pose import coco, files, mediapipe, mmpose, openpose, patn, tracks
from anime_pt.pose.sequences import People, PoseFileError, PoseSequence, floats, unknown
from anime_pt.pose.skeletons import SKELETONS, Skeleton

KINDS = ("anime_pt", "openpose", "coco")
_FORMAT = "anime_pt/keypoints"


def choose(path: str, kind: str | None, name: str) -> str:
    """The kind of file to write: the one asked for, else COCO's for a file and OpenPose's for a folder.

    Args:
      path: a .json file, or a folder.
      kind: of `KINDS`, or None.
      name: of the option that said the path, for messages.

    Raises:
      ValueError: another suffix, or a folder for a kind that is one file.
    """
    suffix = "" if path.endswith(("/", os.sep)) else pathlib.Path(path).suffix.lower()
    if suffix not in ("", ".json"):
        raise ValueError(
            f"{name} must be a .json file, or a folder (no suffix, or a / at the end), got {path}"
        )
    if kind in ("coco", "anime_pt") and path and not suffix:
        raise ValueError(f"{name}: {kind} is one file: end its name in .json, not {path}")
    return kind or ("coco" if suffix else "openpose")


def write(path: str | pathlib.Path, poses: PoseSequence | People, kind: str = "anime_pt") -> None:
    """Writes a file of one of `KINDS` ("openpose" writes a folder where `path` does not end in .json).

    The file appears when it is complete.

    Raises:
      ValueError: another kind, or several figures in a picture where the kind holds one ("anime_pt").
    """
    writers = {"anime_pt": _write, "openpose": openpose.write, "coco": coco.write}
    if kind not in writers:
        raise ValueError(f"keypoints are written as {', '.join(KINDS)}, not {kind!r}")
    writers[kind](pathlib.Path(path), poses)


def read(
    path: str | pathlib.Path,
    size: tuple[float, float] | None = None,
    fps: float | None = None,
    person: int | None = None,
) -> PoseSequence:
    """Reads one figure from a file or folder of any of these formats; what it holds shows which.

    Where there are several people, one is followed, see `tracks.follow`; `read_people` gives all.

    Args:
      path: file, or folder of OpenPose files.
      size: (height, width) of the pictures, for files that do not say it: OpenPose's, MediaPipe's, MMPose's
        and PATN's may not; see there.
      fps: frames per second, for formats that do not say it; 30 if None.
      person: who is followed, in the order of `tracks.find`; None: the most prominent one.

    Raises:
      FileNotFoundError: no such file.
      PoseFileError: not such a file, or a torn one; the message says where.
    """
    path = pathlib.Path(path)
    found = _read(path, size, fps)
    if isinstance(found, PoseSequence):
        if person:
            raise PoseFileError(f"{path} has one person: there is no person {person}")
        return found
    try:
        return tracks.follow(found, person)
    except ValueError as error:
        raise PoseFileError(f"{path}: {error}") from error


def read_people(
    path: str | pathlib.Path, size: tuple[float, float] | None = None, fps: float | None = None
) -> People:
    """Everybody in a file, or in a folder of OpenPose files of pictures; arguments and errors as `read`."""
    path = pathlib.Path(path)
    if path.is_dir() and not openpose.is_clip(path):
        return openpose.read_pictures(path, size)
    found = _read(path, size, fps)
    return found if isinstance(found, People) else found.as_people()


def _read(path: pathlib.Path, size, fps) -> PoseSequence | People:
    rate = 30.0 if fps is None else fps
    if path.is_dir():
        return openpose.read(path, size, rate)
    if path.suffix.lower() == ".csv":
        return patn.people(path, size, rate)
    if path.suffix.lower() == ".npz":
        return mmpose.read(path, size, rate)
    document = files.load_json(path)
    first = document[0] if isinstance(document, list) and document else document
    if isinstance(first, Mapping) and "people" in first:
        return openpose.parse(document, path, size, rate)
    if coco.fits(document):
        return coco.parse(document, path, rate, size)
    # Before MediaPipe's, whose words are MMPose's words, too.
    if mmpose.fits(document):
        return mmpose.parse(document, path, size, rate)
    if mediapipe.fits(document):
        return mediapipe.parse(document, path, size, rate)
    return _parse(document, path)


def _write(path: pathlib.Path, poses: PoseSequence | People) -> None:
    people = poses.as_people() if isinstance(poses, PoseSequence) else poses
    if any(len(figures) > 1 for figures in people.frames):
        raise ValueError(f"{path}: anime_pt's format holds one figure in each picture; write COCO's")
    nobody = unknown(1, people.skeleton)
    frames = [
        [None if not np.isfinite(p[:2]).all() else [round(float(v), 3) for v in p] for p in points]
        for figures in people.frames
        for points in (figures if len(figures) else nobody)
    ]
    document: dict[str, Any] = {
        "format": _FORMAT,
        "version": 1,
        "skeleton": people.skeleton.name,
        "names": people.skeleton.keypoints,
    }
    if len(set(people.sizes)) == 1:
        document |= {"width": people.sizes[0][1], "height": people.sizes[0][0]}
    else:
        document["version"] = 2
    if any(people.names) or document["version"] == 2:
        document["pictures"] = [
            {"name": name, "width": w, "height": h}
            for name, (h, w) in zip(people.names, people.sizes, strict=True)
        ]
    document |= {"fps": people.fps, "frames": frames}
    if people.worlds is not None:
        document["world"] = [
            [None if not np.isfinite(p).all() else [round(float(v), 5) for v in p] for p in points]
            for places in people.worlds
            for points in (places if len(places) else nobody)
        ]
    files.save_json(path, document)


def _parse(document: Any, path: pathlib.Path) -> PoseSequence | People:
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise PoseFileError(
            f'{path} is not a keypoints file: it must say "format": "{_FORMAT}", or be OpenPose\'s, '
            "COCO's, MediaPipe's or MMPose's"
        )
    needed = {"pictures"} if document.get("version") == 2 else {"width", "height"}
    missing = {"skeleton", "names", "frames", *needed} - document.keys()
    if missing:
        raise PoseFileError(f"{path} lacks {', '.join(sorted(missing))}")
    if document.get("version") not in (1, 2):
        raise PoseFileError(
            f"{path} is of version {document.get('version')}; this program reads versions 1 and 2"
        )
    skeleton = SKELETONS.get(str(document["skeleton"]))
    if skeleton is None:
        raise PoseFileError(
            f"{path}: unknown skeleton {document['skeleton']!r}; known: {', '.join(SKELETONS)}"
        )
    if document["names"] != list(skeleton.keypoints):
        raise PoseFileError(f"{path}: the joint names are not those of {skeleton.name}, in its order")
    world = None
    try:
        keypoints = _array(document["frames"], [np.nan, np.nan, 0.0], skeleton)
        if "world" in document:
            world = _array(document["world"], [np.nan] * 3, skeleton)
        if world is not None and len(world) != len(keypoints):
            raise ValueError("as many frames of depth as of joints")
        fps = float(document.get("fps", 30))
    except (TypeError, ValueError) as error:
        raise PoseFileError(f"{path}: every frame must have {len(skeleton)} joints of 3 numbers") from error
    if not len(keypoints):
        raise PoseFileError(f"{path} has no frames")
    try:
        names, sizes = _pictures(document, len(keypoints))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise PoseFileError(
            f"{path}: there must be a name, a width and a height for each of {len(keypoints)} frames"
        ) from error
    if not (np.min(sizes) > 0 and np.max(sizes) < np.inf and 0 < fps < np.inf):
        raise PoseFileError(f"{path}: width, height and fps must be positive")
    if not any(names) and len(set(sizes)) == 1:
        return PoseSequence(keypoints, skeleton, sizes[0], fps, world)
    # Who is known by no joint is not there.
    there = np.isfinite(keypoints[..., :2]).all(-1).any(1)
    frames = [points[None][: int(known)] for points, known in zip(keypoints, there, strict=True)]
    worlds = world if world is None else [w[None][: int(k)] for w, k in zip(world, there, strict=True)]
    return People(frames, skeleton, sizes, fps, names, worlds)


def _array(frames: list, unknown: list[float], skeleton: Skeleton) -> np.ndarray:
    out = floats([[unknown if p is None else p for p in frame] for frame in frames])
    if frames:
        if out.shape[1:] != (len(skeleton), 3):
            raise ValueError(f"frames of shape {out.shape[1:]}")
        out[~np.isfinite(out).all(-1)] = unknown
    return out


def _pictures(document: Mapping[str, Any], count: int) -> tuple[list[str], list[tuple[float, float]]]:
    """Names and sizes of the frames."""
    if "pictures" not in document:
        return [""] * count, [(float(document["height"]), float(document["width"]))] * count
    pictures = document["pictures"]
    if len(pictures) != count:
        raise ValueError
    names = [str(picture.get("name", "")) for picture in pictures]
    return names, [(float(picture["height"]), float(picture["width"])) for picture in pictures]
