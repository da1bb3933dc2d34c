"""Every block of README.md that is marked as tested runs, in a copy of the repository at an awkward path."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from tests.conftest import CACHE, ROOT

README = (ROOT / "README.md").read_text()


def blocks(marker: str) -> list[str]:
    return re.findall(rf"<!-- {marker} -->\n```\w+\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> pathlib.Path:
    """The tracked files of the working tree, below a folder with a space and Japanese letters."""
    target = tmp_path_factory.mktemp("clone") / "アニメ pose"
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    # What numba compiled for the tests before holds for the same files: a minute less.
    for compiled in ROOT.glob("anime_pt/**/__pycache__/*.nb?"):
        place = target / compiled.parent.relative_to(ROOT)
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy2(compiled, place / compiled.name)
    return target


def run(program: list[str], clone: pathlib.Path) -> str:
    python = pathlib.Path(sys.executable)
    environment = os.environ | CACHE
    environment |= {
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        # The editable install must not be what is tested.
        "PYTHONPATH": str(clone),
        "TFDS_DATA_DIR": str(clone / "data sets"),
    }
    result = subprocess.run(program, cwd=clone, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_commands(clone):
    (block,) = blocks("tested")
    out = run(["bash", "-euo", "pipefail", "-c", block], clone)
    look = clone / "runs" / "look"
    for name in ("curves.png", "metrics.jsonl", "generated/grid.png", "generated/animation.mp4"):
        assert (look / name).stat().st_size > 500, name
    assert list((look / "eval").glob("*.json"))
    assert '"eval/iou":' in out


def test_datasets(clone):
    (block,) = blocks("tested datasets")
    run(["bash", "-euo", "pipefail", "-c", block], clone)
    names = (clone / "my_pairs" / "train.lst").read_text().split()
    assert names and all((clone / "my_pairs" / "train" / name).exists() for name in names)
    assert (clone / "my_pairs" / "DATA_CARD.md").exists()


def test_python(clone):
    (block,) = blocks("tested python")
    out = run(
        [sys.executable, "-c", block + "\nprint(points.shape, picture.shape, frame.image.shape)"], clone
    )
    assert out.strip() == "(20, 3) (512, 512, 3) (512, 512, 4)"


def test_rendering(clone):
    (block,) = blocks("tested render")
    run(["bash", "-euo", "pipefail", "-c", block], clone)
    clips = clone / "runs" / "clips"
    for name in ("dance.mp4", "dance.json", "frames/frame_00029.png"):
        assert (clips / name).stat().st_size > 500, name
    assert len(list((clips / "poses").glob("*_keypoints.json"))) == 30


def test_estimation(clone):
    (block,) = blocks("tested estimate")
    run(["bash", "-euo", "pipefail", "-c", block], clone)
    names = sorted(p.name for p in (clone / "runs" / "drawings").glob("*.png"))
    assert len(names) == 30 and [p.name for p in sorted((clone / "runs" / "joints").glob("*.png"))] == names
    document = json.loads((clone / "runs" / "joints.json").read_text())
    assert [i["file_name"] for i in document["images"]] == names
    assert len(document["annotations"]) == 30
    assert min(a["num_keypoints"] for a in document["annotations"]) >= 12


def test_ci_runs_the_readmes_test_command():
    (command,) = blocks("test command")
    assert command.count("\n") == 1
    shown = subprocess.run(
        ["bash", "-c", re.search(r"test_command=\$\((.*)\)\n", (ROOT / ".ci/run").read_text())[1]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == command


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)h#][^)]*)\)", README):
        path, _, heading = target.partition("#")
        assert (ROOT / path).exists(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", (ROOT / path).read_text(), re.MULTILINE)
            assert heading in {h.lower().replace(" ", "-") for h in headings}, target


def test_keypoint_order_is_the_codes():
    from anime_pt.pose.skeletons import AVATAR_20

    text = README.split("## Keypoints")[1].split("##")[0]
    listed = re.search(r"eighteen \((.*?)\), then (.*?)\.", text, re.DOTALL)
    names, side = [], ""
    for word in re.sub(r"\s+", " ", listed[1]).split(", "):
        parts = word.split(" ")
        if parts[0] in ("left", "right"):
            side = parts[0] + "_"
        name = parts[-1]
        names.append(name if name in ("nose", "neck") else side + name)
    names += listed[2].split(" and ")
    assert tuple(names) == AVATAR_20.keypoints
