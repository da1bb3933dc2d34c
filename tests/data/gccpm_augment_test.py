import itertools

import numpy as np
import pytest

from anime_pt.data import gccpm_augment as augment
from anime_pt.pose.skeletons import AVATAR_20


def dotted(height=60, width=80, places=((20, 15), (60, 40))):
    """White, with black squares of five pixels around joints."""
    image = np.full((height, width, 3), 255, np.uint8)
    points = np.full((20, 3), np.nan, np.float32)
    for joint, (x, y) in zip((4, 7), places, strict=True):  # right_wrist, left_wrist
        image[y - 2 : y + 3, x - 2 : x + 3] = 0
        points[joint] = (x + 0.5, y + 0.5, 1)
    return {"image": image, "keypoints": points}


def darkness_at(image, points):
    return [image[int(y), int(x)].mean() for x, y, _ in points[[4, 7]]]


def test_pictures_become_squares_amid_grey():
    out = augment.Squared((256, 256), AVATAR_20, AVATAR_20).map(dotted())
    assert out["image"].shape == (256, 256, 3) and (out["image"][:30] == 128).all()
    assert (out["image"][128, :40] == 255).all()
    np.testing.assert_allclose(out["keypoints"][4], [20.5 * 3.2, 15.5 * 3.2 + 32, 1], rtol=1e-5)
    assert max(darkness_at(out["image"], out["keypoints"])) < 5


@pytest.mark.parametrize(("height", "width"), [(1, 900), (1200, 2)])
def test_narrow_pictures_keep_a_pixel(height, width):
    points = np.full((20, 3), np.nan, np.float32)
    points[4] = (width / 2, height / 2, 1)
    example = {"image": np.zeros((height, width, 3), np.uint8), "keypoints": points}
    out = augment.Squared((256, 256), AVATAR_20, AVATAR_20).map(example)
    long, short = ("height", "width") if height > width else ("width", "height")
    rows, columns = np.nonzero((out["image"] == 0).all(-1))
    sides = {"height": len(set(rows)), "width": len(set(columns))}
    assert (sides[long], sides[short]) == (256, 1)
    np.testing.assert_allclose(out["keypoints"][4, :2], 128, atol=1)


@pytest.mark.parametrize("degrees", [-40, 0, 25])
def test_turns_hold_the_whole_picture(degrees):
    e = dotted()
    image, points = augment.turned(e["image"], e["keypoints"], degrees)
    assert max(darkness_at(image, points)) < 40
    c, s = np.cos(np.radians(abs(degrees))), np.sin(np.radians(abs(degrees)))
    assert image.shape[:2] == (int(60 * c + 80 * s), int(60 * s + 80 * c))
    assert np.isnan(points[0, :2]).all()


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.49])
def test_scales_keep_the_canvas_and_its_middle(factor):
    e = dotted(places=((30, 25), (50, 40)))
    image, points = augment.zoomed(e["image"], e["keypoints"], factor)
    assert image.shape == e["image"].shape and max(darkness_at(image, points)) < 30
    np.testing.assert_allclose(points[4, :2] - [40, 30], factor * (e["keypoints"][4, :2] - [40, 30]), atol=1)
    assert (image[0, 0] == 128).all() == (factor < 1)


def test_channels_are_permuted_or_doubled_as_in_the_public_code():
    image = np.arange(3, dtype=np.uint8)[None, None] + np.zeros((2, 2, 1), np.uint8)
    doubled = {
        (0, 1, 2): (0, 1, 2),
        (0, 2, 1): (0, 2, 2),
        (1, 0, 2): (1, 1, 2),
        (1, 2, 0): (1, 2, 1),
        (2, 0, 1): (2, 2, 2),
        (2, 1, 0): (2, 1, 2),
    }
    for order in itertools.permutations(range(3)):
        assert tuple(augment.permuted(image, order)[0, 0]) == order
        assert tuple(augment.permuted(image, order, bug=True)[1, 1]) == doubled[order]


def test_the_body_is_masked_by_a_convex_piece_of_grey():
    image = np.zeros((90, 120, 3), np.uint8)
    for seed in range(20):
        out = augment.mask_body(image, np.random.default_rng(seed))
        rows, columns = np.nonzero((out == 128).all(-1))
        assert 0 < len(rows) < 0.4 * 90 * 120 and set(np.unique(out)) == {0, 128}
        # It holds a place in the middle third.
        assert rows.min() <= 60 and rows.max() >= 30 and columns.min() <= 80 and columns.max() >= 40
    assert (image == 0).all()


def test_joints_stay_on_the_picture_and_change_names_when_mirrored():
    augmented = augment.Augmented((128, 128), AVATAR_20, AVATAR_20)
    mirrored = told = 0
    for seed in range(40):
        e = dotted(120, 120, places=((45, 60), (80, 60)))
        # Right red, left yellow: one channel and two, in whatever order.
        e["image"][57:64, 42:49], e["image"][57:64, 77:84] = (220, 20, 20), (220, 220, 20)
        out = augmented.random_map(e, np.random.default_rng(seed))
        assert out["image"].shape == (128, 128, 3) and out["keypoints"].dtype == np.float32
        (ax, ay), (bx, by) = out["keypoints"][[4, 7], :2]
        # From the right wrist to the left one is to the right: names change when the picture is mirrored.
        assert abs(np.degrees(np.arctan2(by - ay, bx - ax))) < 41
        inside = [(p[:2] > 3).all() and (p[:2] < 125).all() for p in out["keypoints"][[4, 7]]]
        if all(inside):  # A colour, or grey where the body is masked; the rest is white.
            assert all(v < 170 for v in darkness_at(out["image"], out["keypoints"])), seed
            colours = [out["image"][int(y), int(x)] for x, y in ((ax, ay), (bx, by))]
            bright = [(c > 120).sum() if np.ptp(c) > 60 else None for c in colours]
            if None not in bright:
                assert sorted(bright) == [1, 2], seed
                told, mirrored = told + 1, mirrored + (bright == [2, 1])
        again = augmented.random_map(e, np.random.default_rng(seed))
        np.testing.assert_array_equal(again["image"], out["image"])
    assert told > 15 and 0.25 * told < mirrored < 0.75 * told
