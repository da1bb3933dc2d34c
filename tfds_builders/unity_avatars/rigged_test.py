"""Characters of model files in continuous actions, and their terms of use."""

import json
import pathlib

import numpy as np
import pytest

from tests.avatars import asset_files
from tests.avatars.gltf_files import figure
from tfds_builders import build, live, registry, testing
from tfds_builders.unity_avatars import actions, subjects

_FREE = {"avatarPermission": "everyone", "allowRedistribution": True, "authors": ["A"], "licenseUrl": "L"}
# Joint -> (parent, offset in centimetres), children after their parents.
_JOINTS = {
    "Hips": (None, "0 0 0"),
    "Spine": ("Hips", "0 12 0"),
    "Chest": ("Spine", "0 20 0"),
    "Neck": ("Chest", "0 20 0"),
    "Head": ("Neck", "0 8 0"),
}
for _side, _sign in (("Left", ""), ("Right", "-")):
    _JOINTS |= {
        f"{_side}Arm": ("Chest", f"{_sign}15 16 0"),
        f"{_side}ForeArm": (f"{_side}Arm", f"{_sign}25 0 0"),
        f"{_side}Hand": (f"{_side}ForeArm", f"{_sign}22 0 0"),
        f"{_side}UpLeg": ("Hips", f"{_sign}9 -4 0"),
        f"{_side}Leg": (f"{_side}UpLeg", "0 -40 0"),
        f"{_side}Foot": (f"{_side}Leg", "0 -40 0"),
    }


def write_bvh(path: pathlib.Path, frames: int, lift: float) -> None:
    """Ten frames per second; the left arm sinks from level by `lift` degrees over the clip."""
    order = []

    def joint(name: str) -> str:
        order.append(name)
        parent, offset = _JOINTS[name]
        moves = "3" if parent else "6 Xposition Yposition Zposition"
        below = "".join(joint(child) for child, (of, _) in _JOINTS.items() if of == name)
        below = below or "End Site\n{\nOFFSET 0 -5 5\n}\n"
        channels = f"CHANNELS {moves} Zrotation Xrotation Yrotation"
        return f"{'JOINT' if parent else 'ROOT'} {name}\n{{\nOFFSET {offset}\n{channels}\n{below}}}\n"

    text = "HIERARCHY\n" + joint("Hips") + f"MOTION\nFrames: {frames}\nFrame Time: 0.1\n"
    for frame in range(frames):
        row = np.zeros(3 + 3 * len(order))
        row[1] = 90
        row[3 + 3 * order.index("LeftArm")] = -lift * frame / (frames - 1)
        text += " ".join(f"{v:.4f}" for v in row) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_vrm(path: pathlib.Path, meta: dict) -> None:
    glb = figure("1.0")
    glb.json["extensions"]["VRMC_vrm"]["meta"] = meta
    path.parent.mkdir(parents=True, exist_ok=True)
    glb.save(path)


@pytest.fixture
def folder(tmp_path):
    """Three characters, one of them in two costumes; a motion of 1 s and one of 3 s; a file that is none."""
    for name in ("anna/day", "anna/night", "berta/day", "clara/day"):
        write_vrm(tmp_path / "mine" / f"{name}.vrm", _FREE)
    write_bvh(tmp_path / "mine" / "motions" / "a_short.bvh", 10, 60.0)
    write_bvh(tmp_path / "mine" / "motions" / "long.bvh", 30, 60.0)
    (tmp_path / "mine" / "motions" / "none.bvh").write_text("HIERARCHY\n")
    (tmp_path / "mine" / "readme.txt").write_text("Thanks.")
    return tmp_path / "mine"


def test_poses_are_cut_at_equal_strides_from_all_motions(folder, tmp_path, capsys):
    changes = ["poses=8", "supersample=1"]
    with testing.written_here():
        built = build.prepare("unity_avatars/vrm_64", str(tmp_path), str(folder), changes=changes)
    assert "warning: left out: " in capsys.readouterr().err
    counts = {split: info.num_examples for split, info in built.info.splits.items()}
    assert counts == {"train": 16, "validation": 8, "test": 8}
    train = list(built.as_data_source("train"))
    for costume in (b"day.vrm", b"night.vrm"):
        taken = [e for e in train if e["costume"] == costume]
        short, long = taken[:2], taken[2:]
        assert {e["motion"] for e in short} == {b"motions/a_short.bvh"}
        assert {e["motion"] for e in long} == {b"motions/long.bvh"}
        seconds = [e["pose"]["seconds"] for e in taken]
        np.testing.assert_allclose(seconds, [0.25, 0.75, *np.arange(0.25, 3, 0.5)], rtol=1e-5)
        assert all(np.isnan(e["pose"]["parameters"]).all() for e in taken)
        assert all((e["mask"] > 127).mean() > 0.02 for e in taken)
    document = json.loads((pathlib.Path(built.data_dir) / "data_card.json").read_text())
    sources = {s["name"]: s for s in document["sources"]}
    assert sources["anna/day.vrm"]["terms"]["author"] == "A"
    assert "motions/long.bvh" in sources and "readme.txt" in sources["berta/day.vrm"]["documents"]


