"""Hands with five fingers, and bare feet."""

import numpy as np

from anime_pt.avatars.procedural import mesh
from anime_pt.avatars.procedural.body import Body
from anime_pt.avatars.procedural.mesh import Patch, curve, lerp

# Root across the palm (thumb side positive) and along it, length, sideways spread, as shares of the hand.
_FINGERS = (
    (0.155, 0.50, 0.40, 0.10),
    (0.052, 0.53, 0.45, 0.02),
    (-0.052, 0.52, 0.42, -0.05),
    (-0.150, 0.47, 0.33, -0.14),
)


def hand(body: Body, offset: float = 0.0) -> list[Patch]:
    """Left palm, four fingers and thumb, relaxed; `offset` makes a glove."""
    d = body.arm_direction
    thumb_side = np.array([0, 0, 1.0])
    back = np.cross(thumb_side, d)  # of the hand
    size, chibi = body.hand_length, body.chibi
    thick = float(lerp(1.0, 1.5, chibi))
    broad = float(lerp(1.0, 1.3, chibi))
    wrist = float(body.arm.widths[-1])

    def place(along, across, lift):
        a = np.asarray
        return body.wrist + size * (
            a(along)[..., None] * d + broad * a(across)[..., None] * thumb_side + a(lift)[..., None] * back
        )

    weights = {"leftHand": 1.0}
    t = np.array([-0.10, 0.0, 0.14, 0.30, 0.45, 0.55, 0.585])
    palm_half = broad * np.array([0.165, 0.205, 0.215, 0.195, 0.12])
    half = np.r_[wrist / size * 0.97, wrist / size, palm_half] + offset / size
    flat = np.array([wrist / size * 0.94, wrist / size * 0.9, 0.105, 0.095, 0.080, 0.066, 0.03]) * (
        0.6 + 0.4 * thick
    )
    flat = np.r_[flat[:2] / (0.6 + 0.4 * thick), flat[2:]] + offset / size
    one = np.ones_like(t)[:, None]
    palm = mesh.sweep(
        place(t, 0 * t, -0.25 * np.maximum(t, 0) ** 2),
        size * flat[:, None] * back * one,
        size * half[:, None] * thumb_side * one,
        shape=mesh.circle(12, 2.5),
    )
    forearm = mesh.smoothstep(palm.positions @ d - body.wrist @ d, -0.10 * size, 0.10 * size)
    palm.weights = {"leftForearm": 1 - forearm, "leftHand": forearm}
    parts = [palm]
    short = float(lerp(1.0, 0.72, chibi))
    for across, root, length, spread in _FINGERS:
        parts.append(
            _finger(
                place,
                d,
                back,
                thumb_side,
                size,
                root - 0.08,
                across,
                length * short + 0.08,
                spread,
                0.060 * thick + offset / size,
                (0.12, 0.32, 0.38),
                weights,
            )
        )
    s = np.array([0.0, 0.3, 0.6, 0.85, 1.0])
    reach = short * 0.42
    along, across, lift = 0.10 + reach * s * 0.85, 0.10 + reach * 0.62 * s**0.8, -0.05 - 0.11 * s
    r = size * (np.array([0.075, 0.072, 0.062, 0.052, 0.026]) * thick + offset / size)
    p = place(along, across, lift)
    axis = np.gradient(p, axis=0)
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    front = np.cross(axis, back)
    front /= np.linalg.norm(front, axis=1, keepdims=True)
    right = np.cross(front, axis)
    parts.append(mesh.sweep(p, right * r[:, None], front * r[:, None], shape=mesh.circle(7), weights=weights))
    return parts


def _finger(place, d, back, side, size, root, across, length, spread, radius, bends, weights) -> Patch:
    s = np.array([0.0, 0.32, 0.40, 0.62, 0.72, 0.92, 1.0])
    angle = curve(
        s, [0, 0.25, 0.5, 0.75, 1], np.r_[0, 0.3 * bends[0], bends[0] + 0.2, bends[1] + 0.4, sum(bends)]
    )
    step = np.diff(s, prepend=0) * length
    along = root + np.cumsum(step * np.cos(angle) * np.cos(spread))
    lift = -0.02 - np.cumsum(step * np.sin(angle))
    z = across + np.cumsum(step * np.sin(spread))
    p = place(along, z, lift)
    r = size * radius * np.array([0.95, 1.0, 1.0, 0.95, 0.95, 0.80, 0.42])
    front = side * np.cos(spread) - d * np.sin(spread)
    right = np.cos(angle)[:, None] * back + np.sin(angle)[:, None] * (
        d * np.cos(spread) + side * np.sin(spread)
    )
    front = np.broadcast_to(front, p.shape)
    return mesh.sweep(p, right * r[:, None], front * r[:, None], shape=mesh.circle(7), weights=weights)


def foot_rows(body: Body, length_scale: float = 1.0):
    """z, half width and height of the foot from heel to toe, in body units."""
    chibi = body.chibi
    length = float(lerp(0.132, 0.118, chibi)) * length_scale
    z0 = body.ankle[2] - 0.030 * (1 + 0.35 * chibi)
    z = z0 + length * np.array([0.0, 0.03, 0.12, 0.28, 0.45, 0.62, 0.78, 0.90, 0.97, 1.0])
    half = np.array([0.008, 0.0155, 0.0205, 0.0215, 0.0225, 0.0255, 0.0265, 0.0225, 0.0145, 0.006])
    tall = np.array([0.022, 0.036, 0.050, 0.053, 0.042, 0.031, 0.0235, 0.019, 0.0150, 0.011])
    wide = float(lerp(1.0, 1.45, chibi))
    return z, half * wide, tall * float(lerp(1.0, 1.08, chibi))


def foot(body: Body, offset: float = 0.0, floor: float = 0.0, top: float = 10.0, scale: float = 1.0) -> Patch:
    """Left foot or shoe: flat below at height `floor`, cut above at `top`."""
    z, half, tall = foot_rows(body, scale)
    half, tall = half + offset, np.minimum(tall + offset, top)
    z = z + np.linspace(-1.2, 1.2, len(z)) * offset
    x = body.ankle[0] + 0.004 * np.linspace(0, 1, len(z)) ** 2
    middle = (tall + floor) / 2
    centers = np.stack([x, middle, z], -1)
    axis = lambda r, v: r[:, None] * np.array(v, float)
    shape = mesh.circle(16, 2.6).copy()
    shape[:, 1] = np.where(shape[:, 1] < 0, np.maximum(shape[:, 1] * 1.35, -1.0), shape[:, 1])
    patch = mesh.sweep(centers, axis(half, [1, 0, 0]), axis((tall - floor) / 2, [0, 1, 0]), shape=shape)
    patch.weights = {"leftFoot": 1.0}
    return patch
