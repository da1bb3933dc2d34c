"""Renders the examples of `unity_avatars`: which character, in which pose, seen from where.

Everything about an example follows from the config's seed and the example's place in the plan, so shards can
be written in any order, by any number of processes.
"""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from anime_pt.avatars import camera, keypoints, mmd, poses, procedural, rasterise, rig, textures
from anime_pt.avatars.character import Character

# Names of the random streams, so that one more draw in one of them moves no other.
_POSE, _CAMERA = 1, 2


@dataclasses.dataclass(frozen=True)
class Subject:
    """One costume of one character.

    Attributes:
      character: identity; splits never share one.
      costume: name, unique within the character.
      seed: of a procedural character, or -1.
      costume_seed: of a procedural costume.
      path: of a model file, or "".
      stamp: size and time of that file: a build that continues must not mix two of its versions.
    """

    character: str
    costume: str
    seed: int = -1
    costume_seed: int = 0
    path: str = ""
    stamp: tuple[int, int] = (0, 0)

    def load(self) -> Character:
        return mmd.load(self.path) if self.path else procedural.build(self.seed, self.costume_seed)


@dataclasses.dataclass(frozen=True)
class View:
    """How every example is drawn.

    Attributes:
      resolution: side of the square image in pixels.
      supersample: samples per pixel and axis.
      yaw, pitch: the camera turns uniformly within plus and minus these degrees.
      shared_poses: all subjects take the same poses, seen from the same side.
      seed: of poses and cameras.
    """

    resolution: int
    supersample: int
    yaw: float
    pitch: float
    shared_poses: bool
    seed: int


@dataclasses.dataclass(frozen=True)
class Examples:
    """The examples of one shard: pairs of (subject index, pose index). Pickles; called in the writer."""

    view: View
    subjects: tuple[Subject, ...]
    plan: tuple[tuple[int, int], ...]

    def __call__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        renderer = rasterise.Renderer(size=self.view.resolution, supersample=self.view.supersample)
        for subject_index, pose_index in self.plan:
            subject = self.subjects[subject_index]
            key = f"{subject.character}/{subject.costume}/{pose_index:05d}"
            yield key, render(renderer, subject, pose_index, self.view)


@functools.lru_cache(maxsize=2)
def loaded(subject: Subject) -> Character:
    """The character of a subject; the last two are kept."""
    return subject.load()


def render(renderer: rasterise.Renderer, subject: Subject, pose_index: int, view: View) -> dict[str, Any]:
    """One example: features of `unity_avatars` with images as encoded PNG bytes."""
    character = loaded(subject)
    who = () if view.shared_poses else (_stable_number(subject.character), _stable_number(subject.costume))
    pose = poses.sample(np.random.default_rng((view.seed, _POSE, pose_index, *who)))
    turn = np.random.default_rng((view.seed, _CAMERA, pose_index, *who))
    yaw, pitch = turn.uniform(-view.yaw, view.yaw), turn.uniform(-view.pitch, view.pitch)

    globals_ = rig.pose(character, pose)
    seen_by = camera.still(character, view.resolution, yaw=yaw, pitch=pitch)
    frame = renderer.render(character, globals_, seen_by)
    if touches_border(frame.image[..., 3]):
        # One scale per character keeps it steady in motion; a figure that would leave the picture is
        # centred, and gets less if that is not enough.
        fitted = camera.fit(character, globals_, view.resolution, yaw=yaw, pitch=pitch, margin=0.02)
        seen_by = dataclasses.replace(fitted, scale=min(fitted.scale, seen_by.scale))
        frame = renderer.render(character, globals_, seen_by)
    return {
        "image": png(frame.over((255, 255, 255))[..., ::-1]),
        "mask": png(frame.image[..., 3:]),
        "keypoints": keypoints.project(character, globals_, seen_by, frame).astype(np.float32),
        "character": subject.character,
        "costume": subject.costume,
        "pose": {"index": np.int32(pose_index), "parameters": pose.to_array()},
        "camera": {
            "yaw": np.float32(yaw),
            "pitch": np.float32(pitch),
            "matrix": seen_by.matrix.astype(np.float32),
        },
    }


def touches_border(alpha: np.ndarray) -> bool:
    """Whether a figure's coverage (h, w) reaches the edge of the picture."""
    return bool(alpha[0].any() or alpha[-1].any() or alpha[:, 0].any() or alpha[:, -1].any())


def _stable_number(name: str) -> int:
    # Not hash(), which differs between processes.
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")


def png(image: np.ndarray) -> bytes:
    """An image (h, w, c) uint8 in OpenCV's order of channels, BGR, as PNG."""
    ok, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 4])
    if not ok:
        raise ValueError(f"could not encode an image of shape {image.shape}")
    return data.tobytes()


def find_models(folder: pathlib.Path) -> list[pathlib.Path]:
    """PMD and PMX files below a folder, sorted.

    Raises:
      FileNotFoundError: there are none.
    """
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".pmd", ".pmx") and p.is_file())
    if not found:
        raise FileNotFoundError(f"{folder} holds no .pmd or .pmx file; put characters there, one folder each")
    return found


def rigged_subjects(folder: pathlib.Path) -> tuple[list[Subject], list[str]]:
    """The characters of a folder of MMD models, and one line for each file that is none.

    A character is the first folder below the one that all models share; every model in it is a costume.
    """
    subjects, left_out = [], []
    models = find_models(folder)
    root = pathlib.Path(models[0]).parent
    while not all(p.is_relative_to(root) for p in models):
        root = root.parent
    for path in models:
        relative = path.relative_to(root)
        try:
            character = mmd.load(path)
        except ValueError as error:
            left_out.append(f"left out: {textures.file_name_text(str(error))}")
            continue
        if not len(camera.drawn_vertices(character)):
            left_out.append(f"left out: {textures.file_name_text(str(path))}: it has bones, but no surface")
            continue
        name, *rest = (textures.file_name_text(part) for part in relative.parts)
        stat = path.stat()
        stamp = (stat.st_size, stat.st_mtime_ns)
        subjects.append(Subject(name, "/".join(rest) or name, path=str(path), stamp=stamp))
        left_out.extend(f"{textures.file_name_text(str(relative))}: {line}" for line in character.report)
    return subjects, left_out


def split_by_character(subjects: Sequence[Subject]) -> dict[str, list[Subject]]:
    """train, validation and test: about 80, 10 and 10 percent of the characters, none in two of them.

    Characters with the most costumes go to train; among equals the order is that of the names' digest, so
    that a name that sorts first is not always in train.

    Raises:
      ValueError: fewer than three characters.
    """
    by_character: dict[str, list[Subject]] = {}
    for s in subjects:
        by_character.setdefault(s.character, []).append(s)
    if len(by_character) < 3:
        raise ValueError(
            f"a split by character needs at least 3 characters, there are {len(by_character)}: "
            f"{', '.join(by_character)}"
        )
    names = sorted(
        by_character,
        key=lambda n: (len(by_character[n]), hashlib.sha256(n.encode()).digest()),
    )
    held_out = max(1, round(0.1 * len(names)))
    parts = {
        "train": names[2 * held_out :],
        "validation": names[:held_out],
        "test": names[held_out : 2 * held_out],
    }
    return {split: [s for n in sorted(of) for s in by_character[n]] for split, of in parts.items()}
