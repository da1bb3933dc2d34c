"""The mmd_pairs dataset: a human and an anime character at the same moment of the same motion."""

import dataclasses
import pathlib
import sys
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow_datasets as tfds

from anime_pt.avatars.character import Terms
from anime_pt.pose.skeletons import AVATAR_20, OPENPOSE_18
from tfds_builders import sharded
from tfds_builders.mmd_pairs import film, human, planning
from tfds_builders.mmd_pairs.clips import Clip, Performed
from tfds_builders.mmd_pairs.examples import Examples, View
from tfds_builders.unity_avatars.subjects import Subject, rigged_subjects

RESOLUTIONS = (64, 128, 256, 512)
SOURCES = ("procedural", "openpose", "openmmd")
_EXAMPLES_PER_SHARD = 256


@dataclasses.dataclass(kw_only=True)
class MmdPairsConfig(tfds.core.BuilderConfig):
    """Who moves, and which frames are kept.

    Attributes:
      resolution: side of the images in pixels.
      source: "procedural" (motions, human figures and characters from seeds), "openpose" or "openmmd" (clips
        and characters in the manual folder).
      characters, costumes: how many procedural characters, and costumes of each.
      motions: how many procedural motions; each has a human figure of its own.
      length: of a procedural motion in frames, 30 per second.
      takes: motions that each costume performs, of those of its split; 0 stands for all.
      every: only each such frame of a clip is looked at.
      min_change: in standing heights; a frame in which no joint is as far as this from where it is in one
        that is kept is redundant, see `planning`. 0 keeps all.
      min_keypoints: of 18 that must be found in a frame of a video.
      yaw, pitch: largest turn of the camera of a procedural clip to either side, in degrees.
      supersample: samples per pixel and axis.
      seed: of characters, motions and cameras.
      rights_held: build although a model's terms forbid to pass pictures of it on.
    """

    resolution: int
    source: str = "procedural"
    characters: int = 60
    costumes: int = 2
    motions: int = 120
    length: int = 180
    takes: int = 6
    every: int = 6
    min_change: float = 0.05
    min_keypoints: int = 12
    yaw: float = 40.0
    pitch: float = 8.0
    supersample: int = 2
    seed: int = 0
    rights_held: bool = False

    def __post_init__(self):
        if self.source not in SOURCES:
            raise ValueError(f"source must be one of {', '.join(SOURCES)}, got {self.source!r}")
        positive = ("resolution", "characters", "costumes", "motions", "length", "every", "supersample")
        for field in positive:
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 1, got {getattr(self, field)}")
        for field, most in (("yaw", 180), ("pitch", 90), ("min_keypoints", len(OPENPOSE_18))):
            if not 0 <= getattr(self, field) <= most:
                raise ValueError(f"{field} must be 0 to {most}, got {getattr(self, field)}")
        for field in ("takes", "seed", "min_change"):
            if not 0 <= getattr(self, field) < np.inf:
                raise ValueError(f"{field} must be a number from 0 on, got {getattr(self, field)}")


