"""Which bones of an MMD model play which humanoid role.

MMD models share bone names by custom. 左腕 is the shoulder joint, while 左肩 is the clavicle; 下半身 and
上半身 both start at the waist. Names differ in width (上半身2, 上半身２), so they are compared in NFKC.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from anime_pt.avatars.names import plain

_SIDES = {"left": ("左", "l"), "right": ("右", "r")}
# Role -> Japanese and English names, best first; {0} is the side in either language.
_CENTRAL = {
    "hips": ("下半身", "腰", "lower body", "lowerbody", "waist", "センター"),
    "spine": ("上半身", "upper body", "upperbody"),
    "chest": ("上半身2", "upper body 2", "upper body2", "upperbody2"),
    "upperChest": ("上半身3", "upper body 3", "upper body3", "upperbody3"),
    "neck": ("首", "neck"),
    "head": ("頭", "head"),
}
_PAIRED = {
    "UpperArm": ("{}腕", "arm_{}", "{} arm"),
    "LowerArm": ("{}ひじ", "{}肘", "elbow_{}", "{} elbow"),
    "Hand": ("{}手首", "{}手", "wrist_{}", "{} wrist"),
    "UpperLeg": ("{}足", "{}もも", "leg_{}", "{} leg"),
    "LowerLeg": ("{}ひざ", "{}膝", "knee_{}", "{} knee"),
    "Foot": ("{}足首", "ankle_{}", "{} ankle"),
    "Shoulder": ("{}肩", "shoulder_{}", "{} shoulder"),
    "Toes": ("{}つま先", "{}足先EX", "{}つま先EX", "{}足先", "{}つま先IK", "toe_{}"),
    "Eye": ("{}目", "eye_{}", "{} eye"),
    # Older models have no joint in the palm, and count the others alike.
    **{
        f"Thumb{part}": (f"{{}}親指{i}", f"thumb{i}_{{}}")
        for i, part in enumerate(("Metacarpal", "Proximal", "Distal"))
    },
    **{
        finger + part: (*(f"{{}}{name}{i}" for name in names), *(f"{name}{i}_{{}}" for name in english))
        for finger, names, english in (
            ("Index", ("人指", "人差指", "人差し指"), ("fore", "index")),
            ("Middle", ("中指",), ("middle",)),
            ("Ring", ("薬指",), ("third", "ring")),
            ("Little", ("小指",), ("little", "pinky")),
        )
        for i, part in enumerate(("Proximal", "Intermediate", "Distal"), 1)
    },
}
_TWISTS = {
    "LowerArm": ("{}腕捩", "{}腕捻", "{}腕ねじり", "arm twist_{}"),
    "Hand": ("{}手捩", "{}手捻", "{}手ねじり", "wrist twist_{}"),
}


def _lookup(names: Sequence[str], names_en: Sequence[str]) -> dict[str, int]:
    table: dict[str, int] = {}
    for group in (names, names_en):
        for i, name in enumerate(group):
            if plain(name):
                table.setdefault(plain(name), i)
    return table


def _first(table: Mapping[str, int], names: Sequence[str]) -> int | None:
    return next((table[plain(n)] for n in names if plain(n) in table), None)


def roles(names: Sequence[str], names_en: Sequence[str] = ()) -> dict[str, int]:
    """Role -> bone, for the roles that are there."""
    table = _lookup(names, names_en)
    out = {role: _first(table, options) for role, options in _CENTRAL.items()}
    for side, marks in _SIDES.items():
        for part, options in _PAIRED.items():
            spelled = [o.format(m) for o in options for m in (*marks, side)]
            out[side + part] = _first(table, spelled)
    return {role: bone for role, bone in out.items() if bone is not None}


def twists(names: Sequence[str], parents: np.ndarray, humanoid: Mapping[str, int]) -> dict[str, int]:
    """Role of a lower arm or hand -> twist bone that lies on the way to it from the joint before."""
    table = _lookup(names, ())
    before = {"LowerArm": "UpperArm", "Hand": "LowerArm"}
    out = {}
    for side, marks in _SIDES.items():
        for part, options in _TWISTS.items():
            twist = _first(table, [o.format(m) for o in options for m in marks])
            bone, end = humanoid.get(side + part), humanoid.get(side + before[part])
            seen: set[int] = set()
            while bone is not None and bone >= 0 and bone != end and bone not in seen:
                seen.add(bone)
                bone = int(parents[bone])
                if bone == twist and bone != end:
                    out[side + part] = twist
    return out
