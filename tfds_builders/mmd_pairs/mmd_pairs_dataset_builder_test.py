"""Tests of mmd_pairs on seeds, and on the clips of dummy_data with the block figures of unity_avatars."""

import pathlib
import shutil
import tempfile
import unittest

import cv2
import numpy as np
import pytest

from anime_pt.avatars import keypoints, poses, rig
from anime_pt.avatars.formats import vmd
from anime_pt.pipelines import video
from anime_pt.pose import formats
from anime_pt.pose.sequences import PoseSequence
from anime_pt.pose.skeletons import AVATAR_20, OPENPOSE_18
from tests.avatars import gltf_files
from tfds_builders import testing
from tfds_builders.mmd_pairs import film, human, openmmd, pairs, planning
from tfds_builders.mmd_pairs import mmd_pairs_dataset_builder as mmd_pairs
from tfds_builders.mmd_pairs.clips import Performed, moment
from tfds_builders.unity_avatars.subjects import Subject

_HERE = pathlib.Path(__file__).parent
_CHARACTERS = _HERE.parent / "unity_avatars" / "dummy_data"
_CONFIGS = {
    "procedural": dict(resolution=64, characters=4, costumes=2, motions=4, length=31, takes=1, every=10),
    "openmmd": dict(resolution=48, source="openmmd", takes=0, min_change=0.0),
}
_CONFIGS["procedural"]["min_change"] = 0.0


def manual_folder(folder: pathlib.Path) -> pathlib.Path:
    """Characters and clips as a user would lay them out."""
    shutil.copytree(_CHARACTERS, folder / "characters")
    shutil.copytree(_HERE / "dummy_data" / "clips", folder / "clips")
    return folder


