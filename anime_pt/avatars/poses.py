"""Poses that fit any character, a sampler of natural ones, and continuous motion.

A `Pose` says where limbs point and how the trunk turns, in the character space of `character.py`, so it
does not depend on the rest pose (T or A), on bone axes or on proportions. The sampler draws in joint
angles, where the limits of elbows and knees are plain intervals and where interpolation keeps them.
"""

import dataclasses

import numpy as np

from anime_pt.avatars import rotations

# Each rotates against the one before it; `hips` against the character's space.
SPINE = ("hips", "spine", "chest", "neck", "head")
LIMBS = tuple(
    side + part for part in ("UpperArm", "LowerArm", "UpperLeg", "LowerLeg") for side in ("left", "right")
)

# Directions from which a limb of the left side swings. Their opposites cannot be reached by a body, so
# the twist of a swing from here never jumps. The right side mirrors them.
REFERENCE = {
    "UpperArm": np.array([0.75, -0.55, 0.37]) / np.linalg.norm([0.75, -0.55, 0.37]),
    "UpperLeg": np.array([0.10, -0.92, 0.38]) / np.linalg.norm([0.10, -0.92, 0.38]),
}
# Axis about which the left elbow and knee bend when the limb hangs straight down: a raised forearm goes
# forward, a raised shin backward.
_HINGE = {"UpperArm": np.array([-1.0, 0.0, 0.0]), "UpperLeg": np.array([1.0, 0.0, 0.0])}
_DOWN = np.array([0.0, -1.0, 0.0])
_MIRROR = np.array([-1.0, 1.0, 1.0])
# Twist about the upper limb and bend at the hinge, in radians: how far the sampler goes.
_TWIST = {"UpperArm": (-1.3, 1.7), "UpperLeg": (-0.35, 0.45)}
_BEND = {"UpperArm": (0.03, 2.5), "UpperLeg": (0.0, 2.4)}
_FLAT = {"spine": (5, 3), "limbs": (8, 3), "hands": (2, 3), "feet": (2, 3), "twists": (2,), "root": (3,)}
FLAT_SIZE = sum(int(np.prod(s)) for s in _FLAT.values())


@dataclasses.dataclass(frozen=True)
class Pose:
    """A pose of a body, left and right being the character's own.

    Attributes:
      spine: (5, 3) rotation vectors in radians, in the order of `SPINE`; each turns its part against the
        part before, about axes that are the character's at rest.
      limbs: (8, 3) unit directions in character space, from joint to joint, in the order of `LIMBS`.
      hands: (2, 3) unit directions wrist to fingers, left then right; zeros follow the lower arm.
      feet: (2, 3) unit directions heel to toe; zeros follow the lower leg.
      twists: (2,) radians by which a hand turns about its lower arm, counter-clockwise seen from the
        fingers.
      root: (3,) where the hips move, in leg lengths (hip to ankle).
    """

    spine: np.ndarray
    limbs: np.ndarray
    hands: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((2, 3)))
    feet: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((2, 3)))
    twists: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(2))
    root: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(3))

    def __post_init__(self):
        for name, shape in _FLAT.items():
            value = np.asarray(getattr(self, name), np.float64)
            if value.shape != shape:
                raise ValueError(f"pose: {name} has shape {value.shape}, expected {shape}")
            object.__setattr__(self, name, value)

    def to_array(self) -> np.ndarray:
        """All numbers as one (FLAT_SIZE,) float32 array, for storing in a dataset."""
        return np.concatenate([getattr(self, name).ravel() for name in _FLAT]).astype(np.float32)

    @classmethod
    def from_array(cls, flat: np.ndarray) -> "Pose":
        """Inverse of `to_array`; raises ValueError for another shape."""
        flat = np.asarray(flat, np.float64)
        if flat.shape != (FLAT_SIZE,):
            raise ValueError(f"pose: flat array has shape {flat.shape}, expected ({FLAT_SIZE},)")
        parts = np.split(flat, np.cumsum([np.prod(s) for s in _FLAT.values()])[:-1].astype(int))
        return cls(**{name: p.reshape(shape) for (name, shape), p in zip(_FLAT.items(), parts, strict=True)})


def standing() -> Pose:
    """Upright, arms a little away from the body: the neutral pose."""
    return _build(_neutral())


