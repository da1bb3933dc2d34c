"""Pictures and poses of any scale arrive at the scale and place of training pictures."""

import functools

import numpy as np
import pytest

from anime_pt.avatars import camera, keypoints, poses, procedural, rig
from anime_pt.data.framing import Framing
from anime_pt.pipelines import framing
from anime_pt.pose import affine, sequences
from anime_pt.pose.skeletons import AVATAR_20, COCO_17, OPENPOSE_18

SIZE = 256
FRAME = framing.Frame.of({"crop": "figure"}, (SIZE, SIZE))


built = functools.cache(procedural.build)


def seen(seed: int, pose_seed: int | None, size: int = SIZE) -> np.ndarray:
    """(20, 3) joints of a character by the camera of the datasets."""
    character = built(seed)
    pose = None if pose_seed is None else poses.sample(np.random.default_rng(pose_seed))
    points = camera.still(character, size).project(keypoints.positions(character, rig.pose(character, pose)))
    return np.concatenate([points[:, :2], np.ones((20, 1))], 1).astype(np.float32)


def box_of(points: np.ndarray) -> tuple[float, ...]:
    """That of the figure: it reaches beyond its joints, above all below the ankles."""
    x, y, w, h = sequences.extent(points)
    return x - 4, y - 2, w + 8, h + 2 + 0.03 * SIZE


def test_frames_are_those_of_the_datasets():
    assert FRAME.stature == pytest.approx(1 / 1.28) and FRAME.ground == pytest.approx(1 - 0.04 / 1.28)
    zoomed = framing.Frame.of({"crop": "figure", "zoom": 1.2}, (96, 72))
    assert FRAME.stature < zoomed.stature < 1 and zoomed.ground <= 1
    assert framing.Frame.of({"crop": "cover"}, (256, 176)).stature == 0.9


def test_stature_does_not_depend_on_the_pose_but_on_what_is_foreshortened():
    # One character standing, and stretched out by a pose: within a fifth.
    for seed in range(6):
        standing = framing.stature(seen(seed, None), AVATAR_20)
        assert standing == pytest.approx(SIZE / 1.28, rel=0.12)
        for pose_seed in range(3):
            moved = framing.stature(seen(seed, pose_seed), AVATAR_20)
            assert 0.6 * standing < moved < 1.1 * standing
    half = seen(3, None)
    whole = framing.stature(half, AVATAR_20)
    for name in ("left_knee", "right_knee", "left_ankle", "right_ankle"):
        half[AVATAR_20.index(name)] = np.nan, np.nan, 0
    assert framing.stature(half, AVATAR_20) == pytest.approx(whole, rel=0.25)
    assert framing.stature(np.full((20, 3), np.nan), AVATAR_20) == 0
    assert framing.stature(seen(3, None)[: len(OPENPOSE_18)], OPENPOSE_18) > 0


@pytest.mark.parametrize("factor", [0.5, 1.0, 4.0])
def test_a_picture_of_any_size_is_framed_as_in_training(factor):
    for seed in range(4):
        points = seen(seed, None)
        box = tuple(factor * v for v in box_of(points))
        large = points * [factor, factor, 1]
        framed = affine.apply(framing.picture(large, AVATAR_20, box, FRAME), large)
        middle = SIZE / 2 - (box_of(points)[0] + box_of(points)[2] / 2)
        assert np.abs(framed[:, :2] - points[:, :2] - [middle, 0]).max() < 0.1 * SIZE
        scale = np.linalg.norm(framed[18, :2] - framed[13, :2]) / np.linalg.norm(
            points[18, :2] - points[13, :2]
        )
        assert scale == pytest.approx(1, rel=0.12)


def test_a_bust_hangs_from_where_a_whole_figures_head_would_be():
    points = seen(2, None)
    whole = affine.apply(framing.picture(points, AVATAR_20, box_of(points), FRAME), points)
    bust = points.copy()
    for name in ("left_knee", "right_knee", "left_ankle", "right_ankle"):
        bust[AVATAR_20.index(name)] = np.nan, np.nan, 0
    framed = affine.apply(framing.picture(bust, AVATAR_20, box_of(bust), FRAME), bust)
    head = AVATAR_20.index("head_top")
    assert abs(framed[head, 1] - whole[head, 1]) < 0.12 * SIZE


