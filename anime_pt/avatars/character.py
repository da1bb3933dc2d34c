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

    Colours are sRGB-encoded and in [0, 1]; textures are (h, w, 4) uint8, straight alpha, origin top-left,
    repeated.

    Attributes:
      name: as in the file.
      color: (4,) multiplies the texture.
      texture: or None.
      ramp: (32, 3) uint8, multiplies the colour: row 0 faces the light, row 31 faces away.
      sphere: texture looked up by the view-space normal (MMD's sphere map, MToon's matcap, which counts after
        shading); or None.
      sphere_mode: "multiply" or "add".
      outline: width of the inverted hull in units of the renderer's outline width, or in metres; 0 draws
        none.
      outline_unit: "screen" (units of the renderer's outline width) or "metres".
      outline_color: (4,).
      outline_mix: share in [0, 1] to which the lit surface tints it: MToon's outlineLightingMixFactor.
      alpha_mode: "opaque", "mask" (texel alpha below `alpha_cutoff` is a hole) or "blend".
      alpha_cutoff: in [0, 1].
      double_sided: whether back faces are drawn.
      part: a name of `PARTS`.
      shade_texture: of "mtoon": takes the place of `texture` where the surface faces away from the light;
        None: it does not change there.
      shade_color: (3,) of "mtoon": the same for `color`.
      shading: "toon" (colour times ramp, as MMD), "mtoon" (from shade colour and texture to lit colour and
        texture by VRMC_materials_mtoon's `toony` and `shift`), or "unlit" (no light).
      toony, shift: MToon 1.0's shadingToonyFactor and shadingShiftFactor.
      emission: (3,) added after shading, times `emission_texture` where there is one.
      emission_texture: or None.
      rim_color: (3,) added at grazing angles: MToon 1.0's parametric rim.
      rim_power, rim_lift: its fresnel power and lift.
      depth_write: whether a "blend" surface hides those of "blend" that are drawn later and lie behind it.
        Those that do are drawn before those that do not.
      render_queue: surfaces of "blend" are drawn from low to high; among equals, from far to near, and those
        in one place in the file's drawing order.
    """

    name: str
    color: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    texture: np.ndarray | None = None
    ramp: np.ndarray = dataclasses.field(default_factory=lambda: np.full((32, 3), 255, np.uint8))
    sphere: np.ndarray | None = None
    sphere_mode: str = "multiply"
    outline: float = 1.0
    outline_unit: str = "screen"
    outline_color: tuple[float, float, float, float] = (0.12, 0.08, 0.10, 1.0)
    outline_mix: float = 0.0
    alpha_mode: str = "opaque"
    alpha_cutoff: float = 0.5
    double_sided: bool = False
    part: str = "accessory"
    shade_texture: np.ndarray | None = None
    shade_color: tuple[float, float, float] = (1.0, 1.0, 1.0)
    shading: str = "toon"
    toony: float = 0.9
    shift: float = 0.0
    emission: tuple[float, float, float] = (0.0, 0.0, 0.0)
    emission_texture: np.ndarray | None = None
    rim_color: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rim_power: float = 5.0
    rim_lift: float = 0.0
    depth_write: bool = False
    render_queue: int = 0


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


@dataclasses.dataclass(frozen=True)
class IkLink:
    """A bone that inverse kinematics turns; limits in radians about X, Y, Z of character space, or None."""

    bone: int
    low: tuple[float, float, float] | None = None
    high: tuple[float, float, float] | None = None


@dataclasses.dataclass(frozen=True)
class Ik:
    """MMD's inverse kinematics: turns the links until the effector is where the goal is.

    Attributes:
      goal: index of the bone that says where to (左足ＩＫ).
      effector: index of the bone that should get there (左足首).
      links: from the effector's parent upwards (左ひざ, 左足).
      iterations: at most.
      step: largest turn of a link in one iteration, radians.
    """

    goal: int
    effector: int
    links: tuple[IkLink, ...]
    iterations: int
    step: float


@dataclasses.dataclass(frozen=True)
class Constraint:
    """A bone that follows another (VRMC_node_constraint 1.0).

    Attributes:
      bone, source: indices.
      kind: "roll", "aim" or "rotation".
      axis: (3,) unit, of roll or aim, in the bone's own space as the file has it.
      weight: in [0, 1].
    """

    bone: int
    source: int
    kind: str
    axis: tuple[float, float, float] = (0.0, 1.0, 0.0)
    weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class BoneChange:
    """A share of a morph: moves (metres) and turns (quaternion x, y, z, w) a bone, in character axes."""

    bone: int
    translation: tuple[float, float, float]
    rotation: tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True)
class MaterialChange:
    """A share of a morph: changes a material (-1: all), by factors or by sums.

    The fields are factors (1 changes nothing) if `multiplies`, else summands (0 changes nothing), blended by
    the morph's weight. `targets` (VRM) instead give the values that weight 1 leads to, by field name of
    `Material`.
    """

    material: int
    multiplies: bool = False
    color: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    outline_color: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    outline: float = 0.0
    targets: Mapping[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Morph:
    """A named change of a face or body, by a weight that is usually in [0, 1].

    Attributes:
      name: as in the file (あ, まばたき; VRM: aa, blink).
      vertices, offsets: (n,) int32 and (n, 3) float32 metres in character space at rest.
      uv_vertices, uv_offsets: (n,) int32 and (n, 2) float32.
      bones, materials: other shares.
      parts: (morph index, factor): a group also applies these.
      binary: weights up to 0.5 count as 0, others as 1 (VRM's isBinary).
      overrides: VRM: of "blink", "mouth" and "lookAt" -> "block" or "blend": the groups that this switches
        off, or fades by its weight.
    """

    name: str
    vertices: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int32))
    offsets: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 3), np.float32))
    uv_vertices: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int32))
    uv_offsets: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 2), np.float32))
    bones: tuple[BoneChange, ...] = ()
    materials: tuple[MaterialChange, ...] = ()
    parts: tuple[tuple[int, float], ...] = ()
    binary: bool = False
    overrides: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Terms:
    """Usage terms that a file carries; "" where it says nothing.

    Attributes:
      license: its name or address, such as "CC_BY" or "https://vrm.dev/licenses/1.0/".
      author: names, joined by ", ".
      fields: everything that the file says of its use, by the file's own names.
      forbids: why a dataset made with it must not be passed on, as a short phrase, or "".
    """

    license: str = ""
    author: str = ""
    fields: Mapping[str, str] = dataclasses.field(default_factory=dict)
    forbids: str = ""


@dataclasses.dataclass(frozen=True)
class Sdef:
    """Vertices that MMD skins spherically (PMX weight kind SDEF); all in character space at rest.

    Attributes:
      vertices: (n,) int32; their joints are the first two of `Character.joints`.
      centers, first, second: (n, 3) float32: C, R0 and R1 of the format notes.
    """

    vertices: np.ndarray
    centers: np.ndarray
    first: np.ndarray
    second: np.ndarray


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
      kind: "mmd", "vrm", "gltf" or "procedural": whose customs its motions follow.
      model_name: the name that the file gives itself.
      layers: (b,) int32 deform layer of each bone, and `after_physics` (b,) bool: bones are computed in the
        order of (after_physics, layer, index). None: parents first.
      iks: see `Ik`, in the file's order.
      fixed_axes: bone -> (3,) unit axis in character space, the only one about which the bone turns.
      constraints: see `Constraint`.
      morphs: see `Morph`.
      sdef: vertices that are not skinned linearly, or None.
      terms: of use.
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
    kind: str = "procedural"
    model_name: str = ""
    layers: np.ndarray | None = None
    after_physics: np.ndarray | None = None
    iks: list[Ik] = dataclasses.field(default_factory=list)
    fixed_axes: Mapping[int, np.ndarray] = dataclasses.field(default_factory=dict)
    constraints: list[Constraint] = dataclasses.field(default_factory=list)
    morphs: list[Morph] = dataclasses.field(default_factory=list)
    sdef: Sdef | None = None
    terms: Terms = dataclasses.field(default_factory=Terms)
    derived: dict[str, Any] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def without_mesh(cls, name: str, **fields: Any) -> "Character":
        """Bones alone: what poses and motions need. `fields` are all that are not of the mesh."""
        nothing = lambda *shape: np.zeros((0, *shape), np.float32)
        mesh = {"positions": nothing(3), "normals": nothing(3), "uvs": nothing(2), "weights": nothing(4)}
        mesh |= {"outline_scale": nothing(), "materials": [], "joints": np.zeros((0, 4), np.int32)}
        mesh |= {"triangles": np.zeros((0, 3), np.int32), "triangle_materials": np.zeros(0, np.int32)}
        return cls(name, **mesh, **fields)

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
        if self.sdef is not None:
            counts["sdef vertex"] = (self.sdef.vertices, len(self.positions))
        for what, (indices, count) in counts.items():
            if indices.size and (indices.min() < 0 or indices.max() >= count):
                raise ValueError(f"character {self.name!r}: a {what} index is outside its {count} values")
        for name in ("positions", "normals", "uvs", "joints", "weights", "outline_scale"):
            if len(getattr(self, name)) != len(self.positions):
                raise ValueError(f"character {self.name!r}: {name} is not one for each vertex")
        if self.sdef is not None:
            shapes = [getattr(self.sdef, name).shape for name in ("centers", "first", "second")]
            if shapes != [(len(self.sdef.vertices), 3)] * 3:
                raise ValueError(f"character {self.name!r}: sdef needs three points for each of its vertices")
        self.derived["checked"] = True
