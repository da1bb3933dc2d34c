"""A character's mesh and materials as the flat arrays that the compiled rasteriser reads.

Made once per character and kept in `Character.derived`.
"""

import dataclasses

import cv2
import numpy as np

from anime_pt.avatars.character import PARTS, Character, Material

OPAQUE, MASK, BLEND = 0, 1, 2
_MAX_LEVELS = 14
# Texels and materials at least this opaque are drawn as opaque.
SOLID = 0.985


@dataclasses.dataclass(frozen=True)
class Packed:
    """Arrays for `raster_kernels`; v vertices, t triangles, m materials.

    Vertices that no drawn triangle uses and triangles of wholly transparent materials are left out, and
    triangles are sorted by material. Texture rows m to 2m - 1 are the sphere maps. Texels are
    premultiplied by their alpha, so that filtering does not bleed the colour of empty texels.
    """

    positions: np.ndarray  # (v, 3) float32
    normals: np.ndarray  # (v, 3) float32
    hull_normals: np.ndarray  # (v, 3) float32, equal for vertices in the same place
    outline_scale: np.ndarray  # (v,) float32, material's width included
    joints: np.ndarray  # (v, 4) int32
    weights: np.ndarray  # (v, 4) float32, largest first
    counts: np.ndarray  # (v,) uint8, how many weights are not zero
    uvs: np.ndarray  # (v, 2) float32
    triangles: np.ndarray  # (t, 3) int32
    triangle_materials: np.ndarray  # (t,) int32
    sources: np.ndarray  # (t,) int32, index in the character's own triangles
    uv_areas: np.ndarray  # (t,) float32, twice the area in texels
    starts: np.ndarray  # (m + 1,) int32, first triangle of each material
    modes: np.ndarray  # (m,) int8
    double_sided: np.ndarray  # (m,) bool
    cutoffs: np.ndarray  # (m,) float32 in [0, 1]
    colors: np.ndarray  # (m, 4) float32
    hull_colors: np.ndarray  # (m, 4) float32, premultiplied
    hull_alphas: np.ndarray  # (m,) float32, 0 draws no outline
    ramps: np.ndarray  # (m, 32, 3) float32 in [0, 1]
    sphere_modes: np.ndarray  # (m,) int8: 0 none, 1 multiply, 2 add
    parts: np.ndarray  # (m,) uint8
    texels: np.ndarray  # (n,) uint8
    texture_levels: np.ndarray  # (2m,) int32, 0 for no texture
    texture_offsets: np.ndarray  # (2m, levels) int64
    texture_widths: np.ndarray  # (2m, levels) int32
    texture_heights: np.ndarray  # (2m, levels) int32
    has_layers: bool  # whether anything is translucent


