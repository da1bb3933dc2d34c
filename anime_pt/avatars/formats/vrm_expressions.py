"""Morphs of VRM files (expressions of 1.0, blend shape groups of 0.x) and of plain glTF (morph targets).

Presets get the names of VRM 1.0 in both versions: joy is happy, fun is relaxed, a is aa and so on.
Source: VRMC_vrm 1.0 expressions.md; `VRM.blendShapeMaster` of 0.x.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from anime_pt.avatars.character import MaterialChange, Morph
from anime_pt.avatars.formats.gltf import Gltf
from anime_pt.avatars.formats.gltf_fields import Fields
from anime_pt.avatars.formats.gltf_mesh import Meshes, Part
from anime_pt.avatars.formats.vrm_materials import encode, transform_matrix

_PRESETS_0X = {
    **{"a": "aa", "i": "ih", "u": "ou", "e": "ee", "o": "oh"},
    **{"joy": "happy", "sorrow": "sad", "fun": "relaxed", "angry": "angry", "neutral": "neutral"},
    **{"blink": "blink", "blink_l": "blinkLeft", "blink_r": "blinkRight"},
    **{f"look{way}": f"look{way.title()}" for way in ("up", "down", "left", "right")},
}
# materialColorBinds' types, and the properties of MToon 0.x -> field of `Material`.
_COLORS = {
    "color": "color",
    "emissionColor": "emission",
    "shadeColor": "shade_color",
    "rimColor": "rim_color",
    "outlineColor": "outline_color",
}
_COLORS_0X = {
    "_Color": "color",
    "_EmissionColor": "emission",
    "_ShadeColor": "shade_color",
    "_RimColor": "rim_color",
    "_OutlineColor": "outline_color",
}
_MAX_EXPRESSIONS = 1 << 10
# Offsets below are rounding.
_STILL = 1e-7


# Parts, index of their morph target, weight.
_Bind = tuple[list[Part], int, float]


class Mesh(NamedTuple):
    """What expressions refer to.

    Attributes:
      meshes: of the file.
      material_names: as in the file.
      raw_uvs: (v, 2) UVs before any transform.
      uvs: (v, 2) at rest.
      material_vertices: vertices of each material.
      to_character: (3, 3) takes offsets of the scene to character space.
    """

    meshes: Meshes
    material_names: list[str]
    raw_uvs: np.ndarray
    uvs: np.ndarray
    material_vertices: list[np.ndarray]
    to_character: np.ndarray


def read(file: Gltf, mesh: Mesh) -> list[Morph]:
    """The morphs of a file."""
    new, old = file.json.extension("VRMC_vrm"), file.json.extension("VRM")
    if new is not None:
        expressions = new.object("expressions")
        named = [*expressions.named("preset").items(), *expressions.named("custom").items()]
        morphs = [_new(name, fields, mesh) for name, fields in named[:_MAX_EXPRESSIONS]]
    elif old is not None:
        groups = old.object("blendShapeMaster").objects("blendShapeGroups")
        morphs = [_old(fields, mesh) for fields in groups[:_MAX_EXPRESSIONS]]
    else:
        morphs = list(_plain(mesh))
    return list({m.name: m for m in reversed(morphs)}.values())[::-1]


def _moved(mesh: Mesh, binds: list[_Bind]) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and their offsets, summed over the binds."""
    total: dict[int, np.ndarray] = {}
    for part, target, weight in ((p, target, weight) for parts, target, weight in binds for p in parts):
        offsets = weight * mesh.meshes.target(part, target)
        for first in part.copies:
            total[first] = total[first] + offsets if first in total else offsets
    vertices, moves = [np.zeros(0, np.int32)], [np.zeros((0, 3), np.float32)]
    for first, offsets in sorted(total.items()):
        moving = np.flatnonzero(np.abs(offsets).max(1) > _STILL)
        vertices.append((moving + first).astype(np.int32))
        moves.append((offsets[moving] @ mesh.to_character.T).astype(np.float32))
    return np.concatenate(vertices), np.concatenate(moves)


