import dataclasses
import functools
import pickle
import unicodedata

import numpy as np
import pytest

from anime_pt.avatars import files, ground, motions, poses, procedural, quaternions, retarget, rig
from anime_pt.avatars.character import Morph
from anime_pt.avatars.formats import bvh_recording, mmd_skeleton, vmd_motion
from anime_pt.avatars.recording import Recording, hierarchy, record
from tests.avatars import asset_files, bvh_files

SIDES = ("left", "right")
LIMBS = {"UpperArm": "LowerArm", "LowerArm": "Hand", "UpperLeg": "LowerLeg", "LowerLeg": "Foot"}


@functools.cache
def character(spec):
    who = mmd_skeleton.build() if spec == "skeleton" else files.load(spec)
    who.secondary = None  # Skirts and hair are slow, and move no joint of the body.
    return who


def figure(frames=120):
    """A recording of the known motion, which is in a T pose at rest."""
    turns, hips = bvh_files.motion(frames)
    return Recording("known", bvh_files.FPS, bvh_files.T_POSE, turns, hips)


def play(recording, who, frames=None):
    """(t, b, 4, 4) of a character that performs a recording."""
    performance = recording.on(who)
    times = np.arange(frames or recording.frames) / recording.fps
    return np.stack([rig.pose(who, performance.pose(t)) for t in times])


def joints(who, globals_):
    return {role: globals_[:, bone, :3, 3] for role, bone in who.humanoid.items()}


def directions(places):
    return {
        side + a: quaternions.unit(places[side + b] - places[side + a])
        for side in SIDES
        for a, b in LIMBS.items()
    }


@pytest.mark.parametrize("spec", ["skeleton", "procedural:4"])
def test_on_itself_a_recording_is_what_it_was(spec):
    who = character(spec)
    clip = poses.sequence(np.random.default_rng(0), 30)
    original = record("itself", 30.0, who, np.stack([rig.pose(who, p) for p in clip]))
    again = record("again", 30.0, who, play(original, who))
    for role, turns in original.rotations.items():
        # Legs depend on the soles, which a recording does not have; twist goes from limbs to their helpers.
        if any(part in role for part in ("Leg", "Foot", "Toes")) or (who.fixed_axes and "erArm" in role):
            continue
        assert np.abs((turns * again.rotations[role]).sum(1)).min() > 1 - 1e-9, role


def test_bent_legs_on_the_same_skeleton_are_what_they_were():
    source = figure()
    turns, yaw = dict(source.rotations), source.rotations["rightFoot"]
    along = np.eye(3)[0]
    for side in SIDES:
        for part, angle in (("UpperLeg", -0.5), ("LowerLeg", 0.45)):
            bent = angle * (1.1 + 0.4 * np.sin(np.arange(source.frames) / 15))
            turns[side + part] = quaternions.multiply(yaw, quaternions.about(along, bent))
        turns[side + "Foot"] = turns[side + "Toes"] = yaw
    known = Recording("bent", source.fps, source.rest, turns, source.hips)
    lowest = known.positions()["leftFoot"][:, 1] - source.rest["leftFoot"][1]
    known = dataclasses.replace(known, hips=source.hips - lowest[:, None] * np.eye(3)[1])
    # Without a mesh, so that the two have the same soles.
    who = skeleton_of(known)
    again = record("again", source.fps, who, play(known, who))
    for role, wanted in turns.items():
        assert np.abs((wanted * again.rotations[role]).sum(1)).min() > 1 - 1e-9, role
    np.testing.assert_allclose(again.hips, known.hips, atol=1e-6)


def skeleton_of(recording):
    """A character without a mesh that has a recording's bones."""
    who = procedural.build(0)
    roles = ["hips", *hierarchy(recording.rest)]
    above = hierarchy(recording.rest)
    rest = np.tile(np.eye(4), (len(roles), 1, 1))
    rest[:, :3, 3] = [recording.rest[r] for r in roles]
    return type(who).without_mesh(
        "bones",
        bone_names=roles,
        parents=np.array([roles.index(above[r]) if r in above else -1 for r in roles], np.int32),
        rest=rest,
        humanoid={r: i for i, r in enumerate(roles)},
        landmarks={},
    )