def _pyramid(texture: np.ndarray, opaque: bool) -> list[np.ndarray]:
    """Mip levels of a texture, premultiplied by alpha."""
    level = np.array(texture, np.uint8, order="C")
    if opaque:
        level[..., 3] = 255
    elif (level[..., 3] < 255).any():
        alpha = level[..., 3:].astype(np.uint16)
        level[..., :3] = (level[..., :3] * alpha + 127) // 255
    levels = [level]
    while max(level.shape[:2]) > 1 and len(levels) < _MAX_LEVELS:
        height, width = (max(1, n // 2) for n in level.shape[:2])
        level = cv2.resize(level, (width, height), interpolation=cv2.INTER_AREA)
        levels.append(level)
    return levels


def _shared_normals(positions: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Mean normal of the vertices in one place, so that hulls do not tear open at hard edges."""
    if not len(positions):
        return normals
    grid = np.nan_to_num(positions.astype(np.float64), posinf=0, neginf=0).clip(-1e6, 1e6)
    grid = np.round(grid * 1e5).astype(np.int64)
    order = np.lexsort(grid.T)
    new = np.ones(len(order), bool)
    new[1:] = (grid[order[1:]] != grid[order[:-1]]).any(1)
    group = np.empty(len(order), np.int64)
    group[order] = np.cumsum(new) - 1
    sums = np.zeros((group.max() + 1, 3))
    np.add.at(sums, group, np.nan_to_num(normals))
    counts = np.bincount(group)
    mean = sums[group] / counts[group, None]
    length = np.linalg.norm(mean, axis=1, keepdims=True)
    # Two sides of a sheet cancel out: they keep their own.
    return np.where(length > 0.3, mean / np.maximum(length, 1e-9), normals).astype(np.float32)


def _mode(material: Material) -> int:
    if material.alpha_mode not in ("opaque", "mask", "blend"):
        raise ValueError(f"material {material.name!r}: unknown alpha mode {material.alpha_mode!r}")
    if material.alpha_mode == "blend" and material.color[3] >= SOLID and material.texture is None:
        return OPAQUE
    return {"opaque": OPAQUE, "mask": MASK, "blend": BLEND}[material.alpha_mode]


def pack(character: Character) -> Packed:
    """The arrays of a character, computed at the first call.

    Raises:
      ValueError: for an unknown alpha mode, sphere mode or part, a texture of a wrong shape, or indices
        that point nowhere.
    """
    if "packed" in character.derived:
        return character.derived["packed"]
    character.check()
    materials = character.materials
    count = len(materials)
    modes = np.array([_mode(m) for m in materials], np.int8).reshape(count)
    shown = np.array([m.color[3] > 0.004 or m.alpha_mode == "opaque" for m in materials], bool)
    order = np.argsort(character.triangle_materials, kind="stable")
    if count:
        order = order[shown[character.triangle_materials[order]]]
    triangles = np.asarray(character.triangles, np.int32)[order]
    triangle_materials = np.asarray(character.triangle_materials, np.int32)[order]
    used, triangles = np.unique(triangles, return_inverse=True)
    triangles = triangles.reshape(-1, 3).astype(np.int32)

    textures, levels, offsets, widths, heights = _textures(materials, modes)
    positions = np.ascontiguousarray(character.positions[used], np.float32)
    normals = np.ascontiguousarray(character.normals[used], np.float32)
    uvs = np.ascontiguousarray(character.uvs[used], np.float32)
    weights = np.asarray(character.weights[used], np.float32)
    heavy = np.argsort(-weights, axis=1, kind="stable")
    weights = np.ascontiguousarray(np.take_along_axis(weights, heavy, 1))
    joints = np.ascontiguousarray(np.take_along_axis(character.joints[used].astype(np.int32), heavy, 1))

    outline_scale = np.zeros(len(used), np.float32)
    outlines = np.array([m.outline for m in materials], np.float32)
    if len(triangles):
        # A vertex that two materials share takes the wider outline.
        np.maximum.at(outline_scale, triangles, outlines[triangle_materials][:, None])
    outline_scale *= np.asarray(character.outline_scale, np.float32)[used]
    hull_colors = np.array([m.outline_color for m in materials], np.float32).reshape(count, 4)
    hull_alphas = np.where(outlines > 0, hull_colors[:, 3], 0).astype(np.float32)
    hull_colors[:, :3] *= hull_colors[:, 3:]

    finite = np.nan_to_num(uvs.astype(np.float64), posinf=0, neginf=0).clip(-1e6, 1e6)
    a, b, c = (finite[triangles[:, i]] for i in range(3))
    areas = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (c - a)[:, 0] * (b - a)[:, 1])
    texel_counts = (widths[:count, 0] * heights[:count, 0].astype(np.float64))[triangle_materials]
    sphere_names = [m.sphere_mode if m.sphere is not None else "" for m in materials]
    translucent = (modes == BLEND) | ((hull_alphas > 0) & (hull_alphas < SOLID))
    packed = Packed(
        positions=positions,
        normals=normals,
        hull_normals=_shared_normals(positions, normals),
        outline_scale=outline_scale,
        joints=joints,
        weights=weights,
        counts=(weights != 0).sum(1).astype(np.uint8),
        uvs=uvs,
        triangles=triangles,
        triangle_materials=triangle_materials,
        sources=order.astype(np.int32),
        uv_areas=(areas * texel_counts).astype(np.float32),
        starts=np.searchsorted(triangle_materials, np.arange(count + 1)).astype(np.int32),
        modes=modes,
        double_sided=np.array([m.double_sided for m in materials], bool),
        cutoffs=np.array([m.alpha_cutoff for m in materials], np.float32),
        colors=np.array([m.color for m in materials], np.float32).reshape(count, 4),
        hull_colors=hull_colors,
        hull_alphas=hull_alphas,
        ramps=np.stack([m.ramp for m in materials]).astype(np.float32) / 255
        if count
        else np.ones((0, 32, 3), np.float32),
        sphere_modes=np.array([("", "multiply", "add").index(s) for s in sphere_names], np.int8),
        parts=np.array([PARTS.index(m.part) for m in materials], np.uint8),
        texels=textures,
        texture_levels=levels,
        texture_offsets=offsets,
        texture_widths=widths,
        texture_heights=heights,
        has_layers=bool((translucent & shown).any()),
    )
    character.derived["packed"] = packed
    return packed


def _textures(materials: list[Material], modes: np.ndarray):
    """All textures in one array of texels, each once, with a table of their levels."""
    count = len(materials)
    levels = np.zeros(2 * count, np.int32)
    offsets = np.zeros((2 * count, _MAX_LEVELS), np.int64)
    widths, heights = (np.ones((2 * count, _MAX_LEVELS), np.int32) for _ in range(2))
    rows, chunks, total = {}, [], 0
    for i, texture in enumerate([m.texture for m in materials] + [m.sphere for m in materials]):
        if texture is None:
            continue
        if texture.ndim != 3 or texture.shape[2] != 4 or texture.dtype != np.uint8 or not texture.size:
            raise ValueError(f"texture of shape {texture.shape} {texture.dtype}, expected (h, w, 4) uint8")
        opaque = i >= count or modes[i] == OPAQUE
        key = (id(texture), bool(opaque))
        if key not in rows:
            rows[key] = i
            pyramid = _pyramid(texture, opaque)
            levels[i] = len(pyramid)
            for n, level in enumerate(pyramid):
                offsets[i, n], widths[i, n], heights[i, n] = total, level.shape[1], level.shape[0]
                chunks.append(level.ravel())
                total += level.size
        else:
            for table in (levels, offsets, widths, heights):
                table[i] = table[rows[key]]
    texels = np.concatenate(chunks) if chunks else np.zeros(4, np.uint8)
    return texels, levels, offsets, widths, heights
