"""Keypoints over time: of one figure (`PoseSequence`) and of all figures in a file (`People`)."""

import dataclasses

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


@dataclasses.dataclass(frozen=True)
class PoseSequence:
    """Keypoints of one figure over time.

    Attributes:
      keypoints: (t, k, 3) float32: x, y, visibility; NaN coordinates and visibility 0 where unknown.
      skeleton: of the k joints.
      size: (height, width) of the frame in pixels.
      fps: frames per second.
    """

    keypoints: np.ndarray
    skeleton: Skeleton
    size: tuple[float, float]
    fps: float = 30.0

    def as_skeleton(self, skeleton: Skeleton) -> "PoseSequence":
        """The same poses in another skeleton's order, see `convert`."""
        keypoints = convert(self.keypoints, self.skeleton, skeleton)
        return dataclasses.replace(self, keypoints=keypoints, skeleton=skeleton)

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
        return People(
            list(self.keypoints[:, None]), self.skeleton, [self.size] * count, self.fps, names or [""] * count
        )


@dataclasses.dataclass(frozen=True)
class People:
    """Keypoints of everybody in the pictures of a clip or a set.

    Attributes:
      frames: (n, k, 3) float32 for each picture: its n figures, joints as in `PoseSequence`.
      skeleton: of the k joints.
      sizes: (height, width) of each picture in pixels.
      fps: frames per second.
      names: file names of the pictures, or "".
    """

    frames: list[np.ndarray]
    skeleton: Skeleton
    sizes: list[tuple[float, float]]
    fps: float
    names: list[str]

    def as_skeleton(self, skeleton: Skeleton) -> "People":
        """The same poses in another skeleton's order, see `convert`."""
        frames = [convert(frame, self.skeleton, skeleton) for frame in self.frames]
        return dataclasses.replace(self, frames=frames, skeleton=skeleton)

    def main(self) -> PoseSequence:
        """One figure through the clip: the largest of the first picture that has any, then the nearest.

        Nearest is the least mean distance over the joints that are known in both; where a picture has nobody,
        its joints are unknown.

        Raises:
          ValueError: there are no pictures, or they are of several sizes.
        """
        sizes = sorted(set(self.sizes))
        if not sizes:
            raise ValueError("there are no pictures")
        if len(sizes) > 1:
            few = ", ".join(f"{w:g}x{h:g}" for h, w in sizes[:3])
            raise ValueError(f"pictures are of several sizes ({few}), so they are no clip")
        out, last = unknown(len(self.frames), self.skeleton), None
        for i, people in enumerate(self.frames):
            if len(people):
                last = out[i] = people[_largest(people) if last is None else _nearest(people, last)]
        return PoseSequence(out, self.skeleton, sizes[0], self.fps)


def extent(points: np.ndarray) -> tuple[float, float, float, float]:
    """x, y, width and height of the box around the known joints of (k, 3); zeros if there are none."""
    known = points[np.isfinite(points[:, :2]).all(1), :2].astype(float)
    if not len(known):
        return 0.0, 0.0, 0.0, 0.0
    return (*known.min(0).tolist(), *np.ptp(known, axis=0).tolist())


def _largest(people: np.ndarray) -> int:
    return int(np.argmax([w * h for _, _, w, h in map(extent, people)]))


def _nearest(people: np.ndarray, last: np.ndarray) -> int:
    distances = np.linalg.norm(people[..., :2] - last[:, :2], axis=-1)
    known = np.isfinite(distances)
    sums = np.where(known, distances, 0).sum(1)
    return int(np.argmin(np.where(known.any(1), sums / np.maximum(known.sum(1), 1), np.inf)))
