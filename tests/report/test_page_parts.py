import pytest

from emoscan.report.build import MOST_FIGURES, parts_of
from emoscan.report.parts import PhotoPart, VideoPart
from emoscan.report.presence import Presence, presence_runs, seconds_of
from emoscan.timeline.durations import frame_durations
from emoscan.timeline.options import EpisodeOptions
from emoscan.timeline.read import read_timeline
from tests.report.page_samples import HOSTILE, face, interview, lost, nobody, photos, write


@pytest.fixture
def parts(tmp_path):
    def of(rows, **options):
        timeline = read_timeline(write(tmp_path / "t.parquet", rows))
        return parts_of(timeline, file="t.parquet", options=EpisodeOptions(**options))

    return of


def test_runs_follow_each_other_without_holes(tmp_path):
    frames = frame_durations(read_timeline(write(tmp_path / "t.parquet", interview())))
    first = [*range(200), *range(225, 250), *range(255, 300)]
    runs = presence_runs(frames, first)
    assert [run.presence.value for run in runs] == [
        "there", "away", "there", "unreadable", "there",
    ]  # fmt: skip
    assert [run.start_s for run in runs] == pytest.approx([0, 8, 9, 10, 10.2])
    assert [run.start_s for run in runs[1:]] == [run.end_s for run in runs[:-1]]
    assert seconds_of(runs, Presence.AWAY) == pytest.approx(1)


def test_a_video_with_known_answers(parts):
    [part] = parts(interview(label="Anna"))
    assert isinstance(part, VideoPart)
    assert (part.frames, part.with_face, part.unreadable) == (300, 270, 5)
    assert part.lasts_s == pytest.approx(12)
    assert part.coverage == pytest.approx(270 / 300)
    anna, other = part.tracks
    assert (anna.name, anna.number, other.name) == ("Anna", 1, "Track 2")
    assert [(e.emotion, round(e.onset_s, 2)) for e in anna.episodes] == [
        ("neutral", 0), ("happy", 4), ("sad", 9),
    ]  # fmt: skip
    assert anna.episodes[1].apex_frame == 150
    assert (anna.gaps, anna.longest_gap_s) == (1, pytest.approx(1))
    assert anna.coverage == pytest.approx(270 / 300)
    assert (other.start_s, other.end_s, other.gaps) == (pytest.approx(2), pytest.approx(3), 0)


def test_shares_are_of_time_and_of_raw_classes(parts):
    [part] = parts(interview())
    shares = {row.emotion: row.amount for row in part.tracks[0].shares.rows}
    assert shares["neutral"] == pytest.approx(4) and shares["sad"] == pytest.approx(2.8)
    assert sum(row.share for row in part.tracks[0].shares.rows) == pytest.approx(1)
    lefts = [left for _, left, _ in part.tracks[0].shares.rectangles]
    assert lefts == sorted(lefts) and lefts[0] == 0


def test_a_frame_that_lasts_longer_counts_for_more(parts):
    rows = [face(0, "happy", time_s=0.0), face(1, "sad", time_s=3.0), face(2, "sad", time_s=4.0)]
    [part] = parts(rows)
    amounts = {row.emotion: row.amount for row in part.shares.rows}
    assert (amounts["happy"], amounts["sad"]) == (pytest.approx(3), pytest.approx(3))


def test_labelled_tracks_come_first_then_long_ones(parts):
    many = [
        face(index, "happy", track=track, label="Bea" if track == 1 else None)
        for index in range(100)
        for track in range(1, MOST_FIGURES + 11)
        if index < 2 * track
    ]
    [part] = parts(many)
    assert part.tracks[0].label == "Bea"
    seconds = [track.seconds for track in part.tracks[1:]]
    assert seconds == sorted(seconds, reverse=True)
    assert len(part.tracks) == MOST_FIGURES and len(part.short_tracks) == 10
    assert part.track_count == MOST_FIGURES + 10
    assert max(track.seconds for track in part.short_tracks) <= min(seconds)
    assert {track.likeliest for track in part.short_tracks} == {"happy"}


def test_a_part_for_each_video_of_a_table(parts):
    found = parts(interview(source="a.mp4") + interview(source="b.mp4"))
    assert [part.name for part in found] == ["a.mp4", "b.mp4"]
    assert [len(part.tracks) for part in found] == [2, 2]


def test_a_video_that_could_not_be_read_stands_apart(parts):
    video, rest = parts([*interview(), lost(0, "broken.mp4", None)])
    assert video.name == "interview.mp4"
    assert isinstance(rest, PhotoPart) and rest.unreadable == 1 and not rest.faces


def test_nobody_in_the_video(parts):
    [part] = parts([nobody(index) for index in range(20)] + [lost(20)])
    assert (part.with_face, part.tracks, part.coverage, part.episodes) == (0, (), 0, 0)
    assert part.shares.likeliest is None


def test_one_frame_alone_has_no_duration(parts):
    [part] = parts([face(0, "happy")])
    assert (part.lasts_s, part.coverage) == (0, 1)
    assert len(part.tracks) == 1


def test_faces_without_a_track_are_counted(parts):
    [part] = parts(
        [face(0, "happy", track=None), face(1, "happy", track=4), face(2, "sad", track=4)]
    )
    assert part.untracked == 1 and [track.number for track in part.tracks] == [4]


def test_no_rows_no_parts(parts):
    assert parts([]) == []


def test_photos_by_folder(parts):
    [part] = parts(photos())
    assert isinstance(part, PhotoPart)
    assert (len(part.photos), part.with_face, part.faces, part.unreadable) == (5, 3, 4, 1)
    assert [(folder.name, folder.photos, folder.faces) for folder in part.folders] == [
        ("(top folder)", 1, 1), ("beach", 2, 2), ("town", 2, 1),
    ]  # fmt: skip
    assert {row.emotion: row.share for row in part.shares.rows}["happy"] == 0.75
    assert part.quality is not None and part.quality.height_px.median == 100


def test_names_are_shown_not_obeyed(parts):
    [part] = parts(interview(label=HOSTILE, source=HOSTILE))
    for text in (part.name, part.tracks[0].label):
        assert text.isprintable() and "\\u202e" in text


def test_gaps_are_empty_in_the_sparkline(parts):
    [part] = parts(interview())
    # Two shapes: before the face goes away and after; the frames that are lost split the second.
    assert part.spark["happy"].count("z") == 3


def test_a_sparkline_of_few_frames_has_no_holes(parts):
    rows = [face(index, "happy", time_s=float(index)) for index in range(10)]
    [part] = parts(rows)
    assert part.spark["happy"].count("z") == 1
