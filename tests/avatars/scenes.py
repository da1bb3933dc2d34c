"""Flat coloured polygons before a camera, to draw in tests."""

import dataclasses

import numpy as np

from anime_pt.avatars import camera, rasterise
from anime_pt.avatars.character import Character, Material
from tests.avatars.tiny_character import build_tiny

CAMERA = camera.Camera(64, 64, 32.0)  # Two metres wide, centred at the origin.


def scene(*sheets: tuple[list, Material], normals=(0.0, 0.0, 1.0)) -> Character:
    """Flat polygons facing +Z, as ([(x, y, z), ...] counter-clockwise, material), in drawing order."""
    points, triangles, owners, uvs = [], [], [], []
    for m, (corners, _) in enumerate(sheets):
        start = len(points)
        points += corners
        uvs += [((x + 1) / 2, (1 - y) / 2) for x, y, _ in corners]
        triangles += [[start, start + i, start + i + 1] for i in range(1, len(corners) - 1)]
        owners += [m] * (len(corners) - 2)
    n = len(points)
    base = build_tiny()
    return dataclasses.replace(
        base,
        positions=np.array(points, np.float32).reshape(n, 3),
        normals=np.tile(np.float32(normals), (n, 1)),
        uvs=np.array(uvs, np.float32).reshape(n, 2),
        joints=np.zeros((n, 4), np.int32),
        weights=np.tile(np.float32([1, 0, 0, 0]), (n, 1)),
        outline_scale=np.ones(n, np.float32),
        triangles=np.array(triangles, np.int32).reshape(-1, 3),
        triangle_materials=np.array(owners, np.int32),
        materials=[m for _, m in sheets],
        derived={},
    )


def square(half: float = 0.5, z: float = 0.0) -> list:
    return [(-half, -half, z), (half, -half, z), (half, half, z), (-half, half, z)]


def render(character: Character, supersample: int = 2, outline: float = 0.0, **kwargs) -> rasterise.Frame:
    renderer = rasterise.Renderer(64, supersample)
    return renderer.render(character, character.rest, CAMERA, outline=outline, **kwargs)


RED = Material("red", color=(1.0, 0.0, 0.0, 1.0))


BLUE = Material("blue", color=(0.0, 0.0, 1.0, 1.0))


def glass(color, alpha: float) -> Material:
    return Material("glass", color=(*color, alpha), alpha_mode="blend")
