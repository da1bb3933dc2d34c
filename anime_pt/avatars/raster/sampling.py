"""Texture lookup in compiled loops: bilinear, repeating, on a level that suits the size on screen.

Numba's cache looks at one file only: after editing a function that is inlined into those of another file,
delete `__pycache__`.
"""

import numba
import numpy as np

# `_nrt=False` leaves out reference counting: the kernels allocate nothing, and counting the arrays that an
# inlined function receives, once per pixel, took more time than its work. Inlined by LLVM: a call would
# pass dozens of words for each array.
inline = numba.njit(cache=True, nogil=True, error_model="numpy", _nrt=False, forceinline=True)
kernel = numba.njit(cache=True, nogil=True, error_model="numpy", _nrt=False)


@inline
def level_of(levels, texel_area, area):
    """Mip level whose texels are about as large as the samples or pixels; areas are twice the triangle's."""
    if texel_area <= area or area <= 0.0:
        return 0
    level = int(0.5 * np.log2(texel_area / area) + 0.35)
    return min(level, levels - 1)


@inline
def texture_alpha(texels, offset, width, height, u, v):
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


@inline
def texture_color(textures, row, level, u, v):
    """Bilinear premultiplied colour as four float32 in [0, 255], repeating."""
    texels, offset = textures.texels, textures.offsets[row, level]
    width, height = textures.widths[row, level], textures.heights[row, level]
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
