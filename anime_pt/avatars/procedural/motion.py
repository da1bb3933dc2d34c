"""What moves by itself: skirts make room for the legs, hair and capes hang around the trunk.

Each is a row of bone chains, solved afresh for every pose (there is no time, hence no inertia), against
tapered capsules for legs, arms, trunk and head. How far a chain stays away was measured at rest, so the
rest pose is a fixed point.
"""

import dataclasses

import numba
import numpy as np

from anime_pt.avatars.character import Character
from anime_pt.avatars.procedural.body import Body
from anime_pt.avatars.procedural.chains import Chains

_STEP = np.radians(3.0)
_FAR = np.radians(172.0)
LEGS = 4  # the first capsules are thighs and shins
# Largest difference between the swings of neighbouring chains: cloth does not fold sharper.
_NEIGHBOUR = np.radians(26.0)
_SAMPLES = np.array([0.3, 0.65, 1.0])


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """Solver data of one `Chains`, in metres.

    Attributes:
      skirt: swings outwards in radial planes; otherwise hangs.
      parent: bone index; `bones` (n, m) are the chains'.
      joints: (n, m + 1, 3) at rest. `outward`: (n, 3) horizontal unit vectors.
      rooms: (n, m + 1, c) distance to keep from each capsule.
      halves: (n, m, c) the same in the middle of each segment.
      slack: (n, m) how far segments reach into that room at rest, at most 0.
    """

    skirt: bool
    closed: bool
    stiffness: float
    parent: int
    bones: np.ndarray
    joints: np.ndarray
    outward: np.ndarray
    rooms: np.ndarray
    halves: np.ndarray
    slack: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Motion:
    """The `secondary` hook of a character: (character, globals (b, 4, 4)) -> globals.

    Attributes:
      rows: what to solve.
      capsule_bones: (c, 2) bones that carry the ends; `capsule_ends` (c, 2, 3) their rest positions;
        `capsule_radii` (c, 2), all in metres.
    """

    rows: tuple[Row, ...]
    capsule_bones: np.ndarray
    capsule_ends: np.ndarray
    capsule_radii: np.ndarray

    def capsules(self, character: Character, globals_: np.ndarray) -> np.ndarray:
        """(c, 2, 3) posed ends."""
        bones = self.capsule_bones
        local = self.capsule_ends - character.rest[bones][..., :3, 3]
        return np.einsum("ceij,cej->cei", globals_[bones][..., :3, :3], local) + globals_[bones][..., :3, 3]

    def __call__(self, character: Character, globals_: np.ndarray) -> np.ndarray:
        globals_ = np.array(globals_, np.float64)
        ends = self.capsules(character, globals_)
        for row in self.rows:
            solve = _swing if row.skirt else _hang
            solve(
                globals_, character.rest[row.parent, :3, 3], row.parent, row.bones, row.joints, row.outward,
                row.rooms, row.halves, row.slack, row.closed, row.stiffness, ends, self.capsule_radii,
            )  # fmt: skip
        return globals_


def make(body: Body, chains: list[Chains], index: dict[str, int]) -> Motion | None:
    """The solver for a body's chains, or None without any."""
    if not chains:
        return None
    scale = body.d.height
    bones, ends, radii = _capsules(body)
    ends, radii = ends * scale, radii * scale
    rows = []
    for c in chains:
        joints = np.ascontiguousarray(c.joints * scale, np.float64)
        outward = (
            (joints[:, 0] - joints[:, 0].mean(0)) * [1, 0, 1]
            if len(joints) > 4
            else joints[:, -1] * [1, 0, 1]
        )
        outward = outward / np.maximum(np.linalg.norm(outward, axis=-1, keepdims=True), 1e-6)
        rooms, halves = (
            np.minimum(
                _gaps(p.reshape(-1, 3), ends, radii).reshape(*p.shape[:2], -1) - 1e-4, c.radius * scale
            )
            for p in (joints, np.ascontiguousarray(joints[:, 1:] + joints[:, :-1]) / 2)
        )
        n, m = joints.shape[0], joints.shape[1] - 1
        slack = _slack(joints, outward, rooms, c.closed, ends, radii)
        ids = np.array([[index[c.bone(i, j)] for j in range(m)] for i in range(n)], np.int64)
        rows.append(
            Row(
                c.kind == "skirt",
                c.closed,
                c.stiffness,
                index[c.parent],
                ids,
                joints,
                outward,
                rooms,
                halves,
                slack,
            )
        )
    ids = np.array([[index[a], index[b]] for a, b in bones], np.int64)
    return Motion(tuple(rows), ids, ends, radii)


