"""PMX 2.0 and 2.1, the newer model format of MikuMikuDance: the whole file, to its last byte.

The layout follows the format notes that come with PMX Editor (PMX仕様.txt), as restated in
https://gist.github.com/felixjones/f8a06bd48f9da9a4539f. Values are as in the file: left-handed, Y up,
about 8 cm to the unit.
"""

import os

import numba
import numpy as np

from anime_pt.avatars.formats.binary import FormatError, Reader
from anime_pt.avatars.formats.pmx_model import (
    APPEND_ROTATION,
    APPEND_TRANSLATION,
    BDEF1,
    BDEF2,
    EXTERNAL_PARENT,
    FIXED_AXIS,
    IK,
    LOCAL_AXES,
    SDEF,
    TAIL_IS_BONE,
    PmxBone,
    PmxFrame,
    PmxIk,
    PmxIkLink,
    PmxJoint,
    PmxMaterial,
    PmxModel,
    PmxMorph,
    PmxRigidBody,
    PmxVertices,
)

_SIGNED, _UNSIGNED = {1: "<i1", 2: "<i2", 4: "<i4"}, {1: "<u1", 2: "<u2", 4: "<i4"}


class _PmxReader(Reader):
    """Adds the header's choices: string encoding and sizes of indices."""

    def header(self) -> float:
        if self.take(4, "signature") != b"PMX ":
            raise self.error("not a PMX file: the signature is missing")
        version = round(float(self.scalar("f", "version")), 3)
        if version not in (2.0, 2.1):
            raise self.error(f"PMX version {version} is not 2.0 or 2.1")
        choices = self.take(self.scalar("B", "header size"), "header")
        if len(choices) < 8:
            raise self.error(f"a header of {len(choices)} values, expected 8")
        if choices[0] > 1 or choices[1] > 4 or any(size not in _SIGNED for size in choices[2:8]):
            raise self.error(f"impossible header {list(choices[:8])}")
        self.encoding = ("utf-16-le", "utf-8")[choices[0]]
        self.extra_uvs = choices[1]
        names = ("vertex", "texture", "material", "bone", "morph", "body")
        self.sizes = dict(zip(names, choices[2:8], strict=True))
        self.types = {k: (_UNSIGNED if k == "vertex" else _SIGNED)[v] for k, v in self.sizes.items()}
        return version

    def text(self, what: str) -> str:
        return self.take(self.scalar("i", f"length of {what}"), what).decode(self.encoding, "replace")

    def index(self, kind: str, what: str, limit: int | None = None) -> int:
        """An index, -1 for none; with `limit`, FormatError unless it is below."""
        value = int(np.frombuffer(self.take(self.sizes[kind], what), self.types[kind])[0])
        if value < -1 or (limit is not None and value >= limit):
            raise self.error(
                f"{what} points to {kind} {value}" + (f" of {limit}" if limit is not None else "")
            )
        return value


@numba.njit(cache=True, nogil=True)
def _vertex_offsets(data, start, count, fixed, tails, offsets):
    """Where each vertex starts; returns the first vertex that is damaged, or `count`."""
    at = start
    for i in range(count):
        offsets[i] = at
        if at + fixed >= len(data):
            return i
        kind = data[at + fixed]
        if kind >= len(tails):
            return i
        at += fixed + 1 + tails[kind]
        if at > len(data):
            return i
    offsets[count] = at
    return count


