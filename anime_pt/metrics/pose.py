"""Metrics of estimated keypoints: PDJ, two PCKh, OKS and COCO's average precision.

Each names its own normaliser (`NORMALISERS`), since figures of different ones do not compare. Both PCKh are
the public codes', not the definition of MPII (Andriluka et al. 2014: 0.6 of the head box's diagonal):

* `pckh_lip`, of an estimator: Daniil-Osokin/gccpm-look-into-person-cvpr19.pytorch, modules/calc_pckh.py;
* `pckh_patn`, of an estimator run on generated pictures: tengteng95/Pose-Transfer, tool/calPCKH_market.py.

Keypoints are (b, k, 3), of a skeleton. A joint counts where the truth has finite coordinates: hidden ones do,
since rendered sets know them exactly; `visible_only` leaves them out. A joint that is not predicted (NaN) is
wrong. The functions of joints return two boolean arrays (b, k): `correct`, and `counted`, outside of which
nothing is correct; `per_joint` turns them into what `Recipe.eval_step` returns.
"""

from collections.abc import Iterable, Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from anime_pt.pose.skeletons import Skeleton

Keypoints = Float[Array, "b k 3"]
Marks = tuple[Bool[Array, "b k"], Bool[Array, "b k"]]

NORMALISERS = {
    "pdj": "share of joints within 0.2 x the distance from left hip to right shoulder",
    "pckh_lip": "share of joints within 0.5 x the distance from neck to head (LIP; no factor 0.6)",
    "pckh_patn": "share of joints within 0.5 x width and height of the box of nose, neck, eyes, ears (PATN)",
    "oks": "mean over joints of exp(-d^2 / (2 area (2 sigma)^2)), COCO's sigmas",
    "ap": "COCO's average precision over OKS .50:.05:.95",
    "ap50": "COCO's average precision at OKS .50",
    "ap75": "COCO's average precision at OKS .75",
    "ar": "COCO's average recall over OKS .50:.05:.95",
}

_HEAD_BOX = ("nose", "neck", "left_eye", "right_eye", "left_ear", "right_ear")
# Joints that LIP's "Avg." leaves out (its pelvis and spine), and their like in other skeletons.
_TRUNK = ("mid_hip", "spine", "body_upper")
_LEGS = ("hip", "knee", "ankle", "heel", "toe", "big_toe", "small_toe", "tiptoe")

# Standard deviation of annotators over the root of the area, without sides. COCO's seventeen are those of
# pycocotools; neck and head_top CrowdPose's (Jeff-sjtu/CrowdPose). The others are ours: a joint of the trunk
# as the hip, one at the end of a limb as the joint before it, one on the face as its neighbour.
SIGMAS = {
    **{"nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062},
    **{"hip": 0.107, "knee": 0.087, "ankle": 0.089},
    **{"neck": 0.079, "head_top": 0.079},
    **{"head": 0.079, "nose_root": 0.026, "mid_hip": 0.107, "spine": 0.107, "body_upper": 0.107},
    **{"thumb": 0.062, "finger": 0.062},
    **{
        "heel": 0.089,
        "toe": 0.089,
        "big_toe": 0.089,
        "small_toe": 0.089,
        "tiptoe": 0.089,
        "foot_index": 0.089,
    },
    **{"eye_inner": 0.025, "eye_outer": 0.025, "mouth": 0.026, "pinky": 0.062, "index": 0.062},
    # Medians of COCO-WholeBody's for each part (jin-s13/COCO-WholeBody).
    **{"jaw": 0.039, "chin": 0.02, "brow": 0.012, "nose_bridge": 0.007, "nostril": 0.011, "nose_base": 0.008},
    **{"eyelid": 0.011, "lip": 0.008, "upper_lip": 0.008, "lower_lip": 0.009},
    **{"inner_lip": 0.008, "inner_upper_lip": 0.011, "inner_lower_lip": 0.01, "hand_root": 0.029},
    **{"forefinger": 0.026, "middle_finger": 0.023, "ring_finger": 0.021, "pinky_finger": 0.021},
}
# What a figure fills of its box, where its area is not known: Jeff-sjtu/CrowdPose's evaluation.
BOX_SHARE = 0.53

OKS_THRESHOLDS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0, 1, 101)
_MOST_DETECTIONS = 20  # Of a picture: pycocotools' for keypoints.


def _bare(joint: str) -> str:
    """Without its side, and its number in a part of many."""
    return joint.removeprefix("left_").removeprefix("right_").rstrip("0123456789").rstrip("_")


def _known(points: Float[Array, "*b k 3"]) -> Bool[Array, "*b k"]:
    return jnp.isfinite(points[..., :2]).all(-1)


def _counted(truth: Float[Array, "*b k 3"], visible_only: bool) -> Bool[Array, "*b k"]:
    known = _known(truth)
    return known & (truth[..., 2] > 0) if visible_only else known


def _squared_distance(a: Float[Array, "*b k 3"], b: Float[Array, "*b k 3"]) -> Float[Array, "*b k"]:
    return jnp.square(a[..., :2] - b[..., :2]).sum(-1)


