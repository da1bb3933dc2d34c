import itertools

import numpy as np
import pytest

from anime_pt.avatars import quaternions
from anime_pt.avatars.formats import bvh, bvh_humanoid, bvh_recording
from anime_pt.avatars.formats.binary import FormatError
from tests.avatars import asset_files, bvh_files
from tests.avatars.bvh_files import Dialect

ORDERS = ["".join(o) for o in itertools.permutations("xyz")]
LIMBS = [s + p for s in ("left", "right") for p in ("UpperArm", "LowerArm", "UpperLeg", "LowerLeg")]
SMALL = """HIERARCHY
ROOT a
{
  OFFSET 0 0 0
  CHANNELS 3 Xposition Yrotation Zrotation
  End Site
  {
    OFFSET 0 1 0
  }
}
MOTION
Frames: 2
Frame Time: 0.1
1 90 90
2 0 0
"""


def _write(tmp_path, dialect, frames=120):
    turns, hips = bvh_files.motion(frames)
    path = tmp_path / "clip.bvh"
    bvh_files.write(path, turns, hips, dialect)
    return path, turns, bvh_files.places(turns, hips)


def test_values_and_their_meaning(tmp_path):
    path = tmp_path / "small.bvh"
    path.write_text(SMALL)
    file = bvh.parse(path)
    assert (file.joints, file.parents.tolist(), file.frame_time) == (["a"], [-1], 0.1)
    assert file.channels == [("xposition", "yrotation", "zrotation")]
    np.testing.assert_array_equal(file.ends[0], [0, 1, 0])
    places, turns = file.transforms
    np.testing.assert_allclose(places[:, 0], [[1, 0, 0], [2, 0, 0]])
    # Z first, then Y: up goes to -X, and from there to +Z.
    np.testing.assert_allclose(quaternions.rotate(turns[0, 0], [0, 1, 0]), [0, 0, 1], atol=1e-12)


@pytest.mark.parametrize("order", [*ORDERS, "zxy yxz xyz"])
@pytest.mark.parametrize("moves", ["root", "all", "changes"])
def test_any_order_and_positions_on_every_joint(tmp_path, order, moves):
    path, _, truth = _write(tmp_path, Dialect(order=order, moves=moves, unit=1.0))
    file = bvh.parse(path)
    places, _ = file.transforms
    for role, name in bvh_files.names("mixamo").items():
        np.testing.assert_allclose(places[:, file.joints.index(name)], truth[role], atol=2e-5, err_msg=role)


@pytest.mark.parametrize(
    "dialect",
    [
        Dialect(),
        Dialect(tab="\t", newline="\r\n", style="daz"),
        Dialect(z_up=True, unit=1.0, style="smpl"),
        Dialect(unit=0.0254, rest="A", style="xsens"),
        Dialect(unit=0.001, rest="hang", moves="all", style="biped"),
        Dialect(turned=90.0, style="mmd"),
        Dialect(turned=-130.0, z_up=True, rest="A", style="suffixed"),
        Dialect(style="", rest="A", z_up=True),
    ],
    ids=str,
)
def test_the_figure_moves_as_it_did_whatever_the_dialect(tmp_path, dialect):
    path, turns, truth = _write(tmp_path, dialect)
    recording = bvh_recording.read(path)
    assert (recording.name, recording.frames) == ("clip", 120)
    assert recording.fps == pytest.approx(bvh_files.FPS, rel=1e-4)
    assert set(recording.rotations) == set(turns)
    # The file tells no ground: the reader puts toe joints a little above it.
    lift = recording.rest["hips"][1] - 0.9
    assert abs(lift) < 0.01
    for role, places in recording.positions().items():
        np.testing.assert_allclose(places - lift * np.eye(3)[1], truth[role], atol=1e-3, err_msg=role)
        lifted = recording.rest[role] - lift * np.eye(3)[1]
        if dialect.rest == "T":
            np.testing.assert_allclose(lifted, bvh_files.T_POSE[role], atol=1e-3, err_msg=role)
            assert np.abs((recording.rotations[role] * turns[role]).sum(1)).min() > 1 - 1e-6


