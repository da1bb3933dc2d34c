"""Notebooks run from the first cell to the last, as they are, but for what only a hosted runtime has."""

import json

import pytest

from anime_pt.pipelines import transfer, video_reader
from tests.conftest import ROOT
from tests.pipelines import puppet

FILES = sorted((ROOT / "colabs").glob("*.ipynb"))


def cells(path):
    """Source and tags of the code in a notebook."""
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["nbformat"] == 4
    for cell in document["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None, "saved without what it printed"
            yield "".join(cell["source"]), cell["metadata"].get("tags", [])


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_they_are_short_and_define_nothing(path):
    for source, tags in cells(path):
        assert len(source.splitlines()) <= 20
        if "hosted" not in tags:
            compile(source, path.name, "exec")
            assert "def " not in source and "class " not in source


def test_animate(tmp_path, monkeypatch):
    """With the network that draws sticks: the built-in character performs the built-in motion."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(transfer, "Model", puppet.Puppet)
    space = {}
    for source, tags in cells(ROOT / "colabs" / "animate.ipynb"):
        if not {"hosted", "display"} & set(tags):
            exec(compile(source.replace("procedural:3,48", "procedural:3,6"), "animate.ipynb", "exec"), space)
    frames = list(video_reader.read("girl.mp4"))
    assert len(frames) == 6 and frames[0].image.shape == (256, 256, 3)
    assert puppet.hand(frames[2].image)[2] > 5
    assert video_reader.probe("girl.html.mp4").height == 360
