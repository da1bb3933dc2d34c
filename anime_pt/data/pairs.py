"""Pairs of pictures of one character in one costume, made while they are read: what pose transfer trains on.

Any split that says whom a picture shows gives pairs; no picture is decoded to find out. Training draws pairs
without end, as a function of the seed and the position: one character after another, in another order in
every turn, so that one of few pictures comes as often as one of many (`balance="characters"`); or all ordered
pairs alike ("pairs"); or, as PATN's loader does, all of the list that comes with a dataset ("published").
Evaluation takes a fixed list, `pair_list` or the published one. Pictures of two splits never meet, and a
picture is never its own target. Some poses may be held out, see `held_out`.
"""

import bisect
import dataclasses
import functools
import hashlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from anime_pt.data import held_out, sources
from anime_pt.data.framing import Framing
from tfds_builders import live
from tfds_builders.pose_transfer import pairs as published

Example = dict[str, Any]
# Indices of the pictures of a pair: the sources, and the target.
Pair = tuple[tuple[int, ...], int]

BALANCES = ("characters", "pairs", "published")
# Of a training that never reaches its end; grain wants one.
_ENDLESS = 1 << 40
# Names of the random streams, so that one more draw in one of them moves no other.
_ORDER, _CHOICE, _MIRROR, _LIST = 1, 2, 3, 4


@dataclasses.dataclass(frozen=True)
class Group:
    """Pictures that may be paired: of one character in one costume.

    Attributes:
      character: whom they show.
      runs: ((start, stop), ...) in the split, rising: splits that are rendered when they are read may have
        millions of pictures.
      goals: pictures that are targets, if these others are; then those of `runs` are sources alone.
      costume: what they wear, where the dataset says it.
    """

    character: str
    runs: tuple[tuple[int, int], ...]
    goals: "Group | None" = None
    costume: str = ""

    @functools.cached_property
    def _ends(self) -> list[int]:
        """Members up to the end of each run."""
        return list(itertools.accumulate(stop - start for start, stop in self.runs))

    def __len__(self) -> int:
        return self._ends[-1] if self.runs else 0

    def __getitem__(self, member: int) -> int:
        """Place in the split of a member."""
        run = bisect.bisect_right(self._ends, member)
        return self.runs[run][1] - (self._ends[run] - member)

    def member(self, picture: int) -> int:
        """Number of the member at a place in the split."""
        run = bisect.bisect_right(self.runs, picture, key=lambda run: run[0]) - 1
        return picture - self.runs[run][1] + self._ends[run]

    @property
    def targets(self) -> "Group":
        """The pictures that may be targets."""
        return self if self.goals is None else self.goals

    @property
    def pairs(self) -> int:
        """How many ordered pairs there are."""
        return len(self.targets) * self._others

    @property
    def _others(self) -> int:
        """How many sources a target has."""
        return len(self) - (self.goals is None)

    def draw(self, target: int, count: int, rng: np.random.Generator) -> tuple[int, ...]:
        """Places of `count` sources for the target at a place; some come twice if there are fewer."""
        chosen = rng.choice(self._others, count, replace=self._others < count)
        own = self.member(target) if self.goals is None else len(self)
        return tuple(self[int(m + (m >= own))] for m in chosen)


@dataclasses.dataclass(frozen=True, repr=False)
class Source:
    """A split and who is on its pictures. Pickles.

    Attributes:
      name: of the dataset and the split.
      examples: the split.
      groups: those of two pictures and more, in the order of their first ones.
    """

    name: str
    examples: Sequence[Example]
    groups: tuple[Group, ...]

    @functools.cached_property
    def characters(self) -> list[list[Group]]:
        """The groups of each character."""
        out: dict[str, list[Group]] = {}
        for group in self.groups:
            out.setdefault(group.character, []).append(group)
        return list(out.values())

    @functools.cached_property
    def _places(self) -> list[tuple[int, int, Group]]:
        """All runs, rising."""
        parts = ((group, part) for group in self.groups for part in dict.fromkeys((group, group.targets)))
        return sorted(((*run, group) for group, part in parts for run in part.runs), key=lambda r: r[:2])

    def group_of(self, picture: int) -> Group:
        """The group of a picture of the split."""
        run = bisect.bisect_right(self._places, picture, key=lambda place: place[0]) - 1
        start, stop, group = self._places[max(run, 0)]
        if not start <= picture < stop:
            raise ValueError(f"{self.name}: picture {picture} has no partner")
        return group


