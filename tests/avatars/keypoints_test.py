"""Keypoints against separately rendered markers, and what hides them."""

import dataclasses

import numpy as np
import pytest

from anime_pt.avatars import camera, keypoints, poses, rasterise, rig
from anime_pt.avatars.character import Character, Material
from anime_pt.avatars.formats import mmd
from anime_pt.avatars.formats.binary import FormatError
from anime_pt.pose.skeletons import AVATAR_20
from tests.avatars import asset_files
from tests.avatars.tiny_character import build_tiny

ROLES = {
    "shoulder": "UpperArm",
    "elbow": "LowerArm",
    "wrist": "Hand",
    "hip": "UpperLeg",
    "knee": "LowerLeg",
    "ankle": "Foot",
}


def marker(character: Character, bone: int, place: np.ndarray, radius: float) -> Character:
    """An octahedron that rides on a bone, as a mesh of its own."""
    tips = np.concatenate([np.eye(3), -np.eye(3)])
    faces = np.array([[a, b, c] for a in (0, 3) for b in (1, 4) for c in (2, 5)])
    flipped = (np.linalg.det(tips[faces]) < 0)[:, None]
    faces = np.where(flipped, faces[:, ::-1], faces)
    joints = np.zeros((6, 4), np.int32)
    joints[:, 0] = bone
    return dataclasses.replace(
        character,
        positions=(tips * radius + place).astype(np.float32),
        normals=tips.astype(np.float32),
        uvs=np.zeros((6, 2), np.float32),
        joints=joints,
        weights=np.tile(np.float32([1, 0, 0, 0]), (6, 1)),
        outline_scale=np.ones(6, np.float32),
        triangles=faces.astype(np.int32),
        triangle_materials=np.zeros(8, np.int32),
        materials=[Material("marker")],
        derived={},
    )


def markers(character: Character, name: str, radius: float) -> list[Character]:
    """The markers of a keypoint: it is where the mean of their centres is."""
    side, _, joint = name.rpartition("_")
    if name in character.landmarks:
        places = [character.landmarks[name]]
    else:
        roles = {"neck": ["neck"], "mid_hip": ["leftUpperLeg", "rightUpperLeg"]}.get(name)
        bones = [character.humanoid[r] for r in roles or [side + ROLES[joint]]]
        places = [(b, character.rest[b, :3, 3]) for b in bones]
    return [marker(character, bone, place, radius) for bone, place in places]


def check_markers(character: Character, seed: int, views: int) -> None:
    rng = np.random.default_rng(seed)
    renderer, figure = rasterise.Renderer(512), rasterise.Renderer(512, supersample=1)
    radius = 0.02 * float(np.ptp(character.positions[:, 1]))
    meshes = {name: markers(character, name, radius) for name in AVATAR_20.keypoints}
    y, x = np.mgrid[:512, :512] + 0.5
    for _ in range(views):
        globals_ = rig.pose(character, poses.sample(rng))
        view = camera.fit(character, globals_, 512, yaw=rng.uniform(-180, 180), pitch=rng.uniform(-20, 30))
        frame = figure.render(character, globals_, view)
        points = keypoints.project(character, globals_, view, frame)
        assert points.dtype == np.float32 and set(np.unique(points[:, 2])) <= {0.0, 1.0}
        for name, group in meshes.items():
            centers = []
            for mesh in group:
                alpha = renderer.render(mesh, globals_, view, outline=0.0).image[..., 3].astype(float)
                centers.append([(x * alpha).sum() / alpha.sum(), (y * alpha).sum() / alpha.sum()])
            center = np.mean(centers, axis=0)
            error = np.abs(points[AVATAR_20.index(name), :2] - center).max()
            assert error < 0.5, (name, error)


def test_markers_tiny():
    check_markers(build_tiny(), seed=0, views=4)


@asset_files.parametrize("path", ".pmd", ".pmx")
def test_markers_real(path):
    try:
        character = mmd.load(path)
    except FormatError as e:
        pytest.skip(str(e))
    if not len(character.triangles):
        pytest.skip("a skeleton without a mesh")
    check_markers(character, seed=1, views=1)


