"""BVH files of a figure whose true motion is known, in any dialect."""

import dataclasses

import numpy as np

from anime_pt.avatars import quaternions
from anime_pt.avatars.recording import hierarchy

FPS = 50.0
_MIRROR = np.array([-1.0, 1.0, 1.0])
# Joints of a T pose in metres.
_HALF = {
    "hips": (0.0, 0.90, 0.0),
    "spine": (0.0, 1.0, 0.0),
    "chest": (0.0, 1.15, 0.0),
    "neck": (0.0, 1.4, 0.0),
    "head": (0.0, 1.48, 0.0),
    "leftShoulder": (0.03, 1.36, 0.0),
    "leftUpperArm": (0.16, 1.36, 0.0),
    "leftLowerArm": (0.42, 1.36, 0.0),
    "leftHand": (0.66, 1.36, 0.0),
    "leftUpperLeg": (0.1, 0.86, 0.0),
    "leftLowerLeg": (0.1, 0.47, 0.0),
    "leftFoot": (0.1, 0.08, 0.0),
    "leftToes": (0.1, 0.016, 0.13),
}
T_POSE = {r: np.array(p) for r, p in _HALF.items()}
T_POSE |= {r.replace("left", "right"): p * _MIRROR for r, p in T_POSE.items() if r.startswith("left")}

# Style of names -> role (of the left side) -> name, with L and R as sides in the form of the style.
STYLES = {
    "mixamo": dict(
        hips="mixamorig:Hips", spine="mixamorig:Spine", chest="mixamorig:Spine1", neck="mixamorig:Neck",
        head="mixamorig:Head", leftShoulder="mixamorig:LeftShoulder", leftUpperArm="mixamorig:LeftArm",
        leftLowerArm="mixamorig:LeftForeArm", leftHand="mixamorig:LeftHand",
        leftUpperLeg="mixamorig:LeftUpLeg", leftLowerLeg="mixamorig:LeftLeg", leftFoot="mixamorig:LeftFoot",
        leftToes="mixamorig:LeftToeBase",
    ),
    "xsens": dict(
        hips="Hips", spine="Chest", chest="Chest4", neck="Neck", head="Head", leftShoulder="LeftCollar",
        leftUpperArm="LeftShoulder", leftLowerArm="LeftElbow", leftHand="LeftWrist", leftUpperLeg="LeftHip",
        leftLowerLeg="LeftKnee", leftFoot="LeftAnkle", leftToes="LeftToe",
    ),
    "smpl": dict(
        hips="Pelvis", spine="Spine1", chest="Spine3", neck="Neck", head="Head", leftShoulder="L_Collar",
        leftUpperArm="L_Shoulder", leftLowerArm="L_Elbow", leftHand="L_Wrist", leftUpperLeg="L_Hip",
        leftLowerLeg="L_Knee", leftFoot="L_Ankle", leftToes="L_Foot",
    ),
    "daz": dict(
        hips="hip", spine="abdomen", chest="chest", neck="neck", head="head", leftShoulder="lCollar",
        leftUpperArm="lShldr", leftLowerArm="lForeArm", leftHand="lHand", leftUpperLeg="lThigh",
        leftLowerLeg="lShin", leftFoot="lFoot", leftToes="lToe",
    ),
    "suffixed": dict(
        hips="JOINT_Hips", spine="JOINT_Torso", chest="JOINT_Chest", neck="JOINT_Neck", head="JOINT_Head",
        leftShoulder="JOINT_Shoulder_L", leftUpperArm="JOINT_UpperArm_L", leftLowerArm="JOINT_LowerArm_L",
        leftHand="JOINT_Hand_L", leftUpperLeg="JOINT_UpperLeg_L", leftLowerLeg="JOINT_LowerLeg_L",
        leftFoot="JOINT_Foot_L", leftToes="JOINT_Toes_L",
    ),
    "biped": dict(
        hips="Bip01 Pelvis", spine="Bip01 Spine", chest="Bip01 Spine2", neck="Bip01 Neck", head="Bip01 Head",
        leftShoulder="Bip01 L Clavicle", leftUpperArm="Bip01 L UpperArm", leftLowerArm="Bip01 L Forearm",
        leftHand="Bip01 L Hand", leftUpperLeg="Bip01 L Thigh", leftLowerLeg="Bip01 L Calf",
        leftFoot="Bip01 L Foot", leftToes="Bip01 L Toe0",
    ),
    "mmd": dict(
        hips="下半身", spine="上半身", chest="上半身２", neck="首", head="頭", leftShoulder="左肩",
        leftUpperArm="左腕", leftLowerArm="左ひじ", leftHand="左手首", leftUpperLeg="左足",
        leftLowerLeg="左ひざ", leftFoot="左足首", leftToes="左つま先",
    ),
    # Only the arms and legs say what they are.
    "blender": dict(
        hips="spine", spine="spine.001", chest="spine.003", neck="spine.004", head="spine.006",
        leftShoulder="shoulder.L", leftUpperArm="upper_arm.L", leftLowerArm="forearm.L", leftHand="hand.L",
        leftUpperLeg="thigh.L", leftLowerLeg="shin.L", leftFoot="foot.L", leftToes="toe.L",
    ),
    "": {},  # Numbers, which tell nothing.
}  # fmt: skip
_SIDES = (
    ("Left", "Right"),
    ("L_", "R_"),
    ("_L", "_R"),
    (".L", ".R"),
    (" L ", " R "),
    ("左", "右"),
)


