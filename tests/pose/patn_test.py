"""Files of PATN and pose-gan: made up ones, right and wrong, and the published ones."""

import os
import pathlib

import numpy as np
import pytest

from anime_pt.pose import formats, patn
from anime_pt.pose.sequences import PoseFileError
from anime_pt.pose.skeletons import COCO_17, OPENPOSE_18

_BESIDE = pathlib.Path(__file__).resolve().parents[3] / "shared" / "assets"
_ASSETS = pathlib.Path(os.environ.get("ANIME_PT_ASSETS", _BESIDE)) / "pose_transfer_csv"
_HEAD = "name:keypoints_y:keypoints_x"
published = pytest.mark.skipif(not _ASSETS.is_dir(), reason=f"no published annotations in {_ASSETS}")


def row(name="a.jpg", y=None, x=None):
    """Joint i at y = 2 i, x = i."""
    return f"{name}: {y or [2 * i for i in range(18)]}: {x or list(range(18))}"


def write(folder, *lines):
    path = folder / "market-annotation-train.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_y_is_first_centres_are_at_half_and_minus_one_is_missing(tmp_path):
    y, x = [2 * i for i in range(18)], list(range(18))
    y[3] = x[3] = -1
    found = patn.read(write(tmp_path, _HEAD, row(y=y, x=x), "", row("b.jpg")), (128, 64))
    assert found.names == ["a.jpg", "b.jpg"] and found.keypoints.dtype == np.float32
    wrist, elbow = OPENPOSE_18.index("right_wrist"), OPENPOSE_18.index("right_elbow")
    np.testing.assert_array_equal(found.keypoints[0, wrist], (4.5, 8.5, 1))
    np.testing.assert_array_equal(found.keypoints[0, elbow], (np.nan, np.nan, 0))
    np.testing.assert_array_equal(found.keypoints[1, elbow], (3.5, 6.5, 1))
    # In these places the public code names the left ones.
    for place, name in ((14, "right_eye"), (15, "left_eye"), (16, "right_ear"), (17, "left_ear")):
        np.testing.assert_array_equal(
            found.keypoints[1, OPENPOSE_18.index(name)], (place + 0.5, 2 * place + 0.5, 1)
        )


def test_crops_are_moved_back(tmp_path):
    y, x = list(range(5, 23)), [10] * 18
    x[0], x[1], x[2] = -30, -1, -1  # Left of the crop; one column left of it; missing.
    y[2] = -1
    found = patn.read(write(tmp_path, _HEAD, row(y=y, x=x)), (256, 256), left=40).keypoints[0]
    np.testing.assert_array_equal(found[:4, 0], (10.5, 39.5, np.nan, 50.5))
    np.testing.assert_array_equal(found[:4, 2], (1, 1, 0, 1))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["name:keypoints_x:keypoints_y", row()], "keypoints_y:keypoints_x: exchange them"),
        (["name,keypoints_y,keypoints_x", row()], "parted by ','; they must be by ':'"),
        (["name;keypoints_y;keypoints_x", row()], "parted by ';'; they must be by ':'"),
        ([row()], r"must start with the line name:keypoints_y:keypoints_x, not 'a\.jpg"),
        ([_HEAD, row(), row("b.jpg").replace(":", ",")], "line 3 has 1 columns parted by ':', not 3"),
        ([_HEAD, row(y=[1] * 17)], "line 2: keypoints_y has 17 numbers, not 18"),
        ([_HEAD, row(x=[1] * 25)], "line 2: keypoints_x has 25 numbers, not 18"),
        ([_HEAD, row(x=[1.5] * 18)], "line 2: keypoints_x must be whole numbers"),
        ([_HEAD, "a.jpg: 1 2 3: 4"], "line 2: keypoints_y must be a list in brackets"),
        ([_HEAD, row(y=[99] * 18, x=[70] * 18)], "line 2: nose is at 70, 99, outside of a picture of 64x128"),
        ([_HEAD, row(y=[60] * 18, x=[100] * 18)], "exchange the columns"),
        ([_HEAD, row(), row()], "has a.jpg 2 times"),
        ([_HEAD], "names no picture"),
    ],
)
def test_what_is_wrong_is_said(lines, says, tmp_path):
    with pytest.raises(PoseFileError, match=says):
        patn.read(write(tmp_path, *lines), (128, 64))


def test_exchanged_columns_show_where_pictures_are_square(tmp_path):
    rng = np.random.default_rng(0)
    people = []
    for i in range(20):
        x = rng.integers(90, 140, 18)
        y = np.linspace(30, 220, 18).astype(int)  # Neck at 41, hips at 119 and 152.
        people.append((f"{i}.jpg", y.tolist(), x.tolist()))
    rows = [row(name, y, x) for name, y, x in people]
    assert len(patn.read(write(tmp_path, _HEAD, *rows), (256, 256)).names) == 20
    exchanged = [row(name, x, y) for name, y, x in people]
    with pytest.raises(
        PoseFileError, match=r"20 of 20 people lie with their heads to the left; x seems to stand"
    ):
        patn.read(write(tmp_path, _HEAD, *exchanged), (256, 256))


