"""VMD and VPD files as motions of any character, and motions as VMD files.

On MMD models the keys apply as they are, inverse kinematics included. Any other character gets what the
standard skeleton of `mmd_skeleton` does when it plays the file, by `retarget`. A VMD also says whether the
model is visible; that is not part of a pose and is left to who draws.
"""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence

import numba
import numpy as np

from anime_pt.avatars import deform, recording, rig
from anime_pt.avatars import quaternion_kernels as kernels
from anime_pt.avatars.bone_pose import BonePose
from anime_pt.avatars.character import Character
from anime_pt.avatars.formats import mmd_skeleton, vmd, vpd
from anime_pt.avatars.formats.binary import FormatError
from anime_pt.avatars.formats.mmd_rig import FLIP, TURN_FLIP, UNIT
from anime_pt.avatars.formats.vmd_curves import between, ease
from anime_pt.avatars.names import plain
from anime_pt.avatars.performance import Performance
from anime_pt.avatars.quaternions import from_matrix
from anime_pt.avatars.recording import Recording

# Spellings of the same bone; the first is the usual one.
_SPELLINGS = (("捩", "捻", "ねじり"), ("ひじ", "肘"), ("ひざ", "膝"), ("人指", "人差指", "人差し指"))
# Proportions may differ by this share before movements are scaled.
_TOLERANCE = 0.15
# Frames of a motion that is played in full: ten minutes, longer than any song that is danced to.
_LONGEST = 18_000


def _key(name: str) -> str:
    """A bone's name for comparison, whatever its spelling."""
    name = plain(name)
    for usual, *others in _SPELLINGS:
        for other in others:
            name = name.replace(other, usual)
    return name


def _table(names: Sequence[str]) -> dict[str, int]:
    """Comparable name -> index; also by what 15 bytes of cp932, the room that a VMD has, leave of a name."""
    table: dict[str, int] = {}
    for key in (_key, lambda name: _key(vmd.decode(vmd.encode(name, 15)))):
        for i, name in enumerate(names):
            table.setdefault(key(name), i)
    return table


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _sample(frame, bones, starts, frames, shifts, turns, curves, out_shifts, out_turns):
    """Interpolates the keys of each track at a moment; track i has rows `starts[i]` to `starts[i + 1]`."""
    for track in range(len(bones)):
        first = starts[track]
        arriving, share = between(frames[first : starts[track + 1]], frame)
        i, bone = first + arriving, bones[track]
        if share >= 1.0:
            out_shifts[bone], out_turns[bone] = shifts[i], turns[i]
            continue
        for axis in range(3):
            eased = ease(curves[i, axis], share)
            out_shifts[bone, axis] = shifts[i - 1, axis] + eased * (shifts[i, axis] - shifts[i - 1, axis])
        out_turns[bone] = kernels.slerp(turns[i - 1], turns[i], ease(curves[i, 3], share))


@dataclasses.dataclass(frozen=True)
class VmdPerformance:
    """Keys on the bones of one MMD character; a `motions.Performance`.

    Attributes:
      count: of the character's bones.
      bones: (k,) those that have keys.
      starts: (k + 1,) rows of each in the arrays that follow.
      frames, shifts, turns, curves: (n,), (n, 3) metres, (n, 4) in character space, (n, 4, 4) uint8.
      morphs: name -> (frames, weights).
      switch_frames: (s,) when inverse kinematics is switched, the first of them before all keys.
      switches: (s, n) bool, which chains are on from then.
      keyed: (b,) bool, bones that are turned at some time.
      report: one line for each bone that the motion moves and the character lacks, and for scaling.
    """

    count: int
    bones: np.ndarray
    starts: np.ndarray
    frames: np.ndarray
    shifts: np.ndarray
    turns: np.ndarray
    curves: np.ndarray
    morphs: Mapping[str, tuple[np.ndarray, np.ndarray]]
    switch_frames: np.ndarray
    switches: np.ndarray
    keyed: np.ndarray
    report: tuple[str, ...] = ()

    def pose(self, seconds: float) -> BonePose:
        """The pose at a time; before the start and after the end it holds."""
        frame = float(seconds) * vmd.FPS
        shifts, turns = np.zeros((self.count, 3)), np.tile([0.0, 0.0, 0.0, 1.0], (self.count, 1))
        tracks = (self.starts, self.frames, self.shifts, self.turns, self.curves)
        _sample(frame, self.bones, *tracks, shifts, turns)
        morphs = {name: float(np.interp(frame, *keys)) for name, keys in self.morphs.items()}
        # Sampled times are not exact: a switch at a frame holds from that frame on.
        now = np.searchsorted(self.switch_frames, frame + 1e-6, side="right") - 1
        return BonePose(turns, shifts, morphs, self.switches[max(now, 0)], self.keyed)


