"""Moving pictures in: frames and their times, through FFmpeg's libraries (PyAV)."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import av
import numpy as np

# An untrue header may ask for any amount of memory; 8K video has half as many.
_MOST_PIXELS = 1 << 26


class VideoError(ValueError):
    """A video cannot be read; the message names the file and what is wrong."""


@dataclasses.dataclass(frozen=True)
class Probe:
    """What a video's header says.

    Attributes:
      width, height: in pixels, as shown: phones write down a rotation instead of turning pixels.
      fps: frames per second on average.
      seconds: length, or None where the header does not say it.
    """

    width: int
    height: int
    fps: Fraction
    seconds: float | None


class Timed(NamedTuple):
    """A frame (h, w, 3) uint8, and when it is shown: seconds since the first one."""

    seconds: float
    image: np.ndarray


def probe(path: str | pathlib.Path) -> Probe:
    """Looks at a video's header and its first frame.

    Raises:
      FileNotFoundError: no such file.
      VideoError: it is no video, or broken.
    """
    with _opened(pathlib.Path(path)) as (container, stream):
        first = next(_decoded(pathlib.Path(path), container, stream))
        height, width = _image(first).shape[:2]
        fps = stream.average_rate or stream.guessed_rate or Fraction(25)
        if stream.duration is not None and stream.time_base is not None:
            seconds = float(stream.duration * stream.time_base)
        else:
            seconds = container.duration / av.time_base if container.duration else None
        return Probe(width, height, fps, seconds)


def read(path: str | pathlib.Path) -> Iterator[Timed]:
    """Frames of a video, GIF or APNG in the order of their times; one at a time.

    A rotation in the header is applied; transparent pixels are white. Pixels are taken as square.

    Raises:
      FileNotFoundError: no such file.
      VideoError: it is no video, has no frames, or is broken: raised behind the frames that could be read.
    """
    path = pathlib.Path(path)
    with _opened(path) as (container, stream):
        start = None
        period = _period(stream)
        for i, frame in enumerate(_decoded(path, container, stream)):
            # Raw streams carry no times.
            seconds = i * period if frame.time is None else frame.time
            start = seconds if start is None else start
            yield Timed(seconds - start, _image(frame))


def times(path: str | pathlib.Path) -> np.ndarray:
    """(n,) seconds of the frames that `read` gives, up to where the video breaks off.

    Raises:
      FileNotFoundError: no such file.
      VideoError: it is no video, or broken before its first frame.
    """
    path, out = pathlib.Path(path), []
    with _opened(path) as (container, stream):
        period = _period(stream)
        try:
            for i, frame in enumerate(_decoded(path, container, stream)):
                out.append(i * period if frame.time is None else frame.time)
        except VideoError:
            if not out:
                raise
    return np.array(out) - out[0]


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[tuple[Any, Any]]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no video {path}")
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, ValueError) as error:
        raise VideoError(f"{path} is no video that can be read: {_reason(error)}") from error
    with container:
        if not container.streams.video:
            raise VideoError(f"{path} has no pictures")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        _check_size(path, stream.codec_context)
        yield container, stream


def _decoded(path: pathlib.Path, container: Any, stream: Any) -> Iterator[av.VideoFrame]:
    count, last = 0, 0.0
    try:
        for frame in container.decode(stream):
            _check_size(path, frame)
            count, last = count + 1, frame.time or 0.0
            yield frame
    except av.error.FFmpegError as error:
        raise VideoError(
            f"{path} is broken after {count} frames ({last:.2f} seconds): {_reason(error)}"
        ) from error
    if not count:
        raise VideoError(f"{path} has no frames")
    # Frames that an edit list leaves out count among the stream's, but not in its duration.
    if count < stream.frames and stream.duration and stream.average_rate:
        end = float((stream.duration + (stream.start_time or 0)) * stream.time_base)
        if last + 1.5 / float(stream.average_rate) < end:
            raise VideoError(f"{path} is cut off: it has {count} of {stream.frames} frames")


def _period(stream: Any) -> float:
    return 1 / float(stream.average_rate or stream.guessed_rate or 25)


def _check_size(path: pathlib.Path, sized: Any) -> None:
    if sized.width * sized.height > _MOST_PIXELS:
        raise VideoError(f"{path} has frames of {sized.width}x{sized.height}, which is too large to read")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _image(frame: av.VideoFrame) -> np.ndarray:
    """(h, w, 3) uint8: upright, and before white."""
    if any(c.is_alpha for c in frame.format.components) or frame.format.name == "pal8":
        rgba = frame.to_ndarray(format="rgba").astype(np.uint16)
        image = ((rgba[..., :3] * rgba[..., 3:] + 255 * (255 - rgba[..., 3:]) + 127) // 255).astype(np.uint8)
    else:
        image = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90)))
