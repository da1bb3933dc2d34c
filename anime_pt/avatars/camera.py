"""Orthographic and perspective cameras: character space to pixels and depth; and where to put them.

Pixel coordinates have their origin in the top-left corner of the image and pixel centres at .5, as all
keypoints of the project. Depth is in metres along the view, larger is farther: from the plane through
`Camera.center`, or from the eye of a `Perspective`.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import numba
import numpy as np

from anime_pt.avatars import rig, sdef
from anime_pt.avatars.character import Character, Material
from anime_pt.avatars.morphs import Morphed


def _view_rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    (sy, sp, sr), (cy, cp, cr) = (f(np.radians([yaw, pitch, roll])) for f in (np.sin, np.cos))
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    tilt = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    return np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]]) @ tilt @ turn


@dataclasses.dataclass(frozen=True)
class Camera:
    """An orthographic camera: where the figure stands in the picture.

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


@dataclasses.dataclass(frozen=True)
class Perspective:
    """A camera at one point.

    Attributes:
      width, height: of the image in pixels.
      fov: angle from the top to the bottom of the image in degrees, in (0, 180).
      eye: (3,) where it is, in character space.
      yaw, pitch, roll: where it looks, as for `Camera`: with 0 it looks at the front of a figure.
      near: metres along the view before which nothing is drawn.
    """

    width: int
    height: int
    fov: float
    eye: tuple[float, float, float]
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    near: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.fov < 180:
            raise ValueError(f"fov must be between 0 and 180 degrees, got {self.fov}")
        if not self.near > 0:
            raise ValueError(f"near must be positive, got {self.near}")

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3) character space to view space: x right, y up, z towards the viewer."""
        return _view_rotation(self.yaw, self.pitch, self.roll)

    @property
    def focal(self) -> float:
        """Pixels per metre at a distance of one metre."""
        return self.height / 2 / float(np.tan(np.radians(self.fov / 2)))

    @property
    def matrix(self) -> np.ndarray:
        """(3, 4) float64: homogeneous character space to pixels from the centre times depth, and depth."""
        linear = self.rotation * np.array([[self.focal], [-self.focal], [-1.0]])
        return np.concatenate([linear, -linear @ np.asarray(self.eye, float)[:, None]], 1)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) in character space -> (..., 3) x, y in pixels and depth in metres.

        Points before the near plane have no place in the picture: NaN.
        """
        m = self.matrix
        out = np.asarray(points, np.float64) @ m[:, :3].T + m[:, 3]
        depth = np.where(out[..., 2:] >= self.near, out[..., 2:], np.nan)
        center = np.array([self.width / 2, self.height / 2])
        return np.concatenate([out[..., :2] / depth + center, depth], -1)


def look_at(
    size: int | tuple[int, int],
    eye: tuple[float, float, float],
    target: tuple[float, float, float],
    fov: float = 30.0,
    roll: float = 0.0,
) -> Perspective:
    """The perspective camera at `eye` with `target`, both (3,) in character space, in the middle.

    Raises:
      ValueError: if the two are the same point.
    """
    height, width = (size, size) if np.ndim(size) == 0 else size
    away = np.asarray(eye, float) - np.asarray(target, float)
    length = float(np.linalg.norm(away))
    if not length > 1e-9:
        raise ValueError(f"a camera at {eye} cannot look at the point where it is")
    x, y, z = away / length
    pitch, yaw = np.degrees(np.arcsin(y)), np.degrees(np.arctan2(-x, z))
    return Perspective(int(width), int(height), fov, tuple(map(float, eye)), float(yaw), float(pitch), roll)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _bounds(vertices, positions, joints, weights, matrices, low, high):
    """Lowers `low` and raises `high` (r,) to the values of r linear functions of skinned vertices.

    `matrices` (b, r, 4) take rest positions to the values.
    """
    for n in range(len(vertices)):
        i = vertices[n]
        x, y, z = positions[i, 0], positions[i, 1], positions[i, 2]
        for r in range(len(low)):
            value = np.float32(0.0)
            for k in range(4):
                w = weights[i, k]
                if w != 0.0:
                    m = matrices[joints[i, k], r]
                    value += w * (m[0] * x + m[1] * y + m[2] * z + m[3])
            if np.isfinite(value):
                low[r], high[r] = min(low[r], value), max(high[r], value)


