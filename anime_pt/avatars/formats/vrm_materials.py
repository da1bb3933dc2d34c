"""Materials of glTF and VRM files: MToon of both versions, unlit, and plain ones in a soft toon look.

Sources: glTF 2.0 section 3.9, KHR_materials_unlit, KHR_materials_emissive_strength, VRMC_materials_mtoon 1.0;
for MToon 0.x the shader's properties in `VRM.materialProperties`, brought to 1.0 as UniVRM's migration does.
glTF's factors are linear, those of MToon 0.x and of `Material` are sRGB-encoded.

Not drawn: normal maps, shading shift maps, masks of rim and outline width, moving textures, vertex colours,
textures that are clamped instead of repeated. Outlines are tinted as if the surface were lit.
"""

import numpy as np

from anime_pt.avatars.character import Material
from anime_pt.avatars.formats.binary import FormatError
from anime_pt.avatars.formats.gltf import Gltf
from anime_pt.avatars.formats.gltf_fields import Fields
from anime_pt.avatars.formats.gltf_images import Images

_MAX_MATERIALS = 1 << 10
_WHITE = (1.0, 1.0, 1.0)
_BLACK = (0.0, 0.0, 0.0)
# MToon gives outlines in the picture as shares of its height; the renderer's unit is a pixel of 512.
_SCREEN_UNIT = 512.0
# Unity's render queues of MToon's four kinds of transparency.
_QUEUES = {"opaque": 2000, "mask": 2450, "blend": 3000}
_DEPTH_WRITE_QUEUE = 2501
# Light to shade of materials that were made for physically based light: a step that is a little soft.
_STOPS = {0: 255, 12: 255, 19: 190, 31: 178}
_SOFT_RAMP = np.stack([np.interp(np.arange(32), list(_STOPS), list(_STOPS.values()))] * 3, 1) * np.array(
    [1.0, 0.98, 1.02]
)
_SOFT_RAMP = _SOFT_RAMP.clip(0, 255).astype(np.uint8)


def encode(linear: tuple[float, ...]) -> tuple[float, ...]:
    """sRGB-encodes linear values, clipped to [0, 1]; a fourth one is alpha and stays linear."""
    x = np.clip(np.array(linear[:3], float), 0, 1)
    encoded = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    return (*encoded.round(6).tolist(), *(min(max(a, 0.0), 1.0) for a in linear[3:]))


