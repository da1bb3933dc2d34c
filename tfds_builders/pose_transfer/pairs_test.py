"""Pairs by the public code's rule: small, and against the published lists."""

import os
import pathlib

import numpy as np
import pytest

from anime_pt.pose import patn
from anime_pt.pose.skeletons import OPENPOSE_18
from tfds_builders.deepfashion import names
from tfds_builders.pose_transfer import pairs

_BESIDE = pathlib.Path(__file__).resolve().parents[3] / "shared" / "assets"
_ASSETS = pathlib.Path(os.environ.get("ANIME_PT_ASSETS", _BESIDE)) / "pose_transfer_csv"
published = pytest.mark.skipif(not _ASSETS.is_dir(), reason=f"no published annotations in {_ASSETS}")


def test_pairs_are_of_one_person_in_both_directions_with_whole_trunks():
    persons, complete = list("abaab"), np.array([1, 1, 1, 0, 1], bool)
    assert pairs.by_rule(persons, complete, "train").tolist() == [[0, 2], [2, 0], [1, 4], [4, 1]]
    sampled = pairs.by_rule(persons, complete, "test").tolist()
    assert sorted(sampled) == [[0, 2], [1, 4], [2, 0], [4, 1]]
    assert pairs.by_rule(["a", "b"], np.ones(2, bool), "train").shape == (0, 2)


def test_a_trunk_is_both_shoulders_and_both_hips():
    points = np.ones((19, 18, 3))
    for i in range(18):
        points[i, i] = np.nan, np.nan, 0
    found = pairs.whole(points)
    assert [OPENPOSE_18.keypoints[i] for i in np.flatnonzero(~found)] == [
        *("right_shoulder", "left_shoulder", "right_hip", "left_hip")
    ]


def test_names_without_a_picture_are_told():
    found, absent = pairs.by_name([("a", "b"), ("b", "c"), ("b", "a")], {"a": 5, "b": 2})
    assert found.tolist() == [[5, 2], [2, 5]] and absent == ["c"]


def test_they_are_kept_beside_a_dataset(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"pairs\.json is not there; deepfashion and market1501"):
        pairs.pairs(tmp_path, "test")
    pairs.save(
        tmp_path, {"train": (np.array([[0, 2], [2, 0]]), ""), "test": (np.zeros((0, 2), int), "x.csv")}
    )
    assert pairs.pairs(tmp_path, "train") == [(0, 2), (2, 0)] and pairs.pairs(str(tmp_path), "test") == []
    with pytest.raises(ValueError, match="no pairs of split 'validation'; it has train, test"):
        pairs.pairs(tmp_path, "validation")


def _ruled(file: str, person, split: str) -> list[tuple[str, str]]:
    found = patn.read(_ASSETS / "posegan_csv" / file)
    kept = [i for i, name in enumerate(found.names) if not name.startswith(("-1", "0000"))]
    persons = [person(found.names[i]) for i in kept]
    chosen = pairs.by_rule(persons, pairs.whole(found.keypoints[kept]), split)
    return [tuple(found.names[kept[i]] for i in pair) for pair in chosen]


@published
def test_market_has_as_many_pairs_as_published():
    found = _ruled("market-annotation-train.csv", lambda name: name[:4], "train")
    assert len(found) == len(set(found)) == 263_632
    assert all(a[:4] == b[:4] and a != b for a, b in found)


@published
@pytest.mark.parametrize(
    ("dataset", "person", "count"),
    [("market", lambda name: name.split("_")[0], 12_000), ("fasion", names.character, 8_670)],
)
def test_the_rule_draws_the_published_test_pairs_in_their_order(dataset, person, count):
    listed = patn.read_pairs(_ASSETS / "posegan_csv" / f"{dataset}-pairs-test.csv")
    assert len(listed) == count
    assert _ruled(f"{dataset}-annotation-test.csv", person, "test") == listed


@published
def test_no_outfit_is_in_both_of_patns_lists():
    listed = {split: patn.read_names(_ASSETS / "patn_lst" / f"{split}.lst") for split in ("train", "test")}
    assert {split: len(of) for split, of in listed.items()} == {"train": 48_674, "test": 4_038}
    of_split = [{names.key(name) for name in of} for of in listed.values()]
    keys = set.union(*of_split)
    assert None not in keys and len(keys) == 52_712
    assert names.character("fashionMENDenimid0000008001_1front.jpg") == "MEN/Denim/00000080/01"
    assert not set.intersection(*({key.rpartition("/")[0] for key in of} for of in of_split))
    # Every picture of pose-gan's files, which are spelled in another way, is one of these.
    for file in ("fasion-annotation-test.csv", "fasion-annotation-test_new_split.csv"):
        assert {names.key(n) for n in patn.read(_ASSETS / "posegan_csv" / file).names} <= keys
