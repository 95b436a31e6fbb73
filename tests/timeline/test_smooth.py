import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emoscan.emotions import EMOTIONS
from emoscan.timeline.durations import face_rows
from emoscan.timeline.smooth import hann_means, smoothed
from tests.timeline.made import even, face, scores, timeline, uneven, without


def means(values, times, durations, *, width_s: float, stretches=None) -> np.ndarray:
    values, times = np.asarray(values, float), np.asarray(times, float)
    return hann_means(
        values[:, None],
        starts_s=times,
        ends_s=times + durations,
        stretches=np.zeros(len(times), int) if stretches is None else np.asarray(stretches),
        width_s=width_s,
    )[:, 0]


def integrated(values, times, durations, *, width_s: float) -> np.ndarray:
    """The same by brute force: the step function under the window, at 20,000 points."""
    grid = (np.arange(20_000) + 0.5) / 20_000 - 0.5
    window = np.cos(np.pi * grid) ** 2
    found = []
    for middle in times + durations / 2:
        at = middle + grid * width_s
        index = np.searchsorted(times, at, side="right") - 1
        inside = (index >= 0) & (at < (times + durations)[index])
        weights = window * inside
        found.append((weights * values[index]).sum() / weights.sum())
    return np.array(found)


@pytest.mark.parametrize("width_s", [0.05, 0.5, 3.0])
def test_it_is_the_mean_of_the_step_function_under_a_hann_window(width_s: float) -> None:
    times = uneven(4.0, seed=1)
    durations = np.diff(times, append=times[-1] + 0.05)
    durations[20:25] *= 0.4  # the face is away for the rest
    values = np.random.default_rng(0).random(len(times))
    expected = integrated(values, times, durations, width_s=width_s)
    assert means(values, times, durations, width_s=width_s) == pytest.approx(expected, abs=2e-3)


def test_a_picture_stored_as_one_frame_or_as_three_is_the_same() -> None:
    values = np.random.default_rng(0).random(40)
    once = means(values, even(10, 4), np.full(40, 0.1), width_s=0.5)
    thrice = means(np.repeat(values, 3), even(30, 4), np.full(120, 1 / 30), width_s=0.5)
    assert thrice[1::3] == pytest.approx(once)  # the middle third's middle is the frame's


def test_it_moves_nothing_in_time() -> None:
    values = np.zeros(41)
    values[20] = 1.0
    smooth = means(values, even(10, 4.1), np.full(41, 0.1), width_s=0.7)
    assert smooth == pytest.approx(smooth[::-1])
    assert smooth.argmax() == 20


def test_beyond_half_a_kernel_of_a_change_scores_are_raw() -> None:
    times = even(30, 4)
    values = (times >= 2.0).astype(float)
    smooth = means(values, times, np.full(120, 1 / 30), width_s=0.5)
    far = abs(times + 1 / 60 - 2.0) >= 0.25
    assert smooth[far] == pytest.approx(values[far])
    assert ((smooth > 0) & (smooth < 1)).sum() == (~far).sum()


def test_a_width_of_nothing_changes_nothing() -> None:
    values = np.random.default_rng(0).random(9)
    assert means(values, even(10, 0.9), np.full(9, 0.1), width_s=0.0).tolist() == values.tolist()


def test_frames_longer_than_the_kernel_stay_as_they_are() -> None:
    values = np.random.default_rng(0).random(9)
    assert means(values, even(1, 9), np.full(9, 1.0), width_s=0.5) == pytest.approx(values)


def test_nothing_is_smoothed_over_the_border_of_a_stretch() -> None:
    values = [0.0, 0.0, 1.0, 1.0]
    smooth = means(
        values, even(30, 4 / 30), np.full(4, 1 / 30), width_s=9.0, stretches=[0, 0, 1, 1]
    )
    assert smooth.tolist() == values


def test_rows_without_a_duration_keep_their_value_where_there_is_nothing_else() -> None:
    assert means([0.7], [3.0], np.zeros(1), width_s=0.5).tolist() == [0.7]
    assert means([0.2, 0.6], [0.0, 0.0], np.zeros(2), width_s=0.5).tolist() == [0.2, 0.6]


def test_over_a_gap_in_the_middle_of_a_track_nothing_passes() -> None:
    times = even(30, 3)
    there = np.r_[0:30, 60:90]
    table = np.where((times < 1)[:, None], scores(happy=0.9), scores(sad=0.9))[there]
    away = without(times[30:60]).assign(frame=range(30, 60))
    faces = face_rows(timeline(face(times[there], table, frames=there), away))
    smooth = smoothed(faces, width_s=3.0, gap_s=0.3)[list(EMOTIONS)].to_numpy()
    assert smooth == pytest.approx(table)
    assert smoothed(faces, width_s=3.0, gap_s=2.0)["sad"].iloc[29] > 0.05


@given(
    table=st.lists(st.lists(st.floats(0.01, 1), min_size=7, max_size=7), min_size=1, max_size=25),
    steps=st.lists(st.floats(0, 0.3), min_size=25, max_size=25),
    width_s=st.floats(0, 2),
)
def test_means_lie_within_what_is_near_and_still_sum_to_one(table, steps, width_s) -> None:
    odds = np.array(table)
    odds /= odds.sum(axis=1, keepdims=True)
    durations = np.array(steps[: len(odds)])
    starts = np.cumsum(durations) - durations
    smooth = hann_means(
        odds, starts_s=starts, ends_s=starts + durations, width_s=width_s,
        stretches=np.zeros(len(odds), int),
    )  # fmt: skip
    assert smooth.sum(axis=1) == pytest.approx(np.ones(len(odds)))
    middles = starts + durations / 2
    for row, middle in zip(smooth, middles, strict=True):
        touched = (starts <= middle + width_s / 2) & (starts + durations >= middle - width_s / 2)
        assert (row >= odds[touched].min(axis=0) - 1e-9).all()
        assert (row <= odds[touched].max(axis=0) + 1e-9).all()
