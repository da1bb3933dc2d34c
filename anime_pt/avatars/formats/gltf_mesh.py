"""The meshes of a glTF file as one mesh at rest: skins, primitives and nodes merged, morph targets kept.

Vertices are brought to where skinning puts them in the rest pose (glTF 2.0 specification, section 3.7.3.3),
whatever the bind pose was; a mesh without a skin rides on its node.
"""

import dataclasses
from collections.abc import Collection

import numpy as np

from anime_pt.avatars.formats.binary import FormatError
from anime_pt.avatars.formats.gltf import Gltf
from anime_pt.avatars.formats.gltf_fields import Fields
from anime_pt.avatars.formats.gltf_nodes import Nodes

# Of the merged mesh; real characters have up to some 200,000.
MAX_VERTICES = 1 << 20
# The work on a primitive without any triangles counts, too.
_MAX_INDICES, _PRIMITIVE_COST = 1 << 23, 1 << 10
# Vertices that morphs change, all together; the work on one without any counts, too.
_MAX_MORPHED, _MORPH_COST = 1 << 25, 256
_TRIANGLES, _STRIP, _FAN = 4, 5, 6


@dataclasses.dataclass
class Part:
    """Vertices that one set of attributes gives, and the triangles of all primitives that share it.

    Attributes:
      node, mesh: indices in the file.
      positions, normals: (v, 3) float32 at rest, in the space of the scene.
      linear: (v, 3, 3) float32, or (1, 3, 3): takes morph offsets to the space of the scene.
      uvs: of TEXCOORD_0 and TEXCOORD_1, (v, 2) float32 each, zeros where missing.
      joints, weights: (v, 4) int32 nodes and float32.
      triangles: of each primitive, the index of its material or -1, and (t, 3) int32.
      targets: morph targets of the first primitive, read on demand.
      copies: where in the merged mesh its vertices begin, once or more often.
    """

    node: int
    mesh: int
    positions: np.ndarray
    normals: np.ndarray
    linear: np.ndarray
    uvs: list[np.ndarray]
    joints: np.ndarray
    weights: np.ndarray
    triangles: list[tuple[int, np.ndarray]]
    targets: list[Fields]
    copies: list[int] = dataclasses.field(default_factory=list)


def _floats(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32, copy=False)


