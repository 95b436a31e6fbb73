from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import emoscan
from emoscan import SummaryOptions, summarise
from emoscan.emotions import EMOTIONS
from emoscan.errors import UsageError
from emoscan.timeline.cells import MOST_ROWS
from emoscan.timeline.options import Baseline, parse_baseline, parse_window_s
from emoscan.timeline.summary import summary_columns
from tests.timeline.made import even, face, photos, scores, timeline, without

FIGURES = [f"{emotion}_{figure}" for emotion in EMOTIONS
           for figure in ("share", "mean", "median", "p90", "max")]  # fmt: skip


def happy_at(values: list[float]) -> np.ndarray:
    return scores(happy=np.array(values))


def test_figures_are_weighted_by_how_long_frames_were_to_be_seen() -> None:
    """1 s of happy, 9 s of sad: ten frames would say nine to one."""
    times = np.array([*even(10, 1), 1.0, 4.0, 7.0])
    table = np.concatenate([np.repeat(scores(happy=0.9), 10, axis=0),
                            np.repeat(scores(sad=0.7), 3, axis=0)])  # fmt: skip
    # Of ten steps of 0.1 s and two of 3 s the last lasts as long as the median: 0.1 s.
    row = summarise(timeline(face(times, table))).iloc[0]
    assert row["face_s"] == row["looked_s"] == pytest.approx(7.1)
    assert row["happy_share"] == pytest.approx(1 / 7.1)
    assert row["sad_share"] == pytest.approx(6.1 / 7.1)
    assert row["happy_mean"] == pytest.approx((0.9 + 6.1 * 0.05) / 7.1)
    assert row["happy_median"] == pytest.approx(0.05)
    assert row["happy_p90"] == pytest.approx(0.9)  # the highest seventh of the time
    assert row["happy_max"] == pytest.approx(0.9)
    assert (row["start_s"], row["end_s"]) == (0.0, pytest.approx(7.1))


def test_shares_sum_to_one_and_the_valence_index_is_its_formula() -> None:
    table = np.array([[0.3, 0, 0.1, 0.5, 0, 0.1, 0], [0, 0.2, 0, 0.1, 0, 0.6, 0.1]], np.float32)
    row = summarise(timeline(face(even(1, 2), table))).iloc[0]
    assert row[[f"{name}_share" for name in EMOTIONS]].sum() == pytest.approx(1.0)
    assert row["valence_index"] == pytest.approx(((0.5 - 0.3) + (0.1 - 0.6)) / 2)


def test_coverage_counts_readable_frames() -> None:
    """Of ten frames two are unreadable, and four of the others have no face."""
    times = even(10, 1)
    there, gone, broken = np.r_[0:4], np.r_[4:8], np.r_[8:10]
    rows = timeline(
        face(times[there], happy_at([0.9] * 4), frames=there),
        without(times[gone]).assign(frame=gone),
        without(times[broken], "unreadable").assign(frame=broken),
        without(np.array([np.nan]), "unreadable").assign(frame=10),  # its time is not known
    )
    row = summarise(rows).iloc[0]
    assert (row["frames"], row["unreadable"], row["frames_with_face"]) == (8, 3, 4)
    assert row["coverage"] == 0.5
    assert (row["looked_s"], row["face_s"]) == (pytest.approx(0.8), pytest.approx(0.4))


