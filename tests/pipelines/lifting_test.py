import dataclasses
import types

import jax.numpy as jnp
import numpy as np
import pytest

from anime_pt.avatars.formats import mmd_skeleton, vmd, vmd_motion
from anime_pt.pipelines import lifting
from anime_pt.pose.sequences import PoseSequence
from anime_pt.pose.skeletons import AVATAR_20, OPENPOSE_18
from tests.avatars import lifted_test
from tests.avatars.lifted_test import AT, limb_errors


def flat(net, keypoints):
    """A network that knows no depth, and turns everything a little to the right."""
    known = jnp.isfinite(keypoints[..., :2]).all(-1, keepdims=True)
    x = jnp.where(known, keypoints[..., :2], 0) * net
    return jnp.concatenate([x + jnp.array([0.1, 0.0]), jnp.ones_like(x[..., :1])], -1)


def lifter(flip=False):
    return lifting.Lifter(types.SimpleNamespace(skeleton=AVATAR_20, lift=flat), jnp.float32(0.01), flip)


def clip(count=6):
    points = np.random.default_rng(0).uniform(20, 80, (1, 20, 3)).astype(np.float32)
    points = points + np.arange(count, dtype=np.float32)[:, None, None]
    points[..., 2] = 1
    return PoseSequence(points, AVATAR_20, (100, 100))


def test_clips_of_any_length_and_skeleton():
    sequence = clip(300)
    found, report = lifter()(sequence)
    assert found.world.shape == (300, 20, 3) and not report
    np.testing.assert_allclose(found.world[..., 0], 0.01 * sequence.keypoints[..., 0] + 0.1, rtol=1e-5)
    found, _ = lifter()(sequence.as_skeleton(OPENPOSE_18))
    assert found.skeleton is AVATAR_20 and found.world.shape == (300, 20, 3)


def test_the_mirror_image_takes_away_what_leans_to_one_side():
    found, _ = lifter(flip=True)(clip())
    np.testing.assert_allclose(found.world[..., 0], 0.01 * clip().keypoints[..., 0], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(found.world[..., 2], 1)


def test_frames_without_joints_are_between_their_neighbours():
    sequence = clip()
    points = sequence.keypoints.copy()
    points[2:4, 4:] = np.nan
    points[5] = np.nan
    found, report = lifter()(dataclasses.replace(sequence, keypoints=points))
    whole, _ = lifter()(sequence)
    np.testing.assert_allclose(found.world[2:4], whole.world[2:4], rtol=1e-5)
    np.testing.assert_array_equal(found.world[5], found.world[4])
    assert report == ["3 of 6 frames show too few joints: filled in"]
    points[:] = np.nan
    with pytest.raises(ValueError, match="no frame has 6 known joints"):
        lifter()(dataclasses.replace(sequence, keypoints=points))


def test_a_file_with_depth_becomes_a_dance(tmp_path):
    sequence, points = lifted_test.seen(lifted_test.walk(30), yaw=30)
    world = sequence.world.copy()
    world[:3, AT["left_wrist"]] = np.nan
    world[:, AT["head_top"]] = np.nan
    sequence = dataclasses.replace(sequence, world=world)
    made, joints, report = lifting.motion(sequence, "walk", None, pitch=0)
    assert not report and np.isfinite(joints.world[:, AT["left_wrist"]]).all()
    errors = limb_errors(made.recording, points)
    assert max(errors.values()) < 4
    # Whoever plays the file does the same; legs as far as soles and other hips allow.
    vmd.write(tmp_path / "walk.vmd", lifting.to_vmd(made, mmd_skeleton.build()))
    played = vmd_motion.record(vmd_motion.load(tmp_path / "walk.vmd"))
    assert played.frames == 30
    errors = limb_errors(played, points)
    assert max(errors[side + part] for side in ("left", "right") for part in ("UpperArm", "LowerArm")) < 4
    assert max(errors.values()) < 12
    feet = np.stack([played.positions()[side + "Foot"] for side in ("left", "right")], 1)
    steps = np.linalg.norm(np.diff(feet, axis=0), axis=-1)[made.stands > 0.95]
    assert len(steps) > 5 and steps.max() < 0.015
    with pytest.raises(ValueError, match="the file has no depth of its own"):
        lifting.motion(dataclasses.replace(sequence, world=None), "walk", None)
    with pytest.raises(ValueError, match=r"is no MMD character: a VMD file is for .pmd and .pmx models"):
        lifting.to_vmd(made, dataclasses.replace(mmd_skeleton.build(), kind="procedural"))
