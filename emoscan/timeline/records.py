"""One row of the timeline, how rows come from a frame, and how they become Arrow."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, count, repeat, starmap
from operator import attrgetter
from types import NoneType
from typing import Any

import numpy as np
import pyarrow as pa

from emoscan.emotions import Emotion
from emoscan.timeline.schema import LANDMARK_COLUMNS, POINTS, SCHEMA, WORDS, Origin, Status
from emoscan.types import NO_TRACK, Emotions, Faces, Frame, Unreadable

_CLASSES = tuple(Emotion)
_WORDS: dict[str, type] = {"status": Status, "origin": Origin, "emotion": Emotion}
# Of Python's arrays.
_CODES = {
    pa.int16(): "h",
    pa.int32(): "i",
    pa.int64(): "q",
    pa.float32(): "f",
    pa.float64(): "d",
}


@dataclass(frozen=True, slots=True)
class FaceRecord:
    """One row: a face, a frame without a face, or a frame that could not be read.

    The fields are the schema's columns, see `emoscan.timeline.schema.DESCRIPTIONS`. None is
    null. `time_s` is in seconds; `x`, `y`, `width`, `height` and the ten `landmarks` are in
    pixels of the upright frame; scores and probabilities lie between 0 and 1.
    """

    source: str
    frame: int
    time_s: float | None
    status: Status
    face: int | None = None
    track: int | None = None
    label: str | None = None
    origin: Origin | None = None
    x: float | None = None
    y: float | None = None
    width: float | None = None
    height: float | None = None
    score: float | None = None
    landmarks: tuple[float, ...] | None = None
    emotion: Emotion | None = None
    confidence: float | None = None
    angry: float | None = None
    disgust: float | None = None
    fear: float | None = None
    happy: float | None = None
    neutral: float | None = None
    sad: float | None = None
    surprise: float | None = None


_values = attrgetter(*SCHEMA.names)


def frame_records(frame: Frame, faces: Faces, emotions: Emotions) -> list[FaceRecord]:
    """One row a face in the order of `faces`, or one row that says there is none.

    `emotions` belong to `faces`, row by row; raises ValueError where their numbers differ.
    """
    if len(faces) != len(emotions):
        raise ValueError(f"{len(faces)} faces cannot have {len(emotions)} rows of probabilities")
    if not len(faces):
        return [FaceRecord(frame.source, frame.index, frame.time_s, Status.NO_FACE)]
    probabilities = emotions.probabilities
    columns = zip(
        repeat(frame.source),
        repeat(frame.index),
        repeat(frame.time_s),
        repeat(Status.FACE),
        range(len(faces)),
        _tracks(frame, faces),
        repeat(None),  # label
        [Origin.FOLLOWED if followed else Origin.DETECTED for followed in faces.followed],
        *(frame.shrunk * _positions_and_sizes(faces)).T.tolist(),
        faces.scores.tolist(),
        map(tuple, (frame.shrunk * faces.landmarks.reshape(len(faces), -1)).tolist()),
        [_CLASSES[likeliest] for likeliest in probabilities.argmax(axis=1).tolist()],
        probabilities.max(axis=1).tolist(),
        *probabilities.T.tolist(),
    )
    return list(starmap(FaceRecord, columns))


def unreadable_record(place: Unreadable) -> FaceRecord:
    """The row of a packet that gave no frame.

    A photo or a whole video that cannot be read is `Unreadable(source, index=0, time_s=None)`.
    """
    return FaceRecord(place.source, place.index, place.time_s, Status.UNREADABLE)


def record_batch(records: Sequence[FaceRecord]) -> pa.RecordBatch:
    """The records, at least one, under the schema. Numbers that are not finite become null.

    Raises TypeError where a value does not fit its column.
    """
    columns = zip(*map(_values, records), strict=True)
    arrays = [_array(field, values) for field, values in zip(SCHEMA, columns, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def batch_records(batch: pa.RecordBatch) -> list[FaceRecord]:
    """The records of a batch or table under the schema: `record_batch` undone."""
    columns = [_python_values(field, batch.column(field.name)) for field in SCHEMA]
    return list(map(FaceRecord, *columns))


def as_written(word: str) -> str:
    """What a table makes of a word: bytes of a file name that are no UTF-8 become escapes."""
    return str.encode(word, "utf-8", "backslashreplace").decode()


def _python_values(field: pa.Field, column: pa.Array) -> list[Any]:
    values: list[Any] = column.to_pylist()
    if field.type == POINTS:
        return [points and tuple(points) for points in values]
    make = _WORDS.get(field.name)
    return [value and make(value) for value in values] if make else values


def _positions_and_sizes(faces: Faces) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(N, 4) x, y, width, height."""
    return np.hstack([faces.boxes[:, :2], faces.boxes[:, 2:] - faces.boxes[:, :2]])


