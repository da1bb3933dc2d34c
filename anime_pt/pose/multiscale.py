"""Heatmaps of a picture of any size from a network for squares, at several scales, mirrored, or both.

GCCPM's inference (Daniil-Osokin/gccpm-look-into-person-cvpr19.pytorch, `val.py`), step by step: the long side
becomes 256 pixels, grey 128 fills the square, the maps are enlarged by the stride, cut to the picture and
brought to its size, both times with cubic interpolation, and averaged over the scales. The peaks of such maps
are whole pixels: `decoding.decode(maps, subpixel=False)`.

This is the reference's way, for numbers that compare with its. `pipelines.estimator` cuts out the figure and
works on the maps themselves, which takes a fraction of the time.

NumPy and OpenCV on the host, in the order and with the roundings of that code; tests hold it equal.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from anime_pt.pose import decoding

_GREY = 128


def predict(
    network: Callable[[UInt8[np.ndarray, "1 s s c"]], Float[np.ndarray, "1 s8 s8 k"]],
    image: UInt8[np.ndarray, "h w c"],
    *,
    side: int = 256,
    scales: Sequence[float] = (1.0,),
    stride: int = 8,
    flip: np.ndarray | None = None,
) -> Float[np.ndarray, "h w k"]:
    """The mean of a network's maps over scales, at the picture's own size.

    Args:
      network: squares of several sizes to maps; brings pixels into its own range and order of colours.
      image: any size.
      side: of the square at scale 1.
      scales: sides are `side` times these; the public code's are 0.75, 1, 1.25.
      stride: pixels per cell of a map.
      flip: `Skeleton.flip`, to average with the maps of the mirrored picture; None for not.

    Raises:
      ValueError: a square's side is not a multiple of the stride.
    """
    total = np.zeros((), np.float32)
    for scale in scales:
        length = round(side * scale)
        if length % stride:
            raise ValueError(
                f"side {side} at scale {scale} is {length} pixels: choose a multiple of {stride}"
            )
        total = total + _at_scale(network, image, length, stride, flip)
    return total / np.float32(len(scales))


def _at_scale(network, image, length, stride, flip) -> Float[np.ndarray, "h w k"]:
    height, width = image.shape[:2]
    ratio = length / max(height, width)
    # However narrow, a side keeps one pixel.
    fx, fy = max(ratio, 1 / width), max(ratio, 1 / height)
    scaled = cv2.resize(image, (0, 0), fx=fx, fy=fy, interpolation=cv2.INTER_LINEAR)
    rows, columns = (min(n, length) for n in scaled.shape[:2])
    top, left = (length - rows) // 2, (length - columns) // 2
    square = np.full((1, length, length, image.shape[2]), _GREY, image.dtype)
    square[0, top : top + rows, left : left + columns] = scaled[:rows, :columns]
    maps = np.asarray(network(square))
    if flip is not None:
        mirrored = np.asarray(network(np.ascontiguousarray(square[:, :, ::-1])))
        maps = np.asarray(decoding.merge_flipped(maps, mirrored, flip))
    maps = cv2.resize(maps[0], (0, 0), fx=stride, fy=stride, interpolation=cv2.INTER_CUBIC)
    maps = maps[top : top + rows, left : left + columns]
    return cv2.resize(maps, (width, height), interpolation=cv2.INTER_CUBIC)
