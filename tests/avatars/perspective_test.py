"""The perspective camera: where points fall, what is cut off, and pictures that are right in depth."""

import dataclasses

import numpy as np
import pytest

from anime_pt.avatars import camera, files, keypoints, morphs, poses, rasterise, rig
from anime_pt.avatars.character import Character, Material
from tests.avatars import asset_files
from tests.avatars.scenes import BLUE, RED, glass, scene, square
from tests.avatars.tiny_character import build_tiny

# Sees two metres, top to bottom, at a distance of two metres.
FOV = float(np.degrees(2 * np.arctan(0.5)))


def front(distance: float = 2.0, size=64, **kwargs) -> camera.Perspective:
    height, width = (size, size) if np.ndim(size) == 0 else size
    return camera.Perspective(width, height, FOV, (0.0, 0.0, distance), **kwargs)


def render(character: Character, view, outline: float = 0.0, supersample: int = 2) -> rasterise.Frame:
    renderer = rasterise.Renderer((view.height, view.width), supersample)
    return renderer.render(character, character.rest, view, outline=outline)


def test_points_by_hand():
    view = front(size=(100, 200))
    assert view.focal == pytest.approx(100)
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 1], [0.5, 0, -2]], float)
    expected = [[100, 50, 2], [150, 50, 2], [100, 0, 2], [200, -50, 1], [112.5, 50, 4]]
    np.testing.assert_allclose(view.project(points), expected, atol=1e-9)
    assert np.isnan(view.project([[0, 0, 2.1], [0, 0, 1.99]])).all()


@pytest.mark.parametrize("eye", [(0, 1, 3), (3, 1, 0), (-2, 2.5, -1), (0.1, -4, 0.2)])
def test_look_at(eye):
    view = camera.look_at((60, 80), eye, (0.2, 0.9, -0.1), fov=40)
    distance = np.linalg.norm(np.subtract(eye, (0.2, 0.9, -0.1)))
    np.testing.assert_allclose(view.project([0.2, 0.9, -0.1]), [40, 30, distance], atol=1e-9)
    # Upright: what is above the target is above it in the picture.
    x, y, _ = view.project([0.2, 1.0, -0.1])
    assert x == pytest.approx(40) and y < 30
    with pytest.raises(ValueError, match="cannot look at"):
        camera.look_at(64, eye, eye)


@pytest.mark.parametrize("field,value", [("fov", 0), ("fov", 180), ("near", 0)])
def test_impossible_lenses(field, value):
    with pytest.raises(ValueError, match=field):
        dataclasses.replace(front(), **{field: value})


def test_square_covers_its_pixels_and_has_its_depth():
    frame = render(scene((square(0.25, 1.0), RED), (square(1.0, -2.0), BLUE)), front())
    inside = np.zeros((64, 64), bool)
    inside[16:48, 16:48] = True
    # Both just fill the same half of the view: the nearer one hides the other.
    np.testing.assert_array_equal(frame.image[inside], np.tile([255, 0, 0, 255], (1024, 1)))
    assert not frame.image[~inside][:, 3].any()
    np.testing.assert_allclose(frame.depth[inside], 1.0, atol=1e-5)


def floor(texture: np.ndarray) -> Character:
    """Two metres square at Y = -0.5, textured once, far edge at Z = -4, near edge at Z = -2."""
    corners = [(-1, -0.5, -2), (1, -0.5, -2), (1, -0.5, -4), (-1, -0.5, -4)]
    character = scene((corners, Material("floor", texture=texture)))
    character.uvs = np.float32([[0, 1], [1, 1], [1, 0], [0, 0]])
    return character


