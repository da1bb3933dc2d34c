"""Legs from the clothes down: bare skin, socks, shoes. One side is made and mirrored, so pairs match."""

import numpy as np

from anime_pt.avatars.procedural import limbs, mesh, textures
from anime_pt.avatars.procedural.body import Body
from anime_pt.avatars.procedural.palette import mix
from anime_pt.avatars.procedural.tailor import Tailor


def add(tailor: Tailor) -> None:
    """Adds legs and feet below `tailor.leg_cover`."""
    d, body, builder = tailor.d, tailor.body, tailor.builder
    leg = body.leg
    hip, knee, ankle = -body.hip_y, -body.knee_y, -body.ankle_y
    cover = tailor.leg_cover
    top = {
        "ankle": ankle - 0.30 * (ankle - knee),
        "knee": knee + 0.10 * (ankle - knee),
        "thigh": hip + 0.55 * (knee - hip),
        "tights": leg.knots[0],
    }.get(d.legwear)
    boots = {"ankle_boots": ankle - 0.16 * (ankle - knee), "boots": knee + 0.28 * (ankle - knee)}.get(d.shoes)
    if boots is not None and d.bottom == "pants":
        boots = cover - 0.008  # trousers fall over the shafts
    begin = max(leg.knots[0], cover - 0.03)
    sock_offset = 0.0015
    if top is not None and top < leg.knots[-1]:
        texture = textures.legwear(d)
        sock = tailor.cloth("legwear", "legwear", d.legwear_color, texture)
        first = max(top, begin)
        patch = leg.patch(first, leg.knots[-1], sock_offset, 14, 16)
        builder.add_pair(sock, patch)
        if top > begin and d.legwear in ("knee", "thigh"):
            band = leg.patch(top, top + 0.012, sock_offset + 0.0014, 3, 16)
            builder.add_pair(tailor.cloth("sock_band", "legwear", d.legwear_color), band)
        if top + 0.01 > begin:
            builder.add_pair("skin", leg.patch(begin, max(top, begin) + 0.01, 0.0, 12, 16))
    else:
        sock = "skin"
        builder.add_pair("skin", leg.patch(begin, leg.knots[-1], 0.0, 14, 16))
    _shoes(tailor, sock, boots)


def _shoes(tailor: Tailor, sock: str, boots: float | None):
    d, body, builder = tailor.d, tailor.body, tailor.builder
    leg = body.leg
    color = d.shoe_color
    shoe = tailor.cloth("shoes", "shoes", color)
    dark = mix(color, (0.1, 0.07, 0.08), 0.6)
    sneaker = d.shoes == "sneakers"
    sole_color = (0.95, 0.95, 0.96) if sneaker and min(color) < 0.85 else dark
    sole = tailor.cloth("soles", "shoes", sole_color)
    thick = {"sneakers": 0.011, "boots": 0.011, "ankle_boots": 0.011, "sandals": 0.008}.get(d.shoes, 0.007)
    builder.add_pair(sole, _sole(body, thick))
    if d.shoes == "sandals":
        builder.add_pair(sock, limbs.foot(body, 0.0005, thick * 0.8))
        strap = limbs.foot(body, 0.0035, thick * 0.9)
        p = strap.positions
        builder.add_pair(shoe, mesh.Patch(p[6:9], strap.weights, strap.uv[6:9]))
        builder.add_pair(shoe, leg.patch(-body.ankle_y - 0.004, -body.ankle_y + 0.004, 0.004, 3, 16))
        return
    offset = {"sneakers": 0.0045, "boots": 0.005, "ankle_boots": 0.005}.get(d.shoes, 0.0028)
    top = {"flats": body.ankle_y * 0.62, "loafers": body.ankle_y * 0.82}.get(d.shoes, 10.0)
    builder.add_pair(shoe, limbs.foot(body, offset, thick * 0.7, top))
    if d.shoes in ("flats", "loafers"):
        builder.add_pair(sock, limbs.foot(body, 0.0, thick * 0.8))
    if d.shoes == "flats":
        strap = limbs.foot(body, 0.0032, thick)
        builder.add_pair(shoe, mesh.Patch(strap.positions[5:7], strap.weights, strap.uv[5:7]))
    if sneaker:
        cap = limbs.foot(body, offset + 0.0015, thick * 0.8)
        builder.add_pair(sole, mesh.Patch(cap.positions[8:], cap.weights, cap.uv[8:]))
        lace = tailor.cloth("laces", "shoes", tuple(1 - 0.1 * c for c in (0.2, 0.2, 0.2)))
        tongue = limbs.foot(body, offset + 0.002, thick)
        p = tongue.positions[5:7, 6:11]
        builder.add_pair(lace, mesh.Patch(p, tongue.weights, mesh.grid_uv(*p.shape[:2]), wrap=False))
    shaft_top = boots if boots is not None else -body.ankle_y - (0.012 if sneaker else 0.0)
    if boots is not None or sneaker:
        end = -body.ankle_y + 0.018
        flare = 0.006 if boots is not None else 0.001
        patch = leg.patch(
            shaft_top, end, lambda t, a: offset + flare * (1 - mesh.smoothstep(t, shaft_top, end)), 8, 18
        )
        patch.positions = patch.positions[::-1][:, ::-1]
        patch.weights = {k: w[::-1][:, ::-1] for k, w in patch.weights.items()}
        patch.uv = patch.uv[::-1][:, ::-1]
        inner = tailor.lining("shoes", "shoes", color)
        for p in (patch, patch.mirrored()):
            builder.add_shell(shoe, inner, p, 0.002)
        if boots is not None and d.bottom != "pants":
            band = leg.patch(shaft_top, shaft_top + 0.010, lambda t, a: offset + flare + 0.0014, 3, 18)
            builder.add_pair(tailor.cloth("boot_band", "shoes", mix(color, d.trim_color, 0.6)), band)


def _sole(body: Body, thick: float) -> mesh.Patch:
    """A slab under the foot, standing on y = 0."""
    z, half, _ = limbs.foot_rows(body)
    half = half + 0.0045
    z = z + np.linspace(-1, 1, len(z)) * 0.0055
    x = np.full(len(z), body.ankle[0]) + 0.004 * np.linspace(0, 1, len(z)) ** 2
    centers = np.stack([x, np.full(len(z), thick / 2), z], -1)
    right = half[:, None] * np.array([1.0, 0, 0])
    front = np.full((len(z), 1), thick / 2) * np.array([0, 1.0, 0])
    patch = mesh.sweep(centers, right, front, shape=mesh.circle(12, 6.0))
    patch.weights = {"leftFoot": 1.0}
    return patch
