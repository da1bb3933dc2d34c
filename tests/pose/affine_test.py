import numpy as np
import pytest

from anime_pt.pose import affine


def test_compositions_apply_from_right_to_left():
    points = np.array([[1.0, 2.0, 1.0], [np.nan, np.nan, 0.0]])
    matrix = affine.compose(affine.translate(10, 0), affine.scale(2, 3), affine.translate(1, 1))
    moved = affine.apply(matrix, points)
    np.testing.assert_allclose(moved[0], [14, 9, 1])
    assert np.isnan(moved[1, :2]).all() and moved[1, 2] == 0
    np.testing.assert_allclose(affine.apply(affine.invert(matrix), moved)[0], points[0])


def test_turns_and_mirrors_keep_to_the_pixels():
    # A quarter turn takes the right to the bottom, since y points down.
    np.testing.assert_allclose(affine.apply(affine.rotate(90), np.array([[1.0, 0.0]])), [[0, 1]], atol=1e-12)
    # The centre of the first pixel of eight becomes that of the last.
    np.testing.assert_allclose(affine.apply(affine.mirror(8), np.array([[0.5, 3.0]])), [[7.5, 3.0]])


def test_a_box_is_fitted_without_stretching():
    matrix = affine.fit((10, 20, 40, 20), (100, 100), margin=0.1)
    corners = affine.apply(matrix, np.array([[10.0, 20.0], [50.0, 40.0]]))
    np.testing.assert_allclose(corners, [[10, 30], [90, 70]])
    # A box without a size counts as one pixel.
    np.testing.assert_allclose(affine.fit((5, 5, 0, 0), (64, 32)), [[32, 0, -144], [0, 32, -128]])


def test_pixel_centres_are_whole_numbers_for_others():
    matrix = affine.compose(affine.translate(3, -2), affine.rotate(30), affine.scale(2, 0.5))
    whole = np.array([[0.0, 0.0], [5.0, 7.0]])
    moved = affine.apply(affine.to_pixel_centres(matrix), whole)
    np.testing.assert_allclose(moved, affine.apply(matrix, whole + 0.5) - 0.5)
    # Twice as large, the first pixel's centre lies between the first two.
    np.testing.assert_allclose(affine.to_pixel_centres(affine.scale(2)), [[2, 0, 0.5], [0, 2, 0.5]])
    np.testing.assert_allclose(affine.to_pixel_centres(affine.mirror(8)), [[-1, 0, 7], [0, 1, 0]])


def test_a_flat_map_has_no_way_back():
    with pytest.raises(ValueError, match="cannot be inverted"):
        affine.invert(affine.scale(0))
