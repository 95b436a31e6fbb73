"""The measure of tracks on cases with known answers, and the tracker on some of its scenes."""

import cv2
import numpy as np
import pytest
import skimage.data

import emoscan
from benchmarks.tracking import tracked_scene
from benchmarks.tracking_scenes import Person, Scene, frame_times, scenes, sights, sway, true_boxes
from benchmarks.tracking_scores import IdentityScores, Labelled, identity_scores
from tests.clips import even_times, write_clip

PLACES_PX = np.array([0, 200, 400, 600], np.float32)


def frames(*rows: dict[int, int]) -> list[Labelled]:
    """One frame a row: which number is at which of four places."""
    labelled = []
    for row in rows:
        x = PLACES_PX[list(row.values())] if row else np.zeros(0, np.float32)
        boxes = np.stack([x, 0 * x, x + 50, 0 * x + 60], axis=1)
        labelled.append(Labelled(boxes, np.array(list(row), np.int32)))
    return labelled


def test_perfect_tracks() -> None:
    truth = frames(*[{1: 0, 2: 1}] * 5)
    scores = identity_scores(truth, frames(*[{7: 0, 9: 1}] * 5))
    assert scores.idf1 == 1 and scores.switches == scores.mixed == 0
    assert (scores.tracks, scores.persons) == (2, 2)


def test_a_track_that_breaks_counts_for_its_longer_part() -> None:
    """IDTP 6 of 10, IDFP 4, IDFN 4."""
    truth = frames(*[{1: 0}] * 10)
    scores = identity_scores(truth, frames(*[{1: 0}] * 6, *[{2: 0}] * 4))
    assert scores.idf1 == pytest.approx(2 * 6 / (2 * 6 + 4 + 4))
    assert (scores.switches, scores.mixed) == (1, 0)


def test_two_who_are_swapped_are_two_switches() -> None:
    truth = frames(*[{1: 0, 2: 1}] * 10)
    scores = identity_scores(truth, frames(*[{1: 0, 2: 1}] * 7, *[{2: 0, 1: 1}] * 3))
    assert scores.idf1 == pytest.approx(14 / 20)
    assert (scores.switches, scores.mixed) == (2, 2)


def test_one_track_for_two_persons_is_mixed() -> None:
    truth = frames(*[{1: 0}] * 5, *[{2: 1}] * 5)
    scores = identity_scores(truth, frames(*[{1: 0}] * 5, *[{1: 1}] * 5))
    assert scores.idf1 == pytest.approx(0.5)
    assert (scores.switches, scores.mixed) == (0, 1)


def test_misses_and_false_faces_count() -> None:
    """IDTP 8, IDFN 2, IDFP 5."""
    truth = frames(*[{1: 0}] * 10)
    found = frames(*[{1: 0}] * 4, {}, {}, *[{1: 0}] * 4)
    found = [*found[:-1], *frames({1: 0, 2: 1, 3: 2, 4: 3})]
    found[0] = frames({1: 0, 5: 1})[0]
    found[1] = frames({1: 0, 6: 1})[0]
    scores = identity_scores(truth, found)
    assert scores.idf1 == pytest.approx(16 / (16 + 2 + 5))


def test_a_pair_of_the_frame_before_stays_where_a_better_one_comes_by() -> None:
    truth = [Labelled(np.array([[0, 0, 50, 60]], np.float32), np.array([1], np.int32))] * 2
    near = np.array([[5, 0, 55, 60]], np.float32)
    both = np.array([[5, 0, 55, 60], [0, 0, 50, 60]], np.float32)
    found = [
        Labelled(near, np.array([1], np.int32)),
        Labelled(both, np.array([1, 2], np.int32)),
    ]
    assert identity_scores(truth, found).switches == 0


def test_nothing_there_and_nothing_found() -> None:
    assert identity_scores(frames({}, {}), frames({}, {})).idf1 == 1
    assert identity_scores(frames({1: 0}), frames({})).idf1 == 0


def test_scores_add_up() -> None:
    one = identity_scores(frames({1: 0}), frames({1: 0}))
    none = identity_scores(frames({1: 0}), frames({}))
    assert (one + none).idf1 == pytest.approx(2 / 3)
    assert one + IdentityScores() == one


def test_a_covered_face_is_not_to_be_seen_and_one_behind_another_neither() -> None:
    still = Person(lambda _: (300, 300, 100))
    covered = Person(still.path, ((1.0, 2.0),))
    behind = Person(lambda _: (310, 300, 90))
    assert len(true_boxes(Scene("a", 3, (covered,)), 1.5)[0]) == 0
    assert true_boxes(Scene("a", 3, (covered, behind)), 1.5)[1].tolist() == [1]
    assert true_boxes(Scene("a", 3, (covered, behind)), 2.0)[1].tolist() == [0]


def test_sights_repeat_themselves_and_tell_of_cuts() -> None:
    scene = Scene("a", 2, (Person(sway(300, 300, 100)),), cuts_s=(1.0,))
    one, other = (list(sights(scene, 10, seed=3)) for _ in range(2))
    assert [sight.time_s for sight in one if sight.cut] == [1.0]
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a.boxes, b.boxes) and np.array_equal(a.owners, b.owners)


def test_varying_rates_vary_about_their_amount() -> None:
    steps_s = np.diff(frame_times(60, -30, seed=0))
    assert len({round(step_s, 4) for step_s in steps_s}) == 3
    assert np.mean(steps_s) == pytest.approx(1 / 30, rel=0.1)


@pytest.mark.parametrize("rate", [30, 5])
def test_no_number_changes_where_nobody_crosses(rate: float) -> None:
    for scene in scenes(seed=0):
        if not scene.crosses:
            scores = tracked_scene(scene, rate, seed=1)
            assert (scores.switches, scores.mixed) == (0, 0), scene.name
            assert scores.idf1 >= 0.95, scene.name


@pytest.mark.parametrize("rate", [30, 5])
def test_two_who_cross_keep_their_numbers(rate: float) -> None:
    scene = next(scene for scene in scenes(seed=0) if scene.name == "two who cross")
    assert tracked_scene(scene, rate, seed=1).switches == 0


@pytest.mark.parametrize("stride", [None, 1])
def test_a_cut_in_a_real_video_ends_the_track(tmp_path, stride: int | None) -> None:
    """The same face in the same place of two rooms, by the whole pipeline."""
    rooms = [
        cv2.resize(photo(), (320, 240)) for photo in (skimage.data.coffee, skimage.data.rocket)
    ]
    face = cv2.resize(skimage.data.astronaut()[0:256, 96:352], (120, 120))

    def picture(index: int) -> np.ndarray:
        room = rooms[index >= 12].astype(np.uint8).copy()
        room[60:180, 100:220] = face
        return room

    clip = write_clip(tmp_path / "cut.mp4", even_times(24), size=(320, 240), picture=picture)
    rows = list(emoscan.analyze_video(clip, emoscan.ScanOptions(detector_stride=stride)))
    assert [row.track for row in rows] == [1] * 12 + [2] * 12
