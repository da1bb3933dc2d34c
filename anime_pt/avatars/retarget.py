"""A recorded motion on any character, whatever the rest poses, bone names and proportions of the two.

Both skeletons are first brought to one T pose in thought: arms along X, legs down, toes ahead. What a bone
has turned since then, globally, is what the character's bone of the same role turns, so limbs point where
they pointed. Roles that the recording lacks take a share of their neighbours' turns, by their place along
the spine. Lengths scale with the leg. Then legs are solved again, see `ground`, so that soles are as high
above the floor as in the recording, and feet that stood still stand still.

On MMD models, inverse kinematics of driven limbs is off, and twist bones take the twist of arms and wrists.
"""

import itertools
from collections.abc import Mapping

import numpy as np

from anime_pt.avatars import driving, expressions, ground, quaternions
from anime_pt.avatars.character import Character
from anime_pt.avatars.performance import KeyedPerformance
from anime_pt.avatars.recording import Recording, hierarchy

_SIDES = {"left": 1.0, "right": -1.0}
_SPINE = ("spine", "chest", "upperChest")
_LEG = ("UpperLeg", "LowerLeg", "Foot")
_LEFT, _UP = np.eye(3)[:2]


def _to_t_pose(rest: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Role -> (4,) smallest rotation from a rest pose to the T pose; the trunk stands in both."""
    out: dict[str, np.ndarray] = {}
    for side, sign in _SIDES.items():
        for chain, to in (
            (("UpperArm", "LowerArm", "Hand"), np.array([sign, 0.0, 0.0])),
            (_LEG, np.array([0.0, -1.0, 0.0])),
        ):
            turn = quaternions.IDENTITY
            for part, end in itertools.pairwise(chain):
                if side + part in rest and side + end in rest:
                    along = rest[side + end] - rest[side + part]
                    turn = quaternions.multiply(quaternions.swing(quaternions.rotate(turn, along), to), turn)
                out[side + part] = turn
        for role, above in hierarchy(rest).items():
            # Hands and fingers come along with the arm.
            if role.startswith(side) and role not in out and above in out and "Foot" not in role:
                out[role] = out[above]
        ahead = rest.get(side + "Toes", np.zeros(3)) - rest.get(side + "Foot", np.zeros(3))
        ahead = ahead * (1, 0, 1)
        if ahead[2] > 0:
            out |= dict.fromkeys((side + "Foot", side + "Toes"), quaternions.swing(ahead, [0.0, 0.0, 1.0]))
        else:
            out.pop(side + "Toes", None)
    return {role: out.get(role, quaternions.IDENTITY) for role in rest}


def _spread(turns: dict[str, np.ndarray], wanted: list[str]) -> dict[str, np.ndarray]:
    """Turns of the character's bones of the spine, by their place along it between hips and neck."""
    knots = [turns[role] for role in ("hips", *_SPINE) if role in turns]
    if len(knots) == 1:
        knots *= 2
    out = {}
    for i, role in enumerate(wanted):
        place = (i + 1) / len(wanted) * (len(knots) - 1)
        low = min(int(place), len(knots) - 2)
        out[role] = quaternions.slerp(knots[low], knots[low + 1], place - low)
    return out


def _turns(recording: Recording, rest: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Role of the character -> (t, 4) global turns since its own rest, by directions alone."""
    own, other = _to_t_pose(rest), _to_t_pose(recording.rest)
    since = {
        role: quaternions.multiply(turns, quaternions.inverse(other[role]))
        for role, turns in recording.rotations.items()
    }
    out = {role: turns for role, turns in since.items() if role in rest and role not in _SPINE}
    out |= _spread(since, [role for role in _SPINE if role in rest])
    if "neck" in rest and "neck" not in since and "head" in since:
        top = [r for r in ("hips", *_SPINE) if r in since][-1]
        out["neck"] = quaternions.slerp(since[top], since["head"], 0.5)
    return {role: quaternions.multiply(turns, own[role]) for role, turns in out.items()}


def _legs_scale(recording: Recording, rest: Mapping[str, np.ndarray]) -> tuple[float, float, bool]:
    """Lengths of the recording's and the character's leg, and whether the recording has legs."""

    def length(of: Mapping[str, np.ndarray]) -> float:
        legs = [[of[side + part] for part in _LEG] for side in _SIDES]
        return float(np.mean([np.linalg.norm(np.diff(leg, axis=0), axis=1).sum() for leg in legs]))

    if all(side + part in recording.rotations for side in _SIDES for part in _LEG):
        return length(recording.rest), length(rest), True
    return float(recording.rest["hips"][1]), float(rest["hips"][1]), False


def perform(recording: Recording, character: Character) -> KeyedPerformance:
    """Fits a recording to a character.

    Raises:
      ValueError: if the recording has no hips, or its legs or the character's have no length.
    """
    rest = {role: character.rest[bone, :3, 3] for role, bone in character.humanoid.items()}
    if "hips" not in recording.rotations or not recording.frames:
        raise ValueError(f"motion {recording.name!r}: it has no hips, so it cannot move a body")
    source_leg, leg, has_legs = _legs_scale(recording, rest)
    if min(source_leg, leg) < 1e-3:
        raise ValueError(f"motion {recording.name!r} on {character.name!r}: legs without length")
    scale = leg / source_leg
    turns = _turns(recording, rest)
    carriers = driving.carriers(character)
    humanoid, turned = character.humanoid, driving.turned_by(character)
    driven = {turned[role]: turn for role, turn in turns.items()}
    if len(carriers) == 1:
        # What stands beside the hips and the spine, such as a cape, turns with them.
        driven.setdefault(carriers[0], turns["hips"])
    for role, bone in character.twists.items():
        side = "left" if role.startswith("left") else "right"
        whole = role if role.endswith("Hand") else side + "UpperArm"
        if whole in turns:
            driven[bone] = turns[whole]
    sockets = [humanoid[side + "UpperLeg"] for side in _SIDES]
    places = driving.Body(character, driven, sockets).places
    moves = _hips_goal(recording, rest, scale, has_legs) - (places[sockets[0]] + places[sockets[1]]) / 2
    if has_legs:
        hips = np.stack([places[bone] for bone in sockets]) + moves
        moves[:, 1] -= _ground_legs(recording, character, turns, hips, source_leg, leg)
        driven |= {turned[side + part]: turns[side + part] for side in _SIDES for part in _LEG}
    # Where a model has no toes, the role may be a goal or a tip: turning that would do nothing, or harm.
    toes = {turned[side + "Toes"] for side in _SIDES if side + "Toes" in turned}
    toes &= {bone for i in character.iks for bone in (i.goal, i.effector)}
    driven = {bone: turn for bone, turn in driven.items() if bone not in toes}
    body = driving.Body(character, driven, driven)
    bones = np.array(sorted(driven))
    return KeyedPerformance(
        recording.fps,
        bones,
        np.stack([body.locals[b] for b in bones], 1),
        np.array(carriers),
        moves,
        expressions.renamed(recording.morphs, [m.name for m in character.morphs]),
        np.array([not any(link.bone in driven for link in i.links) for i in character.iks], bool),
        len(character.parents),
    )


def _middle(of: Mapping[str, np.ndarray]) -> np.ndarray:
    return (of["leftUpperLeg"] + of["rightUpperLeg"]) / 2


def _half_width(of: Mapping[str, np.ndarray]) -> float:
    return float(np.linalg.norm(of["leftUpperLeg"] - of["rightUpperLeg"])) / 2


def _hips_goal(
    recording: Recording, rest: Mapping[str, np.ndarray], scale: float, has_legs: bool
) -> np.ndarray:
    """(t, 3) where the middle between the hip joints should be, before legs are solved."""
    if not has_legs:
        return _middle(rest) + scale * (recording.hips - recording.rest["hips"])
    offset = _middle(recording.rest) - recording.rest["hips"]
    goal = scale * (recording.hips + quaternions.rotate(recording.rotations["hips"], offset))
    # Ankles of different heights above the sole, such as heels, lift the whole body.
    ankle = lambda of: (of["leftFoot"][1] + of["rightFoot"][1]) / 2
    goal[:, 1] += ankle(rest) - scale * ankle(recording.rest)
    return goal


def _ground_legs(
    recording: Recording,
    character: Character,
    turns: dict[str, np.ndarray],
    hips: np.ndarray,
    source_leg: float,
    leg: float,
) -> np.ndarray:
    """Solves the legs, changing `turns` of thighs and shins in place.

    Args:
      recording, character: as of `perform`.
      turns: role -> (t, 4) global turns since rest.
      hips: (2, t, 3) hip joints.
      source_leg, leg: lengths in metres.

    Returns:
      (t,) metres by which the hips sink.
    """
    scale, source = leg / source_leg, recording.positions()
    rest = {role: character.rest[bone, :3, 3] for role, bone in character.humanoid.items()}
    own = _to_t_pose(rest)
    goals, bearing, straight = [], [], []
    for side, sign in _SIDES.items():
        foot, place = side + "Foot", source[side + "Foot"]
        theirs = ground.guessed_sole(recording.rest[foot], recording.rest.get(side + "Toes"), source_leg)
        ours = ground.sole(character, side, leg)
        low, rolled = ground.lowest(recording.rotations[foot], theirs)
        our_low, our_rolled = ground.lowest(turns[foot], ours)
        height = scale * (place[:, 1] + low)
        stands = ground.stands(height, leg)[:, None]
        standing = scale * (place + rolled) - our_rolled
        standing[:, 1] = height - our_low
        flying = scale * (place - recording.rest[foot] * _UP) + rest[foot] * _UP
        # Wide hips stand wide. Along the foot's own side a standing foot stays, though the hips turn.
        wider = sign * (_half_width(rest) - scale * _half_width(recording.rest))
        heading = quaternions.multiply(turns[foot], quaternions.inverse(own[foot]))
        standing += wider * quaternions.rotate(quaternions.twist(heading, _UP), _LEFT)
        flying += wider * quaternions.rotate(recording.rotations["hips"], _LEFT)
        goal = stands * standing + (1.0 - stands) * flying
        # What is added to the recorded path must not shake; 0.04 s are too short to be seen as sliding.
        extra = [ground.smooth(x, 0.04 * recording.fps) for x in (goal - scale * place).T]
        goals.append(scale * place + np.stack(extra, 1))
        bearing.append(stands[:, 0])
        straight.append(np.linalg.norm(place - source[side + "UpperLeg"], axis=1) / source_leg)
    drop = ground.hip_drop(hips, np.stack(goals), np.stack(bearing), leg, np.stack(straight))
    drop = ground.smooth(drop, 0.1 * recording.fps)
    for i, side in enumerate(_SIDES):
        upper, lower, foot = (side + part for part in _LEG)
        to_t = quaternions.multiply(turns[upper], quaternions.inverse(own[upper]))
        hip = hips[i] - drop[:, None] * _UP
        turns[upper], turns[lower] = ground.reach(
            turns[upper],
            turns[lower],
            rest[lower] - rest[upper],
            rest[foot] - rest[lower],
            quaternions.rotate(to_t, _LEFT),
            goals[i] - hip,
            straight[i],
        )
    return drop
