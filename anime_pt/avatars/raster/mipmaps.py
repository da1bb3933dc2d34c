"""All textures of a character in one array of texels, with their mip levels, for the compiled rasteriser."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from anime_pt.avatars.character import Material

# Blocks of rows in the tables, one row for each material.
BASE, SPHERE, SHADE, EMISSION = range(4)
_FIELDS = ("texture", "sphere", "shade_texture", "emission_texture")
_MAX_LEVELS = 14


class Textures(NamedTuple):
    """Texels and where they are, premultiplied by alpha so that empty texels do not bleed.

    The tables have a block of m rows for each of `BASE`, `SPHERE`, `SHADE` and `EMISSION`.
    """

    texels: np.ndarray  # (n,) uint8
    levels: np.ndarray  # (4m,) int32, 0 for no texture
    offsets: np.ndarray  # (4m, levels) int64
    widths: np.ndarray  # (4m, levels) int32
    heights: np.ndarray  # (4m, levels) int32


def _pyramid(texture: np.ndarray, opaque: bool) -> list[np.ndarray]:
    """Mip levels of a texture, premultiplied by alpha."""
    level = np.array(texture, np.uint8, order="C")
    if opaque:
        level[..., 3] = 255
    elif (level[..., 3] < 255).any():
        alpha = level[..., 3:].astype(np.uint16)
        level[..., :3] = (level[..., :3] * alpha + 127) // 255
    levels = [level]
    while max(level.shape[:2]) > 1 and len(levels) < _MAX_LEVELS:
        height, width = (max(1, n // 2) for n in level.shape[:2])
        level = cv2.resize(level, (width, height), interpolation=cv2.INTER_AREA)
        levels.append(level)
    return levels


def pack_textures(materials: Sequence[Material]) -> Textures:
    """Textures of materials, each stored once.

    Raises:
      ValueError: if one is not (h, w, 4) uint8 with at least one texel.
    """
    count = len(materials)
    rows = len(_FIELDS) * count
    levels = np.zeros(rows, np.int32)
    offsets = np.zeros((rows, _MAX_LEVELS), np.int64)
    widths, heights = (np.ones((rows, _MAX_LEVELS), np.int32) for _ in range(2))
    first, chunks, total = {}, [], 0
    for i, texture in enumerate(getattr(m, field) for field in _FIELDS for m in materials):
        if texture is None:
            continue
        if texture.ndim != 3 or texture.shape[2] != 4 or texture.dtype != np.uint8 or not texture.size:
            raise ValueError(f"texture of shape {texture.shape} {texture.dtype}, expected (h, w, 4) uint8")
        opaque = i >= count or materials[i].alpha_mode == "opaque"
        key = (id(texture), opaque)
        if key not in first:
            first[key] = i
            pyramid = _pyramid(texture, opaque)
            levels[i] = len(pyramid)
            for n, level in enumerate(pyramid):
                offsets[i, n], widths[i, n], heights[i, n] = total, level.shape[1], level.shape[0]
                chunks.append(level.ravel())
                total += level.size
        else:
            for table in (levels, offsets, widths, heights):
                table[i] = table[first[key]]
    texels = np.concatenate(chunks) if chunks else np.zeros(4, np.uint8)
    return Textures(texels, levels, offsets, widths, heights)
