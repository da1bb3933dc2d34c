"""GCCPM, trained as its code (Daniil-Osokin/gccpm-look-into-person-cvpr19.pytorch) and as Tan train it.

Gaussian targets and a background map, squared errors of all stages' maps, Adam with a learning rate and a
decay for each kind of parameter, a rate that falls when the validation's PCKh stays where it is. A joint that
is missing has an empty map. Tan (Stage Two) trains it on anime drawings from three starts, that of
`config.init`: from scratch, with a backbone trained on ImageNet, from weights trained on people.

In Tan's equation 12 the sum is divided by the number of maps: `config.loss = "per_map"`; the code's is "sum".
"""

import dataclasses
import functools
import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import optax
from jaxtyping import Array, Float

from anime_pt import losses, schedules, sharding
from anime_pt.convert import gccpm as convert
from anime_pt.convert import npz, torch_files
from anime_pt.metrics import estimation
from anime_pt.models import gccpm
from anime_pt.pose import affine, decoding, draw, heatmaps, skeletons
from anime_pt.recipe import Batch, OneStage
from anime_pt.state import Net, Player, TrainState

_LOSSES = {"sum": losses.heatmap_sum_of_squares, "per_map": losses.heatmap_squares_per_map}
_STARTS = ("scratch", "mobilenet", "human")


class Group(NamedTuple):
    """How the optimizer treats a parameter.

    Attributes:
      rate: times the base learning rate; 0 for a frozen one.
      decays: whether weight decay applies.
    """

    rate: float
    decays: bool


# Where in the network a parameter stands -> its group, as in `train.py` of the public code. The first that
# fits counts. The normalisations of the cpm block are in no group there: they stay at 1 and 0.
_GROUPS = (
    (r"cpm/.*norm/.*", Group(0.0, False)),
    (r".*norm/scale", Group(1.0, False)),
    (r".*norm/bias", Group(2.0, False)),
    (r".*/depthwise/kernel", Group(1.0, False)),
    (r"refinement/.*/kernel", Group(4.0, True)),
    (r"refinement/.*/bias", Group(8.0, False)),
    (r".*/kernel", Group(1.0, True)),
    (r".*/bias", Group(2.0, False)),
)


def groups(params: Any) -> Any:
    """A `Group` for every parameter of `models.gccpm.GCCPM`."""

    def group(path, _) -> Group:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        return next(group for pattern, group in _GROUPS if re.fullmatch(pattern, name))

    return jax.tree_util.tree_map_with_path(group, params)


def optimizer(learning_rate: float, weight_decay: float) -> optax.GradientTransformation:
    """torch's Adam with its coupled weight decay, by `groups`, times what the plateau schedule leaves."""

    def decay(gradients, params):
        return jax.tree.map(
            lambda g, p, group: g + weight_decay * p if group.decays else g, gradients, params, groups(params)
        )

    def rate(updates, params):
        return jax.tree.map(lambda u, group: u * (-learning_rate * group.rate), updates, groups(params))

    return optax.chain(
        optax.stateless(decay), optax.scale_by_adam(), optax.stateless(rate), schedules.scale_by_plateau()
    )


def make(config: ml_collections.ConfigDict) -> "GCCPMRecipe":
    """The recipe of a config such as `configs/gccpm.py`."""
    return GCCPMRecipe(config)


