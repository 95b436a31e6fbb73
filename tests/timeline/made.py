"""Timelines with known answers: faces whose scores are functions of time."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from emoscan.emotions import EMOTIONS
from emoscan.options import TableFormat
from emoscan.timeline.records import FaceRecord
from emoscan.timeline.schema import SCHEMA, VOCABULARIES
from emoscan.timeline.writers import open_table

RATES = {"5": 5.0, "15": 15.0, "29.97": 30000 / 1001, "60": 60.0}


def even(rate: float, until_s: float) -> np.ndarray:
    """The times of frames at a constant rate."""
    return np.arange(round(until_s * rate)) / rate


def uneven(until_s: float, *, seed: int = 0, most_s: float = 0.1) -> np.ndarray:
    """Times of frames of a phone's video: 10 to 100 ms apart."""
    steps = np.random.default_rng(seed).uniform(0.01, most_s, round(until_s / 0.01))
    times = np.concatenate([[0.0], np.cumsum(steps)])
    return times[times < until_s]


def scores(**given: np.ndarray | float) -> np.ndarray:
    """(N, 7) float32 with these classes, what is left to 1 spread over the others."""
    count = max(np.size(value) for value in given.values())
    table = np.zeros((count, len(EMOTIONS)))
    for name, value in given.items():
        table[:, EMOTIONS.index(name)] = value
    others = [index for index, name in enumerate(EMOTIONS) if name not in given]
    if others:
        table[:, others] = ((1 - table.sum(axis=1)) / len(others))[:, None]
    return table.astype(np.float32)


def face(
    times: np.ndarray,
    table: np.ndarray,
    *,
    source: str = "a.mp4",
    track: int | None = 1,
    label: str | None = None,
    frames: Iterable[int] | None = None,
) -> pd.DataFrame:
    """A face that is there in all frames, a row each."""
    rows = pd.DataFrame(table, columns=list(EMOTIONS))
    rows["source"], rows["status"], rows["label"] = source, "face", label
    rows["frame"] = range(len(times)) if frames is None else list(frames)
    rows["time_s"], rows["track"], rows["face"] = times, track, 0
    rows["emotion"] = np.array(EMOTIONS)[table.argmax(axis=1)]
    rows["confidence"] = table.max(axis=1)
    return rows


def without(times: np.ndarray, status: str = "no_face", *, source: str = "a.mp4") -> pd.DataFrame:
    """Frames without a face, or unreadable ones; `frame` is not set."""
    return pd.DataFrame({"source": source, "status": status, "time_s": times})


def photos(tables: dict[str, np.ndarray]) -> pd.DataFrame:
    """A timeline of photos: the scores of the faces of each; none is a photo without a face."""
    parts = []
    for source, table in tables.items():
        rows = face(np.full(len(table), np.nan), table, source=source, track=None)
        rows["frame"], rows["face"] = 0, range(len(table))
        none = without(np.array([np.nan]), source=source).assign(frame=0)
        parts.append(rows if len(table) else none)
    return timeline(*parts)


def timeline(*parts: pd.DataFrame) -> pd.DataFrame:
    """As `read_timeline` gives it, in the order of source, frame and face."""
    rows = pd.concat([part.astype(object) for part in parts], ignore_index=True)
    rows = rows.reindex(columns=SCHEMA.names)
    words = {name: pd.CategoricalDtype(list(known)) for name, known in VOCABULARIES.items()}
    numbers = {field.name: "float32" for field in SCHEMA if str(field.type) == "float"}
    kinds = {"frame": "Int64", "face": "Int16", "track": "Int32", "time_s": "float64"}
    rows = rows.astype(words | numbers | kinds | {"source": "category", "label": "category"})
    return rows.sort_values(["source", "frame", "face"], kind="stable", ignore_index=True)


def save(rows: pd.DataFrame, path: Path, **metadata: object) -> Path:
    """The rows as emoscan writes them, in the format of the suffix."""
    plain = rows.astype(object).where(rows.notna(), None)
    records = [FaceRecord(**row) for row in plain.to_dict("records")]
    table = open_table(path, TableFormat(path.suffix.removeprefix(".")), overwrite=True)
    table.write(records)
    table.commit(metadata)
    return path
