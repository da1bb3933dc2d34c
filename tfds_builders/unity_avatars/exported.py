"""Folders that the exporter of `exporter/` wrote in a Unity project: `frames.jsonl` and pictures beside it.

A line of `frames.jsonl` is an object with

    file        of the picture, below the folder: PNG, with straight alpha or before white
    character, costume, clip, frame     names, and the number of the frame
    width, height                       of the picture in pixels
    keypoints   name -> [x, y, depth, visible]: pixels from the top left, metres along the view, 1 or 0
    bones       name in UnityEngine.HumanBodyBones -> [x, y, z] in Unity's world (left-handed, metres)
    camera      {"view": 16 numbers, "proj": 16 numbers}, row by row
"""

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from anime_pt.avatars.character import Terms
from anime_pt.avatars.formats.binary import FormatError
from anime_pt.pose.skeletons import AVATAR_20
from tfds_builders.unity_avatars import fields, pictures
from tfds_builders.unity_avatars.examples import Examples
from tfds_builders.unity_avatars.subjects import stamp

NAME = "frames.jsonl"
_LONGEST_LINE = 1 << 20
_FINGERS = [
    f"{side}{finger}{part}"
    for side in ("Left", "Right")
    for finger in ("Thumb", "Index", "Middle", "Ring", "Little")
    for part in ("Proximal", "Intermediate", "Distal")
]
# UnityEngine.HumanBodyBones, in its order.
BONES = (
    *("Hips", "LeftUpperLeg", "RightUpperLeg", "LeftLowerLeg", "RightLowerLeg", "LeftFoot", "RightFoot"),
    *("Spine", "Chest", "Neck", "Head", "LeftShoulder", "RightShoulder", "LeftUpperArm", "RightUpperArm"),
    *("LeftLowerArm", "RightLowerArm", "LeftHand", "RightHand", "LeftToes", "RightToes"),
    *("LeftEye", "RightEye", "Jaw", *_FINGERS, "UpperChest"),
)


@dataclasses.dataclass(frozen=True)
class Row:
    """Where a frame is written, and whose it is.

    Attributes:
      path: of the `frames.jsonl`.
      number: of the line, from 1.
      offset, length: of the line in bytes.
      character, costume: of the figure.
      stamps: sizes and times of this file and of the picture.
    """

    path: str
    number: int
    offset: int
    length: int
    character: str
    costume: str
    stamps: tuple[int, int, int, int]


@dataclasses.dataclass(frozen=True)
class Frame:
    """What a line says; see the module's docstring.

    Attributes:
      file: path of the picture.
      keypoints: (20, 3) float64 x, y, visibility in the order of `AVATAR_20`; NaN, NaN, 0 if absent.
      bones: (55, 3) float32 in the order of `BONES`, NaN where there is none.
      view, projection: (4, 4) float32.
    """

    file: pathlib.Path
    character: str
    costume: str
    clip: str
    frame: int
    width: int
    height: int
    keypoints: np.ndarray
    bones: np.ndarray
    view: np.ndarray
    projection: np.ndarray


