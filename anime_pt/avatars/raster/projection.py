"""From skinned vertices to samples, for both cameras: the compiled part, and the cut at the near plane.

Depth in the buffers is linear on screen, so that planes and comparisons serve both cameras: metres for the
orthographic one, and `reference - reference^2 / distance` for perspective, which is 0 and counts metres
where the distance is `Lens.reference`.
"""

from typing import NamedTuple

import numpy as np

from anime_pt.avatars.raster.packing import Mesh
from anime_pt.avatars.raster.sampling import kernel


class Lens(NamedTuple):
    """How the buffers' depth relates to metres, in samples; `focal` is 0 for an orthographic camera."""

    focal: float
    x: float
    y: float
    reference: float


class Vertices(NamedTuple):
    """Vertices on screen.

    Attributes:
      screen: (v, 3) float32 x, y in samples and depth.
      hull: (v, 3) float32 the same, moved outwards along the normal.
      shading: (v, 4) float32 n.l in [-1, 1] and the view-space normal: right, up, towards the viewer.
    """

    screen: np.ndarray
    hull: np.ndarray
    shading: np.ndarray


@kernel
def project(mesh, matrices, inverse_scale, light, width, metres, push, focal, near, m, vertices, box):
    """Skins vertices and projects them.

    Perspective ones are left as (x, y) times distance and the distance, and their hulls as an offset on
    screen and in distance per metre of distance, for `cut` and `divide`.

    Args:
      matrices: (b, 3, 4) float32 from rest to samples and depth.
      inverse_scale: metres per sample; in perspective at a distance of one metre.
      light: (3,) float32 towards the light.
      width: samples of outline per unit of `Mesh.outlines`.
      metres: samples of outline per metre; in perspective at a distance of one metre.
      push: depth by which the hull lies behind, of `width`; that of `metres` is added.
      focal, near: of the lens.
      m: (3, 4) float32, scratch.
      vertices: gets the result.
      box: (4,) float64, gets lowest x, y and highest x, y; in perspective nothing of use.
    """
    screen, hull, shading = vertices
    positions, normals, hull_normals = mesh.positions, mesh.normals, mesh.hull_normals
    joints, weights, counts = mesh.joints, mesh.weights, mesh.counts
    box[0], box[1], box[2], box[3] = np.inf, np.inf, -np.inf, -np.inf
    for i in range(len(positions)):
        joint, w = joints[i, 0], weights[i, 0]
        if counts[i] == 1:
            w = np.float32(1.0)
        for r in range(3):
            for c in range(4):
                m[r, c] = w * matrices[joint, r, c]
        for k in range(1, counts[i]):
            joint, w = joints[i, k], weights[i, k]
            for r in range(3):
                for c in range(4):
                    m[r, c] += w * matrices[joint, r, c]
        x, y, z = positions[i, 0], positions[i, 1], positions[i, 2]
        sx = m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3]
        sy = m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3]
        sz = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3]
        screen[i, 0], screen[i, 1], screen[i, 2] = sx, sy, sz
        box[0], box[1] = min(box[0], sx), min(box[1], sy)
        box[2], box[3] = max(box[2], sx), max(box[3], sy)
        x, y, z = normals[i, 0], normals[i, 1], normals[i, 2]
        nx = (m[0, 0] * x + m[0, 1] * y + m[0, 2] * z) * inverse_scale
        ny = -(m[1, 0] * x + m[1, 1] * y + m[1, 2] * z) * inverse_scale
        nz = -(m[2, 0] * x + m[2, 1] * y + m[2, 2] * z)
        inverse = np.float32(1.0) / np.sqrt(nx * nx + ny * ny + nz * nz + np.float32(1e-12))
        nx, ny, nz = nx * inverse, ny * inverse, nz * inverse
        shading[i, 0] = nx * light[0] + ny * light[1] + nz * light[2]
        shading[i, 1], shading[i, 2], shading[i, 3] = nx, ny, nz
        x, y, z = hull_normals[i, 0], hull_normals[i, 1], hull_normals[i, 2]
        if focal == 0.0:
            reach = (width * mesh.outlines[i] + metres * mesh.outline_metres[i]) * inverse_scale
            hull[i, 0] = sx + (m[0, 0] * x + m[0, 1] * y + m[0, 2] * z) * reach
            hull[i, 1] = sy + (m[1, 0] * x + m[1, 1] * y + m[1, 2] * z) * reach
            hull[i, 2] = sz + (push + np.float32(0.5) * metres * mesh.outline_metres[i] * inverse_scale)
        else:
            distance = max(sz, near)
            pixels = width * mesh.outlines[i] + metres * mesh.outline_metres[i] / distance
            # Where a step along the normal goes on screen: less what it comes nearer, seen at an angle.
            nearer = (m[2, 0] * x + m[2, 1] * y + m[2, 2] * z) / distance
            hx = (m[0, 0] * x + m[0, 1] * y + m[0, 2] * z - sx * nearer) * inverse_scale
            hy = (m[1, 0] * x + m[1, 1] * y + m[1, 2] * z - sy * nearer) * inverse_scale
            hull[i, 0], hull[i, 1] = hx * pixels, hy * pixels
            hull[i, 2] = push + np.float32(0.5) * metres * mesh.outline_metres[i] / distance * inverse_scale


