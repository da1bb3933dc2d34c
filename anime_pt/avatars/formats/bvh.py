"""Biovision Hierarchy motion files (.bvh): the text as it stands, and its forward kinematics.

The format declares neither units nor axes nor which pose the offsets show; `bvh_recording` finds those out.
Channels may come in any order and number at any joint. The Euler angles of a joint multiply in the order of
its channels, the first one outermost. Read from the format notes of Meredith and Maddock, "Motion Capture
File Formats Explained" (2001), and from exporters' files.
"""

import dataclasses
import functools
import os
import pathlib
import re

import numpy as np

from anime_pt.avatars import quaternions
from anime_pt.avatars.formats.binary import FormatError

# More than any real file has; they bound what a damaged one can ask for.
_MAX_BYTES, _MAX_JOINTS, _MAX_DEPTH = 1 << 28, 1024, 128
_MAX_VALUES, _MAX_PLACES = 1 << 25, 1 << 23  # Frames times channels, and times joints.
_MAX_OFFSET = 1e9
_CHANNELS = tuple(f"{axis}{kind}" for kind in ("position", "rotation") for axis in "xyz")


@dataclasses.dataclass(frozen=True)
class BvhFile:
    """A BVH file. Joints come parents first; end sites are kept apart.

    Attributes:
      path: of the file.
      joints: (j,) names as written.
      parents: (j,) int, -1 for roots.
      offsets: (j, 3) in the file's units.
      channels: (j,) tuples of names in lower case, such as "xposition" or "zrotation", in the file's order.
      ends: joint -> (3,) offset of its end site.
      values: (frames, channels) float64, degrees and the file's units.
      frame_time: seconds.
    """

    path: str
    joints: list[str]
    parents: np.ndarray
    offsets: np.ndarray
    channels: list[tuple[str, ...]]
    ends: dict[int, np.ndarray]
    values: np.ndarray
    frame_time: float

    @functools.cached_property
    def transforms(self) -> tuple[np.ndarray, np.ndarray]:
        """Global positions (t, j, 3) and rotations (t, j, 4) of the joints in every frame, in file space."""
        count = len(self.values)
        positions = np.empty((count, len(self.joints), 3))
        turns = np.empty((count, len(self.joints), 4))
        column = 0
        for j, names in enumerate(self.channels):
            own = self.values[:, column : column + len(names)]
            column += len(names)
            place = np.tile(self.offsets[j], (count, 1))
            turn = np.tile(quaternions.IDENTITY, (count, 1))
            moves = np.zeros((count, 3))
            for c, name in enumerate(names):
                axis = "xyz".index(name[0])
                if name.endswith("position"):
                    moves[:, axis] = own[:, c]
                else:
                    turn = quaternions.multiply(
                        turn, quaternions.about(np.eye(3)[axis], np.radians(own[:, c]))
                    )
            moving = ["xyz".index(n[0]) for n in names if n.endswith("position")]
            parent = self.parents[j]
            # Position channels take the place of the offset. Some exporters write the change against it
            # instead: then they are small beside it.
            apart = np.linalg.norm(np.median(moves, 0) - self.offsets[j])
            changes = parent >= 0 and apart > np.linalg.norm(np.median(moves, 0))
            place[:, moving] = moves[:, moving] + (self.offsets[j][moving] if changes else 0.0)
            if parent >= 0:
                place = positions[:, parent] + quaternions.rotate(turns[:, parent], place)
                turn = quaternions.multiply(turns[:, parent], turn)
            positions[:, j], turns[:, j] = place, turn
        return positions, quaternions.unit(turns)

    @property
    def rest(self) -> np.ndarray:
        """(j, 3) global positions of the joints with all channels at zero, in file space."""
        out = np.array(self.offsets)
        for j, parent in enumerate(self.parents):
            if parent >= 0:
                out[j] += out[parent]
        return out


class _Lines:
    """The lines of a file that are not blank, with their numbers."""

    def __init__(self, path: pathlib.Path):
        if not path.exists():
            raise FileNotFoundError(f"no such file: {path}")
        if not path.is_file():
            raise FormatError(f"{path}: not a regular file")
        if path.stat().st_size > _MAX_BYTES:
            raise FormatError(f"{path}: larger than {_MAX_BYTES} bytes")
        self.path, self.number = path, 0
        self._lines = iter(_text(path.read_bytes()).splitlines())

    def error(self, what: str) -> FormatError:
        return FormatError(f"{self.path}: line {self.number}: {what}")

    def next(self, wanted: str) -> str:
        for line in self._lines:
            self.number += 1
            if line.strip():
                return line
        self.number += 1
        raise self.error(f"the file ends where {wanted} should be")

    def numbers(self, words: list[str], count: int, what: str) -> np.ndarray:
        if len(words) != count:
            raise self.error(f"{what} has {len(words)} numbers instead of {count}")
        try:
            values = np.array(words, np.float64)
        except ValueError:
            raise self.error(f"{what} has something that is not a number") from None
        if count and not np.abs(values).max() < _MAX_OFFSET:  # NaN included.
            raise self.error(f"{what} has a number that is not finite or far too large")
        return values


