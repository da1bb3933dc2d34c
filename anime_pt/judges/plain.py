"""What takes long without a network: SWD, and PATN's metrics behind its JPEG files."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from anime_pt.judges import batches
from anime_pt.metrics import distributions, images
from anime_pt.pose.skeletons import Skeleton

Pictures = UInt8[np.ndarray, "n h w 3"]

_CHUNK = 64  # Pictures at once in the pyramids of SWD.
# JPEG's blocks are 16 pixels wide: pictures of other widths would share blocks with those beside them.
_BLOCK = 16
_LEAST = 11  # Pixels of SSIM's windows.
_DEEPFASHION = (256, 176)
NOTES = {
    "swd": distributions.NOTES["swd"],
    "ssim_patn_protocol": "ssim_patn of pictures from one JPEG file, as published with PATN on Market-1501",
    "ssim_patn_protocol_border": "the same with white borders, as published with PATN on DeepFashion",
    "mask_ssim_patn_protocol": "mask_ssim of pictures from one JPEG file, as published with PATN",
}


def slices(pictures: Pictures, target: Pictures) -> dict[str, float]:
    """SWD of sets: the mean over levels, and each level as "level_128" by its height.

    Nothing of pictures that have less than 16 pixels.
    """
    if min(target.shape[1:3]) < distributions.LEAST_SIDE:
        return {}
    chunks = lambda x: (x[i : i + _CHUNK] for i in range(0, len(x), _CHUNK))
    levels = distributions.swd(chunks(target), chunks(pictures))
    return {"swd": float(np.mean(list(levels.values())))} | {
        f"swd/level_{height}": value for height, value in levels.items()
    }


def protocol(
    pictures: Pictures,
    target: Pictures,
    source: Pictures,
    keypoints: Float[np.ndarray, "n k 3"],
    skeleton: Skeleton,
) -> dict[str, float]:
    """SSIM behind PATN's JPEG files, see `images.patn_protocol`; of widths that are multiples of 16.

    The files' drawings of poses are black here: they end where blocks do, and show in the pictures beside
    them by a ten-thousandth.
    """
    size = target.shape[1:3]
    if size[1] % _BLOCK or min(size) < _LEAST:
        return {}
    black = np.zeros_like(target[0])

    def run(source, target, made, points):
        rows = [
            images.patn_protocol(s, black, t, black, m) for s, t, m in zip(source, target, made, strict=True)
        ]
        wanted, seen = (np.stack(x) for x in zip(*rows, strict=True))
        return _scores(seen, wanted, points, skeleton=skeleton)

    found = batches.mapped("JPEG files", run, source, target, pictures, keypoints)
    return {name: float(x.mean()) for name, x in found.items()}


@functools.partial(jax.jit, static_argnames="skeleton")
def _scores(
    made: UInt8[Array, "b h w 3"],
    target: UInt8[Array, "b h w 3"],
    keypoints: Float[Array, "b k 3"],
    skeleton: Skeleton,
) -> dict[str, Float[Array, " b"]]:
    size = made.shape[1:3]
    made, target = (x.astype(jnp.float32) / 255 for x in (made, target))
    mask = images.limb_mask(keypoints, size, skeleton).astype(made.dtype)
    out = {
        "ssim_patn_protocol": images.ssim_patn(made, target),
        "mask_ssim_patn_protocol": images.mask_ssim(made, target, mask),
    }
    if size == _DEEPFASHION:
        sides = ((0, 0), (0, 0), (images.DEEPFASHION_BORDER,) * 2, (0, 0))
        made, target = (jnp.pad(x, sides, constant_values=1) for x in (made, target))
        out["ssim_patn_protocol_border"] = images.ssim_patn(made, target)
    return out
