"""VPD, the pose format of MikuMikuDance: text in cp932 with the rotations and movements of bones.

    Vocaloid Pose Data file

    model.osm;		// parent file
    1;				// number of bones

    Bone0{センター
      0.000000,8.000000,0.000000;				// movement
      0.000000,0.000000,0.000000,1.000000;	// quaternion x, y, z, w
    }

    Morph0{まばたき
      1.000000;
    }

Values are as in a VMD, of which a pose is one frame; so that is what is read and written. Morphs are an
extension by other editors. There is no official specification.
"""

import os
import pathlib
import re

import numpy as np

from anime_pt.avatars.formats import vmd
from anime_pt.avatars.formats.binary import FormatError

_SIGNATURE = "Vocaloid Pose Data file"
# Room for a pose of 10,000 bones.
_LARGEST = 4 << 20
_COUNT = re.compile(r"[0-9]{1,6}")
_COMMENT = re.compile(r"//[^\n]*")
_BLOCK = re.compile(r"(Bone|Morph)\d+\s*\{([^\n;{}]*)\n([^{}]*)\}")


def _numbers(text: str, counts: tuple[int, ...], what: str) -> list[list[float]]:
    groups = [group for group in text.split(";") if group.strip()]
    try:
        values = [[float(value) for value in group.split(",")] for group in groups]
    except ValueError:
        values = []
    if tuple(map(len, values)) != counts or not all(np.isfinite(v).all() for v in values):
        raise FormatError(f"{what}: expected {' and '.join(map(str, counts))} finite numbers")
    return values


def read(path: str | os.PathLike) -> vmd.VmdFile:
    """Parses a VPD file; all keys are at frame 0.

    Raises:
      FileNotFoundError: if there is none.
      FormatError: if it is not a VPD file, or damaged.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no such file: {path}")
    if not path.is_file() or path.stat().st_size > _LARGEST:
        raise FormatError(f"{path}: a pose is a file of at most {_LARGEST} bytes")
    text = _COMMENT.sub("", path.read_bytes().decode("cp932", "replace").replace("\r\n", "\n"))
    head, _, rest = text.partition(_SIGNATURE)
    if head.strip("\ufeff \n") or not rest:
        raise FormatError(f"{path}: not a VPD file: the signature is missing")
    fields = rest.split(";", 2)
    if len(fields) < 3 or not _COUNT.fullmatch(fields[1].strip()):
        raise FormatError(f"{path}: the name of the model and the number of bones are missing")
    bones: dict[str, vmd.BoneKeys] = {}
    morphs: dict[str, vmd.MorphKeys] = {}
    frames, found = np.zeros(1, np.int32), 0
    for kind, name, body in _BLOCK.findall(fields[2]):
        name = name.strip()
        where = f"{path}: {kind.lower()} {name!r}"
        if kind == "Morph":
            (weight,) = _numbers(body, (1,), where)
            morphs[name] = vmd.MorphKeys(frames, np.float32(weight))
            continue
        found += 1
        shift, turn = _numbers(body, (3, 4), where)
        length = float(np.linalg.norm(turn))
        turn = np.array(turn) / length if length > 1e-6 else np.array([0, 0, 0, 1])
        linear = np.tile(np.uint8(vmd.LINEAR), (1, 4, 1))
        numbers = np.float32([shift]), turn.astype(np.float32)[None]
        bones[name] = vmd.BoneKeys(frames, *numbers, linear, linear[:, 2:, 0])
    if found != int(fields[1]):
        raise FormatError(f"{path}: {found} bones found, {fields[1].strip()} announced: the file is damaged")
    return vmd.VmdFile(fields[0].strip().removesuffix(".osm"), bones, morphs)


def write(path: str | os.PathLike, file: vmd.VmdFile) -> None:
    """Writes the first key of every bone and morph of a motion as a pose."""
    lines = [_SIGNATURE, "", f"{file.model_name}.osm;", f"{len(file.bones)};", ""]
    row = lambda values: "  " + ",".join(f"{value:.6f}" for value in values) + ";"
    for i, (name, keys) in enumerate(file.bones.items()):
        lines += [f"Bone{i}{{{name}", row(keys.positions[0]), row(keys.rotations[0]), "}", ""]
    for i, (name, keys) in enumerate(file.morphs.items()):
        lines += [f"Morph{i}{{{name}", row(keys.weights[:1]), "}", ""]
    pathlib.Path(path).write_bytes("\r\n".join(lines).encode("cp932", "replace"))
