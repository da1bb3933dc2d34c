import collections
import pickle
import types

import cv2
import ml_collections
import numpy as np
import pytest
import tensorflow_datasets as tfds

from anime_pt.data import pairs, pipeline, sources
from anime_pt.data.framing import Framing
from anime_pt.pose.skeletons import AVATAR_20
from tests.conftest import TINY
from tfds_builders import testing
from tfds_builders.mmd_pairs import mmd_pairs_dataset_builder as mmd_pairs
from tfds_builders.pose_transfer import pairs as published

SKEWED = "render:unity_avatars/procedural_64-characters4-costumes2-poses5-resolution16"


@pytest.fixture(scope="module")
def mmd(tmp_path_factory):
    """A TFDS folder with mmd_pairs/tiny."""
    folder = tmp_path_factory.mktemp("mmd")
    fields = dict(resolution=32, characters=3, costumes=2, motions=3, length=21, takes=1, every=10)
    config = mmd_pairs.MmdPairsConfig(name="tiny", min_change=0.0, supersample=1, **fields)
    builder = mmd_pairs.Builder(data_dir=folder, config=config)
    with testing.written_here():
        builder.download_and_prepare(file_format="array_record")
    return folder


def config(name, data_dir, **data):
    out = ml_collections.ConfigDict(
        {"skeleton": "avatar_20", "data": {"name": name, "data_dir": str(data_dir)}}
    )
    out.data.update({"train_split": "train", "eval_split": "validation", "threads": 2, "prefetch": 4})
    out.data.update({"view": "pairs"} | data)
    return out


@pytest.fixture
def tiny(data_dir):
    return config(f"unity_avatars/{TINY}", data_dir)


def stand_in(sizes, costumes=1):
    """A source of blank pictures: `sizes` of the characters' costumes."""
    groups, start = [], 0
    for number, size in enumerate(sizes):
        groups.append(pairs.Group(f"character {number // costumes}", ((start, start + size),)))
        start += size
    return pairs.Source("blank, train", [{}] * start, tuple(groups))


def test_pairs_are_of_one_character_in_one_costume_and_of_two_pictures(tmp_path):
    built = sources.builder(SKEWED, str(tmp_path))
    train, validation = (pairs.source(built, split) for split in ("train", "validation"))
    assert len(train.examples) == 20 and len(train.groups) == 4 and len(train.characters) == 2
    drawn = pairs.Drawn(train, None, seed=1)
    found = [drawn.draw(i)[1] for i in range(12)] + pairs.pair_list(train, 0, 12)
    who = [row[:2] for row in built.as_data_source("train").who() for _ in range(row[2])]
    for (of,), target in found:
        assert of != target and who[of] == who[target]
    names = lambda source: {group.character for group in source.groups}
    assert not names(train) & names(validation)


@pytest.mark.parametrize("split", ["train", "train[3:17]", "train[50%:]+validation"])
def test_who_is_shown_is_known_without_drawing(split, tmp_path):
    dataset = sources.builder(SKEWED, str(tmp_path)).as_data_source(split)
    told = [(a.encode(), b.encode()) for a, b, count in dataset.who() for _ in range(count)]
    assert told == [(example["character"], example["costume"]) for example in dataset]


def test_built_and_rendered_sets_give_the_same_groups(data_dir, tiny):
    built = pairs.source(sources.builder(tiny.data.name, str(data_dir)), "train")
    name = "render:unity_avatars/procedural_64-characters5-costumes1-poses12-resolution16"
    rendered = pairs.source(sources.builder(name, str(data_dir)), "train")
    assert built.groups == rendered.groups and {len(g) for g in built.groups} == {12}


