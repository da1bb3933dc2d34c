"""The lift command, with the weights that come with the package."""

import numpy as np
import pytest

from anime_pt.avatars.formats import vmd, vmd_motion
from anime_pt.pose import formats
from anime_pt.pose.skeletons import AVATAR_20, COCO_17
from tests.avatars import lifted_test
from tests.conftest import command


def test_a_walk_of_coco_s_joints(tmp_path):
    sequence, points = lifted_test.seen(lifted_test.walk(24), yaw=40)
    formats.write(tmp_path / "歩く.json", sequence.as_skeleton(COCO_17), "coco")
    out, joints = tmp_path / "歩く.vmd", tmp_path / "space.json"
    flags = [f"--poses={tmp_path}/歩く.json", f"--out={out}", f"--joints={joints}", "--pitch=0"]
    result = command("anime_pt.lift", *flags)
    assert result.returncode == 0 and not result.stderr, result.stderr
    assert result.stdout.splitlines() == [str(out), str(joints)]
    found = formats.read(joints)
    assert found.skeleton is AVATAR_20 and found.world.shape == (24, 20, 3)
    file = vmd.read(out)
    assert (
        file.last_frame == 23
        and len(file.bones["左足ＩＫ" if "左足ＩＫ" in file.bones else "左足IK"].frames) == 24
    )
    # Its own input is not written over.
    before = (tmp_path / "歩く.json").read_bytes()
    result = command("anime_pt.lift", flags[0], flags[1], f"--joints={tmp_path}/歩く.json")
    assert result.returncode == 1 and "error: --joints would replace an input, " in result.stderr
    assert (tmp_path / "歩く.json").read_bytes() == before
    errors = lifted_test.limb_errors(vmd_motion.record(vmd_motion.load(out)), points)
    assert np.mean(list(errors.values())) < 22, errors


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--poses=nothing.json", "--out=a.vmd"], "there is no file or folder nothing.json"),
        (["--poses=README.md", "--out=a.mp4"], "--out must end in .vmd, got 'a.mp4'"),
        (["--poses=README.md", "--out=a.vmd", "--step=3"], "--step is a checkpoint of --workdir"),
        (["--poses=README.md", "--out=a.vmd", "--size=720"], "--size must be HEIGHTxWIDTH"),
    ],
)
def test_bad_input(flags, says, tmp_path):
    result = command("anime_pt.lift", *(f.replace("=a.", f"={tmp_path}/a.") for f in flags))
    (line,) = result.stderr.strip().splitlines()
    assert (
        result.returncode == 1
        and line.startswith("error: ")
        and says.replace("a.mp4", f"{tmp_path}/a.mp4") in line
    )
    assert not list(tmp_path.iterdir())
