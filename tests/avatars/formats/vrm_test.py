import dataclasses
import json
import struct
import time

import numpy as np
import pytest

from anime_pt.avatars import camera, morphs, poses, rasterise, rig
from anime_pt.avatars.character import PARTS, REQUIRED_ROLES
from anime_pt.avatars.formats import vrm, vrm_materials
from anime_pt.avatars.formats.binary import FormatError
from tests.avatars import asset_files, gltf_files
from tests.avatars.gltf_files import BONES, Glb, figure


def load(glb: Glb, tmp_path, name: str = "file.vrm"):
    return vrm.load(glb.save(tmp_path / name))


def expected_points() -> np.ndarray:
    """Vertices of `gltf_files.figure` in character space, standing on the floor."""
    points = gltf_files.body()[0]
    return points - [0, points[:, 1].min(), 0]


@pytest.mark.parametrize("version", ["0.x", "1.0", ""])
@pytest.mark.parametrize("axes", [None, 5])
def test_space_and_roles(tmp_path, version, axes):
    rng = None if axes is None else np.random.default_rng(axes)
    c = load(figure(version, rng), tmp_path, "file.glb")
    np.testing.assert_allclose(c.positions, expected_points(), atol=1e-5)
    assert set(c.humanoid) == set(BONES) and c.kind == ("vrm" if version else "gltf")
    sink = gltf_files.body()[0][:, 1].min()
    for role, (_, place) in BONES.items():
        np.testing.assert_allclose(
            c.rest[c.humanoid[role], :3, 3], np.subtract(place, [0, sink, 0]), atol=1e-6
        )
    # Boxes seen from outside: the normals that were made up point away from their middle.
    middle = c.positions.reshape(-1, 8, 3).mean(1, keepdims=True)
    outward = ((c.positions.reshape(-1, 8, 3) - middle) * c.normals.reshape(-1, 8, 3)).sum(-1)
    assert (outward > 0).all()
    np.testing.assert_allclose(rig.skin(c, rig.pose(c, None)), c.positions, atol=1e-5)
    assert c.weights.sum(1) == pytest.approx(1)


@pytest.mark.parametrize("version", ["0.x", "1.0"])
def test_bones_turn_alike_whatever_their_axes(tmp_path, version):
    plain = load(figure(version), tmp_path)
    turned = load(figure(version, np.random.default_rng(1)), tmp_path)
    for seed in range(4):
        pose = poses.sample(np.random.default_rng(seed))
        a, b = (rig.skin(c, rig.pose(c, pose)) for c in (plain, turned))
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_bind_pose_and_scaled_root(tmp_path):
    bind = np.eye(4)
    bind[:3, :3] = 0.5 * gltf_files.matrix(gltf_files.quaternion((1, 2, 3), 70))
    bind[:3, 3] = (3, -2, 1)
    c = load(figure("1.0", np.random.default_rng(2), bind, scale=0.01), tmp_path)
    np.testing.assert_allclose(c.positions, expected_points(), atol=1e-4)
    np.testing.assert_allclose(np.linalg.det(c.rest[:, :3, :3]), 1, atol=1e-9)
    blink = next(m for m in load(figure(""), tmp_path).morphs if m.name == "Blink")
    np.testing.assert_allclose(blink.offsets, np.tile([0, -0.02, 0], (4, 1)), atol=1e-6)


def test_plain_gltf_is_turned_to_the_front_and_scaled(tmp_path):
    for degrees in (90, 180, 270):
        glb = figure("")
        root = glb.json["nodes"][0]
        root["rotation"] = gltf_files.quaternion((0, 1, 0), degrees)
        root["scale"] = [100.0] * 3
        c = load(glb, tmp_path, "file.glb")
        ratio = 0.85 / np.linalg.norm(
            c.rest[c.humanoid["leftUpperLeg"], :3, 3] - c.rest[c.humanoid["leftFoot"], :3, 3]
        )
        assert ratio == pytest.approx(1, abs=0.01)
        left, right = (c.rest[c.humanoid[s + "Hand"], :3, 3] for s in ("left", "right"))
        assert left[0] > 0 > right[0] and abs(left[2]) < 1e-6
        assert c.rest[c.humanoid["leftFoot"], 2, 3] > c.rest[c.humanoid["leftLowerLeg"], 2, 3]


