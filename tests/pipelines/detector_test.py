import sys

import numpy as np
import pytest

from anime_pt.pipelines import detector, video
from anime_pt.pose import mmpose, tracks
from anime_pt.pose.skeletons import COCO_17
from tests.pipelines import onnx_stand_in

SIZE = (256, 192)
# Pictures of one person, and of several.
SMALL, LARGE = (240, 260), (300, 420)


class Fake:
    """A session without onnxruntime: fixed outputs of given shapes."""

    def __init__(self, given, *outputs):
        self._given, self._outputs = given, outputs
        self.seen = []

    def get_inputs(self):
        return [type("Input", (), {"name": "input", "shape": list(self._given)})]

    def get_outputs(self):
        return [type("Output", (), {"shape": list(np.shape(o))}) for o in self._outputs]

    def run(self, names, feed):
        self.seen.append(feed["input"])
        return [np.asarray(o, np.float32) for o in self._outputs]


def session(data: bytes):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])


def places(count=17, left=50, top=20, seed=0):
    """(k, 2) pixels of joints, none over another, within 180 x 200."""
    grid = np.array([(x, y) for x in range(0, 181, 14) for y in range(0, 201, 14)])
    return grid[np.random.default_rng(seed).permutation(len(grid))[:count]] + (left, top)


def in_order(points, count):
    skeleton, order = mmpose.LAYOUTS[count]
    return points[[order.index(name) for name in skeleton.keypoints]]


@pytest.mark.parametrize(("count", "batch"), [(17, "n"), (17, 1), (18, "n"), (26, "n")])
def test_joints_are_found_where_they_are(count, batch):
    at = places(count)
    find = detector.Detector(session(onnx_stand_in.simcc(count, SIZE, batch)), threshold=0.2)
    image = onnx_stand_in.figure(at, SMALL)
    for _ in range(2):
        (found,) = find(image)
        assert found.shape == (len(find.skeleton), 3) and find.skeleton is mmpose.LAYOUTS[count][0]
        # Half a pixel of the network is about 0.6 of the picture's.
        np.testing.assert_allclose(found[:, :2], in_order(at, count) + 0.5, atol=1.0)
        assert (found[:, 2] > 0.2).all() and (found[:, 2] <= 1).all()


@pytest.mark.parametrize("count", mmpose.LAYOUTS)
def test_layouts(count):
    """In a picture of the network's own shape, whose bins are half pixels and a tenth on each side margin."""
    h, w = SIZE
    rng = np.random.default_rng(count)
    x, y = rng.integers(0, 2 * w, count), rng.integers(0, 2 * h, count)
    scores = rng.uniform(0.4, 0.9, (2, count))
    simcc = np.zeros((1, count, 2 * w)), np.zeros((1, count, 2 * h))
    simcc[0][0, np.arange(count), x], simcc[1][0, np.arange(count), y] = scores
    find = detector.Detector(Fake(("n", 3, *SIZE), *simcc), Fake((1, 3, *SIZE), [[[0, 0, w, h, 1.0]]]))
    (found,) = find(np.zeros((h, w, 3), np.uint8))
    wanted = (np.stack([x, y], 1) / 2 + 0.5 - np.array([w, h]) / 2) / 0.8 + np.array([w, h]) / 2
    np.testing.assert_allclose(found[:, :2], in_order(wanted, count), atol=1e-3)
    np.testing.assert_allclose(found[:, 2], in_order(scores.min(0), count), rtol=1e-6)


def test_a_person_is_followed_lost_and_found_again():
    find = detector.Detector(session(onnx_stand_in.simcc(17, SIZE)), threshold=0.2)
    empty = np.full((*SMALL, 3), 127, np.uint8)
    for shift in (0, 6, 12, None, 55, 50):
        if shift is None:
            assert find(empty).shape == (0, 17, 3)
            continue
        at = places(left=10 + shift, seed=3)
        (found,) = find(onnx_stand_in.figure(at, SMALL))
        np.testing.assert_allclose(found[:, :2], at + 0.5, atol=1.0)


