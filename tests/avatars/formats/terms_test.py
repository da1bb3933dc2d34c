import pytest

from anime_pt.avatars.character import Terms
from anime_pt.avatars.formats import terms, vrm
from tests.avatars.gltf_files import figure


def of(version: str, meta: dict, tmp_path) -> Terms:
    glb = figure(version)
    glb.json["extensions"]["VRM" if version == "0.x" else "VRMC_vrm"]["meta"] = meta
    return vrm.load(glb.save(tmp_path / "it.vrm")).terms


def test_vrm_0(tmp_path):
    meta = {"author": "A", "licenseName": "CC_BY", "allowedUserName": "Everyone", "title": "T", "texture": 3}
    got = of("0.x", meta, tmp_path)
    assert (got.license, got.author, got.forbids) == ("CC_BY", "A", "")
    assert got.fields["allowedUserName"] == "Everyone" and "texture" not in got.fields
    got = of("0.x", {**meta, "licenseName": "Redistribution_Prohibited"}, tmp_path)
    assert got.forbids == "the licence is Redistribution_Prohibited"
    got = of("0.x", {**meta, "allowedUserName": "OnlyAuthor"}, tmp_path)
    assert got.forbids == "only its author may use it (OnlyAuthor)"
    got = of("0.x", {**meta, "licenseName": "Other", "otherLicenseUrl": "https://a.b"}, tmp_path)
    assert got.license == "https://a.b"
    assert of("0.x", {}, tmp_path) == Terms()


def test_vrm_1(tmp_path):
    url = "https://vrm.dev/licenses/1.0/"
    meta = {
        "authors": ["A", "B"],
        "licenseUrl": url,
        "avatarPermission": "everyone",
        "allowRedistribution": True,
    }
    got = of("1.0", meta, tmp_path)
    assert (got.license, got.author, got.forbids) == (url, "A, B", "")
    assert got.fields["allowRedistribution"] == "true"
    got = of("1.0", {**meta, "avatarPermission": "onlyAuthor"}, tmp_path)
    assert got.forbids == "only its author may use it (onlyAuthor)"
    # What is not said is not allowed: the specification's defaults.
    got = of("1.0", {k: v for k, v in meta.items() if k != "avatarPermission"}, tmp_path)
    assert got.forbids == "only its author may use it (onlyAuthor)"
    got = of("1.0", {k: v for k, v in meta.items() if k != "allowRedistribution"}, tmp_path)
    assert got.forbids == "redistribution is not allowed (allowRedistribution is false)"


def test_require():
    strict = Terms(forbids="the licence is Redistribution_Prohibited")
    with pytest.raises(ValueError, match="--set=rights_held=true") as e:
        terms.require(strict, "dir/her.vrm", held=False)
    assert str(e.value).startswith("dir/her.vrm: the licence is Redistribution_Prohibited")
    assert "\n" not in str(e.value)
    terms.require(strict, "dir/her.vrm", held=True)
    terms.require(Terms(), "dir/her.vrm", held=False)
