"""Tests of deepfashion on figures drawn for it (dummy_data)."""

import contextlib
import io
import json
import pathlib
import shutil
import zipfile

import numpy as np
import PIL.Image
import pytest
import tensorflow_datasets as tfds

from anime_pt.pose import patn
from anime_pt.pose.skeletons import OPENPOSE_18
from tfds_builders import build, registry, testing
from tfds_builders.deepfashion import names
from tfds_builders.pose_transfer import pairs

_DUMMY = pathlib.Path(__file__).parent / "dummy_data"
_WRIST = OPENPOSE_18.index("right_wrist")
_SIDE = "fashionWOMENTees_Tanksid0000000101_2side.jpg"


def built(manual_dir, data_dir, config="full", changes=()):
    """The builder, and what was said."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), testing.written_here():
        builder = build.prepare(f"deepfashion/{config}", str(data_dir), str(manual_dir), changes=changes)
    return builder, [line for line in said.getvalue().splitlines() if line.startswith("warning")]


def examples(builder, split, **options):
    source = builder.as_data_source(split, **options)
    return [source[i] for i in range(len(source))]


def by_name(builder, split="train"):
    return {e["name"].decode(): e for e in examples(builder, split)}


def digests(builder):
    card = json.loads((pathlib.Path(builder.data_dir) / "data_card.json").read_text())
    return {split: of["sha256"] for split, of in card["splits"].items()}


@pytest.fixture
def manual(tmp_path):
    return pathlib.Path(shutil.copytree(_DUMMY, tmp_path / "手 manual"))


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    return built(_DUMMY, tmp_path_factory.mktemp("full"))


class DummyTest(testing.BuilderTestCase):
    SPLITS = {config: {"train": 6, "test": 3} for config in ("full", "crop_88")}
    MANUAL_DIR = _DUMMY

    def make(self, config, data_dir):
        return registry.make(f"deepfashion/{config}", data_dir)

    def build(self, config, name="data", pool=False):
        return super().build(config, name)


def test_one_picture_has_four_spellings():
    path = pathlib.PurePosixPath("/my/img/WOMEN/Tees_Tanks/id_00007334/03_4_full.jpg")
    key = "WOMEN/TeesTanks/00007334/03/4full"
    assert names.key_of_path(path, False) == key and names.key_of_path(path, True) is None
    for name in (
        "fashionWOMENTees_Tanksid0000733403_4full.jpg",
        "fasionWOMENTeesTanksid0000733403_4full.jpg",
        "fashionWOMENTees_Tanksid_0000733403_4_full.jpg",
    ):
        assert names.key(name) == names.key_of_path(pathlib.PurePosixPath("/train", name), False) == key
        assert names.character(name) == "WOMEN/TeesTanks/00007334/03"
    assert names.key("0002_c1s1_000451_03.jpg") is None
    for path in ("/img_highres/WOMEN/Tees_Tanks/id_00007334/03_4_full.jpg", "img_highres/WOMEN/a/b.jpg"):
        assert names.key_of_path(pathlib.PurePosixPath(path), False) is None


def test_full_pictures_are_the_archives_bytes(full):
    builder, _ = full
    for example in examples(builder, "train", decoders={"image": tfds.decode.SkipDecoding()}):
        gender, category, identity, outfit, view = names.key(example["name"].decode()).split("/")
        folder = _DUMMY / "img" / gender / category.replace("TeesTanks", "Tees_Tanks") / f"id_{identity}"
        assert example["image"] == (folder / f"{outfit}_{view[0]}_{view[1:]}.jpg").read_bytes()
        assert example["character"].decode() == f"{gender}/{category}/{identity}/{outfit}"


@pytest.mark.parametrize(("config", "scale"), [("full", 1), ("crop_176", 1), ("crop_88", 0.5)])
def test_joints_lie_on_what_is_drawn(config, scale, tmp_path):
    builder, _ = built(_DUMMY, tmp_path, config)
    found = by_name(builder) | by_name(builder, "test")
    assert len(found) == 9
    for example in found.values():
        for name, (x, y, seen) in zip(OPENPOSE_18.keypoints, example["keypoints"], strict=True):
            if seen and name.endswith(("wrist", "ankle", "knee")):
                assert (x / scale) % 1 == (y / scale) % 1 == 0.5
                red, green, _ = example["image"][int(y), int(x)].astype(int)
                assert (red > green + 30) if "left" in name else (green > red + 30), name
    # Drawn at column 20 of the whole picture, cut off in the others.
    wrist = found[_SIDE]["keypoints"][_WRIST]
    np.testing.assert_array_equal(wrist, (20.5, 128.5, 1) if config == "full" else (np.nan, np.nan, 0))


def test_crops_are_exact(full, tmp_path):
    whole, cut = by_name(full[0]), by_name(built(_DUMMY, tmp_path, "crop_176")[0])
    for name, example in cut.items():
        np.testing.assert_array_equal(example["image"], whole[name]["image"][:, 40:216])
        known = np.isfinite(example["keypoints"][:, 0])
        moved = whole[name]["keypoints"] - (40, 0, 0)
        np.testing.assert_array_equal(example["keypoints"][known], moved[known])
    other, _ = built(_DUMMY, tmp_path, "crop_176", ["height=192"])
    assert examples(other, "train")[0]["image"].shape == (192, 132, 3)


def test_highres_pictures_show_the_crop_alone(manual, full, tmp_path):
    whole = by_name(full[0])
    for path in sorted((manual / "img").rglob("*.jpg")):
        target = manual / "img_highres" / path.relative_to(manual / "img")
        target.parent.mkdir(parents=True, exist_ok=True)
        with PIL.Image.open(path) as image:
            image.crop((40, 0, 216, 256)).resize((264, 384), PIL.Image.Resampling.NEAREST).save(target)
    builder, _ = built(manual, tmp_path, "highres_352")
    for name, example in by_name(builder).items():
        assert example["image"].shape == (512, 352, 3)
        points, known = whole[name]["keypoints"], np.isfinite(example["keypoints"][:, 0])
        np.testing.assert_allclose(example["keypoints"][known, :2], 2 * (points[known, :2] - (40, 0)))
        smaller = np.asarray(
            PIL.Image.fromarray(example["image"]).resize((176, 256), PIL.Image.Resampling.BOX)
        )
        assert np.abs(smaller.astype(int) - whole[name]["image"][:, 40:216]).mean() < 2
    # The smaller ones beside them are still found.
    assert digests(built(manual, tmp_path)[0]) == digests(full[0])
    shutil.rmtree(manual / "img_highres")
    with pytest.raises(
        FileNotFoundError, match=r"put Img/img_highres.zip of the In-shop benchmark, unpacked"
    ):
        built(manual, tmp_path, "highres_176")


def test_pairs_wear_the_same_outfit(full):
    builder, warnings = full
    train = [e["name"].decode() for e in examples(builder, "train")]
    assert train == patn.read_names(_DUMMY / "train.lst")
    # The back view lacks a hip.
    assert pairs.pairs(builder.data_dir, "train") == [(0, 1), (1, 0), (3, 4), (4, 3)]
    assert sorted(pairs.pairs(builder.data_dir, "test")) == [
        (a, b) for a in range(3) for b in range(3) if a != b
    ]
    (warning,) = warnings
    assert warning.startswith("warning: train has 6 pictures where 48,674 are published; train has 4 pairs")
    assert "test has 6 pairs where 8,570 are published" in warning


def test_patns_files_of_the_crop_give_the_same_joints(manual, full, tmp_path):
    """Their columns are 40 less, pictures are spelled in PATN's way, and lists follow the colons directly."""
    for split in ("train", "test"):
        path = manual / f"fasion-annotation-{split}.csv"
        lines = ["name:keypoints_y:keypoints_x"]
        for line in path.read_text().splitlines()[1:]:
            name, y, x = line.split(":")
            x = [v if v == -1 else v - 40 for v in json.loads(x)]
            lines.append(
                f"{name.replace('fasion', 'fashion').replace('TeesTanks', 'Tees_Tanks')}:{y.strip()}:{x}"
            )
        path.unlink()
        (manual / f"fasion-resize-annotation-{split}.csv").write_text("\n".join(lines) + "\n")
    assert digests(built(manual, tmp_path)[0]) == digests(full[0])
    # With the others beside them they are not asked.
    shutil.copy(_DUMMY / "fasion-annotation-train.csv", manual)
    (manual / "fasion-resize-annotation-train.csv").write_text(
        "\n".join(
            [lines[0], *(f"{n}: {[9] * 18}: {[9] * 18}" for n in patn.read_names(manual / "train.lst"))]
        )
    )
    assert digests(built(manual, tmp_path / "both")[0]) == digests(full[0])


