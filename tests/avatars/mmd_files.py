"""Writes small PMD and PMX files: a humanoid of boxes, with all the parts that the formats have."""

import struct

import numpy as np

# Japanese name, parent's, position in MMD units (own left is +X, the figure faces -Z).
BONES = (
    ("センター", None, (0, 8, 0)),
    ("下半身", "センター", (0, 12, 0)),
    ("上半身", "センター", (0, 12, 0)),
    ("上半身２", "上半身", (0, 14, 0)),
    ("首", "上半身２", (0, 17, 0)),
    ("頭", "首", (0, 17.8, 0)),
    ("左肩", "上半身２", (0.4, 16.6, 0)),
    ("左腕", "左肩", (1.5, 16.4, 0)),
    ("左ひじ", "左腕", (3.6, 14.9, 0)),
    ("左手首", "左ひじ", (5.6, 13.5, 0)),
    ("左足", "下半身", (0.9, 11, 0)),
    ("左ひざ", "左足", (0.9, 6, 0)),
    ("左足首", "左ひざ", (0.9, 1, 0)),
    ("右肩", "上半身２", (-0.4, 16.6, 0)),
    ("右腕", "右肩", (-1.5, 16.4, 0)),
    ("右ひじ", "右腕", (-3.6, 14.9, 0)),
    ("右手首", "右ひじ", (-5.6, 13.5, 0)),
    ("右足", "下半身", (-0.9, 11, 0)),
    ("右ひざ", "右足", (-0.9, 6, 0)),
    ("右足首", "右ひざ", (-0.9, 1, 0)),
    # Helpers that copy the left leg, as the vertices of semi-standard models use them.
    ("左足D", "下半身", (0.9, 11, 0)),
    ("左ひざD", "左足D", (0.9, 6, 0)),
)
NAMES = [name for name, _, _ in BONES]
PARENTS = [NAMES.index(p) if p else -1 for _, p, _ in BONES]
POSITIONS = np.array([p for _, _, p in BONES], float)


def cube_mesh() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Positions, normals, triangles (clockwise from outside, as MMD) and bones: a box at each bone."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    faces = np.array(
        [
            *([0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]),
            *([2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]),
        ]
    )
    a, b, c = (corners[faces[:, i]] for i in range(3))
    # In MMD's left-handed space, clockwise from outside means (b - a) x (c - a) points outwards.
    outside = (np.cross(b - a, c - a) * (a + b + c)).sum(1) > 0
    faces = np.where(outside[:, None], faces, faces[:, ::-1])
    positions = (POSITIONS[:, None] + 0.5 * corners).reshape(-1, 3)
    normals = np.tile(corners / np.sqrt(3), (len(BONES), 1))
    triangles = (faces[None] + 8 * np.arange(len(BONES))[:, None, None]).reshape(-1, 3)
    return positions, normals, triangles, np.repeat(np.arange(len(BONES)), 8)


def _fixed(text: str, size: int) -> bytes:
    return text.encode("cp932")[: size - 1].ljust(size, b"\0")


