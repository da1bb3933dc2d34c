"""Rows of hanging bone chains (hair, skirts, capes) and the weights of what they carry."""

import dataclasses

import numpy as np

from anime_pt.avatars.procedural.mesh import smoothstep


@dataclasses.dataclass
class Chains:
    """`n` chains of `m` bones side by side, all children of one bone.

    Attributes:
      name: prefix of the bones, which are called name_chain_segment.
      parent: bone that carries the roots.
      joints: (n, m + 1, 3) rest positions; bone j spans joints j to j + 1.
      closed: chain n - 1 is a neighbour of chain 0.
      kind: "skirt" swings outwards round the legs; "hang" follows gravity around the trunk.
      stiffness: 1 keeps the rest shape in the parent's frame, 0 hangs straight down.
      radius: kept free between the chain and the body, metres after scaling.
    """

    name: str
    parent: str
    joints: np.ndarray
    closed: bool
    kind: str
    stiffness: float = 0.3
    radius: float = 0.01

    def bone(self, chain: int, segment: int) -> str:
        return f"{self.name}_{chain}_{segment}"

    def bones(self) -> dict[str, tuple[str, np.ndarray]]:
        """Bone name -> (parent, rest position)."""
        n, m = self.joints.shape[0], self.joints.shape[1] - 1
        return {
            self.bone(i, j): (self.bone(i, j - 1) if j else self.parent, self.joints[i, j])
            for i in range(n)
            for j in range(m)
        }

    def weights(self, across, along) -> dict[str, np.ndarray]:
        """Weights of points at chain coordinate `across` and joint coordinate `along` (below 0: the parent).

        Each bone rules around the middle of its span and blends into the next around the joint.
        """
        across, along = np.broadcast_arrays(np.asarray(across, float), np.asarray(along, float))
        n, m = self.joints.shape[0], self.joints.shape[1] - 1
        vertical = [1 - smoothstep(along, -0.35, 0.35)]
        rest = 1 - vertical[0]
        for j in range(1, m):
            after = smoothstep(along, j - 0.4, j + 0.4)
            vertical.append(rest * (1 - after))
            rest = rest * after
        vertical.append(rest)
        low = np.floor(across).astype(int)
        share = across - low
        if not self.closed:
            share = np.where(low < 0, 0.0, np.where(low >= n - 1, 1.0 * (n > 1), share))
            low = np.clip(low, 0, max(n - 2, 0))
        out = {self.parent: vertical[0]}
        for i in range(n):
            side = (
                (1 - share) * (low % n == i) + share * ((low + 1) % n == i) if n > 1 else np.ones_like(share)
            )
            if not np.any(side):
                continue
            for j in range(m):
                out[self.bone(i, j)] = side * vertical[j + 1]
        return out