def test_eight_weights_become_the_heaviest_four(tmp_path):
    glb = figure("1.0")
    (primitive,) = glb.json["meshes"][0]["primitives"]
    count = glb.json["accessors"][primitive["attributes"]["POSITION"]]["count"]
    joints = np.tile([0, 1, 2, 3], (count, 1))
    primitive["attributes"]["JOINTS_0"] = glb.accessor(joints, "u2")
    primitive["attributes"]["WEIGHTS_0"] = glb.accessor(np.tile([0.05, 0.1, 0.2, 0.05], (count, 1)))
    primitive["attributes"]["JOINTS_1"] = glb.accessor(joints + 4, "u2")
    primitive["attributes"]["WEIGHTS_1"] = glb.accessor(
        np.tile([102, 51, 0, 0], (count, 1)), "u1", normalized=True
    )
    c = load(glb, tmp_path)
    names = [c.bone_names[j] for j in c.joints[0]]
    assert set(names[:3]) == {"head", "chest", "leftUpperArm"} and names[0] == "head"
    np.testing.assert_allclose(np.sort(c.weights[0]), [1 / 9, 2 / 9, 2 / 9, 4 / 9], rtol=1e-5)


def test_meshes_without_skin_ride_on_their_node(tmp_path):
    glb = figure("1.0", np.random.default_rng(3))
    points, triangles = gltf_files.box((0, 0, 0), (0.1, 0.1, 0.1))
    attributes = {"POSITION": glb.accessor(points)}
    glb.add(
        "meshes",
        {"primitives": [{"attributes": attributes, "indices": glb.accessor(triangles.ravel(), "u1")}]},
    )
    hat = glb.add("nodes", {"name": "hat", "mesh": 1, "translation": [0.0, 0.3, 0.0]})
    head = glb.json["extensions"]["VRMC_vrm"]["humanoid"]["humanBones"]["head"]["node"]
    glb.json["nodes"][head]["children"].append(hat)
    c = load(glb, tmp_path)
    assert len(c.materials) == 2 and c.materials[1].name == "default"
    pose = poses.sample(np.random.default_rng(0))
    globals_ = rig.pose(c, pose)
    change = globals_[c.humanoid["head"]] @ np.linalg.inv(c.rest[c.humanoid["head"]])
    rest, moved = c.positions[-8:], rig.skin(c, globals_)[-8:]
    np.testing.assert_allclose(moved, rest @ change[:3, :3].T + change[:3, 3], atol=1e-5)


def test_not_characters(tmp_path):
    empty = Glb()
    empty.add("nodes", {})
    with pytest.raises(FormatError, match="no mesh"):
        load(empty, tmp_path)
    headless = figure("1.0")
    del headless.json["extensions"]["VRMC_vrm"]["humanoid"]["humanBones"]["head"]
    with pytest.raises(FormatError, match="no bones for head"):
        load(headless, tmp_path)
    nameless = figure("")
    for i, node in enumerate(nameless.json["nodes"]):
        node["name"] = f"thing {i}"
    with pytest.raises(FormatError, match="not a humanoid, there are no bones for hips, spine"):
        load(nameless, tmp_path)


def test_a_missing_neck_is_the_head(tmp_path):
    glb = figure("1.0")
    del glb.json["extensions"]["VRMC_vrm"]["humanoid"]["humanBones"]["neck"]
    c = load(glb, tmp_path)
    assert c.humanoid["neck"] == c.humanoid["head"]


