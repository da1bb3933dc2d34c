"""A figure in a picture of the manual folder, and how it becomes an example."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from anime_pt.pose.sequences import PoseSequence, extent
from anime_pt.pose.skeletons import Skeleton
from tfds_builders.anime_keypoints import pictures
from tfds_builders.anime_keypoints.augmentation import Augmentation
from tfds_builders.unity_avatars.pictures import png

# A box around joints is wider than they are by this share of its longer side, for hair, hands and clothes.
_BEYOND_JOINTS = 0.15
_SMALLEST_MARGIN = 8.0


@dataclasses.dataclass(frozen=True)
class Figure:
    """Where a figure is. Tuples throughout, so that it pickles and its repr says everything.

    Attributes:
      path: of the picture.
      name: of the picture, as the annotations have it.
      figure: an id, unique among those of the picture.
      points: k times x, y, visibility, in pixels of the upright picture; NaN, NaN, 0 where unknown.
      box: x, y, width, height in the same pixels, or None: around the joints.
      crop: left, top, right, bottom of what is taken of the picture, whole pixels.
      size: width and height to which that is resized.
      copy: 0 as it is drawn; others are augmented, each in a way of its own.
    """

    path: str
    name: str
    figure: str
    points: tuple[tuple[float, float, float], ...]
    box: tuple[float, float, float, float] | None
    crop: tuple[int, int, int, int]
    size: tuple[int, int]
    copy: int = 0


@dataclasses.dataclass(frozen=True)
class Missing:
    """Why there is no figure: a word to count by ("absent", "unreadable", "replaced"), and what to read."""

    kind: str
    words: str


@dataclasses.dataclass(frozen=True)
class Examples:
    """The examples of one shard. Pickles; called in the writer."""

    figures: tuple[Figure, ...]
    augmentation: Augmentation | None = None

    def __call__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for figure in self.figures:
            image, points, box = _taken(figure)
            label = figure.figure
            if figure.copy:
                image, points = self.augmentation(image, points, box, f"{figure.figure}/{figure.copy}")
                points, box = _seen(points, figure.size), around(points, figure.size)
                label = f"{figure.figure}_{figure.copy}"
            yield (
                f"{figure.name}/{label}",
                {
                    "image": png(image),
                    "keypoints": points.astype(np.float32),
                    "box": np.asarray(box, np.float32),
                    "name": figure.name,
                    "figure": label,
                },
            )


def _taken(figure: Figure) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image (h, w, 3), keypoints (k, 3) and box (4,) of what is stored of a figure."""
    left, top, right, bottom = figure.crop
    scale = np.array(figure.size) / (right - left, bottom - top)
    points = np.array(figure.points, float)
    points[:, :2] = (points[:, :2] - (left, top)) * scale
    if figure.box is None:
        box = around(points, figure.size)
    else:
        x, y, width, height = figure.box
        box = clipped((*((np.array([x, y]) - (left, top)) * scale), *(scale * (width, height))), figure.size)
    return pictures.part(figure.path, figure.crop, figure.size), _seen(points, figure.size), box


def _seen(points: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """The same (k, 3), with visibility 0 for joints outside of the picture; where they are stays."""
    out = points.copy()
    # Comparisons with NaN are false.
    out[~((out[:, :2] >= 0) & (out[:, :2] <= size)).all(1), 2] = 0
    return out


def around(points: np.ndarray, size: Sequence[float]) -> np.ndarray:
    """A box (4,) x, y, width, height around the known joints of a figure and what is beyond them."""
    x, y, width, height = extent(points)
    more = max(_BEYOND_JOINTS * max(width, height), _SMALLEST_MARGIN)
    return clipped((x - more, y - more, width + 2 * more, height + 2 * more), size)


def clipped(box: Sequence[float], size: Sequence[float]) -> np.ndarray:
    """The part (4,) x, y, width, height of a box that is in a picture of this width and height."""
    corners = np.array([[box[0], box[1]], [box[0] + box[2], box[1] + box[3]]]).clip(0, size)
    return np.concatenate([corners[0], corners[1] - corners[0]])


def converted(
    points: np.ndarray, names: Sequence[str], skeleton: Skeleton, size: tuple[int, int]
) -> np.ndarray:
    """Joints (k, 3) of these names -> those of a skeleton, by name; see `PoseSequence.as_skeleton`."""
    found = Skeleton("annotated", tuple(names), ())
    return PoseSequence(points[None], found, (size[1], size[0])).as_skeleton(skeleton).keypoints[0]


def frozen(points: np.ndarray) -> tuple[tuple[float, float, float], ...]:
    """An array (k, 3) as `Figure.points`."""
    return tuple(tuple(map(float, p)) for p in points)
