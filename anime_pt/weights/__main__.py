"""Takes a network out of a run: `python -m anime_pt.weights --workdir=runs/student --out=student.npz`."""

import pathlib
from collections.abc import Sequence

from absl import flags

from anime_pt import command

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.")
_OUT = flags.DEFINE_string("out", None, "File to write, .npz.")
_PLAYER = flags.DEFINE_string(
    "player",
    "estimator",
    "Which network of the run: generator of patn, features of features, lifter of lifting.",
)
_STEP = flags.DEFINE_integer("step", None, "Checkpoint to take (default: the best one, or the latest).")
_AVERAGE = flags.DEFINE_string(
    "average",
    None,
    "File of weights that the run started from: the mean of both is written, see weights.mean.",
)
flags.mark_flags_as_required(["workdir", "out"])


def main(_: Sequence[str]) -> None:
    import jax

    from anime_pt import train, weights
    from anime_pt.pipelines import estimator

    workdir, out = pathlib.Path(_WORKDIR.value), pathlib.Path(_OUT.value)
    if out.suffix != ".npz":
        raise ValueError(f"--out={out}: the name must end in .npz")
    algorithm, net = estimator.of_run(workdir, _STEP.value, _PLAYER.value)
    if _AVERAGE.value is not None:
        _, other = weights.read(pathlib.Path(_AVERAGE.value))
        net = weights.mean(net, other)
    alone = len(jax.eval_shape(algorithm.init, jax.random.key(0)).players) == 1
    digest = weights.write(out, train.recorded_config(workdir), net, "" if alone else _PLAYER.value)
    print(f"{out}: sha256 {digest}")


if __name__ == "__main__":
    command.run(main)
