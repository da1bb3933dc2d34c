"""Poses cut from continuous actions: at equal strides from motion files, one after another."""

import dataclasses
import functools
import pathlib

import numpy as np

from anime_pt.avatars import motions
from anime_pt.avatars.formats import textures
from tfds_builders.unity_avatars.subjects import stamp

SUFFIXES = (".vmd", ".vrma", ".bvh")


@dataclasses.dataclass(frozen=True)
class Clip:
    """A motion file.

    Attributes:
      name: its path below the folder of all.
      path: of the file.
      seconds: how long it lasts.
      stamp: size and time of the file: a build that continues must not mix two of its versions.
    """

    name: str
    path: str
    seconds: float
    stamp: tuple[int, int]


def find(folder: pathlib.Path) -> tuple[list[Clip], list[str]]:
    """The motions below a folder by name, and one line for each file that is none."""
    clips, left_out = [], []
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()):
        name = textures.file_name_text(str(path.relative_to(folder)))
        try:
            motion = motions.load(path)
        except ValueError as error:
            left_out.append(f"left out: {textures.file_name_text(str(error))}")
            continue
        clips.append(Clip(name, str(path), motion.frames / motion.fps, stamp(path)))
    return clips, left_out


def moment(clips: tuple[Clip, ...], index: int, count: int) -> tuple[Clip, float]:
    """Clip and seconds of one of `count` poses, cut at equal strides from the clips end to end."""
    ends = np.cumsum([clip.seconds for clip in clips])
    time = (index + 0.5) / count * ends[-1]
    at = int(np.searchsorted(ends, time, side="right"))
    return clips[at], float(time - ends[at] + clips[at].seconds)


@functools.lru_cache(maxsize=64)
def load(clip: Clip) -> motions.Motion:
    """The motion of a clip; those used last are kept."""
    return motions.load(clip.path)
