"""Clothes: the body's own surfaces, a little larger, with openings, and what hangs from them."""

import dataclasses

import numpy as np

from anime_pt.avatars.procedural import accessories, footwear, limbs, mesh, skirt, textures
from anime_pt.avatars.procedural.body import Body
from anime_pt.avatars.procedural.chains import Chains
from anime_pt.avatars.procedural.hair import Hair
from anime_pt.avatars.procedural.head import Head
from anime_pt.avatars.procedural.palette import Color, mix

# Distance of the cloth from the skin, in body units.
_LOOSE = {"hoodie": 0.012, "jacket": 0.009, "coat": 0.010, "kimono": 0.008, "sweater": 0.009, "armor": 0.010}
# Trunk level where the top ends; those below the waist are worn over the bottom.
_HEM = {
    "hoodie": 0.16,
    "jacket": 0.20,
    "coat": 0.36,
    "kimono": 0.34,
    "sweater": 0.18,
    "armor": 0.30,
    "t_shirt": 0.24,
}
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


@dataclasses.dataclass
class Outfit:
    """What `dress` leaves for the rig."""

    chains: list[Chains] = dataclasses.field(default_factory=list)


class Tailor:
    """Shared state while one character is dressed."""

    def __init__(self, builder: mesh.MeshBuilder, body: Body, head: Head, hair: Hair):
        self.builder, self.body, self.head, self.hair = builder, body, head, hair
        self.d = body.d
        self.outfit = Outfit()

    def cloth(self, name: str, part: str, color: Color, texture=None, **fields) -> str:
        """A cloth material; with a texture the colour is already in it."""
        return self.builder.material(
            name, part=part, texture=texture, color=(1.0, 1.0, 1.0, 1.0) if texture is not None else (*color, 1.0),
            ramp=textures.ramp("cloth"), outline_color=textures.outline(color), **fields,
        )  # fmt: skip

    def lining(self, name: str, part: str, color: Color) -> str:
        """The darker inside of a cloth."""
        return self.cloth(name + "_lining", part, mix(color, (0.16, 0.12, 0.24), 0.45))


def dress(builder: mesh.MeshBuilder, body: Body, head: Head, hair: Hair) -> Outfit:
    """Adds clothes, and the skin that they leave bare."""
    tailor = Tailor(builder, body, head, hair)
    _top(tailor)
    _bottom(tailor)
    footwear.dress(tailor)
    accessories.add(tailor)
    return tailor.outfit


def _neckline(tailor: Tailor, lower: float = 0.0):
    """Knot at which the top begins, by angle."""
    back, front, sharp = _NECK[tailor.d.top]
    body = tailor.body

    def start(angle):
        near = np.abs(angle / np.pi - 1)  # 0 at the front
        dip = np.clip(1 - near / (0.52 if sharp == 1 else sharp), 0, 1)
        dip = dip if sharp < 1 else mesh.smoothstep(dip, 0, 1)
        return -body.level(back - lower + (front - back) * dip)

    return start


def _ease(body: Body, t, loose: float):
    """Distance of a top from the skin: tight at the neck."""
    return 0.0018 + (loose - 0.0018) * mesh.smoothstep(t, -body.level(1.04), -body.level(0.86))


def _top(tailor: Tailor):
    d, body, builder = tailor.d, tailor.body, tailor.builder
    torso, arm = body.torso, body.arm
    loose = _LOOSE.get(d.top, 0.0045)
    bottom = -float(body.level(_HEM.get(d.top, 0.38)))
    rounded = lambda t, a: body.bust_offset(t, a) + _ease(body, t, loose)
    # skin in the neckline and below short sleeves
    low = -float(body.level(_NECK[d.top][1] - 0.10))
    builder.add("skin", torso.patch(torso.knots[0], low, body.bust_offset, 8, 28))
    texture = textures.top(d)
    top = tailor.cloth("top", "top", d.top_color, texture)
    plain = tailor.cloth("sleeve", "top", d.top_color, textures.sleeve(d))
    lining = tailor.lining("top", "top", d.top_color)
    shell = torso.patch(_neckline(tailor), bottom, rounded, 14, 28)
    builder.add_shell(top, lining, shell, 0.002)
    _sleeves(tailor, plain, lining, loose)
    _collar(tailor, loose)
    del arm


