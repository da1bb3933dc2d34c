"""Pairs of frames of one character in one costume: source and target of pose transfer."""

from collections.abc import Hashable, Sequence

import numpy as np


def choose(groups: Sequence[Hashable], count: int = 0, seed: int = 0) -> np.ndarray:
    """Ordered pairs of examples of the same group, never of an example with itself.

    Deterministic. No pair comes twice; groups have equally many, as far as they have enough.

    Args:
      groups: for each example of a split, what must be equal in both, such as (character, costume).
      count: how many pairs; 0, or more than there are, takes all.
      seed: of the choice.

    Returns:
      (n, 2) int64 indices of source and target, in order of the groups' first examples.
    """
    members: dict[Hashable, list[int]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group, []).append(i)
    sizes = np.array([len(m) * (len(m) - 1) for m in members.values()], np.int64)
    quotas = _shares(sizes, min(count or int(sizes.sum()), int(sizes.sum())))
    out = []
    for number, (of_group, size, quota) in enumerate(zip(members.values(), sizes, quotas, strict=True)):
        rng = np.random.default_rng((seed, number))
        chosen = np.sort(rng.choice(int(size), int(quota), replace=False)) if quota else np.zeros(0, np.int64)
        # Pair n is row n // (k - 1) and, of the k - 1 others, column n % (k - 1).
        source, target = np.divmod(chosen, max(len(of_group) - 1, 1))
        target = target + (target >= source)
        out.append(np.array(of_group)[np.stack([source, target], 1)])
    return np.concatenate(out) if out else np.zeros((0, 2), np.int64)


def _shares(sizes: np.ndarray, count: int) -> np.ndarray:
    """Parts of `count`, none above its size, as equal as can be; the first get what does not divide."""
    shares = np.zeros_like(sizes)
    while (left := count - int(shares.sum())) > 0:
        room = np.flatnonzero(shares < sizes)
        each = max(1, left // len(room))
        room = room[:left] if left < len(room) else room
        shares[room] = np.minimum(shares[room] + each, sizes[room])
    return shares
