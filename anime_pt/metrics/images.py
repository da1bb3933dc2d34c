"""Pictures against pictures: SSIM by three protocols, MS-SSIM, PSNR, L1, and PATN's protocol around them.

Numbers of different protocols do not compare, so each has a name of its own:

* `ssim`: Gaussian windows, sigma 1.5 (Wang et al. 2004), the range of the data 255 (here 1);
* `ssim_patn`: the same, but the range is that of the generated picture (tengteng95/Pose-Transfer,
  tool/getMetrics_market.py). The published numbers of PATN are of pictures that went through
  `patn_protocol` before: together in one JPEG and, for DeepFashion, with white borders;
* `ssim_pg2`: 7 x 7 windows of equal weights and the sample covariance, the range 255
  (charliememory/Pose-Guided-Person-Image-Generation);
* `mask_ssim`: `ssim_patn` of what `limb_mask` shows, black outside.

Unless they say otherwise, functions take (b, h, w, c) in [0, 1] and give (b,); they may be differentiated.
"""

import io
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
from jaxtyping import Array, Bool, Float, UInt8

from anime_pt.pose import limb_masks
from anime_pt.pose.skeletons import OPENPOSE_18, Skeleton

Images = Float[Array, "b h w c"]

NOTES = {
    "l1": "mean absolute difference, pictures in [0, 1]",
    "l1_patn": "mean absolute difference, pictures in [-1, 1] (PATN)",
    "psnr": "10 log10(1 / mean squared difference), pictures in [0, 1]",
    "ssim": "Gaussian windows, sigma 1.5; range 255",
    "ssim_patn": "Gaussian windows, sigma 1.5; range of the generated picture (PATN)",
    "ssim_pg2": "7 x 7 windows, sample covariance, range 255 (PG2)",
    "mask_ssim": "ssim_patn within PATN's limb mask, black outside",
    "ms_ssim": "five scales; two pictures of a set: lower is more diverse (ProGAN)",
}
JPEG_QUALITY = 75  # Pillow's default.
DEEPFASHION_BORDER = 40

_RADIUS = 5  # skimage's: round(3.5 sigma).
_SIGMA = 1.5
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def l1(generated: Images, target: Images) -> Float[Array, " b"]:
    """Mean absolute difference."""
    return jnp.abs(generated - target).mean((1, 2, 3))


def l1_patn(generated: Images, target: Images) -> Float[Array, " b"]:
    """Mean absolute difference of pictures scaled to [-1, 1]: twice `l1`."""
    return 2 * l1(generated, target)


def psnr(generated: Images, target: Images) -> Float[Array, " b"]:
    """Peak signal to noise ratio in decibels; infinite for equal pictures."""
    return -10 * jnp.log10(jnp.square(generated - target).mean((1, 2, 3)))


def ssim(generated: Images, target: Images) -> Float[Array, " b"]:
    """Structural similarity over Gaussian windows that lie within the picture, averaged over channels.

    Raises:
      ValueError: a side is below 11 pixels; so for the other protocols, PG2's from 7 on.
    """
    luminance, structure = _similarity(generated, target, _gaussian(2 * _RADIUS + 1, _SIGMA), 1.0)
    return (luminance * structure).mean((1, 2, 3))


def ssim_patn(generated: Images, target: Images) -> Float[Array, " b"]:
    """`ssim` with the range of each generated picture, as in PATN's code.

    Dull pictures score lower than they do by `ssim`, so exchanging the arguments changes the result. Of a
    picture of one colour the range is taken as one of 255 steps, where the public code divides by zero.
    """
    spread = generated.max((1, 2, 3), keepdims=True) - generated.min((1, 2, 3), keepdims=True)
    spread = jnp.maximum(spread, 1 / 255)
    luminance, structure = _similarity(generated, target, _gaussian(2 * _RADIUS + 1, _SIGMA), spread)
    return (luminance * structure).mean((1, 2, 3))


def ssim_pg2(generated: Images, target: Images) -> Float[Array, " b"]:
    """SSIM over windows of 7 x 7 equal weights with the sample covariance."""
    luminance, structure = _similarity(generated, target, np.full(7, 1 / 7), 1.0, sample=49 / 48)
    return (luminance * structure).mean((1, 2, 3))


def mask_ssim(generated: Images, target: Images, mask: Float[Array, "b h w 1"]) -> Float[Array, " b"]:
    """`ssim_patn` of both pictures times a mask; for the published metric that of `limb_mask`."""
    return ssim_patn(generated * mask, target * mask)


