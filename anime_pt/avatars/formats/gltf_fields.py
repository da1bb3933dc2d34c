"""Checked access to the JSON of a file that may be damaged or hostile."""

import json
import math
import os
from typing import Any

from anime_pt.avatars.formats.binary import FormatError

# Parsed JSON takes up to 30 times its text, and real characters have less than 2 MiB of it.
_MAX_TEXT = 1 << 25
_MISSING: Any = object()


class Fields:
    """A JSON object with its place in a file; whatever is asked of it has the right type, or raises.

    A field that is missing gives the default, or raises FormatError if there is none.
    """

    def __init__(self, data: dict[str, Any], path: str, place: str = ""):
        self.data, self.path, self.place = data, path, place

    def __contains__(self, key: str) -> bool:
        return key in self.data

    def error(self, key: str, what: str) -> FormatError:
        """The exception to raise about a field."""
        return FormatError(f"{self.path}: {self._name(key)} {what}")

    def _name(self, key: str) -> str:
        return f"{self.place}.{key}" if self.place else key

    def _get(self, key: str, kinds: type | tuple[type, ...], what: str, default: Any) -> Any:
        value = self.data.get(key, default)
        if value is _MISSING:
            raise self.error(key, "is missing")
        if value is not default and (
            not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool)
        ):
            raise self.error(key, f"must be {what}")
        return value

    def text(self, key: str, default: str = _MISSING) -> str:
        """A string."""
        return self._get(key, str, "a string", default)

    def texts(self, key: str) -> list[str]:
        """A list of strings; a missing one is empty."""
        values = self._get(key, list, "a list of strings", [])
        if not all(isinstance(v, str) for v in values):
            raise self.error(key, "must hold strings")
        return values

    def flag(self, key: str, default: bool = _MISSING) -> bool:
        """True or false."""
        return self._get(key, bool, "true or false", default)

    def integer(self, key: str, low: int, high: int, default: int = _MISSING) -> int:
        """A whole number in [low, high]; the default may lie outside."""
        value = self._get(key, (int, float), "a number", default)
        if value is default:
            return value
        if value != value or value in (math.inf, -math.inf) or value != int(value):
            raise self.error(key, "must be a whole number")
        if not low <= value <= high:
            raise self.error(key, f"is {value:.6g}, outside [{low}, {high}]")
        return int(value)

    def index(self, key: str, count: int, default: int = _MISSING) -> int:
        """An index into `count` things; -1, which exporters write for none, counts as missing."""
        if self.data.get(key) == -1 and default is not _MISSING:
            return default
        return self.integer(key, 0, count - 1, default)

    def number(self, key: str, default: float = _MISSING) -> float:
        """A finite number that fits into float32."""
        value = self._get(key, (int, float), "a number", default)
        return value if value is default else self._finite(key, value)

    def _finite(self, key: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e30:
            raise self.error(key, "must hold finite numbers")
        return float(value)

    def numbers(self, key: str, count: int, default: tuple[float, ...] = _MISSING) -> tuple[float, ...]:
        """A list of `count` numbers, or of more, of which the first are taken."""
        value = self._get(key, list, f"a list of {count} numbers", default)
        if value is default:
            return value
        if len(value) < count:
            raise self.error(key, f"must be a list of {count} numbers")
        return tuple(self._finite(key, v) for v in value[:count])

    def indices(self, key: str, count: int) -> list[int]:
        """A list of indices into `count` things; a missing one is empty."""
        values = self._get(key, list, "a list of indices", [])
        out = []
        for value in values:
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count:
                raise self.error(key, f"must hold indices below {count}")
            out.append(value)
        return out

    def object(self, key: str) -> "Fields":
        """A nested object; a missing one is empty."""
        value = self._get(key, dict, "an object", {})
        return Fields(value, self.path, self._name(key))

    def objects(self, key: str) -> list["Fields"]:
        """A list of objects; a missing one is empty."""
        values = self._get(key, list, "a list of objects", [])
        out = []
        for i, value in enumerate(values):
            if not isinstance(value, dict):
                raise self.error(f"{key}[{i}]", "must be an object")
            out.append(Fields(value, self.path, f"{self._name(key)}[{i}]"))
        return out

    def named(self, key: str) -> dict[str, "Fields"]:
        """An object whose values are objects, by name; a missing one is empty."""
        inner = self.object(key)
        return {name: inner.object(name) for name in inner.data}

    def extension(self, name: str) -> "Fields | None":
        """The object of a glTF extension here, or None."""
        extensions = self.object("extensions")
        return extensions.object(name) if name in extensions else None


def parse(text: bytes, path: str | os.PathLike) -> Fields:
    """Reads a JSON object.

    Raises:
      FormatError: if it is none, or too long, or nested too deeply.
    """
    if len(text) > _MAX_TEXT:
        raise FormatError(f"{path}: {len(text)} bytes of JSON are too many")
    try:
        data = json.loads(text.decode("utf-8"))
    except RecursionError:
        raise FormatError(f"{path}: its JSON is nested too deeply") from None
    except ValueError as e:
        raise FormatError(f"{path}: its JSON is damaged ({e})") from None
    if not isinstance(data, dict):
        raise FormatError(f"{path}: its JSON is not an object")
    return Fields(data, str(path))
