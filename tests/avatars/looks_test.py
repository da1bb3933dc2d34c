"""Surfaces: MToon, unlit, rims, matcaps, emission, outlines in both units, and the order of drawing."""

import dataclasses

import numpy as np
import pytest

from anime_pt.avatars import camera, morphs, rasterise
from anime_pt.avatars.character import Character, Material, MaterialChange, Morph
from tests.avatars.scenes import BLUE, CAMERA, RED, glass, render, scene, square
from tests.avatars.tiny_character import build_tiny

MTOON = Material(
    "mtoon", color=(0.8, 0.6, 0.4, 1.0), shade_color=(0.4, 0.0, 0.2), shading="mtoon", toony=0.5, outline=0.0
)


def seen(material: Material, normal=(0.0, 0.0, 1.0), light=(0.0, 0.0, 1.0)) -> np.ndarray:
    """Colour in [0, 1] of the middle of a square."""
    frame = render(scene((square(), material), normals=normal), light=light)
    assert frame.image[32, 32, 3] == 255
    return frame.image[32, 32, :3] / 255


def towards(cosine: float) -> tuple[float, float, float]:
    """A light that has this n.l on a square that faces the viewer."""
    return (float(np.sqrt(1 - cosine**2)), 0.0, cosine)


@pytest.mark.parametrize("toony,shift", [(0.5, 0.0), (0.9, 0.0), (0.0, -0.3), (0.7, 0.4), (1.0, 0.0)])
@pytest.mark.parametrize("cosine", [-0.9, -0.3, -0.05, 0.05, 0.2, 0.45, 1.0])
def test_mtoon_steps_from_shade_to_light(toony, shift, cosine):
    """linearstep(-1 + toony, 1 - toony, n.l + shift) of VRMC_materials_mtoon 1.0."""
    low, high = -1 + toony, 1 - toony
    share = np.clip((cosine + shift - low) / max(high - low, 1e-9), 0, 1)
    expected = share * np.array([0.8, 0.6, 0.4]) + (1 - share) * np.array([0.4, 0.0, 0.2])
    material = dataclasses.replace(MTOON, toony=toony, shift=shift)
    np.testing.assert_allclose(seen(material, light=towards(cosine)), expected, atol=1 / 255)


def test_mtoon_textures():
    flat = lambda *color: np.full((2, 2, 4), (*color, 255), np.uint8)
    lit, dark = flat(255, 128, 0), flat(0, 255, 51)
    both = dataclasses.replace(MTOON, texture=lit, shade_texture=dark)
    np.testing.assert_allclose(seen(both, light=towards(1)), [0.8, 0.6 * 128 / 255, 0], atol=1 / 255)
    np.testing.assert_allclose(seen(both, light=towards(-1)), [0, 0, 0.2 * 0.2], atol=1 / 255)
    # Without one of its own, the shade shows the base texture.
    shared = dataclasses.replace(MTOON, texture=lit)
    np.testing.assert_allclose(seen(shared, light=towards(-1)), [0.4, 0, 0], atol=1 / 255)


@pytest.mark.parametrize("cosine", [-1.0, 0.0, 1.0])
def test_unlit_knows_no_light(cosine):
    black = np.zeros((32, 3), np.uint8)
    material = dataclasses.replace(MTOON, shading="unlit", ramp=black)
    np.testing.assert_allclose(seen(material, light=towards(cosine)), [0.8, 0.6, 0.4], atol=1 / 255)


@pytest.mark.parametrize("power,lift", [(1.0, 0.0), (5.0, 0.0), (2.0, 0.3), (3.0, -0.2)])
@pytest.mark.parametrize("slant", [0.0, 0.6, 0.9])
def test_rim(slant, power, lift):
    """saturate(1 - n.v + lift) ** power, added."""
    rim = np.array([0.1, 0.3, 0.5])
    material = dataclasses.replace(
        MTOON, shading="unlit", rim_color=tuple(rim), rim_power=power, rim_lift=lift
    )
    normal = (slant, 0.0, float(np.sqrt(1 - slant**2)))
    expected = np.array([0.8, 0.6, 0.4]) + rim * np.clip(1 - normal[2] + lift, 0, 1) ** power
    np.testing.assert_allclose(seen(material, normal), np.minimum(expected, 1), atol=1.5 / 255)


