"""Structure normalisation: a driver's poses on a body of other proportions, in that body's picture.

Stage Two of Tan, "2D full-body anime video from a single anime image and real human video". A limb keeps its
direction and gets the character's length: its vector in the picture is multiplied by the ratio of the two
lengths, about its parent, from the neck outwards. Where the camera has no perspective that is exact, however
a limb is foreshortened, since the limbs of both bodies point the same way in space. Shoulders and hips are
widths, which shrink as the body turns, so they are multiplied like limbs; heads are no limbs, see `heads`.

Both situations of the paper are there: a reference frame in which the driver is outstretched as the character
is in its picture, so that both show their full lengths; and one in which the driver has the pose of the
picture, so that both are foreshortened alike. Without either, a driver's lengths are the greatest that the
clip shows.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from anime_pt.pose import affine, contacts, heads, proportions
from anime_pt.pose.proportions import LEAVES, LIMBS, SIDES, WIDTHS, Proportions, middle, plain
from anime_pt.pose.sequences import PoseSequence, extent

# Limbs that are nearest to each other: what is unknown gets the mean ratio of its group, or of all limbs.
_GROUPS = (("trunk", *WIDTHS), ("upper_arm", "forearm"), ("thigh", "shin"))
_ALL = tuple(limb for group in _GROUPS for limb in group)
# In trunks: a limb that is shorter in a picture points at the camera.
_VISIBLE = 0.1
# The neck goes with the trunk by this share, with the head by the rest.
_WITH_TRUNK = 0.6
# Seconds to either side of a reference frame, and trunks by which joints may move there, over which it is
# averaged.
_HOLDS, _STILL = 0.15, 0.04
# Seconds over which a centred figure may sway.
_SWAY = 0.25


@dataclasses.dataclass(frozen=True)
class Normalised:
    """Poses of a character.

    Attributes:
      poses: in the frame of its picture.
      ratios: limb -> its length over the driver's.
      stands: (t - 1, 2) how far the left and the right foot stand from each frame to the next, in [0, 1].
      report: a line for everything that had to be guessed.
    """

    poses: PoseSequence
    ratios: Mapping[str, float]
    stands: np.ndarray
    report: tuple[str, ...]


def ratios(
    character: Proportions, driver: Proportions, same_pose: bool = False
) -> tuple[dict[str, float], list[str]]:
    """Limb -> character's length over the driver's, of both sides, and a line for each that is guessed.

    Args:
      character, driver: as measured.
      same_pose: whether they were measured in one pose, in which limbs are foreshortened alike.
    """
    known: dict[str, float] = {}
    for limb in (*_ALL, "neck", *LEAVES):
        names = (limb, *(f"{side}_{limb}" for side in SIDES))
        own, theirs = ({n: of.lengths[n] for n in names if n in of.lengths} for of in (character, driver))
        if same_pose:
            least = 0.0 if limb in LEAVES else _VISIBLE * driver.lengths["trunk"]
            both = [n for n in own if theirs.get(n, 0.0) > least]
            length, their_length = sum(own[n] for n in both), sum(theirs[n] for n in both)
        else:
            # Of two sides the longer: limbs may look shorter than they are, not longer.
            length, their_length = max(own.values(), default=0.0), max(theirs.values(), default=0.0)
        if length > 0 and their_length > 0:
            known[limb] = length / their_length
    out, report = {}, []
    for limb in (*_ALL, "neck", *LEAVES):
        near = next((group for group in _GROUPS if limb in group), ())
        like = [n for n in near if n in known] or [n for n in _ALL if n in known]
        out[limb] = known.get(limb, float(np.mean([known[n] for n in like])))
        if limb not in known and limb not in LEAVES:
            report.append(f"{limb}: not measured on both figures, gets the mean ratio of {', '.join(like)}")
    return out, report


def normalise(
    driver: PoseSequence,
    character: Proportions,
    size: tuple[float, float],
    reference: Proportions | int | None = None,
    same_pose: bool = False,
    turn_head: bool = True,
    centred: bool = False,
) -> Normalised:
    """The driver's poses as the character's.

    Args:
      driver: whose poses, and how large the picture is that they are in.
      character: measured in its picture or on its rig.
      size: (height, width) of that picture.
      reference: the number of the frame in which the driver is outstretched, or has the pose of the
        character's picture; or its proportions in pixels of the clip; None takes the clip's greatest lengths.
      same_pose: whether the reference has the pose of the character's picture.
      turn_head: whether the head faces as in the character's picture when the driver's faces as in the
        reference; else it faces as the driver's.
      centred: whether the figure stays in the middle of the picture; else it walks as many leg lengths as the
        driver.

    Raises:
      ValueError: the clip or its reference frame does not show neck, shoulders and hips, or there is no such
        frame.
    """
    given = proportions.joints(driver.keypoints[..., :2], driver.skeleton)
    proportions.check(given, "the clip")
    of, report = _filled(given)
    character, theirs, head, doubts = _measured(driver, given, character, reference, same_pose)
    ratio, guessed = ratios(character, theirs, same_pose)
    out = _limbs(of, ratio, character, theirs)
    if head is not None and character.head is not None:
        _face(of, out, ratio, character, theirs, *head, turn_head)
    frame = None if reference is None or isinstance(reference, Proportions) else reference
    out, stands = _grounded(of, given, out, ratio, character, driver.fps, frame)
    if centred:
        sway = contacts.smooth(middle(out, "hip")[:, 0], _SWAY * driver.fps) - size[1] / 2
        out = {name: places - sway[:, None] * [1.0, 0.0] for name, places in out.items()}
    keypoints = driver.keypoints.copy()
    for i, name in enumerate(driver.skeleton.keypoints):
        seen = np.isfinite(given[name]).all(1)
        keypoints[:, i, :2] = np.where(seen[:, None], out[name], np.nan)
    poses = PoseSequence(keypoints, driver.skeleton, size, driver.fps)
    return Normalised(poses, ratio, stands, (*report, *doubts, *guessed))


def around(
    poses: PoseSequence,
    picture: Float[np.ndarray, "k 3"],
    size: tuple[int, int],
    margin: float = affine.FIGURE_MARGIN,
) -> np.ndarray:
    """The map (2, 3) from the character's picture to a network's that holds the figure and all of its poses.

    Args:
      poses: in the frame of the character's picture.
      picture: joints of the figure there.
      size: (height, width) of the network's pictures.
      margin: free space around the joints, as a share of the picture's side.
    """
    return affine.fit(extent(np.concatenate([poses.keypoints.reshape(-1, 3), picture])), size, margin)


def cropped(poses: PoseSequence, matrix: Float[np.ndarray, "2 3"], size: tuple[int, int]) -> PoseSequence:
    """Poses in the part of the picture that a map takes to a picture of another size; see `around`."""
    keypoints = affine.apply(matrix, poses.keypoints).astype(poses.keypoints.dtype)
    return dataclasses.replace(poses, keypoints=keypoints, size=size)


def _measured(
    driver: PoseSequence,
    given: Mapping[str, np.ndarray],
    character: Proportions,
    reference: Proportions | int | None,
    same_pose: bool,
) -> tuple[Proportions, Proportions, tuple[heads.Shape, heads.Views] | None, list[str]]:
    """Both figures, the driver's head in the clip, and what is doubtful."""
    face = proportions.face(given)
    if reference is None:
        if same_pose:
            raise ValueError(
                "say which frame of the driver has the pose of the picture, or leave same_pose out"
            )
        theirs, views = proportions.of_clip(driver.keypoints, driver.skeleton)
        return character, theirs, None if views is None else (theirs.head, views), []
    if isinstance(reference, Proportions):
        theirs, frame = reference, None
    elif 0 <= reference < len(face):
        frame = reference
        shown = driver.keypoints[frame] if same_pose else _held(driver, frame)
        theirs = proportions.of_picture(shown, driver.skeleton, f"reference frame {frame}")
    else:
        raise ValueError(f"there is no reference frame {reference}: the clip has 0 to {len(face) - 1}")
    if theirs.head is None:
        head = heads.of_clip(face)
    elif same_pose:
        head = heads.of_clip(face, theirs.averages)
    else:
        head = heads.of_clip(face, (theirs.head,), theirs.rotation)
    if same_pose and theirs.head is not None and head is not None:
        # In one pose both heads face the same way, which a clip tells better than a picture.
        shape, views = head
        if frame is None:
            turned = heads.look(proportions.face(theirs.joints)[None], shape).rotations[0]
        else:
            turned = views.rotations[frame]
        theirs = proportions.with_head(theirs, turned)
        character = character if character.head is None else proportions.with_head(character, turned)
    doubts = []
    if frame is not None and not same_pose:
        for limb in proportions.longer(theirs, proportions.measure(given)):
            doubts.append(
                f"{limb}: much longer in the clip than in frame {frame}, is the driver outstretched?"
            )
    return character, theirs, head, doubts


