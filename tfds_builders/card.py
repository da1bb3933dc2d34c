"""Data cards: what a dataset was made from, by what, and what is in it.

Beside every dataset stand `data_card.json`, for programs, and `DATA_CARD.md`, which says the same to people.
What was read (files, terms of use) is written with the dataset; counts and hashes are added afterwards, so an
interruption while everything is read once more loses nothing.

The hash of a split is the sum, modulo 2^256, of the SHA-256 of its examples, so the order of examples and how
they are spread over files do not matter. That of an example is over its features by name: their types, shapes
and values, images as the PNG file that is stored.
"""

import dataclasses
import functools
import hashlib
import importlib.metadata
import itertools
import json
import pathlib
import re
import shlex
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tqdm import tqdm

from anime_pt.avatars.character import Terms
from tfds_builders import registry

_JSON, _TEXT = "data_card.json", "DATA_CARD.md"
_MODULUS = 1 << 256
# What authors put their conditions into.
_DOCUMENTS = (".txt", ".md", ".html", ".htm", ".pdf", ".rtf")
# Names that a table in the text shows of each kind; the JSON has them all.
_SHOWN = 20


def begin(builder: tfds.core.DatasetBuilder, folder: pathlib.Path | None, files: Mapping[str, Terms]) -> None:
    """Writes into the dataset's folder what it is made from.

    Args:
      builder: of the dataset.
      folder: of the user; files are named by their paths below it.
      files: path -> terms of use, as the file says them.
    """
    config = builder.builder_config
    document = {
        "dataset": builder.info.full_name,
        "rebuild": _command(builder),
        "made_by": {"package": "anime_pt", **_versions()},
        "config": {f: getattr(config, f) for f in registry.own_fields(config)},
        "sources": _sources(folder, {pathlib.Path(path): terms for path, terms in files.items()}),
    }
    _save(builder, document)


def _sources(folder: pathlib.Path | None, files: Mapping[pathlib.Path, Terms]) -> list[dict[str, Any]]:
    """Name, hash, terms and texts beside, which may say more, of each file."""

    @functools.cache
    def documents(place: pathlib.Path) -> list[str]:
        above = documents(place.parent) if place != folder else []
        return above + sorted(
            f.relative_to(folder).as_posix()
            for f in place.iterdir()
            if f.is_file() and f not in files
            if f.suffix.lower() in _DOCUMENTS or f.stem.upper() in ("LICENSE", "LICENCE")
            if f.suffix.lower() != ".txt" or _has_words(f)
        )

    out = []
    for path in sorted(files):
        with open(path, "rb") as data:
            digest = hashlib.file_digest(data, "sha256").hexdigest()
        name, terms = path.relative_to(folder).as_posix(), dataclasses.asdict(files[path])
        out.append({"name": name, "sha256": digest, "terms": terms, "documents": documents(path.parent)})
    return out


def _has_words(path: pathlib.Path) -> bool:
    """Whether a text is more than columns of numbers, such as joints."""
    with open(path, "rb") as data:
        return bool(re.search(rb"[A-Za-z]{4}|[\x80-\xff]", data.read(4096)))


def finish(builder: tfds.core.DatasetBuilder) -> None:
    """Reads a built dataset once, adds counts and hashes to its card; does nothing if they are there."""
    path = pathlib.Path(builder.data_dir) / _JSON
    if not path.exists():
        return
    document = json.loads(path.read_text(encoding="utf-8"))
    if "splits" in document:
        return
    document["splits"] = {split: _contents(builder, split) for split in builder.info.splits}
    (path.parent / _TEXT).write_text(_text(document), encoding="utf-8")
    _save(builder, document)


def _save(builder: tfds.core.DatasetBuilder, document: Mapping[str, Any]) -> None:
    path = pathlib.Path(builder.data_dir) / _JSON
    temporary = path.with_name(f".writing-{_JSON}")
    temporary.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def _command(builder: tfds.core.DatasetBuilder) -> str:
    """What builds the same again."""
    config = builder.builder_config
    known = [c for c in builder.BUILDER_CONFIGS if f"{config.name}-".startswith(f"{c.name}-")]
    base = max(known, key=lambda c: len(c.name), default=config)
    changed = [f for f in registry.own_fields(config) if getattr(config, f) != getattr(base, f)]
    words = ["python -m tfds_builders.build", f"{builder.name}/{base.name}"]
    words += [f"--set={f}={shlex.quote(str(getattr(config, f)))}" for f in changed]
    words += ["--manual_dir=FOLDER_OF_THE_SOURCES"] if builder.needs_manual_dir else []
    return " ".join(words)


