"""Pictures of the archives: checked, kept byte for byte where nothing is cut off, else cut and resized."""

import concurrent.futures
import dataclasses
import io
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import PIL.Image
from jaxtyping import Float
from tqdm import tqdm

from tfds_builders.pose_transfer.manual import Place
from tfds_builders.unity_avatars.pictures import png

# Pictures that show the box alone may be so much wider or narrower.
_STRETCH = 0.1


@dataclasses.dataclass(frozen=True)
class View:
    """What examples show.

    Attributes:
      frame: width and height of the pictures that joints are annotated in.
      box: left, top, right, bottom of what is taken of such a picture, whole pixels.
      size: width and height of the result.
      alone: the pictures are larger ones that show the box and nothing else.
    """

    frame: tuple[int, int]
    box: tuple[int, int, int, int]
    size: tuple[int, int]
    alone: bool = False

    @property
    def keeps(self) -> bool:
        """Whether pictures stay as they are."""
        return not self.alone and self.box == (0, 0, *self.frame) and self.size == self.frame

    @property
    def _box_size(self) -> tuple[int, int]:
        left, top, right, bottom = self.box
        return right - left, bottom - top

    def complaint(self, size: tuple[int, int]) -> str:
        """What is wrong with a picture of that width and height, or ""."""
        if self.alone:
            width, height = self._box_size
            if abs(size[0] / size[1] * height / width - 1) > _STRETCH or size[1] < self.frame[1]:
                return f"{size[0]}x{size[1]}, not of {width}:{height} and at least {self.frame[1]} high"
        elif size != self.frame:
            return f"{size[0]}x{size[1]}, not {self.frame[0]}x{self.frame[1]}"
        return ""

    def keypoints(self, points: Float[np.ndarray, "k 3"]) -> Float[np.ndarray, "k 3"]:
        """Joints of a whole picture as joints of the result, in which those outside are missing."""
        out = np.array(points, np.float32)
        out[:, :2] = (out[:, :2] - self.box[:2]) * np.divide(self.size, self._box_size)
        # Comparisons with NaN are false.
        inside = ((out[:, :2] >= 0) & (out[:, :2] < self.size)).all(1)
        out[~inside] = (np.nan, np.nan, 0)
        return out

    def picture(self, data: bytes) -> bytes:
        """A file as it is stored.

        Raises:
          OSError: it cannot be read.
        """
        with _opened(data) as image:
            if self.keeps and image.mode == "RGB" and image.format in ("JPEG", "PNG"):
                return data
            rgb = image.convert("RGB")
        if not self.alone:
            rgb = rgb.crop(self.box)
        if rgb.size != self.size:
            rgb = rgb.resize(self.size, PIL.Image.Resampling.BICUBIC)
        return png(np.array(rgb))


def _opened(data: bytes) -> PIL.Image.Image:
    try:
        return PIL.Image.open(io.BytesIO(data))
    except PIL.Image.DecompressionBombError as error:
        raise OSError(str(error)) from error


def complaints(places: Sequence[Place], view: View, title: str) -> list[str]:
    """What is wrong with each picture, "" for nothing; all of them are decoded, on all cores."""

    def of(place: Place) -> str:
        try:
            with _opened(place.read()) as image:
                image.load()
                return view.complaint(image.size)
        except (OSError, SyntaxError, ValueError) as error:  # What PIL raises.
            return f"unreadable: {' '.join(str(error).split())[:100]}"

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(tqdm(pool.map(of, places), total=len(places), unit="picture", desc=title))


@dataclasses.dataclass(frozen=True)
class Figure:
    """A picture and who is in it. Tuples throughout, so that it pickles and its repr says everything.

    Attributes:
      place: of the picture.
      name: as the annotations have it.
      character: the person, in one outfit.
      points: 18 times x, y, visibility in pixels of the whole picture, as `OPENPOSE_18` orders them.
    """

    place: Place
    name: str
    character: str
    points: tuple[tuple[float, float, float], ...]


@dataclasses.dataclass(frozen=True)
class Examples:
    """The examples of one shard. Pickles; called in the writer."""

    figures: tuple[Figure, ...]
    view: View

    def __call__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for figure in self.figures:
            try:
                image = self.view.picture(figure.place.read())
            except OSError as error:
                raise OSError(f"{figure.place} is no readable picture any more ({error})") from error
            yield (
                figure.name,
                {
                    "image": image,
                    "keypoints": self.view.keypoints(np.array(figure.points, np.float32)),
                    "character": figure.character,
                    "name": figure.name,
                },
            )
