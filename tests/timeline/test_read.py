import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emoscan.emotions import EMOTIONS
from emoscan.errors import UsageError
from emoscan.options import TableFormat
from emoscan.timeline.read import read_timeline
from emoscan.timeline.schema import SCHEMA
from emoscan.timeline.writers import open_table
from tests.timeline.samples import SOURCE, records

METADATA = {"source": SOURCE, "options": {"fps": None, "every": 1}}


def write(path, rows, metadata=METADATA):
    table = open_table(path, TableFormat(path.suffix[1:]), overwrite=True)
    table.write(rows)
    table.commit(metadata)
    return path


@pytest.fixture(params=list(TableFormat))
def path(request, tmp_path):
    return tmp_path / f"timeline.{request.param}"


def test_the_three_formats_give_the_same_frame(tmp_path):
    rows = records(8) + records(3, source="second.mp4")
    parquet, csv, jsonl = (
        read_timeline(write(tmp_path / f"t.{suffix}", rows)) for suffix in TableFormat
    )
    for other in (csv, jsonl):
        pd.testing.assert_frame_equal(parquet, other, check_exact=True)
        assert parquet.attrs == other.attrs


def test_types_are_what_pandas_users_expect(path):
    frame = read_timeline(write(path, records(8)))
    assert list(frame.columns) == SCHEMA.names
    assert frame.dtypes.astype(str)[["frame", "face", "track"]].tolist() == [
        "Int64",
        "Int16",
        "Int32",
    ]
    assert frame["time_s"].dtype == np.float64
    assert {frame[name].dtype for name in ("x", "score", *EMOTIONS)} == {np.dtype(np.float32)}
    assert tuple(frame["emotion"].cat.categories) == EMOTIONS
    assert list(frame["status"].cat.categories) == ["face", "no_face", "unreadable"]
    assert list(frame["source"].cat.categories) == [SOURCE]


def test_absent_is_missing_and_landmarks_are_ten_numbers(path):
    rows = records(5)
    frame = read_timeline(write(path, rows))
    for row, track, score, points in zip(
        rows, frame["track"], frame["score"], frame["landmarks"], strict=True
    ):
        assert pd.isna(track) if row.track is None else track == row.track
        assert np.isnan(score) if row.score is None else score == row.score
        assert points is None if row.landmarks is None else tuple(points) == row.landmarks


def test_metadata_are_in_attrs(path):
    attrs = read_timeline(write(path, records())).attrs
    assert attrs == {"schema_version": 1, **METADATA}


def test_a_table_without_rows(path):
    frame = read_timeline(write(path, []))
    assert len(frame) == 0
    assert list(frame.columns) == SCHEMA.names


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_metadata_may_be_gone(tmp_path, suffix):
    path = write(tmp_path / f"t.{suffix}", records())
    (tmp_path / f"t.{suffix}.meta.json").unlink()
    assert read_timeline(path).attrs == {}


def test_a_folder_called_name_is_value_adds_no_column(tmp_path):
    frame = read_timeline(write(tmp_path / "day=1" / "t.parquet", records()))
    assert list(frame.columns) == SCHEMA.names


def test_a_path_may_be_a_string(path):
    assert len(read_timeline(str(write(path, records())))) == len(records())


def test_a_foreign_table_is_told_by_the_missing_column(tmp_path):
    pq.write_table(pa.table({"source": ["a"], "frame": [1]}), tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_text("source,frame\na,1\n")
    (tmp_path / "t.jsonl").write_text('{"source": "a", "frame": 1}\n')
    for suffix in TableFormat:
        with pytest.raises(UsageError, match=r"no timeline of emoscan's: it lacks .*“time_s”"):
            read_timeline(tmp_path / f"t.{suffix}")


def test_what_is_no_table_at_all(path):
    for content in (b"\xff\xfe\x00nonsense", b"[1, 2]\n"):
        path.write_bytes(content)
        with pytest.raises(UsageError, match="no timeline of emoscan's"):
            read_timeline(path)


def test_a_missing_file_and_an_unknown_suffix(path, tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_timeline(path)
    for name, sentence in [
        ("t.xlsx", r"is no timeline of emoscan's: those end in .parquet, .csv, .jsonl\.$"),
        ("a.MOV", r"a.MOV is a video, not a timeline: scan it first with emoscan video\.$"),
        ("a.jpg", r"a.jpg is a photo, not a timeline: scan it first with emoscan folder\.$"),
    ]:
        with pytest.raises(UsageError, match=sentence):
            read_timeline(tmp_path / name)


def test_values_of_another_kind_are_refused(tmp_path):
    path = write(tmp_path / "t.csv", records())
    path.write_text(path.read_text("utf-8").replace("no_face", "asleep"), "utf-8")
    with pytest.raises(UsageError, match="“status” holds “asleep”"):
        read_timeline(path)


def test_a_later_schema_is_refused(tmp_path):
    path = write(tmp_path / "t.csv", records())
    (tmp_path / "t.csv.meta.json").write_text(json.dumps({"schema_version": 2}))
    with pytest.raises(UsageError, match="its schema is 2"):
        read_timeline(path)