def test_rim_follows_the_ray_in_perspective():
    """A wall that faces the camera is seen at a slant at the side of a wide picture."""
    material = dataclasses.replace(
        MTOON, color=(0, 0, 0, 1), shading="unlit", rim_color=(1, 1, 1), rim_power=1
    )
    view = camera.Perspective(64, 64, 90.0, (0.0, 0.0, 1.0))
    wall = scene((square(1.0), material))
    row = rasterise.Renderer(64, 1).render(wall, wall.rest, view, outline=0.0).image[32, :, 0] / 255
    x, y = (np.arange(64) - 31.5) / 32, 0.5 / 32
    np.testing.assert_allclose(row, 1 - 1 / np.sqrt(1 + x**2 + y**2), atol=1 / 255)


def matcap() -> np.ndarray:
    """Red grows to the right, green to the top."""
    steps = (255 * (np.arange(64) + 0.5) / 64).astype(np.uint8)
    out = np.zeros((64, 64, 4), np.uint8)
    out[..., 0], out[..., 1], out[..., 3] = steps, steps[::-1, None], 255
    return out


def test_matcap_is_added_after_shading():
    """On a surface in the shade, which would darken it."""
    material = dataclasses.replace(
        MTOON, color=(0, 0, 0, 1), shade_color=(0, 0, 0.5), sphere=matcap(), sphere_mode="add"
    )
    for normal in ((0.0, 0.0, 1.0), (0.6, 0.0, 0.8), (-0.48, 0.64, 0.6)):
        expected = [0.5 + normal[0] / 2, 0.5 + normal[1] / 2, 0.5]
        np.testing.assert_allclose(seen(material, normal, light=(0, 0, -1)), expected, atol=0.015)


def test_matcap_of_a_wall_in_perspective():
    """Its axes are square to the ray: at the sides, a wall that faces the camera shows its sides."""
    black = dataclasses.replace(
        MTOON, color=(0, 0, 0, 1), shade_color=(0, 0, 0), sphere=matcap(), sphere_mode="add"
    )
    view = camera.Perspective(64, 64, 90.0, (0.0, 0.0, 1.0))
    wall = scene((square(1.0), black))
    image = rasterise.Renderer(64, 1).render(wall, wall.rest, view, outline=0.0).image / 255
    # At the right the ray comes from the left of the picture: v = (-x, 0, 1), and n.x' = -v.x / |v|.
    x = (np.arange(64) - 31.5) / 32
    np.testing.assert_allclose(image[32, :, 0], 0.5 + 0.5 * x / np.sqrt(1 + x**2), atol=0.02)
    np.testing.assert_allclose(image[:, 32, 1], 0.5 - 0.5 * x / np.sqrt(1 + x**2), atol=0.02)


def test_emission():
    half = np.full((2, 2, 4), (128, 255, 0, 255), np.uint8)
    material = dataclasses.replace(
        MTOON, shade_color=(0.1, 0.1, 0.1), emission=(0.5, 0.2, 0.9), emission_texture=half
    )
    np.testing.assert_allclose(seen(material, light=towards(-1)), [0.1 + 0.251, 0.3, 0.1], atol=1.5 / 255)
    bright = dataclasses.replace(material, emission_texture=None, emission=(2.0, 0.0, 0.0))
    assert seen(bright)[0] == 1.0


def test_light_of_translucent_surfaces_is_no_more_than_they_cover():
    material = dataclasses.replace(glass((0, 0, 0), 0.5), shading="unlit", emission=(1.0, 0.0, 0.0))
    frame = render(scene((square(), material)))
    assert frame.image[32, 32].tolist() == [255, 0, 0, 128]


def bar(unit: str, width: float) -> Character:
    """A round bar along Y with a radius of a quarter metre, blue, outlined in red."""
    tiny = build_tiny()
    angle, height = np.meshgrid(np.linspace(0, 2 * np.pi, 49)[:-1], [-1.0, 1.0])
    normals = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], -1).reshape(-1, 3)
    positions = 0.25 * normals
    positions[:, 1] = height.ravel()
    i = np.arange(48)
    j = (i + 1) % 48
    triangles = np.concatenate([np.stack([i, j, i + 48], 1), np.stack([j, j + 48, i + 48], 1)])
    material = dataclasses.replace(BLUE, outline=width, outline_unit=unit, outline_color=(1.0, 0.0, 0.0, 1.0))
    count = len(positions)
    return dataclasses.replace(
        tiny,
        positions=positions.astype(np.float32),
        normals=normals.astype(np.float32),
        uvs=np.zeros((count, 2), np.float32),
        joints=np.zeros((count, 4), np.int32),
        weights=np.tile(np.float32([1, 0, 0, 0]), (count, 1)),
        outline_scale=np.ones(count, np.float32),
        triangles=triangles.astype(np.int32),
        triangle_materials=np.zeros(96, np.int32),
        materials=[material],
        derived={},
    )


