"""Tops: trunk, sleeves, collars, and the skin of trunk, arms and hands that they leave bare."""

from collections.abc import Callable

import numpy as np

from anime_pt.avatars.procedural import limbs, mesh, shapes, textures
from anime_pt.avatars.procedural.body import Body
from anime_pt.avatars.procedural.description import SKIRTS
from anime_pt.avatars.procedural.palette import Color, mix
from anime_pt.avatars.procedural.tailor import Tailor

# Distance of the cloth from the skin, in body units.
_LOOSE = {"hoodie": 0.012, "jacket": 0.009, "coat": 0.010, "kimono": 0.008, "sweater": 0.009, "armor": 0.010}
# Trunk level where the top ends; those below `TUCKED` are worn over the bottom.
TUCKED = 0.33
_COLUMNS = 36  # the same for all layers, so that their edges run together
_HEM = {"hoodie": 0.16, "jacket": 0.20, "coat": 0.24, "kimono": 0.34, "sweater": 0.18, "t_shirt": 0.24}
_HEM |= {"armor": 0.30}
# Neckline: levels at the back and at the front; half width of a V in half turns, or 1 for a round one.
_NECK = {
    "tank": (1.00, 0.88, 1.0),
    "t_shirt": (1.04, 0.985, 1.0),
    "blouse": (1.06, 1.02, 1.0),
    "sailor": (1.05, 0.82, 0.34),
    "hoodie": (1.04, 0.985, 1.0),
    "jacket": (1.05, 0.74, 0.21),
    "coat": (1.06, 0.82, 0.21),
    "kimono": (1.05, 0.80, 0.24),
    "dress": (1.02, 0.94, 1.0),
    "armor": (1.06, 1.02, 1.0),
    "sweater": (1.06, 1.03, 1.0),
}
_COLLARED = ("blouse", "sweater", "armor", "jacket", "coat")
_CUFFED = ("sailor", "hoodie", "blouse")


def hem(top: str) -> float:
    """Trunk level where a top ends."""
    return _HEM.get(top, 0.38)


def surface(body: Body, extra: float) -> Callable:
    """Offset from the trunk, by (knot, angle), of a layer `extra` over the top."""
    return _raised(body, _LOOSE.get(body.d.top, 0.0045), extra)


def add(tailor: Tailor) -> None:
    """Adds the top of the description."""
    d, body, builder = tailor.d, tailor.body, tailor.builder
    torso = body.torso
    loose = _LOOSE.get(d.top, 0.0045)
    if d.top not in _COLLARED:  # skin in the neckline
        low = -float(body.level(_NECK[d.top][1] - 0.10))
        builder.add("skin", torso.patch(torso.knots[0], low, body.bust_offset, 8, 28))
    trunk = tailor.cloth("top", "top", d.top_color, textures.top(d))
    sleeve = tailor.cloth("sleeve", "top", d.top_color, textures.sleeve(d))
    lining = tailor.lining("top", "top", d.top_color)
    bottom = -float(body.level(hem(d.top)))
    shell = torso.patch(_neckline(tailor), bottom, _raised(body, loose, 0.0), 14, _COLUMNS)
    builder.add_shell(trunk, lining, shell, 0.002)
    _arms(tailor, sleeve, lining, loose)
    if d.top == "sailor":
        _sailor_collar(tailor, loose)
    elif d.top in ("jacket", "coat", "kimono"):
        _lapels(tailor, loose)
    if d.top == "hoodie":
        _hood(tailor)
    elif d.top in _COLLARED:
        _standing_collar(tailor, loose)


def _front_distance(angle):
    """0 at the front of the trunk, 1 at the back."""
    return np.abs(angle / np.pi - 1)


def _neckline(tailor: Tailor) -> Callable:
    """Knot at which the top begins, by angle."""
    back, front, width = _NECK[tailor.d.top]
    level = tailor.body.level

    def start(angle):
        near = _front_distance(angle)
        dip = mesh.smoothstep(-near, -0.52, 0.0) if width == 1 else np.clip(1 - near / width, 0, 1)
        return -level(back + (front - back) * dip)

    return start


