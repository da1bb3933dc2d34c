"""Colour of a surface at one place: light, texture, sphere map, rim, emission. Compiled.

Everything is computed on sRGB-encoded values, as MikuMikuDance does; MToon's formulas are applied to them
unchanged, so its colours differ a little from an engine that works in linear light.
"""

import numpy as np

from anime_pt.avatars.raster.mipmaps import BASE, EMISSION, SHADE, SPHERE
from anime_pt.avatars.raster.packing import BLEND, MASK, MTOON, TOON
from anime_pt.avatars.raster.sampling import inline, kernel, level_of, texture_color

# Rows of `planes`: x and y of the first vertex, then what is interpolated, each as its value there and its
# change per sample in x and y; then mip levels of the base, shade and emission textures. In perspective all
# are multiplied by `_Q`, which is proportional to 1 / distance and so linear on screen.
_LIGHT, _U, _V, _NX, _NY, _NZ, _Q = range(2, 23, 3)
_LEVEL, _SHADE_LEVEL, _EMISSION_LEVEL, PLANES = range(23, 27)


@inline
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


@inline
def _set_plane(planes, t, at, a, b, c, ax, ay, bx, by, inverse):
    p, q = float(b - a), float(c - a)
    planes[t, at] = a
    planes[t, at + 1] = (p * by - q * ay) * inverse
    planes[t, at + 2] = (q * ax - p * bx) * inverse


@inline
def _at(planes, t, at, dx, dy):
    return planes[t, at] + dx * planes[t, at + 1] + dy * planes[t, at + 2]


@kernel
def _set_planes(t, vertices, mesh, surfaces, textures, reference, factor, planes):
    """Fills row `t` of `planes`."""
    screen, _, shading = vertices
    uvs, material = mesh.uvs, mesh.triangle_materials[t]
    i, j, k = mesh.triangles[t, 0], mesh.triangles[t, 1], mesh.triangles[t, 2]
    x0, y0 = screen[i, 0], screen[i, 1]
    ax, ay = float(screen[j, 0] - x0), float(screen[j, 1] - y0)
    bx, by = float(screen[k, 0] - x0), float(screen[k, 1] - y0)
    area = ax * by - bx * ay
    inverse = 1.0 / area if abs(area) >= 0.02 else 0.0
    planes[t, 0], planes[t, 1] = x0, y0
    one = np.float32(1.0)
    qi, qj, qk = one, one, one
    if reference > 0.0:
        scale = np.float32(1.0 / reference)
        qi, qj, qk = one - screen[i, 2] * scale, one - screen[j, 2] * scale, one - screen[k, 2] * scale
        _set_plane(planes, t, _Q, qi, qj, qk, ax, ay, bx, by, inverse)
    # The side that faces away is lit as if it faced the viewer.
    side = np.float32(1.0 if area < 0 else -1.0)
    si, sj, sk = side * qi, side * qj, side * qk
    a, b, c = shading[i, 0] * si, shading[j, 0] * sj, shading[k, 0] * sk
    _set_plane(planes, t, _LIGHT, a, b, c, ax, ay, bx, by, inverse)
    count = len(surfaces.modes)
    rows = BASE * count + material, SHADE * count + material, EMISSION * count + material
    planes[t, _LEVEL], planes[t, _SHADE_LEVEL], planes[t, _EMISSION_LEVEL] = 0, 0, 0
    if textures.levels[rows[0]] + textures.levels[rows[1]] + textures.levels[rows[2]] > 0:
        for n in range(2):
            a, b, c = uvs[i, n] * qi, uvs[j, n] * qj, uvs[k, n] * qk
            _set_plane(planes, t, _U + 3 * n, a, b, c, ax, ay, bx, by, inverse)
        texels = float(textures.widths[rows[0], 0]) * textures.heights[rows[0], 0]
        for n in range(3):
            levels = textures.levels[rows[n]]
            if levels > 0:
                share = float(textures.widths[rows[n], 0]) * textures.heights[rows[n], 0] / texels
                texel_area = float(mesh.uv_areas[t]) * share
                planes[t, _LEVEL + n] = level_of(levels, texel_area, abs(area) / (factor * factor))
    if surfaces.sphere_modes[material] != 0 or surfaces.has_rim[material]:
        for n in range(3):
            a, b, c = shading[i, 1 + n] * si, shading[j, 1 + n] * sj, shading[k, 1 + n] * sk
            _set_plane(planes, t, _NX + 3 * n, a, b, c, ax, ay, bx, by, inverse)
    for n in range(planes.shape[1]):
        if not np.isfinite(planes[t, n]):
            planes[t, n] = 0.0


