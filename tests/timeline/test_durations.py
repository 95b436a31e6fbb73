import numpy as np
import pytest

from emoscan.errors import UsageError
from emoscan.timeline.durations import face_rows, frame_durations, stretch_numbers
from emoscan.timeline.several import read_timelines
from tests.timeline.made import even, face, photos, save, scores, timeline, without

HAPPY = scores(happy=0.9)


def face_at(times: list[float], frames: list[int] | None = None, **about: object):
    return face(np.array(times), np.repeat(HAPPY, len(times), axis=0), frames=frames, **about)


def test_a_frame_lasts_until_the_next_and_the_last_as_long_as_the_median() -> None:
    frames = frame_durations(timeline(face_at([0.0, 0.1, 0.4, 0.6])))
    assert frames["duration_s"].tolist() == pytest.approx([0.1, 0.3, 0.2, 0.2])


@pytest.mark.parametrize(
    ("metadata", "lasts_s"),
    [
        ({"media": {"duration_s": 15.48, "start_s": 0.0, "video_start_s": 0.0}}, 0.48),
        ({"media": {"duration_s": 15.48, "start_s": 1.0, "video_start_s": 1.5}}, 0.98),
        ({"media": {"duration_s": 15.48}, "options": {"end_s": 15.2}}, 0.2),
        ({"media": {"duration_s": None}, "options": {"end_s": None}}, 5.0),
        ({"media": {"duration_s": 12.0}}, 5.0),  # a frame lies behind that: it is wrong
        ({"media": {"duration_s": "long"}, "options": []}, 5.0),
        ({"media": {"duration_s": 100.0}}, 5.0),
    ],
)
def test_the_last_frame_ends_with_its_video(metadata, lasts_s) -> None:
    rows = timeline(face_at([0.0, 5.0, 10.0, 15.0]))
    rows.attrs.update(metadata)
    assert frame_durations(rows)["duration_s"].tolist() == pytest.approx([5, 5, 5, lasts_s])


@pytest.mark.parametrize("name", ["a.mp4", "b.mp4"])
def test_of_several_timelines_each_ends_with_its_own_video(tmp_path, name) -> None:
    paths = []
    for path, source, end_s in (("1.csv", "a.mp4", 2.5), ("2.csv", name, 2.25)):
        rows = timeline(face_at([0.0, 1.0, 2.0], source=source))
        paths.append(save(rows, tmp_path / path, media={"duration_s": end_s}))
    frames = frame_durations(read_timelines(paths))
    assert frames["duration_s"].tolist() == pytest.approx([1, 1, 0.5, 1, 1, 0.25])


def test_two_faces_are_one_frame() -> None:
    times = [0.0, 0.5]
    frames = frame_durations(timeline(face_at(times), face_at(times, track=2)))
    assert frames["frame"].tolist() == [0, 1]


def test_sources_do_not_know_each_other() -> None:
    frames = frame_durations(
        timeline(face_at([0.0, 1.0], source="b.mp4"), face_at([0.0, 0.2], source="a.mp4"))
    )
    assert frames["source"].tolist() == ["a.mp4", "a.mp4", "b.mp4", "b.mp4"]
    assert frames["duration_s"].tolist() == pytest.approx([0.2, 0.2, 1.0, 1.0])


def test_one_frame_has_no_duration() -> None:
    assert frame_durations(timeline(face_at([2.0])))["duration_s"].tolist() == [0.0]


def test_no_frame_has_a_negative_duration_where_times_repeat() -> None:
    frames = frame_durations(timeline(face_at([0.0, 0.1, 0.1, 0.1, 0.2])))
    assert frames["duration_s"].tolist() == pytest.approx([0.1, 0, 0, 0.1, 0.1])


def test_an_unreadable_frame_takes_its_time_where_that_is_known() -> None:
    known = without(np.array([0.1]), "unreadable").assign(frame=1)
    unknown = without(np.array([np.nan]), "unreadable").assign(frame=1)
    faces = face_at([0.0, 0.2], frames=[0, 2])
    assert face_rows(timeline(faces, known))["duration_s"].tolist() == pytest.approx([0.1, 0.1])
    assert face_rows(timeline(faces, unknown))["duration_s"].tolist() == pytest.approx([0.2, 0.2])


def test_a_video_of_which_nothing_was_readable_has_no_frames() -> None:
    nothing = timeline(without(np.array([np.nan]), "unreadable").assign(frame=0))
    assert len(frame_durations(nothing)) == len(face_rows(nothing)) == 0


def test_photos_are_refused() -> None:
    with pytest.raises(UsageError, match="Photos have no time"):
        frame_durations(photos({"a.jpg": HAPPY, "b.jpg": HAPPY[:0]}))


def test_a_track_breaks_where_the_face_is_away_for_longer_than_the_gap() -> None:
    times = even(10, 3.0)
    there = np.r_[0:5, 8:12, 16:30]  # away for 0.3 s, then for 0.4 s
    away = np.setdiff1d(np.arange(30), there)
    rows = face(times[there], np.repeat(HAPPY, len(there), axis=0), frames=there)
    faces = face_rows(timeline(rows, without(times[away]).assign(frame=away)))
    assert stretch_numbers(faces, 0.3).tolist() == [0] * 9 + [1] * 14
    assert stretch_numbers(faces, 0.0).tolist() == [0] * 5 + [1] * 4 + [2] * 14
    assert stretch_numbers(faces, 1.0).tolist() == [0] * 23


def test_frames_that_were_not_looked_at_are_no_gap() -> None:
    sampled = face_rows(timeline(face_at([0.0, 1.0, 2.0], frames=[0, 30, 60])))
    assert stretch_numbers(sampled, 0.3).tolist() == [0, 0, 0]


def test_faces_without_a_track_and_other_tracks_are_stretches_of_their_own() -> None:
    times = [0.0, 0.1]
    faces = face_rows(
        timeline(
            face_at(times, track=None),
            face_at(times, track=1),
            face_at(times, track=2),
            face_at(times, track=2, source="b.mp4"),
        )
    )
    assert stretch_numbers(faces, 9.0).tolist() == [0, 0, 1, 1, 2, 3, 4, 4]


def test_sources_may_be_plain_strings() -> None:
    rows = timeline(face_at([0.0, 0.1]), face_at([0.0, 0.1], source="b.mp4"))
    assert stretch_numbers(face_rows(rows.astype({"source": object})), 1.0).tolist() == [0, 0, 1, 1]
