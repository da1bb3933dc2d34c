"""The tiny character in a bell-shaped skirt on a ring of bone chains, and a measure of what pokes through."""

import dataclasses

import numpy as np

from anime_pt.avatars import rig
from anime_pt.avatars.character import Character, Material
from tests.avatars.tiny_character import build_tiny

STRANDS, JOINTS = 12, 4
_TOP, _HEM = 0.93, 0.50
_ROWS, _COLUMNS = 13, 48


def _radius(y: np.ndarray) -> np.ndarray:
    return 0.145 + 0.32 * (_TOP - y)


def build_skirted() -> tuple[Character, list[int]]:
    """The character, and its hanging bones strand by strand from waist to hem, without any drape."""
    c = build_tiny()
    heights = np.linspace(_TOP - 0.02, _HEM, JOINTS + 1)[:-1]
    names, parents, places = list(c.bone_names), list(c.parents), list(c.rest[:, :3, 3])
    hanging = []
    for s in range(STRANDS):
        angle = 2 * np.pi * s / STRANDS
        for j, y in enumerate(heights):
            parents.append(len(names) - 1 if j else c.humanoid["hips"])
            hanging.append(len(names))
            names.append(f"skirt {s} {j}")
            places.append((_radius(y) * np.sin(angle), y, _radius(y) * np.cos(angle)))
    rest = np.tile(np.eye(4), (len(names), 1, 1))
    rest[:, :3, 3] = places
    y, turn = np.meshgrid(
        np.linspace(_TOP, _HEM, _ROWS), np.arange(_COLUMNS) / _COLUMNS * STRANDS, indexing="ij"
    )
    angle = turn * 2 * np.pi / STRANDS
    points = np.stack([_radius(y) * np.sin(angle), y, _radius(y) * np.cos(angle)], -1).reshape(-1, 3)
    normals = np.stack([np.sin(angle), 0 * y, np.cos(angle)], -1).reshape(-1, 3)
    across, share = np.floor(turn).astype(int), (turn % 1).ravel()
    down = np.clip(np.searchsorted(-heights, -y + 1e-9, side="right") - 1, 0, None)
    joints, weights = np.zeros((len(points), 4), np.int32), np.zeros((len(points), 4), np.float32)
    for k, strand in enumerate((across, (across + 1) % STRANDS)):
        joints[:, k] = (hanging[0] + strand * JOINTS + down).ravel()
        weights[:, k] = share if k else 1 - share
    at_waist = (y > heights[0]).ravel()
    joints[at_waist], weights[at_waist] = [c.humanoid["hips"], 0, 0, 0], [1, 0, 0, 0]
    i, j = (v.ravel() for v in np.meshgrid(np.arange(_ROWS - 1), np.arange(_COLUMNS), indexing="ij"))
    a, b = i * _COLUMNS + j, i * _COLUMNS + (j + 1) % _COLUMNS
    quads = np.concatenate([np.stack([a, a + _COLUMNS, b], 1), np.stack([b, a + _COLUMNS, b + _COLUMNS], 1)])
    skirted = dataclasses.replace(
        c,
        name="skirted",
        positions=np.concatenate([c.positions, points.astype(np.float32)]),
        normals=np.concatenate([c.normals, normals.astype(np.float32)]),
        uvs=np.zeros((len(c.positions) + len(points), 2), np.float32),
        joints=np.concatenate([c.joints, joints]),
        weights=np.concatenate([c.weights, weights]),
        outline_scale=np.ones(len(c.positions) + len(points), np.float32),
        triangles=np.concatenate([c.triangles, quads.astype(np.int32) + len(c.positions)]),
        triangle_materials=np.append(c.triangle_materials, np.full(len(quads), len(c.materials))).astype(
            np.int32
        ),
        materials=[*c.materials, Material("skirt", (0.2, 0.3, 0.7, 1.0), part="bottom", double_sided=True)],
        bone_names=names,
        parents=np.array(parents, np.int32),
        rest=rest,
        derived={},
    )
    return skirted, hanging


def _crossings(starts: np.ndarray, ends: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(n,) bool: which segments cross one of the triangles (t, 3, 3) (Moeller and Trumbore's test)."""
    out = np.zeros(len(starts), bool)
    a, u, v = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        way = end - start
        normal = np.cross(way, v)
        scale = (u * normal).sum(1)
        scale = np.where(np.abs(scale) < 1e-15, np.nan, scale)
        offset = start - a
        s = (offset * normal).sum(1) / scale
        across = np.cross(offset, u)
        t = across @ way / scale
        k = (v * across).sum(1) / scale
        out[i] = ((s >= 0) & (t >= 0) & (s + t <= 1) & (k > 0) & (k < 1)).any()
    return out


def poking_share(character: Character, globals_: np.ndarray, cloth: np.ndarray) -> float:
    """Share of the surface of the thighs that cloth covers at rest and that shows in front of it when posed.

    A point of the skin is in front of the cloth where the way to the axis of its thigh, and along that to
    the hip, crosses the cloth; it is covered at rest where the line on outwards does.

    Args:
      cloth: (t,) bool, triangles of the cloth.
    """
    triangles = character.triangles[cloth]
    heaviest = np.take_along_axis(character.joints, character.weights.argmax(1)[:, None], 1)[:, 0]
    posed = rig.skin(character, globals_).astype(np.float64)
    resting = character.positions.astype(np.float64)
    poking = covered = 0
    for side in ("left", "right"):
        bone, knee = (character.humanoid[side + part] for part in ("UpperLeg", "LowerLeg"))
        skin = np.setdiff1d(np.flatnonzero(heaviest == bone), triangles)
        hip = character.rest[bone, :3, 3]
        axis = character.rest[knee, :3, 3] - hip
        share = ((resting[skin] - hip) @ axis / (axis @ axis)).clip(0, 1)
        skin = skin[(share > 0.2) & (share < 1)][:200]
        share = share[(share > 0.2) & (share < 1)][:200]
        middles = hip + share[:, None] * axis
        outside = middles + 5 * (resting[skin] - middles)
        inside = _crossings(resting[skin], outside, resting[triangles])
        skin, middles = skin[inside], middles[inside]
        change = globals_[bone] @ np.linalg.inv(character.rest[bone])
        move = lambda points, change=change: points @ change[:3, :3].T + change[:3, 3]
        across = _crossings(posed[skin], move(middles), posed[triangles])
        along = _crossings(move(middles), move(np.broadcast_to(hip, middles.shape)), posed[triangles])
        poking += (across | along).sum()
        covered += len(skin)
    return poking / max(covered, 1)
