"""The builder behind deepfashion and market1501, which say what pictures are called, and the splits."""

import dataclasses
import itertools
import pathlib
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import tensorflow_datasets as tfds

from anime_pt.avatars.character import Terms
from anime_pt.pose import patn
from anime_pt.pose.skeletons import OPENPOSE_18
from tfds_builders import sharded
from tfds_builders.pose_transfer import manual, pairs, pictures

_EXAMPLES_PER_SHARD = 1024


@dataclasses.dataclass(kw_only=True)
class PoseTransferConfig(tfds.core.BuilderConfig):
    """What both datasets can be asked.

    Attributes:
      partial: go on without pictures and annotations that are absent, damaged or of another size.
      trunk: leave out pictures in which a shoulder or hip is not known; published pairs have none of these.
    """

    partial: bool = False
    trunk: bool = False


@dataclasses.dataclass(frozen=True)
class Named:
    """How a dataset calls its pictures.

    Attributes:
      key: of a name in the annotations, the same for all spellings; None: not this dataset's.
      key_of_path: of a picture's path; the same as that of its name.
      character: of a name: the person in one outfit.
    """

    key: Callable[[str], str | None]
    key_of_path: Callable[[pathlib.PurePosixPath], str | None]
    character: Callable[[str], str]


@dataclasses.dataclass(frozen=True)
class Split:
    """What the annotations say of a split.

    Attributes:
      names: of its pictures, in the dataset's order.
      keypoints: (18, 3) of a name, pixels of the whole picture.
      published: how many pictures and pairs the papers have, or None.
    """

    names: Sequence[str]
    keypoints: Mapping[str, np.ndarray]
    published: tuple[int | None, int | None] = (None, None)


