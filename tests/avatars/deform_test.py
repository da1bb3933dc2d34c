"""The deform rig of MMD: helpers, fixed axes, order, bone morphs, hanging; the micro fixtures."""

import dataclasses

import numpy as np
import pytest

from anime_pt.avatars import bone_pose, deform, rig, rotations
from anime_pt.avatars.character import Append, BoneChange, Ik, IkLink, Morph
from anime_pt.avatars.quaternions import from_matrix, multiply, slerp, to_matrix
from tests.avatars import bare
from tests.avatars.tiny_character import build_tiny

IDENTITY = [0.0, 0.0, 0.0, 1.0]


def posed(character, turns=None, shifts=None, **fields) -> np.ndarray:
    """Globals (b, 4, 4) with some bones turned (bone -> quaternion) and moved (bone -> (3,))."""
    pose = bone_pose.rest(character)
    for bone, turn in (turns or {}).items():
        pose.rotations[bone] = turn
    for bone, shift in (shifts or {}).items():
        pose.translations[bone] = shift
    return rig.pose(character, dataclasses.replace(pose, **fields))


def turn_of(globals_, bone) -> np.ndarray:
    return globals_[bone, :3, :3]


def degrees(globals_, bone) -> float:
    return np.degrees(np.linalg.norm(rotations.to_vector(np.ascontiguousarray(turn_of(globals_, bone)))))


def test_rest_pose_is_rest():
    tiny = build_tiny()
    np.testing.assert_allclose(posed(tiny), tiny.rest, atol=1e-12)


def test_children_turn_and_move_with_their_parents():
    c = bare.chain([(0, 1, 0), (0, 2, 0), (1, 2, 0)], [-1, 0, 1])
    globals_ = posed(c, {0: bare.about((0, 0, 1), 90), 1: bare.about((0, 0, 1), 90)}, {1: (0, 0.5, 0)})
    # Bone 1 moves along its parent's axes: up became left of the picture.
    np.testing.assert_allclose(globals_[:, :3, 3], [[0, 1, 0], [-1.5, 1, 0], [-2.5, 1, 0]], atol=1e-12)
    assert degrees(globals_, 2) == pytest.approx(180)


def test_rest_rotations_of_bones_do_not_matter():
    """The same pose on bones that have their own axes at rest, as those of VRM 1.0 files."""
    c = bare.chain([(0, 1, 0), (0, 2, 0), (1, 2, 0)], [-1, 0, 1])
    turned = dataclasses.replace(c, rest=c.rest.copy(), derived={})
    axes = to_matrix(bare.about((1, 2, 3), 77))
    turned.rest[:, :3, :3] = axes
    pose = {0: bare.about((1, 0, 0), 40), 1: bare.about((0, 1, 1), -70)}
    a, b = posed(c, pose, {2: (0.1, 0, 0)}), posed(turned, pose, {2: (0.1, 0, 0)})
    np.testing.assert_allclose(b[:, :3, 3], a[:, :3, 3], atol=1e-12)
    np.testing.assert_allclose(b[:, :3, :3], a[:, :3, :3] @ axes, atol=1e-12)


@pytest.mark.parametrize("ratio", [1.0, 0.25, -1.0, 1.5, 0.0])
def test_append_copies_a_share_of_turn_and_movement(ratio):
    places = [(0, 0, 0), (1, 0, 0), (2, 0, 0)]
    c = bare.chain(places, [-1, -1, -1], appends=[Append(2, 1, ratio, True, True)])
    globals_ = posed(c, {1: bare.about((0, 1, 0), 40)}, {1: (0.1, 0.2, 0.3)})
    turn = rotations.to_vector(np.ascontiguousarray(turn_of(globals_, 2)))
    np.testing.assert_allclose(np.degrees(turn), [0, 40 * ratio, 0], atol=1e-9)
    np.testing.assert_allclose(globals_[2, :3, 3], np.add((2, 0, 0), ratio * np.array([0.1, 0.2, 0.3])))


