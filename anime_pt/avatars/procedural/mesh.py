"""Grids of points, from which every part of a character is made, and their assembly into one mesh.

A `Patch` is a (rows, columns) grid. Seen from outside, rows go down and columns go to the right; with that,
one fixed pattern of triangles is counter-clockwise for every part, and normals need no scatter.
"""

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np

from anime_pt.avatars.character import Material

Weights = Mapping[str, np.ndarray | float]  # bone name -> weight, broadcast over the grid


@dataclasses.dataclass
class Patch:
    """A grid of surface points.

    Attributes:
      positions: (r, c, 3), rows down and columns right seen from outside.
      weights: bone name -> (r, c) or scalar; normalised on assembly.
      uv: (r, c, 2), origin top-left.
      wrap: the last column repeats the first.
      normals: (r, c, 3) to use instead of those of the surface.
      outline: (r, c) or scalar, multiplies the material's outline.
    """

    positions: np.ndarray
    weights: Weights
    uv: np.ndarray
    wrap: bool = True
    normals: np.ndarray | None = None
    outline: np.ndarray | float = 1.0

    def mirrored(self) -> "Patch":
        """The same part on the other side of the body: x negated, left and right bones exchanged."""
        flip = np.array([-1.0, 1.0, 1.0])
        turn = lambda a: a[:, ::-1] if isinstance(a, np.ndarray) and a.ndim > 1 and a.shape[1] > 1 else a
        return Patch(
            turn(self.positions) * flip,
            {_other_side(k): turn(w) for k, w in self.weights.items()},
            turn(self.uv),
            self.wrap,
            None if self.normals is None else turn(self.normals) * flip,
            turn(self.outline),
        )

    def reversed(self) -> "Patch":
        """The same surface seen from its other side."""
        turn = lambda a: a[:, ::-1] if isinstance(a, np.ndarray) and a.ndim > 1 and a.shape[1] > 1 else a
        normals = None if self.normals is None else -turn(self.normals)
        weights = {k: turn(w) for k, w in self.weights.items()}
        return Patch(turn(self.positions), weights, turn(self.uv), self.wrap, normals, turn(self.outline))


def _other_side(bone: str) -> str:
    for a, b in (("left", "right"), ("right", "left")):
        if bone.startswith(a):
            return b + bone.removeprefix(a)
    return bone


def grid_uv(rows: int, columns: int) -> np.ndarray:
    """(rows, columns, 2) coordinates that fill the unit square."""
    v, u = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    return np.stack([u, v], -1)


def grid_normals(positions: np.ndarray, wrap: bool) -> np.ndarray:
    """Unit normals (r, c, 3) of a grid, area-weighted; shared at the seam and at collapsed end rows."""
    p = positions
    diagonals = (p[1:, 1:] - p[:-1, :-1], p[1:, :-1] - p[:-1, 1:])
    face = np.cross(diagonals[1], diagonals[0])
    n = np.zeros_like(p)
    n[:-1, :-1] += face
    n[1:, :-1] += face
    n[:-1, 1:] += face
    n[1:, 1:] += face
    if wrap:
        n[:, 0] = n[:, -1] = n[:, 0] + n[:, -1]
    for row in (0, -1):
        if np.ptp(p[row], axis=0).max() < 1e-9:
            n[row] = n[row].mean(0)
    return n / (np.linalg.norm(n, axis=-1, keepdims=True) + 1e-20)


@functools.lru_cache(maxsize=256)
def grid_triangles(rows: int, columns: int) -> np.ndarray:
    """(2 (rows-1) (columns-1), 3) vertex indices into a row-major grid."""
    k = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    a, b, c, d = k[:-1, :-1], k[1:, :-1], k[1:, 1:], k[:-1, 1:]
    quads = np.stack([a, b, c, a, c, d], -1)
    return quads.reshape(-1, 3)


