import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import emoscan
from emoscan import EpisodeOptions, find_episodes
from emoscan.emotions import EMOTIONS
from emoscan.errors import UsageError
from emoscan.timeline.episodes import COLUMNS, sampling_notes
from tests.timeline.made import RATES, even, face, photos, scores, timeline, uneven, without

RAW = EpisodeOptions(smoothing_s=0)
# Happy from 2 to 4 s, surprised from 5 to 6.5 s, else neutral: jumps over both thresholds.
KNOWN = [("happy", 2.0, 4.0), ("surprise", 5.0, 6.5)]


def acted(times: np.ndarray) -> np.ndarray:
    table = scores(neutral=np.full(len(times), 0.8))
    for emotion, onset_s, offset_s in KNOWN:
        table[(times >= onset_s) & (times < offset_s)] = scores(**{emotion: 0.9})
    return table


def swelling(times: np.ndarray) -> np.ndarray:
    """Happy grows from 1 s on, is highest at 3 s, and is gone at 5 s."""
    return scores(happy=np.clip(0.95 - 0.4 * abs(times - 3.0), 0.1, None))


def at_rate(rate: str, until_s: float = 8.0) -> np.ndarray:
    return uneven(until_s, seed=3) if rate == "variable" else even(RATES[rate], until_s)


def longest_frame_s(times: np.ndarray) -> float:
    return float(np.diff(times).max())


@pytest.fixture(params=[*RATES, "variable"])
def times(request) -> np.ndarray:
    return at_rate(request.param)


def expressive(episodes: pd.DataFrame) -> pd.DataFrame:
    return episodes[episodes["emotion"] != "neutral"]


def check_known(found: pd.DataFrame, *, within_s: float) -> None:
    assert found["emotion"].tolist() == [emotion for emotion, _, _ in KNOWN]
    assert found["onset_s"].tolist() == pytest.approx([at for _, at, _ in KNOWN], abs=within_s)
    assert found["offset_s"].tolist() == pytest.approx([at for _, _, at in KNOWN], abs=within_s)
    assert (found["duration_s"] == found["offset_s"] - found["onset_s"]).all()


def test_raw_edges_lie_within_a_frame_at_any_rate(times) -> None:
    found = expressive(find_episodes(timeline(face(times, acted(times))), RAW))
    check_known(found, within_s=longest_frame_s(times))
    assert found["mean"].tolist() == pytest.approx([0.9, 0.9])


@pytest.mark.parametrize("width_s", [0.2, 0.5, 1.0])
def test_smoothing_moves_an_edge_by_half_a_kernel_and_a_frame_at_most(times, width_s) -> None:
    options = EpisodeOptions(smoothing_s=width_s)
    found = expressive(find_episodes(timeline(face(times, acted(times))), options))
    check_known(found, within_s=width_s / 2 + longest_frame_s(times))


def test_where_two_classes_change_places_smoothing_moves_no_edge(times) -> None:
    """The likeliest class changes where the raw scores do: a symmetric kernel keeps that place."""
    table = np.where((times < 3)[:, None], scores(happy=0.9, sad=0.1), scores(happy=0.1, sad=0.9))
    found = find_episodes(timeline(face(times, table)))
    assert found["emotion"].tolist() == ["happy", "sad"]
    assert found["offset_s"].iloc[0] == found["onset_s"].iloc[1]
    assert found["onset_s"].iloc[1] == pytest.approx(3.0, abs=longest_frame_s(times))


def test_the_apex_is_where_the_score_is_highest(times) -> None:
    found = find_episodes(timeline(face(times, swelling(times))))
    frame_s = longest_frame_s(times)
    assert found["emotion"].tolist() == ["happy"]
    assert found["apex_s"].iloc[0] == pytest.approx(3.0, abs=frame_s)
    # 0.95 - 0.4 · |t - 3| is 0.4 at 1.625 and at 4.375 s; a straight line stays when smoothed.
    assert found["onset_s"].iloc[0] == pytest.approx(1.625, abs=frame_s)
    assert found["offset_s"].iloc[0] == pytest.approx(4.375, abs=frame_s)


