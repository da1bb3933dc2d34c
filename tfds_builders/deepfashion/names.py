"""What DeepFashion's In-shop pictures are called: one picture, four spellings.

    img/WOMEN/Tees_Tanks/id_00007334/03_4_full.jpg       in the archive
    fashionWOMENTees_Tanksid0000733403_4full.jpg         PATN's lists and its successors
    fasionWOMENTeesTanksid0000733403_4full.jpg           pose-gan
    WOMEN/TeesTanks/00007334/03/4full                    the key here

A person, to the public code, is an identity in one outfit: all that stands before the view ("4_full").
"""

import pathlib
import re

_NAME = re.compile(r"fash?ion(WOMEN|MEN)(\w+?)id_?(\d{8})(\d\d)_(\d)_?([a-z]+)\.jpg")
_PATH = re.compile(r"(?:.*/)?(WOMEN|MEN)/(\w+)/id_?(\d{8})/(\d\d)_(\d)_?([a-z]+)\.jpg")
HIGHRES = "img_highres"


def _joined(match: re.Match) -> str:
    gender, category, identity, outfit, number, view = match.groups()
    return f"{gender}/{category.replace('_', '')}/{identity}/{outfit}/{number}{view}"


def key(name: str) -> str | None:
    """Of a name in the annotations; None: of no such picture."""
    match = _NAME.fullmatch(name)
    return _joined(match) if match else None


def key_of_path(path: pathlib.PurePosixPath, highres: bool) -> str | None:
    """Of a picture's path, also of one that PATN or pose-gan has renamed; None: not one that is asked for.

    Args:
      path: with the folder `img_highres`, or the archive's name, above it where it is one of the larger ones.
      highres: whether these are asked for, or those of 256x256.
    """
    if (HIGHRES in path.parts) != highres:
        return None
    match = _PATH.fullmatch(path.as_posix())
    return _joined(match) if match else key(path.name)


def character(name: str) -> str:
    """The person of a name, such as "WOMEN/TeesTanks/00007334/03"."""
    return key(name).rpartition("/")[0]
