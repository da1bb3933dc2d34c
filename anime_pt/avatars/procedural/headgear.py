"""Ears, horns, hats and hair ornaments, by the names of `description.HEADGEAR`."""

import numpy as np

from anime_pt.avatars.procedural import mesh, shapes
from anime_pt.avatars.procedural.mesh import Patch
from anime_pt.avatars.procedural.palette import mix
from anime_pt.avatars.procedural.tailor import Tailor

GOLD = (0.95, 0.78, 0.36)
_HEAD = {"head": 1.0}
_X, _Y, _Z = np.eye(3)


def add(tailor: Tailor) -> None:
    """Adds the headgear of the description, if any."""
    if tailor.d.headgear != "none":
        _MAKERS[tailor.d.headgear](tailor)


def _place(tailor: Tailor, phi, s, lift=0.03):
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


def _cat_ears(tailor: Tailor):
    d, h = tailor.d, tailor.head.size
    outer = tailor.cloth("animal_ears", "hair", d.hair_color)
    inner = tailor.cloth("animal_ears_inner", "hair", mix((0.98, 0.72, 0.74), d.skin, 0.3))
    p, out = _place(tailor, 0.95, 0.28, 0.0)
    out = shapes.unit(out + np.array([0.12, 0.35, 0.05]))
    side = shapes.unit(_X - out * out[0])
    for lift, size, m in ((0.0, 1.0, outer), (0.030, 0.66, inner)):
        ear = _cone(
            p + h * lift * _Z * 2.2, out, side, h * 0.36 * size, h * 0.155 * size, h * 0.06 * size, 0.15
        )
        tailor.builder.add_pair(m, ear)


def _horns(tailor: Tailor):
    h = tailor.head.size
    m = tailor.cloth("horns", "accessory", (0.36, 0.28, 0.32))
    p, out = _place(tailor, 0.75, 0.34, 0.0)
    k = np.linspace(0, 1, 9)
    line = p + h * (
        0.30 * k[:, None] * out + (0.16 * k**2)[:, None] * _Y + (0.06 * np.sin(3 * k))[:, None] * _X
    )
    tailor.builder.add_pair(m, shapes.tube(line, h * 0.062 * (1 - k) ** 0.8 + 0.0008, _HEAD))


def _headphones(tailor: Tailor):
    d, head, h = tailor.d, tailor.head, tailor.head.size
    dark = tailor.cloth("headphones", "accessory", (0.22, 0.22, 0.26))
    bright = tailor.cloth("headphones_pad", "accessory", d.accent_color)
    a = np.linspace(0, np.pi, 21)
    wide, tall = h * (tailor.hair.radii[0] + 0.055), h * 0.60
    center = head.origin + h * np.array([0, 0.46, -0.05])
    p = center + np.stack([wide * np.cos(a), tall * np.sin(a), 0 * a], -1)
    tailor.builder.add(dark, shapes.tube(p, h * 0.042, _HEAD, 0.8))
    cup = [
        center + np.array([wide - h * 0.07, 0, 0]),
        center + np.array([wide + h * 0.05, 0, 0]),
        center + np.array([wide + h * 0.065, 0, 0]),
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


def _hairband(tailor: Tailor):
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


def _ribbon(tailor: Tailor):
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


def _revolve(tailor: Tailor, profile, tilt, offset, weights=_HEAD, columns=28) -> Patch:
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


def _witch_hat(tailor: Tailor):
    d = tailor.d
    m = tailor.cloth("hat", "accessory", mix(d.bottom_color, (0.1, 0.08, 0.14), 0.5))
    hat = _revolve(
        tailor,
        [
            (0.02, 0.95),
            (0.06, 0.86),
            (0.15, 0.62),
            (0.28, 0.36),
            (0.43, 0.08),
            (0.49, 0.02),
            (0.70, 0.0),
            (0.86, -0.03),
            (0.86, -0.05),
            (0.70, -0.02),
            (0.47, -0.01),
        ],
        -0.14,
        np.array([0, 0.06, 0]),
    )
    p = hat.positions
    rise = np.clip((p[..., 1] - p[..., 1].min()) / np.ptp(p[..., 1]) - 0.45, 0, 1)
    hat.positions = p + (rise[..., None] ** 2) * tailor.head.size * np.array(
        [0.5 * d.part_side, -0.15, -0.35]
    )
    tailor.builder.add(m, hat)
    band = _revolve(tailor, [(0.415, 0.17), (0.475, 0.05)], -0.14, np.array([0, 0.06, 0]))
    tailor.builder.add(tailor.cloth("hat_band", "accessory", d.accent_color), band)


def _beret(tailor: Tailor):
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


def _cap(tailor: Tailor):
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


def _crown(tailor: Tailor):
    h = tailor.head.size
    gold = tailor.cloth("crown", "accessory", GOLD)
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


def _flower(tailor: Tailor):
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


def _halo(tailor: Tailor):
    h = tailor.head.size
    m = tailor.builder.material(
        "halo", part="accessory", color=(1.0, 0.87, 0.45, 1.0), outline_color=(0.8, 0.5, 0.15, 1.0)
    )
    center = tailor.head.origin + h * np.array([0, 1.26, -0.06])
    tailor.builder.add(m, shapes.ring(center, [0, 1, 0.12], 0.30 * h, 0.028 * h, _HEAD, 30))


_MAKERS = {
    "cat_ears": _cat_ears,
    "horns": _horns,
    "headphones": _headphones,
    "hairband": _hairband,
    "ribbon": _ribbon,
    "witch_hat": _witch_hat,
    "beret": _beret,
    "cap": _cap,
    "crown": _crown,
    "flower": _flower,
    "halo": _halo,
}