def visibility(character, pose, yaw: float) -> dict[str, float]:
    globals_ = rig.pose(character, pose)
    view = camera.fit(character, globals_, 256, yaw=yaw)
    frame = rasterise.Renderer(256).render(character, globals_, view)
    values = keypoints.project(character, globals_, view, frame)[:, 2]
    return dict(zip(AVATAR_20.keypoints, values.tolist(), strict=True))


def hidden(*args) -> set[str]:
    return {name for name, seen in visibility(*args).items() if not seen}


def spread() -> poses.Pose:
    """Arms sideways, so that nothing overlaps from the front."""
    limbs = poses.standing().limbs.copy()
    limbs[0] = limbs[2] = (0.9, -0.4, 0.1)
    limbs[1] = limbs[3] = (-0.9, -0.4, 0.1)
    return poses.Pose(np.zeros((5, 3)), limbs / np.linalg.norm(limbs, axis=1, keepdims=True))


def test_front_and_back():
    tiny = build_tiny()
    assert hidden(tiny, spread(), 0.0) == set()
    assert hidden(tiny, spread(), 180.0) == {"nose", "left_eye", "right_eye"}


def test_side_hides_the_far_limbs():
    tiny = build_tiny()
    # At yaw 90 the figure faces right and its right side is near.
    far = hidden(tiny, poses.standing(), 90.0)
    assert {"left_ear", "left_shoulder", "left_hip", "left_knee"} <= far
    assert not far & {"right_ear", "right_elbow", "right_wrist", "right_knee", "right_ankle", "head_top"}


def test_hand_behind_the_back_is_hidden():
    tiny = build_tiny()
    limbs = spread().limbs.copy()
    limbs[0], limbs[2] = (0.15, -0.85, -0.5), (-0.75, -0.4, -0.2)
    pose = poses.Pose(np.zeros((5, 3)), limbs / np.linalg.norm(limbs, axis=1, keepdims=True))
    assert "left_wrist" in hidden(tiny, pose, 0.0)
    assert "left_wrist" not in hidden(tiny, pose, 180.0)


def test_arm_before_the_face_hides_it():
    tiny = build_tiny()
    limbs = spread().limbs.copy()
    limbs[1], limbs[3] = (-0.35, 0.2, 0.9), (0.75, 0.62, 0.15)
    pose = poses.Pose(np.zeros((5, 3)), limbs / np.linalg.norm(limbs, axis=1, keepdims=True))
    gone = hidden(tiny, pose, 0.0)
    assert gone & {"nose", "left_eye", "right_eye", "neck", "right_shoulder"}
    assert not gone & {"right_elbow", "right_wrist", "left_hip", "left_knee"}


def test_outside_the_picture():
    tiny = build_tiny()
    view = camera.Camera(128, 128, 200.0, (0.0, 1.5, 0.0))
    frame = rasterise.Renderer(128).render(tiny, tiny.rest, view)
    points = keypoints.project(tiny, tiny.rest, view, frame)
    ankle = AVATAR_20.index("left_ankle")
    np.testing.assert_allclose(points[ankle], [64 + 0.09 * 200, 64 + (1.5 - 0.07) * 200, 0], atol=1e-3)
    assert points[AVATAR_20.index("nose"), 2] == 1


def test_thickness_matters_not_size():
    """Twice as large a body, camera fitted: the same visibility."""
    tiny = build_tiny()
    rest = tiny.rest.copy()
    rest[:, :3, 3] *= 2
    marks = {k: (b, 2 * p) for k, (b, p) in tiny.landmarks.items()}
    big = dataclasses.replace(tiny, positions=tiny.positions * 2, rest=rest, landmarks=marks, derived={})
    rng = np.random.default_rng(0)
    for yaw in (0.0, 70.0, 140.0, 250.0):
        pose = poses.sample(rng)
        assert visibility(tiny, pose, yaw) == visibility(big, pose, yaw)