def test_mtoon_1(tmp_path):
    glb = figure("1.0")
    color, shade = (glb.texture(np.full((2, 2, 3), v)) for v in (200, 90))
    matcap = glb.texture(np.full((2, 2, 3), 100))
    glb.json["materials"][0] = {
        "name": "Body",
        "alphaMode": "BLEND",
        "doubleSided": True,
        "pbrMetallicRoughness": {
            "baseColorFactor": [0.5, 0.25, 1, 0.75],
            "baseColorTexture": {"index": color},
        },
        "extensions": {
            "VRMC_materials_mtoon": {
                "specVersion": "1.0",
                "transparentWithZWrite": True,
                "renderQueueOffsetNumber": 3,
                "shadeColorFactor": [0.2, 0.0, 1.0],
                "shadeMultiplyTexture": {"index": shade},
                "shadingToonyFactor": 0.7,
                "shadingShiftFactor": -0.2,
                "parametricRimColorFactor": [1, 0.5, 0],
                "parametricRimFresnelPowerFactor": 4,
                "parametricRimLiftFactor": 0.1,
                "matcapTexture": {"index": matcap},
                "matcapFactor": [1, 0.5, 0],
                "outlineWidthMode": "worldCoordinates",
                "outlineWidthFactor": 0.004,
                "outlineColorFactor": [0.5, 0.5, 0.5],
                "outlineLightingMixFactor": 0.6,
            }
        },
    }
    m = load(glb, tmp_path).materials[0]
    # 0.735357 and 0.537099 are sRGB's encodings of 0.5 and 0.25, 0.484529 that of 0.2.
    assert m.color == pytest.approx((0.735357, 0.537099, 1, 0.75), abs=1e-5)
    assert m.shade_color == pytest.approx((0.484529, 0, 1), abs=1e-5)
    assert (m.texture[..., 0].max(), m.shade_texture[..., 0].max()) == (200, 90)
    assert (m.shading, m.toony, m.shift) == ("mtoon", 0.7, -0.2)
    assert m.rim_color == pytest.approx((1, 0.735357, 0), abs=1e-5) and (m.rim_power, m.rim_lift) == (4, 0.1)
    assert m.sphere_mode == "add" and m.sphere[0, 0].tolist() == [100, 74, 0, 255]
    assert (m.outline, m.outline_unit) == (0.004, "metres") and m.outline_color[0] == pytest.approx(0.735357)
    assert m.outline_mix == 0.6
    assert (m.alpha_mode, m.depth_write, m.render_queue, m.double_sided) == ("blend", True, 2504, True)


@pytest.mark.parametrize(
    "name,part",
    [
        ("N00_000_00_FaceEyeline_00_FACE (Instance)", "face"),
        ("N00_000_Hair_00_HAIR_01 (Instance)", "hair"),
        ("N00_000_00_Body_00_SKIN (Instance)", "skin"),
        ("N00_007_01_Tops_01_CLOTH (Instance)", "top"),
        ("N00_010_01_Onepiece_00_CLOTH (Instance)", "top"),
        ("N00_001_01_Bottoms_01_CLOTH (Instance)", "bottom"),
        ("N00_008_01_Shoes_01_CLOTH (Instance)", "shoes"),
    ],
)
def test_parts_by_the_names_that_vroid_gives(tmp_path, name, part):
    glb = figure("0.x")
    glb.json["materials"][0]["name"] = name
    assert load(glb, tmp_path).materials[0].part == part


def test_mtoon_1_shade_without_texture_is_plain(tmp_path):
    glb = figure("1.0")
    info = {"index": glb.texture(np.full((2, 2, 3), 9))}
    glb.json["materials"][0] = {
        "pbrMetallicRoughness": {"baseColorTexture": info},
        "extensions": {
            "VRMC_materials_mtoon": {"outlineWidthMode": "screenCoordinates", "outlineWidthFactor": 0.01}
        },
    }
    m = load(glb, tmp_path).materials[0]
    assert m.shade_texture.tolist() == [[[255, 255, 255, 255]]] and m.shade_color == (0, 0, 0)
    # A hundredth of the height of a picture of 512 pixels.
    assert (m.outline, m.outline_unit, m.outline_mix) == (pytest.approx(5.12), "screen", 1)


