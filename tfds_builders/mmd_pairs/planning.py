"""Which frames of which motions by which characters become examples; nothing is drawn to find out.

Tan's pairs take every sixth frame of a clip and drop redundant ones. How near is redundant is not known to
us: here a frame goes if no joint is `min_change` standing heights or more away from where it was in some
frame of the same clip that stays. Joints are those of one figure in 3D about the middle of its hips, so what
stays does not depend on the character, and a human frame stays or goes with its anime frames.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np

from anime_pt.avatars import keypoints
from anime_pt.avatars.camera import drawn_vertices
from anime_pt.avatars.character import Character
from anime_pt.pose.skeletons import AVATAR_20
from tfds_builders.mmd_pairs.clips import Clip, moment
from tfds_builders.unity_avatars.subjects import Subject, split_by, split_by_character

Named = TypeVar("Named")


def novel(joints: np.ndarray, min_change: float) -> np.ndarray:
    """Which of (t, k, 3) joints to keep, from the first on: (n,) indices.

    A row is kept if, from each row kept before, some joint is at least `min_change` away.
    """
    kept: list[int] = []
    for i, row in enumerate(joints):
        distances = np.linalg.norm(joints[kept] - row, axis=-1).max(-1)
        if not len(kept) or distances.min() >= min_change:
            kept.append(i)
    return np.array(kept, int)


def frames(clip: Clip, figure: Character, every: int, min_change: float, min_keypoints: int) -> list[int]:
    """Frames of a clip that become examples, rising.

    Args:
      clip: the motion.
      figure: any character; stands in for all.
      every: only frames that this divides.
      min_change: in standing heights, see the module docstring.
      min_keypoints: frames in which fewer of the human's 18 keypoints were found are left out.
    """
    candidates = [f for f in clip.usable(min_keypoints) if f % every == 0]
    if not candidates:
        return []
    performance = clip.motion().on(figure)
    height = float(np.ptp(figure.positions[drawn_vertices(figure), 1]))
    posed = (moment(figure, performance, clip.motion_seconds(f))[0] for f in candidates)
    joints = np.stack([keypoints.positions(figure, globals_) for globals_ in posed])
    middle = joints[:, AVATAR_20.index("mid_hip"), None]
    return [candidates[i] for i in novel((joints - middle) / height, min_change)]


def split(clips: Sequence[Clip], subjects: Sequence[Subject]) -> dict[str, tuple[list[Clip], list[Subject]]]:
    """train, validation and test: about 80, 10 and 10 percent of the motions and of the characters.

    No character and no motion is in two of them, so a motion of one split by a character of another is not
    used. With fewer than three motions or three characters that cannot be: then there is only train.
    """
    if len(clips) < 3 or len({s.character for s in subjects}) < 3:
        return {"train": (list(clips), list(subjects))}
    of_clips = split_by(clips, lambda clip: clip.name, "motion")
    of_characters = split_by_character(subjects)
    return {name: (of_clips[name], of_characters[name]) for name in of_clips}


def takes(clips: Sequence[Clip], subjects: Sequence[Subject], each: int) -> list[tuple[Clip, Subject]]:
    """Who performs what, clip by clip: every costume `each` motions, which go round; 0 stands for all."""
    each = min(each or len(clips), len(clips))
    chosen = {(i * each + k) % len(clips): [] for i in range(len(subjects)) for k in range(each)}
    for i, subject in enumerate(subjects):
        for k in range(each):
            chosen[(i * each + k) % len(clips)].append(subject)
    return [(clips[c], subject) for c in sorted(chosen) for subject in chosen[c]]


def pieces(items: Sequence[Named], size: int) -> Iterable[Sequence[Named]]:
    """Cuts a sequence into nearly equal parts of about `size`."""
    count = max(1, round(len(items) / size))
    bounds = np.linspace(0, len(items), count + 1).round().astype(int)
    return (items[a:b] for a, b in itertools.pairwise(bounds))
