"""The compiled loops of `rasterise`. Arrays are those of `packing.Packed`.

No `fastmath` and no threads: results depend on the inputs alone. `error_model="numpy"` only drops the
check for division by zero; the loops guard against it where it can occur.
"""

import numba
import numpy as np

from anime_pt.avatars.packing import BLEND, MASK, OPAQUE, SOLID

# `_nrt=False` leaves out reference counting: the kernels allocate nothing, and counting the arrays that an
# inlined function receives, once per pixel, took more time than its work.
_jit = numba.njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
# Inlined by LLVM: a call would pass dozens of words for each array.
_inline = numba.njit(cache=True, nogil=True, error_model="numpy", _nrt=False, forceinline=True)
# Fragments of one sample that are blended: the nearest; more are ignored.
MAX_SORTED = 64
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
    m,
    screen,
    hull,
    shading,
    box,
):
    """Skins vertices into sample coordinates.

    Args:
      m: (3, 4) float32, scratch.
      screen: (v, 3) float32, gets x, y in samples and depth in metres.
      hull: (v, 3) float32, gets the same, moved outwards along the normal.
      shading: (v, 3) float32, gets n.l in [-1, 1] and the x, y of the view-space normal.
      box: (4,) float64, gets lowest x, y and highest x, y.
    """
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
        shading[i, 1], shading[i, 2] = nx, ny
        x, y, z = hull_normals[i, 0], hull_normals[i, 1], hull_normals[i, 2]
        reach = hull_width * outline_scale[i] * inverse_scale
        hull[i, 0] = sx + (m[0, 0] * x + m[0, 1] * y + m[0, 2] * z) * reach
        hull[i, 1] = sy + (m[1, 0] * x + m[1, 1] * y + m[1, 2] * z) * reach
        hull[i, 2] = sz + hull_push


@_inline
def _level(levels, texel_area, area):
    """Mip level whose texels are about as large as the samples or pixels; areas are twice the triangle's."""
    if texel_area <= area or area <= 0.0:
        return 0
    level = int(0.5 * np.log2(texel_area / area) + 0.35)
    return min(level, levels - 1)


@_inline
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
    stride,
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
      stride: samples in a row of `depth`, `ids` and `heads`, which are flat: flat and unsigned indices
        spare the test for negative ones.
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
                        if z > depth[at] + _TIE:
                            continue
                    elif z > depth[at] or (is_hull and z == depth[at]):
                        continue
                    if test:
                        dx = x + 0.5 - x0
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


@_inline
def _texture(texels, offset, width, height, u, v):
    """Bilinear premultiplied colour as four float32 in [0, 255], repeating."""
    u = (u - np.floor(u)) * width - 0.5
    v = (v - np.floor(v)) * height - 0.5
    x, y = int(np.floor(u)), int(np.floor(v))
    fx, fy = np.float32(u - x), np.float32(v - y)
    one = np.float32(1.0)
    xa = x if x >= 0 else width - 1
    xb = x + 1 if x + 1 < width else 0
    ya = (y if y >= 0 else height - 1) * width
    yb = (y + 1 if y + 1 < height else 0) * width
    a, b = np.uintp(offset + 4 * (ya + xa)), np.uintp(offset + 4 * (ya + xb))
    c, d = np.uintp(offset + 4 * (yb + xa)), np.uintp(offset + 4 * (yb + xb))
    wa, wb, wc, wd = (one - fx) * (one - fy), fx * (one - fy), (one - fx) * fy, fx * fy
    i = np.uintp(1)
    j = np.uintp(2)
    k = np.uintp(3)
    return (
        wa * texels[a] + wb * texels[b] + wc * texels[c] + wd * texels[d],
        wa * texels[a + i] + wb * texels[b + i] + wc * texels[c + i] + wd * texels[d + i],
        wa * texels[a + j] + wb * texels[b + j] + wc * texels[c + j] + wd * texels[d + j],
        wa * texels[a + k] + wb * texels[b + k] + wc * texels[c + k] + wd * texels[d + k],
    )


