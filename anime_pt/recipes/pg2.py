"""PG2: a coarse generator, then a refiner against a discriminator.

Ma et al.: "Pose guided person image generation" (NIPS 2017); the networks are in `models/pg2.py`. Training
follows the official TensorFlow code (charliememory/Pose-Guided-Person-Image-Generation, `trainer.py` and
`trainer256.py`). Two stages:

- "coarse", `schedule.coarse_steps`: the coarse generator alone, by `L1 + L1 within the pose mask`;
- "refined", `schedule.refiner_steps`: the coarse generator stands still. In each iteration first the refiner:
  `c(D(refined), 1) + lambda_l1 * (L1 + L1 within the pose mask)`, then the discriminator, which sees what the
  refiner makes after its step. c is the cross-entropy.

The mask's term comes on top, so what is inside counts twice (the paper's 1 + M); both divide by all pixels.
The discriminator judges pictures alone, and takes the source for a fake, too: real as it is, it has not the
pose. `loss.adversarial` has the code's two forms, which differ in who shares a batch in the discriminator's
batch normalisation, and in the generator's term:

- "triplet" (Market-1501): target, source, coarse, refined; the refiner's term is of the refined picture;
- "pooled" (256 x 256): target, refined, source; the refiner's term takes the mean of refined and source, of
  which the latter moves the refiner by the batch's statistics only.

The discriminator's loss is the same in both: half of it about targets, a quarter each about sources and
refined pictures.

| here | paper |
|---|---|
| source, target image | I_A, I_B |
| target pose map, pose mask | P_B, M_B |
| coarse, refined image | I^_B1, I^_B2 |

Differences: in the code every step of an iteration reads a batch of its own, here the refiner and the
discriminator share one. Adam adds epsilon after the bias correction, TensorFlow's before. Under several
devices the batch normalisation sees the whole batch. Optional, and off in the paper's forms: several sources,
side by side (the discriminator sees the first), and a fourth channel with the figure's mask (`model.rgba`).
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from jaxtyping import Array, Float

from anime_pt import losses, sharding
from anime_pt.metrics import images, transfer
from anime_pt.models import pg2
from anime_pt.pose import draw, limb_masks, skeletons
from anime_pt.recipe import Batch, Unobserved, pair_images
from anime_pt.state import Net, Player, TrainState

FORMS = ("triplet", "pooled")
COARSE, REFINED = "coarse", "refined"
Logits = dict[str, Float[Array, " b"]]


@dataclasses.dataclass(frozen=True)
class Stage:
    """Training of the coarse generator, or of the others; see `recipe.Stage`."""

    name: str
    start: int
    stop: int
    resolution: tuple[int, int]
    batch_size: int


class Inputs(NamedTuple):
    """A batch as the networks take it: images in [-1, 1], maps of +-1, masks of 0 and 1."""

    source: Float[Array, "b n h w c"]
    target: Float[Array, "b h w c"]
    target_pose: Float[Array, "b h w k"]
    pose_mask: Float[Array, "b h w 1"]


def masked_l1(
    picture: Float[Array, "b h w c"], target: Float[Array, "b h w c"], mask: Float[Array, "b h w 1"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The mean absolute difference, and what of it is within the mask."""
    apart = jnp.abs(picture - target)
    return jnp.mean(apart), jnp.mean(apart * mask)


def judge(
    critic: Callable[[Float[Array, "n h w c"]], Float[Array, " n"]],
    form: str,
    target: Float[Array, "b h w c"],
    source: Float[Array, "b h w c"],
    coarse: Float[Array, "b h w c"],
    refined: Float[Array, "b h w c"],
) -> Logits:
    """Logits of the discriminator, by picture; all of them are in one batch.

    Args:
      critic: images to logits; couples the examples of a batch.
      form: see the module's docstring.
      target, source, coarse, refined: the pictures.
    """
    pictures = {"target": target, "source": source, "coarse": coarse, "refined": refined}
    if form == "pooled":
        del pictures["coarse"]
    logits = critic(jnp.concatenate(list(pictures.values())))
    return dict(zip(pictures, jnp.split(logits, len(pictures)), strict=True))


