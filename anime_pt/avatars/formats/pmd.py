"""PMD, the older model format of MikuMikuDance: the whole file as arrays and small records.

There is no official specification; the layout is the one that all public readers agree on
(https://mikumikudance.fandom.com/wiki/MMD:Polygon_Model_Data). Values are as in the file: left-handed,
Y up, about 8 cm to the unit, names in cp932. The English names, the toon list and the physics at the end
are optional, each group all or nothing.
"""

import dataclasses
import os

import numpy as np

from anime_pt.avatars.formats.binary import Reader

_VERTEX = np.dtype(
    [
        ("position", "<3f4"),
        ("normal", "<3f4"),
        ("uv", "<2f4"),
        ("bones", "<2u2"),
        ("weight", "u1"),
        ("no_edge", "u1"),
    ]
)
_MATERIAL = np.dtype(
    [
        ("diffuse", "<4f4"),
        ("shininess", "<f4"),
        ("specular", "<3f4"),
        ("ambient", "<3f4"),
        ("toon", "i1"),
        ("edge", "u1"),
        ("indices", "<u4"),
        ("texture", "S20"),
    ]
)
_BONE = np.dtype(
    [
        ("name", "S20"),
        ("parent", "<u2"),
        ("tail", "<u2"),
        ("kind", "u1"),
        ("ik", "<u2"),
        ("position", "<3f4"),
    ]
)
_MORPH_VERTEX = np.dtype([("index", "<u4"), ("offset", "<3f4")])
_RIGID_BODY = np.dtype(
    [
        ("name", "S20"),
        ("bone", "<u2"),
        ("group", "u1"),
        ("mask", "<u2"),
        ("shape", "u1"),
        ("size", "<3f4"),
        ("position", "<3f4"),
        ("rotation", "<3f4"),
        ("mass", "<f4"),
        ("damping", "<2f4"),
        ("restitution", "<f4"),
        ("friction", "<f4"),
        ("mode", "u1"),
    ]
)
_JOINT = np.dtype(
    [
        ("name", "S20"),
        ("bodies", "<2u4"),
        ("position", "<3f4"),
        ("rotation", "<3f4"),
        ("limits", "<12f4"),
        ("springs", "<6f4"),
    ]
)
NONE = 0xFFFF
# Values of `PmdBone.kind` that the rig needs: copies a bone; copies a share of its tail bone.
KIND_APPEND, KIND_APPEND_SHARE = 5, 9


@dataclasses.dataclass(frozen=True)
class PmdMaterial:
    """A run of triangles; colours in [0, 1], `toon` -1 for none, `texture` such as "a.bmp*b.sph"."""

    diffuse: tuple[float, ...]
    shininess: float
    specular: tuple[float, ...]
    ambient: tuple[float, ...]
    toon: int
    edge: bool
    indices: int
    texture: str


@dataclasses.dataclass(frozen=True)
class PmdBone:
    """`parent`, `tail` and `ik` are -1 for none; for kind 9, `ik` is a share in percent."""

    name: str
    parent: int
    tail: int
    kind: int
    ik: int
    position: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class PmdIk:
    """Chain from near the target to the root; `step` in units of 4 radians."""

    bone: int
    target: int
    iterations: int
    step: float
    links: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class PmdMorph:
    """`panel` 0 is the base, whose indices are vertices; those of the others point into the base."""

    name: str
    panel: int
    indices: np.ndarray
    offsets: np.ndarray


@dataclasses.dataclass(frozen=True)
class PmdModel:
    """A parsed file. `vertices`, `rigid_bodies` and `joints` are structured arrays."""

    path: str
    name: str
    comment: str
    vertices: np.ndarray
    triangles: np.ndarray  # (t, 3) int32
    materials: list[PmdMaterial]
    bones: list[PmdBone]
    iks: list[PmdIk]
    morphs: list[PmdMorph]
    morph_panel: np.ndarray
    frame_names: list[str]
    frame_bones: np.ndarray  # (n, 2): bone, frame
    english: dict[str, list[str]]
    toons: list[str]
    rigid_bodies: np.ndarray
    joints: np.ndarray
    trailing: int


def text(raw: bytes) -> str:
    """A fixed-size string: up to the first zero byte, cp932."""
    return bytes(raw).split(b"\0")[0].decode("cp932", "replace")


def _optional(index: int) -> int:
    return -1 if index == NONE else int(index)


