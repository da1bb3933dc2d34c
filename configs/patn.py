"""PATN: a figure's picture carried into another pose.

    python -m anime_pt.main --config=configs/patn.py:vgg=vgg19-dcbb9e9d.pth --workdir=runs/patn
        Tan's setting: characters at 256x192 (height x width), 350 epochs of 500 batches of 8.
        Hardware: one accelerator. Time: Tan's took 64 hours on a P100. Number to expect: Tan gives none.
    python -m anime_pt.main --config=configs/patn.py:market,vgg=... --workdir=runs/patn_market
        The paper's on Market-1501, 87,500 iterations. Hardware: one accelerator. Time: its authors' took 20
        to 30 hours. Number to expect: SSIM 0.311 published, 0.27 when others trained it; not reproduced here.
    python -m anime_pt.main --config=configs/patn.py:deepfashion,vgg=... --workdir=runs/patn_deepfashion
        The paper's on DeepFashion, 400,400 iterations. Hardware: one accelerator. Time: the paper gives none.
        Number to expect: SSIM 0.773 published, of pictures with white borders; not reproduced here.
    python -m anime_pt.main --config=configs/patn.py:demo --workdir=runs/patn_demo
        With a copy path. Hardware: 2 CPU cores. Time: 11 minutes, with rendering. Number to expect: eval/ssim
        0.638 on new characters, a copy of the source 0.33; see docs/results.md, Pose transfer.
    python -m anime_pt.main --config=configs/patn.py:benchmark --workdir=runs/patn_benchmark
        At 128x96. Hardware: 2 CPU cores. Time: 20 minutes. Numbers: docs/benchmark.md; with `copy` SSIM 0.78.

Arguments after the colon, in any order: `mmd` (the same as none), `market`, `deepfashion`, `demo` or
`benchmark`; `vgg=...`, weights of VGG-19 for the perceptual loss (without, the package's own network);
`dataset=...`, with its `skeleton=openpose_18` and, of a dataset of pairs, its `part=human`; `generator=unet`;
`copy`, a path for pixels of the source; `sources=2`; `rgba`, to make masks, too; `weights=..._net_netG.pth`,
to start from the public code's; `adversarial=product`, the paper's text; `epochs=...`, of which two sevenths
are of decline.
"""

import ml_collections

from anime_pt import arguments