def _raised(body: Body, loose: float, extra: float) -> Callable:
    """Offset of a layer `extra` over a top: tight at the neck, looser below, clear of what is under it."""
    clear = 0.0
    if hem(body.d.top) < TUCKED:
        clear = 0.014 if body.d.bottom in SKIRTS else max(0.0, 0.0095 - loose)

    def offset(t, angle):
        ease = mesh.smoothstep(t, -body.level(1.04), -body.level(0.86))
        over = clear * mesh.smoothstep(t, -body.level(0.50), -body.level(0.27))
        return body.bust_offset(t, angle) + 0.0018 + (loose - 0.0018) * ease + over + extra

    return offset


def _arms(tailor: Tailor, sleeve: str, lining: str, loose: float):
    d, body, builder = tailor.d, tailor.body, tailor.builder
    arm = body.arm
    root, length = float(arm.knots[0]), float(arm.knots[-1])
    bare = root
    if d.sleeve > 0:
        end = root + (length - root) * d.sleeve
        wide = {"kimono": 0.050, "coat": 0.012, "hoodie": 0.006}.get(
            d.top, 0.004 if d.sleeve > 0.5 else 0.008
        )
        puff = 0.014 if d.top in ("dress", "blouse") and d.sleeve < 0.5 else 0.0

        def offset(t, angle):
            k = np.clip((t - root) / (end - root), 0, 1)
            ease = loose * (0.4 + 0.6 * mesh.smoothstep(t, 0.0, 0.02))
            return ease + wide * k**2.2 + puff * np.sin(np.pi * k) ** 2 + 0 * angle

        patch = arm.patch(root, end, offset, 10, 16)
        if d.top == "kimono":  # the weight of a wide sleeve pulls its lower side down
            k = np.linspace(0, 1, len(patch.positions))[:, None]
            patch.positions[..., 1] -= 0.035 * k**2 * np.clip(np.sin(2 * np.pi * patch.uv[..., 0]), 0, 1)
        for p in (patch, patch.mirrored()):
            builder.add_shell(sleeve, lining, p, 0.002)
        if d.top in _CUFFED or (d.top_pattern != "plain" and d.top not in ("kimono", "dress", "coat")):
            color = d.trim_color if d.top != "hoodie" else mix(d.top_color, (0, 0, 0), 0.15)
            at = end - (0.010 if d.sleeve < 0.5 else 0.016)
            cuff = tailor.cloth("cuff", "top", color)
            builder.add_pair(cuff, arm.patch(at, end, lambda t, a: offset(t, a) + 0.0022, 3, 16))
        bare = end - 0.02
    end_skin = length - 0.014 if d.gloves else length
    builder.add_pair("skin", arm.patch(bare, end_skin, 0.0, 10, 14, close=(bare == root, False)))
    if d.gloves:
        glove = tailor.cloth("glove", "accessory", d.legwear_color)
        builder.add_pair(glove, *limbs.hand(body, 0.0012), arm.patch(length - 0.03, length, 0.0035, 4, 14))
    else:
        builder.add_pair("skin", *limbs.hand(body))


def _sailor_collar(tailor: Tailor, loose: float):
    d, body, builder = tailor.d, tailor.body, tailor.builder
    start = _neckline(tailor)

    def end(angle):
        near = _front_distance(angle)
        back = mesh.smoothstep(near, 0.36, 0.50)
        front = 0.80 + 0.06 * np.clip(near / 0.4, 0, 1)
        return -body.level(front * (1 - back) + 0.74 * back)

    flap = body.torso.patch(lambda a: start(a) - 0.002, end, _raised(body, loose, 0.004), 7, _COLUMNS)
    collar, lining = (make("collar", "top", d.trim_color) for make in (tailor.cloth, tailor.lining))
    builder.add_shell(collar, lining, flap, 0.002)
    color = d.accent_color if d.trim_color == d.top_color else d.top_color
    line = body.torso.patch(
        lambda a: end(a) - 0.0095, lambda a: end(a) - 0.006, _raised(body, loose, 0.0052), 2, _COLUMNS
    )
    line.outline = 0.0
    builder.add(tailor.cloth("collar_line", "top", color), line)


