"""More pictures from few: turned, scaled, mirrored and tinted copies, each from a seed and its name."""

import dataclasses
import zlib

import cv2
import numpy as np

from anime_pt.pose import affine, skeletons

# Luma of BT.601.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What a copy may differ by; called on a picture.

    Attributes:
      skeleton: name of the joints' skeleton; a mirrored left joint is a right one.
      rotation: largest turn to either side, in degrees, about the middle of the figure's box.
      zoom: scales are uniform in 1 - zoom to 1 + zoom.
      color: contrast and saturation are uniform in 1 - color to 1 + color, brightness moves by as much
        of half the range.
      seed: of everything.
    """

    skeleton: str
    rotation: float
    zoom: float
    color: float
    seed: int

    def __call__(
        self, image: np.ndarray, points: np.ndarray, box: np.ndarray, name: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """An augmented copy of the same size.

        Args:
          image: (h, w, 3) uint8.
          points: (k, 3) x, y, visibility in its pixels.
          box: (4,) x, y, width, height of the figure.
          name: of the copy; copies of other names differ in other ways.

        Returns:
          Image and points. Where the picture ends it goes on in the median colour of its border.
        """
        draw = np.random.default_rng((self.seed, zlib.crc32(name.encode())))
        angle = draw.uniform(-self.rotation, self.rotation)
        scale = draw.uniform(1 - self.zoom, 1 + self.zoom)
        mirrored = draw.random() < 0.5
        contrast, saturation = draw.uniform(1 - self.color, 1 + self.color, 2)
        brightness = draw.uniform(-self.color, self.color) * 127.5

        height, width = image.shape[:2]
        center = box[:2] + box[2:] / 2
        matrix = affine.compose(
            affine.translate(*center), affine.rotate(angle), affine.scale(scale), affine.translate(*-center)
        )
        if mirrored:
            matrix = affine.compose(affine.mirror(width), matrix)
            points = points[skeletons.named(self.skeleton).flip]
        moved = affine.apply(matrix, points)

        border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        fill = np.median(border, axis=0).tolist()
        out = cv2.warpAffine(
            image,
            affine.to_pixel_centres(matrix),
            (width, height),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=fill,
        ).astype(np.float32)
        grey = out @ _LUMA[:, None]
        out = grey + (out - grey) * saturation
        out = (out - 127.5) * contrast + 127.5 + brightness
        return out.round().clip(0, 255).astype(np.uint8), moved
