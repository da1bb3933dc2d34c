"""Morphs: named changes of a face or body, mixed by weights.

Groups hand their weight on to their parts. Names are compared in NFKC. The rules of VRM (binary expressions,
expressions that override blinking, the mouth or the gaze) follow VRMC_vrm-1.0/expressions.md, those of
materials the format notes of PMX.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from anime_pt.avatars.character import BoneChange, Character, Material
from anime_pt.avatars.names import plain

# VRM: what an expression may override -> the expressions that are of this kind.
_OVERRIDDEN = {
    "blink": ("blink", "blinkleft", "blinkright"),
    "mouth": ("aa", "ih", "ou", "ee", "oh"),
    "lookAt": ("lookup", "lookdown", "lookleft", "lookright"),
}
# Below this alpha a surface is drawn as translucent.
_SOLID = 0.97


@dataclasses.dataclass(frozen=True)
class Morphed:
    """What morphs make of a character; None for what they leave alone.

    Attributes:
      positions: (v, 3) float32 at rest, before skinning.
      uvs: (v, 2) float32.
      materials: all materials, changed or not, in the order of `Character.materials`.
    """

    positions: np.ndarray | None = None
    uvs: np.ndarray | None = None
    materials: tuple[Material, ...] | None = None


def _names(character: Character) -> dict[str, int]:
    if "morph_names" not in character.derived:
        table: dict[str, int] = {}
        for i, morph in enumerate(character.morphs):
            table.setdefault(plain(morph.name), i)
        character.derived["morph_names"] = table
    return character.derived["morph_names"]


def _order(character: Character) -> list[tuple[int, tuple[tuple[int, float], ...]]]:
    """Groups before their parts: (morph, its parts). A part that closes a cycle is left out."""
    if "morph_order" not in character.derived:
        groups = [m.parts for m in character.morphs]
        # Finished in depth-first order, so that in reverse every group precedes its parts.
        state, finished = [0] * len(groups), []
        kept: list[list[tuple[int, float]]] = [[] for _ in groups]
        for start in range(len(groups)):
            stack = [(start, 0)] if not state[start] else []
            while stack:
                morph, at = stack.pop()
                state[morph] = 1
                if at == len(groups[morph]):
                    state[morph] = 2
                    finished.append(morph)
                    continue
                stack.append((morph, at + 1))
                part, factor = groups[morph][at]
                if 0 <= part < len(groups) and state[part] != 1:
                    kept[morph].append((part, factor))
                    if not state[part]:
                        stack.append((part, 0))
        character.derived["morph_order"] = [(m, tuple(kept[m])) for m in reversed(finished) if kept[m]]
    return character.derived["morph_order"]


def _overridden(character: Character, weights: np.ndarray) -> np.ndarray:
    """Fades what active expressions of other kinds override; binary ones vanish if they fade at all."""
    out = weights.copy()
    table = _names(character)
    for kind, names in _OVERRIDDEN.items():
        own = [table[name] for name in names if name in table]
        left = 1.0
        for i in np.flatnonzero(weights > 0):
            rule = character.morphs[i].overrides.get(kind) if i not in own else None
            if rule == "block":
                left = 0.0
            elif rule == "blend":
                left -= weights[i]
        if left < 1.0:
            for i in own:
                out[i] *= 0.0 if character.morphs[i].binary else max(0.0, left)
    return out


def resolve(character: Character, weights: Mapping[str, float]) -> dict[int, float]:
    """Morph index -> weight that is not 0, after groups, binary morphs and overrides.

    Args:
      character: whose morphs.
      weights: by name; names that the character lacks are ignored.
    """
    table = _names(character)
    values = np.zeros(len(character.morphs))
    for name, weight in weights.items():
        index = table.get(plain(name))
        if index is not None and weight:
            values[index] += weight
    if not values.any():
        return {}
    for i in np.flatnonzero(values):
        if character.morphs[i].binary:
            values[i] = float(values[i] > 0.5)
    values = _overridden(character, values)
    for group, parts in _order(character):
        if values[group]:
            for part, factor in parts:
                values[part] += values[group] * factor
    return {int(i): float(values[i]) for i in np.flatnonzero(values)}


def bone_changes(character: Character, weights: Mapping[str, float]) -> list[tuple[BoneChange, float]]:
    """Changes of bones, each with the weight by which it counts."""
    if not any(m.bones for m in character.morphs):
        return []
    active = resolve(character, weights)
    return [(change, weight) for i, weight in active.items() for change in character.morphs[i].bones]


def apply(character: Character, weights: Mapping[str, float]) -> Morphed | None:
    """Mesh and materials as morphed; None if nothing changes.

    Args:
      character: the arrays of which are left alone.
      weights: morph name -> weight, usually in [0, 1]; names that the character lacks are ignored.
    """
    active = resolve(character, weights)
    positions = uvs = None
    changes = []
    for i, weight in active.items():
        morph = character.morphs[i]
        if len(morph.vertices):
            positions = character.positions.copy() if positions is None else positions
            # A vertex may be listed twice.
            np.add.at(positions, morph.vertices, np.float32(weight) * morph.offsets)
        if len(morph.uv_vertices):
            uvs = character.uvs.copy() if uvs is None else uvs
            np.add.at(uvs, morph.uv_vertices, np.float32(weight) * morph.uv_offsets)
        changes += [(change, weight) for change in morph.materials]
    if positions is None and uvs is None and not changes:
        return None
    return Morphed(positions, uvs, _materials(character, changes) if changes else None)


def _materials(character: Character, changes: list) -> tuple[Material, ...]:
    """Products first, then sums, then targets, each by its weight."""
    values: dict[int, dict[str, np.ndarray]] = {}
    for change, weight in sorted(changes, key=lambda c: not c[0].multiplies):
        affected = range(len(character.materials)) if change.material == -1 else (change.material,)
        for i in affected:
            base = character.materials[i]
            now = values.setdefault(i, {})
            read = lambda name, now=now, base=base: now.get(name, np.array(getattr(base, name), float))
            for name in ("color", "outline_color", "outline"):
                by = np.array(getattr(change, name))
                if change.multiplies:
                    now[name] = read(name) * (1.0 + weight * (by - 1.0))
                else:
                    now[name] = read(name) + weight * by
            for name, target in change.targets.items():
                now[name] = read(name) + weight * (np.array(target) - np.array(getattr(base, name)))
    out = list(character.materials)
    for i, fields in values.items():
        plain_values = {
            name: tuple(v.clip(0, 1).tolist()) if v.ndim else max(0.0, float(v)) for name, v in fields.items()
        }
        out[i] = dataclasses.replace(out[i], **plain_values)
        if out[i].color[3] < _SOLID and out[i].alpha_mode != "blend":
            out[i] = dataclasses.replace(out[i], alpha_mode="blend")
    return tuple(out)
