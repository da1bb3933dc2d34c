"""Pixels from their samples: surfaces are shaded once for each pixel, and blended in order. Compiled."""

import numpy as np

from anime_pt.avatars.raster.coverage import TIE
from anime_pt.avatars.raster.fragments import fragment
from anime_pt.avatars.raster.sampling import inline, kernel

# Fragments of one sample that are blended: the nearest; more are ignored.
MAX_SORTED = 64


@kernel
def _blended_fragment(name, x, y, vertices, mesh, surfaces, textures, lens, factor, planes, ready):
    """`fragment` as a call: a second copy in `shade` would slow down the first."""
    return fragment(name, x, y, vertices, mesh, surfaces, textures, lens, factor, planes, ready)


@inline
def _byte(value):
    """A value in [0, 255] and beyond, rounded to uint8."""
    return np.uint8(min(np.float32(255.0), max(np.float32(0.0), value + np.float32(0.5))))


@inline
def _material(name, owners):
    return owners[name - 1 if name > 0 else -1 - name]


@inline
def _sort(link, samples, owners, ranks, layers):
    """Fills `layers` with the fragments of one sample from first to last drawn; returns how many.

    Ranks from low to high, within a rank from far to near. Lists run from the last drawn to the first, and
    of equal depths the last drawn comes on top, so it must stay behind in the array.
    """
    n = 0
    while link >= 0:
        z, rank = samples.depths[link], ranks[_material(samples.links[link, 1], owners)]
        if n == MAX_SORTED:
            last = layers[0]
            if ranks[_material(samples.links[last, 1], owners)] >= rank and z >= samples.depths[last]:
                link = samples.links[link, 0]
                continue
            n -= 1
            for k in range(n):
                layers[k] = layers[k + 1]
        k = n
        n += 1
        while k > 0:
            before = layers[k - 1]
            other = ranks[_material(samples.links[before, 1], owners)]
            if other < rank or (other == rank and samples.depths[before] >= z + TIE):
                break
            layers[k] = before
            k -= 1
        layers[k] = link
        link = samples.links[link, 0]
    return n


@kernel
def shade(vertices, mesh, surfaces, textures, lens, region, factor, samples, has_layers, scratch, frame):
    """Colours the pixels of `region` from the samples.

    Args:
      region: (4,) int64 output pixels from x, y to x, y.
      factor: samples per pixel along each axis.
      scratch: planes (t, fragments.PLANES) float32, ready (t,) bool, pixel (16, 4) float32, and (16,), (16,),
        (MAX_SORTED,), (16,), (16,) int64.
      frame: gets image, depth, parts and triangles, as in `rasterise.Frame`.
    """
    planes, ready, pixel, names, links, layers, across, down = scratch
    image, out_depth, out_parts, out_triangles = frame
    depth, ids, heads, owners = samples.depth, samples.ids, samples.heads, mesh.triangle_materials
    count = factor * factor
    for s in range(count):
        across[s], down[s] = s % factor, s // factor
    for t in range(len(mesh.triangles)):
        ready[t] = False
    middle = 0.5 * (factor - 1)
    share, one, full = np.float32(1.0 / count), np.float32(1.0), np.float32(255.0)
    for py in range(region[1], region[3]):
        for px in range(region[0], region[2]):
            y0, x0 = py * factor, px * factor
            first = ids[np.uintp(y0 * samples.stride + x0)]
            same, layered = True, False
            nearest, nearest_id = np.float32(np.inf), 0
            for s in range(count):
                at = np.uintp((y0 + down[s]) * samples.stride + x0 + across[s])
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
            for s in range(count):
                name = names[s]
                if name == 0:
                    if layered:
                        for c in range(4):
                            pixel[s, c] = 0.0
                    continue
                n, mx, my, repeated = count, middle, middle, False
                if not same:
                    n, mx, my = 0, 0.0, 0.0
                    for k in range(count):
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
                x, y = x0 + mx + 0.5, y0 + my + 0.5
                r, g, b, a = fragment(
                    name, x, y, vertices, mesh, surfaces, textures, lens, factor, planes, ready
                )
                if name > 0:
                    a = one
                if layered:
                    pixel[s, 0], pixel[s, 1], pixel[s, 2], pixel[s, 3] = r, g, b, a
                weight = n * share
                red, green = red + r * weight, green + g * weight
                blue, alpha = blue + b * weight, alpha + a * weight
                if same:
                    if layered:
                        for k in range(1, count):
                            for c in range(4):
                                pixel[k, c] = pixel[0, c]
                    break
            if layered:
                red, green, blue, alpha = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
                for s in range(count):
                    written = np.float32(np.inf)
                    for k in range(_sort(links[s], samples, owners, surfaces.ranks, layers)):
                        name, z = samples.links[layers[k], 1], samples.depths[layers[k]]
                        if z > written + TIE:
                            continue
                        x, y = x0 + across[s] + 0.5, y0 + down[s] + 0.5
                        r, g, b, a = _blended_fragment(
                            name, x, y, vertices, mesh, surfaces, textures, lens, factor, planes, ready
                        )
                        rest = one - a
                        pixel[s, 0], pixel[s, 1] = r + rest * pixel[s, 0], g + rest * pixel[s, 1]
                        pixel[s, 2], pixel[s, 3] = b + rest * pixel[s, 2], a + rest * pixel[s, 3]
                        if surfaces.depth_writes[_material(name, owners)] and z < written:
                            written = z
                        if a >= np.float32(0.5) and z < nearest:
                            nearest, nearest_id = z, name
                    red, green = red + pixel[s, 0] * share, green + pixel[s, 1] * share
                    blue, alpha = blue + pixel[s, 2] * share, alpha + pixel[s, 3] * share
            if alpha < np.float32(0.5 / 255):
                continue
            inverse = full / alpha
            image[py, px, 0], image[py, px, 1] = _byte(red * inverse), _byte(green * inverse)
            image[py, px, 2], image[py, px, 3] = _byte(blue * inverse), _byte(alpha * full)
            if nearest_id != 0:
                t = nearest_id - 1 if nearest_id > 0 else -1 - nearest_id
                if lens.focal > 0.0:
                    nearest = np.float32(lens.reference * lens.reference / (lens.reference - nearest))
                out_depth[py, px] = nearest
                out_parts[py, px] = surfaces.parts[owners[t]]
                out_triangles[py, px] = mesh.sources[t]
