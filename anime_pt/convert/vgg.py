"""VGG's published weights, as features for perceptual losses, style transfer and LPIPS.

Four kinds of files, told apart by the ending, and with them how the network wants its pictures
(`models.vgg.INPUTS`):

* `.pth`, `.pt`, `.safetensors`: torchvision's `features.0.weight`, kernels (out, in, h, w), e.g.
  vgg19-dcbb9e9d.pth;
* `.h5`: Keras Applications' `block1_conv1`, kernels (h, w, in, out), e.g.
  vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5; needs h5py;
* `.mat`: MatConvNet's `conv1_1`, kernels (w, h, in, out), e.g. imagenet-vgg-verydeep-19.mat.

Slim networks of the same form load as well: depths and widths come from the file.
"""

import pathlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from anime_pt.convert import safetensors, tables, torch_files
from anime_pt.convert.tables import Rule
from anime_pt.models import vgg
from anime_pt.state import Net

Weights = Mapping[str, np.ndarray]

RULES = [Rule(r"(conv\d_\d)/(kernel|bias)", r"blocks/\1/\2")]
_PATH = Callable[[jax.Array], dict[str, jax.Array]]


def load(path: str | pathlib.Path, *, last: str = "", pool: str = "max") -> Net:
    """The network `models.vgg.VGG` of a file: `found, _ = net(images, ("relu1_2",))`.

    Args:
      path: see the module's docstring.
      last: the last layer needed, such as "relu1_2"; what lies behind it is left out. "" for all.
      pool: see `models.vgg.VGG`.

    Raises:
      ValueError: the file is of another kind or network, or damaged; there is no such layer.
      OSError: it cannot be read.
    """
    path = pathlib.Path(path)
    try:
        readers: dict[str, tuple[str, Callable[[pathlib.Path], Weights]]] = {
            **dict.fromkeys(
                (".pth", ".pt", ".tar"),
                ("torchvision", lambda p: of_torchvision(torch_files.read_state_dict(p))),
            ),
            ".safetensors": ("torchvision", lambda p: of_torchvision(safetensors.read(p))),
            ".h5": ("keras", read_keras),
            ".mat": ("matconvnet", read_matconvnet),
        }
        if path.suffix not in readers:
            raise ValueError(f"cannot read {path.suffix!r} files; use one of {', '.join(readers)}")
        inputs, read = readers[path.suffix]
        return build(read(path), inputs=inputs, last=last, pool=pool)
    except ValueError as error:
        raise error if str(path) in str(error) else ValueError(f"{path}: {error}") from error


def features(path: str | pathlib.Path, names: Sequence[str], pool: str = "max") -> _PATH:
    """A pure function of pictures (b, h, w, 3) in [-1, 1] that gives a file's features by name.

    For few layers: the weights become constants of what calls it. `load` gives them as a tree instead.

    Raises: as `load`.
    """
    order = [layer for layer in vgg.layer_names((9,) * 5) if layer in names]
    net = load(path, last=order[-1] if order else "", pool=pool)
    jax.eval_shape(lambda x: net(x, tuple(names))[0], jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32))
    return lambda images: net(images, tuple(names))[0]


def build(weights: Weights, *, inputs: str = "torchvision", last: str = "", pool: str = "max") -> Net:
    """The network of arrays named like "conv1_1/kernel", (h, w, in, out), and "conv1_1/bias"; see `load`."""
    depths, widths = sizes(weights)
    if last:
        depths = vgg.up_to(depths, last)
        widths = widths[: len(depths)]
        kept = {name.replace("relu", "conv") for name in vgg.layer_names(depths)}
        weights = {name: x for name, x in weights.items() if name.partition("/")[0] in kept}
    make = lambda rngs: vgg.VGG(depths, widths, pool=pool, inputs=inputs, rngs=rngs)
    abstract = jax.eval_shape(lambda: Net.create(make, jax.random.key(0)))
    params = tables.convert(RULES, weights, abstract.params)
    return abstract.with_params(jax.tree.map(lambda x: np.asarray(x, np.float32), params))


