"""Named keypoint sets: the order of joints, the limbs between them, and left/right partners.

Every array of keypoints in the project belongs to one `Skeleton`, and conversion between two goes by
name, never by index: the public datasets disagree on order, and one of them (PATN) has four joints named
left for right. Left and right are the character's own.
"""

import dataclasses
import functools

import numpy as np


@dataclasses.dataclass(frozen=True)
class Skeleton:
    """An ordered set of named joints.

    Attributes:
      name: identifier, also the key of `SKELETONS`.
      keypoints: joint names, in the order in which arrays store them.
      limbs: pairs of joint names that are drawn as bones.
    """

    name: str
    keypoints: tuple[str, ...]
    limbs: tuple[tuple[str, str], ...]

    def __post_init__(self):
        unknown = {k for limb in self.limbs for k in limb} - set(self.keypoints)
        if unknown or len(set(self.keypoints)) != len(self.keypoints):
            raise ValueError(f"skeleton {self.name!r}: repeated joints, or unknown {unknown}")

    def __len__(self) -> int:
        return len(self.keypoints)

    def index(self, keypoint: str) -> int:
        """Position of a joint; raises ValueError with the known names."""
        try:
            return self.keypoints.index(keypoint)
        except ValueError:
            known = ", ".join(self.keypoints)
            raise ValueError(f"skeleton {self.name!r} has no keypoint {keypoint!r}; it has {known}") from None

    @functools.cached_property
    def limb_indices(self) -> np.ndarray:
        """Limbs as an int array of shape (limbs, 2)."""
        return np.array([[self.index(a), self.index(b)] for a, b in self.limbs], np.int32)

    @functools.cached_property
    def flip(self) -> np.ndarray:
        """Permutation (k,) that swaps left and right joints: `mirrored = keypoints[..., flip, :]`."""

        def partner(name: str) -> str:
            for a, b in (("left_", "right_"), ("right_", "left_")):
                if name.startswith(a):
                    return b + name.removeprefix(a)
            return name

        return np.array([self.index(partner(k)) for k in self.keypoints], np.int32)


_BODY_LIMBS = (
    ("neck", "right_shoulder"),
    ("right_shoulder", "right_elbow"),
    ("right_elbow", "right_wrist"),
    ("neck", "left_shoulder"),
    ("left_shoulder", "left_elbow"),
    ("left_elbow", "left_wrist"),
    ("right_hip", "right_knee"),
    ("right_knee", "right_ankle"),
    ("left_hip", "left_knee"),
    ("left_knee", "left_ankle"),
    ("neck", "nose"),
    ("nose", "right_eye"),
    ("right_eye", "right_ear"),
    ("nose", "left_eye"),
    ("left_eye", "left_ear"),
)

# The COCO model of OpenPose (doc/02_output.md of the OpenPose repository): PSGAN's M = 18.
OPENPOSE_18 = Skeleton(
    "openpose_18",
    (
        "nose",
        "neck",
        "right_shoulder",
        "right_elbow",
        "right_wrist",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
        "right_hip",
        "right_knee",
        "right_ankle",
        "left_hip",
        "left_knee",
        "left_ankle",
        "right_eye",
        "left_eye",
        "right_ear",
        "left_ear",
    ),
    (*_BODY_LIMBS, ("neck", "right_hip"), ("neck", "left_hip")),
)

# Rendered characters: OpenPose-18 in its own order, then two more, so `keypoints[..., :18, :]` is
# OpenPose. PSGAN's Avatar set also has M = 20, but its joints are not listed in the paper.
AVATAR_20 = Skeleton(
    "avatar_20",
    (*OPENPOSE_18.keypoints, "head_top", "mid_hip"),
    (
        *_BODY_LIMBS,
        ("neck", "mid_hip"),
        ("mid_hip", "right_hip"),
        ("mid_hip", "left_hip"),
        ("nose", "head_top"),
    ),
)

# The BODY_25 model of OpenPose (doc/02_output.md), its default since version 1.4.
BODY_25 = Skeleton(
    "body_25",
    (
        *OPENPOSE_18.keypoints[:8],
        "mid_hip",
        *OPENPOSE_18.keypoints[8:],
        "left_big_toe",
        "left_small_toe",
        "left_heel",
        "right_big_toe",
        "right_small_toe",
        "right_heel",
    ),
    (
        *_BODY_LIMBS,
        ("neck", "mid_hip"),
        ("mid_hip", "right_hip"),
        ("mid_hip", "left_hip"),
        *(
            (f"{side}_{a}", f"{side}_{b}")
            for side in ("left", "right")
            for a, b in (("ankle", "big_toe"), ("big_toe", "small_toe"), ("ankle", "heel"))
        ),
    ),
)

# COCO's person (its keypoint annotations' `categories`), limbs as there.
COCO_17 = Skeleton(
    "coco_17",
    (
        "nose",
        *(
            f"{side}_{part}"
            for part in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
            for side in ("left", "right")
        ),
    ),
    (
        ("left_ankle", "left_knee"),
        ("left_knee", "left_hip"),
        ("right_ankle", "right_knee"),
        ("right_knee", "right_hip"),
        ("left_hip", "right_hip"),
        ("left_shoulder", "left_hip"),
        ("right_shoulder", "right_hip"),
        ("left_shoulder", "right_shoulder"),
        ("left_shoulder", "left_elbow"),
        ("right_shoulder", "right_elbow"),
        ("left_elbow", "left_wrist"),
        ("right_elbow", "right_wrist"),
        ("left_eye", "right_eye"),
        ("nose", "left_eye"),
        ("nose", "right_eye"),
        ("left_eye", "left_ear"),
        ("right_eye", "right_ear"),
        ("left_ear", "left_shoulder"),
        ("right_ear", "right_shoulder"),
    ),
)

SKELETONS = {s.name: s for s in (OPENPOSE_18, AVATAR_20, BODY_25, COCO_17)}


def named(name: str) -> Skeleton:
    """The skeleton of that name; raises ValueError with those there are."""
    if name not in SKELETONS:
        raise ValueError(f"unknown skeleton {name!r}; known: {', '.join(SKELETONS)}")
    return SKELETONS[name]
