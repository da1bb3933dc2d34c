"""Files of safetensors: eight bytes of length, a JSON header of that length, and the arrays' bytes."""

import json
import math
import pathlib

import numpy as np

_DTYPES = {
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"},
    **{"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1", "BOOL": "?"},
}


def read(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays by name; bfloat16 becomes float32, which holds it exactly.

    Raises:
      ValueError: it is no such file, it is damaged, or it has a type that is not read here.
      OSError: it cannot be read.
    """
    content = pathlib.Path(path).read_bytes()
    try:
        start = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:start])
        header.pop("__metadata__", None)
        return {name: _array(content, start, entry) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: not a file of safetensors, or damaged ({type(error).__name__}: {error}); get it anew"
        ) from error


def _array(content: bytes, start: int, entry: dict) -> np.ndarray:
    kind, shape = entry["dtype"], tuple(entry["shape"])
    begin, end = entry["data_offsets"]
    dtype = np.dtype(_DTYPES[kind])
    count = math.prod(shape)
    if begin < 0 or end - begin != count * dtype.itemsize or start + end > len(content):
        raise ValueError(f"{kind} of shape {shape} in bytes {begin} to {end} of {len(content) - start}")
    array = np.frombuffer(content, dtype, count, start + begin).reshape(shape)
    if kind == "BF16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(dtype.newbyteorder("="))
