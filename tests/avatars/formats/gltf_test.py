import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from anime_pt.avatars.formats import gltf_nodes
from anime_pt.avatars.formats.binary import FormatError
from anime_pt.avatars.formats.gltf import Gltf
from anime_pt.avatars.formats.gltf_images import Images
from anime_pt.avatars.formats.gltf_mesh import Meshes, smooth_normals
from tests.avatars import gltf_files
from tests.avatars.gltf_files import Glb


def opened(glb: Glb, tmp_path) -> Gltf:
    return Gltf(glb.save(tmp_path / "file.glb"))


def accessor(glb: Glb, tmp_path, index: int, kind: str) -> np.ndarray:
    glb.json["extras"] = {"it": index}
    file = opened(glb, tmp_path)
    return file.accessor(file.json.object("extras"), "it", kind)


def test_accessors_of_all_component_types(tmp_path):
    for dtype, values in {
        "i1": [-128, 127],
        "u1": [0, 255],
        "i2": [-32768, 32767],
        "u2": [0, 65535],
        "u4": [0, 4294967295],
        "f4": [-1.5, 2.25],
    }.items():
        glb = Glb()
        got = accessor(glb, tmp_path, glb.accessor(values, dtype), "SCALAR")
        assert got.tolist() == values, dtype


def test_normalized_integers(tmp_path):
    glb = Glb()
    got = accessor(glb, tmp_path, glb.accessor([[-128, 127, 0]], "i1", normalized=True), "VEC3")
    np.testing.assert_allclose(got, [[-1, 1, 0]])
    glb = Glb()
    got = accessor(glb, tmp_path, glb.accessor([51, 255], "u1", normalized=True), "SCALAR")
    np.testing.assert_allclose(got, [0.2, 1.0])


def test_interleaved_and_sparse(tmp_path):
    glb = Glb()
    table = np.arange(24, dtype="<f4").reshape(4, 6)
    view = glb.view(table.tobytes(), byteStride=24)
    index = glb.add(
        "accessors",
        {"bufferView": view, "byteOffset": 12, "componentType": 5126, "count": 4, "type": "VEC3"},
    )
    np.testing.assert_array_equal(accessor(glb, tmp_path, index, "VEC3"), table[:, 3:])
    sparse = {
        "count": 2,
        "indices": {"bufferView": glb.view(np.array([0, 3], "<u2").tobytes()), "componentType": 5123},
        "values": {"bufferView": glb.view(np.full((2, 3), 7, "<f4").tobytes())},
    }
    both = glb.add("accessors", {**glb.json["accessors"][index], "sparse": sparse})
    expected = table[:, 3:].copy()
    expected[[0, 3]] = 7
    np.testing.assert_array_equal(accessor(glb, tmp_path, both, "VEC3"), expected)
    alone = glb.add("accessors", {"componentType": 5126, "count": 5, "type": "VEC3", "sparse": sparse})
    got = accessor(glb, tmp_path, alone, "VEC3")
    assert got.shape == (5, 3) and got.sum() == 42 and (got[[0, 3]] == 7).all()


def test_columns_of_small_matrices_are_padded(tmp_path):
    glb = Glb()
    data = np.array([1, 2, 0, 0, 3, 4, 0, 0], "u1")
    view = glb.view(data.tobytes())
    index = glb.add("accessors", {"bufferView": view, "componentType": 5121, "count": 1, "type": "MAT2"})
    assert accessor(glb, tmp_path, index, "MAT2").tolist() == [[[1, 2], [3, 4]]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"count": 4}, "more than its bufferView"),
        ({"count": 1 << 31}, "larger than"),
        ({"count": -1}, "outside"),
        ({"count": "3"}, "must be a number"),
        ({"count": 1.5}, "whole number"),
        ({"byteOffset": 8}, "more than its bufferView"),
        ({"byteOffset": -4}, "outside"),
        ({"bufferView": 9}, "outside"),
        ({"componentType": 5124}, "does not know"),
        ({"type": "VEC4"}, "expected VEC3"),
        ({"bufferView": None}, "must be a number"),
    ],
)
def test_bad_accessors(tmp_path, change, words):
    glb = Glb()
    index = glb.accessor(np.zeros((3, 3)))
    glb.json["accessors"][index].update(change)
    with pytest.raises(FormatError, match=words):
        accessor(glb, tmp_path, index, "VEC3")


