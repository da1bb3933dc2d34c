"""Keypoints as OpenPose writes them (doc/02_output.md of the OpenPose repository).

One file for each frame, `NAME_000000000012_keypoints.json`, with

    {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": [x, y, confidence, ...], ...}]}

COCO's 18 joints and BODY_25's are told apart by their number; 0, 0, 0 is a joint that was not found. OpenPose
adds half a pixel to the cells of its maps, so pixel centres are at .5 as in this project. Its files do not
say how large the picture was; ControlNet's tools add "canvas_width" and "canvas_height", and keep the frames
of a clip as a list in one file. All of that is read, and written. Joints that are fractions of the picture,
as older ones of these tools and OpenPose's `--keypoint_scale 3` write them, are read.
"""

import pathlib
import re
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np

from anime_pt.pose import files
from anime_pt.pose.sequences import People, PoseFileError, PoseSequence, floats, places, reach, unknown
from anime_pt.pose.skeletons import BODY_25, OPENPOSE_18, Skeleton

SKELETONS = {3 * len(s): s for s in (OPENPOSE_18, BODY_25)}
# 0 would say that a joint was not found.
HIDDEN = 0.5
_END = "_keypoints.json"
_NAME = re.compile(r"(.*?)_?(\d*)_keypoints\.json", re.IGNORECASE)
# Parts of the person that are written empty, as OpenPose does when it did not look for them.
_EMPTY = tuple(f"{part}_keypoints_{n}d" for n in (2, 3) for part in ("face", "hand_left", "hand_right"))


def read(path: pathlib.Path, size: tuple[float, float] | None = None, fps: float = 30.0) -> People:
    """Reads a folder of OpenPose files, or one file.

    Frames are ordered by the numbers in their names; a number that is left out is a frame with nobody, unless
    all numbers leave out the same ones (every fifth frame was looked at). Confidence becomes visibility.

    Args:
      path: folder or file.
      size: (height, width) of the pictures in pixels. None: what the file says; if it says nothing, the
        smallest frame that reaches from the origin past every joint.
      fps: frames per second, which the format does not say.

    Raises:
      FileNotFoundError: nothing there.
      PoseFileError: not OpenPose files, torn ones, or several clips in a folder.
    """
    if not path.is_dir():
        return parse(files.load_json(path), path, size, fps)
    numbers, paths = _frames(path)
    return _join(numbers, [files.load_json(p) for p in paths], paths, path, size, fps)


def read_pictures(folder: pathlib.Path, size: tuple[float, float] | None = None) -> People:
    """Reads a folder of OpenPose files as pictures that are no clip, in the order of their names.

    Their sizes may differ. Arguments and errors as `read`.
    """
    paths = _files(folder)
    pictures = [parse(files.load_json(path), path, size, 30.0) for path in paths]
    known = [p for p in pictures if any(map(len, p.frames))] or pictures
    if len({p.skeleton.name for p in known}) > 1:
        names = " and ".join(sorted({p.skeleton.name for p in known}))
        raise PoseFileError(f"{folder} mixes {names}: read them one by one")
    frames = [f if len(f) else unknown(0, known[0].skeleton) for p in pictures for f in p.frames]
    names = [path.name[: -len(_END)] for path, p in zip(paths, pictures, strict=True) for _ in p.frames]
    return People(frames, known[0].skeleton, [s for p in pictures for s in p.sizes], 30.0, names)


def parse(document: Any, path: pathlib.Path, size: tuple[float, float] | None, fps: float) -> People:
    """What one file holds: a frame, or a list of them. Arguments and errors as `read`."""
    documents = document if isinstance(document, list) else [document]
    if not documents:
        raise PoseFileError(f"{path} has no frames")
    return _join(list(range(len(documents))), documents, [path] * len(documents), path, size, fps)


def _join(
    numbers: list[int],
    documents: list,
    paths: list[pathlib.Path],
    path: pathlib.Path,
    size: tuple[float, float] | None,
    fps: float,
) -> People:
    people = [_people(document, p) for document, p in zip(documents, paths, strict=True)]
    skeletons = {s.name: s for frame in people for s, _ in frame}
    if len(skeletons) > 1:
        raise PoseFileError(f"{path} mixes {' and '.join(sorted(skeletons))}: read them one by one")
    (skeleton,) = skeletons.values() or [OPENPOSE_18]
    frames = [unknown(0, skeleton) for _ in range(numbers[-1] + 1)]
    for number, frame in zip(numbers, people, strict=True):
        if frame:
            frames[number] = np.stack([points for _, points in frame])
    said = size or _canvas(documents, path)
    # The joints of a figure are never within two pixels.
    if any(map(len, frames)) and max(reach(frames)) <= 2:
        if said is None:
            raise PoseFileError(
                f"{path}: joints are fractions of the picture, whose size it does not say: "
                "give its width and height"
            )
        frames = [frame * np.float32([said[1], said[0], 1]) for frame in frames]
    size = said or reach(frames)
    return People(frames, skeleton, [size] * len(frames), fps, [""] * len(frames))


def is_clip(folder: pathlib.Path) -> bool:
    """Whether the OpenPose files of a folder are the frames of one clip, by their names."""
    return len({_clip(file)[0] for file in _files(folder)}) == 1


def _clip(file: pathlib.Path) -> tuple[str, int]:
    """The clip's name and the frame's number in the name of a file."""
    match = _NAME.fullmatch(file.name)
    return match[1], int(match[2] or 0)


