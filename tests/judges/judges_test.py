"""Judges of pose transfer: what perfect, wrong and untouched pictures score, and names that none may have."""

import os
import pathlib

import ml_collections
import numpy as np
import pytest

from anime_pt import judges
from anime_pt.convert import npz
from anime_pt.judges import batches, plain, poses, small
from anime_pt.metrics import colour
from anime_pt.models.features import WIDTHS
from anime_pt.pose import sequences
from anime_pt.pose.skeletons import ANIME_DRAWINGS_21, AVATAR_20

SIZE = (32, 16)
PAIRS, CHARACTERS = 20, 5
WHO = np.arange(PAIRS, dtype=np.int32) % CHARACTERS

FOLDER = pathlib.Path(
    os.environ.get("ANIME_PT_GOLDENS", pathlib.Path(__file__).parents[2] / ".." / "shared" / "goldens")
)
aux = pytest.mark.parametrize(
    "path",
    sorted(FOLDER.glob("metrics_aux*.npz"))
    or [pytest.param(None, marks=pytest.mark.skip(f"no metrics_aux*.npz in {FOLDER}"))],
    ids=lambda p: getattr(p, "stem", "none"),
)


def points(seed=0, count=PAIRS, joints=20):
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, SIZE[::-1], (count, joints, 2))
    return np.concatenate([places, np.ones((count, joints, 1))], -1).astype(np.float32)


def pictures(seed):
    """Figures of their character's colours before white, with noise."""
    rng = np.random.default_rng(seed)
    colours = np.random.default_rng(7).integers(20, 200, (CHARACTERS, 2, 3))
    out = np.full((PAIRS, *SIZE, 3), 255, np.uint8)
    for picture, who in zip(out, WHO, strict=True):
        y, x = rng.integers(2, 8), rng.integers(2, 5)
        for part, shade in enumerate(colours[who]):
            top = y + 10 * part
            picture[top : top + 10, x : x + 8] = shade + rng.integers(-8, 9, (10, 8, 3))
    return out


class KnowsPoses:
    """In the estimator's place: joints by picture, of those that it was told."""

    skeleton = AVATAR_20

    def __init__(self):
        self.asked, self.told = [], {}

    def tell(self, images, joints):
        self.told |= {image.tobytes(): found for image, found in zip(images, joints, strict=True)}

    def __call__(self, what, images):
        self.asked.append(what)
        nobody = sequences.unknown(1, AVATAR_20)[0]
        return np.stack([self.told.get(image.tobytes(), nobody) for image in images])


pytestmark = pytest.mark.usefixtures("plain_convolutions")


