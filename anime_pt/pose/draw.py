"""Skeleton drawings, computed on the device: no canvas, one distance per pixel and limb."""

import colorsys

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from anime_pt.pose import maps


def limb_colours(count: int) -> np.ndarray:
    """(count, 3) colours in [-1, 1], evenly spaced hues: neighbours in the list are told apart."""
    hues = (np.arange(count) * 0.618) % 1.0  # Golden ratio steps.
    return np.array([colorsys.hsv_to_rgb(h, 1.0, 0.85) for h in hues], np.float32).reshape(-1, 3) * 2 - 1


def draw_skeleton(
    keypoints: Float[Array, "*b k 3"],
    limbs: np.ndarray,
    resolution: int,
    *,
    size: tuple[float, float] | None = None,
    width: float | None = None,
    visible_only: bool = False,
) -> Float[Array, "*b r r 3"]:
    """Limbs as coloured, antialiased lines on white, in [-1, 1].

    Limbs with a missing end are left out. A limb always has the same colour, so left and right differ.

    Args:
      keypoints: x, y, visibility; pixels of a frame of `size`.
      limbs: (limbs, 2) indices of joints, `Skeleton.limb_indices`.
      resolution: side of the drawing.
      size: height and width of the frame; `(resolution, resolution)` if None.
      width: of a line in pixels; 1/40 of the side, at least 1.5, if None.
      visible_only: see `maps.present`.
    """
    size = size or (resolution, resolution)
    width = width or max(1.5, resolution / 40)
    scale = jnp.asarray([resolution / size[1], resolution / size[0]], keypoints.dtype)
    shown = maps.present(keypoints, size, visible_only)
    points = jnp.where(shown[..., None], keypoints[..., :2] * scale, 0.0)

    centres = jnp.arange(resolution, dtype=points.dtype) + 0.5
    pixels = jnp.stack(jnp.meshgrid(centres, centres, indexing="xy"), axis=-1)
    canvas = jnp.ones((*keypoints.shape[:-2], resolution, resolution, 3), points.dtype)
    for (a, b), colour in zip(limbs, limb_colours(len(limbs)), strict=True):
        start, along = (
            points[..., None, None, a, :],
            (points[..., b, :] - points[..., a, :])[..., None, None, :],
        )
        offset = pixels - start
        t = jnp.sum(offset * along, -1) / jnp.maximum(jnp.sum(along * along, -1), 1e-6)
        distance = jnp.linalg.norm(offset - jnp.clip(t, 0.0, 1.0)[..., None] * along, axis=-1)
        cover = jnp.clip(width / 2 + 0.5 - distance, 0.0, 1.0)
        cover = (cover * (shown[..., a] & shown[..., b])[..., None, None])[..., None]
        canvas = canvas + cover * (colour - canvas)
    return jnp.clip(canvas, -1.0, 1.0)  # Rounding may leave the range.


def drawing(
    keypoints: Float[Array, "*b k 3"], limbs: np.ndarray, size: tuple[int, int]
) -> Float[Array, "*b h w 3"]:
    """`draw_skeleton` on a canvas that is not square: keypoints in pixels of that height and width.

    Joints outside are left out.
    """
    h, w = size
    # The drawing is square: what is inside of it may be outside the picture.
    inside = maps.present(keypoints, size)[..., None]
    drawn = draw_skeleton(jnp.where(inside, keypoints, jnp.nan), limbs, max(h, w))
    return drawn[..., :h, :w, :]


def over(
    images: Float[Array, "b h w 3"], keypoints: Float[Array, "b k 3"], limbs: np.ndarray
) -> Float[Array, "b h w 3"]:
    """Skeletons over paled pictures, both in [-1, 1]; see `drawing`."""
    drawn = drawing(keypoints, limbs, images.shape[1:3])
    return jnp.where((drawn < 0.999).any(-1, keepdims=True), drawn, 0.4 * images + 0.6)


def comparison(
    images: Float[Array, "b h w 3"],
    truth: Float[Array, "b k 3"],
    found: Float[Array, "b k 3"],
    limbs: np.ndarray,
) -> dict[str, Float[Array, "b h w 3"]]:
    """Columns of a sheet: the picture; the true skeleton and the one found, over it."""
    return {"image": images, "truth": over(images, truth, limbs), "found": over(images, found, limbs)}
