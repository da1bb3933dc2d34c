"""What is measured of a pose estimator, whichever it is: see `metrics.pose` for each metric."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from anime_pt.metrics import pose
from anime_pt.pose.skeletons import Skeleton

NOTES = {f"eval/{name}": note for name, note in pose.NORMALISERS.items()}


def measure(found: Float[Array, "b k 3"], truth: Float[Array, "b k 3"], skeleton: Skeleton) -> dict:
    """Metrics of a batch, for `Recipe.eval_step`: those that the skeleton has the joints for.

    Args:
      found: x, y, confidence.
      truth: x, y, visibility, in the same pixels; hidden joints count, unknown ones (NaN) do not.
    """
    has = set(skeleton.keypoints)
    out = {}
    if {"left_hip", "right_shoulder"} <= has:
        out |= pose.per_joint("eval/pdj", *pose.pdj(found, truth, skeleton), skeleton)
    if "neck" in has and has & {"head_top", "head"}:
        marks = pose.pckh_lip(found, truth, skeleton)
        out |= pose.per_joint("eval/pckh_lip", *marks, skeleton, pose.lip_groups(skeleton))
    if len(has & {"nose", "neck", "left_eye", "right_eye", "left_ear", "right_ear"}) > 1:
        out |= pose.per_joint("eval/pckh_patn", *pose.pckh_patn(found, truth, skeleton), skeleton)
    similarity = pose.oks(found, truth, skeleton)
    out["eval/oks"] = similarity, (~jnp.isnan(similarity)).astype(similarity.dtype)
    return out | {"set/oks": similarity, "set/score": found[..., 2].mean(-1)}


def names(skeleton: Skeleton) -> list[str]:
    """Of the metrics that `measure` gives for figures of a skeleton, where the truth knows all joints."""
    points = jax.ShapeDtypeStruct((1, len(skeleton), 3), jnp.float32)
    values = jax.eval_shape(lambda a, b: measure(a, b, skeleton), points, points)
    return [name for name in values if name.startswith("eval/")]


def summarise(arrays: Mapping[str, np.ndarray]) -> dict[str, float]:
    """COCO's AP and AR of a set, one figure in each picture; scored by the mean confidence."""
    found = pose.coco_ap(arrays["set/oks"], arrays["set/score"])
    return {f"eval/{name}": value for name, value in found.items()}
