"""Which bones of a rig to turn, and how far against their parents, so that given bones turn as wanted."""

from collections.abc import Collection, Mapping

import numpy as np

from anime_pt.avatars import deform, quaternions
from anime_pt.avatars.character import Character


class Body:
    """Global turns and places of a character's bones over time, from the turns wanted of some.

    Attributes:
      locals: bone -> (t, 4) turns against the parent, of the bones that are wanted to turn.
      places: bone -> (t, 3), before any bone moves.
    """

    def __init__(self, character: Character, wanted: Mapping[int, np.ndarray], bones: Collection[int]):
        """Follows the rig to `bones`, which may be all of `wanted` (bone -> (t, 4) global turns) or some."""
        parents = np.asarray(character.parents, int)
        sources = np.full(len(parents), -1)
        appends = {a.bone: a for a in character.appends if a.rotates}
        for bone, append in appends.items():
            sources[bone] = append.source
        needed: set[int] = set()
        todo = list(bones)
        while todo:
            bone = int(todo.pop())
            if bone >= 0 and bone not in needed:
                needed.add(bone)
                todo += [parents[bone], sources[bone]]
        parts = _twisting(character)
        pivots = character.rest[:, :3, 3]
        still = np.broadcast_to(quaternions.IDENTITY, next(iter(wanted.values())).shape)
        self.locals: dict[int, np.ndarray] = {}
        self.places: dict[int, np.ndarray] = {}
        turns: dict[int, np.ndarray] = {}
        against: dict[int, np.ndarray] = {}  # Turns against the parent, what was appended included.
        for bone in (b for b in map(int, deform.ordered(parents, sources)) if b in needed):
            parent = int(parents[bone])
            above = turns.get(parent, still)
            copied = still
            if bone in appends and (source := int(sources[bone])) in turns:
                turn = turns[source] if appends[bone].local else against[source]
                copied = quaternions.slerp(still, turn, appends[bone].ratio)
            against[bone] = copied
            if bone in wanted:
                own = quaternions.multiply(quaternions.inverse(above), wanted[bone])
                own = quaternions.multiply(own, quaternions.inverse(copied))
                if bone in parts:
                    axis, keeps_twist = parts[bone]
                    twist = quaternions.twist(own, axis)
                    own = twist if keeps_twist else quaternions.multiply(own, quaternions.inverse(twist))
                self.locals[bone] = own
                against[bone] = quaternions.multiply(own, copied)
            turns[bone] = quaternions.multiply(above, against[bone])
            known = parent in self.places
            offset = pivots[bone] - (pivots[parent] if known else 0.0)
            self.places[bone] = (self.places[parent] if known else 0.0) + quaternions.rotate(above, offset)


def _twisting(character: Character) -> dict[int, tuple[np.ndarray, bool]]:
    """Bone -> (3,) unit axis of its limb, and whether it only twists about it (else it never does)."""
    out = {}
    for role, bone in character.twists.items():
        side = "left" if role.startswith("left") else "right"
        before = character.humanoid[side + {"LowerArm": "UpperArm", "Hand": "LowerArm"}[role[len(side) :]]]
        along = character.rest[character.humanoid[role], :3, 3] - character.rest[before, :3, 3]
        axis = quaternions.unit(character.fixed_axes.get(bone, along))
        # Upper arm and helper make the whole turn between them; a lower arm must not swerve.
        out[before] = (axis if role.endswith("LowerArm") else quaternions.unit(along), False)
        out[bone] = (axis, True)
    return out


def turned_by(character: Character) -> dict[str, int]:
    """Role -> the bone to turn: where its bone only copies another, as MMD's D bones of legs, that one."""
    copies = {a.bone: a.source for a in character.appends if a.rotates and a.ratio == 1 and not a.local}
    return {role: copies.get(bone, bone) for role, bone in character.humanoid.items()}


def carriers(character: Character) -> list[int]:
    """The bones that move the whole body: the lowest above hips and spine that no helper copies."""
    sources = {a.source for a in character.appends}
    parents = character.parents

    def path(role: str) -> list[int]:
        out = [int(character.humanoid[role])]
        while parents[out[-1]] >= 0 and int(parents[out[-1]]) not in out:
            out.append(int(parents[out[-1]]))
        return out

    hips, spine = path("hips"), path("spine")
    both = [bone for bone in hips if bone in spine]
    free = [bone for bone in both if bone not in sources]
    return free[:1] or both[-1:] or [hips[-1], spine[-1]]
