"""The command line as a user meets it: streams, sentences and exit codes."""

import csv
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

import emoscan
from emoscan.batch.job import Job
from emoscan.cli.console import ProgressView, _emoscan
from emoscan.events import FramesDone
from emoscan.timeline.schema import CSV_COLUMNS
from emoscan.timeline.writers import _FileTable
from tests.conftest import Result


def sentence(result: Result) -> str:
    """The one line of an error."""
    assert result.err.count("\n") == 1, result.err
    return result.err


def test_a_video_becomes_a_table_and_a_summary(run, portrait_clip) -> None:
    result = run("video", portrait_clip, "--out", "timeline.parquet", "--every", 5)
    assert result.code == 0 and result.out == ""
    assert len(emoscan.read_timeline("timeline.parquet")) >= 10
    for fact in ("frames looked at  10", "faces", "tracks", "× real time", "device", "Next:"):
        assert fact in result.err
    assert "portrait.mp4: 10 frames" in result.err  # the plain line: this is no terminal


@pytest.mark.parametrize(
    ("called", "told"),
    [
        ("/on/the/path/emoscan", ["emoscan"]),
        ("my env/bin/emoscan", ["my env/bin/emoscan"]),
        ("/src/emoscan/__main__.py", ["python", "-m", "emoscan"]),
    ],
)
def test_the_next_command_calls_emoscan_as_it_was_called(monkeypatch, called, told) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/on/the/path/{name}")
    monkeypatch.setattr(sys, "executable", "/on/the/path/python")
    monkeypatch.setattr(sys, "argv", [called])
    assert shlex.split(_emoscan()) == told


def test_the_next_command_names_a_python_that_is_not_the_first(monkeypatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["/src/emoscan/__main__.py"])
    assert shlex.split(_emoscan()) == [sys.executable, "-m", "emoscan"]


def test_the_next_command_can_be_pasted(run, portrait_clip) -> None:
    result = run("video", portrait_clip, "--every", 25, "--out", "Anna's day.parquet")
    line = result.err.partition("Next: ")[2].replace("\n", "")
    words = shlex.split(line)
    assert words[-2:] == ["summary", "Anna's day.parquet"]
    assert "happy_share" in run(*words[-2:]).out


def test_without_out_the_table_is_in_the_current_folder(run, portrait_clip) -> None:
    assert run("video", portrait_clip, "--every", 25, "-q").code == 0
    assert Path("portrait.emotions.parquet").exists()


def test_quiet_says_nothing(run, portrait_clip) -> None:
    result = run("video", portrait_clip, "--every", 25, "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_json_is_one_object_on_stdout(run, portrait_clip) -> None:
    result = run("video", portrait_clip, "--every", 10, "--json")
    report = json.loads(result.out)
    assert (report["frames"], report["exit_code"], report["problems"]) == (5, 0, [])
    assert "Next:" not in result.err


@pytest.mark.parametrize("table_format", ["csv", "jsonl"])
def test_rows_stream_to_stdout(run, portrait_clip, table_format: str) -> None:
    result = run("video", portrait_clip, "--every", 10, "--out", "-", "--format", table_format)
    assert result.code == 0 and list(Path().iterdir()) == []
    if table_format == "csv":
        header, *rows = csv.reader(io.StringIO(result.out))
        assert tuple(header) == CSV_COLUMNS
        frames = [int(row[1]) for row in rows]
    else:
        frames = [json.loads(line)["frame"] for line in result.out.splitlines()]
    assert sorted(set(frames)) == [0, 10, 20, 30, 40]


def test_two_videos_on_stdout_have_one_header(run, portrait_clip) -> None:
    Path("v").mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(portrait_clip, Path("v") / name)
    result = run("video", "v", "--every", 25, "--out", "-")
    rows = list(csv.DictReader(io.StringIO(result.out)))
    assert {row["source"] for row in rows} == {"a.mp4", "b.mp4"}


@pytest.mark.parametrize(
    ("words", "code", "words_said"),
    [
        (["--out", "-", "--json"], 2, "--json and --out -"),
        (["--out", "-", "--format", "parquet"], 2, "cannot be streamed"),
        (["--fps", "5", "--every", "2"], 2, "not both"),
        (["--min-face", "x"], 2, "--min-face takes"),
        (["--start", "1:2:3:4"], 2, "A time is seconds"),
        (["--start", "2", "--end", "1"], 2, "must lie after"),
        (["--threshold", "2"], 2, "--threshold"),
        (["--device", "gpu"], 2, "--device takes"),
        (["--device", "cuda:99"], 2, "--device cuda"),
        (["--precision", "fp16", "--device", "cpu"], 2, "fp16 needs a GPU"),
        (["--out", "t.xlsx"], 2, "tells no format"),
        (["--weights", "absent.safetensors"], 6, "absent.safetensors cannot be read"),
    ],
)
def test_what_does_not_fit_is_one_sentence(run, portrait_clip, words, code, words_said) -> None:
    result = run("video", portrait_clip, *words)
    assert result.code == code and result.out == ""
    assert words_said in sentence(result)
    assert result.err.startswith("Error: ") and list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["video", "a.mp4", "--emotion"], "--emotion"),
        (["video", "a.mp4", "--fps", "often"], "--fps"),
        (["video", "a.mp4", "--precision", "fp64"], "--precision"),
        (["video"], "PATH"),
        (["video", ""], "One of the paths is empty"),
        (["folder", "photos", "--fps", "2"], "--fps"),
        (["look"], "look"),
    ],
)
def test_command_lines_that_do_not_fit_are_one_sentence(run, words, said: str) -> None:
    result = run(*words)
    assert result.code == 2 and said in sentence(result) and result.err.startswith("Error: ")