def _held(driver: PoseSequence, frame: int) -> np.ndarray:
    """(k, 3) joints of a frame, the mean over those around in which the driver holds still: jitter goes."""
    points = driver.keypoints.astype(np.float64)
    of = proportions.joints(points[frame : frame + 1, :, :2], driver.skeleton)
    if not {"neck", "left_hip", "right_hip"} <= set(of):
        return driver.keypoints[frame]
    trunk = float(np.linalg.norm(of["neck"] - middle(of, "hip")))
    far = np.linalg.norm(points[..., :2] - points[frame, :, :2], axis=-1)
    # Joints that are unknown in either frame say nothing.
    still = ~(np.nan_to_num(far).max(1) > _STILL * trunk) & (trunk > 0)
    reach = max(1, round(_HOLDS * driver.fps))
    start, stop = frame, frame + 1
    while start > max(frame - reach, 0) and still[start - 1]:
        start -= 1
    while stop < min(frame + reach + 1, len(points)) and still[stop]:
        stop += 1
    out = points[frame].copy()
    known = np.isfinite(out[:, :2]).all(1)
    out[known, :2] = np.nanmean(points[start:stop, known, :2], 0)
    return out


def _filled(given: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Joints without gaps, which they cross on straight lines, and a line for each that is never seen.

    Those are where the joint is that they hang on, so that others can hang on them.
    """
    out, never = {}, []
    for name, places in given.items():
        seen = np.flatnonzero(np.isfinite(places).all(1))
        if len(seen):
            at = np.arange(len(places))
            out[name] = np.stack([np.interp(at, seen, places[seen, i]) for i in (0, 1)], 1)
        else:
            never.append(name)
    starts = {end: start for start, end in LIMBS.values()} | LEAVES
    order = [*starts, *map(plain, never)]
    for name in sorted(never, key=lambda name: order.index(plain(name))):
        start = starts.get(plain(name), "neck")
        start = start if start in out else name.removesuffix(plain(name)) + start
        out[name] = out.get(start, out["neck"])
    return out, [f"{name}: never seen in the clip, stays unknown" for name in never]


def _limbs(
    of: Mapping[str, np.ndarray], ratio: Mapping[str, float], character: Proportions, theirs: Proportions
) -> dict[str, np.ndarray]:
    """Joint -> (t, 2) against the neck, from the neck outwards."""
    shoulders, hips = middle(of, "shoulder"), middle(of, "hip")
    up = of["neck"] - hips
    out = {"neck": np.zeros_like(up)}
    # Shoulders rise by the length of their collar bones; how far they are below the neck is the trunk's.
    rest = character.lengths["collar"] - ratio["shoulders"] * theirs.lengths["collar"]
    chest = ratio["shoulders"] * (shoulders - of["neck"]) - rest / theirs.lengths["trunk"] * up
    pelvis = -ratio["trunk"] * up
    for joint, centre, width in (("shoulder", chest, "shoulders"), ("hip", pelvis, "hips")):
        half = ratio[width] * (of["left_" + joint] - of["right_" + joint]) / 2
        out |= {"left_" + joint: centre + half, "right_" + joint: centre - half}
    if "mid_hip" in of:
        out["mid_hip"] = pelvis + ratio["trunk"] * (of["mid_hip"] - hips)
    for side in SIDES:
        for limb, ends in LIMBS.items():
            start, end = (f"{side}_{joint}" for joint in ends)
            if end in of:
                out[end] = out[start] + ratio[limb] * (of[end] - of[start])
    for joint in of:
        if plain(joint) in LEAVES:
            start = proportions.above(joint, of)
            out[joint] = out[start] + ratio[plain(joint)] * (of[joint] - of[start])
    return out


def _face(
    of: Mapping[str, np.ndarray],
    out: dict[str, np.ndarray],
    ratio: Mapping[str, float],
    character: Proportions,
    theirs: Proportions,
    shape: heads.Shape,
    views: heads.Views,
    turn: bool,
) -> None:
    """Places the points of the face in `out`: those of the character's head, facing as the driver's.

    Args:
      shape, views: the driver's head in the clip.
      turn: see `normalise`.
    """
    rotations = views.rotations
    if turn and theirs.rotation is not None and character.rotation is not None:
        rotations = rotations @ theirs.rotation.T @ character.rotation
    # From the neck to between the ears: first the neck, then up the head from where it turns on the neck.
    crown = lambda turns: views.scales[:, None] * turns[:, :2, 1] * [1.0, -1.0]
    up = (of["neck"] - middle(of, "hip")) / theirs.lengths["trunk"]
    neck = _WITH_TRUNK * up + (1 - _WITH_TRUNK) * crown(views.rotations)
    own, scaled = -character.head.pivot[1], -ratio["neck"] * shape.pivot[1]
    origins = ratio["neck"] * (views.origins - of["neck"]) + (scaled - own) * neck
    origins += own * crown(rotations) - scaled * crown(views.rotations)
    places = dataclasses.replace(views, rotations=rotations, origins=origins).place(character.head.points)
    for i, name in enumerate(heads.FACE):
        if name in out:
            out[name] = np.where(np.isfinite(places[:, i]), places[:, i], out[name])


def _grounded(
    of: Mapping[str, np.ndarray],
    given: Mapping[str, np.ndarray],
    out: Mapping[str, np.ndarray],
    ratio: Mapping[str, float],
    character: Proportions,
    fps: float,
    frame: int | None,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Joints in the picture, so that feet that stand stay where they are, and how far they stand.

    Args:
      of, given: the driver's joints, without gaps and as they are.
      out: the character's, anywhere.
      ratio, character: its lengths and its picture.
      fps: frames per second.
      frame: in which it stands where it does in its picture; None: it walks from there.
    """
    first = frame or 0
    hips, root, own_hips = middle(of, "hip"), middle(out, "hip"), middle(character.joints, "hip")
    scale = (ratio["thigh"] + ratio["shin"]) / 2
    names = [f"{side}_ankle" for side in SIDES]
    if len(hips) < 2 or not all(n in given and np.isfinite(given[n]).all(1).any() for n in names):
        moves = own_hips + scale * (hips - hips[first]) - root
        return {name: places + moves for name, places in out.items()}, np.zeros((len(hips) - 1, 2))
    ankles = np.stack([of[n] for n in names], 1)
    ground = contacts.ground(ankles, fps)[0] if frame is None else ankles[frame, :, 1].max()
    own = np.array([character.joints[n][1] for n in names if n in character.joints])
    level = own_hips[1] + scale * (ground - hips[first, 1])
    if np.isfinite(own).any():
        level = np.nanmax(own)
    place = lambda points: [own_hips[0], level] + scale * (points - [hips[first, 0], ground])
    lengths = proportions.measure(of)
    legs = [lengths[f"{side}_thigh"] + lengths[f"{side}_shin"] for side in SIDES]
    stands = contacts.find(ankles, float(np.quantile(legs, 0.9)), fps)
    feet = np.stack([out[n] for n in names], 1) - root[:, None]
    path = contacts.path(place(hips), feet, place(ankles), stands)
    out = {name: places - root + path for name, places in out.items()}
    for side, foot, stand in zip(SIDES, names, stands.T, strict=True):
        slip = out[foot] - contacts.still(out[foot], stand)
        out[f"{side}_knee"] = out[f"{side}_knee"] - slip / 2
        for joint in (foot, *(n for n in out if plain(n) in LEAVES and proportions.above(n, out) == foot)):
            out[joint] = out[joint] - slip
    return out, stands
