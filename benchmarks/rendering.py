"""Speed of the CPU renderer: posing, fitting the camera, drawing with 2x2 samples, and keypoints.

    python -m benchmarks.rendering

prints one JSON line for each case. Frames are counted per CPU-second of all threads, so the numbers hold
on a busy machine; every frame has a new pose and view. The goals, on one core of a 2020s server, are 50
at 512 pixels and 20 at 1024. MMD models are taken from the folder in ANIME_PT_ASSETS, if it is set or lies
beside the repository.
"""

import json
import os
import pathlib
import time
from collections.abc import Iterator

import numpy as np

from anime_pt.avatars import camera, keypoints, mmd, poses, procedural, rasterise, rig
from anime_pt.avatars.character import Character

GOALS = {512: 50.0, 1024: 20.0}
FRAMES = {512: 48, 1024: 24}
_ASSETS = pathlib.Path(__file__).parent.parent.parent / "shared" / "assets"


def characters() -> Iterator[tuple[str, Character]]:
    """Procedural characters, then up to three MMD models that have a mesh, the largest first."""
    for seed in range(3):
        yield f"procedural {seed}", procedural.build(seed)
    root = pathlib.Path(os.environ.get("ANIME_PT_ASSETS", _ASSETS))
    found = []
    for path in sorted(root.rglob("*")) if root.is_dir() else ():
        if path.suffix.lower() in (".pmd", ".pmx"):
            try:
                found.append((path.name, mmd.load(path)))
            except ValueError:  # Not a humanoid.
                continue
    found.sort(key=lambda item: -len(item[1].triangles))
    yield from (item for item in found[:3] if len(item[1].triangles))


def measure(character: Character, size: int) -> dict[str, float]:
    """CPU milliseconds per frame by step, and frames per CPU-second."""
    rng = np.random.default_rng(0)
    renderer = rasterise.Renderer(size, supersample=2)
    spent = {"pose": 0.0, "fit": 0.0, "render": 0.0, "keypoints": 0.0}
    drawn = [poses.sample(rng) for _ in range(16)]
    for index in range(-2, FRAMES[size]):
        if index == 0:  # The first two frames compile and pack.
            spent = dict.fromkeys(spent, 0.0)
        times = [time.process_time()]
        globals_ = rig.pose(character, drawn[index % len(drawn)])
        times.append(time.process_time())
        view = camera.fit(character, globals_, size, yaw=13.0 * index, pitch=5.0)
        times.append(time.process_time())
        frame = renderer.render(character, globals_, view)
        times.append(time.process_time())
        keypoints.project(character, globals_, view, frame)
        times.append(time.process_time())
        for step, a, b in zip(spent, times[:-1], times[1:], strict=True):
            spent[step] += b - a
    result = {f"{step}_ms": round(1000 * total / FRAMES[size], 3) for step, total in spent.items()}
    return {"frames_per_cpu_second": round(FRAMES[size] / sum(spent.values()), 1), **result}


def main() -> None:
    for name, character in characters():
        for size, goal in GOALS.items():
            case = {
                "benchmark": "rendering",
                "character": name,
                "triangles": len(character.triangles),
                "vertices": len(character.positions),
                "size": size,
                "supersample": 2,
                "goal": goal,
            }
            print(json.dumps({**case, **measure(character, size)}, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
