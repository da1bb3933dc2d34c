"""A motion of any humanoid skeleton, by roles: what motion files of every kind become before retargeting."""

import dataclasses
from collections.abc import Collection, Mapping

import numpy as np

from anime_pt.avatars import quaternions
from anime_pt.avatars.character import Character
from anime_pt.avatars.performance import Performance

_FINGERS = {
    "Thumb": ("Metacarpal", "Proximal", "Distal"),
    **dict.fromkeys(("Index", "Middle", "Ring", "Little"), ("Proximal", "Intermediate", "Distal")),
}


def _parents() -> dict[str, str]:
    out = {"spine": "hips", "chest": "spine", "upperChest": "chest", "neck": "upperChest", "head": "neck"}
    for side in ("left", "right"):
        out[side + "Eye"] = "head"
        for top, limb in (
            ("upperChest", ("Shoulder", "UpperArm", "LowerArm", "Hand")),
            ("hips", ("UpperLeg", "LowerLeg", "Foot", "Toes")),
        ):
            for part in limb:
                out[side + part], top = top, side + part
        for finger, bones in _FINGERS.items():
            above = side + "Hand"
            for bone in bones:
                out[side + finger + bone], above = above, side + finger + bone
    return out


# Role -> the role that it hangs on where a skeleton has all of them; parents first.
PARENTS: Mapping[str, str] = _parents()


def hierarchy(roles: Collection[str]) -> dict[str, str]:
    """Role -> the nearest role above it among `roles`, parents first, for all of them but the top ones."""
    out = {}
    for role in PARENTS:
        above = PARENTS[role]
        while above not in roles and above in PARENTS:
            above = PARENTS[above]
        if role in roles and above in roles:
            out[role] = above
    return out


@dataclasses.dataclass(frozen=True)
class Recording:
    """A humanoid in motion, sampled at a constant rate; a `motions.Motion`.

    Space is that of `character`: right-handed, metres, Y up; at rest the figure faces +Z, its own left is +X
    and its soles stand at Y = 0. The rest pose may be any (T, A, or what a BVH file happens to have).

    Attributes:
      name: for people.
      fps: frames per second.
      rest: role -> (3,) position of its joint at rest. Roles are those of `character.REQUIRED_ROLES` and
        `OPTIONAL_ROLES`, and VRM's names of fingers; what a source lacks is left out.
      rotations: role -> (t, 4) unit quaternions x, y, z, w: how far the bone has turned since rest, globally,
        about the axes of the space.
      hips: (t, 3) position of the joint of the hips.
      morphs: name -> (t,) weights.
    """

    name: str
    fps: float
    rest: Mapping[str, np.ndarray]
    rotations: Mapping[str, np.ndarray]
    hips: np.ndarray
    morphs: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def frames(self) -> int:
        """How many samples there are."""
        return len(self.hips)

    def positions(self) -> dict[str, np.ndarray]:
        """Role -> (t, 3) where its joint is, by forward kinematics."""
        out = {"hips": np.asarray(self.hips, np.float64)}
        for role, above in hierarchy(self.rest).items():
            offset = np.asarray(self.rest[role]) - self.rest[above]
            out[role] = out[above] + quaternions.rotate(self.rotations[above], offset)
        return out

    def on(self, character: Character) -> Performance:
        """The motion as that character makes it, see `retarget.perform`."""
        from anime_pt.avatars import retarget  # It reads recordings, so it cannot be imported above.

        return retarget.perform(self, character)


def record(
    name: str,
    fps: float,
    character: Character,
    globals_: np.ndarray,
    morphs: Mapping[str, np.ndarray] | None = None,
) -> Recording:
    """What a character did, as a recording for others.

    Args:
      name: for people.
      fps: frames per second.
      character: who stands on Y = 0 at rest.
      globals_: (t, b, 4, 4) of its bones, from `rig.pose`.
      morphs: name -> (t,) weights.
    """
    turned = globals_[:, :, :3, :3] @ character.rest[:, :3, :3].swapaxes(1, 2)
    roles = {role: bone for role, bone in character.humanoid.items() if role in PARENTS or role == "hips"}
    return Recording(
        name,
        fps,
        {role: character.rest[bone, :3, 3] for role, bone in roles.items()},
        {role: quaternions.from_matrix(turned[:, bone]) for role, bone in roles.items()},
        globals_[:, roles["hips"], :3, 3],
        morphs or {},
    )
