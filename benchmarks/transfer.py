r"""Benchmark of pose transfer, see docs/benchmark.md. One JSON line for each list of pairs.

    python -m benchmarks.transfer --row=copy --size=128 --data_dir=data
    python -m benchmarks.transfer --row=packaged --size=128 --data_dir=data
    python -m benchmarks.transfer --row=PATN --workdir=runs/patn --size=128 --data_dir=data >> results.jsonl
    python -m benchmarks.transfer --table=results.jsonl

A row is a training run (`--workdir`) under a name of one's own; `copy` gives the source back, `packaged` is
the network that comes with the package. Lists are of `unity_avatars/benchmark_SIZE`, rendered where it is not
built, and of the 3D characters in `DATA_DIR/downloads/manual`, where there are any. Networks of another size
get the pictures in theirs, and what they make is brought back: `resized` says from what.
"""

import argparse
import dataclasses
import functools
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from anime_pt import command

COPY, PACKAGED = "copy", "packaged"
# Whose characters and poses the lists hold out.
TRAINED_ON = ("unity_avatars/benchmark_128", "unity_avatars/benchmark_256")
# Characters and poses that are not in the lists, whatever the split: they follow from the set's seed.
_OTHER_SEED = re.compile(r"unity_avatars/(procedural|benchmark)_[^-]+(-[^-]+)*-seed[1-9]\d*(-[^-]+)*")
SKELETON = "avatar_20"
SEED = 0
BATCH = 16
_SHOWN = 8


@dataclasses.dataclass(frozen=True)
class List:
    """A fixed list of pairs.

    Attributes:
      title: in tables.
      dataset: its name below `unity_avatars`; {size} stands for the height.
      split: whose pictures.
      poses: of the targets, see `data.held_out`; sources are in seen ones.
      pairs: how many.
    """

    title: str
    dataset: str
    split: str
    poses: str
    pairs: int


_MODELS = "rigged_256-poses100-motionsFalse-shared_posesTrue"
LISTS = {
    "characters": List("unseen characters", "benchmark_{size}", "test", "seen", 300),
    "poses": List("unseen poses", "benchmark_{size}", "train", "unseen", 300),
    "both": List("unseen characters in unseen poses", "benchmark_{size}", "test", "unseen", 300),
    "mmd": List("MMD models in unseen poses", _MODELS, "train+validation+test", "unseen", 100),
}
# Column -> metric, and whether more is better.
COLUMNS = {
    "SSIM": ("ssim", True),
    "L1": ("l1", False),
    "figure L1": ("figure_l1", False),
    "IoU": ("iou", True),
    "joints": ("pdj", True),
    "feature distance": ("feature_distance_small", False),
    "Fréchet": ("frechet_small", False),
    "same character": ("identity_top1_small", True),
    "colour drift": ("colour_drift", False),
}


def pairs_of(of: List, size: tuple[int, int], data_dir: str, sources: int = 1, count: int = 0) -> Any:
    """The pairs of a list, see `data.pairs.Listed`, and where their pictures come from; None without data.

    Args:
      of: the list.
      size: height and width of the pictures.
      data_dir: of TFDS.
      sources: of each pair; the targets are the same for any number.
      count: the first so many; 0 for all.
    """
    import ml_collections

    from anime_pt.data import pipeline
    from anime_pt.data import sources as datasets

    name = f"unity_avatars/{of.dataset.format(size=size[0])}"
    try:
        datasets.builder(name, data_dir)
    except datasets.DatasetNotBuiltError:
        name = datasets.RENDER + name
        try:
            datasets.builder(name, data_dir)
        except FileNotFoundError:
            return None
    config = ml_collections.ConfigDict({"skeleton": SKELETON})
    config.data = ml_collections.ConfigDict({"view": "pairs", "crop": "figure", "zoom": 1.0})
    config.data.update({"name": name, "data_dir": data_dir, "eval_split": of.split, "poses": of.poses})
    config.data.update({"sources": sources, "eval_seed": SEED})
    return pipeline.pair_evaluation(config, size, count or of.pairs)