def test_no_command_shows_the_help(run) -> None:
    result = run()
    assert result.code in (0, 2)  # by the version of click
    assert "Usage" in result.out + result.err and "Error" not in result.err


def test_an_interrupted_job_reports_what_was_done(run, portrait_clip, monkeypatch) -> None:
    show = ProgressView.__call__

    def interrupt(self, event) -> None:
        show(self, event)
        if isinstance(event, FramesDone):
            raise KeyboardInterrupt

    monkeypatch.setattr(ProgressView, "__call__", interrupt)
    result = run("video", portrait_clip, "--json", "--quiet")
    report = json.loads(result.out)
    assert (result.code, report["exit_code"], report["not_done"]) == (130, 130, 1)
    assert "rows so far are in" in result.err  # in spite of --quiet


def test_names_with_escape_sequences_are_shown_not_obeyed(run, portrait_clip) -> None:
    shutil.copy(portrait_clip, "\x1b[2J\n.mp4")
    result = run("video", ".", "--every", 25)
    assert result.code == 0 and "\x1b[2J" not in result.err and "\\x1b[2J\\n.mp4" in result.err


def test_an_existing_table_is_refused_without_overwrite(run, portrait_clip) -> None:
    Path("t.csv").write_text("mine")
    result = run("video", portrait_clip, "--out", "t.csv", "--every", 25)
    assert result.code == 7 and "--overwrite" in sentence(result)
    assert Path("t.csv").read_text() == "mine"
    assert run("video", portrait_clip, "--out", "t.csv", "--every", 25, "--overwrite").code == 0
    assert Path("t.csv").read_text() != "mine"


def test_an_output_that_cannot_be_written(run, portrait_clip) -> None:
    Path("file").touch()
    result = run("video", portrait_clip, "--out", "file/t.csv", "--every", 25)
    assert result.code == 7 and "cannot be written" in result.err


def test_paths_without_media(run) -> None:
    Path("folder").mkdir()
    assert run("video", "folder").code == 3
    assert run("video", "absent.mp4").code == 3
    (Path("folder") / "notes.txt").touch()
    assert run("folder", "folder").code == 3


def test_each_command_names_the_other(run, portrait_clip) -> None:
    Path("mixed").mkdir()
    shutil.copy(portrait_clip, "mixed/a.mp4")
    result = run("folder", "mixed")
    assert result.code == 3 and "emoscan video" in sentence(result)
    Image.fromarray(data.astronaut()).save("mixed/b.jpg")
    result = run("folder", "mixed")
    assert result.code == 0 and "1 video" in result.err and "emoscan video" in result.err
    result = run("video", "mixed", "--every", 25)
    assert result.code == 0 and "1 photo" in result.err and "emoscan folder" in result.err


def test_a_folder_of_ten_photos_with_one_broken(run) -> None:
    Path("photos").mkdir()
    portrait = Image.fromarray(data.astronaut())
    for number in range(10):
        portrait.save(f"photos/{number}.jpg")
    broken = Path("photos/4.jpg")
    broken.write_bytes(broken.read_bytes()[:3000])
    result = run("folder", "photos", "--out", "t.parquet")
    table = emoscan.read_timeline("t.parquet")
    assert result.code == 4 and "4.jpg" in result.err and "1 failed" in result.err
    assert list(table["status"].value_counts()[["face", "unreadable"]]) == [9, 1]
    assert table.loc[table["status"] == "unreadable", "source"].tolist() == ["4.jpg"]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]
)
def test_signals_keep_the_rows_so_far(run, portrait_clip, monkeypatch, number, code) -> None:
    show = ProgressView.__call__

    def show_and_signal(self, event) -> None:
        show(self, event)
        if isinstance(event, FramesDone):
            os.kill(os.getpid(), number)

    monkeypatch.setattr(ProgressView, "__call__", show_and_signal)
    result = run("video", portrait_clip, "--out", "t.parquet")
    assert result.code == code
    assert "not looked at  1 of them" in result.err
    assert [path.name for path in Path().iterdir()] == ["t.partial.parquet"]
    rows = emoscan.read_timeline("t.partial.parquet")
    assert rows["frame"].max() < 49  # not the whole clip of 50 frames
    assert f"{len(rows)} rows so far are in t.partial.parquet" in result.err