def _vertices(r: _PmxReader) -> PmxVertices:
    bone = r.sizes["bone"]
    fixed = 32 + 16 * r.extra_uvs
    count = r.count("i", fixed + 1 + bone + 4, "vertices")
    tails = np.array([bone, 2 * bone + 4, 4 * bone + 16, 2 * bone + 40, 4 * bone + 16]) + 4
    data = np.frombuffer(r.data, np.uint8)
    offsets = np.zeros(count + 1, np.int64)
    good = _vertex_offsets(data, r.offset, count, fixed, tails, offsets)
    if good < count:
        raise r.error(f"vertex {good} of {count} is damaged or cut short")
    r.offset = int(offsets[count]) if count else r.offset

    def gather(rows: np.ndarray, at: int, dtype: str, columns: int) -> np.ndarray:
        size = np.dtype(dtype).itemsize * columns
        where = offsets[rows, None] + at + np.arange(size)
        return np.ascontiguousarray(data[where]).view(dtype).reshape(len(rows), columns)

    everything = np.arange(count)
    base = gather(everything, 0, "<f4", 8 + 4 * r.extra_uvs)
    kinds = data[offsets[:-1] + fixed] if count else np.zeros(0, np.uint8)
    bones, weights = np.full((count, 4), -1, np.int32), np.zeros((count, 4), np.float32)
    sdef = np.zeros((count, 3, 3), np.float32)
    for kind in range(5):
        rows = np.flatnonzero(kinds == kind)
        if not len(rows):
            continue
        used = (1, 2, 4, 2, 4)[kind]
        bones[rows, :used] = gather(rows, fixed + 1, r.types["bone"], used)
        if kind == BDEF1:
            weights[rows, 0] = 1
        elif kind in (BDEF2, SDEF):
            share = gather(rows, fixed + 1 + 2 * bone, "<f4", 1)[:, 0]
            weights[rows, 0], weights[rows, 1] = share, 1 - share
        else:
            weights[rows] = gather(rows, fixed + 1 + 4 * bone, "<f4", 4)
        if kind == SDEF:
            sdef[rows] = gather(rows, fixed + 5 + 2 * bone, "<f4", 9).reshape(-1, 3, 3)
    edge = np.zeros(count, np.float32)
    if count:
        ends = offsets[1:, None] - 4 + np.arange(4)
        edge = np.ascontiguousarray(data[ends]).view("<f4")[:, 0]
    if not np.isfinite(base[:, :3]).all():
        raise r.error("a vertex position is not finite")
    extra = base[:, 8:].reshape(count, r.extra_uvs, 4)
    return PmxVertices(base[:, :3], base[:, 3:6], base[:, 6:8], extra, kinds, bones, weights, sdef, edge)


def _material(r: _PmxReader, textures: int) -> PmxMaterial:
    name, name_en = r.text("material name"), r.text("material name")
    diffuse, specular = r.floats(4, "diffuse colour"), r.floats(3, "specular colour")
    (shininess,) = r.floats(1, "shininess")
    ambient, flags = r.floats(3, "ambient colour"), r.scalar("B", "material flags")
    edge_color, (edge_size,) = r.floats(4, "edge colour"), r.floats(1, "edge size")
    texture = r.index("texture", f"texture of material {name!r}", textures)
    sphere = r.index("texture", f"sphere map of material {name!r}", textures)
    sphere_mode, shared = r.scalar("B", "sphere mode"), r.scalar("B", "toon flag")
    toon = shared_toon = -1
    if shared:
        shared_toon = r.scalar("B", "toon")
    else:
        toon = r.index("texture", f"toon of material {name!r}", textures)
    memo, indices = r.text("memo"), r.scalar("i", "indices of a material")
    return PmxMaterial(
        name,
        name_en,
        diffuse,
        specular,
        shininess,
        ambient,
        flags,
        edge_color,
        edge_size,
        texture,
        sphere,
        sphere_mode,
        toon,
        shared_toon,
        memo,
        indices,
    )


