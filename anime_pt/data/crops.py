"""Pictures under affine maps, without the aliasing of plain interpolation."""

import cv2
import numpy as np

from anime_pt.pose import affine

# Pictures are made in several threads already; OpenCV's own, waiting for each other, cost four times as much.
cv2.setNumThreads(1)


def warp(
    image: np.ndarray,
    matrix: np.ndarray,
    size: tuple[int, int],
    border: int | tuple[int, ...] | None = 255,
) -> np.ndarray:
    """The picture that a map makes of another one, bilinear.

    What shrinks by more than two is averaged over areas first.

    Args:
      image: (h, w) or (h, w, c) uint8, c up to 4.
      matrix: (2, 3), from pixels of `image` to pixels of the result; see `pose.affine`.
      size: height and width of the result.
      border: colour of what lies outside; one number for all channels, or one for each; None: as its edge.
    """
    channels = image.shape[2:]
    factor = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if 0 < factor < 0.5:
        h, w = image.shape[:2]
        small = max(1, round(w * factor * 1.25)), max(1, round(h * factor * 1.25))
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        matrix = affine.compose(matrix, affine.scale(w / small[0], h / small[1]))
    colour = (border,) * 4 if isinstance(border, int) else border or 0
    out = cv2.warpAffine(
        image,
        affine.to_pixel_centres(matrix),
        size[::-1],
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT,
        borderValue=colour,
    )
    return out.reshape(*size, *channels)
