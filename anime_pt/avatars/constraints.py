"""Bones that follow others: the roll, aim and rotation constraints of VRMC_node_constraint 1.0.

The specification works with local rotations in the axes that nodes have at rest. Here bones have changes
against rest, from which those follow: with rest rotations R of a bone and P of its parent, and changes C and
D of these, the local rotation is (D P)^-1 C R, and that at rest is P^-1 R.
"""

import numpy as np

from anime_pt.avatars import quaternions
from anime_pt.avatars.character import Character, Constraint


def order(constraints: list[Constraint], parents: np.ndarray) -> list[Constraint]:
    """Constraints so that each comes after those that move its source or an ancestor of either bone.

    A circle, which the specification forbids, is cut where it closes.
    """
    own = {c.bone: c for c in constraints}
    out: list[Constraint] = []
    state: dict[int, int] = {}
    for first in own:
        stack = [first]
        while stack:
            bone = stack[-1]
            if state.get(bone, 0):
                stack.pop()
                if state[bone] == 1:
                    state[bone] = 2
                    out.append(own[bone])
                continue
            state[bone] = 1
            for start in (own[bone].source, int(parents[bone])):
                above, steps = start, 0
                while above >= 0 and steps <= len(parents):
                    if above in own and not state.get(above, 0):
                        stack.append(above)
                    above, steps = int(parents[above]), steps + 1
    return out


def apply(character: Character, globals_: np.ndarray) -> np.ndarray:
    """Globals (b, 4, 4) of the bones after their constraints; the same array if there are none.

    Bones below a constrained one go along. Constrained bones keep their place in their parent.
    """
    if not character.constraints:
        return globals_
    if "constraints" not in character.derived:
        ordered = order(character.constraints, character.parents)
        character.derived["constraints"] = ordered, *_preorder(character.parents)
    ordered, preorder, starts, ends = character.derived["constraints"]
    out = np.array(globals_, np.float64)
    for constraint in ordered:
        turn = _turn(character, out, constraint)
        pivot = out[constraint.bone, :3, 3].copy()
        bones = preorder[starts[constraint.bone] : ends[constraint.bone]]
        out[bones, :3, :3] = turn @ out[bones, :3, :3]
        out[bones, :3, 3] = (out[bones, :3, 3] - pivot) @ turn.T + pivot
    return out


def _preorder(parents: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bones so that each is followed by all that is below it, and where in this list that begins and ends."""
    count = len(parents)
    children: list[list[int]] = [[] for _ in range(count)]
    for bone, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(bone)
    preorder, starts, ends = [], np.zeros(count, int), np.zeros(count, int)
    stack = [bone for bone in range(count) if parents[bone] < 0]
    while stack:
        bone = stack.pop()
        if bone < 0:
            ends[~bone] = len(preorder)
            continue
        starts[bone] = len(preorder)
        preorder.append(bone)
        stack += [~bone, *children[bone]]
    return np.array(preorder, int), starts, ends


def _locals(character: Character, globals_: np.ndarray, bone: int) -> tuple[np.ndarray, np.ndarray]:
    """Local rotations of a bone at rest and now, as quaternions."""
    parent = int(character.parents[bone])
    rotations = np.stack([character.rest[bone, :3, :3], globals_[bone, :3, :3]])
    if parent >= 0:
        above = np.stack([character.rest[parent, :3, :3], globals_[parent, :3, :3]])
        rotations = above.transpose(0, 2, 1) @ rotations
    rest, now = quaternions.from_matrix(rotations)
    return rest, now


def _turn(character: Character, globals_: np.ndarray, constraint: Constraint) -> np.ndarray:
    """(3, 3) the global rotation by which a bone must turn about its place."""
    bone, source = constraint.bone, constraint.source
    parent = int(character.parents[bone])
    above = globals_[parent, :3, :3] if parent >= 0 else np.eye(3)
    rest, _ = _locals(character, globals_, bone)
    if constraint.kind == "aim":
        upright = above @ quaternions.to_matrix(rest)
        towards = globals_[source, :3, 3] - globals_[bone, :3, 3]
        turned = quaternions.to_matrix(quaternions.swing(upright @ np.array(constraint.axis), towards))
        target = quaternions.from_matrix(above.T @ turned @ upright)
    else:
        source_rest, source_now = _locals(character, globals_, source)
        change = quaternions.multiply(quaternions.inverse(source_rest), source_now)
        if constraint.kind == "roll":
            # From the source's own axes to its parent's, and from there to those of the bone.
            to_bone = quaternions.multiply(quaternions.inverse(rest), source_rest)
            change = quaternions.multiply(quaternions.multiply(to_bone, change), quaternions.inverse(to_bone))
            axis = np.array(constraint.axis)
            swing = quaternions.swing(axis, quaternions.rotate(change, axis))
            change = quaternions.multiply(quaternions.inverse(swing), change)
        target = quaternions.multiply(rest, change)
    wanted = above @ quaternions.to_matrix(quaternions.slerp(rest, target, constraint.weight))
    return wanted @ globals_[bone, :3, :3].T
