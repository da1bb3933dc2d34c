"""What a BVH file leaves open: units, axes, facing, floor and the rest pose; then it is a `Recording`.

Everything is found from the figure. Up is the axis along which it stands; the motion starts above the origin
and faces +Z; the unit is the one that puts the hips at human height; the floor is where feet stand, also if
that drifts.

If the offsets show a person who stands with straight arms (T, A or hanging), that is the rest pose. Others
are degenerate, such as all bones along one axis. Then a T pose is made up: limbs point where they should,
elbows and knees give the twist (the plane in which they bend over the clip), feet are flat where they stand,
and other bones take their mean against the bone before.
"""

import itertools
import os
from collections.abc import Mapping

import numpy as np

from anime_pt.avatars import ground, quaternions
from anime_pt.avatars.formats import bvh, bvh_humanoid
from anime_pt.avatars.formats.binary import FormatError
from anime_pt.avatars.recording import Recording, hierarchy

_X, _Y, _Z = np.eye(3)
_SIDES = {"left": 1.0, "right": -1.0}
_UNITS = (1.0, 0.01, 0.0254, 0.001, 0.3048)
_HIPS = 0.9  # Usual height of an adult's hips in metres.
# Height of the lowest joint of a standing foot above the sole, in leg lengths: toes, else the ankle.
_TOE_HEIGHT, _ANKLE_HEIGHT = 0.02, 0.09


class _Clip:
    """A file by roles: places and turns over time, in the file's space."""

    def __init__(self, file: bvh.BvhFile):
        places, turns = file.transforms
        ends = list(file.ends)
        tips = [places[:, j] + quaternions.rotate(turns[:, j], file.ends[j]) for j in ends]
        everything = np.stack([*places.swapaxes(0, 1), *tips], 1)
        some = np.linspace(0, len(places) - 1, min(len(places), 60)).astype(int)
        self.roles = bvh_humanoid.roles(
            [*file.joints, *("" for _ in ends)], np.append(file.parents, ends), everything[some], file.path
        )
        self.rest = {role: file.rest[j] for role, j in self.roles.items()}
        self.places = {role: places[:, j] for role, j in self.roles.items()}
        self.turns = {role: turns[:, j] for role, j in self.roles.items()}
        self.parents = hierarchy(self.roles)
        self.top = next(r for r in ("upperChest", "chest", "spine", "hips") if r in self.roles)

    def local(self, role: str, vectors: np.ndarray) -> np.ndarray:
        """Mean over time, seen from the bone, of (t, 3) vectors of file space."""
        return quaternions.rotate(quaternions.inverse(self.turns[role]), vectors).mean(0)

    def offset(self, role: str, child: str) -> np.ndarray:
        """(3,) where another joint is, seen from the bone."""
        return self.local(role, self.places[child] - self.places[role])


def _between(of: dict[str, np.ndarray], part: str) -> np.ndarray:
    return (of["left" + part] + of["right" + part]) / 2


def _apart(of: dict[str, np.ndarray], part: str) -> np.ndarray:
    return of["left" + part] - of["right" + part]


def _snapped(v: np.ndarray) -> np.ndarray:
    """The coordinate axis, with its sign, that is nearest to a vector."""
    return np.sign(v[np.abs(v).argmax()]) * np.eye(3)[np.abs(v).argmax()]


def _facing(up: np.ndarray, left: np.ndarray) -> np.ndarray:
    """(4,) rotation that takes `up` to +Y and `left`, as far as it is across, to +X."""
    left = quaternions.unit(left - (left @ up) * up)
    return quaternions.from_matrix(np.stack([left, up, np.cross(left, up)]))


def _aligned(a: np.ndarray, to_a: np.ndarray, b: np.ndarray, to_b: np.ndarray) -> np.ndarray:
    """(4,) rotation that takes `a` to `to_a`, and `b` as near as then possible to `to_b`."""

    def basis(first, second):
        first = quaternions.unit(first)
        second = quaternions.unit(second - (second @ first) * first)
        return np.stack([first, second, np.cross(first, second)], 1)

    return quaternions.from_matrix(basis(to_a, to_b) @ basis(a, b).T)


