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
CENTER = np.array([0.0, 0.545, -0.035])
_COLUMNS = 8  # of a lock
EQUATOR = 0.80  # s at which locks leave the skull


class Hair:
    """Builds one style; `cap`, `patches` (locks), `extras` (ties), `shadows` on the face, `chains`."""

    def __init__(self, head: Head, rng: np.random.Generator):
        self.head, self.body, self.d = head, head.body, head.body.d
        self.h = head.size
        self.rng = rng
        self.patches: list[Patch] = []
        self.extras: list[Patch] = []
        self.shadows: list[Patch] = []
        self.chains: list[Chains] = []
        self.radii = _RADII * [1 + 0.05 * self.body.chibi, 1, 1]
        self.volume = self.d.hair_volume
        self._cap()
        self._bangs()
        if self.d.side_locks and self.d.hair not in ("bob", "hime"):
            self._side_locks()
        if self.d.ahoge:
            self._ahoge()

    # -- the common surface

    def point(self, phi, s, lift=0.0, root=None) -> np.ndarray:
        """Points of the hair surface, `lift` head heights outside of it, in body units.

        `root` is the `phi` that tells whether they fall before or behind the shoulders.
        """
        phi, s, lift = np.broadcast_arrays(*(np.asarray(a, float) for a in (phi, s, lift)))
        theta = np.minimum(s, EQUATOR) / EQUATOR * np.radians(97)
        over = np.maximum(s - EQUATOR, 0)
        grow = self.radii * (0.94 + 0.06 * self.volume) + lift[..., None]
        x = np.sin(theta) * np.sin(phi) * grow[..., 0]
        z = np.sin(theta) * np.cos(phi) * grow[..., 2]
        y = np.cos(theta) * grow[..., 1] - over
        z = z - 0.05 * (1 - np.sin(theta))
        p = self.head.origin + self.h * (CENTER + np.stack([x, y, z], -1))
        return self.clear_shoulders(p, phi if root is None else root)

    def clear_shoulders(self, p, phi):
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

    def lock(self, phi, s, width, thick, lift=0.02, weights=None, bend=0.0, curl=0.0, shadow=False):
        """Adds one lock.

        Args:
          phi, s: (r,) centre line.
          width, thick, lift: (r,) or scalar, in head heights.
          weights: function of (phi, s), or None for the head alone.
          bend: turn in phi toward the tip.
          curl: how far the tip stands out (positive) or in.
          shadow: whether it throws a shadow on the face.
        """
        phi, s, width, thick, lift = np.broadcast_arrays(
            *(np.asarray(a, float) for a in (phi, s, width, thick, lift))
        )
        k = np.linspace(0, 1, len(s))
        a = np.linspace(0, 2 * np.pi, _COLUMNS + 1)
        across, bulge = -np.sin(a), -np.cos(a)
        bulge = np.where(bulge > 0, bulge, 0.35 * bulge)
        ring = np.maximum(np.sin(np.minimum(s, EQUATOR) / EQUATOR * np.pi / 2), 0.12) * self.radii[0]
        phis = phi[:, None] + bend * k[:, None] ** 2 + across * (width / ring)[:, None]
        lifts = (lift + curl * k**3)[:, None] + bulge * thick[:, None]
        p = self.point(phis, s[:, None], lifts, phi[:, None])
        if shadow:
            self._throw_shadow(p[:, 2:7])
        p = np.concatenate(
            [p[:1, :-1].mean(1, keepdims=True) + 0 * p[:1], p, 0 * p[-1:] + p[-1, :-1].mean(0)]
        )
        k, s, phi = np.r_[0, k, 1], np.r_[s[0], s, s[-1]], np.r_[phi[0], phi, phi[-1]]
        tip = np.maximum(s - EQUATOR, 0) / max(s[-1] - EQUATOR, 0.45)
        v = 0.5 * np.minimum(s / EQUATOR, 1) + 0.5 * tip
        uv = np.stack(np.broadcast_arrays(0.5 + 0.5 * across, v[:, None]), -1)
        shares = weights(phi, s) if weights else {"head": np.ones(len(s))}
        full = np.zeros(p.shape[:2])
        shares = {bone: w[:, None] + full for bone, w in shares.items()}
        outline = (0.25 + 0.75 * mesh.smoothstep(k, 0.0, 0.35))[:, None] + full
        # Towards the common surface, so that locks shade alike and not each by itself.
        out = p - (self.head.origin + self.h * CENTER)
        out[s > EQUATOR, :, 1] = 0
        out /= np.linalg.norm(out, axis=-1, keepdims=True) + 1e-9
        own = mesh.grid_normals(p, True)
        share = 0.4 * (np.sum(own * out, -1, keepdims=True) > 0)
        self.patches.append(Patch(p, shares, uv, normals=own * (1 - share) + out * share, outline=outline))

    def _throw_shadow(self, p):
        """Lays a lock's shape (r, c, 3) on the face, a little down and to the side away from the light."""
        q = (p - self.head.origin) / self.h - np.array([0.014, 0.040, 0])
        y = np.clip(q[..., 1], 0.02, 0.97)
        width = self.head.section(y)[0]
        angle = self.head.angle_of(np.clip(q[..., 0], -0.97 * width, 0.97 * width), y)
        self.shadows.append(
            Patch(
                self.head.point(y, angle, 0.008),
                {"head": 1.0},
                mesh.grid_uv(*y.shape),
                wrap=False,
                outline=0.0,
            )
        )

    def taper(self, rows, width, tip=0.0, full=0.45, root=0.6):
        """Width along a lock: `root` share at the start, full in the middle, `tip` share at the end."""
        k = np.linspace(0, 1, rows)
        return width * mesh.curve(k, [0, full, 0.8, 1], [root, 1, 0.55 + 0.45 * tip, tip])

    # -- parts that most styles share

    def _cap(self):
        """Skull cap with a hairline, so that no skin shows between locks."""
        phi = np.linspace(-np.pi, np.pi, 33)
        a = np.abs(phi)
        end = mesh.curve(a, [0, 0.6, 1.0, 1.35, 1.75, 2.4, np.pi], [0.50, 0.52, 0.62, 0.93, 0.99, 1.10, 1.13])
        k = np.linspace(0, 1, 12)[:, None]
        s = k * end[None]
        edge = mesh.smoothstep(k, 0.82, 1.0)
        lift = -0.012 - 0.035 * edge - np.maximum(s - EQUATOR, 0) * 0.34
        p = self.point(phi[None] + 0 * s, s, lift)
        uv = np.stack(np.broadcast_arrays(phi[None] / np.pi * 2.5, 0.5 * s / EQUATOR), -1)
        uv[..., 1] = np.minimum(uv[..., 1], 0.6)
        self.cap = Patch(p, {"head": 1.0}, uv)

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
            s = 0.08 + (end - 0.08) * k
            bend = {"parted": 0.30 * np.sign(phi), "swept": 0.38 * side}.get(kind, 0.10 * np.sign(phi))
            start = phi * 0.75 if kind != "parted" else 0.10 * np.sign(phi) + 0.55 * phi
            if kind == "swept":
                start = phi * 0.8 - 0.30 * side
            line = start + (phi - start) * mesh.smoothstep(k, 0, 0.8)
            self.lock(
                line,
                s,
                self.taper(rows, width * u(0.92, 1.08), tip),
                0.040 * (1 - 0.5 * k**3),
                0.012 + 0.010 * (n % 2),
                bend=bend * (0 if tip else 1),
                shadow=True,
            )

    def _side_locks(self):
        """A lock in front of each ear."""
        length = self.rng.uniform(0.35, 0.75)
        if self.d.hair in ("long", "twin_tails", "braid") and self.rng.random() < 0.5:
            length = self.rng.uniform(0.7, 1.1)
        for side in (-1, 1):
            for k, (phi, share) in enumerate(((1.16, 1.0), (1.38, 0.85))):
                end = EQUATOR + length * share
                s = np.linspace(0.3, end, 12)
                self.lock(
                    np.full(12, phi * side),
                    s,
                    self.taper(12, 0.085, 0.0, 0.5),
                    0.035,
                    0.010 + 0.008 * k,
                    curl=-0.03,
                )

    def _ahoge(self):
        k = np.linspace(0, 1, 11)
        side = self.d.part_side
        start = self.point(0.0, 0.02, -0.03)
        bend = np.stack([side * 0.24 * np.sin(2.7 * k) * k**0.3, 0.30 * np.sin(2.2 * k), 0.14 * k**2], -1)
        self.strand(
            start + self.h * bend, 0.040 * mesh.curve(k, [0, 0.4, 0.8, 1], [0.45, 1.0, 0.6, 0.02]), flat=0.45
        )

    def strand(self, p, radius, flat=1.0, weights=None, segments=8):
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
