import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anime_pt.convert import tables
from anime_pt.models import gccpm
from anime_pt.state import Net

pytestmark = pytest.mark.usefixtures("plain_convolutions")

SMALL = dict(maps=5, num_channels=8, refinement_stages=2, cpm_channels=8)


def create(**sizes) -> Net:
    return Net.create(lambda rngs: gccpm.GCCPM(**sizes, rngs=rngs), jax.random.key(0))


@pytest.fixture(scope="module")
def net() -> Net:
    """A small one with values that no initial ones compile for."""
    rng = np.random.default_rng(0)

    def values(path, x):
        if x.ndim > 1:
            return jnp.asarray(rng.normal(0, np.sqrt(2 / np.prod(x.shape[:-1])), x.shape), x.dtype)
        return jnp.full(x.shape, tables.path_name(path).endswith(("scale", "var")), x.dtype)

    return jax.tree_util.tree_map_with_path(values, jax.eval_shape(lambda: create(**SMALL)))


@pytest.mark.parametrize(
    ("stages", "parameters"), [(0, 3_607_121), (1, 11_004_753), (4, 33_197_649), (5, 40_595_281)]
)
def test_parameters_of_the_public_models(stages, parameters):
    net = jax.eval_shape(lambda: create(maps=17, refinement_stages=stages))
    assert sum(x.size for x in jax.tree.leaves(net.params)) == parameters


def test_sizes_of_maps():
    net = jax.eval_shape(lambda: create(**SMALL))
    for size, cells in (
        ((256, 256), (32, 32)),
        ((200, 168), (25, 21)),
        ((97, 65), (13, 9)),
        ((8, 8), (1, 1)),
    ):
        images = jax.ShapeDtypeStruct((3, *size, 3), jnp.float32)
        maps, _ = jax.eval_shape(lambda net, x: net(x, train=False), net, images)
        assert [m.shape for m in maps] == [(3, *cells, 5)] * 3


def test_only_training_moves_statistics(net):
    images = jax.random.normal(jax.random.key(1), (2, 16, 24, 3))
    call = jax.jit(lambda net, x, train: net(x, train=train), static_argnums=2)
    maps, after = call(net, images, False)
    again, _ = call(after, images, False)
    for a, b in zip(maps, again, strict=True):
        np.testing.assert_array_equal(a, b)
    _, trained = call(net, images, True)
    before = jax.tree_util.tree_leaves_with_path(net.stats)
    for (path, old), new in zip(before, jax.tree.leaves(trained.stats), strict=True):
        assert not np.array_equal(old, new), tables.path_name(path)
    jax.tree.map(np.testing.assert_array_equal, net.params, trained.params)


def test_later_stages_see_the_maps_before_them(net):
    """The last maps depend on the head of every stage, the first on its own only."""
    images = jax.random.normal(jax.random.key(1), (1, 16, 16, 3))

    @jax.jit
    def gradients(params):
        """Of the sizes of every stage's maps."""
        size = lambda params: [jnp.square(m).sum() for m in net.with_params(params)(images, train=False)[0]]
        _, back = jax.vjp(size, params)
        return [back([jnp.float32(i == stage) for i in range(3)])[0] for stage in range(3)]

    expected = [True, False, False], [True, True, False], [True, True, True]
    for gradient, depends in zip(gradients(net.params), expected, strict=True):
        heads = [gradient["initial_head"], *(gradient["refinement"][f"stage{i}"]["head"] for i in (0, 1))]
        assert [bool(jnp.any(head["maps"]["kernel"])) for head in heads] == depends


def test_pixels_are_normalised():
    np.testing.assert_array_equal(gccpm.normalise(jnp.array([0.0, 128.0, 192.0])), [-0.5, 0.0, 0.25])
