"""Pictures in: any size, mode and rotation, as uint8 pixels of limited size.

Pixels are upright (EXIF's rotation is applied), so coordinates are those that a viewer shows. Pictures with a
side over 4096 pixels, or what is asked for, are read smaller by a whole factor, which `Picture.factor` says.
"""

import contextlib
import dataclasses
import pathlib
import re
import threading
from collections.abc import Iterator

import numpy as np
from PIL import Image

STILL = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".tga", ".ppm", ".pgm")
MOVING = (".mp4", ".webm", ".mkv", ".mov", ".m4v", ".avi", ".ogv", ".apng")
LEAST_SIDE = 16
# What is decoded whole: half a gigabyte as RGBA.
_MOST_PIXELS = 1 << 27
# JPEG is decoded at a half, a quarter or an eighth of its size, unless it is progressive.
_MOST_JPEG_PIXELS = 1 << 29
_MOST_SIDE = 4096
_JPEG = ("JPEG", "MPO")
# EXIF's orientations, and how the pixels of such a file are turned upright.
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = tuple(_TURNS[i] for i in (5, 6, 7, 8))


class PictureError(ValueError):
    """A picture cannot be used; the message says why, without its name."""


@dataclasses.dataclass(frozen=True)
class Picture:
    """What a file shows.

    Attributes:
      image: (h, w, 3) or, where some pixel is not opaque, (h, w, 4) uint8, straight alpha.
      size: (height, width) of the upright picture in the file.
      factor: by which `image` is smaller: `x in the file = factor * x in image`.
    """

    image: np.ndarray
    size: tuple[int, int]
    factor: int = 1

    @property
    def flat(self) -> np.ndarray:
        """(h, w, 3): before white."""
        return before_white(self.image)


def before_white(image: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 of (h, w, 3 or 4)."""
    if image.shape[2] == 3:
        return image
    alpha = image[..., 3:].astype(np.uint16)
    return ((image[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def premultiplied(image: np.ndarray) -> np.ndarray:
    """(h, w, 4) float32 from 0 to 255 of straight alpha: what may be averaged."""
    out = image.astype(np.float32)
    out[..., :3] *= out[..., 3:] / 255
    return out


def read(path: pathlib.Path, most_side: int = _MOST_SIDE) -> Picture:
    """The picture in a file, or the first one of several. Threads may read at the same time.

    Args:
      path: of the file.
      most_side: longest side in pixels of what is returned, up to 8192: which files are too large to be read
        does not depend on it.

    Raises:
      PictureError: it is no picture, broken, too small (a side under 16 pixels) or too large.
    """
    with _opened(path) as image:
        _check_size(image)
        whole = image.size
        factor = -(-max(whole) // most_side)
        if factor > 1 and image.format in _JPEG:
            image.draft(None, tuple(-(-side // factor) for side in whole))
        drafted = round(max(whole) / max(image.size))
        if image.width * image.height > _MOST_PIXELS:
            raise PictureError(_too_large(*whole, _MOST_PIXELS))
        image.load()
        # TIFF is turned by loading it, PNG may say it at its end.
        width, height = whole if image.format in _JPEG else image.size
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
        rest = max(1, -(-factor // drafted))
        pixels = _pixels(image)
        pixels = pixels.reduce(rest) if rest > 1 else pixels
        array = np.array(pixels if turn is None else pixels.transpose(turn))
    size = (width, height) if turn in _SIDEWAYS else (height, width)
    if array.shape[2] == 4 and array[..., 3].min() == 255:
        array = np.ascontiguousarray(array[..., :3])
    return Picture(array, size, drafted * rest)


def is_moving(path: pathlib.Path) -> bool:
    """Whether a file is a video, or a picture file with several frames (GIF, APNG, WebP).

    Raises:
      PictureError: it is neither a video by its suffix nor a picture.
    """
    if path.suffix.lower() in MOVING:
        return True
    with _opened(path) as image:
        # Cameras hide a second picture in a JPEG, and TIFF has pages.
        return image.format in ("GIF", "PNG", "WEBP", "AVIF") and getattr(image, "is_animated", False)


def names(folder: pathlib.Path) -> list[str]:
    """File names of the pictures and videos in a folder, by their suffixes, 2 before 10; not below it."""
    found = [p.name for p in folder.iterdir() if p.suffix.lower() in STILL + MOVING and p.is_file()]
    return sorted((name for name in found if not name.startswith(".")), key=_natural)


def _natural(name: str) -> list[tuple[bool, int, str]]:
    parts = re.split(r"(\d+)", name.casefold())
    return [(p.isdecimal(), int(p) if p.isdecimal() else 0, p) for p in parts] + [(False, 0, name)]


# Pillow's limit is one of the whole process.
_LIMIT = threading.Lock()


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[Image.Image]:
    """The file as Pillow opens it; whatever its decoders raise becomes a PictureError."""
    try:
        with _unlimited(path) as image:
            yield image
    except PictureError:
        raise
    except Image.UnidentifiedImageError as error:
        what = "the file is empty" if path.stat().st_size == 0 else "no picture that can be read"
        raise PictureError(what) from error
    except MemoryError as error:
        raise PictureError("too large for this machine's memory") from error
    # Broken files make decoders raise nearly anything.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise PictureError(f"cannot be read: {error.strerror}") from error
        raise PictureError(f"broken: {' '.join(str(error).split()) or type(error).__name__}") from error


def _unlimited(path: pathlib.Path) -> Image.Image:
    """Opened, not yet decoded, whatever its size: `_check_size` has a limit of its own."""
    with _LIMIT:
        limit = Image.MAX_IMAGE_PIXELS
        try:
            Image.MAX_IMAGE_PIXELS = None
            return Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if min(width, height) < LEAST_SIDE:
        raise PictureError(
            f"too small: {width}x{height} pixels; each side must have at least {LEAST_SIDE} pixels"
        )
    jpeg = image.format in _JPEG and not image.info.get("progressive")
    most = _MOST_JPEG_PIXELS if jpeg else _MOST_PIXELS
    if width * height > most:
        raise PictureError(_too_large(width, height, most))


def _too_large(width: int, height: int, most: int) -> str:
    return (
        f"too large: {width}x{height} pixels, {width * height / 1e6:.0f} million; at most {most / 1e6:.0f} "
        "million are read: make it smaller"
    )


def _pixels(image: Image.Image) -> Image.Image:
    """As RGB or RGBA, what had more bits scaled to 8."""
    if image.mode.startswith(("I", "F")):
        # 16 bits, however they are held. What is beyond is told from what is there.
        values = np.asarray(image, np.float32)
        top = 65535.0 if image.mode.startswith("I;16") else max(float(values.max(initial=0)), 1e-9)
        top = next((t for t in (1.0, 255.0, 65535.0) if top <= t), top)
        grey = (np.nan_to_num(np.clip(values / top, 0, 1)) * 255).round().astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    clear = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
    mode = "RGBA" if clear else "RGB"
    return image if image.mode == mode else image.convert(mode)
