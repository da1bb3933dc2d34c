"""Characters from VRM 0.x and 1.0 files, and from glTF files with a humanoid skin.

Files differ in where they face and in units, see `vrm_space`. Bones keep the global rotations that their
nodes have at rest, without scale.

Sources: glTF 2.0; vrm-c/vrm-specification 0.0, VRMC_vrm-1.0.
"""

import os
import pathlib
from typing import NamedTuple

import numpy as np

from anime_pt.avatars import anatomy, drape
from anime_pt.avatars.capsules import Capsule
from anime_pt.avatars.character import Character
from anime_pt.avatars.formats import (
    gltf_mesh,
    gltf_nodes,
    terms,
    vrm_constraints,
    vrm_expressions,
    vrm_humanoid,
    vrm_materials,
    vrm_space,
    vrm_springs,
)
from anime_pt.avatars.formats.binary import FormatError
from anime_pt.avatars.formats.gltf import Gltf
from anime_pt.avatars.formats.gltf_images import Images


class _Surface(NamedTuple):
    """All parts as one mesh in the space of the scene; `joints` are nodes."""

    positions: np.ndarray
    normals: np.ndarray
    joints: np.ndarray
    weights: np.ndarray
    triangles: np.ndarray
    triangle_materials: np.ndarray
    raw_uvs: np.ndarray
    uvs: np.ndarray
    material_vertices: list[np.ndarray]


def load(path: str | os.PathLike) -> Character:
    """Reads a .vrm, .glb or .gltf file.

    What the file has and is not drawn is listed in `Character.report`.

    Raises:
      FileNotFoundError: if there is no such file.
      FormatError: (a ValueError) if it is damaged, has no mesh, or lacks bones that a humanoid needs.
    """
    path = pathlib.Path(path)
    file = Gltf(path)
    nodes = gltf_nodes.read(file)
    meshes = gltf_mesh.Meshes(file, nodes, _of_first_person(file, nodes))
    if not any(len(t) for part in meshes.parts for _, t in part.triangles):
        raise FormatError(f"{path}: has no mesh, so it is no character")
    roles = vrm_humanoid.find(file, nodes, meshes.skin_joints())
    constraints = vrm_constraints.read(nodes)
    loose = vrm_springs.hanging(file, nodes)
    colliders = vrm_springs.colliders(file, nodes)
    images = Images(file)
    materials = vrm_materials.read(file, images)
    surface = _merge(meshes, vrm_materials.texture_transforms(file))
    if not (surface.triangle_materials == len(materials) - 1).any():
        materials.pop()  # The one for primitives without any.
    space = vrm_space.of(file, nodes, roles)
    kept = _with_ancestors(
        nodes,
        {*roles.values(), *meshes.skin_joints(), *loose, *(c.node for c in colliders)}
        | {node for c in constraints for node in (c.bone, c.source)},
    )
    bones = {node: bone for bone, node in enumerate(kept)}
    rest = np.tile(np.eye(4), (len(kept), 1, 1))
    rest[:, :3, :3] = space.turn @ gltf_nodes.rotation_part(nodes.globals_[kept])
    rest[:, :3, 3] = space.points(nodes.globals_[kept, :3, 3])
    of_nodes = np.zeros(len(nodes.fields), np.int32)
    of_nodes[kept] = np.arange(len(kept))
    names = [f.text("name", "") for f in file.json.objects("materials")]
    character = Character(
        name=path.stem,
        positions=space.points(surface.positions).astype(np.float32),
        normals=(surface.normals @ space.turn.T).astype(np.float32),
        uvs=surface.uvs,
        joints=of_nodes[surface.joints],
        weights=surface.weights,
        outline_scale=np.ones(len(surface.uvs), np.float32),
        triangles=surface.triangles,
        triangle_materials=surface.triangle_materials,
        materials=materials,
        bone_names=[nodes.names[n] for n in kept],
        parents=np.array([bones.get(nodes.parents[n], -1) for n in kept], np.int32),
        rest=rest,
        humanoid={role: bones[node] for role, node in roles.items()},
        landmarks={},
        report=[*dict.fromkeys(meshes.report + images.report)],
        kind="vrm" if is_vrm(file) else "gltf",
        model_name=_title(file),
        constraints=[vrm_constraints.renumbered(c, bones) for c in constraints],
        morphs=vrm_expressions.read(
            file,
            vrm_expressions.Mesh(
                meshes,
                names,
                surface.raw_uvs,
                surface.uvs,
                surface.material_vertices,
                space.scale * space.turn,
            ),
        ),
        terms=terms.of_vrm(file.json),
    )
    blink = anatomy.moved_by_blinking([(m.name, m.vertices, m.offsets) for m in character.morphs])
    before = rest[0, :3, 3].copy()
    anatomy.complete(character, [""] * len(materials), blink)
    floor = before - rest[0, :3, 3]
    character.hang = anatomy.hanging(character, [bones[n] for n in loose])
    character.secondary = drape.of(
        character,
        [bones[n] for n in loose],
        [
            Capsule(
                bones[c.node],
                space.points(c.ends) - floor,
                (space.scale * c.radius,) * 2,
                frozenset(bones[n] for n in c.passes),
            )
            for c in colliders
        ],
    )
    return character


