"""The unity_avatars dataset: posed anime characters with exact keypoints, rendered while it is built."""

import dataclasses
import pathlib
import sys
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow_datasets as tfds

from anime_pt.avatars import poses
from anime_pt.pose.skeletons import AVATAR_20
from tfds_builders import sharded
from tfds_builders.unity_avatars import rendering, subjects

RESOLUTIONS = (64, 128, 256, 512, 1024)
_EXAMPLES_PER_SHARD = 256


@dataclasses.dataclass(kw_only=True)
class UnityAvatarsConfig(tfds.core.BuilderConfig):
    """What is rendered.

    Attributes:
      resolution: side of the images in pixels.
      source: "procedural" (characters from seeds) or "rigged" (PMD and PMX files in the manual folder).
      characters: how many procedural ones.
      costumes: of each procedural character; a rigged one has as many as files.
      poses: of each costume.
      shared_poses: all costumes take the same poses, as in the PSGAN paper; else each its own.
      yaw, pitch: largest turn of the camera to either side, in degrees.
      light: largest turn of the light to either side, up and down, in degrees.
      supersample: samples per pixel and axis.
      seed: of characters, poses, cameras and lights.
    """

    resolution: int
    source: str = "procedural"
    characters: int = 120
    costumes: int = 2
    poses: int = 50
    shared_poses: bool = False
    yaw: float = 40.0
    pitch: float = 8.0
    light: float = 0.0
    supersample: int = 2
    seed: int = 0

    def __post_init__(self):
        if self.source not in ("procedural", "rigged"):
            raise ValueError(f"source must be procedural or rigged, got {self.source!r}")
        for field in ("resolution", "characters", "costumes", "poses", "supersample"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 1, got {getattr(self, field)}")
        for field, most in (("yaw", 180), ("pitch", 90), ("light", 90)):
            if not 0 <= getattr(self, field) <= most:
                raise ValueError(f"{field} must be 0 to {most} degrees, got {getattr(self, field)}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}")


class Builder(sharded.ShardedBuilder):
    """DatasetBuilder of unity_avatars; see README.md beside this file."""

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES = {
        "1.1.0": "The direction of the light is recorded, and can vary.",
        "1.0.0": "Procedural and MMD characters.",
    }
    BUILDER_CONFIGS = [
        *(
            UnityAvatarsConfig(
                name=f"procedural_{r}",
                description=f"Characters from seeds, {r}x{r}. Nothing is downloaded.",
                resolution=r,
            )
            for r in RESOLUTIONS
        ),
        UnityAvatarsConfig(
            name="procedural_1024_paper",
            description="The size of the PSGAN paper's Avatar set: 79 costumes x 600 poses = 47,400.",
            resolution=1024,
            characters=79,
            costumes=1,
            poses=600,
            shared_poses=True,
        ),
        *(
            UnityAvatarsConfig(
                name=f"rigged_{r}",
                description=f"The PMD and PMX characters in the manual folder, {r}x{r}.",
                resolution=r,
                source="rigged",
                poses=600,
            )
            for r in RESOLUTIONS
        ),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    `rigged_*` renders the .pmd and .pmx characters below the manual folder, one folder for each character;
    several models in it are its costumes. `procedural_*` needs no file.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        side = self.builder_config.resolution
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(side, side, 3), encoding_format="png"),
                    "mask": tfds.features.Image(shape=(side, side, 1), encoding_format="png"),
                    "keypoints": tfds.features.Tensor(shape=(len(AVATAR_20), 3), dtype=np.float32),
                    "character": tfds.features.Text(),
                    "costume": tfds.features.Text(),
                    "pose": {
                        "index": np.int32,
                        "parameters": tfds.features.Tensor(shape=(poses.FLAT_SIZE,), dtype=np.float32),
                    },
                    "camera": {
                        "yaw": np.float32,
                        "pitch": np.float32,
                        "matrix": tfds.features.Tensor(shape=(3, 4), dtype=np.float32),
                    },
                    "light": tfds.features.Tensor(shape=(3,), dtype=np.float32),
                }
            ),
            homepage="https://arxiv.org/abs/1809.01890",
        )

    @property
    def needs_manual_dir(self) -> bool:
        return self.builder_config.source != "procedural"

    def examples(self, manual_dir: pathlib.Path | None) -> Mapping[str, rendering.Examples]:
        config = self.builder_config
        view = rendering.View(
            config.resolution,
            config.supersample,
            config.yaw,
            config.pitch,
            config.light,
            config.shared_poses,
            config.seed,
        )
        return {
            split: rendering.Examples(view, tuple(who), config.poses)
            for split, who in subjects.split_by_character(self._subjects(manual_dir)).items()
        }

    def _shards(self, manual_dir: pathlib.Path | None) -> Mapping[str, Sequence[sharded.Shard]]:
        return {
            split: [
                sharded.Shard(piece, piece.stop - piece.start)
                for piece in examples.pieces(_EXAMPLES_PER_SHARD)
            ]
            for split, examples in self.examples(manual_dir).items()
        }

    def _subjects(self, manual_dir: pathlib.Path | None) -> list[subjects.Subject]:
        config = self.builder_config
        if config.source == "rigged":
            found, remarks = subjects.rigged_subjects(manual_dir)
            for line in remarks:
                print(f"warning: {line}", file=sys.stderr)
            return found
        first = config.seed * 1_000_000
        return [
            subjects.Subject(f"procedural_{first + i}", str(c), seed=first + i, costume_seed=c)
            for i in range(config.characters)
            for c in range(config.costumes)
        ]
