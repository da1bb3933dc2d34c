"""PSGAN and ProGAN: a generator and a discriminator that grow together, trained with WGAN-GP.

Hamada et al. 2018 (PSGAN) and Karras et al. 2018 (ProGAN); the networks, and what the PSGAN paper leaves
open about them, are in `models/psgan.py`. Training follows the official ProGAN code, with the sizes and
rates of the PSGAN paper (section 4). One iteration is

1. the discriminator: `mean(fake - real + 10 (|gradient| - 1)^2 + 0.001 real^2)`, the gradient with respect
   to the image only, with one pose for both ends of the mix. Fakes have the poses of the batch's reals;
   no wrong-pose pairs (`mismatch_weights` adds them: not in the paper);
2. the moving average of the generator, before it moves;
3. the generator: `mean(-fake)`, with fresh latents and the poses of the same batch.

The first resolution trains for one phase of images; each further one fades in for a phase and stabilises
for a phase (the paper's "600k images per stage" read as ProGAN's two phases). Each resolution is one
stage and compiles once: the fade's `alpha` follows from the step. Adam's moments are cleared at both ends
of a fade, as in the official code. `alpha` moves every iteration, where the official code reads its
schedule every fourth. Images are not mirrored. Its Adam adds epsilon before the bias correction, optax
after: with 1e-8 no difference shows.

The parameters of resolutions not yet reached get zero gradients, and with Adam's b1 = 0 stay as they are.
"""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from jaxtyping import Array, Float

from anime_pt import losses, schedules, sharding
from anime_pt.models import psgan
from anime_pt.pose import draw, maps, skeletons
from anime_pt.recipe import Batch, Unobserved
from anime_pt.state import Net, Player, TrainState

_FIXED_LATENTS = 0  # Seed: the sheets and evaluations of all runs show the same latents.


@dataclasses.dataclass(frozen=True)
class Stage:
    """One resolution; see `recipe.Stage`.

    Attributes:
      fade_steps: steps from `start` on in which the newest blocks fade in; 0 in the first stage.
      learning_rate: of both Adams.
      mismatch_weight: share of real images with wrong poses among the discriminator's fakes.
    """

    name: str
    start: int
    stop: int
    resolution: tuple[int, int]
    batch_size: int
    learning_rate: float
    fade_steps: int
    mismatch_weight: float


