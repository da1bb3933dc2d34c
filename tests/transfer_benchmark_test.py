"""The benchmark of pose transfer: its rows and tables, on blank pictures and with stand-ins of networks."""

import copy
import json
import types

import ml_collections
import numpy as np
import pytest

from anime_pt.data import pairs
from anime_pt.pipelines import framing
from anime_pt.pose.skeletons import AVATAR_20, OPENPOSE_18
from benchmarks import transfer

SIZE = (32, 24)


class Listed(list):
    """Pairs of coloured boxes: source and target differ, all four characters, too."""

    def __init__(self, count=18):
        rng = np.random.default_rng(0)
        for i in range(count):
            row = {"character": np.int32(i % 4)}
            for side, lead in (("source", (1,)), ("target", ())):
                image, mask = np.full((*lead, *SIZE, 3), 255, np.uint8), np.zeros((*lead, *SIZE, 1), np.uint8)
                left = int(rng.integers(2, 10))
                image[..., 4:28, left : left + 8, :] = (20 + 50 * (i % 4), 90, 140)
                mask[..., 4:28, left : left + 8, :] = 255
                points = rng.uniform((left, 4, 1), (left + 8, 28, 1), (*lead, 20, 3)).astype(np.float32)
                row |= {f"{side}_image": image, f"{side}_mask": mask, f"{side}_keypoints": points}
            self.append(row)
        self.pairs = [((2 * i,), 2 * i + 1) for i in range(count)]
        groups = tuple(pairs.Group(who, (), costume="summer") for who in ("Mei", "Rin"))
        self.source = types.SimpleNamespace(name="stand_in/boxes", groups=groups)
        self.framing = types.SimpleNamespace(size=SIZE)


@pytest.fixture(scope="module")
def listed():
    return Listed()


@pytest.fixture(scope="module")
def rows(listed):
    """Metrics of what copies the source, and of what knows the target."""
    told = {}

    def judges(**arrays):
        told.update(arrays)
        return {"eval/judged": float(len(arrays["generated"]))}

    return {
        "copy": transfer.measured(transfer.copied, listed, judges),
        "oracle": transfer.measured(lambda batch: batch["target_image"], listed),
        "told": told,
    }


def test_the_true_picture_scores_best_and_a_copy_as_its_source(rows, listed):
    oracle, (copy, columns) = rows["oracle"][0], rows["copy"]
    assert oracle["eval/l1"] == 0 and oracle["eval/iou"] == 1 and oracle["eval/ssim"] > 0.9999
    for name in ("l1", "ssim", "iou", "figure_l1"):
        assert copy[f"eval/{name}"] == pytest.approx(copy[f"eval/{name}/source"], abs=1e-6)
        assert oracle[f"eval/{name}/source"] == pytest.approx(copy[f"eval/{name}"], abs=1e-6)
    # All pairs count once, though the last batch is filled up.
    apart = [np.abs(r["source_image"][0] / 255 - r["target_image"] / 255).mean() for r in listed]
    assert copy["eval/l1"] == pytest.approx(np.mean(apart), abs=1e-5)
    assert [c.shape for c in columns] == [(8, *SIZE, 3)] * 4
    np.testing.assert_allclose(columns[0], columns[3])


def test_judges_get_every_pair_once(rows, listed):
    assert rows["copy"][0]["eval/judged"] == 18 and "eval/judged" not in rows["oracle"][0]
    told = rows["told"]
    assert told["skeleton"] is AVATAR_20 and told["generated"].dtype == np.uint8
    np.testing.assert_array_equal(told["characters"], [i % 4 for i in range(18)])
    np.testing.assert_array_equal(told["target"], [r["target_image"] for r in listed])
    np.testing.assert_array_equal(told["source"], told["generated"])


def network(size, skeleton=AVATAR_20, zoom=1.0, rgba=False, copies=False):
    """Gives back what it is given, and keeps it."""
    model = types.SimpleNamespace(size=size, skeleton=skeleton, rgba=rgba, given=[])
    model.frame = framing.Frame.of({"zoom": zoom}, size)

    def each(images, own, poses, *fine):
        model.given.append((images, own, poses))
        return (*fine, images)[0][:, 0]

    model.copies, model.each = copies, each
    return model


def batch_of(listed):
    (batch, count), *_ = transfer.batches_of(listed)
    assert count == 16
    return batch


