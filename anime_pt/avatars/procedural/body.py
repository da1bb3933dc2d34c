"""Measurements, bones and bare surfaces of a body; clothes are the same surfaces, a little larger.

Units are the total height, soles at y = 0, top of the skull at y = 1; `build` scales to metres. The rest
pose is an A-pose, since arms hang more often than they rise.
"""

import dataclasses
import functools

import numpy as np

from anime_pt.avatars.procedural import mesh
from anime_pt.avatars.procedural.description import Description
from anime_pt.avatars.procedural.mesh import Patch, lerp

ARM_DROP = np.radians(40)  # below the horizontal, in rest


@dataclasses.dataclass
class Tube:
    """A limb or the trunk: ring sizes along a straight or slightly bent centre line.

    Attributes:
      knots: (n,) increasing positions along the tube.
      centers: (n, 3).
      right, front: unit half axes; right x front points along the tube.
      widths, fronts, backs: (n,) half sizes of the rings.
      bones, cuts, blends: the chain of bones; see `mesh.chain_weights`.
      power: exponent of the superellipse.
    """

    knots: np.ndarray
    centers: np.ndarray
    right: np.ndarray
    front: np.ndarray
    widths: np.ndarray
    fronts: np.ndarray
    backs: np.ndarray
    bones: tuple[str, ...]
    cuts: tuple[float, ...]
    blends: tuple[float, ...]
    power: float = 2.0

    @functools.cached_property
    def _curve(self) -> mesh.Curve:
        sizes = np.stack([self.widths, self.fronts, self.backs], 1)
        return mesh.Curve(self.knots, np.concatenate([self.centers, sizes], 1))

    def frame(self, t):
        """Centres (..., 3) and half sizes (...): width, front, back; at `t`."""
        v = self._curve(np.asarray(t, float))
        return v[..., :3], v[..., 3], v[..., 4], v[..., 5]

    def point(self, t, angle, offset=0.0) -> np.ndarray:
        """Surface points; angle 0 is the back, a quarter turn is the right side, a half turn the front."""
        t, angle, offset = np.broadcast_arrays(
            np.asarray(t, float), np.asarray(angle, float), np.asarray(offset, float)
        )
        center, width, front, back = self.frame(t.ravel())
        s, c = -np.sin(angle.ravel()), -np.cos(angle.ravel())
        e = 2 / self.power
        s, c = np.sign(s) * np.abs(s) ** e, np.sign(c) * np.abs(c) ** e
        depth = np.where(c > 0, front, back)
        o = offset.ravel()
        p = center + ((width + o) * s)[:, None] * self.right + ((depth + o) * c)[:, None] * self.front
        return p.reshape(*t.shape, 3)

    def weights(self, t) -> dict[str, np.ndarray]:
        return mesh.chain_weights(np.asarray(t, float), self.bones, self.cuts, self.blends)

    def patch(
        self, start, end, offset=0.0, rows=12, columns=16, close=(False, False), angles=(0, 1)
    ) -> Patch:
        """The surface from knot `start` to `end`, larger by `offset` (a number or a function of t, angle).

        `start` and `end` may be functions of the angle. `close` pulls the first and last row to a point.
        `angles` in turns cuts out a sector.
        """
        angle = np.linspace(angles[0], angles[1], columns + 1) * 2 * np.pi
        if callable(start) or callable(end):
            first = start(angle) if callable(start) else start + 0 * angle
            last = end(angle) if callable(end) else end + 0 * angle
            tt = first + np.linspace(0, 1, rows)[:, None] * (last - first)
            aa = np.broadcast_to(angle, tt.shape)
            start, end = first.min(), last.max()
        else:
            tt, aa = np.meshgrid(self.rows(start, end, rows), angle, indexing="ij")
        o = offset(tt, aa) if callable(offset) else offset
        p = self.point(tt, aa, o)
        uv = np.stack([aa / (2 * np.pi), (tt - start) / (end - start)], -1)
        whole = angles == (0, 1)
        for row, on in ((0, close[0]), (-1, close[1])):
            if on:
                middle = p[row, :-1].mean(0) + 0 * p[row]
                order = (middle[None], p) if row == 0 else (p, middle[None])
                p = np.concatenate(order)
                uv = np.concatenate([uv[:1], uv] if row == 0 else [uv, uv[-1:]])
                tt = np.concatenate([tt[:1], tt] if row == 0 else [tt, tt[-1:]])
        return Patch(p, self.weights(tt), uv, wrap=whole)

    def rows(self, start: float, end: float, count: int) -> np.ndarray:
        """Even rows, and where weights change a row before, at and after the cut."""
        joints = [
            cut + blend * k for cut, blend in zip(self.cuts, self.blends, strict=True) for k in (-1, 0, 1)
        ]
        step = (end - start) / (count - 1)
        t = np.array(sorted({round(float(x), 5) for x in joints if start + 1e-4 < x < end - 1e-4}))
        even = np.linspace(start, end, count)
        if len(t):
            near = np.abs(even[:, None] - t).min(1) < 0.4 * step
            near[[0, -1]] = False
            even = even[~near]
        return np.sort(np.concatenate([even, t]))


