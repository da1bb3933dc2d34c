"""The sampler: natural limits, variety, smooth motion, and storage."""

import numpy as np
import pytest

from anime_pt.avatars import poses


def bend(pose: poses.Pose, part: str) -> np.ndarray:
    """(2,) angles between upper and lower limb in radians, left and right."""
    row = poses.LIMBS.index("left" + ("UpperArm" if part == "arm" else "UpperLeg"))
    upper, lower = pose.limbs[row : row + 2], pose.limbs[row + 2 : row + 4]
    return np.arccos(np.clip((upper * lower).sum(1), -1, 1))


def test_flat_arrays():
    rng = np.random.default_rng(0)
    pose = poses.sample(rng)
    flat = pose.to_array()
    assert flat.shape == (poses.FLAT_SIZE,) and flat.dtype == np.float32
    again = poses.Pose.from_array(flat)
    np.testing.assert_array_equal(again.to_array(), flat)
    np.testing.assert_allclose(again.limbs, pose.limbs, atol=1e-6)
    with pytest.raises(ValueError, match="shape"):
        poses.Pose.from_array(flat[:-1])
    with pytest.raises(ValueError, match="limbs"):
        poses.Pose(np.zeros((5, 3)), np.zeros((7, 3)))


def test_same_seed_same_poses():
    draw = lambda seed: poses.sample(np.random.default_rng(seed)).to_array()
    np.testing.assert_array_equal(draw(4), draw(4))
    assert np.abs(draw(4) - draw(5)).max() > 0.1


def test_limits():
    rng = np.random.default_rng(1)
    for _ in range(200):
        pose = poses.sample(rng)
        np.testing.assert_allclose(np.linalg.norm(pose.limbs, axis=1), 1.0, atol=1e-9)
        np.testing.assert_allclose(np.linalg.norm(pose.feet, axis=1), 1.0, atol=1e-9)
        assert (bend(pose, "leg") <= 2.4 + 1e-9).all() and (bend(pose, "arm") <= 2.5 + 1e-9).all()
        # Shins fold backwards: about the body's left-right axis, the thigh turns forward into the shin.
        upper, lower = pose.limbs[4:6], pose.limbs[6:8]
        bent = (bend(pose, "leg") > 0.3) & (np.abs(upper[:, 1]) > 0.5)
        assert (np.cross(upper, lower)[bent, 0] > -0.3).all()


def test_variety():
    rng = np.random.default_rng(2)
    draws = [poses.sample(rng) for _ in range(300)]
    limbs = np.stack([p.limbs for p in draws])
    hands_up = (limbs[:, :2, 1] > 0.3).any(1).mean()
    sitting = (limbs[:, 4:6, 2] > 0.8).all(1).mean()
    kicks = ((limbs[:, 4:8:2, 1] > -0.3).all(1) | (limbs[:, 5:8:2, 1] > -0.3).all(1)).mean()
    standing = (limbs[:, 4:8, 1] < -0.85).all(1).mean()
    assert hands_up > 0.1 and sitting > 0.03 and kicks > 0.02 and 0.2 < standing < 0.8
    assert limbs.std(0).mean() > 0.2


def test_lowest_foot_stays_on_the_ground():
    rng = np.random.default_rng(3)
    for _ in range(50):
        pose = poses.sample(rng)
        drops = -(0.51 * pose.limbs[4:6, 1] + 0.49 * pose.limbs[6:8, 1])
        assert pose.root[1] == pytest.approx(drops.max() - 1.0) and pose.root[1] <= 1e-9


@pytest.mark.parametrize("seed", range(8))
def test_motion_is_smooth(seed):
    motion = poses.sequence(np.random.default_rng(seed), 70)
    assert len(motion) == 70
    limbs = np.stack([p.limbs for p in motion])
    speed = np.linalg.norm(np.diff(limbs, axis=0), axis=-1)
    jerk = np.linalg.norm(np.diff(limbs, n=2, axis=0), axis=-1)
    assert speed.max() < 0.55 and jerk.max() < 0.35
    assert speed.mean() > 0.001
    spine = np.stack([p.spine for p in motion])
    assert np.abs(np.diff(spine, axis=0)).max() < 0.25