def pmd_bytes(texture: str = "") -> bytes:
    """A PMD with two materials, IK, morphs, display frames, English names, toons, bodies and joints."""
    positions, normals, triangles, bones = cube_mesh()
    out = [b"Pmd", struct.pack("<f", 1.0), _fixed("箱人", 20), _fixed("comment", 256)]
    out.append(struct.pack("<I", len(positions)))
    for p, n, b in zip(positions, normals, bones, strict=True):
        out.append(struct.pack("<8f2H2B", *p, *n, 0.25, 0.75, b, 0, 100, 0))
    out.append(struct.pack("<I", triangles.size) + triangles.astype("<u2").tobytes())
    half = triangles.size // 2 // 3 * 3
    out.append(struct.pack("<I", 2))
    for count, alpha, edge in ((half, 1.0, 1), (triangles.size - half, 0.5, 0)):
        color = (0.5, 0.4, 0.3, alpha, 5.0, 0.1, 0.1, 0.1, 0.2, 0.1, 0.0)
        out.append(struct.pack("<11fbBI", *color, 0, edge, count) + _fixed(texture, 20))
    out.append(struct.pack("<H", len(BONES)))
    for name, parent, p in zip(NAMES, PARENTS, POSITIONS, strict=True):
        kind, source = (5, NAMES.index(name[:-1])) if name.endswith("D") else (0, 0)
        out.append(_fixed(name, 20) + struct.pack("<HHBH3f", parent % 65536, 65535, kind, source, *p))
    chain = [NAMES.index("左ひざ"), NAMES.index("左足")]
    out.append(struct.pack("<H", 1) + struct.pack("<HHBHf2H", 0, NAMES.index("左足首"), 2, 40, 0.5, *chain))
    out.append(struct.pack("<H", 2) + _fixed("base", 20) + struct.pack("<IBI3f", 1, 0, 40, 0, 0, 0))
    out.append(_fixed("まばたき", 20) + struct.pack("<IBI3f", 1, 2, 0, 0, -0.1, 0))
    out.append(struct.pack("<BH", 1, 1) + struct.pack("<B", 1) + _fixed("体", 50))
    out.append(struct.pack("<I", 1) + struct.pack("<HB", 2, 1))
    out.append(b"\1" + _fixed("boxes", 20) + _fixed("comment", 256))
    out.append(b"".join(_fixed(f"bone{i}", 20) for i in range(len(BONES))))
    out.append(_fixed("blink", 20) + _fixed("body", 50))
    out.append(b"".join(_fixed(f"toon{i:02d}.bmp", 100) for i in range(1, 11)))
    body = struct.pack("<HBHB14fB", 1, 0, 0xFFFF, 1, *range(14), 0)
    out.append(struct.pack("<I", 2) + 2 * (_fixed("body", 20) + body))
    out.append(struct.pack("<I", 1) + _fixed("joint", 20) + struct.pack("<2I24f", 0, 1, *range(24)))
    return b"".join(out)


