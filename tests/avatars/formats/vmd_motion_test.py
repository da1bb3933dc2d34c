"""VMD motions on characters: keys, names, switches, scale, conversion, and writing them again."""

import dataclasses
import itertools
import json
import pickle

import numpy as np
import pytest

from anime_pt.avatars import deform, files, rig
from anime_pt.avatars.character import REQUIRED_ROLES
from anime_pt.avatars.formats import mmd, mmd_skeleton, vmd, vmd_motion
from anime_pt.avatars.quaternions import slerp
from tests.avatars import asset_files, bare, mmd_files, vmd_files
from tests.avatars.tiny_character import build_tiny

FLIP = np.diag([1.0, 1.0, -1.0, 1.0])


def keys(frames, positions=None, rotations=None, curve=vmd.LINEAR) -> vmd.BoneKeys:
    n = len(frames)
    return vmd.BoneKeys(
        np.int32(frames),
        np.zeros((n, 3), np.float32) if positions is None else np.float32(positions),
        np.tile(np.float32([0, 0, 0, 1]), (n, 1)) if rotations is None else np.float32(rotations),
        np.tile(np.uint8(curve), (n, 4, 1)),
        np.zeros((n, 2), np.uint8),
    )


def motion(bones=None, **fields) -> vmd_motion.VmdMotion:
    return vmd_motion.VmdMotion("m", vmd.VmdFile(fields.pop("model_name", ""), bones or {}, **fields))


def placed(character, name: str, performance, seconds: float) -> np.ndarray:
    return rig.pose(character, performance.pose(seconds))[character.bone_names.index(name)]


def test_keys_are_interpolated_by_the_arriving_key_and_hold_outside():
    skeleton = mmd_skeleton.build()
    turn = bare.about((0, 0, 1), 90)
    slow = keys([10, 20], [(0, 0, 0), (10, 5, 0)], [(0, 0, 0, 1), turn], (64, 0, 127, 64))
    performance = motion({"センター": slow}).on(skeleton)
    bone = skeleton.bone_names.index("センター")
    at = {f: performance.pose(f / 30) for f in (0, 10, 15, 20, 99)}
    np.testing.assert_allclose(at[0].translations[bone], 0)
    for frame in (20, 99):
        np.testing.assert_allclose(at[frame].translations[bone], [0.8, 0.4, 0], atol=1e-6)
    # At half the time, this curve (0.5, 0), (1, 0.5) is far from half the way; all axes share it here.
    way = at[15].translations[bone, 0] / 0.8
    assert 0.1 < way < 0.3 and at[15].translations[bone, 1] == pytest.approx(0.4 * way)
    # 90 degrees about Z: negating Z keeps the sense of turns about it.
    np.testing.assert_allclose(at[15].rotations[bone], slerp([0, 0, 0, 1], turn, way), atol=1e-6)


def test_character_space():
    """Ahead is -Z in the file and +Z here; a positive turn about X lowers the face there, about -X here."""
    skeleton = mmd_skeleton.build()
    performance = motion({"頭": keys([0], [(0, 0, -1)], [bare.about((1, 0, 0), -40)])}).on(skeleton)
    moved = placed(skeleton, "頭", performance, 0)
    rest = skeleton.rest[skeleton.bone_names.index("頭")]
    np.testing.assert_allclose(moved[:3, 3] - rest[:3, 3], [0, 0, 0.08], atol=1e-6)
    ahead = moved[:3, :3] @ [0, 0, 1]
    np.testing.assert_allclose(ahead, [0, -np.sin(np.radians(40)), np.cos(np.radians(40))], atol=1e-6)


def test_names_match_whatever_their_spelling():
    tracks = {
        "上半身２": (0, 1, 0),
        "左足ＩＫ": (0, 0, 1),
        "右腕捻": (0, 2, 0),
        "左肘": (0, 3, 0),
        "左人差指１": (0, 4, 0),
        "知らない": (0, 5, 0),
        "首": (0, 0, 0),
    }
    skeleton = mmd_skeleton.build()
    performance = motion({name: keys([0], [p]) for name, p in tracks.items()}).on(skeleton)
    moved = {
        skeleton.bone_names[b]: tuple((performance.shifts[i] / 0.08).round(3))
        for i, b in enumerate(performance.bones)
    }
    assert moved == {
        "上半身2": (0, 1, 0),
        "左足IK": (0, 0, -1),
        "右腕捩": (0, 2, 0),
        "左ひじ": (0, 3, 0),
        "左人指1": (0, 4, 0),
        "首": (0, 0, 0),
    }
    assert performance.report == ("bone '知らない' is moved by the motion and not in the model",)


