"""`.npz` files: weights under a prefix, and the JSON that describes them."""

import json
import pathlib

import numpy as np


def read(path: str | pathlib.Path, prefix: str = "") -> dict[str, np.ndarray]:
    """Arrays whose names start with `prefix`, without it.

    Raises:
      ValueError: there are none; the message lists the first parts of the names that there are.
    """
    with np.load(path, allow_pickle=False) as file:
        found = {name.removeprefix(prefix): file[name] for name in file.files if name.startswith(prefix)}
        if not found:
            parts = ", ".join(sorted({name.split("/")[0] + "/" for name in file.files}))
            raise ValueError(f"{path}: no arrays under {prefix!r}; there are {parts}")
    return found


def read_meta(path: str | pathlib.Path) -> dict:
    """The entry `meta_json`."""
    with np.load(path, allow_pickle=False) as file:
        return json.loads(file["meta_json"].item())
