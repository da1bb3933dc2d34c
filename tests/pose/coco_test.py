import json

import numpy as np
import pytest

from anime_pt.pose import coco, formats
from anime_pt.pose.skeletons import AVATAR_20, COCO_17, COCO_WHOLEBODY_133, HALPE_26
from tests.avatars import asset_files

# The order of COCO's annotation files.
ORDER = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle"),
)


@pytest.fixture
def poses():
    points = np.random.default_rng(0).uniform(1, 60, (3, 20, 3)).astype(np.float32).round(2)
    points[..., 2] = 1
    points[0, AVATAR_20.index("nose"), 2] = 0  # Hidden.
    points[1, AVATAR_20.index("left_wrist")] = (np.nan, np.nan, 0)
    points[2, AVATAR_20.index("right_ankle")] = (-2, 3, 0)  # Outside.
    return formats.PoseSequence(points, AVATAR_20, (64, 96), 24.0)


def test_order_is_cocos():
    assert COCO_17.keypoints == ORDER


def test_round_trip(poses, tmp_path):
    path = tmp_path / "踊り 1.json"
    formats.write(path, poses, "coco")
    read = formats.read(path)
    wanted = poses.as_skeleton(COCO_17).keypoints
    wanted[2, COCO_17.index("right_ankle")] = (np.nan, np.nan, 0)
    np.testing.assert_allclose(read.keypoints, wanted, atol=1e-3)
    assert (read.skeleton, read.size, read.fps) == (COCO_17, (64, 96), 24)


def test_files_look_like_cocos(poses, tmp_path):
    formats.write(tmp_path / "a.json", poses, "coco")
    document = json.loads((tmp_path / "a.json").read_bytes())
    (category,) = document["categories"]
    assert category["name"] == "person" and tuple(category["keypoints"]) == ORDER
    assert [16, 14] in category["skeleton"] and len(category["skeleton"]) == 19
    assert document["images"][1] == {"id": 2, "file_name": "frame_00001.png", "width": 96, "height": 64}
    first, second, third = document["annotations"]
    assert [a["image_id"] for a in (first, second, third)] == [1, 2, 3]
    x, y, v = np.reshape(first["keypoints"], (17, 3)).T
    elbow = poses.keypoints[0, AVATAR_20.index("left_elbow")]
    np.testing.assert_allclose((x[7], y[7], v[7]), (elbow[0] - 0.5, elbow[1] - 0.5, 2), atol=1e-3)
    assert (v[0], v[1]) == (1, 2) and first["num_keypoints"] == 17
    assert second["keypoints"][9 * 3 : 10 * 3] == [0, 0, 0] and second["num_keypoints"] == 16
    assert third["keypoints"][16 * 3 :] == [0, 0, 0]
    # From pixel edges, where keypoints count from pixel centres.
    np.testing.assert_allclose(first["bbox"], [x.min() + 0.5, y.min() + 0.5, np.ptp(x), np.ptp(y)], atol=2e-3)
    assert first["area"] == pytest.approx(first["bbox"][2] * first["bbox"][3], abs=0.1)


def test_boxes_and_names_that_are_known_are_written(poses, tmp_path):
    boxes = np.arange(12.0).reshape(3, 4)
    coco.write(tmp_path / "a.json", poses, ["x.png", "y.png", "z.png"], boxes)
    document = json.loads((tmp_path / "a.json").read_bytes())
    assert [a["bbox"] for a in document["annotations"]] == boxes.tolist()
    assert [a["area"] for a in document["annotations"]] == [6, 42, 110]
    assert formats.read_people(tmp_path / "a.json").names == ["x.png", "y.png", "z.png"]


def test_pictures_are_no_clip(poses, tmp_path):
    info = lambda: json.loads((tmp_path / "a.json").read_bytes())["info"]
    coco.write(tmp_path / "a.json", poses)
    assert info() == {"description": "keypoints of a clip", "fps": 24}
    coco.write(tmp_path / "a.json", poses.as_people())
    assert info() == {"description": "keypoints of a clip", "fps": 24}
    for pictures in ((poses, ["x.png", "y.png", "z.png"]), (poses.as_people(["x.png", "y.png", "z.png"]),)):
        coco.write(tmp_path / "a.json", *pictures)
        assert info() == {"description": "keypoints of pictures"}
        assert coco.read(tmp_path / "a.json", 12.0).fps == 12
    # As files were written that said it of pictures, too.
    document = json.loads((tmp_path / "a.json").read_bytes())
    document["info"]["fps"] = 30.0
    (tmp_path / "a.json").write_text(json.dumps(document))
    assert coco.read(tmp_path / "a.json", 12.0).fps == 30


