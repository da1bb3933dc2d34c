"""The only file that writes what a run measured: TensorBoard events, metrics.jsonl, grids, loss curves.

Why not `clu.metric_writers` and `clu.periodic_actions`: clu 0.0.12 (its latest release, April 2024) imports
TensorFlow in both, at import time, for a summary writer; without TensorFlow they work only behind a
stand-in placed in `sys.modules`. This writer has the methods of clu's `MetricWriter` that the loop needs, on
tensorboardX, which writes the same event files. clu's `metrics` and `parameter_overview` import no
TensorFlow and are used as they are.
"""

import io
import json
import math
import os
import pathlib
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image
from tensorboardX import record_writer, summary
from tensorboardX.proto import event_pb2

METRICS_FILE = "metrics.jsonl"


def write_atomically(path: pathlib.Path, data: bytes) -> None:
    """Writes a file that appears under its name only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as f:
            f.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def read_metrics(workdir: str | pathlib.Path) -> list[dict[str, float]]:
    """The rows of `metrics.jsonl`, oldest first; a torn last line (a killed run) is left out."""
    path = pathlib.Path(workdir) / METRICS_FILE
    rows = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


class MetricWriter:
    """Writes one run's measurements; scalars of later steps than `step` are dropped on opening."""

    def __init__(self, workdir: str | pathlib.Path, step: int = 0):
        """Continues at `step`: what a killed run logged after its last checkpoint is logged again."""
        self._workdir = pathlib.Path(workdir)
        kept = [row for row in read_metrics(workdir) if row["step"] <= step]
        lines = "".join(json.dumps(row) + "\n" for row in kept)
        write_atomically(self._workdir / METRICS_FILE, lines.encode())
        self._jsonl = open(self._workdir / METRICS_FILE, "a", buffering=1)  # noqa: SIM115
        self._events = _Events(self._workdir / "events", step)

    def write_scalars(self, step: int, scalars: Mapping[str, Any]) -> None:
        """One row of `metrics.jsonl` and one point for each curve. Non-finite values become strings."""
        values = {k: float(v) for k, v in scalars.items()}
        self._events.write(step, *(summary.scalar(k, v) for k, v in values.items()))
        row = {"step": step} | {k: v if math.isfinite(v) else str(v) for k, v in values.items()}
        self._jsonl.write(json.dumps(row) + "\n")

    def write_image(self, step: int, name: str, image: np.ndarray) -> pathlib.Path:
        """Writes (h, w, 3) uint8 to `<name>/<step>.png` and to the events; returns the file."""
        self._events.write(step, summary.image(name, image, dataformats="HWC"))
        path = self._workdir / name / f"{step:08d}.png"
        save_image(path, image)
        return path

    def write_text(self, step: int, name: str, text: str) -> None:
        self._events.write(step, summary.text(name, text))

    def write_curves(self) -> None:
        """Redraws `curves.png`: a panel for each metric, training and evaluation over steps."""
        self.flush()
        draw_curves(read_metrics(self._workdir), self._workdir / "curves.png")

    def flush(self) -> None:
        self._jsonl.flush()
        self._events.flush()

    def close(self) -> None:
        self._jsonl.close()
        self._events.close()


class _Events:
    """TensorBoard's event file, written in the caller's thread.

    tensorboardX's own writer has a thread, which a full disk kills: the next write then waits for ever.
    """

    def __init__(self, folder: pathlib.Path, step: int):
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard orders files by name; what earlier files say of later steps is void.
        name = f"events.out.tfevents.{time.time_ns():020d}"
        self._records = record_writer.RecordWriter(str(folder / name))
        self._write(event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2"))
        if step:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._write(event_pb2.Event(wall_time=time.time(), step=step + 1, session_log=start))

    def _write(self, event: event_pb2.Event) -> None:
        self._records.write(event.SerializeToString())

    def write(self, step: int, *summaries: Any) -> None:
        for one in summaries:
            self._write(event_pb2.Event(wall_time=time.time(), step=step, summary=one))

    def flush(self) -> None:
        self._records.flush()

    def close(self) -> None:
        self._records.close()


def save_image(path: pathlib.Path, image: np.ndarray) -> None:
    """Writes a uint8 picture; the folder is made, and a half-written file never stays."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    write_atomically(path, buffer.getvalue())


def image_grid(columns: Sequence[np.ndarray], gap: int = 2) -> np.ndarray:
    """A sheet of pictures: `columns[j][i]` stands in row i, column j.

    Args:
      columns: arrays (rows, h, w, 1 or 3) in [-1, 1], all of one shape but for the channels.
      gap: white pixels between pictures.

    Returns:
      (rows * (h + gap) - gap, columns * (w + gap) - gap, 3) uint8.
    """
    rows, h, w = columns[0].shape[:3]
    sheet = np.full((rows * (h + gap) - gap, len(columns) * (w + gap) - gap, 3), 255, np.uint8)
    for j, column in enumerate(columns):
        pixels = np.clip(np.round((np.asarray(column, np.float32) + 1) * 127.5), 0, 255).astype(np.uint8)
        for i in range(rows):
            sheet[i * (h + gap) : i * (h + gap) + h, j * (w + gap) : j * (w + gap) + w] = pixels[i]
    return sheet


def draw_curves(rows: Sequence[Mapping[str, Any]], path: pathlib.Path) -> None:
    """Draws every metric of `rows` over `step`; `train/x` and `eval/x` share the panel x.

    Figures of parts (`eval/pdj/left_wrist`) are left out: there are dozens.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    series: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for row in rows:
        for key, value in row.items():
            if key != "step" and key.count("/") < 2 and isinstance(value, (int, float)):
                group, _, name = key.partition("/")
                series.setdefault(name or group, {}).setdefault(group, []).append((row["step"], value))
    if not series:
        return
    width = math.ceil(math.sqrt(len(series)))
    height = math.ceil(len(series) / width)
    figure = Figure(figsize=(4 * width, 2.6 * height), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    for axis, (name, groups) in zip(
        figure.subplots(height, width, squeeze=False).flat, sorted(series.items()), strict=False
    ):
        for group, points in sorted(groups.items()):
            steps, values = zip(*points, strict=True)
            axis.plot(steps, values, label=group, marker="o" if len(points) < 30 else None, markersize=3)
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("step", fontsize=7)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    for axis in list(figure.axes)[len(series) :]:
        axis.remove()
    canvas.draw()
    save_image(path, np.asarray(canvas.buffer_rgba())[..., :3].copy())
