"""Animates the character of a picture by somebody's motion.

    python -m anime_pt.animate --character=girl.png --motion=dance.mp4 --out=girl.mp4 --html=girl.html

`--character` is a picture of one figure, before transparency or a plain background. `--motion` is a video, a
file of joints (OpenPose's, COCO's, MediaPipe's, MMPose's or the project's own; OpenPose's also as a folder),
or a motion of a 3D skeleton (.vmd, .vpd, .bvh, .vrma, or procedural:SEED). In videos of people joints are
found by a network of yours (`--detector`), in others by the project's estimator of drawn figures.

The network is the one that comes with the package, or, by `--workdir`, that of a run of configs/patn.py,
configs/pg2.py or configs/psgan.py (whose latent is looked for, see `anime_pt.transfer`); `--model` says which
kind it has to be.

`--out` is .mp4, .gif, .apng or .png (animated), .sheet.png (a sprite sheet, with a JSON beside it), or a
folder of PNG files. All but MP4 keep transparency.

`--preview=look.png` only shows the joints that were found in the picture, and writes them to look.json: what
is wrong there is wrong in every frame. `python -m anime_pt.annotate --image=girl.png --joints=look.json`
corrects them, and `--joints=look.json` uses them.

Exit status: 0, or 1 after an error, with one line that says what to do. Lines on stderr that begin with
"warning: " tell what was not found, and what was done about it.
"""

import contextlib
import pathlib
import sys
from collections.abc import Iterable, Iterator, Sequence

from absl import flags

from anime_pt import command

_CHARACTER = flags.DEFINE_string("character", None, "A picture of the character.")
_MOTION = flags.DEFINE_string("motion", None, "A video, a file of joints, a motion of a 3D skeleton.")
_OUT = flags.DEFINE_string("out", None, "File or folder to write; its suffix says the format.")
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Training run of a network that transfers poses (default: the one of the package)."
)
_STEP = flags.DEFINE_integer("step", None, "Its checkpoint (default: the best one, or the latest).")
_MODEL = flags.DEFINE_enum(
    "model", None, ("patn", "pg2", "psgan"), "Kind of the network (default: whatever kind it is)."
)
_DETAIL = flags.DEFINE_integer(
    "detail",
    None,
    "How many times as large as the network's pictures are, if it can copy (default: as the picture itself).",
    1,
    16,
)
_BATCH = flags.DEFINE_integer("batch", 8, "Frames at once.", 1, 256)
_JOINTS = flags.DEFINE_string("joints", None, "File of the picture's joints (default: they are estimated).")
_ESTIMATOR = flags.DEFINE_string(
    "estimator",
    None,
    "Training run of the estimator of joints (default: the one that comes with the package).",
)
_THRESHOLD = flags.DEFINE_float("threshold", 0.2, "Estimated joints of less confidence are unknown.", 0, 1)
_PREVIEW = flags.DEFINE_string("preview", None, "Only show the joints of the picture, in a .png.")
_HTML = flags.DEFINE_string("html", None, "Also write a page with driver, pose and result side by side.")

_DETECTOR = flags.DEFINE_string(
    "detector", None, "ONNX file of RTMPose, RTMW, DWPose or RTMO, for videos of people."
)
_BOXES = flags.DEFINE_string("boxes", None, "ONNX file of YOLOX, for videos of several people.")
_PERSON = flags.DEFINE_integer("person", None, "Whose motion, the most prominent being 0.", 0)
_FPS = flags.DEFINE_string("fps", None, "Frames per second (default: the motion's).")
_START = flags.DEFINE_float("start", 0.0, "Where in the motion to start, in seconds.", 0)
_SECONDS = flags.DEFINE_float("seconds", None, "Length of the clip (default: to the end of the motion).", 0)
_MOTION_SIZE = flags.DEFINE_string("motion_size", None, "HEIGHTxWIDTH of the pictures of a file of joints.")
_MOTION_THRESHOLD = flags.DEFINE_float(
    "motion_threshold", 0.0, "The motion's unsure joints are unknown.", 0, 1
)
_YAW = flags.DEFINE_float("yaw", 0.0, "Degrees by which a 3D skeleton turns to its left.")
_SMOOTH = flags.DEFINE_enum(
    "smooth",
    None,
    ["none", "savgol", "median", "openmmd", "median_savgol", "one_euro"],
    "Filter of the motion's jitter (default: median_savgol, none for 3D skeletons).",
)
_LONGEST_GAP = flags.DEFINE_float("longest_gap", 0.27, "Seconds that a joint may be lost and filled in.", 0)

