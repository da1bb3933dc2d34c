"""String arguments of configs: `--config=configs/psgan.py:demo,images=2000`. Imports nothing heavy."""

from collections.abc import Collection
from typing import Any


def parse(arg: str, flags: Collection[str] = (), **types: type) -> dict[str, Any]:
    """Splits "flag,key=value,..." into a dict with all flags as booleans and the keys that were given.

    Args:
      arg: what follows the colon; flags and key=value pairs in any order.
      flags: names that stand alone.
      **types: `int`, `float` or `str` by key. Digits may be grouped: `images=600_000`.

    Raises:
      ValueError: an unknown, repeated or ill-typed argument; the message lists the known ones.
    """
    known = ", ".join([*flags, *(f"{key}=<{kind.__name__}>" for key, kind in types.items())])
    given: dict[str, Any] = {}
    for item in filter(None, (part.strip() for part in arg.split(","))):
        key, equals, text = item.partition("=")
        if key in given:
            raise ValueError(f"config argument {key!r} is given twice in {arg!r}")
        if not equals and key in flags:
            given[key] = True
        elif equals and key in types:
            try:
                given[key] = types[key](text)
            except ValueError:
                raise ValueError(
                    f"config argument {item!r}: {text!r} is no {types[key].__name__}; known: {known}"
                ) from None
        else:
            raise ValueError(f"unknown config argument {item!r}; known: {known}")
    return {flag: False for flag in flags} | given
