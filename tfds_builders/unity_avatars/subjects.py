"""Who is in `unity_avatars`: characters and their costumes, and which split they are in."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Sequence

from anime_pt.avatars import camera, mmd, procedural, textures
from anime_pt.avatars.character import Character


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
    """

    character: str
    costume: str
    seed: int = -1
    costume_seed: int = 0
    path: str = ""
    stamp: tuple[int, int] = (0, 0)

    def load(self) -> Character:
        """Builds the character, or reads its file."""
        return mmd.load(self.path) if self.path else procedural.build(self.seed, self.costume_seed)


def stamp(path: pathlib.Path) -> tuple[int, int]:
    """Size in bytes and time of change in nanoseconds of a file."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def find_models(folder: pathlib.Path) -> list[pathlib.Path]:
    """PMD and PMX files below a folder, sorted.

    Raises:
      FileNotFoundError: there are none.
    """
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".pmd", ".pmx") and p.is_file())
    if not found:
        raise FileNotFoundError(f"{folder} holds no .pmd or .pmx file; put characters there, one folder each")
    return found


def rigged_subjects(folder: pathlib.Path) -> tuple[list[Subject], list[str]]:
    """The characters of a folder of MMD models, and one line for each file that is none.

    A character is the first folder below the one that all models share; every model in it is a costume.
    """
    subjects, left_out = [], []
    models = find_models(folder)
    root = pathlib.Path(models[0]).parent
    while not all(p.is_relative_to(root) for p in models):
        root = root.parent
    for path in models:
        relative = path.relative_to(root)
        try:
            character = mmd.load(path)
        except ValueError as error:
            left_out.append(f"left out: {textures.file_name_text(str(error))}")
            continue
        if not len(camera.drawn_vertices(character)):
            left_out.append(f"left out: {textures.file_name_text(str(path))}: it has bones, but no surface")
            continue
        name, *rest = (textures.file_name_text(part) for part in relative.parts)
        subjects.append(Subject(name, "/".join(rest) or name, path=str(path), stamp=stamp(path)))
        left_out.extend(f"{textures.file_name_text(str(relative))}: {line}" for line in character.report)
    return subjects, left_out


def split_by_character(subjects: Sequence[Subject]) -> dict[str, list[Subject]]:
    """train, validation and test: about 80, 10 and 10 percent of the characters, none in two of them.

    Characters with the most costumes go to train; among equals the order is that of the names' digest, so
    that a name that sorts first is not always in train.

    Raises:
      ValueError: fewer than three characters.
    """
    by_character: dict[str, list[Subject]] = {}
    for s in subjects:
        by_character.setdefault(s.character, []).append(s)
    if len(by_character) < 3:
        raise ValueError(
            f"a split by character needs at least 3 characters, there are {len(by_character)}: "
            f"{', '.join(by_character)}"
        )
    names = sorted(
        by_character,
        key=lambda n: (len(by_character[n]), hashlib.sha256(n.encode()).digest()),
    )
    held_out = max(1, round(0.1 * len(names)))
    parts = {
        "train": names[2 * held_out :],
        "validation": names[:held_out],
        "test": names[held_out : 2 * held_out],
    }
    return {split: [s for n in sorted(of) for s in by_character[n]] for split, of in parts.items()}
