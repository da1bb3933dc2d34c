"""PyTorch's files (`.pth`, `.pt`, `.pth.tar`, `.ckpt`) without PyTorch, and without running what is in them.

Both of `torch.save`'s formats: the zip archive (default since 1.6) and the one before, pickles followed by
the bytes of all storages (`torch/serialization.py`). A pickle may name any function to call; here every name
but the few that make up tensors and ordered dicts becomes an inert object, so nothing is ever imported or
called. Such objects are left out of the result.
"""

import collections
import io
import pathlib
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np

_MAGIC = 0x1950A86A20F9469CFC6C  # The first pickle of the older format.
_DTYPES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "UntypedStorage": "u1",
    "BoolStorage": "?",
    "BFloat16Storage": "bfloat16",
}
# Where checkpoints keep a network's weights beside an epoch and an optimizer.
_NESTED = ("state_dict", "model_state_dict", "model")


def read_state_dict(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """The weights in a file by name: those under "state_dict" or "model", or else the file itself.

    Raises:
      ValueError: it is no file of PyTorch's, it is damaged, or it holds no weights by name.
      OSError: it cannot be read.
    """
    content = read(path)
    for key in _NESTED:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    found = (
        {k: v for k, v in content.items() if isinstance(v, np.ndarray)} if isinstance(content, dict) else {}
    )
    if not found:
        raise ValueError(f"{path}: there are no weights by name in it; save a state_dict() with torch.save")
    return found


def read(path: str | pathlib.Path) -> Any:
    """What `torch.save` wrote: dicts, lists, numbers, strings, and tensors as NumPy arrays.

    bfloat16 becomes float32, which holds it exactly. What is of other types is left out.

    Raises: as `read_state_dict`.
    """
    path = pathlib.Path(path)
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        try:
            return _plain(_read_zip(file) if start == b"PK\x03\x04" else _read_legacy(file))
        except OSError:
            raise
        except Exception as error:  # A damaged pickle raises what it likes.
            raise ValueError(
                f"{path}: not a file of torch.save, or damaged ({type(error).__name__}: {error}); get it anew"
            ) from error


class _Inert:
    """Stands for anything that a pickle names and we do not know; takes all that a pickle does to it."""

    def __init__(self, *arguments, **keywords):
        pass

    def __setstate__(self, state):
        pass

    def append(self, item):
        pass

    extend = add = update = append

    def __setitem__(self, key, value):
        pass

    def __call__(self, *arguments):
        return _Inert()


class _Storage:
    """The kind of a storage, as a pickle names it."""

    def __init__(self, dtype: str):
        self.dtype = dtype


def _rebuild_tensor(storage: np.ndarray, offset: int, size: tuple, stride: tuple, *_) -> np.ndarray:
    """A view of a storage; strides count elements."""
    if len(size) != len(stride) or min((offset, *size, *stride), default=0) < 0:
        raise ValueError(f"tensor of size {size} and stride {stride}")
    if 0 in size:
        return np.zeros(size, storage.dtype)
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if last >= storage.size:
        raise ValueError(f"tensor of size {size} and stride {stride} in a storage of {storage.size}")
    strides = [s * storage.itemsize for s in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, strides)


_KNOWN: dict[tuple[str, str], Callable] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
    ("torch._tensor", "_rebuild_from_type_v2"): lambda rebuild, _, arguments, __: rebuild(*arguments),
}


class _Unpickler(pickle.Unpickler):
    """Unpickles tensors by `storage`, which maps dtype, key and number of elements to an array."""

    def __init__(self, file: BinaryIO, storage: Callable[[tuple], np.ndarray]):
        super().__init__(file, encoding="utf-8")
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("torch") and name in _DTYPES:
            return _Storage(_DTYPES[name])
        return _KNOWN.get((module, name), _Inert)

    def persistent_load(self, pid: tuple) -> np.ndarray:
        if pid[0] != "storage":
            raise ValueError(f"unknown kind of reference {pid[0]!r}")
        return self._storage(pid)


def _read_zip(file: BinaryIO) -> Any:
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        (index,) = [name for name in names if name.endswith("/data.pkl") or name == "data.pkl"]
        folder = index.removesuffix("data.pkl")
        order = archive.read(folder + "byteorder") if folder + "byteorder" in names else b"little"
        cache: dict[str, np.ndarray] = {}

        def storage(pid: tuple) -> np.ndarray:
            _, kind, key, _, count = pid[:5]
            if key not in cache:
                cache[key] = _array(archive.read(f"{folder}data/{key}"), kind.dtype, count, order.decode())
            return cache[key]

        return _Unpickler(io.BytesIO(archive.read(index)), storage).load()


def _read_legacy(file: BinaryIO) -> Any:
    def none(pid: tuple) -> np.ndarray:
        raise ValueError("a tensor in the header")

    if _Unpickler(file, none).load() != _MAGIC:
        raise ValueError("it does not start as torch.save does")
    _Unpickler(file, none).load()  # The version of the format, 1001 always.
    order = "little" if _Unpickler(file, none).load().get("little_endian", True) else "big"
    start = file.tell()
    # The bytes come after the tensors that are views of them: hand out empty storages and fill them later.
    storages: dict[str, tuple[str, np.ndarray]] = {}
    size = file.seek(0, io.SEEK_END)
    file.seek(start)

    def storage(pid: tuple) -> np.ndarray:
        _, kind, key, _, count = pid[:5]
        if key not in storages:
            if count * _width(kind.dtype) > size:
                raise ValueError(
                    f"storage {key} of {count} elements in a file of {size} bytes: it is cut off"
                )
            storages[key] = kind.dtype, np.zeros(count, "f4" if kind.dtype == "bfloat16" else kind.dtype)
        view = pid[5] if len(pid) > 5 else None
        return storages[key][1] if view is None else storages[key][1][view[1] : view[1] + view[2]]

    content = _Unpickler(file, storage).load()
    for key in _Unpickler(file, none).load():
        dtype, array = storages[key]
        (count,) = struct.unpack("<q" if order == "little" else ">q", file.read(8))
        if count != array.size:
            raise ValueError(f"storage {key} has {count} elements for {array.size}")
        array[:] = _array(file.read(count * _width(dtype)), dtype, count, order)
    return content


def _width(dtype: str) -> int:
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


def _array(content: bytes, dtype: str, count: int, order: str) -> np.ndarray:
    """`count` elements of a storage in this machine's byte order."""
    if len(content) < count * _width(dtype):
        raise ValueError(f"{len(content)} bytes for {count} elements of {dtype}: it is cut off")
    sign = "<" if order == "little" else ">"
    if dtype == "bfloat16":
        halves = np.frombuffer(content, sign + "u2", count)
        return (halves.astype(np.uint32) << 16).view(np.float32)
    stored = np.dtype(dtype).newbyteorder(sign)
    return np.frombuffer(content, stored, count).astype(dtype)


def _plain(content: Any) -> Any:
    """Without inert objects, and every array with memory of its own."""
    if isinstance(content, np.ndarray):
        return content.copy()
    if isinstance(content, Mapping):
        return {k: _plain(v) for k, v in content.items() if not isinstance(v, _Inert)}
    if isinstance(content, list | tuple):
        return type(content)(_plain(v) for v in content if not isinstance(v, _Inert))
    return None if isinstance(content, _Inert) else content
