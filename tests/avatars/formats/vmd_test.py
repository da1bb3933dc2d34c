"""VMD files: every section, the oddities of real files, damage, round trips."""

import struct

import numpy as np
import pytest

from anime_pt.avatars.formats import vmd, vmd_curves
from anime_pt.avatars.formats.binary import FormatError
from tests.avatars import asset_files, vmd_files
from tests.avatars.vmd_files import assert_same


def parse(tmp_path, data: bytes) -> vmd.VmdFile:
    path = tmp_path / "a.vmd"
    path.write_bytes(data)
    return vmd.read(path)


def test_every_section(tmp_path):
    file = parse(tmp_path, vmd_files.full())
    assert file.model_name == "モデル" and file.trailing == 0 and file.last_frame == 20
    center = file.bones["センター"]
    assert center.frames.tolist() == [0, 10, 20]
    # Of two keys at one frame the last counts; quaternions are normalized.
    np.testing.assert_array_equal(center.positions, [[0, 0, 0], [4, 5, 6], [0, -2, 1]])
    np.testing.assert_allclose(center.rotations, [[0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0.6, 0.8]], atol=1e-7)
    assert center.curves[0].tolist() == [list(vmd.LINEAR)] * 4 and not center.curves[2].any()
    assert set(file.bones) == {"センター", "左スカート前後", "左足ＩＫ"}
    # The physics switch lies where Z and rotation have their x1, which is read from other rows.
    foot = file.bones["左足ＩＫ"]
    assert foot.physics.tolist() == [[0x63, 0x0F]] and foot.curves[0].tolist() == [list(vmd.LINEAR)] * 4
    assert file.morphs["あ"].frames.tolist() == [2, 8] and file.morphs["あ"].weights.tolist() == [1.0, 0.5]
    camera = file.camera
    assert camera.frames.tolist() == [1, 3] and camera.fovs.tolist() == [30, 30]
    assert camera.distances[0] == -45 and camera.positions[0].tolist() == [1, 2, 3]
    np.testing.assert_allclose(camera.rotations[0], [0.1, 0.2, 0.3], atol=1e-7)
    # The file has x1, x2, y1, y2.
    assert camera.curves[0, 1].tolist() == [4, 6, 5, 7] and not camera.perspective.any()
    assert file.lights.directions.tolist() == [[-0.5, -1, 0.5]] and file.shadows.modes.tolist() == [1]
    assert file.switches == (
        vmd.Switch(0, False, {"左足ＩＫ": False, "右足ＩＫ": True}),
        vmd.Switch(7, True, {"左足ＩＫ": True}),
    )


def test_all_zero_quaternions_mean_unturned(tmp_path):
    data = vmd_files.HEADER + vmd_files.name("m", 20)
    data += vmd_files.section([vmd_files.bone("頭", 0, rotation=(0, 0, 0, 0))])
    assert parse(tmp_path, data).bones["頭"].rotations.tolist() == [[0, 0, 0, 1]]


def test_old_signature_and_missing_sections(tmp_path):
    rows = vmd_files.section([vmd_files.bone("頭", 3)])
    old = b"Vocaloid Motion Data file".ljust(30, b"\0") + vmd_files.name("モデル", 10) + rows
    file = parse(tmp_path, old)
    assert file.model_name == "モデル" and file.bones["頭"].frames.tolist() == [3]
    assert not file.morphs and not len(file.camera.frames) and file.switches == ()


def test_what_was_read_is_written_again(tmp_path):
    file = parse(tmp_path, vmd_files.full())
    vmd.write(tmp_path / "b.vmd", file)
    again = vmd.read(tmp_path / "b.vmd")
    assert_same(file, again)
    assert again.trailing == 0


def test_interpolation_bytes_have_the_four_shifted_rows(tmp_path):
    """Other players read any of the rows; these are the bytes of Z's x1, y1, x2, y2 in each of them."""
    file = parse(tmp_path, vmd_files.full())
    keys = file.bones["センター"]
    curves = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
    changed = vmd.BoneKeys(keys.frames, keys.positions, keys.rotations, curves, curves[:, 2:, 0])
    vmd.write(tmp_path / "b.vmd", vmd.VmdFile("m", {"センター": changed}))
    raw = (tmp_path / "b.vmd").read_bytes()[30 + 20 + 4 + 15 + 4 + 28 :][:64]
    for row, at in ((0, 2), (1, 1), (2, 0)):
        assert [raw[16 * row + at + 4 * i] for i in range(4)] == curves[0, 2].tolist()


