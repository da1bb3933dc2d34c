"""The compiled loops of `rasterise`. Arrays are those of `packing.Packed`.

No `fastmath` and no threads: results depend on the inputs alone. `error_model="numpy"` only drops the
check for division by zero; the loops guard against it where it can occur.
"""

import numba
import numpy as np

from anime_pt.avatars.packing import BLEND, MASK, OPAQUE, SOLID

_jit = numba.njit(cache=True, nogil=True, error_model="numpy")
_inline = numba.njit(cache=True, nogil=True, error_model="numpy", inline="always")
# Fragments of one sample that are blended: the nearest; more are ignored.
_MAX_SORTED = 64
# Depths closer than this (metres) count as equal, and drawing order decides.
_TIE = np.float32(2e-5)


@_jit
def project(
    positions,
    normals,
    hull_normals,
    outline_scale,
    joints,
    weights,
    counts,
    matrices,
    inverse_scale,
    light,
    hull_width,
    hull_push,
):
    """Skins vertices into sample coordinates.

    Returns:
      screen: (v, 3) float32 x, y in samples and depth in metres.
      hull: (v, 3) the same, moved outwards along the normal.
      shading: (v, 3) n.l in [-1, 1] and the x, y of the view-space normal.
      box: (4,) float64 lowest x, y and highest x, y.
    """
    count = len(positions)
    screen = np.empty((count, 3), np.float32)
    hull = np.empty((count, 3), np.float32)
    shading = np.empty((count, 3), np.float32)
    box = np.array([np.inf, np.inf, -np.inf, -np.inf])
    m = np.empty((3, 4), np.float32)
    for i in range(count):
        first = matrices[joints[i, 0]]
        w = weights[i, 0]
        if counts[i] == 1:
            for r in range(3):
                for c in range(4):
                    m[r, c] = first[r, c]
        else:
            for r in range(3):
                for c in range(4):
                    m[r, c] = w * first[r, c]
            for k in range(1, counts[i]):
                w = weights[i, k]
                other = matrices[joints[i, k]]
                for r in range(3):
                    for c in range(4):
                        m[r, c] += w * other[r, c]
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
        shading[i, 1], shading[i, 2] = nx, ny
        x, y, z = hull_normals[i, 0], hull_normals[i, 1], hull_normals[i, 2]
        reach = hull_width * outline_scale[i] * inverse_scale
        hull[i, 0] = sx + (m[0, 0] * x + m[0, 1] * y + m[0, 2] * z) * reach
        hull[i, 1] = sy + (m[1, 0] * x + m[1, 1] * y + m[1, 2] * z) * reach
        hull[i, 2] = sz + hull_push
    return screen, hull, shading, box


@_inline
def _level(levels, texel_area, area):
    """Mip level whose texels are about as large as the samples or pixels; areas are twice the triangle's."""
    if texel_area <= area or area <= 0.0:
        return 0
    level = int(0.5 * np.log2(texel_area / area) + 0.35)
    return min(level, levels - 1)


@_jit
def _texture_alpha(texels, offset, width, height, u, v):
    """Bilinear alpha in [0, 1], repeating."""
    u = (u - np.floor(u)) * width - 0.5
    v = (v - np.floor(v)) * height - 0.5
    x, y = int(np.floor(u)), int(np.floor(v))
    fx, fy = u - x, v - y
    xa = x if x >= 0 else width - 1
    xb = x + 1 if x + 1 < width else 0
    ya = y if y >= 0 else height - 1
    yb = y + 1 if y + 1 < height else 0
    top = texels[offset + 4 * (ya * width + xa) + 3] * (1 - fx)
    top += texels[offset + 4 * (ya * width + xb) + 3] * fx
    low = texels[offset + 4 * (yb * width + xa) + 3] * (1 - fx)
    low += texels[offset + 4 * (yb * width + xb) + 3] * fx
    return (top * (1 - fy) + low * fy) * (1 / 255)