def test_groups() -> None:
    times, calm, sad = even(10, 1), happy_at([0.8] * 10), scores(sad=np.full(10, 0.7))
    rows = timeline(
        face(times, calm, track=2, label="Anna"),
        face(times, sad, track=10),
        face(times, calm, track=None),
        face(times, sad, track=2, label="Anna", source="b.mp4"),
        face(times, calm, track=7, label="Anna", source="b.mp4"),
        without(times, source="c.mp4").assign(frame=range(10)),
    )

    def keys(by: str) -> list[list[object]]:
        table = summarise(rows, SummaryOptions(by=by))
        table["face_s"] = table["face_s"].round(6)
        found = table[["source", "track", "label", "face_s"]].astype(object)
        assert (table["frames"] == (30 if by == "none" else 10)).all()
        return found.where(found.notna(), None).values.tolist()

    assert keys("track") == [
        ["a.mp4", 2, "Anna", 1.0],
        ["a.mp4", 10, None, 1.0],
        ["a.mp4", None, None, 1.0],
        ["b.mp4", 2, "Anna", 1.0],
        ["b.mp4", 7, "Anna", 1.0],
        ["c.mp4", None, None, 0.0],
    ]
    assert keys("label") == [
        ["a.mp4", None, "Anna", 1.0],
        ["a.mp4", None, None, 2.0],
        ["b.mp4", None, "Anna", 2.0],
        ["c.mp4", None, None, 0.0],
    ]
    assert [[source, face_s] for source, _, _, face_s in keys("source")] == [
        ["a.mp4", 3.0],
        ["b.mp4", 2.0],
        ["c.mp4", 0.0],
    ]
    assert keys("none") == [[None, None, None, 5.0]]
    pooled = summarise(rows, SummaryOptions(by="none")).iloc[0]
    assert pooled["happy_share"] == pytest.approx(3 / 5)
    assert (pooled["frames_with_face"], pooled["frames"]) == (20, 30)
    assert np.isnan(pooled["start_s"])


def test_labels_that_are_not_there_are_missed() -> None:
    rows = timeline(face(even(10, 1), happy_at([0.8] * 10)))
    assert "No track has a label" in summarise(rows, SummaryOptions(by="label")).attrs["notes"][0]
    assert summarise(rows).attrs["notes"] == []


def test_windows_align_to_the_beginning_of_the_video_and_empty_ones_stay_empty() -> None:
    """Frames from 0.5 s on; no face from 1 to 2 s."""
    times = even(10, 3)[5:]
    there = (times < 1) | (times >= 2)
    frames = np.arange(5, 30)
    rows = timeline(
        face(times[there], happy_at([0.9] * 15), frames=frames[there]),
        without(times[~there]).assign(frame=frames[~there]),
    )
    table = summarise(rows, SummaryOptions(window_s=1))
    assert table["start_s"].tolist() == [0.0, 1.0, 2.0]
    assert table["end_s"].tolist() == [1.0, 2.0, 3.0]
    assert table["frames"].tolist() == [5, 10, 10]
    assert table["coverage"].tolist() == [1.0, 0.0, 1.0]
    assert table["face_s"].tolist() == pytest.approx([0.5, 0.0, 1.0])
    assert table.iloc[1][["valence_index", *FIGURES]].isna().all()
    assert table.iloc[[0, 2]][["valence_index", *FIGURES]].notna().all(axis=None)


def test_a_frame_that_spans_a_border_is_split_there() -> None:
    """Frames of 0.4 s: 0-0.4, 0.4-0.8, 0.8-1.2, 1.2-1.6."""
    rows = timeline(face(np.arange(4) * 0.4, happy_at([0.1, 0.2, 0.6, 0.9])))
    table = summarise(rows, SummaryOptions(window_s="500ms"))
    assert table["frames"].tolist() == [2, 2, 2, 1]
    assert table["face_s"].tolist() == pytest.approx([0.5, 0.5, 0.5, 0.1])
    happy = [(0.4 * 0.1 + 0.1 * 0.2) / 0.5, (0.3 * 0.2 + 0.2 * 0.6) / 0.5,
             (0.2 * 0.6 + 0.3 * 0.9) / 0.5, 0.9]  # fmt: skip
    assert table["happy_mean"].tolist() == pytest.approx(happy)


def test_windows_shorter_than_a_frame_share_it() -> None:
    sampled = timeline(face(even(1, 3), happy_at([0.2, 0.5, 0.8]), frames=[0, 30, 60]))
    table = summarise(sampled, SummaryOptions(window_s=0.25))
    assert len(table) == 12
    assert table["happy_mean"].tolist() == pytest.approx(np.repeat([0.2, 0.5, 0.8], 4))
    assert table["coverage"].eq(1).all()
    assert table["face_s"].sum() == pytest.approx(3.0)


