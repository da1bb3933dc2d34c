"""Folders in Unity Perception's SOLO format (version 0.10 and later of com.unity.perception).

    annotation_definitions.json         names of keypoints, by template
    sequence.N/step*.frame*.json        one for each frame; the pictures that it names stand beside it

A frame may show several figures. Each instance with a keypoint is an example of its own: a square about its
keypoints, bounding box and mask, a fifth larger than they are, as it is in the picture, background included;
its mask is that of the instance segmentation, or 255 where none was recorded. Keypoints go over to
`AVATAR_20` by name. The template "Coco" has the names and the order of OpenPose-18, so head_top and mid_hip
are missing: NaN, NaN, 0.
"""

import dataclasses
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from anime_pt.avatars.character import Terms
from anime_pt.avatars.formats.binary import FormatError
from anime_pt.pose.skeletons import AVATAR_20
from tfds_builders.unity_avatars import fields, pictures
from tfds_builders.unity_avatars.examples import Examples
from tfds_builders.unity_avatars.subjects import split_by, stamp

DEFINITIONS = "annotation_definitions.json"
_LARGEST_JSON = 64 << 20
_MARGIN = 0.1
# States of a keypoint, from Perception's manual of its KeypointLabeler.
_ABSENT, _HIDDEN, _VISIBLE = 0, 1, 2


@dataclasses.dataclass(frozen=True)
class Figure:
    """A labelled instance in a picture.

    Attributes:
      where: file and capture, for messages.
      picture: path of the picture.
      width, height: of the picture in pixels.
      segmentation: path of the picture of instances, or "".
      color: (r, g, b) of this one in it.
      label: what the project calls its kind.
      sequence, step: of the frame.
      instance: number within the frame.
      box: left, top, right, bottom of its bounding box in pixels, or () if none was recorded.
      keypoints: 20 times x, y, visibility in the order of `AVATAR_20`, pixels of the picture.
      definitions: path of the annotation definitions.
      stamps: sizes and times of the pictures.
    """

    where: str
    picture: str
    width: int
    height: int
    segmentation: str
    color: tuple[int, int, int]
    label: str
    sequence: int
    step: int
    instance: int
    box: tuple[float, ...]
    keypoints: tuple[tuple[float, float, float], ...]
    definitions: str
    stamps: tuple[int, ...]


def figures(folder: pathlib.Path) -> list[Figure]:
    """Finds all figures with keypoints below a folder, by sequence and step.

    Raises:
      FileNotFoundError: there is no frame, or none has a figure with a keypoint.
      FormatError: a file is damaged, or names one that is not there.
    """
    frames = sorted(p for p in folder.rglob("step*.frame*.json") if p.is_file())
    templates: dict[pathlib.Path, Mapping[str, Mapping[int, int]]] = {}
    out = []
    for path in frames:
        root = next((p for p in path.parents if (p / DEFINITIONS).is_file()), None)
        if root is None:
            raise FormatError(f"{path}: there is no {DEFINITIONS} in a folder above it")
        if root not in templates:
            templates[root] = _templates(root / DEFINITIONS)
        out.extend(_of_frame(path, root / DEFINITIONS, templates[root]))
    if not out:
        what = "figure with keypoints of our names" if frames else "step*.frame*.json"
        raise FileNotFoundError(f"{folder} holds no {what}; put the folder that Perception wrote there")
    return sorted(
        out, key=lambda f: (str(pathlib.Path(f.picture).parent.parent), f.sequence, f.step, f.where)
    )


def split(figures: Sequence[Figure]) -> dict[str, list[Figure]]:
    """By sequence, see `subjects.split_by`; with fewer than three of them there is only train."""
    group = lambda figure: f"{pathlib.Path(figure.picture).parent}"
    if len({group(f) for f in figures}) < 3:
        return {"train": list(figures)}
    return split_by(figures, group, "sequence")


def _json(path: pathlib.Path) -> dict[str, Any]:
    if path.stat().st_size > _LARGEST_JSON:
        raise FormatError(f"{path} is larger than {_LARGEST_JSON} bytes")
    return fields.parse(path.read_bytes(), str(path))


