"""Tests of anime_keypoints on figures drawn for it (dummy_data), and on the published annotations."""

import contextlib
import io
import json
import os
import pathlib
import shutil
from unittest import mock

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest

from anime_pt.pose import skeletons
from anime_pt.pose.skeletons import ANIME_DRAWINGS_21, ANIME_DRAWINGS_25, COCO_17, LIP_16
from tfds_builders import build, registry, testing
from tfds_builders.anime_keypoints import anime_keypoints_dataset_builder as anime_keypoints
from tfds_builders.anime_keypoints import drawings, figures, pictures
from tfds_builders.anime_keypoints.augmentation import Augmentation

_DUMMY = pathlib.Path(__file__).parent / "dummy_data"
_BESIDE = pathlib.Path(__file__).parents[3] / "shared" / "assets"
_ASSETS = pathlib.Path(os.environ.get("ANIME_PT_ASSETS", _BESIDE)) / "anime_drawings_dataset"


def _config(name):
    (config,) = [c for c in anime_keypoints.Builder.BUILDER_CONFIGS if c.name == name]
    return config


def _built(config, manual_dir, data_dir):
    """The decoded examples by split, and what was said."""
    builder = anime_keypoints.Builder(data_dir=str(data_dir), config=config)
    said = io.StringIO()
    with (
        contextlib.redirect_stderr(said),
        mock.patch.object(build.registry, "make", lambda *_: builder),
        testing.written_here(),
    ):
        build.prepare("anime_keypoints", str(data_dir), str(manual_dir))
    examples = {}
    for split in builder.info.splits:
        source = builder.as_data_source(split)
        examples[split] = [source[i] for i in range(len(source))]
    return examples, said.getvalue(), pathlib.Path(builder.data_dir)