def _turns(keys: vmd.BoneKeys) -> bool:
    return bool(np.abs(keys.rotations[:, :3]).max(initial=0) > 1e-6)


def _moves(keys: vmd.BoneKeys) -> bool:
    return bool(np.abs(keys.positions).max(initial=0) > 1e-6) or _turns(keys)


def _leg_length(character: Character) -> float:
    place = lambda role: character.rest[character.humanoid[role], :3, 3]
    return float(np.linalg.norm(place("leftUpperLeg") - place("leftFoot")))


@dataclasses.dataclass(frozen=True)
class VmdMotion:
    """A VMD or VPD file; a `motions.Motion`."""

    name: str
    file: vmd.VmdFile
    fps: float = vmd.FPS

    @property
    def frames(self) -> int:
        """How many there are at 30 per second."""
        return self.file.last_frame + 1

    def on(self, character: Character) -> Performance:
        """Fits the motion: as it is on MMD models that have its bones and goals, by retargeting on others.

        Raises:
          ValueError: for retargeting, if the motion lasts longer than ten minutes.
        """
        if character.kind == "mmd" and not self._lacks_goals(character) and not self._is_foreign(character):
            return self.keyed_on(character, self._scale(character))
        return record(self).on(character)

    def _lacks_goals(self, character: Character) -> bool:
        """Whether the motion moves feet by goals and the character has none for feet."""
        goals = {_key(character.bone_names[i.goal]) for i in character.iks}
        feet = {_key(side + "足IK") for side in "左右"}
        return not goals & feet and any(_key(n) in feet and _moves(k) for n, k in self.file.bones.items())

    def _is_foreign(self, character: Character) -> bool:
        """Whether the motion moves bones and the character has none of them, as with names in English."""
        names = _table(character.bone_names)
        moving = [name for name, keys in self.file.bones.items() if _moves(keys)]
        return bool(moving) and not any(_key(name) in names for name in moving)

    def _scale(self, character: Character) -> float:
        """By what to multiply movements: 1 for the model that they were made for, and for similar ones."""
        scale = _leg_length(character) / _leg_length(mmd_skeleton.build())
        same = plain(self.file.model_name) == plain(vmd.decode(vmd.encode(character.model_name, 20)))
        return 1.0 if same or abs(scale - 1) <= _TOLERANCE else scale

    def keyed_on(self, character: Character, scale: float = 1.0) -> VmdPerformance:
        """The keys as they are, on the bones that they name, with movements multiplied by `scale`."""
        names, report, tracks = _table(character.bone_names), [], {}
        for name, keys in self.file.bones.items():
            if _key(name) in names:
                tracks.setdefault(names[_key(name)], keys)
            elif _moves(keys):
                report.append(f"bone {name!r} is moved by the motion and not in the model")
        if scale != 1.0:
            report.append(f"movements are scaled by {scale:.2f}, the length of the legs")
        values = list(tracks.values())
        keyed = np.zeros(len(character.parents), bool)
        keyed[[bone for bone, keys in tracks.items() if _turns(keys)]] = True
        join = lambda name, *shape: np.concatenate(
            [np.zeros((0, *shape)), *(getattr(k, name) for k in values)]
        )
        chains = {_key(character.bone_names[ik.goal]): i for i, ik in enumerate(character.iks)}
        on = np.ones(len(character.iks), bool)
        states, frames = [on], [-1]
        for switch in self.file.switches:
            on = on.copy()
            for name, state in switch.iks.items():
                if _key(name) in chains:
                    on[chains[_key(name)]] = state
            states.append(on)
            frames.append(switch.frame)
        return VmdPerformance(
            len(character.parents),
            np.array(list(tracks), np.int64),
            np.cumsum([0, *(len(k.frames) for k in values)]),
            join("frames").astype(np.int64),
            join("positions", 3) * FLIP * (UNIT * scale),
            join("rotations", 4) * TURN_FLIP,
            join("curves", 4, 4).astype(np.uint8),
            {n: (k.frames.astype(float), k.weights.astype(float)) for n, k in self.file.morphs.items()},
            np.array(frames, float),
            np.array(states),
            keyed,
            tuple(report),
        )