def batches_of(listed: Sequence[Mapping[str, np.ndarray]]) -> Iterator[tuple[dict[str, np.ndarray], int]]:
    """Batches of `BATCH` pairs, the last one filled with copies of its last pair; how many are none."""
    for start in range(0, len(listed), BATCH):
        rows = [listed[i] for i in range(start, min(start + BATCH, len(listed)))]
        count = len(rows)
        rows += rows[-1:] * (BATCH - count)
        yield {k: np.stack([row[k] for row in rows]) for k in rows[0]}, count


class Resized:
    """A network for pictures of another size or framing than its own: the figures keep their proportions.

    Attributes:
      words: what is done to the pictures, "" for nothing.
    """

    def __init__(self, model: Any, size: tuple[int, int]):
        """`model` is a `pipelines.transfer.Model`, `size` that of the pictures."""
        from anime_pt.pipelines import framing
        from anime_pt.pose import affine

        self._model, self._size = model, size
        have, want = framing.Frame.of({}, size), model.frame
        scale = want.stature * want.size[0] / (have.stature * have.size[0])
        across = (want.size[1] - scale * have.size[1]) / 2
        down = want.ground * want.size[0] - scale * have.ground * have.size[0]
        if abs(scale - 1) < 1e-6:
            # Whole pixels stay what they are.
            across, down = round(across), round(down)
        self._there = affine.compose(affine.translate(across, down), affine.scale(scale))
        self._back = affine.invert(self._there)
        self._same = bool(np.allclose(self._there, affine.identity())) and tuple(model.size) == tuple(size)
        self.words = "" if self._same else f"in {'x'.join(map(str, model.size))}"
        # Larger pictures than its own are given to a network that copies pixels from them.
        whole = [have / own for have, own in zip(size, model.size, strict=True)]
        plain = affine.scale(1 / whole[0])
        self._fine = model.copies and whole[0] in range(2, 9) and np.allclose(self._there, plain)
        self._fine = bool(self._fine and whole[0] == whole[1])
        if self._fine:
            self.words += f", pixels copied from {'x'.join(map(str, size))}"
        elif abs(scale - 1) > 1e-6:
            self.words += f", enlarged {1 / scale:.3g} times"

    def __call__(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """(b, h, w, 3 or 4) uint8, what the network makes of a batch of pairs."""
        from anime_pt.data import crops
        from anime_pt.pose import affine, sequences, skeletons

        model, images = self._model, batch["source_image"]
        own, poses = batch["source_keypoints"], batch["target_keypoints"]
        if model.rgba:
            images = np.concatenate([images, batch["source_mask"]], -1)
        fine = (images,) if self._fine else ()
        white = (255, 255, 255, 0)[: images.shape[-1]]
        if not self._same:
            n = images.shape[1]
            flat = images.reshape(-1, *images.shape[2:])
            images = np.stack([crops.warp(i, self._there, tuple(model.size), white) for i in flat])
            images = images.reshape(-1, n, *images.shape[1:])
            own, poses = (affine.apply(self._there, points) for points in (own, poses))
        convert = lambda points: sequences.convert(
            points.reshape(-1, *points.shape[-2:]), skeletons.named(SKELETON), model.skeleton
        ).reshape(*points.shape[:-2], len(model.skeleton), 3)
        own, poses = (convert(points).astype(np.float32) for points in (own, poses))
        out = model.each(images, own, poses, *fine)
        if not self._same and not self._fine:
            white = (255, 255, 255, 0)[: out.shape[-1]]
            out = np.stack([crops.warp(i, self._back, self._size, white) for i in out])
        return out


def copied(batch: Mapping[str, np.ndarray]) -> np.ndarray:
    """The (first) source itself: what a network that transfers nothing would make."""
    return batch["source_image"][:, 0]


@functools.cache
def _measure() -> Callable[..., dict[str, Any]]:
    import jax

    from anime_pt.metrics import transfer
    from anime_pt.pose import skeletons

    return jax.jit(lambda *arrays: transfer.measure(*arrays, skeletons.named(SKELETON)))


def measured(
    network: Callable[[Mapping[str, np.ndarray]], np.ndarray],
    listed: Sequence[Mapping[str, np.ndarray]],
    judges: Any = None,
) -> tuple[dict[str, float], list[np.ndarray]]:
    """Metrics `eval/...` of a list by name, and columns for a sheet: source, pose, target, result.

    Args:
      network: makes (b, h, w, 3 or 4) uint8 of a batch of pairs, before white whether with a mask or without.
      listed: the pairs.
      judges: a `judges.Judges`, or None.
    """
    import jax

    from anime_pt.pose import draw, skeletons

    skeleton = skeletons.named(SKELETON)
    unit = lambda images: images.astype(np.float32) / 127.5 - 1
    measure = _measure()
    totals: dict[str, tuple[float, float]] = {}
    kept: dict[str, list[np.ndarray]] = {}
    done = 0
    for batch, count in batches_of(listed):
        made, target, source = network(batch), batch["target_image"], copied(batch)
        arrays = {k: batch[k] for k in ("target_keypoints", "target_mask") if k in batch}
        found = jax.device_get(measure(unit(made), unit(target), unit(source), arrays))
        for name, value in found.items():
            value, weight = value if isinstance(value, tuple) else (value, np.ones(len(value)))
            weight = np.asarray(weight, np.float64) * (np.arange(len(value)) < count)
            # What does not count may be NaN.
            total = float(np.where(weight > 0, value * weight, 0).sum())
            before = totals.get(name, (0.0, 0.0))
            totals[name] = before[0] + total, before[1] + float(weight.sum())
        of = {"generated": made[..., :3], "target": target, "source": source}
        of |= {"target_keypoints": batch["target_keypoints"], "characters": batch["character"]}
        for name, value in of.items():
            kept.setdefault(name, []).append(value[:count])
        done += count
        print(f"made: {done} of {len(listed)} pictures", file=sys.stderr, flush=True)
    arrays = {name: np.concatenate(parts) for name, parts in kept.items()}
    out = {name: total / weight for name, (total, weight) in totals.items() if weight > 0}
    if judges is not None:
        out |= judges(skeleton=skeleton, **arrays)
    # Of characters in turn, one each.
    shown = {name: value[:_SHOWN] for name, value in arrays.items()}
    size = shown["target"].shape[1:3]
    drawn = np.asarray(draw.drawing(shown["target_keypoints"], skeleton.limb_indices, size))
    columns = [unit(shown["source"]), drawn, unit(shown["target"]), unit(shown["generated"])]
    return out, columns


def budget(model: Any, workdir: pathlib.Path | None) -> dict[str, Any]:
    """What a network is and what its training took, as the run recorded it; without one, no minutes."""
    from anime_pt import evaluate, metric_writer, recipe
    from anime_pt.data import sources

    config = model.config
    stages = recipe.make(config).stages
    pictures, seconds, last = 0, 0.0, 0
    for row in metric_writer.read_metrics(workdir) if workdir else ():
        rate = row.get("train/images_per_second", 0)
        if rate and last < row["step"] <= model.step:
            seen = (row["step"] - last) * evaluate.stage_of(stages, row["step"]).batch_size
            pictures, seconds, last = pictures + seen, seconds + seen / rate, row["step"]
    if workdir is None:
        trained = ((min(s.stop, model.step) - s.start) * s.batch_size for s in stages)
        pictures = sum(max(count, 0) for count in trained)
    name, poses = config.data.name.removeprefix(sources.RENDER), config.data.get("poses", "all")
    split = config.data.get("train_split", "train")
    return {
        "recipe": config.recipe,
        "parameters": model.parameters,
        "step": model.step,
        "steps": stages[-1].stop,
        "pictures": pictures,
        "minutes": round(seconds / 60, 1) if workdir else None,
        "data": f"{config.data.name}, {poses} poses",
        # Other sets, and these with changes, have other characters in their splits, or show all poses; but a
        # set of another seed shares neither.
        "held_out": (name in TRAINED_ON and poses == "seen" and split == "train")
        or _OTHER_SEED.fullmatch(name) is not None,
    }


def hardware() -> str:
    """Device and processor, in words."""
    import jax

    cpu = platform.processor() or platform.machine()
    info = pathlib.Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else ():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    kind = jax.devices()[0].device_kind
    return f"{os.cpu_count()} cores of {cpu}" + ("" if kind == "cpu" else f", {kind}")


def commit() -> str:
    """The checkout's, or ""."""
    at = pathlib.Path(__file__).resolve().parent
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=at, capture_output=True, text=True)
    return done.stdout.strip()