class DrawingsTest(testing.BuilderTestCase):
    SPLITS = {
        "drawings": {"train": 4, "validation": 1, "test": 2},
        "drawings_25": {"train": 4, "validation": 1, "test": 2},
        # 11,790 less the 600 that are not trained on, for each of 1,400: almost eight of each.
        "drawings_augmented": {"train": 32, "validation": 1, "test": 2},
    }
    MANUAL_DIR = _DUMMY / "drawings"

    def make(self, config, data_dir):
        return anime_keypoints.Builder(data_dir=data_dir, config=_config(config))

    def annotated(self, post):
        entries = json.loads((self.MANUAL_DIR / "data" / "data.json").read_text())
        (entry,) = [e for e in entries if e["file_name"].split("/")[-1].startswith(f"{post}.")]
        return entry["points"]

    def test_points_are_by_name_in_the_middle_of_the_pixels_that_were_clicked_on(self):
        for example in self.examples(self.build("drawings"), "train"):
            points = self.annotated(example["figure"].decode())
            # The picture of 101 has twice the size of the annotations.
            scale = {b"101": 2}.get(example["figure"], 1)
            assert example["image"].shape == (80 * scale, 60 * scale, 3)
            for theirs, ours in (
                *(("nose_tip", "nose"), ("nose_root", "nose_root"), ("body_upper", "body_upper")),
                *(("arm_left", "left_shoulder"), ("arm_right", "right_shoulder")),
                *(("leg_left", "left_hip"), ("leg_right", "right_hip")),
                *(("thumb_left", "left_thumb"), ("tiptoe_right", "right_tiptoe"), ("neck", "neck")),
            ):
                wanted = (np.array(points[theirs]) + 0.5) * scale
                found = example["keypoints"][ANIME_DRAWINGS_21.index(ours)]
                np.testing.assert_allclose(found, (*wanted, 1), err_msg=ours)

    def test_joints_lie_on_what_is_drawn(self):
        # Left joints are red dots, right ones green; in a mirrored copy it is the other way round.
        mirrored = set()
        for example in self.examples(self.build("drawings_augmented"), "train")[:8]:  # Of 101, the sharpest.
            wrong = set()
            for name in ("left_wrist", "right_wrist", "left_tiptoe", "right_tiptoe"):
                x, y, seen = example["keypoints"][ANIME_DRAWINGS_21.index(name)]
                if seen:
                    r, g, _ = example["image"][int(y), int(x)].astype(int)
                    assert abs(r - g) > 40
                    wrong.add((r > g) != ("left" in name))
            assert len(wrong) == 1, example["figure"]
            mirrored |= wrong
        assert mirrored == {True, False}

    def test_a_joint_outside_stays_where_it_is_and_is_not_seen(self):
        (example,) = [e for e in self.examples(self.build("drawings"), "test") if e["figure"] == b"302"]
        np.testing.assert_array_equal(
            example["keypoints"][ANIME_DRAWINGS_21.index("left_tiptoe")], (-3.5, 73.5, 0)
        )
        assert example["keypoints"][:, 2].sum() == 20
        x, y, width, height = example["box"]
        assert x == 0 and x + width <= 60 and y > 0 and y + height <= 80

    def test_eyes_and_ears_come_from_the_extension(self):
        examples = {e["figure"]: e for e in self.examples(self.build("drawings_25"), "train")}
        eye, ear = ANIME_DRAWINGS_25.index("left_eye"), ANIME_DRAWINGS_25.index("right_ear")
        # Annotated at (66, 24) of twice the size; its right ear is not labelled; no drawing 104 there.
        np.testing.assert_allclose(examples[b"102"]["keypoints"][eye], (33.25, 12.25, 1))
        np.testing.assert_allclose(examples[b"101"]["keypoints"][eye], (66.5, 24.5, 1))
        np.testing.assert_array_equal(examples[b"102"]["keypoints"][ear], (np.nan, np.nan, 0))
        assert np.isnan(examples[b"104"]["keypoints"][21:, :2]).all()
        assert np.isfinite(examples[b"104"]["keypoints"][:21]).all()
        np.testing.assert_allclose(examples[b"102"]["box"], (8, 4, 44, 74))  # Corners 16 8 104 156, halved.

    def test_augmented_copies_differ_and_the_first_is_the_drawing(self):
        plain = {e["figure"]: e for e in self.examples(self.build("drawings"), "train")}
        examples = self.examples(self.build("drawings_augmented"), "train")
        assert [e["figure"] for e in examples[:9:8]] == [b"101", b"102"]
        for example in examples[::8]:
            self.assert_equal(example, plain[example["figure"]])
        assert len({e["image"].tobytes() for e in examples}) == 32
        assert len({e["figure"] for e in examples}) == 32

    def test_absent_pictures_are_counted_and_listed(self):
        _, said, folder = _built(_config("drawings"), self.MANUAL_DIR, self.folder)
        assert "warning: 1 of 8 examples are left out (1 absent); absent.txt beside the dataset" in said
        assert (folder / "absent.txt").read_text() == "train 1105.png: no picture of this post\n"


class CocoTest(testing.BuilderTestCase):
    SPLITS = {"coco": {"train": 5, "validation": 1, "test": 1}}
    MANUAL_DIR = _DUMMY / "coco"

    def make(self, config, data_dir):
        return anime_keypoints.Builder(data_dir=data_dir, config=_config(config))

    def test_joints_are_found_by_their_names(self):
        builder = self.build("coco")
        every = [e for split in self.SPLITS["coco"] for e in self.examples(builder, split)]
        by_figure = {e["figure"]: e for e in every}
        document = json.loads((self.MANUAL_DIR / "labels.json").read_text())
        names = document["categories"][0]["keypoints"]
        values = np.array(document["annotations"][0]["keypoints"]).reshape(-1, 3)
        found = by_figure[b"1_1"]["keypoints"]
        for theirs, ours in (
            *(("LEye", "left_eye"), ("REye", "right_eye"), ("shoulder_left", "left_shoulder")),
            *(("l_hip", "left_hip"), ("r_hip", "right_hip"), ("rightKnee", "right_knee")),
        ):
            x, y, _ = values[names.index(theirs)]
            np.testing.assert_array_equal(found[COCO_17.index(ours)], (x + 0.5, y + 0.5, 1))
        assert np.isnan(found[COCO_17.index("left_ear"), 0])
        # One wrist of the third picture has no label, the other is hidden.
        third = by_figure[b"3_4"]["keypoints"]
        np.testing.assert_array_equal(third[COCO_17.index("left_wrist")], (np.nan, np.nan, 0))
        assert third[COCO_17.index("right_wrist"), 2] == 0
        assert np.isfinite(third[COCO_17.index("right_wrist"), 0])

    def test_one_of_several_figures_is_cut_out(self):
        builder = self.build("coco")
        every = [e for split in self.SPLITS["coco"] for e in self.examples(builder, split)]
        (second,) = [e for e in every if e["figure"] == b"2_3"]
        # Box 68 4 44 74 with a fifth of 74 around it, within 120 x 80: from 53 to 120.
        assert second["image"].shape == (80, 67, 3)
        np.testing.assert_allclose(second["box"], (68 - 53, 4, 44, 74))
        document = json.loads((self.MANUAL_DIR / "labels.json").read_text())
        nose = document["annotations"][2]["keypoints"][:2]
        np.testing.assert_array_equal(second["keypoints"][0], (nose[0] + 0.5 - 53, nose[1] + 0.5, 1))


