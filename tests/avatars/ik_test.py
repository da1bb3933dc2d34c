"""Inverse kinematics: goals are reached, limits hold, knees bend forward."""

import dataclasses

import numpy as np
import pytest

from anime_pt.avatars import bone_pose, deform, ik, rig
from anime_pt.avatars.character import Ik, IkLink
from anime_pt.avatars.quaternions import from_matrix
from tests.avatars import bare

KNEE = ((np.radians(0.5), 0.0, 0.0), (np.pi, 0.0, 0.0))


def leg(front: float = 0.02, **changes):
    """Hip, knee, ankle and the goal; the knee stands `front` metres before the line from hip to ankle."""
    chain = Ik(3, 2, (IkLink(1, *KNEE), IkLink(0)), 40, 2.0)
    places = [(0, 0.9, 0), (0, 0.5, front), (0, 0.1, 0), (0, 0.1, 0)]
    return bare.chain(places, [-1, 0, 1, -1], iks=[dataclasses.replace(chain, **changes)])


def reach(character, shift) -> np.ndarray:
    """Globals with the goal, which is bone 3, moved."""
    pose = bone_pose.rest(character)
    pose.translations[3] = shift
    return rig.pose(character, pose)


def gap(globals_) -> float:
    return float(np.linalg.norm(globals_[2, :3, 3] - globals_[3, :3, 3]))


@pytest.mark.parametrize("front", [0.0, 0.001, 0.03])
@pytest.mark.parametrize(
    "shift", [(0, 0.01, 0), (0, 0.1, 0), (0, 0.5, 0), (0.2, 0.2, 0.3), (-0.1, 0.3, -0.3), (0, 0, 0)]
)
def test_feet_reach_their_goals_with_the_knee_ahead(front, shift):
    globals_ = reach(leg(front), shift)
    # The descent is slow while the leg is nearly straight.
    assert gap(globals_) < (4e-3 if shift[1] == 0.01 else 2e-4)
    hip, knee, ankle = globals_[:3, :3, 3]
    # Lengths hold, and the knee is before the line from hip to ankle.
    upper, lower = np.hypot(0.4, front), np.hypot(0.4, front)
    assert np.linalg.norm(knee - hip) == pytest.approx(upper)
    assert np.linalg.norm(ankle - knee) == pytest.approx(lower)
    line = (ankle - hip) / np.linalg.norm(ankle - hip)
    before = (knee - hip) - (knee - hip) @ line * line
    if np.linalg.norm(before) > 1e-3:
        assert before[2] > 0


def test_knees_turn_about_their_axis_within_limits():
    rng = np.random.default_rng(0)
    for _ in range(50):
        globals_ = reach(leg(), rng.uniform((-0.3, 0.0, -0.4), (0.3, 0.6, 0.4)))
        x, y, z, w = from_matrix(globals_[0, :3, :3].T @ globals_[1, :3, :3])
        np.testing.assert_allclose([y, z], 0, atol=1e-9)
        assert np.radians(0.5) - 1e-9 <= 2 * np.arctan2(x, w) <= np.pi + 1e-9


def test_out_of_reach_the_leg_stretches_towards_the_goal():
    globals_ = reach(leg(), (0.0, -0.5, 0.5))
    hip, ankle, goal = globals_[[0, 2, 3], :3, 3]
    along = (goal - hip) / np.linalg.norm(goal - hip)
    assert (ankle - hip) @ along / np.linalg.norm(ankle - hip) > 0.9999
    assert np.linalg.norm(ankle - hip) > 0.999 * 2 * np.hypot(0.4, 0.02) * np.cos(np.radians(2))


def test_small_goal_moves_give_small_turns():
    frames = [
        reach(leg(), (0.1 * np.sin(t), 0.15 + 0.14 * np.cos(t), 0.2 * np.sin(t)))
        for t in np.arange(0, 6, 0.05)
    ]
    steps = np.diff([from_matrix(f[:, :3, :3]) for f in frames], axis=0)
    assert np.abs(steps).max() < 0.06


def test_steps_grow_with_the_number_of_the_link():
    """One iteration turns the first link by at most one step, the second by at most two."""
    places = [(0, 2, 0), (0, 1, 0), (0, 0, 0), (2, 2, 0)]
    c = bare.chain(places, [-1, 0, 1, -1], iks=[Ik(3, 2, (IkLink(1), IkLink(0)), 1, 0.1)])
    globals_ = reach(c, (0, 0, 0))
    local = from_matrix(globals_[0, :3, :3].T @ globals_[1, :3, :3])
    assert 2 * np.arcsin(local[2]) == pytest.approx(0.1)
    assert 2 * np.arcsin(from_matrix(globals_[0, :3, :3])[2]) == pytest.approx(0.2)


def test_goals_and_links_may_have_parents_that_move():
    places = [(0, 0, 0), (0, 0.9, 0), (0, 0.5, 0.02), (0, 0.1, 0), (0, 0.1, 0)]
    chain = Ik(4, 3, (IkLink(2, *KNEE), IkLink(1)), 40, 2.0)
    c = bare.chain(places, [-1, 0, 1, 2, 0], iks=[chain])
    pose = bone_pose.rest(c)
    pose.rotations[0], pose.translations[0] = bare.about((0.2, 1, 0.1), 130), (3, 1, -2)
    pose.translations[4] = (0, 0.2, 0.1)
    globals_ = rig.pose(c, pose)
    np.testing.assert_allclose(globals_[3, :3, 3], globals_[4, :3, 3], atol=1e-4)