@_inline
def _ramp(ramps, material, position):
    """Linear lookup in a ramp; `position` in rows, centres at whole numbers."""
    position = min(31.0, max(0.0, position))
    row = min(30, int(position))
    t = np.float32(position - row)
    s = np.float32(1.0) - t
    return (
        ramps[material, row, 0] * s + ramps[material, row + 1, 0] * t,
        ramps[material, row, 1] * s + ramps[material, row + 1, 1] * t,
        ramps[material, row, 2] * s + ramps[material, row + 1, 2] * t,
    )


# `_Plane`s: the value at the first vertex, and its change per sample in x and in y. Layout of `planes`:
_LIGHT, _U, _V, _NX, _NY, _LEVEL, PLANES = 2, 5, 8, 11, 14, 17, 18


@_inline
def _set_plane(planes, t, at, a, b, c, ax, ay, bx, by, inverse):
    p, q = float(b - a), float(c - a)
    planes[t, at] = a
    planes[t, at + 1] = (p * by - q * ay) * inverse
    planes[t, at + 2] = (q * ax - p * bx) * inverse


@_jit
def _set_planes(t, material, screen, shading, triangles, uvs, uv_areas, levels, has_sphere, factor, planes):
    """Fills row `t` of `planes`: x, y of the first vertex, what is interpolated, the mip level."""
    i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
    x0, y0 = screen[i, 0], screen[i, 1]
    ax, ay = float(screen[j, 0] - x0), float(screen[j, 1] - y0)
    bx, by = float(screen[k, 0] - x0), float(screen[k, 1] - y0)
    area = ax * by - bx * ay
    inverse = 1.0 / area if abs(area) >= 0.02 else 0.0
    planes[t, 0], planes[t, 1] = x0, y0
    # The side that faces away is lit as if it faced the viewer.
    side = np.float32(1.0 if area < 0 else -1.0)
    a, b, c = shading[i, 0] * side, shading[j, 0] * side, shading[k, 0] * side
    _set_plane(planes, t, _LIGHT, a, b, c, ax, ay, bx, by, inverse)
    planes[t, _LEVEL] = 0
    if levels > 0:
        _set_plane(planes, t, _U, uvs[i, 0], uvs[j, 0], uvs[k, 0], ax, ay, bx, by, inverse)
        _set_plane(planes, t, _V, uvs[i, 1], uvs[j, 1], uvs[k, 1], ax, ay, bx, by, inverse)
        planes[t, _LEVEL] = _level(levels, float(uv_areas[t]), abs(area) / (factor * factor))
    if has_sphere:
        for n in range(2):
            a, b, c = shading[i, 1 + n] * side, shading[j, 1 + n] * side, shading[k, 1 + n] * side
            _set_plane(planes, t, _NX + 3 * n, a, b, c, ax, ay, bx, by, inverse)
    for n in range(planes.shape[1]):
        if not np.isfinite(planes[t, n]):
            planes[t, n] = 0.0


