"""Joints of RTMPose, RTMW, DWPose, RTMO and their like: files of MMPose, and what people save of rtmlib.

Their joints are told by their number: 17 (COCO), 26 (Halpe's body with feet), 133 (COCO-WholeBody); 18 and
134 are what rtmlib's and DWPose's `to_openpose` makes of 17 and 133 (OpenPose's order with a neck, which is
left out here; then feet, face and hands). Where MMPose's "meta_info" names the joints, the names decide.

JSON, one entry for each frame, null or [] for a frame with nobody:

    [{"keypoints": [n][k][x, y], "scores": [n][k]}, ...]        rtmlib's two results of each frame
    [{"keypoints": [k][x, y], "scores": [k]}, ...]              of one person
    [[n][k][x, y, score], ...]  or  [[k][x, y, score], ...]     the same without names
    {"instance_info": [{"frame_id": 1, "instances": [{"keypoints": [k][x, y], "keypoint_scores": [k]}]}]}
    [{"frame_id": 0, "instances": [...]}, ...]                  MMPose's predictions of a video
    [{"keypoints": [k][x, y], "keypoint_scores": [k]}, ...]     of one picture: an entry for each person

NPZ with the arrays "keypoints" (t, k, 2), (t, n, k, 2) or either with 3 (x, y, score), padded with NaN where
fewer than n people were found, and "scores" (t, k) or (t, n, k); or with one row for each person found:
"keypoints" (m, k, 2), "scores" (m, k), "frame" (m,), its number. Optional: "width", "height", "fps".

Pixels are counted from 0 at their centres, as in COCO: half a pixel is added.
"""

import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from anime_pt.pose import files
from anime_pt.pose.sequences import People, PoseFileError, floats, places, reach, unknown
from anime_pt.pose.skeletons import (
    COCO_17,
    COCO_WHOLEBODY_133,
    HALPE_26,
    MEDIAPIPE_33,
    OPENPOSE_18,
    Skeleton,
)

# What a number of joints says: the skeleton that is read, and the names in the file's order.
_BEHIND_BODY = COCO_WHOLEBODY_133.keypoints[len(COCO_17) :]
LAYOUTS: dict[int, tuple[Skeleton, tuple[str, ...]]] = {
    17: (COCO_17, COCO_17.keypoints),
    18: (COCO_17, OPENPOSE_18.keypoints),
    26: (HALPE_26, HALPE_26.keypoints),
    133: (COCO_WHOLEBODY_133, COCO_WHOLEBODY_133.keypoints),
    134: (COCO_WHOLEBODY_133, (*OPENPOSE_18.keypoints, *_BEHIND_BODY)),
}
_NAMES = {"head": "head_top", "hip": "mid_hip"}


def known() -> str:
    """The numbers of joints that are read, for messages."""
    counts = ", ".join(f"{count} ({s.name})" for count, (s, _) in LAYOUTS.items())
    return f"{counts}, and MediaPipe's 33"


