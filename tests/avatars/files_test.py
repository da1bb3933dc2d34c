import numpy as np
import pytest

from anime_pt.avatars import files
from anime_pt.avatars.formats.binary import FormatError
from tests.avatars import asset_files, gltf_files, mmd_files


def test_by_suffix(tmp_path):
    for suffix in (".vrm", ".glb", ".VRM"):
        path = gltf_files.figure("1.0").save(tmp_path / f"a{suffix}")
        assert files.load(str(path)).kind == files.load(path).kind == "vrm"


def test_procedural():
    a, b, other = (files.load(s) for s in ("procedural:3", "procedural:3,0", "procedural:3,1"))
    np.testing.assert_array_equal(a.positions, b.positions)
    assert a.name == "procedural_3_0" and other.name == "procedural_3_1"
    for wrong in ("procedural:", "procedural:x", "procedural:-1", "procedural:1,", "procedural:1.5"):
        with pytest.raises(ValueError, match="expected procedural:SEED"):
            files.load(wrong)


def test_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        files.load(tmp_path / "none.vrm")
    with pytest.raises(FormatError, match="not a regular file"):
        files.load(tmp_path)
    text = tmp_path / "a.txt"
    text.write_text("hello")
    with pytest.raises(FormatError, match=r"a\.txt: characters are files of \.pmd, \.pmx, \.vrm"):
        files.load(text)


def test_content_counts_more_than_the_name(tmp_path):
    path = gltf_files.figure("1.0").save(tmp_path / "a.pmx")
    assert files.load(path).kind == "vrm"
    path = tmp_path / "b.vrm"
    path.write_bytes(mmd_files.pmx_bytes())
    assert files.load(path).kind == "mmd"


@asset_files.parametrize("path", *files.SUFFIXES)
def test_real_files_load_or_say_why(path):
    try:
        character = files.load(path)
    except FormatError as e:
        assert str(path) in str(e) and "\n" not in str(e)
    else:
        assert (character.kind == "mmd") == (path.read_bytes()[:3].upper() in (b"PMD", b"PMX"))
        assert character.name == path.stem
