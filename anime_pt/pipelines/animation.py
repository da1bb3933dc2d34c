"""An animation made and written as it comes: network, temporal smoothing, canvas, file and page.

Nothing but the frames that encoders wait for is held, so a clip may be longer than memory.
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction

import numpy as np

from anime_pt.metrics.flicker import Flicker
from anime_pt.pipelines import animate, compare, pictures, room, sprites, steady, video
from anime_pt.pipelines.canvas import Canvas
from anime_pt.pipelines.driver import Driver


@dataclasses.dataclass(frozen=True)
class Made:
    """What became of a clip.

    Attributes:
      frames: that were written.
      flicker: of what the network made, in levels, see `metrics.flicker`.
      steadied: of it after temporal smoothing, or None where that was not asked for.
    """

    frames: int
    flicker: float
    steadied: float | None

    def __str__(self) -> str:
        out = f"flicker {self.flicker:.2f} levels of 255"
        return out if self.steadied is None else f"{out}, {self.steadied:.2f} steadied"


def write(
    out: str | pathlib.Path,
    model: animate.Network,
    driver: Driver,
    plan: animate.Plan,
    canvas: Canvas,
    fps: Fraction,
    batch: int = 8,
    reach: int = 0,
    page: pathlib.Path | None = None,
    remarks: Sequence[str] = (),
    progress: Callable[[Iterable, int], Iterable] = lambda frames, total: frames,
) -> Made:
    """Writes an animation; where the disk gets full, what fits on it.

    Args:
      out: file or folder, see `video.kind`. MP4 has white where the canvas is transparent.
      model: the network.
      driver: whose motion.
      plan, canvas: of the animation.
      fps: frames per second.
      batch: frames at once.
      reach: neighbours on each side that a frame is averaged with, see `steady`.
      page: where to write a comparison, see `compare`.
      remarks: what its page says.
      progress: wraps the frames, of which it is told the number.

    Raises:
      OSError: it cannot be written; with ENOSPC the disk was full, and the message says how much there is.
    """
    out, form = pathlib.Path(out), video.kind(out)
    before, after, watch = Flicker(), Flicker(), room.Room(out)

    def measured(frames: Iterable, meter: Flicker) -> Iterator:
        for frame in frames:
            meter.add(frame)
            yield frame

    def images(put: Callable[[np.ndarray], None] | None) -> Iterator[np.ndarray]:
        frames = measured(animate.frames(plan, model, batch), before)
        if reach:
            frames = measured(steady.steadied(frames, reach), after)
        beside = compare.columns(driver, plan, canvas, model.skeleton) if put else None
        for frame, window in zip(progress(frames, len(plan.poses)), plan.windows, strict=True):
            image = canvas.put(frame, window)
            if put:
                put(next(beside)(image))
            yield pictures.before_white(image) if form == ".mp4" else image

    side = contextlib.nullcontext() if page is None else compare.written(video.of_page(page), fps)
    with side as put, contextlib.closing(images(put)) as made:
        if form == ".sheet.png":
            anchor = tuple(canvas.anchor.tolist()) if plan.in_place else None
            sprites.write(out, watch.frames(made), fps, anchor)
        else:
            video.write(out, watch.frames(made), fps)
    done = Made(watch.count, before.mean, after.mean if reach else None)
    if page is not None:
        height, width = canvas.size
        facts = {
            "frames": f"{done.frames} of {len(plan.poses)}, {float(fps):g} per second",
            "size": f"{width}x{height}, by a network of {model.size[1]}x{model.size[0]}",
            "temporal smoothing": f"{reach} frames on each side" if reach else "none",
            "flicker": str(done).removeprefix("flicker "),
        }
        compare.save_page(page, out.name, float(fps), facts, remarks)
    watch.check(len(plan.poses))
    return done
