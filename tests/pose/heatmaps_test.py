import jax
import jax.numpy as jnp
import numpy as np

from anime_pt.pose import heatmaps

JOINTS = np.array([[20.0, 12.0, 1], [np.nan, np.nan, 0], [-3.0, 9.0, 1], [33.0, 30.0, 0]], np.float32)


def test_values_and_where_they_end():
    maps = jax.jit(lambda k: heatmaps.gaussian(k, (40, 48)))(JOINTS)
    assert maps.shape == (5, 6, 4)
    # Cell (1, 2) has its centre at x = 20, y = 12: on the joint.
    assert maps[1, 2, 0] == 1
    np.testing.assert_allclose(maps[1, 3, 0], np.exp(-64 / 98), rtol=1e-6)
    np.testing.assert_allclose(maps[3, 1, 0], np.exp(-(64 + 256) / 98), rtol=1e-6)
    # 21.24 pixels away it ends, at a hundredth: 16 pixels each way are 22.6.
    assert maps[3, 0, 0] == 0
    np.testing.assert_array_equal(maps[..., 1], 0)  # Missing.
    np.testing.assert_allclose(maps[0, 0, 2], np.exp(-(49 + 25) / 98), rtol=1e-6)  # Outside: its tail.
    assert maps[..., 3].max() > 0  # Hidden, but exact.
    visible = heatmaps.gaussian(JOINTS, (40, 48), visible_only=True)
    np.testing.assert_array_equal(visible[..., :3], maps[..., :3])
    np.testing.assert_array_equal(visible[..., 3], 0)


def test_odd_sizes_have_a_cell_for_the_rest():
    assert heatmaps.gaussian(JOINTS, (41, 47), stride=4, sigma=3.0).shape == (11, 12, 4)


def test_background_is_where_no_joint_is():
    maps = jnp.array([[[0.25, 0.5], [0.0, 0.0]]])
    np.testing.assert_array_equal(heatmaps.with_background(maps), [[[0.25, 0.5, 0.5], [0.0, 0.0, 1.0]]])