def test_mtoon_0(tmp_path):
    glb = figure("0.x")
    texture = glb.texture(np.full((2, 2, 3), 60))
    floats = {"_ShadeToony": 0.9, "_ShadeShift": 0.0, "_BlendMode": 2, "_CullMode": 0}
    floats |= {"_OutlineWidthMode": 2, "_OutlineWidth": 0.4, "_RimFresnelPower": 3, "_RimLift": 0.2}
    vectors = {
        "_Color": [0.5, 0.25, 1, 0.75],
        "_ShadeColor": [0.1, 0.2, 0.3, 1],
        "_EmissionColor": [0.5, 0, 0, 1],
    }
    vectors |= {
        "_RimColor": [0, 0.1, 0.2, 1],
        "_OutlineColor": [0.3, 0.2, 0.1, 1],
        "_MainTex": [0.1, 0.2, 0.5, 0.4],
    }
    glb.json["extensions"]["VRM"]["materialProperties"] = [
        {
            "name": "Body",
            "shader": "VRM/MToon",
            "renderQueue": 3007,
            "floatProperties": floats,
            "vectorProperties": vectors,
            "textureProperties": {"_MainTex": texture, "_SphereAdd": texture},
        }
    ]
    c = load(glb, tmp_path)
    m = c.materials[0]
    assert m.color == (0.5, 0.25, 1, 0.75) and m.shade_color == (0.1, 0.2, 0.3)
    # UniVRM's own test of its migration: the defaults of 0.x become 0.95 and -0.05.
    assert (m.toony, m.shift) == (pytest.approx(0.95), pytest.approx(-0.05))
    assert m.emission[0] == pytest.approx(0.735357, abs=1e-5)
    assert (m.rim_color, m.rim_power, m.rim_lift) == ((0, 0.1, 0.2), 3, 0.2)
    assert (m.outline, m.outline_unit) == (pytest.approx(0.4 / 200 * 512), "screen")
    assert m.outline_color == (0.3, 0.2, 0.1, 1)
    assert (m.alpha_mode, m.depth_write, m.render_queue, m.double_sided) == ("blend", False, 3007, True)
    assert m.texture[0, 0, 0] == 60 and m.sphere_mode == "add" and m.outline_mix == 0
    # The shader's default is white, not the base texture.
    assert m.shade_texture.tolist() == [[[255, 255, 255, 255]]]
    # Unity's V counts from below: 0.4 high from 0.2 is what lies from 0.4 to 0.8 from above.
    raw = np.stack([0.5 - c.positions[:, 0], gltf_files.body()[0][:, 1] / 2], 1)
    np.testing.assert_allclose(c.uvs, raw * [0.5, 0.4] + [0.1, 0.4], atol=1e-5)
    floats.update(_OutlineWidthMode=1, _BlendMode=3, _ShadeToony=0.0)
    floats.update(_OutlineColorMode=1, _OutlineLightingMix=0.25)
    m = load(glb, tmp_path).materials[0]
    assert m.outline_mix == 0.25
    assert (m.outline, m.outline_unit) == (pytest.approx(0.004), "metres")
    assert (m.alpha_mode, m.depth_write) == ("blend", True)
    assert (m.toony, m.shift) == (pytest.approx(0.5), pytest.approx(-0.5))


def test_unlit_and_plain_materials(tmp_path):
    glb = figure("1.0")
    glb.json["materials"][0]["extensions"] = {"KHR_materials_unlit": {}}
    assert load(glb, tmp_path).materials[0].shading == "unlit"
    glb.json["materials"][0] = {"alphaMode": "MASK", "alphaCutoff": 0.25, "emissiveFactor": [1, 0, 0]}
    m = load(glb, tmp_path).materials[0]
    assert (m.shading, m.alpha_mode, m.alpha_cutoff, m.emission) == ("toon", "mask", 0.25, (1, 0, 0))
    assert m.ramp[0, 0] == 255 and 128 < m.ramp[31, 0] < 200


