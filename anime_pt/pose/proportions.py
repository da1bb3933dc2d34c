"""How a figure is built, measured in its picture, in a clip of it or on its rig."""

import dataclasses
import re
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from anime_pt.pose import heads
from anime_pt.pose.heads import Shape, Views
from anime_pt.pose.skeletons import Skeleton

SIDES = ("left", "right")
# Limb -> the joints that it lies between.
LIMBS = {
    "upper_arm": ("shoulder", "elbow"),
    "forearm": ("elbow", "wrist"),
    "thigh": ("hip", "knee"),
    "shin": ("knee", "ankle"),
}
WIDTHS = {"shoulders": "shoulder", "hips": "hip"}
# Joints that only some skeletons have, and those of the face -> what they hang on.
LEAVES = {
    **dict.fromkeys(("big_toe", "small_toe", "heel", "toe", "tiptoe"), "ankle"),
    **dict.fromkeys(("finger", "thumb"), "wrist"),
    **dict.fromkeys(("spine", "body_upper", "head", "nose_root", "nose", "eye", "ear", "head_top"), "neck"),
}
_NEEDED = ("neck", *(f"{side}_{joint}" for joint in WIDTHS.values() for side in SIDES))
# In lengths of the trunk: what is shorter in every frame of a clip was never seen in full.
_LEAST = {"shoulders": 0.45, "hips": 0.2, "upper_arm": 0.34, "forearm": 0.3, "thigh": 0.32, "shin": 0.32}
# Share of a clip's frames in which a limb may look longer than it is taken to be; likewise the neck.
_LONGER, _NECK_LONGER = 0.03, 0.1
# Cosine of the greatest turn of a body whose widths say something; radians from which on a head that is
# turned most of the time says that the body is.
_NARROWEST, _TURNED = 0.5, 0.4
# By how much a clip may show limbs longer than the frame in which they are outstretched, noise included.
_OUTSTRETCHED = 1.2


@dataclasses.dataclass(frozen=True)
class Proportions:
    """Lengths of a figure, in pixels.

    Attributes:
      lengths: limb -> length; those of `LIMBS` and `LEAVES` begin with the side. "shoulders" and "hips" are
        widths, "trunk" reaches from the neck to between the hips, "collar" is how far the neck is above the
        middle of the shoulders, "neck" reaches to between the ears.
      joints: joint -> (2,) where it is in the picture, or in the first frame of the clip.
      head: its shape, if the face is seen.
      rotation: (3, 3) of the head in the picture, None if there is no picture or no face.
    """

    lengths: Mapping[str, float]
    joints: Mapping[str, np.ndarray]
    head: Shape | None = None
    rotation: np.ndarray | None = None

    @property
    def averages(self) -> tuple[Shape, ...]:
        """Average heads for a figure with one of that size."""
        return heads.drawn(self.head.size / self.lengths["trunk"]), heads.HUMAN


def plain(joint: str) -> str:
    """The joint's name without its side."""
    return re.sub("^(left|right)_", "", joint)


def above(joint: str, of: Mapping[str, np.ndarray]) -> str:
    """The joint that one of `LEAVES` hangs on, on its own side."""
    start = LEAVES[plain(joint)]
    return start if start in of else joint.removesuffix(plain(joint)) + start


def middle(of: Mapping[str, np.ndarray], joint: str) -> np.ndarray:
    """The point between the left and the right joint."""
    return (of["left_" + joint] + of["right_" + joint]) / 2


def joints(keypoints: Float[np.ndarray, "t k d"], skeleton: Skeleton) -> dict[str, np.ndarray]:
    """Joint -> (t, d) places, NaN where unknown. A neck that the skeleton lacks is between the shoulders."""
    out = {name: np.asarray(keypoints[:, i], np.float64) for i, name in enumerate(skeleton.keypoints)}
    if "neck" not in out and {"left_shoulder", "right_shoulder"} <= set(out):
        out["neck"] = middle(out, "shoulder")
    return out


