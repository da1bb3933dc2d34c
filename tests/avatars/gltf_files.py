"""Makes small glTF, VRM and VRMA files for tests."""

import io
import json
import pathlib
import struct

import numpy as np
from PIL import Image

_CODES = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
_KINDS = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
# Role, parent, place of the joint in character space: metres, faces +Z, left is +X.
BONES = {
    "hips": (None, (0.0, 0.90, 0.0)),
    "spine": ("hips", (0.0, 1.0, 0.0)),
    "chest": ("spine", (0.0, 1.15, 0.0)),
    "neck": ("chest", (0.0, 1.36, 0.0)),
    "head": ("neck", (0.0, 1.42, 0.0)),
    "leftUpperArm": ("chest", (0.15, 1.32, 0.0)),
    "leftLowerArm": ("leftUpperArm", (0.40, 1.32, 0.0)),
    "leftHand": ("leftLowerArm", (0.62, 1.32, 0.0)),
    "rightUpperArm": ("chest", (-0.15, 1.32, 0.0)),
    "rightLowerArm": ("rightUpperArm", (-0.40, 1.32, 0.0)),
    "rightHand": ("rightLowerArm", (-0.62, 1.32, 0.0)),
    "leftUpperLeg": ("hips", (0.09, 0.86, 0.0)),
    "leftLowerLeg": ("leftUpperLeg", (0.09, 0.47, 0.0)),
    "leftFoot": ("leftLowerLeg", (0.09, 0.07, 0.02)),
    "rightUpperLeg": ("hips", (-0.09, 0.86, 0.0)),
    "rightLowerLeg": ("rightUpperLeg", (-0.09, 0.47, 0.0)),
    "rightFoot": ("rightLowerLeg", (-0.09, 0.07, 0.02)),
}
HALF_TURN = np.diag([-1.0, 1.0, -1.0])


class Glb:
    """A file under construction; `json` may be edited freely before `save`."""

    def __init__(self):
        self.json: dict = {"asset": {"version": "2.0"}, "extensionsUsed": []}
        self.blob = bytearray()

    def add(self, key: str, value: dict) -> int:
        """Appends to a top-level list and returns the index."""
        self.json.setdefault(key, []).append(value)
        return len(self.json[key]) - 1

    def view(self, data: bytes, **fields) -> int:
        self.blob += bytes(-len(self.blob) % 4)
        start = len(self.blob)
        self.blob += data
        return self.add("bufferViews", {"buffer": 0, "byteOffset": start, "byteLength": len(data), **fields})

    def accessor(self, values, dtype: str = "f4", **fields) -> int:
        """An accessor of (n, ...) values; matrices are given by column first."""
        array = np.ascontiguousarray(np.asarray(values), "<" + dtype)
        kind = {"componentType": _CODES[dtype], "count": len(array), "type": _KINDS[array.shape[1:]]}
        return self.add("accessors", {"bufferView": self.view(array.tobytes()), **kind, **fields})

    def texture(self, pixels: np.ndarray) -> int:
        stream = io.BytesIO()
        Image.fromarray(np.asarray(pixels, np.uint8)).save(stream, "PNG")
        image = self.add("images", {"bufferView": self.view(stream.getvalue()), "mimeType": "image/png"})
        return self.add("textures", {"source": image})

    def extension(self, name: str, value: dict) -> dict:
        """Sets an extension of the root and returns it."""
        self.json["extensionsUsed"].append(name)
        self.json.setdefault("extensions", {})[name] = value
        return value

    def data(self) -> bytes:
        root = {**self.json, "buffers": [{"byteLength": len(self.blob)}]} if self.blob else self.json
        text = json.dumps(root).encode()
        text += b" " * (-len(text) % 4)
        blob = bytes(self.blob) + bytes(-len(self.blob) % 4)
        chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
        if blob:
            chunks += struct.pack("<II", len(blob), 0x004E4942) + blob
        return b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks

    def save(self, path: pathlib.Path) -> pathlib.Path:
        path.write_bytes(self.data())
        return path


def quaternion(axis, degrees: float) -> list[float]:
    """x, y, z, w of a turn about an axis."""
    half = np.radians(degrees) / 2
    axis = np.asarray(axis, float) / np.linalg.norm(axis)
    return [*(np.sin(half) * axis).tolist(), float(np.cos(half))]


def matrix(q) -> np.ndarray:
    """(3, 3) of a unit quaternion x, y, z, w."""
    x, y, z, w = q
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def add_skeleton(glb: Glb, turn: np.ndarray, rng: np.random.Generator | None, scale: float = 1.0) -> dict:
    """Adds the nodes of `BONES` under one root that has `scale`; returns role -> node.

    Args:
      turn: (3, 3) from character space to the file's.
      rng: draws the axes of the bones; None leaves them those of the space.
    """
    axes = {
        role: quaternion(rng.normal(size=3), rng.uniform(0, 360)) if rng else [0, 0, 0, 1] for role in BONES
    }
    root = glb.add("nodes", {"name": "Armature", "children": [], "scale": [scale] * 3})
    nodes: dict[str, int] = {}
    for role, (parent, place) in BONES.items():
        above = matrix(axes[parent]) if parent else np.eye(3)
        start = np.array(BONES[parent][1]) if parent else np.zeros(3)
        local = above.T @ turn @ (np.array(place) - start) / scale
        own = above.T @ matrix(axes[role])
        nodes[role] = glb.add(
            "nodes",
            {"name": role, "translation": local.tolist(), "rotation": _from_matrix(own), "children": []},
        )
        glb.json["nodes"][nodes[parent] if parent else root]["children"].append(nodes[role])
    glb.json["scenes"] = [{"nodes": [root]}]
    return nodes


