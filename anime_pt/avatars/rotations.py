"""Rotations of 3D vectors, compiled, for the rig and the pose sampler.

Matrices act on column vectors. All functions take and return float64 arrays of shape (3,) or (3, 3) and
can be called from Python and from other compiled functions.
"""

import numba
import numpy as np

_jit = numba.njit(cache=True, nogil=True, error_model="numpy")


@_jit
def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cross product of two (3,) vectors."""
    out = np.empty(3)
    out[0] = a[1] * b[2] - a[2] * b[1]
    out[1] = a[2] * b[0] - a[0] * b[2]
    out[2] = a[0] * b[1] - a[1] * b[0]
    return out


@_jit
def dot(a: np.ndarray, b: np.ndarray) -> float:
    """Inner product of two (3,) vectors."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@_jit
def unit(a: np.ndarray) -> np.ndarray:
    """`a` with length 1; a zero vector stays zero."""
    length = np.sqrt(dot(a, a))
    return a / length if length > 1e-12 else a * 0.0


@_jit
def apply(m: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Matrix times vector, without the overhead of a BLAS call."""
    out = np.empty(3)
    for i in range(3):
        out[i] = m[i, 0] * a[0] + m[i, 1] * a[1] + m[i, 2] * a[2]
    return out


@_jit
def unapply(m: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Transposed matrix times vector: the inverse of `apply` for a rotation."""
    out = np.empty(3)
    for i in range(3):
        out[i] = m[0, i] * a[0] + m[1, i] * a[1] + m[2, i] * a[2]
    return out


@_jit
def compose(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Matrix product a @ b: b acts first."""
    out = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            out[i, j] = a[i, 0] * b[0, j] + a[i, 1] * b[1, j] + a[i, 2] * b[2, j]
    return out


@_jit
def about(axis: np.ndarray, angle: float) -> np.ndarray:
    """Rotation by `angle` radians about a unit `axis`, counter-clockwise seen from its tip (Rodrigues)."""
    c, s = np.cos(angle), np.sin(angle)
    x, y, z = axis[0], axis[1], axis[2]
    k = 1.0 - c
    out = np.empty((3, 3))
    out[0, 0], out[0, 1], out[0, 2] = c + x * x * k, x * y * k - z * s, x * z * k + y * s
    out[1, 0], out[1, 1], out[1, 2] = y * x * k + z * s, c + y * y * k, y * z * k - x * s
    out[2, 0], out[2, 1], out[2, 2] = z * x * k - y * s, z * y * k + x * s, c + z * z * k
    return out


@_jit
def from_vector(v: np.ndarray) -> np.ndarray:
    """Rotation matrix of a rotation vector: its direction is the axis, its length the angle in radians."""
    return about(unit(v), np.sqrt(dot(v, v)))


@_jit
def to_vector(m: np.ndarray) -> np.ndarray:
    """Rotation vector of a matrix, with an angle in [0, pi]."""
    v = np.empty(3)
    v[0], v[1], v[2] = m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]
    sine = 0.5 * np.sqrt(dot(v, v))
    cosine = 0.5 * (m[0, 0] + m[1, 1] + m[2, 2] - 1.0)
    angle = np.arctan2(sine, cosine)
    if sine > 1e-6:
        return v * (0.5 * angle / sine)
    if cosine > 0:
        return v * 0.5
    # Half a turn: the axis is the longest column of (M + 1) / 2.
    best = 0
    for i in range(1, 3):
        if m[i, i] > m[best, best]:
            best = i
    axis = np.empty(3)
    for i in range(3):
        axis[i] = m[i, best] + (1.0 if i == best else 0.0)
    return unit(axis) * angle


@_jit
def swing(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Smallest rotation that takes the direction `a` to `b`; identity if either is zero.

    Opposite directions have no smallest rotation; then an axis is chosen that depends on `a` alone.
    """
    a, b = unit(a), unit(b)
    axis = cross(a, b)
    s, c = np.sqrt(dot(axis, axis)), dot(a, b)
    if s > 1e-9:
        return about(axis / s, np.arctan2(s, c))
    if c >= 0:
        return np.eye(3)
    other = np.zeros(3)
    other[0 if abs(a[0]) < 0.7 else 1] = 1.0
    return about(unit(cross(a, other)), np.pi)


@_jit
def fraction(m: np.ndarray, share: float) -> np.ndarray:
    """The rotation about the same axis by `share` of the angle; any real share."""
    return from_vector(to_vector(m) * share)


@_jit
def heading(m: np.ndarray) -> np.ndarray:
    """The part of a rotation that is about the vertical (Y) axis (swing-twist decomposition)."""
    angle = np.arctan2(m[0, 2] - m[2, 0], m[0, 0] + m[2, 2])
    axis = np.zeros(3)
    axis[1] = 1.0
    return about(axis, angle)
