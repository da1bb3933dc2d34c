"""What is measured of pose transfer, whichever network does it: see `metrics.images` for each metric.

This is cheap. What takes networks of its own, for whole evaluations, is in `anime_pt.judges`.

Every metric also has a part "source": what the source picture itself scores against the target. A network
that is no better than that has transferred nothing.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from anime_pt.metrics import colour, images
from anime_pt.pose.skeletons import Skeleton

_OF_PICTURES = ("l1", "psnr", "ssim", "ssim_patn")
_MS_SSIM = "five scales, against the target (ProGAN's code); where the sides are multiples of 16"
_FIGURE = {
    "figure_l1": "mean absolute difference within the target's mask, pictures in [0, 1]",
    "iou": "of the silhouettes, foreground being farther than 0.1 from white",
}
_MASK = {"mask_iou": "of the mask made and the target's"}
_FOREGROUND = 0.1
_PEAK = 60.0  # Decibels; equal pictures would have infinitely many.


def notes(rgba: bool = False) -> dict[str, str]:
    """What the numbers are, by name, for `Recipe.notes`."""
    of = {name: images.NOTES[name] for name in (*_OF_PICTURES, "mask_ssim")}
    of["ms_ssim"] = _MS_SSIM
    of["colour_drift"] = colour.NOTES["colour_drift"]
    return {f"eval/{k}": v for k, v in (of | _FIGURE | (_MASK if rgba else {})).items()}


def measure(
    generated: Float[Array, "b h w c"],
    target: Float[Array, "b h w c"],
    source: Float[Array, "b h w c"],
    batch: Mapping[str, jax.Array],
    skeleton: Skeleton,
) -> dict[str, jax.Array | tuple[jax.Array, jax.Array]]:
    """Metrics of a batch, for `Recipe.eval_step`.

    Args:
      generated, target: in [-1, 1], with a mask as the fourth channel or without one.
      source: the (first) one.
      batch: of pairs; `target_keypoints`, and `target_mask` where the dataset has one.
      skeleton: of the keypoints.
    """
    given = {"": generated, "/source": source}
    limbs = images.limb_mask(batch["target_keypoints"], target.shape[1:3], skeleton)
    mask = batch["target_mask"].astype(jnp.float32) / 255 if "target_mask" in batch else None
    truth, out = _unit(target), {}
    multiscale = ("ms_ssim",) if not any(side % 16 for side in target.shape[1:3]) else ()
    for name in (*_OF_PICTURES, *multiscale, "mask_ssim"):
        for part, pictures in given.items():
            picture = _unit(pictures)
            arguments = (limbs.astype(picture.dtype),) if name == "mask_ssim" else ()
            value = getattr(images, name)(picture, truth, *arguments)
            out[f"eval/{name}{part}"] = jnp.minimum(value, _PEAK) if name == "psnr" else value
    parts = images.limb_parts(batch["target_keypoints"], target.shape[1:3], skeleton, target.shape[1] / 64)
    for part, pictures in given.items():
        drift = colour.colour_drift(_unit(pictures), truth, parts)
        # Of figures whose limbs are all hidden or tiny there is none.
        out[f"eval/colour_drift{part}"] = drift, jnp.isfinite(drift).astype(drift.dtype)
    if mask is not None:
        for part, pictures in given.items():
            picture = _unit(pictures)
            apart = (jnp.abs(picture - truth) * mask).sum((1, 2, 3))
            out[f"eval/figure_l1{part}"] = apart / jnp.maximum(3 * mask.sum((1, 2, 3)), 1)
            out[f"eval/iou{part}"] = _iou((1 - picture).max(-1) > _FOREGROUND, mask[..., 0] > 0.5)
            if pictures.shape[-1] == 4:
                out[f"eval/mask_iou{part}"] = _iou(pictures[..., 3] > 0, mask[..., 0] > 0.5)
    return out


def rows(
    generated: Float[Array, "b h w c"],
    target: Float[Array, "b h w c"],
    source: Float[Array, "b h w c"],
    batch: Mapping[str, jax.Array],
) -> dict[str, jax.Array]:
    """What judges see of a batch, for `Recipe.judged`: pictures as bytes, keypoints, characters.

    Args: as of `measure`.
    """
    pictures = {"generated": generated, "target": target, "source": source}
    as_bytes = lambda x: ((jnp.clip(x[..., :3], -1, 1) + 1) * 127.5 + 0.5).astype(jnp.uint8)
    out = {name: as_bytes(x) for name, x in pictures.items()}
    return out | {"target_keypoints": batch["target_keypoints"], "characters": batch["character"]}


def _unit(pictures: Float[Array, "b h w c"]) -> Float[Array, "b h w 3"]:
    """Colours in [0, 1]."""
    return jnp.clip((pictures[..., :3] + 1) / 2, 0, 1)


def _iou(a: jax.Array, b: jax.Array) -> Float[Array, " b"]:
    """Intersection over union of (b, h, w) masks; 1 where both are empty."""
    both, either = (a & b).sum((1, 2)), (a | b).sum((1, 2))
    return jnp.where(either > 0, both / jnp.maximum(either, 1), 1.0)
