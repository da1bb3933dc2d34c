import cv2
import numpy as np
import pytest

from anime_pt.data import figures, pipeline, styles
from anime_pt.pose import affine
from anime_pt.pose.skeletons import AVATAR_20, COCO_17
from tests.conftest import tiny_config


def example(height=100, width=140):
    """A brown block with a red hand, before white, with joints on it."""
    mask = np.zeros((height, width, 1), np.uint8)
    mask[20:80, 50:80] = 255
    image = np.where(mask > 0, np.uint8([120, 80, 40]), np.uint8(255)).astype(np.uint8)
    image[20:26, 50:56] = (230, 20, 20)
    points = np.stack([np.linspace(52, 78, 20), np.linspace(22, 78, 20), np.ones(20)], 1).astype(np.float32)
    points[AVATAR_20.index("left_wrist")] = (53, 23, 1)
    points[AVATAR_20.index("right_ear")] = (np.nan, np.nan, 0)
    return {"image": image, "mask": mask, "keypoints": points}


def test_the_box_is_the_masks_then_the_given_one_then_that_of_the_joints():
    e = example()
    assert figures.box_of(e) == (50, 20, 30, 60)
    del e["mask"]
    x, y, w, h = figures.box_of(e)
    assert x < 52 and y < 22 and x + w > 78 and y + h > 78 and w < 50
    assert figures.box_of(e | {"box": np.float32([1, 2, 3, 4])}) == (1, 2, 3, 4)
    e["keypoints"] = np.full((20, 3), np.nan, np.float32)
    assert figures.box_of(e) == (0, 0, 140, 100)


def test_centred_figures_fill_the_picture_and_joints_stay_on_them():
    out = figures.Centred((128, 96), AVATAR_20, AVATAR_20).map(example())
    assert out["image"].shape == (128, 96, 3) and out["image"].dtype == np.uint8
    rows = np.flatnonzero((out["image"] < 200).any((1, 2)))
    assert (
        abs(rows[0] - 128 * affine.FIGURE_MARGIN) <= 1.5
        and abs(rows[-1] - 128 * (1 - affine.FIGURE_MARGIN)) <= 2
    )
    x, y, _ = out["keypoints"][AVATAR_20.index("left_wrist")]
    assert np.abs(out["image"][int(y), int(x)].astype(int) - [230, 20, 20]).max() < 12
    assert np.isnan(out["keypoints"][AVATAR_20.index("right_ear"), :2]).all()


def test_joints_go_by_name_into_another_skeleton():
    out = figures.Centred((128, 96), AVATAR_20, COCO_17).map(example())
    same = figures.Centred((128, 96), AVATAR_20, AVATAR_20).map(example())
    assert out["keypoints"].shape == (17, 3)
    for i, name in enumerate(COCO_17.keypoints):
        np.testing.assert_array_equal(out["keypoints"][i], same["keypoints"][AVATAR_20.index(name)])
    with pytest.raises(ValueError, match="has 20 keypoints, coco_17 has 17: set config"):
        figures.Centred((128, 96), COCO_17, COCO_17).map(example())


