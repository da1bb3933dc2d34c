"""Renders a character that performs a motion.

    python -m anime_pt.render --character=miku.pmx --motion=dance.vmd --size=512 --fps=24 --out=clip.mp4

`--out` says what is written: .mp4, .gif, .apng or .png (animated), .sheet.png (a sprite sheet, with a JSON
beside it that says where its cells are), or a folder of PNG files, which continues where it was interrupted.
All but MP4 keep transparency. `--keypoints` writes the joints of every frame: COCO's format to a .json file,
OpenPose's to a folder.
"""

import contextlib
import math
import os
import pathlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from absl import flags

from anime_pt import command

_CHARACTER = flags.DEFINE_string(
    "character", None, "File (.pmd, .pmx, .vrm, .glb, .gltf), or procedural:SEED[,COSTUME]."
)
_MOTION = flags.DEFINE_string(
    "motion", "procedural:1", "File (.vmd, .vpd, .bvh, .vrma), procedural:SEED, or rest."
)
_OUT = flags.DEFINE_string("out", None, "File or folder to write; its suffix says the format.")
_SIZE = flags.DEFINE_string("size", "512", "Side of the picture, or HEIGHTxWIDTH, in pixels.")
_FPS = flags.DEFINE_string("fps", "30", "Frames per second, such as 24, 23.976 or 24000/1001.")
_START = flags.DEFINE_float("start", 0.0, "Where in the motion to start, in seconds.", lower_bound=0)
_SECONDS = flags.DEFINE_float("seconds", None, "Length of the clip (default: to the end of the motion).")
_FRAMES = flags.DEFINE_integer("frames", None, "Its length in frames, instead.", lower_bound=1)
_CAMERA = flags.DEFINE_string(
    "camera",
    "fit",
    "fit (shows the whole figure all the time), still (knows nothing of the motion), or a .vmd of a camera.",
)
_YAW = flags.DEFINE_float("yaw", 0.0, "Degrees by which the figure turns to its left.")
_PITCH = flags.DEFINE_float("pitch", 0.0, "Degrees by which the camera looks down.")
_ROLL = flags.DEFINE_float("roll", 0.0, "Degrees by which the picture turns counter-clockwise.")
_FOV = flags.DEFINE_float("fov", 0.0, "Vertical angle of view in degrees; 0 is orthographic.", lower_bound=0)
_MARGIN = flags.DEFINE_float("margin", 0.06, "Free space on each side, as a share of the shorter side.")
_BACKGROUND = flags.DEFINE_string(
    "background",
    None,
    "transparent, white, a colour as #rrggbb, or a picture (default: transparent, white in MP4).",
)
_OUTLINE = flags.DEFINE_float("outline", 1.0, "Width of outlines at 512 pixels; 0 draws none.", lower_bound=0)
_LIGHT = flags.DEFINE_list("light", None, "Towards the light: x right, y up, z to the viewer.")
_SUPERSAMPLE = flags.DEFINE_integer("supersample", 2, "Samples per pixel and axis.", 1, 4)
_KEYPOINTS = flags.DEFINE_string("keypoints", None, "File or folder for the joints of every frame.")
_FORMAT = flags.DEFINE_enum(
    "keypoints_format",
    None,
    ["coco", "openpose", "anime_pt"],
    "Format of the joints (default: coco for a .json file, openpose for a folder).",
)
_DRAW = flags.DEFINE_boolean("draw_keypoints", False, "Draw the joints over the pictures.")
_DRAPE = flags.DEFINE_boolean(
    "drape", True, "Hair and cloth hang, and keep out of the body; else they are stiff."
)
_THREADS = flags.DEFINE_integer("threads", min(os.cpu_count() or 1, 16), "Pictures drawn at once.", 1, 64)
flags.mark_flags_as_required(["character", "out"])

# What decides how pictures look.
_LOOKS = (
    *(_CHARACTER, _MOTION, _SIZE, _FPS, _START, _CAMERA, _YAW, _PITCH, _ROLL, _FOV, _MARGIN),
    *(_BACKGROUND, _OUTLINE, _LIGHT, _SUPERSAMPLE, _DRAW, _DRAPE),
)
_LARGEST = 8192
# Lines of a character's report that are shown.
_SHOWN = 3


