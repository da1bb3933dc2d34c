"""A picture and a motion in, an animation out: where the figure goes, what is kept, what is said. The network
draws sticks."""

import dataclasses
import json
import resource
import subprocess
import threading
import warnings

import cv2
import numpy as np
import pytest
from PIL import Image

from anime_pt.metrics import flicker
from anime_pt.pipelines import (
    animate,
    animation,
    canvas,
    driver,
    figures,
    matting,
    pictures,
    room,
    steady,
    transfer,
    video,
    video_reader,
)
from anime_pt.pose.sequences import PoseSequence
from anime_pt.pose.skeletons import AVATAR_20, COCO_17
from tests.pipelines import puppet, stand_in

GROUND = np.array([200, 220, 250])
HIPS, ANKLES = ("left_hip", "right_hip"), ("left_ankle", "right_ankle")


@pytest.fixture(scope="module")
def model():
    return puppet.Puppet()


def dancer(frames=12, fps=10.0, right=0.0, up=(), scale=1.5, skeleton=COCO_17):
    """A larger figure that walks to the right (pixels in a frame) and leaps (frame -> pixels)."""
    _, points = stand_in.figure()
    points = PoseSequence(points[None].astype(np.float32), COCO_17, (600.0, 600.0)).as_skeleton(skeleton)
    out = np.repeat(points.keypoints * np.float32([scale, scale, 1]), frames, 0)
    out[..., 0] += right * np.arange(frames)[:, None]
    for frame, height in dict(up).items():
        out[frame, :, 1] -= height
    return PoseSequence(out, skeleton, (600.0, 600.0), fps)


def at(points, *names):
    return points[..., [AVATAR_20.index(n) for n in names], :2].mean(-2)


def made(cut, poses, model, part="picture", **options):
    """The plan, its canvas and all pictures."""
    plan = animate.plan(cut, poses, model)
    shown = canvas.of(cut, plan, part, **options)
    images = [shown.put(f, w) for f, w in zip(animate.frames(plan, model, 4), plan.windows, strict=True)]
    return plan, shown, images


def test_jumps_stay_jumps(model):
    leap = {4: 30.0, 5: 45.0, 6: 30.0}
    plan = animate.plan(puppet.character(), dancer(up=leap), model)
    feet = at(plan.poses, *ANKLES)[:, 1]
    legs = np.linalg.norm(at(plan.poses, *HIPS) - at(plan.poses, *ANKLES), axis=1)
    np.testing.assert_allclose(legs, legs[0], rtol=0.05)
    # One scale: the character's legs over the driver's.
    scale = legs[0] / np.linalg.norm(
        at(dancer(1, skeleton=AVATAR_20).keypoints, *HIPS)
        - at(dancer(1, skeleton=AVATAR_20).keypoints, *ANKLES)
    )
    for frame in range(12):
        assert feet[0] - feet[frame] == pytest.approx(scale * leap.get(frame, 0), abs=1.5), frame
    # It stands where it stands in its picture.
    assert feet[0] == pytest.approx(at(plan.source.points, *ANKLES)[1], abs=1.0)


def test_the_window_goes_along_and_the_figure_arrives_where_it_goes(model):
    poses = dancer(right=36.0)
    plan, shown, images = made(puppet.character(), poses, model)
    assert np.ptp(plan.windows[:, 0]) > 20 and images[0].shape == (300, 400, 4)
    asked = at(plan.asked, *HIPS)
    assert (asked[:, 0] > 20).all() and (asked[:, 0] < 44).all()
    where = plan.poses[:, AVATAR_20.index("left_wrist"), :2] @ shown.matrix[:, :2].T + shown.matrix[:, 2]
    seen = 0
    for image, wanted in zip(images, where, strict=True):
        if wanted[0] < 370:
            x, y, _ = puppet.hand(np.where(image[..., 3:] > 200, image, 0))
            assert np.hypot(x - wanted[0], y - wanted[1]) < 3
            seen += 1
    assert seen > 5
    # As it began: where the figure is in the picture.
    cut = puppet.character()
    np.testing.assert_allclose(where[0], cut.points[AVATAR_20.index("left_wrist"), :2], atol=6)
    # What leaves the picture is there on a larger canvas.
    _, wide, images = made(puppet.character(), poses, model, "motion")
    assert wide.size[1] > 400 and puppet.hand(images[-1])[2] > 50
    still = animate.plan(cut, poses, model, in_place=True)
    assert np.ptp(at(still.poses, *HIPS)[:, 0]) < 2


