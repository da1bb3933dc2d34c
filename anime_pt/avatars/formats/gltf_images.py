"""Pictures inside or beside a glTF file, decoded safely."""

import numpy as np

from anime_pt.avatars.formats import textures
from anime_pt.avatars.formats.binary import FormatError
from anime_pt.avatars.formats.gltf import Gltf
from anime_pt.avatars.formats.gltf_fields import Fields

# All pictures of a file together, decoded; characters have some 20 of 16 MiB.
_MAX_DECODED = 1 << 29


class Images:
    """Decodes the textures that materials name, each once.

    Attributes:
      report: a line for each picture that is missing or cannot be decoded.
    """

    def __init__(self, file: Gltf):
        self.report: list[str] = []
        self._file = file
        self._textures = file.json.objects("textures")
        self._images = file.json.objects("images")
        self._decoded: dict[int, np.ndarray | None] = {}
        self._used = 0

    def of(self, fields: Fields, key: str) -> np.ndarray | None:
        """The picture that a textureInfo object names, or None if there is no such object."""
        if key not in fields:
            return None
        info = fields.object(key)
        return self.texture(info.index("index", len(self._textures)))

    @property
    def count(self) -> int:
        """How many textures the file has."""
        return len(self._textures)

    def texture(self, index: int) -> np.ndarray | None:
        """(h, w, 4) uint8 RGBA with straight alpha, or None with a line in `report`."""
        source = self._textures[index].index("source", len(self._images), -1)
        if source < 0:
            self.report.append(f"texture {index} has no picture that can be read")
            return None
        if source not in self._decoded:
            self._decoded[source] = self._decode(source)
        return self._decoded[source]

    def _decode(self, index: int) -> np.ndarray | None:
        fields = self._images[index]
        name = fields.text("name", "") or f"picture {index}"
        if "uri" in fields:
            data = self._file.beside(fields.text("uri"), f"picture {index}")
        else:
            data = self._file.bytes_of_view(fields, "bufferView")
        try:
            out = textures.decode(data, ("PNG", "JPEG", "WEBP"))
        except Exception as e:  # Pillow's plugins raise anything on damaged files.
            self.report.append(f"texture {name!r} cannot be decoded: {type(e).__name__}: {e}")
            return None
        self.spend(out.nbytes)
        return out

    def spend(self, size: int) -> None:
        """Counts the bytes of a picture that is kept; raises FormatError if there are too many."""
        self._used += size
        if self._used > _MAX_DECODED:
            raise FormatError(f"{self._file.path}: its pictures are larger than {_MAX_DECODED >> 20} MiB")
