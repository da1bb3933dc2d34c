"""Driver, pose and result side by side: a video, and a page that plays it from disk, frame by frame.

The three are one picture, so that they cannot run apart. `girl.html` names `girl.html.mp4` beside it.
"""

import contextlib
import json
import pathlib
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from anime_pt.data import crops
from anime_pt.pipelines import overlay, pictures, video, video_reader
from anime_pt.pipelines.animate import Plan
from anime_pt.pipelines.canvas import Canvas
from anime_pt.pipelines.driver import Driver
from anime_pt.pose import affine, files, sequences
from anime_pt.pose.skeletons import Skeleton

_HEIGHT = 360
_TEMPLATE = pathlib.Path(__file__).with_name("compare.html")
_DATA = "__DATA__"
# Frames that wait to be encoded.
_WAITING = 8


def columns(
    driver: Driver, plan: Plan, canvas: Canvas, skeleton: Skeleton
) -> Iterator[Callable[[np.ndarray], np.ndarray]]:
    """For each frame what puts its result beside its driver and its pose: (h, w, 3) uint8 of it.

    Args:
      driver: whose poses and film these are.
      plan, canvas: the animation.
      skeleton: of the plan's poses.
    """
    film = _film(driver, len(plan.poses)) if driver.film else None
    shown = _shown(driver)
    size = _HEIGHT, max(1, round(_HEIGHT * canvas.size[1] / canvas.size[0]))
    fit = affine.compose(affine.scale(size[1] / canvas.size[1], size[0] / canvas.size[0]))
    drawn = affine.compose(fit, canvas.matrix)
    for points, pose in zip(driver.poses.keypoints, plan.poses, strict=True):
        if film is None:
            theirs = np.full((_HEIGHT, round(_HEIGHT * shown[1] / shown[0]), 3), 255, np.uint8)
        else:
            theirs = next(film)
        place = affine.fit(_box(driver, shown), theirs.shape[:2])
        theirs = overlay.keypoints(theirs, affine.apply(place, points), driver.poses.skeleton)
        ours = np.full((*size, 3), 255, np.uint8)
        ours = overlay.keypoints(ours, affine.apply(drawn, pose), skeleton)

        def beside(result: np.ndarray, theirs: np.ndarray = theirs, ours: np.ndarray = ours) -> np.ndarray:
            result = crops.warp(pictures.before_white(result), fit, size)
            gap = np.full((_HEIGHT, 8, 3), 255, np.uint8)
            return np.concatenate([theirs, gap, ours, gap, result], 1)

        yield beside


def _shown(driver: Driver) -> tuple[float, float]:
    """Height and width of what the driver's column shows."""
    if driver.film:
        return driver.poses.size
    _, _, w, h = sequences.extent(driver.poses.keypoints.reshape(-1, 3))
    return 1.1 * max(h, 1.0), 1.1 * max(w, h / 2, 1.0)


def _box(driver: Driver, shown: tuple[float, float]) -> tuple[float, float, float, float]:
    if driver.film:
        return 0.0, 0.0, shown[1], shown[0]
    x, y, w, h = sequences.extent(driver.poses.keypoints.reshape(-1, 3))
    return x + w / 2 - shown[1] / 2, y + h / 2 - shown[0] / 2, shown[1], shown[0]


def _film(driver: Driver, count: int) -> Iterator[np.ndarray]:
    """The film at the times of the poses, small; its last frame where it broke off."""
    frames = video_reader.read(driver.film)
    small, coming = None, None
    with contextlib.closing(frames):
        for i in range(count):
            moment = driver.start + i / driver.poses.fps + 1e-6
            while coming is None or coming.seconds <= moment:
                if coming is not None:
                    small = _small(coming.image)
                try:
                    coming = next(frames)
                except (StopIteration, video_reader.VideoError):
                    frames = iter(())
                    break
            if small is None:
                small = _small(coming.image)
            yield small


def _small(image: np.ndarray) -> np.ndarray:
    width = max(1, round(_HEIGHT * image.shape[1] / image.shape[0]))
    return cv2.resize(image, (width, _HEIGHT), interpolation=cv2.INTER_AREA)


@contextlib.contextmanager
def written(path: pathlib.Path, fps: Any) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that takes the frames of a video, which another thread writes; it is there at the end.

    After an exception in the block there is none, or the one that was there before.
    """
    waiting: queue.Queue[np.ndarray | None] = queue.Queue(_WAITING)
    failed: list[BaseException] = []
    over, broken = threading.Event(), threading.Event()

    def coming() -> Iterator[np.ndarray]:
        while (frame := waiting.get()) is not None:
            yield frame
        over.set()
        if broken.is_set():
            raise RuntimeError(f"{path} was broken off")

    def work() -> None:
        try:
            video.write(path, coming(), fps)
        except BaseException as error:
            failed.append(error)
            # Or the other thread waits for ever; after the last of them, this one would.
            while not over.is_set() and waiting.get() is not None:
                pass

    def put(frame: np.ndarray) -> None:
        if failed:
            raise failed[0]
        waiting.put(frame)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield put
    except BaseException:
        broken.set()
        raise
    finally:
        waiting.put(None)
        thread.join()
    if failed:
        raise failed[0]


def save_page(
    path: pathlib.Path, title: str, fps: float, facts: Mapping[str, str], remarks: Sequence[str]
) -> None:
    """Writes the page of a comparison.

    Args:
      path: of the page; the video beside it, `video.of_page`, is played.
      title: of the page.
      fps: of the video.
      facts: what is to be said in a table.
      remarks: a line each; those that begin with "frame 3" or "frames 3 to 9" lead there.
    """
    data = {
        "title": title,
        "video": video.of_page(path).name,
        "fps": fps,
        "facts": dict(facts),
        "remarks": [*remarks],
    }
    text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    with files.whole(path) as temporary:
        temporary.write_text(_TEMPLATE.read_text(encoding="utf-8").replace(_DATA, text), encoding="utf-8")
