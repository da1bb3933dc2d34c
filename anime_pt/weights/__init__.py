"""Networks that come with the package: what the commands use where no `--workdir` is given.

A file `<name>.npz` holds the run's config as JSON under `config_json`, and the averaged parameters and
running statistics of one of its players under their paths, kernels in half precision; which one is under
`player` where the recipe has several. Beside it lies
its model card, `<name>.md`: data, seeds, commit, numbers, limits, the file's hash. `python -m
anime_pt.weights` writes such files.
"""

import dataclasses
import hashlib
import json
import pathlib
import zipfile

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from anime_pt import recipe
from anime_pt.pose import files
from anime_pt.state import Net

_FOLDER = pathlib.Path(__file__).parent
_CONFIG, _PLAYER = "config_json", "player"


class WeightsError(ValueError):
    """A file of weights cannot be read; the message names it and says what is wrong."""


def names() -> list[str]:
    """Of the networks that there are."""
    return sorted(path.stem for path in _FOLDER.glob("*.npz"))


def path_of(name: str) -> pathlib.Path:
    """The file of a packaged network; raises ValueError with those there are."""
    if name not in names():
        raise ValueError(f"the package has no weights {name!r}; it has {', '.join(names()) or 'none'}")
    return _FOLDER / f"{name}.npz"


def load(name: str = "student") -> tuple[ml_collections.ConfigDict, Net]:
    """Config and network that come with the package.

    Raises:
      ValueError: there is none of that name.
      WeightsError: the file is damaged.
    """
    return read(path_of(name))


def read(path: pathlib.Path) -> tuple[ml_collections.ConfigDict, Net]:
    """Config and network of a file, in single precision.

    Raises:
      FileNotFoundError: no such file.
      WeightsError: it is damaged, or of another network than its config says.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there are no weights {path}")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {k: file[k] for k in file.files}
        config = ml_collections.ConfigDict(json.loads(arrays.pop(_CONFIG).item()))
        player = arrays.pop(_PLAYER, np.array("")).item()
        players = jax.eval_shape(recipe.make(config).init, jax.random.key(0)).players
        (abstract,) = (p.net for name, p in players.items() if player in ("", name))
    except (OSError, ValueError, KeyError, TypeError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path} holds no weights that can be read: {error}") from error
    wanted = _leaves(abstract)
    differing = sorted(k for k in wanted.keys() | arrays.keys() if _shape(wanted, k) != _shape(arrays, k))
    if differing:
        first = differing[0]
        raise WeightsError(
            f"{path} is of another network than its config says: {len(differing)} arrays differ, "
            f"first {first}: {_shape(arrays, first)} there, {_shape(wanted, first)} wanted"
        )
    filled = lambda kind, tree: jax.tree_util.tree_map_with_path(
        lambda p, x: jnp.asarray(arrays[_name(kind, p)], x.dtype), tree
    )
    net = dataclasses.replace(
        abstract, params=filled("params", abstract.params), stats=filled("stats", abstract.stats)
    )
    return config, net


def write(path: pathlib.Path, config: ml_collections.ConfigDict, net: Net, player: str = "") -> str:
    """Writes a network; returns the file's SHA-256. The same network gives the same bytes.

    The config goes in without the folder that the data was in.

    Args:
      path: of the file.
      config: of the run.
      net: of one of its players.
      player: which one, if there are several.
    """
    config = config.copy_and_resolve_references()
    config.data.data_dir = ""
    arrays = {
        k: np.asarray(x, np.float16 if x.ndim > 1 else np.float32) for k, x in sorted(_leaves(net).items())
    }
    words = {_CONFIG: config.to_json()} | ({_PLAYER: player} if player else {})
    with files.whole(path) as unfinished:
        np.savez(unfinished, **{name: np.array(text) for name, text in words.items()}, **arrays)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def mean(net: Net, other: Net) -> Net:
    """The network whose parameters and statistics lie in the middle of two of one form.

    Of a network and what it became by further training on other pictures, the middle is often better on both
    (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022).

    Raises:
      ValueError: they are of different forms.
    """
    shapes = [{k: x.shape for k, x in _leaves(n).items()} for n in (net, other)]
    if shapes[0] != shapes[1]:
        raise ValueError("these are different networks, of which there is no mean")
    middle = lambda a, b: (a + b) / 2
    return dataclasses.replace(
        net,
        params=jax.tree.map(middle, net.params, other.params),
        stats=jax.tree.map(middle, net.stats, other.stats),
    )


def _leaves(net: Net) -> dict[str, jax.Array]:
    return {
        _name(kind, path): leaf
        for kind, tree in (("params", net.params), ("stats", net.stats))
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _name(kind: str, path: tuple) -> str:
    return f"{kind}/{jax.tree_util.keystr(path, simple=True, separator='/')}"


def _shape(arrays: dict, name: str) -> tuple[int, ...] | str:
    return tuple(arrays[name].shape) if name in arrays else "absent"
