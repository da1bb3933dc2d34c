"""Hair styles: what grows from the back of the head, by the names of `description.HAIR_STYLES`."""

import numpy as np

from anime_pt.avatars.procedural import mesh
from anime_pt.avatars.procedural.chains import Chains
from anime_pt.avatars.procedural.hair import CENTER, EQUATOR, Hair
from anime_pt.avatars.procedural.head import Head


def make(head: Head, rng: np.random.Generator) -> Hair:
    """The hair that the description of `head` asks for."""
    hair = Hair(head, rng)
    _STYLES[hair.d.hair](hair)
    return hair


def _fall(
    hair: Hair, end, count, width, jag=0.12, tip=0.0, curl=0.0, start=1.35, name=None, lift=0.0, rows=None
):
    """Locks around the back of the head from ear to ear, ending near `end`."""
    u = hair.rng.uniform
    rows = rows or (9 if end < 1.8 else 13)
    weights = _back_chains(hair, end, name) if name else None
    phis = np.linspace(start, 2 * np.pi - start, count)
    order = np.r_[np.arange(0, count, 2), np.arange(1, count, 2)]
    for n, i in enumerate(order):
        top = n >= (count + 1) // 2
        stop = end * (1 + u(-jag, jag * 0.3)) - (0.1 if top else 0)
        s = np.linspace(0.03, stop, rows)
        hair.lock(
            np.full(rows, phis[i] + u(-0.03, 0.03)),
            s,
            hair.taper(rows, width, tip, 0.35, 0.35),
            0.05,
            lift + 0.018 * top - 0.004,
            curl=curl,
            weights=weights,
        )


def _back_chains(hair: Hair, end, name):
    """Bones for hair that hangs behind the trunk."""
    count, segments = 5, 4 if end > 2.0 else 3
    phis = np.linspace(1.75, 2 * np.pi - 1.75, count)
    s = np.linspace(EQUATOR + 0.25, max(end, EQUATOR + 0.6), segments + 1)
    joints = hair.point(phis[:, None], s[None], 0.0)
    chains = Chains(name, "head", joints, False, "hang", 0.15, 0.012)
    hair.chains.append(chains)

    def weights(phi, s_at):
        across = (phi % (2 * np.pi) - phis[0]) / (phis[1] - phis[0])
        return chains.weights(across, (s_at - s[0]) / (s[1] - s[0]))

    return weights


def _short(hair: Hair):
    _fall(hair, 1.02 + 0.24 * hair.d.hair_length, 12, 0.19, 0.10, curl=0.02, start=1.42)


def _bob(hair: Hair):
    end = 1.38 + 0.22 * hair.d.hair_length
    _fall(hair, end, 15, 0.17, 0.03, tip=0.55, curl=-0.06, start=1.02, lift=0.012)


def _medium(hair: Hair):
    _fall(hair, 1.75 + 0.4 * hair.d.hair_length, 13, 0.18, 0.12, curl=0.05, start=1.4, name="hairBack")


def _long_end(hair: Hair) -> float:
    """s at which long hair ends, between the waist and the knees."""
    y = (
        hair.body.level(0.55) * (1 - hair.d.hair_length)
        + (0.6 * hair.body.knee_y + 0.4 * hair.body.hip_y) * hair.d.hair_length
    )
    return float(EQUATOR + (hair.head.origin[1] - y) / hair.h + CENTER[1])


def _long(hair: Hair):
    _fall(hair, _long_end(hair), 13, 0.19, 0.12, start=1.45, name="hairBack")


def _hime(hair: Hair):
    _fall(hair, _long_end(hair), 13, 0.18, 0.01, tip=0.8, start=1.45, name="hairBack")
    for side in (-1, 1):
        s = np.linspace(0.3, EQUATOR + 0.52, 12)
        hair.lock(np.full(12, 1.15 * side), s, hair.taper(12, 0.12, 0.85, 0.5), 0.04, 0.02)


def _tie(hair: Hair, phi, s, size=0.07) -> np.ndarray:
    """A ring that binds a tail; returns where the tail starts."""
    p = hair.point(phi, s, 0.02)
    out = p - (hair.head.origin + hair.h * CENTER)
    out /= np.linalg.norm(out)
    centers = p + hair.h * np.array([-0.01, 0.0, 0.035, 0.045])[:, None] * out
    front = np.cross(out, [0.0, 1, 0])
    front /= np.linalg.norm(front)
    right = np.cross(front, out)
    r = hair.h * size * np.array([0.9, 1.0, 1.0, 0.9])[:, None]
    patch = mesh.sweep(centers, right * r, front * r, shape=mesh.circle(12), weights={"head": 1.0})
    hair.extras.append(patch)
    return p + hair.h * 0.03 * out