@_jit
def rasterise(
    screen,
    triangles,
    starts,
    uvs,
    uv_areas,
    modes,
    double_sided,
    cutoffs,
    colors,
    hull_alphas,
    texels,
    texture_levels,
    texture_offsets,
    texture_widths,
    texture_heights,
    window,
    depth,
    ids,
    heads,
    pool_links,
    pool_depths,
    is_hull,
    is_layers,
    used,
):
    """One pass over all triangles.

    Samples are covered by the half-open rule on scanlines, with the arithmetic of an edge depending on
    its two vertices alone, so triangles that share an edge neither overlap nor leave a gap.

    Args:
      is_hull: draw the back faces of the swollen mesh (ids are -1 - t) instead of the mesh (1 + t).
      is_layers: append translucent fragments to the lists instead of drawing the opaque ones.
      used: how many fragments the lists hold.

    Returns:
      How many fragments the lists would hold with room for all; those beyond the pool are not stored.
    """
    left, top, right, bottom = window[0], window[1], window[2], window[3]
    for material in range(len(starts) - 1):
        mode = modes[material]
        alpha = float(colors[material, 3])
        if is_hull:
            alpha = float(hull_alphas[material])
            if alpha <= 0.0:
                continue
            if mode == BLEND and colors[material, 3] < SOLID:
                alpha *= colors[material, 3]
            if (alpha < SOLID) != is_layers:
                continue
        elif (is_layers and mode != BLEND) or (not is_layers and mode == BLEND and alpha < SOLID):
            continue
        levels = texture_levels[material]
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
            elif double_sided[material]:
                if not abs(area) > 1e-9:
                    continue
            elif not area < -1e-9:
                continue
            low, high = min(y0, y1, y2), max(y0, y1, y2)
            # The first sample centre at or below the top, and the first below the bottom.
            ya = int(np.ceil(max(low, top) - 0.5))
            yb = int(np.ceil(min(high, bottom) - 0.5))
            if ya >= yb or not abs(area) < 1e12:
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
                level = _level(levels, float(uv_areas[t]), abs(area))
                offset = texture_offsets[material, level]
                width, height = texture_widths[material, level], texture_heights[material, level]
                u0, v0 = float(uvs[i0, 0]), float(uvs[i0, 1])
                u1, v1 = uvs[i1, 0] - u0, uvs[i1, 1] - v0
                u2, v2 = uvs[i2, 0] - u0, uvs[i2, 1] - v0
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
                z_line = z0 + (line - y0) * zy
                for x in range(xa, xb):
                    dx = x + 0.5 - x0
                    z = np.float32(z_line + dx * zx)
                    if is_layers:
                        if z > depth[y, x] + _TIE:
                            continue
                    elif z > depth[y, x] or (is_hull and z >= depth[y, x]):
                        continue
                    if test:
                        u = u0 + dx * ux + (line - y0) * uy
                        v = v0 + dx * vx + (line - y0) * vy
                        a = _texture_alpha(texels, offset, width, height, u, v)
                        if mode == MASK or is_hull:
                            if a < cutoffs[material]:
                                continue
                        elif not is_layers:
                            if a < SOLID:
                                continue
                        elif alpha * a < 0.004 or (alpha >= SOLID and a >= SOLID):
                            continue
                    if is_layers:
                        # A tie with an opaque surface that was drawn later is lost to it.
                        if z >= depth[y, x] and ids[y, x] > name > 0:
                            continue
                        if used < len(pool_depths):
                            pool_links[used, 0], pool_links[used, 1] = heads[y, x], name
                            pool_depths[used] = z
                            heads[y, x] = used
                        used += 1
                    else:
                        depth[y, x] = z
                        ids[y, x] = name
    return used


@_jit
def _texture(texels, offset, width, height, u, v, out):
    """Bilinear premultiplied colour in [0, 255] into out[:4], repeating."""
    u = (u - np.floor(u)) * width - 0.5
    v = (v - np.floor(v)) * height - 0.5
    x, y = int(np.floor(u)), int(np.floor(v))
    fx, fy = np.float32(u - x), np.float32(v - y)
    one = np.float32(1.0)
    xa = x if x >= 0 else width - 1
    xb = x + 1 if x + 1 < width else 0
    ya = (y if y >= 0 else height - 1) * width
    yb = (y + 1 if y + 1 < height else 0) * width
    o00, o01 = offset + 4 * (ya + xa), offset + 4 * (ya + xb)
    o10, o11 = offset + 4 * (yb + xa), offset + 4 * (yb + xb)
    w00, w01 = (one - fx) * (one - fy), fx * (one - fy)
    w10, w11 = (one - fx) * fy, fx * fy
    for c in range(4):
        out[c] = (
            w00 * np.float32(texels[o00 + c])
            + w01 * np.float32(texels[o01 + c])
            + w10 * np.float32(texels[o10 + c])
            + w11 * np.float32(texels[o11 + c])
        )


