"""Moving pictures out: GIF and MP4."""

import itertools
import pathlib
from collections.abc import Iterable

import av
import numpy as np
from PIL import Image


def write(path: str | pathlib.Path, frames: Iterable[np.ndarray], fps: float) -> None:
    """Writes (h, w, 3) uint8 frames as the suffix says; the file appears when it is complete.

    Raises:
      ValueError: another suffix than .mp4 or .gif, or no frames.
    """
    path = pathlib.Path(path)
    writers = {".mp4": _write_mp4, ".gif": _write_gif}
    if path.suffix.lower() not in writers:
        raise ValueError(f"{path}: moving pictures are written as {' or '.join(writers)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".writing-{path.name}")
    try:
        writers[path.suffix.lower()](temporary, frames, fps)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_mp4(path: pathlib.Path, frames: Iterable[np.ndarray], fps: float) -> None:
    with av.open(str(path), "w") as container:
        stream = None
        for frame in frames:
            # 4:2:0 colour halves both sides.
            frame = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
            if stream is None:
                stream = container.add_stream("libx264", rate=round(fps))
                stream.height, stream.width = frame.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.options = {"crf": "16"}
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
        if stream is None:
            raise ValueError(f"{path}: there are no frames to write")
        container.mux(stream.encode())


def _write_gif(path: pathlib.Path, frames: Iterable[np.ndarray], fps: float) -> None:
    frames = iter(frames)
    first = list(itertools.islice(frames, 8))
    if not first:
        raise ValueError(f"{path}: there are no frames to write")
    # One palette for all, or colours flicker from frame to frame.
    palette = Image.fromarray(np.concatenate(first)).quantize(256, method=Image.Quantize.MEDIANCUT)
    indexed = (
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in itertools.chain(first, frames)
    )
    next(indexed).save(
        path,
        format="GIF",
        save_all=True,
        append_images=indexed,
        duration=max(20, round(1000 / fps)),
        loop=0,
    )
