"""The anime_keypoints dataset: drawings of characters with their joints."""

import dataclasses
import itertools
import pathlib
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from anime_pt.avatars.character import Terms
from anime_pt.pose import skeletons
from tfds_builders import sharded
from tfds_builders.anime_keypoints import drawings, folders, labels, pictures
from tfds_builders.anime_keypoints.augmentation import Augmentation
from tfds_builders.anime_keypoints.figures import Examples, Figure, Missing

SOURCES = ("drawings", "coco")
_EXAMPLES_PER_SHARD = 256
# AnimeDrawingsDataset; `samples` counts on all of it.
_ALL, _ALL_TRAIN = 2000, 1400
_ABSENT = "absent.txt"


@dataclasses.dataclass(kw_only=True)
class AnimeKeypointsConfig(tfds.core.BuilderConfig):
    """Which pictures, which joints.

    Attributes:
      source: "drawings" (AnimeDrawingsDataset) or "coco" (COCO's keypoints of any pictures).
      skeleton: name of the joints' skeleton; joints are found by their names.
      extension: of "drawings": take eyes and ears from the extension's annotations.json.
      samples: of "drawings": size of all splits together if all 2,000 pictures are there, of which validation
        and test are 600; with fewer to train there are as many fewer. 0: each drawing once.
      rotation, zoom, color: of augmented copies, see `augmentation`.
      seed: of augmented copies.
      min_joints: of "coco": figures with fewer labelled joints are left out.
      margin: of "coco": around the box of one of several figures of a picture, as a share of its longer side.
      longest_side: of "coco": larger pictures are shrunk to it, in pixels; 0 keeps all.
    """

    source: str = "drawings"
    skeleton: str = "anime_drawings_21"
    extension: bool = False
    samples: int = 0
    rotation: float = 30.0
    zoom: float = 0.25
    color: float = 0.2
    seed: int = 0
    min_joints: int = 6
    margin: float = 0.2
    longest_side: int = 1024

    def __post_init__(self):
        if self.source not in SOURCES:
            raise ValueError(f"source must be one of {', '.join(SOURCES)}, got {self.source!r}")
        joints = len(skeletons.named(self.skeleton))
        if self.samples and (self.samples < _ALL or self.source != "drawings"):
            raise ValueError(f"samples must be 0, or of drawings at least {_ALL}, got {self.samples}")
        for field, most in (("rotation", 180), ("zoom", 0.9), ("color", 1), ("margin", 10)):
            if not 0 <= getattr(self, field) <= most:
                raise ValueError(f"{field} must be 0 to {most}, got {getattr(self, field)}")
        if not 1 <= self.min_joints <= joints:
            raise ValueError(f"min_joints must be 1 to {joints}, got {self.min_joints}")
        for field in ("seed", "longest_side"):
            if getattr(self, field) < 0:
                raise ValueError(f"{field} must not be negative, got {getattr(self, field)}")


