"""Moving pictures out: MP4, GIF, APNG, folders of PNG files, sprite sheets; `video_reader` is for those in.

All but sprite sheets are streamed, so that a clip may be longer than memory. A file appears under its name
when it is complete.
"""

import itertools
import os
import pathlib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

from anime_pt.pipelines import sprites, stills
from anime_pt.pose import files

# Frames from which a GIF's palette is made, in bytes.
_PALETTE_FRAMES = 1 << 26
_PALETTE_PIXELS = 1 << 20
# Of encoders. APNG: 1.6 times as fast as the usual level for 2% more bytes.
_OPTIONS = {"libx264": {"crf": "16"}, "apng": {"compression_level": "4"}}
_GIF_TICK = Fraction(1, 100)


def rate(fps: float | str | Fraction) -> Fraction:
    """Frames per second as a fraction: 24, 23.976, "24000/1001".

    Raises:
      ValueError: not a number from 0.01 to 1000.
    """
    try:
        exact = Fraction(str(fps)).limit_denominator(100_000)
    except (ValueError, ZeroDivisionError, OverflowError):
        exact = Fraction(0)
    if not Fraction(1, 100) <= exact <= 1000:
        raise ValueError(
            f"fps must be a number from 0.01 to 1000, such as 24, 23.976 or 24000/1001, got {fps}"
        )
    return exact


def kind(path: str | pathlib.Path) -> str:
    """What `write` makes of a path: ".mp4", ".gif", ".apng" (also of .png), ".sheet.png" or "" (a folder).

    All but ".mp4" keep transparency; in a GIF a pixel is transparent or not.

    Raises:
      ValueError: another suffix.
    """
    name = pathlib.Path(path).name.lower()
    suffix = ".sheet.png" if name.endswith(".sheet.png") else pathlib.Path(name).suffix
    if not suffix or str(path).endswith(("/", os.sep)) or pathlib.Path(path).is_dir():
        return ""
    if suffix not in (*_WRITERS, ".png", ".sheet.png"):
        raise ValueError(
            f"{path}: moving pictures are written as .mp4, .gif, .apng or .png (animated), .sheet.png (a "
            f"sprite sheet) or, without a suffix or with a / at the end, as a folder of PNG files"
        )
    return ".apng" if suffix == ".png" else suffix


def of_page(page: pathlib.Path) -> pathlib.Path:
    """Path of the video that a page of `compare` plays."""
    return page.with_name(page.name + ".mp4")


def check(path: str | pathlib.Path, fps: Fraction, count: int, size: tuple[int, int]) -> None:
    """Raises ValueError if `write` would refuse `count` frames of (height, width) pixels."""
    form = kind(path)
    if form == ".gif" and fps > 50:
        raise ValueError(f"{path}: a GIF has at most 50 frames per second, not {float(fps):g}")
    if form == ".sheet.png":
        sprites.grid(count, *size)


def write(path: str | pathlib.Path, frames: Iterable[np.ndarray], fps: float | str | Fraction) -> None:
    """Writes frames as the path says, see `kind`; a file appears when it is complete.

    Args:
      path: of a file or folder; folders above it are made.
      frames: (h, w, 3) or (h, w, 4) uint8, straight alpha, all of one shape. MP4 takes no alpha, and
        repeats the last row or column where a side is odd.
      fps: see `rate`. A GIF's frames last whole hundredths of a second, rounded so that the whole clip
        keeps its length.

    Raises:
      ValueError: an unknown kind of file, no frames, frames of several shapes, or too fast for a GIF.
      FileExistsError: the folder has frames already.
    """
    check(path, rate(fps), 1, (1, 1))
    path, fps, form = pathlib.Path(path), rate(fps), kind(path)
    frames = _same_shape(path, frames)
    if form == "":
        stills.write(path, frames)
    elif form == ".sheet.png":
        sprites.write(path, frames, fps)
    else:
        with files.whole(path) as temporary:
            _WRITERS[form](temporary, frames, fps)


