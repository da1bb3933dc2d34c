"""Motions with a human in them: performed by a figure from a seed, or filmed.

A clip says who the human is, and drives any character through `motion()`, whose `.on(character)` follows
`avatars.motions`. Clips are small and pickle; what they load is loaded where it is needed.
"""

import dataclasses
import functools
import pathlib
from typing import Protocol

import numpy as np

from anime_pt.avatars import motions, poses, rig
from anime_pt.avatars.character import Character
from anime_pt.avatars.poses import Pose
from anime_pt.pose import formats
from anime_pt.pose.skeletons import OPENPOSE_18
from tfds_builders.mmd_pairs import openmmd

FPS = 30.0
_MOTION = 1  # Name of the random stream.


@dataclasses.dataclass(frozen=True)
class Poses:
    """Poses that fit any character, as a motion and its performance at once."""

    name: str
    fps: float
    poses: tuple[Pose, ...]

    @property
    def frames(self) -> int:
        return len(self.poses)

    def on(self, character: Character) -> "Poses":
        """Itself: these poses say nothing of one character's bones."""
        return self

    def pose(self, seconds: float) -> Pose:
        """The pose of the nearest frame."""
        return self.poses[min(max(round(seconds * self.fps), 0), len(self.poses) - 1)]


def moment(character: Character, performance, seconds: float) -> tuple[np.ndarray, object]:
    """Globals (b, 4, 4), and the vertices that morphs moved or None, of a character in a motion."""
    if isinstance(performance, Poses):
        return rig.pose(character, performance.pose(seconds)), None
    return motions.moment(character, performance, seconds)


class Clip(Protocol):
    """A motion and its human.

    Attributes:
      name: unique; splits go by it.
      fps: frames per second of the human side.
      frames: how many there are.
    """

    name: str
    fps: float
    frames: int

    def motion(self) -> motions.Motion | Poses:
        """What drives the anime character."""
        ...

    def motion_seconds(self, frame: int) -> float:
        """Where in the motion a frame of the human is."""
        ...

    def usable(self, min_keypoints: int) -> list[int]:
        """Frames in which enough of the human was found."""
        ...

    def files(self) -> list[str]:
        """Paths of the user's files that it is made of."""
        ...


@dataclasses.dataclass(frozen=True)
class Performed:
    """A motion from a seed, performed by the human figure of the same seed at 30 frames per second."""

    name: str
    seed: int
    frames: int
    fps: float = FPS

    def motion(self) -> Poses:
        rng = np.random.default_rng((self.seed, _MOTION))
        return Poses(self.name, self.fps, tuple(poses.sequence(rng, self.frames)))

    def motion_seconds(self, frame: int) -> float:
        return frame / self.fps

    def usable(self, min_keypoints: int) -> list[int]:
        """All: nothing had to be found."""
        return list(range(self.frames))

    def files(self) -> list[str]:
        """None."""
        return []


@dataclasses.dataclass(frozen=True)
class Filmed:
    """A human on video, or what pose estimation left of one.

    Attributes:
      name: of the clip's folder.
      keypoints: file or folder of the human's keypoints, see `read_keypoints`.
      drive: motion file of the same clip, or OpenMMD's `pos.txt`.
      video: or "".
      depths: OpenMMD's `depth.txt`, or "".
      fps: frames per second of the video.
      drive_fps: frames of the video per second of the motion: OpenMMD makes a key for each frame of the
        video, which play at 30 per second, whatever the video's rate.
      frames: how many both sides have.
      box: left, top and side in pixels of the square of the video that the figure stays in.
      stamp: sizes and times of the files: a build that continues must not mix two of their versions.
    """

    name: str
    keypoints: str
    drive: str
    video: str
    depths: str
    fps: float
    drive_fps: float
    frames: int
    box: tuple[int, int, int]
    stamp: tuple[tuple[int, int], ...]

    def motion(self) -> motions.Motion | Poses:
        return load_motion(self.drive)

    def motion_seconds(self, frame: int) -> float:
        return frame / self.drive_fps

    def usable(self, min_keypoints: int) -> list[int]:
        found = (keypoints(self)[: self.frames, :, 2] > 0).sum(1)
        return np.flatnonzero(found >= min_keypoints).tolist()

    def files(self) -> list[str]:
        of_keypoints = map(str, keypoint_files(pathlib.Path(self.keypoints)))
        return [*of_keypoints, *filter(None, (self.drive, self.video, self.depths))]

    def depth(self, frame: int) -> float:
        """Depth of the middle of the hips in the unit of `depth.txt`, NaN where there is none."""
        if not self.depths:
            return float("nan")
        at, values = openmmd.read_depths(pathlib.Path(self.depths)).T
        return float(np.interp(frame, at, values))


def load_motion(path: str) -> motions.Motion | Poses:
    """A motion file, or the 3D joints of OpenMMD."""
    if path.endswith(".txt"):
        joints = openmmd.read_positions(pathlib.Path(path))
        return Poses(pathlib.Path(path).parent.name, FPS, tuple(openmmd.poses(joints)))
    return motions.load(path)


def keypoint_files(path: pathlib.Path) -> list[pathlib.Path]:
    """The file itself, or the OpenPose files of a folder."""
    return sorted(path.glob("*_keypoints.json")) if path.is_dir() else [path]


@functools.lru_cache(maxsize=2)
def keypoints(clip: Filmed) -> np.ndarray:
    """(t, 18, 3) float32 of `OPENPOSE_18` in pixels of the film; not to be written to."""
    return read_keypoints(clip.keypoints)


def read_keypoints(path: str) -> np.ndarray:
    """(t, 18, 3) float32 of `OPENPOSE_18`: OpenMMD's `smoothed.txt`, or what `pose.formats` reads."""
    if path.endswith(".txt"):
        return openmmd.read_smoothed(pathlib.Path(path))
    return formats.read(path).as_skeleton(OPENPOSE_18).keypoints