def test_configs_refuse_what_makes_no_sense():
    for change, says in (
        ("samples=100", "at least 2000"),
        ("skeleton=tail_3", "unknown skeleton 'tail_3'; known: openpose_18"),
        ("min_joints=0", "1 to 21"),
        ("source=web", "drawings, coco"),
    ):
        with pytest.raises(ValueError, match=says):
            registry.make("anime_keypoints/drawings", "/nowhere", [change])
    with pytest.raises(ValueError, match="of drawings"):
        registry.make("anime_keypoints/coco", "/nowhere", ["samples=4000"])


def test_another_skeleton_is_filled_by_name(tmp_path):
    shutil.copytree(_DUMMY / "drawings", tmp_path / "in")
    config = anime_keypoints.AnimeKeypointsConfig(name="lip", skeleton="lip_16")
    examples, _, _ = _built(config, tmp_path / "in", tmp_path / "data")
    example = examples["validation"][0]
    points = json.loads((_DUMMY / "drawings" / "data" / "val.json").read_text())[0]["points"]
    hips = (np.array(points["leg_left"]) + points["leg_right"]) / 2 + 0.5
    np.testing.assert_array_equal(example["keypoints"][LIP_16.index("mid_hip")], (*hips, 1))
    wrist = np.array(points["wrist_right"]) + 0.5
    np.testing.assert_array_equal(example["keypoints"][LIP_16.index("right_wrist")], (*wrist, 1))
    assert np.isnan(example["keypoints"][LIP_16.index("head_top"), 0])


def test_a_planted_swap_of_names_shows(tmp_path):
    shutil.copytree(_DUMMY / "drawings", tmp_path / "in")
    file = tmp_path / "in" / "data" / "val.json"
    entries = json.loads(file.read_text())
    points = entries[0]["points"]
    points["arm_left"], points["arm_right"] = points["arm_right"], points["arm_left"]
    file.write_text(json.dumps(entries))
    straight, _, _ = _built(_config("drawings"), _DUMMY / "drawings", tmp_path / "a")
    swapped, _, _ = _built(_config("drawings"), tmp_path / "in", tmp_path / "b")
    left, right = (ANIME_DRAWINGS_21.index(f"{side}_shoulder") for side in ("left", "right"))
    a, b = straight["validation"][0]["keypoints"], swapped["validation"][0]["keypoints"]
    np.testing.assert_array_equal(a[left], b[right])
    np.testing.assert_array_equal(a[right], b[left])
    assert (a[left] != b[left]).any()
    others = np.delete(np.arange(21), (left, right))
    np.testing.assert_array_equal(a[others], b[others])


