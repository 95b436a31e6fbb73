"""The tracker on hand-made boxes."""

import numpy as np
import pytest
from numpy.typing import NDArray

from emoscan.faces.track import MAX_GAP_S, Tracker
from emoscan.types import NO_TRACK, Faces

SIDE_PX = 60.0


def faces_at(*centres: tuple[float, float], side: float = SIDE_PX) -> Faces:
    middle = np.array(centres, np.float32).reshape(-1, 2)
    count = len(middle)
    return Faces(
        boxes=np.concatenate([middle - side / 2, middle + side / 2], axis=1).astype(np.float32),
        scores=np.ones(count, np.float32),
        landmarks=np.zeros((count, 5, 2), np.float32),
        tracks=np.full(count, NO_TRACK, np.int32),
        followed=np.zeros(count, np.bool_),
    )


def numbers(tracker: Tracker, time_s: float, *centres: tuple[float, float]) -> list[int]:
    tracks: NDArray[np.int32] = tracker.update(faces_at(*centres), time_s=time_s).tracks
    return tracks.tolist()


def test_numbers_follow_appearance_and_nothing_else_changes() -> None:
    tracker = Tracker()
    faces = faces_at((100, 100), (300, 100))
    tracked = tracker.update(faces, time_s=0)
    assert tracked.tracks.tolist() == [1, 2]
    assert tracked.boxes is faces.boxes
    assert numbers(tracker, 0.04, (500, 100), (100, 100), (300, 100)) == [3, 1, 2]


def test_order_of_boxes_does_not_matter() -> None:
    tracker = Tracker()
    assert numbers(tracker, 0, (100, 100), (300, 100)) == [1, 2]
    assert numbers(tracker, 0.04, (302, 100), (101, 100)) == [2, 1]


def test_no_faces() -> None:
    tracker = Tracker()
    assert numbers(tracker, 0) == []
    assert numbers(tracker, 0.04, (100, 100)) == [1]
    assert numbers(tracker, 0.08) == []
    assert numbers(tracker, 0.12, (100, 100)) == [1]


@pytest.mark.parametrize("rate", [1, 5, 30])
def test_a_short_gap_is_bridged_at_any_rate(rate: int) -> None:
    tracker = Tracker()
    missing = range(3 * rate, 3 * rate + max(1, rate // 2))
    seen = {
        number
        for index in range(6 * rate)
        for number in numbers(tracker, index / rate, *([] if index in missing else [(100, 100)]))
    }
    assert seen == {1}


def test_a_long_gap_starts_a_new_track() -> None:
    tracker = Tracker()
    assert numbers(tracker, 0, (100, 100)) == [1]
    assert numbers(tracker, 0.1) == []
    assert numbers(tracker, 0.2 + MAX_GAP_S, (100, 100)) == [2]


def test_faces_that_cross_keep_their_tracks() -> None:
    tracker = Tracker()
    for index in range(40):
        right, left = (100 + 10 * index, 100), (500 - 10 * index, 110)
        assert numbers(tracker, index / 25, right, left) == [1, 2]


def test_faces_that_hide_each_other_for_a_moment_keep_their_tracks() -> None:
    tracker = Tracker()
    for index in range(40):
        right, left = (100 + 10 * index, 100), (500 - 10 * index, 110)
        hidden = 18 <= index <= 22
        found = numbers(tracker, index / 25, *([right] if hidden else [right, left]))
        assert hidden or found == [1, 2]


@pytest.mark.parametrize("rates", [(30, 30, 30), (30, 3, 30), (2, 30, 5)])
def test_a_walking_face_is_one_track_at_varying_rates(rates: tuple[int, ...]) -> None:
    tracker, time_s = Tracker(), 0.0
    for rate in rates:
        for _ in range(2 * rate):
            time_s += 1 / rate
            assert numbers(tracker, time_s, (100 + 80 * time_s, 100)) == [1]


def test_a_face_that_comes_back_is_found_where_it_stopped() -> None:
    """A prediction that ran on for the whole gap would look 400 px away."""
    tracker = Tracker()
    for index in range(20):
        assert numbers(tracker, index / 20, (100 + 25 * index, 100)) == [1]
    assert numbers(tracker, 1.0) == []
    assert numbers(tracker, 1.8, (600, 100)) == [1]


def test_one_false_face_disturbs_nobody() -> None:
    tracker = Tracker()
    for index in range(20):
        false = [(160.0, 130.0)] if index == 10 else []
        found = numbers(tracker, index / 25, (100, 100), *false)
        assert found == ([1, 2] if false else [1])


def test_a_face_elsewhere_is_another_track() -> None:
    tracker = Tracker()
    assert numbers(tracker, 0, (100, 100)) == [1]
    assert numbers(tracker, 0.04, (400, 100)) == [2]


def test_equal_times_are_no_division_by_zero() -> None:
    tracker = Tracker()
    assert numbers(tracker, 1, (100, 100)) == [1]
    assert numbers(tracker, 1, (103, 100)) == [1]
    assert numbers(tracker, 1.04, (104, 100)) == [1]
