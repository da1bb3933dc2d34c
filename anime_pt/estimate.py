"""Finds the joints of drawn figures in pictures, or in a video.

    python -m anime_pt.estimate --images=my_pictures --out=poses.json --draw=my_pictures_with_joints

`--images` is a picture, a folder of pictures (not the folders in it), or a video. Each picture is to show one
figure: it is found by transparency, or by a plain background; of several, the largest is taken, and a line
says so. Pictures are upright as their EXIF data says, and so are coordinates: pixels, origin top left, pixel
centres at .5. Left and right are the character's own.

`--out` is a .json file or a folder, `--format` says in which format. Confidences are kept: as visibility in
the project's own format (anime_pt), as OpenPose's, as "score" and "keypoint_scores" in COCO's.

Exit status: 0 if every picture has joints and there was nothing to remark, else 1. Lines on stderr begin with
"warning: NAME: " where there are joints, and with "error: NAME: " where there are none; the other pictures
are processed all the same. If none has joints, nothing is written.
"""

import contextlib
import os
import pathlib
import sys
from collections.abc import Iterable, Iterator, Sequence

from absl import flags

from anime_pt import command

_IMAGES = flags.DEFINE_string("images", None, "A picture, a folder of pictures, or a video.")
_OUT = flags.DEFINE_string("out", None, "A .json file for the joints, or a folder.")
_DRAW = flags.DEFINE_string(
    "draw",
    None,
    "Folder for the pictures with their joints drawn over them, unsure ones hollow; for a video also a .mp4 "
    "or .gif. Pictures of more than 4096 pixels are drawn smaller.",
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Training run whose estimator is used (default: the weights that come with the package)."
)
_STEP = flags.DEFINE_integer("step", None, "Its checkpoint (default: the best one, or the latest).")
_FORMAT = flags.DEFINE_enum(
    "format",
    None,
    ["coco", "openpose", "anime_pt"],
    "Format of the joints (default: coco for a .json file, openpose for a folder).",
)
_SKELETON = flags.DEFINE_string(
    "skeleton",
    None,
    "Set of joints to write, converted by name (default: the format's, or the estimator's for anime_pt).",
)
_THRESHOLD = flags.DEFINE_float("threshold", 0.2, "Joints of less confidence are unknown, from 0 to 1.")
_FLIP = flags.DEFINE_boolean(
    "flip", False, "Also look at the mirror image, and take the mean: twice the time."
)
_SCALES = flags.DEFINE_list(
    "scales", "1", "Look at boxes larger by these factors, and take the mean: 0.9,1,1.1."
)
_SUBPIXEL = flags.DEFINE_boolean("subpixel", True, "Find joints between the cells of the network's maps.")
_BATCH = flags.DEFINE_integer("batch", 8, "Figures at once.", 1, 256)
flags.mark_flags_as_required(["images", "out"])

# Confidence up to which a joint is drawn hollow.
_SURE = 0.4


def main(_: Sequence[str]) -> int:
    scales, skeleton, kind = _scales(), _skeleton(), _format()

    from anime_pt.pipelines import pictures

    source, out = pathlib.Path(_IMAGES.value), pathlib.Path(_OUT.value)
    names = _names(source)
    try:
        moving = not source.is_dir() and pictures.is_moving(source)
    except pictures.PictureError as error:
        raise ValueError(f"{source.name}: {error}") from error
    if moving and source.suffix.lower() in (".webp", ".avif"):
        raise ValueError(f"{source.name}: moving pictures of this kind are not read; make it a GIF or MP4")
    _check_places(source, kind, moving)

    # After all that can be told without it: JAX takes seconds.
    from anime_pt.pipelines import estimate, estimator, video, video_reader

    command.keep_compiled()
    model = estimator.chosen(_WORKDIR.value, _STEP.value)
    batch = _BATCH.value if moving else min(_BATCH.value, len(names))
    finder = estimator.Estimator(*model, _FLIP.value, scales, _SUBPIXEL.value, batch)

    keep = _DRAW.value is not None
    if moving:
        probe = video_reader.probe(source)
        fps, total = float(probe.fps), round((probe.seconds or 0) * probe.fps) or None
        found = estimate.of_video(finder, source, fps, _THRESHOLD.value, keep)
    else:
        folder, total = source if source.is_dir() else source.parent, len(names)
        found = estimate.of_pictures(finder, [folder / name for name in names], _THRESHOLD.value, keep)
    done: list[estimate.Estimate] = []
    with _interruptible(), contextlib.closing(_seen(found, done, total, source, moving)) as seen:
        if moving and keep:
            video.write(_DRAW.value, (image for _, image in _drawn(seen, finder.skeleton)), probe.fps)
        else:
            _save_each(_drawn(seen, finder.skeleton), names)

    if moving:
        poses = estimate.sequence(done, finder.skeleton, fps)
    else:
        poses = estimate.people(done, finder.skeleton)
    if kind == "anime_pt":
        skeleton = skeleton or finder.skeleton
    estimate.write(out, poses, kind, skeleton, estimate.boxes(done))
    print(out)
    if keep:
        print(_DRAW.value)
    return int(any(e.error or e.remarks for e in done))


