"""The skeleton that MMD motions are made for: standard and semi-standard bones, without a mesh.

A motion for MMD is rotations and targets of inverse kinematics of such a skeleton. To hand it to any other
character, it is first played here. Places are rounded typical ones, in an A pose: 20 units tall, which is
1.6 m.
"""

import functools

import numpy as np

from anime_pt.avatars.character import Append, Character, Ik, IkLink
from anime_pt.avatars.formats import mmd_humanoid
from anime_pt.avatars.formats.mmd_rig import FLIP, KNEE_HIGH, KNEE_LOW, UNIT

# Name, parent's, place in MMD's units and space; the left side is mirrored to the right.
_MIDDLE = (
    ("全ての親", None, (0, 0, 0)),
    ("センター", "全ての親", (0, 8, 0)),
    ("グルーブ", "センター", (0, 8.2, 0)),
    ("腰", "グルーブ", (0, 12, 0)),
    ("上半身", "腰", (0, 13, 0)),
    ("上半身2", "上半身", (0, 14.3, 0)),
    ("上半身3", "上半身2", (0, 15.3, 0)),
    ("下半身", "腰", (0, 13, 0)),
    ("首", "上半身3", (0, 16.4, 0.1)),
    ("頭", "首", (0, 17.1, 0)),
    ("両目", "頭", (0, 20, 0)),
)
_LEFT = (
    ("左目", "頭", (0.4, 18, -0.5)),
    ("左肩P", "上半身3", (0.2, 16, 0.1)),
    ("左肩", "左肩P", (0.2, 16, 0.1)),
    ("左肩C", "左肩", (1, 15.8, 0.1)),
    ("左腕", "左肩C", (1, 15.8, 0.1)),
    ("左腕捩", "左腕", (2.3, 14.9, 0.1)),
    ("左ひじ", "左腕捩", (3.6, 14, 0.1)),
    ("左手捩", "左ひじ", (4.5, 13.3, 0.1)),
    ("左手首", "左手捩", (5.3, 12.7, 0)),
    ("左親指0", "左手首", (5.5, 12.4, -0.2)),
    ("左親指1", "左親指0", (5.7, 12.2, -0.45)),
    ("左親指2", "左親指1", (5.9, 11.9, -0.6)),
    *(
        (f"左{finger}{i}", f"左{finger}{i - 1}" if i > 1 else "左手首", (5.9 + 0.3 * i, 12.2 - 0.25 * i, z))
        for finger, z in (("人指", -0.25), ("中指", 0), ("薬指", 0.2), ("小指", 0.4))
        for i in (1, 2, 3)
    ),
    ("腰キャンセル左", "下半身", (0.9, 11, 0)),
    ("左足", "腰キャンセル左", (0.9, 11, 0)),
    ("左ひざ", "左足", (0.9, 6.1, -0.15)),
    ("左足首", "左ひざ", (0.9, 1.2, 0.2)),
    ("左つま先", "左足首", (0.9, 0, -1.2)),
    ("左足D", "腰キャンセル左", (0.9, 11, 0)),
    ("左ひざD", "左足D", (0.9, 6.1, -0.15)),
    ("左足首D", "左ひざD", (0.9, 1.2, 0.2)),
    ("左足先EX", "左足首D", (0.9, 0.4, -0.5)),
    ("左足IK親", "全ての親", (0.9, 0, 0.2)),
    ("左足IK", "左足IK親", (0.9, 1.2, 0.2)),
    ("左つま先IK", "左足IK", (0.9, 0, -1.2)),
)
# Helper, source, ratio; the bones of layer 1 and 2 come after the inverse kinematics of layer 0.
_APPENDS = (
    ("左目", "両目", 1.0),
    ("左肩C", "左肩P", -1.0),
    ("腰キャンセル左", "腰", -1.0),
    ("左足D", "左足", 1.0),
    ("左ひざD", "左ひざ", 1.0),
    ("左足首D", "左足首", 1.0),
)
_LATE = ("左足D", "左ひざD", "左足首D", "左足先EX")
_TWISTS = ("左腕捩", "左手捩")


def _right(name: str) -> str:
    return name.replace("左", "右")


@functools.cache
def build() -> Character:
    """The skeleton as a character of kind "mmd". Shared: leave it unchanged.

    The legs' roles are those of the D bones, which have all that a leg does.
    """
    rows = [*_MIDDLE, *_LEFT]
    rows += [(_right(n), _right(p), (-x, y, z)) for n, p, (x, y, z) in _LEFT]
    index = {name: i for i, (name, _, _) in enumerate(rows)}
    names = list(index)
    rest = np.tile(np.eye(4), (len(rows), 1, 1))
    rest[:, :3, 3] = np.array([place for _, _, place in rows], float) * FLIP * UNIT
    layers = np.zeros(len(rows), np.int32)
    appends, iks, axes = [], [], {}
    for side in (lambda name: name, _right):
        at = lambda name, side=side: index[side(name)]
        appends += [Append(at(bone), at(source), ratio) for bone, source, ratio in _APPENDS]
        knee = IkLink(at("左ひざ"), KNEE_LOW, KNEE_HIGH)
        iks.append(Ik(at("左足IK"), at("左足首"), (knee, IkLink(at("左足"))), 40, 2.0))
        iks.append(Ik(at("左つま先IK"), at("左つま先"), (IkLink(at("左足首")),), 10, 4.0))
        for name in _LATE:
            layers[at(name)] = 1
        for twist, end in zip(_TWISTS, ("左ひじ", "左手首"), strict=True):
            along = rest[at(end), :3, 3] - rest[at(twist), :3, 3]
            axes[at(twist)] = along / np.linalg.norm(along)
    humanoid = mmd_humanoid.roles(names)
    for role, bone in humanoid.items():
        if names[bone] + "D" in index:
            humanoid[role] = index[names[bone] + "D"]
    parents = np.array([-1 if p is None else index[p] for _, p, _ in rows], np.int32)
    return Character.without_mesh(
        "mmd_skeleton",
        bone_names=names,
        parents=parents,
        rest=rest,
        humanoid=humanoid,
        landmarks={},
        appends=appends,
        twists=mmd_humanoid.twists(names, parents, humanoid),
        kind="mmd",
        layers=layers,
        after_physics=np.zeros(len(rows), bool),
        iks=iks,
        fixed_axes=axes,
    )
