"""Hair, skirts, ties and capes that do not pass through the body, without physics.

Which bones hang is the file's word (MMD's rigid bodies, VRM's spring bones). Falling along gravity is
`Character.hang`; this is what comes after it: each hanging bone takes the small turns that bring its part
of the mesh out of the capsules of legs, trunk, head and arms, from the root of a strand to its tip, and
neighbours whose meshes are sewn together follow, so that a skirt does not open.

There is no time, hence no inertia: a pose always gives the same result, whatever was drawn before. To know
on which side of a leg a skirt belongs, the body is taken from rest to the pose in steps. The distances that
parts keep were measured at rest, so the rest pose is a fixed point.
"""

import dataclasses
from collections.abc import Collection, Sequence

import numpy as np

from anime_pt.avatars import drape_kernels, rig, segments
from anime_pt.avatars.capsules import Capsule, measured
from anime_pt.avatars.character import Character

_SAMPLES = 12  # vertices that stand for the mesh of a bone
_MOST_PAIRS = 4_000_000  # samples times capsules; models have less than a tenth
_SHARE = 0.3  # least weight of a vertex on a bone whose sample it may be
_REACH = 1.25  # by which blending may carry samples away from the middle of their ball
_ROOM = 0.008  # metres kept free on a figure of 1.6 m
_BELOW = (
    "hips",
    *(s + p for s in ("left", "right") for p in ("UpperLeg", "LowerLeg", "Foot")),
)  # carry skirts
# Turn of a bone against its parent, beyond what the pose gave it: of the first of a skirt's, of others.
# Hair that turns farther sticks out, and capes turn inside out.
_SKIRT_LIMIT, _LIMIT = np.radians(130.0), np.radians(60.0)
_SLACK = 1.15  # by which the mesh between two neighbours may stretch


@dataclasses.dataclass(frozen=True, eq=False)
class Drape:
    """The `secondary` hook of a character: (character, globals (b, 4, 4)) -> globals.

    Attributes:
      bones: (n,) the character's bones that `strands` is about.
      strands: what hangs and what it hangs around.
    """

    bones: np.ndarray
    strands: drape_kernels.Strands

    def __call__(self, character: Character, globals_: np.ndarray) -> np.ndarray:
        """Globals (b, 4, 4) with hanging bones turned out of the body; all others are as they were."""
        pivots = self.strands.pivots
        changes = globals_[self.bones] @ rig.inverse_rest(character)[self.bones]
        frames = np.ascontiguousarray(changes[:, :3, :3])
        origins = np.einsum("nij,nj->ni", frames, pivots) + changes[:, :3, 3]
        moved = drape_kernels.settle(self.strands, frames, origins)
        if not moved.any():
            return globals_
        changes[:, :3, :3] = frames
        changes[:, :3, 3] = origins - np.einsum("nij,nj->ni", frames, pivots)
        out = np.array(globals_, np.float64)
        ids = self.bones[moved]
        out[ids] = changes[moved] @ character.rest[ids]
        return out