@pytest.mark.parametrize(
    ("size", "words", "shift", "scale"),
    [
        (SIZE, "", 0, 1),
        # White at the sides of a square, as PSGAN's pictures have it.
        ((32, 32), "in 32x32", 4, 1),
        ((64, 48), "in 64x48, enlarged 0.5 times", 0, 2),
    ],
)
def test_networks_of_other_sizes_get_the_pictures_in_theirs(listed, size, words, shift, scale):
    batch, model = batch_of(listed), network(size)
    resized = transfer.Resized(model, SIZE)
    assert resized.words == words
    out = resized(batch)
    ((images, own, poses),) = model.given
    assert images.shape == (16, 1, *size, 3) and out.shape == (16, *SIZE, 3) and out.dtype == np.uint8
    np.testing.assert_allclose(own[..., 0], batch["source_keypoints"][..., 0] * scale + shift, atol=1e-4)
    np.testing.assert_allclose(poses[..., 1], batch["target_keypoints"][..., 1] * scale, atol=1e-4)
    # There and back again; whole pixels exactly.
    apart = np.abs(out.astype(int) - batch["source_image"][:, 0])
    assert apart.max() == 0 if scale == 1 else apart.mean() < 6
    if shift:
        assert (images[..., :shift, :] == 255).all() and (images[..., -shift:, :] == 255).all()


@pytest.mark.parametrize("zoom", [1.0, 1.2])
def test_a_network_that_copies_gets_the_larger_pictures_too(listed, zoom):
    """If they are framed as its own are; what it makes is not enlarged then."""
    batch, model = batch_of(listed), network((16, 12), zoom=zoom, copies=True)
    resized = transfer.Resized(model, SIZE)
    out = resized(batch)
    assert model.given[0][0].shape == (16, 1, 16, 12, 3)
    if zoom == 1:
        assert resized.words == "in 16x12, pixels copied from 32x24"
        np.testing.assert_array_equal(out, batch["source_image"][:, 0])
    else:
        assert "enlarged 1.67 times" in resized.words and out.shape == (16, *SIZE, 3)


def test_networks_of_other_joints_and_with_masks(listed):
    batch, model = batch_of(listed), network((16, 12), OPENPOSE_18, zoom=1.2, rgba=True)
    resized = transfer.Resized(model, SIZE)
    out = resized(batch)
    ((images, _, poses),) = model.given
    assert images.shape == (16, 1, 16, 12, 4) and out.shape == (16, *SIZE, 4) and poses.shape == (16, 18, 3)
    assert resized.words == "in 16x12, enlarged 1.67 times"
    nose = batch["target_keypoints"][:, AVATAR_20.index("nose")]
    # A zoom of 1.2 at half the size, about the ground.
    np.testing.assert_allclose(poses[:, 0, 0], (nose[:, 0] - 12) * 0.6 + 6, atol=1e-4)


def test_colours_of_half_transparent_results_stand_before_white_already(listed):
    """As those of the targets do, which networks with a mask learn from."""
    half = lambda batch: np.full((*batch["target_image"].shape[:3], 1), 128, np.uint8)
    found, columns = transfer.measured(
        lambda batch: np.concatenate([batch["target_image"], half(batch)], -1), listed
    )
    assert found["eval/l1"] == 0 and found["eval/ssim"] > 0.9999 and "eval/mask_iou" in found
    np.testing.assert_array_equal(columns[3][..., :3], columns[2])


