"""What lies in the manual folder: annotations, lists, and pictures in folders or in ZIP archives."""

import dataclasses
import functools
import os
import pathlib
import re
import zipfile
from collections.abc import Callable, Mapping

from anime_pt.pose import patn
from tfds_builders.anime_keypoints.pictures import walk

_PICTURES = (".jpg", ".jpeg", ".png")


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the bytes of a picture are.

    Attributes:
      file: path of the picture, or of the archive.
      member: name in the archive, or "".
      locked: whether a password protects it.
    """

    file: str
    member: str = ""
    locked: bool = False

    def read(self) -> bytes:
        """Raises OSError where the file is damaged."""
        if not self.member:
            return pathlib.Path(self.file).read_bytes()
        try:
            return _archive(self.file).read(self.member)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise OSError(f"{self.member} cannot be read from {self.file} ({error}); unpack it") from error

    def __str__(self) -> str:
        return f"{self.file}, {self.member}" if self.member else self.file


# Threads and the examples of a shard share it.
@functools.lru_cache(maxsize=4)
def _archive(path: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


@dataclasses.dataclass(frozen=True)
class Folder:
    """The files of a manual folder that can matter.

    Attributes:
      root: the folder.
      joints, pairs, lists: files that `anime_pt.pose.patn` reads, of the dataset that is built.
      pictures: all of them, unpacked ones first, those that need a password last.
    """

    root: pathlib.Path
    joints: tuple[pathlib.Path, ...]
    pairs: tuple[pathlib.Path, ...]
    lists: tuple[pathlib.Path, ...]
    pictures: tuple[Place, ...]


def scan(root: pathlib.Path, ours: Callable[[str], bool]) -> Folder:
    """Looks through a folder and what is below it.

    Args:
      root: of the user.
      ours: whether the dataset has pictures of such a name; files that name others are passed over.

    Raises:
      ValueError: an archive is damaged.
      OSError: a folder or file cannot be read.
    """
    _archive.cache_clear()  # What was fetched again.
    tables: dict[str, list[pathlib.Path]] = {"joints": [], "pairs": [], "lists": []}
    pictures, archives = [], []
    for path in walk(root, (*_PICTURES, ".csv", ".lst", ".zip")):
        suffix = os.path.splitext(path)[1].lower()
        if suffix in _PICTURES:
            pictures.append(Place(path))
        elif suffix == ".zip":
            archives.append(path)
        else:
            file = pathlib.Path(path)
            kind = "lists" if suffix == ".lst" else patn.kind(file)
            if kind and ours(patn.first_name(file)):
                tables[kind].append(file)
    pictures.sort(key=lambda place: place.file)
    for path in sorted(archives):
        pictures += _members(path)
    pictures.sort(key=lambda place: place.locked)
    return Folder(root, *(tuple(sorted(tables[k])) for k in ("joints", "pairs", "lists")), tuple(pictures))


def _members(path: str) -> list[Place]:
    try:
        members = _archive(path).infolist()
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is no whole ZIP archive ({error}): fetch it again") from error
    return [
        Place(path, m.filename, bool(m.flag_bits & 1))
        for m in sorted(members, key=lambda m: m.filename)
        if os.path.splitext(m.filename)[1].lower() in _PICTURES
        # What macOS adds to archives.
        if not os.path.basename(m.filename).startswith(".")
    ]


def index(
    places: tuple[Place, ...], key: Callable[[pathlib.PurePosixPath], str | None]
) -> Mapping[str, Place]:
    """The pictures by what identifies them, the first one of each.

    Args:
      places: as `Folder.pictures`.
      key: of a path, below the archive's name where it is in one; None: not the dataset's.
    """
    out: dict[str, Place] = {}
    for place in places:
        above = os.path.splitext(place.file)[0] if place.member else place.file
        if found := key(pathlib.PurePosixPath(above, place.member)):
            out.setdefault(found, place)
    return out


def of_split(paths: tuple[pathlib.Path, ...], split: str) -> list[pathlib.Path]:
    """The files whose names say that they are of a split."""
    return [path for path in paths if re.search(rf"(?<![a-z]){split}(?![a-z])", path.stem.lower())]