def names(style: str) -> dict[str, str]:
    """Role -> name of the joint."""
    if not style:
        return {role: f"joint{i}" for i, role in enumerate(T_POSE)}
    out = dict(STYLES[style])
    for role, name in list(out.items()):
        if role.startswith("left"):
            other = "r" + name[1:]
            for left, right in _SIDES:
                if left in name:
                    other = name.replace(left, right)
            out[role.replace("left", "right")] = other
    return out


def motion(frames: int = 120) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Role -> (t, 4) global turns since the T pose, and (t, 3) hips: turning on the spot, waving, stepping.

    It starts at the origin, facing +Z. The right foot stands all the time.
    """
    t = np.arange(frames) / FPS
    x, y, z = np.eye(3)
    wave = lambda speed, phase=0.0: np.sin(speed * t + phase) - np.sin(phase)
    yaw = quaternions.about(y, 0.8 * wave(1.0))
    then = lambda a, axis, angle: quaternions.multiply(a, quaternions.about(axis, angle))
    out = {"hips": yaw, "spine": then(yaw, z, 0.1 * wave(2.0)), "rightUpperLeg": yaw}
    out["chest"] = then(out["spine"], y, 0.2 * wave(1.5))
    out["neck"] = then(out["chest"], x, 0.15 * wave(1.7))
    out["head"] = then(out["neck"], y, 0.4 * wave(1.3))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        out[side + "Shoulder"] = then(out["chest"], z, sign * 0.1 * wave(1.1))
        down = then(out["chest"], z, sign * (-0.9 + 0.5 * np.sin(1.9 * t)))
        out[side + "UpperArm"] = then(down, y, sign * 0.4 * wave(1.2))
        out[side + "LowerArm"] = then(out[side + "UpperArm"], y, -sign * (0.8 + 0.5 * np.sin(2.3 * t)))
        out[side + "Hand"] = then(out[side + "LowerArm"], z, 0.2 * wave(3.1))
    step = np.maximum(np.sin(1.4 * t), 0.0) ** 2
    out["leftUpperLeg"] = then(yaw, x, -0.9 * step)
    out["leftLowerLeg"] = then(out["leftUpperLeg"], x, 1.2 * step)
    out["leftFoot"] = then(yaw, x, -0.3 * step)
    out |= {"rightLowerLeg": yaw, "rightFoot": yaw, "rightToes": yaw, "leftToes": out["leftFoot"]}
    return out, np.tile(T_POSE["hips"], (frames, 1))


def places(turns: dict[str, np.ndarray], hips: np.ndarray) -> dict[str, np.ndarray]:
    """Role -> (t, 3) by forward kinematics over the T pose."""
    out = {"hips": hips}
    for role, above in hierarchy(T_POSE).items():
        out[role] = out[above] + quaternions.rotate(turns[above], T_POSE[role] - T_POSE[above])
    return out


def euler(turns: np.ndarray, order: str) -> np.ndarray:
    """(t, 3) degrees about the axes of `order`, such as "zxy", the first outermost."""
    i, j, k = ("xyz".index(c) for c in order)
    m = quaternions.to_matrix(turns)
    sign = 1.0 if (j - i) % 3 == 1 else -1.0
    middle = np.arcsin(np.clip(sign * m[:, i, k], -1, 1))
    first = np.arctan2(-sign * m[:, j, k], m[:, k, k])
    last = np.arctan2(-sign * m[:, i, j], m[:, i, i])
    return np.degrees(np.stack([first, middle, last], 1))


@dataclasses.dataclass(frozen=True)
class Dialect:
    """How a file is written.

    Attributes:
      order: of rotation channels; joints take turns if there are several, separated by spaces.
      moves: "root", or position channels on every joint: "all", or as changes of the offset: "changes".
      unit: metres.
      z_up: whether Z is up (and -Y ahead).
      rest: "T", "A" or "hang" (arms), or "bones": every bone along the X axis of its own.
      style: of names.
      tab, newline: white space.
      turned: degrees by which the lab's axes are turned about the vertical.
    """

    order: str = "zxy"
    moves: str = "root"
    unit: float = 0.01
    z_up: bool = False
    rest: str = "T"
    style: str = "mixamo"
    tab: str = "  "
    newline: str = "\n"
    turned: float = 0.0


def _frames(d: Dialect, space: np.ndarray) -> dict[str, np.ndarray]:
    """Role -> (4,) rotation from the joint's own axes to ours in the T pose."""
    out = dict.fromkeys(T_POSE, space)
    above = hierarchy(T_POSE)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        if d.rest in ("A", "hang"):
            lift = quaternions.about(np.array([0.0, 0.0, sign]), np.radians(40 if d.rest == "A" else 90))
            for part in ("UpperArm", "LowerArm", "Hand"):
                out[side + part] = quaternions.multiply(lift, space)
    if d.rest == "bones":
        rng = np.random.default_rng(3)
        for role in T_POSE:
            children = [c for c, a in above.items() if a == role]
            along = T_POSE[children[0]] - T_POSE[role] if children else np.array([0.0, 1.0, 0.0])
            spin = quaternions.about(np.array([1.0, 0.0, 0.0]), np.array(rng.uniform(-3, 3)))
            out[role] = quaternions.multiply(quaternions.swing(np.array([1.0, 0.0, 0.0]), along), spin)
    return out


