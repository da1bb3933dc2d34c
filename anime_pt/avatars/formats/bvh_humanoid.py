"""Which joints of a BVH figure play which humanoid role.

Exporters agree on few names: "LeftShoulder" is a collar bone at Mixamo and a shoulder joint at Xsens, and
"LeftFoot" an ankle or a toe. So names only tell the ends of limbs (hands, feet, head), and the hierarchy
tells the rest. Where names say nothing, branches and bone lengths find the ends as well.
"""

import itertools
import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from anime_pt.avatars.formats.binary import FormatError

# Endings of names of the ends of limbs, best first.
_ENDS = {"Hand": ("wrist", "手首", "hand"), "Foot": ("ankle", "足首", "foot")}
_FINGERS = {
    "Thumb": ("thumb", "親指"),
    "Index": ("index", "人指", "人差"),
    "Middle": ("mid", "中指"),
    "Ring": ("ring", "薬指"),
    "Little": ("pinky", "little", "小指"),
}
_PHALANGES = ("Proximal", "Intermediate", "Distal")
_THUMB = ("Metacarpal", "Proximal", "Distal")
# Bones within the palm, and helpers on the way along a limb.
_PALM, _HELPERS = ("inhand", "metacarpal", "palm"), ("roll", "twist", "捩")
_SIDES = ("left", "right")