def _within(
    pred: Keypoints, truth: Keypoints, ends: tuple[int, int], threshold: float, visible_only: bool
) -> Marks:
    """Joints nearer than or at `threshold` times the distance between two of the truth's joints.

    A figure where these are missing, or in one place, does not count. Squares are compared, since they are
    exact for whole and half pixels: joints at the very threshold are the same in all precisions.
    """
    a, b = ends
    norm = _squared_distance(truth[:, a], truth[:, b])[:, None]
    counted = _counted(truth, visible_only) & (norm > 0)  # NaN is not greater.
    return counted & (_squared_distance(pred, truth) <= threshold**2 * norm), counted


def pdj(
    pred: Keypoints,
    truth: Keypoints,
    skeleton: Skeleton,
    threshold: float = 0.2,
    visible_only: bool = False,
) -> Marks:
    """Detected joints (Toshev & Szegedy 2014), as used on drawings (Khungurn & Chou 2016): PDJ@20.

    Correct within `threshold` times the truth's distance from left hip to right shoulder; figures without
    these two do not count.

    Raises:
      ValueError: the skeleton has no such joints.
    """
    ends = skeleton.index("left_hip"), skeleton.index("right_shoulder")
    return _within(pred, truth, ends, threshold, visible_only)


def pckh_lip(
    pred: Keypoints,
    truth: Keypoints,
    skeleton: Skeleton,
    threshold: float = 0.5,
    visible_only: bool = False,
) -> Marks:
    """PCKh of GCCPM's code for LIP: correct within `threshold` times the distance from neck to head.

    Figures without these two, or with both in one place, do not count. A joint that is not predicted is taken
    to be at (1, 1), as there. The mean and the upper body are those of `lip_groups`.

    Args:
      skeleton: with `neck` and `head_top`, or else `head`.

    Raises:
      ValueError: the skeleton has no such joints.
    """
    head = "head_top" if "head_top" in skeleton.keypoints else "head"
    pred = jnp.where(_known(pred)[..., None], pred, 1)
    ends = skeleton.index("neck"), skeleton.index(head)
    return _within(pred, truth, ends, threshold, visible_only)


def lip_groups(skeleton: Skeleton) -> dict[str, tuple[str, ...]]:
    """Joints that GCCPM's code pools: "" for "Avg.", without the trunk, and "upper_body" for "U.Body".

    In LIP's skeleton these are its joints 0 to 5 and 8 to 15, and 8 to 15. In others, joints of the trunk and
    of the legs are told by their names.
    """
    limbs = tuple(k for k in skeleton.keypoints if k not in _TRUNK)
    return {"": limbs, "upper_body": tuple(k for k in limbs if _bare(k) not in _LEGS)}


def pckh_patn(
    pred: Keypoints,
    truth: Keypoints,
    skeleton: Skeleton,
    threshold: float = 0.5,
    visible_only: bool = False,
) -> Marks:
    """PCKh of PATN's code: |dx| < `threshold` * width and |dy| < `threshold` * height of the head.

    The head's box is that of the truth's nose, neck, eyes and ears (of those that the skeleton has; by name,
    where PATN counts, and calls left right). Figures with fewer than two of them do not count. In a box
    without width or height all joints are wrong, as there.

    Raises:
      ValueError: the skeleton has fewer than two of these joints.
    """
    joints = [skeleton.index(k) for k in _HEAD_BOX if k in skeleton.keypoints]
    if len(joints) < 2:
        raise ValueError(f"skeleton {skeleton.name!r} has fewer than two of {', '.join(_HEAD_BOX)}")
    known = _known(truth)[:, joints]
    head = jnp.where(known[..., None], truth[:, joints, :2], jnp.nan)
    size = jnp.nanmax(head, 1) - jnp.nanmin(head, 1)
    counted = _counted(truth, visible_only) & (known.sum(1) >= 2)[:, None]
    near = jnp.abs(pred[..., :2] - truth[..., :2]) < threshold * size[:, None]
    return counted & near.all(-1), counted


def per_joint(
    name: str,
    correct: Bool[Array, "b k"],
    counted: Bool[Array, "b k"],
    skeleton: Skeleton,
    groups: Mapping[str, Iterable[str]] | None = None,
) -> dict[str, tuple[Float[Array, " b"], Float[Array, " b"]]]:
    """Shares of correct joints with their weights, for `Recipe.eval_step`: `name`, `name/left_wrist`, ...

    A value is the share among a figure's counted joints of the group, its weight their number: weighted means
    over a set are shares of all joints that count in it.

    Args:
      name: such as `eval/pdj`.
      groups: more rows, and the joints in them; "" is `name` itself (default: all joints). See `lip_groups`.
    """
    rows = {"": skeleton.keypoints, **(groups or {})} | {k: (k,) for k in skeleton.keypoints}
    out = {}
    for row, joints in rows.items():
        index = np.array([skeleton.index(k) for k in joints], int)
        weight = counted[:, index].sum(1).astype(float)
        share = (correct & counted)[:, index].sum(1) / jnp.maximum(weight, 1)
        out[f"{name}/{row}" if row else name] = (share, weight)
    return out


