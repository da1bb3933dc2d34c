"""Sprite sheets: the frames of a clip in one PNG, row by row, and a JSON beside it that says where.

walk.sheet.png, walk.sheet.json: {"image": "walk.sheet.png", "width", "height", "cell_width", "cell_height",
"columns", "rows", "frames", "fps"}; frame i is in column i % columns of row i // columns. Where the feet of
a figure stand at the same place of every cell, "anchor": {"x", "y"} says where, in pixels from the top left
of the cell, and "pivot" as a share of it from the bottom left, as Unity counts.
"""

import math
import pathlib
from collections.abc import Iterable
from fractions import Fraction

import numpy as np

from anime_pt.pipelines import stills
from anime_pt.pose import files

# What graphics cards and picture programs take.
_LARGEST = 16384


def grid(count: int, height: int, width: int) -> tuple[int, int]:
    """(rows, columns) of the sheet of `count` cells that is nearest to a square.

    Raises:
      ValueError: it would be larger than 16384 pixels.
    """
    columns = min(count, max(1, round(math.sqrt(count * height / width))))
    rows = -(-count // columns)
    size = f"{columns * width}x{rows * height}"
    if max(rows * height, columns * width) > _LARGEST:
        raise ValueError(
            f"a sprite sheet of {count} frames of {width}x{height} would be {size}, over {_LARGEST} pixels: "
            "take fewer or smaller frames, or a folder of PNG files"
        )
    return rows, columns


def description_path(path: pathlib.Path) -> pathlib.Path:
    """Of the JSON beside a sheet."""
    return path.with_suffix(".json")


def write(
    path: pathlib.Path,
    frames: Iterable[np.ndarray],
    fps: Fraction,
    anchor: tuple[float, float] | None = None,
) -> None:
    """Writes (h, w, 3 or 4) uint8 frames, all of one shape, as a sheet and its JSON.

    Args:
      path: of the sheet.
      frames: its cells.
      fps: frames per second.
      anchor: x and y of where the figure stands, in pixels of a cell.

    Raises:
      ValueError: too large, see `grid`.
    """
    cells: list[np.ndarray] = []
    for frame in frames:
        cells.append(frame)
        grid(len(cells), *frame.shape[:2])
    height, width, channels = cells[0].shape
    rows, columns = grid(len(cells), height, width)
    sheet = np.zeros((rows * height, columns * width, channels), np.uint8)
    for i, cell in enumerate(cells):
        y, x = i // columns * height, i % columns * width
        sheet[y : y + height, x : x + width] = cell
    description = {
        "image": path.name,
        "width": columns * width,
        "height": rows * height,
        "cell_width": width,
        "cell_height": height,
        "columns": columns,
        "rows": rows,
        "frames": len(cells),
        "fps": float(fps),
    }
    if anchor is not None:
        x, y = anchor
        description["anchor"] = {"x": round(x, 2), "y": round(y, 2)}
        description["pivot"] = {"x": round(x / width, 4), "y": round(1 - y / height, 4)}
    stills.save(path, sheet)
    files.save_json(description_path(path), description)
