"""Generated figures without the white that networks draw them before."""

import cv2
import numpy as np
from jaxtyping import UInt8

# Levels from white: nearer is background wherever it is, or where it is connected to the border; and what the
# colour of a figure has at least, to tell how much of it is in the pixels of its edge.
_WHITE, _LIKE, _LEAST = 10, 24, 60
# Pieces of a generated figure that are smaller than this share of its largest are specks.
_SPECK = 0.01


def matted(image: UInt8[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w 4"]:
    """A figure before white, without it: with the network's mask, or one of what is not white around it."""
    away = 255 - image[..., :3].min(-1).astype(np.float32)
    if image.shape[2] == 4:
        mixed = image[..., 3].astype(np.float32) / 255
        # An unsure network blurs its mask. Drawings have sharp edges.
        alpha = sharpened(mixed)
    else:
        like = np.pad(away < _LIKE, 1, constant_values=True).astype(np.uint8)
        _, labels = cv2.connectedComponents(like, connectivity=4)
        around = (labels == labels[0, 0])[1:-1, 1:-1]
        # Edges are mixed of white and the colour beside them.
        edge = cv2.dilate(around.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        colour = np.maximum(cv2.dilate(away, np.ones((5, 5), np.uint8)), _LEAST)
        mixed = alpha = np.where(edge, np.clip((away - _WHITE) / (colour - _WHITE), 0, 1), 1)
    alpha = np.where(_specks(alpha > 0.5), 0, alpha)
    colour = 255 - (255 - image[..., :3].astype(np.float32)) / np.maximum(mixed, 1e-3)[..., None]
    colour = np.where(alpha[..., None] > 0, colour, 255)
    return np.concatenate([colour, 255 * alpha[..., None]], -1).clip(0, 255).round().astype(np.uint8)


def sharpened(mask: np.ndarray) -> np.ndarray:
    """A mask in [0, 1] with edges half as wide, in the same places."""
    return np.clip((mask - 0.25) * 2, 0, 1)


def _specks(solid: np.ndarray) -> np.ndarray:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(solid.astype(np.uint8), connectivity=8)
    if count < 2:
        return np.zeros_like(solid)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    small = areas < _SPECK * areas.max()
    small[0] = False
    return cv2.dilate(small[labels].astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
