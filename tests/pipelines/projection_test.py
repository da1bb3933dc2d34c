"""A latent is found again by what it draws. The network is a small one with random weights."""

import json
import types

import jax
import numpy as np
import pytest

from anime_pt import perceptual
from anime_pt.pipelines import animate, projection, transfer
from anime_pt.pipelines.estimator import ModelError
from anime_pt.pose.sequences import PoseSequence
from anime_pt.pose.skeletons import AVATAR_20
from configs import psgan as psgan_config
from tests.conftest import untrained_run
from tests.pipelines import puppet


def config(**model):
    out = psgan_config.get_config("demo")
    out.model.update({"resolution": 8, "latent_size": 6, "fmap_base": 32, "fmap_max": 8} | model)
    out.pose_map.sigma = 1.0
    out.schedule.resolutions, out.schedule.batch_sizes, out.schedule.learning_rates = (8,), (8,), (1e-3,)
    out.schedule.fade_images, out.schedule.stable_images = (0,), (16,)
    out.schedule.mismatch_weights = (0.0,)
    return out


pytestmark = pytest.mark.usefixtures("plain_convolutions")


@pytest.fixture(autouse=True, scope="module")
def _quick():
    """No network beside the generator."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(projection, "PERCEPTUAL", 0.0)
        yield


@pytest.fixture(scope="module")
def workdirs(tmp_path_factory):
    """Runs of one checkpoint, with poses and without: nothing was trained."""
    out = {}
    for name, channels in (("psgan", 20), ("progan", 0)):
        out[name] = untrained_run(tmp_path_factory.mktemp(name), config(pose_channels=channels), 2)
    return out


@pytest.fixture(scope="module")
def model(workdirs):
    return transfer.Model(workdirs["psgan"])


def poses(count, seed=0):
    points = np.random.default_rng(seed).uniform(1, 7, (count, 20, 3)).astype(np.float32)
    points[..., 2] = 1
    return points


def drawn(model, latents, points):
    return np.asarray(model._run._draw(np.float32(latents), points))


def as_bytes(images):
    return ((images + 1) * 127.5 + 0.5).astype(np.uint8)


@pytest.fixture(scope="module")
def scene(model):
    """Three characters of the network's own: two sources of each, their joints, a target and its joints."""
    latents = np.random.default_rng(1).standard_normal((3, 6)).astype(np.float32)
    own, wanted = [poses(3, 2), poses(3, 3)], poses(3, 4)
    sources = np.stack([drawn(model, latents, points) for points in own], 1)
    return sources, np.stack(own, 1), drawn(model, latents, wanted), wanted


@pytest.fixture(scope="module")
def found(model, scene):
    return model._run.latents(*scene[:2])


def test_a_latent_is_found_again(model, scene, found):
    """What it draws in another pose is nearer to the truth than any of sixty random ones."""
    sources, own, targets, wanted = scene
    made = np.asarray(model._run(sources, own, wanted))
    np.testing.assert_array_equal(made, drawn(model, found, wanted))
    apart = np.abs(made - targets).mean((1, 2, 3))
    others = np.random.default_rng(5).standard_normal((60, 3, 6))
    random = np.stack([drawn(model, z, wanted) for z in others])
    nearest = np.abs(random - targets).mean((2, 3, 4)).min(0)
    assert (apart < 0.25 * nearest).all(), (apart, nearest)


def test_the_result_is_a_function_of_seed_and_pictures(model, scene, found, monkeypatch):
    sources, own, _, _ = scene
    np.testing.assert_array_equal(found, model._run.latents(sources, own))
    # Twice, and after others.
    monkeypatch.setattr(model._run, "_known", {})
    np.testing.assert_array_equal(model._run.latents(sources[[2, 0, 2]], own[[2, 0, 2]]), found[[2, 0, 2]])
    # From other beginnings another way to the same end.
    monkeypatch.setattr(model._run, "_known", {})
    monkeypatch.setattr(model._run, "_seed", 7)
    assert 0 < np.abs(model._run.latents(sources[:1], own[:1]) - found[:1]).max() < 0.05