def test_pictures_that_cannot_be_used_are_listed_with_their_reasons(tmp_path):
    shutil.copytree(_DUMMY / "drawings", tmp_path / "in")
    torn = tmp_path / "in" / "flat" / "301.png"
    torn.write_bytes(torn.read_bytes()[:300])
    PIL.Image.new("RGB", (80, 80)).save(tmp_path / "in" / "102.jpg")
    examples, said, folder = _built(_config("drawings"), tmp_path / "in", tmp_path / "data")
    assert {s: len(e) for s, e in examples.items()} == {"train": 3, "validation": 1, "test": 1}
    assert "3 of 8 examples are left out (1 replaced, 1 absent, 1 unreadable)" in said
    lines = (folder / "absent.txt").read_text().splitlines()
    assert lines[0].startswith("train 102.jpg: ") and "is 80x80, the drawing was 60x80" in lines[0]
    assert lines[2].startswith("test 301.png: ") and "no readable picture" in lines[2]


def test_a_picture_of_the_right_shape_is_preferred_and_the_largest_of_them(tmp_path):
    shutil.copytree(_DUMMY / "drawings", tmp_path / "in")
    (tmp_path / "in" / "512px" / "0201").mkdir(parents=True)
    PIL.Image.new("RGB", (512, 512)).save(tmp_path / "in" / "512px" / "0201" / "201.jpg")
    PIL.Image.new("RGB", (240, 320), "blue").save(tmp_path / "in" / "danbooru_201_sample.png")
    PIL.Image.new("RGB", (480, 640), "red").save(tmp_path / "in" / "xxx_202.png")  # Another post.
    examples, _, _ = _built(_config("drawings"), tmp_path / "in", tmp_path / "data")
    (example,) = examples["validation"]
    assert example["image"].shape == (320, 240, 3) and example["image"][0, 0].tolist() == [0, 0, 255]
    neck = json.loads((_DUMMY / "drawings" / "data" / "val.json").read_text())[0]["points"]["neck"]
    np.testing.assert_allclose(example["keypoints"][1], (4 * (neck[0] + 0.5), 4 * (neck[1] + 0.5), 1))


def test_without_lists_of_splits_everything_trains(tmp_path):
    shutil.copytree(_DUMMY / "drawings", tmp_path / "in")
    for name in ("train", "val", "test"):
        (tmp_path / "in" / "data" / f"{name}.json").unlink()
    entries, files = drawings.read(tmp_path / "in")
    assert {s: len(e) for s, e in entries.items()} == {"train": 8}
    assert [f.name for f in files] == ["data.json"]


@pytest.mark.parametrize(
    ("config", "spoil", "says"),
    [
        ("drawings", lambda f: shutil.rmtree(f / "data"), "put train.json, val.json and test.json"),
        ("drawings", lambda f: _only_annotations(f), "none of the 8 pictures can be used.*put them anywhere"),
        ("drawings_25", lambda f: shutil.rmtree(f / "extension"), "put it there.*or build.*/drawings"),
        ("drawings", lambda f: _edit(f, lambda e: e["points"].update(tail=[1, 2])), "unknown points tail"),
        ("drawings", lambda f: _edit(f, lambda e: e["points"].update(neck=[1])), "neck must be two numbers"),
        ("drawings", lambda f: _edit(f, lambda e: e.update(file_name="a.png")), "the id of a post"),
        ("drawings", lambda f: _edit(f, lambda e: e.update(file_name="101.png")), "101.png is there twice"),
        ("drawings", lambda f: (f / "data" / "val.json").write_text("[{"), "val.json is not JSON"),
        ("coco", lambda f: shutil.rmtree(f), "there is no COCO keypoints file below .*put a .json"),
    ],
)
def test_bad_folders_are_refused_in_one_line(tmp_path, config, spoil, says):
    shutil.copytree(_DUMMY / "drawings", tmp_path / "in")
    spoil(tmp_path / "in")
    (tmp_path / "in").mkdir(exist_ok=True)
    (tmp_path / "in" / "here.txt").write_text("TFDS wants a folder that is not empty")
    with pytest.raises((ValueError, OSError), match=says) as error:
        _built(_config(config), tmp_path / "in", tmp_path / "data")
    assert "\n" not in str(error.value)


def _only_annotations(folder):
    for path in pictures.walk(folder, pictures.SUFFIXES):
        os.unlink(path)


