"""Whose motion it is: joints at a constant rate, from pose files, videos and motions of 3D skeletons.

Videos of varying rates (phones, screen recordings) are brought to a constant one by the times of their
frames. Joints that were not found are filled in where the gap is short, and reported in any case, see
`pose.gaps`; nothing is held.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import Float

from anime_pt.avatars import camera, keypoints, motions, procedural, rig
from anime_pt.pipelines import detector, estimate, pictures, video_reader
from anime_pt.pipelines.estimator import Estimator
from anime_pt.pose import formats, gaps, smoothing, tracks
from anime_pt.pose.sequences import PoseSequence
from anime_pt.pose.skeletons import AVATAR_20

JOINTS = (".json", ".csv", ".npz")
# Motions are seen in a picture of this side, at most at this rate unless another is asked for.
_SIDE, _MOST_FPS = 512, 30.0
# Share of the mean by which the time between two frames may differ at a constant rate.
_EVEN = 0.2
# Finds the joints in a video: of one figure, and what is to be said of them.
Find = Callable[[pathlib.Path], tuple[PoseSequence, list[str]]]


class DriverError(ValueError):
    """A motion cannot be used; the message names it and says what to do."""


@dataclasses.dataclass(frozen=True)
class Driver:
    """A motion.

    Attributes:
      poses: its joints, at a constant rate.
      film: the video that it was found in, or None.
      start: seconds of the video before the first of the poses.
      remarks: what one should know of it, a line each.
    """

    poses: PoseSequence
    film: pathlib.Path | None = None
    start: float = 0.0
    remarks: tuple[str, ...] = ()


def kind(spec: str) -> str:
    """What a motion is: "motion" (of a 3D skeleton), "joints" or "film".

    Raises:
      FileNotFoundError: there is no such file.
      DriverError: it is none of these.
    """
    if spec == "rest" or spec.startswith("procedural:"):
        return "motion"
    path = pathlib.Path(spec)
    if not path.exists():
        raise FileNotFoundError(f"there is no motion {spec}")
    suffix = path.suffix.lower()
    if path.is_dir() or suffix in JOINTS:
        return "joints"
    if suffix in motions.SUFFIXES:
        return "motion"
    try:
        if pictures.is_moving(path):
            return "film"
    except pictures.PictureError as error:
        known = ", ".join((*JOINTS, *motions.SUFFIXES, *pictures.MOVING, ".gif"))
        raise DriverError(
            f"{spec} is no motion that can be read: give a file of {known}, or a folder of OpenPose's JSON"
        ) from error
    raise DriverError(f"{spec} is a still picture: for one pose use `python -m anime_pt.transfer`")


def read(
    spec: str,
    find: Find | None = None,
    fps: float | None = None,
    person: int | None = None,
    size: tuple[float, float] | None = None,
    yaw: float = 0.0,
    progress: Callable[[Iterable[float]], Iterable[float]] = iter,
) -> Driver:
    """A motion of any kind.

    Args:
      spec: path of a file or folder, or a built-in motion, see `avatars.motions.load`.
      find: finds the joints in a video.
      fps: frames per second of the poses; None: the motion's own, of 3D skeletons at most 30. Files of joints
        that do not say their rate are taken to have it.
      person: who is followed in a file of joints, see `formats.read`.
      size: (height, width) of the pictures, for files of joints that do not say it.
      yaw: degrees by which a 3D skeleton turns to its left.
      progress: wraps the moments of a 3D motion.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it cannot be read, or shows nobody.
    """
    which = kind(spec)
    if which == "motion":
        out = Driver(of_motion(spec, fps, yaw, progress))
    elif which == "joints":
        poses = formats.read(spec, size, fps, person)
        out = Driver(even(poses, np.arange(len(poses.keypoints)) / poses.fps, fps or poses.fps))
    else:
        path = pathlib.Path(spec)
        poses, remarks = find(path)
        times = video_reader.times(path)[: len(poses.keypoints)]
        steps = np.diff(times)
        uneven = len(steps) > 0 and np.abs(steps / steps.mean() - 1).max() > _EVEN
        if uneven:
            remarks.append(
                f"its frames last from {1000 * steps.min():.0f} to {1000 * steps.max():.0f} milliseconds: "
                f"joints were brought to {fps or poses.fps:g} frames per second"
            )
        if uneven or (fps or poses.fps) != poses.fps:
            poses = even(poses, times, fps or poses.fps)
        out = Driver(poses, path, 0.0, tuple(remarks))
    if not np.isfinite(out.poses.keypoints[..., :2]).all(-1).any():
        raise DriverError(f"{spec} shows nobody: no joint was found in any of its frames")
    return out


def of_motion(
    spec: str,
    fps: float | None = None,
    yaw: float = 0.0,
    progress: Callable[[Iterable[float]], Iterable[float]] = iter,
) -> PoseSequence:
    """A motion of a 3D skeleton, as a built-in character makes it before a camera that stands still."""
    motion = motions.load(spec)
    figure = procedural.build(0)
    performance = motion.on(figure)
    rate = fps or min(motion.fps, _MOST_FPS)
    view = camera.still(figure, _SIDE, yaw)
    moments = np.arange(max(1, round(motion.frames / motion.fps * rate))) / rate
    points = [
        view.project(keypoints.positions(figure, rig.pose(figure, performance.pose(float(t)))))
        for t in progress(moments)
    ]
    points = np.asarray(points, np.float32)
    points[..., 2] = 1
    return PoseSequence(points, AVATAR_20, (_SIDE, _SIDE), float(rate))


def drawn(estimator: Estimator, threshold: float, progress: Callable[[int], object] | None = None) -> Find:
    """Finds the joints of a drawn figure in videos, by the project's own estimator."""

    def find(path: pathlib.Path) -> tuple[PoseSequence, list[str]]:
        fps = float(video_reader.probe(path).fps)
        found, places = [], {}
        for one in estimate.of_video(estimator, path, fps, threshold):
            for remark in one.remarks if one.size else (one.error,):
                places.setdefault(remark, []).append(len(found))
            if one.size:
                found.append(one)
                if progress:
                    progress(len(found))
        if not found:
            raise DriverError(next(iter(places)))
        remarks = [
            text + (f" (in {len(at)} of {len(found)} frames)" if at[0] < len(found) else "")
            for text, at in places.items()
        ]
        return estimate.sequence(found, estimator.skeleton, fps), remarks

    return find


