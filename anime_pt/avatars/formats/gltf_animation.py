"""Animations of glTF files, sampled at a constant rate (glTF 2.0 specification, section 3.11, appendix C)."""

import dataclasses

import numpy as np

from anime_pt.avatars import quaternions
from anime_pt.avatars.formats.binary import FormatError
from anime_pt.avatars.formats.gltf import Gltf
from anime_pt.avatars.formats.gltf_fields import Fields

# Half an hour at 30 frames per second; frames times animated nodes are bounded as well.
_MAX_FRAMES = 1 << 16
_MAX_VALUES = 1 << 23
_PATHS = {"translation": "VEC3", "rotation": "VEC4", "scale": "VEC3"}


@dataclasses.dataclass(frozen=True)
class Clip:
    """One animation, sampled.

    Attributes:
      name: as in the file.
      frames: how many samples there are.
      tracks: (node, "translation", "rotation" or "scale") -> (t, 3) or (t, 4) unit quaternions x, y, z, w.
    """

    name: str
    frames: int
    tracks: dict[tuple[int, str], np.ndarray]


def read(file: Gltf, node_count: int, fps: float) -> Clip:
    """The first animation of a file, from its first key to its last.

    Raises:
      FormatError: if there is none, it is damaged, or it is too long.
    """
    animations = file.json.objects("animations")
    if not animations:
        raise FormatError(f"{file.path}: holds no animation")
    fields = animations[0]
    samplers = fields.objects("samplers")
    channels = []
    for channel in fields.objects("channels"):
        target = channel.object("target")
        node = target.index("node", node_count, -1)
        path = target.text("path")
        if node >= 0 and path in _PATHS:
            channels.append((node, path, channel.index("sampler", len(samplers))))
    times = {s: _times(file, samplers[s]) for _, _, s in channels}
    if not times:
        raise FormatError(f"{file.path}: its animation moves no node")
    start = min(float(t[0]) for t in times.values())
    length = max(float(t[-1]) for t in times.values()) - start
    if not length * fps < _MAX_FRAMES or length * fps * len(channels) > _MAX_VALUES:
        raise FormatError(f"{file.path}: an animation of {length:.6g} s is too long")
    # A last frame that rounding would lose counts.
    moments = start + np.arange(int(length * fps + 1e-3) + 1) / fps
    tracks = {(node, path): _sample(file, samplers[s], path, times[s], moments) for node, path, s in channels}
    return Clip(fields.text("name", "") or file.path.stem, len(moments), tracks)


def _times(file: Gltf, sampler: Fields) -> np.ndarray:
    times = file.accessor(sampler, "input", "SCALAR").astype(np.float64)
    if not len(times) or (np.diff(times) < 0).any():
        raise sampler.error("input", "must hold times that ascend")
    return times


def _sample(file: Gltf, sampler: Fields, path: str, times: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """(t, 3) or (t, 4) values at moments; before the first key and after the last it holds."""
    values = file.accessor(sampler, "output", _PATHS[path]).astype(np.float64)
    kind = sampler.text("interpolation", "LINEAR")
    if kind not in ("LINEAR", "STEP", "CUBICSPLINE"):
        raise sampler.error("interpolation", f"is {kind[:20]!r}, which glTF does not know")
    cubic = kind == "CUBICSPLINE"
    if len(values) != len(times) * (3 if cubic else 1):
        raise sampler.error("output", f"has {len(values)} values for {len(times)} keys")
    turns = path == "rotation"
    tangents = None
    if cubic:
        arrived, values, left = values.reshape(len(times), 3, -1).swapaxes(0, 1)
        tangents = arrived, left
    if turns:
        values = np.where(np.abs(values).max(1, keepdims=True) > 1e-6, values, quaternions.IDENTITY)
        if not cubic:
            values = quaternions.unit(values)
    after = np.searchsorted(times, moments, "right").clip(1, max(len(times) - 1, 1))
    before, after = after - 1, np.minimum(after, len(times) - 1)
    spans = times[after] - times[before]
    share = np.where(spans > 0, (moments - times[before]) / np.where(spans > 0, spans, 1), 0).clip(0, 1)
    a, b, t = values[before], values[after], share[:, None]
    if kind == "STEP":
        out = np.where(t < 1, a, b)
    elif tangents is not None:
        arrived, left = tangents
        m0, m1 = left[before] * spans[:, None], arrived[after] * spans[:, None]
        out = (2 * t**3 - 3 * t**2 + 1) * a + (t**3 - 2 * t**2 + t) * m0
        out += (3 * t**2 - 2 * t**3) * b + (t**3 - t**2) * m1
    elif turns:
        out = quaternions.slerp(a, b, share)
    else:
        out = a + t * (b - a)
    return quaternions.unit(out) if turns else out
