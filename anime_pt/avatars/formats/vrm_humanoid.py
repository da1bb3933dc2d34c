"""Which nodes of a VRM or glTF file play which humanoid role."""

import re
from collections.abc import Collection, Mapping, Sequence

from anime_pt.avatars.character import REQUIRED_ROLES
from anime_pt.avatars.formats import mmd_humanoid
from anime_pt.avatars.formats.binary import FormatError
from anime_pt.avatars.formats.gltf import Gltf
from anime_pt.avatars.formats.gltf_nodes import Nodes
from anime_pt.avatars.recording import PARENTS

# VRM 0.x counts the joints of the thumb from another bone than 1.0.
_THUMBS_0X = {
    f"{side}Thumb{old}": f"{side}Thumb{new}"
    for side in ("left", "right")
    for old, new in (("Proximal", "Metacarpal"), ("Intermediate", "Proximal"), ("Distal", "Distal"))
}
# Part of the body -> stems of names, best first, without side, number, prefix and punctuation.
_PAIRED = {
    "Shoulder": ("shoulder", "clavicle", "collar", "collarbone"),
    "UpperArm": ("upperarm", "uparm", "armupper"),
    "LowerArm": ("lowerarm", "forearm", "lowarm", "elbow", "armlower"),
    "Hand": ("hand", "wrist"),
    "UpperLeg": ("upperleg", "upleg", "thigh", "legupper"),
    "LowerLeg": ("lowerleg", "lowleg", "calf", "shin", "knee", "leglower"),
    "Foot": ("foot", "ankle"),
    "Toes": ("toes", "toebase", "toe", "ball"),
    "Eye": ("eye", "faceeye"),
}
# "Arm" and "leg" alone mean whichever of these two has no name of its own.
_SHARED = {"arm": ("UpperArm", "LowerArm"), "leg": ("UpperLeg", "LowerLeg")}
_CHAINS = {"arm": ("UpperArm", "LowerArm", "Hand"), "leg": ("UpperLeg", "LowerLeg", "Foot", "Toes")}
_FINGER_STEMS = {
    "Thumb": "thumb",
    "Index": "index",
    "Middle": "middle",
    "Ring": "ring",
    "Little": "pinky|little",
}
# Words that say nothing of the part of the body.
_NOISE = re.compile(r"^(mixamorig|bip|biped|def|bone|joint|jnt|c|bn|b|j|sk|character|armature|root)$")
_CONTROLS = re.compile(r"^(ik|pole|target|mch|org|ctrl|twist|roll|end|nub|tweak)$")


def of_vrm(file: Gltf, count: int) -> dict[str, int]:
    """Role -> node as a VRM file says, in the names of VRM 1.0; unknown roles are left out.

    Args:
      file: with an extension `VRM` or `VRMC_vrm`.
      count: of nodes.
    """
    new = file.json.extension("VRMC_vrm")
    if new is not None:
        bones = new.object("humanoid").named("humanBones")
        return {role: bone.index("node", count) for role, bone in bones.items() if "node" in bone}
    out = {}
    for bone in file.json.object("extensions").object("VRM").object("humanoid").objects("humanBones"):
        role, node = bone.text("bone"), bone.index("node", count, -1)
        if node >= 0:
            out[_THUMBS_0X.get(role, role)] = node
    return out


def _words(name: str) -> tuple[str, str, int]:
    """Side ("left", "right" or ""), stem and number of a node's name; the stem is "" for control bones."""
    spaced = re.sub(r"([a-z])([A-Z])|([A-Za-z])(?=\d)|(\d)(?=[A-Za-z])", r"\1\3\4 \2", name)
    side, stem, number = "", "", 0
    for word in re.split(r"[^a-z0-9]+", spaced.lower()):
        if word in ("l", "left", "r", "right"):
            side = "left" if word[0] == "l" else "right"
        elif word.isdecimal():
            number = int(word[:6])
        elif _CONTROLS.match(word):
            return "", "", 0
        elif not _NOISE.match(word):
            stem += word
    return side, stem, number


