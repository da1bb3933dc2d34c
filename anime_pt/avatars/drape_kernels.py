"""Numba kernels that turn hanging bones out of capsules; see `drape`."""

from typing import NamedTuple

import numba
import numpy as np

from anime_pt.avatars import rotations

_jit = numba.njit(cache=True, nogil=True, error_model="numpy")
# A call would count references to every array of the tuples.
_inlined = numba.njit(cache=True, nogil=True, error_model="numpy", inline="always")

_STEPS = 8  # from the rest pose to the wanted one
_SWEEPS = 2  # over all bones in each step
_SETTLING = 6  # sweeps at the end, of which the first half still relaxes
_RELAX = np.radians(2.0)  # by which a bone returns in each sweep, so that it stays out only where it must
_MOST = np.radians(20.0)  # turn of a bone in one sweep
# Ways out of a capsule lean to the outer side of the cloth by this. A leg under the cloth would part it at
# its ridge otherwise, and strands would flip from side to side.
_OUTWARDS = 1.0


class Strands(NamedTuple):
    """What hangs and what it hangs around.

    The n bones are those that hang and their ancestors, those that move vertices with them, and those that
    carry capsules, parents first. Positions are of the rest pose, in metres.

    Attributes:
      parents: (n,) int64 indices into these bones, -1 for roots.
      anchors: (n,) int64 the nearest bone above that does not hang, -1 for none.
      pivots: (n, 3).
      loose: (n,) bool, bones that hang.
      limits: (n,) radians that a bone may turn against its parent, beyond what the pose gave it.
      starts: (n + 1,) int64 runs of `samples` (s, 3), vertices that each bone keeps out of the body.
      nodes, weights: (s, 4) int64 bones that move each sample, and their shares.
      outwards: (s, 3) unit and horizontal, away from the bone that carries the strand.
      rooms: (s, c) distance that each keeps from each capsule, negative where it is inside at rest; -inf
        for what it passes.
      middles, reaches: (n, 3) and (n,) balls around the samples of each bone.
      capsule_nodes, capsule_ends, capsule_radii: (c,) int64 bones, (c, 2, 3), (c, 2).
      link_starts: (n + 1,) int64 runs of `links` (l,), the neighbours of each bone.
      link_points: (l, 2, 3) the ends of an edge between the two, on the bone and on its neighbour.
      link_lengths: (l,) metres to which it may stretch.
    """

    parents: np.ndarray
    anchors: np.ndarray
    pivots: np.ndarray
    loose: np.ndarray
    limits: np.ndarray
    starts: np.ndarray
    samples: np.ndarray
    nodes: np.ndarray
    weights: np.ndarray
    outwards: np.ndarray
    rooms: np.ndarray
    middles: np.ndarray
    reaches: np.ndarray
    capsule_nodes: np.ndarray
    capsule_ends: np.ndarray
    capsule_radii: np.ndarray
    links: np.ndarray
    link_starts: np.ndarray
    link_points: np.ndarray
    link_lengths: np.ndarray


class _State(NamedTuple):
    """Where the bones are on the way from rest to the pose.

    Attributes:
      frames, origins: (n, 3, 3) how each bone has turned since rest, and (n, 3) where its pivot is.
      owns, shifts: (n, 3, 3) and (n, 3) what the pose does to it, against its parent.
      bends: (n, 3) rotation vectors in the parent's frame, what hanging does to it.
      ends: (c, 2, 3) of the capsules.
      total: (4,) sum of turns, and of their weights.
    """

    frames: np.ndarray
    origins: np.ndarray
    owns: np.ndarray
    shifts: np.ndarray
    bends: np.ndarray
    ends: np.ndarray
    total: np.ndarray


@_jit
def _gap(x, y, z, ends, radii, c, limit):
    """Distance of a point from capsule `c` (negative inside), and the unit way out.

    A distance of more than `limit` is returned as `limit`, without a way.
    """
    ax, ay, az = ends[c, 0, 0], ends[c, 0, 1], ends[c, 0, 2]
    ux, uy, uz = ends[c, 1, 0] - ax, ends[c, 1, 1] - ay, ends[c, 1, 2] - az
    dx, dy, dz = x - ax, y - ay, z - az
    t = (dx * ux + dy * uy + dz * uz) / (ux * ux + uy * uy + uz * uz + 1e-12)
    t = min(1.0, max(0.0, t))
    dx, dy, dz = dx - t * ux, dy - t * uy, dz - t * uz
    radius = radii[c, 0] + t * (radii[c, 1] - radii[c, 0])
    square, most = dx * dx + dy * dy + dz * dz, max(0.0, radius + limit)
    if square > most * most:
        return limit, 0.0, 0.0, 0.0
    d = np.sqrt(square) + 1e-9
    return d - radius, dx / d, dy / d, dz / d


@_jit
def gaps(points, ends, radii):
    """(p, c) distances of points (p, 3) from capsules with `ends` (c, 2, 3) and `radii` (c, 2)."""
    out = np.empty((len(points), len(ends)))
    for i in range(len(points)):
        for c in range(len(ends)):
            out[i, c] = _gap(points[i, 0], points[i, 1], points[i, 2], ends, radii, c, np.inf)[0]
    return out


