"""Characters from MMD files: space, roles, helper bones, materials, textures, reports."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from anime_pt.avatars import anatomy, camera, poses, rasterise, rig
from anime_pt.avatars.character import PARTS, REQUIRED_ROLES, Material
from anime_pt.avatars.formats import mmd, mmd_humanoid
from anime_pt.avatars.formats.binary import FormatError
from tests.avatars import asset_files, mmd_files
from tests.avatars.tiny_character import build_tiny

WRITERS = {
    "pmd": lambda: mmd_files.pmd_bytes("BODY.bmp"),
    "pmx": lambda: mmd_files.pmx_bytes(),
    "pmx21": lambda: mmd_files.pmx_bytes(version=2.1, utf8=True, bone_size=2, extra_uvs=1, wide=True),
}


def load(folder, kind: str):
    path = folder / f"box.{kind[:3]}"
    path.write_bytes(WRITERS[kind]())
    return mmd.load(path)


@pytest.mark.parametrize("kind", WRITERS)
def test_space(tmp_path, kind):
    c = load(tmp_path, kind)
    assert c.name == "box" and set(REQUIRED_ROLES) <= set(c.humanoid)
    place = lambda role: c.rest[c.humanoid[role], :3, 3]
    assert place("leftUpperArm")[0] == pytest.approx(1.5 * 0.08)
    assert place("head")[1] - place("leftFoot")[1] == pytest.approx((17.8 - 1) * 0.08)
    # 左腕 is the shoulder joint; 左肩 is only the clavicle.
    assert c.bone_names[c.humanoid["leftUpperArm"]] == "左腕"
    assert c.bone_names[c.humanoid["leftShoulder"]] == "左肩"
    assert c.bone_names[c.humanoid["chest"]] == "上半身２"
    assert c.positions[:, 1].min() == pytest.approx(0.0, abs=1e-6)
    # Triangles are counter-clockwise from outside: geometric normals agree with the vertices'.
    a, b, d = (c.positions[c.triangles[:, i]] for i in range(3))
    assert ((np.cross(b - a, d - a) * c.normals[c.triangles].mean(1)).sum(1) > 0).all()
    np.testing.assert_allclose(c.weights.sum(1), 1.0, atol=1e-6)
    assert (c.weights >= 0).all() and c.joints.min() >= 0 and c.joints.max() < len(c.bone_names)
    assert set(c.landmarks) == {"nose", "left_eye", "right_eye", "left_ear", "right_ear", "head_top"}


@pytest.mark.parametrize("kind", WRITERS)
def test_vertices_on_helper_bones_follow_the_leg(tmp_path, kind):
    c = load(tmp_path, kind)
    d = c.bone_names.index("左ひざD")
    pose = poses.sample(np.random.default_rng(4))
    globals_ = rig.pose(c, pose)
    np.testing.assert_allclose(globals_[d], globals_[c.humanoid["leftLowerLeg"]], atol=1e-6)
    moved = rig.skin(c, globals_)[(c.joints[:, 0] == d) & (c.weights[:, 0] > 0.99)]
    knee = globals_[c.humanoid["leftLowerLeg"], :3, 3]
    assert len(moved) and np.linalg.norm(moved - knee, axis=1).max() < 0.5 * np.sqrt(3) * 0.08 + 1e-3


def test_materials_of_a_pmd(tmp_path):
    texture = np.zeros((4, 4, 3), np.uint8)
    texture[..., 0] = 200
    Image.fromarray(texture).save(tmp_path / "body.BMP")
    c = load(tmp_path, "pmd")
    opaque, glass = c.materials
    np.testing.assert_allclose(opaque.color, (0.5, 0.34, 0.18, 1.0), atol=1e-6)  # 0.6 diffuse + ambient.
    assert opaque.texture.shape == (4, 4, 4) and opaque.texture[0, 0].tolist() == [200, 0, 0, 255]
    assert (opaque.alpha_mode, opaque.outline, opaque.double_sided) == ("opaque", 1.0, False)
    assert (glass.alpha_mode, glass.outline, glass.double_sided) == ("blend", 0.0, True)
    # toon01: light above, grey below; ours, as none lies beside the model.
    assert opaque.ramp[0].tolist() == [255] * 3 and opaque.ramp[31].max() < 230
    assert c.report == [] or all("eye" in line or "nose" in line for line in c.report)


def test_local_toon_wins(tmp_path):
    Image.fromarray(np.full((32, 32, 3), 77, np.uint8)).save(tmp_path / "TOON01.bmp")
    assert (load(tmp_path, "pmd").materials[0].ramp == 77).all()


def test_textures_are_found_whatever_the_spelling(tmp_path):
    (tmp_path / "TEX").mkdir()
    Image.fromarray(np.full((2, 2, 3), 9, np.uint8)).save(tmp_path / "TEX" / "ｂｏｄｙ.png")
    c = load(tmp_path, "pmx")
    assert c.materials[0].texture[0, 0].tolist() == [9, 9, 9, 255]
    assert [line for line in c.report if "texture" in line] == ["texture 'missing.spa' is missing"]
    assert c.materials[1].sphere is None
    np.testing.assert_allclose(c.materials[0].outline_color, (0.2, 0.1, 0.1, 1.0), atol=1e-6)
    assert c.materials[0].double_sided and c.materials[0].outline == pytest.approx(0.8)
    assert c.materials[1].outline == 0.0
    assert [m.part for m in c.materials] == ["skin", "skin"]


def test_damaged_texture_is_reported(tmp_path):
    (tmp_path / "tex").mkdir()
    (tmp_path / "tex" / "body.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(30))
    c = load(tmp_path, "pmx")
    assert c.materials[0].texture is None and any("cannot be decoded" in line for line in c.report)


@pytest.mark.parametrize(
    "alpha,mode",
    [
        ([[255, 255], [255, 255]], "opaque"),
        ([[0, 0], [0, 0]], "opaque"),  # An unused channel, not an invisible material.
        ([[255, 0], [0, 255]], "mask"),
        ([[128, 128], [255, 255]], "blend"),
    ],
)
def test_alpha_modes(alpha, mode):
    texture = np.full((2, 2, 4), 255, np.uint8)
    texture[..., 3] = alpha
    material = Material("m", texture=texture)
    uvs = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    mmd._set_alpha(material, uvs, np.array([[0, 1, 2], [0, 2, 3]]))
    assert material.alpha_mode == mode


def test_names_are_compared_in_nfkc():
    names = ["ｾﾝﾀｰ", "上半身2", "左ひざ", "LEG_R", "左足先ＥＸ"]
    found = mmd_humanoid.roles(names)
    assert found == {"hips": 0, "chest": 1, "leftLowerLeg": 2, "rightUpperLeg": 3, "leftToes": 4}


def test_english_names_of_fingers_and_twists():
    names = ["arm_L", "arm twist_L", "elbow_L", "wrist twist_L", "wrist_L", "fore1_L", "third2_R", "thumb0_L"]
    found = mmd_humanoid.roles(names)
    fingers = {"leftIndexProximal": 5, "rightRingIntermediate": 6, "leftThumbMetacarpal": 7}
    assert fingers.items() <= found.items()
    parents = np.arange(len(names)) - 1
    assert mmd_humanoid.twists(names, parents, found) == {"leftLowerArm": 1, "leftHand": 3}


def test_twist_bones_lie_on_the_way():
    names = ["左腕", "左腕捩", "左ひじ", "左手捩", "左手首", "右腕", "右腕捩", "右ひじ", "右手首"]
    parents = np.array([-1, 0, 1, 2, 3, -1, 5, 5, 7])
    humanoid = mmd_humanoid.roles(names)
    assert mmd_humanoid.twists(names, parents, humanoid) == {"leftLowerArm": 1, "leftHand": 3}


def test_long_loose_hair_hangs():
    """Strands that physics moves and that reach far down hang; a fringe and other bones do not."""
    c = build_tiny()
    n, head = len(c.parents), c.humanoid["head"]
    places = [(0.1, 1.6, -0.1), (0.1, 1.4, -0.1), (0.1, 1.1, -0.1), (0.0, 1.6, 0.1), (0.0, 1.55, 0.1)]
    rest = np.tile(np.eye(4), (5, 1, 1))
    rest[:, :3, 3] = places
    hair = dataclasses.replace(
        c,
        parents=np.append(c.parents, [head, n, n + 1, head, n + 3]).astype(np.int32),
        rest=np.concatenate([c.rest, rest]),
        bone_names=[*c.bone_names, *"abcde"],
        derived={},
    )
    assert set(anatomy.hanging(hair, np.arange(n, n + 5))) == {n, n + 1, n + 2}
    assert anatomy.hanging(hair, np.array([c.humanoid["leftHand"], n + 99])) == {}


def test_no_humanoid(tmp_path):
    data = mmd_files.pmx_bytes().replace("頭".encode("utf-16-le"), "尾".encode("utf-16-le"))
    (tmp_path / "a.pmx").write_bytes(data)
    with pytest.raises(FormatError, match=r"a\.pmx: not a humanoid, there are no bones for head"):
        mmd.load(tmp_path / "a.pmx")
    with pytest.raises(FormatError, match=r"expected a \.pmd or \.pmx"):
        mmd.load(tmp_path / "a.obj")
    with pytest.raises(FileNotFoundError):
        mmd.load(tmp_path / "b.pmd")


@pytest.mark.parametrize("kind", WRITERS)
def test_flipped_bits_load_or_fail_clearly(tmp_path, kind):
    data = WRITERS[kind]()
    rng = np.random.default_rng(1)
    path = tmp_path / f"a.{kind[:3]}"
    for _ in range(25):
        flipped = bytearray(data)
        flipped[rng.integers(len(data))] ^= 1 << rng.integers(8)
        path.write_bytes(bytes(flipped))
        try:
            c = mmd.load(path)
        except FormatError:
            continue
        globals_ = rig.pose(c, poses.standing())
        rasterise.Renderer(32).render(c, globals_, camera.fit(c, globals_, 32))


@asset_files.parametrize("path", ".pmd", ".pmx")
def test_real_models(path):
    """Whatever model is there: loads, poses, and fills a good part of its picture, right side up."""
    try:
        c = mmd.load(path)
    except FormatError as e:
        pytest.skip(str(e))
    if not len(c.triangles):
        pytest.skip("a skeleton without a mesh")
    assert all(m.part in PARTS for m in c.materials)
    globals_ = rig.pose(c, poses.standing())
    view = camera.fit(c, globals_, 256)
    frame = rasterise.Renderer(256).render(c, globals_, view)
    shown = frame.image[..., 3] > 128
    assert 0.02 < shown.mean() < 0.9
    # Not a figure drowned in outlines: those would mean triangles turned inside out.
    ink = (np.abs(frame.image[..., :3].astype(int) - [31, 20, 26]).max(-1) < 4) & shown
    assert ink.sum() < 0.8 * shown.sum()
    eyes = [view.project(c.landmarks[s + "_eye"][1])[0] for s in ("left", "right")]
    assert eyes[0] > eyes[1]  # It faces the viewer: its own left is on the right of the picture.
    nose, top = c.landmarks["nose"][1], c.landmarks["head_top"][1]
    head = c.rest[c.humanoid["head"], :3, 3]
    assert nose[2] > head[2] and top[1] > nose[1]
