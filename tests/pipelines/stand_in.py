"""An estimator that finds joints by their colours, so that all around it can be tested exactly.

`python -m tests.pipelines.stand_in` is `anime_pt.estimate` with it.
"""

import itertools
import types

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from anime_pt.pose.skeletons import COCO_17

COLOURS = np.array([c for c in itertools.product((20, 130, 240), repeat=3) if len(set(c)) > 1][:17])
RIBBON = (0, 0, 0)


class ByColour:
    """A recipe of pose estimation without anything to train."""

    skeleton = COCO_17
    stages = (types.SimpleNamespace(resolution=(256, 192)),)
    stride = 4
    margin, border = 0.08, 255

    def maps(self, net, images):
        """Where the colours are: the share of a cell, smoothed to bumps of at most 1."""
        away = jnp.linalg.norm((images[..., None, :] + 1) * 127.5 - COLOURS, axis=-1)
        like = jnp.clip(1.5 - away / 50, 0, 1)
        b, h, w, k = like.shape
        cells = like.reshape(b, h // 4, 4, w // 4, 4, k).mean((2, 4))
        line = jnp.exp(-jnp.square(jnp.arange(-5, 6)) / 4.5)
        kernel = (line[:, None] * line)[..., None]
        blur = lambda x: jax.scipy.signal.convolve(x, kernel, mode="same")
        found = jax.vmap(blur)(cells)
        found = found / jnp.maximum(found.max((1, 2), keepdims=True), 1)
        # In a mirrored picture the ribbon of the left hand is at the other side, and all joints change sides.
        ribbon = jnp.linalg.norm((images + 1) * 127.5 - jnp.array(RIBBON), axis=-1) < 40
        x = (ribbon * jnp.arange(w)).sum((1, 2)) / jnp.maximum(ribbon.sum((1, 2)), 1)
        mirrored = (x < w / 2)[:, None, None, None]
        return jnp.where(mirrored, found[..., self.skeleton.flip], found)


def figure(height=300, scale=1.0, left=60, top=40, width=400, seed=0):
    """RGBA (height, width, 4) of a grey figure with coloured joints, and these (17, 3)."""
    rng = np.random.default_rng(seed)
    places = {
        **{"nose": (50, 25), "left_eye": (58, 18), "right_eye": (42, 18), "left_ear": (66, 22)},
        **{"right_ear": (34, 22), "left_shoulder": (75, 60), "right_shoulder": (25, 60)},
        **{"left_elbow": (90, 90), "right_elbow": (10, 90), "left_wrist": (85, 120)},
        **{"right_wrist": (15, 120), "left_hip": (65, 120), "right_hip": (35, 120), "left_knee": (66, 160)},
        **{"right_knee": (34, 160), "left_ankle": (67, 195), "right_ankle": (33, 195)},
    }
    points = np.array([places[name] for name in COCO_17.keypoints], float) + rng.uniform(-1, 1, (17, 2))
    image = np.zeros((height, width, 4), np.uint8)
    at = lambda p: tuple(int(v) for v in np.round((np.asarray(p) * scale + (left, top) - 0.5) * 16))
    grey = (90, 90, 90, 255)
    cv2.circle(image, at((50, 25)), int(25 * scale * 16), grey, -1, cv2.LINE_8, 4)
    cv2.rectangle(image, at((20, 50)), at((80, 130)), grey, -1, cv2.LINE_8, 4)
    for a, b in COCO_17.limb_indices:
        cv2.line(image, at(points[a]), at(points[b]), grey, round(14 * scale), cv2.LINE_8, 4)
    cv2.circle(image, at((95, 140)), int(6 * scale * 16), (*RIBBON, 255), -1, cv2.LINE_8, 4)
    for point, colour in zip(points, COLOURS.tolist(), strict=True):
        cv2.circle(image, at(point), int(4 * scale * 16), (*colour, 255), -1, cv2.LINE_8, 4)
    return image, np.concatenate([points * scale + (left, top), np.ones((17, 1))], 1)


if __name__ == "__main__":
    from anime_pt import command, estimate
    from anime_pt.pipelines import estimator

    estimator.packaged = lambda: (ByColour(), None)
    command.run(estimate.main)
