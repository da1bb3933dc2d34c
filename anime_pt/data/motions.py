"""Poses in space and their joints before random cameras, in batches: what lifting trains on.

Poses come from seeds (`avatars.poses`: single ones, walks, dances, changes of poses) and from motions in a
folder of the user's (BVH, VMD, VRMA), which a built-in body performs. Each time one is drawn its limbs get
other lengths, its head another size and shape, from people to figures of two heads; in training it may also
take the arms or legs of another pose, and bend a little further than the sampler goes. Then it is seen from
anywhere, near or far, with joints that are a little off or not found at all.

Everything is a function of the seed and the position of a batch.
"""

import dataclasses
import functools
import hashlib
import pathlib

import ml_collections
import numpy as np
from jaxtyping import Float

from anime_pt.avatars import keypoints, motions, poses, procedural, quaternions, rig
from anime_pt.avatars.character import Character
from anime_pt.avatars.procedural import bare
from anime_pt.pose import heads
from anime_pt.pose.skeletons import AVATAR_20

SPLITS = ("train", "validation", "test", "all")
Batch = dict[str, np.ndarray]

# Metres from the neck over hips and knees to the ankles of everybody here: somebody 1.7 m tall.
_SIZE = 1.37
# Frames a second at which motions in files are looked at: neighbours are nearly alike.
_RATE = 5.0
# Frames of a seeded sequence: as short as they still differ.
_LENGTH = 12
# Most poses from seeds that are kept from training.
_HELD_OUT = 4_096
# Streams of random numbers.
_POSES, _VIEWS = 1, 2
_ENDLESS = 1 << 40
_SIDES = ("left", "right")
_AT = {name: i for i, name in enumerate(AVATAR_20.keypoints)}
_HIPS, _NECK = _AT["mid_hip"], _AT["neck"]
_FACE = [_AT[name] for name in heads.FACE]
_EARS = [_AT[f"{side}_ear"] for side in _SIDES]
_BELOW = [_AT[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle") for side in _SIDES]
_UPPER = [i for i in range(len(AVATAR_20)) if i not in (*_BELOW, _HIPS)]
# Joints that a picture that is cut off at knees or hips does not show.
_CUTS = ([_AT[f"{s}_ankle"] for s in _SIDES], [_AT[f"{s}_{j}"] for j in ("knee", "ankle") for s in _SIDES])
# Limb -> joints of the left side, parents first.
_CHAINS = (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))


@functools.cache
def figure() -> Character:
    """Who performs: the bones of a built-in character of six and a half heads."""
    return bare.build(dataclasses.replace(procedural.describe(4), heads=6.5))


@functools.cache
def seeded(count: int, split: str) -> Float[np.ndarray, "n 20 3"]:
    """At least `count` poses from seeds of a split, in metres; half of them single ones, half of motions."""
    who, stream = figure(), SPLITS.index(split)
    rng = np.random.default_rng((_POSES, stream))
    found = [poses.sample(rng) for _ in range(count - count // 2)]
    while len(found) < count:
        found += poses.sequence(rng, _LENGTH)
    return np.stack([keypoints.positions(who, rig.pose(who, pose)) for pose in found]).astype(np.float32)


@functools.cache
def of_files(folder: str, split: str) -> Float[np.ndarray, "n 20 3"]:
    """Poses of the motions in a folder, in metres; a file's name decides which split it is in.

    Raises:
      FileNotFoundError: there is no such folder.
      ValueError: it has no motions of that split, or one that cannot be read.
    """
    root = pathlib.Path(folder)
    if not root.is_dir():
        raise FileNotFoundError(f"data.files = {folder!r}: there is no such folder")
    files = sorted(p for p in root.rglob("*") if p.suffix.lower() in motions.SUFFIXES and p.suffix != ".vpd")
    files = [p for p in files if split in ("all", _split_of(str(p.relative_to(root))))]
    out = []
    for path in files:
        motion = motions.load(path)
        performance = motion.on(figure())
        times = np.arange(0, motion.frames / motion.fps, 1 / _RATE)
        posed = [rig.pose(figure(), performance.pose(float(t))) for t in times]
        out += [keypoints.positions(figure(), globals_) for globals_ in posed]
    if not out:
        raise ValueError(
            f"data.files = {folder!r}: no motion (.bvh, .vmd, .vrma) in it is in split {split!r}"
        )
    return np.stack(out).astype(np.float32)


def _split_of(name: str) -> str:
    """One file of ten is for validation, one for tests; "all" takes every file."""
    share = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % 10
    return {0: "validation", 1: "test"}.get(share, "train")


def library(config: ml_collections.ConfigDict, split: str) -> Float[np.ndarray, "n 20 3"]:
    """The poses of a split: `data.seeded` of them from seeds, and those of the motions in `data.files`.

    Raises:
      ValueError: there is no such split, or nothing in it.
    """
    c = config.data
    if split not in SPLITS:
        raise ValueError(f"motions have no split {split!r}; they have {', '.join(SPLITS)}")
    if not c.seeded and not c.files:
        raise ValueError(
            "data.seeded is 0 and data.files names no folder: there are no poses; set one of them"
        )
    count = c.seeded if split == "train" else min(c.seeded, _HELD_OUT)
    found = [seeded(count, split)] if count else []
    return np.concatenate([*found, *([of_files(c.files, split)] if c.files else [])])


def training(
    config: ml_collections.ConfigDict, size: tuple[int, int], batch_size: int, seed: int
) -> "Batches":
    """Batches of `data.train_split`, with its `data.noise` and `data.missing`."""
    c = config.data
    return Batches(library(config, c.train_split), tuple(size), batch_size, seed, c.noise, c.missing, True)


def evaluation(config: ml_collections.ConfigDict, size: tuple[int, int], examples: int = 0) -> Batch:
    """Poses of `data.eval_split` as they are, on bodies and before cameras that `data.eval_seed` fixes.

    Joints are exact and all there, but for `data.eval_noise` and `data.eval_missing`. `examples` limits them
    to so many, spread evenly; 0 takes all.
    """
    c = config.data
    points = library(config, c.eval_split)
    count = min(examples or len(points), len(points))
    chosen = points[np.linspace(0, len(points) - 1, count).round().astype(int)]
    batches = Batches(chosen, tuple(size), count, c.eval_seed, c.eval_noise, c.eval_missing)
    return batches.seen(chosen, np.random.default_rng((c.eval_seed, _VIEWS)))


@dataclasses.dataclass(frozen=True, repr=False)
class Batches:
    """Batches without end, each a function of the seed and its position.

    Attributes:
      points: (n, 20, 3) poses in metres.
      size: (height, width) of the pictures.
      batch_size: examples of each.
      seed: of all that is random.
      noise: mean error of joints, as a share of the figure's size; each example has its own.
      missing: share of joints that are not found.
      wide: whether limbs and trunk go further than they came.
    """

    points: np.ndarray
    size: tuple[int, int]
    batch_size: int
    seed: int
    noise: float = 0.0
    missing: float = 0.0
    wide: bool = False

    def __len__(self) -> int:
        return _ENDLESS

    def __repr__(self) -> str:
        # Grain compares it when an iterator continues.
        return f"motions(poses={len(self.points)}, noise={self.noise}, missing={self.missing})"

    def __getitem__(self, position: int) -> Batch:
        """`keypoints` (b, 20, 3) in pixels, and `world` (b, 20, 3), see `pose.sequences.PoseSequence`."""
        rng = np.random.default_rng((self.seed, _VIEWS, position))
        return self.seen(self.points[rng.integers(len(self.points), size=self.batch_size)], rng)

    def seen(self, points: Float[np.ndarray, "b 20 3"], rng: np.random.Generator) -> Batch:
        """Poses with other proportions, before random cameras."""
        points = points.astype(np.float64) - points[:, _HIPS : _HIPS + 1]
        if self.wide:
            points = _bent(_mixed(points, rng), rng)
        points = _other_body(points, rng)
        if self.wide:
            points = _tilted(points, rng)
        world = _turned(points, rng)
        return {"keypoints": self._picture(world, rng), "world": world.astype(np.float32)}

    def _picture(self, world: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The pictures, nearly filled by the figures, their joints a little off or not found."""
        count, (h, w) = len(world), self.size
        far = np.exp(rng.uniform(np.log(2.2), np.log(15.0), (count, 1, 1)))
        flat = world[..., :2] / (far + world[..., 2:])
        low, high = flat.min(1, keepdims=True), flat.max(1, keepdims=True)
        scale = (0.85 * np.array([w, h]) / np.maximum(high - low, 1e-6)).min(-1, keepdims=True)
        places = (flat - (low + high) / 2) * scale + np.array([w, h]) / 2
        off = self.noise * rng.exponential(1.0, (count, 1, 1)) * 0.85 * h
        places = places + off * rng.normal(size=places.shape)
        out = np.concatenate([places, np.ones((count, len(AVATAR_20), 1))], -1).astype(np.float32)
        if self.missing:
            gone = rng.random(out.shape[:2]) < 2 * self.missing * rng.random((count, 1))
            # Estimators of people know no top of the head, and no hidden ears.
            gone[:, _AT["head_top"]] |= rng.random(count) < 0.5
            for side in _SIDES:
                gone[:, _AT[f"{side}_ear"]] |= rng.random(count) < 0.2
            for cut in _CUTS:
                gone[np.ix_(rng.random(count) < self.missing / 2, cut)] = True
            # Shoulders are seen by whoever sees a figure.
            gone[:, [_AT[f"{side}_shoulder"] for side in _SIDES]] = False
            out[gone] = (np.nan, np.nan, 0.0)
        return out


def _about(vectors: np.ndarray) -> np.ndarray:
    """(..., 3) rotation vectors as (..., 4) quaternions."""
    return quaternions.about(quaternions.unit(vectors), np.linalg.norm(vectors, axis=-1))


def _mixed(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Half of the figures have the arms, half the legs of the one before: with each trunk as they were."""
    out = points.copy()
    for chain in _CHAINS:
        frames = _frames(points, chain[0])
        turns = np.roll(frames, 1, 0).swapaxes(1, 2) @ frames
        takes = rng.random((len(points), 1)) < 0.5
        for side in _SIDES:
            start, *rest = (_AT[f"{side}_{joint}"] for joint in chain)
            for end in rest:
                limb = np.roll(points[:, end] - points[:, start], 1, 0)
                out[:, end] = np.where(
                    takes, points[:, start] + (limb[:, None] @ turns)[:, 0], points[:, end]
                )
    return out


def _frames(points: np.ndarray, joint: str) -> np.ndarray:
    """(b, 3, 3) left, up and ahead, in rows, of what a pair of joints belongs to."""
    left = quaternions.unit(points[:, _AT["left_" + joint]] - points[:, _AT["right_" + joint]])
    up = points[:, _NECK] - points[:, _HIPS]
    up = quaternions.unit(up - (up * left).sum(1, keepdims=True) * left)
    return np.stack([left, up, np.cross(left, up)], 1)


def _bent(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Half of the figures lean and turn in the waist, all limbs point a little elsewhere."""
    out, count = points.copy(), len(points)
    bend = rng.normal(0, [0.3, 0.25, 0.15], (count, 3)) * (rng.random((count, 1)) < 0.5)
    out[:, _UPPER] = quaternions.rotate(_about(bend)[:, None], points[:, _UPPER])
    before = out.copy()
    for side in _SIDES:
        for chain in _CHAINS:
            start, *rest = (_AT[f"{side}_{joint}"] for joint in chain)
            for end in rest:
                limb = before[:, end] - before[:, start]
                length = np.linalg.norm(limb, axis=1, keepdims=True)
                off = limb + length * rng.normal(0, 0.15, limb.shape)
                out[:, end] = out[:, start] + length * quaternions.unit(off)
                start = end
    return out


def _other_body(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same directions on bodies of other proportions, from people's to large heads on short legs."""
    count = len(points)
    factor = lambda spread: np.exp(rng.normal(0, spread, (count, 1)))
    trunk_length = np.linalg.norm(points[:, _NECK], axis=1, keepdims=True)
    # Half the width of the head, in trunks: people have 0.15.
    share = np.exp(rng.uniform(np.log(0.13), np.log(0.6), (count, 1)))
    share = np.where(rng.random((count, 1)) < 0.5, rng.uniform(0.13, 0.2, (count, 1)), share)
    short = 1.05 - 0.7 * (share - 0.15)
    out = points.copy()
    shoulders = points[:, [_AT[f"{side}_shoulder"] for side in _SIDES]]
    middle = shoulders.mean(1)
    neck = points[:, _NECK] + rng.choice([0.0, 0.5, 1.0], (count, 1)) * (middle - points[:, _NECK])
    wide = factor(0.12)
    for i, side in enumerate(_SIDES):
        out[:, _AT[f"{side}_shoulder"]] = middle + wide * (shoulders[:, i] - middle)
    out[:, _NECK] = neck
    wide = factor(0.2) * 1.1
    for side in _SIDES:
        out[:, _AT[f"{side}_hip"]] = points[:, _HIPS] + wide * (
            points[:, _AT[f"{side}_hip"]] - points[:, _HIPS]
        )
    for chain in _CHAINS:
        lengths = [factor(0.08) * short for _ in chain[1:]]
        for side in _SIDES:
            start, *rest = (_AT[f"{side}_{joint}"] for joint in chain)
            for end, length in zip(rest, lengths, strict=True):
                out[:, end] = out[:, start] + length * (points[:, end] - points[:, start])
                start = end
    _other_head(points, out, share * trunk_length, rng)
    legs = sum(
        np.linalg.norm(out[:, _AT[f"left_{a}"]] - out[:, _AT[f"left_{b}"]], axis=1)
        for a, b in (("hip", "knee"), ("knee", "ankle"))
    )
    return out * (_SIZE / (legs + np.linalg.norm(out[:, _NECK], axis=1)))[:, None, None]


def _other_head(points: np.ndarray, out: np.ndarray, size: np.ndarray, rng: np.random.Generator) -> None:
    """Puts heads into `out`: between those of people and drawn ones, `size` (b, 1) is half their width."""
    ears, top = points[:, _EARS], points[:, _AT["head_top"]]
    left = quaternions.unit(ears[:, 0] - ears[:, 1])
    up = top - ears.mean(1)
    up = quaternions.unit(up - (up * left).sum(1, keepdims=True) * left)
    frame = np.stack([left, up, np.cross(left, up)], 1)
    share = rng.random((len(points), 1, 1))
    shape = share * heads.DRAWN.points + (1 - share) * heads.HUMAN.points
    shape = shape + rng.normal(0, 0.05, (len(points), 1, 3))
    trunk = np.linalg.norm(points[:, _NECK], axis=1, keepdims=True)
    neck = quaternions.unit(ears.mean(1) - points[:, _NECK]) * (0.24 * trunk + 0.85 * size)
    out[:, _FACE] = (out[:, _NECK] + neck)[:, None] + size[..., None] * (shape @ frame)


def _tilted(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Some figures fall over, half of all are mirrored."""
    count = len(points)
    fall = rng.normal(0, [0.6, 0.0, 0.6], (count, 3)) * (rng.random((count, 1)) < 0.15)
    out = quaternions.rotate(_about(fall)[:, None], points)
    mirrored = out[:, AVATAR_20.flip] * [-1.0, 1.0, 1.0]
    return np.where(rng.random((count, 1, 1)) < 0.5, mirrored, out)


def _turned(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As a camera anywhere around sees them, mostly at the height of the hips: x right, y down, z away."""
    count = len(points)
    yaw = _about(np.pi * rng.uniform(-1, 1, (count, 1)) * [0.0, 1.0, 0.0])
    pitch = _about(np.radians(np.clip(rng.normal(6, 11, (count, 1)), -20, 45)) * [1.0, 0.0, 0.0])
    roll = _about(np.radians(rng.normal(0, 3, (count, 1))) * [0.0, 0.0, 1.0])
    turn = quaternions.multiply(roll, quaternions.multiply(pitch, yaw))
    return quaternions.rotate(turn[:, None], points) * [1.0, -1.0, -1.0]