def test_the_arm_does_what_the_motion_says(folder):
    builder = registry.make("unity_avatars/vrm_64", changes=["poses=16", "yaw=0", "pitch=0"])
    examples = builder.examples(folder)["train"]
    left = lambda e: e["keypoints"][6] - e["keypoints"][5]  # Shoulder to elbow; skeletons.AVATAR_20.
    long = [e for e in examples if e["motion"] == b"motions/long.bvh" and e["costume"] == b"day.vrm"]
    assert len(long) == 12
    angles = [np.degrees(np.arctan2(left(e)[1], left(e)[0])) for e in long]
    expected = [min(60 * e["pose"]["seconds"] / 2.9, 60) for e in long]
    np.testing.assert_allclose(angles, expected, atol=1.5)


def test_without_motions_poses_are_random(folder):
    builder = registry.make("unity_avatars/rigged_64", changes=["poses=2", "motions=false"])
    examples = builder.examples(folder)["validation"]
    assert [e["motion"] for e in examples] == [b"", b""]
    assert np.isfinite(examples[0]["pose"]["parameters"]).all()
    assert not np.array_equal(examples[0]["pose"]["parameters"], examples[1]["pose"]["parameters"])


def test_rendered_while_it_is_read(folder, tmp_path):
    manual = tmp_path / "data" / "downloads"
    manual.mkdir(parents=True)
    (manual / "manual").symlink_to(folder)
    changes = ["poses=4", "supersample=1"]
    read = live.Dataset(registry.make("unity_avatars/vrm_64", str(tmp_path / "data"), changes))
    assert len(read.as_data_source("train")) == 8
    examples = registry.make("unity_avatars/vrm_64", changes=changes).examples(folder)["train"]
    np.testing.assert_array_equal(read.as_data_source("train")[5]["image"], examples[5]["image"])


def test_terms_stop_the_builder_unless_the_rights_are_held(folder, tmp_path):
    write_vrm(folder / "dora" / "day.vrm", {**_FREE, "avatarPermission": "onlyAuthor"})
    make = lambda *changes: registry.make("unity_avatars/vrm_64", str(tmp_path), ["poses=1", *changes])
    with pytest.raises(ValueError, match=r"dora/day\.vrm: only its author may use it .*rights_held=true"):
        make().examples(folder)
    files = [f for split in make("rights_held=true").examples(folder).values() for f in split.files()]
    assert {t.forbids for path, t in files if "dora" in path} == {"only its author may use it (onlyAuthor)"}


def test_few_characters_can_be_split_by_costume(folder):
    (folder / "clara" / "day.vrm").unlink()
    write_vrm(folder / "anna" / "dusk.vrm", _FREE)
    with pytest.raises(ValueError, match="split by character needs at least 3 characters, there are 2"):
        registry.make("unity_avatars/vrm_64").examples(folder)
    split = registry.make("unity_avatars/vrm_64", changes=["split=costume"]).examples(folder)
    costumes = sorted(s.costume for of_split in split.values() for s in of_split.subjects)
    assert costumes == ["day.vrm", "day.vrm", "dusk.vrm", "night.vrm"]


def test_moments():
    clips = tuple(actions.Clip(name, name, seconds, (0, 0)) for name, seconds in (("a", 1.0), ("b", 3.0)))
    taken = [actions.moment(clips, i, 4) for i in range(4)]
    assert [(clip.name, seconds) for clip, seconds in taken] == [
        ("a", 0.5),
        ("b", 0.5),
        ("b", 1.5),
        ("b", 2.5),
    ]
    assert actions.moment(clips, 0, 1) == (clips[1], 1.0)


@asset_files.parametrize("path", ".vrm")
def test_real_terms_are_obeyed(path):
    """Whatever a real file says: it is taken, left out with a line, or stopped by its terms."""
    try:
        found, remarks = subjects.rigged_subjects(path.parent, (".vrm",))
    except ValueError as error:
        assert "rights_held=true" in str(error) and "\n" not in str(error)
        found, remarks = subjects.rigged_subjects(path.parent, (".vrm",), rights_held=True)
        assert any(s.terms.forbids for s in found)
    assert found or any(path.name in line for line in remarks)
