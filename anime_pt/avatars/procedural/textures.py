"""Cel-shading ramps and cloth patterns."""

import functools

import numpy as np
from PIL import Image, ImageDraw

from anime_pt.avatars.procedural.palette import Color

_SHADES = {
    # shade colour, row where it starts (16 is the terminator), second darker step
    "skin": ((0.935, 0.765, 0.745), 18, (0.885, 0.68, 0.67)),
    "cloth": ((0.77, 0.745, 0.85), 17, (0.66, 0.63, 0.77)),
    "hair": ((0.80, 0.735, 0.83), 16, (0.69, 0.62, 0.75)),
    "flat": ((1.0, 1.0, 1.0), 16, (1.0, 1.0, 1.0)),
}


@functools.cache
def ramp(kind: str) -> np.ndarray:
    """(32, 3) uint8 two-tone ramp with a narrow soft edge; row 0 faces the light."""
    shade, start, deep = _SHADES[kind]
    rows = np.ones((32, 3))
    rows[start:] = shade
    rows[start - 1] = (1 + np.array(shade)) / 2
    rows[27:] = deep
    out = np.round(rows * 255).astype(np.uint8)
    out.setflags(write=False)
    return out


def outline(color: Color, strength: float = 0.34) -> tuple[float, float, float, float]:
    """A dark line tinted by the surface it surrounds."""
    r, g, b = (0.05 + strength * c for c in color)
    return (r + 0.03, g, b + 0.015, 1.0)


def to_texels(color: Color) -> np.ndarray:
    """(4,) opaque uint8."""
    return np.array([*(round(255 * c) for c in color), 255], np.uint8)


