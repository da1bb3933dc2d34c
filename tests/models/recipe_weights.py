"""Weights that the goldens do not hold but describe: drawn from the parameter's name, in torch's layout."""

import zlib

import numpy as np


def fill(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers of the name's generator, scaled by what the parameter is."""
    draw = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, dtype=np.float32)
    if len(shape) > 1:
        return draw * np.float32(np.sqrt(2 / np.prod(shape[1:])))
    if name.endswith("running_var"):
        return np.float32(0.5) + np.abs(draw)
    if name.endswith("weight"):
        return 1 + np.float32(0.1) * draw
    return np.float32(0.05) * draw