def read(path: pathlib.Path, size: tuple[float, float] | None = None, fps: float = 30.0) -> People:
    """Reads a .json or .npz file, see the module's docstring.

    Args:
      path: file.
      size: (height, width) of the pictures in pixels. None: what the file says; if it says nothing, the
        smallest frame that reaches from the origin past every joint.
      fps: frames per second, where the file does not say it.

    Raises:
      FileNotFoundError: no such file.
      PoseFileError: not such a file.
    """
    if path.suffix.lower() != ".npz":
        return parse(files.load_json(path), path, size, fps)
    if not path.is_file():
        raise FileNotFoundError(f"there is no pose file {path}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise PoseFileError(f"{path} is no file of plain arrays: {' '.join(str(error).split())}") from error
    return _of_arrays(arrays, path, size, fps)


def fits(document: Any) -> bool:
    """Whether a document looks like one of these."""
    if isinstance(document, Mapping):
        return isinstance(document.get("instance_info"), list)
    if not isinstance(document, list):
        return False
    first = next((entry for entry in document if entry), None)
    if isinstance(first, Mapping):
        scored = "keypoints" in first and ("scores" in first or "keypoint_scores" in first)
        return scored or "instances" in first
    shape = []
    while isinstance(first, list) and first:
        shape.append(len(first))
        first = first[0]
    plain = isinstance(first, int | float) and len(shape) in (2, 3) and shape[-1] in (2, 3)
    return plain and shape[-2] != len(MEDIAPIPE_33)


def parse(document: Any, path: pathlib.Path, size: tuple[float, float] | None, fps: float) -> People:
    """What a JSON file holds; arguments and errors as `read`."""
    names = None
    if isinstance(document, Mapping):
        names = _named(document.get("meta_info"), path)
        document = document.get("instance_info")
    if not isinstance(document, list) or not document:
        raise PoseFileError(f"{path} has no frames")
    entries = document
    if any(isinstance(entry, Mapping) and "keypoint_scores" in entry for entry in document):
        entries = [{"instances": document}]
    frames = [_figures(entry, path) for entry in entries]
    numbers = [e.get("frame_id") if isinstance(e, Mapping) else None for e in entries]
    if all(isinstance(number, int) for number in numbers):
        try:
            at = places(numbers)
        except ValueError as error:
            raise PoseFileError(f'{path}: "frame_id": {error}') from error
    else:
        at = list(range(len(entries)))
    spread = [np.zeros((0, 0, 3), np.float32) for _ in range(at[-1] + 1)]
    for place, frame in zip(at, frames, strict=True):
        spread[place] = frame
    return _people(spread, names, path, size, fps)


def _named(meta: Any, path: pathlib.Path) -> tuple[str, ...] | None:
    """Names of the joints in their order, ours where they differ; None where a file has none."""
    table = meta.get("keypoint_id2name") if isinstance(meta, Mapping) else None
    if not isinstance(table, Mapping) or not table:
        return None
    try:
        names = [str(table[str(i)]) for i in range(len(table))]
    except KeyError as error:
        raise PoseFileError(f"{path}: keypoint_id2name has no joint {error}") from error
    return tuple(_our_name(name) for name in names)


def _our_name(name: str) -> str:
    if name.startswith("face-") and name[5:].isdigit() and int(name[5:]) < 68:
        return COCO_WHOLEBODY_133.keypoints[23 + int(name[5:])]
    # left_thumb1
    digits = len(name) - len(name.rstrip("0123456789"))
    if digits and not name[:-digits].endswith("_"):
        name = f"{name[:-digits]}_{name[-digits:]}"
    return _NAMES.get(name, name)


def _figures(entry: Any, path: pathlib.Path) -> np.ndarray:
    """(n, k, 3) of a frame."""
    try:
        if isinstance(entry, Mapping) and "instances" in entry:
            figures = [_scored(e["keypoints"], e["keypoint_scores"]) for e in entry["instances"]]
            return np.concatenate(figures) if figures else np.zeros((0, 0, 3), np.float32)
        if isinstance(entry, Mapping):
            return _scored(entry.get("keypoints"), entry.get("scores"))
        return _scored(entry, None)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise PoseFileError(f"{path}: a frame cannot be read: {' '.join(str(error).split())}") from error


def _scored(keypoints: Any, scores: Any) -> np.ndarray:
    """(n, k, 3) of places and scores, which may be with them, or of one person."""
    points = floats(keypoints if keypoints is not None else [])
    if not points.size:
        return np.zeros((0, 0, 3), np.float32)
    points = points[None] if points.ndim == 2 else points
    if points.ndim != 3 or points.shape[-1] not in (2, 3):
        raise ValueError(f"keypoints of shape {points.shape}, not (people, joints, 2)")
    if scores is not None:
        values = floats(scores).reshape(points.shape[:2])
    elif points.shape[-1] == 3:
        values = points[..., 2]
    else:
        raise ValueError("there are no scores")
    return np.concatenate([points[..., :2], values[..., None]], -1)


def _of_arrays(
    arrays: Mapping[str, np.ndarray], path: pathlib.Path, size: tuple[float, float] | None, fps: float
) -> People:
    try:
        points, scores = floats(arrays["keypoints"]), arrays.get("scores")
        if points.ndim == 3 and "frame" not in arrays:
            points = points[:, None]
            scores = None if scores is None else np.asarray(scores)[:, None]
        rows = [_scored(p, None if scores is None else scores[i]) for i, p in enumerate(points)]
        if "frame" in arrays:
            numbers = np.asarray(arrays["frame"]).astype(int)
            if len(numbers) != len(rows) or (numbers < 0).any():
                raise ValueError("frame must be a number from 0 up for each row of keypoints")
            if len(numbers) and numbers.max() > 100 * len(numbers) + 100:
                raise ValueError("nearly all frames have nobody")
            frames = [
                np.concatenate(
                    [np.zeros((0, *points.shape[1:-1], 3)), *(rows[j] for j in np.flatnonzero(numbers == i))]
                )
                for i in range(numbers.max(initial=-1) + 1)
            ]
        else:
            frames = rows
        said = [float(arrays[name]) for name in ("height", "width") if name in arrays]
        if len(said) == 2 and size is None:
            size = tuple(said)
        fps = float(arrays.get("fps", fps))
    except KeyError as error:
        raise PoseFileError(f"{path} has no array {error}") from error
    except (TypeError, ValueError) as error:
        raise PoseFileError(f"{path}: {' '.join(str(error).split())}") from error
    if not frames:
        raise PoseFileError(f"{path} has no frames")
    return _people(frames, None, path, size, fps)


def _people(
    frames: list[np.ndarray],
    names: tuple[str, ...] | None,
    path: pathlib.Path,
    size: tuple[float, float] | None,
    fps: float,
) -> People:
    counts = sorted({frame.shape[1] for frame in frames if len(frame)})
    if len(counts) > 1:
        raise PoseFileError(f"{path} mixes people of {' and '.join(map(str, counts))} joints")
    count = counts[0] if counts else len(COCO_17)
    if count not in LAYOUTS:
        raise PoseFileError(f"{path}: a person has {count} joints; this program reads {known()}")
    skeleton, order = LAYOUTS[count]
    if names is not None and counts:
        if sorted(names) != sorted(order):
            raise PoseFileError(f"{path}: the joints' names are not those of {skeleton.name}")
        order = names
    rows = [order.index(name) for name in skeleton.keypoints]
    out = []
    for frame in frames:
        points = frame[:, rows].astype(np.float32) if len(frame) else unknown(0, skeleton)
        points[..., :2] += 0.5
        points[~np.isfinite(points).all(-1) | (points[..., 2] <= 0)] = (np.nan, np.nan, 0)
        out.append(points[np.isfinite(points[..., 0]).any(1)])
    size = size or reach(out)
    if not (min(size) > 0 and max(size) < np.inf and 0 < fps < np.inf):
        raise PoseFileError(f"{path}: width, height and fps must be positive numbers")
    return People(out, skeleton, [size] * len(out), fps, [""] * len(out))
