"""Discs at joints and masks of a figure's limbs, as PG2 and PATN draw them; computed on the device.

Ma et al.: "Pose guided person image generation" (NIPS 2017), in the form of its TensorFlow code
(charliememory/Pose-Guided-Person-Image-Generation, `datasets/convert_market.py`). Its pose maps are solid
discs; its pose mask, where the loss counts twice, is made of discs along limbs. PATN's masks, of discs and
bars (`metrics.images.limb_mask`), show the same limbs.

In that code a pixel's number is its centre; here centres are at .5, so the same joint has coordinates greater
by half a pixel. Like `maps`, drawn by comparing coordinates, not by scattering.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from anime_pt.pose import maps
from anime_pt.pose.skeletons import Skeleton

# By name, in both codes alike: a figure's limbs, and lines across head and trunk.
LIMBS = (
    *(
        (f"{side}_{a}", f"{side}_{b}")
        for side in ("left", "right")
        for a, b in (
            *(("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")),
            *(("shoulder", "hip"), ("eye", "ear")),
        )
    ),
    *(("neck", f"{side}_{joint}") for side in ("left", "right") for joint in ("shoulder", "hip", "ear")),
    *(("neck", "nose"), ("nose", "left_eye"), ("nose", "right_eye")),
    *(("left_hip", "right_hip"), ("left_ear", "right_ear")),
)
RADIUS = 4.0
_CLOSING = 5  # Side of the squares.


def limbs_of(skeleton: Skeleton) -> np.ndarray:
    """(limbs, 2) indices of those limbs of `LIMBS` that a skeleton has both joints of."""
    known = [(a, b) for a, b in LIMBS if a in skeleton.keypoints and b in skeleton.keypoints]
    return np.array([[skeleton.index(a), skeleton.index(b)] for a, b in known], np.int32).reshape(-1, 2)


def disc_map(
    keypoints: Float[Array, "*b k 3"],
    size: tuple[int, int],
    *,
    radius: float = RADIUS,
    visible_only: bool = False,
) -> Float[Array, "*b h w k"]:
    """PG2's pose map: 1 in a disc around the pixel of each joint, -1 elsewhere and for missing joints.

    A joint on the right or lower border belongs to the last pixel, one outside the frame is missing.

    Args:
      keypoints: x, y, visibility; pixels.
      size: height and width.
      radius: in pixels; those at that distance belong to the disc.
      visible_only: see `maps.present`.
    """
    shown = maps.present(keypoints, size, visible_only)[..., None, None, :]
    rows, columns = (
        jnp.square(jnp.arange(side)[:, None] - _cells(keypoints[..., axis], side)[..., None, :])
        for side, axis in zip(size, (1, 0), strict=True)
    )
    near = rows[..., :, None, :] + columns[..., None, :, :] <= radius**2
    return jnp.where(near & shown, 1.0, -1.0)


def disc_mask(
    keypoints: Float[Array, "b k 3"],
    size: tuple[int, int],
    skeleton: Skeleton,
    *,
    radius: float = RADIUS,
    visible_only: bool = False,
) -> Bool[Array, "b h w 1"]:
    """PG2's pose mask: discs about a radius apart along limbs, from joint to joint, closed by 5 x 5 squares.

    Joints that are on no limb whose other end is there do not show.

    Args:
      keypoints: x, y, visibility; pixels.
      size: height and width.
      skeleton: of the keypoints.
      radius: in pixels.
      visible_only: see `maps.present`.
    """
    shown = maps.present(keypoints, size, visible_only)
    # A missing joint may be NaN.
    points = jnp.where(shown[..., None], keypoints[..., :2], 0.0)
    first, second = limbs_of(skeleton).T
    start, along = points[:, first], points[:, second] - points[:, first]
    # A hair more here and below, so that whole numbers do not depend on the last bit of a quotient.
    pieces = jnp.maximum(jnp.floor(jnp.linalg.norm(along, axis=-1) / radius + 1e-5), 1)[..., None]
    number = jnp.arange(int(math.hypot(*size) / radius + 1e-5) + 1)
    used = (number <= pieces) & (shown[:, first] & shown[:, second])[..., None]
    # Rounded down as numbers of pixels, as in the code.
    x, y = (
        _cells(start[..., None, i] + along[..., None, i] * number / pieces - (0.5 - 1e-3), side)
        for i, side in ((0, size[1]), (1, size[0]))
    )
    hit = lambda cells, side: cells.reshape(len(cells), -1, 1) == jnp.arange(side)
    rows = hit(y, size[0]) & used.reshape(len(used), -1, 1)
    # A product of zeros and ones, exact in any precision.
    centres = jnp.einsum("bph,bpw->bhw", rows.astype(jnp.float32), hit(x, size[1]).astype(jnp.float32)) > 0
    return closed(_discs(centres, radius))[..., None]


def closed(masks: Bool[Array, "*b h w"], side: int = _CLOSING) -> Bool[Array, "*b h w"]:
    """Dilation, then erosion by a square: small gaps are filled, and those to the border."""
    grown = _window(masks, (side, side), grow=True)
    return _window(grown, (side, side), grow=False)


def _cells(coordinates: Float[Array, "*any"], side: int) -> Float[Array, "*any"]:
    return jnp.clip(jnp.floor(coordinates), 0, side - 1)


def _discs(centres: Bool[Array, "b h w"], radius: float) -> Bool[Array, "b h w"]:
    """A disc around every pixel that is set, row by row of the disc."""
    height, reach = centres.shape[1], int(radius)
    out = jnp.zeros_like(centres)
    for down in range(-reach, reach + 1):
        width = 2 * int(math.sqrt(radius**2 - down**2)) + 1
        row = _window(centres, (1, width), grow=True)
        moved = jnp.pad(row, ((0, 0), (max(down, 0), max(-down, 0)), (0, 0)))
        out |= moved[:, max(-down, 0) :][:, :height]
    return out


def _window(masks: Bool[Array, "*b h w"], window: tuple[int, int], grow: bool) -> Bool[Array, "*b h w"]:
    ones = (1,) * (masks.ndim - 2)
    combine = jax.lax.bitwise_or if grow else jax.lax.bitwise_and
    return jax.lax.reduce_window(masks, not grow, combine, (*ones, *window), (1,) * masks.ndim, "SAME")