def _edit(folder, change):
    path = folder / "data" / "val.json"
    entries = json.loads(path.read_text())
    change(entries[0])
    path.write_text(json.dumps(entries))


def test_an_augmented_picture_moves_with_its_joints():
    rng = np.random.default_rng(0)
    for i in range(20):
        skeleton = ANIME_DRAWINGS_21
        points = np.column_stack([rng.uniform(60, 140, (21, 2)), np.ones(21)])
        image = np.zeros((200, 200, 3), np.uint8)
        x, y = points[skeleton.index("left_wrist"), :2] = (
            np.floor(points[skeleton.index("left_wrist"), :2]) + 0.5
        )
        image[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3] = 255
        augment = Augmentation(skeleton.name, 30, 0.25, 0.0, seed=3)
        out, moved = augment(image, points, figures.around(points, (200, 200)), f"copy/{i}")
        rows, columns = np.nonzero(out[..., 0] > 127)
        centre = (columns.mean() + 0.5, rows.mean() + 0.5)
        # A mirrored left wrist is a right one.
        errors = {
            s: np.abs(moved[skeleton.index(f"{s}_wrist"), :2] - centre).max() for s in ("left", "right")
        }
        mirrored = errors["right"] < errors["left"]
        assert min(errors.values()) < 0.5
        # Which way round three points go tells whether the picture was mirrored.
        three = [skeleton.index(n) for n in ("neck", "head", "nose")]
        before, after = (np.linalg.det(np.diff(p[three, :2], axis=0)) for p in (points, moved))
        assert (before * after < 0) == mirrored


def test_a_bound_shrinks_as_the_original_build():
    assert pictures.fit((1000, 2100), drawings.BOUND) == (286, 600)
    assert pictures.fit((1600, 900), drawings.BOUND) == (800, 450)
    assert pictures.fit((300, 200), drawings.BOUND) == (300, 200)
    assert pictures.same_shape((850, 1783), (286, 600)) and not pictures.same_shape((512, 512), (286, 600))


def test_pictures_are_read_upright_before_white(tmp_path):
    turned = PIL.Image.new("RGB", (40, 20), "red")
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    clear = PIL.Image.new("RGBA", (20, 20), (0, 0, 255, 0))
    clear.putpixel((0, 0), (0, 0, 255, 255))
    clear.save(tmp_path / "clear.webp", lossless=True)
    clear.quantize(4).save(tmp_path / "palette.png")
    grey = PIL.Image.fromarray(np.full((20, 20), 0x8000, np.uint16))
    grey.save(tmp_path / "grey.png")
    paths = [str(tmp_path / n) for n in ("turned.png", "clear.webp", "palette.png", "grey.png")]
    sizes = pictures.measure(paths)
    assert [sizes[p].size for p in paths] == [(20, 40), (20, 20), (20, 20), (20, 20)]
    read = lambda path: pictures.part(path, (0, 0, *sizes[path].size), sizes[path].size)
    for path in paths:
        assert read(path).shape == (*sizes[path].size[::-1], 3)
    assert read(paths[1])[:2, :2].tolist() == [[[0, 0, 255], [255] * 3], [[255] * 3, [255] * 3]]
    assert read(paths[2])[1, 1].tolist() == [255] * 3
    assert read(paths[3])[0, 0].tolist() == [128] * 3


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_parts_of_pictures_of_any_size(tmp_path, suffix):
    for width in (1000, 9001):
        image = np.zeros((300, width, 3), np.uint8)
        image[100:200, width - 200 : width - 100] = 255
        path = str(tmp_path / f"{width}{suffix}")
        PIL.Image.fromarray(image).save(path)
        assert pictures.measure([path])[path].size == (width, 300)
        crop = (width - 300, 0, width, 300)
        for size in ((300, 300), (150, 150)):
            part = pictures.part(path, crop, size)
            assert part.shape == (*size, 3)
            rows, columns = (np.flatnonzero(part[..., 0].max(axis) > 127) for axis in (1, 0))
            side = size[0] / 3
            for found in (rows, columns):
                np.testing.assert_allclose((found[0], found[-1] + 1), (side, 2 * side), atol=1)


