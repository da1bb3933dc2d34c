"""Hanging bones: rest stays rest, legs stay under skirts, nothing jumps: a synthetic skirt, real files."""

import dataclasses
import pickle

import numpy as np
import pytest

from anime_pt.avatars import anatomy, drape, drape_kernels, poses, rig, rotations
from anime_pt.avatars.character import Character
from anime_pt.avatars.formats import mmd, vrm
from anime_pt.avatars.formats.binary import FormatError
from tests.avatars import asset_files, skirted
from tests.avatars.tiny_character import build_tiny


@pytest.fixture(scope="module")
def skirt() -> tuple[Character, list[int]]:
    character, hanging = skirted.build_skirted()
    character.secondary = drape.of(character, hanging)
    return character, hanging


def rigid(character: Character) -> Character:
    return dataclasses.replace(character, secondary=None, derived={})


def poke(character: Character, pose: poses.Pose) -> float:
    cloth = character.triangle_materials == len(character.materials) - 1
    return skirted.poking_share(character, rig.pose(character, pose), cloth)


def depths(character: Character, globals_: np.ndarray) -> np.ndarray:
    """(s,) metres by which each sample is deeper in a capsule than at rest, at most over the capsules."""
    bones, strands = character.secondary.bones, character.secondary.strands
    changes = globals_[bones] @ np.linalg.inv(character.rest[bones])
    move = lambda m, p: np.einsum("...ij,...j->...i", m[..., :3, :3], p) + m[..., :3, 3]
    at = move(changes[strands.nodes], strands.samples[:, None]) * strands.weights[..., None]
    ends = move(changes[strands.capsule_nodes][:, None], strands.capsule_ends)
    distances = drape_kernels.gaps(at.sum(1), ends, strands.capsule_radii)
    return (np.minimum(strands.rooms, 0) - distances).max(1).clip(0)


def lifted(knees: float) -> poses.Pose:
    """Standing, with both thighs raised by an angle (radians) and the shins hanging."""
    pose = poses.standing()
    limbs = pose.limbs.copy()
    limbs[4:6] = [0.0, -np.cos(knees), np.sin(knees)]
    limbs[6:8] = [0.0, -1.0, 0.0]
    return dataclasses.replace(pose, limbs=limbs)


def test_rest_is_exactly_rest(skirt):
    c, _ = skirt
    assert np.array_equal(c.secondary(c, c.rest), c.rest)
    # Standing parts the legs a little; the skirt makes room for them, no more.
    skins = [rig.skin(c, rig.pose(x, poses.standing())) for x in (c, rigid(c))]
    assert np.abs(skins[0] - skins[1]).max() < 0.03


def test_skirt_lies_on_raised_thighs(skirt):
    c, hanging = skirt
    for knees in (0.5, 0.9, 1.3, 1.6):
        assert poke(c, lifted(knees)) < 0.1
    assert poke(rigid(c), lifted(1.6)) > 0.6
    globals_ = rig.pose(c, lifted(1.5))
    hem = globals_[hanging[skirted.JOINTS - 1], :3, 3]  # The strand in front.
    knee = globals_[c.humanoid["leftLowerLeg"], :3, 3]
    assert hem[1] > knee[1] and hem[2] > 0.25


def test_few_legs_show_through_in_sampled_poses(skirt):
    c, _ = skirt
    sampled = [poses.sample(np.random.default_rng(i)) for i in range(24)]
    before = np.array([poke(rigid(c), p) for p in sampled])
    after = np.array([poke(c, p) for p in sampled])
    assert before.mean() > 0.2
    assert after.mean() < 0.05 and after.max() < 0.2


