"""A run, a picture and a pose in; the character in that pose out. The network is an untrained small one."""

import dataclasses
import pathlib

import cv2
import numpy as np
import pytest
from PIL import Image

from anime_pt.avatars import camera, keypoints, poses, procedural, rasterise, rig
from anime_pt.metrics import colour
from anime_pt.pipelines import estimator, figures, transfer
from anime_pt.pose import formats
from anime_pt.pose.sequences import PoseSequence
from anime_pt.pose.skeletons import AVATAR_20
from tests.conftest import command, untrained_run
from tests.recipes.patn_test import tiny_config


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    """Pictures, as a user has them: a large transparent one, one on a coloured ground, an empty one."""
    folder = tmp_path_factory.mktemp("私の 絵")
    for name, seed, ground in (("girl", 910_001, None), ("other", 910_003, (200, 220, 250))):
        character = procedural.build(seed=seed)
        pose = rig.pose(character, poses.sample(np.random.default_rng(seed)))
        view = camera.fit(character, pose, size=400, margin=0.2)
        frame = rasterise.Renderer(400).render(character, pose, view)
        image = frame.image if ground is None else frame.over(ground)
        Image.fromarray(image).save(folder / f"{name}.png")
        if ground is not None:
            points = keypoints.project(character, pose, view, frame).astype(np.float32)
            formats.write(folder / "pose.json", PoseSequence(points[None], AVATAR_20, (400, 400)))
    Image.new("RGB", (120, 120), "white").save(folder / "empty.png")
    return folder


pytestmark = pytest.mark.usefixtures("plain_convolutions")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> pathlib.Path:
    """Of one checkpoint; nothing was trained."""
    config = tiny_config()
    config.data.zoom = 1.0
    config.model.update({"copy": True, "rgba": True})
    return untrained_run(tmp_path_factory.mktemp("run"), config, 4)


@pytest.fixture(scope="module")
def model(run):
    return transfer.Model(run)


@pytest.fixture(scope="module")
def finder():
    return estimator.Estimator(*estimator.packaged(), batch=1)


def test_the_figure_arrives_without_its_background(folder, model, finder):
    for name in ("girl", "other"):
        source = transfer.source(folder / f"{name}.png", model, finder, 0.1)
        rgb, mask = source.image[..., :3], source.image[..., 3]
        assert source.image.shape == (*model.size, 4)
        assert (rgb[mask == 0] > 245).all() and 0.05 < (mask > 127).mean() < 0.8
        inside = np.nan_to_num(source.points[:, :2], nan=5)
        assert (inside > -1).all() and (inside < np.array(model.size[::-1]) + 1).all()


def test_a_batch_of_poses_gives_a_picture_each(folder, model, finder):
    source = transfer.source(folder / "girl.png", model, finder, 0.1)
    pose = transfer.framed(formats.read(folder / "pose.json").keypoints[0], AVATAR_20, source.points, model)
    out = model([source], np.stack([pose, source.points, pose]))
    h, w = 4 * model.size[0], 4 * model.size[1]  # As much as a picture this large can give.
    assert out.shape == (3, h, w, 4) and out.dtype == np.uint8
    np.testing.assert_array_equal(out[0], out[2])
    assert model([source, source], pose[None]).shape == (1, h, w, 4)
    sheet = transfer.sheet(source, pose, out[0], model)
    assert sheet.shape == (h, 4 * w, 3)
    # Before white already, whatever its mask.
    np.testing.assert_array_equal(sheet[:, 3 * w :], out[0, ..., :3])


def test_detail_comes_from_the_picture(folder, model, finder, monkeypatch):
    cut = transfer.cut(folder / "girl.png", model, finder, 0.1)
    coarse, fine = transfer.placed(cut, model), transfer.placed(cut, model, detail=3)
    assert coarse.fine is None and (coarse.detail, fine.detail) == (1, 3)
    np.testing.assert_array_equal(coarse.image, fine.image)
    h, w = model.size
    shrunk = fine.fine.reshape(h, 3, w, 3, 4).mean((1, 3))
    assert np.abs(shrunk - fine.image).mean() < 6
    pose = fine.points[None]
    small, large = (model([source], pose)[0].astype(float) for source in (coarse, fine))
    assert large.shape == (3 * h, 3 * w, 4)
    assert np.abs(large.reshape(h, 3, w, 3, 4).mean((1, 3)) - small).mean() < 6
    monkeypatch.setattr(model, "copies", False)
    assert transfer.placed(cut, model, detail=None).fine is None
    with pytest.raises(ValueError, match="only a network with a copy path"):
        transfer.placed(cut, model, detail=2)


def test_joints_of_a_motion_are_none_of_a_picture(folder, model, finder):
    given = formats.read(folder / "pose.json")
    many = dataclasses.replace(given, keypoints=np.repeat(given.keypoints, 3, 0))
    assert transfer.cut(folder / "other.png", model, finder, 0.1, given).points.shape == (20, 3)
    with pytest.raises(ValueError, match=r"other.png: the joints given for it have 3 frames"):
        transfer.cut(folder / "other.png", model, finder, 0.1, many)


def test_what_a_pose_lacks_is_said(folder, model, finder):
    source = transfer.source(folder / "girl.png", model, finder, 0.1)
    points = formats.read(folder / "pose.json").keypoints[0].copy()
    points[AVATAR_20.index("left_wrist")] = np.nan, np.nan, 0
    pose = transfer.framed(points, AVATAR_20, source.points, model)
    (remark, *_) = transfer.lacking(pose, model)
    assert "guesses: left_wrist" in remark
    points[AVATAR_20.index("neck")] = np.nan, np.nan, 0
    with pytest.raises(ValueError, match="the pose has no neck: it needs at least these"):
        transfer.framed(points, AVATAR_20, source.points, model)
    with pytest.raises(ValueError, match="the pose is of nobody"):
        transfer.framed(np.full_like(points, np.nan), AVATAR_20, source.points, model)


