"""Joints of figures in pictures and videos, by a trained estimator.

A figure is found (`figures`), cut out by its box over white, and given to the network; the joints found are
brought back to the pixels of the picture. Left and right are the character's own, as the network was trained.

In a video the box must not jitter with every limb: the boxes of a quarter of a second around each frame are
united, and these unions averaged over as long a time. The result contains the frame's own box.
"""

import collections
import dataclasses
import itertools
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from anime_pt.pipelines import figures, pictures, video_reader
from anime_pt.pipelines.estimator import Estimator
from anime_pt.pose import coco, formats
from anime_pt.pose.sequences import People, PoseSequence, unknown
from anime_pt.pose.skeletons import COCO_17, Skeleton

# Of pixels that wait for their joints.
_MOST_BYTES = 1 << 28


@dataclasses.dataclass
class Estimate:
    """What is known of a picture or of a frame of a video.

    Attributes:
      name: of the picture; "" for a frame.
      size: (height, width) in pixels; None where it cannot be read.
      points: (k, 3) x, y, confidence in its pixels; NaN, NaN, 0 where unknown; None without a figure.
      box: of the figure.
      error: why there are no joints, or "".
      remarks: what one should know of the joints.
      image: (h, w, 3) uint8 where asked for; of a picture, only if it shows a figure.
      factor: by which `image` is smaller than the picture.
    """

    name: str
    size: tuple[int, int] | None = None
    points: np.ndarray | None = None
    box: figures.Box | None = None
    error: str = ""
    remarks: tuple[str, ...] = ()
    image: np.ndarray | None = None
    factor: int = 1


def of_pictures(
    estimator: Estimator, paths: Iterable[pathlib.Path], threshold: float, keep: bool = False
) -> Iterator[Estimate]:
    """Estimates of picture files, in their order; what is wrong with one is said in its `error`.

    Args:
      estimator: the network.
      paths: of the pictures.
      threshold: joints of less confidence are unknown.
      keep: keep the pixels of pictures with a figure.
    """
    return _estimated(estimator, (_of_picture(estimator, path, keep) for path in paths), threshold)


def _of_picture(estimator: Estimator, path: pathlib.Path, keep: bool) -> tuple[Estimate, Any]:
    """All but the joints of one picture, and what the network is to see of it; None if there is no figure."""
    out = Estimate(path.name)
    try:
        if path.suffix.lower() in pictures.MOVING:
            raise pictures.PictureError("a video; give it on its own")
        picture = pictures.read(path)
        # Looks for a second frame, which may be torn.
        moving = pictures.is_moving(path)
        out.size, out.factor = picture.size, picture.factor
        figure = figures.find(picture.image)
        flat = picture.flat
        part = estimator.crops(flat, figure.box)
    except (pictures.PictureError, figures.NoFigureError) as error:
        out.error = str(error)
        return out, None
    except (MemoryError, cv2.error) as error:
        out.error = _failure(error)
        return out, None
    out.remarks = _remarks(figure)
    if moving:
        out.remarks += ("a moving picture, of which the first frame was taken; give it on its own",)
    out.box = tuple(out.factor * v for v in figure.box)
    if keep:
        out.image = flat
    return out, part


def _failure(error: Exception) -> str:
    # OpenCV has an error of its own where memory ends.
    if isinstance(error, MemoryError) or error.code == cv2.Error.StsNoMem:
        return "too large for this machine's memory"
    return f"cannot be processed: {' '.join(str(error).split())}"


def of_video(
    estimator: Estimator, path: pathlib.Path, fps: float, threshold: float, keep: bool = False
) -> Iterator[Estimate]:
    """Estimates of the frames of a video; if it breaks off, a last one without a size says so."""
    reach = int(np.clip(round(fps / 8), 1, 8))

    def seen():
        last = None
        try:
            for _, image in video_reader.read(path):
                out = Estimate("", image.shape[:2], image=image)
                try:
                    figure = figures.find(image)
                    out.box = last = _nearest((figure.box, *figure.others), last)
                    out.remarks = _remarks(figure)
                except figures.NoFigureError as error:
                    out.error = str(error)
                except (MemoryError, cv2.error) as error:
                    out.error = _failure(error)
                yield out
        except video_reader.VideoError as error:
            yield Estimate("", error=str(error))

    def found():
        waiting, boxes, done = collections.deque(), [], 0
        for out in itertools.chain(seen(), [None]):
            if out is not None:
                waiting.append(out)
                boxes.append(out.box)
            while waiting and (out is None or done + 2 * reach < len(boxes)):
                ready, image = waiting.popleft(), None
                if ready.box is not None:
                    ready.box = steady(boxes, done, reach)
                    image = estimator.crops(ready.image, ready.box)
                if not keep:
                    ready.image = None
                done += 1
                yield ready, image

    return _estimated(estimator, found(), threshold)


