"""The estimator that comes with the package, on characters and places that it has not seen."""

import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from anime_pt.avatars import camera, keypoints, poses, procedural, rasterise, rig
from anime_pt.data import styles
from anime_pt.pipelines import estimate, estimator
from anime_pt.pose.skeletons import AVATAR_20

# A run of one's own is tested instead, if ANIME_PT_ESTIMATOR names its workdir.
RUN = os.environ.get("ANIME_PT_ESTIMATOR", "")
SIZE = 320


@pytest.fixture(scope="module")
def find():
    loaded = estimator.of_run(pathlib.Path(RUN)) if RUN else estimator.packaged()
    return estimator.Estimator(*loaded)


@pytest.fixture(scope="module")
def characters():
    """RGBA pictures of twelve characters that are no training data, and their joints (20, 3)."""
    renderer, out = rasterise.Renderer(SIZE), []
    for seed in range(12):
        character = procedural.build(seed=910_000 + seed)
        pose = rig.pose(character, poses.sample(np.random.default_rng(seed)))
        view = camera.fit(character, pose, size=SIZE, yaw=15 * (seed % 5 - 2))
        frame = renderer.render(character, pose, view)
        out.append((frame.image, keypoints.project(character, pose, view, frame)))
    return out


def found(find, folder, images):
    paths = []
    for i, image in enumerate(images):
        paths.append(folder / f"{i}.png")
        Image.fromarray(image).save(paths[-1])
    results = list(estimate.of_pictures(find, paths, 0.1))
    assert not any(e.error for e in results)
    return np.stack([e.points for e in results])


def pdj(points, truth):
    """Share of joints, and of wrists, within a fifth of the distance from left hip to right shoulder."""
    hip, shoulder = AVATAR_20.index("left_hip"), AVATAR_20.index("right_shoulder")
    torso = np.linalg.norm(truth[:, hip, :2] - truth[:, shoulder, :2], axis=-1)
    away = np.linalg.norm(points[..., :2] - truth[..., :2], axis=-1)
    with np.errstate(invalid="ignore"):
        near = away < 0.2 * torso[:, None]
    return near.mean(), near[:, [AVATAR_20.index(f"{side}_wrist") for side in ("left", "right")]].mean()


def test_joints_of_characters_on_several_backgrounds(find, characters, tmp_path):
    images, truth = zip(*characters, strict=True)
    on_colours = []
    for image, colour in zip(images, ((255, 255, 255), (200, 220, 250), (60, 50, 70)) * 4, strict=True):
        alpha = image[..., 3:] / 255
        on_colours.append((image[..., :3] * alpha + np.array(colour) * (1 - alpha)).round().astype(np.uint8))
    points, truth = found(find, tmp_path, images), np.stack(truth)
    (mean, wrists), (swapped, _) = pdj(points, truth), pdj(points[:, AVATAR_20.flip], truth)
    assert mean >= 0.9 and wrists >= 0.8
    assert mean > swapped + 0.2
    mean, wrists = pdj(found(find, tmp_path, on_colours), truth)
    assert mean >= 0.9 and wrists >= 0.8


@pytest.mark.parametrize("style", styles.UNSEEN)
def test_joints_in_styles_never_drawn_in_training(find, characters, tmp_path, style):
    images, truth = zip(*characters, strict=True)
    drawn = []
    for i, image in enumerate(images):
        alpha = image[..., 3:] / 255
        picture = (image[..., :3] * alpha + 255 * (1 - alpha)).astype(np.float32) / 255
        styled = styles.UNSEEN[style](picture, np.random.default_rng(i))
        drawn.append((styled * 255).round().astype(np.uint8))
    mean, wrists = pdj(found(find, tmp_path, drawn), np.stack(truth))
    assert mean >= 0.85 and wrists >= 0.75


def test_the_place_in_the_picture_does_not_matter(find, characters, tmp_path):
    images = [image for image, _ in characters[:6]]
    moved = []
    for image in images:
        large = np.zeros((700, 900, 4), np.uint8)
        large[350 : 350 + SIZE, 500 : 500 + SIZE] = image
        moved.append(large)
    here, there = found(find, tmp_path, images), found(find, tmp_path, moved)
    away = np.linalg.norm(there[..., :2] - (500, 350) - here[..., :2], axis=-1)
    both = np.isfinite(away)
    assert both.mean() > 0.8
    # Sure joints stay where they are; the box is known to two pixels in the larger picture.
    sure = both & (np.minimum(here[..., 2], there[..., 2]) > 0.4)
    assert np.median(away[sure]) < 0.01 * SIZE and (away[sure] < 0.05 * SIZE).mean() > 0.95