def frame_of(line: bytes, path: pathlib.Path, number: int) -> Frame:
    """Reads a line.

    Raises:
      FormatError: naming file and line, if it is not as the module's docstring says.
    """
    where = f"{path}, line {number}"
    record = fields.parse(line, where)
    text = {name: fields.get(record, name, str, where) for name in ("file", "character", "costume", "clip")}
    size = {name: fields.get(record, name, int, where) for name in ("width", "height", "frame")}
    if min(size["width"], size["height"]) < 1:
        raise FormatError(f"{where}: a picture of {size['width']}x{size['height']}")
    if not text["character"]:
        raise FormatError(f"{where}: 'character' is empty")
    file = pathlib.PurePath(text.pop("file"))
    if file.is_absolute() or ".." in file.parts:
        raise FormatError(f"{where}: the file {str(file)!r} is not below the folder")
    points = np.tile([np.nan, np.nan, 0.0], (len(AVATAR_20), 1))
    for name, value in fields.get(record, "keypoints", dict, where).items():
        if name not in AVATAR_20.keypoints:
            raise FormatError(f"{where}: unknown keypoint {name!r}; known: {', '.join(AVATAR_20.keypoints)}")
        x, y, _, visible = fields.numbers(value, 4, f"{where}: keypoint {name!r}")
        if visible not in (0, 1):
            raise FormatError(f"{where}: keypoint {name!r}: visible must be 0 or 1")
        points[AVATAR_20.index(name)] = x, y, visible
    bones = np.full((len(BONES), 3), np.nan, np.float32)
    for name, value in fields.get(record, "bones", dict, where).items():
        if name not in BONES:
            raise FormatError(f"{where}: unknown bone {name!r}; see UnityEngine.HumanBodyBones")
        bones[BONES.index(name)] = fields.numbers(value, 3, f"{where}: bone {name!r}")
    camera = fields.get(record, "camera", dict, where)
    view, projection = (
        np.array(fields.numbers(camera.get(n), 16, f"{where}: camera {n!r}"), np.float32).reshape(4, 4)
        for n in ("view", "proj")
    )
    return Frame(
        path.parent / file, **text, **size, keypoints=points, bones=bones, view=view, projection=projection
    )


def rows(folder: pathlib.Path) -> list[Row]:
    """Finds and checks all frames below a folder, in the order of files and lines.

    Raises:
      FileNotFoundError: there is no `frames.jsonl`, or none has a line.
      FormatError: a line is damaged, or names a picture that is not there.
    """
    out = []
    for path in sorted(folder.rglob(NAME)):
        for number, offset, line in _lines(path):
            frame = frame_of(line, path, number)
            if not frame.file.is_file():
                raise FormatError(f"{path}, line {number} names {frame.file}, which is not there")
            stamps = (*stamp(path), *stamp(frame.file))
            out.append(Row(str(path), number, offset, len(line), frame.character, frame.costume, stamps))
    if not out:
        raise FileNotFoundError(f"{folder} holds no {NAME} with a frame; see exporter/README.md")
    return out


def _lines(path: pathlib.Path) -> Iterator[tuple[int, int, bytes]]:
    """Number, offset and bytes of the lines that are not blank."""
    with open(path, "rb") as file:
        number = offset = 0
        while line := file.readline(_LONGEST_LINE + 1):
            number += 1
            if len(line) > _LONGEST_LINE:
                raise FormatError(f"{path}, line {number} is longer than {_LONGEST_LINE} bytes")
            if line.strip():
                yield number, offset, line
            offset += len(line)


@dataclasses.dataclass(frozen=True)
class Frames(Examples):
    """Exported frames, letterboxed to `resolution`."""

    resolution: int
    of: tuple[Row, ...]

    def __len__(self) -> int:
        return len(self.of)

    def cut(self, start: int, stop: int) -> tuple["Frames", int]:
        return Frames(self.resolution, self.of[start:stop]), 0

    def files(self) -> tuple[tuple[str, Terms], ...]:
        return tuple((path, Terms()) for path in dict.fromkeys(row.path for row in self.of))

    def who(self) -> Iterator[tuple[str, str, int]]:
        return ((row.character, row.costume, 1) for row in self.of)

    def make(self, index: int) -> tuple[str, dict[str, Any]]:
        row = self.of[index]
        with open(row.path, "rb") as file:
            file.seek(row.offset)
            line = file.read(row.length)
        frame = frame_of(line, pathlib.Path(row.path), row.number)
        whole = pictures.read(frame.file, frame.width, frame.height, f"{row.path}, line {row.number}")
        longer = max(frame.width, frame.height)
        box = ((frame.width - longer) // 2, (frame.height - longer) // 2, longer)
        image, mask, points = pictures.square(
            *pictures.before_white(whole), frame.keypoints, box, self.resolution
        )
        return f"{row.path}:{row.number}", {
            "image": image,
            "mask": mask,
            "keypoints": points,
            "character": frame.character,
            "costume": frame.costume,
            "motion": frame.clip,
            "frame": np.int32(frame.frame),
            "bones": frame.bones,
            "camera": {"view": frame.view, "projection": frame.projection},
        }