def test_rounding_puts_no_frame_into_the_window_before() -> None:
    times = even(30, 10)
    table = summarise(timeline(face(times, happy_at([0.5] * 300))), SummaryOptions(window_s=0.1))
    assert table["frames"].tolist() == [3] * 100
    assert table["start_s"].tolist() == [number / 10 for number in range(100)]


def test_every_track_has_every_window_of_its_source() -> None:
    times = even(10, 4)
    rows = timeline(
        face(times, happy_at([0.5] * 40)),
        face(times[15:20], happy_at([0.5] * 5), track=2, frames=range(15, 20)),
    )
    table = summarise(rows, SummaryOptions(window_s=1))
    assert table["track"].tolist() == [1] * 4 + [2] * 4
    assert table["coverage"].tolist() == [1, 1, 1, 1, 0, 0.5, 0, 0]


def test_too_many_windows_are_refused_before_they_are_made() -> None:
    rows = timeline(*(face(even(0.01, 9000), happy_at([0.5] * 90), track=n) for n in range(8)))
    with pytest.raises(UsageError, match=r"would have 720,000 rows; take a longer --window"):
        summarise(rows, SummaryOptions(window_s=0.1))
    with pytest.raises(UsageError, match="9,000,000 rows"):
        summarise(rows, SummaryOptions(window_s=0.001))
    assert MOST_ROWS == 500_000


def test_the_baseline_is_a_stretch_of_the_same_face() -> None:
    """Anna is happy 0.2 until 1 s and then 0.6; Ben comes after the stretch."""
    times = even(10, 3)
    table = scores(happy=np.where(times < 1, 0.2, 0.6))
    rows = timeline(
        face(times, table),
        face(times[20:], happy_at([0.4] * 10), track=2, frames=range(20, 30)),
    )
    found = summarise(rows, SummaryOptions(window_s=1, baseline="0-0:01"))
    assert found["happy_baseline"].tolist() == pytest.approx([0.2] * 3 + [np.nan] * 3, nan_ok=True)
    assert found["happy_change"].iloc[:3].tolist() == pytest.approx([0, 0.4, 0.4])
    assert found["happy_change"].iloc[3:].isna().all()
    assert found["happy_mean"].iloc[1] == pytest.approx(0.6)
    index = found["valence_index"] - found["valence_index_baseline"]
    assert found["valence_index_change"].iloc[:3].tolist() == pytest.approx(index[:3].tolist())
    assert found.attrs["notes"] == [
        "1 face has no baseline, since they are not in it: their changes are empty."
    ]
    # A stretch that cuts frames counts their parts: 0.2 for 0.95 s … of 0.05 + 0.05 s.
    assert found["baseline_s"].tolist() == pytest.approx([1.0] * 3 + [0.0] * 3)
    cut = summarise(rows, SummaryOptions(baseline=(0.95, 1.05)))
    assert cut["happy_baseline"].iloc[0] == pytest.approx(0.4)


@pytest.fixture
def save(tmp_path, monkeypatch):
    """Have `read_timeline` give these rows for a path."""
    saved: dict[object, pd.DataFrame] = {}
    monkeypatch.setattr("emoscan.timeline.baseline.read_timeline", saved.__getitem__)

    def put(name: str, rows: pd.DataFrame):
        saved[tmp_path / name] = rows
        return tmp_path / name

    return put


