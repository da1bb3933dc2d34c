"""Points of a face: nose, eyes, ears and the top of the head, found on the mesh of a character at rest."""

from collections.abc import Mapping

import numpy as np


def _front(points: np.ndarray, triangles: np.ndarray, x: float, y: float) -> float | None:
    """Largest Z at which the line along Z through (x, y) meets the triangles; None if it misses."""
    a, b, c = (points[triangles[:, i]].astype(np.float64) for i in range(3))
    u, v, w = b - a, c - a, np.array([x, y]) - a[:, :2]
    area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        s = (w[:, 0] * v[:, 1] - w[:, 1] * v[:, 0]) / area
        t = (u[:, 0] * w[:, 1] - u[:, 1] * w[:, 0]) / area
        hit = (area != 0) & (s >= 0) & (t >= 0) & (s + t <= 1)
    if not hit.any():
        return None
    return float((a[hit, 2] + s[hit] * u[hit, 2] + t[hit] * v[hit, 2]).max())


def find(
    positions: np.ndarray,
    triangles: np.ndarray,
    bones: np.ndarray,
    joints: np.ndarray,
    humanoid: Mapping[str, int],
    face: np.ndarray,
    head: np.ndarray,
    eyelids: np.ndarray,
    report: list[str],
) -> dict[str, tuple[int, np.ndarray]]:
    """Nose, eyes, ears and top of the head, on the surface of the mesh at rest.

    Args:
      positions: (v, 3) in character space.
      triangles: (t, 3).
      bones: (v,) the heaviest bone of each vertex.
      joints: (b, 3) rest positions of the bones.
      humanoid: role -> bone.
      face: (v,) bool, vertices of the face's own surfaces, or none if unknown.
      head: (v,) bool, vertices that the head moves, hair included.
      eyelids: (v,) bool, vertices that blinking moves.
      report: gets a line for each point that had to be guessed.

    Returns:
      Name -> (head's bone, rest position (3,)).
    """
    bone = humanoid["head"]
    base = joints[bone]
    rigid = head & (bones == bone)
    face = face & head if (face & head).sum() >= 30 else rigid
    if face.sum() < 3:
        report.append("the head has no surface of its own: points of the face are guessed")
        size = max(base[1] - joints[humanoid["neck"]][1], 0.05) * 2.5
        scale = np.array([size, size, size]) * 0.5
        guess = {
            "nose": (0, 0.6, 0.8),
            "left_eye": (0.35, 0.9, 0.7),
            "right_eye": (-0.35, 0.9, 0.7),
            "left_ear": (0.75, 0.8, 0),
            "right_ear": (-0.75, 0.8, 0),
            "head_top": (0, 2, 0),
        }
        return {name: (bone, base + scale * np.array(p)) for name, p in guess.items()}
    skin = positions[face]
    solid = triangles[face[triangles].all(1)]
    half = np.quantile(np.abs(skin[:, 0] - base[0]), 0.98)
    out = {}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        eye = humanoid.get(side + "Eye")
        iris = positions[bones == eye] if eye is not None else positions[:0]
        if len(iris):  # Eyes for other expressions wait farther back in the head.
            iris = iris[iris[:, 2] > iris[:, 2].max() - 0.15 * (iris[:, 2].max() - base[2])]
        lids = positions[eyelids & (sign * (positions[:, 0] - base[0]) > 0.02 * half)]
        if len(iris) >= 3:
            middle = (iris.min(0) + iris.max(0)) / 2
            x, y, z = middle[0], middle[1], iris[:, 2].max()
        elif len(lids) >= 3:
            x, y = (lids.min(0) + lids.max(0))[:2] / 2
            z = lids[:, 2].max()
            # The eye bulges between the lids; a fringe of hair would be farther to the front.
            bulge = _front(positions, solid, x, y)
            if bulge is not None and z < bulge < z + 0.25 * half:
                z = bulge
        elif eye is not None:
            x, y = joints[eye][:2]
            z = None
        else:
            report.append(f"no bone for the {side} eye: its place is guessed")
            x, y, z = base[0] + sign * 0.4 * half, base[1] + 0.4 * (skin[:, 1].max() - base[1]), None
        if z is None:
            z = _front(positions, solid, x, y)
            if z is None:
                z = skin[:, 2].max() - 0.1 * half
        out[f"{side}_eye"] = np.array([x, y, z])
    eyes = (out["left_eye"] + out["right_eye"]) / 2
    # The nose is the point farthest to the front on the middle line between chin and eyes.
    chin = min(base[1], eyes[1] - 0.02)
    middle = np.abs(skin[:, 0] - eyes[0]) < 0.12 * half
    below = (skin[:, 1] < eyes[1] - 0.1 * (eyes[1] - chin)) & (skin[:, 1] > chin + 0.2 * (eyes[1] - chin))
    if (middle & below).any():
        candidates = skin[middle & below]
        out["nose"] = candidates[candidates[:, 2].argmax()].astype(np.float64)
        out["nose"][0] = eyes[0]
    else:
        report.append("no surface where the nose should be: its place is guessed")
        out["nose"] = np.array([eyes[0], eyes[1] - 0.35 * (eyes[1] - chin), skin[:, 2].max()])
    # Ears: where the face or the skull is widest at the height between eyes and nose. In anime faces they
    # are 2.2 to 2.4 times as far from the middle as the eyes; what reaches farther is hair.
    apart = max((out["left_eye"][0] - out["right_eye"][0]) / 2, 0.01)
    level = 0.5 * (eyes[1] + out["nose"][1])
    band = np.abs(skin[:, 1] - level) < 0.25 * half
    forward = (skin[:, 2] - base[2]) / max(eyes[2] - base[2], 1e-6)
    band &= (forward > -0.4) & (forward < 0.75)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        reach = sign * (skin[band, 0] - eyes[0])
        likely = (reach > 1.6 * apart) & (reach < 2.8 * apart)
        if likely.any():
            at = skin[band][np.where(likely, reach, 0).argmax()]
            out[f"{side}_ear"] = np.array([at[0], level, at[2]])
        else:
            out[f"{side}_ear"] = np.array([eyes[0] + sign * 2.3 * apart, level, base[2]])
    top = positions[head]
    # Buns and tails behind the head reach higher than its crown.
    near = (np.abs(top[:, 0] - base[0]) < 0.25 * half) & (np.abs(top[:, 2] - base[2]) < 0.25 * half)
    crown = top[near] if near.any() else top
    out["head_top"] = np.array([base[0], crown[:, 1].max(), base[2]])
    return {name: (bone, np.asarray(point, np.float64)) for name, point in out.items()}
