"""What filters make of jitter: `python -m benchmarks.smoothing`. One JSON line per filter, setting and noise.

Clean motions at 30 frames per second are those of BVH files (of the folder in ANIME_PT_ASSETS, where it has
any) and procedural ones, performed by a procedural character and projected. Gaussian jitter of 0.5 % of the
figure's height is added to every joint, and in "outliers" 2 % of all joints are also thrown by up to a tenth
of the height. Lengths are percent of the height:

    error     mean distance from the clean joint
    worst     its 99th percentile
    jitter    mean acceleration beyond the clean motion's, per frame^2: the mean length of the second
              difference of what is left of the noise
    lag       frames by which the result comes late: the shift at which it fits the clean motion best

Then gaps: joints are taken out for some frames and filled; "smoothed": of the joints with jitter, smoothed
before.
"""

import argparse
import itertools
import json
import os
import pathlib

import numpy as np

from anime_pt.avatars import camera, keypoints, motions, procedural, rig
from anime_pt.pose import gaps, smoothing
from anime_pt.pose.sequences import PoseSequence
from anime_pt.pose.skeletons import AVATAR_20

FPS, SIDE, FRAMES = 30.0, 512, 240
JITTER, OUTLIERS, THROW = 0.005, 0.02, 0.1
SETTINGS = [
    ("none", {}),
    *(("savgol", {"window": w, "order": o}) for w, o in ((5, 2), (7, 2), (9, 2), (11, 2), (15, 2))),
    *(("savgol", {"window": w, "order": 3}) for w in (7, 9, 11, 15)),
    *(("median", {"window": w}) for w in (3, 5, 7, 9)),
    ("median", {"window": 7, "openmmd_ends": True}),
    *(("median_savgol", {"window": w, "order": 2}) for w in (7, 9, 11)),
    *(
        ("one_euro", {"min_cutoff": c, "beta": b, "derivative_cutoff": d})
        for d in (1.0, 3.0)
        for c in (0.5, 1.0, 2.0)
        for b in (10.0, 20.0, 40.0)
    ),
]


def clean(most: int) -> list[tuple[str, np.ndarray]]:
    """Names and (t, 20, 3) joints of motions, without any noise."""
    assets = pathlib.Path(os.environ.get("ANIME_PT_ASSETS", "../shared/assets"))
    files = sorted(p for p in assets.rglob("*.bvh") if p.is_file())[:most]
    character = procedural.build(0)
    view = camera.still(character, SIDE)
    out = []
    for spec in [*files, *(f"procedural:{seed},{FRAMES}" for seed in range(6))]:
        motion = motions.load(spec)
        performance = motion.on(character)
        count = min(FRAMES, int(motion.frames / motion.fps * FPS))
        frames = [rig.pose(character, performance.pose(i / FPS)) for i in range(count)]
        points = np.stack([view.project(keypoints.positions(character, g)) for g in frames])
        points[..., 2] = 1
        out.append((pathlib.Path(spec).stem, points))
    return out


def height(points: np.ndarray) -> float:
    """Of the figure in pixels, from head to ankles in the median frame."""
    top, ankle = AVATAR_20.index("head_top"), AVATAR_20.index("left_ankle")
    return float(np.median(np.linalg.norm(points[:, top, :2] - points[:, ankle, :2], axis=-1)))


def noisy(points: np.ndarray, outliers: bool, rng: np.random.Generator) -> np.ndarray:
    """With jitter, and thrown joints."""
    tall, out = height(points), points.copy()
    out[..., :2] += rng.normal(0, JITTER * tall, points[..., :2].shape)
    if outliers:
        thrown = rng.random(points.shape[:2]) < OUTLIERS
        angle, far = rng.uniform(0, 2 * np.pi, thrown.sum()), rng.uniform(0, THROW * tall, thrown.sum())
        out[thrown, :2] += np.stack([np.cos(angle), np.sin(angle)], 1) * far[:, None]
    return out


def filtered(name: str, points: np.ndarray, settings: dict) -> np.ndarray:
    """By one filter, or as they are."""
    if name == "none":
        return points
    sequence = PoseSequence(points, AVATAR_20, (SIDE, SIDE), FPS)
    return smoothing.smooth(sequence, name, **settings).keypoints


def lag(result: np.ndarray, truth: np.ndarray, most: int = 8) -> float:
    """Frames by which a result comes late, between frames by a parabola."""
    inner = slice(most, len(truth) - most)
    at = range(-most, most + 1)
    misses = [np.square(result[inner, :, :2] - np.roll(truth, s, 0)[inner, :, :2]).mean() for s in at]
    i = int(np.clip(np.argmin(misses), 1, len(misses) - 2))
    a, b, c = misses[i - 1 : i + 2]
    return at[i] + 0.5 * (a - c) / (a - 2 * b + c)


def measured(name: str, settings: dict, cases: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Means over motions (clean, noisy)."""
    rows = []
    for truth, points in cases:
        tall = height(truth) / 100
        result = filtered(name, points, settings)
        off = (result - truth)[..., :2] / tall
        distance = np.linalg.norm(off, axis=-1)
        shake = np.linalg.norm(np.diff(off, 2, axis=0), axis=-1).mean()
        rows.append([distance.mean(), np.quantile(distance, 0.99), shake, lag(result, truth)])
    names = ("error", "worst", "jitter", "lag")
    return {k: round(float(v), 3) for k, v in zip(names, np.mean(rows, 0), strict=True)}


def filling(cases: list[tuple[np.ndarray, np.ndarray]], length: int, method: str, smoothed: bool) -> float:
    """Mean error in gaps of one length in motions (clean, noisy), percent of the height."""
    errors, rng = [], np.random.default_rng(1)
    for truth, points in cases:
        holes = points.astype(np.float32)
        lost = np.zeros(truth.shape[:2], bool)
        for joint in range(truth.shape[1]):
            start = rng.integers(5, len(truth) - length - 5)
            lost[start : start + length, joint] = True
        holes[lost] = (np.nan, np.nan, 0)
        sequence = PoseSequence(holes, AVATAR_20, (SIDE, SIDE), FPS)
        done, _ = gaps.fill(smoothing.smooth(sequence) if smoothed else sequence, length, method)
        off = np.linalg.norm(done.keypoints[lost, :2] - truth[lost, :2], axis=-1)
        errors.append(off.mean() / height(truth) * 100)
    return round(float(np.mean(errors)), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", type=int, default=12, help="most BVH files to use")
    truths = [points for _, points in clean(parser.parse_args().files)]
    show = lambda line: print(json.dumps({"benchmark": "smoothing"} | line), flush=True)
    for noise in ("jitter", "outliers"):
        rng = np.random.default_rng(0)
        cases = [(truth, noisy(truth, noise == "outliers", rng)) for truth in truths]
        for name, settings in SETTINGS:
            result = measured(name, settings, cases)
            show({"filter": name, **settings, "noise": noise, "motions": len(truths), **result})
    rng = np.random.default_rng(0)
    shaken = [(truth, noisy(truth, False, rng)) for truth in truths]
    for noise, cases in (("none", [(t, t) for t in truths]), ("jitter", shaken), ("smoothed", shaken)):
        for length, method in itertools.product((1, 2, 4, 8, 15, 30), gaps.METHODS):
            error = filling(cases, length, method, noise == "smoothed")
            show({"gap": length, "method": method, "noise": noise, "error": error})


if __name__ == "__main__":
    main()
