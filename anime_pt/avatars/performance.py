"""What every motion is, whatever file it comes from; `motions.load` makes them."""

from typing import Protocol

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
