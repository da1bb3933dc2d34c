"""Skirts: a shell that hangs from the waist, on a ring of bone chains."""

import numpy as np

from anime_pt.avatars.procedural.body import Body
from anime_pt.avatars.procedural.chains import Chains
from anime_pt.avatars.procedural.mesh import Patch, lerp, smoothstep

CHAINS = 16
_ROOT = 0.30  # trunk level of the first joints: just above the thighs
_WIDEST = 0.13


class Skirt:
    """A skirt from trunk level `waist` down to height `hem` (body units).

    Attributes:
      patch: the outer surface; rows go down, columns around.
      chains: its bones.
    """

    def __init__(
        self,
        body: Body,
        waist: float,
        hem: float,
        flare: float,
        pleats: int = 0,
        ripple: float = 0.0,
        gap: float = 0.006,
        start: float = 0.34,
    ):
        """Lays out a skirt.

        Args:
          body: whose hips carry it.
          waist: trunk level of its top.
          hem: height of its lower edge.
          flare: outward run per length of fall.
          pleats: number of knife pleats, or 0.
          ripple: depth of soft folds at the hem.
          gap: distance from the skin at the hips.
          start: trunk level where the flare begins.
        """
        self.body, self.flare, self.gap, self.start = body, flare, gap, start
        top = float(body.level(waist))
        drop = body.level(_ROOT) - hem
        segments = int(np.clip(round(drop / (0.075 + 0.03 * body.chibi)), 2, 5))
        y = np.linspace(float(body.level(_ROOT)), hem, segments + 1)
        angles = 2 * np.pi * np.arange(CHAINS) / CHAINS
        joints = self.point(y[None], angles[:, None])
        self.chains = Chains("skirt", "hips", joints, True, "skirt", 0.5, 0.016)
        columns = max(48, pleats * 4)
        rows = 6 + int(10 * (top - hem) / 0.35)
        k = np.linspace(0, 1, rows)[:, None]
        angle = np.linspace(0, 1, columns + 1)[None] * 2 * np.pi
        yy = top + (hem - top) * k + 0 * angle
        wave = 0 * angle
        if pleats:
            phase = (angle / (2 * np.pi) * pleats) % 1
            wave = 0.013 * (np.where(phase < 0.75, phase / 0.75, (1 - phase) / 0.25) - 0.5)
        elif ripple:
            wave = ripple * np.cos(angle * 9)
        swell = smoothstep(k, 0.05, 0.7) * (0.6 + 0.4 * k)
        p = self.point(yy, angle, wave * swell)
        across = angle / (2 * np.pi) * CHAINS
        along = (y[0] - yy) / (y[0] - y[1])
        weights = self.chains.weights(across + 0 * yy, along)
        # the waistband moves like the top that it overlaps
        band = weights.pop("hips")
        weights |= {bone: w * band for bone, w in body.torso.weights(-yy).items()}
        uv = np.stack([angle / (2 * np.pi) + 0 * yy, k + 0 * angle], -1)
        self.patch = Patch(p, weights, uv, wrap=True)

    def point(self, y, angle, offset=0.0) -> np.ndarray:
        """Points at height `y` in direction `angle` (0 back, a half turn front)."""
        y, angle, offset = np.broadcast_arrays(np.asarray(y, float), np.asarray(angle, float), offset)
        widest = float(self.body.level(_WIDEST))
        t = -np.maximum(y, widest)
        fall = np.maximum(float(self.body.level(self.start)) - y, 0)
        out = self.flare * fall * (1 - 0.25 * np.minimum(fall / 0.4, 1))
        tight = min(self.gap, 0.005)  # at the waist, where a top may lie over it
        gap = tight + (self.gap - tight) * smoothstep(-y, -self.body.level(0.42), -self.body.level(0.25))
        p = self.body.torso.point(t, angle, gap + out + offset)
        p[..., 1] = y
        return p


def leg_share(body: Body, share: float) -> float:
    """Height of a hem that covers `share` of the leg."""
    return float(lerp(body.hip_y + 0.02, body.ankle_y, share))
