"""A character's mesh and materials as the flat arrays that the compiled rasteriser reads.

Made once per character and kept in `Character.derived`; morphs exchange what they change.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from anime_pt.avatars import sdef
from anime_pt.avatars.character import PARTS, Character, Material
from anime_pt.avatars.morphs import Morphed
from anime_pt.avatars.raster.mipmaps import Textures, pack_textures

OPAQUE, MASK, BLEND = range(3)
ALPHA_MODES = ("opaque", "mask", "blend")
TOON, MTOON, UNLIT = range(3)
SHADINGS = ("toon", "mtoon", "unlit")
SPHERE_MODES = ("", "multiply", "add")
# Texels and materials at least this opaque are drawn as opaque, and those below `INVISIBLE` not at all.
SOLID = 0.985
INVISIBLE = 0.004
# Side of the mip level that tints outlines: patches of a texture, not its details.
_TINT_TEXELS = 128


class Mesh(NamedTuple):
    """Geometry: v vertices, t triangles, m materials. Triangles are sorted by material.

    Vertices that no drawn triangle uses and triangles that are never visible are left out.
    """

    positions: np.ndarray  # (v, 3) float32
    normals: np.ndarray  # (v, 3) float32
    hull_normals: np.ndarray  # (v, 3) float32, equal for vertices in the same place
    outlines: np.ndarray  # (v,) float32, in units of the renderer's outline width
    outline_metres: np.ndarray  # (v,) float32, added to them
    joints: np.ndarray  # (v, 4) int32
    weights: np.ndarray  # (v, 4) float32, largest first
    counts: np.ndarray  # (v,) uint8, how many weights are not zero
    uvs: np.ndarray  # (v, 2) float32
    triangles: np.ndarray  # (t, 3) int32
    triangle_materials: np.ndarray  # (t,) int32
    sources: np.ndarray  # (t,) int32, index in the character's own triangles
    uv_areas: np.ndarray  # (t,) float32, twice the area in texels
    tints: np.ndarray  # (t, 3) float32, colour of the base texture about there, for outlines that mix with it
    starts: np.ndarray  # (m + 1,) int32, first triangle of each material


class Surfaces(NamedTuple):
    """What materials say besides their textures."""

    modes: np.ndarray  # (m,) int8, OPAQUE, MASK or BLEND
    double_sided: np.ndarray  # (m,) bool
    cutoffs: np.ndarray  # (m,) float32 in [0, 1]
    colors: np.ndarray  # (m, 4) float32
    hull_colors: np.ndarray  # (m, 4) float32, premultiplied
    hull_alphas: np.ndarray  # (m,) float32, 0 draws no outline
    hull_mixes: np.ndarray  # (m,) float32
    shadings: np.ndarray  # (m,) int8, TOON, MTOON or UNLIT
    ramps: np.ndarray  # (m, 32, 3) float32 in [0, 1]
    shade_colors: np.ndarray  # (m, 3) float32
    steps: np.ndarray  # (m, 2) float32: slope and shift of the step from shade to light
    sphere_modes: np.ndarray  # (m,) int8, index in `SPHERE_MODES`
    emissions: np.ndarray  # (m, 3) float32
    rims: np.ndarray  # (m, 5) float32: colour, power, lift
    emits: np.ndarray  # (m,) bool: whether it has an emission
    has_rim: np.ndarray  # (m,) bool
    ranks: np.ndarray  # (m,) int32: translucent surfaces are drawn from low to high
    depth_writes: np.ndarray  # (m,) bool
    parts: np.ndarray  # (m,) uint8


@dataclasses.dataclass(frozen=True)
class Packed:
    """A character as the kernels read it.

    Attributes:
      mesh, surfaces, textures: see there.
      vertices: (v,) indices of the mesh's vertices in the character.
      has_layers: whether anything is translucent.
    """

    mesh: Mesh
    surfaces: Surfaces
    textures: Textures
    vertices: np.ndarray
    has_layers: bool


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


def _choice(material: Material, field: str, options: tuple[str, ...]) -> int:
    value = getattr(material, field)
    if value not in options:
        raise ValueError(f"material {material.name!r}: unknown {field.replace('_', ' ')} {value!r}")
    return options.index(value)


def _mode(material: Material) -> int:
    mode = _choice(material, "alpha_mode", ALPHA_MODES)
    if mode == BLEND and material.color[3] >= SOLID and material.texture is None:
        return OPAQUE
    return mode


def _surfaces(materials: Sequence[Material]) -> Surfaces:
    count = len(materials)

    def table(values, dtype, *shape) -> np.ndarray:
        return np.array(list(values), dtype).reshape(count, *shape)

    hull_colors = table((m.outline_color for m in materials), np.float32, 4)
    hull_alphas = np.where([m.outline > 0 for m in materials], hull_colors[:, 3], 0).astype(np.float32)
    hull_colors[:, :3] *= hull_colors[:, 3:]
    emissions = table((m.emission for m in materials), np.float32, 3)
    rims = table(((*m.rim_color, m.rim_power, m.rim_lift) for m in materials), np.float32, 5)
    # Surfaces that write depth come first, as in VRM: the others may lie before or behind them.
    order = sorted({(not m.depth_write, m.render_queue) for m in materials})
    return Surfaces(
        modes=table((_mode(m) for m in materials), np.int8),
        double_sided=table((m.double_sided for m in materials), bool),
        cutoffs=table((m.alpha_cutoff for m in materials), np.float32),
        colors=table((m.color for m in materials), np.float32, 4),
        hull_colors=hull_colors,
        hull_alphas=hull_alphas,
        hull_mixes=table((m.outline_mix for m in materials), np.float32).clip(0, 1),
        shadings=table((_choice(m, "shading", SHADINGS) for m in materials), np.int8),
        ramps=table((m.ramp for m in materials), np.float32, 32, 3) / 255,
        shade_colors=table((m.shade_color for m in materials), np.float32, 3),
        steps=table(((0.5 / max(1 - m.toony, 1e-3), m.shift) for m in materials), np.float32, 2),
        sphere_modes=table(
            (0 if m.sphere is None else _choice(m, "sphere_mode", SPHERE_MODES) for m in materials), np.int8
        ),
        emissions=emissions,
        rims=rims,
        emits=(emissions > 0).any(1),
        has_rim=(rims[:, :3] > 0).any(1),
        ranks=table((order.index((not m.depth_write, m.render_queue)) for m in materials), np.int32),
        depth_writes=table((m.depth_write for m in materials), bool),
        parts=table((_choice(m, "part", PARTS) for m in materials), np.uint8),
    )


def _outlines(
    character: Character, materials: Sequence[Material], vertices, triangles, triangle_materials
) -> list[np.ndarray]:
    """(v,) float32 twice: widths of outlines in screen units and in metres."""
    out = []
    for unit in ("screen", "metres"):
        widths = np.array([m.outline if m.outline_unit == unit else 0.0 for m in materials], np.float32)
        of_vertices = np.zeros(len(vertices), np.float32)
        if len(triangles):
            # A vertex that two materials share takes the wider outline.
            np.maximum.at(of_vertices, triangles, widths[triangle_materials][:, None])
        out.append(of_vertices * np.asarray(character.outline_scale, np.float32)[vertices])
    return out


def _tints(
    materials: Sequence[Material], textures: Textures, uvs, triangles, triangle_materials
) -> np.ndarray:
    """(t, 3) float32 in [0, 1]: the base texture around the middle of each triangle; see `Mesh.tints`."""
    out = np.ones((len(triangles), 3), np.float32)
    for i, material in enumerate(materials):
        if not (material.outline_mix > 0 and textures.levels[i]):
            continue
        own = np.flatnonzero(triangle_materials == i)
        sizes = np.maximum(textures.widths[i], textures.heights[i])[: textures.levels[i]]
        level = min(int((sizes > _TINT_TEXELS).sum()), len(sizes) - 1)
        width, height = textures.widths[i, level], textures.heights[i, level]
        u, v = (uvs[triangles[own]].mean(1) % 1.0).T
        texels = textures.texels[textures.offsets[i, level] :][: 4 * width * height].reshape(height, width, 4)
        color = texels[(v * height).astype(int) % height, (u * width).astype(int) % width].astype(np.float32)
        out[own] = np.where(color[:, 3:] > 0, color[:, :3] / np.maximum(color[:, 3:], 1), 1)
    return out


def _has_layers(surfaces: Surfaces) -> bool:
    lined = (surfaces.hull_alphas > 0) & (surfaces.hull_alphas < SOLID)
    shown = (surfaces.colors[:, 3] > INVISIBLE) | (surfaces.modes == OPAQUE)
    return bool((((surfaces.modes == BLEND) | lined) & shown).any())


def pack(character: Character) -> Packed:
    """The arrays of a character, computed at the first call.

    Raises:
      ValueError: for an unknown alpha mode, shading, sphere mode, outline unit or part, a texture of a wrong
        shape, or indices that point nowhere.
    """
    if "packed" in character.derived:
        return character.derived["packed"]
    character.check()
    materials = character.materials
    count = len(materials)
    for material in materials:
        _choice(material, "outline_unit", ("screen", "metres"))
    surfaces = _surfaces(materials)
    textures = pack_textures(materials)
    changed = {c.material for morph in character.morphs for c in morph.materials}
    shown = np.array(
        [
            m.color[3] > INVISIBLE or m.alpha_mode == "opaque" or not changed.isdisjoint((i, -1))
            for i, m in enumerate(materials)
        ],
        bool,
    )
    order = np.argsort(character.triangle_materials, kind="stable")
    if count:
        order = order[shown[character.triangle_materials[order]]]
    triangles = np.asarray(character.triangles, np.int32)[order]
    triangle_materials = np.asarray(character.triangle_materials, np.int32)[order]
    used, triangles = np.unique(triangles, return_inverse=True)
    triangles = triangles.reshape(-1, 3).astype(np.int32)

    positions = np.ascontiguousarray(character.positions[used], np.float32)
    normals = np.ascontiguousarray(character.normals[used], np.float32)
    uvs = np.ascontiguousarray(character.uvs[used], np.float32)
    joints, weights = sdef.influences(character)
    weights = np.asarray(weights[used], np.float32)
    heavy = np.argsort(-weights, axis=1, kind="stable")
    weights = np.ascontiguousarray(np.take_along_axis(weights, heavy, 1))
    joints = np.ascontiguousarray(np.take_along_axis(joints[used].astype(np.int32), heavy, 1))
    outlines, outline_metres = _outlines(character, materials, used, triangles, triangle_materials)

    finite = np.nan_to_num(uvs.astype(np.float64), posinf=0, neginf=0).clip(-1e6, 1e6)
    a, b, c = (finite[triangles[:, i]] for i in range(3))
    areas = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (c - a)[:, 0] * (b - a)[:, 1])
    texel_counts = textures.widths[:count, 0] * textures.heights[:count, 0].astype(np.float64)
    mesh = Mesh(
        positions=positions,
        normals=normals,
        hull_normals=_shared_normals(positions, normals),
        outlines=outlines,
        outline_metres=outline_metres,
        joints=joints,
        weights=weights,
        counts=(weights != 0).sum(1).astype(np.uint8),
        uvs=uvs,
        triangles=triangles,
        triangle_materials=triangle_materials,
        sources=order.astype(np.int32),
        uv_areas=(areas * texel_counts[triangle_materials]).astype(np.float32),
        tints=_tints(materials, textures, finite, triangles, triangle_materials),
        starts=np.searchsorted(triangle_materials, np.arange(count + 1)).astype(np.int32),
    )
    packed = Packed(mesh, surfaces, textures, used, _has_layers(surfaces))
    character.derived["packed"] = packed
    return packed


def morph(character: Character, morphed: Morphed) -> Packed:
    """The arrays of a character with another shape, other texture coordinates and materials."""
    packed = pack(character)
    mesh, surfaces, has_layers = packed.mesh, packed.surfaces, packed.has_layers
    if morphed.positions is not None:
        mesh = mesh._replace(positions=np.ascontiguousarray(morphed.positions[packed.vertices], np.float32))
    if morphed.uvs is not None:
        mesh = mesh._replace(uvs=np.ascontiguousarray(morphed.uvs[packed.vertices], np.float32))
    if morphed.materials is not None:
        surfaces = _surfaces(morphed.materials)
        has_layers = _has_layers(surfaces)
        pairs = zip(morphed.materials, character.materials, strict=True)
        if any(new.outline != rest.outline for new, rest in pairs):
            widths = _outlines(
                character, morphed.materials, packed.vertices, mesh.triangles, mesh.triangle_materials
            )
            mesh = mesh._replace(outlines=widths[0], outline_metres=widths[1])
    return dataclasses.replace(packed, mesh=mesh, surfaces=surfaces, has_layers=has_layers)
