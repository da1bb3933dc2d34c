"""A character that performs a motion before a camera: pictures, and exactly where its joints are in them.

character = files.load("miku.pmx")
clip = Clip.of(character, motions.load("dance.vmd"), size=(512, 512), fps=24)
view = fitted(clip)
for shot in shots(clip, view):
    shot.frame.image, shot.keypoints
"""

import collections
import concurrent.futures
import dataclasses
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from anime_pt.avatars import camera, keypoints, motions, rasterise
from anime_pt.avatars.camera import Camera, Perspective
from anime_pt.avatars.character import Character
from anime_pt.avatars.morphs import Morphed
from anime_pt.avatars.motions import Motion, Performance
from anime_pt.avatars.rasterise import Frame

# Longer clips are a slip of the keyboard.
_MOST_FRAMES = 1_000_000
# Where the camera is at a time in seconds.
View = Callable[[float], Camera | Perspective]


@dataclasses.dataclass(frozen=True)
class Clip:
    """What is drawn, and when.

    Attributes:
      character: who.
      performance: of the character.
      size: (height, width) in pixels.
      fps: frames per second.
      count: how many frames.
      start: time of the first frame in the motion, seconds.
      supersample, outline, light: see `rasterise.Renderer`.
    """

    character: Character
    performance: Performance
    size: tuple[int, int]
    fps: Fraction
    count: int
    start: float = 0.0
    supersample: int = 2
    outline: float = 1.0
    light: tuple[float, float, float] = rasterise.LIGHT

    @classmethod
    def of(
        cls,
        character: Character,
        motion: Motion,
        size: tuple[int, int],
        fps: float | Fraction,
        start: float = 0.0,
        count: int | None = None,
        **looks,
    ) -> "Clip":
        """The clip of a motion from `start` seconds on, to its end unless `count` frames are asked for.

        Past its end a motion holds its last pose.

        Raises:
          ValueError: `start` is not in the motion, or there would be no frames or over a million.
        """
        length = motion.frames / motion.fps
        if not 0 <= start < length:
            raise ValueError(f"the motion {motion.name} lasts {length:g} seconds; it has no moment {start:g}")
        fps = Fraction(fps)
        if count is None:
            count = max(1, round((length - start) * fps))
        if not 1 <= count <= _MOST_FRAMES:
            raise ValueError(f"a clip has from 1 to {_MOST_FRAMES:,} frames, not {count:,}")
        return cls(character, motion.on(character), size, fps, count, start, **looks)

    def times(self) -> list[float]:
        """Moments of the frames in the motion, in seconds."""
        return [self.start + float(i / self.fps) for i in range(self.count)]

    def moment(self, seconds: float) -> tuple[np.ndarray, Morphed | None]:
        """Transforms of the bones (b, 4, 4), and what morphs make of the character, at a time."""
        return motions.moment(self.character, self.performance, seconds)


class Shot(NamedTuple):
    """A picture, and the (20, 3) keypoints of `pose.skeletons.AVATAR_20` in its pixels."""

    frame: Frame
    keypoints: np.ndarray


def fitted(
    clip: Clip,
    yaw: float = 0.0,
    pitch: float = 0.0,
    roll: float = 0.0,
    margin: float = 0.06,
    fov: float | None = None,
    progress: Callable[[Iterable[float]], Iterable[float]] = iter,
) -> View:
    """One camera from which the whole figure is seen all the time; arguments as `camera.fit_clip`.

    `progress` wraps the moments that are looked at.
    """

    def moments():
        for seconds in progress(clip.times()):
            yield clip.moment(seconds)

    seen_from = camera.fit_clip(clip.character, moments(), clip.size, yaw, pitch, roll, margin, fov)
    return lambda seconds: seen_from


def still(clip: Clip, yaw: float = 0.0, pitch: float = 0.0) -> View:
    """A camera that knows nothing of the motion: the standing figure, with room to move."""
    height, width = clip.size
    square = camera.still(clip.character, min(height, width), yaw, pitch)
    seen_from = dataclasses.replace(square, width=width, height=height)
    return lambda seconds: seen_from


def shots(clip: Clip, view: View, first: int = 0, threads: int = 2) -> Iterator[Shot]:
    """The clip's pictures from number `first` on, in order.

    Args:
      clip: what to draw.
      view: where from.
      first: number of the first picture.
      threads: how many draw at once; pictures do not depend on it.
    """
    own = threading.local()

    def shot(seconds: float) -> Shot:
        if not hasattr(own, "renderer"):
            own.renderer = rasterise.Renderer(clip.size, clip.supersample)
        seen_from = view(seconds)
        globals_, morphed = clip.moment(seconds)
        frame = own.renderer.render(
            clip.character, globals_, seen_from, outline=clip.outline, light=clip.light, morphed=morphed
        )
        return Shot(frame, keypoints.project(clip.character, globals_, seen_from, frame))

    times = iter(clip.times()[first:])
    # What a character keeps of itself is computed by the first picture, before threads share it.
    yield from map(shot, itertools.islice(times, 1))
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        waiting = collections.deque(pool.submit(shot, t) for t in itertools.islice(times, threads + 1))
        try:
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(shot, t) for t in itertools.islice(times, 1))
        finally:
            pool.shutdown(cancel_futures=True)


def box(frame: Frame) -> tuple[int, int, int, int]:
    """x, y, width and height in pixels of what is drawn; zeros for an empty picture."""
    rows, columns = (np.flatnonzero(frame.image[..., 3].any(axis)) for axis in (1, 0))
    if not len(rows):
        return 0, 0, 0, 0
    x, y = int(columns[0]), int(rows[0])
    return x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y