def test_a_picture_that_breaks_later_is_named(tmp_path):
    path = tmp_path / "1.png"
    path.write_bytes(b"torn")
    assert pictures.measure([str(path)])[str(path)].reason == "no picture that can be read"
    with pytest.raises(OSError, match=r"1\.png is no readable picture any more \(no picture that can"):
        pictures.part(str(path), (0, 0, 20, 20), (20, 20))


@pytest.mark.skipif(not _ASSETS.is_dir(), reason=f"the published annotations are not in {_ASSETS}")
class TestPublished:
    """The annotation files as they were published, with blank pictures."""

    def test_all_entries_are_read(self):
        entries, files = drawings.read(_ASSETS)
        assert {s: len(e) for s, e in entries.items()} == {"train": 1400, "validation": 100, "test": 500}
        assert {f.name for f in files} == {"train.json", "val.json", "test.json"}
        every = [d for of_split in entries.values() for d in of_split]
        assert np.isfinite([d.points[:21] for d in every]).all()
        assert [d.post for d in every if d.size is None] == [1863413]
        # Of all that are there the left shoulder is mostly on the viewer's right.
        left, right = (ANIME_DRAWINGS_25.index(f"{s}_shoulder") for s in ("left", "right"))
        assert sum(d.points[left, 0] > d.points[right, 0] for d in every) == 1874
        outside = [
            d.post
            for d in every
            if d.size
            for x, y in d.points[:21, :2]
            if not (0 <= x <= d.size[0] and 0 <= y <= d.size[1])
        ]
        assert len(outside) == 11
        assert len(set(outside)) == 9

    @pytest.mark.parametrize("factor", [1, 2])
    def test_points_do_not_depend_on_the_size_of_the_picture(self, tmp_path, factor):
        entries, _ = drawings.read(_ASSETS)
        kept = {1677816, 1863413}  # With joints outside; without a size.
        chosen = [d for e in entries.values() for d in e[:3]]
        chosen += [d for e in entries.values() for d in e if d.post in kept]
        shutil.copytree(_ASSETS, tmp_path / "in", copy_function=shutil.copyfile)
        (tmp_path / "in").chmod(0o755)
        for drawing in chosen:
            width, height = drawing.size or (600, 600)
            image = PIL.Image.new("RGB", (width * factor, height * factor), "white")
            image.save(tmp_path / "in" / f"{drawing.post}.jpg")
        examples, said, folder = _built(_config("drawings"), tmp_path / "in", tmp_path / "data")
        assert f"{2000 - len(chosen)} of 2000 examples are left out" in said
        assert len((folder / "absent.txt").read_text().splitlines()) == 2000 - len(chosen)
        found = {int(e["figure"]): e for of_split in examples.values() for e in of_split}
        assert found.keys() == {d.post for d in chosen}
        for drawing in chosen:
            example = found[drawing.post]
            size = np.array(example["image"].shape[1::-1])
            recorded = np.array(drawing.size or (600, 600))
            np.testing.assert_array_equal(size, pictures.fit(recorded * factor, drawings.BOUND))
            wanted = drawing.points[:21, :2] * (size / recorded)
            np.testing.assert_allclose(example["keypoints"][:, :2], wanted, atol=1e-3)
        assert found[1677816]["keypoints"][:, 2].sum() == 19

    def test_the_augmented_version_has_tans_size(self, tmp_path):
        entries, _ = drawings.read(_ASSETS)
        builder = anime_keypoints.Builder(data_dir=str(tmp_path), config=_config("drawings_augmented"))
        figure = figures.Figure("", "", "", (), None, (0, 0, 1, 1), (1, 1))
        copies = builder._copies([figure] * len(entries["train"]))
        assert len(copies) + len(entries["validation"]) + len(entries["test"]) == 11_790
        assert sum(c.copy == 0 for c in copies) == 1400 and max(c.copy for c in copies) == 7


def test_named_skeletons_have_the_joints_of_the_files():
    assert set(drawings.NAMES.values()) == set(skeletons.named("anime_drawings_21").keypoints)
    assert len(drawings.NAMES) == 21
