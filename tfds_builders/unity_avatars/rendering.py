"""Renders the examples of `unity_avatars`: which character, in which pose, seen from where.

Everything about an example follows from the config's seed and the example's place in the plan, so shards can
be written in any order, by any number of processes, and any example can be rendered when it is read.
"""

import collections
import dataclasses
import functools
import hashlib
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from anime_pt.avatars import camera, keypoints, motions, poses, rasterise, rig
from anime_pt.avatars.character import Character, Terms
from anime_pt.avatars.morphs import Morphed
from tfds_builders.unity_avatars import actions
from tfds_builders.unity_avatars.actions import Clip
from tfds_builders.unity_avatars.examples import Examples
from tfds_builders.unity_avatars.subjects import Subject

# Names of the random streams, so that one more draw in one of them moves no other.
_POSE, _CAMERA, _LIGHT, _STYLE = 1, 2, 3, 4
# Of characters that a process keeps at hand; a procedural one takes 5 MB, an MMD model up to 100.
_CACHE_BYTES = 1 << 30
# Motions that each of them stays fitted to.
_PERFORMANCES = 16


@dataclasses.dataclass(frozen=True)
class View:
    """How every example is drawn.

    Attributes:
      resolution: side of the square image in pixels.
      supersample: samples per pixel and axis.
      yaw, pitch: the camera turns uniformly within plus and minus these degrees.
      light: the light turns to the side and up or down, uniformly within plus and minus these degrees.
      shared_poses: all subjects take the same poses, seen from the same side.
      seed: of poses, cameras and lights.
      styled: every picture has outlines, a lens and a framing of its own, see `_styled`; the camera turns far
        less often than a little.
    """

    resolution: int
    supersample: int
    yaw: float
    pitch: float
    light: float
    shared_poses: bool
    seed: int
    styled: bool = False


@dataclasses.dataclass(frozen=True)
class Subjects(Examples):
    """Every subject in every pose, subject by subject.

    Attributes:
      view: how they are drawn.
      subjects: who is drawn.
      poses: how many poses each subject takes.
      clips: the motions that poses are cut from; without any, poses are drawn at random.
    """

    view: View
    subjects: tuple[Subject, ...]
    poses: int
    clips: tuple[Clip, ...] = ()

    def __len__(self) -> int:
        return len(self.subjects) * self.poses

    def make(self, index: int) -> tuple[str, dict[str, Any]]:
        place, pose = divmod(index, self.poses)
        subject = self.subjects[place]
        action = actions.moment(self.clips, pose, self.poses) if self.clips else None
        return f"{subject.character}/{subject.costume}/{pose:05d}", render(subject, pose, self.view, action)

    def cut(self, start: int, stop: int) -> tuple["Subjects", int]:
        first, last = start // self.poses, -(-stop // self.poses)
        return dataclasses.replace(self, subjects=self.subjects[first:last]), start - first * self.poses

    def files(self) -> tuple[tuple[str, Terms], ...]:
        models = [(subject.path, subject.terms) for subject in self.subjects if subject.path]
        return (*models, *((clip.path, Terms()) for clip in self.clips))

    def pose(self, index: int) -> int | None:
        return index % self.poses if self.view.shared_poses or self.clips else None

    def who(self) -> Iterator[tuple[str, str, int]]:
        return ((subject.character, subject.costume, self.poses) for subject in self.subjects)


class Characters:
    """The characters of this process that were used last, within a limit of memory."""

    def __init__(self, limit: int):
        """Keeps characters of `limit` bytes in all, and at least one."""
        self._limit, self._used = limit, 0
        self._kept: collections.OrderedDict[Subject, tuple[Character, int]] = collections.OrderedDict()
        self._lock = threading.Lock()

    def get(self, subject: Subject) -> Character:
        """The character of a subject, loaded unless it is kept."""
        with self._lock:
            if subject in self._kept:
                self._kept.move_to_end(subject)
                return self._kept[subject][0]
        # Without the lock: other threads go on drawing theirs.
        character = subject.load()
        parts = (character, *character.materials, *character.morphs)
        arrays = {id(v): v for part in parts for v in vars(part).values() if isinstance(v, np.ndarray)}
        # Twice: the renderer packs a copy.
        size = 2 * sum(array.nbytes for array in arrays.values())
        with self._lock:
            if subject not in self._kept:
                self._kept[subject] = character, size
                self._used += size
            while self._used > self._limit and len(self._kept) > 1:
                self._used -= self._kept.popitem(last=False)[1][1]
        return character


_characters = Characters(_CACHE_BYTES)
_of_thread = threading.local()


def loaded(subject: Subject) -> Character:
    """The character of a subject; those used last are kept."""
    return _characters.get(subject)


def renderer(size: int, supersample: int) -> rasterise.Renderer:
    """This thread's renderer, which keeps its buffers between frames."""
    kept = getattr(_of_thread, "renderer", None)
    if kept is None or (kept.height, kept.width, kept.supersample) != (size, size, supersample):
        kept = _of_thread.renderer = rasterise.Renderer(size, supersample)
    return kept


def _performance(character: Character, clip: Clip) -> motions.Performance:
    # Kept with the character, as a performance holds on to it.
    perform = functools.lru_cache(maxsize=_PERFORMANCES)(lambda c: actions.load(c).on(character))
    return character.derived.setdefault("perform", perform)(clip)


