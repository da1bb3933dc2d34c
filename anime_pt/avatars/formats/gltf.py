"""glTF 2.0 files (.glb, .gltf and what is built on them: .vrm, .vrma): containers, buffers, accessors.

Format: Khronos glTF 2.0 specification, sections 3.6 (buffers and accessors) and 4.4 (GLB). Nothing is
allocated before it is known to be in bounds: `_MAX_DECODED` bounds all arrays of a file together, because a
few bytes of JSON can ask for the same data again and again.
"""

import base64
import binascii
import os
import pathlib
import urllib.parse

import numpy as np

from anime_pt.avatars.formats.binary import FormatError, Reader
from anime_pt.avatars.formats.gltf_fields import Fields, parse

# glTF component type -> dtype.
_TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_SHAPES = {
    "SCALAR": (),
    "VEC2": (2,),
    "VEC3": (3,),
    "VEC4": (4,),
    "MAT2": (2, 2),
    "MAT3": (3, 3),
    "MAT4": (4, 4),
}
_MAX_DECODED = 1 << 28
_JSON, _BIN = 0x4E4F534A, 0x004E4942
# Extensions that change how the data is stored, so that a file which requires them cannot be read.
_SUPPORTED = (
    "KHR_materials_unlit",
    "KHR_materials_emissive_strength",
    "KHR_mesh_quantization",
    "KHR_texture_transform",
    "VRM",
    "VRMC_vrm",
    "VRMC_materials_mtoon",
    "VRMC_materials_hdr_emissiveMultiplier",
    "VRMC_springBone",
    "VRMC_springBone_extended_collider",
    "VRMC_node_constraint",
    "VRMC_vrm_animation",
)