@_inline
def _surface(
    planes,
    t,
    x,
    y,
    material,
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
):
    """Premultiplied colour in [0, 1], as four float32, of a surface at sample coordinates (x, y)."""
    dx, dy = x - planes[t, 0], y - planes[t, 1]
    one, byte = np.float32(1.0), np.float32(1 / 255)
    mode = modes[material]
    alpha = colors[material, 3] if mode == BLEND else one
    red, green, blue = colors[material, 0], colors[material, 1], colors[material, 2]
    coverage = one
    if texture_levels[material] > 0:
        u = planes[t, _U] + dx * planes[t, _U + 1] + dy * planes[t, _U + 2]
        v = planes[t, _V] + dx * planes[t, _V + 1] + dy * planes[t, _V + 2]
        level = int(planes[t, _LEVEL])
        offset = texture_offsets[material, level]
        width, height = texture_widths[material, level], texture_heights[material, level]
        r, g, b, a = _texture(texels, offset, width, height, u, v)
        scale = byte
        coverage = a * byte
        if mode == MASK:
            scale, coverage = one / max(a, one), one
        red, green, blue = red * (r * scale), green * (g * scale), blue * (b * scale)
    if sphere_modes[material] != 0:
        row = len(colors) + material
        nx = 0.5 * (planes[t, _NX] + dx * planes[t, _NX + 1] + dy * planes[t, _NX + 2])
        ny = 0.5 * (planes[t, _NY] + dx * planes[t, _NY + 1] + dy * planes[t, _NY + 2])
        nx, ny = min(0.499, max(-0.499, nx)), min(0.499, max(-0.499, ny))
        offset, width, height = texture_offsets[row, 0], texture_widths[row, 0], texture_heights[row, 0]
        r, g, b, a = _texture(texels, offset, width, height, 0.5 + nx, 0.5 - ny)
        if sphere_modes[material] == 1:
            red, green, blue = red * (r * byte), green * (g * byte), blue * (b * byte)
        else:
            shine = byte * coverage
            red = min(coverage, red + r * shine)
            green = min(coverage, green + g * shine)
            blue = min(coverage, blue + b * shine)
    lit = planes[t, _LIGHT] + dx * planes[t, _LIGHT + 1] + dy * planes[t, _LIGHT + 2]
    position = (1.0 - lit) * 16.0 - 0.5
    # Rows of the ramp that one pixel sees: averaged, so that hard steps do not flicker.
    spread = (abs(planes[t, _LIGHT + 1]) + abs(planes[t, _LIGHT + 2])) * factor * 16.0
    r, g, b = _ramp(ramps, material, position)
    if spread > 0.7:
        third = np.float32(1 / 3)
        r1, g1, b1 = _ramp(ramps, material, position - 0.33 * spread)
        r2, g2, b2 = _ramp(ramps, material, position + 0.33 * spread)
        r, g, b = (r + r1 + r2) * third, (g + g1 + g2) * third, (b + b1 + b2) * third
    return red * (r * alpha), green * (g * alpha), blue * (b * alpha), coverage * alpha


