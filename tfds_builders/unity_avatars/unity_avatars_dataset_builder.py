"""The unity_avatars dataset: posed anime characters with exact keypoints, rendered here or in Unity."""

import dataclasses
import pathlib
import sys
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow_datasets as tfds

from anime_pt.avatars import files, poses
from anime_pt.pose.skeletons import AVATAR_20
from tfds_builders import sharded
from tfds_builders.unity_avatars import actions, exported, rendering, solo, subjects
from tfds_builders.unity_avatars.examples import Examples

RESOLUTIONS = (64, 128, 256, 512, 1024)
# What configs are made from and called after -> the first words of their descriptions.
SOURCES = {
    "procedural": "Characters from seeds; nothing is downloaded",
    "rigged": "The MMD, VRM and glTF characters in the manual folder",
    "vrm": "The VRM characters in the manual folder",
    "export": "Frames that the exporter wrote in a Unity project",
    "solo": "Figures in a SOLO folder, which Unity Perception writes",
}
_MODELS = {"rigged": files.SUFFIXES, "vrm": (".vrm",)}
_EXAMPLES_PER_SHARD = 256


@dataclasses.dataclass(kw_only=True)
class UnityAvatarsConfig(tfds.core.BuilderConfig):
    """What is rendered.

    Attributes:
      resolution: side of the images in pixels.
      source: one of `SOURCES`. Of what follows, "export" reads `split` and "solo" nothing.
      characters: how many procedural ones.
      costumes: of each procedural character; others have as many as files.
      poses: of each costume.
      motions: take poses from the motions in the manual folder, where there are any, cut at equal strides
        from all of them; else poses are random.
      shared_poses: all costumes take the same random poses, seen from the same side, as in the PSGAN paper;
        else each its own.
      yaw, pitch: largest turn of the camera to either side, in degrees.
      light: largest turn of the light to either side, up and down, in degrees.
      styled: every picture has outlines, a lens and a framing of its own: for learning to find joints in any
        drawing. Small turns of the camera are more frequent than large ones.
      supersample: samples per pixel and axis.
      seed: of characters, poses, cameras and lights.
      split: what no two of train, validation and test share: "character", or "costume" for sets with few
        characters.
      rights_held: take characters whose terms forbid to pass on what is made of them.
    """

    resolution: int
    source: str = "procedural"
    characters: int = 120
    costumes: int = 2
    poses: int = 50
    motions: bool = True
    shared_poses: bool = False
    yaw: float = 40.0
    pitch: float = 8.0
    light: float = 0.0
    styled: bool = False
    supersample: int = 2
    seed: int = 0
    split: str = "character"
    rights_held: bool = False

    def __post_init__(self):
        for field, known in (("source", SOURCES), ("split", ("character", "costume"))):
            if getattr(self, field) not in known:
                raise ValueError(f"{field} must be one of {', '.join(known)}, got {getattr(self, field)!r}")
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
        "1.1.0": "VRM and glTF characters; motions; folders from Unity. Light and motion are recorded.",
        "1.0.0": "Procedural and MMD characters.",
    }
    BUILDER_CONFIGS = [
        *(
            UnityAvatarsConfig(
                name=f"{source}_{side}",
                description=f"{text}, {side}x{side}.",
                resolution=side,
                source=source,
                poses=50 if source == "procedural" else 600,
            )
            for source, text in SOURCES.items()
            for side in RESOLUTIONS
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
                name=f"benchmark_{side}",
                description=f"Procedural characters that all take the same poses, {side}x{side}.",
                resolution=side,
                characters=150,
                costumes=1,
                poses=100,
                shared_poses=True,
            )
            for side in (128, 256)
        ),
        UnityAvatarsConfig(
            name="procedural_256_styled",
            description="Many characters, seen from all sides in many lights and lines: for pose estimation.",
            resolution=256,
            characters=1200,
            costumes=1,
            poses=25,
            yaw=180.0,
            pitch=25.0,
            light=90.0,
            styled=True,
        ),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    `rigged_*` and `vrm_*` render the characters below the manual folder (.pmd, .pmx, .vrm, .glb, .gltf), one
    folder for each; several models in it are its costumes. They perform the motions there (.vmd, .vrma,
    .bvh). `export_*` takes folders that the exporter wrote in Unity, `solo_*` those of Unity Perception.
    `procedural_*` needs no file.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        side = self.builder_config.resolution
        floats = lambda *shape: tfds.features.Tensor(shape=shape, dtype=np.float32)
        common = {
            "image": tfds.features.Image(shape=(side, side, 3), encoding_format="png"),
            "mask": tfds.features.Image(shape=(side, side, 1), encoding_format="png"),
            "keypoints": floats(len(AVATAR_20), 3),
            "character": tfds.features.Text(),
        }
        costumed = {**common, "costume": tfds.features.Text(), "motion": tfds.features.Text()}
        rendered = {
            **costumed,
            "pose": {"index": np.int32, "parameters": floats(poses.FLAT_SIZE), "seconds": np.float32},
            "camera": {"yaw": np.float32, "pitch": np.float32, "matrix": floats(3, 4)},
            "light": floats(3),
        }
        of_source = {
            "export": {
                **costumed,
                "frame": np.int32,
                "bones": floats(len(exported.BONES), 3),
                "camera": {"view": floats(4, 4), "projection": floats(4, 4)},
            },
            "solo": {**common, "sequence": np.int32, "step": np.int32, "instance": np.int32},
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(of_source.get(self.builder_config.source, rendered)),
            homepage="https://arxiv.org/abs/1809.01890",
        )

    @property
    def needs_manual_dir(self) -> bool:
        return self.builder_config.source != "procedural"

    def examples(self, manual_dir: pathlib.Path | None) -> Mapping[str, Examples]:
        config = self.builder_config
        if config.source == "export":
            return {
                split: exported.Frames(config.resolution, tuple(rows))
                for split, rows in self._split(exported.rows(manual_dir)).items()
            }
        if config.source == "solo":
            return {
                split: solo.Figures(config.resolution, tuple(figures))
                for split, figures in solo.split(solo.figures(manual_dir)).items()
            }
        view = rendering.View(
            config.resolution,
            config.supersample,
            config.yaw,
            config.pitch,
            config.light,
            config.shared_poses,
            config.seed,
            config.styled,
        )
        who, clips = self._cast(manual_dir)
        return {
            split: rendering.Subjects(view, tuple(some), config.poses, tuple(clips))
            for split, some in self._split(who).items()
        }

    def _split(self, items: Sequence[subjects.Item]) -> dict[str, list[subjects.Item]]:
        if self.builder_config.split == "character":
            return subjects.split_by_character(items)
        return subjects.split_by(items, lambda item: f"{item.character}/{item.costume}", "costume")

    def _shards(self, manual_dir: pathlib.Path | None) -> Mapping[str, Sequence[sharded.Shard]]:
        examples = self.examples(manual_dir)
        return {split: of_split.shards(_EXAMPLES_PER_SHARD) for split, of_split in examples.items()}

    def _cast(self, manual_dir: pathlib.Path | None) -> tuple[list[subjects.Subject], list[actions.Clip]]:
        """Who is rendered, and the motions that they perform."""
        config = self.builder_config
        if config.source == "procedural":
            first = config.seed * 1_000_000
            return [
                subjects.Subject(f"procedural_{first + i}", str(c), seed=first + i, costume_seed=c)
                for i in range(config.characters)
                for c in range(config.costumes)
            ], []
        who, remarks = subjects.rigged_subjects(manual_dir, _MODELS[config.source], config.rights_held)
        clips, more = actions.find(manual_dir) if config.motions else ([], [])
        for line in (*remarks, *more):
            print(f"warning: {line}", file=sys.stderr)
        return who, clips
