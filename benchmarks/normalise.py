"""How near normalised poses are to the truth: `python -m benchmarks.normalise`. One JSON line per case.

The truth is known: built-in characters of 2.5 to 8 heads, the driver and the character, make the same motion,
each with its feet on its own ground, before the same camera; both are 200 of 256 pixels tall. Motions are
seeded walks, dances and changes of poses; whoever bears the weight in the driver stands. A case is

    situation   where proportions come from. "rig": of both; "outstretched": a frame before the motion, in
                which the driver is in its rest pose before the camera ("arms_level": in a T pose), and the
                character's picture in its rest pose; "same_pose": a frame in which the driver has the pose of
                the character's picture; "none": the clip, and the character's picture in its rest pose;
                "estimated": as "outstretched", but the packaged network finds the joints of that picture
    truth       "rotations": the same rotations of all bones; "retargeted": what `avatars.retarget` makes
    camera      "flat", or "perspective": 40 degrees

and what is printed of it

    ratio_error   greatest error of a ratio of lengths of limbs, percent
    bone_error    mean and 99th percentile of the error of lengths in the picture, percent, of limbs that are
                  seen at a quarter of their length or more
    slide         pixels by which a foot moves from frame to frame at most while the driver's stands, and the
                  truth's
    error         mean distance of joints from the truth in pixels, seen from the hips; that of the driver's
                  pose as it is ("driver_error"); how many times nearer ("nearer"); the same where both are
                  moved in every frame, and the driver's scaled, to where they fit the truth best
                  ("nearer_fitted")
    placed        mean distance in the picture, the place of the figure included
"""

import argparse
import dataclasses
import functools
import itertools
import json

import numpy as np

from anime_pt.avatars import camera, keypoints, poses, procedural, rasterise, recording, rig
from anime_pt.avatars.character import Character
from anime_pt.avatars.poses import Pose
from anime_pt.avatars.procedural import bare
from anime_pt.pose import normalise, proportions, smoothing
from anime_pt.pose.sequences import PoseSequence, convert
from anime_pt.pose.skeletons import AVATAR_20

SIDE, TALL, FPS = 256, 200, 30.0
BODIES = {2.5: (0, 0.0), 3.5: (5, 0.0), 4.5: (1, 0.0), 5.5: (2, 1.0), 6.5: (4, 0.0), 8.0: (3, 1.0)}
PAIRS = ((8.0, 2.5), (6.5, 3.5), (6.5, 4.5), (5.5, 6.5), (6.5, 8.0), (2.5, 6.5))
MOTIONS = {"walk": 14, "dance": 1, "poses": 0, "other poses": 3}
VIEWS = (0, 40, 90)
SITUATIONS = ("rig", "outstretched", "arms_level", "same_pose", "none", "estimated")
_BONES = {
    "trunk": [("neck", "mid_hip")],
    "shoulders": [("left_shoulder", "right_shoulder")],
    "hips": [("left_hip", "right_hip")],
    **{n: [(f"{s}_{a}", f"{s}_{b}") for s in proportions.SIDES] for n, (a, b) in proportions.LIMBS.items()},
}
# Frames for which the driver is outstretched before the motion.
_HELD = 9
_ANKLES = [AVATAR_20.index(f"{side}_ankle") for side in proportions.SIDES]
_HIPS = AVATAR_20.index("mid_hip")


@functools.cache
def body(heads: float, seed: int = 0, masculinity: float = 0.0) -> Character:
    """The bones of a built-in character with so many heads, without its mesh."""
    d = dataclasses.replace(procedural.describe(seed), heads=heads, masculinity=masculinity)
    return dataclasses.replace(bare.build(d), name=f"{heads:g} heads")


def height(who: Character) -> float:
    """Metres from the ground to the top of the head."""
    return float(who.landmarks["head_top"][1][1])


def outstretched(who: Character, level: bool = False) -> np.ndarray:
    """(20, 3) keypoints in metres at rest, or in a T pose."""
    if not level:
        return keypoints.positions(who, who.rest)
    limbs = poses.standing().limbs
    limbs[:4] = np.array([1.0, -1.0, 1.0, -1.0])[:, None] * np.eye(3)[0]
    limbs[4:] = [0.0, -1.0, 0.0]
    return keypoints.positions(who, rig.pose(who, dataclasses.replace(poses.standing(), limbs=limbs)))


def bearing(clip: list[Pose]) -> np.ndarray:
    """(t, 2) how far the left and the right foot bear the weight: the lower one does."""
    legs = np.stack([pose.limbs[4:, 1].reshape(2, 2).sum(0) for pose in clip])
    left = 1 / (1 + np.exp(np.clip((legs[:, 0] - legs[:, 1]) / 0.04, -50, 50)))
    return np.stack([left, 1 - left], 1)


