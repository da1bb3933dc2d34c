"""Tests of COCO keypoints folders: names of joints, which picture is whose, splits."""

import json
import pathlib

import numpy as np
import PIL.Image
import pytest

from anime_pt.pose.sequences import PoseFileError
from anime_pt.pose.skeletons import ANIME_DRAWINGS_21, COCO_17, HUMAN_ART_21, OPENPOSE_18
from tfds_builders.anime_keypoints import folders, labels, pictures


def _file(path, names, images, keypoints=None, **more):
    """Writes annotations of one figure in each of these images."""
    if keypoints is None:
        keypoints = [value for i in range(len(names)) for value in (i, i + 1, 2)]
    document = {
        "images": [{"id": i, "file_name": n, "width": 40, "height": 30} for i, n in enumerate(images)],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "keypoints": keypoints, "bbox": [1, 2, 20, 25], **more}
            for i in range(len(images))
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": list(names)}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def _picture(path, color="white"):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", (40, 30), color).save(path)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("left_shoulder", "left_shoulder"),
        ("shoulder_left", "left_shoulder"),
        ("LShoulder", "left_shoulder"),
        ("rightKnee", "right_knee"),
        ("r_hip", "right_hip"),
        ("Left Elbow", "left_elbow"),
        ("wrist.R", "right_wrist"),
        ("LEFT_ANKLE", "left_ankle"),
        ("Nose", "nose"),
        ("nose_tip", "nose"),
        ("pelvis", "mid_hip"),
        ("headtop", "head_top"),
        ("left_big_toe", "left_big_toe"),
        ("nose_root", "nose_root"),
    ],
)
def test_names_of_joints(name, ours):
    assert labels.canonical(name) == ours


def test_every_joint_of_every_skeleton_keeps_its_name():
    for name in {n for s in labels.SKELETONS.values() for n in s.keypoints}:
        assert labels.canonical(name) == name


def test_order_does_not_matter_and_a_planted_swap_shows(tmp_path):
    names = list(COCO_17.keypoints)
    values = np.array([(10 + i, 40 - i, 2) for i in range(17)])
    order = np.random.default_rng(0).permutation(17)
    _file(tmp_path / "a.json", names, ["1.png"], values.ravel().tolist())
    _file(tmp_path / "b.json", [names[i] for i in order], ["1.png"], values[order].ravel().tolist())
    swapped = [n.replace("left", "?").replace("right", "left").replace("?", "right") for n in names]
    _file(tmp_path / "c.json", swapped, ["1.png"], values.ravel().tolist())
    points = {}
    for file, document in folders.read(tmp_path).items():
        measured = {"p": pictures.Measured((40, 30))}
        figure = folders.placed(document.figures[0], document.names, "p", measured, COCO_17, 0.2, 0)
        points[file.stem] = np.array(figure.points)
    np.testing.assert_array_equal(points["a"][:, :2], values[:, :2] + 0.5)
    np.testing.assert_array_equal(points["a"], points["b"])
    np.testing.assert_array_equal(points["a"][COCO_17.flip], points["c"])
    assert (points["a"] != points["c"]).any()


def test_a_neck_is_derived_and_toes_are_tips_of_toes():
    names = labels.matched(("left_shoulder", "right_shoulder", "left_toe"), ANIME_DRAWINGS_21)
    assert names == ("left_shoulder", "right_shoulder", "left_tiptoe")
    line = labels.compared(COCO_17.keypoints, OPENPOSE_18, pathlib.Path("a.json"))
    assert line == ""
    line = labels.compared(
        ("left_shoulder", "right_shoulder", "lshoulder"), OPENPOSE_18, pathlib.Path("a.json")
    )
    assert line.startswith("a.json has no left_ankle") and "among left_shoulder" in line
    assert " neck" not in line


def test_human_arts_other_joints(tmp_path):
    values = [v for i in range(21) for v in (i, 2 * i, 2)]
    _file(tmp_path / "a.json", COCO_17.keypoints, ["1.png"], values[:51], keypoints_21=values)
    (document,) = folders.read(tmp_path).values()
    assert document.names == HUMAN_ART_21.keypoints
    toe = document.figures[0].points[HUMAN_ART_21.index("right_toe")]
    np.testing.assert_array_equal(toe, (20.5, 40.5, 1))


