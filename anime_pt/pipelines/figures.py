"""Where the figure is in a picture, without a detector: by transparency, else by what the border shows.

Border matting: colours along the border (up to four that are seen on three sides, each smooth over the
picture, so that paper and gradients fit) are the background; what of it is connected to the border is taken
away, and what remains, with its holes, is foreground. Gaps in outlines that are narrower than about a
hundredth of the picture are closed, so that white clothes on white stay. It works on pictures of at most 512
pixels. Where the border explains nothing (a scene, a photograph), the whole picture is the figure.
"""

import dataclasses

import cv2
import numpy as np

from anime_pt.pipelines import pictures

Box = tuple[float, float, float, float]
_SIDE = 512
# Shares of the picture: less is no figure, more means that matting failed.
_LEAST, _MOST = 2e-4, 0.9
_LEAST_SIDE = 16
# Of the border's pixels: one colour, all that are explained.
_COLOUR, _EXPLAINED = 0.06, 0.5
# Distances in Lab.
_CLOSE, _FAR = 6.0, 18.0


class NoFigureError(ValueError):
    """A picture shows no figure; the message says what was looked for, without the picture's name."""


@dataclasses.dataclass(frozen=True)
class Figure:
    """The largest figure of a picture.

    Attributes:
      box: x, y, width, height in pixels.
      how: "alpha", "border" or "whole picture".
      mask: bool, the figure's silhouette in the picture made smaller to at most 512 pixels; None for a
        whole picture.
      others: boxes of figures of comparable size.
    """

    box: Box
    how: str
    mask: np.ndarray | None = None
    others: tuple[Box, ...] = ()


def find(image: np.ndarray) -> Figure:
    """The figure in a picture.

    Args:
      image: (h, w, 3) or (h, w, 4) uint8, straight alpha.

    Raises:
      NoFigureError: nothing stands out from the background, or less than 16 pixels of it.
    """
    h, w = image.shape[:2]
    factor = max(1.0, max(h, w) / _SIDE)
    small = image
    if factor > 1:
        size = max(1, round(w / factor)), max(1, round(h / factor))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if small.shape[2] == 4 and _border(small[..., 3] < 128).mean() > 0.02:
        how, foreground = "alpha", small[..., 3] >= 64
    else:
        how, foreground = "border", _matte(pictures.before_white(small))
    if foreground is None or (how == "border" and foreground.mean() > _MOST):
        return Figure((0.0, 0.0, float(w), float(h)), "whole picture")
    groups = _groups(foreground)
    if not groups:
        what = "all of it is transparent" if how == "alpha" else "nothing stands out from the background"
        raise NoFigureError(f"no figure was found: {what}")
    scale = np.array([w / small.shape[1], h / small.shape[0]] * 2)
    boxes = [tuple((np.array(_box(group)) * scale).tolist()) for group in groups]
    if max(boxes[0][2:]) < _LEAST_SIDE:
        raise NoFigureError(
            f"the figure is too small: {max(boxes[0][2:]):.0f} pixels; it must have at least {_LEAST_SIDE}"
        )
    return Figure(boxes[0], how, groups[0], tuple(boxes[1:]))


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    x, y = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return x[0], y[0], x[-1] + 1 - x[0], y[-1] + 1 - y[0]


def _border(values: np.ndarray, width: int = 1) -> np.ndarray:
    """Values (h, w, ...) of pixels along the border, (n, ...)."""
    inside = np.zeros(values.shape[:2], bool)
    inside[width:-width, width:-width] = True
    return values[~inside]


