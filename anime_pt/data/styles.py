"""Ways to draw a figure, in picture space: what a pose estimator must not care about.

`restyle` draws at random for training: palettes, lines, shading, paper, blur, noise, JPEG. `UNSEEN` are
styles that it never draws, to measure on. Colours are float32 in [0, 1], RGB; random numbers come from the
generator given, so the same generator draws the same.
"""

from collections.abc import Callable

import cv2
import numpy as np

Image = np.ndarray


def restyle(colours: Image, alpha: Image, rng: np.random.Generator) -> Image:
    """The figure in another palette, shading and line.

    Args:
      colours: (h, w, 3) of the figure, also where it is not.
      alpha: (h, w, 1), its coverage in [0, 1].
      rng: decides.

    Returns:
      (h, w, 3).
    """
    if rng.random() < 0.2:
        colours = _line_width(colours, alpha, rng)
    kind = rng.random()
    if kind < 0.1:
        colours = line_art(colours, alpha, rng.uniform(0.0, 0.7))
    elif kind < 0.17:
        colours = _flat(colours, alpha, rng)
    else:
        if rng.random() < 0.6:
            colours = _palette(colours, rng)
        if rng.random() < 0.12:
            levels = int(rng.integers(2, 6))
            colours = np.round(colours * levels) / levels
    if rng.random() < 0.3:
        colours = colours * _shading(colours.shape, rng)
    if rng.random() < 0.12:
        colours = _random_filter(colours, rng)
    if rng.random() < 0.12:
        colours = colours * _texture(colours.shape, rng)
    if rng.random() < 0.15:
        colours = np.repeat(colours @ np.float32([[0.299], [0.587], [0.114]]), 3, axis=-1)
    return np.clip(colours, 0, 1)


def _line_width(colours: Image, alpha: Image, rng: np.random.Generator) -> Image:
    """Dark lines grown or shrunk by up to a pixel on each side."""
    kernel = np.ones((2, 2) if rng.random() < 0.5 else (3, 3), np.uint8)
    over_white = colours * alpha + (1 - alpha)
    return (cv2.erode if rng.random() < 0.6 else cv2.dilate)(over_white, kernel)


def line_art(colours: Image, alpha: Image, fill: float) -> Image:
    """Dark lines where brightness changes, on white; `fill` in [0, 1] keeps that share of the colours."""
    over_white = colours * alpha + (1 - alpha)
    grey = cv2.cvtColor(over_white.astype(np.float32), cv2.COLOR_RGB2GRAY)
    edges = grey - cv2.GaussianBlur(grey, (0, 0), 1.5)
    outline = alpha[..., 0] - cv2.GaussianBlur(alpha[..., 0], (0, 0), 1.0)
    lines = np.clip(1 + 6 * np.minimum(edges, 0) - 2 * np.maximum(outline, 0), 0, 1)[..., None]
    return lines * (1 - fill + fill * over_white)


def _flat(colours: Image, alpha: Image, rng: np.random.Generator) -> Image:
    """Nearly one colour, often a dark one: untextured models, silhouettes, figures in the shade."""
    middle = (colours * alpha).sum((0, 1)) / max(float(alpha.sum()), 1.0)
    paint = rng.random(3) * rng.uniform(0.05, 1.0)
    return np.float32(paint) + np.float32(rng.uniform(0.02, 0.35)) * (colours - middle)


def _random_filter(colours: Image, rng: np.random.Generator) -> Image:
    """Mixed with what a small random linear filter makes of it, of equal mean and spread.

    Shapes stay, colours and textures change; after Xu et al. 2021, "Robust and Generalizable Visual
    Representation Learning via Random Convolutions", section 3.
    """
    size = int(rng.choice([1, 3, 5]))
    kernel = rng.normal(0, 1, (3, 3, size, size)).astype(np.float32)
    out = np.stack(
        [sum(cv2.filter2D(colours[..., i], -1, taps[i]) for i in range(3)) for taps in kernel], axis=-1
    )
    out = (out - out.mean()) / max(float(out.std()), 1e-3) * colours.std() + colours.mean()
    share = np.float32(rng.uniform(0.3, 1.0))
    return np.clip(share * out + (1 - share) * colours, 0, 1)


def _texture(shape: tuple[int, ...], rng: np.random.Generator) -> Image:
    """(h, w, 1 or 3): cloth, grain and blots, from one to a dozen pixels large."""
    h, w = shape[:2]
    cell = np.exp(rng.uniform(0, np.log(12)))
    channels = 3 if rng.random() < 0.4 else 1
    field = rng.random((int(h / cell) + 2, int(w / cell) + 2, channels)).astype(np.float32)
    field = cv2.resize(field, (w, h), interpolation=cv2.INTER_LINEAR).reshape(h, w, channels)
    return 1 - np.float32(rng.uniform(0.15, 0.7)) * field


