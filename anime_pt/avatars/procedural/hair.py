"""Hair from overlapping locks that run over a common surface: down the skull, then straight down.

The surface has coordinates `phi`, the direction from the crown (0 front, positive to the character's left),
and `s`, the way down from the crown in head heights; a lock is a lens-shaped strip in (phi, s).
"""

import numpy as np
from PIL import Image, ImageDraw

from anime_pt.avatars.procedural import mesh
from anime_pt.avatars.procedural.chains import Chains
from anime_pt.avatars.procedural.head import Head
from anime_pt.avatars.procedural.mesh import Patch
from anime_pt.avatars.procedural.palette import luma, mix

_RADII = np.array([0.455, 0.510, 0.475])
_CENTER = np.array([0.0, 0.545, -0.035])
_EQUATOR = 0.80  # s at which locks leave the skull


class Hair:
    """Builds all locks of one style; `patches`, `extras` (ties) and `chains` are ready after init."""

    def __init__(self, head: Head, rng: np.random.Generator):
        self.head, self.body, self.d = head, head.body, head.body.d
        self.h = head.size
        self.rng = rng
        self.patches: list[Patch] = []
        self.extras: list[Patch] = []
        self.chains: list[Chains] = []
        self.radii = _RADII * [1 + 0.05 * self.body.chibi, 1, 1]
        self.volume = self.d.hair_volume
        self._cap()
        self._bangs()
        if self.d.side_locks and self.d.hair not in ("bob", "hime"):
            self._side_locks()
        getattr(self, "_" + self.d.hair)()
        if self.d.ahoge:
            self._ahoge()

    # -- the common surface

    def point(self, phi, s, lift=0.0) -> np.ndarray:
        """Points of the hair surface, `lift` head heights outside of it, in body units."""
        phi, s, lift = np.broadcast_arrays(*(np.asarray(a, float) for a in (phi, s, lift)))
        theta = np.minimum(s, _EQUATOR) / _EQUATOR * np.radians(97)
        over = np.maximum(s - _EQUATOR, 0)
        grow = self.radii * (0.94 + 0.06 * self.volume) + lift[..., None]
        x = np.sin(theta) * np.sin(phi) * grow[..., 0]
        z = np.sin(theta) * np.cos(phi) * grow[..., 2]
        y = np.cos(theta) * grow[..., 1] - over
        z = z - 0.05 * (1 - np.sin(theta))
        p = self.head.origin + self.h * (_CENTER + np.stack([x, y, z], -1))
        return self._clear_shoulders(p, phi)

    def _clear_shoulders(self, p, phi):
        """Moves what hangs at the sides in front of or behind the shoulders."""
        body = self.body
        low = mesh.smoothstep(-p[..., 1], -(body.chin + 0.16 * self.h), -body.shoulder_y + 0.01)
        back = 0.052 + 0.012 * body.chibi + 0.004
        behind = np.cos(phi) < 0.28
        aim = np.where(
            behind, np.minimum(p[..., 2], -back), np.maximum(p[..., 2], back + 0.006 + 0.02 * self.d.bust)
        )
        p = p.copy()
        p[..., 2] += low * (aim - p[..., 2])
        squeeze = np.where(behind, 1 - 0.10 * low, 1 - 0.12 * low)
        p[..., 0] *= squeeze
        return p

    def lock(self, phi, s, width, thick, lift=0.02, columns=8, weights=None, bend=0.0, curl=0.0, blunt=False):
        """Adds one lock.

        Args:
          phi, s: (r,) centre line. `width`, `thick`, `lift`: (r,) or scalar, head heights.
          curl: pushes the last third outward (positive) or inward.
          blunt: ends in an edge instead of a point.
        """
        phi, s = np.broadcast_arrays(np.asarray(phi, float), np.asarray(s, float))
        r = len(s)
        k = np.linspace(0, 1, r)
        width, thick, lift = (np.broadcast_to(np.asarray(a, float), (r,)) for a in (width, thick, lift))
        a = np.linspace(0, 2 * np.pi, columns + 1)
        across, bulge = -np.sin(a), -np.cos(a)
        bulge = np.where(bulge > 0, bulge, 0.35 * bulge)
        theta = np.minimum(s, _EQUATOR) / _EQUATOR * np.pi / 2
        ring = np.maximum(np.sin(theta), 0.12) * self.radii[0]
        pp = phi[:, None] + bend * k[:, None] ** 2 + across * (width / ring)[:, None]
        ll = (lift + curl * k**3)[:, None] + bulge * thick[:, None]
        p = self.point(pp, s[:, None] + 0 * pp, ll)
        ends = (
            p[:1, :-1].mean(1, keepdims=True) + 0 * p[:1],
            p[-1:, :-1].mean(1, keepdims=True) + 0 * p[-1:],
        )
        p = np.concatenate([ends[0], p, ends[1]])
        kk = np.r_[0, k, 1]
        ss = np.r_[s[0], s, s[-1]]
        top = np.minimum(ss / _EQUATOR, 1) * 0.5
        length = s[-1] - _EQUATOR
        v = top + np.where(ss > _EQUATOR, 0.5 * (ss - _EQUATOR) / max(length, 0.45), 0)
        uv = np.stack(np.broadcast_arrays(0.5 + 0.5 * across, v[:, None]), -1)
        w = weights(np.r_[phi[0], phi, phi[-1]], ss) if weights else {"head": 1.0}
        w = {
            n: (x[:, None] if isinstance(x, np.ndarray) else x) + np.zeros((r + 2, columns + 1))
            for n, x in w.items()
        }
        outline = (0.25 + 0.75 * mesh.smoothstep(kk, 0.0, 0.35))[:, None] + 0 * p[..., 0]
        center = self.head.origin + self.h * _CENTER
        radial = (p - center) * [1, 0, 1] + np.where(ss < _EQUATOR, p[..., 1].T - center[1], 0).T[
            ..., None
        ] * [0, 1, 0]
        radial /= np.linalg.norm(radial, axis=-1, keepdims=True) + 1e-9
        own = mesh.grid_normals(p, True)
        outside = (np.sum(own * radial, -1, keepdims=True) > 0) * 0.4
        n = own * (1 - outside) + radial * outside
        n /= np.linalg.norm(n, axis=-1, keepdims=True) + 1e-9
        del blunt
        self.patches.append(Patch(p, w, uv, normals=n, outline=outline))

    def _taper(self, rows, width, tip=0.0, full=0.45, root=0.6):
        """Width along a lock: `root` share at the start, full in the middle, `tip` share at the end."""
        k = np.linspace(0, 1, rows)
        return width * mesh.curve(k, [0, full, 0.8, 1], [root, 1, 0.55 + 0.45 * tip, tip])

    # -- parts that most styles share

    def _cap(self):
        """Skull cap with a hairline, so that no skin shows between locks."""
        phi = np.linspace(-np.pi, np.pi, 33)
        a = np.abs(phi)
        end = mesh.curve(a, [0, 0.6, 1.0, 1.35, 1.75, 2.4, np.pi], [0.50, 0.52, 0.62, 0.95, 1.02, 1.16, 1.20])
        k = np.linspace(0, 1, 12)[:, None]
        s = k * end[None]
        edge = mesh.smoothstep(k, 0.82, 1.0)
        lift = -0.012 - 0.035 * edge - np.maximum(s - _EQUATOR, 0) * 0.22
        p = self.point(phi[None] + 0 * s, s, lift)
        uv = np.stack(np.broadcast_arrays(phi[None] / np.pi * 2.5, 0.5 * s / _EQUATOR), -1)
        uv[..., 1] = np.minimum(uv[..., 1], 0.6)
        self.patches.append(Patch(p, {"head": 1.0}, uv, outline=0.6))

    def _bangs(self):
        """Locks over the forehead."""
        u, kind, side = self.rng.uniform, self.d.bangs, self.d.part_side
        chibi = self.body.chibi
        brow = 0.715 + 0.03 * (1 - chibi)  # s at which straight bangs end, just above the eyes
        rows = 8
        if kind == "straight":
            phis, ends, tip, width = np.linspace(-0.92, 0.92, 7), np.full(7, brow), 0.75, 0.125
        elif kind == "zigzag":
            phis, tip, width = np.linspace(-0.98, 0.98, 8), 0.0, 0.13
            ends = brow + np.array([u(-0.05, 0.10) for _ in phis]) + 0.10 * (np.abs(phis) > 0.7)
        elif kind == "parted":
            phis, tip, width = np.array([-1.0, -0.72, -0.42, 0.42, 0.72, 1.0]), 0.0, 0.135
            ends = brow + np.array([0.22, 0.10, -0.05, -0.05, 0.10, 0.22])
        elif kind == "swept":
            phis, tip, width = np.linspace(-0.95, 0.95, 7), 0.0, 0.14
            ends = brow + 0.04 + 0.12 * (np.abs(phis) > 0.8) + np.array([u(-0.03, 0.05) for _ in phis])
        else:  # between_eyes
            phis, tip, width = np.array([-0.98, -0.70, -0.40, 0.03, 0.42, 0.70, 0.98]), 0.0, 0.125
            ends = brow + np.array([0.12, 0.04, 0.0, 0.17, 0.0, 0.04, 0.12])
        order = np.argsort(np.abs(phis - 0.05), kind="stable")
        for n, i in enumerate(order):
            phi, end = phis[i], ends[i]
            k = np.linspace(0, 1, rows)
            s = 0.16 + (end - 0.16) * k
            bend = {"parted": 0.30 * np.sign(phi), "swept": 0.38 * side}.get(kind, 0.10 * np.sign(phi))
            start = phi * 0.75 if kind != "parted" else 0.10 * np.sign(phi) + 0.55 * phi
            if kind == "swept":
                start = phi * 0.8 - 0.30 * side
            line = start + (phi - start) * mesh.smoothstep(k, 0, 0.8)
            self.lock(line, s, self._taper(rows, width * u(0.92, 1.08), tip), 0.040 * (1 - 0.5 * k**3),
                      0.012 + 0.010 * (n % 2), bend=bend * (0 if tip else 1))  # fmt: skip

    def _side_locks(self):
        """A lock in front of each ear."""
        length = self.rng.uniform(0.35, 0.75)
        if self.d.hair in ("long", "twin_tails", "braid") and self.rng.random() < 0.5:
            length = self.rng.uniform(0.7, 1.1)
        for side in (-1, 1):
            for k, (phi, share) in enumerate(((1.16, 1.0), (1.38, 0.85))):
                end = _EQUATOR + length * share
                s = np.linspace(0.3, end, 12)
                self.lock(np.full(12, phi * side), s, self._taper(12, 0.085, 0.0, 0.5), 0.035, 0.010 + 0.008 * k,
                          curl=-0.03)  # fmt: skip

    def _ahoge(self):
        k = np.linspace(0, 1, 9)
        side = self.d.part_side
        start = self.point(0.0, 0.02, 0.0)
        p = start + self.h * np.stack(
            [side * (0.22 * np.sin(2.4 * k)), 0.24 * np.sin(np.pi * k * 0.62), 0.10 * k], -1
        )
        self._strand(p, 0.030 * (1 - k) ** 0.7 + 0.002, flat=0.4)

    def _strand(self, p, radius, flat=1.0, weights=None, segments=8):
        """A free tube of hair along points `p` (r, 3), radius in head heights."""
        axis = np.gradient(p, axis=0)
        axis /= np.linalg.norm(axis, axis=1, keepdims=True)
        front = np.array([0.0, 0, 1.0]) - axis * axis[:, 2:]
        front /= np.linalg.norm(front, axis=1, keepdims=True) + 1e-9
        right = np.cross(front, axis)
        r = self.h * np.asarray(radius)[:, None]
        patch = mesh.sweep(p, right * r, front * r * flat, shape=mesh.circle(segments))
        k = np.linspace(0, 1, len(patch.positions))[:, None]
        patch.uv = np.stack(np.broadcast_arrays(patch.uv[..., 0] * 3, 0.3 + 0.7 * k), -1)
        patch.weights = weights or {"head": 1.0}
        self.patches.append(patch)

    # -- styles

    def _fall(
        self, end, count, width, jag=0.12, tip=0.0, curl=0.0, start=1.35, name=None, lift=0.0, rows=None
    ):
        """Locks around the back of the head from ear to ear, ending near `end`."""
        u = self.rng.uniform
        rows = rows or (9 if end < 1.8 else 13)
        weights = self._back_chains(end, name) if name else None
        phis = np.linspace(start, 2 * np.pi - start, count)
        order = np.r_[np.arange(0, count, 2), np.arange(1, count, 2)]
        for n, i in enumerate(order):
            top = n >= (count + 1) // 2
            stop = end * (1 + u(-jag, jag * 0.3)) - (0.1 if top else 0)
            s = np.linspace(0.10, stop, rows)
            self.lock(np.full(rows, phis[i] + u(-0.03, 0.03)), s, self._taper(rows, width, tip, 0.35, 0.35), 0.05,
                      lift + 0.018 * top - 0.004, curl=curl, weights=weights)  # fmt: skip

    def _back_chains(self, end, name):
        """Bones for hair that hangs behind the trunk."""
        count, segments = 5, 4 if end > 2.0 else 3
        phis = np.linspace(1.75, 2 * np.pi - 1.75, count)
        s = np.linspace(_EQUATOR + 0.25, max(end, _EQUATOR + 0.6), segments + 1)
        joints = self.point(phis[:, None], s[None], 0.0)
        chains = Chains(name, "head", joints, False, "hang", 0.15, 0.012)
        self.chains.append(chains)

        def weights(phi, s_at):
            across = (phi % (2 * np.pi) - phis[0]) / (phis[1] - phis[0])
            return chains.weights(across, (s_at - s[0]) / (s[1] - s[0]))

        return weights

    def _short(self):
        self._fall(1.02 + 0.24 * self.d.hair_length, 12, 0.19, 0.10, curl=0.02, start=1.42)

    def _bob(self):
        end = 1.38 + 0.22 * self.d.hair_length
        self._fall(end, 15, 0.17, 0.03, tip=0.55, curl=-0.06, start=1.02, lift=0.012)

    def _medium(self):
        self._fall(1.75 + 0.4 * self.d.hair_length, 13, 0.18, 0.12, curl=0.05, start=1.4, name="hairBack")

    def _long_end(self) -> float:
        """s at which long hair ends, between the waist and the knees."""
        y = (
            self.body.level(0.55) * (1 - self.d.hair_length)
            + (0.6 * self.body.knee_y + 0.4 * self.body.hip_y) * self.d.hair_length
        )
        return float(_EQUATOR + (self.head.origin[1] - y) / self.h + _CENTER[1])

    def _long(self):
        self._fall(self._long_end(), 13, 0.19, 0.12, start=1.45, name="hairBack")

    def _hime(self):
        self._fall(self._long_end(), 13, 0.18, 0.01, tip=0.8, start=1.45, name="hairBack")
        for side in (-1, 1):
            s = np.linspace(0.3, _EQUATOR + 0.52, 12)
            self.lock(np.full(12, 1.15 * side), s, self._taper(12, 0.12, 0.85, 0.5), 0.04, 0.02)

    def _tie(self, phi, s, size=0.07) -> np.ndarray:
        """A ring that binds a tail; returns where the tail starts."""
        p = self.point(phi, s, 0.02)
        out = p - (self.head.origin + self.h * _CENTER)
        out /= np.linalg.norm(out)
        centers = p + self.h * np.array([-0.01, 0.0, 0.035, 0.045])[:, None] * out
        front = np.cross(out, [0.0, 1, 0])
        front /= np.linalg.norm(front)
        right = np.cross(front, out)
        r = self.h * size * np.array([0.9, 1.0, 1.0, 0.9])[:, None]
        patch = mesh.sweep(centers, right * r, front * r, shape=mesh.circle(12), weights={"head": 1.0})
        self.extras.append(patch)
        return p + self.h * 0.03 * out

    def _tail(self, name, start, out, length, width, strands=4, rise=0.10):
        """A bundle of strands from a tie: out, then down by gravity."""
        rows = 14
        k = np.linspace(0, 1, rows)
        drop = length * k
        away = rise * np.sin(np.minimum(k * 3.2, 1.0) * np.pi / 2)
        line = start + self.h * (
            away[:, None] * out
            + np.stack([0 * k, 0.06 * np.sin(np.pi * np.minimum(1, k * 4)) - drop, 0 * k], -1)
        )
        joints = line[[1, 4, 7, 10, 13]][None]
        chains = Chains(name, "head", joints, False, "hang", 0.15, self.h * 0.10)
        self.chains.append(chains)
        along = (np.r_[0, np.arange(rows), rows - 1] - 1) / 3.0
        weights = chains.weights(0 * along, along)
        weights = {n: w[:, None] + np.zeros((rows + 2, 9)) for n, w in weights.items()}
        side = np.cross(out, [0.0, 1.0, 0.0])
        for i in range(strands):
            a = 2 * np.pi * i / strands + 0.5
            spread = self.h * width * 0.55 * (0.25 + 0.9 * np.sin(np.pi * np.minimum(k * 1.05, 1) ** 0.8))
            offset = spread[:, None] * (np.cos(a) * side + np.sin(a) * out * 0.7)
            end = 1 - self.rng.uniform(0, 0.10) * (i > 0)
            p = start + (line - start) * [1, end, 1] + offset
            self._strand(
                p,
                width * mesh.curve(k, [0, 0.12, 0.45, 0.8, 1], [0.45, 0.7, 0.85, 0.55, 0.02]),
                0.85,
                weights,
            )

    def _scalp(self):
        """Flat locks that cover the back of the skull, for hair that is tied up."""
        self._fall(1.04, 11, 0.20, 0.03, tip=0.3, start=1.30, curl=-0.12, lift=-0.006, rows=9)

    def _tail_length(self, start, low, high) -> float:
        length = low + (high - low) * self.d.hair_length
        return float(min(length, (start[1] - 0.75 * self.body.knee_y) / self.h))

    def _twin_tails(self):
        self._scalp()
        high = self.rng.random() < 0.6
        for side, name in ((1, "left"), (-1, "right")):
            start = self._tie(side * 1.75, 0.48 if high else 0.85)
            self._tail(
                name + "Tail",
                start,
                np.array([side * 1.0, 0.1, -0.25]),
                self._tail_length(start, 1.6, 4.2),
                0.15,
                rise=0.30,
            )

    def _ponytail(self):
        self._scalp()
        start = self._tie(np.pi, 0.42)
        self._tail(
            "tail", start, np.array([0, 0.15, -1.0]), self._tail_length(start, 1.4, 3.4), 0.17, 5, 0.26
        )

    def _side_tail(self):
        self._scalp()
        side = self.d.part_side
        start = self._tie(side * 1.9, 0.66)
        self._tail(
            "tail",
            start,
            np.array([side * 1.0, 0.1, -0.2]),
            self._tail_length(start, 1.2, 2.4),
            0.16,
            rise=0.26,
        )

    def _ball(self, center, radius):
        k = np.linspace(0.06, np.pi - 0.06, 9)
        swirl = mesh.circle(14)
        r = self.h * radius * np.sin(k)[:, None]
        c = center + self.h * radius * np.stack([0 * k, np.cos(k), 0 * k], -1)
        patch = mesh.sweep(c, r * [1, 0, 0], r * [0, 0, 1], shape=swirl, weights={"head": 1.0})
        patch.uv = patch.uv * [4, 0.45] + [0, 0.05]
        self.patches.append(patch)

    def _bun(self):
        self._scalp()
        center = self._tie(np.pi, 0.45, 0.12)
        self._ball(center + self.h * np.array([0, 0.07, -0.12]), 0.20)

    def _two_buns(self):
        self._scalp()
        for side in (-1, 1):
            center = self._tie(side * 1.75, 0.36, 0.10)
            self._ball(center + self.h * np.array([side * 0.08, 0.10, -0.01]), 0.165)

    def _braid(self):
        """Three-strand look: a row of beads, alternately left and right."""
        self._scalp()
        start = self.point(np.pi, 1.05, 0.0)
        length = self._tail_length(start, 1.2, 2.8)
        m = 16
        line = start + np.stack([0 * np.arange(m), -np.linspace(0, length * self.h, m), 0 * np.arange(m)], -1)
        line = self._clear_shoulders(line, np.full(m, np.pi))
        chains = Chains("tail", "head", line[[0, 4, 8, 12, 15]][None], False, "hang", 0.15, self.h * 0.10)
        self.chains.append(chains)
        for i in range(m - 1):
            size = 0.105 * (1 - 0.55 * i / m)
            c = line[i] + self.h * np.array([0.035 * (-1) ** i, 0, -0.02])
            k = np.linspace(0.1, np.pi - 0.1, 6)
            r = self.h * size * np.sin(k)[:, None]
            tilt = np.array([0.35 * (-1) ** i, 1.0, 0])
            centers = c + self.h * size * 1.2 * np.cos(k)[:, None] * tilt
            w = chains.weights(np.zeros((1, 1)), np.full((1, 1), i / 4.0))
            patch = mesh.sweep(centers, r * [1.1, 0, 0], r * [0, 0, 1.0], shape=mesh.circle(9), weights=w)
            patch.uv = patch.uv * [2, 0.4] + [0, 0.3 + 0.4 * i / m]
            self.patches.append(patch)
        k = np.linspace(0, 1, 6)
        p = line[-1] + np.stack([0 * k, -0.28 * self.h * k, 0 * k], -1)
        w = chains.weights(np.zeros((1, 1)), np.full((1, 1), 4.0))
        self._strand(p, 0.07 * np.sin(np.pi * (0.25 + 0.75 * k)) ** 0.7 + 0.002, 1.0, w)

    def _twin_drills(self):
        """Spiral tails."""
        self._scalp()
        for side, name in ((1, "left"), (-1, "right")):
            start = self._tie(side * 1.75, 0.62)
            start = start + self.h * np.array([side * 0.10, 0, 0])
            length = self._tail_length(start, 1.1, 2.2)
            rows = 34
            k = np.linspace(0, 1, rows)
            line = start + self.h * np.stack([side * 0.05 * np.sin(k * 3), 0.02 - length * k, 0 * k], -1)
            chains = Chains(
                name + "Tail", "head", line[[0, 11, 22, 33]][None], False, "hang", 0.25, self.h * 0.12
            )
            self.chains.append(chains)
            turn = 2 * np.pi * length / 0.34 * k
            wide = 0.10 * mesh.curve(k, [0, 0.2, 0.7, 1], [0.6, 1.15, 0.85, 0.1])
            p = line + self.h * wide[:, None] * np.stack([side * np.cos(turn), 0 * k, np.sin(turn)], -1)
            along = np.r_[0, np.arange(rows), rows - 1] / 11.0
            w = {n: x[:, None] + np.zeros((rows + 2, 9)) for n, x in chains.weights(0 * along, along).items()}
            self._strand(p, 0.115 * mesh.curve(k, [0, 0.15, 0.7, 1], [0.7, 1.0, 0.8, 0.1]), 1.0, w)

    def _spiky(self):
        """Locks that stand off the skull."""
        u = self.rng.uniform
        self._fall(1.12, 12, 0.19, 0.10, curl=0.05, start=1.42)
        for s0, count, reach in ((0.05, 4, 0.26), (0.22, 7, 0.28), (0.46, 8, 0.24), (0.70, 8, 0.15)):
            for i in range(count):
                phi = 2 * np.pi * (i + u(-0.2, 0.2)) / count + 0.3
                if np.cos(phi) > (0.72 if s0 < 0.6 else 0.2) and s0 > 0.2:
                    continue
                k = np.linspace(0, 1, 8)
                s = s0 - 0.06 + 0.30 * k * u(0.8, 1.2)
                wide = 0.20 * mesh.curve(k, [0, 0.3, 1], [0.9, 0.85, 0.0]) * (0.7 + 0.3 * (s0 > 0.1))
                lift = u(0.85, 1.15) * reach * k**1.15 - 0.02
                self.lock(np.full(8, phi), s, wide, 0.085 * (1 - 0.8 * k), lift, bend=u(-0.25, 0.25))


