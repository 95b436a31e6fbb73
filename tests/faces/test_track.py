"""The tracker on hand-made boxes."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from emoscan.faces.track import MAX_GAP_S, MIN_GAP_S, Tracker
from emoscan.faces.view import NO_VIEW, View
from emoscan.types import NO_TRACK, Faces

SIDE_PX = 60.0


def faces_at(*centres: tuple[float, float], side: float | NDArray[np.floating] = SIDE_PX) -> Faces:
    """Squares, whose sides are one number or (N, 1) of them."""
    middle = np.array(centres, np.float32).reshape(-1, 2)
    count = len(middle)
    return Faces(
        boxes=np.concatenate([middle - side / 2, middle + side / 2], axis=1).astype(np.float32),
        scores=np.ones(count, np.float32),
        landmarks=np.zeros((count, 5, 2), np.float32),
        tracks=np.full(count, NO_TRACK, np.int32),
        followed=np.zeros(count, np.bool_),
    )


def numbers(
    tracker: Tracker,
    time_s: float,
    *centres: tuple[float, float],
    side: float | NDArray[np.floating] = SIDE_PX,
    view: View = NO_VIEW,
) -> list[int]:
    faces = faces_at(*centres, side=side)
    tracks: NDArray[np.int32] = tracker.update(faces, time_s=time_s, view=view).tracks
    return tracks.tolist()


def seen_for(tracker: Tracker, seconds: float, *centres: tuple[float, float]) -> float:
    """Show faces that do not move at 25 frames/s; the time of the frame behind."""
    for index in range(round(seconds * 25)):
        numbers(tracker, index / 25, *centres)
    return seconds


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


@pytest.mark.parametrize(("gap_s", "expected"), [(MAX_GAP_S - 0.1, 1), (MAX_GAP_S + 0.1, 2)])
def test_whoever_looks_away_keeps_the_track_for_a_while(gap_s: float, expected: int) -> None:
    tracker = Tracker()
    away_s = seen_for(tracker, 1.0, (100, 100))
    assert numbers(tracker, away_s) == []
    assert numbers(tracker, away_s + gap_s, (110, 104)) == [expected]


@pytest.mark.parametrize(("gap_s", "expected"), [(MIN_GAP_S - 0.1, 1), (MIN_GAP_S + 0.1, 2)])
def test_what_was_seen_once_is_soon_forgotten(gap_s: float, expected: int) -> None:
    tracker = Tracker()
    numbers(tracker, 0.0)
    assert numbers(tracker, 0.04, (100, 100)) == [1]
    assert numbers(tracker, 0.08) == []
    assert numbers(tracker, 0.08 + gap_s, (100, 100)) == [expected]


def test_seen_once_a_second_is_seen_long_enough() -> None:
    tracker = Tracker()
    for time_s in (0, 1):
        assert numbers(tracker, time_s) == []
    assert numbers(tracker, 2, (100, 100)) == [1]
    assert numbers(tracker, 3) == []
    assert numbers(tracker, 4, (100, 100)) == [1]


def test_a_false_face_does_not_take_the_place_of_one_who_looks_away() -> None:
    tracker = Tracker()
    away_s = seen_for(tracker, 1.0, (100, 100))
    assert numbers(tracker, away_s, (130, 60), side=25) == [2]
    for index in range(1, 20):
        assert numbers(tracker, away_s + index / 25) == []
    assert numbers(tracker, away_s + 0.8, (104, 100)) == [1]


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


def test_a_face_that_was_hidden_is_found_where_its_movement_led() -> None:
    tracker = Tracker()
    for index in range(25):
        assert numbers(tracker, index / 25, (100 + 4 * index, 100)) == [1]
    for index in range(25, 45):
        assert numbers(tracker, index / 25) == []
    assert numbers(tracker, 45 / 25, (100 + 4 * 45, 100)) == [1]


def test_who_was_hidden_is_not_taken_for_the_one_in_front() -> None:
    """Both stand still, and the second is hidden behind the first for a second."""
    tracker = Tracker()
    away_s = seen_for(tracker, 1.0, (100, 100), (150, 100))
    for index in range(25):
        assert numbers(tracker, away_s + index / 25, (103, 100)) == [1]
    assert numbers(tracker, away_s + 1, (150, 100), (103, 100)) == [2, 1]


@pytest.mark.parametrize(("growth", "expected"), [(2.0, 1), (3.0, 2)])
def test_a_face_may_lean_forward_but_not_be_another(growth: float, expected: int) -> None:
    tracker = Tracker()
    away_s = seen_for(tracker, 1.0, (100, 100))
    assert numbers(tracker, away_s, (100, 100), side=growth * SIDE_PX) == [expected]


def test_a_fast_face_is_one_track_when_looked_at_seldom() -> None:
    """Six of its heights a second, five looks a second: its boxes never overlap."""
    tracker = Tracker()
    for index in range(6):
        assert numbers(tracker, index / 5, (100 + 72 * index, 100)) == [1]


def test_no_track_goes_on_in_another_scene() -> None:
    tracker, other = Tracker(), np.roll(NO_VIEW, 1)
    seen_for(tracker, 1.0, (100, 100))
    assert numbers(tracker, 1.0, (100, 100), view=other) == [2]
    assert numbers(tracker, 1.04, (100, 100), view=other) == [2]


def test_a_scene_that_comes_back_at_once_was_no_cut() -> None:
    """A flash of one frame, say, that left nothing to be seen but a face."""
    tracker = Tracker()
    seen_for(tracker, 1.0, (100, 100))
    assert numbers(tracker, 1.0, (100, 100), view=np.roll(NO_VIEW, 1)) == [2]
    assert numbers(tracker, 1.04, (100, 100)) == [1]


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


@pytest.mark.parametrize(("jump_px", "growth"), [(5, 0.05), (20, 0.1), (20, 0.4), (60, 0.2)])
def test_one_face_is_followed_as_it_is_beside_another(jump_px: float, growth: float) -> None:
    """Whatever is spared with one face alone: it jumps, changes its size, and is away at times."""
    random = np.random.default_rng(2)
    alone, beside = Tracker(), Tracker()
    place, far_away = np.array([2000.0, 2000.0]), (90_000.0, 90_000.0)
    assert numbers(beside, 0, far_away) == [1]
    alone.update(faces_at(), time_s=0)
    for n in range(1, 800):
        place += random.normal(0, jump_px, 2)
        side = SIDE_PX * np.exp(random.normal(0, growth))
        shown = [(place[0], place[1])] if random.random() < 0.9 else []
        one = numbers(alone, n / 25, *shown, side=side)
        sides = np.array([SIDE_PX, side][: 1 + len(shown)])[:, None]
        two = numbers(beside, n / 25, far_away, *shown, side=sides)
        assert two == [1] + [number + 1 for number in one]


def test_a_tracker_goes_on_from_a_state_as_the_one_before_would() -> None:
    """Through JSON, and with a face that is missing at that moment."""
    places = [
        [(40 + 3 * n, 100), (400 - 3 * n, 250)][: 1 if n % 9 in (2, 3) else 2] for n in range(40)
    ]
    whole, first = Tracker(), Tracker()
    expected = [numbers(whole, 0.1 * n, *places[n]) for n in range(40)]
    for n in range(25):
        first.mark(n)
        numbers(first, 0.1 * n, *places[n])
    second = Tracker(json.loads(json.dumps(first.state(21))))  # the second face is away
    assert [numbers(second, 0.1 * n, *places[n]) for n in range(21, 40)] == expected[21:]
    assert expected[21] == [1] and expected[23] == [1, 2]


@pytest.mark.parametrize("state", [{}, {"tracks": {}}, {"tracks": 3, "count": 1}])
def test_what_is_no_state_is_refused(state):
    with pytest.raises(ValueError, match="no state"):
        Tracker(state)
