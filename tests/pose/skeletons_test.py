import numpy as np
import pytest

from anime_pt.pose.skeletons import AVATAR_20, OPENPOSE_18, SKELETONS, Skeleton


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
