import math
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pyarrow as pa
import pytest

from emoscan.emotions import EMOTIONS
from emoscan.timeline.records import frame_records, record_batch, unreadable_record
from emoscan.timeline.schema import SCHEMA
from emoscan.types import NO_TRACK, Emotions, Unreadable
from tests.timeline.samples import SOURCE, emotions, faces, frame, records


def test_one_row_a_face_in_order():
    found, felt = faces(3), emotions(3)
    rows = frame_records(frame(), found, felt)
    assert [row.face for row in rows] == [0, 1, 2]
    assert [row.track for row in rows] == [1, 2, 3]
    assert {(row.source, row.frame, row.time_s, row.status, row.origin) for row in rows} == {
        (SOURCE, 3, 0.12, "face", "detected")
    }
    x0, y0, x1, y1 = found.boxes[1]
    assert (rows[1].x, rows[1].y, rows[1].width, rows[1].height) == (x0, y0, x1 - x0, y1 - y0)
    assert rows[1].score == found.scores[1]
    assert rows[1].landmarks == tuple(found.landmarks[1].ravel())


def test_the_emotion_is_the_likeliest_and_its_probability_the_confidence():
    for row, odds in zip(
        frame_records(frame(), faces(5), emotions(5)), emotions(5).probabilities, strict=True
    ):
        assert row.emotion == EMOTIONS[odds.argmax()]
        assert row.confidence == odds.max()
        assert [getattr(row, name) for name in EMOTIONS] == odds.tolist()


def test_values_are_plain_python():
    (row,) = frame_records(frame(), faces(1), emotions(1))
    for value in [row.x, row.score, row.confidence, row.sad, *row.landmarks]:
        assert type(value) is float
    assert type(row.track) is int


def test_a_frame_without_a_face_is_one_row():
    (row,) = frame_records(frame(), faces(0), Emotions(np.zeros((0, 7), np.float32)))
    given = {name: value for name, value in asdict(row).items() if value is not None}
    assert given == {"source": SOURCE, "frame": 3, "time_s": 0.12, "status": "no_face"}


def test_a_photo_has_neither_time_nor_track():
    (row,) = frame_records(frame(index=0, time_s=None), faces(1), emotions(1))
    assert (row.frame, row.time_s, row.track) == (0, None, None)


def test_places_are_those_of_the_file_where_a_photo_was_read_smaller():
    (whole,) = frame_records(frame(), faces(1), emotions(1))
    (shrunk,) = frame_records(replace(frame(), shrunk=4), faces(1), emotions(1))
    of_whole = (whole.x, whole.y, whole.width, whole.height, *whole.landmarks)
    of_shrunk = (shrunk.x, shrunk.y, shrunk.width, shrunk.height, *shrunk.landmarks)
    assert of_shrunk == tuple(4 * value for value in of_whole)
    assert (shrunk.score, shrunk.confidence) == (whole.score, whole.confidence)


def test_no_track_is_null():
    rows = frame_records(frame(), faces(2, first_track=NO_TRACK), emotions(2))
    assert [row.track for row in rows] == [None, 0]


def test_faces_and_emotions_must_be_as_many():
    with pytest.raises(ValueError, match="2 faces"):
        frame_records(frame(), faces(2), emotions(1))


def test_an_unreadable_place_is_one_row():
    row = unreadable_record(Unreadable("a.mp4", 7, 0.28))
    given = {name: value for name, value in asdict(row).items() if value is not None}
    assert given == {"source": "a.mp4", "frame": 7, "time_s": 0.28, "status": "unreadable"}


def test_a_batch_has_the_schema_and_the_values():
    rows = records(9)
    batch = record_batch(rows)
    assert batch.schema.equals(SCHEMA, check_metadata=True)
    batch.validate(full=True)
    for row, stored in zip(rows, batch.to_pylist(), strict=True):
        assert stored == {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(row).items()
        }


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_becomes_null(number):
    (row,) = frame_records(frame(), faces(1), emotions(1))
    points = (*row.landmarks[:9], number)
    batch = record_batch([replace(row, score=number, time_s=number, landmarks=points)])
    assert batch["score"].null_count == batch["time_s"].null_count == 1
    assert batch["landmarks"][0].as_py() == [*row.landmarks[:9], None]


def test_bytes_of_a_name_that_are_no_utf_8_are_escaped():
    row = unreadable_record(Unreadable(b"caf\xe9.mp4".decode("utf-8", "surrogateescape"), 0, None))
    assert record_batch([row])["source"].to_pylist() == ["caf\\udce9.mp4"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("frame", 1.5),
        ("frame", "1"),
        ("frame", None),
        ("source", None),
        ("source", 3),
        ("face", 70_000),
        ("track", True),
        ("score", "0.9"),
        ("score", True),
        ("landmarks", (1.0, 2.0)),
        ("landmarks", ()),
        ("landmarks", ("1",) * 10),
        ("emotion", 3),
    ],
)
def test_what_does_not_fit_its_column_is_refused_by_name(column, value):
    (row,) = frame_records(frame(), faces(1), emotions(1))
    with pytest.raises(TypeError, match=f"Column {column} "):
        record_batch([replace(row, **{column: value})])


LOOKING_FOR_PANDAS = """
import sys
from pathlib import Path
from emoscan.options import TableFormat
from emoscan.timeline.writers import open_table
from tests.timeline.samples import records
table = open_table(Path(sys.argv[1]), TableFormat.PARQUET, overwrite=False)
table.write(records())
table.commit({})
assert "pandas" not in sys.modules
"""


def test_rows_are_written_without_pandas(tmp_path):
    command = [sys.executable, "-c", LOOKING_FOR_PANDAS, str(tmp_path / "t.parquet")]
    subprocess.run(command, check=True)


def test_all_columns_can_be_null_but_three():
    batch = record_batch([unreadable_record(Unreadable("a.mp4", 0, None))])
    assert [name for name in SCHEMA.names if batch[name].null_count == 0] == [
        "source",
        "frame",
        "status",
    ]
    assert batch["landmarks"].type == SCHEMA.field("landmarks").type
    assert pa.types.is_dictionary(batch["label"].type)
