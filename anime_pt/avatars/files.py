"""Characters by name: a file of any format, or "procedural:SEED" for one of the built-in characters."""

import pathlib
import re

from anime_pt.avatars import procedural
from anime_pt.avatars.character import Character
from anime_pt.avatars.formats import mmd, pmd, pmx, vrm
from anime_pt.avatars.formats.binary import chosen


def _pmd(path: pathlib.Path) -> Character:
    return mmd.from_pmd(pmd.read(path))


def _pmx(path: pathlib.Path) -> Character:
    return mmd.from_pmx(pmx.read(path))


_READERS = {".pmd": _pmd, ".pmx": _pmx, ".vrm": vrm.load, ".glb": vrm.load, ".gltf": vrm.load}
# First bytes of a file -> who reads it, whatever its name says.
_MAGICS = {b"Pmd": _pmd, b"PMX ": _pmx, b"glTF": vrm.load}
SUFFIXES = tuple(_READERS)
_PROCEDURAL = re.compile(r"procedural:(\d{1,9})(?:,(\d{1,9}))?")


def load(spec: str | pathlib.Path) -> Character:
    """A character.

    Args:
      spec: path of a .pmd, .pmx, .vrm, .glb or .gltf file, or "procedural:SEED", or
        "procedural:SEED,COSTUME".

    Raises:
      FileNotFoundError: if there is no such file.
      FormatError: (a ValueError) if the file is none of these, damaged, or no humanoid.
      ValueError: for a procedural character without a whole number as its seed.
    """
    if isinstance(spec, str) and spec.startswith("procedural:"):
        match = _PROCEDURAL.fullmatch(spec)
        if not match:
            raise ValueError(f"{spec!r}: expected procedural:SEED or procedural:SEED,COSTUME, whole numbers")
        return procedural.build(int(match[1]), int(match[2] or 0))
    path = pathlib.Path(spec)
    return chosen(path, _MAGICS, _READERS, "characters")(path)
