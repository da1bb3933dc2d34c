"""Jitter of estimated joints taken out: Savitzky-Golay, a running median, and the one-euro filter.

Each filter takes (t, k, 3) joints over time and gives as many; x and y are smoothed, the visibility stays. A
joint that is unknown in a frame stays unknown, and gaps are no zeros: what is known on either side of one is
smoothed for itself (`gaps.fill` comes first, if at all).

The defaults are what `python -m benchmarks.smoothing` showed best on 16 motions at 30 frames per second with
jitter of 0.5 % of the figure's height, and with 2 % outliers besides. Mean error in percent of the height,
acceleration left of the noise, and lag in frames:

                                 jitter alone           with outliers
    as it is                     0.63   1.54   0        0.71   1.85
    savgol(9, 2)                 0.38   0.33   0        0.46   0.38
    median_savgol(9, 2)          0.39   0.25   0        0.40   0.25
    median(5)                    0.46   0.71   0        0.48   0.73
    median(**OPENMMD)            0.54   0.69   0        0.55   0.71
    one_euro()                   0.57   0.68   0.35     0.67   0.87

Savgol's error rises on both sides of a window of 9 (7: 0.384, 9: 0.376, 11: 0.410). One-euro sees the past
alone: it is for live use.
"""

import dataclasses
import inspect
from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy import signal

from anime_pt.pose.gaps import runs
from anime_pt.pose.sequences import PoseSequence, extent

FILTERS = ("savgol", "median", "median_savgol", "one_euro")
# `median` as OpenMMD does it.
OPENMMD = {"window": 7, "openmmd_ends": True}


def savgol(
    keypoints: Float[np.ndarray, "t k 3"], window: int = 9, order: int = 2, columns: int = 2
) -> Float[np.ndarray, "t k 3"]:
    """Savitzky & Golay (1964): each value from a polynomial fitted to the frames around it; no lag.

    At the ends, the polynomial of the first or last full window is read off. Stretches between gaps that are
    shorter than the window get a shorter one; those of up to `order` + 1 frames stay as they are.

    Args:
      keypoints: x, y, visibility.
      window: frames, odd.
      order: of the polynomial.
      columns: how many of the last axis are coordinates.

    Raises:
      ValueError: the window is even, or not larger than the order.
    """
    _check_window(window)
    if not 0 <= order < window:
        raise ValueError(
            f"the order of the polynomial must be from 0 to below the window {window}, got {order}"
        )

    def run(values):
        width = min(window, len(values) - 1 + len(values) % 2)
        if width <= order + 1:
            return values
        return signal.savgol_filter(values, width, order, axis=0, mode="interp")

    return _by_runs(keypoints, run, columns)


def median(
    keypoints: Float[np.ndarray, "t k 3"], window: int = 5, openmmd_ends: bool = False, columns: int = 2
) -> Float[np.ndarray, "t k 3"]:
    """The median of the frames around each one: takes out single outliers, whatever their size.

    Args:
      keypoints: x, y, visibility.
      window: frames, odd. OpenMMD's is 7.
      openmmd_ends: what the first and last frames are taken from. False: a window that shrinks around them,
        as it does beside gaps. True: as in OpenMMD, the frame and those inwards of it, (window + 1) / 2 in
        all: steadier, but a joint that moves stands still there.
      columns: how many of the last axis are coordinates.

    Raises:
      ValueError: the window is even.
    """
    _check_window(window)
    reach, count = window // 2, len(keypoints)
    values = np.pad(
        keypoints[..., :columns].astype(float), ((reach, reach), (0, 0), (0, 0)), constant_values=np.nan
    )
    around = np.stack([values[i : i + count] for i in range(window)])
    if openmmd_ends:
        # Its blocks at the ends have one frame more than the window reaches.
        around[:reach, : reach + 1] = around[reach + 1 :, count - 1 - reach :] = np.nan
    else:
        # Later frames without the earlier ones that match them would pull a moving joint forwards.
        around = np.where(np.isfinite(around[::-1]), around, np.nan)
    out = keypoints.copy()
    known = np.isfinite(keypoints[..., :columns]).all(-1)
    out[known, :columns] = np.nanmedian(around[:, known], 0)
    return out


def median_savgol(
    keypoints: Float[np.ndarray, "t k 3"], window: int = 9, order: int = 2, columns: int = 2
) -> Float[np.ndarray, "t k 3"]:
    """The median of three frames, then Savitzky-Golay: without the first, an outlier bends a whole window.

    Arguments and errors as `savgol`.
    """
    return savgol(median(keypoints, 3, columns=columns), window, order, columns)


