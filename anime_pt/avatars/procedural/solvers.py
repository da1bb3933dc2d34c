"""Numba kernels that place hanging chains around capsules; see `motion`."""

import numba
import numpy as np

_STEP = np.radians(3.0)
_FAR = np.radians(172.0)
LEGS = 4  # the first capsules are thighs and shins
# Largest difference between the swings of neighbouring chains: cloth does not fold sharper.
_NEIGHBOUR = np.radians(26.0)
_SAMPLES = np.array([0.3, 0.65, 1.0])


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
def gaps(points, ends, radii):
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
def _clearance(start, step, tangent, spread, origin, first, second, ends, radii):
    """Least spare room of a strip of cloth over all capsules; negative where it cuts into one.

    The strip reaches half way to the neighbouring chains: `spread` times the distance from `origin`.
    """
    worst = 1e9
    for s in range(len(_SAMPLES)):
        k = _SAMPLES[s]
        x, y, z = start[0] + k * step[0], start[1] + k * step[1], start[2] + k * step[2]
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
def rest_slack(joints, outward, rooms, ends, radii):
    """(n, m) see `motion.Row`."""
    n, m = joints.shape[0], joints.shape[1] - 1
    legs, leg_radii = ends[:LEGS], radii[:LEGS]
    out = np.empty((n, m))
    middle = np.zeros(3)
    for i in range(n):
        middle += joints[i, 0] / n
    spread = np.tan(np.pi / n)
    for i in range(n):
        tangent = np.cross(np.array([0.0, -1.0, 0.0]), outward[i])
        for j in range(m):
            d = joints[i, j + 1] - joints[i, j]
            first, second = rooms[i, j], rooms[i, j + 1]
            gap = _clearance(joints[i, j], d, tangent, spread, middle, first, second, legs, leg_radii)
            out[i, j] = min(0.0, gap - 1e-4)
    return out


@numba.njit(cache=True, nogil=True)
def swing_skirt(globals_, origin, parent, bones, joints, outward, rooms, slack, stiffness, ends, radii):
    """Each segment takes the least outward swing, in its radial plane, that clears the legs.

    `globals_` (b, 4, 4) is changed in place; `origin` is the rest position of bone `parent`; `ends` and
    `radii` are posed capsules, legs first; the rest as in `motion.Row`.
    """
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
    spread = np.tan(np.pi / n)
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
                        p, step, tangent, spread, middle, rooms[i, j], rooms[i, j + 1], legs, leg_radii
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
def hang(globals_, origin, parent, bones, joints, rooms, halves, stiffness, ends, radii):
    """Hair and capes: segments fall as at rest, whatever the parent does, but go round the body.

    Arguments as in `swing_skirt`.
    """
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