def test_backgrounds_and_transparency(model, tmp_path):
    cut = puppet.character(GROUND)
    plan, shown, images = made(cut, dancer(right=6.0), model)
    hidden = cut.image[..., 3] > 0
    # Where the figure was there is background, and elsewhere what was there.
    assert np.abs(shown.behind.astype(int) - GROUND).max() <= 3
    box = figures.find(images[-1]).box
    assert box[0] > figures.find(images[0]).box[0] + 20
    assert images[-1].shape == (300, 400, 3) and (images[-1][:, :40] == GROUND).all() and hidden[:, 60:].any()
    # Small, a pattern becomes its mean: nothing of it is left out.
    stripes = np.where(np.arange(400) % 4 == 3, 0, 240).astype(np.uint8)
    picture = np.broadcast_to(stripes[:, None], (300, 400, 3))
    small = canvas.of(dataclasses.replace(cut, picture=picture), plan, side=100).behind
    assert np.abs(small[:, -20:].astype(int) - 180).max() < 40 and small.shape == (75, 100, 3)
    # Transparent pictures stay so; other backgrounds are put behind.
    clear = puppet.character()
    _, shown, images = made(clear, dancer(2), model)
    assert (
        images[0].shape[2] == 4
        and images[0][..., 3].min() == 0
        and (images[0][images[0][..., 3] == 0, :3] == 255).all()
    )
    solid = images[0][..., 3] == 255
    _, _, before = made(clear, dancer(2), model, background="#102030")
    assert (before[0][images[0][..., 3] == 0] == (16, 32, 48)).all()
    assert np.abs(before[0][solid].astype(int) - images[0][solid, :3]).max() <= 2
    Image.new("RGB", (20, 30), (9, 99, 199)).save(tmp_path / "b.png")
    _, _, before = made(clear, dancer(1), model, background=str(tmp_path / "b.png"), side=100)
    assert before[0].shape == (75, 100, 3) and tuple(before[0][0, 0]) == (9, 99, 199)
    with pytest.raises(ValueError, match="over 8192: say a --size"):
        canvas.of(clear, plan, side=9000)


def test_the_network_may_make_the_mask_or_not():
    y, x = np.mgrid[:64, :64]
    share = np.clip(20 - np.hypot(x - 31.5, y - 31.5), 0, 1)[..., None]
    colour = np.array([180, 60, 20])
    image = (share * colour + 255 * (1 - share)).round().astype(np.uint8)
    image[28:36, 28:36] = 255  # White in the middle is no background.
    image[3:5, 3:5] = 90  # A speck is nobody.
    for picture in (image, np.dstack([image, (255 * share).astype(np.uint8)])):
        out = matting.matted(picture)
        assert np.abs(out[..., 3:] / 255.0 - share)[6:].max() < (0.5 if picture.shape[2] == 3 else 0.26)
        assert (out[28:36, 28:36] == 255).all() and out[4, 4, 3] == 0
        solid = (share[..., 0] == 1) & (image[..., 0] != 255)
        assert (out[solid, :3] == colour).all()


def test_a_blurred_mask_becomes_sharper_and_its_colours_stay():
    share = np.clip((np.arange(64) - 24) / 16, 0, 1)[None, :, None].repeat(64, 0)
    colour = np.array([180, 60, 20])
    image = np.concatenate([share * colour + 255 * (1 - share), 255 * share], -1).round().astype(np.uint8)
    image[2:4, 2:4] = 0, 0, 0, 255  # A speck.
    out = matting.matted(image)
    between = (out[..., 3] > 0) & (out[..., 3] < 255)
    assert 6 <= between[10].sum() <= 9 < 14 < ((image[10, :, 3] > 0) & (image[10, :, 3] < 255)).sum()
    assert (out[10, :, 3] >= 128).sum() == (image[10, :, 3] >= 128).sum() and not out[2:4, 2:4, 3].any()
    assert np.abs(out[10, out[10, :, 3] > 0, :3].astype(int) - colour).max() <= 3