def is_vrm(file: Gltf) -> bool:
    """Whether a file has the extension of VRM 0.x or 1.0."""
    return file.json.extension("VRM") is not None or file.json.extension("VRMC_vrm") is not None


def _of_first_person(file: Gltf, nodes: gltf_nodes.Nodes) -> set[int]:
    """Nodes whose meshes only the wearer of the avatar sees, such as a body without its head."""
    new, old = file.json.extension("VRMC_vrm"), file.json.extension("VRM")
    if new is not None:
        notes = new.object("firstPerson").objects("meshAnnotations")
        return {n.index("node", len(nodes.fields)) for n in notes if n.text("type", "") == "firstPersonOnly"}
    notes = old.object("firstPerson").objects("meshAnnotations") if old is not None else []
    meshes = {
        n.integer("mesh", -1, 1 << 30) for n in notes if n.text("firstPersonFlag", "") == "FirstPersonOnly"
    }
    return {i for i, node in enumerate(nodes.fields) if node.data.get("mesh") in meshes}


def _title(file: Gltf) -> str:
    new, old = file.json.extension("VRMC_vrm"), file.json.extension("VRM")
    if new is not None:
        return new.object("meta").text("name", "")
    return old.object("meta").text("title", "") if old is not None else ""


def _with_ancestors(nodes: gltf_nodes.Nodes, used: set[int]) -> list[int]:
    """The nodes and everything above them, parents first."""
    kept: set[int] = set()
    for node in used:
        while node >= 0 and node not in kept:
            kept.add(node)
            node = nodes.parents[node]
    return [node for node in nodes.order if node in kept]


def _merge(meshes: gltf_mesh.Meshes, transforms: list[tuple[int, np.ndarray]]) -> _Surface:
    """One mesh of all parts, triangles by material.

    Vertices whose materials transform their UVs differently are doubled.

    Args:
      meshes: of the file.
      transforms: of each material, the last being for primitives without one.
    """
    columns: list[list[np.ndarray]] = [[] for _ in range(6)]
    triangles, runs = [], []
    material_vertices: list[list[np.ndarray]] = [[] for _ in transforms]
    first = 0
    for part in meshes.parts:
        part.copies = []
        placed: dict[bytes, int] = {}
        for material, corners in part.triangles:
            uv_set, transform = transforms[material]
            key = bytes([uv_set]) + transform.tobytes()
            if key not in placed:
                placed[key] = first
                part.copies.append(first)
                raw = part.uvs[uv_set]
                uvs = (raw @ transform[:, :2].T + transform[:, 2]).astype(np.float32)
                values = part.positions, part.normals, part.joints, part.weights, raw, uvs
                for column, value in zip(columns, values, strict=True):
                    column.append(value)
                first += len(raw)
                if first > gltf_mesh.MAX_VERTICES:
                    raise meshes.too_many()
            triangles.append(corners + placed[key])
            runs.append(np.full(len(corners), material % len(transforms), np.int32))
            material_vertices[material].append(np.unique(triangles[-1]))
    runs, triangles = np.concatenate(runs), np.concatenate(triangles)
    order = np.argsort(runs, kind="stable")
    positions, normals, joints, weights, raw, uvs = (np.concatenate(c) for c in columns)
    return _Surface(
        positions,
        normals,
        joints,
        weights,
        triangles[order].astype(np.int32),
        runs[order],
        raw,
        uvs,
        [np.unique(np.concatenate(v)) if v else np.zeros(0, np.int32) for v in material_vertices],
    )
