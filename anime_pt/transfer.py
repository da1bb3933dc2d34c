r"""Puts the character of a picture into another pose.

    python -m anime_pt.transfer --source=girl.png --pose=dancer.png --out=girl_dancing.png

`--source` is a picture of the character: one figure, before transparency or a plain background. It may be
given several times, for pictures of the same character. `--pose` is a picture of somebody in the pose
wanted, drawn as the character is, or a file of joints (the project's own, OpenPose's, COCO's, PATN's). The
pose is brought to the character's size, and stands where figures stand.

The network is the one that comes with the package (its card: anime_pt/weights/transfer.md), or, by
`--workdir`, that of a run of configs/patn.py, configs/pg2.py or configs/psgan.py. PSGAN takes no source: the
latent that draws it is looked for, which takes longer.

Exit status: 0, or 1 after an error, with one line that says what to do; then nothing is written. Lines on
stderr that begin with "warning: " tell what was not found, and what it means for the result.
"""

import pathlib
from collections.abc import Sequence

from absl import flags

from anime_pt import command

_SOURCE = flags.DEFINE_multi_string("source", None, "A picture of the character; may be given several times.")
_POSE = flags.DEFINE_string("pose", None, "A picture of the pose wanted, or a file of joints.")
_OUT = flags.DEFINE_string("out", None, "The picture to write, a .png.")
_JOINTS = flags.DEFINE_multi_string(
    "joints", None, "File of a source's joints, in the order of the sources (default: they are estimated)."
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Training run of a network that transfers poses (default: the one of the package)."
)
_STEP = flags.DEFINE_integer("step", None, "Its checkpoint (default: the best one, or the latest).")
_MODEL = flags.DEFINE_enum(
    "model", None, ("patn", "pg2", "psgan"), "Kind of the network (default: whatever kind it is)."
)
_FRAME = flags.DEFINE_integer("frame", 0, "Which frame of a file of joints, from 0.", 0)
_SHEET = flags.DEFINE_string(
    "sheet", None, "Also write source, joints, pose and result side by side, a .png."
)
_ESTIMATOR = flags.DEFINE_string(
    "estimator",
    None,
    "Training run of the estimator of joints (default: the one that comes with the package).",
)
_THRESHOLD = flags.DEFINE_float("threshold", 0.2, "Joints of less confidence are unknown, from 0 to 1.", 0, 1)
flags.mark_flags_as_required(["source", "pose", "out"])


def main(_: Sequence[str]) -> None:
    import sys

    from anime_pt.pose import files

    out, corrected = pathlib.Path(_OUT.value), _JOINTS.value or []
    outputs = [(flag.name, flag.value) for flag in (_OUT, _SHEET) if flag.value is not None]
    for name, path in outputs:
        if not path.lower().endswith(".png"):
            raise ValueError(f"--{name} must end in .png, got {path!r}")
        files.check(pathlib.Path(path))
    if _STEP.value is not None and _WORKDIR.value is None:
        raise ValueError("--step is a checkpoint of --workdir: name that, too")
    inputs = [pathlib.Path(name) for name in (*_SOURCE.value, _POSE.value)]
    for path in inputs:
        if not path.exists():
            raise FileNotFoundError(f"there is no file {path}")
    command.apart(outputs, [*inputs, *corrected])
    *sources, wanted = inputs
    if corrected and len(corrected) != len(sources):
        raise ValueError(f"--joints is given {len(corrected)} times, --source {len(sources)}: give as many")

    # After all that can be told without it: JAX takes seconds.
    from anime_pt.pipelines import estimator, matting, pictures, stills, transfer
    from anime_pt.pose import formats

    command.keep_compiled()
    workdir = None if _WORKDIR.value is None else pathlib.Path(_WORKDIR.value)
    model = transfer.Model(workdir, _STEP.value, _MODEL.value)
    of = estimator.chosen(_ESTIMATOR.value)
    finder = estimator.Estimator(*of, batch=1)
    # Printed with the result alone: of an error there is one line.
    warnings: list[str] = []
    warn = lambda path, text: warnings.append(f"warning: {path.name}: {text}")

    framed = []
    given = [formats.read(name) for name in corrected] or [None] * len(sources)
    for path, of_it in zip(sources, given, strict=True):
        detail = framed[0].detail if framed else None
        framed.append(transfer.source(path, model, finder, _THRESHOLD.value, of_it, detail))
        for remark in framed[-1].remarks:
            warn(path, remark)
    is_picture = wanted.suffix.lower() in pictures.STILL
    if is_picture:
        found = transfer.joints(wanted, finder, _THRESHOLD.value)
        for remark in found.remarks:
            warn(wanted, remark)
        points, skeleton = found.points, finder.skeleton
    else:
        poses = formats.read(wanted)
        if _FRAME.value >= len(poses.keypoints):
            raise ValueError(f"--frame={_FRAME.value}: {wanted} has {len(poses.keypoints)} frames, from 0")
        points, skeleton = poses.keypoints[_FRAME.value], poses.skeleton
    try:
        if not is_picture:
            transfer.check_order(points, skeleton)
        pose = transfer.framed(points, skeleton, framed[0].points, model)
    except ValueError as error:
        raise ValueError(f"{wanted}: {error}") from error
    for remark in transfer.lacking(pose, model):
        warn(wanted, remark)
    (image,) = model(framed, pose[None])
    stills.save(out, matting.matted(image) if model.rgba else image)
    for line in warnings:
        print(line, file=sys.stderr)
    print(out)
    if _SHEET.value is not None:
        stills.save(pathlib.Path(_SHEET.value), transfer.sheet(framed[0], pose, image, model))
        print(_SHEET.value)


if __name__ == "__main__":
    command.run(main)