def test_texture_transform(tmp_path):
    matrix = vrm_materials.transform_matrix((0.5, 0.25), (2.0, 3.0), np.pi / 2)
    # The extension's own formula: offset times rotation times scale.
    np.testing.assert_allclose(matrix @ [1, 0, 1], [0.5, -1.75], atol=1e-12)
    np.testing.assert_allclose(matrix @ [0, 1, 1], [3.5, 0.25], atol=1e-12)
    glb = figure("1.0")
    transform = {"offset": [0.5, 0.25], "scale": [2.0, 3.0], "rotation": np.pi / 2}
    info = {"index": glb.texture(np.zeros((1, 1, 3))), "extensions": {"KHR_texture_transform": transform}}
    before = load(glb, tmp_path).uvs
    glb.json["materials"][0]["pbrMetallicRoughness"] = {"baseColorTexture": info}
    np.testing.assert_allclose(load(glb, tmp_path).uvs, before @ matrix[:, :2].T + matrix[:, 2], atol=1e-5)


def test_expressions_of_vrm_1(tmp_path):
    glb = figure("1.0")
    body = len(glb.json["nodes"]) - 1
    bind = lambda index, weight: {"node": body, "index": index, "weight": weight}
    glb.json["extensions"]["VRMC_vrm"]["expressions"] = {
        "preset": {
            "happy": {
                "morphTargetBinds": [bind(0, 0.5), bind(1, 1.0)],
                "materialColorBinds": [
                    {"material": 0, "type": "color", "targetValue": [0.5, 0, 0, 0.5]},
                    {"material": 0, "type": "shadeColor", "targetValue": [0, 0.5, 0, 0]},
                ],
                "textureTransformBinds": [{"material": 0, "offset": [0.25, 0.5]}],
                "isBinary": True,
                "overrideBlink": "block",
                "overrideMouth": "none",
            },
            "blink": {"morphTargetBinds": [bind(0, 1.0)]},
        },
        "custom": {"sleepy": {}},
    }
    c = load(glb, tmp_path)
    happy, blink, sleepy = c.morphs
    assert (happy.name, blink.name, sleepy.name) == ("happy", "blink", "sleepy")
    assert happy.binary and happy.overrides == {"blink": "block"} and not blink.binary
    np.testing.assert_allclose(happy.offsets, np.tile([0.01, -0.01, 0.03], (4, 1)), atol=1e-6)
    np.testing.assert_allclose(blink.offsets, np.tile([0, -0.02, 0], (4, 1)), atol=1e-6)
    front = c.positions[happy.vertices]
    assert (front[:, 2] > 0.09).all() and (front[:, 1] > 1.3).all()
    (change,) = happy.materials
    assert change.material == 0
    assert change.targets["color"] == pytest.approx((0.735357, 0, 0, 0.5), abs=1e-5)
    assert change.targets["shade_color"] == pytest.approx((0, 0.735357, 0), abs=1e-5)
    np.testing.assert_allclose(happy.uv_offsets, np.tile([0.25, 0.5], (len(c.positions), 1)), atol=1e-6)
    assert not len(sleepy.vertices) and not len(sleepy.uv_vertices)


@pytest.mark.parametrize("happy_binary", [False, True])
@pytest.mark.parametrize("blink_binary", [False, True])
def test_overrides_of_binary_expressions(tmp_path, happy_binary, blink_binary):
    glb = figure("1.0")
    glb.json["extensions"]["VRMC_vrm"]["expressions"] = {
        "preset": {
            "happy": {"isBinary": happy_binary, "overrideBlink": "blend"},
            "blink": {"isBinary": blink_binary, "overrideBlink": "block"},
        }
    }
    c = load(glb, tmp_path)
    for happy, blink in ((0.0, 0.8), (0.3, 0.8), (0.7, 0.8), (1.0, 1.0)):
        got = morphs.resolve(c, {"happy": happy, "blink": blink})
        wanted_happy = float(happy > 0.5) if happy_binary else happy
        wanted_blink = float(blink > 0.5) if blink_binary else blink
        # A binary expression is switched off by the least effect; an expression does not override itself.
        wanted_blink *= float(wanted_happy == 0) if blink_binary else 1 - wanted_happy
        assert got.get(0, 0) == pytest.approx(wanted_happy)
        assert got.get(1, 0) == pytest.approx(wanted_blink)