def ms_ssim(a: Images, b: Images) -> Float[Array, " b"]:
    """Multi-scale SSIM (Wang et al. 2003) as in ProGAN's code, metrics/ms_ssim.py.

    Of pairs of different generated pictures it tells how little diverse these are. The windows shrink with
    the picture, and their sigma with them; brightness counts on the coarsest of the five scales only; what is
    negative counts as zero.

    Raises:
      ValueError: a side is no multiple of 16.
    """
    result = 1.0
    for scale, weight in enumerate(_SCALE_WEIGHTS):
        size = min(2 * _RADIUS + 1, *a.shape[1:3])
        taps = _gaussian(size, _SIGMA * size / (2 * _RADIUS + 1))
        luminance, structure = _similarity(a, b, taps, 1.0)
        last = scale == len(_SCALE_WEIGHTS) - 1
        similarity = (luminance * structure if last else structure).mean((1, 2, 3))
        result *= jnp.maximum(similarity, 0) ** weight
        if not last:
            a, b = _halved(a), _halved(b)
    return result


def limb_mask(
    keypoints: Float[Array, "b k 3"],
    size: tuple[int, int],
    skeleton: Skeleton = OPENPOSE_18,
    radius: float = 4.0,
) -> Bool[Array, "b h w 1"]:
    """PATN's mask of a pose: discs at joints, bars along limbs, closed by 5 x 5 squares.

    Joints with finite coordinates are shown, hidden ones too.

    Args:
      keypoints: x, y, visibility; pixels of the picture.
      size: height and width.
      skeleton: of the keypoints; joints beyond OpenPose's 18 are not shown.
      radius: of the discs, and half the width of the bars, in pixels.
    """
    joints = [skeleton.index(k) for k in OPENPOSE_18.keypoints if k in skeleton.keypoints]
    limbs = limb_masks.limbs_of(skeleton).tolist()
    x, y, known = (v[:, joints] for v in _places(keypoints))
    across = jnp.arange(size[1]) + 0.5 - x[..., None]
    down = jnp.arange(size[0]) + 0.5 - y[..., None]
    near = jnp.square(down)[..., None] + jnp.square(across)[..., None, :] < radius**2
    mask = (near & known[..., None, None]).any(1) | _bars(keypoints, limbs, size, radius).any(1)
    return limb_masks.closed(mask)[..., None]


def limb_parts(
    keypoints: Float[Array, "b k 3"], size: tuple[int, int], skeleton: Skeleton, radius: float
) -> Bool[Array, "b h w l"]:
    """A bar along each limb of a skeleton whose two joints are visible: parts for `colour.colour_drift`.

    Args:
      keypoints: x, y, visibility; pixels of the picture.
      size: height and width.
      skeleton: of the keypoints.
      radius: half the width of the bars, in pixels.
    """
    visible = jnp.where(keypoints[..., 2:] > 0, keypoints, jnp.nan)
    return jnp.moveaxis(_bars(visible, skeleton.limb_indices.tolist(), size, radius), 1, -1)


def _places(keypoints: Float[Array, "b k 3"]) -> tuple[jax.Array, jax.Array, jax.Array]:
    """x, y (0 where missing) and which joints are there."""
    known = jnp.isfinite(keypoints[..., :2]).all(-1)
    return *(jnp.where(known, keypoints[..., i], 0.0) for i in range(2)), known


def _bars(
    keypoints: Float[Array, "b k 3"], limbs: Sequence[tuple[int, int]], size: tuple[int, int], radius: float
) -> Bool[Array, "b l h w"]:
    """Pixels whose centres lie between two joints and at most `radius` beside the line through them."""
    first, second = (jnp.array(ends) for ends in zip(*limbs, strict=True))
    x, y, known = _places(keypoints)
    dx, dy = (v[:, second, None, None] - v[:, first, None, None] for v in (x, y))
    across = (jnp.arange(size[1]) + 0.5 - x[:, first, None])[:, :, None, :]
    down = (jnp.arange(size[0]) + 0.5 - y[:, first, None])[:, :, :, None]
    length = jnp.sqrt(jnp.square(dx) + jnp.square(dy))
    along, beside = across * dx + down * dy, jnp.abs(across * dy - down * dx)
    within = (along >= 0) & (along <= jnp.square(length)) & (beside <= radius * length)
    return within & (length > 0) & (known[:, first] & known[:, second])[..., None, None]