def of(character: Character, hanging: Collection[int], capsules: Sequence[Capsule] = ()) -> Drape | None:
    """The drape of a character, or None if nothing hangs.

    Args:
      character: at rest; must be complete, as its mesh is measured.
      hanging: bones that physics would move. Bones below them go along.
      capsules: of the body, from the file; legs, and trunk and head without any, are measured on the mesh.
    """
    parents = np.asarray(character.parents)
    owners = _owners(character, hanging)
    loose = owners >= 0
    if not loose.any() or not len(character.positions):
        return None
    fixed = [c for c in capsules if not loose[c.bone]]
    fixed += measured(character, loose, fixed)
    # Those that move the vertices that hang, too: a waistband is half the hips'.
    cloth = character.joints[(loose[character.joints] & (character.weights > 0)).any(1)]
    wanted = np.concatenate([np.flatnonzero(loose), [c.bone for c in fixed], cloth.ravel()])
    bones = _closure(parents, np.unique(wanted).astype(int))
    index = np.full(len(parents), -1)
    index[bones] = np.arange(len(bones))
    above = np.where(parents[bones] >= 0, index[parents[bones]], -1)
    anchors = above.copy()
    for k, p in enumerate(above):
        if p >= 0 and loose[bones[p]]:
            anchors[k] = anchors[p]
    where = np.array(segments.NAMES)[segments.of_bones(character)]
    skirts = np.isin(where[bones], _BELOW)
    pivots = np.ascontiguousarray(character.rest[bones, :3, 3], np.float64)
    ends = np.array([c.ends for c in fixed], np.float64).reshape(-1, 2, 3)
    radii = np.array([c.radii for c in fixed], np.float64).reshape(-1, 2)

    moved_by = np.where(loose[character.joints], index[owners[character.joints]], -1)
    moved_by[character.weights < _SHARE] = -1
    runs = [
        _samples(character.positions, own, pivots[k]) for k, own in enumerate(_by_bone(moved_by, len(bones)))
    ]
    chosen = np.concatenate(runs)
    if len(chosen) * len(fixed) > _MOST_PAIRS:
        character.report.append("more hanging bones and rigid bodies than any model needs: they stay stiff")
        return None
    samples = character.positions[chosen].astype(np.float64)
    sizes = [len(r) for r in runs]
    carriers = np.repeat(np.maximum(anchors, 0), sizes)
    outwards = (samples - pivots[carriers]) * [1.0, 0.0, 1.0]
    outwards /= np.maximum(np.linalg.norm(outwards, axis=1, keepdims=True), 1e-6)
    room = _ROOM / 1.6 * float(np.ptp(character.positions[:, 1]))
    middles, reaches = pivots.copy(), np.full(len(bones), -np.inf)
    for k, run in enumerate(runs):
        if len(run):
            own = character.positions[run]
            middles[k] = own.mean(0)
            reaches[k] = _REACH * np.linalg.norm(own - middles[k], axis=1).max() + room
    # Less than at rest by more than rounding, so that rest is rest.
    rooms = np.minimum(drape_kernels.gaps(samples, ends, radii) - 1e-6, room)
    owned_by = bones[np.repeat(np.arange(len(bones)), sizes)]
    for c, capsule in enumerate(fixed):
        passing = np.isin(owned_by, list(capsule.passes))
        # Hands and sleeves brush past skirts; from outside they would push them into the legs.
        if "Arm" in where[capsule.bone] or "Hand" in where[capsule.bone]:
            passing |= skirts[carriers]
        rooms[passing, c] = -np.inf
    roots = loose[bones] & (anchors == above)
    strands = drape_kernels.Strands(
        parents=above,
        anchors=anchors,
        pivots=pivots,
        loose=loose[bones],
        limits=np.where(roots & skirts[anchors], _SKIRT_LIMIT, _LIMIT),
        starts=np.cumsum([0, *map(len, runs)]),
        samples=samples,
        nodes=index[character.joints[chosen]],
        weights=character.weights[chosen].astype(np.float64),
        outwards=outwards,
        rooms=rooms,
        middles=middles,
        reaches=reaches,
        capsule_nodes=index[np.array([c.bone for c in fixed], int)],
        capsule_ends=ends,
        capsule_radii=radii,
        **_links(character.positions, character.triangles, _heaviest(character, moved_by), above, pivots),
    )
    return Drape(bones, strands)


def _heaviest(character: Character, values: np.ndarray) -> np.ndarray:
    """(v,) of values (v, 4) those of the joints that move each vertex most."""
    return np.take_along_axis(values, character.weights.argmax(1)[:, None], 1)[:, 0]