class MmdPairsTest(testing.BuilderTestCase):
    SPLITS = {
        # Two costumes with one motion each of four frames (two motions train), and one character elsewhere.
        "procedural": {"train": 16, "validation": 8, "test": 8},
        # Frames 0, 6 and 12; of three motions and three characters one of each in each split.
        "openmmd": {"train": 6, "validation": 3, "test": 3},
    }

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.MANUAL_DIR = manual_folder(pathlib.Path(folder.name) / "manual")

    def make(self, config, data_dir):
        fields = mmd_pairs.MmdPairsConfig(name=config, **_CONFIGS[config])
        return mmd_pairs.Builder(data_dir=data_dir, config=fields)

    def test_splits_share_neither_character_nor_motion(self):
        for config in self.SPLITS:
            builder = self.build(config)
            for kind in ("character", "motion"):
                of_split = [{e[kind] for e in self.examples(builder, s)} for s in self.SPLITS[config]]
                names = [n for found in of_split for n in found]
                self.assertEqual(len(names), len(set(names)), (config, kind))

    def test_both_figures_take_the_same_pose(self):
        limbs = [(AVATAR_20.index(a), AVATAR_20.index(b)) for a, b in _LIMBS]
        for example in self.examples(self.build("procedural"), "train"):
            seed = int(example["motion"].split(b"_")[1])
            self.assertEqual(example["frame"] % 10, 0)
            self.assertAlmostEqual(example["seconds"], example["frame"] / 30, places=5)
            moved = Performed("", seed, 31).motion().pose(example["seconds"])
            for joints in (example["human_joints"], example["anime_joints"]):
                for row, (a, b) in enumerate(limbs):
                    along = joints[b] - joints[a]
                    np.testing.assert_allclose(along / np.linalg.norm(along), moved.limbs[row], atol=1e-4)

    def test_keypoints_are_the_joints_through_the_camera_and_lie_on_the_figures(self):
        hits = total = 0
        for example in self.examples(self.build("procedural"), "train"):
            for who, count in (("human", 18), ("anime", 20)):
                points, mask = example[f"{who}_keypoints"], example[f"{who}_mask"][..., 0]
                matrix = example[f"{who}_camera"].astype(np.float64)
                projected = example[f"{who}_joints"][:count] @ matrix[:, :3].T + matrix[:, 3]
                np.testing.assert_allclose(points[:, :2], projected[:, :2], atol=1e-2)
                self.assertTrue((example[f"{who}_image"][mask == 0] == 255).all())
                for x, y, seen in points:
                    if seen:
                        total += 1
                        hits += mask[int(y), int(x)] > 127
        self.assertGreater(total, 16 * 24)
        self.assertGreater(hits / total, 0.95)

    def test_what_openmmd_saw_drives_the_character(self):
        builder = self.build("openmmd")
        limbs = [(AVATAR_20.index(a), AVATAR_20.index(b)) for a, b in _LIMBS]
        depths = []
        for split in self.SPLITS["openmmd"]:
            for example in self.examples(builder, split):
                clip = self.MANUAL_DIR / "clips" / example["motion"].decode()
                joints = openmmd.read_positions(clip / "pos.txt")[example["frame"]]
                for a, b in limbs:
                    wanted = _row(joints, AVATAR_20.keypoints[b]) - _row(joints, AVATAR_20.keypoints[a])
                    got = example["anime_joints"][b] - example["anime_joints"][a]
                    cosine = got @ wanted / np.linalg.norm(got) / np.linalg.norm(wanted)
                    self.assertGreater(cosine, 0.999)
                smoothed = openmmd.read_smoothed(clip / "smoothed.txt")[example["frame"]]
                left, top, side = example["human_box"]
                back = example["human_keypoints"][:, :2] * side / 48 + (left, top)
                np.testing.assert_allclose(back, smoothed[:, :2], atol=1e-3)
                self.assertTrue((example["human_keypoints"][:, :2] > 0).all())
                self.assertTrue((example["human_keypoints"][:, :2] < 48).all())
                self.assertFalse(example["has_human_image"])
                self.assertTrue((example["human_image"] == 255).all())
                if example["motion"] == b"bow":
                    depths.append((example["frame"], round(example["human_depth"], 4)))
                else:
                    self.assertTrue(np.isnan(example["human_depth"]))
        self.assertEqual(sorted(set(depths)), [(0, 2.5), (6, 2.62), (12, 2.7)])

    def test_a_film_is_cut_to_the_figure(self):
        folder = self.folder / "filmed"
        manual_folder(folder)
        clip = folder / "clips" / "wave"
        # Each frame shows its number as a shade of red, which is not the red of another frame.
        frames = np.zeros((13, 480, 640, 3), np.uint8)
        frames[..., 0] = (15 + 17 * np.arange(13, dtype=np.uint8))[:, None, None]
        video.write(clip / "film.mp4", frames, fps=25)
        (found,) = [c for c in film.find(folder, "openmmd") if c.name == "wave"]
        self.assertEqual((found.fps, found.drive_fps, found.frames), (25.0, 30.0, 13))
        example = film.example(found, 6, film.cuts(found, (0, 6, 12), 32)[6], 32)
        self.assertTrue(example["has_human_image"])
        image = cv2.imdecode(np.frombuffer(example["human_image"], np.uint8), cv2.IMREAD_COLOR_RGB)
        self.assertEqual(image.shape, (32, 32, 3))
        np.testing.assert_allclose(image[16, 16], [15 + 17 * 6, 0, 0], atol=5)
        # The keypoints are of a picture of 480 x 480; what the square reaches beyond it is white.
        top = found.box[1]
        self.assertEqual(bool((image[0] > 250).all()), top * 32 / found.box[2] < -1)

    def test_openpose_needs_a_film_and_a_motion(self):
        folder = self.folder / "openpose"
        clip = folder / "clips" / "walk"
        clip.mkdir(parents=True)
        with self.assertRaisesRegex(FileNotFoundError, "one set of OpenPose files.*it has 0"):
            film.find(folder, "openpose")
        points = openmmd.read_smoothed(_HERE / "dummy_data/clips/bow/smoothed.txt")
        formats.write(clip / "json", PoseSequence(points, OPENPOSE_18, (480, 480)), "openpose")
        with self.assertRaisesRegex(FileNotFoundError, "lacks a video"):
            film.find(folder, "openpose")
        video.write(clip / "film.mp4", np.zeros((13, 32, 32, 3), np.uint8), fps=30)
        with self.assertRaisesRegex(FileNotFoundError, "no motion for the anime character.*openmmd"):
            film.find(folder, "openpose")

    def test_motions_of_openpose_clips_are_matched_by_time(self):
        clip = self.folder / "openpose" / "clips" / "glide"
        clip.mkdir(parents=True)
        points = np.tile(openmmd.read_smoothed(_HERE / "dummy_data/clips/bow/smoothed.txt")[:1], (40, 1, 1))
        points[7, 6:] = (np.nan, np.nan, 0)
        formats.write(clip / "json", PoseSequence(points, OPENPOSE_18, (480, 480)), "openpose")
        video.write(clip / "film.mp4", np.zeros((40, 480, 480, 3), np.uint8), fps=15)
        # Two seconds at 30 keys per second, to the side.
        still = np.tile(np.float32([0, 0, 0, 1]), (2, 1))
        curves = np.tile(np.uint8([20, 20, 107, 107]), (2, 4, 1))
        keys = vmd.BoneKeys(
            np.int32([0, 60]), np.float32([[0, 0, 0], [10, 0, 0]]), still, curves, np.zeros((2, 2), np.uint8)
        )
        vmd.write(clip / "glide.vmd", vmd.VmdFile("", {"センター": keys}))
        (found,) = film.find(self.folder / "openpose", "openpose")
        # The motion ends with the 31st picture of the film, which goes on.
        self.assertEqual((found.fps, found.frames), (15.0, 31))
        self.assertEqual(found.usable(12), [f for f in range(31) if f != 7])
        figure = human.build(0)
        performance = found.motion().on(figure)
        moved = [
            moment(figure, performance, found.motion_seconds(f))[0][figure.humanoid["hips"], 0, 3]
            for f in (0, 15, 30)
        ]
        self.assertAlmostEqual(moved[1] - moved[0], (moved[2] - moved[0]) / 2, places=3)
        self.assertGreater(abs(moved[2] - moved[0]), 0.5)
        self.assertEqual(len(found.files()), 40 + 2)

    def test_terms_stop_the_build_unless_the_rights_are_held(self):
        folder = manual_folder(self.folder / "manual")
        (folder / "characters" / "ann").mkdir()
        glb = gltf_files.figure("0.x")
        glb.json["extensions"]["VRM"]["meta"] = {"licenseName": "Redistribution_Prohibited", "author": "Ann"}
        glb.save(folder / "characters" / "ann" / "ann.vrm")
        fields = {"resolution": 32, "source": "openmmd"}
        make = lambda **more: mmd_pairs.Builder(
            data_dir=str(self.folder), config=mmd_pairs.MmdPairsConfig(name="c", **fields, **more)
        )
        with self.assertRaisesRegex(
            ValueError, r"ann\.vrm: the licence is Redistribution_Prohibited.*rights_held"
        ):
            make()._shards(folder)
        held = [s for of_split in make(rights_held=True)._shards(folder).values() for s in of_split]
        files = {pathlib.Path(path).name: terms for shard in held for path, terms in shard.files}
        self.assertEqual(files["ann.vrm"].author, "Ann")
        self.assertEqual(files["ann.vrm"].license, "Redistribution_Prohibited")

    def test_missing_files_are_named(self):
        with self.assertRaisesRegex(FileNotFoundError, "clips holds no clips"):
            film.find(self.folder, "openmmd")
        folder = manual_folder(self.folder / "manual")
        path = folder / "clips" / "bow" / "smoothed.txt"
        lines = path.read_text()
        path.write_text("9000000.0 " * 34 + "1 1\n" + lines)
        with self.assertRaisesRegex(ValueError, r"smoothed\.txt: the keypoints span \d+ pixels"):
            film.find(folder, "openmmd")
        path.write_text(lines)
        (folder / "clips" / "bow" / "pos.txt").unlink()
        with self.assertRaisesRegex(FileNotFoundError, "bow lacks a motion"):
            film.find(folder, "openmmd")
        (folder / "clips" / "bow" / "smoothed.txt").unlink()
        with self.assertRaisesRegex(FileNotFoundError, r"bow lacks smoothed\.txt"):
            film.find(folder, "openmmd")


