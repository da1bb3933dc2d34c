"""Posing: limbs point where they are told, from any rest pose and any order of bones."""

import dataclasses

import numpy as np
import pytest

from anime_pt.avatars import poses, rig, rotations
from anime_pt.avatars.character import Append
from tests.avatars.tiny_character import build_tiny

ENDS = {"UpperArm": "LowerArm", "LowerArm": "Hand", "UpperLeg": "LowerLeg", "LowerLeg": "Foot"}


def directions(character, globals_) -> np.ndarray:
    """(8, 3) unit directions of the limbs as posed, in the order of `poses.LIMBS`."""
    out = []
    for role in poses.LIMBS:
        side = "left" if role.startswith("left") else "right"
        a = globals_[character.humanoid[role], :3, 3]
        b = globals_[character.humanoid[side + ENDS[role.removeprefix(side)]], :3, 3]
        out.append((b - a) / np.linalg.norm(b - a))
    return np.array(out)


def lengths(character, globals_) -> np.ndarray:
    """Distances of all bones that have a parent to it."""
    child = character.parents >= 0
    places = globals_[:, :3, 3]
    return np.linalg.norm(places[child] - places[character.parents[child]], axis=1)


def in_t_pose(character):
    """The same body with arms held sideways at rest: bones and mesh moved together."""
    flat = dataclasses.replace(poses.standing(), hands=np.zeros((2, 3)), feet=np.zeros((2, 3)))
    limbs = flat.limbs.copy()
    limbs[0] = limbs[2] = (1, 0, 0)
    limbs[1] = limbs[3] = (-1, 0, 0)
    limbs[4:] = (0, -1, 0)
    globals_ = rig.pose(character, poses.Pose(np.zeros((5, 3)), limbs))
    rest = globals_.copy()
    rest[:, :3, :3] = np.eye(3)
    return dataclasses.replace(
        character, positions=rig.skin(character, globals_).astype(np.float32), rest=rest, derived={}
    )


@pytest.mark.parametrize("rest", ["A", "T"])
def test_limbs_point_where_the_pose_says(rest):
    character = build_tiny() if rest == "A" else in_t_pose(build_tiny())
    rng = np.random.default_rng(0)
    for _ in range(20):
        pose = poses.sample(rng)
        globals_ = rig.pose(character, pose)
        np.testing.assert_allclose(directions(character, globals_), pose.limbs, atol=1e-9)
        np.testing.assert_allclose(np.linalg.det(globals_[:, :3, :3]), 1.0, atol=1e-9)
        # Bones keep their lengths.
        np.testing.assert_allclose(
            lengths(character, globals_), lengths(character, character.rest), atol=1e-9
        )


def test_rest_poses_agree_on_the_mesh():
    """The same pose from an A and from a T rest pose gives nearly the same surface."""
    a, t = build_tiny(), in_t_pose(build_tiny())
    pose = poses.sample(np.random.default_rng(2))
    gap = rig.skin(a, rig.pose(a, pose)) - rig.skin(t, rig.pose(t, pose))
    assert np.abs(gap).max() < 0.02


def test_order_of_bones_does_not_matter():
    tiny = build_tiny()
    order = np.random.default_rng(1).permutation(len(tiny.parents))
    back = np.argsort(order)
    shuffled = dataclasses.replace(
        tiny,
        joints=back[tiny.joints].astype(np.int32),
        bone_names=[tiny.bone_names[i] for i in order],
        parents=np.where(tiny.parents[order] >= 0, back[tiny.parents[order]], -1).astype(np.int32),
        rest=tiny.rest[order],
        humanoid={role: int(back[bone]) for role, bone in tiny.humanoid.items()},
        derived={},
    )
    pose = poses.sample(np.random.default_rng(5))
    np.testing.assert_allclose(rig.pose(shuffled, pose), rig.pose(tiny, pose)[order], atol=1e-12)


def test_rest_pose_and_skinning():
    tiny = build_tiny()
    globals_ = rig.pose(tiny, None)
    np.testing.assert_array_equal(globals_, tiny.rest)
    np.testing.assert_allclose(rig.skin(tiny, globals_), tiny.positions, atol=1e-6)


def test_spine_turns_add_up():
    tiny = build_tiny()
    spine = np.array([[0, 0.3, 0], [0, 0.2, 0], [0, 0.1, 0], [0.2, 0, 0], [0, 0, 0.4]])
    globals_ = rig.pose(tiny, poses.Pose(spine, poses.standing().limbs))
    chest = globals_[tiny.humanoid["chest"], :3, :3]
    np.testing.assert_allclose(chest, rotations.about(np.array([0.0, 1, 0]), 0.6), atol=1e-12)
    head = globals_[tiny.humanoid["head"], :3, :3]
    expected = chest @ rotations.from_vector(spine[3]) @ rotations.from_vector(spine[4])
    np.testing.assert_allclose(head, expected, atol=1e-12)


