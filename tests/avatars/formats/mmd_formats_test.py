"""PMD and PMX files: every part is read, and damage is one clear error."""

import struct

import numpy as np
import pytest

from anime_pt.avatars.formats import pmd, pmx, pmx_model
from anime_pt.avatars.formats.binary import FormatError
from tests.avatars import asset_files, mmd_files

PMX_VARIANTS = [
    {},
    {"utf8": True, "bone_size": 2},
    {"bone_size": 4, "extra_uvs": 2, "wide": True},
    {"version": 2.1, "bone_size": 2, "utf8": True, "extra_uvs": 4},
]


def write(folder, data: bytes, name: str):
    path = folder / name
    path.write_bytes(data)
    return path


def test_pmd_parts(tmp_path):
    m = pmd.read(write(tmp_path, mmd_files.pmd_bytes("A.BMP*b.sph"), "a.pmd"))
    positions, _, triangles, bones = mmd_files.cube_mesh()
    assert (m.name, m.comment, m.trailing) == ("箱人", "comment", 0)
    np.testing.assert_allclose(m.vertices["position"], positions, atol=1e-6)
    np.testing.assert_array_equal(m.triangles, triangles)
    np.testing.assert_array_equal(m.vertices["bones"][:, 0], bones)
    assert [b.name for b in m.bones] == mmd_files.NAMES
    assert [b.parent for b in m.bones] == mmd_files.PARENTS
    helper = m.bones[mmd_files.NAMES.index("左ひざD")]
    assert (helper.kind, helper.ik) == (pmd.KIND_APPEND, mmd_files.NAMES.index("左ひざ"))
    assert [x.texture for x in m.materials] == ["A.BMP*b.sph"] * 2
    assert m.materials[1].diffuse[3] == 0.5 and m.materials[0].edge and not m.materials[1].edge
    assert m.iks[0].links == (mmd_files.NAMES.index("左ひざ"), mmd_files.NAMES.index("左足"))
    assert [x.name for x in m.morphs] == ["base", "まばたき"] and m.morphs[0].indices.tolist() == [40]
    assert m.english["bones"][2] == "bone2" and m.toons[9] == "toon10.bmp"
    assert m.rigid_bodies["mode"].tolist() == [0, 0] and m.joints["bodies"].tolist() == [[0, 1]]
    np.testing.assert_array_equal(m.joints["springs"][0], np.arange(18, 24))


@pytest.mark.parametrize("variant", PMX_VARIANTS)
def test_pmx_parts(tmp_path, variant):
    m = pmx.read(write(tmp_path, mmd_files.pmx_bytes(**variant), "a.pmx"))
    positions, _, triangles, bones = mmd_files.cube_mesh()
    assert (m.name, m.name_en, m.comment, m.trailing) == ("箱人", "boxes", "コメント", 0)
    np.testing.assert_allclose(m.vertices.positions, positions, atol=1e-6)
    np.testing.assert_array_equal(m.triangles, triangles)
    np.testing.assert_array_equal(m.vertices.bones[:, 0], bones)
    assert m.vertices.extra_uvs.shape == (len(positions), variant.get("extra_uvs", 0), 4)
    assert set(m.vertices.kinds) == set(range(5 if variant.get("version") else 4))
    sdef = m.vertices.kinds == pmx_model.SDEF
    np.testing.assert_array_equal(m.vertices.sdef[sdef][0].ravel(), np.arange(9))
    np.testing.assert_array_equal(
        m.vertices.weights[m.vertices.kinds == pmx_model.BDEF4][0], [1.5, 0.5, 0, 0]
    )
    np.testing.assert_array_equal(m.vertices.edge_scale, 0.75)
    assert m.textures == ["tex\\Body.PNG", "missing.spa"]
    assert [(x.name, x.texture, x.sphere, x.shared_toon) for x in m.materials] == [
        ("体", 0, -1, 0),
        ("肌", 0, 1, -1),
    ]
    assert [b.parent for b in m.bones] == mmd_files.PARENTS
    head, root = m.bones[5], m.bones[0]
    assert (
        head.fixed_axis == (0, 1, 2) and head.local_axes == (3, 4, 5, 6, 7, 8) and head.external_parent == 7
    )
    assert m.bones[-1].append == (mmd_files.NAMES.index("左ひざ"), 1.0)
    assert root.ik.iterations == 40 and root.ik.links[0].limits[0] == pytest.approx((-3.1, 0, 0))
    assert root.ik.links[1].limits is None
    assert [x.kind for x in m.morphs][:5] == [0, 1, 2, 3, 8] and m.morphs[1].rows["index"][0] == 3
    np.testing.assert_array_equal(m.morphs[4].rows["values"][0], np.arange(28))
    assert m.frames[0].items == ((False, 0), (True, 1))
    assert m.rigid_bodies[1].damping == (10, 11) and m.rigid_bodies[1].mode == 1
    assert m.joints[0].bodies == (0, 1) and m.joints[0].springs == tuple(range(18, 24))
    assert m.soft_bodies == (["soft"] if variant.get("version") else [])


