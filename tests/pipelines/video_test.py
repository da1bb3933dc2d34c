"""Every kind of moving picture, read back by another program than wrote it where there is one."""

import errno
import json
import os
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from anime_pt.pipelines import sprites, stills, video, video_reader

KINDS = ("a.mp4", "a.gif", "a.apng", "a.png", "a.sheet.png", "frames")
COLORS = [(230, 40, 30), (40, 200, 70), (20, 60, 220), (250, 220, 190), (0, 0, 0), (255, 255, 255)]


def picture(i, height=48, width=64, alpha=True):
    """Stripes of the colours, and a square that moves by two pixels; transparent at the top."""
    image = np.zeros((height, width, 4), np.uint8)
    for k, color in enumerate(COLORS):
        image[12:, k * 10 : k * 10 + 10, :3] = color
    image[12:, :, 3] = 255
    image[20:40, 2 * i : 2 * i + 16] = (200, 120, 240, 255)
    return image if alpha else image[..., :3].copy()


def pillow_frames(path):
    with Image.open(path) as image:
        out = []
        for i in range(image.n_frames):
            image.seek(i)
            out.append((np.array(image.convert("RGBA")), image.info.get("duration")))
        return out


@pytest.mark.parametrize("fps", [24, 23.976, "24000/1001", Fraction(30000, 1001), 59.94, 12.5])
def test_mp4(fps, tmp_path):
    path = tmp_path / "踊り 1.mp4"
    frames = [picture(i, alpha=False) for i in range(9)]
    video.write(path, frames, fps)
    exact = video.rate(fps)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == exact and stream.codec_context.pix_fmt == "yuv420p"
        decoded = list(container.decode(stream))
    assert [frame.pts * frame.time_base for frame in decoded] == [i / exact for i in range(9)]
    for frame, wanted in zip(decoded, frames, strict=True):
        image = frame.to_ndarray(format="rgb24").astype(int)
        for x in (5, 35, 45, 55):
            np.testing.assert_allclose(image[44, x], wanted[44, x], atol=9)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert decoded[0].colorspace == 1  # Players take colours of HD as BT.709.


def test_mp4_of_odd_sides_repeats_the_border(tmp_path):
    frames = [np.full((33, 47, 3), (40 * i, 255 - 40 * i, 90), np.uint8) for i in range(5)]
    video.write(tmp_path / "a.mp4", frames, 10)
    shown = [t.image for t in video_reader.read(tmp_path / "a.mp4")]
    for image, wanted in zip(shown, frames, strict=True):
        assert image.shape == (34, 48, 3)
        np.testing.assert_allclose(image.astype(int), np.broadcast_to(wanted[0, 0], image.shape), atol=5)


def test_mp4_takes_no_alpha(tmp_path):
    with pytest.raises(ValueError, match="MP4 has no transparency"):
        video.write(tmp_path / "a.mp4", [picture(0)], 24)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("alpha", [True, False])
@pytest.mark.parametrize("name", ["a.apng", "a.png"])
def test_apng_is_exact(alpha, name, tmp_path):
    frames = [picture(i, alpha=alpha) for i in range(6)]
    video.write(tmp_path / name, frames, "24000/1001")
    shown = pillow_frames(tmp_path / name)
    for (image, duration), wanted in zip(shown, frames, strict=True):
        np.testing.assert_array_equal(image[..., : wanted.shape[2]], wanted)
        assert duration == pytest.approx(1001 / 24)
    with Image.open(tmp_path / name) as image:
        assert image.info["loop"] == 0


def test_apng_of_one_frame_is_a_picture(tmp_path):
    video.write(tmp_path / "a.png", [picture(3)], 24)
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "a.png")), picture(3))


@pytest.mark.parametrize("alpha", [True, False])
def test_gif(alpha, tmp_path):
    frames = [picture(i, alpha=alpha) for i in range(12)]
    video.write(tmp_path / "a.gif", frames, 24)
    shown = pillow_frames(tmp_path / "a.gif")
    for (image, _), wanted in zip(shown, frames, strict=True):
        opaque = image[..., 3] == 255
        np.testing.assert_array_equal(opaque, wanted[..., 3] == 255 if alpha else True)
        assert set(np.unique(image[..., 3])) <= {0, 255}
        # Fewer than 256 colours: all are kept.
        np.testing.assert_array_equal(image[opaque, :3], wanted[opaque, :3])
    times = np.cumsum([duration for _, duration in shown])
    np.testing.assert_allclose(times, 1000 * np.arange(1, 13) / 24, atol=5)
    with Image.open(tmp_path / "a.gif") as image:
        assert image.info["loop"] == 0


def test_gif_of_many_colours_is_close(tmp_path):
    y, x = np.mgrid[:64, :64]
    frames = [np.stack([4 * x, 4 * y, (x + y + 8 * i) % 256], -1).astype(np.uint8) for i in range(3)]
    video.write(tmp_path / "a.gif", frames, 10)
    for (image, _), wanted in zip(pillow_frames(tmp_path / "a.gif"), frames, strict=True):
        assert np.abs(image[..., :3].astype(int) - wanted).mean() < 8


def test_gif_speed(tmp_path):
    video.write(tmp_path / "a.gif", [picture(i) for i in range(5)], 50)
    assert [d for _, d in pillow_frames(tmp_path / "a.gif")] == [20] * 5
    with pytest.raises(ValueError, match=r"at most 50 frames per second, not 59\.94"):
        video.write(tmp_path / "b.gif", [picture(0)], 59.94)


