"""PSGAN on rendered characters: the paper's schedule, and a demo of minutes.

    python -m anime_pt.main --config=configs/psgan.py --workdir=runs/psgan
        Hardware: one accelerator; on eight, add --config.mesh.data=1 --config.mesh.spatial=8 (batches of 12,
        5 and 2 do not divide over eight devices, image rows do).
        Time: the paper gives none; ProGAN needed 4 days on 8 V100. Number to expect: none is published.
    python -m anime_pt.main --config=configs/psgan.py:demo --workdir=runs/psgan_demo
        Hardware: 2 CPU cores.
        Time: see README.md. Number to expect: see README.md.

Arguments after the colon, in any order: `demo`; `unconditional` (ProGAN: no poses); `resolution=256`;
`images=600_000` (per phase); `dataset=unity_avatars/rigged_64`.

Where the demo departs from the paper, because it sees 50 thousand images instead of 10 million: it starts at
16 pixels, with narrow networks and up to ten times the learning rate; joints are Gaussian bumps; and half of
the discriminator's fakes (a tenth at 64 pixels) are real images of other poses. Without the last two, poses
are not followed so early.
"""

import ml_collections

from anime_pt import arguments

RESOLUTIONS = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
# Hamada et al. 2018, section 4: minibatches and Adam's rates.
BATCH_SIZES = dict(zip(RESOLUTIONS, (16, 16, 16, 16, 16, 16, 12, 5, 2), strict=True))
LEARNING_RATES = dict(zip(RESOLUTIONS, (1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 8e-4, 6e-4, 2e-4, 1e-4), strict=True))


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """The paper's experiment, or a variant; raises ValueError on arguments that are not listed above."""
    args = arguments.parse(arg, ("demo", "unconditional"), resolution=int, images=int, dataset=str)
    demo = args["demo"]
    resolution = args.get("resolution", 64 if demo else 1024)
    images = args.get("images", 12_000 if demo else 600_000)
    if resolution not in RESOLUTIONS or images < 1:
        raise ValueError(
            f"resolution={resolution}, images={images}: use a power of two, 4 to 1024, and images > 0"
        )
    # Datasets are built at 64 pixels and more; the pipeline makes them smaller.
    paper_set = "procedural_1024_paper" if resolution == 1024 else f"procedural_{max(64, resolution)}"

    config = ml_collections.ConfigDict()
    config.recipe = "psgan"
    config.seed = 0
    config.skeleton = "avatar_20"

    first = min(16, resolution) if demo else 4
    sizes = [r for r in RESOLUTIONS if first <= r <= resolution]
    fade = images // 3 if demo else images
    config.schedule = ml_collections.ConfigDict()
    config.schedule.resolutions = tuple(sizes)
    config.schedule.batch_sizes = tuple(16 if demo else BATCH_SIZES[r] for r in sizes)
    rate = 2e-3 if args["unconditional"] else 1e-2  # Of the demo; ProGAN falls apart at the higher one.
    config.schedule.learning_rates = tuple(
        (rate if r < 64 else rate / 2) if demo else LEARNING_RATES[r] for r in sizes
    )
    config.schedule.fade_images = (0, *[fade] * (len(sizes) - 1))
    config.schedule.stable_images = (*[images] * (len(sizes) - 1), images * 3 // 2 if demo else images)
    # Share of real images with wrong poses among the discriminator's fakes; not in the paper.
    mismatch = demo and not args["unconditional"]
    config.schedule.mismatch_weights = tuple((0.5 if r < 64 else 0.1) if mismatch else 0.0 for r in sizes)

    config.model = ml_collections.ConfigDict()
    config.model.resolution = resolution
    config.model.latent_size = 64 if demo else 512
    config.model.pose_channels = 0 if args["unconditional"] else 20
    config.model.fmap_base = 256 if demo else 8192
    config.model.fmap_max = 64 if demo else 512
    config.model.stddev_group_size = 0  # 0: the whole minibatch.

    config.pose_map = ml_collections.ConfigDict()
    config.pose_map.kind = "gaussian" if demo else "pixel"
    config.pose_map.sigma = resolution / 16  # Of "gaussian", in pixels of the last resolution.
    config.pose_map.visible_only = False  # True for sets where visibility 0 means "not annotated".

    config.optimizer = ml_collections.ConfigDict({"b1": 0.0, "b2": 0.99, "eps": 1e-8})
    config.gradient_penalty_weight = 10.0
    config.drift = 0.001
    config.ema_decay = 0.995 if demo else 0.999

    config.data = ml_collections.ConfigDict()
    config.data.name = args.get("dataset", f"unity_avatars/{'procedural_64' if demo else paper_set}")
    config.data.data_dir = ""  # TFDS's default.
    config.data.prepare = demo  # Build the dataset first if it is not there.
    config.data.train_split = "train"
    config.data.eval_split = "validation"  # Characters that training does not see.
    config.data.poses = "all"  # Or seen: hold a fifth out, see data/held_out.py.
    config.data.threads = 2 if demo else 16
    config.data.workers = 0  # Processes that make batches, in place of the threads of this one.
    config.data.prefetch = 16 if demo else 128

    config.eval = ml_collections.ConfigDict()
    config.eval.every = 500 if demo else 5_000
    config.eval.batch_size = 32
    config.eval.examples = 256 if demo else 0
    config.eval.samples = 8
    config.foreground_threshold = 0.2  # Distance from white, in [0, 2], from which a pixel is foreground.
    config.sample_latents = 6

    config.checkpoint = ml_collections.ConfigDict()
    config.checkpoint.every = 500 if demo else 5_000
    config.checkpoint.keep = 3
    config.checkpoint.best_metric = (
        "eval/iou_margin"  # A picture that is all foreground has an eval/iou, too.
    )
    config.checkpoint.best_mode = "max"
    config.log = ml_collections.ConfigDict({"every": 50 if demo else 100})
    config.mesh = ml_collections.ConfigDict({"data": -1, "spatial": 1, "fsdp_min_size": 0})
    return config