def load(path: str | os.PathLike) -> VmdMotion:
    """Reads a .vmd or .vpd file.

    Raises:
      FileNotFoundError: if there is none.
      FormatError: (a ValueError) if it is damaged or neither.
    """
    path = pathlib.Path(path)
    readers = {".vmd": vmd.read, ".vpd": vpd.read}
    if path.suffix.lower() not in readers:
        raise FormatError(f"{path}: expected a .vmd or .vpd file")
    return VmdMotion(path.stem, readers[path.suffix.lower()](path))


def record(motion: VmdMotion) -> Recording:
    """What the standard skeleton does, frame by frame.

    Raises:
      ValueError: if the motion lasts longer than ten minutes.
    """
    if motion.frames > _LONGEST:
        raise ValueError(f"motion {motion.name!r} has {motion.frames} frames, more than {_LONGEST}: cut it")
    skeleton = mmd_skeleton.build()
    performance = motion.keyed_on(skeleton)
    poses = [performance.pose(frame / vmd.FPS) for frame in range(motion.frames)]
    globals_ = np.stack([rig.pose(skeleton, p) for p in poses])
    morphs = {name: np.array([p.morphs[name] for p in poses]) for name in performance.morphs}
    return recording.record(motion.name, vmd.FPS, skeleton, globals_, morphs)


def to_vmd(
    character: Character, performance: Performance, seconds: float, *, goals: bool = False
) -> vmd.VmdFile:
    """A performance of an MMD character as a VMD file with a key in every frame.

    Args:
      character: who performs; its bone names become those of the file.
      performance: fitted to it.
      seconds: how long, from the start.
      goals: write inverse kinematics by its goals, switched on, instead of by the links, switched off. As the
        chains are then solved again, limbs are where they were as far as their limits and steps allow.

    Raises:
      ValueError: if the time is negative or longer than ten minutes.
    """
    count = round(seconds * vmd.FPS) + 1
    if not 1 <= count <= _LONGEST:
        raise ValueError(f"{seconds} seconds to write: expected 0 to {_LONGEST / vmd.FPS:g}")
    poses = [deform.without_ik(character, performance.pose(i / vmd.FPS)) for i in range(count)]
    on = np.zeros(len(character.iks), bool)
    if goals:
        poses = [_with_goals(character, pose) for pose in poses]
        on = poses[0].iks
    shifts = np.stack([p.translations for p in poses]) * FLIP / UNIT
    turns = np.stack([p.rotations for p in poses]) * TURN_FLIP
    frames = np.arange(count, dtype=np.int32)
    linear = np.tile(np.uint8(vmd.LINEAR), (count, 4, 1))
    rest = np.abs(shifts).max((0, 2)) + np.abs(turns[..., :3]).max((0, 2)) < 1e-9
    bones = {}
    for i, name in enumerate(character.bone_names):
        # A bone that rests throughout needs one key.
        n = 1 if rest[i] else count
        numbers = (values[:n, i].astype(np.float32) for values in (shifts, turns))
        bones.setdefault(name, vmd.BoneKeys(frames[:n], *numbers, linear[:n], linear[:n, 2:, 0]))
    morphs = {
        name: vmd.MorphKeys(frames, np.array([p.morphs.get(name, 0.0) for p in poses], np.float32))
        for name in dict.fromkeys(name for p in poses for name in p.morphs)
    }
    switch = vmd.Switch(
        0, True, {character.bone_names[i.goal]: bool(s) for i, s in zip(character.iks, on, strict=True)}
    )
    return vmd.VmdFile(character.model_name, bones, morphs, switches=(switch,))


def _with_goals(character: Character, pose: BonePose) -> BonePose:
    """The same pose with every goal at its effector, turned as it, and all chains on."""
    globals_ = deform.globals_of(character, pose)
    turns, shifts = pose.rotations.copy(), pose.translations.copy()
    inverse = np.linalg.inv(character.rest)
    since_rest = globals_ @ inverse
    for goal, effector in {i.goal: i.effector for i in character.iks}.items():
        # What is above a goal may itself be a goal that has moved: goals stand in the order of solving.
        moved = deform.globals_of(character, dataclasses.replace(pose, rotations=turns, translations=shifts))
        parent = int(character.parents[goal])
        above = moved[parent] @ inverse[parent] if parent >= 0 else np.eye(4)
        turns[goal] = from_matrix(above[:3, :3].T @ since_rest[effector, :3, :3])
        place = above[:3, :3].T @ (globals_[effector, :3, 3] - above[:3, 3])
        shifts[goal] = place - character.rest[goal, :3, 3]
    return dataclasses.replace(
        pose, rotations=turns, translations=shifts, iks=np.ones(len(character.iks), bool)
    )