def sizes(weights: Weights) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Depths and widths of the network of `build`'s arrays.

    Raises:
      ValueError: they are not those of VGG.
    """
    depths: dict[int, int] = {}
    widths: dict[int, int] = {}
    for name, x in weights.items():
        if match := re.fullmatch(r"conv(\d)_(\d)/kernel", name):
            block, i = map(int, match.groups())
            depths[block] = max(i, depths.get(block, 0))
            widths[block] = int(x.shape[-1])
    if sorted(depths) != list(range(1, len(depths) + 1)) or not depths:
        raise ValueError(f"not the weights of VGG: there are {', '.join(sorted(weights)[:3]) or 'none'}, ...")
    return tuple(depths[b] for b in sorted(depths)), tuple(widths[b] for b in sorted(depths))


def of_torchvision(weights: Weights) -> dict[str, np.ndarray]:
    """`build`'s arrays from torchvision's, or from those of its `features` alone ("0.weight").

    Convolutions follow each other by two places (with the rectification), over a pooling by three.

    Raises:
      ValueError: there are none, or the network is one with batch normalisation.
    """
    found: dict[int, dict[str, np.ndarray]] = {}
    for name, x in weights.items():
        if match := re.fullmatch(r"(?:module\.)?(?:features\.)?(\d+)\.(\w+)", name):
            found.setdefault(int(match.group(1)), {})[match.group(2)] = x
    if any("running_mean" in x for x in found.values()):
        raise ValueError("it has batch normalisation; take the VGG without")
    if not found:
        raise ValueError(
            f"not the weights of torchvision's VGG: there are {', '.join(sorted(weights)[:3])}, ..."
        )
    out, block, i = {}, 1, 0
    places = sorted(found)
    for place, before in zip(places, [places[0] - 2, *places], strict=False):
        block, i = (block, i + 1) if place - before == 2 else (block + 1, 1)
        for kind, x in found[place].items():
            name = f"conv{block}_{i}/{'kernel' if kind == 'weight' else kind}"
            out[name] = x.transpose(2, 3, 1, 0) if x.ndim == 4 else x
    return out


def read_keras(path: pathlib.Path) -> dict[str, np.ndarray]:
    """`build`'s arrays from a file of Keras Applications.

    Raises:
      ValueError: h5py is missing, or it is no such file.
    """
    try:
        import h5py
    except ImportError as error:
        raise ValueError(
            "reading .h5 files needs h5py: pip install 'anime_pt[readers]', or take a .pth or .mat file"
        ) from error
    out: dict[str, np.ndarray] = {}

    def visit(name: str, item: Any) -> None:
        match = re.search(r"block(\d)_conv(\d)", name)
        if match and isinstance(item, h5py.Dataset):
            kind = "kernel" if item.ndim == 4 else "bias"
            out[f"conv{match.group(1)}_{match.group(2)}/{kind}"] = item[()]

    with path.open("rb") as file:
        try:
            with h5py.File(file, "r") as content:
                content.visititems(visit)
        except (OSError, RuntimeError, KeyError) as error:
            raise ValueError(f"not an HDF5 file, or damaged ({error}); get it anew") from error
    return out


def read_matconvnet(path: pathlib.Path) -> dict[str, np.ndarray]:
    """`build`'s arrays from a file of MatConvNet.

    Raises:
      ValueError: it is no such file.
    """
    import scipy.io

    with path.open("rb") as file:
        try:
            layers = scipy.io.loadmat(file, struct_as_record=False, squeeze_me=True)["layers"]
            found = {layer.name: layer for layer in layers if re.fullmatch(r"conv\d_\d", str(layer.name))}
            # Files before 2015 have `filters` and `biases`.
            pairs = {
                name: getattr(x, "weights", None) if hasattr(x, "weights") else (x.filters, x.biases)
                for name, x in found.items()
            }
            return {
                f"{name}/{kind}": np.asarray(x).transpose(1, 0, 2, 3) if kind == "kernel" else np.asarray(x)
                for name, pair in pairs.items()
                for kind, x in zip(("kernel", "bias"), pair, strict=True)
            }
        except Exception as error:  # SciPy raises what it likes on damaged files.
            raise ValueError(
                f"not a file of MatConvNet, or damaged ({type(error).__name__}: {error}); get it anew"
            ) from error
