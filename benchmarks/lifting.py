"""Lifting beside others' on the same clips: `python -m benchmarks.lifting`. One JSON line per case.

    chain      OpenMMD's example (`ANIME_PT_ASSETS`/openmmd_chain): 171 frames of a person who dances, as
               OpenPose found the joints; OpenMMD's poses in space (Martinez et al.'s network, trained on
               Human3.6M), and its VMD
    mediapipe  a person who does squats (`ANIME_PT_ASSETS`/human/tfjs_pose_detection): MediaPipe's joints in
               the picture and in space

Nobody knows the truth of these clips, so what is printed is how far two estimates are apart, and what can be
told of each alone, over shoulders, elbows, wrists, hips, knees and ankles:

    apart         mm after the best rotation, scale and shift of each frame, for a figure of 1.7 m
    limbs         degrees between the directions of arms and legs, after one rotation for the whole clip;
                  mean, and median of each limb
    picture       percent of the figure's height by which joints in space miss those in the picture, seen
                  without perspective, at the best scale and shift in each frame
    lengths       percent by which the lengths of limbs vary over the clip (standard deviation, mean of limbs)
    jerk          median of the third differences, mm
    vmd           degrees between arms and legs of the standard MMD skeleton that plays both VMDs, at the best
                  shift in time, without any rotation; and of its trunk
"""

import argparse
import json
import os
import pathlib

import numpy as np

from anime_pt.avatars import rig
from anime_pt.avatars.formats import mmd_skeleton, vmd_motion
from anime_pt.metrics import lifting as metrics
from anime_pt.pipelines import lifting
from anime_pt.pose import formats, mediapipe, tracks
from anime_pt.pose.skeletons import AVATAR_20

_AT = {name: i for i, name in enumerate(AVATAR_20.keypoints)}
_SIDES = ("left", "right")
JOINTS = [_AT[f"{s}_{j}"] for j in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for s in _SIDES]
PARTS = {
    "upper_arm": ("shoulder", "elbow"),
    "forearm": ("elbow", "wrist"),
    "thigh": ("hip", "knee"),
    "shin": ("knee", "ankle"),
}
LIMBS = {f"{s}_{n}": (_AT[f"{s}_{a}"], _AT[f"{s}_{b}"]) for n, (a, b) in PARTS.items() for s in _SIDES}
# Joints of Human3.6M in OpenMMD's pos.txt.
_HUMAN = {
    **{"mid_hip": 0, "right_hip": 1, "right_knee": 2, "right_ankle": 3},
    **{"left_hip": 6, "left_knee": 7, "left_ankle": 8, "neck": 13},
    **{"left_shoulder": 17, "left_elbow": 18, "left_wrist": 19},
    **{"right_shoulder": 25, "right_elbow": 26, "right_wrist": 27},
}
_ROLES = {
    **{"shoulder": "UpperArm", "elbow": "LowerArm", "wrist": "Hand"},
    **{"hip": "UpperLeg", "knee": "LowerLeg", "ankle": "Foot"},
}


def openmmd(path: pathlib.Path) -> np.ndarray:
    """(t, 20, 3) joints of OpenMMD's pos.txt in metres: x right, y down, z away; NaN where it has none."""
    lines = path.read_text().splitlines()
    out = np.full((len(lines), len(AVATAR_20), 3), np.nan)
    for t, line in enumerate(lines):
        rows = {int(r.split()[0]): [float(v) for v in r.split()[1:4]] for r in line.split(",") if r.strip()}
        for name, joint in _HUMAN.items():
            x, away, up = rows[joint]
            out[t, _AT[name]] = x / 1000, -up / 1000, away / 1000
    return out - out[:, _AT["mid_hip"], None]


def sized(points: np.ndarray) -> np.ndarray:
    """Joints as of a figure of 1.7 m, see `data.motions`."""
    parts = [np.linalg.norm(points[:, _AT["neck"]] - points[:, _AT["mid_hip"]], axis=1)]
    for part in ("thigh", "shin"):
        pair = [LIMBS[f"{side}_{part}"] for side in _SIDES]
        parts.append(np.mean([np.linalg.norm(points[:, a] - points[:, b], axis=1) for a, b in pair], 0))
    return points * (1.37 / np.median(sum(parts)))


def apart(ours: np.ndarray, theirs: np.ndarray) -> dict:
    """Distances and angles between two estimates (t, 20, 3)."""
    a, b = sized(ours)[:, JOINTS], sized(theirs)[:, JOINTS]
    far = 1000 * np.asarray(metrics.pa_mpjpe(a, b))
    u, _, vt = np.linalg.svd(
        np.einsum("tki,tkj->ij", a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True))
    )
    turn = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
    angles = np.asarray(metrics.limb_angles(ours @ turn, theirs, list(LIMBS.values())))
    return {
        "apart": round(float(far.mean()), 1),
        "apart_median": round(float(np.median(far)), 1),
        "limbs": round(float(angles.mean()), 1),
        "turn": round(float(np.degrees(np.arccos((np.trace(turn) - 1) / 2))), 1),
        "each": dict(zip(LIMBS, np.median(angles, 0).astype(float).round(1).tolist(), strict=True)),
    }


