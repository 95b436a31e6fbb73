"""The timeline's one Arrow schema: records, writers and readers are checked against it."""

from enum import StrEnum
from pathlib import Path

import pyarrow as pa

from emoscan.emotions import EMOTIONS

SCHEMA_VERSION = 1

METADATA_KEY = "emoscan"  # of Parquet's key-value metadata; its value is one JSON object

LANDMARK_COLUMNS = (
    "left_eye_x",
    "left_eye_y",
    "right_eye_x",
    "right_eye_y",
    "nose_x",
    "nose_y",
    "mouth_left_x",
    "mouth_left_y",
    "mouth_right_x",
    "mouth_right_y",
)


class Status(StrEnum):
    """What a row says of its frame."""

    FACE = "face"
    NO_FACE = "no_face"
    UNREADABLE = "unreadable"


class Origin(StrEnum):
    """Where a face's box comes from."""

    DETECTED = "detected"
    FOLLOWED = "followed"


WORDS = pa.dictionary(pa.int32(), pa.string())
# Always ten numbers or null, but no fixed_size_list: in Parquet, Arrow before version 26 cannot
# read one that is null (apache/arrow issue 35692). Parquet calls a list's items "element": under
# any other name a file would read back differently.
POINTS = pa.list_(pa.field("element", pa.float32()))


def _column(name: str, kind: pa.DataType, description: str, *, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable, {"description": description})


SCHEMA = pa.schema(
    [
        _column("source", WORDS, "path relative to what the user named", nullable=False),
        _column(
            "frame",
            pa.int64(),
            "rank of the frame's time among the video's packets; 0 for a photo",
            nullable=False,
        ),
        _column(
            "time_s",
            pa.float64(),
            "seconds from the start of the file, as a player shows them; null for a photo",
        ),
        _column("status", WORDS, "`face`, `no_face` or `unreadable`", nullable=False),
        _column("face", pa.int16(), "index within the frame, largest first; null without a face"),
        _column(
            "track", pa.int32(), "one number a person while they stay in view; null for a photo"
        ),
        _column("label", WORDS, "a name that the user gave to the track; null until then"),
        _column("origin", WORDS, "`detected`, or `followed` from a neighbouring key frame"),
        _column("x", pa.float32(), "left edge of the box, in pixels of the upright frame"),
        _column("y", pa.float32(), "upper edge of the box, in pixels"),
        _column("width", pa.float32(), "width of the box, in pixels"),
        _column("height", pa.float32(), "height of the box, in pixels"),
        _column("score", pa.float32(), "the detector's score, 0 to 1"),
        _column(
            "landmarks",
            POINTS,
            "x, y of left eye, right eye, nose, left and right mouth corner, in pixels",
        ),
        _column("emotion", WORDS, "the likeliest class"),
        _column(
            "confidence",
            pa.float32(),
            "its probability, calibrated on FER2013's faces; "
            "on other material a score, not a frequency",
        ),
        *(_column(name, pa.float32(), f"probability of `{name}`, likewise") for name in EMOTIONS),
    ]
)

DESCRIPTIONS: dict[str, str] = {
    field.name: field.metadata[b"description"].decode() for field in SCHEMA
}

# The columns whose words are all known beforehand, in the order in which they are shown.
VOCABULARIES: dict[str, tuple[str, ...]] = {
    "status": tuple(Status),
    "origin": tuple(Origin),
    "emotion": EMOTIONS,
}

_AFTER_LANDMARKS = SCHEMA.get_field_index("landmarks") + 1

# CSV has no lists: the landmarks are spread over ten columns, in their place.
CSV_COLUMNS: tuple[str, ...] = (
    *SCHEMA.names[: _AFTER_LANDMARKS - 1],
    *LANDMARK_COLUMNS,
    *SCHEMA.names[_AFTER_LANDMARKS:],
)


def metadata_path(table: Path) -> Path:
    """Where a CSV or JSON lines table's metadata lies: `<table>.meta.json`."""
    return table.with_name(f"{table.name}.meta.json")