def drawn_vertices(character: Character, materials: Sequence[Material] | None = None) -> np.ndarray:
    """Indices (n,) int32 of the vertices that belong to a triangle that is not wholly transparent.

    `materials` take the place of the character's own, see `morphs`.
    """
    materials = character.materials if materials is None else materials
    shown = np.array([m.color[3] > 0 for m in materials], bool)
    known = character.derived.setdefault("drawn_vertices", {})
    key = shown.tobytes()
    if key not in known:
        character.check()
        triangles = character.triangles
        if len(triangles):
            triangles = triangles[shown[character.triangle_materials]]
        known[key] = np.unique(triangles).astype(np.int32)
    return known[key]


def fit_clip(
    character: Character,
    frames: Iterable[tuple[np.ndarray, Morphed | None]],
    size: int | tuple[int, int],
    yaw: float = 0.0,
    pitch: float = 0.0,
    roll: float = 0.0,
    margin: float = 0.06,
    fov: float | None = None,
) -> Camera | Perspective:
    """The one camera that shows the whole figure in every frame, as large as fits.

    Args:
      character: whose posed vertices must be in the picture.
      frames: of (globals (b, 4, 4), morphed or None); read once, one at a time.
      size: side of a square image, or (height, width), in pixels.
      yaw, pitch, roll: degrees, see `Camera`.
      margin: free space on each side as a share of the image's shorter side, in [0, 0.5).
      fov: for a perspective camera: its angle in degrees; None for an orthographic one.

    Raises:
      ValueError: if `margin` or `fov` is out of its range.
    """
    if not 0 <= margin < 0.5:
        raise ValueError(f"margin must be in [0, 0.5), got {margin}")
    if fov is not None and not 0 < fov < 180:
        raise ValueError(f"fov must be between 0 and 180 degrees, got {fov}")
    height, width = (size, size) if np.ndim(size) == 0 else size
    free = min(height, width) * (1 - 2 * margin)
    room = np.array([width - min(height, width) + free, height - min(height, width) + free])
    rotation = _view_rotation(yaw, pitch, roll)
    functions = rotation
    if fov is not None:
        # Distances from planes through the origin that are parallel to the sides of the view.
        slopes = np.tan(np.radians(fov / 2)) * room / height
        x, y, z = rotation
        sides = [x + slopes[0] * z, slopes[0] * z - x, y + slopes[1] * z, slopes[1] * z - y]
        functions = np.stack([*sides, z])
    low, high = np.full(len(functions), np.inf), np.full(len(functions), -np.inf)
    joints, weights = sdef.influences(character)
    for globals_, morphed in frames:
        matrices = functions @ rig.skinning_matrices(character, globals_)
        vertices = drawn_vertices(character, morphed and morphed.materials)
        changed = morphed is not None and morphed.positions is not None
        positions = morphed.positions if changed else character.positions
        _bounds(vertices, positions, joints, weights, np.ascontiguousarray(matrices, np.float32), low, high)
    if not np.isfinite(low).all():  # Nothing to draw: any camera will do.
        low, high = np.full(len(low), -1.0), np.full(len(low), 1.0)
    size = int(width), int(height)
    if fov is None:
        scale = float((room / np.maximum(high - low, 1e-3)[:2]).min())
        center = rotation.T @ ((low + high) / 2)
        return Camera(*size, scale, tuple(center.tolist()), yaw, pitch, roll)
    right, left, top, bottom, front = high
    # The nearest eye from which no vertex leaves any side, and in the middle where there is room.
    away = max((right + left) / (2 * slopes[0]), (top + bottom) / (2 * slopes[1]), front + 1e-3)
    eye = rotation.T @ np.array([(right - left) / 2, (top - bottom) / 2, away])
    near = min(Perspective.near, (away - front) / 2)
    return Perspective(*size, fov, tuple(eye.tolist()), yaw, pitch, roll, float(near))


def fit(
    character: Character,
    globals_: np.ndarray,
    size: int | tuple[int, int],
    yaw: float = 0.0,
    pitch: float = 0.0,
    roll: float = 0.0,
    margin: float = 0.06,
    fov: float | None = None,
    morphed: Morphed | None = None,
) -> Camera | Perspective:
    """The camera that shows the whole posed figure, as large as fits: `fit_clip` for one frame."""
    return fit_clip(character, [(globals_, morphed)], size, yaw, pitch, roll, margin, fov)


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
