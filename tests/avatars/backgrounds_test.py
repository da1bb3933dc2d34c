"""What is behind a figure."""

import numpy as np
import pytest
from PIL import Image

from anime_pt.avatars import backgrounds, rasterise


def frame(height: int = 4, width: int = 8) -> rasterise.Frame:
    """Nothing at the left, half-transparent red in the middle column 4, solid red at the right."""
    image = np.zeros((height, width, 4), np.uint8)
    image[:] = (255, 255, 255, 0)
    image[:, 4] = (255, 0, 0, 128)
    image[:, 5:] = (255, 0, 0, 255)
    shape = (height, width)
    return rasterise.Frame(
        image, np.zeros(shape, np.float32), np.zeros(shape, np.uint8), np.zeros(shape, np.int32)
    )


@pytest.mark.parametrize(
    "text,back", [("white", (255, 255, 255)), ("black", (0, 0, 0)), ("#1080fF", (16, 128, 255))]
)
def test_colours(text, back):
    out = backgrounds.parse(text).behind(frame())
    assert out.shape == (4, 8, 3) and out.dtype == np.uint8
    assert tuple(out[0, 0]) == back and tuple(out[0, 7]) == (255, 0, 0)
    np.testing.assert_allclose(out[0, 4], (np.array(back) * 127 + np.array([255, 0, 0]) * 128) / 255, atol=1)


def test_transparent_keeps_alpha():
    shown = frame()
    np.testing.assert_array_equal(backgrounds.parse("transparent").behind(shown), shown.image)


def _halves(width: int, height: int) -> Image.Image:
    """Blue left of the middle, green right of it."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2, 2], image[:, width // 2 :, 1] = 255, 255
    return Image.fromarray(image)


@pytest.mark.parametrize("size", [(16, 8), (64, 8), (16, 100)])
def test_picture_covers_the_frame_from_its_middle(tmp_path, size):
    _halves(*size).save(tmp_path / "wall.png")
    empty = frame(40, 80)
    empty.image[..., 3] = 0
    out = backgrounds.parse(str(tmp_path / "wall.png")).behind(empty)
    assert out.shape == (40, 80, 3)
    assert tuple(out[20, 5]) == (0, 0, 255) and tuple(out[20, 74]) == (0, 255, 0)
    # Not squeezed: the edge between the halves lies in the middle whatever is cut off.
    assert abs(int((out[20, :, 2] > 127).sum()) - 40) <= 1


def test_picture_is_turned_upright(tmp_path):
    image = _halves(40, 40)
    exif = image.getexif()
    exif[274] = 6  # Stored turned: the right of the file is the bottom of the picture.
    image.save(tmp_path / "phone.png", exif=exif)
    empty = frame(40, 40)
    empty.image[..., 3] = 0
    out = backgrounds.parse(str(tmp_path / "phone.png")).behind(empty)
    assert tuple(out[5, 20]) == (0, 0, 255) and tuple(out[35, 20]) == (0, 255, 0)


@pytest.mark.parametrize("mode,expected", [("L", 128), ("LA", 128), ("RGBA", 128), ("P", 128), ("I;16", 128)])
def test_any_kind_of_picture(tmp_path, mode, expected):
    if mode == "I;16":
        image = Image.fromarray(np.full((8, 8), 128 * 256, np.uint16))
    else:
        image = Image.fromarray(np.full((8, 8), 128, np.uint8)).convert(mode)
    image.save(tmp_path / "grey.png")
    out = backgrounds.parse(str(tmp_path / "grey.png")).behind(frame())
    assert np.abs(out[0, 0].astype(int) - expected).max() <= 2


def test_what_is_transparent_in_a_picture_is_white(tmp_path):
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "nothing.png")
    assert tuple(backgrounds.parse(str(tmp_path / "nothing.png")).behind(frame())[0, 0]) == (255, 255, 255)


def test_nonsense_says_what_is_possible(tmp_path):
    with pytest.raises(ValueError, match="neither transparent, white, black"):
        backgrounds.parse("#12345")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnope")
    with pytest.raises(ValueError, match=r"broken\.png: not a picture"):
        backgrounds.parse(str(tmp_path / "broken.png"))
