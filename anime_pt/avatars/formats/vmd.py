"""VMD, the motion format of MikuMikuDance: bone, morph, camera, light, shadow and visibility keys.

There is no official specification; the layout is the one that public readers agree on
(https://mikumikudance.fandom.com/wiki/VMD_file_format). Values are as in the file: left-handed, Y up, about
8 cm to the unit, 30 frames per second, names in cp932. Keys come in any order and several may share a frame,
of which the last counts. Sections after the bones may be missing.

A key's curve describes the way that arrives at it. The rows of its 64 bytes repeat each other, shifted; the
first row is not read, because newer MikuMikuDance keeps a switch for physics in its bytes 2 and 3.
"""

import dataclasses
import os
import pathlib
import struct
from collections.abc import Mapping

import numpy as np

from anime_pt.avatars.formats.binary import Reader

FPS = 30.0
# No motion lasts longer (four days); a key beyond means a damaged file.
MAX_FRAME = 10_000_000
_SIGNATURE, _OLD_SIGNATURE = b"Vocaloid Motion Data 0002", b"Vocaloid Motion Data file"
_BONE = np.dtype(
    [("name", "S15"), ("frame", "<u4"), ("position", "<3f4"), ("rotation", "<4f4"), ("curve", "u1", 64)]
)
_MORPH = np.dtype([("name", "S15"), ("frame", "<u4"), ("weight", "<f4")])
_CAMERA = np.dtype(
    [
        ("frame", "<u4"),
        ("distance", "<f4"),
        ("position", "<3f4"),
        ("rotation", "<3f4"),
        ("curve", "u1", (6, 4)),
        ("fov", "<u4"),
        ("flat", "u1"),
    ]
)
_LIGHT = np.dtype([("frame", "<u4"), ("color", "<3f4"), ("direction", "<3f4")])
_SHADOW = np.dtype([("frame", "<u4"), ("mode", "u1"), ("distance", "<f4")])
_SWITCH = np.dtype([("name", "S20"), ("on", "u1")])
# Where x1, y1, x2, y2 of the four curves of a bone key lie in its 64 bytes.
_CURVE_AT = 16 * np.arange(4)[:, None] + 4 * np.arange(4)
LINEAR = (20, 20, 107, 107)


@dataclasses.dataclass(frozen=True)
class BoneKeys:
    """Keys of one bone, by ascending frame.

    Attributes:
      frames: (n,) int32.
      positions: (n, 3) float32, movement against rest in file units.
      rotations: (n, 4) float32 unit quaternions x, y, z, w.
      curves: (n, 4, 4) uint8 in [0, 127]: for X, Y, Z and rotation the control points x1, y1, x2, y2 of a
        Bezier curve from (0, 0) to (127, 127).
      physics: (n, 2) uint8, bytes 2 and 3 of the 64: (0x63, 0x0F) switches the bone's physics off.
    """

    frames: np.ndarray
    positions: np.ndarray
    rotations: np.ndarray
    curves: np.ndarray
    physics: np.ndarray


@dataclasses.dataclass(frozen=True)
class MorphKeys:
    """Keys of one morph: frames (n,) int32 ascending, weights (n,) float32; linear in between."""

    frames: np.ndarray
    weights: np.ndarray


@dataclasses.dataclass(frozen=True)
class CameraKeys:
    """Keys of the camera, by ascending frame. Keys one frame apart are a cut.

    Attributes:
      frames: (n,) int32.
      distances: (n,) float32 file units from the centre to the eye, negative when in front of it.
      positions: (n, 3) float32, the centre that it turns about, file units.
      rotations: (n, 3) float32 Euler angles X, Y, Z in radians, X with the opposite sign of a bone's.
      curves: (n, 6, 4) uint8 in [0, 127]: x1, y1, x2, y2 for X, Y, Z, rotation, distance, field of view.
      fovs: (n,) float32 vertical field of view in degrees.
      perspective: (n,) bool.
    """

    frames: np.ndarray
    distances: np.ndarray
    positions: np.ndarray
    rotations: np.ndarray
    curves: np.ndarray
    fovs: np.ndarray
    perspective: np.ndarray


@dataclasses.dataclass(frozen=True)
class LightKeys:
    """Keys of the light: frames (n,) int32, colors (n, 3) in [0, 1], directions (n, 3) that light goes to."""

    frames: np.ndarray
    colors: np.ndarray
    directions: np.ndarray


@dataclasses.dataclass(frozen=True)
class ShadowKeys:
    """Keys of the self shadow: frames (n,) int32, modes (n,) 0 off, 1 or 2, distances (n,) as in the file."""

    frames: np.ndarray
    modes: np.ndarray
    distances: np.ndarray