def test_every_character_comes_once_in_every_turn():
    """Whatever its number of pictures and costumes."""
    source = stand_in([2, 50, 3, 9, 4, 4], costumes=2)
    drawn = pairs.Drawn(source, None, seed=0)
    rows = [drawn.draw(i) for i in range(3 * 200)]
    characters = [group.character for group, _ in rows]
    turns = [tuple(characters[i : i + 3]) for i in range(0, 600, 3)]
    assert all(len(set(turn)) == 3 for turn in turns)
    assert len(set(turns)) == 6  # All orders.
    costumes = collections.Counter(group.runs for group, _ in rows)
    assert all(70 < count < 130 for count in costumes.values())
    for group, (of, target) in rows:
        (start, stop) = group.runs[0]
        assert start <= target < stop and all(start <= i < stop and i != target for i in of)


def test_all_ordered_pairs_come_alike():
    source = stand_in([2, 4, 3])
    drawn = pairs.Drawn(source, None, seed=0, balance="pairs")
    seen = collections.Counter(drawn.draw(i)[1] for i in range(4_000))
    assert len(seen) == 2 + 12 + 6
    assert all(140 < count < 260 for count in seen.values())
    with pytest.raises(ValueError, match=r"data\.balance = 'people': use characters, pairs, published"):
        pairs.Drawn(source, None, seed=0, balance="people")


def test_published_pairs_come_from_their_list(tmp_path):
    """With replacement in training, in their order in evaluation; further sources are of the same person."""
    rows = [(0, 1), (1, 0), (3, 5), (6, 4)]
    published.save(tmp_path, {"train": (np.array(rows), "pairs.csv")})
    source, dataset = stand_in([2, 5]), types.SimpleNamespace(data_dir=tmp_path)
    assert pairs.published_list(dataset, "train", source) == [((a,), b) for a, b in rows]
    listed = pairs.published_list(dataset, "train", source, pictures=3)
    assert [(of[0], target) for of, target in listed] == rows
    assert [set(of) for of, _ in listed[:2]] == [{0}, {1}]
    for of, target in listed[2:]:
        assert len(set(of)) == 3 and target not in of and min(of) >= 2
    drawn = pairs.Drawn(source, None, seed=0, balance="published", listed=listed)
    found = collections.Counter(drawn.draw(i)[1] for i in range(400))
    assert found.keys() == set(listed) and all(60 < n < 140 for n in found.values())
    with pytest.raises(ValueError, match="no pairs of split 'test'"):
        pairs.published_list(dataset, "test", source)


def test_several_sources_differ_where_there_are_enough():
    drawn = pairs.Drawn(stand_in([3, 6]), None, seed=0, pictures=3)
    for i in range(50):
        group, (of, target) = drawn.draw(i)
        assert len(of) == 3 and target not in of
        assert len(set(of)) == 3 if len(group) == 6 else len(set(of)) <= 2


def test_members_are_found_in_pieces():
    group = pairs.Group("a", ((2, 4), (7, 8), (20, 23)))
    assert [group[i] for i in range(len(group))] == [2, 3, 7, 20, 21, 22]
    assert [group.member(group[i]) for i in range(len(group))] == list(range(6))
    other = pairs.Group("b", ((4, 6),))
    source = pairs.Source("x", [{}] * 23, (group, other))
    assert source.group_of(21) is group and source.group_of(5) is other
    for alone in (0, 6, 8, 23):
        with pytest.raises(ValueError, match=f"picture {alone} has no partner"):
            source.group_of(alone)


def test_the_list_of_an_evaluation_is_fixed_and_balanced():
    source = stand_in([3, 7, 2, 2], costumes=2)
    chosen = pairs.pair_list(source, seed=5, count=8)
    assert chosen == pairs.pair_list(source, 5, 30)[:8]
    assert [source.group_of(t).character for _, t in chosen] == ["character 0", "character 1"] * 4
    # Four targets of the second character: all that there are.
    assert {t for _, t in chosen[1::2]} == {10, 11, 12, 13}
    everyone = pairs.pair_list(source, 5)
    assert sorted(t for _, t in everyone) == list(range(14))
    assert all(source.group_of(i) is source.group_of(t) and i != t for (i,), t in everyone)
    prints = {pairs.fingerprint(pairs.pair_list(source, seed, 8)) for seed in (5, 5, 6)}
    assert len(prints) == 2 and pairs.fingerprint(chosen) in prints
    assert pairs.fingerprint([((1,), 2)]) != pairs.fingerprint([((2,), 1)])


