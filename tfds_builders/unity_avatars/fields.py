"""Checked access to JSON that others wrote; every complaint says where."""

import json
from typing import Any

from anime_pt.avatars.formats.binary import FormatError

_LARGEST = 1e9
_KINDS = {str: "text", int: "a whole number", dict: "an object", list: "a list"}


def parse(text: bytes, where: str) -> dict[str, Any]:
    """A JSON object in UTF-8; raises FormatError for anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where}: not JSON ({error})") from error
    return _checked(value, dict, where)


def get(record: dict[str, Any], name: str, kind: type, where: str) -> Any:
    """The field of that name and kind; raises FormatError if it is absent or of another kind."""
    if name not in record:
        raise FormatError(f"{where}: {name!r} is missing")
    return _checked(record[name], kind, f"{where}: {name!r}")


def objects(record: dict[str, Any], name: str, where: str) -> list[dict[str, Any]]:
    """The field of that name, a list of objects; raises FormatError for anything else."""
    return [_checked(v, dict, f"{where}: {name!r}") for v in get(record, name, list, where)]


def _checked(value: Any, kind: type, where: str) -> Any:
    # Unity writes whole numbers as 1024.0, and true is an int to Python.
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise FormatError(f"{where} must be {_KINDS[kind]}")
    return value


def numbers(value: Any, count: int, where: str) -> list[float]:
    """A list of `count` numbers up to a billion; raises FormatError for anything else."""
    # NaN compares false.
    fine = isinstance(value, list) and len(value) == count
    if not fine or not all(type(v) in (int, float) and abs(v) <= _LARGEST for v in value):
        raise FormatError(f"{where} must be a list of {count} numbers")
    return [float(v) for v in value]
