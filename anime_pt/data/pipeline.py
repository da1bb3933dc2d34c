"""Grain pipelines: shuffled endless batches for training, one padded pass for evaluation.

Everything is a function of the seed and the position, so an iterator is restored exactly from its position.
Threads by default: decoding releases the GIL, threads start in no time and their position restores under any
thread count. With `data.workers` that many processes make the same batches, for many cores and examples that
take long; a position restores under the same number of workers only.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import grain
import jax
import ml_collections
import numpy as np

from anime_pt.data import figures, gccpm_augment, held_out, pairs, sources
from anime_pt.data.framing import Framing
from anime_pt.pose import skeletons

Example = dict[str, Any]

# Read by transforms and recipes; whatever else a dataset stores is left out.
FEATURES = ("image", "mask", "keypoints", "box")
PAIRS = "pairs"
MOTIONS = "motions"
VIEWS = ("whole", "figure", "gccpm", PAIRS, MOTIONS)


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
    if _view(config) == MOTIONS:
        _motions().training(config, resolution, 2, 0)[0]
        _motions().evaluation(config, resolution, 2)
        return
    if _view(config) == PAIRS:
        pair_training(config, resolution, 0)[0]
        pair_evaluation(config, resolution, 1)[0]
        return
    for split, training in ((config.data.train_split, True), (config.data.eval_split, False)):
        example = _select(config).map(_examples(config, split, training)[0])
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
      ValueError: there is no such style or skeleton.
    """
    view = _view(config)
    if view == "whole":
        return Resize(*resolution)
    have, want = _skeletons(config)
    if view == "gccpm":
        if training:
            bug = config.data.get("permutation_bug", False)
            return gccpm_augment.Augmented(resolution, have, want, bug)
        return gccpm_augment.Squared(resolution, have, want)
    if training:
        return figures.Varied(resolution, have, want)
    return figures.Centred(resolution, have, want, config.data.get("eval_style", ""))


def _motions():
    from anime_pt.data import motions  # Rigs are imported only where they are needed.

    return motions


def is_computed(config: ml_collections.ConfigDict) -> bool:
    """Whether there is no dataset to be built: poses in space come from seeds and from motion files."""
    return _view(config) == MOTIONS


def _view(config: ml_collections.ConfigDict) -> str:
    view = config.data.get("view", "whole")
    if view not in VIEWS:
        raise ValueError(f"data.view = {view!r}: use {', '.join(VIEWS)}")
    return view


def _skeletons(config: ml_collections.ConfigDict) -> tuple[skeletons.Skeleton, skeletons.Skeleton]:
    """The dataset's, and the recipe's."""
    want = skeletons.named(config.skeleton)
    return skeletons.named(config.data.get("skeleton", "") or config.skeleton), want


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


def _poses(config: ml_collections.ConfigDict, training: bool) -> str:
    """`data.poses`, see `held_out`; "all" where the config has no such field."""
    poses = config.data.get("poses", held_out.ALL)
    held_out.check(poses, training)
    return poses


def _examples(config: ml_collections.ConfigDict, split: str, training: bool) -> Sequence[Example]:
    """A split, or what of it is in the poses that are chosen."""
    builder = sources.builder(config.data.name, config.data.data_dir)
    examples, poses = sources.source(builder, split), _poses(config, training)
    if poses == held_out.ALL:
        return examples
    name = f"{builder.info.full_name}, {split}"
    return held_out.Part(examples, held_out.poses(builder, examples, split), poses, name)


def _pair_source(
    config: ml_collections.ConfigDict, resolution: tuple[int, int], split: str, training: bool
) -> tuple[pairs.Source, Framing, list[pairs.Pair]]:
    """Pictures of a split, how they are cut, and the pairs that come with them, if these are to be used."""
    c = config.data
    dataset = sources.builder(c.name, c.data_dir)
    poses, is_listed = _poses(config, training), c.get("balance", "") == "published"
    if is_listed and poses != held_out.ALL:
        raise ValueError(f"data.poses = {poses!r}: published pairs take all poses; use another data.balance")
    source = pairs.source(dataset, split, c.get("part", ""), poses)
    framing = Framing(
        tuple(resolution), c.get("crop", "figure"), *_skeletons(config), _select(config), c.get("zoom", 1.0)
    )
    listed = pairs.published_list(dataset, split, source, _source_pictures(config)) if is_listed else []
    return source, framing, listed


