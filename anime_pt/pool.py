"""A pool of earlier fakes, from which a discriminator's are drawn (Shrivastava et al. 2017, section 2.3).

As in the public codes of CycleGAN and PATN (`util/image_pool.py`): until the pool is full, every picture goes
in and comes back; from then on, a picture either comes back or, as often, takes the place of one of the pool,
which comes back instead. Pictures of a batch come one after the other, and may meet.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Pool:
    """What a pool holds.

    Attributes:
      images: the pool; those behind the first `count` are not in use.
      count: how many there are.
    """

    images: Float[Array, "n *shape"]
    count: Int[Array, ""]


def create(size: int, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> Pool:
    """An empty pool.

    Args:
      size: pictures that it takes; 0 for a pool that gives back what it gets.
      shape: of a picture.
      dtype: of its numbers.

    Raises:
      ValueError: a negative size.
    """
    if size < 0:
        raise ValueError(f"a pool of {size} pictures: use 0 for none")
    return Pool(jnp.zeros((size, *shape), dtype), jnp.int32(0))


def query(
    pool: Pool, images: Float[Array, "b *shape"], key: jax.Array
) -> tuple[Float[Array, "b *shape"], Pool]:
    """Exchanges a batch with the pool.

    Returns:
      The pictures that come back, which have no gradient, and the pool after it.
    """
    images, size = jax.lax.stop_gradient(images), len(pool.images)
    if not size:
        return images, pool
    swap_key, place_key = jax.random.split(key)
    swaps = jax.random.bernoulli(swap_key, 0.5, images.shape[:1])
    places = jax.random.randint(place_key, images.shape[:1], 0, size)

    def one(pool: Pool, incoming: tuple[jax.Array, ...]) -> tuple[Pool, jax.Array]:
        image, swap, place = incoming
        image = image.astype(pool.images.dtype)
        full = pool.count == size
        place = jnp.where(full, place, pool.count)
        old = pool.images[place]
        kept = jnp.where(full & ~swap, old, image)
        given = jnp.where(full & swap, old, image)
        return Pool(pool.images.at[place].set(kept), jnp.where(full, size, pool.count + 1)), given

    pool, out = jax.lax.scan(one, pool, (images, swaps, places))
    return out.astype(images.dtype), pool