def test_wide_motions_are_made_smaller_to_fit(model):
    poses = dancer(8)
    for side, sign in (("left", 1), ("right", -1)):
        for joint, far in (("elbow", 55), ("wrist", 110)):
            hip = poses.keypoints[:, COCO_17.index(f"{side}_shoulder"), :2]
            poses.keypoints[:, COCO_17.index(f"{side}_{joint}"), :2] = hip + np.float32([sign * far * 1.5, 0])
    plan = animate.plan(puppet.character(), poses, model)
    assert 0.6 <= plan.zoom < 0.95 and any("figure is drawn" in r for r in plan.remarks)
    x, y = np.moveaxis(plan.asked[..., :2], -1, 0)
    assert (x > 0).all() and (x < model.size[1]).all() and (y > 0).all() and (y < model.size[0]).all()
    # The source is made smaller with it.
    have, want = (
        np.linalg.norm(at(p, *HIPS) - at(p, "neck"), axis=-1) for p in (plan.source.points, plan.poses)
    )
    assert have == pytest.approx(want[0], rel=0.15)
    (line,) = (r for r in plan.remarks if "figure is drawn" in r)
    assert "in the network's picture" in line and line.endswith("will be less sharp")


def test_room_around_a_smaller_figure_is_smaller(model):
    cut = puppet.character()
    usual = animate.plan(cut, dancer(), model)
    x, y = model.size[1] / 2, model.frame.ground * model.size[0]
    points = usual.poses.copy()
    points[..., :2] = (points[..., :2] - [x, y]) * 0.6 + [x, y]
    small = dataclasses.replace(usual, source=transfer.placed(cut, model, 0.6), poses=points, zoom=0.6)
    # In the user's picture both figures are of one size.
    np.testing.assert_allclose(
        canvas.of(cut, small, "figure").size, canvas.of(cut, usual, "figure").size, atol=3
    )
    high = points - [0, 500, 0]
    windows = animate._windows(high, model, 10, 0.6)
    stature = 0.6 * model.frame.stature * model.size[0]
    # The window goes up with its hair.
    np.testing.assert_allclose(windows[:, 1], high[..., 1].min(1) - animate._ABOVE * stature, atol=0.6)


def test_joints_that_a_skeleton_lacks_are_the_characters(model):
    plan = animate.plan(puppet.character(), dancer(), model)
    assert np.isfinite(plan.poses).all()  # COCO has no neck, no mid_hip, no head_top.
    top, nose = (at(plan.poses, n)[0] for n in ("head_top", "nose"))
    own_top, own_nose = (at(plan.source.points, n) for n in ("head_top", "nose"))
    assert np.linalg.norm((top - nose) - (own_top - own_nose)) < 3


def test_frames_without_anybody_are_empty_and_said(model):
    poses = dancer()
    poses.keypoints[3:6] = np.nan, np.nan, 0
    plan, _, images = made(puppet.character(), poses, model)
    assert np.flatnonzero(plan.nobody).tolist() == [3, 4, 5]
    assert "3 of 12 frames (first number 3) show nobody, and so does the animation there" in plan.remarks
    assert [bool(i[..., 3].any()) for i in images] == [i not in (3, 4, 5) for i in range(12)]
    poses.keypoints[:, :, :2] = np.nan
    with pytest.raises(ValueError, match="the motion never shows a neck"):
        animate.plan(puppet.character(), poses, model)


def test_half_a_figure(model):
    legs = [n for n in AVATAR_20.keypoints if n.split("_")[-1] in ("hip", "knee", "ankle")]
    plan = animate.plan(puppet.character(missing=legs), dancer(right=3.0), model)
    assert any(
        "does not show left_hip, right_hip; the driver's own proportions are kept" in r for r in plan.remarks
    )
    assert np.isfinite(plan.poses).any() and plan.poses.shape == (12, 20, 3)
    # Cut off by the picture's edge.
    whole = puppet.character()
    half = transfer.Cut(whole.picture[:180], whole.image[:180], whole.points, AVATAR_20, whole.figure)
    (line,) = (r for r in animate.plan(half, dancer(), model).remarks if "reaches" in r)
    assert line.startswith("the figure reaches the lower edge of the picture")
    assert not any("reaches" in r for r in animate.plan(whole, dancer(), model).remarks)
    # Hair that was taken for a hand.
    wrong = puppet.character()
    wrong.points[AVATAR_20.index("left_wrist"), :2] += (10, 60)
    (line,) = (r for r in animate.plan(wrong, dancer(), model).remarks if "times as long" in r)
    assert line.startswith("its left forearm seems ") and line.endswith("left upper arm: see --preview")
    # A driver before a webcam.
    poses = dancer()
    poses.keypoints[:, [COCO_17.index(n) for n in legs if n in COCO_17.keypoints]] = np.nan, np.nan, 0
    plan = animate.plan(puppet.character(), poses, model)
    assert any("the motion does not show left_hip" in r for r in plan.remarks) and not plan.nobody.any()
    np.testing.assert_allclose(at(plan.poses, "neck")[0], at(plan.source.points, "neck"), atol=2)
    # Without a word of numpy's about frames that show nobody.
    poses.keypoints[3:5] = np.nan, np.nan, 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert animate.plan(puppet.character(), poses, model).nobody.sum() == 2