def test_only_what_hangs_turns_and_nothing_stretches(skirt):
    c, hanging = skirt
    for seed in range(6):
        pose = poses.sample(np.random.default_rng(seed))
        free, draped = rig.pose(rigid(c), pose), rig.pose(c, pose)
        body = np.setdiff1d(np.arange(len(c.parents)), hanging)
        np.testing.assert_array_equal(free[body], draped[body])
        np.testing.assert_allclose(
            draped[:, :3, :3] @ draped[:, :3, :3].transpose(0, 2, 1),
            np.tile(np.eye(3), (len(free), 1, 1)),
            atol=1e-9,
        )
        length = lambda g: np.linalg.norm(g[hanging, :3, 3] - g[c.parents[hanging], :3, 3], axis=1)
        np.testing.assert_allclose(length(draped), length(c.rest), atol=1e-9)


def test_neighbours_keep_together(skirt):
    """A leg that kicks does not part the skirt: without its neighbours a strand would go alone."""
    c, _ = skirt
    strands = c.secondary.strands
    alone = drape_kernels.Strands(*strands)._replace(link_starts=np.zeros_like(strands.link_starts))
    pose = poses.standing()
    limbs = pose.limbs.copy()
    limbs[4], limbs[6] = [0.05, -0.1, 1.0], [0.05, -0.1, 1.0]
    pose = dataclasses.replace(pose, limbs=limbs / np.linalg.norm(limbs, axis=1, keepdims=True))
    edges = np.sort(np.concatenate([c.triangles[:, [0, 1]], c.triangles[:, [1, 2]]]), axis=1)
    edges = edges[(edges >= len(build_tiny().positions)).all(1)]
    length = lambda points: np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)
    stretch = {}
    for name, hook in (("together", c.secondary), ("alone", drape.Drape(c.secondary.bones, alone))):
        posed = rig.skin(c, hook(c, rig.pose(rigid(c), pose)))
        stretch[name] = np.percentile(length(posed) / length(c.positions), 99)
    assert stretch["together"] < 2.2
    assert stretch["together"] < 0.8 * stretch["alone"]


@pytest.mark.parametrize("seed", range(4))
def test_slow_motion_stays_slow(skirt, seed):
    """From one pose to another in 200 steps of about a degree, no strand jumps."""
    c, hanging = skirt
    rng = np.random.default_rng(seed)
    a, b = poses._sample_angles(rng), poses._sample_angles(rng)
    frames = np.array([rig.pose(c, poses._build(a.mix(b, i / 199)))[hanging, :3, :3] for i in range(200)])
    turns = np.einsum("tnji,tnjk->tnik", frames[:-1], frames[1:])
    angles = np.degrees(np.arccos(((np.trace(turns, axis1=2, axis2=3) - 1) / 2).clip(-1, 1)))
    assert angles.max() < 30 and np.percentile(angles, 99.5) < 4


def test_the_past_does_not_matter(skirt):
    c, _ = skirt
    pose = poses.sample(np.random.default_rng(4))
    first = rig.pose(c, pose)
    rig.pose(c, poses.sample(np.random.default_rng(5)))
    copy = pickle.loads(pickle.dumps(c))
    assert not np.array_equal(first, rig.pose(rigid(c), pose))
    np.testing.assert_array_equal(rig.pose(copy, pose), first)


