"""Pictures of a dataset at the size and shape of training, without stretching."""

import dataclasses
from typing import Any

import grain
import numpy as np

from anime_pt.data import crops, figures
from anime_pt.pose import affine
from anime_pt.pose.skeletons import Skeleton

Example = dict[str, Any]
CROPS = ("figure", "cover", "contain")


@dataclasses.dataclass(frozen=True)
class Framing:
    """How a picture becomes one of another size and shape, without stretching.

    Attributes:
      size: height and width of the result.
      crop: "figure" takes the picture's whole height, and the figure into the middle between the sides; one
        that is wider than the result is made smaller. "cover" takes the middle of the picture (256 x 176 of
        DeepFashion's squares), "contain" all of it, with white beside it.
      have, want: skeletons of the dataset and of the result.
      select: from a dataset's example to `image`, `keypoints`, `mask`.
      zoom: of "figure", for datasets that leave much space around it; no figure is cut.
    """

    size: tuple[int, int]
    crop: str
    have: Skeleton
    want: Skeleton
    select: grain.transforms.Map
    zoom: float = 1.0

    def __post_init__(self):
        if self.crop not in CROPS:
            raise ValueError(f"data.crop = {self.crop!r}: use {', '.join(CROPS)}")

    def matrix(self, example: Example) -> np.ndarray:
        """(2, 3) the map of pixels, see `pose.affine`; moves by whole pixels, so that none is blurred."""
        (h, w), (height, width) = example["image"].shape[:2], self.size
        if self.crop != "figure":
            scale = (max if self.crop == "cover" else min)(height / h, width / w)
            shift = (width - scale * w) / 2, (height - scale * h) / 2
        else:
            x, y, wide, tall = figures.box_of(example)
            scale = min(self.zoom * height / h, width / max(wide, 1), height / max(tall, 1))
            down = (height - scale * h) / 2
            down = max(min(down, height - scale * (y + tall)), -scale * y)
            shift = width / 2 - scale * (x + wide / 2), down
        return affine.compose(affine.translate(*map(round, shift)), affine.scale(scale))

    def picture(self, example: Example) -> Example:
        """`image`, `keypoints` and, where the dataset has one, `mask` of a dataset's example.

        Raises:
          ValueError: the picture would be enlarged, which would invent detail, or has other joints.
        """
        example = self.select.map(example)
        matrix = self.matrix(example)
        if matrix[0, 0] > 1:
            h, w = example["image"].shape[:2]
            raise ValueError(
                f"pictures of {h}x{w} are too small to train at {self.size[0]}x{self.size[1]}: "
                "take a dataset of a larger resolution, or a smaller schedule.resolution"
            )
        image = example["image"]
        out = {}
        if "mask" in example:
            # Rendered figures stand before white already; others are cut out.
            image = np.where(example["mask"] > 0, image, np.uint8(255))
            out["mask"] = crops.warp(example["mask"], matrix, self.size, border=0)
        points = figures.in_order(example, self.have, self.want)
        out["image"] = crops.warp(image, matrix, self.size)
        out["keypoints"] = affine.apply(matrix, points).astype(np.float32)
        return out

    def mirrored(self, picture: Example, swap: bool) -> Example:
        """A result of `picture`, left for right; `swap` False leaves joints under their old names."""
        out = {k: v[:, ::-1] for k, v in picture.items() if k != "keypoints"}
        points = affine.apply(affine.mirror(self.size[1]), picture["keypoints"]).astype(np.float32)
        return out | {"keypoints": points[self.want.flip] if swap else points}