def damaged():
    yield "pmd", mmd_files.pmd_bytes()
    for i, variant in enumerate(PMX_VARIANTS):
        yield f"pmx{i}", mmd_files.pmx_bytes(**variant)


@pytest.mark.parametrize("kind,data", list(damaged()), ids=lambda v: v if isinstance(v, str) else "")
def test_truncated(tmp_path, kind, data):
    read, name = (pmd.read, "a.pmd") if kind == "pmd" else (pmx.read, "a.pmx")
    for cut in [*range(0, len(data), len(data) // 7)[:7], 1, 5, len(data) - 1]:
        path = write(tmp_path, data[:cut], name)
        with pytest.raises(FormatError, match=name):
            read(path)


@pytest.mark.parametrize("kind,data", list(damaged()), ids=lambda v: v if isinstance(v, str) else "")
def test_flipped_bits(tmp_path, kind, data):
    """A flipped bit gives a model or a FormatError, never anything else, and allocates no gigabytes."""
    read, name = (pmd.read, "a.pmd") if kind == "pmd" else (pmx.read, "a.pmx")
    rng = np.random.default_rng(0)
    failed = 0
    for _ in range(120):
        flipped = bytearray(data)
        flipped[rng.integers(len(data))] ^= 1 << rng.integers(8)
        try:
            model = read(write(tmp_path, bytes(flipped), name))
            assert len(model.bones) <= 2 * len(mmd_files.BONES)
        except FormatError as e:
            assert name in str(e)
            failed += 1
    # Most bits belong to floats and names, but counts, sizes and indices must be noticed.
    assert 3 <= failed < 110


def test_wrong_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.pmx"):
        pmx.read(tmp_path / "gone.pmx")
    with pytest.raises(FormatError, match="not a regular file"):
        pmd.read(tmp_path)
    with pytest.raises(FormatError, match="signature"):
        pmx.read(write(tmp_path, b"Pmd" + bytes(400), "a.pmx"))
    huge = (
        b"PMX "
        + np.float32(2).tobytes()
        + bytes([8, 1, 0, 4, 4, 4, 4, 4, 4])
        + bytes(16)
        + b"\xff\xff\xff\x7f"
    )
    with pytest.raises(FormatError, match="2147483647 vertices do not fit"):
        pmx.read(write(tmp_path, huge, "b.pmx"))


@asset_files.parametrize("path", ".pmd", ".pmx")
def test_real_files(path):
    """Every file parses with all indices in range; a damaged one is told from a good one."""
    try:
        m = (pmd if path.suffix.lower() == ".pmd" else pmx).read(path)
    except FormatError as e:
        pytest.skip(f"damaged: {e}")
    assert m.trailing < 16
    assert sum(x.indices for x in m.materials) == m.triangles.size
    assert all(b.parent < len(m.bones) for b in m.bones)


def test_bones_without_names(tmp_path):
    """The shortest bones that the format allows, and little after them."""
    header = b"PMX " + struct.pack("<f9B", 2.0, 8, 0, 0, *(1,) * 6) + bytes(16)
    bone = bytes(8) + struct.pack("<3fbiHb", 0, 1, 0, -1, 0, 1, -1)
    (tmp_path / "bones.pmx").write_bytes(header + bytes(16) + struct.pack("<i", 40) + 40 * bone + bytes(16))
    m = pmx.read(tmp_path / "bones.pmx")
    assert len(m.bones) == 40 and m.bones[39].position == (0, 1, 0) and m.trailing == 0