def test_hair_stays_out_of_the_back():
    """A pony tail that is stiff would enter the back when the head bends backwards."""
    c = build_tiny()
    count, head = len(c.parents), c.humanoid["head"]
    places = [(0.0, y, -0.13) for y in (1.5, 1.38, 1.26)]
    rest = np.tile(np.eye(4), (3, 1, 1))
    rest[:, :3, 3] = places
    hair = [
        (x, y, -0.13 + z) for y in np.linspace(1.5, 1.14, 19) for x in (-0.02, 0.02) for z in (-0.02, 0.02)
    ]
    joints = np.zeros((len(hair), 4), np.int32)
    joints[:, 0] = count + np.searchsorted([-1.38, -1.26], [-y for _, y, _ in hair], side="right")
    tail = dataclasses.replace(
        c,
        positions=np.concatenate([c.positions, np.float32(hair)]),
        normals=np.concatenate([c.normals, np.tile(np.float32([0, 0, -1]), (len(hair), 1))]),
        uvs=np.zeros((len(c.positions) + len(hair), 2), np.float32),
        joints=np.concatenate([c.joints, joints]),
        weights=np.concatenate([c.weights, np.tile(np.float32([1, 0, 0, 0]), (len(hair), 1))]),
        outline_scale=np.ones(len(c.positions) + len(hair), np.float32),
        bone_names=[*c.bone_names, *"abc"],
        parents=np.append(c.parents, [head, count, count + 1]).astype(np.int32),
        rest=np.concatenate([c.rest, rest]),
        derived={},
    )
    tail.secondary = drape.of(tail, range(count, count + 3))
    spine = np.zeros((5, 3))
    spine[3:, 0] = -0.35
    pose = dataclasses.replace(poses.standing(), spine=spine)
    before, after = (depths(tail, rig.pose(x, pose)).max() for x in (rigid(tail), tail))
    assert before > 0.05 and after < 0.012


def test_a_skirt_falls_along_gravity_and_keeps_some_flare(skirt):
    """Bent forwards by half a radian, the skirt hangs behind less than the hips say, at the hem most."""
    c, hanging = skirt
    shares = anatomy.hanging(c, hanging)
    assert set(shares) == set(hanging) and len(set(shares.values())) == 1
    spine = np.zeros((5, 3))
    spine[0, 0] = 0.5
    globals_ = rig.pose(
        dataclasses.replace(rigid(c), hang=shares), dataclasses.replace(poses.standing(), spine=spine)
    )
    strand = hanging[: skirted.JOINTS]
    tilts = np.arctan2(globals_[strand, 2, 1], globals_[strand, 1, 1])
    assert 0.2 < tilts[0] < 0.45 and (np.diff(tilts) < 0).all() and tilts[-1] > 0.02


def test_what_does_not_hang():
    c = build_tiny()
    assert drape.of(c, []) is None
    # Bones of the humanoid skeleton carry the body, whatever a file says.
    assert drape.of(c, [c.humanoid["hips"], c.humanoid["leftFoot"], 10**6]) is None


def test_turns_are_measured_from_rest(skirt):
    """A character that has turned around and walked off has the same skirt."""
    c, hanging = skirt
    globals_ = rig.pose(rigid(c), lifted(1.2))
    away = np.eye(4)
    away[:3, :3], away[:3, 3] = rotations.about(np.array([0.0, 1.0, 0.0]), 2.0), (3.0, 0.5, -2.0)
    here, there = c.secondary(c, globals_), c.secondary(c, away @ globals_)
    np.testing.assert_allclose(there[hanging], (away @ here)[hanging], atol=1e-6)


def load(path) -> Character:
    try:
        return mmd.load(path) if path.suffix.lower() in (".pmd", ".pmx") else vrm.load(path)
    except FormatError as e:
        pytest.skip(str(e))


@asset_files.parametrize("path", ".pmd", ".pmx", ".vrm")
def test_real_files(path):
    """Whatever model is there: rest is rest, bones stay rigid, and no more of what hangs is in the body."""
    c = load(path)
    if c.secondary is None:
        pytest.skip("nothing hangs")
    np.testing.assert_array_equal(c.secondary(c, c.rest), c.rest)
    free, sums = rigid(c), np.zeros(2)
    for seed in range(12):
        pose = poses.sample(np.random.default_rng(seed))
        before, after = rig.pose(free, pose), rig.pose(c, pose)
        assert np.isfinite(after).all()
        scale = np.linalg.det(after[:, :3, :3]) / np.linalg.det(c.rest[:, :3, :3])
        np.testing.assert_allclose(scale, 1.0, atol=1e-6)
        sums += depths(c, before).sum(), depths(c, after).sum()
    assert sums[1] <= sums[0] + 2e-3
