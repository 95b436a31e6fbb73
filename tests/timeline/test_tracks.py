"""Listing and editing tracks, on timelines made row by row."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emoscan.emotions import EMOTIONS
from emoscan.errors import UsageError
from emoscan.media.picture import OnDemand
from emoscan.options import TableFormat
from emoscan.timeline.read import read_timeline
from emoscan.timeline.records import FaceRecord, frame_records, unreadable_record
from emoscan.timeline.tracks import COLUMNS, edit_tracks, list_tracks
from emoscan.timeline.writers import open_table
from emoscan.types import Emotions, Faces, Frame, Unreadable
from tests.timeline.samples import no_pixels

RATE = 10.0


def frame_rows(index: int, tracks: list[int], source: str = "a.mp4") -> list[FaceRecord]:
    """One frame whose faces are of these tracks, largest first; track 3, say, is `EMOTIONS[3]`."""
    count = len(tracks)
    sides = 100.0 - 10 * np.arange(count, dtype=np.float32)
    corners = np.array([(200 * track, index) for track in tracks], np.float32).reshape(count, 2)
    odds = np.full((count, len(EMOTIONS)), 0.05, np.float32)
    odds[np.arange(count), [track % 7 for track in tracks]] = 0.7
    return frame_records(
        Frame(source, index, index / RATE, 640, 360, OnDemand(no_pixels)),
        Faces(
            boxes=np.hstack([corners, corners + sides[:, None]]).astype(np.float32),
            scores=np.linspace(0.99, 0.8, count, dtype=np.float32),
            landmarks=np.arange(count * 10, dtype=np.float32).reshape(count, 5, 2) + index,
            tracks=np.array(tracks, np.int32),
            followed=np.zeros(count, np.bool_),
        ),
        Emotions(odds),
    )


def as_timeline(rows: list[FaceRecord], folder) -> pd.DataFrame:
    """Through a file, as everybody gets one."""
    path = folder / "rows.parquet"
    table = open_table(path, TableFormat.PARQUET, overwrite=True)
    table.write(rows)
    table.commit({})
    timeline = read_timeline(path)
    timeline.attrs = {}
    return timeline


@pytest.fixture
def timeline(tmp_path):
    """1 is there throughout, 2 in the middle, 3 and 4 at the beginning and the end."""
    rows = []
    for index in range(10):
        tracks = [1] + [2] * (4 <= index < 6) + [3] * (index < 4) + [4] * (index >= 8)
        rows += frame_rows(index, tracks)
    rows += frame_rows(10, []) + frame_rows(11, [5])
    rows.append(unreadable_record(Unreadable("a.mp4", 12, 1.2)))
    return as_timeline(rows, tmp_path)


def test_tracks_are_listed(timeline):
    tracks = list_tracks(timeline)
    assert list(tracks.columns) == list(COLUMNS)
    assert tracks["track"].tolist() == [1, 2, 3, 4, 5]
    assert tracks["rows"].tolist() == [10, 2, 4, 2, 1]
    assert tracks["seconds"].tolist() == pytest.approx([1.0, 0.2, 0.4, 0.2, 0.1])
    assert tracks["first_s"].tolist() == pytest.approx([0, 0.4, 0, 0.8, 1.1])
    assert tracks["last_s"].tolist() == pytest.approx([0.9, 0.5, 0.3, 0.9, 1.1])
    assert tracks["height_px"].tolist() == pytest.approx([100, 90, 90, 90, 100])
    assert tracks["score"].tolist() == pytest.approx([0.99, 0.8, 0.8, 0.8, 0.99])
    assert tracks["emotion"].tolist() == [EMOTIONS[track] for track in (1, 2, 3, 4, 5)]
    assert tracks["confidence"].tolist() == pytest.approx([0.7] * 5)
    assert tracks["label"].tolist() == [None] * 5


def test_the_class_of_a_track_is_that_of_most_of_its_time(tmp_path):
    """Three quick frames of one class, and one of another that is to be seen for long."""
    rows = [row for index in range(3) for row in frame_rows(index, [1])]
    rows += frame_rows(3, [2]) + frame_rows(30, [3])
    timeline = as_timeline(rows, tmp_path)
    timeline["track"] = timeline["track"].where(timeline["track"] == 3, 1).astype("Int32")
    assert list_tracks(timeline)["emotion"].tolist()[0] == EMOTIONS[2]


def test_nothing_to_list(tmp_path):
    assert len(list_tracks(as_timeline(frame_rows(0, []), tmp_path))) == 0
    assert list(list_tracks(as_timeline([], tmp_path)).columns) == list(COLUMNS)


def test_tracks_of_several_videos_are_listed_by_video_and_not_edited(tmp_path):
    rows = frame_rows(0, [1], "b.mp4") + frame_rows(0, [1, 2], "a.mp4")
    timeline = as_timeline(rows, tmp_path)
    tracks = list_tracks(timeline)
    listed = set(zip(tracks["source"], tracks["track"], strict=True))
    assert listed == {("a.mp4", 1), ("a.mp4", 2), ("b.mp4", 1)}
    with pytest.raises(UsageError, match="several videos"):
        edit_tracks(timeline, drop=[1])


def test_merged_tracks_are_one_with_the_lowest_number(timeline):
    edited = edit_tracks(timeline, merge=[(4, 3, 2)])
    assert sorted(set(edited["track"].dropna())) == [1, 2, 5]
    assert list_tracks(edited)["rows"].tolist() == [10, 8, 1]
    pd.testing.assert_frame_equal(
        edited.drop(columns="track"), timeline.drop(columns="track"), check_exact=True
    )


def test_groups_that_share_a_track_are_one(timeline):
    one = edit_tracks(timeline, merge=[(2, 3), (3, 4)])
    pd.testing.assert_frame_equal(one, edit_tracks(timeline, merge=[(2, 3, 4)]))


def test_nobody_is_in_two_places(timeline):
    with pytest.raises(UsageError, match=r"Tracks 1 and 3 are both in frame 0, at 0\.000 s"):
        edit_tracks(timeline, merge=[(1, 3)])
    with pytest.raises(UsageError, match=r"Tracks 1 and 2 are both in frame 4, at 0\.400 s"):
        edit_tracks(timeline, merge=[(5, 2), (5, 1)])


def test_labels(timeline):
    edited = edit_tracks(timeline, merge=[(3, 4)], label={1: "Host", 4: " Jörg, “G” = guest "})
    labels = list_tracks(edited).set_index("track")["label"]
    assert labels.to_dict() == {1: "Host", 2: None, 3: "Jörg, “G” = guest", 5: None}
    assert edited.loc[edited["status"] != "face", "label"].isna().all()
    again = edit_tracks(edited, label={1: ""})
    assert list_tracks(again)["label"].tolist() == [None, None, "Jörg, “G” = guest", None]
    assert "Host" not in again["label"].cat.categories


def test_a_label_is_passed_on_to_what_is_merged(timeline):
    named = edit_tracks(timeline, label={4: "Guest"})
    assert list_tracks(edit_tracks(named, merge=[(3, 4)]))["label"].tolist()[2] == "Guest"
    two = edit_tracks(named, label={3: "Host"})
    with pytest.raises(UsageError, match="are called “Guest” and “Host”"):
        edit_tracks(two, merge=[(3, 4)])
    one = edit_tracks(two, merge=[(3, 4)], label={4: "Anna"})
    assert list_tracks(one)["label"].tolist()[2] == "Anna"


def test_dropped_faces_leave_frames_that_were_looked_at(timeline):
    edited = edit_tracks(timeline, drop=[1])
    assert edited["frame"].drop_duplicates().tolist() == list(range(13))
    by_frame = edited.set_index("frame")
    assert by_frame["status"].tolist() == (
        ["face"] * 6 + ["no_face"] * 2 + ["face"] * 2 + ["no_face", "face", "unreadable"]
    )
    assert (by_frame["face"].dropna() == 0).all()
    empty = edited[edited["status"] == "no_face"]
    kept = ["source", "frame", "time_s", "status"]
    assert empty[kept].notna().all(axis=None) and empty.drop(columns=kept).isna().all(axis=None)
    assert edited.loc[edited["frame"] == 6, "time_s"].tolist() == [0.6]


def test_faces_are_numbered_anew_largest_first(tmp_path):
    timeline = as_timeline(frame_rows(0, [4, 9, 2, 7]), tmp_path)
    edited = edit_tracks(timeline, drop=[9, 7])
    assert edited[["track", "face"]].to_numpy().tolist() == [[4, 0], [2, 1]]
    assert edited["width"].is_monotonic_decreasing


def test_short_tracks_are_dropped_unless_they_are_named(timeline):
    edited = edit_tracks(timeline, drop_shorter_s=0.3, label={5: "Late"})
    assert list_tracks(edited)["track"].tolist() == [1, 3, 5]
    assert edited.attrs["edits"][-1]["drop"] == [2, 4]


def test_several_edits_are_by_the_original_numbers(timeline):
    edited = edit_tracks(timeline, merge=[(3, 4)], label={4: "Guest", 2: "Other"}, drop=[1])
    assert list_tracks(edited)[["track", "label"]].to_numpy().tolist() == [
        [2, "Other"],
        [3, "Guest"],
        [5, None],
    ]


def test_edits_are_recorded_after_those_before(timeline):
    timeline.attrs = {"options": {"fps": 5}, "edits": [{"drop": [6]}]}
    edited = edit_tracks(timeline, merge=[(4, 3)], label={1: "Host"}, drop=[5])
    assert edited.attrs == {
        "options": {"fps": 5},
        "edits": [{"drop": [6]}, {"merge": [[3, 4]], "label": {"1": "Host"}, "drop": [5]}],
    }
    assert timeline.attrs["edits"] == [{"drop": [6]}]
    assert timeline["label"].isna().all()


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ({"drop": [9]}, "no track 9 in this timeline; it has 1 to 5"),
        ({"merge": [(1, 8)]}, "no track 8"),
        ({"label": {0: "x"}}, "no track 0"),
        ({"merge": [(3,)]}, "at least two tracks, such as 1,4, not 3"),
        ({"merge": [(3, 3)]}, "at least two tracks"),
        ({"merge": [()]}, "not none"),
        ({"drop": [3], "merge": [(3, 4)]}, "Track 3 cannot be dropped and merged"),
        ({"drop": [3], "label": {3: "x"}}, "Track 3 cannot be dropped and labelled"),
        ({"merge": [(3, 4)], "label": {3: "A", 4: "B"}}, "cannot be “A” and “B” both"),
    ],
)
def test_what_makes_no_sense_is_refused(timeline, edits, words):
    with pytest.raises(UsageError, match=words):
        edit_tracks(timeline, **edits)


def test_known_tracks_are_told_as_ranges(tmp_path):
    rows = [row for index in range(30) for row in frame_rows(index, [1 + 2 * index])]
    with pytest.raises(UsageError, match=r"it has 1, 3, 5, .* and others up to 59\."):
        edit_tracks(as_timeline(rows, tmp_path), drop=[2])
    with pytest.raises(UsageError, match="it has none at all"):
        edit_tracks(as_timeline(frame_rows(0, []), tmp_path), drop=[2])


def test_photos_have_no_tracks(tmp_path):
    timeline = as_timeline(frame_rows(0, [1]), tmp_path).assign(time_s=np.nan)
    for ask in (list_tracks, lambda photos: edit_tracks(photos, drop=[1])):
        with pytest.raises(UsageError, match="Photos have no"):
            ask(timeline)


LOOKS = st.lists(st.lists(st.integers(1, 6), unique=True, max_size=4), min_size=1, max_size=8)


@given(
    looks=LOOKS,
    merge=st.lists(st.lists(st.integers(1, 6), min_size=2, max_size=3, unique=True), max_size=2),
    drop=st.sets(st.integers(1, 6), max_size=4),
    label=st.dictionaries(st.integers(1, 6), st.text("ab ", max_size=2), max_size=2),
)
@settings(max_examples=150, deadline=None)
def test_any_edit_keeps_the_schemas_rules(tmp_path_factory, looks, merge, drop, label):
    folder = tmp_path_factory.getbasetemp()
    rows = [row for index, tracks in enumerate(looks) for row in frame_rows(index, tracks)]
    timeline = as_timeline(rows, folder)
    try:
        edited = edit_tracks(timeline, merge=merge, drop=drop, label=label)
    except UsageError:
        return
    faces = edited[edited["status"] == "face"]
    assert edited["frame"].unique().tolist() == list(range(len(looks)))
    assert not faces.duplicated(["frame", "track"]).any()
    for _, rows_of_frame in edited.groupby("frame"):
        is_face = rows_of_frame["status"] == "face"
        assert is_face.all() or len(rows_of_frame) == 1
        assert rows_of_frame["face"].dropna().tolist() == list(range(is_face.sum()))
        assert rows_of_frame["width"].dropna().is_monotonic_decreasing
    named = {track for group in merge for track in group} | drop | set(label)
    untouched = [track for track in range(1, 7) if track not in named]
    one, other = (
        table[table["track"].isin(untouched)]
        .drop(columns="face")
        .astype({"label": object})
        .reset_index(drop=True)
        for table in (timeline, edited)
    )
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert set(faces["track"]).isdisjoint(drop)