def test_the_baseline_may_be_another_timeline_or_photos(save) -> None:
    times = even(10, 2)
    rows = timeline(face(times, happy_at([0.5] * 20), label="Anna"),
                    face(times, happy_at([0.5] * 20), track=2))  # fmt: skip
    uneven_times = np.array([0.0, 3.0, 4.0])
    neutral = save("n.parquet", timeline(face(uneven_times, happy_at([0.1, 0.2, 0.2]))))
    whole = (3 * 0.1 + 1 * 0.2 + 2 * 0.2) / 6
    found = summarise(rows, SummaryOptions(baseline=neutral))
    assert found["baseline_s"].tolist() == pytest.approx([6, 6]) and found.attrs["notes"] == []
    assert found["happy_change"].tolist() == pytest.approx([0.5 - whole] * 2)
    portraits = save("p.parquet", photos({"a.jpg": happy_at([0.1]), "b.jpg": happy_at([0.3])}))
    found = summarise(rows, SummaryOptions(baseline=portraits))
    assert found["happy_baseline"].tolist() == pytest.approx([0.2] * 2)
    assert found["baseline_s"].isna().all()
    assert found.attrs["notes"] == ["The baseline is the mean over 2 faces in photos."]
    labelled = save("l.parquet", timeline(face(times, happy_at([0.3] * 20), label="Anna"),
                                          face(times, happy_at([0.1] * 20), track=2)))  # fmt: skip
    found = summarise(rows, SummaryOptions(by="label", baseline=labelled))
    assert found["label"].tolist()[0] == "Anna"
    assert found["happy_baseline"].tolist() == pytest.approx([0.3, 0.2])
    assert found["baseline_s"].tolist() == pytest.approx([2, 4])
    assert found.attrs["notes"] == ["The baseline is the mean over 2 tracks, whoever they are."]
    own = summarise(rows[rows["track"] == 1], SummaryOptions(by="label", baseline=labelled))
    assert own["baseline_s"].tolist() == pytest.approx([2]) and own.attrs["notes"] == []


def test_a_baseline_without_a_face_is_refused(save) -> None:
    rows = timeline(face(even(10, 2), happy_at([0.5] * 20)))
    with pytest.raises(UsageError, match="there is no face in the stretch 5-6 s"):
        summarise(rows, SummaryOptions(baseline="5-6"))
    nobody = save("n.parquet", timeline(without(even(10, 1)).assign(frame=range(10))))
    with pytest.raises(UsageError, match=r"there is no face in .*n.parquet"):
        summarise(rows, SummaryOptions(baseline=nobody))


def test_photos_count_alike() -> None:
    rows = photos(
        {"a.jpg": happy_at([0.9, 0.6]), "b.jpg": happy_at([0.3]), "c.jpg": happy_at([0.5])[:0]}
    )
    broken = without(np.array([np.nan]), "unreadable", source="d.jpg").assign(frame=0)
    rows = timeline(rows.astype(object), broken)
    each = summarise(rows)
    assert each["source"].tolist() == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert each["happy_mean"].iloc[:2].tolist() == pytest.approx([0.75, 0.3])
    assert each["frames"].tolist() == [1, 1, 1, 0]
    assert each["faces"].tolist() == [2, 1, 0, 0]
    assert each["unreadable"].tolist() == [0, 0, 0, 1]
    assert each["coverage"].tolist() == pytest.approx([1, 1, 0, np.nan], nan_ok=True)
    assert each[["start_s", "end_s", "looked_s", "face_s"]].isna().all(axis=None)
    everyone = summarise(rows, SummaryOptions(by="none")).iloc[0]
    assert everyone["happy_mean"] == pytest.approx((0.9 + 0.6 + 0.3) / 3)
    assert everyone["happy_median"] == pytest.approx(0.6)
    assert everyone["coverage"] == pytest.approx(2 / 3)
    assert everyone["faces"] == 3


def test_faces_are_counted_in_every_window_that_they_lie_in() -> None:
    times = np.array([0.0, 0.5, 1.25, 1.75])
    rows = timeline(face(times, happy_at([0.9] * 4)), face(times, happy_at([0.2] * 4), track=2))
    found = summarise(rows, SummaryOptions(by="source", window_s=1))
    assert found["frames_with_face"].tolist() == [2, 3, 1]
    assert found["faces"].tolist() == [4, 6, 2]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"by": "track"}, "Photos have no tracks .* --by source or none"),
        ({"by": "label"}, "Photos have no tracks"),
        ({"window_s": 1}, "Photos have no time; --window needs"),
        ({"baseline": "0-5"}, "Photos have no time; --baseline START-END needs"),
        ({"speakers": "talk.srt"}, "Photos have no time; --speakers needs"),
    ],
)
def test_photos_have_no_time(values, sentence) -> None:
    with pytest.raises(UsageError, match=sentence):
        summarise(photos({"a.jpg": happy_at([0.9])}), SummaryOptions(**values))