@dataclasses.dataclass(frozen=True)
class Switch:
    """From `frame` on: whether the model is visible, and which IK bones are switched on, by name."""

    frame: int
    visible: bool = True
    iks: Mapping[str, bool] = dataclasses.field(default_factory=dict)


def _empty(cls, dtype: np.dtype):
    return lambda: _keys(cls, np.zeros(0, dtype))


@dataclasses.dataclass(frozen=True)
class VmdFile:
    """A parsed file. `switches` are by ascending frame; `trailing` bytes at the end were not understood."""

    model_name: str
    bones: Mapping[str, BoneKeys] = dataclasses.field(default_factory=dict)
    morphs: Mapping[str, MorphKeys] = dataclasses.field(default_factory=dict)
    camera: CameraKeys = dataclasses.field(default_factory=_empty(CameraKeys, _CAMERA))
    lights: LightKeys = dataclasses.field(default_factory=_empty(LightKeys, _LIGHT))
    shadows: ShadowKeys = dataclasses.field(default_factory=_empty(ShadowKeys, _SHADOW))
    switches: tuple[Switch, ...] = ()
    trailing: int = 0

    @property
    def last_frame(self) -> int:
        """The last frame that has a key of a bone, a morph, a switch or the camera; 0 if there is none."""
        keys = (*self.bones.values(), *self.morphs.values(), self.camera)
        ends = [int(k.frames[-1]) for k in keys if len(k.frames)]
        return max([0, *ends, *(s.frame for s in self.switches)])


def decode(raw: bytes) -> str:
    """A fixed-size name in cp932: up to the first zero byte, without a character that the size cut in two."""
    return bytes(raw).split(b"\0")[0].decode("cp932", "replace").rstrip("\ufffd")


def encode(name: str, size: int) -> bytes:
    """The inverse of `decode`: cp932, cut or filled with zeros to `size` bytes."""
    return name.encode("cp932", "replace")[:size].ljust(size, b"\0")


def _keys(cls, rows: np.ndarray):
    """Structured rows of one track -> its dataclass: by frame, of equal frames the last row."""
    rows = rows[np.argsort(rows["frame"], kind="stable")]
    rows = rows[np.append(rows["frame"][1:] != rows["frame"][:-1], True)[: len(rows)]]
    frames = rows["frame"].astype(np.int32)
    if cls is BoneKeys:
        curves = rows["curve"][:, _CURVE_AT].clip(0, 127)
        length = np.linalg.norm(rows["rotation"].astype(np.float64), axis=1, keepdims=True)
        # Some tools write zeros for "not turned".
        rotations = np.where(length > 1e-6, rows["rotation"] / np.maximum(length, 1e-6), [0, 0, 0, 1])
        return cls(
            frames,
            rows["position"].copy(),
            rotations.astype(np.float32),
            curves,
            rows["curve"][:, 2:4].copy(),
        )
    if cls is MorphKeys:
        return cls(frames, rows["weight"].copy())
    if cls is CameraKeys:
        curves = rows["curve"][:, :, [0, 2, 1, 3]].clip(0, 127)  # The file has x1, x2, y1, y2.
        fovs = rows["fov"].astype(np.float32)
        numbers = (rows[name].copy() for name in ("distance", "position", "rotation"))
        return cls(frames, *numbers, curves, fovs, rows["flat"] == 0)
    return cls(frames, *(rows[name].copy() for name in rows.dtype.names[1:]))


def _section(r: Reader, dtype: np.dtype, what: str) -> np.ndarray:
    """The rows of a section; none if the file ends before it."""
    if not r.remaining:
        return np.zeros(0, dtype)
    rows = r.array(dtype, r.count("I", dtype.itemsize, what), what)
    if len(rows) and rows["frame"].max() > MAX_FRAME:
        raise r.error(f"{what}: frame {rows['frame'].max()} is past {MAX_FRAME}, the file is damaged")
    for name in dtype.names:
        if dtype[name].base.kind == "f" and not np.isfinite(rows[name]).all():
            raise r.error(f"{what}: a {name} is not finite")
    return rows


def _tracks(cls, rows: np.ndarray) -> dict:
    """Name -> keys, in the order in which the names first appear."""
    raw, first, track = np.unique(rows["name"], return_index=True, return_inverse=True)
    groups: dict[str, list[int]] = {}
    for i in np.argsort(first):
        groups.setdefault(decode(raw[i]), []).append(i)
    # One pass over the rows: those of a track become neighbours, in the order of the file.
    order = np.argsort(track, kind="stable")
    ends = np.cumsum(np.bincount(track, minlength=len(raw)))
    starts = np.append(0, ends)
    members = {n: np.sort(np.concatenate([order[starts[i] : ends[i]] for i in g])) for n, g in groups.items()}
    return {name: _keys(cls, rows[at]) for name, at in members.items()}