# Layout of the coefficients of `_planes`: value at the first vertex, change per sample in x and in y.
_LIGHT, _U, _V, _NX, _NY = 2, 5, 8, 11, 14


@_jit
def _planes(
    t, screen, shading, triangles, material, uvs, uv_areas, texture_levels, sphere_modes, factor, planes
):
    """Fills `planes`: x, y of the first vertex, then what is interpolated. Returns the mip level."""
    i0, i1, i2 = triangles[t, 0], triangles[t, 1], triangles[t, 2]
    x0, y0 = screen[i0, 0], screen[i0, 1]
    ax, ay = float(screen[i1, 0] - x0), float(screen[i1, 1] - y0)
    bx, by = float(screen[i2, 0] - x0), float(screen[i2, 1] - y0)
    area = ax * by - bx * ay
    inverse = 1.0 / area
    if abs(area) < 0.02:
        inverse = 0.0
    planes[0], planes[1] = x0, y0
    # The side that faces away is lit as if it faced the viewer.
    side = 1.0 if area < 0 else -1.0
    p, q = (shading[i1, 0] - shading[i0, 0]) * side, (shading[i2, 0] - shading[i0, 0]) * side
    planes[_LIGHT] = shading[i0, 0] * side
    planes[_LIGHT + 1], planes[_LIGHT + 2] = (p * by - q * ay) * inverse, (q * ax - p * bx) * inverse
    levels = texture_levels[material]
    level = 0
    if levels > 0:
        for k in range(2):
            p, q = float(uvs[i1, k] - uvs[i0, k]), float(uvs[i2, k] - uvs[i0, k])
            planes[_U + 3 * k] = uvs[i0, k]
            planes[_U + 3 * k + 1] = (p * by - q * ay) * inverse
            planes[_U + 3 * k + 2] = (q * ax - p * bx) * inverse
        level = _level(levels, float(uv_areas[t]), abs(area) / (factor * factor))
    if sphere_modes[material] != 0:
        for k in range(2):
            p = float(shading[i1, 1 + k] - shading[i0, 1 + k]) * side
            q = float(shading[i2, 1 + k] - shading[i0, 1 + k]) * side
            planes[_NX + 3 * k] = shading[i0, 1 + k] * side
            planes[_NX + 3 * k + 1] = (p * by - q * ay) * inverse
            planes[_NX + 3 * k + 2] = (q * ax - p * bx) * inverse
    return level


@_inline
def _ramp(ramp, position, c):
    """Linear lookup in a (32, 3) ramp; `position` in rows, from -0.5 to 31.5."""
    position = min(31.0, max(0.0, position))
    row = min(30, int(position))
    share = np.float32(position - row)
    return ramp[row, c] + (ramp[row + 1, c] - ramp[row, c]) * share


