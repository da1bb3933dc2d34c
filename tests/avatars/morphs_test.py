"""Morphs: weights, groups, binary ones, overrides; what they do to vertices, UVs, bones and materials."""

import dataclasses

import numpy as np
import pytest

from anime_pt.avatars import morphs
from anime_pt.avatars.character import BoneChange, MaterialChange, Morph
from anime_pt.avatars.formats import mmd
from tests.avatars import asset_files, mmd_files
from tests.avatars.tiny_character import build_tiny


def shift(name: str, vertex: int, x: float, **fields) -> Morph:
    return Morph(name, np.array([vertex], np.int32), np.float32([[x, 0, 0]]), **fields)


def with_morphs(*items: Morph, **fields):
    return dataclasses.replace(build_tiny(), morphs=list(items), derived={}, **fields)


def moved(character, weights) -> dict[int, float]:
    """Vertex -> how far it moved along X."""
    result = morphs.apply(character, weights)
    if result is None:
        return {}
    change = result.positions - character.positions
    assert not change[:, 1:].any()
    return {int(i): pytest.approx(float(change[i, 0]), abs=1e-6) for i in np.flatnonzero(change[:, 0])}


def test_vertices_move_by_the_sum_of_weights():
    c = with_morphs(shift("a", 3, 0.1), shift("b", 3, 0.2), shift("c", 5, 1.0))
    before = c.positions.copy()
    assert moved(c, {"a": 1.0, "b": 0.5, "c": -0.25}) == {3: 0.2, 5: -0.25}
    np.testing.assert_array_equal(c.positions, before)
    twice = Morph("d", np.array([1, 1], np.int32), np.float32([[0.1, 0, 0], [0.2, 0, 0]]))
    assert moved(with_morphs(twice), {"d": 1.0}) == {1: 0.3}


def test_nothing_changes_without_weights():
    c = with_morphs(shift("a", 3, 0.1))
    for weights in ({}, {"a": 0.0}, {"unknown": 1.0}):
        assert morphs.apply(c, weights) is None


def test_names_are_compared_in_nfkc():
    c = with_morphs(shift("ｳｨﾝｸ２", 0, 1.0), shift("Ａ", 1, 1.0))
    assert moved(c, {"ウィンク2": 0.5, "a": 0.25}) == {0: 0.5, 1: 0.25}


def test_groups_hand_on_their_weight_through_other_groups():
    c = with_morphs(
        shift("leaf", 0, 1.0),
        Morph("inner", parts=((0, 0.5), (3, 2.0))),
        Morph("outer", parts=((1, 0.5), (0, 0.1))),
        shift("other", 1, 1.0),
    )
    assert moved(c, {"outer": 0.8, "leaf": 0.1}) == {0: 0.8 * (0.25 + 0.1) + 0.1, 1: 0.8}


def test_groups_in_circles_and_towers_end():
    loop = with_morphs(
        Morph("a", parts=((1, 1.0),)), Morph("b", parts=((0, 1.0), (2, 1.0))), shift("c", 0, 1.0)
    )
    assert moved(loop, {"a": 1.0}) == {0: 1.0}
    assert moved(loop, {"b": 1.0}) == {0: 1.0}
    # Each level doubles the paths: following them one by one would never end.
    tower = [Morph(str(i), parts=((i + 1, 0.5), (i + 1, 0.5))) for i in range(3000)]
    assert moved(with_morphs(*tower, shift("end", 0, 1.0)), {"0": 1.0}) == {0: 1.0}


def test_binary_morphs_are_on_or_off():
    c = with_morphs(shift("a", 0, 1.0, binary=True))
    assert moved(c, {"a": 0.5}) == {} and moved(c, {"a": 0.6}) == {0: 1.0}


def test_overrides_block_or_fade_others():
    c = with_morphs(
        shift("blinkLeft", 0, 1.0),
        shift("aa", 1, 1.0),
        shift("happy", 2, 1.0, overrides={"blink": "block", "mouth": "blend"}),
        kind="vrm",
    )
    assert moved(c, {"blinkLeft": 1.0, "aa": 0.5}) == {0: 1.0, 1: 0.5}
    assert moved(c, {"blinkLeft": 1.0, "aa": 0.5, "happy": 0.4}) == {1: 0.3, 2: 0.4}
    assert moved(c, {"aa": 0.5, "happy": 1.0}) == {2: 1.0}


def test_uvs():
    c = with_morphs(Morph("a", uv_vertices=np.array([2], np.int32), uv_offsets=np.float32([[0.25, -0.5]])))
    result = morphs.apply(c, {"a": 0.5})
    assert result.positions is None and result.materials is None
    change = result.uvs - c.uvs
    np.testing.assert_allclose(change[2], [0.125, -0.25], atol=1e-6)
    assert np.count_nonzero(change.any(1)) == 1


