"""Joints of pictures and videos, with an estimator that is exact; and estimators that are none."""

import functools
import json
import shutil

import cv2
import jax
import numpy as np
import pytest
from PIL import Image

from anime_pt.pipelines import estimate, estimator, figures, overlay, pictures, video
from anime_pt.pose.skeletons import COCO_17
from tests.pipelines import stand_in


def finder(**options):
    return estimator.Estimator(stand_in.ByColour(), None, batch=2, **options)


@pytest.fixture(scope="module")
def find():
    return finder()


def saved(folder, image, name="絵 1.png", **options):
    Image.fromarray(image).save(folder / name, **options)
    return folder / name


def close(found, truth, atol=0.7):
    np.testing.assert_allclose(found[:, :2], truth[:, :2], atol=atol)
    assert found[:, 2].min() > 0.5 and found[:, 2].max() <= 1


@pytest.mark.parametrize(
    "options",
    [{"flip": True}, {"scales": (0.8, 1, 1.25)}, {"flip": True, "scales": (1.1,)}],
    ids=str,
)
def test_flip_and_scales_find_the_same(options):
    image, truth = stand_in.figure()
    find = finder(**options)
    found = find([find.crops(image[..., :3] | (255 - image[..., 3:]), (60, 40, 100, 205))])
    assert found.shape == (1, 17, 3)
    close(found[0], truth)


def test_without_subpixel_joints_are_in_the_middle_of_cells():
    image, truth = stand_in.figure()
    find = finder(subpixel=False)
    crops, matrix = find.crops(image[..., :3] | (255 - image[..., 3:]), (60, 40, 100, 205))
    found = find([(crops, matrix)])[0]
    cells = (found[:, :2] @ matrix[:, :2].T + matrix[:, 2]) / 4
    np.testing.assert_allclose(cells % 1, 0.5, atol=1e-3)
    assert 0.7 < np.abs(found[:, :2] - truth[:, :2]).max() < 3


def test_place_and_size_of_the_figure_do_not_matter(find, tmp_path):
    kinds = [
        {},
        {"left": 200, "top": 10},
        {"scale": 2.5, "height": 600, "width": 700},
        {"seed": 1},
        {"scale": 0.6},
    ]
    figures = [stand_in.figure(**kind) for kind in kinds]
    paths = [saved(tmp_path, image, f"{i}.png") for i, (image, _) in enumerate(figures)]
    found = list(estimate.of_pictures(find, paths, 0.1))
    assert [e.name for e in found] == [p.name for p in paths]
    assert [e.size for e in found] == [image.shape[:2] for image, _ in figures]
    for one, (_, truth) in zip(found, figures, strict=True):
        assert not one.error and not one.remarks and one.image is None
        close(one.points, truth)


def test_rotation_in_the_header_palettes_and_large_pictures(find, tmp_path):
    image, truth = stand_in.figure()
    exif = Image.Exif()
    exif[0x0112] = 6
    paths = [
        saved(tmp_path, np.rot90(image), "turned.png", exif=exif),
        tmp_path / "palette.png",
        saved(tmp_path, image.repeat(20, 0).repeat(20, 1), "large.png"),
    ]
    Image.fromarray(image).quantize(64).save(paths[1])
    turned, palette, large = estimate.of_pictures(find, paths, 0.1, keep=True)
    assert turned.size == palette.size == image.shape[:2] and large.size == (6000, 8000)
    close(turned.points, truth)
    close(palette.points, truth)
    close(large.points / (20, 20, 1), truth)
    assert large.factor == 2 and large.image.shape == (3000, 4000, 3)
    np.testing.assert_allclose(np.divide(large.box, 20), turned.box, atol=1)


