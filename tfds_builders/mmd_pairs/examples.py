"""Draws the examples of mmd_pairs.

Everything about an example follows from the config's seed and the example's place in the plan, so shards can
be written in any order, by any number of processes.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from anime_pt.avatars import keypoints, rasterise
from anime_pt.avatars.character import Character
from anime_pt.pose.skeletons import OPENPOSE_18
from tfds_builders.mmd_pairs import film, human
from tfds_builders.mmd_pairs.clips import Clip, Filmed, Performed, moment
from tfds_builders.unity_avatars import rendering
from tfds_builders.unity_avatars.pictures import png
from tfds_builders.unity_avatars.subjects import Subject

_CAMERA = 2  # Name of the random stream.


@dataclasses.dataclass(frozen=True)
class View:
    """How every example is drawn.

    Attributes:
      resolution: side of the square images in pixels.
      supersample: samples per pixel and axis.
      yaw, pitch: the camera of a clip from a seed turns uniformly within plus and minus these degrees.
    """

    resolution: int
    supersample: int
    yaw: float
    pitch: float

    def angles(self, clip: Clip) -> tuple[float, float]:
        """Yaw and pitch in degrees, the same for both figures and the whole clip; 0 for a filmed one."""
        if not isinstance(clip, Performed):
            return 0.0, 0.0
        turn = np.random.default_rng((clip.seed, _CAMERA))
        return turn.uniform(-self.yaw, self.yaw), turn.uniform(-self.pitch, self.pitch)


@dataclasses.dataclass(frozen=True)
class Examples:
    """The examples of one shard: (clip, subject, frame) by index. Pickles; called in the writer."""

    view: View
    clips: tuple[Clip, ...]
    subjects: tuple[Subject, ...]
    plan: tuple[tuple[int, int, int], ...]

    def __call__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        renderer = rendering.renderer(self.view.resolution, self.view.supersample)
        wanted = {c: tuple(sorted({f for i, _, f in self.plan if i == c})) for c, _, _ in self.plan}
        for c, s, frame in self.plan:
            clip, subject = self.clips[c], self.subjects[s]
            key = f"{clip.name}/{subject.character}/{subject.costume}/{frame:06d}"
            yield key, _example(renderer, clip, subject, frame, self.view, wanted[c])


def _example(
    renderer: rasterise.Renderer,
    clip: Clip,
    subject: Subject,
    frame: int,
    view: View,
    wanted: tuple[int, ...],
) -> dict[str, Any]:
    yaw, pitch = view.angles(clip)
    seconds = clip.motion_seconds(frame)
    character = rendering.loaded(subject)
    anime = _draw(renderer, character, _performance(clip, subject), seconds, yaw, pitch)
    if isinstance(clip, Filmed):
        cut = film.cuts(clip, wanted, view.resolution)[frame]
        of_human = film.example(clip, frame, cut, view.resolution)
    else:
        figure = _figure(clip.seed)
        drawn = _draw(renderer, figure, _motion(clip).on(figure), seconds, yaw, pitch)
        of_human = {f"human_{k}": v for k, v in drawn.items()}
        of_human["human_keypoints"] = drawn["keypoints"][: len(OPENPOSE_18)]
    return {
        **{f"anime_{k}": v for k, v in anime.items()},
        **of_human,
        "character": subject.character,
        "costume": subject.costume,
        "motion": clip.name,
        "frame": np.int32(frame),
        "seconds": np.float32(frame / clip.fps),
        "fps": np.float32(clip.fps),
        "camera": {"yaw": np.float32(yaw), "pitch": np.float32(pitch)},
    }


def _draw(
    renderer: rasterise.Renderer, character: Character, performance, seconds: float, yaw: float, pitch: float
) -> dict[str, Any]:
    """Features of a figure: image and mask as PNG bytes, keypoints, joints, camera matrix."""
    globals_, morphed = moment(character, performance, seconds)
    frame, seen_by = rendering.picture(renderer, character, globals_, morphed, yaw, pitch)
    return {
        "image": png(frame.over((255, 255, 255))),
        "mask": png(frame.image[..., 3:]),
        "keypoints": keypoints.project(character, globals_, seen_by, frame),
        "joints": keypoints.positions(character, globals_).astype(np.float32),
        "camera": seen_by.matrix.astype(np.float32),
    }


@functools.lru_cache(maxsize=2)
def _figure(seed: int) -> Character:
    return human.build(seed)


@functools.lru_cache(maxsize=2)
def _motion(clip: Clip):
    return clip.motion()


@functools.lru_cache(maxsize=4)
def _performance(clip: Clip, subject: Subject):
    return _motion(clip).on(rendering.loaded(subject))
