"""`.npz` files: weights under a prefix, and the JSON that describes them."""

import dataclasses
import json
import pathlib
import zipfile
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from anime_pt.convert.tables import path_name
from anime_pt.state import Net


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


def read_config(path: str | pathlib.Path) -> dict:
    """The config of the run that a file of ours comes from; raises ValueError if the file has none."""
    return json.loads(read(path, "config_json")[""].item())


def fill(
    net: Net, path: str | pathlib.Path, left_out: Callable[[str], bool] = lambda name: False
) -> tuple[Net, list[str]]:
    """A network with the arrays of a file of ours (see `anime_pt.weights`) that have its paths and shapes.

    Args:
      net: takes them.
      path: the file.
      left_out: which paths, such as "cpm/block0/conv/kernel", are not to be taken.

    Returns:
      The network, and the names of its parameters and statistics that kept their values.

    Raises:
      FileNotFoundError: no such file.
      ValueError: it is damaged, or nothing of it fits.
    """
    try:
        arrays = {kind: read(path, f"{kind}/") for kind in ("params", "stats")}
    except (zipfile.BadZipFile, EOFError, KeyError) as error:
        raise ValueError(f"{path} holds no weights that can be read: {error}") from error
    kept: list[str] = []

    def filled(kind: str) -> Any:
        def one(key, old):
            new = arrays[kind].get(path_name(key))
            if new is None or new.shape != old.shape or left_out(path_name(key)):
                kept.append(f"{kind}/{path_name(key)}")
                return old
            return np.asarray(new, old.dtype)

        return jax.tree_util.tree_map_with_path(one, getattr(net, kind))

    out = dataclasses.replace(net, params=filled("params"), stats=filled("stats"))
    if len(kept) == len(jax.tree.leaves((net.params, net.stats))):
        raise ValueError(f"{path} is of another network: none of its arrays fits")
    return out, kept
