"""Inverse kinematics as MikuMikuDance does it: cyclic coordinate descent with limits.

MMD's own solver is not published. This follows what players that agree with it found out
(https://github.com/noname0310/babylon-mmd, https://github.com/benikabocha/saba): link after link turns so
that the effector points to the goal, by at most `step` times the number of the link; a link with limits has
its local rotation taken apart into Euler angles, in an order that keeps the middle one off 90 degrees. In the
first half of the iterations a link that may turn about one axis alone turns about that axis, and angles
beyond a limit are mirrored at it instead of stopped: that is what bends a straight knee the right way.

One thing is added. A goal straight above a foot leaves few iterations for the descent, which then ends some
centimetres short. So chains with a knee (a link with one free axis) go on while they come nearer.
"""

from typing import NamedTuple

import numba
import numpy as np

from anime_pt.avatars import quaternion_kernels as quaternions
from anime_pt.avatars import rotations
from anime_pt.avatars.character import Ik, IkLink

# MMD's own maximum. Chains of real models have fewer than 50 bones.
MAX_ITERATIONS, MAX_BONES = 255, 256
_YXZ, _ZYX, _XZY = range(3)
# The middle Euler angle stays this far from a right angle, where the other two would be undetermined.
_STEEP = np.radians(88.0)
# Close enough, metres.
_REACHED = 1e-5
# Metres at which a chain that goes on after its iterations is near enough, and the least that an iteration
# must bring it nearer.
_NEAR, _PROGRESS = 1e-4, 1e-6
_jit = numba.njit(cache=True, nogil=True, error_model="numpy")


class Chains(NamedTuple):
    """All chains of a rig as flat arrays; chain i has links `starts[i]` to `starts[i + 1]`.

    Attributes:
      goals, iterations, steps: (n,).
      knees: (n,) bool, chains with a link that limits let turn about one axis alone.
      starts, path_starts: (n + 1,).
      paths: the bones from each effector up to the topmost link.
      links, places: (m,) bones and where they are in their chain's path.
      numbers: (m,) from 1, the multiple of `steps` by which each may turn at once.
      limited: (m,) bool.
      lows, highs: (m, 3) radians.
      free_axes: (m,) the one axis about which the limits let the link turn; -1 for several, 3 for none.
      orders: (m,) of the Euler angles.
    """

    goals: np.ndarray
    iterations: np.ndarray
    steps: np.ndarray
    knees: np.ndarray
    starts: np.ndarray
    path_starts: np.ndarray
    paths: np.ndarray
    links: np.ndarray
    places: np.ndarray
    numbers: np.ndarray
    limited: np.ndarray
    lows: np.ndarray
    highs: np.ndarray
    free_axes: np.ndarray
    orders: np.ndarray


def _limits(link: IkLink) -> tuple[bool, np.ndarray, np.ndarray, int, int]:
    if link.low is None or link.high is None:
        return False, np.zeros(3), np.zeros(3), -1, _YXZ
    low, high = np.minimum(link.low, link.high), np.maximum(link.low, link.high)
    free = np.flatnonzero((low != 0) | (high != 0))
    axis = 3 if len(free) == 0 else int(free[0]) if len(free) == 1 else -1
    within = (low > -np.pi / 2) & (high < np.pi / 2)
    order = _YXZ if within[0] else _ZYX if within[1] else _XZY
    return True, low, high, axis, order


def _path(ik: Ik, parents: np.ndarray) -> list[int]:
    """Bones from the effector up to the topmost link; empty if there is none or it is too far."""
    links, path, bone = {link.bone for link in ik.links}, [ik.effector], ik.effector
    top = 0
    while parents[bone] >= 0 and len(path) <= MAX_BONES:
        bone = int(parents[bone])
        path.append(bone)
        if bone in links:
            top = len(path)
    return path[:top] if top <= MAX_BONES else []


def chains(iks: list[Ik], parents: np.ndarray) -> Chains:
    """Flattens chains for `solve`. Links that do not move the effector are left out.

    Args:
      iks: of the character.
      parents: (b,) without cycles.
    """
    heads, rows, paths, starts, path_starts = [], [], [], [0], [0]
    for ik in iks:
        path = _path(ik, parents)
        place = {bone: i for i, bone in enumerate(path)}
        for number, link in enumerate(ik.links[:MAX_BONES], 1):
            if link.bone in place and link.bone != ik.effector:
                rows.append((link.bone, place[link.bone], number, *_limits(link)))
        knee = ik.iterations > 0 and any(row[6] in (0, 1, 2) for row in rows[starts[-1] :])
        heads.append((ik.goal, min(max(ik.iterations, 0), MAX_ITERATIONS), ik.step, knee))
        paths += path
        starts.append(len(rows))
        path_starts.append(len(paths))
    ints = lambda values: np.array(list(values), np.int64)
    return Chains(
        ints(h[0] for h in heads),
        ints(h[1] for h in heads),
        np.array([h[2] for h in heads], np.float64),
        np.array([h[3] for h in heads], np.bool_),
        ints(starts),
        ints(path_starts),
        ints(paths),
        ints(r[0] for r in rows),
        ints(r[1] for r in rows),
        ints(r[2] for r in rows),
        np.array([r[3] for r in rows], np.bool_),
        np.array([r[4] for r in rows], np.float64).reshape(-1, 3),
        np.array([r[5] for r in rows], np.float64).reshape(-1, 3),
        ints(r[6] for r in rows),
        ints(r[7] for r in rows),
    )