def test_hidden_joints_are_unknown_and_few_are_nobody():
    find = detector.Detector(session(onnx_stand_in.simcc(17, SIZE)), threshold=0.2)
    at = places()
    image = onnx_stand_in.figure(at, SMALL)
    for x, y in at[[3, 9]]:
        image[y - 4 : y + 5, x - 4 : x + 5] = 127
    (found,) = find(image)
    np.testing.assert_array_equal(found[[3, 9]], [(np.nan, np.nan, 0)] * 2)
    assert np.isfinite(found).all(1).sum() == 15
    for x, y in at[3:]:
        image[y - 4 : y + 5, x - 4 : x + 5] = 127
    assert not len(find(image))


def boxes_of(*people, size):
    """(1, m, 5) as YOLOX gives them, in the pixels of its input."""
    factor = min(size[0] / LARGE[0], size[1] / LARGE[1])
    rows = [[*(at.min(0) - 8) * factor, *(at.max(0) + 8) * factor, score] for at, score in people]
    return np.array([rows])


@pytest.mark.parametrize("bare", [False, True])
def test_several_people_by_their_boxes(bare):
    size = (320, 416)
    left, right = places(17, 20, 60, 1), places(17, 220, 30, 2)
    image, other = (onnx_stand_in.figure(at, LARGE) for at in (left, right))
    image = np.where((other != 127).any(-1, keepdims=True), other, image)
    # One of them found twice, and something that is nobody.
    rows = boxes_of((left, 0.8), (right, 0.9), (right + 3, 0.6), (left + 50, 0.1), size=size)
    if bare:
        rows = bare_cells(rows[0], size)[None]
    network = session(onnx_stand_in.fixed(size, dets=rows))
    find = detector.Detector(session(onnx_stand_in.simcc(17, SIZE)), network, threshold=0.2)
    found = find(image)
    assert len(found) == 2
    np.testing.assert_allclose(found[..., :2], np.stack([right, left]) + 0.5, atol=1.0)
    nobody = session(onnx_stand_in.fixed(size, dets=rows * (np.arange(rows.shape[2]) != 4)))
    assert not len(detector.Detector(session(onnx_stand_in.simcc(17, SIZE)), nobody)(image))


