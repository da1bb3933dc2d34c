"""Makes small VRMA files."""

import numpy as np

from tests.avatars import gltf_files
from tests.avatars.gltf_files import Glb


def animation(glb: Glb, tracks: list[tuple[int, str, list, list, str]]) -> Glb:
    """Adds one animation: (node, path, times, values, interpolation)."""
    samplers, channels = [], []
    for node, path, times, values, kind in tracks:
        channels.append({"sampler": len(samplers), "target": {"node": node, "path": path}})
        samplers.append({"input": glb.accessor(times), "output": glb.accessor(values), "interpolation": kind})
    glb.json["animations"] = [{"name": "wave", "samplers": samplers, "channels": channels}]
    return glb


def skeleton(rng: np.random.Generator | None, scale: float = 1.0) -> tuple[Glb, dict[str, int]]:
    glb = Glb()
    nodes = gltf_files.add_skeleton(glb, np.eye(3), rng, scale)
    bones = {role: {"node": node} for role, node in nodes.items()}
    glb.extension("VRMC_vrm_animation", {"specVersion": "1.0", "humanoid": {"humanBones": bones}})
    return glb, nodes
