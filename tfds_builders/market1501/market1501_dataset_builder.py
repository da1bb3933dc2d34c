"""The market1501 dataset: people in front of surveillance cameras, with their joints and pairs."""

import pathlib
import re

import tensorflow_datasets as tfds

from anime_pt.avatars.character import Terms
from anime_pt.pose import patn
from tfds_builders.pose_transfer import builder, manual, pictures

_NAME = re.compile(r"(-1|\d{4})_c\d+s\d+_\d+_\d+(\.jpg)+")
# As in the archive, and as PATN has them renamed.
_FOLDERS = {"bounding_box_train", "bounding_box_test", "train", "test"}
# What detectors found instead of people, and people of no identity.
_NOBODY = ("-1", "0000")
# Pictures and pairs; the annotations of test have 19,732 with those of nobody.
_PUBLISHED = {"train": (12_936, 263_632), "test": (13_115, 12_000)}


def _key(name: str) -> str | None:
    return name if _NAME.fullmatch(name) else None


def _key_of_path(path: pathlib.PurePosixPath) -> str | None:
    return _key(path.name) if path.parent.name in _FOLDERS else None


class Builder(builder.PoseTransferBuilder):
    """DatasetBuilder of market1501; see README.md beside this file."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "PATN's and pose-gan's joints, splits and pairs."}
    BUILDER_CONFIGS = [
        builder.PoseTransferConfig(name="full", description="Pictures as they are, 64 wide and 128 high.")
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Market-1501-v15.09.15.zip, or its folders bounding_box_train and bounding_box_test, and
    market-annotation-train.csv and market-annotation-test.csv of PATN or pose-gan, with market-pairs-*.csv
    or without, anywhere below the manual folder. See README.md.
    """

    named = builder.Named(_key, _key_of_path, lambda name: name.split("_")[0])
    archive = "Market-1501-v15.09.15.zip, or its folders bounding_box_train and bounding_box_test,"
    terms = Terms(fields={"pictures": "Market-1501 (Zheng et al. 2015), for research, by agreement"})
    view = pictures.View((64, 128), (0, 0, 64, 128), (64, 128))

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=self._features(),
            homepage="https://zheng-lab.cecs.anu.edu.au/Project/project_reid.html",
        )

    def splits(self, folder: manual.Folder) -> tuple[dict[str, builder.Split], list[pathlib.Path]]:
        out, sources = {}, []
        for split, published in _PUBLISHED.items():
            path = builder.joints_file(folder, split, f"market-annotation-{split}.csv of PATN or pose-gan")
            width, height = self.view.frame
            found = patn.read(path, (height, width))
            points = dict(zip(found.names, found.keypoints, strict=True))
            names = [name for name in found.names if name.split("_")[0] not in _NOBODY]
            out[split] = builder.Split(names, points, published)
            sources.append(path)
        return out, sources