def test_blend_shapes_of_vrm_0(tmp_path):
    glb = figure("0.x")
    glb.json["extensions"]["VRM"]["blendShapeMaster"] = {
        "blendShapeGroups": [
            {"name": "Joy", "presetName": "joy", "binds": [{"mesh": 0, "index": 1, "weight": 50}]},
            {
                "name": "Red",
                "presetName": "unknown",
                "isBinary": True,
                "materialValues": [
                    {"materialName": "Body", "propertyName": "_Color", "targetValue": [1, 0.5, 0, 1]},
                    {"materialName": "Body", "propertyName": "_MainTex_ST", "targetValue": [1, 1, 0.25, 0.5]},
                ],
            },
        ]
    }
    c = load(glb, tmp_path)
    happy, red = c.morphs
    assert (happy.name, red.name, red.binary) == ("happy", "Red", True)
    np.testing.assert_allclose(happy.offsets, np.tile([0.005, 0, 0.015], (4, 1)), atol=1e-6)
    assert red.materials[0].targets["color"] == (1, 0.5, 0, 1)
    np.testing.assert_allclose(red.uv_offsets, np.tile([0.25, -0.5], (len(c.positions), 1)), atol=1e-6)


def test_primitives_that_share_vertices(tmp_path):
    glb = figure("1.0")
    (primitive,) = glb.json["meshes"][0]["primitives"]
    glb.add("materials", {"name": "Moved", "pbrMetallicRoughness": {}})
    glb.json["meshes"][0]["primitives"].append({**primitive, "material": 1})
    assert len(load(glb, tmp_path).positions) == 8 * len(BONES)
    info = {"index": glb.texture(np.zeros((1, 1, 3)))}
    info["extensions"] = {"KHR_texture_transform": {"offset": [0.5, 0]}}
    glb.json["materials"][1]["pbrMetallicRoughness"]["baseColorTexture"] = info
    node = len(glb.json["nodes"]) - 1
    blink = {"morphTargetBinds": [{"node": node, "index": 0, "weight": 1}]}
    glb.json["extensions"]["VRMC_vrm"]["expressions"] = {"preset": {"blink": blink}}
    c = load(glb, tmp_path)
    half = 8 * len(BONES)
    assert len(c.positions) == 2 * half and len(c.morphs[0].vertices) == 8
    np.testing.assert_allclose(c.uvs[half:], c.uvs[:half] + np.array([0.5, 0]), atol=1e-6)
    assert c.triangles[c.triangle_materials == 1].min() >= half


def test_spring_bones(tmp_path):
    glb = figure("1.0")
    bones = glb.json["extensions"]["VRMC_vrm"]["humanoid"]["humanBones"]
    above = bones["head"]["node"]
    chain = []
    for _ in range(4):
        node = glb.add(
            "nodes", {"name": "hair", "translation": [0, -0.1, -0.06 * (not chain)], "children": []}
        )
        glb.json["nodes"][above]["children"].append(node)
        chain.append(node)
        above = node
    points, triangles = gltf_files.box((0, 1.2, -0.1), (0.02, 0.2, 0.02))
    attributes = {"POSITION": glb.accessor(points - [0, 1.32, -0.06])}
    glb.add(
        "meshes",
        {"primitives": [{"attributes": attributes, "indices": glb.accessor(triangles.ravel(), "u1")}]},
    )
    glb.json["nodes"][chain[0]]["mesh"] = 1
    capsule = {"offset": [0, 0.1, 0], "radius": 0.05, "tail": [0, -0.1, 0]}
    glb.extension(
        "VRMC_springBone",
        {
            "springs": [{"joints": [{"node": n} for n in chain]}],
            "colliders": [{"node": bones["chest"]["node"], "shape": {"capsule": capsule}}],
        },
    )
    c = load(glb, tmp_path)
    hair = [i for i, name in enumerate(c.bone_names) if name == "hair"]
    assert set(c.hang) == set(hair) and 0 < c.hang[hair[0]] < 1
    chest = c.humanoid["chest"]
    (own,) = [
        i for i, node in enumerate(c.secondary.strands.capsule_nodes) if c.secondary.bones[node] == chest
    ]
    middle = c.rest[chest, :3, 3]
    np.testing.assert_allclose(
        c.secondary.strands.capsule_ends[own], middle + np.array([[0, 0.1, 0], [0, -0.1, 0]]), atol=1e-6
    )
    np.testing.assert_allclose(c.secondary.strands.capsule_radii[own], 0.05)
    # The spring passes the collider until it names it.
    assert np.isneginf(c.secondary.strands.rooms[:, own]).all()
    springs = glb.json["extensions"]["VRMC_springBone"]
    springs["colliderGroups"], springs["springs"][0]["colliderGroups"] = [{"colliders": [0]}], [0]
    assert np.isfinite(load(glb, tmp_path).secondary.strands.rooms[:, own]).all()