def test_the_apex_of_a_plateau_is_its_beginning(times) -> None:
    table = scores(happy=np.where((times >= 2) & (times < 4), 0.9, 0.7))
    found = find_episodes(timeline(face(times, table)), RAW)
    assert found["apex_s"].iloc[0] == pytest.approx(2.0, abs=longest_frame_s(times))
    assert found["peak"].iloc[0] == pytest.approx(0.9)
    # Smoothed, a plateau is level but for rounding, which must not choose the apex.
    smooth = find_episodes(timeline(face(times, table)), EpisodeOptions(smoothing_s=0.5))
    assert smooth["apex_s"].iloc[0] == pytest.approx(2.0, abs=0.25 + longest_frame_s(times))


def test_the_mean_is_over_time_and_not_over_frames() -> None:
    times = np.array([0.0, 0.1, 0.2, 0.3, 3.3])  # 0.3 s of 0.9, then 3.1 s of 0.6
    rows = timeline(face(times, scores(happy=np.array([0.9, 0.9, 0.9, 0.6, 0.6]))))
    mean = find_episodes(rows, RAW)["mean"].iloc[0]
    assert mean == pytest.approx((0.3 * 0.9 + 3.1 * 0.6) / 3.4)


def test_all_rates_give_the_same_episodes() -> None:
    found = {}
    for rate in [*RATES, "variable"]:
        times = at_rate(rate)
        noise = 0.1 * np.sin(times * 3)
        table = scores(happy=np.clip(0.55 + 0.35 * np.sin(times * 1.3) + noise, 0.05, 0.95))
        found[rate] = find_episodes(timeline(face(times, table)))
    finest = found["60"]
    assert len(finest) >= 2
    for rate, episodes in found.items():
        frame_s = longest_frame_s(at_rate(rate))
        assert episodes["emotion"].tolist() == finest["emotion"].tolist()
        for name in ("onset_s", "offset_s"):
            assert episodes[name].tolist() == pytest.approx(finest[name].tolist(), abs=frame_s)
        assert episodes["apex_s"].tolist() == pytest.approx(finest["apex_s"].tolist(), abs=0.2)
        assert episodes["peak"].tolist() == pytest.approx(finest["peak"].tolist(), abs=0.03)


def test_frames_of_onset_apex_and_offset_are_those_of_the_timeline() -> None:
    times = even(10, 8)
    table = swelling(times)
    row = find_episodes(timeline(face(times, table, frames=range(100, 260, 2))), RAW).iloc[0]
    onset, apex, offset = ((row[name] - 100) // 2 for name in
                           ("onset_frame", "apex_frame", "offset_frame"))  # fmt: skip
    assert (times[onset], times[apex]) == (row["onset_s"], row["apex_s"])
    assert times[offset] + 0.1 == pytest.approx(row["offset_s"])
    assert table[onset : offset + 1, EMOTIONS.index("happy")].min() >= 0.4
    assert row["mean"] == pytest.approx(table[onset : offset + 1].max(axis=1).mean())


def away(times: np.ndarray, gone: np.ndarray, table: np.ndarray, status="no_face") -> pd.DataFrame:
    """A face that is not there in some frames."""
    frames = np.arange(len(times))
    rows = face(times[~gone], table[~gone], frames=frames[~gone])
    return timeline(rows, without(times[gone], status).assign(frame=frames[gone]))


@pytest.mark.parametrize("status", ["no_face", "unreadable"])
def test_an_episode_ends_where_the_face_goes_for_long(times, status) -> None:
    gone = (times >= 3) & (times < 5)
    found = find_episodes(away(times, gone, scores(happy=np.full(len(times), 0.9)), status))
    frame_s = longest_frame_s(times)
    assert found["offset_s"].iloc[0] == pytest.approx(3.0, abs=frame_s)
    assert found["onset_s"].iloc[1] == pytest.approx(5.0, abs=frame_s)
    assert len(found) == 2