def _text(data: bytes) -> str:
    for encoding in ("utf-8-sig", "cp932"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            pass
    return data.decode("latin-1")


def parse(path: str | os.PathLike) -> BvhFile:
    """Reads a BVH file as it stands.

    Raises:
      FileNotFoundError: if there is no such file.
      FormatError: (a ValueError) with the line, if it is not a BVH file, cut short or damaged.
    """
    lines = _Lines(pathlib.Path(path))
    if lines.next("HIERARCHY").strip().upper() != "HIERARCHY":
        raise lines.error("not a BVH file: the first word is not HIERARCHY")
    joints, parents, offsets, channels, ends = _hierarchy(lines)
    count = sum(map(len, channels))
    frames = _header(lines, "Frames")
    if frames < 1 or frames != int(frames):
        raise lines.error(f"{frames:g} frames: expected a whole number from 1")
    if frames * count > _MAX_VALUES or frames * len(joints) > _MAX_PLACES:
        raise lines.error(f"{frames:g} frames of {len(joints)} joints are too many: cut the clip into parts")
    frame_time = _header(lines, "Frame Time")
    if not 1e-4 <= frame_time <= 10:
        raise lines.error(f"a frame time of {frame_time:g} s: expected 0.0001 to 10")
    rows = []
    for frame in range(int(frames)):
        row = lines.next(f"frame {frame + 1} of {int(frames)}").split()
        rows.append(lines.numbers(row, count, f"frame {frame + 1}"))
    return BvhFile(
        str(path), joints, np.array(parents), np.array(offsets), channels, ends, np.array(rows), frame_time
    )


def _hierarchy(lines: _Lines):
    """Reads up to and with the line MOTION."""
    joints: list[str] = []
    parents: list[int] = []
    offsets: list[np.ndarray | None] = []
    channels: list[tuple[str, ...]] = []
    ends: dict[int, np.ndarray] = {}
    # Open braces: the joint, or None within an end site. `pending` has a name but no brace yet.
    stack: list[int | None] = []
    pending: list[int | None] = []

    def within(word: str) -> int | None:
        if not stack or pending:
            raise lines.error(f"{word} outside of a joint's braces")
        return stack[-1]

    while True:
        # A brace may stand on the line of a name.
        for line in re.sub(r"([{}])", r"\n\1\n", lines.next("the rest of the hierarchy")).split("\n"):
            words = line.split()
            if not words:
                continue
            word = words[0].upper()
            if word == "MOTION":
                if stack or pending or not joints:
                    raise lines.error("MOTION before the hierarchy is complete")
                missing = [n for n, offset in zip(joints, offsets, strict=True) if offset is None]
                if missing:
                    raise lines.error(f"joint {missing[0]!r} has no OFFSET")
                return joints, parents, offsets, channels, ends
            if word in ("ROOT", "JOINT"):
                if (word == "JOINT") != bool(stack) or pending or (stack and stack[-1] is None):
                    raise lines.error(f"{word} in a wrong place")
                if len(joints) >= _MAX_JOINTS:
                    raise lines.error(f"more than {_MAX_JOINTS} joints")
                if len(stack) >= _MAX_DEPTH:
                    raise lines.error(f"joints nested deeper than {_MAX_DEPTH}")
                pending.append(len(joints))
                joints.append(" ".join(words[1:]) or f"joint_{len(joints)}")
                parents.append(stack[-1] if stack else -1)
                offsets.append(None)
                channels.append(())
            elif word == "END":
                if within("End Site") is None:
                    raise lines.error("an end site within an end site")
                pending.append(None)
            elif word == "{":
                if not pending:
                    raise lines.error("a brace without a joint")
                stack.append(pending.pop())
            elif word == "}":
                if not stack or pending:
                    raise lines.error("a brace too many")
                stack.pop()
            elif word == "OFFSET":
                joint = within(word)
                offset = lines.numbers(words[1:], 3, "OFFSET")
                if joint is None:
                    ends[stack[-2]] = offset
                else:
                    offsets[joint] = offset
            elif word == "CHANNELS":
                joint = within(word)
                names = tuple(w.lower() for w in words[2:])
                if joint is None or channels[joint]:
                    raise lines.error("CHANNELS in a wrong place")
                if words[1:2] != [str(len(names))] or len(set(names)) != len(names):
                    raise lines.error("CHANNELS: the number and the names do not agree")
                if unknown := [n for n in names if n not in _CHANNELS]:
                    raise lines.error(f"CHANNELS: unknown name {unknown[0]!r}")
                channels[joint] = names
            else:
                raise lines.error(f"unexpected {words[0][:40]!r}")


def _header(lines: _Lines, name: str) -> float:
    line = lines.next(f"{name}:")
    before, colon, after = line.partition(":")
    if not colon or " ".join(before.split()).lower() != name.lower():
        raise lines.error(f"expected {name}:")
    return float(lines.numbers(after.split(), 1, name)[0])
