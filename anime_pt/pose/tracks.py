"""Who is who: the figures of a clip's frames joined into tracks, one for each person.

From frame to frame a track goes on with the figure that is nearest to where its person was heading: by the
shift of the torso (of all joints where too little of it is seen) in body sizes, by how little the boxes
overlap, and by how differently the joints stand about the torso. The pairs of a frame are chosen together, so
that one track does not take another's figure. A person may be lost for a while; who is found nowhere near
anybody is somebody new.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Int
from scipy import optimize

from anime_pt.pose.sequences import People, PoseSequence, extent, unknown

_TORSO = ("left_shoulder", "right_shoulder", "left_hip", "right_hip", "neck", "mid_hip")
# Body sizes by which a person may miss the expected place: at once, for each second, and at most.
_REACH, _SPEED, _FARTHEST = 0.3, 4.0, 1.5
# Of a track's motion, what is kept in each frame without a figure: people stop.
_COASTING = 0.9
_OVERLAP, _STANCE = 0.5, 0.5
_NEVER = 1e6


@dataclasses.dataclass(frozen=True)
class Track:
    """One person through a clip.

    Attributes:
      frames: (m,) rising numbers of the frames in which the person was found.
      figures: (m,) which of the frame's figures it is.
      size: median diagonal of the box around the joints, pixels.
    """

    frames: Int[np.ndarray, "m"]
    figures: Int[np.ndarray, "m"]
    size: float

    def __str__(self) -> str:
        return (
            f"found in {len(self.frames)} frames from {self.frames[0]} to {self.frames[-1]}, "
            f"about {self.size:.0f} pixels large"
        )


def find(people: People, seconds: float = 2.0) -> list[Track]:
    """The tracks of a clip, the most prominent first: by the sum of their sizes over all frames.

    Args:
      people: the figures of its frames.
      seconds: for which a person may be lost.
    """
    torso = [i for i, name in enumerate(people.skeleton.keypoints) if name in _TORSO]
    longest = max(1, round(seconds * people.fps))
    tracks: list[_Trace] = []
    for number, figures in enumerate(people.frames):
        rows = [i for i, points in enumerate(figures) if np.isfinite(points[:, :2]).all(1).any()]
        active = [t for t in tracks if number - t.frames[-1] <= longest]
        costs = np.full((len(active), len(rows)), _NEVER)
        for i, trace in enumerate(active):
            for j, row in enumerate(rows):
                costs[i, j] = trace.cost(figures[row], number, torso, people.fps)
        free = set(range(len(rows)))
        for i, j in zip(*optimize.linear_sum_assignment(costs), strict=True):
            if costs[i, j] < _NEVER:
                active[i].add(number, rows[j], figures[rows[j]], torso)
                free.discard(int(j))
        tracks += [_Trace(number, rows[j], figures[rows[j]]) for j in sorted(free)]
    done = [Track(np.array(t.frames), np.array(t.figures), float(np.median(t.sizes))) for t in tracks]
    return sorted(done, key=lambda t: -len(t.frames) * t.size)


def follow(people: People, person: int | None = None, seconds: float = 2.0) -> PoseSequence:
    """One person through a clip; the joints of frames without this person are unknown.

    Args:
      people: the figures of its frames.
      person: number in the order of `find`; None: the most prominent one, or nobody if there is nobody.
      seconds: see `find`.

    Raises:
      ValueError: there are no pictures, they are of several sizes, or there is no such person.
    """
    sizes = sorted(set(people.sizes))
    if not sizes:
        raise ValueError("there are no pictures")
    if len(sizes) > 1:
        few = ", ".join(f"{w:g}x{h:g}" for h, w in sizes[:3])
        raise ValueError(f"pictures are of several sizes ({few}), so they are no clip")
    found = find(people, seconds)
    if person is not None and not 0 <= person < len(found):
        known = "; ".join(f"{i}: {track}" for i, track in enumerate(found[:5])) or "nobody was found"
        raise ValueError(f"there is no person {person} ({known})")
    out = unknown(len(people.frames), people.skeleton)
    world = None if people.worlds is None else np.full_like(out, np.nan)
    if found:
        track = found[person or 0]
        for frame, figure in zip(track.frames, track.figures, strict=True):
            out[frame] = people.frames[frame][figure]
            if world is not None:
                world[frame] = people.worlds[frame][figure]
    return PoseSequence(out, people.skeleton, sizes[0], people.fps, world)


class _Trace:
    """A track that is being made."""

    def __init__(self, frame: int, figure: int, points: Float[np.ndarray, "k 3"]):
        self.frames, self.figures = [frame], [figure]
        self.points, self.velocity = points[:, :2].astype(float), np.zeros(2)
        self.sizes = [_diagonal(points)]
        self.size = max(self.sizes[0], 1.0)

    def cost(self, points: Float[np.ndarray, "k 3"], frame: int, torso: list[int], fps: float) -> float:
        """How unlike the expected one a figure is; `_NEVER` if it is too far away."""
        steps = frame - self.frames[-1]
        travel = self.velocity * (1 - _COASTING**steps) / (1 - _COASTING)
        expected = self.points + travel
        offsets = points[:, :2] - expected
        shift, common = _shift(offsets, expected, points, torso)
        distance = float(np.linalg.norm(shift)) / self.size
        if distance > min(_REACH + _SPEED * steps / fps, _FARTHEST):
            return _NEVER
        stance = np.linalg.norm(offsets[common] - shift, axis=1).mean() / self.size if common.any() else 1.0
        return distance + _OVERLAP * (1 - _overlap(expected, points)) + _STANCE * float(stance)

    def add(self, frame: int, figure: int, points: Float[np.ndarray, "k 3"], torso: list[int]) -> None:
        """Goes on with a figure."""
        shift, _ = _shift(points[:, :2] - self.points, self.points, points, torso)
        self.velocity = (self.velocity + shift / (frame - self.frames[-1])) / 2
        # Joints that are not seen now are about where they were.
        seen = np.isfinite(points[:, :2]).all(1)
        self.points = np.where(seen[:, None], points[:, :2], self.points + shift)
        self.frames.append(frame)
        self.figures.append(figure)
        self.sizes.append(_diagonal(points))
        # A figure of which little is seen is no smaller.
        self.size = max(0.98 * self.size, self.sizes[-1])


def _shift(offsets, before, points, torso) -> tuple[np.ndarray, np.ndarray]:
    """By what a figure moved as a whole, and (k,) which joints are known before and after."""
    common = np.isfinite(offsets).all(1)
    body = common[torso]
    if body.sum() >= 2:
        return np.median(offsets[torso][body], 0), common
    if common.any():
        return np.median(offsets[common], 0), common
    middle = lambda p: np.nanmean(np.where(np.isfinite(p[:, :2]), p[:, :2], np.nan), 0)
    return middle(points) - middle(before), common


def _diagonal(points: np.ndarray) -> float:
    return float(np.hypot(*extent(points)[2:]))


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of the boxes around two figures."""
    (ax, ay, aw, ah), (bx, by, bw, bh) = extent(a), extent(b)
    w, h = min(ax + aw, bx + bw) - max(ax, bx), min(ay + ah, by + bh) - max(ay, by)
    shared = max(w, 0.0) * max(h, 0.0)
    return shared / max(aw * ah + bw * bh - shared, 1e-9)
