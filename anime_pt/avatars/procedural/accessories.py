"""What is put on last: neckwear, headgear, glasses, and things worn on the back."""

import numpy as np

from anime_pt.avatars.procedural import mesh, shapes
from anime_pt.avatars.procedural.chains import Chains
from anime_pt.avatars.procedural.mesh import Patch
from anime_pt.avatars.procedural.palette import mix

_HEAD = {"head": 1.0}
_CHEST = {"chest": 1.0}
_X, _Y, _Z = np.eye(3)
_GOLD = (0.95, 0.78, 0.36)


def add(tailor) -> None:
    """Adds everything that the description asks for."""
    d, builder = tailor.d, tailor.builder
    tie = tailor.cloth("hair_tie", "accessory", d.accent_color)
    builder.add(tie, *tailor.hair.extras)
    for name in (d.neckwear, d.headgear, d.back):
        if name != "none":
            globals()["_" + name](tailor)
    if d.glasses:
        _glasses(tailor)


# -- neck


def _front(tailor, level: float, lift: float) -> np.ndarray:
    """A point on the front of the trunk."""
    body = tailor.body
    t = -float(body.level(level))
    return body.torso.point(
        t, np.pi, lift + float(body.bust_offset(np.array([[t]]), np.array([[np.pi]]))[0, 0])
    )


def _collar_level(tailor) -> float:
    return {"sailor": 0.79, "jacket": 0.98, "dress": 0.95, "t_shirt": 0.97}.get(tailor.d.top, 0.985)


def _bow(tailor):
    size = 0.030 + 0.012 * tailor.body.chibi
    p = _front(tailor, _collar_level(tailor), 0.016)
    m = tailor.cloth("neck_bow", "accessory", tailor.d.accent_color)
    tailor.builder.add(m, *shapes.bow(p, _X, _Y, size, _CHEST))


def _tie(tailor):
    d = tailor.d
    levels = np.linspace(_collar_level(tailor), 0.46 if d.top != "sailor" else 0.52, 9)
    p = np.stack([_front(tailor, v, 0.010) for v in levels])
    k = np.linspace(0, 1, 9)
    wide = (
        0.011
        * mesh.curve(k, [0, 0.06, 0.12, 0.88, 1], [1.0, 0.8, 0.6, 1.25, 0.1])
        * (1 + 0.5 * tailor.body.chibi)
    )
    patch = shapes.tube(p, wide, None, 0.32)
    patch.weights = mesh.chain_weights(
        -patch.positions[..., 1],
        ("chest", "spine"),
        (-float(tailor.body.level(0.62)),),
        (0.1 * tailor.body.trunk,),
    )
    tailor.builder.add(tailor.cloth("tie", "accessory", d.accent_color), patch)


def _scarf(tailor):
    body, d = tailor.body, tailor.d
    m = tailor.cloth("scarf", "accessory", d.accent_color)
    y = float(body.level(1.0)) + 0.022 * (1 - 0.4 * body.chibi)
    r = body.neck_radius + 0.019
    for k, (dy, tilt) in enumerate(((0.0, 0.12), (0.013, -0.10))):
        patch = shapes.ring(
            [0, y + dy, -0.002], [0, 1, tilt], (r, r * 1.02), 0.0165 - 0.003 * k, _CHEST, 26, 1.05
        )
        tailor.builder.add(m, patch)
    levels = np.linspace(1.0, 0.50, 7)
    p = np.stack([_front(tailor, v, 0.015) for v in levels]) + [0.022, 0, 0.004]
    wide = np.array([0.010, 0.014, 0.016, 0.017, 0.018, 0.019, 0.019])
    tailor.builder.add(m, shapes.tube(p, wide, _CHEST, 0.35, columns=8, power=3.0))


def _choker(tailor):
    body = tailor.body
    y = body.shoulder_y + 0.58 * (body.chin - body.shoulder_y) + 0.004
    r = body.neck_radius + 0.0015
    c = np.array([[0, y + 0.004, -0.009], [0, y - 0.004, -0.009]])
    one = np.ones((2, 1))
    band = mesh.sweep(c, r * _X * one, 0.96 * r * _Z * one, shape=mesh.circle(18), weights={"neck": 1.0})
    tailor.builder.add(
        tailor.cloth("choker", "accessory", mix(tailor.d.accent_color, (0.1, 0.08, 0.1), 0.5)), band
    )
    charm = shapes.ball([0, y - 0.008, r - 0.006], 0.0055, {"neck": 1.0}, 6, 8)
    tailor.builder.add(tailor.cloth("charm", "accessory", _GOLD), charm)