def _palette(colours: Image, rng: np.random.Generator) -> Image:
    """Hues turned, saturation and brightness curves changed, channels sometimes swapped."""
    if rng.random() < 0.15:
        colours = colours[..., rng.permutation(3)]
    # A turn about the grey axis is a turn of hue.
    angle = rng.uniform(-np.pi, np.pi) if rng.random() < 0.5 else rng.normal(0, 0.3)
    axis = np.full(3, 1 / np.sqrt(3))
    turn = cv2.Rodrigues(axis * angle)[0].astype(np.float32)
    grey = colours.mean(-1, keepdims=True)
    colours = grey + ((colours - grey) @ turn.T) * np.float32(rng.uniform(0.3, 1.6))
    gamma = np.exp(rng.normal(0, 0.25, 3)).astype(np.float32)
    return np.clip(colours, 1e-4, 1) ** gamma


def _shading(shape: tuple[int, ...], rng: np.random.Generator) -> Image:
    """(h, w, 1): brightness that changes smoothly or, as in cel shading, at once."""
    h, w = shape[:2]
    field = cv2.resize(rng.normal(0, 1, (4, 3)).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.4:
        field = np.where(field > 0, 1, -1).astype(np.float32)
    return np.clip(1 + np.float32(rng.uniform(0.05, 0.3)) * field, 0.3, 1.5)[..., None]


def background(shape: tuple[int, int], rng: np.random.Generator) -> Image:
    """(h, w, 3): white paper mostly; flat colours, gradients, bands, shapes, blotches, noise."""
    h, w = shape
    kind = rng.random()
    if kind < 0.3:
        return np.ones((h, w, 3), np.float32)
    colours = rng.random((8, 3)).astype(np.float32)
    if rng.random() < 0.5:  # Pale ones, as most backgrounds are.
        colours = 1 - 0.35 * (1 - colours)
    canvas = np.broadcast_to(colours[0], (h, w, 3)).copy()
    if kind < 0.45:
        return canvas
    y, x = np.mgrid[:h, :w].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    along = (np.cos(angle) * x / w + np.sin(angle) * y / h).astype(np.float32)
    if kind < 0.57:
        share = ((along - along.min()) / max(float(np.ptp(along)), 1e-6))[..., None]
        return colours[0] + share * (colours[1] - colours[0])
    if kind < 0.67:
        bands = (np.floor(along * rng.uniform(2, 20)) % 2).astype(np.float32)[..., None]
        return colours[0] + bands * (colours[1] - colours[0])
    if kind < 0.88:
        for colour in np.repeat(colours, 3, axis=0)[: rng.integers(3, 24)]:
            colour = np.clip(colour + rng.normal(0, 0.1, 3), 0, 1).tolist()
            center = int(rng.integers(0, w)), int(rng.integers(0, h))
            size = int(rng.uniform(0.02, 0.35) * h)
            shape_kind = rng.integers(3)
            if shape_kind == 0:
                cv2.circle(canvas, center, size // 2 + 1, colour, -1)
            elif shape_kind == 1:
                points = np.array(center) + rng.normal(0, size, (rng.integers(3, 6), 2))
                cv2.fillPoly(canvas, [points.astype(np.int32)], colour)
            else:
                end = int(rng.integers(0, w)), int(rng.integers(0, h))
                cv2.line(canvas, center, end, colour, int(rng.integers(1, max(2, size // 3) + 1)))
        return canvas
    coarse = int(rng.integers(4, 33))
    field = rng.random((coarse, coarse, 3)).astype(np.float32)
    field = cv2.resize(field, (w, h), interpolation=cv2.INTER_CUBIC)
    return np.clip(colours[0] + (field - 0.5) * np.float32(rng.uniform(0.1, 1.0)), 0, 1)


def occlude(picture: Image, rng: np.random.Generator) -> Image:
    """Covers one to three places by shapes of one colour or blotches, up to a third of the height large."""
    h, w = picture.shape[:2]
    out = picture.copy()
    for _ in range(rng.integers(1, 4)):
        size = rng.uniform(0.05, 0.3) * h
        center = rng.uniform([0, 0], [w, h])
        corners = center + rng.uniform(-size, size, (int(rng.integers(3, 6)), 2)) / 1.5
        covered = np.zeros((h, w), np.uint8)
        cv2.fillConvexPoly(covered, cv2.convexHull(corners.astype(np.int32)), 1)
        colour = rng.random(3).astype(np.float32)
        if rng.random() < 0.3:  # A piece of the picture itself, from elsewhere.
            out = np.where(covered[..., None] > 0, np.roll(picture, rng.integers(1, w), 1), out)
        else:
            out = np.where(covered[..., None] > 0, colour, out)
    return out


def scan(picture: Image, rng: np.random.Generator) -> Image:
    """Light, paper, grain, blur, a low resolution, JPEG: what happens to a finished picture."""
    h, w = picture.shape[:2]
    if rng.random() < 0.4:
        gain, offset = rng.uniform(0.6, 1.2), rng.uniform(-0.1, 0.15)
        picture = picture * np.float32(gain) + np.float32(offset)
    if rng.random() < 0.15:
        paper = cv2.resize(rng.random((h // 3 + 1, w // 3 + 1)).astype(np.float32), (w, h))
        tint = 1 - np.float32([0, 1, 2]) * np.float32(rng.uniform(0, 0.08))
        picture = picture * (1 - np.float32(rng.uniform(0.02, 0.2)) * paper[..., None]) * tint
    if rng.random() < 0.15:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.2))
    if rng.random() < 0.12:
        factor = rng.uniform(0.4, 0.9)
        small = cv2.resize(picture, (int(w * factor), int(h * factor)), interpolation=cv2.INTER_AREA)
        picture = cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.15:
        grain = rng.standard_normal((h, w, 1), np.float32)
        picture = picture + np.float32(rng.uniform(0.01, 0.08)) * grain
    picture = np.clip(picture, 0, 1)
    if rng.random() < 0.3:
        picture = jpeg(picture, int(rng.integers(15, 90)))
    return picture


def jpeg(picture: Image, quality: int) -> Image:
    """What JPEG of that quality, 1 to 100, leaves."""
    _, data = cv2.imencode(".jpg", (picture * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR).astype(np.float32) / 255


def _halftone(picture: Image, rng: np.random.Generator) -> Image:
    """Black dots on white at 45 degrees, larger where it is darker, as printed manga; lines stay."""
    h, w = picture.shape[:2]
    grey = cv2.cvtColor(picture.astype(np.float32), cv2.COLOR_RGB2GRAY)
    pitch = h / 48
    y, x = np.mgrid[:h, :w].astype(np.float32)
    u, v = (x + y) / (np.sqrt(2) * pitch), (x - y) / (np.sqrt(2) * pitch)
    screen = 0.5 + 0.25 * (np.cos(2 * np.pi * u) + np.cos(2 * np.pi * v))
    dots = np.clip((cv2.GaussianBlur(grey, (0, 0), pitch / 3) - 0.15 - 0.7 * screen) * 8 + 0.5, 0, 1)
    lines = np.clip(1 + 8 * np.minimum(grey - cv2.GaussianBlur(grey, (0, 0), 2), 0), 0, 1)
    return np.repeat((dots * lines)[..., None], 3, axis=-1)


def _watercolour(picture: Image, rng: np.random.Generator) -> Image:
    """Flat washes with soft borders, darker along them, on grainy paper."""
    h, w = picture.shape[:2]
    smooth = cv2.medianBlur((picture * 255).astype(np.uint8), 5)
    for _ in range(2):
        smooth = cv2.bilateralFilter(smooth, 7, 40, 5)
    wash = smooth.astype(np.float32) / 255
    edge = np.abs(wash - cv2.GaussianBlur(wash, (0, 0), 2)).max(-1, keepdims=True)
    grain = cv2.GaussianBlur(rng.random((h, w)).astype(np.float32), (0, 0), 1.2)[..., None]
    pale = 0.3 + 0.7 * wash
    return np.clip(pale * (1 - 1.2 * edge) * (0.75 + 0.5 * grain), 0, 1)


def _pixel_art(picture: Image, rng: np.random.Generator) -> Image:
    """A quarter of the resolution, in squares, with five levels for each colour."""
    h, w = picture.shape[:2]
    small = cv2.resize(picture, (max(1, w // 4), max(1, h // 4)), interpolation=cv2.INTER_AREA)
    return cv2.resize(np.round(small * 4) / 4, (w, h), interpolation=cv2.INTER_NEAREST)


def _hatching(picture: Image, rng: np.random.Generator) -> Image:
    """Pencil: contours, and strokes in two directions where it is dark."""
    h, w = picture.shape[:2]
    grey = cv2.cvtColor(picture.astype(np.float32), cv2.COLOR_RGB2GRAY)
    y, x = np.mgrid[:h, :w].astype(np.float32)
    wobble = cv2.resize(rng.normal(0, 1, (8, 6)).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
    pitch = h / 64
    strokes = np.ones((h, w), np.float32)
    for direction, below in ((x + y, 0.75), (x - y, 0.4)):
        stroke = 0.5 + 0.5 * np.sin(2 * np.pi * direction / (1.4 * pitch) + wobble)
        strokes = np.where(grey < below, np.minimum(strokes, 0.45 + 0.55 * stroke), strokes)
    contours = np.clip(1 + 7 * np.minimum(grey - cv2.GaussianBlur(grey, (0, 0), 1.5), 0), 0, 1)
    return np.repeat((0.95 * strokes * contours)[..., None], 3, axis=-1)


# (h, w, 3) picture and generator -> (h, w, 3): never drawn in training.
UNSEEN: dict[str, Callable[[Image, np.random.Generator], Image]] = {
    "halftone": _halftone,
    "watercolour": _watercolour,
    "pixel_art": _pixel_art,
    "hatching": _hatching,
}
