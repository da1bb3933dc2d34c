"""The protocol between the training loop and a recipe, and how a config finds its recipe."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Mapping
from typing import Protocol

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from anime_pt import sharding
from anime_pt.state import TrainState

Batch = dict[str, jax.Array]
# What `Recipe.eval_step` returns under a name: values (b,), values with their weights, or a set's rows.
Measured = jax.Array | tuple[jax.Array, jax.Array]
SET = "set/"


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


@dataclasses.dataclass(frozen=True)
class OneStage:
    """All of training, for recipes that do not change on the way; see `Stage`."""

    resolution: tuple[int, int]
    batch_size: int
    stop: int
    start: int = 0

    @property
    def name(self) -> str:
        return "x".join(map(str, self.resolution))


class Recipe(Protocol):
    """Who trains whom, with which losses. Methods are pure; all randomness comes from `key`.

    The loop passes a key already folded with the step, so resuming needs no stored randomness.

    A recipe may also have `notes`, a mapping from a metric's name to what it is normalised by, or other words
    that its number needs; they are printed and written beside the numbers. And, where networks can judge what
    it makes (`anime_pt.judges`), `judged`: of the arguments of `eval_step`, the rows (b, ...) that they see.
    And `start_files`, names of the config's fields that name files for `pretrained`, where not empty.
    """

    stages: tuple[Stage, ...]

    def init(self, key: jax.Array) -> TrainState:
        """Fresh state; run under `jax.jit`."""

    def pretrained(self, state: TrainState) -> TrainState:
        """A fresh state with weights from files, where the config names some; called once, on the host."""

    def train_step(
        self, state: TrainState, batch: Batch, key: jax.Array, stage: Stage
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """One update of every player; metrics are scalars named like `train/generator_loss`."""

    def eval_step(self, state: TrainState, batch: Batch, key: jax.Array, stage: Stage) -> dict[str, Measured]:
        """What is measured on a batch, by name; figures of the joints are named `eval/pdj/left_wrist`.

        * `eval/...`: values (b,), whose mean is weighted with `batch["weight"]`; or a pair of values and
          weights, (b,) each, where not every example counts: the mean is weighted with the product. Values of
          weight 0 may be NaN. A metric for which nothing counts is left out.
        * `set/...`: arrays (b, ...) for metrics of the whole set, see `summarise`.
        """

    def summarise(self, arrays: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Metrics `eval/...` of a set, from all rows named `set/...` by `eval_step`, without padding.

        Runs on the host, once for each evaluation; not called where `eval_step` has no such names. A metric
        that the set does not define is left out of the result.
        """

    def observe(self, state: TrainState, measured: Mapping[str, float]) -> TrainState:
        """The state after an evaluation of it, for schedules that wait for a plateau; mostly as it is.

        Called after each evaluation during training, before the state is saved. The result must be of the
        same structure, shapes and types, and depend on nothing else: then a continued run equals an unbroken
        one. (For such a recipe the fields of `config.eval` enter the numbers.)
        """

    def sample(self, state: TrainState, batch: Batch, key: jax.Array, stage: Stage) -> dict[str, jax.Array]:
        """Named images (b, h, w, c) in [-1, 1]: the columns of the sample sheet, one row per example."""


def pair_images(batch: Batch, side: str, rgba: bool) -> jax.Array:
    """Images of one side of a batch of pairs, "source" or "target", in [-1, 1].

    Args:
      batch: see `data.pairs`.
      side: which.
      rgba: whether the figure's mask is the fourth channel.

    Returns:
      (b, n, h, w, c) of sources, (b, h, w, c) of targets; c is 3 or 4.

    Raises:
      ValueError: masks are wanted, and the batch has none.
    """
    images = sharding.float_images(batch[f"{side}_image"])
    if not rgba:
        return images
    if f"{side}_mask" not in batch:
        raise ValueError("model.rgba: the dataset has no masks; set it to false")
    return jnp.concatenate([images, sharding.float_images(batch[f"{side}_mask"])], axis=-1)


class Unobserved:
    """`Recipe.observe` where the schedule follows the step alone, as in most recipes."""

    def observe(self, state: TrainState, measured: Mapping[str, float]) -> TrainState:
        """The state as it is."""
        del measured
        return state


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
