"""`tfds.testing.DatasetBuilderTestCase` without TensorFlow: build, read back, check against the features.

TFDS's own class subclasses `tf.test.TestCase`. This one has its class attributes and checks the same things
for array_record, and what TFDS does not: that two builds decode to the same examples.
"""

import contextlib
import pathlib
import tempfile
import unittest
from collections.abc import Iterator
from unittest import mock

import numpy as np
import tensorflow_datasets as tfds

from tfds_builders import sharded


@contextlib.contextmanager
def written_here() -> Iterator[None]:
    """Within it this process writes shards: a spawned one imports everything first."""

    def write(builder, parts, missing, total):
        for name, shard in missing.items():
            sharded.write_shard(str(parts / name), shard, builder.info.features, builder.info.file_format)

    with mock.patch.object(sharded.ShardedBuilder, "_write_in_pool", write):
        yield


class BuilderTestCase(unittest.TestCase):
    """Subclass it, set the attributes, and define `make`.

    Attributes:
      SPLITS: split name -> number of examples, by builder config name.
      MANUAL_DIR: folder of dummy files, or None.
    """

    SPLITS: dict[str, dict[str, int]] = {}
    MANUAL_DIR: pathlib.Path | None = None

    def make(self, config: str, data_dir: str) -> tfds.core.DatasetBuilder:
        """The builder under test, not yet prepared."""
        raise NotImplementedError

    def setUp(self):
        if type(self) is BuilderTestCase:
            self.skipTest("the base class has no builder")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def build(self, config: str, name: str = "data", pool: bool = False) -> tfds.core.DatasetBuilder:
        """Builds in this process, or with a pool of processes as users do."""
        builder = self.make(config, str(self.folder / name))
        with contextlib.nullcontext() if pool else written_here():
            builder.download_and_prepare(
                download_config=tfds.download.DownloadConfig(
                    manual_dir=self.MANUAL_DIR, compute_stats=tfds.download.ComputeStatsMode.SKIP
                ),
                file_format="array_record",
            )
        return builder

    def examples(self, builder: tfds.core.DatasetBuilder, split: str) -> list[dict]:
        source = tfds.builder_from_directory(builder.data_dir).as_data_source(split)
        return [source[i] for i in range(len(source))]

    def test_build_read_and_build_again(self):
        for config, splits in self.SPLITS.items():
            with self.subTest(config):
                first, second = self.build(config), self.build(config, "again", pool=True)
                found = {k: v.num_examples for k, v in first.info.splits.items()}
                self.assertEqual(found, splits)
                for split in splits:
                    examples = self.examples(first, split)
                    self.assertLen(examples, splits[split])
                    for a, b in zip(examples, self.examples(second, split), strict=True):
                        self.check_example(first.info.features, a)
                        self.assert_equal(a, b)

    def test_metadata(self):
        builder = self.make(next(iter(self.SPLITS)), str(self.folder))
        metadata = builder.get_metadata()  # Raises for unknown tags.
        self.assertTrue(metadata.description and metadata.citation and metadata.tags)

    def assertLen(self, container, length):
        self.assertEqual(len(container), length)

    def check_example(self, features, example):
        """Types and shapes are those declared; TFDS does not check images given as bytes."""
        if isinstance(features, tfds.features.FeaturesDict):
            self.assertEqual(set(features), set(example))
            for name in features:
                self.check_example(features[name], example[name])
        elif isinstance(features, tfds.features.Text):
            self.assertIsInstance(example, bytes)
        else:
            value = np.asarray(example)
            declared = np.dtype(features.get_tensor_info().np_dtype)
            if value.ndim:
                self.assertEqual(value.dtype, declared)
            else:  # Scalars come as Python numbers.
                self.assertEqual(value.dtype.kind, declared.kind)
            self.assertLen(value.shape, len(features.shape))
            for size, wanted in zip(value.shape, features.shape, strict=True):
                self.assertIn(wanted, (size, None))  # None: images of any size.

    def assert_equal(self, a, b):
        if isinstance(a, dict):
            self.assertEqual(a.keys(), b.keys())
            for name in a:
                self.assert_equal(a[name], b[name])
        else:
            np.testing.assert_array_equal(a, b)