def test_chains_are_solved_one_after_the_other():
    """A second chain aims the foot of the first at toes whose goal hangs on the first goal."""
    places = [(0, 0.9, 0), (0, 0.5, 0.02), (0, 0.1, 0), (0, 0.1, 0), (0, 0, 0.12), (0, 0, 0.12)]
    iks = [Ik(3, 2, (IkLink(1, *KNEE), IkLink(0)), 40, 2.0), Ik(5, 4, (IkLink(2),), 10, 4.0)]
    c = bare.chain(places, [-1, 0, 1, -1, 2, 3], iks=iks)
    pose = bone_pose.rest(c)
    pose.translations[3], pose.rotations[3] = (0.1, 0.25, 0.1), bare.about((1, 0, 0), 40)
    globals_ = rig.pose(c, pose)
    np.testing.assert_allclose(globals_[2, :3, 3], globals_[3, :3, 3], atol=1e-4)
    np.testing.assert_allclose(globals_[4, :3, 3], globals_[5, :3, 3], atol=1e-3)


def test_links_with_a_fixed_axis_turn_about_it_alone():
    c = bare.chain([(0, 0, 0), (1, 0, 0), (0, 1, 1)], [-1, 0, -1], iks=[Ik(2, 1, (IkLink(0),), 20, 1.0)])
    c = dataclasses.replace(c, fixed_axes={0: np.array([0.0, 1.0, 0.0])}, derived={})
    globals_ = rig.pose(c, bone_pose.rest(c))
    np.testing.assert_allclose(globals_[0, :3, :3] @ [0, 1, 0], [0, 1, 0], atol=1e-9)
    assert globals_[1, 2, 3] > 0.9  # As near as it gets: towards +Z.


@pytest.mark.parametrize(
    "low,high",
    [((-0.3, 0, 0), (0.2, 0, 0)), ((-0.4, -0.2, -0.1), (0.4, 0.3, 0.2)), ((-3, -0.5, -0.5), (3, 0.1, 0.5))],
)
def test_limits_hold_in_every_order_of_angles(low, high):
    """Small limited turns: each angle about its axis stays within, whatever the goal asks for."""
    rng = np.random.default_rng(1)
    for _ in range(30):
        goal = rng.normal(size=3)
        c = bare.chain(
            [(0, 0, 0), (0, 0, 1), goal], [-1, 0, -1], iks=[Ik(2, 1, (IkLink(0, low, high),), 10, 1.0)]
        )
        m = rig.pose(c, bone_pose.rest(c))[0, :3, :3]
        order = int(ik.chains(c.iks, c.parents).orders[0])
        angles = [
            (np.arcsin(-m[1, 2]), np.arctan2(m[0, 2], m[2, 2]), np.arctan2(m[1, 0], m[1, 1])),
            (np.arctan2(m[2, 1], m[2, 2]), np.arcsin(-m[2, 0]), np.arctan2(m[1, 0], m[0, 0])),
            (np.arctan2(m[2, 1], m[1, 1]), np.arctan2(m[0, 2], m[0, 0]), np.arcsin(-m[0, 1])),
        ][order]
        assert (np.array(angles) >= np.array(low) - 1e-6).all(), angles
        assert (np.array(angles) <= np.array(high) + 1e-6).all(), angles


def test_hostile_chains_end():
    c = leg(iterations=2**31 - 1, step=1e30)
    assert np.isfinite(reach(c, (0, 0.2, 0))).all()
    endless = bare.chain(np.zeros((3000, 3)), range(-1, 2999))
    links = tuple(IkLink(i) for i in range(2998, -1, -1))
    endless = dataclasses.replace(endless, iks=[Ik(0, 2999, links, 255, 1.0)], derived={})
    assert np.isfinite(rig.pose(endless, bone_pose.rest(endless))).all()
    # A link below its own effector, an effector above its links, a goal that is a link.
    odd = leg(links=(IkLink(2), IkLink(3), IkLink(1)))
    assert np.isfinite(reach(odd, (0, 0.2, 0))).all()
    assert np.isfinite(reach(leg(goal=0), (0, 0, 0))).all()


def test_fixture_of_limits_about_two_axes():
    """One iteration with a step of 0 radians moves nothing."""
    c = bare.of_pmx(bare.asset("ik_multi_axis_limit.pmx"))
    (chain,) = c.iks
    # Z is negated: limits about Y swap and change sign, those about Z stay.
    assert (chain.links[0].low, chain.links[0].high) == ((0, -1, -1), (0, 1, 1))
    np.testing.assert_allclose(rig.pose(c, bone_pose.rest(c)), c.rest, atol=1e-9)
    free = dataclasses.replace(c, iks=[dataclasses.replace(chain, step=1.0, iterations=40)], derived={})
    globals_ = deform.globals_of(free, bone_pose.rest(free))
    hand, goal = globals_[chain.effector, :3, 3], globals_[chain.goal, :3, 3]
    along = lambda a: a / np.linalg.norm(a)
    before = along(c.rest[chain.effector, :3, 3]) @ along(goal)
    assert along(hand) @ along(goal) > max(0.9, before)
