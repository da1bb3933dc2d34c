"""Feet on the ground: where soles are, where the floor of a recording is, and legs that reach their feet."""

import numpy as np

from anime_pt.avatars import quaternions, segments
from anime_pt.avatars.character import Character

# A foot slower than this (m/s) for as long as this (s) stands; a floor farther up than this (m) is none.
_SLOW, _LONG, _STEP = 0.3, 0.1, 0.25
# In leg lengths: between the first two a leg comes to be as straight as in the recording; from the third on
# it is held back, softly, so that it never gets longer than the fourth: a straighter knee shakes.
_BENT, _STRAIGHT, _STRETCHED, _LONGEST = 0.95, 0.985, 0.997, 0.9997


def floor(heights: np.ndarray, speeds: np.ndarray, fps: float) -> np.ndarray:
    """(t,) height of the ground over time, for recordings whose ground drifts, as inertial suits have it.

    Args:
      heights: (t,) of the lower foot above its height when it stands, metres.
      speeds: (t,) of that foot, m/s.
      fps: frames per second.

    Returns:
      The height of the foot wherever it stands, with smooth transitions between.
    """
    level = np.quantile(heights, 0.05)
    slow = np.concatenate([[False], (speeds < _SLOW) & (heights < level + _STEP), [False]])
    starts, stops = np.flatnonzero(~slow[:-1] & slow[1:]), np.flatnonzero(slow[:-1] & ~slow[1:])
    stands = [np.arange(a, b) for a, b in zip(starts, stops, strict=True) if b - a >= _LONG * fps]
    if not stands:
        return np.full(len(heights), level)
    known = np.concatenate(stands)
    line = np.interp(np.arange(len(heights)), known, heights[known])
    return smooth(np.minimum(line, heights), 0.1 * fps)


def smooth(values: np.ndarray, sigma: float) -> np.ndarray:
    """(t,) values after a Gaussian of `sigma` samples; the ends are extended as they are."""
    reach = max(1, int(np.ceil(3 * sigma)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-6)) ** 2)
    return np.convolve(np.pad(values, reach, mode="edge"), kernel / kernel.sum(), mode="valid")


def guessed_sole(ankle: np.ndarray, toes: np.ndarray | None, leg: float) -> np.ndarray:
    """(2, 3) heel and ball of a foot that stands on Y = 0, from the ankle, for skeletons without a mesh.

    Args:
      ankle: (3,) position of the joint at rest.
      toes: (3,) of the joint of the toes, if there is one.
      leg: length in metres.
    """
    ahead = np.array([0.0, 0.0, 0.18 * leg]) if toes is None else (toes - ankle) * (1, 0, 1)
    down = np.array([0.0, -ankle[1], 0.0])
    return np.stack([down - 0.3 * ahead, down + ahead])


def sole(character: Character, side: str, leg: float) -> np.ndarray:
    """(2, 3) heel and ball of the foot at rest, against the ankle, as low as the mesh.

    Args:
      character: who stands on Y = 0 at rest.
      side: "left" or "right".
      leg: length in metres.
    """
    roles, places = character.humanoid, character.rest[:, :3, 3]
    ankle, toes = places[roles[side + "Foot"]], roles.get(side + "Toes")
    guess = guessed_sole(ankle, None if toes is None else places[toes], leg)
    foot = segments.of_bones(character) == segments.NAMES.index(side + "Foot")
    heaviest = np.take_along_axis(character.joints, character.weights.argmax(1)[:, None], 1)[:, 0]
    mesh = character.positions[foot[heaviest]]
    mesh = mesh[mesh[:, 1] < max(0.5 * ankle[1], 0.02 * leg)] if len(mesh) else mesh
    if len(mesh) < 8:
        return guess
    back, front = np.quantile(mesh[:, 2], [0.02, 0.98])
    ends = [mesh[np.abs(mesh[:, 2] - z) < 0.25 * (front - back) + 1e-6] for z in (back, front)]
    out = np.stack([[e[:, 0].mean(), e[:, 1].min(), z] for e, z in zip(ends, (back, front), strict=True)])
    # The toes' tips may leave the ground when the foot rolls: the ball is where it bends.
    out[1, 2] = front - 0.3 * (front - back)
    return out - ankle