@_jit
def _surface(
    planes,
    level,
    x,
    y,
    material,
    count,
    colors,
    modes,
    ramps,
    sphere_modes,
    texels,
    texture_levels,
    texture_offsets,
    texture_widths,
    texture_heights,
    factor,
    scratch,
    out,
):
    """Premultiplied colour in [0, 1] of a surface at sample coordinates (x, y) into out[:4]."""
    dx, dy = x - planes[0], y - planes[1]
    alpha = colors[material, 3]
    mode = modes[material]
    if mode != BLEND:
        alpha = np.float32(1.0)
    if texture_levels[material] > 0:
        u = planes[_U] + dx * planes[_U + 1] + dy * planes[_U + 2]
        v = planes[_V] + dx * planes[_V + 1] + dy * planes[_V + 2]
        if not np.isfinite(u + v):
            u, v = 0.0, 0.0
        _texture(
            texels,
            texture_offsets[material, level],
            texture_widths[material, level],
            texture_heights[material, level],
            u,
            v,
            scratch,
        )
        scale = np.float32(1 / 255)
        if mode == MASK:
            scale = np.float32(1.0) / max(scratch[3], np.float32(1.0))
            scratch[3] = np.float32(255.0)
        for c in range(3):
            out[c] = scratch[c] * scale * colors[material, c]
        coverage = scratch[3] * np.float32(1 / 255)
    else:
        for c in range(3):
            out[c] = colors[material, c]
        coverage = np.float32(1.0)
    if sphere_modes[material] != 0:
        row = count + material
        nx = planes[_NX] + dx * planes[_NX + 1] + dy * planes[_NX + 2]
        ny = planes[_NY] + dx * planes[_NY + 1] + dy * planes[_NY + 2]
        nx, ny = min(0.499, max(-0.499, nx * 0.5)), min(0.499, max(-0.499, ny * 0.5))
        if not np.isfinite(nx + ny):
            nx, ny = 0.0, 0.0
        width, height = texture_widths[row, 0], texture_heights[row, 0]
        _texture(texels, texture_offsets[row, 0], width, height, 0.5 + nx, 0.5 - ny, scratch)
        for c in range(3):
            if sphere_modes[material] == 1:
                out[c] *= scratch[c] * np.float32(1 / 255)
            else:
                out[c] = min(coverage, out[c] + scratch[c] * np.float32(1 / 255) * coverage)
    lit = planes[_LIGHT] + dx * planes[_LIGHT + 1] + dy * planes[_LIGHT + 2]
    if not np.isfinite(lit):
        lit = 1.0
    position = (1.0 - lit) * 16.0 - 0.5
    # Rows of the ramp that one pixel sees: averaged, so that hard steps do not flicker.
    spread = (abs(planes[_LIGHT + 1]) + abs(planes[_LIGHT + 2])) * factor * 16.0
    ramp = ramps[material]
    for c in range(3):
        if spread > 0.7:
            shade = (
                _ramp(ramp, position - 0.33 * spread, c)
                + _ramp(ramp, position, c)
                + _ramp(ramp, position + 0.33 * spread, c)
            ) * np.float32(1 / 3)
        else:
            shade = _ramp(ramp, position, c)
        out[c] *= shade * alpha
    out[3] = coverage * alpha


