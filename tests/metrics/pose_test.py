"""Pose metrics against hand-made cases, and against the numbers of pycocotools."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anime_pt.metrics import pose
from anime_pt.pose.skeletons import AVATAR_20, COCO_17, LIP_16, OPENPOSE_18, SKELETONS, Skeleton

NAN = float("nan")


def figure(skeleton: Skeleton, **places) -> np.ndarray:
    """Keypoints (1, k, 3): the joints named, the others missing; (x, y) is visible, (x, y, 0) hidden."""
    points = np.tile(np.float32([NAN, NAN, 0]), (1, len(skeleton), 1))
    for name, place in places.items():
        points[0, skeleton.index(name)] = (*place, 1) if len(place) == 2 else place
    return points


def marks(result, skeleton) -> tuple[set[str], set[str]]:
    """Names of a figure's correct and counted joints."""
    return tuple({skeleton.keypoints[i] for i in np.flatnonzero(m[0])} for m in result)


def test_pdj_is_a_fifth_of_the_distance_from_left_hip_to_right_shoulder():
    # 30 and 40 apart: 50, so 10 pixels.
    ends = {"left_hip": (30, 40), "right_shoulder": (0, 0)}
    truth = figure(AVATAR_20, **ends, nose=(5, 5), neck=(9, 9, 0), left_knee=(50, 50), left_ankle=(70, 70))
    pred = figure(AVATAR_20, **ends, nose=(15, 5), neck=(9, 9), left_knee=(50, 60.5), right_knee=(0, 0))
    correct, counted = marks(pose.pdj(pred, truth, AVATAR_20), AVATAR_20)
    assert counted == {"left_hip", "right_shoulder", "nose", "neck", "left_knee", "left_ankle"}
    assert correct == {"left_hip", "right_shoulder", "nose", "neck"}, "the nose is at the very threshold"
    correct, counted = marks(pose.pdj(pred, truth, AVATAR_20, visible_only=True), AVATAR_20)
    assert "neck" not in counted and counted - correct == {"left_knee", "left_ankle"}
    correct, _ = marks(pose.pdj(pred, truth, AVATAR_20, threshold=0.21), AVATAR_20)
    assert "left_knee" in correct


def test_figures_without_a_normaliser_do_not_count():
    places = {"nose": (5, 5), "left_hip": (30, 40), "right_shoulder": (0, 0)}
    for name in ("left_hip", "right_shoulder"):
        truth = figure(AVATAR_20, **{k: v for k, v in places.items() if k != name})
        assert marks(pose.pdj(truth, truth, AVATAR_20), AVATAR_20) == (set(), set())
    truth = figure(AVATAR_20, **places | {"left_hip": (0, 0)})
    assert marks(pose.pdj(truth, truth, AVATAR_20), AVATAR_20) == (set(), set())
    with pytest.raises(ValueError, match="'coco_17' has no keypoint 'neck'"):
        pose.pckh_lip(np.zeros((1, 17, 3)), np.zeros((1, 17, 3)), COCO_17)
    with pytest.raises(ValueError, match="'two' has fewer than two of nose, neck"):
        two = Skeleton("two", ("nose", "tail"), ())
        pose.pckh_patn(np.zeros((1, 2, 3)), np.zeros((1, 2, 3)), two)