def main(_: Sequence[str]) -> None:
    _check_values()
    size, kind, looks = _size(_SIZE.value), _format(), _looks()

    from anime_pt.avatars import backgrounds, files, motions
    from anime_pt.pipelines import render, stills, video

    fps, form = video.rate(_FPS.value), video.kind(_OUT.value)
    background = backgrounds.parse(_BACKGROUND.value or ("white" if form == ".mp4" else "transparent"))
    if form == ".mp4" and _BACKGROUND.value == "transparent":
        print("MP4 has no transparency: the background is white", file=sys.stderr)
        background = backgrounds.parse("white")
    character = files.load(_CHARACTER.value)
    if not _DRAPE.value:
        character.hang, character.secondary = {}, None
    motion = motions.load(_MOTION.value)
    count = _FRAMES.value if _SECONDS.value is None else round(_SECONDS.value * fps)
    clip = render.Clip.of(character, motion, size, fps, _START.value, count, **looks)
    video.check(_OUT.value, fps, clip.count, size)
    _check_places(form, kind)
    sequence = None if form else stills.Sequence(pathlib.Path(_OUT.value), _settings(clip.count))
    rows = list(sequence.rows) if sequence else []
    _introduce(character)

    with _interruptible(form):
        if len(rows) < clip.count:
            # Closed at once, or the progress bar is drawn again behind the last message.
            with contextlib.closing(_images(clip, _view(clip), background, rows)) as images:
                if sequence:
                    for image in images:
                        sequence.add(image, rows[-1])
                else:
                    video.write(_OUT.value, images, fps)
    print(_OUT.value)
    if _KEYPOINTS.value:
        _write_keypoints(pathlib.Path(_KEYPOINTS.value), kind, clip, rows)
        print(_KEYPOINTS.value)


def _check_places(form: str, kind: str) -> None:
    """Raises if pictures or keypoints cannot be written where they shall go."""
    from anime_pt.pipelines import sprites
    from anime_pt.pose import files, openpose

    out = pathlib.Path(_OUT.value)
    files.check(out, folder=not form)
    if not _KEYPOINTS.value:
        return
    points = pathlib.Path(_KEYPOINTS.value)
    if form == ".sheet.png" and points == sprites.description_path(out):
        raise ValueError(f"--keypoints={points} is where the sheet is described: name another file")
    files.check(points, folder=points.suffix.lower() != ".json")
    if kind == "openpose":
        openpose.check(points)


def _images(clip, view, background, rows: list[dict[str, Any]]) -> Iterator[Any]:
    """Pictures of the frames that have no row yet; each gets one."""
    from anime_pt.pipelines import overlay, render
    from anime_pt.pose.skeletons import AVATAR_20

    shots = render.shots(clip, view, len(rows), _THREADS.value)
    for shot in _progress(shots, "rendering", clip.count, len(rows)):
        rows.append({"keypoints": shot.keypoints.tolist(), "box": render.box(shot.frame)})
        image = background.behind(shot.frame)
        yield overlay.keypoints(image, shot.keypoints, AVATAR_20) if _DRAW.value else image


def _view(clip):
    from anime_pt.avatars.formats import vmd, vmd_camera
    from anime_pt.pipelines import render

    angles = {"yaw": _YAW.value, "pitch": _PITCH.value, "roll": _ROLL.value, "fov": _FOV.value}
    if _CAMERA.value == "fit":
        angles["fov"] = angles["fov"] or None
        progress = lambda times: _progress(times, "fitting the camera", clip.count)
        return render.fitted(clip, **angles, margin=_MARGIN.value, progress=progress)
    unused = ("roll", "fov") if _CAMERA.value == "still" else tuple(angles)
    for name in unused:
        if angles[name]:
            raise ValueError(f"--{name} is for --camera=fit; leave it out with --camera={_CAMERA.value}")
    if _CAMERA.value == "still":
        return render.still(clip, _YAW.value, _PITCH.value)
    track = vmd_camera.CameraTrack(vmd.read(_CAMERA.value).camera)
    return lambda seconds: track.camera(seconds, clip.size)


