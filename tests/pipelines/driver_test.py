"""Motions of every kind as joints at a constant rate; what is not found is filled in or reported."""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from anime_pt.pipelines import driver, estimator, video
from anime_pt.pose import formats
from anime_pt.pose.sequences import PoseSequence
from anime_pt.pose.skeletons import AVATAR_20, COCO_17
from tests.pipelines import stand_in


def moving(frames=20, fps=10.0, speed=30.0):
    """A figure that moves to the right by so many pixels in a second."""
    _, points = stand_in.figure()
    out = np.repeat(points[None].astype(np.float32), frames, 0)
    out[..., 0] += speed * np.arange(frames)[:, None] / fps
    return PoseSequence(out, COCO_17, (300.0, 400.0), fps)


def film(path, ticks, images):
    """A video whose frames are shown at these milliseconds."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=1000)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image, tick in zip(images, ticks, strict=True):
            picture = av.VideoFrame.from_ndarray(image, format="rgb24")
            picture.pts, picture.time_base = tick, Fraction(1, 1000)
            out.mux(stream.encode(picture))
        out.mux(stream.encode())


@pytest.mark.parametrize("name,kind", [("a.json", "coco"), ("b.json", "anime_pt"), ("c", "openpose")])
def test_files_of_joints(name, kind, tmp_path):
    poses = moving()
    formats.write(tmp_path / name, poses, kind)
    found = driver.read(str(tmp_path / name), fps=10)
    assert found.film is None and found.poses.fps == 10
    got = found.poses.as_skeleton(COCO_17)
    np.testing.assert_allclose(got.keypoints[..., :2], poses.keypoints[..., :2], atol=0.01)
    # Another rate than the file says.
    if kind == "anime_pt":
        twice = driver.read(str(tmp_path / name), fps=20).poses
        np.testing.assert_allclose(np.diff(twice.keypoints[:-1, 0, 0]), 1.5, atol=1e-3)


def test_motions_of_skeletons_are_performed_and_projected():
    poses = driver.read("procedural:3,10").poses
    assert poses.keypoints.shape == (10, 20, 3) and poses.skeleton is AVATAR_20 and poses.fps == 30
    assert (
        np.isfinite(poses.keypoints).all()
        and poses.keypoints[:, 0, 1].max() < poses.keypoints[:, 10, 1].min()
    )
    slow = driver.read("procedural:3,10", fps=15).poses
    np.testing.assert_allclose(slow.keypoints, poses.keypoints[::2], atol=1e-3)
    side = driver.read("procedural:3,10", fps=1, yaw=90).poses
    width = lambda p: np.abs(
        np.diff(p.keypoints[0, [AVATAR_20.index(f"{s}_shoulder") for s in ("left", "right")], 0])
    )
    assert width(side) < 0.6 * width(poses)


def test_varying_rates_become_constant(tmp_path):
    ticks = [0, 30, 100, 140, 260, 300, 400, 520, 560, 600]
    film(tmp_path / "電話.mkv", ticks, [np.full((48, 64, 3), 20 * i, np.uint8) for i in range(10)])

    def find(path):
        poses = moving(10)
        poses.keypoints[..., 0] = np.array(ticks)[:, None] / 10
        return poses, ["one remark"]

    found = driver.read(str(tmp_path / "電話.mkv"), find, fps=20)
    assert found.film.name == "電話.mkv" and found.remarks[0] == "one remark"
    assert "from 30 to 120 milliseconds" in found.remarks[1] and "20 frames per second" in found.remarks[1]
    x = found.poses.keypoints[:, 0, 0]
    np.testing.assert_allclose(x[:13], 5 * np.arange(13), atol=0.1)
    assert len(x) == 13


def test_nothing_is_made_up_between_unknown_frames():
    poses = moving(4)
    poses.keypoints[1] = np.nan, np.nan, 0
    out = driver.even(poses, np.arange(4) / 10, 20).keypoints[:, 0]
    assert np.isfinite(out[:, 0]).tolist() == [True, False, False, False, True, True, True, True]
    assert (out[1:4, 2] == 0).all()


def test_gaps_are_filled_or_reported():
    poses = moving(40)
    whole = poses.keypoints.copy()
    poses.keypoints[5:7] = np.nan, np.nan, 0
    poses.keypoints[20:30, 9] = np.nan, np.nan, 0
    done, report = driver.clean(driver.Driver(poses), longest_gap=0.3)
    np.testing.assert_allclose(done.poses.keypoints[5:7, :, :2], whole[5:7, :, :2], atol=1e-3)
    assert not np.isfinite(done.poses.keypoints[20:30, 9, 0]).any()
    assert report.lines() == [
        "frames 5 to 6: all joints: filled in",
        "frames 20 to 29: left_wrist: unknown: the gap is too long to be filled",
    ]
    smooth, _ = driver.clean(driver.Driver(poses), "openmmd", 2.0)
    assert np.isfinite(smooth.poses.keypoints).all()


def test_a_part_of_a_motion():
    poses = moving()
    poses.keypoints[3:7] = np.nan, np.nan, 0
    poses.keypoints[[10, 11, 16], 9] = np.nan, np.nan, 0
    part, report = driver.part(*driver.clean(driver.Driver(poses), longest_gap=0.4), 0.5, 0.8)
    assert part.start == 0.5 and len(part.poses.keypoints) == 8
    # Filled by what is before the part, too; frames count from its first.
    np.testing.assert_allclose(part.poses.keypoints, moving().keypoints[5:13], atol=1e-3)
    assert report.lines() == ["frames 0 to 1: all joints: filled in", "frames 5 to 6: left_wrist: filled in"]
    assert report.empty == (0, 1) and report.frames == 8
    with pytest.raises(driver.DriverError, match=r"lasts 2.00 seconds: it has no moment 2"):
        driver.part(*driver.clean(driver.Driver(moving())), 2.0)


class Crowd:
    """Finds two people, by the brightness of the picture; nobody in the fourth."""

    skeleton = COCO_17

    def __init__(self):
        self._count = 0

    def __call__(self, image):
        self._count += 1
        small, large = moving(1).keypoints[0] * (0.5, 0.5, 1), moving(1).keypoints[0] + (0, 20, 0)
        return np.stack([small, large])[: 0 if self._count == 4 else 2].astype(np.float32)


def test_people_in_films(tmp_path):
    path = tmp_path / "dance.mp4"
    video.write(path, [np.full((300, 400, 3), 9, np.uint8)] * 6, 10)
    seen = []
    found = driver.read(str(path), driver.filmed(Crowd(), None, seen.append))
    tall = lambda p: np.ptp(p.poses.keypoints[0, :, 1])
    assert seen == [1, 2, 3, 4, 5, 6] and len(found.poses.keypoints) == 6
    assert not np.isfinite(found.poses.keypoints[3, :, 0]).any()
    other = driver.read(str(path), driver.filmed(Crowd(), 1))
    assert tall(other) == pytest.approx(tall(found) / 2, abs=1)
    with pytest.raises(driver.DriverError, match=r"dance.mp4: there is no person 7 \(0: found in 5 frames"):
        driver.read(str(path), driver.filmed(Crowd(), 7))


def test_drawn_figures_in_films(tmp_path):
    image, points = stand_in.figure()
    flat = np.where(image[..., 3:] == 255, image[..., :3], 255).astype(np.uint8)
    video.write(tmp_path / "a.apng", [flat, flat, np.full_like(flat, 255), flat], 10)
    finder = estimator.Estimator(stand_in.ByColour(), None, batch=2)
    found = driver.read(str(tmp_path / "a.apng"), driver.drawn(finder, 0.2))
    np.testing.assert_allclose(found.poses.keypoints[1, :, :2], points[:, :2], atol=1)
    assert not np.isfinite(found.poses.keypoints[2, :, 0]).any()


def test_what_is_no_motion(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "still.png")
    (tmp_path / "text.txt").write_text("dance")
    (tmp_path / "none.mp4").write_bytes(b"")
    nobody = moving(3)
    nobody.keypoints[:] = np.nan, np.nan, 0
    formats.write(tmp_path / "nobody.json", nobody)
    for name, words in (
        ("missing.mp4", "there is no motion"),
        ("still.png", "a still picture: for one pose use"),
        ("text.txt", "no motion that can be read: give a file of .json"),
        ("nobody.json", "shows nobody: no joint was found"),
        ("none.mp4", "no video that can be read"),
    ):
        with pytest.raises((ValueError, OSError), match=words) as error:
            driver.read(str(tmp_path / name), driver.filmed(Crowd()))
        assert "\n" not in str(error.value) and name in str(error.value)
