"""Renders the examples of `unity_avatars`: which character, in which pose, seen from where.

Everything about an example follows from the config's seed and the example's place in the plan, so shards can
be written in any order, by any number of processes, and any example can be rendered when it is read.
"""

import collections
import dataclasses
import hashlib
import itertools
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from anime_pt.avatars import camera, keypoints, poses, rasterise, rig
from anime_pt.avatars.character import Character
from tfds_builders.unity_avatars.subjects import Subject

# Names of the random streams, so that one more draw in one of them moves no other.
_POSE, _CAMERA, _LIGHT = 1, 2, 3
# Of characters that a process keeps at hand; a procedural one takes 5 MB, an MMD model up to 100.
_CACHE_BYTES = 1 << 30


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
    """

    resolution: int
    supersample: int
    yaw: float
    pitch: float
    light: float
    shared_poses: bool
    seed: int


@dataclasses.dataclass(frozen=True)
class Examples(Sequence):
    """A split: every subject in every pose, subject by subject, as TFDS reads them back. Pickles.

    Attributes:
      view: how they are drawn.
      subjects: who is drawn.
      poses: how many poses each subject takes.
    """

    view: View
    subjects: tuple[Subject, ...]
    poses: int

    def __len__(self) -> int:
        return len(self.subjects) * self.poses

    def __getitem__(self, index: int) -> dict[str, Any]:
        return _as_read(self.render(index))

    def render(self, index: int) -> dict[str, Any]:
        """The features of an example, images as arrays; raises IndexError outside the split."""
        if not 0 <= index < len(self):
            raise IndexError(f"example {index} of {len(self)}")
        subject, pose = divmod(index, self.poses)
        return render(self.subjects[subject], pose, self.view)

    def written(self, start: int, stop: int) -> Iterator[tuple[str, dict[str, Any]]]:
        """Keys and features of some examples, images as PNG."""
        for index in range(start, stop):
            example = self.render(index)
            key = f"{example['character']}/{example['costume']}/{example['pose']['index']:05d}"
            yield key, example | {name: png(example[name]) for name in ("image", "mask")}

    def pieces(self, size: int) -> list["Piece"]:
        """Cuts the split into runs of about `size` examples, equal but for one."""
        bounds = np.linspace(0, len(self), max(1, round(len(self) / size)) + 1).round().astype(int).tolist()
        out = []
        for start, stop in itertools.pairwise(bounds):
            first, last = start // self.poses, -(-stop // self.poses)
            few = dataclasses.replace(self, subjects=self.subjects[first:last])
            out.append(Piece(few, start - first * self.poses, stop - first * self.poses))
        return out


@dataclasses.dataclass(frozen=True)
class Piece:
    """The examples of one shard. Pickles; called in the writer."""

    examples: Examples
    start: int
    stop: int

    def __call__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        return self.examples.written(self.start, self.stop)


def _as_read(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_read(v) for name, v in value.items()}
    if isinstance(value, str):
        return value.encode()
    return value.item() if isinstance(value, np.generic) else value


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
        arrays = [v for v in vars(character).values() if isinstance(v, np.ndarray)]
        images = {
            id(t): t for m in character.materials for t in vars(m).values() if isinstance(t, np.ndarray)
        }
        # Twice: the renderer packs a copy.
        size = 2 * sum(a.nbytes for a in (*arrays, *images.values()))
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


def render(subject: Subject, pose_index: int, view: View) -> dict[str, Any]:
    """One example: features of `unity_avatars`, images as arrays."""
    character = loaded(subject)
    who = () if view.shared_poses else (_stable_number(subject.character), _stable_number(subject.costume))
    draw = lambda stream: np.random.default_rng((view.seed, stream, pose_index, *who))
    pose, turn = poses.sample(draw(_POSE)), draw(_CAMERA)
    yaw, pitch = turn.uniform(-view.yaw, view.yaw), turn.uniform(-view.pitch, view.pitch)
    light = (
        _turned_light(*draw(_LIGHT).uniform(-view.light, view.light, 2)) if view.light else rasterise.LIGHT
    )

    globals_ = rig.pose(character, pose)
    seen_by = camera.still(character, view.resolution, yaw=yaw, pitch=pitch)
    drawing = renderer(view.resolution, view.supersample)
    frame = drawing.render(character, globals_, seen_by, light=light)
    if touches_border(frame.image[..., 3]):
        # One scale per character keeps it steady in motion; a figure that would leave the picture is
        # centred, and gets less if that is not enough.
        fitted = camera.fit(character, globals_, view.resolution, yaw=yaw, pitch=pitch, margin=0.02)
        seen_by = dataclasses.replace(fitted, scale=min(fitted.scale, seen_by.scale))
        frame = drawing.render(character, globals_, seen_by, light=light)
    return {
        "image": frame.over((255, 255, 255)),
        "mask": frame.image[..., 3:],
        "keypoints": keypoints.project(character, globals_, seen_by, frame).astype(np.float32),
        "character": subject.character,
        "costume": subject.costume,
        "pose": {"index": np.int32(pose_index), "parameters": pose.to_array()},
        "camera": {
            "yaw": np.float32(yaw),
            "pitch": np.float32(pitch),
            "matrix": seen_by.matrix.astype(np.float32),
        },
        "light": np.asarray(light, np.float32),
    }


def _turned_light(sideways: float, upwards: float) -> tuple[float, float, float]:
    """The default light, turned by degrees about the vertical axis and away from the horizon."""
    x, y, z = rasterise.LIGHT
    yaw = np.arctan2(x, z) + np.radians(sideways)
    pitch = np.clip(np.arctan2(y, np.hypot(x, z)) + np.radians(upwards), -np.pi / 2, np.pi / 2)
    length = np.linalg.norm(rasterise.LIGHT)
    flat = np.cos(pitch)
    return tuple((length * np.array([flat * np.sin(yaw), np.sin(pitch), flat * np.cos(yaw)])).tolist())


def touches_border(alpha: np.ndarray) -> bool:
    """Whether a figure's coverage (h, w) reaches the edge of the picture."""
    return bool(alpha[0].any() or alpha[-1].any() or alpha[:, 0].any() or alpha[:, -1].any())


def _stable_number(name: str) -> int:
    # Not hash(), which differs between processes.
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")


def png(image: np.ndarray) -> bytes:
    """An image (h, w, c) uint8, of one channel or RGB, as PNG."""
    ok, data = cv2.imencode(".png", image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 4])
    if not ok:
        raise ValueError(f"could not encode an image of shape {image.shape}")
    return data.tobytes()