@pytest.mark.parametrize("spec", ["skeleton", "procedural:1", "procedural:7"])
def test_limbs_point_where_they_pointed(spec):
    who, source = character(spec), figure()
    wanted = directions(source.positions())
    for role, along in directions(joints(who, play(source, who))).items():
        angle = np.degrees(np.arccos((along * wanted[role]).sum(1).clip(-1, 1)))
        # Legs follow feet, so proportions show.
        assert angle.max() < (20 if "Leg" in role else 0.1), role
        assert angle.mean() < (6 if "Leg" in role else 0.05), role


def test_trunk_and_head_turn_as_they_turned_though_the_spines_differ():
    who, source = character("skeleton"), figure()
    assert "upperChest" not in source.rest
    played = record("played", source.fps, who, play(source, who))
    for role in ("hips", "neck", "head"):
        assert np.abs((played.rotations[role] * source.rotations[role]).sum(1)).min() > 1 - 1e-9, role
    top = "upperChest" if "upperChest" in who.humanoid else "chest"
    assert np.abs((played.rotations[top] * source.rotations["chest"]).sum(1)).min() > 1 - 1e-9

    short = {r: v for r, v in source.rotations.items() if r not in ("spine", "chest", "neck")}
    rest = {r: v for r, v in source.rest.items() if r in short}
    played = record("played", source.fps, who, play(Recording("s", 50.0, rest, short, source.hips), who))
    # Without bones of a spine the trunk goes with the hips, and the neck is half way to the head.
    assert np.abs((played.rotations["spine"] * source.rotations["hips"]).sum(1)).min() > 1 - 1e-9
    half = quaternions.slerp(source.rotations["hips"], source.rotations["head"], 0.5)
    assert np.abs((played.rotations["neck"] * half).sum(1)).min() > 1 - 1e-9


def test_twist_bones_take_the_twist():
    who, source = character("skeleton"), figure()
    turns = dict(source.rotations)
    along = np.eye(3)[0]
    roll = quaternions.about(along, 1.2 * np.sin(np.arange(source.frames) / 10))
    turns["leftHand"] = quaternions.multiply(turns["leftHand"], roll)
    performance = Recording("roll", 50.0, source.rest, turns, source.hips).on(who)
    assert {"leftHand", "leftLowerArm"} <= set(who.twists)
    place = who.rest[:, :3, 3]
    most = 0.0
    for frame in range(source.frames):
        pose = performance.pose(frame / 50)
        for role, before in (("leftHand", "leftLowerArm"), ("leftLowerArm", "leftUpperArm")):
            limb, helper = who.humanoid[before], who.twists[role]
            axis = quaternions.unit(place[who.humanoid[role]] - place[limb])
            fixed = quaternions.unit(who.fixed_axes.get(helper, axis))
            twist = quaternions.twist(pose.rotations[limb], fixed if role == "leftLowerArm" else axis)
            assert abs(twist[3]) > 1 - 1e-9
            # And the helper does nothing but twist.
            axis = fixed
            assert np.linalg.norm(np.cross(pose.rotations[helper][:3], axis)) < 1e-9
        helper = who.twists["leftHand"]
        most = max(most, 2 * np.arccos(min(1.0, abs(pose.rotations[helper][3]))))
    assert most > 1.0