def test_photos_and_videos_are_not_mixed() -> None:
    rows = timeline(face(even(1, 2), happy_at([0.5] * 2)), photos({"a.jpg": happy_at([0.5])}))
    with pytest.raises(UsageError, match="Photos and videos"):
        summarise(rows)


def odd_ones() -> dict[str, pd.DataFrame]:
    one = happy_at([0.9])
    return {
        "no rows": timeline(face(even(10, 0), one[:0])),
        "no faces": timeline(without(even(10, 1)).assign(frame=range(10))),
        "nothing readable": timeline(without(np.array([np.nan]), "unreadable").assign(frame=0)),
        "one row": timeline(face(np.zeros(1), one)),
        "one time": timeline(face(np.ones(2), happy_at([0.2, 0.6]))),
        "no scores": timeline(face(even(10, 1), np.full((10, 7), np.nan, np.float32))),
    }


@pytest.mark.parametrize("name", list(odd_ones()))
@pytest.mark.parametrize("window_s", [None, 0.5])
def test_columns_and_types_are_always_the_same(name, window_s) -> None:
    options = SummaryOptions(window_s=window_s)
    usual = summarise(timeline(face(even(10, 1), happy_at([0.5] * 10))), options)
    found = summarise(odd_ones()[name], options)
    assert list(found.columns) == list(usual.columns) == list(summary_columns(options))
    assert found.dtypes.tolist() == usual.dtypes.tolist()


def test_a_frame_without_a_duration_still_has_figures() -> None:
    row = summarise(odd_ones()["one row"]).iloc[0]
    assert (row["frames"], row["face_s"], row["happy_share"]) == (1, 0.0, 1.0)
    assert row["happy_mean"] == row["happy_p90"] == pytest.approx(0.9)
    assert summarise(odd_ones()["one time"])["happy_mean"].iloc[0] == pytest.approx(0.4)


def test_a_video_without_faces_or_readable_frames_has_a_row() -> None:
    row = summarise(odd_ones()["no faces"]).iloc[0]
    assert (row["frames"], row["coverage"], row["face_s"]) == (10, 0.0, 0.0)
    assert row[["valence_index", *FIGURES]].isna().all()
    row = summarise(odd_ones()["nothing readable"]).iloc[0]
    assert (row["frames"], row["unreadable"]) == (0, 1) and np.isnan(row["coverage"])
    assert len(summarise(odd_ones()["no rows"])) == 0


# Who speaks.

TALK = "start,end,speaker\n0,2,Anna\n1,4,Ben\n6,7,Carl\n"


@pytest.fixture
def talk(tmp_path):
    path = tmp_path / "talk.csv"
    path.write_text(TALK)
    return path


def three_faces() -> pd.DataFrame:
    times = even(10, 8)
    return timeline(*(face(times, happy_at([0.5] * 80), track=track) for track in (1, 2, 3)))


def by_state(table: pd.DataFrame, track: int, column: str) -> dict[object, float]:
    rows = table[table["track"] == track]
    keys = [None if pd.isna(key) else key for key in rows[column]]
    return dict(zip(keys, rows["looked_s"].round(6), strict=True))


def test_a_row_for_whoever_speaks(talk) -> None:
    table = summarise(three_faces(), SummaryOptions(speakers=talk))
    assert by_state(table, 1, "speaker") == {
        "Anna": 1.0, "Anna + Ben": 1.0, "Ben": 2.0, "Carl": 1.0, None: 3.0,
    }  # fmt: skip
    assert table["speech"].iloc[:5].tolist() == [None] * 4 + ["silence"]
    assert table.attrs["notes"] == ["Speakers: Anna 2.0 s, Ben 3.0 s, Carl 1.0 s."]


