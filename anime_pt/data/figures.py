"""One figure in the middle of a picture: what a pose estimator is trained and measured on.

The figure is cut out by its box with a margin, as `anime_pt.estimate` does. In training it is also turned,
scaled, shifted, mirrored, sometimes cut off, drawn in another style (`styles`) and put before another
background; that takes a `mask`. Pictures without one are moved, occluded and scanned only.
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
        if rng.random() < 0.12:
            box = _part(box, rng)
        matrix = self._placed(box, rng)
        if rng.random() < 0.5:
            matrix = affine.compose(affine.mirror(self.size[1]), matrix)
            points = points[self.want.flip]
        points = affine.apply(matrix, points).astype(np.float32)
        image = crops.warp(example["image"], matrix, self.size).astype(np.float32) / 255
        if "mask" in example:
            alpha = crops.warp(example["mask"], matrix, self.size, border=0).astype(np.float32) / 255
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
