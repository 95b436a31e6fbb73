"""Records to files: under another name until the table is whole, then renamed in one step."""

import csv
import errno
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import pyarrow as pa

from emoscan.errors import OutputError, UsageError
from emoscan.options import STANDARD_OUTPUT, TableFormat
from emoscan.timeline.disk import told_free
from emoscan.timeline.encoders import count_rows, cut_torn_row, encoder_of
from emoscan.timeline.interrupts import undisturbed
from emoscan.timeline.records import FaceRecord, record_batch
from emoscan.timeline.schema import SCHEMA_VERSION, metadata_path

# Records wait as Python objects, at some 1.5 kB each, until there are enough for Arrow's cost
# per batch not to matter.
BATCH_ROWS = 2_000

# What is being written has such a name.
HIDDEN, WRITING = ".emoscan-", ".writing"

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
_SUFFIXES = ", ".join(f".{table_format}" for table_format in TableFormat)


class TableWriter(Protocol):
    """One table that is being written. It ends with `commit`, `keep_partial` or `discard`.

    `write` and `commit` raise OutputError where the table cannot be written, and TypeError
    for records that do not fit the schema; `keep_partial` or `discard` may follow, no matter
    which of them raised.
    """

    @property
    def rows(self) -> int:
        """Rows taken so far; after `keep_partial`, the rows that its table really holds."""
        ...

    def write(self, records: Sequence[FaceRecord]) -> None:
        """Take more rows."""

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Take more rows, which are under the schema already."""

    def commit(self, metadata: Mapping[str, Any]) -> None:
        """Close the table, check it, and give it its name."""

    def keep_partial(self, metadata: Mapping[str, Any]) -> Path | None:
        """Close what there is as NAME.partial.SUFFIX, readable and whole, and say where.

        Where that name is taken, NAME.partial-2.SUFFIX and so on, unless the table may replace
        others. None where there is no row, and after `commit`. Where nothing can be kept,
        OutputError is raised, or what else was the reason, and what was written is discarded.
        """
        ...

    def discard(self) -> None:
        """Remove what was written; after `commit` or `keep_partial` nothing happens."""


def format_of(out: str | Path | None, explicit: TableFormat | None) -> TableFormat:
    """The format that an output file's suffix or `--format` tells.

    None (a name of our own choice) is Parquet, `-` is CSV. Raises UsageError where the suffix
    tells nothing or something other than `--format`, and for Parquet to standard output.
    """
    if out is None:
        return explicit or TableFormat.PARQUET
    if str(out) == STANDARD_OUTPUT:
        return _streamable(explicit or TableFormat.CSV)
    told = _by_suffix(Path(out))
    if told is None and explicit is None:
        raise UsageError(f"“{out}” tells no format; end it with {_SUFFIXES}, or use --format.")
    if told and explicit and told is not explicit:
        raise UsageError(f"“{out}” is at odds with --format {explicit}; change one of them.")
    return told or explicit or TableFormat.PARQUET


def open_table(
    out: Path,
    table_format: TableFormat,
    *,
    overwrite: bool,
    owner: str = "",
    row_group_rows: int | None = None,
) -> TableWriter:
    """Begin a table that will be called `out`, in a folder that is made where it is missing.

    The name that it has meanwhile begins with HIDDEN and `owner`. Parquet's rows wait in memory for
    a row group of `row_group_rows`, by default as many as readers like. Raises OutputError where
    `out` exists and may not be replaced, or cannot be written.
    """
    return _FileTable(
        out, table_format, overwrite=overwrite, owner=owner, row_group_rows=row_group_rows
    )


def open_stream(stream: BinaryIO, table_format: TableFormat) -> TableWriter:
    """Begin a table on a stream such as `sys.stdout.buffer`; every `write` is flushed.

    Metadata have no place there and are dropped. Raises UsageError for Parquet, OutputError
    where the stream cannot be written, and lets BrokenPipeError through.
    """
    return _StreamTable(stream, _streamable(table_format))


@contextmanager
def whole_file(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """A name to write a file to that will be called `out` once the block has ended well.

    Its folder is made where it is missing. Raises OutputError where `out` exists and may not be
    replaced, or cannot be written; what the block raises removes what it wrote.
    """
    writing = out.with_name(_hidden_name())
    with _in_words(out):
        _refuse_existing(out, overwrite=overwrite)
        out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _in_words(out):
            yield writing
        with undisturbed(), _in_words(out):
            with writing.open("r+b") as file:
                os.fsync(file.fileno())
            _give_name(writing, out, overwrite=overwrite)
            _sync_folder(out.parent)
    finally:
        with suppress(OSError):
            writing.unlink(missing_ok=True)


def refuse_existing(out: Path, *, overwrite: bool) -> None:
    """Raise OutputError where `out` is a folder, or exists and may not be replaced."""
    with _in_words(out):
        _refuse_existing(out, overwrite=overwrite)


class _FileTable:
    def __init__(
        self,
        out: Path,
        table_format: TableFormat,
        *,
        overwrite: bool,
        owner: str,
        row_group_rows: int | None,
    ) -> None:
        self._out, self._format, self._overwrite = out, table_format, overwrite
        hidden = _hidden_name(owner)
        self._writing = out.with_name(hidden)
        self._metadata_writing = out.with_name(f"{Path(hidden).stem}.meta.json{WRITING}")
        self._pending: list[FaceRecord] = []
        self._rows = 0
        self._failure: BaseException | None = None
        with _in_words(out):
            _refuse_existing(out, overwrite=overwrite)
            out.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._writing.open("xb")
            self._encoder = encoder_of(table_format, self._file, row_group_rows=row_group_rows)

    @property
    def rows(self) -> int:
        return self._rows

    def write(self, records: Sequence[FaceRecord]) -> None:
        self._pending += records
        self._rows += len(records)
        if len(self._pending) >= BATCH_ROWS:
            with undisturbed(), _in_words(self._out):
                self._encode_pending()

    def write_batch(self, batch: pa.RecordBatch) -> None:
        with undisturbed(), _in_words(self._out):
            self._encode_pending()
            with self._ended_by_failure():
                self._encoder.write(batch)
        self._rows += batch.num_rows

    def commit(self, metadata: Mapping[str, Any]) -> None:
        with undisturbed(), _in_words(self._out):
            _refuse_existing(self._out, overwrite=self._overwrite)
            self._finish(metadata)
            if self._count_rows() != self._rows:
                raise OutputError(f"{self._out} did not take all its rows; run the command again.")
            self._write_metadata(metadata)
            try:
                self._publish(self._out)
            except FileExistsError as error:
                raise _exists_already(self._out) from error

    def keep_partial(self, metadata: Mapping[str, Any]) -> Path | None:
        try:
            with undisturbed(), _in_words(self._out):
                if self._rows and self._writing.exists():  # else nothing to keep, or committed
                    self._end_where_possible(metadata)
                    self._rows = max(0, self._count_rows())  # -1: not even CSV's header is there
                    if self._rows:
                        return self._publish_partial(metadata)
        except Exception:
            self.discard()
            raise
        self.discard()
        return None

    def discard(self) -> None:
        self._let_go()
        for hidden in (self._writing, self._metadata_writing):
            with suppress(OSError):
                hidden.unlink(missing_ok=True)

    def _encode_pending(self) -> None:
        while self._pending:
            taken, self._pending = self._pending[:BATCH_ROWS], self._pending[BATCH_ROWS:]
            batch = record_batch(taken)
            with self._ended_by_failure():
                self._encoder.write(batch)

    def _finish(self, metadata: Mapping[str, Any]) -> None:
        """Write what is left and close the file, once; raises what has kept it from being whole."""
        if self._failure:
            raise self._failure
        if not self._file.closed:
            self._encode_pending()
            with self._ended_by_failure():
                self._encoder.finish(_as_json(metadata))
                _sync(self._file)
                self._file.close()

    def _end_where_possible(self, metadata: Mapping[str, Any]) -> None:
        """Close the file with the rows that are in it to their end."""
        try:
            self._finish(metadata)
        except Exception:
            # After a failure Arrow may write a footer that counts rows which are not there.
            if self._format is TableFormat.PARQUET:
                raise
            self._let_go()
            cut_torn_row(self._writing, self._format)

    @contextmanager
    def _ended_by_failure(self) -> Iterator[None]:
        """A file that failed may end in the middle of a row: nothing must follow there."""
        try:
            yield
        except BaseException as error:
            self._failure = error
            self._let_go()
            raise

    def _let_go(self) -> None:
        """Close the file as it is."""
        self._pending.clear()
        if not self._file.closed:
            self._encoder.abandon()
            with suppress(OSError):
                self._file.close()

    def _count_rows(self) -> int:
        """The rows that are really in the closed file."""
        try:
            return count_rows(self._writing, self._format)
        except (pa.ArrowInvalid, csv.Error, ValueError) as error:
            raise OutputError(f"{self._out} was not written whole: {error}.") from error

    def _write_metadata(self, metadata: Mapping[str, Any]) -> None:
        if not self._encoder.holds_metadata:
            _write_whole(self._metadata_writing, _as_json(metadata))

    def _publish_partial(self, metadata: Mapping[str, Any]) -> Path:
        with suppress(OSError):  # on a full disk, rather rows without metadata than none
            self._write_metadata(metadata)
        number = 1
        while True:
            ordinal = f"-{number}" if number > 1 else ""
            partial = self._out.with_name(f"{self._out.stem}.partial{ordinal}{self._out.suffix}")
            try:
                self._publish(partial)
            except FileExistsError:
                number += 1
            else:
                return partial

    def _publish(self, final: Path) -> None:
        """Give the table its name, then the metadata theirs; FileExistsError changes nothing."""
        if self._overwrite:
            # First: a crash in between must not leave new rows beside what tells of the old ones.
            metadata_path(final).unlink(missing_ok=True)
            self._writing.replace(final)
        else:
            _move_without_replacing(self._writing, final)
        if self._metadata_writing.exists():
            self._metadata_writing.replace(metadata_path(final))
        elif not self._encoder.holds_metadata:  # those of an earlier table would be wrong
            metadata_path(final).unlink(missing_ok=True)
        _sync_folder(final.parent)


class _StreamTable:
    def __init__(self, stream: BinaryIO, table_format: TableFormat) -> None:
        self._stream, self._rows = stream, 0
        with _in_words("Standard output"):
            self._encoder = encoder_of(table_format, stream)
            stream.flush()

    @property
    def rows(self) -> int:
        return self._rows

    def write(self, records: Sequence[FaceRecord]) -> None:
        if not records:
            return
        self.write_batch(record_batch(records))

    def write_batch(self, batch: pa.RecordBatch) -> None:
        with _in_words("Standard output"):
            self._encoder.write(batch)
            self._stream.flush()
        self._rows += batch.num_rows

    def commit(self, metadata: Mapping[str, Any]) -> None:
        with _in_words("Standard output"):
            self._stream.flush()

    def keep_partial(self, metadata: Mapping[str, Any]) -> Path | None:
        return None

    def discard(self) -> None:
        """What was streamed cannot be taken back."""


def _by_suffix(out: Path) -> TableFormat | None:
    suffix = out.suffix.lower().removeprefix(".")
    return TableFormat(suffix) if suffix in set(TableFormat) else None


def _streamable(table_format: TableFormat) -> TableFormat:
    if table_format is TableFormat.PARQUET:
        raise UsageError("Parquet cannot be streamed; use --format csv or jsonl, or a file's name.")
    return table_format


@contextmanager
def _in_words(path: Path | str) -> Iterator[None]:
    """What the operating system refuses becomes an OutputError."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise OutputError(
                f"{path} could not be written because the disk is full; "
                f"free some space, or choose another place with --out{_free(path)}."
            ) from error
        reason = (error.strerror or str(error)).lower()
        raise OutputError(
            f"{path} cannot be written ({reason}); choose another place with --out."
        ) from error