def test_batches_do_not_matter_and_are_padded():
    few, many = puppet.Puppet(), puppet.Puppet(rgba=True)
    plan = animate.plan(puppet.character(), dancer(7, right=4.0), few)
    a, b = list(animate.frames(plan, few, 3)), list(animate.frames(plan, many, 16))
    assert few.asked == [3, 3, 3] and many.asked == [16]
    assert len(a) == len(b) == 7
    for one, other in zip(a, b, strict=True):
        # But for what limbs enclose, which might be white clothes.
        assert np.abs(one[..., 3].astype(int) - other[..., 3]).mean() < 10


def clip(noise, frames=8):
    """A patterned box that moves to the right, its brightness and pattern trembling."""
    rng = np.random.default_rng(0)
    pattern = cv2.GaussianBlur(rng.integers(0, 255, (60, 30, 3), dtype=np.uint8), (0, 0), 2).astype(float)
    pattern = (pattern - pattern.mean()) * 3 + 120
    out = []
    for i in range(frames):
        image = np.full((96, 64, 4), (255, 255, 255, 0), np.uint8)
        shade = pattern + rng.normal(0, noise, 3) + cv2.resize(rng.normal(0, noise, (6, 3, 3)), (30, 60))
        image[15:75, 8 + i : 38 + i] = np.dstack([shade.clip(0, 255), np.full((60, 30), 255)])
        out.append(image)
    return out


def measured(frames):
    meter = flicker.Flicker()
    for frame in frames:
        meter.add(frame)
    return meter.mean


def test_flicker_is_what_is_no_motion():
    calm, some, much = (measured(clip(noise)) for noise in (0, 5, 12))
    assert calm < 1.5 and 3 < some < 12 and some < much
    assert measured([clip(5)[0]] * 3) == 0 and measured([clip(9)[0], None, clip(9)[1]]) == 0


def test_steadying_takes_flicker_not_motion():
    frames = clip(5)
    out = list(steady.steadied(iter(frames), 2))
    assert len(out) == 8 and measured(out) < 0.5 * measured(frames)
    for image, wanted in zip(out, clip(0), strict=True):
        # No trails: the silhouette is the frame's own.
        assert np.abs(image[..., 3].astype(int) - wanted[..., 3])[:, [2, 4, 50]].max() == 0
        inside = wanted[..., 3] == 255
        assert np.abs(image[inside].astype(int) - wanted[inside]).mean() < 6
    same = list(steady.steadied(iter(frames), 0))
    assert all(a is b for a, b in zip(same, frames, strict=True))
    holes = list(steady.steadied(iter([frames[0], None, frames[2]]), 3))
    assert holes[1] is None and (holes[0] == frames[0])[frames[0][..., 3] == 255].all()


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "a.apng", "frames", "a.sheet.png"])
def test_every_kind_of_file(name, model, tmp_path):
    cut, poses = puppet.character(), dancer(6)
    plan = animate.plan(cut, poses, model, in_place="sheet" in name)
    shown = canvas.of(cut, plan, "figure" if "sheet" in name else "picture", 120)
    done = animation.write(tmp_path / name, model, driver.Driver(poses), plan, shown, video.rate(10), reach=1)
    assert done.frames == 6 and done.steadied is not None and "steadied" in str(done)
    if name == "frames":
        images = [pictures.read(p).image for p in sorted((tmp_path / name).iterdir())]
        assert len(images) == 6 and images[0].shape == (90, 120, 4)
    elif "sheet" in name:
        about = json.loads((tmp_path / "a.sheet.json").read_text())
        sheet = pictures.read(tmp_path / name).image
        assert about["frames"] == 6 and max(about["cell_width"], about["cell_height"]) == 120
        # Feet are above the anchor in every cell, and nearly reach it.
        x, y = about["anchor"]["x"], about["anchor"]["y"]
        for i in range(6):
            row, column = divmod(i, about["columns"])
            cell = sheet[row * about["cell_height"] :, column * about["cell_width"] :]
            cell = cell[: about["cell_height"], : about["cell_width"], 3]
            rows, columns = np.nonzero(cell > 128)
            assert abs(rows.max() - y) < 8 and columns.min() < x < columns.max()
        assert about["pivot"]["y"] == pytest.approx(1 - y / about["cell_height"], abs=1e-3)
        # A figure that walks about stands nowhere.
        walks = animate.plan(cut, poses, model)
        animation.write(tmp_path / name, model, driver.Driver(poses), walks, shown, video.rate(10))
        assert not {"anchor", "pivot"} & json.loads((tmp_path / "a.sheet.json").read_text()).keys()
    else:
        frames = list(video_reader.read(tmp_path / name))
        assert len(frames) == 6 and frames[0].image.shape == (90, 120, 3)
        assert tuple(frames[0].image[0, 0]) == (255, 255, 255) and puppet.hand(frames[3].image)[2] > 5