_REFERENCE = flags.DEFINE_integer(
    "reference", None, "Frame in which the driver is outstretched, 0 being that of --start.", 0
)
_SAME_POSE = flags.DEFINE_boolean("same_pose", False, "In --reference the driver has the picture's pose.")
_TURN_HEAD = flags.DEFINE_boolean(
    "turn_head", True, "The head faces as in the picture when the driver's does."
)
_IN_PLACE = flags.DEFINE_boolean(
    "in_place", None, "The figure stays where it is (default: in sprite sheets)."
)
_CANVAS = flags.DEFINE_enum(
    "canvas",
    None,
    ["picture", "motion", "figure"],
    "What is shown: the picture (default), also where the figure leaves it, or only where the figure goes "
    "(default for sprite sheets).",
)
_SIZE = flags.DEFINE_integer("size", None, "Longest side in pixels (default: the picture's).", 16, 8192)
_BACKGROUND = flags.DEFINE_string(
    "background", "keep", "keep, transparent, white, a colour as #rrggbb, or a picture."
)
_STEADY = flags.DEFINE_integer("steady", 0, "Neighbours on each side to average a frame with.", 0, 8)
flags.mark_flag_as_required("character")

# Lines about gaps that are shown; the page has all.
_SHOWN = 4


def main(_: Sequence[str]) -> None:
    _check()
    from anime_pt.pipelines import driver, video

    fps = None if _FPS.value is None else video.rate(_FPS.value)
    kind = None if _PREVIEW.value else driver.kind(_MOTION.value)
    form = "" if _PREVIEW.value else video.kind(_OUT.value)

    # After all that can be told without it: JAX takes seconds.
    from anime_pt.pipelines import animate, animation, canvas, estimator, transfer
    from anime_pt.pose import formats

    command.keep_compiled()
    workdir = None if _WORKDIR.value is None else pathlib.Path(_WORKDIR.value)
    model = transfer.Model(workdir, _STEP.value, _MODEL.value)
    of = estimator.chosen(_ESTIMATOR.value)
    given = None if _JOINTS.value is None else formats.read(_JOINTS.value)
    finder = estimator.Estimator(*of, batch=1)
    cut = transfer.cut(pathlib.Path(_CHARACTER.value), model, finder, _THRESHOLD.value, given)
    for remark in cut.remarks:
        _warn(_CHARACTER.value, remark)
    if _PREVIEW.value:
        _preview(cut)
        return

    motion = driver.read(
        _MOTION.value,
        _finder(of) if kind == "film" else None,
        None if fps is None else float(fps),
        _PERSON.value,
        command.height_and_width(_MOTION_SIZE),
        _YAW.value,
        lambda moments: _progress(moments, "posing", len(moments)),
    )
    smooth = _SMOOTH.value or ("none" if kind == "motion" else "median_savgol")
    motion, report = driver.clean(motion, smooth, _LONGEST_GAP.value, _MOTION_THRESHOLD.value)
    # After that: what is before and after the part fills its gaps.
    motion, report = driver.part(motion, report, _START.value, _SECONDS.value)

    sheet = form == ".sheet.png"
    in_place = sheet if _IN_PLACE.value is None else _IN_PLACE.value
    plan = animate.plan(
        *(cut, motion.poses, model, _REFERENCE.value, _SAME_POSE.value, _TURN_HEAD.value, in_place),
        _DETAIL.value,
    )
    part = _CANVAS.value or ("figure" if sheet else "picture")
    shown = canvas.of(cut, plan, part, _SIZE.value, _BACKGROUND.value)
    rate = fps or video.rate(motion.poses.fps)
    video.check(_OUT.value, rate, len(plan.poses), shown.size)
    own, gaps = [*motion.remarks, *plan.remarks, *shown.remarks], report.lines()
    if form == ".mp4" and shown.behind is None:
        own.append("MP4 has no transparency: the background is white")
    for remark in [*own, *gaps[:_SHOWN]]:
        _warn(_MOTION.value, remark)
    if len(gaps) > _SHOWN:
        _warn(_MOTION.value, f"and {len(gaps) - _SHOWN} more gaps; the page of --html lists them")
    with _interruptible(form):
        made = animation.write(
            _OUT.value,
            *(model, motion, plan, shown, rate, _BATCH.value, _STEADY.value),
            None if _HTML.value is None else pathlib.Path(_HTML.value),
            [*own, *gaps],
            lambda frames, total: _progress(frames, "animating", total),
        )
    print(_OUT.value)
    if _HTML.value is not None:
        print(_HTML.value)
    print(made)


