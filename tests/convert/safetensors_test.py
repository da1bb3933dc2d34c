"""Files of safetensors, made by hand from the format's description."""

import json
import struct

import numpy as np
import pytest

from anime_pt.convert import safetensors

ARRAYS = {
    "half": ("F16", np.array([[0.5, 65504.0]], np.float16)),
    "single": ("F32", np.arange(6, dtype=np.float32).reshape(1, 2, 3)),
    "double": ("F64", np.array(1 / 3)),
    "count": ("I64", np.array([7, -(2**40)])),
    "bytes": ("U8", np.array([0, 255], np.uint8)),
    "mask": ("BOOL", np.array([True, False])),
    "empty": ("F32", np.zeros((0, 4), np.float32)),
}


def write(path, header: dict, content: bytes) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)


def entries() -> tuple[dict, bytes]:
    header, content = {"__metadata__": {"format": "pt"}}, b""
    for name, (kind, array) in ARRAYS.items():
        data = array.tobytes()
        header[name] = {
            "dtype": kind,
            "shape": list(array.shape),
            "data_offsets": [len(content), len(content) + len(data)],
        }
        content += data
    return header, content


def test_arrays_by_name(tmp_path):
    header, content = entries()
    # 1 and -0.15625: the upper halves of their single precision.
    header["brain"] = {"dtype": "BF16", "shape": [2], "data_offsets": [len(content), len(content) + 4]}
    write(tmp_path / "a.safetensors", header, content + struct.pack("<HH", 0x3F80, 0xBE20))
    found = safetensors.read(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(found.pop("brain"), np.float32([1, -0.15625]))
    assert found.keys() == ARRAYS.keys()
    for name, (_, expected) in ARRAYS.items():
        assert found[name].dtype == expected.dtype and found[name].shape == expected.shape, name
        np.testing.assert_array_equal(found[name], expected, err_msg=name)
        assert found[name].flags.writeable, name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data_offsets": [0, 8]}, "F32 of shape"),
        ({"data_offsets": [-4, 20]}, "F32 of shape"),
        ({"data_offsets": [1 << 20, (1 << 20) + 24]}, "F32 of shape"),
        ({"dtype": "F8_E4M3"}, "KeyError: 'F8_E4M3'"),
        ({"shape": None}, "TypeError"),
    ],
)
def test_headers_that_do_not_fit(tmp_path, change, message):
    header, content = entries()
    header["single"] |= change
    write(tmp_path / "bad.safetensors", header, content)
    with pytest.raises(
        ValueError, match=rf"bad\.safetensors: not a file of safetensors, .*{message}"
    ) as error:
        safetensors.read(tmp_path / "bad.safetensors")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\xff" * 64, struct.pack("<Q", 2) + b"[]"])
def test_other_files(tmp_path, content):
    (tmp_path / "other.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"other\.safetensors: not a file of safetensors, or damaged"):
        safetensors.read(tmp_path / "other.safetensors")