@inline
def _surface(planes, t, x, y, material, surfaces, textures, lens, factor):
    """Premultiplied colour in [0, 1], as four float32, of a surface at sample coordinates (x, y)."""
    dx, dy = x - planes[t, 0], y - planes[t, 1]
    one, byte = np.float32(1.0), np.float32(1 / 255)
    colors = surfaces.colors
    count = len(colors)
    mode, shading, sphere = (
        surfaces.modes[material],
        surfaces.shadings[material],
        surfaces.sphere_modes[material],
    )
    alpha = colors[material, 3] if mode == BLEND else one
    coverage = one
    lit = _at(planes, t, _LIGHT, dx, dy)
    u, v = _at(planes, t, _U, dx, dy), _at(planes, t, _V, dx, dy)
    light_x, light_y = planes[t, _LIGHT + 1], planes[t, _LIGHT + 2]
    distance = 1.0
    if lens.focal > 0.0:
        q = _at(planes, t, _Q, dx, dy)
        distance = 1.0 / q if q > 1e-9 else 0.0
        lit, u, v = lit * distance, u * distance, v * distance
        light_x = (light_x - lit * planes[t, _Q + 1]) * distance
        light_y = (light_y - lit * planes[t, _Q + 2]) * distance
    # How much n.l changes over one pixel: steps are averaged over it, so that they do not flicker.
    spread = (abs(np.float32(light_x)) + abs(np.float32(light_y))) * factor
    tr, tg, tb = one, one, one
    if textures.levels[material] > 0:
        r, g, b, a = texture_color(textures, material, int(planes[t, _LEVEL]), u, v)
        scale = byte
        coverage = a * byte
        if mode == MASK:
            scale, coverage = one / max(a, one), one
        tr, tg, tb = r * scale, g * scale, b * scale
    red, green, blue = colors[material, 0] * tr, colors[material, 1] * tg, colors[material, 2] * tb
    if shading == MTOON:
        row = SHADE * count + material
        if textures.levels[row] > 0:
            r, g, b, a = texture_color(textures, row, int(planes[t, _SHADE_LEVEL]), u, v)
            scale = coverage * byte
            tr, tg, tb = r * scale, g * scale, b * scale
        slope = min(surfaces.steps[material, 0], 1.0 / max(spread, 1e-6))
        light = np.float32(min(1.0, max(0.0, 0.5 + (lit + surfaces.steps[material, 1]) * slope)))
        dark = one - light
        red = red * light + surfaces.shade_colors[material, 0] * tr * dark
        green = green * light + surfaces.shade_colors[material, 1] * tg * dark
        blue = blue * light + surfaces.shade_colors[material, 2] * tb * dark
    nx, ny, nz = 0.0, 0.0, 1.0
    vx, vy, vz = 0.0, 0.0, 1.0
    has_rim = surfaces.has_rim[material]
    if sphere != 0 or has_rim:
        nx, ny = distance * _at(planes, t, _NX, dx, dy), distance * _at(planes, t, _NY, dx, dy)
        if has_rim or shading == MTOON:
            nz = distance * _at(planes, t, _NZ, dx, dy)
            length = max(np.sqrt(nx * nx + ny * ny + nz * nz), 1e-6)
            nx, ny, nz = nx / length, ny / length, nz / length
            if lens.focal > 0.0:
                vx, vy = (lens.x - x) / lens.focal, (y - lens.y) / lens.focal
                length = np.sqrt(vx * vx + vy * vy + 1.0)
                vx, vy, vz = vx / length, vy / length, 1.0 / length
    if sphere != 0:
        mx, my = nx, ny
        if shading == MTOON:  # Along axes that are square to the ray, so that it does not slide at the sides.
            length = np.sqrt(vx * vx + vz * vz)
            mx = (nx * vz - nz * vx) / length
            my = (ny * length * length - vy * (vx * nx + vz * nz)) / length
        mx, my = min(0.499, max(-0.499, 0.5 * mx)), min(0.499, max(-0.499, 0.5 * my))
        r, g, b, a = texture_color(textures, SPHERE * count + material, 0, 0.5 + mx, 0.5 - my)
        if sphere == 1:
            red, green, blue = red * (r * byte), green * (g * byte), blue * (b * byte)
        else:
            shine = byte * coverage
            red = min(coverage, red + r * shine)
            green = min(coverage, green + g * shine)
            blue = min(coverage, blue + b * shine)
    if shading == TOON:
        position = (1.0 - lit) * 16.0 - 0.5
        spread *= 16.0
        r, g, b = _ramp(surfaces.ramps, material, position)
        if spread > 0.7:
            third = np.float32(1 / 3)
            r1, g1, b1 = _ramp(surfaces.ramps, material, position - 0.33 * spread)
            r2, g2, b2 = _ramp(surfaces.ramps, material, position + 0.33 * spread)
            r, g, b = (r + r1 + r2) * third, (g + g1 + g2) * third, (b + b1 + b2) * third
        red, green, blue = red * (r * alpha), green * (g * alpha), blue * (b * alpha)
    else:
        red, green, blue = red * alpha, green * alpha, blue * alpha
    coverage = coverage * alpha
    if has_rim:
        rims = surfaces.rims
        edge = min(1.0, max(0.0, 1.0 - (nx * vx + ny * vy + nz * vz) + rims[material, 4]))
        edge = np.float32(edge ** max(rims[material, 3], np.float32(1e-5))) * coverage
        red = min(coverage, red + rims[material, 0] * edge)
        green = min(coverage, green + rims[material, 1] * edge)
        blue = min(coverage, blue + rims[material, 2] * edge)
    if surfaces.emits[material]:
        r, g, b = coverage, coverage, coverage
        row = EMISSION * count + material
        if textures.levels[row] > 0:
            r, g, b, a = texture_color(textures, row, int(planes[t, _EMISSION_LEVEL]), u, v)
            r, g, b = r * byte * coverage, g * byte * coverage, b * byte * coverage
        red = min(coverage, red + surfaces.emissions[material, 0] * r)
        green = min(coverage, green + surfaces.emissions[material, 1] * g)
        blue = min(coverage, blue + surfaces.emissions[material, 2] * b)
    return red, green, blue, coverage


@inline
def fragment(name, x, y, vertices, mesh, surfaces, textures, lens, factor, planes, ready):
    """Premultiplied colour of what `Samples.ids` calls `name`."""
    t = name - 1 if name > 0 else -1 - name
    material = mesh.triangle_materials[t]
    if name < 0:
        hull, mix = surfaces.hull_colors, surfaces.hull_mixes[material]
        red, green, blue = hull[material, 0], hull[material, 1], hull[material, 2]
        if mix > np.float32(0.0):
            rest, colors = np.float32(1.0) - mix, surfaces.colors
            red *= rest + mix * colors[material, 0] * mesh.tints[t, 0]
            green *= rest + mix * colors[material, 1] * mesh.tints[t, 1]
            blue *= rest + mix * colors[material, 2] * mesh.tints[t, 2]
        return red, green, blue, hull[material, 3]
    if not ready[t]:
        ready[t] = True
        _set_planes(t, vertices, mesh, surfaces, textures, lens.reference, factor, planes)
    return _surface(planes, t, x, y, material, surfaces, textures, lens, factor)
