import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from anime_pt.pipelines import video, video_reader
from tests.avatars import asset_files


def gradient(i, height=48, width=64):
    """Red grows to the right, green downwards, blue with time."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, np.full_like(x, 20 * i)], -1).astype(np.uint8)


@pytest.fixture
def clip(tmp_path):
    video.write(tmp_path / "踊り 1.mp4", [gradient(i) for i in range(10)], "30000/1001")
    return tmp_path / "踊り 1.mp4"


def test_frames_and_times(clip):
    frames = list(video_reader.read(clip))
    assert [f.seconds for f in frames] == pytest.approx([i * 1001 / 30000 for i in range(10)])
    for i, frame in enumerate(frames):
        assert frame.image.dtype == np.uint8 and np.abs(frame.image.astype(int) - gradient(i)).mean() < 4
    assert video_reader.probe(clip) == video_reader.Probe(
        64, 48, Fraction(30000, 1001), pytest.approx(10 * 1001 / 30000, abs=1e-3)
    )


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_rotation_in_the_header_is_applied(clip, turns):
    """The matrix of the track header, ISO/IEC 14496-12 8.3.2, says how far to turn clockwise."""
    data = bytearray(clip.read_bytes())
    # Behind the name: version and flags, times, track, duration, reserved, layer and the like.
    start = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    a, b = {1: (0, one), 2: (-one, 0), 3: (0, -one)}[turns]
    data[start : start + 36] = struct.pack(">9i", a, b, 0, -b, a, 0, 0, 0, 1 << 30)
    clip.write_bytes(data)
    first = next(video_reader.read(clip)).image
    wanted = np.rot90(gradient(0), -turns)
    assert first.shape == wanted.shape and np.abs(first.astype(int) - wanted).mean() < 4
    probe = video_reader.probe(clip)
    assert (probe.height, probe.width) == wanted.shape[:2]


def test_varying_rates_keep_their_times(tmp_path):
    ticks = [0, 40, 50, 200, 201, 1000]
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        stream = out.add_stream("libx264", rate=1000)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i, tick in enumerate(ticks):
            picture = av.VideoFrame.from_ndarray(gradient(i), format="rgb24")
            picture.pts, picture.time_base = tick + 500, Fraction(1, 1000)
            out.mux(stream.encode(picture))
        out.mux(stream.encode())
    frames = list(video_reader.read(tmp_path / "a.mkv"))
    assert [f.seconds for f in frames] == pytest.approx([t / 1000 for t in ticks])
    assert np.abs(frames[-1].image.astype(int) - gradient(5)).mean() < 5


@pytest.mark.parametrize("name", ["a.gif", "a.apng"])
def test_transparent_pixels_are_white(name, tmp_path):
    frames = [np.dstack([gradient(i), np.zeros((48, 64), np.uint8)]) for i in range(4)]
    for i, frame in enumerate(frames):
        frame[10:30, 5 * i : 5 * i + 20] = (200, 40, 90, 255)
    video.write(tmp_path / name, frames, 10)
    read = list(video_reader.read(tmp_path / name))
    assert [f.seconds for f in read] == pytest.approx([0, 0.1, 0.2, 0.3])
    for frame, wanted in zip(read, frames, strict=True):
        assert (frame.image[wanted[..., 3] == 0] == 255).all()
        assert (frame.image[wanted[..., 3] == 255] == (200, 40, 90)).all()


def test_files_that_are_no_videos(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no video"):
        next(video_reader.read(tmp_path / "nothing.mp4"))
    for name, data in (("empty.mp4", b""), ("text.mp4", b"hello " * 99), ("zeros.avi", bytes(5000))):
        (tmp_path / name).write_bytes(data)
        for use in (video_reader.probe, lambda path: list(video_reader.read(path))):
            with pytest.raises(video_reader.VideoError, match="is no video that can be read: ") as error:
                use(tmp_path / name)
            assert name in str(error.value) and "\n" not in str(error.value)


def test_sound_alone_has_no_pictures(tmp_path):
    with av.open(str(tmp_path / "a.wav"), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.rate = 8000
        out.mux(stream.encode(sound))
    with pytest.raises(video_reader.VideoError, match=r"a\.wav has no pictures"):
        video_reader.probe(tmp_path / "a.wav")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_cut_file_says_where(clip, share):
    video.write(
        clip, [np.random.default_rng(i).integers(0, 255, (48, 64, 3), np.uint8) for i in range(30)], 30
    )
    data = clip.read_bytes()
    clip.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(video_reader.VideoError, match=r"is broken|is cut off: it has"):
        list(video_reader.read(clip))


def test_huge_frames_are_refused(clip):
    data = bytearray(clip.read_bytes())
    start = data.index(b"avc1") + 4 + 24
    data[start : start + 4] = struct.pack(">2H", 65535, 65535)
    clip.write_bytes(data)
    try:
        read = next(video_reader.read(clip)).image.shape  # The codec's own header may win.
    except video_reader.VideoError as error:
        assert "65535x65535, which is too large" in str(error)
    else:
        assert read == (48, 64, 3)


@asset_files.parametrize("path", ".mp4", ".webm", ".mov", ".avi", ".gif")
def test_real_files(path):
    probe = video_reader.probe(path)
    last, count = -1.0, 0
    for frame in video_reader.read(path):
        assert frame.image.shape == (probe.height, probe.width, 3) and frame.seconds > last
        last, count = frame.seconds, count + 1
    assert count > 0
    if probe.seconds:
        assert probe.seconds / 2 - 1 < last < probe.seconds + 1
