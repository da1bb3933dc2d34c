"""Reads VRMC_node_constraint 1.0."""

import dataclasses
from collections.abc import Mapping

from anime_pt.avatars.character import Constraint
from anime_pt.avatars.formats.gltf_nodes import Nodes

_AXES = {
    sign + name: tuple(value * float(name == other) for other in "XYZ")
    for sign, value in (("", 1.0), ("Positive", 1.0), ("Negative", -1.0))
    for name in "XYZ"
}
_MAX_CONSTRAINTS = 1 << 10
_AXIS_KEYS = {"roll": "rollAxis", "aim": "aimAxis"}


def read(nodes: Nodes) -> list[Constraint]:
    """The constraints of a file, between nodes.

    Raises:
      FormatError: for an unknown axis, a node that follows itself, or too many.
    """
    out = []
    for node, fields in enumerate(nodes.fields):
        extension = fields.extension("VRMC_node_constraint")
        if extension is None:
            continue
        options = extension.object("constraint")
        for kind in ("roll", "aim", "rotation"):
            if kind not in options:
                continue
            values = options.object(kind)
            source = values.index("source", len(nodes.fields))
            if source == node:
                raise values.error("source", "is the node itself")
            axis = "Y" if kind == "rotation" else values.text(_AXIS_KEYS[kind])
            if axis not in _AXES:
                raise values.error(_AXIS_KEYS[kind], f"is {axis[:20]!r}, which is no axis")
            weight = min(max(values.number("weight", 1.0), 0.0), 1.0)
            if len(out) == _MAX_CONSTRAINTS:
                raise values.error("source", f"is one of more than {_MAX_CONSTRAINTS} constraints")
            out.append(Constraint(node, source, kind, _AXES[axis], weight))
            break
    return out


def renumbered(constraint: Constraint, bones: Mapping[int, int]) -> Constraint:
    """The same between bones, given node -> bone."""
    return dataclasses.replace(constraint, bone=bones[constraint.bone], source=bones[constraint.source])
