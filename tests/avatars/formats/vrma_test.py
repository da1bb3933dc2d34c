import numpy as np
import pytest

from anime_pt.avatars import quaternions
from anime_pt.avatars.formats import vrma
from anime_pt.avatars.formats.binary import FormatError
from tests.avatars import asset_files, gltf_files
from tests.avatars.gltf_files import BONES, Glb, quaternion
from tests.avatars.vrma_files import animation, skeleton


def local(glb: Glb, node: int, world: np.ndarray, change: np.ndarray) -> list[float]:
    """The node's local rotation when it turns by `change` (3, 3) of space, its parent being at rest.

    Args:
      world: (3, 3) global rotation of the node at rest.
    """
    rest = gltf_files.matrix(glb.json["nodes"][node]["rotation"])
    return quaternions.from_matrix(rest @ world.T @ change @ world).tolist()


@pytest.mark.parametrize("axes", [None, 7])
def test_turns_are_about_the_axes_of_space(tmp_path, axes):
    glb, nodes = skeleton(None if axes is None else np.random.default_rng(axes))
    worlds = gltf_files._globals(glb)[:, :3, :3]
    arm, fore = nodes["leftUpperArm"], nodes["leftLowerArm"]
    up = gltf_files.matrix(quaternion((0, 0, 1), 90))
    rest = glb.json["nodes"][arm]["rotation"]
    keys = [rest, local(glb, arm, worlds[arm], up)]
    path = animation(glb, [(arm, "rotation", [0, 1], keys, "LINEAR")]).save(tmp_path / "it.vrma")
    got = vrma.read(path)
    assert (got.name, got.fps, got.frames) == ("wave", 30, 31)
    assert set(got.rest) == set(BONES)
    for role, (_, place) in BONES.items():
        np.testing.assert_allclose(got.rest[role], place, atol=1e-6)
    for frame, degrees in ((0, 0), (10, 30), (30, 90)):
        wanted = gltf_files.matrix(quaternion((0, 0, 1), degrees))
        for role in ("leftUpperArm", "leftLowerArm", "leftHand"):
            turned = quaternions.to_matrix(got.rotations[role][frame])
            np.testing.assert_allclose(turned, wanted, atol=1e-6)
        np.testing.assert_allclose(np.abs(got.rotations["head"][frame]), [0, 0, 0, 1], atol=1e-7)
    assert got.positions()["leftHand"][30] == pytest.approx((0.15, 1.79, 0), abs=1e-6)
    assert fore != arm


def test_hips_in_metres_whatever_the_root_scale(tmp_path):
    glb, nodes = skeleton(None, scale=0.01)
    start = np.array(glb.json["nodes"][nodes["hips"]]["translation"])
    moves = [start.tolist(), (start + np.array([100, 50, 0])).tolist()]
    path = animation(glb, [(nodes["hips"], "translation", [0.5, 1.5], moves, "LINEAR")]).save(
        tmp_path / "it.vrma"
    )
    got = vrma.read(path)
    np.testing.assert_allclose(got.hips[[0, 15, 30]], [[0, 0.9, 0], [0.5, 1.15, 0], [1, 1.4, 0]], atol=1e-6)


def test_step_and_cubic(tmp_path):
    glb, nodes = skeleton(None)
    y = [0.0, 0.9, 0.0]
    points = [[1.0, 0.9, 0.0], [0.0, 0.9, 0.0]]
    zero = [0.0, 0.0, 0.0]
    path = tmp_path / "it.vrma"
    animation(glb, [(nodes["hips"], "translation", [0, 1], [y, points[0]], "STEP")]).save(path)
    got = vrma.read(path).hips[:, 0]
    assert (got[:30] == 0).all() and got[30] == pytest.approx(1)
    cubic = [zero, y, [2.0, 0, 0], [-1.0, 0, 0], points[0], zero]
    animation(glb, [(nodes["hips"], "translation", [0, 2], cubic, "CUBICSPLINE")]).save(path)
    # Hermite at the middle of two seconds: half the sum of values, and 2/8 of the difference of tangents.
    assert vrma.read(path).hips[30, 0] == pytest.approx(0.5 + 2 / 8 * (2.0 + 1.0))
    turn = quaternion((0, 1, 0), 90)
    four = [[0.0] * 4, [0, 0, 0, 1.0], [0.0] * 4, [0.0] * 4, turn, [0.0] * 4]
    animation(glb, [(nodes["head"], "rotation", [0, 1], four, "CUBICSPLINE")]).save(path)
    middle = vrma.read(path).rotations["head"][15]
    np.testing.assert_allclose(middle, quaternion((0, 1, 0), 45), atol=1e-6)


