"""Who is in `unity_avatars`: characters and their costumes, and which split they are in."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Callable, Sequence
from typing import TypeVar

from anime_pt.avatars import camera, files, procedural
from anime_pt.avatars.character import Character, Terms
from anime_pt.avatars.formats import terms, textures

Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True)
class Subject:
    """One costume of one character.

    Attributes:
      character: identity; splits never share one.
      costume: name, unique within the character.
      seed: of a procedural character, or -1.
      costume_seed: of a procedural costume.
      path: of a model file, or "".
      stamp: size and time of that file: a build that continues must not mix two of its versions.
      terms: of use, that the file carries.
    """

    character: str
    costume: str
    seed: int = -1
    costume_seed: int = 0
    path: str = ""
    stamp: tuple[int, int] = (0, 0)
    terms: Terms = dataclasses.field(default_factory=Terms, compare=False)

    def load(self) -> Character:
        """Builds the character, or reads its file."""
        return files.load(self.path) if self.path else procedural.build(self.seed, self.costume_seed)


def stamp(path: pathlib.Path) -> tuple[int, int]:
    """Size in bytes and time of change in nanoseconds of a file."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def find_models(folder: pathlib.Path, suffixes: Sequence[str] = files.SUFFIXES) -> list[pathlib.Path]:
    """Model files below a folder, sorted.

    Raises:
      FileNotFoundError: there are none.
    """
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in suffixes and p.is_file())
    if not found:
        raise FileNotFoundError(
            f"{folder} holds no {' or '.join(suffixes)} file; put characters there, one folder each"
        )
    return found


def rigged_subjects(
    folder: pathlib.Path, suffixes: Sequence[str] = files.SUFFIXES, rights_held: bool = False
) -> tuple[list[Subject], list[str]]:
    """The characters of a folder of models, and one line for each file that is none.

    A character is the first folder below the one that all models share; every model in it is a costume.

    Args:
      folder: searched with all folders below it.
      suffixes: of the files that count, of those that `avatars.files` reads.
      rights_held: take models whose terms forbid it.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: the terms of a model forbid a dataset of it.
    """
    subjects, left_out = [], []
    models = find_models(folder, suffixes)
    root = pathlib.Path(models[0]).parent
    while not all(p.is_relative_to(root) for p in models):
        root = root.parent
    for path in models:
        relative = path.relative_to(root)
        try:
            character = files.load(path)
        except ValueError as error:
            left_out.append(f"left out: {textures.file_name_text(str(error))}")
            continue
        if not len(camera.drawn_vertices(character)):
            left_out.append(f"left out: {textures.file_name_text(str(path))}: it has bones, but no surface")
            continue
        terms.require(character.terms, path, rights_held)
        name, *rest = (textures.file_name_text(part) for part in relative.parts)
        subjects.append(
            Subject(name, "/".join(rest) or name, path=str(path), stamp=stamp(path), terms=character.terms)
        )
        left_out.extend(f"{textures.file_name_text(str(relative))}: {line}" for line in character.report)
    return subjects, left_out


def split_by_character(subjects: Sequence[Subject]) -> dict[str, list[Subject]]:
    """`split_by` their characters."""
    return split_by(subjects, lambda subject: subject.character, "character")


def split_by(items: Sequence[Item], group: Callable[[Item], str], what: str) -> dict[str, list[Item]]:
    """train, validation and test: about 80, 10 and 10 percent of the groups, none in two of them.

    Groups with the most items go to train; among equals the order is that of the names' digest, so that a
    name that sorts first is not always in train.

    Args:
      items: of a group they keep their order.
      group: the name of an item's group.
      what: word for a group, for messages.

    Raises:
      ValueError: fewer than three groups.
    """
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(group(item), []).append(item)
    if len(groups) < 3:
        raise ValueError(
            f"a split by {what} needs at least 3 {what}s, there are {len(groups)}: {', '.join(groups)}"
        )
    names = sorted(groups, key=lambda n: (len(groups[n]), hashlib.sha256(n.encode()).digest()))
    held_out = max(1, round(0.1 * len(names)))
    parts = {
        "train": names[2 * held_out :],
        "validation": names[:held_out],
        "test": names[held_out : 2 * held_out],
    }
    return {split: [item for n in sorted(of) for item in groups[n]] for split, of in parts.items()}