def lowest(turns: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How a foot touches the ground.

    Args:
      turns: (t, 4) of the foot since it stood flat.
      points: (n, 3) of its sole, against the ankle.

    Returns:
      Height (t,) of the lowest point against the ankle, and (t, 3) how far rolling on the points that bear
      moves the ankle backwards, against a foot that lies flat under it.
    """
    now = quaternions.rotate(turns[:, None], points)
    heading = quaternions.twist(turns, np.array([0.0, 1.0, 0.0]))
    rolled = now - quaternions.rotate(heading[:, None], points)
    low = now[..., 1].min(1)
    weights = np.exp((low[:, None] - now[..., 1]) / (0.2 * np.abs(points[:, 1]).max() + 1e-9))
    weights /= weights.sum(1, keepdims=True)
    return low, (weights[..., None] * rolled).sum(1)


def smoothstep(x: np.ndarray) -> np.ndarray:
    """0 up to 0, 1 from 1 on, smooth between."""
    x = np.clip(x, 0.0, 1.0)
    return x**2 * (3.0 - 2.0 * x)


def _held_back(far: np.ndarray) -> np.ndarray:
    """Distances in leg lengths, limited softly to what a leg reaches; exact for bent legs."""
    room, over = _LONGEST - _STRETCHED, np.maximum(far - _STRETCHED, 0.0)
    return np.minimum(far, _STRETCHED) + room * over / (over + room)


def _eased(far: np.ndarray, straight: np.ndarray) -> np.ndarray:
    """Distances in leg lengths, of which a leg that is recorded as almost straight only makes a part.

    So a goal that is a little too far does not throw the knee straight in one frame.
    """
    over = np.maximum(far - straight, 0.0)
    room = np.maximum(_LONGEST - straight, 0.002)
    share = smoothstep((straight - 0.85) / 0.13)
    return np.minimum(far, straight) + room * over / (share * over + room)


def stands(heights: np.ndarray, leg: float) -> np.ndarray:
    """Whether soles at these heights (...) bear the body, in [0, 1]; metres, as the length of the leg."""
    return 1.0 - smoothstep((heights / leg - 0.02) / 0.25)


def hip_drop(
    hips: np.ndarray, ankles: np.ndarray, bearing: np.ndarray, leg: float, straight: np.ndarray
) -> np.ndarray:
    """(t,) metres by which the hips must sink so that standing legs get as straight as they were recorded.

    Args:
      hips: (2, t, 3) joints.
      ankles: (2, t, 3) goals.
      bearing: (2, t) in [0, 1], see `stands`.
      leg: length in metres.
      straight: (2, t) hip to ankle in the recording, in leg lengths.
    """
    away = (hips - ankles) / leg
    far = np.linalg.norm(away, axis=-1)
    follows = smoothstep((straight - _BENT) / (_STRAIGHT - _BENT))
    drop = leg * follows * (far - _held_back(straight)) * far / np.maximum(away[..., 1], 0.3)
    # The leg that is farther from its foot counts more.
    weights = (bearing**2 + 1e-6) * np.exp((drop - drop.max(0)) / (0.02 * leg))
    return (1.0 - (1.0 - bearing**2).prod(0)) * (weights * drop).sum(0) / weights.sum(0)


def reach(
    upper: np.ndarray,
    lower: np.ndarray,
    thigh: np.ndarray,
    shin: np.ndarray,
    hinge: np.ndarray,
    goal: np.ndarray,
    straight: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Turns a leg so that its ankle is at a goal: the knee about its hinge, then the whole leg at the hip.

    Of a leg that is there already, nothing changes, unless it is stretched.

    Args:
      upper, lower: (t, 4) turns of thigh and shin since rest.
      thigh, shin: (3,) hip to knee and knee to ankle at rest.
      hinge: (t, 3) axis about which a straight knee bends.
      goal: (t, 3) hip to ankle.
      straight: (t,) hip to ankle in the recording, in leg lengths.

    Returns:
      The turns (t, 4) of thigh and shin.
    """
    a, b = np.linalg.norm(thigh), np.linalg.norm(shin)
    u = quaternions.rotate(upper, thigh / a)
    v = quaternions.rotate(lower, shin / b)
    # The plane of the bend where there is one, else that of the hinge; recorded knees may bend the other way
    # by a few degrees, which must not cancel it.
    axis = np.cross(u, v) + 0.3 * hinge
    axis = quaternions.unit(axis - (axis * u).sum(1, keepdims=True) * u)
    far = np.linalg.norm(goal, axis=1)
    far = (a + b) * _held_back(_eased(far / (a + b), straight))
    across = v - (v * axis).sum(1, keepdims=True) * axis
    size = np.maximum(np.linalg.norm(across, axis=1), 1e-9)
    now = np.arctan2((np.cross(u, v) * axis).sum(1), (u * v).sum(1))
    cosine = (far**2 - a**2 - b**2) / (2 * a * b)
    bend = np.arccos(np.clip(cosine / size, -1.0, 1.0))
    lower = quaternions.multiply(quaternions.about(axis, bend - now), lower)
    whole = quaternions.swing(a * u + b * quaternions.rotate(lower, shin / b), goal)
    return quaternions.multiply(whole, upper), quaternions.multiply(whole, lower)