def _bone(r: _PmxReader, count: int) -> PmxBone:
    name, name_en, position = r.text("bone name"), r.text("bone name"), r.floats(3, "bone position")
    index = lambda what: r.index("bone", f"{what} of bone {name!r}", count)
    parent, layer, flags = index("parent"), r.scalar("i", "layer"), r.scalar("H", "bone flags")
    if not np.isfinite(position).all():
        raise r.error(f"the position of bone {name!r} is not finite")
    tail = index("tail") if flags & TAIL_IS_BONE else r.floats(3, "tail")
    append = fixed_axis = local_axes = external = ik = None
    if flags & (APPEND_ROTATION | APPEND_TRANSLATION):
        append = (index("append source"), r.floats(1, "append ratio")[0])
    if flags & FIXED_AXIS:
        fixed_axis = r.floats(3, "fixed axis")
    if flags & LOCAL_AXES:
        local_axes = r.floats(6, "local axes")
    if flags & EXTERNAL_PARENT:
        external = r.scalar("i", "external parent")
    if flags & IK:
        target, iterations = index("IK target"), r.scalar("i", "IK iterations")
        (step,) = r.floats(1, "IK step")
        links = []
        for _ in range(r.count("i", r.sizes["bone"] + 1, "IK links")):
            bone = index("IK link")
            limited = r.scalar("B", "IK limit flag")
            links.append(PmxIkLink(bone, (r.floats(3, "limit"), r.floats(3, "limit")) if limited else None))
        ik = PmxIk(target, iterations, step, tuple(links))
    return PmxBone(
        name, name_en, position, parent, layer, flags, tail, append, fixed_axis, local_axes, external, ik
    )


def _morph(r: _PmxReader, limits: dict[str, int]) -> PmxMorph:
    name, name_en = r.text("morph name"), r.text("morph name")
    panel, kind = r.scalar("B", "morph panel"), r.scalar("B", "morph kind")
    t = r.types
    uv = ("vertex", [("index", t["vertex"]), ("offset", "<4f4")])
    layouts = {
        0: ("morph", [("index", t["morph"]), ("weight", "<f4")]),
        1: ("vertex", [("index", t["vertex"]), ("offset", "<3f4")]),
        2: ("bone", [("index", t["bone"]), ("translation", "<3f4"), ("rotation", "<4f4")]),
        **{k: uv for k in range(3, 8)},
        8: ("material", [("index", t["material"]), ("adds", "u1"), ("values", "<28f4")]),
        9: ("morph", [("index", t["morph"]), ("weight", "<f4")]),
        10: ("body", [("index", t["body"]), ("local", "u1"), ("velocity", "<3f4"), ("torque", "<3f4")]),
    }
    if kind not in layouts:
        raise r.error(f"morph {name!r} is of unknown kind {kind}")
    of, layout = layouts[kind]
    dtype = np.dtype(layout)
    rows = r.array(dtype, r.count("i", dtype.itemsize, f"rows of morph {name!r}"), f"morph {name!r}")
    # Bodies and later morphs are not known yet; those are checked by who uses them.
    if of in limits and len(rows):
        lowest, highest = int(rows["index"].min()), int(rows["index"].max())
        # -1 means none; for a material, all.
        if highest >= limits[of] or lowest < -1 or (lowest < 0 and of == "vertex"):
            wrong = highest if highest >= limits[of] else lowest
            raise r.error(f"morph {name!r} points to {of} {wrong} of {limits[of]}")
    return PmxMorph(name, name_en, panel, kind, rows)


def _frame(r: _PmxReader) -> PmxFrame:
    name, name_en, special = r.text("frame name"), r.text("frame name"), r.scalar("B", "frame flag")
    items = []
    for _ in range(r.count("i", 2, "items of a frame")):
        is_morph = bool(r.scalar("B", "frame item"))
        items.append((is_morph, r.index("morph" if is_morph else "bone", "frame item")))
    return PmxFrame(name, name_en, bool(special), tuple(items))


def _rigid_body(r: _PmxReader, bones: int) -> PmxRigidBody:
    name, name_en = r.text("body name"), r.text("body name")
    bone = r.index("bone", f"bone of body {name!r}", bones)
    group, mask = r.scalar("B", "body group"), r.scalar("H", "body mask")
    shape, f = r.scalar("B", "body shape"), r.floats(14, "body")
    return PmxRigidBody(
        name,
        name_en,
        bone,
        group,
        mask,
        shape,
        f[:3],
        f[3:6],
        f[6:9],
        f[9],
        f[10:12],
        f[12],
        f[13],
        r.scalar("B", "body mode"),
    )


