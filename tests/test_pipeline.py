"""The whole job from Python."""

import errno
import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from skimage import data

import emoscan
from emoscan import MediaKind, RunOptions, ScanOptions
from emoscan.analyzer import Analyzer
from emoscan.errors import (
    MediaError,
    MissingPartError,
    NoMediaError,
    OutputError,
    UsageError,
)
from emoscan.events import (
    Crashed,
    FileFinished,
    FileStarted,
    FramesDone,
    Note,
    PartialKept,
    ScanStarted,
)
from emoscan.faces.track import Tracker
from emoscan.media.find import MediaFile, find_media
from emoscan.media.video import open_video
from emoscan.outcome import ProblemKind

FRAMES = 50


@pytest.fixture(scope="module")
def timeline(portrait_clip, tmp_path_factory) -> pd.DataFrame:
    out = tmp_path_factory.mktemp("timeline") / "timeline.parquet"
    emoscan.scan(portrait_clip, out)
    return emoscan.read_timeline(out)


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    portrait = Image.fromarray(data.astronaut())
    portrait.save(folder / "a.jpg")
    portrait.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "more" / "b.png")
    Image.new("RGB", (300, 200), "gray").save(folder / "c.png")
    return folder


def test_every_frame_is_counted(timeline) -> None:
    assert timeline["frame"].nunique() == FRAMES
    assert np.allclose(timeline["time_s"], timeline["frame"] / 25, atol=1e-3)


def test_the_clips_scenes_are_found(timeline) -> None:
    faces = timeline[timeline["status"] == "face"].groupby("frame").size()
    per_frame = faces.reindex(range(FRAMES), fill_value=0)
    assert (per_frame[:12] == 1).all()  # one face, before it leaves
    assert (per_frame[21:25] == 0).all()  # nobody
    assert (per_frame[26:37] == 2).all()
    assert (per_frame[38:40] == 1).all()


def test_a_face_keeps_its_track_and_its_probabilities_sum_to_one(timeline) -> None:
    faces = timeline[timeline["status"] == "face"]
    assert faces.loc[faces["frame"] < 12, "track"].nunique() == 1
    assert faces.loc[faces["frame"].between(26, 37), "track"].nunique() == 2
    assert np.allclose(faces[list(emoscan.EMOTIONS)].sum(axis=1), 1, atol=1e-3)
    likeliest = faces[list(emoscan.EMOTIONS)].astype(float).idxmax(axis=1)
    assert (likeliest == faces["emotion"].astype(str)).all()
    without = timeline[timeline["status"] == "no_face"]
    assert without[["face", "track", "x", "emotion", "happy"]].isna().all(axis=None)


def test_the_table_says_how_it_was_made(timeline) -> None:
    about = timeline.attrs
    assert about["schema_version"] == 1
    assert about["options"]["min_face"] == "40"
    assert about["options_sha256"] == ScanOptions().sha256()
    assert len(about["model"]["sha256"]) == 64
    assert about["media"]["frames_read"] == FRAMES
    assert (about["media"]["width"], about["media"]["height"]) == (640, 360)
    assert about["media"]["damage"] == []


def test_records_are_the_same_rows(portrait_clip, timeline) -> None:
    records = list(emoscan.analyze_video(portrait_clip))
    assert [record.frame for record in records] == list(timeline["frame"])
    happy = [np.nan if record.happy is None else record.happy for record in records]
    assert np.allclose(happy, timeline["happy"], atol=1e-4, equal_nan=True)


def test_who_starts_at_a_border_finds_what_the_whole_video_gives(portrait_clip) -> None:
    analyzer = Analyzer(ScanOptions(), RunOptions())
    with open_video(MediaFile(portrait_clip, "portrait.mp4")) as video:
        items = list(video.frames(ScanOptions(end_s=1.0)))
    whole = [row for rows in analyzer.video_rows(items, Tracker(), borders=[13]) for row in rows]
    part = [row for rows in analyzer.video_rows(items[13:], Tracker()) for row in rows]
    facts = [
        [(row.frame, row.origin, row.x, row.y, row.width, row.emotion) for row in rows]
        for rows in (whole, part)
    ]
    assert part and [fact for fact in facts[0] if fact[0] >= 13] == facts[1]