@pytest.mark.parametrize("mode", ["opaque", "mask"])
def test_texture_is_right_in_depth(mode):
    """Red runs with u and green with v: read back, they are where the ray hits the floor."""
    steps = np.linspace(0, 255, 256).astype(np.uint8)
    texture = np.full((256, 256, 4), 255, np.uint8)
    texture[..., 0], texture[..., 1] = steps, steps[:, None]
    if mode == "mask":
        texture[:128, :, 3] = 0  # The far half is a hole.
    character = floor(texture)
    character.materials[0].alpha_mode = mode
    view = front(0.0001, size=256)
    frame = render(character, view)
    seen = np.zeros((256, 256), bool)
    seen[2:-2, 2:-2] = (frame.image[2:-2, 2:-2, 3] == 255) & (frame.image[1:-3, 2:-2, 3] == 255)
    seen &= np.roll(seen, 1, 0) & np.roll(seen, -1, 0) & np.roll(seen, 1, 1) & np.roll(seen, -1, 1)
    y, x = np.nonzero(seen)
    assert len(y) > 1000
    depth = 0.5 * view.focal / (y + 0.5 - 128)
    u = ((x + 0.5 - 128) / view.focal * depth + 1) / 2
    v = (4 - depth) / 2
    texels = frame.image[y, x, :2].astype(float) / 255
    # One and a half texels, that is less than a row of pixels spans.
    assert np.abs(texels[:, 0] - u).max() < 1.5 / 256 + 0.5 / 255
    # Where the floor is far a pixel spans up to two texels.
    assert np.abs(1 - texels[:, 1] - (1 - v)).max() < 3 / 256
    if mode == "mask":
        assert depth.max() < 3.02


def test_near_plane_cuts_triangles():
    """A floor that runs under the camera and behind it fills the picture below the horizon."""
    corners = [(-50, -0.5, 50), (50, -0.5, 50), (50, -0.5, -50), (-50, -0.5, -50)]
    frame = render(scene((corners, RED)), front(0.0), supersample=1)
    shown = frame.image[..., 3] == 255
    assert shown[33:].all() and not shown[:32].any()
    middle = 0.5 * 64 / (np.arange(33, 64) + 0.5 - 32)
    np.testing.assert_allclose(frame.depth[33:, 32], middle, rtol=1e-4)
    assert (frame.triangles[33:] == 1).all()


@pytest.mark.parametrize("tip", [0, 1, 2])
@pytest.mark.parametrize("outside", [1, 2])
def test_near_plane_leaves_what_is_beyond(tip, outside):
    """One triangle, with one or two corners behind the camera, against points on it."""
    corners = np.array([[-1, -0.3, -3], [1, -0.3, -3], [0, 0.5, -3]], float)
    behind = [(tip + i) % 3 for i in range(outside)]
    corners[behind, 2] = 1.0
    material = dataclasses.replace(RED, double_sided=True)
    view = front(0.0, size=128)
    frame = render(scene(([tuple(c) for c in corners.tolist()], material)), view, supersample=1)
    shares = np.random.default_rng(0).dirichlet((1, 1, 1), 4000)
    points = view.project(shares @ corners)
    points = points[(points[:, 2] > 0.1) & (np.abs(points[:, :2] - 64) < 62).all(1) & (shares.min(1) > 0.02)]
    assert len(points) > 100
    x, y = points[:, :2].astype(int).T
    assert (frame.image[y, x, 3] > 0).mean() > 0.99
    # Depth is where the ray through the middle of the pixel meets the plane of the triangle.
    y, x = np.nonzero(np.isfinite(frame.depth))
    rays = np.stack([(x - 63.5) / view.focal, (63.5 - y) / view.focal, -np.ones(len(x))], 1)
    normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    np.testing.assert_allclose(frame.depth[y, x], normal @ corners[0] / (rays @ normal), rtol=1e-4)


def test_nothing_behind_the_camera():
    assert not render(scene((square(0.5, 3.0), RED)), front()).image[..., 3].any()


def test_decal_follows_drawing_order_in_depth():
    decal = (square(0.3), glass((0.0, 0.0, 1.0), 0.5))
    assert render(scene((square(), RED), decal), front()).image[32, 32].tolist() == [128, 0, 128, 255]


def test_decal_of_what_is_seen_while_most_is_behind_the_camera():
    behind = [(square(0.5, z), BLUE) for z in (3.0, 5.0, 9.0, 30.0)]
    cloth, badge = (square(), RED), (square(0.3, 0.004), BLUE)
    # Drawn before what is 4 mm behind it, and still in front.
    frame = render(scene((square(0.3, 0.004), glass((0.0, 0.0, 1.0), 0.5)), cloth, *behind), front())
    assert frame.image[32, 32].tolist() == [128, 0, 128, 255]
    assert render(scene(badge, cloth, *behind), front()).image[32, 32].tolist() == [0, 0, 255, 255]