class Gltf:
    """An open file.

    Attributes:
      path: as given.
      json: its root object.
    """

    def __init__(self, path: str | os.PathLike):
        """Reads the file and checks that its data can be understood.

        Raises:
          FileNotFoundError: if there is no such file.
          FormatError: if it is damaged, no glTF 2.0, or stored in a way that is not supported.
        """
        self.path = pathlib.Path(path)
        reader = Reader.open(self.path)
        self._chunk: bytes | None = None
        if reader.data[:4] == b"glTF":
            text = self._open_glb(reader)
        else:
            text = reader.data.removeprefix(b"\xef\xbb\xbf")
            if text.lstrip()[:1] != b"{":
                raise FormatError(f"{self.path}: neither GLB nor glTF JSON")
        self.json = parse(text, self.path)
        version = self.json.object("asset").text("version")
        if not version.startswith("2"):
            raise FormatError(f"{self.path}: glTF version {version[:20]!r}, only 2.0 can be read")
        for name in self.json.texts("extensionsRequired"):
            if name not in _SUPPORTED:
                raise FormatError(
                    f"{self.path}: needs the glTF extension {name[:60]}, which is not supported: "
                    "export it without (no Draco or meshopt compression, textures as PNG or JPEG)"
                )
        self._accessors = self.json.objects("accessors")
        self._views = self.json.objects("bufferViews")
        self._buffer_fields = self.json.objects("buffers")
        self._buffers: dict[int, bytes] = {}
        self._decoded: dict[int, np.ndarray] = {}
        self._used = 0

    def _open_glb(self, reader: Reader) -> bytes:
        _, version, length = np.frombuffer(reader.take(12, "GLB header"), "<u4")
        if version != 2:
            raise FormatError(f"{self.path}: GLB version {version}, only 2 can be read")
        if length > len(reader.data):
            raise FormatError(f"{self.path}: is cut short, {len(reader.data)} of {length} bytes are there")
        text = None
        while reader.offset + 8 <= length:
            size, kind = (int(v) for v in np.frombuffer(reader.take(8, "GLB chunk header"), "<u4"))
            data = reader.take(size, "GLB chunk")
            if kind == _JSON and text is None:
                text = data
            elif kind == _BIN and self._chunk is None:
                self._chunk = data
        if text is None:
            raise FormatError(f"{self.path}: GLB without a JSON chunk")
        return text

    def _spend(self, size: int, what: str) -> None:
        self._used += size
        if self._used > _MAX_DECODED:
            raise FormatError(f"{self.path}: {what} makes it larger than {_MAX_DECODED >> 20} MiB")

    def beside(self, uri: str, what: str) -> bytes:
        """The bytes of a data: URI, or of a file in the folder of this one or below it."""
        if uri.startswith("data:"):
            head, _, body = uri.partition(",")
            self._spend(len(body), what)
            try:
                if head.endswith(";base64"):
                    return base64.b64decode(body, validate=True)
                return urllib.parse.unquote_to_bytes(body)
            except (binascii.Error, ValueError):
                raise FormatError(f"{self.path}: the data: URI of {what} is damaged") from None
        name = urllib.parse.unquote(uri)
        folder = self.path.parent.resolve()
        try:
            path = (folder / name).resolve()
            inside = path.is_relative_to(folder) and ":" not in name.split("/")[0]
        except (OSError, ValueError, RuntimeError):
            inside = False
        if not inside:
            raise FormatError(f"{self.path}: {what} lies outside of its folder: {uri[:80]!r}")
        try:
            self._spend(path.stat().st_size, what)
            return Reader.open(path).data
        except OSError:
            raise FormatError(f"{self.path}: {what} is missing: put {uri[:80]!r} beside it") from None

    def _buffer(self, index: int) -> bytes:
        if index not in self._buffers:
            fields = self._buffer_fields[index]
            length = fields.integer("byteLength", 0, 1 << 40)
            if "uri" in fields:
                data = self.beside(fields.text("uri"), f"buffer {index}")
            elif index == 0 and self._chunk is not None:
                data = self._chunk
            else:
                raise fields.error("uri", "is missing, and there is no binary chunk")
            if len(data) < length:
                raise fields.error("byteLength", f"is {length}, but there are {len(data)} bytes")
            self._buffers[index] = data
        return self._buffers[index]

    def view(self, index: int) -> tuple[memoryview, int]:
        """The bytes of a buffer view and its stride in bytes, 0 if it has none."""
        fields = self._views[index]
        data = self._buffer(fields.index("buffer", len(self._buffer_fields)))
        start = fields.integer("byteOffset", 0, len(data), 0)
        size = fields.integer("byteLength", 0, len(data))
        if start + size > len(data):
            raise fields.error("byteLength", f"reaches {start + size - len(data)} bytes beyond its buffer")
        return memoryview(data)[start : start + size], fields.integer("byteStride", 1, 1 << 12, 0)

    def bytes_of_view(self, fields: Fields, key: str) -> bytes:
        """What the buffer view holds that a field names."""
        return bytes(self.view(fields.index(key, len(self._views)))[0])

    def _strided(self, fields: Fields, dtype: np.dtype, shape: tuple[int, ...], count: int) -> np.ndarray:
        """(count, *shape) elements, read where a bufferView and byteOffset say."""
        data, stride = self.view(fields.index("bufferView", len(self._views)))
        start = fields.integer("byteOffset", 0, len(data), 0)
        size, width = int(np.prod(shape, dtype=int)) * dtype.itemsize, dtype.itemsize
        strides: tuple[int, ...] = (width,) if len(shape) == 1 else ()
        if len(shape) == 2:  # Columns of matrices begin at multiples of four bytes.
            column = -(-shape[0] * width // 4) * 4
            size, strides = column * (shape[1] - 1) + shape[0] * width, (column, width)
        step = stride or (strides[0] * shape[1] if len(shape) == 2 else size)
        if step < size:
            raise fields.error("bufferView", f"has a stride of {step} bytes for elements of {size}")
        if count and start + step * (count - 1) + size > len(data):
            raise fields.error("count", f"is {count}, more than its bufferView of {len(data)} bytes holds")
        return np.ndarray((count, *shape), dtype, data, start if count else 0, (step, *strides))

    def accessor(self, fields: Fields, key: str, kinds: str | tuple[str, ...]) -> np.ndarray:
        """The data of the accessor whose index is in a field.

        Args:
          fields, key: where the index stands.
          kinds: the types that it may have, such as "VEC3".

        Returns:
          (count, ...) float32 if floats or normalized, else integers as in the file; matrices are indexed by
          column first. Not to be written to.
        """
        index = fields.index(key, len(self._accessors))
        item = self._accessors[index]
        kind = item.text("type")
        if kind not in ((kinds,) if isinstance(kinds, str) else kinds):
            raise fields.error(key, f"is of type {kind[:10]}, expected {kinds}")
        if index not in self._decoded:
            self._decoded[index] = self._decode(item, _SHAPES[kind])
        return self._decoded[index]

    def _decode(self, item: Fields, shape: tuple[int, ...]) -> np.ndarray:
        code = item.integer("componentType", 0, 1 << 16)
        if code not in _TYPES:
            raise item.error("componentType", f"is {code}, which glTF does not know")
        dtype = np.dtype(_TYPES[code])
        count = item.integer("count", 0, 1 << 32)
        self._spend(count * int(np.prod(shape, dtype=int)) * 4, item.place)
        if "bufferView" in item:
            out = self._strided(item, dtype, shape, count)
        else:
            out = np.zeros((count, *shape), dtype)
        if "sparse" in item:
            out = self._with_sparse(out, item.object("sparse"), dtype, shape)
        if item.flag("normalized", False) and dtype.kind in "iu":
            out = np.maximum(out.astype(np.float32) / np.float32(np.iinfo(dtype).max), np.float32(-1))
        out = np.ascontiguousarray(out)
        if out.dtype.kind == "f" and not np.isfinite(out).all():
            raise FormatError(f"{self.path}: {item.place} holds numbers that are not finite")
        out.flags.writeable = False
        return out

    def _with_sparse(self, dense, sparse: Fields, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        count = sparse.integer("count", 0, len(dense))
        where = sparse.object("indices")
        code = where.integer("componentType", 0, 1 << 16)
        if code not in (5121, 5123, 5125):
            raise where.error("componentType", f"is {code}, no unsigned integer")
        indices = self._strided(where, np.dtype(_TYPES[code]), (), count)
        values = self._strided(sparse.object("values"), dtype, shape, count)
        if count and indices.max() >= len(dense):
            raise where.error("bufferView", f"names element {indices.max()} of {len(dense)}")
        out = np.array(dense)
        out[indices] = values
        return out
