"""Orthographic camera: character space to pixels and depth.

Pixel coordinates have their origin in the top-left corner of the image and pixel centres at .5, as all
keypoints of the project. Depth is in metres along the view, larger is farther, 0 at the plane through
`Camera.center`.
"""

import dataclasses

import numba
import numpy as np

from anime_pt.avatars import rig
from anime_pt.avatars.character import Character


def _view_rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    (sy, sp, sr), (cy, cp, cr) = (f(np.radians([yaw, pitch, roll])) for f in (np.sin, np.cos))
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    tilt = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    return np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]]) @ tilt @ turn


@dataclasses.dataclass(frozen=True)
class Camera:
    """Where the figure stands in the picture.

    Attributes:
      width, height: of the image in pixels.
      scale: pixels per metre.
      center: (3,) the point in character space that lies in the middle of the image.
      yaw: degrees by which the figure turns to its own left, so at 90 it faces the right of the image.
      pitch: degrees by which the camera looks down on it.
      roll: degrees by which the picture turns counter-clockwise.
    """

    width: int
    height: int
    scale: float
    center: tuple[float, float, float] = (0.0, 0.0, 0.0)
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3) character space to view space: x right, y up, z towards the viewer."""
        return _view_rotation(self.yaw, self.pitch, self.roll)

    @property
    def matrix(self) -> np.ndarray:
        """(3, 4) float64: homogeneous character space to (x pixels, y pixels, depth metres)."""
        linear = self.rotation * np.array([[self.scale], [-self.scale], [-1.0]])
        offset = np.array([self.width / 2, self.height / 2, 0.0]) - linear @ np.asarray(self.center, float)
        return np.concatenate([linear, offset[:, None]], 1)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) in character space -> (..., 3) x, y in pixels and depth in metres."""
        m = self.matrix
        return np.asarray(points, np.float64) @ m[:, :3].T + m[:, 3]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _bounds(vertices, positions, joints, weights, matrices):
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for n in range(len(vertices)):
        i = vertices[n]
        x, y, z = positions[i, 0], positions[i, 1], positions[i, 2]
        for r in range(3):
            value = np.float32(0.0)
            for k in range(4):
                w = weights[i, k]
                if w != 0.0:
                    m = matrices[joints[i, k], r]
                    value += w * (m[0] * x + m[1] * y + m[2] * z + m[3])
            if np.isfinite(value):
                low[r], high[r] = min(low[r], value), max(high[r], value)
    return low, high


def drawn_vertices(character: Character) -> np.ndarray:
    """Indices (n,) int32 of the vertices that belong to a triangle that is not wholly transparent."""
    if "drawn_vertices" not in character.derived:
        character.check()
        shown = np.array([m.color[3] > 0 for m in character.materials], bool)
        triangles = character.triangles
        if len(triangles):
            triangles = triangles[shown[character.triangle_materials]]
        character.derived["drawn_vertices"] = np.unique(triangles).astype(np.int32)
    return character.derived["drawn_vertices"]


def fit(
    character: Character,
    globals_: np.ndarray,
    size: int | tuple[int, int],
    yaw: float = 0.0,
    pitch: float = 0.0,
    roll: float = 0.0,
    margin: float = 0.06,
) -> Camera:
    """The camera that shows the whole posed figure, as large as fits.

    Args:
      character: whose posed vertices must be in the picture.
      globals_: (b, 4, 4) from `rig.pose`.
      size: side of a square image, or (height, width), in pixels.
      yaw, pitch, roll: degrees, see `Camera`.
      margin: free space on each side as a share of the image's shorter side, in [0, 0.5).
    """
    if not 0 <= margin < 0.5:
        raise ValueError(f"margin must be in [0, 0.5), got {margin}")
    height, width = (size, size) if np.ndim(size) == 0 else size
    rotation = _view_rotation(yaw, pitch, roll)
    matrices = np.ascontiguousarray(rotation @ rig.skinning_matrices(character, globals_), np.float32)
    low, high = _bounds(
        drawn_vertices(character), character.positions, character.joints, character.weights, matrices
    )
    if not np.isfinite(low).all():  # Nothing to draw: any camera will do.
        low, high = np.array([-1.0, -1.0, -1.0]), np.array([1.0, 1.0, 1.0])
    free = min(height, width) * (1 - 2 * margin)
    room = np.array([width - min(height, width) + free, height - min(height, width) + free])
    scale = float((room / np.maximum(high - low, 1e-3)[:2]).min())
    center = rotation.T @ ((low + high) / 2)
    return Camera(int(width), int(height), scale, tuple(center.tolist()), yaw, pitch, roll)


def still(
    character: Character, size: int, yaw: float = 0.0, pitch: float = 0.0, heights: float = 1.28
) -> Camera:
    """A camera that does not move with the pose: the side of the picture is `heights` standing heights.

    There is room above for raised arms; a wide kick or a leap may leave the picture.
    """
    height = float(np.ptp(character.positions[drawn_vertices(character), 1]))
    side = heights * height
    # Most of the spare room is above the head.
    center = (0.0, side / 2 - 0.04 * height, 0.0)
    return Camera(size, size, size / side, center, yaw, pitch)