def face(of: Mapping[str, np.ndarray]) -> Float[np.ndarray, "t p 2"]:
    """Places of `heads.FACE`, NaN where unknown."""
    missing = np.full_like(of["neck"][..., :2], np.nan)
    return np.stack([of[name][..., :2] if name in of else missing for name in heads.FACE], -2)


def measure(of: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Limb -> (t,) lengths in each picture, NaN where unknown; see `Proportions`."""
    length = lambda a, b: np.linalg.norm(of[a] - of[b], axis=-1)
    up = of["neck"] - middle(of, "hip")
    out = {"trunk": np.linalg.norm(up, axis=-1)}
    out |= {name: length("left_" + joint, "right_" + joint) for name, joint in WIDTHS.items()}
    out["collar"] = ((of["neck"] - middle(of, "shoulder")) * up).sum(-1) / np.maximum(out["trunk"], 1e-9)
    for side in SIDES:
        for limb, (start, end) in LIMBS.items():
            if f"{side}_{end}" in of:
                out[f"{side}_{limb}"] = length(f"{side}_{start}", f"{side}_{end}")
    for joint in of:
        if plain(joint) in LEAVES and above(joint, of) in of:
            out[joint] = length(joint, above(joint, of))
    return out


def check(of: Mapping[str, np.ndarray], what: str) -> None:
    """Raises ValueError where the trunk is missing from `joints`; `what` they are of, for the message."""
    missing = [name for name in _NEEDED if name not in of or not np.isfinite(of[name]).all(-1).any()]
    if missing:
        raise ValueError(
            f"{what} does not show {', '.join(missing)}: proportions are measured from the trunk outwards, "
            "so choose one that shows neck, shoulders and hips"
        )


def _one(of: Mapping[str, np.ndarray], what: str) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Lengths and joints of the only picture."""
    check(of, what)
    lengths = {name: float(value[0]) for name, value in measure(of).items() if np.isfinite(value[0])}
    if lengths["trunk"] < 1.0:
        raise ValueError(
            f"{what} shows neck and hips at one place, so nothing can be measured: choose another"
        )
    return lengths, {name: place[0, :2] for name, place in of.items()}


def of_picture(
    keypoints: Float[np.ndarray, "k 3"],
    skeleton: Skeleton,
    what: str = "the picture",
    yaw: float | None = 0.0,
) -> Proportions:
    """Proportions as one picture shows them: that of a character, or a frame of a driver.

    Args:
      keypoints: x, y, visibility in pixels, NaN where unknown.
      skeleton: of the k joints.
      what: for messages.
      yaw: degrees by which the body is turned from the viewer, which makes shoulders and hips look narrow;
        None: as far as the head.

    Raises:
      ValueError: neck, shoulders or hips are missing.
    """
    lengths, places = _one(joints(keypoints[None, :, :2], skeleton), what)
    found = heads.of_picture(face(places))
    if yaw is None:
        yaw = 0.0 if found is None else float(np.degrees(found[1].yaws[0]))
    for name in WIDTHS:
        lengths[name] /= max(float(np.cos(np.radians(yaw))), _NARROWEST)
    if found is None:
        return Proportions(lengths, places)
    return with_head(Proportions(lengths, places, found[0]))


def with_head(measured: Proportions, rotation: Float[np.ndarray, "3 3"] | None = None) -> Proportions:
    """The same figure, its head measured again for its size against the trunk.

    Args:
      measured: in a picture that shows the face.
      rotation: (3, 3) of the head in the picture, if it is known.
    """
    shape, views = heads.of_picture(face(measured.joints), measured.averages, rotation)
    neck = float(np.linalg.norm(views.origins[0] - measured.joints["neck"]))
    lengths = {**measured.lengths, "neck": neck}
    return Proportions(lengths, measured.joints, shape, views.rotations[0])


def of_rig(points: Float[np.ndarray, "k 3"], skeleton: Skeleton) -> Proportions:
    """Proportions of a rig at rest, before a camera that sees its front; nothing is foreshortened.

    Args:
      points: x, y and, towards the viewer, z in pixels; see `avatars.keypoints.positions`.
      skeleton: of the k joints.

    Raises:
      ValueError: neck, shoulders or hips are missing.
    """
    of = joints(points[None], skeleton)
    lengths, places = _one(of, "the rig")
    if not set(heads.FACE) <= set(of):
        return Proportions(lengths, places)
    head = np.concatenate([of[name] for name in heads.FACE])
    ears = head[heads.EARS].mean(0)
    head = (head - ears) * [1.0, -1.0, 1.0]
    lengths["neck"] = float(np.linalg.norm(ears - of["neck"][0]))
    shape = Shape(head, heads.DRAWN.pivot * np.abs(head[heads.EARS, 0]).mean())
    return Proportions(lengths, places, shape, np.eye(3))


def of_clip(keypoints: Float[np.ndarray, "t k 3"], skeleton: Skeleton) -> tuple[Proportions, Views | None]:
    """Proportions of a driver who is never outstretched, and its head: the greatest lengths of the clip.

    What is foreshortened in every frame has no length. Widths are as they would be if the body were turned as
    the head is most of the time. Arguments and errors as `of_picture`.
    """
    of = joints(keypoints[..., :2], skeleton)
    check(of, "the clip")
    measured = measure(of)
    lengths = greatest(measured)
    trunk, views = lengths["trunk"], None
    lengths["collar"] = float(np.nanmedian(measured["collar"] / measured["trunk"])) * trunk
    out = Proportions(lengths, {name: place[0] for name, place in of.items()})
    found = heads.of_clip(face(of))
    if found is not None:
        shape, views = heads.of_clip(face(of), dataclasses.replace(out, head=found[0]).averages)
        out = dataclasses.replace(out, head=shape)
        necks = np.linalg.norm(views.origins - of["neck"], axis=1)
        lengths["neck"] = float(np.nanquantile(necks, 1 - _NECK_LONGER))
        shown = np.cos(views.yaws)
        front = views.known & (shown > _NARROWEST)
        turned = front.mean() > 0.5 and abs(np.median(views.yaws[views.known])) > _TURNED
        for name in WIDTHS if turned else ():
            lengths[name] = max(lengths[name], float(np.nanmedian((measured[name] / shown)[front])))
    for name in [n for n in lengths if lengths[n] < _LEAST.get(plain(n), 0.0) * trunk]:
        del lengths[name]
    return out, views


def greatest(measured: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Limb -> the greatest of (t,) lengths, but for what frames say that are few or noisy."""
    out = {}
    for limb, values in measured.items():
        known = values[np.isfinite(values)]
        if not len(known):
            continue
        # A few frames are longer by chance, by twice the jitter, which fourth differences tell from motion.
        jitter = float(np.median(np.abs(np.diff(known, 4)))) / 0.6745 / 70**0.5 if len(known) > 4 else 0.0
        out[limb] = max(float(np.quantile(known, 1 - _LONGER)) - 2 * jitter, float(np.median(known)))
    return out


def longer(measured: Proportions, clip: Mapping[str, np.ndarray]) -> list[str]:
    """Limbs that a clip shows so much longer than a frame of it that this does not show them outstretched.

    Args:
      measured: in the frame.
      clip: limb -> (t,) lengths in all frames.
    """
    most, out = greatest(clip), []
    for limb in LIMBS:
        names = [f"{side}_{limb}" for side in SIDES]
        there = max((measured.lengths[n] for n in names if n in measured.lengths), default=np.inf)
        if max((most[n] for n in names if n in most), default=0.0) > _OUTSTRETCHED * there:
            out.append(limb)
    return out
