"""SOLO folders: a generated one, damaged ones, and real ones."""

import json
import pathlib

import cv2
import numpy as np
import pytest

from anime_pt.avatars.formats.binary import FormatError
from anime_pt.pose.skeletons import AVATAR_20
from tests.avatars import asset_files
from tfds_builders import build, testing
from tfds_builders.unity_avatars import solo

_PREFIX = "type.unity.com/unity.solo."
# Not in the order of ours, with one joint that we do not have.
_NAMES = ["right_ankle", "Tail Tip", "neck", "left-wrist"]


def figure(instance: int, corner: tuple[int, int]) -> dict:
    """Keypoints of a figure of 10 x 20 pixels: ankle visible, tail visible, neck hidden, wrist absent."""
    x, y = corner
    places = [(x + 2.5, y + 18.5, 2), (x, y, 2), (x + 5.0, y + 4.0, 1), (0.0, 0.0, 0)]
    keypoints = [{"index": i, "location": [a, b], "state": s} for i, (a, b, s) in enumerate(places)]
    return {"instanceId": instance, "labelId": 5, "pose": "unset", "keypoints": keypoints}


def write(root: pathlib.Path, sequence: int, masks: bool = True) -> pathlib.Path:
    """A frame of 60 x 40 pixels with figures 7 at (5, 10) and 9 at (40, 12)."""
    folder = root / f"sequence.{sequence}"
    folder.mkdir(parents=True)
    picture, instances = np.full((40, 60, 3), 50, np.uint8), np.zeros((40, 60, 3), np.uint8)
    for (x, y), color in (((5, 10), (0, 0, 255)), ((40, 12), (0, 255, 0))):
        instances[y : y + 20, x : x + 10] = color
        picture[y : y + 20, x : x + 10] = 200
    cv2.imwrite(str(folder / "step0.camera.png"), picture)
    cv2.imwrite(str(folder / "step0.camera.instance segmentation.png"), instances)
    annotations = [
        {
            "@type": _PREFIX + "KeypointAnnotation",
            "templateId": "T",
            "values": [figure(7, (5, 10)), figure(9, (40, 12))],
        },
        {
            "@type": _PREFIX + "BoundingBox2DAnnotation",
            "values": [
                {"instanceId": i, "labelName": name, "origin": corner, "dimension": [10, 20]}
                for i, name, corner in ((7, "Hero", [5, 10]), (9, "Foe", [40, 12]), (3, "Crate", [0, 0]))
            ],
        },
    ]
    if masks:
        annotations.append(
            {
                "@type": _PREFIX + "InstanceSegmentationAnnotation",
                "filename": "step0.camera.instance segmentation.png",
                "instances": [
                    {"instanceId": 7, "color": [255, 0, 0, 255]},
                    {"instanceId": 9, "color": [0, 255, 0, 255]},
                ],
            }
        )
    capture = {"@type": _PREFIX + "RGBCamera", "filename": "step0.camera.png", "dimension": [60.0, 40.0]}
    frame = {
        "frame": 2,
        "sequence": sequence,
        "step": 0,
        "captures": [{**capture, "annotations": annotations}],
    }
    (folder / "step0.frame_data.json").write_text(json.dumps(frame))
    keypoints = [{"label": name, "index": i} for i, name in enumerate(_NAMES)]
    template = {"templateId": "T", "templateName": "Coco", "keypoints": keypoints}
    definitions = [{"@type": _PREFIX + "KeypointAnnotation", "template": template}]
    (root / solo.DEFINITIONS).write_text(json.dumps({"annotationDefinitions": definitions}))
    return folder / "step0.frame_data.json"


def test_build_and_read(tmp_path):
    for sequence in range(4):
        write(tmp_path / "mine", sequence)
    with testing.written_here():
        built = build.prepare("unity_avatars/solo_64", str(tmp_path), str(tmp_path / "mine"))
    counts = {split: info.num_examples for split, info in built.info.splits.items()}
    assert counts == {"train": 4, "validation": 2, "test": 2}
    one, other = list(built.as_data_source("validation"))
    assert (one["character"], other["character"]) == (b"Hero", b"Foe")
    assert (one["instance"], other["instance"]) == (7, 9) and one["sequence"] == other["sequence"]
    # A square of 24 pixels about the figure's 10 x 20, so 8 / 3 pixels for one.
    for example in (one, other):
        points = dict(zip(AVATAR_20.keypoints, example["keypoints"], strict=True))
        np.testing.assert_allclose(
            points["right_ankle"], [(7 + 2.5) * 8 / 3, (2 + 18.5) * 8 / 3, 1], rtol=1e-5
        )
        np.testing.assert_allclose(points["neck"], [(7 + 5) * 8 / 3, (2 + 4) * 8 / 3, 0], rtol=1e-5)
        known = np.isfinite(example["keypoints"][:, 0])
        assert known.sum() == 2 and (example["keypoints"][~known, 2] == 0).all()
        assert example["mask"].sum() / 255 == pytest.approx(200 * (8 / 3) ** 2, rel=0.05)
        np.testing.assert_array_equal(example["image"][32, 32], [200] * 3)
    # The first reaches two pixels beyond the border.
    np.testing.assert_array_equal(one["image"][32, 2], [255] * 3)
    np.testing.assert_array_equal(other["image"][32, 2], [50] * 3)