@pytest.mark.parametrize("skeleton", [LIP_16, AVATAR_20])
def test_pckh_of_lip_is_half_the_distance_from_neck_to_head(skeleton):
    truth = figure(
        skeleton, neck=(40, 40), head_top=(40, 20), left_wrist=(3, 3), left_knee=(80, 80, 0), mid_hip=(9, 99)
    )
    pred = figure(skeleton, neck=(50, 40), head_top=(40, 9), left_knee=(86, 88))
    correct, counted = marks(pose.pckh_lip(pred, truth, skeleton), skeleton)
    assert counted == {"neck", "head_top", "left_wrist", "left_knee", "mid_hip"}
    # A wrist that is not predicted is taken to be at (1, 1), and that is near enough here.
    assert correct == {"neck", "left_knee", "left_wrist"}
    groups = {k: set(v) for k, v in pose.lip_groups(skeleton).items()}
    figures = pose.per_joint("x", *pose.pckh_lip(pred, truth, skeleton), skeleton, pose.lip_groups(skeleton))
    assert "mid_hip" not in groups[""]
    assert [float(v[0]) for v in figures["x"]] == [0.75, 4]
    np.testing.assert_allclose([float(v[0]) for v in figures["x/upper_body"]], [2 / 3, 3])
    assert [float(v[0]) for v in figures["x/mid_hip"]] == [0, 1]


def test_groups_of_lip():
    groups = pose.lip_groups(LIP_16)
    assert groups[""] == LIP_16.keypoints[:6] + LIP_16.keypoints[8:]
    assert groups["upper_body"] == LIP_16.keypoints[8:]
    elsewhere = pose.lip_groups(SKELETONS["anime_drawings_21"])["upper_body"]
    assert not {"left_hip", "right_tiptoe", "left_knee", "body_upper"} & set(elsewhere)
    assert {"nose_root", "left_thumb", "head", "neck"} <= set(elsewhere)


def test_pckh_of_patn_asks_per_axis_within_half_of_the_heads_box():
    # A box of 20 x 8: 10 in x and 4 in y, themselves excluded.
    head = {"nose": (20, 10), "neck": (30, 14), "left_ear": (40, 6)}
    truth = figure(
        OPENPOSE_18, **head, left_wrist=(60, 60), right_wrist=(60, 60), left_hip=(5, 5), left_eye=(30, 10, 0)
    )
    pred = figure(
        OPENPOSE_18,
        nose=(29.5, 13.5),
        neck=(40, 14),
        left_ear=(40, 10),
        left_wrist=(51, 57),
        right_wrist=(60, 65),
    )
    correct, counted = marks(pose.pckh_patn(pred, truth, OPENPOSE_18), OPENPOSE_18)
    assert counted == {*head, "left_wrist", "right_wrist", "left_hip", "left_eye"}
    assert correct == {"nose", "left_wrist"}
    one = figure(OPENPOSE_18, nose=(20, 10), left_wrist=(3, 3))
    assert marks(pose.pckh_patn(one, one, OPENPOSE_18), OPENPOSE_18) == (set(), set())
    flat = figure(OPENPOSE_18, nose=(20, 10), neck=(30, 10))
    correct, counted = marks(pose.pckh_patn(flat, flat, OPENPOSE_18), OPENPOSE_18)
    assert (correct, counted) == (set(), {"nose", "neck"})


