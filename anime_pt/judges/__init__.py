"""Judges of the pictures that pose transfer made: for whole evaluations and for benchmarks.

What `metrics.transfer.measure` gives is cheap, and part of every evaluation. What takes longer is here: are
the poses those asked for, by the package's estimator; is it the same character; how far are the pictures from
the true ones, each from its own and as a set, by the package's feature network and by none. For LPIPS, FID
and IS, the files of their networks are read where they are named; without them no number has these names.

Metrics have parts: "target" is what the true pictures score, so that more is not to be expected, and "source"
what the sources do, which transfer nothing.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import ml_collections
import numpy as np
from jaxtyping import Float, Int, UInt8

from anime_pt.judges import files, plain, poses, small
from anime_pt.metrics import colour, distributions, perceptual
from anime_pt.pose import skeletons
from anime_pt.pose.skeletons import Skeleton

Pictures = UInt8[np.ndarray, "n h w 3"]


class Judge:
    """All of them for the runs of a config; see `evaluate.Judge`."""

    def __init__(self, config: ml_collections.ConfigDict):
        """Errors as of `Judges`."""
        self._judges, self._skeleton = Judges(config.eval), skeletons.named(config.skeleton)
        self.notes = self._judges.notes

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Metrics of the rows of `metrics.transfer.rows`."""
        return self._judges(skeleton=self._skeleton, **arrays)


class Judges:
    """All judges. Compiles once for each size of pictures.

    The pictures of a set are in memory at once: half a gigabyte for 1,000 pairs of 256 x 192.

    Attributes:
      notes: what the numbers are, by name, for `Recipe.notes`.
    """

    def __init__(self, options: Mapping[str, Any] | None = None):
        """Reads the networks.

        Args:
          options: such as `config.eval`: files that need not be there, as `inception` (see
            `files.Inception`), `lpips` and `lpips_linear` (see `files.Lpips`).

        Raises:
          OSError: a file cannot be read.
          ValueError: one is damaged, or of another network.
        """
        inception, lpips, linear = (
            (options or {}).get(name, "") for name in ("inception", "lpips", "lpips_linear")
        )
        self._lpips = files.Lpips(lpips, linear) if lpips or linear else None
        self._inception = files.Inception(inception) if inception else None
        self._finder, self._features = poses.Finder(), small.Features()
        self._known: dict[tuple[str, ...], Any] = {}
        names = poses.NOTES | small.NOTES | plain.NOTES
        if self._lpips:
            names[self._lpips.name] = perceptual.NOTES[self._lpips.name]
        if self._inception:
            names |= files.NOTES
        self.notes = {f"eval/{name}": note for name, note in names.items()}

    def __call__(
        self,
        generated: Pictures,
        target: Pictures,
        source: Pictures,
        target_keypoints: Float[np.ndarray, "n k 3"],
        skeleton: Skeleton,
        characters: Int[np.ndarray, " n"],
    ) -> dict[str, float]:
        """Metrics `eval/...` of a set of pairs; those that it does not define are left out.

        Args:
          generated, target, source: what was made, what it should be, and what it was made of (of several
            sources the first).
          target_keypoints: in the pictures' pixels.
          skeleton: of the keypoints.
          characters: who is shown.

        Raises:
          ValueError: the pictures are of different sizes, or too small for LPIPS.
        """
        shapes = {x.shape for x in (generated, target, source)}
        if len(shapes) > 1 or generated.dtype != np.uint8:
            raise ValueError(f"judges compare bytes of pictures of one size, not {shapes}, {generated.dtype}")
        # The same numbers on all devices.
        with jax.default_matmul_precision("highest"):
            real = {"target": target, "source": source}
            found = self._poses(generated, real, target_keypoints, skeleton)
            found |= self._small(generated, real, characters)
            of = lambda pictures: self._pairs(pictures, target, source, target_keypoints, skeleton)
            found |= of(generated)
            key = "pairs", target, source, target_keypoints, skeleton.name
            copies = self._once(key, lambda: of(source))
            # Levels of SWD are parts, too.
            found |= {f"{name}/source": value for name, value in copies.items() if "/" not in name}
            if self._inception:
                found |= files.scores(self._seen(self._inception, generated, real))
        return {f"eval/{name}": value for name, value in found.items()}

    def _once(self, what: tuple[str | np.ndarray, ...], compute: Callable[[], Any]) -> Any:
        """What real pictures alone decide is remembered: in a benchmark they come with every network."""
        digest = lambda x: hashlib.sha256(np.ascontiguousarray(x)).hexdigest()
        key = tuple(x if isinstance(x, str) else digest(x) for x in what)
        if key not in self._known:
            self._known[key] = compute()
        return self._known[key]

    def _seen(
        self, judge: Callable[[str, Pictures], Any], generated: Pictures, real: Mapping[str, Pictures]
    ) -> dict[str, Any]:
        """What a judge sees in all pictures, by part."""
        out = {"": judge("generated", generated)}
        for part, pictures in real.items():
            see = lambda part=part, pictures=pictures: judge(part, pictures)
            out[f"/{part}"] = self._once((type(judge).__name__, pictures), see)
        return out

    def _pairs(self, pictures, target, source, keypoints, skeleton) -> dict[str, float]:
        """How far pictures are from the true ones, without the package's network."""
        out = plain.slices(pictures, target)
        out |= plain.protocol(pictures, target, source, keypoints, skeleton)
        if self._lpips:
            out[self._lpips.name] = float(self._lpips(pictures, target).mean())
        return out

    def _poses(self, generated, real, keypoints, skeleton) -> dict[str, float]:
        out = {}
        for part, found in self._seen(self._finder, generated, real).items():
            scores = poses.scores(found, self._finder.skeleton, keypoints, skeleton)
            out |= {f"{name}{part}": value for name, value in scores.items()}
        return out

    def _small(self, generated, real, characters) -> dict[str, float]:
        pictures = {"": generated} | {f"/{part}": x for part, x in real.items()}
        vectors, means, distances = self._features(pictures)
        out = {f"feature_distance_small{part}": float(x.mean()) for part, x in distances.items()}
        if len(generated) > 1:
            for part in ("", "/source"):
                out[f"frechet_small{part}"] = distributions.frechet_distance(means[part], means["/target"])
        if len(np.unique(characters)) > 1:
            histograms = {part: colour.histograms(x) for part, x in pictures.items()}
            for of, features in (("small", vectors), ("colours", histograms)):
                out |= small.recognised(of, features, characters)
        return out