def _mirrored(name: str) -> np.ndarray:
    return _MIRROR if name.startswith("right") else np.ones(3)


def _hinge_frame(kind: str, upper: np.ndarray) -> np.ndarray:
    """Axis of the elbow or knee when a left upper limb that hung down has swung to `upper`."""
    reference = REFERENCE[kind]
    to_upper = rotations.compose(rotations.swing(reference, upper), rotations.swing(_DOWN, reference))
    return rotations.apply(to_upper, _HINGE[kind])


def _limb_from_angles(kind: str, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(swing x, swing y, twist, bend) of a left limb -> unit directions of its upper and lower part.

    The swing is the logarithm at `REFERENCE` of the direction, in a basis of the tangent plane: straight
    lines between two of them stay among directions that a body can reach.
    """
    reference = REFERENCE[kind]
    side = rotations.unit(rotations.cross(reference, np.array([0.0, 0.0, 1.0])))
    other = rotations.cross(reference, side)
    axis = angles[0] * side + angles[1] * other
    upper = rotations.apply(rotations.from_vector(axis), reference)
    hinge = rotations.apply(rotations.about(upper, angles[2]), _hinge_frame(kind, upper))
    return upper, rotations.apply(rotations.about(hinge, angles[3]), upper)


def _limb_to_angles(kind: str, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Nearest angles of `_limb_from_angles` to two directions of a left limb, within the joint limits."""
    reference = REFERENCE[kind]
    side = rotations.unit(rotations.cross(reference, np.array([0.0, 0.0, 1.0])))
    other = rotations.cross(reference, side)
    upper, lower = rotations.unit(np.asarray(upper, float)), rotations.unit(np.asarray(lower, float))
    axis = rotations.to_vector(rotations.swing(reference, upper))
    hinge, wanted = _hinge_frame(kind, upper), rotations.cross(upper, lower)
    bend = np.arctan2(np.linalg.norm(wanted), upper @ lower)
    twist = np.arctan2(rotations.cross(hinge, wanted) @ upper, hinge @ wanted) if bend > 0.05 else 0.0
    return np.array([axis @ side, axis @ other, np.clip(twist, *_TWIST[kind]), np.clip(bend, *_BEND[kind])])


# Left limbs as (upper, lower) directions, in the frame of the chest or the hips.
_ARMS = {
    "hang": ((0.22, -0.97, 0.02), (0.12, -0.97, 0.2)),
    "away": ((0.5, -0.85, 0.05), (0.4, -0.85, 0.3)),
    "on_hip": ((0.72, -0.62, -0.3), (-0.72, -0.52, 0.45)),
    "wave": ((0.88, -0.25, 0.3), (0.3, 0.93, 0.2)),
    "up": ((0.38, 0.92, 0.1), (0.1, 0.98, 0.12)),
    "high_v": ((0.72, 0.68, 0.08), (0.6, 0.78, 0.15)),
    "aside": ((0.98, -0.08, 0.1), (0.95, 0.05, 0.3)),
    "ahead": ((0.3, -0.25, 0.92), (0.08, 0.1, 0.98)),
    "guard": ((0.3, -0.8, 0.5), (-0.05, 0.75, 0.65)),
    "across": ((0.35, -0.8, 0.48), (-0.78, -0.1, 0.62)),
    "think": ((0.3, -0.85, 0.42), (-0.32, 0.82, 0.48)),
    "back": ((0.4, -0.78, -0.48), (0.25, -0.85, -0.25)),
    "behind_head": ((0.82, 0.52, 0.1), (-0.75, 0.45, -0.3)),
    "salute": ((0.85, -0.05, 0.45), (-0.72, 0.68, 0.05)),
}
# Both legs at once: (left upper, left lower, right upper, right lower), each as of a left leg, and the
# tilt of the hips about the X axis (forward positive).
_LEGS = {
    "stand": ((0.06, -1.0, 0.02), (0.04, -1.0, -0.05), (0.06, -1.0, 0.02), (0.04, -1.0, -0.05), 0.0),
    "one_leg_eased": ((0.08, -1.0, 0.0), (0.05, -1.0, -0.04), (0.2, -0.95, 0.25), (0.12, -0.98, -0.1), 0.0),
    "wide": ((0.34, -0.94, 0.05), (0.3, -0.95, -0.06), (0.34, -0.94, 0.05), (0.3, -0.95, -0.06), 0.0),
    "walk": ((0.04, -0.92, 0.38), (0.03, -0.99, 0.08), (0.04, -0.96, -0.26), (0.03, -0.8, -0.6), 0.03),
    "run": ((0.05, -0.55, 0.83), (0.04, -0.9, -0.42), (0.05, -0.88, -0.46), (0.03, -0.35, -0.93), 0.2),
    "sit": ((0.16, -0.1, 0.98), (0.06, -1.0, -0.02), (0.16, -0.1, 0.98), (0.06, -1.0, -0.02), 0.0),
    "sit_apart": ((0.4, -0.15, 0.9), (0.15, -0.98, 0.1), (0.3, -0.12, 0.94), (0.1, -0.98, -0.1), -0.05),
    "crouch": ((0.32, -0.15, 0.93), (0.1, -0.7, -0.7), (0.32, -0.15, 0.93), (0.1, -0.7, -0.7), 0.25),
    "lunge": ((0.08, -0.3, 0.95), (0.05, -1.0, 0.0), (0.1, -0.8, -0.58), (0.06, -0.6, -0.8), 0.1),
    "kick": ((0.12, 0.05, 0.99), (0.08, 0.1, 0.99), (0.08, -1.0, -0.03), (0.05, -1.0, -0.08), -0.15),
    "side_kick": ((0.9, -0.15, 0.4), (0.93, -0.1, 0.33), (0.08, -1.0, 0.0), (0.05, -1.0, -0.06), 0.0),
    "knee_up": ((0.1, -0.12, 0.98), (0.05, -0.95, -0.3), (0.06, -1.0, 0.0), (0.04, -1.0, -0.05), 0.0),
    "jump": ((0.15, -0.6, 0.78), (0.06, -0.7, -0.7), (0.2, -0.75, 0.6), (0.08, -0.35, -0.93), 0.05),
    "heel_up": ((0.06, -1.0, 0.02), (0.04, -1.0, -0.04), (0.05, -0.98, 0.1), (0.03, -0.25, -0.97), 0.0),
}
_LEG_WEIGHTS = np.array([4, 3, 2, 3, 1.5, 1, 1, 1, 1, 1, 0.8, 1.2, 1, 1.2])


@dataclasses.dataclass
class _Angles:
    """A pose as joint angles, all radians, in which interpolation keeps the limits."""

    spine: np.ndarray  # (5, 3)
    arms: np.ndarray  # (2, 4), see `_limb_from_angles`
    legs: np.ndarray  # (2, 4)
    wrists: np.ndarray  # (2, 2): bend of the hand about two axes
    twists: np.ndarray  # (2,)
    ankles: np.ndarray  # (2,): the share in [0, 1] by which the foot points down

    def mix(self, other: "_Angles", share: float) -> "_Angles":
        fields = [f.name for f in dataclasses.fields(self)]
        return _Angles(*((1 - share) * getattr(self, f) + share * getattr(other, f) for f in fields))


def _neutral() -> _Angles:
    arm = _limb_to_angles("UpperArm", *_ARMS["away"])
    leg = _limb_to_angles("UpperLeg", *_LEGS["stand"][:2])
    zero = np.zeros
    return _Angles(zero((5, 3)), np.stack([arm] * 2), np.stack([leg] * 2), zero((2, 2)), zero(2), zero(2))


def _build(angles: _Angles) -> Pose:
    frames = []
    frame = np.eye(3)
    for vector in angles.spine:
        frame = rotations.compose(frame, rotations.from_vector(vector))
        frames.append(frame)
    limbs, hands, feet = np.zeros((8, 3)), np.zeros((2, 3)), np.zeros((2, 3))
    for side, sign in enumerate((np.ones(3), _MIRROR)):
        for kind, row, values, base in (
            ("UpperArm", 0, angles.arms[side], frames[2]),
            ("UpperLeg", 4, angles.legs[side], frames[0]),
        ):
            upper, lower = _limb_from_angles(kind, values)
            limbs[row + side] = base @ (sign * upper)
            limbs[row + 2 + side] = base @ (sign * lower)
        lower = limbs[2 + side]
        bend = angles.wrists[side]
        sideways = rotations.unit(rotations.cross(lower, limbs[side] + 1e-3))
        hand = lower + bend[0] * sideways + bend[1] * rotations.cross(sideways, lower)
        hands[side] = rotations.unit(hand)
    drops = -(0.51 * limbs[4:6, 1] + 0.49 * limbs[6:8, 1])
    for side, sign in enumerate((np.ones(3), _MIRROR)):
        # The toe direction that follows the shin; a foot near the ground lies flat instead.
        upper, lower = limbs[4 + side], limbs[6 + side]
        thigh = rotations.swing(sign * REFERENCE["UpperLeg"], frames[0].T @ upper)
        thigh = frames[0] @ thigh @ rotations.swing(_DOWN, sign * REFERENCE["UpperLeg"])
        shin = rotations.swing(thigh @ _DOWN, lower) @ thigh
        follow = shin @ np.array([0.0, 0.0, 1.0])
        flat = rotations.unit(follow * np.array([1.0, 0.0, 1.0]))
        pointed = rotations.unit(follow + angles.ankles[side] * lower)
        grounded = np.clip(1.0 - 4.0 * (drops.max() - drops[side]), 0.0, 1.0)
        direction = rotations.unit((1 - grounded) * pointed + grounded * flat)
        # An ankle bends up by about 30 degrees and down by about 60.
        slope = np.clip(direction @ lower, -0.5, 0.85)
        across = rotations.unit(direction - (direction @ lower) * lower)
        feet[side] = rotations.unit(slope * lower + np.sqrt(1 - slope**2) * across)
    root = np.array([0.0, drops.max() - 1.0, 0.0])
    return Pose(angles.spine, limbs, hands, feet, angles.twists, root)


def _through_body(angles: _Angles) -> bool:
    """Whether an arm enters the trunk or the head, on a body of average anime proportions.

    Lengths are in metres for a figure of 1.6 m, in the frame of the chest with the neck at the origin.
    """
    joints = []
    for side, sign in enumerate((np.ones(3), _MIRROR)):
        upper, lower = _limb_from_angles("UpperArm", angles.arms[side])
        shoulder = np.array([0.13, -0.03, 0.0])
        elbow = shoulder + 0.24 * upper
        points = np.concatenate(
            [elbow + 0.22 * t * lower for t in np.linspace(0, 1.3, 7)[:, None]]
            + [shoulder + 0.24 * t * upper for t in (0.6, 0.8)]
        ).reshape(-1, 3)
        trunk = (points[:, 0] / 0.15) ** 2 + (points[:, 2] / 0.12) ** 2 < 1
        head = (points - np.array([0.0, 0.14, 0.02])) / 0.14
        if (trunk & (points[:, 1] < 0.0) & (points[:, 1] > -0.6)).any() or ((head**2).sum(1) < 1).any():
            return True
        joints.append(points * sign)
    gaps = np.linalg.norm(joints[0][:, None] - joints[1][None], axis=-1)
    return bool(gaps.min() < 0.06)


def _sample_angles(rng: np.random.Generator) -> _Angles:
    name = rng.choice(list(_LEGS), p=_LEG_WEIGHTS / _LEG_WEIGHTS.sum())
    *legs, tilt = _LEGS[name]
    legs = np.stack([_limb_to_angles("UpperLeg", *legs[:2]), _limb_to_angles("UpperLeg", *legs[2:])])
    legs += rng.normal(0, [0.1, 0.07, 0.08, 0.1], (2, 4))
    legs[:, 2:] = np.clip(legs[:, 2:], [_TWIST["UpperLeg"][0], 0.02], [_TWIST["UpperLeg"][1], 2.4])
    if rng.random() < 0.5:
        legs = legs[::-1]
    spine = rng.normal(0, [[0.05, 0.08, 0.04], [0.1, 0.14, 0.07], [0.08, 0.12, 0.06]])
    spine[0, 0] += tilt
    neck = rng.normal(0, [0.16, 0.35, 0.12]).clip([-0.5, -0.9, -0.35], [0.5, 0.9, 0.35])
    spine = np.concatenate([spine, [0.4 * neck], [0.6 * neck]])
    wrists, twists = rng.normal(0, 0.16, (2, 2)), rng.normal(0, 0.3, 2).clip(-0.8, 0.8)
    angles = _Angles(spine, np.zeros((2, 4)), legs.copy(), wrists, twists, rng.uniform(0.1, 0.9, 2))
    names = list(_ARMS)
    for _ in range(16):
        arms = rng.choice(names, 2)
        if rng.random() < 0.25:
            arms[1] = arms[0]
        angles.arms = np.stack([_limb_to_angles("UpperArm", *_ARMS[a]) for a in arms])
        angles.arms += rng.normal(0, [0.14, 0.14, 0.18, 0.18], (2, 4))
        low, high = zip(_TWIST["UpperArm"], _BEND["UpperArm"], strict=True)
        angles.arms[:, 2:] = angles.arms[:, 2:].clip(low, high)
        if not _through_body(angles):
            return angles
    angles.arms = _neutral().arms
    return angles


def sample(rng: np.random.Generator) -> Pose:
    """A natural pose: standing, walking, running, sitting, crouching, kicking, waving, arms up and so on.

    Elbows and knees bend one way only and within limits; arms that would enter the trunk or the head of
    an average body are drawn again (a wide skirt or a big hat may still be touched).
    """
    return _build(_sample_angles(rng))


def _walk(rng: np.random.Generator, n: int) -> list[_Angles]:
    """A walk cycle of 24 to 34 frames per two steps, with the arms against the legs."""
    period, phase = rng.uniform(24, 34), rng.uniform(0, 2 * np.pi)
    stride, swing, lift, lean = rng.uniform(0.3, 0.6), rng.uniform(0.25, 0.7), rng.uniform(0.5, 1.1), 0.03
    base, out = _neutral(), []
    for i in range(n):
        t = phase + 2 * np.pi * i / period
        angles = base.mix(base, 0.0)
        for side, s in enumerate((1.0, -1.0)):
            forward = stride * np.sin(t) * s
            # The knee bends while its leg moves forward.
            knee = 0.12 + lift * max(0.0, np.cos(t) * s) ** 1.5
            angles.legs[side] = _limb_to_angles(
                "UpperLeg", (0.04, -np.cos(forward), np.sin(forward)), (0.04, -1.0, np.tan(forward - knee))
            )
            back = -swing * np.sin(t) * s
            angles.arms[side] = _limb_to_angles(
                "UpperArm",
                (0.2, -np.cos(back), np.sin(back)),
                (0.12, -np.cos(back + 0.35), np.sin(back + 0.35)),
            )
            angles.ankles[side] = 0.3
        angles.spine[0] = (lean, -0.12 * np.sin(t), 0.03 * np.cos(t))
        angles.spine[1:3, 1] = 0.12 * np.sin(t)
        out.append(angles)
    return out


def _dance(rng: np.random.Generator, n: int) -> list[_Angles]:
    """Sways around the mean of two sampled poses: every angle has its own phase, at one tempo."""
    a, b = _sample_angles(rng), _sample_angles(rng)
    period = rng.uniform(24, 40)
    phases = {f.name: rng.uniform(-0.5, 0.5, getattr(a, f.name).shape) for f in dataclasses.fields(a)}
    out = []
    for i in range(n):
        values = {}
        for name, phase in phases.items():
            share = 0.5 - 0.5 * np.cos(2 * np.pi * i / period + phase)
            values[name] = (1 - share) * getattr(a, name) + share * getattr(b, name)
        out.append(_Angles(**values))
    return out


def _between(rng: np.random.Generator, n: int) -> list[_Angles]:
    """From one sampled pose to the next every 12 to 24 frames, at rest at each."""
    step = int(rng.integers(12, 25))
    keys = [_sample_angles(rng) for _ in range(n // step + 2)]
    out = []
    for i in range(n):
        t = (i % step) / step
        out.append(keys[i // step].mix(keys[i // step + 1], t * t * (3 - 2 * t)))
    return out


def sequence(rng: np.random.Generator, n: int) -> list[Pose]:
    """`n` poses of one continuous motion at 30 frames per second: a walk, a dance, or pose to pose."""
    motion = (_walk, _dance, _between)[int(rng.integers(3))]
    return [_build(angles) for angles in motion(rng, n)]
