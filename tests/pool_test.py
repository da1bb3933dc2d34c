import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anime_pt import pool


def pictures(numbers) -> jax.Array:
    """Pictures that are one number all over."""
    return jnp.broadcast_to(jnp.asarray(numbers, jnp.float32)[:, None, None, None], (len(numbers), 2, 3, 1))


def numbers(images) -> list[int]:
    assert np.ptp(images, axis=(1, 2, 3)).max(initial=0) == 0
    return [int(x) for x in images[:, 0, 0, 0]]


query = jax.jit(pool.query)


def test_until_it_is_full_everything_goes_in_and_comes_back():
    state = pool.create(5, (2, 3, 1))
    for start in (1, 3):
        out, state = query(state, pictures([start, start + 1]), jax.random.key(start))
        assert numbers(out) == [start, start + 1]
    assert int(state.count) == 4 and numbers(state.images) == [1, 2, 3, 4, 0]
    # The fifth fills it; of the sixth, every picture of the pool may be the price, the fifth, too.
    seen = set()
    for seed in range(60):
        out, after = query(state, pictures([5, 6]), jax.random.key(seed))
        first, second = numbers(out)
        assert first == 5 and int(after.count) == 5
        expected = [1, 2, 3, 4, 5]
        if second != 6:
            expected[second - 1] = 6
        assert numbers(after.images) == expected
        seen.add(second)
    assert seen == {1, 2, 3, 4, 5, 6}


def test_half_of_the_pictures_are_exchanged_and_none_is_lost():
    _, state = query(pool.create(8, (2, 3, 1)), pictures(range(8)), jax.random.key(0))
    came_back, places = 0, np.zeros(8, int)
    for step in range(40):
        batch = range(100 + 16 * step, 116 + 16 * step)
        before = numbers(state.images)
        out, state = query(state, pictures(batch), jax.random.key(step + 1))
        after = numbers(state.images)
        assert sorted([*before, *batch]) == sorted([*numbers(out), *after])
        came_back += sum(a == b for a, b in zip(numbers(out), batch, strict=True))
        places += np.not_equal(before, after)
    assert 0.42 < came_back / (40 * 16) < 0.58
    assert places.min() > 15  # All places are exchanged alike.


def test_no_pool():
    state = pool.create(0, (2, 3, 1))
    out, after = query(state, pictures([1, 2]), jax.random.key(0))
    assert numbers(out) == [1, 2] and after.images.shape == (0, 2, 3, 1)
    with pytest.raises(ValueError, match="a pool of -1 pictures: use 0 for none"):
        pool.create(-1, (2, 3, 1))


def test_no_gradient_goes_through():
    state = pool.create(3, (2, 3, 1))
    gradient = jax.grad(lambda x: pool.query(state, x, jax.random.key(0))[0].sum())(pictures([1, 2]))
    assert not gradient.any()