def test_names_cut_at_15_bytes_match():
    c = dataclasses.replace(
        mmd_skeleton.build(),
        bone_names=["左スカート前後先", *mmd_skeleton.build().bone_names[1:]],
        derived={},
    )
    cut = vmd.decode(vmd.encode("左スカート前後先", 15))
    assert cut == "左スカート前後"
    assert motion({cut: keys([0], [(1, 0, 0)])}).on(c).bones.tolist() == [0]


def test_switches_hold_until_the_next():
    skeleton = mmd_skeleton.build()
    switches = (
        vmd.Switch(10, True, {"左足ＩＫ": False}),
        vmd.Switch(20, True, {"左足ＩＫ": True, "x": False}),
    )
    performance = motion({"センター": keys([30])}, switches=switches).on(skeleton)
    left = [skeleton.bone_names[i.goal] for i in skeleton.iks].index("左足IK")
    states = [performance.pose(f / 30).iks for f in (0, 9.9, 10, 19.9, 20, 50)]
    assert [bool(s[left]) for s in states] == [True, True, False, False, True, True]
    assert all(np.delete(s, left).all() for s in states)


def test_morphs_are_linear():
    weights = vmd.MorphKeys(np.int32([0, 10]), np.float32([0, 1]))
    performance = motion(morphs={"あ": weights}).on(mmd_skeleton.build())
    assert [performance.pose(f / 30).morphs["あ"] for f in (0, 5, 10, 99)] == pytest.approx([0, 0.5, 1, 1])


def test_bones_that_are_turned_at_any_time_do_not_hang():
    skeleton = mmd_skeleton.build()
    tracks = {"頭": keys([0, 9], rotations=[(0, 0, 0, 1), (0, 0, 0.6, 0.8)]), "首": keys([0, 9])}
    keyed = motion(tracks).on(skeleton).pose(0).keyed
    assert np.flatnonzero(keyed).tolist() == [skeleton.bone_names.index("頭")]


def test_movements_fit_the_length_of_legs():
    skeleton = mmd_skeleton.build()
    small = dataclasses.replace(skeleton, rest=skeleton.rest.copy(), model_name="小人", derived={})
    small.rest[:, :3, 3] *= 0.5
    tracks = {"センター": keys([0], [(0, -4, 0)])}
    bone = skeleton.bone_names.index("センター")
    fall = lambda c, **fields: motion(tracks, **fields).on(c).pose(0).translations[bone, 1]
    assert fall(skeleton) == pytest.approx(-0.32) and fall(small) == pytest.approx(-0.16)
    # A motion that was made for the model fits as it is.
    assert fall(small, model_name="小人") == pytest.approx(-0.32)
    assert "scaled by 0.50" in motion(tracks).on(small).report[-1]


def test_motions_travel_to_worker_processes():
    skeleton = mmd_skeleton.build()
    performance = motion({"頭": keys([0, 9], rotations=[(0, 0, 0, 1), (0, 0, 0.6, 0.8)])}).on(skeleton)
    again = pickle.loads(pickle.dumps(performance))
    np.testing.assert_array_equal(again.pose(0.1).rotations, performance.pose(0.1).rotations)


def test_empty_motions_rest():
    skeleton = mmd_skeleton.build()
    assert motion().frames == 1
    np.testing.assert_allclose(rig.pose(skeleton, motion().on(skeleton).pose(0)), skeleton.rest, atol=1e-9)


def test_files(tmp_path):
    (tmp_path / "a.vmd").write_bytes(vmd_files.full())
    loaded = vmd_motion.load(tmp_path / "a.vmd")
    assert (loaded.name, loaded.fps, loaded.frames) == ("a", 30, 21)
    with pytest.raises(ValueError, match=r"expected a \.vmd or \.vpd"):
        vmd_motion.load(tmp_path / "a.bvh")


# Other kinds of characters.


