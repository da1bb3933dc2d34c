"""Flicker taken out of a clip as it comes: each frame is averaged with its neighbours, carried by their flow.

A neighbour counts the less the more it differs from the frame, pixel by pixel: what is new, or was hidden,
stays as it is, and nothing leaves a trail.
"""

import collections
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from anime_pt.metrics import flicker
from anime_pt.pipelines import pictures

# Levels by which a neighbour's pixel may differ and still count by 0.6.
_LIKE = 24.0


def steadied(frames: Iterable[np.ndarray | None], reach: int) -> Iterator[np.ndarray | None]:
    """Frames averaged over `reach` frames before and after.

    Args:
      frames: (h, w, 4) uint8, straight alpha; None where nobody is seen, which nothing is carried across.
      reach: frames; 0 changes nothing.
    """
    if reach == 0:
        yield from frames
        return
    window: collections.deque[np.ndarray | None] = collections.deque([None] * reach, 2 * reach + 1)
    ahead = 0
    for frame in frames:
        window.append(frame)
        ahead += 1
        if ahead > reach:
            yield _mixed(window, reach)
    for _ in range(min(reach, ahead)):
        window.append(None)
        while len(window) < 2 * reach + 1:  # The clip is shorter than the window.
            window.append(None)
        yield _mixed(window, reach)


def _mixed(window: collections.deque, at: int) -> np.ndarray | None:
    frame = window[at]
    if frame is None:
        return None
    own = pictures.premultiplied(frame)
    smooth = cv2.GaussianBlur(own, (0, 0), 1.0)
    total, weights = own.copy(), np.ones((*frame.shape[:2], 1), np.float32)
    seen = flicker.before_white(frame)
    for side in (range(at - 1, -1, -1), range(at + 1, len(window))):
        for i in side:
            other = window[i]
            if other is None:
                break
            there, certain = flicker.flow(seen, flicker.before_white(other))
            moved = flicker.carried(pictures.premultiplied(other), there)
            away = np.abs(cv2.GaussianBlur(moved, (0, 0), 1.0) - smooth).max(-1)
            weight = (np.exp(-0.5 * (away / _LIKE) ** 2) * certain)[..., None].astype(np.float32)
            total += weight * moved
            weights += weight
    mean = total / weights
    alpha = mean[..., 3:]
    colour = np.where(alpha > 0, mean[..., :3] * 255 / np.maximum(alpha, 1e-3), 255)
    return np.concatenate([colour, alpha], -1).clip(0, 255).round().astype(np.uint8)
