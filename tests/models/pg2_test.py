import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from anime_pt.convert import pg2 as convert
from anime_pt.models import layers, pg2
from anime_pt.state import Net

# Of the official code: the size of pictures, the full skip, the numbers of parameters of G1, G2 and D.
OFFICIAL = {
    "market": ((128, 64), False, (70_795_075, 6_058_883, 4_324_737)),
    "256": ((256, 256), True, (122_103_235, 12_696_067, 10_896_257)),
}
SIZE, KEYPOINTS = (32, 24), 5


def builders(size, keypoints, full_skip, *, features=128, discriminator_features=64, **more):
    return {
        "coarse": lambda rngs: pg2.Coarse(size, keypoints, features=features, **more, rngs=rngs),
        "refiner": lambda rngs: pg2.Refiner(
            size[0], features=features, full_skip=full_skip, **more, rngs=rngs
        ),
        "discriminator": lambda rngs: pg2.Discriminator(size, features=discriminator_features, rngs=rngs),
    }


def abstract(build) -> Net:
    return jax.eval_shape(lambda: Net.create(build, jax.random.key(0)))


def filled(build, seed=0) -> Net:
    """A network with parameters of its initial spread: nothing to compile."""
    rng = np.random.default_rng(seed)

    def one(shape):
        bound = math.sqrt(6 / (math.prod(shape.shape) / shape.shape[-1] + shape.shape[-1]))
        return jnp.asarray(rng.uniform(-bound, bound, shape.shape), shape.dtype)

    return jax.tree.map(one, abstract(build))


@pytest.fixture(scope="module")
def nets():
    tiny = builders(SIZE, KEYPOINTS, True, features=4, discriminator_features=4)
    return {name: filled(build) for name, build in tiny.items()}


@pytest.fixture(scope="module")
def run():
    return jax.jit(lambda net, *x: net(*x)[0])


def inputs(batch=2, sources=None, seed=0):
    rng = np.random.default_rng(seed)
    many = () if sources is None else (sources,)
    source = rng.uniform(-1, 1, (batch, *many, *SIZE, 3)).astype(np.float32)
    pose = rng.choice([-1.0, 1.0], (batch, *SIZE, KEYPOINTS)).astype(np.float32)
    return jnp.asarray(source), jnp.asarray(pose)


@pytest.mark.parametrize("form", OFFICIAL)
def test_sizes_are_the_official_codes(form):
    size, full_skip, counts = OFFICIAL[form]
    for count, build in zip(counts, builders(size, 18, full_skip).values(), strict=True):
        assert sum(x.size for x in jax.tree.leaves(abstract(build).params)) == count


def test_shapes(nets, run):
    source, pose = inputs()
    coarse = run(nets["coarse"], source, pose)
    assert coarse.shape == source.shape and jnp.isfinite(coarse).all() and coarse.std() > 0.01
    difference = run(nets["refiner"], coarse, source)
    assert difference.shape == source.shape and difference.std() > 0.01
    assert run(nets["discriminator"], source).shape == (2,)
    assert not any(jax.tree.leaves(net.stats) for net in nets.values())


