"""Pose maps of PSGAN and their pyramid; those of PATN.

Hamada et al., "Full-body high-resolution anime generation with progressive structure-conditional
generative adversarial networks" (2018), section 3: one channel per joint, a single pixel of 1 where the
joint is and -1 elsewhere; lower resolutions by 2 x 2 max pooling, so each scale has one cell per joint.

Maps are computed by comparing pixel coordinates with keypoints, not by scattering: that fuses with what
uses the map and can be split over devices along any axis.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def present(
    keypoints: Float[Array, "*b k 3"], size: tuple[float, float], visible_only: bool = False
) -> Bool[Array, "*b k"]:
    """Which joints a map shows: those with finite coordinates inside the frame, borders included.

    Args:
      keypoints: x, y, visibility; pixels.
      size: height and width of the frame in pixels.
      visible_only: also ask for visibility > 0. Rendered sets know occluded joints exactly and mark them
        with visibility 0: leave this off. In sets where visibility 0 means "not annotated", turn it on.
    """
    height, width = size
    x, y, visibility = (keypoints[..., i] for i in range(3))
    # Comparisons with NaN are false.
    inside = (x >= 0) & (x <= width) & (y >= 0) & (y <= height)
    return inside & (visibility > 0) if visible_only else inside


def pose_map(
    keypoints: Float[Array, "*b k 3"],
    resolution: int,
    *,
    size: tuple[float, float] | None = None,
    visible_only: bool = False,
) -> Float[Array, "*b r r k"]:
    """Maps with a single pixel of 1 per joint, -1 elsewhere and for missing joints.

    The pixel is `floor(x * resolution / size)`, clipped to the map: a joint on the right or lower border
    falls into the last pixel, one outside the frame is missing.

    Args:
      keypoints: x, y, visibility; pixels of a frame of `size`, origin at its top left corner.
      resolution: side of the map.
      size: height and width of the frame; `(resolution, resolution)` if None.
      visible_only: see `present`.
    """
    size = size or (resolution, resolution)
    shown = present(keypoints, size, visible_only)
    cells = jnp.arange(resolution)

    def hit(coordinate, length):
        cell = jnp.floor(coordinate * (resolution / length))
        return jnp.minimum(cell, resolution - 1)[..., None, :] == cells[:, None]

    rows = hit(keypoints[..., 1], size[0]) & shown[..., None, :]
    columns = hit(keypoints[..., 0], size[1])
    return jnp.where(rows[..., :, None, :] & columns[..., None, :, :], 1.0, -1.0)


def gaussian_pose_map(
    keypoints: Float[Array, "*b k 3"],
    resolution: int,
    *,
    sigma: float,
    size: tuple[float, float] | None = None,
    visible_only: bool = False,
) -> Float[Array, "*b r r k"]:
    """Like `pose_map`, with a bump of `sigma` pixels of the map around each joint, from -1 up to 1."""
    size = size or (resolution, resolution)
    shown = present(keypoints, size, visible_only)
    # A missing joint may be NaN; zero it before the arithmetic.
    x = jnp.where(shown, keypoints[..., 0], 0.0) * (resolution / size[1])
    y = jnp.where(shown, keypoints[..., 1], 0.0) * (resolution / size[0])
    centres = jnp.arange(resolution) + 0.5
    rows = jnp.exp(-jnp.square(centres[:, None] - y[..., None, :]) / (2 * sigma**2)) * shown[..., None, :]
    columns = jnp.exp(-jnp.square(centres[:, None] - x[..., None, :]) / (2 * sigma**2))
    return 2 * rows[..., :, None, :] * columns[..., None, :, :] - 1


def gaussians(
    keypoints: Float[Array, "*b k 3"], size: tuple[int, int], sigma: float = 6.0
) -> Float[Array, "*b h w k"]:
    """PATN's maps: from 0 up to 1, a bump of `sigma` pixels around each joint, which ends nowhere.

    Those of missing joints are empty. (The public code numbers pixels where centres are at .5 here.)

    Args:
      keypoints: x, y, visibility; pixels of a frame of `size`.
      size: height and width of the frame and the maps.
      sigma: pixels; the public code takes 6 for 128 x 64 and for 256 x 176.
    """
    shown = present(keypoints, size)

    def bump(coordinate, length):
        # A missing joint may be NaN; zero it before the arithmetic.
        offset = jnp.arange(length)[:, None] + 0.5 - jnp.where(shown, coordinate, 0.0)[..., None, :]
        return jnp.exp(-jnp.square(offset) / (2 * sigma**2))

    rows = bump(keypoints[..., 1], size[0]) * shown[..., None, :]
    return rows[..., :, None, :] * bump(keypoints[..., 0], size[1])[..., None, :, :]


def impulses(keypoints: Float[Array, "*b k 3"], size: tuple[int, int]) -> Float[Array, "*b h w k"]:
    """A single pixel of 1 per joint that is not missing, 0 elsewhere.

    It is what PATN's script for DeepFashion leaves of `gaussians`, which it writes as whole numbers.
    """
    shown = present(keypoints, size)

    def hit(coordinate, length):
        cell = jnp.minimum(jnp.floor(coordinate), length - 1)
        return cell[..., None, :] == jnp.arange(length)[:, None]

    rows = hit(keypoints[..., 1], size[0]) & shown[..., None, :]
    columns = hit(keypoints[..., 0], size[1])
    return (rows[..., :, None, :] & columns[..., None, :, :]).astype(keypoints.dtype)


def pose_pyramid(pose: Float[Array, "*b r r k"]) -> dict[int, Float[Array, "*b s s k"]]:
    """The map and its 2 x 2 max-pooled levels down to 4 x 4, by resolution.

    Raises:
      ValueError: the side is not a power of two, at least 4.
    """
    *b, r, _, k = pose.shape
    if r < 4 or r & (r - 1):
        raise ValueError(f"the side of a pose map must be a power of two, at least 4; got {r}")
    levels = {r: pose}
    while r > 4:
        r //= 2
        pose = pose.reshape(*b, r, 2, r, 2, k).max((-4, -2))
        levels[r] = pose
    return levels


def decode(pose: Float[Array, "*b h w k"], threshold: float = 0.0) -> Float[Array, "*b k 3"]:
    """Keypoints at the centre of each channel's highest cell; visibility 0 where it is below `threshold`."""
    *b, h, w, k = pose.shape
    flat = pose.reshape(*b, h * w, k)
    best = flat.argmax(-2)
    found = jnp.take_along_axis(flat, best[..., None, :], axis=-2)[..., 0, :] > threshold
    return jnp.stack([best % w + 0.5, best // w + 0.5, found], axis=-1).astype(pose.dtype)


def flip(pose: Float[Array, "*b h w k"], partners) -> Float[Array, "*b h w k"]:
    """A map mirrored left to right, with left and right joints swapped (`Skeleton.flip`)."""
    return jax.numpy.flip(pose, axis=-2)[..., partners]
