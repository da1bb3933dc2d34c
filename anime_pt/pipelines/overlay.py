"""Keypoints drawn over pictures, to check them by eye."""

import cv2
import numpy as np

from anime_pt.pose import draw
from anime_pt.pose.skeletons import Skeleton

# Positions in 1/16 of a pixel.
_SHIFT = 4


def keypoints(image: np.ndarray, points: np.ndarray, skeleton: Skeleton, sure: float = 0.0) -> np.ndarray:
    """A copy of a picture with limbs as lines and joints as dots, hollow where hidden or unsure.

    Args:
      image: (h, w, 3) or (h, w, 4) uint8.
      points: (k, 3) x, y, visibility in its pixels; NaN where unknown.
      skeleton: of the k joints.
      sure: visibility (confidence) up to which a dot is hollow.
    """
    image = image.copy()
    opaque = (255,) * (image.shape[2] - 3)
    unit = max(1.0, min(image.shape[:2]) / 256)
    colours = ((draw.limb_colours(len(skeleton.limbs)) + 1) * 127.5).round().astype(int).tolist()
    known = np.isfinite(points[:, :2]).all(1)
    # OpenCV counts from pixel centres.
    places = (np.clip(np.where(known[:, None], points[:, :2], 0) - 0.5, -9999, 9999) * 2**_SHIFT).round()
    places = [tuple(map(int, p)) for p in places]
    for (a, b), colour in zip(skeleton.limb_indices, colours, strict=True):
        if known[a] and known[b]:
            thick = max(1, round(unit))
            cv2.line(image, places[a], places[b], (*colour, *opaque), thick, cv2.LINE_AA, _SHIFT)
    for place, there, visible in zip(places, known, points[:, 2], strict=True):
        if there:
            radius = round(2 * unit * 2**_SHIFT)
            inside = (255, 40, 40) if visible > sure else (255, 255, 255)
            cv2.circle(image, place, radius, (*inside, *opaque), -1, cv2.LINE_AA, _SHIFT)
            cv2.circle(image, place, radius, (60, 0, 0, *opaque), 1, cv2.LINE_AA, _SHIFT)
    return image
