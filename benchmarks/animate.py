"""Speed of animation: `python -m benchmarks.animate`. One JSON line per detail.

A built-in character performs a built-in motion, by the network that comes with the package, or that of a run
(`--workdir`). Its picture is as many times as high as the network's as there is detail (`--details`).
Everything is counted that `anime_pt.animate` does once it has begun, by part, in milliseconds of processor
time a frame, all cores together (so that a busy machine tells the same):

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

import functools
import json
import os
import pathlib
import tempfile
import time
from collections.abc import Iterator

import numpy as np
from absl import app, flags
from PIL import Image

from anime_pt.avatars import camera, poses, procedural, rasterise, rig
from anime_pt.metrics import flicker
from anime_pt.pipelines import animate, canvas, driver, estimator, matting, steady, transfer, video

_DETAILS = flags.DEFINE_list("details", ["1", "2", "4"], "times the size of the network's pictures")
_WORKDIR = flags.DEFINE_string("workdir", None, "training run (default: the network of the package)")
_FRAMES = flags.DEFINE_integer("frames", 64, "of the clip", lower_bound=8)
_BATCH = flags.DEFINE_integer("batch", 8, "frames at once", lower_bound=1)
_STEADY = flags.DEFINE_integer("steady", 0, "neighbours on each side", lower_bound=0)


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


def case(model: transfer.Model, detail: int, folder: pathlib.Path) -> dict:
    once, each = Clock(), Clock()
    path = folder / f"{detail}.png"
    picture(path, detail * model.size[0])
    finder = estimator.Estimator(*estimator.packaged(), batch=1)
    transfer.cut(path, model, finder, 0.2)  # Compiles.
    cut = once("picture", transfer.cut, path, model, finder, 0.2)
    motion = once("motion", driver.read, f"procedural:3,{_FRAMES.value}")
    plan = once("plan", functools.partial(animate.plan, detail=detail), cut, motion.poses, model)
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
                frame = each("mask", matting.matted, image)
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
    video.write(folder / f"{detail}.mp4", pictures(), motion.poses.fps)
    total, seconds = time.process_time() - start, time.perf_counter() - began
    each.parts["encode"] = total - sum(each.parts.values())
    if not _STEADY.value:
        del each.parts["steady"]
    return {
        "size": "x".join(map(str, model.size)),
        "detail": plan.source.detail,
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
    model = transfer.Model(None if _WORKDIR.value is None else pathlib.Path(_WORKDIR.value))
    with tempfile.TemporaryDirectory() as folder:
        for detail in map(int, _DETAILS.value):
            print(json.dumps(case(model, detail, pathlib.Path(folder))), flush=True)


if __name__ == "__main__":
    app.run(main)