def test_batches_have_the_named_parts_and_continue_from_a_position(tiny):
    tiny.data.update({"sources": 2, "flip": True})
    first = pipeline.train_iterator(tiny, (16, 12), 4, seed=3)
    head = next(first)
    assert {k: (v.shape, v.dtype.name) for k, v in head.items()} == {
        "source_image": ((4, 2, 16, 12, 3), "uint8"),
        "source_mask": ((4, 2, 16, 12, 1), "uint8"),
        "source_keypoints": ((4, 2, 20, 3), "float32"),
        "target_image": ((4, 16, 12, 3), "uint8"),
        "target_mask": ((4, 16, 12, 1), "uint8"),
        "target_keypoints": ((4, 20, 3), "float32"),
        "character": ((4,), "int32"),
    }
    # Three characters to train: the first is there again.
    assert len(set(head["character"])) == 3 and (head["character"] >= 0).all()
    position = first.get_state()
    tail = [next(first) for _ in range(3)]
    again = pipeline.train_iterator(tiny, (16, 12), 4, seed=3)
    again.set_state(position)
    for expected in tail:
        for name, value in next(again).items():
            np.testing.assert_array_equal(value, expected[name])
    other = next(pipeline.train_iterator(tiny, (16, 12), 4, seed=4))
    assert not np.array_equal(other["target_image"], head["target_image"])


def test_sources_pickle(tiny):
    drawn = pipeline.pair_training(tiny, (16, 12), 3)
    again = pickle.loads(pickle.dumps(drawn))
    assert again.draw(7)[1] == drawn.draw(7)[1] and repr(again) == repr(drawn)


def test_evaluation_goes_through_the_list_and_pads(tiny):
    batches = list(pipeline.eval_batches(tiny, (16, 12), 8))
    weights = np.concatenate([b["weight"] for b in batches])
    listed = pipeline.pair_evaluation(tiny, (16, 12))
    assert weights.tolist() == [1] * 12 + [0] * 4 and len(listed) == 12
    seen = np.concatenate([b["target_keypoints"] for b in batches])[weights > 0]
    assert len({k.tobytes() for k in seen}) == 12
    (few,) = pipeline.eval_batches(tiny, (16, 12), 8, examples=5)
    assert few["weight"].tolist() == [1] * 5 + [0] * 3
    np.testing.assert_array_equal(few["target_image"][:5], batches[0]["target_image"][:5])
    tiny.data.eval_seed = 1
    assert pairs.fingerprint(pipeline.pair_evaluation(tiny, (16, 12)).pairs) != pairs.fingerprint(
        listed.pairs
    )


def test_the_mirror_swaps_names_but_not_in_the_public_code(tiny):
    """A mirrored pair is the mirror image of the plain one, joints and all."""
    plain = pipeline.pair_training(tiny, (16, 12), 3)
    tiny.data.flip = True
    right = pipeline.pair_training(tiny, (16, 12), 3)
    tiny.data.flip_bug = True
    wrong = pipeline.pair_training(tiny, (16, 12), 3)
    mirrored = 0
    for i in range(12):
        a, b, c = plain[i], right[i], wrong[i]
        np.testing.assert_array_equal(b["target_image"], c["target_image"])
        if np.array_equal(a["target_image"], b["target_image"]):
            np.testing.assert_array_equal(a["target_keypoints"], c["target_keypoints"])
            continue
        mirrored += 1
        for side in ("source", "target"):
            np.testing.assert_array_equal(b[f"{side}_image"], a[f"{side}_image"][..., ::-1, :])
            np.testing.assert_array_equal(b[f"{side}_mask"], a[f"{side}_mask"][..., ::-1, :])
            moved = a[f"{side}_keypoints"] * np.float32([-1, 1, 1]) + np.float32([12, 0, 0])
            np.testing.assert_allclose(c[f"{side}_keypoints"], moved, atol=1e-5)
            np.testing.assert_allclose(b[f"{side}_keypoints"], moved[..., AVATAR_20.flip, :], atol=1e-5)
    assert 2 <= mirrored <= 10


