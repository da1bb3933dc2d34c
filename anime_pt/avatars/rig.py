"""Forward kinematics: from a pose and a `Character` to the global transforms of its bones.

A `BonePose` is solved in `deform`, a `Pose` here. Everything is computed as the change against the rest pose,
in character space, so bone axes, rest poses (T or A) and the order of bones in the file do not matter. Limbs
swing to target directions from fixed reference directions, which keeps their twist free of jumps. Helper
bones follow MMD's append rule (PMX 2.0/2.1 format notes, 付与): own rotation, then the source's by a ratio.
"""

import dataclasses

import numba
import numpy as np

from anime_pt.avatars import constraints, deform, rotations, sdef
from anime_pt.avatars.bone_pose import BonePose
from anime_pt.avatars.character import Character
from anime_pt.avatars.poses import LIMBS, REFERENCE, SPINE, Pose

# How a bone gets its rotation.
_INHERIT, _ABSOLUTE, _UPPER, _FOLLOW, _TWIST, _HINGE, _CLAVICLE = range(7)
# Share of the arm's swing that the clavicle makes.
_CLAVICLE_SHARE = 0.12
_MIRROR = np.array([-1.0, 1.0, 1.0])


@dataclasses.dataclass(frozen=True)
class _Plan:
    """What posing needs from a character, computed once.

    Attributes:
      order: (b,) bones so that parents and append sources come first.
      kinds: (b,) how each bone is solved.
      rows: (b,) which target direction, rotation or twist of the pose it takes; see `_targets`.
      rest_directions: (b, 3) unit, of the limb at rest.
      references: (b, 3) unit, where its swing starts.
      append_sources, append_ratios, append_local: (b,) -1 for none.
      hang: (b,) share of tilt to cancel.
      pivots: (b, 3) rest positions.
      leg_length: metres.
    """

    order: np.ndarray
    kinds: np.ndarray
    rows: np.ndarray
    rest_directions: np.ndarray
    references: np.ndarray
    append_sources: np.ndarray
    append_ratios: np.ndarray
    append_local: np.ndarray
    hang: np.ndarray
    pivots: np.ndarray
    leg_length: float


def _direction(character: Character, start: str, end: str, fallback: np.ndarray) -> np.ndarray:
    roles = character.humanoid
    if start in roles and end in roles:
        d = character.rest[roles[end], :3, 3] - character.rest[roles[start], :3, 3]
        if np.linalg.norm(d) > 1e-6:
            return d / np.linalg.norm(d)
    return fallback