def alone(world: np.ndarray, picture: np.ndarray) -> dict:
    """What is to be said of one estimate (t, 20, 3), beside the joints in the picture (t, 20, 2)."""
    flat, seen = world[:, JOINTS, :2], picture[:, JOINTS]
    known = np.isfinite(seen).all((1, 2))
    flat, seen = (x[known] - x[known].mean(1, keepdims=True) for x in (flat, seen))
    scale = (flat * seen).sum((1, 2), keepdims=True) / (flat**2).sum((1, 2), keepdims=True)
    tall = np.median(np.ptp(seen[..., 1], axis=1)) * 1.25
    lengths = [np.linalg.norm(world[:, a] - world[:, b], axis=1) for a, b in LIMBS.values()]
    jerk = np.linalg.norm(np.diff(sized(world)[:, JOINTS], 3, axis=0), axis=-1)
    return {
        "picture": round(float(100 * np.linalg.norm(scale * flat - seen, axis=-1).mean() / tall), 2),
        "lengths": round(float(100 * np.mean([x.std() / x.mean() for x in lengths])), 1),
        "jerk": round(float(1000 * np.median(jerk)), 2),
    }


def played(file) -> np.ndarray:
    """(t, 20, 3) joints of the standard skeleton that plays a VMD, in the space of characters."""
    skeleton = mmd_skeleton.build()
    motion = file if isinstance(file, vmd_motion.VmdMotion) else vmd_motion.load(file)
    performance = motion.keyed_on(skeleton)
    out = np.full((motion.frames, len(AVATAR_20), 3), np.nan)
    for t in range(motion.frames):
        globals_ = rig.pose(skeleton, performance.pose(t / motion.fps))
        place = lambda role, of=globals_: of[skeleton.humanoid[role], :3, 3]
        for side in _SIDES:
            for joint, role in _ROLES.items():
                out[t, _AT[f"{side}_{joint}"]] = place(side + role)
        out[t, _AT["neck"]] = place("neck")
        out[t, _AT["mid_hip"]] = (place("leftUpperLeg") + place("rightUpperLeg")) / 2
    return out


def motions_apart(ours: np.ndarray, theirs: np.ndarray) -> dict:
    """Angles between two motions (t, 20, 3) at the best shift."""
    best = None
    for shift in range(-15, 16):
        a, b = (ours[shift:], theirs) if shift >= 0 else (ours, theirs[-shift:])
        count = min(len(a), len(b))
        a, b = a[:count], b[:count]
        angles = np.asarray(metrics.limb_angles(a, b, list(LIMBS.values())))
        trunk = np.asarray(metrics.limb_angles(a, b, [(_AT["mid_hip"], _AT["neck"])]))
        found = {
            "shift": shift,
            "limbs": round(float(angles.mean()), 1),
            "trunk": round(float(trunk.mean()), 1),
            "each": dict(zip(LIMBS, np.median(angles, 0).astype(float).round(1).tolist(), strict=True)),
        }
        best = found if best is None or found["limbs"] < best["limbs"] else best
    return best


def _show(**case) -> None:
    print(json.dumps({"benchmark": "lifting", **case}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    here = pathlib.Path(__file__).parents[1]
    parser.add_argument("--assets", default=os.environ.get("ANIME_PT_ASSETS", here.parent / "shared/assets"))
    parser.add_argument("--workdir", default=None, help="run of the network; the packaged one if not given")
    args = parser.parse_args()
    assets = pathlib.Path(args.assets)
    of = lifting.packaged() if args.workdir is None else lifting.of_run(pathlib.Path(args.workdir))
    lifter = lifting.Lifter(*of)

    chain = assets / "openmmd_chain"
    poses = formats.read(chain / "openpose_json", (1080, 1920), 30.0).as_skeleton(AVATAR_20)
    made, joints, report = lifting.motion(poses, "chain", lifter)
    theirs = openmmd(chain / "out" / "pos.txt")
    picture = joints.keypoints[..., :2].astype(float)
    _show(
        case="chain",
        of="both",
        frames=len(theirs),
        pitch=round(made.pitch, 1),
        report=report,
        **apart(joints.world.astype(float), theirs),
    )
    _show(case="chain", of="ours", **alone(joints.world.astype(float), picture))
    _show(case="chain", of="OpenMMD", **alone(theirs, picture))
    ours = vmd_motion.VmdMotion("ours", lifting.to_vmd(made, mmd_skeleton.build()))
    (file,) = (chain / "out").glob("*.vmd")
    _show(case="chain", of="vmd", **motions_apart(played(ours), played(file)))

    folder = assets / "human" / "tfjs_pose_detection"
    people = mediapipe.read(
        folder / "pose_squats.full.json", (1280, 720), 30.0, folder / "pose_squats_3d.full.json"
    )
    poses = tracks.follow(people).as_skeleton(AVATAR_20)
    made, joints, report = lifting.motion(poses, "squats", lifter)
    _, own, _ = lifting.motion(poses, "squats", None)
    picture = joints.keypoints[..., :2].astype(float)
    world, theirs = joints.world.astype(float), own.world.astype(float)
    _show(
        case="mediapipe",
        of="both",
        frames=len(world),
        pitch=round(made.pitch, 1),
        report=report,
        **apart(world, theirs),
    )
    _show(case="mediapipe", of="ours", **alone(world, picture))
    _show(case="mediapipe", of="MediaPipe", **alone(theirs, picture))


if __name__ == "__main__":
    main()
