"""Procedural anime characters: a seed makes a rigged, textured `Character`; nothing is downloaded.

`build(seed, costume)` is `build_from(describe(seed, costume))`. Same arguments, same bytes.
"""

import numpy as np

from anime_pt.avatars.character import Append, Character
from anime_pt.avatars.procedural import costume as costume_lib
from anime_pt.avatars.procedural import face, hair, hairstyles, mesh, motion, textures
from anime_pt.avatars.procedural.body import Body
from anime_pt.avatars.procedural.description import Description, describe
from anime_pt.avatars.procedural.head import Head
from anime_pt.avatars.procedural.palette import mix

__all__ = ["Description", "build", "build_from", "describe"]


def build(seed: int, costume: int = 0) -> Character:
    """A character; `seed` fixes body, face and hair, `costume` the clothes."""
    return build_from(describe(seed, costume))


def build_from(d: Description) -> Character:
    """The character of a description, which `dataclasses.replace` may have changed."""
    body = Body(d)
    head = Head(body)
    style = hairstyles.make(head, np.random.default_rng([d.seed % 2**64, 7]))
    builder = mesh.MeshBuilder()
    _add_head(builder, head, style)
    chains = style.chains + costume_lib.dress(builder, body, head, style)
    bones = body.bones()
    for c in chains:
        bones |= c.bones()
    index = {name: i for i, name in enumerate(bones)}
    rest = np.tile(np.eye(4), (len(bones), 1, 1))
    rest[:, :3, 3] = np.stack([p for _, p in bones.values()]) * d.height
    limbs = [
        side + part
        for side in ("left", "right")
        for part in ("Shoulder", "UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")
    ]
    roles = ["hips", "spine", "chest", "neck", "head", *limbs]
    return Character(
        name=f"procedural_{d.seed}_{d.costume}",
        bone_names=list(bones),
        parents=np.array([-1 if p is None else index[p] for p, _ in bones.values()], np.int32),
        rest=rest,
        humanoid={role: index[role] for role in roles},
        landmarks={k: (index[b], p * d.height) for k, (b, p) in head.landmarks().items()},
        appends=_helpers(index),
        secondary=motion.make(body, chains, index),
        twists={side + "Hand": index[side + "Forearm"] for side in ("left", "right")},
        **builder.arrays(index, d.height),
    )


def _add_head(builder: mesh.MeshBuilder, head: Head, style: hair.Hair) -> None:
    """Declares the skin materials; adds head, neck, face and hair."""
    d = head.body.d
    white = (1.0, 1.0, 1.0, 1.0)
    flat = {"ramp": textures.ramp("flat"), "outline": 0.0}
    skin = {"ramp": textures.ramp("skin"), "outline_color": textures.outline(d.skin, 0.42)}
    dark = tuple(c * s for c, s in zip(d.skin, (0.93, 0.74, 0.72), strict=True))
    shade = mix(d.skin, dark, 0.9)
    builder.material("skin", part="skin", color=(*d.skin, 1.0), **skin)
    builder.material("skin_shade", part="skin", color=(*shade, 1.0), **skin)
    builder.material("face", part="face", color=(*d.skin, 1.0), **skin)
    builder.material("face_shadow", part="face", color=(*shade, 1.0), **flat)
    builder.material("neck", part="skin", color=white, texture=textures.neck(d.skin, shade), **skin)
    builder.material("features", part="face", texture=face.texture(d), alpha_mode="blend", **flat)
    builder.material(
        "hair",
        part="hair",
        texture=hair.texture(d),
        ramp=textures.ramp("hair"),
        outline_color=textures.outline(d.hair_color),
    )
    # The cap is an open surface: seen from below it must be hair, not the dark inside of its outline.
    under = mix(d.hair_color, (0.10, 0.05, 0.15), 0.16)
    builder.material("hair_cap", part="hair", color=(*under, 1.0), double_sided=True, **flat)
    ear, hollow = head.ear()
    builder.add("face", head.skin())
    builder.add_pair("face", ear)
    builder.add_pair("skin_shade", hollow)
    builder.add("neck", head.neck())
    builder.add("features", *face.patches(head).values())
    builder.add("face_shadow", *style.shadows)
    builder.add("hair_cap", style.cap)
    builder.add("hair", *style.patches)


def _helpers(index: dict[str, int]) -> list[Append]:
    """Bones that take half of a joint's turn: two small bends keep the volume that one large bend loses."""
    halves = {"Elbow": "LowerArm", "Knee": "LowerLeg", "Deltoid": "UpperArm", "Thigh": "UpperLeg"}
    return [
        Append(index[side + helper], index[side + source], 0.5)
        for side in ("left", "right")
        for helper, source in halves.items()
    ]
