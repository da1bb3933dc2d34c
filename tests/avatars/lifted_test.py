"""Known motions, seen by known cameras, come back."""

import dataclasses

import numpy as np
import pytest

from anime_pt.avatars import camera, lifted, quaternions
from anime_pt.pose.sequences import PoseSequence
from anime_pt.pose.skeletons import AVATAR_20
from benchmarks import normalise as truth

AT = {name: i for i, name in enumerate(AVATAR_20.keypoints)}
LIMBS = {
    "UpperArm": ("LowerArm", "shoulder", "elbow"),
    "LowerArm": ("Hand", "elbow", "wrist"),
    "UpperLeg": ("LowerLeg", "hip", "knee"),
    "LowerLeg": ("Foot", "knee", "ankle"),
}


def seen(points, yaw=0.0, pitch=0.0, away=3.5):
    """A clip with the joints in space that a perfect network gives, and the truth as seen from the yaw."""
    turn = camera.Camera(256, 256, 1.0, yaw=yaw, pitch=pitch).rotation
    eye = np.array([0.0, 0.8, 0.0]) + turn.T @ [0.0, 0.0, away]
    through = camera.Perspective(256, 256, 50.0, tuple(eye.tolist()), yaw, pitch)
    picture = through.project(points)
    world = (points - eye) @ turn.T * [1.0, -1.0, -1.0]
    hips = world[:, AT["mid_hip"]]
    # As by a camera that looks at the figure.
    back = quaternions.inverse(quaternions.swing([0.0, 0.0, 1.0], hips))
    world = quaternions.rotate(back[:, None], world - hips[:, None])
    keypoints = np.concatenate([picture[..., :2], np.ones((*picture.shape[:2], 1))], -1).astype(np.float32)
    sequence = PoseSequence(keypoints, AVATAR_20, (256, 256), 30.0, world.astype(np.float32))
    return sequence, points @ camera.Camera(256, 256, 1.0, yaw=yaw).rotation.T


def walk(frames=40, motion="walk"):
    return truth.truths(6.5, 6.5, motion, frames, False)[0]


def unit(v):
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def limb_errors(recording, points):
    """Degrees between limbs of a recording and of joints."""
    places, out = recording.positions(), {}
    for side in ("left", "right"):
        for role, (end, a, b) in LIMBS.items():
            found = unit(places[side + end] - places[side + role])
            true = unit(points[:, AT[f"{side}_{b}"]] - points[:, AT[f"{side}_{a}"]])
            out[side + role] = np.degrees(np.arccos(np.clip((found * true).sum(1), -1, 1))).mean()
    return out


def test_a_walk_comes_back():
    sequence, points = seen(walk(), yaw=40, pitch=12)
    made = lifted.record(sequence, "walk", pitch=12)
    assert max(limb_errors(made.recording, points).values()) < 1
    # It walks where it did.
    hips, true = made.recording.hips, points[:, AT["mid_hip"]]
    way = true[-1] - true[0]
    assert np.linalg.norm(way) > 0.3
    far = (hips - hips[0]) - (true - true[0])
    assert (
        np.abs(far[:, 0]).max() < 0.08 and np.abs(far[:, 2]).max() < 0.25 and np.abs(far[:, 1]).max() < 0.06
    )
    # Standing feet stay, on the floor.
    feet = np.stack([made.recording.positions()[side + "Foot"] for side in ("left", "right")], 1)
    assert made.stands.max() > 0.9
    steps = np.linalg.norm(np.diff(feet, axis=0), axis=-1)[made.stands > 0.95]
    assert steps.max() < 0.01
    rest = made.recording.rest["leftFoot"][1]
    np.testing.assert_allclose(feet[..., 1].min(1), rest, atol=0.04)
    assert not made.report


def test_the_camera_is_found_by_people_who_stand_upright():
    sequence, points = seen(walk(), yaw=20, pitch=15)
    made = lifted.record(sequence, "walk")
    assert made.pitch == pytest.approx(15, abs=4)
    assert max(limb_errors(made.recording, points).values()) < 5
    # Nobody stands upright: that is said.
    sequence, _ = seen(walk(12, "poses") * [1.0, 1.0, 1.0])
    world = sequence.world.copy()
    world[:, [AT["left_ankle"], AT["right_ankle"]], 1] -= 0.5
    made = lifted.record(dataclasses.replace(sequence, world=world), "sits")
    assert made.pitch == 0 and "nobody stands upright" in made.report[0]


def test_heads_and_trunks_turn():
    sequence, points = seen(walk(20, "dance"))
    made = lifted.record(sequence, "dance", pitch=0)
    ears = points[:, AT["left_ear"]] - points[:, AT["right_ear"]]
    turned = quaternions.rotate(made.recording.rotations["head"], np.array([1.0, 0.0, 0.0]))
    assert np.degrees(np.arccos(np.clip((unit(ears) * turned).sum(1), -1, 1))).mean() < 6
    shoulders = points[:, AT["left_shoulder"]] - points[:, AT["right_shoulder"]]
    turned = quaternions.rotate(made.recording.rotations["chest"], np.array([1.0, 0.0, 0.0]))
    assert np.degrees(np.arccos(np.clip((unit(shoulders) * turned).sum(1), -1, 1))).mean() < 6
    # A head of which no ear is known goes with the chest.
    world = sequence.world.copy()
    world[:, AT["left_ear"]] = np.nan
    made = lifted.record(dataclasses.replace(sequence, world=world), "dance", pitch=0)
    np.testing.assert_allclose(made.recording.rotations["head"], made.recording.rotations["chest"], atol=1e-6)


def test_jumps_leave_the_ground_and_bent_knees_do_not():
    points = np.repeat(truth.outstretched(truth.body(6.5, *truth.BODIES[6.5]))[None], 40, 0)
    high = np.zeros(40)
    high[15:25] = 0.3 * np.sin(np.linspace(0, np.pi, 10))
    points = points + high[:, None, None] * [0.0, 1.0, 0.0]
    sequence, _ = seen(points)
    made = lifted.record(sequence, "jump", pitch=0)
    up = made.recording.hips[:, 1] - made.recording.hips[0, 1]
    assert up[18:22].max() == pytest.approx(0.3, abs=0.1)
    assert np.abs(up[:12]).max() < 0.02 and np.abs(up[28:]).max() < 0.02


def test_joints_that_the_picture_lacks_do_not_matter_and_gaps_in_space_do():
    sequence, points = seen(walk(20), yaw=40)
    keypoints = sequence.keypoints.copy()
    keypoints[3:9, AT["left_ankle"]] = np.nan
    keypoints[:, AT["nose"]] = np.nan
    made = lifted.record(dataclasses.replace(sequence, keypoints=keypoints), "walk", pitch=0)
    assert max(limb_errors(made.recording, points).values()) < 2
    world = sequence.world.copy()
    world[2, AT["left_wrist"]] = np.nan
    with pytest.raises(ValueError, match="walk: joints in space are missing"):
        lifted.record(dataclasses.replace(sequence, world=world), "walk")
    with pytest.raises(ValueError, match="no joint is known in any frame"):
        lifted.record(dataclasses.replace(sequence, keypoints=np.full_like(keypoints, np.nan)), "walk")
