import numpy as np
import pytest

from anime_pt.data import motions, pipeline
from anime_pt.pose.skeletons import AVATAR_20
from configs import lifting as config_file
from tests.avatars import bvh_files

AT = {name: i for i, name in enumerate(AVATAR_20.keypoints)}


@pytest.fixture
def config():
    config = config_file.get_config("demo")
    config.data.seeded = 24
    return config


@pytest.fixture(scope="module")
def points():
    return motions.seeded(24, "train")


def unit(v):
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def test_splits_hold_other_poses(points):
    others = motions.seeded(24, "validation")
    assert points.shape[1:] == others.shape[1:] == (20, 3)
    assert np.abs(points[:24] - others[:24]).max(axis=(1, 2)).min() > 0.02
    # Half of them move: neighbours are alike.
    steps = np.abs(np.diff(points - points[:, AT["mid_hip"], None], axis=0)).mean((1, 2))
    assert np.median(steps[13:23]) < 0.5 * np.median(steps[:11])


def test_batches_are_a_function_of_seed_and_position(points):
    batches = motions.Batches(points, (96, 128), 16, 3, 0.01, 0.1, True)
    first, second = batches[0], batches[1]
    for name in ("keypoints", "world"):
        assert first[name].shape == (16, 20, 3) and first[name].dtype == np.float32
        np.testing.assert_array_equal(first[name], batches[0][name])
    assert np.abs(first["world"] - second["world"]).max() > 0.1
    other = motions.Batches(points, (96, 128), 16, 4, 0.01, 0.1, True)[0]
    assert np.abs(first["world"] - other["world"]).max() > 0.1


def test_pictures_are_of_what_is_in_space(points):
    batch = motions.Batches(points, (96, 128), 32, 0)[0]
    keypoints, world = batch["keypoints"].astype(float), batch["world"].astype(float)
    np.testing.assert_allclose(world[:, AT["mid_hip"]], 0, atol=1e-6)
    x, y = keypoints[..., 0], keypoints[..., 1]
    assert x.min() > 0 and x.max() < 128 and y.min() > 0 and y.max() < 96
    np.testing.assert_allclose(np.maximum(np.ptp(x, axis=1) / 128, np.ptp(y, axis=1) / 96), 0.85, atol=1e-4)
    # Of each example a distance, a scale and a shift explain all: (x - x0) (d + z) = s X.
    for points_, space in zip(keypoints, world, strict=True):
        rows, right = [], []
        for i, axis in enumerate("xy"):
            one = np.ones(20) if axis == "x" else np.zeros(20)
            # Unknown: d, x0 d, y0 d, x0, y0, s.
            z, p = space[:, 2], points_[:, i]
            rows.append(np.stack([p, -one, one - 1, -one * z, (one - 1) * z, -space[:, i]], 1))
            right.append(-p * z)
        solution, *_ = np.linalg.lstsq(np.concatenate(rows), np.concatenate(right), rcond=None)
        assert 2.1 < solution[0] < 16
        left = np.concatenate(rows) @ solution - np.concatenate(right)
        assert np.abs(left).max() < 0.02 * solution[0]


def test_bodies_differ_and_limbs_point_where_they_did(points):
    rng = np.random.default_rng(0)
    poses = points[:16] - points[:16, AT["mid_hip"], None]
    out = motions._other_body(poses.astype(float), rng)
    for a, b in (("left_elbow", "left_wrist"), ("right_hip", "right_knee"), ("left_knee", "left_ankle")):
        before, after = (unit(p[:, AT[b]] - p[:, AT[a]]) for p in (poses, out))
        np.testing.assert_allclose(before, after, atol=1e-5)
    length = lambda a, b: np.linalg.norm(out[:, AT[a]] - out[:, AT[b]], axis=1)
    tall = length("neck", "mid_hip") + length("left_hip", "left_knee") + length("left_knee", "left_ankle")
    np.testing.assert_allclose(tall, 1.37, rtol=1e-6)
    heads = length("left_ear", "right_ear") / length("neck", "mid_hip")
    assert heads.min() < 0.4 and heads.max() > 0.6
    assert np.std(length("left_hip", "left_knee") / length("left_shoulder", "left_elbow")) > 0.03
    # Both sides are built alike.
    np.testing.assert_allclose(
        length("left_elbow", "left_wrist"), length("right_elbow", "right_wrist"), rtol=1e-5
    )


