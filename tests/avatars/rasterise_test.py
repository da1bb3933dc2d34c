"""Pictures: coverage, layers, alpha, outlines, light, and the same bytes in every process."""

import dataclasses
import hashlib
import pickle
import subprocess
import sys

import numpy as np
import pytest

from anime_pt.avatars import camera, keypoints, poses, rasterise, rig
from anime_pt.avatars.character import Material
from tests.avatars.scenes import CAMERA, RED, glass, render, scene, square
from tests.avatars.tiny_character import build_tiny


def test_square_covers_its_pixels_exactly():
    frame = render(scene((square(z=0.25), dataclasses.replace(RED, part="hair"))))
    inside = np.zeros((64, 64), bool)
    inside[16:48, 16:48] = True
    np.testing.assert_array_equal(frame.image[inside], np.tile([255, 0, 0, 255], (1024, 1)))
    np.testing.assert_array_equal(frame.image[~inside], np.tile([255, 255, 255, 0], (3072, 1)))
    np.testing.assert_allclose(frame.depth[inside], -0.25, atol=1e-6)
    assert np.isinf(frame.depth[~inside]).all() and frame.depth.dtype == np.float32
    assert (frame.parts[inside] == 3).all() and (frame.parts[~inside] == 0).all()
    assert set(np.unique(frame.triangles[inside])) == {0, 1} and (frame.triangles[~inside] == -1).all()


@pytest.mark.parametrize("supersample", [1, 2, 3])
def test_no_seams_and_no_double_blending(supersample):
    """A fan of thin triangles of glass has one and the same alpha everywhere: edges are half-open."""
    angles = np.linspace(0, 2 * np.pi, 40)[:-1]
    corners = [(0.0, 0.0, 0.0)] + [(0.8 * np.cos(a), 0.8 * np.sin(a), 0.0) for a in [*angles, 0.0]]
    frame = render(scene((corners, glass((0, 1, 0), 0.5))), supersample)
    y, x = np.mgrid[:64, :64] + 0.5
    inside = np.hypot(x - 32, y - 32) < 0.76 * 32
    np.testing.assert_array_equal(frame.image[inside], np.tile([0, 255, 0, 128], (inside.sum(), 1)))


def test_edges_are_smooth_and_straight_alpha():
    half = 0.5 + 0.25 / 32  # Ends a quarter into a pixel; half of the samples there are covered.
    frame = render(scene((square(half + 0.25 / 32), RED)))
    np.testing.assert_array_equal(frame.image[32, 15], [255, 0, 0, 128])
    np.testing.assert_array_equal(frame.over((255, 255, 255))[32, 15], [255, 127, 127])
    background = np.full((64, 64, 3), 10, np.uint8)
    assert frame.over(background)[0, 0].tolist() == [10, 10, 10]


@pytest.mark.parametrize("swap", [False, True])
def test_layers_blend_back_to_front(swap):
    near = (square(0.4, 0.5), glass((0.0, 1.0, 0.0), 0.5))
    far = (square(0.4, 0.2), glass((0.0, 0.0, 1.0), 0.5))
    back = (square(0.5, 0.0), RED)
    hidden = (square(0.4, -0.5), glass((1.0, 1.0, 1.0), 0.9))
    order = [back, near, far, hidden] if swap else [hidden, far, near, back]
    frame = render(scene(*order))
    np.testing.assert_array_equal(frame.image[32, 32], [64, 128, 64, 255])
    assert frame.depth[32, 32] == pytest.approx(-0.5)


def test_decal_in_the_same_plane_follows_drawing_order():
    decal = (square(0.3), glass((0.0, 0.0, 1.0), 0.5))
    assert render(scene((square(), RED), decal)).image[32, 32].tolist() == [128, 0, 128, 255]
    # Drawn before the opaque surface, the same decal is covered by it.
    assert render(scene(decal, (square(), RED))).image[32, 32].tolist() == [255, 0, 0, 255]


def test_filtering_does_not_bleed_the_colour_of_empty_texels():
    texture = np.zeros((2, 2, 4), np.uint8)
    texture[:, 0] = (255, 0, 0, 255)  # Red on the left; transparent black on the right.
    material = Material("half", texture=texture, alpha_mode="blend")
    row = render(scene((square(1.0), material))).image[32]
    partial = (row[:, 3] > 10) & (row[:, 3] < 245)
    assert partial.sum() >= 8
    np.testing.assert_array_equal(row[partial][:, :3], np.tile([255, 0, 0], (partial.sum(), 1)))


def test_mask_cuts_holes():
    texture = np.full((4, 4, 4), 255, np.uint8)
    texture[:, 2:, 3] = 0
    frame = render(scene((square(1.0), Material("net", texture=texture, alpha_mode="mask"))))
    assert frame.image[32, 16].tolist() == [255, 255, 255, 255]
    assert frame.image[32, 48, 3] == 0 and np.isinf(frame.depth[32, 48])


def test_back_faces():
    away = square()[::-1]
    assert render(scene((away, RED))).image[..., 3].max() == 0
    both = render(scene((away, dataclasses.replace(RED, double_sided=True))))
    assert both.image[32, 32].tolist() == [255, 0, 0, 255]


