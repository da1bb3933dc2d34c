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
    count = len(character.parents)
    # Where each bone's segment is asked for next; the last entry is for nowhere.
    above = np.append(np.where(character.parents >= 0, character.parents, count), count)
    for append in character.appends:
        if append.rotates and append.ratio > 0.5:
            above[append.bone] = append.source
    found = np.full(count + 1, NAMES.index("hips"), np.int32)
    for role, bone in character.humanoid.items():
        if role in _ROLES:
            above[bone], found[bone] = bone, NAMES.index(_ROLES[role])
    # Each time the ways double in length.
    for _ in range(count.bit_length()):
        above = above[above]
    return found[above[:count]]
