"""Characters from MikuMikuDance model files (.pmd, .pmx).

Space: MMD is left-handed and faces -Z with 0.08 m to the unit, so Z is negated and triangles turn over.

Weights of the kind SDEF are skinned spherically (`sdef`), those of QDEF as BDEF4. Physics does not run:
hair that it would move hangs down by `Character.hang`, and all that it would move stays out of the body by
`drape`.

Colour follows MMD under its default light: min(1, 0.6 diffuse + ambient), times the texture, times or
plus the sphere map, times the toon. MMD's own toon01 to toon10 are not distributed here; `_SHARED_TOONS`
has ramps of the same kind. A toon file beside the model wins.

Alpha: MMD blends everything in file order. Here a material is opaque if no texel that it shows is
translucent (or the texture is transparent everywhere, which means an unused channel), "mask" if texels
are either full or empty, and "blend" otherwise or if the material's own alpha is below 0.97 (MMD authors
write 0.98 to switch off shadows). Materials that are mostly translucent, such as blushes, get no outline.
"""

import os
import pathlib

import cv2
import numpy as np

from anime_pt.avatars import anatomy, drape
from anime_pt.avatars.character import REQUIRED_ROLES, Character, Material, Terms
from anime_pt.avatars.formats import mmd_humanoid, mmd_morphs, mmd_physics, mmd_rig, pmd, pmx, pmx_model
from anime_pt.avatars.formats.binary import FormatError
from anime_pt.avatars.formats.mmd_rig import FLIP, UNIT
from anime_pt.avatars.formats.textures import Textures

_WHITE = (255, 255, 255)
# Shared toon -> colours at rows of the ramp, of which row 0 faces the light; the others are white.
_SHARED_TOONS = {
    1: {15: _WHITE, 16: (205, 205, 205)},
    2: {15: _WHITE, 16: (245, 226, 226)},
    3: {15: _WHITE, 16: (155, 155, 155)},
    4: {15: _WHITE, 16: (248, 240, 236)},
    5: {10: _WHITE, 22: (245, 222, 210)},  # A soft terminator for skin.
    6: {0: (255, 255, 230), 10: (255, 240, 170), 20: (200, 160, 70), 31: (235, 205, 120)},  # Gold.
}


def load(path: str | os.PathLike) -> Character:
    """Reads a .pmd or .pmx file and its textures.

    Missing textures, toons and unused features are listed in `Character.report`.

    Raises:
      FileNotFoundError: if there is no such file.
      FormatError: (a ValueError) if it is damaged, or lacks bones that a humanoid needs.
    """
    path = pathlib.Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".pmd", ".pmx"):
        raise FormatError(f"{path}: expected a .pmd or .pmx file")
    return from_pmd(pmd.read(path)) if suffix == ".pmd" else from_pmx(pmx.read(path))


