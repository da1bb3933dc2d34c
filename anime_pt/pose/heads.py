"""Heads in pictures: which way they face and how they are built, from nose, eyes, ears and crown.

A face is no limb: from the side a nose stands before the ears, however short it looks from the front. So a
head is a rigid shape of six points before a camera without perspective. What one picture shows of it is
known, its depths come from an average head, and from the clip where there is one.

Space of shapes: x to the head's own left, y up, z to where it looks; the origin is between the ears.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "head_top")
EARS = [FACE.index("left_ear"), FACE.index("right_ear")]
_MIRRORED = [0, 2, 1, 4, 3, 5]
# Fewer points than this say little of three angles.
_ENOUGH = 4
# In halves of the width of the head: how well points are found, and how far depths and places may be from
# those of an average head.
_FOUND, _DEPTH, _PLACE = 0.02, 0.15, 0.1
# Logarithms by which a frame's scale may differ from that of the frames around (how many), and by which
# scales must differ to be no mistake.
_SCALE, _AROUND, _SAME = 0.01, 30, 0.06
_ROUNDS = 5
# Half the width of a grown head, in trunks, and how much flatter a head is for each trunk beyond.
_GROWN, _FLATTER = 0.18, 0.5
# Degrees by which a head may be turned where the search for its direction starts.
_TURNS = (0, 60, -60, 120, -120, 180)
_DOWN = np.array([1.0, -1.0])


@dataclasses.dataclass(frozen=True)
class Shape:
    """A head.

    Attributes:
      points: (6, 3) places of `FACE`, in pixels.
      pivot: (3,) where it turns on the neck.
    """

    points: np.ndarray
    pivot: np.ndarray

    @property
    def size(self) -> float:
        """Half the distance between the ears."""
        return float(np.linalg.norm(self.points[EARS[0]] - self.points[EARS[1]])) / 2

    def scaled(self, factor: float) -> "Shape":
        """The same head, that much larger."""
        return Shape(self.points * factor, self.pivot * factor)


def _average(eye, nose, top, pivot) -> Shape:
    points = [(0, *nose), eye, eye * np.array([-1, 1, 1]), (1, 0, 0), (-1, 0, 0), (0, *top)]
    return Shape(np.array(points, float), np.array([0, *pivot], float))


# Half the distance between the ears is 1. Drawn heads turn at the height of the chin, as models do.
DRAWN = _average((0.43, 0.12, 0.98), (-0.30, 1.25), (1.6, 0.0), (-0.7, 0.08))
HUMAN = _average((0.44, 0.30, 1.10), (-0.25, 1.60), (1.75, -0.1), (-0.15, 0.1))


def drawn(share: float) -> Shape:
    """The average drawn head, where half its width is that share of the trunk: large heads are rounder."""
    flatter = 1.0 - _FLATTER * (float(np.clip(share, _GROWN, 1.0)) - _GROWN)
    return Shape(DRAWN.points * [1.0, 1.0, flatter], DRAWN.pivot)


@dataclasses.dataclass(frozen=True)
class Views:
    """A head in t pictures.

    Attributes:
      rotations: (t, 3, 3) from the head's space to that of the picture: x right, y up, z to the viewer.
      scales: (t,) how much larger than the shape.
      origins: (t, 2) where the point between the ears is, in pixels; NaN where nothing of the face is seen.
      known: (t,) bool, where enough of the face is seen; elsewhere it faces as in the nearest such frame.
    """

    rotations: np.ndarray
    scales: np.ndarray
    origins: np.ndarray
    known: np.ndarray

    @property
    def yaws(self) -> np.ndarray:
        """(t,) radians by which the head is turned from the viewer, to the right of the picture."""
        return np.arctan2(self.rotations[:, 0, 2], self.rotations[:, 2, 2])

    def place(self, points: Float[np.ndarray, "p 3"]) -> Float[np.ndarray, "t p 2"]:
        """Pixels of points of the head."""
        seen = np.einsum("tij,pj->tpi", self.rotations[:, :2], points) * self.scales[:, None, None]
        return self.origins[:, None] + seen * _DOWN


def _about(vectors: np.ndarray) -> np.ndarray:
    """(t, 3) rotation vectors as (t, 3, 3) matrices."""
    angle = np.linalg.norm(vectors, axis=1)[:, None, None]
    x, y, z = (vectors / np.maximum(angle[..., 0], 1e-12)).T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(-1, 3, 3)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


def _level(rotations: np.ndarray) -> np.ndarray:
    """Nearby rotations without a nod: a turn about the vertical, then one in the picture."""
    turn = np.arctan2(-rotations[:, 2, 0], rotations[:, 2, 2])
    lean = np.arctan2(-rotations[:, 0, 1], rotations[:, 1, 1])
    zero = np.zeros_like(turn)
    return _about(np.stack([zero, zero, lean], 1)) @ _about(np.stack([zero, turn, zero], 1))


class _Search:
    """Gauss-Newton for rotations and scales of a shape in (t, 6, 2) pictures, by (t, 6) weights of 0 or 1."""

    def __init__(
        self, seen: np.ndarray, weights: np.ndarray, shape: Shape, scales: np.ndarray | None, level: bool
    ):
        self.weights, self.shape, self.level, self.held = weights, shape, level, scales is not None
        self.seen = seen - self._middle(seen)
        if scales is None:
            spread = (weights[..., None] * self.seen**2).sum((1, 2)) / weights.sum(1)
            scales = np.sqrt(np.maximum(spread, 1e-12) / (shape.points**2).sum(1).mean())
        self.start = np.log(scales)

    def _middle(self, values: np.ndarray) -> np.ndarray:
        weights = self.weights.reshape(*self.weights.shape, *[1] * (values.ndim - 2))
        return (weights * values).sum(1, keepdims=True) / weights.sum(1, keepdims=True)

    def run(self, rotations: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rotations and scales after so many steps, and what is left over (t,)."""
        logs = self.start
        # What is known of the scale before; a little where nothing is, so that there is always a solution.
        firm = np.diag([1.0, 1.0, 1.0, _SCALE**-2 if self.held else 1.0])
        for step in range(steps + 1):
            scales = np.exp(logs)
            turned = np.einsum("tij,pj->tpi", rotations, self.shape.points) * scales[:, None, None]
            drawn = turned[..., :2] * _DOWN
            unit = (scales * self.shape.size * _FOUND)[:, None, None]
            left = (self.seen - (drawn - self._middle(drawn))) / unit
            before = (logs - self.start) * firm[3, 3] * self.held
            if step == steps:
                cost = (self.weights * (left**2).sum(-1)).sum(1) + before * (logs - self.start)
                return rotations, scales, cost
            x, y, z = np.moveaxis(turned, -1, 0)
            zero = np.zeros_like(x)
            slopes = np.stack([zero, z, z, zero, -y, -x, drawn[..., 0], drawn[..., 1]], -1)
            slopes = slopes.reshape(*x.shape, 4, 2)
            slopes = (slopes - self._middle(slopes)) / unit[..., None]
            pull = np.einsum("tpic,tpc,tp->ti", slopes, left, self.weights)
            pull[:, 3] -= before
            slopes = (slopes * self.weights[..., None, None]).transpose(0, 2, 1, 3).reshape(len(x), 4, -1)
            change = np.linalg.solve(slopes @ slopes.transpose(0, 2, 1) + firm, pull[..., None])[..., 0]
            rotations = _about(np.clip(change[:, :3], -0.6, 0.6)) @ rotations
            if self.level:
                rotations = _level(rotations)
            logs = logs + np.clip(change[:, 3], -0.3, 0.3)


