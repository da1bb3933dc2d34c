"""Damages files in every way and reads them; run by `fuzz_test` in a process with little memory.

    python -m tests.avatars.fuzzing READER CASES FOLDER FILE...

prints one JSON line for each case that ended in anything but success or one clear error.
"""

import copy
import dataclasses
import json
import pathlib
import resource
import signal
import struct
import sys

import numpy as np

from anime_pt.avatars import bone_pose, camera, files, morphs, motions, poses, rasterise, rig
from anime_pt.avatars.formats import pmd, pmx
from tests.avatars.tiny_character import build_tiny

MEMORY = 3 << 29  # Bytes beyond what the imports take.
SECONDS = 20  # For one file, on a busy computer.
_HUGE = (
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x00\x00\x00\x80",
    b"\xff\xff\xff\x0f",
    b"\x00\x00\xc0\x7f",
)
_VALUES = (
    None,
    True,
    -1,
    0,
    1,
    5,
    2**31,
    2**53,
    1e30,
    1e308,
    0.5,
    "",
    "x",
    [],
    {},
    [0],
    [None],
    [[]],
    {"a": {}},
)


def _truncate(data: bytes, rng: np.random.Generator) -> bytes:
    # Many cuts near the start, where headers and counts are.
    return data[: int(len(data) * rng.random() ** rng.integers(1, 5))]


def _flip(data: bytes, rng: np.random.Generator) -> bytes:
    out = bytearray(data)
    for at in (len(out) * rng.random(rng.integers(1, 9)) ** rng.integers(1, 5)).astype(int):
        out[at] = rng.integers(256)
    return bytes(out)


def _enlarge(data: bytes, rng: np.random.Generator) -> bytes:
    at = int(max(0, len(data) - 4) * rng.random() ** rng.integers(1, 5))
    return data[:at] + _HUGE[rng.integers(len(_HUGE))] + data[at + 4 :]


def _move(data: bytes, rng: np.random.Generator) -> bytes:
    a, b = sorted(rng.integers(0, len(data) + 1, 2))
    middle = data[a : min(b, a + 4096)]
    return data[:a] + data[b:] if rng.random() < 0.5 else data[:b] + middle + data[b:]


def _tokens(data: bytes, rng: np.random.Generator) -> bytes:
    """Replaces words of a text file."""
    words = data.split(b" ")
    for _ in range(rng.integers(1, 4)):
        odd = (b"", b"-1", b"nan", b"1e999", b"99999999999", b"{", b"}", b"\n", b"JOINT x", b"\xff\xfe")
        words[rng.integers(len(words))] = odd[rng.integers(len(odd))]
    return b" ".join(words)


def _json(data: bytes, rng: np.random.Generator) -> bytes:
    """Replaces, removes or moves values in the JSON of a GLB file."""
    if data[:4] != b"glTF" or len(data) < 20:
        return _flip(data, rng)
    size = struct.unpack("<I", data[12:16])[0]
    root = json.loads(data[20 : 20 + size])
    for _ in range(rng.integers(1, 4)):
        places = []
        stack = [root]
        while stack:
            value = stack.pop()
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, inner in items:
                places.append((value, key))
                if isinstance(inner, dict | list):
                    stack.append(inner)
        if not places:
            break
        holder, key = places[rng.integers(len(places))]
        other_holder, other = places[rng.integers(len(places))]
        kind = rng.random()
        if kind < 0.2:
            del holder[key]
        elif kind < 0.4:
            holder[key] = copy.deepcopy(other_holder[other])
        elif kind < 0.5 and isinstance(holder, list):
            holder += holder[: 1 << 12]
        else:
            holder[key] = copy.deepcopy(_VALUES[rng.integers(len(_VALUES))])
    text = json.dumps(root).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + size :]
    header = struct.pack("<II", 2, 20 + len(text) + len(rest)) + struct.pack("<II", len(text), 0x4E4F534A)
    return b"glTF" + header + text + rest


_BINARY = (_truncate, _flip, _enlarge, _move)
_TEXT = (_truncate, _flip, _tokens, _move)
_GLB = (_truncate, _flip, _enlarge, _json, _json, _json, _json)


def _use_character(path: pathlib.Path) -> None:
    """Loads, poses, morphs and draws: indices that were not checked would end the process."""
    character = files.load(path)
    globals_ = rig.pose(character, poses.sample(np.random.default_rng(0)))
    renderer = rasterise.Renderer(32, supersample=1)
    renderer.render(character, globals_, camera.fit(character, globals_, 32))
    weights = {morph.name: 1.0 for morph in character.morphs}
    globals_ = rig.pose(character, dataclasses.replace(bone_pose.rest(character), morphs=weights))
    morphed = morphs.apply(character, weights)
    view = camera.fit(character, character.rest, 32)
    renderer.render(character, globals_, view, morphed=morphed)


def _use_motion(path: pathlib.Path) -> None:
    """Loads a motion and makes a character move."""
    motion = motions.load(path)
    if not 1 <= motion.frames * np.isfinite(motion.fps) < 1 << 33:
        raise AssertionError(f"{motion.frames} frames at {motion.fps}")
    performance = motion.on(build_tiny())
    for seconds in (0.0, 0.4, motion.frames / motion.fps):
        pose = performance.pose(seconds)
        if not np.isfinite(pose.rotations).all() or not np.isfinite(pose.translations).all():
            raise AssertionError("the pose is not finite")


# Name -> suffixes of its files, what is done with them, kinds of damage.
READERS = {
    "pmd": ((".pmd",), pmd.read, _BINARY),
    "pmx": ((".pmx",), pmx.read, _BINARY),
    "mmd characters": ((".pmd", ".pmx"), _use_character, _BINARY),
    "vrm characters": ((".vrm", ".glb"), _use_character, _GLB),
    "vmd": ((".vmd",), _use_motion, _BINARY),
    "vpd": ((".vpd",), _use_motion, _TEXT),
    "bvh": ((".bvh",), _use_motion, _TEXT),
    "vrma": ((".vrma",), _use_motion, _GLB),
}


class _TooLong(Exception):
    pass


def _alarm(*_):
    raise _TooLong


def _verdict(read, path: pathlib.Path) -> str:
    """What is wrong with how reading ends, or ""."""
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        read(path)
    except _TooLong:
        return f"took more than {SECONDS} s"
    except (ValueError, OSError) as e:
        text = str(e)
        if "\n" in text or path.stem not in text:
            return f"no clear error: {type(e).__name__}: {text}"
    except BaseException as e:
        return f"{type(e).__name__}: {e}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return ""


def main(name: str, cases: str, folder: str, *sources: str) -> None:
    """Reads `cases` damaged copies of the sources, of which the first must be sound.

    Every copy is the same on every run.
    """
    _, read, kinds = READERS[name]
    originals = [pathlib.Path(s) for s in sources]
    signal.signal(signal.SIGALRM, _alarm)
    read(originals[0])  # Compiles what is compiled.
    size = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, resource.RLIM_INFINITY))
    for case in range(int(cases)):
        source = originals[case % len(originals)]
        rng = np.random.default_rng([case, len(name)])
        data = kinds[rng.integers(len(kinds))](source.read_bytes(), rng)
        path = pathlib.Path(folder, f"damaged{case}{source.suffix.lower()}")
        path.write_bytes(data)
        print(json.dumps({"case": case, "file": source.name}), flush=True)
        wrong = _verdict(read, path)
        if wrong:
            print(json.dumps({"case": case, "file": source.name, "wrong": wrong}), flush=True)
        else:
            path.unlink()


if __name__ == "__main__":
    main(*sys.argv[1:])
