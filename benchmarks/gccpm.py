"""Speed of GCCPM on processors: `python -m benchmarks.gccpm`. One JSON line per case.

Forward passes and a training step (loss, gradients, Adam) at 256 x 256 with all cores. Where PyTorch is
installed (the project does not need it), the same network there runs in turns with ours, from the same
weights, in the layout of the public code and in `channels_last`; ratios are ours to the faster of the two,
below 1 where we are faster. On a busy machine compare CPU-seconds on one core (`taskset -c 0`): PyTorch's
threads wait for each other actively.

Nothing is folded or precomputed on either side: weights are arguments, as in training.
"""

import json
import os
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from anime_pt import losses
from anime_pt.convert import gccpm as convert
from anime_pt.models import gccpm
from anime_pt.recipes import gccpm as recipe
from anime_pt.state import Net, Player

try:
    import torch

    from benchmarks import gccpm_torch
except ImportError:
    torch = None

_ROUNDS = flags.DEFINE_integer("rounds", 12, "measurements of each case", lower_bound=1)
_STAGES = flags.DEFINE_list("stages", ["1", "5"], "refinement stages")
_BATCHES = flags.DEFINE_list("batches", ["1", "8"], "batch sizes of the forward pass")
_TRAIN_BATCH = flags.DEFINE_integer("train_batch", 4, "batch size of the training step; 0 for none")

MAPS, SIZE = 17, 256
CORES = len(os.sched_getaffinity(0))


def measured(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, dict[str, float]]:
    """Seconds and CPU-seconds of each call, in turns."""
    wall: dict[str, list[float]] = {name: [] for name in calls}
    cpu: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            time.sleep(0.02)  # The other library's threads wait actively for a while.
            started, spent = time.perf_counter(), time.process_time()
            call()
            if turn:  # The first compiles.
                wall[name].append(time.perf_counter() - started)
                cpu[name].append(time.process_time() - spent)
    return {
        name: {
            "least": round(min(wall[name]), 4),
            "median": round(statistics.median(wall[name]), 4),
            "cpu_least": round(min(cpu[name]), 4),
        }
        for name in calls
    }


def report(case: dict, calls: dict[str, Callable[[], object]], rounds: int) -> None:
    result = measured(calls, rounds)
    theirs = [v for name, v in result.items() if name.startswith("torch")]
    if theirs:
        ours = result["anime_pt"]
        case["ratio"] = {k: round(ours[k] / min(t[k] for t in theirs), 3) for k in ours}
    print(json.dumps({"benchmark": "gccpm", **case, "cores": CORES, **result}), flush=True)


def networks(stages: int) -> tuple[Net, "torch.nn.Module | None"]:
    """Ours, and PyTorch's with the same weights."""
    build = lambda: Net.create(
        lambda rngs: gccpm.GCCPM(MAPS, refinement_stages=stages, rngs=rngs), jax.random.key(0)
    )
    if torch is None:
        return jax.jit(build)(), None
    torch.manual_seed(0)
    theirs = gccpm_torch.GCCPM(MAPS, stages)
    params, stats = convert.load({k: v.numpy().copy() for k, v in theirs.state_dict().items()})
    return jax.device_put(Net(params, stats, jax.eval_shape(build).structure)), theirs


def forward(stages: int, batch: int, rounds: int) -> None:
    ours, theirs = networks(stages)
    images = np.random.default_rng(0).uniform(-0.5, 0.5, (batch, SIZE, SIZE, 3)).astype(np.float32)
    x = jnp.asarray(images)
    run = jax.jit(lambda net, x: net(x, train=False)[0][-1])
    calls = {"anime_pt": lambda: jax.block_until_ready(run(ours, x))}
    case = {"case": "forward", "refinement_stages": stages, "batch": batch}
    if theirs is not None:
        theirs.eval()
        planes = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
        last = planes.to(memory_format=torch.channels_last)
        calls["torch"] = lambda: theirs(planes)[-1]
        calls["torch_channels_last"] = lambda: theirs(last)[-1]
        with torch.inference_mode():
            expected = theirs(planes)[-1].numpy().transpose(0, 2, 3, 1)
            case["error"] = float(np.abs(run(ours, x) - expected).max() / np.abs(expected).max())
            report(case, calls, rounds)
    else:
        report(case, calls, rounds)


def train_step(stages: int, batch: int, rounds: int) -> None:
    ours, theirs = networks(stages)
    rng = np.random.default_rng(0)
    images = rng.uniform(-0.5, 0.5, (batch, SIZE, SIZE, 3)).astype(np.float32)
    target = rng.uniform(0, 1, (batch, SIZE // 8, SIZE // 8, MAPS)).astype(np.float32)
    x, y, tx = jnp.asarray(images), jnp.asarray(target), recipe.optimizer(4e-5, 5e-4)

    def step(player: Player) -> Player:
        def loss(params):
            maps, net = player.net.with_params(params)(x, train=True)
            return sum(losses.heatmap_sum_of_squares(m, y) for m in maps), net

        gradients, net = jax.grad(loss, has_aux=True)(player.net.params)
        return player.update(gradients, tx, net)

    step = jax.jit(step, donate_argnums=0)
    player = [jax.jit(lambda net: Player.create(net, tx))(ours)]

    def run() -> None:
        player[0] = jax.block_until_ready(step(player[0]))

    calls = {"anime_pt": run}
    if theirs is not None:
        adam = torch.optim.Adam(theirs.parameters(), 4e-5, weight_decay=5e-4)
        planes, maps = (torch.from_numpy(a.transpose(0, 3, 1, 2).copy()) for a in (images, target))

        def run_theirs(layout: "torch.memory_format") -> None:
            out = theirs(planes.to(memory_format=layout))
            adam.zero_grad()
            sum(((m - maps) ** 2).sum() / 2 / batch for m in out).backward()
            adam.step()

        theirs.train()
        calls["torch"] = lambda: run_theirs(torch.contiguous_format)
        calls["torch_channels_last"] = lambda: run_theirs(torch.channels_last)
    report({"case": "train_step", "refinement_stages": stages, "batch": batch}, calls, rounds)


def main(_) -> None:
    if torch is not None:
        torch.set_num_threads(CORES)
    for stages in map(int, _STAGES.value):
        for batch in map(int, _BATCHES.value):
            forward(stages, batch, _ROUNDS.value if batch == 1 else max(1, _ROUNDS.value // 3))
        if _TRAIN_BATCH.value:
            train_step(stages, _TRAIN_BATCH.value, max(1, _ROUNDS.value // 3))


if __name__ == "__main__":
    app.run(main)