def test_what_loading_the_networks_took_is_given_back(monkeypatch) -> None:
    given_back: list[str] = []
    monkeypatch.setattr("emoscan.analyzer.give_back_memory", lambda: given_back.append("once"))
    Analyzer(ScanOptions(), RunOptions())
    assert given_back == ["once"]


def test_sampling_keeps_indices_and_times(portrait_clip, timeline) -> None:
    every = list(emoscan.analyze_video(portrait_clip, ScanOptions(every=10)))
    assert sorted({record.frame for record in every}) == [0, 10, 20, 30, 40]
    rate = list(emoscan.analyze_video(portrait_clip, ScanOptions(fps=5, start_s=0.9, end_s=1.5)))
    assert [r.frame for r in rate if not r.face] == [25, 30, 35]
    assert [r.time_s for r in rate if not r.face] == pytest.approx([1.0, 1.2, 1.4], abs=1e-3)


def test_max_faces_keeps_the_largest(portrait_clip) -> None:
    options = ScanOptions(start_s=1.04, end_s=1.4, max_faces=1)
    assert {record.face for record in emoscan.analyze_video(portrait_clip, options)} == {0}


def test_photos_are_one_table(photos, tmp_path) -> None:
    report = emoscan.scan(photos, tmp_path / "t.csv", kind=MediaKind.PHOTO)
    table = emoscan.read_timeline(tmp_path / "t.csv")
    assert list(table["source"]) == ["a.jpg", "c.png", "more/b.png"]
    assert list(table["status"]) == ["face", "no_face", "face"]
    assert table[["time_s", "track"]].isna().all(axis=None) and (table["frame"] == 0).all()
    assert (report.frames, report.faces, report.tracks, report.exit_code) == (3, 2, 0, 0)


def test_images_give_records(photos) -> None:
    records = list(emoscan.analyze_images(photos, run=RunOptions(recursive=False)))
    assert [(record.source, record.status) for record in records] == [
        ("a.jpg", "face"),
        ("c.png", "no_face"),
    ]


def test_rows_of_photos_do_not_depend_on_batches_and_threads(photos, monkeypatch) -> None:
    portrait = Image.fromarray(data.astronaut())
    for side in (200, 333, 640):
        portrait.resize((side, side)).save(photos / f"{side}.png")
    together = list(emoscan.analyze_images(photos))
    monkeypatch.setattr("emoscan.runtime.MOST_PHOTO_WORKERS", 1)
    alone = list(emoscan.analyze_images(photos, run=RunOptions(batch_size=1)))
    assert [record.source for record in together] == [record.source for record in alone]
    for one, other in zip(together, alone, strict=True):
        assert (one.status, one.emotion) == (other.status, other.emotion)
        if one.status == "face":
            assert one.x == pytest.approx(other.x, abs=0.1)
            assert one.happy == pytest.approx(other.happy, abs=0.01)


def test_a_photo_that_is_read_smaller_has_its_faces_where_they_are(tmp_path, monkeypatch) -> None:
    Image.fromarray(data.astronaut()).resize((2048, 2048)).save(tmp_path / "large.jpg")
    options = ScanOptions(min_face="20%")  # 410 px: it is read at half its size
    (smaller,) = emoscan.analyze_images(tmp_path, options=options)
    monkeypatch.setattr("emoscan.media.images.SHRINKS", ())
    (whole,) = emoscan.analyze_images(tmp_path, options=options)
    near = pytest.approx([whole.x, whole.y, whole.width, whole.height], abs=0.015 * whole.height)
    assert [smaller.x, smaller.y, smaller.width, smaller.height] == near != [0, 0, 0, 0]
    assert smaller.x != whole.x  # or nothing was read smaller
    assert smaller.landmarks == pytest.approx(whole.landmarks, abs=0.015 * whole.height)
    assert smaller.emotion == whole.emotion
    assert smaller.happy == pytest.approx(whole.happy, abs=0.05)