@pytest.fixture(scope="module")
def judged():
    """The judges with a stand-in for the estimator, and true pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(poses, "Finder", KnowsPoses)
        # The size that is published with borders.
        patch.setattr(plain, "_DEEPFASHION", SIZE)
        judge = judges.Judges(ml_collections.ConfigDict({"inception": "", "lpips": "", "every": 3}))
        target, source, keypoints = pictures(0), pictures(1), points()
        judge._finder.tell(target, keypoints)
        judge._finder.tell(source, points(1))
        score = lambda generated: judge(generated, target, source, keypoints, AVATAR_20, WHO)
        yield judge, score, target, source


@pytest.fixture(scope="module")
def perfect(judged):
    _, score, target, _ = judged
    return score(target.copy())


def test_perfect_pictures_score_what_cannot_be_surpassed(perfect):
    ssim = [f"{name}ssim_patn_protocol{end}" for name, end in (("", ""), ("mask_", ""), ("", "_border"))]
    for name in ("pdj", "pckh_lip", "pckh_patn"):
        assert perfect[f"eval/{name}"] == 1, name
    for name in ssim:
        # In a JPEG file, pictures have different neighbours.
        assert perfect[f"eval/{name}"] == pytest.approx(1, abs=1e-3), name
    for name in ("feature_distance_small", "frechet_small"):
        assert perfect[f"eval/{name}"] == pytest.approx(0, abs=1e-3), name
    for name, value in perfect.items():
        head, _, part = name.removeprefix("eval/").partition("/")
        if part == "target":
            assert value == perfect[f"eval/{head}"], name
    for name in ("pdj", "pckh_lip", "pckh_patn", "ssim_patn_protocol"):
        assert perfect[f"eval/{name}/source"] < 0.9, "sources are in other poses"
    for name in ("feature_distance_small", "frechet_small"):
        assert perfect[f"eval/{name}/source"] > 1e-2
    # White borders raise it.
    assert perfect["eval/ssim_patn_protocol_border/source"] > perfect["eval/ssim_patn_protocol/source"]
    # Not 0, since places of patches differ; the sources are other pictures of the same characters.
    assert 0 < perfect["eval/swd"] < 0.9 * perfect["eval/swd/source"]


def test_a_copy_of_the_source_is_the_right_character_in_the_wrong_pose(judged, perfect):
    _, score, _, source = judged
    found = score(source)
    heads = {name for name in perfect if name.count("/") == 1}
    for name in heads & {n.removesuffix("/source") for n in perfect}:
        if name != "eval/swd":
            assert found[name] == pytest.approx(perfect[f"{name}/source"], abs=1e-6), name
    for of in ("small", "colours"):
        assert found[f"eval/identity_top1_{of}"] == found[f"eval/identity_mean_rank_{of}"] == 1
    assert found["eval/pdj"] < perfect["eval/pdj"]


def test_other_characters_are_caught(judged, perfect):
    _, score, target, _ = judged
    found = score(np.roll(target, 1, axis=0))
    assert perfect["eval/identity_top1_colours"] == 1 and found["eval/identity_top1_colours"] == 0
    assert perfect["eval/identity_top1_small"] > 0.7 > 0.3 > found["eval/identity_top1_small"]
    assert found["eval/feature_distance_small"] > perfect["eval/feature_distance_small"] + 0.01
    # The set is the same one.
    assert found["eval/frechet_small"] == pytest.approx(0, abs=1e-3)
    for name, value in perfect.items():
        if name.endswith(("/source", "/target", "/chance")):
            assert found[name] == pytest.approx(value, abs=1e-6), name
    assert found["eval/identity_top1_small/chance"] == pytest.approx(1 / CHARACTERS)
    assert found["eval/identity_mean_rank_small/chance"] == (CHARACTERS + 1) / 2


def test_pictures_of_nobody_are_wrong_and_not_undefined(judged, perfect):
    judge, score, target, _ = judged
    before = list(judge._finder.asked)
    found = score(np.full_like(target, 255))
    assert found["eval/pdj"] == found["eval/pckh_patn"] == 0
    assert all(np.isfinite(value) for value in found.values())
    assert found["eval/swd"] > 10 * found["eval/swd/source"]
    # Real pictures were looked at before.
    assert judge._finder.asked == [*before, "generated"]
    assert before.count("target") == before.count("source") == 1


def test_what_is_remembered_of_sources_is_of_these_joints(judged, perfect):
    judge, _, target, source = judged
    others = points(5)
    found = judge(target, target, source, others, AVATAR_20, WHO)
    name = "mask_ssim_patn_protocol"
    expected = plain.protocol(source, target, source, others, AVATAR_20)[name]
    assert found[f"eval/{name}/source"] == pytest.approx(expected, abs=1e-6)
    assert abs(expected - perfect[f"eval/{name}/source"]) > 1e-3


def test_names_without_files(judged, perfect):
    judge = judged[0]
    assert not any(part in name.lower() for name in perfect for part in ("lpips", "fid", "/is", "inception"))
    heads = {name if name.count("/") == 1 else name.rpartition("/")[0] for name in perfect}
    assert heads == judge.notes.keys()
    assert "not LPIPS" in judge.notes["eval/feature_distance_small"]
    assert "not FID" in judge.notes["eval/frechet_small"]


def test_pictures_must_fit(judged):
    judge, _, target, source = judged
    with pytest.raises(ValueError, match=r"bytes of pictures of one size, not .*uint8"):
        judge(target[:, :16], target, source, points(), AVATAR_20, WHO)
    with pytest.raises(ValueError, match=r"bytes of pictures of one size, not .*float32"):
        judge(target.astype(np.float32), target, source, points(), AVATAR_20, WHO)


def test_chance_is_what_random_features_score():
    rng = np.random.default_rng(0)
    who = np.repeat([3, 8, 9], [10, 40, 50])
    vectors = {part: rng.normal(size=(len(who), 16)) for part in ("", "/target", "/source")}
    found = small.recognised("x", vectors, who)
    assert found["identity_top1_x/chance"] == pytest.approx(0.1**2 + 0.4**2 + 0.5**2)
    assert found["identity_mean_rank_x/chance"] == 2
    assert found["identity_top1_x"] == pytest.approx(found["identity_top1_x/chance"], abs=0.15)
    assert found["identity_top1_x/source"] == 1


def test_joints_that_the_estimator_does_not_know_do_not_count():
    truth = sequences.convert(points(), AVATAR_20, ANIME_DRAWINGS_21)
    truth[:, ANIME_DRAWINGS_21.index("left_thumb")] = 5
    found = points()
    found[:10] = np.nan
    scores = poses.scores(found, AVATAR_20, truth, ANIME_DRAWINGS_21)
    assert scores["pdj"] == pytest.approx(0.5), "half of the pictures show nobody"


@aux
def test_patns_protocol_against_its_code(path):
    arrays = npz.read(path, "market/")
    target = arrays["ref"]
    found = plain.protocol(arrays["gen"], target, target, points(count=len(target)), AVATAR_20)
    expected = arrays["ssim_patn_after_jpeg75_strip"].mean()
    assert found["ssim_patn_protocol"] == pytest.approx(float(expected), abs=1e-4)
    assert found.keys() == {"ssim_patn_protocol", "mask_ssim_patn_protocol"}
    cut = (arrays["gen"][:, :, :60], target[:, :, :60], target[:, :, :60])
    assert plain.protocol(*cut, points(count=len(target)), AVATAR_20) == {}, "blocks would be shared"


def test_histograms_see_figures_alone():
    image = np.full((2, 8, 8, 3), 255, np.uint8)
    image[0, :4, :4], image[0, 4:, :4], image[1, 0, 0] = (200, 0, 0), (0, 10, 100), (0, 10, 100)
    found = colour.histograms(image)
    np.testing.assert_allclose(np.square(found).sum(1), 1)
    np.testing.assert_allclose(np.sort(found[0])[-2:], np.sqrt(0.5))
    np.testing.assert_allclose(found[0] @ found[1], np.sqrt(0.5))
    assert colour.histograms(np.full((1, 4, 4, 3), 240, np.uint8)).max() == 0


def test_features_of_sizes_that_the_network_does_not_take(judged):
    judge, _, target, source = judged
    cut = {"": source[:, :30, :13], "/target": target[:, :30, :13], "/source": source[:, 2:, 3:]}
    padded = {part: np.full((PAIRS, *SIZE, 3), 255, np.uint8) for part in cut}
    for part, x in cut.items():
        padded[part][:, :30, :13] = x
    for of_cut, of_padded in zip(judge._features(cut), judge._features(padded), strict=True):
        assert of_cut.keys() == of_padded.keys()
        for part, x in of_cut.items():
            np.testing.assert_array_equal(x, of_padded[part])
    vectors, means, distances = judge._features(padded)
    assert vectors[""].shape == (PAIRS, 128) and means[""].shape == (PAIRS, sum(WIDTHS))
    np.testing.assert_allclose(np.linalg.norm(vectors[""], axis=1), 1, rtol=1e-5)
    assert distances.keys() == {"", "/source"} and distances[""].shape == (PAIRS,)


def test_batches_are_padded_and_say_how_far_they_are(monkeypatch, capsys):
    monkeypatch.setattr(batches, "_SECONDS", -1.0)
    sizes = []

    def double(x, y):
        sizes.append(len(x))
        return {"sum": x + y}

    found = batches.mapped("numbers", double, np.arange(10), np.arange(10) * 10, size=4)
    np.testing.assert_array_equal(found["sum"], 11 * np.arange(10))
    assert sizes == [4, 4, 4]
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines() == [f"judging: numbers, {n} of 10" for n in (4, 8, 10)]