def _free(path: Path | str) -> str:
    """What is free there, of a file."""
    return told_free(path) if isinstance(path, Path) else ""


def _refuse_existing(out: Path, *, overwrite: bool) -> None:
    if out.is_dir():
        raise OutputError(f"{out} is a folder; name a file with --out.")
    if out.exists() and not out.is_file():
        raise OutputError(f"{out} is no ordinary file; name another with --out.")
    if out.exists() and not overwrite:
        raise _exists_already(out)


def _hidden_name(owner: str = "") -> str:
    # Another run, even on another computer, may be writing a file of the same name.
    # Nor may a long name grow too long.
    return f"{HIDDEN}{owner}{os.getpid()}-{secrets.token_hex(4)}{WRITING}"


def _exists_already(out: Path) -> OutputError:
    return OutputError(f"{out} exists already; use --overwrite to replace it.")


def _give_name(writing: Path, final: Path, *, overwrite: bool) -> None:
    if overwrite:
        writing.replace(final)
        return
    try:
        _move_without_replacing(writing, final)
    except FileExistsError as error:
        raise _exists_already(final) from error


def _move_without_replacing(writing: Path, final: Path) -> None:
    try:
        os.link(writing, final)  # unlike a rename, it fails where the name is taken
    except FileExistsError:
        raise
    except OSError as error:  # a file system without links
        if final.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final)) from error
        writing.replace(final)
    else:
        writing.unlink()


def _as_json(metadata: Mapping[str, Any]) -> bytes:
    """UTF-8, with null for numbers that JSON does not have, and with the schema's version."""
    whole = {"schema_version": SCHEMA_VERSION, **metadata}
    finite = json.loads(json.dumps(whole, default=str), parse_constant=lambda _: None)
    # What is left of a file name that is no UTF-8 becomes \udcXX, which JSON reads.
    return json.dumps(finite, ensure_ascii=False, indent=2).encode("utf-8", "backslashreplace")


def _write_whole(path: Path, content: bytes) -> None:
    """Write the whole file anew, or leave none."""
    path.unlink(missing_ok=True)
    try:
        with path.open("xb") as file:
            file.write(content)
            _sync(file)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a rename last; Windows and some network folders do without."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
