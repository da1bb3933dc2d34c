import numpy as np
import pytest

from anime_pt.metrics import identity


def test_ranks_by_hand():
    references = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [-1.0, 0.0]])
    characters = np.array([7, 7, 3, 5])
    pictures = np.array([[2.0, 0.1], [1.0, 0.9], [0.1, 1.0]])
    # The second is nearest to the second picture of 7; that it has two counts once.
    np.testing.assert_array_equal(
        identity.ranks(pictures, np.array([7, 3, 5]), references, characters), [1, 2, 3]
    )
    found = identity.retrieval(pictures, np.array([7, 3, 5]), references, characters)
    assert found == {"identity_top1": 1 / 3, "identity_mean_rank": 2.0}


def test_equal_features_are_chance():
    ones = np.ones((6, 4))
    found = identity.ranks(ones, np.arange(6) % 5, ones[:5], np.arange(5))
    np.testing.assert_array_equal(found, 3)
    assert identity.retrieval(0 * ones, np.zeros(6, int), ones[:5], np.arange(5))["identity_top1"] == 0


def test_scale_and_order_do_not_matter():
    rng = np.random.default_rng(0)
    characters = np.repeat(np.arange(20), 3)
    centres = rng.normal(size=(20, 8))
    references, pictures = (centres[characters] + 0.7 * rng.normal(size=(60, 8)) for _ in range(2))
    plain = identity.ranks(pictures, characters, references, characters)
    assert 1 < plain.mean() < 5 and (plain == 1).mean() > 0.4
    order = rng.permutation(60)
    scaled = references * rng.uniform(0.1, 10, (60, 1))
    moved = identity.ranks(pictures, characters + 100, scaled[order], characters[order] + 100)
    np.testing.assert_array_equal(plain, moved)
    # Against each character's best reference, one by one.
    unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)
    similarity = unit(pictures) @ unit(references).T
    best = np.array([[row[characters == c].max() for c in range(20)] for row in similarity])
    np.testing.assert_array_equal(plain, 1 + (best > best[np.arange(60), characters][:, None]).sum(1))


def test_characters_without_a_reference():
    with pytest.raises(ValueError, match="no reference shows the characters 2, 9"):
        identity.ranks(np.ones((3, 2)), np.array([9, 1, 2]), np.ones((1, 2)), np.array([1]))
