import numpy as np
import pytest

from anime_pt.avatars import bone_pose, expressions, files, motions, rig
from anime_pt.avatars.formats import vmd
from anime_pt.avatars.formats.binary import FormatError
from tests.avatars import asset_files, bvh_files


def test_files_are_known_by_what_is_in_them(tmp_path):
    turns, hips = bvh_files.motion(10)
    for name in ("clip.bvh", "clip.BVH", "named_wrongly.vmd"):
        bvh_files.write(tmp_path / name, turns, hips, bvh_files.Dialect())
        motion = motions.load(tmp_path / name)
        assert (motion.name, motion.frames) == (name[:-4], 10)
        assert motion.fps == pytest.approx(bvh_files.FPS)
    assert motions.load(str(tmp_path / "clip.bvh")).frames == 10


def test_procedural_motions_are_seeded_and_any_character_performs_them():
    motion = motions.load("procedural:3,20")
    again, other = motions.load("procedural:3,20"), motions.load("procedural:4,20")
    assert (motion.frames, motion.fps, motions.load("procedural:3").frames) == (20, 30.0, 120)
    np.testing.assert_array_equal(motion.rotations["leftUpperArm"], again.rotations["leftUpperArm"])
    assert np.abs(motion.rotations["leftUpperArm"] - other.rotations["leftUpperArm"]).max() > 0.01
    who = files.load("procedural:1")
    performance = motion.on(who)
    globals_, morphed = motions.moment(who, performance, 0.5)
    np.testing.assert_array_equal(globals_, rig.pose(who, performance.pose(0.5)))
    assert morphed is None
    assert np.abs(globals_ - who.rest).max() > 0.05


def test_rest_is_a_motion_of_one_frame():
    motion, who = motions.load("rest"), files.load("procedural:1")
    assert motion.frames == 1
    pose = motion.on(who).pose(12.0)
    np.testing.assert_array_equal(pose.rotations, bone_pose.rest(who).rotations)


@pytest.mark.parametrize(
    "spec", ["procedural:", "procedural:x", "procedural:-1", "procedural:1,0", "procedural:1,999999"]
)
def test_procedural_motions_need_whole_numbers(spec):
    with pytest.raises(ValueError, match="expected procedural:SEED or procedural:SEED,FRAMES"):
        motions.load(spec)


def test_what_is_no_motion_is_refused_in_one_line(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        motions.load(tmp_path / "none.bvh")
    with pytest.raises(FormatError, match="not a regular file"):
        motions.load(tmp_path)
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(FormatError, match=r"motions are files of \.vmd, \.vpd, \.vrma, \.glb, \.bvh"):
        motions.load(tmp_path / "a.txt")
    vmd.write(tmp_path / "camera.vmd", vmd.VmdFile(model_name="カメラ・照明"))
    with pytest.raises(FormatError, match="give it as the camera"):
        motions.load(tmp_path / "camera.vmd")


def test_names_of_expressions_lead_both_ways():
    ones = np.ones(3)
    mmd = ["あ", "い", "う", "え", "お", "まばたき", "ウィンク２", "笑い"]
    found = expressions.renamed({"aa": ones, "oh": 2 * ones, "blink": ones, "blinkLeft": ones}, mmd)
    assert set(found) == {"あ", "お", "まばたき", "ウィンク２"}
    assert found["お"][0] == 2
    vrm = ["aa", "Joy", "Blink", "blink_l"]
    found = expressions.renamed(
        {"あ": ones, "ああ": 3 * ones, "まばたき": ones, "ウィンク": ones, "x": ones}, vrm
    )
    assert set(found) == {"aa", "Blink", "blink_l"}
    assert found["aa"][0] == 3
    # A name of its own comes before one that means the same.
    assert set(expressions.renamed({"笑い": ones}, ["にこり", "笑い"])) == {"笑い"}
    # Widths do not count.
    assert set(expressions.renamed({"ｳｨﾝｸ2": ones}, ["ウィンク２"])) == {"ウィンク２"}


@asset_files.parametrize("path", ".bvh", ".vmd", ".vpd", ".vrma")
def test_real_motions_are_performed(path):
    if "micro" in str(path):
        pytest.skip("a fixture of single bones")
    motion, who = motions.load(path), files.load("procedural:1")
    performance = motion.on(who)
    for seconds in np.linspace(0, motion.frames / motion.fps, 3):
        globals_, _ = motions.moment(who, performance, float(seconds))
        assert np.isfinite(globals_).all()
        head, foot = (globals_[who.humanoid[r], 1, 3] for r in ("head", "leftFoot"))
        assert head > 0.2
        assert foot > -0.05
