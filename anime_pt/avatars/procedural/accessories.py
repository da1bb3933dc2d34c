"""What is put on last: neckwear, glasses, things worn on the back, and `headgear`."""

import numpy as np

from anime_pt.avatars.procedural import headgear, mesh, shapes
from anime_pt.avatars.procedural.chains import Chains
from anime_pt.avatars.procedural.mesh import Patch
from anime_pt.avatars.procedural.palette import mix
from anime_pt.avatars.procedural.tailor import Tailor

_HEAD = {"head": 1.0}
_CHEST = {"chest": 1.0}
_X, _Y, _Z = np.eye(3)
_GOLD = headgear.GOLD


def add(tailor: Tailor) -> None:
    """Adds everything that the description asks for."""
    d, builder = tailor.d, tailor.builder
    tie = tailor.cloth("hair_tie", "accessory", d.accent_color)
    builder.add(tie, *tailor.hair.extras)
    for name in (d.neckwear, d.back):
        if name != "none":
            _MAKERS[name](tailor)
    headgear.add(tailor)
    if d.glasses:
        _glasses(tailor)


def _front(tailor: Tailor, level: float, lift: float) -> np.ndarray:
    """A point on the front of the trunk."""
    body = tailor.body
    t = -float(body.level(level))
    return body.torso.point(
        t, np.pi, lift + float(body.bust_offset(np.array([[t]]), np.array([[np.pi]]))[0, 0])
    )


def _collar_level(tailor: Tailor) -> float:
    return {"sailor": 0.79, "jacket": 0.98, "dress": 0.95, "t_shirt": 0.97}.get(tailor.d.top, 0.985)


def _bow(tailor: Tailor):
    size = 0.030 + 0.012 * tailor.body.chibi
    p = _front(tailor, _collar_level(tailor), 0.016)
    m = tailor.cloth("neck_bow", "accessory", tailor.d.accent_color)
    tailor.builder.add(m, *shapes.bow(p, _X, _Y, size, _CHEST))


def _tie(tailor: Tailor):
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


def _scarf(tailor: Tailor):
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
    p = np.stack([_front(tailor, v, 0.015) for v in levels]) + np.array([0.022, 0, 0.004])
    wide = np.array([0.010, 0.014, 0.016, 0.017, 0.018, 0.019, 0.019])
    tailor.builder.add(m, shapes.tube(p, wide, _CHEST, 0.35, columns=8, power=3.0))


def _choker(tailor: Tailor):
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


def _pendant(tailor: Tailor):
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


def _glasses(tailor: Tailor):
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


def _cape(tailor: Tailor):
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
    tailor.chains.append(chains)
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


def _wings(tailor: Tailor):
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


def _backpack(tailor: Tailor):
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
        c[1:4] - np.array([0, 0, 0.010]),
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


_MAKERS = {
    "bow": _bow,
    "tie": _tie,
    "scarf": _scarf,
    "choker": _choker,
    "pendant": _pendant,
    "cape": _cape,
    "wings": _wings,
    "backpack": _backpack,
}