def test_zeros_without_data_are_bounded(tmp_path):
    glb = Glb()
    for _ in range(3):
        glb.add("accessors", {"componentType": 5126, "count": 1 << 23, "type": "VEC3"})
    file = opened(glb, tmp_path)
    glb.json["extras"] = {"it": 0}
    file = opened(glb, tmp_path)
    fields = file.json.object("extras")
    assert file.accessor(fields, "it", "VEC3").nbytes == 12 << 23
    fields.data["it"] = 1
    file.accessor(fields, "it", "VEC3")
    fields.data["it"] = 2
    with pytest.raises(FormatError, match="larger than"):
        file.accessor(fields, "it", "VEC3")


def test_numbers_that_are_not_finite(tmp_path):
    glb = Glb()
    with pytest.raises(FormatError, match="not finite"):
        accessor(glb, tmp_path, glb.accessor([1.0, np.nan]), "SCALAR")


def test_gltf_with_data_uri_and_files(tmp_path):
    blob = np.arange(3, dtype="<f4").tobytes()
    root = {
        "asset": {"version": "2.0"},
        "extras": {"it": 0},
        "bufferViews": [{"buffer": 0, "byteLength": 12}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "SCALAR"}],
    }
    (tmp_path / "sub dir").mkdir()
    (tmp_path / "sub dir" / "data.bin").write_bytes(blob)
    (tmp_path.parent / "outside.bin").write_bytes(blob)
    path = tmp_path / "file.gltf"

    def read(uri: str) -> list[float]:
        path.write_text(json.dumps({**root, "buffers": [{"byteLength": 12, "uri": uri}]}))
        file = Gltf(path)
        return file.accessor(file.json.object("extras"), "it", "SCALAR").tolist()

    inline = "data:application/octet-stream;base64," + base64.b64encode(blob).decode()
    assert read(inline) == read("sub%20dir/data.bin") == [0, 1, 2]
    for uri in (
        "../outside.bin",
        str(tmp_path.parent / "outside.bin"),
        "file:///etc/passwd",
        "%2e%2e/outside.bin",
    ):
        with pytest.raises(FormatError, match="outside of its folder"):
            read(uri)
    with pytest.raises(FormatError, match=r"put 'no\.bin' beside it"):
        read("no.bin")
    with pytest.raises(FormatError, match="damaged"):
        read("data:;base64,@@@")
    with pytest.raises(FormatError, match="there are 9 bytes"):
        read("data:;base64," + base64.b64encode(blob[:9]).decode())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "neither GLB nor"),
        (b"glTF", "GLB header"),
        (b"glTF\1\0\0\0\14\0\0\0", "GLB version 1"),
        (b"glTF\2\0\0\0\14\0\0\0", "without a JSON chunk"),
        (b"glTF\2\0\0\0\377\377\377\0", "cut short"),
        (b'{"asset": {"version": "1.0"}}', "only 2.0"),
        (b'{"asset": 7}', "asset must be an object"),
        (b"{" * 9, "damaged"),
        (b'{"a":' * 20000, "nested too deeply"),
        (b'{"asset": {"version": "2.0"}, "extensionsRequired": ["KHR_draco_mesh_compression"]}', "no Draco"),
        (b'{"asset": {"version": "2.0"}, "extensionsRequired": 5}', "extensionsRequired"),
    ],
)
def test_no_gltf(tmp_path, data, words):
    path = tmp_path / "file.glb"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=words) as e:
        Gltf(path)
    assert "\n" not in str(e.value) and "file.glb" in str(e.value)


