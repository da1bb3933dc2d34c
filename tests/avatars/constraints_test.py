import dataclasses

import numpy as np
import pytest

from anime_pt.avatars import constraints, poses, rig
from anime_pt.avatars.character import Constraint
from anime_pt.avatars.formats import vrm
from anime_pt.avatars.formats.binary import FormatError
from tests.avatars import gltf_files
from tests.avatars.tiny_character import build_tiny


def turn(axis, degrees: float) -> np.ndarray:
    return gltf_files.matrix(gltf_files.quaternion(axis, degrees))


def rigged(*more: tuple[str, np.ndarray]):
    """The tiny character with random bone axes, and more bones where others are: (parent's role, axes)."""
    c = build_tiny()
    rng = np.random.default_rng(0)
    for bone in range(len(c.rest)):
        c.rest[bone, :3, :3] = turn(rng.normal(size=3), rng.uniform(0, 360))
    for role, axes in more:
        parent = c.humanoid[role]
        rest = c.rest[parent].copy()
        rest[:3, :3] = axes
        c = dataclasses.replace(
            c,
            rest=np.concatenate([c.rest, rest[None]]),
            parents=np.append(c.parents, parent).astype(np.int32),
            bone_names=[*c.bone_names, f"helper {len(c.parents)}"],
            derived={},
        )
    return c


def posed(c, **turns: np.ndarray) -> np.ndarray:
    """Globals at rest, but for bones (by role) that turn about their place, with all below them."""
    out = c.rest.copy()
    for role, change in turns.items():
        root = c.humanoid[role]
        pivot = out[root, :3, 3].copy()
        for bone in range(len(out)):
            above = bone
            while above not in (-1, root):
                above = c.parents[above]
            if above == root:
                out[bone, :3, :3] = change @ out[bone, :3, :3]
                out[bone, :3, 3] = change @ (out[bone, :3, 3] - pivot) + pivot
    return out


def angle(a: np.ndarray, b: np.ndarray) -> float:
    """Degrees between two rotations."""
    return float(np.degrees(np.arccos(np.clip((np.trace(a.T @ b) - 1) / 2, -1, 1))))


def test_roll_takes_the_twist_and_leaves_the_swing():
    axes = turn((1, 2, 3), 50)
    along = axes[:, 0]
    c = rigged(("leftLowerArm", axes))
    helper = len(c.parents) - 1
    across = np.cross(along, (0, 1, 0))
    hand = c.humanoid["leftHand"]
    c.constraints = [Constraint(helper, hand, "roll", (1, 0, 0), 0.5)]
    got = constraints.apply(c, posed(c, leftHand=turn(along, 80)))
    np.testing.assert_allclose(got[helper, :3, :3], turn(along, 40) @ axes, atol=1e-9)
    got = constraints.apply(c, posed(c, leftHand=turn(across, 60)))
    np.testing.assert_allclose(got[helper], c.rest[helper], atol=1e-9)
    # Both: a twist of 80 degrees, after which the axis swings; only the twist is copied.
    got = constraints.apply(c, posed(c, leftHand=turn(across, 60) @ turn(along, 80)))
    np.testing.assert_allclose(got[helper, :3, :3], turn(along, 40) @ axes, atol=1e-9)


def test_rotation_copies_in_local_axes():
    axes = turn((3, 1, 2), 110)
    c = rigged(("rightLowerArm", axes))
    helper, source = len(c.parents) - 1, c.humanoid["leftLowerArm"]
    own = turn((0, 0, 1), 50)
    # A turn about the source's own Z becomes one about the helper's own Z.
    rest = c.rest[source, :3, :3]
    globals_ = posed(c, leftLowerArm=rest @ own @ rest.T)
    for weight, degrees in ((1.0, 50), (0.4, 20), (0.0, 0)):
        c.constraints = [Constraint(helper, source, "rotation", weight=weight)]
        c.derived.clear()
        got = constraints.apply(c, globals_)
        np.testing.assert_allclose(got[helper, :3, :3], axes @ turn((0, 0, 1), degrees), atol=1e-9)