def test_a_full_disk_leaves_what_plays(model, tmp_path, monkeypatch):
    cut, poses = puppet.character(), dancer(12)
    plan = animate.plan(cut, poses, model)
    shown = canvas.of(cut, plan, side=100)
    free = iter([10**9] * 7)
    monkeypatch.setattr(room.Room, "_free", lambda self: next(free, 0))
    with pytest.raises(OSError, match=r"No space left.*a.mp4 has the first 7 of 12 frames"):
        animation.write(tmp_path / "a.mp4", model, driver.Driver(poses), plan, shown, video.rate(10))
    assert len(list(video_reader.read(tmp_path / "a.mp4"))) == 7
    with pytest.raises(OSError, match="nothing was written"):
        animation.write(tmp_path / "b.mp4", model, driver.Driver(poses), plan, shown, video.rate(10))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4"]


def test_frames_are_made_as_they_are_written(tmp_path):
    """Whatever the length, few frames are held."""
    model = puppet.Puppet(size=(24, 16))
    cut, poses = puppet.character(), dancer(60)
    plan = animate.plan(cut, poses, model)
    written, ahead = [], []

    def watched(frames, total):
        assert total == 60
        for frame in frames:
            ahead.append(8 * len(model.asked) - len(written))
            written.append(1)
            yield frame

    shown = canvas.of(cut, plan, side=32)
    animation.write(
        tmp_path / "a.mp4", model, driver.Driver(poses), plan, shown, video.rate(10), progress=watched
    )
    assert len(written) == 60 and max(ahead) <= 8


class Breaks(puppet.Puppet):
    """Is interrupted after so many batches."""

    def __init__(self, most):
        super().__init__()
        self._most = most

    def __call__(self, sources, poses):
        if len(self.asked) == self._most:
            raise KeyboardInterrupt
        return super().__call__(sources, poses)


def test_an_animation_that_breaks_off_ends_and_replaces_nothing(model, tmp_path, monkeypatch):
    cut, poses, page = puppet.character(), dancer(12), tmp_path / "a.html"
    plan = animate.plan(cut, poses, model)
    shown = canvas.of(cut, plan, side=100)
    for path in (tmp_path / "a.mp4", page, video.of_page(page)):
        path.write_text("older")

    def attempt(most, raised):
        try:
            of = driver.Driver(poses)
            animation.write(tmp_path / "a.mp4", Breaks(most), of, plan, shown, video.rate(10), 4, page=page)
        except BaseException as error:
            raised.append(error)

    def breaks_off_by(kind, most):
        raised = []
        # In a thread, since what is tested is that it ends.
        thread = threading.Thread(target=attempt, args=(most, raised), daemon=True)
        thread.start()
        thread.join(60)
        assert not thread.is_alive() and isinstance(raised[0], kind), raised
        assert {p.name for p in tmp_path.iterdir()} == {"a.mp4", "a.html", "a.html.mp4"}
        assert all(p.read_text() == "older" for p in tmp_path.iterdir() if p not in done)

    done = []
    for batches in (0, 2):
        breaks_off_by(KeyboardInterrupt, batches)
    # An encoder that fails after the last frame.
    encode = video._WRITERS[".mp4"]

    def failing(path, frames, fps):
        encode(path, frames, fps)
        if "html" in path.name:
            raise OSError("flushed in vain")

    monkeypatch.setitem(video._WRITERS, ".mp4", failing)
    done.append(tmp_path / "a.mp4")
    breaks_off_by(OSError, 99)


