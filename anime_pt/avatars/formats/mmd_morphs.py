"""Morphs and spherically skinned vertices of an MMD model file, in character space.

Of material morphs the colours and the outline are taken: as colour here is 0.6 diffuse + ambient (see `mmd`),
their factors become one that is exact at weight 1. What they add to textures, spheres and toons, further UV
sets, flips and impulses is left out.
"""

import numpy as np

from anime_pt.avatars.character import BoneChange, MaterialChange, Morph, Sdef
from anime_pt.avatars.formats import pmd, pmx_model
from anime_pt.avatars.formats.mmd_rig import FLIP, TURN_FLIP, UNIT

GROUP, VERTEX, BONE, UV, MATERIAL = 0, 1, 2, 3, 8


def of(model: pmd.PmdModel | pmx_model.PmxModel) -> list[Morph]:
    """All morphs, in the file's order; those of a PMD without its base."""
    if isinstance(model, pmx_model.PmxModel):
        return [_of_pmx(model, m) for m in model.morphs]
    base = next((m.indices for m in model.morphs if m.panel == 0), None)
    return [
        Morph(m.name, *_vertices(m.indices if base is None else base[m.indices], m.offsets))
        for m in model.morphs
        if m.panel != 0
    ]


def _vertices(indices: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return indices.astype(np.int32), (_finite(offsets) * FLIP * UNIT).astype(np.float32)


def _finite(values: np.ndarray) -> np.ndarray:
    return np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)


def _of_pmx(model: pmx_model.PmxModel, morph: pmx_model.PmxMorph) -> Morph:
    rows, name = morph.rows, morph.name
    if morph.kind == VERTEX:
        return Morph(name, *_vertices(rows["index"], rows["offset"]))
    if morph.kind == UV:
        offsets = _finite(rows["offset"])[:, :2].astype(np.float32)
        return Morph(name, uv_vertices=rows["index"].astype(np.int32), uv_offsets=offsets)
    if morph.kind == GROUP:
        rows = rows[(rows["index"] >= 0) & (rows["index"] < len(model.morphs))]
        weights = _finite(rows["weight"]).tolist()
        return Morph(name, parts=tuple(zip(rows["index"].tolist(), weights, strict=True)))
    if morph.kind == BONE:
        return Morph(name, bones=tuple(_bone(row) for row in rows if row["index"] >= 0))
    if morph.kind == MATERIAL:
        return Morph(name, materials=tuple(change for row in rows for change in _materials(model, row)))
    return Morph(name)


def _bone(row: np.void) -> BoneChange:
    turn = _finite(row["rotation"]) * TURN_FLIP
    length = np.linalg.norm(turn)
    turn = turn / length if length > 1e-6 else np.array([0.0, 0.0, 0.0, 1.0])
    shift = _finite(row["translation"]) * FLIP * UNIT
    return BoneChange(int(row["index"]), tuple(shift.tolist()), tuple(turn.tolist()))


def _materials(model: pmx_model.PmxModel, row: np.void) -> list[MaterialChange]:
    """A row of a material morph: diffuse 4, specular 4, ambient 3, edge 5, texture 4, sphere 4, toon 4."""
    v = _finite(row["values"])
    diffuse, ambient, edge, texture, toon = v[:4], v[8:11], v[11:16], v[16:20], v[24:28]
    outline = {"outline_color": tuple(edge[:4].tolist()), "outline": float(edge[4])}
    index = int(row["index"])
    if row["adds"]:
        color = (*(0.6 * diffuse[:3] + ambient).tolist(), float(diffuse[3]))
        return [MaterialChange(index, False, color, **outline)]
    changes = []
    for i in range(len(model.materials)) if index == -1 else (index,):
        m = model.materials[i]
        base_diffuse, base_ambient = _finite(np.array(m.diffuse[:3])), _finite(np.array(m.ambient))
        before = (0.6 * base_diffuse + base_ambient).clip(0, 1)
        after = (0.6 * base_diffuse * diffuse[:3] + base_ambient * ambient).clip(0, 1)
        factor = np.where(before > 1e-6, after / np.maximum(before, 1e-6), 1.0)
        color = np.append(factor, diffuse[3]) * texture * toon
        changes.append(MaterialChange(i, True, tuple(color.tolist()), **outline))
    return changes


def sdef(model: pmx_model.PmxModel, rise: float) -> Sdef | None:
    """Spherically skinned vertices, or None if there are none.

    Args:
      model: as read.
      rise: metres by which the figure was lifted to stand on the floor.
    """
    v = model.vertices
    good = (v.kinds == pmx_model.SDEF) & (v.bones[:, :2] >= 0).all(1) & np.isfinite(v.sdef).all((1, 2))
    vertices = np.flatnonzero(good).astype(np.int32)
    if not len(vertices):
        return None
    points = v.sdef[vertices].astype(np.float64) * FLIP * UNIT + np.array([0.0, rise, 0.0])
    return Sdef(vertices, *(np.ascontiguousarray(points[:, i], np.float32) for i in range(3)))
