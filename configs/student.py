"""The small pose network on rendered characters in many styles: the one that ships with the package.

    python -m anime_pt.main --config=configs/student.py --workdir=runs/student
        Hardware: 2 CPU cores. Time: one to two hours. Number to expect: PDJ 0.92 (docs/results.md).
    python -m anime_pt.main --config=configs/student.py:demo --workdir=runs/student_demo
        Hardware: 2 CPU cores. Time: four minutes. Number to expect: PDJ 0.66 (validation).

Arguments after the colon, in any order: `demo`; `dataset=anime_keypoints/drawings`, with that set's skeleton,
`skeleton=anime_drawings_21`; `weights=anime_pt/weights/student.npz`, to start from the packaged ones;
`style=halftone`, to evaluate in one of the styles of `anime_pt/data/styles.py`; `steps=...`.
"""

import ml_collections

from anime_pt import arguments


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """The experiment, or a variant; raises ValueError on arguments that are not listed above."""
    args = arguments.parse(arg, ("demo",), dataset=str, skeleton=str, style=str, weights=str, steps=int)
    demo = args["demo"]

    config = ml_collections.ConfigDict()
    config.recipe = "student"
    config.seed = 0
    # What is learned, and the dataset's; see `data.skeleton`.
    config.skeleton = args.get("skeleton", "avatar_20")

    config.init = ml_collections.ConfigDict({"weights": args.get("weights", "")})

    config.model = ml_collections.ConfigDict({"widths": (64, 128, 192)})
    config.target_sigma = 1.0  # Of the Gaussian around a joint, in cells.
    config.ema_decay = 0.998

    config.schedule = ml_collections.ConfigDict()
    config.schedule.resolution = (128, 96) if demo else (256, 192)
    config.schedule.steps = args.get("steps", 1_500 if demo else 11_000)
    config.schedule.batch_size = 16

    config.optimizer = ml_collections.ConfigDict()
    config.optimizer.update({"learning_rate": 2e-3, "b1": 0.9, "b2": 0.99, "weight_decay": 1e-3})
    config.optimizer.warmup_steps = 300

    config.data = ml_collections.ConfigDict()
    config.data.name = args.get("dataset", "unity_avatars/procedural_256_styled")
    config.data.data_dir = ""  # TFDS's default.
    config.data.prepare = True  # Build the dataset first if it is not there.
    config.data.train_split = "train"
    config.data.eval_split = "validation"  # Characters that training does not see.
    config.data.view = "figure"
    config.data.skeleton = config.skeleton  # The dataset's; another one is converted by joint names.
    config.data.eval_style = args.get("style", "")
    config.data.threads = 2
    config.data.workers = 0
    config.data.prefetch = 8

    config.eval = ml_collections.ConfigDict({"every": 1_000, "batch_size": 32, "examples": 512, "samples": 8})
    config.eval.flip_test = False  # True: look at the mirror image, too.
    config.checkpoint = ml_collections.ConfigDict()
    config.checkpoint.every = 1_000
    config.checkpoint.keep = 2
    config.checkpoint.best_metric = "eval/pdj"
    config.checkpoint.best_mode = "max"
    config.log = ml_collections.ConfigDict({"every": 50})
    config.mesh = ml_collections.ConfigDict({"data": -1, "spatial": 1, "fsdp_min_size": 0})
    return config
