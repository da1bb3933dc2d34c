"""Files of torch.save in both formats (made by `files/make.py`), damaged ones, and ones that mean harm."""

import os
import pathlib
import pickle
import struct
import zipfile

import numpy as np
import pytest

from anime_pt.convert import torch_files

FILES = pathlib.Path(__file__).parent / "files"
BASE = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
EXPECTED = {
    "float32": BASE,
    "transposed": BASE.transpose(2, 0, 1),
    "row": BASE[1, 2],
    "strided": BASE[:, 1:, ::2],
    "float64": np.array([1 / 3, -2.0]),
    "float16": np.array([0.5, 65504.0], np.float16),
    "bfloat16": np.array([1.0, -0.15625], np.float32),
    "counter": np.array(7),
    "bytes": np.array([[0, 255]], np.uint8),
    "mask": np.array([True, False]),
    "parameter": np.array([3.0], np.float32),
    "empty": np.zeros((0, 3), np.float32),
}
both = pytest.mark.parametrize("name", ["zip.pth", "legacy.pth"])


@both
def test_weights_by_name(name):
    weights = torch_files.read_state_dict(FILES / name)
    assert list(weights) == list(EXPECTED)
    for key, expected in EXPECTED.items():
        assert weights[key].dtype == expected.dtype and weights[key].shape == expected.shape, key
        np.testing.assert_array_equal(weights[key], expected, err_msg=key)
    weights["float32"][0] = -1  # Memory of its own, though the file's tensors share it.
    np.testing.assert_array_equal(weights["transposed"], EXPECTED["transposed"])


@both
def test_what_else_a_checkpoint_holds(name):
    content = torch_files.read(FILES / name)
    assert content["epoch"] == 12 and content["arch"] == "モデル" and content["shape"] == (2, 3)
    assert "unknown" not in content and "best" not in content  # Of types that are not ours to make.
    np.testing.assert_array_equal(content["optimizer"]["state"][0]["exp_avg"], [1, 1])
    assert content["optimizer"]["groups"] == [{"lr": 0.1, "params": [0]}]


class Harm:
    def __init__(self, path: pathlib.Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def write_zip(path: pathlib.Path, content: object) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content, 2))
        archive.writestr("archive/version", "3\n")


def write_legacy(path: pathlib.Path, content: object) -> None:
    parts = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, content, [])
    path.write_bytes(b"".join(pickle.dumps(part, 2) for part in parts))


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_nothing_in_a_file_runs(tmp_path, write):
    victim = tmp_path / "made by the file"
    write(tmp_path / "harm.pth", {"state_dict": {"a": Harm(victim)}, "epoch": 3, "list": [1, Harm(victim)]})
    assert torch_files.read(tmp_path / "harm.pth") == {"state_dict": {}, "epoch": 3, "list": [1]}
    assert not victim.exists()
    with pytest.raises(ValueError, match=r"harm\.pth: there are no weights by name in it"):
        torch_files.read_state_dict(tmp_path / "harm.pth")
    pickle.loads(pickle.dumps(Harm(victim)))  # It would have.
    assert victim.exists()


@both
def test_files_cut_anywhere(tmp_path, name):
    whole = (FILES / name).read_bytes()
    for length in range(0, len(whole) - 1, 37):
        (tmp_path / "cut.pth").write_bytes(whole[:length])
        with pytest.raises(
            ValueError, match=r"cut\.pth: not a file of torch\.save, or damaged \(.*\); get it"
        ) as e:
            torch_files.read(tmp_path / "cut.pth")
        assert "\n" not in str(e.value)


def test_tensors_outside_their_storage(tmp_path):
    """A pickle that claims more elements than there are must not read other memory."""
    content = (FILES / "legacy.pth").read_bytes()
    # `row` is torch._utils._rebuild_tensor_v2(storage, 20, (4,), (1,), ...): start 21 ends beyond 24.
    assert content.count(b"K\x14K\x04\x85") == 1
    (tmp_path / "out.pth").write_bytes(content.replace(b"K\x14K\x04\x85", b"K\x15K\x04\x85"))
    with pytest.raises(
        ValueError, match=r"out\.pth: .*tensor of size \(4,\) and stride \(1,\) in a storage of 24"
    ):
        torch_files.read(tmp_path / "out.pth")


def test_storages_larger_than_the_file(tmp_path):
    content = (FILES / "legacy.pth").read_bytes()
    assert content.count(b"K\x18N") >= 1
    (tmp_path / "large.pth").write_bytes(content.replace(b"K\x18N", b"J" + struct.pack("<i", 1 << 30) + b"N"))
    with pytest.raises(ValueError, match=r"large\.pth: .*it is cut off"):
        torch_files.read(tmp_path / "large.pth")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n", b"hello", pickle.dumps({"a": 1})])
def test_other_files(tmp_path, content):
    (tmp_path / "other.pth").write_bytes(content)
    with pytest.raises(ValueError, match=r"other\.pth: not a file of torch\.save, or damaged"):
        torch_files.read_state_dict(tmp_path / "other.pth")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        torch_files.read(tmp_path / "none.pth")
