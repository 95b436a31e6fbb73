"""What every writer keeps, whatever the format."""

import csv
import errno
import gc
import io
import json
import math
import os
import secrets
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emoscan.emotions import EMOTIONS
from emoscan.errors import OutputError, UsageError
from emoscan.options import TableFormat
from emoscan.timeline import encoders, writers
from emoscan.timeline.read import read_timeline
from emoscan.timeline.records import record_batch
from emoscan.timeline.schema import CSV_COLUMNS, SCHEMA, metadata_path
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


def keep(out, count, overwrite=False):
    table = open_new(out, overwrite)
    table.write(records(count))
    return table.keep_partial(METADATA)


def no_links(*_):
    raise OSError(errno.EPERM, "no links here")


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

    def test_records_and_batches_stay_in_their_order(self, out):
        table, rows = open_new(out), records(30)
        table.write(rows[:7])
        table.write_batch(record_batch(rows[7:20]))
        table.write(rows[20:])
        assert table.rows == len(rows)
        table.commit(METADATA)
        assert read_timeline(out)["frame"].tolist() == [row.frame for row in rows]

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

    def test_whoever_has_little_memory_has_small_row_groups(self, out, monkeypatch):
        monkeypatch.setattr(writers, "BATCH_ROWS", 10)
        table = open_table(out, TableFormat(out.suffix[1:]), overwrite=False, row_group_rows=20)
        table.write(records(90))
        table.commit(METADATA)
        assert read_timeline(out)["frame"].tolist() == [row.frame for row in records(90)]
        if out.suffix == ".parquet":
            groups = pq.read_metadata(out)
            rows = [groups.row_group(number).num_rows for number in range(groups.num_row_groups)]
            assert max(rows) <= 30 and sum(rows) == len(records(90))

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

    def test_a_partial_table_leaves_older_ones_alone(self, out):
        kept = [keep(out, count) for count in (9, 5, 2)]
        stem, suffix = out.stem, out.suffix
        assert [partial.name for partial in kept] == [
            f"{stem}.partial{suffix}",
            f"{stem}.partial-2{suffix}",
            f"{stem}.partial-3{suffix}",
        ]
        assert [len(read_timeline(partial)) for partial in kept] == [
            len(records(count)) for count in (9, 5, 2)
        ]
        assert all(read_timeline(partial).attrs["source"] == SOURCE for partial in kept)

    def test_a_partial_table_may_replace_an_older_one(self, out):
        kept = [keep(out, count, overwrite=True) for count in (9, 5)]
        assert kept[0] == kept[1]
        assert len(read_timeline(kept[0])) == len(records(5))
        assert names(out.parent) == whole(kept[0])

    def test_two_runs_with_one_name_do_not_disturb_each_other(self, out):
        first, second = open_new(out), open_new(out)
        assert all(name.startswith(f".emoscan-{os.getpid()}-") for name in names(out.parent))
        first.write(records(30))
        second.write(records(20))
        second.discard()
        first.commit(METADATA)
        assert len(read_timeline(out)) == len(records(30))
        assert names(out.parent) == whole(out)

    def test_nobody_s_hidden_file_is_replaced(self, out, monkeypatch):
        monkeypatch.setattr(secrets, "token_hex", lambda _: "same")
        first = open_new(out)
        first.write(records(30))
        with pytest.raises(OutputError, match="cannot be written"):
            open_new(out)
        first.commit(METADATA)
        assert len(read_timeline(out)) == len(records(30))

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
        metadata_path(out).write_text("precious too")
        with pytest.raises(OutputError, match="use --overwrite"):
            table.commit(METADATA)
        table.discard()
        assert out.read_text() == "precious"
        assert metadata_path(out).read_text() == "precious too"
        assert names(out.parent) == sorted([out.name, metadata_path(out).name])

    def test_a_file_system_without_links(self, out, monkeypatch):
        monkeypatch.setattr(os, "link", no_links)
        open_new(out).commit(METADATA)
        assert names(out.parent) == whole(out)

    def test_an_existing_table_is_kept_without_links_too(self, out, monkeypatch):
        monkeypatch.setattr(os, "link", no_links)
        table = open_new(out)
        table.write(records())
        monkeypatch.setattr(writers, "_refuse_existing", lambda *_, **__: None)
        out.write_text("precious")
        with pytest.raises(OutputError, match="use --overwrite"):
            table.commit(METADATA)
        assert out.read_text() == "precious"
        assert [keep(out, 2), table.keep_partial(METADATA)] == [
            out.with_name(f"{out.stem}.partial{out.suffix}"),
            out.with_name(f"{out.stem}.partial-2{out.suffix}"),
        ]

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

    def test_the_rows_before_one_of_a_wrong_type_are_kept(self, out, monkeypatch):
        monkeypatch.setattr(writers, "BATCH_ROWS", len(records()))
        table = open_new(out)
        table.write(records())
        with pytest.raises(TypeError, match="Column source"):
            table.write(records(source=3))
        assert len(read_timeline(table.keep_partial(METADATA))) == table.rows == len(records())

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