class GCCPMRecipe:
    """See the module's docstring; its player is `estimator`."""

    stride = gccpm.STRIDE
    notes = estimation.NOTES
    start_files = ("init.weights",)

    def __init__(self, config: ml_collections.ConfigDict):
        self.config = ml_collections.FrozenConfigDict(config)
        self.skeleton = skeletons.named(config.skeleton)
        if config.loss not in _LOSSES:
            raise ValueError(f"loss = {config.loss!r}: use {' or '.join(_LOSSES)}")
        if config.init.start not in _STARTS:
            raise ValueError(f"init.start = {config.init.start!r}: use {', '.join(_STARTS)}")
        if (config.init.start == "scratch") == bool(config.init.weights):
            raise ValueError(
                f"init.start = {config.init.start!r}, init.weights = {config.init.weights!r}: "
                "mobilenet and human need a file of weights, scratch takes none"
            )
        # How a figure is to be shown to the network: as in training.
        is_whole = config.data.get("view", "whole") == "gccpm"
        self.margin, self.border = (0.0, 128) if is_whole else (affine.FIGURE_MARGIN, 255)
        c = config.schedule
        self.stages = (OneStage(tuple(c.resolution), c.batch_size, c.steps),)
        known = estimation.names(self.skeleton)
        if config.plateau.metric not in known:
            raise ValueError(
                f"plateau.metric = {config.plateau.metric!r} is not measured on {self.skeleton.name}; "
                f"there are {', '.join(n for n in known if n.count('/') == 1)}"
            )
        self._tx = optimizer(config.optimizer.learning_rate, config.optimizer.weight_decay)

    def init(self, key: jax.Array) -> TrainState:
        c = self.config.model

        def build(rngs):
            return gccpm.GCCPM(
                len(self.skeleton) + 1,
                num_channels=c.num_channels,
                refinement_stages=c.refinement_stages,
                cpm_channels=c.cpm_channels,
                rngs=rngs,
            )

        return TrainState(jnp.int32(0), {"estimator": Player.create(Net.create(build, key), self._tx)})

    def pretrained(self, state: TrainState) -> TrainState:
        """Weights of `config.init`: a file of PyTorch's, or one that `python -m anime_pt.weights` wrote.

        Raises:
          OSError: the file cannot be read.
          ValueError: it is no such file, or of another network.
        """
        c, player = self.config.init, state.players["estimator"]
        if c.start == "scratch":
            return state
        if c.weights.endswith(".npz"):
            if c.start == "mobilenet":
                raise ValueError(f"{c.weights}: a MobileNet comes in a file of PyTorch's; use init=human")
            net = npz.start_from(player.net, c.weights, self.skeleton.name, convert.KNOWS_MAPS)
        elif c.start == "mobilenet":
            net = convert.load_backbone(player.net, torch_files.read_state_dict(c.weights))
        else:
            net, kept = convert.load_pretrained(player.net, torch_files.read_state_dict(c.weights))
            npz.report(c.weights, kept)
        return state.replace(players={"estimator": dataclasses.replace(player, net=net)})

    def train_step(
        self, state: TrainState, batch: Batch, key: jax.Array, stage: OneStage
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """One update; the batch has `image` (b, h, w, 3) uint8 and `keypoints` (b, k, 3) in its pixels."""
        del key
        images = self._inputs(sharding.float_images(batch["image"]))
        maps = heatmaps.gaussian(
            batch["keypoints"],
            stage.resolution,
            stride=self.stride,
            sigma=self.config.target_sigma,
            visible_only=self.config.visible_only,
        )
        target = sharding.constrain_images(heatmaps.with_background(maps))
        player = state.players["estimator"]
        loss = _LOSSES[self.config.loss]

        def loss_fn(params):
            stages, net = player.net.with_params(params)(images, train=True)
            return sum(each := [loss(maps, target) for maps in stages]), (net, each)

        (total, (net, each)), grads = jax.value_and_grad(loss_fn, has_aux=True)(player.net.params)
        metrics = {"train/loss": total, "train/last_stage_loss": each[-1]}
        metrics["train/rate_scale"] = schedules.plateau_scale(player.opt)
        player = player.update(grads, self._tx, net)
        return state.replace(step=state.step + 1, players={"estimator": player}), metrics

    def _inputs(self, images: Float[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
        """RGB in [-1, 1] to what the network takes."""
        return gccpm.normalise(127.5 * (images[..., ::-1] + 1))

    def maps(self, net: Net, images: Float[Array, "b h w 3"]) -> Float[Array, "b h8 w8 k"]:
        """The last stage's maps of the joints, cut off below 0.

        Args:
          net: the estimator.
          images: RGB in [-1, 1].
        """
        stages, _ = net(self._inputs(images), train=False)
        return jnp.maximum(stages[-1][..., :-1], 0)

    def eval_step(self, state: TrainState, batch: Batch, key: jax.Array, stage: OneStage) -> dict:
        """How far predicted joints are from the true ones; see `metrics.pose`."""
        del key, stage
        return estimation.measure(self._found(state, batch), batch["keypoints"], self.skeleton)

    def _found(self, state: TrainState, batch: Batch) -> Float[Array, "b k 3"]:
        network = functools.partial(self.maps, state.players["estimator"].ema_net)
        images = sharding.float_images(batch["image"])
        flip = self.skeleton.flip if self.config.eval.get("flip_test", False) else None
        return decoding.decode(decoding.flip_test(network, images, flip), self.stride)

    def summarise(self, arrays) -> dict[str, float]:
        return estimation.summarise(arrays)

    def observe(self, state: TrainState, measured) -> TrainState:
        """The plateau schedule's step on 100 less the metric in percent, the code's validation "loss"."""
        c, player = self.config.plateau, state.players["estimator"]
        value = 100 - 100 * measured[c.metric]
        opt = schedules.observe_plateau(
            player.opt, value, factor=c.factor, patience=c.patience, threshold=c.threshold
        )
        return state.replace(players={"estimator": dataclasses.replace(player, opt=opt)})

    def sample(
        self, state: TrainState, batch: Batch, key: jax.Array, stage: OneStage
    ) -> dict[str, jax.Array]:
        """Columns: the picture; the true skeleton and the one found, over it."""
        del key, stage
        return draw.comparison(
            sharding.float_images(batch["image"]),
            batch["keypoints"],
            self._found(state, batch),
            self.skeleton.limb_indices,
        )
