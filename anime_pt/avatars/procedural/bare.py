"""The bones of a built-in character without its mesh: what poses and motions need, in no time."""

import numpy as np

from anime_pt.avatars.character import Character
from anime_pt.avatars.procedural.body import Body
from anime_pt.avatars.procedural.description import Description
from anime_pt.avatars.procedural.head import Head

_PARTS = ("Shoulder", "UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")


def build(d: Description) -> Character:
    """The bones and landmarks of `procedural.build_from(d)`, where they are there; it hides nothing."""
    body = Body(d)
    bones = body.bones()
    index = {name: i for i, name in enumerate(bones)}
    rest = np.tile(np.eye(4), (len(bones), 1, 1))
    rest[:, :3, 3] = np.stack([place for _, place in bones.values()]) * d.height
    limbs = [side + part for side in ("left", "right") for part in _PARTS]
    return Character.without_mesh(
        f"bare_{d.seed}",
        bone_names=list(bones),
        parents=np.array([-1 if parent is None else index[parent] for parent, _ in bones.values()], np.int32),
        rest=rest,
        humanoid={role: index[role] for role in ("hips", "spine", "chest", "neck", "head", *limbs)},
        landmarks={name: (index[b], p * d.height) for name, (b, p) in Head(body).landmarks().items()},
    )
