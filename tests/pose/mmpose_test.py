import json

import numpy as np
import pytest

from anime_pt.pose import formats, mmpose
from anime_pt.pose.skeletons import COCO_17, COCO_WHOLEBODY_133, HALPE_26, OPENPOSE_18

T, N = 4, 2


def points(count, frames=T, people=N):
    """(t, n, k, 2) places that differ everywhere, and (t, n, k) scores."""
    rng = np.random.default_rng(count)
    places = rng.uniform(5, 195, (frames, people, count, 2)).round(2)
    places[:, 1] += 300  # The people are far apart.
    return places, rng.uniform(0.1, 0.99, (frames, people, count)).round(3)


def wanted(places, scores):
    """Joints in this project's pixels."""
    return np.concatenate([places + 0.5, scores[..., None]], -1)


def openpose_order(places, scores):
    """What `to_openpose` makes of COCO's joints: a neck behind them, then in OpenPose's order."""
    body = [COCO_17.index(n) if n in COCO_17.keypoints else 17 for n in OPENPOSE_18.keypoints]

    def turned(values, neck):
        behind = values[:, :, 17:]
        return np.concatenate(
            [np.concatenate([values[:, :, :17], neck[:, :, None]], 2)[:, :, body], behind], 2
        )

    return turned(places, places[:, :, 5:7].mean(2)), turned(scores, scores[:, :, 5:7].min(2))


def write(path, document):
    path.write_text(json.dumps(document))
    return path


def check(people, places, scores, rows=range(T)):
    for i in rows:
        np.testing.assert_allclose(people.frames[i], wanted(places, scores)[i], rtol=1e-5)


def test_orders_are_mmposes():
    # configs/_base_/datasets/{coco_wholebody,halpe26}.py of MMPose.
    documented = {17: "left_big_toe", 19: "left_heel", 20: "right_big_toe", 31: "chin", 23: "right_jaw_1"}
    documented |= {
        91: "left_hand_root",
        95: "left_thumb_4",
        112: "right_hand_root",
        132: "right_pinky_finger_4",
    }
    for index, name in documented.items():
        assert COCO_WHOLEBODY_133.keypoints[index] == name
    documented = {17: "head_top", 18: "neck", 19: "mid_hip", 20: "left_big_toe", 21: "right_big_toe"}
    documented |= {22: "left_small_toe", 25: "right_heel"}
    for index, name in documented.items():
        assert HALPE_26.keypoints[index] == name
    assert COCO_WHOLEBODY_133.keypoints[:17] == HALPE_26.keypoints[:17] == COCO_17.keypoints


@pytest.mark.parametrize("skeleton", [COCO_17, HALPE_26, COCO_WHOLEBODY_133], ids=lambda s: s.name)
@pytest.mark.parametrize("form", ["json", "rows", "npz", "npz rows", "padded"])
def test_rtmlibs_results(skeleton, form, tmp_path):
    places, scores = points(len(skeleton))
    together = np.concatenate([places, scores[..., None]], -1)
    path = tmp_path / ("a.npz" if "npz" in form or form == "padded" else "a.json")
    if form == "json":
        write(
            path,
            [{"keypoints": p, "scores": s} for p, s in zip(places.tolist(), scores.tolist(), strict=True)],
        )
    elif form == "rows":
        write(path, together.tolist())
    elif form == "npz":
        np.savez(path, keypoints=places, scores=scores, width=640, height=480, fps=25)
    elif form == "npz rows":
        frame = np.repeat(np.arange(T), N)
        np.savez(
            path,
            keypoints=places.reshape(-1, *places.shape[2:]),
            scores=scores.reshape(-1, len(skeleton)),
            frame=frame,
        )
    else:
        padded = np.full((T, N + 1, *together.shape[2:]), np.nan)
        padded[:, :N] = together
        np.savez(path, keypoints=padded)
    people = formats.read_people(path)
    assert people.skeleton is skeleton and len(people.frames) == T
    check(people, places, scores)
    if form == "npz":
        assert (people.sizes[0], people.fps) == ((480, 640), 25)
    else:
        assert people.sizes[0] == tuple(np.ceil(places.max((0, 1, 2)) + 0.5)[::-1])


@pytest.mark.parametrize("skeleton", [COCO_17, COCO_WHOLEBODY_133], ids=lambda s: s.name)
def test_openposes_order_is_turned_back(skeleton, tmp_path):
    places, scores = points(len(skeleton))
    turned, marks = openpose_order(places, scores)
    assert turned.shape[2] == len(skeleton) + 1
    np.savez(tmp_path / "a.npz", keypoints=turned, scores=marks)
    people = formats.read_people(tmp_path / "a.npz")
    assert people.skeleton is skeleton
    check(people, places, scores)


def test_one_person_and_nobody(tmp_path):
    places, scores = (v[:, :1] for v in points(17))
    one = lambda i: {"keypoints": places[i, 0].tolist(), "scores": scores[i, 0].tolist()}
    document = [one(0), None, {"keypoints": [], "scores": []}, one(1), []]
    sequence = formats.read(write(tmp_path / "a.json", document), size=(480, 640), fps=24)
    known = np.isfinite(sequence.keypoints[..., 0]).all(1)
    np.testing.assert_array_equal(known, [True, False, False, True, False])
    np.testing.assert_allclose(sequence.keypoints[[0, 3]], wanted(places, scores)[:2, 0], rtol=1e-5)
    assert (sequence.size, sequence.fps) == ((480, 640), 24)
    np.savez(tmp_path / "b.npz", keypoints=places[:, 0], scores=scores[:, 0])
    np.testing.assert_allclose(
        formats.read(tmp_path / "b.npz").keypoints, wanted(places, scores)[:, 0], rtol=1e-5
    )
    scores[1, 0, 3] = 0
    np.savez(tmp_path / "b.npz", keypoints=places[:, 0], scores=scores[:, 0])
    np.testing.assert_array_equal(formats.read(tmp_path / "b.npz").keypoints[1, 3], (np.nan, np.nan, 0))


