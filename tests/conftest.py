"""What several tests share: a small real dataset, a small real config, and the package's commands."""

import dataclasses
import fcntl
import os
import pathlib
import shutil
import subprocess
from collections.abc import Callable

import grain
import jax
import ml_collections
import pytest
from absl import logging

from anime_pt import metric_writer, recipe, train
from anime_pt.checkpoint import Checkpoints
from anime_pt.models import conv
from configs import psgan as psgan_config
from tests import forked
from tfds_builders import registry, testing
from tfds_builders.unity_avatars import unity_avatars_dataset_builder as unity_avatars

ROOT = pathlib.Path(__file__).resolve().parent.parent
TINY = "procedural_16_tiny"

# Many tests compile the same steps, some in processes of their own.
CACHE = {
    "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".pytest_cache" / "xla"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
}
for _name, _value in CACHE.items():
    jax.config.update(_name.lower(), float(_value) if _name.endswith("SECS") else _value)
# Tests compile much and compute little.
QUICKLY = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
if jax.__version__.startswith("0.10."):  # XLA ends a process at flags that it does not know any more.
    QUICKLY += " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
if QUICKLY not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {QUICKLY}".strip()
logging.set_verbosity(logging.ERROR)


# Files of few but long tests: begun first, so that no process of `pytest -n` is left alone with them.
LONG = ("train_test", "mesh_test", "avatars_dataset", "mmd_pairs", "configs_test", "recipes", "readme_test")
LONG += ("models", "judges", "live_test")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = lambda item: next(
        (i for i, name in enumerate(LONG) if name in item.nodeid.split("::")[0]), len(LONG)
    )
    items.sort(key=rank)


def made_once(
    tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[pathlib.Path], None]
) -> pathlib.Path:
    """A folder that the first process of `pytest -n` makes, while the others wait for it."""
    root = tmp_path_factory.getbasetemp()
    folder = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "once" / name
    folder.parent.mkdir(exist_ok=True)
    with open(folder.with_suffix(".lock"), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder.with_suffix(".done")
        if not done.exists():
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session", autouse=True)
def _no_curves():
    """Drawing them is more than half of a small run; runs of the README's commands do it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metric_writer.MetricWriter, "write_curves", lambda self: None)
        yield


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A TFDS folder, with Japanese letters and a space in its path, that holds `unity_avatars/TINY`."""
    return made_once(tmp_path_factory, "データ set", _build)


def _build(folder: pathlib.Path) -> None:
    config = dataclasses.replace(
        registry.make("unity_avatars/procedural_64").builder_config,
        name=TINY,
        resolution=16,
        characters=5,
        costumes=1,
        poses=12,
    )
    builder = unity_avatars.Builder(data_dir=folder, config=config)
    with testing.written_here():
        builder.download_and_prepare(file_format="array_record")


def tiny_config(data_dir: pathlib.Path) -> ml_collections.ConfigDict:
    """PSGAN of 4 to 16 pixels, 4 + 4 + 4 + 4 + 4 steps of 8 images."""
    config = psgan_config.get_config("demo")
    config.model.update({"resolution": 16, "latent_size": 8, "fmap_base": 64, "fmap_max": 8})
    config.schedule.resolutions = (4, 8, 16)
    config.schedule.batch_sizes = (8, 8, 8)
    config.schedule.learning_rates = (1e-3, 1e-3, 1e-3)
    config.schedule.fade_images = (0, 32, 32)
    config.schedule.stable_images = (32, 32, 32)
    config.data.update({"name": f"unity_avatars/{TINY}", "data_dir": str(data_dir), "prepare": False})
    config.eval.update({"every": 8, "batch_size": 8, "examples": 8, "samples": 2})
    config.checkpoint.update({"every": 6, "keep": 2})
    config.log.every = 2
    config.sample_latents = 2
    config.mesh.data = 1
    return config


@pytest.fixture(scope="session")
def unbroken(data_dir, tmp_path_factory) -> tuple[ml_collections.ConfigDict, pathlib.Path]:
    """A whole run: its config and its workdir, of this process alone. Tests must not change its numbers."""
    config = tiny_config(data_dir)
    run = made_once(tmp_path_factory, "run", lambda folder: train.train(config, folder))
    workdir = tmp_path_factory.mktemp("runs") / "踊り run"
    shutil.copytree(run, workdir)
    return config, workdir


@pytest.fixture(scope="module")
def plain_convolutions():
    """XLA's own, which compile in a fraction of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(conv.SWITCH, "xla")
        yield


def untrained_run(workdir: pathlib.Path, config: ml_collections.ConfigDict, step: int) -> pathlib.Path:
    """A folder like that of a run that was saved at a step: its networks are as they began."""
    (workdir / "config.json").write_text(config.to_json())
    state = jax.jit(recipe.make(config).init)(jax.random.key(4)).replace(step=step)
    data = iter(grain.MapDataset.range(4).to_iter_dataset())
    with Checkpoints(workdir, 1, config.checkpoint.best_metric, "max") as checkpoints:
        checkpoints.save(state, data, config.to_dict(), {config.checkpoint.best_metric: 0.5})
    return workdir


@pytest.fixture
def config(data_dir: pathlib.Path) -> ml_collections.ConfigDict:
    return tiny_config(data_dir)


def flags_of(config: ml_collections.ConfigDict) -> list[str]:
    """The command line flags that turn `configs/psgan.py:demo` into this config."""
    base = dict(_leaves(psgan_config.get_config("demo")))
    out = ["--config=configs/psgan.py:demo"]
    for name, value in _leaves(config):
        if value != base[name]:
            out.append(f"--config.{name}={value}")
    return out


def _leaves(config: ml_collections.ConfigDict, prefix: str = ""):
    for name, value in config.items():
        if isinstance(value, ml_collections.ConfigDict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def command(module: str, *arguments: object, timeout: float = 300, **env: str) -> subprocess.CompletedProcess:
    """Runs `python -m module ...` from the repository root, but for the time that imports take."""
    environment = os.environ | CACHE | {"JAX_PLATFORMS": "cpu"} | env
    return forked.run(module, [str(a) for a in arguments], ROOT, environment, timeout)
