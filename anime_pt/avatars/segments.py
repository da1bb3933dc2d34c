"""Which part of the body each bone moves: torso, head, left upper arm and so on."""

import numpy as np

from anime_pt.avatars.character import Character

# Role -> segment of the body whose surface its bone moves.
_ROLES = {
    "hips": "hips",
    **{r: "torso" for r in ("spine", "chest", "upperChest", "leftShoulder", "rightShoulder")},
    "neck": "neck",
    **{r: "head" for r in ("head", "leftEye", "rightEye")},
    **{
        s + p: s + p
        for s in ("left", "right")
        for p in ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")
    },
    **{s + "Toes": s + "Foot" for s in ("left", "right")},
}
NAMES = tuple(dict.fromkeys(_ROLES.values()))


def of_bones(character: Character) -> np.ndarray:
    """(b,) index of the body segment each bone belongs to: that of the nearest bone with a role."""
    roles = {bone: role for role, bone in character.humanoid.items() if role in _ROLES}
    sources = {a.bone: a.source for a in character.appends if a.rotates and a.ratio > 0.5}
    out = np.empty(len(character.parents), np.int32)
    for start in range(len(out)):
        bone, seen = start, set()
        while bone >= 0 and bone not in roles and bone not in seen:
            seen.add(bone)
            bone = sources.get(bone, int(character.parents[bone]))
        out[start] = NAMES.index(_ROLES[roles.get(bone, "hips")])
    return out
