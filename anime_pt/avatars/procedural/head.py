"""The skull as stacked half-ellipses with a real profile, ears, neck, and the landmarks of the face."""

import numpy as np

from anime_pt.avatars.procedural import mesh
from anime_pt.avatars.procedural.body import Body
from anime_pt.avatars.procedural.mesh import Patch, lerp

# Head heights above the chin, then half width, and z of the front, the widest line and the back.
_LEVELS = np.array(
    [
        # y, width, front, middle, back
        [0.000, 0.020, 0.330, 0.300, 0.270],
        [0.012, 0.070, 0.352, 0.275, 0.200],
        [0.045, 0.130, 0.364, 0.215, 0.090],
        [0.100, 0.205, 0.366, 0.150, -0.020],
        [0.170, 0.275, 0.362, 0.090, -0.130],
        [0.260, 0.337, 0.364, 0.040, -0.250],
        [0.350, 0.372, 0.368, 0.000, -0.335],
        [0.450, 0.392, 0.372, -0.020, -0.395],
        [0.560, 0.404, 0.388, -0.030, -0.435],
        [0.680, 0.402, 0.392, -0.035, -0.445],
        [0.780, 0.378, 0.362, -0.040, -0.420],
        [0.870, 0.318, 0.294, -0.045, -0.360],
        [0.940, 0.225, 0.196, -0.050, -0.270],
        [0.985, 0.110, 0.080, -0.050, -0.160],
        [1.000, 0.000, -0.050, -0.050, -0.050],
    ]
)