def write(path, turns: dict[str, np.ndarray], hips: np.ndarray, d: Dialect) -> None:
    """Writes a motion (see `motion`) as a BVH file."""
    to_ours = quaternions.about(np.array([0.0, 1.0, 0.0]), np.array(np.radians(d.turned)))
    if d.z_up:
        tilt = quaternions.about(np.array([1.0, 0.0, 0.0]), np.array(-np.pi / 2))
        to_ours = quaternions.multiply(to_ours, tilt)
    back = quaternions.inverse(to_ours)
    # The rest pose faces along the lab's axes, whatever way the motion goes.
    own = _frames(d, to_ours if not d.turned else tilt if d.z_up else quaternions.IDENTITY)
    whole = {r: quaternions.multiply(quaternions.multiply(back, q), own[r]) for r, q in turns.items()}
    above, named = hierarchy(T_POSE), names(d.style)
    orders = d.order.split()
    lines, columns = ["HIERARCHY"], []

    def joint(role: str, depth: int) -> None:
        pad, parent = d.tab * depth, above.get(role)
        offset = np.zeros(3)
        if parent:
            step = T_POSE[role] - T_POSE[parent]
            offset = quaternions.rotate(quaternions.inverse(own[parent]), step) / d.unit
        order = orders[len(columns) % len(orders)]
        lines.append(f"{pad}{'JOINT' if parent else 'ROOT'} {named[role]}")
        lines.append(pad + "{")
        lines.append(f"{pad}{d.tab}OFFSET {' '.join(f'{v:.6f}' for v in offset)}")
        channels = [c.upper() + "rotation" for c in order]
        local = whole[role]
        if parent:
            local = quaternions.multiply(quaternions.inverse(whole[parent]), local)
        values = euler(local, order)
        if not parent or d.moves != "root":
            channels = ["Xposition", "Yposition", "Zposition", *channels]
            moves = quaternions.rotate(back, hips) / d.unit if not parent else np.tile(offset, (len(hips), 1))
            if parent and d.moves == "changes":
                moves = moves * 0.0
            values = np.concatenate([moves, values], 1)
        lines.append(f"{pad}{d.tab}CHANNELS {len(channels)} {' '.join(channels)}")
        columns.append(values)
        below = [r for r, a in above.items() if a == role]
        for child in below:
            joint(child, depth + 1)
        if not below:
            lines.append(f"{pad}{d.tab}End Site")
            lines.append(pad + d.tab + "{")
            lines.append(f"{pad}{d.tab}{d.tab}OFFSET 0 0 0")
            lines.append(pad + d.tab + "}")
        lines.append(pad + "}")

    joint("hips", 0)
    rows = np.concatenate(columns, 1)
    lines += ["MOTION", f"Frames:{d.tab}{len(rows)}", f"Frame Time: {1 / FPS:.6f}"]
    lines += [d.tab.join(f"{v:.6f}" for v in row) for row in rows]
    path.write_bytes((d.newline.join(lines) + d.newline).encode())
