"""Heatmaps: what a pose estimator is trained to draw, one bump per joint on a grid of cells.

As GCCPM's code draws them (Daniil-Osokin/gccpm-look-into-person-cvpr19.pytorch): a Gaussian of 7 pixels on
cells of 8, cut off where its exponent passes 4.6052, a hundredth of its height. In that code a pixel's number
is its centre; here centres are at .5, so cell (i, j) has its centre at x = stride * (j + 0.5) and
y = stride * (i + 0.5), and the same joint has coordinates greater by half a pixel.

Drawn by comparing coordinates, like `maps`, on the device and inside the step.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

_CUT = 4.6052


def gaussian(
    keypoints: Float[Array, "*b k 3"],
    size: tuple[int, int],
    *,
    stride: int = 8,
    sigma: float = 7.0,
    visible_only: bool = False,
) -> Float[Array, "*b h w k"]:
    """Maps in [0, 1] of joints; zero for missing ones. A joint outside the frame draws what reaches into it.

    Args:
      keypoints: x, y, visibility; pixels. NaN coordinates are a missing joint.
      size: height and width in pixels; there are `ceil(size / stride)` cells.
      stride: pixels per cell.
      sigma: pixels.
      visible_only: also leave out joints of visibility 0; see `maps.present`.
    """
    # A difference with NaN is NaN, which no comparison lets through.
    x, y = keypoints[..., 0], keypoints[..., 1]
    down, across = (stride * (jnp.arange(-(-side // stride), dtype=keypoints.dtype) + 0.5) for side in size)
    rows = jnp.square(down[:, None] - y[..., None, :])[..., :, None, :]
    columns = jnp.square(across[:, None] - x[..., None, :])[..., None, :, :]
    exponent = (rows + columns) / (2 * sigma**2)
    drawn = exponent <= _CUT
    if visible_only:
        drawn &= (keypoints[..., 2] > 0)[..., None, None, :]
    return jnp.where(drawn, jnp.exp(-jnp.where(drawn, exponent, 0)), 0)


def with_background(maps: Float[Array, "*b h w k"]) -> Float[Array, "*b h w k+1"]:
    """The maps, and behind them one of where no joint is: one less the highest of them."""
    return jnp.concatenate([maps, 1 - maps.max(-1, keepdims=True)], axis=-1)