def bare_cells(rows, size):
    """Boxes as YOLOX's cells have them: offsets and logarithms in strides, how sure, and 80 classes."""
    cells = [(x, y, s) for s in (8, 16, 32) for y in range(size[0] // s) for x in range(size[1] // s)]
    out = np.zeros((len(cells), 85))
    for place, (x0, y0, x1, y1, score) in zip((5, 900, 2200, 2500), rows, strict=True):
        x, y, stride = cells[place]
        out[place, :4] = (
            (x0 + x1) / 2 / stride - x,
            (y0 + y1) / 2 / stride - y,
            *np.log([(x1 - x0) / stride, (y1 - y0) / stride]),
        )
        out[place, 4:6] = np.sqrt(score)
    # A surer dog.
    out[7, :4], out[7, 4], out[7, 22] = (1, 1, 2, 2), 1, 1
    return out


def test_everybody_at_once():
    size = (256, 320)
    factor = min(size[0] / LARGE[0], size[1] / LARGE[1])
    people = [places(17, 20, 60, 1), places(17, 220, 30, 2), places(17, 222, 30, 2)]
    joints = np.concatenate([np.stack(people) * factor, np.full((3, 17, 1), 0.9)], -1)
    joints[0, 4, 2] = 0.1
    boxes = boxes_of(*zip(people, (0.8, 0.9, 0.6), strict=True), size=size)
    find = detector.Detector(session(onnx_stand_in.fixed(size, dets=boxes, keypoints=joints[None])))
    found = find(np.full((*LARGE, 3), 127, np.uint8))
    assert len(found) == 2
    half = 0.5 / factor
    np.testing.assert_allclose(found[0, :, :2], people[1] + half, atol=0.01)
    known = np.arange(17) != 4
    np.testing.assert_allclose(found[1, known, :2], people[0][known] + half, atol=0.01)
    np.testing.assert_array_equal(found[1, 4], (np.nan, np.nan, 0))


def test_what_networks_are_given():
    """Colours as they were trained on, the picture at the top left of the grey."""
    image = np.zeros((30, 40, 3), np.uint8)
    image[:] = (200, 100, 50)
    simcc = Fake(("n", 3, *SIZE), np.zeros((1, 17, 384)), np.zeros((1, 17, 512)))
    detector.Detector(simcc)(image)
    (given,) = simcc.seen
    np.testing.assert_allclose(
        given[0, :, 128, 96],
        (np.array([200, 100, 50]) - (123.675, 116.28, 103.53)) / (58.395, 57.12, 57.375),
        rtol=1e-5,
    )
    together = Fake((1, 3, 64, 64), np.zeros((1, 1, 5)), np.zeros((1, 1, 17, 3)))
    assert not len(detector.Detector(together)(image))
    (given,) = together.seen
    np.testing.assert_array_equal(given[0, :, 10, 10], (50, 100, 200))
    np.testing.assert_array_equal(given[0, :, 60, 10], (114, 114, 114))


def test_a_video_becomes_people(tmp_path):
    find = detector.Detector(session(onnx_stand_in.simcc(17, SIZE)), threshold=0.2)
    moving = [places(left=10 + 8 * i, seed=5) for i in range(5)]
    frames = [onnx_stand_in.figure(at, SMALL) for at in moving]
    frames[2] = np.full_like(frames[2], 127)
    video.write(str(tmp_path / "a.gif"), frames, 10)
    told = []
    people, broken = detector.people(find, tmp_path / "a.gif", told.append)
    assert (people.skeleton, people.fps, broken, told) == (COCO_17, 10, "", [1, 2, 3, 4, 5])
    assert [len(f) for f in people.frames] == [1, 1, 0, 1, 1] and people.sizes[0] == SMALL
    followed = tracks.follow(people).keypoints
    seen = [0, 1, 3, 4]
    np.testing.assert_allclose(followed[seen, :, :2], np.stack(moving)[seen] + 0.5, atol=1.5)


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        detector.DetectorError, match=r"pip install 'anime_pt\[human\]' and give the ONNX file of"
    ):
        detector.load(tmp_path / "a.onnx")


def test_bad_files_are_named(tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    with pytest.raises(FileNotFoundError, match=r"there is no network .*: give the ONNX file of RTMPose"):
        detector.load(tmp_path / "a.onnx")
    (tmp_path / "a.onnx").write_bytes(b"PK\x03\x04 an archive")
    with pytest.raises(
        detector.DetectorError, match=r"is no ONNX network that can be read \(unpack archives\)"
    ) as error:
        detector.load(tmp_path / "a.onnx")
    assert "\n" not in str(error.value)
    (tmp_path / "b.onnx").write_bytes(onnx_stand_in.simcc(17, SIZE))
    assert detector.Detector(detector.load(tmp_path / "b.onnx")).skeleton is COCO_17


SIMCC = (np.zeros((1, 17, 384)), np.zeros((1, 17, 512)))
BAD = {
    "input": (lambda: detector.Detector(Fake((1, 3, "h", "w"), *SIMCC)), "no pictures of a fixed size"),
    "outputs": (
        lambda: detector.Detector(Fake((1, 3, *SIZE), SIMCC[0])),
        "none of RTMPose, RTMW, DWPose and RTMO",
    ),
    "joints": (
        lambda: detector.Detector(Fake((1, 3, *SIZE), np.zeros((1, 21, 384)), np.zeros((1, 21, 512)))),
        r"finds 21 joints; this program knows 17 \(coco_17\)",
    ),
    "boxes": (
        lambda: detector.Detector(Fake((1, 3, *SIZE), *SIMCC), Fake((1, 3, *SIZE), np.zeros((1, 9)))),
        "boxes come from YOLOX",
    ),
    "cells": (
        lambda: detector.Detector(Fake((1, 3, *SIZE), *SIMCC), Fake((1, 3, 64, 64), np.zeros((1, 7, 85))))(
            np.zeros((9, 9, 3), np.uint8)
        ),
        "YOLOX must have 84 cells for its input, not 7",
    ),
}


@pytest.mark.parametrize(("call", "says"), BAD.values(), ids=BAD.keys())
def test_other_networks_are_refused(call, says):
    with pytest.raises(detector.DetectorError, match=says):
        call()
