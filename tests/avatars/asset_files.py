"""Where the tests find real models: the folder in ANIME_PT_ASSETS, else ../shared/assets."""

import os
import pathlib

import pytest

_DEFAULT = pathlib.Path(__file__).parents[2].parent / "shared" / "assets"
ROOT = pathlib.Path(os.environ.get("ANIME_PT_ASSETS", _DEFAULT))


def find(*extensions: str) -> list[pathlib.Path]:
    """All files below the folder with one of the extensions (lower case, with dot), sorted."""
    if not ROOT.is_dir():
        return []
    return sorted(p for p in ROOT.rglob("*") if p.suffix.lower() in extensions and p.is_file())


def parametrize(name: str, *extensions: str):
    """A decorator that runs a test once for each file, or skips it with the reason if there are none."""
    files = find(*extensions)
    skip = pytest.mark.skip(reason=f"no {' or '.join(extensions)} below {ROOT} (set ANIME_PT_ASSETS)")
    values = files or [pytest.param(None, marks=skip)]
    return pytest.mark.parametrize(name, values, ids=[getattr(v, "stem", "none") for v in values])
