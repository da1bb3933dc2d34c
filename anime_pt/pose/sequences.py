"""Keypoints over time: of one figure (`PoseSequence`) and of all figures in a file (`People`)."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from anime_pt.pose.skeletons import Skeleton

# Joints that stand between two others; a skeleton that lacks one has it derived from them.
_BETWEEN = {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}


class PoseFileError(ValueError):
    """A pose file cannot be read; the message names the file and what is wrong."""


def unknown(count: int, skeleton: Skeleton) -> np.ndarray:
    """(count, k, 3) float32 joints of which nothing is known: NaN, NaN, 0."""
    out = np.full((count, len(skeleton), 3), np.nan, np.float32)
    out[..., 2] = 0
    return out


def floats(values: Any) -> np.ndarray:
    """What a file says of joints, as float32; what is too large for that is unknown, NaN.

    Raises:
      TypeError, ValueError, OverflowError: these are no numbers.
    """
    with np.errstate(over="ignore"):
        out = np.array(values, np.float32)
    out[np.isinf(out)] = np.nan
    return out


def convert(keypoints: np.ndarray, have: Skeleton, want: Skeleton) -> np.ndarray:
    """(n, k, 3) joints of one skeleton as joints of another, by name.

    A neck or mid-hip that `have` lacks is put between the shoulders or hips, and is as visible as the less
    visible one of them. Other joints that it lacks are unknown.
    """
    out = unknown(len(keypoints), want)
    for i, name in enumerate(want.keypoints):
        if name in have.keypoints:
            out[:, i] = keypoints[:, have.index(name)]
        elif name in _BETWEEN and set(_BETWEEN[name]) <= set(have.keypoints):
            ends = keypoints[:, [have.index(end) for end in _BETWEEN[name]]]
            out[:, i, :2] = ends[..., :2].mean(1)
            out[:, i, 2] = ends[..., 2].min(1)
    return out


def _convert_world(world: np.ndarray, have: Skeleton, want: Skeleton) -> np.ndarray:
    """`convert` for (n, k, 3) places in space."""
    # Depth by a second conversion, as an x.
    flat = convert(world, have, want)[..., :2]
    depth = convert(world[..., [2, 2, 2]], have, want)[..., :1]
    return np.concatenate([flat, depth], -1)


def places(numbers: Sequence[int]) -> list[int]:
    """Where the frames of these rising numbers stand in a clip: the first at 0, gaps kept.

    Where all numbers leave out the same ones (every fifth frame was looked at), these are no gaps.

    Raises:
      ValueError: a number comes twice or falls, or nearly all frames are missing.
    """
    steps = np.diff(np.array(numbers, object))
    if not np.all(steps > 0):
        raise ValueError("has a frame number twice, or out of order")
    step = int(np.gcd.reduce(steps)) if len(steps) else 1
    out = [(int(n) - int(numbers[0])) // step for n in numbers]
    if out[-1] > 100 * len(out):
        raise ValueError("nearly all frames between the first and the last number are missing")
    return out


@dataclasses.dataclass(frozen=True)
class PoseSequence:
    """Keypoints of one figure over time.

    Attributes:
      keypoints: (t, k, 3) float32: x, y, visibility; NaN coordinates and visibility 0 where unknown.
      skeleton: of the k joints.
      size: (height, width) of the frame in pixels.
      fps: frames per second.
      world: (t, k, 3) float32 metres about the middle of the hips, or None where the source knows no depth:
        x to the right of the picture, y down, z away from the camera; NaN where unknown.
    """

    keypoints: np.ndarray
    skeleton: Skeleton
    size: tuple[float, float]
    fps: float = 30.0
    world: np.ndarray | None = None

    def as_skeleton(self, skeleton: Skeleton) -> "PoseSequence":
        """The same poses in another skeleton's order, see `convert`."""
        keypoints = convert(self.keypoints, self.skeleton, skeleton)
        world = None if self.world is None else _convert_world(self.world, self.skeleton, skeleton)
        return dataclasses.replace(self, keypoints=keypoints, skeleton=skeleton, world=world)

    def resized(self, height: float, width: float) -> "PoseSequence":
        """The same poses in a frame of another size; another shape gets borders, nothing is stretched."""
        scale = min(height / self.size[0], width / self.size[1])
        offset = np.array([width - scale * self.size[1], height - scale * self.size[0]]) / 2
        out = self.keypoints.copy()
        out[..., :2] = out[..., :2] * scale + offset
        return dataclasses.replace(self, keypoints=out, size=(height, width))

    def as_people(self, names: list[str] | None = None) -> "People":
        """One figure in each picture; `names` of the pictures, none if None."""
        count = len(self.keypoints)
        worlds = None if self.world is None else list(self.world[:, None])
        frames, sizes = list(self.keypoints[:, None]), [self.size] * count
        return People(frames, self.skeleton, sizes, self.fps, names or [""] * count, worlds)


@dataclasses.dataclass(frozen=True)
class People:
    """Keypoints of everybody in the pictures of a clip or a set.

    Attributes:
      frames: (n, k, 3) float32 for each picture: its n figures, joints as in `PoseSequence`.
      skeleton: of the k joints.
      sizes: (height, width) of each picture in pixels.
      fps: frames per second.
      names: file names of the pictures, or "".
      worlds: of the same figures, see `PoseSequence.world`.
    """

    frames: list[np.ndarray]
    skeleton: Skeleton
    sizes: list[tuple[float, float]]
    fps: float
    names: list[str]
    worlds: list[np.ndarray] | None = None

    def as_skeleton(self, skeleton: Skeleton) -> "People":
        """The same poses in another skeleton's order, see `convert`."""
        frames = [convert(frame, self.skeleton, skeleton) for frame in self.frames]
        worlds = self.worlds and [_convert_world(world, self.skeleton, skeleton) for world in self.worlds]
        return dataclasses.replace(self, frames=frames, skeleton=skeleton, worlds=worlds)


def reach(frames: Sequence[np.ndarray]) -> tuple[float, float]:
    """Height and width of the smallest frame that reaches from the origin past every known joint."""
    known = [p[np.isfinite(p[..., :2]).all(-1), :2] for p in frames]
    farthest = np.concatenate([*known, np.ones((1, 2))]).max(0)
    return float(np.ceil(farthest[1])), float(np.ceil(farthest[0]))


def extent(points: np.ndarray) -> tuple[float, float, float, float]:
    """x, y, width and height of the box around the known joints of (k, 3); zeros if there are none."""
    known = points[np.isfinite(points[:, :2]).all(1), :2].astype(float)
    if not len(known):
        return 0.0, 0.0, 0.0, 0.0
    return (*known.min(0).tolist(), *np.ptp(known, axis=0).tolist())
