"""`emoscan annotate` as a user meets it: words, streams and exit codes."""

import json
import os
import signal
from pathlib import Path

import pytest

from emoscan.report.movie import Movie
from tests.clips import even_times, gray_picture, noise_picture, write_clip, zeroed_copy
from tests.report.tables import empty_row, face_row, rows_at, write_table
from tests.report.test_photos import save

BOX = (40.0, 30.0, 40.0, 50.0)
SIZE = (160, 120)


@pytest.fixture
def clip(tmp_path) -> Path:
    return write_clip(
        tmp_path / "Jörg, früh.mp4",
        even_times(12),
        size=SIZE,
        picture=lambda index: gray_picture(index, SIZE),
        audio_s=0.4,
    )


@pytest.fixture
def table(tmp_path) -> Path:
    times_s = [index / 25 for index in range(12)]
    return write_table(tmp_path / "t.parquet", rows_at(times_s, {3: [(1, BOX)]}))


def test_a_video_becomes_a_copy_and_a_summary(run, clip, table) -> None:
    result = run("annotate", clip, table)
    assert result.code == 0 and result.out == ""
    assert [path.name for path in Path().iterdir()] == ["Jörg, früh.annotated.mp4"]
    assert "Jörg, früh.mp4: 12 frames, 1 face" in result.err  # the plain line
    for fact in ("frames  12", "faces  1", "sound  copied", "× real time"):
        assert fact in result.err


def test_quiet_says_nothing(run, clip, table) -> None:
    result = run("annotate", clip, table, "--blur-faces", "--quiet", "--out", "o.mkv")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_json_is_one_object_on_stdout(run, clip, table) -> None:
    report = json.loads(run("annotate", clip, table, "--json", "--out", "o.mp4").out)
    assert (report["frames"], report["faces"], report["exit_code"]) == (12, 1, 0)
    assert report["outputs"] == ["o.mp4"] and report["audio"] == "copied"


def test_who_hides_faces_is_told_what_stays(run, clip, table) -> None:
    result = run("annotate", clip, table, "--blur-faces", "--out", "o.mp4")
    assert result.code == 0
    assert "missed stay visible" in result.err and "voices can be heard" in result.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--out", "o.avi"], 2, "end it with .mp4 or .mkv"),
        (["--blur-faces", "--pixelate-faces"], 2, "not both"),
        (["--no-boxes"], 2, "would change nothing"),
        (["--out", "there.mp4"], 7, "exists already"),
        (["--fps", "5"], 2, "--fps"),
    ],
)
def test_what_does_not_fit_is_one_sentence(run, clip, table, words, code, said) -> None:
    Path("there.mp4").write_bytes(b"kept")
    result = run("annotate", clip, table, *words)
    assert result.code == code and said in result.err and result.err.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == ["there.mp4"]


def test_paths_that_are_no_video_or_no_timeline(run, clip, table, tmp_path) -> None:
    assert run("annotate", "absent.mp4", table).code == 3
    result = run("annotate", clip, "absent.csv")
    assert result.code == 2 and "absent.csv cannot be read" in result.err
    other = write_table(tmp_path / "w.csv", [face_row(40, 1.6, BOX)])
    result = run("annotate", clip, other)
    assert result.code == 2 and "another video" in result.err and result.err.count("\n") == 1
    Path("v.mp4").write_bytes(b"no video")
    assert run("annotate", "v.mp4", table).code == 5


def test_a_broken_video_is_a_problem_with_its_own_code(run, tmp_path) -> None:
    whole = write_clip(
        tmp_path / "whole.mp4",
        even_times(50),
        size=SIZE,
        picture=lambda index: noise_picture(index, SIZE),
    )
    broken = zeroed_copy(whole, tmp_path / "broken.mp4", start=0.5, stop=0.7)
    rows = write_table(tmp_path / "t.csv", [empty_row(index, index / 25) for index in range(50)])
    result = run("annotate", broken, rows, "--out", "o.mp4")
    assert result.code == 4 and "1 damaged:" in result.err and Path("o.mp4").exists()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"]
)
def test_an_interrupt_leaves_nothing(run, clip, table, monkeypatch, number, code) -> None:
    monkeypatch.setattr(Movie, "finish", lambda _: os.kill(os.getpid(), number))
    result = run("annotate", clip, table, "--out", "o.mp4")
    assert result.code == code and list(Path().iterdir()) == []


def test_a_folder_of_photos(run, tmp_path) -> None:
    save(tmp_path / "photos" / "a.jpg")
    rows = [
        face_row(0, None, BOX, track=None, source=source) for source in ("a.jpg", "sub/gone.jpg")
    ]
    table = write_table(tmp_path / "t.csv", rows)
    result = run("annotate", tmp_path / "photos", table)
    assert result.code == 4 and Path("photos.annotated/a.jpg").exists()
    assert "photos  1" in result.err and "sub/gone.jpg is not in" in result.err
    result = run("annotate", tmp_path / "photos" / "a.jpg", table)
    assert result.code == 2 and "name the folder" in result.err


def test_the_timeline_before_the_video_is_told(run, clip, table) -> None:
    result = run("annotate", table, clip)
    assert result.code == 2 and "is a timeline: name the video or the folder first" in result.err