def _tail(hair: Hair, name, start, out, length, width, strands=4, rise=0.10):
    """A bundle of strands from a tie: out, then down by gravity."""
    rows = 14
    k = np.linspace(0, 1, rows)
    drop = length * k
    away = rise * np.sin(np.minimum(k * 3.2, 1.0) * np.pi / 2)
    line = start + hair.h * (
        away[:, None] * out + np.stack([0 * k, 0.06 * np.sin(np.pi * np.minimum(1, k * 4)) - drop, 0 * k], -1)
    )
    joints = line[[1, 4, 7, 10, 13]][None]
    chains = Chains(name, "head", joints, False, "hang", 0.15, hair.h * 0.10)
    hair.chains.append(chains)
    along = (np.r_[0, np.arange(rows), rows - 1] - 1) / 3.0
    weights = chains.weights(0 * along, along)
    weights = {n: w[:, None] + np.zeros((rows + 2, 9)) for n, w in weights.items()}
    side = np.cross(out, [0.0, 1.0, 0.0])
    for i in range(strands):
        a = 2 * np.pi * i / strands + 0.5
        spread = hair.h * width * 0.55 * (0.25 + 0.9 * np.sin(np.pi * np.minimum(k * 1.05, 1) ** 0.8))
        offset = spread[:, None] * (np.cos(a) * side + np.sin(a) * out * 0.7)
        end = 1 - hair.rng.uniform(0, 0.10) * (i > 0)
        p = start + (line - start) * [1, end, 1] + offset
        hair.strand(
            p,
            width * mesh.curve(k, [0, 0.12, 0.45, 0.8, 1], [0.45, 0.7, 0.85, 0.55, 0.02]),
            0.85,
            weights,
        )


def _scalp(hair: Hair):
    """Flat locks that cover the back of the skull, for hair that is tied up."""
    _fall(hair, 1.00, 11, 0.20, 0.03, tip=0.35, start=1.30, curl=-0.03, lift=-0.004, rows=8)


def _tail_length(hair: Hair, start, low, high) -> float:
    length = low + (high - low) * hair.d.hair_length
    return float(min(length, (start[1] - 0.75 * hair.body.knee_y) / hair.h))


def _twin_tails(hair: Hair):
    _scalp(hair)
    high = hair.rng.random() < 0.6
    for side, name in ((1, "left"), (-1, "right")):
        start = _tie(hair, side * 1.75, 0.48 if high else 0.85)
        _tail(
            hair,
            name + "Tail",
            start,
            np.array([side * 1.0, 0.1, -0.25]),
            _tail_length(hair, start, 1.6, 4.2),
            0.15,
            rise=0.30,
        )


def _ponytail(hair: Hair):
    _scalp(hair)
    start = _tie(hair, np.pi, 0.42)
    _tail(hair, "tail", start, np.array([0, 0.15, -1.0]), _tail_length(hair, start, 1.4, 3.4), 0.17, 5, 0.26)


def _side_tail(hair: Hair):
    _scalp(hair)
    side = hair.d.part_side
    start = _tie(hair, side * 1.9, 0.66)
    _tail(
        hair,
        "tail",
        start,
        np.array([side * 1.0, 0.1, -0.2]),
        _tail_length(hair, start, 1.2, 2.4),
        0.16,
        rise=0.26,
    )


def _ball(hair: Hair, center, radius):
    k = np.linspace(0.06, np.pi - 0.06, 9)
    swirl = mesh.circle(14)
    r = hair.h * radius * np.sin(k)[:, None]
    c = center + hair.h * radius * np.stack([0 * k, np.cos(k), 0 * k], -1)
    patch = mesh.sweep(c, r * [1, 0, 0], r * [0, 0, 1], shape=swirl, weights={"head": 1.0})
    patch.uv = patch.uv * [4, 0.45] + [0, 0.05]
    hair.patches.append(patch)


def _bun(hair: Hair):
    _scalp(hair)
    center = _tie(hair, np.pi, 0.45, 0.12)
    _ball(hair, center + hair.h * np.array([0, 0.07, -0.12]), 0.20)


def _two_buns(hair: Hair):
    _scalp(hair)
    for side in (-1, 1):
        center = _tie(hair, side * 1.75, 0.36, 0.10)
        _ball(hair, center + hair.h * np.array([side * 0.08, 0.10, -0.01]), 0.165)