def source(
    dataset: tfds.core.DatasetBuilder | live.Dataset,
    split: str,
    part: str = "",
    poses: str = held_out.ALL,
) -> Source:
    """A split as a source of pairs. Who is on which picture is read once in a process, then remembered.

    Args:
      dataset: of `sources.builder`.
      split: name, or a part by TFDS's syntax.
      part: of a dataset of pairs, such as "human": whose pictures are meant.
      poses: in which poses pictures may be, see `held_out`.

    Raises:
      ValueError: the split cannot be read or does not say whom its pictures show, or no two show the same; or
        poses are to be held out, and it does not say which is which.
    """
    held_out.check(poses)
    examples = sources.source(dataset, split)
    name = f"{dataset.info.full_name}, {split}" + (f", {part}" if part else "")
    name += "" if poses == held_out.ALL else f", {poses} poses"
    key = (str(dataset.data_dir), name, len(examples))
    if key not in _groups:
        runs: dict[tuple[str, ...], list[tuple[int, int]]] = {}
        start = 0
        for who, rows in itertools.groupby(_who(dataset, examples, split, part), lambda row: row[0]):
            count = sum(row[1] for row in rows)
            runs.setdefault(who, []).append((start, start + count))
            start += count
        groups = (Group(who[0], tuple(of), costume="".join(who[1:])) for who, of in runs.items())
        if poses != held_out.ALL:
            numbers = held_out.poses(dataset, examples, split)
            groups = (_in_poses(group, numbers, poses) for group in groups)
        _groups[key] = tuple(group for group in groups if group.pairs > 0)
    if not _groups[key]:
        raise ValueError(f"{name}: no character is on two pictures in one costume; pose transfer needs pairs")
    return Source(name, examples, _groups[key])


_groups: dict[tuple[str, str, int], tuple[Group, ...]] = {}


def _in_poses(group: Group, numbers: Sequence[int], poses: str) -> Group:
    """What of a group is in seen poses; for targets in unseen ones, if asked for."""

    def runs(unseen: bool) -> tuple[tuple[int, int], ...]:
        places = (i for run in group.runs for i in range(*run) if held_out.unseen(numbers[i]) is unseen)
        out: list[list[int]] = []
        for place in places:
            if out and out[-1][1] == place:
                out[-1][1] += 1
            else:
                out.append([place, place + 1])
        return tuple(map(tuple, out))

    goals = Group(group.character, runs(True)) if poses == held_out.UNSEEN else None
    return dataclasses.replace(group, runs=runs(False), goals=goals)


def _who(
    dataset: tfds.core.DatasetBuilder | live.Dataset, examples: Sequence[Example], split: str, part: str
) -> Iterator[tuple[tuple[str, ...], int]]:
    """What must be equal in a pair, the character first, and of how many pictures in a row it holds."""
    if isinstance(dataset, live.Dataset):
        yield from (((character, costume), count) for character, costume, count in examples.who())
        return
    features = dataset.info.features
    # The human of a pair is one person through a motion, in one set of clothes.
    wanted = ("motion",) if part == "human" else ("character", "costume")
    fields = [name for name in wanted if name in features]
    if wanted[0] not in fields:
        raise ValueError(
            f"{dataset.info.full_name} does not say whom a picture shows: take a dataset with characters"
        )
    pictures = [name for name, feature in features.items() if isinstance(feature, tfds.features.Image)]
    undecoded = dataset.as_data_source(split, decoders=dict.fromkeys(pictures, tfds.decode.SkipDecoding()))
    yield from ((tuple(example[name].decode() for name in fields), 1) for example in undecoded)


def pair_list(source: Source, seed: int = 0, count: int = 0, pictures: int = 1) -> list[Pair]:
    """The pairs that an evaluation goes through: fixed by the seed.

    Characters take turns, so the list of a smaller count is the beginning of a longer one. A picture is a
    target again only when all of its character have been.

    Args:
      source: a split.
      seed: of the choice.
      count: how many; 0 takes every picture once as a target, of characters of many pictures the last ones.
      pictures: sources of each pair; where a character has fewer others, some come twice.

    Returns:
      Places in the split: the sources', and the target's.
    """
    lines = [_targets(groups, (seed, _LIST, c)) for c, groups in enumerate(source.characters)]
    limits = [sum(len(group.targets) for group in groups) for groups in source.characters]
    out: list[Pair] = []
    for turn in itertools.count():
        takers = [c for c, limit in enumerate(limits) if count or turn < limit]
        if not takers:
            return out
        for c in takers:
            if count and len(out) == count:
                return out
            group, target = lines[c](turn)
            of = group.draw(target, pictures, np.random.default_rng((seed, _LIST, c, turn)))
            out.append((of, target))


def _targets(groups: Sequence[Group], seed: tuple[int, ...]) -> Callable[[int], tuple[Group, int]]:
    """Group and target by turn: all pictures of a character before the first comes again."""
    total = sum(len(group.targets) for group in groups)
    rng = np.random.default_rng(seed)
    # A stride without a common divisor visits all, and needs no list of millions.
    first = int(rng.integers(total))
    stride = next(s for s in rng.integers(1, max(total, 2), 1000).tolist() if math.gcd(s, total) == 1)

    def target(turn: int) -> tuple[Group, int]:
        member = (first + stride * turn) % total
        for group in groups:
            if member < len(group.targets):
                break
            member -= len(group.targets)
        return group, group.targets[member]

    return target


