"""Rigid bodies of MMD files as capsules: shapes, axes, handedness, who meets whom."""

import numpy as np
import pytest

from anime_pt.avatars.formats import mmd_physics, pmd, pmx
from anime_pt.avatars.formats.mmd_physics import Body
from tests.avatars import mmd_files
from tests.avatars.tiny_character import build_tiny

SPHERE, BOX, CAPSULE = range(3)


def body(**values) -> Body:
    fields = dict(bone=0, mode=0, group=0, mask=0xFFFF, shape=CAPSULE, size=(1, 4, 9), offset=(0, 0, 0))
    fields |= dict(rotation=(0, 0, 0)) | values
    return Body(**{k: np.array(v, float) if isinstance(v, tuple) else v for k, v in fields.items()})


def capsule(**values):
    (made,) = mmd_physics.capsules([body(**values)], build_tiny())
    return made


@pytest.mark.parametrize(
    "values,half,radius",
    [
        (dict(), (0, 0.16, 0), 0.08),
        (dict(shape=SPHERE), (0, 0, 0), 0.08),
        (dict(shape=BOX, size=(1, 3, 0.5)), (0, 3 * 0.08 - 0.06, 0), 0.06),
        (dict(shape=BOX, size=(4, 1, 1)), (0.24, 0, 0), 0.08),
        (dict(rotation=(0, 0, np.pi / 2)), (-0.16, 0, 0), 0.08),
        # Y turns to the front of a left-handed space, which is our back.
        (dict(rotation=(np.pi / 2, 0, 0)), (0, 0, -0.16), 0.08),
        # X first, then Y: the rod that lay along Z turns to X.
        (dict(rotation=(np.pi / 2, np.pi / 2, 0)), (0.16, 0, 0), 0.08),
    ],
)
def test_shapes(values, half, radius):
    made = capsule(bone=3, offset=(1.0, 2.0, 3.0), **values)
    middle = build_tiny().rest[3, :3, 3] + np.array([0.08, 0.16, -0.24])
    np.testing.assert_allclose(made.ends, middle + np.outer([-1, 1], half), atol=1e-12)
    assert made.bone == 3 and made.radii == pytest.approx((radius, radius))


def test_arms_let_through_what_the_file_says():
    c = build_tiny()
    arm, leg, hem = c.humanoid["leftLowerArm"], c.humanoid["leftUpperLeg"], 1
    for mask, passes in ((0b1000, frozenset()), (0b0111, {hem})):
        bodies = [
            body(bone=hem, mode=1, group=2, mask=mask),
            body(bone=arm, group=3),
            body(bone=leg, group=3),
        ]
        assert mmd_physics.loose(bodies) == [hem]
        of_arm, of_leg = mmd_physics.capsules(bodies, c)
        assert of_arm.passes == passes and of_leg.passes == frozenset()
    # The other's mask counts, too.
    bodies = [body(bone=hem, mode=2, group=2), body(bone=arm, mask=0xFFFF ^ 0b100)]
    assert mmd_physics.capsules(bodies, c)[0].passes == {hem}


def test_positions_are_from_the_bone(tmp_path):
    """PMD stores them so, PMX from the origin."""
    (tmp_path / "a.pmd").write_bytes(mmd_files.pmd_bytes("BODY.bmp"))
    (tmp_path / "a.pmx").write_bytes(mmd_files.pmx_bytes())
    old, new = pmd.read(tmp_path / "a.pmd"), pmx.read(tmp_path / "a.pmx")
    for made, raw in zip(mmd_physics.bodies(old), old.rigid_bodies, strict=True):
        np.testing.assert_array_equal(made.offset, raw["position"])
    for made, raw in zip(mmd_physics.bodies(new), new.rigid_bodies, strict=True):
        np.testing.assert_allclose(made.offset + new.bones[made.bone].position, raw.position, atol=1e-6)
    assert mmd_physics.loose(mmd_physics.bodies(new)) == [new.rigid_bodies[1].bone]
