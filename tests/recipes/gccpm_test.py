import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anime_pt import recipe, schedules, weights
from anime_pt.recipes import gccpm
from configs import gccpm as config_file

pytestmark = pytest.mark.usefixtures("plain_convolutions")


def tiny_config(arg="demo"):
    config = config_file.get_config(arg)
    config.model.update({"num_channels": 16, "cpm_channels": 16, "refinement_stages": 1})
    config.schedule.update({"resolution": (64, 32), "batch_size": 2, "steps": 4})
    config.plateau.update({"patience": 1, "metric": "eval/pdj"})
    return config


def make_batch(seed=0):
    rng = np.random.default_rng(seed)
    points = np.concatenate([rng.uniform(4, 28, (2, 20, 2)), np.ones((2, 20, 1))], -1).astype(np.float32)
    return {
        "image": rng.integers(0, 256, (2, 64, 32, 3), dtype=np.uint8),
        "keypoints": points,
        "weight": np.ones(2, np.float32),
    }


@pytest.fixture(scope="module")
def run():
    """A recipe, its compiled step, its fresh state, and the state and metrics after one step."""
    r = recipe.make(tiny_config())
    state = jax.jit(r.init)(jax.random.key(0))
    step = jax.jit(r.train_step, static_argnames="stage")
    return r, step, state, *step(state, make_batch(), jax.random.key(0), stage=r.stages[0])


def test_a_step_moves_all_but_what_the_code_freezes(run):
    _, _, before, after, _ = run
    moved = jax.tree.map(
        lambda a, b: not np.array_equal(a, b),
        before.players["estimator"].net.params,
        after.players["estimator"].net.params,
    )
    for path, changed in jax.tree_util.tree_leaves_with_path(moved):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        frozen = name.startswith("cpm/") and "/norm/" in name
        # A bias before a normalisation has no gradient but rounding.
        if not name.endswith("conv/bias"):
            assert changed != frozen, name
    stats = lambda s: jax.tree.leaves(s.players["estimator"].net.stats)
    assert all(not np.array_equal(a, b) for a, b in zip(stats(before), stats(after), strict=True))


def test_a_fresh_state_is_finite(run):
    """The loop saves nothing else."""
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(run[2].players))


def test_missing_joints_have_empty_maps(run):
    r, step, state, _, metrics = run
    batch = make_batch()
    batch["keypoints"][:, 5] = np.nan
    _, less = step(state, batch, jax.random.key(0), stage=r.stages[0])
    assert np.isfinite(less["train/loss"]) and less["train/loss"] < metrics["train/loss"]


def test_only_known_losses():
    config = tiny_config()
    config.loss = "per_map"
    recipe.make(config)
    config.loss = "huber"
    with pytest.raises(ValueError, match="use sum or per_map"):
        recipe.make(config)


def test_the_rate_falls_on_a_plateau(run):
    r, _, state, _, _ = run
    for value, scale in ((0.5, 1), (0.5, 1), (0.5, 0.1), (0.9, 0.1), (0.9, 0.1), (0.9, 0.01)):
        state = r.observe(state, {"eval/pdj": value})
        np.testing.assert_allclose(schedules.plateau_scale(state.players["estimator"].opt), scale, rtol=1e-5)


def test_blue_comes_first(run):
    r, _, state, _, _ = run
    image = jnp.zeros((1, 64, 32, 3)).at[..., 0].set(1.0)
    np.testing.assert_allclose(r._inputs(image)[0, 0, 0], [-0.5 / 256, -0.5 / 256, 127 / 256], rtol=1e-5)
    maps = jax.jit(r.maps)(state.players["estimator"].net, image)
    assert maps.shape == (1, 8, 4, 20) and maps.min() >= 0


def test_starts_from_another_run(run, tmp_path):
    trained = run[3].players["estimator"].net
    path = tmp_path / "human 人.npz"
    weights.write(path, tiny_config(), trained)
    config = tiny_config()
    config.init.update({"start": "human", "weights": str(path)})
    config.model.refinement_stages = 2
    other = recipe.make(config)
    blank = lambda x: np.full(x.shape, 7, x.dtype)
    fresh = jax.tree.map(blank, jax.eval_shape(other.init, jax.random.key(5)))
    started = other.pretrained(fresh)
    assert jax.tree.structure(started) == jax.tree.structure(fresh)
    got = started.players["estimator"].net
    for path_, value in jax.tree_util.tree_leaves_with_path(got.params):
        name = jax.tree_util.keystr(path_, simple=True, separator="/")
        if name.startswith("refinement/stage1/"):  # A stage that the file lacks.
            assert (value == 7).all(), name
        else:
            expected = trained.params
            for key in path_:
                expected = expected[key.key]
            np.testing.assert_allclose(value, expected, rtol=1e-3, atol=1e-6, err_msg=name)
    assert not any((x == 7).any() for x in jax.tree.leaves(got.stats["backbone"]))
    config.init.weights = str(tmp_path / "absent.npz")
    with pytest.raises(FileNotFoundError):
        recipe.make(config).pretrained(fresh)