def _shirt_color(d) -> Color:
    """Of what shows under a jacket."""
    return (0.97, 0.97, 0.98) if min(d.top_color) < 0.9 else mix(d.accent_color, (0.15, 0.12, 0.2), 0.5)


def _lapels(tailor: Tailor, loose: float):
    d, body, builder = tailor.d, tailor.body, tailor.builder
    start = _neckline(tailor)
    width = 0.030 if d.top == "jacket" else 0.022

    def end(angle):
        wide = np.sin(np.pi * np.clip(_front_distance(angle) / 0.36, 0, 1)) ** 2
        return start(angle) + width * (0.30 + 0.70 * wide)

    flap = body.torso.patch(lambda a: start(a) - 0.003, end, _raised(body, loose, 0.0026), 5, _COLUMNS)
    collar, lining = (make("collar", "top", d.trim_color) for make in (tailor.cloth, tailor.lining))
    builder.add_shell(collar, lining, flap, 0.002)
    low = -float(body.level(_NECK[d.top][1] - 0.04))
    under = lambda t, a: body.bust_offset(t, a) + 0.0012
    front = body.torso.patch(-float(body.level(1.045)), low, under, 8, 20, angles=(0.24, 0.76))
    builder.add(tailor.cloth("shirt", "top", _shirt_color(d)), front)


def _standing_collar(tailor: Tailor, loose: float):
    d, body = tailor.d, tailor.body
    jacket = d.top in ("jacket", "coat")
    tall = {"sweater": 0.020, "armor": 0.020}.get(d.top, 0.013) * (1 - 0.4 * body.chibi)
    lift = 0.0006 if jacket else 0.0024 + 0.25 * loose
    a = np.linspace(0, 2 * np.pi, 27)
    low = [
        body.torso.point(-float(body.level(f)), a, k * lift) for f, k in ((1.065, 1), (1.035, 0.7), (1.0, 0))
    ]
    y = low[0][0, 1]
    rim = []
    for up, grow in ((tall, 0.0045), (0.55 * tall, 0.0050)):
        r = body.neck_radius + grow
        rim.append(np.stack([-r * np.sin(a), y + up + 0 * a, -0.008 - 0.97 * r * np.cos(a)], -1))
    # upside down, so that the rim comes last and gets the outline
    p = np.stack(rim + low)[::-1, ::-1]
    neck = np.array([0, 0, 0.15, 0.4, 0.6])[:, None]
    band = mesh.Patch(p, {"neck": neck, "chest": 1 - neck}, mesh.grid_uv(5, len(a)))
    color = _shirt_color(d) if jacket else d.top_color
    outside, inside = (make("neckband", "top", color) for make in (tailor.cloth, tailor.lining))
    tailor.builder.add_shell(outside, inside, band, 0.0015)


def _hood(tailor: Tailor):
    """A hood that lies on the back, as a roll around the neck."""
    body = tailor.body
    a = np.linspace(-2.2, 2.2, 19)
    r = 0.048 + 0.004 * (1 - np.cos(a))
    y = float(body.level(1.02)) - 0.006 - 0.016 * np.cos(a)
    p = np.stack([1.15 * r * np.sin(a), y, -0.006 - r * np.cos(a)], -1)
    size = 0.0125 + 0.0085 * np.cos(a / 2.2 * np.pi / 2)
    roll = shapes.tube(
        p, 1.2 * size, {"chest": 1.0}, 0.85, np.cross([0.0, 1.0, 0.0], np.gradient(p, axis=0)), 10
    )
    tailor.builder.add("sleeve", roll)
