"""Feet on the ground in pictures: when they stand, and how a body moves whose standing feet do not slide."""

import numpy as np
from jaxtyping import Float

from anime_pt.pose.gaps import runs

# Leg lengths per second below and above which a foot stands or moves; leg lengths above the ground likewise.
_SPEEDS, _HEIGHTS = (0.1, 0.4), (0.04, 0.12)
# Seconds: the shortest stand, and how far around it the ground is looked for.
_SHORTEST, _AROUND = 0.1, 0.5
# Seconds over which jitter is taken out before speeds are measured.
_JITTER = 0.05
# What it weighs, against a foot that stands still, to move as wanted, to be where it is wanted, and to be
# on the ground.
_MOVES, _PLACE, _GROUND = 0.02, 1e-4, 0.05
# The same for a foot of its own: to be where it was while it stands, and while it does not.
_STAYS, _FREE = 0.002, 0.3


def _falling(values: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    """1 up to the first end, 0 from the second on, smooth between."""
    x = np.clip((values - ends[0]) / (ends[1] - ends[0]), 0.0, 1.0)
    return 1.0 - x**2 * (3.0 - 2.0 * x)


def ground(ankles: Float[np.ndarray, "t f 2"], fps: float) -> Float[np.ndarray, " t"]:
    """Height in the picture on which feet stand: the lowest ankle around each frame."""
    reach = max(1, round(_AROUND * fps))
    lowest = np.pad(ankles[..., 1].max(1), reach, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(lowest, 2 * reach + 1).max(1)


def find(ankles: Float[np.ndarray, "t f 2"], leg: float, fps: float) -> Float[np.ndarray, "s f"]:
    """How far each foot stands from each frame to the next, in [0, 1]; s = t - 1.

    A foot stands when it is slow and near the ground for a while.

    Args:
      ankles: in pixels.
      leg: length in pixels.
      fps: frames per second.
    """
    flat = ankles.reshape(len(ankles), -1)
    noise = np.median(np.abs(np.diff(flat, 4, axis=0))) / 0.6745 / 70**0.5 if len(flat) > 4 else 0.0
    ankles = np.stack([smooth(values, _JITTER * fps) for values in flat.T], 1).reshape(ankles.shape)
    # What speed is left of white noise after this, three times its deviation.
    chance = 3 * noise * (2 / (4 * np.pi**0.5 * (_JITTER * fps) ** 3)) ** 0.5 * fps / leg
    speeds = np.linalg.norm(np.diff(ankles, axis=0), axis=-1) * fps / leg
    low = _falling((ground(ankles, fps)[:, None] - ankles[..., 1]) / leg, _HEIGHTS)
    stands = _falling(speeds - chance, _SPEEDS) * np.minimum(low[1:], low[:-1])
    least = round(_SHORTEST * fps)
    for foot in stands.T:
        for start, stop in runs(foot > 0):
            if stop - start < least:
                foot[start:stop] = 0.0
    return stands


def path(
    wanted: Float[np.ndarray, "t 2"],
    feet: Float[np.ndarray, "t f 2"],
    places: Float[np.ndarray, "t f 2"],
    stands: Float[np.ndarray, "s f"],
) -> Float[np.ndarray, "t 2"]:
    """The path of a body nearest to a wanted one on which standing feet stay, by least squares.

    Args:
      wanted: path of the root in pixels.
      feet: ankles against the root.
      places: where the ankles should be; only the heights of those that stand count.
      stands: see `find`.
    """
    if len(wanted) < 2:
        return wanted.copy()
    # Towards the end of a stand, a foot begins to move as it should.
    slips = (1.0 - stands[..., None]) * np.diff(places, axis=0)
    steps = slips - np.diff(feet, axis=0)
    moves = stands.sum(1)[:, None] + _MOVES
    move = ((stands[..., None] * steps).sum(1) + _MOVES * np.diff(wanted, axis=0)) / moves
    hold = np.full_like(wanted, _PLACE)
    pull = _PLACE * wanted
    bears = np.pad(stands, ((1, 0), (0, 0)))
    bears = np.minimum(bears, np.pad(stands, ((0, 1), (0, 0))))
    hold[:, 1] += _GROUND * bears.sum(1)
    pull[:, 1] += _GROUND * (bears * (places - feet)[..., 1]).sum(1)
    return _nearest(np.broadcast_to(moves, move.shape), move, hold, pull)


def still(foot: Float[np.ndarray, "t 2"], stands: Float[np.ndarray, " s"]) -> Float[np.ndarray, "t 2"]:
    """The path of a foot that stays where it stands and is unchanged elsewhere, by least squares.

    Args:
      foot: in pixels.
      stands: how far it stands from each frame to the next.
    """
    if not len(stands):
        return foot.copy()
    stands = stands[:, None]
    moves = stands + _FREE * (1.0 - stands)
    move = (1.0 - stands) * np.diff(foot, axis=0)
    bears = np.maximum(np.pad(stands, ((1, 0), (0, 0))), np.pad(stands, ((0, 1), (0, 0))))
    hold = np.broadcast_to(_STAYS + _FREE * (1.0 - bears), foot.shape)
    return _nearest(np.broadcast_to(moves, move.shape), move, hold, hold * foot)


def _nearest(moves: np.ndarray, move: np.ndarray, hold: np.ndarray, pull: np.ndarray) -> np.ndarray:
    """The path (t, 2) that moves by `move` (t - 1, 2) and is at `pull / hold` (t, 2), with these weights."""
    after, before = ((1, 0), (0, 0)), ((0, 1), (0, 0))
    diagonal = hold + np.pad(moves, after) + np.pad(moves, before)
    right = pull + np.pad(moves * move, after) - np.pad(moves * move, before)
    return _tridiagonal(diagonal, -moves, right)


def _tridiagonal(diagonal: np.ndarray, beside: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solves symmetric systems with (t, n) on the diagonal and (t - 1, n) beside it."""
    diagonal, right = diagonal.copy(), right.copy()
    for i in range(1, len(diagonal)):
        share = beside[i - 1] / diagonal[i - 1]
        diagonal[i] -= share * beside[i - 1]
        right[i] -= share * right[i - 1]
    right[-1] /= diagonal[-1]
    for i in range(len(diagonal) - 2, -1, -1):
        right[i] = (right[i] - beside[i] * right[i + 1]) / diagonal[i]
    return right


def smooth(values: Float[np.ndarray, " t"], sigma: float) -> Float[np.ndarray, " t"]:
    """Values after a Gaussian of `sigma` samples; the ends are extended as they came."""
    reach = max(1, int(np.ceil(3 * sigma)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-6)) ** 2)
    return np.convolve(
        np.pad(values, reach, mode="reflect", reflect_type="odd"), kernel / kernel.sum(), mode="valid"
    )