def test_the_standard_skeleton_is_a_humanoid_at_rest():
    skeleton = mmd_skeleton.build()
    assert set(REQUIRED_ROLES) <= set(skeleton.humanoid)
    assert {"leftThumbMetacarpal", "rightLittleDistal", "leftToes"} <= set(skeleton.humanoid)
    left, right = (skeleton.rest[skeleton.humanoid[s + "Hand"], :3, 3] for s in ("left", "right"))
    np.testing.assert_allclose(left * [-1, 1, 1], right)
    assert left[0] > 0.3


def squat() -> vmd_motion.VmdMotion:
    """Down by 0.24 m in a second, hips turned, the left foot stepped ahead; arms raised sideways."""
    down = keys([0, 30], [(0, 0, 0), (0, -3, 0)])
    return motion(
        {
            "センター": down,
            "左足ＩＫ": keys([0, 30], [(0, 0, 0), (0.5, 0, -2)]),
            "下半身": keys([30], rotations=[bare.about((0, 1, 0), 20)]),
            "左腕": keys([30], rotations=[bare.about((0, 0, 1), 50)]),
            "首": keys([30], rotations=[bare.about((0, 1, 0), 30)]),
        }
    )


def test_recording_says_what_the_skeleton_did():
    recording = vmd_motion.record(squat())
    assert recording.frames == 31 and recording.fps == 30
    skeleton = mmd_skeleton.build()
    globals_ = rig.pose(skeleton, squat().on(skeleton).pose(1.0))
    places = recording.positions()
    for role in ("leftFoot", "leftLowerLeg", "rightFoot", "leftHand", "head", "leftIndexDistal"):
        np.testing.assert_allclose(
            places[role][-1], globals_[skeleton.humanoid[role], :3, 3], atol=2e-3, err_msg=role
        )
    # The standing foot stays, the other steps ahead; the hips sink.
    np.testing.assert_allclose(places["rightFoot"][-1], places["rightFoot"][0], atol=2e-3)
    np.testing.assert_allclose(places["leftFoot"][-1] - places["leftFoot"][0], [0.04, 0, 0.16], atol=2e-3)
    assert places["hips"][-1, 1] - places["hips"][0, 1] == pytest.approx(-0.24)


def test_any_other_character_squats_too():
    tiny = build_tiny()
    performance = squat().on(tiny)
    before, after = (rig.pose(tiny, performance.pose(t)) for t in (0.0, 1.0))
    drop = lambda role: (after - before)[tiny.humanoid[role], 1, 3]
    assert drop("hips") < -0.15 and abs(drop("rightFoot")) < 0.02
    # A leg that was straight is bent, with the knee ahead of the foot.
    leg = [tiny.humanoid["right" + part] for part in ("UpperLeg", "LowerLeg", "Foot")]
    for globals_, low, high in ((before, 0.99, 1.0001), (after, 0.5, 0.85)):
        hip, knee, foot = globals_[leg, :3, 3]
        length = np.linalg.norm(hip - knee) + np.linalg.norm(knee - foot)
        assert low < np.linalg.norm(hip - foot) / length < high
    assert knee[2] > foot[2] + 0.1


def test_models_without_goals_are_converted(tmp_path):
    """A motion that moves feet by goals would leave the legs of such a model straight."""
    (tmp_path / "box.pmd").write_bytes(mmd_files.pmd_bytes())
    box = mmd.load(tmp_path / "box.pmd")
    assert not isinstance(squat().on(box), vmd_motion.VmdPerformance)
    assert isinstance(motion({"頭": keys([0])}).on(box), vmd_motion.VmdPerformance)


def test_models_with_other_names_are_moved_too():
    skeleton = mmd_skeleton.build()
    named = {bone: f"bone {i}" for i, bone in enumerate(skeleton.bone_names)}
    english = dataclasses.replace(skeleton, bone_names=list(named.values()), derived={})
    raised = motion({"左腕": keys([0], rotations=[bare.about((0, 0, 1), 60)])})
    expected = placed(skeleton, "左手首", raised.on(skeleton), 0.0)
    got = placed(english, named["左手首"], raised.on(english), 0.0)
    np.testing.assert_allclose(got[:3, 3], expected[:3, 3], atol=0.02)
    assert np.linalg.norm(expected[:3, 3] - skeleton.rest[skeleton.humanoid["leftHand"], :3, 3]) > 0.3