@_inline
def _byte(value):
    """A value in [0, 255] and beyond, rounded to uint8."""
    return np.uint8(min(np.float32(255.0), max(np.float32(0.0), value + np.float32(0.5))))


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
    stride,
    depth,
    ids,
    heads,
    pool_links,
    pool_depths,
    has_layers,
    planes,
    ready,
    pixel,
    names,
    links,
    layers,
    across,
    down,
    image,
    out_depth,
    out_parts,
    out_triangles,
):
    """Colours the pixels of `region` from the samples and writes the output buffers.

    `planes` to `down` are scratch: (t, PLANES) float32, (t,) bool, (16, 4) float32, and (16,), (16,),
    (MAX_SORTED,), (16,), (16,) int64.
    """
    samples = factor * factor
    for s in range(samples):
        across[s], down[s] = s % factor, s // factor
    for t in range(len(ready)):
        ready[t] = False
    middle = 0.5 * (factor - 1)
    share, one, full = np.float32(1.0 / samples), np.float32(1.0), np.float32(255.0)
    for py in range(region[1], region[3]):
        for px in range(region[0], region[2]):
            y0, x0 = py * factor, px * factor
            first = ids[np.uintp(y0 * stride + x0)]
            same, layered = True, False
            nearest, nearest_id = np.float32(np.inf), 0
            for s in range(samples):
                at = np.uintp((y0 + down[s]) * stride + x0 + across[s])
                name = ids[at]
                names[s] = name
                same = same and name == first
                if name != 0 and depth[at] < nearest:
                    nearest, nearest_id = depth[at], name
                if has_layers:
                    links[s] = heads[at]
                    layered = layered or links[s] >= 0
            if same and first == 0 and not layered:
                continue
            red, green, blue, alpha = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
            # One turn for each surface in the pixel: shaded where its samples are centred.
            for s in range(samples):
                name = names[s]
                if name == 0:
                    if layered:
                        for c in range(4):
                            pixel[s, c] = 0.0
                    continue
                n, mx, my, repeated = samples, middle, middle, False
                if not same:
                    n, mx, my = 0, 0.0, 0.0
                    for k in range(samples):
                        if names[k] == name:
                            repeated = repeated or k < s
                            n, mx, my = n + 1, mx + across[k], my + down[k]
                    mx, my = mx / n, my / n
                if repeated:
                    if layered:
                        for k in range(s):
                            if names[k] == name:
                                for c in range(4):
                                    pixel[s, c] = pixel[k, c]
                                break
                    continue
                if name < 0:
                    m = triangle_materials[-1 - name]
                    r, g, b, a = hull_colors[m, 0], hull_colors[m, 1], hull_colors[m, 2], hull_colors[m, 3]
                else:
                    t = name - 1
                    material = triangle_materials[t]
                    if not ready[t]:
                        ready[t] = True
                        _set_planes(
                            t,
                            material,
                            screen,
                            shading,
                            triangles,
                            uvs,
                            uv_areas,
                            texture_levels[material],
                            sphere_modes[material] != 0,
                            factor,
                            planes,
                        )
                    r, g, b, a = _surface(
                        planes,
                        t,
                        x0 + mx + 0.5,
                        y0 + my + 0.5,
                        material,
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
                    )
                    a = one
                if layered:
                    pixel[s, 0], pixel[s, 1], pixel[s, 2], pixel[s, 3] = r, g, b, a
                weight = n * share
                red, green = red + r * weight, green + g * weight
                blue, alpha = blue + b * weight, alpha + a * weight
                if same:
                    if layered:
                        for k in range(1, samples):
                            for c in range(4):
                                pixel[k, c] = pixel[0, c]
                    break
            if layered:
                red, green, blue, alpha = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
                for s in range(samples):
                    n, link = 0, links[s]
                    while link >= 0:
                        # Insertion sort, far to near; lists run from the last drawn to the first, and of
                        # equal depths the last drawn comes on top, so it must stay behind in the array.
                        z = pool_depths[link]
                        if n == MAX_SORTED:
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
                            r, g, b = hull_colors[m, 0], hull_colors[m, 1], hull_colors[m, 2]
                            a = hull_colors[m, 3]
                        else:
                            t = name - 1
                            material = triangle_materials[t]
                            if not ready[t]:
                                ready[t] = True
                                _set_planes(
                                    t,
                                    material,
                                    screen,
                                    shading,
                                    triangles,
                                    uvs,
                                    uv_areas,
                                    texture_levels[material],
                                    sphere_modes[material] != 0,
                                    factor,
                                    planes,
                                )
                            r, g, b, a = _surface(
                                planes,
                                t,
                                x0 + across[s] + 0.5,
                                y0 + down[s] + 0.5,
                                material,
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
                            )
                        rest = one - a
                        pixel[s, 0], pixel[s, 1] = r + rest * pixel[s, 0], g + rest * pixel[s, 1]
                        pixel[s, 2], pixel[s, 3] = b + rest * pixel[s, 2], a + rest * pixel[s, 3]
                        if a >= np.float32(0.5) and pool_depths[link] < nearest:
                            nearest, nearest_id = pool_depths[link], name
                    red, green = red + pixel[s, 0] * share, green + pixel[s, 1] * share
                    blue, alpha = blue + pixel[s, 2] * share, alpha + pixel[s, 3] * share
            if alpha < np.float32(0.5 / 255):
                continue
            inverse = full / alpha
            image[py, px, 0], image[py, px, 1] = _byte(red * inverse), _byte(green * inverse)
            image[py, px, 2], image[py, px, 3] = _byte(blue * inverse), _byte(alpha * full)
            if nearest_id != 0:
                t = nearest_id - 1 if nearest_id > 0 else -1 - nearest_id
                out_depth[py, px] = nearest
                out_parts[py, px] = parts[triangle_materials[t]]
                out_triangles[py, px] = sources[t]
