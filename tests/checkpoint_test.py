import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from anime_pt import checkpoint
from anime_pt.state import Net, Player, TrainState


class Model(nnx.Module):
    """Has statistics, so that they are saved too."""

    def __init__(self, rngs, width=4):
        self.dense = nnx.Linear(3, width, rngs=rngs)
        self.norm = nnx.BatchNorm(width, rngs=rngs)

    def __call__(self, x):
        return self.norm(self.dense(x), use_running_average=False)


def init(key, width=4):
    tx = optax.adam(1e-3)
    net = Net.create(lambda rngs: Model(rngs, width), key)
    return TrainState(jnp.int32(0), {"a": Player.create(net, tx, ema=True), "b": Player.create(net, None)})


def at(step, state):
    shifted = jax.tree.map(lambda x: x + step if x.dtype == jnp.float32 else x, state)
    return shifted.replace(step=jnp.int32(step))


def iterator():
    return iter(grain.MapDataset.range(50).seed(0).shuffle().repeat(None).batch(3).to_iter_dataset())


@pytest.fixture
def state():
    return jax.jit(init)(jax.random.key(0))


def single(tree):
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(lambda _: device, tree)


def test_the_last_and_the_best_stay(state, tmp_path):
    scores = {1: 0.3, 2: 0.9, 3: 0.5, 4: 0.2, 5: None}
    with checkpoint.Checkpoints(tmp_path, keep=2, best_metric="eval/iou") as checkpoints:
        for step, score in scores.items():
            metrics = {"eval/iou": score} if score else {}
            checkpoints.save(at(step, state), iterator(), {"seed": 1}, metrics)
    with checkpoint.Checkpoints(tmp_path, keep=2, best_metric="eval/iou", read_only=True) as checkpoints:
        assert (checkpoints.latest_step, checkpoints.best_step) == (5, 2)
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["2", "4", "5"]


def test_smaller_can_be_better(state, tmp_path):
    with checkpoint.Checkpoints(tmp_path, keep=1, best_metric="eval/l1", best_mode="min") as checkpoints:
        for step, score in {1: 0.3, 2: 0.1, 3: 0.5}.items():
            checkpoints.save(at(step, state), iterator(), {}, {"eval/l1": score})
    with checkpoint.Checkpoints(tmp_path, best_metric="eval/l1", best_mode="min", read_only=True) as c:
        assert c.best_step == 2


def test_state_and_data_come_back(state, tmp_path):
    data = iterator()
    for _ in range(4):
        next(data)
    with checkpoint.Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(at(7, state), data, {"seed": 1})
    expected = next(data)
    again = iterator()
    with checkpoint.Checkpoints(tmp_path) as checkpoints:
        abstract = jax.eval_shape(init, jax.random.key(0))
        restored = checkpoints.restore(abstract, single(abstract))
        checkpoints.restore_data(again)
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    for a, b in zip(jax.tree.leaves(restored), jax.tree.leaves(at(7, state)), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(next(again), expected)


def test_one_players_average_alone(state, tmp_path):
    with checkpoint.Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(at(7, state), iterator(), {})
    abstract = jax.eval_shape(init, jax.random.key(0))
    with checkpoint.Checkpoints(tmp_path, read_only=True) as checkpoints:
        averaged = checkpoints.restore_player(abstract, "a")
        frozen = checkpoints.restore_player(abstract, "b")
        with pytest.raises(ValueError, match="no player 'c'; it has a, b"):
            checkpoints.restore_player(abstract, "c")
    wanted = at(7, state).players
    for got, params in ((averaged, wanted["a"].ema), (frozen, wanted["b"].net.params)):
        jax.tree.map(np.testing.assert_array_equal, got.params, params)
        jax.tree.map(np.testing.assert_array_equal, got.stats, wanted["a"].net.stats)
    x = jnp.ones((2, 3))
    np.testing.assert_array_equal(averaged(x)[0], wanted["a"].ema_net(x)[0])


def test_an_empty_folder_is_said_to_be_empty(state, tmp_path):
    abstract = jax.eval_shape(init, jax.random.key(0))
    with (
        checkpoint.Checkpoints(tmp_path) as checkpoints,
        pytest.raises(FileNotFoundError, match="holds no complete checkpoint"),
    ):
        checkpoints.restore(abstract, single(abstract))


def test_another_models_checkpoint_is_refused(state, tmp_path):
    with checkpoint.Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(at(1, state), iterator(), {})
        checkpoints._manager.wait_until_finished()
        other = jax.eval_shape(lambda key: init(key, width=5), jax.random.key(0))
        with pytest.raises(
            ValueError, match=r"another model.*players\.a\.ema\.dense\.bias: \(4,\) there, \(5,\)"
        ):
            checkpoints.restore(other, single(other))
