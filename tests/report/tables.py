"""Timelines with known faces, as files and as frames of pandas."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from emoscan.emotions import EMOTIONS, Emotion
from emoscan.options import TableFormat
from emoscan.timeline.read import read_timeline
from emoscan.timeline.records import FaceRecord
from emoscan.timeline.schema import Origin, Status
from emoscan.timeline.writers import open_table

Box = tuple[float, float, float, float]  # x, y, width, height in px


def face_row(
    frame: int,
    time_s: float | None,
    box: Box,
    *,
    track: int | None = 1,
    face: int = 0,
    emotion: Emotion = Emotion.HAPPY,
    confidence: float = 0.7,
    label: str | None = None,
    source: str = "clip.mp4",
) -> FaceRecord:
    """A face whose other six classes share what its class leaves."""
    rest = (1 - confidence) / 6
    scores = {name: confidence if name == emotion else rest for name in EMOTIONS}
    x, y, width, height = box
    return FaceRecord(
        source, frame, time_s, Status.FACE, face, track, label, Origin.DETECTED,
        x, y, width, height, 0.99, (1.0,) * 10, emotion, confidence, **scores,
    )  # fmt: skip


def empty_row(frame: int, time_s: float | None, status: Status = Status.NO_FACE) -> FaceRecord:
    """A frame without a face, or one that could not be read."""
    return FaceRecord("clip.mp4", frame, time_s, status)


def rows_at(
    times_s: Sequence[float], boxes: Mapping[int, Iterable[tuple[int, Box]]], *, every: int = 1
) -> list[FaceRecord]:
    """Rows for every Nth of the frames at some times: (track, box) of those that have faces."""
    rows: list[FaceRecord] = []
    for frame in range(0, len(times_s), every):
        faces = [
            face_row(frame, times_s[frame], box, track=track, face=number)
            for number, (track, box) in enumerate(boxes.get(frame, ()))
        ]
        rows += faces or [empty_row(frame, times_s[frame])]
    return rows


def write_table(
    path: Path, rows: Sequence[FaceRecord], metadata: Mapping[str, Any] | None = None
) -> Path:
    """A timeline's file in the format that its suffix tells."""
    table = open_table(path, TableFormat(path.suffix[1:]), overwrite=True)
    table.write(rows)
    table.commit(metadata or {})
    return path


def as_frame(rows: Sequence[FaceRecord], folder: Path) -> pd.DataFrame:
    """The rows as `read_timeline` gives them."""
    return read_timeline(write_table(folder / "rows.parquet", rows))


def labelled(rows: Sequence[FaceRecord], label: str) -> list[FaceRecord]:
    """The same rows, their faces with a label."""
    return [replace(row, label=label) if row.status is Status.FACE else row for row in rows]
