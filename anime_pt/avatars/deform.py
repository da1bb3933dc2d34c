"""From keyframes to the global transforms of bones, in the order and by the rules of MikuMikuDance.

Bones are taken by (after physics, layer, index). Each gets its keyed rotation and movement, plus those of
bone morphs; a helper bone then adds its share of its source's, and a goal of inverse kinematics turns its
chain. So a helper that copies a link of a chain sees what the chain did if it comes later in that order, as
the D bones of legs do. Rules: format notes of PMX (bones; 付与), with the product of rotations as in
https://github.com/benikabocha/saba: own, then appended, and what inverse kinematics adds before both.

Everything is the change against rest about the axes of character space, so characters of any origin pose the
same way; those without layers take parents and sources first.
"""

import dataclasses
from typing import NamedTuple

import numba
import numpy as np

from anime_pt.avatars import ik, morphs
from anime_pt.avatars import quaternion_kernels as quaternions
from anime_pt.avatars.bone_pose import BonePose
from anime_pt.avatars.character import Character

_UP = np.array([0.0, 1.0, 0.0])
_jit = numba.njit(cache=True, nogil=True, error_model="numpy")


class _Rig(NamedTuple):
    """What posing needs from a character, computed once.

    Attributes:
      order: (b,) bones as they are deformed.
      family: (b,) bones, parents first.
      parents: (b,) without cycles.
      offsets: (b, 3) from the parent's place at rest.
      pivots: (b, 3) places at rest.
      sources, ratios, rotates, moves, local: (b,) of `Append`, source -1 for none.
      has_axis, axes: (b,) and (b, 3) unit, of bones that turn about one axis alone.
      chain_starts, chain_list: chains by their goal: those of bone i are a slice of `chain_list`.
      hang: (b,) share of tilt to cancel.
    """

    order: np.ndarray
    family: np.ndarray
    parents: np.ndarray
    offsets: np.ndarray
    pivots: np.ndarray
    sources: np.ndarray
    ratios: np.ndarray
    rotates: np.ndarray
    moves: np.ndarray
    local: np.ndarray
    has_axis: np.ndarray
    axes: np.ndarray
    chain_starts: np.ndarray
    chain_list: np.ndarray
    hang: np.ndarray