def of_names(nodes: Nodes, joints: Collection[int]) -> dict[str, int]:
    """Role -> node as names suggest: Mixamo, VRoid, Rigify, Unreal, 3ds Max, Unity and numbered chains.

    Limbs are found by name, the spine by what lies between hips and head.

    Args:
      nodes: of the file.
      joints: nodes that move vertices; only these are considered.
    """
    rank = {node: i for i, node in enumerate(nodes.order)}
    ranked = sorted(joints, key=rank.__getitem__)
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for node in ranked:
        side, stem, number = _words(nodes.names[node])
        found.setdefault((side, stem), []).append((number, node))
    numbered = {key: [node for _, node in sorted(value, key=lambda v: v[0])] for key, value in found.items()}

    def first(side: str, stems: Sequence[str]) -> int | None:
        return next((numbered[side, s][0] for s in stems if (side, s) in numbered), None)

    out: dict[str, int | None] = {}
    for side in ("left", "right"):
        for part, stems in _PAIRED.items():
            out[side + part] = first(side, stems)
        for stem, parts in _SHARED.items():
            chain = numbered.get((side, stem), [])
            if len(chain) >= 3:
                for part, node in zip(_CHAINS[stem], chain, strict=False):
                    out[side + part] = node
            elif chain:
                missing = [p for p in parts if out[side + p] is None]
                if len(missing) == 1:
                    out[side + missing[0]] = chain[0]
        for finger, stem in _FINGER_STEMS.items():
            pattern = re.compile(f"(hand|f|finger)?({stem})(finger|proximal|intermediate|distal)?")
            bones = [n for (s, t), v in numbered.items() if s == side and pattern.fullmatch(t) for n in v]
            names = [r for r in PARENTS if r.startswith(side + finger)]
            out.update(zip(names, sorted(bones, key=rank.__getitem__), strict=False))
    out.update(_spine(nodes, numbered, out))
    return {role: node for role, node in out.items() if node is not None}


def _ancestors(nodes: Nodes, node: int) -> list[int]:
    """The node itself, its parent and so on to the root."""
    out = [node]
    while nodes.parents[out[-1]] >= 0:
        out.append(nodes.parents[out[-1]])
    return out


def _spine(
    nodes: Nodes, numbered: Mapping[tuple[str, str], list[int]], limbs: Mapping[str, int | None]
) -> dict[str, int]:
    """Hips, spine, chests, neck and head; empty where there are no two legs to start from."""
    legs = [limbs.get(side + "UpperLeg") for side in ("left", "right")]
    if None in legs:
        return {}
    named = [numbered["", s][0] for s in ("hips", "hip", "pelvis") if ("", s) in numbered]
    paths = [_ancestors(nodes, leg) for leg in legs if leg is not None]
    common = [n for n in paths[0] if n in paths[1]]
    hips = named[0] if named else (common[0] if common else None)
    heads = numbered.get(("", "head")) or (numbered.get(("", "neck")) or numbered.get(("", "spine"), []))[-1:]
    if hips is None or not heads:
        return {}
    path = _ancestors(nodes, heads[0])[1:]
    if hips not in path:
        return {}
    path = path[: path.index(hips)][::-1]
    necks = [n for n in path if n in numbered.get(("", "neck"), [])] or path[-1:]
    torso = path[: path.index(necks[0])] if necks else []
    out = {"hips": hips, "head": heads[0]}
    if necks:
        out["neck"] = necks[0]
    out.update(zip(("spine", "chest"), torso, strict=False))
    if len(torso) > 2:
        out["upperChest"] = torso[-1]
    return out


def find(file: Gltf, nodes: Nodes, joints: Collection[int]) -> dict[str, int]:
    """Role -> node, from the VRM extension if there is one, else from names.

    Raises:
      FormatError: if a role of `REQUIRED_ROLES` is missing; a missing neck is the head's bone.
    """
    if file.json.extension("VRM") is not None or file.json.extension("VRMC_vrm") is not None:
        roles = of_vrm(file, len(nodes.fields))
    else:
        options = of_names(nodes, joints), mmd_humanoid.roles(nodes.names)
        roles = max(options, key=lambda found: sum(role in found for role in REQUIRED_ROLES))
    # VRM 1.0 does not ask for a neck. It comes first, so that the bone counts as the head where one must be.
    if "neck" not in roles and "head" in roles:
        roles = {"neck": roles["head"], **roles}
    missing = [role for role in REQUIRED_ROLES if role not in roles]
    if missing:
        raise FormatError(f"{file.path}: not a humanoid, there are no bones for {', '.join(missing)}")
    return roles