def test_meshes_for_the_first_person_are_not_drawn(tmp_path):
    for version, key, value in (
        ("1.0", "VRMC_vrm", lambda glb: {"node": len(glb.json["nodes"]) - 1, "type": "firstPersonOnly"}),
        ("0.x", "VRM", lambda glb: {"mesh": 1, "firstPersonFlag": "FirstPersonOnly"}),
    ):
        glb = figure(version)
        glb.add("meshes", glb.json["meshes"][0])
        glb.add("nodes", {"mesh": 1, "skin": 0})
        assert len(load(glb, tmp_path).positions) == 16 * len(BONES)
        glb.json["extensions"][key]["firstPerson"] = {"meshAnnotations": [value(glb)]}
        assert len(load(glb, tmp_path).positions) == 8 * len(BONES)


def test_long_chains_take_no_minutes(tmp_path):
    glb = figure("1.0")
    bones = glb.json["extensions"]["VRMC_vrm"]["humanoid"]["humanBones"]
    above, chain = bones["head"]["node"], []
    for _ in range(3000):
        chain.append(glb.add("nodes", {"translation": [0, -0.001, 0], "children": []}))
        glb.json["nodes"][above]["children"].append(chain[-1])
        above = chain[-1]
    for node in chain[:1000]:
        options = {"rotation": {"source": bones["head"]["node"]}}
        glb.json["nodes"][node]["extensions"] = {"VRMC_node_constraint": {"constraint": options}}
    joints = [{"node": node} for node in chain]
    colliders = [{"node": bones["chest"]["node"], "shape": {"sphere": {"radius": 0.1}}}] * 500
    glb.extension("VRMC_springBone", {"springs": [{"joints": joints}], "colliders": colliders})
    start = time.process_time()
    c = load(glb, tmp_path)
    rig.pose(c, poses.standing())
    assert len(c.parents) == len(BONES) + 1 + 3000 and len(c.hang) == 3000
    assert time.process_time() - start < 40
    for key in ("springs", "colliders"):
        springs = glb.json["extensions"]["VRMC_springBone"]
        springs[key] = springs[key] * 600
        with pytest.raises(FormatError, match=f"{key} are .* at most"):
            load(glb, tmp_path)
        springs[key] = springs[key][:1]
    glb.json["nodes"] += [{}] * 2000
    with pytest.raises(FormatError, match="nodes are too many"):
        load(glb, tmp_path)


def raw_json(path) -> dict:
    data = path.read_bytes()
    if data[:4] != b"glTF":
        return json.loads(data)
    return json.loads(data[20 : 20 + struct.unpack("<I", data[12:16])[0]])