def test_speaking_listening_and_silence_of_each_track(talk) -> None:
    options = SummaryOptions(speakers=talk, speaker_track=("Anna=1", "Ben=2"))
    table = summarise(three_faces(), options)
    assert by_state(table, 1, "speech") == {"speaking": 2.0, "listening": 3.0, "silence": 3.0}
    assert by_state(table, 2, "speech") == {"speaking": 3.0, "listening": 2.0, "silence": 3.0}
    # Track 3 is neither Anna nor Ben, and may be Carl.
    assert by_state(table, 3, "speech") == {"listening": 4.0, "silence": 3.0, None: 1.0}
    assert table["speaker"].isna().all()


def test_turns_cut_frames_and_windows(talk) -> None:
    """Anna's score is 0.2 while she speaks, until 2 s, else 0.6; frames of 0.8 s."""
    times = np.arange(10) * 0.8
    rows = timeline(face(times, scores(happy=np.linspace(0, 0.9, 10))))
    options = SummaryOptions(speakers=talk, speaker_track="Anna=1", window_s=4)
    table = summarise(rows, options)
    assert table[["start_s", "speech"]].values.tolist() == [
        [0.0, "speaking"], [0.0, "listening"], [4.0, "listening"], [4.0, "silence"],
    ]  # fmt: skip
    assert table["face_s"].tolist() == pytest.approx([2.0, 2.0, 1.0, 3.0])
    # From 0.8 to 1.6 s Ben joins her: one frame, though cut in two.
    assert table["frames"].tolist() == [3, 3, 2, 5]
    assert table["happy_mean"].iloc[0] == pytest.approx((0.8 * 0 + 0.8 * 0.1 + 0.4 * 0.2) / 2)


def test_a_person_of_two_tracks_and_one_label(talk) -> None:
    times = even(10, 8)
    rows = timeline(
        face(times[:40], happy_at([0.5] * 40), track=1, label="A.", frames=range(40)),
        face(times[40:], happy_at([0.5] * 40), track=4, label="A.", frames=range(40, 80)),
    )
    options = SummaryOptions(by="label", speakers=talk, speaker_track=("Anna=1", "Carl=4"))
    table = summarise(rows, options)
    assert table["speech"].tolist() == ["speaking", "listening", "silence"]
    assert table["face_s"].tolist() == pytest.approx([3.0, 2.0, 3.0])


def test_while_somebody_unnamed_speaks_nobody_knows_who_listens(tmp_path) -> None:
    path = tmp_path / "talk.srt"
    path.write_text(
        "1\n00:00:00,000 --> 00:00:02,000\nAnna: hi\n\n2\n00:00:03,000 --> 00:00:04,000\nhello\n"
    )
    options = SummaryOptions(speakers=path, speaker_track="Anna=1")
    table = summarise(three_faces(), options)
    assert by_state(table, 1, "speech") == {"speaking": 2.0, "silence": 5.0, None: 1.0}
    assert by_state(table, 2, "speech") == {"listening": 2.0, "silence": 5.0, None: 1.0}


def test_turns_that_follow_each_other_leave_no_silence(tmp_path) -> None:
    path = tmp_path / "talk.rttm"
    path.write_text("SPEAKER t 1 0 0.7 x x A\nSPEAKER t 1 0.7 0.1 x x B\nSPEAKER t 1 0.8 9 x x A\n")
    table = summarise(three_faces(), SummaryOptions(speakers=path))
    assert set(table["speaker"]) == {"A", "B"}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"speaker_track": ("Zoe=1",)}, "has no speaker “Zoe”; it has Anna, Ben, Carl"),
        ({"speaker_track": ("Anna=9",)}, "Anna=9: there is no such track; there are 1, 2, 3"),
    ],
)
def test_speakers_and_tracks_that_are_not_there(talk, values, sentence) -> None:
    with pytest.raises(UsageError, match=sentence):
        summarise(three_faces(), SummaryOptions(speakers=talk, **values))


def test_speakers_are_of_one_video(talk) -> None:
    rows = timeline(
        face(even(1, 2), happy_at([0.5] * 2)), face(even(1, 2), happy_at([0.5] * 2), source="b")
    )
    with pytest.raises(UsageError, match="--speakers is of one video, and these are 2"):
        summarise(rows, SummaryOptions(speakers=talk))