def picture(h, w, box):
    """A dark figure of one colour before grey, and joints at its corners."""
    x, y, wide, tall = box
    mask = np.zeros((h, w, 1), np.uint8)
    mask[y : y + tall, x : x + wide] = 255
    points = np.full((20, 3), np.nan, np.float32)
    points[:2] = [[x, y, 1], [x + wide, y + tall, 1]]
    return {
        "image": np.where(mask > 0, np.uint8(40), np.uint8(180)).repeat(3, 2),
        "mask": mask,
        "keypoints": points,
    }


def framed(example, size, crop="figure", zoom=1.0):
    framing = Framing(size, crop, AVATAR_20, AVATAR_20, pipeline._Select(), zoom)
    return framing.picture(example)


@pytest.mark.parametrize(
    ("crop", "zoom", "box", "corners"),
    [
        # The whole height, the figure in the middle of the width.
        ("figure", 1.0, (40, 10, 16, 50), [[16, 10], [32, 60]]),
        # Too wide: smaller, the picture still in the middle of the height.
        ("figure", 1.0, (0, 10, 64, 40), [[0, 15.5], [48, 45.5]]),
        # Larger, and moved up as far as its feet need.
        ("cover", 1.0, (40, 10, 16, 50), [[32, 10], [48, 60]]),
        ("contain", 1.0, (40, 10, 16, 48), [[30, 15.5], [42, 51.5]]),
    ],
)
def test_figures_are_framed_without_stretching(crop, zoom, box, corners):
    out = framed(picture(64, 64, box), (64, 48), crop, zoom)
    assert out["image"].shape == (64, 48, 3)
    np.testing.assert_allclose(out["keypoints"][:2, :2], corners, atol=0.51)
    # What was outside the mask is white, and the picture moved with its joints.
    x, y, wide, tall = cv2.boundingRect((out["mask"][..., 0] > 127).astype(np.uint8))
    np.testing.assert_allclose([x, y, x + wide, y + tall], np.ravel(out["keypoints"][:2, :2]), atol=0.51)
    assert (out["image"][out["mask"][..., 0] == 0] == 255).all()
    assert (out["image"][out["mask"][..., 0] == 255] == 40).all()
    assert np.isnan(out["keypoints"][2:, :2]).all()


def test_a_zoom_cuts_no_figure():
    out = framed(picture(128, 128, (60, 20, 10, 100)), (64, 48), zoom=1.2)
    (x, top, _), (right, bottom, _) = out["keypoints"][:2]
    np.testing.assert_allclose([bottom - top, right - x], [60, 6], atol=1e-4)
    assert top >= 0
    assert bottom <= 64
    # As large as it can be.
    tall = framed(picture(128, 128, (60, 4, 10, 120)), (64, 48), zoom=1.5)["keypoints"]
    np.testing.assert_allclose(tall[:2, 1], [0, 64], atol=0.51)


def test_whole_pixels_are_kept_as_they_are():
    example = picture(64, 64, (21, 10, 15, 50))
    example["image"] = np.random.default_rng(0).integers(0, 250, (64, 64, 3)).astype(np.uint8)
    out = framed(example, (64, 48))
    inside = example["mask"][..., 0] > 0
    np.testing.assert_array_equal(out["image"][out["mask"][..., 0] > 0], example["image"][inside])