def _pendant(tailor):
    body = tailor.body
    gold = tailor.cloth("pendant", "accessory", _GOLD)
    k = np.linspace(-1, 1, 13)
    level = 0.80 + 0.24 * k**2
    angle = np.pi + 0.62 * k * np.sqrt(np.abs(k))
    t = -body.level(level)
    lift = 0.006 + 0.010 * (tailor.d.top in ("hoodie", "sweater", "jacket", "coat"))
    p = body.torso.point(t, angle, lift + body.bust_offset(t, angle))
    tailor.builder.add(gold, shapes.tube(p, 0.0016, _CHEST, columns=5))
    gem = tailor.cloth("gem", "accessory", tailor.d.accent_color)
    tailor.builder.add(gem, shapes.ball(p[6] + [0, -0.008, 0.003], (0.007, 0.009, 0.004), _CHEST))


# -- head


def _place(tailor, phi, s, lift=0.03):
    """Point on the hair and the unit vector out of it."""
    hair = tailor.hair
    p = hair.point(phi, s, lift)
    out = shapes.unit(hair.point(phi, s, lift + 0.05) - p)
    return p, out


def _cone(base, out, side, height, wide, thick, lean=0.0, rows=6):
    """A tapering ear or horn: `side` is the direction of its width."""
    k = np.linspace(0, 1, rows)
    p = base + height * (k[:, None] * out + lean * k[:, None] ** 2 * side)
    r = wide * (1 - k) ** 0.75 + 0.002
    front = np.cross(out, side)
    ones = np.ones((rows, 1))
    right, front = side * ones * r[:, None], front * ones * (thick / wide * r)[:, None]
    if np.dot(np.cross(right[0], front[0]), out) < 0:
        right = -right
    return mesh.sweep(p, right, front, shape=mesh.circle(10, 2.4), weights=_HEAD)


def _cat_ears(tailor):
    d, h = tailor.d, tailor.head.size
    outer = tailor.cloth("animal_ears", "hair", d.hair_color)
    inner = tailor.cloth("animal_ears_inner", "hair", mix((0.98, 0.72, 0.74), d.skin, 0.3))
    p, out = _place(tailor, 0.95, 0.28, 0.0)
    out = shapes.unit(out + [0.12, 0.35, 0.05])
    side = shapes.unit(np.cross(out, np.cross(_X, out) + 0.0)) * -1
    side = shapes.unit(_X - out * out[0])
    for lift, size, m in ((0.0, 1.0, outer), (0.030, 0.66, inner)):
        ear = _cone(
            p + h * lift * _Z * 2.2, out, side, h * 0.36 * size, h * 0.155 * size, h * 0.06 * size, 0.15
        )
        tailor.builder.add_pair(m, ear)


def _horns(tailor):
    h = tailor.head.size
    m = tailor.cloth("horns", "accessory", (0.36, 0.28, 0.32))
    p, out = _place(tailor, 0.75, 0.34, 0.0)
    k = np.linspace(0, 1, 9)
    line = p + h * (
        0.30 * k[:, None] * out + (0.16 * k**2)[:, None] * _Y + (0.06 * np.sin(3 * k))[:, None] * _X
    )
    tailor.builder.add_pair(m, shapes.tube(line, h * 0.062 * (1 - k) ** 0.8 + 0.0008, _HEAD))


def _headphones(tailor):
    d, head, h = tailor.d, tailor.head, tailor.head.size
    dark = tailor.cloth("headphones", "accessory", (0.22, 0.22, 0.26))
    bright = tailor.cloth("headphones_pad", "accessory", d.accent_color)
    a = np.linspace(0, np.pi, 21)
    wide, tall = h * (tailor.hair.radii[0] + 0.055), h * 0.60
    center = head.origin + h * np.array([0, 0.46, -0.05])
    p = center + np.stack([wide * np.cos(a), tall * np.sin(a), 0 * a], -1)
    tailor.builder.add(dark, shapes.tube(p, h * 0.042, _HEAD, 0.8))
    cup = [
        center + [wide - h * 0.07, 0, 0],
        center + [wide + h * 0.05, 0, 0],
        center + [wide + h * 0.065, 0, 0],
    ]
    for pts, r, m in (
        (cup, np.array([0.15, 0.15, 0.12]) * h, bright),
        (cup[1:], np.array([0.095, 0.08]) * h, dark),
    ):
        pts = np.array(pts) + (0 if m == bright else h * 0.03 * _X)
        one = np.ones((len(pts), 1))
        tailor.builder.add_pair(
            m,
            mesh.sweep(
                pts, r[:, None] * _Y * one, r[:, None] * _Z * one, shape=mesh.circle(16), weights=_HEAD
            ),
        )


