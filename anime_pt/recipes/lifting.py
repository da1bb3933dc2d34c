"""Lifting: joints in space from joints in one picture, by the network of `models/lifting.py`.

Martinez et al. 2017, section 3: the mean square of the error of coordinates, Adam, a rate that falls by the
factor 0.96 every 100,000 steps. What is learned from is `data/motions.py` instead of Human3.6M, so figures
come at one size, from any camera, and with joints that are missing. With `optimizer.cosine` the rate falls to
zero over the training, for short ones.
"""

import jax
import jax.numpy as jnp
import ml_collections
import optax
from jaxtyping import Array, Float

from anime_pt.metrics import lifting as metrics
from anime_pt.models import lifting
from anime_pt.pose import draw, skeletons
from anime_pt.recipe import Batch, OneStage, Unobserved
from anime_pt.state import Net, Player, TrainState

PLAYER = "lifter"
_LIMBS = (
    *(
        (f"{side}_{a}", f"{side}_{b}")
        for side in ("left", "right")
        for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
    ),
)


def make(config: ml_collections.ConfigDict) -> "LiftingRecipe":
    """The recipe of a config such as `configs/lifting.py`."""
    return LiftingRecipe(config)


class LiftingRecipe(Unobserved):
    """See the module's docstring; its player is `lifter`.

    Attributes:
      skeleton: of the joints, in and out.
    """

    notes = metrics.NOTES

    def __init__(self, config: ml_collections.ConfigDict):
        self.config = ml_collections.FrozenConfigDict(config)
        c, schedule = config.optimizer, config.schedule
        self.skeleton = skeletons.named(config.skeleton)
        self._hips = self.skeleton.index("mid_hip")
        self._counted = jnp.array([i for i in range(len(self.skeleton)) if i != self._hips])
        self._limbs = [(self.skeleton.index(a), self.skeleton.index(b)) for a, b in _LIMBS]
        self.stages = (OneStage(tuple(schedule.resolution), schedule.batch_size, schedule.steps),)
        if c.cosine:
            rate = optax.warmup_cosine_decay_schedule(
                0.0, c.learning_rate, min(c.warmup_steps, schedule.steps - 1), schedule.steps
            )
        else:
            rate = optax.exponential_decay(c.learning_rate, 100_000, 0.96)
        self._tx = optax.adam(rate)

    def init(self, key: jax.Array) -> TrainState:
        m = self.config.model

        def build(rngs):
            return lifting.Lifter(len(self.skeleton), m.width, m.blocks, m.dropout, m.max_norm, rngs=rngs)

        player = Player.create(Net.create(build, key), self._tx, ema=self.config.ema_decay > 0)
        return TrainState(jnp.int32(0), {PLAYER: player})

    def pretrained(self, state: TrainState) -> TrainState:
        """The state as it is: training starts from chance."""
        return state

    def lift(self, net: Net, keypoints: Float[Array, "b k 3"]) -> Float[Array, "b k 3"]:
        """Joints in metres about the middle of the hips, see `models.lifting.Lifter`."""
        out, _ = net(keypoints, train=False)
        return out - out[:, self._hips, None]

    def train_step(
        self, state: TrainState, batch: Batch, key: jax.Array, stage: OneStage
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """One update, from `keypoints` and `world`."""
        del stage
        player = state.players[PLAYER]
        dropout = key if self.config.model.dropout else None

        def loss_fn(params):
            found, net = player.net.with_params(params)(batch["keypoints"], train=True, key=dropout)
            found = found - found[:, self._hips, None]
            error = (found - batch["world"])[:, self._counted] / lifting.UNIT
            return jnp.square(error).mean(), (found, net)

        (loss, (found, net)), grads = jax.value_and_grad(loss_fn, has_aux=True)(player.net.params)
        player = player.update(grads, self._tx, net)
        if self.config.ema_decay:
            player = player.update_ema(self.config.ema_decay)
        error = 1000 * metrics.mpjpe(*self._of(found, batch["world"])).mean()
        values = {"train/loss": loss, "train/mpjpe": error, "train/gradient_norm": optax.tree.norm(grads)}
        return state.replace(step=state.step + 1, players={PLAYER: player}), values

    def _of(self, *points: Float[Array, "b k 3"]) -> list[Float[Array, "b j 3"]]:
        """The joints that count."""
        return [p[:, self._counted] for p in points]

    def eval_step(self, state: TrainState, batch: Batch, key: jax.Array, stage: OneStage) -> dict:
        """Errors of each pose, see `metrics.lifting`."""
        del key, stage
        found = self.lift(state.players[PLAYER].ema_net, batch["keypoints"])
        both = self._of(found, batch["world"])
        return {
            "eval/mpjpe": 1000 * metrics.mpjpe(*both),
            "eval/pa_mpjpe": 1000 * metrics.pa_mpjpe(*both),
            "eval/limbs": metrics.limb_angles(found, batch["world"], self._limbs).mean(1),
        }

    def summarise(self, arrays) -> dict[str, float]:
        """Nothing: all metrics are means."""
        del arrays
        return {}

    def sample(
        self, state: TrainState, batch: Batch, key: jax.Array, stage: OneStage
    ) -> dict[str, jax.Array]:
        """Columns: the picture; truth and what was found, as seen from the figure's side."""
        del key
        h, w = stage.resolution
        white = jnp.ones((len(batch["keypoints"]), h, w, 3))
        found = self.lift(state.players[PLAYER].ema_net, batch["keypoints"])
        # Somebody 1.7 m tall, arms up, fits.
        side = lambda world: jnp.concatenate(
            [
                world[..., 2:] * (0.4 * w) + w / 2,
                world[..., 1:2] * (0.4 * h) + h / 2,
                jnp.ones_like(world[..., :1]),
            ],
            -1,
        )
        limbs = self.skeleton.limb_indices
        sheet = draw.comparison(white, side(batch["world"]), side(found), limbs)
        picture = jnp.nan_to_num(batch["keypoints"], nan=-1e3)
        return {
            "picture": draw.over(white, picture, limbs),
            "truth from the side": sheet["truth"],
            "found from the side": sheet["found"],
        }
