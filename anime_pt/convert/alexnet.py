"""torchvision's AlexNet, and LPIPS's weights of channels (richzhang/PerceptualSimilarity, v0.1).

The networks under LPIPS are torchvision's (alexnet-owt-7be5be79.pth, vgg16-397923af.pth); its own files, with
one weight for each channel, are `lpips/weights/v0.1/alex.pth` and `vgg.pth` of that repository.
"""

import pathlib
import re
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from anime_pt.convert import safetensors, tables, torch_files
from anime_pt.convert.tables import Rule
from anime_pt.models import alexnet
from anime_pt.state import Net

Weights = Mapping[str, np.ndarray]

_PLACES = (0, 3, 6, 8, 10)  # Of the convolutions in torchvision's `features`.
RULES = [
    Rule(r"(module\.)?classifier\..*", None),
    *(
        rule
        for i, place in enumerate(_PLACES, 1)
        for rule in (
            Rule(
                rf"(?:module\.)?features\.{place}\.weight",
                f"convs/conv{i}/kernel",
                lambda x: x.transpose(2, 3, 1, 0),
            ),
            Rule(rf"(?:module\.)?features\.{place}\.bias", f"convs/conv{i}/bias"),
        )
    ),
]


def load(path: str | pathlib.Path) -> Net:
    """The network `models.alexnet.AlexNet` of a `.pth` or `.safetensors` file: `found, _ = net(images)`.

    Raises:
      ValueError: the file is of another network, or damaged.
      OSError: it cannot be read.
    """
    return build(_read(path))


def build(weights: Weights) -> Net:
    """The network of torchvision's weights by name.

    Raises:
      ValueError: names or shapes do not fit; see `tables.convert`.
    """
    widths = tuple(
        int(weights[name].shape[0]) if (name := _named(weights, place)) else width
        for place, width in zip(_PLACES, alexnet.WIDTHS, strict=True)
    )
    make = lambda rngs: alexnet.AlexNet(widths, rngs=rngs)
    abstract = jax.eval_shape(lambda: Net.create(make, jax.random.key(0)))
    params = tables.convert(RULES, weights, abstract.params)
    return abstract.with_params(jax.tree.map(lambda x: np.asarray(x, np.float32), params))


def load_linear(path: str | pathlib.Path) -> list[np.ndarray]:
    """LPIPS's weights (c,) of the channels of each layer, in the layers' order.

    Raises:
      ValueError: the file holds others, or is damaged.
      OSError: it cannot be read.
    """
    try:
        return linear(_read(path))
    except ValueError as error:
        raise error if str(path) in str(error) else ValueError(f"{path}: {error}") from error


def linear(weights: Weights) -> list[np.ndarray]:
    """`load_linear` of arrays by name, such as "lin0.model.1.weight", (1, c, 1, 1)."""
    found = {}
    for name, x in weights.items():
        if match := re.fullmatch(r"lin(?:s\.)?(\d)\.model\.1\.weight", name):
            found[int(match.group(1))] = np.asarray(x, np.float32).reshape(-1)
    if not found or sorted(found) != list(range(len(found))):
        some = ", ".join(sorted(weights)[:3])
        raise ValueError(
            f"not LPIPS's weights of channels, lin0.model.1.weight and so on: there are {some}, ..."
        )
    return [found[i] for i in sorted(found)]


def _read(path: str | pathlib.Path) -> Weights:
    read = safetensors.read if pathlib.Path(path).suffix == ".safetensors" else torch_files.read_state_dict
    return read(path)


def _named(weights: Weights, place: int) -> str | None:
    names: Sequence[str] = (f"features.{place}.weight", f"module.features.{place}.weight")
    return next((name for name in names if name in weights), None)