def _owners(character: Character, hanging: Collection[int]) -> np.ndarray:
    """(b,) the bone itself if it hangs, else the nearest one above that does, else -1.

    A bone that carries part of the humanoid skeleton does not hang, whatever the file says.
    """
    parents = np.asarray(character.parents)
    body = np.zeros(len(parents), bool)
    body[_closure(parents, np.array(sorted(character.humanoid.values())))] = True
    hangs = np.zeros(len(parents), bool)
    hangs[[b for b in hanging if 0 <= b < len(parents)]] = True
    hangs &= ~body
    out = np.full(len(parents), -1)
    for bone in _closure(parents, np.arange(len(parents))):
        above = parents[bone]
        out[bone] = bone if hangs[bone] else out[above] if above >= 0 else -1
    return out


def _closure(parents: np.ndarray, bones: np.ndarray) -> np.ndarray:
    """The bones and all their ancestors, parents first; a link that closes a cycle is cut."""
    out: dict[int, None] = {}
    for bone in bones:
        line, above = {}, int(bone)
        while above >= 0 and above not in out and above not in line:
            line[above] = None
            above = int(parents[above])
        out.update(dict.fromkeys(reversed(line)))
    return np.array(list(out), np.int64)


def _by_bone(moved_by: np.ndarray, count: int) -> list[np.ndarray]:
    """For each of `count` bones the vertices that have it in their row of `moved_by` (v, 4)."""
    vertices = np.nonzero(moved_by >= 0)[0]
    pairs = np.unique(np.stack([moved_by[moved_by >= 0], vertices], 1), axis=0)
    return np.split(pairs[:, 1], np.searchsorted(pairs[:, 0], np.arange(1, count)))


def _samples(positions: np.ndarray, vertices: np.ndarray, pivot: np.ndarray) -> np.ndarray:
    """Up to `_SAMPLES` of the vertices, each the farthest from those before.

    The first is the farthest from the pivot. Those near it are left out: the bone cannot move them.
    """
    levers = np.linalg.norm(positions[vertices] - pivot, axis=1)
    vertices = vertices[levers > 0.25 * levers.max(initial=0.0)]
    nearest = np.linalg.norm(positions[vertices] - pivot, axis=1)
    picks: list[int] = []
    while len(picks) < min(_SAMPLES, len(vertices)):
        picks.append(int(nearest.argmax()))
        distances = np.linalg.norm(positions[vertices] - positions[vertices[picks[-1]]], axis=1)
        nearest = distances if len(picks) == 1 else np.minimum(nearest, distances)
    return vertices[picks]


def _links(positions, triangles, moved_by, parents, pivots) -> dict[str, np.ndarray]:
    """The fields `links` to `link_lengths`: for each two neighbours the edge farthest from their pivots.

    Args:
      positions, triangles: of the mesh.
      moved_by: (v,) the strands' bone that moves each vertex, -1 for none.
      parents, pivots: of the strands.
    """
    # Vertices that lie on each other are one, or seams of the texture would cut the cloth.
    _, first, same = np.unique(positions.round(5), axis=0, return_index=True, return_inverse=True)
    corners = first[same.reshape(-1)][triangles]
    edges = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    a, b = moved_by[edges].T
    edges = edges[(a >= 0) & (b >= 0) & (a != b) & (parents[a] != b) & (parents[b] != a)]
    edges = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
    pairs, points = moved_by[edges], positions[edges].astype(np.float64)
    levers = np.linalg.norm(points - pivots[pairs], axis=2).min(1)
    order = np.lexsort((-levers, pairs[:, 1], pairs[:, 0]))
    _, best = np.unique(pairs[order], axis=0, return_index=True)
    chosen = order[best]
    lengths = np.linalg.norm(points[chosen, 0] - points[chosen, 1], axis=1)
    return {
        "links": np.ascontiguousarray(pairs[chosen, 1]),
        "link_starts": np.searchsorted(pairs[chosen, 0], np.arange(len(pivots) + 1)),
        "link_points": points[chosen],
        "link_lengths": _SLACK * lengths,
    }
