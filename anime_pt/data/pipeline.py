"""Grain pipelines: shuffled endless batches for training, one padded pass for evaluation.

Everything is a function of the seed and the position, so an iterator is restored exactly from its position.
Threads by default: decoding releases the GIL, threads start in no time and their position restores under any
thread count. With `data.workers` that many processes make the same batches, for many cores and examples that
take long; a position restores under the same number of workers only.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import cv2
import grain
import jax
import ml_collections
import numpy as np

from anime_pt.data import figures, gccpm_augment, sources
from anime_pt.pose import skeletons

Example = dict[str, Any]

# Read by transforms and recipes; whatever else a dataset stores is left out.
FEATURES = ("image", "mask", "keypoints", "box")


@dataclasses.dataclass(frozen=True)
class Resize(grain.transforms.Map):
    """Scales image, mask and keypoints to a height and width by area averaging.

    Averaging is what progressive GANs call the lower level of detail (for powers of two it is the 2x2 mean,
    repeated). Enlarging is refused: it would invent detail.
    """

    height: int
    width: int

    def map(self, example: Example) -> Example:
        h, w = example["image"].shape[:2]
        if (h, w) == (self.height, self.width):
            return example
        _refuse_enlarging((h, w), (self.height, self.width))
        out = dict(example)
        for name in ("image", "mask"):
            if name in example:
                small = cv2.resize(example[name], (self.width, self.height), interpolation=cv2.INTER_AREA)
                out[name] = small.reshape(self.height, self.width, -1)
        if "keypoints" in example:
            scale = np.array([self.width / w, self.height / h, 1], np.float32)
            out["keypoints"] = example["keypoints"] * scale
        return out


def _refuse_enlarging(have: tuple[int, int], want: tuple[int, int]) -> None:
    if have[0] < want[0] or have[1] < want[1]:
        raise ValueError(
            f"images of {have[0]}x{have[1]} cannot train at {want[0]}x{want[1]}; "
            "take a dataset of that resolution, or a schedule that ends earlier"
        )


def check(config: ml_collections.ConfigDict, resolution: tuple[int, int]) -> None:
    """Raises ValueError if a split is absent, empty or damaged, or its images are smaller than asked for."""
    builder = sources.builder(config.data.name, config.data.data_dir)
    for split, training in ((config.data.train_split, True), (config.data.eval_split, False)):
        example = _select(config).map(sources.source(builder, split)[0])
        transform = _transform(config, resolution, training)
        if isinstance(transform, grain.transforms.RandomMap):
            transform.random_map(example, np.random.default_rng(0))
        else:
            transform.map(example)


def _transform(
    config: ml_collections.ConfigDict, resolution: tuple[int, int], training: bool
) -> grain.transforms.Map | grain.transforms.RandomMap:
    """What makes a network's picture of a dataset's, by `config.data.view`.

    "whole" (the default) takes the picture as it is. "figure" cuts out the figure, see `figures`; with the
    style of `data.eval_style` in evaluation. "gccpm" takes the whole picture as GCCPM's code does, see
    `gccpm_augment`; with its slip about channels if `data.permutation_bug`. For both, `data.skeleton` is the
    dataset's, where it is another one than the recipe's.

    Raises:
      ValueError: there is no such view, style or skeleton.
    """
    view = config.data.get("view", "whole")
    if view == "whole":
        return Resize(*resolution)
    if view not in ("figure", "gccpm"):
        raise ValueError(f"data.view = {view!r}: use whole, figure or gccpm")
    want = skeletons.named(config.skeleton)
    have = skeletons.named(config.data.get("skeleton", "") or config.skeleton)
    if view == "gccpm":
        if training:
            bug = config.data.get("permutation_bug", False)
            return gccpm_augment.Augmented(resolution, have, want, bug)
        return gccpm_augment.Squared(resolution, have, want)
    if training:
        return figures.Varied(resolution, have, want)
    return figures.Centred(resolution, have, want, config.data.get("eval_style", ""))


@dataclasses.dataclass(frozen=True)
class _Select(grain.transforms.Map):
    """The features that are read; of a dataset of pairs, those of one `part`, such as "human"."""

    part: str = ""

    def map(self, example: Example) -> Example:
        prefix = f"{self.part}_" if self.part else ""
        if f"{prefix}image" not in example:
            known = ", ".join(k for k in example if k.endswith("image"))
            raise ValueError(f"data.part = {self.part!r}: the dataset has no {prefix}image; it has {known}")
        return {k: example[prefix + k] for k in FEATURES if prefix + k in example}


def _select(config: ml_collections.ConfigDict) -> _Select:
    return _Select(config.data.get("part", ""))


def _process_batch(batch_size: int) -> int:
    if batch_size % jax.process_count():
        raise ValueError(f"batch_size={batch_size} does not divide over {jax.process_count()} processes")
    return batch_size // jax.process_count()


def train_iterator(
    config: ml_collections.ConfigDict, resolution: tuple[int, int], batch_size: int, seed: int
) -> grain.DatasetIterator:
    """Endless shuffled batches of this process's share of `config.data.train_split`.

    Args:
      config: `data.name`, `data.data_dir`, `data.train_split`, `data.threads`, `data.prefetch`, and
        `data.workers`, where there is one.
      resolution: (height, width) of the images.
      batch_size: global.
      seed: of the shuffling; every epoch has another order.

    Returns:
      An iterator over dicts: image (b, h, w, 3) uint8, mask (b, h, w, 1) uint8, keypoints (b, k, 3) float32
      in pixels of these images, with `get_state` and `set_state`.
    """
    source = sources.source(sources.builder(config.data.name, config.data.data_dir), config.data.train_split)
    dataset = (
        grain.MapDataset.source(source)[jax.process_index() :: jax.process_count()]
        .seed(seed)
        .shuffle()
        .repeat(None)
        .map(_select(config))
    )
    transform = _transform(config, resolution, training=True)
    is_random = isinstance(transform, grain.transforms.RandomMap)
    dataset = dataset.random_map(transform) if is_random else dataset.map(transform)
    dataset = dataset.batch(_process_batch(batch_size), drop_remainder=True)
    options = grain.ReadOptions(num_threads=config.data.threads, prefetch_buffer_size=config.data.prefetch)
    batches = dataset.to_iter_dataset(options)
    if workers := config.data.get("workers", 0):
        batches = batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers))
    return iter(batches)


def eval_batches(
    config: ml_collections.ConfigDict, resolution: tuple[int, int], batch_size: int, examples: int = 0
) -> Iterator[dict[str, np.ndarray]]:
    """One pass over `config.data.eval_split`, every example once, the last batch padded.

    `weight` (b,) is 1 for examples and 0 for padding (copies of the last example). `examples` limits the pass
    to that many, spread evenly over the split; 0 takes all.
    """
    source = sources.source(sources.builder(config.data.name, config.data.data_dir), config.data.eval_split)
    count = min(examples or len(source), len(source))
    chosen = np.linspace(0, len(source) - 1, count).round().astype(int)
    share = chosen[jax.process_index() :: jax.process_count()]
    size = _process_batch(batch_size)
    select, transform = _select(config), _transform(config, resolution, training=False)
    batches = -(-len(chosen) // batch_size)
    for b in range(batches):
        indices = share[b * size : (b + 1) * size]
        weight = np.zeros(size, np.float32)
        weight[: len(indices)] = 1
        padded = [*indices, *[chosen[-1]] * (size - len(indices))]
        rows = [transform.map(select.map(source[int(i)])) for i in padded]
        yield {k: np.stack([row[k] for row in rows]) for k in rows[0]} | {"weight": weight}
