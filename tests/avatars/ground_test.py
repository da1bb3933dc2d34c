import numpy as np
import pytest

from anime_pt.avatars import files, ground, quaternions

X, Y, Z = np.eye(3)


def test_a_floor_that_drifts_is_followed_and_jumps_are_not():
    fps = 60.0
    t = np.arange(600) / fps
    drift = 0.1 * t / 10
    jump = np.where((t > 4) & (t < 4.5), 1.2 * np.sin((t - 4) * 2 * np.pi), 0.0).clip(0)
    heights = drift + jump
    speeds = np.abs(np.gradient(heights)) * fps
    found = ground.floor(heights, speeds, fps)
    assert np.abs(found - drift).max() < 0.02


def test_a_floor_that_nobody_stands_on_is_the_lowest():
    heights = np.linspace(0.1, 1.1, 101)
    assert ground.floor(heights, np.full(101, 5.0), 30.0) == pytest.approx(0.15)


def test_smoothing_keeps_what_is_even_and_evens_out_the_rest():
    np.testing.assert_allclose(ground.smooth(np.full(9, 3.0), 2.0), 3.0)
    bump = ground.smooth(np.eye(31)[15], 3.0)
    assert len(bump) == 31
    assert bump.sum() == pytest.approx(1.0)
    assert bump[15] == pytest.approx(1 / (3 * np.sqrt(2 * np.pi)), rel=0.01)


def test_feet_touch_by_heel_or_toe():
    points = np.array([[0, -0.1, -0.05], [0, -0.1, 0.2]])
    pitch = np.array([0.0, 0.5, -0.5])  # Flat, toes down, toes up.
    low, rolled = ground.lowest(quaternions.about(X, pitch), points)
    want = [-0.1, -0.1 * np.cos(0.5) - 0.2 * np.sin(0.5), -0.1 * np.cos(0.5) - 0.05 * np.sin(0.5)]
    np.testing.assert_allclose(low, want, atol=1e-12)
    np.testing.assert_allclose(rolled[0], 0, atol=1e-12)
    # On the toes, which stay, the ankle goes forward; `rolled` is where the toes went against it.
    turned = quaternions.rotate(quaternions.about(X, np.array(0.5)), points[1])
    np.testing.assert_allclose(rolled[1], turned - points[1], atol=0.02)
    # A turn on the spot is no rolling.
    _, rolled = ground.lowest(quaternions.about(Y, np.array([1.0])), points)
    np.testing.assert_allclose(rolled, 0, atol=1e-12)


def test_soles_are_those_of_the_mesh():
    who = files.load("procedural:1")
    for side in ("left", "right"):
        ankle = who.rest[who.humanoid[side + "Foot"], :3, 3]
        heel, ball = ground.sole(who, side, 0.7) + ankle
        assert abs(heel[1]) < 0.01
        assert abs(ball[1]) < 0.01
        assert heel[2] < ankle[2] < ball[2]
        assert np.sign(heel[0]) == (1 if side == "left" else -1)


@pytest.mark.parametrize("far", [0.3, 0.55, 0.7, 0.79])
def test_legs_reach_their_goals_and_knees_keep_their_way(far):
    rng = np.random.default_rng(0)
    count = 40
    thigh, shin = np.array([0.01, -0.4, 0.0]), np.array([0.0, -0.41, -0.02])
    upper = quaternions.about(X, rng.uniform(-1, 0.2, count))
    lower = quaternions.multiply(upper, quaternions.about(X, rng.uniform(0.2, 1.5, count)))
    goal = far * quaternions.unit(rng.normal(size=(count, 3)) * 0.3 - Y)
    hinge = quaternions.rotate(upper, X)
    one, two = ground.reach(upper, lower, thigh, shin, hinge, goal, np.full(count, 0.5))
    ankle = quaternions.rotate(one, thigh) + quaternions.rotate(two, shin)
    length = np.linalg.norm(thigh) + np.linalg.norm(shin)
    slack = 1e-9 if far < 0.98 * length else 0.005
    np.testing.assert_allclose(ankle, goal, atol=slack)
    # The knee still bends about the axis that it bent about, which turned with the leg.
    bend = np.cross(quaternions.rotate(one, thigh), quaternions.rotate(two, shin))
    assert ((bend * quaternions.rotate(one, X)).sum(1) > 0).all()


def test_legs_that_are_there_do_not_move():
    count = 5
    upper = quaternions.about(X, np.full(count, -0.6))
    lower = quaternions.about(X, np.full(count, 0.4))
    thigh = shin = -0.4 * Y
    goal = quaternions.rotate(upper, thigh) + quaternions.rotate(lower, shin)
    one, two = ground.reach(upper, lower, thigh, shin, np.tile(X, (count, 1)), goal, np.full(count, 0.8))
    np.testing.assert_allclose(one, upper, atol=1e-7)
    np.testing.assert_allclose(two, lower, atol=1e-7)


def test_goals_out_of_reach_stretch_the_leg_without_a_pop():
    far = np.linspace(0.6, 1.0, 400)
    count = len(far)
    upper = quaternions.about(X, np.full(count, -0.3))
    lower = quaternions.about(X, np.full(count, 0.3))
    thigh = shin = -0.4 * Y
    goal = -far[:, None] * Y
    one, two = ground.reach(upper, lower, thigh, shin, np.tile(X, (count, 1)), goal, np.full(count, 0.9))
    ankle = np.linalg.norm(quaternions.rotate(one, thigh) + quaternions.rotate(two, shin), axis=1)
    assert ankle.max() < 0.8
    assert (np.diff(ankle) > 0).all()
    bend = np.arccos((quaternions.rotate(one, Y) * quaternions.rotate(two, Y)).sum(1).clip(-1, 1))
    # No knee turns faster than two degrees for a millimetre.
    assert np.degrees(np.abs(np.diff(bend))).max() < 2


def test_hips_sink_for_standing_feet_alone():
    hips = np.tile(0.82 * Y, (2, 1, 1))
    ankles = np.zeros((2, 1, 3))
    straight = np.ones((2, 1))
    drop = ground.hip_drop(hips, ankles, np.ones((2, 1)), 0.8, straight)
    assert 0.02 < drop[0] < 0.03
    assert ground.hip_drop(hips, ankles, np.zeros((2, 1)), 0.8, straight)[0] == 0
    # Bent legs need not be as straight as any other.
    assert ground.hip_drop(0.8 * hips, ankles, np.ones((2, 1)), 0.8, 0.8 * straight)[0] == 0
    np.testing.assert_allclose(ground.stands(np.array([0.0, 0.01, 0.5]), 0.8), [1, 1, 0])
