"""Timelines with known scores, for the tests of what is made from them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from emoscan.emotions import EMOTIONS, Emotion
from emoscan.options import TableFormat
from emoscan.timeline.read import read_timeline
from emoscan.timeline.records import FaceRecord
from emoscan.timeline.schema import Origin, Status
from emoscan.timeline.writers import open_table

SOURCE = "clip.mp4"
UNUSUAL = "Zoë \"Z\" <&> 'x' 😀 שלום a/b\\c $1^2$\nsecond line"


def face(
    frame: int,
    time_s: float | None,
    emotion: str = "happy",
    score: float = 0.94,
    *,
    track: int | None = 1,
    label: str | None = None,
    source: str = SOURCE,
    x: float = 10.0,
) -> FaceRecord:
    """A face whose `emotion` has `score`; the other six share the rest."""
    scores = dict.fromkeys(EMOTIONS, (1 - score) / 6) | {emotion: score}
    return FaceRecord(
        source, frame, time_s, Status.FACE, face=0, track=track, label=label,
        origin=Origin.DETECTED, x=x, y=20.0, width=30.0, height=40.0, score=0.99,
        landmarks=tuple(range(10)), emotion=Emotion(emotion), confidence=score, **scores,
    )  # fmt: skip


def empty(frame: int, time_s: float | None, *, source: str = SOURCE) -> FaceRecord:
    return FaceRecord(source, frame, time_s, Status.NO_FACE)


def unreadable(frame: int, time_s: float | None, *, source: str = SOURCE) -> FaceRecord:
    return FaceRecord(source, frame, time_s, Status.UNREADABLE)


def write(path: Path, rows: Sequence[FaceRecord], *, duration_s: float | None = None) -> Path:
    """A timeline's file, of the format that its suffix tells."""
    media: dict[str, Any] = {"duration_s": duration_s} if duration_s else {}
    table = open_table(path, TableFormat(path.suffix[1:]), overwrite=True)
    table.write(rows)
    table.commit({"media": media})
    return path


def timeline(folder: Path, rows: Sequence[FaceRecord], **about: Any) -> pd.DataFrame:
    return read_timeline(write(folder / "rows.parquet", rows, **about))


def two_episodes(*, label: str | None = None, track: int = 1) -> list[FaceRecord]:
    """50 frames of 0.04 s: a second of happy, then a second of sad, on each the half apart."""
    rows = [face(i, i * 0.04, "happy", track=track, label=label) for i in range(25)]
    return rows + [face(i, i * 0.04, "sad", track=track, label=label) for i in range(25, 50)]
