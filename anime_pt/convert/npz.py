"""`.npz` files: weights under a prefix, and the JSON that describes them."""

import dataclasses
import json
import pathlib
import re
import zipfile
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


def start_from(net: Net, path: str | pathlib.Path, skeleton: str, knows_joints: re.Pattern) -> Net:
    """A network that starts from a file of ours (see `anime_pt.weights`): arrays of equal paths and shapes.

    What does not fit keeps its values; one line says how much.

    Args:
      net: a fresh network.
      path: the file.
      skeleton: name of what the network learns. If the file's is another, what is found by `knows_joints` in
        a path is not taken: joints would take the places of others.
      knows_joints: see there.

    Raises:
      FileNotFoundError: no such file.
      ValueError: it is damaged, or nothing of it fits.
    """
    try:
        arrays = {kind: read(path, f"{kind}/") for kind in ("params", "stats")}
        theirs = json.loads(read(path, "config_json")[""].item())["skeleton"]
    except (zipfile.BadZipFile, EOFError, KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no weights that can be read: {error}") from error
    kept: list[str] = []

    def filled(kind: str) -> Any:
        def one(key, old):
            name = path_name(key)
            new = arrays[kind].get(name)
            is_other = theirs != skeleton and knows_joints.search(name)
            if new is None or new.shape != old.shape or is_other:
                kept.append(f"{kind}/{name}")
                return old
            return np.asarray(new, old.dtype)

        return jax.tree_util.tree_map_with_path(one, getattr(net, kind))

    out = dataclasses.replace(net, params=filled("params"), stats=filled("stats"))
    if len(kept) == len(jax.tree.leaves((net.params, net.stats))):
        raise ValueError(f"{path} is of another network: none of its arrays fits")
    report(path, kept)
    return out


def report(path: str | pathlib.Path, kept: list[str]) -> None:
    """Says what a network starts from, and which of its arrays do not."""
    where = f"; {len(kept)} arrays do not fit and start fresh, first {kept[0]}" if kept else ""
    print(f"starting from {path}{where}", flush=True)
