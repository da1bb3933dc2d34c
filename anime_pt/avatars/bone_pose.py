"""A pose of one character's own bones, as keyframes give it. For poses that fit any character see `poses`."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from anime_pt.avatars.character import Character


@dataclasses.dataclass(frozen=True)
class BonePose:
    """What keyframes say about one moment; everything is a change against rest.

    Rotations and translations are local (against the parent) and about the axes of character space at rest,
    whatever axes the file gave its bones: MMD's own convention, as its bones have no rest rotation, and what
    VRM calls normalized. With an unturned parent, bone b turns about its rest position by `rotations[b]`.

    Attributes:
      rotations: (b, 4) float64 unit quaternions x, y, z, w.
      translations: (b, 3) float64 metres.
      morphs: name -> weight; names that the character lacks are ignored.
      iks: (n,) bool, which of `Character.iks` are switched on; empty for none.
      keyed: (b,) bool, bones that the motion turns at some time: of `Character.hang`, only the others hang.
        Empty: the bones that are turned now.
    """

    rotations: np.ndarray
    translations: np.ndarray
    morphs: Mapping[str, float] = dataclasses.field(default_factory=dict)
    iks: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, bool))
    keyed: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, bool))


def rest(character: Character) -> BonePose:
    """The pose that changes nothing, with every IK switched on."""
    count = len(character.parents)
    rotations = np.tile([0.0, 0.0, 0.0, 1.0], (count, 1))
    return BonePose(rotations, np.zeros((count, 3)), {}, np.ones(len(character.iks), bool))
