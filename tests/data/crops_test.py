import numpy as np
import pytest

from anime_pt.data import crops
from anime_pt.pose import affine


def dot(size, x, y):
    """A black disc of two pixels' radius, by its distance from a point, on white."""
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    distance = np.hypot(columns - x, rows - y)
    return (255 * np.clip(distance - 2, 0, 1)).astype(np.uint8)


def centre(image):
    weight = 255.0 - image
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()


@pytest.mark.parametrize("factor", [0.21, 0.7, 1.0, 2.3])
def test_pictures_and_points_move_together(factor):
    point = np.array([[61.5, 40.0, 1.0]])
    # The wide dot survives shrinking.
    image = np.minimum.reduce(
        [dot((100, 120), 61.5 + dx, 40.0 + dy) for dx in (-4, 0, 4) for dy in (-4, 0, 4)]
    )
    matrix = affine.compose(
        affine.translate(100, 90), affine.scale(factor), affine.rotate(25), affine.translate(-61.5, -40)
    )
    matrix = affine.compose(affine.mirror(200), matrix)
    out = crops.warp(image, matrix, (180, 200))
    np.testing.assert_allclose(centre(out), affine.apply(matrix, point)[0, :2], atol=0.1)


@pytest.mark.parametrize("shape", [(40, 30), (40, 30, 1), (40, 30, 3), (40, 30, 4)])
def test_channels_stay_and_borders_have_their_colour(shape):
    image = np.full(shape, 7, np.uint8)
    for factor in (0.2, 1.0):
        out = crops.warp(image, affine.scale(factor), (50, 60), border=200)
        assert out.shape == (50, 60, *shape[2:]) and out.dtype == np.uint8
        assert (out[2, 2] == 7).all() and (out[-1, -1] == 200).all()


def test_shrinking_averages():
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    out = crops.warp(stripes, affine.scale(0.25), (16, 16))
    # Taking every fourth column would give black or white.
    assert np.abs(out[2:-2, 2:-2].astype(int) - 127).max() <= 40
