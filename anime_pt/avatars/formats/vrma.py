"""Motions from .vrma files (VRMC_vrm_animation 1.0), and from animations of humanoids in .vrm, .glb, .gltf.

Local rotations of nodes become global changes against rest, so neither the axes that the skeleton gives its
bones at rest nor bones between those with roles matter. Expressions are the X of a node's translation.
"""

import os

import numpy as np

from anime_pt.avatars import quaternions
from anime_pt.avatars.formats import gltf_animation, gltf_nodes, vrm_humanoid, vrm_space
from anime_pt.avatars.formats.binary import FormatError
from anime_pt.avatars.formats.gltf import Gltf
from anime_pt.avatars.formats.gltf_animation import Clip
from anime_pt.avatars.formats.gltf_fields import Fields
from anime_pt.avatars.formats.gltf_nodes import Nodes
from anime_pt.avatars.recording import PARENTS, Recording

SUFFIXES = (".vrma", ".glb", ".gltf", ".vrm")
_FPS = 30.0


def read(path: str | os.PathLike) -> Recording:
    """Reads the first animation of a file, at 30 frames per second.

    Raises:
      FileNotFoundError: if there is no such file.
      FormatError: (a ValueError) if it is damaged, holds no animation, or that of no humanoid.
    """
    file = Gltf(path)
    nodes = gltf_nodes.read(file)
    animation = file.json.extension("VRMC_vrm_animation")
    if animation is not None:
        bones = animation.object("humanoid").named("humanBones")
        roles = {
            role: bone.index("node", len(nodes.fields)) for role, bone in bones.items() if role in PARENTS
        }
        roles["hips"] = bones["hips"].index("node", len(nodes.fields)) if "hips" in bones else -1
        if roles["hips"] < 0:
            raise FormatError(f"{file.path}: its skeleton has no hips")
        space = vrm_space.IDENTITY
    else:
        named = vrm_humanoid.find(file, nodes, range(len(nodes.fields)))
        roles = {role: node for role, node in named.items() if role in PARENTS or role == "hips"}
        space = vrm_space.of(file, nodes, roles)
    clip = gltf_animation.read(file, len(nodes.fields), _FPS)
    turns = {}
    for role, node in roles.items():
        change = quaternions.multiply(
            _global_turn(node, nodes, clip), quaternions.inverse(_global_turn(node, nodes, None))
        )
        turn = quaternions.from_matrix(space.turn)
        change = quaternions.multiply(quaternions.multiply(turn, change), quaternions.inverse(turn))
        turns[role] = np.broadcast_to(change, (clip.frames, 4)).copy()
    hips = space.points(_global_matrix(roles["hips"], nodes, clip)[..., :3, 3])
    return Recording(
        name=clip.name,
        fps=_FPS,
        rest={role: space.points(nodes.globals_[node, :3, 3]) for role, node in roles.items()},
        rotations=turns,
        hips=np.broadcast_to(hips, (clip.frames, 3)).copy(),
        morphs=_expressions(animation, nodes, clip) if animation is not None else {},
    )


def _global_turn(node: int, nodes: Nodes, clip: Clip | None) -> np.ndarray:
    """Global rotation of a node, (t, 4), or (4,) if nothing above it moves; at rest without a clip."""
    out = quaternions.IDENTITY
    while node >= 0:
        own = nodes.rotations[node]
        if clip is not None:
            own = clip.tracks.get((node, "rotation"), own)
        out = quaternions.multiply(own, out)
        node = nodes.parents[node]
    return out


def _global_matrix(node: int, nodes: Nodes, clip: Clip) -> np.ndarray:
    """Global transform of a node, (t, 4, 4), or (4, 4) if nothing above it moves."""
    out = np.eye(4)
    while node >= 0:
        tracks = [clip.tracks.get((node, path)) for path in ("translation", "rotation", "scale")]
        own = nodes.locals_[node]
        if any(track is not None for track in tracks):
            rest = nodes.translations[node], nodes.rotations[node], nodes.scales[node]
            own = gltf_nodes.matrix(*(r if t is None else t for t, r in zip(tracks, rest, strict=True)))
        out = own @ out
        node = nodes.parents[node]
    return out


def _expressions(animation: Fields, nodes: Nodes, clip: Clip) -> dict[str, np.ndarray]:
    expressions = animation.object("expressions")
    out = {}
    for group in ("preset", "custom"):
        for name, fields in expressions.named(group).items():
            track = clip.tracks.get((fields.index("node", len(nodes.fields)), "translation"))
            if track is not None:
                out[name] = track[:, 0].clip(0, 1)
    return out
