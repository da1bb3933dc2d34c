"""Picture files of every mode, and what is no picture."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from anime_pt.pipelines import pictures


@pytest.fixture
def shape():
    """(24, 40, 4): a red block at the top left, half of the picture transparent."""
    image = np.zeros((24, 40, 4), np.uint8)
    image[:, :20] = (20, 200, 60, 255)
    image[:10, :10] = (230, 30, 30, 255)
    return image


def saved(folder, image, name="絵 1.png", **options):
    path = folder / name
    image.save(path, **options)
    return path


@pytest.mark.parametrize("mode", ["P", "PA", "LA", "RGBA", "L", "1", "I;16", "I", "RGB", "CMYK", "F"])
def test_modes(mode, shape, tmp_path):
    rgba = Image.fromarray(shape)
    grey = np.asarray(rgba.convert("L"))
    if mode in ("P", "PA"):
        image = rgba.quantize(8)
    elif mode in ("LA", "RGBA"):
        image = rgba.convert(mode)
    elif mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    elif mode == "I":
        image = Image.fromarray(grey.astype(np.int32) * 257)
    elif mode == "F":
        image = Image.fromarray(grey.astype(np.float32) / 255)
    else:
        image = rgba.convert("RGB").convert(mode)
    suffix = ".tif" if mode in ("CMYK", "F", "I") else ".png"
    read = pictures.read(saved(tmp_path, image, f"絵 1{suffix}"))
    assert (read.size, read.factor) == ((24, 40), 1)
    channels = 4 if mode in ("P", "PA", "LA", "RGBA") else 3
    assert read.image.shape == (24, 40, channels) and read.image.dtype == np.uint8
    if channels == 4:
        np.testing.assert_array_equal(read.image[..., 3], shape[..., 3])
        assert (read.flat[:, 20:] == 255).all()
    expected = shape[12, 4, :3] if mode in ("P", "PA", "RGBA", "RGB", "CMYK") else grey[12, 4]
    if mode != "1":
        np.testing.assert_allclose(read.image[12, 4, :3], expected, atol=2)
    assert read.image[4, 4].tolist() != read.image[12, 4].tolist() or mode == "1"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_rotation_in_the_header(orientation, suffix, shape, tmp_path):
    upright = Image.fromarray(shape[..., :3])
    # What a camera stores, so that turning it gives the upright picture.
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(back[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if suffix in (".jpg", ".webp") else {}
    read = pictures.read(saved(tmp_path, stored, f"photo{suffix}", exif=exif, **options))
    assert (read.size, read.image.shape) == ((24, 40), (24, 40, 3))
    np.testing.assert_allclose(read.image[5, 5], (230, 30, 30), atol=40)
    np.testing.assert_allclose(read.image[18, 5], (20, 200, 60), atol=40)
    assert read.image[5, 30].max() < 30


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_large_pictures_are_read_smaller(suffix, tmp_path):
    image = np.zeros((1000, 9000, 3), np.uint8)
    image[:, 6000:] = 255
    read = pictures.read(saved(tmp_path, Image.fromarray(image), f"wide{suffix}"))
    assert (read.size, read.factor) == ((1000, 9000), 4 if suffix == ".jpg" else 3)
    columns = read.image.mean((0, 2))
    edge = np.interp(127.5, columns, np.arange(len(columns)) + 0.5)
    assert abs(edge * read.factor - 6000) < read.factor


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_how_large_is_asked_for(suffix, shape, tmp_path):
    path = saved(tmp_path, Image.fromarray(shape[..., :3]).resize((400, 240), 0), f"photo{suffix}")
    read = pictures.read(path, 100)
    assert (read.size, read.factor, read.image.shape) == ((240, 400), 4, (60, 100, 3))
    np.testing.assert_allclose(read.image[12, 12], (230, 30, 30), atol=10)


def test_threads_leave_pillows_limit_alone(shape, tmp_path):
    path, limit = saved(tmp_path, Image.fromarray(shape)), Image.MAX_IMAGE_PIXELS
    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(lambda _: pictures.read(path).size, range(200)))
    assert sizes == [(24, 40)] * 200 and limit == Image.MAX_IMAGE_PIXELS is not None


def test_too_large_and_too_small(tmp_path):
    huge = saved(tmp_path, Image.new("1", (20_000, 20_000)), "huge.png")
    with pytest.raises(pictures.PictureError, match=r"too large: 20000x20000 pixels.* at most 134"):
        pictures.read(huge)
    with pytest.raises(pictures.PictureError, match=r"too small: 5x40 pixels; .* at least 16"):
        pictures.read(saved(tmp_path, Image.new("RGB", (5, 40))))


def test_no_pictures(tmp_path):
    text = tmp_path / "notes.png"
    text.write_text("no picture")
    with pytest.raises(pictures.PictureError, match="no picture that can be read"):
        pictures.read(text)
    text.write_bytes(b"")
    with pytest.raises(pictures.PictureError, match="the file is empty"):
        pictures.read(text)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    torn = saved(tmp_path, noise, "torn.png")
    torn.write_bytes(torn.read_bytes()[:6000])
    with pytest.raises(pictures.PictureError, match=r"^broken: "):
        pictures.read(torn)
    with pytest.raises(pictures.PictureError, match="cannot be read: No such file"):
        pictures.read(tmp_path / "absent.png")
    assert Image.MAX_IMAGE_PIXELS is not None


def test_names_are_sorted_as_people_count(tmp_path):
    for name in ("10.png", "9.PNG", "b.jpg", "a.webp", "notes.txt", ".hidden.png", "clip.mp4"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert pictures.names(tmp_path) == ["9.PNG", "10.png", "a.webp", "b.jpg", "clip.mp4"]


def test_which_files_move(tmp_path):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    for suffix in (".gif", ".png", ".webp"):
        moving = saved(tmp_path, frames[0], f"m{suffix}", save_all=True, append_images=frames[1:])
        assert pictures.is_moving(moving)
        assert not pictures.is_moving(saved(tmp_path, frames[0], f"s{suffix}"))
        assert pictures.read(moving).image.shape == (20, 20, 3)
    pages = saved(tmp_path, frames[0], "m.tif", save_all=True, append_images=frames[1:])
    assert not pictures.is_moving(pages)