def test_names_decide_not_places():
    """The same joints in another order give the same marks."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 60, (50, 20, 3))
    noise = rng.integers(-36, 37, truth.shape) // rng.choice([1, 9], (50, 20, 1))
    truth, pred = truth.astype(np.float32), (truth + noise).astype(np.float32)
    order = rng.permutation(20)
    shuffled = Skeleton("shuffled", tuple(AVATAR_20.keypoints[i] for i in order), ())
    for metric in (pose.pdj, pose.pckh_lip, pose.pckh_patn):
        plain = metric(pred, truth, AVATAR_20)
        other = metric(pred[:, order], truth[:, order], shuffled)
        assert 0.05 < np.asarray(plain[0]).mean() < 0.95
        for a, b in zip(plain, other, strict=True):
            np.testing.assert_array_equal(np.asarray(a)[:, order], b)
    np.testing.assert_allclose(
        pose.oks(pred, truth, AVATAR_20), pose.oks(pred[:, order], truth[:, order], shuffled), rtol=1e-5
    )


def test_per_joint_gives_shares_and_weights():
    skeleton = Skeleton("three", ("neck", "left_hand", "right_hand"), ())
    correct = np.array([[True, False, True], [True, True, False], [False, False, False]])
    counted = np.array([[True, True, True], [True, False, True], [False, False, False]])
    figures = pose.per_joint("eval/m", correct, counted, skeleton, {"hands": ("left_hand", "right_hand")})
    expected = {
        "eval/m": ([2 / 3, 1 / 2, 0], [3, 2, 0]),
        "eval/m/hands": ([1 / 2, 0, 0], [2, 1, 0]),
        "eval/m/neck": ([1, 1, 0], [1, 1, 0]),
        "eval/m/left_hand": ([0, 0, 0], [1, 0, 0]),
        "eval/m/right_hand": ([1, 0, 0], [1, 1, 0]),
    }
    assert figures.keys() == expected.keys()
    for name, (values, weights) in expected.items():
        np.testing.assert_allclose(figures[name][0], values, rtol=1e-6, err_msg=name)
        np.testing.assert_array_equal(figures[name][1], weights, err_msg=name)


def test_all_run_under_jit_in_both_precisions():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 60, (30, 20, 3)).astype(np.float64)
    pred = truth + rng.integers(-9, 10, truth.shape)
    for metric in (pose.pdj, pose.pckh_lip, pose.pckh_patn):
        single = jax.jit(functools.partial(metric, skeleton=AVATAR_20))(np.float32(pred), np.float32(truth))
        with jax.enable_x64(True):
            double = jax.jit(functools.partial(metric, skeleton=AVATAR_20))(pred, truth)
            assert pose.oks(pred, truth, AVATAR_20).dtype == np.float64
        for a, b in zip(single, double, strict=True):
            np.testing.assert_array_equal(a, b)


def test_every_skeleton_has_sigmas():
    for skeleton in SKELETONS.values():
        assert (pose.sigmas(skeleton) > 0.005).all() and len(pose.sigmas(skeleton)) == len(skeleton)
    official = [26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]
    np.testing.assert_allclose(pose.sigmas(COCO_17) * 1000, official)
    with pytest.raises(ValueError, match="OKS needs a sigma for left_wing: add it to"):
        pose.sigmas(Skeleton("bird", ("nose", "left_wing"), ()))


def test_oks_by_hand():
    truth = figure(COCO_17, nose=(10, 10), left_hip=(30, 50), right_hip=(20, 30, 0))
    pred = figure(COCO_17, nose=(13, 14), left_hip=(30, 50))
    similar = np.exp(-25 / (2 * 400 * (2 * 0.026) ** 2))
    np.testing.assert_allclose(
        pose.oks(pred, truth, COCO_17, np.float32([400])), [(similar + 1) / 3], rtol=1e-5
    )
    seen = pose.oks(pred, truth, COCO_17, np.float32([400]), visible_only=True)
    np.testing.assert_allclose(seen, [(similar + 1) / 2], rtol=1e-5)
    # Without an area: 0.53 of the box of 20 x 40.
    boxed = pose.oks(pred, truth, COCO_17, np.float32([0.53 * 800]))
    np.testing.assert_allclose(pose.oks(pred, truth, COCO_17), boxed, rtol=1e-6)
    np.testing.assert_array_equal(pose.oks(truth, truth, COCO_17), [1])
    assert np.isnan(pose.oks(pred, figure(COCO_17), COCO_17)).all()
    both = np.concatenate([truth, pred])
    pairs = np.asarray(pose.oks(both[:, None], both[None], COCO_17, np.float32([[400, 400]])))
    np.testing.assert_allclose(pairs, [[1, (1 + similar) / 2], [(1 + similar) / 3, 1]], rtol=1e-5)


def crowd(seed):
    """40 pictures of 0 to 3 figures; predictions near them at several distances, and of nobody."""
    rng = np.random.default_rng(seed)
    for _ in range(40):
        truth = rng.uniform(0, 200, (rng.integers(0, 4), 17, 3)).astype(np.float32)
        area = rng.uniform(500, 30_000, len(truth)).astype(np.float32)
        step = rng.choice([0.01, 0.05, 0.1, 0.2], len(truth)) * np.sqrt(area)
        near = truth + rng.normal(0, 1, truth.shape) * step[:, None, None]
        pred = np.concatenate([near, truth + 2, rng.uniform(0, 200, (2, 17, 3))]).astype(np.float32)
        yield truth, area, pred, rng.uniform(size=len(pred)).round(1)


def similarities(pictures):
    return [
        np.asarray(pose.oks(jnp.asarray(p)[:, None], jnp.asarray(t)[None], COCO_17, jnp.asarray(a)[None]))
        for t, a, p, _ in pictures
    ]


# seed: AP, AP50, AP75, AR of pycocotools 2.0.11 (areas of all sizes) on the same figures.
PYCOCOTOOLS = {
    0: (0.4077637471, 0.4881761141, 0.4278175624, 0.9566666667),
    1: (0.3901101261, 0.4760305869, 0.3780785797, 0.9508474576),
    2: (0.4310620648, 0.5317177952, 0.4489251686, 0.9700000000),
}


@pytest.mark.parametrize("seed", PYCOCOTOOLS)
def test_average_precision_is_pycocotools(seed):
    pictures = list(crowd(seed))
    ours = pose.coco_ap(similarities(pictures), [scores for *_, scores in pictures])
    assert list(ours) == ["ap", "ap50", "ap75", "ar"]
    np.testing.assert_allclose(list(ours.values()), PYCOCOTOOLS[seed], atol=1e-9)


def test_average_precision_by_hand():
    # Two pictures of one figure: OKS 0.72 with the higher score, 0.3 with the lower.
    ours = pose.coco_ap(np.array([0.3, 0.72]), np.array([0.1, 0.9]))
    # At 0.50 to 0.70 the first is right: precision 1 up to recall 0.5, which 51 of 101 points reach.
    np.testing.assert_allclose([ours["ap50"], ours["ap75"]], [51 / 101, 0])
    np.testing.assert_allclose([ours["ap"], ours["ar"]], [0.5 * 51 / 101, 0.25])
    # With the scores the other way round, precision is a half.
    swapped = pose.coco_ap(np.array([0.3, 0.72]), np.array([0.9, 0.1]))
    np.testing.assert_allclose([swapped["ap50"], swapped["ar"]], [0.5 * 51 / 101, 0.25])
    assert pose.coco_ap(np.ones(3), np.ones(3)) == {"ap": 1, "ap50": 1, "ap75": 1, "ar": 1}


def test_average_precision_without_some_figures():
    # A truth without joints leaves both out; a figure that is not predicted lowers recall, not precision.
    whole = pose.coco_ap(np.array([0.96, 0.2]), np.array([0.5, 0.4]))
    assert pose.coco_ap(np.array([0.96, NAN, 0.2]), np.array([0.5, 0.9, 0.4])) == whole
    missed = pose.coco_ap(np.array([0.96, 0.0]), np.array([0.5, NAN]))
    np.testing.assert_allclose([missed["ap"], missed["ar"]], [51 / 101, 0.5])
    assert pose.coco_ap(np.array([NAN]), np.array([1.0])) == {}
    assert pose.coco_ap([np.zeros((2, 0))], [np.ones(2)]) == {}
    nobody = pose.coco_ap([np.zeros((0, 2))], [np.zeros(0)])
    assert nobody == {"ap": 0, "ap50": 0, "ap75": 0, "ar": 0}


def test_each_metric_says_its_normaliser():
    assert pose.NORMALISERS.keys() == {*["pdj", "pckh_lip", "pckh_patn", "oks", "ap", "ap50", "ap75", "ar"]}
    assert "left hip to right shoulder" in pose.NORMALISERS["pdj"]
    assert len(set(pose.NORMALISERS.values())) == 8
