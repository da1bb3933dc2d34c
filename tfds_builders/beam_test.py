"""Builds on Apache Beam: the same examples as from the pool, and what is finished is kept."""

import dataclasses
import importlib.util
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfds_builders import build, sharded

_ROOT = pathlib.Path(__file__).parent.parent
_CHANGES = ["characters=3", "costumes=1", "poses=300"]
needs_beam = pytest.mark.skipif(
    not importlib.util.find_spec("apache_beam"),
    reason="Apache Beam is not installed (pip install -e '.[beam]')",
)


@dataclasses.dataclass(frozen=True)
class Numbers:
    """Ten numbers, the first of them `start`; fails for 20 until a file is there."""

    start: int
    switch: str

    def __call__(self):
        for i in range(self.start, self.start + 10):
            if i == 20 and not pathlib.Path(self.switch).exists():
                raise ValueError("no twenties today")
            yield i, {"number": i}


class NumbersBuilder(sharded.ShardedBuilder, skip_registration=True):
    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="fifty")]
    switch = ""

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict({"number": np.int32}), description="Numbers."
        )

    def _shards(self, manual_dir):
        return {"train": [sharded.Shard(Numbers(10 * i, self.switch), 10) for i in range(5)]}


@needs_beam
def test_two_worker_processes_build_what_the_pool_builds(tmp_path):
    command = [sys.executable, "-m", "tfds_builders.build", "unity_avatars/procedural_64"]
    command += [f"--set={change}" for change in _CHANGES] + [f"--data_dir={tmp_path / 'beam'}"]
    command += ["--beam_runner=DirectRunner"]
    command += ["--beam_options=direct_running_mode=multi_processing,direct_num_workers=2"]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pool = build.prepare("unity_avatars/procedural_64", str(tmp_path / "pool"), changes=_CHANGES)
    folder = tmp_path / "beam" / pathlib.Path(pool.data_dir).relative_to(tmp_path / "pool")
    beam = tfds.builder_from_directory(folder)
    assert beam.info.splits["train"].shard_lengths == pool.info.splits["train"].shard_lengths
    for split in ("train", "validation", "test"):
        theirs, ours = pool.as_data_source(split), beam.as_data_source(split)
        assert len(ours) == len(theirs) == 300
        for index in range(0, 300, 13):
            for name in ("image", "mask", "keypoints", "character"):
                np.testing.assert_array_equal(ours[index][name], theirs[index][name])


@needs_beam
def test_a_failed_pipeline_keeps_finished_shards_and_continues(tmp_path):
    builder = NumbersBuilder(data_dir=tmp_path)
    builder.switch = str(tmp_path / "switch")

    def run():
        from apache_beam.options.pipeline_options import PipelineOptions

        config = tfds.download.DownloadConfig(
            beam_runner="DirectRunner",
            beam_options=PipelineOptions(
                ["--direct_running_mode=multi_processing", "--direct_num_workers=1"]
            ),
            compute_stats=tfds.download.ComputeStatsMode.SKIP,
        )
        builder.download_and_prepare(download_config=config, file_format="array_record")

    with pytest.raises(OSError, match=r"the Beam pipeline failed \(.*no twenties today.*\); finished shards"):
        run()
    (parts,) = (tmp_path / "numbers_builder" / "fifty").glob(".*.parts-*")
    kept = {p.name: p.stat().st_mtime_ns for p in parts.glob("numbers_builder-*")}
    assert 0 < len(kept) < 5
    pathlib.Path(builder.switch).touch()
    run()
    now = {p.name: p.stat().st_mtime_ns for p in pathlib.Path(builder.data_dir).iterdir()}
    assert {name: now[name] for name in kept} == kept
    assert [e["number"] for e in builder.as_data_source("train")] == list(range(50))


def test_options_without_a_runner(tmp_path):
    with pytest.raises(ValueError, match="--beam_options needs --beam_runner"):
        build.prepare("unity_avatars/procedural_64", str(tmp_path), beam_options=["direct_num_workers=2"])
