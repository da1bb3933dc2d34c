"""Speed of PATN on processors: `python -m benchmarks.train_step`. One JSON line per case.

The generator's forward pass, and a training step of the published DeepFashion form (generator, appearance and
shape discriminator, perceptual loss of VGG-19's relu1_2, three Adams) with all cores. Where PyTorch is
installed (the project does not need it), the same networks there run in turns with ours, from the same
weights, in the layout of the public code and in `channels_last`; ratios are ours to the faster of the two,
below 1 where we are faster. On a busy machine compare CPU-seconds on one core (`taskset -c 0`): PyTorch's
threads wait for each other actively.

Losses of the first step, made without dropout, show that both compute the same.
"""

import json
import os
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import app, flags

from anime_pt import losses
from anime_pt.convert import patn as convert
from anime_pt.convert import vgg as convert_vgg
from anime_pt.models import patn, vgg
from anime_pt.state import Net, Player

try:
    import torch

    from benchmarks import patn_torch
except ImportError:
    torch = None

_ROUNDS = flags.DEFINE_integer("rounds", 4, "measurements of each case", lower_bound=1)
_SIZE = flags.DEFINE_list("size", ["256", "176"], "height and width")
_BATCH = flags.DEFINE_integer("batch", 1, "batch size", lower_bound=1)
_WIDTH = flags.DEFINE_integer("width", 64, "channels of the first layers")
_BLOCKS = flags.DEFINE_integer("blocks", 9, "blocks of the generator")
_NORM = flags.DEFINE_enum("norm", "instance", patn.NORMS, "normalisation")
_DROPOUT = flags.DEFINE_float("dropout", 0.5, "in the training step")
_LAYOUTS = flags.DEFINE_list("layouts", ["torch", "torch_channels_last"], "PyTorch's")
_CASES = flags.DEFINE_list("cases", ["forward", "train_step"], "what to measure")

KEYPOINTS = 18
ADAM = optax.chain(optax.scale_by_adam(0.5, 0.999), optax.scale(-2e-4))
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


def report(case: dict, calls: dict[str, Callable[[], object]]) -> None:
    result = measured(calls, _ROUNDS.value)
    theirs = [v for name, v in result.items() if name.startswith("torch")]
    if theirs:
        ours = result["anime_pt"]
        case["ratio"] = {k: round(ours[k] / min(t[k] for t in theirs), 3) for k in ours}
    sizes = {"size": list(map(int, _SIZE.value)), "batch": _BATCH.value, "width": _WIDTH.value}
    sizes |= {"blocks": _BLOCKS.value, "norm": _NORM.value}
    print(json.dumps({"benchmark": "train_step", **case, **sizes, "cores": CORES, **result}), flush=True)


class Theirs:
    """Networks in PyTorch, and their weights by name."""

    def __init__(self, dropout: float):
        torch.manual_seed(0)
        shared = dict(norm=_NORM.value, dropout=dropout)
        self.generator = patn_torch.Generator(KEYPOINTS, _WIDTH.value, _BLOCKS.value, **shared)
        self.shape = patn_torch.Discriminator(3 + KEYPOINTS, _WIDTH.value, **shared)
        self.appearance = patn_torch.Discriminator(6, _WIDTH.value, **shared)
        self.vgg = patn_torch.Features()

    def weights(self, name: str) -> dict[str, np.ndarray]:
        return {k: v.numpy().copy() for k, v in getattr(self, name).state_dict().items()}


def networks(dropout: float) -> tuple[dict[str, Net], "Theirs | None"]:
    """Ours, and PyTorch's with the same weights."""
    width, shared = _WIDTH.value, dict(norm=_NORM.value, dropout=dropout)
    build = {
        "generator": lambda r: patn.Generator(KEYPOINTS, width, blocks=_BLOCKS.value, **shared, rngs=r),
        "shape": lambda r: patn.Discriminator(3 + KEYPOINTS, width, **shared, rngs=r),
        "appearance": lambda r: patn.Discriminator(6, width, **shared, rngs=r),
        "vgg": lambda r: vgg.VGG((2,), (64,), rngs=r),
    }
    create = lambda: {name: Net.create(make, jax.random.key(0)) for name, make in build.items()}
    if torch is None:
        return jax.jit(create)(), None
    theirs, ours = Theirs(dropout), jax.eval_shape(create)
    ours["vgg"] = convert_vgg.build(convert_vgg.of_torchvision(theirs.weights("vgg")), last="relu1_2")
    for name, load in (
        ("generator", convert.load_generator),
        ("shape", convert.load_discriminator),
        ("appearance", convert.load_discriminator),
    ):
        params, stats = load(theirs.weights(name))
        ours[name] = Net(params, stats, ours[name].structure)
    return jax.device_put(ours), theirs