@pytest.mark.parametrize("style", ["mixamo", ""])
@pytest.mark.parametrize("z_up", [False, True])
def test_rest_poses_that_show_nobody_are_made_up_from_the_motion(tmp_path, style, z_up):
    path, turns, truth = _write(tmp_path, Dialect(rest="bones", style=style, z_up=z_up), frames=400)
    recording = bvh_recording.read(path)
    for role, places in recording.positions().items():
        lift = recording.rest["hips"][1] - 0.9
        np.testing.assert_allclose(places - lift * np.eye(3)[1], truth[role], atol=0.02, err_msg=role)
    for role in LIMBS:
        angle = 2 * np.degrees(np.arccos(np.abs((recording.rotations[role] * turns[role]).sum(1)).clip(0, 1)))
        assert angle.max() < 10, role
        part = role.removeprefix("left").removeprefix("right")
        child = {"UpperArm": "LowerArm", "LowerArm": "Hand", "UpperLeg": "LowerLeg", "LowerLeg": "Foot"}[part]
        child = role.removesuffix(part) + child
        along = quaternions.unit(recording.rest[child] - recording.rest[role])
        wanted = quaternions.unit(bvh_files.T_POSE[child] - bvh_files.T_POSE[role])
        np.testing.assert_allclose(along, wanted, atol=1e-6)


@pytest.mark.parametrize("style", bvh_files.STYLES)
def test_names_of_every_style(style):
    named, above = bvh_files.names(style), bvh_files.hierarchy(bvh_files.T_POSE)
    order = ["hips", *above]
    parents = np.array([order.index(above[r]) if r in above else -1 for r in order])
    places = np.stack([bvh_files.T_POSE[r] for r in order])[None]
    roles = bvh_humanoid.roles([named[r] for r in order], parents, places, "x.bvh")
    assert {role: order[j] for role, j in roles.items()} == {r: r for r in order}


