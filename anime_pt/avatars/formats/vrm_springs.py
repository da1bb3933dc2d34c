"""Spring bones of VRM files: which bones hang, and the colliders that stand for the body.

Sources: `VRM.secondaryAnimation` of 0.x (offsets in Unity's axes: Z points the other way), VRMC_springBone
1.0 and VRMC_springBone_extended_collider 1.0, whose planes and insides are not used. Nothing swings here:
hanging bones fall by `Character.hang` and stay out of the body by `drape`.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from anime_pt.avatars.formats.gltf import Gltf
from anime_pt.avatars.formats.gltf_fields import Fields
from anime_pt.avatars.formats.gltf_nodes import Nodes

_MOST = 1 << 9


class Collider(NamedTuple):
    """A capsule, or a sphere with equal ends: node, (2, 3) ends in the space of the scene, radius there.

    `passes` are the nodes of springs that do not name it.
    """

    node: int
    ends: np.ndarray
    radius: float
    passes: frozenset[int] = frozenset()


def _few(fields: Fields, key: str) -> list[Fields]:
    """A list of objects; raises FormatError if there are more than any character has."""
    out = fields.objects(key)
    if len(out) > _MOST:
        raise fields.error(key, f"are {len(out)}, at most {_MOST} can be read")
    return out


def hanging(file: Gltf, nodes: Nodes) -> list[int]:
    """Nodes that springs move, sorted."""
    return sorted({node for found, _ in _springs(file, nodes) for node in found})


def _springs(file: Gltf, nodes: Nodes) -> list[tuple[set[int], set[int]]]:
    """The nodes of each spring, and the collider groups that it meets."""
    count = len(nodes.fields)
    new, old = file.json.extension("VRMC_springBone"), file.json.extension("VRM")
    out = []
    if new is not None:
        groups = len(new.objects("colliderGroups"))
        for spring in _few(new, "springs"):
            joints = {joint.index("node", count) for joint in spring.objects("joints")}
            out.append((joints, set(spring.indices("colliderGroups", groups))))
    elif old is not None:
        secondary = old.object("secondaryAnimation")
        groups = len(secondary.objects("colliderGroups"))
        for spring in _few(secondary, "boneGroups"):
            found = set(spring.indices("bones", count))
            # Everything below the named bones swings with them.
            for node in nodes.order:
                if nodes.parents[node] in found:
                    found.add(node)
            out.append((found, set(spring.indices("colliderGroups", groups))))
    return out


def colliders(file: Gltf, nodes: Nodes) -> list[Collider]:
    """The colliders that keep things out."""
    count = len(nodes.fields)
    new, old = file.json.extension("VRMC_springBone"), file.json.extension("VRM")
    springs = _springs(file, nodes)
    everything = frozenset().union(*(found for found, _ in springs))
    out: list[Collider] = []
    if new is not None:
        shapes = _few(new, "colliders")
        groups = [set(g.indices("colliders", len(shapes))) for g in new.objects("colliderGroups")]
        for i, collider in enumerate(shapes):
            meets = (found for found, named in springs if any(i in groups[g] for g in named))
            passes = everything.difference(*meets)
            placed = _new(collider, collider.index("node", count), nodes)
            out.extend(c._replace(passes=passes) for c in placed)
    elif old is not None:
        for i, group in enumerate(_few(old.object("secondaryAnimation"), "colliderGroups")):
            passes = everything.difference(*(found for found, named in springs if i in named))
            node = group.index("node", count)
            for sphere in _few(group, "colliders"):
                x, y, z = (sphere.object("offset").number(axis, 0.0) for axis in "xyz")
                placed = _placed(node, nodes, [(x, y, -z)] * 2, sphere.number("radius", 0.0))
                out.append(placed._replace(passes=passes))
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
