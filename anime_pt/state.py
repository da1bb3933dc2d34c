"""What is trained, as plain trees. The only file that splits and merges Flax modules.

A `Net` is a module taken apart: its structure is static, its parameters and statistics are dicts of
arrays. Calling it returns the output *and* the net with its new statistics, so nothing moves silently
when one player is evaluated inside another one's loss. A `Player` adds the optimizer's state and an
exponential moving average; a `TrainState` holds all players of a recipe.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

Tree = Any


class _Structure:
    """A module's graphdef with its hash kept: jit hashes static fields at every call."""

    __slots__ = ("_hash", "graphdef")

    def __init__(self, graphdef: nnx.GraphDef):
        self.graphdef = graphdef
        self._hash = hash(graphdef)

    def __hash__(self):
        return self._hash

    def __eq__(self, other):
        return self is other or (isinstance(other, _Structure) and self.graphdef == other.graphdef)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Net:
    """A Flax module as data.

    Attributes:
      params: nested dict of trained arrays.
      stats: nested dict of everything else (running statistics); often empty.
      structure: static.
    """

    params: Tree
    stats: Tree
    structure: _Structure = dataclasses.field(metadata={"static": True})

    @classmethod
    def create(cls, build: Callable[[nnx.Rngs], nnx.Module], key: jax.Array) -> "Net":
        """Splits `build(rngs)`; call it under `jax.jit` or `jax.eval_shape`.

        Layers take randomness at call time and must not store it (`nnx.Rngs` as an attribute).
        """
        graphdef, params, stats = nnx.split(build(nnx.Rngs(key)), nnx.Param, ...)
        return cls(nnx.to_pure_dict(params), nnx.to_pure_dict(stats), _Structure(graphdef))

    def __call__(self, *args, **kwargs) -> tuple[Any, "Net"]:
        """Returns `(module(*args, **kwargs), net with the statistics that the call left)`."""
        module = nnx.merge(self.structure.graphdef, self.params, self.stats)
        out = module(*args, **kwargs)
        stats = nnx.to_pure_dict(nnx.split(module, nnx.Param, ...)[2])
        return out, dataclasses.replace(self, stats=stats)

    def with_params(self, params: Tree) -> "Net":
        return dataclasses.replace(self, params=params)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Player:
    """A network with what training keeps beside it.

    Attributes:
      net: the network.
      opt: optimizer state, or None for a network that is not trained.
      ema: moving average of `net.params`, or None.
    """

    net: Net
    opt: optax.OptState | None = None
    ema: Tree | None = None

    @classmethod
    def create(cls, net: Net, tx: optax.GradientTransformation | None = None, ema: bool = False) -> "Player":
        """A fresh player; the EMA starts as a copy, since donated buffers must not be shared."""
        return cls(
            net,
            None if tx is None else tx.init(net.params),
            jax.tree.map(jnp.copy, net.params) if ema else None,
        )

    def update(self, grads: Tree, tx: optax.GradientTransformation, net: Net | None = None) -> "Player":
        """One optimizer step; `net` carries statistics that moved during the loss."""
        updates, opt = tx.update(grads, self.opt, self.net.params)
        params = optax.apply_updates(self.net.params, updates)
        return dataclasses.replace(self, net=(net or self.net).with_params(params), opt=opt)

    def update_ema(self, decay: float) -> "Player":
        """`ema = decay * ema + (1 - decay) * params`, in a form that leaves equal values bit-equal."""
        ema = jax.tree.map(lambda old, new: old + (1 - decay) * (new - old), self.ema, self.net.params)
        return dataclasses.replace(self, ema=ema)

    @property
    def ema_net(self) -> Net:
        """The network with averaged parameters: the one to evaluate and to ship."""
        return self.net if self.ema is None else self.net.with_params(self.ema)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """All that training changes: `step` counts the updates done; `players` are named by the recipe."""

    step: jax.Array
    players: dict[str, Player]

    def replace(self, **changes) -> "TrainState":
        return dataclasses.replace(self, **changes)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class RememberingState(TrainState):
    """With what a recipe keeps from step to step beside its players, such as pools of earlier images."""

    memory: Tree = dataclasses.field(default_factory=dict)