def _is(record: Any, kind: str) -> bool:
    return isinstance(record, dict) and record.get("@type") == f"type.unity.com/unity.solo.{kind}"


def _templates(path: pathlib.Path) -> dict[str, dict[int, int]]:
    """Template -> index -> place in `AVATAR_20` for each of its keypoints that have one."""
    out = {}
    for definition in fields.get(_json(path), "annotationDefinitions", list, str(path)):
        if not _is(definition, "KeypointAnnotation"):
            continue
        template = fields.get(definition, "template", dict, str(path))
        found: dict[int, int] = {}
        for keypoint in fields.objects(template, "keypoints", str(path)):
            name = re.sub(r"[\s-]+", "_", fields.get(keypoint, "label", str, str(path)).lower())
            if name in AVATAR_20.keypoints:
                found[fields.get(keypoint, "index", int, str(path))] = AVATAR_20.index(name)
        out[fields.get(template, "templateId", str, str(path))] = found
    return out


def _of_frame(
    path: pathlib.Path, definitions: pathlib.Path, templates: Mapping[str, Mapping[int, int]]
) -> list[Figure]:
    frame = _json(path)
    out = []
    for number, capture in enumerate(fields.get(frame, "captures", list, str(path))):
        if not _is(capture, "RGBCamera"):
            continue
        where = f"{path}, capture {number}"
        annotations = fields.get(capture, "annotations", list, where)
        colors, segmentation = _instances(annotations, path, where)
        labels, boxes = _labels(annotations), _boxes(annotations, where)
        picture = _beside(path, capture, where)
        width, height = (int(v) for v in fields.numbers(capture.get("dimension"), 2, f"{where}: 'dimension'"))
        for annotation in annotations:
            if not _is(annotation, "KeypointAnnotation"):
                continue
            template = fields.get(annotation, "templateId", str, where)
            if template not in templates:
                raise FormatError(f"{where}: {definitions} has no template {template!r}")
            for value in fields.objects(annotation, "values", where):
                instance = fields.get(value, "instanceId", int, where)
                points = _keypoints(value, templates[template], f"{where}, instance {instance}")
                if np.isnan(points[:, 0]).all():
                    continue
                seen = segmentation if instance in colors else None
                out.append(
                    Figure(
                        where,
                        str(picture),
                        width,
                        height,
                        str(seen or ""),
                        colors.get(instance, (0, 0, 0)),
                        labels.get(instance, ""),
                        fields.get(frame, "sequence", int, str(path)),
                        fields.get(frame, "step", int, str(path)),
                        instance,
                        boxes.get(instance, ()),
                        tuple(map(tuple, points.tolist())),
                        str(definitions),
                        (*stamp(picture), *(stamp(seen) if seen else ())),
                    )
                )
    return out


def _beside(path: pathlib.Path, record: Mapping[str, Any], where: str) -> pathlib.Path:
    name = pathlib.PurePath(fields.get(record, "filename", str, where))
    if name.is_absolute() or ".." in name.parts:
        raise FormatError(f"{where}: the file {str(name)!r} is not below the folder")
    if not (path.parent / name).is_file():
        raise FormatError(f"{where} names {path.parent / name}, which is not there")
    return path.parent / name


def _instances(
    annotations: Sequence[Any], path: pathlib.Path, where: str
) -> tuple[dict[int, tuple[int, int, int]], pathlib.Path | None]:
    """Instance -> color, and the picture that they are in."""
    for annotation in annotations:
        if _is(annotation, "InstanceSegmentationAnnotation"):
            colors = {}
            for instance in fields.objects(annotation, "instances", where):
                color = fields.numbers(instance.get("color"), 4, f"{where}: color of an instance")
                colors[fields.get(instance, "instanceId", int, where)] = tuple(int(c) for c in color[:3])
            return colors, _beside(path, annotation, where)
    return {}, None


