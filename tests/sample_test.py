"""Sampling a run from the command line, and the functions behind it."""

import av
import numpy as np
import pytest
from PIL import Image

from anime_pt.pipelines import sample
from anime_pt.pose import formats
from anime_pt.pose.skeletons import OPENPOSE_18
from tests.conftest import command


def frames_of(path):
    if path.suffix == ".gif":
        return Image.open(path).n_frames
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_command_writes_grid_interpolation_animation_and_poses(unbroken):
    _, workdir = unbroken
    result = command(
        "anime_pt.sample",
        f"--workdir={workdir}",
        "--frames=7",
        "--latents=3",
        "--rows=2",
        "--interpolation_steps=4",
        "--dancers=2",
    )
    assert result.returncode == 0, result.stderr
    out = workdir / "generated"
    cell = lambda n: n * 18 - 2
    assert Image.open(out / "grid.png").size == (cell(4), cell(2))
    assert Image.open(out / "interpolation.png").size == (cell(5), cell(2))
    assert frames_of(out / "animation.gif") == frames_of(out / "animation.mp4") == 7
    motion = formats.read(out / "motion.json")
    assert motion.keypoints.shape == (7, 20, 3)
    assert np.abs(np.diff(motion.keypoints[..., :2], axis=0)).max() > 0.05  # It moves.


def test_command_takes_poses_of_another_skeleton_and_size(unbroken, tmp_path):
    _, workdir = unbroken
    points = np.random.default_rng(0).uniform(10, 500, (3, 18, 3)).astype(np.float32)
    poses = tmp_path / "my poses.json"
    formats.write(poses, formats.PoseSequence(points, OPENPOSE_18, (512, 512), 12.0))
    out = tmp_path / "out"
    result = command("anime_pt.sample", f"--workdir={workdir}", f"--poses={poses}", f"--out={out}")
    assert result.returncode == 0, result.stderr
    assert frames_of(out / "animation.gif") == 3
    assert Image.open(out / "animation.gif").info["duration"] == pytest.approx(1000 / 12, abs=10)


def test_command_refuses_a_bad_pose_file_before_it_writes(unbroken, tmp_path):
    _, workdir = unbroken
    poses = tmp_path / "poses.json"
    poses.write_text("[]")
    result = command("anime_pt.sample", f"--workdir={workdir}", f"--poses={poses}", f"--out={tmp_path}/out")
    assert result.returncode == 1
    assert "is not a keypoints file" in result.stderr and len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_interpolation_begins_and_ends_at_its_latents(unbroken):
    config, workdir = unbroken
    sampler = sample.Sampler(config, workdir)
    points = sampler.evaluation_poses(3)
    ends = sampler.latents(2, seed=5)
    columns = sample.interpolation(sampler, points, ends, 5)
    grid = sample.pose_grid(sampler, points, ends)
    np.testing.assert_array_equal(columns[0], grid[0])
    np.testing.assert_allclose(columns[1], grid[1], atol=1e-4)
    np.testing.assert_allclose(columns[-1], grid[2], atol=1e-4)


def test_more_latents_keep_the_first(unbroken):
    sampler = sample.Sampler(*unbroken)
    np.testing.assert_array_equal(sampler.latents(5, 1)[:2], sampler.latents(2, 1))


def test_slerp_stays_on_the_sphere():
    a, b = np.random.default_rng(0).normal(size=(2, 16))
    b *= np.linalg.norm(a) / np.linalg.norm(b)
    path = sample.slerp(a, b, np.linspace(0, 1, 9))
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), np.linalg.norm(a), rtol=1e-6)
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-5)
    np.testing.assert_allclose(path[[0, -1]], [a, b], rtol=1e-6)
