"""What examples show of pictures, and where joints are in it."""

import io

import numpy as np
import PIL.Image
import pytest

from tfds_builders.pose_transfer.pictures import View

_CROP = View((256, 256), (40, 0, 216, 256), (176, 256))
_SMALL = View((256, 256), (40, 0, 216, 256), (88, 128))
_LARGE = View((256, 256), (40, 0, 216, 256), (352, 512), alone=True)
_WHOLE = View((256, 256), (0, 0, 256, 256), (256, 256))


def encoded(image, format="PNG", mode="RGB"):
    data = io.BytesIO()
    PIL.Image.fromarray(image).convert(mode).save(data, format)
    return data.getvalue()


def decoded(data):
    with PIL.Image.open(io.BytesIO(data)) as image:
        return np.array(image)


@pytest.fixture
def image():
    """Every pixel has its column in red and its row in green."""
    out = np.zeros((256, 256, 3), np.uint8)
    out[..., 0], out[..., 1] = np.arange(256), np.arange(256)[:, None]
    return out


def test_crops_are_exact_and_joints_stay_on_their_pixels(image):
    cut = decoded(_CROP.picture(encoded(image)))
    np.testing.assert_array_equal(cut, image[:, 40:216])
    points = np.array([[40.5, 10.5, 1], [215.5, 255.5, 1], [128.5, 7.5, 1]])
    for (x, y, seen), (before_x, before_y, _) in zip(_CROP.keypoints(points), points, strict=True):
        assert seen == 1 and tuple(cut[int(y), int(x), :2]) == (int(before_x), int(before_y))


def test_joints_outside_of_the_crop_are_missing():
    points = np.array([[39.5, 10.5, 1], [216.5, 10.5, 1], [40.5, 10.5, 1], [np.nan, np.nan, 0]])
    found = _CROP.keypoints(points)
    np.testing.assert_array_equal(found[:, 2], (0, 0, 1, 0))
    assert np.isnan(found[[0, 1, 3], :2]).all() and found.dtype == np.float32
    np.testing.assert_array_equal(_WHOLE.keypoints(points)[:3, 2], 1)
    edge = _CROP.keypoints(np.array([[216.0, 10.5, 1], [40.0, 10.5, 1], [50.0, 256.0, 1]]))
    np.testing.assert_array_equal(edge[:, 2], (0, 1, 0))


def test_joints_are_scaled_with_the_picture(image):
    points = np.array([[128.0, 64.0, 1]])
    np.testing.assert_allclose(_SMALL.keypoints(points), [[44, 32, 1]])
    np.testing.assert_allclose(_LARGE.keypoints(points), [[176, 128, 1]])
    small = decoded(_SMALL.picture(encoded(image))).astype(int)
    assert small.shape == (128, 88, 3)
    # Between the columns 127 and 128, and the rows 63 and 64.
    np.testing.assert_allclose(small[31:33, 43:45, :2].mean((0, 1)), (127.5, 63.5), atol=1)
    large = decoded(_LARGE.picture(encoded(image[:, 40:216].repeat(3, 0).repeat(3, 1)))).astype(int)
    assert large.shape == (512, 352, 3)
    np.testing.assert_allclose(large[127:129, 175:177, :2].mean((0, 1)), (127.5, 63.5), atol=1)


def test_whole_pictures_stay_as_they_are_unless_they_are_no_rgb(image):
    for format in ("JPEG", "PNG"):
        data = encoded(image, format)
        assert _WHOLE.picture(data) == data
    grey = decoded(_WHOLE.picture(encoded(image, "JPEG", "L")))
    assert grey.shape == (256, 256, 3) and (grey[..., 0] == grey[..., 1]).all()


def test_other_sizes_are_told():
    assert _WHOLE.complaint((256, 256)) == _CROP.complaint((256, 256)) == ""
    assert _CROP.complaint((176, 256)) == "176x256, not 256x256"
    assert _LARGE.complaint((750, 1101)) == _LARGE.complaint((176, 256)) == ""
    assert _LARGE.complaint((256, 256)) == "256x256, not of 176:256 and at least 256 high"
    assert _LARGE.complaint((88, 128)) == "88x128, not of 176:256 and at least 256 high"


def test_what_is_no_picture_is_an_os_error():
    with pytest.raises(OSError, match="cannot identify"):
        _WHOLE.picture(b"<html>")
