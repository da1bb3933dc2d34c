"""One picture and one motion in, an animation out: what is asked of a network, frame by frame.

The driver's poses are brought to the character's body (`pose.normalise`) in the frame of its picture as the
network sees it. Scale and ground are one for the whole clip, so that jumps stay jumps. The network's own
picture is a window that goes along with the figure, by whole pixels; where a motion needs more room than it
has, the figure is made smaller in it, source and poses alike. `pipelines.canvas` puts what comes out back.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from anime_pt.pipelines import framing, matting, transfer
from anime_pt.pipelines.transfer import Cut, Source
from anime_pt.pose import contacts, normalise, proportions
from anime_pt.pose.sequences import PoseSequence
from anime_pt.pose.skeletons import Skeleton

_HEAD = ("neck", "nose", "left_eye", "right_eye", "left_ear", "right_ear", "head_top")
# Shares of the stature by which a figure reaches past its joints: hair, soles, hands to either side.
_ABOVE, _BELOW, _BESIDE = 0.06, 0.05, 0.05
# Of the frames, how many must fit into the window; and by how much the figure is made smaller for it at most.
_FITTING, _SMALLEST = 0.95, 0.6
# Seconds over which the window goes along.
_SWAY = 0.15
# Share of an edge of the picture from which on a figure may be cut off by it.
_TOUCHES = 0.08
# By how much the lower half of a limb may be longer than the upper one.
_TOO_LONG = 1.9


class Network(Protocol):
    """What is used of a `transfer.Model`."""

    skeleton: Skeleton
    size: tuple[int, int]
    frame: framing.Frame
    rgba: bool
    copies: bool

    def __call__(self, sources: Sequence[Source], poses: np.ndarray) -> np.ndarray: ...


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is asked of a network.

    Attributes:
      source: the character in the network's frame.
      poses: (t, k, 3) in the same frame, wherever the figure goes.
      windows: (t, 2) x and y where the network's picture begins, in that frame.
      nobody: (t,) frames that show nobody.
      fps: of the poses.
      zoom: by which the figure is smaller than the network is used to.
      ground: (2,) where the figure stands in the frame at first.
      in_place: whether it stands there in all frames.
      remarks: what one should know.
    """

    source: Source
    poses: Float[np.ndarray, "t k 3"]
    windows: Int[np.ndarray, "t 2"]
    nobody: Bool[np.ndarray, "t"]
    fps: float
    zoom: float
    ground: Float[np.ndarray, "2"]
    in_place: bool
    remarks: tuple[str, ...]

    @property
    def asked(self) -> Float[np.ndarray, "t k 3"]:
        """The poses in the pixels of the network's pictures."""
        out = self.poses.copy()
        out[..., :2] -= self.windows[:, None]
        return out


def plan(
    cut: Cut,
    driver: PoseSequence,
    model: Network,
    reference: int | None = None,
    same_pose: bool = False,
    turn_head: bool = True,
    in_place: bool = False,
    detail: int | None = None,
) -> Plan:
    """Brings a motion to a character.

    Args:
      cut: the character's figure.
      driver: whose motion.
      model: the network.
      reference, same_pose, turn_head: see `normalise.normalise`.
      in_place: whether the figure stays where it is instead of walking about.
      detail: how many times as large as the network's pictures are, if it can copy; see `transfer.placed`.

    Raises:
      ValueError: nobody is seen in the motion, or it has nothing in common with the figure.
    """
    of = driver.as_skeleton(model.skeleton)
    nobody, remarks = _nobody(of.keypoints, model.skeleton)
    remarks += [*_cut_off(cut), *_doubtful(cut)]
    source = transfer.placed(cut, model, 1.0, detail)
    why = _unmeasured(of, source.points, model.skeleton)
    if why:
        remarks.append(f"{why}; the driver's own proportions are kept")
        poses = _alike(of.keypoints, source.points, model, in_place)
    else:
        character = proportions.of_picture(source.points, model.skeleton, "the character's picture")
        done = normalise.normalise(
            of, character, model.size, reference, same_pose, turn_head, centred=in_place
        )
        poses = done.poses.keypoints
        unseen = [r.split(":")[0] for r in done.report if "never seen" in r]
        remarks += [r for r in done.report if "never seen" not in r]
        poses, still = _completed(poses, source.points, model.skeleton, unseen)
        if still:
            remarks.append(f"the motion never shows these, and the network guesses: {', '.join(still)}")
    poses = poses.astype(np.float64)
    poses[nobody] = (np.nan, np.nan, 0)
    zoom = _zoom(poses, model)
    if zoom < 1:
        x, y = model.size[1] / 2, model.frame.ground * model.size[0]
        poses[..., :2] = (poses[..., :2] - [x, y]) * zoom + [x, y]
        source = transfer.placed(cut, model, zoom, detail)
        remarks.append(
            f"the motion needs room in the network's picture: the figure is drawn {zoom:.2f} times as large "
            "there, and so will be less sharp"
        )
    windows = _windows(poses, model, of.fps, zoom)
    out = Plan(source, poses, windows, nobody, of.fps, zoom, _ground(poses, model, nobody), in_place, ())
    return dataclasses.replace(out, remarks=(*remarks, *_outside(out, model)))