def test_pictures_that_show_nobody_are_named(folder, model, finder, monkeypatch):
    with pytest.raises(ValueError, match=r"empty.png: no figure was found"):
        transfer.source(folder / "empty.png", model, finder, 0.2)
    # A nose alone, as in noise.
    found = transfer.joints(folder / "girl.png", finder, 0.1)
    found.points[1:] = np.nan, np.nan, 0
    monkeypatch.setattr(transfer, "joints", lambda *_: found)
    with pytest.raises(ValueError, match=r"girl.png: neither head nor torso nor a leg of the figure was fou"):
        transfer.source(folder / "girl.png", model, finder, 0.1)
    nobody = formats.read(folder / "pose.json")
    nobody.keypoints[:, 1:] = np.nan, np.nan, 0
    with pytest.raises(ValueError, match=r"girl.png: neither .* leg is among the joints given for it"):
        transfer.cut(folder / "girl.png", model, finder, 0.2, nobody)


def test_the_packaged_network_carries_the_colours(folder, finder):
    """In twice its size: the result shows more of its source's colours than of another character's."""
    model = transfer.Model(None)
    framed = lambda name: transfer.source(folder / f"{name}.png", model, finder, 0.1, detail=2)
    own, other = framed("girl"), framed("other")
    pose = transfer.framed(formats.read(folder / "pose.json").keypoints[0], AVATAR_20, own.points, model)
    (out,) = model([own], pose[None])
    assert out.shape == (256, 192, 4) and out.dtype == np.uint8
    # A figure's worth of pixels are in the mask, and hardly any half.
    mask = out[..., 3] / 255
    assert 0.08 < (mask > 0.75).mean() < 0.35 and (mask < 0.25).mean() > 0.6
    made, same, another = colour.histograms(np.stack([out[..., :3], own.fine[..., :3], other.fine[..., :3]]))
    assert made @ same > 0.85 > 0.6 > made @ another


def test_only_the_largest_figure_is_cut_out():
    image = np.full((200, 300, 3), 240, np.uint8)
    cv2.ellipse(image, (80, 100), (30, 80), 0, 0, 360, (200, 30, 30), -1)
    cv2.ellipse(image, (230, 100), (25, 60), 0, 0, 360, (30, 30, 200), -1)
    rgb, mask = transfer._cut_out(image, figures.find(image))
    assert mask[100, 80] == 255 and mask[100, 230] == 0
    assert tuple(rgb[100, 80]) == (200, 30, 30) and tuple(rgb[100, 230]) == (255, 255, 255)


def test_the_command(folder, run, tmp_path):
    of = lambda pose, out, *more: command(
        "anime_pt.transfer",
        *(f"--source={folder / 'girl.png'}", f"--pose={folder / pose}", f"--workdir={run}", f"--out={out}"),
        *more,
    )
    out = tmp_path / "踊 c.png"
    done = of("other.png", out, f"--source={folder / 'girl.png'}", f"--sheet={tmp_path / 'sheet.png'}")
    assert done.returncode == 0, done.stderr
    assert Image.open(out).size == (48, 64) and Image.open(tmp_path / "sheet.png").size == (192, 64)
    # Straight alpha: by the network's own mask, which was sharpened, before white it is what the network
    # drew, but for what is darker than the mask allows.
    saved, drawn = np.asarray(Image.open(out)), np.asarray(Image.open(tmp_path / "sheet.png"))[:, 144:]
    assert saved.shape == (64, 48, 4)
    alpha = saved[..., 3:] / 255
    tinted = (drawn < 250) & (saved[..., :3] > 0) & (alpha > 0) & (alpha < 1)
    assert tinted.mean() > 0.05
    before = 255 - (255.0 - saved[..., :3]) * (alpha / 2 + 0.25)
    assert np.abs(before - drawn)[tinted].max() <= 2
    # One line each, nothing written.
    before = sorted(tmp_path.iterdir())
    for pose, target, more, words in (
        ("none.png", tmp_path / "d.png", [], "there is no file"),
        ("other.png", tmp_path / "d.jpg", [], "must end in .png"),
        ("other.png", folder / "girl.png", [], "--out would replace an input, "),
        ("other.png", tmp_path / "d.png", [f"--sheet={folder / 'other.png'}"], "--sheet would replace an"),
        (
            "other.png",
            tmp_path / "d.png",
            [f"--sheet={tmp_path / 'd.png'}"],
            "would replace what --out writes",
        ),
    ):
        failed = of(pose, target, *more)
        assert failed.returncode == 1 and failed.stderr.startswith("error: ")
        assert words in failed.stderr and len(failed.stderr.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before
    given = formats.read(folder / "pose.json")
    other = dataclasses.replace(given, keypoints=np.roll(given.keypoints, 5, 1))
    formats.write(tmp_path / "order.json", other)
    for pose, more, words in (
        ("pose.json", ["--frame=3"], "has 1 frames, from 0"),
        (
            tmp_path / "order.json",
            [],
            "as if all joints were in the order of another program: put them in that of avatar_20",
        ),
        (
            "other.png",
            [f"--joints={tmp_path / 'order.json'}"] * 2,
            "girl.png: in the joints given for it, the joints of the head",
        ),
    ):
        # The source gives warnings where it succeeds.
        failed = of(pose, tmp_path / "d.png", *more, f"--source={folder / 'other.png'}")
        assert failed.returncode == 1 and failed.stderr.startswith("error: "), failed.stderr
        assert words in failed.stderr and len(failed.stderr.splitlines()) == 1
        assert not (tmp_path / "d.png").exists()
