"""Pixels and depth of the orthographic camera."""

import numpy as np
import pytest

from anime_pt.avatars import camera, poses, rasterise, rig
from tests.avatars.tiny_character import build_tiny


def test_pixels():
    view = camera.Camera(200, 100, 50.0, (0.0, 1.0, 0.0))
    points = np.array([[0, 1, 0], [1, 1, 0], [0, 2, 0], [0, 1, 1]], float)
    expected = [[100, 50, 0], [150, 50, 0], [100, 0, 0], [100, 50, -1]]
    np.testing.assert_allclose(view.project(points), expected, atol=1e-12)


@pytest.mark.parametrize(
    "angles,point,expected",
    [
        ({"yaw": 90}, (0, 0, 1), (60, 50, 0)),  # It faces the right of the image.
        ({"yaw": 90}, (1, 0, 0), (50, 50, 1)),  # Its left side is far.
        ({"pitch": 90}, (0, 1, 0), (50, 50, -1)),  # From above, the head is near.
        ({"roll": 90}, (1, 0, 0), (50, 40, 0)),  # The picture turns counter-clockwise.
    ],
)
def test_angles(angles, point, expected):
    view = camera.Camera(100, 100, 10.0, **angles)
    np.testing.assert_allclose(view.project(np.array(point, float)), expected, atol=1e-9)


@pytest.mark.parametrize("size", [96, (80, 160), (160, 80)])
def test_fit_shows_the_whole_figure(size):
    tiny = build_tiny()
    rng = np.random.default_rng(0)
    renderer = rasterise.Renderer(size)
    for _ in range(6):
        globals_ = rig.pose(tiny, poses.sample(rng))
        view = camera.fit(
            tiny, globals_, size, yaw=rng.uniform(-180, 180), pitch=rng.uniform(-20, 20), roll=10, margin=0.1
        )
        shown = renderer.render(tiny, globals_, view, outline=0.0).image[..., 3] > 0
        free = 0.1 * min(shown.shape)
        rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
        gaps = [rows[0], shown.shape[0] - 1 - rows[-1], columns[0], shown.shape[1] - 1 - columns[-1]]
        assert min(gaps) >= free - 1 and min(gaps) <= free + 1.5
    with pytest.raises(ValueError, match="margin"):
        camera.fit(tiny, tiny.rest, size, margin=0.5)
