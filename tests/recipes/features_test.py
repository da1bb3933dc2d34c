"""The feature network: its recipe, its file, and what the packaged weights are good for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anime_pt import losses, recipe, weights
from anime_pt.convert import features as convert
from anime_pt.convert.tables import path_name
from anime_pt.models import features
from anime_pt.state import Net
from configs import features as config_file


def tiny_config():
    config = config_file.get_config("demo")
    config.model.update({"widths": (8, 16), "embedding": 8})
    config.schedule.update({"resolution": (32, 24), "seen": (24, 16), "steps": 40, "batch_size": 4})
    config.optimizer.update({"learning_rate": 1e-2, "warmup_steps": 5})
    config.ema_decay = 0.8
    return config


def make_batch(seed: int) -> dict[str, np.ndarray]:
    """Characters are colours; where their rectangle is, and of what size, says nothing."""
    rng = np.random.default_rng(seed)
    colours = np.array([[200, 40, 40], [40, 160, 40], [40, 40, 200], [180, 160, 40]])
    pictures = np.full((2, 4, 32, 24, 3), 255, np.uint8)
    for pose in range(2):
        for character in range(4):
            x, y, w, h = rng.integers([2, 2, 8, 12], [6, 8, 16, 22])
            pictures[pose, character, y : y + h, x : x + w] = colours[character] + rng.integers(-20, 20)
    return {
        "source_image": pictures[0][:, None],
        "target_image": pictures[1],
        "character": np.array([11, 5, 7, 900], np.int32),
        "weight": np.ones(4, np.float32),
    }


@pytest.fixture(scope="module")
def trained():
    r = recipe.make(tiny_config())
    (stage,) = r.stages
    step = jax.jit(r.train_step, static_argnames="stage")
    state, history = jax.jit(r.init)(jax.random.key(0)), []
    for i in range(stage.stop):
        state, metrics = step(state, make_batch(i), jax.random.key(i), stage=stage)
        history.append(float(metrics["train/loss"]))
    return r, state, history


def test_it_learns_who_is_who_in_other_poses(trained):
    r, state, history = trained
    assert np.mean(history[-5:]) < 0.5 * np.mean(history[:5])
    evaluate = jax.jit(lambda s, b: r.eval_step(s, b, jax.random.key(0), r.stages[0]))
    measured = jax.device_get(evaluate(state, make_batch(1000)))
    assert measured["eval/loss"].shape == (4,)
    np.testing.assert_allclose(np.linalg.norm(measured["set/target"], axis=1), 1, rtol=1e-5)
    found = r.summarise({k: v for k, v in measured.items() if k.startswith("set/")})
    assert found == {"eval/identity_top1": 1.0, "eval/identity_mean_rank": 1.0}
    assert {*found, "eval/loss"} == set(r.notes)
    sheet = jax.jit(lambda s, b: r.sample(s, b, jax.random.key(0), r.stages[0]))(state, make_batch(1000))
    np.testing.assert_array_equal(sheet["most alike"], sheet["source"])


def test_pictures_are_changed_but_not_their_hues(trained):
    r, _, _ = trained
    image = np.full((16, 32, 24, 3), 1.0, np.float32)
    image[:, 8:24, 6:18] = (0.6, -0.6, -0.8)
    varied = np.asarray(jax.jit(r._varied)(image, jax.random.key(3)))
    assert varied.shape == (16, 24, 16, 3) and np.abs(varied).max() <= 1
    middle = varied[:, 12, 8]
    assert (middle[:, 0] > middle[:, 1] + 0.5).all() and np.ptp(middle[:, 0]) > 0.1
    shares = (varied[..., 1] < 0).mean((1, 2))
    assert shares.min() > 0.15 and np.ptp(shares) > 0.1, "parts and sizes differ"


def test_supervised_contrastive_loss_by_hand():
    angles = jnp.array([0.0, 0.5, 2.0, 2.2])
    vectors = jnp.stack([jnp.cos(angles), jnp.sin(angles)], 1)
    logits = np.cos(np.asarray(angles)[:, None] - np.asarray(angles)) / 0.5
    share = lambda i, j: logits[i, j] - np.log(sum(np.exp(logits[i, k]) for k in range(4) if k != i))
    loss = jax.jit(lambda v: losses.supervised_contrastive(v, jnp.array([3, 3, 3, 8]), 0.5))
    expected = [
        -(share(0, 1) + share(0, 2)) / 2,
        -(share(1, 0) + share(1, 2)) / 2,
        -(share(2, 0) + share(2, 1)) / 2,
        0,
    ]
    np.testing.assert_allclose(loss(vectors), expected, rtol=1e-4)
    gradient = jax.jit(jax.grad(lambda v: loss(v).sum()))(vectors)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0.01


def test_files_of_the_network(trained, tmp_path):
    _, state, _ = trained
    net, config = state.players["features"].ema_net, tiny_config()
    weights.write(tmp_path / "f.npz", config, net)
    read = convert.load(tmp_path / "f.npz")
    _, also = weights.read(tmp_path / "f.npz")
    for tree in ("params", "stats"):
        jax.tree.map(np.testing.assert_array_equal, getattr(read, tree), getattr(also, tree))
        for (path, a), b in zip(
            jax.tree_util.tree_leaves_with_path(getattr(read, tree)),
            jax.tree.leaves(getattr(net, tree)),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6, err_msg=path_name(path))
    run = jax.jit(lambda net, x: net(x)[0])
    levels, vectors = run(read, jnp.ones((2, 32, 16, 3)))
    assert {k: v.shape for k, v in levels.items()} == {"level1": (2, 32, 16, 8), "level2": (2, 16, 8, 16)}
    assert vectors.shape == (2, 8)
    with pytest.raises(FileNotFoundError, match=r"there are no weights .*none\.npz"):
        convert.load(tmp_path / "none.npz")
    (tmp_path / "torn.npz").write_bytes((tmp_path / "f.npz").read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"torn\.npz holds no weights of models\.features that can be read"):
        convert.load(tmp_path / "torn.npz")


def test_sizes():
    abstract = jax.eval_shape(recipe.make(config_file.get_config()).init, jax.random.key(0))
    assert sum(x.size for x in jax.tree.leaves(abstract.players["features"].net.params)) < 1_000_000
    config = tiny_config()
    config.schedule.seen = (24, 15)
    with pytest.raises(ValueError, match=r"schedule\.seen = \(24, 15\): use multiples of 2"):
        recipe.make(config)
    make = lambda rngs: features.Features((4, 4, 4), 2, rngs=rngs)
    with pytest.raises(ValueError, match="sides that 4 divides, not 8 x 6"):
        jax.eval_shape(lambda: Net.create(make, jax.random.key(0))(jnp.ones((1, 8, 6, 3))))
