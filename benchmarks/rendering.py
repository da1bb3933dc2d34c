"""Speed of the CPU renderer: posing, fitting the camera, drawing with 2x2 samples, and keypoints.

    python -m benchmarks.rendering

prints one JSON line for each case. Frames are counted per CPU-second of all threads, so the numbers hold
on a busy machine; every frame has a new pose and view. The goals, on one core of a 2020s server, are 50
at 512 pixels and 20 at 1024. Cases: poses from a seed under an orthographic and a perspective camera, and a
clip with its morphs under one camera for all of it; the time to fit that camera is given for each frame of
the clip. Models and motions are taken from the folder in ANIME_PT_ASSETS, if it is set or lies beside the
repository: the three largest models that have a mesh, and for the clip the VMD with the most keys of bones.
Without, the clip is a procedural motion.
"""

import json
import os
import pathlib
import time
from collections.abc import Iterator

import numpy as np

from anime_pt.avatars import camera, files, keypoints, motions, poses, rasterise, rig
from anime_pt.avatars.character import Character
from anime_pt.avatars.formats import vmd

GOALS = {512: 50.0, 1024: 20.0}
FRAMES = {512: 48, 1024: 24}
_ASSETS = pathlib.Path(__file__).parent.parent.parent / "shared" / "assets"
# Degrees.
_FOV = 30.0


def _assets(*suffixes: str) -> list[pathlib.Path]:
    root = pathlib.Path(os.environ.get("ANIME_PT_ASSETS", _ASSETS))
    return sorted(p for p in root.rglob("*") if p.suffix.lower() in suffixes) if root.is_dir() else []


def characters() -> Iterator[tuple[str, Character]]:
    """Procedural characters, then up to three models of files, the largest first."""
    for seed in range(3):
        yield f"procedural {seed}", files.load(f"procedural:{seed}")
    found = []
    for path in _assets(*files.SUFFIXES):
        try:
            found.append((path.name, files.load(path)))
        except ValueError:  # Not a humanoid.
            continue
    found.sort(key=lambda item: -len(item[1].triangles))
    yield from (item for item in found[:3] if len(item[1].triangles))


def motion() -> motions.Motion:
    """The VMD with the most keys of bones, or a procedural motion."""
    most, chosen = 0, "procedural:0"
    for path in _assets(".vmd"):
        try:
            count = sum(len(keys.frames) for keys in vmd.read(path).bones.values())
        except ValueError:  # Damaged.
            continue
        if count > most:
            most, chosen = count, path
    return motions.load(chosen)


def measure(character: Character, size: int, case: str, clip: motions.Motion) -> dict[str, float]:
    """CPU milliseconds per frame by step, and frames per CPU-second.

    Args:
      character: who is drawn.
      size: side of the picture in pixels.
      case: "orthographic", "perspective" or "clip".
      clip: the motion of the last case.
    """
    rng = np.random.default_rng(0)
    renderer = rasterise.Renderer(size, supersample=2)
    drawn = [poses.sample(rng) for _ in range(16)]
    fov = None if case == "orthographic" else _FOV
    fixed, fit_clip = None, 0.0
    if case == "clip":
        performance = clip.on(character)
        times = np.linspace(0, clip.frames / clip.fps, FRAMES[size] + 2)
        moments = [motions.moment(character, performance, seconds) for seconds in times]
        start = time.process_time()
        fixed = camera.fit_clip(character, moments, size, fov=fov)
        fit_clip = (time.process_time() - start) / len(moments)
    spent = dict.fromkeys(("pose", "fit", "render", "keypoints"), 0.0)
    for index in range(-2, FRAMES[size]):
        if index == 0:  # The first two frames compile and pack.
            spent = dict.fromkeys(spent, 0.0)
        stamps = [time.process_time()]
        morphed = None
        if case == "clip":
            globals_, morphed = motions.moment(character, performance, times[index])
        else:
            globals_ = rig.pose(character, drawn[index % len(drawn)])
        stamps.append(time.process_time())
        view = fixed or camera.fit(character, globals_, size, yaw=13.0 * index, pitch=5.0, fov=fov)
        stamps.append(time.process_time())
        frame = renderer.render(character, globals_, view, morphed=morphed)
        stamps.append(time.process_time())
        keypoints.project(character, globals_, view, frame)
        stamps.append(time.process_time())
        for step, a, b in zip(spent, stamps[:-1], stamps[1:], strict=True):
            spent[step] += b - a
    result = {f"{step}_ms": round(1000 * total / FRAMES[size], 3) for step, total in spent.items()}
    if case == "clip":
        result["fit_clip_ms"] = round(1000 * fit_clip, 3)
    return {"frames_per_cpu_second": round(FRAMES[size] / sum(spent.values()), 1), **result}


def main() -> None:
    clip = motion()
    for name, character in characters():
        for size, goal in GOALS.items():
            for kind in ("orthographic", "perspective", "clip"):
                case = {
                    "benchmark": "rendering",
                    "character": name,
                    "triangles": len(character.triangles),
                    "vertices": len(character.positions),
                    "case": f"{kind} {clip.name}" if kind == "clip" else kind,
                    "size": size,
                    "supersample": 2,
                    "goal": goal,
                }
                result = measure(character, size, kind, clip)
                print(json.dumps({**case, **result}, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
