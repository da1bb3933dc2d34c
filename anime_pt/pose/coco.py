"""Keypoints as COCO annotates them (cocodataset.org/#format-data, "Keypoint Detection").

    {"images": [{"id", "file_name", "width", "height"}, ...],
     "annotations": [{"id", "image_id", "category_id", "keypoints": [x, y, v, ...], "num_keypoints", "bbox",
                      "area", "iscrowd"}, ...],
     "categories": [{"id", "name", "keypoints": [names], "skeleton": [[i, j], ...]}]}

v is 0 for a joint without a label (then x = y = 0), 1 for a hidden one, 2 for a visible one. COCO's keypoints
count pixels from 0, so that a pixel's centre is whole; here it is at .5, and half a pixel is added on reading
and taken away on writing. Boxes (x, y, width, height) reach from pixel edge to pixel edge in both.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from anime_pt.pose import files
from anime_pt.pose.sequences import People, PoseFileError, PoseSequence, extent, unknown
from anime_pt.pose.skeletons import COCO_17, SKELETONS, Skeleton


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


def parse(document: Any, path: pathlib.Path, fps: float) -> People:
    """What a file holds; arguments and errors as `read`."""
    try:
        return _people(document, fps)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise PoseFileError(f"{path} is not a COCO keypoints file: {error!r}") from error
    except ValueError as error:
        raise PoseFileError(f"{path}: {error}") from error


def _people(document: Mapping[str, Any], fps: float) -> People:
    categories = [c for c in document["categories"] if c.get("keypoints")]
    if len(categories) != 1:
        raise ValueError(f"one category must have keypoints, not {len(categories)}")
    (category,) = categories
    skeleton, order = _skeleton(category["keypoints"])
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
        points = np.array(annotation["keypoints"], np.float32)
        if points.shape != (3 * len(order),):
            raise ValueError(f"an annotation has {points.size} numbers in keypoints, not {3 * len(order)}")
        points = points.reshape(-1, 3)[order]
        labelled = points[:, 2] > 0
        if labelled.any():
            shown = (points[:, 2] > 1).astype(np.float32)
            if "keypoint_scores" in annotation:
                shown = np.array(annotation["keypoint_scores"], np.float32)[order]
            points = np.concatenate([points[:, :2] + 0.5, shown[:, None]], 1)
            points[~labelled] = (np.nan, np.nan, 0)
            figures[rows[annotation["image_id"]]].append(points)
    sizes = [(float(image["height"]), float(image["width"])) for image in images]
    fps = float((document.get("info") or {}).get("fps", fps))
    if not (np.min(sizes) > 0 and np.max(sizes) < np.inf and 0 < fps < np.inf):
        raise ValueError("width, height and fps must be positive numbers")
    frames = [np.stack(f) if f else unknown(0, skeleton) for f in figures]
    return People(frames, skeleton, sizes, fps, [str(image.get("file_name", "")) for image in images])


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
