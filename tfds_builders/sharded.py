"""A TFDS builder whose shards are written by several processes, and kept when a build is interrupted.

TFDS's own `ShardBasedBuilder` writes shards one after another (or on Beam) into a folder that it deletes when
the build fails. Here every shard is a task, written under a temporary name, renamed when it is complete, and
kept beside the dataset until all are there; the same command then continues. Tasks go to a pool of processes,
or, with TFDS's `beam_runner` or `beam_options` in the download config, to an Apache Beam pipeline.

Nothing imports TensorFlow when the format is array_record and images are yielded as encoded bytes.
"""

import concurrent.futures
import contextlib
import dataclasses
import errno
import fcntl
import functools
import hashlib
import importlib.metadata
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import shutil
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow_datasets as tfds
from etils import epath
from tensorflow_datasets.core import example_serializer, file_adapters
from tensorflow_datasets.core import writer as tfds_writer
from tqdm import tqdm

from anime_pt.avatars.character import Terms
from tfds_builders import card

Example = tuple[str | int, dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of a split.

    Attributes:
      examples: called in the writing process; yields (key, example). Must pickle.
      count: how many it yields.
      files: of the user's, that it is made from: paths and terms of use, for the data card.
    """

    examples: Callable[[], Iterator[Example]]
    count: int
    files: tuple[tuple[str, Terms], ...] = ()


class ShardedBuilder(tfds.core.ShardBasedBuilder, skip_registration=True):
    """Subclasses implement `_info` and `_shards`.

    `processes` is how many write; 0 takes one for each core.
    """

    processes: int = 0

    def _shards(self, manual_dir: pathlib.Path | None) -> Mapping[str, Sequence[Shard]]:
        """The shards of every split, in their order in the dataset."""
        raise NotImplementedError

    def examples(self, manual_dir: pathlib.Path | None) -> Mapping[str, Sequence[dict[str, Any]]]:
        """For each split, random access to its examples as TFDS reads them back, made when asked for.

        They pickle, and equal the built ones. For datasets that are computed, such as rendered ones; see
        `live`.
        """
        raise ValueError(f"{self.info.full_name} cannot be made while it is read; build it")

    @property
    def needs_manual_dir(self) -> bool:
        """Whether the user must provide files."""
        return bool(self.MANUAL_DOWNLOAD_INSTRUCTIONS)

    def _manual_dir(self, dl_manager: tfds.download.DownloadManager) -> pathlib.Path | None:
        """The folder of files that the user provides; None for datasets that need none."""
        if not self.needs_manual_dir:
            return None
        try:
            return pathlib.Path(dl_manager.manual_dir)
        except AssertionError as error:  # What TFDS raises for a folder that is absent or empty.
            raise FileNotFoundError(f"{error} (give the folder with --manual_dir)") from error

    def download_and_prepare(self, **options):
        """As TFDS's own; then completes the dataset's card, see `card`."""
        super().download_and_prepare(**options)
        card.finish(self)

    def _shard_iterators_per_split(self, dl_manager):
        shards = self._shards(self._manual_dir(dl_manager))
        return {split: [s.examples for s in of_split] for split, of_split in shards.items()}

    def _download_and_prepare(self, dl_manager, download_config=None):
        manual_dir = self._manual_dir(dl_manager)
        shards = self._shards(manual_dir)
        tasks = {}
        for split, of_split in shards.items():
            template = self._get_filename_template(split)
            for index, shard in enumerate(of_split):
                path = template.sharded_filepath(shard_index=index, num_shards=len(of_split))
                tasks[path.name] = shard
        parts = self._parts_dir(shards)
        parts.mkdir(parents=True, exist_ok=True)
        with _only_build(parts):
            for torn in parts.glob("x.writing-*"):
                torn.unlink()
            missing = {name: shard for name, shard in tasks.items() if not (parts / name).exists()}
            if download_config and (download_config.beam_runner or download_config.beam_options):
                self._write_on_beam(parts, missing, download_config)
            else:
                self._write_in_pool(parts, missing, total=sum(s.count for s in tasks.values()))
            files = dict(file for of_split in shards.values() for s in of_split for file in s.files)
            card.begin(self, manual_dir, files)
            self._gather(parts, shards)

    def _gather(self, parts: pathlib.Path, shards: Mapping[str, Sequence[Shard]]) -> None:
        """Moves the finished shards to where TFDS expects them, and says what they are."""
        infos = []
        for split, of_split in shards.items():
            template = self._get_filename_template(split)
            size = 0
            for index in range(len(of_split)):
                path = template.sharded_filepath(shard_index=index, num_shards=len(of_split))
                shutil.move(parts / path.name, path)
                size += path.stat().length
            lengths = [s.count for s in of_split]
            infos.append(
                tfds.core.SplitInfo(
                    name=split, shard_lengths=lengths, num_bytes=size, filename_template=template
                )
            )
        shutil.rmtree(parts)
        self.info.set_splits(tfds.core.splits.SplitDict(infos))

    def _parts_dir(self, shards: Mapping[str, Sequence[Shard]]) -> pathlib.Path:
        """Where finished shards wait; named after what is built, so that two plans never mix."""
        package = importlib.metadata.version("anime_pt")
        plan = repr((self.info.full_name, self.info.file_format, package, shards))
        digest = hashlib.sha256(plan.encode()).hexdigest()[:16]
        config = self.builder_config.name if self.builder_config else "default"
        return pathlib.Path(self._data_dir_root) / self.name / config / f".{self.version}.parts-{digest}"

    def _write_on_beam(
        self,
        parts: pathlib.Path,
        missing: Mapping[str, Shard],
        download_config: tfds.download.DownloadConfig,
    ) -> None:
        # TFDS writes one pipeline for each shard, into the folder that it deletes when one of them fails.
        import apache_beam as beam

        write = functools.partial(write_shard, features=self.info.features, file_format=self.info.file_format)
        tasks = [(str(parts / name), shard) for name, shard in missing.items()]
        try:
            with beam.Pipeline(download_config.beam_runner, download_config.beam_options) as pipeline:
                # Reshuffled, or the runner fuses the steps and one worker writes everything.
                pipeline | beam.Create(tasks) | beam.Reshuffle() | "write" >> beam.MapTuple(write)
        except RuntimeError as error:  # Of a worker; its traceback, as text.
            reason = [line for line in str(error).splitlines() if line.strip()][-1]
            raise OSError(
                f"the Beam pipeline failed ({reason[:300]}); finished shards are kept: mend it and run the "
                "same command again"
            ) from error

    def _write_in_pool(self, parts: pathlib.Path, missing: Mapping[str, Shard], total: int) -> None:
        done = total - sum(s.count for s in missing.values())
        workers = max(1, min(self.processes or os.cpu_count() or 1, len(missing)))
        # Spawned: a forked copy of a process with JAX or numba threads can hang.
        context = multiprocessing.get_context("spawn")
        counter = context.Value("q", 0)
        pool = concurrent.futures.ProcessPoolExecutor(
            workers, context, initializer=_start_worker, initargs=(counter,)
        )
        title = f"building {self.info.full_name}"
        with pool, tqdm(total=total, initial=done, unit="example", desc=title) as progress:
            todo = list(reversed(missing.items()))
            running: set[concurrent.futures.Future] = set()
            try:
                while todo or running:
                    # No more than there are workers: what a pool has queued cannot be called back.
                    while todo and len(running) < workers:
                        name, shard = todo.pop()
                        path = str(parts / name)
                        running.add(
                            pool.submit(write_shard, path, shard, self.info.features, self.info.file_format)
                        )
                    finished, running = concurrent.futures.wait(
                        running, timeout=0.5, return_when=concurrent.futures.FIRST_COMPLETED
                    )
                    for future in finished:
                        future.result()
                    progress.update(done + counter.value - progress.n)
            except concurrent.futures.process.BrokenProcessPool as error:
                raise OSError(
                    "a writing process died, perhaps for want of memory; finished shards are kept: "
                    "run the same command again, with --processes=1"
                ) from error
            except KeyboardInterrupt:
                print("finishing the running shards; once more to stop now", file=sys.stderr, flush=True)
                raise


@contextlib.contextmanager
def _only_build(parts: pathlib.Path) -> Iterator[None]:
    """Raises OSError if another process builds the same; the lock goes when its holder dies."""
    with open(parts / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OSError(f"another process is building this dataset ({parts})") from error
        yield


_counter: Any = None  # In a worker: the examples that all workers have written.


def _start_worker(counter: Any) -> None:
    global _counter
    _counter = counter
    # Ctrl-C reaches the whole process group; the parent lets running shards finish.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def end_with_parent() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    # A killed parent cannot tell its workers, and they would write on for nobody.
    threading.Thread(target=end_with_parent, daemon=True).start()


def write_shard(
    path: str,
    shard: Shard,
    features: tfds.features.FeaturesDict,
    file_format: file_adapters.FileFormat,
) -> None:
    """Writes one shard; `path` appears when it is complete.

    Raises:
      ValueError: the shard yields another number of examples than it said.
      OSError: the disk is full.
    """
    serializer = example_serializer.ExampleSerializer(features.get_serialized_info())
    written = 0

    def serialized() -> Iterator[tuple[str | int, bytes]]:
        nonlocal written
        for key, example in shard.examples():
            yield key, serializer.serialize_example(features.encode_example(example))
            written += 1
            if _counter is not None:
                with _counter.get_lock():
                    _counter.value += 1

    # The suffix stays last: file adapters go by it.
    temporary = epath.Path(path).with_name(f"x.writing-{uuid.uuid4().hex}-{epath.Path(path).name}")
    try:
        tfds_writer.ExampleWriter(file_format).write(temporary, serialized())
        if written != shard.count:
            raise ValueError(f"{path}: {written} examples were written, {shard.count} were planned")
        os.replace(temporary, path)
    except Exception as error:
        temporary.unlink(missing_ok=True)
        if "No space left on device" in str(error):  # ArrayRecord raises RuntimeError.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path) from error
        raise
