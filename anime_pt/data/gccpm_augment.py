"""Pictures for GCCPM as its code makes them, whole and square, and its augmentations in its order.

Daniil-Osokin/gccpm-look-into-person-cvpr19.pytorch, `datasets/transformations.py`: a quadrilateral of grey
over the body, channels permuted, a turn, a change of scale, a flip; 128 is the colour of what lies outside.
No joint is dropped when it leaves the picture. Unknown joints are NaN here, where that code marks them by -1.
Channels are truly permuted; that code assigns views of the picture in place, so that a channel is doubled
instead, and so does `permutation_bug`.
"""

import dataclasses
import itertools
from typing import Any

import cv2
import grain
import numpy as np

from anime_pt.data import figures
from anime_pt.pose import affine
from anime_pt.pose.skeletons import Skeleton

Example = dict[str, Any]
GREY = 128
TURN = 40.0  # Degrees, to either side.
ZOOM = (0.8, 1.5)


@dataclasses.dataclass(frozen=True)
class Squared(grain.transforms.Map):
    """The whole picture scaled so that its long side fills a square, in the middle of grey: for evaluation.

    Attributes:
      size: height and width of the result, mostly equal.
      have, want: skeletons of the dataset and of the result.
    """

    size: tuple[int, int]
    have: Skeleton
    want: Skeleton

    def map(self, example: Example) -> Example:
        image, points = example["image"], figures.in_order(example, self.have, self.want)
        image, points = squared(image, points, self.size)
        return {"image": image, "keypoints": points}


@dataclasses.dataclass(frozen=True)
class Augmented(grain.transforms.RandomMap):
    """The same, after the code's augmentations: for training; attributes as `Squared`.

    Attributes:
      permutation_bug: double channels as the public code does, in place of permuting them.
    """

    size: tuple[int, int]
    have: Skeleton
    want: Skeleton
    permutation_bug: bool = False

    def random_map(self, example: Example, rng: np.random.Generator) -> Example:
        image, points = example["image"], figures.in_order(example, self.have, self.want)
        if rng.random() < 0.5:
            image = mask_body(image, rng)
        if rng.random() < 0.5:
            order = list(itertools.permutations(range(3)))[rng.integers(6)]
            image = permuted(image, order, self.permutation_bug)
        image, points = turned(image, points, rng.uniform(-TURN, TURN))
        if rng.random() < 0.5:
            image, points = zoomed(image, points, rng.uniform(*ZOOM))
        image, points = squared(image, points, self.size)
        if rng.random() < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
            points = affine.apply(affine.mirror(image.shape[1]), points)[self.want.flip]
        return {"image": image, "keypoints": points.astype(np.float32)}


def mask_body(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A filled convex quadrilateral of grey about a place in the middle third, up to 0.3 of a side around."""
    h, w = image.shape[:2]
    x, y = rng.integers(w // 3, w * 2 // 3 + 1), rng.integers(h // 3, h * 2 // 3 + 1)
    right, left = (rng.integers(1, max(2, int(w * 0.3)), 2) for _ in range(2))
    down, up = (rng.integers(1, max(2, int(h * 0.3)), 2) for _ in range(2))
    corners = np.array(
        [
            (x - left[0], y - up[0]),
            (x + right[0], y - up[1]),
            (x + right[1], y + down[0]),
            (x - left[1], y + down[1]),
        ]
    )
    out = image.copy()
    cv2.fillConvexPoly(out, cv2.convexHull(corners.astype(np.int32)), (GREY,) * 3)
    return out


def permuted(image: np.ndarray, order: tuple[int, int, int], bug: bool = False) -> np.ndarray:
    """Channels in another order; with `bug`, as views assigned one after the other leave them."""
    if not bug:
        return np.ascontiguousarray(image[..., list(order)])
    # In the code's terms: red, green, blue = views; channel i is overwritten while it may still be read.
    out = image.copy()
    for channel, source in enumerate(order):
        out[..., channel] = out[..., source]
    return out


def turned(image: np.ndarray, points: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """The picture turned about its middle, on a canvas that holds all of it."""
    h, w = image.shape[:2]
    c, s = abs(np.cos(np.radians(degrees))), abs(np.sin(np.radians(degrees)))
    width, height = int(h * s + w * c), int(h * c + w * s)
    matrix = affine.compose(
        affine.translate(width / 2, height / 2), affine.rotate(degrees), affine.translate(-w / 2, -h / 2)
    )
    out = cv2.warpAffine(image, affine.to_pixel_centres(matrix), (width, height), borderValue=(GREY,) * 3)
    return out, affine.apply(matrix, points)


def zoomed(image: np.ndarray, points: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """The picture at another scale on a canvas of its old size: its middle, or all of it amid grey."""
    h, w = image.shape[:2]
    scaled = cv2.resize(image, (0, 0), fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    return _centred(scaled, affine.apply(affine.scale(factor), points), (h, w))


def squared(image: np.ndarray, points: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The picture as large as fits into `size`, in the middle of grey."""
    height, width = image.shape[:2]
    factor = min(size[0] / height, size[1] / width)
    # However narrow, a side keeps one pixel.
    fx, fy = max(factor, 1 / width), max(factor, 1 / height)
    scaled = cv2.resize(image, (0, 0), fx=fx, fy=fy, interpolation=cv2.INTER_LINEAR)
    image, points = _centred(scaled, affine.apply(affine.scale(factor), points), size)
    return image, points.astype(np.float32)


def _centred(image: np.ndarray, points: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Cut to `size` about the middle, or grey around it, for each side as it needs."""
    (h, w), (height, width) = image.shape[:2], size
    top, left = (height - h) // 2, (width - w) // 2
    out = np.full((height, width, image.shape[2]), GREY, np.uint8)
    inside = image[max(0, -top) : max(0, -top) + height, max(0, -left) : max(0, -left) + width]
    y, x = max(0, top), max(0, left)
    out[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return out, affine.apply(affine.translate(left, top), points)
