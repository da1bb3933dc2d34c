"""One figure in the middle of a picture: what a pose estimator is trained and measured on.

The figure is cut out by its box with a margin, as `anime_pt.estimate` does. In training it is also turned,
scaled, shifted, mirrored, sometimes stretched in places or cut off, drawn in another style (`styles`) and put
before another background; that takes a `mask`. Pictures without one are moved, occluded and scanned only.
"""

import dataclasses
from typing import Any

import cv2
import grain
import numpy as np

from anime_pt.data import crops, styles
from anime_pt.pose import affine, sequences
from anime_pt.pose.skeletons import Skeleton

Example = dict[str, Any]


def box_of(example: Example) -> tuple[float, float, float, float]:
    """x, y, width and height of the figure: of its mask, else its `box`, else around its known joints."""
    if "mask" in example:
        x, y, w, h = cv2.boundingRect((example["mask"][..., 0] > 127).astype(np.uint8))
        if w and h:
            return x, y, w, h
    if "box" in example:
        return tuple(example["box"])
    known = example["keypoints"][np.isfinite(example["keypoints"][:, :2]).all(1), :2]
    if not len(known):
        h, w = example["image"].shape[:2]
        return 0, 0, w, h
    # Joints lie inside the figure: the head and the feet reach beyond them.
    low, high = known.min(0), known.max(0)
    grown = 0.1 * (high - low).max()
    return (*(low - grown), *(high - low + 2 * grown))


def in_order(example: Example, have: Skeleton, want: Skeleton) -> np.ndarray:
    """The joints of `want` by name, see `sequences.convert`.

    Raises:
      ValueError: there are not as many as `have` has.
    """
    points = example["keypoints"]
    if points.shape[0] != len(have):
        raise ValueError(
            f"the dataset has {points.shape[0]} keypoints, {have.name} has {len(have)}: "
            "set config.data.skeleton to the dataset's"
        )
    return points if have == want else sequences.convert(points[None], have, want)[0]


@dataclasses.dataclass(frozen=True)
class Centred(grain.transforms.Map):
    """The figure upright in the middle, before white: for evaluation.

    Attributes:
      size: height and width of the picture.
      have, want: skeletons of the dataset and of the result.
      style: one of `styles.UNSEEN`, or "" for the figure as it is.
    """

    size: tuple[int, int]
    have: Skeleton
    want: Skeleton
    style: str = ""

    def __post_init__(self):
        if self.style and self.style not in styles.UNSEEN:
            raise ValueError(f"data.eval_style = {self.style!r}; known: {', '.join(styles.UNSEEN)}")

    def map(self, example: Example) -> Example:
        matrix = affine.fit(box_of(example), self.size, affine.FIGURE_MARGIN)
        image = crops.warp(example["image"], matrix, self.size)
        points = affine.apply(matrix, in_order(example, self.have, self.want))
        if self.style:
            # The same in every pass: by what the picture holds.
            rng = np.random.default_rng(int(points[np.isfinite(points)].sum() * 16) & 0xFFFFFFFF)
            styled = styles.UNSEEN[self.style](image.astype(np.float32) / 255, rng)
            image = (styled * 255 + 0.5).astype(np.uint8)
        return {"image": image, "keypoints": points.astype(np.float32)}