def line_of(
    row: str, name: str, listed: Any, told: Mapping[str, Any], metrics: Mapping[str, float]
) -> dict[str, Any]:
    """The JSON of a row and a list: what was compared, by whom, and the metrics with five digits."""
    from anime_pt.data import pairs

    out = {"benchmark": "transfer", "row": row, "list": name}
    out |= {"size": "x".join(map(str, listed.framing.size)), "pairs": len(listed), "seed": SEED}
    # Numbers of pictures do not say whose they are, where everybody has models of their own.
    who = listed.source.groups if LISTS[name].dataset == _MODELS else ()
    out |= {"sources": len(listed.pairs[0][0]), "fingerprint": pairs.fingerprint(listed.pairs, who)}
    out |= {"dataset": listed.source.name} | told | {"hardware": hardware(), "commit": commit()}
    return out | {k: float(f"{v:.5g}") for k, v in metrics.items()}


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: trainings first, then a table for each size and list. Of equal rows the last one counts."""
    rows = {(line["size"], line["list"], line["row"]): line for line in lines}
    names = list(dict.fromkeys(row for _, _, row in rows))
    out = ["| row | size | network | training | pictures | minutes | trained on | commit |", "|" + "---|" * 8]
    for size in dict.fromkeys(size for size, _, _ in rows):
        for name in names:
            line = next((v for (s, _, r), v in rows.items() if (s, r) == (size, name)), None)
            if line and "recipe" in line:
                whole = f"{line['parameters'] / 1e6:.2f} M" + (
                    f", {line['resized']}" if line["resized"] else ""
                )
                cells = (name + _mark(line), size, f"{line['recipe']}, {whole}", line["data"])
                minutes = "–" if line["minutes"] is None else f"{line['minutes']:g}"
                cells += (f"{line['pictures']:,}", minutes, line["trained_on"], line["commit"])
                out.append(_line(cells))
    out = out if len(out) > 2 else []  # Copies alone: nobody was trained.
    for size, of in dict.fromkeys((size, of) for size, of, _ in rows):
        some = [rows[size, of, name] for name in names if (size, of, name) in rows]
        columns = {c: m for c, m in COLUMNS.items() if any(f"eval/{m[0]}" in line for line in some)}
        prints = dict.fromkeys(f"{line['pairs']} pairs, fingerprint `{line['fingerprint']}`" for line in some)
        out += ["", f"**{LISTS[of].title}**, {size}; {'; '.join(prints)}", ""]
        arrows = (f"{c} {'↑' if more else '↓'}" for c, (_, more) in columns.items())
        out += [_line(("row", *arrows)), "|" + "---|" * (len(columns) + 1)]
        # Every line has the same ones, if it was judged.
        of_true = [(f"eval/{m}", f"eval/{m}/target") for m, _ in columns.values()]
        true = {name: line[part] for line in some for name, part in of_true if part in line}
        if true:
            out.append(_line(("the true pictures", *_cells(true, columns))))
        out += [_line((line["row"] + _mark(line), *_cells(line, columns))) for line in some]
    if any(_mark(line) for line in rows.values()):
        out += ["", "† Its training may have seen these characters, or these poses."]
    return "\n".join(out).lstrip()


def _mark(line: Mapping[str, Any]) -> str:
    return "" if line.get("held_out", True) else " †"


def _cells(line: Mapping[str, Any], columns: Mapping[str, tuple[str, bool]]) -> Iterator[str]:
    for metric, _ in columns.values():
        value = line.get(f"eval/{metric}")
        yield "–" if value is None else f"{value:.3f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def read(path: pathlib.Path) -> list[dict[str, Any]]:
    """The lines of a file of results; other lines, such as warnings, are left out.

    Raises:
      ValueError: there is none.
    """
    lines = [json.loads(text) for text in path.read_text().splitlines() if text.startswith('{"benchmark"')]
    if not lines:
        raise ValueError(f"{path} holds no results; collect them with >> {path}")
    return lines


def flags(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line, checked.

    Raises:
      ValueError: flags that do not go together, or a list that there is not.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--row", default="", help="name of the row; copy and packaged need no workdir")
    parser.add_argument("--workdir", default="", help="training run of a network that transfers poses")
    parser.add_argument("--step", type=int, help="its checkpoint (default: the best one, or the latest)")
    parser.add_argument("--size", type=int, choices=(128, 256), default=128, help="height of the pictures")
    parser.add_argument("--lists", default=",".join(LISTS), help="some of the lists, with commas")
    parser.add_argument("--pairs", type=int, default=0, help="only so many of each list")
    parser.add_argument("--data_dir", default="", help="where datasets live (default: TFDS's own folder)")
    parser.add_argument("--sheets", default="", help="folder for sheets of source, pose, target and result")
    parser.add_argument("--trained_on", default="", help="hardware of the training (default: this one)")
    parser.add_argument("--no_judges", action="store_true", help="only what takes no network")
    parser.add_argument("--inception", default="", help="weights of Inception, for FID and IS")
    parser.add_argument("--lpips", default="", help="weights of LPIPS's network")
    parser.add_argument("--lpips_linear", default="", help="weights of LPIPS's linear layers")
    parser.add_argument("--table", default="", help="file of such lines: prints docs/benchmark.md's tables")
    given = parser.parse_args(words)
    if given.table:
        return given
    if not given.row:
        raise ValueError("name the row, --row=copy or --row=NAME --workdir=RUN, or --table=FILE")
    if (given.row in (COPY, PACKAGED)) != (not given.workdir):
        raise ValueError("a row needs the --workdir of a run; copy and packaged need none")
    if given.row == PACKAGED and given.step is not None:
        raise ValueError("--step is a checkpoint of --workdir: name that, too")
    given.lists = given.lists.split(",")
    if unknown := [name for name in given.lists if name not in LISTS]:
        raise ValueError(f"--lists={','.join(unknown)}: there are {', '.join(LISTS)}")
    return given


def main(words: Sequence[str] | None = None) -> None:
    given = flags(words)
    if given.table:
        print(table(read(pathlib.Path(given.table))))
        return

    from anime_pt import judges, metric_writer
    from anime_pt.pipelines import transfer

    command.keep_compiled()
    logging.set_verbosity(logging.ERROR)
    size = given.size, given.size * 3 // 4
    network, told, sources = copied, {}, 1
    if given.row != COPY:
        workdir = pathlib.Path(given.workdir) if given.workdir else None
        model = transfer.Model(workdir, given.step)
        network = Resized(model, size)
        told = budget(model, workdir) | {"resized": network.words}
        told["trained_on"] = given.trained_on or (hardware() if workdir else "see its model card")
        sources = model.config.data.get("sources", 1)
    judge = None if given.no_judges else judges.Judges(vars(given))
    for name in given.lists:
        listed = pairs_of(LISTS[name], size, given.data_dir, sources, given.pairs)
        if listed is None:
            print(f"warning: the list {name} is left out: {_HOW_TO_GET_MODELS}", file=sys.stderr)
            continue
        metrics, columns = measured(network, listed, judge)
        print(json.dumps(line_of(given.row, name, listed, told, metrics)), flush=True)
        if given.sheets:
            file = pathlib.Path(given.sheets) / f"{given.row}_{size[0]}_{name}.png"
            metric_writer.save_image(file, metric_writer.image_grid(columns))


_HOW_TO_GET_MODELS = "put MMD or VRM characters, one folder each, into DATA_DIR/downloads/manual"

if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"error: {command.one_line(error)}")