def filmed(
    finder: detector.Detector, person: int | None = None, progress: Callable[[int], object] | None = None
) -> Find:
    """Finds a person in videos, by a network of the user's; of several, see `tracks.follow`."""

    def find(path: pathlib.Path) -> tuple[PoseSequence, list[str]]:
        people, broken = detector.people(finder, path, progress)
        try:
            poses = tracks.follow(people, person)
        except ValueError as error:
            raise DriverError(f"{path}: {error}") from error
        return poses, [broken] if broken else []

    return find


def even(poses: PoseSequence, times: Float[np.ndarray, " t"], fps: float) -> PoseSequence:
    """Poses at a constant rate, on straight lines between those before and after.

    A joint that is unknown in one of the two is unknown, unless the other one is at that very moment.

    Args:
      poses: one for each time.
      times: seconds, rising.
      fps: frames per second wanted.
    """
    if len(times) < 2:
        return dataclasses.replace(poses, fps=fps)
    moments = np.arange(max(1, round((times[-1] + _last(times)) * fps))) / fps
    moments = np.minimum(moments, times[-1])
    after = np.clip(np.searchsorted(times, moments), 1, len(times) - 1)
    before = after - 1
    share = (moments - times[before]) / np.maximum(times[after] - times[before], 1e-9)
    # Files round times to milliseconds.
    share = np.where(np.abs(share - np.round(share)) < 0.02, np.round(share), share)

    def at(values: np.ndarray) -> np.ndarray:
        a, b, s = values[before], values[after], share[:, None, None]
        mixed = np.where(s == 0, a, np.where(s == 1, b, (1 - s) * a + s * b))
        return mixed.astype(np.float32)

    points = at(poses.keypoints)
    points[~np.isfinite(points[..., :2]).all(-1), 2] = 0
    world = None if poses.world is None else at(poses.world)
    return dataclasses.replace(poses, keypoints=points, fps=fps, world=world)


def _last(times: np.ndarray) -> float:
    """How long the last frame is shown: as long as most."""
    return float(np.median(np.diff(times)))


def part(
    driver: Driver, report: gaps.Report, start: float = 0.0, seconds: float | None = None
) -> tuple[Driver, gaps.Report]:
    """The poses from a moment on, for so long, and what was not found among them.

    Raises:
      DriverError: the motion is over by then.
    """
    poses = driver.poses
    first = round(start * poses.fps)
    stop = len(poses.keypoints) if seconds is None else first + max(1, round(seconds * poses.fps))
    if first >= len(poses.keypoints):
        raise DriverError(
            f"the motion lasts {len(poses.keypoints) / poses.fps:.2f} seconds: it has no moment {start:g}"
        )
    world = None if poses.world is None else poses.world[first:stop]
    poses = dataclasses.replace(poses, keypoints=poses.keypoints[first:stop], world=world)
    driver = dataclasses.replace(driver, poses=poses, start=driver.start + first / poses.fps)
    return driver, report.part(first, first + len(poses.keypoints))


def clean(
    driver: Driver, smooth: str = "none", longest_gap: float = 0.27, threshold: float = 0.0
) -> tuple[Driver, gaps.Report]:
    """Unsure joints taken out, short gaps filled, jitter smoothed; and what was not found.

    Args:
      driver: as it was read.
      smooth: one of `smoothing.FILTERS`, "openmmd" (its median) or "none".
      longest_gap: seconds that are filled.
      threshold: joints of less confidence are unknown.
    """
    poses = driver.poses
    if threshold > 0:
        poses = gaps.without_unsure(poses, threshold)
    poses, report = gaps.fill(poses, round(longest_gap * poses.fps))
    if smooth == "openmmd":
        poses = smoothing.smooth(poses, "median", **smoothing.OPENMMD)
    elif smooth != "none":
        poses = smoothing.smooth(poses, smooth)
    return dataclasses.replace(driver, poses=poses), report
