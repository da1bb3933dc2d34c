"""Who may import whom: the arrows of CONTRIBUTING.md, read from the source."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Package or module -> what it may import of ours, itself aside. The first prefix that fits counts.
ALLOWED = {
    "anime_pt.pose": (),
    "anime_pt.losses": (),
    "anime_pt.pool": (),
    "anime_pt.schedules": (),
    "anime_pt.sharding": (),
    "anime_pt.arguments": (),
    "anime_pt.command": (),
    "anime_pt.state": (),
    "anime_pt.metric_writer": (),
    "anime_pt.models": (),
    "anime_pt.convert": ("anime_pt.models", "anime_pt.state"),
    "anime_pt.avatars": ("anime_pt.pose",),
    # A dataset that is rendered when it is read has no files: its builder is asked instead.
    # Pairs that were published lie beside a dataset.
    "anime_pt.data": (
        # Poses in space are made while they are read, too: `data.motions`.
        *("anime_pt.pose", "anime_pt.avatars", "tfds_builders.registry", "tfds_builders.live"),
        "tfds_builders.pose_transfer.pairs",
    ),
    "anime_pt.metrics": ("anime_pt.pose",),
    "anime_pt.perceptual": ("anime_pt.convert", "anime_pt.models", "anime_pt.losses", "anime_pt.state"),
    "anime_pt.judges": tuple(
        f"anime_pt.{m}" for m in ("convert", "metrics", "models", "pipelines", "pose", "state")
    ),
    "anime_pt.recipe": ("anime_pt.state", "anime_pt.sharding", "anime_pt.recipes"),
    "anime_pt.recipes": tuple(
        f"anime_pt.{m}"
        for m in (
            # A recipe may start from public weights.
            *("convert", "models", "losses", "pose", "state"),
            *("perceptual", "pool", "recipe", "schedules", "sharding", "metrics"),
        )
    ),
    "anime_pt.checkpoint": ("anime_pt.state",),
    "anime_pt.progress": ("anime_pt.recipe",),
    # The loop knows no concrete recipe.
    "anime_pt.evaluate": tuple(
        f"anime_pt.{m}" for m in ("checkpoint", "data", "metric_writer", "recipe", "sharding", "state")
    ),
    "anime_pt.train": tuple(
        f"anime_pt.{m}"
        for m in (
            *("checkpoint", "command", "data", "evaluate", "metric_writer"),
            *("progress", "recipe", "sharding", "state"),
        )
    ),
    "anime_pt.main": ("anime_pt", "tfds_builders.build"),
    "anime_pt.sample": ("anime_pt",),
    "anime_pt.render": ("anime_pt",),
    "anime_pt.estimate": ("anime_pt",),
    "anime_pt.lift": ("anime_pt",),
    "anime_pt.transfer": ("anime_pt",),
    "anime_pt.animate": ("anime_pt",),
    "anime_pt.annotate": ("anime_pt",),
    "anime_pt.weights": (
        "anime_pt.pose",
        "anime_pt.pipelines.estimator",
        "anime_pt.command",
        "anime_pt.recipe",
        "anime_pt.state",
        "anime_pt.train",
    ),
    # Files are read below everything else: builders share these.
    "anime_pt.pipelines.pictures": (),
    "anime_pt.pipelines.video_reader": (),
    "anime_pt.pipelines": ("anime_pt",),
    "tfds_builders.build": ("anime_pt.command", "tfds_builders"),
    "tfds_builders.export": ("anime_pt.command", "tfds_builders.exports"),
    "tfds_builders.exports": ("anime_pt.data.sources", "anime_pt.pose", "tfds_builders.mmd_pairs.pairs"),
    # Videos and pictures are read in one place each, which imports nothing of ours.
    "tfds_builders": (
        *("anime_pt.pose", "anime_pt.avatars"),
        *("anime_pt.pipelines.pictures", "anime_pt.pipelines.video_reader"),
    ),
    "configs": ("anime_pt.arguments",),
}
FILES = sorted(
    path
    for folder in ("anime_pt", "tfds_builders", "configs")
    for path in (ROOT / folder).rglob("*.py")
    if not path.name.endswith("_test.py")
)


def within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def module_of(path: pathlib.Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: pathlib.Path) -> set[str]:
    """Modules of ours that a file imports, anywhere in it."""
    known = {module_of(p) for p in FILES}
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {n if n in known else node.module for n in names}
    return {m for m in found if m.split(".")[0] in ("anime_pt", "tfds_builders", "configs")}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows(path):
    module = module_of(path)
    if module == "anime_pt":
        return
    (rule,) = [r for r in ALLOWED if within(module, r)][:1] or [None]
    assert rule, f"{module}: say in ALLOWED what it may import"
    allowed = (rule, *ALLOWED[rule])
    wrong = {m for m in imported(path) if m != "anime_pt" and not any(within(m, a) for a in allowed)}
    assert not wrong, f"{module} must not import {', '.join(sorted(wrong))}"


def test_characters_know_no_file_format():
    """Within `avatars`, files are read at one end and drawn at the other; what lies between knows neither."""
    readers = ("anime_pt.avatars.files", "anime_pt.avatars.motions", "anime_pt.avatars.backgrounds")
    for path in FILES:
        module = module_of(path)
        if not within(module, "anime_pt.avatars"):
            continue
        formats = any(within(m, "anime_pt.avatars.formats") for m in imported(path))
        loops = any(within(m, "anime_pt.avatars.raster") for m in imported(path))
        assert not formats or within(module, "anime_pt.avatars.formats") or module in readers, module
        raster = ("anime_pt.avatars.raster", "anime_pt.avatars.rasterise")
        assert not loops or any(within(module, r) for r in raster), module


def test_only_state_models_and_their_conversion_touch_flax():
    for path in FILES:
        uses = any(
            (isinstance(n, ast.ImportFrom) and (n.module or "").split(".")[0] == "flax")
            or (isinstance(n, ast.Import) and any(a.name.split(".")[0] == "flax" for a in n.names))
            for n in ast.walk(ast.parse(path.read_text()))
        )
        if uses:
            homes = ("anime_pt.models", "anime_pt.convert", "anime_pt.state")
            assert any(within(module_of(path), home) for home in homes), path


def test_nothing_imports_tensorflow():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(n.split(".")[0] == "tensorflow" for n in names), path


def test_configs_are_short_and_import_no_jax():
    for path in (ROOT / "configs").glob("*.py"):
        assert len(path.read_text().splitlines()) < 120, path
        assert "jax" not in {m.split(".")[0] for m in _all_imports(path)}, path


def _all_imports(path: pathlib.Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    return plain | {n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)}
