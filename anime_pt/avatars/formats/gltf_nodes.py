"""The node hierarchy of a glTF file: local and global rest transforms."""

import dataclasses

import numpy as np

from anime_pt.avatars import quaternions
from anime_pt.avatars.formats.binary import FormatError
from anime_pt.avatars.formats.gltf import Gltf
from anime_pt.avatars.formats.gltf_fields import Fields

# More than any character has; work on a hierarchy grows with depth times nodes.
_MAX_NODES = 1 << 12


@dataclasses.dataclass(frozen=True)
class Nodes:
    """All nodes of a file, in its order.

    Attributes:
      fields: of each.
      names: as in the file, or "node 3".
      parents: -1 for roots.
      order: indices so that parents come first.
      translations, rotations, scales: (n, 3), (n, 4) unit quaternions x, y, z, w, and (n, 3), local.
      locals_, globals_: (n, 4, 4) float64 matrices at rest, local and to the scene.
    """

    fields: list[Fields]
    names: list[str]
    parents: list[int]
    order: list[int]
    translations: np.ndarray
    rotations: np.ndarray
    scales: np.ndarray
    locals_: np.ndarray
    globals_: np.ndarray


def matrix(translation: np.ndarray, rotation: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(..., 4, 4) transforms from (..., 3) translations, (..., 4) unit quaternions and (..., 3) scales."""
    linear = quaternions.to_matrix(rotation) * np.asarray(scale)[..., None, :]
    shape = np.broadcast_shapes(linear.shape[:-2], np.shape(translation)[:-1])
    out = np.zeros((*shape, 4, 4))
    out[..., :3, :3], out[..., :3, 3], out[..., 3, 3] = linear, translation, 1.0
    return out


def rotation_part(matrices: np.ndarray) -> np.ndarray:
    """(..., 3, 3) rotations nearest to the linear parts of (..., 4, 4) transforms; mirrors are undone."""
    u, _, v = np.linalg.svd(matrices[..., :3, :3])
    u[..., 2] *= np.where(np.linalg.det(u @ v) < 0, -1.0, 1.0)[..., None]
    return u @ v


def _order(parents: list[int], children: list[list[int]], path) -> list[int]:
    order = [i for i, parent in enumerate(parents) if parent < 0]
    for node in order:
        order.extend(children[node])
    if len(order) != len(parents):
        raise FormatError(f"{path}: its nodes form a cycle")
    return order


def read(file: Gltf) -> Nodes:
    """Reads the nodes.

    Raises:
      FormatError: if a node has two parents, or is its own ancestor, or there are too many.
    """
    fields = file.json.objects("nodes")
    count = len(fields)
    if count > _MAX_NODES:
        raise FormatError(f"{file.path}: {count} nodes are too many, at most {_MAX_NODES} can be read")
    parents = [-1] * count
    children = [f.indices("children", count) for f in fields]
    for i, below in enumerate(children):
        for child in below:
            if parents[child] >= 0 or child == i:
                raise fields[i].error("children", f"names node {child}, which has a parent already")
            parents[child] = i
    order = _order(parents, children, file.path)
    translations, rotations, scales = np.zeros((count, 3)), np.zeros((count, 4)), np.ones((count, 3))
    for i, node in enumerate(fields):
        translations[i] = node.numbers("translation", 3, (0.0, 0.0, 0.0))
        scales[i] = node.numbers("scale", 3, (1.0, 1.0, 1.0))
        rotations[i] = node.numbers("rotation", 4, (0.0, 0.0, 0.0, 1.0))
    zero = np.abs(rotations).max(1, initial=0.0) < 1e-6
    rotations = quaternions.unit(np.where(zero[:, None], quaternions.IDENTITY, rotations))
    locals_ = matrix(translations, rotations, scales)
    for i, node in enumerate(fields):
        if "matrix" in node:
            locals_[i] = np.array(node.numbers("matrix", 16)).reshape(4, 4).T
            rotations[i] = quaternions.from_matrix(rotation_part(locals_[i]))
            translations[i], scales[i] = locals_[i, :3, 3], np.linalg.norm(locals_[i, :3, :3], axis=0)
    globals_ = locals_.copy()
    for i in order:
        if parents[i] >= 0:
            globals_[i] = globals_[parents[i]] @ locals_[i]
            if not abs(globals_[i]).max() < 1e6:
                raise FormatError(f"{file.path}: node {i} lies a million metres away or is as large")
    names = [f.text("name", f"node {i}") for i, f in enumerate(fields)]
    return Nodes(fields, names, parents, order, translations, rotations, scales, locals_, globals_)