def test_aim_turns_the_axis_to_the_source_by_the_least_turn():
    c = rigged(("chest", turn((1, 1, 0), 35)))
    helper, source = len(c.parents) - 1, c.humanoid["leftLowerArm"]
    globals_ = posed(c, chest=turn((0, 1, 0), 30), leftUpperArm=turn((0, 0, 1), 70))
    for axis in ((0, 0, 1), (0, -1, 0)):
        c.constraints = [Constraint(helper, source, "aim", axis)]
        c.derived.clear()
        got = constraints.apply(c, globals_)
        towards = globals_[source, :3, 3] - globals_[helper, :3, 3]
        towards /= np.linalg.norm(towards)
        np.testing.assert_allclose(got[helper, :3, :3] @ axis, towards, atol=1e-9)
        before = globals_[helper, :3, :3]
        least = np.degrees(np.arccos(before @ np.array(axis, float) @ towards))
        assert angle(before, got[helper, :3, :3]) == pytest.approx(least, abs=1e-4)
        np.testing.assert_allclose(got[helper, :3, 3], globals_[helper, :3, 3])


def test_chains_are_taken_in_order_and_children_go_along():
    c = rigged(("leftLowerArm", np.eye(3)), ("rightLowerArm", np.eye(3)))
    first, second = len(c.parents) - 2, len(c.parents) - 1
    c.parents[c.humanoid["rightHand"]] = second
    hand = c.humanoid["leftHand"]
    # Listed the wrong way round: the second follows the first, which follows the hand.
    c.constraints = [
        Constraint(second, first, "rotation"),
        Constraint(first, hand, "roll", (1, 0, 0)),
    ]
    got = constraints.apply(c, posed(c, leftHand=turn((1, 0, 0), 64)))
    for bone in (first, second):
        np.testing.assert_allclose(got[bone, :3, :3], turn((1, 0, 0), 64), atol=1e-9)
    moved = c.humanoid["rightHand"]
    offset = c.rest[moved, :3, 3] - c.rest[second, :3, 3]
    np.testing.assert_allclose(
        got[moved, :3, 3], c.rest[second, :3, 3] + turn((1, 0, 0), 64) @ offset, atol=1e-9
    )
    circle = [Constraint(first, second, "rotation"), Constraint(second, first, "rotation")]
    assert {x.bone for x in constraints.order(circle, c.parents)} == {first, second}


def test_rest_is_a_fixed_point_and_poses_apply_them():
    c = rigged(("leftLowerArm", turn((1, 2, 3), 50)))
    helper = len(c.parents) - 1
    for kind in ("roll", "rotation"):
        c.constraints = [Constraint(helper, c.humanoid["leftHand"], kind, (0, 1, 0))]
        c.derived.clear()
        np.testing.assert_allclose(constraints.apply(c, c.rest), c.rest, atol=1e-9)
    pose = poses.sample(np.random.default_rng(3))
    with_, without = rig.pose(c, pose), rig.pose(dataclasses.replace(c, constraints=[], derived={}), pose)
    np.testing.assert_allclose(with_, constraints.apply(c, without), atol=1e-9)
    assert angle(with_[helper, :3, :3], without[helper, :3, :3]) > 1


def test_reading(tmp_path):
    glb = gltf_files.figure("1.0")
    bones = glb.json["extensions"]["VRMC_vrm"]["humanoid"]["humanBones"]
    hand, arm = bones["leftHand"]["node"], bones["leftLowerArm"]["node"]

    def load(options: dict, node: int | None = None):
        at = glb.json["nodes"][node if node is not None else len(glb.json["nodes"]) - 2]
        at["extensions"] = {"VRMC_node_constraint": {"specVersion": "1.0", "constraint": options}}
        return vrm.load(glb.save(tmp_path / "file.vrm"))

    glb.json["nodes"].insert(-1, {"name": "helper"})
    glb.json["nodes"][arm]["children"].append(len(glb.json["nodes"]) - 2)
    c = load({"roll": {"source": hand, "rollAxis": "Z", "weight": 0.25}})
    helper = c.bone_names.index("helper")
    assert c.constraints == [Constraint(helper, c.humanoid["leftHand"], "roll", (0, 0, 1), 0.25)]
    c = load({"aim": {"source": hand, "aimAxis": "NegativeX"}})
    assert c.constraints == [Constraint(helper, c.humanoid["leftHand"], "aim", (-1, 0, 0))]
    c = load({"rotation": {"source": hand}})
    assert c.constraints == [Constraint(helper, c.humanoid["leftHand"], "rotation")]
    with pytest.raises(FormatError, match="no axis"):
        load({"roll": {"source": hand, "rollAxis": "W"}})
    with pytest.raises(FormatError, match="is the node itself"):
        load({"rotation": {"source": hand}}, hand)
