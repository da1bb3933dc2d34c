"""Keypoints as COCO annotates them (cocodataset.org/#format-data, "Keypoint Detection").

    {"images": [{"id", "file_name", "width", "height"}, ...],
     "annotations": [{"id", "image_id", "category_id", "keypoints": [x, y, v, ...], "num_keypoints", "bbox",
                      "area", "iscrowd"}, ...],
     "categories": [{"id", "name", "keypoints": [names], "skeleton": [[i, j], ...]}]}

v is 0 for a joint without a label (then x = y = 0), 1 for a hidden one, 2 for a visible one. COCO's keypoints
count pixels from 0, so that a pixel's centre is whole; here it is at .5, and half a pixel is added on reading
and taken away on writing. Boxes (x, y, width, height) reach from pixel edge to pixel edge in both.

Read, too: COCO-WholeBody's annotations (Jin et al. 2020), which add "foot_kpts", "face_kpts", "lefthand_kpts"
and "righthand_kpts" with a "..._valid" for each; a face's v says only that it is labelled. And results, as
COCO's evaluation takes them and AlphaPose writes them: a list with, for each person,

    {"image_id", "category_id", "keypoints": [x, y, score, ...], "score"}

Its joints are told by their number. If the image ids are numbers, or names that only differ in their numbers,
these are the frames of a clip, and a number that is left out is a frame with nobody.
"""

import pathlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from anime_pt.pose import files
from anime_pt.pose.sequences import (
    People,
    PoseFileError,
    PoseSequence,
    extent,
    floats,
    places,
    reach,
    unknown,
)
from anime_pt.pose.skeletons import COCO_17, COCO_WHOLEBODY_133, HALPE_26, SKELETONS, Skeleton

# Parts of COCO-WholeBody behind the body, in the order of its joints.
_PARTS = {"foot": 6, "face": 68, "lefthand": 21, "righthand": 21}
_RESULTS = {len(s): s for s in (COCO_17, HALPE_26, COCO_WHOLEBODY_133)}


def read(path: pathlib.Path, fps: float = 30.0) -> People:
    """Reads annotations of any of the project's skeletons; its joints are found by their names.

    Pictures come in the file's order. Annotations without a labelled joint (crowds) are left out.

    Args:
      path: file.
      fps: frames per second, which the format does not say; `info.fps` wins, which `write` adds for a clip.

    Raises:
      FileNotFoundError: nothing there.
      PoseFileError: not such a file, or a torn one.
    """
    return parse(files.load_json(path), path, fps)


def fits(document: Any) -> bool:
    """Whether a document looks like annotations or results."""
    if isinstance(document, Mapping):
        return "annotations" in document and "images" in document
    first = document[0] if isinstance(document, list) and document else None
    return isinstance(first, Mapping) and "image_id" in first and "keypoints" in first


def parse(document: Any, path: pathlib.Path, fps: float, size: tuple[float, float] | None = None) -> People:
    """What a file holds; arguments and errors as `read`.

    Results do not say how large the pictures are: `size` does, or they reach past every joint.
    """
    try:
        if isinstance(document, list):
            return _results(document, fps, size)
        return _people(document, fps)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        why = f"there is no {error} where the format has one" if isinstance(error, KeyError) else repr(error)
        raise PoseFileError(f"{path} is not a COCO keypoints file: {why}") from error
    except ValueError as error:
        raise PoseFileError(f"{path}: {error}") from error


