"""What a PMX file holds, as arrays and small records; `pmx` reads it.

Values are as in the file: left-handed, Y up, about 8 cm to the unit.
"""

import dataclasses

import numpy as np

BDEF1, BDEF2, BDEF4, SDEF, QDEF = range(5)
# Bits of `PmxMaterial.flags` and `PmxBone.flags`.
DOUBLE_SIDED, EDGE = 0x01, 0x10
TAIL_IS_BONE, IK, APPEND_LOCAL, APPEND_ROTATION, APPEND_TRANSLATION = 0x1, 0x20, 0x80, 0x100, 0x200
FIXED_AXIS, LOCAL_AXES, AFTER_PHYSICS, EXTERNAL_PARENT = 0x400, 0x800, 0x1000, 0x2000


@dataclasses.dataclass(frozen=True)
class PmxVertices:
    """All vertices; see the format notes for `sdef`, which holds C, R0 and R1 and is zero elsewhere."""

    positions: np.ndarray  # (v, 3) float32
    normals: np.ndarray  # (v, 3) float32
    uvs: np.ndarray  # (v, 2) float32
    extra_uvs: np.ndarray  # (v, n, 4) float32
    kinds: np.ndarray  # (v,) uint8: BDEF1 ...
    bones: np.ndarray  # (v, 4) int32, -1 for none
    weights: np.ndarray  # (v, 4) float32 as in the file; those of a BDEF4 need not sum to 1
    sdef: np.ndarray  # (v, 3, 3) float32
    edge_scale: np.ndarray  # (v,) float32


@dataclasses.dataclass(frozen=True)
class PmxMaterial:
    """Texture, sphere and toon are indices into `PmxModel.textures`, -1 for none; `shared_toon` is 0 to 9."""

    name: str
    name_en: str
    diffuse: tuple[float, ...]
    specular: tuple[float, ...]
    shininess: float
    ambient: tuple[float, ...]
    flags: int
    edge_color: tuple[float, ...]
    edge_size: float
    texture: int
    sphere: int
    sphere_mode: int  # 0 none, 1 multiply, 2 add, 3 second texture
    toon: int
    shared_toon: int
    memo: str
    indices: int


@dataclasses.dataclass(frozen=True)
class PmxIkLink:
    """A bone of a chain, and its limits in radians ((3,) low, (3,) high) or None."""

    bone: int
    limits: tuple[tuple[float, ...], tuple[float, ...]] | None


@dataclasses.dataclass(frozen=True)
class PmxIk:
    """`step` is the largest turn of one link in one iteration, radians."""

    target: int
    iterations: int
    step: float
    links: tuple[PmxIkLink, ...]


@dataclasses.dataclass(frozen=True)
class PmxBone:
    """`append` is (bone, ratio); `tail` is a bone index or an offset."""

    name: str
    name_en: str
    position: tuple[float, ...]
    parent: int
    layer: int
    flags: int
    tail: int | tuple[float, ...]
    append: tuple[int, float] | None = None
    fixed_axis: tuple[float, ...] | None = None
    local_axes: tuple[float, ...] | None = None
    external_parent: int | None = None
    ik: PmxIk | None = None


@dataclasses.dataclass(frozen=True)
class PmxMorph:
    """`kind`: 0 group, 1 vertex, 2 bone, 3 to 7 UV, 8 material, 9 flip, 10 impulse; `rows` is structured."""

    name: str
    name_en: str
    panel: int
    kind: int
    rows: np.ndarray


@dataclasses.dataclass(frozen=True)
class PmxFrame:
    """A group of the editor's list; `items` are (is_morph, index)."""

    name: str
    name_en: str
    special: bool
    items: tuple[tuple[bool, int], ...]


@dataclasses.dataclass(frozen=True)
class PmxRigidBody:
    """A collision body; `shape` 0 sphere, 1 box, 2 capsule; `mode` 0 follows its bone, 1 and 2 move it."""

    name: str
    name_en: str
    bone: int
    group: int
    mask: int
    shape: int
    size: tuple[float, ...]
    position: tuple[float, ...]
    rotation: tuple[float, ...]
    mass: float
    damping: tuple[float, float]
    restitution: float
    friction: float
    mode: int


@dataclasses.dataclass(frozen=True)
class PmxJoint:
    """A spring between two bodies; `limits` low and high of translation and rotation, `springs` of both."""

    name: str
    name_en: str
    kind: int
    bodies: tuple[int, int]
    position: tuple[float, ...]
    rotation: tuple[float, ...]
    limits: tuple[float, ...]
    springs: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class PmxModel:
    """A parsed file; `soft_bodies` of version 2.1 are kept as their names only."""

    path: str
    version: float
    name: str
    name_en: str
    comment: str
    comment_en: str
    vertices: PmxVertices
    triangles: np.ndarray  # (t, 3) int32
    textures: list[str]
    materials: list[PmxMaterial]
    bones: list[PmxBone]
    morphs: list[PmxMorph]
    frames: list[PmxFrame]
    rigid_bodies: list[PmxRigidBody]
    joints: list[PmxJoint]
    soft_bodies: list[str]
    trailing: int
