"""Folders of the Unity exporter: generated ones, right and wrong."""

import json
import pathlib

import cv2
import numpy as np
import pytest

from anime_pt.avatars.formats.binary import FormatError
from anime_pt.pose.skeletons import AVATAR_20
from tfds_builders import build, registry, testing
from tfds_builders.unity_avatars import exported, pictures

_SIZE = (40, 60)  # Height and width.
_EXPORTER = pathlib.Path(__file__).parent / "exporter" / "AnimePtExporter.cs.txt"


def record(character: str, costume: str, frame: int) -> dict:
    return {
        "file": f"{character}_{costume}_{frame}.png",
        "character": character,
        "costume": costume,
        "clip": "walk",
        "frame": frame,
        "width": _SIZE[1],
        "height": _SIZE[0],
        "keypoints": {
            "neck": [30.0, 10.0, 2.5, 1],
            "left_wrist": [45.5, 20.25, 2.4, 0],
            "nose": [80.0, 5.0, 2, 1],
        },
        "bones": {"Hips": [0, 0.9, 0], "UpperChest": [0.0, 1.2, 0.1]},
        "camera": {"view": list(range(16)), "proj": [0.5] * 16},
    }


def write(folder: pathlib.Path, records: list[dict]) -> None:
    """Every picture: a half covered red square of 20 pixels around (30, 20), and black where nothing is."""
    folder.mkdir(parents=True, exist_ok=True)
    image = np.zeros((*_SIZE, 4), np.uint8)
    image[10:30, 20:40] = (0, 0, 200, 128)
    for r in records:
        cv2.imwrite(str(folder / r["file"]), image)
    (folder / exported.NAME).write_text("\n".join(json.dumps(r) for r in records) + "\n\n")


@pytest.fixture
def folder(tmp_path):
    records = [record(c, o, f) for c, o in (("a", "x"), ("a", "y"), ("b", "x"), ("c", "x")) for f in range(3)]
    write(tmp_path / "mine" / "one", records[:6])
    write(tmp_path / "mine" / "two", records[6:])
    return tmp_path / "mine"


def test_build_and_read(folder, tmp_path):
    with testing.written_here():
        built = build.prepare("unity_avatars/export_64", str(tmp_path), str(folder))
    counts = {split: info.num_examples for split, info in built.info.splits.items()}
    assert counts == {"train": 6, "validation": 3, "test": 3}
    train = list(built.as_data_source("train"))
    assert [(e["costume"], e["frame"]) for e in train] == [
        (b"x", 0),
        (b"x", 1),
        (b"x", 2),
        (b"y", 0),
        (b"y", 1),
        (b"y", 2),
    ]
    assert {e["character"] for e in train} == {b"a"} and {e["motion"] for e in train} == {b"walk"}
    example = train[4]
    # 60 x 40 becomes 64 x 42.7 in the middle of 64 x 64.
    scale, top = 64 / 60, 10 * 64 / 60
    points = dict(zip(AVATAR_20.keypoints, example["keypoints"], strict=True))
    np.testing.assert_allclose(points["neck"], [30 * scale, 10 * scale + top, 1], rtol=1e-6)
    np.testing.assert_allclose(points["left_wrist"], [45.5 * scale, 20.25 * scale + top, 0], rtol=1e-6)
    np.testing.assert_allclose(points["nose"], [80 * scale, 5 * scale + top, 0], rtol=1e-6)  # Outside.
    assert np.isnan(points["head_top"][:2]).all() and points["head_top"][2] == 0
    assert example["mask"][32, 32] == 128 and example["mask"][5, 5] == 0
    # Half red, half white.
    np.testing.assert_allclose(example["image"][32, 32], (200 * 128 / 255 + 127, 127, 127), atol=1)
    assert (example["image"][2, 2] == 255).all() and (example["image"][32, 2] == 255).all()
    assert example["bones"][0].tolist() == pytest.approx([0, 0.9, 0]) and example["bones"][
        54, 1
    ] == pytest.approx(1.2)
    assert np.isnan(example["bones"][1:54]).all()
    assert example["camera"]["view"][1].tolist() == [4, 5, 6, 7]
    document = json.loads((pathlib.Path(built.data_dir) / "data_card.json").read_text())
    assert [s["name"] for s in document["sources"]] == ["one/frames.jsonl", "two/frames.jsonl"]