class PoseTransferBuilder(sharded.ShardedBuilder, skip_registration=True):
    """Subclasses define the four properties, `splits`, and `_info` by `_features`."""

    @property
    def named(self) -> Named:
        """What pictures are called."""
        raise NotImplementedError

    @property
    def archive(self) -> str:
        """What the pictures come in, for messages."""
        raise NotImplementedError

    @property
    def terms(self) -> Terms:
        """Of the pictures."""
        raise NotImplementedError

    @property
    def view(self) -> pictures.View:
        """What examples show."""
        raise NotImplementedError

    def splits(self, folder: manual.Folder) -> tuple[dict[str, Split], list[pathlib.Path]]:
        """The splits by name, and the files that say them."""
        raise NotImplementedError

    def _features(self) -> tfds.features.FeaturesDict:
        width, height = self.view.size
        encoding = "jpeg" if self.view.keeps else "png"
        return tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(height, width, 3), encoding_format=encoding),
                "keypoints": tfds.features.Tensor(shape=(len(OPENPOSE_18), 3), dtype=np.float32),
                "character": tfds.features.Text(),
                "name": tfds.features.Text(),
            }
        )

    def _download_and_prepare(self, dl_manager, download_config=None):
        super()._download_and_prepare(dl_manager, download_config)
        pairs.save(self.data_dir, self._pairs)

    def _shards(self, manual_dir: pathlib.Path | None) -> Mapping[str, Sequence[sharded.Shard]]:
        folder = manual.scan(manual_dir, lambda name: self.named.key(name) is not None)
        splits, sources = self.splits(folder)
        figures = self._figures(folder, splits)
        self._pairs = {}
        for split, of_split in figures.items():
            self._pairs[split] = self._pairs_of(split, splits[split], of_split, folder, sources)
        self._compare(splits, figures)
        return {split: _cut(of_split, self.view, sources, self.terms) for split, of_split in figures.items()}

    def _figures(
        self, folder: manual.Folder, splits: Mapping[str, Split]
    ) -> dict[str, list[pictures.Figure]]:
        """The pictures of every split that are there and as they must be.

        Raises:
          FileNotFoundError: some are absent, and `partial` is not asked for; or none is there.
          ValueError: some are of another size, damaged, not annotated or locked.
        """
        places = manual.index(folder.pictures, self.named.key_of_path)
        every = [(split, name) for split, of in splits.items() for name in of.names]
        key = {name: self._key(name) for _, name in every}
        picture, times = Counter(key[name] for _, name in every).most_common(1)[0]
        if times > 1:
            raise ValueError(
                f"picture {picture} is {times} times in the splits: take files of one publication"
            )
        there = [(s, n) for s, n in every if key[n] in places]
        absent = [n for s, n in every if key[n] not in places]
        if not there:
            raise FileNotFoundError(
                f"none of the {len(every)} annotated pictures is below {folder.root} (first: {every[0][1]}): "
                f"put {self.archive} there"
            )
        self._unless_partial(
            absent,
            FileNotFoundError,
            f"of {len(every)} annotated pictures are not below {folder.root}",
            f"put {self.archive} there",
        )
        locked = next((places[key[n]] for _, n in there if places[key[n]].locked), None)
        if locked:
            raise ValueError(
                f"{locked.file} is protected by a password: unpack it with the one that the dataset's "
                f"authors gave you, and put the folder below {folder.root}"
            )
        unknown = [n for s, n in there if n not in splits[s].keypoints]
        self._unless_partial(
            unknown,
            ValueError,
            f"of {len(every)} listed pictures are in no annotation",
            "put all files of joints there",
        )
        there = [(s, n) for s, n in there if n in splits[s].keypoints]
        title = f"looking at pictures of {self.info.full_name}"
        found = pictures.complaints([places[key[n]] for _, n in there], self.view, title)
        wrong = [f"{n} is {c}" for (_, n), c in zip(there, found, strict=True) if c]
        self._unless_partial(
            wrong,
            ValueError,
            f"of {len(there)} pictures cannot be used",
            f"take those of {self.archive} as they are",
        )
        out: dict[str, list[pictures.Figure]] = {}
        for (split, name), complaint in zip(there, found, strict=True):
            points = splits[split].keypoints[name]
            if complaint or (self.builder_config.trunk and not pairs.whole(points[None])[0]):
                continue
            joints = tuple(tuple(map(float, p)) for p in points)
            figure = pictures.Figure(places[key[name]], name, self.named.character(name), joints)
            out.setdefault(split, []).append(figure)
        if not out:
            reason = [*wrong, *unknown, "none has shoulders and hips"][0]
            raise ValueError(f"no picture below {folder.root} can be used ({reason})")
        return out

    def _key(self, name: str) -> str:
        key = self.named.key(name)
        if key is None:
            raise ValueError(f"{name!r} is no name of a picture of {self.name}")
        return key

    def _unless_partial(self, which: Sequence[str], error: type[Exception], words: str, remedy: str) -> None:
        """Raises the error for these pictures, or prints it as a warning if `partial` is asked for."""
        if not which:
            return
        few = ", ".join(which[:3]) + (", ..." if len(which) > 3 else "")
        if not self.builder_config.partial:
            raise error(f"{len(which)} {words} ({few}): {remedy}, or --set=partial=true leaves them out")
        print(f"warning: {len(which)} {words} ({few}); they are left out", file=sys.stderr)

    def _pairs_of(
        self,
        split: str,
        said: Split,
        figures: Sequence[pictures.Figure],
        folder: manual.Folder,
        sources: list[pathlib.Path],
    ) -> tuple[np.ndarray, str]:
        """The pairs of a split, and the name of their file; adds that to the sources."""
        indices = {self.named.key(figure.name): i for i, figure in enumerate(figures)}
        known = {self.named.key(name) for name in said.names}
        keys = lambda path: [tuple(map(self.named.key, pair)) for pair in patn.read_pairs(path)]
        files = {path: keys(path) for path in manual.of_split(folder.pairs, split)}
        fitting = [path for path, named in files.items() if all(k in known for pair in named for k in pair)]
        if len(fitting) > 1 and len({frozenset(files[path]) for path in fitting}) > 1:
            raise ValueError(f"{' and '.join(map(str, fitting))} differ: leave one of them in {folder.root}")
        if files and not fitting:
            path = min(files, key=lambda p: len({k for pair in files[p] for k in pair} - known))
            names = {n for pair in patn.read_pairs(path) for n in pair if self.named.key(n) not in known}
            few = ", ".join(sorted(names)[:3])
            raise ValueError(
                f"{path}: {len(names)} of its pictures are not in split {split} ({few}): it is of another "
                "split; take it away, and pairs follow from the annotations"
            )
        if not fitting:
            points = np.array([figure.points for figure in figures])
            return pairs.by_rule([f.character for f in figures], pairs.whole(points), split), ""
        path = fitting[0]
        sources.append(path)
        found, absent = pairs.by_name(files[path], indices)
        if absent:
            lost = f"{len(files[path]) - len(found)} of {len(files[path])} pairs of {path}"
            print(f"warning: {lost} are left out with their pictures", file=sys.stderr)
        return found, path.name

    def _compare(self, splits: Mapping[str, Split], figures: Mapping[str, Sequence[pictures.Figure]]) -> None:
        """Prints one warning if there are more or fewer pictures or pairs than the papers say."""
        said = []
        for split, of in splits.items():
            found = (len(of.names), len(self._pairs[split][0]) if split in figures else 0)
            for count, wanted, what in zip(found, of.published, ("pictures", "pairs"), strict=True):
                if wanted is not None and count != wanted:
                    said.append(f"{split} has {count:,} {what} where {wanted:,} are published")
        if said:
            print(f"warning: {'; '.join(said)}", file=sys.stderr)


def joints_file(folder: manual.Folder, split: str, wanted: str) -> pathlib.Path:
    """The only file of joints whose name says that it is of a split.

    Raises:
      FileNotFoundError: there is none; `wanted` says what it is called.
      ValueError: there are several.
    """
    found = manual.of_split(folder.joints, split)
    if not found:
        raise FileNotFoundError(
            f"the joints of split {split} are not below {folder.root}: put {wanted} there"
        )
    if len(found) > 1:
        raise ValueError(f"{' and '.join(map(str, found))} are of one split: leave one in {folder.root}")
    return found[0]


def _cut(
    figures: Sequence[pictures.Figure],
    view: pictures.View,
    sources: Iterable[pathlib.Path],
    terms: Terms,
) -> list[sharded.Shard]:
    """Shards of about equal size; a card names archives, but not unpacked pictures, which are too many."""
    bounds = np.linspace(0, len(figures), max(1, round(len(figures) / _EXAMPLES_PER_SHARD)) + 1)
    out = []
    for start, stop in itertools.pairwise(bounds.round().astype(int).tolist()):
        some = tuple(figures[start:stop])
        paths = [*map(str, sources), *dict.fromkeys(f.place.file for f in some if f.place.member)]
        out.append(
            sharded.Shard(pictures.Examples(some, view), len(some), tuple((path, terms) for path in paths))
        )
    return out
