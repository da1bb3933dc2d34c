import jax
import numpy as np
import pytest

from anime_pt.avatars import quaternions
from anime_pt.metrics import lifting

aligned, mpjpe, pa_mpjpe = map(jax.jit, (lifting.aligned, lifting.mpjpe, lifting.pa_mpjpe))


def points(count=4, seed=0):
    return np.random.default_rng(seed).normal(0, 0.3, (count, 19, 3))


def test_mpjpe_is_the_mean_distance():
    truth = points()
    off = np.zeros_like(truth)
    off[0, :, 2] = 0.02
    off[1, 3] = (0.03, 0.0, 0.04)
    found = mpjpe(truth + off, truth)
    np.testing.assert_allclose(found, [0.02, 0.05 / 19, 0, 0], atol=1e-7)


def test_alignment_takes_away_turn_size_and_place_but_no_mirror():
    truth = points()
    turns = quaternions.unit(np.random.default_rng(1).normal(size=(4, 4)))
    moved = 1.7 * quaternions.rotate(turns[:, None], truth) + np.array([0.3, -2.0, 5.0])
    np.testing.assert_allclose(aligned(moved, truth), truth, atol=1e-5)
    assert float(pa_mpjpe(moved, truth).max()) < 1e-5
    assert float(mpjpe(moved, truth).min()) > 1
    mirrored = truth * [-1.0, 1.0, 1.0]
    assert float(pa_mpjpe(mirrored, truth).min()) > 0.05
    # It never makes the sum of squares larger.
    noisy = truth + np.random.default_rng(2).normal(0, 0.05, truth.shape)
    after = np.square(np.asarray(aligned(noisy, truth)) - truth).sum((1, 2))
    assert (after < np.square(noisy - truth).sum((1, 2))).all()


def test_angles_between_limbs():
    truth = np.zeros((1, 3, 3))
    truth[0, 1] = (1, 0, 0)
    truth[0, 2] = (1, 2, 0)
    found = truth.copy()
    found[0, 1] = (1, 0, 1)
    found[0, 2] = found[0, 1] + [0, -1, 0]
    assert np.asarray(lifting.limb_angles(found, truth, [(0, 1), (1, 2)]))[0] == pytest.approx([45, 180])