def _same_shape(path: pathlib.Path, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    shape = None
    for frame in frames:
        shape = shape or frame.shape
        if frame.shape != shape or len(shape) != 3 or shape[2] not in (3, 4) or frame.dtype != np.uint8:
            raise ValueError(f"{path}: frames must be (h, w, 3 or 4) uint8 of one shape, got {frame.shape}")
        yield frame
    if shape is None:
        raise ValueError(f"{path}: there are no frames to write")


def _encode(
    path: pathlib.Path, pictures: Iterable[av.VideoFrame], codec: str, fps: Fraction, **options: Any
) -> None:
    """Writes pictures that carry no time at `fps`, others at their own times."""
    with av.open(str(path), "w", **options) as out:
        stream = None
        for picture in pictures:
            if stream is None:
                stream = out.add_stream(codec, rate=fps)
                stream.width, stream.height = picture.width, picture.height
                stream.pix_fmt = picture.format.name
                context = stream.codec_context
                context.sample_aspect_ratio = Fraction(1)
                stream.options = _OPTIONS.get(codec, {})
                if codec == "libx264":
                    context.colorspace = context.color_primaries = context.color_trc = Colorspace.ITU709
                    context.color_range = ColorRange.MPEG
            out.mux(stream.encode(picture))
        out.mux(stream.encode())


def _write_mp4(path: pathlib.Path, frames: Iterable[np.ndarray], fps: Fraction) -> None:
    def pictures():
        for frame in frames:
            if frame.shape[2] == 4:
                raise ValueError("MP4 has no transparency: put the figure before a background")
            # 4:2:0 colour halves both sides.
            frame = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            yield picture.reformat(
                format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
            )

    # The index in front lets a browser play before it has everything.
    _encode(path, pictures(), "libx264", fps, format="mp4", options={"movflags": "+faststart"})


def _write_apng(path: pathlib.Path, frames: Iterable[np.ndarray], fps: Fraction) -> None:
    pictures = (
        av.VideoFrame.from_ndarray(np.ascontiguousarray(f), format="rgba" if f.shape[2] == 4 else "rgb24")
        for f in frames
    )
    _encode(path, pictures, "apng", fps, format="apng", options={"plays": "0"})


def _write_gif(path: pathlib.Path, frames: Iterator[np.ndarray], fps: Fraction) -> None:
    # One palette for all, or colours flicker from frame to frame.
    first, room = [], _PALETTE_FRAMES
    for frame in frames:
        first.append(frame)
        room -= frame.nbytes
        if room < 0:
            break
    palette, colors = _palette(first)

    def pictures():
        for i, frame in enumerate(itertools.chain(first, frames)):
            rgb = Image.fromarray(np.ascontiguousarray(frame[..., :3]))
            indices = np.array(rgb.quantize(palette=palette, dither=Image.Dither.NONE))
            if frame.shape[2] == 4:
                indices[frame[..., 3] < 128] = 255
            picture = av.VideoFrame.from_ndarray((indices, colors), format="pal8")
            picture.pts, picture.time_base = round(100 * i / fps), _GIF_TICK
            yield picture

    delay = str(round(100 / fps))
    _encode(path, pictures(), "gif", Fraction(100), format="gif", options={"loop": "0", "final_delay": delay})


def _palette(frames: list[np.ndarray]) -> tuple[Image.Image, np.ndarray]:
    """The palette of some frames as Pillow takes it, and as (256, 4) alpha, red, green, blue.

    With alpha the last entry is transparent, and not in Pillow's.
    """
    alpha = frames[0].shape[2] == 4
    pixels = np.concatenate([f[f[..., 3] >= 128, :3] if alpha else f.reshape(-1, 3) for f in frames])
    pixels = pixels[:: max(1, len(pixels) // _PALETTE_PIXELS)] if len(pixels) else np.zeros((1, 3), np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(pixels[None]))
    picture = picture.quantize(255 if alpha else 256, method=Image.Quantize.MEDIANCUT, kmeans=1)
    used = np.array(picture.getpalette(), np.uint8).reshape(-1, 3)
    colors = np.full((256, 4), 255, np.uint8)
    colors[: len(used), 1:] = used
    if alpha:
        colors[255] = 0  # The only one: encoders take the first that is transparent.
    return picture, colors


_WRITERS = {".mp4": _write_mp4, ".gif": _write_gif, ".apng": _write_apng}
