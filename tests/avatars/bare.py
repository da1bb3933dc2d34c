"""Characters that are bones alone, for tests of rigs."""

import pathlib

import numpy as np
import pytest

from anime_pt.avatars.character import Character
from anime_pt.avatars.formats import mmd_morphs, mmd_rig, pmx
from tests.avatars import asset_files


def character(**fields) -> Character:
    """A character without a mesh; `fields` are those of its rig."""
    nothing = {name: np.zeros((0, 3), np.float32) for name in ("positions", "normals")}
    return Character(
        name="bare",
        uvs=np.zeros((0, 2), np.float32),
        joints=np.zeros((0, 4), np.int32),
        weights=np.zeros((0, 4), np.float32),
        outline_scale=np.zeros(0, np.float32),
        triangles=np.zeros((0, 3), np.int32),
        triangle_materials=np.zeros(0, np.int32),
        materials=[],
        humanoid={},
        landmarks={},
        kind="mmd",
        **nothing,
        **fields,
    )


def chain(places, parents, **fields) -> Character:
    """Bones named "0", "1", ... at `places` (b, 3) metres under `parents`."""
    rest = np.tile(np.eye(4), (len(places), 1, 1))
    rest[:, :3, 3] = places
    names = [str(i) for i in range(len(places))]
    return character(bone_names=names, parents=np.array(parents, np.int32), rest=rest, **fields)


def of_pmx(path: pathlib.Path) -> Character:
    """The rig and morphs of a PMX, whether it is a humanoid or not."""
    model = pmx.read(path)
    rig = mmd_rig.fields(model, [])
    return character(model_name=model.name, morphs=mmd_morphs.of(model), **rig)


def asset(name: str) -> pathlib.Path:
    """The file of that name among the assets; the test is skipped if there is none."""
    found = next((p for p in asset_files.find(pathlib.Path(name).suffix) if p.name == name), None)
    if found is None:
        pytest.skip(f"no {name} below {asset_files.ROOT} (set ANIME_PT_ASSETS)")
    return found


def about(axis, degrees: float) -> np.ndarray:
    """(4,) quaternion of a turn about an axis."""
    half = np.radians(degrees) / 2
    return np.array([*(np.array(axis, float) / np.linalg.norm(axis) * np.sin(half)), np.cos(half)])