def _plan(character: Character) -> _Plan:
    if "rig" in character.derived:
        return character.derived["rig"]
    count, roles = len(character.parents), character.humanoid
    kinds, rows = np.zeros(count, np.int32), np.zeros(count, np.int32)
    rest_directions, references = np.zeros((count, 3)), np.zeros((count, 3))
    for i, role in enumerate(SPINE):
        if role in roles:
            kinds[roles[role]], rows[roles[role]] = _ABSOLUTE, i
    for i, role in enumerate(LIMBS):
        bone, side = roles[role], "left" if role.startswith("left") else "right"
        sign = _MIRROR if side == "right" else np.ones(3)
        part = role.removeprefix(side)
        end = {"UpperArm": "LowerArm", "LowerArm": "Hand", "UpperLeg": "LowerLeg", "LowerLeg": "Foot"}[part]
        down = np.array([0.0, -1.0, 0.0])
        rest_directions[bone] = _direction(character, role, side + end, down)
        kinds[bone], rows[bone] = (_UPPER if part in REFERENCE else _FOLLOW), i
        if part in REFERENCE:
            references[bone] = sign * REFERENCE[part]
    for i, side in enumerate(("left", "right")):
        arm, lower, hand, foot = (roles[side + p] for p in ("UpperArm", "LowerArm", "Hand", "Foot"))
        kinds[hand], rows[hand] = _FOLLOW, 8 + i
        rest_directions[hand] = rest_directions[lower]
        kinds[foot], rows[foot] = _FOLLOW, 10 + i
        forward = _direction(character, side + "Foot", side + "Toes", np.array([0.0, 0.0, 1.0]))
        forward = forward * np.array([1.0, 0.0, 1.0])  # The sole lies flat at rest, whatever the heel.
        rest_directions[foot] = rotations.unit(forward if forward[2] > 0.1 else np.array([0.0, 0.0, 1.0]))
        if side + "Hand" in character.twists:
            bone = character.twists[side + "Hand"]
            kinds[bone], rows[bone], rest_directions[bone] = _TWIST, i, rest_directions[lower]
        if side + "LowerArm" in character.twists:
            bone = character.twists[side + "LowerArm"]
            kinds[bone], rows[bone], rest_directions[bone] = _HINGE, i, rest_directions[arm]
        if side + "Shoulder" in roles:
            bone = roles[side + "Shoulder"]
            kinds[bone], rows[bone], references[bone] = _CLAVICLE, i, references[arm]
    sources, ratios = np.full(count, -1, np.int32), np.zeros(count)
    local = np.zeros(count, np.bool_)
    for append in character.appends:
        if append.rotates and kinds[append.bone] == _INHERIT:
            sources[append.bone], ratios[append.bone] = append.source, append.ratio
            local[append.bone] = append.local
    hang = np.zeros(count)
    for bone, share in character.hang.items():
        hang[bone] = share
    pivots = np.ascontiguousarray(character.rest[:, :3, 3], np.float64)
    legs = [
        np.linalg.norm(pivots[roles[s + "UpperLeg"]] - pivots[roles[s + "Foot"]]) for s in ("left", "right")
    ]
    plan = _Plan(
        deform.ordered(np.asarray(character.parents), sources),
        kinds,
        rows,
        rest_directions,
        references,
        sources,
        ratios,
        local,
        hang,
        pivots,
        float(np.mean(legs)),
    )
    character.derived["rig"] = plan
    return plan


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _solve(
    order,
    parents,
    kinds,
    rows,
    rest_directions,
    references,
    append_sources,
    append_ratios,
    append_local,
    hang,
    pivots,
    spine,
    directions,
    twists,
    twist_at_hand,
    root,
):
    """(b, 3, 4) changes of the bones against rest."""
    count = len(parents)
    changes = np.zeros((count, 3, 4))
    own = np.zeros((count, 3, 3))
    solved = np.zeros(count, np.bool_)
    identity = np.eye(3)
    for k in range(count):
        bone = order[k]
        parent = parents[bone]
        has_parent = parent >= 0 and solved[parent]
        base = changes[parent, :, :3].copy() if has_parent else identity
        kind, row = kinds[bone], rows[bone]
        turn = base
        if kind == _ABSOLUTE:
            turn = spine[row]
        elif kind == _UPPER:
            wanted = rotations.unapply(base, directions[row])
            turn = rotations.compose(
                base,
                rotations.compose(
                    rotations.swing(references[bone], wanted),
                    rotations.swing(rest_directions[bone], references[bone]),
                ),
            )
        elif kind == _FOLLOW:
            target = directions[row]
            if rotations.dot(target, target) > 1e-6:
                now = rotations.apply(base, rest_directions[bone])
                turn = rotations.compose(rotations.swing(now, target), base)
            if (row == 8 or row == 9) and twist_at_hand[row - 8]:
                axis = rotations.apply(base, rest_directions[bone])
                turn = rotations.compose(rotations.about(axis, twists[row - 8]), turn)
        elif kind == _TWIST:
            axis = rotations.apply(base, rest_directions[bone])
            turn = rotations.compose(rotations.about(axis, twists[row]), base)
        elif kind == _HINGE:
            # Turns the elbow's own axis into the plane in which the arm bends, where it bends at all.
            upper, lower = rotations.unit(directions[row]), rotations.unit(directions[row + 2])
            wanted = rotations.cross(upper, lower)
            bend = np.sqrt(rotations.dot(wanted, wanted))
            forward = np.zeros(3)
            forward[2] = 1.0
            axis = rotations.apply(base, rotations.unit(rotations.cross(rest_directions[bone], forward)))
            angle = np.arctan2(
                rotations.dot(rotations.cross(axis, wanted), upper), rotations.dot(axis, wanted)
            )
            share = min(1.0, max(0.0, (bend - 0.2) / 0.4))
            angle = min(1.4, max(-1.4, angle)) * share * share * (3.0 - 2.0 * share)
            turn = rotations.compose(rotations.about(upper, angle), base)
        elif kind == _CLAVICLE:
            wanted = rotations.unapply(base, directions[row])
            raised = rotations.swing(references[bone], wanted)
            turn = rotations.compose(base, rotations.fraction(raised, _CLAVICLE_SHARE))
        source = append_sources[bone]
        if source >= 0 and solved[source]:
            copied = changes[source, :, :3].copy() if append_local[bone] else own[source]
            turn = rotations.compose(turn, rotations.fraction(copied, append_ratios[bone]))
        if hang[bone] > 0.0:
            upright = rotations.heading(turn)
            tilt = np.ascontiguousarray(upright.T)
            tilt = rotations.compose(turn, tilt)
            turn = rotations.compose(rotations.fraction(tilt, 1.0 - hang[bone]), upright)
        pivot = pivots[bone]
        place = np.empty(3)
        for i in range(3):
            if has_parent:
                m = changes[parent, i]
                place[i] = m[0] * pivot[0] + m[1] * pivot[1] + m[2] * pivot[2] + m[3]
            else:
                place[i] = pivot[i] + root[i]
        moved = rotations.apply(turn, pivot)
        for i in range(3):
            for j in range(3):
                changes[bone, i, j] = turn[i, j]
                own[bone, i, j] = base[0, i] * turn[0, j] + base[1, i] * turn[1, j] + base[2, i] * turn[2, j]
            changes[bone, i, 3] = place[i] - moved[i]
        solved[bone] = True
    return changes