def pmx_bytes(
    *, version: float = 2.0, utf8: bool = False, bone_size: int = 1, extra_uvs: int = 0, wide: bool = False
) -> bytes:
    """A PMX with all kinds of weights, morphs, bones, bodies and joints.

    Args:
      version: 2.0 or 2.1; the latter adds a QDEF vertex and a soft body.
      utf8: strings in UTF-8 instead of UTF-16.
      bone_size: bytes of a bone index.
      extra_uvs: additional UV sets.
      wide: 4-byte instead of 2-byte vertex indices, and 2-byte instead of 1-byte others.
    """
    encode = lambda s: s.encode("utf-8" if utf8 else "utf-16-le")
    text = lambda s: struct.pack("<i", len(encode(s))) + encode(s)
    signed = {1: "b", 2: "h", 4: "i"}
    bone = lambda i: struct.pack("<" + signed[bone_size], i)
    other_size, vertex_size = (2, 4) if wide else (1, 2)
    other = lambda i: struct.pack("<" + signed[other_size], i)
    vertex = lambda i: struct.pack("<i" if wide else "<H", i)
    positions, normals, triangles, bones = cube_mesh()
    sizes = (int(utf8), extra_uvs, vertex_size, other_size, other_size, bone_size, other_size, other_size)
    out = [b"PMX ", struct.pack("<fB8B", version, 8, *sizes)]
    out += [text("箱人"), text("boxes"), text("コメント"), text("comment")]
    out.append(struct.pack("<i", len(positions)))
    for i, (p, n, b) in enumerate(zip(positions, normals, bones, strict=True)):
        out.append(struct.pack("<8f", *p, *n, 0.25, 0.75) + struct.pack("<4f", 1, 2, 3, 4) * extra_uvs)
        kind = i % (5 if version > 2 else 4)
        out.append(struct.pack("<B", kind))
        if kind == 0:
            out.append(bone(b))
        elif kind in (1, 3):
            out.append(bone(b) + bone(0) + struct.pack("<f", 1.0))
            out.append(struct.pack("<9f", *range(9)) if kind == 3 else b"")
        else:  # Weights of 2 in total: readers must normalise them.
            out.append(bone(b) + bone(b) + bone(-1) + bone(0) + struct.pack("<4f", 1.5, 0.5, 0, 0))
        out.append(struct.pack("<f", 0.75))
    out.append(struct.pack("<i", triangles.size))
    out.append(triangles.astype("<i4" if wide else "<u2").tobytes())
    out.append(struct.pack("<i", 2) + text("tex\\Body.PNG") + text("missing.spa"))
    half = triangles.size // 2 // 3 * 3
    out.append(struct.pack("<i", 2))
    for name, count in (("体", half), ("肌", triangles.size - half)):
        out.append(text(name) + text(name) + struct.pack("<11f", *(0.5,) * 3, 1, *(0,) * 4, 0.2, 0.2, 0.2))
        out.append(struct.pack("<B5f", 0x11 if name == "体" else 0, 0.2, 0.1, 0.1, 1.0, 0.8))
        out.append(other(0) + other(1 if name == "肌" else -1) + struct.pack("<B", 2))
        out.append(struct.pack("<BB", 1, 0) if name == "体" else b"\0" + other(-1))
        out.append(text("") + struct.pack("<i", count))
    out.append(struct.pack("<i", len(BONES)))
    for name, parent, p in zip(NAMES, PARENTS, POSITIONS, strict=True):
        flags, tail = 0x1E, b""
        if name.endswith("D"):
            flags, tail = flags | 0x100, bone(NAMES.index(name[:-1])) + struct.pack("<f", 1.0)
        if name == "頭":
            flags, tail = flags | 0x400 | 0x800 | 0x2000, struct.pack("<9fi", *range(9), 7)
        if name == "センター":
            link = bone(NAMES.index("左ひざ")) + b"\1" + struct.pack("<6f", -3.1, 0, 0, 0, 0, 0)
            tail = bone(NAMES.index("左足首")) + struct.pack("<if", 40, 2.0)
            flags, tail = flags | 0x20, tail + struct.pack("<i", 2) + link + bone(NAMES.index("左足")) + b"\0"
        out.append(text(name) + text("") + struct.pack("<3f", *p) + bone(parent))
        out.append(struct.pack("<iH3f", 0, flags, 0, 1, 0) + tail)
    morphs = [
        (0, other(0) + struct.pack("<f", 1)),
        (1, vertex(3) + struct.pack("<3f", 0, 1, 0)),
        (2, bone(5) + struct.pack("<7f", *range(7))),
        (3, vertex(3) + struct.pack("<4f", *range(4))),
        (8, other(0) + struct.pack("<B28f", 0, *range(28))),
    ]
    if version > 2:
        morphs += [(9, other(0) + struct.pack("<f", 1)), (10, other(0) + struct.pack("<B6f", 1, *range(6)))]
    out.append(struct.pack("<i", len(morphs)))
    for kind, row in morphs:
        name = "まばたき" if kind == 1 else f"morph{kind}"
        out.append(text(name) + text("") + struct.pack("<BBi", 1, kind, 1) + row)
    out.append(struct.pack("<i", 1) + text("表情") + text("Exp") + struct.pack("<Bi", 1, 2))
    out.append(b"\0" + bone(0) + b"\1" + other(1))
    body = lambda i: struct.pack("<BHB14fB", 0, 0xFFFF, 2, *range(14), 1)
    out.append(struct.pack("<i", 2) + b"".join(text("剛体") + text("") + bone(5) + body(i) for i in range(2)))
    joint = text("joint") + text("") + b"\0" + other(0) + other(1) + struct.pack("<24f", *range(24))
    out.append(struct.pack("<i", 1) + joint)
    if version > 2:
        numbers = struct.pack(
            "<BHBiiffi12f6f4i3f", 0, 0, 0, 1, 1, 1.0, 0.1, 0, *(0.0,) * 18, *(1,) * 4, 0, 0, 0
        )
        soft = text("soft") + text("") + b"\0" + other(0) + numbers
        soft += struct.pack("<i", 1) + other(0) + vertex(1) + b"\0" + struct.pack("<i", 1) + vertex(2)
        out.append(struct.pack("<i", 1) + soft)
    return b"".join(out)