def _labels(annotations: Sequence[Any]) -> dict[int, str]:
    """Instance -> name of its kind, from whichever annotation says so."""
    out = {}
    for annotation in annotations:
        if isinstance(annotation, dict):
            lists = [
                v for v in (annotation.get("values"), annotation.get("instances")) if isinstance(v, list)
            ]
            for value in (v for values in lists for v in values if isinstance(v, dict)):
                if isinstance(value.get("labelName"), str) and isinstance(value.get("instanceId"), int):
                    out.setdefault(value["instanceId"], value["labelName"])
    return out


def _boxes(annotations: Sequence[Any], where: str) -> dict[int, tuple[float, ...]]:
    """Instance -> left, top, right, bottom, where there are bounding boxes."""
    out = {}
    for annotation in annotations:
        if _is(annotation, "BoundingBox2DAnnotation"):
            for value in fields.objects(annotation, "values", where):
                x, y = fields.numbers(value.get("origin"), 2, f"{where}: origin of a box")
                w, h = fields.numbers(value.get("dimension"), 2, f"{where}: dimension of a box")
                out[fields.get(value, "instanceId", int, where)] = x, y, x + w, y + h
    return out


def _keypoints(value: Mapping[str, Any], places: Mapping[int, int], where: str) -> np.ndarray:
    out = np.tile([np.nan, np.nan, 0.0], (len(AVATAR_20), 1))
    for keypoint in fields.objects(value, "keypoints", where):
        index, state = (fields.get(keypoint, name, int, where) for name in ("index", "state"))
        if state not in (_ABSENT, _HIDDEN, _VISIBLE):
            raise FormatError(f"{where}: keypoint {index}: unknown state {state}")
        if index in places and state != _ABSENT:
            x, y = fields.numbers(keypoint.get("location"), 2, f"{where}: location of keypoint {index}")
            out[places[index]] = x, y, state == _VISIBLE
    return out


@dataclasses.dataclass(frozen=True)
class Figures(Examples):
    """Figures of a SOLO folder, cut out as squares of `resolution`."""

    resolution: int
    of: tuple[Figure, ...]

    def __len__(self) -> int:
        return len(self.of)

    def cut(self, start: int, stop: int) -> tuple["Figures", int]:
        return Figures(self.resolution, self.of[start:stop]), 0

    def files(self) -> tuple[tuple[str, Terms], ...]:
        return tuple((path, Terms()) for path in dict.fromkeys(figure.definitions for figure in self.of))

    def who(self) -> Iterator[tuple[str, str, int]]:
        return ((figure.label, "", 1) for figure in self.of)

    def make(self, index: int) -> tuple[str, dict[str, Any]]:
        figure = self.of[index]
        size = (figure.width, figure.height, figure.where)
        whole = pictures.read(pathlib.Path(figure.picture), *size)[..., :3]
        mask = np.full((figure.height, figure.width, 1), 255, np.uint8)
        points = np.array(figure.keypoints)
        known = points[np.isfinite(points[:, 0]), :2]
        if figure.box:
            known = np.concatenate([known, np.reshape(figure.box, (2, 2))])
        if figure.segmentation:
            instances = pictures.read(pathlib.Path(figure.segmentation), *size)[..., :3]
            mask = 255 * (instances == figure.color).all(-1, keepdims=True).astype(np.uint8)
            rows, columns = np.nonzero(mask[..., 0])
            known = np.concatenate([known, np.stack([columns, rows], -1), np.stack([columns, rows], -1) + 1])
        box = _square_about(known, max(figure.width, figure.height))
        image, mask, points = pictures.square(whole, mask, points, box, self.resolution)
        return f"{figure.where}, instance {figure.instance}", {
            "image": image,
            "mask": mask,
            "keypoints": points,
            "character": figure.label,
            "sequence": np.int32(figure.sequence),
            "step": np.int32(figure.step),
            "instance": np.int32(figure.instance),
        }


def _square_about(points: np.ndarray, largest: int) -> tuple[int, int, int]:
    """x, y and side of the square about points (n, 2), with a margin; at most `largest` to a side."""
    low, high = points.min(0), points.max(0)
    side = int(np.clip(np.ceil((high - low).max() * (1 + 2 * _MARGIN)), 1, largest))
    left, top = np.floor((low + high - side) / 2).astype(int).tolist()
    return left, top, side
