"""The package's own feature network from its file, see `anime_pt.weights`."""

import dataclasses
import json
import pathlib
import zipfile

import jax
import numpy as np

from anime_pt.convert import npz
from anime_pt.convert.tables import path_name
from anime_pt.models import features
from anime_pt.state import Net

PACKAGED = pathlib.Path(__file__).parents[1] / "weights" / "features.npz"


def load(path: str | pathlib.Path = PACKAGED) -> Net:
    """The network `models.features.Features`: `(levels, vectors), _ = net(images)`, images in [-1, 1].

    Args:
      path: a file that `python -m anime_pt.weights` wrote of a run of `configs/features.py`.

    Raises:
      FileNotFoundError: no such file.
      ValueError: it is damaged, or of another network.
    """
    try:
        model = json.loads(npz.read(path, "config_json")[""].item())["model"]
        sizes = {"widths": tuple(model["widths"]), "embedding": model["embedding"]}
        arrays = {kind: npz.read(path, f"{kind}/") for kind in ("params", "stats")}
        make = lambda rngs: features.Features(**sizes, rngs=rngs)
        abstract = jax.eval_shape(lambda: Net.create(make, jax.random.key(0)))

        def filled(kind: str):
            def one(key, old):
                new = arrays[kind][path_name(key)]
                if new.shape != old.shape:
                    raise ValueError(f"{path_name(key)} has shape {new.shape}, not {old.shape}")
                return np.asarray(new, old.dtype)

            return jax.tree_util.tree_map_with_path(one, getattr(abstract, kind))

        return dataclasses.replace(abstract, params=filled("params"), stats=filled("stats"))
    except FileNotFoundError:
        raise FileNotFoundError(f"there are no weights {path}") from None
    except (zipfile.BadZipFile, EOFError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no weights of models.features that can be read: {error}") from error
