"""Figures with human proportions, from seeds: the performers of motions of which there is no video.

They share the mesh generator of the procedural anime characters, with 7.4 to 8 heads, small eyes, plain
clothes and hair in natural colours; a smooth light takes the place of cel shading, and nothing is outlined.
"""

import dataclasses
import functools

import numpy as np

from anime_pt.avatars import procedural
from anime_pt.avatars.character import Character
from anime_pt.avatars.procedural.palette import Color

_SKINS = ((0.94, 0.80, 0.72), (0.88, 0.70, 0.58), (0.76, 0.57, 0.45), (0.58, 0.40, 0.30), (0.42, 0.29, 0.22))
_HAIR = ((0.10, 0.09, 0.09), (0.20, 0.14, 0.11), (0.33, 0.22, 0.15), (0.55, 0.42, 0.28), (0.45, 0.44, 0.43))
_CLOTHES = (
    *((0.86, 0.86, 0.84), (0.55, 0.57, 0.60), (0.25, 0.26, 0.29), (0.20, 0.27, 0.40), (0.35, 0.45, 0.60)),
    *((0.45, 0.20, 0.20), (0.28, 0.38, 0.28), (0.62, 0.53, 0.42), (0.40, 0.31, 0.26), (0.70, 0.62, 0.40)),
)
_SHOES = ((0.12, 0.12, 0.13), (0.80, 0.80, 0.78), (0.32, 0.23, 0.17))


@functools.cache
def _ramp() -> np.ndarray:
    """(32, 3) uint8: a soft light that falls off with the cosine over the whole sphere (half Lambert)."""
    cosine = np.linspace(1, -1, 32)
    light = 0.76 + 0.24 * cosine
    out = np.repeat(np.round(255 * light).astype(np.uint8)[:, None], 3, 1)
    out.setflags(write=False)
    return out


def build(seed: int) -> Character:
    """The human figure of a seed; same seed, same bytes. Seeds of anime characters make other people."""
    rng = np.random.default_rng((seed, 7_500))
    masculine = rng.random() < 0.5
    pick = lambda options: options[int(rng.integers(len(options)))]
    skin, hair = pick(_SKINS), pick(_HAIR)
    top, bottom = (_CLOTHES[i] for i in rng.permutation(len(_CLOTHES))[:2])
    drawn = procedural.describe(seed)
    description = dataclasses.replace(
        drawn,
        heads=rng.uniform(7.4, 8.0),
        height=rng.uniform(1.66, 1.9) if masculine else rng.uniform(1.54, 1.76),
        masculinity=1.0 if masculine else 0.0,
        weight=rng.uniform(1.0, 1.2),
        bust=0.0 if masculine else rng.uniform(0.2, 0.6),
        skin=skin,
        eye_color=pick(((0.30, 0.20, 0.15), (0.35, 0.42, 0.48), (0.28, 0.33, 0.22))),
        eye_shape="almond",
        eye_size=0.55,
        brow_tilt=0.0,
        mouth="flat",
        blush=0.0,
        hair="short" if masculine else pick(("short", "bob", "ponytail", "bun")),
        bangs=pick(("swept", "parted")),
        hair_volume=0.9,
        hair_color=hair,
        hair_tips=hair,
        ahoge=False,
        side_locks=False,
        top=pick(("sweater", "blouse", "tank")),
        top_pattern="plain",
        sleeve=pick((0.3, 0.97)),
        bottom=pick(("pants", "shorts", "leggings")),
        bottom_pattern="plain",
        hem=0.0,
        legwear="none",
        shoes=pick(("sneakers", "loafers")),
        gloves=False,
        headgear="none",
        neckwear="none",
        back="none",
        glasses=False,
        belt=False,
        top_color=top,
        bottom_color=bottom,
        trim_color=_darker(top),
        accent_color=_darker(top),
        shoe_color=pick(_SHOES),
    )
    figure = procedural.build_from(description)
    figure.name = f"human_{seed}"
    for material in figure.materials:
        material.outline, material.ramp = 0.0, _ramp()
    return figure


def _darker(color: Color) -> Color:
    return tuple(0.85 * c for c in color)
