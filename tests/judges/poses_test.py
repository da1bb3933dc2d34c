"""The judge of poses, with its network."""

import numpy as np

from anime_pt.avatars import camera, keypoints, procedural, rasterise, rig
from anime_pt.avatars import poses as random_poses
from anime_pt.judges import poses
from anime_pt.pose.skeletons import AVATAR_20


def test_joints_are_found_in_pictures_of_the_benchmarks_size():
    finder, renderer, images, truth = poses.Finder(), rasterise.Renderer(128), [], []
    for seed in (910_001, 910_003):
        character = procedural.build(seed=seed)
        pose = rig.pose(character, random_poses.sample(np.random.default_rng(seed)))
        view = camera.fit(character, pose, size=128, margin=0.1)
        frame = renderer.render(character, pose, view)
        # Three quarters as wide.
        images.append(frame.over((255, 255, 255))[:, 16:112])
        truth.append(keypoints.project(character, pose, view, frame) - (16, 0, 0))
    pictures, truth = np.stack(images), np.float32(truth)
    found = finder("true", pictures)
    score = lambda joints: poses.scores(found, finder.skeleton, joints, AVATAR_20)["pdj"]
    assert pictures.shape == (2, 128, 96, 3) and found.shape == (2, 20, 3)
    assert score(truth) > 0.8 > score(truth[::-1])