def _joint(r: _PmxReader, bodies: int) -> PmxJoint:
    name, name_en, kind = r.text("joint name"), r.text("joint name"), r.scalar("B", "joint kind")
    ends = tuple(r.index("body", f"body of joint {name!r}", bodies) for _ in range(2))
    f = r.floats(24, "joint")
    return PmxJoint(name, name_en, kind, ends, f[:3], f[3:6], f[6:18], f[18:])


def _soft_body(r: _PmxReader) -> str:
    name, _ = r.text("soft body name"), r.text("soft body name")
    r.scalar("B", "soft body shape")
    r.index("material", "soft body material")
    # Group, mask, flags, link distance, clusters, mass, margin, aero model; then floats and iteration counts.
    r.take(1 + 2 + 1 + 4 + 4 + 4 + 4 + 4 + 12 * 4 + 6 * 4 + 4 * 4 + 3 * 4, "soft body")
    anchor = r.sizes["body"] + r.sizes["vertex"] + 1
    r.take(anchor * r.count("i", anchor, "soft body anchors"), "soft body anchors")
    r.take(r.sizes["vertex"] * r.count("i", r.sizes["vertex"], "soft body pins"), "soft body pins")
    return name


def read(path: str | os.PathLike) -> PmxModel:
    """Parses a PMX file to its last byte.

    Raises:
      FileNotFoundError: if there is none.
      FormatError: if it is cut short, not a PMX file, or its indices point nowhere.
    """
    r = _PmxReader.open(path)
    version = r.header()
    names = [r.text(what) for what in ("name", "English name", "comment", "English comment")]
    vertices = _vertices(r)
    count = r.count("i", r.sizes["vertex"], "indices")
    if count % 3:
        raise r.error(f"{count} indices are not a whole number of triangles")
    triangles = r.array(r.types["vertex"], count, "indices").reshape(-1, 3).astype(np.int32)
    if count and not (triangles.min() >= 0 and triangles.max() < len(vertices.positions)):
        raise r.error(f"a triangle points outside the {len(vertices.positions)} vertices")
    textures = [r.text("texture path") for _ in range(r.count("i", 4, "textures"))]
    # The item sizes are lower bounds: names may be empty.
    materials = [_material(r, len(textures)) for _ in range(r.count("i", 80, "materials"))]
    if sum(m.indices for m in materials) != count or any(m.indices % 3 or m.indices < 0 for m in materials):
        raise r.error(f"the materials do not share out the {count} indices")
    bone_count = r.count("i", 28, "bones")
    bones = [_bone(r, bone_count) for _ in range(bone_count)]
    if len(vertices.bones) and vertices.bones.max() >= max(1, bone_count):
        raise FormatError(f"{r.path}: a vertex hangs on bone {vertices.bones.max()} of {bone_count}")
    limits = {"vertex": len(vertices.positions), "bone": bone_count, "material": len(materials)}
    morphs = [_morph(r, limits) for _ in range(r.count("i", 14, "morphs"))]
    frames = [_frame(r) for _ in range(r.count("i", 13, "frames"))]
    bodies = [_rigid_body(r, bone_count) for _ in range(r.count("i", 69, "rigid bodies"))]
    joints = [_joint(r, len(bodies)) for _ in range(r.count("i", 107, "joints"))]
    soft = []
    if version > 2.0 and r.remaining:
        soft = [_soft_body(r) for _ in range(r.count("i", 140, "soft bodies"))]
    return PmxModel(
        r.path,
        version,
        *names,
        vertices,
        triangles,
        textures,
        materials,
        bones,
        morphs,
        frames,
        bodies,
        joints,
        soft,
        r.remaining,
    )