def test_outline_surrounds_the_figure():
    tiny = build_tiny()
    globals_ = rig.pose(tiny, poses.standing())
    view = camera.fit(tiny, globals_, 512)
    renderer = rasterise.Renderer(512)
    plain = renderer.render(tiny, globals_, view, outline=0.0)
    lined = renderer.render(tiny, globals_, view, outline=2.0)
    ink = np.abs(lined.image[..., :3].astype(int) - [31, 20, 26]).max(-1) < 3
    ink &= lined.image[..., 3] > 250
    inside = plain.image[..., 3] > 0
    # A line of two pixels outside the silhouette, all around, and nothing beyond.
    assert not (plain.image[..., :3].astype(int).sum(-1) < 80).any()
    grown = lambda mask, n: np.any(
        [np.roll(mask, (i, j), (0, 1)) for i in range(-n, n + 1) for j in range(-n, n + 1)], 0
    )
    assert not (ink & ~grown(inside, 3)).any()
    rim = grown(inside, 1) & ~inside
    assert (lined.image[rim][:, 3] > 128).mean() > 0.97
    # The figure itself is not painted over: no hull in front of what it belongs to.
    assert (ink & inside).sum() < 0.12 * inside.sum()


def test_translucent_outline():
    tiny = build_tiny()
    tiny.materials = [dataclasses.replace(m, outline_color=(0.0, 0.0, 1.0, 0.5)) for m in tiny.materials]
    view = camera.fit(tiny, tiny.rest, 128)
    drawn = rasterise.Renderer(128, 1).render(tiny, tiny.rest, view, outline=4.0).image
    plain = rasterise.Renderer(128, 1).render(tiny, tiny.rest, view, outline=0.0).image
    rim = (drawn[..., 3] > 0) & (plain[..., 3] == 0)
    assert rim.sum() > 100
    # One layer of blue, or two where the hulls of two limbs overlap; never black, never opaque.
    assert np.median(drawn[rim][:, 3]) == 128 and drawn[rim][:, 3].max() < 255
    np.testing.assert_array_equal(drawn[rim][:, :3], np.tile([0, 0, 255], (rim.sum(), 1)))


def test_no_outline_for_materials_without():
    decal = dataclasses.replace(glass((1.0, 0.5, 0.5), 0.5), outline=0.0)
    tiny = build_tiny()
    tiny.materials = [dataclasses.replace(decal, color=(*m.color[:3], 0.5)) for m in tiny.materials]
    view = camera.fit(tiny, tiny.rest, 64)
    frame = rasterise.Renderer(64).render(tiny, tiny.rest, view, outline=4.0)
    same = rasterise.Renderer(64).render(tiny, tiny.rest, view, outline=0.0)
    np.testing.assert_array_equal(frame.image, same.image)


def test_ramp_and_light():
    ramp = np.zeros((32, 3), np.uint8)
    ramp[:16], ramp[16:] = (255, 200, 100), (50, 60, 70)
    sheet = scene((square(), Material("toon", ramp=ramp)))
    assert render(sheet, light=(0, 0, 1)).image[32, 32].tolist() == [255, 200, 100, 255]
    assert render(sheet, light=(0, 0, -1)).image[32, 32].tolist() == [50, 60, 70, 255]


@pytest.mark.parametrize("mode,expected", [("multiply", [128, 64, 0]), ("add", [255, 255, 51])])
def test_sphere_map(mode, expected):
    sphere = np.zeros((8, 8, 4), np.uint8)
    sphere[:4] = (255, 128, 0, 255)  # Upper half: normals that point up.
    material = Material("m", color=(0.5, 0.5, 0.2, 1.0), sphere=sphere, sphere_mode=mode)
    up = scene((square(), material), normals=(0.0, 0.8, 0.6))
    frame = render(up)
    np.testing.assert_allclose(frame.image[32, 32, :3], expected, atol=1)
    down = scene((square(), material), normals=(0.0, -0.8, 0.6))
    expected = [0, 0, 0] if mode == "multiply" else [128, 128, 51]
    np.testing.assert_allclose(render(down).image[32, 32, :3], expected, atol=1)


def test_minified_texture_is_averaged():
    texture = np.zeros((512, 512, 4), np.uint8)
    texture[..., 3] = 255
    texture[::2, ::2, :3] = texture[1::2, 1::2, :3] = 255  # A checkerboard far finer than the pixels.
    frame = render(scene((square(0.9), Material("checker", texture=texture))))
    inner = frame.image[8:56, 8:56, :3].astype(int)
    assert np.abs(inner - 128).max() <= 2


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 1e30, 1e-30])
def test_hostile_vertices(poison):
    tiny = build_tiny()
    good = rasterise.Renderer(64).render(tiny, tiny.rest, camera.Camera(64, 64, 30.0, (0, 0.8, 0)))
    tiny.positions[::7] = poison
    tiny.normals[::5] = poison
    tiny.uvs[::3] = poison
    tiny.derived.clear()
    frame = rasterise.Renderer(64).render(tiny, tiny.rest, camera.Camera(64, 64, 30.0, (0, 0.8, 0)))
    assert frame.image.shape == good.image.shape and not np.isnan(frame.depth).any()
    view = camera.fit(tiny, tiny.rest, 64)
    assert np.isfinite(view.scale) and view.scale > 0


