import pytest

from anime_pt.avatars.formats import vrm
from anime_pt.avatars.formats.binary import FormatError
from tests.avatars import gltf_files
from tests.avatars.gltf_files import BONES

# Custom -> prefix, and names of `BONES` with L for the side, which is spelled as in the last entry.
CUSTOMS = {
    "mixamo": (
        "mixamorig:",
        "Hips Spine Spine1 Neck Head LArm LForeArm LHand LUpLeg LLeg LFoot",
        ("Left", "Right"),
    ),
    "vroid": (
        "J_Bip_",
        "C_Hips C_Spine C_Chest C_Neck C_Head L_UpperArm L_LowerArm L_Hand L_UpperLeg L_LowerLeg L_Foot",
        ("L", "R"),
    ),
    "rigify": (
        "DEF-",
        "spine spine.001 spine.002 spine.004 spine.006 upper_arm.L forearm.L hand.L thigh.L shin.L foot.L",
        ("L", "R"),
    ),
    "unreal": (
        "",
        "pelvis spine_01 spine_02 neck_01 head upperarm_L lowerarm_L hand_L thigh_L calf_L foot_L",
        ("l", "r"),
    ),
    "max": (
        "Bip01_",
        "Pelvis Spine Spine1 Neck Head L_UpperArm L_Forearm L_Hand L_Thigh L_Calf L_Foot",
        ("L", "R"),
    ),
    "unity": (
        "",
        "Hips Spine Chest Neck Head LUpperArm LLowerArm LHand LUpperLeg LLowerLeg LFoot",
        ("Left", "Right"),
    ),
    "spoken": (
        "",
        "Hips Spine Chest Neck Head L_arm L_elbow L_wrist L_leg L_knee L_ankle",
        ("Left", "Right"),
    ),
    "numbered": (
        "",
        "torso_joint_1 torso_joint_2 torso_joint_3 neck_joint_1 neck_joint_2 "
        "arm_joint_L_1 arm_joint_L_2 arm_joint_L_3 leg_joint_L_1 leg_joint_L_2 leg_joint_L_3",
        ("L", "R"),
    ),
    "mmd": ("", "下半身 上半身 上半身2 首 頭 L腕 Lひじ L手首 L足 Lひざ L足首", ("左", "右")),
}
ORDER = (
    *("hips", "spine", "chest", "neck", "head", "UpperArm", "LowerArm", "Hand"),
    *("UpperLeg", "LowerLeg", "Foot"),
)


def named(custom: str) -> dict[str, str]:
    """Role -> name."""
    prefix, names, sides = CUSTOMS[custom]
    out = {}
    for part, name in zip(ORDER, names.split(), strict=True):
        if part in BONES:
            out[part] = prefix + name
            continue
        at = next(i for i, c in enumerate(name) if c == "L" and name[i : i + 3] not in ("Leg", "Low"))
        if custom == "unity" or name.startswith("L"):
            at = 0
        for side, spelled in zip(("left", "right"), sides, strict=True):
            out[side + part] = prefix + name[:at] + spelled + name[at + 1 :]
    return out


@pytest.mark.parametrize("custom", CUSTOMS)
def test_roles_from_names(tmp_path, custom):
    glb, names = gltf_files.figure(""), named(custom)
    for node in glb.json["nodes"]:
        node["name"] = names.get(node["name"], node["name"])
    c = vrm.load(glb.save(tmp_path / "it.glb"))
    found = {role: c.bone_names[bone] for role, bone in c.humanoid.items()}
    assert {role: found.get(role) for role in BONES} == {role: names[role] for role in BONES}


def test_fingers_and_helpers(tmp_path):
    glb = gltf_files.figure("")
    nodes = {node["name"]: i for i, node in enumerate(glb.json["nodes"])}
    joints = glb.json["skins"][0]["joints"]
    glb.json["skins"][0].pop("inverseBindMatrices")
    above = nodes["leftHand"]
    for i in (1, 2, 3):
        node = glb.add("nodes", {"name": f"LeftHandThumb{i}", "translation": [0.02, 0, 0.01], "children": []})
        glb.json["nodes"][above]["children"].append(node)
        joints.append(node)
        above = node
    twist = glb.add("nodes", {"name": "leftUpperArm_twist_01"})
    glb.json["nodes"][nodes["leftUpperArm"]]["children"].append(twist)
    # Twists and fingers move vertices, too.
    joints.append(twist)
    count = glb.json["accessors"][glb.json["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]["count"]
    attributes = glb.json["meshes"][0]["primitives"][0]["attributes"]
    attributes["JOINTS_1"] = glb.accessor(
        [[len(BONES), len(BONES) + 1, len(BONES) + 2, len(BONES) + 3]] * count, "u1"
    )
    attributes["WEIGHTS_1"] = glb.accessor([[0.01] * 4] * count)
    c = vrm.load(glb.save(tmp_path / "it.glb"))
    thumb = [c.bone_names[c.humanoid["leftThumb" + part]] for part in ("Metacarpal", "Proximal", "Distal")]
    assert thumb == ["LeftHandThumb1", "LeftHandThumb2", "LeftHandThumb3"]
    assert c.bone_names[c.humanoid["leftUpperArm"]] == "leftUpperArm"


def test_thumbs_of_vrm_0_have_other_names(tmp_path):
    glb = gltf_files.figure("0.x")
    bones = glb.json["extensions"]["VRM"]["humanoid"]["humanBones"]
    above = next(b["node"] for b in bones if b["bone"] == "leftHand")
    for part in ("Proximal", "Intermediate", "Distal"):
        node = glb.add("nodes", {"name": f"thumb {part}", "children": []})
        glb.json["nodes"][above]["children"].append(node)
        bones.append({"bone": f"leftThumb{part}", "node": node})
        above = node
    c = vrm.load(glb.save(tmp_path / "it.vrm"))
    thumb = [c.bone_names[c.humanoid["leftThumb" + part]] for part in ("Metacarpal", "Proximal", "Distal")]
    assert thumb == ["thumb Proximal", "thumb Intermediate", "thumb Distal"]


def test_two_legs_are_needed(tmp_path):
    glb = gltf_files.figure("")
    for node in glb.json["nodes"]:
        node["name"] = node["name"].replace("leftUpperLeg", "tail")
    with pytest.raises(FormatError, match="leftUpperLeg"):
        vrm.load(glb.save(tmp_path / "it.glb"))
