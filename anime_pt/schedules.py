"""Schedules over steps: pure functions that take a traced or a plain step; and one over measurements."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int


def ramp(step: int | Int[Array, ""], start: int, length: int) -> Float[Array, ""]:
    """Linear from 0 at `start` to 1 at `start + length`, clipped; all 1 if `length` is 0."""
    if not length:
        return jnp.float32(1.0)
    return jnp.clip((jnp.asarray(step) - start) / length, 0.0, 1.0)


def linear_decline(
    step: int | Int[Array, ""], steps_per_epoch: int, keep: int, decay: int
) -> Float[Array, ""]:
    """A factor of the learning rate that changes between epochs only, as in the code of CycleGAN and PATN.

    Epoch k, counted from 1, has `1 - max(0, k + 1 - keep) / (decay + 1)`: the decline begins one epoch before
    `keep` is over, and the last one, `keep + decay`, has 0. Without `decay` it stays 1.
    """
    if not decay:
        return jnp.float32(1.0)
    epoch = 1 + jnp.asarray(step) // steps_per_epoch
    return jnp.float32(1 - jnp.maximum(0, epoch + 1 - keep) / (decay + 1))


class PlateauState(NamedTuple):
    """Part of an optimizer's state, so that checkpoints hold it.

    Attributes:
      scale: of the learning rate.
      best: the lowest measurement so far.
      waited: measurements since it.
    """

    scale: Float[Array, ""]
    best: Float[Array, ""]
    waited: Int[Array, ""]


def scale_by_plateau() -> optax.GradientTransformation:
    """Multiplies updates by a scale of 1 that `observe_plateau` reduces."""

    def init(params: Any) -> PlateauState:
        del params
        # Not infinity, by which the loop would know a run that has diverged.
        return PlateauState(jnp.float32(1.0), jnp.float32(jnp.finfo(jnp.float32).max), jnp.int32(0))

    def update(updates: Any, state: PlateauState, params: Any = None) -> tuple[Any, PlateauState]:
        del params
        return jax.tree.map(lambda u: u * state.scale.astype(u.dtype), updates), state

    return optax.GradientTransformation(init, update)


def observe_plateau(
    opt: optax.OptState, value: float, *, factor: float = 0.1, patience: int = 5, threshold: float = 1e-2
) -> optax.OptState:
    """An optimizer's state after a measurement, of which lower is better.

    As torch's `ReduceLROnPlateau` does by its default threshold mode, "rel": better is lower than the best
    times `1 - threshold`; after more than `patience` measurements that are not, the scale falls by `factor`
    and counting starts again. NaN is not better. (torch also leaves out reductions below 1e-8.)
    """

    def observe(state: Any) -> Any:
        if not isinstance(state, PlateauState):
            return state
        better = value < state.best * (1 - threshold)
        waited = jnp.where(better, 0, state.waited + 1)
        reduce = waited > patience
        return PlateauState(
            jnp.where(reduce, state.scale * factor, state.scale),
            jnp.where(better, jnp.float32(value), state.best),
            jnp.where(reduce, 0, waited).astype(jnp.int32),
        )

    return jax.tree.map(observe, opt, is_leaf=lambda node: isinstance(node, PlateauState))


def plateau_scale(opt: optax.OptState) -> Float[Array, ""]:
    """What `scale_by_plateau` multiplies by at present."""
    is_plateau = lambda node: isinstance(node, PlateauState)
    (state,) = [node for node in jax.tree.leaves(opt, is_leaf=is_plateau) if is_plateau(node)]
    return state.scale
