"""Pose transfer trained as PATN: a generator between an appearance and a shape discriminator.

Zhu et al.: "Progressive pose attention transfer for person image generation" (CVPR 2019); the networks are in
`models/patn.py`. Training follows the public code (tengteng95/Pose-Transfer, branch pytorch_v1.0,
`models/PATN.py`). One iteration is

1. the generator: `lambda_A * L1 + lambda_B * perceptual + lambda_GAN * (c(D_PP, 1) + c(D_PB, 1)) / 2`;
2. D_PP, `discriminator_steps` times (`DG_ratio`): `lambda_GAN * (c(real, 1) + c(fake, 0)) / 2`;
3. D_PB, likewise.

The discriminators see the picture made before the generator moved, or one of the last `loss.pool_size` (see
`pool`), beside what it must agree with. Their batch normalisations see three batches in an iteration: the
generator's pictures, real ones, the pool's. c is, by `loss.adversarial`:

- "cross_entropy" of sigmoids, the code's on Market-1501 (`--no_lsgan`);
- "least_squares", the code's on DeepFashion, and Tan's;
- "product": the paper's text, cross-entropy of the product of both probabilities, without halves, where the
  code adds losses. Both discriminators take their step together, and there is no pool, which would give them
  different pictures.

| here | paper | code |
|---|---|---|
| source and target image | P_c, P_t | P1, P2 |
| source and target pose maps | S_c, S_t | BP1, BP2 |
| appearance discriminator | D_A, R^A | D_PP |
| shape discriminator | D_S, R^S | D_PB |

Three Adams; their rate falls from epoch to epoch (`schedules.linear_decline`), where an epoch is a number of
pairs. Under several devices batch normalisation sees the whole batch.

The perceptual loss is the code's if `loss.vgg` names a file of VGG-19's weights; see `perceptual`.

Optional, and off in the paper's forms: a moving average of the generator (`ema_decay`), several sources (the
appearance discriminator sees the first), a copy path (`model.copy`), a fourth channel with the figure's mask
(`model.rgba`), a plain U-Net in the generator's place (`model.generator`).
"""

import dataclasses
import functools
import pathlib
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from jaxtyping import Array, Float

from anime_pt import losses, perceptual, pool, schedules, sharding
from anime_pt.convert import npz, torch_files
from anime_pt.convert import patn as convert
from anime_pt.metrics import transfer
from anime_pt.models import patn, unet
from anime_pt.pose import draw, maps, skeletons
from anime_pt.recipe import Batch, OneStage, Unobserved, pair_images
from anime_pt.state import Net, Player, RememberingState, Tree

_ADVERSARIAL = {
    "cross_entropy": losses.binary_cross_entropy,
    "least_squares": losses.least_squares,
    "product": None,
}
_GENERATORS = ("patn", "unet")
_POSE_MAPS = ("gaussian", "impulse")
# Which parameters see pose maps, and so know joints by their order.
_KNOWS_JOINTS = re.compile(r"(pose_encoder/unit0|down/level0)/")
APPEARANCE, SHAPE = "appearance_discriminator", "shape_discriminator"


class Inputs(NamedTuple):
    """A batch as the networks take it: images in [-1, 1], maps in [0, 1]."""

    source: Float[Array, "b n h w c"]
    source_pose: Float[Array, "b n h w k"]
    target: Float[Array, "b h w c"]
    target_pose: Float[Array, "b h w k"]

    def condition(self, discriminator: str) -> Float[Array, "b h w _"]:
        """What a discriminator sees beside the picture."""
        return self.source[:, 0] if discriminator == APPEARANCE else self.target_pose


def make(config: ml_collections.ConfigDict) -> "PATN":
    """The recipe of a config such as `configs/patn.py`."""
    return PATN(config)