def make_stages(schedule: ml_collections.ConfigDict) -> tuple[Stage, ...]:
    """The stage table.

    Args:
      schedule: `resolutions`, consecutive powers of two, and for each of them its `batch_sizes`,
        `learning_rates`, `fade_images`, `stable_images` and `mismatch_weights`. Images become steps by
        rounding up.

    Raises:
      ValueError: lists of different lengths, resolutions that do not double, or a fade in the first stage.
    """
    resolutions = tuple(schedule.resolutions)
    columns = {
        name: tuple(schedule[name])
        for name in ("batch_sizes", "learning_rates", "fade_images", "stable_images", "mismatch_weights")
    }
    for name, column in columns.items():
        if len(column) != len(resolutions):
            raise ValueError(
                f"schedule.{name} has {len(column)} entries for {len(resolutions)} resolutions {resolutions}"
            )
    if not resolutions or resolutions != psgan.resolutions(resolutions[-1], resolutions[0]):
        raise ValueError(f"schedule.resolutions must double from one to the next; got {resolutions}")
    if columns["fade_images"][0]:
        raise ValueError(
            "schedule.fade_images must start with 0: the first resolution has nothing to fade from"
        )
    stages, start = [], 0
    for r, batch_size, rate, fade, stable, mismatch in zip(resolutions, *columns.values(), strict=True):
        fade_steps = -(-fade // batch_size)
        stop = start + fade_steps + -(-stable // batch_size)
        stages.append(Stage(f"{r}x{r}", start, stop, (r, r), batch_size, rate, fade_steps, mismatch))
        start = stop
    return tuple(stages)


def make(config: ml_collections.ConfigDict) -> "PSGAN":
    """The recipe of a config such as `configs/psgan.py`."""
    return PSGAN(config)


class PSGAN(Unobserved):
    """See the module's docstring; players `generator` (with a moving average) and `discriminator`."""

    def __init__(self, config: ml_collections.ConfigDict):
        self.config = ml_collections.FrozenConfigDict(config)
        self.skeleton = skeletons.named(config.skeleton)
        if config.model.pose_channels not in (0, len(self.skeleton)):
            raise ValueError(
                f"model.pose_channels = {config.model.pose_channels}: use {len(self.skeleton)}, "
                f"the keypoints of {config.skeleton}, or 0 for ProGAN"
            )
        if config.pose_map.kind not in ("pixel", "gaussian"):
            raise ValueError(f"pose_map.kind = {config.pose_map.kind!r}: use 'pixel' or 'gaussian'")
        self.stages = make_stages(config.schedule)
        if self.stages[-1].resolution[0] > config.model.resolution:
            raise ValueError(
                f"the schedule reaches {self.stages[-1].name}, the model only {config.model.resolution}"
            )

    def init(self, key: jax.Array) -> TrainState:
        generator_key, discriminator_key = jax.random.split(key)
        model = self.config.model
        shared = dict(pose_channels=model.pose_channels, fmap_base=model.fmap_base, fmap_max=model.fmap_max)

        def generator(rngs):
            return psgan.Generator(model.resolution, latent_size=model.latent_size, **shared, rngs=rngs)

        def discriminator(rngs):
            group = model.stddev_group_size or None
            return psgan.Discriminator(model.resolution, stddev_group_size=group, **shared, rngs=rngs)

        tx = self.optimizer(self.stages[0])
        return TrainState(
            jnp.int32(0),
            {
                "generator": Player.create(Net.create(generator, generator_key), tx, ema=True),
                "discriminator": Player.create(Net.create(discriminator, discriminator_key), tx),
            },
        )

    def pretrained(self, state: TrainState) -> TrainState:
        """The state as it is: nothing is read from files."""
        return state

    def optimizer(self, stage: Stage) -> optax.GradientTransformation:
        """Adam; the state has the same form in all stages."""
        c = self.config.optimizer
        return optax.adam(stage.learning_rate, b1=c.b1, b2=c.b2, eps=c.eps)

    def alpha(self, step: Array, stage: Stage) -> Float[Array, ""]:
        """Weight of the stage's newest blocks."""
        return schedules.ramp(step, stage.start, stage.fade_steps)

    def pose(self, keypoints: Float[Array, "b k 3"], stage: Stage) -> psgan.PosePyramid:
        """The pose pyramid of keypoints in pixels of the stage's images; {} for ProGAN."""
        if not self.config.model.pose_channels:
            return {}
        c, resolution = self.config.pose_map, stage.resolution[0]
        if c.kind == "gaussian":
            # Drawn at the last resolution, so that a level of the pyramid is the same in all stages.
            pose = maps.gaussian_pose_map(
                keypoints,
                self.config.model.resolution,
                sigma=c.sigma,
                size=stage.resolution,
                visible_only=c.visible_only,
            )
        else:
            pose = maps.pose_map(keypoints, resolution, visible_only=c.visible_only)
        pyramid = maps.pose_pyramid(pose)
        return {r: sharding.constrain_images(p) for r, p in pyramid.items() if r <= resolution}

    def train_step(
        self, state: TrainState, batch: Batch, key: jax.Array, stage: Stage
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """One iteration; the batch has `image` (b, r, r, 3) uint8 and `keypoints` (b, k, 3) in its pixels."""
        resolution = stage.resolution[0]
        alpha = self.alpha(state.step, stage)
        pose = self.pose(batch["keypoints"], stage)
        real = psgan.fade_reals(sharding.float_images(batch["image"]), alpha)
        d_key, mix_key, g_key = jax.random.split(key, 3)
        shape = (real.shape[0], self.config.model.latent_size)
        tx = self.optimizer(stage)
        boundary = (state.step == stage.start) | (state.step == stage.start + stage.fade_steps)
        generator, discriminator = (
            clear_moments(state.players[name], tx, boundary) for name in ("generator", "discriminator")
        )

        def generate(net, key):
            fake, _ = net(jax.random.normal(key, shape), pose, resolution, alpha)
            return sharding.constrain_images(fake)

        fake = generate(generator.net, d_key)
        mix = jax.random.uniform(mix_key, shape[:1])
        grads, metrics = jax.grad(self._discriminator_loss, has_aux=True)(
            discriminator.net.params, discriminator.net, real, fake, pose, mix, alpha, stage
        )
        discriminator = discriminator.update(grads, tx)
        generator = generator.update_ema(self.config.ema_decay)

        def generator_loss(params):
            logits, _ = discriminator.net(
                generate(generator.net.with_params(params), g_key), pose, resolution, alpha
            )
            return losses.wasserstein_generator(logits)

        loss, grads = jax.value_and_grad(generator_loss)(generator.net.params)
        generator = generator.update(grads, tx)

        metrics |= {
            "train/generator_loss": loss,
            "train/alpha": alpha,
            "train/images_seen": self._images_seen(state.step + 1, stage),
        }
        players = {"generator": generator, "discriminator": discriminator}
        return state.replace(step=state.step + 1, players=players), metrics

    def _discriminator_loss(self, params, net: Net, real, fake, pose, mix, alpha, stage: Stage):
        resolution = stage.resolution[0]

        def critic(images, pose=pose):
            return net.with_params(params)(images, pose, resolution, alpha)[0]

        real_logits, fake_logits = critic(real), critic(fake)
        metrics = {"train/real_logits": real_logits.mean(), "train/fake_logits": fake_logits.mean()}
        share = stage.mismatch_weight
        if share:
            # Reals of other poses. The gradient penalty must bound the critic towards them too: without,
            # its logits run away. They have a call of their own, since among the fakes they would lend
            # these their minibatch stddev.
            other = jnp.roll(real, 1, axis=0)
            mismatch_logits = critic(other)
            metrics["train/mismatch_logits"] = mismatch_logits.mean()
            fake_logits = (1 - share) * fake_logits + share * mismatch_logits
            every_second = (jnp.arange(real.shape[0]) % 2 == 0)[:, None, None, None]
            fake = jnp.where(every_second, other, fake)
        penalty = losses.gradient_penalty(critic, real, fake, mix)
        loss = losses.wasserstein_discriminator(real_logits, fake_logits, self.config.drift)
        loss += self.config.gradient_penalty_weight * penalty
        metrics |= {"train/gradient_penalty": penalty, "train/discriminator_loss": loss}
        return loss, metrics

    def _images_seen(self, step: Array, stage: Stage) -> Float[Array, ""]:
        before = sum((s.stop - s.start) * s.batch_size for s in self.stages if s.stop <= stage.start)
        return jnp.float32(before) + (step - stage.start) * jnp.float32(stage.batch_size)

    def _fixed_latents(self, count: int) -> Float[Array, "n z"]:
        return jax.random.normal(jax.random.key(_FIXED_LATENTS), (count, self.config.model.latent_size))

    def eval_step(
        self, state: TrainState, batch: Batch, key: jax.Array, stage: Stage
    ) -> dict[str, jax.Array]:
        """Does the silhouette of a generated image follow the pose?

        Images are made by the averaged generator with fixed latents for the batch's keypoints. Their
        foreground is where a channel is farther than `config.foreground_threshold` from white.

        Returns:
          eval/iou: with the real silhouette of that pose; characters differ, so 1 is out of reach.
          eval/iou_wrong_pose: with the silhouette of another example, half the batch away.
          eval/iou_margin: the difference; 0 for a generator that does not look at the pose.
        """
        del key
        real = batch["mask"][..., 0] > 127
        count = real.shape[0]
        alpha = self.alpha(state.step, stage)
        pose = self.pose(batch["keypoints"], stage)
        fake, _ = state.players["generator"].ema_net(
            self._fixed_latents(count), pose, stage.resolution[0], alpha
        )
        foreground = jnp.abs(fake - 1).max(-1) > self.config.foreground_threshold
        # Padding, with weight 0, is at the end and must not be anybody's other example.
        filled = jnp.maximum((batch["weight"] > 0).sum(), 1)
        other = jnp.take(real, (jnp.arange(count) + filled // 2) % filled, axis=0)
        iou, wrong = intersection_over_union(foreground, real), intersection_over_union(foreground, other)
        return {"eval/iou": iou, "eval/iou_wrong_pose": wrong, "eval/iou_margin": iou - wrong}

    def summarise(self, arrays: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Nothing: no metric here is of a whole set."""
        return {}

    def generate(
        self,
        net: Net,
        latents: Float[Array, "b z"],
        keypoints: Float[Array, "b k 3"],
        step: int,
        stage: Stage,
    ) -> Float[Array, "b r r 3"]:
        """Images of latents in poses by the network of `step`; keypoints in pixels of the stage's images."""
        pose = self.pose(keypoints, stage)
        images, _ = net(latents, pose, stage.resolution[0], self.alpha(jnp.int32(step), stage))
        return images

    def sample(self, state: TrainState, batch: Batch, key: jax.Array, stage: Stage) -> dict[str, jax.Array]:
        """A sheet of one pose per row and one latent per column.

        Returns:
          pose: the skeleton asked for (not for ProGAN).
          real: the image that the pose comes from.
          sample_0, sample_1, ...: `config.sample_latents` images by the averaged generator. (Sorted by name,
            as jit returns them, the columns come in this order.)
        """
        del key
        resolution = stage.resolution[0]
        columns = {}
        if self.config.model.pose_channels:
            columns["pose"] = draw.draw_skeleton(
                batch["keypoints"],
                self.skeleton.limb_indices,
                resolution,
                visible_only=self.config.pose_map.visible_only,
            )
        columns["real"] = sharding.float_images(batch["image"])
        pose = self.pose(batch["keypoints"], stage)
        alpha = self.alpha(state.step, stage)
        count = columns["real"].shape[0]
        for i, latent in enumerate(self._fixed_latents(self.config.sample_latents)):
            latents = jnp.broadcast_to(latent, (count, *latent.shape))
            images, _ = state.players["generator"].ema_net(latents, pose, resolution, alpha)
            columns[f"sample_{i}"] = jnp.clip(images, -1, 1)
        return columns


def clear_moments(player: Player, tx: optax.GradientTransformation, clear: Array) -> Player:
    """The player, with a fresh optimizer state where `clear` is true."""
    fresh = tx.init(player.net.params)
    opt = jax.tree.map(lambda new, old: jnp.where(clear, new, old), fresh, player.opt)
    return dataclasses.replace(player, opt=opt)


def intersection_over_union(a: Array, b: Array) -> Float[Array, " b"]:
    """Per example, of boolean masks (b, h, w); 1 where both are empty."""
    union = (a | b).sum((1, 2))
    return jnp.where(union > 0, (a & b).sum((1, 2)) / jnp.maximum(union, 1), 1.0)