def run_of(tmp_path, **data):
    """A model of a run that logged three windows, the last one after the checkpoint."""
    rows = [{"step": 10, "train/images_per_second": 4.0}, {"step": 20, "train/images_per_second": 2.0}]
    rows += [{"step": 20, "eval/ssim": 0.5}, {"step": 30, "train/images_per_second": 1.0}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    from configs import pg2

    config = ml_collections.ConfigDict(pg2.get_config("demo").to_dict())
    config.schedule.update({"coarse_steps": 40, "refiner_steps": 20})
    config.data.update({"name": "unity_avatars/benchmark_128", "poses": "seen"} | data)
    return types.SimpleNamespace(config=config, step=20, parameters=1_234_567)


def test_the_budget_is_what_the_run_recorded(tmp_path):
    told = transfer.budget(run_of(tmp_path), tmp_path)
    assert told == {
        "recipe": "pg2",
        "parameters": 1_234_567,
        "step": 20,
        "steps": 60,
        "pictures": 160,
        "minutes": 1.0,  # 80 / 4 + 80 / 2 seconds.
        "data": "unity_avatars/benchmark_128, seen poses",
        "held_out": True,
    }
    # The package has no record of a run: the pictures follow from the schedule.
    packaged = transfer.budget(run_of(tmp_path), None)
    assert packaged == told | {"pictures": 20 * run_of(tmp_path).config.schedule.batch_size, "minutes": None}


@pytest.mark.parametrize(
    ("data", "held_out"),
    [
        ({}, True),
        ({"name": "render:unity_avatars/benchmark_128"}, True),
        ({"name": "unity_avatars/benchmark_256"}, True),
        ({"poses": "all"}, False),
        ({"name": "unity_avatars/procedural_128"}, False),
        ({"name": "unity_avatars/benchmark_128-characters20"}, False),
        ({"name": "unity_avatars/benchmark_128-seed1", "poses": "all"}, True),
        ({"name": "unity_avatars/procedural_128-poses30-seed12-costumes1", "train_split": "test"}, True),
        ({"name": "unity_avatars/procedural_128-seed0"}, False),
        ({"name": "unity_avatars/rigged_256-seed1"}, False),
        ({"train_split": "train+test"}, False),
    ],
)
def test_what_a_training_may_have_seen_is_told_by_its_data(data, held_out, tmp_path):
    assert transfer.budget(run_of(tmp_path, **data), tmp_path)["held_out"] is held_out


def test_rows_become_tables(rows, listed, tmp_path):
    told = {"recipe": "pg2", "parameters": 2_500_000, "pictures": 12_000, "minutes": 7.5, "resized": ""}
    told |= {"data": "unity_avatars/procedural_128, all poses", "held_out": False, "trained_on": "a laptop"}
    copy = rows["copy"][0] | {"eval/pdj": 0.25, "eval/pdj/target": 0.96}
    lines = [
        transfer.line_of("copy", "both", listed, {}, copy | {"eval/ssim": 0.1}),
        transfer.line_of("PG2", "both", listed, told, rows["oracle"][0]),
        transfer.line_of("copy", "both", listed, {}, copy),
    ]
    assert lines[0]["fingerprint"] == pairs.fingerprint(listed.pairs) and lines[0]["pairs"] == 18
    assert lines[0]["size"] == "32x24" and lines[0]["sources"] == 1 and lines[0]["seed"] == 0
    path = tmp_path / "results.jsonl"
    path.write_text("warning: words\n" + "\n".join(map(json.dumps, lines)) + "\n")
    assert transfer.read(path) == lines
    text = transfer.table(lines)
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines()]
    training = next(row for row in cells if row[0] == "PG2 †")
    assert training[1:7] == ["32x24", "pg2, 2.50 M", told["data"], "12,000", "7.5", "a laptop"]
    head = next(row for row in cells if row[0] == "row" and "SSIM ↑" in row)
    found = {row[0]: dict(zip(head, row, strict=True)) for row in cells if len(row) == len(head)}
    assert found["copy"]["SSIM ↑"] == f"{copy['eval/ssim']:.3f}"  # The later one.
    assert found["copy"]["joints ↑"] == "0.250" and found["PG2 †"]["joints ↑"] == "–"
    assert found["the true pictures"]["joints ↑"] == "0.960" and found["the true pictures"]["SSIM ↑"] == "–"
    alone = transfer.table(lines[:1])
    assert alone.startswith("**unseen characters in") and "trained on" not in alone and "†" not in alone
    assert "**unseen characters in unseen poses**, 32x24; 18 pairs" in text and "† Its training" in text


def test_lists_of_the_users_models_are_told_apart_by_their_names(listed):
    """Folders of as many pictures give the same numbers."""
    prints = lambda name: transfer.line_of("copy", name, listed, {}, {})["fingerprint"]
    assert prints("both") == prints("characters") == pairs.fingerprint(listed.pairs)
    found = {prints("both"), prints("mmd")}
    for who, costume in (("Ren", "summer"), ("Rin", "winter")):
        other = copy.copy(listed)
        groups = (listed.source.groups[0], pairs.Group(who, (), costume=costume))
        other.source = types.SimpleNamespace(name="stand_in/boxes", groups=groups)
        found.add(transfer.line_of("copy", "mmd", other, {}, {})["fingerprint"])
    assert len(found) == 4


def test_lists_hold_out_what_their_names_say():
    """Their fingerprints are in data/held_out_test.py."""
    of = {name: (of.split, of.poses) for name, of in transfer.LISTS.items()}
    assert of["characters"] == ("test", "seen") and of["poses"] == ("train", "unseen")
    assert of["both"] == ("test", "unseen") and of["mmd"][1] == "unseen"


def test_a_list_without_its_data_is_told_apart(tmp_path):
    assert transfer.pairs_of(transfer.LISTS["mmd"], (128, 96), str(tmp_path)) is None
    listed = transfer.pairs_of(transfer.LISTS["both"], (128, 96), str(tmp_path), sources=2, count=5)
    assert len(listed) == 5 and listed.framing.size == (128, 96)
    one = transfer.pairs_of(transfer.LISTS["both"], (128, 96), str(tmp_path), count=5)
    assert [t for _, t in one.pairs] == [t for _, t in listed.pairs]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("", "name the row"),
        ("--row=PATN", "needs the --workdir of a run"),
        ("--row=copy --workdir=runs/x", "copy and packaged need none"),
        ("--row=packaged --workdir=runs/x", "copy and packaged need none"),
        ("--row=packaged --step=3", "--step is a checkpoint of --workdir"),
        ("--row=copy --lists=both,bothh", "--lists=bothh: there are characters, poses, both, mmd"),
        ("--table=nothing.jsonl", "nothing.jsonl holds no results"),
    ],
)
def test_bad_flags(given, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nothing.jsonl").write_text("warning: no\n")
    with pytest.raises(ValueError, match=words):
        transfer.main(given.split())