def test_append_adds_to_the_own_turn_and_only_what_it_should():
    places = [(0, 0, 0), (1, 0, 0), (2, 0, 0), (3, 0, 0)]
    appends = [Append(1, 0, 1.0, True, False), Append(2, 0, 1.0, False, True)]
    c = bare.chain(places, [-1, -1, -1, -1], appends=appends)
    source, own = bare.about((1, 0, 0), 50), bare.about((0, 1, 0), 30)
    globals_ = posed(c, {0: source, 1: own, 2: own}, {0: (0, 1, 0)})
    np.testing.assert_allclose(turn_of(globals_, 1), to_matrix(multiply(own, source)), atol=1e-12)
    np.testing.assert_allclose(turn_of(globals_, 2), to_matrix(own), atol=1e-12)
    np.testing.assert_allclose(globals_[1:3, 1, 3], [0, 1])


def test_chains_of_appends_hand_on_what_they_copied():
    c = bare.chain(np.eye(3), [-1, -1, -1], appends=[Append(1, 0, 0.5), Append(2, 1, 0.5)])
    assert degrees(posed(c, {0: bare.about((0, 0, 1), 80)}), 2) == pytest.approx(20)
    # In the order of layers, a helper that comes before its source sees no copied turn yet.
    early = dataclasses.replace(c, layers=np.array([0, 2, 1]), derived={})
    assert degrees(posed(early, {0: bare.about((0, 0, 1), 80)}), 2) == pytest.approx(0)
    late = dataclasses.replace(early, after_physics=np.array([False, False, True]), derived={})
    assert degrees(posed(late, {0: bare.about((0, 0, 1), 80)}), 2) == pytest.approx(20)


def test_local_append_counts_what_the_source_inherited():
    places = [(0, 0, 0), (0, 1, 0), (5, 0, 0)]
    turns = {0: bare.about((0, 0, 1), 90), 1: bare.about((0, 0, 1), 30)}
    for local, angle, shift in ((False, 30, 0.0), (True, 120, -1.0)):
        append = Append(2, 1, 1.0, True, True, local)
        globals_ = posed(bare.chain(places, [-1, 0, -1], appends=[append]), turns)
        assert degrees(globals_, 2) == pytest.approx(angle)
        assert globals_[2, 0, 3] == pytest.approx(5 + shift)


def test_fixed_axes_keep_the_twist_about_them():
    axis = np.array([0.6, 0.8, 0.0])
    c = bare.chain([(0, 0, 0)], [-1], fixed_axes={0: axis})
    mixed = multiply(bare.about((0, 0, 1), 50), bare.about(axis, 35))
    globals_ = posed(c, {0: mixed})
    np.testing.assert_allclose(turn_of(globals_, 0) @ axis, axis, atol=1e-12)
    assert degrees(globals_, 0) == pytest.approx(35)


def leg(**fields):
    """Hip, knee, ankle, goal, and D bones that copy the three; legs are solved in layer 0."""
    places = [(0, 0.9, 0), (0, 0.5, 0.03), (0, 0.1, 0), (0, 0.1, 0), (0, 0.9, 0), (0, 0.5, 0.03), (0, 0.1, 0)]
    knee = IkLink(1, (np.radians(0.5), 0, 0), (np.pi, 0, 0))
    return bare.chain(
        places,
        [-1, 0, 1, -1, -1, 4, 5],
        iks=[Ik(3, 2, (knee, IkLink(0)), 40, 2.0)],
        appends=[Append(4 + i, i, 1.0) for i in range(3)],
        **fields,
    )


def test_d_bones_follow_inverse_kinematics_by_the_order_of_layers():
    goal = {3: (0.05, 0.3, 0.1)}
    late = leg(layers=np.array([0, 0, 0, 0, 1, 1, 1]))
    globals_ = posed(late, shifts=goal)
    np.testing.assert_allclose(globals_[2, :3, 3], [0.05, 0.4, 0.1], atol=1e-4)
    np.testing.assert_allclose(globals_[4:], globals_[:3], atol=1e-9)
    # Without layers helpers wait for their sources, but not for a goal; in layer 0 neither.
    early = leg(layers=np.array([1, 1, 1, 1, 0, 0, 0]))
    np.testing.assert_allclose(posed(early, shifts=goal)[4:], early.rest[4:], atol=1e-9)


