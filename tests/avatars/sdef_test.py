"""Spherical skinning of MikuMikuDance."""

import dataclasses

import numpy as np
import pytest

from anime_pt.avatars import camera, rasterise, rig
from anime_pt.avatars.character import Character, Material, Sdef
from tests.avatars.tiny_character import build_tiny

RADIUS = 0.1


def elbow(shift: float = 0.0) -> Character:
    """A tube along X about the origin: bone 0 moves its left half, bone 1 the right, with a joint between.

    R0 and R1 lie `shift` metres to the left and right of C, which is the joint.
    """
    base = build_tiny()
    x, angle = np.meshgrid(np.linspace(-0.5, 0.5, 21), np.linspace(0, 2 * np.pi, 13)[:-1], indexing="ij")
    normals = np.stack([np.zeros_like(angle), np.cos(angle), np.sin(angle)], -1).reshape(-1, 3)
    positions = normals * RADIUS
    positions[:, 0] = x.ravel()
    count = len(positions)
    share = np.clip(0.5 + positions[:, 0] / 0.4, 0, 1)
    joints, weights = np.zeros((count, 4), np.int32), np.zeros((count, 4), np.float32)
    joints[:, 1] = 1
    weights[:, 0], weights[:, 1] = 1 - share, share
    i, j = (a.ravel() for a in np.meshgrid(np.arange(20), np.arange(12), indexing="ij"))
    a, b, c, d = i * 12 + j, i * 12 + (j + 1) % 12, i * 12 + 12 + j, i * 12 + 12 + (j + 1) % 12
    rest = np.tile(np.eye(4), (2, 1, 1))
    mixed = np.flatnonzero((share > 0) & (share < 1)).astype(np.int32)
    centers = np.zeros((len(mixed), 3), np.float32)
    away = np.tile(np.float32([shift, 0, 0]), (len(mixed), 1))
    return dataclasses.replace(
        base,
        positions=positions.astype(np.float32),
        normals=normals.astype(np.float32),
        uvs=np.zeros((count, 2), np.float32),
        joints=joints,
        weights=weights,
        outline_scale=np.ones(count, np.float32),
        triangles=np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)]).astype(np.int32),
        triangle_materials=np.zeros(480, np.int32),
        materials=[Material("skin", color=(1.0, 0.0, 0.0, 1.0))],
        bone_names=["upper", "lower"],
        parents=np.array([-1, 0], np.int32),
        rest=rest,
        humanoid={},
        landmarks={},
        sdef=Sdef(mixed, centers, -away, away),
        derived={},
    )


def bent(degrees: float, shift=(0.0, 0.0, 0.0)) -> np.ndarray:
    """Bone 1 bends about Z, everything moves by `shift`."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    out = np.tile(np.eye(4), (2, 1, 1))
    out[1, :2, :2] = [[c, -s], [s, c]]
    out[:, :3, 3] = shift
    return out


def linear(character: Character) -> Character:
    return dataclasses.replace(character, sdef=None, derived={})


def joint_radii(character: Character, degrees: float) -> np.ndarray:
    """Distances of the middle ring from the joint."""
    posed = rig.skin(character, bent(degrees))
    return np.linalg.norm(posed[character.positions[:, 0] == 0], axis=1)


@pytest.mark.parametrize("degrees", [45, 90, 135])
def test_elbow_keeps_its_radius(degrees):
    character = elbow()
    np.testing.assert_allclose(joint_radii(character, degrees), RADIUS, rtol=1e-5)
    # Linear skinning of the same halves is the mean of two turned points: it shrinks by cos(angle / 2).
    thin = joint_radii(linear(character), degrees).min()
    assert thin == pytest.approx(RADIUS * np.cos(np.radians(degrees / 2)), rel=1e-4)


def test_turns_by_the_weighted_share_of_the_angle():
    character = elbow()
    at = character.sdef.vertices
    turned = rig.skinning_matrices(character, bent(80))[len(character.rest) :, :3, :3]
    angles = np.degrees(np.arctan2(turned[:, 1, 0], turned[:, 0, 0]))
    np.testing.assert_allclose(angles, 80 * character.weights[at, 1], atol=1e-4)


@pytest.mark.parametrize("shift", [(0, 0, 0), (0.3, -1.2, 2.0)])
def test_equals_linear_without_bending(shift):
    character = elbow(0.05)
    expected = character.positions + np.float32(shift)
    np.testing.assert_allclose(rig.skin(character, bent(0, shift)), expected, atol=1e-6)


def test_the_offsets_of_the_bones_count():
    """R0 and R1 move the centre as the bones move them: by hand for one vertex half and half."""
    character = elbow(0.05)
    middle = int(
        np.flatnonzero((character.positions[character.sdef.vertices] == np.float32([0, RADIUS, 0])).all(1))[0]
    )
    # C0 = (-0.025, 0, 0) stays, C1 = (0.025, 0, 0) turns up by 90 degrees; p turns by 45 about C = 0.
    turned = RADIUS * np.array([-np.sqrt(0.5), np.sqrt(0.5), 0])
    expected = turned + 0.5 * np.array([-0.025, 0, 0]) + 0.5 * np.array([0, 0.025, 0])
    posed = rig.skin(character, bent(90))[character.sdef.vertices[middle]]
    np.testing.assert_allclose(posed, expected, atol=1e-6)


def test_pictures_and_cameras_agree_with_skinning():
    character = elbow()
    globals_ = bent(110)
    posed = rig.skin(character, globals_)
    view = camera.fit(character, globals_, 128, margin=0.1)
    points = view.project(posed)
    assert points[:, :2].min() == pytest.approx(12.8, abs=0.01)
    frame = rasterise.Renderer(128).render(character, globals_, view, outline=0.0)
    rows, columns = np.nonzero(frame.image[..., 3])
    assert abs(columns.min() - points[:, 0].min()) < 1.5 and abs(rows.max() + 1 - points[:, 1].max()) < 1.5
    # The inner side of the bend is where linear skinning differs.
    other = rasterise.Renderer(128).render(linear(character), globals_, view, outline=0.0)
    assert ((frame.image[..., 3] > 0) ^ (other.image[..., 3] > 0)).sum() > 20


@pytest.mark.parametrize(
    "change,message",
    [
        ({"vertices": np.array([9999], np.int32)}, "sdef vertex index is outside"),
        ({"centers": np.zeros((1, 3), np.float32)}, "three points for each"),
    ],
)
def test_damaged_tables(change, message):
    character = elbow()
    character.sdef = dataclasses.replace(character.sdef, **change)
    with pytest.raises(ValueError, match=message):
        rig.skin(character, bent(0))