class PATN(Unobserved):
    """See the module's docstring.

    Players: `generator`, `appearance_discriminator`, `shape_discriminator`, and `features`, which is not
    trained, if there is a perceptual loss.
    """

    # Whose networks `transfer` asks for.
    transfer_players = ("generator",)
    start_files = ("init.weights", "loss.vgg")

    def __init__(self, config: ml_collections.ConfigDict):
        self.config = ml_collections.FrozenConfigDict(config)
        self.skeleton = skeletons.named(config.skeleton)
        for name, known in (
            ("loss.adversarial", _ADVERSARIAL),
            ("model.generator", _GENERATORS),
            ("pose_map.kind", _POSE_MAPS),
        ):
            group, field = name.split(".")
            if config[group][field] not in known:
                raise ValueError(f"{name} = {config[group][field]!r}: use {', '.join(known)}")
        if config.loss.adversarial == "product" and config.loss.pool_size:
            raise ValueError(
                f"loss.pool_size = {config.loss.pool_size}: with loss.adversarial = 'product' both "
                "discriminators judge the same picture; set it to 0"
            )
        if config.model.copy and config.model.generator != "patn":
            raise ValueError(f"model.copy: the generator {config.model.generator!r} has no copy path")
        c = config.schedule
        self._steps_per_epoch = -(-c.pairs_per_epoch // c.batch_size)
        steps = (c.keep_epochs + c.decay_epochs) * self._steps_per_epoch
        self.stages = (OneStage(tuple(c.resolution), c.batch_size, steps),)
        self.channels = 4 if config.model.rgba else 3
        self.notes = transfer.notes(config.model.rgba)

    def init(self, key: jax.Array) -> RememberingState:
        c, k = self.config, len(self.skeleton)
        keys = dict(zip(("generator", APPEARANCE, SHAPE, "features"), jax.random.split(key, 4), strict=True))
        beside = {APPEARANCE: self.channels, SHAPE: k}

        def discriminator(name, rngs):
            channels = self.channels + beside[name]
            m = c.model
            return patn.Discriminator(
                channels, m.ndf, blocks=m.discriminator_blocks, norm=m.norm, dropout=m.dropout, rngs=rngs
            )

        adam = self._adam(0.0)
        net = Net.create(self._generator, keys["generator"])
        players = {"generator": Player.create(net, adam, ema=bool(c.ema_decay))}
        for name in beside:
            net = Net.create(functools.partial(discriminator, name), keys[name])
            players[name] = Player.create(net, adam)
        if c.loss.lambda_B:
            players["features"] = Player.create(perceptual.create(c.loss.vgg, keys["features"]))
        size, (h, w) = c.loss.pool_size, self.stages[0].resolution
        pools = {n: pool.create(size, (h, w, self.channels + beside[n])) for n in beside} if size else {}
        return RememberingState(jnp.int32(0), players, pools)

    def _generator(self, rngs):
        m, k = self.config.model, len(self.skeleton)
        if m.generator == "unet":
            return unet.Generator(
                k,
                channels=self.channels,
                features=m.ngf,
                levels=m.levels,
                norm=m.norm,
                dropout=m.dropout,
                rngs=rngs,
            )
        return patn.Generator(
            k,
            m.ngf,
            blocks=m.blocks,
            norm=m.norm,
            image_channels=self.channels,
            dropout=m.dropout,
            fusion=m.fusion,
            copy=self.skeleton.limb_indices if m.copy else (),
            rngs=rngs,
        )

    def pretrained(self, state: RememberingState) -> RememberingState:
        """The network of the perceptual loss, and the weights that `config.init.weights` names.

        Those are a file that `python -m anime_pt.weights` wrote, or `..._net_netG.pth` of the public code; if
        `..._net_netD_PP.pth` and `..._net_netD_PB.pth` are beside it, they are taken, too.

        Raises:
          OSError: a file cannot be read.
          ValueError: it is no such file, or of another network; or the perceptual loss has none.
        """
        c, players = self.config, dict(state.players)
        if c.loss.lambda_B:
            player = players["features"]
            players["features"] = dataclasses.replace(player, net=perceptual.loaded(c.loss.vgg, player.net))
        if c.init.weights:
            for name, net in self._start(players, c.init.weights).items():
                ema = players[name].ema
                # A copy, since donated buffers must not be shared.
                ema = None if ema is None else jax.tree.map(jnp.array, net.params)
                players[name] = dataclasses.replace(players[name], net=net, ema=ema)
        return state.replace(players=players)

    def _start(self, players: Mapping[str, Player], path: str) -> dict[str, Net]:
        """Networks that start from files, by player."""
        generator = players["generator"].net
        if path.endswith(".npz"):
            return {"generator": npz.start_from(generator, path, self.skeleton.name, _KNOWS_JOINTS)}
        if self.config.model.generator != "patn":
            raise ValueError(f"{path}: files of PyTorch's are PATN's, and model.generator is another")
        generator, kept = _of_public(path, functools.partial(convert.start_generator, generator))
        npz.report(path, kept)
        out = {"generator": generator}
        for name, of in ((APPEARANCE, "netD_PP"), (SHAPE, "netD_PB")):
            beside = pathlib.Path(path.replace("netG", of))
            if "netG" in path and beside.is_file():
                params, stats = _of_public(beside, convert.load_discriminator)
                net = Net(params, stats, players[name].net.structure)
                if _fits(net, players[name].net):
                    npz.report(beside, [])
                    out[name] = net
        return out

    def _adam(self, rate: float | Float[Array, ""]) -> optax.GradientTransformation:
        c = self.config.optimizer
        return optax.chain(optax.scale_by_adam(c.b1, c.b2, c.eps), optax.scale(-rate))

    def rate(self, step: Array) -> Float[Array, ""]:
        """The learning rate of the update that follows `step` ones."""
        c = self.config.schedule
        factor = schedules.linear_decline(step, self._steps_per_epoch, c.keep_epochs, c.decay_epochs)
        return self.config.optimizer.learning_rate * factor

    def pose(self, keypoints: Float[Array, "*b k 3"], size: tuple[int, int]) -> Float[Array, "*b h w k"]:
        """Maps of keypoints in pixels of images of that height and width."""
        if self.config.pose_map.kind == "impulse":
            return sharding.constrain_images(maps.impulses(keypoints, size))
        return sharding.constrain_images(maps.gaussians(keypoints, size, self.config.pose_map.sigma))

    def inputs(self, batch: Batch, size: tuple[int, int]) -> Inputs:
        """See `Inputs`."""
        sides = ("source", "target")
        source, target = (pair_images(batch, side, self.config.model.rgba) for side in sides)
        source_pose, target_pose = (self.pose(batch[f"{side}_keypoints"], size) for side in sides)
        return Inputs(source, source_pose, target, target_pose)

    def train_step(
        self, state: RememberingState, batch: Batch, key: jax.Array, stage: OneStage
    ) -> tuple[RememberingState, dict[str, jax.Array]]:
        """One iteration; the batch is one of pairs, see `data.pairs`."""
        x = self.inputs(batch, stage.resolution)
        adam = self._adam(self.rate(state.step))
        generator_key, *keys = jax.random.split(key, 1 + self.config.discriminator_steps)
        players, pools = dict(state.players), dict(state.memory)

        loss_fn = functools.partial(self._generator_loss, players, x, generator_key)
        grads, (fake, nets, metrics) = jax.grad(loss_fn, has_aux=True)(players["generator"].net.params)
        players["generator"] = players["generator"].update(grads, adam, nets.pop("generator"))
        if self.config.ema_decay:
            players["generator"] = players["generator"].update_ema(self.config.ema_decay)
        for name, net in nets.items():
            players[name] = dataclasses.replace(players[name], net=net)

        fake = jax.lax.stop_gradient(fake)
        if self.config.loss.adversarial == "product":
            for k in keys:
                metrics |= self._both_discriminators(players, x, fake, k, adam)
        else:
            for name in (APPEARANCE, SHAPE):
                for k in keys:
                    k = jax.random.fold_in(k, name == SHAPE)
                    metrics |= self._discriminator(players, pools, name, x, fake, k, adam)
        metrics["train/rate"] = self.rate(state.step)
        state = state.replace(step=state.step + 1, players=players, memory=pools)
        return state, metrics

    def _generator_loss(self, players: Mapping[str, Player], x: Inputs, key: jax.Array, params: Tree):
        """Loss; and the picture, all networks after the pass, and metrics."""
        c = self.config.loss
        keys = dict(zip(("generator", APPEARANCE, SHAPE), jax.random.split(key, 3), strict=True))
        nets, logits = {}, {}
        fake, nets["generator"] = players["generator"].net.with_params(params)(
            x.source, x.source_pose, x.target_pose, train=True, key=keys["generator"]
        )
        fake = sharding.constrain_images(fake)
        for name in (APPEARANCE, SHAPE):
            logits[name], nets[name] = players[name].net(fake, x.condition(name), train=True, key=keys[name])
        if c.adversarial == "product":
            adversarial = losses.product_cross_entropy(logits[APPEARANCE], logits[SHAPE], True)
        else:
            adversarial = sum(_ADVERSARIAL[c.adversarial](v, True) for v in logits.values()) / 2
        l1 = losses.l1(fake, x.target)
        loss = c.lambda_GAN * adversarial + c.lambda_A * l1
        metrics = {"train/adversarial_loss": adversarial, "train/l1": l1}
        if c.lambda_B:
            far = perceptual.loss(players["features"].net, fake, x.target)
            loss += c.lambda_B * far
            metrics["train/perceptual_loss"] = far
        return loss, (fake, nets, metrics | {"train/generator_loss": loss})

    def _discriminator(
        self,
        players: dict[str, Player],
        pools: dict[str, Any],
        name: str,
        x: Inputs,
        fake: Float[Array, "b h w c"],
        key: jax.Array,
        adam: optax.GradientTransformation,
    ) -> dict[str, jax.Array]:
        """One step of a discriminator; replaces its player and its pool, and returns metrics."""
        c = self.config.loss
        pool_key, real_key, fake_key = jax.random.split(key, 3)
        condition = x.condition(name)
        seen = condition
        if name in pools:
            both = jnp.concatenate([fake, condition], axis=-1)
            both, pools[name] = pool.query(pools[name], both, pool_key)
            both = sharding.constrain_images(both)
            fake, seen = both[..., : self.channels], both[..., self.channels :]

        def loss_fn(params):
            net = players[name].net.with_params(params)
            real_logits, net = net(x.target, condition, train=True, key=real_key)
            fake_logits, net = net(fake, seen, train=True, key=fake_key)
            criterion = _ADVERSARIAL[c.adversarial]
            loss = c.lambda_GAN * (criterion(real_logits, True) + criterion(fake_logits, False)) / 2
            return loss, net

        (loss, net), grads = jax.value_and_grad(loss_fn, has_aux=True)(players[name].net.params)
        players[name] = players[name].update(grads, adam, net)
        return {f"train/{name}_loss": loss}

    def _both_discriminators(
        self,
        players: dict[str, Player],
        x: Inputs,
        fake: Float[Array, "b h w c"],
        key: jax.Array,
        adam: optax.GradientTransformation,
    ) -> dict[str, jax.Array]:
        """One step of both discriminators against the product of their scores."""
        names = (APPEARANCE, SHAPE)

        def loss_fn(params):
            nets = {n: players[n].net.with_params(params[n]) for n in names}
            loss = 0.0
            for real, k in ((True, key), (False, jax.random.fold_in(key, 1))):
                logits = {}
                for number, n in enumerate(names):
                    logits[n], nets[n] = nets[n](
                        x.target if real else fake,
                        x.condition(n),
                        train=True,
                        key=jax.random.fold_in(k, 2 + number),
                    )
                loss += losses.product_cross_entropy(logits[APPEARANCE], logits[SHAPE], real)
            return self.config.loss.lambda_GAN * loss, nets

        params = {n: players[n].net.params for n in names}
        (loss, nets), grads = jax.value_and_grad(loss_fn, has_aux=True)(params)
        for n in names:
            players[n] = players[n].update(grads[n], adam, nets[n])
        return {"train/discriminator_loss": loss}

    def transfer(
        self,
        state: RememberingState,
        source: Float[Array, "b n h w c"],
        source_keypoints: Float[Array, "b n k 3"],
        target_keypoints: Float[Array, "b k 3"],
        fine: Float[Array, "b n h2 w2 c"] | None = None,
    ) -> Float[Array, "b h w c"]:
        """The sources' figure in another pose, by the averaged generator; images in [-1, 1].

        Args:
          state: any whose players have the `generator`.
          source: one picture or more of each figure; with its mask as the fourth channel if `model.rgba`.
          source_keypoints, target_keypoints: in pixels of pictures of that size.
          fine: the sources at a multiple of their size, which the result has, too: its copy path takes the
            detail from there.

        Raises:
          ValueError: there is no copy path for `fine`.
        """
        size = source.shape[2:4]
        source_pose, target_pose = self.pose(source_keypoints, size), self.pose(target_keypoints, size)
        if fine is not None and not self.config.model.copy:
            raise ValueError("only a network with a copy path takes detail from larger sources")
        inputs = (source, source_pose, target_pose, *(() if fine is None else (fine,)))
        return state.players["generator"].ema_net(*inputs, train=False)[0]

    def _transferred(self, state: RememberingState, batch: Batch, size: tuple[int, int]):
        """A batch as it goes in, and what comes out."""
        x = self.inputs(batch, size)
        return x, self.transfer(state, x.source, batch["source_keypoints"], batch["target_keypoints"])

    def eval_step(
        self, state: RememberingState, batch: Batch, key: jax.Array, stage: OneStage
    ) -> dict[str, Any]:
        """How far generated pictures are from the targets; see `metrics.transfer`."""
        del key
        x, out = self._transferred(state, batch, stage.resolution)
        return transfer.measure(out, x.target, x.source[:, 0], batch, self.skeleton)

    def judged(
        self, state: RememberingState, batch: Batch, key: jax.Array, stage: OneStage
    ) -> dict[str, jax.Array]:
        """What `judges` see."""
        del key
        x, out = self._transferred(state, batch, stage.resolution)
        return transfer.rows(out, x.target, x.source[:, 0], batch)

    def summarise(self, arrays: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Nothing: all metrics are means."""
        del arrays
        return {}

    def sample(
        self, state: RememberingState, batch: Batch, key: jax.Array, stage: OneStage
    ) -> dict[str, jax.Array]:
        """Columns: the first source and its pose, the target's pose and the target, what is made of them.

        With `model.rgba` its mask, too.
        """
        del key
        x, out = self._transferred(state, batch, stage.resolution)
        limbs = self.skeleton.limb_indices
        drawn = lambda keypoints: draw.drawing(keypoints, limbs, stage.resolution)
        columns = {
            "source": x.source[:, 0, ..., :3],
            "source_pose": drawn(batch["source_keypoints"][:, 0]),
            "target_pose": drawn(batch["target_keypoints"]),
            "target": x.target[..., :3],
            "output": out[..., :3],
        }
        if self.config.model.rgba:
            columns["output_mask"] = jnp.repeat(out[..., 3:], 3, axis=-1)
        return columns


def _of_public(path: str | pathlib.Path, load: Callable[[convert.Weights], Any]) -> Any:
    """What `load` makes of a file of the public code's; it knows no paths, so they are told here."""
    weights = torch_files.read_state_dict(path)
    try:
        return load(weights)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _fits(net: Net, other: Net) -> bool:
    shapes = lambda n: jax.tree.map(np.shape, (n.params, n.stats))
    return shapes(net) == shapes(other)