def pchip_slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Slopes (n, k) of the monotone cubic through (x (n,), y (n, k))."""
    h = np.diff(x)[:, None]
    d = np.diff(y, axis=0) / h
    slopes = np.zeros_like(y)
    w1, w2 = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (w1 + w2) / (w1 / d[:-1] + w2 / d[1:])
    slopes[1:-1] = np.where(d[1:] * d[:-1] > 0, mean, 0.0)
    slopes[0], slopes[-1] = d[0], d[-1]
    return slopes


class Curve:
    """Monotone cubics (PCHIP) through knots, several channels at once; constant outside."""

    def __init__(self, xs, ys):
        """Takes knots `xs` (n,) and values `ys` (n, k)."""
        self.xs, self.ys = np.asarray(xs, float), np.asarray(ys, float)
        self.slopes = pchip_slopes(self.xs, self.ys)

    def __call__(self, x) -> np.ndarray:
        """Values of the shape of `x` with a last axis of k channels."""
        xs = self.xs
        x = np.minimum(np.maximum(x, xs[0]), xs[-1])
        i = np.minimum(np.searchsorted(xs, x, side="right") - 1, len(xs) - 2)
        h = xs[i + 1] - xs[i]
        t = (x - xs[i]) / h
        u = 1 - t
        a, b = (1 + 2 * t) * u * u, t * t * (3 - 2 * t)
        c, d = t * u * u * h, -t * t * u * h
        e = np.expand_dims
        return (
            e(a, -1) * self.ys[i]
            + e(b, -1) * self.ys[i + 1]
            + e(c, -1) * self.slopes[i]
            + e(d, -1) * self.slopes[i + 1]
        )


def curve(x, xs, ys) -> np.ndarray:
    """One channel of `Curve`, of the shape of `x`."""
    return Curve(xs, np.asarray(ys, float)[:, None])(x)[..., 0]


def lerp(a, b, t):
    """`a` at t = 0, `b` at t = 1; lists become arrays."""
    return np.asarray(a, float) * (1 - t) + np.asarray(b, float) * t


def smoothstep(x, low: float, high: float):
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


def chain_weights(x: np.ndarray, bones: tuple[str, ...], cuts, widths) -> dict[str, np.ndarray]:
    """Weights along a limb: bone k rules until `cuts[k]`, with a smooth change of half-width `widths[k]`."""
    widths = np.broadcast_to(widths, len(cuts))
    weights, rest = {}, np.ones_like(x)
    for bone, cut, width in zip(bones[:-1], cuts, widths, strict=True):
        after = smoothstep(x, cut - width, cut + width)
        weights[bone] = weights.get(bone, 0.0) + rest * (1 - after)
        rest = rest * after
    weights[bones[-1]] = weights.get(bones[-1], 0.0) + rest
    return weights


def sweep(centers, right, front, uv=None, weights: Weights | None = None, shape=None) -> Patch:
    """A closed tube: an ellipse (or a star-shaped `shape`) moved along points, its ends closed.

    Args:
      centers: (r, 3) points, from the first row to the last.
      right, front: (r, 3) half axes of each ring; `right` x `front` points along the sweep.
      uv: (r, c, 2) or None for the unit square. `shape` sets the number of columns.
      shape: (c, 2) closed outline as factors of (right, front); default 12 points of a circle.
    """
    shape = circle(12) if shape is None else shape
    centers, right, front = (np.asarray(a, float) for a in (centers, right, front))
    ring = shape[None, :, :1] * right[:, None] + shape[None, :, 1:] * front[:, None]
    p = centers[:, None] + ring
    p = np.concatenate([np.broadcast_to(centers[:1, None], p[:1].shape), p, 0 * p[-1:] + centers[-1]])
    return Patch(p, weights or {}, grid_uv(*p.shape[:2]) if uv is None else uv)


@functools.lru_cache(maxsize=64)
def circle(segments: int, power: float = 2.0) -> np.ndarray:
    """(segments + 1, 2) closed superellipse outline, from the back through the right side to the front."""
    a = np.linspace(0, 2 * np.pi, segments + 1)
    xy = np.stack([-np.sin(a), -np.cos(a)], -1)
    return np.sign(xy) * np.abs(xy) ** (2 / power)


class MeshBuilder:
    """Collects patches by material and makes the flat arrays of a `Character`."""

    def __init__(self):
        self.materials: dict[str, Material] = {}
        self._patches: dict[str, list[Patch]] = {}

    def material(self, name: str, **fields) -> str:
        """Declares a material once; later calls with the same name return it unchanged."""
        if name not in self.materials:
            self.materials[name] = Material(name, **fields)
            self._patches[name] = []
        return name

    def add(self, material: str, *patches: Patch):
        """Adds patches to a declared material."""
        self._patches[material].extend(patches)

    def add_pair(self, material: str, *patches: Patch):
        """Adds left parts and their mirror images."""
        for patch in patches:
            self.add(material, patch, patch.mirrored())

    def add_shell(self, outer: str, inner: str, patch: Patch, thickness: float, depth: int | None = 5):
        """Adds an open surface with an inside of another material; the outline closes at the last row.

        The inside covers the last `depth` rows, or all of them.
        """
        normals = grid_normals(patch.positions, patch.wrap)
        down = patch.positions[-1] - patch.positions[-2]
        normals[-1] = down / (np.linalg.norm(down, axis=-1, keepdims=True) + 1e-20)
        lining = patch.positions - thickness * np.where(
            np.arange(len(normals))[:, None, None] < len(normals) - 1, normals, 0
        )
        self.add(outer, dataclasses.replace(patch, normals=normals))
        inside = -normals
        inside[-1] *= -1
        rows = slice(-depth if depth and depth < len(normals) else None, None)
        cut = lambda a: a[rows] if isinstance(a, np.ndarray) and a.ndim and len(a) > 1 else a
        inside_patch = Patch(
            lining[rows],
            {k: cut(w) for k, w in patch.weights.items()},
            cut(patch.uv),
            patch.wrap,
            -inside[rows],
            cut(patch.outline),
        )
        self.add(inner, inside_patch.reversed())

    def arrays(self, bones: dict[str, int], scale: float) -> dict:
        """The mesh fields of `Character`; empty materials are left out."""
        names = [n for n, patches in self._patches.items() if patches]
        names.sort(key=lambda n: self.materials[n].alpha_mode == "blend")
        out = {k: [] for k in ("positions", "normals", "uvs", "joints", "weights", "outline_scale")}
        triangles, owners, count = [], [], 0
        for m, name in enumerate(names):
            for patch in self._patches[name]:
                r, c = patch.positions.shape[:2]
                normals = patch.normals
                if normals is None:
                    normals = grid_normals(patch.positions, patch.wrap)
                length = np.linalg.norm(normals, axis=-1, keepdims=True)
                away = patch.positions - patch.positions.mean((0, 1))  # for points without a surface
                normals = np.where(length > 1e-6, normals, away)
                normals = normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
                joints, weights = _top_four(patch.weights, (r, c), bones)
                out["positions"].append(patch.positions.reshape(-1, 3) * scale)
                out["normals"].append(normals.reshape(-1, 3))
                out["uvs"].append(np.broadcast_to(patch.uv, (r, c, 2)).reshape(-1, 2))
                out["joints"].append(joints)
                out["weights"].append(weights)
                out["outline_scale"].append(np.broadcast_to(patch.outline, (r, c)).reshape(-1))
                index = grid_triangles(r, c) + count
                triangles.append(index)
                owners.append(np.full(len(index), m, np.int32))
                count += r * c
        arrays = {k: np.concatenate(v).astype(np.float32) for k, v in out.items()}
        arrays["joints"] = arrays["joints"].astype(np.int32)
        triangles, owners = np.concatenate(triangles), np.concatenate(owners)
        p = arrays["positions"]
        a, b, c = p[triangles[:, 0]], p[triangles[:, 1]], p[triangles[:, 2]]
        alive = np.abs(np.cross(b - a, c - a)).sum(1) > 1e-12  # end rows collapse to a point
        return arrays | {
            "triangles": triangles[alive],
            "triangle_materials": owners[alive],
            "materials": [self.materials[n] for n in names],
        }


def _top_four(weights: Weights, shape: tuple[int, int], bones: dict[str, int]):
    if len(weights) == 1:
        joints = np.zeros((shape[0] * shape[1], 4), np.int32)
        joints[:, 0] = bones[next(iter(weights))]
        return joints, np.broadcast_to(np.float32([1, 0, 0, 0]), joints.shape)
    dense = np.stack([np.broadcast_to(w, shape).reshape(-1) for w in weights.values()], 1)
    index = np.array([bones[n] for n in weights], np.int32)
    if dense.shape[1] < 4:
        dense = np.pad(dense, ((0, 0), (0, 4 - dense.shape[1])))
        index = np.pad(index, (0, 4 - len(index)))
    order = np.argsort(-dense, axis=1, kind="stable")[:, :4]
    top = np.take_along_axis(dense, order, 1)
    top = top / top.sum(1, keepdims=True)
    return np.where(top > 0, index[order], 0), top
