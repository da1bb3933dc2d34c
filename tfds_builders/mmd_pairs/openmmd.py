"""The text files that OpenMMD leaves beside its VMD: smoothed 2D joints, 3D joints, and depths.

Layout, found from the files of the OpenMMD repository and its scripts:

* `smoothed.txt`: a line for each frame, 36 numbers: x and y in pixels of OpenPose's 18 joints.
* `pos.txt`: a line for each frame, 17 groups "index x y z" parted by commas: joints of Human3.6M in
  millimetres, X to the right of the picture, Y away from the camera, Z up. The origin moves.
* `depth.txt`: lines "frame, depth": depth at the middle of the hips every few frames, in the unit of the
  network that made it.
"""

import pathlib

import numpy as np

from anime_pt.avatars import rotations
from anime_pt.avatars.formats.binary import FormatError
from anime_pt.avatars.poses import LIMBS, Pose
from anime_pt.pose.skeletons import OPENPOSE_18

# Joints of `pos.txt` by their Human3.6M index.
JOINTS = {
    **{0: "hips", 1: "right_hip", 2: "right_knee", 3: "right_ankle"},
    **{6: "left_hip", 7: "left_knee", 8: "left_ankle", 12: "spine", 13: "thorax", 14: "nose", 15: "head"},
    **{17: "left_shoulder", 18: "left_elbow", 19: "left_wrist"},
    **{25: "right_shoulder", 26: "right_elbow", 27: "right_wrist"},
}
_ROWS = {name: row for row, name in enumerate(JOINTS.values())}
_ENDS = {
    "UpperArm": ("shoulder", "elbow"),
    "LowerArm": ("elbow", "wrist"),
    "UpperLeg": ("hip", "knee"),
    "LowerLeg": ("knee", "ankle"),
}
# More than an hour at 60 frames per second is no clip.
_MAX_BYTES, _MAX_LINES = 256 << 20, 216_000


def _lines(path: pathlib.Path) -> list[str]:
    if path.stat().st_size > _MAX_BYTES:
        raise FormatError(f"{path}: larger than {_MAX_BYTES >> 20} MiB; cut the motion into clips")
    try:
        lines = path.read_text("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: not a text file of numbers") from error
    while lines and not lines[-1].strip():
        lines.pop()
    if not 0 < len(lines) <= _MAX_LINES:
        raise FormatError(f"{path}: has {len(lines)} lines, expected 1 to {_MAX_LINES}")
    return lines


def _numbers(path: pathlib.Path, line: int, words: list[str], count: int) -> list[float]:
    try:
        values = [float(w) for w in words]
    except ValueError:
        values = []
    if len(values) != count or not np.isfinite(values).all() or max(map(abs, values)) > 1e7:
        raise FormatError(f"{path}: line {line} must hold {count} numbers")
    return values


def read_smoothed(path: pathlib.Path) -> np.ndarray:
    """(t, 18, 3) float32 keypoints of `OPENPOSE_18` in pixels; joints at (0, 0) are missing, visibility 0.

    Raises:
      FormatError: not such a file.
    """
    rows = [_numbers(path, i, line.split(), 36) for i, line in enumerate(_lines(path), 1)]
    points = np.array(rows, np.float32).reshape(-1, len(OPENPOSE_18), 2)
    found = (points != 0).any(-1, keepdims=True)
    return np.concatenate([np.where(found, points, np.nan), found], -1).astype(np.float32)


def read_positions(path: pathlib.Path) -> np.ndarray:
    """(t, 17, 3) float64 joints in the order of `JOINTS`: metres, Y up, the viewer at +Z.

    Raises:
      FormatError: not such a file.
    """
    rows, known = [], ", ".join(map(str, JOINTS))
    for i, line in enumerate(_lines(path), 1):
        words = line.replace(",", " ").split()
        values = np.array(_numbers(path, i, words, 4 * len(JOINTS))).reshape(-1, 4)
        if values[:, 0].tolist() != list(JOINTS):
            raise FormatError(f"{path}: line {i} must name the joints {known}, in this order")
        rows.append(values[:, 1:])
    x, y, z = np.moveaxis(np.array(rows), -1, 0) / 1000
    return np.stack([x, z, -y], -1)


def read_depths(path: pathlib.Path) -> np.ndarray:
    """(n, 2) float64 rows of frame and depth, frames rising.

    Raises:
      FormatError: not such a file.
    """
    rows = [_numbers(path, i, line.replace(",", " ").split(), 2) for i, line in enumerate(_lines(path), 1)]
    depths = np.array(rows)
    if (np.diff(depths[:, 0]) <= 0).any() or depths[0, 0] < 0:
        raise FormatError(f"{path}: the frames do not rise")
    return depths


def poses(joints: np.ndarray) -> list[Pose]:
    """Poses of `read_positions`' joints, for any character.

    Limbs take the directions of the joints. What 2D-to-3D lifting gives worst is the trunk's lean towards the
    camera (33 degrees on average in OpenMMD's own sample of an upright dancer), so the clip's median lean is
    taken off. The hips do not travel: the lower foot stands on the ground.
    """
    at = lambda name: joints[:, _ROWS[name]]
    trunk = at("thorax") - at("hips")
    lean = float(np.median(np.arctan2(trunk[:, 2], np.maximum(trunk[:, 1], 1e-6))))
    upright = rotations.about(np.array([1.0, 0.0, 0.0]), -lean)
    out = []
    for row in joints:
        at = lambda name, row=row: row[_ROWS[name]]
        hips = _frame(at("left_hip") - at("right_hip"), np.array([0.0, 1.0, 0.0]))
        chest = _frame(at("left_shoulder") - at("right_shoulder"), upright @ (at("thorax") - at("hips")))
        bend = rotations.to_vector(hips.T @ chest)
        spine = np.zeros((5, 3))
        spine[0] = rotations.to_vector(hips)
        # Two joints bend the trunk; a rotation is halved about its own axis.
        spine[1:3] = bend / 2
        limbs = np.zeros((len(LIMBS), 3))
        for i, limb in enumerate(LIMBS):
            side = "left" if limb.startswith("left") else "right"
            start, end = (f"{side}_{joint}" for joint in _ENDS[limb.removeprefix(side)])
            limbs[i] = rotations.unit(at(end) - at(start))
        # Thighs and shins are about equally long; the root is in leg lengths.
        reach = -(0.51 * limbs[4:6, 1] + 0.49 * limbs[6:8, 1])
        feet = np.tile(hips @ np.array([0.0, 0.0, 1.0]), (2, 1))
        out.append(Pose(spine, limbs, feet=feet, root=np.array([0.0, reach.max() - 1.0, 0.0])))
    return out


def _frame(left: np.ndarray, up: np.ndarray) -> np.ndarray:
    """(3, 3) rotation of a part whose left is near `left` and whose up is `up`."""
    up = rotations.unit(up)
    front = rotations.unit(rotations.cross(left, up))
    return np.stack([rotations.cross(up, front), up, front], 1)
