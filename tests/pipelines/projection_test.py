"""A latent is found again by what it draws. The network is a small one with random weights."""

import json

import grain
import jax
import numpy as np
import pytest

from anime_pt import recipe
from anime_pt.checkpoint import Checkpoints
from anime_pt.models import conv
from anime_pt.pipelines import projection, transfer
from anime_pt.pipelines.estimator import ModelError
from configs import psgan as psgan_config


def config(**model):
    out = psgan_config.get_config("demo")
    out.model.update({"resolution": 16, "latent_size": 6, "fmap_base": 64, "fmap_max": 8} | model)
    out.pose_map.sigma = 1.5
    out.schedule.resolutions, out.schedule.batch_sizes, out.schedule.learning_rates = (16,), (8,), (1e-3,)
    out.schedule.fade_images, out.schedule.stable_images = (0,), (16,)
    out.schedule.mismatch_weights = (0.0,)
    return out


@pytest.fixture(autouse=True, scope="module")
def _quick():
    """Convolutions that compile in a fraction of the time, and no network beside the generator."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(conv.SWITCH, "xla")
        patch.setattr(projection, "PERCEPTUAL", 0.0)
        yield


@pytest.fixture(scope="module")
def workdirs(tmp_path_factory):
    """Runs of one checkpoint, with poses and without: nothing was trained."""
    out = {}
    for name, channels in (("psgan", 20), ("progan", 0)):
        c = config(pose_channels=channels)
        folder = out[name] = tmp_path_factory.mktemp(name)
        (folder / "config.json").write_text(c.to_json())
        state = jax.jit(recipe.make(c).init)(jax.random.key(4)).replace(step=2)
        data = iter(grain.MapDataset.range(4).to_iter_dataset())
        with Checkpoints(folder, 1, c.checkpoint.best_metric, "max") as checkpoints:
            checkpoints.save(state, data, c.to_dict(), {c.checkpoint.best_metric: 0.5})
    return out


@pytest.fixture(scope="module")
def model(workdirs):
    return transfer.Model(workdirs["psgan"])


def poses(count, seed=0):
    points = np.random.default_rng(seed).uniform(2, 14, (count, 20, 3)).astype(np.float32)
    points[..., 2] = 1
    return points


def drawn(model, latents, points):
    return np.asarray(model._run._draw(np.float32(latents), points))


def as_bytes(images):
    return ((images + 1) * 127.5 + 0.5).astype(np.uint8)


@pytest.fixture(scope="module")
def scene(model):
    """Three characters of the network's own, a source and a target of each."""
    latents = np.random.default_rng(1).standard_normal((3, 6)).astype(np.float32)
    own, wanted = poses(3, 2), poses(3, 3)
    return drawn(model, latents, own), own, drawn(model, latents, wanted), wanted


def test_a_latent_is_found_again(model, scene):
    """What it draws in another pose is nearer to the truth than any of a hundred random ones."""
    sources, own, targets, wanted = scene
    made = np.asarray(model._run(sources[:, None], own[:, None], wanted))
    apart = np.abs(made - targets).mean((1, 2, 3))
    others = np.random.default_rng(5).standard_normal((100, 6)).astype(np.float32)
    for i in range(3):
        random = drawn(model, others, np.repeat(wanted[i : i + 1], 100, 0))
        assert apart[i] < 0.25 * np.abs(random - targets[i]).mean((1, 2, 3)).min(), apart


def test_the_result_is_a_function_of_seed_and_pictures(model, scene, monkeypatch):
    sources, own, _, _ = scene
    at = model._run.latents(sources[:, None], own[:, None])
    np.testing.assert_array_equal(at, model._run.latents(sources[:, None], own[:, None]))
    monkeypatch.setattr(model._run, "_known", {})
    # Alone, twice, and after others.
    again = model._run.latents(sources[[2, 1, 2], None], own[[2, 1, 2], None])
    np.testing.assert_allclose(again, at[[2, 1, 2]], atol=2e-3)
    np.testing.assert_array_equal(again[0], again[2])
    monkeypatch.setattr(model._run, "_known", {})
    monkeypatch.setattr(model._run, "_seed", 7)
    assert np.abs(model._run.latents(sources[:, None], own[:, None]) - at).max() > 1e-3


def test_a_source_is_projected_once(model, scene, monkeypatch):
    sources, own, _, wanted = scene
    monkeypatch.setattr(model._run, "_known", {})
    calls = []
    fitted = model._run._fitted
    monkeypatch.setattr(model._run, "_fitted", lambda *a: calls.append(len(a[0])) or fitted(*a))
    source = transfer.Source(
        np.concatenate([as_bytes(sources[0]), np.full((16, 16, 1), 255, np.uint8)], -1), own[0]
    )
    first = model([source], wanted)
    second = model([source], wanted[:2])
    assert calls == [1]
    assert first.shape == (3, 16, 16, 3) and first.dtype == np.uint8
    assert model.size == (16, 16) and model.rgba is False and model.step == 2
    assert np.abs(second.astype(int) - first[:2]).max() <= 1
    each = model.each(as_bytes(sources[:1, None]), own[:1, None], wanted[:1])
    assert np.abs(each[0].astype(int) - first[0]).max() <= 1 and calls == [1]


def test_two_sources_of_a_character_have_one_latent(model, scene):
    sources, own, targets, wanted = scene
    both = np.stack([sources[0], targets[0]])[None], np.stack([own[0], wanted[0]])[None]
    at = model._run.latents(*both)
    assert at.shape == (1, 6)
    again = drawn(model, np.repeat(at, 2, 0), both[1][0])
    assert np.abs(again - both[0][0]).mean() < 0.1


def test_runs_that_know_no_poses_are_refused(workdirs):
    with pytest.raises(ModelError, match=r"'psgan', which knows no poses: name a run of .*with poses"):
        transfer.Model(workdirs["progan"])
    assert json.loads((workdirs["progan"] / "config.json").read_text())["model"]["pose_channels"] == 0
