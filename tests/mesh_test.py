"""One device and eight simulated devices, with both axes, train to the same numbers."""

import functools

import numpy as np
import pytest

from anime_pt import metric_writer
from tests.conftest import QUICKLY, command, flags_of, tiny_config

EIGHT = f"{QUICKLY} --xla_force_host_platform_device_count=8"


@pytest.fixture(scope="module")
def rows(data_dir, tmp_path_factory):
    """A function from a mesh to the metrics.jsonl rows of one short run on it."""

    @functools.cache
    def run(data, spatial, fsdp_min_size=0):
        config = tiny_config(data_dir)
        for name, column in config.schedule.items():
            config.schedule[name] = column[:1]
        config.schedule.resolutions = (16,)
        config.mesh.update({"data": data, "spatial": spatial, "fsdp_min_size": fsdp_min_size})
        workdir = tmp_path_factory.mktemp("mesh")
        result = command("anime_pt.main", f"--workdir={workdir}", *flags_of(config), XLA_FLAGS=EIGHT)
        assert result.returncode == 0, result.stderr
        return metric_writer.read_metrics(workdir)

    return run


@pytest.mark.parametrize("mesh", [pytest.param((4, 2), marks=pytest.mark.slow), (2, 4, 256)], ids=str)
def test_meshes_agree(rows, mesh):
    """Whole and, the second one, with parameters divided."""
    for one, many in zip(rows(1, 1), rows(*mesh), strict=True):
        assert one.keys() == many.keys()
        for name in one.keys() - {"train/images_per_second"}:
            # The same sums in another order: float32 noise, which training amplifies a little.
            np.testing.assert_allclose(many[name], one[name], rtol=2e-3, atol=2e-4, err_msg=name)
