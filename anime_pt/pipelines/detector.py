"""Joints of people in a video, by a network that the user gives as an ONNX file.

The files are those of RTMPose's family, which rtmlib uses, too, and run on onnxruntime, the extra `human`:

    RTMPose, RTMW, DWPose   one person in a box: input (n, 3, h, w), outputs (n, k, 2 w) and (n, k, 2 h)
    RTMO                    everybody in a picture: input (1, 3, h, w), outputs (1, m, 5) and (1, m, k, 3)
    YOLOX                   only the boxes, for the former: input (1, 3, h, w), output (1, m, 5) or (1, m, 85)

with k of `mmpose.LAYOUTS`. Without boxes, one person is followed: looked for in the whole picture first, then
about where the joints were in the frame before.

Neither rtmlib 0.0.16 (August 2026) nor MediaPipe 1.2.3 (November 2026) is asked for, though both install
beside NumPy 2 and JAX 0.10: rtmlib brings two more builds of OpenCV and MediaPipe one, which overwrite the
one that this program uses, and MediaPipe's tasks report their use to Google. What either saves is read by
`formats`.
"""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from anime_pt.data import crops
from anime_pt.pipelines import video_reader
from anime_pt.pose import affine, mmpose
from anime_pt.pose.sequences import People, extent, unknown
from anime_pt.pose.skeletons import COCO_17

# Of RGB, as the networks were trained.
_MEAN, _SPREAD = np.float32([123.675, 116.28, 103.53]), np.float32([58.395, 57.12, 57.375])
# Free space about a box on each side, as a share of the network's input: a quarter more than the box.
_MARGIN = 0.1
_GREY = 114
_OVERLAP = 0.45
# Of the joints, how many must be sure in somebody who is there.
_SEEN = 0.25
_MOST_PEOPLE = 16
Box = tuple[float, float, float, float]


class DetectorError(ValueError):
    """A network cannot be used; the message says what to install, or which file to give."""


class Session(Protocol):
    """What is used of an `onnxruntime.InferenceSession`."""

    def get_inputs(self) -> Sequence[Any]: ...

    def get_outputs(self) -> Sequence[Any]: ...

    def run(self, names: None, feed: dict[str, np.ndarray]) -> list[np.ndarray]: ...


def load(path: str | pathlib.Path) -> Session:
    """A network on the CPU.

    Raises:
      FileNotFoundError: no such file.
      DetectorError: onnxruntime is not installed, or the file is no network.
    """
    path = pathlib.Path(path)
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise DetectorError(
            "finding people needs onnxruntime: pip install 'anime_pt[human]' and give the ONNX file of "
            "RTMPose, RTMW, DWPose or RTMO; or give their joints as a file"
        ) from error
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no network {path}: give the ONNX file of RTMPose, RTMW, DWPose or RTMO"
        )
    try:
        return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:
        # onnxruntime has a class of its own for each way to fail, with no base but Exception.
        why = " ".join(str(error).split())[:200]
        raise DetectorError(f"{path} is no ONNX network that can be read (unpack archives): {why}") from error


