"""A network that draws poses as sticks, so that all around it can be tested exactly.

`python -m tests.pipelines.puppet` is `anime_pt.animate` with it, and with the estimator of `stand_in`.
"""

import cv2
import numpy as np

from anime_pt.pipelines import estimator, framing, transfer
from anime_pt.pose.skeletons import AVATAR_20
from tests.pipelines import stand_in

LIMB, HAND = (40, 90, 200), (200, 30, 30)


class Puppet:
    """What `transfer.Model` is, without anything that was learned."""

    copies = False

    def __init__(self, *_, size=(96, 64), rgba=False, noise=0.0):
        self.skeleton, self.size, self.rgba, self._noise = AVATAR_20, size, rgba, noise
        self.frame = framing.Frame(size, 0.75, 0.96)
        self.asked = []
        self._rng = np.random.default_rng(0)

    def __call__(self, sources, poses):
        self.asked.append(len(poses))
        return np.stack([self._draw(p) for p in poses])

    def _draw(self, points):
        image = np.full((*self.size, 4), (255, 255, 255, 0), np.uint8)
        at = lambda p: tuple(int(v) for v in np.round((p[:2] - 0.5) * 16))
        limb = np.clip(LIMB + self._rng.normal(0, self._noise, 3), 0, 255)
        for a, b in AVATAR_20.limb_indices:
            if np.isfinite(points[[a, b], :2]).all():
                cv2.line(image, at(points[a]), at(points[b]), (*limb, 255), 5, cv2.LINE_AA, 4)
        hand = points[AVATAR_20.index("left_wrist")]
        if np.isfinite(hand[:2]).all():
            cv2.circle(image, at(hand), 4 * 16, (*HAND, 255), -1, cv2.LINE_AA, 4)
        return image if self.rgba else image[..., :3]


def hand(image):
    """x and y of the middle of the left hand in a picture (h, w, 3 or 4), and how many pixels it has."""
    away = np.abs(image[..., :3].astype(int) - HAND).max(-1)
    rows, columns = np.nonzero(away < 60)
    return columns.mean() + 0.5, rows.mean() + 0.5, len(rows)


if __name__ == "__main__":
    from anime_pt import animate, command

    estimator.packaged = lambda: (stand_in.ByColour(), None)
    transfer.Model = Puppet
    command.run(animate.main)