def test_limbs_of_other_poses_keep_their_place_on_the_trunk(points):
    poses = (points[:16] - points[:16, AT["mid_hip"], None]).astype(float)
    mixed = motions._mixed(poses, np.random.default_rng(0))
    inside = lambda p, joint, end: np.einsum(
        "bij,bj->bi", motions._frames(p, joint), p[:, AT["left_" + end]] - p[:, AT["left_" + joint]]
    )
    for joint, end in (("shoulder", "wrist"), ("hip", "ankle")):
        own, now = inside(poses, joint, end), inside(mixed, joint, end)
        kept = np.abs(now - own).max(1) < 1e-6
        taken = np.abs(now - np.roll(own, 1, 0)).max(1) < 1e-6
        assert (kept | taken).all() and 2 < taken.sum() < 14


def test_missing_joints_and_noise(points):
    clean = motions.Batches(points, (128, 128), 256, 0)[0]["keypoints"]
    assert np.isfinite(clean).all() and (clean[..., 2] == 1).all()
    noisy = motions.Batches(points, (128, 128), 256, 0, noise=0.02)[0]["keypoints"]
    assert 1 < np.abs(noisy - clean)[..., :2].mean() < 4
    gone = np.isnan(motions.Batches(points, (128, 128), 256, 0, missing=0.1)[0]["keypoints"][..., 0]).mean(0)
    assert gone[AT["left_shoulder"]] == 0 and 0.4 < gone[AT["head_top"]] < 0.7
    assert 0.05 < gone[AT["left_wrist"]] < 0.25 and gone[AT["left_ankle"]] > gone[AT["left_wrist"]]


def test_motions_of_a_folder(config, tmp_path):
    for i in range(12):
        bvh_files.write(tmp_path / f"walk {i}.bvh", *bvh_files.motion(20), bvh_files.Dialect())
    config.data.seeded, config.data.files = 0, str(tmp_path)
    sizes = {s: len(motions.library(config, s)) for s in ("train", "all")}
    assert sizes["all"] == 24 and 0 < sizes["train"] < 24
    config.data.eval_split = "all"
    (batch,) = pipeline.eval_batches(config, (128, 128), 32)
    assert batch["weight"].sum() == 24 and batch["keypoints"].shape == (32, 20, 3)
    with pytest.raises(FileNotFoundError, match=r"data\.files = .*: there is no such folder"):
        motions.of_files(str(tmp_path / "nothing"), "train")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no motion .* in it is in split 'train'"):
        motions.of_files(str(tmp_path / "empty"), "train")


def test_the_pipeline_reads_them(config):
    batches = pipeline.train_iterator(config, (128, 128), 8, 0)
    first, state = next(batches), batches.get_state()
    second = next(batches)
    batches.set_state(state)
    np.testing.assert_array_equal(next(batches)["world"], second["world"])
    assert first["keypoints"].shape == (8, 20, 3) and set(first) == {"keypoints", "world"}
    one, two = (list(pipeline.eval_batches(config, (128, 128), size, 10)) for size in (4, 16))
    np.testing.assert_array_equal(np.concatenate([b["world"] for b in one])[:10], two[0]["world"][:10])
    assert [b["weight"].sum() for b in one] == [4, 4, 2]
    pipeline.check(config, (128, 128))
    config.data.eval_split = "tests"
    with pytest.raises(ValueError, match="motions have no split 'tests'; they have train"):
        pipeline.check(config, (128, 128))
    config.data.seeded = 0
    with pytest.raises(ValueError, match="there are no poses; set one of them"):
        motions.library(config, "train")