@asset_files.parametrize("path", ".vrm", ".glb", ".gltf")
def test_real_files(path):
    try:
        c = vrm.load(path)
    except FormatError as e:
        pytest.skip(str(e))
    root = raw_json(path)
    c.check()
    assert set(REQUIRED_ROLES) <= set(c.humanoid)
    place = lambda role: c.rest[c.humanoid[role], :3, 3]
    assert (
        place("leftUpperLeg")[0] > place("rightUpperLeg")[0] and place("leftHand")[0] > place("rightHand")[0]
    )
    assert place("head")[1] > place("hips")[1] > place("leftFoot")[1] > -0.05
    used = np.unique(c.triangles)
    np.testing.assert_allclose(c.weights[used].sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(c.normals[used], axis=1), 1, atol=1e-3)
    np.testing.assert_allclose(
        c.rest[:, :3, :3] @ c.rest[:, :3, :3].transpose(0, 2, 1),
        np.eye(3)[None].repeat(len(c.rest), 0),
        atol=1e-6,
    )
    np.testing.assert_allclose(rig.skin(c, rig.pose(c, None)), c.positions, atol=1e-4)
    drawn = [p for n in root["nodes"] if "mesh" in n for p in root["meshes"][n["mesh"]]["primitives"]]
    if "firstpersononly" not in json.dumps(root).lower() and all(p.get("mode", 4) == 4 for p in drawn):
        corners = (p["indices"] if "indices" in p else p["attributes"]["POSITION"] for p in drawn)
        assert 3 * len(c.triangles) == sum(root["accessors"][i]["count"] for i in corners)
    assert all(m.part in PARTS for m in c.materials)
    extensions = root.get("extensions", {})
    if "VRMC_vrm" in extensions:
        meta = extensions["VRMC_vrm"]["meta"]
        assert c.terms.author == ", ".join(meta["authors"]) and c.terms.license
        assert bool(c.terms.forbids) != (
            meta.get("avatarPermission") in ("everyone", "onlySeparatelyLicensedPerson")
            and bool(meta.get("allowRedistribution"))
        )
    elif "VRM" in extensions:
        meta = extensions["VRM"]["meta"]
        assert c.terms.author == meta.get("author", "")
        assert bool(c.terms.forbids) == (
            meta.get("licenseName") == "Redistribution_Prohibited"
            or meta.get("allowedUserName") == "OnlyAuthor"
        )
        nose = c.landmarks["nose"][1]
        assert nose[2] > place("head")[2]
    globals_ = rig.pose(c, poses.sample(np.random.default_rng(0)))
    frame = rasterise.Renderer(96).render(c, globals_, camera.fit(c, globals_, 96))
    assert (frame.image[..., 3] > 0).sum() > 96


@asset_files.parametrize("path", ".vrm")
def test_real_blinks_close_eyes_from_the_front(path):
    try:
        c = vrm.load(path)
    except FormatError as e:
        pytest.skip(str(e))
    blink = next((m for m in c.morphs if m.name == "blink" and len(m.vertices)), None)
    if blink is None:
        pytest.skip(f"{path.name} has no blink")
    eyes = c.positions[blink.vertices]
    head = c.rest[c.humanoid["head"], :3, 3]
    # Lids are on the front of the head, on both sides, and come down.
    assert (eyes[:, 2] > head[2]).mean() > 0.9
    assert eyes[:, 0].min() < head[0] < eyes[:, 0].max()
    assert blink.offsets[:, 1].min() < -0.002
    open_, closed = (
        dataclasses.replace(c, positions=p, derived={}) for p in (c.positions, c.positions.copy())
    )
    closed.positions[blink.vertices] += blink.offsets
    globals_ = rig.pose(c, None)
    view = camera.fit(c, globals_, 256)
    before, after = (rasterise.Renderer(256).render(x, globals_, view).image for x in (open_, closed))
    y, x = np.nonzero((before != after).any(-1))
    spots = view.project(np.array([c.landmarks[s + "_eye"][1] for s in ("left", "right")]))
    assert len(y) > 20 and x.min() < spots[0, 0] < x.max() and x.min() < spots[1, 0] < x.max()
    assert y.min() - 2 < spots[:, 1].mean() < y.max() + 2
