"""Tables made from timelines, as bytes and files."""

import io
import json
from collections.abc import Hashable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from emoscan.timeline.schema import METADATA_KEY, metadata_path
from emoscan.timeline.writers import whole_file

# In text: a millionth of a second, and what a float32 holds of a score.
DECIMALS = 6


class ResultFormat(StrEnum):
    """The format of a table; the value is also its file suffix."""

    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"
    JSONL = "jsonl"


def encode(
    table: pd.DataFrame, result_format: ResultFormat, metadata: Mapping[str, Any] | None = None
) -> bytes:
    """The table; what is absent is null, in CSV empty.

    JSON is one array of objects, JSON lines one object a line, both with the columns as keys. In
    text numbers are rounded to DECIMALS; Parquet has them in full, and the metadata. In CSV what
    is true is TRUE, as R, pandas and spreadsheets read it.
    """
    if result_format is ResultFormat.PARQUET:
        return _parquet(table, metadata or {})
    if result_format is ResultFormat.CSV:
        return _in_words(table.round(DECIMALS)).to_csv(index=False, lineterminator="\n").encode()
    lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in _objects(table)]
    if result_format is ResultFormat.JSONL:
        return "".join(f"{line}\n" for line in lines).encode()
    return ("[\n" + ",\n".join(lines) + "\n]\n").encode()


def _in_words(table: pd.DataFrame) -> pd.DataFrame:
    """R takes pandas' own “True” for a word."""
    truths = table.select_dtypes("bool").columns
    return table.assign(
        **{name: table[name].map({True: "TRUE", False: "FALSE"}) for name in truths}
    )


def write_result(
    table: pd.DataFrame, out: Path, metadata: Mapping[str, Any], *, overwrite: bool
) -> None:
    """Write the table in the format of its suffix; but for Parquet, metadata lie beside it.

    Raises OutputError where `out` exists and may not be replaced, or cannot be written.
    """
    result_format = ResultFormat(out.suffix.lower().removeprefix("."))
    with whole_file(out, overwrite=overwrite) as writing:
        writing.write_bytes(encode(table, result_format, metadata))
    if result_format is not ResultFormat.PARQUET:
        with whole_file(metadata_path(out), overwrite=True) as writing:
            writing.write_text(json.dumps(metadata, ensure_ascii=False, indent=2), "utf-8")


def _parquet(table: pd.DataFrame, metadata: Mapping[str, Any]) -> bytes:
    fields = [(name, _arrow_type(table[name])) for name in table.columns]
    arrow = pa.Table.from_pandas(table, schema=pa.schema(fields), preserve_index=False)
    about = {METADATA_KEY: json.dumps(metadata, ensure_ascii=False)}
    file = io.BytesIO()
    pq.write_table(arrow.replace_schema_metadata(about), file, compression="zstd")
    return file.getvalue()


def _arrow_type(column: pd.Series) -> pa.DataType:
    """Words as words even where all are absent, and so of no type that could be told."""
    if pd.api.types.is_float_dtype(column):
        return pa.float64()
    if pd.api.types.is_integer_dtype(column):
        return pa.int32() if column.dtype == "Int32" else pa.int64()
    return pa.bool_() if pd.api.types.is_bool_dtype(column) else pa.string()


def _objects(table: pd.DataFrame) -> list[dict[Hashable, Any]]:
    rounded = table.round(DECIMALS).astype(object)
    return rounded.where(rounded.notna(), None).to_dict("records")