@_jit
def shade(
    screen,
    shading,
    triangles,
    triangle_materials,
    sources,
    uvs,
    uv_areas,
    colors,
    hull_colors,
    modes,
    ramps,
    sphere_modes,
    parts,
    texels,
    texture_levels,
    texture_offsets,
    texture_widths,
    texture_heights,
    region,
    factor,
    depth,
    ids,
    heads,
    pool_links,
    pool_depths,
    has_layers,
    image,
    out_depth,
    out_parts,
    out_triangles,
):
    """Colours the pixels of `region` from the samples and writes the output buffers."""
    samples = factor * factor
    count = len(colors)
    planes = np.zeros(17)
    scratch = np.zeros(4, np.float32)
    color = np.zeros(4, np.float32)
    total = np.zeros(4, np.float32)
    pixel = np.zeros((samples, 4), np.float32)
    layers = np.empty(_MAX_SORTED, np.int64)
    last, level, material = -1, 0, 0
    share = np.float32(1.0 / samples)
    for py in range(region[1], region[3]):
        for px in range(region[0], region[2]):
            y0, x0 = py * factor, px * factor
            first = ids[y0, x0]
            same, empty, layered = True, True, False
            for sy in range(factor):
                for sx in range(factor):
                    name = ids[y0 + sy, x0 + sx]
                    same = same and name == first
                    empty = empty and name == 0
                    if has_layers and heads[y0 + sy, x0 + sx] >= 0:
                        layered = True
            if empty and not layered:
                continue
            nearest, nearest_id = np.float32(np.inf), 0
            for s in range(samples):
                for c in range(4):
                    pixel[s, c] = 0.0
            for s in range(samples):
                sy, sx = s // factor, s % factor
                name = ids[y0 + sy, x0 + sx]
                if name == 0:
                    continue
                if depth[y0 + sy, x0 + sx] < nearest:
                    nearest, nearest_id = depth[y0 + sy, x0 + sx], name
                if s > 0 and same:
                    for c in range(4):
                        pixel[s, c] = pixel[0, c]
                    continue
                done = -1
                for k in range(s):
                    if ids[y0 + k // factor, x0 + k % factor] == name:
                        done = k
                        break
                if done >= 0:
                    for c in range(4):
                        pixel[s, c] = pixel[done, c]
                    continue
                if name < 0:
                    m = triangle_materials[-1 - name]
                    for c in range(4):
                        pixel[s, c] = hull_colors[m, c]
                    continue
                # The middle of the samples that this triangle covers.
                n, mx, my = 0, 0.0, 0.0
                for k in range(s, samples):
                    if ids[y0 + k // factor, x0 + k % factor] == name:
                        n, mx, my = n + 1, mx + k % factor, my + k // factor
                t = name - 1
                if t != last:
                    last, material = t, triangle_materials[t]
                    level = _planes(
                        t,
                        screen,
                        shading,
                        triangles,
                        material,
                        uvs,
                        uv_areas,
                        texture_levels,
                        sphere_modes,
                        factor,
                        planes,
                    )
                _surface(
                    planes,
                    level,
                    x0 + mx / n + 0.5,
                    y0 + my / n + 0.5,
                    material,
                    count,
                    colors,
                    modes,
                    ramps,
                    sphere_modes,
                    texels,
                    texture_levels,
                    texture_offsets,
                    texture_widths,
                    texture_heights,
                    factor,
                    scratch,
                    color,
                )
                for c in range(3):
                    pixel[s, c] = color[c]
                pixel[s, 3] = 1.0
            if layered:
                for s in range(samples):
                    sy, sx = y0 + s // factor, x0 + s % factor
                    n, link = 0, heads[sy, sx]
                    while link >= 0:
                        # Insertion sort, far to near; lists run from the last drawn to the first, and of
                        # equal depths the last drawn comes on top, so it must stay behind in the array.
                        z = pool_depths[link]
                        if n == _MAX_SORTED:
                            if z >= pool_depths[layers[0]]:
                                link = pool_links[link, 0]
                                continue
                            n -= 1
                            for k in range(n):
                                layers[k] = layers[k + 1]
                        k = n
                        n += 1
                        while k > 0 and pool_depths[layers[k - 1]] < z + _TIE:
                            layers[k] = layers[k - 1]
                            k -= 1
                        layers[k] = link
                        link = pool_links[link, 0]
                    for k in range(n):
                        link = layers[k]
                        name = pool_links[link, 1]
                        if name < 0:
                            m = triangle_materials[-1 - name]
                            for c in range(4):
                                color[c] = hull_colors[m, c]
                        else:
                            t = name - 1
                            if t != last:
                                last, material = t, triangle_materials[t]
                                level = _planes(
                                    t,
                                    screen,
                                    shading,
                                    triangles,
                                    material,
                                    uvs,
                                    uv_areas,
                                    texture_levels,
                                    sphere_modes,
                                    factor,
                                    planes,
                                )
                            _surface(
                                planes,
                                level,
                                sx + 0.5,
                                sy + 0.5,
                                material,
                                count,
                                colors,
                                modes,
                                ramps,
                                sphere_modes,
                                texels,
                                texture_levels,
                                texture_offsets,
                                texture_widths,
                                texture_heights,
                                factor,
                                scratch,
                                color,
                            )
                        for c in range(4):
                            pixel[s, c] = color[c] + (np.float32(1.0) - color[3]) * pixel[s, c]
                        if color[3] >= 0.5 and pool_depths[link] < nearest:
                            nearest, nearest_id = pool_depths[link], name
            for c in range(4):
                total[c] = 0.0
                for s in range(samples):
                    total[c] += pixel[s, c]
                total[c] *= share
            if total[3] < np.float32(0.5 / 255):
                continue
            inverse = np.float32(255.0) / total[3]
            for c in range(3):
                image[py, px, c] = np.uint8(min(np.float32(255.0), total[c] * inverse + np.float32(0.5)))
            image[py, px, 3] = np.uint8(min(np.float32(255.0), total[3] * 255 + np.float32(0.5)))
            if nearest_id != 0:
                t = nearest_id - 1 if nearest_id > 0 else -1 - nearest_id
                out_depth[py, px] = nearest
                out_parts[py, px] = parts[triangle_materials[t]]
                out_triangles[py, px] = sources[t]