def test_a_source_is_projected_once(model, scene, found, monkeypatch):
    sources, own, _, wanted = scene
    monkeypatch.setattr(model._run, "_known", {})
    calls = []
    monkeypatch.setattr(model._run, "_fitted", lambda images, own: calls.append(images.shape) or found[1])
    mask = np.full((8, 8, 1), 255, np.uint8)
    of = [
        transfer.Source(np.concatenate([as_bytes(image), mask], -1), points)
        for image, points in zip(sources[1], own[1], strict=True)
    ]
    first = model(of, wanted)
    again = model(of, wanted[::-1])
    assert calls == [(2, 8, 8, 3)]
    assert first.shape == (3, 8, 8, 3) and first.dtype == np.uint8
    assert model.size == (8, 8) and model.rgba is False and model.step == 2
    np.testing.assert_array_equal(first, as_bytes(drawn(model, found[[1, 1, 1]], wanted)))
    assert np.abs(again[::-1].astype(int) - first).max() <= 1
    each = model.each(as_bytes(sources), own, wanted)
    assert len(calls) == 3 and np.abs(each[1].astype(int) - first[1]).max() <= 1


@pytest.mark.slow
def test_the_packages_network_sees_what_is_projected(model, workdirs, scene, monkeypatch):
    """What it sees counts beside the colours, and the descent goes by both."""
    monkeypatch.setattr(projection, "PERCEPTUAL", 1.0)
    _, algorithm, nets, step = transfer._of_run(workdirs["psgan"], None)
    # It takes no pictures of less than 16 pixels.
    larger = lambda images: images.repeat(2, 1).repeat(2, 2)
    twice = types.SimpleNamespace(
        config=algorithm.config, generate=lambda *given: larger(algorithm.generate(*given))
    )
    seeing = projection.Projector(
        twice, nets["generator"], step, algorithm.stages[-1], starts=1, iterations=1
    )
    (images, *_), (own, *_), *_ = scene
    latent = np.random.default_rng(6).standard_normal((1, 6)).astype(np.float32)
    seen_by = perceptual.loaded("", perceptual.create("", jax.random.key(0)))
    made = twice.generate(nets["generator"], latent, own[:1], step, algorithm.stages[-1])
    seen = float(perceptual.loss(seen_by, made, larger(images[:1])))
    found = seeing._distances(latent, larger(images[:1]), own[:1])
    plain = model._run._distances(latent, images[:1], own[:1])
    np.testing.assert_allclose(found - plain, seen, rtol=1e-3)
    assert seen > 0.01
    (found,) = seeing.latents(larger(images[:1])[None], own[None, :1])
    assert found.shape == (6,) and np.isfinite(found).all()


def test_an_animation_by_a_latent(model, scene):
    """The whole way of `anime_pt.animate` but its files: one latent for all frames."""
    cut = puppet.character()
    motion = PoseSequence(np.repeat(cut.points[None], 3, 0), AVATAR_20, (300.0, 400.0), 10.0)
    motion.keypoints[1, AVATAR_20.index("left_wrist"), :2] -= 40
    plan = animate.plan(cut, motion, model)
    (latent,) = model._run.latents(
        plan.source.image[None, None, ..., :3].astype(np.float32) / 127.5 - 1, plan.source.points[None, None]
    )
    frames = list(animate.frames(plan, model, 2))
    assert [frame.shape[:2] for frame in frames] == [(8, 8)] * 3
    wanted = as_bytes(drawn(model, np.repeat(latent[None], 3, 0), plan.asked.astype(np.float32)))
    for frame, of_latent in zip(frames, wanted, strict=True):
        seen = frame[..., 3:] == 255
        np.testing.assert_array_equal(np.where(seen, frame[..., :3], 0), np.where(seen, of_latent, 0))
    assert len({frame.tobytes() for frame in frames}) == 2


def test_the_kind_of_a_network_is_checked(workdirs):
    assert transfer.Model(workdirs["psgan"], kind="psgan").step == 2
    with pytest.raises(ModelError, match="is a run of the recipe 'psgan', not of 'pg2'"):
        transfer.Model(workdirs["psgan"], kind="pg2")
    with pytest.raises(
        ModelError, match="no psgan comes with the package, only patn: train one with configs/psgan"
    ):
        transfer.Model(None, kind="psgan")


def test_runs_that_know_no_poses_are_refused(workdirs):
    with pytest.raises(ModelError, match=r"'psgan', which knows no poses: name a run of .*with poses"):
        transfer.Model(workdirs["progan"])
    assert json.loads((workdirs["progan"] / "config.json").read_text())["model"]["pose_channels"] == 0
