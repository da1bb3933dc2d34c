"""Bottoms: trousers, shorts, what is under a skirt, skirts, and belts."""

import numpy as np

from anime_pt.avatars.procedural import mesh, skirt, textures, tops
from anime_pt.avatars.procedural.description import SKIRTS
from anime_pt.avatars.procedural.palette import Color, mix
from anime_pt.avatars.procedural.tailor import Tailor

_DARK = (0.10, 0.08, 0.14)
# How far trousers stand off the thigh, and how much more at their hem.
_WIDE = {"shorts": (0.009, 0.004), "pants": (0.0065, 0.005), "leggings": (0.0015, 0.0)}


def add(tailor: Tailor) -> None:
    """Adds the bottom of the description; sets `tailor.leg_cover`."""
    d, body = tailor.d, tailor.body
    color = d.top_color if d.top in ("dress", "kimono") else d.bottom_color
    waist = 0.47 if tops.hem(d.top) > tops.TUCKED else 0.40
    skirted = d.bottom in SKIRTS
    _trousers(tailor, mix(color, _DARK, 0.35) if skirted else color, waist)
    if skirted:
        _skirt(tailor, color, waist)
    elif d.top == "coat":
        tail = skirt.Skirt(body, 0.46, skirt.leg_share(body, 0.50), 0.20, gap=0.012, ripple=0.002)
        _hang(tailor, tail, d.top_color, textures.plain(d.top_color))
    if d.belt or d.top == "kimono":
        _belt(tailor)


def _trousers(tailor: Tailor, color: Color, waist: float):
    d, body, builder = tailor.d, tailor.body, tailor.builder
    torso, leg = body.torso, body.leg
    cloth = tailor.cloth("trousers", "bottom", color)
    gap = 0.0025 if d.bottom in SKIRTS else 0.0058
    builder.add(
        cloth, torso.patch(-float(body.level(waist)), torso.knots[-1], gap, 9, 24, close=(True, True))
    )
    hip, knee, ankle = -body.hip_y, -body.knee_y, -body.ankle_y
    end = {"shorts": hip + 0.42 * (knee - hip), "pants": ankle - 0.004, "leggings": ankle}.get(
        d.bottom, hip + 0.16 * (knee - hip)
    )
    wide, flare = _WIDE.get(d.bottom, (0.0018, 0.0))

    def offset(t, angle):
        loose = 0.003 + (wide - 0.003) * mesh.smoothstep(t, hip, hip + 0.05)
        return loose + flare * np.clip((t - hip) / (end - hip), 0, 1) + 0 * angle

    patch = leg.patch(float(leg.knots[0]), end, offset, 9, 16)
    for p in (patch, patch.mirrored()):
        builder.add_shell(cloth, tailor.lining("trousers", "bottom", color), p, 0.002)
    tailor.leg_cover = end


def _skirt(tailor: Tailor, color: Color, waist: float):
    d, body = tailor.d, tailor.body
    if d.bottom == "pleated":
        shape = {"flare": 0.36, "pleats": 16}
    elif d.bottom == "flared":
        shape = {"flare": 0.50, "ripple": 0.010}
    elif d.top == "kimono":
        shape = {"flare": 0.10}
    else:
        shape = {"flare": 0.26, "ripple": 0.007}
    # under a top that is worn outside, the flare begins lower and the skirt is wider instead
    start, gap = (0.26, 0.012) if tops.hem(d.top) < tops.TUCKED else (0.34, 0.006)
    made = skirt.Skirt(body, waist, skirt.leg_share(body, d.hem), gap=gap, start=start, **shape)
    _hang(tailor, made, color, textures.skirt(d, color))


def _hang(tailor: Tailor, made: skirt.Skirt, color: Color, texture: np.ndarray):
    outside = tailor.cloth("skirt", "bottom", color, texture)
    inside = tailor.lining("skirt", "bottom", color)
    tailor.builder.add_shell(outside, inside, made.patch, 0.0025, depth=None)
    tailor.chains.append(made.chains)


def _belt(tailor: Tailor):
    d, body = tailor.d, tailor.body
    if d.top == "kimono":
        color, low, high = d.accent_color, 0.36, 0.60
    else:
        color, low, high = mix(d.shoe_color, (0.1, 0.08, 0.08), 0.2), 0.40, 0.47
    untucked = tops.hem(d.top) < tops.TUCKED
    over = tops.surface(body, 0.004) if untucked else lambda t, a: 0.6 * body.bust_offset(t, a) + 0.013
    band = body.torso.patch(-float(body.level(high)), -float(body.level(low)), over, 4, 32)
    belt, lining = (make("belt", "accessory", color) for make in (tailor.cloth, tailor.lining))
    tailor.builder.add_shell(belt, lining, band, 0.002)
