from dataclasses import fields

import pyarrow as pa

from emoscan.emotions import EMOTIONS
from emoscan.timeline.records import FaceRecord
from emoscan.timeline.schema import CSV_COLUMNS, DESCRIPTIONS, LANDMARK_COLUMNS, SCHEMA


def test_a_record_has_the_schema_s_columns_in_order():
    assert [field.name for field in fields(FaceRecord)] == SCHEMA.names


def test_every_column_is_described():
    assert list(DESCRIPTIONS) == SCHEMA.names
    assert all(DESCRIPTIONS.values())


def test_the_last_columns_are_the_emotions():
    assert tuple(SCHEMA.names[-7:]) == EMOTIONS
    assert {SCHEMA.field(name).type for name in EMOTIONS} == {pa.float32()}


def test_csv_spreads_the_landmarks_in_their_place():
    at = SCHEMA.get_field_index("landmarks")
    assert CSV_COLUMNS[at : at + 10] == LANDMARK_COLUMNS
    assert (*CSV_COLUMNS[:at], "landmarks", *CSV_COLUMNS[at + 10 :]) == tuple(SCHEMA.names)


def test_only_what_every_row_knows_is_required():
    assert [f.name for f in SCHEMA if not f.nullable] == ["source", "frame", "status"]