def test_nothing_is_smoothed_over_a_gap(times) -> None:
    """Each side of the gap is pure: the mean of each episode is its raw score."""
    gone = (times >= 3) & (times < 3.5)
    table = np.where((times < 3.2)[:, None], scores(happy=0.9), scores(sad=0.7))
    found = find_episodes(away(times, gone, table), EpisodeOptions(smoothing_s=3.0))
    assert found["emotion"].tolist() == ["happy", "sad"]
    assert found["mean"].tolist() == pytest.approx([0.9, 0.7])


def test_a_face_that_is_missing_for_one_frame_ends_nothing() -> None:
    for rate in ("5", "15", "29.97", "60"):
        times = at_rate(rate)
        gone = np.arange(len(times)) == len(times) // 2
        found = find_episodes(away(times, gone, scores(happy=np.full(len(times), 0.9))))
        assert len(found) == 1
        assert found["mean"].iloc[0] == pytest.approx(0.9)
        assert found["duration_s"].iloc[0] == pytest.approx(8.0, abs=0.01)


def test_a_sampled_timeline_works_and_a_missing_sample_is_a_gap() -> None:
    times = even(1, 10)
    table = scores(happy=np.where((times >= 3) & (times < 6), 0.9, 0.2))
    sampled = timeline(face(times, table, frames=range(0, 300, 30)))
    row = find_episodes(sampled).iloc[0]
    assert (row["onset_s"], row["apex_s"], row["offset_s"]) == (3.0, 3.0, 6.0)
    assert (row["onset_frame"], row["offset_frame"]) == (90, 150)
    found = find_episodes(away(times, times == 4, table))
    assert found["onset_s"].tolist() == [3.0, 5.0]


def test_an_episode_has_to_reach_high_and_to_last() -> None:
    times = even(10, 6)
    table = scores(happy=np.where((times >= 1) & (times < 3), 0.55, 0.2))  # never high
    table[(times >= 4) & (times < 4.2)] = scores(happy=0.9)  # too short
    rows = timeline(face(times, table))
    assert len(find_episodes(rows, RAW)) == 0
    low = EpisodeOptions(smoothing_s=0, high=0.5)
    assert find_episodes(rows, low)["onset_s"].tolist() == [1.0]
    short = EpisodeOptions(smoothing_s=0, least_s=0.2)
    assert find_episodes(rows, short)["onset_s"].tolist() == [4.0]


def test_thresholds_are_met_by_the_float32_that_prints_like_them() -> None:
    times = even(10, 2)
    rows = timeline(face(times, scores(happy=np.full(20, 0.6))))
    assert len(find_episodes(rows)) == 1  # float32(0.6) is a little more; 0.7 is a little less
    rows = timeline(face(times, scores(happy=np.full(20, 0.7))))
    assert len(find_episodes(rows, EpisodeOptions(high=0.7, low=0.7))) == 1


def test_only_the_classes_asked_for() -> None:
    times = even(10, 8)
    rows = timeline(face(times, acted(times)))
    found = find_episodes(rows, EpisodeOptions(emotion=("surprise",)))
    assert found["emotion"].tolist() == ["surprise"]
    assert find_episodes(rows, EpisodeOptions(emotion="surprise")).equals(found)


def test_tracks_and_sources_have_their_own_episodes_in_order() -> None:
    times = even(10, 8)
    happy, sad = scores(happy=np.full(80, 0.9)), scores(sad=np.full(80, 0.9))
    rows = timeline(
        face(times, sad, source="b.mp4", track=1),
        face(times, happy, source="a.mp4", track=12),
        face(times, sad, source="a.mp4", track=3, label="Anna"),
        face(times, acted(times), source="a.mp4", track=None),
    )
    found = find_episodes(rows)
    keys = ["source", "track", "label", "emotion"]
    assert found[keys].astype(object).values.tolist() == [
        ["a.mp4", 3, "Anna", "sad"],
        ["a.mp4", 12, None, "happy"],
        ["b.mp4", 1, None, "sad"],
    ]