def _standing_rest(rest: dict[str, np.ndarray]) -> np.ndarray | None:
    """(4,) rotation from the file's rest pose to our space; None if nobody stands like that."""
    unit = quaternions.unit
    up = unit(_between(rest, "UpperArm") - _between(rest, "UpperLeg"))
    left = unit(_apart(rest, "UpperLeg"))
    straight = [unit(_apart(rest, "UpperArm")) @ left > 0.7, abs(left @ up) < 0.5]
    for side, sign in _SIDES.items():
        hip, knee, ankle, shoulder, elbow, wrist = (
            rest[side + part] for part in ("UpperLeg", "LowerLeg", "Foot", "UpperArm", "LowerArm", "Hand")
        )
        straight += [unit(knee - hip) @ up < -0.7, unit(ankle - knee) @ up < -0.7]
        straight += [sign * (unit(elbow - shoulder) @ left) > -0.3, unit(elbow - shoulder) @ up < 0.6]
        straight += [unit(elbow - shoulder) @ unit(wrist - elbow) > 0.5]
    if not all(straight):
        return None
    near = _snapped(left)
    return _facing(_snapped(up), near if near @ left > 0.96 else left)


def _flat_feet(clip: _Clip, side: str, up: np.ndarray) -> np.ndarray:
    """(4,) from the foot's own axes to ours: flat on the ground where it stands lowest, toes to +Z."""
    foot, toes = side + "Foot", side + "Toes"
    height = (clip.places[foot] + clip.places[toes]) @ up
    standing = height <= np.quantile(height, 0.2)
    own_up = quaternions.rotate(quaternions.inverse(clip.turns[foot][standing]), up).mean(0)
    return _aligned(own_up, _Y, clip.offset(foot, toes), _Z)


def _feet_point_forward(clip: _Clip, turn: np.ndarray, side: str) -> bool:
    toes = quaternions.rotate(turn, clip.rest[side + "Toes"] - clip.rest[side + "Foot"])
    return quaternions.unit(toes * (1, 0, 1))[2] > 0.5 and quaternions.unit(toes)[1] > -0.96


def _made_up_rest(clip: _Clip, up: np.ndarray) -> dict[str, np.ndarray]:
    """Role -> (4,) rotation from the bone's own axes to ours in a T pose."""
    out: dict[str, np.ndarray] = {}
    upright = _between(clip.places, "UpperArm") - _between(clip.places, "UpperLeg")
    for role, part in (("hips", "UpperLeg"), (clip.top, "UpperArm")):
        across = clip.local(role, _apart(clip.places, part))
        out.setdefault(role, _aligned(across, _X, clip.local(role, upright), _Y))
    for side, sign in _SIDES.items():
        for upper, lower, end, to, hinge, trunk in (
            ("UpperArm", "LowerArm", "Hand", sign * _X, -sign * _Y, clip.top),
            ("UpperLeg", "LowerLeg", "Foot", -_Y, _X, "hips"),
        ):
            joints = [clip.places[side + part] for part in (upper, lower, end)]
            first, second = (quaternions.unit(b - a) for a, b in itertools.pairwise(joints))
            # A limb that never bends is taken to turn as little as it can against the trunk.
            frame = quaternions.multiply(clip.turns[trunk], quaternions.inverse(out[trunk]))
            seen = quaternions.rotate(quaternions.inverse(frame), first)
            unbent = quaternions.rotate(frame, quaternions.rotate(quaternions.swing(to, seen), hinge))
            axis = np.cross(first, second) + 0.02 * unbent
            for part, along in ((upper, lower), (lower, end)):
                role = side + part
                out[role] = _aligned(clip.offset(role, side + along), to, clip.local(role, axis), hinge)
        if side + "Toes" in clip.roles:
            out[side + "Foot"] = _flat_feet(clip, side, up)
    for role, above in clip.parents.items():
        if role not in out:
            against = quaternions.multiply(quaternions.inverse(clip.turns[above]), clip.turns[role])
            out[role] = quaternions.multiply(out[above], quaternions.mean(against))
    return out