def from_pmd(model: pmd.PmdModel) -> Character:
    """The character of a parsed PMD file, see `load`."""
    textures = Textures(pathlib.Path(model.path).parent)
    v = model.vertices
    weights = np.zeros((len(v), 4), np.float32)
    weights[:, 0] = np.minimum(v["weight"], 100) / np.float32(100)
    weights[:, 1] = 1 - weights[:, 0]
    joints = np.zeros((len(v), 4), np.int32)
    joints[:, :2] = v["bones"]
    base = next((m.indices for m in model.morphs if m.panel == 0), None)
    faces = [m for m in model.morphs if m.panel != 0]
    materials = []
    runs = np.repeat(np.arange(len(model.materials)), [m.indices // 3 for m in model.materials])
    for i, m in enumerate(model.materials):
        texture = sphere = None
        sphere_mode, texture_name = "multiply", ""
        for name in filter(None, m.texture.split("*")):
            if name.lower().endswith((".sph", ".spa")):
                sphere = textures.read(name)
                sphere_mode = "add" if name.lower().endswith(".spa") else "multiply"
            else:
                texture, texture_name = textures.read(name), name
        toon = model.toons[m.toon] if 0 <= m.toon < 10 else ""
        material = Material(
            name=f"{i:02d} {pathlib.PurePath(texture_name).stem}".strip(),
            color=_color(m.diffuse, m.ambient),
            texture=texture,
            ramp=_ramp(toon, textures),
            sphere=sphere,
            sphere_mode=sphere_mode,
            outline=float(m.edge),
            # MMD shows both sides of what is translucent.
            double_sided=m.diffuse[3] < 1,
        )
        _set_alpha(material, v["uv"], model.triangles[runs == i])
        materials.append(material)
    return _finish(
        model,
        textures,
        positions=v["position"],
        normals=v["normal"],
        uvs=v["uv"],
        joints=joints,
        weights=weights,
        outline_scale=1 - np.minimum(v["no_edge"], 1).astype(np.float32),
        materials=materials,
        runs=runs,
        names_en=model.english.get("bones", []),
        texture_names=[m.texture.split("*")[0] for m in model.materials],
        blink=anatomy.moved_by_blinking(
            [(m.name, m.indices if base is None else base[m.indices], m.offsets) for m in faces]
        ),
    )


def from_pmx(model: pmx_model.PmxModel) -> Character:
    """The character of a parsed PMX file, see `load`."""
    textures = Textures(pathlib.Path(model.path).parent)
    v = model.vertices
    weights = np.where(v.bones >= 0, np.nan_to_num(v.weights), 0).clip(0, None).astype(np.float32)
    sums = weights.sum(1, keepdims=True)
    weights = np.where(sums > 1e-6, weights / np.maximum(sums, 1e-6), np.float32([1, 0, 0, 0]))
    read = lambda i: textures.read(model.textures[i]) if i >= 0 else None
    materials = []
    runs = np.repeat(np.arange(len(model.materials)), [m.indices // 3 for m in model.materials])
    for i, m in enumerate(model.materials):
        sphere = read(m.sphere) if m.sphere_mode in (1, 2) else None
        if m.sphere_mode == 3:
            textures.report.append(f"material {m.name!r}: second textures are not drawn")
        if m.toon >= 0:
            toon = model.textures[m.toon]
        else:
            toon = f"toon{m.shared_toon + 1:02d}.bmp" if 0 <= m.shared_toon < 10 else ""
        edge = bool(m.flags & pmx_model.EDGE) and np.isfinite(m.edge_size)
        material = Material(
            name=m.name,
            color=_color(m.diffuse, m.ambient),
            texture=read(m.texture),
            ramp=_ramp(toon, textures),
            sphere=sphere,
            sphere_mode="add" if m.sphere_mode == 2 else "multiply",
            outline=float(np.clip(m.edge_size, 0, 3)) if edge else 0.0,
            outline_color=tuple(np.nan_to_num(m.edge_color).clip(0, 1).tolist()),
            double_sided=bool(m.flags & pmx_model.DOUBLE_SIDED),
        )
        _set_alpha(material, v.uvs, model.triangles[runs == i])
        materials.append(material)
    return _finish(
        model,
        textures,
        positions=v.positions,
        normals=v.normals,
        uvs=v.uvs,
        joints=v.bones.clip(0, None),
        weights=weights,
        outline_scale=np.nan_to_num(v.edge_scale).clip(0, 4),
        materials=materials,
        runs=runs,
        names_en=[b.name_en for b in model.bones],
        texture_names=[model.textures[m.texture] if m.texture >= 0 else "" for m in model.materials],
        blink=anatomy.moved_by_blinking(
            [(m.name, m.rows["index"], m.rows["offset"]) for m in model.morphs if m.kind == 1]
        ),
    )


def _color(diffuse, ambient) -> tuple[float, float, float, float]:
    rgb = np.nan_to_num(0.6 * np.array(diffuse[:3]) + np.array(ambient)).clip(0, 1)
    return (*rgb.tolist(), float(np.nan_to_num(diffuse[3]).clip(0, 1)))


def _ramp(name: str, textures: Textures) -> np.ndarray:
    """(32, 3) uint8 of a toon file, else of the shared toon of that name, else white."""
    if not name:
        return np.full((32, 3), 255, np.uint8)
    stem = pathlib.PurePath(name.replace("\\", "/")).stem.lower()
    number = int(stem[4:]) if stem.startswith("toon") and stem[4:].isdigit() else -1
    image = textures.read(name, quiet=0 <= number <= 10)
    if image is not None:
        column = np.ascontiguousarray(image[:, : max(1, image.shape[1] // 8), :3]).mean(1, keepdims=True)
        return cv2.resize(column.astype(np.float32), (1, 32), interpolation=cv2.INTER_AREA)[:, 0].astype(
            np.uint8
        )
    stops = _SHARED_TOONS.get(number, {0: _WHITE})
    colors = np.array(list(stops.values()), float)
    return np.stack([np.interp(np.arange(32), list(stops), c) for c in colors.T], 1).astype(np.uint8)


def _set_alpha(material: Material, uvs: np.ndarray, triangles: np.ndarray) -> None:
    """Decides `alpha_mode`, and that mostly translucent materials have no outline; see the module."""
    own = material.color[3]
    material.alpha_mode = "blend" if own < 0.97 else "opaque"
    if own >= 0.97:
        material.color = (*material.color[:3], 1.0)
    texture = material.texture
    if texture is None or not len(triangles) or texture[..., 3].min() >= 250:
        return
    if texture[..., 3].max() == 0:
        texture = texture.copy()
        texture[..., 3] = 255
        material.texture = texture
        return
    # Texels under a few points of each triangle, weighted by area.
    rng = np.random.default_rng(0)
    corners = uvs[triangles].astype(np.float64)
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    areas = np.nan_to_num(np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]), posinf=0) + 1e-9
    picks = rng.choice(len(triangles), 4000, p=areas / areas.sum())
    shares = rng.dirichlet((1, 1, 1), 4000)
    points = np.nan_to_num((corners[picks] * shares[:, :, None]).sum(1)) % 1.0
    height, width = texture.shape[:2]
    alpha = texture[
        (points[:, 1] * height).astype(int) % height, (points[:, 0] * width).astype(int) % width, 3
    ]
    full, empty = (alpha >= 250).mean(), (alpha <= 8).mean()
    if full == 1:
        return
    if material.alpha_mode != "blend":
        material.alpha_mode = "mask" if 1 - full - empty < 0.01 else "blend"
    if 1 - full - empty > 0.25 * (1 - empty):
        material.outline = 0.0


def _finish(
    model,
    textures: Textures,
    *,
    positions,
    normals,
    uvs,
    joints,
    weights,
    outline_scale,
    materials,
    runs,
    names_en,
    texture_names,
    blink,
) -> Character:
    """Converts to character space and finds roles and landmarks."""
    names = [b.name for b in model.bones]
    humanoid = mmd_humanoid.roles(names, names_en)
    missing = [role for role in REQUIRED_ROLES if role not in humanoid]
    if missing:
        raise FormatError(f"{model.path}: not a humanoid, there are no bones for {', '.join(missing)}")
    positions = (positions.astype(np.float64) * FLIP * UNIT).astype(np.float32)
    normals = np.nan_to_num(normals.astype(np.float64) * FLIP)
    normals = (normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)).astype(np.float32)
    report = list(textures.report)
    rig = mmd_rig.fields(model, report)
    character = Character(
        name=pathlib.Path(model.path).stem,
        positions=positions,
        normals=normals,
        uvs=np.nan_to_num(np.ascontiguousarray(uvs, np.float32)),
        joints=np.ascontiguousarray(joints, np.int32),
        weights=np.ascontiguousarray(weights, np.float32),
        outline_scale=np.ascontiguousarray(outline_scale, np.float32),
        triangles=np.ascontiguousarray(model.triangles[:, [0, 2, 1]]),
        triangle_materials=runs.astype(np.int32),
        materials=materials,
        humanoid=humanoid,
        landmarks={},
        report=report,
        twists=mmd_humanoid.twists(names, rig["parents"], humanoid),
        kind="mmd",
        model_name=model.name,
        morphs=mmd_morphs.of(model),
        terms=Terms(fields={"comment": model.comment}),
        **rig,
    )
    anatomy.complete(character, texture_names, blink)
    bodies = mmd_physics.bodies(model)
    loose = mmd_physics.loose(bodies)
    character.hang = anatomy.hanging(character, loose)
    character.secondary = drape.of(character, loose, mmd_physics.capsules(bodies, character))
    if isinstance(model, pmx_model.PmxModel):
        character.sdef = mmd_morphs.sdef(model, character.rest[0, 1, 3] - model.bones[0].position[1] * UNIT)
    return character
