"""Tests of unity_avatars on seeds and on the block figures of dummy_data."""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import unittest
from unittest import mock

import numpy as np

from tfds_builders import build, sharded, testing
from tfds_builders.unity_avatars import rendering, subjects
from tfds_builders.unity_avatars import unity_avatars_dataset_builder as unity_avatars

_HERE = pathlib.Path(__file__).parent
_SMALL = {
    "procedural": dict(resolution=64, characters=4, costumes=2, poses=3),
    "rigged": dict(resolution=32, source="rigged", poses=4),
}


class UnityAvatarsTest(testing.BuilderTestCase):
    SPLITS = {
        "procedural": {"train": 12, "validation": 6, "test": 6},
        # block_girl has two costumes and so trains.
        "rigged": {"train": 8, "validation": 4, "test": 4},
    }
    MANUAL_DIR = _HERE / "dummy_data"

    def make(self, config, data_dir):
        fields = unity_avatars.UnityAvatarsConfig(name=config, **_SMALL[config])
        return unity_avatars.Builder(data_dir=data_dir, config=fields)

    def test_splits_share_no_character(self):
        for config in self.SPLITS:
            builder = self.build(config)
            of_split = {s: {e["character"] for e in self.examples(builder, s)} for s in self.SPLITS[config]}
            names = [n for characters in of_split.values() for n in characters]
            self.assertEqual(len(names), len(set(names)))

    def test_keypoints_lie_on_the_figure(self):
        examples = self.examples(self.build("procedural"), "train")
        hits = total = 0
        for example in examples:
            self.assertTrue(((example["mask"] > 0).mean() > 0.03) and ((example["mask"] > 0).mean() < 0.6))
            # Before white: where nothing is, the picture is white.
            self.assertTrue((example["image"][example["mask"][..., 0] == 0] == 255).all())
            for x, y, seen in example["keypoints"]:
                self.assertIn(seen, (0, 1))
                if seen:
                    total += 1
                    hits += example["mask"][int(y), int(x), 0] > 127
            camera = example["camera"]["matrix"].astype(np.float64)
            self.assertEqual(camera.shape, (3, 4))
        self.assertGreater(total, 12 * 8)
        self.assertGreater(hits / total, 0.95)

    def test_styled_pictures_differ_in_lines_lens_and_framing(self):
        _SMALL["styled"] = _SMALL["procedural"] | dict(styled=True, yaw=180.0, pitch=20.0, light=90.0)
        self.addCleanup(_SMALL.pop, "styled")
        examples = self.examples(self.build("styled"), "train")
        hits = []
        for e in examples:
            rows, columns = np.nonzero(e["mask"][..., 0] > 127)
            longest = max(np.ptp(rows), np.ptp(columns)) + 1
            self.assertGreater(longest, 0.75 * 64)  # The figure fills the picture.
            self.assertTrue((e["keypoints"][:, :2] > 0).all() and (e["keypoints"][:, :2] < 64).all())
            hits += [e["mask"][int(y), int(x), 0] > 127 for x, y, seen in e["keypoints"] if seen]
        self.assertGreater(np.mean(hits), 0.95)
        self.assertGreater(len({tuple(e["light"]) for e in examples}), 10)
        self.assertLess(np.median([abs(e["camera"]["yaw"]) for e in examples]), 60)

    def test_shared_poses_are_the_same_for_all(self):
        _SMALL["shared"] = _SMALL["procedural"] | dict(shared_poses=True)
        self.addCleanup(_SMALL.pop, "shared")
        examples = self.examples(self.build("shared"), "train")
        by_pose = {}
        for e in examples:
            by_pose.setdefault(e["pose"]["index"], []).append(e["pose"]["parameters"])
        self.assertEqual(set(by_pose), {0, 1, 2})
        for parameters in by_pose.values():
            self.assertLen(parameters, 4)  # Two characters in two costumes.
            for p in parameters[1:]:
                np.testing.assert_array_equal(p, parameters[0])

    def test_the_papers_size(self):
        (paper,) = [c for c in unity_avatars.Builder.BUILDER_CONFIGS if c.name == "procedural_1024_paper"]
        self.assertEqual(paper.characters * paper.costumes * paper.poses, 47_400)
        names = {c.name for c in unity_avatars.Builder.BUILDER_CONFIGS}
        for kind in ("procedural", "rigged"):
            self.assertLessEqual({f"{kind}_{r}" for r in (64, 128, 256, 512, 1024)}, names)

    def test_an_interrupted_build_keeps_finished_shards_and_continues(self):
        builder = self.make("procedural", str(self.folder / "data"))
        written = []

        def write(path, shard, features, file_format):
            if len(written) == 2:
                raise OSError(28, "No space left on device")
            sharded_write(path, shard, features, file_format)
            written.append(path)

        sharded_write = sharded.write_shard
        with (
            mock.patch.object(sharded, "write_shard", write),
            mock.patch.object(sharded.concurrent.futures, "ProcessPoolExecutor", _InProcess),
            self.assertRaises(OSError),
        ):
            builder.download_and_prepare(file_format="array_record")
        self.assertFalse(pathlib.Path(builder.data_dir).exists())
        (parts,) = (self.folder / "data" / "unity_avatars" / "procedural").glob(".*.parts-*")
        kept = {p.name: p.stat().st_mtime_ns for p in parts.glob("*array_record*")}
        self.assertLen(kept, 2)

        builder = self.build("procedural")
        now = {p.name: p.stat().st_mtime_ns for p in pathlib.Path(builder.data_dir).iterdir()}
        self.assertEqual({name: now[name] for name in kept}, kept)  # Moved, not written again.
        self.assertFalse(parts.exists())
        reference = self.build("procedural", "reference")
        for split in self.SPLITS["procedural"]:
            for a, b in zip(self.examples(builder, split), self.examples(reference, split), strict=True):
                self.assert_equal(a, b)

    def test_a_killed_build_ends_its_workers_and_continues(self):
        command = [sys.executable, "-m", "tfds_builders.build", "unity_avatars/procedural_64"]
        command += ["--set=characters=12", "--set=poses=64", f"--data_dir={self.folder}", "--processes=2"]
        options = dict(cwd=_HERE.parent.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        first = subprocess.Popen(command, **options)
        folder = self.folder / "unity_avatars" / "procedural_64-characters12-poses64"
        deadline = time.monotonic() + 120
        while not list(folder.glob(".*.parts-*/unity_avatars-*")) and time.monotonic() < deadline:
            time.sleep(0.1)
        second = subprocess.run(command, **options)
        self.assertEqual(second.returncode, 1)
        self.assertIn("error: another process is building this dataset", second.stderr)
        children = subprocess.run(
            ["ps", "--ppid", str(first.pid), "-o", "pid="], capture_output=True, text=True, check=True
        ).stdout.split()
        first.kill()
        first.communicate()
        self.assertGreaterEqual(len(children), 2)
        while any(pathlib.Path(f"/proc/{c}").exists() for c in children) and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertLess(time.monotonic(), deadline)
        (parts,) = folder.glob(".*.parts-*")
        kept = {p.name: p.stat().st_mtime_ns for p in parts.glob("unity_avatars-*")}
        third = subprocess.run(command, **options)
        self.assertEqual(third.returncode, 0, third.stderr)
        now = {p.name: p.stat().st_mtime_ns for p in (folder / "1.1.0").iterdir()}
        self.assertTrue(kept)
        self.assertEqual({name: now[name] for name in kept}, kept)
        self.assertIn("train: 1280, validation: 128, test: 128", third.stdout)

    def test_names_that_are_not_utf8(self):
        source = self.MANUAL_DIR / "block_boy" / "box.pmd"
        for name in ("ミク", "リン", "レン"):
            folder = os.fsencode(self.folder / "models") + b"/" + name.encode("cp932")
            os.makedirs(folder)
            shutil.copy(source, folder + b"/" + name.encode("cp932") + b".pmd")
        found, _ = subjects.rigged_subjects(self.folder / "models")
        self.assertEqual({s.character for s in found}, {"ミク", "リン", "レン"})

    def test_another_format_is_not_taken_for_this_one(self):
        changes = ["characters=3", "costumes=1", "poses=1"]
        with testing.written_here():
            build.prepare("unity_avatars/procedural_64", str(self.folder), changes=changes)
        with self.assertRaisesRegex(ValueError, "is built already, as array_record; delete .* as tfrecord"):
            build.prepare(
                "unity_avatars/procedural_64", str(self.folder), file_format="tfrecord", changes=changes
            )

    def test_reading_needs_neither_tensorflow_nor_the_builder(self):
        builder = self.build("procedural")
        program = f"""
import json, sys
import tensorflow_datasets as tfds
source = tfds.data_source("unity_avatars/procedural", data_dir={str(self.folder / "data")!r}, split="train")
loaded = [m for m in ("tensorflow", "tfds_builders", "anime_pt", "jax") if m in sys.modules]
print(json.dumps([len(source), source[0]["image"].shape, source[0]["keypoints"].shape, loaded]))
"""
        result = subprocess.run(
            [sys.executable, "-c", program], cwd=self.folder, capture_output=True, text=True, check=True
        )
        self.assertEqual(json.loads(result.stdout.splitlines()[-1]), [12, [64, 64, 3], [20, 3], []])
        self.assertTrue(builder)

    def test_building_imports_no_tensorflow(self):
        program = f"""
import sys
from tfds_builders import build
if __name__ == "__main__":
    changes = ["characters=3", "costumes=1", "poses=1"]
    build.prepare("unity_avatars/procedural_64", {str(self.folder)!r}, processes=1, changes=changes)
    print("tensorflow" in sys.modules)
"""
        script = self.folder / "program.py"
        script.write_text(program)
        result = subprocess.run(
            [sys.executable, script], cwd=_HERE.parent.parent, capture_output=True, text=True, check=True
        )
        self.assertEqual(result.stdout.splitlines()[-1], "False")


class _InProcess:
    """A pool of no processes, so that a test can make the third task fail."""

    def __init__(self, *_, **__):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def shutdown(self, **_):
        pass

    def submit(self, function, *arguments):
        future = sharded.concurrent.futures.Future()
        try:
            future.set_result(function(*arguments))
        except OSError as error:
            future.set_exception(error)
        return future


class TfrecordTest(unittest.TestCase):
    def test_tfrecord_loads_with_tfds_load(self):
        import tempfile

        try:
            import tensorflow as tf
        except ImportError:
            self.skipTest("TensorFlow is not installed: reading and writing tfrecord needs it")
        import tensorflow_datasets as tfds

        with tempfile.TemporaryDirectory() as folder:
            build.prepare(
                "unity_avatars/procedural_64",
                folder,
                file_format="tfrecord",
                changes=["characters=3", "costumes=1", "poses=2"],
            )
            name = "unity_avatars/procedural_64-characters3-costumes1-poses2"
            dataset = tfds.load(name, data_dir=folder, split="train")
            examples = list(dataset)
            self.assertEqual(len(examples), 2)
            self.assertEqual(examples[0]["image"].shape, (64, 64, 3))
            self.assertEqual(examples[0]["keypoints"].dtype, tf.float32)


class SubjectsTest(unittest.TestCase):
    def test_costumes_of_one_folder_are_one_character(self):
        who, remarks = subjects.rigged_subjects(_HERE / "dummy_data")
        found = sorted((s.character, s.costume) for s in who)
        self.assertEqual(
            found,
            [
                ("block_boy", "box.pmd"),
                ("block_child", "box.pmx"),
                ("block_girl", "summer/box.pmd"),
                ("block_girl", "winter/box.pmx"),
            ],
        )
        self.assertTrue(all(isinstance(line, str) for line in remarks))

    def test_two_characters_cannot_be_split(self):
        who = [subjects.Subject("a", "1", 1), subjects.Subject("b", "1", 2)]
        with self.assertRaisesRegex(ValueError, "at least 3 characters, there are 2: a, b"):
            subjects.split_by_character(who)

    def test_larger_sets_hold_out_a_tenth(self):
        who = [subjects.Subject(f"c{i}", "0", i) for i in range(79)]
        split = subjects.split_by_character(who)
        self.assertEqual({k: len(v) for k, v in split.items()}, {"train": 63, "validation": 8, "test": 8})

    def test_a_pose_does_not_depend_on_what_else_is_built(self):
        view = rendering.View(32, 1, 30.0, 5.0, 0.0, False, 0)
        subject = subjects.Subject("procedural_7", "0", 7, 0)
        a = rendering.render(subject, 3, view)
        rendering.render(dataclasses.replace(subject, costume="1", costume_seed=1), 2, view)
        b = rendering.render(subject, 3, view)
        np.testing.assert_array_equal(a["image"], b["image"])
        np.testing.assert_array_equal(a["keypoints"], b["keypoints"])


if __name__ == "__main__":
    unittest.main()