def test_what_is_wrong_is_said_of_each_picture(find, tmp_path):
    image, truth = stand_in.figure()
    two = np.concatenate([image, stand_in.figure(scale=0.9)[0]], 1)
    grey = image.copy()
    grey[grey[..., 3] > 0] = (90, 90, 90, 255)
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "film.mp4").write_bytes(b"")
    Image.fromarray(image).save(
        tmp_path / "moving.gif", save_all=True, append_images=[Image.fromarray(two[:, 400:])]
    )
    paths = [
        tmp_path / "torn.png",
        saved(tmp_path, two, "two.png"),
        saved(tmp_path, np.zeros((5, 5, 3), np.uint8), "small.png"),
        saved(tmp_path, np.full((50, 50, 3), 255, np.uint8), "blank.png"),
        saved(tmp_path, grey, "grey.png"),
        tmp_path / "film.mp4",
        tmp_path / "moving.gif",
        saved(tmp_path, np.where(image[..., 3:] > 0, image[..., :3], noise), "busy.png"),
        saved(tmp_path, image, "good.png"),
    ]
    by_name = {e.name: e for e in estimate.of_pictures(find, paths, 0.1)}
    assert list(by_name) == [p.name for p in paths]
    says = {
        "torn.png": "no picture that can be read",
        "small.png": "too small: 5x5 pixels",
        "blank.png": "no figure was found: nothing stands out",
        "grey.png": "no figure was found: no joint is surer than 0.1",
        "film.mp4": "a video; give it on its own",
    }
    for name, text in says.items():
        assert text in by_name[name].error and by_name[name].points is None
    close(by_name["two.png"].points, truth)
    assert by_name["two.png"].remarks == ("2 figures of similar size were found; the largest is taken",)
    assert "the first frame was taken" in by_name["moving.gif"].remarks[0]
    assert "the whole picture was taken" in by_name["busy.png"].remarks[0]
    close(by_name["good.png"].points, truth)
    people = estimate.people(list(by_name.values()), COCO_17)
    assert people.names == ["two.png", "blank.png", "grey.png", "moving.gif", "busy.png", "good.png"]
    assert [len(f) for f in people.frames] == [1, 0, 0, 1, 1, 1]
    boxes = estimate.boxes(list(by_name.values()))
    assert boxes.shape == (6, 4) and (boxes[1] == 0).all() and boxes[2:].min(0)[2] > 50


def test_a_gif_that_is_torn_in_its_second_frame(find, tmp_path):
    frames = [Image.fromarray(stand_in.figure(left=60 + i)[0][..., :3]) for i in range(2)]
    path = tmp_path / "torn.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    data = path.read_bytes()
    with Image.open(path) as image:
        image.seek(1)
        second = image.tile[0].offset
    # In the middle of what says where the second frame is.
    path.write_bytes(data[: data.rindex(b",", 0, second) + 4])
    assert pictures.read(path).size == (300, 400)
    found = list(estimate.of_pictures(find, [path, saved(tmp_path, stand_in.figure()[0], "b.png")], 0.1))
    assert found[0].error.startswith("broken: ") and found[0].points is None
    close(found[1].points, stand_in.figure()[1])
    assert estimate.people(found, COCO_17).names == ["b.png"]


def all_at(place):
    """In place of the network: every joint is there."""
    return lambda self, parts: np.full((len(parts), 17, 3), (*place, 0.9), np.float32)


def out_of_memory(*_):
    raise MemoryError("Unable to allocate 3.1 GiB")


FAILURES = {
    "OpenCV's memory": (
        lambda *_: cv2.resize(np.zeros((4, 4, 3), np.uint8), (2**30, 2**30)),
        "too large for this machine's memory",
    ),
    "memory": (out_of_memory, "too large for this machine's memory"),
    "OpenCV": (lambda *_: cv2.resize(np.zeros((0, 4), np.uint8), (2, 2)), "cannot be processed: OpenCV"),
}