def test_switched_off_chains_leave_the_keys():
    c = leg(layers=np.array([0, 0, 0, 0, 1, 1, 1]))
    keys = {0: bare.about((1, 0, 0), -30), 1: bare.about((1, 0, 0), 60)}
    for iks in (np.zeros(1, bool), np.zeros(0, bool)):
        globals_ = posed(c, keys, {3: (0, 0.3, 0)}, iks=iks)
        np.testing.assert_allclose(turn_of(globals_, 1), to_matrix(bare.about((1, 0, 0), 30)), atol=1e-12)
        np.testing.assert_allclose(turn_of(globals_, 5), turn_of(globals_, 1), atol=1e-12)


def test_without_ik_is_the_same_pose():
    c = leg(layers=np.array([0, 0, 0, 0, 1, 1, 1]), morphs=[])
    c.morphs.append(Morph("m", bones=(BoneChange(0, (0, 0, 0), tuple(bare.about((0, 1, 0), 20))),)))
    pose = bone_pose.rest(c)
    pose.translations[3] = (0.05, 0.3, 0.1)
    pose = dataclasses.replace(pose, morphs={"m": 0.7})
    plain = deform.without_ik(c, pose)
    assert not plain.iks.any() and np.abs(plain.rotations[1, :3]).max() > 0.1
    np.testing.assert_allclose(deform.globals_of(c, plain), deform.globals_of(c, pose), atol=1e-9)


def test_bone_morphs_turn_and_move_by_their_weight():
    change = BoneChange(1, (0.0, 0.2, 0.0), tuple(bare.about((0, 1, 0), 60)))
    c = bare.chain(np.zeros((2, 3)), [-1, 0], morphs=[Morph("m", bones=(change,))])
    globals_ = posed(c, {1: bare.about((0, 1, 0), 10)}, morphs={"m": 0.5})
    assert degrees(globals_, 1) == pytest.approx(40) and globals_[1, 1, 3] == pytest.approx(0.1)


def test_hang_keeps_upright_what_the_motion_does_not_turn():
    c = bare.chain([(0, 1, 0), (0, 2, 0), (0, 1.5, 0)], [-1, 0, 1], hang={1: 1.0, 2: 1.0})
    tilt = {0: multiply(bare.about((0, 1, 0), 25), bare.about((1, 0, 0), 40))}
    globals_ = posed(c, tilt)
    np.testing.assert_allclose(rotations.to_vector(turn_of(globals_, 1)), [0, np.radians(25), 0], atol=0.05)
    np.testing.assert_allclose(turn_of(globals_, 1) @ [0, 1, 0], [0, 1, 0], atol=1e-12)
    # It hangs from where its parent is.
    np.testing.assert_allclose(globals_[2, :3, 3], globals_[1, :3, 3] - [0, 0.5, 0], atol=1e-12)
    # A bone with keys does as they say, also in a moment in which they say nothing.
    keyed = posed(c, tilt, keyed=np.array([True, True, False]))
    np.testing.assert_allclose(turn_of(keyed, 1), turn_of(keyed, 0), atol=1e-12)
    turned = posed(c, {**tilt, 1: bare.about((0, 0, 1), 5)})
    expected = turn_of(turned, 0) @ to_matrix(bare.about((0, 0, 1), 5))
    np.testing.assert_allclose(turn_of(turned, 1), expected, atol=1e-12)


def lift(character, globals_):
    globals_ = globals_.copy()
    globals_[:, 1, 3] += 1.0
    return globals_


def test_secondary_has_the_last_word_here_too():
    c = bare.chain(np.zeros((2, 3)), [-1, 0], secondary=lift)
    np.testing.assert_allclose(posed(c)[:, 1, 3], 1.0)


def test_wrong_shapes_are_refused():
    c = leg()
    with pytest.raises(ValueError, match="for 7 bones"):
        rig.pose(c, bone_pose.BonePose(np.zeros((3, 4)), np.zeros((3, 3))))
    with pytest.raises(ValueError, match="2 chains of a character with 1"):
        posed(c, iks=np.ones(2, bool))


def test_cycles_do_not_hang():
    c = bare.chain(np.eye(3), [2, 0, 1], appends=[Append(0, 1, 1.0), Append(1, 0, 1.0)])
    globals_ = posed(c, {0: bare.about((0, 1, 0), 30)})
    assert np.isfinite(globals_).all()