def _clipped(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(min(max(v, 0.0), 1.0) for v in values)


def read(file: Gltf, images: Images) -> list[Material]:
    """All materials of a file, and one more for primitives without any.

    Raises:
      FormatError: if there are too many, or a value is none that a material can have.
    """
    old = file.json.extension("VRM")
    properties = old.objects("materialProperties") if old is not None else []
    out = []
    if len(file.json.objects("materials")) > _MAX_MATERIALS:
        raise FormatError(f"{file.path}: more than {_MAX_MATERIALS} materials")
    for i, fields in enumerate(file.json.objects("materials")):
        material = _base(fields, images, i)
        mtoon = fields.extension("VRMC_materials_mtoon")
        if mtoon is not None:
            _apply_mtoon(material, mtoon, images)
        elif i < len(properties) and properties[i].text("shader", "") == "VRM/MToon":
            _apply_mtoon_0x(material, properties[i], images)
        elif fields.extension("KHR_materials_unlit") is not None or (
            i < len(properties)
            and properties[i].text("shader", "").startswith(("VRM/Unlit", "UniGLTF/UniUnlit"))
        ):
            material.shading, material.outline = "unlit", 0.0
        out.append(material)
    return [*out, Material("default", ramp=_SOFT_RAMP)]


def _base(fields: Fields, images: Images, index: int) -> Material:
    """A material by glTF's own fields."""
    pbr = fields.object("pbrMetallicRoughness")
    mode = fields.text("alphaMode", "OPAQUE").lower()
    if mode not in _QUEUES:
        raise fields.error("alphaMode", "must be OPAQUE, MASK or BLEND")
    color = encode(pbr.numbers("baseColorFactor", 4, (1.0, 1.0, 1.0, 1.0)))
    double_sided = fields.flag("doubleSided", False)
    return Material(
        name=fields.text("name", f"material {index}"),
        color=(*color[:3], 1.0 if mode == "opaque" else color[3]),
        texture=images.of(pbr, "baseColorTexture"),
        ramp=_SOFT_RAMP,
        # A hull around a single sheet would be seen through it.
        outline=0.0 if double_sided or mode == "blend" else 1.0,
        alpha_mode=mode,
        alpha_cutoff=min(max(fields.number("alphaCutoff", 0.5), 0.0), 1.0),
        double_sided=double_sided,
        emission=encode(_emission(fields)),
        emission_texture=images.of(fields, "emissiveTexture"),
        render_queue=_QUEUES[mode],
    )


def _emission(fields: Fields) -> tuple[float, ...]:
    strength = 1.0
    for extension, key in (
        ("KHR_materials_emissive_strength", "emissiveStrength"),
        ("VRMC_materials_hdr_emissiveMultiplier", "emissiveMultiplier"),
    ):
        values = fields.extension(extension)
        if values is not None:
            strength = values.number(key, 1.0)
    return tuple(strength * v for v in fields.numbers("emissiveFactor", 3, _BLACK))


def _apply_mtoon(material: Material, mtoon: Fields, images: Images) -> None:
    """Sets what VRMC_materials_mtoon 1.0 says."""
    material.shading = "mtoon"
    material.shade_color = encode(mtoon.numbers("shadeColorFactor", 3, _BLACK))
    _set_shade_texture(material, images.of(mtoon, "shadeMultiplyTexture"))
    material.toony = min(max(mtoon.number("shadingToonyFactor", 0.9), 0.0), 1.0)
    material.shift = min(max(mtoon.number("shadingShiftFactor", 0.0), -1.0), 1.0)
    material.rim_color = encode(mtoon.numbers("parametricRimColorFactor", 3, _BLACK))
    material.rim_power = max(mtoon.number("parametricRimFresnelPowerFactor", 5.0), 1e-3)
    material.rim_lift = mtoon.number("parametricRimLiftFactor", 0.0)
    matcap = images.of(mtoon, "matcapTexture")
    if matcap is not None:
        _set_matcap(material, matcap, encode(mtoon.numbers("matcapFactor", 3, _WHITE)), images)
    width = max(mtoon.number("outlineWidthFactor", 0.0), 0.0)
    mode = mtoon.text("outlineWidthMode", "none")
    material.outline_unit = "metres" if mode == "worldCoordinates" else "screen"
    material.outline = {"worldCoordinates": width, "screenCoordinates": width * _SCREEN_UNIT}.get(mode, 0.0)
    material.outline_color = (*encode(mtoon.numbers("outlineColorFactor", 3, _BLACK)), 1.0)
    material.outline_mix = min(max(mtoon.number("outlineLightingMixFactor", 1.0), 0.0), 1.0)
    material.depth_write = material.alpha_mode == "blend" and mtoon.flag("transparentWithZWrite", False)
    offset = mtoon.integer("renderQueueOffsetNumber", -9, 9, 0)
    queue = _DEPTH_WRITE_QUEUE if material.depth_write else _QUEUES[material.alpha_mode]
    material.render_queue = queue + (offset if material.alpha_mode == "blend" else 0)


def _set_shade_texture(material: Material, texture: np.ndarray | None) -> None:
    """Without one, the base texture does not shine through: shade is then of one colour."""
    if texture is None and material.texture is not None:
        texture = np.full((1, 1, 4), 255, np.uint8)
    material.shade_texture = texture


def _set_matcap(material: Material, matcap: np.ndarray, factor: tuple[float, ...], images: Images) -> None:
    """A matcap is light that is added, whatever its alpha says."""
    out = np.full_like(matcap, 255)
    out[..., :3] = (matcap[..., :3] * np.array(factor)).round()
    images.spend(out.nbytes)
    material.sphere, material.sphere_mode = out, "add"


def _apply_mtoon_0x(material: Material, properties: Fields, images: Images) -> None:
    """Sets what the properties of MToon 0.x say."""
    floats, vectors = properties.object("floatProperties"), properties.object("vectorProperties")
    names = properties.object("textureProperties")

    def texture(name: str) -> np.ndarray | None:
        index = names.index(name, images.count, -1)
        return images.texture(index) if index >= 0 else None

    blend = floats.integer("_BlendMode", 0, 3, 0)
    material.alpha_mode = ("opaque", "mask", "blend", "blend")[blend]
    material.depth_write = blend == 3
    material.alpha_cutoff = min(max(floats.number("_Cutoff", 0.5), 0.0), 1.0)
    material.double_sided = floats.number("_CullMode", 2.0) == 0
    color = _clipped(vectors.numbers("_Color", 4, (1.0, 1.0, 1.0, 1.0)))
    material.color = (*color[:3], 1.0 if material.alpha_mode == "opaque" else color[3])
    material.texture = texture("_MainTex")
    material.shading = "mtoon"
    material.shade_color = _clipped(vectors.numbers("_ShadeColor", 3, (0.97, 0.81, 0.86)))
    _set_shade_texture(material, texture("_ShadeTexture"))
    # Shade falls from `high` to `low` where 1.0 has a middle and a margin.
    low = floats.number("_ShadeShift", 0.0)
    high = 1.0 + (low - 1.0) * floats.number("_ShadeToony", 0.9)
    material.toony = min(max((2.0 - (high - low)) / 2, 0.0), 1.0)
    material.shift = min(max(-(high + low) / 2, -1.0), 1.0)
    material.emission = encode(vectors.numbers("_EmissionColor", 3, _BLACK))
    material.emission_texture = texture("_EmissionMap")
    material.rim_color = _clipped(vectors.numbers("_RimColor", 3, _BLACK))
    material.rim_power = max(floats.number("_RimFresnelPower", 1.0), 1e-3)
    material.rim_lift = floats.number("_RimLift", 0.0)
    matcap = texture("_SphereAdd")
    if matcap is not None:
        _set_matcap(material, matcap, _WHITE, images)
    width = max(floats.number("_OutlineWidth", 0.5), 0.0)
    mode = floats.integer("_OutlineWidthMode", 0, 2, 0)
    # Centimetres, or per cent of half the height of the picture.
    material.outline = (0.0, 0.01 * width, 0.005 * width * _SCREEN_UNIT)[mode]
    material.outline_unit = "metres" if mode == 1 else "screen"
    material.outline_color = (*_clipped(vectors.numbers("_OutlineColor", 3, _BLACK)), 1.0)
    # The mode is "fixed" or "mixed".
    mixed = floats.number("_OutlineColorMode", 0.0) == 1
    material.outline_mix = min(max(floats.number("_OutlineLightingMix", 1.0), 0.0), 1.0) if mixed else 0.0
    queue = _DEPTH_WRITE_QUEUE if material.depth_write else _QUEUES[material.alpha_mode]
    own = properties.integer("renderQueue", -1, 5000, -1)
    material.render_queue = own if own >= 0 and material.alpha_mode == "blend" else queue


def texture_transforms(file: Gltf) -> list[tuple[int, np.ndarray]]:
    """For each material the set of UVs of its base texture, and (2, 3) what KHR_texture_transform does."""
    out = []
    old = file.json.extension("VRM")
    properties = old.objects("materialProperties") if old is not None else []
    for i, fields in enumerate(file.json.objects("materials")):
        info = fields.object("pbrMetallicRoughness").object("baseColorTexture")
        uv_set = info.integer("texCoord", 0, 1, 0)
        transform = info.extension("KHR_texture_transform")
        matrix = np.eye(2, 3)
        if transform is not None:
            uv_set = transform.integer("texCoord", 0, 1, uv_set)
            matrix = transform_matrix(
                transform.numbers("offset", 2, (0.0, 0.0)),
                transform.numbers("scale", 2, (1.0, 1.0)),
                transform.number("rotation", 0.0),
            )
        elif i < len(properties):
            # Unity counts V from below.
            x, y, sx, sy = properties[i].object("vectorProperties").numbers("_MainTex", 4, (0, 0, 1, 1))
            matrix = transform_matrix((x, 1.0 - y - sy), (sx, sy))
        out.append((uv_set, matrix))
    return [*out, (0, np.eye(2, 3))]


def transform_matrix(offset, scale, rotation: float = 0.0) -> np.ndarray:
    """(2, 3) matrix of a KHR_texture_transform; the rotation is counter-clockwise in UV space, in radians."""
    s, c = np.sin(rotation), np.cos(rotation)
    return np.array([[c * scale[0], s * scale[1], offset[0]], [-s * scale[0], c * scale[1], offset[1]]])
