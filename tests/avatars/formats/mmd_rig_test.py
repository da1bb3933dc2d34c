"""What of an MMD file's rig reaches the character: chains, limits, axes, layers, spherical vertices."""

import dataclasses

import numpy as np
import pytest

from anime_pt.avatars import bone_pose, poses, rig
from anime_pt.avatars.formats import mmd, mmd_rig, pmd, pmx, pmx_model
from tests.avatars import asset_files, mmd_files


def load(folder, kind: str):
    path = folder / f"box.{kind}"
    path.write_bytes(mmd_files.pmx_bytes() if kind == "pmx" else mmd_files.pmd_bytes())
    return mmd.load(path)


def test_chains_of_a_pmx(tmp_path):
    c = load(tmp_path, "pmx")
    at = c.bone_names.index
    (chain,) = c.iks
    assert (chain.goal, chain.effector) == (at("センター"), at("左足首"))
    assert [link.bone for link in chain.links] == [at("左ひざ"), at("左足")]
    assert (chain.iterations, chain.step) == (40, 2.0)
    # -3.1 to 0 about X in the file, which is left-handed.
    np.testing.assert_allclose(chain.links[0].low, (0, 0, 0), atol=1e-9)
    np.testing.assert_allclose(chain.links[0].high, (3.1, 0, 0), rtol=1e-6)
    assert chain.links[1].low is None and chain.links[1].high is None


def test_chains_of_a_pmd_know_knees_by_name(tmp_path):
    c = load(tmp_path, "pmd")
    (chain,) = c.iks
    # 0.5 in units of 4 radians.
    assert chain.step == 2.0 and chain.iterations == 40
    np.testing.assert_allclose(np.degrees(chain.links[0].low), (0.5, 0, 0))
    np.testing.assert_allclose(np.degrees(chain.links[0].high), (180, 0, 0))
    assert chain.links[1].low is None
    # Helpers come after the chains.
    assert c.layers[c.bone_names.index("左足D")] > c.layers[chain.goal] > 0


def test_limits_about_all_axes_swap_with_their_signs():
    link = pmx_model.PmxIkLink(3, ((-1.0, -2.0, -3.0), (4.0, 5.0, 6.0)))
    ours = mmd_rig._link(link)
    assert (ours.low, ours.high) == ((-4.0, -5.0, -3.0), (1.0, 2.0, 6.0))


def test_axes_layers_and_words_of_a_pmx(tmp_path):
    c = load(tmp_path, "pmx")
    assert (c.kind, c.model_name, c.terms.fields["comment"]) == ("mmd", "箱人", "コメント")
    assert c.layers.tolist() == [0] * len(c.parents) and not c.after_physics.any()
    (bone,) = c.fixed_axes
    assert c.bone_names[bone] == "頭"
    np.testing.assert_allclose(c.fixed_axes[bone], np.array([0, 1, -2]) / np.sqrt(5))


def test_spherical_vertices_of_a_pmx(tmp_path):
    c = load(tmp_path, "pmx")
    # Every fourth vertex; C, R0, R1 are 0 to 8 in the file.
    assert c.sdef.vertices.tolist() == list(range(3, len(c.positions), 4))
    rise = c.rest[0, 1, 3] - 8 * 0.08
    np.testing.assert_allclose(c.sdef.centers[0], [0, 0.08 + rise, -0.16], atol=1e-6)
    np.testing.assert_allclose(c.sdef.first[0], [0.24, 0.32 + rise, -0.4], atol=1e-6)
    np.testing.assert_allclose(c.sdef.second[0], [0.48, 0.56 + rise, -0.64], atol=1e-6)


def test_damaged_chains_are_left_out_and_reported(tmp_path):
    (tmp_path / "a.pmx").write_bytes(mmd_files.pmx_bytes())
    model = pmx.read(tmp_path / "a.pmx")
    (bone,) = [b for b in model.bones if b.ik]
    for damage in ({"target": -1}, {"step": float("nan")}, {"links": (pmx_model.PmxIkLink(-1, None),)}):
        broken = dataclasses.replace(bone, ik=dataclasses.replace(bone.ik, **damage))
        changed = dataclasses.replace(model, bones=[broken if b is bone else b for b in model.bones])
        report = []
        assert mmd_rig.fields(changed, report)["iks"] == []
        assert report == ["inverse kinematics of 'センター' is damaged and left out"]


def test_shares_of_a_pmd_are_signed_percentages(tmp_path):
    (tmp_path / "a.pmd").write_bytes(mmd_files.pmd_bytes())
    model = pmd.read(tmp_path / "a.pmd")
    bones = list(model.bones)
    bones[-1] = dataclasses.replace(bones[-1], kind=pmd.KIND_APPEND_SHARE, tail=3, ik=65536 - 50)
    fields = mmd_rig.fields(dataclasses.replace(model, bones=bones), [])
    (share,) = [a for a in fields["appends"] if a.bone == len(bones) - 1]
    assert (share.source, share.ratio) == (3, -0.5)


@asset_files.parametrize("path", ".pmd", ".pmx")
def test_rest_of_real_models_is_nearly_rest(path):
    """Chains that are on do not tear a resting figure apart: its feet stay where they are."""
    try:
        c = mmd.load(path)
    except ValueError as e:
        pytest.skip(str(e))
    globals_ = rig.pose(c, bone_pose.rest(c))
    for side in ("left", "right"):
        for part, room in (("Foot", 0.01), ("LowerLeg", 0.03), ("Hand", 0.01), ("UpperLeg", 0.01)):
            bone = c.humanoid[side + part]
            assert np.linalg.norm(globals_[bone, :3, 3] - c.rest[bone, :3, 3]) < room, side + part
    # A pose of any body does not run the chains.
    standing = rig.pose(c, poses.standing())
    assert np.isfinite(standing).all()