def render(
    subject: Subject, pose_index: int, view: View, action: tuple[Clip, float] | None = None
) -> dict[str, Any]:
    """One example: features of `unity_avatars`, images as arrays.

    Args:
      subject: who is drawn.
      pose_index: decides on the pose, the camera and the light.
      view: how.
      action: clip and seconds that decide on the pose instead.
    """
    character = loaded(subject)
    who = () if view.shared_poses else (_stable_number(subject.character), _stable_number(subject.costume))
    draw = lambda stream: np.random.default_rng((view.seed, stream, pose_index, *who))
    turn = draw(_CAMERA)
    yaw, pitch = turn.uniform(-view.yaw, view.yaw), turn.uniform(-view.pitch, view.pitch)
    if view.styled:
        # Drawn characters mostly face the viewer: a fifth is left beyond a right angle of 180 degrees.
        yaw = view.yaw * (yaw / view.yaw) ** 3 if view.yaw else 0.0
    light = (
        _turned_light(*draw(_LIGHT).uniform(-view.light, view.light, 2)) if view.light else rasterise.LIGHT
    )

    if action:
        clip, seconds = action
        globals_, morphed = motions.moment(character, _performance(character, clip), seconds)
        parameters = np.full(poses.FLAT_SIZE, np.nan, np.float32)
    else:
        clip, seconds, morphed = None, 0.0, None
        pose = poses.sample(draw(_POSE))
        globals_, parameters = rig.pose(character, pose), pose.to_array()
    drawing = renderer(view.resolution, view.supersample)
    if view.styled:
        frame, seen_by = _styled(drawing, character, globals_, morphed, yaw, pitch, light, draw(_STYLE))
    else:
        frame, seen_by = picture(
            drawing, character, globals_, morphed, yaw, pitch, light=light, walks=clip is not None
        )
    return {
        "image": frame.over((255, 255, 255)),
        "mask": frame.image[..., 3:],
        "keypoints": keypoints.project(character, globals_, seen_by, frame).astype(np.float32),
        "character": subject.character,
        "costume": subject.costume,
        "motion": clip.name if clip else "",
        "pose": {
            "index": np.int32(pose_index),
            "parameters": parameters,
            "seconds": np.float32(seconds),
        },
        "camera": {
            "yaw": np.float32(yaw),
            "pitch": np.float32(pitch),
            "matrix": seen_by.matrix.astype(np.float32),
        },
        "light": np.asarray(light, np.float32),
    }


def picture(
    drawing: rasterise.Renderer,
    character: Character,
    globals_: np.ndarray,
    morphed: Morphed | None,
    yaw: float,
    pitch: float,
    light: tuple[float, float, float] = rasterise.LIGHT,
    walks: bool = True,
) -> tuple[rasterise.Frame, camera.Camera]:
    """A square picture with the whole figure in it, and the camera that sees it so.

    One scale per character keeps it steady in motion; a figure that would leave the picture is centred, and
    gets less if that is not enough.

    Args:
      drawing: of the size of the picture.
      character, globals_, morphed, light: as for `Renderer.render`.
      yaw, pitch: of the camera in degrees.
      walks: the camera goes with the hips, but does not rise and sink with them.
    """
    size = drawing.height
    seen_by = camera.still(character, size, yaw=yaw, pitch=pitch)
    if walks:
        hips = globals_[character.humanoid["hips"], :3, 3]
        seen_by = dataclasses.replace(seen_by, center=(float(hips[0]), seen_by.center[1], float(hips[2])))
    frame = drawing.render(character, globals_, seen_by, light=light, morphed=morphed)
    if _touches_border(frame.image[..., 3]):
        fitted = camera.fit(character, globals_, size, yaw=yaw, pitch=pitch, margin=0.02, morphed=morphed)
        seen_by = dataclasses.replace(fitted, scale=min(fitted.scale, seen_by.scale))
        frame = drawing.render(character, globals_, seen_by, light=light, morphed=morphed)
    return frame, seen_by


def _styled(
    drawing: rasterise.Renderer,
    character: Character,
    globals_: np.ndarray,
    morphed: Morphed | None,
    yaw: float,
    pitch: float,
    light: tuple[float, float, float],
    rng: np.random.Generator,
) -> tuple[rasterise.Frame, camera.Camera | camera.Perspective]:
    """A square picture that the figure fills, with outlines of 0 to 3 pixels (none in one of eight), half of
    them through a lens of 15 to 55 degrees; arguments as `picture`."""
    outline = rng.uniform(0.3, 3.0) if rng.random() < 7 / 8 else 0.0
    fov = rng.uniform(15, 55) if rng.random() < 0.5 else None
    margin = rng.uniform(0.02, 0.1)
    seen_by = camera.fit(
        character, globals_, drawing.height, yaw=yaw, pitch=pitch, fov=fov, margin=margin, morphed=morphed
    )
    return drawing.render(
        character, globals_, seen_by, outline=outline, light=light, morphed=morphed
    ), seen_by


def _turned_light(sideways: float, upwards: float) -> tuple[float, float, float]:
    """The default light, turned by degrees about the vertical axis and away from the horizon."""
    x, y, z = rasterise.LIGHT
    yaw = np.arctan2(x, z) + np.radians(sideways)
    pitch = np.clip(np.arctan2(y, np.hypot(x, z)) + np.radians(upwards), -np.pi / 2, np.pi / 2)
    length = np.linalg.norm(rasterise.LIGHT)
    flat = np.cos(pitch)
    return tuple((length * np.array([flat * np.sin(yaw), np.sin(pitch), flat * np.cos(yaw)])).tolist())


def _touches_border(alpha: np.ndarray) -> bool:
    return bool(alpha[0].any() or alpha[-1].any() or alpha[:, 0].any() or alpha[:, -1].any())


def _stable_number(name: str) -> int:
    # Not hash(), which differs between processes.
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
