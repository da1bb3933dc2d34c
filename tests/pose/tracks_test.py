import dataclasses

import numpy as np
import pytest

from anime_pt.pose import formats, tracks
from anime_pt.pose.sequences import People, unknown
from anime_pt.pose.skeletons import COCO_17, OPENPOSE_18

# Where the joints of a standing figure of height 100 are about its middle.
FIGURE = np.array(
    [
        *((0, -45), (2, -47), (-2, -47), (4, -46), (-4, -46), (10, -32), (-10, -32), (14, -15), (-14, -15)),
        *((15, 0), (-15, 0), (6, 2), (-6, 2), (6, 26), (-6, 26), (6, 50), (-6, 50)),
    ],
    float,
)


def figure(x, y=100.0, scale=1.0, seed=None, swing=0.0):
    """A figure (17, 3) about a place; `swing` moves its arms, `seed` shakes its joints."""
    points = FIGURE * scale
    points[[7, 9], 0] += swing
    if seed is not None:
        points = points + np.random.default_rng(seed).normal(0, 1, points.shape)
    return np.concatenate([points + np.array([x, y]), np.ones((17, 1))], 1).astype(np.float32)


def people(frames, fps=30.0, size=(200, 600)):
    frames = [np.stack(f) if f else unknown(0, COCO_17) for f in frames]
    return People(frames, COCO_17, [size] * len(frames), fps, [""] * len(frames))


def middles(sequence):
    """(t,) x between the hips."""
    return sequence.keypoints[:, [11, 12], 0].mean(1)


def crossing(count, missing=(), fps=30.0, shuffle=0):
    """Two people who walk through each other, their order in the frames at random; and their places."""
    rng = np.random.default_rng(shuffle)
    left, right = np.linspace(100, 500, count), np.linspace(500, 100, count)
    frames = []
    for i in range(count):
        both = [
            figure(left[i], 100, 1.0, 2 * i, 5 * np.sin(i / 3)),
            figure(right[i], 104, 0.9, 2 * i + 1, -8 * np.sin(i / 3)),
        ]
        # Where they meet, an estimator sees the nearer one alone.
        both = both[:1] if i in missing else both
        frames.append([both[j] for j in rng.permutation(len(both))])
    return people(frames, fps), left, right


@pytest.mark.parametrize("shuffle", range(4))
@pytest.mark.parametrize("missing", [(), range(27, 34), range(24, 37)])
def test_people_who_cross_keep_their_tracks(missing, shuffle):
    found, left, right = crossing(60, missing, shuffle=shuffle)
    both = tracks.find(found)
    assert len(both) == 2
    for person, path in enumerate((left, right)):
        seen = middles(tracks.follow(found, person))
        # The smaller one, who is lost, is the second.
        lost = np.array([i in missing and person == 1 for i in range(60)])
        np.testing.assert_array_equal(np.isnan(seen), lost)
        np.testing.assert_allclose(seen[~lost], path[~lost], atol=4)


def test_people_who_cross_at_five_frames_per_second():
    found, left, right = crossing(12, fps=5.0)
    np.testing.assert_allclose(middles(tracks.follow(found, 0)), left, atol=4)
    np.testing.assert_allclose(middles(tracks.follow(found, 1)), right, atol=4)


def test_a_pair_is_chosen_for_both_people_at_once():
    # The second figure is nearer to the first person than the first figure is; it is the second person's.
    frames = [[figure(100), figure(130)], [figure(120), figure(142)]]
    found = people(frames)
    np.testing.assert_allclose(middles(tracks.follow(found, 0)), [100, 120], atol=0.1)
    np.testing.assert_allclose(middles(tracks.follow(found, 1)), [130, 142], atol=0.1)


def test_gaps_are_bridged_where_the_person_may_be():
    walk = [[figure(100 + 4 * i)] for i in range(40)]
    walk[10:25] = [[]] * 15
    (track,) = tracks.find(people(walk))
    np.testing.assert_array_equal(track.frames, [*range(10), *range(25, 40)])
    # Somebody else comes up far away, or much later.
    far = [*walk[:10], *[[figure(500)] for _ in range(30)]]
    assert [len(t.frames) for t in tracks.find(people(far))] == [30, 10]
    assert len(tracks.find(people(walk), seconds=0.2)) == 2
    seen = middles(tracks.follow(people(far)))
    assert np.isnan(seen[:10]).all() and np.isfinite(seen[10:]).all()


