"""MediaPipe's 33 pose landmarks (BlazePose), as the common exporters write them to JSON.

A clip is a list with an entry for each frame, or a mapping with that list as "frames", "poses", "results" or
"data". An entry is the landmarks of one person, a list of these for several, or a mapping that holds them
under one of the names that the APIs use ("pose_landmarks", "poseLandmarks", "landmarks", "landmark" or
"keypoints"; a protocol buffer's {"landmark": [...]} inside). null, [] and {} are frames with nobody. Where
entries are numbered ("frame", "frame_id", "frame_index", "frame_number"), so are numbers that are left out.

A landmark is {"x", "y", "z", "visibility"} ("score" in tfjs), or a list [x, y], [x, y, z] or [x, y, z,
visibility]; there are 33 in MediaPipe's order, unless each has tfjs's "name" (MoveNet's 17 are read, too).
Coordinates are fractions of the picture as MediaPipe gives them, or pixels as tfjs does; both count from the
picture's edge, so that pixel centres are at .5. Fractions need the picture's size: "width" and "height" of
the mapping or of an entry, or what the caller knows.

World landmarks ("pose_world_landmarks", "poseWorldLandmarks", "world_landmarks", "worldLandmarks",
"keypoints3D", or a file of their own) are kept as `PoseSequence.world`: metres about the hips. The z of the
landmarks of the picture is not read: it is no length.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from anime_pt.pose import files
from anime_pt.pose.sequences import People, PoseFileError, floats, places, reach, unknown
from anime_pt.pose.skeletons import COCO_17, MEDIAPIPE_33, Skeleton

_FRAMES = ("frames", "poses", "results", "data")
_LANDMARKS = ("pose_landmarks", "poseLandmarks", "landmarks", "landmark", "keypoints")
_WORLD = ("pose_world_landmarks", "poseWorldLandmarks", "world_landmarks", "worldLandmarks", "keypoints3D")
_NUMBERS = ("frame", "frame_id", "frame_index", "frame_number")
_RATES = ("fps", "frameRate", "frame_rate")
_SKELETONS = {len(s): s for s in (MEDIAPIPE_33, COCO_17)}
# tfjs's own words for two joints.
_NAMES = {"mouth_left": "left_mouth", "mouth_right": "right_mouth"}
# Fractions reach a little past 0 and 1; no figure is this few pixels away from the corner.
_LARGEST_FRACTION = 4.0
# The middle of the hips, from which world landmarks count, in metres.
_ORIGIN = 0.05


def read(
    path: pathlib.Path,
    size: tuple[float, float] | None = None,
    fps: float = 30.0,
    world: pathlib.Path | None = None,
) -> People:
    """Reads a file of landmarks, see the module's docstring.

    Args:
      path: file.
      size: (height, width) of the pictures in pixels, where the file does not say it; for landmarks in pixels
        None is the smallest frame that reaches from the origin past every joint.
      fps: frames per second, where the file does not say it.
      world: a second file, of the world landmarks of the same people in the same frames.

    Raises:
      FileNotFoundError: no such file.
      PoseFileError: not such a file; or fractions of a picture whose size is unknown.
    """
    people = parse(files.load_json(path), path, size, fps)
    if world is None:
        return people
    document = files.load_json(world)
    frames = _entries(document, world)[0]
    skeleton, places_in_space = _join([_figures(f, world)[0] for f in frames], world, depth=True)
    counts = [[len(f) for f in some] for some in (people.frames, places_in_space)]
    if skeleton is not people.skeleton or counts[0] != counts[1]:
        raise PoseFileError(f"{world} does not have the people of {path}, in as many frames")
    return dataclasses.replace(people, worlds=places_in_space)


def fits(document: Any) -> bool:
    """Whether a document looks like landmarks in one of these forms."""
    if isinstance(document, Mapping):
        if any(name in document for name in (*_LANDMARKS, *_WORLD)):
            return True
        listed = [document[name] for name in _FRAMES if isinstance(document.get(name), list)]
        return bool(listed) and "format" not in document and fits(listed[0])
    if not isinstance(document, list):
        return False
    first = next((entry for entry in document if entry), None)
    if isinstance(first, Mapping):
        named = any(name in first for name in (*_LANDMARKS, *_WORLD))
        # A list of flat numbers is COCO's.
        flat = isinstance(first.get("keypoints"), list) and not _listed(first["keypoints"][:1])
        return _is_point(first) or (named and not flat)
    if isinstance(first, list):
        return (_is_point(first[0]) and len(first) == len(MEDIAPIPE_33)) or fits(first)
    return False


def parse(document: Any, path: pathlib.Path, size: tuple[float, float] | None, fps: float) -> People:
    """What a file holds; arguments and errors as `read`."""
    entries, said, rate = _entries(document, path)
    found = [_figures(entry, path) for entry in entries]
    skeleton, frames = _join([figures for figures, _ in found], path)
    worlds = None
    if any(w for _, world in found for w in world):
        of_world, worlds = _join([world for _, world in found], path, depth=True)
        if of_world is not skeleton or [len(w) for w in worlds] != [len(f) for f in frames]:
            raise PoseFileError(f"{path}: there are not as many world landmarks as landmarks")
    known = np.concatenate([np.abs(f[..., :2]).reshape(-1) for f in frames] or [np.zeros(0)])
    known = known[np.isfinite(known)]
    size = size or said
    if len(known) and np.median(known) <= _LARGEST_FRACTION:
        if skeleton is MEDIAPIPE_33 and _is_world(frames, skeleton):
            raise PoseFileError(
                f"{path} holds world landmarks (metres about the hips), which say nothing of the picture: "
                "give the landmarks of the picture, and these beside them"
            )
        if size is None:
            raise PoseFileError(
                f"{path}: landmarks are fractions of the picture, whose size it does not say: give its width "
                "and height"
            )
        frames = [frame * np.float32([size[1], size[0], 1]) for frame in frames]
    elif size is None:
        size = reach(frames)
    numbers = _numbers(entries, path)
    spread = lambda some: [some[numbers.index(i)] if i in numbers else None for i in range(numbers[-1] + 1)]
    frames = [unknown(0, skeleton) if f is None else f for f in spread(frames)]
    if worlds is not None:
        worlds = [unknown(0, skeleton) if w is None else w for w in spread(worlds)]
    return People(frames, skeleton, [size] * len(frames), rate or fps, [""] * len(frames), worlds)


def _entries(document: Any, path: pathlib.Path) -> tuple[list, tuple[float, float] | None, float | None]:
    """The frames of a document, the size of the picture and the frames per second if it says them."""
    size = rate = None
    entries = document
    if isinstance(document, Mapping):
        size, rate = _size(document, path), _number(document, _RATES)
        listed = [document[name] for name in _FRAMES if isinstance(document.get(name), list)]
        entries = listed[0] if listed else [document]
    if isinstance(entries, list) and entries and _is_point(entries[0]) and len(entries) in _SKELETONS:
        entries = [entries]
    if not isinstance(entries, list) or not entries:
        raise PoseFileError(f"{path} has no frames")
    sizes = {_size(entry, path) for entry in entries if isinstance(entry, Mapping)} - {None}
    if len(sizes) > 1:
        raise PoseFileError(f"{path}: frames differ in width or height")
    return entries, size or next(iter(sizes), None), rate


def _size(document: Mapping[str, Any], path: pathlib.Path) -> tuple[float, float] | None:
    height = _number(document, ("height", "image_height", "imageHeight"))
    width = _number(document, ("width", "image_width", "imageWidth"))
    if height is None or width is None:
        return None
    if not (0 < height < np.inf and 0 < width < np.inf):
        raise PoseFileError(f"{path}: width and height must be positive numbers")
    return height, width


def _number(document: Mapping[str, Any], names: Sequence[str]) -> float | None:
    values = (document.get(name) for name in names)
    return next((float(v) for v in values if isinstance(v, int | float) and v), None)


def _numbers(entries: list, path: pathlib.Path) -> list[int]:
    """Where each entry stands in the clip."""
    for name in _NUMBERS:
        values = [e.get(name) if isinstance(e, Mapping) else None for e in entries]
        if all(isinstance(v, int) for v in values):
            try:
                return places(values)
            except ValueError as error:
                raise PoseFileError(f'{path}: "{name}": {error}') from error
    return list(range(len(entries)))


def _figures(entry: Any, path: pathlib.Path) -> tuple[list, list]:
    """The people of a frame, and their world landmarks: lists of landmarks."""
    if not entry:
        return [], []
    if isinstance(entry, list) and isinstance(entry[0], Mapping) and not _is_point(entry[0]):
        # tfjs: a mapping for each person.
        both = [_figures(person, path) for person in entry]
        return [f for figures, _ in both for f in figures], [w for _, world in both for w in world]
    if isinstance(entry, list):
        return _people(entry, path), []
    if not isinstance(entry, Mapping):
        raise PoseFileError(f"{path}: a frame must be a list or a mapping")
    named = lambda names: next((entry[name] for name in names if entry.get(name)), None)
    return _people(named(_LANDMARKS), path), _people(named(_WORLD), path)


def _people(value: Any, path: pathlib.Path) -> list:
    if isinstance(value, Mapping):
        value = value.get("landmark")
    if not value:
        return []
    if not isinstance(value, list):
        raise PoseFileError(f"{path}: landmarks must be a list")
    if _is_point(value[0]):
        return [value]
    return [figure for person in value for figure in _people(person, path)]


def _is_point(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "x" in value and "y" in value
    return isinstance(value, list) and 2 <= len(value) <= 4 and not _listed(value)


def _listed(values: list) -> bool:
    return any(isinstance(v, list | Mapping) for v in values)


def _join(frames: list[list], path: pathlib.Path, depth: bool = False) -> tuple[Skeleton, list[np.ndarray]]:
    """The skeleton of all people, and (n, k, 3) of each frame: x, y and visibility, or x, y and z."""
    arrays = [[_points(figure, path, depth) for figure in figures] for figures in frames]
    skeletons = {s.name: s for figures in arrays for s, _ in figures}
    if len(skeletons) > 1:
        raise PoseFileError(f"{path} mixes {' and '.join(sorted(skeletons))}: read them one by one")
    (skeleton,) = skeletons.values() or [MEDIAPIPE_33]
    return skeleton, [np.stack([p for _, p in f]) if f else unknown(0, skeleton) for f in arrays]


def _points(figure: list, path: pathlib.Path, depth: bool) -> tuple[Skeleton, np.ndarray]:
    if len(figure) not in _SKELETONS:
        known = " or ".join(f"{n} ({s.name})" for n, s in _SKELETONS.items())
        raise PoseFileError(f"{path}: a person has {len(figure)} landmarks; this program reads {known}")
    skeleton = _SKELETONS[len(figure)]
    try:
        rows = [_row(point, depth) for point in figure]
        points = floats(rows)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise PoseFileError(f"{path}: a landmark must be x, y, z and visibility: {error!r}") from error
    names = [point.get("name") for point in figure if isinstance(point, Mapping)]
    if len(names) == len(figure) and all(names):
        names = [_NAMES.get(name, name) for name in names]
        if sorted(names) != sorted(skeleton.keypoints):
            raise PoseFileError(f"{path}: the landmarks' names are not those of {skeleton.name}")
        points = points[[names.index(name) for name in skeleton.keypoints]]
    elif len(figure) != len(MEDIAPIPE_33):
        raise PoseFileError(f"{path}: {len(figure)} landmarks must have names")
    lost = ~np.isfinite(points).all(1)
    if not depth:
        lost |= points[:, 2] <= 0
    points[lost] = np.nan if depth else (np.nan, np.nan, 0)
    return skeleton, points


def _row(point: Any, depth: bool) -> tuple[float, float, float]:
    """x, y and z, or x, y and visibility (1 where none is said)."""
    if isinstance(point, list):
        last = point[2] if depth else point[3] if len(point) > 3 else 1.0
        return point[0], point[1], last
    if depth:
        return point["x"], point["y"], point["z"]
    return point["x"], point["y"], point.get("visibility", point.get("score", 1.0))


def _is_world(frames: list[np.ndarray], skeleton: Skeleton) -> bool:
    hips = [skeleton.index("left_hip"), skeleton.index("right_hip")]
    middles = np.concatenate([f[:, hips, :2].mean(1) for f in frames])
    return bool((np.abs(middles) < _ORIGIN).all())
