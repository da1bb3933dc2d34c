"""What every character with a mesh and a humanoid skeleton gets: parts of surfaces, floor, face, long hair.

Files say little of these, so names of materials and the bones that move a surface decide.
"""

import pathlib
from collections.abc import Collection, Sequence

import numpy as np

from anime_pt.avatars import landmarks, segments
from anime_pt.avatars.character import Character
from anime_pt.avatars.names import plain

# Hair whose joints reach down by this share of the figure hangs.
_LONG_HAIR = 0.15
# Share of its tilt that a strand cancels, by the segment that carries it: skirts keep some of their flare.
_HANG = {"head": 0.75, "torso": 0.6, "hips": 0.35}
_DOWN = 0.5  # cosine to the vertical of cloth that hangs, at rest; what stands off is stiff or soft body
# Morphs that close the eyes, the best first.
_BLINKS = ("まばたき", "瞬き", "blink", "eyeblink", "笑い", "なごみ", "ウィンク")
# Words in the names of materials and textures -> part, in the order of testing.
_PART_WORDS = (
    (
        "face",
        ("face", "顔", "かお", "eye", "目", "瞳", "白目", "眉", "mayu", "mouth", "口", "歯", "舌", "cheek"),
    ),
    ("face", ("brow", "lash", "まつ", "睫", "頬", "照れ", "iris", "涙", "ハイライト")),
    ("hair", ("hair", "髪", "かみ", "kami", "アホ毛", "ツインテ", "もみあげ")),
    ("legwear", ("靴下", "sock", "stocking", "tights", "タイツ", "ニーソ", "ストッキング", "ソックス")),
    ("shoes", ("shoe", "boot", "靴", "くつ", "kutu", "ブーツ", "heel", "sandal")),
    ("bottom", ("skirt", "スカート", "pants", "ズボン", "bottom", "trouser", "パンツ", "short")),
    ("top", ("top", "服", "shirt", "blouse", "jacket", "suit", "vest", "blazer", "coat", "上着", "シャツ")),
    (
        "top",
        ("袖", "sleeve", "dress", "onepiece", "ワンピ", "ネクタイ", "tie", "ribbon", "リボン", "corsage"),
    ),
    (
        "skin",
        ("skin", "肌", "body", "体", "からだ", "hand", "手", "leg", "脚", "足", "arm", "腕", "neck", "首"),
    ),
)


def hanging(character: Character, loose: Collection[int]) -> dict[int, float]:
    """`Character.hang` of the bones that physics would move: long hair, skirts, ties and capes.

    Short hair stays rigid: a fringe that hangs would leave the forehead.
    """
    names, places = np.array(segments.NAMES)[segments.of_bones(character)], character.rest[:, :3, 3]
    tops = _tops(character.parents, {int(b) for b in loose if b < len(names) and names[b] in _HANG})
    strands: dict[int, list[int]] = {}
    for bone, top in tops.items():
        strands.setdefault(top, []).append(bone)
    heaviest = np.take_along_axis(character.joints, character.weights.argmax(1)[:, None], 1)[:, 0]
    carried = np.array([tops.get(b, -1) for b in range(len(names))])[heaviest]
    counts = np.bincount(carried + 1, minlength=len(names) + 1)[1:]
    sums = np.stack([np.bincount(carried + 1, p, len(names) + 1)[1:] for p in character.positions.T], 1)
    height = np.ptp(places[:, 1])
    hang = {}
    for top, strand in strands.items():
        if names[top] == "head":
            falls = places[top, 1] - places[strand, 1].min() > _LONG_HAIR * height
        else:
            way = sums[top] - counts[top] * places[top]
            falls = -way[1] > _DOWN * np.linalg.norm(way)
        if falls:
            hang |= dict.fromkeys(strand, _HANG[names[top]])
    return hang


def _tops(parents: np.ndarray, loose: set[int]) -> dict[int, int]:
    """For each loose bone the highest one that it reaches through loose bones."""
    tops: dict[int, int] = {}
    for bone in sorted(loose):
        line = dict.fromkeys([bone])
        while (above := int(parents[bone])) in loose and above not in line and above not in tops:
            line[above] = None
            bone = above
        tops |= dict.fromkeys(line, tops.get(above, bone))
    return tops


def _part(names: Sequence[str], moved_by: np.ndarray) -> str:
    for text in names:
        for part, words in _PART_WORDS:
            if any(word in plain(text) for word in words):
                return part
    # No telling name: by what moves it.
    segment_names, counts = np.unique(moved_by, return_counts=True)
    if not len(segment_names):
        return "accessory"
    where = segment_names[counts.argmax()]
    if where == "head":
        return "hair"
    if where == "hips" or "Leg" in where:
        return "bottom"
    return "shoes" if "Foot" in where else "top"


def moved_by_blinking(morphs: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> np.ndarray:
    """Vertices that the morph for closed eyes moves noticeably; empty if there is none.

    Args:
      morphs: name, vertices (n,) and offsets (n, 3) of each.
    """
    for wanted in _BLINKS:
        for name, indices, offsets in morphs:
            if plain(name) == plain(wanted) and len(indices):
                length = np.linalg.norm(np.nan_to_num(offsets), axis=1)
                return np.asarray(indices)[length > 0.2 * length.max()].astype(np.int64)
    return np.zeros(0, np.int64)


def complete(character: Character, texture_names: Sequence[str], eyelids: np.ndarray) -> None:
    """Sets the parts of materials and the landmarks, and stands the character on the floor.

    Args:
      character: complete otherwise; its positions and rest transforms are shifted in place, so whatever else
        is in character space must be made from them afterwards.
      texture_names: of each material, or "".
      eyelids: vertices that blinking moves.
    """
    positions, count = character.positions, len(character.positions)
    heaviest = np.take_along_axis(character.joints, character.weights.argmax(1)[:, None], 1)[:, 0]
    moved_by = np.array(segments.NAMES)[segments.of_bones(character)[heaviest]]
    face = np.zeros(count, bool)
    for i, (material, texture) in enumerate(zip(character.materials, texture_names, strict=True)):
        own = np.unique(character.triangles[character.triangle_materials == i])
        stem = pathlib.PurePath(texture.replace("\\", "/")).stem
        material.part = _part((material.name, stem), moved_by[own])
        if material.part in ("face", "skin"):
            face[own] = True
    # Feet stand at 0: models float or sink a little.
    feet = np.isin(moved_by, ("leftFoot", "rightFoot", "leftLowerLeg", "rightLowerLeg"))
    if feet.any():
        floor = positions[feet, 1].min()
        positions[:, 1] -= floor
        character.rest[:, 1, 3] -= floor
    lids = np.zeros(count, bool)
    lids[eyelids] = True
    character.landmarks = landmarks.find(
        positions,
        character.triangles,
        heaviest,
        character.rest[:, :3, 3],
        character.humanoid,
        face,
        moved_by == "head",
        lids,
        character.report,
    )