def _sleeves(tailor: Tailor, material: str, lining: str, loose: float):
    d, body, builder = tailor.d, tailor.body, tailor.builder
    arm = body.arm
    length = arm.knots[-1]
    root = arm.knots[0]
    if d.sleeve <= 0:
        bare = root
    else:
        end = root + (length - root) * d.sleeve
        wide = {"kimono": 0.050, "coat": 0.012, "hoodie": 0.006}.get(
            d.top, 0.004 if d.sleeve > 0.5 else 0.008
        )
        puff = 0.014 if d.top in ("dress", "blouse") and d.sleeve < 0.5 else 0.0

        def offset(t, a):
            k = np.clip((t - root) / (end - root), 0, 1)
            hang = wide * k**2.2 * (1.0 if d.top != "kimono" else 1 + 0.0 * a)
            return (
                loose * (0.4 + 0.6 * mesh.smoothstep(t, 0.0, 0.02))
                + hang
                + puff * np.sin(np.pi * np.clip(k, 0, 1)) ** 2
            )

        patch = arm.patch(root, end, offset, 10, 16)
        if d.top == "kimono":
            _hang_sleeve(patch, arm, end, root)
        builder.add_shell(material, lining, patch, 0.002)
        builder.add_shell(material, lining, patch.mirrored(), 0.002)
        if (
            d.top in ("hoodie", "jacket", "sailor", "blouse", "sweater", "t_shirt")
            and d.top_pattern != "plain"
        ) or d.top in ("sailor", "hoodie", "blouse"):
            cuff = tailor.cloth(
                "cuff", "top", d.trim_color if d.top != "hoodie" else mix(d.top_color, (0, 0, 0), 0.15)
            )
            at = 0.010 if d.sleeve < 0.5 else 0.016
            builder.add_pair(cuff, arm.patch(end - at, end, lambda t, a: offset(t, a) + 0.0022, 3, 16))
        bare = end - 0.02
    builder.add_pair("skin", arm.patch(bare, length, 0.0, 10, 14, close=(bare == root, False)))
    hand = limbs.hand(body, 0.0012 if d.gloves else 0.0)
    if d.gloves:
        glove = tailor.cloth("glove", "accessory", d.legwear_color)
        builder.add_pair(glove, *hand)
        builder.add_pair(glove, arm.patch(length - 0.03, length, 0.0035, 4, 14))
    else:
        builder.add_pair("skin", *hand)


def _hang_sleeve(patch, arm, end, root):
    """Pulls the lower side of a wide sleeve down, as its weight would."""
    k = np.clip(
        (patch.positions @ np.array([1.0, 0, 0])) * 0 + np.linspace(0, 1, patch.positions.shape[0])[:, None],
        0,
        1,
    )
    under = np.clip(-np.sin(2 * np.pi * patch.uv[..., 0]) * -1, 0, 1)
    patch.positions[..., 1] -= 0.035 * under * k**2
    del arm, end, root


