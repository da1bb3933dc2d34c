"""What the package's own feature network says of pictures; its numbers are neither LPIPS nor FID."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from anime_pt.convert import features
from anime_pt.judges import batches
from anime_pt.metrics import distributions, identity, perceptual
from anime_pt.state import Net

_PEOPLE = {
    "small": "among the sources of the set, by the package's own network's vectors",
    "colours": "among the sources of the set, by histograms of 216 colours, without white",
}
NOTES = {
    "feature_distance_small": perceptual.NOTES["feature_distance_small"],
    "frechet_small": distributions.NOTES["frechet_small"],
    **{f"{k}_{of}": f"{note}, {how}" for of, how in _PEOPLE.items() for k, note in identity.NOTES.items()},
}


class Features:
    """The network that comes with the package (`models/features.py`)."""

    def __init__(self):
        self._net = features.load()
        self._run = jax.jit(_looked)

    def __call__(
        self, pictures: Mapping[str, UInt8[np.ndarray, "n h w 3"]]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray]]:
        """What it sees in pictures; those of sizes that it does not take get white below and on the right.

        Args:
          pictures: by part; of each pair "/target", and others.

        Returns:
          By name: vectors (n, 128) that tell characters apart in any pose; means (n, 432) of all levels over
          the picture; and for the others distances (n,) from the target, `perceptual.feature_distance`.
        """
        names = ["/target", *(name for name in pictures if name != "/target")]
        multiple = 2 ** (len(self._net.params["levels"]) - 1)

        def run(*arrays):
            below, right = (-side % multiple for side in arrays[0].shape[1:3])
            around = ((0, 0), (0, below), (0, right), (0, 0))
            return self._run(self._net, [np.pad(a, around, constant_values=255) for a in arrays])

        found = batches.mapped("features of pictures", run, *(pictures[name] for name in names))
        vectors, means, distances = found
        return (
            dict(zip(names, vectors, strict=True)),
            dict(zip(names, means, strict=True)),
            dict(zip(names[1:], distances, strict=True)),
        )


def _looked(net: Net, pictures: list[UInt8[Array, "b h w 3"]]):
    """Vectors, means and distances of batches, of which the first is the targets'."""
    images = jnp.concatenate(pictures).astype(jnp.float32) / 127.5 - 1
    (levels, vectors), _ = net(images)
    means = jnp.concatenate([x.mean((1, 2)) for x in levels.values()], -1)
    split = lambda x: jnp.split(x, len(pictures))
    target, *others = zip(*(split(x) for x in levels.values()), strict=True)
    distances = [perceptual.feature_distance(x, target) for x in others]
    return split(vectors), split(means), distances


def recognised(
    of: str, features: Mapping[str, Float[np.ndarray, "n d"]], characters: Int[np.ndarray, " n"]
) -> dict[str, float]:
    """Each picture looked up among the sources of all characters, by its features.

    The sources are in other poses than the pictures looked up; a copy of its source is found by construction.

    Args:
      of: what features these are; ends the metrics' names.
      features: of the generated pictures (""), of "/target" and of "/source".
      characters: who is shown.

    Returns:
      With the part "chance", what features that tell nothing would score.
    """
    out = {}
    for part, rows in features.items():
        found = identity.retrieval(rows, characters, features["/source"], characters)
        out |= {f"{name}_{of}{part}": value for name, value in found.items()}
    _, counts = np.unique(characters, return_counts=True)
    out[f"identity_top1_{of}/chance"] = float(np.square(counts / len(characters)).sum())
    out[f"identity_mean_rank_{of}/chance"] = (len(counts) + 1) / 2
    return out
