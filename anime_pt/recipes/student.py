"""The small pose network of `models/student.py`, trained on drawings of figures with known joints.

The loss is the cross-entropy between a joint's distribution over cells and a normalised Gaussian around the
joint. Unlike the squared error of heatmaps, GCCPM's, it does not start with a plateau where all maps are
empty. A joint outside the picture belongs in the extra place "nowhere"; one that the dataset does not know
has no loss; a hidden one is learned like any other.

Adam with decoupled weight decay of the kernels; the rate rises, then falls along a cosine to zero. What is
measured and shipped is the moving average of the parameters.
"""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import ml_collections
import optax
from jaxtyping import Array, Float

from anime_pt import losses, sharding
from anime_pt.convert import npz
from anime_pt.metrics import estimation
from anime_pt.models import student
from anime_pt.pose import affine, decoding, draw, skeletons
from anime_pt.recipe import Batch, OneStage, Unobserved
from anime_pt.state import Net, Player, TrainState

# Which parameters stand for joints in their order.
_KNOWS_JOINTS = re.compile(r"(places|nowhere)/")


def make(config: ml_collections.ConfigDict) -> "StudentRecipe":
    """The recipe of a config such as `configs/student.py`."""
    return StudentRecipe(config)


class StudentRecipe(Unobserved):
    """See the module's docstring; its player is `estimator`."""

    stride = student.STRIDE
    # How a figure is to be shown to the network: the free space around it, and what colour that is.
    margin, border = affine.FIGURE_MARGIN, 255
    notes = estimation.NOTES
    start_files = ("init.weights",)

    def __init__(self, config: ml_collections.ConfigDict):
        self.config = ml_collections.FrozenConfigDict(config)
        self.skeleton = skeletons.named(config.skeleton)
        (h, w), total = config.schedule.resolution, config.schedule.steps
        if h % student.MULTIPLE or w % student.MULTIPLE:
            raise ValueError(f"schedule.resolution = {(h, w)}: use multiples of {student.MULTIPLE}")
        self.stages = (OneStage((h, w), config.schedule.batch_size, total),)
        c = config.optimizer
        rate = optax.warmup_cosine_decay_schedule(0.0, c.learning_rate, min(c.warmup_steps, total - 1), total)
        is_kernel = lambda params: jax.tree.map(lambda x: x.ndim > 1, params)
        self._tx = optax.adamw(rate, b1=c.b1, b2=c.b2, weight_decay=c.weight_decay, mask=is_kernel)

    def init(self, key: jax.Array) -> TrainState:
        def build(rngs):
            return student.Student(len(self.skeleton), tuple(self.config.model.widths), rngs=rngs)

        player = Player.create(Net.create(build, key), self._tx, ema=True)
        return TrainState(jnp.int32(0), {"estimator": player})

    def pretrained(self, state: TrainState) -> TrainState:
        """Weights of the file that `config.init.weights` names, where it names one; see `npz.fill`."""
        if not self.config.init.weights:
            return state
        player = state.players["estimator"]
        net = npz.start_from(player.net, self.config.init.weights, self.skeleton.name, _KNOWS_JOINTS)
        # A copy, since donated buffers must not be shared.
        ema = jax.tree.map(jnp.array, net.params)
        return state.replace(players={"estimator": dataclasses.replace(player, net=net, ema=ema)})

    def train_step(
        self, state: TrainState, batch: Batch, key: jax.Array, stage: OneStage
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """One update; the batch has `image` (b, h, w, 3) uint8 and `keypoints` (b, k, 3) in its pixels."""
        del key
        images = sharding.float_images(batch["image"])
        player = state.players["estimator"]
        target, nowhere, known = self._targets(batch["keypoints"], stage.resolution)

        def loss_fn(params):
            (places, absent), net = player.net.with_params(params)(images, train=True)
            return losses.place_cross_entropy(places, absent, target, nowhere, known), net

        (loss, net), grads = jax.value_and_grad(loss_fn, has_aux=True)(player.net.params)
        player = player.update(grads, self._tx, net).update_ema(self.config.ema_decay)
        metrics = {"train/loss": loss, "train/gradient_norm": optax.tree.norm(grads)}
        return state.replace(step=state.step + 1, players={"estimator": player}), metrics

    def _targets(self, keypoints: Float[Array, "b k 3"], size: tuple[int, int]):
        """The distribution of places (b, h, w, k), which joints are nowhere, and which are known (b, k)."""
        known = jnp.isfinite(keypoints[..., :2]).all(-1)
        x, y = (jnp.where(known, keypoints[..., i], 0.0) / self.stride for i in range(2))

        def bump(place, cells):
            centres = jnp.arange(cells)[:, None] + 0.5
            value = jnp.exp(-jnp.square((centres - place[:, None]) / self.config.target_sigma) / 2)
            return value / jnp.maximum(value.sum(1, keepdims=True), 1e-6)

        rows, columns = size[0] // self.stride, size[1] // self.stride
        nowhere = known & ((x < 0) | (x > columns) | (y < 0) | (y > rows))
        target = bump(y, rows)[:, :, None] * bump(x, columns)[:, None]
        return sharding.constrain_images(target), nowhere, known

    def maps(self, net: Net, images: Float[Array, "b h w 3"]) -> Float[Array, "b h8 w8 k"]:
        """Where the joints are: like Gaussian heatmaps, about 1 at the place of a sure joint.

        Of one that is surer than it was taught to be, more: cut off, the peak between cells would be lost.

        Args:
          net: the estimator.
          images: RGB in [-1, 1].
        """
        (places, absent), _ = net(images)
        found, _ = student.probabilities(places, absent)
        return found * (2 * jnp.pi * self.config.target_sigma**2)

    def eval_step(self, state: TrainState, batch: Batch, key: jax.Array, stage: OneStage) -> dict:
        """How far predicted joints are from the true ones; see `metrics.pose`."""
        del key, stage
        found = self._found(state, sharding.float_images(batch["image"]))
        return estimation.measure(found, batch["keypoints"], self.skeleton)

    def _found(self, state: TrainState, images: Float[Array, "b h w 3"]) -> Float[Array, "b k 3"]:
        network = functools.partial(self.maps, state.players["estimator"].ema_net)
        flip = self.skeleton.flip if self.config.eval.get("flip_test", False) else None
        return decoding.decode(decoding.flip_test(network, images, flip), self.stride)

    def summarise(self, arrays) -> dict[str, float]:
        return estimation.summarise(arrays)

    def sample(
        self, state: TrainState, batch: Batch, key: jax.Array, stage: OneStage
    ) -> dict[str, jax.Array]:
        """Columns: the picture; the true skeleton and the one found, over it."""
        del key, stage
        images = sharding.float_images(batch["image"])
        found = self._found(state, images)
        return draw.comparison(images, batch["keypoints"], found, self.skeleton.limb_indices)
