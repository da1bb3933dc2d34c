"""Affine maps of the picture plane: how a figure is cut out, turned, scaled and mirrored.

A map is a (2, 3) float64 matrix that takes x, y of one picture to x, y of another; pixels, origin top left,
pixel centres at .5, so that a picture of width w reaches from 0 to w.
"""

import numpy as np

# Free space that estimators see around a figure, as a share of the picture's side.
FIGURE_MARGIN = 0.08


def identity() -> np.ndarray:
    return np.eye(2, 3)


def compose(*maps: np.ndarray) -> np.ndarray:
    """The map that applies the last one first, as a product of matrices does."""
    out = np.eye(3)
    for matrix in maps:
        out = out @ np.vstack([matrix, [0, 0, 1]])
    return out[:2]


def invert(matrix: np.ndarray) -> np.ndarray:
    """The way back; raises ValueError for a map that flattens the plane."""
    try:
        return np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    except np.linalg.LinAlgError as error:
        raise ValueError(f"the map {matrix.tolist()} cannot be inverted") from error


def translate(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y]], np.float64)


def scale(x: float, y: float | None = None) -> np.ndarray:
    """About the origin."""
    return np.array([[x, 0, 0], [0, x if y is None else y, 0]], np.float64)


def rotate(degrees: float) -> np.ndarray:
    """About the origin, clockwise as seen, since y points down."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0]])


def mirror(width: float) -> np.ndarray:
    """Left to right in a picture of that width. Joints must be swapped as well: `Skeleton.flip`."""
    return np.array([[-1, 0, width], [0, 1, 0]], np.float64)


def fit(
    box: tuple[float, float, float, float] | np.ndarray, size: tuple[int, int], margin: float = 0.0
) -> np.ndarray:
    """Puts a box into the middle of a picture, as large as fits, without stretching.

    Args:
      box: x, y, width and height; a side of 0 counts as one pixel.
      size: height and width of the picture.
      margin: free space around the box on each side, as a share of the picture's side, in [0, 0.5).
    """
    x, y, w, h = (float(v) for v in box)
    height, width = size
    factor = (1 - 2 * margin) * min(height / max(h, 1.0), width / max(w, 1.0))
    return compose(translate(width / 2, height / 2), scale(factor), translate(-x - w / 2, -y - h / 2))


def to_pixel_centres(matrix: np.ndarray) -> np.ndarray:
    """The same map where the centre of the first pixel is 0, 0 in both pictures, as OpenCV counts."""
    return compose(translate(-0.5, -0.5), matrix, translate(0.5, 0.5))


def apply(matrix: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """(..., 2 or more) points, moved; what follows x and y (visibility) stays. NaN stays NaN."""
    out = np.array(keypoints, dtype=np.result_type(keypoints, np.float32))
    out[..., :2] = keypoints[..., :2] @ matrix[:, :2].T + matrix[:, 2]
    return out