def test_maps_of_other_joints_do_not_take_the_places_of_ours(tmp_path):
    # As many as, but other joints than those of the drawings.
    config = tiny_config("demo,skeleton=human_art_21")
    path = tmp_path / "other.npz"
    theirs = jax.eval_shape(recipe.make(config).init, jax.random.key(0)).players["estimator"].net
    weights.write(path, config, jax.tree.map(lambda x: np.ones(x.shape, x.dtype), theirs))
    config = tiny_config("demo,skeleton=anime_drawings_21")
    config.init.update({"start": "human", "weights": str(path)})
    r = recipe.make(config)
    fresh = jax.tree.map(lambda x: np.full(x.shape, 7, x.dtype), jax.eval_shape(r.init, jax.random.key(0)))
    got = r.pretrained(fresh).players["estimator"].net.params
    assert (got["initial_head"]["maps"]["kernel"] == 7).all()
    assert (got["initial_head"]["hidden"]["kernel"] == 1).all()
    assert (got["cpm"]["block0"]["conv"]["kernel"] == 1).all()
    config.init.start = "mobilenet"
    with pytest.raises(ValueError, match="comes in a file of PyTorch's"):
        recipe.make(config).pretrained(fresh)


def test_a_mobilenet_fills_the_backbone_alone(monkeypatch):
    config = tiny_config("demo,init=mobilenet,weights=mobilenet.pth.tar")
    r = recipe.make(config)
    fresh = jax.tree.map(lambda x: np.full(x.shape, 7, x.dtype), jax.eval_shape(r.init, jax.random.key(0)))
    backbone = fresh.players["estimator"].net.params["backbone"]
    norm = lambda name, n: {
        f"{name}.{k}": np.ones(n, np.float32) for k in ("weight", "bias", "running_mean", "running_var")
    }
    file = {"module.model.0.0.weight": np.ones((32, 3, 3, 3), np.float32)} | norm("module.model.0.1", 32)
    for i in range(1, 12):
        inputs, outputs = backbone[f"block{i}"]["pointwise"]["kernel"].shape[2:]
        name = f"module.model.{i}"
        file[f"{name}.0.weight"] = np.ones((inputs, 1, 3, 3), np.float32)
        file[f"{name}.3.weight"] = np.ones((outputs, inputs, 1, 1), np.float32)
        file |= norm(f"{name}.1", inputs) | norm(f"{name}.4", outputs)
    file["module.fc.weight"] = np.ones((1000, 1024), np.float32)
    monkeypatch.setattr(gccpm.torch_files, "read_state_dict", lambda path: file)
    got = r.pretrained(fresh).players["estimator"].net
    assert all((x == 1).all() for x in jax.tree.leaves((got.params["backbone"], got.stats["backbone"])))
    assert all((x == 7).all() for x in jax.tree.leaves(got.params["cpm"]))


def test_metrics_that_the_joints_do_not_have_are_refused():
    config = tiny_config("demo,skeleton=coco_17,dataset=anime_keypoints/coco")
    config.plateau.metric = "eval/pckh_lip"
    with pytest.raises(
        ValueError, match="is not measured on coco_17; there are eval/oks, eval/pckh_patn, eval/pdj"
    ):
        recipe.make(config)
    assert config_file.get_config("skeleton=coco_17").plateau.metric == "eval/pdj"


def test_starts_are_named():
    with pytest.raises(ValueError, match="use scratch, mobilenet, human"):
        recipe.make(tiny_config("demo,init=imagenet"))
    with pytest.raises(ValueError, match="need a file of weights"):
        recipe.make(tiny_config("demo,init=human"))
    with pytest.raises(ValueError, match="scratch takes none"):
        recipe.make(tiny_config("demo,weights=a.pth"))


def test_the_default_is_the_public_code():
    config = config_file.get_config("init=mobilenet,weights=a.pth")
    state = jax.eval_shape(recipe.make(config).init, jax.random.key(0))
    count = sum(x.size for x in jax.tree.leaves(state.players["estimator"].net.params))
    # 40,595,281 for 17 maps; here 21: more inputs and outputs at each stage.
    assert config.model.refinement_stages == 5 and 40_595_281 < count < 43_000_000
    assert config.optimizer.to_dict() == {"learning_rate": 4e-5, "weight_decay": 5e-4}
    assert config.schedule.batch_size == 32 and config.data.view == "gccpm" and config.loss == "sum"
