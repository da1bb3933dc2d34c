"""Which triangle every sample sees: the z-buffer, and lists of translucent fragments. Compiled.

No `fastmath` and no threads: results depend on the inputs alone. `error_model="numpy"` only drops the
check for division by zero; the loops guard against it where it can occur.
"""

from typing import NamedTuple

import numpy as np

from anime_pt.avatars.raster.packing import BLEND, INVISIBLE, MASK, OPAQUE, SOLID
from anime_pt.avatars.raster.sampling import kernel, level_of, texture_alpha

# Depths closer than this (metres) count as equal, and drawing order decides.
TIE = np.float32(2e-5)


class Samples(NamedTuple):
    """Buffers of samples, flat: flat and unsigned indices spare the test for negative ones.

    Attributes:
      stride: samples in a row.
      depth: float32.
      ids: int32, 1 + t for triangle t, -1 - t for its hull, 0 for nothing.
      heads: int32, first translucent fragment in the lists, -1 for none.
      links: (n, 2) int32: the next fragment, and what it shows as in `ids`.
      depths: (n,) float32 of fragments.
    """

    stride: int
    depth: np.ndarray
    ids: np.ndarray
    heads: np.ndarray
    links: np.ndarray
    depths: np.ndarray


@kernel
def rasterise(screen, mesh, surfaces, textures, reference, window, samples, is_hull, is_layers, used):
    """One pass over all triangles.

    Samples are covered by the half-open rule on scanlines, with the arithmetic of an edge depending on
    its two vertices alone, so triangles that share an edge neither overlap nor leave a gap.

    Args:
      screen: (v, 3) float32 x, y and depth.
      reference: of the perspective `projection.Lens`, 0 for an orthographic one.
      window: (4,) int64 samples from x, y to x, y.
      is_hull: draw the back faces of the swollen mesh instead of the mesh.
      is_layers: append translucent fragments to the lists instead of drawing the opaque ones.
      used: how many fragments the lists hold.

    Returns:
      How many fragments the lists would hold with room for all; those beyond the pool are not stored.
    """
    left, top, right, bottom = window[0], window[1], window[2], window[3]
    stride, depth, ids, heads, pool_links, pool_depths = samples
    triangles, starts, uvs, uv_areas = mesh.triangles, mesh.starts, mesh.uvs, mesh.uv_areas
    modes, colors, cutoffs = surfaces.modes, surfaces.colors, surfaces.cutoffs
    texels = textures.texels
    for material in range(len(starts) - 1):
        mode = modes[material]
        alpha = float(colors[material, 3])
        if mode != OPAQUE and alpha <= INVISIBLE:
            continue
        if is_hull:
            alpha = float(surfaces.hull_alphas[material])
            if alpha <= 0.0:
                continue
            if mode == BLEND and colors[material, 3] < SOLID:
                alpha *= colors[material, 3]
            if (alpha < SOLID) != is_layers:
                continue
        elif (is_layers and mode != BLEND) or (not is_layers and mode == BLEND and alpha < SOLID):
            continue
        levels = textures.levels[material]
        test = mode != OPAQUE and levels > 0
        for t in range(starts[material], starts[material + 1]):
            i0, i1, i2 = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            x0, y0 = float(screen[i0, 0]), float(screen[i0, 1])
            x1, y1 = float(screen[i1, 0]), float(screen[i1, 1])
            x2, y2 = float(screen[i2, 0]), float(screen[i2, 1])
            area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
            # Counter-clockwise with y up is clockwise with y down. Written so that NaN fails too.
            if is_hull:
                if not area > 1e-9:
                    continue
            elif surfaces.double_sided[material]:
                if not abs(area) > 1e-9:
                    continue
            elif not area < -1e-9:
                continue
            low, high = min(y0, y1, y2), max(y0, y1, y2)
            # The first sample centre at or below the top, and the first below the bottom.
            ya = int(np.ceil(max(low, top) - 0.5))
            yb = int(np.ceil(min(high, bottom) - 0.5))
            if ya >= yb or not abs(area) < 1e18:
                continue
            if min(x0, x1, x2) >= right or max(x0, x1, x2) <= left:
                continue
            # From top to bottom: a, b, c.
            ax, ay, bx, by, cx, cy = x0, y0, x1, y1, x2, y2
            if by < ay:
                ax, ay, bx, by = bx, by, ax, ay
            if cy < ay:
                ax, ay, cx, cy = cx, cy, ax, ay
            if cy < by:
                bx, by, cx, cy = cx, cy, bx, by
            slope_ab = (bx - ax) / (by - ay) if by > ay else 0.0
            slope_ac = (cx - ax) / (cy - ay) if cy > ay else 0.0
            slope_bc = (cx - bx) / (cy - by) if cy > by else 0.0
            z0, z1, z2 = float(screen[i0, 2]), float(screen[i1, 2]), float(screen[i2, 2])
            inverse = 1.0 / area
            if abs(area) < 0.02:  # A sliver has no reliable slope.
                zx, zy, z0 = 0.0, 0.0, (z0 + z1 + z2) / 3
            else:
                zx = ((z1 - z0) * (y2 - y0) - (z2 - z0) * (y1 - y0)) * inverse
                zy = ((z2 - z0) * (x1 - x0) - (z1 - z0) * (x2 - x0)) * inverse
            if not np.isfinite(zx + zy + z0):
                continue
            if test:
                level = level_of(levels, float(uv_areas[t]), abs(area))
                offset = textures.offsets[material, level]
                width, height = textures.widths[material, level], textures.heights[material, level]
                u0, v0 = float(uvs[i0, 0]), float(uvs[i0, 1])
                u1, v1 = float(uvs[i1, 0]), float(uvs[i1, 1])
                u2, v2 = float(uvs[i2, 0]), float(uvs[i2, 1])
                if reference > 0.0:  # Over the distance, these are linear on screen.
                    q0, q1, q2 = (
                        reference - screen[i0, 2],
                        reference - screen[i1, 2],
                        reference - screen[i2, 2],
                    )
                    u0, v0, u1, v1, u2, v2 = u0 * q0, v0 * q0, u1 * q1, v1 * q1, u2 * q2, v2 * q2
                u1, v1, u2, v2 = u1 - u0, v1 - v0, u2 - u0, v2 - v0
                ux = (u1 * (y2 - y0) - u2 * (y1 - y0)) * inverse
                uy = (u2 * (x1 - x0) - u1 * (x2 - x0)) * inverse
                vx = (v1 * (y2 - y0) - v2 * (y1 - y0)) * inverse
                vy = (v2 * (x1 - x0) - v1 * (x2 - x0)) * inverse
                if not np.isfinite(ux + uy + vx + vy + u0 + v0):
                    continue
            name = -1 - t if is_hull else 1 + t
            for y in range(ya, yb):
                line = y + 0.5
                xl = ax + (line - ay) * slope_ac
                xr = ax + (line - ay) * slope_ab if line < by else bx + (line - by) * slope_bc
                if xr < xl:
                    xl, xr = xr, xl
                xa = int(np.ceil(max(xl, left) - 0.5))
                xb = int(np.ceil(min(xr, right) - 0.5))
                row = y * stride
                z_line = z0 + (line - y0) * zy + (0.5 - x0) * zx
                if not test and not is_layers:
                    for x in range(xa, xb):
                        at = np.uintp(row + x)
                        z = np.float32(z_line + x * zx)
                        if z < depth[at] or (z == depth[at] and not is_hull):
                            depth[at] = z
                            ids[at] = name
                    continue
                for x in range(xa, xb):
                    at = np.uintp(row + x)
                    z = np.float32(z_line + x * zx)
                    if is_layers:
                        if z > depth[at] + TIE:
                            continue
                    elif z > depth[at] or (is_hull and z == depth[at]):
                        continue
                    if test:
                        dx = x + 0.5 - x0
                        u = u0 + dx * ux + (line - y0) * uy
                        v = v0 + dx * vx + (line - y0) * vy
                        if reference > 0.0:
                            u, v = u / (reference - z), v / (reference - z)
                        a = texture_alpha(texels, offset, width, height, u, v)
                        if mode == MASK or is_hull:
                            if a < cutoffs[material]:
                                continue
                        elif not is_layers:
                            if a < SOLID:
                                continue
                        elif alpha * a < INVISIBLE or (alpha >= SOLID and a >= SOLID):
                            continue
                    if is_layers:
                        # A tie with an opaque surface that was drawn later is lost to it.
                        if z >= depth[at] and ids[at] > name > 0:
                            continue
                        if used < len(pool_depths):
                            pool_links[used, 0], pool_links[used, 1] = heads[at], name
                            pool_depths[used] = z
                            heads[at] = used
                        used += 1
                    else:
                        depth[at] = z
                        ids[at] = name
    return used
