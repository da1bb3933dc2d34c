"""What is measured of pose transfer in every evaluation, and what is handed to judges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anime_pt.metrics import transfer
from anime_pt.pose.skeletons import AVATAR_20


def batch(size, count=3):
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(0, size[::-1], (count, 20, 2)), np.ones((count, 20, 1))], -1).astype(
        np.float32
    )
    return {
        "target_keypoints": jnp.asarray(points),
        "target_mask": jnp.full((count, *size, 1), 255, jnp.uint8),
        "character": jnp.arange(count, dtype=jnp.int32),
    }


@pytest.mark.parametrize(("size", "measured"), [((32, 16), True), ((32, 24), False)])
def test_ms_ssim_where_the_size_allows_it(size, measured):
    """Shapes alone; also that every number has its note."""
    pictures = jax.ShapeDtypeStruct((3, *size, 4), jnp.float32)
    values = jax.eval_shape(
        lambda *x: transfer.measure(*x, batch(size), AVATAR_20), pictures, pictures, pictures
    )
    assert ("eval/ms_ssim" in values, "eval/ms_ssim/source" in values) == (measured, measured)
    heads = {name.removesuffix("/source") for name in values}
    assert transfer.notes(rgba=True).keys() - heads == ({"eval/ms_ssim"} if not measured else set())
    assert heads <= transfer.notes(rgba=True).keys()


def test_rows_are_the_pictures_bytes():
    rng = np.random.default_rng(0)
    bytes_ = rng.integers(0, 256, (3, 8, 4, 4), np.uint8)
    images = jnp.asarray(bytes_, jnp.float32) / 127.5 - 1
    found = transfer.rows(1.7 * images, images, images[:, ::-1], batch((8, 4)))
    np.testing.assert_array_equal(found["target"], bytes_[..., :3])
    np.testing.assert_array_equal(found["source"], bytes_[:, ::-1, :, :3])
    stretched = np.clip(1.7 * (bytes_[..., :3].astype(np.float32) - 127.5) + 127.5, 0, 255)
    assert found["generated"].dtype == jnp.uint8
    assert np.abs(np.asarray(found["generated"], float) - stretched).max() <= 0.51
    np.testing.assert_array_equal(found["characters"], [0, 1, 2])
