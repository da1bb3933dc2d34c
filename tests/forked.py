"""Commands in processes forked from one that has imported the libraries, which takes seconds each time."""

import multiprocessing
import os
import pathlib
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from unittest import mock

_LIBRARIES = ("jax", "flax.nnx", "optax", "orbax.checkpoint", "tensorflow_datasets", "grain", "cv2", "av")
_LIBRARIES += ("scipy.ndimage", "scipy.optimize", "scipy.sparse", "numba", "matplotlib.pyplot", "tqdm")
_START = multiprocessing.get_context("forkserver")
# Libraries alone: what is the package's own is imported by each command, as it is by `python -m`.
_START.set_forkserver_preload([__name__, *_LIBRARIES])


def run(
    module: str, arguments: Sequence[str], root: pathlib.Path, environment: dict[str, str], timeout: float
) -> subprocess.CompletedProcess:
    """What `python -m module arguments` prints and returns, run in `root`.

    The libraries were imported in the environment of the first call: variables that they read on import
    are those of that time.

    Raises:
      subprocess.TimeoutExpired: it took longer than `timeout` seconds, and was killed.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = [pathlib.Path(folder, name) for name in ("stdout", "stderr")]
        process = _START.Process(target=_child, args=(module, arguments, root, environment, files))
        with mock.patch.dict(os.environ, environment):
            process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired([module, *arguments], timeout)
        return subprocess.CompletedProcess(
            [module, *arguments], process.exitcode, *(path.read_text() for path in files)
        )


def _child(module, arguments, root, environment, files) -> None:
    for path, stream in zip(files, (1, 2), strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream)
    os.chdir(root)
    os.environ.clear()
    os.environ.update(environment)
    sys.path.insert(0, str(root))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