def test_side_by_side_with_the_film(model, tmp_path):
    cut, poses = puppet.character(), dancer(8)
    shades = [np.full((600, 600, 3), 25 * i, np.uint8) for i in range(8)]
    video.write(tmp_path / "film 1.mp4", shades, 10)
    plan = animate.plan(cut, poses, model)
    shown = canvas.of(cut, plan, side=100)
    page = tmp_path / "歩く 100%.html"
    of = driver.Driver(poses, tmp_path / "film 1.mp4")
    remarks = ["frames 3 to 5: nose: filled in", "</script><b>bold</b>"]
    animation.write(tmp_path / "a.mp4", model, of, plan, shown, video.rate(10), page=page, remarks=remarks)
    frames = [f.image for f in video_reader.read(video.of_page(page))]
    assert len(frames) == 8 and frames[0].shape[0] == 360
    # The film's own frames, in time.
    assert [round(float(f[5:30, 5:30].mean()) / 25) for f in frames] == list(range(8))
    assert puppet.hand(frames[0][:, 360 + 480 + 8 :])[2] > 50
    text = page.read_text()
    assert "</script><b>" not in text and "flicker" in text and "http" not in text.replace("http-equiv", "")


def test_the_page_plays_from_disk(model, tmp_path):
    from tests.browser import Browser

    browser = Browser(tmp_path / "profile")
    try:
        cut, poses = puppet.character(), dancer(8)
        plan = animate.plan(cut, poses, model)
        page = tmp_path / "歩く 100%.html"
        shown = canvas.of(cut, plan, side=100)
        remarks = ["frames 3 to 5: nose: filled in", "</script><b>bold</b>"]
        animation.write(
            tmp_path / "a.mp4",
            model,
            driver.Driver(poses),
            plan,
            shown,
            video.rate(10),
            page=page,
            remarks=remarks,
        )
        browser.open(page.as_uri(), "document.getElementById('video').readyState >= 2")
        shown = "document.getElementById('where').textContent"
        assert browser.evaluate(shown) == "frame 0 of 8"
        browser.click("#on")
        browser.wait(f"{shown} === 'frame 1 of 8'")
        browser.click("#remarks a")
        browser.wait(f"{shown} === 'frame 3 of 8'")
        items = browser.evaluate("[...document.querySelectorAll('#remarks li')].map(i => i.textContent)")
        assert items == remarks
    finally:
        browser.close()


@pytest.mark.slow
def test_ten_thousand_frames_on_little_memory(tmp_path):
    """About three minutes."""
    model = puppet.Puppet(size=(24, 16))
    cut, poses = puppet.character(), dancer(10_000)
    plan = animate.plan(cut, poses, model)
    shown = canvas.of(cut, plan, side=256)
    of, rate = driver.Driver(poses), video.rate(30)
    short = animate.plan(cut, dancer(200), model)
    animation.write(tmp_path / "short.mp4", model, of, short, shown, rate)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert animation.write(tmp_path / "a.mp4", model, of, plan, shown, rate).frames == 10_000
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    # All of its pictures would be two and a half gigabytes.
    assert grown < 100, f"{grown:.0f} MB"
    assert video_reader.probe(tmp_path / "a.mp4").seconds == pytest.approx(10_000 / 30, abs=0.1)


@pytest.mark.slow
def test_a_disk_that_is_really_full(tmp_path):
    """A disk of 40 MB in memory, which takes root's rights to make; noise, which does not compress."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "none", disk], capture_output=True
    ).returncode:
        pytest.skip("no disk could be mounted: that needs root")
    try:
        watch = room.Room(disk / "a.mp4")
        rng = np.random.default_rng(0)
        noise = (rng.integers(0, 256, (480, 640, 3), dtype=np.uint8) for _ in range(400))
        video.write(disk / "a.mp4", watch.frames(noise), 30)
        assert watch.full and 10 < watch.count < 400
        with pytest.raises(OSError, match=f"has the first {watch.count} of 400 frames"):
            watch.check(400)
        assert len(list(video_reader.read(disk / "a.mp4"))) == watch.count
        assert [p.name for p in disk.iterdir()] == ["a.mp4"]
    finally:
        subprocess.run(["umount", disk], check=True)
