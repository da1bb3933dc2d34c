"""Datasets that are rendered when they are read: equal to built ones, whoever reads them."""

import dataclasses
import pickle

import grain
import numpy as np
import pytest
from absl import flags

from anime_pt import train
from anime_pt.data import pipeline, sources
from tfds_builders import build, testing
from tfds_builders.unity_avatars import rendering, subjects

# Costumes, so that pieces of the plan hold several subjects; light and camera vary.
NAME = "unity_avatars/procedural_64-characters4-costumes2-poses5-light30.0"
CHANGES = ["characters=4", "costumes=2", "poses=5", "light=30"]


@pytest.fixture(autouse=True)
def _parsed_flags():
    # As `anime_pt.command` does; grain's worker processes read flags.
    flags.FLAGS.mark_as_parsed()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    with testing.written_here():
        build.prepare("unity_avatars/procedural_64", str(folder), changes=CHANGES)
    return sources.builder(NAME, str(folder))


@pytest.fixture
def rendered(tmp_path):
    yield sources.builder(f"render:{NAME}", str(tmp_path))
    assert not list(tmp_path.iterdir())


def assert_same(a, b):
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for name in a:
            assert_same(a[name], b[name])
    else:
        assert getattr(a, "dtype", None) == getattr(b, "dtype", None)
        np.testing.assert_array_equal(a, b)


def test_examples_are_those_of_the_built_dataset(built, rendered):
    assert {n: s.num_examples for n, s in rendered.info.splits.items()} == {
        n: s.num_examples for n, s in built.info.splits.items()
    }
    for split in ("train", "validation", "test", "train[5:50%]"):
        ours, theirs = sources.source(rendered, split), sources.source(built, split)
        assert len(ours) == len(theirs) > 0
        for index in (*range(0, len(ours), 3), len(ours) - 1):
            assert_same(ours[index], theirs[index])
        with pytest.raises(IndexError, match=f"example {len(ours)} of {len(ours)}"):
            ours[len(ours)]


def test_threads_and_worker_processes_read_the_same(built, rendered):
    def epoch(source, threads, workers):
        dataset = grain.MapDataset.source(source).seed(3).shuffle().map(lambda e: e["keypoints"]).batch(4)
        dataset = dataset.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=8))
        if workers:
            dataset = dataset.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers))
        return np.concatenate(list(dataset))

    expected = epoch(sources.source(built, "train"), 1, 0)
    source = pickle.loads(pickle.dumps(sources.source(rendered, "train")))
    np.testing.assert_array_equal(epoch(source, 4, 0), expected)
    np.testing.assert_array_equal(epoch(source, 1, 2), expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_continue_from_a_position(config, tmp_path, workers):
    config.data.update({"name": f"render:{NAME}", "data_dir": str(tmp_path), "workers": workers})
    first = pipeline.train_iterator(config, (16, 16), 8, seed=3)
    head = [next(first) for _ in range(3)]
    position = first.get_state()
    tail = [next(first) for _ in range(3)]
    again = pipeline.train_iterator(config, (16, 16), 8, seed=3)
    again.set_state(position)
    for expected in tail:
        for name, value in next(again).items():
            np.testing.assert_array_equal(value, expected[name])
    assert not np.array_equal(head[0]["image"], tail[0]["image"])


def test_a_run_trains_on_what_is_rendered(config, tmp_path):
    config.data.name = "render:unity_avatars/procedural_64-characters5-costumes1-poses1000000-resolution16"
    config.data.data_dir = str(tmp_path / "none")
    config.schedule.resolutions, config.model.resolution = (4,), 4
    for name in ("batch_sizes", "learning_rates", "fade_images", "stable_images", "mismatch_weights"):
        config.schedule[name] = config.schedule[name][:1]
    train.train(config, tmp_path / "run")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert any("train/generator_loss" in line for line in lines)
    assert not (tmp_path / "none").exists()


def test_characters_of_a_process_stay_within_a_limit():
    who = [subjects.Subject(f"procedural_{i}", "0", seed=i) for i in range(3)]
    one = rendering.Characters(limit=1)
    assert one.get(who[0]) is one.get(who[0])
    first = one.get(who[0])
    one.get(who[1])
    assert one.get(who[0]) is not first
    many = rendering.Characters(limit=1 << 30)
    kept = [many.get(s) for s in who]
    assert all(many.get(s) is c for s, c in zip(who, kept, strict=True))


def test_the_light_turns_with_its_setting():
    view = rendering.View(32, 1, 0.0, 0.0, 0.0, False, 0)
    subject = subjects.Subject("procedural_7", "0", seed=7)
    usual = rendering.render(subject, 0, view)
    np.testing.assert_allclose(usual["light"], rendering.rasterise.LIGHT, rtol=1e-6)
    for index in range(5):
        turned = rendering.render(subject, index, dataclasses.replace(view, light=40.0))["light"]
        assert np.linalg.norm(turned) == pytest.approx(np.linalg.norm(usual["light"]), rel=1e-6)
        assert not np.array_equal(turned, usual["light"])
        heights = [np.degrees(np.arcsin(v[1] / np.linalg.norm(v))) for v in (turned, usual["light"])]
        assert abs(heights[0] - heights[1]) <= 40 + 1e-3


def test_wrong_names(tmp_path):
    with pytest.raises(ValueError, match="'poses' is no field with its value"):
        sources.builder("render:unity_avatars/procedural_64-poses", str(tmp_path))
    with pytest.raises(ValueError, match="there is no dataset 'avatars'"):
        sources.builder("render:avatars/procedural_64", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"needs your files: put them .* in .*downloads/manual"):
        sources.builder("render:unity_avatars/rigged_64", str(tmp_path))