def _nobody(points: np.ndarray, skeleton: Skeleton) -> tuple[np.ndarray, list[str]]:
    """Frames that show too little of a body, and a line about them."""
    known = lambda *names: np.isfinite(points[:, [skeleton.index(n) for n in names], 0])
    hips = known("left_hip", "right_hip").any(1)
    seen = known("neck")[:, 0] & (hips | ~hips.any())
    if not seen.any():
        raise ValueError("the motion never shows a neck: give one that shows the upper body at least")
    lost = len(seen) - int(seen.sum())
    if not lost:
        return ~seen, []
    first = int(np.flatnonzero(~seen)[0])
    return ~seen, [
        f"{lost} of {len(seen)} frames (first number {first}) show nobody, and so does the animation there"
    ]


def _cut_off(cut: Cut) -> list[str]:
    """A line about a figure that reaches the edge of its picture: estimators find joints all the same."""
    if cut.figure.mask is None:
        return []
    solid = cut.image[..., 3] > 127
    edges = {"upper": solid[0], "lower": solid[-1], "left": solid[:, 0], "right": solid[:, -1]}
    # A tip that touches the edge is not cut off.
    cut_at = [name for name, edge in edges.items() if edge.mean() > _TOUCHES]
    if not cut_at:
        return []
    return [
        f"the figure reaches the {' and the '.join(cut_at)} edge of the picture: if it is cut off there, "
        "joints beyond are wrong, see --preview"
    ]


def _doubtful(cut: Cut) -> list[str]:
    """A line for each limb that no figure has: where hair or a sleeve was taken for a hand."""
    out = []
    place = lambda name: cut.points[cut.skeleton.index(name), :2]
    for side in proportions.SIDES:
        for near, far in (("upper_arm", "forearm"), ("thigh", "shin")):
            lengths = [
                float(np.linalg.norm(place(f"{side}_{end}") - place(f"{side}_{start}")))
                for start, end in (proportions.LIMBS[near], proportions.LIMBS[far])
            ]
            # What is foreshortened is too short; nothing is too long.
            if lengths[1] > _TOO_LONG * lengths[0]:
                ratio = lengths[1] / max(lengths[0], 1e-6)
                name = f"{side} {near}".replace("_", " ")
                out.append(f"its {side} {far} seems {ratio:.1f} times as long as its {name}: see --preview")
    return out


def _unmeasured(driver: PoseSequence, own: np.ndarray, skeleton: Skeleton) -> str:
    """Why proportions cannot be measured, or ""."""
    try:
        proportions.check(proportions.joints(own[None, :, :2], skeleton), "the picture")
        proportions.check(proportions.joints(driver.keypoints[..., :2], skeleton), "the motion")
    except ValueError as error:
        return str(error).split(":")[0]
    return ""


def _alike(points: np.ndarray, own: np.ndarray, model: Network, in_place: bool) -> np.ndarray:
    """Poses of a body that is not measured: scaled as a whole, by the parts that both show."""
    want = framing.parts(own, model.skeleton)
    each = [framing.parts(p, model.skeleton) for p in points]
    have = {n: np.median([e[n] for e in each if n in e]) for n in want if any(n in e for e in each)}
    if not have:
        raise ValueError(
            "the motion and the figure have no known part of the body in common (head, torso, thigh, shin)"
        )
    scale = sum(want[n] for n in have) / sum(have.values())

    def at(of: np.ndarray, names: Sequence[str]) -> np.ndarray:
        places = of[..., [model.skeleton.index(n) for n in names], :2]
        # Not nanmean, which warns where none is known.
        with np.errstate(invalid="ignore"):
            return np.nansum(places, -2) / np.isfinite(places).sum(-2)

    anchors = ("left_ankle", "right_ankle"), ("left_hip", "right_hip"), ("neck",)
    shown = lambda of, names: np.isfinite(of[..., [model.skeleton.index(n) for n in names], 0]).any()
    anchor = next(a for a in anchors if a == ("neck",) or (shown(own, a) and shown(points, a)))
    theirs, mine = at(points, anchor), at(own, anchor)
    known = np.isfinite(theirs).all(1)
    theirs = np.stack(
        [np.interp(np.arange(len(theirs)), np.flatnonzero(known), c[known]) for c in theirs.T], 1
    )
    low = float(np.quantile(theirs[:, 1], 0.9)) if anchor[0].endswith("ankle") else float(theirs[0, 1])
    start = theirs[:, :1] if in_place else theirs[:1, :1]
    out = points.astype(np.float64)
    out[..., 0] = (out[..., 0] - start) * scale + mine[0]
    out[..., 1] = (out[..., 1] - low) * scale + mine[1]
    return out