def nothing() -> dict[str, pd.DataFrame]:
    none = without(even(10, 1)).assign(frame=range(10))
    one = scores(happy=0.9)
    return {
        "no rows": timeline(face(even(10, 0), one[:0])),
        "no faces": timeline(none),
        "nothing readable": timeline(without(np.array([np.nan]), "unreadable").assign(frame=0)),
        "one row": timeline(face(np.zeros(1), one)),
        "no tracks": timeline(face(even(10, 1), np.repeat(one, 10, axis=0), track=None)),
        "one time": timeline(face(np.ones(9), np.repeat(one, 9, axis=0))),
        "no scores": timeline(face(even(10, 1), np.full((10, 7), np.nan, np.float32))),
    }


@pytest.mark.parametrize("name", list(nothing()))
def test_timelines_without_an_episode_give_an_empty_table_of_the_same_types(name) -> None:
    some = find_episodes(timeline(face(even(10, 8), acted(even(10, 8)))))
    found = find_episodes(nothing()[name])
    assert len(found) == 0
    assert list(found.columns) == list(COLUMNS)
    assert (found.dtypes.astype(str) == some.dtypes.astype(str)).all()


def test_a_row_without_scores_is_not_there() -> None:
    times = even(10, 4)
    table = scores(happy=np.full(40, 0.9))
    table[20] = np.nan
    found = find_episodes(timeline(face(times, table)))
    assert len(found) == 1 and found["mean"].iloc[0] == pytest.approx(0.9)


def test_repeated_times_and_rows_change_nothing() -> None:
    times = even(10, 8)
    twice = np.repeat(times, 2)
    once = find_episodes(timeline(face(times, acted(times))))
    for rows in (
        timeline(face(twice, acted(twice))),  # each time two frames
        timeline(face(times, acted(times)), face(times, acted(times))),  # each row twice
    ):
        found = find_episodes(rows)
        assert found["onset_s"].tolist() == pytest.approx(once["onset_s"].tolist())
        assert found["offset_s"].tolist() == pytest.approx(once["offset_s"].tolist())


def test_photos_are_refused() -> None:
    with pytest.raises(UsageError, match="Photos have no time"):
        find_episodes(photos({"a.jpg": scores(happy=0.9)}))


def test_the_timeline_is_left_as_it_was() -> None:
    rows = timeline(face(even(10, 8), acted(even(10, 8))))
    before = rows.copy(deep=True)
    find_episodes(rows)
    pd.testing.assert_frame_equal(rows, before)


@st.composite
def odd_timelines(draw) -> pd.DataFrame:
    """Two tracks that come and go, in frames of any length, some unreadable."""
    count = draw(st.integers(1, 40))
    steps = draw(st.lists(st.sampled_from([0.0, 0.01, 0.04, 0.2, 2.0]), min_size=count,
                          max_size=count))  # fmt: skip
    times = np.cumsum(steps)
    frames = np.arange(count)
    state = st.lists(st.sampled_from("12-ux"), min_size=count, max_size=count)
    states = np.array(draw(state))
    happy = np.array(draw(st.lists(st.sampled_from([0.1, 0.45, 0.7, 0.95]), min_size=count,
                                   max_size=count)))  # fmt: skip
    parts = [
        face(times[at], scores(happy=happy[at]), track=track, frames=frames[at])
        for track, at in ((1, np.isin(states, ["1", "x"])), (2, np.isin(states, ["2", "x"])))
        if at.any()
    ]
    for word, status in (("-", "no_face"), ("u", "unreadable")):
        parts.append(without(times[states == word], status).assign(frame=frames[states == word]))
    return timeline(*parts)