def test_expressions(tmp_path):
    glb, _ = skeleton(None)
    node, still = glb.add("nodes", {"name": "happy"}), glb.add("nodes", {"name": "sad"})
    custom = glb.add("nodes", {"name": "sleepy"})
    glb.json["extensions"]["VRMC_vrm_animation"]["expressions"] = {
        "preset": {"happy": {"node": node}, "sad": {"node": still}},
        "custom": {"sleepy": {"node": custom}},
    }
    tracks = [
        (node, "translation", [0, 1], [[0.0, 0, 0], [1.0, 0, 0]], "LINEAR"),
        (custom, "translation", [0, 1], [[-1.0, 0, 0], [3.0, 0, 0]], "STEP"),
    ]
    got = vrma.read(animation(glb, tracks).save(tmp_path / "it.vrma")).morphs
    assert set(got) == {"happy", "sleepy"}
    assert got["happy"][[0, 15, 30]] == pytest.approx([0, 0.5, 1])
    assert got["sleepy"][[0, 30]] == pytest.approx([0, 1])


def test_animation_of_a_character_file(tmp_path):
    for version, facing in (("", 1), ("0.x", -1)):
        glb = gltf_files.figure(version)
        names = [n["name"] for n in glb.json["nodes"]]
        head = names.index("head")
        turn = quaternion((1, 0, 0), facing * 40)
        path = animation(glb, [(head, "rotation", [0, 1], [[0, 0, 0, 1.0], turn], "LINEAR")]).save(
            tmp_path / "it.glb"
        )
        got = vrma.read(path)
        # A nod forwards, whichever way the file faces.
        np.testing.assert_allclose(got.rotations["head"][30], quaternion((1, 0, 0), 40), atol=1e-6)
        assert got.rest["leftHand"][0] > 0.6


@pytest.mark.parametrize(
    ("times", "values", "kind", "words"),
    [
        ([0, 1e9], [[0, 0, 0.0]] * 2, "LINEAR", "too long"),
        ([1, 0], [[0, 0, 0.0]] * 2, "LINEAR", "ascend"),
        ([0, 1], [[0, 0, 0.0]] * 3, "LINEAR", "3 values for 2 keys"),
        ([0, 1], [[0, 0, 0.0]] * 2, "CUBICSPLINE", "2 values for 2 keys"),
        ([0, 1], [[0, 0, 0.0]] * 2, "SMOOTH", "does not know"),
        ([0, 1], [[0, 0.0]] * 2, "LINEAR", "expected VEC3"),
    ],
)
def test_bad_animations(tmp_path, times, values, kind, words):
    glb, nodes = skeleton(None)
    path = animation(glb, [(nodes["hips"], "translation", times, values, kind)]).save(tmp_path / "it.vrma")
    with pytest.raises(FormatError, match=words):
        vrma.read(path)


def test_no_animation_and_no_hips(tmp_path):
    glb, _ = skeleton(None)
    with pytest.raises(FormatError, match="holds no animation"):
        vrma.read(glb.save(tmp_path / "it.vrma"))
    del glb.json["extensions"]["VRMC_vrm_animation"]["humanoid"]["humanBones"]["hips"]
    with pytest.raises(FormatError, match="no hips"):
        vrma.read(glb.save(tmp_path / "it.vrma"))


@asset_files.parametrize("path", ".vrma")
def test_real_files(path):
    got = vrma.read(path)
    assert got.frames > 1 and len(got.hips) == got.frames
    # VRM's rest pose: a T that faces +Z on the ground.
    arm = got.rest["leftHand"] - got.rest["leftUpperArm"]
    assert arm[0] > 0.95 * np.linalg.norm(arm)
    assert 0.4 < got.rest["hips"][1] < 1.6 and got.rest["leftFoot"][1] > -0.01
    for turns in got.rotations.values():
        assert turns.shape == (got.frames, 4)
        np.testing.assert_allclose(np.linalg.norm(turns, axis=1), 1, atol=1e-9)
        # From one frame to the next nothing jumps.
        assert np.abs((turns[1:] * turns[:-1]).sum(1)).min() > 0.9
    heights = got.positions()["head"][:, 1]
    assert (heights > got.rest["hips"][1] * 0.5).all()
