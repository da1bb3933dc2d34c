"""MikuMikuDance's camera: where it stands, where it looks, and how it moves between keys."""

import numpy as np
import pytest

from anime_pt.avatars import camera
from anime_pt.avatars.formats import vmd, vmd_camera
from tests.avatars import asset_files


def keys(*rows, curves=vmd.LINEAR) -> vmd.CameraKeys:
    """Rows of frame, distance, position, rotation, fov, perspective."""
    columns = [list(c) for c in zip(*rows, strict=True)]
    frames, distances, positions, rotations, fovs, perspective = columns
    return vmd.CameraKeys(
        np.int32(frames),
        np.float32(distances),
        np.float32(positions),
        np.float32(rotations),
        np.tile(np.uint8(curves), (len(rows), 6, 1)),
        np.float32(fovs),
        np.array(perspective),
    )


def at(rotation=(0, 0, 0), distance=-45.0, position=(0, 10, 0), perspective=True) -> camera.Perspective:
    return vmd_camera.CameraTrack(keys((0, distance, position, rotation, 30, perspective))).camera(0.0, 200)


def test_stands_in_front_and_looks_at_the_centre():
    view = at(position=(1, 10, 2))
    np.testing.assert_allclose(view.eye, [0.08, 0.8, 45 * 0.08 - 0.16])
    assert view.fov == 30 and (view.width, view.height) == (200, 200)
    np.testing.assert_allclose(view.project([0.08, 0.8, -0.16]), [100, 100, 3.6], atol=1e-9)
    # The character's left is on the right of the picture.
    assert view.project([0.5, 0.8, 0.0])[0] > 110


@pytest.mark.parametrize(
    "rotation,eye",
    [
        ((np.pi / 2, 0, 0), (0, 0.8 - 3.6, 0)),
        ((-np.pi / 6, 0, 0), (0, 0.8 + 1.8, 3.6 * np.cos(np.pi / 6))),
        ((0, np.pi / 2, 0), (3.6, 0.8, 0)),
        ((0, 0, 1.0), (0, 0.8, 3.6)),
        # About X first and then about Y.
        ((-np.pi / 6, np.pi / 2, 0), (3.6 * np.cos(np.pi / 6), 0.8 + 1.8, 0)),
    ],
)
def test_turns_about_the_centre(rotation, eye):
    view = at(rotation)
    np.testing.assert_allclose(view.eye, eye, atol=1e-6)
    np.testing.assert_allclose(view.project([0, 0.8, 0]), [100, 100, 3.6], atol=1e-5)


def test_roll():
    """Turned to the right by a quarter, the camera sees what is on the right at the top."""
    x, y, _ = at((0, 0, np.pi / 2)).project([0.3, 0.8, 0])
    assert x == pytest.approx(100, abs=1e-4) and y < 80


def test_behind_the_centre_it_looks_away():
    view = at(distance=10.0)
    np.testing.assert_allclose(view.eye, [0, 0.8, -0.8], atol=1e-9)
    assert np.isnan(view.project([0, 0.8, 0])).all()


def test_without_perspective_the_centre_keeps_its_size():
    flat, deep = at(perspective=False), at()
    assert isinstance(flat, camera.Camera)
    for point in ([0.2, 0.8, 0], [0, 1.1, 0]):
        np.testing.assert_allclose(flat.project(point)[:2], deep.project(point)[:2], atol=1e-6)


def test_moves_by_its_curves():
    slow = (127, 0, 127, 0)  # Stays, then catches up.
    rows = [(0, -10, (0, 0, 0), (0, 0, 0), 30, True), (30, -20, (10, 0, 0), (0, 1, 0), 50, True)]
    even = vmd_camera.CameraTrack(keys(*rows))
    assert even.frames == 31
    middle = even.camera(0.5, 100)
    assert middle.fov == pytest.approx(40) and middle.yaw == pytest.approx(-np.degrees(0.5))
    assert np.linalg.norm(np.array(middle.eye) - [0.4, 0, 0]) == pytest.approx(1.2)
    assert vmd_camera.CameraTrack(keys(*rows, curves=slow)).camera(0.5, 100).fov < 33
    assert even.camera(-1, 100) == even.camera(0, 100) and even.camera(9, 100) == even.camera(1, 100)


def test_cut():
    track = vmd_camera.CameraTrack(
        keys(
            (0, -10, (0, 0, 0), (0, 0, 0), 30, True),
            (1, -99, (0, 0, 0), (0, 0, 0), 60, True),
            (3, -99, (0, 0, 0), (0, 0, 0), 80, False),
        )
    )
    assert [track.camera(f / 30, 100).fov for f in (0, 0.5, 0.999, 1, 2)] == pytest.approx(
        [30] * 3 + [60, 70]
    )
    assert isinstance(track.camera(2.9 / 30, 100), camera.Perspective)
    assert isinstance(track.camera(3 / 30, 100), camera.Camera)


def test_cut_at_every_frame():
    """Times of whole frames are not a little before them, whatever rounding does."""
    track = vmd_camera.CameraTrack(
        keys(*((f, -10, (0, 0, 0), (0, 0, 0), 10 + f % 100, True) for f in range(300)))
    )
    assert [track.camera(f / 30, 10).fov for f in range(300)] == [10 + f % 100 for f in range(300)]
    assert track.camera(0.7, 10).fov == 31  # 0.7 times 30 is below 21 in floating point.


def test_keys_that_cannot_be():
    with pytest.raises(ValueError, match="no camera keys"):
        vmd_camera.CameraTrack(vmd.VmdFile("x").camera)
    with pytest.raises(ValueError, match="field of view of 0"):
        vmd_camera.CameraTrack(keys((0, -10, (0, 0, 0), (0, 0, 0), 0, True)))


@asset_files.parametrize("path", ".vmd")
def test_real_files(path):
    """Every camera of a file sees the point that it turns about, in the middle."""
    found = vmd.read(path).camera
    if not len(found.frames):
        with pytest.raises(ValueError, match="no camera keys"):
            vmd_camera.CameraTrack(found)
        return
    track = vmd_camera.CameraTrack(found)
    for i in range(0, len(found.frames), max(1, len(found.frames) // 20)):
        view = track.camera(found.frames[i] / vmd.FPS, (90, 160))
        if found.distances[i] * 0.08 < -0.05:
            center = found.positions[i].astype(float) * [0.08, 0.08, -0.08]
            np.testing.assert_allclose(view.project(center)[:2], [80, 45], atol=1e-3)