def _collar(tailor: Tailor, loose: float):
    d, body, builder = tailor.d, tailor.body, tailor.builder
    torso = body.torso
    raised = lambda extra: lambda t, a: body.bust_offset(t, a) + _ease(body, t, loose) + extra
    start = _neckline(tailor)
    trim = tailor.cloth("collar", "top", d.trim_color)
    lining = tailor.lining("collar", "top", d.trim_color)
    if d.top == "sailor":

        def end(angle):
            near = np.abs(angle / np.pi - 1)
            back = mesh.smoothstep(near, 0.36, 0.50)
            front = 0.80 + 0.06 * np.clip(near / 0.4, 0, 1)
            return -body.level(front * (1 - back) + 0.74 * back)

        patch = torso.patch(lambda a: start(a) - 0.002, end, raised(0.004), 7, 40)
        builder.add_shell(trim, lining, patch, 0.002)
        line = tailor.cloth(
            "collar_line", "top", d.accent_color if d.trim_color == d.top_color else d.top_color
        )
        stripe = torso.patch(lambda a: end(a) - 0.0095, lambda a: end(a) - 0.006, raised(0.0052), 2, 40)
        stripe.outline = 0.0
        builder.add(line, stripe)
    elif d.top in ("jacket", "coat", "kimono"):
        width = 0.030 if d.top == "jacket" else 0.022

        def end(angle):
            near = np.abs(angle / np.pi - 1)
            return start(angle) + width * (0.30 + 0.70 * np.sin(np.pi * np.clip(near / 0.36, 0, 1)) ** 2)

        builder.add_shell(
            trim, lining, torso.patch(lambda a: start(a) - 0.003, end, raised(0.004), 5, 40), 0.002
        )
        shirt = tailor.cloth(
            "shirt", "top", (0.97, 0.97, 0.98) if max(d.top_color) < 0.93 else d.accent_color
        )
        low = -float(body.level(_NECK[d.top][1] - 0.04))
        builder.add(
            shirt,
            torso.patch(-float(body.level(1.045)), low, lambda t, a: body.bust_offset(t, a) + 0.002, 8, 28),
        )
    if d.top in ("blouse", "sweater", "armor", "jacket") or (d.top == "coat" and d.neckwear != "scarf"):
        tall = {"sweater": 0.020, "blouse": 0.013, "armor": 0.02}.get(d.top, 0.013) * (1 - 0.4 * body.chibi)
        color = d.top_color if d.top in ("sweater", "blouse", "armor") else _shirt_color(d)
        tailor.builder.add_shell(
            tailor.cloth("neckband", "top", color), tailor.lining("neckband", "top", color),
            _neckband(body, tall, 0.0024 + 0.25 * loose if d.top not in ("jacket", "coat") else 0.0004), 0.0015,
        )  # fmt: skip
    if d.top == "hoodie":
        a = np.linspace(-2.2, 2.2, 19)
        y = body.level(1.02) - 0.010 * np.cos(a) - 0.012 * (1 + np.cos(a)) / 2
        ring_r = 0.048 + 0.004 * (1 - np.cos(a))
        p = np.stack(
            [
                ring_r * np.sin(a) * 1.15,
                y + 0.016 * (1 - np.cos(a / 2.2 * np.pi)) * 0,
                -0.006 - ring_r * np.cos(a),
            ],
            -1,
        )
        axis = np.gradient(p, axis=0)
        axis /= np.linalg.norm(axis, axis=1, keepdims=True)
        up = np.array([0, 1.0, 0]) + 0 * p
        side = np.cross(up, axis)
        size = 0.017 * (0.5 + 0.5 * np.cos(a / 2.2 * np.pi * 0.5)) + 0.004
        hood = mesh.sweep(
            p, side * size[:, None], up * size[:, None] * 1.2, shape=mesh.circle(10), weights={"chest": 1.0}
        )
        builder.add("sleeve", hood)


def _shirt_color(d) -> Color:
    """Of what shows under a jacket."""
    return (0.97, 0.97, 0.98) if min(d.top_color) < 0.9 else d.accent_color


def _neckband(body: Body, tall: float, lift: float) -> mesh.Patch:
    """A standing collar that grows out of the top's neckline."""
    a = np.linspace(0, 2 * np.pi, 27)
    low = [body.torso.point(-float(body.level(f)), a, lift) for f in (1.065, 1.035, 1.0)]
    y = low[0][0, 1]
    rows = []
    for up, grow in ((tall, 0.0045), (0.55 * tall, 0.0050)):
        r = body.neck_radius + grow
        rows.append(np.stack([-r * np.sin(a), y + up + 0 * a, -0.008 - 0.97 * r * np.cos(a)], -1))
    p = np.stack(rows + low)
    lean = np.array([0.6, 0.4, 0.15, 0, 0])[:, None]
    # upside down, so that the rim comes last
    return mesh.Patch(p[::-1, ::-1], {"neck": lean[::-1], "chest": 1 - lean[::-1]}, mesh.grid_uv(5, len(a)))


