"""Spherical skinning of MikuMikuDance (PMX weight kind SDEF): bent elbows keep their thickness.

Each such vertex turns by the spherical mean of its two bones' rotations about a centre that the file gives,
while the centre itself moves as under linear skinning: p' = q (p - C) + w0 M0 C0 + w1 M1 C1, where C0 and C1
lie half way from C to the file's R0 and R1, shifted so that their weighted mean is C. That is one rigid
transform for each vertex, independent of its position. So it is handed to whatever skins as one more bone,
and the vertex rides on it alone.
"""

import numba
import numpy as np

from anime_pt.avatars import rotations
from anime_pt.avatars.character import Character


def influences(character: Character) -> tuple[np.ndarray, np.ndarray]:
    """Indices into `rig.skinning_matrices`, and weights: (v, 4) int32 and (v, 4) float32."""
    spherical = character.sdef
    if spherical is None:
        return character.joints, character.weights
    if "influences" not in character.derived:
        character.check()
        joints, weights = character.joints.copy(), character.weights.copy()
        joints[spherical.vertices, 0] = len(character.rest) + np.arange(len(spherical.vertices))
        weights[spherical.vertices] = (1, 0, 0, 0)
        character.derived["influences"] = joints, weights
    return character.derived["influences"]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _quaternions(changes):
    out = np.empty((len(changes), 4))
    for i in range(len(changes)):
        vector = rotations.to_vector(changes[i, :, :3])
        angle = np.sqrt(rotations.dot(vector, vector))
        scale = np.sin(0.5 * angle) / angle if angle > 1e-9 else 0.5
        for k in range(3):
            out[i, k] = vector[k] * scale
        out[i, 3] = np.cos(0.5 * angle)
    return out


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _transforms(joints, weights, centers, first, second, changes):
    quaternions = _quaternions(changes)
    out = np.empty((len(joints), 3, 4))
    for i in range(len(joints)):
        a, b = joints[i, 0], joints[i, 1]
        total = weights[i, 0] + weights[i, 1]
        wa = weights[i, 0] / total if total > 0.0 else 1.0
        wb = 1.0 - wa
        p, q = quaternions[a], quaternions[b]
        cosine = p[0] * q[0] + p[1] * q[1] + p[2] * q[2] + p[3] * q[3]
        sign = -1.0 if cosine < 0.0 else 1.0
        angle = np.arccos(min(1.0, abs(cosine)))
        sa, sb = wa, wb
        if angle > 1e-6:
            sa, sb = np.sin(wa * angle) / np.sin(angle), np.sin(wb * angle) / np.sin(angle)
        sb *= sign
        x, y = sa * p[0] + sb * q[0], sa * p[1] + sb * q[1]
        z, w = sa * p[2] + sb * q[2], sa * p[3] + sb * q[3]
        length = x * x + y * y + z * z + w * w
        s = 2.0 / length if length > 0.0 else 0.0
        m = out[i]
        m[0, 0], m[0, 1], m[0, 2] = 1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)
        m[1, 0], m[1, 1], m[1, 2] = s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)
        m[2, 0], m[2, 1], m[2, 2] = s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)
        for r in range(3):
            moved = wa * changes[a, r, 3] + wb * changes[b, r, 3]
            for c in range(3):
                center = centers[i, c]
                half = 0.5 * (first[i, c] - second[i, c])
                # R0 and R1 minus their weighted mean, halved.
                moved += wa * changes[a, r, c] * (center + wb * half)
                moved += wb * changes[b, r, c] * (center - wa * half)
                moved -= m[r, c] * center
            m[r, 3] = moved
    return out


def with_transforms(character: Character, changes: np.ndarray) -> np.ndarray:
    """Appends the transforms of spherical vertices to those of bones.

    Args:
      character: whose `sdef` says which.
      changes: (b, 3, 4) float64 what takes points from rest to where the bones are.

    Returns:
      (b + n, 3, 4) float64, in the order that `influences` points to.
    """
    spherical = character.sdef
    if spherical is None:
        return changes
    character.check()
    joints, weights = (a[spherical.vertices, :2] for a in (character.joints, character.weights))
    arrays = (np.asarray(a, np.float64) for a in (spherical.centers, spherical.first, spherical.second))
    more = _transforms(joints, weights.astype(np.float64), *arrays, np.ascontiguousarray(changes))
    return np.concatenate([changes, more])
