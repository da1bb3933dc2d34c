"""The feature network of `models/features.py`, trained to tell characters apart in any pose.

A batch of pairs (`data.pairs`) has two pictures each of many characters. Their vectors are drawn together and
those of other characters pushed apart by the supervised contrastive loss (Khosla et al. 2020, equation 2: the
mean over positives outside of the logarithm). Pictures are cut, scaled, mirrored, blurred and lit a little
differently by chance; hues stay as they are, since they tell characters apart.

What is measured: whether characters that training does not see are found by one picture among others.
"""

import jax
import jax.numpy as jnp
import ml_collections
import optax
from jaxtyping import Array, Float, UInt8

from anime_pt import losses, sharding
from anime_pt.metrics import identity
from anime_pt.models import features, layers
from anime_pt.recipe import Batch, OneStage, Unobserved
from anime_pt.state import Net, Player, TrainState


def make(config: ml_collections.ConfigDict) -> "FeaturesRecipe":
    """The recipe of a config such as `configs/features.py`."""
    return FeaturesRecipe(config)


class FeaturesRecipe(Unobserved):
    """See the module's docstring; its player is `features`."""

    notes = {
        "eval/loss": "contrastive loss within batches, without changes of the pictures",
        **{f"eval/{name}": note for name, note in identity.NOTES.items()},
    }

    def __init__(self, config: ml_collections.ConfigDict):
        self.config = ml_collections.FrozenConfigDict(config)
        (h, w), total = config.schedule.resolution, config.schedule.steps
        self._seen = tuple(config.schedule.seen)
        multiple = 2 ** (len(config.model.widths) - 1)
        for name, sides in (("resolution", (h, w)), ("seen", self._seen)):
            if any(side % multiple for side in sides):
                raise ValueError(f"schedule.{name} = {tuple(sides)}: use multiples of {multiple}")
        self.stages = (OneStage((h, w), config.schedule.batch_size, total),)
        c = config.optimizer
        rate = optax.warmup_cosine_decay_schedule(0.0, c.learning_rate, min(c.warmup_steps, total - 1), total)
        is_kernel = lambda params: jax.tree.map(lambda x: x.ndim > 1, params)
        self._tx = optax.adamw(rate, b1=c.b1, b2=c.b2, weight_decay=c.weight_decay, mask=is_kernel)

    def init(self, key: jax.Array) -> TrainState:
        def build(rngs):
            return features.Features(tuple(self.config.model.widths), self.config.model.embedding, rngs=rngs)

        player = Player.create(Net.create(build, key), self._tx, ema=True)
        return TrainState(jnp.int32(0), {"features": player})

    def pretrained(self, state: TrainState) -> TrainState:
        """The state as it is: training starts from chance."""
        return state

    def train_step(
        self, state: TrainState, batch: Batch, key: jax.Array, stage: OneStage
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """One update, from `source_image` (of several the first), `target_image` and `character`."""
        del stage
        pictures = jnp.concatenate([_source(batch), batch["target_image"]])
        images = self._varied(sharding.float_images(pictures), key)
        characters = jnp.tile(batch["character"], 2)
        player = state.players["features"]

        def loss_fn(params):
            (_, vectors), net = player.net.with_params(params)(images, train=True)
            return losses.supervised_contrastive(vectors, characters, self.config.temperature).mean(), net

        (loss, net), grads = jax.value_and_grad(loss_fn, has_aux=True)(player.net.params)
        player = player.update(grads, self._tx, net).update_ema(self.config.ema_decay)
        metrics = {"train/loss": loss, "train/gradient_norm": optax.tree.norm(grads)}
        return state.replace(step=state.step + 1, players={"features": player}), metrics

    def _varied(self, images: Float[Array, "b h w 3"], key: jax.Array) -> Float[Array, "b h2 w2 3"]:
        """Parts of pictures of the size that training sees, each changed by chance."""
        b, h, w, _ = images.shape
        zoom, place, mirror, light, blur = (jax.random.fold_in(key, i) for i in range(5))
        # From the whole picture made smaller, to a part at nearly its own size.
        fit = min(self._seen[0] / h, self._seen[1] / w)
        scale = fit * jnp.exp(jax.random.uniform(zoom, (b, 1), minval=-0.1, maxval=0.8))
        free = jnp.array(self._seen) - scale * jnp.array([h, w])
        shift = free * jax.random.uniform(place, (b, 2), minval=0.1, maxval=0.9)

        def cut(image, scale, shift):
            size = (*self._seen, 3)
            return jax.image.scale_and_translate(
                image, size, (0, 1), jnp.broadcast_to(scale, 2), shift, method="linear"
            )

        # Outside is 0: the paper is white.
        x = 1 - jax.vmap(cut)(1 - images, scale, shift)
        each = (b, 1, 1, 1)
        x = jnp.where(jax.random.bernoulli(mirror, 0.5, each), x[:, :, ::-1], x)
        gain, offset = jnp.split(jax.random.uniform(light, (b, 1, 1, 2), minval=-1.0), 2, -1)
        x = (x + 1) * (1 + 0.15 * gain) - 1 + 0.1 * offset
        share = jnp.maximum(jax.random.uniform(blur, each, minval=-1.0), 0)
        x = x + share * (layers.upsample(layers.mean_pool(x)) - x)
        return sharding.constrain_images(jnp.clip(x, -1, 1))

    def _both(self, state: TrainState, batch: Batch) -> tuple[Float[Array, "b d"], Float[Array, "b d"]]:
        """Vectors of the sources and of the targets, as they are."""
        net = state.players["features"].ema_net
        of = lambda pictures: net(sharding.float_images(pictures))[0][1]
        return of(_source(batch)), of(batch["target_image"])

    def eval_step(self, state: TrainState, batch: Batch, key: jax.Array, stage: OneStage) -> dict:
        """The loss, and rows for `summarise`."""
        del key, stage
        source, target = self._both(state, batch)
        characters = batch["character"]
        values = losses.supervised_contrastive(
            jnp.concatenate([source, target]), jnp.tile(characters, 2), self.config.temperature
        )
        rows = {"set/source": source, "set/target": target, "set/character": characters}
        return {"eval/loss": values.reshape(2, -1).mean(0), **rows}

    def summarise(self, arrays) -> dict[str, float]:
        """Targets looked up among the sources of all characters; see `metrics.identity`."""
        characters = arrays["set/character"]
        found = identity.retrieval(arrays["set/target"], characters, arrays["set/source"], characters)
        return {f"eval/{name}": value for name, value in found.items()}

    def sample(
        self, state: TrainState, batch: Batch, key: jax.Array, stage: OneStage
    ) -> dict[str, jax.Array]:
        """Columns: the target, the source of its character, and the source that is most alike."""
        del key, stage
        source, target = self._both(state, batch)
        best = (target @ source.T).argmax(1)
        pictures = sharding.float_images(_source(batch))
        return {
            "target": sharding.float_images(batch["target_image"]),
            "source": pictures,
            "most alike": pictures[best],
        }


def _source(batch: Batch) -> UInt8[Array, "b h w 3"]:
    """The first source of each pair."""
    sources = batch["source_image"]
    return sources[:, 0] if sources.ndim == 5 else sources
