"""Schedules over steps: pure functions that take a traced or a plain step."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def ramp(step: int | Int[Array, ""], start: int, length: int) -> Float[Array, ""]:
    """Linear from 0 at `start` to 1 at `start + length`, clipped; all 1 if `length` is 0."""
    if not length:
        return jnp.float32(1.0)
    return jnp.clip((jnp.asarray(step) - start) / length, 0.0, 1.0)
