import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from emoscan.errors import OutputError, UsageError
from emoscan.options import TableFormat
from emoscan.timeline import write
from emoscan.timeline.read import read_timeline
from emoscan.timeline.schema import SCHEMA
from emoscan.timeline.write import write_timeline
from emoscan.timeline.writers import open_table
from tests.timeline.samples import records

METADATA = {"media": {"frame_rate": 30.0}, "options": {"fps": None}}


@pytest.fixture
def original(tmp_path):
    path = tmp_path / "original.parquet"
    table = open_table(path, TableFormat.PARQUET, overwrite=False)
    table.write(records(9))
    table.commit(METADATA)
    return path


@pytest.mark.parametrize("suffix", list(TableFormat))
def test_what_was_read_is_written_as_it_was(original, tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(write, "BATCH_ROWS", 4)  # several batches
    timeline = read_timeline(original)
    again = tmp_path / f"again.{suffix}"
    write_timeline(timeline, again)
    pd.testing.assert_frame_equal(read_timeline(again), timeline, check_exact=True)
    assert read_timeline(again).attrs == timeline.attrs


def test_parquet_is_the_same_file_but_for_its_pages(original, tmp_path):
    write_timeline(read_timeline(original), tmp_path / "again.parquet")
    one, other = pq.read_table(original), pq.read_table(tmp_path / "again.parquet")
    assert one.schema.equals(other.schema, check_metadata=True) and one.schema.names == SCHEMA.names
    assert one.unify_dictionaries().to_pylist() == other.unify_dictionaries().to_pylist()


def test_an_empty_timeline(original, tmp_path):
    write_timeline(read_timeline(original).iloc[:0], tmp_path / "empty.csv")
    assert len(read_timeline(tmp_path / "empty.csv")) == 0


def test_a_file_that_exists_stays_unless_it_may_go(original, tmp_path):
    timeline, out = read_timeline(original), tmp_path / "t.csv"
    out.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        write_timeline(timeline, out)
    assert out.read_text() == "mine"
    write_timeline(timeline, out, overwrite=True)
    assert len(read_timeline(out)) == len(timeline)


def test_other_columns_are_left_out_and_missing_ones_are_told(original, tmp_path):
    timeline = read_timeline(original)
    write_timeline(timeline.assign(mine=1), tmp_path / "a.parquet")
    assert list(read_timeline(tmp_path / "a.parquet").columns) == SCHEMA.names
    with pytest.raises(UsageError, match="lacks the column “track”"):
        write_timeline(timeline.drop(columns="track"), tmp_path / "b.parquet")


def test_what_does_not_fit_is_told_and_leaves_nothing(original, tmp_path):
    timeline = read_timeline(original)
    timeline["x"] = "left"
    with pytest.raises(UsageError, match="“x” does not fit"):
        write_timeline(timeline, tmp_path / "new" / "b.parquet")
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(UsageError, match="tells no format"):
        write_timeline(timeline, tmp_path / "b.xlsx")


def test_numpy_landmarks_stay_ten_numbers(original, tmp_path):
    timeline = read_timeline(original)
    write_timeline(timeline, tmp_path / "a.jsonl")
    for before, after in zip(
        timeline["landmarks"], read_timeline(tmp_path / "a.jsonl")["landmarks"], strict=True
    ):
        assert (before is None and after is None) or np.array_equal(before, after)