def _triangulate(indices: np.ndarray, mode: int) -> np.ndarray:
    """(t, 3) from an index list; strips alternate their winding."""
    if mode == _TRIANGLES:
        return indices[: len(indices) // 3 * 3].reshape(-1, 3)
    count = max(len(indices) - 2, 0)
    i = np.arange(count)
    if mode == _FAN:
        return np.stack([np.full(count, indices[0]) if count else i, indices[i + 1], indices[i + 2]], 1)
    odd = i % 2
    return np.stack([indices[i], indices[i + 1 + odd], indices[i + 2 - odd]], 1)


def smooth_normals(positions: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(v, 3) float32 unit normals: means of the triangles', by area."""
    corners = positions[triangles].astype(np.float64)
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    out = np.zeros((len(positions), 3))
    for i in range(3):
        np.add.at(out, triangles[:, i], faces)
    return _unit(out)


def _unit(normals: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    return np.where(length > 1e-20, normals / np.maximum(length, 1e-20), (0, 1, 0)).astype(np.float32)


class Meshes:
    """Reads and merges the meshes of all nodes.

    Attributes:
      parts: in the file's order of nodes and primitives.
      of_node, of_mesh: the same by node and by mesh.
      vertices: how many there are.
      report: one line for each thing that was left out.
    """

    def __init__(self, file: Gltf, nodes: Nodes, hidden: Collection[int] = ()):
        """Reads everything but the meshes of the `hidden` nodes.

        Raises:
          FormatError: if something is damaged or too large.
        """
        self.parts: list[Part] = []
        self.of_node: dict[int, list[Part]] = {}
        self.of_mesh: dict[int, list[Part]] = {}
        self.vertices = self._indices = self._morphed = 0
        self.report: list[str] = []
        self._file, self._nodes = file, nodes
        self._meshes = file.json.objects("meshes")
        self._skins = file.json.objects("skins")
        self._materials = len(file.json.objects("materials"))
        for node, fields in enumerate(nodes.fields):
            mesh = fields.index("mesh", len(self._meshes), -1)
            if mesh >= 0 and node not in hidden:
                self._add(node, mesh, fields.index("skin", len(self._skins), -1))

    def too_many(self) -> FormatError:
        """The exception to raise when the merged mesh grows too large."""
        return FormatError(f"{self._file.path}: more than {MAX_VERTICES} vertices")

    def skin_joints(self) -> set[int]:
        """Nodes that move vertices."""
        used = [np.unique(p.joints[p.weights > 0]) for p in self.parts]
        return {int(j) for joints in used for j in joints}

    def _add(self, node: int, mesh: int, skin: int) -> None:
        known: dict[str, Part] = {}
        for primitive in self._meshes[mesh].objects("primitives"):
            mode = primitive.integer("mode", 0, 6, _TRIANGLES)
            if mode < _TRIANGLES:
                self.report.append(f"mesh {mesh}: points and lines are not drawn")
                continue
            if primitive.extension("KHR_draco_mesh_compression") is not None:
                raise primitive.error("extensions", "uses Draco compression: export it without")
            # Exporters let the primitives of a mesh share their vertices; so do we.
            key = str(sorted(primitive.object("attributes").data.items(), key=str))
            if key not in known:
                known[key] = self._read_part(node, mesh, skin, primitive)
                self.parts.append(known[key])
                self.of_node.setdefault(node, []).append(known[key])
                self.of_mesh.setdefault(mesh, []).append(known[key])
            part = known[key]
            count = len(part.positions)
            if "indices" in primitive:
                indices = self._file.accessor(primitive, "indices", "SCALAR")
                if indices.dtype.kind not in "u" or (len(indices) and indices.max() >= count):
                    raise primitive.error("indices", f"name a vertex beyond the {count} that there are")
            else:
                indices = np.arange(count)
            self._indices += len(indices) + _PRIMITIVE_COST
            if self._indices > _MAX_INDICES:
                raise FormatError(f"{self._file.path}: more than {_MAX_INDICES} corners of triangles in all")
            triangles = _triangulate(indices, mode).astype(np.int32)
            if len(part.linear) == 1 and np.linalg.det(part.linear[0]) < 0:
                triangles = triangles[:, [0, 2, 1]]
            part.triangles.append((primitive.index("material", self._materials, -1), triangles))
        for part in known.values():
            if not part.normals.any():
                part.normals = smooth_normals(part.positions, np.concatenate([t for _, t in part.triangles]))

    def _read_part(self, node: int, mesh: int, skin: int, primitive: Fields) -> Part:
        attributes, read = primitive.object("attributes"), self._file.accessor
        positions = _floats(read(attributes, "POSITION", "VEC3"))
        count = len(positions)
        self.vertices += count
        if self.vertices > MAX_VERTICES:
            raise self.too_many()

        def optional(key: str, kinds: str | tuple[str, ...], default: np.ndarray) -> np.ndarray:
            if key not in attributes:
                return default
            out = read(attributes, key, kinds)
            if len(out) != count:
                raise attributes.error(key, f"has {len(out)} elements for {count} vertices")
            return out

        zeros = np.zeros((count, 3), np.float32)
        normals = _floats(optional("NORMAL", "VEC3", zeros))
        uvs = [_floats(optional(f"TEXCOORD_{i}", "VEC2", zeros[:, :2])) for i in range(2)]
        if "COLOR_0" in attributes:
            self.report.append(f"mesh {mesh}: vertex colours are not drawn")
        rigid = np.zeros((count, 4), np.int32), np.tile(np.float32([1, 0, 0, 0]), (count, 1))
        if skin >= 0 and "JOINTS_0" in attributes:
            joints = [optional(f"JOINTS_{i}", "VEC4", rigid[0]) for i in range(2)]
            weights = [_floats(optional(f"WEIGHTS_{i}", "VEC4", np.zeros_like(rigid[1]))) for i in range(2)]
            bones, shares, matrices = self._skinned(skin, np.hstack(joints), np.hstack(weights), attributes)
        else:
            bones, shares = rigid[0] + node, rigid[1]
            matrices = self._nodes.globals_[None, node]
        linear = matrices[:, :3, :3]
        placed = (linear @ positions[..., None])[..., 0] + matrices[:, :3, 3]
        if count and not np.abs(placed).max() < 1e6:
            raise attributes.error("POSITION", "has vertices a million metres away")
        # Normals go by the inverse transpose, which is the matrix of cofactors up to a factor.
        cofactors = np.cross(linear[:, [1, 2, 0]], linear[:, [2, 0, 1]])
        cofactors = cofactors * np.where(np.linalg.det(linear) < 0, -1.0, 1.0)[:, None, None]
        return Part(
            node,
            mesh,
            placed.astype(np.float32),
            _unit((cofactors @ normals[..., None])[..., 0]) if normals.any() else zeros,
            linear.astype(np.float32),
            uvs,
            bones,
            shares,
            [],
            primitive.objects("targets"),
        )

    def _skinned(
        self, skin: int, joints: np.ndarray, weights: np.ndarray, attributes: Fields
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(v, 4) nodes and weights of the heaviest four, and (v, 4, 4) what skinning does at rest."""
        fields = self._skins[skin]
        nodes = np.array(fields.indices("joints", len(self._nodes.fields)), np.int32)
        if not len(nodes) or joints.dtype.kind == "f" or (joints.size and joints.max() >= len(nodes)):
            raise attributes.error("JOINTS_0", f"names a joint beyond the {len(nodes)} of skin {skin}")
        matrices = self._nodes.globals_[nodes]
        if "inverseBindMatrices" in fields:
            inverse = self._file.accessor(fields, "inverseBindMatrices", "MAT4")
            if len(inverse) < len(nodes):
                raise fields.error("inverseBindMatrices", f"are {len(inverse)} for {len(nodes)} joints")
            matrices = matrices @ inverse[: len(nodes)].transpose(0, 2, 1).astype(np.float64)
        if abs(matrices).max() > 1e6:
            raise fields.error("inverseBindMatrices", "move vertices by a million metres")
        heaviest = np.argsort(-weights, 1, kind="stable")[:, :4]
        weights = np.take_along_axis(weights, heaviest, 1).clip(0, None)
        joints = np.take_along_axis(joints, heaviest, 1).astype(np.int32)
        sums = weights.sum(1, keepdims=True)
        weights = np.where(sums > 1e-6, weights / np.maximum(sums, 1e-6), np.float32([1, 0, 0, 0]))
        moved = np.zeros((len(joints), 4, 4))
        for i in range(4):
            moved += weights[:, i, None, None] * matrices[joints[:, i]]
        return nodes[joints], weights.astype(np.float32), moved

    def target_names(self, mesh: int) -> list[str]:
        """Names of a mesh's morph targets, as exporters write them into `extras`; may be too few."""
        return self._meshes[mesh].object("extras").texts("targetNames")

    def mesh_count(self) -> int:
        """How many meshes the file has."""
        return len(self._meshes)

    def spend(self, count: int) -> None:
        """Counts vertices that a morph changes; raises FormatError if all morphs together have too many."""
        self._morphed += count + _MORPH_COST
        if self._morphed > _MAX_MORPHED:
            raise FormatError(f"{self._file.path}: its morphs are too large together")

    def target(self, part: Part, index: int) -> np.ndarray:
        """(v, 3) float32 offsets of a part's morph target in the space of the scene.

        Raises:
          FormatError: if its data does not fit.
        """
        count = len(part.positions)
        if index >= len(part.targets) or "POSITION" not in part.targets[index]:
            return np.zeros((count, 3), np.float32)
        self.spend(count)
        offsets = _floats(self._file.accessor(part.targets[index], "POSITION", "VEC3"))
        if len(offsets) != count:
            raise part.targets[index].error("POSITION", f"has {len(offsets)} elements for {count} vertices")
        return (part.linear @ offsets[..., None])[..., 0]
