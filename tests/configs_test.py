"""Every config at full size: shapes of states, steps, evaluations and sheets, without computing anything."""

import importlib
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anime_pt import recipe
from anime_pt.pose.skeletons import SKELETONS

pytestmark = pytest.mark.usefixtures("plain_convolutions")

CONFIGS = pathlib.Path(__file__).parents[1] / "configs"
# The arguments worth a test of their own; every config is also tested without any.
VARIANTS = {
    "psgan": ("demo", "unconditional", "resolution=256,images=600000,dataset=unity_avatars/rigged_64"),
    "gccpm": (
        "demo",
        "stages=1,dataset=anime_keypoints/drawings,skeleton=anime_drawings_21",
        "demo,dataset=anime_keypoints/coco,skeleton=coco_17",
        "demo,dataset=mmd_pairs/procedural_128,part=human",
    ),
    "features": ("demo",),
    "lifting": ("demo", "published"),
    "patn": ("market", "demo,copy,sources=2", "demo,generator=unet,rgba,adversarial=product"),
    "pg2": ("market", "demo,rgba,sources=2"),
    "student": ("demo", "dataset=anime_keypoints/drawings,skeleton=anime_drawings_21,style=halftone"),
}
CASES = [
    f"{path.stem}:{arg}"
    for path in sorted(CONFIGS.glob("*.py"))
    for arg in ("", *VARIANTS.get(path.stem, ()))
]


def load(case: str):
    name, _, arg = case.partition(":")
    return importlib.import_module(f"configs.{name}").get_config(arg)


def batch_shapes(config, stage):
    """All features that recipes read."""
    size, b, k = stage.resolution, stage.batch_size, len(SKELETONS[config.skeleton])
    shapes = {"weight": jax.ShapeDtypeStruct((b,), jnp.float32)}
    shapes["character"] = jax.ShapeDtypeStruct((b,), jnp.int32)
    shapes["world"] = jax.ShapeDtypeStruct((b, k, 3), jnp.float32)
    for prefix, each in (("", (b,)), ("source_", (b, config.data.get("sources", 1))), ("target_", (b,))):
        shapes[f"{prefix}image"] = jax.ShapeDtypeStruct((*each, *size, 3), jnp.uint8)
        shapes[f"{prefix}mask"] = jax.ShapeDtypeStruct((*each, *size, 1), jnp.uint8)
        shapes[f"{prefix}keypoints"] = jax.ShapeDtypeStruct((*each, k, 3), jnp.float32)
    return shapes


@pytest.mark.parametrize("case", CASES)
def test_every_config_at_full_size(case):
    config = load(case)
    r, key = recipe.make(config), jax.random.key(0)
    state = jax.eval_shape(r.init, key)
    stages = r.stages
    assert stages[0].start == 0
    for stage, following in zip(stages, [*stages[1:], None], strict=True):
        assert stage.stop > stage.start
        assert following is None or following.start == stage.stop
        if stage not in (*stages[:2], stages[-1]):  # Those between differ in sizes alone.
            continue
        batch = batch_shapes(config, stage)
        after, metrics = jax.eval_shape(lambda s, b, k, t=stage: r.train_step(s, b, k, t), state, batch, key)
        assert jax.tree.structure(after) == jax.tree.structure(state)
        jax.tree.map(
            lambda a, b: np.testing.assert_equal((a.shape, a.dtype), (b.shape, b.dtype)), after, state
        )
        assert metrics and all(m.shape == () and n.startswith("train/") for n, m in metrics.items())
    values = jax.eval_shape(lambda s, b, k: r.eval_step(s, b, k, stages[-1]), state, batch, key)
    # Values, or values with weights; only rows for metrics of the whole set may have more axes.
    rows = {k: v for k, v in values.items() if k.startswith(recipe.SET)}
    assert all(v.shape[0] == stage.batch_size for v in rows.values())
    means = {k: v for k, v in values.items() if k not in rows}
    assert all(k.startswith("eval/") for k in means)
    assert all(v.shape == (stage.batch_size,) for v in jax.tree.leaves(means))
    assert all(not isinstance(v, tuple) or len(v) == 2 for v in means.values())
    assert config.checkpoint.best_metric in means
    sheet = jax.eval_shape(lambda s, b, k: r.sample(s, b, k, stages[-1]), state, batch, key)
    assert all(v.shape == (stage.batch_size, *stage.resolution, 3) for v in sheet.values())


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.py")), ids=lambda p: p.stem)
def test_configs_are_short_and_pure_data(path):
    text = path.read_text()
    assert len(text.splitlines()) < 120
    assert "import jax" not in text and "from jax" not in text
    assert f"python -m anime_pt.main --config=configs/{path.name}" in text, "the command is at the top"


