"""The rig of an MMD model file as fields of `Character`: bones, helpers, inverse kinematics, order.

Space: Z is negated. A rotation x, y, z, w becomes -x, -y, z, w, so limits about X and Y swap and change sign.
"""

from typing import Any

import numpy as np

from anime_pt.avatars.character import Append, Ik, IkLink
from anime_pt.avatars.formats import pmd, pmx_model

UNIT = 0.08  # Metres.
FLIP = np.array([1.0, 1.0, -1.0])
TURN_FLIP = np.array([-1.0, -1.0, 1.0, 1.0])
# PMD has no limits: a knee is known by its name. MMD gives it these when it writes PMX, and keeps half a
# degree from straight, where the side to which it bends would be lost.
_KNEE, KNEE_LOW, KNEE_HIGH = "ひざ", (float(np.radians(0.5)), 0.0, 0.0), (float(np.pi), 0.0, 0.0)


def fields(model: pmd.PmdModel | pmx_model.PmxModel, report: list[str]) -> dict[str, Any]:
    """The fields `parents`, `rest`, `appends`, `layers`, `after_physics`, `iks`, `fixed_axes` of a character.

    Args:
      model: as read.
      report: gets a line for each thing that is left out because it makes no sense.
    """
    names = [b.name for b in model.bones]
    parents = np.array([b.parent for b in model.bones], np.int32)
    parents[parents == np.arange(len(parents))] = -1
    rest = np.tile(np.eye(4), (len(names), 1, 1))
    rest[:, :3, 3] = np.array([b.position for b in model.bones]).reshape(-1, 3) * FLIP * UNIT
    special = _of_pmd(model, report) if isinstance(model, pmd.PmdModel) else _of_pmx(model, report)
    return {"bone_names": names, "parents": parents, "rest": rest, **special}


def _of_pmd(model: pmd.PmdModel, report: list[str]) -> dict[str, Any]:
    appends, iks = [], []
    # PMD solves its chains in their own order, then lets helpers follow.
    layers = np.zeros(len(model.bones), np.int32)
    for i, bone in enumerate(model.bones):
        source, ratio = -1, 1.0
        if bone.kind == pmd.KIND_APPEND:
            source = bone.ik
        elif bone.kind == pmd.KIND_APPEND_SHARE:
            # A percentage as a signed number in an unsigned field.
            source, ratio = bone.tail, float(np.array(bone.ik & 0xFFFF, np.uint16).view(np.int16)) / 100
        if 0 <= source < len(model.bones) and source != i:
            appends.append(Append(i, source, ratio))
            layers[i] = 1 + len(model.iks)
    for number, ik in enumerate(model.iks, 1):
        links = tuple(
            IkLink(b, KNEE_LOW, KNEE_HIGH) if _KNEE in model.bones[b].name else IkLink(b) for b in ik.links
        )
        layers[ik.bone] = number
        _add(iks, Ik(ik.bone, ik.target, links, ik.iterations, 4.0 * ik.step), model.bones[ik.bone], report)
    late = np.zeros(len(layers), bool)
    return {"appends": appends, "layers": layers, "after_physics": late, "iks": iks, "fixed_axes": {}}


def _of_pmx(model: pmx_model.PmxModel, report: list[str]) -> dict[str, Any]:
    appends, iks, axes = [], [], {}
    for i, bone in enumerate(model.bones):
        flag = lambda bit, bone=bone: bool(bone.flags & bit)
        if bone.append and bone.append[0] >= 0 and np.isfinite(bone.append[1]):
            kinds = (pmx_model.APPEND_ROTATION, pmx_model.APPEND_TRANSLATION, pmx_model.APPEND_LOCAL)
            appends.append(Append(i, *bone.append, *(flag(kind) for kind in kinds)))
        if bone.fixed_axis and np.isfinite(bone.fixed_axis).all() and any(bone.fixed_axis):
            axis = np.array(bone.fixed_axis) * FLIP
            axes[i] = axis / np.linalg.norm(axis)
        if bone.ik:
            links = tuple(_link(link) for link in bone.ik.links)
            _add(iks, Ik(i, bone.ik.target, links, bone.ik.iterations, bone.ik.step), bone, report)
    layers = np.array([b.layer for b in model.bones], np.int32)
    late = np.array([bool(b.flags & pmx_model.AFTER_PHYSICS) for b in model.bones], bool)
    return {"appends": appends, "layers": layers, "after_physics": late, "iks": iks, "fixed_axes": axes}


def _link(link: pmx_model.PmxIkLink) -> IkLink:
    if link.limits is None:
        return IkLink(link.bone)
    low, high = link.limits
    return IkLink(link.bone, (-high[0], -high[1], low[2]), (-low[0], -low[1], high[2]))


def _add(iks: list[Ik], ik: Ik, bone: pmd.PmdBone | pmx_model.PmxBone, report: list[str]) -> None:
    numbers = [ik.step, *(value for link in ik.links for value in (*(link.low or ()), *(link.high or ())))]
    if ik.effector < 0 or any(link.bone < 0 for link in ik.links) or not np.isfinite(numbers).all():
        report.append(f"inverse kinematics of {bone.name!r} is damaged and left out")
        return
    iks.append(ik)
