"""Is the figure in the pose that was asked for? Joints are found in pictures as in any other picture."""

import contextlib
import functools

import jax
import numpy as np
from jaxtyping import Array, Float, UInt8

from anime_pt.judges import batches
from anime_pt.metrics import pose
from anime_pt.pipelines import estimator, figures
from anime_pt.pose import sequences
from anime_pt.pose.skeletons import Skeleton

METRICS = ("pdj", "pckh_lip", "pckh_patn")
NOTES = {
    name: f"{pose.NORMALISERS[name]}; found in the pictures by the package's estimator" for name in METRICS
}


class Finder:
    """Joints of pictures of one figure each, by the estimator that comes with the package.

    The figure is looked for first: the box of the true joints would tell where they must be.

    Attributes:
      skeleton: of the joints.
    """

    def __init__(self):
        self._estimator = estimator.Estimator(*estimator.packaged(), batch=batches.SIZE)
        self.skeleton = self._estimator.skeleton

    def __call__(self, what: str, pictures: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, "n k 3"]:
        """x, y, confidence in the pictures' pixels; NaN, NaN, 0 where no figure is seen.

        Args:
          what: they are, for the line that tells how far it is.
          pictures: of a set.
        """
        return batches.mapped(f"joints of {what} pictures", self._found, pictures)

    def _found(self, pictures: UInt8[np.ndarray, "b h w 3"]) -> Float[np.ndarray, "b k 3"]:
        out = sequences.unknown(len(pictures), self.skeleton)
        seen, parts = [], []
        for i, picture in enumerate(pictures):
            try:
                parts.append(self._estimator.crops(picture, figures.find(picture).box))
                seen.append(i)
            except figures.NoFigureError:
                pass
        if parts:
            out[seen] = self._estimator(parts)
        return out


def scores(
    found: Float[np.ndarray, "n k 3"],
    have: Skeleton,
    truth: Float[np.ndarray, "n j 3"],
    skeleton: Skeleton,
) -> dict[str, float]:
    """`METRICS` of a set, of those that the skeletons have the joints for: shares of all joints that count.

    Args:
      found: joints of the pictures, of the skeleton `have`.
      have: see `found`. Joints that it lacks do not count.
      truth: those asked for, in the same pixels; hidden ones count, unknown ones do not.
      skeleton: of the truth.
    """
    known = np.isfinite(sequences.convert(np.zeros((1, len(have), 3), np.float32), have, skeleton)[0, :, 0])
    limbs = np.isin(skeleton.keypoints, pose.lip_groups(skeleton)[""])
    out = {}
    for name, marks in _marks(sequences.convert(found, have, skeleton), truth, skeleton=skeleton).items():
        correct, counted = (np.asarray(x) for x in marks)
        counted = counted & known & (limbs if name == "pckh_lip" else True)
        if counted.any():
            out[name] = float(correct[counted].mean())
    return out


@functools.partial(jax.jit, static_argnames="skeleton")
def _marks(
    found: Float[Array, "n k 3"], truth: Float[Array, "n k 3"], skeleton: Skeleton
) -> dict[str, pose.Marks]:
    out = {}
    for name in METRICS:
        # Where the skeleton lacks joints that it is normalised by, there is no such metric.
        with contextlib.suppress(ValueError):
            out[name] = getattr(pose, name)(found, truth, skeleton)
    return out