def _remarks(figure: figures.Figure) -> tuple[str, ...]:
    out = []
    if figure.others:
        out.append(f"{1 + len(figure.others)} figures of similar size were found; the largest is taken")
    if figure.how == "whole picture":
        out.append("the figure does not stand out from the background; the whole picture was taken for it")
    return tuple(out)


def _nearest(boxes: Sequence[figures.Box], last: figures.Box | None) -> figures.Box:
    """The box that shares most with the last one, or the first (largest) if none does."""
    if last is None:
        return boxes[0]

    def shared(box):
        w = min(box[0] + box[2], last[0] + last[2]) - max(box[0], last[0])
        h = min(box[1] + box[3], last[1] + last[3]) - max(box[1], last[1])
        return max(w, 0) * max(h, 0)

    return max(boxes, key=shared)


def steady(boxes: Sequence[figures.Box | None], index: int, reach: int) -> figures.Box:
    """A box for one frame that moves slowly and contains the frame's own; see the module's docstring.

    Args:
      boxes: of the frames, None where there is no figure; up to `2 * reach` frames before and after matter.
      index: of the frame, which has a box.
      reach: frames before and after.
    """
    around = lambda i: range(max(0, i - reach), min(len(boxes), i + reach + 1))
    unions = []
    for i in around(index):
        near = np.array([boxes[j] for j in around(i) if boxes[j] is not None])
        if len(near):
            low, high = near[:, :2].min(0), (near[:, :2] + near[:, 2:]).max(0)
            unions.append((*low, *(high - low)))
    return tuple(np.mean(unions, 0).tolist())


def _estimated(estimator: Estimator, found: Iterable[tuple[Estimate, Any]], threshold: float):
    """Fills in the joints, a batch at a time, or fewer where their pictures are large."""
    waiting, parts, held = [], [], 0

    def ready():
        points = iter(estimator(parts)) if parts else iter(())
        for out, has in waiting:
            if has:
                _fill(out, next(points), threshold)
            yield out

    for out, part in found:
        waiting.append((out, part is not None))
        if part is not None:
            parts.append(part)
        if out.image is not None:
            held += out.image.nbytes
        full = len(parts) == estimator.batch or len(waiting) == 4 * estimator.batch
        if full or held >= _MOST_BYTES:
            yield from ready()
            waiting, parts, held = [], [], 0
    yield from ready()


def _fill(out: Estimate, points: np.ndarray, threshold: float) -> None:
    points[:, :2] *= out.factor
    x, y, confidence = points.T
    height, width = out.size
    with np.errstate(invalid="ignore"):
        sure = (confidence >= threshold) & (confidence > 0)
        sure &= (x >= 0) & (x <= width) & (y >= 0) & (y <= height)
    points[~sure] = (np.nan, np.nan, 0)
    if sure.any():
        out.points = points
    else:
        out.error, out.remarks = f"no figure was found: no joint is surer than {threshold:g}", ()


def people(estimates: Sequence[Estimate], skeleton: Skeleton) -> People:
    """The joints of pictures, one figure or nobody in each; those that could not be read are left out."""
    read = [e for e in estimates if e.size]
    frames = [unknown(0, skeleton) if e.points is None else e.points[None] for e in read]
    return People(frames, skeleton, [e.size for e in read], 30.0, [e.name for e in read])


def sequence(estimates: Sequence[Estimate], skeleton: Skeleton, fps: float) -> PoseSequence:
    """The joints of a video's frames."""
    read = [e for e in estimates if e.size]
    points = np.stack([unknown(1, skeleton)[0] if e.points is None else e.points for e in read])
    return PoseSequence(points, skeleton, read[0].size, fps)


def boxes(estimates: Sequence[Estimate]) -> np.ndarray:
    """(n, 4) boxes of the figures that `people` and `sequence` hold; zeros where there is none."""
    return np.array([e.box or (0.0,) * 4 for e in estimates if e.size])


def write(
    path: pathlib.Path,
    poses: People | PoseSequence,
    kind: str,
    skeleton: Skeleton | None,
    boxes: np.ndarray,
) -> None:
    """Writes joints with their confidences, of a skeleton (None: of the kind's own)."""
    if kind == "coco":
        coco.write(path, poses, boxes=boxes, skeleton=skeleton or COCO_17, scored=True)
    else:
        formats.write(path, poses.as_skeleton(skeleton) if skeleton else poses, kind)