def test_pairs_of_files_are_found_in_both_spellings(manual, full, tmp_path):
    name = "WOMENTees_Tanksid0000000101_{}.jpg".format
    (manual / "fasion-resize-pairs-train.csv").write_text(
        f"from,to\nfashion{name('2side')},fashion{name('1front')}\n"
        f"fasion{name('1front').replace('_T', 'T')},fasion{name('3back').replace('_T', 'T')}\n"
    )
    builder, _ = built(manual, tmp_path)
    assert pairs.pairs(builder.data_dir, "train") == [(1, 0), (0, 2)]
    assert pairs.pairs(builder.data_dir, "test") == pairs.pairs(full[0].data_dir, "test")
    # Of two publications' files the one of this split counts.
    (manual / "fasion-pairs-train.csv").write_text(
        "from,to\nfasionMENShirtsPolosid0000000301_1front.jpg,fasionMENShirtsPolosid0000000301_2side.jpg\n"
    )
    again, _ = built(manual, tmp_path / "again")
    assert pairs.pairs(again.data_dir, "train") == [(1, 0), (0, 2)]
    (manual / "fasion-resize-pairs-train.csv").unlink()
    with pytest.raises(
        ValueError, match=r"2 of its pictures are not in split train \(fasionMENShirtsPolosid00"
    ):
        built(manual, tmp_path / "other")