def batch() -> tuple[np.ndarray, ...]:
    """Source, its pose, target and its pose."""
    rng = np.random.default_rng(0)
    size = tuple(map(int, _SIZE.value))
    images = lambda: rng.uniform(-1, 1, (_BATCH.value, *size, 3)).astype(np.float32)
    poses = lambda: rng.uniform(0, 1, (_BATCH.value, *size, KEYPOINTS)).astype(np.float32)
    return images(), poses(), images(), poses()


def planes(x: np.ndarray, layout: str) -> "torch.Tensor":
    """An array of ours in one of PyTorch's layouts."""
    formats = {"torch": torch.contiguous_format, "torch_channels_last": torch.channels_last}
    return torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).to(memory_format=formats[layout])


def forward() -> None:
    nets, theirs = networks(0.0)
    source, source_pose, _, target_pose = batch()
    arguments = tuple(map(jnp.asarray, (source, source_pose, target_pose)))
    run = jax.jit(lambda net, *x: net(*x, train=False)[0])
    calls = {"anime_pt": lambda: jax.block_until_ready(run(nets["generator"], *arguments))}
    case = {"case": "forward"}
    if theirs is not None:
        theirs.generator.eval()
        for layout in _LAYOUTS.value:
            image, poses = (
                planes(x, layout) for x in (source, np.concatenate([source_pose, target_pose], -1))
            )

            def call(image=image, poses=poses):
                with torch.inference_mode():
                    return theirs.generator(image, poses)

            calls[layout] = call
        expected = calls[_LAYOUTS.value[0]]().numpy().transpose(0, 2, 3, 1)
        case["error"] = float(np.abs(calls["anime_pt"]() - expected).max() / np.abs(expected).max())
    report(case, calls)


def step(players: dict[str, Player], data: tuple[jax.Array, ...], key: jax.Array):
    """One iteration, as `patn_torch.Step`; all players after it, and the losses."""
    source, source_pose, target, target_pose = data
    beside = {"shape": target_pose, "appearance": source}
    keys = dict(zip(("generator", *beside, "real", "fake"), jax.random.split(key, 5), strict=True))

    def generator_loss(params):
        fake, net = players["generator"].net.with_params(params)(
            source, source_pose, target_pose, train=True, key=keys["generator"]
        )
        scores = [players[n].net(fake, x, train=True, key=keys[n])[0] for n, x in beside.items()]
        adversarial = sum(losses.least_squares(score, True) for score in scores) / 2
        features = lambda x: players["vgg"].net(x, ("relu1_2",))[0]["relu1_2"]
        loss = 5 * adversarial + losses.l1(fake, target) + losses.perceptual(features, fake, target)
        return loss, (net, fake)

    def discriminator_loss(params, name, fake):
        real, net = players[name].net.with_params(params)(target, beside[name], train=True, key=keys["real"])
        fake, net = net(fake, beside[name], train=True, key=keys["fake"])
        return 2.5 * (losses.least_squares(real, True) + losses.least_squares(fake, False)), net

    out = dict(players)
    call = jax.value_and_grad(generator_loss, has_aux=True)
    (loss, (net, fake)), gradients = call(players["generator"].net.params)
    out["generator"] = players["generator"].update(gradients, ADAM, net)
    values = [loss]
    for name in beside:
        call = jax.value_and_grad(discriminator_loss, has_aux=True)
        (loss, net), gradients = call(players[name].net.params, name, jax.lax.stop_gradient(fake))
        out[name] = players[name].update(gradients, ADAM, net)
        values.append(loss)
    return out, jnp.stack(values)


def players_of(nets: dict[str, Net]) -> dict[str, Player]:
    return {name: Player.create(net, None if name == "vgg" else ADAM) for name, net in nets.items()}


def their_step(theirs: "Theirs", layout: str) -> "patn_torch.Step":
    discriminators = theirs.shape, theirs.appearance
    data = tuple(planes(x, layout) for x in batch())
    return patn_torch.Step(theirs.generator, discriminators, theirs.vgg, data)


def train_step() -> None:
    case = {"case": "train_step", "dropout": _DROPOUT.value}
    arrays = tuple(map(jnp.asarray, batch()))
    if torch is not None:
        nets, theirs = networks(0.0)
        case["losses"] = np.asarray(jax.jit(step)(players_of(nets), arrays, jax.random.key(0))[1]).tolist()
        case["losses_torch"] = their_step(theirs, _LAYOUTS.value[0])()
    nets, theirs = networks(_DROPOUT.value)
    run = jax.jit(step, donate_argnums=0)
    state = [jax.jit(players_of)(nets)]

    def ours() -> None:
        state[0], _ = jax.block_until_ready(run(state[0], arrays, jax.random.key(0)))

    calls = {"anime_pt": ours}
    if theirs is not None:
        calls |= {layout: their_step(theirs, layout) for layout in _LAYOUTS.value}
    report(case, calls)


def main(_) -> None:
    if torch is not None:
        torch.set_num_threads(CORES)
    for case in _CASES.value:
        {"forward": forward, "train_step": train_step}[case]()


if __name__ == "__main__":
    app.run(main)