def _hairband(tailor):
    m = tailor.cloth("hairband", "accessory", tailor.d.accent_color)
    phi = np.concatenate([np.full(11, np.pi / 2), np.full(11, -np.pi / 2)])
    s = np.concatenate([np.linspace(0.86, 0.0, 11), np.linspace(0.0, 0.86, 12)[1:]])
    p = (
        tailor.hair.point(phi, s, 0.045)
        + tailor.head.size * np.array([0, 0, 0.06]) * np.cos(s * 1.6)[:, None]
    )
    axis = p - (tailor.head.origin + tailor.head.size * np.array([0, 0.5, -0.03]))
    h = tailor.head.size
    tailor.builder.add(m, shapes.tube(p, h * 0.042, _HEAD, 0.35, shapes.unit(axis), columns=8))
    if tailor.d.seed % 2:
        q, out = _place(tailor, 1.35 * tailor.d.part_side, 0.30, 0.09)
        tailor.builder.add(
            m,
            *shapes.bow(
                q, shapes.unit(np.cross(_Y, out)), shapes.unit(_Y - out * out[1]), h * 0.16, _HEAD, 0.4
            ),
        )


def _ribbon(tailor):
    h, d = tailor.head.size, tailor.d
    m = tailor.cloth("head_ribbon", "accessory", d.accent_color)
    if d.hair in ("ponytail", "braid", "bun"):
        p, out = _place(tailor, np.pi, 0.50 if d.hair != "braid" else 1.0, 0.12)
        up = shapes.unit(_Y - out * out[1])
        tailor.builder.add(m, *shapes.bow(p, np.cross(up, out), up, h * 0.30, _HEAD, 0.7))
        return
    if d.hair in ("twin_tails", "twin_drills"):
        p, out = _place(tailor, 1.55, 0.55, 0.12)
        up = shapes.unit(_Y - out * out[1])
        for part in shapes.bow(p, np.cross(up, out), up, h * 0.19, _HEAD, 0.5):
            tailor.builder.add_pair(m, part)
        return
    p, out = _place(tailor, 0.9 * d.part_side, 0.20, 0.07)
    up = shapes.unit(np.array([0.35 * d.part_side, 1.0, -0.1]))
    up = shapes.unit(up - 0.3 * out)
    right = shapes.unit(np.cross(up, [0, 0, 1.0]))
    tailor.builder.add(m, *shapes.bow(p + h * 0.04 * up, right, up, h * 0.22, _HEAD, 0.0))


def _revolve(tailor, profile, tilt, offset, weights=_HEAD, columns=28) -> Patch:
    """A hat: `profile` (r, 2) of radius and height in head heights over the crown, from the top down."""
    h, head = tailor.head.size, tailor.head
    profile = np.asarray(profile, float)
    k = tailor.hair.radii[0] / 0.455
    c, s = np.cos(tilt), np.sin(tilt)
    up, front = np.array([0, c, -s]), np.array([0, s, c])
    center = head.origin + h * (np.array([0, 0.78, -0.045]) + offset)
    p = center + h * profile[:, 1:] * up
    r = h * profile[:, :1] * k
    return mesh.sweep(p, r * _X, r * 1.04 * front, shape=mesh.circle(columns), weights=weights)


def _witch_hat(tailor):
    d = tailor.d
    m = tailor.cloth("hat", "accessory", mix(d.bottom_color, (0.1, 0.08, 0.14), 0.5))
    hat = _revolve(
        tailor,
        [(0.02, 0.95), (0.06, 0.86), (0.15, 0.62), (0.28, 0.36), (0.43, 0.08), (0.49, 0.02), (0.70, 0.0), (0.86, -0.03), (0.86, -0.05), (0.70, -0.02), (0.47, -0.01)],
        -0.14, np.array([0, 0.06, 0]),
    )  # fmt: skip
    p = hat.positions
    rise = np.clip((p[..., 1] - p[..., 1].min()) / np.ptp(p[..., 1]) - 0.45, 0, 1)
    hat.positions = p + (rise[..., None] ** 2) * tailor.head.size * np.array(
        [0.5 * d.part_side, -0.15, -0.35]
    )
    tailor.builder.add(m, hat)
    band = _revolve(tailor, [(0.415, 0.17), (0.475, 0.05)], -0.14, np.array([0, 0.06, 0]))
    tailor.builder.add(tailor.cloth("hat_band", "accessory", d.accent_color), band)


