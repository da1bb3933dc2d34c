"""What is behind a figure: nothing, a colour or a picture."""

import dataclasses
import pathlib
import re

import numpy as np
from PIL import Image, ImageColor

from anime_pt.avatars.formats.textures import decode
from anime_pt.avatars.rasterise import Frame

_MAX_SIDE = 8192


@dataclasses.dataclass(frozen=True)
class Background:
    """What is behind a figure.

    Attributes:
      color: (3,) in [0, 255], or None for a transparent background.
      picture: (h, w, 3) uint8 that is shown instead, as large as covers the frame and centred; or None.
    """

    color: tuple[int, int, int] | None = None
    picture: np.ndarray | None = None
    _fitted: dict[tuple[int, int], np.ndarray] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def behind(self, frame: Frame) -> np.ndarray:
        """The figure before the background: (h, w, 3) uint8, or (h, w, 4) if it is transparent."""
        if self.picture is not None:
            return frame.over(self._covering(*frame.depth.shape))
        return frame.image if self.color is None else frame.over(self.color)

    def _covering(self, height: int, width: int) -> np.ndarray:
        if (height, width) not in self._fitted:
            image = Image.fromarray(self.picture)
            scale = min(image.width / width, image.height / height)
            part = np.array([width, height]) * scale
            start = (np.array(image.size) - part) / 2
            box = tuple(np.concatenate([start, start + part]).clip(0, [*image.size, *image.size]).tolist())
            fitted = image.resize((width, height), Image.Resampling.LANCZOS, box=box)
            self._fitted[height, width] = np.asarray(fitted)
        return self._fitted[height, width]


def parse(text: str) -> Background:
    """Reads how a background is written.

    Args:
      text: "transparent", "white", "black", "#rrggbb", or the path of a picture of any kind; it is turned
        upright, and what is transparent in it becomes white.

    Raises:
      ValueError: for anything else, or a picture that cannot be decoded.
    """
    if text == "transparent":
        return Background()
    if text in ("white", "black") or re.fullmatch("#[0-9a-fA-F]{6}", text):
        return Background(ImageColor.getrgb(text))
    path = pathlib.Path(text)
    if not path.is_file():
        raise ValueError(
            f"background {text!r} is neither transparent, white, black, a colour such as #8090a0 nor a file"
        )
    try:
        picture = decode(path, max_side=_MAX_SIDE, upright=True)
    except Exception as e:  # Pillow's plugins raise anything on damaged files.
        raise ValueError(f"background {text}: not a picture that can be read ({e})") from e
    alpha = picture[..., 3:].astype(np.uint16)
    return Background(
        picture=((picture[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    )
