import numpy as np

from anime_pt.avatars import quaternions, rotations


def _random(rng, *shape):
    return quaternions.unit(rng.normal(size=(*shape, 4)))


def test_agrees_with_matrices():
    rng = np.random.default_rng(0)
    a, b, v = _random(rng, 50), _random(rng, 50), rng.normal(size=(50, 3))
    ma, mb = quaternions.to_matrix(a), quaternions.to_matrix(b)
    np.testing.assert_allclose(quaternions.to_matrix(quaternions.multiply(a, b)), ma @ mb, atol=1e-12)
    np.testing.assert_allclose(quaternions.rotate(a, v), (ma @ v[..., None])[..., 0], atol=1e-12)
    np.testing.assert_allclose(quaternions.to_matrix(quaternions.inverse(a)), ma.swapaxes(1, 2), atol=1e-12)
    again = quaternions.from_matrix(ma)
    np.testing.assert_allclose(np.abs((again * a).sum(-1)), 1.0, atol=1e-12)
    for q, m in zip(a, ma, strict=True):
        vector = rotations.to_vector(m)
        angle = np.linalg.norm(vector)
        about = quaternions.about(vector / angle, angle)
        np.testing.assert_allclose(abs(about @ q), 1.0, atol=1e-9)


def test_half_turns_survive_matrices():
    for q in np.eye(4):
        np.testing.assert_allclose(np.abs(quaternions.from_matrix(quaternions.to_matrix(q))), q, atol=1e-12)


def test_swing_is_smallest_and_handles_opposites():
    rng = np.random.default_rng(1)
    a, b = (quaternions.unit(rng.normal(size=(50, 3))) for _ in range(2))
    q = quaternions.swing(a, b)
    np.testing.assert_allclose(quaternions.rotate(q, a), b, atol=1e-9)
    angle = 2 * np.arccos(np.abs(q[:, 3]))
    np.testing.assert_allclose(angle, np.arccos((a * b).sum(1)), atol=1e-7)
    np.testing.assert_allclose(quaternions.rotate(quaternions.swing(a, -a), a), -a, atol=1e-9)
    np.testing.assert_array_equal(quaternions.swing(np.zeros(3), a[0]), quaternions.IDENTITY)


def test_twist_and_rest_make_the_whole():
    rng = np.random.default_rng(2)
    q, axis = _random(rng, 50), quaternions.unit(rng.normal(size=(50, 3)))
    twist = quaternions.twist(q, axis)
    np.testing.assert_allclose(quaternions.rotate(twist, axis), axis, atol=1e-12)
    swing = quaternions.multiply(q, quaternions.inverse(twist))
    # What is left has its axis across.
    np.testing.assert_allclose((swing[:, :3] * axis).sum(1), 0, atol=1e-12)


def test_slerp_is_even_and_takes_the_short_way():
    axis = np.array([0.0, 0.0, 1.0])
    a, b = quaternions.about(axis, np.array([0.2, 1.8]))
    for share in (0.0, 0.25, 0.5, 1.0):
        want = quaternions.about(axis, np.array(0.2 + 1.6 * share))
        np.testing.assert_allclose(quaternions.slerp(a, -b, share) @ want, 1.0, atol=1e-12)
    np.testing.assert_allclose(quaternions.slerp(a, a, 0.3), a, atol=1e-12)


def test_mean_ignores_signs():
    axis = np.array([0.0, 1.0, 0.0])
    q = quaternions.about(axis, np.array([0.1, 0.2, 0.3]))
    q[1] *= -1
    np.testing.assert_allclose(
        abs(quaternions.mean(q) @ quaternions.about(axis, np.array(0.2))), 1, atol=1e-9
    )
