"""Clips of real people in the manual folder: finding them, and cutting pictures out of their videos.

manual folder/
  characters/NAME/...            models, one folder for each character, as for unity_avatars/rigged
  clips/NAME/                    one folder for each clip
    *.mp4 (or .mov .avi .mkv .webm .gif)
    *_keypoints.json             OpenPose, one file for each frame, here or in one folder below
    *.vmd (or .vrma .bvh)        the same motion, from the first frame on
  clips/NAME/                    or, with the configs openmmd_*, what OpenMMD wrote
    smoothed.txt pos.txt         2D and 3D joints
    *.vmd                        wins over pos.txt as the motion; one of them must be there
    depth.txt, *.mp4             optional
"""

import functools
import itertools
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from anime_pt.avatars import motions
from anime_pt.avatars.formats.binary import FormatError
from anime_pt.pipelines import video_reader
from tfds_builders.mmd_pairs import clips
from tfds_builders.mmd_pairs.clips import Filmed
from tfds_builders.unity_avatars.pictures import png, square
from tfds_builders.unity_avatars.subjects import stamp

VIDEOS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".gif")
# Free space around the keypoints, as a share of the longer side of their box: hands and hair have none.
_MARGIN = 0.12
_MOST_PIXELS = 16_384


def find(folder: pathlib.Path, kind: str) -> list[Filmed]:
    """The clips below `folder`/clips, sorted by name.

    Args:
      folder: the manual folder.
      kind: "openpose" or "openmmd".

    Raises:
      FileNotFoundError: there are none, or one lacks a file; the message says which.
      FormatError: a file cannot be read, or files of a clip do not fit each other.
    """
    names = sorted(p for p in (folder / "clips").glob("*") if p.is_dir())
    if not names:
        raise FileNotFoundError(
            f"{folder / 'clips'} holds no clips: put each clip into a folder of its own there"
        )
    return [_openmmd(path) if kind == "openmmd" else _openpose(path) for path in names]


def _openmmd(folder: pathlib.Path) -> Filmed:
    smoothed, positions = folder / "smoothed.txt", folder / "pos.txt"
    if not smoothed.is_file():
        raise FileNotFoundError(f"{folder} lacks smoothed.txt, the 2D joints that OpenMMD writes")
    drive = _only(folder, (".vmd",)) or (positions if positions.is_file() else None)
    if drive is None:
        raise FileNotFoundError(f"{folder} lacks a motion: OpenMMD's .vmd, or its 3D joints pos.txt")
    depths = folder / "depth.txt"
    return _clip(folder, smoothed, drive, depths if depths.is_file() else None, clips.FPS)


def _openpose(folder: pathlib.Path) -> Filmed:
    holders = sorted({p.parent for p in folder.rglob("*_keypoints.json")})
    if len(holders) != 1:
        raise FileNotFoundError(
            f"{folder} must have one set of OpenPose files (*_keypoints.json), it has {len(holders)}"
        )
    if _only(folder, VIDEOS) is None:
        raise FileNotFoundError(f"{folder} lacks a video ({', '.join(VIDEOS)})")
    drive = _only(folder, motions.SUFFIXES)
    if drive is None:
        raise FileNotFoundError(
            f"{folder} has 2D keypoints, but no motion for the anime character: add the clip's "
            f"{', '.join(motions.SUFFIXES)}, or use the configs openmmd_* with OpenMMD's output"
        )
    return _clip(folder, holders[0], drive, None, None)


def _only(folder: pathlib.Path, suffixes: Sequence[str]) -> pathlib.Path | None:
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in suffixes and p.is_file())
    if len(found) > 1:
        raise FormatError(
            f"{folder} has several of {', '.join(suffixes)}: {', '.join(p.name for p in found)}"
        )
    return found[0] if found else None


def _clip(
    folder: pathlib.Path,
    keypoints: pathlib.Path,
    drive: pathlib.Path,
    depths: pathlib.Path | None,
    drive_fps: float | None,
) -> Filmed:
    """Checks that the files of a clip fit each other; `drive_fps` None: the video's."""
    film = _only(folder, VIDEOS)
    points, motion = clips.read_keypoints(str(keypoints)), clips.load_motion(str(drive))
    fps, frames = clips.FPS, len(points)
    if film is not None:
        header = video_reader.probe(film)
        fps = float(header.fps)
        if header.seconds is not None:
            frames = min(frames, round(header.seconds * fps))
    drive_fps = drive_fps or fps
    frames = min(frames, int((motion.frames - 1) / motion.fps * drive_fps + 1e-6) + 1)
    files = [p for p in (film, drive, depths, *clips.keypoint_files(keypoints)) if p is not None]
    return Filmed(
        folder.name,
        str(keypoints),
        str(drive),
        str(film or ""),
        str(depths or ""),
        fps,
        drive_fps,
        frames,
        _box(points[:frames], keypoints),
        tuple(stamp(p) for p in files),
    )


def _box(points: np.ndarray, path: pathlib.Path) -> tuple[int, int, int]:
    """Left, top and side of the square that the figure stays in."""
    seen = points[points[..., 2] > 0][:, :2]
    if not len(seen):
        raise FormatError(f"{path}: no keypoint was found in any frame")
    low, high = seen.min(0), seen.max(0)
    side = max(2, round(float((high - low).max() * (1 + 2 * _MARGIN))))
    if side > _MOST_PIXELS:
        raise FormatError(f"{path}: the keypoints span {side} pixels; no video is that large")
    left, top = ((low + high) / 2 - side / 2).round().astype(int).tolist()
    return left, top, side


@functools.lru_cache(maxsize=1)
def cuts(clip: Filmed, frames: tuple[int, ...], resolution: int) -> dict[int, bytes]:
    """PNG of some frames of a clip, cut to its box; white where there is no video, or beyond its border."""
    white = np.full((resolution, resolution, 3), 255, np.uint8)
    if not clip.video:
        return dict.fromkeys(frames, png(white))
    out, wanted = {}, set(frames)
    for i, picture in enumerate(itertools.islice(video_reader.read(clip.video), max(frames) + 1)):
        if i in wanted:
            out[i] = png(_cut(picture.image, clip, resolution))
    if wanted - out.keys():
        raise FormatError(f"{clip.video}: ends before frame {min(wanted - out.keys())}, which has keypoints")
    return out


def _cut(image: np.ndarray, clip: Filmed, resolution: int) -> np.ndarray:
    empty = np.zeros((*image.shape[:2], 1), np.uint8)
    return square(image, empty, np.zeros((0, 3)), clip.box, resolution)[0]


def example(clip: Filmed, frame: int, picture: bytes, resolution: int) -> dict[str, Any]:
    """Features of the human side of a frame."""
    points = clips.keypoints(clip)[frame].copy()
    points[:, :2] = (points[:, :2] - clip.box[:2]) * (resolution / clip.box[2])
    return {
        "human_image": picture,
        "has_human_image": bool(clip.video),
        "human_keypoints": points.astype(np.float32),
        "human_box": np.array(clip.box, np.float32),
        "human_depth": np.float32(clip.depth(frame)),
    }
