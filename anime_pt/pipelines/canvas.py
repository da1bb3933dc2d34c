"""Where generated figures are put: back into the user's picture, before its background or another one.

A background is kept by filling what the figure hid from what is around it, smoothly: paper, walls and skies
go on, patterns do not. Where the picture is transparent, it stays so.
"""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from anime_pt.avatars import backgrounds
from anime_pt.avatars.rasterise import Frame
from anime_pt.data import crops
from anime_pt.pipelines import pictures
from anime_pt.pipelines.animate import Plan
from anime_pt.pipelines.transfer import Cut
from anime_pt.pose import affine

PARTS = ("picture", "motion", "figure")
_LARGEST = 8192
# Backgrounds are filled in pictures of this side.
_SIDE = 512


@dataclasses.dataclass(frozen=True)
class Canvas:
    """The pictures of an animation, but for the figure.

    Attributes:
      size: (height, width).
      matrix: (2, 3) from the pixels of the network's frame.
      height: of the network's frame; its pictures may be larger, by a factor.
      behind: (h, w, 3) uint8, or None: transparent.
      anchor: (2,) where the figure stands at first.
      remarks: what one should know.
    """

    size: tuple[int, int]
    matrix: Float[np.ndarray, "2 3"]
    height: int
    behind: UInt8[np.ndarray, "h w 3"] | None
    anchor: Float[np.ndarray, "2"]
    remarks: tuple[str, ...] = ()

    def put(self, frame: np.ndarray | None, window: Sequence[int]) -> np.ndarray:
        """The picture (h, w, 3), or (h, w, 4) without a background, with a figure in it.

        Args:
          frame: (h, w, 4) uint8 from `animate.frames`; None: nobody.
          window: (2,) of it, see `Plan`.
        """
        clear = self.behind is None
        out = np.full((*self.size, 4), (255, 255, 255, 0), np.uint8) if clear else self.behind.copy()
        if frame is None:
            return out
        h, w = frame.shape[:2]
        matrix = affine.compose(
            self.matrix, affine.translate(*map(float, window)), affine.scale(self.height / h)
        )
        corners = np.array([[0, 0], [w, 0], [0, h], [w, h]]) @ matrix[:, :2].T + matrix[:, 2]
        x0, y0 = np.floor(corners.min(0)).astype(int).clip(0, self.size[::-1])
        x1, y1 = np.ceil(corners.max(0)).astype(int).clip(0, self.size[::-1])
        if x0 >= x1 or y0 >= y1:
            return out
        onto = affine.compose(affine.translate(-x0, -y0), matrix), (y1 - y0, x1 - x0)
        figure = _warped(pictures.premultiplied(frame).round().astype(np.uint8), *onto)
        # Cubic curves overshoot.
        figure[..., :3] = np.minimum(figure[..., :3], figure[..., 3:])
        part, alpha = out[y0:y1, x0:x1], figure[..., 3:].astype(np.uint16)
        if clear:
            colour = figure[..., :3].astype(np.uint32) * 255 // np.maximum(alpha, 1)
            part[..., :3] = np.where(alpha > 0, np.minimum(colour, 255), 255)
            part[..., 3:] = alpha
        else:
            part[:] = np.minimum(figure[..., :3] + (part * (255 - alpha) + 127) // 255, 255)
        return out


def of(
    cut: Cut, plan: Plan, part: str = "picture", side: int | None = None, background: str = "keep"
) -> Canvas:
    """The canvas of an animation.

    Args:
      cut: the character's picture.
      plan: the animation.
      part: what is shown: "picture", the whole of it and nothing more; "motion": also where the figure goes
        beyond; "figure": where it goes, and no more.
      side: the longest in pixels; None: that of the picture's own pixels.
      background: "keep", or as `backgrounds.parse`.

    Raises:
      ValueError: another background, or over 8192 pixels.
    """
    height, width = cut.picture.shape[:2]
    back = affine.invert(plan.source.matrix)
    box = np.array([0.0, 0.0, width, height])
    if part != "picture":
        goes = _reach(plan, back)
        low, high = (
            (goes[:2], goes[2:])
            if part == "figure"
            else (
                np.minimum(box[:2], goes[:2]),
                np.maximum(box[2:], goes[2:]),
            )
        )
        box = np.concatenate([np.floor(low), np.ceil(high)])
    sides = box[2:] - box[:2]
    scale = cut.factor if side is None else side / max(sides)
    size = tuple(int(v) for v in np.maximum(np.round(sides * scale), 1)[::-1])
    if max(size) > _LARGEST:
        raise ValueError(
            f"the animation would have {size[1]}x{size[0]} pixels, over {_LARGEST}: say a --size"
        )
    place = affine.compose(affine.scale(scale), affine.translate(-box[0], -box[1]))
    behind, remarks = _behind(cut, place, size, background)
    matrix = affine.compose(place, back)
    anchor = matrix[:, :2] @ plan.ground + matrix[:, 2]
    blur = np.sqrt(abs(np.linalg.det(matrix[:, :2]))) / plan.source.detail
    if blur > 1.5:
        remarks.append(
            f"the network's pictures are {blur:.1f} times smaller than this: the figure looks soft; --size="
            f"{max(1, round(max(size) / blur))} is what it can do"
        )
    return Canvas(size, matrix, len(plan.source.image), behind, anchor, tuple(remarks))


def _reach(plan: Plan, back: np.ndarray) -> np.ndarray:
    """Left, top, right and bottom of where figures may be, in the picture's pixels."""
    margin = 0.12 * np.ptp(plan.source.points[np.isfinite(plan.source.points[:, 1]), 1])
    points = plan.poses[~plan.nobody][..., :2].reshape(-1, 2)
    points = points[np.isfinite(points).all(1)]
    points = np.stack([points.min(0) - margin, points.max(0) + margin])
    return (points @ back[:, :2].T + back[:, 2]).reshape(-1)


def _behind(
    cut: Cut, place: np.ndarray, size: tuple[int, int], background: str
) -> tuple[np.ndarray | None, list[str]]:
    if background != "keep":
        empty = np.full((*size, 4), (255, 255, 255, 0), np.uint8)
        blank = Frame(empty, np.full(size, np.inf), np.zeros(size, np.uint8), np.full(size, -1))
        picture = backgrounds.parse(background).behind(blank)
        return (None if picture.shape[2] == 4 else picture), []
    if cut.figure.how == "alpha":
        return None, []
    if cut.figure.mask is None:
        return np.full((*size, 3), 255, np.uint8), [
            "the figure does not stand out from its background, which is not kept: it is white"
        ]
    filled = _filled(pictures.before_white(cut.picture), cut.image[..., 3])
    return crops.warp(filled, place, size, border=None), []


def _filled(picture: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """A picture without its figure."""
    h, w = alpha.shape
    factor = min(1.0, _SIDE / max(h, w))
    small = max(1, round(w * factor)), max(1, round(h * factor))
    hidden = cv2.resize((alpha > 0).astype(np.uint8), small, interpolation=cv2.INTER_AREA) > 0
    hidden = cv2.dilate(hidden.astype(np.uint8), np.ones((5, 5), np.uint8))
    guess = _spread(cv2.resize(picture, small, interpolation=cv2.INTER_AREA), hidden == 0)
    # Soft at its edge, where it meets what is known.
    share = cv2.GaussianBlur(cv2.resize(hidden.astype(np.float32), (w, h)), (0, 0), max(1.0, 1.5 / factor))
    share = np.maximum(share, cv2.resize(hidden, (w, h), interpolation=cv2.INTER_NEAREST))[..., None]
    guess = cv2.resize(guess, (w, h), interpolation=cv2.INTER_LINEAR)
    return (picture * (1 - share) + guess * share).round().astype(np.uint8)


def _spread(picture: np.ndarray, known: np.ndarray) -> np.ndarray:
    """What is known, and elsewhere means of what is, from as near as there is some."""
    weight = known.astype(np.float32)[..., None]
    out = np.where(known[..., None], picture, picture[known].mean(0) if known.any() else 255).astype(
        np.float32
    )
    sides = [2]
    while sides[-1] < max(known.shape):
        sides.append(2 * sides[-1])
    # From far to near: each mean counts as much as it has seen.
    for side in reversed(sides):
        blur = lambda x, s=side: cv2.blur(x, (2 * s + 1,) * 2, borderType=cv2.BORDER_CONSTANT)
        total, count = blur(weight * picture), blur(weight[..., 0])[..., None]
        share = np.clip(4 * count, 0, 1) * (1 - weight)
        out = share * total / np.maximum(count, 1e-6) + (1 - share) * out
    return out


def _warped(frame: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if np.sqrt(abs(np.linalg.det(matrix[:, :2]))) < 1:
        return crops.warp(frame, matrix, size, border=0)
    return cv2.warpAffine(
        frame, affine.to_pixel_centres(matrix), size[::-1], flags=cv2.INTER_CUBIC, borderValue=0
    )
