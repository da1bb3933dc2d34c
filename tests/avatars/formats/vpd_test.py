"""VPD files: what is read, damage, round trips."""

import numpy as np
import pytest

from anime_pt.avatars.formats import vmd_motion, vpd
from anime_pt.avatars.formats.binary import FormatError
from tests.avatars import asset_files
from tests.avatars.vmd_files import assert_same

TEXT = """Vocaloid Pose Data file

モデル.osm;\t\t// 親ファイル名
2;\t\t\t\t// 総ポーズボーン数

Bone0{センター
  0.000000,-1.500000,0.250000;\t\t\t\t// trans x,y,z
  0.000000,0.600000,0.000000,0.800000;\t// Quaternion x,y,z,w
}

Bone1{左腕
  0,0,0;
  0,0,0,0;
}

Morph0{まばたき
  0.75;
}
"""


def parse(tmp_path, text: str):
    path = tmp_path / "a.vpd"
    path.write_bytes(text.replace("\n", "\r\n").encode("cp932"))
    return vpd.read(path)


def test_read(tmp_path):
    file = parse(tmp_path, TEXT)
    assert file.model_name == "モデル" and list(file.bones) == ["センター", "左腕"]
    center = file.bones["センター"]
    assert center.frames.tolist() == [0]
    np.testing.assert_allclose(center.positions, [[0, -1.5, 0.25]])
    np.testing.assert_allclose(center.rotations, [[0, 0.6, 0, 0.8]], atol=1e-7)
    assert file.bones["左腕"].rotations.tolist() == [[0, 0, 0, 1]]
    assert file.morphs["まばたき"].weights.tolist() == [0.75]
    assert vmd_motion.load(tmp_path / "a.vpd").frames == 1


def test_what_was_read_is_written_again(tmp_path):
    file = parse(tmp_path, TEXT)
    vpd.write(tmp_path / "b.vpd", file)
    assert_same(file, vpd.read(tmp_path / "b.vpd"))


@pytest.mark.parametrize(
    "text,message",
    [
        ("", "not a VPD file"),
        ("hello", "not a VPD file"),
        (TEXT[:40], "number of bones"),
        (TEXT.replace("0.250000", "x"), "bone 'センター': expected 3 and 4 finite numbers"),
        (TEXT.replace("0.250000", "nan"), "expected 3 and 4 finite"),
        (TEXT.replace(",0.250000", ""), "expected 3 and 4 finite"),
        (TEXT.replace("0.75", ""), "morph 'まばたき': expected 1 finite"),
        (TEXT[: TEXT.index("Bone1")], "1 bones found, 2 announced"),
        (TEXT.replace("2;", "9" * 5000 + ";"), "number of bones"),
        (TEXT.replace("2;", "\uff12;"), "number of bones"),
        # What could be the start of a bone, half a million times.
        (TEXT[: TEXT.index("Bone0")] + "Bone0{" * 500_000, "0 bones found"),
    ],
)
def test_damage_is_named(tmp_path, text, message):
    with pytest.raises(FormatError, match=message):
        parse(tmp_path, text)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        vpd.read(tmp_path / "none.vpd")
    with pytest.raises(FormatError, match="a pose is a file of at most"):
        vpd.read(tmp_path)


@asset_files.parametrize("path", ".vpd")
def test_real_files_survive_a_round_trip(path, tmp_path):
    file = vpd.read(path)
    vpd.write(tmp_path / "b.vpd", file)
    assert_same(file, vpd.read(tmp_path / "b.vpd"))
