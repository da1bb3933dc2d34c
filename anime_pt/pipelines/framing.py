"""Users' pictures and poses, framed as those that a pose-transfer network was trained on.

Training pictures show a figure from a camera that does not move with the pose (`avatars.camera.still`): what
is constant is the scale of the body, not its box. So a picture is scaled by the figure's stature, which its
joints tell whatever the pose, and a pose by the length of the limbs that are known in both.
"""

import dataclasses

import numpy as np

from anime_pt.pose import affine, sequences
from anime_pt.pose.skeletons import Skeleton

# Shares of the height of a standing figure, hair included: means of sixty built-in characters of 2.5 to 8
# heads. What is not known of a figure is taken from what is.
_SHARES = {"head": 0.27, "torso": 0.30, "thigh": 0.20, "shin": 0.19}
_FOOT = 0.04
# Joints of a head are within these shares of the figure of each other, with feet and without: 0.22 at most
# for built-in characters (0.27 with heads of two and a half times their size), and those of 38,274 of 38,275
# people in PATN's files even within 0.26 and 0.4.
_FACE = (("nose", "left_eye"), ("nose", "right_eye"), ("left_eye", "right_eye"))
_FACE += (("left_eye", "left_ear"), ("right_eye", "right_ear"))
_WHOLE_FACE, _BUST_FACE = 0.3, 0.45


@dataclasses.dataclass(frozen=True)
class Frame:
    """Where a standing figure is in the pictures of a network.

    Attributes:
      size: height and width.
      stature: height of a standing figure, as a share of the picture's.
      ground: where it stands, likewise, from the top.
    """

    size: tuple[int, int]
    stature: float
    ground: float

    @classmethod
    def of(cls, data, size: tuple[int, int]) -> "Frame":
        """That of a config's `data`, for pictures of a size."""
        if data.get("crop", "figure") != "figure":
            return cls(size, 0.9, 0.96)  # As photographs of people are cropped.
        zoom = data.get("zoom", 1.0)
        # The still camera's: 1.28 statures high, 0.04 of them below the ground.
        return cls(size, min(zoom / 1.28, 0.97), min(0.5 + zoom * (0.5 - 0.04 / 1.28), 0.99))


def parts(points: np.ndarray, skeleton: Skeleton) -> dict[str, float]:
    """Lengths in pixels of head, torso, thigh and shin, of those that are known; of two legs the longer.

    Args:
      points: (k, 3).
      skeleton: of the joints.
    """

    def at(name: str) -> np.ndarray:
        return points[skeleton.index(name), :2] if name in skeleton.keypoints else np.full(2, np.nan)

    sides = ("left", "right")
    hips = np.stack([at(f"{side}_hip") for side in sides])
    middle = np.nanmean(hips, 0) if np.isfinite(hips).all(1).any() else np.full(2, np.nan)
    shoulders = np.mean([at(f"{side}_shoulder") for side in sides], 0)
    neck = at("neck") if np.isfinite(at("neck")).all() else shoulders
    top = at("head_top")
    if not np.isfinite(top).all():
        # The nose is less than a third up the head.
        top = neck + 3.5 * (at("nose") - neck)

    def leg(upper: str, lower: str) -> float:
        lengths = [np.linalg.norm(at(f"{side}_{upper}") - at(f"{side}_{lower}")) for side in sides]
        known = [length for length in lengths if np.isfinite(length)]
        return max(known, default=np.nan)

    found = {
        "head": float(np.linalg.norm(top - neck)),
        "torso": float(np.linalg.norm(middle - neck)),
        "thigh": leg("hip", "knee"),
        "shin": leg("knee", "ankle"),
    }
    return {name: length for name, length in found.items() if np.isfinite(length) and length > 0}


def ordered(points: np.ndarray, skeleton: Skeleton) -> bool:
    """Whether the joints of the head (k, 3) are as near each other as those of a head.

    They are not if joints stand in the order of another program: most of such mistakes show.
    """
    if not {name for pair in _FACE for name in pair} <= set(skeleton.keypoints):
        return True
    pairs = np.array([[skeleton.index(name) for name in pair] for pair in _FACE])
    apart = np.linalg.norm(points[pairs[:, 0], :2] - points[pairs[:, 1], :2], axis=-1)
    share = _WHOLE_FACE if _stands(points, skeleton) else _BUST_FACE
    # Comparisons with NaN are false.
    return not np.any(apart > share * np.hypot(*sequences.extent(points)[2:]))


def stature(points: np.ndarray, skeleton: Skeleton) -> float:
    """Height in pixels of the figure if it stood upright, see `parts`; 0 if no part is known."""
    found = parts(points, skeleton)
    share = sum(_SHARES[name] for name in found)
    return sum(found.values()) / share if found else 0.0


def picture(
    points: np.ndarray, skeleton: Skeleton, box: tuple[float, float, float, float], frame: Frame
) -> np.ndarray:
    """The map (2, 3) that takes a user's picture into a frame.

    Args:
      points: (k, 3) joints of the figure, in the picture's pixels.
      skeleton: of the joints.
      box: of the figure: x, y, width, height.
      frame: the network's.
    """
    x, y, wide, tall = box
    height, width = frame.size
    whole = stature(points, skeleton) or tall
    scale = min(frame.stature * height / whole, 0.98 * width / max(wide, 1), 0.98 * height / max(tall, 1))
    ground = frame.ground * height
    # A figure without feet hangs from where the head of a whole one would be.
    bottom = ground if _stands(points, skeleton) else ground - scale * max(whole - tall, 0)
    return affine.compose(
        affine.translate(width / 2, bottom), affine.scale(scale), affine.translate(-x - wide / 2, -y - tall)
    )


def _stands(points: np.ndarray, skeleton: Skeleton) -> bool:
    """Whether a foot is in the picture, so that the box ends where the figure stands."""
    ankles = [points[skeleton.index(f"{side}_ankle"), :2] for side in ("left", "right")]
    return bool(np.isfinite(ankles).all(1).any())


def pose(points: np.ndarray, skeleton: Skeleton, own: np.ndarray, frame: Frame) -> np.ndarray:
    """A pose of whatever size and place, at the scale of a figure, standing where figures stand.

    Args:
      points: (k, 3) the pose.
      skeleton: of the joints.
      own: (k, 3) the figure's own joints, in the frame's pixels.
      frame: the network's.

    Returns:
      (k, 3) in the frame's pixels.

    Raises:
      ValueError: nothing of the body is known of one of the two.
    """
    have, want = parts(points, skeleton), parts(own, skeleton)
    both = have.keys() & want.keys()
    if not both:
        raise ValueError(
            "the pose and the figure have no known part of the body in common (head, torso, thigh, shin)"
        )
    scale = sum(want[name] for name in both) / sum(have[name] for name in both)
    x, y, wide, tall = sequences.extent(points)
    height, width = frame.size
    if _stands(points, skeleton):
        # Joints end above the sole.
        bottom = frame.ground * height - _FOOT * scale * stature(points, skeleton)
    else:
        bottom = sequences.extent(own)[1] + scale * tall
    matrix = affine.compose(
        affine.translate(width / 2, bottom), affine.scale(scale), affine.translate(-x - wide / 2, -y - tall)
    )
    return affine.apply(matrix, points)
