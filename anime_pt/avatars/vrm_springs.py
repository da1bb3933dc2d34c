"""Spring bones of VRM files: which bones hang, and the colliders that stand for the body.

Sources: `VRM.secondaryAnimation` of 0.x (offsets in Unity's axes: Z points the other way), VRMC_springBone
1.0 and VRMC_springBone_extended_collider 1.0, whose planes and insides are not used. Nothing swings here:
hanging bones fall by `Character.hang` and stay out of the body by `drape`.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from anime_pt.avatars.gltf import Gltf
from anime_pt.avatars.gltf_fields import Fields
from anime_pt.avatars.gltf_nodes import Nodes


class Collider(NamedTuple):
    """A capsule, or a sphere with equal ends: node, (2, 3) ends in the space of the scene, radius there."""

    node: int
    ends: np.ndarray
    radius: float


def hanging(file: Gltf, nodes: Nodes) -> list[int]:
    """Nodes that springs move, sorted."""
    count = len(nodes.fields)
    new, old = file.json.extension("VRMC_springBone"), file.json.extension("VRM")
    found: set[int] = set()
    if new is not None:
        for spring in new.objects("springs"):
            found.update(joint.index("node", count) for joint in spring.objects("joints"))
    elif old is not None:
        # Everything below the named bones swings with them.
        for group in old.object("secondaryAnimation").objects("boneGroups"):
            found.update(group.indices("bones", count))
        for node in nodes.order:
            if nodes.parents[node] in found:
                found.add(node)
    return sorted(found)


def colliders(file: Gltf, nodes: Nodes) -> list[Collider]:
    """The colliders that keep things out."""
    count = len(nodes.fields)
    new, old = file.json.extension("VRMC_springBone"), file.json.extension("VRM")
    out: list[Collider] = []
    if new is not None:
        for collider in new.objects("colliders"):
            out.extend(_new(collider, collider.index("node", count), nodes))
    elif old is not None:
        for group in old.object("secondaryAnimation").objects("colliderGroups"):
            node = group.index("node", count)
            for sphere in group.objects("colliders"):
                x, y, z = (sphere.object("offset").number(axis, 0.0) for axis in "xyz")
                out.append(_placed(node, nodes, [(x, y, -z)] * 2, sphere.number("radius", 0.0)))
    return [c for c in out if c.radius > 0]


def _new(collider: Fields, node: int, nodes: Nodes) -> Iterator[Collider]:
    extended = collider.extension("VRMC_springBone_extended_collider")
    shape = (extended or collider).object("shape")
    zero = (0.0, 0.0, 0.0)
    for kind, far_end in (("sphere", "offset"), ("capsule", "tail")):
        values = shape.object(kind)
        if kind in shape and not values.flag("inside", False):
            ends = [values.numbers(key, 3, zero) for key in ("offset", far_end)]
            yield _placed(node, nodes, ends, values.number("radius", 0.0))


def _placed(node: int, nodes: Nodes, ends: list[tuple[float, ...]], radius: float) -> Collider:
    matrix = nodes.globals_[node]
    scale = float(np.linalg.norm(matrix[:3, :3], axis=0).max())
    return Collider(node, np.array(ends) @ matrix[:3, :3].T + matrix[:3, 3], abs(radius) * scale)
