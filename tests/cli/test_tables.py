"""`emoscan episodes` and `emoscan summary`, as users call them."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import emoscan
from emoscan.cli.tables import percent, signed
from emoscan.report.words import clock
from emoscan.timeline.episodes import COLUMNS
from emoscan.timeline.summary import summary_columns
from tests.timeline.made import even, face, photos, save, scores, timeline, without

ODD = "Jörg, “früh”\n映像.mp4"
COMMANDS = ["episodes", "summary"]


def happy_for(from_s: float, to_s: float, until_s: float = 4.0, **about) -> pd.DataFrame:
    times = even(25, until_s)
    happy = np.where((times >= from_s) & (times < to_s), 0.9, 0.1)
    return face(times, scores(happy=happy, neutral=0.95 - happy), **about)


@pytest.fixture
def table(tmp_path) -> Path:
    rows = timeline(happy_for(1, 3), happy_for(2, 4, track=2, label="Ben"))
    return save(rows, tmp_path / "t.parquet", model={"id": "m"}, options={"fps": None})


@pytest.fixture
def on_a_terminal(run, monkeypatch):
    """Run a command whose stdout is a terminal 80 columns wide."""

    def call(*words: object):
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdout.isatty", lambda: True, raising=False)
            patch.setenv("COLUMNS", "80")
            patch.setenv("TERM", "dumb")  # no codes for colours
            return run(*words)

    return call


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_episodes_are_csv_where_nobody_reads(run, table) -> None:
    result = run("episodes", table, "--emotion", "happy", "--smoothing", 0)
    assert result.code == 0 and result.err == ""
    first, second = rows_of(result.out)
    assert list(first) == list(COLUMNS)
    assert (first["track"], first["label"], first["emotion"]) == ("1", "", "happy")
    assert (first["onset_s"], first["offset_s"], first["duration_s"]) == ("1.0", "3.0", "2.0")
    # R takes “True” for a word.
    assert (first["offset_cut"], second["offset_cut"]) == ("FALSE", "TRUE")
    assert (first["onset_frame"], first["offset_frame"], first["peak"]) == ("25", "74", "0.9")
    assert (second["label"], second["onset_s"]) == ("Ben", "2.0")


def test_a_summary_is_csv_where_nobody_reads(run, table) -> None:
    result = run("summary", table, "--window", "2s", "--baseline", "0-0:01")
    assert result.code == 0 and result.err == ""
    rows = rows_of(result.out)
    assert list(rows[0])[:13] == list(summary_columns())[:13]
    assert [(row["track"], row["start_s"], row["happy_share"]) for row in rows] == [
        ("1", "0.0", "0.5"), ("1", "2.0", "0.5"), ("2", "0.0", "0.0"), ("2", "2.0", "1.0"),
    ]  # fmt: skip
    assert [row["happy_change"] for row in rows] == ["0.4", "0.4", "0.0", "0.8"]


@pytest.mark.parametrize("command", COMMANDS)
def test_all_formats_hold_the_same(run, table, command) -> None:
    from_python = (
        emoscan.find_episodes if command == "episodes" else emoscan.summarise
    )(emoscan.read_timeline(table))  # fmt: skip
    texts = {flag: run(command, table, flag).out for flag in ("--csv", "--json")}
    found = {
        "csv": pd.read_csv(io.StringIO(texts["--csv"])),
        "json": pd.DataFrame(json.loads(texts["--json"])),
    }
    for suffix in ("csv", "json", "jsonl", "parquet"):
        result = run(command, table, "--out", f"new/{suffix}/o.{suffix}")
        assert result.code == 0 and result.out == "" and f"→ new/{suffix}/o.{suffix}" in result.err
    found |= {
        "csv file": pd.read_csv("new/csv/o.csv"),
        "json file": pd.DataFrame(json.loads(Path("new/json/o.json").read_text())),
        "jsonl file": pd.read_json("new/jsonl/o.jsonl", lines=True),
        "parquet file": pd.read_parquet("new/parquet/o.parquet"),
    }
    for name, frame in found.items():
        assert list(frame.columns) == list(from_python.columns), name
        for column in from_python.columns:
            wanted, got = from_python[column].astype(object), frame[column].astype(object)
            assert got.isna().tolist() == wanted.isna().tolist(), (name, column)
            if pd.api.types.is_float_dtype(from_python[column]):
                assert got.tolist() == pytest.approx(wanted.tolist(), abs=1e-6, nan_ok=True)
            else:
                assert got.dropna().tolist() == wanted.dropna().tolist(), (name, column)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_says_how_it_was_made(run, table, command) -> None:
    option = ["--high", 0.7] if command == "episodes" else ["--window", "1s"]
    run(command, table, "--out", "o.csv", *option)
    run(command, table, "--out", "o.parquet", *option)
    about = json.loads(Path("o.csv.meta.json").read_text())
    assert about == json.loads(pq.read_metadata("o.parquet").metadata[b"emoscan"])
    assert about["command"] == f"emoscan {command}"
    assert about["options"]["high" if command == "episodes" else "window_s"] in (0.7, 1.0)
    assert about["timelines"] == [
        {"path": str(table), "model": {"id": "m"}, "options": {"fps": None}}
    ]
    assert list(about["columns"]) == list(pd.read_csv("o.csv").columns)


def test_parquet_may_be_piped_and_is_not_shown(run, table, on_a_terminal, monkeypatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("emoscan.cli.tables.write_data", written.write)
    assert run("episodes", table, "--parquet").code == 0
    assert list(pd.read_parquet(written).columns) == list(COLUMNS)
    result = on_a_terminal("episodes", table, "--parquet")
    assert result.code == 2 and "name a file with --out" in result.err


@pytest.mark.parametrize("command", COMMANDS)
def test_what_exists_is_replaced_only_if_asked(run, table, command) -> None:
    Path("o.csv").write_text("mine")
    result = run(command, table, "--out", "o.csv")
    assert result.code == 7 and "o.csv exists already; use --overwrite" in result.err
    assert Path("o.csv").read_text() == "mine"
    assert run(command, table, "--out", "o.csv", "--overwrite", "--quiet").err == ""
    assert Path("o.csv").read_text().startswith("source,")
    assert sorted(path.name for path in Path().iterdir()) == ["o.csv", "o.csv.meta.json"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--csv", "--json"], "--csv and --json are two formats"),
        (["--out", "o.xlsx"], "“o.xlsx” tells no format; end it with .csv"),
        (["--out", "o.csv", "--json"], "“o.csv” is at odds with --json"),
        (["--window", "1 week"], "--window takes a time such as 1s, 500ms, 2min"),
        (["--window", "1x"], "not “1x”"),
        (["--baseline", "5"], "--baseline takes START-END, such as 0-5, or a timeline, not “5”"),
        (["--baseline", "a.mp4"], "a.mp4 is a video, not a timeline: scan it first"),
        (["--by", "nose"], "'nose' is not one of"),
        (["--baseline", "gone.parquet"], "gone.parquet cannot be read"),
        (["--baseline", "8-9"], "there is no face in the stretch 8-9 s"),
        (["--speakers", "gone.srt"], "gone.srt cannot be read"),
        (["--speaker-track", "Anna=1"], "--speaker-track needs --speakers"),
    ],
)
def test_what_does_not_fit_is_one_sentence(run, table, words, sentence) -> None:
    result = run("summary", table, *words)
    assert result.code == 2 and result.out == ""
    assert sentence in result.err and result.err.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_a_timeline_is_never_the_output(run, table, command) -> None:
    before = table.read_bytes()
    result = run(command, table, "--out", table, "--overwrite")
    assert result.code == 2 and "is one of the timelines" in result.err
    assert table.read_bytes() == before


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_is_no_timeline(run, table, command) -> None:
    Path("x.csv").write_text("a,b\n1,2\n")
    result = run(command, table, "x.csv")
    assert result.code == 2 and "x.csv is no timeline of emoscan's" in result.err


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_timeline_without_its_metadata(run, tmp_path, command, suffix) -> None:
    path = save(timeline(happy_for(1, 3)), tmp_path / f"t.{suffix}")
    (tmp_path / f"t.{suffix}.meta.json").unlink()
    result = run(command, path)
    assert result.code == 0 and len(rows_of(result.out)) == (3 if command == "episodes" else 1)


@pytest.mark.parametrize("command", COMMANDS)
def test_timelines_without_rows_and_without_faces(run, tmp_path, command) -> None:
    empty = save(timeline(happy_for(0, 0, until_s=0.0)), tmp_path / "e.parquet")
    faceless = timeline(without(even(25, 1)).assign(frame=range(25)))
    nobody = save(faceless, tmp_path / "n.csv")
    for path in (empty, nobody):
        result = run(command, path)
        rows = rows_of(result.out)
        assert result.code == 0 and result.out.startswith("source,")
        assert len(rows) == (1 if (command, path) == ("summary", nobody) else 0)
        assert ("No face was found" in result.err) == (command == "episodes")
        assert ("nothing to sum up" in result.err) == ((command, path) == ("summary", empty))
        assert json.loads(run(command, path, "--json").out) == [] or rows


def test_where_there_is_no_episode_all_thresholds_are_named(run, tmp_path) -> None:
    calm = save(timeline(face(even(25, 2), scores(happy=np.full(50, 0.3)))), tmp_path / "c.csv")
    result = run("episodes", calm)
    assert result.code == 0 and "lower --high, --low or --min-duration" in result.err


def test_episodes_of_few_frames_come_with_a_note(run, tmp_path) -> None:
    times = even(1, 5)
    path = save(timeline(face(times, scores(happy=np.full(5, 0.9)))), tmp_path / "s.csv")
    assert "every 1.00 s: onset and offset come late" in run("episodes", path).err
    assert run("episodes", path, "--quiet").err == ""


def test_photos(run, on_a_terminal, tmp_path) -> None:
    happy = scores(happy=np.array([0.9, 0.8]))
    path = save(photos({"a.jpg": happy, "b.jpg": happy[:0]}), tmp_path / "p.csv")
    result = run("episodes", path)
    assert result.code == 2 and "Photos have no time" in result.err
    rows = rows_of(run("summary", path).out)
    assert [(row["source"], row["coverage"], row["happy_share"]) for row in rows] == [
        ("a.jpg", "1.0", "1.0"), ("b.jpg", "0.0", ""),
    ]  # fmt: skip
    result = run("summary", path, "--window", 1)
    assert result.code == 2 and "Photos have no time; --window needs" in result.err
    shown = on_a_terminal("summary", path)
    assert "a.jpg" in shown.out and "time" not in shown.out
    assert "Per cents are of the faces in the photos" in shown.err


def test_several_timelines(run, tmp_path) -> None:
    first = save(timeline(happy_for(1, 3, source="a.mp4", label="Anna")), tmp_path / "1.csv")
    second = save(timeline(happy_for(0, 2, source="b.mp4")), tmp_path / "2.parquet")
    rows = rows_of(run("episodes", second, first, "--emotion", "happy").out)
    assert [(row["source"], row["label"]) for row in rows] == [("a.mp4", "Anna"), ("b.mp4", "")]
    (row,) = rows_of(run("summary", first, second, "--by", "none").out)
    assert (row["source"], row["face_s"], row["happy_share"]) == ("", "8.0", "0.5")


def test_sources_of_the_same_name_are_told_apart(run, tmp_path) -> None:
    paths = [tmp_path / day / "t.csv" for day in ("day1", "day2")]
    for path, to_s in zip(paths, (2, 3), strict=True):
        save(timeline(happy_for(1, to_s)), path)
    result = run("summary", *paths)
    assert [row["source"] for row in rows_of(result.out)] == [f"{path}: a.mp4" for path in paths]
    assert "Several timelines are of a “a.mp4”" in result.err
    result = run("summary", paths[0], paths[0])
    assert result.code == 2 and "is named twice" in result.err


def test_photos_beside_videos(run, table, tmp_path) -> None:
    other = save(photos({"a.jpg": scores(happy=0.9)}), tmp_path / "p.csv")
    result = run("summary", table, other)
    assert result.code == 2 and "of photos, others of videos" in result.err


def test_speakers(run, table, tmp_path) -> None:
    talk = tmp_path / "talk.srt"
    talk.write_text("1\n00:00:01,000 --> 00:00:03,000\nAnna: hello\n")
    result = run("summary", table, "--speakers", talk, "--speaker-track", "Anna=1")
    assert result.code == 0 and result.err == "Speakers: Anna 2.0 s.\n"
    rows = rows_of(result.out)
    assert [(row["track"], row["speech"], row["happy_share"]) for row in rows] == [
        ("1", "speaking", "1.0"), ("1", "silence", "0.0"),
        ("2", "listening", "0.5"), ("2", "silence", "0.5"),
    ]  # fmt: skip
    talk.write_text("1\n00:00:01,000 --> tomorrow\nAnna: hello\n")
    result = run("summary", table, "--speakers", talk)
    assert result.code == 2 and f"{talk}, line 2: a time such as" in result.err


def test_on_a_terminal_there_is_a_table_to_read(on_a_terminal, table) -> None:
    result = on_a_terminal("episodes", table, "--no-color")
    lines = [line.split() for line in result.out.splitlines()]
    assert lines[0] == ["face", "emotion", "onset", "apex", "offset", "lasts", "mean", "peak"]
    assert ["Ben", "happy"] in [line[:2] for line in lines]
    assert "All columns: --csv" in result.err and "apparent expression" in result.err
    result = on_a_terminal("summary", table)
    assert len(result.out.splitlines()) == 3 and "50%" in result.out
    assert max(map(len, result.out.splitlines())) <= 80
    assert "by likeliest class" in result.err
    assert (
        on_a_terminal("summary", table, "--csv").out
        == on_a_terminal("summary", table, "-o", "-").out
    )
    assert on_a_terminal("summary", table, "--csv").out.startswith("source,track")


def test_long_tables_are_cut_on_a_terminal_alone(on_a_terminal, run, table) -> None:
    result = on_a_terminal("summary", table, "--window", 0.1)
    assert len(result.out.splitlines()) == 61 and "20 rows more, and all columns" in result.err
    assert len(rows_of(run("summary", table, "--window", 0.1).out)) == 80


def test_odd_names_are_shown_and_not_obeyed(on_a_terminal, run, tmp_path) -> None:
    rows = timeline(
        happy_for(1, 3, source=ODD), happy_for(1, 3, source="\x1b[31mred" + "d" * 40, label="[b]")
    )
    path = save(rows, tmp_path / "t.csv")
    shown = on_a_terminal("summary", path, "--no-color").out
    assert r"früh”\n映像.mp4" in shown and "\x1b[31m" not in shown and "[b]" in shown
    assert "…" + "d" * 23 in shown
    names = [row["source"] for row in rows_of(run("summary", path).out)]
    assert ODD in names


def test_numbers_to_be_read() -> None:
    assert [clock(s) for s in (0, 0.29, 59.999, 61.5, 3600 * 2 + 62.05)] == [
        "0:00.00", "0:00.29", "1:00.00", "1:01.50", "2:01:02.05",
    ]  # fmt: skip
    assert [percent(share) for share in (0, 0.001, 0.504, 1)] == ["0%", "<1%", "50%", "100%"]
    assert [signed(value) for value in (-0.001, 0.5, -0.126)] == ["+0.00", "+0.50", "-0.13"]


def test_windows_are_shown_where_there_are_some(on_a_terminal, table, tmp_path) -> None:
    """Two videos do not end together, which makes no windows of them."""
    longer = save(timeline(happy_for(1, 3, until_s=6.0, source="b.mp4")), tmp_path / "b.parquet")
    assert "from" not in on_a_terminal("summary", table, longer).out
    assert "from" in on_a_terminal("summary", table, "--window", "1s").out
