"""Pictures that a model file names: finding them on a case-sensitive disk, and decoding them safely."""

import io
import os
import pathlib
import unicodedata

import numpy as np
from PIL import Image, ImageOps

# A texture with more pixels is not decoded; wider or higher ones are made smaller.
_MAX_PIXELS = 1 << 26
_MAX_BYTES = 1 << 28
MAX_SIDE = 2048


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def file_name_text(name: str) -> str:
    """A file name as text: old archives of MMD models unpack to names in cp932, which are no UTF-8."""
    data = os.fsencode(name)
    for encoding in ("utf-8", "cp932"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("utf-8", "replace")


class Textures:
    """Reads the textures of one model, each once.

    Attributes:
      report: a line for each picture that is missing or cannot be decoded.
    """

    def __init__(self, folder: pathlib.Path):
        self.folder = pathlib.Path(folder)
        self.report: list[str] = []
        self._listings: dict[pathlib.Path, dict[str, str]] = {}
        self._images: dict[str, np.ndarray | None] = {}

    def _listing(self, folder: pathlib.Path) -> dict[str, str]:
        if folder not in self._listings:
            try:
                names = sorted(p.name for p in folder.iterdir())
            except OSError:
                names = []
            self._listings[folder] = {_plain(file_name_text(n)): n for n in reversed(names)}
        return self._listings[folder]

    def find(self, name: str) -> pathlib.Path | None:
        """The file that a relative Windows path means, whatever its case, slashes or Unicode form."""
        parts = [p.strip() for p in name.replace("\\", "/").split("/") if p.strip() not in ("", ".")]
        if parts and parts[0].endswith(":"):  # An absolute path of the author's computer.
            parts = parts[-1:]
        at = self.folder
        for part in parts:
            if part == "..":
                at = at.parent
                continue
            listing = self._listing(at)
            # The exact name first: a folder may hold both a.png and A.png.
            exact = part if part in listing.values() else listing.get(_plain(part))
            if exact is None:
                return None
            at = at / exact
        try:
            return at if parts and at.is_file() else None
        except (OSError, ValueError):  # A name that the file system cannot hold.
            return None

    def read(self, name: str, quiet: bool = False) -> np.ndarray | None:
        """(h, w, 4) uint8 RGBA with straight alpha, or None with a line in `report`.

        Args:
          name: as the model file spells it.
          quiet: do not report a file that is missing.
        """
        if name in self._images:
            return self._images[name]
        path = self.find(name)
        image = None
        if path is None:
            if not quiet:
                self.report.append(f"texture {name!r} is missing")
        else:
            try:
                image = decode(path)
            except Exception as e:  # Pillow's plugins raise anything on damaged files.
                self.report.append(f"texture {name!r} cannot be decoded: {type(e).__name__}: {e}")
        self._images[name] = image
        return image


def decode(
    source: pathlib.Path | bytes,
    formats: tuple[str, ...] | None = None,
    max_side: int = MAX_SIDE,
    upright: bool = False,
) -> np.ndarray:
    """(h, w, 4) uint8 RGBA with straight alpha of a picture.

    Args:
      source: a file, or its content.
      formats: names of Pillow's that it may have; None allows all.
      max_side: a picture with a longer side is made smaller.
      upright: turn it as its EXIF orientation says.

    Raises:
      Exception: of any kind if it is damaged; ValueError if it is too large.
    """
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    if size > _MAX_BYTES:
        raise ValueError(f"{size} bytes are too many")
    with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=formats) as image:
        if image.width * image.height > _MAX_PIXELS:
            raise ValueError(f"{image.width}x{image.height} is too large")
        if upright:
            image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I;16") or image.mode == "I":
            image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
        image = image.convert("RGBA")
        longest = max(image.size)
        if longest > max_side:
            size = tuple(max(1, round(n * max_side / longest)) for n in image.size)
            image = image.resize(size, Image.Resampling.BOX)
        return np.array(image)
