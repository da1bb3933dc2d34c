"""GCCPM's optimizer, as the public code sets it up (Daniil-Osokin/gccpm-look-into-person-cvpr19.pytorch).

Adam with a learning rate and a decay for each kind of parameter, on a plateau schedule.
"""

import re
from typing import Any, NamedTuple

import jax
import optax

from anime_pt import schedules


class Group(NamedTuple):
    """How the optimizer treats a parameter.

    Attributes:
      rate: times the base learning rate; 0 for a frozen one.
      decays: whether weight decay applies.
    """

    rate: float
    decays: bool


# Where in the network a parameter stands -> its group, as in `train.py` of the public code. The first that
# fits counts. The normalisations of the cpm block are in no group there: they stay at 1 and 0.
_GROUPS = (
    (r"cpm/.*norm/.*", Group(0.0, False)),
    (r".*norm/scale", Group(1.0, False)),
    (r".*norm/bias", Group(2.0, False)),
    (r".*/depthwise/kernel", Group(1.0, False)),
    (r"refinement/.*/kernel", Group(4.0, True)),
    (r"refinement/.*/bias", Group(8.0, False)),
    (r".*/kernel", Group(1.0, True)),
    (r".*/bias", Group(2.0, False)),
)


def groups(params: Any) -> Any:
    """A `Group` for every parameter of `models.gccpm.GCCPM`."""

    def group(path, _) -> Group:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        return next(group for pattern, group in _GROUPS if re.fullmatch(pattern, name))

    return jax.tree_util.tree_map_with_path(group, params)


def optimizer(learning_rate: float, weight_decay: float) -> optax.GradientTransformation:
    """torch's Adam with its coupled weight decay, by `groups`, times what the plateau schedule leaves."""

    def decay(gradients, params):
        return jax.tree.map(
            lambda g, p, group: g + weight_decay * p if group.decays else g, gradients, params, groups(params)
        )

    def rate(updates, params):
        return jax.tree.map(lambda u, group: u * (-learning_rate * group.rate), updates, groups(params))

    return optax.chain(
        optax.stateless(decay), optax.scale_by_adam(), optax.stateless(rate), schedules.scale_by_plateau()
    )
