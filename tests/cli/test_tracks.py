"""`emoscan tracks` as a user meets it."""

import csv
import io
import json
import sys
from pathlib import Path

import pandas as pd
import pytest

import emoscan
from emoscan.options import TableFormat
from emoscan.timeline.records import FaceRecord, unreadable_record
from emoscan.timeline.schema import Status
from emoscan.timeline.writers import open_table
from emoscan.types import Unreadable
from tests.timeline.test_tracks import frame_rows

METADATA = {"options": {"fps": None}, "media": {"frame_rate": 10.0}}


@pytest.fixture
def table(tmp_path):
    """Writes the same twelve frames in any format: tracks 1 to 4."""

    def write(name: str = "talk.parquet", rows=None) -> Path:
        path = tmp_path / name
        if rows is None:
            rows = [row for i in range(6) for row in frame_rows(i, [1] + [2] * (i < 3))]
            rows += [row for i in range(6, 12) for row in frame_rows(i, [3] if i < 11 else [4])]
            rows.append(unreadable_record(Unreadable("a.mp4", 12, 1.2)))
        writing = open_table(path, TableFormat(path.suffix[1:]), overwrite=True)
        writing.write(rows)
        writing.commit(METADATA)
        return path

    return write


def test_tracks_are_csv_where_nobody_looks(run, table) -> None:
    result = run("tracks", table())
    rows = list(csv.DictReader(io.StringIO(result.out)))
    assert result.code == 0 and result.err == ""
    assert [row["track"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["rows"] for row in rows] == ["6", "3", "5", "1"]
    assert rows[0]["last_s"] == "0.5" and rows[0]["label"] == ""
    assert list(Path().iterdir()) == []


def test_times_late_in_a_long_video_are_exact(run, table) -> None:
    rows = frame_rows(123_456, [1]) + frame_rows(123_457, [1])
    result = run("tracks", table(rows=rows))
    assert "12345.6,12345.7" in result.out


def test_tracks_are_a_table_on_a_terminal(run, table, monkeypatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    result = run("tracks", table(), "--no-color")
    lines = result.out.splitlines()
    assert lines[0].split()[:3] == ["track", "label", "from"] and len(lines) == 5
    assert lines[1].split()[:2] == ["1", "0:00.00"] and "100 px" in lines[1]
    assert "\x1b" not in result.out


def test_nothing_was_found(run, table, monkeypatch) -> None:
    path = table(rows=frame_rows(0, []))
    assert run("tracks", path).out.startswith("source,track,")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run("tracks", path).out == "No tracks: no face was found.\n"


def test_names_with_escape_sequences_are_shown_not_obeyed(run, table, monkeypatch) -> None:
    path = table()
    named = run("tracks", path, "--label", "1=\x1b[2J[bold]", "--out", "named.parquet")
    assert named.code == 0
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    result = run("tracks", "named.parquet", "--no-color")
    assert "\x1b" not in result.out and "\\x1b[2J[bold]" in result.out


@pytest.mark.parametrize("suffix", list(TableFormat))
def test_edits_make_a_new_table_of_the_same_format(run, table, suffix) -> None:
    path = table(f"talk.{suffix}")
    before = path.read_bytes()
    result = run(
        "tracks", path, "--merge", "1,3", "--label", "3=Jörg = G", "--drop", "2", "--drop", "4"
    )
    assert result.code == 0 and result.out == "" and path.read_bytes() == before
    assert result.err == (
        f"4 tracks became 1, 1 with a label; 4 faces dropped → talk.edited.{suffix}\n"
    )
    edited = emoscan.read_timeline(f"talk.edited.{suffix}")
    assert edited["track"].dropna().unique().tolist() == [1]
    assert edited["label"].dropna().unique().tolist() == ["Jörg = G"]
    assert edited["frame"].tolist() == list(range(13))
    assert edited.attrs["options"] == METADATA["options"]
    assert edited.attrs["edits"] == [
        {"merge": [[1, 3]], "label": {"3": "Jörg = G"}, "drop": [2, 4]}
    ]


def test_out_tells_the_format_and_the_place(run, table) -> None:
    assert run("tracks", table(), "--drop-shorter", 0.35, "--out", "new/t.csv", "-q").err == ""
    edited = emoscan.read_timeline("new/t.csv")
    assert edited["track"].dropna().unique().tolist() == [1, 3]
    assert edited.attrs["edits"][0]["drop"] == [2, 4]


def test_tables_without_metadata_can_be_edited(run, table) -> None:
    path = table("talk.csv")
    Path(f"{path}.meta.json").unlink()
    assert run("tracks", path, "--drop", 4).code == 0
    assert emoscan.read_timeline("talk.edited.csv").attrs["edits"][0]["drop"] == [4]


def test_json_has_the_tracks_and_the_output(run, table) -> None:
    path = table()
    listed = json.loads(run("tracks", path, "--json").out)
    assert listed["timeline"] == str(path) and "output" not in listed
    assert [track["track"] for track in listed["tracks"]] == [1, 2, 3, 4]
    edited = run("tracks", path, "--drop", "1,2", "--json")
    report = json.loads(edited.out)
    assert report["output"] == "talk.edited.parquet" and edited.err == ""
    assert [track["track"] for track in report["tracks"]] == [3, 4]


def test_python_does_the_same(run, table) -> None:
    path = table()
    run("tracks", path, "--merge", "2,3", "--label", "1=Host")
    edited = emoscan.edit_tracks(emoscan.read_timeline(path), merge=[(2, 3)], label={1: "Host"})
    emoscan.write_timeline(edited, "python.parquet")
    one, other = (emoscan.read_timeline(f"{name}.parquet") for name in ("python", "talk.edited"))
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert one.attrs == other.attrs


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--merge", "1,2"], 2, "Tracks 1 and 2 are both in frame 0, at 0.000 s"),
        (["--merge", "1"], 2, "at least two tracks"),
        (["--drop", "7"], 2, "no track 7 in this timeline; it has 1 to 4"),
        (["--drop", "one"], 2, "“one” holds no such"),
        (["--drop", "1,,2"], 2, "“1,,2” holds no such"),
        (["--label", "1"], 2, "1=Guest, not “1”"),
        (["--label", "1=A", "--label", "1=B"], 2, "two names to track 1"),
        (["--drop-shorter", "0"], 2, "--drop-shorter is above 0"),
        (["--out", "x.csv"], 2, "nothing to write without --merge"),
        (["--drop", "1", "--out", "-"], 2, "not streamed"),
        (["--drop", "1", "--out", "x.xlsx"], 2, "tells no format"),
        (["--drop", "1", "--out", "folder.csv"], 7, "is a folder"),
    ],
)
def test_what_does_not_fit_is_one_sentence(run, table, words, code, said) -> None:
    Path("folder.csv").mkdir()
    result = run("tracks", table(), *words)
    assert (result.code, result.out) == (code, "") and said in result.err
    assert result.err.startswith("Error: ") and result.err.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == ["folder.csv"]


def test_the_timeline_itself_stays(run, table) -> None:
    path = table()
    result = run("tracks", path, "--drop", 1, "--out", path, "--overwrite")
    assert result.code == 2 and "is the timeline itself" in result.err


def test_an_existing_output_is_refused_without_overwrite(run, table) -> None:
    path = table()
    assert run("tracks", path, "--drop", 1).code == 0
    again = run("tracks", path, "--drop", 2)
    assert again.code == 7 and "exists already" in again.err
    assert run("tracks", path, "--drop", 2, "--overwrite").code == 0
    assert 2 not in set(emoscan.read_timeline("talk.edited.parquet")["track"].dropna())


def test_what_is_no_timeline_of_a_video(run, table, tmp_path) -> None:
    assert "cannot be read" in run("tracks", "absent.parquet").err
    photos = [FaceRecord("a.jpg", 0, None, Status.NO_FACE)]
    result = run("tracks", table("photos.csv", rows=photos))
    assert result.code == 2 and "Photos have no" in result.err