def test_splits_of_the_files_of_joints(manual, tmp_path):
    for split in ("train", "test"):
        (manual / f"{split}.lst").unlink()
    with pytest.raises(FileNotFoundError, match=r"no train.lst below .*--set=split=annotations"):
        built(manual, tmp_path)
    builder, warnings = built(manual, tmp_path, changes=["split=annotations"])
    found = [e["name"].decode() for e in examples(builder, "test")]
    assert found == patn.read(manual / "fasion-annotation-test.csv").names
    assert "test has 6 pairs where 8,670 are published" in warnings[0] and "train" not in warnings[0]


def test_renamed_pictures_are_found(manual, full, tmp_path):
    for split in ("train", "test"):
        (manual / split).mkdir()
        for name in patn.read_names(manual / f"{split}.lst"):
            gender, _, identity, outfit, view = names.key(name).split("/")
            (path,) = (manual / "img" / gender).glob(f"*/id_{identity}/{outfit}_{view[0]}_{view[1:]}.jpg")
            path.rename(manual / split / name)
    assert digests(built(manual, tmp_path)[0]) == digests(full[0])


def _zipped(manual, name, locked):
    archive = manual / "Img" / name
    archive.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted((manual / "img").rglob("*.jpg")):
            file.write(path, path.relative_to(manual))
    if locked:  # The flag is all that a reader sees before it asks for the password.
        data = bytearray(archive.read_bytes())
        for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            place = data.find(mark)
            while place >= 0:
                data[place + offset] |= 1
                place = data.find(mark, place + 4)
        archive.write_bytes(data)
    shutil.rmtree(manual / "img")


def test_an_open_archive_is_read(manual, full, tmp_path):
    _zipped(manual, "img.zip", locked=False)
    assert digests(built(manual, tmp_path)[0]) == digests(full[0])


