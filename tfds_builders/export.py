"""Exports a built dataset for programs that do not read TFDS; see `exports` for the formats.

python -m tfds_builders.export unity_avatars/procedural_64 --to=coco --out=my_export
"""

from collections.abc import Sequence

from absl import flags

from anime_pt import command
from tfds_builders import exports

_TO = flags.DEFINE_enum("to", "coco", list(exports.FORMATS), "The format.")
_OUT = flags.DEFINE_string("out", "", "Folder to make.")
_SPLIT = flags.DEFINE_list("split", [], "Splits, such as train,test (default: all).")
_DATA_DIR = flags.DEFINE_string("data_dir", "", "Where datasets live (default: TFDS's own folder).")
_IMAGE = flags.DEFINE_string(
    "image", "", "Which pictures of a dataset with several, such as human_image (coco and patn)."
)
_PAIRS = flags.DEFINE_integer("pairs", 0, "How many pairs of each split patn writes (0: all there are).")
_SEED = flags.DEFINE_integer("seed", 0, "Of the choice of pairs.")


def _main(argv: Sequence[str]) -> None:
    if len(argv) != 2 or not _OUT.value:
        raise ValueError("name a dataset and a folder, e.g. unity_avatars/procedural_64 --out=my_export")
    options = (_SPLIT.value, _DATA_DIR.value, _IMAGE.value, _PAIRS.value, _SEED.value)
    exports.export(argv[1], _TO.value, _OUT.value, *options)
    print(f"{argv[1]} is in {_OUT.value}, as {_TO.value}")


if __name__ == "__main__":
    command.run(_main, arguments=True)
