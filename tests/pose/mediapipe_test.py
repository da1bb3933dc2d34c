import json

import numpy as np
import pytest

from anime_pt.pose import formats, mediapipe
from anime_pt.pose.skeletons import COCO_17, MEDIAPIPE_33
from tests.avatars import asset_files

# The order of MediaPipe's documentation ("Pose landmark detection guide", figure of the 33 landmarks).
ORDER = (
    *("nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye"),
    *("right_eye_outer", "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder"),
    *("right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_pinky"),
    *("right_pinky", "left_index", "right_index", "left_thumb", "right_thumb", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel", "right_heel"),
    *("left_foot_index", "right_foot_index"),
)
SIZE = (120.0, 200.0)


def landmarks(frame=0, world=False):
    """Landmarks of one person, as fractions or in metres."""
    points = np.random.default_rng(frame).uniform(0.1, 0.9, (33, 4)).round(4)
    if world:
        points = points - points[[23, 24]].mean(0)
        points[:, 3] = 1
    names = ("x", "y", "z", "visibility")
    return [dict(zip(names, row, strict=True)) for row in points.tolist()]


def pixels(person):
    return np.array([(p["x"] * SIZE[1], p["y"] * SIZE[0], p["visibility"]) for p in person])


def read(tmp_path, document, **options):
    (tmp_path / "a.json").write_text(json.dumps(document))
    return formats.read(tmp_path / "a.json", **options)


def test_order_is_the_documented_one():
    ours = {"mouth_left": "left_mouth", "mouth_right": "right_mouth"}
    assert MEDIAPIPE_33.keypoints == tuple(ours.get(name, name) for name in ORDER)


A, B = landmarks(0), landmarks(1)
SIZED = {"width": 200, "height": 120}
proto = lambda person: {"landmark": person}
rows = lambda person: [[p["x"], p["y"], p["z"], p["visibility"]] for p in person]
FORMS = {
    "list": [A, B],
    "empty": [A, None, [], {}, B],
    "rows": [rows(A), rows(B)],
    "people": [[A], [B]],
    "legacy": [{"pose_landmarks": proto(A)}, {"pose_landmarks": proto(B)}],
    "javascript": [{"poseLandmarks": A}, {"poseLandmarks": B}],
    "tasks": [{"landmarks": [A]}, {"landmarks": [B]}],
    "frames": {"frames": [{"pose_landmarks": [A]}, {"pose_landmarks": [B]}]},
    "sized": {"frames": [A, B]} | SIZED,
    "sized frames": [{"landmarks": A} | SIZED, {"landmarks": B} | SIZED],
    "numbered": {"fps": 24, "poses": [{"frame": 7, "landmarks": A}, {"frame": 8, "landmarks": B}]},
}


@pytest.mark.parametrize("document", FORMS.values(), ids=FORMS.keys())
def test_forms(document, tmp_path):
    text = json.dumps(document)
    said = '"width"' in text
    sequence = read(tmp_path, document, size=None if said else SIZE, fps=12)
    assert sequence.skeleton is MEDIAPIPE_33 and sequence.size == SIZE
    assert sequence.fps == (24 if '"fps"' in text else 12)
    wanted = [pixels(A), pixels(B)]
    np.testing.assert_allclose(sequence.keypoints[[0, -1]], wanted, rtol=1e-5)
    assert np.isnan(sequence.keypoints[1:-1, :, :2]).all()
    assert len(sequence.keypoints) == (5 if document is FORMS["empty"] else 2)
    assert sequence.world is None


def test_fractions_need_a_size(tmp_path):
    with pytest.raises(formats.PoseFileError, match="whose size it does not say: give its width and height"):
        read(tmp_path, [A, B])


def test_numbers_that_are_left_out_are_frames_with_nobody(tmp_path):
    document = [{"frame_id": i, "landmarks": A} for i in (3, 4, 7)]
    known = np.isfinite(read(tmp_path, document, size=SIZE).keypoints[:, 0, 0])
    np.testing.assert_array_equal(known, [True, True, False, False, True])
    with pytest.raises(formats.PoseFileError, match='"frame_id": has a frame number twice'):
        read(tmp_path, document[::-1], size=SIZE)


def test_world_landmarks_are_kept(tmp_path):
    space = [landmarks(i, world=True) for i in (0, 1)]
    document = [
        {"pose_landmarks": [A, B], "pose_world_landmarks": space},
        {"poseLandmarks": [], "poseWorldLandmarks": []},
        {"landmarks": B, "worldLandmarks": space[1]},
    ]
    (tmp_path / "a.json").write_text(json.dumps(document))
    people = formats.read_people(tmp_path / "a.json", size=SIZE)
    assert [len(f) for f in people.frames] == [len(w) for w in people.worlds] == [2, 0, 1]
    wanted = np.array([[(p["x"], p["y"], p["z"]) for p in person] for person in space])
    np.testing.assert_allclose(people.worlds[0], wanted, rtol=1e-5)
    sequence = formats.read(tmp_path / "a.json", size=SIZE, person=0)
    picked = [
        np.argmin(np.abs(f[:, 0, 0] - s[0, 0]))
        for f, s in zip(people.frames[::2], sequence.keypoints[::2], strict=True)
    ]
    np.testing.assert_array_equal(sequence.world[0], people.worlds[0][picked[0]])
    np.testing.assert_array_equal(sequence.world[2], people.worlds[2][picked[1]])
    assert np.isnan(sequence.world[1]).all()


def tfjs(person, scale=1.0):
    """As `estimatePoses` gives it, in pixels; the joints' order is the names', not the list's."""
    points = [
        {"x": x, "y": y, "z": p["z"], "score": v, "name": name}
        for (x, y, v), p, name in zip(pixels(person) * (scale, scale, 1), person, ORDER, strict=True)
    ]
    space = [p | {"name": name} for p, name in zip(landmarks(5, world=True), ORDER, strict=True)]
    return {"score": 0.9, "keypoints": points[::-1], "keypoints3D": space}


def test_tfjs_has_pixels_and_names(tmp_path):
    sequence = read(tmp_path, [[tfjs(A)], [], [tfjs(B), tfjs(A, 0.1)]])
    np.testing.assert_allclose(sequence.keypoints[[0, 2]], [pixels(A), pixels(B)], rtol=1e-5)
    np.testing.assert_allclose(sequence.world[0, 5, 2], landmarks(5, world=True)[5]["z"], rtol=1e-5)
    assert sequence.size == tuple(np.ceil(np.maximum(pixels(A).max(0), pixels(B).max(0)))[1::-1])
    np.testing.assert_allclose(
        read(tmp_path, [tfjs(A), tfjs(B)]).keypoints, [pixels(A), pixels(B)], rtol=1e-5
    )
    # A planted swap shows.
    swapped = tfjs(A)
    for point in swapped["keypoints"]:
        side, _, part = point["name"].partition("_")
        point["name"] = {"left": f"right_{part}", "right": f"left_{part}"}.get(side, point["name"])
        point["name"] = {"mouth_left": "mouth_right", "mouth_right": "mouth_left"}.get(*[point["name"]] * 2)
    found = read(tmp_path, [swapped]).keypoints[0]
    np.testing.assert_allclose(found, pixels(A)[MEDIAPIPE_33.flip], rtol=1e-5)


def test_movenet(tmp_path):
    points = [
        {"x": 10 + i, "y": 20 + 2 * i, "score": 0.5, "name": n} for i, n in enumerate(COCO_17.keypoints)
    ]
    sequence = read(tmp_path, [[{"keypoints": points}]])
    assert sequence.skeleton is COCO_17
    np.testing.assert_array_equal(sequence.keypoints[0, 3], (13, 26, 0.5))


BAD = {
    "number": ([A[:20]], r"has 20 landmarks; this program reads 33 \(mediapipe_33\) or 17 \(coco_17\)"),
    "names": ([[tfjs(A) | {"keypoints": [p | {"name": "nose"} for p in A]}]], "names are not those of"),
    "unnamed": ([{"keypoints": A[:17]}], "17 landmarks must have names"),
    "text": ([[p | {"x": "left"} for p in A]], "a landmark must be x, y, z and visibility"),
    "mixed": (
        [A, [{"keypoints": [{"x": 9, "y": 9, "name": n} for n in COCO_17.keypoints]}]],
        "mixes coco_17 and",
    ),
    "frames": ({"frames": [], "pose_landmarks": None}, "has no frames"),
    "sizes": ([{"landmarks": A} | SIZED, {"landmarks": A, "width": 3, "height": 3}], "differ in width"),
    "size": ({"frames": [A], "width": -1, "height": 3}, "must be positive"),
    "world": ([landmarks(0, True), landmarks(1, True)], "holds world landmarks"),
    "worlds": ([{"landmarks": [A, B], "worldLandmarks": [A]}], "not as many world landmarks"),
    "frame": ([{"landmarks": A}, 7], "a frame must be a list or a mapping"),
    "landmarks": ([{"landmarks": "all"}], "landmarks must be a list"),
}


@pytest.mark.parametrize(("document", "says"), BAD.values(), ids=BAD.keys())
def test_bad_files_are_named(document, says, tmp_path):
    with pytest.raises(formats.PoseFileError, match=says) as error:
        read(tmp_path, document, size=None if "size" in says or "differ" in says else SIZE)
    assert str(tmp_path / "a.json") in str(error.value) and "\n" not in str(error.value)


def test_a_second_file_must_be_of_the_same_people(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([A, B]))
    (tmp_path / "b.json").write_text(json.dumps([landmarks(0, True), None]))
    with pytest.raises(formats.PoseFileError, match=r"b\.json does not have the people of .*a\.json"):
        mediapipe.read(tmp_path / "a.json", SIZE, world=tmp_path / "b.json")


FILES = [p for p in asset_files.find(".json") if p.name.endswith(".full.json") and "_3d" not in p.name]


@pytest.mark.parametrize(
    "path",
    FILES or [pytest.param(None, marks=pytest.mark.skip(reason=f"no landmarks below {asset_files.ROOT}"))],
    ids=lambda p: getattr(p, "stem", "none"),
)
def test_real_files(path):
    document = np.array(json.loads(path.read_bytes()))
    space = path.with_name(path.name.replace(".full", "_3d.full"))
    people = mediapipe.read(path, world=space if space.is_file() else None)
    assert people.skeleton is MEDIAPIPE_33 and len(people.frames) == len(document)
    sequence = formats.read(path)
    np.testing.assert_allclose(sequence.keypoints[..., :2], document[..., :2], rtol=1e-6)
    assert sequence.size[0] >= document[..., 1].max() and (sequence.keypoints[..., 2] == 1).all()
    if space.is_file():
        depth = np.array(json.loads(space.read_bytes()))
        np.testing.assert_allclose(np.concatenate(people.worlds), depth, rtol=1e-6)
        # Hips are about the origin, and the left ones are the person's own in both files.
        assert np.abs(depth[:, [23, 24]].mean(1)).max() < 0.05
        turns = np.sign((document[:, 23] - document[:, 24])[:, 0])
        np.testing.assert_array_equal(np.sign((depth[:, 23] - depth[:, 24])[:, 0]), turns)
        with pytest.raises(formats.PoseFileError, match="holds world landmarks"):
            formats.read(space)