@pytest.mark.parametrize("place", [(figures, "find"), (pictures, "before_white"), (estimator.crops, "warp")])
@pytest.mark.parametrize(("fail", "says"), FAILURES.values(), ids=FAILURES)
def test_what_ends_one_picture_leaves_the_others(place, fail, says, find, tmp_path, monkeypatch):
    image, _ = stand_in.figure()
    paths = [saved(tmp_path, image.repeat(2, 0), "tall.png"), saved(tmp_path, image, "good.png")]
    sizes, whole = [], getattr(*place)

    def fails_first(*args):
        sizes.append(args[0].shape)
        return (whole if len(sizes) > 1 else fail)(*args)

    monkeypatch.setattr(estimator.Estimator, "__call__", all_at((70, 80)))
    monkeypatch.setattr(*place, fails_first)
    tall, good = estimate.of_pictures(find, paths, 0.1, keep=True)
    assert sizes[0][0] == 600
    assert tall.error.startswith(says) and "\n" not in tall.error
    assert (tall.points, tall.box, tall.image) == (None, None, None)
    assert not good.error and good.image.shape == (300, 400, 3)
    np.testing.assert_array_equal(good.points[:, :2], [(70, 80)] * 17)


def test_few_pixels_are_held(tmp_path, monkeypatch):
    blank = saved(tmp_path, np.full((300, 400, 3), 255, np.uint8), "blank.png")
    drawing, looked = saved(tmp_path, stand_in.figure()[0]), []
    find = finder()
    find.batch = 4
    monkeypatch.setattr(estimator.Estimator, "__call__", all_at((70, 80)))

    def first(paths, keep):
        looked.clear()
        paths = (looked.append(path) or path for path in paths)
        estimates = estimate.of_pictures(find, paths, 0.1, keep)
        one = next(estimates)
        count = len(looked)
        assert 1 + sum(1 for _ in estimates) == len(looked) == 9
        return one.image is not None, count

    assert first([drawing] * 9, True) == (True, 4)
    monkeypatch.setattr(estimate, "_MOST_BYTES", 2 * 300 * 400 * 3)
    assert first([drawing] * 9, True) == (True, 2)
    assert first([drawing] * 9, False) == (False, 4)
    assert first([blank] * 5 + [drawing] * 4, True) == (False, 7)


def test_unsure_joints_and_those_outside_are_unknown(find, tmp_path):
    image, truth = stand_in.figure()
    hand = COCO_17.index("right_wrist")
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    image[np.hypot(x - truth[hand, 0], y - truth[hand, 1]) < 6] = (90, 90, 90, 255)
    (one,) = estimate.of_pictures(find, [saved(tmp_path, image)], 0.1)
    np.testing.assert_array_equal(one.points[hand], (np.nan, np.nan, 0))
    close(np.delete(one.points, hand, 0), np.delete(truth, hand, 0))
    # The figure is cut at the left edge; what is left of it lies outside.
    out = estimate.Estimate("a.png", size=(300, 400))
    points = truth.copy()
    points[3, 0], points[4, 1] = -0.5, 300.5
    estimate._fill(out, points, 0.1)
    assert np.isnan(out.points[[3, 4], :2]).all() and np.isfinite(out.points).all(1).sum() == 15


def test_video(find, tmp_path):
    figures = [stand_in.figure(left=40 + 8 * i, top=40 + 2 * i) for i in range(12)]
    frames = [f[..., :3] | (255 - f[..., 3:]) for f, _ in figures]
    frames[5] = np.full_like(frames[5], 255)
    video.write(tmp_path / "踊り.gif", frames, 12)
    found = list(estimate.of_video(find, tmp_path / "踊り.gif", 12.0, 0.1, keep=True))
    assert len(found) == 12 and found[5].points is None and "no figure was found" in found[5].error
    np.testing.assert_array_equal(found[3].image.shape, (300, 400, 3))
    for i, (one, (_, truth)) in enumerate(zip(found, figures, strict=True)):
        if i != 5:
            close(one.points, truth, atol=1.5)
    sequence = estimate.sequence(found, COCO_17, 12.0)
    assert sequence.keypoints.shape == (12, 17, 3) and (sequence.size, sequence.fps) == ((300, 400), 12)
    assert np.isnan(sequence.keypoints[5, :, :2]).all()


