import json

import jax
import numpy as np
import pytest

from anime_pt.convert import npz, tables
from anime_pt.convert import psgan as convert

RULES = [
    tables.Rule(r"block(\d)\.w", r"blocks/\1/kernel", np.transpose),
    tables.Rule(r"block(\d)\.b", r"blocks/\1/bias"),
    tables.Rule("step", None),
]
TEMPLATE = {
    "blocks": {
        "0": {
            "kernel": jax.ShapeDtypeStruct((2, 3), np.float32),
            "bias": jax.ShapeDtypeStruct((3,), np.float32),
        }
    }
}


def weights(**changes):
    arrays = {"block0.w": np.arange(6.0).reshape(3, 2), "block0.b": np.ones(3), "step": np.array(7)}
    return {k: v for k, v in (arrays | changes).items() if v is not None}


def test_fills_the_template():
    out = tables.convert(RULES, weights(), TEMPLATE)
    np.testing.assert_array_equal(out["blocks"]["0"]["kernel"], [[0, 2, 4], [1, 3, 5]])
    np.testing.assert_array_equal(out["blocks"]["0"]["bias"], [1, 1, 1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"block0.x": np.ones(3)}, "unknown name block0.x"),
        ({"block1.b": np.ones(3)}, "block1.b: there is no parameter blocks/1/bias"),
        ({"block0.b": None}, "nothing fills blocks/0/bias"),
        ({"block0.b": np.ones(4)}, r"block0.b \(4,\): blocks/0/bias has shape \(3,\), got \(4,\)"),
        ({"block0.w": np.ones((2, 3))}, r"blocks/0/kernel has shape \(2, 3\), got \(3, 2\)"),
    ],
)
def test_names_and_shapes_are_strict(changes, message):
    with pytest.raises(ValueError, match=message):
        tables.convert(RULES, weights(**changes), TEMPLATE)


def test_all_problems_are_listed_at_once():
    with pytest.raises(ValueError, match=r"3 problems.*unknown name a; unknown name b; nothing fills"):
        tables.convert(RULES, weights(a=np.ones(1), b=np.ones(1), **{"block0.b": None}), TEMPLATE)


def test_two_names_for_one_parameter():
    rules = [*RULES, tables.Rule("other", "blocks/0/bias")]
    with pytest.raises(ValueError, match="blocks/0/bias is filled twice"):
        tables.convert(rules, weights(other=np.ones(3)), TEMPLATE)


def official_generator(resolution=8, features=4, latents=3, pose_channels=0):
    """Variables in the official layout, each entry its own number."""
    arrays = {
        "4x4/Dense/weight": (latents, 16 * features),
        "4x4/Dense/bias": (features,),
        "4x4/Conv/weight": (3, 3, features + pose_channels, features),
        "4x4/Conv/bias": (features,),
        "8x8/Conv0_up/weight": (3, 3, features, features + pose_channels),
        "8x8/Conv0_up/bias": (features,),
        "8x8/Conv1/weight": (3, 3, features, features),
        "8x8/Conv1/bias": (features,),
        **{f"ToRGB_lod{i}/weight": (1, 1, features, 3) for i in range(2)},
        **{f"ToRGB_lod{i}/bias": (3,) for i in range(2)},
    }
    return {
        k: np.arange(np.prod(s), dtype=np.float32).reshape(s) + i for i, (k, s) in enumerate(arrays.items())
    }


SIZES = {"resolution": 8, "latent_size": 3, "fmap_base": 1024, "fmap_max": 4}


def test_progan_layouts():
    source = official_generator() | {"lod": np.array(0.5)}
    ours = convert.load_generator(source, **SIZES)
    # Channels first in the official dense layer; rotated and transposed in the official upsampling.
    dense = source["4x4/Dense/weight"].reshape(3, 4, 4, 4)
    assert ours["blocks"]["4x4"]["kernel"][1, 2, 3, 0] == dense[1, 0, 2, 3]
    up = source["8x8/Conv0_up/weight"]
    assert ours["blocks"]["8x8"]["conv0"]["kernel"][0, 2, 1, 3] == up[2, 0, 3, 1]
    # Level of detail 0 is the last resolution.
    np.testing.assert_array_equal(ours["to_rgb"]["8x8"]["kernel"], source["ToRGB_lod0/weight"])
    np.testing.assert_array_equal(ours["to_rgb"]["4x4"]["kernel"], source["ToRGB_lod1/weight"])


def test_progan_weights_do_not_fit_psgan():
    with pytest.raises(ValueError, match=r"8x8/Conv0_up/weight .*shape \(3, 3, 24, 4\), got \(3, 3, 4, 4\)"):
        convert.load_generator(official_generator(), **SIZES, pose_channels=20)


def test_npz_prefix_and_meta(tmp_path):
    path = tmp_path / "file.npz"
    np.savez(path, **{"var/G/a": np.ones(2), "input/z": np.zeros(3), "meta_json": json.dumps({"res": 16})})
    assert list(npz.read(path, "var/G/")) == ["a"]
    assert npz.read_meta(path) == {"res": 16}
    with pytest.raises(ValueError, match="no arrays under 'sd/'; there are input/, meta_json/, var/"):
        npz.read(path, "sd/")