def _beret(tailor):
    d = tailor.d
    m = tailor.cloth("hat", "accessory", d.accent_color)
    profile = [
        (0.03, 0.38),
        (0.30, 0.36),
        (0.50, 0.27),
        (0.57, 0.17),
        (0.52, 0.09),
        (0.43, 0.06),
        (0.43, 0.04),
    ]
    hat = _revolve(tailor, profile, -0.16, np.array([0.07 * d.part_side, 0.04, -0.02]))
    hat.positions[..., 1] -= 0.10 * d.part_side * (hat.positions[..., 0])
    tailor.builder.add(m, hat)
    top = hat.positions[0, 0]
    tailor.builder.add(
        m,
        shapes.tube(
            top + np.linspace(-0.02, 0.09, 4)[:, None] * tailor.head.size * _Y,
            0.018 * tailor.head.size,
            _HEAD,
            columns=6,
        ),
    )


def _cap(tailor):
    d, h = tailor.d, tailor.head.size
    m = tailor.cloth("hat", "accessory", d.accent_color)
    profile = [(0.04, 0.37), (0.22, 0.345), (0.37, 0.26), (0.455, 0.13), (0.485, -0.02), (0.48, -0.04)]
    tailor.builder.add(m, _revolve(tailor, profile, -0.10, np.array([0, 0, 0])))
    a = np.linspace(-1.05, 1.05, 17)
    rows = []
    center = tailor.head.origin + h * np.array([0, 0.78, -0.045])
    k = tailor.hair.radii[0] / 0.455
    for reach, y in ((0.47, 0.02), (0.60, 0.0), (0.74, -0.05), (0.745, -0.065), (0.60, -0.02), (0.46, -0.01)):
        out = 0.46 + (reach - 0.46) * np.cos(a * 1.49) ** 0.8
        rows.append(
            center
            + h
            * np.stack(
                [k * out * np.sin(a), y - 0.10 * np.abs(a) ** 2 * 0.3 + 0 * a, k * out * np.cos(a)], -1
            )
        )
    brim = Patch(np.stack(rows), _HEAD, mesh.grid_uv(len(rows), len(a)), wrap=False)
    tailor.builder.add(tailor.cloth("brim", "accessory", mix(d.accent_color, (0.1, 0.1, 0.1), 0.25)), brim)


def _crown(tailor):
    h = tailor.head.size
    gold = tailor.cloth("crown", "accessory", _GOLD)
    columns = 40
    a = np.linspace(0, 2 * np.pi, columns + 1)
    peak = 0.5 + 0.5 * np.cos(a * 5 + np.pi)
    center = tailor.head.origin + h * np.array([0, 1.045, -0.02])
    rows = []
    for r, y in ((0.20, 1.0), (0.195, 0.5), (0.19, 0.0), (0.165, 0.0), (0.17, 0.5), (0.19, 1.0)):
        high = y * (0.09 + 0.11 * peak)
        rows.append(center + h * np.stack([-r * np.sin(a), high, -r * np.cos(a)], -1))
    tailor.builder.add(gold, Patch(np.stack(rows), _HEAD, mesh.grid_uv(6, columns + 1)))
    for i in range(5):
        b = 2 * np.pi * (i + 0.5) / 5
        p = center + h * np.array([-0.205 * np.sin(b), 0.06, -0.205 * np.cos(b)])
        tailor.builder.add(
            tailor.cloth("gem", "accessory", tailor.d.accent_color), shapes.ball(p, 0.022 * h, _HEAD, 5, 7)
        )


