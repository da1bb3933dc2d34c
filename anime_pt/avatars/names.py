"""Names of bones and morphs, which people spell in their own ways."""

import unicodedata


def plain(name: str) -> str:
    """A bone name for lookup: NFKC, without surrounding spaces, lower case."""
    return unicodedata.normalize("NFKC", name).strip().lower()
