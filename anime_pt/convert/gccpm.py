"""Weights of GCCPM's public PyTorch code, and of the MobileNet that its backbone starts from.

Names are those of Daniil-Osokin/gccpm-look-into-person-cvpr19.pytorch; kernels there are (out, in, h, w). The
ImageNet file that the code starts from, `mobilenet_sgd_68.848.pth.tar` of marvis/pytorch-mobilenet, calls the
same blocks `module.model.*` and has two more of them and a classifier. It was trained on RGB scaled by
ImageNet's mean and deviation; like the code we feed BGR in +-0.5 all the same.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import nnx

from anime_pt.convert import tables
from anime_pt.convert.tables import Rule
from anime_pt.models import gccpm
from anime_pt.state import Net

Weights = Mapping[str, np.ndarray]


def _kernel(x: np.ndarray) -> np.ndarray:
    return x.transpose(2, 3, 1, 0)


def _conv(source: str, target: str) -> list[Rule]:
    return [
        Rule(rf"{source}\.weight", f"{target}/kernel", _kernel),
        Rule(rf"{source}\.bias", f"{target}/bias"),
    ]


def _norm(source: str, target: str) -> list[Rule]:
    names = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}
    return [Rule(rf"{source}\.{theirs}", f"{target}/{ours}") for theirs, ours in names.items()]


def _conv_block(source: str, target: str) -> list[Rule]:
    return [*_conv(rf"{source}\.0", f"{target}/conv"), *_norm(rf"{source}\.1", f"{target}/norm")]


def _backbone(prefix: str) -> list[Rule]:
    block, target = rf"{prefix}\.(\d+)", r"backbone/block\1"
    return [
        *_conv_block(rf"{prefix}\.(0)", target),
        *_conv(rf"{block}\.0", f"{target}/depthwise"),
        *_norm(rf"{block}\.1", f"{target}/depthwise_norm"),
        *_conv(rf"{block}\.3", f"{target}/pointwise"),
        *_norm(rf"{block}\.4", f"{target}/pointwise_norm"),
    ]


# How often a normalisation was trained: nothing depends on it.
_COUNTERS = Rule(r".*\.num_batches_tracked", None)
_STAGE = (r"refinement_stages\.(\d+)", r"refinement/stage\1")
RULES = [
    _COUNTERS,
    *_backbone("model"),
    *_conv_block(r"cpm\.(\d)", r"cpm/block\1"),
    *_conv_block(r"initial_stage\.trunk\.(\d)", r"initial_trunk/block\1"),
    *_conv(r"initial_stage\.heatmaps\.0\.0", "initial_head/hidden"),
    *_conv(r"initial_stage\.heatmaps\.1\.0", "initial_head/maps"),
    *_conv_block(_STAGE[0] + r"\.trunk\.0\.(\w+)\.(\d)", _STAGE[1] + r"/context/\2/block\3"),
    *_conv(_STAGE[0] + r"\.trunk\.([123])\.initial\.0", _STAGE[1] + r"/residual\2/initial/conv"),
    *_conv_block(_STAGE[0] + r"\.trunk\.([123])\.trunk\.(\d)", _STAGE[1] + r"/residual\2/trunk/block\3"),
    *_conv(_STAGE[0] + r"\.heatmaps\.0\.0", _STAGE[1] + "/head/hidden"),
    *_conv(_STAGE[0] + r"\.heatmaps\.1\.0", _STAGE[1] + "/head/maps"),
]
MOBILENET_RULES = [
    _COUNTERS,
    # The blocks and the classifier that GCCPM does without.
    Rule(r"(module\.)?(model\.1[23]|fc)\..*", None),
    *_backbone(r"(?:module\.)?model"),
]
# Paths of parameters whose shapes depend on the number of maps, and their values on the order of the joints.
KNOWS_MAPS = re.compile(r"head/maps/|/context/|/residual1/initial/")


def sizes(weights: Weights) -> dict[str, int]:
    """The arguments of `models.gccpm.GCCPM` that a file's shapes tell.

    Raises:
      ValueError: the file is not one of GCCPM.
    """
    stages = {m.group(1) for name in weights if (m := re.match(r"refinement_stages\.(\d+)\.", name))}
    try:
        num_channels, cpm_channels = weights["cpm.1.0.weight"].shape[:2]
        maps = weights["initial_stage.heatmaps.1.0.weight"].shape[0]
    except KeyError as error:
        raise ValueError(
            f"not the weights of GCCPM: there is no {error}; there are {', '.join(sorted(weights)[:3])}, ..."
        ) from None
    return {
        "maps": int(maps),
        "num_channels": int(num_channels),
        "refinement_stages": len(stages),
        "cpm_channels": int(cpm_channels),
    }


def load(weights: Weights) -> tuple[Any, Any]:
    """Parameters and statistics of `models.gccpm.GCCPM(**sizes(weights))`.

    Args:
      weights: by name, as in the code's `state_dict()`; "module." before all of them is taken off.

    Raises:
      ValueError: names or shapes do not fit; see `tables.convert`.
    """
    weights = _bare(weights)
    build = lambda: nnx.split(gccpm.GCCPM(**sizes(weights), rngs=nnx.Rngs(0)), nnx.Param, ...)[1:]
    params, stats = map(nnx.to_pure_dict, jax.eval_shape(build))
    return _split(tables.convert(RULES, weights, _merged(params, stats)), params, stats)


def load_pretrained(net: Net, weights: Weights) -> tuple[Net, list[str]]:
    """A network that starts from one trained for other keypoints, or with other stages.

    What depends on the number of maps (the last layer of each stage, and all of the context blocks) or on a
    stage that the file lacks keeps its initial values; what the network has no place for is not used.

    Returns:
      The network, and the names of its parameters and statistics that kept their values.

    Raises:
      ValueError: a part that depends on neither does not fit.
    """
    weights = _bare(weights)
    theirs = sizes(weights)
    template = _merged(net.params, net.stats)
    paths = [tables.path_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(template)]
    other_maps = theirs["maps"] != net.params["initial_head"]["maps"]["bias"].shape[0]
    our_stages = 1 + max(map(_stage, paths))

    def fits(path: str | None, stages: int) -> bool:
        return path is None or not (_stage(path) >= stages or (other_maps and KNOWS_MAPS.search(path)))

    kept = sorted(path for path in paths if not fits(path, theirs["refinement_stages"]))
    used = {n: x for n, x in weights.items() if fits(tables.target_name(RULES, n), our_stages)}
    return _filled(net, tables.convert(RULES, used, _without(template, kept))), kept


def load_backbone(net: Net, weights: Weights) -> Net:
    """A network whose backbone starts from an ImageNet MobileNet; the rest keeps its values.

    Raises:
      ValueError: names or shapes do not fit; see `tables.convert`.
    """
    template = {"backbone": _merged(net.params["backbone"], net.stats["backbone"])}
    return _filled(net, tables.convert(MOBILENET_RULES, weights, template))


def _stage(path: str) -> int:
    """Which refinement stage a path belongs to; -1 for none."""
    stage = re.match(r"refinement/stage(\d+)/", path)
    return int(stage.group(1)) if stage else -1


def _bare(weights: Weights) -> dict[str, np.ndarray]:
    """Without the prefix that `torch.nn.DataParallel` puts before all names."""
    if all(name.startswith("module.") for name in weights):
        return {name.removeprefix("module."): value for name, value in weights.items()}
    return dict(weights)


def _merged(*trees: Any) -> Any:
    """One nested dict; leaves must have different paths."""
    merged: dict[str, Any] = {}
    for tree in trees:
        for key, value in tree.items():
            merged[key] = _merged(merged[key], value) if key in merged else value
    return merged


def _without(tree: Any, paths: list[str], prefix: str = "") -> Any:
    return {
        key: _without(value, paths, f"{prefix}{key}/") if isinstance(value, dict) else value
        for key, value in tree.items()
        if f"{prefix}{key}" not in paths
    }


def _split(tree: Any, *templates: Any) -> tuple[Any, ...]:
    """The parts of a tree that have the paths of the templates."""

    def part(tree, template):
        return {k: part(tree[k], v) if isinstance(v, dict) else tree[k] for k, v in template.items()}

    return tuple(part(tree, template) for template in templates)


def _filled(net: Net, tree: Any) -> Net:
    """The network with the leaves that `tree` has, in its own dtypes."""

    def fill(old, new):
        if not isinstance(old, dict):
            return np.asarray(new, old.dtype)
        return {k: fill(v, new[k]) if k in new else v for k, v in old.items()}

    return dataclasses.replace(net, params=fill(net.params, tree), stats=fill(net.stats, tree))
