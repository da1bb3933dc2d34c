"""Damaged files of every kind end in success or one clear error: no crash, no hang, little memory."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from anime_pt.avatars.formats import vmd, vpd
from tests.avatars import asset_files, bvh_files, fuzzing, gltf_files, mmd_files, vmd_files, vrma_files

ROOT = pathlib.Path(__file__).parents[2]
# Cases of the normal run, by what one costs.
CASES = {"mmd characters": 40, "vrm characters": 100, "vmd": 40}


def small_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """One file of each kind."""
    made = {
        "small.pmd": mmd_files.pmd_bytes(),
        "small.pmx": mmd_files.pmx_bytes(),
        "wide.pmx": mmd_files.pmx_bytes(version=2.1, utf8=True, bone_size=2, extra_uvs=2, wide=True),
        "old.vrm": gltf_files.figure("0.x").data(),
        "new.vrm": gltf_files.figure("1.0", np.random.default_rng(0)).data(),
        "named.glb": gltf_files.figure("").data(),
        "small.vmd": vmd_files.full(),
    }
    glb, nodes = vrma_files.skeleton(np.random.default_rng(0))
    turns = [[0, 0, 0, 1.0], gltf_files.quaternion((0, 1, 0), 50)]
    made["small.vrma"] = vrma_files.animation(
        glb, [(nodes["head"], "rotation", [0, 1], turns, "LINEAR")]
    ).data()
    for name, data in made.items():
        (folder / name).write_bytes(data)
    bvh_files.write(folder / "small.bvh", *bvh_files.motion(8), bvh_files.Dialect())
    vpd.write(folder / "small.vpd", vmd.read(folder / "small.vmd"))
    bvh_files.write(folder / "small.bvh", *bvh_files.motion(10), bvh_files.Dialect())
    return sorted(folder.iterdir())


def fuzz(name: str, cases: int, folder: pathlib.Path) -> None:
    suffixes = fuzzing.READERS[name][0]
    (folder / "made").mkdir()
    (folder / "damaged").mkdir()
    sources = [p for p in small_files(folder / "made") if p.suffix in suffixes]
    sources += asset_files.find(*suffixes)
    if not sources:
        pytest.skip(f"no {' or '.join(suffixes)} below {asset_files.ROOT} (set ANIME_PT_ASSETS)")
    command = [sys.executable, "-m", "tests.avatars.fuzzing", name, str(cases), str(folder / "damaged")]
    run = subprocess.run(
        [*command, *map(str, sources)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240 + cases,
        check=False,
    )
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    last = lines[-1] if lines else "before the first case"
    assert run.returncode == 0, f"ended with {run.returncode} at {last}: {run.stderr[-2000:]}"
    assert sum("wrong" not in line for line in lines) == cases
    wrong = [line for line in lines if line.get("wrong")]
    assert not wrong, "\n".join(map(str, wrong[:20]))


@pytest.mark.parametrize("name", fuzzing.READERS)
def test_damaged_files(name, tmp_path):
    fuzz(name, CASES.get(name, 150), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", fuzzing.READERS)
def test_many_damaged_files(name, tmp_path):
    fuzz(name, 25 * CASES.get(name, 150), tmp_path)
