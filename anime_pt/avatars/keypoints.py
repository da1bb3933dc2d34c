"""The twenty keypoints of `pose.skeletons.AVATAR_20` of a posed character: where they are, what hides them.

Coordinates are the joints of the skeleton (and points of the face that ride on the head) through the
camera, so they are exact whether seen or not. Visibility is 1 or 0. It compares the joint with the
nearest surface at its pixel: joints lie inside limbs, so a surface of the limb's own neighbourhood may be
in front of it by the limb's thickness, measured on the mesh, while anything else may not.
"""

import numpy as np

from anime_pt.avatars import rig, segments
from anime_pt.avatars.camera import Camera, Perspective
from anime_pt.avatars.character import Character
from anime_pt.avatars.rasterise import Frame
from anime_pt.pose.skeletons import AVATAR_20

_SIDES = ("left", "right")
# Keypoint -> roles whose joints it is the mean of; the others are landmarks.
_JOINTS = {
    "neck": ("neck",),
    "mid_hip": ("leftUpperLeg", "rightUpperLeg"),
    **{
        f"{side}_{name}": (side + role,)
        for side in _SIDES
        for name, role in (
            ("shoulder", "UpperArm"),
            ("elbow", "LowerArm"),
            ("wrist", "Hand"),
            ("hip", "UpperLeg"),
            ("knee", "LowerLeg"),
            ("ankle", "Foot"),
        )
    },
}
# Keypoint -> segments that may lie before it.
_NEIGHBOURS = {
    "neck": ("neck", "torso", "head"),
    "mid_hip": ("hips", "torso", "leftUpperLeg", "rightUpperLeg"),
    **{
        f"{s}_{name}": tuple(n.format(s) for n in near)
        for s in _SIDES
        for name, near in (
            ("shoulder", ("torso", "neck", "{}UpperArm")),
            ("elbow", ("{}UpperArm", "{}LowerArm")),
            ("wrist", ("{}LowerArm", "{}Hand")),
            ("hip", ("hips", "torso", "{}UpperLeg")),
            ("knee", ("{}UpperLeg", "{}LowerLeg")),
            ("ankle", ("{}LowerLeg", "{}Foot")),
            ("eye", ("head",)),
            ("ear", ("head",)),
        )
    },
    "nose": ("head",),
    "head_top": ("head",),
}
# Metres on a figure of 1.6 m by which hair may stand before a point of the face that still counts as seen.
_FACE_TOLERANCE = {"nose": 0.02, "eye": 0.03, "ear": 0.05, "head_top": 0.06}


def positions(character: Character, globals_: np.ndarray) -> np.ndarray:
    """(20, 3) float64 keypoints in character space, in the order of `AVATAR_20`."""
    out = np.empty((len(AVATAR_20), 3))
    for i, name in enumerate(AVATAR_20.keypoints):
        if name in _JOINTS:
            out[i] = np.mean([globals_[character.humanoid[r], :3, 3] for r in _JOINTS[name]], axis=0)
        else:
            bone, rest = character.landmarks[name]
            change = globals_[bone] @ rig.inverse_rest(character)[bone]
            out[i] = change[:3, :3] @ rest + change[:3, 3]
    return out


def _tables(character: Character) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Segments of triangles (t + 1,), neighbours (20, segments + 1) bool, tolerances (20,) in metres.

    The last segment stands for "nothing": index -1 of the triangle buffer.
    """
    if "keypoints" in character.derived:
        return character.derived["keypoints"]
    bones = segments.of_bones(character)
    heaviest = character.weights.argmax(1) if len(character.weights) else np.zeros(0, int)
    vertices = bones[np.take_along_axis(character.joints, heaviest[:, None], 1)[:, 0]]
    corners = vertices[character.triangles]
    # The majority of three, or the first where all differ.
    middle = np.where(corners[:, 1] == corners[:, 2], corners[:, 1], corners[:, 0])
    triangles = np.append(middle, len(segments.NAMES)).astype(np.int32)
    height = max(float(np.ptp(character.positions[:, 1])), 1e-3) if len(character.positions) else 1.6
    rest = positions(character, character.rest)
    neighbours = np.zeros((len(AVATAR_20), len(segments.NAMES) + 1), bool)
    tolerances = np.empty(len(AVATAR_20))
    for i, name in enumerate(AVATAR_20.keypoints):
        near = [segments.NAMES.index(s) for s in _NEIGHBOURS[name]]
        neighbours[i, near] = True
        face = name.removeprefix("left_").removeprefix("right_")
        if face in _FACE_TOLERANCE:
            tolerances[i] = _FACE_TOLERANCE[face] * height / 1.6
            continue
        offsets = character.positions[np.isin(vertices, near)] - rest[i]
        if name.endswith(("shoulder", "elbow", "wrist")):
            axis = rest[AVATAR_20.index(name[: name.index("_")] + "_wrist")]
            axis = axis - rest[AVATAR_20.index(name[: name.index("_")] + "_shoulder")]
        else:
            axis = np.array([0.0, 1.0, 0.0])
        axis = axis / max(np.linalg.norm(axis), 1e-9)
        along = offsets @ axis
        radii = np.linalg.norm(offsets - along[:, None] * axis, axis=1)
        radii = radii[(np.abs(along) < 0.025 * height) & (radii < 0.1 * height)]
        radius = np.quantile(radii, 0.9) if len(radii) >= 3 else 0.03 * height
        # Agreement with rings of skin vertices around the joint, seen or not, is flat from 1.25 to 2 radii.
        tolerances[i] = 1.5 * radius + 0.012 * height
    character.derived["keypoints"] = triangles, neighbours, tolerances
    return character.derived["keypoints"]


def project(
    character: Character, globals_: np.ndarray, camera: Camera | Perspective, frame: Frame
) -> np.ndarray:
    """Keypoints of a rendered character.

    Args:
      character, globals_, camera: as given to `Renderer.render`.
      frame: what it returned; decides visibility.

    Returns:
      (20, 3) float32, in the order of `AVATAR_20`: x and y in pixels, origin top-left, pixel centres at
      .5, exact also where hidden; visibility 1 if seen, 0 if hidden or outside the picture. Zeros for points
      before the near plane of a perspective camera.
    """
    of_triangles, neighbours, tolerances = _tables(character)
    points = camera.project(positions(character, globals_))
    height, width = frame.depth.shape
    reach = max(1, round(min(height, width) / 400))
    steps = np.arange(-1, 2) * reach
    x = np.floor(np.nan_to_num(points[:, 0], nan=-1e6)).clip(-1e6, 1e6).astype(int)
    y = np.floor(np.nan_to_num(points[:, 1], nan=-1e6)).clip(-1e6, 1e6).astype(int)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    rows = (y[:, None, None] + steps[:, None]).clip(0, height - 1)
    columns = (x[:, None, None] + steps).clip(0, width - 1)
    gap = points[:, 2, None, None] - frame.depth[rows, columns]
    segment = of_triangles[frame.triangles[rows, columns]]
    own = neighbours[np.arange(len(points))[:, None, None], segment]
    allowed = np.where(own, tolerances[:, None, None], 0.2 * tolerances[:, None, None])
    seen = inside & ((gap <= allowed).sum((1, 2)) >= 5)
    return np.concatenate([np.nan_to_num(points[:, :2], posinf=0, neginf=0), seen[:, None]], 1).astype(
        np.float32
    )
