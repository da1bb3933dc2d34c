"""Small closed shapes for accessories; all in body units, weighted to one bone."""

import numpy as np

from anime_pt.avatars.procedural import mesh
from anime_pt.avatars.procedural.mesh import Patch

Vec = np.ndarray


def unit(v) -> Vec:
    v = np.asarray(v, float)
    return v / (np.linalg.norm(v, axis=-1, keepdims=True) + 1e-12)


def ball(center, radii, weights, rows: int = 7, columns: int = 10) -> Patch:
    """An ellipsoid with axis-aligned half sizes `radii`."""
    k = np.linspace(0.08, np.pi - 0.08, rows)
    rx, ry, rz = np.broadcast_to(radii, 3)
    c = np.asarray(center, float) + np.stack([0 * k, ry * np.cos(k), 0 * k], -1)
    s = np.sin(k)[:, None]
    return mesh.sweep(c, s * [rx, 0, 0], s * [0, 0, rz], shape=mesh.circle(columns), weights=weights)


def tube(
    points, radius, weights, flat: float = 1.0, normal=(0.0, 0.0, 1.0), columns: int = 8, power=2.0
) -> Patch:
    """A tube along `points` (r, 3); `flat` scales it along `normal`."""
    p = np.asarray(points, float)
    axis = unit(np.gradient(p, axis=0))
    normal = np.broadcast_to(np.asarray(normal, float), p.shape)
    front = unit(normal - axis * np.sum(axis * normal, -1, keepdims=True))
    right = np.cross(front, axis)
    r = np.broadcast_to(np.asarray(radius, float), (len(p),))[:, None]
    return mesh.sweep(p, right * r, front * r * flat, shape=mesh.circle(columns, power), weights=weights)


def ring(
    center, normal, radius, thick, weights, columns: int = 24, flat: float = 1.0, arc=(0.0, 1.0)
) -> Patch:
    """A torus, or a part of one; `arc` in turns from the side nearest +X."""
    normal = unit(normal)
    x = unit(np.cross([0.0, 1.0, 0.0] if abs(normal[1]) < 0.9 else [0.0, 0.0, 1.0], normal))
    y = np.cross(normal, x)
    a = 2 * np.pi * np.linspace(arc[0], arc[1], columns)
    rx, ry = np.broadcast_to(radius, 2)
    p = np.asarray(center) + rx * np.cos(a)[:, None] * x + ry * np.sin(a)[:, None] * y
    right = unit(rx * np.cos(a)[:, None] * x + ry * np.sin(a)[:, None] * y)
    axis = unit(np.gradient(p, axis=0))
    if arc == (0.0, 1.0):
        axis[0] = axis[-1] = unit(-rx * np.sin(0) * x + ry * np.cos(0) * y)
    front = np.cross(axis, right)
    patch = mesh.sweep(p, right * thick, front * thick * flat, shape=mesh.circle(8), weights=weights)
    return patch


def plate(outline, center, right, up, thick, weights, dome: float = 0.0) -> Patch:
    """A flat shape with closed `outline` (n, 2) in the plane of `right` and `up`, facing right x up."""
    xy = np.asarray(outline, float)
    if np.abs(xy[0] - xy[-1]).max() > 1e-9:
        xy = np.concatenate([xy, xy[:1]])
    # rows run from the middle of the front over the rim to the middle of the back
    x, y = xy[:, 0], xy[:, 1]
    if np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) < 0:
        xy = xy[::-1]
    middle = xy[:-1].mean(0)
    normal = np.cross(right, up)
    rows = []
    for scale, depth in ((0.0, 0.5 + dome), (0.55, 0.5 + 0.7 * dome), (1.0, 0.5), (1.0, -0.5), (0.0, -0.5)):
        q = middle + (xy - middle) * scale
        rows.append(np.asarray(center) + q[:, :1] * right + q[:, 1:] * up + depth * thick * normal)
    return Patch(np.stack(rows), weights, mesh.grid_uv(5, len(xy)))


def bow(center, right, up, size, weights, tails: float = 0.8) -> list[Patch]:
    """A ribbon tied in a bow that faces right x up."""
    center, right, up = np.asarray(center, float), unit(right), unit(up)
    normal = np.cross(right, up)
    parts = []
    for s in (-1.0, 1.0):
        k = np.linspace(0, 1, 7)
        p = center + size * (
            s * k[:, None] * right
            + (0.12 * np.sin(np.pi * k))[:, None] * up * 1.2
            + 0.10 * np.sin(np.pi * k)[:, None] * normal
        )
        wide = size * np.array([0.14, 0.30, 0.46, 0.56, 0.60, 0.52, 0.25])
        parts.append(tube(p, wide, weights, 0.32, normal))
        if tails:
            q = center + size * (
                (s * (0.08 + 0.42 * k))[:, None] * right - (tails * 1.5 * k)[:, None] * up + 0.04 * normal
            )
            parts.append(
                tube(q, size * np.array([0.10, 0.16, 0.19, 0.22, 0.24, 0.25, 0.26]), weights, 0.22, normal)
            )
    knot = center + size * (np.array([[0.20], [0.15], [0], [-0.15], [-0.20]]) * up + 0.10 * normal)
    parts.append(tube(knot, size * np.array([0.12, 0.17, 0.18, 0.17, 0.12]), weights, 0.9, normal))
    return parts