def _people(document: Mapping[str, Any], fps: float) -> People:
    categories = [c for c in document["categories"] if c.get("keypoints")]
    if len(categories) != 1:
        raise ValueError(f"one category must have keypoints, not {len(categories)}")
    (category,) = categories
    skeleton, order = _skeleton(category["keypoints"])
    whole = skeleton is COCO_17 and any("foot_kpts" in a for a in document["annotations"])
    if whole:
        skeleton = COCO_WHOLEBODY_133
    images = document["images"]
    rows = {image["id"]: i for i, image in enumerate(images)}
    if len(rows) != len(images):
        raise ValueError("an image id appears twice")
    if not images:
        raise ValueError("there are no images")
    figures: list[list[np.ndarray]] = [[] for _ in images]
    for annotation in document["annotations"]:
        if annotation["category_id"] != category["id"] or "keypoints" not in annotation:
            continue
        if annotation["image_id"] not in rows:
            raise ValueError(f"an annotation is of image {annotation['image_id']!r}, which is not listed")
        points = floats(annotation["keypoints"])
        if points.shape != (3 * len(order),):
            raise ValueError(
                f"an annotation has {points.size} numbers in keypoints, not {3 * len(order)}: x, y and v of "
                f"each of the {len(order)} that its category names"
            )
        points = points.reshape(-1, 3)[order]
        if whole:
            points = np.concatenate([points, *(_part(annotation, *part) for part in _PARTS.items())])
        shown = (points[:, 2] > 1).astype(np.float32)
        if "keypoint_scores" in annotation:
            shown = floats(annotation["keypoint_scores"])[order]
        labelled = (points[:, 2] > 0) & np.isfinite(points).all(1) & np.isfinite(shown)
        if labelled.any():
            points = np.concatenate([points[:, :2] + 0.5, shown[:, None]], 1)
            points[~labelled] = (np.nan, np.nan, 0)
            figures[rows[annotation["image_id"]]].append(points)
    sizes = [(float(image["height"]), float(image["width"])) for image in images]
    fps = float((document.get("info") or {}).get("fps", fps))
    if not (np.min(sizes) > 0 and np.max(sizes) < np.inf and 0 < fps < np.inf):
        raise ValueError("width, height and fps must be positive numbers")
    frames = [np.stack(f) if f else unknown(0, skeleton) for f in figures]
    return People(frames, skeleton, sizes, fps, [str(image.get("file_name", "")) for image in images])


def _part(annotation: Mapping[str, Any], name: str, count: int) -> np.ndarray:
    """(count, 3) x, y, v of a part of COCO-WholeBody; v = 0 where it is not annotated."""
    if not annotation.get(f"{name}_valid"):
        return np.zeros((count, 3), np.float32)
    points = floats(annotation[f"{name}_kpts"])
    if points.shape != (3 * count,):
        raise ValueError(f"an annotation has {points.size} numbers in {name}_kpts, not {3 * count}")
    points = points.reshape(-1, 3)
    if name == "face":
        points[:, 2] = np.where(points[:, 2] > 0, 2, 0)
    return points


def _results(document: list, fps: float, size: tuple[float, float] | None) -> People:
    found: dict[Any, list[np.ndarray]] = {}
    counts = set()
    for result in document:
        points = floats(result["keypoints"])
        if points.ndim != 1 or points.size % 3:
            raise ValueError("keypoints must be a list of x, y and score for each joint")
        points = points.reshape(-1, 3)
        counts.add(len(points))
        points[:, :2] += 0.5
        points[~np.isfinite(points).all(1) | (points[:, 2] <= 0)] = (np.nan, np.nan, 0)
        figures = found.setdefault(result["image_id"], [])
        if np.isfinite(points[:, 0]).any():
            figures.append(points)
    if len(counts) != 1 or not counts <= set(_RESULTS):
        known = ", ".join(f"{n} ({s.name})" for n, s in _RESULTS.items())
        raise ValueError(
            f"people have {' and '.join(map(str, sorted(counts)))} joints; this program reads {known}"
        )
    skeleton = _RESULTS[counts.pop()]
    ids = sorted(found, key=lambda i: _number(i)[::-1])
    stacked = [np.stack(found[i]) if found[i] else unknown(0, skeleton) for i in ids]
    names = [str(i) for i in ids]
    if len({_number(i)[0] for i in ids}) == 1:
        try:
            at = places([_number(i)[1] for i in ids])
        except ValueError:
            pass  # Numbers of pictures, not of frames.
        else:
            frames = [unknown(0, skeleton) for _ in range(at[-1] + 1)]
            for place, frame in zip(at, stacked, strict=True):
                frames[place] = frame
            stacked, names = frames, [""] * len(frames)
    size = size or reach(stacked)
    return People(stacked, skeleton, [size] * len(stacked), fps, names)