def test_random_access_equals_the_shards(folder):
    examples = registry.make("unity_avatars/export_64").examples(folder)["train"]
    written = [e for shard in examples.shards(2) for _, e in shard.examples()]
    assert len(written) == len(examples) == 6
    for index, example in enumerate(written):
        decoded = cv2.imdecode(np.frombuffer(example["image"], np.uint8), cv2.IMREAD_COLOR_RGB)
        np.testing.assert_array_equal(examples[index]["image"], decoded)
        np.testing.assert_array_equal(examples[index]["keypoints"], example["keypoints"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.pop("camera"), "line 2: 'camera' is missing"),
        (lambda r: r["camera"].pop("proj"), "line 2: camera 'proj' must be a list of 16 numbers"),
        (
            lambda r: r["keypoints"].update(tail=[1, 2, 3, 1]),
            "line 2: unknown keypoint 'tail'; known: nose, ",
        ),
        (
            lambda r: r["keypoints"].update(neck=[1, 2, 3]),
            "line 2: keypoint 'neck' must be a list of 4 numbers",
        ),
        (lambda r: r["keypoints"].update(neck=[1, float("nan"), 3, 1]), "'neck' must be a list of 4 numbers"),
        (lambda r: r["keypoints"].update(neck=[1, 2, 3, 0.5]), "'neck': visible must be 0 or 1"),
        (lambda r: r["bones"].update(Tail=[1, 2, 3]), "line 2: unknown bone 'Tail'"),
        (lambda r: r.update(width=True), "'width' must be a whole number"),
        (lambda r: r.update(width=0), "a picture of 0x40"),
        (lambda r: r.update(character=""), "'character' is empty"),
        (lambda r: r.update(file="no.png"), r"line 2 names .*no\.png, which is not there"),
        (lambda r: r.update(file="../one/a_x_0.png"), "is not below the folder"),
        (lambda r: r.update(costume=7), "'costume' must be text"),
    ],
)
def test_wrong_lines(folder, change, message):
    records = [record("a", "x", f) for f in range(3)]
    change(records[1])
    lines = [json.dumps(r) for r in records]
    (folder / "one" / exported.NAME).write_text("\n".join(lines))
    with pytest.raises(FormatError, match=message) as error:
        exported.rows(folder)
    assert "\n" not in str(error.value) and "frames.jsonl" in str(error.value)


def test_damaged_files(folder):
    path = folder / "one" / exported.NAME
    path.write_bytes(b'{"file": "a.png", \n')
    with pytest.raises(FormatError, match="line 1: not JSON"):
        exported.rows(folder)
    path.write_bytes(b"[" * 100_000)
    with pytest.raises(FormatError, match="line 1: not JSON"):
        exported.rows(folder)
    path.write_bytes(b" " * (2 << 20))
    with pytest.raises(FormatError, match="line 1 is longer than"):
        exported.rows(folder)
    for file in folder.rglob(exported.NAME):
        file.write_text("")
    with pytest.raises(FileNotFoundError, match=r"holds no frames\.jsonl with a frame"):
        exported.rows(folder)


def test_pictures_of_another_size_or_damaged(folder):
    file = folder / "one" / "a_x_1.png"
    examples = exported.Frames(64, tuple(exported.rows(folder)))
    cv2.imwrite(str(file), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(FormatError, match=r"a_x_1\.png is 8x8, .*frames\.jsonl, line 2 says 60x40"):
        examples[1]
    file.write_bytes(b"nothing")
    with pytest.raises(FormatError, match=r"a_x_1\.png is no readable image"):
        examples[1]


def test_without_alpha_the_mask_is_what_is_not_white():
    image = np.full((4, 4, 3), 255, np.uint8)
    image[1, 2] = (255, 255, 254)
    same, mask = pictures.before_white(image)
    np.testing.assert_array_equal(same, image)
    assert mask[1, 2] == 255 and mask.sum() == 255


def test_a_square_beyond_the_border_is_white_and_empty():
    image, mask = np.zeros((4, 6, 3), np.uint8), np.full((4, 6, 1), 255, np.uint8)
    points = np.array([[0.5, 0.5, 1], [5.5, 3.5, 1]])
    cut, covered, moved = pictures.square(image, mask, points, (-2, -2, 4), 4)
    assert (cut[:2] == 255).all() and (cut[:, :2] == 255).all() and (cut[2:, 2:] == 0).all()
    assert covered.sum() == 4 * 255
    np.testing.assert_allclose(moved, [[2.5, 2.5, 1], [7.5, 5.5, 0]])
    far, nothing, _ = pictures.square(image, mask, points, (100, 100, 4), 8)
    assert far.shape == (8, 8, 3) and (far == 255).all() and not nothing.any()


def test_the_exporter_writes_the_names_that_are_read():
    source = _EXPORTER.read_text()
    for field in (
        "file",
        "character",
        "costume",
        "clip",
        "frame",
        "width",
        "height",
        "keypoints",
        "bones",
        "camera",
    ):
        assert f'\\"{field}\\"' in source
    assert all(f'"{name}"' in source for name in AVATAR_20.keypoints)
    assert len(exported.BONES) == len(set(exported.BONES)) == 55 and exported.NAME in source
