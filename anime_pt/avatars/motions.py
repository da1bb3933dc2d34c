"""Motions by name, on any character: `load("dance.vmd").on(character).pose(seconds)`."""

import dataclasses
import os
import pathlib
import re
from collections.abc import Callable

import numpy as np

from anime_pt.avatars import bone_pose, morphs, poses, procedural, recording, rig
from anime_pt.avatars.bone_pose import BonePose
from anime_pt.avatars.character import Character
from anime_pt.avatars.formats import bvh_recording, vmd_motion, vrma
from anime_pt.avatars.formats.binary import FormatError, chosen
from anime_pt.avatars.morphs import Morphed
from anime_pt.avatars.performance import Motion, Performance

__all__ = ["SUFFIXES", "Motion", "Performance", "Rest", "Still", "load", "moment"]

_PROCEDURAL = re.compile(r"procedural:(\d{1,9})(?:,(\d{1,6}))?")
_FRAMES, _MAX_FRAMES = 120, 100_000


@dataclasses.dataclass(frozen=True)
class Still:
    """A pose that holds; a `Performance`."""

    held: BonePose

    def pose(self, seconds: float) -> BonePose:
        """The pose, at any time."""
        return self.held


@dataclasses.dataclass(frozen=True)
class Rest:
    """The motion of one frame in which every character is at rest."""

    name: str = "rest"
    fps: float = 30.0
    frames: int = 1

    def on(self, character: Character) -> Still:
        """The rest pose of the character."""
        return Still(bone_pose.rest(character))


def _procedural(seed: int, frames: int) -> Motion:
    """A seeded walk, dance or change of poses at 30 frames per second."""
    figure = procedural.build(0)
    sequence = poses.sequence(np.random.default_rng(seed), frames)
    globals_ = np.stack([rig.pose(figure, pose) for pose in sequence])
    return recording.record(f"procedural:{seed}", 30.0, figure, globals_)


def _keyed(path: pathlib.Path) -> Motion:
    motion = vmd_motion.load(path)
    if not motion.file.bones and not motion.file.morphs:
        raise FormatError(
            f"{path}: has no keys of bones or faces; if it is a camera's, give it as the camera"
        )
    return motion


# First bytes of a file -> who reads it, and suffix -> who reads it if they tell nothing.
_MAGICS: dict[bytes, Callable[[pathlib.Path], Motion]] = {
    b"Vocaloid Motion Data": _keyed,
    b"Vocaloid Pose Data": _keyed,
    b"glTF": vrma.read,
    b"HIERARCHY": bvh_recording.read,
}
_READERS = {
    **dict.fromkeys((".vmd", ".vpd"), _keyed),
    **dict.fromkeys((".vrma", ".glb"), vrma.read),
    ".bvh": bvh_recording.read,
}
SUFFIXES = tuple(_READERS)


def load(spec: str | os.PathLike) -> Motion:
    """A motion.

    Args:
      spec: path of a file with one of `SUFFIXES`; "procedural:SEED" or "procedural:SEED,FRAMES" for a seeded
        motion at 30 frames per second; or "rest".

    Raises:
      FileNotFoundError: if there is no such file.
      FormatError: (a ValueError) if the file is none of these, damaged, or moves no humanoid.
      ValueError: for a procedural motion without a whole number as its seed, or too long.
    """
    if spec == "rest":
        return Rest()
    if isinstance(spec, str) and spec.startswith("procedural:"):
        match = _PROCEDURAL.fullmatch(spec)
        frames = int(match[2] or _FRAMES) if match else 0
        if not 1 <= frames <= _MAX_FRAMES:
            raise ValueError(
                f"{spec!r}: expected procedural:SEED or procedural:SEED,FRAMES, whole numbers, "
                f"with 1 to {_MAX_FRAMES} frames"
            )
        return _procedural(int(match[1]), frames)
    path = pathlib.Path(spec)
    return chosen(path, _MAGICS, _READERS, "motions")(path)


def moment(
    character: Character, performance: Performance, seconds: float
) -> tuple[np.ndarray, Morphed | None]:
    """A character at a time of a performance, ready to be drawn.

    Returns:
      The transforms (b, 4, 4) of its bones, see `rig.pose`, and what morphs make of it, see `morphs.apply`.
    """
    pose = performance.pose(seconds)
    return rig.pose(character, pose), morphs.apply(character, pose.morphs)