def _flower(tailor):
    h, d = tailor.head.size, tailor.d
    p, out = _place(tailor, 1.15 * d.part_side, 0.46, 0.075)
    up = shapes.unit(_Y - out * out[1])
    right = np.cross(up, out)
    petal = tailor.cloth("petals", "accessory", mix(d.accent_color, (1, 1, 1), 0.25))
    a = np.linspace(0, 2 * np.pi, 41)
    r = 0.155 * (0.62 + 0.38 * np.abs(np.cos(2.5 * a)))
    outline = h * np.stack([r * np.cos(a), r * np.sin(a)], 1)
    tailor.builder.add(petal, shapes.plate(outline, p, right, up, 0.03 * h, _HEAD, 0.6))
    tailor.builder.add(
        tailor.cloth("pistil", "accessory", (0.98, 0.82, 0.30)),
        shapes.ball(p + out * 0.035 * h, 0.042 * h, _HEAD),
    )


def _halo(tailor):
    h = tailor.head.size
    m = tailor.builder.material(
        "halo", part="accessory", color=(1.0, 0.87, 0.45, 1.0), outline_color=(0.8, 0.5, 0.15, 1.0)
    )
    center = tailor.head.origin + h * np.array([0, 1.26, -0.06])
    tailor.builder.add(m, shapes.ring(center, [0, 1, 0.12], 0.30 * h, 0.028 * h, _HEAD, 30))


def _glasses(tailor):
    head, h = tailor.head, tailor.head.size
    m = tailor.cloth("glasses", "accessory", mix(tailor.d.accent_color, (0.12, 0.10, 0.14), 0.6))
    a = head.eye_angle
    wide = 0.145 * (1 + 0.2 * tailor.body.chibi)
    center = head.point(np.float64(head.eye_y - 0.01), a * 0.98, 0.045)
    out = shapes.unit(np.array([np.sin(a) * 0.55, 0.0, 1.0]))
    x = shapes.unit(np.cross(_Y, out))
    t = np.linspace(0, 2 * np.pi, 27)
    rim = center + h * wide * (np.cos(t)[:, None] * x + 0.80 * np.sin(t)[:, None] * _Y)
    tailor.builder.add_pair(m, shapes.tube(rim, 0.0105 * h, _HEAD, columns=6))
    edge = rim[0]
    ear = head.point(np.float64(head.eye_y + 0.02), np.pi * 0.56, 0.02)
    tailor.builder.add_pair(
        m, shapes.tube(edge + np.linspace(0, 1, 4)[:, None] * (ear - edge), 0.010 * h, _HEAD, columns=6)
    )
    inner = rim[13]
    bridge = np.stack([inner, inner * [0, 1, 1] + h * np.array([0, 0.012, 0.015]), inner * [-1, 1, 1]])
    tailor.builder.add(m, shapes.tube(bridge, 0.010 * h, _HEAD, columns=6, normal=(0, 1, 0.0)))


# -- back