def _capsules(body: Body):
    """Bone pairs, ends (c, 2, 3) and radii (c, 2) in body units."""
    leg, arm = body.leg, body.arm
    radius = lambda tube, t: float(tube.frame(np.array([t]))[1][0])
    hip, knee, ankle = -body.hip_y, -body.knee_y, -body.ankle_y
    width = {"pants": 0.010, "shorts": 0.010}.get(body.d.bottom, 0.003)
    legs, out = [], []
    for side, sign in (("left", 1.0), ("right", -1.0)):
        m = np.array([sign, 1, 1])
        legs += [
            (side + "UpperLeg", side + "LowerLeg", body.hip * m, body.knee * m,
             radius(leg, hip + 0.15 * (knee - hip)) + width, radius(leg, knee) + width + 0.006),
            (side + "LowerLeg", side + "Foot", body.knee * m, body.ankle * m,
             radius(leg, knee + 0.15 * (ankle - knee)) + width + 0.003, radius(leg, ankle - 0.01) + width + 0.006),
        ]  # fmt: skip
        out += [
            (side + "UpperArm", side + "LowerArm", body.shoulder * m, body.elbow * m,
             radius(arm, 0.01) + 0.008, radius(arm, body.upper_arm) + 0.008),
        ]  # fmt: skip
    # trunk: two capsules side by side, since it is wider than deep
    depth = lambda f: float(body.torso.frame(-np.atleast_1d(body.level(f)))[3][0])
    half = lambda f: float(body.torso.frame(-np.atleast_1d(body.level(f)))[1][0])
    for sign in (1.0, -1.0):
        for (low, high), (a, b) in (((0.1, 0.45), ("hips", "spine")), ((0.5, 0.9), ("spine", "chest"))):
            at = lambda f, s=sign: np.array([s * max(half(f) - depth(f), 0.0), body.level(f), 0.0])
            out.append((a, b, at(low), at(high), depth(low) + 0.004, depth(high) + 0.006))
    h = body.head_height
    center = np.array([0, body.chin + 0.52 * h, -0.02 * h])
    out.append(("head", "head", center, center + [0, 0.05 * h, 0], 0.41 * h, 0.41 * h))
    out = legs + out
    bones = [(a, b) for a, b, *_ in out]
    return bones, np.array([[p, q] for _, _, p, q, *_ in out]), np.array([[r, s] for *_, r, s in out])


@numba.njit(cache=True, nogil=True)
def _gap(p, a, b, ra, rb):
    """Distance from a point to a tapered capsule (radius linear along the axis), and the way out."""
    axis = b - a
    length = axis @ axis
    t = 0.0
    if length > 1e-12:
        t = min(1.0, max(0.0, ((p - a) @ axis) / length))
    away = p - a - t * axis
    d = np.sqrt(away @ away)
    return d - (ra + t * (rb - ra)), away / max(d, 1e-9)


@numba.njit(cache=True, nogil=True)
def _gaps(points, ends, radii):
    """Distances (p, c) of points from all capsules."""
    out = np.empty((len(points), len(ends)))
    for i in range(len(points)):
        for c in range(len(ends)):
            out[i, c] = _gap(points[i], ends[c, 0], ends[c, 1], radii[c, 0], radii[c, 1])[0]
    return out


@numba.njit(cache=True, nogil=True)
def _turn(axis, angle):
    """Rotation matrix (3, 3) about a unit axis."""
    c, s = np.cos(angle), np.sin(angle)
    x, y, z = axis
    k = 1 - c
    return np.array(
        [
            [c + k * x * x, k * x * y - s * z, k * x * z + s * y],
            [k * x * y + s * z, c + k * y * y, k * y * z - s * x],
            [k * x * z - s * y, k * y * z + s * x, c + k * z * z],
        ]
    )


