"""Colours against colours: CIEDE2000, and how far a generated figure's colours drift from the true ones.

Sharma, Wu and Dalal, "The CIEDE2000 color-difference formula: implementation notes, supplementary test data,
and mathematical observations", Color Research and Application 30 (2005), with all weights 1. A difference
of 1 is about what can just be seen; of 10, another shade; of 50, another colour.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

Colours = Float[Array, "*b 3"]

NOTES = {
    "colour_drift": "mean CIEDE2000 between the mean colours of body parts seen in the true picture",
    "colour_difference": "mean CIEDE2000 of pixels within the true figure",
}

# sRGB's primaries and white D65 (IEC 61966-2-1): linear RGB to XYZ.
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = 0.1  # What is nearer to white is the background.
_LEAST_PIXELS = 8  # Fewer say more of the edges than of the part.


def lab(images: Colours) -> Colours:
    """sRGB in [0, 1] as CIELAB under D65: L in [0, 100], a, b."""
    linear = jnp.where(images <= 0.04045, images / 12.92, ((jnp.maximum(images, 0) + 0.055) / 1.055) ** 2.4)
    to_xyz = jnp.asarray(_XYZ / _XYZ.sum(1, keepdims=True), images.dtype)
    xyz = jnp.einsum("...i,ji->...j", linear, to_xyz, precision="highest")
    knee = 6 / 29
    f = jnp.where(xyz > knee**3, jnp.cbrt(xyz), xyz / (3 * knee**2) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return jnp.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def ciede2000(a: Colours, b: Colours) -> Float[Array, "*b"]:
    """Differences of colours in CIELAB."""
    chroma = (jnp.hypot(a[..., 1], a[..., 2]) + jnp.hypot(b[..., 1], b[..., 2])) / 2
    grow = 1.5 - 0.5 * jnp.sqrt(_vivid(chroma))
    (chroma_a, hue_a), (chroma_b, hue_b) = (_polar(c[..., 1] * grow, c[..., 2]) for c in (a, b))
    # Grey has no hue: it takes the other's.
    grey = chroma_a * chroma_b == 0
    turn = jnp.where(grey, 0, hue_b - hue_a)
    turn = turn - 360 * jnp.sign(turn) * (jnp.abs(turn) > 180)
    lightness_step, chroma_step = b[..., 0] - a[..., 0], chroma_b - chroma_a
    hue_step = 2 * jnp.sqrt(chroma_a * chroma_b) * jnp.sin(jnp.radians(turn / 2))

    lightness, chroma = (a[..., 0] + b[..., 0]) / 2, (chroma_a + chroma_b) / 2
    total = hue_a + hue_b
    wraps = jnp.abs(hue_a - hue_b) > 180
    hue = jnp.where(wraps, jnp.where(total < 360, total + 360, total - 360), total) / 2
    hue = jnp.where(grey, total, hue)
    cosine = lambda degrees: jnp.cos(jnp.radians(degrees))
    by_hue = (
        1
        - 0.17 * cosine(hue - 30)
        + 0.24 * cosine(2 * hue)
        + 0.32 * cosine(3 * hue + 6)
        - 0.20 * cosine(4 * hue - 63)
    )
    off_middle = jnp.square(lightness - 50)
    lightness_step = lightness_step / (1 + 0.015 * off_middle / jnp.sqrt(20 + off_middle))
    chroma_step = chroma_step / (1 + 0.045 * chroma)
    hue_step = hue_step / (1 + 0.015 * chroma * by_hue)
    blue = jnp.radians(60 * jnp.exp(-jnp.square((hue - 275) / 25)))
    rotation = -2 * jnp.sqrt(_vivid(chroma)) * jnp.sin(blue)
    squares = jnp.square(lightness_step) + jnp.square(chroma_step) + jnp.square(hue_step)
    return jnp.sqrt(jnp.maximum(squares + rotation * chroma_step * hue_step, 0))


def colour_difference(
    generated: Float[Array, "b h w 3"], target: Float[Array, "b h w 3"], mask: Float[Array, "b h w 1"]
) -> Float[Array, " b"]:
    """Mean CIEDE2000 of pixels, weighted by a mask; a figure out of place differs, too.

    Args:
      generated, target: in [0, 1].
      mask: of what counts, such as the target's figure.

    Returns:
      NaN where the mask is empty.
    """
    difference = ciede2000(lab(generated), lab(target))
    return (difference * mask[..., 0]).sum((1, 2)) / mask[..., 0].sum((1, 2))


def colour_drift(
    generated: Float[Array, "b h w 3"],
    target: Float[Array, "b h w 3"],
    parts: Float[Array, "b h w p"] | Bool[Array, "b h w p"],
) -> Float[Array, " b"]:
    """CIEDE2000 between a part's mean colours in both pictures, averaged over the parts that can be seen.

    Means forgive what lies a few pixels off, and lost detail; not a blouse that changes its colour.

    Args:
      generated, target: in [0, 1].
      parts: masks of the body's parts in the target, see `images.limb_parts`. Those of fewer than eight
        pixels do not count.

    Returns:
      NaN where no part counts.
    """
    parts = parts.astype(generated.dtype)
    area = parts.sum((1, 2))
    mean = lambda x: jnp.einsum("bhwc,bhwp->bpc", lab(x), parts) / jnp.maximum(area, 1)[..., None]
    seen = area >= _LEAST_PIXELS
    return (ciede2000(mean(generated), mean(target)) * seen).sum(1) / seen.sum(1)


def histograms(images: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, "n 216"]:
    """Which of 6 x 6 x 6 colours a picture shows, without the white around the figure; on the host.

    Roots of shares: products of such vectors are Bhattacharyya's coefficient, 1 for equal shares.
    """
    out = np.zeros((len(images), 6**3))
    for row, image in zip(out, images, strict=True):
        colours = image[image.min(-1) < 255 * (1 - _WHITE)]
        steps = colours // 43
        row += np.bincount(steps @ np.array([36, 6, 1]), minlength=len(row)) / max(len(colours), 1)
    return np.sqrt(out)


def _vivid(chroma: Float[Array, "*b"]) -> Float[Array, "*b"]:
    """0 for grey, towards 1 for vivid colours."""
    power = chroma**7
    return power / (power + 25.0**7)


def _polar(a: Float[Array, "*b"], b: Float[Array, "*b"]) -> tuple[Float[Array, "*b"], Float[Array, "*b"]]:
    """Chroma, and hue in [0, 360)."""
    return jnp.hypot(a, b), jnp.degrees(jnp.arctan2(b, a)) % 360