@_jit
def frame(bone, parents, offsets, turns, shifts):
    """Global turn (4,) and place (3,) of a bone, from local turns (b, 4) and shifts (b, 3) alone.

    `offsets` (b, 3) lead from the parent's place to the bone's at rest. Bone -1 is the character's space.
    """
    turn, place = np.zeros(4), np.zeros(3)
    turn[3] = 1.0
    while bone >= 0:
        turn = quaternions.compose(turns[bone], turn)
        place = quaternions.apply(turns[bone], place) + offsets[bone] + shifts[bone]
        bone = parents[bone]
    return turn, place


@_jit
def _within(angle, low, high, mirrors):
    """The angle, or the limit that it is beyond; if `mirrors`, as far on this side of the limit."""
    limit = low if angle < low else high if angle > high else angle
    mirrored = 2.0 * limit - angle
    return mirrored if mirrors and low <= mirrored <= high else limit


@_jit
def _limit(turn, low, high, order, mirrors):
    m = quaternions.to_matrix(turn)
    angles = np.empty(3)
    if order == _YXZ:
        middle, sine = 0, -m[1, 2]
        angles[1], angles[2] = np.arctan2(m[0, 2], m[2, 2]), np.arctan2(m[1, 0], m[1, 1])
    elif order == _ZYX:
        middle, sine = 1, -m[2, 0]
        angles[0], angles[2] = np.arctan2(m[2, 1], m[2, 2]), np.arctan2(m[1, 0], m[0, 0])
    else:
        middle, sine = 2, -m[0, 1]
        angles[0], angles[1] = np.arctan2(m[2, 1], m[1, 1]), np.arctan2(m[0, 2], m[0, 0])
    angles[middle] = min(_STEEP, max(-_STEEP, np.arcsin(min(1.0, max(-1.0, sine)))))
    parts = np.zeros((3, 4))
    for i in range(3):
        half = 0.5 * _within(angles[i], low[i], high[i], mirrors)
        parts[i, i], parts[i, 3] = np.sin(half), np.cos(half)
    if order == _YXZ:
        return quaternions.compose(quaternions.compose(parts[1], parts[0]), parts[2])
    if order == _ZYX:
        return quaternions.compose(quaternions.compose(parts[2], parts[1]), parts[0])
    return quaternions.compose(quaternions.compose(parts[0], parts[2]), parts[1])


@_jit
def _forward(path, top, offsets, turns, shifts, global_turns, places):
    """Frames of the bones of a path from index `top` down to the effector, in place."""
    for i in range(top, -1, -1):
        bone = path[i]
        global_turns[i] = quaternions.compose(global_turns[i + 1], turns[bone])
        moved = quaternions.apply(global_turns[i + 1], offsets[bone] + shifts[bone])
        places[i] = places[i + 1] + moved


@_jit
def _distance(a, b):
    gap = a - b
    return np.sqrt(rotations.dot(gap, gap))


@_jit
def solve(chain, c, parents, offsets, turns, shifts, has_axis, axes):
    """Turns the links of a chain, in place in `turns`, until its effector is at its goal.

    Args:
      chain: which of `c`.
      c: see `Chains`.
      parents, offsets, turns, shifts: see `frame`.
      has_axis, axes: (b,) and (b, 3): bones that turn about one axis of their parent's space alone.
    """
    path = c.paths[c.path_starts[chain] : c.path_starts[chain + 1]]
    count = len(path)
    if count == 0:
        return
    _, goal = frame(c.goals[chain], parents, offsets, turns, shifts)
    # Frames along the path; the last is that of the topmost link's parent.
    global_turns, places = np.empty((count + 1, 4)), np.empty((count + 1, 3))
    global_turns[count], places[count] = frame(parents[path[count - 1]], parents, offsets, turns, shifts)
    _forward(path, count - 1, offsets, turns, shifts, global_turns, places)
    if c.iterations[chain] == 0 or _distance(places[0], goal) < _REACHED:
        return
    # A straight knee below its goal could not choose where to bend; within its limits it is not straight.
    for link in range(c.starts[chain], c.starts[chain + 1]):
        if c.limited[link]:
            bone = c.links[link]
            turns[bone] = _limit(turns[bone], c.lows[link], c.highs[link], c.orders[link], False)
    changed = count - 1
    iterations, last = c.iterations[chain], np.inf
    for iteration in range(MAX_ITERATIONS if c.knees[chain] else iterations):
        for link in range(c.starts[chain], c.starts[chain + 1] + 1):
            _forward(path, changed, offsets, turns, shifts, global_turns, places)
            changed = -1
            if link == c.starts[chain + 1] or c.free_axes[link] == 3:
                continue
            bone, at = c.links[link], c.places[link]
            now, wanted = rotations.unit(places[0] - places[at]), rotations.unit(goal - places[at])
            across = rotations.cross(now, wanted)
            if rotations.dot(across, across) < 1e-10:
                continue
            early = c.limited[link] and 2 * (iteration + 1) <= iterations
            axis = quaternions.apply(quaternions.inverse(global_turns[at + 1]), rotations.unit(across))
            if early and c.free_axes[link] >= 0:
                sign = 1.0 if axis[c.free_axes[link]] >= 0.0 else -1.0
                axis[:] = 0.0
                axis[c.free_axes[link]] = sign
            angle = np.arccos(min(1.0, max(-1.0, rotations.dot(now, wanted))))
            angle = min(angle, c.steps[chain] * c.numbers[link])
            turn = quaternions.compose(quaternions.about(axis, angle), turns[bone])
            if c.limited[link]:
                turn = _limit(turn, c.lows[link], c.highs[link], c.orders[link], early)
            if has_axis[bone]:
                turn = quaternions.twist(turn, axes[bone])
            turns[bone] = quaternions.unit(turn)
            changed = at
        gap = _distance(places[0], goal)
        if gap < (_REACHED if iteration < iterations else _NEAR):
            return
        if iteration >= iterations and last - gap < _PROGRESS:
            return
        last = gap
