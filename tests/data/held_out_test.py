"""Poses that are held out: never met in training, whoever reads."""

import itertools
import pathlib
import pickle

import ml_collections
import numpy as np
import pytest

from anime_pt.data import held_out, pairs, pipeline, sources
from tfds_builders.unity_avatars import rendering, subjects

OWN = "render:unity_avatars/procedural_64-characters4-costumes1-poses11-resolution16"
RENDERED = f"{OWN}-shared_posestrue"
BENCHMARK = "render:unity_avatars/benchmark_128"


class Built:
    """A rendered dataset, read as TFDS reads what was built: the numbers of poses are in the examples."""

    def __init__(self, rendered):
        self.info, self.data_dir, self._rendered = rendered.info, "built", rendered

    def as_data_source(self, split, decoders=None):
        return self._rendered.as_data_source(split)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    return sources.builder(RENDERED, str(tmp_path_factory.mktemp("nothing")))


def config(name, data_dir, **data):
    out = ml_collections.ConfigDict({"skeleton": "avatar_20", "data": {"name": name}})
    out.data.update({"data_dir": str(data_dir), "train_split": "train", "eval_split": "test", "threads": 1})
    out.data.update({"view": "pairs", "prefetch": 2} | data)
    return out


def stand_in(numbers, poses):
    """Groups of two characters in poses of these numbers, as `pairs.source` makes them."""
    half = len(numbers) // 2
    groups = [pairs.Group("a", ((0, half),)), pairs.Group("b", ((half, len(numbers)),))]
    return pairs.Source(
        "blank", [{}] * len(numbers), tuple(pairs._in_poses(g, numbers, poses) for g in groups)
    )


def test_a_fifth_is_unseen():
    assert [p for p in range(20) if held_out.unseen(p)] == [4, 9, 14, 19]


@pytest.mark.parametrize("balance", ["characters", "pairs"])
@pytest.mark.parametrize("pictures", [1, 3])
def test_training_never_meets_an_unseen_pose(balance, pictures):
    """In whatever order the poses come, and however often."""
    for seed in range(20):
        numbers = np.random.default_rng(seed).integers(0, 12, 30).tolist()
        drawn = pairs.Drawn(stand_in(numbers, "seen"), None, seed, pictures=pictures, balance=balance)
        for position in range(60):
            group, (of, target) = drawn.draw(position)
            met = [numbers[i] for i in (*of, target)]
            assert not any(map(held_out.unseen, met))
            assert target not in of
            assert len({i < 15 for i in (*of, target)}) == 1 and drawn.source.group_of(target) is group


def test_evaluation_leads_from_seen_poses_into_unseen_ones():
    for seed in range(20):
        numbers = np.random.default_rng(seed).permutation(40).tolist()
        source = stand_in(numbers, "unseen")
        listed = pairs.pair_list(source, seed, pictures=2)
        # Every picture in an unseen pose is a target once.
        assert sorted(numbers[t] for _, t in listed) == [4, 9, 14, 19, 24, 29, 34, 39]
        for of, target in listed:
            assert not any(held_out.unseen(numbers[i]) for i in of) and len(set(of)) == 2
            assert len({i < 20 for i in (*of, target)}) == 1
            goals = source.group_of(target).targets
            assert target in [goals[i] for i in range(len(goals))]


def test_one_unseen_pose_is_enough():
    assert pairs.pair_list(stand_in([0, 4, 2, 4], "unseen")) == [((0,), 1), ((2,), 3)]


def test_lists_of_all_poses_are_what_they_were():
    """The fingerprints of results that were published before poses could be held out."""
    groups = [pairs.Group(f"c{i}", ((9 * i, 9 * i + 9),)) for i in range(4)]
    source = pairs.Source("blank", [{}] * 36, tuple(groups))
    listed = pairs.pair_list(source, seed=0, count=30, pictures=2)
    assert pairs.fingerprint(listed) == "f834dc819fabf679"


@pytest.mark.parametrize("split", ["train", "test", "train[3:17]", "train[50%:]+test"])
def test_built_and_rendered_sets_hold_out_the_same(rendered, split):
    found = []
    for dataset in (rendered, Built(rendered)):
        examples = sources.source(dataset, split)
        numbers = held_out.poses(dataset, examples, split)
        assert numbers == [int(examples[i]["pose"]["index"]) for i in range(len(examples))]
        found.append([pairs.source(dataset, split, poses=poses).groups for poses in ("seen", "unseen")])
    assert found[0] == found[1]
    assert {len(g.targets) for g in found[0][1]} <= {1, 2}


