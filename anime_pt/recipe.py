"""The protocol between the training loop and a recipe, and how a config finds its recipe."""

import importlib
import pkgutil
from typing import Protocol

import jax
import ml_collections

from anime_pt.state import TrainState

Batch = dict[str, jax.Array]


class Stage(Protocol):
    """A stretch of training that compiles once: static, hashable, equal when the program is equal.

    Attributes:
      name: for logs and folders.
      start, stop: its updates are number `start + 1` to `stop`.
      resolution: height and width in pixels of the images in its batches.
      batch_size: global examples per step.
    """

    name: str
    start: int
    stop: int
    resolution: tuple[int, int]
    batch_size: int


class Recipe(Protocol):
    """Who trains whom, with which losses. Methods are pure; all randomness comes from `key`.

    The loop passes a key already folded with the step, so resuming needs no stored randomness.
    """

    stages: tuple[Stage, ...]

    def init(self, key: jax.Array) -> TrainState:
        """Fresh state; run under `jax.jit`."""

    def train_step(
        self, state: TrainState, batch: Batch, key: jax.Array, stage: Stage
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """One update of every player; metrics are scalars named like `train/generator_loss`."""

    def eval_step(
        self, state: TrainState, batch: Batch, key: jax.Array, stage: Stage
    ) -> dict[str, jax.Array]:
        """Per-example values (b,), named like `eval/iou`; the loop averages them with `batch["weight"]`."""

    def sample(self, state: TrainState, batch: Batch, key: jax.Array, stage: Stage) -> dict[str, jax.Array]:
        """Named images (b, h, w, c) in [-1, 1]: the columns of the sample sheet, one row per example."""


def make(config: ml_collections.ConfigDict) -> Recipe:
    """The recipe named by `config.recipe`: `anime_pt/recipes/<name>.py` must define `make(config)`.

    Raises:
      ValueError: no such recipe; the message lists those there are.
    """
    from anime_pt import recipes

    known = sorted(m.name for m in pkgutil.iter_modules(recipes.__path__))
    if config.recipe not in known:
        raise ValueError(
            f"config.recipe = {config.recipe!r}: there is no such recipe; known: {', '.join(known)}"
        )
    return importlib.import_module(f"anime_pt.recipes.{config.recipe}").make(config)
