"""Weights of PG2's official TensorFlow code.

Names are those of charliememory/Pose-Guided-Person-Image-Generation: TF-Slim numbers the convolutions of a
network in the order in which they run ("Pose_AE/G/Conv", "Pose_AE/G/Conv_1", ...), and the discriminator has
tflib's names. Kernels are (h, w, in, out), as here. The discriminator's features are flattened channels first
there; its running statistics are never used, and left out.

A checkpoint of TensorFlow's is to be read by TensorFlow (`tf.train.load_checkpoint`) and given as arrays by
name; this module reads no files.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from flax import nnx

from anime_pt.convert.tables import Rule, convert
from anime_pt.models import pg2

PREFIXES = {"coarse": "Pose_AE/G/", "refiner": "UAEnoFC/G/", "discriminator": "Discriminator."}


def coarse_rules(levels: int) -> list[Rule]:
    """The table of `models.pg2.Coarse`; names without their prefix."""
    order = ["stem"]
    for i in range(levels):
        order += [f"encoder/level{i}/conv0", f"encoder/level{i}/conv1"]
        order += [f"down/level{i}"] if i < levels - 1 else []
    for i in reversed(range(levels)):
        order += [f"decoder/level{i}/conv0", f"decoder/level{i}/conv1"]
        order += [f"up/level{i}"] if i else []
    return _numbered("Conv", [*order, "image"]) + _numbered("fully_connected", ["encode", "decode"])


def refiner_rules(levels: int) -> list[Rule]:
    """The table of `models.pg2.Refiner`, which has `levels` levels; names without their prefix."""
    order = ["stem"]
    for i in range(levels):
        order += [f"encoder/level{i}/conv0", f"encoder/level{i}/conv1"]
        order += [f"down/level{i}"] if i < levels - 1 else []
    for i in reversed(range(levels)):
        order += [f"decoder/level{i}/conv0", f"decoder/level{i}/conv1"]
    return _numbered("Conv", [*order, "difference"])


def discriminator_rules(depth: int, cells: tuple[int, int]) -> list[Rule]:
    """The table of `models.pg2.Discriminator`; names without "Discriminator.".

    Args:
      depth: convolutions.
      cells: height and width of the last features.
    """

    def channels_last(kernel: np.ndarray) -> np.ndarray:
        inputs, outputs = kernel.shape
        return kernel.reshape(-1, *cells, outputs).transpose(1, 2, 0, 3).reshape(inputs, outputs)

    rules = [
        Rule(r"BN\d+\.moving_(mean|variance)", None),
        Rule(r"Output/Discriminator\.Output\.W", "logit/kernel", channels_last),
        Rule(r"Output/Discriminator\.Output\.b", "logit/bias"),
    ]
    for i in range(depth):
        name = rf"{i + 1}/Discriminator\.{i + 1}\."
        rules += [Rule(f"{name}Filters", f"convs/level{i}/kernel")]
        rules += [Rule(f"{name}Biases", f"convs/level{i}/bias")]
        rules += [Rule(rf"BN{i + 1}\.scale", f"norms/level{i}/scale")]
        rules += [Rule(rf"BN{i + 1}\.offset", f"norms/level{i}/bias")]
    return rules


def _numbered(source: str, targets: list[str]) -> list[Rule]:
    rules = []
    for i, target in enumerate(targets):
        name = f"{source}_{i}" if i else source
        rules += [Rule(f"{name}/weights", f"{target}/kernel"), Rule(f"{name}/biases", f"{target}/bias")]
    return rules


def tables(size: tuple[int, int]) -> dict[str, list[Rule]]:
    """The tables of all three networks, by the size of pictures."""
    levels = pg2.levels_of(size[0])
    cells = tuple(side >> (levels - 1) for side in size)
    return {
        "coarse": coarse_rules(levels),
        "refiner": refiner_rules(levels - 2),
        "discriminator": discriminator_rules(levels - 1, cells),
    }


def load(
    weights: Mapping[str, np.ndarray], size: tuple[int, int], **networks: Callable[[nnx.Rngs], nnx.Module]
) -> dict[str, Any]:
    """Parameters of the networks, by their names here, from variables of a checkpoint.

    Args:
      weights: variables by name.
      size: height and width of pictures.
      **networks: of those wanted, "coarse", "refiner" or "discriminator": how to build each from `nnx.Rngs`.

    Returns:
      Nested dicts of NumPy arrays, by network.

    Raises:
      ValueError: names or shapes do not fit; see `tables.convert`.
    """
    rules, out = tables(size), {}
    for network, build in networks.items():
        prefix = PREFIXES[network]
        own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
        shapes = jax.eval_shape(lambda build=build: nnx.split(build(nnx.Rngs(0)), nnx.Param, ...)[1])
        out[network] = convert(rules[network], own, nnx.to_pure_dict(shapes))
    return out