def test_fingers_eyes_and_faces_follow():
    who = character("skeleton")
    who = type(who)(**{**who.__dict__, "morphs": [Morph("あ"), Morph("まばたき")], "derived": {}})
    source = record("fist", 30.0, who, np.tile(who.rest, (10, 1, 1, 1)))
    turns = dict(source.rotations)
    roles = [r for r in turns if r.startswith("left") and r.endswith(("Proximal", "Intermediate"))]
    assert len(roles) >= 8
    for role in roles:
        turns[role] = np.tile(quaternions.about(np.eye(3)[2], np.array(0.7)), (10, 1))
    weights = {"aa": np.linspace(0, 1, 10), "blink": np.ones(10), "unknown": np.ones(10)}
    source = Recording("fist", 30.0, source.rest, turns, source.hips, weights)
    performance = source.on(who)
    played = record("played", 30.0, who, play(source, who))
    for role in roles:
        assert np.abs((played.rotations[role] * turns[role]).sum(1)).min() > 1 - 1e-9
    assert performance.pose(0.3).morphs == pytest.approx({"あ": 1.0, "まばたき": 1.0})
    assert performance.pose(4.5 / 30).morphs["あ"] == pytest.approx(0.5)


def test_between_frames_it_interpolates_and_outside_it_holds():
    who, source = character("procedural:1"), figure(10)
    performance = pickle.loads(pickle.dumps(source.on(who)))
    bone = who.humanoid["leftUpperArm"]
    a, half, b = (performance.pose((3 + x) / 50).rotations[bone] for x in (0, 0.5, 1))
    np.testing.assert_allclose(half, quaternions.slerp(a, b, 0.5), atol=1e-9)
    for seconds, frame in ((-1.0, 0), (99.0, 9)):
        np.testing.assert_array_equal(
            performance.pose(seconds).rotations, performance.pose(frame / 50).rotations
        )


def test_only_chains_of_driven_bones_are_switched_off():
    who = character("skeleton")
    pose = figure(5).on(who).pose(0.0)
    off = {who.bone_names[i.goal] for i, on in zip(who.iks, pose.iks, strict=True) if not on}
    assert {"左足IK", "右足IK"} <= {unicodedata.normalize("NFKC", name) for name in off}


def test_what_cannot_move_a_body_is_refused():
    source = figure(5)
    rest = {r: p for r, p in source.rest.items() if r != "hips"}
    turns = {r: q for r, q in source.rotations.items() if r != "hips"}
    with pytest.raises(ValueError, match="it has no hips"):
        Recording("arms", 30.0, rest, turns, source.hips).on(character("procedural:1"))


def test_without_legs_the_rest_moves():
    source = figure(30)
    keep = lambda of: {r: v for r, v in of.items() if not any(p in r for p in ("Leg", "Foot", "Toes"))}
    upper = Recording("upper", 50.0, keep(source.rest), keep(source.rotations), source.hips)
    who = character("procedural:1")
    played = joints(who, play(upper, who))
    wanted, got = directions(source.positions()), directions(played)
    np.testing.assert_allclose(got["leftLowerArm"], wanted["leftLowerArm"], atol=1e-6)
    np.testing.assert_allclose(played["hips"], played["hips"][:1].repeat(30, 0), atol=1e-9)


# By numbers, over everything that is found.


def measure(recording, who, frames=400):
    """Slides, heights of soles and jerk of a performance, beside those of the recording."""
    count = min(frames, recording.frames)
    globals_ = play(recording, who, count)
    theirs = {r: p[:count] for r, p in recording.positions().items()}
    ours = joints(who, globals_)
    place = {r: who.rest[b, :3, 3] for r, b in who.humanoid.items()}
    length = lambda of: sum(
        np.linalg.norm(of["left" + b] - of["left" + a]) for a, b in LIMBS.items() if "Leg" in a
    )
    leg, their_leg = length(place), length(recording.rest)
    height = float(np.ptp(who.positions[:, 1]))
    slides, soles = [0.0], [0.0]
    for side in SIDES:
        foot = theirs[side + "Foot"]
        speed = np.linalg.norm(np.diff(foot, axis=0), axis=1)
        standing = recording.rest[side + "Foot"][1]
        contact = (foot[:, 1] < standing + 0.02 * their_leg)[1:] & (speed * recording.fps < 0.1 * their_leg)
        # Lifting off and touching down are no standing.
        near = max(1, round(0.1 * recording.fps))
        contact = ~np.convolve(~contact, np.ones(2 * near + 1), mode="same").astype(bool)
        slide = np.linalg.norm(np.diff(ours[side + "Foot"], axis=0), axis=1) / leg - speed / their_leg
        slides.append(slide[contact].max(initial=0.0))
        bone = who.humanoid[side + "Foot"]
        turned = globals_[:, bone, :3, :3] @ who.rest[bone, :3, :3].T
        sole = turned @ ground.sole(who, side, leg).T + ours[side + "Foot"][:, :, None]
        low, _ = ground.lowest(
            recording.rotations[side + "Foot"][:count],
            ground.guessed_sole(recording.rest[side + "Foot"], recording.rest.get(side + "Toes"), their_leg),
        )
        above = sole[:, 1].min(1) - leg / their_leg * (foot[:, 1] + low)
        soles.append(np.abs(above[1:][contact]).max(initial=0.0) / height)
    return max(slides), max(soles), _jerk_ratio(theirs, ours, recording.rest, place)


