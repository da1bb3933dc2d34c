"""Every motion on every character that is found: finite, rigid, on the floor, smooth, in the picture."""

import functools

import numpy as np
import pytest

from anime_pt.avatars import camera, files, keypoints, motions, rasterise, segments
from anime_pt.avatars.character import Character
from tests.avatars import asset_files

# So that a large collection does not take the afternoon; chosen evenly over it.
MOST_MOTIONS = 24
FRAMES = 5
BUILT_IN = ("procedural:3", "procedural:8,1")


@functools.cache
def all_motions() -> list[motions.Motion]:
    found = asset_files.find(*motions.SUFFIXES)
    chosen = {found[i] for i in np.linspace(0, len(found) - 1, min(len(found), MOST_MOTIONS)).astype(int)}
    out = [motions.load("procedural:5,60"), motions.load("rest")]
    for path in sorted(chosen):
        try:
            out.append(motions.load(path))
        except ValueError:  # Cameras, rigs that are no humanoids: their own tests say so.
            continue
    return out


def load(spec) -> Character:
    try:
        character = files.load(spec)
    except ValueError as error:
        pytest.skip(f"no character: {error}")
    if not len(camera.drawn_vertices(character)):
        pytest.skip("no surface to draw")
    return character


def is_fleshed(character: Character) -> bool:
    """Whether every limb moves some surface: conformance files hang one box on a whole skeleton."""
    moved = np.bincount(
        segments.of_bones(character)[character.joints].ravel(),
        character.weights.ravel(),
        len(segments.NAMES),
    )
    return all(
        moved[i] > 1
        for i, name in enumerate(segments.NAMES)
        if name.endswith(("head", "Hand", "Foot", "Leg"))
    )


def check(character: Character) -> None:
    fleshed = is_fleshed(character)
    height = float(np.ptp(character.positions[camera.drawn_vertices(character), 1]))
    renderer = rasterise.Renderer(64, supersample=1)
    for motion in all_motions():
        performance = motion.on(character)
        times = np.linspace(0, (motion.frames - 1) / motion.fps, min(FRAMES, motion.frames))
        clip = [motions.moment(character, performance, t) for t in times]
        for globals_, _ in clip:
            assert np.isfinite(globals_).all(), motion.name
            turns = globals_[:, :3, :3] @ np.linalg.inv(character.rest[:, :3, :3])
            np.testing.assert_allclose(turns @ turns.swapaxes(1, 2), np.eye(3) + 0 * turns, atol=1e-5)
            ankles = [globals_[character.humanoid[f"{s}Foot"], 1, 3] for s in ("left", "right")]
            assert min(ankles) > -0.1 * height, f"{motion.name}: a foot is in the ground"
            before, after = (
                np.linalg.norm(
                    g[character.humanoid["leftLowerLeg"], :3, 3] - g[character.humanoid["leftFoot"], :3, 3]
                )
                for g in (character.rest, globals_)
            )
            assert after == pytest.approx(before, rel=1e-4), f"{motion.name}: a shin changed its length"
        seen_by = camera.fit_clip(character, clip, 64)
        globals_, morphed = clip[-1]
        frame = renderer.render(character, globals_, seen_by, morphed=morphed)
        assert (frame.image[..., 3] > 0).mean() > 0.005, motion.name
        points = keypoints.project(character, globals_, seen_by, frame)
        assert np.isfinite(points).all(), motion.name
        # Of the whole clip nothing leaves the picture, so no joint that has flesh around it does.
        assert not fleshed or ((points[:, :2] > -3).all() and (points[:, :2] < 67).all()), motion.name


@pytest.mark.parametrize("spec", BUILT_IN)
def test_every_motion_on_built_in_characters(spec):
    check(load(spec))


@asset_files.parametrize("path", *files.SUFFIXES)
def test_every_motion_on_every_character(path):
    check(load(path))
