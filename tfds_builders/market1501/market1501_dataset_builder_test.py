"""Tests of market1501 on figures drawn for it (dummy_data), and with the published annotations."""

import contextlib
import io
import json
import os
import pathlib
import pickle
import shutil
import zipfile

import numpy as np
import PIL.Image
import pytest
import tensorflow_datasets as tfds

from anime_pt.pose import patn
from anime_pt.pose.skeletons import OPENPOSE_18
from tfds_builders import build, exports, registry, testing
from tfds_builders.pose_transfer import pairs

_DUMMY = pathlib.Path(__file__).parent / "dummy_data"
_FOLDER = "Market-1501-v15.09.15"
_BESIDE = pathlib.Path(__file__).resolve().parents[3] / "shared" / "assets"
_ASSETS = pathlib.Path(os.environ.get("ANIME_PT_ASSETS", _BESIDE)) / "pose_transfer_csv" / "posegan_csv"


def built(manual_dir, data_dir, changes=()):
    """The builder, and what was said."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), testing.written_here():
        builder = build.prepare("market1501/full", str(data_dir), str(manual_dir), changes=changes)
    warnings = [line for line in said.getvalue().splitlines() if line.startswith("warning")]
    return builder, warnings


def examples(builder, split, **options):
    source = builder.as_data_source(split, **options)
    return [source[i] for i in range(len(source))]


@pytest.fixture
def manual(tmp_path):
    return pathlib.Path(shutil.copytree(_DUMMY, tmp_path / "手 manual"))


class DummyTest(testing.BuilderTestCase):
    SPLITS = {"full": {"train": 5, "test": 5}}
    MANUAL_DIR = _DUMMY

    def make(self, config, data_dir):
        return registry.make(f"market1501/{config}", data_dir)

    def build(self, config, name="data", pool=False):
        return super().build(config, name)


def test_pictures_are_the_archives_bytes_and_nobody_is_left_out(manual, tmp_path):
    builder, _ = built(manual, tmp_path / "data")
    skip = {"image": tfds.decode.SkipDecoding()}
    for split in ("train", "test"):
        for example in examples(builder, split, decoders=skip):
            name = example["name"].decode()
            file = manual / _FOLDER / f"bounding_box_{split}" / name
            assert example["image"] == file.read_bytes()
            assert example["character"].decode() == name[:4]
    assert {e["character"] for e in examples(builder, "test")} == {b"0001", b"0003"}


def test_joints_lie_on_what_is_drawn(manual, tmp_path):
    builder, _ = built(manual, tmp_path / "data")
    for example in examples(builder, "train"):
        for name, (x, y, seen) in zip(OPENPOSE_18.keypoints, example["keypoints"], strict=True):
            if not seen:
                assert np.isnan((x, y)).all() and name == "left_hip"
            elif "wrist" in name or "ankle" in name:
                assert x % 1 == y % 1 == 0.5
                red, green, _ = example["image"][int(y), int(x)].astype(int)
                assert (red > green + 60) if "left" in name else (green > red + 60), name


def test_pairs_by_the_rule(manual, tmp_path):
    builder, _ = built(manual, tmp_path / "data")
    names = [e["name"].decode() for e in examples(builder, "train")]
    found = [(names[a], names[b]) for a, b in pairs.pairs(builder.data_dir, "train")]
    first, second = "0002_c1s1_000451_03.jpg", "0002_c2s1_000301_01.jpg"
    third, fourth = "0007_c3s3_077419_03.jpg", "0007_c2s3_070952_01.jpg"
    # The third picture of 0002 lacks a hip.
    assert found == [(first, second), (second, first), (third, fourth), (fourth, third)]
    test = examples(builder, "test")
    found = pairs.pairs(builder.data_dir, "test")
    assert len(set(found)) == 8 and all(test[a]["character"] == test[b]["character"] for a, b in found)
    smaller, _ = built(manual, tmp_path / "smaller", ["trunk=true"])
    assert smaller.info.splits["train"].num_examples == 4
    assert len(pairs.pairs(smaller.data_dir, "train")) == 4


def test_pairs_of_a_file_keep_its_order(manual, tmp_path):
    listed = "from,to\n0003_c4s6_015641_04.jpg,0003_c1s6_015996_02.jpg\n"
    listed += "0001_c1s1_001051_00.jpg,0001_c6s1_009601_02.jpg\n" * 2
    (manual / "market-pairs-test.csv").write_text(listed)
    builder, _ = built(manual, tmp_path / "data")
    names = [e["name"].decode() for e in examples(builder, "test")]
    found = [",".join((names[a], names[b])) for a, b in pairs.pairs(builder.data_dir, "test")]
    assert found == listed.split()[1:]
    document = json.loads((pathlib.Path(builder.data_dir) / "pairs.json").read_text())
    assert document["splits"]["test"]["file"] == "market-pairs-test.csv"
    assert document["splits"]["train"]["file"] == ""
    card = json.loads((pathlib.Path(builder.data_dir) / "data_card.json").read_text())
    assert "market-pairs-test.csv" in [s["name"] for s in card["sources"]]


def test_the_archive_is_read_as_it_is(manual, tmp_path):
    unpacked, _ = built(manual, tmp_path / "unpacked")
    with zipfile.ZipFile(manual / f"{_FOLDER}.zip", "w") as archive:
        for path in sorted((manual / _FOLDER).rglob("*.jpg")):
            archive.write(path, path.relative_to(manual))
        archive.writestr("__MACOSX/bounding_box_train/._0002_c1s1_000451_03.jpg", b"no picture")
        archive.writestr(f"{_FOLDER}/gt_bbox/0002_c1s1_000451_03.jpg", b"another folder")
    shutil.rmtree(manual / _FOLDER)
    packed, _ = built(manual, tmp_path / "packed")
    cards = [
        json.loads((pathlib.Path(b.data_dir) / "data_card.json").read_text()) for b in (unpacked, packed)
    ]
    assert cards[0]["splits"] == cards[1]["splits"]
    assert f"{_FOLDER}.zip" in [s["name"] for s in cards[1]["sources"]]
    assert "research" in cards[1]["sources"][0]["terms"]["fields"]["pictures"]


def test_examples_pickle(manual):
    shards = registry.make("market1501/full")._shards(manual)
    again = pickle.loads(pickle.dumps(shards["train"][0]))
    assert repr(again) == repr(shards["train"][0])
    written = [key for key, _ in again.examples()]
    assert len(written) == again.count == 5 and written[0] == "0002_c1s1_000451_03.jpg"


def test_exported_and_read_again_it_is_the_same(manual, tmp_path):
    builder, _ = built(manual, tmp_path / "data")
    exports.export("market1501/full", "patn", tmp_path / "out", data_dir=str(tmp_path / "data"))
    found = patn.read(tmp_path / "out" / "annotation-train.csv", (128, 64))
    for name, points, example in zip(found.names, found.keypoints, examples(builder, "train"), strict=True):
        np.testing.assert_array_equal(points, example["keypoints"])
        assert (tmp_path / "out" / "train" / name).read_bytes().startswith(b"\xff\xd8") and ".jpg" in name
    assert len(patn.read_pairs(tmp_path / "out" / "pairs-train.csv")) == 4


def _annotations(manual, change, split="train"):
    path = manual / f"market-annotation-{split}.csv"
    path.write_text(change(path.read_text()))


def _picture(manual, name, size):
    path = next((manual / _FOLDER).rglob(name))
    PIL.Image.new("RGB", size).save(path)


def _delete(manual, names):
    for name in names:
        next((manual / _FOLDER).rglob(name)).unlink()


_FOUR = ["0001_c1s1_001051_00.jpg", *(f"0007_c{c}.jpg" for c in ("3s3_077419_03", "2s3_070952_01"))]


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (
            lambda m: _annotations(
                m, lambda t: t.replace("keypoints_y:keypoints_x", "keypoints_x:keypoints_y")
            ),
            ValueError,
            "market-annotation-train.csv: its columns are name:keypoints_x:keypoints_y, but",
        ),
        (
            lambda m: _annotations(
                m,
                lambda t: "\n".join(
                    [t.split("\n")[0]]
                    + [":".join(r.split(":")[i] for i in (0, 2, 1)) for r in t.split("\n")[1:-1]]
                ),
            ),
            ValueError,
            "x seems to stand before y: exchange the columns",
        ),
        (
            lambda m: _annotations(m, lambda t: t.replace(":", ";"), "test"),
            ValueError,
            "columns are parted by ';'; they must be by ':'",
        ),
        (
            lambda m: _annotations(m, lambda t: t.replace("[17, ", "[")),
            ValueError,
            "line 2: keypoints_y has 17 numbers, not 18",
        ),
        (
            lambda m: _annotations(m, lambda t: t.replace("[17, ", "[170, ")),
            ValueError,
            "line 2: nose is at 33, 170, outside of a picture of 64x128",
        ),
        (
            lambda m: _annotations(m, lambda t: t.replace("0007_c2s3_070952_01", "me")),
            ValueError,
            "'me.jpg' is no name of a picture of market1501",
        ),
        (
            lambda m: (m / "market-annotation-test.csv").unlink(),
            FileNotFoundError,
            "joints of split test are not below .*: put market-annotation-test.csv",
        ),
        (
            lambda m: shutil.copy(m / "market-annotation-test.csv", m / "test-annotation.csv"),
            ValueError,
            "are of one split: leave one",
        ),
        (
            lambda m: _annotations(
                m,
                lambda t: t.replace("0001", "0002").replace("0002_c1s1_001051_00", "0002_c1s1_000451_03"),
                "test",
            ),
            ValueError,
            "picture 0002_c1s1_000451_03.jpg is 2 times in the splits",
        ),
        (
            lambda m: _delete(m, [*_FOUR, "0003_c1s6_015996_02.jpg"]),
            FileNotFoundError,
            r"^4 of 10 annotated pictures are not below .* \(0007_c3s3_077419_03.jpg, "
            r"0007_c2s3_070952_01.jpg, 0001_c1s1_001051_00.jpg, \.\.\.\): put Market-1501-v15.09.15.zip, "
            r".*--set=partial=true",
        ),
        (
            lambda m: shutil.rmtree(m / _FOLDER),
            FileNotFoundError,
            "none of the 10 annotated pictures is below .*: put Market-1501-v15.09.15.zip",
        ),
        (
            lambda m: _picture(m, "0007_c3s3_077419_03.jpg", (128, 256)),
            ValueError,
            r"^1 of 10 pictures cannot be used \(0007_c3s3_077419_03.jpg is 128x256, not 64x128\)",
        ),
        (
            lambda m: next(m.rglob("0007_c3s3_077419_03.jpg")).write_bytes(b"\xff\xd8 torn"),
            ValueError,
            r"0007_c3s3_077419_03.jpg is unreadable: cannot identify",
        ),
        (
            lambda m: (m / "market-pairs-test.csv").write_text(
                "from,to\n0002_c1s1_000451_03.jpg,0001_c1s1_001051_00.jpg\n"
            ),
            ValueError,
            r"1 of its pictures are not in split test \(0002_c1s1_000451_03.jpg\): it is of another split",
        ),
        (
            lambda m: (m / f"{_FOLDER}.zip").write_bytes(b"PK\x03\x04 torn"),
            ValueError,
            "is no whole ZIP archive .*: fetch it again",
        ),
    ],
)
def test_bad_input_ends_with_one_line_and_leaves_nothing(change, error, says, manual, tmp_path):
    change(manual)
    with pytest.raises(error, match=says) as raised:
        built(manual, tmp_path / "data")
    assert "\n" not in str(raised.value)
    assert not [p for p in (tmp_path / "data").rglob("*") if p.is_file() and ".config" not in p.parts]


def test_partial_leaves_out_and_says_so(manual, tmp_path):
    _delete(manual, ["0007_c3s3_077419_03.jpg"])
    _picture(manual, "0001_c1s1_001051_00.jpg", (64, 64))
    (manual / "market-pairs-test.csv").write_text(
        "from,to\n0003_c4s6_015641_04.jpg,0003_c1s6_015996_02.jpg\n"
        "0001_c1s1_001051_00.jpg,0001_c6s1_009601_02.jpg\n"
    )
    builder, warnings = built(manual, tmp_path / "data", ["partial=true"])
    assert {s: i.num_examples for s, i in builder.info.splits.items()} == {"train": 4, "test": 4}
    assert len(pairs.pairs(builder.data_dir, "train")) == 2
    test = [e["name"].decode() for e in examples(builder, "test")]
    ((a, b),) = pairs.pairs(builder.data_dir, "test")
    assert (test[a], test[b]) == ("0003_c4s6_015641_04.jpg", "0003_c1s6_015996_02.jpg")
    absent, wrong, lost, counts = warnings
    assert (
        "1 of 10 annotated pictures are not below" in absent
        and "(0007_c3s3_077419_03.jpg); they are" in absent
    )
    assert "0001_c1s1_001051_00.jpg is 64x64, not 64x128" in wrong
    assert "1 of 2 pairs of" in lost and "market-pairs-test.csv" in lost
    assert "train has 5 pictures where 12,936 are published; train has 2 pairs where 263,632" in counts


@pytest.mark.slow
@pytest.mark.skipif(not _ASSETS.is_dir(), reason=f"no published annotations in {_ASSETS}")
def test_with_the_published_annotations_all_counts_are_as_published(tmp_path, capfd):
    manual = tmp_path / "manual"
    manual.mkdir()
    picture = next((_DUMMY / _FOLDER).rglob("*.jpg")).read_bytes()
    with zipfile.ZipFile(manual / f"{_FOLDER}.zip", "w") as archive:
        for split in ("train", "test"):
            file = f"market-annotation-{split}.csv"
            shutil.copy(_ASSETS / file, manual)
            for name in patn.read(manual / file).names:
                archive.writestr(f"{_FOLDER}/bounding_box_{split}/{name}", picture)
    builder = build.prepare("market1501/full", str(tmp_path), str(manual), processes=2)
    assert "warning" not in capfd.readouterr().err
    assert {s: i.num_examples for s, i in builder.info.splits.items()} == {"train": 12_936, "test": 13_115}
    assert len(pairs.pairs(builder.data_dir, "train")) == 263_632
    names = [
        e["name"].decode() for e in examples(builder, "test", decoders={"image": tfds.decode.SkipDecoding()})
    ]
    found = [(names[a], names[b]) for a, b in pairs.pairs(builder.data_dir, "test")]
    assert found == patn.read_pairs(_ASSETS / "market-pairs-test.csv")