def test_endless_motions_are_refused_where_every_frame_is_played():
    long = motion({"頭": keys([0, vmd.MAX_FRAME])})
    assert long.on(mmd_skeleton.build()).pose(10.0).rotations[0, 3] == 1
    with pytest.raises(ValueError, match="10000001 frames, more than 18000"):
        long.on(build_tiny())
    with pytest.raises(ValueError, match="expected 0 to 600"):
        vmd_motion.to_vmd(mmd_skeleton.build(), long.on(mmd_skeleton.build()), 1e9)


# Writing.


@pytest.mark.parametrize("goals", [False, True])
def test_motion_to_vmd_and_back(tmp_path, goals):
    skeleton = mmd_skeleton.build()
    performance = squat().on(skeleton)
    vmd.write(tmp_path / "a.vmd", vmd_motion.to_vmd(skeleton, performance, 1.0, goals=goals))
    again = vmd_motion.load(tmp_path / "a.vmd")
    assert again.frames == 31
    for seconds in (0.0, 0.5, 1.0):
        a, b = (rig.pose(skeleton, p.pose(seconds)) for p in (performance, again.on(skeleton)))
        limbs = [skeleton.humanoid[role] for role in REQUIRED_ROLES]
        np.testing.assert_allclose(b[limbs, :3, 3], a[limbs, :3, 3], atol=3e-3 if goals else 1e-6)
    assert all(again.file.switches[0].iks.values()) == goals
    # Without goals, goals keep their keys, which do nothing; with them they carry the feet.
    foot = again.file.bones["左足IK"]
    np.testing.assert_allclose(foot.positions[-1], [0.5, 0, -2], atol=0.05)


def test_resting_bones_get_one_key():
    skeleton = mmd_skeleton.build()
    file = vmd_motion.to_vmd(skeleton, squat().on(skeleton), 1.0)
    assert len(file.bones["右手首"].frames) == 1 and len(file.bones["左腕"].frames) == 31
    assert set(file.bones) == set(skeleton.bone_names)


# Real files.


def test_oracle_of_the_one_bone_fixture():
    """World matrices of another player, column-major, in the file's space.

    That player reads curves from the first of their four rows, where the switch for physics stands in place
    of x1 of Z and rotation; it says itself that it is no authority. Here it gets what it read.
    """
    oracle = json.loads(bare.asset("test_1bone_cube_dump.json").read_text())
    c = bare.of_pmx(bare.asset("test_1bone_cube.pmx"))
    file = vmd.read(bare.asset("test_1bone_cube_motion.vmd"))
    for keys_ in file.bones.values():
        keys_.curves[:, 2:, 0] = keys_.physics
    performance = vmd_motion.VmdMotion("cube", file).keyed_on(c)
    for frame in oracle["frames"]:
        expected = np.reshape(frame["stages"]["ik"]["worldMatricesColumnMajor"], (-1, 4, 4)).transpose(
            0, 2, 1
        )
        ours = FLIP @ rig.pose(c, performance.pose(frame["seconds"])) @ FLIP
        np.testing.assert_allclose(ours, expected, atol=1e-5)


