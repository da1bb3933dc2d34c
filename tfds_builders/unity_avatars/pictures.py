"""Pictures as files, and those that somebody else rendered made square and of one size."""

import pathlib

import cv2
import numpy as np
import PIL.Image

from anime_pt.avatars.formats.binary import FormatError

_LONGEST_SIDE = 8192


def read(path: pathlib.Path, width: int, height: int, owner: str) -> np.ndarray:
    """An image file as (h, w, 3 or 4) uint8, RGB or straight RGBA.

    Args:
      path: of the file.
      width, height: that it must have, in pixels.
      owner: file and place that name the image, for messages.

    Raises:
      FormatError: it is absent, damaged, too large, or of another size.
    """
    try:
        with PIL.Image.open(path) as image:  # Reads the header only.
            if image.size != (width, height):
                raise FormatError(f"{path} is {image.size[0]}x{image.size[1]}, {owner} says {width}x{height}")
            if max(image.size) > _LONGEST_SIDE:
                raise FormatError(f"{path} is {width}x{height}; at most {_LONGEST_SIDE} to a side are read")
            return np.array(image.convert("RGBA" if image.has_transparency_data else "RGB"))
    except FileNotFoundError as error:
        raise FormatError(f"{owner} names {path}, which is not there") from error
    except (OSError, SyntaxError, PIL.Image.DecompressionBombError) as error:  # What PIL raises.
        raise FormatError(f"{path} is no readable image ({error})") from error


def before_white(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """RGB (h, w, 3) or straight RGBA (h, w, 4) -> image before white (h, w, 3) and mask (h, w, 1), uint8.

    Without alpha the mask is 255 wherever the picture is not white.
    """
    if image.shape[-1] == 3:
        return image, 255 * (image != 255).any(-1, keepdims=True).astype(np.uint8)
    mask = image[..., 3:]
    alpha = mask.astype(np.uint16)
    return ((image[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8), mask


def square(
    image: np.ndarray, mask: np.ndarray, keypoints: np.ndarray, box: tuple[int, int, int], side: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cuts a square out of a picture, white and without mask where it goes beyond, and scales it.

    Args:
      image, mask: (h, w, 3) and (h, w, 1) uint8.
      keypoints: (k, 3) x, y, visibility; pixels of that picture.
      box: x and y of the square's top left corner, and its side, in whole pixels.
      side: of the result.

    Returns:
      image (side, side, 3), mask (side, side, 1) and keypoints (k, 3) float32 of the result. Visibility is 0
      outside of it.
    """
    left, top, size = box
    height, width = image.shape[:2]
    rows, columns = slice(max(top, 0), min(top + size, height)), slice(max(left, 0), min(left + size, width))
    out = []
    for picture, empty in ((image, 255), (mask, 0)):
        cut = np.full((size, size, picture.shape[-1]), empty, np.uint8)
        part = picture[rows, columns]
        y, x = rows.start - top, columns.start - left
        cut[y : y + part.shape[0], x : x + part.shape[1]] = part
        if size != side:
            way = cv2.INTER_AREA if size > side else cv2.INTER_LINEAR
            cut = cv2.resize(cut, (side, side), interpolation=way).reshape(side, side, -1)
        out.append(cut)
    points = np.array(keypoints, np.float64)
    points[:, :2] = (points[:, :2] - (left, top)) * (side / size)
    # Comparisons with NaN are false.
    points[~((points[:, :2] >= 0) & (points[:, :2] <= side)).all(1), 2] = 0
    return *out, points.astype(np.float32)


def png(image: np.ndarray) -> bytes:
    """An image (h, w, c) uint8, of one channel or RGB, as PNG."""
    ok, data = cv2.imencode(".png", image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 4])
    if not ok:
        raise ValueError(f"could not encode an image of shape {image.shape}")
    return data.tobytes()
