"""PG2: a figure's picture carried into another pose, coarse first, then refined.

    python -m anime_pt.main --config=configs/pg2.py --workdir=runs/pg2
        Characters at 256x192 (height x width), in the code's form for 256 pixels, the paper's DeepFashion
        schedule. Hardware: one accelerator of 40 GB. Time: the paper gives none. Number to expect: none yet.
    python -m anime_pt.main --config=configs/pg2.py:market --workdir=runs/pg2_market
        The paper's on Market-1501, 128x64. Hardware: one accelerator. Time: the paper gives none. Number to
        expect: SSIM 0.253 by PG2's protocol (ssim_pg2), as published; not reproduced here.
    python -m anime_pt.main --config=configs/pg2.py:deepfashion --workdir=runs/pg2_deepfashion
        The paper's on DeepFashion, 256x256. Hardware: one accelerator of 40 GB. Time: the paper gives none.
        Number to expect: SSIM 0.762 by PG2's protocol, as published; not reproduced here.
    python -m anime_pt.main --config=configs/pg2.py:demo --workdir=runs/pg2_demo
        64x48. Hardware: 2 CPU cores. Time: 22 minutes beside other work. Number to expect: eval/ssim 0.55 on
        new characters, a copy of the source 0.29.
    python -m anime_pt.main --config=configs/pg2.py:benchmark --workdir=runs/pg2_benchmark
        128x96; held out as docs/benchmark.md says. Hardware: 2 CPU cores. Time: 13 minutes. Numbers: there;
        SSIM 0.69 on new characters, 0.68 if their poses are new, too.

Arguments after the colon, in any order: `mmd` (the same as none), `market`, `deepfashion`, `demo` or
`benchmark`; `dataset=...`, with its `skeleton=openpose_18` and, of a dataset of pairs, its `part=human`;
`sources=2`; `rgba`, to make masks, too; `coarse_steps=...` and `refiner_steps=...`: the paper's are 22,000
and 14,000 on Market-1501, 30,000 and 20,000 on DeepFashion; the code's scripts go on to 60,000 in all, and
80,000.

The small forms have an eighth of the features (a quarter in the discriminator) and twenty times the rate, for
a twentieth to a fiftieth of the steps; at fifty times, one step undid the coarse generator of `benchmark`.
"""

import ml_collections

from anime_pt import arguments

FORMS = ("mmd", "market", "deepfashion", "demo", "benchmark")


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """The experiment, or a variant; raises ValueError on arguments that are not listed above."""
    args = arguments.parse(
        arg,
        (*FORMS, "rgba"),
        **dict(dataset=str, skeleton=str, part=str, sources=int, coarse_steps=int, refiner_steps=int),
    )
    asked = [form for form in FORMS if args[form]]
    if len(asked) > 1:
        raise ValueError(f"config arguments {' and '.join(asked)}: use one of them")
    form = asked[0] if asked else "mmd"
    market, benchmark, published = form == "market", form == "benchmark", form in ("market", "deepfashion")
    demo = form in ("demo", "benchmark")  # Both are small.
    pick = lambda **of: of.get(form, of["demo"] if demo and "demo" in of else of["mmd"])

    config = ml_collections.ConfigDict()
    config.recipe = "pg2"
    config.seed = 0
    config.skeleton = args.get("skeleton", "openpose_18" if published else "avatar_20")

    config.model = ml_collections.ConfigDict()
    config.model.rgba = args["rgba"]  # A fourth channel with the figure's mask, in and out.
    config.model.features = 16 if demo else 128
    config.model.latent = 64
    config.model.full_skip = not market  # Whether the refiner has a skip connection at full size.
    config.model.discriminator_features = 16 if demo else 64

    config.pose_map = ml_collections.ConfigDict()
    config.pose_map.radius = 2.0 if demo else 4.0  # Of discs at joints and along limbs, in pixels.
    config.pose_map.visible_only = False  # True for sets where visibility 0 means "not annotated".

    config.loss = ml_collections.ConfigDict()
    config.loss.adversarial = "triplet" if market else "pooled"
    config.loss.lambda_l1 = 10.0 if market else 50.0

    config.schedule = ml_collections.ConfigDict()
    config.schedule.resolution = pick(
        mmd=(256, 192), market=(128, 64), deepfashion=(256, 256), demo=(64, 48), benchmark=(128, 96)
    )
    config.schedule.batch_size = pick(mmd=8, market=16, benchmark=4)
    config.schedule.coarse_steps = args.get(
        "coarse_steps", pick(mmd=30_000, market=22_000, demo=1_500, benchmark=600)
    )
    config.schedule.refiner_steps = args.get(
        "refiner_steps", pick(mmd=20_000, market=14_000, demo=700, benchmark=400)
    )

    config.optimizer = ml_collections.ConfigDict({"b1": 0.5, "b2": 0.999, "eps": 1e-8})
    config.optimizer.learning_rate = 4e-4 if demo else 2e-5

    config.data = ml_collections.ConfigDict({"view": "pairs"})
    default = pick(mmd="mmd_pairs/procedural_256", market="market1501/full", deepfashion="deepfashion/full")
    small = "unity_avatars/benchmark_128" if benchmark else "unity_avatars/procedural_128"
    config.data.name = args.get("dataset", small if demo else default)
    config.data.data_dir = ""  # TFDS's default.
    config.data.prepare = not published  # Build the dataset first if it is not there.
    config.data.train_split = "train"
    config.data.eval_split = "test" if published else "validation"  # People that training does not see.
    config.data.poses = "seen" if benchmark else "all"  # seen: a fifth is held out.
    config.data.part = args.get("part", "anime" if config.data.name.startswith("mmd_pairs/") else "")
    config.data.skeleton = "openpose_18" if config.data.part == "human" else config.skeleton  # The dataset's.
    config.data.sources = args.get("sources", 1)
    config.data.balance = "published" if published and "dataset" not in args else "characters"
    config.data.crop = "cover" if published else "figure"
    config.data.zoom = pick(mmd=1.0, demo=1.2, benchmark=1.0)
    config.data.flip = False  # Mirror half of the pairs.
    config.data.eval_seed = 0  # Of the list of pairs to evaluate.
    config.data.threads = 2 if demo else 8
    config.data.workers = 0
    config.data.prefetch = 8 if demo else 32

    config.eval = ml_collections.ConfigDict({"every": 300 if demo else 5_000, "samples": 8})
    config.eval.batch_size = 16
    config.eval.examples = 128 if demo else 1_000
    config.eval.update(dict(inception="", lpips="", lpips_linear=""))  # See anime_pt/judges.
    config.checkpoint = ml_collections.ConfigDict({"every": config.eval.every, "keep": 2})
    config.checkpoint.best_metric = "eval/ssim"
    config.checkpoint.best_mode = "max"
    config.log = ml_collections.ConfigDict({"every": 25 if demo else 100})
    config.mesh = ml_collections.ConfigDict({"data": -1, "spatial": 1, "fsdp_min_size": 0})
    return config