def look(
    points: Float[np.ndarray, "t p 2"],
    shape: Shape,
    scales: Float[np.ndarray, " t"] | None = None,
    level: bool = False,
    start: Float[np.ndarray, "t 3 3"] | None = None,
) -> Views | None:
    """Which way a head faces in each picture.

    Args:
      points: places of `FACE` in pixels, NaN where unknown.
      shape: of the head.
      scales: of the pictures against the shape, which are then kept within a few percent; None if unknown.
      level: whether the head is taken not to nod.
      start: rotations near the ones that are sought; None tries turns all around.

    Returns:
      The views, or None if no picture shows enough of the face.
    """
    seen = np.isfinite(points).all(-1)
    enough = seen.sum(1) >= _ENOUGH
    if not enough.any():
        return None
    places, weights = np.where(seen[..., None], points, 0.0)[enough], seen[enough].astype(float)
    scales = None if scales is None else scales[enough]
    if start is None:
        count, turns = len(places), _about(np.radians([[0, turn, 0] for turn in _TURNS]))
        many = lambda values: np.concatenate([values] * len(turns))
        tries = _Search(many(places), many(weights), shape, None if scales is None else many(scales), level)
        turned, _, cost = tries.run(np.repeat(turns, count, axis=0), 6)
        start = turned.reshape(-1, count, 3, 3)[cost.reshape(-1, count).argmin(0), np.arange(count)]
    else:
        start = start[enough]
    rotations, scales, _ = _Search(places, weights, shape, scales, level).run(start, 5)
    found = np.flatnonzero(enough)
    nearest = np.searchsorted((found[1:] + found[:-1]) / 2, np.arange(len(points)))
    return _at(points, shape, rotations[nearest], scales[nearest], enough)


def _at(
    points: np.ndarray, shape: Shape, rotations: np.ndarray, scales: np.ndarray, known: np.ndarray
) -> Views:
    """Views whose origins are fitted to what is seen."""
    seen = np.isfinite(points).all(-1, keepdims=True)
    flat = Views(rotations, scales, np.zeros((len(points), 2)), known)
    off = np.where(seen, points - flat.place(shape.points), 0.0).sum(1)
    counts = seen.sum(1)
    origins = np.where(counts > 0, off / np.maximum(counts, 1), np.nan)
    return dataclasses.replace(flat, origins=origins)