def ordered(parents: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """(b,) bones sorted so that parents and append sources precede; links that close a cycle are ignored."""
    order, state = [], np.zeros(len(parents), np.int8)
    for start in range(len(parents)):
        stack = [start]
        while stack:
            bone = stack[-1]
            if state[bone] == 0:
                state[bone] = 1
                for before in (int(sources[bone]), int(parents[bone])):
                    if before >= 0 and state[before] == 0:
                        stack.append(before)
            else:
                stack.pop()
                if state[bone] == 1:
                    state[bone] = 2
                    order.append(bone)
    return np.array(order, np.int32)


def _rig(character: Character) -> tuple[_Rig, ik.Chains]:
    if "deform" in character.derived:
        return character.derived["deform"]
    count = len(character.parents)
    nobody = np.full(count, -1, np.int64)
    family = ordered(np.asarray(character.parents), nobody)
    rank = np.empty(count, np.int64)
    rank[family] = np.arange(count)
    parents = np.asarray(character.parents, np.int64)
    parents = np.where((parents >= 0) & (rank[parents] < rank), parents, -1)
    pivots = np.ascontiguousarray(character.rest[:, :3, 3], np.float64)
    offsets = np.where(parents[:, None] >= 0, pivots - pivots[parents], pivots)
    sources, ratios = nobody.copy(), np.zeros(count)
    flags = {name: np.zeros(count, np.bool_) for name in ("rotates", "moves", "local")}
    for append in character.appends:
        sources[append.bone], ratios[append.bone] = append.source, append.ratio
        for name, values in flags.items():
            values[append.bone] = getattr(append, name)
    has_axis, axes, hang = np.zeros(count, np.bool_), np.zeros((count, 3)), np.zeros(count)
    for bone, axis in character.fixed_axes.items():
        has_axis[bone], axes[bone] = True, axis
    for bone, share in character.hang.items():
        hang[bone] = share
    if character.layers is None:
        order = ordered(parents, sources)
    else:
        late = np.zeros(count) if character.after_physics is None else character.after_physics
        order = np.lexsort((np.arange(count), character.layers, late))
    goals = np.array([i.goal for i in character.iks], np.int64)
    starts = np.append(0, np.cumsum(np.bincount(goals, minlength=count)))
    rig = _Rig(
        order.astype(np.int64),
        family.astype(np.int64),
        parents,
        offsets,
        pivots,
        sources,
        ratios,
        **flags,
        has_axis=has_axis,
        axes=axes,
        chain_starts=starts,
        chain_list=np.argsort(goals, kind="stable"),
        hang=hang,
    )
    character.derived["deform"] = rig, ik.chains(character.iks, parents)
    return character.derived["deform"]


@_jit
def _solve(rig, chains, switched_on, turns, shifts, added):
    """Adds helpers' shares and inverse kinematics to local turns (b, 4) and shifts (b, 3), in place.

    What was copied from a source is also added to `added` (b, 4).
    """
    for bone in range(len(turns)):
        if rig.has_axis[bone]:
            turns[bone] = quaternions.twist(turns[bone], rig.axes[bone])
    for bone in rig.order:
        source = rig.sources[bone]
        if source >= 0:
            if rig.local[bone]:
                turn, place = ik.frame(source, rig.parents, rig.offsets, turns, shifts)
                shift = place - rig.pivots[source]
            else:
                turn, shift = turns[source].copy(), shifts[source].copy()
            if rig.rotates[bone]:
                share = quaternions.fraction(turn, rig.ratios[bone])
                turns[bone] = quaternions.compose(turns[bone], share)
                added[bone] = quaternions.compose(added[bone], share)
            if rig.moves[bone]:
                shifts[bone] += rig.ratios[bone] * shift
        for i in range(rig.chain_starts[bone], rig.chain_starts[bone + 1]):
            if switched_on[rig.chain_list[i]]:
                ik.solve(
                    rig.chain_list[i],
                    chains,
                    rig.parents,
                    rig.offsets,
                    turns,
                    shifts,
                    rig.has_axis,
                    rig.axes,
                )


@_jit
def _globals(rig, rest, hangs, turns, shifts):
    """(b, 4, 4) global transforms from local ones."""
    count = len(turns)
    global_turns, places = np.empty((count, 4)), np.empty((count, 3))
    out = np.zeros((count, 4, 4))
    for bone in rig.family:
        parent = rig.parents[bone]
        turn, step = turns[bone].copy(), rig.offsets[bone] + shifts[bone]
        if parent >= 0:
            turn = quaternions.compose(global_turns[parent], turn)
            step = places[parent] + quaternions.apply(global_turns[parent], step)
        if hangs[bone]:
            upright = quaternions.twist(turn, _UP)
            tilt = quaternions.compose(turn, quaternions.inverse(upright))
            turn = quaternions.compose(quaternions.fraction(tilt, 1.0 - rig.hang[bone]), upright)
        global_turns[bone], places[bone] = turn, step
        m = quaternions.to_matrix(turn)
        for i in range(3):
            for j in range(3):
                r = rest[bone]
                out[bone, i, j] = m[i, 0] * r[0, j] + m[i, 1] * r[1, j] + m[i, 2] * r[2, j]
            out[bone, i, 3] = step[i]
        out[bone, 3, 3] = 1.0
    return out


def _local(character: Character, pose: BonePose) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Local turns (b, 4) and shifts (b, 3) by all rules, and the turns (b, 4) of morphs and sources."""
    count = len(character.parents)
    turns, shifts = np.array(pose.rotations, np.float64), np.array(pose.translations, np.float64)
    if turns.shape != (count, 4) or shifts.shape != (count, 3):
        raise ValueError(f"pose of shapes {turns.shape} and {shifts.shape} for {count} bones")
    if len(pose.iks) not in (0, len(character.iks)):
        raise ValueError(f"pose switches {len(pose.iks)} chains of a character with {len(character.iks)}")
    added = np.tile([0.0, 0.0, 0.0, 1.0], (count, 1))
    for change, weight in morphs.bone_changes(character, pose.morphs):
        turn = quaternions.fraction(np.array(change.rotation, np.float64), weight)
        turns[change.bone] = quaternions.compose(turns[change.bone], turn)
        added[change.bone] = quaternions.compose(added[change.bone], turn)
        shifts[change.bone] += weight * np.array(change.translation)
    on = np.asarray(pose.iks, np.bool_) if len(pose.iks) else np.zeros(len(character.iks), np.bool_)
    _solve(*_rig(character), on, turns, shifts, added)
    return turns, shifts, added


def globals_of(character: Character, pose: BonePose) -> np.ndarray:
    """Global transforms (b, 4, 4) float64 of all bones, bone to character space, `secondary` aside.

    Raises:
      ValueError: if the pose has another number of bones or chains than the character.
    """
    turns, shifts, _ = _local(character, pose)
    rig, _ = _rig(character)
    keyed = pose.keyed if len(pose.keyed) else np.abs(pose.rotations[:, :3]).max(1) > 1e-9
    rest = np.ascontiguousarray(character.rest, np.float64)
    return _globals(rig, rest, (rig.hang > 0.0) & ~keyed, turns, shifts)


def without_ik(character: Character, pose: BonePose) -> BonePose:
    """The same pose with what inverse kinematics did as rotations of the links, and all chains off."""
    turns, _, added = _local(character, pose)
    rotations = np.array(pose.rotations, np.float64)
    for link in sorted({link.bone for i in character.iks for link in i.links}):
        rotations[link] = quaternions.compose(turns[link], quaternions.inverse(added[link]))
    return dataclasses.replace(pose, rotations=rotations, iks=np.zeros(len(character.iks), bool))
