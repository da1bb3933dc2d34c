"""What the physics of an MMD model says about hanging: which bones are loose, and capsules of the body.

A rigid body of mode 0 follows its bone, so it is body; those of modes 1 and 2 move their bones. Shapes:
sphere (radius), box (half sides), capsule (radius, height of its cylinder along the body's Y). Rotations are
radians about Y, then X, then Z of the turned body (PMX 2.0/2.1 format notes). PMD gives positions from the
bone, PMX from the origin.
"""

from typing import NamedTuple

import numpy as np

from anime_pt.avatars import segments
from anime_pt.avatars.capsules import Capsule
from anime_pt.avatars.character import Character
from anime_pt.avatars.formats import pmd, pmx_model
from anime_pt.avatars.formats.mmd_rig import FLIP, UNIT

_SPHERE, _BOX, _CAPSULE = range(3)


class Body(NamedTuple):
    """A rigid body as in the file; `offset` (3,) is from its bone, sizes and offset in MMD's units.

    It meets another if each has the other's `group` among the bits of its `mask`.
    """

    bone: int
    mode: int
    group: int
    mask: int
    shape: int
    size: np.ndarray
    offset: np.ndarray
    rotation: np.ndarray


def bodies(model: pmd.PmdModel | pmx_model.PmxModel) -> list[Body]:
    """The rigid bodies that belong to a bone and whose numbers are finite."""
    out = []
    if isinstance(model, pmd.PmdModel):
        for r in model.rigid_bodies:
            values = (np.array(r[name], float) for name in ("size", "position", "rotation"))
            whole = (int(r[name]) for name in ("bone", "mode", "group", "mask", "shape"))
            out.append(Body(*whole, *values))
    else:
        for r in model.rigid_bodies:
            place = np.array(r.position) - np.array(model.bones[r.bone].position if r.bone >= 0 else 0.0)
            whole = r.bone, r.mode, r.group, r.mask, r.shape
            out.append(Body(*whole, np.array(r.size), place, np.array(r.rotation)))
    numbers = lambda b: np.concatenate([b.size, b.offset, b.rotation])
    return [b for b in out if 0 <= b.bone < len(model.bones) and np.isfinite(numbers(b)).all()]


def loose(bodies: list[Body]) -> list[int]:
    """Bones that physics moves."""
    return sorted({b.bone for b in bodies if b.mode != 0})


def capsules(bodies: list[Body], character: Character) -> list[Capsule]:
    """Capsules of the bodies that follow their bones.

    Those of arms let through what the file says: a hem passes hands, a cape does not. Those of head, trunk
    and legs stop everything, because many files switch these collisions off only to calm the simulation.

    Args:
      bodies: of the model.
      character: that was made of it.
    """
    where = np.array(segments.NAMES)[segments.of_bones(character)]
    moved = [b for b in bodies if b.mode != 0]
    out = []
    for body in bodies:
        if body.mode == 0:
            arm = "Arm" in where[body.bone] or "Hand" in where[body.bone]
            passes = frozenset(b.bone for b in moved if arm and not _meet(b, body))
            out.append(_capsule(body, character.rest[body.bone, :3, 3], passes))
    return out


def _meet(a: Body, b: Body) -> bool:
    return bool(a.mask >> b.group & 1 and b.mask >> a.group & 1)


def _capsule(body: Body, pivot: np.ndarray, passes: frozenset[int]) -> Capsule:
    axis, half, radius = np.array([0.0, 1.0, 0.0]), 0.0, abs(float(body.size[0]))
    if body.shape == _CAPSULE:
        half = abs(float(body.size[1])) / 2
    elif body.shape == _BOX:
        # A rod along the longest side, as thick as the others are on the average.
        sides = np.abs(body.size)
        longest = int(sides.argmax())
        radius = float((sides.sum() - sides[longest]) / 2)
        half, axis = max(0.0, float(sides[longest]) - radius), np.eye(3)[longest]
    axis = _turn(body.rotation) @ axis
    ends = body.offset + np.outer([-half, half], axis)
    return Capsule(body.bone, pivot + ends * FLIP * UNIT, (radius * UNIT, radius * UNIT), passes)


def _turn(angles: np.ndarray) -> np.ndarray:
    (sx, sy, sz), (cx, cy, cz) = np.sin(angles), np.cos(angles)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_y @ about_x @ about_z