def test_tiny_figures_are_not_cut():
    tiny = build_tiny()
    small = dataclasses.replace(tiny, positions=tiny.positions * 0.01, derived={})
    view = camera.fit(small, small.rest, 64, fov=40.0)
    shown = render(small, view).image[..., 3] > 0
    expected = render(tiny, camera.fit(tiny, tiny.rest, 64, fov=40.0)).image[..., 3] > 0
    assert (shown ^ expected).mean() < 0.01 and expected.mean() > 0.1


@pytest.mark.parametrize("distance", [1.5, 6.0])
def test_outlines_keep_their_width_on_screen(distance):
    tiny = build_tiny()
    view = camera.look_at(512, (0, 0.8, distance), (0, 0.8, 0), fov=2 * np.degrees(np.arctan(0.9 / distance)))
    plain = render(tiny, view).image[..., 3] > 127
    lined = render(tiny, view, outline=4.0).image[..., 3] > 127
    rows = slice(150, 400)
    left = plain[rows].argmax(1) - lined[rows].argmax(1)
    assert 3.5 <= np.median(left) <= 4.5


def test_far_away_equals_orthographic():
    tiny = build_tiny()
    globals_ = rig.pose(tiny, poses.sample(np.random.default_rng(4)))
    flat = camera.fit(tiny, globals_, 128, yaw=30, pitch=10)
    eye = np.array(flat.center) + 2000 * flat.rotation[2]
    fov = 2 * np.degrees(np.arctan(64 / flat.scale / 2000))
    deep = camera.Perspective(128, 128, float(fov), tuple(eye), 30, 10)
    renderer = rasterise.Renderer(128)
    a, b = (renderer.render(tiny, globals_, v) for v in (flat, deep))
    different = (np.abs(a.image.astype(int) - b.image).max(-1) > 12).mean()
    assert different < 0.004
    shown = np.isfinite(a.depth) & np.isfinite(b.depth)
    assert np.median(np.abs(b.depth[shown] - 2000 - a.depth[shown])) < 2e-3


def test_keypoints_on_their_pixels():
    """Markers at the joints of a figure seen from near are drawn where the keypoints are."""
    tiny = build_tiny()
    globals_ = rig.pose(tiny, poses.sample(np.random.default_rng(2)))
    view = camera.fit(tiny, globals_, 256, yaw=20, pitch=15, fov=60)
    frame = rasterise.Renderer(256).render(tiny, globals_, view)
    points = keypoints.project(tiny, globals_, view, frame)
    joints = keypoints.positions(tiny, globals_)
    marks = scene(*((square(0.012), dataclasses.replace(RED, double_sided=True)) for _ in joints))
    marks.positions += np.repeat(joints, 4, 0).astype(np.float32)
    drawn = rasterise.Renderer(256).render(marks, marks.rest, view, outline=0.0)
    owners = marks.triangle_materials[drawn.triangles.clip(0)]
    owners[drawn.triangles < 0] = -1
    alone = 0
    for i, (x, y, _) in enumerate(points):
        rows, columns = np.nonzero(owners == i)
        if len(rows) >= 6:
            alone += 1
            assert np.hypot(columns.mean() + 0.5 - x, rows.mean() + 0.5 - y) < 1.0
    assert alone >= 15
    assert 8 <= points[:, 2].sum() <= 20


def test_keypoints_before_the_near_plane():
    tiny = build_tiny()
    view = camera.Perspective(64, 64, 60.0, (0.0, 0.8, -0.3))  # Inside the figure, looking away from it.
    points = keypoints.project(tiny, tiny.rest, view, render(tiny, view))
    assert np.isfinite(points).all() and (points[:, 2] == 0).any()


@pytest.mark.parametrize("fov", [None, 25.0, 80.0])
@pytest.mark.parametrize("size", [96, (80, 160), (160, 80)])
def test_fit_clip_holds_every_frame_tightly(size, fov):
    tiny = build_tiny()
    rng = np.random.default_rng(1)
    frames = [rig.pose(tiny, poses.sample(rng)) for _ in range(5)]
    for i, globals_ in enumerate(frames):
        globals_[:, :3, 3] += [0.2 * i, 0.1 * i, -0.1 * i]
    read = iter([(g, None) for g in frames])
    view = camera.fit_clip(tiny, read, size, yaw=40, pitch=-20, roll=10, margin=0.1, fov=fov)
    assert isinstance(view, camera.Camera if fov is None else camera.Perspective)
    points = np.concatenate([view.project(rig.skin(tiny, g))[:, :2] for g in frames])
    free = 0.1 * min(view.height, view.width)
    gaps = np.concatenate([points.min(0), [view.width, view.height] - points.max(0)]) - free
    assert gaps.min() >= -1e-3
    # One direction is filled up to its margin on both sides.
    tight = max(gaps[0], gaps[2]), max(gaps[1], gaps[3])
    assert min(tight) < 0.3