def test_nodes(tmp_path):
    glb = Glb()
    q = gltf_files.quaternion((0, 0, 1), 90)
    glb.add("nodes", {"children": [1], "translation": [1, 2, 3], "rotation": q, "scale": [2, 2, 2]})
    glb.add("nodes", {"matrix": [1, 0, 0, 0, 0, 0, 1, 0, 0, -1, 0, 0, 5, 0, 0, 1]})
    nodes = gltf_nodes.read(opened(glb, tmp_path))
    assert nodes.parents == [-1, 0] and nodes.order == [0, 1]
    # Five along the child's X, doubled, turned to Y.
    np.testing.assert_allclose(nodes.globals_[1, :3, 3], [1, 12, 3], atol=1e-12)
    np.testing.assert_allclose(nodes.translations[1], [5, 0, 0])
    np.testing.assert_allclose(gltf_files.matrix(nodes.rotations[1]), nodes.locals_[1, :3, :3], atol=1e-12)
    np.testing.assert_allclose(
        gltf_nodes.rotation_part(nodes.globals_[1]), nodes.globals_[1, :3, :3] / 2, atol=1e-12
    )
    mirrored = np.diag([-1.0, 2.0, 3.0, 1.0])
    assert np.linalg.det(gltf_nodes.rotation_part(mirrored)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("children", "words"),
    [
        ([[1], [0]], "form a cycle"),
        ([[0]], "has a parent already"),
        ([[2], [2], []], "has a parent already"),
        ([[1, 1], []], "has a parent already"),
        ([[7]], "indices below 1"),
        ([["a"]], "indices below 1"),
    ],
)
def test_bad_hierarchies(tmp_path, children, words):
    glb = Glb()
    for below in children:
        glb.add("nodes", {"children": below})
    with pytest.raises(FormatError, match=words):
        gltf_nodes.read(opened(glb, tmp_path))


def test_pictures(tmp_path):
    glb = Glb()
    pixels = np.array([[[255, 0, 0], [0, 255, 0]]], np.uint8)
    good = glb.texture(pixels)
    bomb = io.BytesIO()
    Image.new("1", (9000, 9000)).save(bomb, "PNG")
    bad = glb.add("textures", {"source": glb.add("images", {"bufferView": glb.view(b"nonsense")})})
    huge = glb.add("textures", {"source": glb.add("images", {"bufferView": glb.view(bomb.getvalue())})})
    images = Images(opened(glb, tmp_path))
    np.testing.assert_array_equal(images.texture(good)[..., :3], pixels)
    assert images.texture(bad) is None and images.texture(huge) is None
    assert "cannot be decoded" in images.report[0] and "9000x9000 is too large" in images.report[1]


def test_strips_fans_and_mirrored_nodes(tmp_path):
    glb = Glb()
    square = glb.accessor([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
    fan = glb.accessor([0, 1, 3, 2], "u1")
    for mode, indices in ((5, None), (6, fan)):
        primitive = {"attributes": {"POSITION": square}, "mode": mode}
        if indices is not None:
            primitive["indices"] = indices
        glb.add("meshes", {"primitives": [primitive]})
    glb.add("nodes", {"mesh": 0})
    glb.add("nodes", {"mesh": 1})
    glb.add("nodes", {"mesh": 1, "scale": [-1, 1, 1]})
    file = opened(glb, tmp_path)
    meshes = Meshes(file, gltf_nodes.read(file))
    assert len(meshes.parts) == 3
    for part in meshes.parts:
        ((_, triangles),) = part.triangles
        assert len(triangles) == 2
        # All face the viewer at +Z, as made; the mirrored one must, too.
        np.testing.assert_allclose(smooth_normals(part.positions, triangles), np.tile([0, 0, 1], (4, 1)))
        np.testing.assert_allclose(part.normals, np.tile([0, 0, 1], (4, 1)))


def test_many_copies_of_one_mesh_are_refused(tmp_path):
    glb = Glb()
    points = glb.add("accessors", {"componentType": 5126, "count": 1 << 16, "type": "VEC3"})
    glb.add("meshes", {"primitives": [{"attributes": {"POSITION": points}}]})
    for _ in range(1000):
        glb.add("nodes", {"mesh": 0})
    file = opened(glb, tmp_path)
    with pytest.raises(FormatError, match="vertices"):
        Meshes(file, gltf_nodes.read(file))


def test_huge_files_are_not_read(tmp_path):
    path = tmp_path / "huge.glb"
    with path.open("wb") as file:
        file.truncate((1 << 30) + 1)
    with pytest.raises(FormatError, match=r"huge\.glb: is larger than 1024 MiB"):
        Gltf(path)
