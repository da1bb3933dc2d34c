import numpy as np
import pytest

from anime_pt.pose import multiscale


def brightness(square: np.ndarray) -> np.ndarray:
    """A network whose maps are the mean colours of its cells."""
    _, height, width, channels = square.shape
    cells = square.astype(np.float32).reshape(1, height // 8, 8, width // 8, 8, channels)
    return cells.mean((2, 4))


def picture(height: int, width: int) -> np.ndarray:
    """Red grows to the right, green downwards."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([255 * columns / width, 255 * rows / height, 0 * rows], -1).astype(np.uint8)


@pytest.mark.parametrize("size", [(60, 90), (300, 100), (64, 64)])
def test_maps_have_the_size_and_place_of_the_picture(size):
    image = picture(*size)
    maps = multiscale.predict(brightness, image, side=64, scales=(1.0, 1.5))
    assert maps.shape == image.shape and maps.dtype == np.float32
    inner = np.s_[size[0] // 5 : -size[0] // 5, size[1] // 5 : -size[1] // 5]
    np.testing.assert_allclose(maps[inner], image[inner], atol=12)


@pytest.mark.parametrize("size", [(2, 2000), (2000, 1)])
def test_narrow_pictures_keep_a_pixel(size):
    image = picture(*size)
    maps = multiscale.predict(brightness, image, side=64)
    assert maps.shape == image.shape
    along = 0 if size[1] > size[0] else 1
    found = maps.max(int(size[1] < size[0]))[[400, 1600], along] - 128
    # The last of a cell's eight pixels is the picture's; its map is mixed with the grey cell's beside it.
    wanted = (255 * np.array([0.2, 0.8]) - 128) / 8
    np.testing.assert_allclose(found / wanted, 0.66, atol=0.03)


def test_squares_are_filled_with_grey_and_scaled():
    seen = []

    def network(square):
        seen.append(square)
        return brightness(square)

    multiscale.predict(network, np.zeros((32, 64, 3), np.uint8), side=64, scales=(1.0, 0.5))
    assert [s.shape for s in seen] == [(1, 64, 64, 3), (1, 32, 32, 3)]
    np.testing.assert_array_equal(seen[0][0, :16], 128)
    np.testing.assert_array_equal(seen[0][0, 16:48], 0)
    np.testing.assert_array_equal(seen[0][0, 48:], 128)


def test_flip_averages_with_the_mirrored_picture():
    image = picture(64, 64)
    plain = multiscale.predict(brightness, image, side=64)
    # No partners: the mean colour is symmetric, so the mirrored maps are the same.
    same = multiscale.predict(brightness, image, side=64, flip=np.array([0, 1, 2]))
    np.testing.assert_allclose(same, plain, atol=1e-3)
    # Partners: red and green exchange in the mirrored maps; blue, beyond the joints, has none.
    swapped = multiscale.predict(brightness, image, side=64, flip=np.array([1, 0]))
    np.testing.assert_allclose(swapped[..., 0], plain[..., :2].mean(-1), atol=1e-3)
    np.testing.assert_allclose(swapped[..., 2], plain[..., 2], atol=1e-3)


def test_sides_must_fit_the_stride():
    with pytest.raises(ValueError, match=r"side 64 at scale 1\.1 is 70 pixels: choose a multiple of 8"):
        multiscale.predict(brightness, picture(8, 8), side=64, scales=(1.1,))