def test_fit_sees_morphs():
    tiny = build_tiny()
    wide = tiny.positions.copy()
    wide[:, 0] *= 3
    plain = camera.fit(tiny, tiny.rest, 64)
    morphed = camera.fit(tiny, tiny.rest, 64, morphed=morphs.Morphed(positions=wide))
    assert morphed.scale < 0.8 * plain.scale
    clip = camera.fit_clip(tiny, [(tiny.rest, None), (tiny.rest, morphs.Morphed(positions=wide))], 64)
    assert clip == morphed
    # A material that a morph makes invisible takes no room.
    head = [m.name for m in tiny.materials].index("head")
    faded = list(tiny.materials)
    faded[head] = dataclasses.replace(faded[head], color=(1.0, 1.0, 1.0, 0.0), alpha_mode="blend")
    headless = camera.fit(tiny, tiny.rest, 64, morphed=morphs.Morphed(materials=tuple(faded)))
    assert headless.center[1] < plain.center[1] - 0.05


def test_clip_without_frames():
    assert camera.fit_clip(build_tiny(), [], 64).scale > 0
    assert camera.fit_clip(build_tiny(), [], 64, fov=30.0).eye[2] > 0
    with pytest.raises(ValueError, match="fov"):
        camera.fit_clip(build_tiny(), [], 64, fov=200.0)


@pytest.mark.parametrize("poison", [np.nan, np.inf, 1e30])
def test_hostile_vertices(poison):
    tiny = build_tiny()
    tiny.positions[::7] = poison
    tiny.normals[::5] = poison
    for eye in ((0, 0.8, 3), (0, 0.8, 0)):
        frame = render(tiny, camera.Perspective(64, 64, 60.0, eye), outline=1.0)
        assert not np.isnan(frame.depth).any()
    view = camera.fit(tiny, tiny.rest, 64, fov=30.0)
    assert np.isfinite(view.eye).all()


@asset_files.parametrize("path", ".pmd", ".pmx", ".vrm", ".glb")
def test_real_characters(path):
    """Whole in a fitted picture, as large as the margin allows; and a camera inside of them draws on."""
    try:
        character = files.load(path)
    except ValueError as e:
        pytest.skip(str(e))
    if not len(camera.drawn_vertices(character)):
        pytest.skip("a skeleton without a mesh")
    globals_ = rig.pose(character, poses.sample(np.random.default_rng(5)))
    view = camera.fit(character, globals_, 128, yaw=70, pitch=15, fov=50.0)
    renderer = rasterise.Renderer(128)
    shown = renderer.render(character, globals_, view, outline=0.0)
    points = view.project(rig.skin(character, globals_)[camera.drawn_vertices(character)])
    low, high = points.min(0), points.max(0)
    margin = 0.06 * 128
    gaps = np.array([low[:2], 128 - high[:2]])
    assert gaps.min() >= margin - 0.1 and gaps.max(0).min() <= margin + 0.5
    # What is drawn lies where its vertices do; textures may leave parts of the mesh empty.
    y, x = np.nonzero(shown.image[..., 3] > 0)
    assert (
        len(y)
        and x.min() >= low[0] - 1
        and x.max() <= high[0]
        and y.min() >= low[1] - 1
        and y.max() <= high[1]
    )
    depths = shown.depth[np.isfinite(shown.depth)]
    assert low[2] - 1e-3 <= depths.min() and depths.max() <= high[2] + 1e-3
    head = globals_[character.humanoid["head"], :3, 3]
    inside = camera.look_at(128, tuple(head), tuple(head - [0.3, 1.0, 0.5]), fov=100.0)
    frame = renderer.render(character, globals_, inside)
    assert not np.isnan(frame.depth).any() and frame.depth.min() >= inside.near * 0.999
    assert np.isfinite(keypoints.project(character, globals_, inside, frame)).all()
