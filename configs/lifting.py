"""Joints in space from joints in a picture: Martinez et al.'s baseline on seeded poses before random cameras.

    python -m anime_pt.main --config=configs/lifting.py --workdir=runs/lifting
        Hardware: 2 CPU cores. The packaged weights (anime_pt/weights/lifting.md).
    python -m anime_pt.main --config=configs/lifting.py:demo --workdir=runs/lifting_demo
        Hardware: 2 CPU cores. Time: a minute.
    python -m anime_pt.main --config=configs/lifting.py:published --workdir=runs/lifting_published
        The paper's network and schedule. Not run.

Arguments after the colon, in any order: `demo` or `published`; `files=FOLDER`, to learn from the motions in
it, too (.bvh, .vmd, .vrma; one of ten files is for validation, one for tests); `steps=...`. To measure on
motions of one's own:
    --mode=eval --config.data.seeded=0 --config.data.files=FOLDER --config.data.eval_split=all
"""

import ml_collections

from anime_pt import arguments


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """The experiment, or a variant; raises ValueError on arguments that are not listed above."""
    args = arguments.parse(arg, ("demo", "published"), files=str, steps=int)
    demo, published = args["demo"], args["published"]
    if demo and published:
        raise ValueError("arguments demo and published: use one of them")

    config = ml_collections.ConfigDict()
    config.recipe = "lifting"
    config.seed = 0
    config.skeleton = "avatar_20"

    config.model = ml_collections.ConfigDict({"width": 1024 if published else 256 if demo else 512})
    config.model.blocks = 2
    config.model.dropout = 0.5 if published else 0.0  # Data without end needs none, and short training less.
    config.model.max_norm = published
    config.ema_decay = 0.0 if published else 0.98 if demo else 0.997

    config.schedule = ml_collections.ConfigDict()
    config.schedule.resolution = (128, 128)  # Of the pictures that joints are in; nothing is drawn.
    # 200 epochs of 1,559,752 poses.
    config.schedule.steps = args.get("steps", 4_874_000 if published else 400 if demo else 8_000)
    config.schedule.batch_size = 64 if published else 256

    config.optimizer = ml_collections.ConfigDict({"learning_rate": 1e-3 if published else 2e-3})
    config.optimizer.cosine = not published
    config.optimizer.warmup_steps = 0 if published else 100

    config.data = ml_collections.ConfigDict({"view": "motions", "name": "", "data_dir": "", "prepare": False})
    config.data.train_split = "train"
    config.data.eval_split = "validation"  # Other seeds than training's; "test": still others.
    config.data.seeded = 1_000 if demo else 10_000  # Poses from seeds.
    config.data.files = args.get("files", "")
    config.data.noise = 0.006  # Mean error of joints, as a share of the picture.
    config.data.missing = 0.08
    config.data.eval_seed = 0
    config.data.eval_noise = 0.0
    config.data.eval_missing = 0.0
    config.data.threads = 1
    config.data.workers = 0
    config.data.prefetch = 8

    config.eval = ml_collections.ConfigDict({"every": 200 if demo else 2_000, "batch_size": 256})
    config.eval.examples = 1_024 if demo else 4_096
    config.eval.samples = 8
    config.checkpoint = ml_collections.ConfigDict({"every": config.eval.every, "keep": 2})
    config.checkpoint.best_metric = "eval/mpjpe"
    config.checkpoint.best_mode = "min"
    config.log = ml_collections.ConfigDict({"every": 100})
    config.mesh = ml_collections.ConfigDict({"data": -1, "spatial": 1, "fsdp_min_size": 0})
    return config
