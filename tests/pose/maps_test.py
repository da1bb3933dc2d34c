import jax.numpy as jnp
import numpy as np
import pytest

from anime_pt.pose import draw, maps, skeletons


def keypoints(*rows):
    return jnp.asarray([rows], jnp.float32)


def test_one_pixel_per_joint_at_the_floor_of_its_coordinates():
    pose = maps.pose_map(keypoints((3.99, 0.0, 1), (7.2, 5.5, 0)), 8)
    assert pose.shape == (1, 8, 8, 2)
    assert set(np.unique(pose)) == {-1.0, 1.0}
    assert np.argwhere(pose[0] == 1).tolist() == [[0, 3, 0], [5, 7, 1]]


def test_coordinates_are_scaled_from_the_frame():
    # A frame of 10 rows and 40 columns.
    pose = maps.pose_map(keypoints((39.9, 5.0, 1)), 8, size=(10, 40))
    assert np.argwhere(pose[0] == 1).tolist() == [[4, 7, 0]]


def test_borders_are_inside_and_what_lies_beyond_is_missing():
    nan = float("nan")
    inside = keypoints((8.0, 8.0, 1), (0.0, 8.0, 1))
    assert np.argwhere(maps.pose_map(inside, 8)[0] == 1).tolist() == [[7, 0, 1], [7, 7, 0]]
    missing = keypoints((8.01, 4, 1), (-0.01, 4, 1), (4, -1, 1), (4, 9, 1), (nan, nan, 1), (4, nan, 1))
    assert (maps.pose_map(missing, 8) == -1).all()
    assert (maps.gaussian_pose_map(missing, 8, sigma=1.0) == -1).all()


def test_visibility_counts_only_if_asked():
    occluded = keypoints((4, 4, 0), (2, 2, 1))
    for draw_map in (maps.pose_map, lambda *a, **k: maps.gaussian_pose_map(*a, sigma=2.0, **k)):
        assert (draw_map(occluded, 8).max((0, 1, 2)) > 0).tolist() == [True, True]
        assert (draw_map(occluded, 8, visible_only=True).max((0, 1, 2)) > 0).tolist() == [False, True]


def test_pyramid_has_one_cell_per_joint_at_every_scale():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(0, 32, (3, 20, 2)), np.ones((3, 20, 1))], -1).astype(np.float32)
    points[1, 4] = -1
    pyramid = maps.pose_pyramid(maps.pose_map(jnp.asarray(points), 32))
    assert sorted(pyramid) == [4, 8, 16, 32]
    for resolution, level in pyramid.items():
        count = (level == 1).sum((1, 2))
        assert count[1, 4] == 0
        assert (np.delete(np.asarray(count).ravel(), 20 + 4) == 1).all()
        # Pooling the map equals drawing it at the lower resolution.
        direct = maps.pose_map(jnp.asarray(points), resolution, size=(32, 32))
        np.testing.assert_array_equal(level, direct)


def test_pyramid_refuses_other_sides():
    with pytest.raises(ValueError, match=r"power of two.* got 24"):
        maps.pose_pyramid(jnp.zeros((1, 24, 24, 2)))


def test_draw_then_decode():
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.uniform(0, 16, (2, 5, 2)), np.ones((2, 5, 1))], -1).astype(np.float32)
    points[0, 2] = -5
    for pose in (
        maps.pose_map(jnp.asarray(points), 16),
        maps.gaussian_pose_map(jnp.asarray(points), 16, sigma=1.0),
    ):
        decoded = np.asarray(maps.decode(pose))
        assert decoded[0, 2, 2] == 0
        found = decoded[..., 2] == 1
        assert found.sum() == 9
        assert np.abs(decoded - points)[found][:, :2].max() <= 0.5


def test_gaussian_map_values():
    pose = maps.gaussian_pose_map(keypoints((4.5, 2.5, 1)), 8, sigma=2.0)[0, ..., 0]
    np.testing.assert_allclose(pose[2, 4], 1.0)
    np.testing.assert_allclose(pose[2, 6], 2 * np.exp(-0.5) - 1, rtol=1e-6)
    np.testing.assert_allclose(pose[3, 5], 2 * np.exp(-0.25) - 1, rtol=1e-6)


def test_flip_mirrors_and_swaps():
    skeleton = skeletons.AVATAR_20
    points = np.full((1, 20, 3), -1, np.float32)
    points[0, skeleton.index("left_wrist")] = 1.5, 2.5, 1
    pose = maps.pose_map(jnp.asarray(points), 8)
    flipped = maps.flip(pose, skeleton.flip)
    assert np.argwhere(flipped[0] == 1).tolist() == [[2, 6, skeleton.index("right_wrist")]]
    np.testing.assert_array_equal(maps.flip(flipped, skeleton.flip), pose)


def test_drawing_has_limbs_in_their_colours():
    points = keypoints((2, 4, 1), (14, 4, 1), (8, 12, 1), (8, 40, 1))
    image = draw.draw_skeleton(points, np.array([[0, 1], [2, 3]]), 16, width=2.0)
    assert image.shape == (1, 16, 16, 3)
    np.testing.assert_allclose(image[0, 4, 8], draw.limb_colours(2)[0], atol=1e-6)
    assert (image[0, 8:] == 1).all(), "a limb with a joint outside is left out"
    assert (image[0, :2] == 1).all()
    visible = draw.draw_skeleton(points.at[0, 0, 2].set(0), np.array([[0, 1]]), 16, visible_only=True)
    assert (visible == 1).all()


def test_drawing_scales_with_the_frame():
    points = keypoints((20, 40, 1), (140, 40, 1))
    image = draw.draw_skeleton(points, np.array([[0, 1]]), 16, size=(160, 160), width=2.0)
    small = draw.draw_skeleton(points / 10, np.array([[0, 1]]), 16, width=2.0)
    np.testing.assert_allclose(image, small, atol=1e-6)


@pytest.mark.parametrize("turned", [False, True])
def test_over_a_picture_that_is_not_square(turned):
    limbs = np.array([[0, 1], [2, 3]])
    points = keypoints((4, 8.5, 1), (28, 8.5, 1), (4, 40, 1), (60, 40, 1))
    images = jnp.zeros((1, 64, 32, 3))
    if turned:
        points, images = points[..., [1, 0, 2]], images.swapaxes(1, 2)
    drawn = draw.over(images, points, limbs)
    assert drawn.shape == images.shape
    if turned:
        drawn = drawn.swapaxes(1, 2)
    np.testing.assert_allclose(drawn[0, 8, 16], draw.limb_colours(2)[0], atol=1e-5)
    np.testing.assert_allclose(drawn[0, 16:], 0.6, atol=1e-6, err_msg="x = 60 is outside, though below 64")
    inside = draw.over(images, points.at[0, 3].set(points[0, 1]), limbs)
    assert (np.asarray(inside.swapaxes(1, 2) if turned else inside)[0, 20:24] != 0.6).any()