def _files(folder: pathlib.Path) -> list[pathlib.Path]:
    found = [f for f in folder.iterdir() if _NAME.fullmatch(f.name) and not f.name.startswith(".")]
    if not found:
        raise PoseFileError(f"{folder} has no OpenPose files (NAME_000000000000_keypoints.json)")
    return sorted(found)


def _frames(folder: pathlib.Path) -> tuple[list[int], list[pathlib.Path]]:
    """Numbers from 0 and files of the frames of a folder, in order."""
    found = sorted((*_clip(file), file) for file in _files(folder))
    clips = sorted({name for name, _, _ in found})
    if len(clips) > 1:
        raise PoseFileError(
            f"{folder} holds several clips ({', '.join(clips[:3])}): give each a folder of its own"
        )
    try:
        return places([number for _, number, _ in found]), [file for _, _, file in found]
    except ValueError as error:
        raise PoseFileError(f"{folder}: {error}") from error


def _people(document: Any, path: pathlib.Path) -> list[tuple[Skeleton, np.ndarray]]:
    people = document.get("people") if isinstance(document, Mapping) else None
    if not isinstance(people, list):
        raise PoseFileError(f'{path} is not an OpenPose file: it has no list "people"')
    out = []
    for person in people:
        # OpenPose 1.0 and 1.1 had no "_2d".
        values = (
            person.get("pose_keypoints_2d", person.get("pose_keypoints"))
            if isinstance(person, Mapping)
            else None
        )
        if not isinstance(values, list):
            raise PoseFileError(f'{path}: a person has no "pose_keypoints_2d"')
        if not values:
            continue
        if len(values) not in SKELETONS:
            known = " or ".join(f"{len(s)} ({s.name})" for s in SKELETONS.values())
            raise PoseFileError(
                f"{path}: a person has {len(values) / 3:g} joints; this program reads {known} of OpenPose"
            )
        try:
            points = floats(values).reshape(-1, 3)
        except (TypeError, ValueError, OverflowError) as error:
            raise PoseFileError(f"{path}: a joint is not made of numbers") from error
        points[~np.isfinite(points).all(1) | (points == 0).all(1)] = (np.nan, np.nan, 0)
        out.append((SKELETONS[len(values)], points))
    return out


def _canvas(documents: list, path: pathlib.Path) -> tuple[float, float] | None:
    """The size that all frames agree on, or None if they name none."""
    sizes = [(d.get("canvas_height"), d.get("canvas_width")) for d in documents]
    if sizes[0] == (None, None):
        return None
    try:
        height, width = map(float, sizes[0])
    except (TypeError, ValueError, OverflowError):
        height = width = 0.0
    if not (0 < height < np.inf and 0 < width < np.inf):
        raise PoseFileError(f"{path}: canvas_width and canvas_height must be positive numbers")
    if any(size != sizes[0] for size in sizes):
        raise PoseFileError(f"{path}: frames differ in canvas_width or canvas_height")
    return height, width


def check(path: pathlib.Path) -> None:
    """Raises FileExistsError if `write` would have to replace a folder with anything but OpenPose files."""
    if path.suffix.lower() == ".json" or not path.exists():
        return
    if not path.is_dir() or not all(_NAME.fullmatch(file.name) for file in path.iterdir()):
        raise FileExistsError(f"{path} holds other things than OpenPose files: name another folder")


def write(path: pathlib.Path, poses: PoseSequence | People) -> None:
    """Writes a folder with one file for each frame, or a list of all frames if `path` ends in .json.

    Files are named after their pictures or, where these have no names, after the folder.

    Skeletons other than OpenPose's own two become BODY_25. Joints that are unknown or outside the picture are
    not found (0, 0, 0); joints inside it that are hidden get a confidence of 0.5. The size of the picture is
    written as ControlNet's tools do. The files of an earlier run in the same folder are replaced.

    Raises:
      FileExistsError: the folder holds something else.
    """
    people = poses.as_people() if isinstance(poses, PoseSequence) else poses
    if people.skeleton not in SKELETONS.values():
        people = people.as_skeleton(BODY_25)
    documents = [_document(*frame) for frame in zip(people.frames, people.sizes, strict=True)]
    if path.suffix.lower() == ".json":
        files.save_json(path, documents)
        return
    check(path)
    stems = files.stems(people.names)
    temporary = path.with_name(f".writing-{path.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        for i, document in enumerate(documents):
            name = stems[i] or f"{path.name}_{i:012d}"
            files.save_json(temporary / f"{name}{_END}", document)
        shutil.rmtree(path, ignore_errors=True)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _document(figures: np.ndarray, size: tuple[float, float]) -> dict[str, Any]:
    people = []
    for points in figures:
        x, y, visibility = points.T
        inside = (x >= 0) & (x <= size[1]) & (y >= 0) & (y <= size[0])
        if not inside.any():
            continue
        values = np.stack([x, y, np.where(visibility > 0, visibility, HIDDEN)], 1)
        values = np.where(inside[:, None], values, 0).astype(float).round(3)
        person = {"person_id": [-1], "pose_keypoints_2d": values.ravel().tolist(), "pose_keypoints_3d": []}
        people.append(person | {name: [] for name in _EMPTY})
    return {"version": 1.3, "people": people, "canvas_width": size[1], "canvas_height": size[0]}