@numba.njit(cache=True, nogil=True)
def _clearance(start, direction, length, tangent, spread, origin, first, second, ends, radii):
    """Least spare room of a strip of cloth over all capsules; negative where it cuts into one.

    The strip reaches half way to the neighbouring chains: `spread` times the distance from `origin`.
    """
    worst = 1e9
    for s in range(len(_SAMPLES)):
        k = _SAMPLES[s] * length
        x, y, z = start[0] + k * direction[0], start[1] + k * direction[1], start[2] + k * direction[2]
        half = spread * np.sqrt((x - origin[0]) ** 2 + (y - origin[1]) ** 2 + (z - origin[2]) ** 2)
        for side in (-1.0, 0.0, 1.0):
            px, py, pz = (
                x + side * half * tangent[0], y + side * half * tangent[1], z + side * half * tangent[2]
            )  # fmt: skip
            for c in range(len(ends)):
                ax, ay, az = ends[c, 0, 0], ends[c, 0, 1], ends[c, 0, 2]
                ux, uy, uz = ends[c, 1, 0] - ax, ends[c, 1, 1] - ay, ends[c, 1, 2] - az
                dx, dy, dz = px - ax, py - ay, pz - az
                t = (dx * ux + dy * uy + dz * uz) / (ux * ux + uy * uy + uz * uz + 1e-12)
                t = min(1.0, max(0.0, t))
                dx, dy, dz = dx - t * ux, dy - t * uy, dz - t * uz
                room = first[c] + (second[c] - first[c]) * _SAMPLES[s]
                reach = radii[c, 0] + t * (radii[c, 1] - radii[c, 0]) + room
                worst = min(worst, np.sqrt(dx * dx + dy * dy + dz * dz) - reach)
    return worst


@numba.njit(cache=True, nogil=True)
def _split(d, outward):
    """Length of a rest segment in its radial plane, and its part along the tangent (down x outward)."""
    aside = -d[0] * outward[2] + d[2] * outward[0]
    return np.sqrt(d[1] ** 2 + (d @ outward) ** 2), aside


@numba.njit(cache=True, nogil=True)
def _slack(joints, outward, rooms, closed, ends, radii):
    """See `Row.slack`."""
    n, m = joints.shape[0], joints.shape[1] - 1
    legs, leg_radii = ends[:LEGS], radii[:LEGS]
    out = np.empty((n, m))
    middle = np.zeros(3)
    for i in range(n):
        middle += joints[i, 0] / n
    spread = np.tan(np.pi / n) if closed else 0.0
    for i in range(n):
        tangent = np.cross(np.array([0.0, -1.0, 0.0]), outward[i])
        for j in range(m):
            d = joints[i, j + 1] - joints[i, j]
            length = np.sqrt(d @ d)
            gap = _clearance(
                joints[i, j], d / length, length, tangent, spread, middle, rooms[i, j], rooms[i, j + 1], legs, leg_radii
            )  # fmt: skip
            out[i, j] = min(0.0, gap - 1e-4)
    return out


