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

# Human-Art (Ju et al. 2023): COCO's, then four that its files keep in `keypoints_21`, named as in MMPose
# (configs/_base_/datasets/humanart21.py).
HUMAN_ART_21 = Skeleton(
    "human_art_21",
    (*COCO_17.keypoints, "left_finger", "right_finger", "left_toe", "right_toe"),
    (
        *COCO_17.limbs,
        ("left_wrist", "left_finger"),
        ("right_wrist", "right_finger"),
        ("left_ankle", "left_toe"),
        ("right_ankle", "right_toe"),
    ),
)

# AnimeDrawingsDataset (Khungurn & Chou 2016), in the order of `points` in its files. Its names are others:
# nose_tip is `nose` here, arm_* the shoulders, leg_* the hips. body_upper is the waist (three fifths from the
# neck to the hips), head where it meets the neck, tiptoe the tip of the foot or shoe.
ANIME_DRAWINGS_21 = Skeleton(
    "anime_drawings_21",
    (
        "body_upper",
        "neck",
        "head",
        "nose",
        "nose_root",
        *(f"{side}_{part}" for side in ("left", "right") for part in ("shoulder", "elbow", "wrist", "thumb")),
        *(f"{side}_{part}" for side in ("left", "right") for part in ("hip", "knee", "ankle", "tiptoe")),
    ),
    (
        ("head", "nose_root"),
        ("nose_root", "nose"),
        ("head", "neck"),
        ("neck", "body_upper"),
        *(
            (a.format(side), b.format(side))
            for side in ("left", "right")
            for a, b in (
                ("neck", "{}_shoulder"),
                ("{}_shoulder", "{}_elbow"),
                ("{}_elbow", "{}_wrist"),
                ("{}_wrist", "{}_thumb"),
                ("body_upper", "{}_hip"),
                ("{}_hip", "{}_knee"),
                ("{}_knee", "{}_ankle"),
                ("{}_ankle", "{}_tiptoe"),
            )
        ),
    ),
)

# With the eyes and ears that Chen & Zwicker (WACV 2022) labelled.
ANIME_DRAWINGS_25 = Skeleton(
    "anime_drawings_25",
    (*ANIME_DRAWINGS_21.keypoints, "left_eye", "right_eye", "left_ear", "right_ear"),
    (
        *ANIME_DRAWINGS_21.limbs,
        ("nose", "left_eye"),
        ("left_eye", "left_ear"),
        ("nose", "right_eye"),
        ("right_eye", "right_ear"),
    ),
)

# LIP (Gong et al. 2017), in MPII's order: GCCPM's. What it calls pelvis stands between the hips, as `mid_hip`
# does elsewhere; spine (MPII's thorax) is at the height of the shoulders, neck below the chin.
LIP_16 = Skeleton(
    "lip_16",
    (
        "right_ankle",
        "right_knee",
        "right_hip",
        "left_hip",
        "left_knee",
        "left_ankle",
        "mid_hip",
        "spine",
        "neck",
        "head_top",
        "right_wrist",
        "right_elbow",
        "right_shoulder",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
    ),
    (
        ("head_top", "neck"),
        ("neck", "spine"),
        ("spine", "mid_hip"),
        *(
            (a.format(side), b.format(side))
            for side in ("right", "left")
            for a, b in (
                ("spine", "{}_shoulder"),
                ("{}_shoulder", "{}_elbow"),
                ("{}_elbow", "{}_wrist"),
                ("mid_hip", "{}_hip"),
                ("{}_hip", "{}_knee"),
                ("{}_knee", "{}_ankle"),
            )
        ),
    ),
)

# Halpe's body with feet (Fang et al., AlphaPose): COCO's, then nine. RTMPose's 26 are these.
HALPE_26 = Skeleton(
    "halpe_26",
    (
        *COCO_17.keypoints,
        "head_top",
        "neck",
        "mid_hip",
        *(f"{side}_{part}" for part in ("big_toe", "small_toe", "heel") for side in ("left", "right")),
    ),
    (
        ("head_top", "neck"),
        ("neck", "mid_hip"),
        ("nose", "left_eye"),
        ("nose", "right_eye"),
        *(
            (a.format(side), b.format(side))
            for side in ("left", "right")
            for a, b in (
                ("{}_eye", "{}_ear"),
                ("neck", "{}_shoulder"),
                ("{}_shoulder", "{}_elbow"),
                ("{}_elbow", "{}_wrist"),
                ("mid_hip", "{}_hip"),
                ("{}_hip", "{}_knee"),
                ("{}_knee", "{}_ankle"),
                ("{}_ankle", "{}_big_toe"),
                ("{}_ankle", "{}_small_toe"),
                ("{}_ankle", "{}_heel"),
            )
        ),
    ),
)

