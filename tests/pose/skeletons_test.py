import numpy as np
import pytest

from anime_pt.pose.skeletons import (
    ANIME_DRAWINGS_21,
    ANIME_DRAWINGS_25,
    AVATAR_20,
    COCO_17,
    COCO_WHOLEBODY_133,
    HUMAN_ART_21,
    LIP_16,
    OPENPOSE_18,
    SKELETONS,
    Skeleton,
)


def test_openpose_order_is_that_of_its_documentation():
    # doc/02_output.md of OpenPose, "Pose Output Format (COCO)".
    documented = {0: "nose", 1: "neck", 2: "right_shoulder", 4: "right_wrist", 5: "left_shoulder"}
    documented |= {8: "right_hip", 10: "right_ankle", 11: "left_hip", 14: "right_eye", 17: "left_ear"}
    for index, name in documented.items():
        assert OPENPOSE_18.index(name) == index
    assert len(OPENPOSE_18) == 18


def test_avatar_keypoints_begin_with_openpose():
    assert AVATAR_20.keypoints[:18] == OPENPOSE_18.keypoints
    assert AVATAR_20.keypoints[18:] == ("head_top", "mid_hip")


def test_anime_drawings_are_in_the_order_of_its_files():
    # `points` of any entry of its data.json, and what they are called here.
    order = "body_upper neck head nose_tip nose_root"
    for side in ("left", "right"):
        order += f" arm_{side} elbow_{side} wrist_{side} thumb_{side}"
    for side in ("left", "right"):
        order += f" leg_{side} knee_{side} ankle_{side} tiptoe_{side}"
    ours = {"nose_tip": "nose", "arm": "shoulder", "leg": "hip"}
    for name, keypoint in zip(order.split(), ANIME_DRAWINGS_21.keypoints, strict=True):
        part, _, side = name.rpartition("_")
        expected = f"{side}_{ours.get(part, part)}" if side in ("left", "right") else ours.get(name, name)
        assert keypoint == expected
    assert ANIME_DRAWINGS_25.keypoints[:21] == ANIME_DRAWINGS_21.keypoints
    assert ANIME_DRAWINGS_25.keypoints[21:] == ("left_eye", "right_eye", "left_ear", "right_ear")
    # All of COCO's joints, by its names.
    assert set(COCO_17.keypoints) <= set(ANIME_DRAWINGS_25.keypoints)


def test_lip_is_in_the_order_of_mpii():
    # The order in which MPII's README lists its joints: 0 r ankle ... 6 pelvis ... 9 head top ... 15 l wrist.
    documented = {0: "right_ankle", 2: "right_hip", 3: "left_hip", 5: "left_ankle", 6: "mid_hip", 8: "neck"}
    documented |= {
        9: "head_top",
        10: "right_wrist",
        12: "right_shoulder",
        13: "left_shoulder",
        15: "left_wrist",
    }
    for index, name in documented.items():
        assert LIP_16.index(name) == index
    assert len(LIP_16) == 16
    # The pairs that the public code swaps when it mirrors a picture.
    pairs = {(0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)}
    assert {(a, int(b)) for a, b in enumerate(LIP_16.flip) if a < b} == pairs


def test_human_art_begins_with_coco():
    assert HUMAN_ART_21.keypoints[:17] == COCO_17.keypoints
    assert HUMAN_ART_21.keypoints[17:] == ("left_finger", "right_finger", "left_toe", "right_toe")


def test_the_face_is_mirrored_as_its_annotations_are():
    # Partners among the landmarks of iBUG 300-W, as MMPose's coco_wholebody.py lists them; others have none.
    pairs = {i: 16 - i for i in range(8)} | {i: 43 - i for i in range(17, 22)} | {31: 35, 32: 34}
    pairs |= {36: 45, 37: 44, 38: 43, 39: 42, 40: 47, 41: 46}
    pairs |= {48: 54, 49: 53, 50: 52, 59: 55, 58: 56, 60: 64, 61: 63, 67: 65}
    face = COCO_WHOLEBODY_133.flip[23:91] - 23
    for a in range(68):
        wanted = pairs.get(a, next((k for k, v in pairs.items() if v == a), a))
        assert face[a] == wanted, COCO_WHOLEBODY_133.keypoints[23 + a]
    assert sum(int(b) == a for a, b in enumerate(face)) == 10


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_flip_swaps_partners_and_is_its_own_inverse(skeleton):
    np.testing.assert_array_equal(skeleton.flip[skeleton.flip], np.arange(len(skeleton)))
    for a, b in enumerate(skeleton.flip):
        name, partner = skeleton.keypoints[a], skeleton.keypoints[b]
        assert (name == partner) == ("left" not in name and "right" not in name)
        assert name.replace("left", "?").replace("right", "?") == partner.replace("left", "?").replace(
            "right", "?"
        )


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_limbs_are_mirror_images(skeleton):
    limbs = {frozenset(limb) for limb in skeleton.limb_indices.tolist()}
    assert {frozenset(int(skeleton.flip[i]) for i in limb) for limb in limbs} == limbs
    assert len(limbs) == len(skeleton.limbs)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="has no keypoint 'tail'; it has nose"):
        OPENPOSE_18.index("tail")
    with pytest.raises(ValueError, match="repeated"):
        Skeleton("twice", ("nose", "nose"), ())
    with pytest.raises(ValueError, match="unknown"):
        Skeleton("loose", ("nose",), (("nose", "tail"),))