def pose(character: Character, pose: Pose | BonePose | None) -> np.ndarray:
    """Global transforms (b, 4, 4) float64 of all bones, bone to character space.

    Args:
      character: whose bones.
      pose: of any body, or of this character's own bones; None gives the rest pose.
    """
    if pose is None:
        return character.rest.astype(np.float64)
    globals_ = deform.globals_of(character, pose) if isinstance(pose, BonePose) else _limbs(character, pose)
    globals_ = constraints.apply(character, globals_)
    return globals_ if character.secondary is None else character.secondary(character, globals_)


def _limbs(character: Character, pose: Pose) -> np.ndarray:
    """(b, 4, 4) of a pose that says where limbs point."""
    plan = _plan(character)
    spine = np.empty((5, 3, 3))
    frame = np.eye(3)
    for i, vector in enumerate(pose.spine):
        frame = rotations.compose(frame, rotations.from_vector(vector))
        spine[i] = frame
    if "chest" not in character.humanoid:
        spine[1] = spine[2]
    directions = np.concatenate([pose.limbs, pose.hands, pose.feet])
    at_hand = np.array([side + "Hand" not in character.twists for side in ("left", "right")])
    changes = _solve(
        plan.order,
        np.ascontiguousarray(character.parents, np.int32),
        plan.kinds,
        plan.rows,
        plan.rest_directions,
        plan.references,
        plan.append_sources,
        plan.append_ratios,
        plan.append_local,
        plan.hang,
        plan.pivots,
        spine,
        directions,
        pose.twists,
        at_hand,
        pose.root * plan.leg_length,
    )
    globals_ = np.zeros((len(changes), 4, 4))
    globals_[:, :3] = changes @ character.rest
    globals_[:, 3, 3] = 1.0
    return globals_


def inverse_rest(character: Character) -> np.ndarray:
    """(b, 4, 4) character to bone space at rest."""
    if "inverse_rest" not in character.derived:
        character.derived["inverse_rest"] = np.linalg.inv(character.rest)
    return character.derived["inverse_rest"]


def skinning_matrices(character: Character, globals_: np.ndarray) -> np.ndarray:
    """Transforms (b + n, 3, 4) float64 that take rest positions of vertices to posed ones.

    Those of the bones, then those of the n vertices that are skinned spherically; `sdef.influences` says
    which vertex follows which.
    """
    if globals_.shape != character.rest.shape:
        raise ValueError(f"globals of shape {globals_.shape} for a rig of {character.rest.shape}")
    return sdef.with_transforms(character, (globals_ @ inverse_rest(character))[:, :3])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _skin(positions, joints, weights, matrices, out):
    for i in range(len(positions)):
        x, y, z = positions[i, 0], positions[i, 1], positions[i, 2]
        for r in range(3):
            total = np.float32(0.0)
            for k in range(4):
                w = weights[i, k]
                if w != 0.0:
                    m = matrices[joints[i, k], r]
                    total += w * (m[0] * x + m[1] * y + m[2] * z + m[3])
            out[i, r] = total


def skin(character: Character, globals_: np.ndarray, positions: np.ndarray | None = None) -> np.ndarray:
    """Posed positions (v, 3) float32 of the vertices, from those at rest or from the given ones (v, 3)."""
    character.check()
    positions = character.positions if positions is None else positions
    out = np.empty((len(character.positions), 3), np.float32)
    matrices = np.ascontiguousarray(skinning_matrices(character, globals_), np.float32)
    _skin(positions, *sdef.influences(character), matrices, out)
    return out
