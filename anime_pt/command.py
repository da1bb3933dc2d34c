"""How every command of the package starts and fails: flags parsed, one clear line on bad input."""

import ctypes
import errno
import os
import pathlib
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence

from absl import app, flags, logging


class Interrupted(Exception):
    """Work that was asked to stop, and has saved what it had."""


# What bad input, a full disk or diverged training raise. Their messages are written for the user.
_EXPECTED = (ValueError, OSError, ArithmeticError)


def run(main: Callable[[Sequence[str]], None], arguments: bool = False) -> None:
    """Parses absl flags, runs `main(argv)` and exits: 0, 1 after an expected failure, 2 on bad flags.

    `arguments` allows words that are not flags.

    An expected failure prints one line to stderr; `ANIME_PT_TRACEBACK=1` shows where it came from.
    """
    # Orbax and TFDS log every file they touch, warn of what is as it should be, and print pages from their
    # threads before the exception arrives here.
    debug = bool(os.environ.get("ANIME_PT_TRACEBACK"))
    logging.set_verbosity(logging.WARNING if debug else logging.FATAL)
    # As Ctrl-C: whoever starts processes ends them.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app.run(main, flags_parser=lambda argv: _parse(argv, arguments))
    except Interrupted as stop:
        _exit(str(stop), 130)
    except KeyboardInterrupt:
        _exit("interrupted; what was finished is kept, the same command continues", 130)
    except Exception as error:
        if not isinstance(error, _EXPECTED) and not _disk_full(error):
            raise
        if debug:
            traceback.print_exc()
        _exit(f"error: {one_line(error)}", 1)


def apart(outputs: Sequence[tuple[str, str | os.PathLike]], inputs: Iterable[str | os.PathLike]) -> None:
    """Raises ValueError if a file would be written over another one of the same command.

    Args:
      outputs: flags, and the paths that are written because of them.
      inputs: what is read; names of what are no files are left out.
    """
    taken = {pathlib.Path(path).resolve(): "an input" for path in inputs if os.path.exists(path)}
    for flag, path in outputs:
        what = taken.setdefault(pathlib.Path(path).resolve(), f"what --{flag} writes")
        if what != f"what --{flag} writes":
            raise ValueError(f"--{flag} would replace {what}, {path}: name another file")


def height_and_width(flag: flags.FlagHolder[str | None]) -> tuple[float, float] | None:
    """Of a flag that says HEIGHTxWIDTH; None where it is not given.

    Raises:
      ValueError: it says something else.
    """
    if flag.value is None:
        return None
    parts = flag.value.lower().split("x")
    if len(parts) != 2 or not all(p.isdecimal() and len(p) < 6 and int(p) > 0 for p in parts):
        raise ValueError(
            f"--{flag.name} must be HEIGHTxWIDTH in pixels, such as 720x1280, got {flag.value!r}"
        )
    return float(parts[0]), float(parts[1])


def keep_compiled() -> None:
    """Lets JAX keep what it compiles in the user's cache folder, unless it is told another place."""
    import jax

    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "anime_pt" / "xla"
    if not jax.config.jax_compilation_cache_dir:
        jax.config.update("jax_compilation_cache_dir", str(cache))


def keep_memory() -> bool:
    """Lets the process keep memory that it has freed; whether it could be asked to.

    XLA takes the buffers of every step anew on CPU; glibc gives large ones back to the system at once, and
    the page faults of taking them again are up to a fifth of a training step. Elsewhere nothing is done.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is None:
        return False
    # malloc.h: M_MMAP_MAX, M_TRIM_THRESHOLD, M_ARENA_MAX.
    return all([mallopt(-4, 0), mallopt(-1, 2**31 - 1), mallopt(-8, 1)])


def one_line(error: BaseException) -> str:
    """The message of an error in one line; that the disk is full is said whatever the library called it."""
    text = " ".join(str(error).split()) or type(error).__name__
    if _disk_full(error):
        return f"the disk is full; free some space, and run the same command again ({text[:200]})"
    return text


def _disk_full(error: BaseException) -> bool:
    return getattr(error, "errno", None) == errno.ENOSPC or os.strerror(errno.ENOSPC) in str(error)


def _parse(argv: Sequence[str], arguments: bool) -> list[str]:
    try:
        rest = flags.FLAGS(list(argv))
    except (flags.Error, ValueError, OSError, AttributeError, KeyError, TypeError) as error:
        if os.environ.get("ANIME_PT_TRACEBACK"):
            traceback.print_exc()
        _exit(f"error: {one_line(error)}", 2)
    if len(rest) > 1 and not arguments:
        _exit(f"error: unexpected argument {rest[1]!r}; every option is a flag, see --help", 2)
    return rest


def _exit(message: str, code: int) -> None:
    print(message, file=sys.stderr, flush=True)
    sys.exit(code)