@_jit
def _place(frames, origins, pivots, k, x, y, z):
    """Where a rest point is when it rides on bone `k`."""
    x, y, z = x - pivots[k, 0], y - pivots[k, 1], z - pivots[k, 2]
    return (
        frames[k, 0, 0] * x + frames[k, 0, 1] * y + frames[k, 0, 2] * z + origins[k, 0],
        frames[k, 1, 0] * x + frames[k, 1, 1] * y + frames[k, 1, 2] * z + origins[k, 1],
        frames[k, 2, 0] * x + frames[k, 2, 1] * y + frames[k, 2, 2] * z + origins[k, 2],
    )


@_jit
def _add_push(total, rx, ry, rz, nx, ny, nz, depth):
    """Adds the turn that moves a point at lever `r` by `depth` along `n`; the deepest count most.

    A push along the lever turns nothing; the second term keeps it from turning without bound.
    """
    ax, ay, az = ry * nz - rz * ny, rz * nx - rx * nz, rx * ny - ry * nx
    weight = depth * depth
    share = weight * depth / (ax * ax + ay * ay + az * az + 0.1 * (rx * rx + ry * ry + rz * rz) + 1e-9)
    total[0] += ax * share
    total[1] += ay * share
    total[2] += az * share
    total[3] += weight


@_inlined
def _collide(k, net, now, near, skipped):
    """Sums up how the samples of bone `k` leave the capsules, except those of the bone `skipped`."""
    frames, origins, pivots, ends, radii = now.frames, now.origins, net.pivots, now.ends, net.capsule_radii
    mx, my, mz = net.middles[k, 0], net.middles[k, 1], net.middles[k, 2]
    mx, my, mz = _place(frames, origins, pivots, k, mx, my, mz)
    reach, count = net.reaches[k], 0
    for c in range(len(ends)):
        if net.capsule_nodes[c] != skipped and _gap(mx, my, mz, ends, radii, c, reach)[0] < reach:
            near[count] = c
            count += 1
    if count == 0:
        return
    for s in range(net.starts[k], net.starts[k + 1]):
        px = py = pz = 0.0
        for i in range(4):
            w = net.weights[s, i]
            if w > 0.0:
                x, y, z = net.samples[s, 0], net.samples[s, 1], net.samples[s, 2]
                x, y, z = _place(frames, origins, pivots, net.nodes[s, i], x, y, z)
                px, py, pz = px + w * x, py + w * y, pz + w * z
        for i in range(count):
            c = near[i]
            room = net.rooms[s, c]
            d, nx, ny, nz = _gap(px, py, pz, ends, radii, c, room)
            if d < room:
                vx, vz = _OUTWARDS * net.outwards[s, 0], _OUTWARDS * net.outwards[s, 2]
                nx += frames[k, 0, 0] * vx + frames[k, 0, 2] * vz
                ny += frames[k, 1, 0] * vx + frames[k, 1, 2] * vz
                nz += frames[k, 2, 0] * vx + frames[k, 2, 2] * vz
                size = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
                x, y, z = px - origins[k, 0], py - origins[k, 1], pz - origins[k, 2]
                _add_push(now.total, x, y, z, nx / size, ny / size, nz / size, room - d)


@_inlined
def _pull(k, net, now):
    """Sums up how bone `k` follows the neighbours that its mesh is sewn to."""
    frames, origins, pivots, ends = now.frames, now.origins, net.pivots, net.link_points
    for i in range(net.link_starts[k], net.link_starts[k + 1]):
        px, py, pz = _place(frames, origins, pivots, k, ends[i, 0, 0], ends[i, 0, 1], ends[i, 0, 2])
        x, y, z = _place(frames, origins, pivots, net.links[i], ends[i, 1, 0], ends[i, 1, 1], ends[i, 1, 2])
        x, y, z = x - px, y - py, z - pz
        length = np.sqrt(x * x + y * y + z * z) + 1e-9
        half = 0.5 * (length - net.link_lengths[i])  # The neighbour goes the other half.
        if half > 0.0:
            px, py, pz = px - origins[k, 0], py - origins[k, 1], pz - origins[k, 2]
            _add_push(now.total, px, py, pz, x / length, y / length, z / length, half)


@_jit
def _clipped(v, most):
    size = np.sqrt(rotations.dot(v, v))
    return v * (most / size) if size > most else v


@_jit
def _multiply(a, b, out):
    """The product of two (3, 3) into a third, which is neither."""
    for i in range(3):
        for j in range(3):
            out[i, j] = a[i, 0] * b[0, j] + a[i, 1] * b[1, j] + a[i, 2] * b[2, j]


