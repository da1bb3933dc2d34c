"""Usage terms that VRM files carry, and the gate before a dataset is made of them.

Fields: `VRM.meta` of 0.x (its misspelled names included) and `VRMC_vrm.meta` of 1.0.
"""

import os

from anime_pt.avatars.character import Terms
from anime_pt.avatars.formats.gltf_fields import Fields

_LONGEST = 2000


def of_vrm(root: Fields) -> Terms:
    """The terms in a VRM file of either version; empty ones if there is no such extension."""
    new, old = root.extension("VRMC_vrm"), root.extension("VRM")
    if new is not None:
        return _new(new.object("meta"))
    return _old(old.object("meta")) if old is not None else Terms()


def _fields(meta: Fields) -> dict[str, str]:
    """What the file says as text, without pictures; lists are joined by ", "."""
    out = {}
    for key, value in meta.data.items():
        if key in ("texture", "thumbnailImage"):
            continue
        if isinstance(value, list):
            value = ", ".join(str(v) for v in value)
        elif isinstance(value, bool):
            value = str(value).lower()
        out[key] = str(value)[:_LONGEST]
    return out


def _old(meta: Fields) -> Terms:
    fields = _fields(meta)
    forbids = ""
    if fields.get("licenseName") == "Redistribution_Prohibited":
        forbids = "the licence is Redistribution_Prohibited"
    elif fields.get("allowedUserName") == "OnlyAuthor":
        forbids = "only its author may use it (OnlyAuthor)"
    name = fields.get("licenseName", "")
    if name in ("", "Other"):
        name = fields.get("otherLicenseUrl") or name
    return Terms(name, fields.get("author", ""), fields, forbids)


def _new(meta: Fields) -> Terms:
    fields = _fields(meta)
    forbids = ""
    # The specification's defaults are the strictest: what is not said is not allowed.
    if fields.get("avatarPermission", "onlyAuthor") == "onlyAuthor":
        forbids = "only its author may use it (onlyAuthor)"
    elif fields.get("allowRedistribution", "false") != "true":
        forbids = "redistribution is not allowed (allowRedistribution is false)"
    name = fields.get("otherLicenseUrl") or fields.get("licenseUrl", "")
    return Terms(name, fields.get("authors", ""), fields, forbids)


def require(terms: Terms, path: str | os.PathLike, held: bool) -> None:
    """Stops what would pass on a character against its terms.

    Args:
      terms: of the character.
      path: of its file, for the message.
      held: whether the user says to hold the rights.

    Raises:
      ValueError: if the terms forbid it and the rights are not held.
    """
    if terms.forbids and not held:
        raise ValueError(
            f"{path}: {terms.forbids}; no dataset is made of it unless you hold the rights and say so "
            "with --set=rights_held=true"
        )
