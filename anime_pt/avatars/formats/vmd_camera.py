"""Cameras of VMD files: MikuMikuDance's orbit camera over time.

The eye turns about a centre, at a distance that is negative when it is in front of it; about Z first, then
X, then Y, each against the sense in which bones turn, so that the picture rolls counter-clockwise, the eye
sinks, and goes to the character's left. Keys one frame apart are a cut: nothing lies between them.
"""

import numpy as np

from anime_pt.avatars import camera
from anime_pt.avatars.formats.mmd import UNIT
from anime_pt.avatars.formats.vmd import FPS, CameraKeys
from anime_pt.avatars.formats.vmd_curves import between, ease

# Metres; an orthographic view from a shorter distance would show nothing.
_NEAREST = 0.01


class CameraTrack:
    """The camera of a VMD file."""

    def __init__(self, keys: CameraKeys):
        """Takes the keys of a file.

        Raises:
          ValueError: if there are none, or a field of view is not between 1 and 179 degrees.
        """
        if not len(keys.frames):
            raise ValueError("the VMD has no camera keys; camera motions are files of their own")
        low, high = keys.fovs.min(), keys.fovs.max()
        if low < 1 or high > 179:
            raise ValueError(
                f"the VMD's camera has a field of view of {low:g} to {high:g} degrees, not 1 to 179"
            )
        self._keys = keys
        # (n, 8): centre, angles, distance, field of view; and which of the six curves each follows.
        self._values = np.concatenate(
            [keys.positions, keys.rotations, keys.distances[:, None], keys.fovs[:, None]], 1
        ).astype(np.float64)
        self._curve_of = (0, 1, 2, 3, 3, 3, 4, 5)

    @property
    def frames(self) -> int:
        """How many frames there are at 30 a second, at least 1."""
        return int(self._keys.frames[-1]) + 1

    def camera(self, seconds: float, size: int | tuple[int, int]) -> camera.Camera | camera.Perspective:
        """The camera at a time; before the first key and after the last it holds.

        Args:
          seconds: since frame 0.
          size: side of a square image, or (height, width), in pixels.

        Returns:
          A perspective camera, or where the file switches perspective off, the orthographic one that shows
          the same part of the plane through the centre.
        """
        keys = self._keys
        # A third of a second is 10 frames, not a little less, which would be before a cut.
        index, share = between(keys.frames, round(seconds * FPS, 6))
        values, at = self._values[index], index
        if share < 1:
            at = index - 1
            values = self._values[at]
            if keys.frames[index] - keys.frames[at] > 1:
                shares = np.array([ease(curve, share) for curve in keys.curves[index].astype(np.float64)])
                values = values + shares[list(self._curve_of)] * (self._values[index] - values)
        height, width = (size, size) if np.ndim(size) == 0 else map(int, size)
        x, y, z, pitch, yaw, roll, distance, fov = values.tolist()
        center, distance = np.array([x, y, -z]) * UNIT, distance * UNIT
        angles = {"yaw": -np.degrees(yaw), "pitch": -np.degrees(pitch), "roll": np.degrees(roll)}
        angles = {name: float(angle) for name, angle in angles.items()}
        if not keys.perspective[at]:
            half = max(abs(distance), _NEAREST) * np.tan(np.radians(fov / 2))
            return camera.Camera(width, height, float(height / 2 / half), tuple(center.tolist()), **angles)
        seen = camera.Perspective(width, height, fov, tuple(center.tolist()), **angles)
        eye = center - distance * seen.rotation[2]
        return camera.Perspective(width, height, fov, tuple(eye.tolist()), **angles)