def test_varied_figures_are_drawn_by_the_generator_alone():
    varied = figures.Varied((128, 96), AVATAR_20, AVATAR_20)
    a, b, c = (varied.random_map(example(), np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(a["image"], b["image"])
    np.testing.assert_array_equal(a["keypoints"], b["keypoints"])
    assert not np.array_equal(a["image"], c["image"])
    assert a["image"].shape == (128, 96, 3) and a["image"].dtype == np.uint8


def test_joints_move_with_varied_pictures(monkeypatch):
    """With restyling off, the red hand is where its joint is, mirrored or not."""
    monkeypatch.setattr(styles, "restyle", lambda colours, alpha, rng: colours)
    monkeypatch.setattr(styles, "occlude", lambda picture, rng: picture)
    monkeypatch.setattr(styles, "scan", lambda picture, rng: picture)
    varied = figures.Varied((256, 192), AVATAR_20, AVATAR_20)
    # The figure is symmetric but for the hand: where the picture is mirrored, so is the joint's name.
    left, right = AVATAR_20.index("left_wrist"), AVATAR_20.index("right_wrist")
    mirrored = 0
    for seed in range(40):
        e = example()
        e["keypoints"][right] = (77, 50, 1)
        out = varied.random_map(e, np.random.default_rng(seed))
        found = np.abs(out["image"].astype(int) - [230, 20, 20]).max(-1) < 30
        candidates = []
        for joint in (left, right):
            x, y, _ = out["keypoints"][joint]
            near = np.hypot(*(np.argwhere(found) + 0.5 - (y, x)).T) if found.any() else np.array([99.0])
            candidates.append(near.min() < 8)
        inside = (out["keypoints"][[left, right], :2] > 8).all() and (
            out["keypoints"][[left, right], :2] < (184, 248)
        ).all()
        if inside:
            assert any(candidates), seed
            mirrored += candidates[1]
    assert 8 < mirrored < 32


def test_stretched_pictures_and_joints_move_alike():
    y, x = np.mgrid[:256, :192] + 0.5
    # A picture whose colours say where each pixel was.
    image = np.stack([y / 256 * 255, x / 192 * 255, 0 * x], -1).astype(np.uint8)
    points = np.float32([[20, 30, 1], [100, 200, 1], [-5, 90, 1], [np.nan, np.nan, 0], [192, 256, 1]])
    for seed in range(5):
        stretch = figures._Stretch((256, 192), np.random.default_rng(seed))
        moved, picture = stretch.points(points), stretch.picture(image)
        assert np.abs(moved[:2, :2] - points[:2, :2]).max() > 1
        for was, now in zip(points[:2], moved[:2], strict=True):
            red, green, _ = picture[int(now[1]), int(now[0])] / 255
            assert abs(red * 256 - was[1]) < 3 and abs(green * 192 - was[0]) < 3
        np.testing.assert_allclose(
            moved[2:], [[-5, moved[2, 1], 1], [np.nan, np.nan, 0], [192, 256, 1]], rtol=1e-6
        )


@pytest.mark.parametrize("name", styles.UNSEEN)
def test_unseen_styles_change_the_picture_the_same_way_each_time(name):
    plain = figures.Centred((128, 96), AVATAR_20, AVATAR_20).map(example())
    styled = [figures.Centred((128, 96), AVATAR_20, AVATAR_20, name).map(example()) for _ in range(2)]
    np.testing.assert_array_equal(styled[0]["image"], styled[1]["image"])
    np.testing.assert_array_equal(styled[0]["keypoints"], plain["keypoints"])
    assert np.abs(styled[0]["image"].astype(int) - plain["image"]).mean() > 3
    # The figure still shows: darker than the ground around it.
    assert styled[0]["image"][30:100, 40:56].mean() < styled[0]["image"][:6].mean() - 20


def test_an_unknown_style_is_named():
    with pytest.raises(ValueError, match="eval_style = 'oil'; known: halftone, watercolour"):
        figures.Centred((128, 96), AVATAR_20, AVATAR_20, "oil")


def test_styles_stay_in_range_and_keep_the_size():
    rng = np.random.default_rng(0)
    e = example()
    alpha = e["mask"].astype(np.float32) / 255
    colours = e["image"].astype(np.float32) / 255
    changed = 0
    for _ in range(60):
        out = styles.scan(styles.occlude(styles.restyle(colours, alpha, rng), rng), rng)
        ground = styles.background((100, 140), rng)
        for picture in (out, ground):
            assert picture.shape == (100, 140, 3) and picture.dtype == np.float32
            assert picture.min() >= 0 and picture.max() <= 1
        changed += np.abs(out - colours).mean() > 0.01
    assert changed > 50


def test_lines_of_line_art_are_where_colours_meet():
    e = example()
    drawn = styles.line_art(e["image"].astype(np.float32) / 255, e["mask"].astype(np.float32) / 255, 0.0)
    grey = drawn.mean(-1)
    edge = cv2.Canny(e["mask"][..., 0], 50, 100) > 0
    assert grey[edge].mean() < 0.75 and grey[40:60, 60:70].min() > 0.97 and grey[:10].min() > 0.99


def test_the_pipeline_cuts_out_figures(data_dir):
    config = tiny_config(data_dir)
    config.data.update({"view": "figure", "skeleton": "avatar_20", "eval_style": "hatching"})
    first = pipeline.train_iterator(config, (64, 32), 4, seed=1)
    batch = next(first)
    assert {k: (v.shape, v.dtype.name) for k, v in batch.items()} == {
        "image": ((4, 64, 32, 3), "uint8"),
        "keypoints": ((4, 20, 3), "float32"),
    }
    position, after = first.get_state(), next(first)
    again = pipeline.train_iterator(config, (64, 32), 4, seed=1)
    again.set_state(position)
    np.testing.assert_array_equal(next(again)["image"], after["image"])
    evaluated = next(pipeline.eval_batches(config, (64, 32), 4))
    assert evaluated["image"].shape == (4, 64, 32, 3)
    pipeline.check(config, (64, 32))
    config.data.skeleton = "coco_17"
    with pytest.raises(ValueError, match=r"set config\.data\.skeleton"):
        pipeline.check(config, (64, 32))
    config.data.view = "half"
    with pytest.raises(ValueError, match="use whole, figure, gccpm, pairs"):
        pipeline.check(config, (64, 32))
