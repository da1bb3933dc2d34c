"""What moves by itself: skirts make room for the legs, hair and capes hang around the trunk.

Each is a row of bone chains, solved afresh for every pose (there is no time, hence no inertia), against
tapered capsules for legs, arms, trunk and head. How far a chain stays away was measured at rest, so the
rest pose is a fixed point.
"""

import dataclasses

import numpy as np

from anime_pt.avatars.character import Character
from anime_pt.avatars.procedural import solvers
from anime_pt.avatars.procedural.body import Body
from anime_pt.avatars.procedural.chains import Chains


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """Solver data of one `Chains`, in metres.

    Attributes:
      skirt: swings outwards in radial planes; otherwise hangs.
      parent: bone index; `bones` (n, m) are the chains'.
      joints: (n, m + 1, 3) at rest. `outward`: (n, 3) horizontal unit vectors.
      rooms: (n, m + 1, c) distance to keep from each capsule.
      halves: (n, m, c) the same in the middle of each segment.
      slack: (n, m) how far segments reach into that room at rest, at most 0.
    """

    skirt: bool
    stiffness: float
    parent: int
    bones: np.ndarray
    joints: np.ndarray
    outward: np.ndarray
    rooms: np.ndarray
    halves: np.ndarray
    slack: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Motion:
    """The `secondary` hook of a character: (character, globals (b, 4, 4)) -> globals.

    Attributes:
      rows: what to solve.
      capsule_bones: (c, 2) bones that carry the ends; `capsule_ends` (c, 2, 3) their rest positions;
        `capsule_radii` (c, 2), all in metres.
    """

    rows: tuple[Row, ...]
    capsule_bones: np.ndarray
    capsule_ends: np.ndarray
    capsule_radii: np.ndarray

    def capsules(self, character: Character, globals_: np.ndarray) -> np.ndarray:
        """(c, 2, 3) posed ends."""
        bones = self.capsule_bones
        local = self.capsule_ends - character.rest[bones][..., :3, 3]
        return np.einsum("ceij,cej->cei", globals_[bones][..., :3, :3], local) + globals_[bones][..., :3, 3]

    def __call__(self, character: Character, globals_: np.ndarray) -> np.ndarray:
        globals_ = np.array(globals_, np.float64)
        ends = self.capsules(character, globals_)
        for row in self.rows:
            where = (globals_, character.rest[row.parent, :3, 3], row.parent, row.bones, row.joints)
            body = (row.stiffness, ends, self.capsule_radii)
            if row.skirt:
                solvers.swing_skirt(*where, row.outward, row.rooms, row.slack, *body)
            else:
                solvers.hang(*where, row.rooms, row.halves, *body)
        return globals_


def make(body: Body, chains: list[Chains], index: dict[str, int]) -> Motion | None:
    """The solver for a body's chains, or None without any."""
    if not chains:
        return None
    scale = body.d.height
    bones, ends, radii = _capsules(body)
    ends, radii = ends * scale, radii * scale
    rows = []
    for c in chains:
        joints = np.ascontiguousarray(c.joints * scale, np.float64)
        outward = (joints[:, 0] - joints[:, 0].mean(0)) * [1, 0, 1]
        outward /= np.maximum(np.linalg.norm(outward, axis=-1, keepdims=True), 1e-6)
        room = lambda p, most=c.radius * scale: np.minimum(
            solvers.gaps(p.reshape(-1, 3), ends, radii).reshape(*p.shape[:2], -1) - 1e-4, most
        )
        rooms, halves = room(joints), room((joints[:, 1:] + joints[:, :-1]) / 2)
        slack = solvers.rest_slack(joints, outward, rooms, ends, radii)
        n, m = joints.shape[0], joints.shape[1] - 1
        ids = np.array([[index[c.bone(i, j)] for j in range(m)] for i in range(n)], np.int64)
        skirt = c.kind == "skirt"
        rows.append(Row(skirt, c.stiffness, index[c.parent], ids, joints, outward, rooms, halves, slack))
    ids = np.array([[index[a], index[b]] for a, b in bones], np.int64)
    return Motion(tuple(rows), ids, ends, radii)


def _capsules(body: Body):
    """Bone pairs, ends (c, 2, 3) and radii (c, 2) in body units."""
    leg, arm = body.leg, body.arm
    radius = lambda tube, t: float(tube.frame(np.array([t]))[1][0])
    hip, knee, ankle = -body.hip_y, -body.knee_y, -body.ankle_y
    width = {"pants": 0.010, "shorts": 0.010}.get(body.d.bottom, 0.003)
    legs, out = [], []
    for side, sign in (("left", 1.0), ("right", -1.0)):
        m = np.array([sign, 1, 1])
        thigh = radius(leg, hip + 0.15 * (knee - hip)) + width, radius(leg, knee) + width + 0.011
        calf = radius(leg, knee + 0.15 * (ankle - knee)) + width + 0.008
        shin = calf, radius(leg, ankle - 0.01) + width + 0.006
        upper = radius(arm, 0.01) + 0.008, radius(arm, body.upper_arm) + 0.008
        legs.append((side + "UpperLeg", side + "LowerLeg", body.hip * m, body.knee * m, *thigh))
        legs.append((side + "LowerLeg", side + "Foot", body.knee * m, body.ankle * m, *shin))
        out.append((side + "UpperArm", side + "LowerArm", body.shoulder * m, body.elbow * m, *upper))
    # trunk: two capsules side by side, since it is wider than deep
    depth = lambda f: float(body.torso.frame(-np.atleast_1d(body.level(f)))[3][0])
    half = lambda f: float(body.torso.frame(-np.atleast_1d(body.level(f)))[1][0])
    for sign in (1.0, -1.0):
        for (low, high), (a, b) in (((0.1, 0.45), ("hips", "spine")), ((0.5, 0.9), ("spine", "chest"))):
            at = lambda f, s=sign: np.array([s * max(half(f) - depth(f), 0.0), body.level(f), 0.0])
            out.append((a, b, at(low), at(high), depth(low) + 0.004, depth(high) + 0.006))
    h = body.head_height
    center = np.array([0, body.chin + 0.52 * h, -0.02 * h])
    above = center + np.array([0, 0.05 * h, 0])
    out.append(("head", "head", center, above, 0.41 * h, 0.41 * h))
    out = legs + out
    bones = [(a, b) for a, b, *_ in out]
    return bones, np.array([[p, q] for _, _, p, q, *_ in out]), np.array([[r, s] for *_, r, s in out])