def test_collars_helpers_and_fingers():
    names, parents, places = [], [], []

    def add(name, parent, place):
        names.append(name)
        parents.append(names.index(parent) if parent else -1)
        places.append(place)

    add("Hips", "", (0, 1, 0))
    add("LowerBack", "Hips", (0, 1, 0))
    add("Head", "LowerBack", (0, 1.6, 0))
    for side, s in (("Left", 1), ("Right", -1)):
        add(f"{side}HipJoint", "Hips", (0, 1, 0))
        add(f"{side}Hip", f"{side}HipJoint", (s * 0.1, 0.9, 0))
        add(f"{side}Knee", f"{side}Hip", (s * 0.1, 0.5, 0))
        add(f"{side}Ankle", f"{side}Knee", (s * 0.1, 0.1, 0))
        add(f"{side}Shoulder", "LowerBack", (s * 0.1, 1.4, 0))
        add(f"{side}Arm", f"{side}Shoulder", (s * 0.4, 1.4, 0))
        add(f"{side}ArmRoll", f"{side}Arm", (s * 0.5, 1.4, 0))
        add(f"{side}ForeArm", f"{side}ArmRoll", (s * 0.65, 1.4, 0))
        add(f"{side}Hand", f"{side}ForeArm", (s * 0.9, 1.4, 0))
        add(f"{side}InHandIndex", f"{side}Hand", (s * 0.92, 1.4, 0))
        for i, above in enumerate((f"{side}InHandIndex", f"{side}HandIndex1", f"{side}HandIndex2")):
            add(f"{side}HandIndex{i + 1}", above, (s * (0.95 + 0.03 * i), 1.4, 0))
        add(f"{side}HandThumb1", f"{side}Hand", (s * 0.93, 1.4, 0.03))
    found = bvh_humanoid.roles(names, np.array(parents), np.array(places, float)[None], "x.bvh")
    found = {role: names[j] for role, j in found.items()}
    for side, other in (("left", "Left"), ("right", "Right")):
        want = {
            "Shoulder": "Shoulder", "UpperArm": "Arm", "LowerArm": "ForeArm", "Hand": "Hand",
            "UpperLeg": "Hip", "LowerLeg": "Knee", "Foot": "Ankle", "IndexProximal": "HandIndex1",
            "IndexIntermediate": "HandIndex2", "IndexDistal": "HandIndex3", "ThumbMetacarpal": "HandThumb1",
        }  # fmt: skip
        assert {k.removeprefix(side): v for k, v in found.items() if k.startswith(side)} == {
            part: other + name for part, name in want.items()
        }
    assert (found["hips"], found["spine"], found["head"]) == ("Hips", "LowerBack", "Head")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("HIERARCHY", "HELLO", "line 1: not a BVH file"),
        ("OFFSET 0 0 0", "OFFSET 0 0", "line 4: OFFSET has 2 numbers instead of 3"),
        ("OFFSET 0 0 0", "OFFSET 0 0 x", "line 4: OFFSET has something that is not a number"),
        ("  OFFSET 0 0 0\n", "", "joint 'a' has no OFFSET"),
        ("CHANNELS 3", "CHANNELS 4", "line 5: CHANNELS: the number and the names do not agree"),
        ("Yrotation", "Wrotation", "line 5: CHANNELS: unknown name 'wrotation'"),
        ("ROOT a", "JOINT a", "line 2: JOINT in a wrong place"),
        ("}\nMOTION", "MOTION", "MOTION before the hierarchy is complete"),
        ("}\nMOTION", "}\n}\nMOTION", "a brace too many"),
        ("  End Site", "  Begin Site", "line 6: unexpected 'Begin'"),
        ("Frames: 2", "Frames: 0", "line 12: 0 frames"),
        ("Frames: 2", "Frames: 999999999", "line 12: 1e+09 frames of 1 joints are too many"),
        ("Frames: 2", "Frames: 3", "line 16: the file ends where frame 3 of 3 should be"),
        ("Frames: 2", "Frames 2", "line 12: expected Frames:"),
        ("Frame Time: 0.1", "Frame Time: 0", "line 13: a frame time of 0 s"),
        ("Frame Time: 0.1", "Frame Time: nan", "line 13: Frame Time has a number that is not finite"),
        ("1 90 90", "1 90", "line 14: frame 1 has 2 numbers instead of 3"),
        ("1 90 90", "1 inf 90", "line 14: frame 1 has a number that is not finite"),
    ],
)
def test_damage_is_one_clear_error(tmp_path, old, new, message):
    path = tmp_path / "bad.bvh"
    path.write_text(SMALL.replace(old, new, 1))
    with pytest.raises(FormatError, match="bad") as error:
        bvh.parse(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_hierarchies_have_bounds(tmp_path):
    path = tmp_path / "deep.bvh"
    path.write_text("HIERARCHY\nROOT a\n{\n" + "JOINT b\n{\nOFFSET 0 0 0\n" * 5000)
    with pytest.raises(FormatError, match="nested deeper than 128"):
        bvh.parse(path)
    path.write_text("HIERARCHY\nROOT a\n{\n" + "JOINT b\n{\nOFFSET 0 0 0\n}\n" * 5000)
    with pytest.raises(FormatError, match="more than 1024 joints"):
        bvh.parse(path)


def test_a_file_without_a_figure_lists_its_joints(tmp_path):
    path = tmp_path / "stick.bvh"
    path.write_text(SMALL)
    with pytest.raises(FormatError, match=r"no figure with two arms and two legs among the joints a$"):
        bvh_recording.read(path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        bvh_recording.read(tmp_path / "none.bvh")


@asset_files.parametrize("path", ".bvh")
def test_real_files_show_people(path):
    recording = bvh_recording.read(path)
    places, unit = recording.positions(), quaternions.unit
    assert 0.65 < recording.rest["hips"][1] < 1.25
    # It starts facing +Z, above the origin.
    across = places["leftUpperLeg"][0] - places["rightUpperLeg"][0]
    assert unit(across)[0] > 0.9
    np.testing.assert_allclose(recording.hips[0, [0, 2]], 0, atol=1e-9)
    # Somewhere it stands, and never deep in the ground.
    lowest = np.min([places[s + "Foot"][:, 1] - recording.rest[s + "Foot"][1] for s in ("left", "right")], 0)
    assert np.abs(lowest).min() < 0.02
    assert lowest.min() > -0.15
    for side in ("left", "right"):
        hip, knee, ankle = (places[side + p] for p in ("UpperLeg", "LowerLeg", "Foot"))
        ahead = quaternions.rotate(recording.rotations["hips"], np.array([0.0, 0.0, 1.0]))
        bend = unit(knee - hip) - unit(ankle - knee)
        bent = np.linalg.norm(bend, axis=1) > 0.3
        # Knees point to the front.
        assert not bent.any() or ((bend * ahead).sum(1)[bent] > 0).mean() > 0.95
    for turns in recording.rotations.values():
        np.testing.assert_allclose(np.linalg.norm(turns, axis=1), 1, atol=1e-9)