def test_what_cannot_be_framed_or_paired(tiny, data_dir):
    with pytest.raises(ValueError, match=r"data\.crop = 'middle': use figure, cover, contain"):
        framed(picture(64, 64, (20, 10, 10, 40)), (64, 48), "middle")
    with pytest.raises(ValueError, match="pictures of 16x16 are too small to train at 32x24"):
        pipeline.check(tiny, (32, 24))
    pipeline.check(tiny, (16, 12))
    tiny.data.sources = 0
    with pytest.raises(ValueError, match=r"data\.sources = 0: a pair has at least one source"):
        pipeline.check(tiny, (16, 12))
    alone = "render:unity_avatars/procedural_64-characters4-poses1"
    with pytest.raises(ValueError, match="no character is on two pictures in one costume"):
        pairs.source(sources.builder(alone, str(data_dir)), "train")
    tiny.data.view = "couples"
    with pytest.raises(ValueError, match=r"data\.view = 'couples': use whole, figure, gccpm, pairs"):
        pipeline.check(tiny, (16, 12))


class Undecoded:
    """A built dataset of pairs of figures, as far as who is shown goes."""

    data_dir = "nowhere"

    def __init__(self, rows, full_name="stand/in"):
        image, text = tfds.features.Image(shape=(8, 8, 3)), tfds.features.Text()
        features = {"human_image": image, "anime_image": image}
        features |= dict.fromkeys(rows[0], text)
        splits = {"train": None}
        self.info = types.SimpleNamespace(full_name=full_name, features=features, splits=splits)
        self.rows = [{k: v.encode() for k, v in row.items()} for row in rows]

    def as_data_source(self, split, decoders=None):
        assert decoders is None or decoders.keys() == {"human_image", "anime_image"}
        return self.rows


def test_what_must_be_equal_in_a_pair():
    """Anime: one character in one costume. Human: one person through one motion."""
    names = ("character", "costume", "motion")
    rows = [dict(zip(names, row, strict=True)) for row in ("aux", "avx", "aux", "avy", "auy", "bux", "avx")]
    dataset = Undecoded(rows)
    runs = lambda part: [
        (group.character, group.runs) for group in pairs.source(dataset, "train", part).groups
    ]
    assert runs("anime") == [("a", ((0, 1), (2, 3), (4, 5))), ("a", ((1, 2), (3, 4), (6, 7)))]
    assert runs("human") == [("x", ((0, 3), (5, 7))), ("y", ((3, 5),))]
    nameless = Undecoded([{"motion": "x"}] * 2, "nameless/one")
    with pytest.raises(ValueError, match="nameless/one does not say whom a picture shows"):
        pairs.source(nameless, "train")


@pytest.mark.slow
def test_both_parts_of_mmd_pairs(mmd):
    built = sources.builder("mmd_pairs/tiny", str(mmd))
    examples = sources.source(built, "train")
    for part, fields in (("anime", ("character", "costume")), ("human", ("motion",))):
        c = config("mmd_pairs/tiny", mmd, part=part)
        c.data.skeleton = "avatar_20" if part == "anime" else "openpose_18"
        source = pairs.source(built, "train", part)
        for (of,), target in pairs.pair_list(source):
            assert of != target
            assert all(examples[of][f] == examples[target][f] for f in fields)
        drawn = pipeline.pair_training(c, (32, 24), 0)
        pair = drawn[0]
        assert pair["target_image"].shape == (32, 24, 3) and pair["target_keypoints"].shape == (20, 3)
        (_, target) = drawn.draw(0)[1]
        moved = pair["target_keypoints"][2, :2] - pair["target_keypoints"][5, :2]
        original = examples[target][f"{part}_keypoints"]
        np.testing.assert_allclose(moved, original[2, :2] - original[5, :2], atol=1e-3)
    with pytest.raises(ValueError, match=r"data.part = '': the dataset has no image; it has .*human_image"):
        pipeline.check(config("mmd_pairs/tiny", mmd), (32, 24))
