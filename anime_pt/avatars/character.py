"""A rigged, textured character as plain arrays: what every loader makes and the rasteriser draws.

One space for all of them, whatever the file said: right-handed, metres, Y up, the character faces +Z,
its own left is +X, the soles stand at Y = 0. Triangles are counter-clockwise seen from outside. Loaders
convert on reading (MMD is left-handed and faces -Z, VRM 0.x faces -Z), so nothing downstream asks.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

# The humanoid roles that posing and keypoints use; spelled as in the VRM 1.0 specification
# (VRMC_vrm-1.0/humanoid.md). Those in `REQUIRED_ROLES` must be found in every character.
REQUIRED_ROLES = (
    "hips",
    "spine",
    "neck",
    "head",
    *(
        side + part
        for side in ("left", "right")
        for part in ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")
    ),
)
OPTIONAL_ROLES = (
    "chest",
    "upperChest",
    *(side + part for side in ("left", "right") for part in ("Shoulder", "Toes", "Eye")),
)

# Ids of the part buffer; 0 is background.
PARTS = ("background", "skin", "face", "hair", "top", "bottom", "legwear", "shoes", "accessory")


@dataclasses.dataclass
class Material:
    """Surface of a run of triangles.

    Attributes:
      name: as in the file.
      color: (4,) float in [0, 1], multiplies the texture; sRGB-encoded, as the files store it.
      texture: (h, w, 4) uint8, straight alpha, origin top-left, repeated; or None.
      ramp: (32, 3) uint8, multiplies the colour: row 0 faces the light, row 31 faces away.
      sphere: (h, w, 4) uint8 looked up by the view-space normal; or None.
      sphere_mode: "multiply" or "add".
      outline: width of the inverted hull in units of the renderer's outline width; 0 draws none.
      outline_color: (4,) float in [0, 1].
      alpha_mode: "opaque", "mask" (texel alpha below `alpha_cutoff` is a hole) or "blend".
      alpha_cutoff: in [0, 1].
      double_sided: whether back faces are drawn.
      part: a name of `PARTS`.
    """

    name: str
    color: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    texture: np.ndarray | None = None
    ramp: np.ndarray = dataclasses.field(default_factory=lambda: np.full((32, 3), 255, np.uint8))
    sphere: np.ndarray | None = None
    sphere_mode: str = "multiply"
    outline: float = 1.0
    outline_color: tuple[float, float, float, float] = (0.12, 0.08, 0.10, 1.0)
    alpha_mode: str = "opaque"
    alpha_cutoff: float = 0.5
    double_sided: bool = False
    part: str = "accessory"


@dataclasses.dataclass(frozen=True)
class Append:
    """A helper bone that copies a share of another bone's transform (MMD's 付与).

    Attributes:
      bone: the helper's index.
      source: index of the bone that it copies.
      ratio: share of the rotation, may be negative (cancel bones have -1) or above 1.
      rotates, moves: which parts of the transform it copies.
      local: whether the source counts with everything it inherited, instead of its own rotation alone.
    """

    bone: int
    source: int
    ratio: float
    rotates: bool = True
    moves: bool = False
    local: bool = False


@dataclasses.dataclass
class Character:
    """A skinned mesh with a humanoid skeleton, in the space of the module docstring.

    Attributes:
      name: for people; unique within a dataset.
      positions, normals: (v, 3) float32, rest pose.
      uvs: (v, 2) float32, origin top-left.
      joints, weights: (v, 4) int32 bone indices and float32 weights that sum to 1.
      outline_scale: (v,) float32, multiplies the material's outline width.
      triangles: (t, 3) int32.
      triangle_materials: (t,) int32 into `materials`, non-decreasing: the file's drawing order.
      materials: see `Material`.
      bone_names: (b,) names as in the file.
      parents: (b,) int32, -1 for roots. Parents may come after their children in the array.
      rest: (b, 4, 4) float64, global rest transforms (bone to character space).
      humanoid: role -> bone index; has all of `REQUIRED_ROLES`.
      landmarks: keypoint name -> (bone index, rest position (3,)): points that ride on a bone, such as
        nose, eyes, ears and the top of the head.
      report: one line for each thing that the file lacked, such as a missing texture.
      appends: helper bones, see `Append`.
      twists: role of a lower arm or hand -> bone that takes the twist about the limb before it
        (MMD's 腕捩 and 手捩), where the character has one.
      hang: bone -> share in [0, 1] of the inherited tilt that the bone cancels, so that hair or a skirt
        falls along gravity whatever the body does. Rotation about the vertical axis is kept.
      secondary: applied at the end of `rig.pose`: takes (character, globals (b, 4, 4)) and returns
        adjusted globals. A module-level function or a picklable object, because characters travel to
        worker processes.
      derived: what the rig and the rasteriser computed from the other fields, by name. Clear it after
        editing the arrays of a character that was already posed or drawn. Not pickled.
    """

    name: str
    positions: np.ndarray
    normals: np.ndarray
    uvs: np.ndarray
    joints: np.ndarray
    weights: np.ndarray
    outline_scale: np.ndarray
    triangles: np.ndarray
    triangle_materials: np.ndarray
    materials: list[Material]
    bone_names: list[str]
    parents: np.ndarray
    rest: np.ndarray
    humanoid: Mapping[str, int]
    landmarks: Mapping[str, tuple[int, np.ndarray]]
    report: list[str] = dataclasses.field(default_factory=list)
    appends: list[Append] = dataclasses.field(default_factory=list)
    twists: Mapping[str, int] = dataclasses.field(default_factory=dict)
    hang: Mapping[int, float] = dataclasses.field(default_factory=dict)
    secondary: Callable[["Character", np.ndarray], np.ndarray] | None = None
    derived: dict[str, Any] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "derived": {}}

    def check(self) -> None:
        """Raises ValueError if an index points nowhere: compiled loops would read outside their arrays."""
        if "checked" in self.derived:
            return
        counts = {
            "vertex": (self.triangles, len(self.positions)),
            "material": (self.triangle_materials, len(self.materials)),
            "bone": (self.joints, len(self.rest)),
            "parent": (self.parents + 1, len(self.rest) + 1),
        }
        for what, (indices, count) in counts.items():
            if indices.size and (indices.min() < 0 or indices.max() >= count):
                raise ValueError(f"character {self.name!r}: a {what} index is outside its {count} values")
        for name in ("positions", "normals", "uvs", "joints", "weights", "outline_scale"):
            if len(getattr(self, name)) != len(self.positions):
                raise ValueError(f"character {self.name!r}: {name} is not one for each vertex")
        self.derived["checked"] = True
