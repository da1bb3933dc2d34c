"""Tests of exports: what is written is read back and compared with the dataset."""

import csv
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import cv2
import numpy as np
import tensorflow_datasets as tfds

from anime_pt.pose import formats
from anime_pt.pose.skeletons import AVATAR_20, COCO_17, OPENPOSE_18
from tfds_builders import build, exports, testing

_ROOT = pathlib.Path(__file__).parent.parent
_AVATARS = "unity_avatars/procedural_64-characters3-costumes2-poses2"
_PAIRS = "mmd_pairs/procedural_64-characters3-costumes1-motions3-length13"


class ExportTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.data = folder.name
        for name in (_AVATARS, _PAIRS):
            base, *changes = name.split("-")
            split = [c.rstrip("0123456789") for c in changes]
            changes = [f"{field}={c[len(field) :]}" for field, c in zip(split, changes, strict=True)]
            with testing.written_here():
                build.prepare(base, cls.data, changes=changes)

    def examples(self, name, split="train"):
        return tfds.data_source(name, data_dir=self.data, split=split)

    def exported(self, name, to, **options):
        out = self.folder / f"{to} 輸出"
        exports.export(name, to, out, data_dir=self.data, **options)
        self.assertEqual([p.name for p in out.parent.iterdir()], [out.name])  # Nothing half-written.
        self.assertTrue((out / "DATA_CARD.md").read_text().startswith(f"# {name}"))
        return out

    def image(self, path):
        return cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)

    def test_coco(self):
        out = self.exported(_AVATARS, "coco")
        examples = self.examples(_AVATARS)
        people = formats.read_people(out / "annotations" / "person_keypoints_train.json")
        self.assertEqual(people.names, [f"train_{i:06d}.png" for i in range(4)])
        self.assertEqual(people.skeleton, COCO_17)
        document = json.loads((out / "annotations" / "person_keypoints_train.json").read_text())
        for i, example in enumerate(examples):
            np.testing.assert_array_equal(
                self.image(out / "images/train" / people.names[i]), example["image"]
            )
            for row, joint in enumerate(COCO_17.keypoints):
                found, wanted = people.frames[i][0, row], example["keypoints"][AVATAR_20.index(joint)]
                if 0 <= wanted[0] <= 64 and 0 <= wanted[1] <= 64:
                    np.testing.assert_allclose(found, wanted, atol=1e-3)
                else:
                    self.assertTrue(np.isnan(found[0]))
            x, y, w, h = document["annotations"][i]["bbox"]
            rows, columns = np.nonzero(example["mask"][..., 0] > 127)
            self.assertEqual((x, y), (columns.min(), rows.min()))
            self.assertEqual((x + w, y + h), (columns.max() + 1, rows.max() + 1))

    def test_imagefolder(self):
        out = self.exported(_AVATARS, "imagefolder", splits=["test"])
        self.assertFalse((out / "train").exists())
        rows = [json.loads(line) for line in (out / "test" / "metadata.jsonl").read_text().splitlines()]
        examples = self.examples(_AVATARS, "test")
        self.assertEqual(len(rows), len(examples))
        for row, example in zip(rows, examples, strict=True):
            np.testing.assert_array_equal(self.image(out / "test" / row["file_name"]), example["image"])
            self.assertEqual(row["character"], example["character"].decode())
            np.testing.assert_array_equal(np.array(row["keypoints"], np.float32), example["keypoints"])
            self.assertNotIn("mask", row)

    def test_imagefolder_of_pairs_has_two_pictures_in_a_row(self):
        out = self.exported(_PAIRS, "imagefolder")
        for split in ("train", "validation", "test"):
            rows = [json.loads(line) for line in (out / split / "metadata.jsonl").read_text().splitlines()]
            examples = self.examples(_PAIRS, split)
            for row, example in zip(rows, examples, strict=True):
                for view in ("anime_image", "human_image"):
                    picture = self.image(out / split / row[f"{view}_file_name"])
                    np.testing.assert_array_equal(picture, example[view])

    def test_patn(self):
        out = self.exported(_AVATARS, "patn")
        examples = self.examples(_AVATARS)
        lines = (out / "annotation-train.csv").read_text().splitlines()
        self.assertEqual(lines[0], "name:keypoints_y:keypoints_x")
        who = {}
        for line, example in zip(lines[1:], examples, strict=True):
            name, y, x = line.split(":")
            who[name] = example["character"], example["costume"]
            found = np.stack([json.loads(x), json.loads(y)], 1)
            self.assertEqual(found.shape, (18, 2))
            points = example["keypoints"][[AVATAR_20.index(j) for j in OPENPOSE_18.keypoints], :2]
            inside = ((points >= 0) & (points < 64)).all(1)
            np.testing.assert_array_equal(found[inside], np.floor(points[inside]))
            self.assertTrue((found[~inside] == -1).all())
            np.testing.assert_array_equal(self.image(out / "train" / name), example["image"])
        with open(out / "pairs-train.csv") as file:
            pairs = list(csv.DictReader(file))
        # Two costumes with two pictures each.
        self.assertEqual(len(pairs), 4)
        for pair in pairs:
            self.assertNotEqual(pair["from"], pair["to"])
            self.assertEqual(who[pair["from"]], who[pair["to"]])
        self.assertEqual((out / "train.lst").read_text().split(), list(who))

    def test_patn_of_the_human_side_pairs_frames_of_a_motion(self):
        out = self.exported(_PAIRS, "patn", image="human_image", count=3)
        names = (out / "train.lst").read_text().split()
        motions = dict(zip(names, [e["motion"] for e in self.examples(_PAIRS)], strict=True))
        lines = (out / "pairs-train.csv").read_text().splitlines()[1:]
        self.assertEqual(len(lines), 3)
        for line in lines:
            a, b = line.split(",")
            self.assertEqual(motions[a], motions[b])

    def test_refusals_leave_nothing(self):
        out = self.folder / "out"
        cases = [
            (dict(name="unity_avatars/procedural_512"), FileNotFoundError, "is not built"),
            (dict(name=f"render:{_AVATARS}"), ValueError, "build it to export it"),
            (dict(splits=["trian"]), ValueError, "no split 'trian'; it has train"),
            (dict(splits=["train[:1]"]), ValueError, "name whole splits: train, validation, test"),
            (dict(image="mask"), ValueError, "--image=mask: there are image"),
        ]
        for options, kind, message in cases:
            with self.assertRaisesRegex(kind, message):
                exports.export(
                    **{"name": _AVATARS, "to": "coco", "out": out, "data_dir": self.data} | options
                )
            self.assertEqual(list(self.folder.iterdir()), [])
        out.mkdir()
        with self.assertRaisesRegex(FileExistsError, "out exists; name another folder"):
            exports.export(_AVATARS, "coco", out, data_dir=self.data)

    def test_the_command(self):
        command = [sys.executable, "-m", "tfds_builders.export", _AVATARS, f"--data_dir={self.data}"]
        run = lambda *flags: subprocess.run([*command, *flags], cwd=_ROOT, capture_output=True, text=True)
        done = run("--to=patn", f"--out={self.folder}/a", "--split=test")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue((self.folder / "a" / "pairs-test.csv").exists())
        again = run("--to=patn", f"--out={self.folder}/a", "--split=test")
        self.assertEqual(again.returncode, 1)
        self.assertRegex(again.stderr, r"^error: .*a exists; name another folder, or delete it\n$")
        self.assertEqual(run("--to=csv", f"--out={self.folder}/b").returncode, 2)


if __name__ == "__main__":
    unittest.main()
