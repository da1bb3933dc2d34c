"""Weights of public implementations as tables of names.

A conversion is a list of `Rule`s, each a name in the source, the path in our parameters, and what to do with
the array. Conversions are strict in both directions, so a table that is wrong cannot pass unnoticed.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np


def identity(x: np.ndarray) -> np.ndarray:
    return x


@dataclasses.dataclass(frozen=True)
class Rule:
    """One line of a table.

    Attributes:
      source: regular expression for a whole source name.
      target: path of the parameter, "/" between keys; `\\1` or `\\g<name>` stand for groups of `source`.
        None leaves the array out, on purpose.
      transform: source array to ours.
    """

    source: str
    target: str | None
    transform: Callable[[np.ndarray], np.ndarray] = identity


def convert(rules: Sequence[Rule], weights: Mapping[str, np.ndarray], template: Any) -> Any:
    """Parameters shaped like `template`, filled from `weights`.

    Args:
      rules: the first that matches a name is used.
      weights: arrays by source name.
      template: nested dicts of arrays or `jax.ShapeDtypeStruct`s, e.g. from `jax.eval_shape`.

    Returns:
      Nested dicts of NumPy arrays in the source's dtype.

    Raises:
      ValueError: source names without a rule or a place, parameters that nothing fills, two names for one
        parameter, or shapes that differ; the message lists them all.
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path(template)
    shapes = {path_name(path): leaf.shape for path, leaf in leaves}
    filled: dict[str, np.ndarray] = {}
    problems = []
    for name in sorted(weights):
        rule = find(rules, name)
        if rule is None:
            problems.append(f"unknown name {name}")
            continue
        if rule.target is None:
            continue
        target = target_name(rules, name)
        if target not in shapes:
            problems.append(f"{name}: there is no parameter {target}")
        elif target in filled:
            problems.append(f"{name}: {target} is filled twice")
        else:
            filled[target] = _apply(rule.transform, weights[name])
            got = None if filled[target] is None else filled[target].shape
            if got != shapes[target]:
                problems.append(
                    f"{name} {np.shape(weights[name])}: {target} has shape {shapes[target]}, got {got}"
                )
    problems += [f"nothing fills {target}" for target in shapes if target not in filled]
    if problems:
        raise ValueError(f"{len(problems)} problems in converting weights: " + "; ".join(problems))
    return jax.tree.unflatten(tree, [filled[path_name(path)] for path, _ in leaves])


def path_name(path: Sequence[Any]) -> str:
    """A JAX key path as "a/b/c"."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def find(rules: Sequence[Rule], name: str) -> Rule | None:
    """The first rule that matches a source name."""
    return next((rule for rule in rules if re.fullmatch(rule.source, name)), None)


def target_name(rules: Sequence[Rule], name: str) -> str | None:
    """Where a source name goes; None if nowhere."""
    rule = find(rules, name)
    if rule is None or rule.target is None:
        return None
    return re.fullmatch(rule.source, name).expand(rule.target)


def _apply(transform: Callable, x: np.ndarray) -> np.ndarray | None:
    try:
        return transform(np.asarray(x))
    except ValueError:  # The wrong number of axes; reported with the shape.
        return None
