import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from anime_pt.convert import tables
from anime_pt.models import layers, patn
from anime_pt.state import Net

KEYPOINTS = 3
SMALL = dict(keypoints=KEYPOINTS, ngf=2, blocks=1, dropout=0.0)
SIZE = (16, 12)


def generator(**options) -> Net:
    return Net.create(lambda rngs: patn.Generator(**SMALL | options, rngs=rngs), jax.random.key(0))


def discriminator(channels: int, **options) -> Net:
    return Net.create(lambda rngs: patn.Discriminator(channels, **options, rngs=rngs), jax.random.key(0))


def filled(build) -> Net:
    """A network with values that no initial ones compile for, the same ones at equal paths."""

    def values(path, leaf):
        rng = np.random.default_rng(list(tables.path_name(path).encode()))
        x = rng.normal(0, 0.3, leaf.shape)
        return jnp.asarray(np.abs(x) if tables.path_name(path).endswith("var") else x, leaf.dtype)

    return jax.tree_util.tree_map_with_path(values, jax.eval_shape(build))


def inputs(batch: int = 2, sources: int = 3, channels: int = 3) -> tuple:
    """Sources, their pose maps and the target's."""
    rng = np.random.default_rng(1)
    shapes = (batch, sources, *SIZE, channels), (batch, sources, *SIZE, KEYPOINTS), (batch, *SIZE, KEYPOINTS)
    return tuple(jnp.asarray(rng.uniform(-1, 1, shape), jnp.float32) for shape in shapes)


def leaves(tree) -> dict[str, np.ndarray]:
    return {tables.path_name(p): np.asarray(x) for p, x in jax.tree_util.tree_leaves_with_path(tree)}


def count(build) -> int:
    return sum(x.size for x in jax.tree.leaves(jax.eval_shape(build).params))


@pytest.mark.parametrize(("norm", "parameters"), [("instance", 41_358_019), ("batch", 41_365_763)])
def test_parameters_of_the_published_generators(norm, parameters):
    assert count(lambda: generator(keypoints=18, ngf=64, blocks=9, norm=norm)) == parameters


@pytest.mark.parametrize(
    ("norm", "channels", "parameters"),
    [
        ("instance", 21, 3_975_424),
        ("instance", 6, 3_928_384),
        ("batch", 21, 3_977_408),
        ("batch", 6, 3_930_368),
    ],
)
def test_parameters_of_the_published_discriminators(norm, channels, parameters):
    assert count(lambda: discriminator(channels, norm=norm)) == parameters


def test_initial_values():
    """The generator's are kernels N(0, 0.02), scales N(1, 0.02), the discriminators' torch's defaults."""
    params = generator(keypoints=5, ngf=16, blocks=0, norm="batch").params
    for kernel in (
        params["decoder"]["unit0"]["conv"]["kernel"],
        params["pose_encoder"]["unit0"]["conv"]["kernel"],
    ):
        assert 0.019 < kernel.std() < 0.021
    scale = params["decoder"]["unit0"]["norm"]["scale"]
    assert 0.01 < scale.std() < 0.03 and abs(scale.mean() - 1) < 0.02
    params = discriminator(10, ndf=16, blocks=0, norm="batch").params["encoder"]["unit0"]
    bound = 1 / np.sqrt(7 * 7 * 10)
    assert 0.98 * bound < params["conv"]["kernel"].max() < bound
    np.testing.assert_array_equal(params["norm"]["scale"], 1)
    bias = layers.ConvTranspose(3, 32, rngs=nnx.Rngs(0)).bias[...]
    bound = 1 / np.sqrt(9 * 32)  # A transposed convolution's fan-in counts its outputs.
    assert 0.8 * bound < np.abs(bias).max() < bound


def test_options_leave_the_rest_alone():
    """They add parameters of their own, and the others start from the same values."""
    plain = leaves(generator(blocks=0).params)
    more = leaves(generator(blocks=0, fusion="attention", copy=((0, 1), (1, 2))).params)
    assert {name.split("/")[0] for name in more.keys() - plain.keys()} == {"score", "copy"}
    for name, value in plain.items():
        np.testing.assert_array_equal(more[name], value, err_msg=name)


