import numpy as np
import pytest

from anime_pt.data import pipeline, sources


def take(iterator, n):
    return [next(iterator) for _ in range(n)]


def test_batches_are_repeatable_and_continue_from_a_position(config):
    first = pipeline.train_iterator(config, (16, 16), 8, seed=3)
    head = take(first, 5)
    position = first.get_state()
    tail = take(first, 4)
    again = pipeline.train_iterator(config, (16, 16), 8, seed=3)
    again.set_state(position)
    for a, b in zip(tail, take(again, 4), strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
    other = take(pipeline.train_iterator(config, (16, 16), 8, seed=4), 5)
    assert not np.array_equal(head[0]["image"], other[0]["image"])


def test_an_epoch_has_every_example_once_and_epochs_differ(config):
    count = len(sources.source(sources.builder(config.data.name, config.data.data_dir), "train"))
    batches = take(pipeline.train_iterator(config, (16, 16), 4, seed=0), 2 * count // 4)
    seen = [k.tobytes() for b in batches for k in b["keypoints"]]
    assert len(set(seen[:count])) == count and set(seen[:count]) == set(seen[count:])
    assert seen[:count] != seen[count:]


def test_batches_have_the_named_parts(config):
    batch = next(pipeline.train_iterator(config, (8, 8), 4, seed=0))
    assert {k: (v.shape, v.dtype.name) for k, v in batch.items()} == {
        "image": ((4, 8, 8, 3), "uint8"),
        "mask": ((4, 8, 8, 1), "uint8"),
        "keypoints": ((4, 20, 3), "float32"),
    }


def test_resize_averages_and_scales_keypoints():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    example = {"image": image, "mask": image[..., :1], "keypoints": np.array([[4, 2, 1]], np.float32)}
    small = pipeline.Resize(2, 4).map(example)
    means = image.reshape(2, 4, 4, 2, 3).mean((1, 3))
    assert np.abs(small["image"] - means).max() <= 0.5 + 1e-6
    assert small["mask"].shape == (2, 4, 1)
    np.testing.assert_array_equal(small["keypoints"], [[2, 0.5, 1]])
    with pytest.raises(ValueError, match="images of 8x8 cannot train at 16x16"):
        pipeline.Resize(16, 16).map(example)


def test_evaluation_sees_every_example_once_and_pads(config):
    batches = list(pipeline.eval_batches(config, (16, 16), 8))
    weights = np.concatenate([b["weight"] for b in batches])
    count = len(sources.source(sources.builder(config.data.name, config.data.data_dir), "validation"))
    assert weights.sum() == count == 12 and len(weights) == 16
    seen = np.concatenate([b["keypoints"] for b in batches])[weights > 0]
    assert len({k.tobytes() for k in seen}) == count
    (few,) = pipeline.eval_batches(config, (16, 16), 8, examples=5)
    assert few["weight"].tolist() == [1] * 5 + [0] * 3


def test_missing_dataset_and_split(config, tmp_path):
    with pytest.raises(sources.DatasetNotBuiltError, match=r"python -m tfds_builders\.build unity_avatars/x"):
        sources.builder("unity_avatars/x", str(tmp_path))
    built = sources.builder(config.data.name, config.data.data_dir)
    assert len(sources.source(built, "train[:50%]+test")) > len(sources.source(built, "test")) > 0
    for split in ("dev", "train+dev", "train[:50%]+dev[1:]"):
        with pytest.raises(ValueError, match="has no split 'dev'; it has "):
            sources.source(built, split)


def test_the_newest_version_is_taken(config, tmp_path):
    import shutil

    built = sources.builder(config.data.name, config.data.data_dir).data_dir
    for version in ("1.0.0", "1.10.0", "1.9.0"):
        shutil.copytree(built, tmp_path / "unity_avatars" / "copy" / version)
    assert sources.builder("unity_avatars/copy", str(tmp_path)).data_dir.endswith("1.10.0")
    assert sources.builder("unity_avatars/copy:1.9.0", str(tmp_path)).data_dir.endswith("1.9.0")
