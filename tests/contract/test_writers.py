"""What every writer keeps, whatever the format."""

import csv
import errno
import gc
import io
import json
import math
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from emoscan.emotions import EMOTIONS
from emoscan.errors import OutputError, UsageError
from emoscan.options import TableFormat
from emoscan.timeline import encoders, writers
from emoscan.timeline.read import read_timeline
from emoscan.timeline.records import record_batch
from emoscan.timeline.schema import CSV_COLUMNS, SCHEMA
from emoscan.timeline.writers import format_of, open_stream, open_table
from tests.timeline.samples import SOURCE, records

METADATA = {"source": SOURCE, "options": {"fps": None}, "start_s": 0.4}
STREAMED = [TableFormat.CSV, TableFormat.JSONL]


@pytest.fixture(params=list(TableFormat))
def table_format(request):
    return request.param


@pytest.fixture
def out(table_format, tmp_path):
    return tmp_path / f"Zeitachse – 表.{table_format}"


def open_new(out, overwrite=False):
    return open_table(out, TableFormat(out.suffix[1:]), overwrite=overwrite)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def whole(out):
    """What a committed table leaves in its folder."""
    beside = [] if out.suffix == ".parquet" else [f"{out.name}.meta.json"]
    return sorted([out.name, *beside])


class TestFiles:
    def test_round_trip(self, out):
        table, rows = open_new(out), records(30)
        for start in range(0, len(rows), 7):
            table.write(rows[start : start + 7])
        assert table.rows == len(rows)
        table.commit(METADATA)
        frame = read_timeline(out)
        for column in ("frame", "status", "x", "confidence"):
            found = frame[column].astype(object).where(frame[column].notna(), None).tolist()
            assert found == [getattr(row, column) for row in rows]
        assert set(frame["source"]) == {SOURCE}
        assert frame.attrs == {"schema_version": 1, **METADATA}
        assert names(out.parent) == whole(out)

    def test_more_rows_than_a_batch_and_a_row_group(self, out, monkeypatch):
        monkeypatch.setattr(writers, "BATCH_ROWS", 10)
        monkeypatch.setattr(encoders, "ROW_GROUP_ROWS", 30)
        table = open_new(out)
        for number in range(4):
            table.write(records(20, source=f"{number}.mp4"))
        table.commit(METADATA)
        frame = read_timeline(out)
        assert list(frame["source"].cat.categories) == ["0.mp4", "1.mp4", "2.mp4", "3.mp4"]
        assert frame["frame"].tolist() == 4 * [row.frame for row in records(20)]

    def test_nothing_bears_the_name_before_commit(self, out):
        table = open_new(out)
        table.write(records(30))
        assert not out.exists()
        table.commit(METADATA)
        assert out.exists()

    def test_missing_folders_are_made(self, out):
        deep = out.parent / "a" / "b" / out.name
        table = open_new(deep)
        table.commit(METADATA)
        assert names(deep.parent) == whole(out)

    def test_discard_leaves_nothing(self, out):
        table = open_new(out)
        table.write(records())
        table.discard()
        table.discard()
        assert names(out.parent) == []

    def test_discard_after_commit_changes_nothing(self, out):
        table = open_new(out)
        table.commit(METADATA)
        table.discard()
        assert names(out.parent) == whole(out)

    def test_a_partial_table_is_whole_and_has_its_own_name(self, out):
        table = open_new(out)
        table.write(records())
        partial = table.keep_partial(METADATA)
        assert partial == out.with_name(f"{out.stem}.partial{out.suffix}")
        assert len(read_timeline(partial)) == len(records())
        assert read_timeline(partial).attrs["source"] == SOURCE
        assert names(out.parent) == whole(partial)

    def test_without_a_row_there_is_no_partial_table(self, out):
        assert open_new(out).keep_partial(METADATA) is None
        assert names(out.parent) == []

    def test_a_partial_table_replaces_an_older_one(self, out):
        for count in (2, 5):
            table = open_new(out)
            table.write(records(count))
            partial = table.keep_partial(METADATA)
        assert len(read_timeline(partial)) == len(records(5))

    def test_an_existing_table_is_kept(self, out):
        out.write_text("precious")
        with pytest.raises(OutputError, match="use --overwrite"):
            open_new(out)
        assert out.read_text() == "precious"
        assert names(out.parent) == [out.name]

    def test_one_that_appeared_meanwhile_is_kept_too(self, out):
        table = open_new(out)
        table.write(records())
        out.write_text("precious")
        with pytest.raises(OutputError, match="use --overwrite"):
            table.commit(METADATA)
        assert out.read_text() == "precious"
        assert len(read_timeline(table.keep_partial(METADATA))) == len(records())

    def test_the_last_moment_is_guarded_by_the_file_system(self, out, monkeypatch):
        table = open_new(out)
        monkeypatch.setattr(writers, "_refuse_existing", lambda *_, **__: None)
        out.write_text("precious")
        with pytest.raises(OutputError, match="use --overwrite"):
            table.commit(METADATA)
        assert out.read_text() == "precious"

    def test_a_file_system_without_links(self, out, monkeypatch):
        def refuse(*_):
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", refuse)
        open_new(out).commit(METADATA)
        assert names(out.parent) == whole(out)

    def test_overwrite_replaces_only_at_the_end(self, out):
        out.write_text("old")
        table = open_new(out, overwrite=True)
        table.write(records())
        assert out.read_text() == "old"
        table.commit(METADATA)
        assert len(read_timeline(out)) == len(records())

    def test_a_folder_of_that_name_is_kept(self, out):
        out.mkdir()
        with pytest.raises(OutputError, match="is a folder"):
            open_new(out, overwrite=True)

    def test_a_file_where_a_folder_should_be(self, out):
        (out.parent / "a").write_text("")
        with pytest.raises(OutputError, match="cannot be written"):
            open_new(out.parent / "a" / out.name)

    def test_an_exception_that_passes_through_leaves_no_table(self, out):
        def job():
            table = open_new(out)
            try:
                table.write(records(30))
                raise RuntimeError("in the middle")
            except RuntimeError:
                table.discard()
                raise

        with pytest.raises(RuntimeError):
            job()
        assert names(out.parent) == []

    def test_an_interrupt_neither_loses_nor_doubles_a_row(self, out, monkeypatch):
        def interrupted_record_batch(rows):
            signal.raise_signal(signal.SIGINT)
            return record_batch(rows)

        monkeypatch.setattr(writers, "BATCH_ROWS", 10)
        table = open_new(out)
        table.write(records(30))
        with monkeypatch.context() as during, pytest.raises(KeyboardInterrupt):
            during.setattr(writers, "record_batch", interrupted_record_batch)
            table.write(records(20))
        assert len(read_timeline(table.keep_partial(METADATA))) == table.rows
        assert not out.exists()

    def test_an_interrupt_during_commit_waits_for_its_end(self, out, monkeypatch):
        table = open_new(out)
        table.write(records())
        monkeypatch.setattr(writers, "_sync_folder", lambda _: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            table.commit(METADATA)
        assert table.keep_partial(METADATA) is None
        assert len(read_timeline(out)) == len(records())

    def test_a_table_can_be_written_in_another_thread(self, out):
        table = open_new(out)
        table.write(records())
        with ThreadPoolExecutor() as pool:
            pool.submit(table.commit, METADATA).result()
        assert len(read_timeline(out)) == len(records())

    def test_a_writer_that_is_just_dropped_leaves_no_table(self, out):
        table = open_new(out)
        table.write(records(30))
        del table
        gc.collect()
        assert not out.exists()

    def test_records_of_wrong_types_are_refused(self, out):
        table = open_new(out)
        table.write(records(source=3))
        with pytest.raises(TypeError, match="Column source"):
            table.commit(METADATA)
        table.discard()
        assert names(out.parent) == []

    def test_a_table_that_lacks_rows_gets_no_name(self, out, monkeypatch):
        table = open_new(out)
        table.write(records())
        monkeypatch.setattr(writers, "count_rows", lambda *_: len(records()) - 1)
        with pytest.raises(OutputError, match="did not take all its rows"):
            table.commit(METADATA)
        assert not out.exists()

    def test_a_table_without_its_end_gets_no_name(self, tmp_path, monkeypatch):
        out = tmp_path / "t.parquet"
        table = open_new(out)
        table.write(records())
        monkeypatch.setattr(writers, "_sync", lambda file: file.truncate(100))
        with pytest.raises(OutputError, match="not written whole"):
            table.commit(METADATA)
        table.discard()
        assert names(tmp_path) == []

    def test_metadata_need_not_be_json_themselves(self, out):
        table = open_new(out)
        name = b"\xe9.mp4".decode("utf-8", "surrogateescape")
        table.commit({"out": Path("a"), "rate": math.nan, "source": name})
        assert read_timeline(out).attrs == {
            "schema_version": 1,
            "out": "a",
            "rate": None,
            "source": name,
        }


class FullDisk(io.BytesIO):
    """Takes some bytes, then no more."""

    room = 2_000

    def write(self, data):
        if self.tell() + len(data) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


class TestFullDisk:
    @pytest.fixture
    def table(self, out, monkeypatch):
        monkeypatch.setattr(Path, "open", lambda *_, **__: FullDisk())
        return open_new(out)

    @pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
    def test_is_said_in_words(self, table, out, monkeypatch):
        with pytest.raises(OutputError, match="disk is full; free some space"):
            for _ in range(2):
                table.write(records(1600))
            table.commit(METADATA)
        monkeypatch.undo()
        table.discard()
        del table
        gc.collect()
        assert names(out.parent) == []

    @pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
    def test_even_the_footer_may_not_fit(self, tmp_path, monkeypatch):
        monkeypatch.setattr(Path, "open", lambda *_, **__: FullDisk())
        table = open_new(tmp_path / "t.parquet")
        with pytest.raises(OutputError, match="disk is full"):
            table.commit(METADATA)
        table.discard()
        del table
        gc.collect()

    def test_permission_is_said_in_words(self, out, monkeypatch):
        def refuse(*_, **__):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
        with pytest.raises(OutputError, match=r"permission denied\); choose another place"):
            open_new(out)


@pytest.mark.parametrize("table_format", STREAMED)
class TestStreams:
    def test_rows_come_as_they_are_written(self, table_format, tmp_path):
        stream = io.BytesIO()
        table = open_stream(stream, table_format)
        header_lines = 1 if table_format is TableFormat.CSV else 0
        table.write([])
        table.write(records(source="a.mp4"))
        assert len(stream.getvalue().splitlines()) == header_lines + len(records())
        table.write(records(source="b.mp4"))
        table.commit(METADATA)
        assert table.rows == 2 * len(records())
        kept = tmp_path / f"kept.{table_format}"
        kept.write_bytes(stream.getvalue())
        assert len(read_timeline(kept)) == table.rows

    def test_nothing_is_kept_or_taken_back(self, table_format):
        stream = io.BytesIO()
        table = open_stream(stream, table_format)
        table.write(records())
        assert table.keep_partial(METADATA) is None
        before = stream.getvalue()
        table.discard()
        assert stream.getvalue() == before

    def test_a_closed_pipe_is_the_caller_s(self, table_format):
        reading, writing = os.pipe()
        with os.fdopen(writing, "wb", buffering=0) as stream:
            table = open_stream(stream, table_format)
            os.close(reading)
            with pytest.raises(BrokenPipeError):
                table.write(records())

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
    def test_a_full_disk_behind_standard_output(self, table_format):
        with (
            pytest.raises(OutputError, match="disk is full"),
            Path("/dev/full").open("wb", buffering=0) as stream,
        ):
            open_stream(stream, table_format).write(records())


def test_parquet_cannot_be_streamed():
    with pytest.raises(UsageError, match="cannot be streamed"):
        open_stream(io.BytesIO(), TableFormat.PARQUET)


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    """64,016 rows."""
    out = tmp_path_factory.mktemp("parquet") / "t.parquet"
    table, rows = open_new(out), records(3000, source="a.mp4")
    for _ in range(16):
        table.write(rows)
    table.commit(METADATA)
    return out


class TestParquet:
    def test_row_groups_codec_and_encodings(self, parquet):
        footer = pq.read_metadata(parquet)
        sizes = [footer.row_group(index).num_rows for index in range(footer.num_row_groups)]
        assert all(20_000 <= size <= 100_000 for size in sizes[:-1])
        assert len(sizes) > 1
        group = footer.row_group(0)
        columns = {
            group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)
        }
        assert {column.compression for column in columns.values()} == {"ZSTD"}
        for name in ("time_s", "x", "score", "landmarks.list.element", *EMOTIONS):
            assert "BYTE_STREAM_SPLIT" in columns[name].encodings
        assert columns["emotion"].has_dictionary_page

    def test_the_schema_reads_back(self, parquet):
        assert pq.read_schema(parquet).equals(SCHEMA)

    def test_duckdb_reads_it(self, parquet):
        query = f"SELECT status, count(*) FROM '{parquet}' GROUP BY status ORDER BY status"
        assert duckdb.sql(query).fetchall() == [
            ("face", 48_000),
            ("no_face", 16_000),
            ("unreadable", 16),
        ]


