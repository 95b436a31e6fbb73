"""Counts of rows, taken while they pass."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from emoscan.timeline.records import FaceRecord
from emoscan.timeline.schema import Status


@dataclass(slots=True)
class Tally:
    """What the rows of one input hold; `+=` adds up inputs."""

    rows: int = 0
    frames: int = 0
    frames_with_face: int = 0
    unreadable: int = 0
    faces: int = 0
    tracks: int = 0
    emotions: Counter[str] = field(default_factory=Counter)
    media_s: float = 0.0
    _first_s: float | None = None

    def add(self, rows: Iterable[FaceRecord]) -> None:
        """Count the rows of one input, in the order of time."""
        for row in rows:
            self.rows += 1
            if row.status == Status.UNREADABLE:
                self.unreadable += 1
                continue
            self._add_time(row.time_s)
            if row.status == Status.FACE and row.emotion is not None:
                self.faces += 1
                self.emotions[row.emotion] += 1
                self.tracks = max(self.tracks, row.track or 0)
                self.frames_with_face += row.face == 0
            self.frames += not row.face  # once a frame: at its first face, or without one

    def __iadd__(self, other: "Tally") -> "Tally":
        self.rows += other.rows
        self.frames += other.frames
        self.frames_with_face += other.frames_with_face
        self.unreadable += other.unreadable
        self.faces += other.faces
        self.tracks += other.tracks
        self.emotions += other.emotions
        self.media_s += other.media_s
        return self

    def _add_time(self, time_s: float | None) -> None:
        if time_s is not None:
            self._first_s = time_s if self._first_s is None else self._first_s
            self.media_s = time_s - self._first_s
