"""Colours that go together: harmonies in OKLCH, where equal steps of lightness look equal.

Conversion: Ottosson, "A perceptual color space for image processing", 2020.
"""

import numpy as np

Color = tuple[float, float, float]


def oklch(lightness: float, chroma: float, hue: float) -> Color:
    """sRGB in [0, 1] of a colour; `hue` in turns. Chroma is lowered until the colour fits the gamut."""
    for c in np.linspace(chroma, 0, 12):
        a, b = c * np.cos(2 * np.pi * hue), c * np.sin(2 * np.pi * hue)
        lms = lightness + np.array(
            [
                0.3963377774 * a + 0.2158037573 * b,
                -0.1055613458 * a - 0.0638541728 * b,
                -0.0894841775 * a - 1.2914855480 * b,
            ]
        )
        l3, m3, s3 = lms**3
        rgb = np.array(
            [
                4.0767416621 * l3 - 3.3077115913 * m3 + 0.2309699292 * s3,
                -1.2684380046 * l3 + 2.6097574011 * m3 - 0.3413193965 * s3,
                -0.0041960863 * l3 - 0.7034186147 * m3 + 1.7076147010 * s3,
            ]
        )
        if rgb.min() > -0.002 and rgb.max() < 1.002:
            break
    rgb = np.clip(rgb, 0, 1)
    rgb = np.where(rgb < 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055)
    return tuple(round(float(v), 4) for v in rgb)


def luma(color: Color) -> float:
    """Rough lightness of an sRGB colour."""
    return 0.3 * color[0] + 0.59 * color[1] + 0.11 * color[2]


def mix(a: Color, b: Color, t: float) -> Color:
    """`a` at t = 0, `b` at t = 1."""
    return tuple(float(x + (y - x) * t) for x, y in zip(a, b, strict=True))


def cheerful(lightness: float, chroma: float, hue: float) -> Color:
    """`oklch`, but dark yellows, which look dirty, turn to browns and greens or get lighter."""
    hue = hue % 1.0
    if 0.19 < hue < 0.36:
        if lightness < 0.56:
            hue = 0.14 if hue < 0.27 else 0.40
        else:
            lightness = max(lightness, 0.76)
    return oklch(lightness, chroma, hue)


_SKINS = (
    ((0.998, 0.918, 0.866), 5),
    ((0.992, 0.878, 0.808), 5),
    ((0.965, 0.835, 0.745), 3),
    ((0.910, 0.745, 0.620), 2),
    ((0.780, 0.580, 0.450), 1.5),
    ((0.600, 0.420, 0.320), 1.2),
    ((0.455, 0.315, 0.250), 0.8),
)
_NATURAL_HAIR = (
    (0.17, 0.15, 0.19),
    (0.24, 0.18, 0.19),
    (0.40, 0.26, 0.20),
    (0.58, 0.38, 0.25),
    (0.93, 0.80, 0.52),
    (0.97, 0.90, 0.72),
    (0.92, 0.92, 0.96),
    (0.72, 0.34, 0.24),
)


def body_colors(rng: np.random.Generator) -> tuple[Color, Color, Color, Color]:
    """Skin, hair, hair tips and eye colours."""
    tones, weights = zip(*_SKINS, strict=True)
    skin = tones[rng.choice(len(tones), p=np.array(weights) / sum(weights))]
    if rng.random() < 0.4:
        hair = _NATURAL_HAIR[rng.integers(len(_NATURAL_HAIR))]
        hair = mix(hair, cheerful(0.6, 0.1, rng.random()), 0.06)
        hue = rng.random()
    else:
        hue = rng.random()
        lightness = rng.choice([rng.uniform(0.42, 0.54), rng.uniform(0.58, 0.72), rng.uniform(0.74, 0.9)])
        hair = cheerful(lightness, rng.uniform(0.06, 0.16), hue)
    tips = hair
    if rng.random() < 0.3:
        tips = cheerful(
            rng.uniform(0.5, 0.85), rng.uniform(0.1, 0.17), hue + rng.choice([0.08, -0.08, 0.33, 0.5])
        )
    eye_hue = hue + rng.choice([0.0, 0.5, 0.33, 0.12]) + rng.uniform(-0.05, 0.05)
    eye = cheerful(rng.uniform(0.55, 0.72), rng.uniform(0.11, 0.19), eye_hue)
    return skin, hair, tips, eye


def clothes_colors(rng: np.random.Generator, skin: Color) -> dict[str, Color]:
    """Colours of one outfit: two main ones apart in lightness, a trim, and one bright accent."""
    hue = rng.random()
    second = hue + rng.choice([0.0, 0.08, -0.08, 0.42, 0.5, 0.33])
    accent_hue = hue + rng.choice([0.5, 0.33, -0.33, 0.42, 0.08])
    u = rng.uniform
    white = cheerful(u(0.95, 0.985), 0.006, hue)
    dark = cheerful(u(0.27, 0.36), u(0.02, 0.06), second)
    accent = cheerful(u(0.6, 0.75), u(0.14, 0.2), accent_hue)
    vivid = cheerful(u(0.5, 0.7), u(0.12, 0.19), hue)
    pastel = cheerful(u(0.82, 0.9), u(0.05, 0.09), hue)
    deep = cheerful(u(0.38, 0.52), u(0.08, 0.14), second)
    soft = cheerful(u(0.66, 0.8), u(0.05, 0.11), second)
    schemes = (
        (white, deep, deep),
        (white, vivid, vivid),
        (vivid, dark, white),
        (vivid, white, accent),
        (pastel, deep, white),
        (pastel, soft, white),
        (dark, vivid, accent),
        (deep, soft, white),
        (white, soft, accent),
        (white, dark, accent),
        (vivid, soft, white),
        (dark, dark, accent),
        (soft, dark, white),
    )
    top, bottom, trim = schemes[rng.integers(len(schemes))]
    if abs(luma(top) - luma(skin)) < 0.07 and max(top) - min(top) < 0.3:
        top = deep  # or the shirt reads as bare skin
    if abs(luma(bottom) - luma(skin)) < 0.07 and max(bottom) - min(bottom) < 0.3:
        bottom = deep
    legs = (white, dark, dark, bottom, cheerful(0.22, 0.02, hue), accent)[
        rng.choice(6, p=[0.3, 0.2, 0.1, 0.1, 0.2, 0.1])
    ]
    if abs(luma(legs) - luma(skin)) < 0.06:
        legs = dark
    brown = cheerful(u(0.34, 0.5), u(0.04, 0.08), 0.14)
    shoes = (brown, dark, white, bottom, accent, cheerful(0.25, 0.02, hue))[
        rng.choice(6, p=[0.3, 0.2, 0.15, 0.1, 0.1, 0.15])
    ]
    return {
        "top_color": top,
        "bottom_color": bottom,
        "trim_color": trim,
        "accent_color": accent,
        "legwear_color": legs,
        "shoe_color": shoes,
    }