def test_twist_never_jumps():
    """Small changes of a motion give small turns of every bone."""
    tiny = build_tiny()
    for seed in range(6):
        motion = poses.sequence(np.random.default_rng(seed), 60)
        frames = np.stack([rig.pose(tiny, p)[:, :3, :3] for p in motion])
        step = np.einsum("tbji,tbjk->tbik", frames[:-1], frames[1:])
        angle = np.arccos(np.clip((np.trace(step, axis1=2, axis2=3) - 1) / 2, -1, 1))
        assert np.degrees(angle.max()) < 50, seed


def with_helper(**append):
    """Tiny with one more bone at the left knee that copies the left upper leg."""
    tiny = build_tiny()
    source = tiny.humanoid["leftUpperLeg"]
    helper = len(tiny.parents)
    return dataclasses.replace(
        tiny,
        bone_names=[*tiny.bone_names, "helper"],
        parents=np.append(tiny.parents, tiny.humanoid["hips"]).astype(np.int32),
        rest=np.concatenate([tiny.rest, tiny.rest[source : source + 1]]),
        appends=[Append(helper, source, **append)],
        derived={},
    ), helper


def test_append_follows_its_source():
    pose = poses.sample(np.random.default_rng(3))
    character, helper = with_helper(ratio=1.0)
    globals_ = rig.pose(character, pose)
    np.testing.assert_allclose(globals_[helper], globals_[character.humanoid["leftUpperLeg"]], atol=1e-9)
    angle = lambda m: np.linalg.norm(rotations.to_vector(m))
    full = angle(globals_[character.humanoid["hips"], :3, :3].T @ globals_[helper, :3, :3])
    half, helper = with_helper(ratio=0.5)
    globals_ = rig.pose(half, pose)
    share = angle(globals_[half.humanoid["hips"], :3, :3].T @ globals_[helper, :3, :3])
    assert share == pytest.approx(full / 2, abs=1e-9) and full > 0.1
    back, helper = with_helper(ratio=-1.0)
    globals_ = rig.pose(back, pose)
    own = globals_[back.humanoid["hips"], :3, :3].T @ globals_[back.humanoid["leftUpperLeg"], :3, :3]
    copied = globals_[back.humanoid["hips"], :3, :3].T @ globals_[helper, :3, :3]
    np.testing.assert_allclose(copied, own.T, atol=1e-9)


def test_hang_keeps_heading_only():
    tiny = build_tiny()
    tail = len(tiny.parents)
    character = dataclasses.replace(
        tiny,
        bone_names=[*tiny.bone_names, "tail"],
        parents=np.append(tiny.parents, tiny.humanoid["head"]).astype(np.int32),
        rest=np.concatenate([tiny.rest, tiny.rest[-1:]]),
        hang={tail: 1.0},
        derived={},
    )
    spine = np.zeros((5, 3))
    spine[4] = (0.5, 0.0, 0.2)
    globals_ = rig.pose(character, poses.Pose(spine, poses.standing().limbs))
    down = globals_[tail, :3, :3] @ [0, -1, 0]
    np.testing.assert_allclose(down, [0, -1, 0], atol=1e-9)
    spine[4] = (0.0, 0.7, 0.0)
    globals_ = rig.pose(character, poses.Pose(spine, poses.standing().limbs))
    np.testing.assert_allclose(rotations.to_vector(globals_[tail, :3, :3]), [0, 0.7, 0], atol=1e-9)


def lift(character, globals_):
    globals_ = globals_.copy()
    globals_[:, 1, 3] += 1.0
    return globals_


def test_secondary_has_the_last_word():
    tiny = build_tiny()
    lifted = dataclasses.replace(tiny, secondary=lift, derived={})
    pose = poses.standing()
    np.testing.assert_allclose(rig.pose(lifted, pose)[:, 1, 3], rig.pose(tiny, pose)[:, 1, 3] + 1.0)


def test_feet_and_hands_follow_directions():
    tiny = build_tiny()
    pose = dataclasses.replace(poses.standing(), feet=np.array([[0.6, 0, 0.8], [-0.6, 0, 0.8]]))
    globals_ = rig.pose(tiny, pose)
    toes = globals_[tiny.humanoid["leftFoot"], :3, :3] @ [0, 0, 1]
    np.testing.assert_allclose(toes, [0.6, 0, 0.8], atol=1e-9)


def test_cyclic_parents_do_not_hang():
    tiny = build_tiny()
    parents = tiny.parents.copy()
    parents[tiny.humanoid["hips"]] = tiny.humanoid["leftFoot"]
    looped = dataclasses.replace(tiny, parents=parents, derived={})
    assert np.isfinite(rig.pose(looped, poses.standing())).all()


def test_rotation_vectors():
    rng = np.random.default_rng(0)
    for _ in range(50):
        v = rng.normal(size=3)
        v *= min(1.0, 3.1 / np.linalg.norm(v))
        np.testing.assert_allclose(rotations.to_vector(rotations.from_vector(v)), v, atol=1e-9)
    half = rotations.about(np.array([0.0, 0.6, 0.8]), np.pi)
    np.testing.assert_allclose(rotations.from_vector(rotations.to_vector(half)), half, atol=1e-9)
    turned = rotations.swing(np.array([0.0, 0, 1]), np.array([0.0, 0, -1])) @ [0, 0, 1]
    np.testing.assert_allclose(turned, [0, 0, -1], atol=1e-12)
