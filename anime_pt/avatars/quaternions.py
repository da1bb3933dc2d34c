"""Unit quaternions x, y, z, w in arrays of any leading shape, for whole clips at once.

As matrices in `rotations`, they act on column vectors; all shapes broadcast; everything is float64.
"""

import numpy as np

IDENTITY = np.array([0.0, 0.0, 0.0, 1.0])


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(..., 4) product of rotations: b acts first."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    ax, ay, az, aw = a[..., 0], a[..., 1], a[..., 2], a[..., 3]
    bx, by, bz, bw = b[..., 0], b[..., 1], b[..., 2], b[..., 3]
    return np.stack(
        [
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ],
        -1,
    )


def inverse(q: np.ndarray) -> np.ndarray:
    """(..., 4) the rotation back."""
    return np.asarray(q, np.float64) * np.array([-1.0, -1.0, -1.0, 1.0])


def rotate(q: np.ndarray, v: np.ndarray) -> np.ndarray:
    """(..., 3) vectors `v` turned by `q`."""
    q, v = np.asarray(q, np.float64), np.asarray(v, np.float64)
    axis, w = q[..., :3], q[..., 3:]
    twice = 2.0 * np.cross(axis, v)
    return v + w * twice + np.cross(axis, twice)


def unit(v: np.ndarray) -> np.ndarray:
    """`v` divided by its length along the last axis; zero vectors stay zero."""
    v = np.asarray(v, np.float64)
    length = np.linalg.norm(v, axis=-1, keepdims=True)
    return np.where(length > 1e-12, v / np.maximum(length, 1e-12), 0.0)


def about(axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """(..., 4) turns by `angle` (...) radians about unit vectors `axis` (..., 3)."""
    half = np.asarray(angle, np.float64)[..., None] / 2
    axis = np.broadcast_to(axis, (*np.broadcast_shapes(np.shape(axis)[:-1], half.shape[:-1]), 3))
    half = np.broadcast_to(half, (*axis.shape[:-1], 1))
    return np.concatenate([axis * np.sin(half), np.cos(half)], -1)


def swing(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(..., 4) smallest rotations that take directions `a` to `b`; identity where either is zero.

    Opposite directions have no smallest rotation; then half a turn about an axis that depends on `a` alone.
    """
    a, b = np.broadcast_arrays(unit(a), unit(b))
    out = np.concatenate([np.cross(a, b), 1.0 + (a * b).sum(-1, keepdims=True)], -1)
    opposite = out[..., 3] < 1e-12
    if opposite.any():
        other = np.where(np.abs(a[..., :1]) < 0.7, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
        around = np.concatenate([unit(np.cross(a, other)), np.zeros((*a.shape[:-1], 1))], -1)
        out = np.where(opposite[..., None], around, out)
    return unit(out)


def twist(q: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """(..., 4) the part of `q` that is about the unit vector `axis` (swing-twist decomposition).

    Identity where `q` is half a turn about an axis across, as any twist fits there.
    """
    q, axis = np.asarray(q, np.float64), np.asarray(axis, np.float64)
    along = (q[..., :3] * axis).sum(-1, keepdims=True) * axis
    out = unit(np.concatenate([along, q[..., 3:]], -1))
    return np.where(np.abs(out).sum(-1, keepdims=True) > 0, out, IDENTITY)


def slerp(a: np.ndarray, b: np.ndarray, share: np.ndarray | float) -> np.ndarray:
    """(..., 4) rotations on the shorter arc from `a` (share 0) to `b` (share 1); `share` is (...)."""
    a, b = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    cosine = (a * b).sum(-1, keepdims=True)
    b = np.where(cosine < 0, -b, b)
    cosine = np.minimum(np.abs(cosine), 1.0)
    share = np.asarray(share, np.float64)[..., None]
    angle = np.arccos(cosine)
    sine = np.sin(angle)
    near = sine < 1e-6
    safe = np.where(near, 1.0, sine)
    left = np.where(near, 1.0 - share, np.sin((1.0 - share) * angle) / safe)
    right = np.where(near, share, np.sin(share * angle) / safe)
    return unit(left * a + right * b)


def mean(q: np.ndarray) -> np.ndarray:
    """(4,) the mean of (t, 4) rotations: the axis of largest variance, which ignores signs (Markley 2007)."""
    q = np.asarray(q, np.float64)
    return np.linalg.eigh(q.T @ q)[1][:, -1]


def from_matrix(m: np.ndarray) -> np.ndarray:
    """(..., 4) from rotation matrices (..., 3, 3), by the largest of the four components (Shepperd 1978)."""
    m = np.asarray(m, np.float64)
    trace = np.trace(m, axis1=-2, axis2=-1)
    diagonal = np.diagonal(m, axis1=-2, axis2=-1)
    squares = np.concatenate([1.0 - trace[..., None] + 2.0 * diagonal, 1.0 + trace[..., None]], -1)
    xy, xz, yz = (m[..., i, j] + m[..., j, i] for i, j in ((0, 1), (0, 2), (1, 2)))
    wx, wy, wz = (m[..., i, j] - m[..., j, i] for i, j in ((2, 1), (0, 2), (1, 0)))
    x2, y2, z2, w2 = (squares[..., i] for i in range(4))
    rows = np.stack(
        [
            np.stack(row, -1)
            for row in ((x2, xy, xz, wx), (xy, y2, yz, wy), (xz, yz, z2, wz), (wx, wy, wz, w2))
        ],
        -2,
    )
    best = squares.argmax(-1)
    return unit(np.take_along_axis(rows, best[..., None, None], -2)[..., 0, :])


def to_matrix(q: np.ndarray) -> np.ndarray:
    """(..., 3, 3) rotation matrices."""
    q = np.asarray(q, np.float64)
    return np.stack([rotate(q, axis) for axis in np.eye(3)], -1)
