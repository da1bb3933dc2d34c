"""Joints in pictures to joints in space, and those to a motion: what `anime_pt.lift` runs."""

import dataclasses
import pathlib
from typing import Any

import jax
import numpy as np

from anime_pt import recipe, weights
from anime_pt.avatars import lifted
from anime_pt.avatars.character import Character
from anime_pt.avatars.formats import vmd, vmd_motion
from anime_pt.avatars.lifted import Lifted
from anime_pt.pipelines import estimator
from anime_pt.pose import gaps, smoothing
from anime_pt.pose.sequences import PoseSequence
from anime_pt.recipes.lifting import PLAYER
from anime_pt.state import Net

# Joints that are seen in a frame of which something can be said.
_ENOUGH = 6
# Frames at once; the last ones are padded.
_BATCH = 256


def packaged() -> tuple[Any, Net]:
    """The recipe and the network of the weights that come with the package."""
    config, net = weights.load("lifting")
    return recipe.make(config), net


def of_run(workdir: pathlib.Path, step: int | None = None) -> tuple[Any, Net]:
    """The recipe and the network of a training run; errors as `estimator.of_run`."""
    return estimator.of_run(workdir, step, PLAYER)


class Lifter:
    """A trained network; compiles once."""

    def __init__(self, algorithm: Any, net: Net, flip: bool = True):
        """Takes the recipe and its network.

        Args:
          algorithm: of it `skeleton` and `lift`.
          net: the network.
          flip: take the mean with what it says of the mirror image.
        """
        self.skeleton = algorithm.skeleton
        order = self.skeleton.flip

        def run(net: Net, keypoints: jax.Array) -> jax.Array:
            found = algorithm.lift(net, keypoints)
            if not flip:
                return found
            mirrored = keypoints[:, order] * np.array([-1, 1, 1], np.float32)
            return (found + algorithm.lift(net, mirrored)[:, order] * np.array([-1, 1, 1])) / 2

        self._run = jax.jit(run)
        self._net = net

    def __call__(self, sequence: PoseSequence) -> tuple[PoseSequence, list[str]]:
        """The clip with `world`, as the network's skeleton, and a line for what was not seen.

        In frames that show less than six joints the figure stays as in the frames around.

        Raises:
          ValueError: no frame shows enough joints.
        """
        sequence = sequence.as_skeleton(self.skeleton)
        keypoints = sequence.keypoints.astype(np.float32)
        seen = np.isfinite(keypoints[..., :2]).all(-1).sum(1) >= _ENOUGH
        if not seen.any():
            raise ValueError(f"no frame has {_ENOUGH} known joints: nothing can be said of the pose in space")
        count = len(keypoints)
        # Another size would compile again.
        padded = np.concatenate([keypoints, np.repeat(keypoints[-1:], -count % _BATCH, 0)])
        parts = [self._run(self._net, padded[i : i + _BATCH]) for i in range(0, len(padded), _BATCH)]
        world = np.concatenate([np.asarray(part) for part in parts])[:count]
        world[~seen] = np.nan
        report = [] if seen.all() else [f"{(~seen).sum()} of {count} frames show too few joints: filled in"]
        return dataclasses.replace(sequence, world=_without_gaps(world)), report


def motion(
    sequence: PoseSequence,
    name: str,
    lifter: Lifter | None,
    smooth: bool = True,
    fov: float = lifted.FOV,
    pitch: float | None = None,
) -> tuple[Lifted, PoseSequence, list[str]]:
    """A clip as a motion.

    Args:
      sequence: of any skeleton that has shoulders and hips.
      name: of the motion.
      lifter: None: the clip's own depth is used.
      smooth: whether gaps are filled and joints smoothed, in the picture and in space.
      fov, pitch: of the camera, see `lifted.record`.

    Returns:
      The motion, the clip with its joints in space, and lines of what was guessed.

    Raises:
      ValueError: too little is known.
    """
    if smooth:
        sequence, _ = gaps.fill(sequence)
        sequence = smoothing.smooth(sequence)
    report: list[str] = []
    if lifter is not None:
        sequence, report = lifter(sequence)
    elif sequence.world is None:
        raise ValueError("the file has no depth of its own: leave --depth=file out")
    else:
        sequence = dataclasses.replace(sequence, world=_without_gaps(sequence.world))
    if smooth and lifter is not None:
        # What is left of jitter grows in depth.
        sequence = smoothing.smooth(sequence, "savgol")
    made = lifted.record(sequence, name, fov, pitch)
    return made, sequence, [*report, *made.report]


def _without_gaps(world: np.ndarray) -> np.ndarray:
    """(t, k, 3) joints on straight lines where they are unknown, or held; those never known stay so."""
    frames, out = np.arange(len(world)), world.copy()
    for joint in range(world.shape[1]):
        known = np.isfinite(world[:, joint]).all(1)
        if known.any():
            for axis in range(3):
                out[:, joint, axis] = np.interp(frames, frames[known], world[known, joint, axis])
    return out


def to_vmd(made: Lifted, character: Character) -> vmd.VmdFile:
    """The motion as a VMD file of an MMD character, its feet keyed as goals.

    Raises:
      ValueError: the character is none of MMD's, or the motion lasts longer than ten minutes.
    """
    if character.kind != "mmd":
        raise ValueError(f"{character.name} is no MMD character: a VMD file is for .pmd and .pmx models")
    recording = made.recording
    seconds = (recording.frames - 1) / recording.fps
    return vmd_motion.to_vmd(character, recording.on(character), seconds, goals=bool(character.iks))