def test_a_frame_outside_the_picture_has_no_annotation(poses, tmp_path):
    poses.keypoints[1, :, 0] += 500
    formats.write(tmp_path / "a.json", poses, "coco")
    read = formats.read(tmp_path / "a.json")
    np.testing.assert_array_equal(np.isnan(read.keypoints[:, 5, 0]), [False, True, False])
    assert [len(f) for f in formats.read_people(tmp_path / "a.json").frames] == [1, 0, 1]


def test_joints_are_found_by_name(poses, tmp_path):
    formats.write(tmp_path / "a.json", poses, "coco")
    document = json.loads((tmp_path / "a.json").read_bytes())
    document["categories"][0]["keypoints"].reverse()
    for annotation in document["annotations"]:
        annotation["keypoints"] = np.reshape(annotation["keypoints"], (-1, 3))[::-1].ravel().tolist()
    (tmp_path / "b.json").write_text(json.dumps(document))
    np.testing.assert_array_equal(
        formats.read(tmp_path / "b.json").keypoints, formats.read(tmp_path / "a.json").keypoints
    )


BAD = {
    "no categories": (lambda d: d.pop("categories"), "there is no .categories. where"),
    "no keypoints": (lambda d: d["categories"][0].pop("keypoints"), "one category must have keypoints"),
    "joints": (lambda d: d["categories"][0]["keypoints"].__setitem__(0, "tail"), "none of.*coco_17.*: tail"),
    "image": (lambda d: d["annotations"][0].update(image_id=99), "image 99, which is not listed"),
    "length": (lambda d: d["annotations"][0]["keypoints"].pop(), "has 50 numbers in keypoints, not 51"),
    "text": (lambda d: d["annotations"][0].update(keypoints=["a"] * 51), "could not convert"),
    "size": (lambda d: d["images"][0].update(width=0), "must be positive"),
    "sizes": (lambda d: d["images"][0].update(width=5), r"several sizes \(5x64, 96x64\)"),
    "fps": (lambda d: d["info"].update(fps="fast"), "could not convert"),
    "twice": (lambda d: d["images"][0].update(id=2), "image id appears twice"),
    "images": (lambda d: d.update(images=[], annotations=[]), "there are no images"),
    "numbers": (lambda d: d.update(images=[1, 2]), "is not a COCO keypoints file"),
}