@dataclasses.dataclass(frozen=True)
class Varied(grain.transforms.RandomMap):
    """The figure in another place, size, angle and style: for training.

    Attributes:
      size: height and width of the picture.
      have, want: skeletons of the dataset and of the result.
    """

    size: tuple[int, int]
    have: Skeleton
    want: Skeleton

    def random_map(self, example: Example, rng: np.random.Generator) -> Example:
        points = in_order(example, self.have, self.want)
        box = box_of(example)
        if rng.random() < 0.18:
            box = _part(box, rng)
        matrix = self._placed(box, rng)
        if rng.random() < 0.5:
            matrix = affine.compose(affine.mirror(self.size[1]), matrix)
            points = points[self.want.flip]
        points = affine.apply(matrix, points).astype(np.float32)
        image = crops.warp(example["image"], matrix, self.size)
        alpha = crops.warp(example["mask"], matrix, self.size, border=0) if "mask" in example else None
        if rng.random() < 0.3:
            stretch = _Stretch(self.size, rng)
            points = stretch.points(points)
            image, alpha = stretch.picture(image), alpha if alpha is None else stretch.picture(alpha)
        image = image.astype(np.float32) / 255
        if alpha is not None:
            alpha = alpha.astype(np.float32) / 255
            # The dataset's figures stand before white.
            colours = np.clip((image - (1 - alpha)) / np.maximum(alpha, 0.05), 0, 1)
            colours = styles.restyle(colours, alpha, rng)
            image = colours * alpha + styles.background(self.size, rng) * (1 - alpha)
        if rng.random() < 0.25:
            image = styles.occlude(image, rng)
        image = styles.scan(image, rng)
        return {"image": (image * 255 + 0.5).astype(np.uint8), "keypoints": points}

    def _placed(self, box: tuple[float, float, float, float], rng: np.random.Generator) -> np.ndarray:
        h, w = self.size
        centre = affine.translate(w / 2, h / 2)
        back = affine.translate(-w / 2, -h / 2)
        angle = rng.normal(0, 15) if rng.random() < 0.7 else rng.uniform(-45, 45)
        zoom = np.exp(rng.normal(0, 0.13))
        stretch = np.exp(rng.normal(0, 0.05))
        shift = rng.normal(0, 0.035, 2) * [w, h]
        return affine.compose(
            affine.translate(*shift),
            centre,
            affine.scale(zoom * stretch, zoom / stretch),
            affine.rotate(angle),
            back,
            affine.fit(box, self.size, affine.FIGURE_MARGIN),
        )


class _Stretch:
    """Rows and columns made wider here and narrower there: large heads, short legs, broad chests.

    The picture's sides stay where they are, and so does what lies outside of them.
    """

    def __init__(self, size: tuple[int, int], rng: np.random.Generator):
        self._edges = [np.arange(n + 1.0) for n in size]
        self._moved = []
        for n in size:
            widths = np.exp(np.interp(np.linspace(0, 4, n), np.arange(5), rng.normal(0, 0.45, 5)))
            self._moved.append(np.concatenate([[0.0], np.cumsum(widths)]) * n / widths.sum())

    def points(self, points: np.ndarray) -> np.ndarray:
        """Joints (k, 3), moved."""
        out = points.copy()
        for column, axis in ((0, 1), (1, 0)):
            at, edges = points[:, column], self._edges[axis]
            inside = (at >= 0) & (at <= edges[-1])
            out[inside, column] = np.interp(at[inside], edges, self._moved[axis])
        return out

    def picture(self, image: np.ndarray) -> np.ndarray:
        """(h, w, c) uint8, moved alike."""
        y, x = (
            (np.interp(edges[:-1] + 0.5, moved, edges) - 0.5).astype(np.float32)
            for edges, moved in zip(self._edges, self._moved, strict=True)
        )
        x, y = np.meshgrid(x, y)
        return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).reshape(image.shape)


def _part(box: tuple[float, float, float, float], rng: np.random.Generator) -> tuple[float, ...]:
    """A box with one side cut off by a fifth to a half, mostly the lower one: bust and thigh-up pictures."""
    x, y, w, h = box
    cut = rng.uniform(0.2, 0.5)
    side = rng.choice(4, p=[0.7, 0.1, 0.1, 0.1])
    if side == 0:
        return x, y, w, h * (1 - cut)
    if side == 1:
        return x, y + h * cut, w, h * (1 - cut)
    if side == 2:
        return x, y, w * (1 - cut), h
    return x + w * cut, y, w * (1 - cut), h