def test_training_moves_statistics_and_drops_features():
    net = filled(lambda: generator(norm="batch", dropout=0.5))
    call = jax.jit(lambda net, train, key: net(*inputs(sources=1), train=train, key=key), static_argnums=1)
    out, after = call(net, False, None)
    assert out.shape == (2, *SIZE, 3) and np.abs(out).max() <= 1
    jax.tree.map(np.testing.assert_array_equal, after.stats, net.stats)
    first, trained = call(net, True, jax.random.key(0))
    second, _ = call(net, True, jax.random.key(1))
    again, _ = call(net, True, jax.random.key(0))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - second).max() > 1e-4
    before = leaves(net.stats)
    for name, new in leaves(trained.stats).items():
        assert not np.array_equal(before[name], new), name


@pytest.fixture(scope="module", params=[{}, {"fusion": "attention"}, {"copy": ((0, 1), (1, 2))}], ids=str)
def call(request):
    """A generator with an option, compiled for three sources."""
    net = filled(lambda: generator(**request.param))
    return jax.jit(lambda *x: net(*x, train=False)[0])


def test_several_sources_in_any_order(call):
    source, source_pose, target_pose = inputs()
    out = call(source, source_pose, target_pose)
    order = jnp.array([2, 0, 1])
    np.testing.assert_allclose(call(source[:, order], source_pose[:, order], target_pose), out, atol=1e-5)
    # Each of them counts, and with its own pose.
    assert np.abs(call(source, source_pose[:, order], target_pose) - out).max() > 1e-3
    for i in range(3):
        assert np.abs(call(source.at[:, i].set(0.0), source_pose, target_pose) - out).max() > 1e-3


def test_the_same_source_over_again_is_one():
    """Without a copy path, that is: there, two that can be copied from outweigh the painting."""
    source, source_pose, target_pose = inputs()
    again = [x[:, jnp.array([0, 0, 0])] for x in (source, source_pose)]
    net = filled(generator)
    plain = jax.jit(lambda *x: net(*x, train=False)[0])(source[:, 0], source_pose[:, 0], target_pose)
    net = filled(lambda: generator(fusion="attention"))
    out = jax.jit(lambda *x: net(*x, train=False)[0])(*again, target_pose)
    np.testing.assert_allclose(out, plain, atol=1e-5)


def test_a_fourth_channel():
    net = jax.eval_shape(lambda: generator(image_channels=4, copy=((0, 1), (1, 2)), dropout=0.0))
    out, _ = jax.eval_shape(lambda net, *x: net(*x, train=True), net, *inputs(channels=4))
    assert out.shape == (2, *SIZE, 4)


def test_discriminators_answer_with_features():
    net = filled(lambda: discriminator(3 + KEYPOINTS, ndf=2, blocks=1))
    source, _, pose = inputs()
    call = jax.jit(lambda net, image, pose, key: net(image, pose, train=True, key=key)[0])
    out = call(net, source[:, 0], pose, jax.random.key(0))
    assert out.shape == (2, 4, 3, 8) and out.min() < 0
    assert np.abs(call(net, source[:, 0], pose, jax.random.key(1)) - out).max() > 1e-3
    assert np.abs(call(net, source[:, 0], pose[::-1], jax.random.key(0)) - out).max() > 1e-3


def test_what_does_not_work_is_said():
    with pytest.raises(ValueError, match=r"norm = 'layer': use batch or instance"):
        generator(norm="layer")
    with pytest.raises(ValueError, match=r"fusion = 'sum': use mean or attention"):
        generator(fusion="sum")
    net = jax.eval_shape(lambda: generator(dropout=0.5))
    with pytest.raises(ValueError, match=r"dropout in training needs a key"):
        jax.eval_shape(lambda net: net(*inputs(), train=True), net)
    source, source_pose, target_pose = (x[..., :10, :] for x in inputs())
    with pytest.raises(ValueError, match=r"images of 16 x 10: PATN takes sides that are multiples of 4"):
        jax.eval_shape(lambda net: net(source, source_pose, target_pose, train=False), net)
    source, source_pose, target_pose = (x[..., :4, :8, :] for x in inputs())
    with pytest.raises(ValueError, match=r"cannot mirror 1 pixels of 1 x 2: use larger images"):
        jax.eval_shape(lambda net: net(source, source_pose, target_pose, train=False), net)
