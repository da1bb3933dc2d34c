"""Keypoints in files.

The project's own JSON names its skeleton and its joints, so a reader never guesses an order:

    {"format": "anime_pt/keypoints", "version": 1, "skeleton": "avatar_20", "names": ["nose", ...],
     "width": 512, "height": 512, "fps": 30.0, "frames": [[[x, y, visibility], ...], ...]}

Coordinates are pixels of a width x height frame, origin top left, pixel centres at .5. A joint that is not
known is null.
"""

import dataclasses
import json
import pathlib

import numpy as np

from anime_pt.pose.skeletons import SKELETONS, Skeleton

_FORMAT = "anime_pt/keypoints"


class PoseFileError(ValueError):
    """A pose file cannot be read; the message names the file and what is wrong."""


@dataclasses.dataclass(frozen=True)
class PoseSequence:
    """Keypoints over time.

    Attributes:
      keypoints: (t, k, 3) float32: x, y, visibility; NaN coordinates and visibility 0 where unknown.
      skeleton: of the k joints.
      size: (height, width) of the frame in pixels.
      fps: frames per second.
    """

    keypoints: np.ndarray
    skeleton: Skeleton
    size: tuple[float, float]
    fps: float = 30.0

    def as_skeleton(self, skeleton: Skeleton) -> "PoseSequence":
        """The same poses in another skeleton's order, by joint name; joints it lacks are unknown."""
        out = np.full((len(self.keypoints), len(skeleton), 3), np.nan, np.float32)
        out[..., 2] = 0
        for i, name in enumerate(skeleton.keypoints):
            if name in self.skeleton.keypoints:
                out[:, i] = self.keypoints[:, self.skeleton.index(name)]
        return dataclasses.replace(self, keypoints=out, skeleton=skeleton)

    def resized(self, height: float, width: float) -> "PoseSequence":
        """The same poses in a frame of another size; another shape gets borders, nothing is stretched."""
        scale = min(height / self.size[0], width / self.size[1])
        offset = np.array([width - scale * self.size[1], height - scale * self.size[0]]) / 2
        out = self.keypoints.copy()
        out[..., :2] = out[..., :2] * scale + offset
        return dataclasses.replace(self, keypoints=out, size=(height, width))


def write(path: str | pathlib.Path, poses: PoseSequence) -> None:
    """Writes the project's JSON."""
    frames = [
        [None if not np.isfinite(p[:2]).all() else [round(float(v), 3) for v in p] for p in frame]
        for frame in poses.keypoints
    ]
    document = {
        "format": _FORMAT,
        "version": 1,
        "skeleton": poses.skeleton.name,
        "names": poses.skeleton.keypoints,
        "width": poses.size[1],
        "height": poses.size[0],
        "fps": poses.fps,
        "frames": frames,
    }
    pathlib.Path(path).write_text(json.dumps(document))


def read(path: str | pathlib.Path) -> PoseSequence:
    """Reads the project's JSON.

    Raises:
      FileNotFoundError: no such file.
      PoseFileError: not JSON, another format, joints that are not the skeleton's, or frames of other shapes.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no pose file {path}")
    try:
        document = json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise PoseFileError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise PoseFileError(f'{path} is not a keypoints file: it must say "format": "{_FORMAT}"')
    missing = {"skeleton", "names", "width", "height", "frames"} - document.keys()
    if missing:
        raise PoseFileError(f"{path} lacks {', '.join(sorted(missing))}")
    if document.get("version") != 1:
        raise PoseFileError(f"{path} is of version {document.get('version')}; this program reads version 1")
    skeleton = SKELETONS.get(str(document["skeleton"]))
    if skeleton is None:
        raise PoseFileError(
            f"{path}: unknown skeleton {document['skeleton']!r}; known: {', '.join(SKELETONS)}"
        )
    if document["names"] != list(skeleton.keypoints):
        raise PoseFileError(f"{path}: the joint names are not those of {skeleton.name}, in its order")
    unknown = [np.nan, np.nan, 0.0]
    try:
        frames = [[unknown if p is None else p for p in frame] for frame in document["frames"]]
        keypoints = np.array(frames, np.float32)
        if frames and keypoints.shape[1:] != (len(skeleton), 3):
            raise ValueError(f"frames of shape {keypoints.shape[1:]}")
        size = (float(document["height"]), float(document["width"]))
        fps = float(document.get("fps", 30))
    except (TypeError, ValueError) as error:
        raise PoseFileError(f"{path}: every frame must have {len(skeleton)} joints of 3 numbers") from error
    if not len(keypoints):
        raise PoseFileError(f"{path} has no frames")
    if not (min(size) > 0 and fps > 0):
        raise PoseFileError(f"{path}: width, height and fps must be positive")
    return PoseSequence(keypoints, skeleton, size, fps)
