"""Unit quaternions x, y, z, w, one at a time and compiled, for the deform rig. For clips see `quaternions`.

All functions take and return float64 arrays of shape (4,) or (3,) and can be called from Python and from
other compiled functions.
"""

import numba
import numpy as np

_jit = numba.njit(cache=True, nogil=True, error_model="numpy")


@_jit
def compose(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Product a b: b acts first."""
    out = np.empty(4)
    out[0] = a[3] * b[0] + a[0] * b[3] + a[1] * b[2] - a[2] * b[1]
    out[1] = a[3] * b[1] - a[0] * b[2] + a[1] * b[3] + a[2] * b[0]
    out[2] = a[3] * b[2] + a[0] * b[1] - a[1] * b[0] + a[2] * b[3]
    out[3] = a[3] * b[3] - a[0] * b[0] - a[1] * b[1] - a[2] * b[2]
    return out


@_jit
def inverse(q: np.ndarray) -> np.ndarray:
    """The rotation back."""
    out = -q
    out[3] = q[3]
    return out


@_jit
def apply(q: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Turns a (3,) vector."""
    x, y, z, w = q[0], q[1], q[2], q[3]
    # a + 2 w (v x a) + 2 v x (v x a), with v = (x, y, z).
    s = 2.0 * (y * a[2] - z * a[1])
    t = 2.0 * (z * a[0] - x * a[2])
    u = 2.0 * (x * a[1] - y * a[0])
    out = np.empty(3)
    out[0] = a[0] + w * s + y * u - z * t
    out[1] = a[1] + w * t + z * s - x * u
    out[2] = a[2] + w * u + x * t - y * s
    return out


@_jit
def about(axis: np.ndarray, angle: float) -> np.ndarray:
    """Rotation by `angle` radians about a unit `axis`, counter-clockwise seen from its tip."""
    out = np.empty(4)
    s = np.sin(0.5 * angle)
    out[0], out[1], out[2], out[3] = axis[0] * s, axis[1] * s, axis[2] * s, np.cos(0.5 * angle)
    return out


@_jit
def unit(q: np.ndarray) -> np.ndarray:
    """`q` with length 1; zeros become the identity."""
    length = np.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
    if length > 1e-12:
        return q / length
    out = np.zeros(4)
    out[3] = 1.0
    return out


@_jit
def fraction(q: np.ndarray, share: float) -> np.ndarray:
    """The rotation about the same axis by `share` of the smaller angle; any real share."""
    sign = 1.0 if q[3] >= 0.0 else -1.0
    sine = np.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2])
    out = np.zeros(4)
    if sine < 1e-12:
        out[3] = 1.0
        return out
    half = share * np.arctan2(sine, sign * q[3])
    scale = sign * np.sin(half) / sine
    out[0], out[1], out[2], out[3] = q[0] * scale, q[1] * scale, q[2] * scale, np.cos(half)
    return out


@_jit
def slerp(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """From `a` at share 0 to `b` at 1, by the shorter way, at constant speed."""
    return compose(a, fraction(compose(inverse(a), b), share))


@_jit
def twist(q: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """The part of a rotation that is about a unit `axis` (swing-twist decomposition)."""
    along = q[0] * axis[0] + q[1] * axis[1] + q[2] * axis[2]
    out = np.empty(4)
    out[0], out[1], out[2], out[3] = along * axis[0], along * axis[1], along * axis[2], q[3]
    return unit(out)


@_jit
def to_matrix(q: np.ndarray) -> np.ndarray:
    """(3, 3) rotation matrix."""
    x, y, z, w = q[0], q[1], q[2], q[3]
    out = np.empty((3, 3))
    out[0, 0], out[0, 1] = 1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z)
    out[0, 2], out[1, 0] = 2.0 * (x * z + w * y), 2.0 * (x * y + w * z)
    out[1, 1], out[1, 2] = 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)
    out[2, 0], out[2, 1] = 2.0 * (x * z - w * y), 2.0 * (y * z + w * x)
    out[2, 2] = 1.0 - 2.0 * (x * x + y * y)
    return out


@_jit
def from_matrix(m: np.ndarray) -> np.ndarray:
    """Quaternion of a rotation matrix, with w at least 0."""
    out = np.empty(4)
    trace = m[0, 0] + m[1, 1] + m[2, 2]
    # The largest of the four components is found first: dividing by it is safe.
    best = 3
    largest = trace
    for i in range(3):
        if m[i, i] > largest:
            best, largest = i, m[i, i]
    if best == 3:
        out[0], out[1], out[2] = m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]
        out[3] = 1.0 + trace
    else:
        j, k = (best + 1) % 3, (best + 2) % 3
        out[best] = 1.0 + m[best, best] - m[j, j] - m[k, k]
        out[j] = m[best, j] + m[j, best]
        out[k] = m[best, k] + m[k, best]
        out[3] = m[k, j] - m[j, k]
    out = unit(out)
    return -out if out[3] < 0.0 else out