def test_bones():
    change = BoneChange(1, (0, 1, 0), (0, 0, 0, 1))
    c = with_morphs(Morph("a", bones=(change,)), Morph("g", parts=((0, 0.5),)))
    assert morphs.bone_changes(c, {"g": 0.5, "a": 0.1}) == [(change, pytest.approx(0.35))]
    assert morphs.apply(c, {"a": 1.0}) is None


def test_materials_multiply_then_add():
    double = MaterialChange(0, True, (0.5, 1, 1, 0.5), (1, 1, 1, 1), 0.5)
    add = MaterialChange(-1, False, (0.1, 0, 0, 0), (0, 0, 0, 0), 0.0)
    c = with_morphs(Morph("half", materials=(double,)), Morph("red", materials=(add,)))
    first, second = (np.array(m.color) for m in c.materials[:2])
    result = morphs.apply(c, {"half": 1.0, "red": 1.0}).materials
    np.testing.assert_allclose(result[0].color, np.append(first[:3] * [0.5, 1, 1] + [0.1, 0, 0], 0.5))
    np.testing.assert_allclose(result[1].color, (second + np.array([0.1, 0, 0, 0])).clip(0, 1))
    assert (result[0].outline, result[1].outline) == (c.materials[0].outline / 2, c.materials[1].outline)
    assert (result[0].alpha_mode, result[1].alpha_mode) == ("blend", "opaque")
    assert len(result) == len(c.materials) and result[2].color[0] > c.materials[2].color[0] - 1e-9
    # By halves: factors go from 1, sums from 0.
    weak = morphs.apply(c, {"half": 0.5}).materials[0]
    np.testing.assert_allclose(weak.color, first * [0.75, 1, 1, 0.75])


def test_targets_say_where_weight_1_leads():
    c = with_morphs(Morph("m", materials=(MaterialChange(1, targets={"emission": (1.0, 0.5, 0.0)}),)))
    result = morphs.apply(c, {"m": 0.5}).materials
    assert result[1].emission == (0.5, 0.25, 0.0) and result[0] is c.materials[0]
    assert result[1].color == c.materials[1].color


def test_morphs_of_a_pmx(tmp_path):
    (tmp_path / "a.pmx").write_bytes(mmd_files.pmx_bytes(version=2.1))
    c = mmd.load(tmp_path / "a.pmx")
    by_name = {m.name: m for m in c.morphs}
    assert [m.name for m in c.morphs][:2] == ["morph0", "まばたき"] and len(c.morphs) == 7
    assert by_name["morph0"].parts == ((0, 1.0),)
    assert by_name["まばたき"].vertices.tolist() == [3]
    np.testing.assert_allclose(by_name["まばたき"].offsets, [[0, 0.08, 0]])
    np.testing.assert_allclose(by_name["morph3"].uv_offsets, [[0, 1]])
    (bone,) = by_name["morph2"].bones
    assert bone.bone == 5
    np.testing.assert_allclose(bone.translation, [0, 0.08, -0.16])
    # 3, 4, 5, 6 as x, y, z, w; negating Z turns x and y around.
    np.testing.assert_allclose(bone.rotation, np.array([-3, -4, 5, 6]) / np.sqrt(86), atol=1e-7)
    (change,) = by_name["morph8"].materials
    assert (change.material, change.multiplies) == (0, True)
    # Rows 0 to 27: diffuse from 0, ambient from 8, edge from 11, texture from 16, toon from 24.
    colour = np.clip(0.6 * 0.5 + 0.2, 0, 1)
    after = np.clip(0.6 * 0.5 * np.arange(3) + 0.2 * np.arange(8, 11), 0, 1)
    factor = np.append(after / colour, 3) * np.arange(16, 20) * np.arange(24, 28)
    np.testing.assert_allclose(change.color, factor, rtol=1e-6)
    assert change.outline_color == (11, 12, 13, 14) and change.outline == 15


def test_morphs_of_a_pmd_go_through_the_base(tmp_path):
    (tmp_path / "a.pmd").write_bytes(mmd_files.pmd_bytes())
    c = mmd.load(tmp_path / "a.pmd")
    (blink,) = c.morphs
    assert blink.name == "まばたき" and blink.vertices.tolist() == [40]
    np.testing.assert_allclose(blink.offsets, [[0, -0.008, 0]], atol=1e-9)


@asset_files.parametrize("path", ".pmd", ".pmx")
def test_morphs_of_real_models(path):
    """Indices are in place, and a morph moves some vertices and not all."""
    try:
        c = mmd.load(path)
    except ValueError as e:
        pytest.skip(str(e))
    if not c.morphs:
        pytest.skip("no morphs")
    for morph in c.morphs:
        for vertices in (morph.vertices, morph.uv_vertices):
            assert not len(vertices) or (vertices.min() >= 0 and vertices.max() < len(c.positions))
        assert np.isfinite(morph.offsets).all() and np.isfinite(morph.uv_offsets).all()
    some = next((m for m in c.morphs if len(m.vertices) and m.offsets.any()), None)
    if some is not None:
        change = morphs.apply(c, {some.name: 1.0}).positions - c.positions
        assert 0 < np.count_nonzero(change.any(1)) < len(c.positions)