# BlazePose's landmarks, as MediaPipe lists them ("Pose landmark detection", its PoseLandmark); there the
# corners of the mouth are mouth_left and mouth_right. A foot index is the tip of the foot.
MEDIAPIPE_33 = Skeleton(
    "mediapipe_33",
    (
        "nose",
        *(f"{side}_eye{part}" for side in ("left", "right") for part in ("_inner", "", "_outer")),
        *(
            f"{side}_{part}"
            for part in (
                *("ear", "mouth", "shoulder", "elbow", "wrist", "pinky", "index", "thumb"),
                *("hip", "knee", "ankle", "heel", "foot_index"),
            )
            for side in ("left", "right")
        ),
    ),
    (
        ("left_mouth", "right_mouth"),
        ("left_shoulder", "right_shoulder"),
        ("left_hip", "right_hip"),
        *(
            (a.format(side), b.format(side))
            for side in ("left", "right")
            for a, b in (
                ("nose", "{}_eye_inner"),
                ("{}_eye_inner", "{}_eye"),
                ("{}_eye", "{}_eye_outer"),
                ("{}_eye_outer", "{}_ear"),
                ("{}_shoulder", "{}_elbow"),
                ("{}_elbow", "{}_wrist"),
                ("{}_wrist", "{}_pinky"),
                ("{}_wrist", "{}_index"),
                ("{}_wrist", "{}_thumb"),
                ("{}_pinky", "{}_index"),
                ("{}_shoulder", "{}_hip"),
                ("{}_hip", "{}_knee"),
                ("{}_knee", "{}_ankle"),
                ("{}_ankle", "{}_heel"),
                ("{}_heel", "{}_foot_index"),
                ("{}_ankle", "{}_foot_index"),
            )
        ),
    ),
)


def _mirrored(part: str, order: tuple[int, ...]) -> tuple[list[str], list[str]]:
    """Numbered points of the right and of the left side, the left ones in the given order."""
    right = [f"right_{part}_{i + 1}" for i in range(len(order))]
    return right, [f"left_{part}_{i}" for i in order]


def _face() -> tuple[str, ...]:
    """The 68 landmarks of the face (iBUG 300-W), from the person's right; partners have the same number."""
    jaw = _mirrored("jaw", (8, 7, 6, 5, 4, 3, 2, 1))
    brow = _mirrored("brow", (5, 4, 3, 2, 1))
    nostril = _mirrored("nostril", (2, 1))
    lid = _mirrored("eyelid", (4, 3, 2, 1, 6, 5))
    lip = _mirrored("lip", (3, 2, 1, 4, 5))
    inner = _mirrored("inner_lip", (2, 1, 3))
    return (
        *(*jaw[0], "chin", *jaw[1], *brow[0], *brow[1]),
        *("nose_bridge_1", "nose_bridge_2", "nose_bridge_3", "nose_bridge_4"),
        *(*nostril[0], "nose_base", *nostril[1], *lid[0], *lid[1]),
        *(*lip[0][:3], "upper_lip", *lip[1], "lower_lip", *lip[0][:2:-1]),
        *(*inner[0][:2], "inner_upper_lip", *inner[1], "inner_lower_lip", inner[0][2]),
    )


_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")

# COCO-WholeBody (Jin et al. 2020), RTMW's and DWPose's: body, feet, face, left hand, right hand. Names are
# MMPose's (configs/_base_/datasets/coco_wholebody.py) but for those of the face, which are mere numbers
# there, and the _ before the number of a finger.
COCO_WHOLEBODY_133 = Skeleton(
    "coco_wholebody_133",
    (
        *COCO_17.keypoints,
        *(f"{side}_{part}" for side in ("left", "right") for part in ("big_toe", "small_toe", "heel")),
        *_face(),
        *(
            name
            for side in ("left", "right")
            for name in (
                f"{side}_hand_root",
                *(f"{side}_{finger}_{i}" for finger in _FINGERS for i in range(1, 5)),
            )
        ),
    ),
    (
        *COCO_17.limbs,
        *(
            (f"{side}_{a}", f"{side}_{b}")
            for side in ("left", "right")
            for a, b in (
                *(("ankle", part) for part in ("big_toe", "small_toe", "heel")),
                *(("hand_root", f"{finger}_1") for finger in _FINGERS),
                *((f"{finger}_{i}", f"{finger}_{i + 1}") for finger in _FINGERS for i in range(1, 4)),
            )
        ),
    ),
)

_ALL = (
    *(OPENPOSE_18, AVATAR_20, BODY_25, COCO_17, HUMAN_ART_21, ANIME_DRAWINGS_21, ANIME_DRAWINGS_25, LIP_16),
    *(HALPE_26, MEDIAPIPE_33, COCO_WHOLEBODY_133),
)
SKELETONS = {s.name: s for s in _ALL}


def named(name: str) -> Skeleton:
    """The skeleton of that name; raises ValueError with those there are."""
    if name not in SKELETONS:
        raise ValueError(f"unknown skeleton {name!r}; known: {', '.join(SKELETONS)}")
    return SKELETONS[name]
