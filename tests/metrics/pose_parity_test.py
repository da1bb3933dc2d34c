"""Equality with the PCKh of GCCPM's and PATN's public code.

Every `gccpm_aux*.npz` and `metrics_aux*.npz` in the folder `ANIME_PT_GOLDENS` is tested; all sizes come from
the file.
"""

import csv
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from anime_pt.convert import npz
from anime_pt.metrics import pose
from anime_pt.pose.skeletons import LIP_16, OPENPOSE_18

FOLDER = pathlib.Path(
    os.environ.get("ANIME_PT_GOLDENS", pathlib.Path(__file__).parents[2] / ".." / "shared" / "goldens")
)


def files(pattern: str) -> list:
    found = sorted(FOLDER.glob(pattern))
    return found or [pytest.param(None, marks=pytest.mark.skip(f"no {pattern} in {FOLDER}"))]


def read_csv(text: str, columns: int) -> np.ndarray:
    """Keypoints (n, k, 3) of a file of GCCPM: a name, then x, y and, where there are three, a mark."""
    rows = np.array([row[1:] for row in csv.reader(text.splitlines())], float)
    points = rows.reshape(len(rows), -1, columns)[..., :2]
    return np.concatenate([points, np.isfinite(points[..., :1])], -1)


def means(figures) -> dict[str, float]:
    return {k: 100 * float((v * w).sum() / w.sum()) for k, (v, w) in figures.items() if float(np.sum(w)) > 0}


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("path", files("gccpm_aux*.npz"), ids=lambda p: getattr(p, "stem", "none"))
def test_pckh_of_lip(path, double):
    arrays = npz.read(path, "pckh/")
    truth, pred = read_csv(str(arrays["gt_csv"]), 3), read_csv(str(arrays["pred_csv"]), 2)
    assert truth.shape == pred.shape == (len(truth), len(LIP_16), 3)
    with jax.enable_x64(double):
        marks = pose.pckh_lip(jnp.asarray(pred, float), jnp.asarray(truth, float), LIP_16)
        found = means(pose.per_joint("pckh", *marks, LIP_16, pose.lip_groups(LIP_16)))
    names = [f"pckh/{k}" for k in LIP_16.keypoints] + ["pckh/upper_body", "pckh"]
    np.testing.assert_allclose([found[k] for k in names], arrays["result"][0], rtol=1e-5)


@pytest.mark.parametrize("path", files("metrics_aux*.npz"), ids=lambda p: getattr(p, "stem", "none"))
def test_pckh_of_patn(path):
    arrays = npz.read(path, "patn_pckh/")

    def keypoints(yx):
        missing = (yx == -1).any(-1, keepdims=True)
        points = np.where(missing, np.nan, yx[..., ::-1].astype(np.float32))
        return np.concatenate([points, ~missing], -1)

    truth, pred = keypoints(arrays["target_yx"]), keypoints(arrays["pred_yx"])
    # Its joints 14 to 17 are OpenPose's; only their names are swapped there.
    correct, counted = pose.pckh_patn(pred, truth, OPENPOSE_18)
    right, total, score = arrays["correct_total_score"]
    assert (int(correct.sum()), int(counted.sum())) == (right, total)
    (value, weight) = pose.per_joint("pckh", correct, counted, OPENPOSE_18)["pckh"]
    np.testing.assert_allclose((value * weight).sum() / weight.sum(), score, rtol=1e-6)