def test_a_second_interrupt_loses_neither_rows_nor_the_word_about_them(
    run, portrait_clip, monkeypatch
) -> None:
    keep = Job._keep_partial

    def interrupted_again(self, writer, metadata) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        keep(self, writer, metadata)

    show = ProgressView.__call__

    def interrupt(self, event) -> None:
        show(self, event)
        if isinstance(event, FramesDone):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Job, "_keep_partial", interrupted_again)
    monkeypatch.setattr(ProgressView, "__call__", interrupt)
    result = run("video", portrait_clip, "--out", "t.csv")
    rows = emoscan.read_timeline("t.partial.csv")
    assert result.code == 130 and f"{len(rows)} rows so far are in t.partial.csv" in result.err
    assert len(rows) > 0 and rows["frame"].max() < 49


def test_an_interrupt_during_commit_still_reports_the_table(
    run, portrait_clip, monkeypatch
) -> None:
    publish = _FileTable._publish

    def interrupted(self, final) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        publish(self, final)

    monkeypatch.setattr(_FileTable, "_publish", interrupted)
    result = run("video", portrait_clip, "--out", "t.csv", "--every", 25, "--json")
    report = json.loads(result.out)
    assert result.code == 130 and report["outputs"] == ["t.csv"] and report["not_done"] == 0
    assert sorted(path.name for path in Path().iterdir()) == ["t.csv", "t.csv.meta.json"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_stdout_is_an_output_error_and_a_full_stderr_is_none(
    portrait_clip, tmp_path
) -> None:
    command = [sys.executable, "-m", "emoscan", "video", str(portrait_clip), "--every", "25"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*command, "--json"], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, check=False
        )
        silent = subprocess.run([*command, "--overwrite"], cwd=tmp_path, stderr=full, check=False)
    assert done.returncode == 7 and b"Standard output cannot be written" in done.stderr
    assert silent.returncode == 0


def test_a_reader_that_takes_what_it_wants_is_no_error(portrait_clip) -> None:
    command = [sys.executable, "-m", "emoscan", "video", str(portrait_clip), "--out", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read().decode()
    assert process.returncode == 0 and "Error" not in said and "Traceback" not in said


def test_a_dry_run_says_what_would_be_done(run, portrait_clip) -> None:
    result = run("video", portrait_clip, "--every", 10, "--dry-run")
    assert result.code == 0 and list(Path().iterdir()) == []
    assert "portrait.mp4" in result.err and "5 frames" in result.err


def test_a_bug_is_a_sentence_and_its_exit_code(run, portrait_clip, monkeypatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("emoscan.pipeline.scan", fail)
    result = run("video", portrait_clip)
    assert result.code == 1 and "A bug in emoscan: ZeroDivisionError" in sentence(result)
    assert "Traceback" in run("video", portrait_clip, "--verbose").err


def test_verbose_shows_the_traceback(run, portrait_clip) -> None:
    result = run("video", portrait_clip, "--weights", "absent", "--verbose")
    assert result.code == 6 and "Traceback" in result.err


def test_info_tells_versions_and_the_model(run) -> None:
    result = run("info")
    assert result.code == 0
    for name in ("emoscan", "torch", "PyAV", "FFmpeg", "device", "SHA-256", "PrivateTest"):
        assert name in result.out
    assert run("info", "--weights", "absent").code == 6


def test_version_and_help(run) -> None:
    assert run("--version").out.startswith("emoscan ")
    help_text = run("video", "--help").out
    assert "--fps" not in run("folder", "--help").out
    for option in ("--fps", "--min-face", "--device", "--overwrite", "--json", "--no-color"):
        assert option in help_text


def test_no_color(run, portrait_clip, monkeypatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    colourful = run("video", "absent.mp4").err
    assert "\x1b[" in colourful and "31m" in colourful
    assert "31m" not in run("video", "absent.mp4", "--no-color").err
    monkeypatch.setenv("NO_COLOR", "1")
    assert "31m" not in run("video", "absent.mp4").err


def test_sixteen_bit_photos_and_names_in_any_script(run) -> None:
    gray = (np.asarray(Image.fromarray(data.astronaut()).convert("L")).astype(np.uint16)) * 257
    Image.fromarray(gray).save("лицо 顔.png")
    assert run("folder", ".", "--out", "t.csv").code == 0
    table = emoscan.read_timeline("t.csv")
    assert list(table["source"]) == ["лицо 顔.png"] and table["status"].iloc[0] == "face"