class Detector:
    """People in the pictures of a clip, one picture after the other.

    Attributes:
      skeleton: of the joints.
    """

    def __init__(self, pose: Session, boxes: Session | None = None, threshold: float = 0.3):
        """Takes networks, see `load`.

        Args:
          pose: finds joints.
          boxes: finds people, for networks that see one at a time; None: one person is followed.
          threshold: joints and boxes of less confidence are unknown.

        Raises:
          DetectorError: a network is of none of the kinds above.
        """
        self._pose, self._boxes, self._threshold = pose, boxes, threshold
        self._size = _input_size(pose)
        ranks = [len(o.shape) for o in pose.get_outputs()[:2]]
        if ranks not in ([3, 3], [3, 4]):
            raise DetectorError("the network is none of RTMPose, RTMW, DWPose and RTMO: it has other outputs")
        self._together = ranks == [3, 4]
        count = pose.get_outputs()[1].shape[2 if self._together else 1]
        if count not in mmpose.LAYOUTS:
            raise DetectorError(f"the network finds {count} joints; this program knows {mmpose.known()}")
        self.skeleton, order = mmpose.LAYOUTS[count]
        self._rows = [order.index(name) for name in self.skeleton.keypoints]
        if boxes is not None:
            self._boxes_size = _input_size(boxes)
            width = boxes.get_outputs()[0].shape
            if (
                self._together
                or len(width) != 3
                or not (width[2] == 5 or (_whole(width[2]) and width[2] > 5))
            ):
                raise DetectorError("boxes come from YOLOX, for a network that sees one person at a time")
        self._last: Box | None = None

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "n k 3"]:
        """Everybody in the next picture: x, y, confidence in its pixels; NaN, NaN, 0 where unsure."""
        if self._together:
            return self._sure(self._everybody(image))
        if self._boxes is not None:
            boxes = self._find(image)
            return self._sure(self._within(image, boxes)) if boxes else unknown(0, self.skeleton)
        if self._last is None:
            whole = (0.0, 0.0, float(image.shape[1]), float(image.shape[0]))
            found = self._sure(self._within(image, [whole]))
            if not len(found):
                return found
            # Looked at again from nearby: a person is a small part of a picture.
            self._last = extent(found[0])
        found = self._sure(self._within(image, [self._last]))
        self._last = extent(found[0]) if len(found) else None
        return found

    def _within(self, image: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
        """(n, k, 3) joints of the person in each box, in the network's order."""
        maps = [affine.fit(box, self._size, _MARGIN) for box in boxes]
        parts = np.stack([crops.warp(image, m, self._size, 0) for m in maps]).astype(np.float32)
        parts = np.ascontiguousarray(((parts - _MEAN) / _SPREAD).transpose(0, 3, 1, 2))
        given = self._pose.get_inputs()[0]
        batches = [parts] if given.shape[0] != 1 else list(parts[:, None])
        rows = [self._pose.run(None, {given.name: batch})[:2] for batch in batches]
        scores = [np.concatenate(axis) for axis in zip(*rows, strict=True)]
        # A distribution over each axis; finer than pixels, whose centres are whole.
        places = [
            s.argmax(-1) * side / s.shape[-1] + 0.5 for s, side in zip(scores, self._size[::-1], strict=True)
        ]
        points = np.stack([*places, np.minimum(*(s.max(-1) for s in scores))], -1)
        return np.stack([affine.apply(affine.invert(m), p) for m, p in zip(maps, points, strict=True)])

    def _everybody(self, image: np.ndarray) -> np.ndarray:
        """The same from a network that needs no boxes."""
        picture, factor = _letterbox(image, self._size)
        boxes, points = self._pose.run(None, {self._pose.get_inputs()[0].name: picture})[:2]
        points = points[0][_apart(boxes[0][:, :4], boxes[0][:, 4], self._threshold)].astype(np.float32)
        points[..., :2] = (points[..., :2] + 0.5) / factor
        return points

    def _find(self, image: np.ndarray) -> list[Box]:
        picture, factor = _letterbox(image, self._boxes_size)
        rows = self._boxes.run(None, {self._boxes.get_inputs()[0].name: picture})[0][0].astype(np.float32)
        if rows.shape[1] == 5:
            corners, scores = rows[:, :4], rows[:, 4]
        else:
            corners, scores = _of_cells(rows, self._boxes_size)
        corners = corners[_apart(corners, scores, self._threshold)] / factor
        return [(x0, y0, x1 - x0, y1 - y0) for x0, y0, x1, y1 in corners.tolist()]

    def _sure(self, points: np.ndarray) -> np.ndarray:
        """Joints in the skeleton's order, unsure ones unknown, of those of whom enough is seen."""
        points = points[:, self._rows].astype(np.float32)
        points[..., 2] = points[..., 2].clip(0, 1)
        sure = np.isfinite(points).all(-1) & (points[..., 2] >= max(self._threshold, 1e-6))
        points[~sure] = (np.nan, np.nan, 0)
        # The body decides: hands and faces are often hidden.
        return points[sure[:, : len(COCO_17)].mean(1) >= _SEEN]


def people(
    detector: Detector, path: str | pathlib.Path, progress: Callable[[int], Any] | None = None
) -> tuple[People, str]:
    """Everybody in a video; frames with nobody are empty.

    Args:
      detector: before its first picture.
      path: of a video, GIF or APNG.
      progress: told the number of frames that are done.

    Returns:
      The people, and why the video broke off before its end, or "".

    Raises:
      FileNotFoundError: no such file.
      VideoError: it is no video, or broken before its first frame.
    """
    fps = float(video_reader.probe(path).fps)
    frames, sizes, broken = [], [], ""
    try:
        for _, image in video_reader.read(path):
            frames.append(detector(image))
            sizes.append((float(image.shape[0]), float(image.shape[1])))
            if progress:
                progress(len(frames))
    except video_reader.VideoError as error:
        if not frames:
            raise
        broken = str(error)
    return People(frames, detector.skeleton, sizes, fps, [""] * len(frames)), broken


def _whole(side: Any) -> bool:
    """Whether a side of an array is known: others have names."""
    return isinstance(side, int) and side > 0


def _input_size(network: Session) -> tuple[int, int]:
    shape = network.get_inputs()[0].shape
    if len(shape) != 4 or shape[1] != 3 or not (_whole(shape[2]) and _whole(shape[3])):
        raise DetectorError(f"the network takes no pictures of a fixed size: its input is {shape}")
    return shape[2], shape[3]


def _letterbox(image: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, float]:
    """(1, 3, h, w) BGR from 0 to 255: the picture at the top left, grey beside it; and its scale."""
    factor = min(size[0] / image.shape[0], size[1] / image.shape[1])
    picture = crops.warp(image, affine.scale(factor), size, _GREY)
    return picture[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32), factor


def _of_cells(rows: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Corners (n, 4) and scores of people, from YOLOX's bare x, y, log w, log h in strides, and classes."""
    cells = []
    for stride in (8, 16, 32):
        y, x = np.mgrid[: size[0] // stride, : size[1] // stride].reshape(2, -1)
        cells.append(np.stack([x, y, np.full_like(x, stride)], 1))
    cells = np.concatenate(cells).astype(np.float32)
    if len(cells) != len(rows):
        raise DetectorError(f"YOLOX must have {len(cells)} cells for its input, not {len(rows)}")
    middle, stride = (rows[:, :2] + cells[:, :2]) * cells[:, 2:], cells[:, 2:]
    half = np.exp(rows[:, 2:4]) * stride / 2
    # The first of COCO's classes is the person.
    return np.concatenate([middle - half, middle + half], 1), rows[:, 4] * rows[:, 5]


def _apart(corners: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """Rows of the surest boxes, without those that overlap a surer one too much."""
    sides = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)
    kept = cv2.dnn.NMSBoxes(sides.tolist(), scores.astype(float).tolist(), threshold, _OVERLAP)
    return np.array(kept, int).reshape(-1)[:_MOST_PEOPLE]