def _world(clip: _Clip, own_hips: np.ndarray, up: np.ndarray) -> np.ndarray:
    """(4,) rotation from file space to ours: `up` is +Y, and the first frame faces +Z."""
    world = _facing(up, _X if abs(up[0]) < 0.5 else _Z)
    hips = quaternions.multiply(clip.turns["hips"][0], quaternions.inverse(own_hips))
    ahead = quaternions.rotate(quaternions.multiply(world, hips), _Z)
    if np.hypot(ahead[0], ahead[2]) < 0.2:  # It lies, and faces up or down.
        return world
    return quaternions.multiply(quaternions.about(-_Y, np.arctan2(ahead[0], ahead[2])), world)


def _floor(moved: Mapping[str, np.ndarray], fps: float) -> np.ndarray:
    """(t,) height of the ground, from how far each joint of the feet (t, 3) moved since rest."""
    paths = np.stack(list(moved.values()))
    speeds = np.zeros(paths.shape[:2])
    if paths.shape[1] > 1:
        speeds = np.linalg.norm(np.gradient(paths, axis=1), axis=2) * fps
    lowest = paths[..., 1].argmin(0)
    each = np.arange(paths.shape[1])
    return ground.floor(paths[lowest, each, 1], speeds[lowest, each], fps)


def read(path: str | os.PathLike) -> Recording:
    """Reads a BVH file as a motion of a humanoid.

    Raises:
      FileNotFoundError: if there is no such file.
      FormatError: (a ValueError) if it is damaged, or has no figure with two arms and two legs.
    """
    file = bvh.parse(path)
    clip = _Clip(file)
    rest_turn = _standing_rest(clip.rest)
    body = quaternions.unit(_between(clip.places, "UpperArm") - _between(clip.places, "Foot")).mean(0)
    up = _snapped(body)
    if rest_turn is not None and body @ up < 0.7:  # Not a motion on foot.
        up = quaternions.rotate(quaternions.inverse(rest_turn), _Y).round()
    if rest_turn is None:
        own = _made_up_rest(clip, up)
    else:
        own = dict.fromkeys(clip.roles, rest_turn)
        for side in _SIDES:
            if side + "Toes" in own and not _feet_point_forward(clip, rest_turn, side):
                own |= dict.fromkeys((side + "Foot", side + "Toes"), _flat_feet(clip, side, up))
    rest = {"hips": np.zeros(3)}
    for role, above in clip.parents.items():
        rest[role] = rest[above] + quaternions.rotate(own[above], clip.offset(above, role))
    world = _world(clip, own["hips"], up)
    feet = [side + part for side in _SIDES for part in ("Foot", "Toes") if side + part in rest]
    leg = _between(rest, "UpperLeg")[1] - _between(rest, "Foot")[1]
    sole = min(rest[f][1] for f in feet) - leg * (_TOE_HEIGHT if len(feet) > 2 else _ANKLE_HEIGHT)
    if not (leg > 0 and sole < 0):
        raise FormatError(f"{path}: the legs of the figure do not reach down from its hips")
    unit = min(_UNITS, key=lambda u: abs(np.log(u * -sole / _HIPS)))
    scale = unit if 0.7 < unit * -sole < 1.2 else _HIPS / -sole
    moves = {role: scale * quaternions.rotate(world, clip.places[role]) for role in ("hips", *feet)}
    rest = {role: scale * (place - sole * _Y) for role, place in rest.items()}
    floor = _floor({f: moves[f] - rest[f] for f in feet}, 1 / file.frame_time)
    start = moves["hips"][0] * (1, 0, 1)
    rotations = {
        role: quaternions.multiply(quaternions.multiply(world, turns), quaternions.inverse(own[role]))
        for role, turns in clip.turns.items()
    }
    return Recording(
        name=os.path.splitext(os.path.basename(path))[0],
        fps=1 / file.frame_time,
        rest=rest,
        rotations=rotations,
        hips=moves["hips"] - start - floor[:, None] * _Y,
    )