# The micro fixtures, by the rules that their bones' names state.


def test_fixture_of_appends():
    c = bare.of_pmx(bare.asset("test_given_bone_comprehensive.pmx"))
    at = {name: i for i, name in enumerate(c.bone_names)}
    turn, shift = bare.about((0.3, 1, -0.2), 50), np.array([0.01, 0.02, -0.03])
    globals_ = posed(c, {at["子ボーン1"]: turn}, {at["子ボーン1"]: shift})
    share = lambda ratio: to_matrix(
        slerp(IDENTITY, turn, ratio)
        if ratio >= 0
        else slerp(IDENTITY, multiply(turn, IDENTITY) * [-1, -1, -1, 1], -ratio)
    )
    expected = {
        "グローバル回転付与2": (1.0, 0.0),
        "グローバル移動付与3": (0.0, 0.5),
        "グローバル回転移動付与4": (0.8, 0.8),
        "付与チェーン8A": (0.5, 0.0),
        "負の付与率9": (-0.5, 0.0),
    }
    for name, (turned, moved) in expected.items():
        np.testing.assert_allclose(turn_of(globals_, at[name]), share(turned), atol=1e-6, err_msg=name)
        np.testing.assert_allclose(
            globals_[at[name], :3, 3], c.rest[at[name], :3, 3] + moved * shift, atol=1e-6, err_msg=name
        )
    # 8B hangs below 8A and copies half of its half.
    chained = share(0.5) @ share(0.25)
    np.testing.assert_allclose(turn_of(globals_, at["付与チェーン8B"]), chained, atol=1e-6)
    more = to_matrix(bare.about((0.3, 1, -0.2), 75))
    np.testing.assert_allclose(turn_of(globals_, at["付与率1.5_10"]), more, atol=1e-6)


def test_fixture_of_cancelling():
    """D copies B backwards, and B copies A: turned by their sum, D turns back by it."""
    c = bare.of_pmx(bare.asset("test_append_bone.pmx"))
    at = {name: i for i, name in enumerate(c.bone_names)}
    a, b = bare.about((1, 0, 0), 45), bare.about((0, 1, 0), 20)
    globals_ = posed(c, {at["A"]: a, at["B"]: b})
    total = to_matrix(multiply(b, a))
    np.testing.assert_allclose(turn_of(globals_, at["B"]), total, atol=1e-9)
    np.testing.assert_allclose(turn_of(globals_, at["D"]), total.T, atol=1e-9)


def test_fixture_of_fixed_axes():
    c = bare.of_pmx(bare.asset("test_fix_axis.pmx"))
    at = {name: i for i, name in enumerate(c.bone_names)}
    # The axis points to the bone 参考 of the same file.
    axis = c.rest[at["参考"], :3, 3] / np.linalg.norm(c.rest[at["参考"], :3, 3])
    for name, fixed in (("軸固定", True), ("ローカル軸", False), ("両方", True)):
        turned = multiply(bare.about((0, 0, 1), 60), bare.about(axis, 25))
        left = turn_of(posed(c, {at[name]: turned}), at[name])
        assert np.allclose(left @ axis, axis, atol=1e-6) == fixed, name
        expected = bare.about(axis, 25) if fixed else turned
        gap = multiply(from_matrix(left), np.array(expected) * [-1, -1, -1, 1])
        if not fixed:
            assert abs(gap[3]) == pytest.approx(1.0)


def test_fixture_of_twist_helpers():
    """左腕捩1 to 3 take a quarter, a half and three quarters of 左腕捩."""
    c = bare.of_pmx(bare.asset("test_semi_basic_bone.pmx"))
    at = {name: i for i, name in enumerate(c.bone_names)}
    axis = c.fixed_axes[at["左腕捩"]]
    globals_ = posed(c, {at["左腕捩"]: bare.about(axis, 80)})
    angles = [degrees(globals_, at[f"左腕捩{i}"]) for i in (1, 2, 3)]
    np.testing.assert_allclose(angles, [20, 40, 60], atol=1e-3)
    # What lies beyond the twist bone turns in full.
    assert degrees(globals_, at["左ひじ"]) == pytest.approx(80, abs=1e-3)