class FillingDisk(io.FileIO):
    """A file on a disk with `room` bytes left; `passing`, there is room again after an error."""

    def __init__(self, path, room, passing):
        super().__init__(path, "xb")
        self._room, self._passing = room, passing

    def write(self, data):
        room = self._room - self.tell()
        if room <= 0:
            if self._passing:
                self._room = math.inf
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data if len(data) <= room else bytes(data)[:room])


def fail(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


class TestWhatIsLeftOfAFailure:
    @pytest.fixture(params=[False, True], ids=["lasting", "passing"])
    def passing(self, request):
        return request.param

    @pytest.fixture
    def filling(self, out, monkeypatch, passing):
        """Begin a table on a disk that has so much room."""
        monkeypatch.setattr(writers, "BATCH_ROWS", 100)
        monkeypatch.setattr(encoders, "ROW_GROUP_ROWS", 200)

        def begin(room):
            def opened(path, _):
                return io.BufferedWriter(FillingDisk(path, room, passing))

            with monkeypatch.context() as during:
                during.setattr(Path, "open", opened)
                return open_new(out)

        return begin

    def test_is_whole_or_nothing_wherever_it_fails(self, filling, out):
        parts = [records(140, source=f'“{name}”\n, 3" é.mp4') for name in "abc"]
        written = [row for part in parts for row in part]
        kept, room, step = set(), 0, 1_400 if out.suffix == ".parquet" else 5_003
        while not out.exists():
            table = filling(room)
            try:
                for part in parts:
                    table.write(part)
                table.commit(METADATA)
            except OutputError:
                kept.add(keep_what_there_is(table, out, written))
            room += step
        assert len(read_timeline(out)) == len(written)
        assert 0 in kept
        assert len(kept) > 5 or out.suffix == ".parquet"

    def test_every_row_that_fits_is_kept(self, out):
        resource = pytest.importorskip("resource")
        rows = records(3000, source='3".mp4')
        text = io.BytesIO()
        if out.suffix != ".parquet":
            open_stream(text, TableFormat(out.suffix[1:])).write(rows)
        fitting = text.getvalue()[:8192].count(b"\n") - (out.suffix == ".csv")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        table = open_new(out)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
            with pytest.raises(OutputError, match="cannot be written"):
                table.write(rows)
                table.commit(METADATA)
            assert keep_what_there_is(table, out, rows) == max(0, fitting)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    def test_only_parquet_needs_its_end(self, out, monkeypatch):
        table = open_new(out)
        table.write(records(30))
        finished = []
        finish = table._encoder.finish
        monkeypatch.setattr(table._encoder, "finish", lambda _: finished.append(finish(_)))
        monkeypatch.setattr(writers, "_sync", fail)
        with pytest.raises(OutputError, match="disk is full"):
            table.commit(METADATA)
        monkeypatch.undo()
        if out.suffix == ".parquet":
            with pytest.raises(OutputError, match="disk is full"):
                table.keep_partial(METADATA)
            assert names(out.parent) == []
        else:
            partial = table.keep_partial(METADATA)
            assert len(read_timeline(partial)) == table.rows == len(records(30))
            assert names(out.parent) == whole(partial)
        assert finished == [None]

    def test_may_be_discarded(self, out, monkeypatch):
        for name in ("_sync", "_write_whole", "_move_without_replacing"):
            table = open_new(out)
            table.write(records(30))
            with monkeypatch.context() as during:
                during.setattr(writers, name, fail)
                if name != "_write_whole" or out.suffix != ".parquet":
                    with pytest.raises(OutputError, match="disk is full"):
                        table.commit(METADATA)
            table.discard()
            assert names(out.parent) == []

    def test_nothing_hidden_stays_where_nothing_can_be_kept(self, out, monkeypatch):
        table = open_new(out)
        table.write(records(30))
        monkeypatch.setattr(writers, "_move_without_replacing", fail)
        with pytest.raises(OutputError, match="disk is full"):
            table.keep_partial(METADATA)
        assert names(out.parent) == []


@pytest.mark.parametrize("table_format", STREAMED)
class TestPartialMetadata:
    def test_may_be_missing(self, out, monkeypatch):
        table = open_new(out)
        table.write(records())

        def sync(file):
            if "meta" in str(file.name):
                fail()

        monkeypatch.setattr(writers, "_sync", sync)
        partial = table.keep_partial(METADATA)
        assert len(read_timeline(partial)) == len(records())
        assert names(out.parent) == [partial.name]

    def test_of_another_table_do_not_stay(self, out, monkeypatch):
        keep(out, 5)
        table = open_new(out, overwrite=True)
        table.write(records())
        monkeypatch.setattr(writers, "_write_whole", fail)
        partial = table.keep_partial(METADATA)
        assert read_timeline(partial).attrs == {}
        assert names(out.parent) == [partial.name]


def keep_what_there_is(table, out, written):
    """How many; they are the first rows, and then they are removed."""
    try:
        partial = table.keep_partial(METADATA)
    except OutputError:
        assert out.suffix == ".parquet"
        partial = None
    if partial is None:
        assert names(out.parent) == []
        return 0
    frame = read_timeline(partial)
    assert len(frame) == table.rows > 0
    assert frame["frame"].tolist() == [row.frame for row in written[: table.rows]]
    assert frame["source"].tolist() == [row.source for row in written[: table.rows]]
    assert names(out.parent) == whole(partial)
    for path in out.parent.iterdir():
        path.unlink()
    return table.rows


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


# Never collected: what was allocated in it may live longer than a test.
ARROW = pa.proxy_memory_pool(pa.default_memory_pool())


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    """64,016 rows, for which Arrow's memory came from ARROW."""
    out = tmp_path_factory.mktemp("parquet") / "t.parquet"
    rows = records(3000, source="a.mp4")
    before = pa.default_memory_pool()
    pa.set_memory_pool(ARROW)
    try:
        table = open_new(out)
        for _ in range(16):
            table.write(rows)
        table.commit(METADATA)
    finally:
        pa.set_memory_pool(before)
    return out


class TestParquet:
    def test_row_groups_codec_and_encodings(self, parquet):
        footer = pq.read_metadata(parquet)
        sizes = [footer.row_group(index).num_rows for index in range(footer.num_row_groups)]
        # Enough for readers; and no more, for so many rows wait in memory.
        assert all(10_000 <= size <= 12_000 for size in sizes[:-1])
        assert len(sizes) > 1
        group = footer.row_group(0)
        columns = {
            group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)
        }
        assert {column.compression for column in columns.values()} == {"ZSTD"}
        for name in ("time_s", "x", "score", "landmarks.list.element", *EMOTIONS):
            assert "BYTE_STREAM_SPLIT" in columns[name].encodings
        assert columns["emotion"].has_dictionary_page

    @pytest.mark.usefixtures("parquet")
    def test_long_tables_take_little_memory(self):
        # A row group of these is 2.8 MB, and not copied to be written.
        assert 0 < ARROW.max_memory() < 1e6

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