class Builder(sharded.ShardedBuilder):
    """DatasetBuilder of mmd_pairs; see README.md beside this file."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Procedural pairs, and pairs with OpenPose's or OpenMMD's output."}
    BUILDER_CONFIGS = [
        *(
            MmdPairsConfig(
                name=f"procedural_{r}",
                description=f"Human figures and anime characters from seeds, {r}x{r}. Nothing is downloaded.",
                resolution=r,
            )
            for r in RESOLUTIONS
        ),
        *(
            MmdPairsConfig(
                name=f"{source}_{r}",
                description=f"Clips with {title} output and characters of the manual folder, {r}x{r}.",
                resolution=r,
                source=source,
                takes=0,
            )
            for source, title in (("openpose", "OpenPose's"), ("openmmd", "OpenMMD's"))
            for r in RESOLUTIONS
        ),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    `openpose_*` and `openmmd_*` read `characters/` (models, one folder for each character) and `clips/` (one
    folder for each clip) below the manual folder; README.md says what is in a clip's folder. `procedural_*`
    needs no file.
    """

    @property
    def needs_manual_dir(self) -> bool:
        return self.builder_config.source != "procedural"

    def _info(self) -> tfds.core.DatasetInfo:
        side = self.builder_config.resolution
        image = lambda channels: tfds.features.Image(shape=(side, side, channels), encoding_format="png")
        floats = lambda *shape: tfds.features.Tensor(shape=shape, dtype=np.float32)
        if self.builder_config.source == "procedural":
            of_human = {
                "human_mask": image(1),
                "human_joints": floats(len(AVATAR_20), 3),
                "human_camera": floats(3, 4),
            }
        else:
            of_human = {"has_human_image": np.bool_, "human_box": floats(3), "human_depth": np.float32}
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "human_image": image(3),
                    "human_keypoints": floats(len(OPENPOSE_18), 3),
                    **of_human,
                    "anime_image": image(3),
                    "anime_mask": image(1),
                    "anime_keypoints": floats(len(AVATAR_20), 3),
                    "anime_joints": floats(len(AVATAR_20), 3),
                    "anime_camera": floats(3, 4),
                    "character": tfds.features.Text(),
                    "costume": tfds.features.Text(),
                    "motion": tfds.features.Text(),
                    "frame": np.int32,
                    "seconds": np.float32,
                    "fps": np.float32,
                    "camera": {"yaw": np.float32, "pitch": np.float32},
                }
            )
        )

    def _shards(self, manual_dir: pathlib.Path | None) -> Mapping[str, Sequence[sharded.Shard]]:
        config = self.builder_config
        view = View(config.resolution, config.supersample, config.yaw, config.pitch)
        figure = human.build(config.seed)
        out = {}
        for name, (clips, subjects) in planning.split(
            self._clips(manual_dir), self._subjects(manual_dir)
        ).items():
            kept = {}
            for clip in clips:
                kept[clip] = planning.frames(
                    clip, figure, config.every, config.min_change, config.min_keypoints
                )
            plan = [
                (clip, subject, frame)
                for clip, subject in planning.takes(clips, subjects, config.takes)
                for frame in kept[clip]
            ]
            if not plan:
                raise ValueError(f"split {name}: no frame is left; lower min_change or min_keypoints")
            out[name] = [_shard(view, piece) for piece in planning.pieces(plan, _EXAMPLES_PER_SHARD)]
        return out

    def _clips(self, manual_dir: pathlib.Path | None) -> list[Clip]:
        config = self.builder_config
        if config.source != "procedural":
            return film.find(manual_dir, config.source)
        first = config.seed * 1_000_000
        return [Performed(f"motion_{first + i:06d}", first + i, config.length) for i in range(config.motions)]

    def _subjects(self, manual_dir: pathlib.Path | None) -> list[Subject]:
        config = self.builder_config
        if config.source != "procedural":
            subjects, remarks = rigged_subjects(manual_dir / "characters", rights_held=config.rights_held)
            for line in remarks:
                print(f"warning: {line}", file=sys.stderr)
            return subjects
        first = config.seed * 1_000_000
        return [
            Subject(f"procedural_{first + i}", str(c), seed=first + i, costume_seed=c)
            for i in range(config.characters)
            for c in range(config.costumes)
        ]


def _shard(view: View, piece: Sequence[tuple[Clip, Subject, int]]) -> sharded.Shard:
    clips = tuple(dict.fromkeys(c for c, _, _ in piece))
    subjects = tuple(dict.fromkeys(s for _, s, _ in piece))
    plan = tuple((clips.index(c), subjects.index(s), frame) for c, s, frame in piece)
    files = [(s.path, s.terms) for s in subjects if s.path]
    files += [(path, Terms()) for clip in clips for path in clip.files()]
    return sharded.Shard(Examples(view, clips, subjects, plan), len(plan), tuple(files))
