"""Functions of many pictures, a batch at a time, with a line now and then that tells how far they are."""

import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

SIZE = 16
_SECONDS = 15.0


def mapped(what: str, function: Callable[..., Any], *arrays: np.ndarray, size: int = SIZE) -> Any:
    """`function` of batches of rows: its results, a tree of arrays with a leading axis, put together.

    The last batch is padded, since another size would compile again. Lines go to stderr, where stdout may be
    somebody's JSON.

    Args:
      what: for the line.
      function: of as many arrays as are given.
      arrays: of as many rows each.
      size: rows of a batch.
    """
    count, out, said = len(arrays[0]), [], time.monotonic()
    for start in range(0, count, size):
        rows = [a[start : start + size] for a in arrays]
        rows = [np.concatenate([r, np.repeat(r[-1:], size - len(r), 0)]) for r in rows]
        out.append(jax.device_get(function(*rows)))
        if time.monotonic() - said > _SECONDS:
            said = time.monotonic()
            print(f"judging: {what}, {min(start + size, count)} of {count}", file=sys.stderr, flush=True)
    return jax.tree.map(lambda *parts: np.concatenate(parts)[:count], *out)