class TestText:
    def test_floats_are_as_short_as_float32_allows(self, tmp_path):
        for suffix in STREAMED:
            table = open_new(tmp_path / f"t.{suffix}")
            table.write(records())
            table.commit(METADATA)
            text = (tmp_path / f"t.{suffix}").read_text("utf-8")
            assert "0.3," in text
            assert "0.300000" not in text
            assert "nan" not in text.lower()

    def test_csv_has_a_header_and_empty_fields(self, tmp_path):
        out = tmp_path / "t.csv"
        table = open_new(out)
        table.write(records())
        table.commit(METADATA)
        with out.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert tuple(rows[0]) == CSV_COLUMNS
        assert rows[0] == dict.fromkeys(CSV_COLUMNS, "") | {
            "source": SOURCE,
            "frame": "0",
            "time_s": "0.0",
            "status": "no_face",
        }

    def test_json_lines_have_null_and_a_list(self, tmp_path):
        out = tmp_path / "t.jsonl"
        table = open_new(out)
        table.write(records())
        table.commit(METADATA)
        first, second = map(json.loads, out.read_text("utf-8").split("\n")[:2])
        assert list(first) == SCHEMA.names
        assert first["landmarks"] is None
        assert len(second["landmarks"]) == 10


class TestFormat:
    @pytest.mark.parametrize(
        ("out", "explicit", "told"),
        [
            (None, None, "parquet"),
            (None, TableFormat.CSV, "csv"),
            ("a/b.CSV", None, "csv"),
            ("b.jsonl", TableFormat.JSONL, "jsonl"),
            ("b.txt", TableFormat.CSV, "csv"),
            ("-", None, "csv"),
            ("-", TableFormat.JSONL, "jsonl"),
        ],
    )
    def test_told_by_suffix_or_option(self, out, explicit, told):
        assert format_of(out, explicit) == told

    @pytest.mark.parametrize(
        ("out", "explicit", "words"),
        [
            ("b.txt", None, "tells no format; end it with .parquet, .csv, .jsonl"),
            ("b", None, "tells no format"),
            ("b.csv", TableFormat.PARQUET, "at odds with --format parquet"),
            ("-", TableFormat.PARQUET, "cannot be streamed"),
        ],
    )
    def test_told_by_neither_or_by_two(self, out, explicit, words):
        with pytest.raises(UsageError, match=words):
            format_of(out, explicit)
