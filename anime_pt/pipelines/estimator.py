"""A trained estimator of poses: read from a run, and applied to figures whose boxes are known."""

import functools
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from anime_pt import recipe, train, weights
from anime_pt.checkpoint import Checkpoints
from anime_pt.data import crops
from anime_pt.pipelines.figures import Box
from anime_pt.pose import affine, decoding
from anime_pt.state import Net, TrainState

PLAYER = "estimator"


class ModelError(ValueError):
    """A run or a file of weights cannot be used; the message says why and what to do."""


def of_run(workdir: pathlib.Path, step: int | None = None, player: str = PLAYER) -> tuple[recipe.Recipe, Net]:
    """The recipe and an averaged network of a training run.

    Args:
      workdir: the run's folder.
      step: of the checkpoint; None: the best one, or the latest where none was measured.
      player: which network.

    Raises:
      FileNotFoundError: there is no run, or no such checkpoint.
      ModelError: the run has no such network (by default: does not estimate poses), or is damaged.
    """
    config = train.recorded_config(workdir)
    try:
        algorithm = recipe.make(config)
        abstract = jax.eval_shape(algorithm.init, jax.random.key(config.seed))
    except Exception as error:
        # A config from another program fails anywhere.
        raise ModelError(f"{workdir} is not a run that can be used: {_reason(error)}") from error
    if player not in abstract.players:
        raise ModelError(
            f"{workdir} is a run of the recipe {config.recipe!r}, "
            + (
                "which does not estimate poses: name the workdir of a pose estimator, or leave --workdir out"
                if player == PLAYER
                else f"which has no player {player!r}; it has {', '.join(abstract.players)}"
            )
        )
    with Checkpoints.of_run(config, workdir) as checkpoints:
        return algorithm, restored(checkpoints, abstract, player, checkpoints.find(step))


def restored(checkpoints: Checkpoints, abstract: TrainState, player: str, step: int) -> Net:
    """An averaged network of a checkpoint.

    Args:
      checkpoints: of the run.
      abstract: a state of its recipe, as shapes.
      player: which network.
      step: of the checkpoint.

    Raises:
      ModelError: the checkpoint is damaged.
    """
    try:
        net = checkpoints.restore_player(abstract, player, step)
    except Exception as error:
        # Orbax and what it stands on raise nearly anything on files that are damaged.
        raise ModelError(_damaged(checkpoints, step, _reason(error))) from error
    shapes = lambda net: [x.shape for x in jax.tree.leaves((net.params, net.stats))]
    if shapes(net) != shapes(abstract.players[player].net):
        raise ModelError(_damaged(checkpoints, step, "its arrays are of another model"))
    return net


def packaged() -> tuple[recipe.Recipe, Net]:
    """The recipe and the network of the weights that come with the package."""
    config, net = weights.load()
    return recipe.make(config), net


def chosen(workdir: str | None, step: int | None = None) -> tuple[recipe.Recipe, Net]:
    """What a flag asks for: the estimator of a run, see `of_run`; without one, the package's."""
    return packaged() if workdir is None else of_run(pathlib.Path(workdir), step)


def _damaged(checkpoints: Checkpoints, step: int, why: str) -> str:
    return f"the checkpoint {checkpoints.directory(step)} is damaged; name another with --step ({why})"


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


class Estimator:
    """Joints of figures whose boxes are known; compiles once.

    Attributes:
      skeleton: of the joints.
      size: (height, width) of the network's input.
      batch: figures at once.
    """

    def __init__(
        self,
        algorithm: Any,
        net: Net,
        flip: bool = False,
        scales: Sequence[float] = (1.0,),
        subpixel: bool = True,
        batch: int = 8,
    ):
        """Takes the recipe of an estimator and its network.

        Args:
          algorithm: the recipe; of it `skeleton`, `stages`, `stride`, `margin`, `border` and `maps`.
          net: the network.
          flip: average the maps of each figure with those of its mirror image.
          scales: average the maps over boxes that are larger by these factors.
          subpixel: see `decoding.decode`.
          batch: figures at once.
        """
        self.skeleton = algorithm.skeleton
        self.size = tuple(algorithm.stages[-1].resolution)
        self.batch = batch
        self._net, self._scales = net, tuple(scales)
        self._margin, self._border = algorithm.margin, algorithm.border

        def run(net: Net, images: jax.Array) -> jax.Array:
            total = cover = 0.0
            for scale, part in zip(self._scales, images, strict=True):
                part = part.astype(jnp.float32) / 127.5 - 1
                network = functools.partial(algorithm.maps, net)
                maps = decoding.flip_test(network, part, self.skeleton.flip if flip else None)
                total += _scaled(maps, scale)
                cover += _scaled(jnp.ones_like(maps[:1, ..., :1]), scale)
            maps = total / jnp.maximum(cover, 1e-3)
            return decoding.decode(maps[..., : len(self.skeleton)], algorithm.stride, subpixel)

        self._run = jax.jit(run)

    def crops(self, image: np.ndarray, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """What the network sees of a figure: (scales, h, w, 3) uint8; and the map (2, 3) to its pixels."""
        matrix = affine.fit(box, self.size, self._margin)
        h, w = self.size
        about = lambda s: affine.compose(
            affine.translate(w / 2, h / 2), affine.scale(1 / s), affine.translate(-w / 2, -h / 2)
        )
        cut = [
            crops.warp(image, affine.compose(about(s), matrix), self.size, self._border) for s in self._scales
        ]
        return np.stack(cut), matrix

    def __call__(self, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """(n, k, 3) joints of up to `batch` results of `crops`, in the pixels of their pictures."""
        images = np.stack([images for images, _ in parts], 1)
        # Padded: another size would compile again.
        images = np.pad(images, ((0, 0), (0, self.batch - len(parts)), *[(0, 0)] * 3))
        points = np.asarray(self._run(self._net, images))
        back = [affine.apply(affine.invert(m), p) for p, (_, m) in zip(points, parts, strict=False)]
        return np.stack(back).astype(np.float32)


def _scaled(maps: jax.Array, scale: float) -> jax.Array:
    """Maps of a box that was larger by `scale`, in the cells of the box itself; 0 where it does not reach."""
    if scale == 1:
        return maps
    b, h, w, k = maps.shape
    offset = jnp.array([h, w]) * (1 - scale) / 2
    return jax.image.scale_and_translate(
        maps, (b, h, w, k), (1, 2), jnp.full(2, scale), offset, method="linear", antialias=False
    )