# Against an account of every hundredth of a second.

CS = 100


@st.composite
def conversations(draw):
    """Frames of whole hundredths, two tracks, unreadable frames, and turns that overlap."""
    steps = draw(st.lists(st.sampled_from([1, 3, 4, 7, 30, 120]), min_size=2, max_size=25))
    starts = np.cumsum([draw(st.integers(0, 50)), *steps[:-1]])
    states = draw(st.lists(st.sampled_from("12x-u"), min_size=len(steps), max_size=len(steps)))
    happy = draw(st.lists(st.integers(0, 10), min_size=len(steps), max_size=len(steps)))
    turns = draw(
        st.lists(st.tuples(st.integers(0, 300), st.integers(0, 200), st.sampled_from("AB")),
                 min_size=1, max_size=5)
    )  # fmt: skip
    return starts, np.array(states), np.array(happy) / 10, turns


@settings(deadline=None, max_examples=40)
@given(made=conversations(), window=st.sampled_from([None, 5, 50, 100]), by_track=st.booleans())
def test_it_is_what_every_hundredth_of_a_second_says(
    tmp_path_factory, made, window, by_track
) -> None:
    starts, states, happy, turns = made
    path = tmp_path_factory.getbasetemp() / "turns.csv"
    lines = [f"{start / CS},{(start + lasts) / CS},{name}" for start, lasts, name in turns]
    path.write_text("\n".join(["start,end,speaker", *lines]))
    frames, times = np.arange(len(starts)), starts / CS
    at = {track: np.isin(states, [track, "x"]) for track in "12"}
    parts = [
        face(times[there], scores(happy=happy[there]), track=int(track), frames=frames[there])
        for track, there in at.items() if there.any()
    ]  # fmt: skip
    for word, status in (("-", "no_face"), ("u", "unreadable")):
        there = states == word
        parts.append(without(times[there], status).assign(frame=frames[there]))
    if not (states == "1").any() and not (states == "x").any():
        return
    table = summarise(
        timeline(*parts),
        SummaryOptions(
            speakers=path,
            window_s=window and window / CS,
            by="track" if by_track else "source",
            speaker_track=("A=1",) if by_track and any(name == "A" for *_, name in turns) else (),
        ),
    )
    ends = np.append(starts[1:], starts[-1] + np.median(np.diff(starts)))
    mapped = by_track and any(name == "A" for *_, name in turns)
    # Halves of a hundredth, since the median of whole ones may lie between two.
    ticks = np.arange(2 * starts[0], 2 * ends[-1])
    frame_of = np.searchsorted(2 * starts, ticks, side="right") - 1
    speaking = {
        name: np.any([(2 * start <= ticks) & (ticks < 2 * (start + lasts))
                      for start, lasts, who in turns if who == name] or [ticks < 0], axis=0)
        for name in "AB"
    }  # fmt: skip
    windows = ticks // (2 * window) if window else np.zeros_like(ticks)
    seen = 0
    for group in ([1], [2]) if by_track else ([1, 2],):
        face_of = {track: at[str(track)][frame_of] for track in group}
        if by_track and not at[str(group[0])].any():
            continue
        states_then = np.array(
            [state_of(a, b, mapped=mapped, own=mapped and group == [1])
             for a, b in zip(speaking["A"], speaking["B"], strict=True)]
        )  # fmt: skip
        for number in np.unique(windows):
            for state in np.unique(states_then[windows == number]):
                here = (windows == number) & (states_then == state)
                rows = table[
                    ((table["track"] == group[0]) if by_track else True)
                    & (words(table, mapped) == state)
                    & (np.isclose(table["start_s"], number * window / CS) if window else True)
                ]
                assert len(rows) == 1
                check(rows.iloc[0], here, frame_of, states, happy, face_of)
                seen += 1
    assert seen == len(table)


