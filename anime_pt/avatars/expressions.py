"""Names of facial morphs in MMD and in VRM, so that a motion of one moves the face of the other."""

from collections.abc import Collection, Mapping

import numpy as np

from anime_pt.avatars.names import plain

# VRM 1.0 preset (and what VRM 0.x calls it) -> names by MMD's custom, the usual one first. Presets are those
# of VRMC_vrm-1.0/expressions.md; MMD has no standard, these names are on most models.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "aa": ("a", "あ", "あ１", "ああ"),
    "ih": ("i", "い"),
    "ou": ("u", "う"),
    "ee": ("e", "え"),
    "oh": ("o", "お"),
    "blink": ("まばたき", "瞬き"),
    # MMD's ウィンク closes the left eye with a smile, ウィンク２ without one.
    "blinkLeft": ("blink_l", "ウィンク２", "ウィンク", "ウインク２", "ウインク"),
    "blinkRight": ("blink_r", "ｳｨﾝｸ２右", "ウィンク２右", "ウィンク右", "ウインク右"),
    "happy": ("joy", "笑い", "にこり", "にっこり", "喜び"),
    "angry": ("怒り", "真面目", "じと目"),
    "sad": ("sorrow", "悲しい", "困る", "哀しい"),
    "relaxed": ("fun", "なごみ", "にこり", "リラックス"),
    "surprised": ("びっくり", "驚き"),
    "neutral": (),
}


def _groups(name: str) -> list[tuple[str, ...]]:
    groups = [(preset, *names) for preset, names in _NAMES.items()]
    return [g for g in groups if plain(name) in map(plain, g)]


def renamed(weights: Mapping[str, np.ndarray], available: Collection[str]) -> dict[str, np.ndarray]:
    """Weights under the names that a character has: its own, else one that means the same.

    Args:
      weights: name -> (t,) weights.
      available: names of the character's morphs.

    Returns:
      Name of a morph of the character -> (t,) weights; the larger where two lead to one.
    """
    own = {plain(name): name for name in reversed(list(available))}
    out: dict[str, np.ndarray] = {}
    for name, values in weights.items():
        options = [name, *(n for group in _groups(name) for n in group)]
        target = next((own[plain(n)] for n in options if plain(n) in own), None)
        if target is not None:
            out[target] = np.maximum(out[target], values) if target in out else np.asarray(values)
    return out
