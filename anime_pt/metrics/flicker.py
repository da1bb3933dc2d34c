"""Flicker: how much a clip changes that does not move.

Each frame is compared with the one before it, carried along by optical flow between the two: what remains is
no motion. This is the warping error of Lai et al., "Learning Blind Video Temporal Consistency" (ECCV 2018,
section 5.2), but for three things: the flow is that of the clip itself, since there is no real video of a
drawn character; differences are absolute, in levels of 255, so that a line of text can say them; and only
pixels of the figure count, since backgrounds are not generated. Flow (DIS, Kroeger et al., ECCV 2016) that
does not lead back to where it came from is no flow: such pixels do not count.

A still picture has 0. Flow explains some of the flicker as motion, so the number compares clips of one
motion; it is no absolute one.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

# Pixels by which flow there and back may miss; and share of its length.
_MISS, _MISS_SHARE = 1.0, 0.1
# Pictures are enlarged to have at least this height: DIS looks at patches of 8 pixels.
_LEAST_HEIGHT = 192


def flow(
    image: UInt8[np.ndarray, "h w 3"], other: UInt8[np.ndarray, "h w 3"]
) -> tuple[Float[np.ndarray, "h w 2"], Bool[np.ndarray, "h w"]]:
    """Where each pixel of `image` is in `other`, against where it is; and whether that is certain."""
    h, w = image.shape[:2]
    factor = max(1.0, _LEAST_HEIGHT / h)
    size = round(w * factor), round(h * factor)
    grey = [cv2.resize(cv2.cvtColor(i, cv2.COLOR_RGB2GRAY), size) for i in (image, other)]
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    there, back = dis.calc(*grey, None), dis.calc(*grey[::-1], None)
    miss = np.linalg.norm(there + carried(back, there), axis=-1)
    certain = miss < _MISS * factor + _MISS_SHARE * np.linalg.norm(there, axis=-1)
    scale = np.float32([w / size[0], h / size[1]])
    return cv2.resize(there, (w, h)) * scale, cv2.resize(certain.astype(np.float32), (w, h)) > 0.5


def carried(other: np.ndarray, there: Float[np.ndarray, "h w 2"]) -> np.ndarray:
    """What `other` (h, w, c) shows where the pixels of a picture have gone."""
    y, x = np.mgrid[: there.shape[0], : there.shape[1]].astype(np.float32)
    return cv2.remap(
        other, x + there[..., 0], y + there[..., 1], cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE
    )


def between(before: UInt8[np.ndarray, "h w 4"], after: UInt8[np.ndarray, "h w 4"]) -> tuple[float, int]:
    """Sum of what changed between two frames, in levels (the mean of three colours), and of how many pixels.

    Args:
      before, after: with the figure's mask as alpha; colours as they are, not before anything.
    """
    there, certain = flow(before_white(after), before_white(before))
    earlier = carried(before, there)
    counts = certain & (after[..., 3] > 127) & (earlier[..., 3] > 127)
    changed = np.abs(after[..., :3].astype(np.int16) - earlier[..., :3]).mean(-1)
    return float(changed[counts].sum()), int(counts.sum())


def before_white(image: UInt8[np.ndarray, "h w 4"]) -> UInt8[np.ndarray, "h w 3"]:
    """The figure before white: flow needs its outline."""
    alpha = image[..., 3:].astype(np.uint16)
    return ((image[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


class Flicker:
    """The mean over a clip whose frames come one after the other; nothing of them is kept."""

    def __init__(self):
        self._last: np.ndarray | None = None
        self._sum, self._count = 0.0, 0

    def add(self, frame: UInt8[np.ndarray, "h w 4"] | None) -> None:
        """The next frame; None: it shows nobody."""
        if frame is not None and self._last is not None:
            changed, pixels = between(self._last, frame)
            self._sum, self._count = self._sum + changed, self._count + pixels
        self._last = frame

    @property
    def mean(self) -> float:
        """Levels; 0 where no two frames could be compared."""
        return self._sum / max(self._count, 1)