def pair_training(config: ml_collections.ConfigDict, resolution: tuple[int, int], seed: int) -> pairs.Drawn:
    """The pairs of `config.data.train_split`, for the view "pairs", by position.

    `config.data` may have `poses` ("all", see `held_out`), `sources` (pictures that each pair shows of the
    character, 1), `crop` ("figure") and `zoom` (1.0; see `framing.Framing`), `balance` ("characters", see
    `pairs`), `flip` (mirror half of the pairs) and `flip_bug` (as the public code does: joints keep their
    names).
    """
    c = config.data
    source, framing, listed = _pair_source(config, resolution, c.train_split, training=True)
    return pairs.Drawn(
        source,
        framing,
        seed,
        pictures=_source_pictures(config),
        balance=c.get("balance", "characters"),
        flip=c.get("flip", False),
        swap=not c.get("flip_bug", False),
        listed=listed,
    )


def pair_evaluation(
    config: ml_collections.ConfigDict, resolution: tuple[int, int], examples: int = 0
) -> pairs.Listed:
    """Pairs of `config.data.eval_split`: `pairs.pair_list` of `examples`, by `config.data.eval_seed`.

    With the balance "published" the published ones, or `examples` of them, spread evenly.
    """
    source, framing, listed = _pair_source(config, resolution, config.data.eval_split, training=False)
    if listed:
        count = min(examples or len(listed), len(listed))
        chosen = [listed[i] for i in np.linspace(0, len(listed) - 1, count).round().astype(int)]
    else:
        pictures = _source_pictures(config)
        chosen = pairs.pair_list(source, config.data.get("eval_seed", 0), examples, pictures)
    return pairs.Listed(source, framing, chosen)


def described(config: ml_collections.ConfigDict, resolution: tuple[int, int]) -> dict[str, str]:
    """What an evaluation goes through, for its record: how many pairs, and the fingerprint of their list."""
    if _view(config) != PAIRS:
        return {}
    listed = pair_evaluation(config, resolution, config.eval.examples).pairs
    return {"pairs": f"{len(listed)} of {config.data.eval_split}, fingerprint {pairs.fingerprint(listed)}"}


def _source_pictures(config: ml_collections.ConfigDict) -> int:
    count = config.data.get("sources", 1)
    if count < 1:
        raise ValueError(f"data.sources = {count}: a pair has at least one source")
    return count


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
      in pixels of these images, with `get_state` and `set_state`. Of pairs: `target_image` and so on,
      `source_image` (b, n, h, w, 3) and so on, `character` (b,) int32. Of motions: keypoints and `world`.
    """
    share = slice(jax.process_index(), None, jax.process_count())
    if _view(config) == MOTIONS:
        # Whole batches, since numbers are drawn for many at once in the time of one.
        batches = _motions().training(config, resolution, _process_batch(batch_size), seed)
        dataset = grain.MapDataset.source(batches)[share]
    elif _view(config) == PAIRS:
        # They come in an order of their own, see `pairs`.
        dataset = grain.MapDataset.source(pair_training(config, resolution, seed))[share]
    else:
        examples = grain.MapDataset.source(_examples(config, config.data.train_split, training=True))[share]
        dataset = examples.seed(seed).shuffle().repeat(None).map(_select(config))
        transform = _transform(config, resolution, training=True)
        is_random = isinstance(transform, grain.transforms.RandomMap)
        dataset = dataset.random_map(transform) if is_random else dataset.map(transform)
    if _view(config) != MOTIONS:
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
    to that many, spread evenly over the split; 0 takes all. Of pairs it is the number, see `pair_evaluation`.
    """
    if _view(config) == MOTIONS:
        found = _motions().evaluation(config, resolution, examples)
        chosen = np.arange(len(found["world"]))
        read = lambda i: {k: values[i] for k, values in found.items()}
    elif _view(config) == PAIRS:
        listed = pair_evaluation(config, resolution, examples)
        chosen, read = np.arange(len(listed)), listed.__getitem__
    else:
        source = _examples(config, config.data.eval_split, training=False)
        count = min(examples or len(source), len(source))
        chosen = np.linspace(0, len(source) - 1, count).round().astype(int)
        select, transform = _select(config), _transform(config, resolution, training=False)
        read = lambda i: transform.map(select.map(source[i]))
    share = chosen[jax.process_index() :: jax.process_count()]
    size = _process_batch(batch_size)
    batches = -(-len(chosen) // batch_size)
    for b in range(batches):
        indices = share[b * size : (b + 1) * size]
        weight = np.zeros(size, np.float32)
        weight[: len(indices)] = 1
        padded = [*indices, *[chosen[-1]] * (size - len(indices))]
        rows = [read(int(i)) for i in padded]
        yield {k: np.stack([row[k] for row in rows]) for k in rows[0]} | {"weight": weight}