def test_pipelines_keep_unseen_poses_out(rendered):
    """Pairs and single pictures, in training and in evaluation: told by the joints that arrive."""
    joints = {"seen": set(), "unseen": set()}
    for example in itertools.chain(*(sources.source(rendered, s) for s in ("train", "test"))):
        which = "unseen" if held_out.unseen(example["pose"]["index"]) else "seen"
        joints[which].add(example["keypoints"].tobytes())
    told = lambda rows: {k.tobytes() for k in np.reshape(rows, (-1, 20, 3))}
    whole = dict(crop="contain")  # Joints stay what they are.
    for view in ("pairs", "whole"):
        c = config(RENDERED, rendered.data_dir, poses="seen", view=view, **whole)
        batches = pipeline.train_iterator(c, (16, 16), 4, seed=1)
        for _ in range(12):
            for key, value in next(batches).items():
                assert not key.endswith("keypoints") or told(value) <= joints["seen"]
        c.data.poses = "unseen"
        (batch,) = pipeline.eval_batches(c, (16, 16), 2)
        assert told(batch["target_keypoints" if view == "pairs" else "keypoints"]) <= joints["unseen"]
        if view == "pairs":
            assert told(batch["source_keypoints"]) <= joints["seen"]
        with pytest.raises(ValueError, match=r"data\.poses = 'unseen' is for evaluation; train with 'seen'"):
            pipeline.train_iterator(c, (16, 16), 4, seed=1)


def test_what_the_iterator_compares_names_the_poses(tmp_path):
    c = config(RENDERED, tmp_path)
    names = set()
    for poses in ("all", "seen"):
        c.data.poses = poses
        drawn = pipeline.pair_training(c, (16, 16), 0)
        assert repr(pickle.loads(pickle.dumps(drawn))) == repr(drawn)
        names.add(repr(drawn))
    assert len(names) == 2
    part = held_out.Part("abcdefgh", [0, 1, 2, 3, 4, 5, 9, 10], "unseen", "letters")
    assert list(pickle.loads(pickle.dumps(part))) == ["e", "g"] and "unseen" in repr(part)


def test_the_benchmarks_lists_are_fixed(tmp_path):
    """Nothing is rendered. Whoever changes these has another benchmark, and its rows must be made again."""
    dataset = sources.builder(BENCHMARK, str(tmp_path))
    prints = {}
    for split, poses in (("test", "seen"), ("train", "unseen"), ("test", "unseen")):
        source = pairs.source(dataset, split, poses=poses)
        prints[split, poses] = pairs.fingerprint(pairs.pair_list(source, 0, 300))
    assert prints == {
        ("test", "seen"): "60c494b4108891de",
        ("train", "unseen"): "966504ea188815e9",
        ("test", "unseen"): "9d768b16791aa4dc",
    }


def test_models_take_the_poses_of_built_in_characters():
    """So what is unseen is the same; seen from the same side."""
    view = rendering.View(16, 1, 40.0, 8.0, 0.0, shared_poses=True, seed=0)
    model = pathlib.Path(rendering.__file__).parent / "dummy_data" / "block_boy" / "box.pmd"
    who = [subjects.Subject("procedural_7", "0", seed=7), subjects.Subject("boy", "box", path=str(model))]
    for pose in (4, 5):
        ours, theirs = (rendering.render(subject, pose, view) for subject in who)
        np.testing.assert_array_equal(ours["pose"]["parameters"], theirs["pose"]["parameters"])
        assert ours["camera"]["yaw"] == theirs["camera"]["yaw"] != 0
        assert ours["pose"]["index"] == theirs["pose"]["index"] == pose
        assert not np.array_equal(ours["image"], theirs["image"])


def test_poses_that_cannot_be_held_out(tmp_path):
    own = sources.builder(OWN, str(tmp_path))
    for dataset in (own, Built(own)):
        with pytest.raises(ValueError, match="do not take the same poses, so none can be held out; take"):
            pairs.source(dataset, "train", poses="seen")
    with pytest.raises(ValueError, match=r"data\.poses = 'new': use all, seen, unseen"):
        pairs.source(own, "train", poses="new")
    with pytest.raises(ValueError, match="published pairs take all poses"):
        pipeline.pair_training(config(RENDERED, tmp_path, poses="seen", balance="published"), (16, 16), 0)
    with pytest.raises(ValueError, match="letters has no picture in unseen poses"):
        held_out.Part("ab", [0, 1], "unseen", "letters")
    few = RENDERED.replace("poses11", "poses4")
    with pytest.raises(ValueError, match="no character is on two pictures in one costume"):
        pairs.source(sources.builder(few, str(tmp_path)), "train", poses="unseen")
