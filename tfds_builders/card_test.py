"""Tests of data cards: on small builds of unity_avatars and mmd_pairs."""

import hashlib
import json
import pathlib
import re
import tempfile
import unittest
from unittest import mock

import numpy as np
import tensorflow_datasets as tfds

from anime_pt.avatars.character import Terms
from tfds_builders import build, card, registry

_SMALL = ["characters=3", "costumes=2", "poses=2"]


class CardTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def card(self, builder):
        folder = pathlib.Path(builder.data_dir)
        return json.loads((folder / "data_card.json").read_text()), (folder / "DATA_CARD.md").read_text()

    def prepare(self, name, changes, where="data", **options):
        return build.prepare(name, str(self.folder / where), changes=changes, **options)

    def test_counts_seeds_and_hashes(self):
        builder = self.prepare("unity_avatars/procedural_64", [*_SMALL, "seed=3"], processes=2)
        found, text = self.card(builder)
        self.assertEqual(found["config"]["seed"], 3)
        self.assertEqual(found["config"]["poses"], 2)
        self.assertEqual(
            {s: of["examples"] for s, of in found["splits"].items()}, dict.fromkeys(found["splits"], 4)
        )
        of_train = found["splits"]["train"]["counts"]
        ((name, count),) = of_train["character"].items()
        self.assertEqual(count, 4)
        self.assertTrue(name.startswith("procedural_300000"))
        self.assertEqual(of_train["costume"], {"0": 2, "1": 2})
        self.assertEqual(found["sources"], [])
        self.assertIn("no file of others", text)
        for split in found["splits"].values():
            self.assertIn(split["sha256"], text)
        self.assertEqual(
            found["rebuild"],
            "python -m tfds_builders.build unity_avatars/procedural_64 "
            "--set=characters=3 --set=poses=2 --set=seed=3",
        )

    def test_the_command_builds_the_same_again_in_any_number_of_processes(self):
        first, _ = self.card(self.prepare("mmd_pairs/procedural_64", _PAIRS, processes=2))
        words = first["rebuild"].split()
        self.assertEqual(words[:3], ["python", "-m", "tfds_builders.build"])
        changes = [w.removeprefix("--set=") for w in words[4:]]
        again, _ = self.card(self.prepare(words[3], changes, "again", processes=1))
        other, _ = self.card(self.prepare(words[3], [*changes, "seed=1"], "other"))
        self.assertEqual(again, first)
        for split in ("train", "validation", "test"):
            self.assertNotEqual(other["splits"][split]["sha256"], first["splits"][split]["sha256"])

    def test_an_interrupted_card_is_made_by_the_next_build(self):
        with (
            mock.patch.object(card, "_contents", side_effect=KeyboardInterrupt),
            self.assertRaises(KeyboardInterrupt),
        ):
            self.prepare("unity_avatars/procedural_64", _SMALL)
        builder = registry.make("unity_avatars/procedural_64", str(self.folder / "data"), _SMALL)
        folder = pathlib.Path(builder.data_dir)
        self.assertFalse((folder / "DATA_CARD.md").exists())
        shards = {p.name: p.stat().st_mtime_ns for p in folder.glob("*array_record*")}
        self.assertTrue(shards)
        self.prepare("unity_avatars/procedural_64", _SMALL)
        self.assertTrue((folder / "DATA_CARD.md").exists())
        self.assertEqual({p.name: p.stat().st_mtime_ns for p in folder.glob("*array_record*")}, shards)

    def test_files_of_the_user_are_named_hashed_and_their_terms_kept(self):
        folder = self.folder / "files"
        model, motion = folder / "characters" / "ann" / "ann.vrm", folder / "clips" / "hop" / "pos.txt"
        for path in (model, motion):
            path.parent.mkdir(parents=True)
            path.write_bytes(path.name.encode())
        (folder / "LICENSE").write_text("all of it")
        (model.parent / "readme.txt").write_text("be kind | to her")
        (motion.parent / "smoothed.txt").write_text("1.5 -2.25e-1 nan\n" * 9)  # Of the user's, not used.
        terms = Terms("CC_BY", "Ann", {"commercialUssageName": "Allow"}, "")
        sources = card._sources(folder, {motion: Terms(), model: terms})
        self.assertEqual([s["name"] for s in sources], ["characters/ann/ann.vrm", "clips/hop/pos.txt"])
        self.assertEqual(sources[0]["sha256"], hashlib.sha256(b"ann.vrm").hexdigest())
        self.assertEqual(sources[0]["documents"], ["LICENSE", "characters/ann/readme.txt"])
        self.assertEqual(sources[1]["documents"], ["LICENSE"])  # Not the source itself.
        row, other = card._licences(sources)[2:4]
        self.assertRegex(
            row, r"\| characters/ann/ann\.vrm \| CC_BY \| Ann \| commercialUssageName: Allow; see LICENSE"
        )
        self.assertIn("| clips/hop/pos.txt | the file says nothing |", other)

    def test_many_files_that_say_the_same_are_one_row(self):
        terms = {"license": "", "author": "", "fields": {}, "forbids": ""}
        sources = [
            {"name": f"clips/a/{i:03d}.json", "sha256": str(i), "terms": terms, "documents": []}
            for i in range(30)
        ]
        rows = card._licences(sources)
        self.assertEqual(len(rows), 4)  # Head, rule, row, blank.
        self.assertIn("clips/a/* (30 files)", rows[2])

    def test_the_digest_is_of_names_types_shapes_and_values(self):
        tensor = lambda shape, dtype: tfds.features.Tensor(shape=shape, dtype=dtype)
        features = lambda a: tfds.features.FeaturesDict(
            {"a": a, "b": {"c": tfds.features.Text(), "d": np.float32, "e": np.float32}}
        )
        first = features(tensor((4,), np.int32))
        example = {"a": np.arange(4, dtype=np.int32), "b": {"c": b"x", "d": 1.1}}
        found = card.digest(example, first)
        # Readers differ in the order of names and the types of scalars.
        same = {"b": {"d": np.float32(1.1), "c": b"x"}, "a": np.arange(4)}
        self.assertEqual(card.digest(same, first), found)
        others = [
            card.digest(example, features(tensor((4,), np.int64))),
            card.digest({**example, "a": np.arange(4).reshape(2, 2)}, features(tensor((2, 2), np.int32))),
            card.digest({**example, "a": np.arange(1, 5)}, first),
            card.digest({**example, "b": {"c": b"y", "d": 1.1}}, first),
            card.digest({**example, "b": {"c": b"x", "e": 1.1}}, first),
        ]
        self.assertEqual(len({found, *others}), 6)

    def test_a_table_keeps_its_columns(self):
        rows = card._table(("a", "b"), [("x|y", "two\nlines")])
        self.assertEqual(rows[2], "| x\\|y | two lines |")
        self.assertEqual(len(re.findall(r"(?<!\\)\|", rows[2])), 3)


_PAIRS = ["characters=3", "costumes=1", "motions=3", "length=13"]


if __name__ == "__main__":
    unittest.main()