def published_list(
    dataset: tfds.core.DatasetBuilder | live.Dataset, split: str, source: Source, pictures: int = 1
) -> list[Pair]:
    """The pairs that come with a dataset, in their order; more sources than one are added by chance.

    Raises:
      FileNotFoundError: none come with it.
      ValueError: there are none of that split.
    """
    out = []
    for number, (first, target) in enumerate(published.pairs(dataset.data_dir, split)):
        of = [first]
        if pictures > 1:
            group, rng = source.group_of(target), np.random.default_rng((_LIST, number))
            of += [i for i in group.draw(target, pictures, rng) if i != first]
        # Fewer where there are no others.
        out.append((tuple(of[i % len(of)] for i in range(pictures)), target))
    return out


def fingerprint(pairs: Sequence[Pair], groups: Sequence[Group] = ()) -> str:
    """A digest of a list of pairs: evaluations that print the same one went through the same pairs.

    Args:
      pairs: of one dataset; their numbers are what is digested.
      groups: where that dataset is made of the user's files, of whom it is: their names are digested, too.
    """
    text = ";".join(f"{','.join(map(str, of))}>{target}" for of, target in pairs)
    text += "".join(f";{group.character}/{group.costume}" for group in groups)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True, repr=False)
class _Pictures:
    """Reads pairs."""

    source: Source
    framing: Framing

    def read(self, group: Group, pair: Pair, mirror: bool = False, swap: bool = True) -> Example:
        """`source_*` (n, ...), `target_*` and `character` of a pair of a group."""

        def one(index: int) -> Example:
            picture = self.framing.picture(self.source.examples[index])
            return self.framing.mirrored(picture, swap) if mirror else picture

        of, target = pair
        goal, references = one(target), [one(i) for i in of]
        out = {f"source_{k}": np.stack([r[k] for r in references]) for k in goal}
        out |= {f"target_{k}": np.ascontiguousarray(v) for k, v in goal.items()}
        return out | {"character": number(group.character)}


def number(character: str) -> np.int32:
    """Stands for a character in batches, in every split and every run."""
    return np.int32(int.from_bytes(hashlib.sha256(character.encode()).digest()[:4], "little") >> 1)


@dataclasses.dataclass(frozen=True, repr=False)
class Drawn(_Pictures):
    """Pairs without end, each a function of the seed and its position.

    Attributes:
      seed: of the choice of pairs.
      pictures: sources of each pair.
      balance: see the module's docstring.
      flip: half of the pairs are mirrored, source and target alike.
      swap: left and right joints change names in the mirror. Not in the public code, which mirrors pose maps
        as they are.
      listed: those of `published_list`.
    """

    seed: int
    pictures: int = 1
    balance: str = "characters"
    flip: bool = False
    swap: bool = True
    listed: Sequence[Pair] = ()

    def __post_init__(self):
        if self.balance not in BALANCES:
            raise ValueError(f"data.balance = {self.balance!r}: use {', '.join(BALANCES)}")

    def __len__(self) -> int:
        return _ENDLESS

    def __repr__(self) -> str:
        # Grain compares it when an iterator continues.
        return f"pairs(of={self.source.name!r}, balance={self.balance!r}, pictures={self.pictures})"

    def draw(self, position: int) -> tuple[Group, Pair]:
        """Which pictures, of which group, stand at a position."""
        rng = np.random.default_rng((self.seed, _CHOICE, position))
        if self.balance == "published":
            pair = self.listed[int(rng.integers(len(self.listed)))]
            return self.source.group_of(pair[1]), pair
        if self.balance == "characters":
            characters = self.source.characters
            turn, place = divmod(position, len(characters))
            order = np.random.default_rng((self.seed, _ORDER, turn)).permutation(len(characters))
            groups = characters[order[place]]
            group = groups[int(rng.integers(len(groups)))]
        else:
            group = self.source.groups[bisect.bisect_right(self._shares, rng.random())]
        target = group.targets[int(rng.integers(len(group.targets)))]
        return group, (group.draw(target, self.pictures, rng), target)

    @functools.cached_property
    def _shares(self) -> list[float]:
        """Up to which part of 0 to 1 ordered pairs are of the first group, of the first two, and so on."""
        sizes = [float(g.pairs) for g in self.source.groups]
        # Without the last, which rounding may leave below 1.
        return [end / sum(sizes) for end in itertools.accumulate(sizes)][:-1]

    def __getitem__(self, position: int) -> Example:
        mirror = self.flip and np.random.default_rng((self.seed, _MIRROR, position)).random() < 0.5
        return self.read(*self.draw(position), mirror, self.swap)


@dataclasses.dataclass(frozen=True, repr=False)
class Listed(_Pictures):
    """The pairs of a list, such as `pair_list` makes."""

    pairs: Sequence[Pair]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, position: int) -> Example:
        pair = self.pairs[position]
        return self.read(self.source.group_of(pair[1]), pair)