class Body:
    """Where everything is; made from a `Description`."""

    def __init__(self, d: Description):
        self.d = d
        chibi = self.chibi = float(mesh.smoothstep(6.4 - d.heads, 0.0, 3.9))
        m = d.masculinity * (1 - 0.6 * chibi)
        self.head_height = hh = 1 / d.heads
        self.chin = 1 - hh
        self.shoulder_y = self.chin - lerp(0.047, 0.012, chibi) - 0.004 * m
        self.crotch = self.chin * lerp(0.572, 0.44, chibi)
        trunk = self.trunk = self.shoulder_y - self.crotch
        self.hip_y = self.crotch + lerp(0.032, 0.02, chibi)
        self.ankle_y = lerp(0.042, 0.038, chibi)
        self.knee_y = self.ankle_y + (self.hip_y - self.ankle_y) * 0.49
        girth = self.girth = d.weight * lerp(1, 1.12, chibi)
        self.shoulder_x = float(lerp(lerp(0.086, 0.112, m), 0.094, chibi))
        self.hip_x = float(lerp(lerp(0.0485, 0.047, m), 0.051, chibi))
        self.upper_arm, self.forearm = trunk * lerp(0.455, 0.44, chibi), trunk * lerp(0.42, 0.40, chibi)
        self.hand_length = float(lerp(0.090, 0.082, chibi))
        self.arm_direction = np.array([np.cos(ARM_DROP), -np.sin(ARM_DROP), 0.0])
        self.shoulder = np.array(
            [self.shoulder_x, self.shoulder_y - float(lerp(0.024, 0.026, chibi)), -0.004]
        )
        self.elbow = self.shoulder + self.upper_arm * self.arm_direction
        self.wrist = self.elbow + self.forearm * self.arm_direction
        self.hip = np.array([self.hip_x, self.hip_y, 0.0])
        self.knee = np.array([self.hip_x * 0.97, self.knee_y, 0.003])
        self.ankle = np.array([self.hip_x * 0.94, self.ankle_y, -0.010])
        self.torso = self._torso(m, chibi, girth)
        self.arm = self._arm(m, chibi, girth)
        self.leg = self._leg(m, chibi, girth)
        self.neck_radius = float(lerp(lerp(0.0228, 0.0295, m), 0.028, chibi))

    def level(self, f):
        """Height at a fraction of the trunk: 0 crotch, 1 shoulders."""
        return self.crotch + np.asarray(f, float) * self.trunk

    def _torso(self, m, chibi, girth) -> Tube:
        f = np.array([-0.10, 0.0, 0.10, 0.22, 0.36, 0.50, 0.64, 0.78, 0.90, 0.98, 1.05, 1.10])
        fem = [0.034, 0.062, 0.084, 0.085, 0.073, 0.0595, 0.064, 0.073, 0.077, 0.071, 0.046, 0.027]
        masc = [0.034, 0.058, 0.076, 0.079, 0.074, 0.0715, 0.080, 0.091, 0.097, 0.090, 0.058, 0.034]
        baby = [0.036, 0.068, 0.088, 0.095, 0.096, 0.092, 0.088, 0.084, 0.082, 0.074, 0.052, 0.032]
        front = [0.030, 0.047, 0.052, 0.050, 0.047, 0.044, 0.049, 0.054, 0.047, 0.038, 0.028, 0.022]
        back = [0.032, 0.052, 0.060, 0.057, 0.044, 0.039, 0.043, 0.048, 0.046, 0.041, 0.034, 0.027]
        thick = [0.036, 0.060, 0.074, 0.082, 0.083, 0.078, 0.070, 0.062, 0.052, 0.042, 0.033, 0.030]
        w = lerp(lerp(fem, masc, m), baby, chibi) * girth
        zf = lerp(lerp(front, np.array(front) * 1.10, m), thick, chibi) * girth
        zb = lerp(lerp(back, np.array(back) * 1.04, m), np.array(thick) * 0.9, chibi) * girth
        # the trunk must not be wider than the shoulders that the arms bring
        w[7:] = np.minimum(w[7:], self.shoulder_x * np.array([0.95, 0.93, 0.84, 0.56, 0.42]))
        w[-1] = max(w[-1], 0.026)
        y = self.level(f)
        y[-1] = max(y[-1], y[-2] + 0.004)
        centers = np.stack([0 * y, y, np.interp(f, [0, 0.5, 1.1], [-0.002, 0.002, -0.006])], -1)
        return Tube(
            -y[::-1],
            centers[::-1],
            np.array([1.0, 0, 0]),
            np.array([0, 0, 1.0]),
            w[::-1],
            zf[::-1],
            zb[::-1],
            ("chest", "spine", "hips"),
            (-self.level(0.62), -self.level(0.36)),
            (0.11 * self.trunk,) * 2,
            2.25,
        )

    def bust_offset(self, tt: np.ndarray, aa: np.ndarray) -> np.ndarray:
        """How far the chest stands out; the same for skin and clothes."""
        if self.d.bust <= 0:
            return np.zeros_like(tt)
        y = -tt
        side = np.exp(-(((np.abs(np.sin(aa)) - 0.46) / 0.30) ** 2)) * mesh.smoothstep(-np.cos(aa), 0.0, 0.3)
        height = self.level(0.735)
        up = np.where(y > height, 0.085, 0.055) * self.trunk / 0.32 * 0.5
        return 0.027 * self.d.bust * side * np.exp(-(((y - height) / (up * 1.3)) ** 2))

    def _arm(self, m, chibi, girth) -> Tube:
        length = self.upper_arm + self.forearm
        ua = self.upper_arm
        t = np.array([-0.030, -0.012, 0.006, 0.25 * ua, 0.62 * ua, ua, ua + 0.22 * self.forearm, length])
        adult = np.array([0.0165, 0.0210, 0.0232, 0.0226, 0.0205, 0.0182, 0.0196, 0.0128]) * (1 + 0.22 * m)
        baby = [0.020, 0.027, 0.0310, 0.0315, 0.0305, 0.0285, 0.0270, 0.0200]
        r = lerp(adult, baby, chibi) * girth
        d = self.arm_direction
        front = np.array([0, 0, 1.0])
        # the root turns level, so that it stays under the slope of the shoulder
        inward = np.where(t[:, None] < 0, np.array([1.0, 0.12, 0]), d)
        return Tube(
            t, self.shoulder + t[:, None] * inward, np.cross(front, d), front, r, r * 0.97, r * 0.97,
            ("chest", "leftDeltoid", "leftUpperArm", "leftElbow", "leftLowerArm", "leftForearm"),
            (-0.012, 0.014, ua - 0.011, ua + 0.011, ua + 0.55 * self.forearm),
            (0.012, 0.014, 0.011, 0.011, 0.3 * self.forearm),
        )  # fmt: skip

    def _leg(self, m, chibi, girth) -> Tube:
        hip, knee, ankle = -self.hip_y, -self.knee_y, -self.ankle_y
        thigh, shin = knee - hip, ankle - knee
        t = np.array(
            [hip - 0.045, hip - 0.02, hip + 0.12 * thigh, hip + 0.5 * thigh, knee - 0.02, knee,
             knee + 0.12 * shin, knee + 0.30 * shin, knee + 0.6 * shin, ankle - 0.012, ankle + 0.018]
        )  # fmt: skip
        adult = np.array(
            [0.030, 0.042, 0.0455, 0.0385, 0.0295, 0.0265, 0.0260, 0.0295, 0.0240, 0.0165, 0.0170]
        )
        baby = np.array(
            [0.034, 0.046, 0.0490, 0.0455, 0.0415, 0.0400, 0.0390, 0.0385, 0.0360, 0.0320, 0.0320]
        )
        r = lerp(adult * (1 + 0.05 * m), baby, chibi) * girth
        r[:4] = np.minimum(r[:4], self.hip_x - 0.001)
        x = np.interp(t, [hip, knee, ankle], [self.hip[0], self.knee[0], self.ankle[0]])
        z = np.interp(t, [hip, knee, knee + 0.3 * shin, ankle], [0, 0.004, -0.004, -0.010])
        return Tube(
            t, np.stack([x, -t, z], -1), np.array([1.0, 0, 0]), np.array([0, 0, 1.0]), r, r * 1.02, r * 1.04,
            ("hips", "leftThigh", "leftUpperLeg", "leftKnee", "leftLowerLeg", "leftFoot"),
            (hip - 0.012, hip + 0.016, knee - 0.014, knee + 0.014, ankle),
            (0.014, 0.016, 0.014, 0.014, 0.010),
        )  # fmt: skip

    def bones(self) -> dict[str, tuple[str | None, np.ndarray]]:
        """Bone name -> (parent, rest position), parents first."""
        arm = lambda x: self.shoulder + x * self.arm_direction
        up = lambda f: np.array([0, self.level(f), -0.002])
        bones: dict[str, tuple[str | None, np.ndarray]] = {
            "hips": (None, np.array([0, self.hip_y + 0.012, 0.0])),
            "spine": ("hips", up(0.36)),
            "chest": ("spine", up(0.62)),
            "neck": ("chest", np.array([0, self.shoulder_y + 0.006, -0.006])),
            "head": ("neck", np.array([0, self.chin + 0.02 * self.head_height, -0.006])),
        }
        left = {
            "Shoulder": ("chest", np.array([0.25 * self.shoulder_x, self.shoulder_y - 0.006, -0.004])),
            "UpperArm": ("Shoulder", self.shoulder),
            "LowerArm": ("UpperArm", self.elbow),
            "Hand": ("LowerArm", self.wrist),
            "UpperLeg": ("hips", self.hip),
            "LowerLeg": ("UpperLeg", self.knee),
            "Foot": ("LowerLeg", self.ankle),
            # helpers that take half of a joint's turn; see `motion`
            "Deltoid": ("Shoulder", self.shoulder),
            "Elbow": ("UpperArm", self.elbow),
            "Forearm": ("LowerArm", arm(self.upper_arm + 0.5 * self.forearm)),
            "Thigh": ("hips", self.hip),
            "Knee": ("UpperLeg", self.knee),
        }
        for side, sign in (("left", 1.0), ("right", -1.0)):
            for name, (parent, p) in left.items():
                parent = parent if parent in ("hips", "chest") else side + parent
                bones[side + name] = (parent, p * [sign, 1, 1])
        return bones