def _bottom(tailor: Tailor):
    d, body, builder = tailor.d, tailor.body, tailor.builder
    torso, leg = body.torso, body.leg
    one_piece = d.top in ("dress", "kimono")
    color = d.top_color if one_piece else d.bottom_color
    over = _HEM.get(d.top, 0.38) > 0.33  # the top is tucked in
    waist = 0.47 if over else 0.40
    has_skirt = d.bottom in ("pleated", "flared", "long_skirt")
    hips = tailor.cloth("bottom", "bottom", color)
    legs_color = mix(color, (0.1, 0.08, 0.14), 0.35) if has_skirt else color
    shorts = tailor.cloth("shorts", "bottom", legs_color)
    gap = 0.0025 if has_skirt else 0.0058
    builder.add(
        shorts, torso.patch(-float(body.level(waist)), torso.knots[-1], gap, 9, 24, close=(True, True))
    )
    knee = -body.knee_y
    hip = -body.hip_y
    reach = {
        "shorts": hip + 0.42 * (knee - hip),
        "pants": -body.ankle_y - 0.004,
        "leggings": -body.ankle_y,
    }.get(d.bottom, hip + 0.16 * (knee - hip))
    wide = {"shorts": 0.009, "pants": 0.0065, "leggings": 0.0015}.get(d.bottom, 0.0018)
    flare = {"shorts": 0.004, "pants": 0.005}.get(d.bottom, 0.0)
    root = leg.knots[0]
    offset = lambda t, a: (
        0.003
        + (wide - 0.003) * mesh.smoothstep(t, hip, hip + 0.05)
        + flare * np.clip((t - hip) / (reach - hip), 0, 1)
    )
    inside = tailor.lining("bottom", "bottom", legs_color)
    patch = leg.patch(root, reach, offset, 9, 16)
    for p in (patch, patch.mirrored()):
        builder.add_shell(shorts, inside, p, 0.002)
    tailor.leg_cover = reach
    if has_skirt:
        _skirt(tailor, color, waist)
    elif d.top == "coat":
        _skirt(tailor, d.top_color, 0.46, "coat")
    if d.belt or d.top == "kimono":
        wide_belt = d.top == "kimono"
        belt = tailor.cloth(
            "belt", "accessory", d.accent_color if wide_belt else mix(d.shoe_color, (0.1, 0.08, 0.08), 0.2)
        )
        lo, hi = (0.36, 0.60) if wide_belt else (0.40, 0.47)
        o = (0.013 if has_skirt or wide_belt else 0.011) + (
            0.004 if d.top in ("coat", "hoodie", "jacket", "sweater") else 0
        )
        band = torso.patch(
            -float(body.level(hi)),
            -float(body.level(lo)),
            lambda t, a: body.bust_offset(t, a) * 0.6 + o,
            4,
            32,
        )
        builder.add_shell(belt, tailor.lining("belt", "accessory", d.accent_color), band, 0.002)
    del hips


def _skirt(tailor: Tailor, color: Color, waist: float, kind: str = ""):
    d, body, builder = tailor.d, tailor.body, tailor.builder
    kind = kind or d.bottom
    if kind == "coat":
        hem = skirt.leg_share(body, 0.50)
        made = skirt.Skirt(body, waist, hem, 0.20, gap=0.012, name="coat", ripple=0.002)
        texture = textures.plain(d.top_color)
    elif kind == "pleated":
        hem = skirt.leg_share(body, d.hem)
        made = skirt.Skirt(body, waist, hem, 0.36, pleats=16)
        texture = textures.skirt(d, color)
    elif kind == "flared":
        hem = skirt.leg_share(body, d.hem)
        made = skirt.Skirt(body, waist, hem, 0.50, ripple=0.006)
        texture = textures.skirt(d, color)
    else:
        hem = skirt.leg_share(body, d.hem)
        made = skirt.Skirt(
            body, waist, hem, 0.10 if d.top == "kimono" else 0.26, ripple=0.0 if d.top == "kimono" else 0.007
        )
        texture = textures.skirt(d, color)
    outer = tailor.cloth("skirt", "bottom", color, texture)
    inner = tailor.lining("skirt", "bottom", color)
    builder.add_shell(outer, inner, made.patch, 0.0025, depth=None)
    tailor.outfit.chains.append(made.chains)