def test_a_broken_photo_is_a_row_and_a_problem(photos, tmp_path) -> None:
    (photos / "b.jpg").write_bytes((photos / "a.jpg").read_bytes()[:2000])
    report = emoscan.scan(photos, tmp_path / "t.jsonl", kind=MediaKind.PHOTO)
    table = emoscan.read_timeline(tmp_path / "t.jsonl")
    assert list(table["status"]) == ["face", "unreadable", "no_face", "face"]
    assert [(p.source, p.kind) for p in report.problems] == [("b.jpg", ProblemKind.FAILED)]
    assert (report.exit_code, report.unreadable, report.frames) == (4, 1, 3)


def test_one_bad_video_does_not_end_the_job(portrait_clip, tmp_path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    shutil.copy(portrait_clip, folder / "b.mp4")
    (folder / "a.mp4").write_bytes(b"")
    report = emoscan.scan(folder, tmp_path / "out", options=ScanOptions(every=10))
    assert report.exit_code == 4
    assert [problem.source for problem in report.problems] == ["a.mp4"]
    assert report.outputs == (str(tmp_path / "out" / "timelines" / "b.mp4.parquet"),)
    assert (report.frames, report.inputs) == (5, 2)
    alone = emoscan.scan(folder / "a.mp4", tmp_path / "alone.parquet")
    assert alone.exit_code == 5 and not (tmp_path / "alone.parquet").exists()


def test_fail_fast_stops_at_the_first_failure(portrait_clip, tmp_path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"")
    shutil.copy(portrait_clip, folder / "b.mp4")
    report = emoscan.scan(folder, tmp_path / "out", run=RunOptions(fail_fast=True))
    assert report.outputs == () and report.exit_code == 5


def test_a_bug_in_one_file_does_not_end_the_job(portrait_clip, tmp_path, monkeypatch) -> None:
    def fail(self, block):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(Analyzer, "_classified", fail)
    events = []
    report = emoscan.scan(portrait_clip, tmp_path / "t.parquet", listener=events.append)
    assert "ZeroDivisionError" in report.problems[0].reason
    assert any(isinstance(event, Crashed) for event in events)
    assert list(tmp_path.iterdir()) == []


def test_events_tell_the_story(portrait_clip, tmp_path) -> None:
    events = []
    options = ScanOptions(every=5)
    emoscan.scan(portrait_clip, tmp_path / "t.parquet", options=options, listener=events.append)
    told = [event for event in events if not isinstance(event, Note)]
    assert told[:2] == [ScanStarted(1), FileStarted("portrait.mp4", 10)]
    assert isinstance(told[-2], FramesDone) and told[-2].frames == 10
    assert isinstance(told[-1], FileFinished) and told[-1].problem is None


def test_an_interrupt_keeps_the_rows_so_far(portrait_clip, tmp_path) -> None:
    notes = []

    def interrupt(event) -> None:
        notes.append(event)
        if isinstance(event, FramesDone):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        emoscan.scan(portrait_clip, tmp_path / "t.parquet", listener=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["t.partial.parquet"]
    rows = emoscan.read_timeline(tmp_path / "t.partial.parquet")
    # One block of the 50 frames, of which the first to be found are one face each.
    frames = rows.attrs["media"]["frames_read"]
    assert 5 <= frames < 50 and list(rows["frame"].unique()) == list(range(frames))
    assert rows["face"].notna().iloc[:8].all()
    assert PartialKept(str(tmp_path / "t.partial.parquet"), len(rows)) in notes
    stopped = notes[-1].report
    assert (stopped.frames, stopped.inputs, stopped.not_done, stopped.outputs) == (frames, 1, 1, ())


def test_a_dry_run_does_nothing(portrait_clip, tmp_path) -> None:
    run = RunOptions(dry_run=True)
    report = emoscan.scan(portrait_clip, tmp_path / "t.csv", options=ScanOptions(fps=5), run=run)
    assert [(file.source, file.frames) for file in report.planned] == [("portrait.mp4", 10)]
    assert list(tmp_path.iterdir()) == [] and report.exit_code == 0


def test_what_ends_the_job_is_raised(portrait_clip, tmp_path) -> None:
    with pytest.raises(NoMediaError):
        emoscan.scan(tmp_path, kind=MediaKind.PHOTO)
    (tmp_path / "t.csv").touch()
    with pytest.raises(OutputError):
        emoscan.scan(portrait_clip, tmp_path / "t.csv")
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(MediaError):
        list(emoscan.analyze_video(tmp_path / "empty.mp4"))


def test_csv_has_its_metadata_beside_it(portrait_clip, tmp_path) -> None:
    emoscan.scan(portrait_clip, tmp_path / "t.csv", options=ScanOptions(every=25))
    beside = json.loads((tmp_path / "t.csv.meta.json").read_text(encoding="utf-8"))
    assert beside["options"]["every"] == 25


def test_fail_fast_stops_after_the_photo_that_failed(photos, tmp_path) -> None:
    (photos / "b.jpg").write_bytes(b"broken")
    run = RunOptions(fail_fast=True, batch_size=1)
    report = emoscan.scan(photos, tmp_path / "t.csv", kind=MediaKind.PHOTO, run=run)
    table = emoscan.read_timeline(tmp_path / "t.csv")
    assert list(table["source"]) == ["a.jpg", "b.jpg"]
    assert (report.inputs, report.not_done, report.exit_code) == (4, 2, 4)


def test_a_full_disk_leaves_nothing_behind(portrait_clip, tmp_path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("emoscan.timeline.encoders.ParquetEncoder.finish", full)
    with pytest.raises(OutputError, match="the disk is full"):
        emoscan.scan(portrait_clip, tmp_path / "t.parquet", options=ScanOptions(every=10))
    assert list(tmp_path.iterdir()) == []


def test_photos_have_no_options_of_time(photos, tmp_path) -> None:
    with pytest.raises(UsageError, match="photos have no time"):
        emoscan.scan(photos, tmp_path / "t.csv", kind="photo", options=ScanOptions(fps=2))
    with pytest.raises(UsageError, match="photos have no time"):
        next(emoscan.analyze_images(photos, ScanOptions(every=2)))


def test_an_unknown_kind_is_a_usage_error(photos) -> None:
    with pytest.raises(UsageError, match="video” or “photo"):
        emoscan.scan(photos, kind="audio")


def test_rows_for_stdout_need_a_stream(portrait_clip) -> None:
    with pytest.raises(UsageError, match="need a stream"):
        emoscan.scan(portrait_clip, "-")


def test_a_folder_that_cannot_be_listed_is_a_problem(photos, tmp_path, monkeypatch) -> None:
    found = find_media([photos], MediaKind.PHOTO, recursive=True)
    monkeypatch.setattr(
        "emoscan.pipeline.find_media", lambda *_, **__: replace(found, unreadable=("closed",))
    )
    report = emoscan.scan(photos, tmp_path / "t.csv", kind=MediaKind.PHOTO)
    assert [problem.source for problem in report.problems] == ["closed"]
    assert report.exit_code == 4


def test_a_dry_run_checks_device_and_weights(portrait_clip) -> None:
    with pytest.raises(MissingPartError):
        emoscan.scan(
            portrait_clip, options=ScanOptions(weights="absent"), run=RunOptions(dry_run=True)
        )
    with pytest.raises(UsageError, match="--device"):
        emoscan.scan(portrait_clip, run=RunOptions(dry_run=True, device="cuda:7"))


def test_problems_of_photos_do_not_run_ahead_of_their_rows(photos, tmp_path) -> None:
    for name in ("b.jpg", "c.jpg"):
        (photos / name).write_bytes(b"broken")
    reports = []

    def interrupt(event) -> None:
        if isinstance(event, FramesDone):
            time.sleep(0.2)  # for the reading thread to be ahead
            raise KeyboardInterrupt
        reports.append(event)

    run = RunOptions(batch_size=1)
    with pytest.raises(KeyboardInterrupt):
        emoscan.scan(photos, tmp_path / "t.csv", kind="photo", run=run, listener=interrupt)
    stopped = reports[-1].report
    assert (stopped.frames, stopped.problems, stopped.not_done) == (1, (), 4)