def test_a_pose_takes_the_figures_scale_and_stands_where_it_stands():
    own, other = seen(0, None), seen(0, None, 900) + np.array([37, -90, 0])
    np.testing.assert_allclose(framing.pose(other, AVATAR_20, own, FRAME)[:, 1], own[:, 1], atol=0.02 * SIZE)
    # Another body in another pose: its neck to ankles is as long as the character's own.
    tall = framing.pose(seen(5, None, 700), AVATAR_20, own, FRAME)
    lengths = [sum(framing.parts(p, AVATAR_20).values()) for p in (tall, own)]
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-3)
    with pytest.raises(ValueError, match="no known part of the body in common"):
        framing.pose(np.full((20, 3), np.nan), AVATAR_20, own, FRAME)


def test_joints_in_another_programs_order_show_in_the_head():
    figures = np.stack([seen(seed, pose_seed) for seed in range(4) for pose_seed in (None, 0, 1)])
    legs = [AVATAR_20.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("knee", "ankle")]
    bare = OPENPOSE_18.index("nose"), OPENPOSE_18.index("neck")
    for points in figures:
        assert framing.ordered(points, AVATAR_20)
        bust = points.copy()
        bust[legs] = np.nan, np.nan, 0
        assert framing.ordered(bust, AVATAR_20)
        headless = sequences.unknown(1, OPENPOSE_18)[0]
        headless[list(bare)] = points[list(bare)]
        assert framing.ordered(headless, OPENPOSE_18)
    coco = sequences.convert(figures, AVATAR_20, COCO_17)
    # COCO's seventeen where OpenPose's eighteen belong, Human3.6M's seventeen where COCO's do, any order.
    shifted = np.concatenate([coco, sequences.unknown(len(coco), COCO_17)[:, :1]], 1)
    names = ["mid_hip", *(f"{s}_{j}" for s in ("right", "left") for j in ("hip", "knee", "ankle")), "mid_hip"]
    names += ["neck", "nose", "head_top"]
    names += [f"{s}_{j}" for s in ("left", "right") for j in ("shoulder", "elbow", "wrist")]
    human = figures[:, [AVATAR_20.index(name) for name in names]]
    rng = np.random.default_rng(0)
    shuffled = np.stack([points[rng.permutation(20)] for points in figures])
    for points, skeleton, most in (
        (shifted, OPENPOSE_18, 0.0),
        (human, COCO_17, 0.5),
        (shuffled, AVATAR_20, 0.15),
    ):
        assert np.mean([framing.ordered(p, skeleton) for p in points]) <= most
    # A head of another size is no such mistake.
    head = [AVATAR_20.index(name) for name in ("left_eye", "right_eye", "left_ear", "right_ear")]
    nose = figures[:, [AVATAR_20.index("nose")], :2]
    figures[:, head, :2] = nose + 2.5 * (figures[:, head, :2] - nose)
    assert all(framing.ordered(points, AVATAR_20) for points in figures)


def test_framing_agrees_with_that_of_training_pairs():
    """The same picture, framed by its dataset's config and as a user's."""
    points = seen(1, None)
    mask = np.zeros((SIZE, SIZE, 1), np.uint8)
    x, y, w, h = (round(v) for v in box_of(points))
    mask[y : y + h, x : x + w] = 255
    example = {"image": np.zeros((SIZE, SIZE, 3), np.uint8), "mask": mask, "keypoints": points}
    for zoom in (1.0, 1.2):
        size = (96, 72)
        trained = Framing(size, "figure", AVATAR_20, AVATAR_20, select=None, zoom=zoom).matrix(example)
        frame = framing.Frame.of({"crop": "figure", "zoom": zoom}, size)
        mine = framing.picture(points, AVATAR_20, (x, y, w, h), frame)
        at = [affine.apply(m, points)[:, :2] for m in (trained, mine)]
        assert np.abs(at[0] - at[1]).max() < 0.1 * size[0], zoom
