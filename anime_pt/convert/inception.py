"""The weights of FID's Inception: pytorch-fid's pt_inception-2015-12-05-6726825d.pth."""

import dataclasses
import pathlib
from collections.abc import Mapping

import jax
import numpy as np

from anime_pt.convert import safetensors, tables, torch_files
from anime_pt.convert.tables import Rule
from anime_pt.models import inception
from anime_pt.state import Net

Weights = Mapping[str, np.ndarray]


def _unit(source: str, target: str) -> list[Rule]:
    norm = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}
    return [
        Rule(rf"{source}\.conv\.weight", f"{target}/kernel", lambda x: x.transpose(2, 3, 1, 0)),
        *(Rule(rf"{source}\.bn\.{theirs}", f"{target}/norm/{ours}") for theirs, ours in norm.items()),
    ]


RULES = [
    # How often a normalisation was trained; and the classifier of the auxiliary loss, in other files.
    Rule(r".*\.num_batches_tracked|AuxLogits\..*", None),
    *_unit(r"(Conv2d_\w+)", r"stem/\1"),
    *_unit(r"(Mixed_\w+)\.(branch\w+)", r"mixed/\1/units/\2"),
    Rule(r"fc\.weight", "classes", lambda x: x.T),
    Rule(r"fc\.bias", "classes_bias"),
]


def load(path: str | pathlib.Path) -> Net:
    """The network `models.inception.Inception` of a `.pth` or `.safetensors` file.

    `(features, logits), _ = net(images)`

    Raises:
      ValueError: the file is of another network (torchvision's Inception v3, too), or damaged.
      OSError: it cannot be read.
    """
    read = safetensors.read if pathlib.Path(path).suffix == ".safetensors" else torch_files.read_state_dict
    weights = read(path)
    classes = weights.get("fc.bias", np.zeros(0)).shape[0]
    if classes != inception.CLASSES:
        raise ValueError(
            f"{path}: FID's Inception has {inception.CLASSES} classes, this file {classes}: take "
            "pt_inception-2015-12-05-6726825d.pth of pytorch-fid"
        )
    return build(weights)


def build(weights: Weights) -> Net:
    """The network of pytorch-fid's weights by name.

    Raises:
      ValueError: names or shapes do not fit; see `tables.convert`.
    """
    make = lambda: Net.create(lambda rngs: inception.Inception(rngs=rngs), jax.random.key(0))
    abstract = jax.eval_shape(make)
    leaves = {
        tables.path_name(path): x
        for tree in (abstract.params, abstract.stats)
        for path, x in jax.tree_util.tree_leaves_with_path(tree)
    }
    filled = tables.convert(RULES, weights, leaves)

    def part(tree):
        return jax.tree_util.tree_map_with_path(
            lambda path, x: np.asarray(filled[tables.path_name(path)], x.dtype), tree
        )

    return dataclasses.replace(abstract, params=part(abstract.params), stats=part(abstract.stats))
