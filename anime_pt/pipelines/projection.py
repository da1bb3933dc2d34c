"""Pose transfer by a network that knows no sources: the latent that draws the character is looked for.

PSGAN makes pictures of a latent and a pose. A latent is fitted by gradient descent so that the network draws
the source pictures in their own poses; then the same latent is drawn in the pose wanted. The PSGAN paper does
not do this; it is how pictures are projected into a generator (Karras et al. 2020, appendix D), without their
noise maps, which this network does not have. Several random beginnings are fitted at once, since many end far
from the picture, and the one that ends nearest is taken.

The descent is a loop on the host around one compiled step: the gradients of convolutions inside a loop of
XLA's are tens of times slower on CPUs.
"""

import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from anime_pt import perceptual
from anime_pt.state import Net

# Weight of the package's perceptual loss beside the mean absolute difference; 0 does without.
PERCEPTUAL = 1.0


def possible(algorithm: Any) -> bool:
    """Whether a recipe's network makes pictures of latents and poses."""
    return hasattr(algorithm, "generate") and algorithm.config.model.get("pose_channels", 0) > 0


class Projector:
    """A generator as a function of pictures and poses. A source is projected once, then remembered.

    Everything follows from the seed and the pictures: whatever else is in a batch changes nothing.
    """

    def __init__(
        self,
        algorithm: Any,
        net: Net,
        step: int,
        stage: Any,
        *,
        starts: int = 4,
        iterations: int = 150,
        rate: float = 0.1,
        seed: int = 0,
    ):
        """Prepares the descent.

        Args:
          algorithm: a recipe for which `possible`.
          net: its generator.
          step, stage: of the network.
          starts: random beginnings of each character.
          iterations: steps of the descent.
          rate: of Adam, falling to 0 by a cosine.
          seed: of the beginnings.
        """
        self._size = algorithm.config.model.latent_size
        self._starts, self._iterations, self._seed = starts, iterations, seed
        self._known: dict[str, np.ndarray] = {}
        self._tx = optax.adam(optax.cosine_decay_schedule(rate, iterations), b1=0.9, b2=0.99)
        weight = PERCEPTUAL
        seen_by = perceptual.loaded("", perceptual.create("", jax.random.key(0))) if weight else None
        nets = (net, seen_by)

        def draw(nets, latents, keypoints):
            return algorithm.generate(nets[0], latents, keypoints, step, stage)

        def distances(nets, latents: Float[Array, "s z"], images, keypoints) -> Float[Array, " s"]:
            starts, count = len(latents), len(images)
            # Every beginning draws all pictures of the character.
            drawn = draw(nets, jnp.repeat(latents, count, 0), jnp.tile(keypoints, (starts, 1, 1)))
            wanted = jnp.tile(images, (starts, 1, 1, 1))
            apart = jnp.abs(drawn - wanted).mean((1, 2, 3))
            if weight:
                one = lambda a, b: perceptual.loss(nets[1], a[None], b[None])
                apart += weight * jax.vmap(one)(drawn, wanted)
            return apart.reshape(starts, count).mean(-1)

        def descend(nets, latents, state, images, keypoints):
            grads = jax.grad(lambda z: distances(nets, z, images, keypoints).sum())(latents)
            updates, state = self._tx.update(grads, state)
            moved = latents + updates
            # The network looks at directions alone; without this, steps would become smaller and smaller.
            return moved / jnp.sqrt(jnp.mean(moved**2, -1, keepdims=True)), state

        run = {
            name: jax.jit(f) for name, f in (("draw", draw), ("distances", distances), ("descend", descend))
        }
        self._draw = lambda *a: jnp.clip(run["draw"](nets, *a), -1, 1)
        self._distances = lambda *a: run["distances"](nets, *a)
        self._descend = lambda *a: run["descend"](nets, *a)

    def __call__(
        self,
        images: Float[np.ndarray, "b n h w 3"],
        own: Float[np.ndarray, "b n k 3"],
        poses: Float[np.ndarray, "b k 3"],
    ) -> Float[Array, "b h w 3"]:
        """Pictures in [-1, 1] of characters in poses, each by its n sources; see `recipes.patn.transfer`.

        Args:
          images: in [-1, 1].
          own: joints in their pixels.
          poses: likewise.
        """
        return self._draw(self.latents(images, own), np.asarray(poses, np.float32))

    def latents(
        self, images: Float[np.ndarray, "b n h w 3"], own: Float[np.ndarray, "b n k 3"]
    ) -> Float[np.ndarray, "b z"]:
        """The latents that draw characters; see `__call__`."""
        images, own = np.asarray(images, np.float32), np.asarray(own, np.float32)
        names = [
            hashlib.sha256(a.tobytes() + b.tobytes()).hexdigest() for a, b in zip(images, own, strict=True)
        ]
        for name, pictures, points in zip(names, images, own, strict=True):
            # One after another: more at once would be another program, and end elsewhere.
            if name not in self._known:
                self._known[name] = self._fitted(pictures, points)
        return np.stack([self._known[name] for name in names])

    def _fitted(self, images: Float[np.ndarray, "n h w 3"], own: Float[np.ndarray, "n k 3"]) -> np.ndarray:
        """(z,) of one character."""
        latents = jax.random.normal(jax.random.key(self._seed), (self._starts, self._size))
        state = self._tx.init(latents)
        for _ in range(self._iterations):
            latents, state = self._descend(latents, state, images, own)
        best = np.asarray(self._distances(latents, images, own)).argmin()
        return np.asarray(latents)[best]