def state_of(a: bool, b: bool, *, mapped: bool, own: bool) -> str:
    if not mapped:
        return {(0, 0): "-", (1, 0): "A", (0, 1): "B", (1, 1): "A + B"}[a, b]
    if not (a or b):
        return "silence"
    if own:
        return "speaking" if a else "listening"
    return "-" if b else "listening"  # the other track may be B


def words(table: pd.DataFrame, mapped: bool) -> pd.Series:
    return table["speech" if mapped else "speaker"].fillna("-")


def check(row, here, frame_of, states, happy, face_of) -> None:
    looked = np.unique(frame_of[here])
    readable = looked[states[looked] != "u"]
    assert row["frames"] == len(readable)
    assert row["unreadable"] == len(looked) - len(readable)
    assert row["looked_s"] == pytest.approx((states[frame_of[here]] != "u").sum() / 2 / CS)
    there = np.concatenate([frame_of[here & then] for then in face_of.values()])
    assert row["frames_with_face"] == len(np.unique(there))
    assert row["face_s"] == pytest.approx(len(there) / 2 / CS)
    if not len(there):
        assert row[["valence_index", *FIGURES]].isna().all()
        return
    values = happy[there].astype(np.float32).astype(float)
    assert row["happy_mean"] == pytest.approx(values.mean())
    assert row["happy_median"] == pytest.approx(np.median(values))
    p90 = np.quantile(values, 0.9, method="averaged_inverted_cdf")
    assert row["happy_p90"] == pytest.approx(p90)
    assert row["happy_max"] == pytest.approx(values.max())
    likeliest = scores(happy=values).argmax(axis=1) == EMOTIONS.index("happy")
    assert row["happy_share"] == pytest.approx(likeliest.mean())
    assert row["valence_index"] == pytest.approx((values - (1 - values) / 6).mean(), abs=1e-6)


# Options.


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("500ms", 0.5), ("2min", 120), ("1.5 s", 1.5), ("1h", 3600), ("3", 3),
     ("0:30", 30), ("00:01:00", 60), (2, 2)],
)  # fmt: skip
def test_windows_as_people_write_them(text, seconds) -> None:
    assert parse_window_s(text) == pytest.approx(seconds)
    assert SummaryOptions(window_s=text).window_s == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("given", "baseline"),
    [("0-5", Baseline(0, 5)), ("0:10 – 1:30", Baseline(10, 90)), ((1, 2), Baseline(1, 2)),
     ("n-1.parquet", Baseline(path=Path("n-1.parquet")))],
)  # fmt: skip
def test_baselines_as_people_write_them(given, baseline) -> None:
    assert parse_baseline(given) == baseline == SummaryOptions(baseline=given).baseline
    assert parse_baseline(str(baseline)) == baseline


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"by": "person"}, "--by cannot be 'person'"),
        ({"window_s": 0}, "--window is at least 0.001 s, not 0"),
        ({"window_s": "1 week"}, "--window takes a time such as 1s"),
        ({"window_s": float("nan")}, "--window is at least"),
        ({"baseline": "5-0"}, "--baseline 5-0 ends before it begins"),
        ({"baseline": ""}, "--baseline is START-END, or the file"),
        ({"baseline": "0:75-2:00"}, "end at 59"),
        ({"speaker_track": ("Anna=1",)}, "--speaker-track needs --speakers"),
        ({"speaker_track": ("Anna",), "speakers": "a.srt"}, "such as Anna=1, not “Anna”"),
        ({"speaker_track": ("=1",), "speakers": "a.srt"}, "such as Anna=1, not “=1”"),
        (
            {"speaker_track": ("A=1",), "speakers": "a.srt", "by": "source"},
            "needs --by track or label",
        ),
    ],
)
def test_options_that_make_no_sense(values, sentence) -> None:
    with pytest.raises(UsageError, match=sentence):
        SummaryOptions(**values)


def test_it_is_public_and_leaves_the_timeline_as_it_was() -> None:
    assert emoscan.summarise is summarise
    rows = timeline(face(even(10, 8), happy_at([0.5] * 80)))
    before = rows.copy(deep=True)
    summarise(rows, SummaryOptions(window_s=1))
    pd.testing.assert_frame_equal(rows, before)