def _from_matrix(m: np.ndarray) -> list[float]:
    values, vectors = np.linalg.eig(m)
    axis = np.real(vectors[:, np.argmin(abs(values - 1))])
    sine = np.array([m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]]) @ axis / 2
    return quaternion(axis, np.degrees(np.arctan2(sine, (np.trace(m) - 1) / 2)))


def box(center, half) -> tuple[np.ndarray, np.ndarray]:
    """8 corners and 12 counter-clockwise triangles."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    triangles = [t for a, b, c, d in faces for t in ((a, b, c), (a, c, d))]
    return np.asarray(center) + corners * np.asarray(half), np.array(triangles)


def body() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices in character space, triangles, and index in `BONES` of each vertex: a box at each joint."""
    points, triangles, owners = [], [], []
    for i, (role, (_, place)) in enumerate(BONES.items()):
        half = (0.1, 0.12, 0.1) if role == "head" else (0.04, 0.05, 0.06)
        rise = np.array([0.0, 0.12 if role == "head" else 0.0, 0.0])
        p, t = box(np.array(place) + rise, half)
        triangles.append(t + 8 * i)
        points.append(p)
        owners.append(np.full(8, i))
    return np.concatenate(points), np.concatenate(triangles), np.concatenate(owners)


def figure(
    version: str, rng: np.random.Generator | None = None, bind: np.ndarray | None = None, scale: float = 1.0
) -> Glb:
    """A person of boxes, skinned, as a file of `version` "1.0", "0.x" or "" (plain glTF).

    Args:
      rng: see `add_skeleton`.
      bind: (4, 4) an extra transform of the bind pose, which the inverse bind matrices undo.
      scale: of the root node; the boxes stay where they are.
    """
    glb = Glb()
    turn = HALF_TURN if version == "0.x" else np.eye(3)
    nodes = add_skeleton(glb, turn, rng, scale)
    points, triangles, owners = body()
    points = points @ turn.T
    globals_ = _globals(glb)
    inverse = np.linalg.inv([globals_[nodes[role]] for role in BONES])
    if bind is not None:
        points = points @ np.linalg.inv(bind)[:3, :3].T + np.linalg.inv(bind)[:3, 3]
        inverse = inverse @ bind
    glb.json["skins"] = [
        {
            "joints": [nodes[role] for role in BONES],
            "inverseBindMatrices": glb.accessor(inverse.transpose(0, 2, 1)),
        }
    ]
    joints = np.zeros((len(points), 4))
    joints[:, 0] = owners
    blink = np.zeros_like(points)
    front = (owners == list(BONES).index("head")) & ((points @ turn)[:, 2] > 0)
    blink[front] = (0.0, -0.02, 0.0)
    shift = np.zeros_like(points)
    shift[front] = turn @ (0.01, 0.0, 0.03)
    attributes = {
        "POSITION": glb.accessor(points),
        "TEXCOORD_0": glb.accessor(np.stack([points[:, 0] + 0.5, points[:, 1] / 2], 1)),
        "JOINTS_0": glb.accessor(joints, "u1"),
        "WEIGHTS_0": glb.accessor(np.tile([1.0, 0, 0, 0], (len(points), 1))),
    }
    targets = [{"POSITION": glb.accessor(values)} for values in (blink, shift)]
    glb.add("materials", {"name": "Body"})
    glb.add(
        "meshes",
        {
            "primitives": [
                {
                    "attributes": attributes,
                    "indices": glb.accessor(triangles.ravel(), "u2"),
                    "material": 0,
                    "targets": targets,
                }
            ],
            "extras": {"targetNames": ["Blink", "Pout"]},
        },
    )
    glb.add("nodes", {"name": "Body", "mesh": 0, "skin": 0})
    if version == "1.0":
        bones = {role: {"node": node} for role, node in nodes.items()}
        glb.extension("VRMC_vrm", {"specVersion": "1.0", "humanoid": {"humanBones": bones}, "meta": {}})
    elif version == "0.x":
        bones = [{"bone": role, "node": node} for role, node in nodes.items()]
        glb.extension("VRM", {"humanoid": {"humanBones": bones}, "meta": {}})
    return glb


def _globals(glb: Glb) -> np.ndarray:
    nodes = glb.json["nodes"]
    out = np.tile(np.eye(4), (len(nodes), 1, 1))
    for i, node in enumerate(nodes):  # Parents come first here.
        own = np.eye(4)
        own[:3, :3] = matrix(node.get("rotation", [0, 0, 0, 1])) * node.get("scale", [1.0] * 3)
        own[:3, 3] = node.get("translation", [0.0] * 3)
        out[i] = out[i] @ own
        for child in node.get("children", []):
            out[child] = out[i]
    return out