def test_anime_sizes_and_alpha_fit():
    """256 x 192, which the code does not know: the innermost features are 8 x 6."""
    build = builders((256, 192), 20, True, features=2, image_channels=4, sources=2)
    coarse, refiner = abstract(build["coarse"]), abstract(build["refiner"])
    assert coarse.params["decode"]["kernel"].shape == (64, 8 * 6 * 2)
    picture = jax.ShapeDtypeStruct((1, 256, 192, 4), jnp.float32)
    sources = jax.ShapeDtypeStruct((1, 2, 256, 192, 4), jnp.float32)
    pose = jax.ShapeDtypeStruct((1, 256, 192, 20), jnp.float32)
    assert jax.eval_shape(lambda n, *x: n(*x)[0], coarse, sources, pose).shape == picture.shape
    assert jax.eval_shape(lambda n, *x: n(*x)[0], refiner, picture, sources).shape == picture.shape


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((96, 96), "pictures 96 high; use a power of two from 32 on"),
        ((16, 16), "pictures 16 high; use a power of two from 32 on"),
        ((256, 176), "256 high must have a width that is a multiple of 32, not 176"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(size, message):
    for name in ("coarse", "discriminator"):
        with pytest.raises(ValueError, match=message):
            abstract(builders(size, 5, True)[name])


def test_pose_reaches_the_coarse_picture_through_the_dense_layers(nets, run):
    """A change at one end shows at the other, farther than convolutions alone carry it."""
    source, pose = inputs()
    moved = pose.at[:, 0, 0].multiply(-1)
    change = jnp.abs(run(nets["coarse"], source, pose) - run(nets["coarse"], source, moved))
    assert (change[:, -1, -1].max() > 1e-8) and change[:, 0, 0].max() > change[:, -1, -1].max()


def test_several_sources_are_channels_in_order(run):
    """The stem's kernel has a part for each source; the network is that of their concatenation."""
    net = filled(builders(SIZE, KEYPOINTS, True, features=4, sources=2)["coarse"])
    source, pose = inputs(sources=2)
    expected = run(net, jnp.concatenate([source[:, 0], source[:, 1]], -1), pose)
    np.testing.assert_array_equal(run(net, source, pose), expected)
    assert jnp.abs(run(net, source[:, ::-1], pose) - expected).max() > 1e-3


def test_strided_convolutions_pad_behind():
    """TensorFlow's SAME: with a stride of 2 and an even side, 3 x 3 pads one row behind and none before."""
    layer = pg2._Conv(1, 1, stride=2, rngs=nnx.Rngs(0))
    layer.kernel[...] = jnp.zeros((3, 3, 1, 1)).at[0, 0].set(1.0)
    x = jnp.arange(16.0).reshape(1, 4, 4, 1)
    np.testing.assert_array_equal(layer(x)[0, ..., 0], x[0, ::2, ::2, 0])
    wide = pg2._Conv(1, 1, 5, stride=2, rngs=nnx.Rngs(0))
    wide.kernel[...] = jnp.zeros((5, 5, 1, 1)).at[1, 1].set(1.0)
    np.testing.assert_array_equal(wide(x)[0, ..., 0], x[0, ::2, ::2, 0])


def test_enlargement_and_one_by_one_convolution_commute():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 3, 4, 5)), jnp.float32)
    layer = pg2._Conv(5, 2, 1, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(layers.upsample(layer(x)), layer(layers.upsample(x)), atol=1e-6)


def test_a_logit_depends_on_the_batch(nets, run):
    source, _ = inputs(batch=3)
    together, alone = run(nets["discriminator"], source), run(nets["discriminator"], source[:2])
    assert jnp.abs(together[:2] - alone).max() > 1e-4
    order = jnp.array([2, 0, 1])
    np.testing.assert_allclose(run(nets["discriminator"], source[order]), together[order], atol=1e-5)


def test_initial_values():
    """Xavier's uniform in the generators; a deviation of 0.02 in the discriminator; biases are zero."""
    layer = pg2._Conv(16, 48, rngs=nnx.Rngs(0))
    bound = math.sqrt(6 / (9 * 64))
    assert 0.98 * bound < jnp.abs(layer.kernel[...]).max() <= bound and (layer.bias[...] == 0).all()
    dense = pg2._Dense(40, 60, rngs=nnx.Rngs(0))
    bound = math.sqrt(6 / 100)
    assert 0.98 * bound < jnp.abs(dense.kernel[...]).max() <= bound and (dense.bias[...] == 0).all()
    net = jax.jit(
        lambda: Net.create(
            builders(SIZE, 5, True, discriminator_features=16)["discriminator"], jax.random.key(0)
        )
    )()
    for kernel in (net.params["convs"]["level1"]["kernel"], net.params["logit"]["kernel"]):
        assert abs(float(kernel.std()) - 0.02) < 0.001 and jnp.abs(kernel).max() <= 0.02 * math.sqrt(3)
    assert (net.params["norms"]["level1"]["scale"] == 1).all()


def test_the_official_codes_variables_have_a_place():
    """All of them, once; dense features come there with the channels first."""
    build = builders(SIZE, KEYPOINTS, True, features=4, discriminator_features=4)
    nets, weights = {name: filled(b) for name, b in build.items()}, {}
    for name, rules in convert.tables(SIZE).items():
        flat = {
            jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
            for path, leaf in jax.tree_util.tree_leaves_with_path(nets[name].params)
        }
        for rule in rules:
            if rule.target in flat:
                weights[convert.PREFIXES[name] + rule.source.replace("\\", "")] = flat[rule.target]
    kernel = weights["Discriminator.Output/Discriminator.Output.W"].reshape(8, 6, 8, 1)
    weights["Discriminator.Output/Discriminator.Output.W"] = kernel.transpose(2, 0, 1, 3).reshape(-1, 1)
    weights["Discriminator.BN2.moving_mean"] = np.zeros(8)
    assert {"Pose_AE/G/Conv", "UAEnoFC/G/Conv_5", "Discriminator.BN2.scale"} <= {
        name.removesuffix("/weights") for name in weights
    }
    loaded = convert.load(weights, SIZE, **build)
    jax.tree.map(np.testing.assert_array_equal, loaded, {name: net.params for name, net in nets.items()})


def test_variables_of_the_wrong_network_are_named():
    build = builders(SIZE, KEYPOINTS, True, features=4)
    with pytest.raises(ValueError, match="nothing fills decode/bias"):
        convert.load({"Pose_AE/G/Conv/biases": np.zeros(4)}, SIZE, coarse=build["coarse"])
    with pytest.raises(ValueError, match="unknown name Conv_99/weights"):
        convert.load({"UAEnoFC/G/Conv_99/weights": np.zeros(4)}, SIZE, refiner=build["refiner"])