def _jerk_ratio(theirs, ours, their_rest, our_rest):
    """Root mean square of third differences of the joints against the recording's, scaled by reach."""
    above = hierarchy([r for r in theirs if r in ours])
    total = np.zeros(2)
    for role in above:
        reach, at = np.zeros(2), role
        while at in above:
            reach += [np.linalg.norm(of[at] - of[above[at]]) for of in (their_rest, our_rest)]
            at = above[at]
        if not reach.all():
            continue  # A joint at the same place as the hips.
        third = [np.diff(of[role], 3, axis=0) for of in (theirs, ours)]
        scaled = (third[0] ** 2).sum() * (reach[1] / reach[0]) ** 2
        # A tenth of a millimetre cannot be seen.
        total += [scaled + 1e-8 * len(third[0]), (third[1] ** 2).sum()]
    return float(np.sqrt(total[1] / total[0]))


def performers():
    found = asset_files.find(".pmx", ".pmd", ".vrm")
    people = []
    for path in found:
        try:
            drawn = len(character(str(path)).positions)
        except ValueError:  # Fixtures that are no humanoids.
            continue
        people += [str(path)] if drawn else []
    return ["procedural:3", *people]


def check(recording, spec, slack=1.0):
    slide, sole, jerk = measure(recording, character(spec))
    assert slide < 0.01 * slack, f"{spec}: a standing foot slides by {slide:.4f} leg lengths a frame"
    assert sole < 0.015 * slack, f"{spec}: a standing sole is {sole:.4f} body heights off the floor"
    assert jerk < 1.5 * slack, f"{spec}: jerk is {jerk:.2f} times the recording's"


@asset_files.parametrize("path", ".bvh", ".vrma")
def test_feet_of_real_motions_stay_on_the_ground_on_everybody(path):
    recording = motions.load(path)
    for spec in performers():
        # Whatever recording and body lie there, with noise and odd proportions.
        check(recording, spec, slack=1.6)


@asset_files.parametrize("path", ".vmd")
def test_feet_of_real_vmds_stay_on_the_ground(path):
    motion = vmd_motion.load(path)
    if not motion.file.bones:
        pytest.skip("no keys of bones")
    if motion.frames < 15:
        pytest.skip("too short to stand anywhere")
    check(vmd_motion.record(motion), "procedural:3", slack=1.6)


@pytest.mark.parametrize("seed", range(6))
def test_feet_of_seeded_motions_stay_on_the_ground(seed):
    for spec in ("procedural:2", "procedural:9"):
        check(motions.load(f"procedural:{seed}"), spec)


def test_bvh_and_its_character_agree_through_files(tmp_path):
    turns, hips = bvh_files.motion()
    bvh_files.write(tmp_path / "a.bvh", turns, hips, bvh_files.Dialect(rest="A", z_up=True, unit=0.0254))
    who = character("procedural:5")
    a = play(bvh_recording.read(tmp_path / "a.bvh"), who)
    b = play(figure(), who)
    wanted, got = joints(who, b), joints(who, a)
    for role in wanted:
        np.testing.assert_allclose(got[role], wanted[role], atol=0.01, err_msg=role)
    assert retarget.perform(figure(), who).fps == bvh_files.FPS