_LIMBS = [
    (f"{side}_{a}", f"{side}_{b}")
    for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
    for side in ("left", "right")
]


def _row(joints, name):
    return joints[list(openmmd.JOINTS.values()).index(name)]


class PlanningTest(unittest.TestCase):
    def test_novel_keeps_what_differs_from_everything_kept(self):
        joints = np.zeros((5, 3, 2))
        joints[1, 0, 0] = 0.04  # Near the first.
        joints[2, 1, 1] = 0.05  # One joint far enough.
        joints[3, 1, 1] = 0.07  # Near the third.
        joints[4, 2, 0] = 1.0
        self.assertEqual(planning.novel(joints, 0.05).tolist(), [0, 2, 4])
        self.assertEqual(planning.novel(joints, 0.0).tolist(), [0, 1, 2, 3, 4])

    def test_a_motion_that_repeats_is_kept_once(self):
        figure = human.build(0)
        walk = poses.sequence(np.random.default_rng(1), 30)
        joints = np.stack([keypoints.positions(figure, rig.pose(figure, p)) for p in [*walk, *walk]])
        kept = planning.novel(joints, 0.05)
        self.assertLess(kept.max(), 30)

    def test_every_sixth_frame(self):
        clip = Performed("a", 3, 100)
        found = planning.frames(clip, human.build(0), every=6, min_change=0.0, min_keypoints=12)
        self.assertEqual(found, list(range(0, 100, 6)))
        fewer = planning.frames(clip, human.build(0), every=6, min_change=0.1, min_keypoints=12)
        self.assertLess(len(fewer), len(found))
        self.assertEqual(fewer[0], 0)

    def test_two_motions_cannot_be_split(self):
        clips = [Performed(f"m{i}", i, 7) for i in range(3)]
        subjects = [Subject(f"c{i}", "0", i) for i in range(3)]
        self.assertEqual(set(planning.split(clips[:2], subjects)), {"train"})
        self.assertEqual(set(planning.split(clips, subjects[:2])), {"train"})
        of_split = planning.split(clips, subjects)
        self.assertEqual(
            {k: (len(c), len(s)) for k, (c, s) in of_split.items()}, dict.fromkeys(of_split, (1, 1))
        )
        self.assertEqual(set(of_split), {"train", "validation", "test"})

    def test_takes_go_round(self):
        clips = [Performed(f"m{i}", i, 7) for i in range(4)]
        subjects = [Subject(f"c{i}", "0", i) for i in range(6)]
        found = planning.takes(clips, subjects, 2)
        self.assertEqual(len(found), 12)
        for of in (0, 1):
            _, counts = np.unique(
                [getattr(pair[of], ("name", "character")[of]) for pair in found], return_counts=True
            )
            self.assertEqual(set(counts), {3} if of == 0 else {2})
        self.assertEqual(len(planning.takes(clips, subjects, 0)), 24)

    def test_same_seed_same_figure(self):
        a, b, other = human.build(5), human.build(5), human.build(6)
        np.testing.assert_array_equal(a.positions, b.positions)
        self.assertTrue(a.positions.shape != other.positions.shape or (a.positions != other.positions).any())

    def test_figures_have_human_proportions(self):
        for seed in range(6):
            figure = human.build(seed)
            chin_to_top = figure.landmarks["head_top"][1][1] - figure.rest[figure.humanoid["head"], 1, 3]
            heads = figure.landmarks["head_top"][1][1] / chin_to_top
            self.assertTrue(6.0 < heads < 9.5, heads)
            self.assertEqual({m.outline for m in figure.materials}, {0.0})