def test_a_locked_archive_is_to_be_unpacked(manual, full, tmp_path):
    _zipped(manual, "img.zip", locked=True)
    says = r"img\.zip is protected by a password: unpack it with the one that the dataset's authors gave you"
    with pytest.raises(ValueError, match=says):
        built(manual, tmp_path)
    assert not [p for p in tmp_path.rglob("*array_record*")]
    shutil.copytree(_DUMMY / "img", manual / "img")
    _zipped(manual, "open.zip", locked=False)
    assert digests(built(manual, tmp_path / "open")[0]) == digests(full[0])
    shutil.copytree(_DUMMY / "img", manual / "unpacked")
    (manual / "Img" / "open.zip").unlink()
    assert digests(built(manual, tmp_path / "unpacked")[0]) == digests(full[0])


def _rewritten(manual, file, change):
    (manual / file).write_text(change((manual / file).read_text()))


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (
            lambda m: [path.unlink() for path in m.glob("*.csv")],
            FileNotFoundError,
            r"no joints are below .*: put PATN's fasion-resize-annotation-\*\.csv there",
        ),
        (
            lambda m: (m / "fasion-annotation-test.csv").unlink(),
            ValueError,
            r"^3 of 9 listed pictures are in no annotation \(fashionMENShirts_Polosid0000000301_1front",
        ),
        (
            lambda m: _rewritten(m, "test.lst", lambda t: t + _SIDE),
            ValueError,
            "picture WOMEN/TeesTanks/00000001/01/2side is 2 times in the splits",
        ),
        (
            lambda m: (m / "more-annotation-train.csv").write_text(
                (m / "fasion-annotation-train.csv").read_text().replace("128", "129")
            ),
            ValueError,
            "has other joints in another file; leave one",
        ),
        (
            lambda m: shutil.copy(m / "test.lst", m / "the_test.lst"),
            FileNotFoundError,
            "2 test.lst below .*: put PATN's train.lst and test.lst there, once",
        ),
        (
            lambda m: shutil.rmtree(m / "img" / "WOMEN"),
            FileNotFoundError,
            r"^5 of 9 annotated pictures are not below .*fashionWOMENTees_Tanksid0000000101_1front.jpg, "
            r"fashionWOMENTees_Tanksid0000000101_2side.jpg, "
            r"fashionWOMENTees_Tanksid0000000101_3back.jpg, \.\.\.",
        ),
        (
            lambda m: PIL.Image.new("RGB", (176, 256)).save(next(m.rglob("01_4_full.jpg"))),
            ValueError,
            r"^1 of 9 pictures cannot be used \(fashionMENShirts_Polosid0000000301_4full.jpg is 176x256, "
            "not 256x256",
        ),
    ],
)
def test_bad_input_ends_with_one_line_and_leaves_nothing(change, error, says, manual, tmp_path):
    change(manual)
    with pytest.raises(error, match=says) as raised:
        built(manual, tmp_path / "data")
    assert "\n" not in str(raised.value)
    assert not [p for p in (tmp_path / "data").rglob("*") if p.is_file() and ".config" not in p.parts]


def test_partial_goes_on_without_a_split(manual, tmp_path):
    (manual / "fasion-annotation-test.csv").unlink()
    builder, warnings = built(manual, tmp_path, changes=["partial=true"])
    assert list(builder.info.splits) == ["train"] and len(examples(builder, "train")) == 6
    assert "3 of 9 listed pictures are in no annotation" in warnings[0]
    with pytest.raises(ValueError, match="no pairs of split 'test'; it has train"):
        pairs.pairs(builder.data_dir, "test")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (["split=mine"], "split must be one of lists, annotations, got 'mine'"),
        (["pictures=large"], "pictures must be one of img, img_highres"),
        (["left=200"], "left and width must be within 256 columns, got 200 and 176"),
        (["height=100"], r"make a whole width of 176 \* height / 256, got 100"),
        (["pictures=img_highres", "left=0"], "pictures of img_highres show left=40 and width=176"),
    ],
)
def test_bad_configs_are_told(changes, says):
    with pytest.raises(ValueError, match=says):
        registry.make("deepfashion/crop_176", changes=changes)
