"""Makes a dance for MikuMikuDance of joints in a video: poses in, a .vmd motion out.

    python -m anime_pt.estimate --images=dancer.mp4 --format=anime_pt --out=poses.json
    python -m anime_pt.lift --poses=poses.json --out=dance.vmd
    python -m anime_pt.render --character=miku.pmx --motion=dance.vmd --out=dance.mp4

`--poses` is a file or folder of joints in pictures: the project's own, OpenPose's, COCO's, MediaPipe's,
MMPose's. A network says where they are in space, and a body takes these poses; where it walks comes from
the picture, see `anime_pt/avatars/lifted.py`. Feet are keyed as goals. Without `--character` the motion is
for the standard MMD skeleton, and so for most models.

Exit status: 0, or 1 after an error, with one line that says what to do; then nothing is written. Lines on
stderr that begin with "warning: " tell what was guessed.
"""

import pathlib
import sys
from collections.abc import Sequence

from absl import flags

from anime_pt import command

_POSES = flags.DEFINE_string("poses", None, "File or folder of joints in pictures.")
_OUT = flags.DEFINE_string("out", None, "The motion to write, a .vmd.")
_CHARACTER = flags.DEFINE_string("character", None, "MMD model that it is for (default: any).")
_JOINTS = flags.DEFINE_string("joints", None, "Also write the joints with their places in space, a .json.")
_DEPTH = flags.DEFINE_enum(
    "depth",
    "network",
    ["network", "file"],
    "Who says where joints are in space: the network, or the file, where it does (MediaPipe's, ours).",
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Training run of the network (default: the weights that come with the package)."
)
_STEP = flags.DEFINE_integer("step", None, "Its checkpoint (default: the best one, or the latest).")
_PERSON = flags.DEFINE_integer("person", None, "Who is followed, from 0 (default: the most prominent).", 0)
_SIZE = flags.DEFINE_string("size", None, "HEIGHTxWIDTH of the pictures, for files that do not say it.")
_FPS = flags.DEFINE_float("fps", None, "Frames per second, for files that do not say it (default: 30).")
_SMOOTH = flags.DEFINE_boolean("smooth", True, "Fill short gaps, and smooth joints over time.")
_FOV = flags.DEFINE_float("fov", 50.0, "Vertical angle of view of the camera in degrees.", 1, 150)
_PITCH = flags.DEFINE_float(
    "pitch", None, "Degrees by which the camera looks down (default: as people stand upright in it)."
)
flags.mark_flags_as_required(["poses", "out"])


def main(_: Sequence[str]) -> None:
    from anime_pt.pose import files

    source, out = pathlib.Path(_POSES.value), pathlib.Path(_OUT.value)
    for flag, suffix in ((_OUT, ".vmd"), (_JOINTS, ".json")):
        if flag.value is not None:
            if not flag.value.lower().endswith(suffix):
                raise ValueError(f"--{flag.name} must end in {suffix}, got {flag.value!r}")
            files.check(pathlib.Path(flag.value))
    if not source.exists():
        raise FileNotFoundError(f"there is no file or folder {source}")
    outputs = [(flag.name, flag.value) for flag in (_OUT, _JOINTS) if flag.value is not None]
    command.apart(outputs, filter(None, (source, _CHARACTER.value)))
    if _STEP.value is not None and _WORKDIR.value is None:
        raise ValueError("--step is a checkpoint of --workdir: name that, too")
    if _WORKDIR.value is not None and _DEPTH.value == "file":
        raise ValueError("--workdir is whose network says the depth: leave it or --depth=file out")
    size = command.height_and_width(_SIZE)

    # After all that can be told without it: JAX takes seconds.
    from anime_pt.avatars import files as characters
    from anime_pt.avatars.formats import mmd_skeleton, vmd
    from anime_pt.pipelines import lifting
    from anime_pt.pose import formats
    from anime_pt.pose.skeletons import AVATAR_20

    poses = formats.read(source, size, _FPS.value, _PERSON.value).as_skeleton(AVATAR_20)
    character = mmd_skeleton.build() if _CHARACTER.value is None else characters.load(_CHARACTER.value)
    lifter = None
    if _DEPTH.value == "network":
        command.keep_compiled()
        if _WORKDIR.value is None:
            lifter = lifting.Lifter(*lifting.packaged())
        else:
            lifter = lifting.Lifter(*lifting.of_run(pathlib.Path(_WORKDIR.value), _STEP.value))
    try:
        made, joints, report = lifting.motion(
            poses, out.stem, lifter, _SMOOTH.value, _FOV.value, _PITCH.value
        )
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    for line in report:
        print(f"warning: {source.name}: {line}", file=sys.stderr)
    if _PITCH.value is None and made.pitch:
        print(f"the camera looks down by {made.pitch:.0f} degrees")
    vmd.write(out, lifting.to_vmd(made, character))
    print(out)
    if _JOINTS.value is not None:
        formats.write(_JOINTS.value, joints)
        print(_JOINTS.value)


if __name__ == "__main__":
    command.run(main)