def patn_protocol(
    source: UInt8[np.ndarray, "h w 3"],
    source_pose: UInt8[np.ndarray, "h w 3"],
    target: UInt8[np.ndarray, "h w 3"],
    target_pose: UInt8[np.ndarray, "h w 3"],
    generated: UInt8[np.ndarray, "h w 3"],
    border: int = 0,
) -> tuple[UInt8[np.ndarray, "h w2 3"], UInt8[np.ndarray, "h w2 3"]]:
    """What PATN's metrics see of an example: the target and the generated picture from one JPEG.

    Its test stores five pictures side by side as JPEG and measures on pieces of that file, the target
    included; compression takes noise from both, which raises SSIM. Poses are drawn pictures there.

    Args:
      source, source_pose, target, target_pose, generated: of the same size; see `truncated`.
      border: columns of white on the left and on the right: `DEEPFASHION_BORDER` for its SSIM and IS.

    Returns:
      The target and the generated picture.
    """
    strip = np.concatenate([source, source_pose, target, target_pose, generated], 1)
    file = io.BytesIO()
    PIL.Image.fromarray(strip).save(file, "JPEG", quality=JPEG_QUALITY)
    strip = np.asarray(PIL.Image.open(file).convert("RGB"))
    width = source.shape[1]
    cut = lambda i: white_border(strip[:, i * width : (i + 1) * width], border)
    return cut(2), cut(4)


def white_border(
    images: UInt8[np.ndarray, "*b h w 3"], columns: int = DEEPFASHION_BORDER
) -> UInt8[np.ndarray, "*b h w2 3"]:
    """Pictures with that many white columns on the left and on the right."""
    sides = [(0, 0)] * (images.ndim - 2) + [(columns, columns), (0, 0)]
    return np.pad(images, sides, constant_values=255)


def truncated(images: Float[Array, "*b h w c"]) -> UInt8[np.ndarray, "*b h w c"]:
    """Pictures in [-1, 1] as bytes, rounded down as PATN's code does."""
    return (np.clip((np.asarray(images) + 1) / 2, 0, 1) * 255).astype(np.uint8)


def _gaussian(size: int, sigma: float) -> np.ndarray:
    taps = np.exp(-np.square(np.arange(size) - (size - 1) / 2) / (2 * sigma**2))
    return taps / taps.sum()


def _similarity(
    a: Images, b: Images, taps: np.ndarray, spread: Array | float, sample: float = 1.0
) -> tuple[Float[Array, "b h2 w2 c"], Float[Array, "b h2 w2 c"]]:
    """The factors of SSIM, of brightness and of contrast with structure, for each window.

    Args:
      a, b: pictures.
      taps: weights of a window's rows and of its columns.
      spread: range of the data.
      sample: what variances are multiplied by.
    """
    if min(a.shape[1:3]) < len(taps):
        raise ValueError(f"SSIM needs pictures of {len(taps)} x {len(taps)} pixels or more: {a.shape[1:3]}")
    # Variances are differences of squares: about the mean, these lose fewer digits.
    middle = (a.mean((1, 2, 3), keepdims=True) + b.mean((1, 2, 3), keepdims=True)) / 2
    a, b = a - middle, b - middle
    windows = jnp.concatenate([a, b, a * a, b * b, a * b], -1)
    rows, columns = (jnp.asarray(_bands(taps, n), a.dtype) for n in a.shape[1:3])
    windows = jnp.einsum("ph,bhwc->bpwc", rows, windows, precision="highest")
    windows = jnp.einsum("qw,bpwc->bpqc", columns, windows, precision="highest")
    mean_a, mean_b, aa, bb, ab = jnp.split(windows, 5, -1)
    variances = sample * (aa + bb - mean_a * mean_a - mean_b * mean_b)
    covariance = sample * (ab - mean_a * mean_b)
    mean_a, mean_b = mean_a + middle, mean_b + middle
    c1, c2 = (0.01 * spread) ** 2, (0.03 * spread) ** 2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a * mean_a + mean_b * mean_b + c1)
    return luminance, (2 * covariance + c2) / (variances + c2)


def _bands(taps: np.ndarray, size: int) -> np.ndarray:
    """A row for each place of a window within `size` pixels: a product with it compiles ten times faster
    than a sum of shifts."""
    places = size - len(taps) + 1
    bands = np.zeros((places, size))
    for i, tap in enumerate(taps):
        bands[np.arange(places), np.arange(places) + i] = tap
    return bands


def _halved(x: Images) -> Images:
    b, h, w, c = x.shape
    if h % 2 or w % 2:
        raise ValueError(
            f"MS-SSIM halves pictures four times: the sides must be multiples of 16, {h, w} are odd"
        )
    return x.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))
