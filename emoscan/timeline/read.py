"""A timeline's file, of any format, as a pandas DataFrame."""

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from emoscan.errors import UsageError
from emoscan.media_kind import MediaKind
from emoscan.options import TableFormat
from emoscan.timeline.records import FaceRecord, batch_records
from emoscan.timeline.schema import (
    CSV_COLUMNS,
    LANDMARK_COLUMNS,
    METADATA_KEY,
    POINTS,
    SCHEMA,
    SCHEMA_VERSION,
    VOCABULARIES,
    WORDS,
    metadata_path,
)
from emoscan.timeline.writers import format_of

if TYPE_CHECKING:  # imported where it is used: whoever scans reads metadata alone
    import pandas as pd

RECORDS_AT_ONCE = 2_000

_CSV_PARSING = pyarrow.csv.ParseOptions(newlines_in_values=True)
_CSV_CONVERSION = pyarrow.csv.ConvertOptions(
    column_types={field.name: field.type for field in SCHEMA if field.type != POINTS}
    | dict.fromkeys(LANDMARK_COLUMNS, pa.float32()),
    null_values=[""],
    strings_can_be_null=True,
)


_JSON_PARSING = pyarrow.json.ParseOptions(
    explicit_schema=pa.schema(
        # Arrow reads no dictionaries from JSON.
        [(field.name, pa.string() if field.type == WORDS else field.type) for field in SCHEMA]
    )
)


def read_timeline(path: str | os.PathLike[str]) -> "pd.DataFrame":
    """Read a `.parquet`, `.csv` or `.jsonl` timeline; the three give the same frame.

    Integers are nullable (Int64, Int32, Int16); floats are float32, `time_s` float64, NaN where
    the file has null; words are categories, in a fixed order where all are known; `landmarks`
    are (10,) float32 arrays or None. How the file was made is in `.attrs`, empty for CSV and
    JSON lines whose `.meta.json` is missing. Raises UsageError for what is no timeline.
    """
    path = Path(path)
    read = _READERS[_format(path)]
    with _as_usage_error(path):
        table, metadata = read(path)
        frame = _frame(table.select(SCHEMA.names).cast(SCHEMA))
    frame.attrs.update(metadata)
    return frame


def _format(path: Path) -> TableFormat:
    try:
        return TableFormat(path.suffix.lower().removeprefix("."))
    except ValueError:
        raise no_timeline(path) from None


def no_timeline(path: Path) -> UsageError:
    """What to do about a file whose suffix no timeline has."""
    for kind in MediaKind:
        if path.suffix.lower() in kind.suffixes:
            return UsageError(
                f"{path} is a {kind}, not a timeline: scan it first with {kind.command}."
            )
    suffixes = ", ".join(f".{table_format}" for table_format in TableFormat)
    return UsageError(f"{path} is no timeline of emoscan's: those end in {suffixes}.")


def read_metadata(path: Path, table_format: TableFormat | None = None) -> dict[str, Any]:
    """How a timeline of any version was made, without its rows; {} where nothing tells.

    Its suffix tells the format where `table_format` does not. Raises UsageError for what is no
    timeline.
    """
    with _as_usage_error(path):
        metadata, columns, wanted = _ABOUT[table_format or format_of(path, None)](path)
        if "schema_version" not in metadata:
            _check_columns(columns, wanted)
        return metadata


def _about_parquet(path: Path) -> "_About":
    with path.open("rb") as file, pq.ParquetFile(file) as parquet:
        return _stored(parquet), parquet.schema_arrow.names, SCHEMA.names


def _about_csv(path: Path) -> "_About":
    with path.open(encoding="utf-8", newline="") as file:
        return _beside(path), next(csv.reader(file), []), CSV_COLUMNS


def _about_jsonl(path: Path) -> "_About":
    with path.open(encoding="utf-8") as file:
        line = file.readline()
    return _beside(path), json.loads(line) if line else SCHEMA.names, SCHEMA.names


# Metadata, the columns that are there, and those that ought to be.
_About = tuple[dict[str, Any], Iterable[str], Iterable[str]]
_ABOUT: dict[TableFormat, Callable[[Path], _About]] = {
    TableFormat.PARQUET: _about_parquet,
    TableFormat.CSV: _about_csv,
    TableFormat.JSONL: _about_jsonl,
}