def instances(places, scores, rows=slice(None)):
    return [
        {"keypoints": p[rows].tolist(), "keypoint_scores": s[rows].tolist()}
        for p, s in zip(places, scores, strict=True)
    ]


@pytest.mark.parametrize("names", [False, True])
def test_mmposes_files(names, tmp_path):
    places, scores = points(26)
    theirs = {"head_top": "head", "mid_hip": "hip"}
    order = np.random.default_rng(0).permutation(26) if names else np.arange(26)
    found = [
        {"frame_id": 1 + i + (i > 1), "instances": instances(places[i], scores[i], order)} for i in range(T)
    ]
    meta = {
        "keypoint_id2name": {
            str(i): theirs.get(HALPE_26.keypoints[j], HALPE_26.keypoints[j]) for i, j in enumerate(order)
        }
    }
    document = {"meta_info": meta if names else {}, "instance_info": found}
    people = formats.read_people(write(tmp_path / "a.json", document))
    assert people.skeleton is HALPE_26 and [len(f) for f in people.frames] == [2, 2, 0, 2, 2]
    check(people, places, scores, [0, 1])
    np.testing.assert_allclose(people.frames[4], wanted(places, scores)[3], rtol=1e-5)
    if not names:
        again = formats.read_people(write(tmp_path / "b.json", found))
        np.testing.assert_array_equal(again.frames[4], people.frames[4])
        picture = formats.read_people(write(tmp_path / "b.json", found[0]["instances"]))
        np.testing.assert_array_equal(picture.frames[0], people.frames[0])
        assert len(picture.frames) == 1


def test_names_of_wholebody(tmp_path):
    places, scores = points(133)
    bare = lambda name: name.rstrip("0123456789").rstrip("_") + name[len(name.rstrip("0123456789")) :]
    names = [
        f"face-{i - 23}" if 23 <= i < 91 else bare(n) for i, n in enumerate(COCO_WHOLEBODY_133.keypoints)
    ]
    assert names[92] == "left_thumb1"
    table = {str(i): name for i, name in enumerate(names[::-1])}
    found = [
        {"frame_id": i, "instances": instances(places[i], scores[i], slice(None, None, -1))} for i in range(T)
    ]
    document = {"meta_info": {"keypoint_id2name": table}, "instance_info": found}
    people = formats.read_people(write(tmp_path / "a.json", document))
    check(people, places, scores)


COUNTS = r"this program reads 17 \(coco_17\), 18 .*26 \(halpe_26\), 133 .*134 .*MediaPipe's 33"
NAMED = {"meta_info": {"keypoint_id2name": {"0": "nose", "1": "tail"}}}
PERSON = {"keypoints": [[1, 2]] * 17, "keypoint_scores": [1] * 17}
BAD = {
    "number": ([[[1, 2, 1]] * 19], f"has 19 joints; {COUNTS}"),
    "names": (
        NAMED | {"instance_info": [{"frame_id": 0, "instances": [PERSON]}]},
        "names are not those of coco_17",
    ),
    "mixed": ([[[1, 2, 1]] * 17, [[1, 2, 1]] * 26], "mixes people of 17 and 26 joints"),
    "no scores": ([[[1, 2]] * 17], "there are no scores"),
    "scores": ([{"keypoints": [[1, 2]] * 17, "scores": [1] * 3}], "cannot reshape"),
    "text": ([{"keypoints": [["a", 2]] * 17, "scores": [1] * 17}], "could not convert"),
    "empty": ({"instance_info": []}, "has no frames"),
    "numbers": ([{"frame_id": 3, "instances": [PERSON]}] * 2, '"frame_id": has a frame number twice'),
}


@pytest.mark.parametrize(("document", "says"), BAD.values(), ids=BAD.keys())
def test_bad_files_are_named(document, says, tmp_path):
    path = write(tmp_path / "a.json", document)
    with pytest.raises(formats.PoseFileError, match=says) as error:
        formats.read(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


BAD_ARRAYS = {
    "nothing": ({"scores": np.ones((2, 17))}, "has no array 'keypoints'"),
    "shape": ({"keypoints": np.ones((17, 2)), "scores": np.ones(17)}, "not .people, joints, 2."),
    "number": ({"keypoints": np.ones((2, 5, 3))}, f"has 5 joints; {COUNTS}"),
    "frame": ({"keypoints": np.ones((2, 17, 3)), "frame": np.array([0])}, "a number from 0 up for each row"),
    "far": (
        {"keypoints": np.ones((2, 17, 3)), "frame": np.array([0, 10**6])},
        "nearly all frames have nobody",
    ),
    "objects": ({"keypoints": np.array([{"a": 1}])}, "is no file of plain arrays"),
    "fps": ({"keypoints": np.ones((2, 17, 3)), "fps": np.array(0)}, "must be positive"),
}


@pytest.mark.parametrize(("arrays", "says"), BAD_ARRAYS.values(), ids=BAD_ARRAYS.keys())
def test_bad_arrays_are_named(arrays, says, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(formats.PoseFileError, match=says) as error:
        formats.read(tmp_path / "a.npz")
    assert str(tmp_path / "a.npz") in str(error.value) and "\n" not in str(error.value)


def test_torn_and_absent_arrays(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(formats.PoseFileError, match="is no file of plain arrays"):
        formats.read(tmp_path / "a.npz")
    with pytest.raises(FileNotFoundError, match="there is no pose file"):
        mmpose.read(tmp_path / "b.npz")
