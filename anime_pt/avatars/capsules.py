"""Capsules that stand for the body: what hanging hair and skirts stay out of."""

import dataclasses

import numpy as np

from anime_pt.avatars import segments
from anime_pt.avatars.character import Character

# Segment -> role at whose joint it ends; None: it is a ball. Whether hair lies on arms, or cloth, is for
# the file to say.
_ENDS = {
    **{s + "UpperLeg": s + "LowerLeg" for s in ("left", "right")},
    **{s + "LowerLeg": s + "Foot" for s in ("left", "right")},
    "hips": "spine",
    "torso": "neck",
    "head": None,
}
_SKIN = ("skin", "face", "legwear", "shoes")


@dataclasses.dataclass(frozen=True)
class Capsule:
    """A rounded, tapered rod that rides on a bone; equal ends make a ball.

    Attributes:
      bone: index.
      ends: (2, 3) of its axis, character space at rest, metres.
      radii: (2,) metres, at the ends.
      passes: hanging bones that the file lets through.
    """

    bone: int
    ends: np.ndarray
    radii: tuple[float, float]
    passes: frozenset[int] = frozenset()


def _vertices(character: Character, loose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Segment of each vertex, -1 for what loose bones (bool (b,)) move, and whether it is skin or hose."""
    heaviest = np.take_along_axis(character.joints, character.weights.argmax(1)[:, None], 1)[:, 0]
    where = segments.of_bones(character)[heaviest]
    where[loose[heaviest]] = -1
    bare = np.array([m.part in _SKIN for m in character.materials], bool)
    skin = np.zeros(len(where), bool)
    skin[character.triangles[bare[character.triangle_materials]]] = True
    return where, skin


def _rod(bone: int, points: np.ndarray, start: np.ndarray, end: np.ndarray) -> Capsule | None:
    """The rod around points (n, 3) of a limb from `start` to `end`: fitted at a third and near the end."""
    axis = end - start
    length = np.linalg.norm(axis)
    if length < 1e-4:
        return None
    axis = axis / length
    along = (points - start) @ axis / length
    centers, radii, places = [], [], []
    for low, high in ((0.2, 0.5), (0.75, 1.0)):
        ring = points[(along > low) & (along < high)]
        if len(ring) < 6:
            return None
        place = (low + high) / 2
        middle = start + place * length * axis
        flat = ring - middle - ((ring - middle) @ axis)[:, None] * axis
        shift = (flat.min(0) + flat.max(0)) / 2
        shift -= (shift @ axis) * axis
        centers.append(middle + shift)
        radii.append(float(np.percentile(np.linalg.norm(flat - shift, axis=1), 80)))
        places.append(place)
    at = lambda k, v: v[0] + (k - places[0]) / (places[1] - places[0]) * (v[1] - v[0])
    least = 0.3 * min(radii)
    ends = np.stack([at(k, np.array(centers)) for k in (0.1, 1.0)])
    return Capsule(bone, ends, tuple(max(least, float(at(k, np.array(radii)))) for k in (0.1, 1.0)))


def _ball(bone: int, points: np.ndarray) -> Capsule | None:
    if len(points) < 6:
        return None
    low, high = np.percentile(points, 2, axis=0), np.percentile(points, 98, axis=0)
    radius = float((high - low)[[0, 2]].mean() / 2)
    center = (low + high) / 2
    return Capsule(bone, np.stack([center, center]), (radius, radius))


def measured(character: Character, loose: np.ndarray, known: list[Capsule]) -> list[Capsule]:
    """Capsules measured on the mesh: of the legs, and of trunk and head where `known` has none.

    Legs are measured always, because skirts lie on them and files have them thinner than they are.

    Args:
      character: at rest.
      loose: (b,) bool, bones whose vertices are not body.
      known: capsules that the file has.
    """
    where, skin = _vertices(character, loose)
    of_bones, roles = segments.of_bones(character), character.humanoid
    have = {segments.NAMES[of_bones[c.bone]] for c in known}
    out = []
    for name, end in _ENDS.items():
        bone = roles.get("spine" if name == "torso" else name)
        if bone is None or (name in have and "Leg" not in name):
            continue
        own = where == segments.NAMES.index(name)
        # Skin where there is enough of it: a skirt may be weighted to the legs, hair to the head.
        points = character.positions[own & skin if (own & skin).sum() > 30 else own].astype(np.float64)
        if end is None:
            capsule = _ball(bone, points)
        elif end in roles:
            capsule = _rod(bone, points, character.rest[bone, :3, 3], character.rest[roles[end], :3, 3])
        if capsule is not None:
            out.append(capsule)
    return out
