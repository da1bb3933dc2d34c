"""Errors of joints in space: MPJPE, as it is and after Procrustes' alignment.

Definitions as in Martinez et al. 2017 (protocols 1 and 2 on Human3.6M), but for two things: figures here are
scaled to one size, and the root, which is 0 in both, does not count (there it lowers the mean by a
seventeenth).
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

NOTES = {
    "eval/mpjpe": "mm, mean over joints but the root, for a figure of about 1.7 m, about the hips",
    "eval/pa_mpjpe": "the same after the best rotation, scale and shift of each pose",
    "eval/limbs": "degrees between true and found directions of arms and legs",
}


def mpjpe(found: Float[Array, "b k 3"], truth: Float[Array, "b k 3"]) -> Float[Array, " b"]:
    """Mean distance of joints, in the unit that they come in."""
    return jnp.linalg.norm(found - truth, axis=-1).mean(-1)


def aligned(found: Float[Array, "b k 3"], truth: Float[Array, "b k 3"]) -> Float[Array, "b k 3"]:
    """`found` after the rotation, scale and shift that bring it nearest to the truth (Umeyama 1991)."""
    middle, their_middle = found.mean(1, keepdims=True), truth.mean(1, keepdims=True)
    x, y = found - middle, truth - their_middle
    u, s, vt = jnp.linalg.svd(jnp.einsum("bki,bkj->bij", x, y))
    sign = jnp.sign(jnp.linalg.det(u @ vt))
    signs = jnp.stack([jnp.ones_like(sign), jnp.ones_like(sign), sign], -1)
    scale = (s * signs).sum(-1) / jnp.maximum((x**2).sum((1, 2)), 1e-12)
    return scale[:, None, None] * (x @ ((u * signs[:, None]) @ vt)) + their_middle


def pa_mpjpe(found: Float[Array, "b k 3"], truth: Float[Array, "b k 3"]) -> Float[Array, " b"]:
    """`mpjpe` after `aligned`."""
    return mpjpe(aligned(found, truth), truth)


def limb_angles(
    found: Float[Array, "b k 3"], truth: Float[Array, "b k 3"], limbs: list[tuple[int, int]]
) -> Float[Array, "b l"]:
    """Degrees between the directions of limbs, pairs of joints."""
    first, second = jnp.array(limbs).T
    a, b = (points[:, second] - points[:, first] for points in (found, truth))
    # Of two directions; the arc's cosine alone loses small angles.
    angle = jnp.arctan2(jnp.linalg.norm(jnp.cross(a, b), axis=-1), (a * b).sum(-1))
    return jnp.degrees(angle)