def _tracks(frame: Frame, faces: Faces) -> list[int | None]:
    if frame.time_s is None:  # a photo
        return [None] * len(faces)
    return [None if track == NO_TRACK else track for track in faces.tracks.tolist()]


def _array(field: pa.Field, values: Sequence[Any]) -> pa.Array:
    try:
        column = _typed(field.type, values)
    except (TypeError, OverflowError) as error:
        raise TypeError(f"Column {field.name} holds {field.type}, which fails: {error}") from error
    if column.null_count and not field.nullable:
        raise TypeError(f"Column {field.name} must have a value in every row")
    return column


# Not by `pa.array`, which imports pandas, 0.2 s and 40 MB, to ask whether it was given any of that.
def _typed(kind: pa.DataType, values: Sequence[Any]) -> pa.Array:
    if kind == WORDS:
        return _words(values)
    return _points(values) if kind == POINTS else _numbers(kind, values)


def _numbers(kind: pa.DataType, values: Sequence[Any]) -> pa.Array:
    """Of one of _CODES' types; what is None or not finite becomes null."""
    types = set(map(type, values))
    if bool in types or np.bool_ in types:
        raise TypeError("got bool")
    known = [0 if value is None else value for value in values] if NoneType in types else values
    # Python's own arrays are strict: NumPy would make numbers of "1" and cut 1.5 down to 1.
    numbers = np.asarray(array(_CODES[kind], known))
    present = np.isfinite(numbers)
    if known is not values:
        present &= np.array([value is not None for value in values], np.bool_)
    validity = None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [validity, pa.py_buffer(numbers)])


def _words(values: Sequence[Any]) -> pa.Array:
    """Dictionary-encoded; bytes of a file name that are no UTF-8 are shown as escapes."""
    words = [word for word in dict.fromkeys(values) if word is not None]
    ranks = {None: None} | {word: rank for rank, word in enumerate(words)}
    written = [as_written(word).encode() for word in words]
    ends = _numbers(pa.int32(), list(accumulate(map(len, written), initial=0)))
    buffers = [None, ends.buffers()[1], pa.py_buffer(b"".join(written))]
    return pa.DictionaryArray.from_arrays(
        _numbers(WORDS.index_type, [ranks[word] for word in values]),
        pa.Array.from_buffers(WORDS.value_type, len(words), buffers),
    )


def _points(values: Sequence[Any]) -> pa.Array:
    known = [points for points in values if points is not None]
    if wrong := {len(points) for points in known} - {len(LANDMARK_COLUMNS)}:
        raise TypeError(f"got {sorted(wrong)} numbers, not {len(LANDMARK_COLUMNS)}")
    starts = count(0, len(LANDMARK_COLUMNS))
    # A list whose start is null is null.
    offsets = [None if points is None else next(starts) for points in values]
    return pa.ListArray.from_arrays(
        _numbers(pa.int32(), [*offsets, next(starts)]),
        _numbers(POINTS.value_type, list(chain.from_iterable(known))),
        type=POINTS,
    )
