"""Keypoints from an estimator's heatmaps: the highest cell of each, and where between the cells the peak is.

A Gaussian's logarithm is a parabola, so the parabola through the logarithms of the highest cell and its two
neighbours, along each axis, has its vertex at the Gaussian's centre, whatever its width: the second-order
expansion of Zhang et al., "Distribution-aware coordinate representation for human pose estimation" (DARK,
CVPR 2020, section 3.1), with two differences. The axes are taken one by one (their mixed derivative is zero
for the round bumps that estimators are trained on), which keeps the vertex within half a cell of the highest
cell whatever the map holds. And at a border the three cells are the outermost ones, so that joints are found
there as exactly as elsewhere; a centroid would be drawn inwards. The maps are not smoothed before, as DARK's
are.

`maps.decode` is for the pose maps of PSGAN, which have one cell per joint and nothing between.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from anime_pt.pose import maps as pose_maps

# Of the peak: what lies lower counts as this, so that the logarithm of an empty neighbour stays finite.
_FLOOR = 1e-3


def decode(
    maps: Float[Array, "*b h w k"], stride: float = 1.0, subpixel: bool = True
) -> Float[Array, "*b k 3"]:
    """The peak of each channel: x, y in pixels of the input, and its confidence.

    Args:
      maps: 0 and above; what a network puts below 0 counts as 0.
      stride: pixels per cell: the centre of cell (i, j) is at x = stride * (j + 0.5), y = stride * (i + 0.5).
      subpixel: fit the peak between cells (exact for Gaussians of a sigma of about a cell and more); else the
        centre of the highest cell.

    Returns:
      Keypoints within the map's frame; the third is the value of the highest cell, at most 1. A channel that
      is nowhere above 0 gives a missing joint: NaN, NaN, 0.
    """
    *b, h, w, k = maps.shape
    flat = maps.reshape(*b, h * w, k)
    best = flat.argmax(-2)
    peak = _at(flat, best)
    row, column = best // w, best % w
    x, y = column + 0.5, row + 0.5
    if subpixel:
        x = _vertex(lambda j: _at(flat, row * w + j), column, w, peak)
        y = _vertex(lambda i: _at(flat, i * w + column), row, h, peak)
    found = peak > 0
    position = jnp.where(found[..., None], jnp.stack([x, y], -1) * stride, jnp.nan)
    confidence = jnp.where(found, jnp.minimum(peak, 1), 0)
    return jnp.concatenate([position, confidence[..., None]], -1).astype(maps.dtype)


def _at(flat: Float[Array, "*b n k"], index: Int[Array, "*b k"]) -> Float[Array, "*b k"]:
    return jnp.take_along_axis(flat, index[..., None, :], axis=-2)[..., 0, :]


def _vertex(value, best: Int[Array, "*b k"], count: int, peak: Float[Array, "*b k"]) -> Float[Array, "*b k"]:
    """Coordinate, in cells from the map's edge, of the vertex near cell `best` of a line of `count` cells."""
    if count < 3:
        return best + 0.5
    middle = jnp.clip(best, 1, count - 2)
    scale = jnp.where(peak > 0, peak, 1)
    low, mid, high = (jnp.log(jnp.maximum(value(middle + d) / scale, _FLOOR)) for d in (-1, 0, 1))
    bend = low - 2 * mid + high
    # Flat or hollow, as at the edge of a map whose peak is outside it: no vertex.
    vertex = (
        middle + 0.5 + jnp.where(bend < 0, (low - high) / (2 * jnp.where(bend < 0, bend, -1)), best - middle)
    )
    return jnp.clip(vertex, best, best + 1)


def flip_test(
    network: Callable[[Float[Array, "b h w 3"]], Float[Array, "b h8 w8 k"]],
    images: Float[Array, "b h w 3"],
    flip: np.ndarray | None,
) -> Float[Array, "b h8 w8 k"]:
    """A network's maps of images, averaged with those of their mirror images; see `merge_flipped`.

    `flip` None leaves the mirror images out.
    """
    if flip is None:
        return network(images)
    return merge_flipped(network(images), network(images[..., ::-1, :]), flip)


def merge_flipped(
    maps: Float[Array, "*b h w k"], mirrored: Float[Array, "*b h w k"], flip: np.ndarray
) -> Float[Array, "*b h w k"]:
    """Mean of the maps of a picture and of its mirror image, brought back ("flip test").

    Args:
      maps: of the picture.
      mirrored: of the picture mirrored left to right, as the network gave them.
      flip: `Skeleton.flip`. Channels beyond its joints, such as a background, have no partner.
    """
    partners = np.concatenate([flip, np.arange(len(flip), maps.shape[-1])])
    return (maps + pose_maps.flip(mirrored, partners)) / 2