def _write_keypoints(path: pathlib.Path, kind: str, clip, rows: list[dict[str, Any]]) -> None:
    import numpy as np

    from anime_pt.pose import coco, formats
    from anime_pt.pose.skeletons import AVATAR_20

    points = np.array([row["keypoints"] for row in rows], np.float32)
    poses = formats.PoseSequence(points, AVATAR_20, clip.size, float(clip.fps))
    if kind == "coco":
        coco.write(path, poses, boxes=np.array([row["box"] for row in rows], float))
    else:
        formats.write(path, poses, kind)


def _introduce(character) -> None:
    """Says whose the character is, and what its file lacked."""
    terms = character.terms
    about = [
        terms.author and f"by {terms.author}",
        terms.license and f"licence {terms.license}",
        terms.forbids,
    ]
    if any(about):
        print(f"{character.name}: {'; '.join(filter(None, about))}")
    for line in character.report[:_SHOWN]:
        print(f"warning: {line}", file=sys.stderr)
    if len(character.report) > _SHOWN:
        print(f"warning: and {len(character.report) - _SHOWN} more of this kind", file=sys.stderr)


def _progress(things: Iterable, title: str, total: int, done: int = 0) -> Iterable:
    import tqdm

    return tqdm.tqdm(things, title, total, initial=done, unit="frame", mininterval=0.5, file=sys.stderr)


@contextlib.contextmanager
def _interruptible(form: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        kept = "nothing was written" if form else "its frames are kept, and the same command continues"
        raise command.Interrupted(f"interrupted; {_OUT.value}: {kept}") from None


def _settings(count: int) -> dict[str, Any]:
    """All that decides what the pictures look like: flags, and which files they name."""
    out: dict[str, Any] = {flag.name: flag.value for flag in _LOOKS} | {"frames": count}
    for flag in (_CHARACTER, _MOTION, _CAMERA, _BACKGROUND):
        path = pathlib.Path(flag.value or "")
        if path.is_file():
            out[f"{flag.name} file"] = [path.stat().st_size, path.stat().st_mtime_ns]
    return out


def _size(text: str) -> tuple[int, int]:
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(p.isdecimal() and len(p) < 6 and 1 <= int(p) <= _LARGEST for p in parts):
        raise ValueError(f"--size must be a side or HEIGHTxWIDTH from 1 to {_LARGEST} pixels, got {text!r}")
    return int(parts[0]), int(parts[-1])


def _looks() -> dict[str, Any]:
    """What `render.Clip` takes besides."""
    looks = {"supersample": _SUPERSAMPLE.value, "outline": _OUTLINE.value}
    if not _LIGHT.value:
        return looks
    try:
        x, y, z = map(float, _LIGHT.value)
    except ValueError:
        x = y = z = 0.0
    if not 0 < math.hypot(x, y, z) < math.inf:
        raise ValueError(
            f"--light must be a direction such as 0.35,0.55,0.75, got {','.join(_LIGHT.value)!r}"
        )
    return looks | {"light": (x, y, z)}


def _format() -> str:
    """Format of the keypoints."""
    from anime_pt.pose import formats

    path = _KEYPOINTS.value or ""
    kind = formats.choose(path, _FORMAT.value, "--keypoints")
    if path and pathlib.Path(path) == pathlib.Path(_OUT.value):
        raise ValueError(f"--keypoints and --out are both {path}: name two places")
    return kind


def _check_values() -> None:
    if _SECONDS.value is not None and _FRAMES.value is not None:
        raise ValueError("--seconds and --frames both say how long the clip is: give one")
    for flag in (_CHARACTER, _MOTION, _OUT, _CAMERA):
        if not flag.value:
            raise ValueError(f"--{flag.name} is empty")
    for flag in (_START, _SECONDS, _YAW, _PITCH, _ROLL, _FOV, _MARGIN, _OUTLINE):
        if flag.value is not None and not abs(flag.value) < 1e6:
            raise ValueError(f"--{flag.name} must be a number, got {flag.value}")


if __name__ == "__main__":
    command.run(main)