@kernel
def divide(vertices, lens, near, box):
    """Finishes `project` for perspective; vertices before the near plane, which nothing uses, become NaN."""
    screen, hull, _ = vertices
    box[0], box[1], box[2], box[3] = np.inf, np.inf, -np.inf, -np.inf
    for i in range(len(screen)):
        z = screen[i, 2]
        if not z >= near:
            screen[i, :], hull[i, :] = np.nan, np.nan
            continue
        x, y = lens.x + screen[i, 0] / z, lens.y + screen[i, 1] / z
        screen[i, 0], screen[i, 1] = x, y
        screen[i, 2] = lens.reference - lens.reference * lens.reference / z
        behind = z + z * hull[i, 2]
        hull[i, 0], hull[i, 1] = x + hull[i, 0], y + hull[i, 1]
        hull[i, 2] = lens.reference - lens.reference * lens.reference / behind
        for k in range(2):
            box[k] = min(box[k], screen[i, k], hull[i, k])
            box[2 + k] = max(box[2 + k], screen[i, k], hull[i, k])


def cut(mesh: Mesh, vertices: Vertices, near: float) -> tuple[Mesh, Vertices]:
    """Cuts triangles at the near plane; what lies before it goes.

    Args:
      mesh: whose triangles are cut; their order is kept.
      vertices: from `project` with a perspective camera, not yet divided.
      near: distance in metres.
    """
    beyond = (vertices.screen[:, 2] >= near)[mesh.triangles]
    whole = beyond.sum(1)
    if (whole == 3).all():
        return mesh, vertices
    crossing = np.flatnonzero((whole == 1) | (whole == 2))
    corners, single = mesh.triangles[crossing], whole[crossing] == 1
    # Turned so that the first corner is alone on its side of the plane.
    alone = np.where(single[:, None] == beyond[crossing], 1, 0).argmax(1)
    corners = np.take_along_axis(corners, (alone[:, None] + np.arange(3)) % 3, 1)
    edges = np.stack([corners[:, [0, 1]], corners[:, [0, 2]]], 1)
    # From beyond to before, so that neighbours find the same point on the edge that they share.
    edges = np.where(single[:, None, None], edges, edges[..., ::-1]).reshape(-1, 2)
    z = vertices.screen[edges, 2].astype(np.float64)
    share = (z[:, 0] - near) / (z[:, 0] - z[:, 1])

    def extended(array: np.ndarray) -> np.ndarray:
        a, b = array[edges[:, 0]].astype(np.float64), array[edges[:, 1]].astype(np.float64)
        return np.concatenate([array, (a + share[:, None] * (b - a)).astype(np.float32)])

    new = len(mesh.uvs) + np.arange(len(edges), dtype=np.int32).reshape(-1, 2)
    p, q = new.T
    a, b, c = corners.T
    along = np.where(np.repeat(single, 2), share, 1 - share).reshape(-1, 2)
    first = np.where(single[:, None], np.stack([a, p, q], 1), np.stack([p, b, c], 1))
    first_area = np.where(single, along.prod(1), 1 - along[:, 0])
    second, second_area = np.stack([p, c, q], 1)[~single], (along[:, 0] * (1 - along[:, 1]))[~single]
    kept = np.flatnonzero(whole == 3)
    sources = np.concatenate([kept, crossing, crossing[~single]])
    order = np.argsort(sources, kind="stable")
    areas = np.concatenate([np.ones(len(kept)), first_area, second_area])[order]
    sources = sources[order]
    owners = mesh.triangle_materials[sources]
    triangles = np.concatenate([mesh.triangles[kept], first, second])[order]
    screen, hull, shading = (extended(array) for array in vertices)
    screen[len(mesh.uvs) :, 2] = near
    mesh = mesh._replace(
        uvs=extended(mesh.uvs),
        triangles=np.ascontiguousarray(triangles, np.int32),
        triangle_materials=owners,
        sources=mesh.sources[sources],
        uv_areas=(mesh.uv_areas[sources] * areas).astype(np.float32),
        tints=mesh.tints[sources],
        starts=np.searchsorted(owners, np.arange(len(mesh.starts))).astype(np.int32),
    )
    return mesh, Vertices(screen, hull, shading)