def _number(image: Any) -> tuple[str, int]:
    """The name of an image id without its last number, and that number."""
    match = re.fullmatch(r"(.*?)(\d*)(\D*)", str(image), re.DOTALL)
    return match[1] + match[3], int(match[2] or -1)


def _skeleton(names: list[str]) -> tuple[Skeleton, list[int]]:
    """The skeleton with these joints, and where each of its joints is in the list."""
    for skeleton in SKELETONS.values():
        if sorted(skeleton.keypoints) == sorted(names):
            return skeleton, [names.index(name) for name in skeleton.keypoints]
    raise ValueError(f"the joints are those of none of {', '.join(SKELETONS)}: {', '.join(map(str, names))}")


def write(
    path: pathlib.Path,
    poses: PoseSequence | People,
    names: list[str] | None = None,
    boxes: np.ndarray | None = None,
    skeleton: Skeleton = COCO_17,
    scored: bool = False,
) -> None:
    """Writes one annotation for each figure of which a joint is seen or hidden.

    Joints outside the picture are not labelled, as in COCO. Frames with names are pictures, which have no
    frames per second.

    Args:
      path: of the file.
      poses: any skeleton.
      names: file name of each frame; None: what `poses` says, else frame_00000.png and so on.
      boxes: (t, 4) x, y, width, height of each frame's only figure, in pixels. None: the box around the
        labelled joints.
      skeleton: of the joints that are written; what COCO's own tools know is COCO's seventeen.
      scored: visibility is an estimator's confidence: annotations get it as "keypoint_scores" (MMPose's
        word), and its mean over the labelled joints as "score" (as COCO's results have it).
    """
    people = (poses.as_people() if isinstance(poses, PoseSequence) else poses).as_skeleton(skeleton)
    images, annotations = [], []
    for i, (figures, (height, width)) in enumerate(zip(people.frames, people.sizes, strict=True)):
        name = names[i] if names else people.names[i] or f"frame_{i:05d}.png"
        images.append({"id": i + 1, "file_name": name, "width": width, "height": height})
        for points in figures:
            box = None if boxes is None else boxes[i].tolist()
            annotation = _annotation(points, (height, width), box, scored)
            if annotation:
                ids = {"id": len(annotations) + 1, "image_id": i + 1, "category_id": 1}
                annotations.append(ids | annotation)
    person = {
        "supercategory": "person",
        "id": 1,
        "name": "person",
        "keypoints": list(skeleton.keypoints),
        # COCO counts joints from 1 here.
        "skeleton": (skeleton.limb_indices + 1).tolist(),
    }
    if names or any(people.names):
        info = {"description": "keypoints of pictures"}
    else:
        info = {"description": "keypoints of a clip", "fps": people.fps}
    document = {
        "info": info,
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [person],
    }
    files.save_json(path, document)


def _annotation(
    points: np.ndarray, size: tuple[float, float], box: list[float] | None, scored: bool
) -> dict[str, Any] | None:
    """What is said of one figure (k, 3), or None if no joint is in the picture of (height, width)."""
    x, y, visibility = points.T
    inside = (x >= 0) & (x <= size[1]) & (y >= 0) & (y <= size[0])
    if not inside.any():
        return None
    box = box or extent(np.where(inside[:, None], points, np.nan))
    values = np.stack([x - 0.5, y - 0.5, 1 + (visibility > 0)], 1)
    values = np.where(inside[:, None], values, 0).astype(float).round(3)
    out = {
        "keypoints": [int(v) if v == int(v) else v for v in values.ravel().tolist()],
        "num_keypoints": int(inside.sum()),
        "bbox": [round(v, 3) for v in box],
        "area": round(box[2] * box[3], 3),
        "iscrowd": 0,
    }
    if scored:
        scores = np.where(inside, visibility, 0).astype(float)
        out["score"] = round(float(scores[inside].mean()), 4)
        out["keypoint_scores"] = scores.round(4).tolist()
    return out