def globals_of(who: Character, clip: list[Pose]) -> np.ndarray:
    """(t, b, 4, 4) of a character in a motion whose bearing foot stays where it is, on the ground."""
    globals_ = np.stack([rig.pose(who, pose) for pose in clip])
    feet = globals_[..., :3, 3][:, [who.humanoid["leftFoot"], who.humanoid["rightFoot"]]]
    bears = bearing(clip)
    steps = ((bears[1:] + bears[:-1])[..., None] / 2 * np.diff(feet, axis=0)).sum(1)
    moves = np.concatenate([np.zeros((1, 3)), -np.cumsum(steps, 0)])
    moves[:, 1] = who.rest[who.humanoid["leftFoot"], 1, 3] - (bears * feet[..., 1]).sum(1)
    globals_[..., :3, 3] += moves[:, None]
    return globals_


def positions(who: Character, globals_: np.ndarray) -> np.ndarray:
    """(t, 20, 3) keypoints in metres."""
    return np.stack([keypoints.positions(who, frame) for frame in globals_])


@functools.cache
def truths(
    driver: float, heads: float, motion: str, frames: int, retargeted: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(t, 20, 3) keypoints in metres of both figures."""
    clip = poses.sequence(np.random.default_rng(MOTIONS[motion]), frames)
    first, second = (body(h, *BODIES[h]) for h in (driver, heads))
    theirs = globals_of(first, clip)
    if not retargeted:
        return positions(first, theirs), positions(second, globals_of(second, clip))
    performance = recording.record(motion, FPS, first, theirs).on(second)
    own = np.stack([rig.pose(second, performance.pose(i / FPS)) for i in range(frames)])
    return positions(first, theirs), positions(second, own)


def view(who: Character, yaw: float, perspective: bool = False) -> camera.Camera | camera.Perspective:
    """A camera that shows a figure 200 of 256 pixels tall."""
    tall = height(who)
    flat = camera.Camera(SIDE, SIDE, TALL / tall, (0.0, 0.55 * tall, 0.0), yaw)
    if not perspective:
        return flat
    away = SIDE / TALL * tall / 2 / np.tan(np.radians(20))
    eye = np.array(flat.center) + flat.rotation.T @ [0.0, 0.0, away]
    return camera.Perspective(SIDE, SIDE, 40.0, tuple(eye.tolist()), yaw)


def seen(points: np.ndarray, through: camera.Camera | camera.Perspective) -> np.ndarray:
    """(..., 20, 3) keypoints in a picture, all visible."""
    out = through.project(points)
    return np.concatenate([out[..., :2], np.ones_like(out[..., 2:])], -1).astype(np.float32)


@functools.cache
def _estimator():
    from anime_pt.pipelines import estimator  # The other situations need no network.

    return estimator.Estimator(*estimator.packaged(), flip=True, batch=1)


@functools.cache
def estimated(heads: float) -> np.ndarray:
    """(20, 3) joints that the packaged network finds in a picture of a built-in character at rest."""
    seed, masculinity = BODIES[heads]
    description = dataclasses.replace(procedural.describe(seed), heads=heads, masculinity=masculinity)
    who, through = procedural.build_from(description), view(body(heads, *BODIES[heads]), 0)
    picture = rasterise.Renderer(SIDE).render(who, rig.pose(who, None), through)
    rows, columns = (np.flatnonzero(picture.image[..., 3].any(axis)) for axis in (1, 0))
    box = (columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1)
    network = _estimator()
    return convert(network([network.crops(picture.over((255, 255, 255)), box)]), network.skeleton, AVATAR_20)[
        0
    ]


def of_rig(who: Character) -> proportions.Proportions:
    """What the rig says, in pixels of the pictures."""
    through = view(who, 0)
    points = through.project(outstretched(who))
    return proportions.of_rig(points * [1.0, 1.0, -through.scale], AVATAR_20)


def true_ratios(driver: Character, who: Character) -> dict[str, float]:
    """Limb -> ratio of lengths in pixels."""
    places = {
        name: [outstretched(w)[AVATAR_20.index(name)] for w in (driver, who)] for name in AVATAR_20.keypoints
    }
    size = height(driver) / height(who)
    out = {}
    for limb, ((a, b), *_) in _BONES.items():
        theirs, own = (np.linalg.norm(x - y) for x, y in zip(places[a], places[b], strict=True))
        out[limb] = float(own / theirs * size)
    return out


def run(
    driver: float,
    heads: float,
    motion: str,
    yaw: float,
    situation: str,
    frames: int = 60,
    retargeted: bool = False,
    perspective: bool = False,
    jitter: float = 0.0,
) -> tuple[normalise.Normalised, np.ndarray, np.ndarray]:
    """One case: what was made of it, and (t, 20, 3) joints in pixels of the driver and of the truth."""
    first, second = (body(h, *BODIES[h]) for h in (driver, heads))
    theirs, own = truths(driver, heads, motion, frames, retargeted)
    theirs, own = seen(theirs, view(first, yaw, perspective)), seen(own, view(second, yaw, perspective))
    clip, extra, reference = theirs, 0, 0
    if situation == "same_pose":
        figure = proportions.of_picture(own[0], AVATAR_20)
    elif situation == "rig":
        figure, reference = of_rig(second), of_rig(first)
    else:
        picture = seen(outstretched(second), view(second, 0, perspective))
        figure = proportions.of_picture(estimated(heads) if situation == "estimated" else picture, AVATAR_20)
        start = seen(outstretched(first, situation == "arms_level"), view(first, 0, perspective))
        if situation == "none":
            reference = None
        else:
            extra, reference = _HELD, _HELD // 2
            clip = np.concatenate([np.tile(start, (extra, 1, 1)), clip])
    sequence = PoseSequence(clip.astype(np.float32), AVATAR_20, (SIDE, SIDE), FPS)
    if jitter:
        noise = np.random.default_rng(0).normal(0, jitter, clip.shape) * [1, 1, 0]
        noisy = np.split((clip + noise).astype(np.float32), [extra])
        smooth = np.concatenate([smoothing.savgol(part) for part in noisy if len(part)])
        sequence = dataclasses.replace(sequence, keypoints=smooth)
    made = normalise.normalise(sequence, figure, (SIDE, SIDE), reference, situation == "same_pose")
    made = dataclasses.replace(
        made,
        poses=dataclasses.replace(made.poses, keypoints=made.poses.keypoints[extra:]),
        stands=made.stands[extra:],
    )
    return made, theirs, own


def stands(driver: float, heads: float, motion: str, frames: int, retargeted: bool = False) -> np.ndarray:
    """(t - 1, 2) whether a foot of the driver stands from each frame to the next, as known in space."""
    feet, _ = truths(driver, heads, motion, frames, retargeted)
    speeds = np.linalg.norm(np.diff(feet[:, _ANKLES], axis=0), axis=-1) / height(
        body(driver, *BODIES[driver])
    )
    still = speeds < 0.001
    return np.stack([~np.convolve(~foot, np.ones(3), mode="same").astype(bool) for foot in still.T], 1)


def measure(made: normalise.Normalised, theirs: np.ndarray, own: np.ndarray) -> dict[str, float]:
    """Lengths and distances of a case, see above."""
    points = made.poses.keypoints[..., :2].astype(float)
    theirs, own = theirs[..., :2].astype(float), own[..., :2].astype(float)
    length = lambda x, a, b: np.linalg.norm(x[:, AVATAR_20.index(a)] - x[:, AVATAR_20.index(b)], axis=1)
    errors = []
    for a, b in itertools.chain.from_iterable(_BONES.values()):
        true = length(own, a, b)
        long = true > 0.25 * true.max()
        errors.append(np.abs(length(points, a, b)[long] / true[long] - 1))
    distance = lambda a, b: float(np.linalg.norm(a - b, axis=-1).mean())
    from_hips = lambda x: x - x[:, _HIPS : _HIPS + 1]
    centred = lambda x: x - x.mean(1, keepdims=True)
    fit = (centred(theirs) * centred(own)).sum() / (centred(theirs) ** 2).sum()
    error, unlike = distance(from_hips(points), from_hips(own)), distance(from_hips(theirs), from_hips(own))
    fitted = distance(centred(points), centred(own))
    return {
        "bone_error": round(100 * float(np.concatenate(errors).mean()), 2),
        "bone_error_99": round(100 * float(np.quantile(np.concatenate(errors), 0.99)), 2),
        "error": round(error, 2),
        "driver_error": round(unlike, 2),
        "nearer": round(unlike / error, 1),
        "nearer_fitted": round(distance(fit * centred(theirs), centred(own)) / fitted, 1),
        "placed": round(distance(points, own), 2),
    }


def slides(points: np.ndarray, standing: np.ndarray) -> float:
    """Pixels by which a foot that stands moves from one frame to the next, at most."""
    steps = np.linalg.norm(np.diff(points[:, _ANKLES, :2].astype(float), axis=0), axis=-1)
    return float(steps[standing].max(initial=0.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument(
        "--jitter", type=float, default=0.0, help="noise of the driver's joints in pixels, then smoothed"
    )
    parser.add_argument("--situations", nargs="+", default=SITUATIONS[:-1], choices=SITUATIONS)
    parser.add_argument("--truth", default="rotations", choices=("rotations", "retargeted"))
    parser.add_argument("--camera", default="flat", choices=("flat", "perspective"))
    args = parser.parse_args()
    retargeted, perspective = args.truth == "retargeted", args.camera == "perspective"
    for situation, (driver, heads), yaw, motion in itertools.product(args.situations, PAIRS, VIEWS, MOTIONS):
        made, theirs, own = run(
            driver, heads, motion, yaw, situation, args.frames, retargeted, perspective, args.jitter
        )
        true = true_ratios(*(body(h, *BODIES[h]) for h in (driver, heads)))
        standing = stands(driver, heads, motion, args.frames, retargeted)
        case = {
            "benchmark": "normalise",
            "situation": situation,
            "truth": args.truth,
            "camera": args.camera,
            "jitter": args.jitter,
            "driver_heads": driver,
            "heads": heads,
            "yaw": yaw,
            "motion": motion,
            "ratio_error": round(100 * max(abs(made.ratios[n] / true[n] - 1) for n in true), 2),
            "slide": round(slides(made.poses.keypoints, standing), 2),
            "true_slide": round(slides(own, standing), 2),
            "guessed": len(made.report),
        }
        print(json.dumps(case | measure(made, theirs, own)), flush=True)


if __name__ == "__main__":
    main()