def _completed(
    poses: np.ndarray, own: np.ndarray, skeleton: Skeleton, unseen: Sequence[str]
) -> tuple[np.ndarray, list[str]]:
    """Joints of the head that a motion's skeleton does not have, from the character's own; and the rest."""
    head = [skeleton.index(n) for n in _HEAD if n in skeleton.keypoints]
    missing = [
        skeleton.index(n)
        for n in unseen
        if skeleton.index(n) in head and np.isfinite(own[skeleton.index(n), 0])
    ]
    out = poses.copy()
    for frame in out:
        common = [i for i in head if np.isfinite(frame[i, 0]) and np.isfinite(own[i, 0])]
        if len(common) < 2:
            continue
        # The similarity that fits best, as complex numbers.
        a, b = (p[common, 0] + 1j * p[common, 1] for p in (own.astype(float), frame))
        turn = np.vdot(a - a.mean(), b - b.mean()) / max(np.vdot(a - a.mean(), a - a.mean()).real, 1e-9)
        for i in missing:
            place = b.mean() + turn * (own[i, 0] + 1j * own[i, 1] - a.mean())
            frame[i] = place.real, place.imag, 1
    names = [skeleton.keypoints[i] for i in missing]
    return out, [n for n in unseen if n not in names]


def _extents(poses: np.ndarray, model: Network, zoom: float) -> np.ndarray:
    """(t, 4) left, top, right and bottom of the figure in each frame, NaN where nobody is."""
    stature = zoom * model.frame.stature * model.size[0]
    out = np.full((len(poses), 4), np.nan)
    known = np.isfinite(poses[..., 0]).any(1)
    low, high = np.nanmin(poses[known, :, :2], 1), np.nanmax(poses[known, :, :2], 1)
    out[known, :2] = low - np.array([_BESIDE, _ABOVE]) * stature
    out[known, 2:] = high + np.array([_BESIDE, _BELOW]) * stature
    return out


def _zoom(poses: np.ndarray, model: Network) -> float:
    extents = _extents(poses, model, 1.0)
    sides = np.nanquantile(extents[:, 2:] - extents[:, :2], _FITTING, axis=0)
    fits = np.array(model.size[::-1]) / sides
    return float(np.clip(fits.min(), _SMALLEST, 1.0))


def _windows(poses: np.ndarray, model: Network, fps: float, zoom: float) -> np.ndarray:
    """Where the network's picture begins in each frame: as usual but for what would leave it."""
    extents = _extents(poses, model, zoom)
    known = np.isfinite(extents[:, 0])
    at = np.arange(len(poses))
    extents = np.stack([np.interp(at, at[known], c[known]) for c in extents.T], 1)
    height, width = model.size
    hips = [model.skeleton.index(n) for n in ("left_hip", "right_hip")]
    with np.errstate(invalid="ignore"):
        middle = np.mean(poses[:, hips, 0], 1)
    inside = np.isfinite(middle)
    # Whose hips are never seen is followed by the middle of what is.
    middle = np.where(inside.any(), middle, extents[:, [0, 2]].mean(1))
    inside = np.isfinite(middle)
    middle = np.interp(at, at[inside], middle[inside])
    out = []
    for usual, low, high, side in (
        (middle - width / 2, extents[:, 0], extents[:, 2], width),
        (np.zeros(len(at)), extents[:, 1], extents[:, 3], height),
    ):
        # A figure that is larger than the window is in the middle of it.
        least, most = (
            np.minimum(high - side, (low + high - side) / 2),
            np.maximum(low, (low + high - side) / 2),
        )
        out.append(contacts.smooth(np.clip(usual, least, most), _SWAY * fps))
    return np.round(np.stack(out, 1)).astype(int)


def _ground(poses: np.ndarray, model: Network, nobody: np.ndarray) -> np.ndarray:
    """Where the figure stands in its first frame: below its hips, or its neck if these are never seen."""
    first = poses[np.flatnonzero(~nobody)[0]]
    hips = first[[model.skeleton.index(n) for n in ("left_hip", "right_hip")], 0]
    x = np.nanmean(hips) if np.isfinite(hips).any() else first[model.skeleton.index("neck"), 0]
    return np.array([x, model.frame.ground * model.size[0]])


def _outside(plan: Plan, model: Network) -> list[str]:
    x, y = plan.asked[..., 0], plan.asked[..., 1]
    height, width = model.size
    outside = ((x < 0) | (x > width) | (y < 0) | (y > height)).any(1)
    if not outside.any():
        return []
    return [
        f"in {int(outside.sum())} of {len(outside)} frames joints are outside the network's picture of "
        f"{width}x{height}, and are not drawn"
    ]


def frames(plan: Plan, model: Network, batch: int = 8) -> Iterator[UInt8[np.ndarray, "h w 4"] | None]:
    """The character in each pose, in the network's frame, with its mask; None where nobody is.

    Args:
      plan: of the clip.
      model: the network.
      batch: poses at once.
    """
    asked = plan.asked.astype(np.float32)
    for start in range(0, len(asked), batch):
        part, empty = asked[start : start + batch], plan.nobody[start : start + batch]
        images = [None] * len(part)
        if not empty.all():
            # Padded: another size would compile again.
            padded = np.concatenate([part, np.repeat(part[-1:], batch - len(part), 0)])
            images = model([plan.source], padded)
        for image, absent in zip(images, empty, strict=False):
            yield None if absent else matting.matted(image)