def _words(name: str) -> list[str]:
    """Lower-case words of a name without its namespace: mixamorig:LeftUpLeg -> left, up, leg."""
    name = unicodedata.normalize("NFKC", name).rpartition(":")[2]
    return [w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+", name)]


def _side_and_part(name: str) -> tuple[str, str]:
    """("left", "hand") of a name; the side is "" where it says none."""
    words = _words(name)
    for side, marks in (("left", ("left", "l")), ("right", ("right", "r"))):
        for mark in marks:
            if mark in words:
                return side, "".join(w for w in words if w != mark)
    joined = "".join(words)
    for side, mark in (("left", "左"), ("right", "右"), ("left", "left"), ("right", "right")):
        if joined.startswith(mark) or joined.endswith(mark):
            return side, joined.replace(mark, "", 1)
    return "", joined


class _Figure:
    """Joints and end sites of a file as one tree, with lengths and places."""

    def __init__(self, names: Sequence[str], parents: np.ndarray, positions: np.ndarray):
        self.names, self.parents, self.positions = names, [int(p) for p in parents], positions
        self.children: list[list[int]] = [[] for _ in names]
        for j, parent in enumerate(self.parents):
            if parent >= 0:
                self.children[parent].append(j)
        self.size = float(np.ptp(positions[0], axis=0).max())
        self.longest: list[list[int]] = [[j] for j in range(len(names))]
        reaches = np.zeros(len(names))
        for j in reversed(range(len(names))):
            steps = [reaches[c] + self.length([j, c]) for c in self.children[j]]
            if steps:
                reaches[j] = max(steps)
                self.longest[j] += self.longest[self.children[j][int(np.argmax(steps))]]

    def length(self, chain: Sequence[int]) -> float:
        """Sum of the bones along a chain of joints."""
        steps = np.diff(self.positions[:, list(chain)], axis=1)
        return float(np.linalg.norm(steps, axis=2).mean(0).sum())

    def path(self, joint: int) -> list[int]:
        """From the root to the joint."""
        out = []
        while joint >= 0:
            out.append(joint)
            joint = self.parents[joint]
        return out[::-1]

    def below(self, joint: int) -> list[int]:
        """All joints under it, sorted."""
        out, todo = [], list(self.children[joint])
        while todo:
            out.append(todo.pop())
            todo += self.children[out[-1]]
        return sorted(out)

    def fork(self, a: int, b: int) -> int:
        """The lowest joint above (or at) both; -1 if they hang on different roots."""
        both = [x for x, y in zip(self.path(a), self.path(b), strict=False) if x == y]
        return both[-1] if both else -1

    def between(self, above: int, joint: int) -> list[int]:
        """From below `above` to and with `joint`."""
        path = self.path(joint)
        return path[path.index(above) + 1 :] if above in path else path

    def limb(self, chain: list[int], whole: bool) -> tuple[int, int, int, int] | None:
        """(joint before or -1, upper, lower, end) of a chain of joints.

        The end is the chain's last joint if it is `whole`, else the one after its two long bones.
        """
        chain = [j for j in chain if not any(w in "".join(_words(self.names[j])) for w in _HELPERS)]
        # Of joints at one place the last one counts.
        kept = [a for a, b in itertools.pairwise(chain) if self.length([a, b]) > 0.01 * self.size] + chain[
            -1:
        ]
        if len(kept) < 3:
            return None
        bones = [self.length(pair) for pair in itertools.pairwise(kept)]
        pairs = [min(pair) for pair in itertools.pairwise(bones)]
        # A collar bone may be as long as a lower arm, so of pairs that are about as long the last one counts.
        i = len(pairs) - 1 if whole else max(n for n, p in enumerate(pairs) if p > 0.75 * max(pairs))
        before = chain[: chain.index(kept[i])]
        return (before[-1] if before else -1), kept[i], kept[i + 1], kept[i + 2]


def _named_ends(figure: _Figure) -> dict[str, int]:
    """Hands, feet and head by name; of several joints that fit, the one nearest to the root."""
    out: dict[str, int] = {}
    parsed = [_side_and_part(n) for n in figure.names]
    for role, endings in _ENDS.items():
        for ending, j in itertools.product(endings, range(len(parsed))):
            side, part = parsed[j]
            if not part.endswith(ending):
                continue
            # A lone letter before the part, as in "lhand".
            side = side or {"l": "left", "r": "right"}.get(part.removesuffix(ending)[-1:], "")
            if side:
                out.setdefault(side + role, j)
    for j, (side, part) in enumerate(parsed):
        if not side and part.endswith(("head", "頭")):
            out.setdefault("head", j)
    return out


def _shaped_ends(figure: _Figure) -> dict[str, int]:
    """Hands, feet and head by branches and lengths, left and right by the way the toes point."""

    def branches(joint: int, joints: int) -> list[list[int]]:
        return [figure.longest[c] for c in figure.children[joint] if len(figure.longest[c]) >= joints]

    def pair(chains: list[list[int]]) -> list[list[int]]:
        return min(
            itertools.combinations(chains, 2),
            key=lambda ab: abs(np.log(max(figure.length(ab[0]), 1e-9) / max(figure.length(ab[1]), 1e-9))),
        )

    def forked(joint: int) -> bool:
        return len(branches(joint, 3)) >= 2 and len(branches(joint, 1)) >= 3

    for hips in filter(forked, range(len(figure.names))):
        for trunk in figure.children[hips]:
            legs = [c for c in branches(hips, 3) if c[0] != trunk]
            below = [j for j in (trunk, *figure.below(trunk)) if forked(j)]
            if len(legs) < 2 or not below:
                continue
            chest = below[0]
            legs, arms = pair(legs), pair(branches(chest, 3))
            heads = [c for c in branches(chest, 1) if c not in arms]
            feet, hands = [figure.limb(c, False) for c in legs], [figure.limb(c, False) for c in arms]
            if not heads or None in feet or None in hands:
                continue
            at = lambda j: figure.positions[:, j]
            up = at(chest) - (at(feet[0][1]) + at(feet[1][1])) / 2
            toes = sum(at(c[-1]) - at(limb[3]) for c, limb in zip(legs, feet, strict=True))
            left = np.cross(up, toes)
            out = {"head": max(heads, key=figure.length)[-1]}
            for role, limbs in (("Foot", feet), ("Hand", hands)):
                apart = ((at(limbs[0][1]) - at(limbs[1][1])) * left).sum()
                for side, limb in zip(_SIDES if apart > 0 else _SIDES[::-1], limbs, strict=True):
                    out[side + role] = limb[3]
            return {role: j if figure.names[j] else figure.parents[j] for role, j in out.items()}
    return {}


def _unnamed_head(figure: _Figure, chest: int, ends: dict[str, int]) -> int | None:
    """The last joint before it forks of the longest branch that rises from the chest and is no arm."""
    at = lambda j: figure.positions[:, j]
    arms = {*figure.path(ends["leftHand"]), *figure.path(ends["rightHand"])}
    up = at(chest) - (at(ends["leftFoot"]) + at(ends["rightFoot"])) / 2
    branches = [figure.longest[c] for c in figure.children[chest] if c not in arms]
    branches = [b for b in branches if ((at(b[-1]) - at(chest)) * up).sum() > 0]
    chain = max(branches, key=lambda b: figure.length([chest, *b]), default=[])
    fork = next((i for i, j in enumerate(chain) if len(figure.children[j]) > 1), len(chain))
    return next((j for j in reversed(chain[: fork + 1]) if figure.names[j]), None)


def roles(names: Sequence[str], parents: np.ndarray, positions: np.ndarray, path: str) -> dict[str, int]:
    """Role -> joint, for the roles that are there.

    Args:
      names: of joints; "" for end sites.
      parents: (j,) -1 for roots; parents come first.
      positions: (t, j, 3) global, of some frames.
      path: for messages.

    Raises:
      FormatError: if it is not a figure with two arms and two legs; names its joints.
    """
    figure = _Figure(names, parents, positions)
    wanted = {side + part for side in _SIDES for part in _ENDS}
    ends = _named_ends(figure)
    if not wanted <= set(ends):
        ends = _shaped_ends(figure)
    limbs = {}
    if wanted <= set(ends):
        hips = figure.fork(ends["leftFoot"], ends["rightFoot"])
        chest = figure.fork(ends["leftHand"], ends["rightHand"])
        for role in sorted(wanted):
            top = hips if role.endswith("Foot") else chest
            limbs[role] = figure.limb(figure.between(top, ends[role]), True)
    if not limbs or None in limbs.values() or min(hips, chest) < 0:
        named = [n for n in names if n]
        listed = ", ".join(named[:40]) + (", ..." if len(named) > 40 else "")
        raise FormatError(f"{path}: no figure with two arms and two legs among the joints {listed}")
    out = {"hips": hips}
    torso = figure.between(figure.fork(hips, chest), chest)
    if torso:
        # Whatever their number, the first, the middle and the last.
        places = {1: ("spine",), 2: ("spine", "chest")}.get(len(torso), ("spine", "chest", "upperChest"))
        steps = np.linspace(0, len(torso) - 1, len(places)).round().astype(int)
        out |= {role: torso[i] for role, i in zip(places, steps, strict=True)}
    if "head" not in ends and (top := _unnamed_head(figure, chest, ends)) is not None:
        ends["head"] = top
    if "head" in ends:
        above = figure.between(figure.fork(chest, ends["head"]), ends["head"])
        out["head"] = above[-1]
        necks = [j for j in above[:-1] if figure.length([chest, j]) > 0.01 * figure.size]
        if necks:
            out["neck"] = necks[0]
    for side in _SIDES:
        _, out[side + "UpperLeg"], out[side + "LowerLeg"], foot = limbs[side + "Foot"]
        before, out[side + "UpperArm"], out[side + "LowerArm"], hand = limbs[side + "Hand"]
        out |= {side + "Foot": foot, side + "Hand": hand}
        if before >= 0:
            out[side + "Shoulder"] = before
        toes = [
            j for j in figure.children[foot] if names[j] and figure.length([foot, j]) > 0.01 * figure.size
        ]
        if toes:
            named = [j for j in toes if any(w in ("toe", "toes", "ball") for w in _words(names[j]))]
            out[side + "Toes"] = max(named or toes, key=lambda j: figure.length([foot, j]))
        out |= _fingers(figure, side, hand)
    for j, name in enumerate(names):
        side, part = _side_and_part(name)
        if side and part.endswith(("eye", "目")):
            out.setdefault(side + "Eye", j)
    return out


def _fingers(figure: _Figure, side: str, hand: int) -> dict[str, int]:
    plain = {j: "".join(_words(figure.names[j])) for j in figure.below(hand) if figure.names[j]}
    plain = {j: name for j, name in plain.items() if not any(p in name for p in _PALM)}
    out = {}
    for finger, marks in _FINGERS.items():
        bones = [j for j, name in plain.items() if any(m in name for m in marks)]
        phalanges = _THUMB if finger == "Thumb" else _PHALANGES
        out |= {f"{side}{finger}{p}": j for p, j in zip(phalanges, bones, strict=False)}
    return out