class OneEuro:
    """The one-euro filter (Casiez, Roussel & Vogel, CHI 2012), for joints that come frame by frame.

    A low-pass that looks at the past alone; its cutoff rises with the speed of a joint, so that slow joints
    do not jitter and fast ones do not lag. Speeds are counted in figures per second, so that the settings fit
    pictures of all sizes.
    """

    def __init__(
        self,
        fps: float,
        min_cutoff: float = 1.0,
        beta: float = 20.0,
        derivative_cutoff: float = 3.0,
        scale: float | None = None,
        columns: int = 2,
    ):
        """Starts before the first frame.

        Of the settings tried, `beta` trades lag for jitter (10, 20, 40: lag 0.55, 0.35, 0.21 frames,
        acceleration 0.56, 0.68, 0.83); a speed cut off at 1 Hz as in the paper lags more (0.51 at 20).

        Args:
          fps: frames per second.
          min_cutoff: of joints that stand still, Hz. Lower: less jitter, more lag.
          beta: Hz by which the cutoff rises for each figure per second. Higher: less lag, more jitter.
          derivative_cutoff: of the speed itself, Hz.
          scale: length of the figure in pixels; None: the diagonal of the box around the joints of the first
            frame that has two.
          columns: how many of the last axis are coordinates.

        Raises:
          ValueError: a number is not positive (`beta`: is negative).
        """
        if not (fps > 0 and min_cutoff > 0 and derivative_cutoff > 0 and beta >= 0):
            raise ValueError("fps and cutoffs must be positive, and beta 0 or more")
        self._fps, self._min_cutoff, self._beta = fps, min_cutoff, beta
        self._derivative_cutoff, self._scale, self._columns = derivative_cutoff, scale, columns
        self._value = self._speed = self._age = None

    def __call__(self, keypoints: Float[np.ndarray, "k 3"]) -> Float[np.ndarray, "k 3"]:
        """The next frame, smoothed; joints that are unknown in it stay so, and are remembered."""
        values = keypoints[:, : self._columns].astype(float)
        known = np.isfinite(values).all(1)
        if self._value is None:
            self._value, self._speed = np.full_like(values, np.nan), np.zeros_like(values)
            self._age = np.ones(len(values))
        if self._scale is None:
            self._scale = float(np.hypot(*extent(values)[2:])) or None
        seconds = (self._age / self._fps)[:, None]
        fresh = known & np.isfinite(self._value).all(1)
        speed = np.where(fresh[:, None], (values - self._value) / seconds, 0)
        share = _share(self._derivative_cutoff, seconds)
        speed = share * speed + (1 - share) * self._speed
        fast = np.linalg.norm(speed, axis=1, keepdims=True) / (self._scale or 1.0)
        share = _share(self._min_cutoff + self._beta * fast, seconds)
        smooth = np.where(fresh[:, None], share * values + (1 - share) * self._value, values)
        self._value = np.where(known[:, None], smooth, self._value)
        self._speed = np.where(known[:, None], speed, self._speed)
        self._age = np.where(known, 1, self._age + 1)
        out = keypoints.copy()
        out[known, : self._columns] = smooth[known]
        return out


def one_euro(keypoints: Float[np.ndarray, "t k 3"], fps: float, **settings) -> Float[np.ndarray, "t k 3"]:
    """All frames through a `OneEuro` filter, whose settings these are."""
    step = OneEuro(fps, **settings)
    return np.stack([step(frame) for frame in keypoints])


def smooth(sequence: PoseSequence, name: str = "median_savgol", **settings) -> PoseSequence:
    """A clip smoothed by one of `FILTERS`, its depth with it; settings as the function of that name.

    Windows that are not asked for last as long as the defaults do at 30 frames per second: at 5, nine frames
    would flatten a squat.

    Raises:
      ValueError: another name.
    """
    if name not in FILTERS:
        raise ValueError(f"motions are smoothed by {', '.join(FILTERS)}, not {name!r}")
    functions = {"savgol": savgol, "median": median, "median_savgol": median_savgol, "one_euro": one_euro}
    function: Callable[..., np.ndarray] = functions[name]
    if name == "one_euro":
        settings = {"fps": sequence.fps} | settings
    elif "window" not in settings:
        frames = inspect.signature(function).parameters["window"].default * sequence.fps / 30
        # The nearest odd number.
        settings = {"window": max(2 * round((frames - 1) / 2) + 1, 3)} | settings
    world = None if sequence.world is None else function(sequence.world, columns=3, **settings)
    keypoints = function(sequence.keypoints, **settings)
    return dataclasses.replace(sequence, keypoints=keypoints, world=world)


def _check_window(window: int) -> None:
    if window < 1 or window % 2 == 0:
        raise ValueError(f"the window must be an odd number of frames, got {window}")


def _share(cutoff: np.ndarray | float, seconds: np.ndarray) -> np.ndarray:
    """What a first-order low-pass takes of a new value."""
    turns = 2 * np.pi * cutoff * seconds
    return turns / (turns + 1)


def _by_runs(keypoints: np.ndarray, function: Callable, columns: int) -> np.ndarray:
    """Applies a function of (n, j, c) values to each stretch in which joints are known."""
    out = keypoints.copy()
    known = np.isfinite(keypoints[..., :columns]).all(-1)
    whole = known.all(0)
    if whole.any():
        out[:, whole, :columns] = function(keypoints[:, whole, :columns].astype(float))
    for i in np.flatnonzero(~whole):
        for start, stop in runs(known[:, i]):
            out[start:stop, i, :columns] = function(keypoints[start:stop, i, :columns].astype(float))
    return out
