import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anime_pt import evaluate, losses, recipe, weights
from anime_pt.pose import decoding
from configs import student as config_file


def tiny_config(arg="demo"):
    config = config_file.get_config(arg)
    config.model.widths = (8, 16, 16)
    config.schedule.update({"resolution": (64, 32), "steps": 150, "batch_size": 4})
    config.optimizer.update({"learning_rate": 1e-2, "warmup_steps": 5})
    config.ema_decay = 0.9
    return config


def make_batch(seed=0):
    """Pictures with a coloured square around each of the first joints, the only ones that are known."""
    rng = np.random.default_rng(seed)
    images = np.full((4, 64, 32, 3), 255, np.uint8)
    points = np.full((4, 20, 3), np.nan, np.float32)
    for b in range(4):
        for joint, colour in enumerate(([255, 0, 0], [0, 0, 255])):
            x, y = rng.uniform(6, 26), rng.uniform(6, 58)
            images[b, int(y) - 4 : int(y) + 4, int(x) - 4 : int(x) + 4] = colour
            points[b, joint] = (x, y, 1)
        points[b, 2] = (-50, 20, 0)  # Known to be outside.
    return {"image": images, "keypoints": points, "weight": np.ones(4, np.float32)}


def test_it_learns_places_and_absence():
    r = recipe.make(tiny_config())
    (stage,) = r.stages
    step = jax.jit(r.train_step, static_argnames="stage")
    state, batch = jax.jit(r.init)(jax.random.key(0)), make_batch()
    first = None
    for i in range(stage.stop):
        state, metrics = step(state, batch, jax.random.key(i), stage=stage)
        first = first or float(metrics["train/loss"])
    assert float(metrics["train/loss"]) < 0.65 * first
    net = state.players["estimator"].ema_net
    maps = jax.jit(r.maps)(net, jnp.asarray(batch["image"], jnp.float32) / 127.5 - 1)
    assert maps.shape == (4, 8, 4, 20) and maps.min() >= 0
    found = decoding.decode(maps, r.stride)
    error = np.linalg.norm(found[:, :2, :2] - batch["keypoints"][:, :2, :2], axis=-1)
    assert error.max() < 4
    assert found[:, :2, 2].min() > 0.3 and found[:, 2, 2].max() < 0.1


@pytest.mark.parametrize("sigma", [0.7, 1.0, 1.6])
@pytest.mark.parametrize("place", [(0.0, 20.0), (31.9, 63.9), (9.3, 30.1), (16.0, 32.0)])
def test_places_are_read_from_distributions_sharper_and_wider_than_taught(sigma, place):
    """A network that has found exactly this distribution gives exactly this place."""
    r = recipe.make(tiny_config())
    x, y = place
    rows, columns = np.arange(8) + 0.5 - y / 8, np.arange(4) + 0.5 - x / 8
    logits = -(rows[:, None] ** 2 + columns**2) / (2 * sigma**2)

    class Found:
        def __call__(self, images):
            places = jnp.broadcast_to(jnp.asarray(logits, jnp.float32)[None, :, :, None], (1, 8, 4, 20))
            return (places, jnp.full((1, 20), -50.0)), self

    maps = r.maps(Found(), jnp.zeros((1, 64, 32, 3)))
    found = decoding.decode(maps, r.stride)
    np.testing.assert_allclose(found[0, :, :2], np.tile(place, (20, 1)), atol=0.05)
    assert found[0, 0, 2] <= 1


def test_unknown_joints_have_no_loss():
    places, absent = jnp.zeros((1, 2, 2, 2)), jnp.zeros((1, 2))
    target = jnp.zeros((1, 2, 2, 2)).at[0, 0, 0].set(1)
    known, nowhere = jnp.array([[True, False]]), jnp.array([[False, False]])

    def loss(places):
        return losses.place_cross_entropy(places, absent, target, nowhere, known)

    np.testing.assert_allclose(loss(places), np.log(5), rtol=1e-6)
    gradient = jax.grad(loss)(places)
    np.testing.assert_allclose(gradient[..., 0], [[[-0.8, 0.2], [0.2, 0.2]]], rtol=1e-5)
    assert (gradient[..., 1] == 0).all()
    # All of a joint's distribution belongs to "nowhere".
    gone = losses.place_cross_entropy(places, absent + 3, target, jnp.array([[True, False]]), known)
    np.testing.assert_allclose(gone, np.log(1 + 4 * np.exp(-3)), rtol=1e-5)


def test_what_is_measured():
    r = recipe.make(tiny_config())
    state = jax.jit(r.init)(jax.random.key(0))
    batch = make_batch()
    batch["keypoints"][:, :, :2] = np.random.default_rng(1).uniform(5, 30, (4, 20, 2))
    values = jax.eval_shape(lambda s, b: r.eval_step(s, b, jax.random.key(0), r.stages[0]), state, batch)
    assert {"eval/pdj", "eval/pdj/left_wrist", "eval/pckh_lip", "eval/pckh_patn", "eval/oks"} <= set(values)
    summary_names = {f"eval/{n}" for n in ("ap", "ap50", "ap75", "ar")}
    assert {n for n in values if n.count("/") == 1 and n.startswith("eval/")} | summary_names == set(r.notes)
    lines = evaluate.table({"eval/pdj": 0.5, "eval/ap50": 0.25, "eval/pdj/nose": 1.0}, r.notes).splitlines()
    assert "0.2 x the distance from left hip to right shoulder" in lines[0] and "OKS .50" in lines[1]
    summary = r.summarise({"set/oks": np.array([1.0, 0.0]), "set/score": np.array([0.9, 0.1])})
    assert 0.49 < summary["eval/ap"] < 0.52


def test_it_starts_from_weights_and_keeps_joints_apart(tmp_path, capsys):
    path, config = tmp_path / "start.npz", tiny_config()
    full = lambda value, recipe_: jax.tree.map(
        lambda x: np.full(x.shape, value, x.dtype), jax.eval_shape(recipe_.init, jax.random.key(0))
    )
    weights.write(path, config, full(1, recipe.make(config)).players["estimator"].net)
    for skeleton, of_joints in (("avatar_20", 1), ("anime_drawings_21", 7)):
        config = tiny_config(f"demo,skeleton={skeleton},weights={path}")
        r = recipe.make(config)
        player = r.pretrained(full(7, r)).players["estimator"]
        assert (player.net.params["level"]["before"]["first"]["conv"]["kernel"] == 1).all()
        assert (player.net.stats["stem"]["norm"]["mean"] == 1).all()
        for part in ("places", "nowhere"):
            assert (player.net.params[part]["kernel"] == of_joints).all(), skeleton
        jax.tree.map(np.testing.assert_array_equal, player.ema, player.net.params)
    assert "4 arrays do not fit and start fresh, first params/nowhere/bias" in capsys.readouterr().out


def test_the_flip_test_swaps_left_and_right():
    """Of a network that finds a joint wherever the picture is dark, sides exchanged in the mirror."""
    images = jnp.ones((1, 16, 24, 3)).at[:, 4, 3].set(-1.0)

    def network(x):
        dark = (1 - x[..., :1]) / 2
        return jnp.concatenate([dark, dark * (x[:, :, :12].min() < 0)], -1)

    maps = decoding.flip_test(network, images, np.array([1, 0]))
    assert maps.shape == (1, 16, 24, 2)
    np.testing.assert_allclose(maps[0, 4, 3], [0.5, 1.0])


def test_sizes_that_do_not_fit_are_refused():
    config = tiny_config()
    config.schedule.resolution = (100, 96)
    with pytest.raises(ValueError, match="use multiples of 32"):
        recipe.make(config)