@pytest.mark.parametrize("count", [1, 3])
def test_exchanged_columns_show_where_people_are_few(count, tmp_path):
    y = np.linspace(30, 220, 18).astype(int).tolist()
    x = [115, 116, 105, 103, 101, 128, 131, 134, 108, 110, 109, 122, 123, 121, 112, 118, 110, 121]
    names = [f"{i}.jpg" for i in range(count)]
    whole = [row(name, y, x) for name in names]
    # Without a hip nobody can tell.
    part = row("part.jpg", y=[*x[:8], -1, *x[9:]], x=[*y[:8], -1, *y[9:]])
    assert len(formats.read_people(write(tmp_path, _HEAD, *whole, part)).names) == count + 1
    exchanged = write(tmp_path, _HEAD, *(row(name, x, y) for name in names), part)
    for size in ((256, 256), None):
        with pytest.raises(
            PoseFileError,
            match=r"people lie with their heads to the left; x seems to stand before y: exchange",
        ):
            patn.read(exchanged, size)
    # As many stand: it is the others who lie.
    standing = (row(f"stands_{name}", y, x) for name in names)
    mixed = write(tmp_path, _HEAD, *standing, *(row(name, x, y) for name in names))
    assert len(patn.read(mixed, (256, 256)).names) == 2 * count
    # Lies with the head to the right, which no exchange makes of people who stand.
    right = row("right.jpg", x, [250 - v for v in y])
    assert len(patn.read(write(tmp_path, _HEAD, right), (256, 256)).names) == 1


def test_pairs_and_names(tmp_path):
    path = tmp_path / "x-pairs.csv"
    path.write_text("from,to\r\na.jpg,b.jpg\r\nb.jpg,a.jpg\r\n")
    assert patn.kind(path) == "pairs" and patn.first_name(path) == "a.jpg"
    assert patn.read_pairs(path) == [("a.jpg", "b.jpg"), ("b.jpg", "a.jpg")]
    for text, says in (
        ("from;to\na;b\n", "parted by ';'"),
        ("to,from\na,b\n", "its columns are to,from"),
        ("from,to\na.jpg\n", "line 2 must be two names"),
        ("from,to\n", "has no pairs"),
    ):
        path.write_text(text)
        with pytest.raises(PoseFileError, match=says):
            patn.read_pairs(path)
    names = tmp_path / "train.lst"
    names.write_text("a.jpg\nb.jpg\n")
    assert patn.read_names(names) == ["a.jpg", "b.jpg"]
    names.write_text("a.jpg b.jpg\n")
    with pytest.raises(PoseFileError, match="line 1 must be the name of a picture"):
        patn.read_names(names)
    names.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(PoseFileError, match="is no text file"):
        patn.read_names(names)


def test_kinds_are_told_by_columns_or_names(tmp_path):
    assert patn.kind(write(tmp_path, _HEAD, row())) == "joints"
    assert patn.kind(write(tmp_path, row())) == "joints"  # By the file's name, so that `read` can complain.
    other = tmp_path / "other.csv"
    other.write_text("id,price\n1,2\n")
    assert patn.kind(other) is None
    other.write_bytes("id,Größe\n".encode("utf-16"))
    assert patn.kind(other) is None


def test_any_reader_of_poses_takes_them(tmp_path):
    path = write(tmp_path, _HEAD, row(), row("b.jpg", y=[-1] * 18, x=[-1] * 18))
    people = formats.read_people(path)
    assert people.names == ["a.jpg", "b.jpg"] and people.sizes == [(35.0, 18.0)] * 2
    assert [len(figures) for figures in people.frames] == [1, 0]
    converted = people.as_skeleton(COCO_17).frames[0][0]
    np.testing.assert_array_equal(converted[COCO_17.index("left_eye")], (15.5, 30.5, 1))
    clip = formats.read(path, size=(128, 64))
    assert clip.size == (128, 64) and np.isnan(clip.keypoints[1, :, :2]).all()


@published
@pytest.mark.parametrize(
    ("name", "size", "count", "empty"),
    [
        ("market-annotation-train.csv", (128, 64), 12_936, 419),
        ("market-annotation-test.csv", (128, 64), 19_732, 3_445),
        ("fasion-annotation-test.csv", (256, 256), 4_061, 640),
    ],
)
def test_published_joints(name, size, count, empty):
    found = patn.read(_ASSETS / "posegan_csv" / name, size)
    known = np.isfinite(found.keypoints[..., 0])
    assert len(found.names) == count and (~known.any(1)).sum() == empty
    x = dict(zip(OPENPOSE_18.keypoints, found.keypoints[..., 0].T, strict=True))
    # Of people who face the camera the right side is to the left in the picture: so are the right eyes.
    front = (x["right_shoulder"] < x["left_shoulder"]) & np.isfinite(x["nose"])
    front &= np.isfinite(x["right_eye"]) & np.isfinite(x["left_eye"])
    assert front.sum() > 1000
    assert (x["right_eye"] < x["left_eye"])[front].mean() > 0.995
