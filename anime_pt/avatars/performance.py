"""What every motion is, whatever file it comes from; `motions.load` makes them."""

import dataclasses
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from anime_pt.avatars import quaternions
from anime_pt.avatars.bone_pose import BonePose
from anime_pt.avatars.character import Character


class Performance(Protocol):
    """A motion fitted to a character; pure and picklable."""

    def pose(self, seconds: float) -> BonePose:
        """The pose at a time; before the start and after the end it holds."""
        ...


class Motion(Protocol):
    """What a motion file holds.

    Attributes:
      name: for people.
      fps: frames per second at which it was keyed or recorded.
      frames: how many there are at that rate, at least 1.
    """

    name: str
    fps: float
    frames: int

    def on(self, character: Character) -> Performance:
        """Fits the motion to a character, whatever its rest pose, bone names and proportions."""
        ...


@dataclasses.dataclass(frozen=True)
class KeyedPerformance:
    """Keys of one character's bones at a constant rate; a `Performance`.

    Attributes:
      fps: keys per second.
      bones: (k,) indices of the bones that turn.
      turns: (t, k, 4) local rotations, see `BonePose`.
      carriers: (c,) indices of the bones that move.
      moves: (t, 3) metres by which they do.
      morphs: name -> (t,) weights.
      iks: (n,) bool, which are on.
      count: of the character's bones.
    """

    fps: float
    bones: np.ndarray
    turns: np.ndarray
    carriers: np.ndarray
    moves: np.ndarray
    morphs: Mapping[str, np.ndarray]
    iks: np.ndarray
    count: int

    def pose(self, seconds: float) -> BonePose:
        """The pose at a time; before the start and after the end it holds."""
        at = float(np.clip(seconds * self.fps, 0, len(self.turns) - 1))
        first = min(int(at), max(len(self.turns) - 2, 0))
        second, share = min(first + 1, len(self.turns) - 1), at - first
        mix = lambda values: (1 - share) * values[first] + share * values[second]
        rotations = np.tile(quaternions.IDENTITY, (self.count, 1))
        rotations[self.bones] = quaternions.slerp(self.turns[first], self.turns[second], share)
        translations = np.zeros((self.count, 3))
        translations[self.carriers] = mix(self.moves)
        morphs = {name: float(mix(weights)) for name, weights in self.morphs.items()}
        keyed = np.zeros(self.count, bool)
        keyed[self.bones] = True
        return BonePose(rotations, translations, morphs, self.iks, keyed)