@pytest.mark.parametrize(("change", "says"), BAD.values(), ids=BAD.keys())
def test_bad_files_are_named(poses, tmp_path, change, says):
    path = tmp_path / "a.json"
    formats.write(path, poses, "coco")
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(formats.PoseFileError, match=says) as error:
        formats.read(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_whole_bodies(poses, tmp_path):
    formats.write(tmp_path / "a.json", poses, "coco")
    document = json.loads((tmp_path / "a.json").read_bytes())
    rng, wanted = np.random.default_rng(1), []
    for i, annotation in enumerate(document["annotations"]):
        parts = {}
        for name, count in (("foot", 6), ("face", 68), ("lefthand", 21), ("righthand", 21)):
            points = np.concatenate([rng.uniform(1, 60, (count, 2)).round(2), np.full((count, 1), 2)], 1)
            points[1, 2] = 0 if name == "foot" else 1
            valid = (name != "lefthand") or i == 1
            annotation |= {f"{name}_kpts": points.ravel().tolist(), f"{name}_valid": valid}
            # A face's joints are visible or not labelled at all.
            labelled = points[:, 2] > 0 if valid else np.zeros(count, bool)
            shown = points[:, 2] > (0 if name == "face" else 1)
            points = np.concatenate([points[:, :2] + 0.5, shown[:, None]], 1)
            points[~labelled] = (np.nan, np.nan, 0)
            parts[name] = points
        wanted.append(np.concatenate([*parts.values()]))
    (tmp_path / "b.json").write_text(json.dumps(document))
    people = formats.read_people(tmp_path / "b.json")
    assert people.skeleton is COCO_WHOLEBODY_133
    bodies = formats.read_people(tmp_path / "a.json")
    for found, body, rest in zip(people.frames, bodies.frames, wanted, strict=True):
        np.testing.assert_array_equal(found[:, :17], body)
        np.testing.assert_allclose(found[0, 17:], rest, rtol=1e-6)
    np.testing.assert_array_equal(people.as_skeleton(COCO_17).frames[0], bodies.frames[0])
    document["annotations"][0]["face_kpts"].pop()
    (tmp_path / "b.json").write_text(json.dumps(document))
    with pytest.raises(formats.PoseFileError, match="203 numbers in face_kpts, not 204"):
        formats.read(tmp_path / "b.json")


@pytest.mark.parametrize("skeleton", [COCO_17, HALPE_26, COCO_WHOLEBODY_133], ids=lambda s: s.name)
@pytest.mark.parametrize("name", [lambda i: i, lambda i: f"{i}.jpg", lambda i: f"clip-2_{i:04d}.png"])
def test_results(skeleton, name, tmp_path):
    rng, k = np.random.default_rng(0), len(skeleton)
    points = rng.uniform(1, 60, (4, k, 3)).round(2)
    points[..., 2] = rng.uniform(0.1, 0.9, (4, k)).round(3)
    points[0, 3, 2] = 0
    # As AlphaPose lists them: two in frame 9, none in 10 and 11.
    rows = [(12, 2), (9, 0), (9, 1), (13, 3)]
    document = [
        {"image_id": name(i), "category_id": 1, "keypoints": points[j].ravel().tolist(), "score": 2.5}
        for i, j in rows
    ]
    (tmp_path / "a.json").write_text(json.dumps(document))
    people = formats.read_people(tmp_path / "a.json", size=(64, 96), fps=25)
    assert people.skeleton is skeleton and (people.sizes[0], people.fps) == ((64, 96), 25)
    assert [len(f) for f in people.frames] == [2, 0, 0, 1, 1] and not any(people.names)
    np.testing.assert_allclose(people.frames[3][0], points[2] + (0.5, 0.5, 0), rtol=1e-6)
    np.testing.assert_array_equal(people.frames[0][0, 3], (np.nan, np.nan, 0))
    assert formats.read(tmp_path / "a.json").size == tuple(np.ceil(points.max((0, 1)) + 0.5)[1::-1])


def test_results_of_pictures(tmp_path):
    person = {"category_id": 1, "keypoints": [1, 2, 0.5] * 17, "score": 1}
    document = [{"image_id": i} | person for i in (785, 40083, 196141)]
    (tmp_path / "a.json").write_text(json.dumps(document))
    assert formats.read_people(tmp_path / "a.json").names == ["785", "40083", "196141"]
    document = [{"image_id": i} | person for i in ("b.png", "a.png")]
    (tmp_path / "a.json").write_text(json.dumps(document))
    assert formats.read_people(tmp_path / "a.json").names == ["a.png", "b.png"]
    document[0]["keypoints"] = [1, 2, 0.5] * 19
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(
        formats.PoseFileError, match=r"17 and 19 joints; .*17 \(coco_17\), 26 \(halpe_26\), 133"
    ):
        formats.read_people(tmp_path / "a.json")


def is_coco(path) -> bool:
    document = json.loads(path.read_bytes())
    return isinstance(document, dict) and any(c.get("keypoints") for c in document.get("categories", ()))


FILES = [p for p in asset_files.find(".json") if "coco" in p.name.lower() and is_coco(p)]


@pytest.mark.parametrize(
    "path",
    FILES or [pytest.param(None, marks=pytest.mark.skip(reason=f"no COCO below {asset_files.ROOT}"))],
    ids=lambda p: getattr(p, "stem", "none"),
)
def test_real_files(path):
    document = json.loads(path.read_bytes())
    people = formats.read_people(path)
    assert people.names == [image["file_name"] for image in document["images"]]
    (names,) = [c["keypoints"] for c in document["categories"] if c.get("keypoints")]
    for image, figures, size in zip(document["images"], people.frames, people.sizes, strict=True):
        assert size == (image["height"], image["width"])
        labelled = [a for a in document["annotations"] if a["image_id"] == image["id"] and a["num_keypoints"]]
        assert len(figures) == len(labelled)
        for points, annotation in zip(figures, labelled, strict=True):
            for name, (x, y, v) in zip(names, np.reshape(annotation["keypoints"], (-1, 3)), strict=True):
                wanted = (x + 0.5, y + 0.5, v > 1) if v else (np.nan, np.nan, 0)
                np.testing.assert_allclose(points[people.skeleton.index(name)], wanted, rtol=1e-6)