def test_without_segmentation_the_mask_is_full(tmp_path):
    write(tmp_path, 0, masks=False)
    example = solo.Figures(32, tuple(solo.figures(tmp_path)))[0]
    # The same square as with one, by the bounding box; 2 of its 24 pixels lie beyond the border.
    assert (example["mask"][:, :2] == 0).all() and (example["mask"][:, 3:] == 255).all()


def test_few_sequences_train_only(tmp_path):
    for sequence in range(2):
        write(tmp_path, sequence)
    assert {k: len(v) for k, v in solo.split(solo.figures(tmp_path)).items()} == {"train": 4}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("filename"), "'filename' is missing"),
        (lambda c: c.update(filename="no.png"), r"names .*no\.png, which is not there"),
        (lambda c: c.update(filename="../x.png"), "is not below the folder"),
        (lambda c: c.update(dimension=[60]), "'dimension' must be a list of 2 numbers"),
        (lambda c: c["annotations"][0].update(templateId="U"), "has no template 'U'"),
        (lambda c: c["annotations"][0]["values"][0].pop("keypoints"), "instance 7: 'keypoints' is missing"),
        (
            lambda c: c["annotations"][0]["values"][0]["keypoints"][2].update(location=[1, 1e300]),
            "location of keypoint 2 must be a list of 2 numbers",
        ),
        (lambda c: c["annotations"][0]["values"][0]["keypoints"][2].update(state=3), "unknown state 3"),
        (lambda c: c["annotations"][0].update(values=7), "'values' must be a list"),
        (lambda c: c["annotations"][0].update(values=[7]), "'values' must be an object"),
        (lambda c: c["annotations"][1].update(values=7), "'values' must be a list"),
    ],
)
def test_wrong_frames(tmp_path, change, message):
    path = write(tmp_path, 0)
    frame = json.loads(path.read_text())
    change(frame["captures"][0])
    path.write_text(json.dumps(frame))
    with pytest.raises(FormatError, match=message) as error:
        solo.figures(tmp_path)
    assert "\n" not in str(error.value) and "step0.frame_data.json" in str(error.value)


def test_wrong_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no step\*\.frame\*\.json"):
        solo.figures(tmp_path)
    path = write(tmp_path, 0)
    (tmp_path / solo.DEFINITIONS).rename(tmp_path / "other.json")
    with pytest.raises(FormatError, match=r"there is no annotation_definitions\.json in a folder above it"):
        solo.figures(tmp_path)
    (tmp_path / "other.json").rename(tmp_path / solo.DEFINITIONS)
    path.write_text("{")
    with pytest.raises(FormatError, match="not JSON"):
        solo.figures(tmp_path)


def test_real_folders():
    """Any real one: keypoints that are seen lie on the figure's mask."""
    folders = [p.parent for p in asset_files.find(".json") if p.name == solo.DEFINITIONS]
    if not folders:
        pytest.skip(f"no {solo.DEFINITIONS} below {asset_files.ROOT} (set ANIME_PT_ASSETS)")
    for folder in folders:
        found = solo.figures(folder)
        for figure_, example in zip(found, solo.Figures(128, tuple(found)), strict=True):
            assert example["image"].shape == (128, 128, 3)
            assert example["character"].decode() == figure_.label
            seen = example["keypoints"][example["keypoints"][:, 2] > 0]
            assert len(seen) and ((seen[:, :2] >= 0) & (seen[:, :2] <= 128)).all()
            columns, rows = np.minimum(seen[:, :2].astype(int), 127).T
            # Eyes and ears may lie before the surface.
            assert (example["mask"][rows, columns, 0] > 0).mean() > 0.8
