"""A motion of any humanoid skeleton, by roles: what motion files of every kind become before retargeting."""

import dataclasses
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class Recording:
    """A humanoid in motion, sampled at a constant rate.

    Space is that of `character`: right-handed, metres, Y up; at rest the figure faces +Z, its own left is +X
    and its soles stand at Y = 0. The rest pose may be any (T, A, or what a BVH file happens to have).

    Attributes:
      name: for people.
      fps: frames per second.
      rest: role -> (3,) position of its joint at rest. Roles are those of `character.REQUIRED_ROLES` and
        `OPTIONAL_ROLES`, and VRM's names of fingers; what a source lacks is left out.
      rotations: role -> (t, 4) unit quaternions x, y, z, w: how far the bone has turned since rest, globally,
        about the axes of the space.
      hips: (t, 3) position of the joint of the hips.
      morphs: name -> (t,) weights.
    """

    name: str
    fps: float
    rest: Mapping[str, np.ndarray]
    rotations: Mapping[str, np.ndarray]
    hips: np.ndarray
    morphs: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def frames(self) -> int:
        """How many samples there are."""
        return len(self.hips)