class PairsTest(unittest.TestCase):
    GROUPS = ("a", "b", "a", "b", "a", "c")

    def test_all_pairs(self):
        found = {tuple(p) for p in pairs.choose(self.GROUPS).tolist()}
        a, b = (0, 2, 4), (1, 3)
        self.assertEqual(found, {(i, j) for of in (a, b) for i in of for j in of if i != j})

    def test_some_pairs_are_balanced_and_do_not_repeat(self):
        groups = ["x"] * 10 + ["y"] * 3 + ["z"] * 5
        found = pairs.choose(groups, 20, seed=1)
        self.assertEqual(len({tuple(p) for p in found.tolist()}), 20)
        self.assertTrue((found[:, 0] != found[:, 1]).all())
        names = np.array(groups)[found]
        self.assertTrue((names[:, 0] == names[:, 1]).all())
        self.assertEqual(
            dict(zip(*np.unique(names[:, 0], return_counts=True), strict=True)), {"x": 7, "y": 6, "z": 7}
        )
        np.testing.assert_array_equal(found, pairs.choose(groups, 20, seed=1))
        self.assertTrue((found != pairs.choose(groups, 20, seed=2)).any())

    def test_nothing_to_pair(self):
        self.assertEqual(pairs.choose(["a", "b"], 5).shape, (0, 2))
        self.assertEqual(pairs.choose([], 5).shape, (0, 2))


@pytest.mark.parametrize(
    ("field", "value"),
    [("source", "x"), ("every", 0), ("yaw", 181), ("min_keypoints", 19), ("seed", -1), ("min_change", -0.1)],
)
def test_configs_out_of_range(field, value):
    with pytest.raises(ValueError, match=field):
        mmd_pairs.MmdPairsConfig(name="a", resolution=64, **{field: value})


if __name__ == "__main__":
    unittest.main()