def generator_loss(form: str, logits: Logits) -> Float[Array, ""]:
    """The adversarial part of the refiner's loss."""
    loss = losses.binary_cross_entropy(logits["refined"], True)
    if form == "pooled":
        loss = (loss + losses.binary_cross_entropy(logits["source"], True)) / 2
    return loss


def discriminator_loss(logits: Logits) -> Float[Array, ""]:
    """The discriminator's loss, in both forms."""
    fakes = [losses.binary_cross_entropy(logits[name], False) for name in ("source", "refined")]
    return losses.binary_cross_entropy(logits["target"], True) / 2 + sum(fakes) / 4


def make(config: ml_collections.ConfigDict) -> "PG2":
    """The recipe of a config such as `configs/pg2.py`."""
    return PG2(config)


class PG2(Unobserved):
    """See the module's docstring; players `coarse`, `refiner` and `discriminator`."""

    # What `transfer` needs of a state, beside its step.
    transfer_players = ("coarse", "refiner")

    def __init__(self, config: ml_collections.ConfigDict):
        self.config = ml_collections.FrozenConfigDict(config)
        self.skeleton = skeletons.named(config.skeleton)
        if config.loss.adversarial not in FORMS:
            raise ValueError(f"loss.adversarial = {config.loss.adversarial!r}: use {', '.join(FORMS)}")
        c = config.schedule
        if min(c.coarse_steps, c.refiner_steps) < 1:
            raise ValueError(
                f"schedule.coarse_steps = {c.coarse_steps}, schedule.refiner_steps = {c.refiner_steps}: "
                "both stages need a step at least"
            )
        size = tuple(c.resolution)
        pg2.check_size(size)
        stop = c.coarse_steps + c.refiner_steps
        self.stages = (
            Stage(COARSE, 0, c.coarse_steps, size, c.batch_size),
            Stage(REFINED, c.coarse_steps, stop, size, c.batch_size),
        )
        self.channels = 4 if config.model.rgba else 3
        self.notes = transfer.notes(config.model.rgba) | {"eval/ssim_pg2": images.NOTES["ssim_pg2"]}
        c = config.optimizer
        self._tx = optax.adam(c.learning_rate, b1=c.b1, b2=c.b2, eps=c.eps)

    def init(self, key: jax.Array) -> TrainState:
        m, size = self.config.model, self.stages[0].resolution
        shared = dict(image_channels=self.channels)
        generators = shared | dict(sources=self.config.data.sources, features=m.features)
        builders = {
            "coarse": lambda rngs: pg2.Coarse(
                size, len(self.skeleton), latent=m.latent, **generators, rngs=rngs
            ),
            "refiner": lambda rngs: pg2.Refiner(size[0], full_skip=m.full_skip, **generators, rngs=rngs),
            "discriminator": lambda rngs: pg2.Discriminator(
                size, features=m.discriminator_features, **shared, rngs=rngs
            ),
        }
        keys = jax.random.split(key, len(builders))
        players = {
            name: Player.create(Net.create(build, k), self._tx)
            for (name, build), k in zip(builders.items(), keys, strict=True)
        }
        return TrainState(jnp.int32(0), players)

    def pretrained(self, state: TrainState) -> TrainState:
        """The state as it is: nothing is read from files."""
        return state

    def pose(self, keypoints: Float[Array, "b k 3"], size: tuple[int, int]) -> Float[Array, "b h w k"]:
        """The pose map of keypoints in pixels of pictures of that size."""
        c = self.config.pose_map
        drawn = limb_masks.disc_map(keypoints, size, radius=c.radius, visible_only=c.visible_only)
        return sharding.constrain_images(drawn)

    def inputs(self, batch: Batch, size: tuple[int, int]) -> Inputs:
        """What the networks see of a batch.

        Raises:
          ValueError: masks are wanted, and the batch has none.
        """
        c, keypoints = self.config.pose_map, batch["target_keypoints"]
        mask = limb_masks.disc_mask(
            keypoints, size, self.skeleton, radius=c.radius, visible_only=c.visible_only
        )
        mask = sharding.constrain_images(mask.astype(jnp.float32))
        source, target = (pair_images(batch, side, self.config.model.rgba) for side in ("source", "target"))
        return Inputs(source, target, self.pose(keypoints, size), mask)

    def train_step(
        self, state: TrainState, batch: Batch, key: jax.Array, stage: Stage
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """One iteration; the batch is one of pairs, see `data.pairs`."""
        del key
        x = self.inputs(batch, stage.resolution)
        step = self._coarse_step if stage.name == COARSE else self._refined_step
        players, metrics = step(state.players, x)
        return state.replace(step=state.step + 1, players=dict(state.players) | players), metrics

    def _coarse_step(self, players: Mapping[str, Player], x: Inputs):
        player = players["coarse"]

        def loss_fn(params):
            picture, _ = player.net.with_params(params)(x.source, x.target_pose)
            plain, masked = masked_l1(sharding.constrain_images(picture), x.target, x.pose_mask)
            return plain + masked, {"train/coarse_l1": plain, "train/coarse_mask_l1": masked}

        (loss, metrics), grads = jax.value_and_grad(loss_fn, has_aux=True)(player.net.params)
        return {"coarse": player.update(grads, self._tx)}, metrics | {"train/coarse_loss": loss}

    def _refined_step(self, players: Mapping[str, Player], x: Inputs):
        c, refiner, discriminator = self.config.loss, players["refiner"], players["discriminator"]
        coarse = self._coarse(players, x.source, x.target_pose)

        def logits_of(params, refined):
            critic = lambda pictures: discriminator.net.with_params(params)(pictures)[0]
            return judge(critic, c.adversarial, x.target, x.source[:, 0], coarse, refined)

        def refine(params):
            difference, _ = refiner.net.with_params(params)(coarse, x.source)
            return sharding.constrain_images(coarse + difference)

        def refiner_loss(params):
            refined = refine(params)
            plain, masked = masked_l1(refined, x.target, x.pose_mask)
            adversarial = generator_loss(c.adversarial, logits_of(discriminator.net.params, refined))
            loss = adversarial + c.lambda_l1 * (plain + masked)
            metrics = {"adversarial_loss": adversarial, "l1": plain, "mask_l1": masked}
            return loss, {f"train/{k}": v for k, v in metrics.items()} | {"train/refiner_loss": loss}

        grads, metrics = jax.grad(refiner_loss, has_aux=True)(refiner.net.params)
        refiner = refiner.update(grads, self._tx)
        refined = refine(refiner.net.params)

        def loss_fn(params):
            logits = logits_of(params, refined)
            means = {f"train/{name}_logits": logits[name].mean() for name in ("target", "source", "refined")}
            return discriminator_loss(logits), means

        (loss, means), grads = jax.value_and_grad(loss_fn, has_aux=True)(discriminator.net.params)
        metrics |= means | {"train/discriminator_loss": loss}
        return {"refiner": refiner, "discriminator": discriminator.update(grads, self._tx)}, metrics

    def _coarse(
        self,
        players: Mapping[str, Player],
        source: Float[Array, "b n h w c"],
        target_pose: Float[Array, "b h w k"],
    ) -> Float[Array, "b h w c"]:
        if source.shape[1] != self.config.data.sources:
            raise ValueError(
                f"PG2 was built for {self.config.data.sources} source(s) of a figure (data.sources), "
                f"not {source.shape[1]}"
            )
        return sharding.constrain_images(players["coarse"].net(source, target_pose)[0])

    def _transferred(
        self, state: TrainState, source: Float[Array, "b n h w c"], target_pose: Float[Array, "b h w k"]
    ) -> tuple[Float[Array, "b h w c"], Float[Array, "b h w c"]]:
        """Coarse and refined pictures."""
        coarse = self._coarse(state.players, source, target_pose)
        return coarse, coarse + state.players["refiner"].net(coarse, source)[0]

    def transfer(
        self,
        state: TrainState,
        source: Float[Array, "b n h w c"],
        source_keypoints: Float[Array, "b n k 3"],
        target_keypoints: Float[Array, "b k 3"],
    ) -> Float[Array, "b h w c"]:
        """The sources' figure in another pose, refined if the refiner has been trained; images in [-1, 1].

        Args:
          state: any with `step` and the generators.
          source: `data.sources` pictures of each figure, of the size that the networks were built for; with
            its mask as the fourth channel if `model.rgba`.
          source_keypoints: not used: PG2 does not see the source's pose.
          target_keypoints: in pixels of those pictures.

        Raises:
          ValueError: the pictures have another size, or there are more or fewer of them.
        """
        del source_keypoints
        size = source.shape[2:4]
        if size != self.stages[0].resolution:
            h, w = self.stages[0].resolution
            raise ValueError(f"PG2 was built for pictures of {h} x {w}, not {size[0]} x {size[1]}")
        coarse, refined = self._transferred(state, source, self.pose(target_keypoints, size))
        return jnp.clip(jnp.where(state.step > self.stages[0].stop, refined, coarse), -1, 1)

    def eval_step(self, state: TrainState, batch: Batch, key: jax.Array, stage: Stage) -> dict[str, Any]:
        """How far generated pictures are from the targets; see `metrics.transfer`.

        Also SSIM as PG2's code measures it; and, beside the refined pictures' numbers, the coarse ones'.
        """
        del key
        x = self.inputs(batch, stage.resolution)
        coarse, refined = self._transferred(state, x.source, x.target_pose)
        source = x.source[:, 0]
        out = refined if stage.name == REFINED else coarse
        measured = transfer.measure(out, x.target, source, batch, self.skeleton)
        unit = lambda pictures: jnp.clip((pictures[..., :3] + 1) / 2, 0, 1)
        given = {"": out, "/source": source}
        if stage.name == REFINED:
            given["/coarse"] = coarse
            for name in ("l1", "ssim"):
                measured[f"eval/{name}/coarse"] = getattr(images, name)(unit(coarse), unit(x.target))
        for part, pictures in given.items():
            measured[f"eval/ssim_pg2{part}"] = images.ssim_pg2(unit(pictures), unit(x.target))
        return measured

    def judged(self, state: TrainState, batch: Batch, key: jax.Array, stage: Stage) -> dict[str, jax.Array]:
        """What `judges` see: the refined pictures, while there are none the coarse ones."""
        del key
        x = self.inputs(batch, stage.resolution)
        coarse, refined = self._transferred(state, x.source, x.target_pose)
        out = refined if stage.name == REFINED else coarse
        return transfer.rows(out, x.target, x.source[:, 0], batch)

    def summarise(self, arrays: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Nothing: all metrics are means."""
        del arrays
        return {}

    def sample(self, state: TrainState, batch: Batch, key: jax.Array, stage: Stage) -> dict[str, jax.Array]:
        """Columns: the first source and its pose, the target's pose and the target, the coarse picture; then
        the refined one, and with `model.rgba` its mask.
        """
        del key
        x = self.inputs(batch, stage.resolution)
        coarse, refined = self._transferred(state, x.source, x.target_pose)
        limbs = self.skeleton.limb_indices
        drawn = lambda keypoints: draw.drawing(keypoints, limbs, stage.resolution)
        columns = {
            "source": x.source[:, 0, ..., :3],
            "source_pose": drawn(batch["source_keypoints"][:, 0]),
            "target_pose": drawn(batch["target_keypoints"]),
            "target": x.target[..., :3],
            "coarse": jnp.clip(coarse[..., :3], -1, 1),
        }
        out = coarse
        if stage.name == REFINED:
            out = refined
            columns["refined"] = jnp.clip(refined[..., :3], -1, 1)
        if self.config.model.rgba:
            columns["mask"] = jnp.repeat(jnp.clip(out[..., 3:], -1, 1), 3, axis=-1)
        return columns
