"""Joints of a picture, corrected by hand: a page in your browser on which they are dragged.

    python -m anime_pt.annotate --image=girl.png --joints=girl.json

Prints an address to open; the page loads nothing from elsewhere. Other machines cannot reach it; other users
of this one can, and could save, too. "Save" writes `--joints` in the project's own format, which
`anime_pt.animate` takes as `--joints`. Where there is no such file yet, joints are estimated first; what is
not found is missing, and is put by hand. Ctrl-C ends it.
"""

import pathlib
from collections.abc import Sequence

from absl import flags

from anime_pt import command

_IMAGE = flags.DEFINE_string("image", None, "A picture of one figure.")
_JOINTS = flags.DEFINE_string("joints", None, "File of its joints (default: beside it, IMAGE.joints.json).")
_ESTIMATOR = flags.DEFINE_string(
    "estimator",
    None,
    "Training run of the estimator of joints (default: the one that comes with the package).",
)
_THRESHOLD = flags.DEFINE_float("threshold", 0.2, "Estimated joints of less confidence are missing.", 0, 1)
_PORT = flags.DEFINE_integer("port", 0, "Where the page is served (default: any that is free).", 0, 65535)
flags.mark_flag_as_required("image")


def main(_: Sequence[str]) -> None:
    from anime_pt.pipelines import annotate, pictures
    from anime_pt.pose import files, formats

    image = pathlib.Path(_IMAGE.value)
    if not image.is_file():
        raise FileNotFoundError(f"there is no picture {image}")
    out = pathlib.Path(_JOINTS.value or f"{image}.joints.json")
    if out.suffix.lower() != ".json":
        raise ValueError(f"--joints must end in .json, got {out}")
    files.check(out)
    try:
        size = pictures.read(image).size
    except pictures.PictureError as error:
        raise ValueError(f"{image}: {error}") from error
    poses = formats.read(out) if out.exists() else _estimated(image, size)
    if len(poses.keypoints) != 1:
        raise ValueError(f"{out} has {len(poses.keypoints)} frames: it is of a motion, not of a picture")
    server = annotate.Server(image, poses.resized(*map(float, size)), out, _PORT.value)
    print(f"{server.url} (Ctrl-C ends)", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        raise command.Interrupted(str(out) if out.exists() else "nothing was saved") from None
    finally:
        server.server_close()


def _estimated(image: pathlib.Path, size: tuple[int, int]):
    import sys

    from anime_pt.pipelines import estimate, estimator
    from anime_pt.pose.sequences import PoseSequence, unknown

    command.keep_compiled()
    of = estimator.chosen(_ESTIMATOR.value)
    finder = estimator.Estimator(*of, batch=1)
    (found,) = estimate.of_pictures(finder, [image], _THRESHOLD.value)
    for text in filter(None, (found.error, *found.remarks)):
        print(f"warning: {image.name}: {text}", file=sys.stderr)
    points = unknown(1, finder.skeleton) if found.points is None else found.points[None]
    return PoseSequence(points, finder.skeleton, (float(size[0]), float(size[1])))


if __name__ == "__main__":
    command.run(main)
