"""A figure's joints in pictures and in space as a motion for any character: from video to dance.

Joints in space (`PoseSequence.world`) say where limbs point and how trunk and head are turned; a built-in
body takes these poses. Where it stands comes from the picture: sideways from its place there, in depth from
its size, for an angle of view that is given or guessed; up and down from its lower foot, which is on the
ground unless both feet rise in the picture. Feet that stand in the picture do not slide.

What a picture cannot tell is not made up: hands and feet have no joints of their own, so that hands follow
the forearms, and feet the shins, or lie flat near the ground; arms do not twist.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from anime_pt.avatars import procedural, quaternions, recording, rig, rotations
from anime_pt.avatars.character import Character
from anime_pt.avatars.poses import LIMBS, Pose
from anime_pt.avatars.procedural import bare
from anime_pt.avatars.recording import Recording
from anime_pt.pose import contacts
from anime_pt.pose.sequences import PoseSequence
from anime_pt.pose.skeletons import AVATAR_20

_AT = {name: i for i, name in enumerate(AVATAR_20.keypoints)}
_SIDES = ("left", "right")
_JOINTS = {
    "UpperArm": ("shoulder", "elbow"),
    "LowerArm": ("elbow", "wrist"),
    "UpperLeg": ("hip", "knee"),
    "LowerLeg": ("knee", "ankle"),
}
_BODY = [
    _AT["neck"],
    _AT["mid_hip"],
    *(_AT[f"{s}_{j}"] for s in _SIDES for pair in _JOINTS.values() for j in pair),
]
# Degrees, top to bottom, of a camera of which nothing is known.
FOV = 50.0
# Radians by which head and neck turn at most, together.
_HEAD = 1.3
# Degrees: how straight knees and waist are of somebody who stands upright, and how many seconds of that tell
# how the camera is held.
_UPRIGHT, _ENOUGH = 22.0, 0.3
# Leg lengths by which the lower foot may rise in a picture before it leaves the ground.
_JUMP = 0.06
# Seconds over which the size of the figure, and with it the distance, is averaged.
_STEADY = 0.4
_DOWN, _AHEAD = np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, 1.0])


@dataclasses.dataclass(frozen=True)
class Lifted:
    """What was made of a clip.

    Attributes:
      recording: the motion.
      pitch: degrees by which the camera looks down, as given or found.
      stands: (t - 1, 2) how far the left and the right foot stand from frame to frame.
      report: a line for everything that had to be guessed.
    """

    recording: Recording
    pitch: float
    stands: np.ndarray
    report: tuple[str, ...]


def figure() -> Character:
    """Who makes the motion first: the bones of a built-in adult."""
    return bare.build(dataclasses.replace(procedural.describe(4), heads=7.0))


def record(sequence: PoseSequence, name: str, fov: float = FOV, pitch: float | None = None) -> Lifted:
    """The motion of a clip.

    Args:
      sequence: of `AVATAR_20` with `world`, without gaps in space but for faces; in the picture joints may be
        missing.
      name: of the motion.
      fov: vertical angle of view in degrees.
      pitch: degrees by which the camera looks down; None: taken from the frames in which the figure stands
        upright.

    Raises:
      ValueError: joints in space are missing, or none is ever known in the picture.
    """
    world = sequence.world
    if world is None or not np.isfinite(world[:, _BODY]).all():
        raise ValueError(f"{name}: joints in space are missing; lift the poses, and fill gaps first")
    picture = sequence.keypoints[..., :2].astype(np.float64)
    if not np.isfinite(picture).all(-1).any():
        raise ValueError(f"{name}: no joint is known in any frame")
    world = world.astype(np.float64) - world[:, None, _AT["mid_hip"]]
    place, scale = _place(picture, world, sequence, fov)
    # The view was that of a camera that looks at the figure: turned into the direction where that is.
    turn = quaternions.swing(np.array([0.0, 0.0, 1.0]), place)
    points = quaternions.rotate(turn[:, None], world)
    report = []
    if pitch is None:
        pitch, line = _pitch(points, sequence.fps)
        report += [line] if line else []
    # To the space of characters: x to the right of the picture, y up, z to the viewer.
    upright = quaternions.about(np.array([1.0, 0.0, 0.0]), np.radians(-pitch))
    to_space = lambda v: quaternions.rotate(upright, v * [1.0, -1.0, -1.0])
    points, place = to_space(points), to_space(place)
    who = figure()
    clip = poses(points)
    globals_ = np.stack([rig.pose(who, pose) for pose in clip])
    legs = (
        points[:, [_AT[f"{s}_hip"] for s in _SIDES]] - points[:, [_AT[f"{s}_knee"] for s in _SIDES]],
        points[:, [_AT[f"{s}_knee"] for s in _SIDES]] - points[:, [_AT[f"{s}_ankle"] for s in _SIDES]],
    )
    leg = float(np.median(sum(np.linalg.norm(part, axis=-1) for part in legs)))
    feet = points[:, [_AT[f"{side}_ankle"] for side in _SIDES], 1].min(1)
    stands, jumps = _contacts(picture, scale * leg, (place[:, 1] + feet) / leg, sequence.fps)
    globals_ = _walked(who, globals_, place * (_leg(who) / leg), stands, jumps)
    return Lifted(recording.record(name, sequence.fps, who, globals_), float(pitch), stands, tuple(report))


def poses(points: Float[np.ndarray, "t 20 3"]) -> list[Pose]:
    """Joints of `AVATAR_20` in the space of characters as poses, without their places."""
    at = lambda name: points[:, _AT[name]]
    up = at("neck") - at("mid_hip")
    hips = _frames(at("left_hip") - at("right_hip"), up)
    chest = _frames(at("left_shoulder") - at("right_shoulder"), up)
    head = _heads(points, chest)
    limbs = np.zeros((len(points), 8, 3))
    for i, role in enumerate(LIMBS):
        side = "left" if role.startswith("left") else "right"
        start, end = (f"{side}_{joint}" for joint in _JOINTS[role.removeprefix(side)])
        limbs[:, i] = quaternions.unit(at(end) - at(start))
    out = []
    for t in range(len(points)):
        waist = rotations.to_vector(np.ascontiguousarray(hips[t].T @ chest[t])) / 2
        neck = rotations.to_vector(np.ascontiguousarray(chest[t].T @ head[t]))
        neck = neck * min(1.0, _HEAD / max(float(np.linalg.norm(neck)), 1e-9)) / 2
        spine = np.stack([rotations.to_vector(np.ascontiguousarray(hips[t])), waist, waist, neck, neck])
        out.append(Pose(spine, limbs[t], feet=_feet(hips[t], limbs[t])))
    return out


def _frames(left: np.ndarray, up: np.ndarray) -> np.ndarray:
    """(t, 3, 3) rotations whose columns are left, as given, and up, as near as then possible."""
    left = quaternions.unit(left)
    up = quaternions.unit(up - (up * left).sum(1, keepdims=True) * left)
    return np.stack([left, up, np.cross(left, up)], -1)


def _heads(points: np.ndarray, chest: np.ndarray) -> np.ndarray:
    """(t, 3, 3) of heads, from ears and eyes; those whose ears are at one place go with the chest."""
    at = lambda name: points[:, _AT[name]]
    left = at("left_ear") - at("right_ear")
    ahead = (at("left_eye") + at("right_eye") - at("left_ear") - at("right_ear")) / 2
    # Eyes are a little above the ears.
    up = np.cross(ahead, left)
    tip = quaternions.about(quaternions.unit(left), np.full(len(left), np.radians(8.0)))
    out = _frames(left, quaternions.rotate(tip, up))
    seen = (np.linalg.norm(left, axis=1) > 0.02) & (np.linalg.norm(up, axis=1) > 1e-4)
    return np.where(seen[:, None, None], out, chest)


def _feet(hips: np.ndarray, limbs: np.ndarray) -> np.ndarray:
    """(2, 3) directions of toes: with the shin, flat where the foot is low."""
    drops = -(limbs[4:6, 1] + limbs[6:8, 1]) / 2
    out = np.zeros((2, 3))
    for i in range(2):
        shin = np.ascontiguousarray(limbs[6 + i])
        follow = hips @ rotations.swing(_DOWN, np.ascontiguousarray(hips.T @ shin)) @ _AHEAD
        low = np.clip(1.0 - 4.0 * (drops.max() - drops[i]), 0.0, 1.0)
        direction = low * quaternions.unit(follow * [1.0, 0.0, 1.0]) + (1.0 - low) * (follow + 0.4 * shin)
        direction = quaternions.unit(direction)
        # An ankle bends up by about 30 degrees and down by about 60.
        slope = np.clip(direction @ shin, -0.5, 0.85)
        across = quaternions.unit(direction - (direction @ shin) * shin)
        out[i] = quaternions.unit(slope * shin + np.sqrt(1.0 - slope**2) * across)
    return out


def _place(
    picture: np.ndarray, world: np.ndarray, sequence: PoseSequence, fov: float
) -> tuple[np.ndarray, np.ndarray]:
    """Where the hips are, (t, 3) metres seen from the camera, and (t,) pixels of a metre there."""
    height, width = sequence.size
    known = (np.isfinite(picture).all(-1) & np.isfinite(world).all(-1))[..., None]
    count = np.maximum(known.sum(1), 1)
    flat, seen = np.where(known, world[..., :2], 0.0), np.where(known, picture, 0.0)
    flat_middle, middle = flat.sum(1) / count, seen.sum(1) / count
    flat, seen = (np.where(known, x - m[:, None], 0.0) for x, m in ((flat, flat_middle), (seen, middle)))
    frames = np.arange(len(world))
    # Of fewer joints than six, no size is to be had.
    good = count[:, 0] >= min(6, count.max())
    scale = (flat * seen).sum((1, 2)) / np.maximum((flat**2).sum((1, 2)), 1e-9)
    good &= scale > 0
    if not good.any():
        raise ValueError("the joints in space are not those of the picture")
    scale = np.exp(np.interp(frames, frames[good], np.log(scale[good])))
    scale = np.exp(contacts.smooth(np.log(scale), _STEADY * sequence.fps))
    root = middle - scale[:, None] * flat_middle
    root = np.stack([np.interp(frames, frames[good], root[good, i]) for i in (0, 1)], 1)
    focal = height / 2 / np.tan(np.radians(fov / 2))
    sideways = (root - [width / 2, height / 2]) / scale[:, None]
    return np.concatenate([sideways, (focal / scale)[:, None]], 1), scale


def _pitch(points: np.ndarray, fps: float) -> tuple[float, str]:
    """Degrees by which a camera looks down on who stands upright, and a line where that is a guess."""
    at = lambda name: points[:, _AT[name]]
    middle = lambda joint: (at("left_" + joint) + at("right_" + joint)) / 2
    trunk, legs = (
        quaternions.unit(at("neck") - at("mid_hip")),
        quaternions.unit(middle("hip") - middle("ankle")),
    )
    straight = (trunk * legs).sum(1) > np.cos(np.radians(_UPRIGHT))
    for side in _SIDES:
        thigh = quaternions.unit(at(f"{side}_knee") - at(f"{side}_hip"))
        shin = quaternions.unit(at(f"{side}_ankle") - at(f"{side}_knee"))
        straight &= (thigh * shin).sum(1) > np.cos(np.radians(_UPRIGHT))
    if straight.sum() < max(1.0, _ENOUGH * fps):
        return 0.0, "nobody stands upright in the clip: the camera is taken to be level, see --pitch"
    up = (at("neck") - middle("ankle"))[straight]
    return float(np.degrees(np.median(np.arctan2(-up[:, 2], -up[:, 1])))), ""


def _contacts(
    picture: np.ndarray, leg: np.ndarray, heights: np.ndarray, fps: float
) -> tuple[np.ndarray, np.ndarray]:
    """(t - 1, 2) how far feet stand, and (t,) leg lengths by which the lower one is above the ground.

    Args:
      picture: joints in pixels.
      leg: (t,) its length in pixels.
      heights: (t,) leg lengths at which the lower foot seems to be in space.
      fps: frames per second.
    """
    count, frames = len(picture), np.arange(len(picture))
    ankles = picture[:, [_AT[f"{side}_ankle"] for side in _SIDES]]
    known = np.isfinite(ankles).all(-1)
    if count < 2 or not known.any(0).all():
        return np.zeros((count - 1, 2)), np.zeros(count)
    for foot in range(2):
        for i in (0, 1):
            seen = known[:, foot]
            ankles[:, foot, i] = np.interp(frames, frames[seen], ankles[seen, foot, i])
    stands = contacts.find(ankles, float(np.median(leg)), fps)
    # `ground` counts downwards.
    above = heights + contacts.ground(np.stack([heights, -heights], 1)[:, None], fps)
    bears = np.maximum(np.pad(stands.max(1), (1, 0)), np.pad(stands.max(1), (0, 1)))
    jumps = np.maximum(above - _JUMP, 0.0) * (1.0 - bears)
    return stands, np.maximum(contacts.smooth(jumps, 0.05 * fps), 0.0)


def _leg(who: Character) -> float:
    places = who.rest[:, :3, 3]
    ends = [places[who.humanoid["left" + part]] for part in ("UpperLeg", "LowerLeg", "Foot")]
    return float(np.linalg.norm(np.diff(ends, axis=0), axis=1).sum())


def _walked(
    who: Character, globals_: np.ndarray, wanted: np.ndarray, stands: np.ndarray, jumps: np.ndarray
) -> np.ndarray:
    """A body at its places: on the ground but for jumps, its standing feet where they stand.

    Args:
      who, globals_: poses whose hips are at rest.
      wanted: (t, 3) metres, where the hips should be; their heights do not count.
      stands, jumps: see `_contacts`.
    """
    feet = globals_[..., :3, 3][:, [who.humanoid[side + "Foot"] for side in _SIDES]]
    hips = globals_[:, who.humanoid["hips"], :3, 3]
    moves = np.zeros_like(hips)
    for axis in (0, 2):
        path = np.zeros((len(hips), 2))
        path[:, 0] = wanted[:, axis] - wanted[0, axis]
        against = np.zeros((len(hips), 2, 2))
        against[..., 0] = feet[..., axis] - hips[:, None, axis]
        # Heights stay 0.
        path = contacts.path(path, against, path[:, None] + against, stands)
        moves[:, axis] = path[:, 0] + hips[0, axis] - hips[:, axis]
    floor = min(who.rest[who.humanoid[side + "Foot"], 1, 3] for side in _SIDES)
    moves[:, 1] = floor - feet[..., 1].min(1) + jumps * _leg(who)
    out = globals_.copy()
    out[..., :3, 3] += moves[:, None]
    return out