def _cape(tailor):
    body, d = tailor.body, tailor.d
    torso = body.torso
    color = d.accent_color
    columns, rows = 25, 16
    angle = np.linspace(-0.42, 0.42, columns) * np.pi  # 0 is the back
    hem = 0.30 * body.hip_y + 0.70 * body.knee_y
    top = float(body.level(1.045))
    y = np.linspace(top, hem, rows)
    yy, aa = np.meshgrid(y, angle, indexing="ij")
    fall = (top - yy) / (top - hem)
    shoulders = mesh.smoothstep(fall, 0.0, 0.10)
    base = torso.point(-float(body.level(1.045)), aa, 0.010)
    wide = body.shoulder_x * (1.12 + 0.30 * fall)
    skirted = 0.06 * (d.bottom in ("pleated", "flared", "long_skirt") or d.top == "coat")
    deep = 0.062 + 0.012 * body.chibi + (0.050 + skirted) * fall + 0.004 * np.cos(aa * 16) * fall
    x = base[..., 0] * (1 - shoulders) - wide * np.sin(aa * 1.15) * shoulders
    z = base[..., 2] * (1 - shoulders) - (deep * np.cos(aa) ** 0.5 + 0.004) * shoulders
    p = np.stack([x, yy, z], -1)
    p[..., 1] -= 0.018 * shoulders * np.abs(np.sin(aa)) * (1 - fall)
    count, segments = 5, 4
    ka = np.linspace(0, columns - 1, count).astype(int)
    kr = np.linspace(3, rows - 1, segments + 1).astype(int)
    chains = Chains("cape", "chest", p[kr][:, ka].transpose(1, 0, 2), False, "hang", 0.25, 0.012)
    tailor.outfit.chains.append(chains)
    across = np.arange(columns)[None] / (columns - 1) * (count - 1)
    along = (np.arange(rows)[:, None] - 3) / (rows - 4) * segments
    weights = chains.weights(across, along)
    patch = Patch(
        p[:, ::-1], {n: w[:, ::-1] for n, w in weights.items()}, mesh.grid_uv(rows, columns), wrap=False
    )
    if mesh.grid_normals(patch.positions, False)[rows // 2, columns // 2, 2] > 0:
        patch = patch.reversed()
    m = tailor.cloth("cape", "accessory", color)
    tailor.builder.add_shell(m, tailor.lining("cape", "accessory", color), patch, 0.0025, depth=None)
    clasp = tailor.cloth("clasp", "accessory", _GOLD)
    k = np.linspace(0, 1, 9)
    band = torso.point(-float(body.level(1.03)), np.pi * (0.42 + 1.16 * k), 0.014)
    tailor.builder.add(m, shapes.tube(band, 0.006, _CHEST, columns=6))
    tailor.builder.add(clasp, shapes.ball(_front(tailor, 1.02, 0.018), 0.008, _CHEST))


def _wings(tailor):
    body, d = tailor.body, tailor.d
    dark = (d.seed + d.costume) % 3 == 0
    color = (0.24, 0.20, 0.28) if dark else (0.98, 0.98, 1.0)
    m = tailor.cloth("wings", "accessory", color)
    root = np.array([0.022, float(body.level(0.86)), -0.052 - 0.012 * body.chibi])
    out = shapes.unit([0.80, 0.45, -0.55])
    up = shapes.unit(np.array([-0.45, 0.85, 0.0]))
    up = shapes.unit(up - out * np.dot(up, out))
    size = 0.27 + 0.05 * body.chibi
    for i in range(6):
        k = np.linspace(0, 1, 7)
        a = 0.75 - 0.36 * i
        way = np.cos(a) * out + np.sin(a) * up
        length = size * (1.0 - 0.115 * i)
        start = root + out * 0.012 * i * 0.4 - 0.003 * i * _Z
        p = start + length * (k[:, None] * way - (0.25 * k**2)[:, None] * up)
        r = size * 0.11 * mesh.curve(k, [0, 0.25, 0.7, 1], [0.5, 1.0, 0.9, 0.1])
        tailor.builder.add_pair(m, shapes.tube(p, r, _CHEST, 0.22, np.cross(way, up)))


def _backpack(tailor):
    body, d = tailor.body, tailor.d
    m = tailor.cloth("backpack", "accessory", d.accent_color)
    y = body.level(np.array([0.90, 0.87, 0.75, 0.52, 0.40, 0.37]))
    half, deep = (
        np.array([0.040, 0.058, 0.064, 0.066, 0.062, 0.045]),
        np.array([0.020, 0.030, 0.034, 0.036, 0.034, 0.022]),
    )
    back = float(body.torso.frame(np.array([-body.level(0.7)]))[3][0])
    c = np.stack([0 * y, y, np.full(6, -back - 0.040)], -1)
    bag = mesh.sweep(c, half[:, None] * _X, deep[:, None] * _Z, shape=mesh.circle(20, 4.0), weights=_CHEST)
    tailor.builder.add(m, bag)
    flap = mesh.sweep(
        c[1:4] - [0, 0, 0.010],
        half[1:4, None] * _X * 0.8,
        deep[1:4, None] * _Z,
        shape=mesh.circle(16, 4.0),
        weights=_CHEST,
    )
    tailor.builder.add(
        tailor.cloth("backpack_flap", "accessory", mix(d.accent_color, (0.15, 0.1, 0.12), 0.35)), flap
    )
    k = np.linspace(0, 1, 11)
    level = mesh.curve(k, [0, 0.35, 0.7, 1], [0.98, 1.02, 0.80, 0.50])
    angle = np.pi * (0.0 + mesh.curve(k, [0, 0.25, 0.5, 0.8, 1.0], [-0.10, -0.35, -0.78, -0.76, -0.45]))
    t = -body.level(level)
    p = body.torso.point(t, angle, 0.013 + body.bust_offset(t, angle))
    straps = tailor.cloth("straps", "accessory", mix(d.accent_color, (0.15, 0.1, 0.12), 0.35))
    tailor.builder.add_pair(
        straps, shapes.tube(p, 0.011, _CHEST, 0.35, shapes.unit(p * [1, 0, 1] + 1e-6), columns=6)
    )