def _matte(image: np.ndarray) -> np.ndarray | None:
    """Foreground (h, w) bool of (h, w, 3) uint8, or None where the border does not tell."""
    h, w = image.shape[:2]
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    x, y = np.meshgrid(np.linspace(-1, 1, w), np.linspace(-1, 1, h))
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1).astype(np.float32)
    width = max(1, max(h, w) // 128)
    colours = _colours(_border(lab, width), _border(terms, width))
    if not colours:
        return None
    like = _like(lab, terms, colours)
    if _border(like, width).mean() < _EXPLAINED:
        return None
    background = _connected(like)
    if len(colours) == 1 and background.mean() > 0.05:
        # From the border alone, the middle of an uneven paper is a guess.
        colours = [_fit(lab[background], terms[background], 6)]
        background = _connected(_like(lab, terms, colours))
    return ~background


def _colours(lab: np.ndarray, terms: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Smooth colours of a border: coefficients (6, 3) of `terms`, and how far pixels may be from them.

    Most frequent first.
    """
    top, bottom = terms[:, 2] <= terms[:, 2].min() + 1e-6, terms[:, 2] >= terms[:, 2].max() - 1e-6
    left, right = terms[:, 1] <= terms[:, 1].min() + 1e-6, terms[:, 1] >= terms[:, 1].max() - 1e-6
    free, out = np.ones(len(lab), bool), []
    while len(out) < 4 and free.mean() > _COLOUR:
        coarse, counts = np.unique((lab[free] / 8).round(), axis=0, return_counts=True)
        near = free & (np.abs(lab - coarse[counts.argmax()] * 8).max(1) < 8)
        for degree in (1, 3, 3, 3, 6, 6):
            # A few pixels do not tell a slope.
            colour = _fit(lab[near], terms[near], degree if near.mean() > 0.3 else 1)
            near = free & (_distance(lab, terms, colour) < colour[1])
            if not near.any():
                break
        if not near.any():
            break
        free &= ~near
        # Clothes that are cut by an edge of the picture are on one side of it.
        sides = sum(near[side].mean() > 0.03 for side in (top, bottom, left, right))
        if near.mean() > _COLOUR and (sides >= 3 or near.mean() > 0.4):
            out.append(colour)
    return out


def _fit(lab: np.ndarray, terms: np.ndarray, degree: int) -> tuple[np.ndarray, float]:
    """A colour as in `_colours`, from the first `degree` terms."""
    step = max(1, len(lab) // 8192)
    lab, terms = lab[::step], terms[::step, :degree]
    weights = np.ones(len(lab), np.float32)
    for _ in range(3):
        # Normal equations: few and well-scaled terms; the ridge is for borders that lie on a line.
        weighted = (terms * weights[:, None]).T.astype(np.float64)
        coefficients = np.linalg.solve(weighted @ terms + 1e-6 * len(lab) * np.eye(degree), weighted @ lab)
        away = np.linalg.norm(lab - terms @ coefficients, axis=1)
        spread = float(np.median(away)) + 0.2
        weights = (away < 3 * spread).astype(np.float32)
    out = np.zeros((6, 3), np.float32)
    out[:degree] = coefficients
    return out, float(np.clip(4 * spread, _CLOSE, _FAR))


def _distance(lab: np.ndarray, terms: np.ndarray, colour: tuple[np.ndarray, float]) -> np.ndarray:
    return np.linalg.norm(lab - terms @ colour[0], axis=-1)


def _like(lab: np.ndarray, terms: np.ndarray, colours: list[tuple[np.ndarray, float]]) -> np.ndarray:
    """Which pixels (h, w) have a colour of the background, or lie between two of them (where they meet)."""
    out = np.zeros(lab.shape[:2], bool)
    for i, (a, reach) in enumerate(colours):
        out |= _distance(lab, terms, (a, reach)) < reach
        for b, other in colours[:i]:
            start, along = terms @ a, terms @ (b - a)
            share = ((lab - start) * along).sum(-1) / np.maximum((along * along).sum(-1), 1e-6)
            away = np.linalg.norm(lab - start - np.clip(share, 0, 1)[..., None] * along, axis=-1)
            out |= away < min(reach, other)
    return out


def _connected(like: np.ndarray) -> np.ndarray:
    """What of the background's colours is reached from the border, not through narrow gaps."""
    radius = max(1, round(max(like.shape) / 200))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
    room = 2 * radius + 1
    padded = np.pad(like, room, constant_values=True).astype(np.uint8)
    wide = cv2.erode(padded, disc, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    _, labels = cv2.connectedComponents(wide, connectivity=4)
    reached = (labels == labels[0, 0]) & (wide > 0)
    grown = (cv2.dilate(reached.astype(np.uint8), disc) > 0) & (padded > 0)
    return grown[room:-room, room:-room]


def _groups(foreground: np.ndarray) -> list[np.ndarray]:
    """Masks of the figures, the largest first; specks, and things much smaller than it, are left out.

    Pieces near the largest (by a twenty-fifth of its size) belong to it, unless they stand beside it and are
    as tall as a figure.
    """
    h, w = foreground.shape
    join = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * max(1, max(h, w) // 170) + 1,) * 2)
    _, labels = cv2.connectedComponents(cv2.dilate(foreground.astype(np.uint8), join))
    sizes = np.bincount(labels[foreground], minlength=labels.max() + 1)
    order = [i for i in np.argsort(-sizes, kind="stable") if sizes[i] > _LEAST * h * w]
    if not order:
        return []
    main = (labels == order[0]) & foreground
    pieces = [(labels == i) & foreground for i in order[1:64]]
    for _ in range(4):
        reach = max(1, round(0.04 * max(_box(main)[2:])))
        near = cv2.dilate(main.astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8)) > 0
        joined = [p for p in pieces if (p & near).any() and not _beside(p, main)]
        if not joined:
            break
        main = np.any([main, *joined], axis=0)
        pieces = [p for p in pieces if not (p & main).any()]
    return [main, *(p for p in pieces if _comparable(p, main))]


def _comparable(piece: np.ndarray, main: np.ndarray) -> bool:
    return piece.sum() > 0.3 * main.sum() and _box(piece)[3] > 0.6 * _box(main)[3]


def _beside(piece: np.ndarray, main: np.ndarray) -> bool:
    """Whether it is another figure beside the largest."""
    x, _, w, _ = _box(piece)
    x0, _, w0, _ = _box(main)
    shared = min(x + w, x0 + w0) - max(x, x0)
    return _comparable(piece, main) and shared < 0.5 * min(w, w0)
