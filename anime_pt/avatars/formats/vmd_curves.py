"""Interpolation between the keys of a VMD: Bezier curves over time."""

import numba
import numpy as np


@numba.njit(cache=True, nogil=True, error_model="numpy")
def ease(points: np.ndarray, x: float) -> float:
    """Height at `x` in [0, 1] of the Bezier curve from (0, 0) to (1, 1), exact to 1e-12.

    Args:
      points: (4,) x1, y1, x2, y2 of the inner control points, in units of 1/127. They lie in [0, 127], so
        the curve moves on in x and every x has one height.
      x: share of the time between two keys.
    """
    x1, y1, x2, y2 = points[0] / 127.0, points[1] / 127.0, points[2] / 127.0, points[3] / 127.0
    if x <= 0.0 or x >= 1.0 or (x1 == y1 and x2 == y2):
        return min(1.0, max(0.0, x))
    low, high, t = 0.0, 1.0, x
    for _ in range(60):
        s = 1.0 - t
        error = 3.0 * s * s * t * x1 + 3.0 * s * t * t * x2 + t * t * t - x
        if abs(error) < 1e-13:
            break
        if error > 0.0:
            high = t
        else:
            low = t
        slope = 3.0 * s * s * x1 + 6.0 * s * t * (x2 - x1) + 3.0 * t * t * (1.0 - x2)
        # Newton's step where it stays in the bracket, else the middle.
        t = t - error / slope if slope > 1e-9 else -1.0
        if not low < t < high:
            t = 0.5 * (low + high)
    s = 1.0 - t
    return 3.0 * s * s * t * y1 + 3.0 * s * t * t * y2 + t * t * t


@numba.njit(cache=True, nogil=True, error_model="numpy")
def between(frames: np.ndarray, frame: float) -> tuple[int, float]:
    """Which key comes at or after a moment, and the share of the way from the key before it.

    Args:
      frames: (n,) ascending, n at least 1.
      frame: any moment, in frames.

    Returns:
      Index `i` of the arriving key and a share in [0, 1] of the way from key `i - 1`. Before the first key
      and after the last the motion holds: then `i` is that key and the share is 1.
    """
    last = len(frames) - 1
    if frame >= frames[last]:
        return last, 1.0
    if frame <= frames[0]:
        return 0, 1.0
    low, high = 0, last
    while high - low > 1:
        middle = (low + high) // 2
        if frames[middle] < frame:
            low = middle
        else:
            high = middle
    return high, (frame - frames[low]) / (frames[high] - frames[low])
