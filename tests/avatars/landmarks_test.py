"""Points of a face on a mesh."""

import numpy as np
import pytest

from anime_pt.avatars import landmarks


def ball(middle, radius: float) -> np.ndarray:
    """(n, 3) points on a sphere."""
    u, v = (a.ravel() for a in np.meshgrid(np.linspace(0, np.pi, 25), np.linspace(0, 2 * np.pi, 48)))
    return middle + radius * np.stack([np.sin(u) * np.cos(v), np.cos(u), np.sin(u) * np.sin(v)], 1)


def test_a_bun_behind_the_head_is_not_its_top():
    skull, bun = ball((0.0, 1.6, 0.0), 0.1), ball((0.0, 1.72, -0.1), 0.05)
    points = np.concatenate([skull, bun])
    face = np.arange(len(points)) < len(skull)
    count, none = len(points), np.zeros(len(points), bool)
    found = landmarks.find(
        points,
        np.zeros((0, 3), int),
        np.zeros(count, int),
        np.array([[0.0, 1.5, 0.0], [0.0, 1.42, 0.0]]),
        {"head": 0, "neck": 1},
        face,
        ~none,
        none,
        [],
    )
    bone, top = found["head_top"]
    assert bone == 0 and top[1] == pytest.approx(1.7, abs=1e-6) and points[:, 1].max() > 1.76