def pattern(kind: str, base: Color, mark: Color, size: int = 128) -> np.ndarray:
    """(size, size, 4) uint8 cloth that repeats without a seam; v = 1 is the hem."""
    y, x = np.mgrid[:size, :size] * (128 / size)
    t = np.zeros((size, size))
    if kind == "stripes":
        t = (y // 16 % 2 == 1) * 1.0
    elif kind == "plaid":
        band = lambda a: ((a % 32) < 12) * 0.30 + (np.abs(a % 32 - 22) < 1.5) * 0.45
        t = band(x) + band(y)
    elif kind == "dots":
        dx, dy = x % 32 - 16, (y + 16 * (x // 32 % 2)) % 32 - 16
        t = np.clip(7.5 - np.hypot(dx, dy), 0, 1)
    elif kind == "checks":
        t = ((x // 16 + y // 16) % 2) * 1.0
    elif kind == "hem_lines":
        t = ((y > 104) & (y < 112) | (y > 116) & (y < 119)) * 1.0
    t = np.clip(t, 0, 1)[..., None]
    rgb = np.array(base) * (1 - t) + np.array(mark) * t
    out = np.full((size, size, 4), 255, np.uint8)
    out[..., :3] = np.round(rgb * 255)
    return out


def plain(color: Color) -> np.ndarray:
    """(8, 8, 4) uint8 of one colour."""
    return np.broadcast_to(to_texels(color), (8, 8, 4)).copy()


def _mark(d, base: Color) -> Color:
    """A colour for patterns that shows on `base`."""
    far = lambda c: sum(abs(a - b) for a, b in zip(c, base, strict=True))
    return max((d.trim_color, d.accent_color, (0.96, 0.96, 0.97)), key=lambda c: min(far(c), 0.9))


def top(d) -> np.ndarray:
    """(256, 384, 4) uint8 for the trunk: u = 0.5 is the front, v = 0 the neck; 3:2 as the cloth itself."""
    base, mark = d.top_color, _mark(d, d.top_color)
    if d.top_pattern == "hem_lines":
        out = np.tile(pattern("hem_lines", base, mark, 256), (1, 2, 1))[:, :384]
    else:
        out = np.tile(pattern(d.top_pattern, base, mark, 64), (4, 6, 1))
    image = Image.fromarray(out)
    draw = ImageDraw.Draw(image)
    ink = lambda c: (*(round(255 * v) for v in c), 255)
    line, dark = ink(tuple(0.62 * c for c in base)), ink(tuple(0.86 * c for c in base))
    c = 192
    if d.top in ("blouse", "coat", "jacket"):
        draw.line([(c, 0), (c, 255)], fill=line, width=2)
        for y in range(40 if d.top == "blouse" else 130, 250, 34):
            for x in (c - 22, c + 22) if d.top == "coat" else (c,):
                draw.ellipse([x - 4, y - 4, x + 4, y + 4], fill=ink(mark))
    elif d.top == "hoodie":
        draw.line([(c, 0), (c, 255)], fill=ink(mark), width=4)
        for s in (-1, 1):
            draw.line([(c + s * 12, 196), (c + s * 50, 200), (c + s * 64, 250)], fill=line, width=2)
        draw.rectangle([0, 240, 383, 255], fill=dark)
    elif d.top == "kimono":
        draw.line([(c - 14, 60), (c + 18, 255)], fill=line, width=3)
    elif d.top == "armor":
        for y in (90, 150, 205):
            draw.line([(0, y), (c - 57, y), (c, y + 18), (c + 57, y), (383, y)], fill=line, width=3)
        draw.polygon([(c, 30), (c + 21, 52), (c, 78), (c - 21, 52)], fill=ink(d.accent_color))
    elif d.top == "sweater":
        draw.rectangle([0, 236, 383, 255], fill=dark)
    elif d.top == "t_shirt" and d.top_pattern == "plain" and d.neckwear in ("none", "choker"):
        points = _emblem(d.seed * 7 + d.costume)
        draw.polygon([(c + 27 * x, 80 + 27 * y) for x, y in points], fill=ink(mark))
    return np.asarray(image).copy()


def _emblem(choice: int) -> list[tuple[float, float]]:
    """A star, heart or diamond in [-1, 1]^2."""
    a = np.linspace(0, 2 * np.pi, 41)
    kind = choice % 3
    if kind == 0:
        a = np.linspace(0, 2 * np.pi, 11)
        r = np.where(np.arange(11) % 2 == 0, 1.0, 0.45)
        xy = np.stack([r * np.sin(a), -r * np.cos(a)], 1)
    elif kind == 1:
        x = np.sin(a) ** 3
        y = -(13 * np.cos(a) - 5 * np.cos(2 * a) - 2 * np.cos(3 * a) - np.cos(4 * a)) / 15
        xy = np.stack([x, y], 1)
    else:
        xy = np.array([(0, -1), (0.7, 0), (0, 1), (-0.7, 0)])
    return [tuple(map(float, p)) for p in xy]


def sleeve(d) -> np.ndarray:
    """Texture of the sleeves: the pattern of the top, smaller."""
    kind = "plain" if d.top_pattern == "hem_lines" else d.top_pattern
    tile = pattern(kind, d.top_color, _mark(d, d.top_color), 64)
    return np.tile(tile, (2, 1, 1)) if kind == "stripes" else tile


def skirt(d, color: Color) -> np.ndarray:
    """Texture of a skirt, repeated round the body."""
    mark = _mark(d, color)
    if d.bottom_pattern == "hem_lines":
        return pattern("hem_lines", color, mark, 128)
    tile = pattern(d.bottom_pattern, color, mark, 64)
    return np.tile(tile, (2, 6, 1))


def legwear(d) -> np.ndarray:
    """Texture of socks and tights; v = 0 is their upper edge."""
    if d.legwear_pattern == "hem_lines":
        return pattern("hem_lines", d.legwear_color, _mark(d, d.legwear_color), 128)[::-1].copy()
    tile = pattern(d.legwear_pattern, d.legwear_color, _mark(d, d.legwear_color), 64)
    return np.tile(tile, (2, 1, 1))


def neck(skin: Color, shade: Color, size: int = 64) -> np.ndarray:
    """(size, size, 4) uint8: the shadow that the head throws, pointed at the front (u = 0.5)."""
    v, u = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size), indexing="ij")
    edge = 0.42 + 0.20 * np.clip(1 - np.abs(u - 0.5) / 0.22, 0, 1) - 0.10 * (np.abs(u - 0.5) > 0.25)
    out = np.empty((size, size, 4), np.uint8)
    out[:] = to_texels(skin)
    out[v < edge] = to_texels(shade)
    return out
