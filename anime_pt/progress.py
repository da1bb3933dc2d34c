"""The line that a training run prints: step, stage, losses, images per second, time left."""

import contextlib
import math
import time
from collections.abc import Iterator, Mapping

from anime_pt import recipe


class Progress:
    """The progress line: step, stage, images per second, time left."""

    def __init__(self, stages: tuple[recipe.Stage, ...]):
        self._stages = stages

    def start(self, stage: recipe.Stage, step: int) -> None:
        """Counts from here: called after a stage's first step, which compiles."""
        self._stage = stage
        self._step, self._time = step, time.monotonic()
        self._rate = 0.0

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Time inside does not count as training."""
        start = time.monotonic()
        yield
        self._time += time.monotonic() - start

    def update(self, step: int, means: Mapping[str, float]) -> float:
        """Prints the line; returns images per second since the last one."""
        now = time.monotonic()
        if step > self._step:
            self._rate = (step - self._step) * self._stage.batch_size / (now - self._time)
        self._step, self._time = step, now
        losses = "  ".join(f"{k.removeprefix('train/')} {v:.3g}" for k, v in means.items() if "loss" in k)
        place = f"{self._stages.index(self._stage) + 1}/{len(self._stages)}"
        left = _duration(self._seconds_left(step)) if self._rate else "?"
        print(
            f"step {step}/{self._stages[-1].stop}  stage {self._stage.name} ({place})  {losses}  "
            f"{self._rate:.0f} images/s  about {left} left",
            flush=True,
        )
        return self._rate

    def _seconds_left(self, step: int) -> float:
        seconds = (self._stage.stop - step) * self._stage.batch_size / self._rate
        side = math.prod(self._stage.resolution) ** 0.5
        for stage in self._stages[self._stages.index(self._stage) + 1 :]:
            # An image of twice the side is taken to cost twice the time: between the growth of wide
            # networks (1.5) and of narrow ones (up to 4).
            factor = math.prod(stage.resolution) ** 0.5 / side
            seconds += (stage.stop - stage.start) * stage.batch_size / self._rate * factor
        return seconds


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
