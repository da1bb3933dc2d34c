"""Finding the figure: on every kind of plain background, and in real drawings."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from anime_pt.pipelines import figures, pictures
from tests.avatars import asset_files

H, W = 240, 320
FIGURE = (120, 60, 60, 150)


# What lies there may be anything: drawings with a mask beside them, and pictures of figures.
_PICTURES = [p for p in asset_files.find(".png") if "anime_images" in p.parts]
_SKIP = [pytest.param(None, marks=pytest.mark.skip(reason=f"no anime_images below {asset_files.ROOT}"))]
DRAWINGS = [p for p in _PICTURES if p.name == "texture.png" and p.with_name("mask.png").exists()]
SPRITES = [p for p in _PICTURES if p.name not in ("texture.png", "mask.png")]


def person(x=120, y=60, w=60, h=150):
    """RGBA (H, W, 4): a head, a white dress with an outline, legs; fills the box."""
    out = np.zeros((H, W, 4), np.uint8)
    cv2.rectangle(out, (x, y + h // 3), (x + w - 1, y + 2 * h // 3), (30, 20, 40, 255), -1)
    cv2.rectangle(out, (x + 3, y + h // 3 + 3), (x + w - 4, y + 2 * h // 3 - 3), (255, 255, 255, 255), -1)
    cv2.rectangle(out, (x + w // 4, y), (x + 3 * w // 4, y + h // 3), (200, 90, 40, 255), -1)
    for leg in (x + w // 4, x + w // 2 + 2):
        cv2.rectangle(out, (leg, y + 2 * h // 3), (leg + w // 5, y + h - 1), (30, 60, 140, 255), -1)
    return out


def before(figure, background):
    alpha = figure[..., 3:] / 255
    return (figure[..., :3] * alpha + background * (1 - alpha)).round().astype(np.uint8)


def backgrounds():
    y, x = np.mgrid[:H, :W]
    plain = np.ones((H, W, 3))
    shade = np.hypot(x / W - 0.5, y / H - 0.5)[..., None]
    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 1, (H, W)), (0, 0), 10) * 100
    return {
        "white": 255 * plain,
        "dark": 25 * plain,
        "gradient": plain * (100, 150, 230) + (y / H)[..., None] * (150, 90, 20),
        "vignette": 240 - 90 * shade * plain,
        "paper": (215 + noise)[..., None].clip(0, 255) * plain,
        "checkerboard": np.where((x // 8 + y // 8)[..., None] % 2, 255.0, 204.0) * plain,
        "wall and floor": np.where((y > 0.75 * H)[..., None], (180, 140, 100.0), (200, 220, 235.0)),
    }


def overlap(a, b):
    inner = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
    inner = np.prod(np.maximum(inner, 0))
    return inner / (a[2] * a[3] + b[2] * b[3] - inner)


@pytest.mark.parametrize("name", backgrounds())
def test_backgrounds_through_jpeg(name):
    buffer = io.BytesIO()
    image = Image.fromarray(before(person(), backgrounds()[name]))
    image.resize((3 * W, 3 * H), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=85)
    found = figures.find(np.array(Image.open(buffer)))
    assert found.how == "border" and not found.others
    # The blocks of JPEG have 16 pixels.
    np.testing.assert_allclose(found.box, np.multiply(FIGURE, 3), atol=16)
    # The white dress stays on white.
    assert found.mask[208, 240] and not found.mask[40, 40]


def test_alpha_is_exact_and_wins_over_colour():
    image = person()
    image[image[..., 3] == 0, :3] = np.random.default_rng(1).integers(0, 256, (W, 3))[:1]
    found = figures.find(image)
    assert found.how == "alpha"
    np.testing.assert_array_equal(found.box, (120, 60, 60, 150))
    np.testing.assert_array_equal(found.mask, image[..., 3] > 0)


def test_box_follows_the_figure_and_the_size_of_the_picture():
    np.testing.assert_allclose(figures.find(person(10, 12, 60, 150)).box, (10, 12, 60, 150))
    large = cv2.resize(
        before(person(), 255 * np.ones((H, W, 3))), (W * 8, H * 8), interpolation=cv2.INTER_NEAREST
    )
    found = figures.find(large)
    assert found.mask.shape == (384, 512)
    np.testing.assert_allclose(found.box, np.multiply(FIGURE, 8), atol=12)


def test_a_figure_that_an_edge_cuts():
    image = before(person(100, 100, 80, 200), 255 * np.ones((H, W, 3)))
    np.testing.assert_allclose(figures.find(image).box, (100, 100, 80, 140), atol=2)


def test_two_figures():
    both = person(40, 60, 60, 150) + person(200, 80, 50, 125)
    for image in (both, before(both, 255 * np.ones((H, W, 3)))):
        found = figures.find(image)
        np.testing.assert_allclose(found.box, (40, 60, 60, 150), atol=2)
        assert len(found.others) == 1
        np.testing.assert_allclose(found.others[0], (200, 80, 50, 125), atol=2)


def test_what_is_near_and_small_belongs_to_the_figure_and_a_logo_does_not():
    image = person()
    cv2.rectangle(image, (140, 48), (160, 55), (255, 0, 0, 255), -1)  # A ribbon above the head.
    cv2.rectangle(image, (290, 220), (310, 230), (0, 0, 255, 255), -1)
    for picture in (image, before(image, 255 * np.ones((H, W, 3)))):
        found = figures.find(picture)
        np.testing.assert_allclose(found.box, (120, 48, 60, 162), atol=2)
        assert not found.others


def test_a_scene_is_taken_whole():
    noise = np.random.default_rng(0).integers(0, 256, (H, W, 3), dtype=np.uint8)
    found = figures.find(noise)
    assert (found.how, found.box, found.mask) == ("whole picture", (0, 0, W, H), None)


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.full((H, W, 3), 200, np.uint8), "no figure was found: nothing stands out"),
        (np.zeros((H, W, 4), np.uint8), "no figure was found: all of it is transparent"),
        (person(100, 100, 8, 10), "the figure is too small: 10 pixels; it must have at least 16"),
    ],
)
def test_no_figure(image, says):
    with pytest.raises(figures.NoFigureError, match=says):
        figures.find(image)


@pytest.mark.parametrize("path", DRAWINGS or _SKIP, ids=lambda p: p and p.parent.name)
def test_real_drawings_with_masks(path):
    drawing = pictures.read(path)
    mask = np.array(Image.open(path.with_name("mask.png")).convert("L")) > 127
    x, y = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    truth = np.array([x[0], y[0], x[-1] + 1 - x[0], y[-1] + 1 - y[0]])
    found = figures.find(drawing.image)
    assert overlap(np.array(found.box), truth) > 0.8
    assert found.how == "border" and not found.others
    # The same on a larger sheet of the same paper.
    colour = np.median(drawing.flat[:8].reshape(-1, 3), axis=0)
    sheet = np.tile(colour.astype(np.uint8), (2 * mask.shape[0], 2 * mask.shape[1], 1))
    top, left = mask.shape[0] // 2, mask.shape[1] // 4
    sheet[top : top + mask.shape[0], left : left + mask.shape[1]][mask] = drawing.flat[mask]
    found = figures.find(sheet)
    assert overlap(np.array(found.box), truth + np.array((left, top, 0, 0))) > 0.8


@pytest.mark.parametrize("path", SPRITES or _SKIP, ids=lambda p: p and p.stem)
def test_real_cut_out_figures(path):
    image = pictures.read(path).image
    if image.shape[2] == 3 or (image[0, :, 3] < 128).mean() < 0.1:
        pytest.skip(f"{path.name} is not cut out")
    found = figures.find(image)
    assert found.how == "alpha"
    if not found.others:
        x, y, w, h = (round(v) for v in found.box)
        opaque = image[..., 3] >= 128
        assert opaque[y : y + h, x : x + w].sum() > 0.9 * opaque.sum()