def _versions() -> dict[str, str]:
    """Version of the package and, in a checkout of the repository, the commit."""
    root = pathlib.Path(__file__).parent.parent
    out = {"version": importlib.metadata.version("anime_pt")}
    if (root / ".git").exists():
        git = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty"]
        done = subprocess.run(git, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            out["commit"] = done.stdout.strip()
    return out


def _contents(builder: tfds.core.DatasetBuilder, split: str) -> dict[str, Any]:
    features = builder.info.features
    texts = [n for n, f in features.items() if isinstance(f, tfds.features.Text)]
    size = builder.info.splits[split].num_examples
    title = f"data card of {builder.info.full_name} {split}"
    total, counts = 0, {name: Counter() for name in texts}
    for example in tqdm(_stored(builder, split), total=size, unit="example", desc=title):
        total = (total + int.from_bytes(digest(example, features), "big")) % _MODULUS
        for name in texts:
            counts[name][example[name].decode()] += 1
    return {
        "examples": size,
        "sha256": f"{total:064x}",
        "counts": {name: dict(sorted(of.items())) for name, of in counts.items()},
    }


def _stored(builder: tfds.core.DatasetBuilder, split: str) -> Iterator[Mapping[str, Any]]:
    """The examples, images as the bytes of their files."""
    images = [n for n, f in builder.info.features.items() if isinstance(f, tfds.features.Image)]
    decoders = dict.fromkeys(images, tfds.decode.SkipDecoding())
    try:
        source = builder.as_data_source(split, decoders=decoders)
    except NotImplementedError:  # A format without random access, which TensorFlow reads.
        return iter(tfds.as_numpy(builder.as_dataset(split=split, decoders=decoders)))
    return (source[i] for i in range(len(source)))


def digest(example: Mapping[str, Any], features: tfds.features.FeaturesDict) -> bytes:
    """SHA-256 of an example: its features by name, nested ones with a slash, in the types of `features`."""
    hashed, kinds = hashlib.sha256(), _flat(features.get_tensor_info())
    for name, value in sorted(_flat(example).items()):
        if isinstance(value, bytes):
            kind, data = "bytes", value
        else:
            array = np.asarray(value, kinds[name].np_dtype)
            kind, data = f"{array.dtype.str}{array.shape}", np.ascontiguousarray(array).tobytes()
        hashed.update(f"{name} {kind} {len(data)}\n".encode() + data)
    return hashed.digest()


def _flat(example: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    out = {}
    for name, value in example.items():
        out |= _flat(value, f"{prefix}{name}/") if isinstance(value, Mapping) else {prefix + name: value}
    return out


def _text(card: Mapping[str, Any]) -> str:
    made_by = " ".join(f"{k} {v}" for k, v in card["made_by"].items() if k != "package")
    lines = [
        f"# {card['dataset']}",
        "",
        f"Made by {card['made_by']['package']}, {made_by}. To build it again:",
        "",
    ]
    lines += [f"    {card['rebuild']}", "", "## Licences", "", *_licences(card["sources"]), "## Counts", ""]
    kinds = list(next(iter(card["splits"].values()))["counts"])
    lines += _table(
        ("split", "examples", *(f"{k}s" for k in kinds)),
        [(s, of["examples"], *(len(of["counts"][k]) for k in kinds)) for s, of in card["splits"].items()],
    )
    for split, of in card["splits"].items():
        for kind in kinds:
            names = list(of["counts"][kind].items())
            more = [f"and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
            shown = ", ".join([*(f"{n} ({c})" for n, c in names[:_SHOWN]), *more])
            lines += [f"{kind}s of {split}: {shown}", ""]
    lines += [
        "## Hashes",
        "",
        "Sums of the SHA-256 of the examples, whatever their order (see `card.py`).",
        "",
    ]
    lines += _table(("split", "hash"), [(s, f"`{of['sha256']}`") for s, of in card["splits"].items()])
    lines += ["## Config, with its seeds", ""]
    lines += _table(("field", "value"), card["config"].items())
    return "\n".join(lines).rstrip() + "\n"


def _licences(sources: Sequence[Mapping[str, Any]]) -> list[str]:
    if not sources:
        return [
            "Everything comes from seeds and from the code, which is under Apache-2.0; no file of others.",
            "",
        ]
    rows = []
    for s in _together(sources):
        terms = s["terms"]
        said = [f"{k}: {v}" for k, v in terms["fields"].items()]
        said += [f"**{terms['forbids']}**"] if terms["forbids"] else []
        said += [f"see {d}" for d in s["documents"]]
        license_ = terms["license"] or "the file says nothing"
        rows.append((s["name"], license_, terms["author"], "; ".join(said), s["sha256"]))
    return _table(("file", "licence", "author", "terms", "sha256"), rows)


def _together(sources: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The same, but long runs of files of a folder that say the same as one."""
    alike = lambda s: (str(pathlib.PurePath(s["name"]).parent), s["terms"], s["documents"])
    for (folder, *_), run in itertools.groupby(sources, alike):
        run = list(run)
        if len(run) <= _SHOWN:
            yield from run
        else:
            name = f"{folder}/* ({len(run)} files)"
            yield {**run[0], "name": name, "sha256": f"each in {_JSON}"}


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    cell = lambda value: " ".join(str(value).split()).replace("|", "\\|")
    row = lambda cells: f"| {' | '.join(map(cell, cells))} |"
    return [row(head), "|" + "---|" * len(head), *map(row, rows), ""]
