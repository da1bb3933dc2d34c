"""Speed of animation: `python -m benchmarks.animate`. One JSON line per size.

A built-in character, drawn at the size, performs a built-in motion; the networks are those of a config (by
default the small ones of configs/patn.py:demo), as they are before training, since speed does not depend on
what they know. Everything is counted that `anime_pt.animate` does once it has begun, by part, in milliseconds
of processor time a frame, all cores together (so that a busy machine tells the same):

    network    poses to pictures, in batches
    mask       what is not white around the figure
    flicker    how much the result flickers
    steady     temporal smoothing, where asked for (--steady)
    canvas     back into the picture
    encode     MP4
    frames_per_second   of all of these together, by the clock
    cpu_bound           the same if both cores did nothing else and never waited

and, once a clip, in seconds: "picture" (figure and joints), "motion" (joints of it), "plan", "compile".
"""

import json
import os
import pathlib
import tempfile
import time
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from PIL import Image

from anime_pt import recipe
from anime_pt.avatars import camera, poses, procedural, rasterise, rig
from anime_pt.metrics import flicker
from anime_pt.pipelines import animate, canvas, driver, estimator, framing, steady, transfer, video
from anime_pt.state import Player, TrainState
from configs import patn

_SIZES = flags.DEFINE_list(
    "sizes", ["96x64", "128x96", "256x192"], "height x width of the network's pictures"
)
_CONFIG = flags.DEFINE_string("config_arg", "demo", "argument of configs/patn.py")
_FRAMES = flags.DEFINE_integer("frames", 64, "of the clip", lower_bound=8)
_BATCH = flags.DEFINE_integer("batch", 8, "frames at once", lower_bound=1)
_STEADY = flags.DEFINE_integer("steady", 0, "neighbours on each side", lower_bound=0)


class Untrained:
    """A `transfer.Model` without a run."""

    def __init__(self, arg: str, size: tuple[int, int]):
        config = patn.get_config(arg)
        config.schedule.resolution = size
        algorithm = recipe.make(config)
        names = algorithm.transfer_players
        # Of all players these alone, or the others take minutes to compile.
        made = lambda key: {n: algorithm.init(key).players[n].net for n in names}
        nets = jax.jit(made)(jax.random.key(0))
        self.skeleton, self.size, self.rgba = algorithm.skeleton, size, config.model.rgba
        self.copies = False
        self.frame = framing.Frame.of(config.data, size)
        self.parameters = sum(x.size for net in nets.values() for x in jax.tree.leaves(net.params))

        def run(nets: dict, *of: jax.Array) -> jax.Array:
            state = TrainState(jnp.int32(0), {n: Player(net) for n, net in nets.items()})
            return jnp.clip(algorithm.transfer(state, *of), -1, 1)

        self._run, self._nets = jax.jit(run), nets

    def __call__(self, sources, wanted):
        channels = 4 if self.rgba else 3
        images = np.stack([s.image[..., :channels] for s in sources]).astype(np.float32) / 127.5 - 1
        own = np.stack([s.points for s in sources])
        images, own = (np.broadcast_to(a, (len(wanted), *a.shape)) for a in (images, own))
        return np.asarray((self._run(self._nets, images, own, wanted) + 1) * 127.5 + 0.5).astype(np.uint8)


class Clock:
    """Processor time of each part, in seconds."""

    def __init__(self):
        self.parts: dict[str, float] = {}

    def __call__(self, name: str, work, *arguments):
        start = time.process_time()
        out = work(*arguments)
        self.parts[name] = self.parts.get(name, 0.0) + time.process_time() - start
        return out


def picture(path: pathlib.Path, side: int) -> None:
    """A character in a pose, before a plain background."""
    character = procedural.build(7)
    pose = rig.pose(character, poses.sample(np.random.default_rng(3)))
    frame = rasterise.Renderer(side).render(character, pose, camera.still(character, side))
    Image.fromarray(frame.over((214, 228, 240))).save(path)


def case(size: tuple[int, int], folder: pathlib.Path) -> dict:
    once, each = Clock(), Clock()
    model = Untrained(_CONFIG.value, size)
    path = folder / f"{size[0]}.png"
    picture(path, size[0])
    finder = estimator.Estimator(*estimator.packaged(), batch=1)
    transfer.cut(path, model, finder, 0.2)  # Compiles.
    cut = once("picture", transfer.cut, path, model, finder, 0.2)
    motion = once("motion", driver.read, f"procedural:3,{_FRAMES.value}")
    plan = once("plan", animate.plan, cut, motion.poses, model)
    shown = canvas.of(cut, plan)
    asked = plan.asked.astype(np.float32)
    once("compile", model, [plan.source], asked[: _BATCH.value])
    meter = flicker.Flicker()

    def frames() -> Iterator[np.ndarray]:
        for start in range(0, len(asked), _BATCH.value):
            part = asked[start : start + _BATCH.value]
            padded = np.concatenate([part, np.repeat(part[-1:], _BATCH.value - len(part), 0)])
            images = each("network", model, [plan.source], padded)
            for image in images[: len(part)]:
                frame = each("mask", animate.matted, image)
                each("flicker", meter.add, frame)
                yield frame

    def pictures() -> Iterator[np.ndarray]:
        steadied = steady.steadied(frames(), _STEADY.value)
        for window in plan.windows:
            before = sum(each.parts.values())
            start = time.process_time()
            frame = next(steadied)
            rest = time.process_time() - start - (sum(each.parts.values()) - before)
            each.parts["steady"] = each.parts.get("steady", 0.0) + rest
            yield each("canvas", shown.put, frame, window)

    start, began = time.process_time(), time.perf_counter()
    video.write(folder / f"{size[0]}.mp4", pictures(), motion.poses.fps)
    total, seconds = time.process_time() - start, time.perf_counter() - began
    each.parts["encode"] = total - sum(each.parts.values())
    if not _STEADY.value:
        del each.parts["steady"]
    return {
        "size": f"{size[0]}x{size[1]}",
        "picture_size": "x".join(map(str, shown.size)),
        "parameters": model.parameters,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "batch": _BATCH.value,
        "frames_per_second": round(len(asked) / seconds, 2),
        "cpu_bound": round(os.cpu_count() * len(asked) / total, 2),
        "milliseconds": {k: round(1000 * v / len(asked), 2) for k, v in each.parts.items()},
        "seconds_once": {k: round(v, 2) for k, v in once.parts.items()},
    }


def main(_) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for text in _SIZES.value:
            size = tuple(int(side) for side in text.split("x"))
            print(json.dumps(case(size, pathlib.Path(folder))), flush=True)


if __name__ == "__main__":
    app.run(main)