def test_a_video_that_breaks_off_keeps_its_frames(find, tmp_path):
    figures = (stand_in.figure(left=20 + 7 * i)[0] for i in range(40))
    video.write(tmp_path / "a.mp4", (f[..., :3] | (255 - f[..., 3:]) for f in figures), 12)
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(data[: len(data) * 3 // 4])
    found = list(estimate.of_video(find, tmp_path / "a.mp4", 12.0, 0.1))
    assert found[-1].size is None and "a.mp4" in found[-1].error
    assert len(found) > 5 and all(e.points is not None for e in found[:-1])


def test_boxes_of_a_video_are_steady_and_contain_the_figure():
    rng = np.random.default_rng(0)
    boxes = [(10 + i, 20, 50 + rng.uniform(0, 30), 100 + rng.uniform(0, 20)) for i in range(40)]
    boxes[7] = None
    smooth = {i: estimate.steady(boxes, i, 3) for i in range(40) if i != 7}
    for i, (x, y, w, h) in smooth.items():
        x0, y0, w0, h0 = boxes[i]
        assert x <= x0 + 1e-9 and y <= y0 + 1e-9 and x + w >= x0 + w0 - 1e-9 and y + h >= y0 + h0 - 1e-9
    widths = np.array([boxes[i][2] for i in smooth]), np.array([b[2] for b in smooth.values()])
    assert np.abs(np.diff(widths[1])).mean() < 0.2 * np.abs(np.diff(widths[0])).mean()


def test_the_figure_that_was_followed_stays_the_one():
    boxes = ((200.0, 0.0, 60.0, 100.0), (10.0, 0.0, 50.0, 90.0))
    assert estimate._nearest(boxes, None) == boxes[0]
    assert estimate._nearest(boxes, (15.0, 5.0, 50.0, 90.0)) == boxes[1]
    assert estimate._nearest(boxes, (120.0, 0.0, 10.0, 10.0)) == boxes[0]


def test_unsure_joints_are_drawn_hollow():
    image = np.zeros((1024, 1024, 3), np.uint8)
    points = np.full((17, 3), (np.nan, np.nan, 0))
    points[0], points[9] = (200, 200, 0.9), (500, 400, 0.2)
    drawn = overlay.keypoints(image, points, COCO_17, sure=0.3)
    assert drawn[200, 200].tolist() == [255, 40, 40] and drawn[400, 500].tolist() == [255, 255, 255]
    assert overlay.keypoints(image, points, COCO_17)[400, 500].tolist() == [255, 40, 40]


def test_runs_that_are_no_estimators(unbroken, tmp_path):
    _, workdir = unbroken
    with pytest.raises(estimator.ModelError, match="'psgan', which does not estimate poses"):
        estimator.of_run(workdir)
    with pytest.raises(FileNotFoundError, match="holds no run"):
        estimator.of_run(tmp_path)
    config = json.loads((workdir / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"recipe": "cooking"}))
    with pytest.raises(estimator.ModelError, match=r"is not a run that can be used: .*cooking"):
        estimator.of_run(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"recipe": "psgan"}))
    with pytest.raises(estimator.ModelError, match="is not a run that can be used"):
        estimator.of_run(tmp_path)


def test_damaged_checkpoints(unbroken, tmp_path):
    read = functools.partial(estimator.of_run, player="generator")
    workdir = tmp_path / "run"
    shutil.copytree(unbroken[1], workdir)
    _, net = read(workdir)
    assert len(jax.tree.leaves(net.params)) > 10
    with pytest.raises(FileNotFoundError, match="no checkpoint of step 3; there are"):
        read(workdir, 3)
    path = workdir / "config.json"
    config = json.loads(path.read_text())
    config["model"]["latent_size"] = 4
    path.write_text(json.dumps(config))
    with pytest.raises(estimator.ModelError, match="is damaged; name another with --step"):
        read(workdir)
    shutil.copy(unbroken[1] / "config.json", path)
    for file in (workdir / "checkpoints").rglob("*"):
        if file.is_file() and "state" in file.parts:
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(estimator.ModelError, match="is damaged; name another with --step") as error:
        read(workdir)
    assert "\n" not in str(error.value)