def read(path: str | os.PathLike) -> PmdModel:
    """Parses a PMD file.

    Raises:
      FileNotFoundError: if there is none.
      FormatError: if it is cut short, not a PMD file, or its indices point nowhere.
    """
    r = Reader.open(path)
    if r.take(3, "signature") != b"Pmd":
        raise r.error("not a PMD file: the signature is missing")
    r.scalar("f", "version")
    name, comment = text(r.take(20, "name")), text(r.take(256, "comment"))
    vertices = r.array(_VERTEX, r.count("I", _VERTEX.itemsize, "vertices"), "vertices")
    count = r.count("I", 2, "indices")
    if count % 3:
        raise r.error(f"{count} indices are not a whole number of triangles")
    triangles = r.array("<u2", count, "indices").reshape(-1, 3).astype(np.int32)
    if len(triangles) and triangles.max() >= len(vertices):
        raise r.error(f"a triangle points to vertex {triangles.max()} of {len(vertices)}")
    if not np.isfinite(vertices["position"]).all():
        raise r.error("a vertex position is not finite")
    raw = r.array(_MATERIAL, r.count("I", _MATERIAL.itemsize, "materials"), "materials")
    materials = [
        PmdMaterial(
            tuple(m["diffuse"].tolist()),
            float(m["shininess"]),
            tuple(m["specular"].tolist()),
            tuple(m["ambient"].tolist()),
            int(m["toon"]),
            bool(m["edge"]),
            int(m["indices"]),
            text(m["texture"]),
        )
        for m in raw
    ]
    if sum(m.indices for m in materials) != count or any(m.indices % 3 for m in materials):
        raise r.error(f"the materials do not share out the {count} indices")
    raw = r.array(_BONE, r.count("H", _BONE.itemsize, "bones"), "bones")
    bones = [
        PmdBone(
            text(b["name"]),
            _optional(b["parent"]),
            _optional(b["tail"]),
            int(b["kind"]),
            _optional(b["ik"]),
            tuple(b["position"].tolist()),
        )
        for b in raw
    ]
    if any(b.parent >= len(bones) for b in bones):
        raise r.error("a bone has a parent that does not exist")
    if not np.isfinite(raw["position"]).all():
        raise r.error("a bone position is not finite")
    if len(vertices) and vertices["bones"].max() >= max(1, len(bones)):
        raise r.error(f"a vertex hangs on bone {vertices['bones'].max()} of {len(bones)}")
    iks = []
    for _ in range(r.count("H", 11, "IK chains")):
        bone, target = r.scalar("H", "IK bone"), r.scalar("H", "IK target")
        links = r.scalar("B", "IK links")
        iterations, step = r.scalar("H", "IK iterations"), r.scalar("f", "IK step")
        chain = tuple(r.array("<u2", links, "IK links").tolist())
        if max(bone, target, *chain) >= len(bones):
            raise r.error("an IK chain names a bone that does not exist")
        iks.append(PmdIk(bone, target, iterations, step, chain))
    morphs = []
    for _ in range(r.count("H", 25, "morphs")):
        title = text(r.take(20, "morph name"))
        size, panel = r.scalar("I", "morph size"), r.scalar("B", "morph panel")
        rows = r.array(_MORPH_VERTEX, size, f"morph {title!r}")
        morphs.append(PmdMorph(title, panel, rows["index"].astype(np.int64), rows["offset"]))
    base = next((m for m in morphs if m.panel == 0), None)
    for m in morphs:
        limit = len(vertices) if m.panel == 0 or base is None else len(base.indices)
        if len(m.indices) and m.indices.max() >= limit:
            raise r.error(f"morph {m.name!r} points past its {limit} vertices")
    morph_panel = r.array("<u2", r.count("B", 2, "morphs in the panel"), "morph panel")
    frame_names = [text(r.take(50, "frame name")) for _ in range(r.count("B", 50, "frames"))]
    pairs = r.array([("bone", "<u2"), ("frame", "u1")], r.count("I", 3, "frame bones"), "frame bones")
    frame_bones = np.stack([pairs["bone"], pairs["frame"].astype(np.uint16)], 1).astype(np.int32)

    english: dict[str, list[str]] = {}
    if r.remaining and r.scalar("B", "English flag") == 1:
        english["model"] = [text(r.take(20, "English name")), text(r.take(256, "English comment"))]
        english["bones"] = [text(r.take(20, "English bone names")) for _ in bones]
        english["morphs"] = [text(r.take(20, "English morph names")) for _ in morphs[1:]]
        english["frames"] = [text(r.take(50, "English frame names")) for _ in frame_names]
    toons = [f"toon{i:02d}.bmp" for i in range(1, 11)]
    if r.remaining:
        toons = [text(r.take(100, "toon names")) for _ in range(10)]
    rigid_bodies, joints = np.zeros(0, _RIGID_BODY), np.zeros(0, _JOINT)
    if r.remaining:
        rigid_bodies = r.array(_RIGID_BODY, r.count("I", 83, "rigid bodies"), "rigid bodies")
        joints = r.array(_JOINT, r.count("I", 124, "joints"), "joints")
    return PmdModel(
        r.path,
        name,
        comment,
        vertices,
        triangles,
        materials,
        bones,
        iks,
        morphs,
        morph_panel,
        frame_names,
        frame_bones,
        english,
        toons,
        rigid_bodies,
        joints,
        r.remaining,
    )