@numba.njit(cache=True, nogil=True)
def _swing(
    globals_, origin, parent, bones, joints, outward, rooms, halves, slack, closed, stiffness, ends, radii
):
    """Skirt: each segment takes the least outward swing, in its radial plane, that clears the body."""
    n, m = bones.shape
    frame = np.ascontiguousarray(globals_[parent, :3, :3])
    place = globals_[parent, :3, 3]
    down = frame @ np.array([0.0, -1.0, 0.0])
    swing = np.empty((n, m))
    rest = np.empty((n, m))
    legs, leg_radii = ends[:LEGS], radii[:LEGS]
    middle = np.zeros(3)
    for i in range(n):
        middle += joints[i, 0] / n
    middle = frame @ (middle - origin) + place
    spread = np.tan(np.pi / n) if closed else 0.0
    for i in range(n):
        out = frame @ outward[i]
        lean = np.arctan2(-out[1], max(-down[1], 0.2))
        for j in range(m):
            d = joints[i, j + 1] - joints[i, j]
            rest[i, j] = np.arctan2(d @ outward[i], -d[1])
            swing[i, j] = rest[i, j] + (1 - stiffness) * min(1.0, max(-0.15, lean))
    for sweep in range(3):
        for i in range(n):
            out = frame @ outward[i]
            tangent = np.cross(down, out)
            p = frame @ (joints[i, 0] - origin) + place
            for j in range(m):
                planar, aside = _split(joints[i, j + 1] - joints[i, j], outward[i])
                angle, best, best_gap = swing[i, j], swing[i, j], -1e9
                while angle < _FAR:
                    step = planar * (np.cos(angle) * down + np.sin(angle) * out) + aside * tangent
                    gap = _clearance(
                        p, step, 1.0, tangent, spread, middle, rooms[i, j], rooms[i, j + 1], legs, leg_radii
                    )
                    if gap > best_gap + 1e-4:
                        best, best_gap = angle, gap
                    if gap >= slack[i, j]:
                        break
                    angle += _STEP
                swing[i, j] = best
                p = p + planar * (np.cos(best) * down + np.sin(best) * out) + aside * tangent
        if sweep == 2:
            break
        for _ in range(3):
            before = swing.copy()
            for i in range(n):
                if not closed and (i == 0 or i == n - 1):
                    continue
                for j in range(m):
                    side = max(
                        before[i - 1, j] - rest[i - 1, j], before[(i + 1) % n, j] - rest[(i + 1) % n, j]
                    )
                    swing[i, j] = max(swing[i, j], rest[i, j] + side - _NEIGHBOUR)
    for i in range(n):
        out = frame @ outward[i]
        axis = np.cross(down, out)
        p = frame @ (joints[i, 0] - origin) + place
        for j in range(m):
            planar, aside = _split(joints[i, j + 1] - joints[i, j], outward[i])
            bone = bones[i, j]
            globals_[bone, :3, :3] = _turn(axis, swing[i, j] - rest[i, j]) @ frame
            globals_[bone, :3, 3] = p
            p = p + planar * (np.cos(swing[i, j]) * down + np.sin(swing[i, j]) * out) + aside * axis


@numba.njit(cache=True, nogil=True)
def _align(frame, start, end):
    """`frame` turned by the least rotation that takes unit `start` to unit `end`."""
    axis = np.cross(start, end)
    s = np.sqrt(axis @ axis)
    c = start @ end
    if s < 1e-9:
        return frame.copy()
    return _turn(axis / s, np.arctan2(s, c)) @ frame


@numba.njit(cache=True, nogil=True)
def _hang(
    globals_, origin, parent, bones, joints, outward, rooms, halves, slack, closed, stiffness, ends, radii
):
    """Hair and capes: segments fall as at rest, whatever the head does, but go round the body."""
    n, m = bones.shape
    frame = np.ascontiguousarray(globals_[parent, :3, :3])
    place = globals_[parent, :3, 3]
    # what the parent's heading alone would do to the rest shape
    ahead = frame @ np.array([0.0, 0.0, 1.0])
    yaw = np.arctan2(ahead[0], ahead[2])
    upright = _turn(np.array([0.0, 1.0, 0.0]), yaw)
    for i in range(n):
        p = frame @ (joints[i, 0] - origin) + place
        base = frame
        for j in range(m):
            d = joints[i, j + 1] - joints[i, j]
            length = np.sqrt(d @ d)
            unit = d / length
            keep = stiffness if j else min(1.0, stiffness + 0.2)
            way = keep * (frame @ unit) + (1 - keep) * (upright @ unit)
            way /= max(np.sqrt(way @ way), 1e-9)
            for _ in range(6):
                moved = False
                for s in (0.5, 1.0):
                    q = p + way * (length * s)
                    for c in range(len(ends)):
                        room = halves[i, j, c] if s < 1 else rooms[i, j + 1, c]
                        gap, out = _gap(q, ends[c, 0], ends[c, 1], radii[c, 0], radii[c, 1])
                        if gap < room:
                            q = q + out * (room - gap) * 1.02
                            moved = True
                    if moved:
                        way = q - p
                        way /= max(np.sqrt(way @ way), 1e-9)
                if not moved:
                    break
            base = _align(base, base @ unit, way)
            bone = bones[i, j]
            globals_[bone, :3, :3] = base
            globals_[bone, :3, 3] = p
            p = p + length * way