def test_psgan_default_is_the_paper():
    config = load("psgan:")
    state = jax.eval_shape(recipe.make(config).init, jax.random.key(0))
    count = lambda name: sum(x.size for x in jax.tree.leaves(state.players[name].net.params))
    # ProGAN's official numbers at 1024, and 3 x 3 kernels of 20 more channels at each of 9 resolutions.
    pose = 9 * 20 * (4 * 512 + 256 + 128 + 64 + 32 + 16)
    assert (count("generator") - 23_079_115, count("discriminator") - 23_087_249) == (pose, pose)
    assert config.optimizer.to_dict() == {"b1": 0.0, "b2": 0.99, "eps": 1e-8}
    assert (config.pose_map.kind, config.ema_decay) == ("pixel", 0.999)
    assert set(config.schedule.mismatch_weights) == {0}


def test_patn_forms():
    """The numbers of the papers and their code."""
    market, deepfashion, mmd = (load(f"patn:{form}") for form in ("market", "deepfashion", ""))
    for config, weights in ((market, (5, 10, 10)), (deepfashion, (5, 1, 1)), (mmd, (5, 1, 1))):
        c = config.loss
        assert (c.lambda_GAN, c.lambda_A, c.lambda_B) == weights
        assert (config.optimizer.learning_rate, config.optimizer.b1, config.ema_decay) == (2e-4, 0.5, 0)
        state = jax.eval_shape(recipe.make(config).init, jax.random.key(0))
        norm, channels = config.model.norm, 2 * len(SKELETONS[config.skeleton])
        sizes = [x.size for x in jax.tree.leaves(state.players["generator"].net.params)]
        # The public code's, and what more or fewer joints in the first layer make of it.
        published = {"instance": 41_358_019, "batch": 41_365_763}[norm]
        assert sum(sizes) - published == 49 * 64 * (channels - 36)
    assert market.loss.pool_size == 50 and deepfashion.loss.pool_size == mmd.loss.pool_size == 0
    assert {c.data.balance for c in (market, deepfashion)} == {"published"}
    assert (mmd.schedule.resolution, mmd.schedule.batch_size, mmd.data.part) == ((256, 192), 8, "anime")
    human = load("patn:dataset=mmd_pairs/procedural_256,part=human,skeleton=openpose_18")
    assert (human.data.part, human.data.skeleton, human.data.balance) == (
        "human",
        "openpose_18",
        "characters",
    )
    with pytest.raises(ValueError, match="arguments market and demo: use one of them"):
        load("patn:demo,market")


def test_psgan_arguments():
    config = load("psgan:resolution=256,images=600_000,dataset=unity_avatars/rigged_64")
    assert (config.model.resolution, config.data.name) == (256, "unity_avatars/rigged_64")
    assert config.schedule.resolutions[-1] == 256
    assert load("psgan:unconditional,resolution=64").model.pose_channels == 0
    assert load("psgan:demo,resolution=32").model.resolution == 32
    with pytest.raises(
        ValueError, match="unknown config argument 'size=4'; known: demo, unconditional, resolution"
    ):
        load("psgan:size=4")
    with pytest.raises(ValueError, match="'big' is no int"):
        load("psgan:resolution=big")
    with pytest.raises(ValueError, match="use a power of two, 4 to 1024"):
        load("psgan:resolution=100")