FORMS = ("mmd", "market", "deepfashion", "demo", "benchmark")


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """The experiment, or a variant; raises ValueError on arguments that are not listed above."""
    kinds = dict(vgg=str, dataset=str, skeleton=str, part=str, generator=str, sources=int, weights=str)
    args = arguments.parse(arg, (*FORMS, "rgba", "copy"), adversarial=str, epochs=int, **kinds)
    asked = [form for form in FORMS if args[form]]
    if len(asked) > 1:
        raise ValueError(f"config arguments {' and '.join(asked)}: use one of them")
    form = asked[0] if asked else "mmd"
    market, benchmark, published = form == "market", form == "benchmark", form in ("market", "deepfashion")
    demo = form in ("demo", "benchmark")  # Both are small.
    pick = lambda **of: of.get(form, of["demo"] if demo and "demo" in of else of["mmd"])

    config = ml_collections.ConfigDict()
    config.recipe = "patn"
    config.seed = 0
    config.skeleton = args.get("skeleton", "openpose_18" if published else "avatar_20")
    config.init = ml_collections.ConfigDict({"weights": args.get("weights", "")})

    config.model = ml_collections.ConfigDict({"generator": args.get("generator", "patn")})  # Or unet.
    # A path for pixels of the source beside painted ones. PATN alone.
    config.model.copy = args["copy"] or (form == "demo" and config.model.generator == "patn")
    config.model.rgba = args["rgba"]  # A fourth channel with the figure's mask, in and out.
    config.model.norm = "batch" if market else "instance"
    config.model.ngf = 16 if demo else 64  # Channels of the first layers.
    config.model.ndf = 16 if demo else 64
    config.model.blocks = 4 if demo else 9  # Of PATN.
    config.model.discriminator_blocks = 1 if demo else 3
    config.model.dropout = 0.0 if demo else 0.5
    config.model.fusion = "mean"  # Of several sources; or attention. PATN alone.
    config.model.levels = 4 if demo else 5  # Of the U-Net.

    config.pose_map = ml_collections.ConfigDict({"kind": "gaussian"})  # Or impulse: single pixels.
    config.pose_map.sigma = pick(mmd=6.0, demo=2.5, benchmark=3.0)  # Pixels.

    config.loss = ml_collections.ConfigDict()
    config.loss.adversarial = args.get("adversarial", "cross_entropy" if market else "least_squares")
    config.loss.lambda_GAN = pick(mmd=5.0, demo=0.5)
    config.loss.lambda_A = pick(mmd=1.0, market=10.0, demo=10.0)
    config.loss.lambda_B = pick(mmd=1.0, market=10.0, demo=0.0)
    config.loss.vgg = args.get("vgg", "")
    # Pictures that a discriminator's fakes are drawn from; 0: the newest ones.
    config.loss.pool_size = 50 if market and config.loss.adversarial != "product" else 0
    config.discriminator_steps = 1  # In each iteration.
    config.ema_decay = 0.995 if demo else 0.0  # 0: none.

    config.schedule = ml_collections.ConfigDict()
    small = dict(market=(128, 64), demo=(96, 64), benchmark=(128, 96))
    config.schedule.resolution = pick(mmd=(256, 192), deepfashion=(256, 176), **small)
    config.schedule.batch_size = pick(mmd=8, market=32, deepfashion=7, benchmark=4)
    config.schedule.pairs_per_epoch = pick(mmd=4_000, demo=80, benchmark=400)  # The last epoch's rate is 0.
    epochs = args.get("epochs", pick(mmd=350, market=700, deepfashion=700, demo=45, benchmark=8))
    config.schedule.decay_epochs = 2 * epochs // 7
    config.schedule.keep_epochs = epochs - config.schedule.decay_epochs

    config.optimizer = ml_collections.ConfigDict({"b1": 0.5, "b2": 0.999, "eps": 1e-8})
    config.optimizer.learning_rate = 1e-3 if demo else 2e-4

    config.data = ml_collections.ConfigDict({"view": "pairs"})
    photographs = dict(market="market1501/full", deepfashion="deepfashion/crop_176")
    small = dict(demo="unity_avatars/procedural_128", benchmark="unity_avatars/benchmark_128")
    config.data.name = args.get("dataset", pick(mmd="mmd_pairs/procedural_256", **photographs, **small))
    config.data.update({"data_dir": "", "train_split": "train"})  # TFDS's default folder.
    config.data.prepare = not published  # Build the dataset first if it is not there.
    config.data.eval_split = "test" if published else "validation"  # People that training does not see.
    config.data.poses = "seen" if benchmark else "all"  # seen: a fifth is held out.
    config.data.part = args.get("part", "anime" if config.data.name.startswith("mmd_pairs/") else "")
    config.data.skeleton = "openpose_18" if config.data.part == "human" else config.skeleton  # The dataset's.
    config.data.sources = args.get("sources", 1)
    config.data.balance = "published" if published and "dataset" not in args else "characters"
    config.data.crop = "cover" if published else "figure"
    config.data.zoom = pick(mmd=1.0, demo=1.2, benchmark=1.0)
    config.data.flip = False  # Mirror half of the pairs.
    config.data.flip_bug = False  # True: without exchanging left and right, as in the public code.
    config.data.eval_seed = 0  # Of the list of pairs to evaluate.
    config.data.threads = 2 if demo else 8
    config.data.update({"workers": 0, "prefetch": 8 if demo else 32})

    every = -(-config.schedule.pairs_per_epoch // config.schedule.batch_size)
    config.eval = ml_collections.ConfigDict({"every": every * pick(mmd=10, demo=30, benchmark=4)})
    config.eval.update({"samples": 8, "batch_size": 16})
    config.eval.examples = 128 if demo else 1_000
    config.eval.update(dict(inception="", lpips="", lpips_linear=""))  # See anime_pt/judges.
    config.checkpoint = ml_collections.ConfigDict({"every": config.eval.every, "keep": 2})
    config.checkpoint.update({"best_metric": "eval/ssim", "best_mode": "max"})
    config.log = ml_collections.ConfigDict({"every": 25 if demo else 100})
    config.mesh = ml_collections.ConfigDict({"data": -1, "spatial": 1, "fsdp_min_size": 0})
    return config
