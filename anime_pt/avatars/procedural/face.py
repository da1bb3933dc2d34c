"""Eyes, brows, mouth and blush: drawn to one texture and laid on the head as patches of their own.

Each patch is measured along the surface, so features keep their size toward the profile.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from anime_pt.avatars.procedural import mesh
from anime_pt.avatars.procedural.description import Description
from anime_pt.avatars.procedural.head import Head
from anime_pt.avatars.procedural.mesh import Patch, lerp
from anime_pt.avatars.procedural.palette import Color, mix

TILE = 160  # pixels of an eye; the atlas is two tiles wide and two high
_SS = 2


def _ink(color: Color, alpha: float = 1.0) -> tuple[int, int, int, int]:
    return (*(int(255 * min(1.0, max(0.0, c))) for c in color), int(255 * alpha))


class _Tile:
    """Drawing in [-1, 1]^2, y up, of a part of the atlas."""

    def __init__(self, width: int, height: int, mode: str = "RGBA"):
        self.size = (width * _SS, height * _SS)
        self.image = Image.new(mode, self.size)
        self.draw = ImageDraw.Draw(self.image)

    def xy(self, points) -> list[tuple[float, float]]:
        w, h = self.size
        return [((x + 1) / 2 * w, (1 - y) / 2 * h) for x, y in np.asarray(points)]

    def fill(self, points, ink):
        self.draw.polygon(self.xy(points), fill=ink)

    def line(self, x, y, thickness, ink):
        """A stroke of varying thickness through (x, y)."""
        x, y, t = np.broadcast_arrays(*(np.asarray(a, float) for a in (x, y, thickness)))
        dx, dy = np.gradient(x), np.gradient(y)
        n = np.hypot(dx, dy) + 1e-9
        ox, oy = -dy / n * t / 2, dx / n * t / 2
        there, back = np.stack([x + ox, y + oy], 1), np.stack([x - ox, y - oy], 1)
        self.fill(np.concatenate([there, back[::-1]]), ink)

    def ellipse(self, center, radii, ink, tilt: float = 0.0):
        a = np.linspace(0, 2 * np.pi, 48)
        x, y = radii[0] * np.cos(a), radii[1] * np.sin(a)
        c, s = np.cos(tilt), np.sin(tilt)
        self.fill(np.stack([center[0] + c * x - s * y, center[1] + s * x + c * y], 1), ink)

    def finish(self) -> np.ndarray:
        return np.asarray(self.image.reduce(_SS)).copy()


def _eye(d: Description, side: int, lash: Color) -> np.ndarray:
    """One eye; in the tile +x is the outer corner, and `side` -1 swaps the highlights."""
    tile = _Tile(TILE, TILE)
    tall = {"round": 0.74, "almond": 0.66, "sharp": 0.56, "droopy": 0.66}[d.eye_shape]
    tilt = {"round": 0.04, "almond": 0.10, "sharp": 0.20, "droopy": -0.14}[d.eye_shape]
    inner, outer = -0.70, 0.74
    k = np.linspace(0, 1, 40)
    x = inner + (outer - inner) * k
    base = -0.06 + tilt * (2 * k - 1)
    upper = base + tall * np.sin(np.pi * k**0.86) ** 0.72
    low_reach = {"round": 0.60, "almond": 0.56, "sharp": 0.46, "droopy": 0.60}[d.eye_shape]
    lower = base - low_reach * np.sin(np.pi * k**1.06) ** 0.62
    white = np.concatenate([np.stack([x, upper], 1), np.stack([x, lower], 1)[::-1]])
    tile.fill(white, _ink((0.985, 0.985, 1.0)))
    # iris on a layer that is cut by the white
    iris = _Tile(TILE, TILE)
    cx, cy = -0.02, (upper.max() + lower.min()) / 2 + 0.03
    rx, ry = 0.46, (upper.max() - lower.min()) * 0.525
    dark, light = mix(d.eye_color, (0.05, 0.03, 0.12), 0.68), mix(d.eye_color, (1, 1, 1), 0.42)
    iris.ellipse((cx, cy), (rx, ry), _ink(dark))
    h = iris.size[1]
    yy = 1 - 2 * (np.arange(h) + 0.5) / h
    t = np.clip((cy + ry * 0.75 - yy) / (1.7 * ry), 0, 1)[:, None]
    top, mid = np.array(mix(d.eye_color, dark, 0.75)), np.array(d.eye_color)
    grad = np.where(t < 0.5, top + (mid - top) * t * 2, mid + (np.array(light) - mid) * (t * 2 - 1))
    fill = np.repeat(np.round(grad[:, None] * 255).astype(np.uint8), h, 1)
    inside = _Tile(TILE, TILE, "L")
    inside.ellipse((cx, cy), (rx * 0.88, ry * 0.91), 255)
    iris.image.paste(Image.fromarray(fill), (0, 0), inside.image)
    iris.ellipse((cx, cy + 0.02), (rx * 0.40, ry * 0.46), _ink(mix(dark, (0, 0, 0), 0.35)))
    iris.ellipse((cx, cy - ry * 0.66), (rx * 0.50, ry * 0.13), _ink(mix(light, (1, 1, 1), 0.35)))
    shadow = np.concatenate([np.stack([x, upper + 0.1], 1), np.stack([x, upper - 0.17], 1)[::-1]])
    visible = _Tile(TILE, TILE, "L")
    visible.fill(white, 255)
    shade = _Tile(TILE, TILE)
    shade.fill(shadow, _ink((0.25, 0.2, 0.45), 0.38))
    layer = Image.alpha_composite(iris.image, shade.image)
    tile.image.paste(Image.alpha_composite(tile.image, layer), (0, 0), visible.image)
    # highlights: the same side of the picture in both eyes
    tile.ellipse((cx - side * rx * 0.42, cy + ry * 0.42), (rx * 0.33, ry * 0.25), _ink((1, 1, 1)), side * 0.4)
    tile.ellipse((cx + side * rx * 0.40, cy - ry * 0.40), (rx * 0.17, ry * 0.12), _ink((1, 1, 1)))
    # lashes
    masculine = d.masculinity > 0.7
    weight = 0.15 if masculine else 0.21
    thick = weight * (0.35 + 0.65 * np.sin(np.pi * (0.12 + 0.70 * k)) ** 0.8 + 0.30 * k)
    thick[0] *= 0.2
    wing = np.linspace(0, 1, 10)[1:]
    wx, wy = outer + 0.15 * wing, upper[-1] + (0.10 + 0.5 * tilt) * wing**1.4
    tile.line(np.r_[x, wx], np.r_[upper, wy], np.r_[thick, thick[-1] * (1 - wing) ** 0.8], _ink(lash))
    if not masculine:
        for at, length in ((0.90, 0.20), (0.80, 0.17)):
            i = int(at * 39)
            tile.fill(
                [
                    (x[i] - 0.06, upper[i]),
                    (x[i] + 0.04, upper[i] - 0.02),
                    (x[i] + length, upper[i] + length * 0.95),
                ],
                _ink(lash),
            )
    low = k > (0.45 if masculine else 0.38)
    tile.line(x[low], lower[low], 0.05 * np.sin(np.pi * np.linspace(0.15, 0.95, low.sum())), _ink(lash))
    crease = (k > 0.22) & (k < 0.86)
    tile.line(
        x[crease], upper[crease] + weight * 0.5 + 0.085,
        0.028 * np.sin(np.pi * np.linspace(0.05, 0.95, crease.sum())), _ink(mix(lash, d.skin, 0.35)),
    )  # fmt: skip
    return tile.finish()


def _brow(d: Description, ink: Color) -> np.ndarray:
    tile = _Tile(TILE, TILE // 2)
    k = np.linspace(0, 1, 24)
    heavy = 0.36 if d.masculinity > 0.7 else 0.20
    x = -0.8 + 1.6 * k
    y = d.brow_tilt * 0.42 * (k - 0.5) + 0.34 * np.sin(np.pi * k**0.8) - 0.15
    tile.line(
        x, y, heavy * (1 - 0.75 * k**1.5) * (0.6 + 0.4 * np.sin(np.pi * np.minimum(1, k * 3) / 2)), _ink(ink)
    )
    return tile.finish()


def _mouth(d: Description) -> np.ndarray:
    tile = _Tile(TILE, TILE // 2)
    line = mix(d.skin, (0.42, 0.10, 0.12), 0.75)
    red, tongue = mix((0.72, 0.24, 0.27), d.skin, 0.1), (0.95, 0.56, 0.56)
    k = np.linspace(-1, 1, 33)
    taper = 0.13 * (1 - 0.75 * np.abs(k) ** 2)
    if d.mouth in ("smile", "small", "flat"):
        wide = {"smile": 0.62, "small": 0.30, "flat": 0.46}[d.mouth]
        deep = {"smile": 0.34, "small": 0.14, "flat": -0.05}[d.mouth]
        tile.line(wide * k, deep * (k**2 - 0.5), taper, _ink(line))
    elif d.mouth == "cat":
        tile.line(0.6 * k, 0.3 * np.abs(np.sin(np.pi * k)) * -1 + 0.15, taper, _ink(line))
    else:
        wide, deep = (0.50, 0.95) if d.mouth == "open" else (0.62, 0.62)
        upper = 0.16 * k**2 + 0.28
        lower = upper - deep * np.cos(np.pi / 2 * k) ** 0.8
        shape = np.concatenate([np.stack([wide * k, upper], 1), np.stack([wide * k, lower], 1)[::-1]])
        tile.fill(shape, _ink(red))
        if d.mouth == "open":
            tile.ellipse((0, lower.min() + 0.10), (wide * 0.55, 0.24), _ink(tongue))
            teeth = np.concatenate(
                [np.stack([wide * k, upper], 1), np.stack([wide * k * 0.9, upper - 0.17], 1)[::-1]]
            )
            tile.fill(teeth[8:-8], _ink((1, 1, 1)))
        else:
            tile.fill(shape * [0.86, 0.62] + [0, 0.10], _ink((1, 1, 1)))
        tile.line(wide * k, lower, 0.07, _ink(line))
        tile.line(wide * k * 1.06, upper, 0.10, _ink(line))
    return tile.finish()


def _blush(d: Description) -> np.ndarray:
    h = TILE // 2
    y, x = np.mgrid[:h, :TILE]
    r = np.hypot((x + 0.5) / TILE * 2 - 1, (y + 0.5) / h * 2 - 1)
    out = np.zeros((h, TILE, 4), np.uint8)
    out[..., :3] = _ink(mix(d.skin, (1.0, 0.36, 0.38), 0.75))[:3]
    out[..., 3] = 255 * 0.5 * max(0.0, d.blush) * np.clip(1.15 * (1 - r), 0, 1) ** 1.2
    return out


def texture(d: Description) -> np.ndarray:
    """(2 TILE, 2 TILE, 4) uint8: left and right eye above; brow and mouth, blush and nose below."""
    lash = mix(mix(d.hair_color, (0.10, 0.06, 0.10), 0.72), (0.1, 0.05, 0.08), 0.2)
    brow = mix(d.hair_color, (0.13, 0.08, 0.10), 0.45)
    h = TILE // 2
    atlas = np.zeros((2 * TILE, 2 * TILE, 4), np.uint8)
    atlas[:TILE, :TILE] = _eye(d, 1, lash)
    atlas[:TILE, TILE:] = _eye(d, -1, lash)[:, ::-1]
    atlas[TILE : TILE + h, :TILE] = _brow(d, brow)
    atlas[TILE : TILE + h, TILE:] = _mouth(d)
    atlas[TILE + h :, :TILE] = _blush(d)
    nose = _Tile(TILE, h)
    nose.line(
        [-0.12, 0.05, 0.10], [0.2, -0.25, -0.35], [0.06, 0.18, 0.05], _ink(mix(d.skin, (0.55, 0.2, 0.2), 0.5))
    )
    atlas[TILE + h :, TILE:] = nose.finish()
    # Colour under full transparency bleeds in when texels are interpolated: spread what is near.
    hole = atlas[..., 3] == 0
    near = np.asarray(Image.fromarray(atlas).filter(ImageFilter.BoxBlur(3)))
    soft = near[..., 3:].astype(np.float32)
    atlas[hole, :3] = np.where(soft > 0, near[..., :3], _ink(d.skin)[:3])[hole]
    return atlas


def patches(head: Head) -> dict[str, Patch]:
    """Decals by name: eyes, brows, mouth, blush, nose; uv into `texture`."""
    d, chibi = head.body.d, head.body.chibi
    eye_w = float(lerp(0.149, 0.176, chibi)) * d.eye_size
    eye_h = float(lerp(0.135, 0.182, chibi)) * d.eye_size
    eye_y = head.eye_y

    def decal(angle, y, half_w, half_h, tile, lift=0.012, rows=9, columns=11):
        s = np.linspace(-1, 1, columns)
        line = np.linspace(angle - 1.2, angle + 1.2, 97)
        points = head.point(np.full(97, y), line) / head.size
        arc = np.r_[0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]
        middle = np.interp(angle, line, arc)
        angles = np.interp(middle + s * half_w, arc, line)
        ys = np.linspace(y + half_h, y - half_h, rows)
        yy, aa = np.meshgrid(ys, angles, indexing="ij")
        p = head.point(yy, aa, lift)
        u0, v0, u1, v1 = tile
        uv = mesh.grid_uv(rows, columns) * [u1 - u0, v1 - v0] + [u0, v0]
        normals = np.broadcast_to(np.array([0.25, 0.45, 0.85]), p.shape)
        return Patch(p, {"head": 1.0}, uv, wrap=False, normals=normals, outline=0.0)

    a = head.eye_angle
    brow_y = eye_y + eye_h * 0.86 + float(lerp(0.060, 0.035, chibi))
    blush_y = eye_y - eye_h * 1.0
    mouth_w = float(lerp(0.105, 0.125, chibi))
    out = {
        "left_eye": decal(a, eye_y, eye_w, eye_h, (0, 0, 0.5, 0.5)),
        "right_eye": decal(-a, eye_y, eye_w, eye_h, (0.5, 0, 1, 0.5)),
        "left_brow": decal(
            a * 0.96, brow_y, eye_w * 0.82, eye_w * 0.36, (0, 0.5, 0.5, 0.75), rows=4, columns=8
        ),
        "mouth": decal(0.0, head.mouth_y, mouth_w, mouth_w * 0.5, (0.5, 0.5, 1, 0.75), rows=5, columns=9),
        "nose": decal(0.0, head.nose_y - 0.012, 0.040, 0.020, (0.5, 0.75, 1, 1), rows=5, columns=5),
    }
    out["right_brow"] = out["left_brow"].mirrored()
    if d.blush > 0:
        out["left_blush"] = decal(
            a * 1.15, blush_y, eye_w * 0.62, eye_w * 0.30, (0, 0.75, 0.5, 1), 0.005, rows=4, columns=6
        )
        out["right_blush"] = out["left_blush"].mirrored()
    return out
