"""From the scene of a glTF file to the space of `character`: faced forward, in metres."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from anime_pt.avatars.formats.gltf import Gltf
from anime_pt.avatars.formats.gltf_nodes import Nodes

# Heights of the hips in metres that a figure may have; files beyond give no metres, and get the last.
_LOWEST, _HIGHEST, _USUAL = 0.1, 6.0, 0.85


@dataclasses.dataclass(frozen=True)
class Space:
    """The scene is scaled, then turned.

    Attributes:
      turn: (3, 3) rotation.
      scale: factor.
    """

    turn: np.ndarray
    scale: float = 1.0

    def points(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) points of the scene in character space."""
        return self.scale * np.asarray(points, np.float64) @ self.turn.T


IDENTITY = Space(np.eye(3))


def of(file: Gltf, nodes: Nodes, roles: Mapping[str, int]) -> Space:
    """The space of a file: VRM 1.0 faces +Z and VRM 0.x -Z.

    Other files are turned by quarters until the left leg is on the left, and scaled if the legs are too
    short or long for any figure.
    """
    if file.json.extension("VRMC_vrm") is not None:
        return IDENTITY
    if file.json.extension("VRM") is not None:
        return Space(np.diag([-1.0, 1.0, -1.0]))
    places = {role: nodes.globals_[node, :3, 3] for role, node in roles.items()}
    across = sum(places["left" + p] - places["right" + p] for p in ("UpperLeg", "UpperArm"))
    quarters = round(float(np.arctan2(across[2], across[0])) / (np.pi / 2))
    s, c = round(np.sin(quarters * np.pi / 2)), round(np.cos(quarters * np.pi / 2))
    height = float(np.linalg.norm(places["leftUpperLeg"] - places["leftLowerLeg"]))
    height += float(np.linalg.norm(places["leftLowerLeg"] - places["leftFoot"]))
    scale = 1.0 if _LOWEST <= height <= _HIGHEST else _USUAL / max(height, 1e-6)
    return Space(np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]]), scale)