def lines(character: Character, view, outline: float = 1.0) -> float:
    """Mean width in pixels of the red lines at the two sides."""
    frame = rasterise.Renderer(512).render(character, character.rest, view, outline=outline)
    row = frame.image[256].astype(float) / 255
    return float((row[:, 0] * row[:, 3]).sum() / 2)


@pytest.mark.parametrize("scale", [200.0, 400.0])
def test_outline_units_orthographic(scale):
    view = camera.Camera(512, 512, scale)
    assert lines(bar("metres", 0.02), view) == pytest.approx(0.02 * scale, abs=0.3)
    assert lines(bar("screen", 3.0), view) == pytest.approx(3.0, abs=0.3)
    assert lines(bar("screen", 3.0), view, outline=2.0) == pytest.approx(6.0, abs=0.3)
    assert lines(bar("metres", 0.02), view, outline=0.0) == 0
    halved = bar("metres", 0.02)
    halved.outline_scale[:] = 0.5
    assert lines(halved, view) == pytest.approx(0.01 * scale, abs=0.3)


@pytest.mark.parametrize("distance", [2.0, 4.0])
def test_outline_units_perspective(distance):
    view = camera.look_at(512, (0.0, 0.0, distance), (0.0, 0.0, 0.0), fov=30.0)
    # The silhouette of a round bar is where the ray touches it.
    touch = np.sqrt(distance**2 - 0.25**2)
    slant = touch / distance
    per_metre = view.focal / (touch * slant) / slant
    assert lines(bar("metres", 0.02), view) == pytest.approx(0.02 * per_metre, rel=0.06, abs=0.2)
    assert lines(bar("screen", 3.0), view) == pytest.approx(3.0, abs=0.35)


def test_wide_outlines_are_not_cut_at_the_box_of_the_figure():
    wide = bar("metres", 0.2)
    assert lines(wide, camera.Camera(512, 512, 200.0)) == pytest.approx(40, abs=0.5)