def test_cut_files_fail_clearly_or_end_between_sections(tmp_path):
    data = vmd_files.full()
    whole = 0
    for size in range(len(data)):
        try:
            parse(tmp_path, data[:size])
            whole += 1
        except FormatError as e:
            assert "a.vmd" in str(e) and "\n" not in str(e)
    assert whole == 6  # After the model's name, and after each section but the last.


@pytest.mark.parametrize(
    "data,message",
    [
        (b"hello", "signature needs 30 bytes"),
        (b"\0" * 60, "not a VMD file"),
        (vmd_files.HEADER + bytes(20) + struct.pack("<I", 2**32 - 1), "do not fit"),
        (
            vmd_files.HEADER + bytes(20) + vmd_files.section([vmd_files.bone("a", 2**32 - 1)]),
            "frame 4294967295 is past",
        ),
        (
            vmd_files.HEADER + bytes(20) + vmd_files.section([vmd_files.bone("a", 0, (np.nan, 0, 0))]),
            "a position is not finite",
        ),
        (
            vmd_files.HEADER + bytes(20) + bytes(20) + struct.pack("<IIBI", 1, 0, 1, 10**9),
            "IK switches do not fit",
        ),
    ],
)
def test_damage_is_named(tmp_path, data, message):
    with pytest.raises(FormatError, match=message):
        parse(tmp_path, data)


def test_flipped_bits_load_or_fail_clearly(tmp_path):
    data = vmd_files.full()
    rng = np.random.default_rng(0)
    for _ in range(300):
        flipped = bytearray(data)
        flipped[rng.integers(len(data))] ^= 1 << rng.integers(8)
        try:
            file = parse(tmp_path, bytes(flipped))
        except FormatError:
            continue
        assert all(len(np.unique(k.frames)) == len(k.frames) for k in file.bones.values())


@asset_files.parametrize("path", ".vmd")
def test_real_files_survive_a_round_trip(path, tmp_path):
    file = vmd.read(path)
    vmd.write(tmp_path / "b.vmd", file)
    assert_same(file, vmd.read(tmp_path / "b.vmd"))
    for keys in file.bones.values():
        assert (np.diff(keys.frames) > 0).all()
        np.testing.assert_allclose(np.linalg.norm(keys.rotations, axis=1), 1, atol=1e-5)


def bezier_by_subdivision(points, x: float) -> float:
    """De Casteljau's halving, in exact halves, without solving anything."""
    p = np.array([[0, 0], [points[0], points[1]], [points[2], points[3]], [127, 127]], float) / 127
    for _ in range(50):
        a = (p[:-1] + p[1:]) / 2
        b = (a[:-1] + a[1:]) / 2
        c = (b[0] + b[1]) / 2
        left = c[0] >= x
        p = np.array([p[0], a[0], b[0], c] if left else [c, b[1], a[2], p[3]])
    return float(p[:, 1].mean())


def test_ease_is_the_bezier_curve():
    rng = np.random.default_rng(0)
    extremes = [(127, 0, 0, 127), (0, 127, 127, 0), (0, 0, 0, 0), (127, 127, 127, 127), (0, 0, 127, 127)]
    for points in [*extremes, *rng.integers(0, 128, (60, 4)).tolist()]:
        points = np.array(points, np.uint8)
        for x in (0.0, 1e-6, 0.1, 0.37, 0.5, 0.81, 0.999, 1.0):
            # Where the curve is vertical, a halving cannot tell its height better than this.
            assert vmd_curves.ease(points, x) == pytest.approx(bezier_by_subdivision(points, x), abs=2e-5)


def test_linear_curves_are_exact():
    for points in (vmd.LINEAR, (0, 0, 0, 0), (20, 20, 20, 20)):
        assert vmd_curves.ease(np.array(points, np.uint8), 0.3) == 0.3


def test_between_keys():
    frames = np.array([2, 5, 6])
    expected = {
        -1: (0, 1.0),
        2: (0, 1.0),
        3.5: (1, 0.5),
        5: (1, 1.0),
        5.25: (2, 0.25),
        6: (2, 1.0),
        9: (2, 1.0),
    }
    assert {at: vmd_curves.between(frames, at) for at in expected} == expected
    assert vmd_curves.between(np.array([4]), 1.0) == (0, 1.0)
