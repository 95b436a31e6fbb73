"""A timeline in pandas back into a file, of any format."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from emoscan.errors import UsageError
from emoscan.timeline.schema import POINTS, SCHEMA
from emoscan.timeline.writers import format_of, open_table

# Of CSV and JSON lines, a batch is in memory as Python objects for a while.
BATCH_ROWS = 10_000


def write_timeline(
    timeline: pd.DataFrame, out: str | os.PathLike[str], *, overwrite: bool = False
) -> None:
    """Write what `read_timeline` gave, and perhaps was changed, with its `.attrs` as metadata.

    The suffix tells the format: `.parquet`, `.csv` or `.jsonl`. Raises UsageError for another
    suffix and for columns that are no timeline's, OutputError where the file exists, unless
    `overwrite`, or cannot be written; the file has its name only once it is whole.
    """
    out = Path(out)
    missing = [name for name in SCHEMA.names if name not in timeline.columns]
    if missing:
        raise UsageError(f"This is no timeline of emoscan's: it lacks the column “{missing[0]}”.")
    table = open_table(out, format_of(out, None), overwrite=overwrite)
    try:
        for batch in _batches(timeline):
            table.write_batch(batch)
        table.commit({str(name): value for name, value in timeline.attrs.items()})
    except BaseException:  # an interrupt too
        table.discard()
        raise


def _batches(timeline: pd.DataFrame) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(timeline), BATCH_ROWS):
        rows = timeline.iloc[start : start + BATCH_ROWS]
        yield pa.RecordBatch.from_arrays(
            [_array(rows[field.name], field) for field in SCHEMA], schema=SCHEMA
        )


def _array(column: pd.Series, field: pa.Field) -> pa.Array:
    """The column as the schema has it, null where pandas has NaN, None or NA."""
    if field.type == POINTS:
        lists = [None if points is None else np.asarray(points, np.float32) for points in column]
        return pa.array(lists, POINTS)
    try:
        if pa.types.is_dictionary(field.type):
            words = column.astype(object).where(column.notna(), None)
            return pa.array(words, pa.string()).dictionary_encode()
        return pa.array(column, field.type, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"The column “{field.name}” does not fit a timeline: {reason}") from error
