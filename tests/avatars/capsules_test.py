"""Capsules measured on the mesh."""

import dataclasses

import numpy as np
import pytest

from anime_pt.avatars import capsules
from anime_pt.avatars.capsules import Capsule
from tests.avatars import skirted
from tests.avatars.tiny_character import build_tiny


def by_bone(character, loose=(), known=()) -> dict[str, Capsule]:
    hangs = np.isin(np.arange(len(character.parents)), loose)
    return {character.bone_names[c.bone]: c for c in capsules.measured(character, hangs, list(known))}


def test_limbs_are_as_thick_as_their_mesh():
    c = build_tiny()
    found = by_bone(c)
    legs = {s + p for s in ("left", "right") for p in ("UpperLeg", "LowerLeg")}
    assert set(found) == legs | {"hips", "spine", "head"}
    thigh = found["leftUpperLeg"]
    # An ellipsoid of radius 0.075 from hip to knee, thickest between them.
    np.testing.assert_allclose(thigh.ends[:, [0, 2]], [[0.09, 0.0]] * 2, atol=0.003)
    assert 0.80 < thigh.ends[0, 1] < 0.84 and thigh.ends[1, 1] == pytest.approx(0.47, abs=0.01)
    assert 0.065 < thigh.radii[0] < 0.09 and 0.045 < thigh.radii[1] < 0.075
    assert found["head"].radii == pytest.approx((0.12, 0.12), rel=0.1)
    np.testing.assert_allclose(found["rightUpperLeg"].ends, thigh.ends * [-1, 1, 1], atol=1e-6)


def test_cloth_is_not_body():
    """Neither what loose bones move, nor a skirt that is weighted to a leg, where there is skin."""
    c, hanging = skirted.build_skirted()
    bare = by_bone(build_tiny())["leftUpperLeg"]
    np.testing.assert_allclose(by_bone(c, hanging)["leftUpperLeg"].radii, bare.radii)
    stiff = dataclasses.replace(c, joints=c.joints.copy(), derived={})
    cloth = np.isin(c.joints[:, 0], hanging)
    stiff.joints[cloth] = c.humanoid["leftUpperLeg"]
    np.testing.assert_allclose(by_bone(stiff)["leftUpperLeg"].radii, bare.radii)


def test_files_know_the_trunk_better():
    c = build_tiny()
    known = [Capsule(c.humanoid[role], np.zeros((2, 3)), (0.1, 0.1)) for role in ("head", "leftUpperLeg")]
    assert set(by_bone(c)) - set(by_bone(c, known=known)) == {"head"}
