"""Pictures of the manual folder: found by post id or by file name, measured, cut out before white."""

import concurrent.futures
import dataclasses
import functools
import os
import pathlib
import re
from collections.abc import Collection, Iterator, Mapping

import numpy as np
import PIL.Image
from tqdm import tqdm

from anime_pt.pipelines.pictures import PictureError, read

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp")
# What downloaders make of a post: "1234", "danbooru_1234_0a1b...", "1234_sample", "1234 (1)".
_POST = re.compile(r"(?:danbooru[ _-]+)?(?:post[ _-]+)?0*(\d+)(?:[ _.-].*)?", re.IGNORECASE | re.ASCII)
# Beyond it figures are cut out of smaller versions.
_MOST_SIDE = 8192
# To measure: all of a JPEG's data is gone through, but little is computed.
_LOOK_SIDE = 256


def walk(folder: pathlib.Path, suffixes: Collection[str]) -> Iterator[str]:
    """Paths of the files with these suffixes (lower case, with dot), those that lie higher first.

    Linked folders are entered, each folder once. Names that start with a dot are passed over.

    Raises:
      OSError: a folder cannot be read.
    """
    seen, level = set(), [str(folder)]
    while level:
        below = []
        for place in level:
            real = os.path.realpath(place)
            if real in seen:
                continue
            seen.add(real)
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        below.append(entry.path)
                    elif os.path.splitext(entry.name)[1].lower() in suffixes and entry.is_file():
                        yield entry.path
        level = sorted(below)


def by_post(folder: pathlib.Path, posts: Collection[int]) -> dict[int, list[str]]:
    """The pictures of these Danbooru posts, in any layout of folders: paths by post id, sorted.

    The id is all of a file's name, or its first number (see `_POST`).
    """
    found: dict[int, list[str]] = {}
    for path in walk(folder, SUFFIXES):
        match = _POST.fullmatch(os.path.splitext(os.path.basename(path))[0])
        # Hashes of digits alone are longer than ids.
        if match and len(match[1]) < 12 and int(match[1]) in posts:
            found.setdefault(int(match[1]), []).append(path)
    return {post: sorted(paths) for post, paths in found.items()}


def by_base(folder: pathlib.Path, names: Collection[str]) -> dict[str, list[str]]:
    """The pictures that are called so, in any folder: paths by file name, sorted."""
    found: dict[str, list[str]] = {}
    for path in walk(folder, SUFFIXES):
        if (base := os.path.basename(path)) in names:
            found.setdefault(base, []).append(path)
    return {name: sorted(paths) for name, paths in found.items()}


@dataclasses.dataclass(frozen=True)
class Measured:
    """Width and height of an upright picture in pixels, or why it cannot be read."""

    size: tuple[int, int] = (0, 0)
    reason: str = ""


def measure(paths: Collection[str]) -> Mapping[str, Measured]:
    """Decodes every picture once, on all cores: a torn one shows before the dataset is written."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        title = "looking at pictures"
        done = tqdm(pool.map(_measured, paths), total=len(paths), unit="picture", desc=title)
        return dict(zip(paths, done, strict=True))


def _measured(path: str) -> Measured:
    try:
        height, width = read(pathlib.Path(path), _LOOK_SIDE).size
    except PictureError as error:
        return Measured(reason=str(error))
    return Measured((width, height))


@functools.lru_cache(maxsize=2)
def part(path: str, crop: tuple[int, int, int, int], size: tuple[int, int]) -> np.ndarray:
    """A part (left, top, right, bottom) of a picture, resized to (width, height): (h, w, 3) uint8.

    Upright, before white; of an animation the first frame.

    Raises:
      OSError: it cannot be read.
    """
    image, factor = _whole(path)
    left, top, right, bottom = crop
    if factor == 1 and (right - left, bottom - top) == size:
        return image[top:bottom, left:right]
    box = tuple(place / factor for place in crop)
    return np.array(PIL.Image.fromarray(image).resize(size, PIL.Image.Resampling.LANCZOS, box))


# Figures of one picture, and copies of one figure, are written one after another.
@functools.lru_cache(maxsize=1)
def _whole(path: str) -> tuple[np.ndarray, int]:
    """A picture (h, w, 3), and by which factor it is smaller than its file's."""
    try:
        picture = read(pathlib.Path(path), _MOST_SIDE)
    except PictureError as error:
        raise OSError(f"{path} is no readable picture any more ({error})") from error
    return picture.flat, picture.factor


def same_shape(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Whether two sizes can be of one picture, each rounded to whole pixels."""
    (w, h), (v, u) = first, second
    return abs(w * u - h * v) <= (w + h + v + u) / 2


def fit(size: tuple[int, int], bound: tuple[int, int]) -> tuple[int, int]:
    """The size shrunk, never enlarged, to fit into a bound with its proportions kept."""
    scale = min(1.0, bound[0] / size[0], bound[1] / size[1])
    return max(1, int(size[0] * scale + 0.5)), max(1, int(size[1] * scale + 0.5))