def _braid(hair: Hair):
    """Three-strand look: a row of beads, alternately left and right."""
    _scalp(hair)
    start = hair.point(np.pi, 1.05, 0.0)
    length = _tail_length(hair, start, 1.2, 2.8)
    m = int(np.clip(length / 0.13, 9, 24)) + 1
    line = start + np.stack([0 * np.arange(m), -np.linspace(0, length * hair.h, m), 0 * np.arange(m)], -1)
    line = hair.clear_shoulders(line, np.full(m, np.pi))
    chains = Chains(
        "tail", "head", line[np.linspace(0, m - 1, 5).astype(int)][None], False, "hang", 0.15, hair.h * 0.10
    )
    hair.chains.append(chains)
    for i in range(m - 1):
        size = 0.105 * (1 - 0.35 * i / m)
        c = line[i] + hair.h * np.array([0.035 * (-1) ** i, 0, -0.02])
        k = np.linspace(0.1, np.pi - 0.1, 6)
        r = hair.h * size * np.sin(k)[:, None]
        tilt = np.array([0.35 * (-1) ** i, 1.0, 0])
        centers = c + hair.h * max(1.2 * size, 0.66 * length / m) * np.cos(k)[:, None] * tilt
        w = chains.weights(np.zeros((1, 1)), np.full((1, 1), 4.0 * i / (m - 1)))
        patch = mesh.sweep(centers, r * [1.1, 0, 0], r * [0, 0, 1.0], shape=mesh.circle(9), weights=w)
        patch.uv = patch.uv * [2, 0.4] + [0, 0.3 + 0.4 * i / m]
        hair.patches.append(patch)
    k = np.linspace(0, 1, 6)
    p = line[-2] + np.stack([0 * k, -0.34 * hair.h * k, 0 * k - 0.02 * hair.h], -1)
    w = chains.weights(np.zeros((1, 1)), np.full((1, 1), 4.0))
    hair.strand(p, 0.07 * np.sin(np.pi * (0.25 + 0.75 * k)) ** 0.7 + 0.002, 1.0, w)


def _twin_drills(hair: Hair):
    """Spiral tails."""
    _scalp(hair)
    for side, name in ((1, "left"), (-1, "right")):
        start = _tie(hair, side * 1.75, 0.62)
        start = start + hair.h * np.array([side * 0.10, 0, 0])
        length = _tail_length(hair, start, 1.1, 2.2)
        rows = 34
        k = np.linspace(0, 1, rows)
        line = start + hair.h * np.stack([side * 0.05 * np.sin(k * 3), 0.02 - length * k, 0 * k], -1)
        chains = Chains(
            name + "Tail", "head", line[[0, 11, 22, 33]][None], False, "hang", 0.25, hair.h * 0.12
        )
        hair.chains.append(chains)
        turn = 2 * np.pi * length / 0.34 * k
        wide = 0.10 * mesh.curve(k, [0, 0.2, 0.7, 1], [0.6, 1.15, 0.85, 0.1])
        p = line + hair.h * wide[:, None] * np.stack([side * np.cos(turn), 0 * k, np.sin(turn)], -1)
        along = np.r_[0, np.arange(rows), rows - 1] / 11.0
        w = {n: x[:, None] + np.zeros((rows + 2, 9)) for n, x in chains.weights(0 * along, along).items()}
        hair.strand(p, 0.115 * mesh.curve(k, [0, 0.15, 0.7, 1], [0.7, 1.0, 0.8, 0.1]), 1.0, w)


def _spiky(hair: Hair):
    """Locks that stand off the skull."""
    u = hair.rng.uniform
    _fall(hair, 1.12, 12, 0.19, 0.10, curl=0.05, start=1.42)
    for s0, count, reach in ((0.05, 4, 0.26), (0.22, 7, 0.28), (0.46, 8, 0.24), (0.70, 8, 0.15)):
        for i in range(count):
            phi = 2 * np.pi * (i + u(-0.2, 0.2)) / count + 0.3
            if np.cos(phi) > (0.72 if s0 < 0.6 else 0.2) and s0 > 0.2:
                continue
            k = np.linspace(0, 1, 8)
            s = s0 - 0.06 + 0.30 * k * u(0.8, 1.2)
            wide = 0.20 * mesh.curve(k, [0, 0.3, 1], [0.9, 0.85, 0.0]) * (0.7 + 0.3 * (s0 > 0.1))
            lift = u(0.85, 1.15) * reach * k**1.15 - 0.02
            hair.lock(np.full(8, phi), s, wide, 0.085 * (1 - 0.8 * k), lift, bend=u(-0.25, 0.25))


_STYLES = {
    "short": _short,
    "bob": _bob,
    "medium": _medium,
    "long": _long,
    "hime": _hime,
    "twin_tails": _twin_tails,
    "ponytail": _ponytail,
    "side_tail": _side_tail,
    "bun": _bun,
    "two_buns": _two_buns,
    "braid": _braid,
    "twin_drills": _twin_drills,
    "spiky": _spiky,
}
