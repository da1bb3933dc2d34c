"""The deepfashion dataset: people in clothes, with their joints and pairs."""

import dataclasses
import functools
import pathlib

import numpy as np
import tensorflow_datasets as tfds

from anime_pt.avatars.character import Terms
from anime_pt.pose import patn
from tfds_builders.deepfashion import names
from tfds_builders.pose_transfer import builder, manual, pictures

SPLITS = ("lists", "annotations")
PICTURES = ("img", names.HIGHRES)
_SIDE = 256
# First column of PATN's crop, which its "resize" files of joints count from.
_CROP = 40
# Pictures and pairs of each split.
_PUBLISHED = {
    "lists": {"train": (48_674, 101_966), "test": (4_038, 8_570)},
    "annotations": {"train": (None, None), "test": (4_061, 8_670)},
}


@dataclasses.dataclass(kw_only=True)
class DeepfashionConfig(builder.PoseTransferConfig):
    """Which pictures, and what of them.

    Attributes:
      pictures: "img" (256x256), or "img_highres": larger ones, which show columns 40 to 216 of these alone.
      left, width: columns that are taken, in pixels of 256x256.
      height: of the result in pixels, whose width follows.
      split: "lists" (PATN's train.lst and test.lst) or "annotations" (which file has a picture's joints).
    """

    pictures: str = "img"
    left: int = 0
    width: int = _SIDE
    height: int = _SIDE
    split: str = "lists"

    def __post_init__(self):
        for field, known in (("pictures", PICTURES), ("split", SPLITS)):
            if getattr(self, field) not in known:
                raise ValueError(f"{field} must be one of {', '.join(known)}, got {getattr(self, field)!r}")
        if self.left < 0 or self.width < 1 or self.left + self.width > _SIDE:
            raise ValueError(
                f"left and width must be within {_SIDE} columns, got {self.left} and {self.width}"
            )
        if self.height < 16 or self.width * self.height % _SIDE:
            raise ValueError(
                f"height must be at least 16 and make a whole width of {self.width} * height / {_SIDE}, got "
                f"{self.height}"
            )
        if self.pictures == names.HIGHRES and (self.left, self.width) != (_CROP, _SIDE - 2 * _CROP):
            raise ValueError(f"pictures of {names.HIGHRES} show left={_CROP} and width={_SIDE - 2 * _CROP}")


def _crop(name: str, description: str, height: int = _SIDE, pictures: str = "img") -> DeepfashionConfig:
    return DeepfashionConfig(
        name=name,
        description=description,
        pictures=pictures,
        left=_CROP,
        width=_SIDE - 2 * _CROP,
        height=height,
    )


class Builder(builder.PoseTransferBuilder):
    """DatasetBuilder of deepfashion; see README.md beside this file."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "PATN's and pose-gan's joints, splits and pairs."}
    BUILDER_CONFIGS = [
        DeepfashionConfig(name="full", description="Pictures as they are, 256x256."),
        _crop("crop_176", "PATN's crop: columns 40 to 216, so 176 wide and 256 high."),
        _crop("crop_88", "The same, shrunk to 88 wide and 128 high.", 128),
        _crop("highres_176", "img_highres, shrunk to 176 wide and 256 high.", _SIDE, names.HIGHRES),
        _crop("highres_352", "img_highres, 352 wide and 512 high.", 512, names.HIGHRES),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Img/img.zip (for highres_*: Img/img_highres.zip) of DeepFashion's In-shop Clothes Retrieval Benchmark,
    unpacked with the authors' password, PATN's train.lst and test.lst, and fasion-(resize-)annotation-*.csv
    of PATN or pose-gan, with fasion-(resize-)pairs-*.csv or without, anywhere below the manual folder. See
    README.md.
    """

    terms = Terms(
        fields={"pictures": "DeepFashion (Liu et al. 2016), for non-commercial research, by agreement"}
    )

    @property
    def _highres(self) -> bool:
        return self.builder_config.pictures == names.HIGHRES

    @property
    def named(self) -> builder.Named:
        key_of_path = functools.partial(names.key_of_path, highres=self._highres)
        return builder.Named(names.key, key_of_path, names.character)

    @property
    def archive(self) -> str:
        return f"Img/{self.builder_config.pictures}.zip of the In-shop benchmark, unpacked,"

    @property
    def view(self) -> pictures.View:
        config = self.builder_config
        size = (config.width * config.height // _SIDE, config.height)
        box = (config.left, 0, config.left + config.width, _SIDE)
        return pictures.View((_SIDE, _SIDE), box, size, self._highres)

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=self._features(),
            homepage="https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html",
        )

    def splits(self, folder: manual.Folder) -> tuple[dict[str, builder.Split], list[pathlib.Path]]:
        way = self.builder_config.split
        return (self._listed if way == "lists" else self._annotated)(folder, _PUBLISHED[way])

    def _listed(self, folder, published) -> tuple[dict[str, builder.Split], list[pathlib.Path]]:
        listed = {}
        for split in published:
            found = manual.of_split(folder.lists, split)
            if len(found) != 1:
                raise FileNotFoundError(
                    f"{len(found) or 'no'} {split}.lst below {folder.root}: put PATN's train.lst and "
                    "test.lst there, once, or --set=split=annotations splits as the files of joints do"
                )
            listed[split] = found[0]
        joints, sources = self._joints(folder)
        out = {}
        for split, path in listed.items():
            of_split = patn.read_names(path)
            points = {n: joints[k] for n in of_split if (k := names.key(n)) in joints}
            out[split] = builder.Split(of_split, points, published[split])
        return out, [*listed.values(), *sources]

    def _joints(self, folder: manual.Folder) -> tuple[dict[str, np.ndarray], list[pathlib.Path]]:
        """Joints of all files by keys, those that were annotated in whole pictures first."""
        out: dict[str, np.ndarray] = {}
        for path in _whole_first(folder.joints):
            found = _read(path)
            for name, points in zip(found.names, found.keypoints, strict=True):
                key = names.key(name)
                if key is None:
                    raise ValueError(f"{path}: {name!r} is no name of a picture of {self.name}")
                if key in out and not _resized(path) and not np.array_equal(out[key], points, equal_nan=True):
                    raise ValueError(
                        f"{path}: {name} has other joints in another file; leave one of them there"
                    )
                out.setdefault(key, points)
        if not out:
            raise FileNotFoundError(
                f"no joints are below {folder.root}: put PATN's fasion-resize-annotation-*.csv there, or "
                "fasion-annotation-*.csv"
            )
        return out, list(folder.joints)

    def _annotated(self, folder, published) -> tuple[dict[str, builder.Split], list[pathlib.Path]]:
        whole = tuple(path for path in folder.joints if not _resized(path))
        out, sources = {}, []
        for split, counts in published.items():
            chosen = whole if manual.of_split(whole, split) else folder.joints
            path = builder.joints_file(
                dataclasses.replace(folder, joints=chosen),
                split,
                f"fasion-annotation-{split}.csv of pose-gan",
            )
            found = _read(path)
            out[split] = builder.Split(
                found.names, dict(zip(found.names, found.keypoints, strict=True)), counts
            )
            sources.append(path)
        return out, sources


def _resized(path: pathlib.Path) -> bool:
    return "resize" in path.stem.lower()


def _whole_first(paths: tuple[pathlib.Path, ...]) -> list[pathlib.Path]:
    return sorted(paths, key=_resized)


def _read(path: pathlib.Path) -> patn.Annotations:
    return patn.read(path, (_SIDE, _SIDE), _CROP if _resized(path) else 0)