def texture(d, size: int = 128) -> np.ndarray:
    """(size, size, 4) uint8: u across a lock; v 0 crown, 0.5 where it leaves the skull, 1 the tip."""
    v = (np.arange(size) + 0.5) / size
    tip = mesh.smoothstep(v, 0.55, 0.98)[:, None, None]
    root = 0.05 * mesh.smoothstep(-v, -0.16, 0.0)[:, None, None]
    rgb = np.array(d.hair_color) * (1 - tip) + np.array(d.hair_tips) * tip
    rgb = np.broadcast_to(rgb * (1 - 2 * root), (size, size, 3))
    image = Image.fromarray(np.round(rgb * 255).astype(np.uint8)).resize((size * 2, size * 2))
    draw = ImageDraw.Draw(image)
    strength = 0.20 + 0.25 * luma(d.hair_color)
    shine = tuple(
        int(255 * min(1, c)) for c in mix(tuple(1.25 * c for c in d.hair_color), (1, 1, 1), strength)
    )
    points = 4
    top, bottom = [], []
    for i in range(points * 2 + 1):
        x = i / (points * 2) * size * 2
        up = i % 2 == 0
        top.append((x, size * 2 * (0.245 if up else 0.215)))
        bottom.append((x, size * 2 * (0.265 if up else 0.330)))
    draw.polygon(top + bottom[::-1], fill=shine)
    # lines between locks, and one strand on each
    ink = (*(int(255 * c) for c in mix(d.hair_color, (0.10, 0.05, 0.12), 0.38)),)
    for x, w in ((0.0, 8), (1.0, 8), (0.40, 2)):
        draw.line(
            [(x * size * 2, size * (0.36 if w > 2 else 0.75)), (x * size * 2, size * 2)], fill=ink, width=w
        )
    out = np.full((size, size, 4), 255, np.uint8)
    out[..., :3] = np.asarray(image.reduce(2))
    return out