def sigmas(skeleton: Skeleton) -> np.ndarray:
    """(k,) of `SIGMAS`; raises ValueError, naming the joints, where they say nothing of one."""
    unknown = [k for k in skeleton.keypoints if _bare(k) not in SIGMAS]
    if unknown:
        raise ValueError(
            f"OKS needs a sigma for {', '.join(unknown)}: add it to anime_pt.metrics.pose.SIGMAS"
        )
    return np.array([SIGMAS[_bare(k)] for k in skeleton.keypoints])


def oks(
    pred: Float[Array, "*b k 3"],
    truth: Float[Array, "*b k 3"],
    skeleton: Skeleton,
    area: Float[Array, "*b"] | None = None,
    visible_only: bool = False,
) -> Float[Array, "*b"]:
    """Object keypoint similarity (cocodataset.org/#keypoints-eval): 1 for exact keypoints, 0 far away.

    Leading axes broadcast: `oks(pred[:, None], truth[None])` compares all with all.

    Args:
      area: of the truth's figures in square pixels (COCO: of the segment, so that a mask's pixels do); where
        None, 0.53 of the box around the joints that count, after CrowdPose, whose boxes are the figure's own.
        Joints keep away from a figure's edges, so this is the stricter.

    Returns:
      NaN where no joint counts.

    Raises:
      ValueError: see `sigmas`.
    """
    counted = _counted(truth, visible_only)
    if area is None:
        points = jnp.where(counted[..., None], truth[..., :2], jnp.nan)
        area = BOX_SHARE * (jnp.nanmax(points, -2) - jnp.nanmin(points, -2)).prod(-1)
    spread = 2 * jnp.square(2 * jnp.asarray(sigmas(skeleton), truth.dtype))
    # The tiny number is pycocotools', for figures without an area.
    scaled = _squared_distance(pred, truth) / spread / (jnp.asarray(area)[..., None] + np.spacing(1.0))
    similarity = jnp.where(_known(pred) & counted, jnp.exp(-scaled), 0)
    return similarity.sum(-1) / counted.sum(-1)


def coco_ap(
    similarities: np.ndarray | Sequence[np.ndarray], scores: np.ndarray | Sequence[np.ndarray]
) -> dict[str, float]:
    """Average precision and recall as pycocotools computes them, over figures of all sizes.

    In a picture, predictions choose in the order of their scores, each the most similar truth that is still
    free and at or above the threshold; the others are false. Precision is made to fall with recall and read
    at 101 recalls; at most 20 predictions of a picture count.

    Args:
      similarities: OKS of each picture's predictions with its truths, (predictions, truths); or (n,) for
        pictures of one figure each, NaN where the truth has no joints and so neither counts.
      scores: of each picture's predictions; or (n,). NaN is no prediction.

    Returns:
      ap (mean over OKS 0.50 to 0.95), ap50, ap75 and ar (mean of the recalls reached); {} without truths.
    """
    if isinstance(similarities, np.ndarray) and similarities.ndim == 1:
        there = ~np.isnan(similarities)
        scores = np.asarray(scores)[there, None]
        similarities = similarities[there, None, None]
    matched, confidence, truths = [], [], 0
    for similarity, score in zip(similarities, scores, strict=True):
        similarity, score = np.asarray(similarity, float), np.asarray(score, float)
        truths += similarity.shape[1]
        order = np.argsort(-score, kind="stable")[:_MOST_DETECTIONS]
        order = order[~np.isnan(score[order])]
        confidence.append(score[order])
        matched.append(np.stack([_match(similarity[order], t) for t in OKS_THRESHOLDS]))
    if not truths:
        return {}
    order = np.argsort(-np.concatenate(confidence), kind="stable")
    hits = np.concatenate(matched, 1)[:, order].cumsum(1)
    found = np.arange(1, hits.shape[1] + 1)
    recall, precision = hits / truths, hits / found
    precision = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
    # Recalls that are not reached have precision 0.
    padded = np.pad(precision, ((0, 0), (0, 1)))
    read = [p[np.searchsorted(r, _RECALLS)] for p, r in zip(padded, recall, strict=True)]
    ap = np.mean(read, 1)
    at = lambda threshold: float(ap[np.isclose(OKS_THRESHOLDS, threshold)][0])
    return {
        "ap": float(ap.mean()),
        "ap50": at(0.5),
        "ap75": at(0.75),
        "ar": float(recall.max(1, initial=0).mean()),
    }


def _match(similarity: np.ndarray, threshold: float) -> np.ndarray:
    """Which predictions, in the order of their scores, find a truth; of (predictions, truths)."""
    free = np.ones(similarity.shape[1], bool)
    found = np.zeros(len(similarity), bool)
    for i, row in enumerate(similarity):
        candidates = np.flatnonzero(free & (row >= threshold))
        if candidates.size:
            # Of equal ones the last, as pycocotools.
            free[candidates[::-1][row[candidates[::-1]].argmax()]] = False
            found[i] = True
    return found
