"""Weights of PATN's public PyTorch code: `*_net_netG.pth`, `*_net_netD_PB.pth`, `*_net_netD_PP.pth`.

Names are those of tengteng95/Pose-Transfer (`models/model_variants.py`); kernels there are (out, in, h, w),
those of transposed convolutions (in, out, h, w) and mirrored. A layer's number counts what has no weights,
too: without dropout, what follows it in a block is one lower. Files of PyTorch 0.3 hold running statistics
of instance normalisations, which were never used.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from flax import nnx

from anime_pt.convert import tables
from anime_pt.convert.tables import Rule
from anime_pt.models import patn
from anime_pt.state import Net

Weights = Mapping[str, np.ndarray]


def _kernel(x: np.ndarray) -> np.ndarray:
    return x.transpose(2, 3, 1, 0)


def _transposed(x: np.ndarray) -> np.ndarray:
    return x.transpose(2, 3, 0, 1)[::-1, ::-1]


def _conv(source: str, target: str, kernel: Callable[[np.ndarray], np.ndarray] = _kernel) -> list[Rule]:
    return [
        Rule(rf"{source}\.weight", f"{target}/kernel", kernel),
        Rule(rf"{source}\.bias", f"{target}/bias"),
    ]


def _norm(source: str, target: str) -> list[Rule]:
    names = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}
    return [Rule(rf"{source}\.{theirs}", f"{target}/{ours}") for theirs, ours in names.items()]


def _encoder(source: str, target: str) -> list[Rule]:
    table = []
    for i in range(3):
        table += _conv(rf"{source}\.{3 * i + 1}", f"{target}/unit{i}/conv")
        table += _norm(rf"{source}\.{3 * i + 2}", f"{target}/unit{i}/norm")
    return table


def _pair(source: str, target: str, dropout: bool) -> list[Rule]:
    second = 6 if dropout else 5
    return [
        *_conv(rf"{source}\.1", f"{target}/unit/conv"),
        *_norm(rf"{source}\.2", f"{target}/unit/norm"),
        *_conv(rf"{source}\.{second}", f"{target}/conv"),
        *_norm(rf"{source}\.{second + 1}", f"{target}/norm"),
    ]


# How often a normalisation was trained: nothing depends on it.
_COUNTERS = Rule(r".*\.num_batches_tracked", None)


def generator_rules(dropout: bool = True) -> list[Rule]:
    """The table of `netG`, of a network with dropout or trained with `--no_dropout`."""
    block = r"model\.att\.(\d+)\.conv_block_stream"
    return [
        _COUNTERS,
        *_encoder(r"model\.stream1_down", "image_encoder"),
        *_encoder(r"model\.stream2_down", "pose_encoder"),
        *_pair(f"{block}1", r"blocks/block\1/image", dropout),
        *_pair(f"{block}2", r"blocks/block\1/pose", dropout),
        *_conv(r"model\.stream1_up\.0", "decoder/unit0/conv", _transposed),
        *_norm(r"model\.stream1_up\.1", "decoder/unit0/norm"),
        *_conv(r"model\.stream1_up\.3", "decoder/unit1/conv", _transposed),
        *_norm(r"model\.stream1_up\.4", "decoder/unit1/norm"),
        *_conv(r"model\.stream1_up\.7", "decoder/conv"),
    ]


def discriminator_rules(blocks: int = 3, dropout: bool = True) -> list[Rule]:
    """The table of `netD_PB` and `netD_PP`; see `generator_rules`."""
    table = [_COUNTERS, *_encoder("model", "encoder")]
    for i in range(blocks):
        table += _pair(rf"model\.{10 + i}\.conv_block", f"blocks/block{i}/pair", dropout)
    return table


def generator_sizes(weights: Weights) -> dict[str, Any]:
    """The arguments of `models.patn.Generator` that a file tells.

    Raises:
      ValueError: the file is not a generator of PATN.
    """
    weights = _bare(weights)
    first, poses = _shapes(weights, "model.stream1_down.1.weight", "model.stream2_down.1.weight")
    return {
        "keypoints": poses[1] // 2,
        "ngf": first[0],
        "blocks": _count(weights, r"model\.att\.(\d+)\."),
        "norm": "batch" if "model.stream1_down.2.weight" in weights else "instance",
        "image_channels": first[1],
    }


def discriminator_sizes(weights: Weights) -> dict[str, Any]:
    """The arguments of `models.patn.Discriminator` that a file tells.

    Raises:
      ValueError: the file is not a discriminator of PATN.
    """
    weights = _bare(weights)
    (first,) = _shapes(weights, "model.1.weight")
    return {
        "channels": first[1],
        "ndf": first[0],
        "blocks": _count(weights, r"model\.(\d+)\.conv_block\."),
        "norm": "batch" if "model.2.weight" in weights else "instance",
    }


def load_generator(weights: Weights) -> tuple[Any, Any]:
    """Parameters and statistics of `models.patn.Generator(**generator_sizes(weights))`.

    Args:
      weights: by name, as in the code's `state_dict()`; "module." before all of them is taken off.

    Raises:
      ValueError: names or shapes do not fit; see `tables.convert`.
    """
    weights = _used(weights)
    build = lambda: patn.Generator(**generator_sizes(weights), rngs=nnx.Rngs(0))
    return _filled(generator_rules(_has_dropout(weights)), weights, build)


def load_discriminator(weights: Weights) -> tuple[Any, Any]:
    """Parameters and statistics of `models.patn.Discriminator`; see `load_generator`."""
    weights = _used(weights)
    sizes = discriminator_sizes(weights)
    build = lambda: patn.Discriminator(**sizes, rngs=nnx.Rngs(0))
    return _filled(discriminator_rules(sizes["blocks"], _has_dropout(weights)), weights, build)


def start_generator(net: Net, weights: Weights) -> tuple[Net, list[str]]:
    """A generator of other keypoints, channels or options that starts from a file.

    What the file lacks, or has in another shape, keeps its values: first the layers that see pose maps or
    pictures. Keypoints are told apart by their number only: with as many, they must be the file's.

    Returns:
      The network, and the names of its parameters and statistics that kept their values.

    Raises:
      ValueError: the file is not a generator of PATN, or of another width or normalisation.
    """
    params, stats = load_generator(weights)
    kept: list[str] = []

    def fill(kind: str, ours: Any, theirs: Any) -> Any:
        given = {tables.path_name(p): x for p, x in jax.tree_util.tree_leaves_with_path(theirs)}

        def one(path, old):
            name = tables.path_name(path)
            if name not in given or given[name].shape != old.shape:
                kept.append(f"{kind}/{name}")
                return old
            return np.asarray(given[name], old.dtype)

        return jax.tree_util.tree_map_with_path(one, ours)

    sizes = generator_sizes(weights)
    bias = "bias" if sizes["norm"] == "instance" else "kernel"
    ours = net.params["image_encoder"]["unit1"]["conv"]
    if ours["kernel"].shape[2] != sizes["ngf"] or sorted(ours)[0] != bias:
        raise ValueError(
            f"the weights are of ngf = {sizes['ngf']} and norm = {sizes['norm']!r}: set the model to these"
        )
    net = Net(fill("params", net.params, params), fill("stats", net.stats, stats), net.structure)
    return net, kept


def _filled(rules: list[Rule], weights: Weights, build: Callable[[], nnx.Module]) -> tuple[Any, Any]:
    _, state = nnx.split(nnx.eval_shape(build))
    nnx.replace_by_pure_dict(state, tables.convert(rules, weights, nnx.to_pure_dict(state)))
    return tuple(map(nnx.to_pure_dict, nnx.split_state(state, nnx.Param, ...)))


def _bare(weights: Weights) -> dict[str, np.ndarray]:
    """Without the prefix that `torch.nn.DataParallel` puts before all names."""
    if all(name.startswith("module.") for name in weights):
        return {name.removeprefix("module."): value for name, value in weights.items()}
    return dict(weights)


def _used(weights: Weights) -> dict[str, np.ndarray]:
    """Without the running statistics of normalisations that have no scale."""
    weights = _bare(weights)
    idle = re.compile(r"(.*)\.running_(mean|var)")
    return {
        name: value
        for name, value in weights.items()
        if not (m := idle.fullmatch(name)) or f"{m[1]}.weight" in weights
    }


def _has_dropout(weights: Weights) -> bool:
    return not any(re.search(r"conv_block\w*\.5\.weight$", name) for name in weights)


def _shapes(weights: Weights, *names: str) -> list[tuple[int, ...]]:
    for name in names:
        if np.ndim(weights.get(name)) != 4:
            raise ValueError(
                f"not the weights of this network of PATN: there is no kernel {name}; "
                f"there are {', '.join(sorted(weights)[:3])}, ...; take a file of PATN's public code"
            )
    return [weights[name].shape for name in names]


def _count(weights: Weights, pattern: str) -> int:
    return len({m[1] for name in weights if (m := re.match(pattern, name))})
