"""Is it still the same character? Pictures are looked up among references of many characters.

Which features are compared decides what a number means: name them with it. Host NumPy over a whole set.
"""

import numpy as np
from jaxtyping import Float, Int

NOTES = {
    "identity_top1": "share of pictures whose most similar reference shows the same character",
    "identity_mean_rank": "mean rank of the true character among all, 1 is best",
}


def ranks(
    features: Float[np.ndarray, "n d"],
    characters: Int[np.ndarray, " n"],
    reference_features: Float[np.ndarray, "m d"],
    reference_characters: Int[np.ndarray, " m"],
) -> Float[np.ndarray, " n"]:
    """Rank of each picture's own character among those of the references, by cosine similarity; 1 is best.

    A character is as similar as its most similar reference. Ties share the mean of their ranks, so features
    that are all equal are as good as chance.

    Args:
      features, characters: of the pictures that are looked up, such as generated ones.
      reference_features, reference_characters: of real pictures, other ones.

    Raises:
      ValueError: a character has no reference.
    """
    known, index = np.unique(reference_characters, return_inverse=True)
    if missing := sorted(set(np.unique(characters).tolist()) - set(known.tolist())):
        raise ValueError(f"no reference shows the characters {', '.join(map(str, missing[:5]))}")
    similarity = _unit(features) @ _unit(reference_features).T
    # The best reference of each character: references sorted by character, then segment by segment.
    order = np.argsort(index, kind="stable")
    starts = np.searchsorted(index[order], np.arange(len(known)))
    best = np.maximum.reduceat(similarity[:, order], starts, axis=1)
    own = np.take_along_axis(best, np.searchsorted(known, characters)[:, None], 1)
    above, equal = (best > own).sum(1), (best == own).sum(1)
    return 1 + above + (equal - 1) / 2


def retrieval(
    features: Float[np.ndarray, "n d"],
    characters: Int[np.ndarray, " n"],
    reference_features: Float[np.ndarray, "m d"],
    reference_characters: Int[np.ndarray, " m"],
) -> dict[str, float]:
    """`NOTES` of a set, from `ranks`; by chance top-1 is 1 / characters."""
    found = ranks(features, characters, reference_features, reference_characters)
    return {"identity_top1": float((found == 1).mean()), "identity_mean_rank": float(found.mean())}


def _unit(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, np.float64)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