def read_records(
    path: Path, table_format: TableFormat = TableFormat.PARQUET
) -> Iterator[list[FaceRecord]]:
    """The rows of a timeline, in lists that take little memory: those of Parquet, as they come.

    Raises UsageError.
    """
    if table_format is not TableFormat.PARQUET:
        with _as_usage_error(path):
            table = _READERS[table_format](path)[0].select(SCHEMA.names).cast(SCHEMA)
        yield from map(batch_records, table.to_batches(RECORDS_AT_ONCE))
        return
    with _as_usage_error(path), path.open("rb") as file, pq.ParquetFile(file) as parquet:
        for batch in parquet.iter_batches(RECORDS_AT_ONCE):
            yield batch_records(batch)


def _stored(parquet: pq.ParquetFile) -> dict[str, Any]:
    stored = parquet.metadata.metadata or {}
    return _as_object(json.loads(stored.get(METADATA_KEY.encode(), b"{}")))


@contextmanager
def _as_usage_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {_reason(error)}.") from error
    except (pa.ArrowException, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"{path} is no timeline of emoscan's: {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    """The first line of what went wrong; Arrow's own OSErrors have more of them, and no number."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return (text or type(error).__name__).splitlines()[0].rstrip(".")


def _read_parquet(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    # Not pq.read_table: it adds a column for a folder called “name=value”.
    with path.open("rb") as file, pq.ParquetFile(file) as parquet:
        metadata = _checked(_stored(parquet))
        _check_columns(parquet.schema_arrow.names, SCHEMA.names)
        return parquet.read(), metadata


def _read_csv(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    metadata = _metadata_beside(path)
    with path.open(encoding="utf-8", newline="") as file:
        _check_columns(next(csv.reader(file), []), CSV_COLUMNS)
    with path.open("rb") as file:
        table = pyarrow.csv.read_csv(
            file, parse_options=_CSV_PARSING, convert_options=_CSV_CONVERSION
        )
    points = [table[name].to_numpy() for name in LANDMARK_COLUMNS]
    return table.append_column("landmarks", _points(np.stack(points, axis=1))), metadata


def _read_jsonl(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    metadata = _metadata_beside(path)
    if not path.stat().st_size:
        return SCHEMA.empty_table(), metadata
    with path.open(encoding="utf-8") as file:
        _check_columns(json.loads(file.readline()).keys(), SCHEMA.names)
    with path.open("rb") as file:
        table = pyarrow.json.read_json(file, parse_options=_JSON_PARSING)
    for index, field in enumerate(SCHEMA):
        if field.type == WORDS:
            table = table.set_column(index, field.name, table[field.name].dictionary_encode())
    return table, metadata


_READERS: dict[TableFormat, Callable[[Path], tuple[pa.Table, dict[str, Any]]]] = {
    TableFormat.PARQUET: _read_parquet,
    TableFormat.CSV: _read_csv,
    TableFormat.JSONL: _read_jsonl,
}


def _points(rows: np.ndarray[Any, np.dtype[np.float32]]) -> pa.Array:
    """(N, 10), NaN where absent, as the schema's lists, null where all ten are absent."""
    absent = np.isnan(rows).all(axis=1)
    offsets = np.concatenate([[0], np.cumsum(~absent) * rows.shape[1]]).astype(np.int32)
    values = pa.array(rows[~absent].ravel(), from_pandas=True)
    return pa.ListArray.from_arrays(offsets, values, type=POINTS, mask=pa.array(absent))


def _metadata_beside(path: Path) -> dict[str, Any]:
    return _checked(_beside(path))


def _beside(path: Path) -> dict[str, Any]:
    beside = metadata_path(path)
    return _as_object(json.loads(beside.read_bytes())) if beside.exists() else {}


def _as_object(metadata: Any) -> dict[str, Any]:
    if not isinstance(metadata, dict):
        raise ValueError("its metadata are no JSON object.")
    return metadata


def _checked(metadata: dict[str, Any]) -> dict[str, Any]:
    version = metadata.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise ValueError(f"its schema is {version}, and this emoscan knows {SCHEMA_VERSION}.")
    return metadata


def _check_columns(found: Iterable[str], wanted: Iterable[str]) -> None:
    missing = sorted(set(wanted) - set(found), key=list(wanted).index)
    if missing:
        raise ValueError(f"it lacks the column “{missing[0]}”.")


def _frame(table: pa.Table) -> "pd.DataFrame":
    import pandas as pd

    nullable = {
        pa.int16(): pd.Int16Dtype(),
        pa.int32(): pd.Int32Dtype(),
        pa.int64(): pd.Int64Dtype(),
    }
    frame: pd.DataFrame = table.unify_dictionaries().to_pandas(types_mapper=nullable.get)
    for name, words in VOCABULARIES.items():
        unknown = set(frame[name].cat.categories) - set(words)
        if unknown:
            raise ValueError(f"its column “{name}” holds “{min(unknown)}”.")
        frame[name] = frame[name].cat.set_categories(list(words))
    return frame
