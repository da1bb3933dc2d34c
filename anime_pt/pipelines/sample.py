"""Pictures from a trained PSGAN: latents x poses, walks between latents, a latent that performs a motion."""

import math
import pathlib
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from anime_pt import evaluate, recipe
from anime_pt.avatars import camera, keypoints, poses, procedural, rig
from anime_pt.checkpoint import Checkpoints
from anime_pt.data import pipeline
from anime_pt.metric_writer import image_grid
from anime_pt.pose import draw
from anime_pt.pose.formats import PoseSequence
from anime_pt.pose.skeletons import AVATAR_20


class Sampler:
    """The averaged generator of a checkpoint, as a function of latents and keypoints."""

    def __init__(self, config: ml_collections.ConfigDict, workdir: pathlib.Path, step: int | None = None):
        """Loads the generator of `step` (default: the best checkpoint) at the resolution it had reached.

        Raises:
          FileNotFoundError: the workdir has no checkpoint.
          ValueError: the recipe does not generate from latents.
        """
        self.algorithm = recipe.make(config)
        if not hasattr(self.algorithm, "generate"):
            raise ValueError(
                f"recipe {config.recipe!r} does not generate from latents; sample needs one that does"
            )
        abstract = jax.eval_shape(self.algorithm.init, jax.random.key(config.seed))
        with Checkpoints.of_run(config, workdir) as checkpoints:
            self.step = checkpoints.find(step)
            net = checkpoints.restore_player(abstract, "generator", self.step)
        self.stage = evaluate.stage_of(self.algorithm.stages, self.step)
        self.config = config
        self.resolution = self.stage.resolution[0]
        self.skeleton = self.algorithm.skeleton
        self._net = net
        self._generate = jax.jit(
            lambda net, latents, points: jnp.clip(
                self.algorithm.generate(net, latents, points, self.step, self.stage), -1, 1
            )
        )
        self._draw = jax.jit(
            lambda points: draw.draw_skeleton(points, self.skeleton.limb_indices, self.resolution)
        )

    def latents(self, count: int, seed: int) -> np.ndarray:
        """(count, z) standard normal; the first ones stay when `count` grows."""
        keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))(jnp.arange(count))
        size = (self.config.model.latent_size,)
        return np.asarray(jax.vmap(lambda k: jax.random.normal(k, size))(keys))

    def __call__(self, latents: np.ndarray, points: np.ndarray, batch_size: int = 16) -> np.ndarray:
        """Images (n, h, w, 3) in [-1, 1] for latents (n, z) and keypoints (n, k, 3) in their pixels."""
        out = []
        for start in range(0, len(latents), batch_size):
            z, p = latents[start : start + batch_size], points[start : start + batch_size]
            short = batch_size - len(z)  # Padded: another batch size would compile again.
            z, p = (np.concatenate([a, np.repeat(a[-1:], short, 0)]) for a in (z, p))
            out.append(np.asarray(self._generate(self._net, z, p))[: batch_size - short])
        return np.concatenate(out)

    def drawings(self, points: np.ndarray) -> np.ndarray:
        """Skeleton drawings (n, h, w, 3) in [-1, 1] of keypoints (n, k, 3)."""
        return np.asarray(self._draw(points))

    def evaluation_poses(self, count: int) -> np.ndarray:
        """(count, k, 3) keypoints from the evaluation split."""
        batch = next(pipeline.eval_batches(self.config, self.stage.resolution, count, count))
        return batch["keypoints"]

    def fitted(self, motion: PoseSequence) -> np.ndarray:
        """(t, k, 3) keypoints of a motion, for this generator: its joint order, its picture size."""
        motion = motion.as_skeleton(self.skeleton).resized(self.resolution, self.resolution)
        return motion.keypoints


def pose_grid(sampler: Sampler, points: np.ndarray, latents: np.ndarray) -> list[np.ndarray]:
    """Columns of a sheet: the poses drawn, then one column for each latent; one row for each pose."""
    columns = [sampler.drawings(points)]
    for z in latents:
        columns.append(sampler(np.repeat(z[None], len(points), 0), points))
    return columns


def interpolation(sampler: Sampler, points: np.ndarray, ends: np.ndarray, count: int) -> list[np.ndarray]:
    """Columns of a sheet: the poses drawn, then `count` steps from one latent to the other.

    The steps lie on the great circle: PSGAN normalises latents to the sphere.
    """
    steps = slerp(ends[0], ends[1], np.linspace(0, 1, count))
    return pose_grid(sampler, points, steps)


def slerp(a: np.ndarray, b: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """(n, z) points on the great circle from a to b (z,), lengths interpolated; `shares` (n,) in [0, 1]."""
    length_a, length_b = np.linalg.norm(a), np.linalg.norm(b)
    ua, ub = a / length_a, b / length_b
    angle = math.acos(float(np.clip(ua @ ub, -1, 1)))
    s = shares[:, None]
    lengths = (1 - s) * length_a + s * length_b
    if angle < 1e-4:
        return lengths * ua
    return lengths * (np.sin((1 - s) * angle) * ua + np.sin(s * angle) * ub) / math.sin(angle)


def animation(
    sampler: Sampler, points: np.ndarray, latents: np.ndarray, gap: int = 2
) -> Iterator[np.ndarray]:
    """Frames (h, w, 3) uint8 of a motion (t, k, 3): its skeleton, then each latent performing it."""
    for start in range(0, len(points), 16):
        part = points[start : start + 16]
        columns = pose_grid(sampler, part, latents)
        for i in range(len(part)):
            yield image_grid([c[i : i + 1] for c in columns], gap)


def motion(seed: int, frames: int, size: int, fps: float = 30.0) -> PoseSequence:
    """Keypoints of a procedural character in continuous motion, seen by a still camera."""
    character = procedural.build(seed)
    seen_by = camera.still(character, size)
    points = []
    for pose in poses.sequence(np.random.default_rng(seed), frames):
        at = seen_by.project(keypoints.positions(character, rig.pose(character, pose)))
        points.append(np.concatenate([at[:, :2], np.ones((len(at), 1))], axis=1))
    return PoseSequence(np.asarray(points, np.float32), AVATAR_20, (size, size), fps)