@settings(deadline=None, max_examples=40)
@given(
    rows=odd_timelines(),
    options=st.builds(
        EpisodeOptions,
        smoothing_s=st.sampled_from([0, 0.1, 1]),
        gap_s=st.sampled_from([0, 0.1, 1]),
        least_s=st.sampled_from([0, 0.1]),
    ),
)
def test_whatever_comes_episodes_are_whole_and_never_overlap(rows, options) -> None:
    found = find_episodes(rows, options)
    assert (found["onset_s"] <= found["apex_s"]).all()
    assert (found["apex_s"] <= found["offset_s"]).all()
    assert (found["duration_s"] >= options.least_s - 1e-6).all()
    assert (found["peak"] >= options.high - 1e-6).all()
    assert (found["mean"] <= found["peak"] + 1e-9).all()
    assert (found["mean"] >= options.low - 1e-5).all()
    for _, episodes in found.groupby(["source", "track"], observed=True):
        before = episodes["offset_s"].shift().fillna(-1)
        assert (episodes["onset_s"] >= before - 1e-9).all()


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"smoothing_s": -1}, "--smoothing is at least 0"),
        ({"gap_s": float("nan")}, "--gap is at least 0"),
        ({"least_s": float("inf")}, "--min-duration is at least 0"),
        ({"smoothing_s": "wide"}, "--smoothing-s cannot be 'wide'"),
        ({"low": 0.7}, "0 < low ≤ high ≤ 1"),
        ({"high": 1.1}, "0 < low ≤ high ≤ 1"),
        ({"emotion": ("joy",)}, "not “joy”"),
        ({"emotion": "joy"}, "not “joy”"),
    ],
)
def test_options_that_make_no_sense(values, word) -> None:
    with pytest.raises(UsageError, match=word):
        EpisodeOptions(**values)


def test_it_is_public() -> None:
    assert emoscan.find_episodes is find_episodes


def test_an_episode_at_the_border_of_its_stretch_is_cut() -> None:
    """Happy from the first frame to 1 s, from 2 s until the face is away, and up to the end."""
    times = even(10, 6)
    happy = (times < 1) | ((times >= 2) & (times < 3)) | (times >= 5)
    table = np.where(happy[:, None], scores(happy=0.9), scores(neutral=0.9))
    there = (times < 3) | (times >= 4)
    rows = face(times[there], table[there].astype(np.float32), frames=np.flatnonzero(there))
    away = without(times[~there]).assign(frame=np.flatnonzero(~there))
    found = find_episodes(timeline(rows, away), RAW)
    assert list(zip(found["emotion"], found["onset_cut"], found["offset_cut"], strict=True)) == [
        ("happy", True, False), ("neutral", False, False), ("happy", False, True),
        ("neutral", True, False), ("happy", False, True),
    ]  # fmt: skip
    assert found["onset_cut"].dtype == found["offset_cut"].dtype == bool


@pytest.mark.parametrize(
    ("rate", "options", "is_told"),
    [
        (25, {}, False),
        (5, {}, False),
        (4, {}, True),  # half of 0.5 s
        (4, {"smoothing_s": 0}, False),
        (2, {"smoothing_s": 0}, True),
        (2, {"smoothing_s": 0, "least_s": 0}, False),
    ],
)
def test_frames_too_far_apart_are_told_of(rate, options, is_told) -> None:
    times = even(rate, 4)
    notes = sampling_notes(timeline(face(times, swelling(times))), EpisodeOptions(**options))
    assert [f"every {1 / rate:.2f} s" in note for note in notes] == [True] * is_told


def test_nothing_is_told_of_no_frames() -> None:
    assert sampling_notes(timeline(face(np.empty(0), scores(happy=np.empty(0)))), RAW) == []