def _slid(mesh: Mesh, transforms: Mapping[int, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and offsets of UVs by material -> (2, 3) transform at full weight."""
    vertices, offsets = [np.zeros(0, np.int32)], [np.zeros((0, 2), np.float32)]
    for material, transform in transforms.items():
        own = mesh.material_vertices[material]
        mesh.meshes.spend(len(own))
        vertices.append(own.astype(np.int32))
        offsets.append(mesh.raw_uvs[own] @ transform[:, :2].T + transform[:, 2] - mesh.uvs[own])
    return np.concatenate(vertices), np.concatenate(offsets).astype(np.float32)


def _new(name: str, fields: Fields, mesh: Mesh) -> Morph:
    binds = []
    for bind in fields.objects("morphTargetBinds"):
        node, target = bind.integer("node", 0, 1 << 30), bind.integer("index", 0, 1 << 20)
        weight = bind.number("weight", 1.0)
        binds.append((mesh.meshes.of_node.get(node, []), target, weight))
    changes: dict[int, dict[str, tuple[float, ...]]] = {}
    for bind in fields.objects("materialColorBinds"):
        field = _COLORS.get(bind.text("type"))
        if field is not None:
            index = bind.index("material", len(mesh.material_names))
            value = encode(bind.numbers("targetValue", 4))
            changes.setdefault(index, {})[field] = _sized(field, value)
    slides = {}
    for bind in fields.objects("textureTransformBinds"):
        index = bind.index("material", len(mesh.material_names))
        offset, scale = bind.numbers("offset", 2, (0.0, 0.0)), bind.numbers("scale", 2, (1.0, 1.0))
        slides[index] = transform_matrix(offset, scale)
    overrides = {
        group: fields.text("override" + group[0].upper() + group[1:], "none")
        for group in ("blink", "mouth", "lookAt")
    }
    return _morph(
        name,
        mesh,
        binds,
        changes,
        slides,
        binary=fields.flag("isBinary", False),
        overrides={k: v for k, v in overrides.items() if v in ("block", "blend")},
    )


def _sized(field: str, value: tuple[float, ...]) -> tuple[float, ...]:
    return value if field == "color" else (*value[:3], 1.0) if field == "outline_color" else value[:3]


def _old(fields: Fields, mesh: Mesh) -> Morph:
    preset = fields.text("presetName", "unknown").lower()
    name = _PRESETS_0X.get(preset) or fields.text("name", "") or preset
    binds = []
    for bind in fields.objects("binds"):
        index, target = bind.index("mesh", mesh.meshes.mesh_count()), bind.integer("index", 0, 1 << 20)
        weight = bind.number("weight", 100.0) / 100
        binds.append((mesh.meshes.of_mesh.get(index, []), target, weight))
    changes: dict[int, dict[str, tuple[float, ...]]] = {}
    slides = {}
    for value in fields.objects("materialValues"):
        title, property_ = value.text("materialName"), value.text("propertyName")
        if title not in mesh.material_names:
            continue
        index = mesh.material_names.index(title)
        target = value.numbers("targetValue", 4)
        if property_ in _COLORS_0X:
            field = _COLORS_0X[property_]
            # Emission alone is stored linear.
            rgba = encode(target) if field == "emission" else tuple(min(max(v, 0.0), 1.0) for v in target)
            changes.setdefault(index, {})[field] = _sized(field, rgba)
        elif property_ == "_MainTex_ST":
            # Scale, then offset; Unity counts V from below.
            sx, sy, x, y = target
            slides[index] = transform_matrix((x, 1.0 - y - sy), (sx, sy))
    return _morph(name, mesh, binds, changes, slides, binary=fields.flag("isBinary", False), overrides={})


def _plain(mesh: Mesh) -> Iterable[Morph]:
    """One morph for each target name, whatever meshes have it."""
    named: dict[str, list[_Bind]] = {}
    for part in mesh.meshes.parts:
        names = mesh.meshes.target_names(part.mesh)
        for i in range(min(len(part.targets), _MAX_EXPRESSIONS)):
            mesh.meshes.spend(0)
            named.setdefault(names[i] if i < len(names) else f"target {i}", []).append(([part], i, 1.0))
    for name, binds in list(named.items())[:_MAX_EXPRESSIONS]:
        yield _morph(name, mesh, binds, {}, {}, binary=False, overrides={})


def _morph(name: str, mesh: Mesh, binds, changes, slides, binary: bool, overrides) -> Morph:
    vertices, offsets = _moved(mesh, binds)
    uv_vertices, uv_offsets = _slid(mesh, slides)
    return Morph(
        name,
        vertices,
        offsets,
        uv_vertices,
        uv_offsets,
        materials=tuple(MaterialChange(index, targets=targets) for index, targets in changes.items()),
        binary=binary,
        overrides=overrides,
    )