def _learned(points: np.ndarray, views: Views, shape: Shape, before: Shape, firm: np.ndarray) -> Shape:
    """The symmetric shape that fits best what views show of it.

    Args:
      points: (t, 6, 2) what was seen.
      views: of `shape` there.
      shape: where the search starts.
      before: what is known without the views, and
      firm: (3, 3) how well: the inverse covariance of its points.
    """
    seen = np.isfinite(points).all(-1) & views.known[:, None]
    unit = _FOUND * shape.size
    left = np.where(seen[..., None], points - views.place(shape.points), 0.0) * _DOWN
    left = left / (unit * views.scales[:, None, None])
    slopes = views.rotations[:, :2] / unit
    normal = np.einsum("tci,tcj,tp->pij", slopes, slopes, seen.astype(float)) + firm
    pull = np.einsum("tci,tpc->pi", slopes, left) + (before.points - shape.points) @ firm
    new = shape.points + np.linalg.solve(normal, pull[..., None])[..., 0]
    new = (new + new[_MIRRORED] * [-1, 1, 1]) / 2
    return Shape(new - new[EARS].mean(0), shape.pivot)


def _unlike(shape: Shape, average: Shape) -> float:
    return float(np.linalg.norm(shape.points / shape.size - average.points / average.size))


def of_picture(
    points: Float[np.ndarray, "p 2"],
    averages: Sequence[Shape] = (DRAWN, HUMAN),
    rotation: Float[np.ndarray, "3 3"] | None = None,
) -> tuple[Shape, Views] | None:
    """The head in one picture and the view of it there; None if too little of the face is seen.

    Depths are those of the average that looks most like it.

    Args:
      points: places of `FACE` in pixels, NaN where unknown.
      averages: of heads.
      rotation: of the head, if it is known. Else it is taken to be level: one that nods cannot be told from
        one whose ears are high.
    """
    points, found = points[None], []
    for average in averages:
        shape, start = average, None if rotation is None else rotation[None]
        for _ in range(_ROUNDS):
            views = look(points, shape, level=rotation is None, start=start)
            if views is None:
                return None
            start = views.rotations if rotation is None else rotation[None]
            factor = float(views.scales[0])
            average = average.scaled(factor * shape.size / average.size)
            shape = shape.scaled(factor)
            views = _at(points, shape, start, np.ones(1), views.known)
            shape = _learned(points, views, shape, average, np.eye(3) / (_PLACE * average.size) ** 2)
        found.append((_unlike(shape, average), shape, start))
    _, shape, rotations = min(found, key=lambda entry: entry[0])
    return shape, _at(points, shape, rotations, np.ones(1), np.ones(1, bool))


def of_clip(
    points: Float[np.ndarray, "t p 2"],
    averages: Sequence[Shape] = (DRAWN, HUMAN),
    rotation: Float[np.ndarray, "3 3"] | None = None,
) -> tuple[Shape, Views] | None:
    """The head of a clip and its views; None if too little of the face is ever seen.

    Args:
      points: places of `FACE` in pixels, NaN where unknown.
      averages: of heads. Or the one head as it was seen in a picture, in pixels of the clip, with
      rotation: that it had there: only its depth as seen from there is doubtful then.
    """
    found = []
    for start in averages:
        views = look(points, start)
        if views is None:
            return None
        if rotation is None:
            start = start.scaled(float(np.median(views.scales[views.known])))
            firm = np.eye(3) / (_PLACE * start.size) ** 2
        else:
            along = np.outer(rotation[2], rotation[2])
            firm = (np.eye(3) - along) / (_FOUND * start.size) ** 2 + along / (_DEPTH * start.size) ** 2
        shape, views = _settled(points, start, views, firm, np.ones(len(points)))
        # Depths are wrong at first, which looks like other scales: what stays is a change of distance.
        same = shape.scaled(start.size / shape.size)
        scales = steady(look(points, same, start=views.rotations))
        if np.abs(np.log(scales)).max() > _SAME:
            shape, views = _settled(points, start, views, firm, scales)
        found.append((_unlike(shape, start), shape, views))
    return min(found, key=lambda entry: entry[0])[1:]


def _settled(
    points: np.ndarray, start: Shape, views: Views, firm: np.ndarray, scales: np.ndarray
) -> tuple[Shape, Views]:
    """The shape, and its views, after shape and views were fitted to each other in turn."""
    shape = start
    for _ in range(_ROUNDS):
        views = look(points, shape, scales, start=views.rotations)
        shape = _learned(points, views, shape, start, firm)
    return shape, look(points, shape, scales, start=views.rotations)


def steady(views: Views) -> np.ndarray:
    """(t,) scales without what one frame says: running medians."""
    known = np.where(views.known, views.scales, np.nan)
    padded = np.pad(known, _AROUND, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _AROUND + 1)
    anywhere = np.nanmedian(known)
    return np.array([np.nanmedian(w) if np.isfinite(w).any() else anywhere for w in windows])