def test_hostile_pose():
    tiny = build_tiny()
    globals_ = np.full_like(tiny.rest, np.nan)
    view = camera.fit(tiny, globals_, 64)
    frame = rasterise.Renderer(64).render(tiny, globals_, view)
    assert frame.image[..., 3].max() == 0
    assert (keypoints.project(tiny, globals_, view, frame)[:, 2] == 0).all()


@pytest.mark.parametrize("field,value", [("joints", 99), ("triangles", -1), ("triangle_materials", 50)])
def test_indices_that_point_nowhere(field, value):
    tiny = build_tiny()
    getattr(tiny, field)[0] = value
    with pytest.raises(ValueError, match="index is outside"):
        rasterise.Renderer(64).render(tiny, tiny.rest, CAMERA)
    with pytest.raises(ValueError, match="globals of shape"):
        rig.skin(build_tiny(), np.eye(4)[None])


def test_nothing_to_draw():
    empty = scene()
    assert render(empty).image[..., 3].max() == 0
    flat = scene(([(0.0, 0.0, 0.0)] * 3, RED))
    assert render(flat).image[..., 3].max() == 0
    invisible = scene((square(), glass((1, 1, 1), 0.0)))
    assert render(invisible).image[..., 3].max() == 0
    assert camera.fit(empty, empty.rest, 64).scale > 0


def test_many_layers_need_a_larger_pool():
    sheets = [(square(0.9, 0.01 * i), glass((1.0, 1.0, 1.0), 0.1)) for i in range(10)]
    frame = render(scene(*sheets))
    assert frame.image[32, 32, 3] == round(255 * (1 - 0.9**10))


def test_wrong_sizes():
    tiny = build_tiny()
    with pytest.raises(ValueError, match="camera is for 64x64, renderer for 32x32"):
        rasterise.Renderer(32).render(tiny, tiny.rest, CAMERA)
    with pytest.raises(ValueError, match="supersample"):
        rasterise.Renderer(32, supersample=9)
    frame = rasterise.Renderer((40, 60)).render(tiny, tiny.rest, camera.fit(tiny, tiny.rest, (40, 60)))
    assert frame.image.shape == (40, 60, 4)


_HASH = """
import hashlib, numpy as np
from anime_pt.avatars import camera, keypoints, poses, rasterise, rig, keypoints
from tests.avatars.scenes import BLUE, CAMERA, RED, glass, render, scene, square
from tests.avatars.tiny_character import build_tiny
import dataclasses
tiny = build_tiny()
glass = lambda m: dataclasses.replace(m, color=(*m.color[:3], 0.6), alpha_mode="blend")
tiny.materials = [glass(m) for m in tiny.materials]
digest = hashlib.sha256()
rng = np.random.default_rng(3)
renderer = rasterise.Renderer(128)
for yaw in (0, 50, 200):
    globals_ = rig.pose(tiny, poses.sample(rng))
    view = camera.fit(tiny, globals_, 128, yaw=yaw)
    frame = renderer.render(tiny, globals_, view)
    for array in (frame.image, frame.depth, frame.parts, keypoints.project(tiny, globals_, view, frame)):
        digest.update(np.ascontiguousarray(array).tobytes())
print(digest.hexdigest())
"""


def test_same_bytes_in_every_process(pytestconfig):
    """Two fresh processes and this one agree to the last byte."""
    run = lambda: subprocess.run(
        [sys.executable, "-c", _HASH], capture_output=True, text=True, check=True, cwd=pytestconfig.rootpath
    ).stdout.strip()
    first, second = run(), run()
    assert first == second and len(first) == hashlib.sha256().digest_size * 2


def test_characters_travel_to_workers():
    """Pickling leaves derived data behind, and the copy draws the same."""
    tiny = build_tiny()
    view = camera.fit(tiny, tiny.rest, 64)
    drawn = rasterise.Renderer(64).render(tiny, rig.pose(tiny, poses.standing()), view)
    assert tiny.derived
    copy = pickle.loads(pickle.dumps(tiny))
    assert not copy.derived
    again = rasterise.Renderer(64).render(copy, rig.pose(copy, poses.standing()), view)
    np.testing.assert_array_equal(again.image, drawn.image)


def test_buffers_do_not_leak_between_frames():
    tiny = build_tiny()
    renderer = rasterise.Renderer(96)
    views = [camera.fit(tiny, tiny.rest, 96, yaw=yaw) for yaw in (0, 90)]
    fresh = [rasterise.Renderer(96).render(tiny, tiny.rest, v) for v in views]
    for index in (0, 1, 0):
        frame = renderer.render(tiny, tiny.rest, views[index])
        np.testing.assert_array_equal(frame.image, fresh[index].image)
        np.testing.assert_array_equal(frame.depth, fresh[index].depth)