class Builder(sharded.ShardedBuilder):
    """DatasetBuilder of anime_keypoints; see README.md beside this file."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "AnimeDrawingsDataset, with eyes and ears, augmented; COCO keypoints."}
    BUILDER_CONFIGS = [
        AnimeKeypointsConfig(
            name="drawings",
            description="AnimeDrawingsDataset: 2,000 drawings, 21 joints, its splits.",
        ),
        AnimeKeypointsConfig(
            name="drawings_25",
            description="The same with eyes and ears from the extension by Chen & Zwicker.",
            skeleton="anime_drawings_25",
            extension=True,
        ),
        AnimeKeypointsConfig(
            name="drawings_augmented",
            description="AnimeDrawingsDataset, augmented to the 11,790 samples of Tan's version.",
            samples=11_790,
        ),
        AnimeKeypointsConfig(
            name="coco",
            description="COCO keypoints files and their pictures: Human-Art, or your own drawings.",
            source="coco",
            skeleton="coco_17",
        ),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    `drawings*` reads train.json, val.json and test.json of github.com/dragonmeteor/AnimeDrawingsDataset and
    pictures called by their Danbooru ids, anywhere below the manual folder; `drawings_25` also the
    extension's annotations.json. `coco` reads COCO keypoints files and their pictures. See README.md.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        joints = len(skeletons.named(self.builder_config.skeleton))
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
                    "keypoints": tfds.features.Tensor(shape=(joints, 3), dtype=np.float32),
                    "box": tfds.features.Tensor(shape=(4,), dtype=np.float32),
                    "name": tfds.features.Text(),
                    "figure": tfds.features.Text(),
                }
            ),
            homepage="https://github.com/dragonmeteor/AnimeDrawingsDataset",
        )

    def _download_and_prepare(self, dl_manager, download_config=None):
        super()._download_and_prepare(dl_manager, download_config)
        if self._left_out:
            lines = "".join(f"{line}\n" for line in self._left_out)
            (pathlib.Path(self.data_dir) / _ABSENT).write_text(lines, encoding="utf-8")

    def _shards(self, manual_dir: pathlib.Path | None) -> Mapping[str, Sequence[sharded.Shard]]:
        config = self.builder_config
        of_split, sources = (self._drawings if config.source == "drawings" else self._labelled)(manual_dir)
        augmentation = None
        if config.samples:
            of_split["train"] = self._copies(of_split.get("train", []))
            augmentation = Augmentation(
                config.skeleton, config.rotation, config.zoom, config.color, config.seed
            )
        return {split: _cut(figures, augmentation, sources) for split, figures in of_split.items() if figures}

    def _drawings(self, manual_dir: pathlib.Path) -> tuple[dict[str, list[Figure]], list[pathlib.Path]]:
        entries, sources = drawings.read(manual_dir)
        added = {}
        if self.builder_config.extension:
            added, source = drawings.extension(manual_dir)
            sources = [*sources, source]
        posts = {d.post for of_split in entries.values() for d in of_split}
        paths = pictures.by_post(manual_dir, posts)
        measured = pictures.measure([p for of_post in paths.values() for p in of_post])
        skeleton = skeletons.named(self.builder_config.skeleton)
        of_split = self._placed(
            entries,
            lambda d: drawings.placed(d, paths.get(d.post, ()), measured, added.get(d.post), skeleton),
            lambda d: d.name,
            f"put them anywhere below {manual_dir}, called by their Danbooru ids: 1001467.jpg, "
            "0467/1001467.png, danbooru_1001467_HASH.jpg",
        )
        if self.builder_config.extension:
            without = sum(d not in added for d in posts)
            if without == len(posts):
                raise ValueError(f"{sources[-1]} has none of the drawings; it must be the extension's")
            if without:
                print(f"warning: {without} drawings have no eyes and ears in {sources[-1]}", file=sys.stderr)
        return of_split, sources

    def _labelled(self, manual_dir: pathlib.Path) -> tuple[dict[str, list[Figure]], list[pathlib.Path]]:
        config = self.builder_config
        skeleton = skeletons.named(config.skeleton)
        documents = folders.read(manual_dir)
        names = {path: labels.matched(d.names, skeleton) for path, d in documents.items()}
        for path, of_file in names.items():
            if line := labels.compared(of_file, skeleton, path):
                print(f"note: {line}", file=sys.stderr)
        paths = folders.find(manual_dir, documents)
        of_split, few = {}, 0
        for split, every in folders.splits(manual_dir, documents, paths).items():
            kept = [(p, f) for p, f in every if labels.count(f, names[p], skeleton) >= config.min_joints]
            few += len(every) - len(kept)
            of_split[split] = kept
        if few:
            print(
                f"note: {few} figures have fewer than {config.min_joints} labelled joints (min_joints) and "
                "are left out",
                file=sys.stderr,
            )
        if not any(of_split.values()):
            raise ValueError(f"no figure has {config.min_joints} labelled joints; lower min_joints")
        measured = pictures.measure(
            sorted({paths[p, f.name] for of in of_split.values() for p, f in of if (p, f.name) in paths})
        )
        figures = self._placed(
            of_split,
            lambda item: folders.placed(
                item[1],
                names[item[0]],
                paths.get((item[0], item[1].name)),
                measured,
                skeleton,
                config.margin,
                config.longest_side,
            ),
            lambda item: f"{item[1].name} {item[1].figure}",
            f"put them anywhere below {manual_dir}, called as file_name in the annotations",
        )
        return figures, list(documents)

    def _placed(
        self,
        items: Mapping[str, Sequence[Any]],
        place: Callable[[Any], Figure | Missing],
        name: Callable[[Any], str],
        hint: str,
    ) -> dict[str, list[Figure]]:
        """The figures whose pictures are there; says how many are not, and remembers which.

        Raises:
          FileNotFoundError: none is.
        """
        out, reasons, total = {}, Counter(), 0
        self._left_out = []
        for split, of_split in items.items():
            out[split] = []
            for item in of_split:
                total += 1
                found = place(item)
                if isinstance(found, Figure):
                    out[split].append(found)
                else:
                    reasons[found.kind] += 1
                    self._left_out.append(f"{split} {name(item)}: {found.words}")
        left = sum(reasons.values())
        counts = ", ".join(f"{count} {kind}" for kind, count in reasons.items())
        if left == total:
            raise FileNotFoundError(f"none of the {total} pictures can be used ({counts}): {hint}")
        if left:
            print(
                f"warning: {left} of {total} examples are left out ({counts}); {_ABSENT} beside the dataset "
                "lists them",
                file=sys.stderr,
            )
        return out

    def _copies(self, train: Sequence[Figure]) -> list[Figure]:
        """Each drawing as it is, then augmented, in all as often as `samples` asks."""
        wanted = round(len(train) * (self.builder_config.samples - (_ALL - _ALL_TRAIN)) / _ALL_TRAIN)
        print(f"train: {wanted} samples of {len(train)} drawings", file=sys.stderr)
        return [
            dataclasses.replace(figure, copy=copy)
            for i, figure in enumerate(train)
            for copy in range(wanted // len(train) + (i < wanted % len(train)))
        ]


def _cut(
    figures: Sequence[Figure], augmentation: Augmentation | None, sources: Iterable[pathlib.Path]
) -> list[sharded.Shard]:
    """Shards of about equal size."""
    bounds = np.linspace(0, len(figures), max(1, round(len(figures) / _EXAMPLES_PER_SHARD)) + 1)
    out = []
    for start, stop in itertools.pairwise(bounds.round().astype(int).tolist()):
        some = tuple(figures[start:stop])
        paths = [*map(str, sources), *dict.fromkeys(f.path for f in some)]
        files = tuple((path, Terms()) for path in paths)
        out.append(sharded.Shard(Examples(some, augmentation), len(some), files))
    return out