@pytest.mark.parametrize("mix", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("view", [CAMERA, camera.look_at(64, (0.0, 0.0, 2.0), (0.0, 0.0, 0.0), fov=40.0)])
def test_outlines_take_the_colour_of_the_surface_beside_them(mix, view):
    """The colour times a mixture of white and what the surface shows: green on one side, red on the other."""
    bar_ = bar("metres", 0.2)
    texture = np.zeros((4, 4, 4), np.uint8)
    texture[:, :2], texture[:, 2:] = (0, 200, 0, 255), (200, 0, 0, 255)
    bar_.materials[0] = dataclasses.replace(
        bar_.materials[0],
        color=(1.0, 0.5, 1.0, 1.0),
        texture=texture,
        outline_color=(0.8, 0.8, 0.4, 1.0),
        outline_mix=mix,
    )
    bar_.uvs[:, 0] = np.where(bar_.positions[:, 0] < 0, 0.25, 0.75)
    image = rasterise.Renderer(64).render(bar_, bar_.rest, view).image[32] / 255
    inked = np.flatnonzero(image[:, 3] == 1)
    left, right = image[inked[0], :3], image[inked[-1], :3]
    lit = 200 / 255 * np.array([[0, 0.5, 0], [1, 0, 0]])
    expected = np.array([0.8, 0.8, 0.4]) * (1 - mix + mix * lit)
    np.testing.assert_allclose([left, right], expected, atol=1.5 / 255)
    # As morphs change the colour, so does the line.
    red = Morph("red", materials=(MaterialChange(0, True, (1.0, 0.0, 0.0, 1.0), (1.0,) * 4, 1.0),))
    changed = dataclasses.replace(bar_, morphs=[red], derived={})
    morphed = morphs.apply(changed, {"red": 1.0})
    image = rasterise.Renderer(64).render(changed, bar_.rest, view, morphed=morphed).image[32] / 255
    np.testing.assert_allclose(image[inked[0], 1], 0.8 * (1 - mix), atol=1.5 / 255)


NEAR, FAR = square(0.4, 0.5), square(0.4, 0.2)


def layers(*materials: Material) -> list[int]:
    """Colour where glass lies before glass: the first is near, the second far."""
    sheets = zip((NEAR, FAR), materials, strict=True)
    return render(scene(*sheets)).image[32, 32].tolist()


def test_queue_decides_the_order_of_glass():
    green, blue = glass((0.0, 1.0, 0.0), 0.5), glass((0.0, 0.0, 1.0), 0.5)
    late = lambda material, queue: dataclasses.replace(material, render_queue=queue)
    by_depth = [0, 170, 85, 191]
    assert layers(green, blue) == by_depth
    assert layers(late(green, 5), late(blue, 5)) == by_depth
    assert layers(late(green, 5), late(blue, 1)) == by_depth
    # What is drawn later comes on top, though it is farther.
    assert layers(late(green, 1), late(blue, 5)) == [0, 85, 170, 191]


def test_glass_that_writes_depth_hides_what_comes_later_behind_it():
    green = dataclasses.replace(glass((0.0, 1.0, 0.0), 0.5), depth_write=True)
    blue = glass((0.0, 0.0, 1.0), 0.5)
    assert layers(green, blue) == [0, 255, 0, 128]
    # Later before it is not hidden, and an opaque surface behind always shows.
    assert layers(blue, green) == [0, 85, 170, 191]
    wall = render(scene((NEAR, green), (FAR, blue), (square(0.5), RED)))
    assert wall.image[32, 32].tolist() == [128, 128, 0, 255]


def test_opaque_then_mask_then_blend():
    """Of surfaces in one place, glass lies over both others, whichever comes first in the file."""
    net = np.full((4, 4, 4), 255, np.uint8)
    mask = Material("net", color=(0.0, 1.0, 0.0, 1.0), texture=net, alpha_mode="mask")
    blend = glass((0.0, 0.0, 1.0), 0.5)
    frame = render(scene((square(), RED), (square(), mask), (square(), blend)))
    assert frame.image[32, 32].tolist() == [0, 128, 128, 255]


def test_morphed_shape_uvs_and_materials():
    texture = np.zeros((1, 64, 4), np.uint8)
    texture[0, :32], texture[0, 32:] = (255, 0, 0, 255), (0, 255, 0, 255)
    character = scene((square(), Material("m", texture=texture, shading="unlit")))
    drawn = lambda morphed: render(character, morphed=morphed).image
    assert drawn(None)[32, 24].tolist() == [255, 0, 0, 255]
    moved = drawn(morphs.Morphed(positions=character.positions + np.float32([0.5, 0, 0])))
    assert moved[32, 24, 3] == 0 and moved[32, 60, 3] == 255
    slid = drawn(morphs.Morphed(uvs=character.uvs + np.float32([0.5, 0])))
    assert slid[32, 24].tolist() == [0, 255, 0, 255]
    faded = dataclasses.replace(character.materials[0], color=(1.0, 1.0, 1.0, 0.5), alpha_mode="blend")
    assert drawn(morphs.Morphed(materials=(faded,)))[32, 24].tolist() == [255, 0, 0, 128]
    # Nothing of it stays.
    assert drawn(None)[32, 24].tolist() == [255, 0, 0, 255]


def test_a_morph_may_show_what_is_invisible_at_rest():
    hidden = glass((1.0, 0.0, 0.0), 0.0)
    character = scene((square(), hidden))
    character.morphs = [Morph("appear", materials=(MaterialChange(0, color=(0.0, 0.0, 0.0, 1.0)),))]
    assert render(character).image[..., 3].max() == 0
    shown = render(character, morphed=morphs.apply(character, {"appear": 0.5})).image
    assert shown[32, 32].tolist() == [255, 0, 0, 128]


@pytest.mark.parametrize(
    "field,value",
    [("shading", "phong"), ("outline_unit", "inches"), ("alpha_mode", "dither"), ("part", "tail")],
)
def test_unknown_words(field, value):
    with pytest.raises(ValueError, match=f"unknown {field.replace('_', ' ')} '{value}'"):
        render(scene((square(), dataclasses.replace(RED, **{field: value}))))
