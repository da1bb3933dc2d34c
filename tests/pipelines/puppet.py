"""A network that draws poses as sticks, so that all around it can be tested exactly.

`python -m tests.pipelines.puppet` is `anime_pt.animate` with it, and with the estimator of `stand_in`.
"""

import cv2
import numpy as np

from anime_pt.pipelines import estimator, figures, framing, transfer
from anime_pt.pose.sequences import PoseSequence
from anime_pt.pose.skeletons import AVATAR_20, COCO_17
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


def character(ground=None, missing=()):
    """A cut of the stand-in's figure, 300 high and 400 wide, transparent or before a colour."""
    image, points = stand_in.figure()
    if ground is not None:
        image = np.where(image[..., 3:] == 255, image[..., :3], ground).astype(np.uint8)
    figure = figures.find(image)
    points = PoseSequence(points[None].astype(np.float32), COCO_17, (300.0, 400.0)).as_skeleton(AVATAR_20)
    points = points.keypoints[0]
    points[AVATAR_20.index("head_top")] = 110, 42, 1
    points[[AVATAR_20.index(n) for n in missing]] = np.nan, np.nan, 0
    cut = np.concatenate(transfer._cut_out(image, figure), -1)
    return transfer.Cut(image, cut, points, AVATAR_20, figure)


if __name__ == "__main__":
    from anime_pt import animate, command

    estimator.packaged = lambda: (stand_in.ByColour(), None)
    transfer.Model = Puppet
    command.run(animate.main)
