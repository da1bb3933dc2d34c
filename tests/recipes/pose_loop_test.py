"""The pose estimators through the whole loop: data, steps, evaluation, checkpoint, weights, estimation."""

import json
import os
import signal
import subprocess
import sys

import jax
import numpy as np
import optax
import pytest

from anime_pt import recipe, sharding, train, weights
from anime_pt.models import conv
from anime_pt.pipelines import estimator
from configs import gccpm as gccpm_config
from configs import student as student_config
from tests.conftest import CACHE, QUICKLY, ROOT, TINY


def shrunk(config, data_dir):
    """Three steps of four pictures of 64 x 32."""
    config.schedule.update({"resolution": (64, 32), "batch_size": 4, "steps": 3})
    config.data.update({"name": f"unity_avatars/{TINY}", "data_dir": str(data_dir), "prepare": False})
    config.eval.update({"every": 2, "batch_size": 4, "examples": 6, "samples": 2})
    config.checkpoint.every = 2
    config.log.every = 1
    config.mesh.data = 1
    return config


def gccpm(data_dir):
    config = shrunk(gccpm_config.get_config("demo"), data_dir)
    config.model.update({"num_channels": 16, "cpm_channels": 16})
    return config


def student(data_dir):
    config = shrunk(student_config.get_config("demo"), data_dir)
    config.model.widths = (8, 16, 16)
    return config


@pytest.mark.parametrize("make", [student, pytest.param(gccpm, marks=pytest.mark.slow)])
def test_from_data_to_joints(make, data_dir, tmp_path, monkeypatch):
    """An unbroken run, the same one stopped after a step and continued, and what comes of it."""
    monkeypatch.setenv(conv.SWITCH, "xla")  # Compiles in a fraction of the time.
    config, workdir = make(data_dir), tmp_path / "走 run"
    state = train.train(config, workdir)
    assert int(state.step) == 3
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    measured = {k: row[k] for row in rows for k in row if k.startswith("eval/")}
    for name in ("eval/pdj", "eval/pdj/left_wrist", "eval/pckh_lip", "eval/pckh_patn", "eval/oks", "eval/ap"):
        assert 0 <= measured[name] <= 1, name
    assert list((workdir / "samples").glob("*.png"))

    fetch = train._Run._fetch

    def interrupt(self, step, metrics):
        if step == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return fetch(self, step, metrics)

    with monkeypatch.context() as patch:
        patch.setattr(train._Run, "_fetch", interrupt)
        with pytest.raises(train.command.Interrupted, match="stopped at step 2;"):
            train.train(config, tmp_path / "stopped")
    continued = train.train(config, tmp_path / "stopped")
    # Parameters, running statistics, averages, and the optimizer with its plateau.
    for a, b in zip(_leaves(state), _leaves(continued), strict=True):
        np.testing.assert_array_equal(a, b)

    algorithm, net = estimator.of_run(workdir)
    path = tmp_path / "weights.npz"
    weights.write(path, config, net)
    read_config, read = weights.read(path)
    assert read_config.recipe == config.recipe
    picture = np.full((100, 80, 3), 200, np.uint8)
    for network in (net, read):
        find = estimator.Estimator(algorithm, network, flip=True, scales=(1.0, 1.1), batch=2)
        points = find([find.crops(picture, (10, 10, 60, 80))])
        assert points.shape == (1, 20, 3) and (points[..., 2] <= 1).all()


def test_eight_devices_find_the_gradients_of_one():
    """With batch normalisation over the global batch, and rows of pictures split."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.recipes.pose_loop_test"],
        cwd=ROOT,
        env=os.environ
        | CACHE
        | {
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": f"{QUICKLY} --xla_force_host_platform_device_count=8",
            conv.SWITCH: "xla",
        },
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["devices"] == 8 and found["leaves"] > 20
    assert found["loss"] < 1e-6 and found["gradients"] < 1e-4 and found["statistics"] < 1e-4


def _leaves(state):
    return jax.tree.leaves(state.players)


def _differences() -> dict[str, float]:
    """Largest relative differences between one step on one device and on eight, four by two."""
    rng = np.random.default_rng(0)
    joints = np.concatenate([rng.uniform(2, 30, (4, 20, 2)), np.ones((4, 20, 1))], -1).astype(np.float32)
    batch = {"image": rng.integers(0, 256, (4, 128, 32, 3), dtype=np.uint8), "keypoints": joints}
    config = student_config.get_config("demo")
    config.model.widths = (8, 16, 16)
    config.schedule.update({"resolution": (128, 32), "batch_size": 4, "steps": 3})
    # A step of plain gradient descent is the gradient.
    r = recipe.make(config)
    r._tx = optax.sgd(1.0)
    out = []
    for data, spatial in ((1, 1), (4, 2)):
        mesh = sharding.make_mesh(data, spatial)
        with jax.set_mesh(mesh):
            everywhere = sharding.replicated(mesh)
            state = jax.jit(r.init, out_shardings=everywhere)(jax.random.key(0))
            step = jax.jit(lambda s, b: r.train_step(s, b, jax.random.key(0), r.stages[0]))
            after, metrics = step(state, sharding.put_batch(mesh, batch))
            before, net = state.players["estimator"].net, after.players["estimator"].net
            gradients = jax.tree.map(lambda a, b: np.asarray(a) - np.asarray(b), before.params, net.params)
            out.append((gradients, jax.device_get(net.stats), float(metrics["train/loss"])))
    norm = np.linalg.norm
    apart = lambda i: max(
        float(norm(a - b) / norm(b))
        for a, b in zip(jax.tree.leaves(out[1][i]), jax.tree.leaves(out[0][i]), strict=True)
    )
    return {
        "devices": jax.device_count(),
        "leaves": len(jax.tree.leaves(out[0][0])),
        "loss": abs(out[1][2] / out[0][2] - 1),
        "gradients": apart(0),
        "statistics": apart(1),
    }


if __name__ == "__main__":
    print(json.dumps(_differences()))
