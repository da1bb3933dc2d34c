"""Makes the `.pth` files beside it, with PyTorch, which no test needs: `python tests/convert/files/make.py`.

zip.pth and legacy.pth are one checkpoint in both formats of torch.save.
"""

import collections
import fractions
import pathlib

import numpy as np
import torch

FOLDER = pathlib.Path(__file__).parent


def checkpoint() -> dict:
    base = torch.arange(24.0).reshape(2, 3, 4)
    weights = collections.OrderedDict(
        {
            "float32": base,
            "transposed": base.permute(2, 0, 1),
            "row": base[1, 2],
            "strided": base[:, 1:, ::2],
            "float64": torch.tensor([1 / 3, -2.0], dtype=torch.float64),
            "float16": torch.tensor([0.5, 65504.0], dtype=torch.float16),
            "bfloat16": torch.tensor([1.0, -0.15625], dtype=torch.bfloat16),
            "counter": torch.tensor(7),
            "bytes": torch.tensor([[0, 255]], dtype=torch.uint8),
            "mask": torch.tensor([True, False]),
            "parameter": torch.nn.Parameter(torch.tensor([3.0])),
            "empty": torch.zeros(0, 3),
        }
    )
    weights._metadata = {"": {"version": 1}}
    return {
        "epoch": 12,
        "arch": "モデル",
        "state_dict": weights,
        "best": np.float64(68.8),
        "shape": torch.Size([2, 3]),
        "unknown": fractions.Fraction(1, 3),
        "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}, "groups": [{"lr": 0.1, "params": [0]}]},
    }


def main() -> None:
    torch.save(checkpoint(), FOLDER / "zip.pth")
    torch.save(checkpoint(), FOLDER / "legacy.pth", _use_new_zipfile_serialization=False)


if __name__ == "__main__":
    main()
