"""Speed of the packaged pose network: `python -m benchmarks.student`. One JSON line per case.

Frames per second of wall time with all cores, on figures that are cut out already: the network and decoding,
with and without the flip test.
"""

import functools
import json
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

from anime_pt import recipe, weights
from anime_pt.pose import decoding

GOAL = 60
ROUNDS = 15


def timed(run) -> tuple[float, float]:
    """Least and median seconds of a call, compiled before."""
    run()
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds), statistics.median(seconds)


def main() -> None:
    config, net = weights.load()
    algorithm = recipe.make(config)
    size = algorithm.stages[-1].resolution
    parameters = sum(x.size for x in jax.tree.leaves(net.params))

    @jax.jit
    def plain(net, images):
        return decoding.decode(algorithm.maps(net, images), algorithm.stride)

    @jax.jit
    def flipped(net, images):
        network = functools.partial(algorithm.maps, net)
        maps = decoding.flip_test(network, images, algorithm.skeleton.flip)
        return decoding.decode(maps, algorithm.stride)

    for batch in (1, 8):
        images = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (batch, *size, 3)), jnp.float32)
        for case, function in (("plain", plain), ("flip test", flipped)):
            least, median = timed(lambda f=function, x=images: jax.block_until_ready(f(net, x)))
            print(
                json.dumps(
                    {
                        "benchmark": "student",
                        "case": case,
                        "size": size,
                        "batch": batch,
                        "parameters": parameters,
                        "frames_per_second": round(batch / least, 1),
                        "median": round(batch / median, 1),
                        "goal": GOAL,
                    }
                ),
                flush=True,
            )


if __name__ == "__main__":
    main()
