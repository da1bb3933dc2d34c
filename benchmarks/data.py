"""Speed of the input pipeline: datasets that are built against those that are rendered while they are read.

    python -m benchmarks.data

prints one JSON line for each case: examples of 64, 256 and 512 pixels, read by one process with one thread,
and by two worker processes. Examples are shuffled over 12 characters in two costumes each, and batched as for
training. Frames are counted per CPU-second of all processes, so the numbers hold on a busy machine; per
second they are given, too. The first batches, in which characters are built and code is loaded, do not count.
"""

import contextlib
import json
import os
import pathlib
import sys
import tempfile
import time

import ml_collections
from absl import app

from anime_pt.data import pipeline
from tfds_builders import build

_BATCH, _WARM_UP = 8, 8
_LEAST_CPU_SECONDS = 2.0
_CHANGES = ["characters=12", "costumes=2", "poses=16"]


def cpu_seconds() -> float:
    """Of this process and its living and ended children."""
    ticks = 0
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # It ended meanwhile.
                continue
            if int(folder.name) == os.getpid() or int(fields[1]) == os.getpid():
                ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(name: str, data_dir: str, size: int, workers: int) -> dict[str, float]:
    """Frames per CPU-second and per second of a shuffled training pipeline."""
    config = ml_collections.ConfigDict()
    config.data = {"name": name, "data_dir": data_dir, "train_split": "train"}
    config.data.update({"threads": 1, "prefetch": 1, "workers": workers})
    batches = pipeline.train_iterator(config, (size, size), _BATCH, seed=0)
    for _ in range(_WARM_UP * max(1, workers)):
        next(batches)
    frames, started, before, spent = 0, time.perf_counter(), cpu_seconds(), 0.0
    while spent < _LEAST_CPU_SECONDS:
        next(batches)
        frames, spent = frames + _BATCH, cpu_seconds() - before
    return {
        "frames_per_cpu_second": round(frames / spent, 1),
        "frames_per_second": round(frames / (time.perf_counter() - started), 1),
    }


def main(_) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for size in (64, 256, 512):
            with contextlib.redirect_stdout(sys.stderr):  # TFDS prints.
                built = build.prepare(f"unity_avatars/procedural_{size}", folder, changes=_CHANGES)
            name = built.info.full_name.rpartition("/")[0]
            for source, prefix in (("array_record", ""), ("rendered", "render:")):
                for workers in (0, 2):
                    case = {"benchmark": "data", "source": source, "size": size, "workers": workers}
                    result = measure(prefix + name, folder, size, workers)
                    print(json.dumps({**case, **result}), flush=True)


if __name__ == "__main__":
    app.run(main)
