"""GCCPM on anime figures from three starts: the rows of Tan's Table 1.

    python -m anime_pt.main --config=configs/gccpm.py:init=scratch --workdir=runs/gccpm
    python -m anime_pt.main --config=configs/gccpm.py:init=mobilenet,weights=mobilenet.pth.tar --workdir=...
    python -m anime_pt.main --config=configs/gccpm.py:init=human,weights=gccpm_lip.pth.tar --workdir=...
        Hardware: one accelerator. Time: the paper gives none. Number to expect: Tan's Table 1, in 100 - PCKh:
        17.65 from MobileNet, 26 to 32 from people; not reproduced here, for want of its drawings.
    python -m anime_pt.main --config=configs/gccpm.py:demo --workdir=runs/gccpm_demo
        Hardware: 2 CPU cores. Time: ten minutes. Number to expect: PDJ 0.31, from people 0.41.

Arguments after the colon, in any order: `demo`; `init=...`, `weights=...` (or a file of `anime_pt.weights`);
`stages=1`, refinement stages; `dataset=anime_keypoints/drawings_augmented`, `skeleton=anime_drawings_21`, its
joints; `part=human`, which figure of a dataset of pairs; `style=...`, as for the student; `steps=...`.

The demo is GCCPM with one refinement stage on small figures that are cut out and restyled as the student's:
whole pictures at full size take hours for a thousand steps on two cores. Ten times the rate makes up for
its few steps.
"""

import ml_collections

from anime_pt import arguments

HEADED = ("avatar_20", "lip_16", "anime_drawings_21", "anime_drawings_25")


def get_config(arg: str = "") -> ml_collections.ConfigDict:
    """The experiment, or a variant; raises ValueError on arguments that are not listed above."""
    kinds = dict(init=str, weights=str, stages=int, dataset=str, skeleton=str, style=str, steps=int, part=str)
    args = arguments.parse(arg, ("demo",), **kinds)
    demo = args["demo"]

    config = ml_collections.ConfigDict()
    config.recipe = "gccpm"
    config.seed = 0

    # The drawings' own joints, or those of rendered characters.
    config.skeleton = args.get("skeleton", "avatar_20")
    config.init = ml_collections.ConfigDict()
    config.init.start = args.get("init", "scratch")  # Or mobilenet, or human.
    config.init.weights = args.get("weights", "")

    config.model = ml_collections.ConfigDict({"num_channels": 128, "cpm_channels": 256})
    config.model.refinement_stages = args.get("stages", 1 if demo else 5)
    config.target_sigma = 7.0  # Pixels.
    config.visible_only = False
    config.loss = "sum"  # The code's; "per_map" is Tan's equation 12.

    config.schedule = ml_collections.ConfigDict()
    config.schedule.resolution = (128, 96) if demo else (256, 256)
    config.schedule.batch_size = 16 if demo else 32
    epoch = 368  # Of Tan's 11,790 pictures; the code evaluates after each.
    config.schedule.steps = args.get("steps", 300 if demo else 100 * epoch)

    config.optimizer = ml_collections.ConfigDict()
    config.optimizer.update({"learning_rate": 4e-4 if demo else 4e-5, "weight_decay": 5e-4})
    # The code's, on 100 - PCKh of a thousand pictures.
    config.plateau = ml_collections.ConfigDict({"factor": 0.1, "patience": 5, "threshold": 1e-2})

    config.data = ml_collections.ConfigDict()
    config.data.name = args.get("dataset", "unity_avatars/procedural_256_styled")
    config.data.data_dir = ""  # TFDS's default.
    config.data.prepare = True  # Build the dataset first if it is not there.
    config.data.train_split = "train"
    config.data.eval_split = "validation"
    config.data.view = "figure" if demo else "gccpm"
    config.data.part = args.get("part", "")
    config.data.skeleton = "openpose_18" if config.data.part == "human" else config.skeleton  # The dataset's.
    config.data.permutation_bug = False  # True: double channels where the code means to permute them.
    config.data.eval_style = args.get("style", "")  # For the view "figure".
    config.data.threads = 2
    config.data.workers = 0
    config.data.prefetch = 8

    config.eval = ml_collections.ConfigDict({"every": 300 if demo else epoch, "batch_size": 32, "samples": 8})
    config.eval.flip_test = False  # True: look at the mirror image, too.
    config.eval.examples = 256 if demo else 1_000
    config.checkpoint = ml_collections.ConfigDict({"every": 300 if demo else epoch, "keep": 2})
    # LIP's PCKh is normalised by neck and head, which the joints of COCO and OpenPose lack.
    has_head = config.data.part != "human" and config.skeleton in HEADED
    config.plateau.metric = "eval/pckh_lip" if has_head else "eval/pdj"
    config.checkpoint.best_metric = config.plateau.metric
    config.checkpoint.best_mode = "max"
    config.log = ml_collections.ConfigDict({"every": 20 if demo else 50})
    config.mesh = ml_collections.ConfigDict({"data": -1, "spatial": 1, "fsdp_min_size": 0})
    return config