def test_a_picture_is_found_by_its_folders_its_split_or_its_nearness(tmp_path):
    names = COCO_17.keypoints
    for path in ("a/x/1.png", "a/y/1.png", "train/2.png", "valid/2.png", "deep/er/3.png"):
        _picture(tmp_path / path)
    _file(tmp_path / "notes" / "train.json", names, ["y/1.png", "2.png", "HumanArt/images/3.png", "4.png"])
    _file(tmp_path / "valid" / "labels.json", names, ["2.png"])
    documents = folders.read(tmp_path)
    found = folders.find(tmp_path, documents)
    relative = {
        (file.name, name): pathlib.Path(path).relative_to(tmp_path).as_posix()
        for (file, name), path in found.items()
    }
    assert relative == {
        ("train.json", "y/1.png"): "a/y/1.png",
        ("train.json", "2.png"): "train/2.png",
        ("train.json", "HumanArt/images/3.png"): "deep/er/3.png",
        ("labels.json", "2.png"): "valid/2.png",
    }
    split = folders.splits(tmp_path, documents, found)
    assert {s: [f.name for _, f in of] for s, of in split.items()} == {
        "train": ["y/1.png", "2.png", "HumanArt/images/3.png", "4.png"],
        "validation": ["2.png"],
    }


def test_splits_of_several_files_go_by_their_names_and_share_no_picture(tmp_path):
    names = COCO_17.keypoints
    _file(tmp_path / "person_keypoints_train2017.json", names, ["1.png", "2.png"])
    _file(tmp_path / "validation_humanart.json", names, ["2.png", "3.png"])
    _file(tmp_path / "validation_humanart_cartoon.json", names, ["3.png"])
    _file(tmp_path / "my-test.json", names, ["4.png"])
    documents = folders.read(tmp_path)
    split = folders.splits(tmp_path, documents, folders.find(tmp_path, documents))
    assert {s: sorted({f.name for _, f in of}) for s, of in split.items()} == {
        "train": ["1.png"],
        "validation": ["2.png", "3.png"],
        "test": ["4.png"],
    }
    assert sum(f.name == "3.png" for _, f in split["validation"]) == 1  # It is in two files.


def test_the_pictures_of_one_file_are_dealt_out(tmp_path):
    images = [f"{i}.png" for i in range(50)]
    _file(tmp_path / "train.json", COCO_17.keypoints, images)
    split = folders.splits(tmp_path, folders.read(tmp_path), {})
    assert {s: len(of) for s, of in split.items()} == {"train": 40, "validation": 5, "test": 5}
    assert sorted(f.name for of in split.values() for _, f in of) == sorted(images)
    _file(tmp_path / "train.json", COCO_17.keypoints, images[:2])
    assert list(folders.splits(tmp_path, folders.read(tmp_path), {})) == ["train"]


def test_points_follow_a_picture_of_another_size():
    labelled = labels.Labelled("1.png", (40, 30), "1_1", np.array([[10.0, 20.0, 1.0]]), (4, 4, 10, 20), True)
    measured = {"p": pictures.Measured((80, 60)), "q": pictures.Measured((60, 60))}
    figure = folders.placed(labelled, ("nose",), "p", measured, COCO_17, 0.2, 40)
    assert figure.points[0] == (20, 40, 1) and figure.box == (8, 8, 20, 40) and figure.size == (40, 30)
    other = folders.placed(labelled, ("nose",), "q", measured, COCO_17, 0.2, 40)
    assert other.kind == "replaced" and "is 60x60, annotated was one of 40x30" in other.words
    assert folders.placed(labelled, ("nose",), None, measured, COCO_17, 0.2, 40).kind == "absent"


@pytest.mark.parametrize(
    ("names", "more", "says"),
    [
        (["LHip", "hip_left"], {}, "two joints are called left_hip"),
        (["nose", "neck"], {"keypoints": [1, 2]}, "2 numbers in keypoints, not 6"),
        (["nose"], {"image_id": 7}, "image 7, which is not listed"),
        (["nose"], {"bbox": [1, 2]}, "bbox must be four numbers"),
        (["nose"], {"keypoints": {}}, "a.json is not a COCO keypoints file"),
    ],
)
def test_bad_files_are_named(tmp_path, names, more, says):
    _file(tmp_path / "a.json", names, ["1.png"], **({"keypoints": [1, 2, 2] * len(names)} | more))
    with pytest.raises(PoseFileError, match=says) as error:
        folders.read(tmp_path)
    assert str(tmp_path / "a.json") in str(error.value) and "\n" not in str(error.value)


def test_joints_of_no_skeleton_are_refused():
    with pytest.raises(ValueError, match=r"none of its joints \(tail, wing\) is one of coco_17"):
        labels.compared(("tail", "wing"), COCO_17, pathlib.Path("a.json"))


def test_other_json_is_passed_over(tmp_path):
    _file(tmp_path / "a.json", COCO_17.keypoints, ["1.png"])
    (tmp_path / "package.json").write_text("[1, 2]")
    (tmp_path / "captions.json").write_text('{"images": [], "annotations": []}')
    (tmp_path / "instances.json").write_text('{"images": [], "annotations": [], "categories": [{"id": 1}]}')
    assert [p.name for p in folders.read(tmp_path)] == ["a.json"]