def _seen(found: Iterable, done: list, total: int | None, source: pathlib.Path, moving: bool) -> Iterator:
    """Estimates as they come, with a progress bar and lines of what is wrong; raises if none has joints."""
    import tqdm

    unit = "frame" if moving else "picture"
    # Short work shows no bar.
    with tqdm.tqdm(None, "estimating", total, unit=unit, mininterval=0.5, delay=1, file=sys.stderr) as bar:
        for one in found:
            done.append(one)
            if not moving and total > 1:
                for line in _lines(one):
                    # `bar.write` would show a bar that is not shown yet, and leave it unfinished.
                    if bar.last_print_t >= bar.start_t + bar.delay:
                        bar.clear()
                    print(line, file=sys.stderr, flush=True)
            yield one
            one.image = None  # A long video is larger than memory.
            bar.update()
    if not any(one.points is not None for one in done):
        if not moving and total > 1:
            raise ValueError(f"none of the {total} pictures in {source} has joints; nothing was written")
        raise ValueError(f"{source.name}: {done[0].error}")
    if moving:
        for line in _summary(source.name, done):
            print(line, file=sys.stderr)
    elif total == 1:
        for line in _lines(done[0]):
            print(line, file=sys.stderr)


def _lines(one) -> list[str]:
    if one.error:
        return [f"error: {one.name}: {one.error}"]
    return [f"warning: {one.name}: {remark}" for remark in one.remarks]


def _summary(name: str, frames: Sequence) -> list[str]:
    """What is to be said of a video: each thing once, with where it is first so."""
    places: dict[str, list[int]] = {}
    for i, frame in enumerate(frames):
        for text in filter(None, (frame.error, *frame.remarks)):
            places.setdefault(text, []).append(i)
    count = sum(frame.size is not None for frame in frames)
    # What broke the video off stands behind its frames, and names it.
    where = lambda at: f" (in {len(at)} of {count} frames, first in number {at[0]})" if at[0] < count else ""
    return [f"warning: {name}: {text}{where(at)}" for text, at in places.items()]


def _drawn(seen: Iterable, skeleton) -> Iterator[tuple]:
    """Estimates whose pictures were kept, and these with the joints drawn over them."""
    from anime_pt.pipelines import overlay

    for one in seen:
        image = one.image
        if image is not None and one.points is not None:
            points = one.points.copy()
            points[:, :2] /= one.factor
            image = overlay.keypoints(image, points, skeleton, _SURE)
        if image is not None:
            yield one, image


def _save_each(drawn: Iterable[tuple], names: Sequence[str]) -> None:
    from anime_pt.pipelines import stills
    from anime_pt.pose import files

    place = dict(zip(names, files.stems(names), strict=True))
    for one, image in drawn:
        if one.points is not None:
            stills.save(pathlib.Path(_DRAW.value) / f"{place[one.name]}.png", image)


def _names(source: pathlib.Path) -> list[str]:
    """File names of the pictures, or of the video."""
    from anime_pt.pipelines import pictures

    if not source.exists():
        raise FileNotFoundError(f"there is no picture, video or folder {source}")
    names = pictures.names(source) if source.is_dir() else [source.name]
    if not names:
        raise ValueError(f"{source} holds no pictures ({', '.join(pictures.STILL)})")
    return names


def _check_places(source: pathlib.Path, kind: str, moving: bool) -> None:
    """Raises if joints or drawings cannot be written where they shall go."""
    from anime_pt.pipelines import pictures, video
    from anime_pt.pose import files, openpose

    out = pathlib.Path(_OUT.value)
    files.check(out, folder=out.suffix.lower() != ".json")
    if kind == "openpose":
        openpose.check(out)
    if _DRAW.value is None:
        return
    draw = pathlib.Path(_DRAW.value)
    if draw.resolve() == out.resolve():
        raise ValueError(f"--draw and --out are both {draw}: name two places")
    if draw.resolve() == source.resolve() or (not moving and draw.resolve() == source.parent.resolve()):
        raise ValueError(
            f"--draw={draw} is where the pictures are, and would replace them: name another folder"
        )
    named = "" if _DRAW.value.endswith(("/", os.sep)) else draw.suffix.lower()
    if not moving and named in pictures.STILL + pictures.MOVING:
        raise ValueError(f"--draw must be a folder for pictures, got {draw}")
    files.check(draw, folder=not moving or not video.kind(_DRAW.value))


def _scales() -> list[float]:
    try:
        scales = [float(text) for text in _SCALES.value]
    except ValueError:
        scales = []
    if not scales or not all(0.25 <= scale <= 4 for scale in scales):
        raise ValueError(
            f"--scales must be numbers from 0.25 to 4, such as 0.9,1,1.1, got {','.join(_SCALES.value)!r}"
        )
    return scales


def _skeleton():
    from anime_pt.pose import openpose, skeletons

    if _SKELETON.value is None:
        return None
    skeleton = skeletons.named(_SKELETON.value)
    if _format() == "openpose" and skeleton not in openpose.SKELETONS.values():
        known = " or ".join(s.name for s in openpose.SKELETONS.values())
        raise ValueError(f"--skeleton={skeleton.name}: OpenPose's format holds {known}")
    return skeleton


def _format() -> str:
    from anime_pt.pose import formats

    for flag in (_IMAGES, _OUT, _DRAW, _WORKDIR):
        if flag.value == "":
            raise ValueError(f"--{flag.name} is empty")
    if not 0 <= _THRESHOLD.value <= 1:
        raise ValueError(f"--threshold must be from 0 to 1, got {_THRESHOLD.value}")
    if _STEP.value is not None and _WORKDIR.value is None:
        raise ValueError("--step is a checkpoint of --workdir: name that, too")
    return formats.choose(_OUT.value, _FORMAT.value, "--out")


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise command.Interrupted(f"interrupted; {_OUT.value}: nothing was written") from None


if __name__ == "__main__":
    command.run(main)
