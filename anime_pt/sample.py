"""Samples a trained generator: `python -m anime_pt.sample --workdir=runs/psgan_demo`.

Writes to `--out` (default `<workdir>/generated`):

    grid.png             a sheet of latents (columns) x poses (rows)
    interpolation.png    between two latents (columns) under fixed poses (rows)
    animation.gif, .mp4  latents performing a motion
    motion.json          the motion's keypoints, as `--poses` takes them
"""

import pathlib
from collections.abc import Sequence

from absl import flags

from anime_pt import command

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.")
_OUT = flags.DEFINE_string("out", "", "Where to write (default: <workdir>/generated).")
_POSES = flags.DEFINE_string("poses", "", "Motion to perform, a keypoints JSON (default: a built-in one).")
_STEP = flags.DEFINE_integer("step", None, "Checkpoint to use (default: the best one, or the latest).")
_SEED = flags.DEFINE_integer("seed", 0, "Of the latents, and of the built-in motion.")
_LATENTS = flags.DEFINE_integer("latents", 8, "Columns of the grid.", lower_bound=2)
_ROWS = flags.DEFINE_integer("rows", 6, "Poses of the grids.", lower_bound=1)
_STEPS = flags.DEFINE_integer("interpolation_steps", 8, "Columns of the interpolation.", lower_bound=2)
_FRAMES = flags.DEFINE_integer("frames", 90, "Length of the built-in motion.", lower_bound=1)
_DANCERS = flags.DEFINE_integer("dancers", 4, "Latents in the animation.", lower_bound=1)
flags.mark_flag_as_required("workdir")


def main(_: Sequence[str]) -> None:
    from anime_pt import metric_writer, train
    from anime_pt.pipelines import sample, video
    from anime_pt.pose import formats

    workdir = pathlib.Path(_WORKDIR.value)
    config = train.recorded_config(workdir)
    motion = formats.read(_POSES.value) if _POSES.value else None

    sampler = sample.Sampler(config, workdir, _STEP.value)
    out = pathlib.Path(_OUT.value) if _OUT.value else workdir / "generated"
    latents = sampler.latents(max(_LATENTS.value, _DANCERS.value), _SEED.value)
    if motion is None:
        motion = sample.motion(_SEED.value, _FRAMES.value, sampler.resolution)
    points = sampler.evaluation_poses(_ROWS.value)

    def sheet(name: str, columns: list) -> None:
        metric_writer.save_image(out / name, metric_writer.image_grid(columns))
        print(out / name, flush=True)

    sheet("grid.png", sample.pose_grid(sampler, points, latents[: _LATENTS.value]))
    sheet("interpolation.png", sample.interpolation(sampler, points, latents[:2], _STEPS.value))
    formats.write(out / "motion.json", motion)
    points = sampler.fitted(motion)
    for name in ("animation.mp4", "animation.gif"):
        frames = sample.animation(sampler, points, latents[: _DANCERS.value])
        video.write(out / name, frames, motion.fps)
        print(out / name, flush=True)


if __name__ == "__main__":
    command.run(main)