def test_joints_that_are_hidden_do_not_break_a_track():
    rng = np.random.default_rng(0)
    frames = [[figure(100 + 3 * i, seed=i), figure(300 - i, seed=i)] for i in range(40)]
    for frame in frames[1:]:
        for points in frame:
            # Legs or arms, or all but the head.
            hidden = [slice(11, 17), slice(5, 11), slice(5, 17)][rng.integers(3)]
            points[hidden] = (np.nan, np.nan, 0)
    found = tracks.find(people(frames))
    assert [len(t.frames) for t in found] == [40, 40]
    noses = tracks.follow(people(frames), 0).keypoints[:, 0, 0]
    assert np.ptp(noses - 3 * np.arange(40)) < 8 or np.ptp(noses + np.arange(40)) < 8


def test_the_largest_and_longest_comes_first():
    small, large = [figure(100, scale=0.3)], [figure(400)]
    frames = [small + large] * 10 + [small] * 10
    assert [len(t.frames) for t in tracks.find(people(frames))] == [10, 20]
    frames = [small + large] * 3 + [small] * 30
    assert [len(t.frames) for t in tracks.find(people(frames))] == [33, 3]
    size = tracks.find(people(frames))[0].size
    assert size == pytest.approx(0.3 * np.hypot(30, 97), rel=0.01)


def test_who_is_asked_for_must_be_there():
    frames = people([[figure(100)], [figure(101)]])
    with pytest.raises(ValueError, match=r"no person 1 \(0: found in 2 frames from 0 to 1, about 102 pixels"):
        tracks.follow(frames, 1)
    nobody = people([[], []])
    assert np.isnan(tracks.follow(nobody).keypoints[..., 0]).all()
    with pytest.raises(ValueError, match=r"no person 0 \(nobody was found"):
        tracks.follow(nobody, 0)
    with pytest.raises(ValueError, match="there are no pictures"):
        tracks.follow(people([]))
    mixed = dataclasses.replace(frames, sizes=[(100, 200), (50, 60)])
    with pytest.raises(ValueError, match=r"several sizes \(60x50, 200x100\), so they are no clip"):
        tracks.follow(mixed)


def test_depth_goes_with_the_person():
    frames = [[figure(300), figure(100 + i, scale=0.5)][:: 1 if i % 2 else -1] for i in range(4)]
    worlds = [np.stack([np.full((17, 3), p[11, 0] / 100, np.float32) for p in f]) for f in frames]
    found = dataclasses.replace(people([*frames, []]), worlds=[*worlds, unknown(0, COCO_17)])
    for person in (0, 1):
        sequence = tracks.follow(found, person)
        np.testing.assert_allclose(sequence.world[:4, 0, 2], sequence.keypoints[:4, 11, 0] / 100)
        assert np.isnan(sequence.world[4]).all()
    middle = sequence.as_skeleton(OPENPOSE_18)
    np.testing.assert_allclose(middle.world[:4, OPENPOSE_18.index("neck")], sequence.world[:4, 5])
    assert tracks.follow(people(frames)).world is None


def test_a_person_is_chosen_of_a_file(tmp_path):
    found, left, right = crossing(20)
    formats.write(tmp_path / "a.json", found, "openpose")
    for person, path in enumerate((left, right)):
        read = formats.read(tmp_path / "a.json", person=person).as_skeleton(COCO_17)
        np.testing.assert_allclose(middles(read), path, atol=4)
    with pytest.raises(formats.PoseFileError, match="there is no person 2"):
        formats.read(tmp_path / "a.json", person=2)
    formats.write(tmp_path / "b.json", formats.read(tmp_path / "a.json"))
    assert len(formats.read(tmp_path / "b.json", person=0).keypoints) == 20
    with pytest.raises(formats.PoseFileError, match="has one person"):
        formats.read(tmp_path / "b.json", person=1)
