"""Bad input to the commands: one clear line, a non-zero exit, nothing half-written."""

import subprocess
import sys

import pytest

from anime_pt.data import sources
from tests.conftest import ROOT, command, flags_of
from tfds_builders import registry

DEMO = "--config=configs/psgan.py:demo"


def fails(*arguments, **env):
    """The one line that a failing command prints to stderr."""
    result = command(*arguments, **env)
    assert result.returncode in (1, 2), (result.returncode, result.stdout, result.stderr)
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--config=configs/nothing.py"], "configs/nothing.py"),
        ([DEMO, "--config.modell.latent_size=3"], "modell"),
        ([DEMO, "--config.model.latent_size=three"], "latent_size"),
        (["--config=configs/psgan.py:fast"], "fast"),
        (["--config=configs/psgan.py:resolution=65"], "resolution"),
        ([DEMO, "stray"], "stray"),
        ([DEMO, "--modes=train"], "modes"),
    ],
)
def test_flags(flags, says, tmp_path):
    workdir = tmp_path / "run"
    assert says in fails("anime_pt.main", f"--workdir={workdir}", *flags)
    assert not workdir.exists()


def test_dataset_that_is_not_built(tmp_path):
    line = fails(
        "anime_pt.main",
        f"--workdir={tmp_path / 'run'}",
        "--config=configs/psgan.py:dataset=unity_avatars/rigged_64,resolution=64",
        f"--config.data.data_dir={tmp_path}",
    )
    assert "python -m tfds_builders.build unity_avatars/rigged_64 --manual_dir=" in line
    assert f"--data_dir={tmp_path}" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"eval.every": 0}, "eval.every must be at least 1"),
        ({"checkpoint.best_mode": "up"}, "best_mode must be max or min, got 'up'"),
        ({"data.eval_split": "validation[:0]"}, "is empty"),
        ({"data.train_split": "train[abc"}, "train[abc"),
        ({"data.train_split": "dev"}, "no split 'dev'"),
        ({"data.name": "unity_avatars"}, "name a dataset and its config"),
        ({"skeleton": "horse"}, "horse"),
    ],
)
def test_config_values(config, tmp_path, changes, says):
    for name, value in changes.items():
        config.update_from_flattened_dict({name: value})
    assert says in fails("anime_pt.main", f"--workdir={tmp_path / 'run'}", *flags_of(config))
    assert not (tmp_path / "run").exists()


def test_changed_dataset_says_how_it_was_built(tmp_path):
    line = fails(
        "anime_pt.main",
        f"--workdir={tmp_path / 'run'}",
        "--config=configs/psgan.py:dataset=unity_avatars/procedural_64-characters6-poses10,resolution=64",
        f"--config.data.data_dir={tmp_path}",
    )
    assert "build unity_avatars/procedural_64 --set=characters=6 --set=poses=10 --data_dir=" in line


def test_words_and_small_numbers_in_a_changed_name(tmp_path):
    """As `--set` writes them: `rigged_64-splitcostume`, `procedural_64-min_change1e-05`."""
    for name, changes in {
        "unity_avatars/rigged_64-splitcostume-motionsFalse": "--set=split=costume --set=motions=False",
        "mmd_pairs/procedural_64-min_change1e-05-motions3": "--set=min_change=1e-05 --set=motions=3",
    }.items():
        command = sources.build_command(name, str(tmp_path))
        assert f"{name.partition('-')[0]} {changes} " in command + " "
        base, *words = (word.removeprefix("--set=") for word in f"{name.partition('-')[0]} {changes}".split())
        assert registry.make(base, str(tmp_path), words).info.full_name.startswith(f"{name}/")


def test_images_smaller_than_the_schedule(config, tmp_path):
    config.model.resolution = 32
    config.schedule.resolutions = (8, 16, 32)
    line = fails("anime_pt.main", f"--workdir={tmp_path / 'run'}", *flags_of(config))
    assert "16x16" in line and "32x32" in line


def test_batch_that_does_not_divide(config, tmp_path):
    config.mesh.data = 3
    line = fails(
        "anime_pt.main",
        f"--workdir={tmp_path / 'run'}",
        *flags_of(config),
        XLA_FLAGS="--xla_force_host_platform_device_count=3",
    )
    assert "batch_size=8 does not divide over mesh.data=3" in line and "6 or 9" in line
    assert not (tmp_path / "run").exists()


def test_workdir_without_a_run(tmp_path):
    assert "train first" in fails("anime_pt.sample", f"--workdir={tmp_path}")
    assert "train first" in fails("anime_pt.main", "--mode=eval", f"--workdir={tmp_path}", DEMO)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["unity_avatar/procedural_64"],
            "there is no dataset 'unity_avatar'; known: anime_keypoints, deepfashion",
        ),
        (["unity_avatars/procedural_65"], "has no config 'procedural_65'"),
        (["unity_avatars/procedural_64", "--set=pose=3"], "use field=value with one of"),
        (["unity_avatars/procedural_64", "--set=poses=many"], "poses is of type int"),
        (["unity_avatars/rigged_64", "--set=rights_held=yes"], "rights_held is true or false"),
        (["mmd_pairs/procedural_64", "--set=min_change=nan"], "min_change must be a number from 0 on"),
        (["unity_avatars/procedural_64", "--processes=-3"], "processes"),
        (["unity_avatars/procedural_64", "--set=characters=2"], "needs at least 3 characters"),
        (["unity_avatars/procedural_64", "--set=poses=0"], "poses must be at least 1, got 0"),
        (["unity_avatars/procedural_64", "--set=yaw=nan"], "yaw must be 0 to 180 degrees"),
        (["unity_avatars/procedural_64", "--set=description=a/../b"], "use field=value with one of"),
        ([], "name a dataset"),
    ],
)
def test_build(arguments, says, tmp_path):
    assert says in fails("tfds_builders.build", f"--data_dir={tmp_path}", *arguments)


def test_build_without_models(tmp_path):
    (tmp_path / "models").mkdir()
    line = fails(
        "tfds_builders.build",
        "unity_avatars/rigged_64",
        f"--data_dir={tmp_path / 'data'}",
        f"--manual_dir={tmp_path / 'models'}",
    )
    assert "--manual_dir" in line and "one folder for each;" in line
    (tmp_path / "models" / "readme.txt").touch()
    line = fails(
        "tfds_builders.build",
        "unity_avatars/rigged_64",
        f"--data_dir={tmp_path / 'data'}",
        f"--manual_dir={tmp_path / 'models'}",
    )
    assert "holds no .pmd or .pmx or .vrm" in line


def test_memory_is_kept_where_glibc_can_be_asked():
    """In a process of its own: it stays so for good. Freed memory is not given back to the system."""
    code = """
import platform, resource
from anime_pt import command
asked = command.keep_memory()
assert asked == (platform.libc_ver()[0] == "glibc"), asked
import numpy as np
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(1 << 23)
before = faults()
for _ in range(4): np.ones(1 << 23)
print(asked, faults() - before)
"""
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    asked, faults = out.stdout.split()
    # 64 MiB are 16,384 pages of 4 KiB.
    assert asked == "False" or int(faults) < 1000
