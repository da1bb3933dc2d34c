import json
import math

import numpy as np
import pytest
from PIL import Image

from anime_pt import metric_writer


def test_rows_after_the_restored_step_are_written_again(tmp_path):
    writer = metric_writer.MetricWriter(tmp_path)
    for step in (2, 4, 6):
        writer.write_scalars(step, {"train/loss": step / 2})
    writer.close()
    with open(tmp_path / metric_writer.METRICS_FILE, "a") as f:
        f.write('{"step": 8, "train/lo')  # Torn by a kill.
    writer = metric_writer.MetricWriter(tmp_path, step=4)
    writer.write_scalars(6, {"train/loss": 30})
    writer.close()
    rows = metric_writer.read_metrics(tmp_path)
    assert [(r["step"], r["train/loss"]) for r in rows] == [(2, 1.0), (4, 2.0), (6, 30.0)]


def test_non_finite_values_stay_json(tmp_path):
    writer = metric_writer.MetricWriter(tmp_path)
    writer.write_scalars(1, {"a": math.nan, "b": -math.inf, "c": 1})
    writer.close()
    text = (tmp_path / metric_writer.METRICS_FILE).read_text()
    assert json.loads(text, parse_constant=lambda _: pytest.fail("not JSON")) == {
        "step": 1,
        "a": "nan",
        "b": "-inf",
        "c": 1.0,
    }


def test_grid_places_rows_and_columns():
    columns = [np.full((2, 3, 4, 1), v, np.float32) for v in (-1.0, 0.0, 7.0)]
    columns[1][1] = 1.0
    sheet = metric_writer.image_grid(columns, gap=2)
    assert sheet.shape == (2 * 3 + 2, 3 * 4 + 2 * 2, 3) and sheet.dtype == np.uint8
    assert (sheet[:3, :4] == 0).all() and (sheet[5:, :4] == 0).all()
    assert (sheet[:3, 6:10] == 128).all() and (sheet[5:, 6:10] == 255).all()
    assert (sheet[:, 12:] == 255).all()  # Out of range is clipped.
    assert (sheet[3:5] == 255).all()  # The gap is white.


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "kept.bin"
    metric_writer.write_atomically(path, b"old")
    with pytest.raises(TypeError):
        metric_writer.write_atomically(path, "not bytes")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["kept.bin"]


def test_curves_have_a_panel_for_each_metric(tmp_path):
    rows = [{"step": s, "train/loss": 1 / s, "eval/loss": 2 / s, "train/odd": "nan"} for s in (1, 2, 3)]
    metric_writer.draw_curves(rows, tmp_path / "one.png")
    parts = {"eval/iou": 0.5, "eval/iou/nose": 0.5, "eval/iou/neck": 0.5}  # Of parts, none is drawn.
    metric_writer.draw_curves([r | parts for r in rows], tmp_path / "two.png")
    one, two = (Image.open(tmp_path / n).size for n in ("one.png", "two.png"))
    assert one == (400, 260) and two == (800, 260)
    metric_writer.draw_curves([], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