def _switches(r: Reader) -> tuple[Switch, ...]:
    found: dict[int, Switch] = {}
    for _ in range(r.count("I", 9, "switches") if r.remaining else 0):
        frame, visible = r.scalar("I", "switch"), r.scalar("B", "switch")
        if frame > MAX_FRAME:
            raise r.error(f"switches: frame {frame} is past {MAX_FRAME}, the file is damaged")
        rows = r.array(_SWITCH, r.count("I", _SWITCH.itemsize, "IK switches"), "IK switches")
        found[frame] = Switch(frame, bool(visible), {decode(s["name"]): bool(s["on"]) for s in rows})
    return tuple(found[frame] for frame in sorted(found))


def read(path: str | os.PathLike) -> VmdFile:
    """Parses a VMD file.

    Raises:
      FileNotFoundError: if there is none.
      FormatError: if it is cut short, not a VMD file, or has keys that are not finite.
    """
    r = Reader.open(path)
    head = r.take(30, "signature").split(b"\0")[0]
    if not head.startswith(b"Vocaloid Motion Data"):
        raise r.error("not a VMD file: the signature is missing")
    model_name = decode(r.take(10 if head == _OLD_SIGNATURE else 20, "model name"))
    bones = _section(r, _BONE, "bone keys")
    morphs = _section(r, _MORPH, "morph keys")
    camera = _keys(CameraKeys, _section(r, _CAMERA, "camera keys"))
    lights = _keys(LightKeys, _section(r, _LIGHT, "light keys"))
    shadows = _keys(ShadowKeys, _section(r, _SHADOW, "shadow keys"))
    switches = _switches(r)
    tracks = _tracks(BoneKeys, bones), _tracks(MorphKeys, morphs)
    return VmdFile(model_name, *tracks, camera, lights, shadows, switches, r.remaining)


def _rows(keys, dtype: np.dtype, name: str = "", **columns: np.ndarray) -> bytes:
    rows = np.zeros(len(keys.frames), dtype)
    rows["frame"] = keys.frames
    if name:
        rows["name"] = encode(name, dtype["name"].itemsize)
    for column, values in columns.items():
        rows[column] = values
    return rows.tobytes()


def _interpolation(keys: BoneKeys) -> np.ndarray:
    """(n, 64) uint8: x1 of the four curves, then y1, x2, y2; three more times, each time shifted by one."""
    row = keys.curves.transpose(0, 2, 1).reshape(-1, 16)
    out = np.zeros((len(row), 4, 16), np.uint8)
    for shift in range(4):
        out[:, shift, : 16 - shift] = row[:, shift:]
    out[:, 0, 2:4] = keys.physics
    return out.reshape(-1, 64)


def write(path: str | os.PathLike, file: VmdFile) -> None:
    """Writes a VMD file, all sections included."""
    camera, lights, shadows = file.camera, file.lights, file.shadows
    sections = [
        [
            _rows(
                k,
                _BONE,
                name,
                position=k.positions,
                rotation=k.rotations,
                curve=_interpolation(k),
            )
            for name, k in file.bones.items()
        ],
        [_rows(k, _MORPH, name, weight=k.weights) for name, k in file.morphs.items()],
        [
            _rows(
                camera,
                _CAMERA,
                distance=camera.distances,
                position=camera.positions,
                rotation=camera.rotations,
                curve=camera.curves[:, :, [0, 2, 1, 3]],
                fov=np.rint(camera.fovs),
                flat=~camera.perspective,
            )
        ],
        [_rows(lights, _LIGHT, color=lights.colors, direction=lights.directions)],
        [_rows(shadows, _SHADOW, mode=shadows.modes, distance=shadows.distances)],
    ]
    out = [_SIGNATURE.ljust(30, b"\0"), encode(file.model_name, 20)]
    for parts, dtype in zip(sections, (_BONE, _MORPH, _CAMERA, _LIGHT, _SHADOW), strict=True):
        data = b"".join(parts)
        out += [struct.pack("<I", len(data) // dtype.itemsize), data]
    out.append(struct.pack("<I", len(file.switches)))
    for switch in file.switches:
        out.append(struct.pack("<IBI", switch.frame, switch.visible, len(switch.iks)))
        out += [encode(name, 20) + bytes([on]) for name, on in switch.iks.items()]
    pathlib.Path(path).write_bytes(b"".join(out))