class Head:
    """Surface of the head; `point` takes y in head heights above the chin and an angle around the axis."""

    def __init__(self, body: Body):
        self.body = body
        self.size = body.head_height
        self.origin = np.array([0.0, body.chin, -0.01 * self.size])
        levels = _LEVELS.copy()
        chibi, m = body.chibi, body.d.masculinity
        y = levels[:, 0]
        # small children have wide cheeks and a short jaw; grown men a longer one
        levels[:, 1] *= 1 + chibi * 0.14 * np.exp(-(((y - 0.25) / 0.22) ** 2)) + 0.05 * chibi
        levels[:, 1] *= 1 + 0.07 * m * (1 - chibi) * np.exp(-(((y - 0.12) / 0.12) ** 2))
        levels[:, 1] *= lerp(0.97, 1.0, chibi)
        self._section = mesh.Curve(levels[:, 0], levels[:, 1:])
        self.eye_y = float(lerp(0.415 + 0.01 * m, 0.385, chibi))
        self.nose_y = float(lerp(0.235, 0.245, chibi))
        self.mouth_y = float(lerp(0.135, 0.150, chibi))
        self.nose_size = float(lerp(0.052 + 0.012 * m, 0.026, chibi))

    def section(self, y):
        """Half width and front, middle, back z at heights `y`, each of the shape of `y`."""
        return tuple(np.moveaxis(self._section(y), -1, 0))

    def point(self, y, angle, offset=0.0) -> np.ndarray:
        """Surface points in body units. Angle 0 is the front, positive to the character's left."""
        y, angle, offset = np.broadcast_arrays(
            np.asarray(y, float), np.asarray(angle, float), np.asarray(offset, float)
        )
        width, front, middle, back = self.section(y)
        s, c = np.sin(angle), np.cos(angle)
        # a flatter front gives the face a plane for the eyes to lie on
        power = np.where(c > 0, 2.2, 2.0)
        sx, cz = np.sign(s) * np.abs(s) ** (2 / power), np.sign(c) * np.abs(c) ** (2 / power)
        depth = np.where(c > 0, front - middle, middle - back)
        x = (width + offset) * sx
        z = middle + (depth + offset) * cz
        z = z + np.where(c > 0, self._relief(x, y), 0)
        return self.origin + self.size * np.stack([x, y, z], -1)

    def _relief(self, x, y):
        """Nose, eye sockets and lips in profile."""
        dy = y - self.nose_y
        width = 0.026 + 0.020 * np.clip(0.12 - dy, 0, 0.2) / 0.2
        bridge = np.where(dy > 0, np.exp(-((dy / 0.085) ** 2)), np.exp(-((dy / 0.028) ** 2)))
        nose = self.nose_size * bridge * np.exp(-((x / width) ** 2))
        # a dent between brow and cheek
        sockets = (
            -0.020 * np.exp(-(((y - self.eye_y) / 0.10) ** 2)) * np.exp(-(((np.abs(x) - 0.19) / 0.13) ** 2))
        )
        lips = 0.010 * np.exp(-(((y - self.mouth_y) / 0.035) ** 2)) * np.exp(-((x / 0.06) ** 2))
        return nose + sockets + lips

    def angle_of(self, x, y) -> np.ndarray:
        """Angles at which the front surface has the given x (head heights)."""
        share = np.clip(x / self.section(np.asarray(y, float))[0], -1, 1)
        return np.arcsin(np.sign(share) * np.abs(share) ** 1.1)

    def skin(self) -> Patch:
        """The head, denser at the face."""
        y = np.sort(np.r_[np.linspace(0, 1, 18), np.linspace(0.17, 0.36, 8), 0.006, 0.992])[::-1]
        u = np.linspace(-1, 1, 37)
        angle = np.pi * (0.35 * u + 0.65 * u**3)
        yy, aa = np.meshgrid(y, angle, indexing="ij")
        yy, aa = (np.concatenate([a, a[-1:]]) for a in (yy, aa))
        p = self.point(yy, aa)
        p[-1] = p[-2, :-1].mean(0)  # closes the chin
        patch = Patch(p, {"head": 1.0}, mesh.grid_uv(*yy.shape))
        # Shade the face as one smooth form: anime draws no shadow of brow or cheek.
        center = self.origin + self.size * np.array([0, 0.5, -0.12])
        soft = p - center
        soft[..., 1] *= 0.55
        soft /= np.linalg.norm(soft, axis=-1, keepdims=True)
        true = mesh.grid_normals(p, True)
        under = mesh.smoothstep(-yy, -0.10, -0.01)[..., None]
        face = mesh.smoothstep(np.cos(aa), -0.2, 0.5)[..., None] * (1 - under)
        n = true * (1 - 0.88 * face) + soft * 0.88 * face
        patch.normals = n / np.linalg.norm(n, axis=-1, keepdims=True)
        return patch

    def ear(self) -> tuple[Patch, Patch]:
        """Left ear, and the darker hollow in it."""
        base = self.point(np.float64(self.eye_y - 0.045), np.pi * 0.555)
        a = -2 * np.pi * np.linspace(0, 1, 17)
        # Outline in (back, up), like a D that is pointed below; the rim stands away from the skull.
        back = 0.052 * (1 - np.cos(a)) * (1 + 0.25 * np.sin(a))
        up = 0.095 * np.sin(a) + 0.25 * back
        rim = np.stack([0.022 + 0.42 * back, up, -back], -1)
        middle = rim.mean(0)
        ring = lambda s, x: middle + (rim - middle) * s + [x, 0, 0]
        root = rim * [0.0, 0.8, 0.8] + [-0.05, 0, 0]
        shell = np.stack(
            [0 * rim + middle, ring(0.6, -0.006), ring(0.8, 0.0), ring(1.0, 0.006), ring(1.0, -0.012), root]
        )
        hollow = np.stack([0 * rim + middle + [0.006, 0, 0], ring(0.45, 0.0), ring(0.68, 0.001)])
        make = lambda p: Patch(base + self.size * p, {"head": 1.0}, mesh.grid_uv(*p.shape[:2]))
        shell, hollow = make(shell), make(hollow)
        hollow.outline = 0.0
        return shell, hollow

    def neck(self) -> Patch:
        """From inside the collar up into the head."""
        body = self.body
        r = body.neck_radius
        low, high = body.shoulder_y - 0.02, body.chin + 0.16 * self.size
        y = np.linspace(high, low, 9)
        k = (y - low) / (high - low)
        centers = np.stack([0 * y, y, -0.006 - 0.004 * (1 - k) - 0.05 * self.size * k], -1)
        radius = r * (1 + 0.45 * (1 - k) ** 3)
        axis = lambda v: radius[:, None] * np.array(v, float)
        patch = mesh.sweep(centers, axis([1, 0, 0]), axis([0, 0, 0.95]), shape=mesh.circle(16))
        yy = patch.positions[..., 1]
        patch.weights = mesh.chain_weights(
            yy, ("chest", "neck", "head"), (body.shoulder_y + 0.004, body.chin + 0.004), (0.012, 0.012)
        )
        top = body.chin + 0.02 * self.size
        patch.uv = np.stack([patch.uv[..., 0], np.clip((top - yy) / (top - low), 0.01, 0.99)], -1)
        return patch

    def landmarks(self) -> dict[str, tuple[str, np.ndarray]]:
        """Keypoint name -> (bone, position)."""
        eye = self.point(np.float64(self.eye_y), self.eye_angle)
        ear = self.point(np.float64(self.eye_y - 0.04), np.pi * 0.545, 0.03)
        flip = np.array([-1.0, 1, 1])
        return {
            "nose": ("head", self.point(np.float64(self.nose_y), 0.0)),
            "left_eye": ("head", eye),
            "right_eye": ("head", eye * flip),
            "left_ear": ("head", ear),
            "right_ear": ("head", ear * flip),
            "head_top": ("head", self.origin + self.size * np.array([0, 1.0, -0.05])),
        }

    @property
    def eye_angle(self) -> float:
        """Angle of the centre of the left eye."""
        return float(self.angle_of(lerp(0.185, 0.205, self.body.chibi), self.eye_y))