@pytest.mark.parametrize("alpha", [True, False])
def test_folder(alpha, tmp_path):
    folder = tmp_path / "踊り frames"
    frames = [picture(i, alpha=alpha) for i in range(3)]
    video.write(folder, frames, 24)
    assert [p.name for p in sorted(folder.iterdir())] == [f"frame_0000{i}.png" for i in range(3)]
    for i, wanted in enumerate(frames):
        np.testing.assert_array_equal(np.array(Image.open(folder / stills.name(i))), wanted)
    with pytest.raises(FileExistsError, match="has frames already"):
        video.write(folder, frames[:2], 24)


def test_sprite_sheet(tmp_path):
    frames = [picture(i) for i in range(7)]
    video.write(tmp_path / "踊り.sheet.png", frames, 12.5)
    about = json.loads((tmp_path / "踊り.sheet.json").read_text())
    assert about == {
        "image": "踊り.sheet.png",
        **{"width": 128, "height": 192, "cell_width": 64, "cell_height": 48},
        **{"columns": 2, "rows": 4, "frames": 7, "fps": 12.5},
    }
    sheet = np.array(Image.open(tmp_path / about["image"]))
    for i, wanted in enumerate(frames):
        y, x = i // about["columns"] * 48, i % about["columns"] * 64
        np.testing.assert_array_equal(sheet[y : y + 48, x : x + 64], wanted)
    assert sheet[144:, 64:].max() == 0 and sheet.shape == (192, 128, 4)


def test_sprite_sheets_are_nearly_square_and_limited():
    assert [sprites.grid(n, 64, 64) for n in (1, 2, 4, 9, 10)] == [(1, 1), (2, 1), (2, 2), (3, 3), (4, 3)]
    assert sprites.grid(8, 64, 32) == (2, 4)
    with pytest.raises(ValueError, match="2000 frames of 512x512 would be 23040x23040"):
        sprites.grid(2000, 512, 512)


@pytest.mark.parametrize("name", KINDS)
def test_no_frames(name, tmp_path):
    with pytest.raises(ValueError, match="no frames"):
        video.write(tmp_path / name, [], 10)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))])
@pytest.mark.parametrize("name", KINDS[:-1])
def test_what_stops_writing_leaves_the_old_file(name, stop, tmp_path):
    path = tmp_path / name
    alpha = video.kind(path) != ".mp4"
    video.write(path, [picture(i, alpha=alpha) for i in range(3)], 10)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def frames():
        yield from (picture(i, alpha=alpha) for i in range(30))
        raise stop

    with pytest.raises(type(stop)):
        video.write(path, frames(), 10)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", KINDS)
def test_frames_of_several_shapes(name, tmp_path):
    frames = [picture(0, alpha=False), picture(1, width=66, alpha=False)]
    with pytest.raises(ValueError, match=r"uint8 of one shape, got \(48, 66, 3\)"):
        video.write(tmp_path / name, frames, 10)


def test_kinds(tmp_path):
    assert [video.kind(name) for name in ("A.MP4", "x/踊り.png", "a.Sheet.PNG", "frames", "v1.2/")] == [
        *(".mp4", ".apng", ".sheet.png", "", "")
    ]
    with pytest.raises(ValueError, match=r"written as \.mp4, \.gif, \.apng"):
        video.write(tmp_path / "a.avi", [picture(0)], 10)


@pytest.mark.parametrize("fps", [0, -3, "fast", float("nan"), float("inf"), "1/0", 5000])
def test_bad_rates(fps, tmp_path):
    with pytest.raises(ValueError, match=r"fps must be a number from 0\.01 to 1000"):
        video.write(tmp_path / "a.mp4", [picture(0)], fps)


class TestSequence:
    SETTINGS = {"size": (48, 64), "fps": "24", "character": "procedural:7"}

    def test_continues(self, tmp_path):
        folder = tmp_path / "踊り"
        first = stills.Sequence(folder, self.SETTINGS)
        for i in range(3):
            first.add(picture(i), {"keypoints": [[i, 2.5, 1]]})
        second = stills.Sequence(folder, self.SETTINGS)
        assert second.rows == [{"keypoints": [[i, 2.5, 1]]} for i in range(3)]
        second.add(picture(3), {"keypoints": []})
        assert len(stills.Sequence(folder, self.SETTINGS).rows) == 4
        np.testing.assert_array_equal(np.array(Image.open(folder / stills.name(3))), picture(3))

    def test_a_torn_row_and_a_lost_frame_are_made_again(self, tmp_path):
        first = stills.Sequence(tmp_path, self.SETTINGS)
        for i in range(4):
            first.add(picture(i), {"row": i})
        with (tmp_path / stills.JOURNAL).open("a") as journal:
            journal.write('{"row": 4')
        assert len(stills.Sequence(tmp_path, self.SETTINGS).rows) == 4
        (tmp_path / stills.name(2)).unlink()
        again = stills.Sequence(tmp_path, self.SETTINGS)
        assert again.rows == [{"row": 0}, {"row": 1}]
        again.add(picture(2), {"row": "new"})
        assert stills.Sequence(tmp_path, self.SETTINGS).rows[2:] == [{"row": "new"}]

    def test_other_settings_are_refused(self, tmp_path):
        stills.Sequence(tmp_path, self.SETTINGS).add(picture(0), {})
        with pytest.raises(FileExistsError, match=r"differs in size, yaw\): delete it, or name another"):
            stills.Sequence(tmp_path, {**self.SETTINGS, "size": (64, 64), "yaw": 20})

    def test_frames_of_unknown_origin_are_refused(self, tmp_path):
        stills.save(tmp_path / stills.name(0), picture(0))
        with pytest.raises(FileExistsError, match="has other frames"):
            stills.Sequence(tmp_path, self.SETTINGS)
        (tmp_path / stills.JOURNAL).write_text("what?\n")
        with pytest.raises(FileExistsError, match="is damaged"):
            stills.Sequence(tmp_path, self.SETTINGS)
