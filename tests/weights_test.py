import hashlib
import re

import jax
import numpy as np
import pytest

from anime_pt import recipe, weights
from tests.recipes import patn_test
from tests.recipes.student_test import tiny_config


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    config = tiny_config()
    config.data.data_dir = "/home/somebody/data"
    net = jax.jit(recipe.make(config).init)(jax.random.key(0)).players["estimator"].net
    path = tmp_path_factory.mktemp("重み w") / "tiny.npz"
    return config, net, path, weights.write(path, config, net)


def test_what_was_written_is_read(written):
    config, net, path, digest = written
    read_config, read = weights.read(path)
    assert read_config.data.data_dir == ""
    read_config.data.data_dir = config.data.data_dir
    assert read_config.to_json() == config.to_json()
    assert jax.tree.structure(read) == jax.tree.structure(net)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6), read, net)
    assert {x.dtype.name for x in jax.tree.leaves(read)} == {"float32"}
    assert weights.write(path, config, net) == digest


def test_damaged_and_foreign_files_are_named(written, tmp_path):
    config, net, path, _ = written
    torn = tmp_path / "torn.npz"
    torn.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(weights.WeightsError, match=r"torn.npz holds no weights that can be read"):
        weights.read(torn)
    other = config.copy_and_resolve_references()
    other.model.widths = (8, 16, 24)
    weights.write(tmp_path / "other.npz", other, net)
    with pytest.raises(
        weights.WeightsError, match=r"another network than its config says: \d+ arrays differ"
    ):
        weights.read(tmp_path / "other.npz")
    with pytest.raises(FileNotFoundError, match="there are no weights"):
        weights.read(tmp_path / "absent.npz")
    with pytest.raises(ValueError, match="has no weights 'teacher'; it has "):
        weights.load("teacher")


def test_the_mean_of_two_networks_lies_between_them(written):
    config, net, _, _ = written
    other = jax.jit(recipe.make(config).init)(jax.random.key(1)).players["estimator"].net
    middle = weights.mean(net, other)
    for a, b, c in zip(*(jax.tree.leaves((n.params, n.stats)) for n in (net, other, middle)), strict=True):
        np.testing.assert_allclose(c, (np.asarray(a) + np.asarray(b)) / 2, rtol=1e-6)
    config = config.copy_and_resolve_references()
    config.model.widths = (8, 16, 24)
    smaller = jax.jit(recipe.make(config).init)(jax.random.key(0)).players["estimator"].net
    with pytest.raises(ValueError, match="different networks"):
        weights.mean(net, smaller)


def test_one_of_several_networks(tmp_path):
    config = patn_test.tiny_config()
    abstract = jax.eval_shape(recipe.make(config).init, jax.random.key(0)).players["generator"].net
    net = jax.tree.map(lambda x: np.full(x.shape, 0.5, x.dtype), abstract)
    weights.write(tmp_path / "g.npz", config, net, "generator")
    _, found = weights.read(tmp_path / "g.npz")
    jax.tree.map(np.testing.assert_array_equal, found.params, net.params)
    weights.write(tmp_path / "d.npz", config, net, "appearance_discriminator")
    with pytest.raises(weights.WeightsError, match="another network than its config says"):
        weights.read(tmp_path / "d.npz")
    weights.write(tmp_path / "none.npz", config, net, "estimator")
    with pytest.raises(weights.WeightsError, match=r"none.npz holds no weights that can be read"):
        weights.read(tmp_path / "none.npz")


@pytest.mark.parametrize("name", weights.names())
def test_packaged_weights_are_small_and_described(name):
    path = weights.path_of(name)
    assert path.stat().st_size < 10_000_000
    card = path.with_suffix(".md").read_text()
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card
    for heading in ("Data", "Training", "Numbers", "Limits"):
        assert re.search(rf"^## {heading}", card, re.MULTILINE), heading
    config, net = weights.load(name)
    assert len(jax.tree.leaves(net.params)) > 10 and config.recipe
