"""Weights of ProGAN's official TensorFlow code, and of PSGAN under the same names.

Names and layouts are those of tkarras/progressive_growing_of_gans (`networks.py`): variables are N(0, 1),
scaled when used, like ours; kernels are (h, w, in, out); features are flattened channels first. With its
`fused_scale`, `Conv0_up` is the kernel of a transposed convolution, (h, w, out, in) and rotated by 180
degrees, and `Conv1_down` is as it would be without. `lod` counts from the last resolution: 0 is the last.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import nnx

from anime_pt.convert.tables import Rule, convert
from anime_pt.models import psgan


def _generator_dense(kernel: np.ndarray) -> np.ndarray:
    latents, cells = kernel.shape
    return kernel.reshape(latents, cells // 16, 4, 4).transpose(0, 2, 3, 1)


def _discriminator_dense(kernel: np.ndarray) -> np.ndarray:
    inputs, outputs = kernel.shape
    return kernel.reshape(inputs // 16, 4, 4, outputs).transpose(1, 2, 0, 3).reshape(inputs, outputs)


def _rotated(kernel: np.ndarray) -> np.ndarray:
    return kernel[::-1, ::-1].transpose(0, 1, 3, 2)


def rules(resolution: int) -> dict[str, list[Rule]]:
    """The tables of both networks, "G" and "D", by the last resolution."""
    last = resolution.bit_length() - 1

    def by_lod(source: str, target: str) -> list[Rule]:
        table = []
        for lod in range(last - 1):
            name = f"{source}_lod{lod}"
            path = f"{target}/{resolution >> lod}x{resolution >> lod}"
            table += [Rule(f"{name}/weight", f"{path}/kernel"), Rule(f"{name}/bias", f"{path}/bias")]
        return table

    blocks = [
        Rule("lod", None),  # Where training stood.
        Rule(r"4x4/Conv/weight", r"blocks/4x4/conv/kernel"),
        Rule(r"4x4/Conv/bias", r"blocks/4x4/conv/bias"),
        Rule(r"(\d+x\d+)/Conv(0|1)(?:_down)?/weight", r"blocks/\1/conv\2/kernel"),
        Rule(r"(\d+x\d+)/Conv(0|1)(?:_up|_down)?/bias", r"blocks/\1/conv\2/bias"),
    ]
    return {
        "G": [
            Rule(r"4x4/Dense/weight", r"blocks/4x4/kernel", _generator_dense),
            Rule(r"4x4/Dense/bias", r"blocks/4x4/bias"),
            Rule(r"(\d+x\d+)/Conv0_up/weight", r"blocks/\1/conv0/kernel", _rotated),
            *blocks,
            *by_lod("ToRGB", "to_rgb"),
        ],
        "D": [
            Rule(r"4x4/Dense0/weight", r"blocks/4x4/dense0/kernel", _discriminator_dense),
            Rule(r"4x4/Dense1/weight", r"blocks/4x4/dense1/kernel"),
            Rule(r"4x4/Dense(0|1)/bias", r"blocks/4x4/dense\1/bias"),
            *blocks,
            *by_lod("FromRGB", "from_rgb"),
        ],
    }


def load_generator(weights: Mapping[str, np.ndarray], *, resolution: int, **sizes: int) -> Any:
    """Parameters of `models.psgan.Generator` from variables named like "4x4/Dense/weight".

    Args:
      weights: by name, without the leading "G/".
      resolution: the last one.
      **sizes: the other arguments of the module.

    Raises:
      ValueError: names or shapes do not fit; see `tables.convert`.
    """
    build = lambda: nnx.split(psgan.Generator(resolution, **sizes, rngs=nnx.Rngs(0)))[1]
    return convert(rules(resolution)["G"], weights, nnx.to_pure_dict(jax.eval_shape(build)))


def load_discriminator(weights: Mapping[str, np.ndarray], *, resolution: int, **sizes: int) -> Any:
    """Parameters of `models.psgan.Discriminator`; see `load_generator`."""
    build = lambda: nnx.split(psgan.Discriminator(resolution, **sizes, rngs=nnx.Rngs(0)))[1]
    return convert(rules(resolution)["D"], weights, nnx.to_pure_dict(jax.eval_shape(build)))
