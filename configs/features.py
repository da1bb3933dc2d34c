"""The feature network that ships with the package, trained to tell rendered characters apart.

    python -m anime_pt.main --config=configs/features.py --workdir=runs/features
        Hardware: 2 CPU cores. Not run at this length. The packaged weights are of 220 steps of 24 pairs, 16
        minutes: top-1 0.92 of 120 unseen characters (anime_pt/weights/features.md).
    python -m anime_pt.main --config=configs/features.py:demo --workdir=runs/features_demo
        Hardware: 2 CPU cores.

Arguments after the colon, in any order: `demo`; `dataset=unity_avatars/procedural_128`; `steps=...`.
"""

import ml_collections

from anime_pt import arguments


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """The experiment, or a variant; raises ValueError on arguments that are not listed above."""
    args = arguments.parse(arg, ("demo",), dataset=str, steps=int)
    demo = args["demo"]

    config = ml_collections.ConfigDict()
    config.recipe = "features"
    config.seed = 0
    config.skeleton = "avatar_20"

    config.model = ml_collections.ConfigDict({"widths": (16, 32, 64, 128, 192), "embedding": 128})
    config.temperature = 0.1
    config.ema_decay = 0.99

    config.schedule = ml_collections.ConfigDict()
    config.schedule.resolution = (128, 96)  # Of the data's pictures, and in evaluation.
    config.schedule.seen = (64, 48)  # Of the parts of them that training sees.
    config.schedule.steps = args.get("steps", 60 if demo else 1_400)
    config.schedule.batch_size = 8 if demo else 32  # Characters, two pictures each.

    config.optimizer = ml_collections.ConfigDict()
    config.optimizer.update({"learning_rate": 3e-3, "b1": 0.9, "b2": 0.99, "weight_decay": 1e-2})
    config.optimizer.warmup_steps = 10 if demo else 100

    config.data = ml_collections.ConfigDict({"view": "pairs"})
    config.data.name = args.get("dataset", "unity_avatars/procedural_256_styled")
    config.data.data_dir = ""  # TFDS's default.
    config.data.prepare = True  # Build the dataset first if it is not there.
    config.data.train_split = "train"
    config.data.eval_split = "validation"  # Characters that training does not see.
    config.data.skeleton = "avatar_20"
    config.data.sources = 1
    config.data.balance = "characters"
    config.data.crop = "figure"
    config.data.eval_seed = 0
    config.data.threads = 2
    config.data.workers = 0
    config.data.prefetch = 8

    config.eval = ml_collections.ConfigDict({"every": 30 if demo else 350, "batch_size": 32, "samples": 8})
    config.eval.examples = 64 if demo else 240
    config.checkpoint = ml_collections.ConfigDict({"every": config.eval.every, "keep": 2})
    config.checkpoint.best_metric = "eval/loss"
    config.checkpoint.best_mode = "min"
    config.log = ml_collections.ConfigDict({"every": 25})
    config.mesh = ml_collections.ConfigDict({"data": -1, "spatial": 1, "fsdp_min_size": 0})
    return config