def _preview(cut) -> None:
    """Shows the joints of the picture, and writes them down."""
    from anime_pt.pipelines import overlay, pictures, stills
    from anime_pt.pose import formats
    from anime_pt.pose.sequences import PoseSequence

    drawn = overlay.keypoints(pictures.before_white(cut.picture), cut.points, cut.skeleton)
    path = pathlib.Path(_PREVIEW.value)
    stills.save(path, drawn)
    print(path)
    points = cut.points[None].copy()
    points[..., :2] *= cut.factor
    size = tuple(float(cut.factor * side) for side in cut.picture.shape[:2])
    formats.write(path.with_suffix(".json"), PoseSequence(points, cut.skeleton, size))
    print(path.with_suffix(".json"))


def _finder(of):
    """What finds the joints of a video."""
    import tqdm

    from anime_pt.pipelines import detector, driver, estimator

    done: list = []

    def progress(count: int) -> None:
        if not done:
            done.append(tqdm.tqdm(None, "looking for joints", unit="frame", mininterval=0.5, file=sys.stderr))
        done[0].update(count - done[0].n)

    if _DETECTOR.value is None:
        text = "joints are found by the estimator of drawn figures; for a film of people give --detector"
        find = driver.drawn(estimator.Estimator(*of), _THRESHOLD.value, progress)
    else:
        boxes = None if _BOXES.value is None else detector.load(_BOXES.value)
        find = driver.filmed(
            detector.Detector(detector.load(_DETECTOR.value), boxes), _PERSON.value, progress
        )
        text = ""

    def finding(path: pathlib.Path):
        poses, remarks = find(path)
        if done:
            done[0].close()
        return poses, [text, *remarks] if text else remarks

    return finding


def _progress(things: Iterable, title: str, total: int) -> Iterator:
    import tqdm

    return tqdm.tqdm(things, title, total, unit="frame", mininterval=0.5, file=sys.stderr)


def _warn(name: str, text: str) -> None:
    print(f"warning: {pathlib.Path(name).name}: {text}", file=sys.stderr)


@contextlib.contextmanager
def _interruptible(form: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        kept = "nothing was written" if form else "its frames are kept; delete them before you go on"
        raise command.Interrupted(f"interrupted; {_OUT.value}: {kept}") from None


def _check() -> None:
    """Raises for what can be told from the flags alone."""
    from anime_pt.pipelines import sprites, video
    from anime_pt.pose import files

    for flag in (_CHARACTER, _WORKDIR, _MOTION, _OUT, _JOINTS, _PREVIEW, _HTML, _DETECTOR, _BOXES):
        if flag.value == "":
            raise ValueError(f"--{flag.name} is empty")
    if not pathlib.Path(_CHARACTER.value).is_file():
        raise FileNotFoundError(f"there is no picture {_CHARACTER.value}")
    if _PREVIEW.value is not None:
        if not _PREVIEW.value.lower().endswith(".png"):
            raise ValueError(f"--preview must end in .png, got {_PREVIEW.value!r}")
        command.apart([("preview", _PREVIEW.value)], [_CHARACTER.value])
        joints = pathlib.Path(_PREVIEW.value).with_suffix(".json")
        if joints.exists():
            raise FileExistsError(
                f"{joints} exists, and may be corrected by hand: use it with --joints={joints} instead of "
                "--preview, or delete it, or name another --preview"
            )
        files.check(pathlib.Path(_PREVIEW.value))
        return
    for flag in (_MOTION, _OUT):
        if flag.value is None:
            raise ValueError(f"--{flag.name} is missing (only --preview does without)")
    out = pathlib.Path(_OUT.value)
    form = video.kind(_OUT.value)
    outputs = [("out", out)]
    if form == ".sheet.png":
        outputs.append(("out", sprites.description_path(out)))
    if _HTML.value is not None:
        page = pathlib.Path(_HTML.value)
        outputs += [("html", page), ("html", video.of_page(page))]
    inputs = (_CHARACTER, _MOTION, _JOINTS, _DETECTOR, _BOXES, _BACKGROUND)
    command.apart(outputs, [flag.value for flag in inputs if flag.value is not None])
    if not form and any(out.glob("frame_*.png")):
        raise FileExistsError(f"{out} has frames already: delete them, or name another folder")
    files.check(out, folder=not form)
    if _HTML.value is not None:
        if not _HTML.value.lower().endswith((".html", ".htm")):
            raise ValueError(f"--html must end in .html, got {_HTML.value!r}")
        files.check(pathlib.Path(_HTML.value))
    if _STEP.value is not None and _WORKDIR.value is None:
        raise ValueError("--step is a checkpoint of --workdir: name that, too")
    if _BOXES.value is not None and _DETECTOR.value is None:
        raise ValueError("--boxes are for --detector: name that, too")
    if _SAME_POSE.value and _REFERENCE.value is None:
        raise ValueError("--same_pose is about the frame --reference: say which it is")


if __name__ == "__main__":
    command.run(main)