def pairs(limit: int = 24) -> list:
    """Models with a mesh, each with some motions; spread over both lists."""
    models, motions = asset_files.find(".pmd", ".pmx"), asset_files.find(".vmd")
    found = list(itertools.product(models, motions))
    chosen = found[:: max(1, len(found) // limit)][:limit]
    skip = pytest.mark.skip(reason=f"no models and motions below {asset_files.ROOT} (set ANIME_PT_ASSETS)")
    return chosen or [pytest.param(None, None, marks=skip)]


def performed(model, path):
    """The character, its performance and up to 60 moments, or a skip."""
    try:
        c = files.load(model)
    except ValueError as e:
        pytest.skip(str(e))
    loaded = vmd_motion.load(path)
    performance = loaded.on(c)
    if not isinstance(performance, vmd_motion.VmdPerformance) or not len(performance.bones):
        pytest.skip("no keys for this model")
    moments = np.linspace(0, (loaded.frames - 1) / vmd.FPS, min(60, loaded.frames))
    return c, performance, moments


def legs(c) -> list:
    """Chains that end in a foot and start at the leg above it."""
    ends = [(c.humanoid[s + "Foot"], c.humanoid[s + "UpperLeg"]) for s in ("left", "right")]
    return [i for i in c.iks if i.links and (i.effector, i.links[-1].bone) in ends]


@pytest.mark.parametrize("model,path", pairs(), ids=lambda p: getattr(p, "stem", "none"))
def test_feet_are_on_their_goals_wherever_they_can_be(model, path):
    c, performance, moments = performed(model, path)
    length, gaps = vmd_motion._leg_length(c), []
    for seconds in moments:
        pose = performance.pose(seconds)
        globals_ = deform.globals_of(c, pose)
        assert np.isfinite(globals_).all()
        for chain in legs(c):
            if not pose.iks[c.iks.index(chain)]:
                continue
            bones = [chain.links[-1].bone, chain.links[0].bone, chain.effector, chain.goal]
            hip, knee, foot, goal = globals_[bones, :3, 3]
            longest = np.linalg.norm(hip - knee) + np.linalg.norm(knee - foot)
            # A knee that may not be quite straight makes the leg a little shorter.
            if np.linalg.norm(hip - goal) < 0.995 * longest:
                gaps.append(np.linalg.norm(foot - goal) / length)
    # Steps may be too short for a sudden move, if the file says so.
    assert not gaps or (np.quantile(gaps, 0.9) < 2e-3 and max(gaps) < 0.05)


@asset_files.parametrize("path", ".pmd", ".pmx")
def test_real_models_squat_on_their_feet_with_the_knees_ahead(path):
    try:
        c = files.load(path)
    except ValueError as e:
        pytest.skip(str(e))
    if not legs(c):
        pytest.skip("no chains for feet")
    length = vmd_motion._leg_length(c)
    down = -0.3 * length / 0.08
    performance = motion({"センター": keys([0, 30], [(0, 0, 0), (0, down, 0)])}).keyed_on(c)
    globals_ = deform.globals_of(c, performance.pose(1.0))
    if abs((globals_ - c.rest)[c.humanoid["leftUpperLeg"], 1, 3] + 0.3 * length) > 1e-3:
        pytest.skip("センター does not carry the legs")
    for chain in legs(c):
        foot, goal = globals_[[chain.effector, chain.goal], :3, 3]
        assert np.linalg.norm(foot - goal) < 1e-2 * length + np.linalg.norm(
            (c.rest[chain.effector] - c.rest[chain.goal])[:3, 3]
        )
        hip, knee = globals_[[chain.links[-1].bone, chain.links[0].bone], :3, 3]
        assert knee[2] > max(hip[2], foot[2]) + 0.05 * length


@pytest.mark.parametrize("model,path", pairs(12), ids=lambda p: getattr(p, "stem", "none"))
def test_real_motions_survive_our_writing(model, path, tmp_path):
    c, performance, moments = performed(model, path)
    seconds = min(1.0, float(moments[-1]))
    vmd.write(tmp_path / "a.vmd", vmd_motion.to_vmd(c, performance, seconds))
    again = vmd_motion.load(tmp_path / "a.vmd").keyed_on(c)
    for frame in (0, round(seconds * 30) // 2, round(seconds * 30)):
        poses = [p.pose(frame / 30) for p in (performance, again)]
        expected = deform.globals_of(c, deform.without_ik(c, poses[0]))
        limbs = [c.humanoid[role] for role in REQUIRED_ROLES]
        got = deform.globals_of(c, poses[1])
        np.testing.assert_allclose(got[limbs, :3, 3], expected[limbs, :3, 3], atol=1e-3)


@pytest.mark.parametrize("model,path", pairs(12), ids=lambda p: getattr(p, "stem", "none"))
def test_joints_do_not_shake_where_keys_do_not(model, path):
    """The third difference of the joints' places stays small between keys, where curves are smooth."""
    c, performance, _ = performed(model, path)
    all_frames = np.unique(performance.frames)
    gaps = np.diff(all_frames)
    if not len(gaps) or gaps.max() < 4:
        pytest.skip("keys leave no room between them")
    start, end = all_frames[gaps.argmax()], all_frames[gaps.argmax() + 1]
    moments = np.linspace(start, end, 33) / vmd.FPS
    limbs = [c.humanoid[role] for role in REQUIRED_ROLES]
    poses = [performance.pose(t) for t in moments]
    places = np.stack([deform.globals_of(c, p)[limbs, :3, 3] for p in poses])
    path_length = np.linalg.norm(np.diff(places, axis=0), axis=-1).sum(0).max()
    jerk = np.linalg.norm(np.diff(places, n=3, axis=0), axis=-1).max()
    # A straight knee jumps to the least bend that its limits ask for, which moves it by 2 mm.
    assert jerk < 0.03 * path_length + 5e-3