@_inlined
def _follow(k, net, now):
    """Places bone `k` behind its parent."""
    p, turn = net.parents[k], now.owns[k]
    if now.bends[k, 0] != 0.0 or now.bends[k, 1] != 0.0 or now.bends[k, 2] != 0.0:
        turn = rotations.compose(rotations.from_vector(now.bends[k]), turn)
    if p < 0:
        now.frames[k] = turn
        now.origins[k] = net.pivots[k] + now.shifts[k]
    else:
        _multiply(now.frames[p], turn, now.frames[k])
        x, y, z = net.pivots[k, 0], net.pivots[k, 1], net.pivots[k, 2]
        x, y, z = x + now.shifts[k, 0], y + now.shifts[k, 1], z + now.shifts[k, 2]
        x, y, z = _place(now.frames, now.origins, net.pivots, p, x, y, z)
        now.origins[k, 0], now.origins[k, 1], now.origins[k, 2] = x, y, z


@_jit
def _bend(k, net, now):
    """Bends bone `k` by the mean turn of `total`, which is about axes of the character.

    A bone does not turn about its own length: that clears little and wrings the cloth.
    """
    push = _clipped(now.total[:3] / now.total[3], _MOST)
    along = rotations.unit(rotations.apply(now.frames[k], net.middles[k] - net.pivots[k]))
    push -= rotations.dot(push, along) * along
    p = net.parents[k]
    if p >= 0:
        push = rotations.unapply(now.frames[p], push)
    bend = rotations.compose(rotations.from_vector(push), rotations.from_vector(now.bends[k]))
    now.bends[k] = _clipped(rotations.to_vector(bend), net.limits[k])
    _follow(k, net, now)


@_jit
def _locals(net, frames, origins):
    """What each bone does against its parent: (n, 3) rotation vectors and shifts."""
    turns, shifts = np.zeros((len(frames), 3)), np.zeros((len(frames), 3))
    for k in range(len(frames)):
        p = net.parents[k]
        if p < 0:
            turns[k] = rotations.to_vector(frames[k])
            shifts[k] = origins[k] - net.pivots[k]
        else:
            turns[k] = rotations.to_vector(rotations.compose(frames[p].T.copy(), frames[k]))
            x, y, z = net.pivots[k]
            x, y, z = _place(frames, origins, net.pivots, p, x, y, z)
            shifts[k] = rotations.unapply(frames[p], origins[k] - np.array((x, y, z)))
    return turns, shifts


@_jit
def settle(net, frames, origins):
    """Turns the loose bones of `net` until they are out of the capsules.

    The body goes from rest to the pose in steps and takes the loose bones along, so that each stays on its
    side of a leg. Nothing depends on earlier calls.

    Args:
      net: `Strands`.
      frames, origins: (n, 3, 3) how each bone has turned since rest, and (n, 3) where its pivot is. Changed
        in place.

    Returns:
      (n,) bool: which bones were turned or moved.
    """
    count = len(net.parents)
    turns, shifts = _locals(net, frames, origins)
    now = _State(
        frames,
        origins,
        np.empty((count, 3, 3)),
        np.empty((count, 3)),
        np.zeros((count, 3)),
        np.empty_like(net.capsule_ends),
        np.empty(4),
    )
    near = np.empty(len(net.capsule_ends), np.int64)
    # A bone that has done nothing since rest cannot have met a capsule of the bone that carries it.
    quiet, still = np.empty(count, np.bool_), np.zeros(count, np.bool_)
    for k in range(count):
        quiet[k] = np.abs(turns[k]).max() < 1e-9 and np.abs(shifts[k]).max() < 1e-9
    for step in range(1, _STEPS + 2):
        if step <= _STEPS:
            t = step / _STEPS
            for k in range(count):
                now.owns[k] = rotations.from_vector(turns[k] * t)
                now.shifts[k] = shifts[k] * t
                _follow(k, net, now)
            for c in range(len(now.ends)):
                k = net.capsule_nodes[c]
                for e in range(2):
                    x, y, z = net.capsule_ends[c, e]
                    x, y, z = _place(frames, origins, net.pivots, k, x, y, z)
                    now.ends[c, e, 0], now.ends[c, e, 1], now.ends[c, e, 2] = x, y, z
        sweeps = _SWEEPS if step <= _STEPS else _SETTLING
        for sweep in range(sweeps):
            relax = _RELAX if step <= _STEPS or sweep < sweeps // 2 else 0.0
            for k in range(count):
                if not net.loose[k]:
                    continue
                x, y, z = now.bends[k, 0], now.bends[k, 1], now.bends[k, 2]
                bend = np.sqrt(x * x + y * y + z * z)
                if bend > 0.0:
                    now.bends[k] *= max(0.0, 1.0 - relax / bend)
                p = net.parents[k]
                alone = p == net.anchors[k] or still[p]
                still[k] = alone and quiet[k] and bend == 0.0
                _follow(k, net, now)
                now.total[:] = 0.0
                _pull(k, net, now)
                if now.total[3] > 0.0:
                    _bend(k, net, now)
                now.total[:] = 0.0
                _collide(k, net, now, near, net.anchors[k] if still[k] else -1)
                if now.total[3] > 0.0:
                    _bend(k, net, now)
    moved = np.zeros(count, np.bool_)
    for k in range(count):
        if net.loose[k]:
            p = net.parents[k]
            moved[k] = rotations.dot(now.bends[k], now.bends[k]) > 0.0 or (p >= 0 and moved[p])
    return moved
