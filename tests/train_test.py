"""The loop: what a run leaves behind, and that a stopped one continues as if it had not stopped."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
from tensorboardX.proto import event_pb2

from anime_pt import checkpoint, metric_writer, recipe, train
from tests.conftest import CACHE, ROOT, command, flags_of

TOTAL = 20  # Steps of `tiny_config`.


def final_state(config, workdir):
    algorithm = recipe.make(config)
    abstract = jax.eval_shape(algorithm.init, jax.random.key(config.seed))
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    with checkpoint.Checkpoints(workdir, read_only=True) as checkpoints:
        return checkpoints.restore(abstract, jax.tree.map(lambda _: device, abstract))


def assert_same_bits(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


def shorten(config):
    """Leaves the first stage alone, of twelve steps: little to compile."""
    for name, column in config.schedule.items():
        config.schedule[name] = column[:1]
    config.schedule.stable_images = (96,)
    config.eval.every = 100


def timeless(workdir):
    return [
        {k: v for k, v in row.items() if "per_second" not in k} for row in metric_writer.read_metrics(workdir)
    ]


def test_a_run_leaves_checkpoints_metrics_events_and_samples(unbroken):
    _, workdir = unbroken
    # Saved every 6 steps, at the stages' ends, and in the last stage when evaluated; the last two stay, and
    # the best one.
    steps = sorted(int(p.name) for p in (workdir / "checkpoints").iterdir())
    margin = {r["step"]: r["eval/iou_margin"] for r in metric_writer.read_metrics(workdir) if "eval/iou" in r}
    best = max((16, 20), key=lambda step: (margin[step], step))
    assert steps == sorted({18, 20, best})
    rows = metric_writer.read_metrics(workdir)
    logged = [r["step"] for r in rows if "train/generator_loss" in r]
    assert logged == list(range(2, TOTAL + 1, 2))
    evaluated = [r["step"] for r in rows if "eval/iou" in r]
    assert evaluated == [4, 8, 12, 16, 20]  # Every 8 steps, and at the ends 4, 12 and 20 of the stages.
    assert sorted(p.stem for p in (workdir / "samples").glob("*.png")) == [f"{s:08d}" for s in evaluated]
    assert json.loads((workdir / "config.json").read_text())["recipe"] == "psgan"
    images_seen = [r["train/images_seen"] for r in rows if "train/images_seen" in r]
    # A row is the mean over two steps of 8 images.
    assert images_seen == [8 * s - 4 for s in logged]


def test_events_hold_the_same_scalars_as_metrics_jsonl(unbroken):
    _, workdir = unbroken
    points = {}
    for file in (workdir / "events").glob("*tfevents*"):
        data = file.read_bytes()
        while data:  # TFRecord framing: length (8), crc (4), payload, crc (4).
            length = int.from_bytes(data[:8], "little")
            event = event_pb2.Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    points[value.tag, event.step] = value.simple_value
    rows = metric_writer.read_metrics(workdir)
    wanted = {(k, r["step"]): v for r in rows for k, v in r.items() if k != "step"}
    assert points.keys() == wanted.keys() and len(points) > 50
    for key, value in wanted.items():
        assert points[key] == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize(
    "stop_at", [pytest.param(2, marks=pytest.mark.slow), 6, pytest.param(14, marks=pytest.mark.slow)]
)
def test_stopped_and_continued_equals_unbroken(unbroken, tmp_path, stop_at, monkeypatch):
    # 2: within the first stage; 6: within a fade; 14: within the last fade.
    config, reference = unbroken
    fetch = train._Run._fetch

    def interrupt(self, step, metrics):
        if step == stop_at - 1:  # Fetched while step `stop_at` runs.
            os.kill(os.getpid(), signal.SIGTERM)
        return fetch(self, step, metrics)

    with monkeypatch.context() as patch:
        patch.setattr(train._Run, "_fetch", interrupt)
        with pytest.raises(train.command.Interrupted, match=f"stopped at step {stop_at};"):
            train.train(config, tmp_path)
    with checkpoint.Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.latest_step == stop_at
    train.train(config, tmp_path)
    assert_same_bits(final_state(config, tmp_path), final_state(config, reference))
    assert timeless(tmp_path) == timeless(reference)


def test_a_signal_during_evaluation_still_saves(config, tmp_path, monkeypatch):
    sent = []

    def evaluate(self, state):
        if not sent:
            sent.append(os.kill(os.getpid(), signal.SIGINT))
        return {"eval/iou_margin": 0.5}

    monkeypatch.setattr(train.evaluate.Evaluator, "__call__", evaluate)
    monkeypatch.setattr(train.evaluate.Evaluator, "sheet", lambda self, state: np.zeros((4, 4, 3), np.uint8))
    config.eval.every = 3
    with pytest.raises(train.command.Interrupted, match="stopped at step 4;"):
        train.train(config, tmp_path)
    with checkpoint.Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.latest_step == 4


def test_killed_and_continued_equals_unbroken(unbroken, tmp_path):
    config, reference = unbroken
    arguments = ["anime_pt.main", f"--workdir={tmp_path}", *flags_of(config)]
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", *arguments],
        cwd=ROOT,
        env=os.environ | CACHE,
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if line.startswith("step 14/"):
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    assert process.returncode == -signal.SIGKILL
    result = command(*arguments)
    assert result.returncode == 0, result.stderr
    assert "continuing from step 12 of 20" in result.stdout
    assert_same_bits(final_state(config, tmp_path), final_state(config, reference))
    assert timeless(tmp_path) == timeless(reference)


def test_a_finished_run_does_nothing_more(unbroken, capsys):
    config, workdir = unbroken
    before = timeless(workdir)
    state = train.train(config, workdir)
    assert int(state.step) == TOTAL
    assert timeless(workdir) == before


def test_another_configs_workdir_is_refused(unbroken):
    config, workdir = unbroken
    other = config.copy_and_resolve_references()
    other.model.latent_size = 16
    with pytest.raises(train.WorkdirError, match=r"model\.latent_size: 8 there, 16 here"):
        train.train(other, workdir)
    free = config.copy_and_resolve_references()
    free.log.every = 3
    train.claim_workdir(free, workdir)
    train.claim_workdir(config, workdir)


def test_a_run_that_never_saved_does_not_hold_its_workdir(config, tmp_path):
    train.claim_workdir(config, tmp_path)
    config.model.latent_size = 16
    train.claim_workdir(config, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model"]["latent_size"] == 16


def test_a_file_to_start_from_that_is_missing_leaves_no_workdir(config, tmp_path, monkeypatch):
    algorithm = type(recipe.make(config))
    monkeypatch.setattr(algorithm, "start_files", ("init.weights",), raising=False)
    config.init = {"weights": str(tmp_path / "absent.npz")}
    with pytest.raises(ValueError, match=r"init\.weights = '.*absent\.npz': there is no such file"):
        train.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_evaluation_refuses_another_config(unbroken):
    config, workdir = unbroken
    other = config.copy_and_resolve_references()
    other.pose_map.kind = "pixel"
    with pytest.raises(train.WorkdirError, match=r"pose_map\.kind: gaussian there, pixel here"):
        train.compare_configs(other, workdir)
    elsewhere = config.copy_and_resolve_references()
    elsewhere.data.eval_split = "test"
    with pytest.raises(train.WorkdirError, match=r"data\.eval_split"):
        train.compare_configs(elsewhere, workdir)
    train.compare_configs(elsewhere, workdir, free=(*train.FREE_FIELDS, "data"))


def test_a_metric_that_is_not_measured_cannot_rank(config, tmp_path):
    config.checkpoint.best_metric = "eval/iuo"
    with pytest.raises(ValueError, match="'eval/iuo' is not measured; there are eval/iou"):
        train.train(config, tmp_path)


def test_a_full_disk_while_logging_raises_at_once(config, tmp_path, monkeypatch):
    train.claim_workdir(config, tmp_path)
    writer = metric_writer.MetricWriter(tmp_path)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer._events._records, "write", full)
    with pytest.raises(OSError, match="No space left"):
        for step in range(50):
            writer.write_scalars(step, {"train/loss": 1.0})


def test_a_folder_of_something_else_is_refused(config, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(train.WorkdirError, match="not empty"):
        train.train(config, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_non_finite_loss_stops_with_step_metrics_and_checkpoint(config, tmp_path):
    from anime_pt.recipes import psgan

    class Diverging(psgan.PSGAN):
        def train_step(self, state, batch, key, stage):
            new, metrics = super().train_step(state, batch, key, stage)
            bad = jax.numpy.where(state.step == 9, jax.numpy.nan, 0.0)  # During the tenth update.
            return new, metrics | {"train/generator_loss": metrics["train/generator_loss"] + bad}

    shorten(config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psgan, "make", Diverging)
        with pytest.raises(train.NonFiniteError) as error:
            train.train(config, tmp_path)
    message = str(error.value)
    assert "step 10" in message and "generator_loss=nan" in message and "discriminator_loss=" in message
    good = pathlib.Path(message.split("last good checkpoint: ")[1])
    assert good.name == "6" and good.is_dir()


def test_non_finite_parameters_are_not_saved(config, tmp_path):
    from anime_pt.recipes import psgan

    class Poisoned(psgan.PSGAN):
        def train_step(self, state, batch, key, stage):
            new, metrics = super().train_step(state, batch, key, stage)
            bad = jax.numpy.where(state.step == 5, jax.numpy.nan, 1.0)
            players = jax.tree.map(
                lambda x: x * bad.astype(x.dtype) if x.dtype == "float32" else x, new.players
            )
            return new.replace(players=players), metrics

    shorten(config)
    config.checkpoint.every = 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psgan, "make", Poisoned)
        with pytest.raises(train.NonFiniteError, match=r"step 6.*parameters=nan"):
            train.train(config, tmp_path)
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["3"]


def test_a_batch_that_does_not_divide_over_the_mesh_is_refused():
    from anime_pt import sharding

    class Mesh:
        shape = {"data": 8, "spatial": 1}

    with pytest.raises(ValueError, match=r"stage 64x64: batch_size=12 .* use a batch of 8 or 16"):
        sharding.check_batch(Mesh(), 12, "stage 64x64")
    with pytest.raises(ValueError, match="needs 9 devices, but there are"):
        sharding.make_mesh(9, 1, jax.devices() * 2)
